"""Dropout: masks that depend on the seed and the element's index alone, drawn and applied in one pass over memory."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastact._kernels import random
from fastact._kernels.arguments import as_array, checked, is_masked
from fastact._kernels.operands import normalized_axes
from fastact._kernels.promotion import ARRAY, float_of
from fastact._kernels.random import undisturbed
from fastact._kernels.seeds import WORDS, probability, seed_of, threshold_of

__all__ = ["alpha_dropout", "apply_mask", "dropout", "dropout_mask"]

Array = np.ndarray[Any, Any]
Mask = np.ndarray[Any, np.dtype[np.uint8]]

# Types whose arrays need no look at their promotion: that takes 1 us.
FLOATS = frozenset({np.float16, np.float32, np.float64})
# selu(-inf) = -scale*alpha
SELU_LIMIT = -1.7580993408473766


class Values(NamedTuple):
    """Kept elements become x*scale + shift, the others `dropped`. A shift of -0.0 changes no product."""

    scale: float
    shift: float
    dropped: float


def dropout_values(p: float) -> Values:
    return Values(1 / (1 - p), -0.0, 0.0)


def alpha_dropout_values(p: float) -> Values:
    """Return the values for which SELU's output, of mean 0 and variance 1, keeps both."""
    scale = 1 / math.sqrt((1 - p) * (1 + p * SELU_LIMIT**2))
    return Values(scale, -scale * SELU_LIMIT * p, scale * SELU_LIMIT * (1 - p))


def dropout(
    x: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    *,
    rng: Any = None,
    axis: int | Sequence[int] | None = None,
    out: Array | None = None,
    return_mask: bool = False,
) -> Any:
    """Set each element to 0 with probability p and scale the others by 1/(1 - p): inverted dropout.

    Parameters
    ----------
    x : array_like
        The input, of any shape.
    p : float, default 0.5
        The probability of an element to be dropped, in [0, 1].
    training : bool, default True
        If false, the result is a copy of `x`.
    rng : None, int or numpy.random.Generator, optional
        What the draws are made from. An int is a seed: 5 means the same as ``numpy.random.default_rng(5)``. A
        Generator is asked for its next 16 bytes, once for each call in training. None takes fresh entropy.
    axis : int or tuple of int, optional
        The axes that get draws of their own; the others share them. Default: every element has its own.
    out : ndarray, optional
        Where to write the result; may be `x`.
    return_mask : bool, default False
        Whether to return the mask too.

    Returns
    -------
    y : ndarray or scalar
        Of the shape of `x` and its floating-point type. Integers and bool are computed in float32 if they have at most
        16 bits, else in float64.
    mask : ndarray of uint8
        Only if `return_mask`: one bit an element of `x`, set where it is kept, as `dropout_mask` returns it.

    Raises
    ------
    TypeError
        If `x`, `p`, `rng` or `out` is of a wrong type.
    ValueError
        If `p` is not in [0, 1], `rng` is negative, `axis` is out of bounds, or `out` has another shape.

    Notes
    -----
    ``x/(1 - p)`` where kept, else 0

    A draw depends on the seed and on the element's index in C order, and on nothing else: not on the memory layout, the
    number of threads, the processor or the type. With `axis`, the index is that in the array of the named axes.
    Element i is dropped if its 32-bit word, drawn with Philox4x32-10, is less than ``round(p*2**32)``. 1/(1 - p) is
    rounded to the type of the computation: float64 for float64, else float32.

    What is dropped is 0, also where `x` is NaN or infinite; NaN and infinities that are kept stay so. p = 0 returns
    `x` as it is and p = 1 zeros: neither multiplies. Never warns and leaves the floating-point flags as they are.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov (2014), JMLR 15; Salmon, Moraes, Dror and Shaw (2011),
    Parallel random numbers: as easy as 1, 2, 3; torch.nn.functional.dropout

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> fastact.dropout(np.arange(1.0, 9.0), 0.25, rng=5)
    array([1.33333333, 2.66666667, 4.        , 5.33333333, 6.66666667,
           0.        , 9.33333333, 0.        ])
    """
    return undisturbed(drop, "dropout", dropout_values, x, p, training, rng, axis, out, return_mask)


def alpha_dropout(
    x: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    *,
    rng: Any = None,
    axis: int | Sequence[int] | None = None,
    out: Array | None = None,
    return_mask: bool = False,
) -> Any:
    """Drop elements to SELU's lower limit with probability p and keep the mean 0 and the variance 1 of its output.

    Parameters
    ----------
    x : array_like
        The input, of any shape.
    p : float, default 0.5
        The probability of an element to be dropped, in [0, 1].
    training : bool, default True
        If false, the result is a copy of `x`.
    rng : None, int or numpy.random.Generator, optional
        As of `fastact.dropout`. The same seed drops the same elements.
    axis : int or tuple of int, optional
        The axes that get draws of their own; the others share them. Default: every element has its own.
    out : ndarray, optional
        Where to write the result; may be `x`.
    return_mask : bool, default False
        Whether to return the mask too.

    Returns
    -------
    y : ndarray or scalar
        Of the shape of `x` and its floating-point type. Integers and bool are computed in float32 if they have at most
        16 bits, else in float64.
    mask : ndarray of uint8
        Only if `return_mask`: one bit an element of `x`, set where it is kept, as `dropout_mask` returns it.

    Raises
    ------
    TypeError
        If `x`, `p`, `rng` or `out` is of a wrong type.
    ValueError
        If `p` is not in [0, 1], `rng` is negative, `axis` is out of bounds, or `out` has another shape.

    Notes
    -----
    ``a*x + b`` where kept, else ``a*limit + b``; limit = -1.7580993408473766, a = 1/sqrt((1 - p)*(1 + p*limit**2)),
    b = -a*limit*p

    The draws, and what else is said of them, are those of `fastact.dropout`. p = 0 returns `x` as it is and p = 1
    zeros. The gradient is ``a*fastact.apply_mask(dy, mask, 0)``.

    References
    ----------
    Klambauer, Unterthiner, Mayr and Hochreiter (2017), arXiv:1706.02515; torch.nn.functional.alpha_dropout

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> fastact.alpha_dropout(np.arange(1.0, 9.0), 0.25, rng=5)
    array([ 1.24843932,  2.11569724,  2.98295517,  3.85021309,  4.71747102,
           -1.14354419,  6.45198686, -1.14354419])
    """
    return undisturbed(drop, "alpha_dropout", alpha_dropout_values, x, p, training, rng, axis, out, return_mask)


def dropout_mask(shape: int | Sequence[int], p: float = 0.5, *, rng: Any = None) -> Mask:
    """Return the mask of dropout alone: one bit an element.

    Parameters
    ----------
    shape : int or tuple of int
        The shape of the array the mask is for.
    p : float, default 0.5
        The probability of an element to be dropped, in [0, 1].
    rng : None, int or numpy.random.Generator, optional
        As of `fastact.dropout`, which drops the same elements with the same seed.

    Returns
    -------
    ndarray of uint8
        ``np.packbits(keep.ravel(), bitorder="little")``: bit i of the mask, counted from the least significant bit of
        the first byte, is set where the element of index i in C order is kept. The bits beyond the last are 0.

    Raises
    ------
    TypeError
        If `shape`, `p` or `rng` is of a wrong type.
    ValueError
        If `p` is not in [0, 1], or if `shape` or `rng` is negative.

    Notes
    -----
    ``fastact.apply_mask(x, mask, p)`` gives the same as ``fastact.dropout(x, p)`` with the same seed.

    References
    ----------
    Salmon, Moraes, Dror and Shaw (2011), Parallel random numbers: as easy as 1, 2, 3

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> mask = fastact.dropout_mask((2, 4), 0.25, rng=5)
    >>> np.unpackbits(mask, count=8, bitorder="little").reshape(2, 4)
    array([[1, 1, 1, 1],
           [1, 0, 1, 0]], dtype=uint8)
    """
    p = probability(p, "dropout_mask")
    n = size_of(shape)
    return draw_mask(n, p, seed_of(rng, "dropout_mask"))


def apply_mask(x: ArrayLike, mask: Mask, p: float, *, out: Array | None = None) -> Any:
    """Scale what the mask keeps by 1/(1 - p) and set the rest to 0.

    Parameters
    ----------
    x : array_like
        The input, of any shape.
    mask : ndarray of uint8
        One bit an element, as `fastact.dropout_mask` returns it.
    p : float
        The probability the mask was drawn with, in [0, 1].
    out : ndarray, optional
        Where to write the result; may be `x`.

    Returns
    -------
    ndarray or scalar
        Of the shape of `x` and its floating-point type. Integers and bool are computed in float32 if they have at most
        16 bits, else in float64.

    Raises
    ------
    TypeError
        If `x`, `p` or `out` is of a wrong type.
    ValueError
        If `mask` is not a one-dimensional array of uint8 with a bit for each element of `x`, `p` is not in [0, 1], or
        `out` has another shape.

    Notes
    -----
    ``x/(1 - p)`` where the mask's bit is set, else 0

    What is dropped is 0, also where `x` is NaN or infinite. p = 1 gives zeros, whatever the mask. Never warns and
    leaves the floating-point flags as they are.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov (2014), JMLR 15

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> mask = np.packbits([1, 0, 1], bitorder="little")
    >>> fastact.apply_mask([1.0, np.nan, 3.0], mask, 0.5)
    array([2., 0., 6.])
    """
    return undisturbed(masked, "apply_mask", "x", x, mask, p, out)


def drop(
    function: str,
    values_of: Callable[[float], Values],
    x: ArrayLike,
    p: float,
    training: bool,
    rng: Any,
    axis: int | Sequence[int] | None,
    out: Array | None,
    return_mask: bool,
) -> Any:
    """Check the arguments and do what `dropout` and `alpha_dropout` have in common."""
    p = probability(p, function)
    array = real_array(x, "x", function)
    axes = range(array.ndim) if axis is None else checked_axes(axis, array.ndim, function)
    y = output(array, out, function)
    threshold = threshold_of(p) if training else 0
    # Also where p is so small that nothing is dropped: what is kept is scaled.
    is_drawn = bool(training) and p > 0 and threshold < WORDS
    is_asked = bool(return_mask)
    seed = seed_of(rng, function) if training else b""
    mask = None
    if is_drawn and len(axes) == array.ndim and not order_of_both(array, y):
        mask = random.draw(array, y, seed, threshold, values_of(p), is_asked)
    elif is_drawn:
        mask = shared_mask(array.shape, axes, seed, threshold)
        apply(array, y, mask, values_of(p))
    else:
        random.copy(y, array if threshold == 0 else values_of(p).dropped if p < 1 else 0.0)
    result = y if out is not None or y.ndim > 0 else y[()]
    if not is_asked:
        return result
    return result, constant_mask(array.size, threshold == 0) if mask is None else mask


def masked(function: str, name: str, x: ArrayLike, mask: Mask, p: float, out: Array | None) -> Any:
    """Check the arguments and do what `apply_mask` and `grad.dropout` have in common."""
    p = probability(p, function)
    array = real_array(x, name, function)
    bits = checked_mask(mask, array.size, name, function)
    y = output(array, out, function)
    if p < 1:
        is_shared = out is not None and np.may_share_memory(bits, y)
        apply(array, y, bits.copy() if is_shared else bits, dropout_values(p))
    else:
        random.copy(y, 0.0)
    return y if out is not None or y.ndim > 0 else y[()]


def draw_mask(n: int, p: float, seed: bytes) -> Mask:
    threshold = threshold_of(p)
    return random.draw_bits(n, seed, threshold) if 0 < threshold < WORDS else constant_mask(n, threshold == 0)


def constant_mask(n: int, is_kept: bool) -> Mask:
    mask = np.full((n + 7) // 8, 255 * is_kept, np.uint8)
    if n % 8 and is_kept:
        mask[-1] = 2 ** (n % 8) - 1
    return mask


def shared_mask(shape: tuple[int, ...], axes: Sequence[int], seed: bytes, threshold: int) -> Mask:
    """Return the mask of an array whose draws are those of the array of some of its axes."""
    drawn = tuple(length if k in axes else 1 for k, length in enumerate(shape))
    mask = random.draw_bits(math.prod(drawn), seed, threshold)
    return mask if drawn == shape else packed(np.broadcast_to(unpacked(mask, drawn), shape))


def packed(keep: Array) -> Mask:
    return np.packbits(keep, bitorder="little")


def unpacked(mask: Mask, shape: tuple[int, ...]) -> Array:
    return np.unpackbits(mask, count=math.prod(shape), bitorder="little").reshape(shape)


def apply(x: Array, y: Array, mask: Mask, values: Values) -> None:
    """Apply a mask. Dense arrays in Fortran's or another order are taken as they lie, and the mask is put in it."""
    order = order_of_both(x, y)
    if order:
        mask = packed(unpacked(mask, x.shape).transpose(order))
        x, y = x.transpose(order), y.transpose(order)
    random.apply(x, y, mask, values)


def order_of_both(x: Array, y: Array) -> Sequence[int]:
    """Return the order of axes in which two arrays are contiguous, if that is not their own.

    To walk over 4096**2 transposed elements in the order of their indices takes twice as long as to permute their mask.
    """
    if x.flags.c_contiguous:
        return ()
    order = sorted(range(x.ndim), key=lambda axis: -x.strides[axis])
    is_dense = x.transpose(order).flags.c_contiguous and y.transpose(order).flags.c_contiguous
    return order if is_dense else ()


def real_array(x: ArrayLike, name: str, function: str) -> Array:
    if type(x) is np.ndarray and x.dtype.type in FLOATS:
        return x
    demand = f"{function}(): {name} must be {ARRAY}"
    # Once more: what a pandas Series of texts holds is known when it is an array.
    array: Array = checked(as_array(checked(x, demand), demand), demand)
    return array


def checked_axes(axis: int | Sequence[int], ndim: int, function: str) -> tuple[int, ...]:
    named = axis if isinstance(axis, (int, str)) or not np.iterable(axis) else tuple(axis)
    axes: tuple[int, ...] = normalized_axes(named, ndim, function)
    return axes


def output(x: Array, out: Array | None, function: str) -> Array:
    """Return the array to write to: `out`, checked, or a new one."""
    dtype: np.dtype[Any] = x.dtype
    if dtype.type not in FLOATS or not dtype.isnative:
        dtype = np.dtype(float_of(dtype.type))
    if out is None:
        return np.empty_like(x, dtype, subok=False)
    if isinstance(out, tuple) and len(out) == 1:
        out = out[0]
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{function}(): out must be an array, got {type(out).__name__!r}")
    if out.shape != x.shape:
        raise ValueError(f"{function}(): out must have the shape of x, {x.shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{function}(): out must be writeable, got a read-only array")
    if out.dtype != dtype and (out.dtype.hasobject or not np.can_cast(dtype, out.dtype, "same_kind")):
        raise TypeError(f"{function}(): out must be an array that {dtype} can be cast to, got dtype {out.dtype}")
    return out


def checked_mask(mask: Mask, n: int, name: str, function: str) -> Mask:
    size = (n + 7) // 8
    demand = f"{function}(): mask must be a one-dimensional array of {size} uint8, a bit for each element of {name}"
    if not isinstance(mask, np.ndarray):
        raise ValueError(f"{demand}, got {type(mask).__name__!r}")
    if is_masked(mask):
        raise TypeError(f"{demand}, got a masked one")
    if mask.dtype != np.uint8 or mask.shape != (size,):
        raise ValueError(f"{demand}, got shape {mask.shape} of dtype {mask.dtype}")
    return np.ascontiguousarray(mask)


def size_of(shape: int | Sequence[int]) -> int:
    """Return the number of elements of a shape, or raise."""
    demand = "dropout_mask(): shape must be a non-negative integer or a tuple of them"
    given = shape.tolist() if isinstance(shape, np.ndarray) else shape
    try:
        lengths = [operator.index(length) for length in (given if isinstance(given, Sequence) else (given,))]
    except TypeError:
        raise TypeError(f"{demand}, got {shape!r}") from None
    if any(length < 0 for length in lengths):
        raise ValueError(f"{demand}, got {shape!r}")
    size = math.prod(lengths)
    if size > sys.maxsize:
        raise ValueError(f"dropout_mask(): shape must be of at most {sys.maxsize} elements, got {shape!r}")
    return size
