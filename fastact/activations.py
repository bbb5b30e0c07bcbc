"""Element-wise activations. An operator without parameters is a `numpy.ufunc`; the others are functions over one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastact._kernels import operators
from fastact._kernels.axes import along_axis, halves, like_halves
from fastact._kernels.operators import PUBLIC, UFUNCS
from fastact._kernels.randomized import randomized
from fastact._kernels.variants import gelu_variant

ELEMENT_WISE = operators.forward(__name__)
globals().update({name: ELEMENT_WISE[name] for name in PUBLIC})

__all__ = list(PUBLIC)
__all__ += ["glu", "rrelu"]


def prelu(x: ArrayLike, weight: ArrayLike, *, axis: int | None = None, **options: Any) -> Any:
    """Leaky rectified linear unit with a learned slope.

    Parameters
    ----------
    x : array_like
        The input, of any shape.
    weight : float or array_like
        The slope left of 0. A Python number takes the precision of `x`.
    axis : int, optional
        The axis of `x` that a one-dimensional `weight` is laid along, 1 for torch's channels. None: `weight` is
        broadcast with `x` as NumPy does.
    **options
        ``out``, ``where``, ``dtype``, ``casting``, ``order``, ``subok``: as of every `numpy.ufunc`.

    Returns
    -------
    y : ndarray or scalar
        The activations. Of the operands' common shape and type. Integers and bool are computed in float32 if they
        have at most 16 bits, else in float64.

    Raises
    ------
    TypeError
        If an operand is not a real number or an array of bool, integers, float16, bfloat16, float32 or float64, or
        if `axis` is not an integer.
    ValueError
        If `axis` is given and `weight` is not one-dimensional, of the length of that axis or of length 1.
    numpy.exceptions.AxisError
        If `x` has no such axis.

    Notes
    -----
    ``x if x > 0 else weight*x``

    prelu(-inf) is -inf for a positive weight and NaN for a weight of 0 (an IEEE 754 product); NaN stays NaN.

    Error at most 0.5 ULP in float32 and in float64, subnormal results included.

    References
    ----------
    He, Zhang, Ren and Sun (2015), arXiv:1502.01852

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> x = np.array([[-1.0, 2.0], [-3.0, -4.0]])
    >>> fastact.prelu(x, [0.25, 0.5], axis=1)
    array([[-0.25,  2.  ],
           [-0.75, -2.  ]])
    """
    if axis is not None:
        weight = along_axis("prelu", weight, x, axis)
    return ELEMENT_WISE["prelu"](x, weight, **options)


def glu(x: ArrayLike, axis: int = -1, *, out: np.ndarray[Any, Any] | None = None) -> Any:
    """Gated linear unit: one half of an axis times the sigmoid of the other.

    Parameters
    ----------
    x : array_like
        The input, of even length along `axis`.
    axis : int, default -1
        The axis that is split in halves a and b.
    out : ndarray, optional
        Where the result goes; it may share memory with `x`.

    Returns
    -------
    y : ndarray
        a*sigmoid(b), of half the length along `axis`. Integers and bool are computed in float32 if they have at most
        16 bits, else in float64.

    Raises
    ------
    TypeError
        If `x` is not an array of bool, integers, float16, bfloat16, float32 or float64, or if `axis` is not an integer.
    ValueError
        If the length of `x` along `axis` is odd, or `out` has another shape.
    numpy.exceptions.AxisError
        If `x` has no such axis.

    Notes
    -----
    ``a*sigmoid(b)``

    The product is right also where sigmoid(b) alone would be subnormal. `fastact.ufuncs.glu` takes the halves a and b
    as two arrays.

    Error at most 1.1 ULP in float32 and 2 ULP in float64, subnormal results included.

    References
    ----------
    Dauphin, Fan, Auli and Grangier (2017), arXiv:1612.08083

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> fastact.glu(np.array([1.0, 2.0, 0.0, 3.0]))
    array([0.5       , 1.90514825])
    """
    a, b = halves("glu", x, axis)
    return UFUNCS["glu"](a, b) if out is None else UFUNCS["glu"](a, b, out=like_halves("glu", out, a))


def rrelu(
    x: ArrayLike, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, *, rng: Any = None, **options: Any
) -> Any:
    """Randomized leaky rectified linear unit.

    Parameters
    ----------
    x : array_like
        The input, of any shape.
    lower, upper : float, default 1/8 and 1/3
        The interval of the slope left of 0.
    training : bool, default False
        Whether every element draws its own slope, uniformly. Else the slope is (lower + upper)/2.
    rng : None, int or numpy.random.Generator, optional
        Where slopes come from in training: None is fresh entropy, an integer seeds `numpy.random.default_rng`. An
        element's slope is a function of the seed and its index in C order, and of nothing else.
    **options
        ``out``, ``where``, ``dtype``, ``casting``, ``order``, ``subok``: as of every `numpy.ufunc`.

    Returns
    -------
    y : ndarray or scalar
        The activations. Of the shape and type of `x`. Integers and bool are computed in float32 if they have at most
        16 bits, else in float64.

    Raises
    ------
    TypeError
        If `x` is not an array of bool, integers, float16, bfloat16, float32 or float64, `lower` or `upper` not a
        number, or `rng` of another type.
    ValueError
        If `lower` is larger than `upper` or one of them NaN, or `rng` is a negative integer.

    Notes
    -----
    ``x if x > 0 else slope*x``

    Error at most 0.5 ULP for the slope drawn, which is a multiple of (upper - lower)/2**24, rounded.

    References
    ----------
    Xu, Wang, Chen and Li (2015), arXiv:1505.00853

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> fastact.rrelu(np.array([-1.0, 0.0, 2.0]), 0.1, 0.3)
    array([-0.2,  0. ,  2. ])
    >>> y = fastact.rrelu(np.full(1000, -1.0), training=True, rng=5)
    >>> bool(-1 / 3 <= y.min() < y.max() <= -1 / 8)
    True
    """
    return randomized("rrelu", ELEMENT_WISE["leaky_relu"], (x,), lower, upper, training, rng, options)


def gelu(x: ArrayLike, approximate: str = "none", **options: Any) -> Any:
    """Gaussian error linear unit.

    Parameters
    ----------
    x : array_like
        The input, of any shape.
    approximate : {"none", "tanh"}, default "none"
        Whether the normal distribution is taken exactly, or by a tanh as some published weights were trained with.
    **options
        ``out``, ``where``, ``dtype``, ``casting``, ``order``, ``subok``: as of every `numpy.ufunc`.

    Returns
    -------
    y : ndarray or scalar
        The activations. Of the shape and type of `x`. float16 and bfloat16 are computed in float32 and rounded once;
        integers and bool in float32 if they have at most 16 bits, else in float64.

    Raises
    ------
    TypeError
        If `x` is not a real number or an array of bool, integers, float16, bfloat16, float32 or float64, or
        `approximate` not a string.
    ValueError
        If `approximate` is neither "none" nor "tanh".

    Notes
    -----
    ``x*erfc(-x/sqrt(2))/2``, or ``x*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3)))/2``

    gelu(-inf) is -0.0, gelu(inf) is inf; NaN stays NaN and zeros keep their sign. Nothing cancels in the left tail,
    which reaches down to the smallest subnormal; torch is 1000 ULP off at -3 in float32, and has 0 from -5.55 on.
    `fastact.ufuncs.gelu` and `fastact.ufuncs.gelu_tanh` are the two ufuncs.

    Error at most 2 ULP in float32 and float64, of the tanh form 1 ULP in float32; subnormal results included.

    References
    ----------
    Hendrycks and Gimpel (2016), arXiv:1606.08415

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> x = np.array([-1.0, 0.0, 2.0])
    >>> fastact.gelu(x)
    array([-0.15865525,  0.        ,  1.95449974])
    >>> fastact.gelu(x, approximate="tanh")
    array([-0.15880801,  0.        ,  1.95459769])
    """
    return ELEMENT_WISE[gelu_variant("gelu", approximate)](x, **options)
