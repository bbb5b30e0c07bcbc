"""The arguments of reductions and normalizations: arrays, axes and outputs, checked before anything is computed.

Compiled, since what a plain array goes through here would take ten times as long as the kernel on a short row.
"""

import operator

cimport cython
from libc.math cimport INFINITY, NAN, expm1, isfinite, isinf, sqrt
from libc.stdint cimport uintptr_t
from libc.string cimport memcpy, memset
cimport numpy as np

import numpy as np
from numpy.exceptions import AxisError

from fastact._kernels.arguments import checked
from fastact._kernels.environment cimport Environment, enter_environment, leave_environment
from fastact._kernels.promotion import ARRAY, HALVES

np.import_array()

cdef extern from "numpy/arrayobject.h":
    object PyArray_NewLikeArray(np.ndarray array, np.NPY_ORDER order, void* dtype, int is_subclass)

cdef enum:
    MOST_AXES = 64

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
cdef np.dtype BINARY32 = FLOAT32
cdef np.dtype BINARY64 = FLOAT64

ctypedef fused real_number:
    float
    double


@cython.final
cdef class Operand:
    """An array as the kernels take it, and the type that the caller's result has."""

    cdef readonly np.ndarray array
    cdef readonly np.dtype dtype

    def __init__(self, np.ndarray array not None, np.dtype dtype not None):
        self.array = array
        self.dtype = dtype


# ---- Types.

def is_half(dtype):
    return dtype.itemsize == 2 and dtype.name in HALVES


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
    array = np.asarray(checked(x, demand))
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
    with np.errstate(all="ignore"):
        return array.astype(dtype)


def like(x, Operand operand not None, str function, str name, bint in_blocks=False):
    """Return another argument in the type that the first is computed in; `in_blocks` leaves 16 bits as they are."""
    dtype = compute_dtype(operand.array)
    array = real(x, function, name, in_blocks and dtype is FLOAT32).array
    return array if np.PyArray_ITEMSIZE(array) == 2 else computable(array, dtype)


def compute_dtype(np.ndarray array not None):
    """Return the type of the kernels for an array."""
    return FLOAT64 if np.PyArray_TYPE(array) == np.NPY_FLOAT64 else FLOAT32


def checked_number(value, str function, str name, double low=-INFINITY, double high=INFINITY):
    """Return a real number between two others, or raise."""
    if type(value) is float and low <= <double>value <= high:
        return value
    if isinstance(value, (str, bytes)) or np.ndim(value) != 0 or np.iscomplexobj(value):
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
    ndim = x.ndim
    channel = single_axis(axis, ndim, function)
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


def per_channel(value, Operand x not None, Py_ssize_t channels, str function, str name, double default):
    """Return an argument of one number a channel as float64, rounded to the type that x is computed in."""
    cdef np.ndarray array
    if value is None:
        return numbers_of(channels, default)
    array = like(value, x, function, name)
    if np.PyArray_NDIM(array) != 1 or np.PyArray_DIM(array, 0) != channels:
        shape = (<object>array).shape
        raise ValueError(f"{function}(): {name} must have shape ({channels},), one number a channel, got {shape}")
    return wide_numbers(array)


def wide_numbers(np.ndarray array not None):
    """Return a row as contiguous float64; the same one if it is so."""
    return np.PyArray_FROMANY(array, np.NPY_FLOAT64, 1, 1, np.NPY_ARRAY_DEFAULT)


def numbers_of(Py_ssize_t n, double value):
    """Return a number n times, as float64."""
    cdef np.npy_intp dims[1]
    dims[0] = n
    return filled(1, dims, True, value)


def statistics(Py_ssize_t numbers, np.ndarray x not None, axes):
    """Return memory for some numbers for each kept element."""
    cdef np.npy_intp dims[2]
    cdef int axis
    dims[0], dims[1] = numbers, 1
    for axis in range(np.PyArray_NDIM(x)):
        if axis not in axes:
            dims[1] *= np.PyArray_DIM(x, axis)
    return np.PyArray_EMPTY(2, dims, np.NPY_FLOAT64, 0)


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
        with np.errstate(all="ignore"):
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


# ---- Numbers for each kept element, float64, to the caller's type.

cdef bint is_flat(object numbers) noexcept:
    return (
        np.PyArray_CheckExact(numbers) and np.PyArray_TYPE(numbers) == np.NPY_FLOAT64
        and np.PyArray_ISCARRAY_RO(numbers)
    )


cdef void round_to(real_number* target, const double* high, const double* low, Py_ssize_t n) noexcept nogil:
    """Write high + low; the low part of an infinite number is not one."""
    cdef Environment callers = enter_environment()
    cdef Py_ssize_t i
    for i in range(n):
        target[i] = <real_number>(high[i] if low == NULL or isinf(high[i]) else high[i] + low[i])
    leave_environment(callers)


cdef object rounded_parts(np.ndarray high, const double* low, tuple shape, np.dtype dtype):
    """Return high + low in float32 or float64."""
    cdef np.npy_intp dims[MOST_AXES]
    cdef np.ndarray array
    cdef int axis, ndim = len(shape)
    for axis in range(ndim):
        dims[axis] = shape[axis]
    array = np.PyArray_EMPTY(ndim, dims, dtype.type_num, 0)
    if dtype.type_num == np.NPY_FLOAT32:
        round_to(<float*>np.PyArray_DATA(array), <double*>np.PyArray_DATA(high), low, np.PyArray_SIZE(high))
    else:
        round_to(<double*>np.PyArray_DATA(array), <double*>np.PyArray_DATA(high), low, np.PyArray_SIZE(high))
    return array if ndim else array[()]


def rounded(statistic, shape, np.dtype dtype not None):
    """Return a row of the statistics in the caller's type; a scalar for a 0-d shape."""
    if is_flat(statistic) and (dtype is BINARY32 or dtype is BINARY64):
        return rounded_parts(statistic, NULL, shape, dtype)
    with np.errstate(all="ignore"):
        return statistic.astype(dtype).reshape(shape)[()]


def rounded_sum(np.ndarray high not None, np.ndarray low not None, shape, np.dtype dtype not None):
    """Return the sum of two contiguous rows of the statistics in the caller's type."""
    cdef np.ndarray total = high
    if dtype is BINARY32 or dtype is BINARY64:
        return rounded_parts(high, <double*>np.PyArray_DATA(low), shape, dtype)
    total = np.PyArray_NewCopy(high, np.NPY_CORDER)
    round_to(
        <double*>np.PyArray_DATA(total), <double*>np.PyArray_DATA(high), <double*>np.PyArray_DATA(low),
        np.PyArray_SIZE(high),
    )
    return rounded(total, shape, dtype)


def products(np.ndarray a not None, np.ndarray b not None):
    """Return the products of two rows of contiguous float64 numbers."""
    cdef Environment callers = enter_environment()
    cdef np.ndarray y = np.PyArray_NewCopy(a, np.NPY_CORDER)
    cdef double* items = <double*>np.PyArray_DATA(y)
    cdef const double* factors = <double*>np.PyArray_DATA(b)
    cdef Py_ssize_t i
    for i in range(np.PyArray_SIZE(y)):
        items[i] *= factors[i]
    leave_environment(callers)
    return y


def quotients(np.ndarray numbers not None, double divisor):
    """Return contiguous float64 numbers divided by one."""
    cdef Environment callers = enter_environment()
    cdef np.ndarray y = np.PyArray_NewCopy(numbers, np.NPY_CORDER)
    cdef double* items = <double*>np.PyArray_DATA(y)
    cdef Py_ssize_t i
    for i in range(np.PyArray_SIZE(y)):
        items[i] /= divisor
    leave_environment(callers)
    return y


cdef void move_towards(
    real_number* running, Py_ssize_t step, const double* batch, Py_ssize_t n, double momentum
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        running[0] = <real_number>((1 - momentum) * running[0] + momentum * batch[i])
        running = <real_number*>(<char*>running + step)


def update(np.ndarray running, np.ndarray batch not None, double momentum):
    """Move running statistics, if there are any, in place towards the batch's, contiguous float64."""
    cdef Environment callers
    cdef const double* numbers = <double*>np.PyArray_DATA(batch)
    cdef Py_ssize_t step
    if running is None:
        return
    if not is_computed(running):
        with np.errstate(all="ignore"):
            running[...] = (1 - momentum) * running.astype(FLOAT64) + momentum * batch
        return
    step = np.PyArray_STRIDE(running, 0)
    callers = enter_environment()
    if np.PyArray_TYPE(running) == np.NPY_FLOAT32:
        move_towards(<float*>np.PyArray_DATA(running), step, numbers, np.PyArray_SIZE(batch), momentum)
    else:
        move_towards(<double*>np.PyArray_DATA(running), step, numbers, np.PyArray_SIZE(batch), momentum)
    leave_environment(callers)


def lay_channels(np.ndarray stats not None, np.ndarray weight not None, np.ndarray bias not None, np.ndarray groups=None):
    """Write each channel's weight and bias, contiguous float64, to the statistics of the channels of all samples.

    And those of its group of neighbouring channels, if there are any: mean in two parts and factor.
    """
    cdef double* y = <double*>np.PyArray_DATA(stats)
    cdef const double* w = <double*>np.PyArray_DATA(weight)
    cdef const double* b = <double*>np.PyArray_DATA(bias)
    cdef const double* of_group = NULL
    cdef Py_ssize_t n = np.PyArray_DIM(stats, 1), channels = np.PyArray_SIZE(weight)
    cdef Py_ssize_t i, count, group, channel
    if n == 0:
        return
    for i in range(0, n, channels):
        for channel in range(channels):
            y[4 * n + i + channel], y[5 * n + i + channel] = w[channel], b[channel]
    if groups is None:
        return
    of_group, count = <double*>np.PyArray_DATA(groups), np.PyArray_DIM(groups, 1)
    for group in range(count):
        for i in range(group * (n // count), (group + 1) * (n // count)):
            y[i], y[n + i], y[3 * n + i] = of_group[group], of_group[count + group], of_group[3 * count + group]


def affine(np.ndarray mean not None, np.ndarray var not None, np.ndarray weight, np.ndarray bias, double eps):
    """Return factors weight/sqrt(var + eps) and summands bias - mean*factor as (2, channels), of float64 rows."""
    cdef Environment callers
    cdef np.npy_intp dims[2]
    dims[0], dims[1] = 2, np.PyArray_SIZE(mean)
    cdef np.ndarray both = np.PyArray_EMPTY(2, dims, np.NPY_FLOAT64, 0)
    cdef double* factor = <double*>np.PyArray_DATA(both)
    cdef const double* m = <double*>np.PyArray_DATA(mean)
    cdef const double* v = <double*>np.PyArray_DATA(var)
    cdef const double* w = <double*>np.PyArray_DATA(weight)
    cdef const double* b = <double*>np.PyArray_DATA(bias)
    cdef Py_ssize_t i
    callers = enter_environment()
    for i in range(dims[1]):
        factor[i] = w[i] / sqrt(v[i] + eps)
        factor[dims[1] + i] = b[i] - m[i] * factor[i]
    leave_environment(callers)
    return both


# ---- Gradients of the normalizations: what is known of each row before, contiguous float64.

def gradient_statistics(
    np.ndarray mean, np.ndarray mean_low, np.ndarray scale not None, np.ndarray weight, Py_ssize_t count
):
    """Return what the kernels are to know of rows of `count` elements, see gradients.py; None: no mean, weights 1."""
    cdef np.npy_intp dims[2]
    dims[0], dims[1] = 7, np.PyArray_SIZE(scale)
    cdef np.ndarray stats = np.PyArray_ZEROS(2, dims, np.NPY_FLOAT64, 0)
    cdef Py_ssize_t n = dims[1], i
    cdef double* y = <double*>np.PyArray_DATA(stats)
    cdef const double* m = <double*>np.PyArray_DATA(mean) if mean is not None else NULL
    cdef const double* low = <double*>np.PyArray_DATA(mean_low) if mean_low is not None else NULL
    cdef const double* s = <double*>np.PyArray_DATA(scale)
    cdef const double* w = <double*>np.PyArray_DATA(weight) if weight is not None else NULL
    cdef Environment callers = enter_environment()
    for i in range(n):
        if m != NULL:
            y[i] = m[i]
            y[4 * n + i] = 1.0 / count
        if low != NULL:
            y[n + i] = low[i]
        y[5 * n + i] = s[i] * s[i] / count
        y[6 * n + i] = s[i] if w == NULL else w[i] * s[i]
    leave_environment(callers)
    return stats


cdef void split_means(real_number* parts, const double* stats, Py_ssize_t n) noexcept nogil:
    """Write the mean in two parts, and the scale, in the arrays' precision. An infinite mean has no parts."""
    cdef Py_ssize_t i
    for i in range(n):
        parts[i] = <real_number>(stats[i] if isfinite(stats[i]) else NAN)
        parts[n + i] = <real_number>(stats[i] - parts[i] + stats[n + i])
        parts[2 * n + i] = <real_number>stats[6 * n + i]


def row_parts(np.ndarray stats not None, Operand x not None, tuple kept not None):
    """Return mean, its low part and scale of `gradient_statistics`, one for each kept element, over the shape of x."""
    cdef np.npy_intp dims[2]
    cdef np.npy_intp steps[MOST_AXES]
    cdef Environment callers = enter_environment()
    cdef bint is_wide = np.PyArray_TYPE(x.array) == np.NPY_FLOAT64
    cdef int axis
    dims[0], dims[1] = 3, np.PyArray_DIM(stats, 1)
    cdef np.ndarray parts = np.PyArray_EMPTY(2, dims, np.NPY_FLOAT64 if is_wide else np.NPY_FLOAT32, 0)
    cdef Py_ssize_t step = np.PyArray_ITEMSIZE(parts)
    if is_wide:
        split_means(<double*>np.PyArray_DATA(parts), <double*>np.PyArray_DATA(stats), dims[1])
    else:
        split_means(<float*>np.PyArray_DATA(parts), <double*>np.PyArray_DATA(stats), dims[1])
    leave_environment(callers)
    for axis in range(np.PyArray_NDIM(x.array)):
        steps[axis] = 0
    for axis in reversed(kept):
        steps[axis] = step
        step *= np.PyArray_DIM(x.array, axis)
    return [
        laid_over(x.array, parts, np.PyArray_BYTES(parts) + k * np.PyArray_STRIDE(parts, 0), steps) for k in range(3)
    ]


# ---- Losses.

@cython.final
cdef class Targets:
    """The classes of cross entropy: as intp, 0 for those that are ignored; which are not (bool), and their number."""

    cdef readonly np.ndarray classes
    cdef readonly np.ndarray is_counted
    cdef readonly Py_ssize_t count
    cdef readonly int channel


def checked_targets(target, Operand logits not None, axis, ignore_index, str function):
    """Return the classes for each element of the logits' other axes."""
    cdef Targets targets = Targets()
    cdef np.ndarray x = logits.array
    cdef Py_ssize_t classes
    targets.channel = single_axis(axis, np.PyArray_NDIM(x), function)
    demand = f"{function}(): target must be an array of integers"
    given = np.asarray(checked(target, demand))
    if given.dtype.kind not in "iu":
        raise TypeError(f"{demand}, got dtype {given.dtype}")
    shape = kept_shape((<object>x).shape, (targets.channel,))
    if given.shape != shape:
        raise ValueError(f"{function}(): target must have shape {shape}, that of logits without axis, got {given.shape}")
    if given.dtype.kind == "u" and given.dtype.itemsize == 8:
        # Those that int64 does not hold do not exist.
        given = np.minimum(given, np.uint64(2**63 - 1))
    try:
        ignored = operator.index(ignore_index)
    except TypeError:
        raise TypeError(f"{function}(): ignore_index must be an int, got {type(ignore_index).__name__!r}") from None
    classes = np.PyArray_DIM(x, targets.channel) if np.PyArray_NDIM(x) else 1
    targets.classes = np.PyArray_FROMANY(
        given, np.NPY_INTP, 0, 0, np.NPY_ARRAY_DEFAULT | np.NPY_ARRAY_FORCECAST | np.NPY_ARRAY_ENSURECOPY
    )
    if not count_targets(targets, classes, ignored if abs(ignored) < 2**63 else -(2**63)):
        raise ValueError(f"{function}(): target must be classes from 0 to {classes - 1} or {ignore_index}, got others")
    return targets


cdef bint count_targets(Targets targets, Py_ssize_t classes, long long ignored) except -1:
    """Find out what is not ignored; return whether all classes exist."""
    cdef np.npy_intp* given = <np.npy_intp*>np.PyArray_DATA(targets.classes)
    cdef np.npy_bool* counted
    cdef Py_ssize_t i
    targets.is_counted = np.PyArray_EMPTY(
        np.PyArray_NDIM(targets.classes), np.PyArray_DIMS(targets.classes), np.NPY_BOOL, 0
    )
    counted = <np.npy_bool*>np.PyArray_DATA(targets.is_counted)
    targets.count = 0
    for i in range(np.PyArray_SIZE(targets.classes)):
        counted[i] = given[i] != ignored
        if not counted[i]:
            given[i] = 0
        elif not 0 <= given[i] < classes:
            return False
        targets.count += counted[i]
    return True


cdef struct Walk:
    # Along all axes of an array but the classes', in C order.
    char* place
    Py_ssize_t step
    int axes
    Py_ssize_t index[MOST_AXES]
    Py_ssize_t length[MOST_AXES]
    Py_ssize_t steps[MOST_AXES]


cdef void start(Walk* walk, np.ndarray x, int channel) noexcept:
    cdef int axis
    walk.place, walk.step, walk.axes = np.PyArray_BYTES(x), 0, 0
    for axis in range(np.PyArray_NDIM(x)):
        if axis == channel:
            walk.step = np.PyArray_STRIDE(x, axis)
        else:
            walk.index[walk.axes], walk.length[walk.axes] = 0, np.PyArray_DIM(x, axis)
            walk.steps[walk.axes] = np.PyArray_STRIDE(x, axis)
            walk.axes += 1


cdef inline void go_on(Walk* walk) noexcept:
    cdef int axis
    for axis in range(walk.axes - 1, -1, -1):
        walk.place += walk.steps[axis]
        walk.index[axis] += 1
        if walk.index[axis] < walk.length[axis]:
            return
        walk.place -= walk.length[axis] * walk.steps[axis]
        walk.index[axis] = 0


cdef np.ndarray picked(np.ndarray x, Targets targets):
    """Return the elements of 16 bits at the classes as contiguous float64."""
    cdef np.ndarray items = np.empty((<object>targets.classes).shape, x.dtype)
    cdef char* memory = np.PyArray_BYTES(items)
    cdef const np.npy_intp* k = <np.npy_intp*>np.PyArray_DATA(targets.classes)
    cdef const np.npy_bool* counted = <np.npy_bool*>np.PyArray_DATA(targets.is_counted)
    cdef Py_ssize_t i
    cdef Walk walk
    start(&walk, x, targets.channel)
    for i in range(np.PyArray_SIZE(items)):
        # A row that is ignored may have no elements.
        if counted[i]:
            memcpy(memory + 2 * i, walk.place + k[i] * walk.step, 2)
        else:
            memset(memory + 2 * i, 0, 2)
        go_on(&walk)
    return computable(items, FLOAT64)


def losses_of(np.ndarray x not None, Targets targets not None, np.ndarray high not None, np.ndarray low not None):
    """Return high - x[class] + low, float64, for each class that is not ignored, else 0."""
    cdef np.ndarray loss = np.PyArray_ZEROS(
        np.PyArray_NDIM(targets.classes), np.PyArray_DIMS(targets.classes), np.NPY_FLOAT64, 0
    )
    cdef double* y = <double*>np.PyArray_DATA(loss)
    cdef const double* h = <double*>np.PyArray_DATA(high)
    cdef const double* l = <double*>np.PyArray_DATA(low)
    cdef const np.npy_intp* k = <np.npy_intp*>np.PyArray_DATA(targets.classes)
    cdef const np.npy_bool* counted = <np.npy_bool*>np.PyArray_DATA(targets.is_counted)
    cdef Py_ssize_t item = np.PyArray_ITEMSIZE(x)
    cdef np.ndarray halves = picked(x, targets) if item == 2 else loss
    cdef const double* half = <double*>np.PyArray_DATA(halves)
    cdef Environment callers = enter_environment()
    cdef Py_ssize_t i
    cdef double logit
    cdef char* place
    cdef Walk walk
    start(&walk, x, targets.channel)
    for i in range(np.PyArray_SIZE(loss)):
        if counted[i]:
            place = walk.place + k[i] * walk.step
            logit = half[i] if item == 2 else (<double*>place)[0] if item == 8 else (<float*>place)[0]
            y[i] = h[i] - logit + l[i]
        go_on(&walk)
    leave_environment(callers)
    return loss


def set_targets(np.ndarray dx not None, Targets targets not None, np.ndarray loss not None):
    """Write expm1(-loss)/count at the classes, and 0 to all that is ignored: that has no gradient, not even NaN."""
    cdef const double* l = <double*>np.PyArray_DATA(loss)
    cdef const np.npy_intp* classes = <np.npy_intp*>np.PyArray_DATA(targets.classes)
    cdef const np.npy_bool* counted = <np.npy_bool*>np.PyArray_DATA(targets.is_counted)
    cdef Py_ssize_t item = np.PyArray_ITEMSIZE(dx)
    cdef Py_ssize_t length = np.PyArray_DIM(dx, targets.channel) if np.PyArray_NDIM(dx) else 1
    cdef np.ndarray slopes = numbers_of(np.PyArray_SIZE(loss), 0.0)
    cdef double* slope = <double*>np.PyArray_DATA(slopes)
    cdef Environment callers = enter_environment()
    cdef Py_ssize_t i, k
    cdef const char* values
    cdef Walk walk
    for i in range(np.PyArray_SIZE(loss)):
        slope[i] = expm1(-l[i]) / targets.count if counted[i] else 0.0
    leave_environment(callers)
    slopes = rounded(slopes, (np.PyArray_SIZE(loss),), dx.dtype)
    values = np.PyArray_BYTES(slopes)
    start(&walk, dx, targets.channel)
    for i in range(np.PyArray_SIZE(loss)):
        for k in range(classes[i], classes[i] + 1 if counted[i] else length):
            memcpy(walk.place + k * walk.step, values + i * item, item)
        go_on(&walk)


def reduced(np.ndarray loss not None, str reduction, Py_ssize_t count, np.dtype dtype not None):
    """Return contiguous losses as they are, or their sum, or their mean over `count`, in the caller's type."""
    cdef const double* items = <double*>np.PyArray_DATA(loss)
    cdef double total = 0.0, low = 0.0, s, part
    cdef Environment callers
    cdef Py_ssize_t i
    if reduction == "none":
        return rounded(loss, (<object>loss).shape, dtype)
    callers = enter_environment()
    for i in range(np.PyArray_SIZE(loss)):
        # Knuth's sum: what an addition rounds off is added up beside it.
        s = total + items[i]
        part = s - total
        low += (total - (s - part)) + (items[i] - part)
        total = s
    total = total + low if isfinite(total) else total
    total = total / count if reduction == "mean" else total
    leave_environment(callers)
    return rounded(numbers_of(1, total), (), dtype)
