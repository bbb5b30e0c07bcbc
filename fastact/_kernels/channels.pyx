"""The front door of maps from one type to another whose parameters differ by channel.

Input and output are of one shape and have any strides. The axes are sorted by the output's steps and joined where
memory allows; the last one is the row that a kernel runs along. Either a row belongs to one channel, or the channels
are along it: then a kernel reads a parameter for each element. What is not contiguous goes through a buffer that stays
in the first-level cache, and so do 16-bit floats, which are computed in float32.
"""

from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport Py_INCREF
cimport numpy as np

import numpy as np

from fastact._kernels.promotion import is_bfloat16
from fastact._kernels.ufuncs import KERNELS
from fastact._kernels.copies cimport CACHE_LINE, aligned, copy, distance
from fastact._kernels.tiers cimport Task
from fastact._kernels.environment cimport Environment, enter_environment, leave_environment
from fastact._kernels.operands cimport MOST_AXES, may_share_memory
from fastact._kernels.ufuncs cimport BlockKernel, find_block_kernel, run_block, run_chunks

np.import_array()

cdef extern from "numpy/arrayobject.h":
    # It takes a reference to the dtype.
    object PyArray_NewLikeArray(np.ndarray array, np.NPY_ORDER order, np.dtype dtype, int is_subclass)

# The numbers by which kernels know the types of quantized arrays, see quantization.pxd, and what each one holds.
QUANTIZED = {np.dtype(name): k for k, name in enumerate(("uint8", "int8", "uint16", "int16"))}
# What `linear` takes at once, by what is asked for.
cdef dict TYPES = {
    key: dtype
    for dtype in (*QUANTIZED, np.dtype("float32"), np.dtype("float64"), np.dtype("float16"))
    for key in (dtype, dtype.type)
}

ctypedef void (*Conversion)(char** args, Py_ssize_t n) noexcept nogil

cdef enum:
    LARGEST_ITEM = 8
    # Elements that are worked on at a time: what is packed stays in the first-level cache.
    BLOCK = 1024
    # Channels along a row that cannot be joined with the axis before them; fewer are rows of their own.
    FEWEST_CHANNELS = 32
    # Elements of a chunk, and how many stay in one thread. A chunk takes 1 to 2 us.
    CHUNK = 8192
    SERIAL_BELOW = 65536
    MOST_CHANNELS = 4
    LARGEST_PIXEL_ITEM = 4
    # Of the kernels that take all channels: bytes of FASTACT_TILE pixels, see primitives.h.
    TILE_BYTES = 512
    # What kernels know of a channel, see `quantize_parameters`.
    LINEAR_NUMBERS = 7


cdef struct Axis:
    Py_ssize_t length
    Py_ssize_t step_x
    Py_ssize_t step_y
    # 1 for the channels' axis, else 0.
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
    # Of packed pixels: the kernel that does all channels in one go or NULL, the one that splits them, their size, whether
    # they come from the end of the row to its begin, and for each channel as it lies in memory where its results and
    # its parameters are.
    BlockKernel packed
    BlockKernel split
    Py_ssize_t pixel
    bint is_backwards
    int pixel_channels
    Py_ssize_t target[MOST_CHANNELS]
    Py_ssize_t parameter[MOST_CHANNELS]


# ---- The axes.

cdef inline bint joins(const Axis* outer, const Axis* inner) noexcept nogil:
    """Return whether both arrays go on from the end of the inner axis to the outer one's next element."""
    return outer.step_x == inner.length * inner.step_x and outer.step_y == inner.length * inner.step_y


cdef void join_last(Job* job) noexcept nogil:
    job.axes[job.count - 2].length *= job.axes[job.count - 1].length
    job.axes[job.count - 2].step_x = job.axes[job.count - 1].step_x
    job.axes[job.count - 2].step_y = job.axes[job.count - 1].step_y
    job.count -= 1


cdef inline Axis axis_of_one() noexcept nogil:
    cdef Axis axis
    axis.length, axis.step_x, axis.step_y, axis.channels = 1, 0, 0, 0
    return axis


cdef void join_plain(Job* job) noexcept nogil:
    """Join the last axis with the one before if neither has the channels."""
    cdef int last = job.count - 1
    if last > 0 and not (job.axes[last].channels or job.axes[last - 1].channels):
        if joins(&job.axes[last - 1], &job.axes[last]):
            join_last(job)


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
    """Compute n elements of a row, at most `BLOCK` if there is anything to pack."""
    cdef char storage[4 * BLOCK * LARGEST_ITEM + CACHE_LINE]
    cdef char* buffers = aligned(storage)
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
    run_block(job.kernel, args, lengths)
    args[0] = args[1]
    if job.narrow != NULL:
        conversion[0], conversion[1] = args[1], buffers + 3 * BLOCK * LARGEST_ITEM if is_scattered else y
        job.narrow(conversion, n)
        args[0] = conversion[1]
    if is_scattered:
        copy(y, row.step_y, args[0], job.item_y, n, job.item_y)


cdef inline Axis offsets_of(const Job* job, Py_ssize_t row) noexcept nogil:
    """Return where a row begins, in x, in y and among the channels."""
    cdef Axis offsets
    cdef Py_ssize_t index
    cdef int k
    offsets.step_x = offsets.step_y = offsets.channels = 0
    for k in range(job.count - 2, -1, -1):
        index = row % job.axes[k].length
        row //= job.axes[k].length
        offsets.step_x += index * job.axes[k].step_x
        offsets.step_y += index * job.axes[k].step_y
        offsets.channels += index * job.axes[k].channels
    return offsets


cdef void map_segment(const Job* job, Py_ssize_t row, Py_ssize_t start) noexcept nogil:
    """Compute at most `CHUNK` elements of a row."""
    cdef const Axis* last = &job.axes[job.count - 1]
    cdef Axis offsets = offsets_of(job, row)
    cdef char* x = job.x + offsets.step_x
    cdef char* y = job.y + offsets.step_y
    cdef Py_ssize_t channel = offsets.channels
    cdef Py_ssize_t end = min(start + CHUNK, last.length)
    cdef Py_ssize_t n
    cdef bint is_packed = last.step_x != job.item_x or last.step_y != job.item_y or job.widen != NULL or job.narrow != NULL
    while start < end:
        n = min(<Py_ssize_t>BLOCK, end - start) if is_packed else end - start
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


cdef void split_segment(const Job* job, Py_ssize_t row, Py_ssize_t start) noexcept nogil:
    """Compute at most `CHUNK` packed pixels of a row: a block of each channel in turn."""
    cdef char storage[2 * MOST_CHANNELS * BLOCK * LARGEST_PIXEL_ITEM + CACHE_LINE]
    cdef char* planes = aligned(storage)
    cdef const Axis* last = &job.axes[job.count - 1]
    cdef Axis offsets = offsets_of(job, row)
    cdef char* y
    cdef Py_ssize_t end = min(start + CHUNK, last.length)
    cdef char* args[2]
    cdef Py_ssize_t[4] lengths
    cdef Py_ssize_t n
    cdef int k
    lengths[1], lengths[2], lengths[3] = BLOCK, job.pixel_channels, job.is_backwards
    while start < end:
        n = min(<Py_ssize_t>BLOCK, end - start)
        args[0], args[1] = job.x + offsets.step_x + start * job.pixel, planes
        lengths[0] = n
        run_block(job.split, args, lengths)
        y = job.y + offsets.step_y + (last.length - start - n if job.is_backwards else start) * last.step_y
        for k in range(job.pixel_channels):
            map_block(job, planes + k * BLOCK * job.item_x, y + job.target[k], job.parameters + job.parameter[k], n)
        start += n


cdef void packed_segment(const Job* job, Py_ssize_t row, Py_ssize_t start) noexcept nogil:
    """Compute at most `CHUNK` packed pixels of a row: all channels in one go."""
    cdef char storage[TILE_BYTES + CACHE_LINE]
    cdef const Axis* last = &job.axes[job.count - 1]
    cdef Axis offsets = offsets_of(job, row)
    cdef char* y = job.y + offsets.step_y + start * last.step_y
    cdef char* args[2 + 2 * MOST_CHANNELS]
    cdef Py_ssize_t[3] lengths
    cdef int k
    args[0] = job.x + offsets.step_x + start * job.pixel
    args[1] = aligned(storage)
    for k in range(job.pixel_channels):
        args[2 + k] = y + job.target[k]
        args[2 + MOST_CHANNELS + k] = job.parameters + job.parameter[k]
    lengths[0], lengths[1], lengths[2] = min(<Py_ssize_t>CHUNK, last.length - start), job.channels, job.pixel_channels
    run_block(job.packed, args, lengths)


cdef void packed_chunk(void* context, Py_ssize_t chunk) noexcept nogil:
    cdef const Job* job = <const Job*>context
    cdef Py_ssize_t unit
    for unit in range(chunk * job.per_chunk, min((chunk + 1) * job.per_chunk, job.rows * job.segments)):
        packed_segment(job, unit // job.segments, unit % job.segments * CHUNK)


cdef void split_chunk(void* context, Py_ssize_t chunk) noexcept nogil:
    cdef const Job* job = <const Job*>context
    cdef Py_ssize_t unit
    for unit in range(chunk * job.per_chunk, min((chunk + 1) * job.per_chunk, job.rows * job.segments)):
        split_segment(job, unit // job.segments, unit % job.segments * CHUNK)


cdef inline Py_ssize_t chunks_of(const Job* job) noexcept nogil:
    return (job.rows * job.segments + job.per_chunk - 1) // job.per_chunk


cdef void run_job(Job* job, Task task) noexcept nogil:
    cdef Environment callers = enter_environment()
    run_chunks(task, job, chunks_of(job))
    leave_environment(callers)


# ---- From Python.

cdef Conversion conversion_of(object dtype, bint to_float32) except? NULL:
    """Return the conversion between a 16-bit float and float32, NULL for other types."""
    if dtype.itemsize != 2 or dtype.kind == "i" or dtype.kind == "u":
        return NULL
    if not (dtype.num == np.NPY_FLOAT16 or is_bfloat16(dtype.type)):
        return NULL
    name = f"float32_of_{dtype.name}" if to_float32 else f"{dtype.name}_of_float32"
    return <Conversion>PyCapsule_GetPointer(KERNELS["float32"][name], b"void (char **, Py_ssize_t)")


cdef void set_memory(Job* job, np.ndarray x, np.ndarray y) except *:
    job.x, job.y = np.PyArray_BYTES(x), np.PyArray_BYTES(y)
    job.item_x, job.item_y = np.PyArray_ITEMSIZE(x), np.PyArray_ITEMSIZE(y)
    job.widen, job.narrow = conversion_of(x.dtype, True), conversion_of(y.dtype, False)


cdef void set_arrays(Job* job, np.ndarray x, np.ndarray y, np.ndarray parameters) except *:
    set_memory(job, x, y)
    job.parameters = np.PyArray_BYTES(parameters)
    job.item_parameter = np.PyArray_ITEMSIZE(parameters)
    job.channels = parameters.shape[1]


cdef void set_axes(Job* job, np.ndarray x, np.ndarray y, int channel_axis) except *:
    """Sort the axes from the output's longest step to its shortest, and join them."""
    cdef Axis sorted_axes[MOST_AXES]
    cdef Axis axis
    cdef int k, place, count = 0
    for k in range(np.PyArray_NDIM(x)):
        axis.length, axis.step_x, axis.step_y = x.shape[k], x.strides[k], y.strides[k]
        axis.channels = k == channel_axis
        if axis.length == 1:
            continue
        place = count
        while place > 0 and distance(sorted_axes[place - 1].step_y) < distance(axis.step_y):
            sorted_axes[place] = sorted_axes[place - 1]
            place -= 1
        sorted_axes[place] = axis
        count += 1
    if count == 0:
        sorted_axes[0] = axis_of_one()
        count = 1
    job.count = 0
    for k in range(count):
        job.axes[job.count] = sorted_axes[k]
        job.count += 1
        join_plain(job)


cdef np.ndarray repeated(np.ndarray parameters):
    """Return (numbers, a multiple of channels): as many as a block needs."""
    channels = parameters.shape[1]
    repetitions = -(-BLOCK // channels)
    all_of_them = np.empty((parameters.shape[0], repetitions, channels), parameters.dtype)
    all_of_them[...] = parameters[:, None, :]
    return all_of_them.reshape(parameters.shape[0], repetitions * channels)


cdef void set_pixel_axes(Job* job, np.ndarray x, np.ndarray y) except *:
    """Take the axes before the channels as they are, joined: the last one has the pixels."""
    cdef Axis* axis
    cdef int k
    job.count = 0
    for k in range(x.ndim - 1):
        axis = &job.axes[job.count]
        axis.length, axis.step_x, axis.step_y, axis.channels = x.shape[k], x.strides[k], y.strides[k], 0
        job.count += 1
        if job.count > 1 and joins(axis - 1, axis) and not (job.is_backwards and k == x.ndim - 2):
            join_last(job)
    # The planes' items are neighbours.
    job.axes[job.count - 1].step_x = job.item_x


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
        tiled = repeated(parameters)
    set_arrays(&job, x, y, tiled)
    cut(&job)
    job.kernel = find_block_kernel(precision, f"{name}_columns" if job.is_columns else f"{name}_row")
    job.kind = kind
    with nogil:
        run_job(&job, map_chunk)


cdef void complete_parameters(BlockKernel kernel, char* parameters, Py_ssize_t channels, int kind) noexcept nogil:
    cdef char* args[1]
    cdef Py_ssize_t[3] lengths
    args[0] = parameters
    lengths[0], lengths[1], lengths[2] = channels, channels, kind
    run_block(kernel, args, lengths)


def linear_parameters(str precision, scale, zero_point, Py_ssize_t channels, int kind):
    """Return what the kernels of linear quantization need to know, of shape (numbers, channels)."""
    parameters = np.empty((LINEAR_NUMBERS, channels), precision)
    parameters[0], parameters[1] = scale, zero_point
    if channels:
        complete_parameters(
            find_block_kernel(precision, "quantize_parameters"), np.PyArray_BYTES(parameters), channels, kind
        )
    return parameters


cdef int kind_of(int type) noexcept nogil:
    """Return the number of a type of quantized arrays, -1 for others."""
    if type == np.NPY_UINT8:
        return 0
    if type == np.NPY_INT8:
        return 1
    if type == np.NPY_UINT16:
        return 2
    return 3 if type == np.NPY_INT16 else -1


cdef inline bint is_held(long long number, int kind) noexcept nogil:
    """Return whether the integers of a kind hold a number."""
    cdef long long lowest = -128 if kind == 1 else -32768 if kind == 3 else 0
    return lowest <= number <= lowest + (255 if kind < 2 else 65535)


cdef bint is_plain(object x):
    return np.PyArray_CheckExact(x) and np.PyArray_ISCARRAY_RO(x) and np.PyArray_NDIM(x) > 0 and np.PyArray_SIZE(x) > 0


def linear(bint quantizes, x, scale, zero_point, dtype, axis, out):
    """Return x quantized, or dequantized, for a plain array and numbers; None for all that needs a closer look.

    A fifth of the time that it takes there, which is as long as 50000 elements.
    """
    cdef Job job
    cdef float narrow[LINEAR_NUMBERS]
    cdef double wide[LINEAR_NUMBERS]
    cdef int overflow = 0
    cdef int kind, of_result, of_numbers
    cdef long long zero
    cdef np.ndarray y
    cdef Environment callers
    if axis is not None or type(scale) is not float or type(zero_point) is not int or not is_plain(x):
        return None
    target = TYPES.get(dtype) if type(dtype) is type or isinstance(dtype, np.dtype) else None
    if target is None:
        return None
    kind = kind_of((<np.dtype>target).type_num if quantizes else np.PyArray_TYPE(x))
    of_numbers = np.PyArray_TYPE(x) if quantizes else (<np.dtype>target).type_num
    zero = PyLong_AsLongLongAndOverflow(zero_point, &overflow)
    if kind < 0 or overflow or not is_held(zero, kind):
        return None
    if of_numbers != np.NPY_FLOAT32 and of_numbers != np.NPY_FLOAT64 and of_numbers != np.NPY_FLOAT16:
        return None
    if out is None:
        Py_INCREF(target)
        y = PyArray_NewLikeArray(x, np.NPY_CORDER, target, 0)
    elif (
        is_plain(out) and (<np.ndarray>out).descr is target and np.PyArray_SAMESHAPE(x, out)
        and np.PyArray_ISWRITEABLE(out) and not may_share_memory(x, out)
    ):
        y = out
    else:
        return None
    precision = "float64" if of_numbers == np.NPY_FLOAT64 else "float32"
    callers = enter_environment()
    wide[0], wide[1] = scale, zero
    narrow[0], narrow[1] = scale, zero
    job.parameters = <char*>wide if of_numbers == np.NPY_FLOAT64 else <char*>narrow
    if quantizes:
        complete_parameters(find_block_kernel(precision, "quantize_parameters"), job.parameters, 1, kind)
    job.kernel = find_block_kernel(precision, "quantize_row" if quantizes else "dequantize_row")
    # One channel in a row of its own: the size of a parameter does not matter.
    job.channels, job.item_parameter, job.kind = 1, 0, kind
    set_memory(&job, x, y)
    job.count, job.is_columns = 1, False
    job.axes[0].length, job.axes[0].channels = np.PyArray_SIZE(x), 0
    job.axes[0].step_x, job.axes[0].step_y = job.item_x, job.item_y
    cut(&job)
    with nogil:
        run_chunks(map_chunk, &job, chunks_of(&job))
    leave_environment(callers)
    return y


def run_packed(str name, np.ndarray x, np.ndarray y, np.ndarray parameters, tuple order):
    """Do the same for pixels whose channels are neighbours in memory, and return whether they are.

    Parameters
    ----------
    name : str
        The kernels are ``NAME_row`` in float32.
    x, y : ndarray
        Of one shape with channels last; apart from each other.
    parameters : ndarray
        Of shape (numbers, channels) for the channels of `x`.
    order : tuple of int
        The channel of `y` for each one of `x`.
    """
    cdef Job job
    cdef int k, channel, count = x.shape[x.ndim - 1]
    cdef Py_ssize_t step = x.strides[x.ndim - 1], pixel = x.strides[x.ndim - 2], width = x.shape[x.ndim - 2]
    if count not in (3, 4) or abs(step) != x.itemsize or abs(pixel) != count * x.itemsize:
        return False
    if x.size == 0:
        return True
    set_arrays(&job, x, y, parameters)
    job.kernel = find_block_kernel("float32", f"{name}_row")
    job.split = find_block_kernel("float32", f"split_{x.itemsize}")
    job.kind = 0
    job.pixel = count * x.itemsize
    job.pixel_channels = count
    job.is_backwards = pixel < 0
    if job.is_backwards:
        job.x += (width - 1) * pixel
    if step < 0:
        job.x += (count - 1) * step
    for k in range(count):
        channel = k if step > 0 else count - 1 - k
        job.target[k] = <Py_ssize_t>order[channel] * y.strides[y.ndim - 1]
        job.parameter[k] = channel * job.item_parameter
    set_pixel_axes(&job, x, y)
    cut(&job)
    job.packed = NULL
    if name == "image_bytes" and not job.is_backwards and job.narrow == NULL and job.axes[job.count - 1].step_y == job.item_y:
        job.packed = find_block_kernel("float32", "image_bytes_packed")
    with nogil:
        run_job(&job, split_chunk if job.packed == NULL else packed_chunk)
    return True
