"""The arguments of reductions and normalizations: arrays, axes and outputs, checked before anything is computed."""

import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.exceptions import AxisError

from fastact._kernels import reductions
from fastact._kernels.arguments import FLOAT64, checked
from fastact._kernels.promotion import ARRAY, HALVES

Array = np.ndarray[Any, Any]
Axis = int | Sequence[int] | None

FLOAT32 = np.dtype(np.float32)
COMPUTED = (FLOAT32, FLOAT64)


class Operand(NamedTuple):
    """An array as the kernels take it, and the type that the caller's result has."""

    array: Array
    dtype: np.dtype[Any]


def is_half(dtype: np.dtype[Any]) -> bool:
    return dtype.itemsize == 2 and dtype.name in HALVES


def result_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of a result: floats keep theirs, integers have a float wide enough."""
    if is_half(dtype):
        return dtype
    return FLOAT32 if np.can_cast(dtype, FLOAT32) else FLOAT64


def real(x: Any, function: str, name: str = "x", in_blocks: bool = False) -> Operand:
    """Return an argument as a float32 or float64 array, or raise TypeError; `in_blocks` leaves 16 bits as they are."""
    if type(x) is np.ndarray and (x.dtype is FLOAT32 or x.dtype is FLOAT64) and x.flags.aligned:
        return Operand(x, x.dtype)
    demand = f"{function}(): {name} must be {ARRAY}"
    array = np.asarray(x)
    if not is_half(array.dtype):
        array = np.asarray(checked(array if array.dtype != object else x, demand))
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{demand}, got dtype {array.dtype}")
    dtype = result_dtype(array.dtype)
    if in_blocks and is_half(dtype) and array.dtype.isnative and array.flags.aligned:
        return Operand(array, dtype)
    return Operand(computable(array, FLOAT32 if is_half(dtype) else dtype), dtype)


def computable(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return the array in this type, aligned and in the machine's byte order; the same one if it is so."""
    if array.dtype == dtype and array.dtype.isnative and array.flags.aligned:
        return array
    with np.errstate(all="ignore"):
        return array.astype(dtype)


def like(x: Any, operand: Operand, function: str, name: str) -> Array:
    """Return another argument in the type that the first is computed in."""
    return computable(real(x, function, name).array, compute_dtype(operand.array))


def compute_dtype(array: Array) -> np.dtype[Any]:
    """Return the type of the kernels for an array."""
    return FLOAT64 if array.dtype == FLOAT64 else FLOAT32


def normalized_axes(axis: Any, ndim: int, function: str) -> tuple[int, ...]:
    """Return the axes as distinct numbers from 0; None stands for all. A 0-d array counts as one of one element."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int and -ndim <= axis < ndim:
        return (axis % ndim,)
    try:
        given = tuple(operator.index(number) for number in (axis if isinstance(axis, (tuple, list)) else (axis,)))
    except TypeError:
        raise TypeError(f"{function}(): axis must be an int or a tuple of ints, got {axis!r}") from None
    limit = max(ndim, 1)
    for number in given:
        if not -limit <= number < limit:
            raise AxisError(f"{function}(): axis {number} is out of bounds for an array of {ndim} dimensions")
    axes = tuple(sorted(number % limit for number in given))
    if len(set(axes)) < len(axes):
        raise ValueError(f"{function}(): axis must not name an axis twice, got {axis!r}")
    return axes if ndim else ()


def single_axis(axis: Any, ndim: int, function: str) -> int:
    """Return one axis as a number from 0."""
    if isinstance(axis, (tuple, list)) or axis is None:
        raise TypeError(f"{function}(): axis must be an int, got {axis!r}")
    normalized_axes(axis, ndim, function)
    return int(axis) % max(ndim, 1)


def checked_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], function: str) -> Array | None:
    """Return `out` if results of this shape and type can be written to it, or raise."""
    if out is None:
        return None
    if isinstance(out, tuple) and len(out) == 1:
        out = out[0]
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{function}(): out must be an ndarray, got {type(out).__name__!r}")
    if out.shape != shape:
        raise ValueError(f"{function}(): out must have shape {shape}, got {out.shape}")
    if out.dtype != dtype:
        raise TypeError(f"{function}(): out must have dtype {dtype}, got {out.dtype}")
    if not out.flags.writeable:
        raise ValueError(f"{function}(): out must be writeable, got a read-only array")
    return out


class Output:
    """Where results go: straight into `out`, or into an array beside it where it overlaps an input or is converted."""

    def __init__(self, out: Array | None, shape: tuple[int, ...], operand: Operand, inputs: Sequence[Array]) -> None:
        self.out = out
        dtype = operand.array.dtype
        if out is not None and is_written_in_place(out, dtype, inputs):
            self.array = out
        elif out is None and operand.array.shape == shape:
            self.array = np.empty_like(operand.array)
        else:
            self.array = np.empty(shape, dtype)
        self.dtype = operand.dtype

    def result(self) -> Any:
        """Return what the caller gets, `out` if he gave it; a scalar for a 0-d array."""
        if self.out is self.array:
            return self.out
        if self.out is None and self.dtype == self.array.dtype:
            return self.array if self.array.ndim else self.array[()]
        with np.errstate(all="ignore"):
            if self.out is not None:
                np.copyto(self.out, self.array, casting="unsafe")
                return self.out
            return self.array.astype(self.dtype, copy=False)[()]


def is_written_in_place(out: Array, dtype: np.dtype[Any], inputs: Sequence[Array]) -> bool:
    """Return whether results can be written to `out` while the inputs are still read, element by element."""
    if out.dtype != dtype or not out.dtype.isnative or not out.flags.aligned:
        return False
    return all(out is array or is_same(out, array) or not np.may_share_memory(out, array) for array in inputs)


def is_same(a: Array, b: Array) -> bool:
    return a.strides == b.strides and a.shape == b.shape and reductions.address(a) == reductions.address(b)


def kept_shape(shape: tuple[int, ...], axes: Sequence[int], keepdims: bool = False) -> tuple[int, ...]:
    """Return the shape of what is left of an array after the reduction of these axes."""
    if keepdims:
        return tuple(1 if axis in axes else length for axis, length in enumerate(shape))
    return tuple(length for axis, length in enumerate(shape) if axis not in axes)


def count(shape: tuple[int, ...]) -> int:
    return math.prod(shape)


def statistics(numbers: int, x: Array, axes: Sequence[int]) -> Array:
    """Return memory for some numbers for each kept element."""
    kept = 1
    for axis, length in enumerate(x.shape):
        kept *= 1 if axis in axes else length
    return np.empty((numbers, kept))


def run(
    name: str, arrays: list[Array], outputs: int, axes: tuple[int, ...], stats: Array | None, **options: Any
) -> None:
    """Run the kernels of an operation on arrays of one shape, the first of which says what is computed in."""
    if arrays[0].size:
        precision = compute_dtype(arrays[0]).name
        reductions.run(name, precision, arrays, outputs, axes, stats, **options)


def rounded(statistic: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Return a row of the statistics in the caller's type; a scalar for a 0-d shape."""
    with np.errstate(all="ignore"):
        return statistic.astype(dtype).reshape(shape)[()]
