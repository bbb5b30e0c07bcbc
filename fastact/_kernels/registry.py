"""One row for each element-wise operator: all that is known of it besides its formula.

The row and the two formulas of its name in `formulas.py` (``NAME`` and ``grad_NAME``) are all an operator needs:
the compiled kernels, the ufuncs, the public functions with their docstrings, the type stubs, the tests of
accuracy, gradient and protocol, the benchmarks and the demo are made from here.

`Operator.reference` and `Operator.grad_reference` are the independent statement of the mathematics that the tests
compare with. They are called with ``m``, a namespace of functions (``m.exp``, ``m.where``, ...) that is either
binary64 NumPy or mpmath, and must be stable in binary64 for every binary32 argument.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Reference = Callable[..., Any]


class Parameter(NamedTuple):
    """A parameter of an operator: broadcast with the array, a Python scalar takes the array's precision."""

    name: str
    default: float | None
    """None if it has to be given."""
    meaning: str
    is_length: bool = False
    """Whether it is in units of x: where it is small, the operator changes on a short length."""


class Range(NamedTuple):
    """What parameters that are single numbers must fulfil. Arrays of parameters are not looked at."""

    demand: str
    is_met: Callable[..., bool]


class Example(NamedTuple):
    """The docstrings' example: the input, the output and the gradient for dy = 1, as NumPy prints them."""

    x: str
    y: str
    dx: str
    parameters: str = ""
    """Those without a default, as they are written in the call."""


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
    """Where the derivative jumps or bends, whatever the parameters are."""
    keeps_integers: bool = False
    odd: bool | None = False
    """None if it depends on the parameters. The sign of a zero is not meant."""
    monotone: bool = True
    # Where the derivative crosses zero, and its largest term there: within 0.5 of such a place the gradient's error is
    # in ULP of that term, or of the derivative if that is larger.
    grad_zeros: tuple[tuple[float, float], ...] = ()
    moving_kinks: Callable[..., tuple[float, ...]] = lambda *parameters: ()
    range: Range | None = None
    usual: float = 0.0
    """The largest magnitude of an x of which no condition of the formulas is ``rare``; 0 if that would save nothing.

    With a parameter it is of the formulas NAME_unit and grad_NAME_unit, in which the parameter is 1."""
    is_learned: bool = False
    """Whether the parameters have a gradient, too. The public functions are written by hand, over those of the row."""
    variant_of: str | None = None
    """The public function, written by hand, that an argument makes compute this row, which has none of its own name."""

    def kinks_for(self, parameters: tuple[float, ...]) -> tuple[float, ...]:
        """Return the kinks, those that depend on the parameters included."""
        return self.kinks + self.moving_kinks(*parameters)

    def is_in_range(self, parameters: Sequence[float]) -> bool:
        """Return whether numbers are accepted as parameters."""
        return self.range is None or bool(self.range.is_met(*parameters))

    @property
    def required(self) -> tuple[float, ...]:
        """Values for the parameters that have no default, to be tried."""
        pairs = zip(self.parameters, self.tested_parameters[0], strict=True)
        return tuple(value for parameter, value in pairs if parameter.default is None)


class Kernel(NamedTuple):
    """What the compilers and the front door need to know of one formula."""

    name: str
    operands: tuple[str, ...]
    parameters: tuple[str, ...] = ()
    keeps_integers: bool = False
    usual: float = 0.0
    """As of a row, of the last operand."""

    @property
    def arrays(self) -> int:
        """The number of operands that are not parameters."""
        return len(self.operands)


PI = "3.14159265358979323846264338327950288419716939937510582097494459"
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


def tanh_form(m: Any, x: Any, power: int) -> Any:
    """Return 2*sqrt(2/pi)*(1 + power*0.044715*x**2): of gelu's tanh form, the argument by x, or its slope."""
    return m.sqrt(8 / m.constant(PI)) * (1 + power * m.constant("0.044715") * x * x)


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
        usual=60.0,
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
        usual=40.0,
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
        usual=80.0,
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
        usual=80.0,
    ),
    Operator(
        "hardsigmoid",
        summary="Piecewise linear sigmoid.",
        definition="min(max(x/6 + 1/2, 0), 1)",
        special_values="hardsigmoid(-inf) = 0, hardsigmoid(-3) = 0, hardsigmoid(0) = 0.5, hardsigmoid(3) = 1, "
        "hardsigmoid(inf) = 1, hardsigmoid(NaN) = NaN.",
        source="Courbariaux, Bengio and David (2015), arXiv:1511.00363; torch.nn.functional.hardsigmoid",
        reference=lambda m, x: m.minimum(m.maximum((x + 3) / m.constant(6), 0), 1),
        derivative="1/6 if -3 < x < 3 else 0",
        grad_reference=lambda m, x: m.where((x > -3) & (x < 3), 1 / m.constant(6), 0),
        grad_special_values="0 at -3, at 3 and, as torch does, at NaN.",
        example=Example(
            "[-1.0, 0.0, 4.0]",
            "array([0.33333333, 0.5       , 1.        ])",
            "array([0.16666667, 0.16666667, 0.        ])",
        ),
        # 1.34 next to -3 without FMA, else 0.67.
        ulp_float64=1.4,
        ulp_gradient=1.0,
        kinks=(-3.0, 3.0),
    ),
    Operator(
        "hardtanh",
        summary="Piecewise linear tanh: x limited to an interval.",
        definition="min(max(x, min_val), max_val)",
        special_values="hardtanh(NaN) = NaN, hardtanh(inf) = max_val, hardtanh(-inf) = min_val.",
        source="Collobert (2004), Large Scale Machine Learning; torch.nn.functional.hardtanh",
        reference=lambda m, x, min_val, max_val: m.minimum(m.maximum(x, min_val), max_val),
        derivative="1 if min_val < x < max_val else 0",
        grad_reference=lambda m, x, min_val, max_val: m.where((x > min_val) & (x < max_val), 1, 0),
        grad_special_values="0 at min_val and at max_val. At NaN dy is passed on, as torch does.",
        example=Example("[-2.0, 0.5, 2.0]", "array([-1. ,  0.5,  1. ])", "array([0., 1., 0.])"),
        parameters=(Parameter("min_val", -1.0, "the lower limit"), Parameter("max_val", 1.0, "the upper limit")),
        tested_parameters=((-1.0, 1.0), (-2.0, 3.0), (0.0, 6.0), (-0.25, 0.25), (0.5, 1.5)),
        ulp_float32=0.0,
        ulp_float64=0.0,
        ulp_gradient=0.0,
        moving_kinks=lambda min_val, max_val: (min_val, max_val),
        odd=None,
        range=Range("min_val must not be greater than max_val", lambda min_val, max_val: not min_val > max_val),
    ),
    Operator(
        "softsign",
        summary="Softsign.",
        definition="x/(1 + abs(x))",
        special_values="softsign(-inf) = -1, softsign(inf) = 1, softsign(NaN) = NaN; zeros keep their sign.",
        source="Turian, Bergstra and Bengio (2009), NAACL; torch.nn.functional.softsign",
        reference=lambda m, x: m.where(
            abs(x) < 1, x / (1 + abs(x)), m.where(x < 0, -1, 1) / (1 + 1 / m.maximum(abs(x), 1))
        ),
        derivative="1/(1 + abs(x))**2",
        grad_reference=lambda m, x: 1 / (1 + abs(x)) ** 2,
        grad_special_values="1 at 0; 0 at -inf and inf; NaN at NaN.",
        example=Example("[-1.0, 0.0, 3.0]", "array([-0.5 ,  0.  ,  0.75])", "array([0.25  , 1.    , 0.0625])"),
        ulp_float64=1.0,
        kinks=(0.0,),
        odd=True,
        usual=1e9,
    ),
    Operator(
        "hardswish",
        summary="Piecewise polynomial swish.",
        definition="x*min(max(x/6 + 1/2, 0), 1)",
        special_values="hardswish(-inf) = -0.0, hardswish(-3) = -0.0, hardswish(3) = 3, hardswish(inf) = inf, "
        "hardswish(NaN) = NaN; zeros keep their sign.",
        source="Howard et al. (2019), arXiv:1905.02244",
        reference=lambda m, x: m.where(x <= -3, -0.0, m.where(x >= 3, x, x * (x + 3) / m.constant(6))),
        derivative="0 if x <= -3 else x/3 + 1/2 if x < 3 else 1",
        grad_reference=lambda m, x: m.where(x <= -3, 0, m.where(x >= 3, 1, (2 * x + 3) / m.constant(6))),
        grad_special_values="0 at -3, 1 at 3 (as torch), NaN at NaN.",
        example=Example(
            "[-1.0, 0.0, 4.0]",
            "array([-0.33333333,  0.        ,  4.        ])",
            "array([0.16666667, 0.5       , 1.        ])",
        ),
        ulp_float64=1.0,
        kinks=(-3.0, 3.0),
        monotone=False,
    ),
    Operator(
        "threshold",
        summary="A value in place of all that is not above a threshold.",
        definition="x if x > threshold else value",
        special_values="NaN stays NaN.",
        source="torch.nn.functional.threshold",
        reference=lambda m, x, threshold, value: m.where(x > threshold, x, value),
        derivative="1 if x > threshold else 0",
        grad_reference=lambda m, x, threshold, value: m.where(x > threshold, 1, 0),
        grad_special_values="0 at the threshold. At NaN dy is passed on, as torch does.",
        example=Example("[-1.0, 0.5, 2.0]", "array([20., 20.,  2.])", "array([0., 0., 1.])", "0.5, 20.0"),
        parameters=(
            Parameter("threshold", None, "what x must exceed to be kept"),
            Parameter("value", None, "what the others become"),
        ),
        tested_parameters=((0.5, -3.0), (0.0, 0.0), (1.0, 7.0), (-1.5, 0.25), (2.0, 1e3)),
        ulp_float32=0.0,
        ulp_float64=0.0,
        ulp_gradient=0.0,
        moving_kinks=lambda threshold, value: (threshold,),
        monotone=False,
    ),
    Operator(
        "hardshrink",
        summary="Hard shrinkage: what is small becomes 0.",
        definition="x if abs(x) > lambd else 0",
        special_values="+0.0 inside, also at -0.0 (as torch); hardshrink(-inf) = -inf, hardshrink(inf) = inf, "
        "hardshrink(NaN) = NaN.",
        source="Donoho and Johnstone (1994), Biometrika 81; torch.nn.functional.hardshrink",
        reference=lambda m, x, lambd: m.where(abs(x) > lambd, x, 0),
        derivative="1 if abs(x) > lambd else 0",
        grad_reference=lambda m, x, lambd: m.where(abs(x) > lambd, 1, 0),
        grad_special_values="0 at -lambd and at lambd. At NaN dy is passed on, as torch does.",
        example=Example("[-2.0, 0.25, 1.0]", "array([-2.,  0.,  1.])", "array([1., 0., 1.])"),
        parameters=(Parameter("lambd", 0.5, "the largest magnitude that becomes 0"),),
        tested_parameters=((0.5,), (0.0,), (1.0,), (2.5,), (6.0,)),
        ulp_float32=0.0,
        ulp_float64=0.0,
        ulp_gradient=0.0,
        moving_kinks=lambda lambd: (-lambd, lambd),
        odd=True,
    ),
    Operator(
        "softshrink",
        summary="Soft shrinkage: everything nearer to 0.",
        definition="x - lambd if x > lambd else x + lambd if x < -lambd else 0",
        special_values="+0.0 inside, also at -0.0 (as torch); softshrink(-inf) = -inf, softshrink(inf) = inf, "
        "softshrink(NaN) = NaN.",
        source="Donoho (1995), IEEE Transactions on Information Theory 41; torch.nn.functional.softshrink",
        reference=lambda m, x, lambd: m.where(abs(x) > lambd, x - m.where(x < 0, -lambd, lambd), 0),
        derivative="1 if abs(x) > lambd else 0",
        grad_reference=lambda m, x, lambd: m.where(abs(x) > lambd, 1, 0),
        grad_special_values="0 at -lambd and at lambd. At NaN dy is passed on, as torch does.",
        example=Example("[-2.0, 0.25, 1.0]", "array([-1.5,  0. ,  0.5])", "array([1., 0., 1.])"),
        parameters=(Parameter("lambd", 0.5, "how much nearer"),),
        tested_parameters=((0.5,), (0.0,), (1.0,), (2.5,), (6.0,)),
        ulp_float32=0.5,
        ulp_float64=0.5,
        ulp_gradient=0.0,
        moving_kinks=lambda lambd: (-lambd, lambd),
        odd=True,
        range=Range("lambd must not be less than 0", lambda lambd: not lambd < 0),
    ),
    Operator(
        "prelu",
        summary="Leaky rectified linear unit with a learned slope.",
        definition="x if x > 0 else weight*x",
        special_values="prelu(-inf) = -inf for a positive weight and NaN for a weight of 0 (an IEEE 754 product), "
        "prelu(NaN) = NaN.",
        source="He, Zhang, Ren and Sun (2015), arXiv:1502.01852",
        reference=lambda m, x, weight: m.where(x > 0, x, weight * x),
        derivative="1 if x > 0 else weight",
        grad_reference=lambda m, x, weight: m.where(x > 0, 1, weight + 0 * x),
        grad_special_values="weight at 0 and, as torch does, at NaN.",
        example=Example("[-1.0, 0.0, 2.0]", "array([-0.25,  0.  ,  2.  ])", "array([0.25, 0.25, 1.  ])", "0.25"),
        parameters=(Parameter("weight", None, "the slope left of 0"),),
        tested_parameters=((0.25,), (0.01,), (0.0,), (-0.5,), (2.0,), (1e3,)),
        ulp_float32=0.5,
        ulp_float64=0.5,
        ulp_gradient=0.5,
        kinks=(0.0,),
        monotone=False,
        is_learned=True,
    ),
    Operator(
        "celu",
        summary="Continuously differentiable exponential linear unit.",
        definition="x if x > 0 else alpha*(exp(x/alpha) - 1)",
        special_values="celu(-inf) = -alpha for a positive alpha, celu(NaN) = NaN; zeros keep their sign. For a "
        "negative alpha the exponential grows.",
        source="Barron (2017), arXiv:1704.07483",
        reference=lambda m, x, alpha: m.where(x > 0, x, alpha * m.expm1(m.minimum(x, 0) / alpha)),
        derivative="1 if x > 0 else exp(x/alpha)",
        grad_reference=lambda m, x, alpha: m.where(x > 0, 1, m.exp(m.minimum(x, 0) / alpha)),
        grad_special_values="1 at 0, 0 at -inf, NaN at NaN.",
        example=Example(
            "[-1.0, 0.0, 2.0]",
            "array([-0.63212056,  0.        ,  2.        ])",
            "array([0.36787944, 1.        , 1.        ])",
        ),
        parameters=(Parameter("alpha", 1.0, "the limit at -inf is -alpha", is_length=True),),
        tested_parameters=((1.0,), (0.5,), (2.0,), (-1.0,), (1e-3,), (1e3,), (1e30,), (-2.5,)),
        ulp_float32=1.3,
        kinks=(0.0,),
        monotone=False,
        range=Range("alpha must not be 0", lambda alpha: alpha != 0),
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
        usual=80.0,
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
        usual=60.0,
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
        usual=20.0,
    ),
    Operator(
        "gelu_tanh",
        summary="Gaussian error linear unit in its tanh form.",
        definition="x*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3)))/2",
        special_values="gelu_tanh(-inf) = -0.0, gelu_tanh(inf) = inf, gelu_tanh(NaN) = NaN; zeros keep their sign.",
        source="Hendrycks and Gimpel (2016), arXiv:1606.08415; torch.nn.functional.gelu",
        reference=lambda m, x: m.maximum(x, -2000) * logistic(m, limited(m, x) * tanh_form(m, limited(m, x), 1)),
        derivative="s + x*s*(1 - s)*sqrt(8/pi)*(1 + 0.134145*x**2), s = sigmoid(sqrt(8/pi)*(x + 0.044715*x**3))",
        grad_reference=lambda m, x: (
            logistic(m, limited(m, x) * tanh_form(m, limited(m, x), 1))
            + limited(m, x)
            * tanh_form(m, limited(m, x), 3)
            * logistic_slope(m, limited(m, x) * tanh_form(m, limited(m, x), 1))
        ),
        grad_special_values="0.5 at 0, 0 at -inf, 1 at inf, NaN at NaN; crosses zero at -0.75246.",
        example=Example(
            "[-1.0, 0.0, 2.0]",
            "array([-0.15880801,  0.        ,  1.95459769])",
            "array([-0.08296408,  0.5       ,  1.08609926])",
        ),
        monotone=False,
        grad_zeros=((-0.7524614220710163, 0.22597),),
        variant_of="gelu",
    ),
    Operator(
        "gelu",
        summary="Gaussian error linear unit.",
        definition="x*erfc(-x/sqrt(2))/2",
        special_values="gelu(-inf) = -0.0, gelu(inf) = inf, gelu(NaN) = NaN; zeros keep their sign. The left tail "
        "reaches down to the smallest subnormal; torch is off by 38 ULP in float32 at -1.975, by 30% at -5, has -0.0 "
        "from -5.6 on (at -6, instead of -5.92e-9), and inf at 3e38.",
        source="Hendrycks and Gimpel (2016), arXiv:1606.08415; torch.nn.functional.gelu",
        reference=lambda m, x: m.maximum(x, -2000) * (m.erfc(-limited(m, x) / m.sqrt(m.constant("2"))) / 2),
        derivative="erfc(-x/sqrt(2))/2 + x*exp(-x**2/2)/sqrt(2*pi)",
        grad_reference=lambda m, x: (
            m.erfc(-limited(m, x) / m.sqrt(m.constant("2"))) / 2
            + limited(m, x) * m.exp(-(limited(m, x) ** 2) / 2) / m.sqrt(2 * m.constant(PI))
        ),
        grad_special_values="0.5 at 0, 0 at -inf, 1 at inf, NaN at NaN; crosses zero at -0.75179.",
        example=Example(
            "[-1.0, 0.0, 2.0]",
            "array([-0.15865525,  0.        ,  1.95449974])",
            "array([-0.08331547,  0.5       ,  1.0852318 ])",
        ),
        ulp_float32=2.0,
        monotone=False,
        grad_zeros=((-0.7517915246935645, 0.22608),),
        usual=13.0,
    ),
)

# The names of those that have a public function.
PUBLIC = tuple(row.name for row in OPERATORS if row.variant_of is None)

# The gated linear unit, of two arrays; its gradient with respect to the first one is glu(dy, b).
GATED = (Kernel("glu", ("a", "b"), usual=60.0), Kernel("grad_glu", ("dy", "a", "b"), usual=60.0))


def kernels() -> tuple[Kernel, ...]:
    """Return all kernels: of each row the operator's own and its gradient's, which takes dy first."""
    rows: list[Kernel] = []
    for row in OPERATORS:
        names = tuple(parameter.name for parameter in row.parameters)
        rows.append(Kernel(row.name, ("x",), names, row.keeps_integers, row.usual))
        rows.append(Kernel(f"grad_{row.name}", ("dy", "x"), names, usual=row.usual))
    return (*rows, *GATED)


# The steps of fused functions besides the operators: NumPy's functions, whose formulas are in elementary.py.
STEPS = (
    *(Kernel(name, ("x",)) for name in ("negative", "magnitude", "sqrt", "exp", "expm1", "log", "log1p")),
    *(Kernel(name, ("a", "b")) for name in ("add", "subtract", "multiply", "divide", "minimum", "maximum")),
    *(Kernel(name, ("a", "b")) for name in ("less", "less_equal", "equal", "not_equal")),
    Kernel("where", ("condition", "a", "b")),
)
