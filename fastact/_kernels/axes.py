"""Arguments that name an axis: weights laid along it, and its halves."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastact._kernels.arguments import PARAMETER, checked
from fastact._kernels.promotion import ARRAY

Array = np.ndarray[Any, Any]
Axis = int | Sequence[int] | None


def axis_index(function: str, axis: Any, ndim: int) -> int:
    """Return the axis counted from the front, or raise."""
    try:
        index = operator.index(axis)
    except TypeError:
        raise TypeError(f"{function}(): axis must be an integer, got {type(axis).__name__!r}") from None
    if not -ndim <= index < ndim:
        raise np.exceptions.AxisError(index, ndim, f"{function}()")
    return index % ndim


def along_axis(function: str, weight: Any, x: Any, axis: int) -> Array:
    """Return a one-dimensional weight with axes of length 1 behind it, so that it is broadcast along x's axis."""
    shape = np.shape(checked(x, f"{function}(): x must be {ARRAY}"))
    index = axis_index(function, axis, len(shape))
    slopes: Array = np.asarray(checked(weight, f"{function}(): weight must be {PARAMETER}"))
    if slopes.ndim != 1 or len(slopes) not in {1, shape[index]}:
        accepted = f"one-dimensional, of length {shape[index]} (as axis {axis} of x) or 1"
        raise ValueError(f"{function}(): weight must be {accepted}, got the shape {slopes.shape}")
    return slopes.reshape((-1,) + (1,) * (len(shape) - index - 1))


def halves(function: str, x: Any, axis: int) -> tuple[Any, Any]:
    """Return views of the two halves of x along an axis."""
    demand = f"{function}(): x must be {ARRAY}"
    array = checked(x, demand)
    if not slices_itself(array):
        # Once more: what a pandas Series of texts holds is known when it is an array.
        array = checked(np.asarray(array), demand)
    index = axis_index(function, axis, array.ndim)
    length = array.shape[index]
    if length % 2:
        raise ValueError(f"{function}(): x must have an even length along axis {axis}, got the shape {array.shape}")
    return halves_of(array, index)


def slices_itself(x: Any) -> bool:
    """Return whether x is indexed by axes as NumPy's arrays are: dask's, say, which stay lazy so."""
    return hasattr(x, "__array_function__")


def halves_of(array: Array, index: int) -> tuple[Array, Array]:
    """Return views of the two halves of an array along an axis, counted from the front, of even length."""
    before = (slice(None),) * index
    half = array.shape[index] // 2
    return array[(*before, slice(half))], array[(*before, slice(half, None))]


def like_halves(function: str, out: Any, half: Array) -> Any:
    """Return `out` if it has the shape of a half: a larger one NumPy would fill by broadcasting."""
    given = out[0] if isinstance(out, tuple) and len(out) == 1 else out
    if isinstance(given, np.ndarray) and given.shape != half.shape:
        raise ValueError(f"{function}(): out must have the shape {half.shape}, got {given.shape}")
    return out
