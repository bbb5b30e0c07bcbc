"""Operands of any strides in one call of a ufunc.

NumPy's machinery calls a loop for each run of elements that are equally far apart: for a row of a sliced matrix, for a
channel that has a parameter of its own. Such a call is too short to be shared out over threads. Here the machinery lays
out the axes, as it does for its own calls, and the runs are ours: with two threads sigmoid (relu) of 1024 rows of 1000,
of 1100, takes 0.43 (0.31) of the time, prelu of 32 x 64 planes of 28 x 28, each channel with its slope, 0.28; with one
thread 0.87 (0.61) and 0.53, as each row's stores begin where a cache line does.
"""

from libc.stdint cimport int64_t
cimport numpy as np
from cpython.ref cimport PyObject

from fastact._kernels.calls cimport CHUNK, MOST_OPERANDS, SERIAL_BELOW, Loop, compute_row
from fastact._kernels.copies cimport distance
from fastact._kernels.operands cimport MOST_AXES
from fastact._kernels.tiers cimport add_time, is_timed, now
from fastact._kernels.workers cimport get_threads, run_chunks

np.import_array()

cdef extern from "numpy/ndarrayobject.h":
    void PyArray_DiscardWritebackIfCopy(np.PyArrayObject* array)

cdef enum:
    # Shorter rows are NumPy's, which copies as many of them as its buffer holds: by itself, a row takes 20 ns more than
    # its elements. Rows of 70 (130), sigmoid: 1.35 (1.0) of NumPy's time, shared by two threads 1.0 (0.6) of it.
    SHORTEST = 128


cdef struct Axis:
    Py_ssize_t length
    np.npy_intp steps[MOST_OPERANDS]


cdef struct Rows:
    const Loop* loop
    # Of the first element.
    char* args[MOST_OPERANDS]
    # From the longest step of the output to the shortest; the last one is the row.
    Axis axes[MOST_AXES]
    int last
    Py_ssize_t rows
    # Rows are cut in parts of a chunk, the rows of a part follow one another.
    Py_ssize_t parts
    Py_ssize_t per_chunk
    Py_ssize_t elements


cdef object compute_rows(const Loop* loop, np.PyArrayObject** arrays, char** scalars, int dtype):
    """Return the result of a loop for operands that broadcast; None where NumPy is to say what is wrong with them.

    In the kernels' floating-point environment.

    Parameters
    ----------
    loop : Loop
        What computes them.
    arrays : PyArrayObject**
        The inputs, and the output: each an array of the loop's type, aligned and in the processor's byte order, or
        NULL, an input that is a number, an output that is to be made.
    scalars : char**
        Where the numbers are.
    dtype : int
        NumPy's number of the output's type.
    """
    cdef Rows rows
    cdef np.PyArrayObject* operands[MOST_OPERANDS]
    cdef int places[MOST_OPERANDS]
    cdef np.NpyIter* layout
    cdef int out = loop.inputs
    cdef int k, count = 0
    for k in range(out + 1):
        places[k] = -1
        if k == out or arrays[k] != NULL:
            places[k] = count
            operands[count] = arrays[k]
            count += 1
    try:
        layout = laid_out(operands, count, dtype)
    except (ValueError, MemoryError):
        # An error of NumPy's own call says more.
        return None
    try:
        result = <object>(arrays[out] if arrays[out] != NULL else np.NpyIter_GetOperandArray(layout)[count - 1])
        rows.loop = loop
        for k in range(out + 1):
            rows.args[k] = scalars[k] if places[k] < 0 else np.NpyIter_GetDataPtrArray(layout)[places[k]]
        take_axes(&rows, layout, places)
        if rows.axes[rows.last].length < SHORTEST:
            # What stands for an output that overlaps would be written to it, and the input with it.
            PyArray_DiscardWritebackIfCopy(np.NpyIter_GetOperandArray(layout)[count - 1])
            return None
        with nogil:
            compute_all(&rows)
    finally:
        np.NpyIter_Deallocate(layout)
    return result


cdef np.NpyIter* laid_out(np.PyArrayObject** operands, int count, int dtype) except NULL:
    """Return what broadcasts the operands, makes an output with NumPy's order of axes, and copies what overlaps."""
    cdef np.npy_uint32 flags[MOST_OPERANDS]
    cdef np.PyArray_Descr* dtypes[MOST_OPERANDS]
    cdef np.dtype output = np.PyArray_DescrFromType(dtype)
    cdef int k
    for k in range(count):
        flags[k] = np.NPY_ITER_READONLY | np.NPY_ITER_ALIGNED | np.NPY_ITER_OVERLAP_ASSUME_ELEMENTWISE
        dtypes[k] = NULL
    flags[count - 1] = (
        np.NPY_ITER_WRITEONLY
        | np.NPY_ITER_ALIGNED
        | np.NPY_ITER_ALLOCATE
        | np.NPY_ITER_NO_BROADCAST
        | np.NPY_ITER_NO_SUBTYPE
        | np.NPY_ITER_OVERLAP_ASSUME_ELEMENTWISE
    )
    dtypes[count - 1] = <np.PyArray_Descr*>output
    return np.NpyIter_MultiNew(
        count,
        operands,
        np.NPY_ITER_MULTI_INDEX | np.NPY_ITER_COPY_IF_OVERLAP,
        np.NPY_KEEPORDER,
        np.NPY_NO_CASTING,
        flags,
        dtypes,
    )


cdef int take_axes(Rows* rows, np.NpyIter* layout, const int* places) except -1:
    """Set the axes: sorted by the output's steps, and as few as the operands allow."""
    cdef np.npy_intp shape[MOST_AXES]
    cdef np.npy_intp* steps
    cdef Axis axes[MOST_AXES]
    cdef Axis axis
    cdef int out = rows.loop.inputs
    cdef int i, k, place, count = 0
    np.NpyIter_GetShape(layout, shape)
    for i in range(np.NpyIter_GetNDim(layout)):
        if shape[i] == 1:
            continue
        steps = np.NpyIter_GetAxisStrideArray(layout, i)
        axis.length = shape[i]
        for k in range(out + 1):
            axis.steps[k] = 0 if places[k] < 0 else steps[places[k]]
        place = count
        while place > 0 and distance(axes[place - 1].steps[out]) < distance(axis.steps[out]):
            axes[place] = axes[place - 1]
            place -= 1
        axes[place] = axis
        count += 1
    rows.last = -1
    rows.elements = 1
    for i in range(count):
        rows.elements *= axes[i].length
        if rows.last >= 0 and are_one(&rows.axes[rows.last], &axes[i], out + 1):
            axes[i].length *= rows.axes[rows.last].length
        else:
            rows.last += 1
        rows.axes[rows.last] = axes[i]
    return 0


cdef inline bint are_one(const Axis* outer, const Axis* inner, int operands) noexcept nogil:
    """Return whether all operands go on behind the last element of an axis as they did on it."""
    cdef int k
    for k in range(operands):
        if outer.steps[k] != inner.steps[k] * inner.length:
            return False
    return True


cdef void compute_all(Rows* rows) noexcept nogil:
    cdef bint timed = is_timed(rows.loop.tiers, rows.elements)
    cdef int64_t start = now() if timed else 0
    cdef Py_ssize_t n, chunks, chunk
    n = rows.axes[rows.last].length
    rows.rows = rows.elements // n
    rows.parts = (n + CHUNK - 1) // CHUNK
    rows.per_chunk = max(<Py_ssize_t>1, CHUNK // n)
    chunks = (rows.rows * rows.parts + rows.per_chunk - 1) // rows.per_chunk
    if rows.elements >= SERIAL_BELOW and get_threads() > 1:
        run_chunks(compute_chunk, rows, chunks)
    else:
        for chunk in range(chunks):
            compute_chunk(rows, chunk)
    if timed:
        add_time(rows.loop.tiers, now() - start)


cdef void compute_chunk(void* context, Py_ssize_t chunk) noexcept nogil:
    cdef const Rows* rows = <const Rows*>context
    cdef const Axis* row = &rows.axes[rows.last]
    cdef Py_ssize_t unit = chunk * rows.per_chunk
    cdef Py_ssize_t last = min(unit + rows.per_chunk, rows.rows * rows.parts)
    cdef Py_ssize_t start = unit // rows.rows * CHUNK
    cdef Py_ssize_t numbers[MOST_AXES]
    cdef char* args[MOST_OPERANDS]
    find_row(rows, unit % rows.rows, start, numbers, args)
    while True:
        compute_row(rows.loop, args, row.steps, min(<Py_ssize_t>CHUNK, row.length - start), rows.elements)
        unit += 1
        if unit == last:
            return
        if not find_next_row(rows, numbers, args):
            start += CHUNK
            find_row(rows, 0, start, numbers, args)


cdef inline void find_row(
    const Rows* rows, Py_ssize_t number, Py_ssize_t start, Py_ssize_t* numbers, char** args
) noexcept nogil:
    """Set where the operands of a row are, from an element on, and its number along each axis."""
    cdef const Axis* axis = &rows.axes[rows.last]
    cdef int out = rows.loop.inputs
    cdef int i, k
    for k in range(out + 1):
        args[k] = rows.args[k] + start * axis.steps[k]
    for i in range(rows.last - 1, -1, -1):
        axis = &rows.axes[i]
        numbers[i] = number % axis.length
        number //= axis.length
        for k in range(out + 1):
            args[k] += numbers[i] * axis.steps[k]


cdef inline bint find_next_row(const Rows* rows, Py_ssize_t* numbers, char** args) noexcept nogil:
    """Set the same of the row behind this one; return False if this is the last one. No division: 25 ns of it a row."""
    cdef const Axis* axis
    cdef int out = rows.loop.inputs
    cdef int i, k
    for i in range(rows.last - 1, -1, -1):
        axis = &rows.axes[i]
        numbers[i] += 1
        for k in range(out + 1):
            args[k] += axis.steps[k]
        if numbers[i] < axis.length:
            return True
        numbers[i] = 0
        for k in range(out + 1):
            args[k] -= axis.length * axis.steps[k]
    return False
