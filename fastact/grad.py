"""Gradients: ``grad.NAME(dy, x, ...)`` is ``dy`` times the derivative of ``fastact.NAME(x, ...)``, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastact import _gradients
from fastact._gradients import *  # noqa: F403
from fastact._kernels import operators
from fastact._kernels.arguments import PARAMETER, is_masked
from fastact._kernels.axes import along_axis, axis_index, halves, halves_of, slices_itself
from fastact._kernels.gated import is_plain, of_lazy_halves, of_one_type, wrong_shape
from fastact._kernels.operators import PUBLIC
from fastact._kernels.random import undisturbed
from fastact._kernels.randomized import randomized
from fastact._kernels.reductions import run
from fastact._kernels.variants import gelu_variant
from fastact.dropout import masked

ELEMENT_WISE = operators.gradients(__name__)
globals().update({name: ELEMENT_WISE[name] for name in PUBLIC})

__all__ = list(PUBLIC)
__all__ += ["dropout", "glu", "rrelu", *_gradients.__all__]


def prelu(dy: ArrayLike, x: ArrayLike, weight: ArrayLike, *, axis: int | None = None) -> tuple[Any, Any]:
    """Gradients of `fastact.prelu`, with respect to `x` and to `weight`.

    Parameters
    ----------
    dy : array_like
        The gradient with respect to the output of `fastact.prelu`.
    x : array_like
        The input, of any shape.
    weight : float or array_like
        The slope left of 0. A Python number takes the precision of `x`.
    axis : int, optional
        The axis of `x` that a one-dimensional `weight` is laid along. None: `weight` is broadcast with `x`.

    Returns
    -------
    dx : ndarray or scalar
        dy*(1 if x > 0 else weight), of the operands' common shape and type.
    dweight : ndarray or scalar
        The sum of dy*x over all x <= 0 that a weight is the slope of. Of the shape of `weight` and the type of `dx`;
        accumulated in float64, in an order that depends only on the shape.

    Raises
    ------
    TypeError
        If an operand is not a real number or an array of bool, integers, float16, bfloat16, float32 or float64, or
        if `axis` is not an integer, or if elements of `weight` are masked.
    ValueError
        If `axis` is given and `weight` is not one-dimensional, of the length of that axis or of length 1.
    numpy.exceptions.AxisError
        If `x` has no such axis.

    Notes
    -----
    ``dy*(1 if x > 0 else weight)``

    At 0 and at NaN the derivative is torch's: `weight`. An infinite `dy` at x = 0 makes `dweight` NaN, as in torch.

    Error of dx at most 0.5 ULP in float32 and float64, subnormal results included. That of dweight is half an ULP and
    2**-45 times the sum of the absolute values that are added up.

    References
    ----------
    He, Zhang, Ren and Sun (2015), arXiv:1502.01852

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> x = np.array([[-1.0, 2.0], [-3.0, -4.0]])
    >>> dx, dweight = fastact.grad.prelu(np.ones((2, 2)), x, [0.25, 0.5], axis=1)
    >>> dx
    array([[0.25, 1.  ],
           [0.25, 0.5 ]])
    >>> dweight
    array([-4., -4.])
    """
    if is_masked(weight):
        raise TypeError(f"grad.prelu(): weight must be {PARAMETER}, got a masked one: its gradient would have no mask")
    laid = weight if axis is None else along_axis("grad.prelu", weight, x, axis)
    dx = ELEMENT_WISE["prelu"](dy, x, laid)
    dweight = _gradients.of_slope(dy, x, np.shape(laid), dx).reshape(np.shape(weight))
    return dx, dweight[()]


def glu(dy: ArrayLike, x: ArrayLike, axis: int = -1) -> Any:
    """Gradient of `fastact.glu`, multiplied by `dy`.

    Parameters
    ----------
    dy : array_like
        The gradient with respect to the output of `fastact.glu`, of its shape.
    x : array_like
        The input, of even length along `axis`.
    axis : int, default -1
        The axis that is split in halves a and b.

    Returns
    -------
    dx : ndarray
        Of the shape of `x`: dy*sigmoid(b), and beside it dy*a*sigmoid(b)*(1 - sigmoid(b)). Integers and bool are
        computed in float32 if they have at most 16 bits, else in float64.

    Raises
    ------
    TypeError
        If an operand is not an array of bool, integers, float16, bfloat16, float32 or float64, or if `axis` is not an
        integer.
    ValueError
        If the length of `x` along `axis` is odd, or `dy` is neither a number nor of the shape of the output.
    numpy.exceptions.AxisError
        If `x` has no such axis.

    Notes
    -----
    Error at most 2 ULP in float32 and float64, subnormal results included.

    References
    ----------
    Dauphin, Fan, Auli and Grangier (2017), arXiv:1612.08083

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> fastact.grad.glu(np.ones(2), np.array([1.0, 2.0, 0.0, 3.0]))
    array([0.5       , 0.95257413, 0.25      , 0.09035332])
    """
    a, b = halves("grad.glu", x, axis)
    if slices_itself(x) and not isinstance(x, np.ndarray):
        return of_lazy_halves(dy, a, b, axis)
    inputs = (dy, a, b) if is_plain(dy) and is_plain(x) and dy.dtype is x.dtype else of_one_type(dy, a, b)
    if inputs[0].shape != a.shape:
        raise wrong_shape(dy, a)
    dx: np.ndarray[Any, Any] = np.empty(np.shape(x), inputs[0].dtype)
    da, db = halves_of(dx, axis_index("grad.glu", axis, dx.ndim))
    run("", [*inputs, da, db], 2, tuple(range(dx.ndim)), None, apply="grad_glu", reduces=False, stats_numbers=1)
    return dx


def dropout(
    dy: ArrayLike,
    mask: np.ndarray[Any, np.dtype[np.uint8]],
    p: float,
    *,
    out: np.ndarray[Any, Any] | None = None,
) -> Any:
    """Gradient of `fastact.dropout`, multiplied by `dy`.

    Parameters
    ----------
    dy : array_like
        The gradient with respect to the output of `fastact.dropout`.
    mask : ndarray of uint8
        What ``fastact.dropout(..., return_mask=True)`` returned: one bit an element.
    p : float
        The probability of an element to be dropped, in [0, 1].
    out : ndarray, optional
        Where to write the result; may be `dy`.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`. Of the shape of `dy` and its floating-point type. Integers and bool are
        computed in float32 if they have at most 16 bits, else in float64.

    Raises
    ------
    TypeError
        If `dy`, `p` or `out` is of a wrong type.
    ValueError
        If `mask` is not a one-dimensional array of uint8 with a bit for each element of `dy`, `p` is not in [0, 1], or
        `out` has another shape.

    Notes
    -----
    ``dy/(1 - p)`` where the mask's bit is set, else 0

    What was dropped has gradient 0, also where `dy` is NaN or infinite. Never warns and leaves the floating-point flags
    as they are.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov (2014), JMLR 15

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> mask = np.packbits([1, 0, 1], bitorder="little")
    >>> fastact.grad.dropout(np.ones(3), mask, 0.5)
    array([2., 0., 2.])
    """
    return undisturbed(masked, "grad.dropout", "dy", dy, mask, p, out)


def rrelu(
    dy: ArrayLike,
    x: ArrayLike,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    *,
    rng: Any = None,
    **options: Any,
) -> Any:
    """Gradient of `fastact.rrelu`, multiplied by `dy`.

    Parameters
    ----------
    dy : array_like
        The gradient with respect to the output of `fastact.rrelu`.
    x : array_like
        The input, of any shape.
    lower, upper, training
        As of `fastact.rrelu`.
    rng : None, int or numpy.random.Generator, optional
        As of `fastact.rrelu`. The same integer, or a Generator in the same state, gives the slopes that the output was
        computed with.
    **options
        ``out``, ``where``, ``dtype``, ``casting``, ``order``, ``subok``: as of every `numpy.ufunc`.

    Returns
    -------
    dx : ndarray or scalar
        Of the operands' common shape and type. Integers and bool are computed in float32 if they have at most 16 bits,
        else in float64.

    Raises
    ------
    TypeError
        If an operand is not an array of bool, integers, float16, bfloat16, float32 or float64, `lower` or `upper` not
        a number, or `rng` of another type.
    ValueError
        If `lower` is larger than `upper` or one of them NaN, or `rng` is a negative integer.

    Notes
    -----
    ``dy*(1 if x > 0 else slope)``

    At 0 and at NaN the derivative is the slope. Error at most 0.5 ULP for the slope drawn.

    References
    ----------
    Xu, Wang, Chen and Li (2015), arXiv:1505.00853

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> fastact.grad.rrelu(1.0, np.array([-1.0, 0.0, 2.0]), 0.1, 0.3)
    array([0.2, 0.2, 1. ])
    """
    return randomized("grad.rrelu", ELEMENT_WISE["leaky_relu"], (dy, x), lower, upper, training, rng, options)


def gelu(dy: ArrayLike, x: ArrayLike, approximate: str = "none", **options: Any) -> Any:
    """Gradient of `fastact.gelu`, multiplied by `dy`.

    Parameters
    ----------
    dy : array_like
        The gradient with respect to the output of `fastact.gelu`.
    x : array_like
        The input, of any shape.
    approximate : {"none", "tanh"}, default "none"
        As of `fastact.gelu`.
    **options
        ``out``, ``where``, ``dtype``, ``casting``, ``order``, ``subok``: as of every `numpy.ufunc`.

    Returns
    -------
    dx : ndarray or scalar
        Of the operands' common shape and type. float16 and bfloat16 are computed in float32 and rounded once; integers
        and bool in float32 if they have at most 16 bits, else in float64.

    Raises
    ------
    TypeError
        If an operand is not a real number or an array of bool, integers, float16, bfloat16, float32 or float64, or
        `approximate` not a string.
    ValueError
        If `approximate` is neither "none" nor "tanh".

    Notes
    -----
    ``dy*(erfc(-x/sqrt(2))/2 + x*exp(-x**2/2)/sqrt(2*pi))``, or ``dy`` times the derivative of the tanh form

    The derivative is 0.5 at 0, 0 at -inf, 1 at inf and NaN at NaN; it crosses zero at -0.75179, that of the tanh form
    at -0.75246. `fastact.ufuncs.grad_gelu` and `fastact.ufuncs.grad_gelu_tanh` are the two ufuncs.

    Error at most 2 ULP in float32 and float64, subnormal results included; next to the zero, of the largest term.

    References
    ----------
    Hendrycks and Gimpel (2016), arXiv:1606.08415

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> x = np.array([-1.0, 0.0, 2.0])
    >>> fastact.grad.gelu(1.0, x)
    array([-0.08331547,  0.5       ,  1.0852318 ])
    >>> fastact.grad.gelu(1.0, x, approximate="tanh")
    array([-0.08296408,  0.5       ,  1.08609926])
    """
    return ELEMENT_WISE[gelu_variant("grad.gelu", approximate)](dy, x, **options)
