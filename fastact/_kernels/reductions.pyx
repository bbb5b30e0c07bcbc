"""The front door of the reductions: any arrays, any axes, in blocks, by several threads.

The axes are either kept or reduced. What belongs to one element of the kept axes is a *row*; it is cut into *pieces*
of fixed size, from which a kernel makes partial results, another one makes statistics of all pieces in their order,
and a third one the output, piece by piece. Rows that fit the cache go through the three in one go.

Where a row is contiguous, so is a piece (`is_columns` false). Where the last kept axis is, a piece is a block of
neighbouring columns, and the vectors run across them. Everything else is copied into such a piece, block by block, and
the output back. The cut depends on shapes, axes and strides only: never on the threads.
"""

from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from cpython.pycapsule cimport PyCapsule_GetPointer
cimport numpy as np

from fastact._kernels.ufuncs cimport BlockKernel, Task, find_block_kernel, run_block, run_chunks

from fastact._kernels.ufuncs import KERNELS

np.import_array()

cdef extern from "environment.h" nogil:
    ctypedef struct Environment "fastact_environment":
        pass
    Environment enter_environment "fastact_enter_environment"() noexcept
    void leave_environment "fastact_leave_environment"(Environment) noexcept

ctypedef void (*Kernel)(char** args, Py_ssize_t n) noexcept nogil

cdef enum:
    MOST_OPERANDS = 8
    MOST_AXES = 64
    # The arguments of a kernel before its arrays, see lanes.pxd.
    STATS = 0
    PIECES = 1
    PARAMETERS = 2
    SCRATCH = 3
    X = 4
    # Its lengths before the arrays' steps.
    ROWS = 0
    WIDTH = 1
    KEPT = 2
    COUNT = 3
    STEP = 4
    # Elements of a piece of a row; rows and columns of a piece of columns.
    PIECE = 4096
    PIECE_ROWS = 256
    TILE = 256
    # Pieces of rows with segments shorter than this are packed together.
    SHORT = 128
    # Elements of a row, or a tile of columns, that are worked on in one go: they stay in the second-level cache.
    WHOLE = 65536
    NARROWEST_TILE = 16
    # Rows shorter than this are turned into columns.
    SHORT_ROW = 16
    # Elements of a chunk, and how many stay in one thread.
    CHUNK = 32768
    SERIAL_BELOW = 65536
    SCRATCH_NUMBERS = 16 * TILE
    NUMBER = 8
    CACHE_LINE = 64


cdef struct Axes:
    int count
    Py_ssize_t length[MOST_AXES]
    Py_ssize_t step[MOST_OPERANDS][MOST_AXES]


cdef struct Job:
    Axes kept
    Axes reduced
    int operands
    int outputs
    char* data[MOST_OPERANDS]
    Py_ssize_t item
    # The kernels; some are NULL.
    BlockKernel whole
    BlockKernel reduce
    BlockKernel combine
    BlockKernel apply
    Kernel activation
    double* parameters
    double* stats
    double* pieces
    Py_ssize_t piece_numbers
    Py_ssize_t longest_whole
    # The cut.
    bint is_columns
    bint is_flat
    bint is_packed[MOST_OPERANDS]
    Py_ssize_t all_kept
    Py_ssize_t all_reduced
    Py_ssize_t columns
    Py_ssize_t tile
    Py_ssize_t tiles
    Py_ssize_t groups
    Py_ssize_t piece
    Py_ssize_t segment_pieces
    Py_ssize_t piece_count
    Py_ssize_t per_chunk
    bint is_in_one_go
    bint has_failed


# ---- The cut.

cdef Py_ssize_t product(const Axes* axes) noexcept nogil:
    cdef Py_ssize_t total = 1
    cdef int k
    for k in range(axes.count):
        total *= axes.length[k]
    return total


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


cdef inline Py_ssize_t last_length(const Axes* axes) noexcept nogil:
    return axes.length[axes.count - 1] if axes.count else 1


cdef inline Py_ssize_t last_step(const Job* job, const Axes* axes, int k) noexcept nogil:
    return axes.step[k][axes.count - 1] if axes.count else job.item


cdef inline Py_ssize_t distance(Py_ssize_t step) noexcept nogil:
    return -step if step < 0 else step


cdef void cut(Job* job) noexcept nogil:
    """Choose rows or columns, the pieces, and what is to be packed."""
    cdef Py_ssize_t kept_step = last_step(job, &job.kept, 0)
    cdef Py_ssize_t reduced_step = last_step(job, &job.reduced, 0)
    cdef Py_ssize_t segment = last_length(&job.reduced)
    cdef Py_ssize_t rest, step
    cdef int k
    job.all_kept = product(&job.kept)
    job.all_reduced = product(&job.reduced)
    job.columns = last_length(&job.kept)
    job.is_columns = job.columns >= NARROWEST_TILE and (
        distance(kept_step) < distance(reduced_step) or (job.reduced.count < 2 and job.all_reduced < SHORT_ROW)
    )
    job.is_flat = job.reduced.count > 1 and segment < (PIECE_ROWS // 16 if job.is_columns else SHORT)
    if job.is_columns:
        job.piece = PIECE_ROWS
        job.tile = TILE
        if job.whole != NULL and job.all_reduced * NARROWEST_TILE <= WHOLE:
            job.tile = min(job.tile, WHOLE // job.all_reduced // NARROWEST_TILE * NARROWEST_TILE)
        else:
            job.whole = NULL
        job.tile = min(job.tile, job.columns)
        job.tiles = (job.columns + job.tile - 1) // job.tile
    else:
        job.columns = 1
        job.tile = 1
        job.tiles = 1
        job.piece = PIECE
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
        step = last_step(job, &job.kept if job.is_columns else &job.reduced, k)
        job.is_packed[k] = job.is_flat or step != job.item or (
            job.is_columns and last_step(job, &job.reduced, k) % job.item != 0
        )


# ---- Packing.

cdef inline void copy_grid(
    char* target, Py_ssize_t target_row, Py_ssize_t target_step,
    const char* source, Py_ssize_t source_row, Py_ssize_t source_step,
    Py_ssize_t rows, Py_ssize_t width, Py_ssize_t item,
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef char* to
    cdef const char* from_
    if width == 1:
        width = rows
        rows = 1
        target_step = target_row
        source_step = source_row
    for i in range(rows):
        to = target + i * target_row
        from_ = source + i * source_row
        if target_step == item and source_step == item:
            memcpy(to, from_, width * item)
        elif item == 4:
            for j in range(width):
                (<int32_t*>(to + j * target_step))[0] = (<const int32_t*>(from_ + j * source_step))[0]
        else:
            for j in range(width):
                (<int64_t*>(to + j * target_step))[0] = (<const int64_t*>(from_ + j * source_step))[0]


cdef Py_ssize_t offset_at(const Axes* axes, int k, Py_ssize_t index, int count) noexcept nogil:
    """Return the offset of an element of the first `count` axes, counted in C order."""
    cdef Py_ssize_t offset = 0
    cdef int axis
    for axis in range(count - 1, -1, -1):
        offset += index % axes.length[axis] * axes.step[k][axis]
        index //= axes.length[axis]
    return offset


cdef void pack(
    const Job* job, int k, char* memory, Py_ssize_t start, Py_ssize_t rows, Py_ssize_t width, char* buffer, bint back
) noexcept nogil:
    """Copy elements [start, start + rows) of the reduced axes, of `width` columns, to the buffer or back."""
    cdef Py_ssize_t segment = last_length(&job.reduced)
    cdef Py_ssize_t row_step = last_step(job, &job.reduced, k)
    cdef Py_ssize_t column_step = last_step(job, &job.kept, k)
    cdef Py_ssize_t inside, length
    cdef char* source
    while rows > 0:
        inside = start % segment
        length = min(rows, segment - inside)
        source = memory + offset_at(&job.reduced, k, start // segment, job.reduced.count - 1) + inside * row_step
        if back:
            copy_grid(source, row_step, column_step, buffer, width * job.item, job.item, length, width, job.item)
        else:
            copy_grid(buffer, width * job.item, job.item, source, row_step, column_step, length, width, job.item)
        buffer += length * width * job.item
        start += length
        rows -= length


# ---- One piece.

cdef struct Piece:
    Py_ssize_t flat
    Py_ssize_t width
    Py_ssize_t start
    Py_ssize_t rows


cdef inline Piece piece_at(const Job* job, Py_ssize_t group, Py_ssize_t number) noexcept nogil:
    cdef Piece piece
    cdef Py_ssize_t segment = job.all_reduced if job.is_flat else last_length(&job.reduced)
    cdef Py_ssize_t column = group % job.tiles * job.tile
    cdef Py_ssize_t inside = number % job.segment_pieces * job.piece
    piece.flat = group // job.tiles * job.columns + column
    piece.width = min(job.tile, job.columns - column)
    piece.start = number // job.segment_pieces * segment + inside
    piece.rows = min(job.piece, segment - inside)
    return piece


cdef void run_piece(
    const Job* job, BlockKernel kernel, const Piece* piece, double* pieces, double* scratch, char* buffers, bint writes
) noexcept nogil:
    """Call a kernel on one piece, packed where it has to be."""
    cdef char* args[MOST_OPERANDS + X]
    cdef Py_ssize_t lengths[MOST_OPERANDS + STEP]
    cdef char* memory[MOST_OPERANDS]
    cdef Py_ssize_t segment = last_length(&job.reduced)
    cdef int inputs = job.operands - job.outputs
    cdef Py_ssize_t room = job.piece * job.tile * job.item
    cdef int k
    args[STATS] = <char*>(job.stats + piece.flat)
    args[PIECES] = <char*>pieces
    args[PARAMETERS] = <char*>job.parameters
    args[SCRATCH] = <char*>scratch
    lengths[ROWS] = piece.rows
    lengths[WIDTH] = piece.width
    lengths[KEPT] = job.all_kept
    lengths[COUNT] = job.piece_count
    for k in range(job.operands):
        memory[k] = job.data[k] + offset_at(&job.kept, k, piece.flat, job.kept.count)
        if job.is_packed[k]:
            args[X + k] = buffers + k * room
            lengths[STEP + k] = piece.width
            if k < inputs:
                pack(job, k, memory[k], piece.start, piece.rows, piece.width, args[X + k], False)
        else:
            args[X + k] = (
                memory[k]
                + offset_at(&job.reduced, k, piece.start // segment, job.reduced.count - 1)
                + piece.start % segment * last_step(job, &job.reduced, k)
            )
            lengths[STEP + k] = last_step(job, &job.reduced, k) // job.item
    run_block(kernel, args, lengths)
    if writes:
        if job.activation != NULL:
            activate(job, args[X + inputs], lengths[STEP + inputs] * job.item, piece.rows, piece.width)
        for k in range(inputs, job.operands):
            if job.is_packed[k]:
                pack(job, k, memory[k], piece.start, piece.rows, piece.width, args[X + k], True)


cdef void activate(const Job* job, char* y, Py_ssize_t row_step, Py_ssize_t rows, Py_ssize_t width) noexcept nogil:
    """Call the activation's kernel on what the cache still holds."""
    cdef char* args[2]
    cdef Py_ssize_t i
    if not job.is_columns or row_step == width * job.item:
        width *= rows
        rows = 1
    for i in range(rows):
        args[0] = y + i * row_step
        args[1] = args[0]
        job.activation(args, width)


cdef void run_rows(
    const Job* job, Py_ssize_t first, Py_ssize_t rows, double* scratch
) noexcept nogil:
    """Call the kernel for whole rows on rows that are neighbours on the last kept axis."""
    cdef char* args[MOST_OPERANDS + X]
    cdef Py_ssize_t lengths[MOST_OPERANDS + STEP]
    cdef Py_ssize_t inside, length
    cdef int k
    while rows > 0:
        inside = first % last_length(&job.kept)
        length = min(rows, last_length(&job.kept) - inside)
        args[STATS] = <char*>(job.stats + first)
        args[PARAMETERS] = <char*>job.parameters
        args[SCRATCH] = <char*>scratch
        lengths[ROWS] = job.all_reduced
        lengths[WIDTH] = length
        lengths[KEPT] = job.all_kept
        for k in range(job.operands):
            args[X + k] = job.data[k] + offset_at(&job.kept, k, first, job.kept.count)
            lengths[STEP + k] = last_step(job, &job.kept, k) // job.item
        run_block(job.whole, args, lengths)
        first += length
        rows -= length


cdef void run_group(const Job* job, Py_ssize_t group, double* pieces, double* scratch, char* buffers) noexcept nogil:
    """Do everything for one row, or one tile of columns."""
    cdef Piece piece
    cdef Py_ssize_t number
    if job.whole != NULL:
        piece = piece_at(job, group, 0)
        run_piece(job, job.whole, &piece, pieces, scratch, buffers, True)
        return
    for number in range(job.piece_count):
        piece = piece_at(job, group, number)
        if job.reduce != NULL:
            run_piece(job, job.reduce, &piece, pieces + number * job.piece_numbers * piece.width, scratch, buffers, False)
    if job.combine != NULL:
        combine(job, group, pieces, scratch)
    if job.apply != NULL:
        for number in range(job.piece_count):
            piece = piece_at(job, group, number)
            run_piece(job, job.apply, &piece, pieces, scratch, buffers, True)


cdef void combine(const Job* job, Py_ssize_t group, double* pieces, double* scratch) noexcept nogil:
    cdef char* args[X]
    cdef Py_ssize_t lengths[STEP]
    cdef Piece piece = piece_at(job, group, 0)
    args[STATS] = <char*>(job.stats + piece.flat)
    args[PIECES] = <char*>pieces
    args[PARAMETERS] = <char*>job.parameters
    args[SCRATCH] = <char*>scratch
    lengths[ROWS] = job.all_reduced
    lengths[WIDTH] = piece.width
    lengths[KEPT] = job.all_kept
    lengths[COUNT] = job.piece_count
    run_block(job.combine, args, lengths)


cdef inline double* pieces_of(const Job* job, Py_ssize_t group) noexcept nogil:
    return job.pieces + group * job.tile * job.piece_count * job.piece_numbers


# ---- Chunks: what one thread takes at a time.

cdef inline Py_ssize_t pieces_room(const Job* job) noexcept nogil:
    """Return the size of scratch, and of the pieces of one row or tile if they are not in `Job.pieces`."""
    cdef Py_ssize_t numbers = job.tile * job.piece_count * job.piece_numbers if job.is_in_one_go else 0
    return (SCRATCH_NUMBERS * NUMBER + numbers * NUMBER + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE


cdef inline char* aligned(char* memory) noexcept nogil:
    return memory + (-<uintptr_t>memory & (CACHE_LINE - 1))


cdef inline char* buffers_for(Job* job) noexcept nogil:
    """Return memory for scratch, one row's pieces and packed operands; the caller frees it. NULL if there is none."""
    cdef Py_ssize_t packed = 0
    cdef int k
    cdef char* memory
    for k in range(job.operands):
        packed = job.operands if job.is_packed[k] else packed
    memory = <char*>malloc(pieces_room(job) + packed * job.piece * job.tile * job.item + CACHE_LINE)
    if memory == NULL:
        job.has_failed = True
    return memory


cdef bint takes_rows(const Job* job) noexcept nogil:
    """Return whether the kernel for whole rows can be called on the arrays as they are."""
    cdef int k
    if job.whole == NULL or job.is_columns:
        return False
    for k in range(job.operands):
        if job.is_packed[k] or last_step(job, &job.kept, k) % job.item != 0:
            return False
    return job.activation == NULL


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
        run_rows(job, first, last - first, scratch)
    else:
        for group in range(first, last):
            run_group(job, group, scratch + SCRATCH_NUMBERS, scratch, aligned(memory) + pieces_room(job))
    free(memory)


cdef void run_piece_chunk(Job* job, Py_ssize_t chunk, BlockKernel kernel, bint writes) noexcept nogil:
    cdef Py_ssize_t first = chunk * job.per_chunk
    cdef Py_ssize_t last = min(first + job.per_chunk, job.groups * job.piece_count)
    cdef Py_ssize_t number, group
    cdef Piece piece
    cdef char* memory = buffers_for(job)
    if memory == NULL:
        return
    for number in range(first, last):
        group = number // job.piece_count
        piece = piece_at(job, group, number % job.piece_count)
        run_piece(
            job, kernel, &piece,
            pieces_of(job, group) + number % job.piece_count * job.piece_numbers * piece.width,
            <double*>aligned(memory), aligned(memory) + pieces_room(job), writes,
        )
    free(memory)


cdef void reduce_chunk(void* context, Py_ssize_t chunk) noexcept nogil:
    run_piece_chunk(<Job*>context, chunk, (<Job*>context).reduce, False)


cdef void apply_chunk(void* context, Py_ssize_t chunk) noexcept nogil:
    run_piece_chunk(<Job*>context, chunk, (<Job*>context).apply, True)


cdef inline Py_ssize_t share(Job* job, Py_ssize_t units) noexcept nogil:
    """Set how many units a chunk takes; return the number of chunks."""
    cdef Py_ssize_t elements = job.all_kept * job.all_reduced
    job.per_chunk = units if elements < SERIAL_BELOW else max(<Py_ssize_t>1, CHUNK // max(<Py_ssize_t>1, elements // units))
    return (units + job.per_chunk - 1) // job.per_chunk


cdef void run_job(Job* job) noexcept nogil:
    cdef Py_ssize_t group
    cdef double scratch[SCRATCH_NUMBERS]
    if job.is_in_one_go:
        run_chunks(<Task>group_chunk, job, share(job, job.groups))
        return
    if job.reduce != NULL:
        run_chunks(<Task>reduce_chunk, job, share(job, job.groups * job.piece_count))
    if job.combine != NULL:
        for group in range(job.groups):
            combine(job, group, pieces_of(job, group), scratch)
    if job.apply != NULL and not job.has_failed:
        run_chunks(<Task>apply_chunk, job, share(job, job.groups * job.piece_count))


# ---- From Python.

def address(np.ndarray array):
    """Return where an array's first element is."""
    return <uintptr_t>np.PyArray_BYTES(array)


cdef BlockKernel find(str precision, str name, str kind) except? NULL:
    """Return a kernel, NULL if there is none of that name."""
    full = f"{name}_{kind}"
    return find_block_kernel(precision, full) if full in KERNELS[precision] else NULL


cdef int arrange(Job* job, list arrays, tuple axes) except -1:
    """Sort the axes into kept and reduced ones, the reduced ones from the longest step to the shortest."""
    cdef Py_ssize_t steps[MOST_OPERANDS]
    cdef np.ndarray array
    cdef int k, axis
    first = arrays[0]
    strides = first.strides
    reduced = axes if len(axes) < 2 else sorted(axes, key=lambda axis: -abs(strides[axis]))
    for axis in [*(axis for axis in range(first.ndim) if axis not in axes), *reduced]:
        for k in range(job.operands):
            array = arrays[k]
            steps[k] = array.strides[axis]
        add_axis(job, &job.reduced if axis in axes else &job.kept, first.shape[axis], steps)
    return 0


def run(
    str name, str precision, list arrays, int outputs, tuple axes, np.ndarray stats, Py_ssize_t piece_numbers=0,
    tuple parameters=(), str activation=None, bint reduces=True, str apply=None, bint is_exact=True,
):
    """Run the kernels of one operation.

    Parameters
    ----------
    name : str
        The kernels are ``NAME_row`` and ``NAME_columns`` (partial results of a piece), ``NAME_combine``, and of `apply`
        (or `name`) ``APPLY_apply_row`` and ``APPLY_apply_columns``; for whole rows, ``APPLY_rows``, ``APPLY_columns``.
    precision : str
        ``float32`` or ``float64``.
    arrays : list of ndarray
        Inputs, then outputs, all of one shape and of that type, without an element at the same place twice in outputs.
    outputs : int
        How many of `arrays` are outputs.
    axes : tuple of int
        The reduced axes, not negative.
    stats : ndarray of float64
        Statistics, of shape (numbers, kept elements); some may be inputs.
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
    """
    cdef Job job
    cdef double values[8]
    cdef Environment callers
    cdef np.ndarray array
    cdef int k
    cdef str kind
    job.operands = len(arrays)
    job.outputs = outputs
    job.kept.count = 0
    job.reduced.count = 0
    job.has_failed = False
    array = arrays[0]
    job.item = array.itemsize
    for k in range(job.operands):
        array = arrays[k]
        job.data[k] = np.PyArray_BYTES(array)
    arrange(&job, arrays, axes)
    for k in range(len(parameters)):
        values[k] = parameters[k]
    job.parameters = values
    job.stats = <double*>np.PyArray_DATA(stats)
    job.piece_numbers = piece_numbers
    job.longest_whole = WHOLE if is_exact else PIECE
    job.pieces = NULL
    job.activation = NULL
    if activation is not None:
        job.activation = <Kernel>PyCapsule_GetPointer(KERNELS[precision][f"scalar_{activation}"], b"void (char **, Py_ssize_t)")
    # Rows or columns decides about the kernels, whether there is one for all decides about the cut.
    job.whole = NULL
    cut(&job)
    kind = "columns" if job.is_columns else "row"
    whole = f"{apply or name}_whole_{kind}"
    if reduces and whole in KERNELS[precision]:
        job.whole = find_block_kernel(precision, whole)
        cut(&job)
    job.reduce = find(precision, name, kind) if reduces else NULL
    job.combine = find(precision, name, "combine") if reduces else NULL
    job.apply = find(precision, apply, f"apply_{kind}") if apply is not None else NULL
    job.is_in_one_go = job.whole != NULL or (reduces and job.all_reduced * job.tile <= WHOLE)
    if reduces and not job.is_in_one_go:
        job.pieces = <double*>malloc(job.groups * job.tile * job.piece_count * piece_numbers * NUMBER)
        if job.pieces == NULL:
            raise MemoryError
    callers = enter_environment()
    with nogil:
        run_job(&job)
    leave_environment(callers)
    free(job.pieces)
    if job.has_failed:
        raise MemoryError
