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


class Kernel(NamedTuple):
    """What the compilers and the front door need to know of one formula."""

    name: str
    arrays: int
    parameters: tuple[str, ...]
    keeps_integers: bool


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
        ulp_float32=1.3,
        tested_parameters=((1.0,), (0.5,), (10.0,), (-1.5,), (1e-3,), (1e30,)),
        monotone=False,
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
