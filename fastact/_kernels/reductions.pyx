"""The front door of the reductions: any arrays, any axes, in blocks, by several threads.

The axes are either kept or reduced. What belongs to one element of the kept axes is a *row*; it is cut into *pieces*
of fixed size, from which a kernel makes partial results, another one makes statistics of all pieces in their order,
and a third one the output, piece by piece. Rows that fit the cache go through the three in one go.

Where a row is contiguous, so is a piece (`is_columns` false). Where the last kept axis is, a piece is a block of
neighbouring columns, and the vectors run across them. Everything else is copied into such a piece, block by block, and
the output back. The cut depends on shapes, axes and strides only: never on the threads. `jobs.pxd` says what it is,
`pieces.pyx` does one piece, `packing.pxd` copies.
"""

from libc.stdlib cimport free
# Memory that tracemalloc sees.
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc
from cpython.pycapsule cimport PyCapsule_GetPointer
cimport numpy as np

from fastact._kernels.copies cimport CACHE_LINE, aligned, distance
from fastact._kernels.environment cimport Environment, enter_environment, leave_environment
from fastact._kernels.jobs cimport (
    MOST_OPERANDS, NUMBER, RESULTS, Axes, Job, Kernel, Piece, is_constant, last_length, last_step, piece_at, product, vector
)
from fastact._kernels.layout cimport SHORT_ROW, TURNED_EXP_ROW
from fastact._kernels.operands cimport MOST_AXES, is_computed, may_share_memory
from fastact._kernels.pieces cimport buffers_for, combine, pieces_room, run_group, run_packed_rows, run_piece, run_rows, scratch_numbers
from fastact._kernels.stream cimport BEYOND_CACHES, CAN_STREAM, STREAMED_FROM
from fastact._kernels.ufuncs cimport BlockKernel, Task, find_block_kernel, run_chunks

from fastact._kernels.ufuncs import KERNELS

np.import_array()

cdef extern from "numpy/arrayobject.h":
    object PyArray_NewLikeArray(np.ndarray array, np.NPY_ORDER order, void* dtype, int is_subclass)

cdef enum:
    MOST_PARAMETERS = 8
    # Elements of a piece of a row; rows and columns of a piece of columns.
    PIECE = 4096
    PIECE_ROWS = 256
    # The same of a long row that is read once: at the end of a piece the memory waits for 0.4 microseconds. 2**24 numbers
    # take 0.95 of the time (in pieces of 8192 1.3, of 16384 1.1, of 32768 1.0).
    LONG_PIECE = 65536
    # The same where large arrays are read once: rows at least, and elements at most. The partial results of 256 rows take a
    # tenth of the time.
    LONG_PIECE_ROWS = 512
    LONG_PIECE_OF_COLUMNS = 1 << 21
    # Neighbouring rows of memory are read in long stretches: of 1024 columns at twice the speed of 256, beyond the cache.
    TILE = 1024
    # The same of kernels that write past the caches, and go through it in strips, and of what large arrays are read for
    # once.
    LONG_TILE = 4096
    # Tiles of columns with so few rows that what is known of each column counts: it stays in the first-level cache, and
    # while it is made the memory brings what was fetched. (16, 2M) takes 0.77 of the time that it takes in tiles of 1024.
    SHORT_COLUMN = 64
    NARROW_TILE = 128
    # Columns of a tile whose rows are worked on in one go.
    WHOLE_TILE = 256
    # Pieces of rows with segments shorter than this are packed together.
    SHORT = 128
    # Elements of a row, or a tile of columns, that are worked on in one go: they stay in the second-level cache.
    WHOLE = 65536
    # Elements of arrays that stay there: they can be read again, and tiles be wide.
    SECOND_LEVEL = 262144
    NARROWEST_TILE = 16
    # Fewer columns than this are not worked on in one go: a cache line of each row is too little of what is fetched.
    NARROWEST_WHOLE = 64
    # How many columns worked on in one go are to have at least, and the bytes of that tile at most: softmax and log_softmax
    # of (1000, 1024) take 0.88 of the time.
    WIDE_TILE = 128
    WIDE_WHOLE = 1 << 20
    # Elements of a chunk, at least and at most, and how many chunks there are to be: each costs 0.15 microseconds besides.
    # Beyond the second-level cache moments of long rows take 0.9 of the time in larger ones, softmax 0.97. Where results
    # are all there is to do, of large arrays, a piece costs a microsecond (2**22 numbers in 256 columns take 0.8 of the time).
    CHUNK = 8192
    LARGE_CHUNK = 32768
    # The same of what is read once: the memory waits at the end of a chunk, too. 2**24 numbers in rows of 256 to 1024 take
    # 0.92 of the time.
    LONG_CHUNK = 262144
    FEWEST_CHUNKS = 16
    # How many elements stay in one thread.
    SERIAL_BELOW = 65536
    # Rows of float32 from which on softmax keeps its terms where its results go, not in a buffer from where they go past
    # the caches: the pass over a whole row need not wait for the memory. (2048, 8192) takes 0.9 of the time, (1398, 12000)
    # 0.85, (512, 32768) 0.8, with two threads 0.95, 0.87, 0.82; (4096, 4096) 1.0. In float64 1.25 to 1.5.
    KEPT_ROW = 8192


# ---- The cut.

cdef void add_axis(Job* job, Axes* axes, Py_ssize_t length, const Py_ssize_t* steps) noexcept nogil:
    """Append an axis, or lengthen the last one where all operands allow it."""
    cdef int last = axes.count - 1
    cdef int k
    cdef bint continues = last >= 0
    if length == 1:
        return
    for k in range(job.operands):
        continues = continues and axes.step[k][last] == steps[k] * length
    if not continues:
        last += 1
        axes.count += 1
        axes.length[last] = 1
    axes.length[last] *= length
    for k in range(job.operands):
        axes.step[k][last] = steps[k]


cdef void cut(Job* job, Py_ssize_t tile) noexcept nogil:
    """Choose rows or columns, the pieces, and what is to be packed; tiles of columns are at most so wide."""
    cdef Py_ssize_t kept_step = last_step(job, &job.kept, 0)
    cdef Py_ssize_t reduced_step = last_step(job, &job.reduced, 0)
    cdef Py_ssize_t segment = last_length(&job.reduced)
    cdef Py_ssize_t elements, rest, step, most
    cdef bint is_wide
    cdef int k
    job.all_kept = product(&job.kept)
    job.all_reduced = product(&job.reduced)
    job.columns = last_length(&job.kept)
    elements = job.all_kept * job.all_reduced
    # From beyond the second-level cache.
    cdef bint is_read_twice = job.reduces and job.outputs > 0 and elements > SECOND_LEVEL
    cdef bint is_turned = distance(kept_step) >= distance(reduced_step)
    job.is_columns = job.columns >= NARROWEST_TILE and (
        not is_turned or (job.reduced.count < 2 and job.all_reduced < job.short_row)
    )
    job.is_flat = job.reduced.count > 1 and segment < (PIECE_ROWS // 16 if job.is_columns else SHORT)
    cdef bint is_in_place = (
        not job.is_flat and job.items[0] == job.item and kept_step == job.item and reduced_step % job.item == 0
    )
    if job.is_columns:
        # An activation finds less than that in the cache.
        job.piece = PIECE_ROWS if job.reduces else PIECE_ROWS // 4
        if job.is_read_once and is_in_place and elements > 16 * SECOND_LEVEL:
            if job.all_reduced > PIECE_ROWS and job.columns > tile:
                # Tiles of 1024 would jump from row to row of wider arrays: (4096, 4096) takes 0.7 of the time.
                tile = LONG_TILE
            most = min(<Py_ssize_t>LONG_PIECE_OF_COLUMNS, max(<Py_ssize_t>LONG_CHUNK, elements // FEWEST_CHUNKS))
            job.piece = max(<Py_ssize_t>LONG_PIECE_ROWS, most // min(tile, job.columns))
        job.tile = tile
        if job.whole != NULL and job.outputs == 0 and job.all_reduced > PIECE_ROWS:
            # What is not read again goes by in long stretches of memory; a piece and the next one stay in the cache.
            job.whole = NULL
            job.tile = TILE // 2
        elif job.all_reduced * NARROWEST_WHOLE > (WIDE_WHOLE // job.item if job.keeps_terms else WHOLE):
            job.whole = NULL
        elif job.whole != NULL or ((is_read_twice or is_turned) and job.all_reduced <= WHOLE // WHOLE_TILE * 4):
            job.tile = min(<Py_ssize_t>WHOLE_TILE, WHOLE // job.all_reduced // NARROWEST_TILE * NARROWEST_TILE)
            if job.whole != NULL and job.tile < WIDE_TILE:
                is_wide = job.all_reduced * WIDE_TILE * job.item <= WIDE_WHOLE
                job.tile = WIDE_TILE if is_wide else NARROWEST_WHOLE
        if job.results[0] != NULL and job.all_reduced <= SHORT_COLUMN:
            job.tile = NARROW_TILE
        if 0 < job.columns % job.tile < vector(job) and job.columns > job.tile:
            # See `run_columns`: the last tile is to have a whole vector.
            job.tile -= vector(job)
        job.tile = min(job.tile, job.columns)
        if not job.reduces:
            most = LARGE_CHUNK if is_in_place and elements > SECOND_LEVEL else CHUNK
            job.piece = min(<Py_ssize_t>PIECE_ROWS, max(<Py_ssize_t>1, most // job.tile))
        job.tiles = (job.columns + job.tile - 1) // job.tile
    else:
        job.columns = 1
        job.tile = 1
        job.tiles = 1
        job.piece = PIECE
        is_in_place = not job.is_flat and job.items[0] == job.item and reduced_step == job.item
        # Whatever other rows there are: a row has the same moments alone.
        if job.is_read_once and is_in_place and job.all_reduced >= 16 * LONG_PIECE:
            job.piece = LONG_PIECE
        if job.all_reduced > job.longest_whole:
            job.whole = NULL
    if job.whole != NULL:
        job.piece = job.all_reduced
        job.is_flat = job.reduced.count > 1
    rest = job.all_reduced // segment
    job.segment_pieces = ((job.all_reduced if job.is_flat else segment) + job.piece - 1) // job.piece
    job.piece_count = job.segment_pieces * (1 if job.is_flat else rest)
    job.groups = job.all_kept // job.columns * job.tiles
    for k in range(job.operands):
        step = job.item if is_constant(job, k) else last_step(job, &job.kept if job.is_columns else &job.reduced, k)
        job.is_packed[k] = job.is_flat or step != job.item or job.items[k] != job.item or (
            job.is_columns and last_step(job, &job.reduced, k) % job.item != 0
        )
        job.steps[k] = last_step(job, &job.reduced, k) // job.item


cdef bint takes_rows(const Job* job) noexcept nogil:
    """Return whether the kernel for whole rows can be called on the arrays as they are."""
    cdef int k
    if job.whole == NULL or job.is_columns:
        return False
    for k in range(job.operands):
        if job.is_packed[k] or last_step(job, &job.kept, k) % job.item != 0:
            return False
    return job.activation == NULL


cdef bint is_overwritten(const Job* job, int input) noexcept nogil:
    """Return whether a kernel of columns reads an operand from the place where it writes another."""
    cdef int k
    for k in range(job.operands - job.outputs, job.operands):
        if job.is_columns and input < k and job.data[k] == job.data[input] and not job.is_packed[k]:
            return not job.is_packed[input]
    return False


cdef bint are_large(const Job* job, int arrays, Py_ssize_t size) noexcept nogil:
    """Return whether so many arrays have so many bytes, too many for the caches, and the only output its own memory."""
    cdef int out = job.operands - 1
    cdef int k
    for k in range(out):
        if job.data[k] == job.data[out]:
            return False
    return (
        CAN_STREAM
        and job.outputs == 1
        and arrays * job.all_kept * job.all_reduced * job.item >= size
    )


cdef bint are_rows_one_block(const Job* job) noexcept nogil:
    return last_step(job, &job.kept, job.operands - 1) == job.all_reduced * job.item


# ---- Chunks: what one thread takes at a time.

cdef inline double* pieces_of(const Job* job, Py_ssize_t group) noexcept nogil:
    return job.pieces + group * job.tile * job.piece_count * job.piece_numbers


cdef void group_chunk(void* context, Py_ssize_t chunk) noexcept nogil:
    cdef Job* job = <Job*>context
    cdef Py_ssize_t first = chunk * job.per_chunk
    cdef Py_ssize_t last = min(first + job.per_chunk, job.groups)
    cdef Py_ssize_t group
    cdef char* memory = buffers_for(job)
    cdef double* scratch = <double*>aligned(memory)
    if memory == NULL:
        return
    if takes_rows(job):
        run_rows(job, first, last - first, scratch, aligned(memory) + pieces_room(job))
    elif job.whole != NULL and not job.is_columns:
        run_packed_rows(job, first, last - first, scratch, aligned(memory) + pieces_room(job))
    else:
        for group in range(first, last):
            run_group(job, group, scratch + scratch_numbers(job), scratch, aligned(memory) + pieces_room(job))
    free(memory)


cdef void run_piece_chunk(Job* job, Py_ssize_t chunk, BlockKernel kernel, bint writes) noexcept nogil:
    cdef Py_ssize_t first = chunk * job.per_chunk
    cdef Py_ssize_t last = min(first + job.per_chunk, job.groups * job.piece_count)
    cdef Py_ssize_t group = first // job.piece_count
    cdef Py_ssize_t number = first - group * job.piece_count
    cdef Piece piece
    cdef char* memory = buffers_for(job)
    if memory == NULL:
        return
    for _ in range(first, last):
        piece = piece_at(job, group, number)
        run_piece(
            job, kernel, &piece, pieces_of(job, group) + number * job.piece_numbers * piece.width,
            <double*>aligned(memory), aligned(memory) + pieces_room(job), writes,
        )
        number += 1
        if number == job.piece_count:
            group, number = group + 1, 0
    free(memory)


cdef void reduce_chunk(void* context, Py_ssize_t chunk) noexcept nogil:
    run_piece_chunk(<Job*>context, chunk, (<Job*>context).reduce, False)


cdef void apply_chunk(void* context, Py_ssize_t chunk) noexcept nogil:
    """From the last chunk to the first: what was read last is in the third-level cache still.

    softmax of (16384, 256) along columns takes 0.92 of the time.
    """
    cdef Job* job = <Job*>context
    cdef Py_ssize_t last = (job.groups * job.piece_count - 1) // job.per_chunk
    run_piece_chunk(job, last - chunk, job.apply, True)


cdef inline Py_ssize_t share(Job* job, Py_ssize_t units) noexcept nogil:
    """Set how many units a chunk takes; return the number of chunks."""
    cdef Py_ssize_t elements = job.all_kept * job.all_reduced
    cdef Py_ssize_t most = LONG_CHUNK if job.is_read_once else LARGE_CHUNK
    cdef Py_ssize_t chunk = max(<Py_ssize_t>CHUNK, min(most, elements // FEWEST_CHUNKS))
    job.per_chunk = units if elements < SERIAL_BELOW else max(<Py_ssize_t>1, chunk // max(<Py_ssize_t>1, elements // units))
    return (units + job.per_chunk - 1) // job.per_chunk


cdef void run_job(Job* job) noexcept nogil:
    cdef Py_ssize_t group
    cdef char* memory
    if job.is_in_one_go:
        run_chunks(<Task>group_chunk, job, share(job, job.groups))
        return
    if job.reduce != NULL:
        run_chunks(<Task>reduce_chunk, job, share(job, job.groups * job.piece_count))
    if job.combine != NULL:
        memory = buffers_for(job)
        for group in range(job.groups if memory != NULL else 0):
            combine(job, group, pieces_of(job, group), <double*>aligned(memory))
        free(memory)
    if job.apply != NULL and not job.has_failed:
        run_chunks(<Task>apply_chunk, job, share(job, job.groups * job.piece_count))


# ---- From Python.

cdef class Found:
    """The kernels of one operation, for rows and for columns; NULL where there is none."""

    cdef BlockKernel whole[2]
    cdef BlockKernel reduce[2]
    cdef BlockKernel combine
    cdef BlockKernel apply[2]
    cdef Py_ssize_t short_row
    cdef bint is_long
    cdef bint is_long_apply
    cdef bint is_streaming
    cdef bint keeps_terms


cdef dict FOUND = {}
# Kernels with so many operations that columns beside whole vectors take longer than a vector of them: see `run_columns`.
LONG = {"exp_sums", "moments", "normal_products", "weighted_products", "softmax", "grad_cross_entropy", "grad_log_softmax"}
# Those of columns that write past the caches themselves.
STREAMING = {"affine", "normalize", "softmax", "layer_norm", "norm_2", "rms_norm", "scale"}
# Those of whole columns that compute once what takes long, in pieces twice: columns may be longer. softmax of (4096, 256)
# takes 0.8 of the time; log_softmax, which subtracts in the end, 1.2.
KEEPING_TERMS = {"softmax"}
# Rows shorter than this are columns to kernels that give both the same bits: the work of one row takes as long as that of
# 16 columns. In float32 softmax of rows of 16 takes 0.28 of the time, of 48 0.8; normalize with p=1 0.13 and 0.55. Gradients
# of softmax are rows from 4 on: to turn two arrays and a third back takes longer than the rest, 4 times as long at 15.
TURNED_ROW = {
    ("float32", "exp_sums"): TURNED_EXP_ROW, ("float64", "softmax"): TURNED_EXP_ROW // 2,
    ("float32", "grad_softmax"): 4, ("float32", "grad_log_softmax"): 4,
    ("float32", "norm_1"): 96, ("float32", "norm_inf"): 96, ("float64", "norm_inf"): 48,
}


cdef BlockKernel find(str precision, str full) except? NULL:
    return find_block_kernel(precision, full) if full in KERNELS[precision] else NULL


cdef Found find_all(str precision, str name, str apply, bint reduces):
    """Return the kernels of an operation. Looked up once: it takes longer than a short row."""
    key = (precision, name, apply, reduces)
    cdef Found found = FOUND.get(key)
    cdef int k
    if found is not None:
        return found
    found = Found()
    for k, kind in enumerate(("row", "columns")):
        found.whole[k] = find(precision, f"{apply or name}_whole_{kind}") if reduces else NULL
        found.reduce[k] = find(precision, f"{name}_{kind}") if reduces else NULL
        found.apply[k] = find(precision, f"{apply}_apply_{kind}") if apply is not None else NULL
    found.short_row = TURNED_ROW.get((precision, apply), TURNED_ROW.get((precision, name), SHORT_ROW))
    found.is_long = name in LONG
    found.is_long_apply = apply in LONG
    found.is_streaming = apply in STREAMING
    found.keeps_terms = apply in KEEPING_TERMS
    found.combine = find(precision, f"{apply}_combine") if reduces else NULL
    if found.combine == NULL:
        found.combine = find(precision, f"{name}_combine") if reduces else NULL
    FOUND[key] = found
    return found


cdef Kernel element_wise(str precision, str name) except NULL:
    return <Kernel>PyCapsule_GetPointer(KERNELS[precision][name], b"void (char **, Py_ssize_t)")


cdef int arrange(Job* job, list arrays, tuple axes, bint are_kept_sorted) except -1:
    """Sort the axes into kept and reduced ones, the reduced ones from the longest step to the shortest."""
    cdef bint is_reduced[MOST_AXES]
    cdef bint is_kept[MOST_AXES]
    cdef int axis
    for axis in range(np.PyArray_NDIM(arrays[0])):
        is_reduced[axis], is_kept[axis] = False, True
    for axis in axes:
        is_reduced[axis], is_kept[axis] = True, False
    add_axes(job, &job.kept, arrays, is_kept, are_kept_sorted)
    add_axes(job, &job.reduced, arrays, is_reduced, True)
    return 0


cdef int add_axes(Job* job, Axes* axes, list arrays, bint* is_left, bint are_sorted) except -1:
    """Append the axes of the first array that are left: in their order, or from the longest step to the shortest."""
    cdef Py_ssize_t steps[MOST_OPERANDS]
    cdef np.ndarray first = arrays[0]
    cdef int axis, next, number
    for number in range(first.ndim):
        next = -1
        for axis in range(first.ndim):
            if is_left[axis] and (
                next < 0 or (are_sorted and distance(first.strides[axis]) > distance(first.strides[next]))
            ):
                next = axis
        if next < 0:
            return 0
        is_left[next] = False
        add_axis(job, axes, first.shape[next], steps_of(job, arrays, next, steps))
    return 0


cdef Py_ssize_t* steps_of(const Job* job, list arrays, int axis, Py_ssize_t* steps) noexcept:
    cdef int k
    for k in range(job.operands):
        steps[k] = (<np.ndarray>arrays[k]).strides[axis]
    return steps


def run(
    str name, list arrays, int outputs, tuple axes, np.ndarray stats=None, Py_ssize_t piece_numbers=0,
    tuple parameters=(), str activation=None, bint reduces=True, str apply=None, bint is_exact=True,
    Py_ssize_t stats_numbers=0, int constants=0, tuple results=(),
):
    """Run the kernels of one operation: those for float64, or float32 if the first array has no more digits.

    Parameters
    ----------
    name : str
        The kernels are ``NAME_row`` and ``NAME_columns`` (partial results of a piece), ``NAME_combine``, and of `apply`
        (or `name`) ``APPLY_apply_row`` and ``APPLY_apply_columns``; for whole rows, ``APPLY_whole_row`` and
        ``APPLY_whole_columns``.
    arrays : list of ndarray
        Inputs, then outputs, all of one shape, without an element at the same place twice in outputs; of that type, or,
        for float32, float16 and bfloat16: these are converted piece by piece.
    outputs : int
        How many of `arrays` are outputs.
    axes : tuple of int
        The reduced axes, not negative.
    stats : ndarray of float64, optional
        Statistics, of shape (numbers, kept elements); some may be inputs. None: nobody wants them, inputs are 0.
    piece_numbers : int
        How many numbers the partial result of a row or column has.
    parameters : tuple of float
        What else the kernels need to know.
    activation : str, optional
        An element-wise operator without parameters for the output.
    reduces : bool
        Whether there are statistics to compute.
    apply : str, optional
        The name of the kernels for the output.
    is_exact : bool
        Whether the kernels sum rows of any length as exactly as pieces.
    stats_numbers : int
        How many numbers the statistics of a kept element are, if `stats` is None.
    constants : int
        How many of the inputs, the last ones, do not change along the kept axes: for columns, the kernel is given one
        number of them for each row.
    results : tuple of ndarray
        Two contiguous arrays of the kernels' type, with an element for each kept one. The kernels of whole rows write
        them, else ``APPLY_combine`` instead of ``NAME_combine``.
    """
    cdef np.ndarray first = arrays[0]
    if np.PyArray_SIZE(first) == 0:
        return
    precision = "float64" if np.PyArray_TYPE(first) == np.NPY_FLOAT64 else "float32"
    run_on(
        find_all(precision, name, apply, reduces), precision, arrays, outputs, axes, stats, piece_numbers, parameters,
        activation, reduces, is_exact, stats_numbers, constants, results,
    )


def mapped(
    str name, str apply, list inputs, axis, out, Py_ssize_t piece_numbers, Py_ssize_t stats_numbers,
    tuple parameters=()
):
    """Return the result for plain arrays of one shape and type and one axis; None for all that needs a closer look.

    The arguments of `run` for one output: here in half the time, which counts for a short row.
    """
    cdef np.ndarray x, y
    cdef int index
    first = inputs[0]
    if not is_computed(first) or type(axis) is not int:
        return None
    x = first
    if not -x.ndim <= axis < x.ndim or x.size == 0 or x.ndim > MOST_AXES:
        return None
    for other in inputs:
        if other is not first and not (is_computed(other) and is_alike(other, x)):
            return None
    index = axis if axis >= 0 else axis + x.ndim
    if out is None:
        y = PyArray_NewLikeArray(inputs[-1], np.NPY_KEEPORDER, NULL, 0)
    elif is_computed(out) and is_alike(out, x) and is_written_in_place(out, inputs):
        y = out
    else:
        return None
    precision = "float32" if np.PyArray_TYPE(x) == np.NPY_FLOAT32 else "float64"
    run_on(
        find_all(precision, name, apply, True), precision, inputs + [y], 1, (index,), None, piece_numbers, parameters,
        None, True, True, stats_numbers, 0, (),
    )
    return y


cdef bint is_alike(np.ndarray a, np.ndarray b) noexcept:
    return np.PyArray_TYPE(a) == np.PyArray_TYPE(b) and np.PyArray_SAMESHAPE(a, b)


cdef bint is_written_in_place(np.ndarray out, list inputs):
    """Return whether results can be written to `out` while the inputs are still read."""
    if not np.PyArray_ISWRITEABLE(out):
        return False
    for x in inputs:
        if out is not x and may_share_memory(out, x):
            return False
    return True


cdef int run_on(
    Found found, str precision, list arrays, int outputs, tuple axes, np.ndarray stats, Py_ssize_t piece_numbers,
    tuple parameters, str activation, bint reduces, bint is_exact, Py_ssize_t stats_numbers, int constants,
    tuple results,
) except -1:
    cdef Job job
    cdef double values[MOST_PARAMETERS]
    cdef double* own_stats = NULL
    cdef Environment callers
    cdef np.ndarray array
    cdef int k, kind
    job.operands = len(arrays)
    job.outputs = outputs
    job.constants = constants
    job.kept.count = 0
    job.reduced.count = 0
    job.has_failed = False
    job.item = 4 if precision == "float32" else 8
    for k in range(job.operands):
        array = arrays[k]
        job.data[k] = np.PyArray_BYTES(array)
        job.items[k] = np.PyArray_ITEMSIZE(array)
        job.widen[k] = job.narrow[k] = NULL
        if job.items[k] == 2:
            half = "float16" if np.PyArray_TYPE(array) == np.NPY_FLOAT16 else "bfloat16"
            job.widen[k] = element_wise(precision, f"float32_of_{half}")
            job.narrow[k] = element_wise(precision, f"{half}_of_float32")
    for k in range(RESULTS):
        job.results[k] = np.PyArray_BYTES(<np.ndarray>results[k]) if results else NULL
    # The order of the kept elements is that of statistics and results. Of maps it is any: neighbours are to be columns.
    arrange(&job, arrays, axes, stats is None and not results)
    for k in range(len(parameters)):
        values[k] = parameters[k]
    job.parameters = values
    job.piece_numbers = piece_numbers
    job.stats_numbers = stats_numbers
    job.short_row = found.short_row
    job.longest_whole = WHOLE if is_exact else PIECE
    # Moments of binary32, as it is.
    job.is_read_once = not is_exact and outputs == 0 and precision == "float32"
    job.reduces = reduces
    job.pieces = NULL
    job.activation = NULL
    if activation is not None:
        job.activation = element_wise(precision, f"scalar_{activation}")
    # Rows or columns decides about the kernels, whether there is one for all decides about the cut.
    job.whole = NULL
    job.keeps_terms = False
    cut(&job, TILE)
    kind = job.is_columns
    if found.whole[kind] != NULL:
        job.whole = found.whole[kind]
        job.keeps_terms = found.keeps_terms
        cut(&job, TILE)
    job.is_in_one_go = job.whole != NULL or (reduces and job.all_reduced * job.tile <= WHOLE) or (
        # Results are not read again.
        job.results[0] != NULL and job.piece_count == 1
    )
    # What is in one go is still in the cache, and of few columns: stores of such parts of rows take longer.
    job.are_streamed_by_kernel = (
        found.is_streaming and job.is_columns and job.activation == NULL and not job.is_in_one_go
        and not job.is_packed[job.operands - 1] and are_large(&job, job.operands - constants, STREAMED_FROM)
    )
    if job.are_streamed_by_kernel and not found.is_long_apply and not job.is_packed[0]:
        cut(&job, LONG_TILE)
    job.reduce = found.reduce[kind]
    job.combine = found.combine
    job.apply = found.apply[kind]
    job.is_streamed = (
        takes_rows(&job) and are_large(&job, job.operands, BEYOND_CACHES) and are_rows_one_block(&job)
        and not (found.keeps_terms and precision == "float32" and job.all_reduced >= KEPT_ROW)
    )
    job.are_columns_streamed = (
        job.is_columns and are_large(&job, job.operands, BEYOND_CACHES) and not job.is_packed[job.operands - 1]
    )
    for k in range(job.operands):
        job.is_overwritten[k] = is_overwritten(&job, k)
    job.is_long = found.is_long
    job.is_long_apply = found.is_long_apply
    if stats is None:
        if not job.is_in_one_go and stats_numbers > 0:
            own_stats = <double*>PyMem_RawCalloc(stats_numbers * job.all_kept, NUMBER)
            if own_stats == NULL:
                raise MemoryError
        job.stats = own_stats
    else:
        job.stats = <double*>np.PyArray_DATA(stats)
    if reduces and not job.is_in_one_go:
        job.pieces = <double*>PyMem_RawMalloc(job.groups * job.tile * job.piece_count * piece_numbers * NUMBER)
        if job.pieces == NULL:
            PyMem_RawFree(own_stats)
            raise MemoryError
    callers = enter_environment()
    with nogil:
        run_job(&job)
    leave_environment(callers)
    PyMem_RawFree(job.pieces)
    PyMem_RawFree(own_stats)
    if job.has_failed:
        raise MemoryError
    return 0
