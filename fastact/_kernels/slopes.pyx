"""The gradient of a learned slope: sums of dy*x, in float64, in an order that depends on nothing but the shapes."""

import numpy as np

from fastact._kernels.arguments import ARRAY, checked

cimport numpy as np
from fastact._kernels.ufuncs cimport BlockKernel, find_block_kernel, run_block, run_chunks

np.import_array()

cdef extern from "environment.h" nogil:
    ctypedef struct Environment "fastact_environment":
        pass
    Environment enter_environment "fastact_enter_environment"() noexcept
    void leave_environment "fastact_leave_environment"(Environment) noexcept

cdef enum:
    # Columns that a long row is folded into before they are added up: their sums stay in the first-level cache.
    COLUMNS = 256
    # Elements of a task.
    CHUNK = 16384
    # As few rows as a task has where rows are longer than a task: each leaves a row of float64 behind.
    FEWEST_ROWS = 64

cdef BlockKernel FLOAT32_SUMS = find_block_kernel("float32", "slope_sums")
cdef BlockKernel FLOAT64_SUMS = find_block_kernel("float64", "slope_sums")


cdef struct Sums:
    BlockKernel kernel
    Py_ssize_t item_size
    const char* dy
    const char* x
    double* results
    Py_ssize_t rows
    Py_ssize_t columns
    # Of a task: elements of a row, or whole rows.
    Py_ssize_t length
    Py_ssize_t tasks_of_a_row


cdef inline void add(const Sums* sums, Py_ssize_t start, Py_ssize_t rows, Py_ssize_t columns, double* results) noexcept nogil:
    cdef char* args[3]
    cdef Py_ssize_t[2] lengths
    args[0] = <char*>sums.dy + start * sums.item_size
    args[1] = <char*>sums.x + start * sums.item_size
    args[2] = <char*>results
    lengths[0], lengths[1] = rows, columns
    run_block(sums.kernel, args, lengths)


cdef void sum_along_row(void* context, Py_ssize_t task) noexcept nogil:
    """Add up one stretch of a row: folded into columns, these then pairwise."""
    cdef const Sums* sums = <const Sums*>context
    cdef double columns[COLUMNS]
    cdef Py_ssize_t row = task // sums.tasks_of_a_row
    cdef Py_ssize_t first = task % sums.tasks_of_a_row * sums.length
    cdef Py_ssize_t n = min(sums.length, sums.columns - first)
    cdef Py_ssize_t start = row * sums.columns + first
    cdef Py_ssize_t whole = n - n % COLUMNS
    cdef Py_ssize_t k, half = COLUMNS // 2
    for k in range(COLUMNS):
        columns[k] = 0.0
    add(sums, start, whole // COLUMNS, COLUMNS, columns)
    add(sums, start + whole, 1, n - whole, columns)
    while half > 0:
        for k in range(half):
            columns[k] += columns[k + half]
        half //= 2
    sums.results[task] = columns[0]


cdef void sum_of_rows(void* context, Py_ssize_t task) noexcept nogil:
    """Add up some rows, column by column."""
    cdef const Sums* sums = <const Sums*>context
    cdef Py_ssize_t first = task * sums.length
    cdef double* results = sums.results + task * sums.columns
    cdef Py_ssize_t k
    for k in range(sums.columns):
        results[k] = 0.0
    add(sums, first * sums.columns, min(sums.length, sums.rows - first), sums.columns, results)


cdef np.ndarray row_sums(np.ndarray dy, np.ndarray x, Py_ssize_t rows, Py_ssize_t columns, bint is_along):
    """Return sums whose own sum is that of each row (`is_along`; shape (rows, tasks)) or column ((tasks, columns))."""
    cdef Sums sums
    cdef Environment callers
    cdef np.ndarray results
    cdef Py_ssize_t tasks
    sums.kernel = FLOAT32_SUMS if np.PyArray_TYPE(x) == np.NPY_FLOAT32 else FLOAT64_SUMS
    sums.item_size = np.PyArray_ITEMSIZE(x)
    sums.dy, sums.x = np.PyArray_BYTES(dy), np.PyArray_BYTES(x)
    sums.rows, sums.columns = rows, columns
    if is_along:
        sums.length = CHUNK
        sums.tasks_of_a_row = (columns + CHUNK - 1) // CHUNK
        results = np.empty((rows, sums.tasks_of_a_row))
        tasks = rows * sums.tasks_of_a_row
    else:
        sums.length = max(<Py_ssize_t>FEWEST_ROWS, CHUNK // max(columns, 1))
        tasks = (rows + sums.length - 1) // sums.length
        results = np.empty((tasks, columns))
    sums.results = <double*>np.PyArray_BYTES(results)
    with nogil:
        callers = enter_environment()
        run_chunks(sum_along_row if is_along else sum_of_rows, &sums, tasks)
        leave_environment(callers)
    return results


def kept_axes(shape, weight_shape):
    """Return the axes of `shape` that the weight has values of its own along."""
    padded = (1,) * (len(shape) - len(weight_shape)) + tuple(weight_shape)
    return [axis for axis, length in enumerate(padded) if length > 1]


def slope_gradient(dy, x, weight_shape, dtype):
    """Return the gradient with respect to a slope that is broadcast to dy and x.

    Parameters
    ----------
    dy, x : array_like
        Of shapes that are broadcast to a common one.
    weight_shape : tuple of int
        The shape of the slopes.
    dtype : dtype
        Of the result. dy and x are read in it, a 16-bit type in float32.

    Returns
    -------
    ndarray
        Of `weight_shape`.
    """
    dy = checked(dy, f"grad.prelu(): dy must be {ARRAY}")
    x = checked(x, f"grad.prelu(): x must be {ARRAY}")
    shape = np.broadcast_shapes(np.shape(dy), np.shape(x), weight_shape)
    kept = kept_axes(shape, weight_shape)
    first, last = (kept[0], kept[-1] + 1) if kept else (0, 0)
    order = range(len(shape))
    if len(kept) != last - first:
        # Axes in between that are summed over: those that are kept come to the front.
        order = (*kept, *(axis for axis in order if axis not in kept))
        first, last = 0, len(kept)
    with np.errstate(all="ignore"):
        read_as = np.float32 if dtype.itemsize == 2 else dtype
        dy, x = (np.ascontiguousarray(np.broadcast_to(a, shape).transpose(order), read_as) for a in (dy, x))
    lengths = [shape[axis] for axis in order]
    outer, channels, inner = (int(np.prod(part)) for part in (lengths[:first], lengths[first:last], lengths[last:]))
    with np.errstate(all="ignore"):
        if inner >= COLUMNS:
            sums = row_sums(dy, x, outer * channels, inner, True)
            sums = sums.reshape(outer, channels, sums.shape[1])
        else:
            sums = row_sums(dy, x, outer, channels * inner, False)
            sums = sums.reshape(len(sums), channels, inner)
        total = sums.sum(axis=2).sum(axis=0)
        return total.astype(dtype).reshape(weight_shape)
