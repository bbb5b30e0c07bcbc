"""The arguments of reductions and normalizations: arrays, axes and outputs, checked before anything is computed.

Compiled, since what a plain array goes through here would take ten times as long as the kernel on a short row.
"""

import operator

cimport cython
from libc.float cimport DBL_MAX
from libc.math cimport INFINITY, isfinite
from libc.stdint cimport uintptr_t
cimport numpy as np

import numpy as np
from numpy.exceptions import AxisError

from fastact._kernels.arguments import as_array, checked, is_masked
from fastact._kernels.environment cimport Environment, enter_environment, leave_environment
from fastact._kernels.promotion import ARRAY, is_bfloat16

np.import_array()

cdef extern from "numpy/arrayobject.h":
    object PyArray_NewLikeArray(np.ndarray array, np.NPY_ORDER order, void* dtype, int is_subclass)

# NumPy's conversions leave flags in the x87's register as well, where there is one.
cdef extern from "fenv.h" nogil:
    ctypedef struct fenv_t:
        pass
    int fegetenv(fenv_t*)
    int fesetenv(const fenv_t*)
    const fenv_t* FE_DFL_ENV

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
cdef np.dtype BINARY32 = FLOAT32
cdef np.dtype BINARY64 = FLOAT64


@cython.final
cdef class Operand:
    """An array as the kernels take it, and the type that the caller's result has."""

    def __init__(self, np.ndarray array not None, np.dtype dtype not None):
        self.array = array
        self.dtype = dtype


@cython.final
cdef class Undisturbed:
    """A context for what NumPy computes: without warnings, rounded to nearest, and the caller's flags are put back."""

    cdef fenv_t callers
    cdef object ignoring

    def __enter__(self):
        fegetenv(&self.callers)
        fesetenv(FE_DFL_ENV)
        self.ignoring = np.errstate(all="ignore")
        self.ignoring.__enter__()

    def __exit__(self, kind, value, trace):
        self.ignoring.__exit__(kind, value, trace)
        fesetenv(&self.callers)


# ---- Types.

def is_half(dtype):
    # A dtype's name takes 1 us.
    return dtype.itemsize == 2 and (dtype.type is np.float16 or is_bfloat16(dtype.type))


def result_dtype(dtype):
    """Return the type of a result: floats keep theirs, integers have a float wide enough."""
    if is_half(dtype):
        return dtype if dtype.isnative else dtype.newbyteorder("=")
    return FLOAT32 if np.can_cast(dtype, FLOAT32) else FLOAT64


cdef bint is_computed(object x) noexcept:
    """Return whether kernels take an object as it is."""
    return (
        np.PyArray_CheckExact(x)
        and (np.PyArray_TYPE(x) == np.NPY_FLOAT32 or np.PyArray_TYPE(x) == np.NPY_FLOAT64)
        and np.PyArray_ISBEHAVED_RO(x)
    )


def real(x, str function, str name="x", bint in_blocks=False):
    """Return an argument as a float32 or float64 array, or raise TypeError; `in_blocks` leaves 16 bits as they are."""
    if is_computed(x):
        return Operand(x, BINARY32 if np.PyArray_TYPE(x) == np.NPY_FLOAT32 else BINARY64)
    demand = f"{function}(): {name} must be {ARRAY}"
    array = as_array(checked(x, demand), demand)
    if array.dtype.kind not in "fiub" and not is_half(array.dtype):
        raise TypeError(f"{demand}, got dtype {array.dtype}")
    dtype = result_dtype(array.dtype)
    if in_blocks and is_half(dtype) and array.dtype.isnative and array.flags.aligned:
        return Operand(array, dtype)
    return Operand(computable(array, FLOAT32 if is_half(dtype) else dtype), dtype)


def computable(np.ndarray array not None, np.dtype dtype not None):
    """Return the array in this type, aligned and in the machine's byte order; the same one if it is so."""
    if array.descr.type_num == dtype.type_num and np.PyArray_ISBEHAVED_RO(array):
        return array
    # No flag of the x87's: results are wide.
    cdef Environment callers = enter_environment()
    try:
        with np.errstate(all="ignore"):
            return array.astype(dtype)
    finally:
        leave_environment(callers)


def like(x, Operand operand not None, str function, str name, bint in_blocks=False):
    """Return another argument in the type that the first is computed in; `in_blocks` leaves 16 bits as they are."""
    dtype = compute_dtype(operand.array)
    array = real(x, function, name, in_blocks and dtype is FLOAT32).array
    return array if np.PyArray_ITEMSIZE(array) == 2 else computable(array, dtype)


def compute_dtype(np.ndarray array not None):
    """Return the type of the kernels for an array."""
    return FLOAT64 if np.PyArray_TYPE(array) == np.NPY_FLOAT64 else FLOAT32


def checked_number(value, str function, str name, double low=-INFINITY, double high=INFINITY):
    """Return a real number between two others as a float, or raise."""
    if type(value) is float and low <= <double>value <= high:
        return value
    # A list may be ragged, and what is none is no number either. NumPy makes 1.0 of a duration and NaN of what is masked.
    if (
        isinstance(value, (str, bytes, list, tuple)) or np.ndim(value) != 0 or np.iscomplexobj(value)
        or isinstance(value, np.timedelta64) or is_masked(value)
    ):
        raise TypeError(f"{function}(): {name} must be a real number, got {type(value).__name__!r}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{function}(): {name} must be a real number, got {type(value).__name__!r}") from None
    except OverflowError:
        number = INFINITY if value > 0 else -INFINITY
    if not low <= number <= high and (isfinite(low) or isfinite(high)):
        limits = f"at least {low:g}" if high == INFINITY else f"between {low:g} and {high:g}"
        raise ValueError(f"{function}(): {name} must be {limits}, got {value!r}")
    return number


def checked_eps(value, str function):
    """Return what is added to a variance, or raise. An infinite one tells kernels that it is not needed."""
    cdef double eps = checked_number(value, function, "eps", 0.0)
    return min(eps, DBL_MAX)


# ---- Axes and shapes.

def normalized_axes(axis, int ndim, str function):
    """Return the axes as distinct numbers from 0; None stands for all. A 0-d array counts as one of one element."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int and -ndim <= axis < ndim:
        return (axis if axis >= 0 else axis + ndim,)
    try:
        given = tuple([operator.index(number) for number in (axis if isinstance(axis, (tuple, list)) else (axis,))])
    except TypeError:
        raise TypeError(f"{function}(): axis must be an int or a tuple of ints, got {axis!r}") from None
    limit = max(ndim, 1)
    for number in given:
        if not -limit <= number < limit:
            raise AxisError(f"{function}(): axis {number} is out of bounds for an array of {ndim} dimensions")
    axes = tuple(sorted([number + limit if number < 0 else number for number in given]))
    if len(set(axes)) < len(axes):
        raise ValueError(f"{function}(): axis must not name an axis twice, got {axis!r}")
    return axes if ndim else ()


def single_axis(axis, int ndim, str function):
    """Return one axis as a number from 0."""
    if isinstance(axis, (tuple, list)) or axis is None:
        raise TypeError(f"{function}(): axis must be an int, got {axis!r}")
    return (normalized_axes(axis, ndim, function) or (0,))[0]


def channel_axis(x, axis, str function):
    """Return the channel axis, all others, and the number of channels."""
    cdef int ndim = x.ndim, other
    cdef int channel = axis if type(axis) is int and 0 <= axis < ndim else single_axis(axis, ndim, function)
    return channel, tuple([other for other in range(ndim) if other != channel]), x.shape[channel] if ndim else 1


def elements_along(np.ndarray x not None, axes):
    """Return the number of elements along some axes: 1 along none."""
    cdef Py_ssize_t total = 1
    cdef int axis
    for axis in axes:
        total *= np.PyArray_DIM(x, axis)
    return total


def kept_shape(tuple shape, axes, bint keepdims=False):
    """Return the shape of what is left of an array after the reduction of these axes."""
    if keepdims:
        return tuple([1 if axis in axes else length for axis, length in enumerate(shape)])
    return tuple([length for axis, length in enumerate(shape) if axis not in axes])


def along_axes(np.ndarray array, Operand x not None, tuple axes not None, double default):
    """Return an array of the reduced axes' shape, or the default, laid out over the shape of x: a view."""
    cdef np.npy_intp dims[MOST_AXES]
    cdef np.npy_intp steps[MOST_AXES]
    cdef int place = 0, axis
    for axis in range(np.PyArray_NDIM(x.array)):
        steps[axis] = 0
    for axis in axes:
        dims[place] = np.PyArray_DIM(x.array, axis)
        place += 1
    if array is None:
        array = filled(place, dims, np.PyArray_TYPE(x.array) == np.NPY_FLOAT64, default)
    for place, axis in enumerate(axes):
        steps[axis] = np.PyArray_STRIDE(array, place)
    return laid_over(x.array, array, np.PyArray_BYTES(array), steps)


cdef np.ndarray laid_over(np.ndarray x, np.ndarray array, char* first, np.npy_intp* steps):
    """Return a view of the shape of x of an array's memory."""
    cdef np.ndarray view = np.PyArray_New(
        np.ndarray, np.PyArray_NDIM(x), np.PyArray_DIMS(x), np.PyArray_TYPE(array), steps, first, 0, 0, None
    )
    np.set_array_base(view, array)
    return view


cdef void fill(real_number* numbers, Py_ssize_t n, double value) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        numbers[i] = <real_number>value


cdef np.ndarray filled(int ndim, np.npy_intp* dims, bint is_wide, double value):
    """Return an array of one number in every place."""
    cdef np.ndarray array = np.PyArray_EMPTY(ndim, dims, np.NPY_FLOAT64 if is_wide else np.NPY_FLOAT32, 0)
    if is_wide:
        fill(<double*>np.PyArray_DATA(array), np.PyArray_SIZE(array), value)
    else:
        fill(<float*>np.PyArray_DATA(array), np.PyArray_SIZE(array), value)
    return array


cdef void widen(double* wide, const char* numbers, Py_ssize_t step, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        wide[i] = (<const float*>(numbers + i * step))[0]


def per_channel(value, Operand x not None, Py_ssize_t channels, str function, str name, double default):
    """Return an argument of one number a channel as float64, rounded to the type that x is computed in."""
    cdef np.ndarray array
    if value is None:
        return numbers_of(channels, default)
    if is_row(value, channels) and np.PyArray_TYPE(value) == np.PyArray_TYPE(x.array):
        return wide_numbers(value)
    array = like(value, x, function, name)
    if np.PyArray_NDIM(array) != 1 or np.PyArray_DIM(array, 0) != channels:
        shape = (<object>array).shape
        raise ValueError(f"{function}(): {name} must have shape ({channels},), one number a channel, got {shape}")
    return wide_numbers(array)


def is_row(x, Py_ssize_t n, bint is_written=False):
    """Return whether an object is an array of n numbers that kernels take as it is, one after the other."""
    return (
        is_computed(x) and np.PyArray_NDIM(x) == 1 and np.PyArray_DIM(x, 0) == n
        and (not is_written or np.PyArray_ISWRITEABLE(x))
    )


def wide_numbers(np.ndarray array not None):
    """Return a row as contiguous float64; the same one if it is so."""
    cdef Environment callers
    if np.PyArray_TYPE(array) == np.NPY_FLOAT32 and is_row(array, np.PyArray_SIZE(array)):
        # NumPy's conversion takes four times as long as this, for eight channels.
        wide = np.PyArray_EMPTY(1, np.PyArray_DIMS(array), np.NPY_FLOAT64, 0)
        callers = enter_environment()
        widen(
            <double*>np.PyArray_DATA(wide), np.PyArray_BYTES(array), np.PyArray_STRIDE(array, 0),
            np.PyArray_SIZE(array),
        )
        leave_environment(callers)
        return wide
    return np.PyArray_FROMANY(array, np.NPY_FLOAT64, 1, 1, np.NPY_ARRAY_DEFAULT)


def numbers_of(Py_ssize_t n, double value):
    """Return a number n times, as float64."""
    cdef np.npy_intp dims[1]
    dims[0] = n
    return filled(1, dims, True, value)


# ---- Results.

def checked_out(out, tuple shape not None, dtype, str function):
    """Return `out` if results of this shape and type can be written to it, or raise."""
    if out is None:
        return None
    if isinstance(out, tuple) and len(out) == 1:
        out = out[0]
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{function}(): out must be an ndarray, got {type(out).__name__!r}")
    if out.shape != shape:
        raise ValueError(f"{function}(): out must have shape {shape}, got {out.shape}")
    if (<np.ndarray>out).descr is not dtype and out.dtype != dtype:
        raise TypeError(f"{function}(): out must have dtype {dtype}, got {out.dtype}")
    if not np.PyArray_ISWRITEABLE(out):
        raise ValueError(f"{function}(): out must be writeable, got a read-only array")
    return out


@cython.final
cdef class Output:
    """Where results go: straight into `out`, or into an array beside it where it overlaps an input or is converted."""

    cdef readonly np.ndarray array
    cdef readonly np.dtype dtype
    cdef object out

    def __init__(self, out, tuple shape not None, Operand operand not None, list inputs not None):
        cdef np.ndarray x = operand.array
        self.out = out
        self.dtype = operand.dtype
        if out is not None and is_written_in_place(out, x, inputs):
            self.array = out
        elif out is None and (<object>x).shape == shape:
            self.array = PyArray_NewLikeArray(x, np.NPY_KEEPORDER, NULL, 0)
        else:
            self.array = np.empty(shape, x.dtype)

    def result(self):
        """Return what the caller gets, `out` if he gave it; a scalar for a 0-d array."""
        if self.out is self.array:
            return self.out
        if self.out is None and self.dtype == self.array.dtype:
            return self.array if np.PyArray_NDIM(self.array) else self.array[()]
        with Undisturbed():
            if self.out is not None:
                np.copyto(self.out, self.array, casting="unsafe")
                return self.out
            return self.array.astype(self.dtype, copy=False)[()]


cdef bint is_written_in_place(np.ndarray out, np.ndarray x, list inputs) except -1:
    """Return whether results can be written to `out` while the inputs are still read, element by element."""
    cdef np.ndarray array
    if np.PyArray_TYPE(out) != np.PyArray_TYPE(x) or not np.PyArray_ISBEHAVED_RO(out):
        return False
    for array in inputs:
        if out is not array and not is_same(out, array) and may_share_memory(out, array):
            return False
    return True


cdef bint is_same(np.ndarray a, np.ndarray b) noexcept:
    cdef int axis
    if np.PyArray_BYTES(a) != np.PyArray_BYTES(b) or not np.PyArray_SAMESHAPE(a, b):
        return False
    for axis in range(np.PyArray_NDIM(a)):
        if np.PyArray_STRIDE(a, axis) != np.PyArray_STRIDE(b, axis):
            return False
    return True


cdef bint may_share_memory(np.ndarray a, np.ndarray b) noexcept:
    """As NumPy's."""
    cdef uintptr_t first_a, first_b, last_a, last_b
    if np.PyArray_SIZE(a) == 0 or np.PyArray_SIZE(b) == 0:
        return False
    extent(a, &first_a, &last_a)
    extent(b, &first_b, &last_b)
    return first_a < last_b and first_b < last_a


cdef void extent(np.ndarray array, uintptr_t* first, uintptr_t* last) noexcept:
    cdef Py_ssize_t length
    cdef int axis
    first[0] = last[0] = <uintptr_t>np.PyArray_BYTES(array)
    last[0] += np.PyArray_ITEMSIZE(array)
    for axis in range(np.PyArray_NDIM(array)):
        length = (np.PyArray_DIM(array, axis) - 1) * np.PyArray_STRIDE(array, axis)
        if length < 0:
            first[0] += length
        else:
            last[0] += length
