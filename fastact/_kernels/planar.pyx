"""The front door of normalizations of planar arrays: NCHW, where what a sample has of a channel is contiguous.

A row, which is normalized together, has one or several of these planes: see planes.py. What does not fit goes through
`reductions`: other layouts, 16-bit floats, rows and planes that are too long to be worked on in one go.
"""

from libc.math cimport INFINITY
from libc.stdlib cimport free, malloc
from cpython.pycapsule cimport PyCapsule_GetPointer
cimport numpy as np

from fastact._kernels.copies cimport CACHE_LINE, aligned
from fastact._kernels.environment cimport Environment, enter_environment, leave_environment
from fastact._kernels.layout cimport COUNT, KEPT, PARAMETERS, PLANE, ROWS, SCRATCH, STATS, STEP, WIDTH, X
from fastact._kernels.ufuncs cimport BlockKernel, Task, find_block_kernel, run_block, run_chunks

from fastact._kernels.ufuncs import KERNELS

np.import_array()

ctypedef void (*Kernel)(char** args, Py_ssize_t n) noexcept nogil

cdef enum:
    MOST_ARRAYS = 3
    MOST_OPERANDS = 4
    # Elements of a plane that the kernels sum in one go, and of a row that stays in the second-level cache.
    LONGEST_PLANE = 4096
    LONGEST_ROW = 65536
    # Where there are enough rows for all threads: as many bytes of x leave room for those of y.
    LONGEST_OF_MANY = 524288
    MANY_ROWS = 8
    # Elements of a chunk: with fewer, planes that are apart in memory are read one by one, and gradients of (32, 64, 14, 14)
    # take a third more. And how many stay in one thread; those that do not are cut in enough chunks to be shared fairly.
    CHUNK = 32768
    SERIAL_BELOW = 32768
    FEWEST_CHUNKS = 8
    SCRATCH_NUMBERS = 11264
    NUMBER = 8


cdef struct Job:
    BlockKernel kernel
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
    # eps, and the lowest result: 0 for relu, else -inf.
    double parameters[2]
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


cdef void set_channels(Job* job, np.ndarray first, np.ndarray second) noexcept:
    """Set two operands of one number a channel, contiguous float64."""
    cdef int k
    job.data[job.arrays], job.data[job.arrays + 1] = np.PyArray_BYTES(first), np.PyArray_BYTES(second)
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


cdef void chunk_of_rows(void* context, Py_ssize_t chunk) noexcept nogil:
    cdef Job* job = <Job*>context
    cdef Py_ssize_t first = chunk * job.per_chunk
    cdef Py_ssize_t last = min(first + job.per_chunk, job.outer * job.rows)
    cdef Py_ssize_t most = max(<Py_ssize_t>1, CHUNK // (job.planes * job.n))
    cdef Py_ssize_t some
    cdef char* memory = <char*>malloc(SCRATCH_NUMBERS * NUMBER + CACHE_LINE)
    if memory == NULL:
        job.has_failed = True
        return
    while first < last:
        some = min(last - first, job.rows - first % job.rows)
        some = min(some, most) if job.activation != NULL else some
        run_rows(job, first, some, <double*>aligned(memory))
        first += some
    free(memory)


cdef bint fit_in_cache(const Job* job) noexcept:
    """Return whether rows can be worked on in one go."""
    cdef Py_ssize_t row = job.planes * job.n
    if job.n > LONGEST_PLANE:
        return False
    return row <= LONGEST_ROW or (job.outer * job.rows >= MANY_ROWS and row * job.item <= LONGEST_OF_MANY)


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
    job.kernel = find_block_kernel(precision, name)
    job.activation = NULL
    if activation is not None:
        job.activation = <Kernel>PyCapsule_GetPointer(
            KERNELS[precision][f"scalar_{activation}"], b"void (char **, Py_ssize_t)"
        )
    job.has_failed = False
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
    set_channels(&job, weight, bias)
    set_rows(&job, groups)
    if not fit_in_cache(&job):
        return False
    job.parameters[0], job.parameters[1] = eps, lowest
    job.stats = <double*>np.PyArray_DATA(stats) if stats is not None else NULL
    return run(&job, "normalize_planes", activation)


def scale_and_shift(
    np.ndarray x not None, np.ndarray y not None, int channel, np.ndarray both not None, str activation=None,
    double lowest=-INFINITY,
):
    """Write x times a factor plus a summand to y; `both`, contiguous float64 of shape (2, channels), has these."""
    cdef Job job
    if not set_arrays(&job, (x, y), channel):
        return False
    set_channels(&job, both[0], both[1])
    set_rows(&job, job.channels)
    job.parameters[1] = lowest
    job.stats = NULL
    return run(&job, "affine_planes", activation)


def gradient(
    np.ndarray dy not None, np.ndarray x not None, np.ndarray dx not None, int channel, np.ndarray stats not None
):
    """Write the gradient of batch_norm to dx, from what is known of the channels: see `gradient_statistics`."""
    cdef Job job
    if not set_arrays(&job, (dy, x, dx), channel):
        return False
    job.data[3] = NULL
    job.sample_step[3] = job.channel_step[3] = 0
    set_rows(&job, 0)
    if not fit_in_cache(&job):
        return False
    job.stats = <double*>np.PyArray_DATA(stats)
    return run(&job, "grad_normalize_planes", None)
