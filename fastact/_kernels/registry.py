"""One row for each element-wise operator: all that is known of it besides its formula.

The row and the two formulas of its name in `formulas.py` (``NAME`` and ``grad_NAME``) are all an operator needs:
the compiled kernels, the ufuncs, the public functions with their docstrings, the type stubs, the tests of
accuracy, gradient and protocol, the benchmarks and the demo are made from here.

`Operator.reference` and `Operator.grad_reference` are the independent statement of the mathematics that the tests
compare with. They are called with ``m``, a namespace of functions (``m.exp``, ``m.where``, ...) that is either
binary64 NumPy or mpmath, and must be stable in binary64 for every binary32 argument.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

Reference = Callable[..., Any]


class Parameter(NamedTuple):
    """A parameter of an operator: broadcast with the array, a Python scalar takes the array's precision."""

    name: str
    default: float
    meaning: str


class Example(NamedTuple):
    """The docstrings' example: the input, the output and the gradient for dy = 1, as NumPy prints them."""

    x: str
    y: str
    dx: str


class Operator(NamedTuple):
    """A row of the registry."""

    name: str
    summary: str
    definition: str
    special_values: str
    source: str
    reference: Reference
    derivative: str
    grad_reference: Reference
    grad_special_values: str
    example: Example
    parameters: tuple[Parameter, ...] = ()
    tested_parameters: tuple[tuple[float, ...], ...] = ((),)
    ulp_float32: float = 1.0
    ulp_float64: float = 2.0
    ulp_gradient: float = 2.0
    kinks: tuple[float, ...] = ()
    keeps_integers: bool = False
    odd: bool = False
    monotone: bool = True
    # Where the derivative crosses zero, and its largest term there: within 0.5 of such a place the gradient's error is
    # in ULP of that term, or of the derivative if that is larger.
    grad_zeros: tuple[tuple[float, float], ...] = ()


class Kernel(NamedTuple):
    """What the compilers and the front door need to know of one formula."""

    name: str
    arrays: int
    parameters: tuple[str, ...]
    keeps_integers: bool


# tanh(x) = x - x**3/3 + ..., NIST Digital Library of Mathematical Functions, 4.33.3: the terms that x - tanh(x) has.
TANHSHRINK_SERIES = (
    (1, 3),
    (-2, 15),
    (17, 315),
    (-62, 2835),
    (1382, 155925),
    (-21844, 6081075),
    (929569, 638512875),
    (-6404582, 10854718875),
)


def limited(m: Any, x: Any) -> Any:
    """Return x limited to where exponentials have long saturated, so that a product with one is not inf*0."""
    return m.maximum(m.minimum(x, 2000), -2000)


def logistic(m: Any, x: Any) -> Any:
    """Return 1/(1 + exp(-x)), stable in both tails."""
    return m.where(x < 0, m.exp(m.minimum(x, 0)), 1) / (1 + m.exp(-abs(x)))


def logistic_slope(m: Any, x: Any) -> Any:
    """Return the derivative of `logistic`."""
    return m.exp(-abs(x)) / (1 + m.exp(-abs(x))) ** 2


def mish_gate(m: Any, x: Any) -> Any:
    """Return tanh(log(1 + exp(x)))."""
    n = m.exp(m.minimum(x, 100)) * (m.exp(m.minimum(x, 100)) + 2)
    return n / (n + 2)


def mish_slope(m: Any, x: Any) -> Any:
    """Return the derivative of `mish_gate`: 1 - its square, times the logistic function."""
    e = m.exp(m.minimum(x, 100))
    return 4 * e * (e + 1) / (e * (e + 2) + 2) ** 2


def tanhshrink_stable(m: Any, x: Any) -> Any:
    """Return x - tanh(x), by its power series where that cancels."""
    z = m.minimum(x * x, 1)
    series = sum(numerator * z**k / denominator for k, (numerator, denominator) in enumerate(TANHSHRINK_SERIES))
    return m.where(z < 0.0025, m.maximum(m.minimum(x, 1), -1) * z * series, x - m.tanh(x))


OPERATORS: tuple[Operator, ...] = (
    Operator(
        "identity",
        summary="Linear activation.",
        definition="x",
        special_values="Every value is returned as it is, NaN included.",
        source="Goodfellow, Bengio and Courville, Deep Learning (2016), section 6.2.2.1",
        reference=lambda m, x: x,
        derivative="1",
        grad_reference=lambda m, x: 1 + 0 * x,
        grad_special_values="The derivative is 1 at every x, NaN and infinities included.",
        example=Example("[-1.0, 0.0, 2.0]", "array([-1.,  0.,  2.])", "array([1., 1., 1.])"),
        ulp_float32=0.0,
        ulp_float64=0.0,
        ulp_gradient=0.0,
        keeps_integers=True,
        odd=True,
    ),
    Operator(
        "sigmoid",
        summary="Logistic sigmoid.",
        definition="1/(1 + exp(-x))",
        special_values="sigmoid(-inf) = 0, sigmoid(0) = 0.5, sigmoid(inf) = 1, sigmoid(NaN) = NaN. The left tail "
        "reaches down to the smallest subnormal.",
        source="Verhulst (1845); torch.nn.functional.sigmoid",
        reference=lambda m, x: m.where(x < 0, m.exp(m.minimum(x, 0)), 1) / (1 + m.exp(-abs(x))),
        derivative="sigmoid(x)*(1 - sigmoid(x))",
        grad_reference=lambda m, x: m.exp(-abs(x)) / (1 + m.exp(-abs(x))) ** 2,
        grad_special_values="0.25 at 0, its largest; 0 at -inf and inf; NaN at NaN. Takes the input x, not the output.",
        example=Example(
            "[-1.0, 0.0, 2.0]",
            "array([0.26894142, 0.5       , 0.88079708])",
            "array([0.19661193, 0.25      , 0.10499359])",
        ),
    ),
    Operator(
        "tanh",
        summary="Hyperbolic tangent.",
        definition="tanh(x) = (1 - exp(-2*x))/(1 + exp(-2*x))",
        special_values="tanh(-inf) = -1, tanh(inf) = 1, tanh(NaN) = NaN; zeros keep their sign.",
        source="NIST Digital Library of Mathematical Functions, 4.28.4",
        reference=lambda m, x: m.tanh(x),
        derivative="1 - tanh(x)**2",
        grad_reference=lambda m, x: 4 * m.exp(-2 * abs(x)) / (1 + m.exp(-2 * abs(x))) ** 2,
        grad_special_values="1 at 0; 0 at -inf and inf; NaN at NaN. Takes the input x, not the output.",
        example=Example(
            "[-1.0, 0.0, 2.0]",
            "array([-0.76159416,  0.        ,  0.96402758])",
            "array([0.41997434, 1.        , 0.07065082])",
        ),
        ulp_float32=1.5,
        odd=True,
    ),
    Operator(
        "relu",
        summary="Rectified linear unit.",
        definition="max(x, 0)",
        special_values="relu(NaN) = NaN, relu(-0.0) = -0.0 (as torch), relu(inf) = inf.",
        source="Nair and Hinton (2010), ICML",
        reference=lambda m, x: m.where(x > 0, x, 0),
        derivative="1 if x > 0 else 0",
        grad_reference=lambda m, x: m.where(x > 0, 1, 0),
        grad_special_values="0 at 0. At NaN dy is passed on, as torch does.",
        example=Example("[-1.0, 0.0, 2.0]", "array([0., 0., 2.])", "array([0., 0., 1.])"),
        ulp_float32=0.0,
        ulp_float64=0.0,
        ulp_gradient=0.0,
        kinks=(0.0,),
        keeps_integers=True,
    ),
    Operator(
        "relu6",
        summary="Rectified linear unit, limited to 6.",
        definition="min(max(x, 0), 6)",
        special_values="relu6(NaN) = NaN, relu6(-0.0) = -0.0 (as torch), relu6(inf) = 6.",
        source="Krizhevsky (2010), Convolutional Deep Belief Networks on CIFAR-10",
        reference=lambda m, x: m.minimum(m.where(x > 0, x, 0), 6),
        derivative="1 if 0 < x < 6 else 0",
        grad_reference=lambda m, x: m.where((x > 0) & (x < 6), 1, 0),
        grad_special_values="0 at 0 and at 6. At NaN dy is passed on, as torch does.",
        example=Example("[-1.0, 3.0, 8.0]", "array([0., 3., 6.])", "array([0., 1., 0.])"),
        ulp_float32=0.0,
        ulp_float64=0.0,
        ulp_gradient=0.0,
        kinks=(0.0, 6.0),
        keeps_integers=True,
    ),
    Operator(
        "leaky_relu",
        summary="Leaky rectified linear unit.",
        definition="x if x > 0 else negative_slope*x",
        special_values="leaky_relu(-inf) = -inf for a positive slope and NaN for a slope of 0 (an IEEE 754 product), "
        "leaky_relu(NaN) = NaN.",
        source="Maas, Hannun and Ng (2013), ICML",
        reference=lambda m, x, negative_slope: m.where(x > 0, x, negative_slope * x),
        derivative="1 if x > 0 else negative_slope",
        grad_reference=lambda m, x, negative_slope: m.where(x > 0, 1, negative_slope + 0 * x),
        grad_special_values="negative_slope at 0 and, as torch does, at NaN.",
        example=Example("[-1.0, 0.0, 2.0]", "array([-0.01,  0.  ,  2.  ])", "array([0.01, 0.01, 1.  ])"),
        parameters=(Parameter("negative_slope", 0.01, "the slope left of 0"),),
        tested_parameters=((0.01,), (0.25,), (0.0,), (-0.5,), (2.0,), (1e3,)),
        kinks=(0.0,),
        monotone=False,
    ),
    Operator(
        "elu",
        summary="Exponential linear unit.",
        definition="x if x > 0 else alpha*(exp(x) - 1)",
        special_values="elu(-inf) = -alpha, elu(NaN) = NaN; zeros keep their sign. The definition holds for every "
        "alpha, also above 1, where the maximum of the two branches would be wrong.",
        source="Clevert, Unterthiner and Hochreiter (2015), arXiv:1511.07289",
        reference=lambda m, x, alpha: m.where(x > 0, x, alpha * m.expm1(m.minimum(x, 0))),
        derivative="1 if x > 0 else alpha*exp(x)",
        grad_reference=lambda m, x, alpha: m.where(x > 0, 1, alpha * m.exp(m.minimum(x, 0))),
        grad_special_values="alpha at 0, 0 at -inf, NaN at NaN.",
        example=Example(
            "[-1.0, 0.0, 2.0]",
            "array([-0.63212056,  0.        ,  2.        ])",
            "array([0.36787944, 1.        , 1.        ])",
        ),
        parameters=(Parameter("alpha", 1.0, "the limit at -inf is -alpha"),),
        tested_parameters=((1.0,), (0.5,), (2.0,), (-1.0,), (0.0,), (1.7,), (1e3,)),
        kinks=(0.0,),
        monotone=False,
    ),
    Operator(
        "selu",
        summary="Scaled exponential linear unit.",
        definition="scale*(x if x > 0 else alpha*(exp(x) - 1)), alpha = 1.6732632423543772848170429916717, "
        "scale = 1.0507009873554804934193349852946",
        special_values="selu(-inf) = -scale*alpha, selu(NaN) = NaN; zeros keep their sign.",
        source="Klambauer, Unterthiner, Mayr and Hochreiter (2017), arXiv:1706.02515",
        reference=lambda m, x: (
            m.constant("1.0507009873554804934193349852946")
            * m.where(x > 0, x, m.constant("1.6732632423543772848170429916717") * m.expm1(m.minimum(x, 0)))
        ),
        derivative="scale if x > 0 else scale*alpha*exp(x)",
        grad_reference=lambda m, x: (
            m.constant("1.0507009873554804934193349852946")
            * m.where(x > 0, 1, m.constant("1.6732632423543772848170429916717") * m.exp(m.minimum(x, 0)))
        ),
        grad_special_values="scale*alpha at 0, 0 at -inf, NaN at NaN.",
        example=Example(
            "[-1.0, 0.0, 2.0]",
            "array([-1.11133074,  0.        ,  2.10140197])",
            "array([0.6467686 , 1.75809934, 1.05070099])",
        ),
        kinks=(0.0,),
    ),
    Operator(
        "softplus",
        summary="Softplus, a smooth rectifier.",
        definition="log(1 + exp(beta*x))/beta",
        special_values="softplus(-inf) = 0, softplus(inf) = inf, softplus(NaN) = NaN for a positive beta. There is no "
        "threshold: both tails are exact.",
        source="Dugas, Bengio, Belisle, Nadeau and Garcia (2001), NIPS 13",
        reference=lambda m, x, beta: (m.maximum(beta * x, 0) + m.log1p(m.exp(-abs(beta * x)))) / beta,
        derivative="sigmoid(beta*x)",
        grad_reference=lambda m, x, beta: (
            m.where(beta * x < 0, m.exp(m.minimum(beta * x, 0)), 1) / (1 + m.exp(-abs(beta * x)))
        ),
        grad_special_values="0.5 at 0, 0 at -inf, 1 at inf, NaN at NaN.",
        example=Example(
            "[-1.0, 0.0, 2.0]",
            "array([0.31326169, 0.69314718, 2.12692801])",
            "array([0.26894142, 0.5       , 0.88079708])",
        ),
        parameters=(Parameter("beta", 1.0, "the sharpness of the bend"),),
        ulp_float32=1.4,
        tested_parameters=((1.0,), (0.5,), (10.0,), (-1.5,), (1e-3,), (1e30,)),
        monotone=False,
    ),
    Operator(
        "silu",
        summary="Sigmoid linear unit, also called swish.",
        definition="x/(1 + exp(-x))",
        special_values="silu(-inf) = -0.0, silu(inf) = inf, silu(NaN) = NaN; zeros keep their sign. The left tail "
        "reaches down to the smallest subnormal; torch has 0 in float32 from -88.8 on: at -89, instead of -1.98e-37.",
        source="Elfwing, Uchibe and Doya (2017), arXiv:1702.03118; torch.nn.functional.silu",
        reference=lambda m, x: m.maximum(x, -2000) * logistic(m, x),
        derivative="sigmoid(x)*(1 + x*(1 - sigmoid(x)))",
        grad_reference=lambda m, x: logistic(m, x) + limited(m, x) * logistic_slope(m, x),
        grad_special_values="0.5 at 0, 0 at -inf, 1 at inf, NaN at NaN; crosses zero at -1.27846.",
        example=Example(
            "[-1.0, 0.0, 2.0]",
            "array([-0.26894142,  0.        ,  1.76159416])",
            "array([0.07232949, 0.5       , 1.09078425])",
        ),
        monotone=False,
        grad_zeros=((-1.2784645427610738, 0.2178),),
    ),
    Operator(
        "logsigmoid",
        summary="Logarithm of the logistic sigmoid.",
        definition="-log(1 + exp(-x))",
        special_values="logsigmoid(-inf) = -inf, logsigmoid(inf) = -0.0, logsigmoid(NaN) = NaN. Exact in both tails.",
        source="torch.nn.functional.logsigmoid; scipy.special.log_expit",
        reference=lambda m, x: -(m.maximum(-x, 0) + m.log1p(m.exp(-abs(x)))),
        derivative="sigmoid(-x)",
        grad_reference=lambda m, x: logistic(m, -x),
        grad_special_values="0.5 at 0, 1 at -inf, 0 at inf, NaN at NaN.",
        example=Example(
            "[-1.0, 0.0, 2.0]",
            "array([-1.31326169, -0.69314718, -0.12692801])",
            "array([0.73105858, 0.5       , 0.11920292])",
        ),
        ulp_float32=1.4,
    ),
    Operator(
        "tanhshrink",
        summary="Hyperbolic tangent shrinkage.",
        definition="x - tanh(x)",
        special_values="tanhshrink(-inf) = -inf, tanhshrink(inf) = inf, tanhshrink(NaN) = NaN; zeros keep their sign. "
        "Nothing cancels near 0, where torch and the definition lose all digits in float32: 0 at 1e-4, not 3.33e-13.",
        source="torch.nn.functional.tanhshrink",
        reference=tanhshrink_stable,
        derivative="tanh(x)**2",
        grad_reference=lambda m, x: m.tanh(x) ** 2,
        grad_special_values="0 at 0, 1 at -inf and inf, NaN at NaN.",
        example=Example(
            "[-1.0, 0.0, 2.0]",
            "array([-0.23840584,  0.        ,  1.03597242])",
            "array([0.58002566, 0.        , 0.92934918])",
        ),
        ulp_float32=2.0,
        odd=True,
    ),
    Operator(
        "mish",
        summary="Mish, a self-gated smooth rectifier.",
        definition="x*tanh(log(1 + exp(x)))",
        special_values="mish(-inf) = -0.0, mish(inf) = inf, mish(NaN) = NaN; zeros keep their sign.",
        source="Misra (2019), arXiv:1908.08681; torch.nn.functional.mish",
        reference=lambda m, x: m.maximum(x, -2000) * mish_gate(m, x),
        derivative="t + x*(1 - t**2)*sigmoid(x), t = tanh(log(1 + exp(x)))",
        grad_reference=lambda m, x: mish_gate(m, x) + limited(m, x) * mish_slope(m, x),
        grad_special_values="0.6 at 0, 0 at -inf, 1 at inf, NaN at NaN; crosses zero at -1.19243.",
        example=Example(
            "[-1.0, 0.0, 2.0]",
            "array([-0.30340146,  0.        ,  1.94395896])",
            "array([0.05921676, 0.6       , 1.06931793])",
        ),
        ulp_float32=2.0,
        monotone=False,
        grad_zeros=((-1.192431214515495, 0.259),),
    ),
)


def kernels() -> tuple[Kernel, ...]:
    """Return the kernels of all rows: an operator's own and its gradient's, which takes dy first."""
    rows: list[Kernel] = []
    for row in OPERATORS:
        names = tuple(parameter.name for parameter in row.parameters)
        rows.append(Kernel(row.name, 1, names, row.keeps_integers))
        rows.append(Kernel(f"grad_{row.name}", 2, names, False))
    return tuple(rows)
