"""The front door of maps from one type to another whose parameters differ by channel.

Input and output are of one shape and have any strides. The axes are sorted by the output's steps and joined where
memory allows; the last one is the row that a kernel runs along. Either a row belongs to one channel, or the channels
are along it: then a kernel reads a parameter for each element. What is not contiguous goes through a buffer that stays
in the first-level cache, and so do 16-bit floats, which are computed in float32.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uintptr_t
from cpython.pycapsule cimport PyCapsule_GetPointer
cimport numpy as np

import numpy as np

from fastact._kernels.promotion import is_bfloat16
from fastact._kernels.ufuncs import KERNELS
from fastact._kernels.tiers cimport Task
from fastact._kernels.ufuncs cimport BlockKernel, find_block_kernel, run_chunks

np.import_array()

cdef extern from "environment.h" nogil:
    ctypedef struct Environment "fastact_environment":
        pass
    Environment enter_environment "fastact_enter_environment"() noexcept
    void leave_environment "fastact_leave_environment"(Environment) noexcept

ctypedef void (*Conversion)(char** args, Py_ssize_t n) noexcept nogil

cdef enum:
    MOST_AXES = 64
    LARGEST_ITEM = 8
    CACHE_LINE = 64
    # Elements that are worked on at a time: what is packed stays in the first-level cache.
    BLOCK = 1024
    # Channels along a row that cannot be joined with the axis before them; fewer are rows of their own.
    FEWEST_CHANNELS = 32
    # Elements of a chunk, and how many stay in one thread. A chunk takes 2 to 6 us.
    CHUNK = 32768
    SERIAL_BELOW = 131072
    MOST_CHANNELS = 4


cdef struct Axis:
    Py_ssize_t length
    Py_ssize_t step_x
    Py_ssize_t step_y
    # 1 for the channels, -1 for channels backwards, else 0.
    Py_ssize_t channels

cdef struct Job:
    BlockKernel kernel
    Conversion widen
    Conversion narrow
    char* x
    char* y
    Py_ssize_t item_x
    Py_ssize_t item_y
    Py_ssize_t kind
    # Numbers of the parameters: (numbers, channels).
    char* parameters
    Py_ssize_t item_parameter
    Py_ssize_t channels
    # The axes; the last one is the row.
    int count
    Axis axes[MOST_AXES]
    bint is_columns
    Py_ssize_t rows
    Py_ssize_t segments
    Py_ssize_t per_chunk
    # Of packed pixels: the kernel that splits their bytes, and where the planes of the channels are.
    BlockKernel split
    Py_ssize_t planes[MOST_CHANNELS]


ctypedef fused item:
    int8_t
    int16_t
    int32_t
    int64_t


cdef void copy_items(
    item* target, Py_ssize_t target_step, const item* source, Py_ssize_t source_step, Py_ssize_t n
) noexcept nogil:
    for i in range(n):
        (<item*>(<char*>target + i * target_step))[0] = (<const item*>(<const char*>source + i * source_step))[0]


cdef void copy(
    char* target, Py_ssize_t target_step, const char* source, Py_ssize_t source_step, Py_ssize_t n, Py_ssize_t item_size
) noexcept nogil:
    if item_size == 1:
        copy_items(<int8_t*>target, target_step, <const int8_t*>source, source_step, n)
    elif item_size == 2:
        copy_items(<int16_t*>target, target_step, <const int16_t*>source, source_step, n)
    elif item_size == 4:
        copy_items(<int32_t*>target, target_step, <const int32_t*>source, source_step, n)
    else:
        copy_items(<int64_t*>target, target_step, <const int64_t*>source, source_step, n)


# ---- The axes.

cdef inline bint joins(const Axis* outer, const Axis* inner) noexcept nogil:
    """Return whether both arrays go on from the end of the inner axis to the outer one's next element."""
    return outer.step_x == inner.length * inner.step_x and outer.step_y == inner.length * inner.step_y


cdef void join_last(Job* job) noexcept nogil:
    job.axes[job.count - 2].length *= job.axes[job.count - 1].length
    job.axes[job.count - 2].step_x = job.axes[job.count - 1].step_x
    job.axes[job.count - 2].step_y = job.axes[job.count - 1].step_y
    job.count -= 1


cdef void choose_row(Job* job) noexcept nogil:
    """Let the last axis be the row: several joined ones, channels included where nothing lies between them."""
    cdef Axis channels
    cdef int last = job.count - 1
    job.is_columns = job.axes[last].channels != 0
    if not job.is_columns or job.count == 1:
        return
    if joins(&job.axes[last - 1], &job.axes[last]):
        while job.count > 1 and joins(&job.axes[job.count - 2], &job.axes[job.count - 1]):
            join_last(job)
    elif job.axes[last].length < FEWEST_CHANNELS:
        channels = job.axes[last]
        job.axes[last] = job.axes[last - 1]
        job.axes[last - 1] = channels
        job.is_columns = False


cdef void cut(Job* job) noexcept nogil:
    """Set the rows, their segments, and how many of these a chunk has."""
    cdef Py_ssize_t length = job.axes[job.count - 1].length
    cdef int k
    job.rows = 1
    for k in range(job.count - 1):
        job.rows *= job.axes[k].length
    job.segments = (length + CHUNK - 1) // CHUNK
    job.per_chunk = max(<Py_ssize_t>1, CHUNK // max(length, <Py_ssize_t>1))
    if job.rows * length < SERIAL_BELOW:
        job.per_chunk = max(<Py_ssize_t>1, job.rows * job.segments)


# ---- Blocks.

cdef void map_block(const Job* job, char* x, char* y, char* parameters, Py_ssize_t n) noexcept nogil:
    """Compute n elements of a row, at most `BLOCK`."""
    cdef char storage[4 * BLOCK * LARGEST_ITEM + CACHE_LINE]
    cdef char* buffers = storage + (-<uintptr_t>storage & (CACHE_LINE - 1))
    cdef const Axis* row = &job.axes[job.count - 1]
    cdef bint is_scattered = row.step_y != job.item_y and n > 1
    cdef char* args[3]
    cdef char* conversion[2]
    cdef Py_ssize_t[3] lengths
    args[0], args[1], args[2] = x, y, parameters
    lengths[0], lengths[1], lengths[2] = n, job.channels, job.kind
    if row.step_x != job.item_x and n > 1:
        args[0] = buffers
        copy(args[0], job.item_x, x, row.step_x, n, job.item_x)
    if job.widen != NULL:
        conversion[0], conversion[1] = args[0], buffers + BLOCK * LARGEST_ITEM
        job.widen(conversion, n)
        args[0] = conversion[1]
    if is_scattered or job.narrow != NULL:
        args[1] = buffers + 2 * BLOCK * LARGEST_ITEM
    job.kernel(args, lengths)
    if job.narrow != NULL:
        conversion[0], conversion[1] = args[1], buffers + 3 * BLOCK * LARGEST_ITEM if is_scattered else y
        job.narrow(conversion, n)
        args[1] = conversion[1]
    if is_scattered:
        copy(y, row.step_y, args[1], job.item_y, n, job.item_y)


cdef void map_segment(const Job* job, Py_ssize_t row, Py_ssize_t start) noexcept nogil:
    """Compute at most `CHUNK` elements of a row."""
    cdef const Axis* last = &job.axes[job.count - 1]
    cdef Py_ssize_t end = min(start + CHUNK, last.length)
    cdef char* x = job.x
    cdef char* y = job.y
    cdef Py_ssize_t channel = 0, index, n
    cdef int k
    for k in range(job.count - 2, -1, -1):
        index = row % job.axes[k].length
        row //= job.axes[k].length
        x += index * job.axes[k].step_x
        y += index * job.axes[k].step_y
        channel += index * job.axes[k].channels
    while start < end:
        n = min(<Py_ssize_t>BLOCK, end - start)
        if job.is_columns:
            channel = start % job.channels
            n = min(n, job.channels - channel)
        map_block(
            job, x + start * last.step_x, y + start * last.step_y, job.parameters + channel * job.item_parameter, n
        )
        start += n


cdef void map_chunk(void* context, Py_ssize_t chunk) noexcept nogil:
    cdef const Job* job = <const Job*>context
    cdef Py_ssize_t unit
    for unit in range(chunk * job.per_chunk, min((chunk + 1) * job.per_chunk, job.rows * job.segments)):
        map_segment(job, unit // job.segments, unit % job.segments * CHUNK)


cdef void run_job(Job* job, Task task) noexcept nogil:
    cdef Environment callers = enter_environment()
    run_chunks(task, job, (job.rows * job.segments + job.per_chunk - 1) // job.per_chunk)
    leave_environment(callers)


# ---- From Python.

cdef Conversion conversion_of(object dtype, bint to_float32) except? NULL:
    """Return the conversion between a 16-bit float and float32, NULL for other types."""
    if dtype.itemsize != 2 or not (dtype.num == np.NPY_FLOAT16 or is_bfloat16(dtype.type)):
        return NULL
    name = f"float32_of_{dtype.name}" if to_float32 else f"{dtype.name}_of_float32"
    return <Conversion>PyCapsule_GetPointer(KERNELS["float32"][name], b"void (char **, Py_ssize_t)")


cdef void set_arrays(Job* job, np.ndarray x, np.ndarray y, np.ndarray parameters) except *:
    job.x, job.y = np.PyArray_BYTES(x), np.PyArray_BYTES(y)
    job.item_x, job.item_y = np.PyArray_ITEMSIZE(x), np.PyArray_ITEMSIZE(y)
    job.widen, job.narrow = conversion_of(x.dtype, True), conversion_of(y.dtype, False)
    job.parameters = np.PyArray_BYTES(parameters)
    job.item_parameter = np.PyArray_ITEMSIZE(parameters)
    job.channels = parameters.shape[1]


cdef void set_axes(Job* job, np.ndarray x, np.ndarray y, int channel_axis) except *:
    """Sort the axes from the output's longest step to its shortest, and join them."""
    cdef Axis* axis
    cdef int k
    steps = y.strides
    job.count = 0
    for k in sorted(range(x.ndim), key=lambda k: -abs(steps[k])):
        if x.shape[k] == 1:
            continue
        axis = &job.axes[job.count]
        axis.length, axis.step_x, axis.step_y = x.shape[k], x.strides[k], y.strides[k]
        axis.channels = k == channel_axis
        job.count += 1
        if job.count > 1 and not (axis.channels or (axis - 1).channels) and joins(axis - 1, axis):
            join_last(job)
    if job.count == 0:
        job.axes[0].length, job.axes[0].step_x, job.axes[0].step_y, job.axes[0].channels = 1, 0, 0, 0
        job.count = 1


def run(str precision, str name, np.ndarray x, np.ndarray y, np.ndarray parameters, int axis=-1, int kind=0):
    """Write to `y` what the kernels ``NAME_row`` or ``NAME_columns`` make of `x`.

    Parameters
    ----------
    precision : str
        ``float32`` or ``float64``: that of the kernels.
    name : str
        The kernels.
    x, y : ndarray
        Of one shape, aligned, in the machine's byte order, and apart or the same.
    parameters : ndarray
        Of shape (numbers, channels), contiguous.
    axis : int
        The channels' axis, -1 if there is one channel.
    kind : int
        What else the kernels are to know.
    """
    cdef Job job
    cdef np.ndarray tiled = parameters
    if x.size == 0:
        return
    set_axes(&job, x, y, axis)
    choose_row(&job)
    if job.is_columns and parameters.shape[1] < BLOCK:
        tiled = np.tile(parameters, -(-BLOCK // parameters.shape[1]))
    set_arrays(&job, x, y, tiled)
    cut(&job)
    job.kernel = find_block_kernel(precision, f"{name}_columns" if job.is_columns else f"{name}_row")
    job.kind = kind
    with nogil:
        run_job(&job, map_chunk)
