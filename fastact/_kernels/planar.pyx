"""The front door of normalizations of planar arrays: NCHW, where what a sample has of a channel is contiguous.

A row, which is normalized together, has one or several of these planes: see planes.py. What does not fit goes through
`reductions`: other layouts, 16-bit floats, rows and planes that are too long to be worked on in one go.
"""

from libc.math cimport INFINITY
from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc
from cpython.pycapsule cimport PyCapsule_GetPointer
cimport numpy as np

from fastact._kernels.copies cimport CACHE_LINE, aligned
from fastact._kernels.environment cimport Environment, enter_environment, leave_environment
from fastact._kernels.stream cimport BEYOND_CACHES, CAN_STREAM, STREAMED_FROM, end_stream, stream
from fastact._kernels.layout cimport COUNT, KEPT, PARAMETERS, PLANE, ROWS, SCRATCH, STATS, STEP, WIDTH, X
from fastact._kernels.ufuncs cimport BlockKernel, Task, find_block_kernel, run_block, run_chunks

from fastact._kernels.ufuncs import KERNELS

np.import_array()

ctypedef void (*Kernel)(char** args, Py_ssize_t n) noexcept nogil

cdef enum:
    MOST_ARRAYS = 3
    MOST_OPERANDS = 4
    # Elements that the kernels sum in one go, and the most that many of them can be of.
    PIECE = 4096
    MOST_PIECES = 256
    # Elements of a row that stays in the second-level cache.
    LONGEST_ROW = 65536
    # Where there are enough rows for all threads: as many bytes of x leave room for those of y.
    LONGEST_OF_MANY = 524288
    MANY_ROWS = 8
    # Elements of arrays that stay in the second-level cache.
    SECOND_LEVEL = 262144
    # Elements of a chunk: with fewer, planes that are apart in memory are read one by one, and gradients of (32, 64, 14, 14)
    # take a third more. And how many stay in one thread; those that do not are cut in enough chunks to be shared fairly.
    CHUNK = 32768
    SERIAL_BELOW = 32768
    FEWEST_CHUNKS = 8
    SCRATCH_NUMBERS = 11264
    NUMBER = 8
    # Elements of what goes past the caches at a time. Shorter planes stay.
    STREAMED = 512
    # The shortest planes that go there by `affine_planes_past_caches`: (128, 1400, 6, 6) takes 0.54 of the time of plain
    # stores, and so do longer ones.
    LEAST_STREAMED = 32
    # What the kernels know of a row, and what those for a piece of a plane are told; and how many rows.
    FACTS = 4
    ALL_FACTS = 6
    MOST_ROWS = CHUNK / STREAMED


cdef struct Job:
    BlockKernel kernel
    # Where results go past the caches: for the statistics of rows, if they are needed, and for pieces of planes.
    BlockKernel reduce
    BlockKernel apply
    bint is_streamed
    # Whether the kernel does so by itself.
    bint streams_itself
    Kernel activation
    # Arrays of one type, the last one the output; then numbers of channels, if there are any: weights or the like.
    int arrays
    char* data[MOST_OPERANDS]
    Py_ssize_t item
    # Elements from one place to the next.
    Py_ssize_t sample_step[MOST_OPERANDS]
    Py_ssize_t channel_step[MOST_OPERANDS]
    Py_ssize_t row_step[MOST_OPERANDS]
    Py_ssize_t plane_step[MOST_OPERANDS]
    Py_ssize_t outer_step[MOST_OPERANDS]
    Py_ssize_t samples
    Py_ssize_t channels
    Py_ssize_t n
    # Rows are inside of something, samples or one thing, and are planes.
    Py_ssize_t outer
    Py_ssize_t rows
    Py_ssize_t planes
    Py_ssize_t per_chunk
    # eps, the lowest result (0 for relu, else -inf), and 1 for arrays beyond the second-level cache, else 0.
    double parameters[3]
    double* stats
    bint has_failed


# ---- The planes.

cdef bint set_array(Job* job, int k, np.ndarray x, int channel) noexcept:
    """Set the steps of an array; return whether its planes are contiguous and its samples are one axis."""
    cdef Py_ssize_t inner = job.item, outer
    cdef int axis, ndim = np.PyArray_NDIM(x)
    if np.PyArray_ITEMSIZE(x) != job.item:
        return False
    for axis in range(ndim - 1, channel, -1):
        if np.PyArray_DIM(x, axis) != 1 and np.PyArray_STRIDE(x, axis) != inner:
            return False
        inner *= np.PyArray_DIM(x, axis)
    outer = np.PyArray_STRIDE(x, 0) if channel else 0
    if np.PyArray_STRIDE(x, channel) % job.item or outer % job.item:
        return False
    job.data[k] = np.PyArray_BYTES(x)
    job.sample_step[k] = outer // job.item
    job.channel_step[k] = np.PyArray_STRIDE(x, channel) // job.item
    return True


cdef bint set_arrays(Job* job, tuple arrays, int channel) except -1:
    """Set all arrays, of one shape and type; return whether the kernels can take them."""
    cdef np.ndarray x = arrays[0]
    cdef int k, axis
    if np.PyArray_NDIM(x) < 2 or channel > 1 or channel >= np.PyArray_NDIM(x) - 1:
        return False
    job.item = np.PyArray_ITEMSIZE(x)
    job.arrays = len(arrays)
    job.samples = np.PyArray_DIM(x, 0) if channel else 1
    job.channels = np.PyArray_DIM(x, channel)
    job.n = 1
    for axis in range(channel + 1, np.PyArray_NDIM(x)):
        job.n *= np.PyArray_DIM(x, axis)
    if job.item == 2 or job.n < 2 or np.PyArray_SIZE(x) == 0:
        return False
    for k in range(job.arrays):
        if not set_array(job, k, arrays[k], channel):
            return False
    # What is computed in place is in a cache: it was read.
    is_in_place = job.data[0] == job.data[job.arrays - 1]
    job.is_streamed = CAN_STREAM and not is_in_place and bytes_of_arrays(job) >= STREAMED_FROM
    return True


cdef void set_rows(Job* job, Py_ssize_t groups) noexcept:
    """Let a row be a channel of all samples, or of each sample one of so many groups of channels."""
    cdef int k
    job.outer = job.samples if groups else 1
    job.rows = groups if groups else job.channels
    job.planes = job.channels // groups if groups else job.samples
    for k in range(MOST_OPERANDS):
        job.outer_step[k] = job.sample_step[k] if groups else 0
        job.row_step[k] = job.channel_step[k] * (job.channels // groups if groups else 1)
        job.plane_step[k] = job.channel_step[k] if groups else job.sample_step[k]


cdef void set_channels(Job* job, char* first, char* second) noexcept:
    """Set two operands of one number a channel, contiguous float64."""
    cdef int k
    job.data[job.arrays], job.data[job.arrays + 1] = first, second
    for k in range(job.arrays, job.arrays + 2):
        job.sample_step[k], job.channel_step[k] = 0, 1


# ---- Chunks.

cdef void activate(const Job* job, char* y, Py_ssize_t rows) noexcept nogil:
    """Call the activation's kernel on what the cache still holds."""
    cdef int k = job.arrays - 1
    cdef char* args[2]
    cdef bint is_joined = job.row_step[k] == job.n
    cdef Py_ssize_t plane, row
    for plane in range(job.planes):
        for row in range(1 if is_joined else rows):
            args[0] = args[1] = y + (plane * job.plane_step[k] + row * job.row_step[k]) * job.item
            job.activation(args, job.n * rows if is_joined else job.n)


cdef void run_rows(const Job* job, Py_ssize_t first, Py_ssize_t rows, double* scratch) noexcept nogil:
    """Call the kernel on neighbouring rows."""
    cdef char* args[X + MOST_OPERANDS]
    cdef Py_ssize_t lengths[PLANE + MOST_OPERANDS]
    cdef Py_ssize_t outer = first // job.rows
    cdef Py_ssize_t row = first - outer * job.rows
    cdef Py_ssize_t size
    cdef int k
    args[STATS] = <char*>(job.stats + row)
    args[PARAMETERS] = <char*>job.parameters
    args[SCRATCH] = <char*>scratch
    lengths[ROWS], lengths[WIDTH], lengths[COUNT] = job.n, rows, job.planes
    lengths[KEPT] = job.rows if job.stats != NULL else 0
    for k in range(MOST_OPERANDS):
        size = job.item if k < job.arrays else NUMBER
        args[X + k] = job.data[k] + (outer * job.outer_step[k] + row * job.row_step[k]) * size
        lengths[STEP + k], lengths[PLANE + k] = job.row_step[k], job.plane_step[k]
    run_block(job.kernel, args, lengths)
    if job.activation != NULL:
        activate(job, args[X + job.arrays - 1], rows)


cdef void stream_plane(const Job* job, const char* x, char* y, double* facts, char* buffer) noexcept nogil:
    """Compute a plane some elements at a time, in a buffer from where they go past the caches."""
    cdef char* args[X + 2]
    cdef Py_ssize_t lengths[STEP]
    cdef Py_ssize_t first = 0
    # So that only whole cache lines follow.
    cdef Py_ssize_t some = STREAMED - (<uintptr_t>y & (CACHE_LINE - 1)) // job.item
    args[STATS], args[PARAMETERS] = <char*>facts, <char*>job.parameters
    lengths[KEPT] = 1
    while first < job.n:
        lengths[ROWS] = min(some, job.n - first)
        args[X], args[X + 1] = <char*>x + first * job.item, buffer
        run_block(job.apply, args, lengths)
        if job.activation != NULL:
            args[X] = buffer
            job.activation(args + X, lengths[ROWS])
        stream(y + first * job.item, buffer, lengths[ROWS] * job.item, x + (first + lengths[ROWS]) * job.item)
        first += lengths[ROWS]
        some = STREAMED


cdef inline char* place_of(
    const Job* job, int k, Py_ssize_t outer, Py_ssize_t row, Py_ssize_t plane
) noexcept nogil:
    cdef Py_ssize_t size = job.item if k < job.arrays else NUMBER
    return job.data[k] + (outer * job.outer_step[k] + row * job.row_step[k] + plane * job.plane_step[k]) * size


cdef void run_streamed(const Job* job, Py_ssize_t first, Py_ssize_t rows, double* scratch, char* buffer) noexcept nogil:
    """Do what `run_rows` does where the results go past the caches."""
    cdef char* args[X + 1]
    cdef Py_ssize_t lengths[PLANE + 1]
    cdef double found[FACTS * MOST_ROWS]
    cdef double facts[ALL_FACTS]
    cdef Py_ssize_t outer = first // job.rows
    cdef Py_ssize_t row = first - outer * job.rows
    cdef Py_ssize_t kept = job.rows if job.stats != NULL else MOST_ROWS
    cdef double* stats = job.stats + row if job.stats != NULL else found
    cdef Py_ssize_t i, plane
    cdef int k, known = FACTS if job.reduce != NULL else 0
    args[STATS], args[PARAMETERS], args[SCRATCH] = <char*>stats, <char*>job.parameters, <char*>scratch
    args[X] = place_of(job, 0, outer, row, 0)
    lengths[ROWS], lengths[WIDTH], lengths[KEPT], lengths[COUNT] = job.n, rows, kept, job.planes
    lengths[STEP], lengths[PLANE] = job.row_step[0], job.plane_step[0]
    if job.reduce != NULL:
        run_block(job.reduce, args, lengths)
    for i in range(rows):
        for k in range(known):
            facts[k] = stats[k * kept + i]
        for plane in range(job.planes):
            for k in range(2):
                facts[known + k] = (<double*>place_of(job, 2 + k, outer, row + i, plane))[0]
            stream_plane(
                job, place_of(job, 0, outer, row + i, plane), place_of(job, 1, outer, row + i, plane), facts, buffer
            )


cdef void chunk_of_rows(void* context, Py_ssize_t chunk) noexcept nogil:
    cdef Job* job = <Job*>context
    cdef Py_ssize_t first = chunk * job.per_chunk
    cdef Py_ssize_t last = min(first + job.per_chunk, job.outer * job.rows)
    cdef Py_ssize_t most = max(<Py_ssize_t>1, CHUNK // (job.planes * job.n))
    cdef Py_ssize_t some
    cdef char* memory = <char*>malloc((SCRATCH_NUMBERS + STREAMED) * NUMBER + CACHE_LINE)
    cdef double* scratch = <double*>aligned(memory)
    if memory == NULL:
        job.has_failed = True
        return
    while first < last:
        some = min(last - first, job.rows - first % job.rows)
        some = min(some, most) if job.activation != NULL else some
        if job.is_streamed:
            run_streamed(job, first, some, scratch, <char*>(scratch + SCRATCH_NUMBERS))
        else:
            run_rows(job, first, some, scratch)
        first += some
    if job.is_streamed or job.streams_itself:
        end_stream()
    free(memory)


cdef Py_ssize_t bytes_of_arrays(const Job* job) noexcept:
    return job.arrays * job.samples * job.channels * job.n * job.item


cdef bint fit_in_cache(const Job* job) noexcept:
    """Return whether rows can be worked on in one go, or come from a nearer cache the second time at least."""
    cdef Py_ssize_t row = job.planes * job.n
    cdef Py_ssize_t at_once = max(<Py_ssize_t>1, min(job.planes, PIECE // job.n))
    cdef Py_ssize_t pieces = (job.planes + at_once - 1) // at_once * ((job.n + PIECE - 1) // PIECE)
    # Not STREAMED_FROM: bits must not depend on the processor's caches.
    if pieces > MOST_PIECES or job.outer * job.rows < MANY_ROWS:
        return row <= LONGEST_ROW
    return row * job.item <= LONGEST_OF_MANY or bytes_of_arrays(job) >= BEYOND_CACHES


cdef Py_ssize_t rows_of_chunk(const Job* job) noexcept:
    cdef Py_ssize_t units = job.outer * job.rows
    cdef Py_ssize_t of_one = job.planes * job.n
    if units * of_one < SERIAL_BELOW:
        return units
    return max(<Py_ssize_t>1, min(CHUNK // of_one, (units + FEWEST_CHUNKS - 1) // FEWEST_CHUNKS))


cdef bint run(Job* job, str name, str activation) except -1:
    cdef str precision = "float64" if job.item == 8 else "float32"
    cdef Py_ssize_t units = job.outer * job.rows
    cdef Environment callers
    job.streams_itself = job.is_streamed and name == "affine" and activation is None and job.n >= LEAST_STREAMED
    job.kernel = find_block_kernel(precision, f"{name}_planes{'_past_caches' if job.streams_itself else ''}")
    job.activation = NULL
    job.is_streamed = job.is_streamed and job.n >= STREAMED and not job.streams_itself
    if activation is not None:
        job.is_streamed = job.is_streamed and bytes_of_arrays(job) >= BEYOND_CACHES
        job.activation = <Kernel>PyCapsule_GetPointer(
            KERNELS[precision][f"scalar_{activation}"], b"void (char **, Py_ssize_t)"
        )
    job.reduce = NULL
    if job.is_streamed:
        if name != "affine":
            job.reduce = find_block_kernel(precision, "moments_planes")
        job.apply = find_block_kernel(precision, f"{name}_apply_row")
    job.has_failed = False
    job.parameters[2] = job.outer * job.rows * job.planes * job.n > SECOND_LEVEL
    job.per_chunk = rows_of_chunk(job)
    callers = enter_environment()
    with nogil:
        run_chunks(<Task>chunk_of_rows, job, (units + job.per_chunk - 1) // job.per_chunk)
    leave_environment(callers)
    if job.has_failed:
        raise MemoryError
    return True


# ---- From Python. All return whether they could do it: if not, nothing has been written.

def normalize(
    np.ndarray x not None, np.ndarray y not None, int channel, Py_ssize_t groups, np.ndarray weight not None,
    np.ndarray bias not None, double eps, np.ndarray stats=None, str activation=None, double lowest=-INFINITY,
):
    """Normalize x to y: channels of all samples, or groups of channels of each sample, if there are any groups.

    Weight and bias are contiguous float64. `stats`, of shape (at least 4, channels), is for mean in two parts, sum of
    squares about it and factor. What is below `lowest` becomes it.
    """
    cdef Job job
    if not set_arrays(&job, (x, y), channel):
        return False
    set_channels(&job, np.PyArray_BYTES(weight), np.PyArray_BYTES(bias))
    set_rows(&job, groups)
    if not fit_in_cache(&job):
        return False
    job.parameters[0], job.parameters[1] = eps, lowest
    job.stats = <double*>np.PyArray_DATA(stats) if stats is not None else NULL
    return run(&job, "normalize", activation)


def scale_and_shift(
    np.ndarray x not None, np.ndarray y not None, int channel, np.ndarray both not None, str activation=None,
    double lowest=-INFINITY,
):
    """Write x times a factor plus a summand to y; `both`, contiguous float64 of shape (2, channels), has these."""
    cdef Job job
    if not set_arrays(&job, (x, y), channel):
        return False
    set_channels(&job, np.PyArray_BYTES(both), np.PyArray_BYTES(both) + np.PyArray_STRIDE(both, 0))
    set_rows(&job, job.channels)
    job.parameters[1] = lowest
    job.stats = NULL
    return run(&job, "affine", activation)


def gradient(
    np.ndarray dy not None, np.ndarray x not None, np.ndarray dx not None, int channel, np.ndarray stats not None
):
    """Write the gradient of batch_norm to dx, from what is known of the channels: see `gradient_statistics`."""
    cdef Job job
    if not set_arrays(&job, (dy, x, dx), channel):
        return False
    job.is_streamed = False
    job.data[3] = NULL
    job.sample_step[3] = job.channel_step[3] = 0
    set_rows(&job, 0)
    if not fit_in_cache(&job):
        return False
    job.stats = <double*>np.PyArray_DATA(stats)
    return run(&job, "grad_normalize", None)
