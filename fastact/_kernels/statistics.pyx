"""Statistics, float64 numbers for each kept element: made ready for the kernels, and brought to the caller's type."""

from libc.math cimport NAN, isfinite, isinf, sqrt
cimport numpy as np

import numpy as np

from fastact._kernels.environment cimport Environment, enter_environment, leave_environment
from fastact._kernels.operands cimport MOST_AXES, Operand, is_computed, laid_over, real_number
from fastact._kernels.operands import FLOAT32, FLOAT64, Undisturbed

np.import_array()

cdef np.dtype BINARY32 = FLOAT32
cdef np.dtype BINARY64 = FLOAT64


def statistics(Py_ssize_t numbers, np.ndarray x not None, axes):
    """Return memory for some numbers for each kept element."""
    cdef np.npy_intp dims[2]
    cdef int axis
    dims[0], dims[1] = numbers, 1
    for axis in range(np.PyArray_NDIM(x)):
        if axis not in axes:
            dims[1] *= np.PyArray_DIM(x, axis)
    return np.PyArray_EMPTY(2, dims, np.NPY_FLOAT64, 0)


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
    with Undisturbed():
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
        with Undisturbed():
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
    """Return factors weight/sqrt(var + eps) and summands bias - mean*factor as (2, channels), of float64 rows.

    Weights are 1 and biases 0 if there are none.
    """
    cdef Environment callers
    cdef np.npy_intp dims[2]
    dims[0], dims[1] = 2, np.PyArray_SIZE(mean)
    cdef np.ndarray both = np.PyArray_EMPTY(2, dims, np.NPY_FLOAT64, 0)
    cdef double* factor = <double*>np.PyArray_DATA(both)
    cdef const double* m = <double*>np.PyArray_DATA(mean)
    cdef const double* v = <double*>np.PyArray_DATA(var)
    cdef const double* w = <double*>np.PyArray_DATA(weight) if weight is not None else NULL
    cdef const double* b = <double*>np.PyArray_DATA(bias) if bias is not None else NULL
    cdef Py_ssize_t i
    callers = enter_environment()
    for i in range(dims[1]):
        factor[i] = (w[i] if w != NULL else 1.0) / sqrt(v[i] + eps)
        factor[dims[1] + i] = (b[i] if b != NULL else 0.0) - m[i] * factor[i]
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
