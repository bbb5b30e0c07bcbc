"""The front door of the gradients of layer_norm and rms_norm of contiguous rows: all of them in one go.

Rows are cut into batches, of fixed size, which threads share; each leaves sums for the columns, and these are added up in
the order of batches. What does not fit goes through `reductions`: other layouts, 16-bit floats, rows that are too long to
be summed in one go and those that are worked on as columns.
"""

from libc.stdlib cimport free, malloc
cimport numpy as np

from fastact._kernels.copies cimport CACHE_LINE, aligned
from fastact._kernels.environment cimport Environment, enter_environment, leave_environment
from fastact._kernels.layout cimport COUNT, KEPT, PARAMETERS, PIECES, ROWS, SCRATCH, SHORT_ROW, WIDTH, X
from fastact._kernels.ufuncs cimport BlockKernel, Task, find_block_kernel, run_block, run_chunks

np.import_array()

cdef enum:
    ARRAYS = 4
    NUMBER = 8
    SCRATCH_NUMBERS = 4096
    # Elements of a row that is summed in one go.
    LONGEST_ROW = 4096
    # Elements of a batch, and the fewest rows: so the sums of columns are at most an eighth of what is read.
    BATCH = 32768
    FEWEST_ROWS = 32
    # Elements that stay in one thread, and columns that one adds up.
    SERIAL_BELOW = 65536
    COLUMNS = 1024


cdef struct Job:
    BlockKernel kernel
    BlockKernel combine
    # dy, x, weight and dx; then the gradients of weight and bias.
    char* data[ARRAYS]
    char* sums[2]
    Py_ssize_t item
    Py_ssize_t n
    Py_ssize_t rows
    Py_ssize_t per_batch
    Py_ssize_t batches
    Py_ssize_t per_chunk
    double* pieces
    double eps
    bint has_failed


cdef char* scratch_of(Job* job, Py_ssize_t numbers) noexcept nogil:
    cdef char* memory = <char*>malloc((SCRATCH_NUMBERS + numbers) * NUMBER + CACHE_LINE)
    if memory == NULL:
        job.has_failed = True
    return memory


cdef void chunk_of_batches(void* context, Py_ssize_t chunk) noexcept nogil:
    cdef Job* job = <Job*>context
    cdef char* args[X + ARRAYS]
    cdef Py_ssize_t lengths[COUNT + 1]
    # Beside the kernels' own: the columns' sums once more, and what is known of the rows.
    cdef char* memory = scratch_of(job, 2 * job.n + 3 * job.per_batch)
    cdef Py_ssize_t first = chunk * job.per_chunk
    cdef Py_ssize_t batch
    cdef int k
    if memory == NULL:
        return
    args[PARAMETERS], args[SCRATCH] = <char*>&job.eps, aligned(memory)
    lengths[ROWS], lengths[KEPT], lengths[COUNT] = job.n, job.rows, 1
    for batch in range(first, min(first + job.per_chunk, job.batches)):
        args[PIECES] = <char*>(job.pieces + 2 * batch * job.n)
        lengths[WIDTH] = min(job.per_batch, job.rows - batch * job.per_batch)
        for k in range(ARRAYS):
            args[X + k] = job.data[k] + (0 if k == 2 else batch * job.per_batch * job.n * job.item)
        run_block(job.kernel, args, lengths)
    free(memory)


cdef void chunk_of_columns(void* context, Py_ssize_t chunk) noexcept nogil:
    cdef Job* job = <Job*>context
    cdef char* args[X + 2]
    cdef Py_ssize_t lengths[COUNT + 1]
    cdef char* memory = scratch_of(job, 2 * COLUMNS)
    cdef Py_ssize_t first = chunk * COLUMNS
    cdef int k
    if memory == NULL:
        return
    args[PIECES], args[SCRATCH] = <char*>(job.pieces + first), aligned(memory)
    lengths[ROWS], lengths[WIDTH], lengths[COUNT] = job.n, min(<Py_ssize_t>COLUMNS, job.n - first), job.batches
    for k in range(2):
        args[X + k] = job.sums[k] + first * job.item
    run_block(job.combine, args, lengths)
    free(memory)


cdef bint is_plain(np.ndarray array, np.ndarray x) noexcept:
    return np.PyArray_ISCARRAY_RO(array) and np.PyArray_TYPE(array) == np.PyArray_TYPE(x)


cdef bint is_one_row(np.ndarray weight, np.ndarray x, int first) noexcept:
    """Return whether what lies over x is contiguous from the axis on, and the same for all rows."""
    cdef Py_ssize_t step = np.PyArray_ITEMSIZE(x)
    cdef int axis
    for axis in range(np.PyArray_NDIM(x) - 1, first - 1, -1):
        if np.PyArray_STRIDE(weight, axis) != step and np.PyArray_DIM(x, axis) != 1:
            return False
        step *= np.PyArray_DIM(x, axis)
    return np.PyArray_TYPE(weight) == np.PyArray_TYPE(x)


def gradients(
    str name, np.ndarray dy not None, np.ndarray x not None, np.ndarray weight not None, np.ndarray dx not None,
    tuple axes not None, double eps
):
    """Write the gradient of x to dx, and return those of weight, laid over x, and bias; None if it could not be done.

    If so, nothing has been written. `name` is ``layer_norm`` or ``rms_norm``.
    """
    cdef Job job
    cdef Environment callers
    cdef char* memory
    cdef int first = np.PyArray_NDIM(x) - len(axes), k
    cdef np.ndarray array
    cdef list sums
    if axes != tuple(range(first, np.PyArray_NDIM(x))) or not is_one_row(weight, x, first):
        return None
    if np.PyArray_TYPE(x) != np.NPY_FLOAT32 and np.PyArray_TYPE(x) != np.NPY_FLOAT64:
        return None
    if not (is_plain(dy, x) and is_plain(x, x) and is_plain(dx, x)):
        return None
    job.n = 1
    for axis in axes:
        job.n *= np.PyArray_DIM(x, axis)
    if not SHORT_ROW <= job.n <= LONGEST_ROW or np.PyArray_SIZE(x) == 0:
        return None
    job.item = np.PyArray_ITEMSIZE(x)
    for k, array in enumerate((dy, x, weight, dx)):
        job.data[k] = np.PyArray_BYTES(array)
    sums = [np.PyArray_EMPTY(len(axes), np.PyArray_DIMS(x) + first, np.PyArray_TYPE(x), 0) for k in range(2)]
    for k in range(2):
        job.sums[k] = np.PyArray_BYTES(<np.ndarray>sums[k])
    precision = "float64" if job.item == 8 else "float32"
    job.kernel = find_block_kernel(precision, f"grad_{name}_rows")
    job.combine = find_block_kernel(precision, "grad_weights_of_batches")
    job.rows = np.PyArray_SIZE(x) // job.n
    job.per_batch = max(<Py_ssize_t>FEWEST_ROWS, BATCH // job.n // 4 * 4)
    job.batches = (job.rows + job.per_batch - 1) // job.per_batch
    job.per_chunk = job.batches if np.PyArray_SIZE(x) < SERIAL_BELOW else 1
    job.eps = eps
    job.has_failed = False
    memory = <char*>malloc(2 * job.batches * job.n * NUMBER + CACHE_LINE)
    if memory == NULL:
        raise MemoryError
    job.pieces = <double*>aligned(memory)
    callers = enter_environment()
    with nogil:
        run_chunks(<Task>chunk_of_batches, &job, (job.batches + job.per_chunk - 1) // job.per_chunk)
        run_chunks(<Task>chunk_of_columns, &job, (job.n + COLUMNS - 1) // COLUMNS)
    leave_environment(callers)
    free(memory)
    if job.has_failed:
        raise MemoryError
    return sums[0], sums[1]
