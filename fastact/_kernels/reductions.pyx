"""The front door of the reductions: any arrays, any axes, in blocks, by several threads.

The axes are either kept or reduced. What belongs to one element of the kept axes is a *row*; it is cut into *pieces*
of fixed size, from which a kernel makes partial results, another one makes statistics of all pieces in their order,
and a third one the output, piece by piece. Rows that fit the cache go through the three in one go.

Where a row is contiguous, so is a piece (`is_columns` false). Where the last kept axis is, a piece is a block of
neighbouring columns, and the vectors run across them. Everything else is copied into such a piece, block by block, and
the output back. The cut depends on shapes, axes and strides only: never on the threads.
"""

from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy
from cpython.pycapsule cimport PyCapsule_GetPointer
cimport numpy as np

from fastact._kernels.copies cimport CACHE_LINE, aligned, copy, distance
from fastact._kernels.environment cimport Environment, enter_environment, leave_environment
from fastact._kernels.layout cimport (
    COUNT, KEPT, PARAMETERS, PIECES, ROWS, SCRATCH, SCRATCH_PER_COLUMN, SHORT_ROW, STATS, STEP, WIDTH, X
)
from fastact._kernels.operands cimport MOST_AXES, is_computed, may_share_memory
from fastact._kernels.stream cimport BEYOND_CACHES, CAN_STREAM, end_stream, stream
from fastact._kernels.ufuncs cimport BlockKernel, Task, find_block_kernel, run_block, run_chunks

from fastact._kernels.ufuncs import KERNELS

np.import_array()

cdef extern from "numpy/arrayobject.h":
    object PyArray_NewLikeArray(np.ndarray array, np.NPY_ORDER order, void* dtype, int is_subclass)

cdef extern from *:
    void fetch_line "__builtin_prefetch"(const void* memory, int is_written) noexcept nogil

ctypedef void (*Kernel)(char** args, Py_ssize_t n) noexcept nogil

cdef enum:
    MOST_OPERANDS = 8
    MOST_PARAMETERS = 8
    RESULTS = 2
    # Elements of a piece of a row; rows and columns of a piece of columns.
    PIECE = 4096
    PIECE_ROWS = 256
    # The same where large arrays are read once: the partial results of 256 rows take a tenth of the time.
    LONG_PIECE_ROWS = 1024
    # Neighbouring rows of memory are read in long stretches: of 1024 columns at twice the speed of 256, beyond the cache.
    TILE = 1024
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
    # Elements of whole rows that go past the caches at a time.
    STREAMED = 4096
    # The same of columns: the memory reads and writes at a time where little of each is done in turns. A kernel that took
    # 16384 gained nothing.
    STREAMED_COLUMNS = 1024
    # Elements of a chunk, and how many stay in one thread. Where results are all there is to do, of large arrays: a piece
    # costs a microsecond besides (2**22 numbers in 256 columns take 0.8 of the time).
    CHUNK = 8192
    LARGE_CHUNK = 32768
    SERIAL_BELOW = 65536
    SCRATCH_NUMBERS = 4096
    NUMBER = 8


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
    # The size of an element, in the kernels and in each operand's memory; what converts those of 16 bits, and back.
    Py_ssize_t item
    Py_ssize_t items[MOST_OPERANDS]
    Kernel widen[MOST_OPERANDS]
    Kernel narrow[MOST_OPERANDS]
    # The kernels; some are NULL.
    BlockKernel whole
    BlockKernel reduce
    BlockKernel combine
    BlockKernel apply
    Kernel activation
    double* parameters
    double* stats
    # Two numbers of each kept element, in the kernels' precision; NULL where there are none.
    char* results[RESULTS]
    double* pieces
    Py_ssize_t piece_numbers
    Py_ssize_t longest_whole
    # Kernels that only reduce, and do not come back to a piece: it need not stay in a cache.
    bint is_read_once
    # The cut.
    bint reduces
    bint is_columns
    bint is_flat
    bint is_packed[MOST_OPERANDS]
    # Inputs, the last ones, of which the kernel of columns reads one number for each row of them.
    int constants
    # Elements from one row of a piece to the next where it is not packed.
    Py_ssize_t steps[MOST_OPERANDS]
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
    bint is_streamed
    bint are_columns_streamed
    # Inputs in whose place a kernel of columns writes.
    bint is_overwritten[MOST_OPERANDS]
    # Whether the kernels have many operations: see LONG.
    bint is_long
    bint is_long_apply
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
    return axes.step[k][axes.count - 1] if axes.count else job.items[k]


cdef inline bint is_constant(const Job* job, int k) noexcept nogil:
    cdef int inputs = job.operands - job.outputs
    return job.is_columns and inputs - job.constants <= k < inputs


cdef void cut(Job* job) noexcept nogil:
    """Choose rows or columns, the pieces, and what is to be packed."""
    cdef Py_ssize_t kept_step = last_step(job, &job.kept, 0)
    cdef Py_ssize_t reduced_step = last_step(job, &job.reduced, 0)
    cdef Py_ssize_t segment = last_length(&job.reduced)
    cdef Py_ssize_t rest, step, most
    cdef int k
    job.all_kept = product(&job.kept)
    job.all_reduced = product(&job.reduced)
    job.columns = last_length(&job.kept)
    # From beyond the second-level cache.
    cdef bint is_read_twice = job.reduces and job.outputs > 0 and job.all_kept * job.all_reduced > SECOND_LEVEL
    job.is_columns = job.columns >= NARROWEST_TILE and (
        distance(kept_step) < distance(reduced_step) or (job.reduced.count < 2 and job.all_reduced < SHORT_ROW)
    )
    job.is_flat = job.reduced.count > 1 and segment < (PIECE_ROWS // 16 if job.is_columns else SHORT)
    cdef bint is_in_place = (
        not job.is_flat and job.items[0] == job.item and kept_step == job.item and reduced_step % job.item == 0
    )
    if job.is_columns:
        # An activation finds less than that in the cache.
        job.piece = PIECE_ROWS if job.reduces else PIECE_ROWS // 4
        if job.is_read_once and is_in_place and job.all_kept * job.all_reduced > 16 * SECOND_LEVEL:
            job.piece = LONG_PIECE_ROWS
        job.tile = TILE
        if job.whole != NULL and job.outputs == 0 and job.all_reduced > PIECE_ROWS:
            # What is not read again goes by in long stretches of memory; a piece and the next one stay in the cache.
            job.whole = NULL
            job.tile = TILE // 2
        elif job.all_reduced * NARROWEST_WHOLE > WHOLE:
            job.whole = NULL
        elif job.whole != NULL or (is_read_twice and job.all_reduced <= WHOLE // WHOLE_TILE * 4):
            job.tile = min(<Py_ssize_t>WHOLE_TILE, WHOLE // job.all_reduced // NARROWEST_TILE * NARROWEST_TILE)
        if job.results[0] != NULL and job.all_reduced <= SHORT_COLUMN:
            job.tile = NARROW_TILE
        if 0 < job.columns % job.tile < vector(job) and job.columns > job.tile:
            # See `run_columns`: the last tile is to have a whole vector.
            job.tile -= vector(job)
        job.tile = min(job.tile, job.columns)
        if not job.reduces:
            most = LARGE_CHUNK if is_in_place and job.all_kept * job.all_reduced > SECOND_LEVEL else CHUNK
            job.piece = min(<Py_ssize_t>PIECE_ROWS, max(<Py_ssize_t>1, most // job.tile))
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
        step = job.item if is_constant(job, k) else last_step(job, &job.kept if job.is_columns else &job.reduced, k)
        job.is_packed[k] = job.is_flat or step != job.item or job.items[k] != job.item or (
            job.is_columns and last_step(job, &job.reduced, k) % job.item != 0
        )
        job.steps[k] = last_step(job, &job.reduced, k) // job.item


# ---- Packing.

cdef inline void copy_grid(
    char* target, Py_ssize_t target_row, Py_ssize_t target_step,
    const char* source, Py_ssize_t source_row, Py_ssize_t source_step,
    Py_ssize_t rows, Py_ssize_t width, Py_ssize_t item,
) noexcept nogil:
    cdef Py_ssize_t i
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
            # What the next tile reads and writes.
            for j in range(width * item // CACHE_LINE):
                fetch_line(from_ + width * item + j * CACHE_LINE, 0)
                fetch_line(to + width * item + j * CACHE_LINE, 1)
            memcpy(to, from_, width * item)
        else:
            copy(to, target_step, from_, source_step, width, item)


cdef inline void move(const Axes* axes, int first, int last, Py_ssize_t index, int count, char** places) noexcept nogil:
    """Move operands' places on to an element of the first `count` axes, counted in C order.

    All of them in one go: a division takes longer than the rest.
    """
    cdef Py_ssize_t outer
    cdef int axis, k
    for axis in range(count - 1, -1, -1):
        outer = index // axes.length[axis] if axis > 0 else 0
        for k in range(first, last):
            places[k] += (index - outer * axes.length[axis]) * axes.step[k][axis]
        index = outer


cdef void pack(
    const Job* job, int k, char* memory, Py_ssize_t start, Py_ssize_t rows, Py_ssize_t width, char* buffer, bint back
) noexcept nogil:
    """Copy elements [start, start + rows) of the reduced axes, of `width` columns, to the buffer or back."""
    cdef Py_ssize_t segment = last_length(&job.reduced)
    cdef Py_ssize_t row_step = last_step(job, &job.reduced, k)
    cdef Py_ssize_t column_step = last_step(job, &job.kept, k)
    cdef Py_ssize_t item = job.items[k]
    cdef Py_ssize_t inside, length
    cdef char* places[MOST_OPERANDS]
    while rows > 0:
        inside = start % segment
        length = min(rows, segment - inside)
        places[k] = memory + inside * row_step
        move(&job.reduced, k, k + 1, start // segment, job.reduced.count - 1, places)
        if back:
            copy_grid(places[k], row_step, column_step, buffer, width * item, item, length, width, item)
        else:
            copy_grid(buffer, width * item, item, places[k], row_step, column_step, length, width, item)
        buffer += length * width * item
        start += length
        rows -= length


cdef void load(
    const Job* job, int k, char* memory, Py_ssize_t start, Py_ssize_t rows, Py_ssize_t width, char* buffer, char* halves
) noexcept nogil:
    """Pack an input, and widen it if it has 16 bits."""
    cdef char* args[2]
    if job.widen[k] == NULL:
        pack(job, k, memory, start, rows, width, buffer, False)
        return
    pack(job, k, memory, start, rows, width, halves, False)
    args[0], args[1] = halves, buffer
    job.widen[k](args, rows * width)


cdef void store(
    const Job* job, int k, char* memory, Py_ssize_t start, Py_ssize_t rows, Py_ssize_t width, char* buffer, char* halves
) noexcept nogil:
    """Unpack an output, rounded if it has 16 bits."""
    cdef char* args[2]
    if job.narrow[k] == NULL:
        pack(job, k, memory, start, rows, width, buffer, True)
        return
    args[0], args[1] = buffer, halves
    job.narrow[k](args, rows * width)
    pack(job, k, memory, start, rows, width, halves, True)


# ---- One piece.

cdef struct Piece:
    Py_ssize_t flat
    Py_ssize_t width
    Py_ssize_t start
    Py_ssize_t rows
    # Where it starts, if it does not go over segments: in which one, and where in it.
    Py_ssize_t segment
    Py_ssize_t inside


cdef inline Piece piece_at(const Job* job, Py_ssize_t group, Py_ssize_t number) noexcept nogil:
    cdef Piece piece
    cdef Py_ssize_t segment = job.all_reduced if job.is_flat else last_length(&job.reduced)
    cdef Py_ssize_t outer = group if job.tiles == 1 else group // job.tiles
    cdef Py_ssize_t column = (group - outer * job.tiles) * job.tile
    piece.segment = number if job.segment_pieces == 1 else number // job.segment_pieces
    piece.inside = (number - piece.segment * job.segment_pieces) * job.piece
    piece.flat = outer * job.columns + column
    piece.width = min(job.tile, job.columns - column)
    piece.start = piece.segment * segment + piece.inside
    piece.rows = min(job.piece, segment - piece.inside)
    return piece


cdef inline void give_results(const Job* job, Py_ssize_t flat, char** args) noexcept nogil:
    """Tell a kernel where results go, behind the operands."""
    cdef int k
    for k in range(RESULTS if job.results[0] != NULL else 0):
        args[X + job.operands + k] = job.results[k] + flat * job.item


cdef inline Py_ssize_t vector(const Job* job) noexcept nogil:
    """Return how many elements the widest vectors have."""
    return CACHE_LINE // job.item


cdef inline bint has_last_columns(const Job* job, BlockKernel kernel, Py_ssize_t width) noexcept nogil:
    """Return whether more columns are left beside whole and half vectors, which compilers' loops have, than count."""
    cdef Py_ssize_t rest = width % vector(job)
    cdef bint is_long = job.is_long_apply if kernel == job.apply else job.is_long
    return is_long and job.is_columns and width > vector(job) and rest > 2 and rest % (vector(job) // 2) > 1


cdef inline void copy_rows(
    char* target, Py_ssize_t target_step, const char* source, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t size
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(rows):
        memcpy(target + i * target_step, source + i * step, size)


cdef void run_columns(
    const Job* job, BlockKernel kernel, char** args, Py_ssize_t* lengths, char* spare
) noexcept nogil:
    """Call a kernel of rows or columns; for columns that do not fill vectors twice, the second time on the last ones.

    These overlap, and some are computed again: alone, a column takes half as long as eight in a vector. softmax of
    (1000, 31) takes 0.45 of the time. `spare` is room for what the first call overwrites, if it does.
    """
    cdef char* last[MOST_OPERANDS + X]
    cdef Py_ssize_t last_lengths[MOST_OPERANDS + STEP]
    cdef Py_ssize_t width = lengths[WIDTH]
    cdef Py_ssize_t some = vector(job)
    cdef Py_ssize_t whole = width - width % vector(job)
    cdef Py_ssize_t skipped = width - some
    cdef char* pieces = args[PIECES]
    cdef int k
    if not has_last_columns(job, kernel, width):
        run_block(kernel, args, lengths)
        return
    memcpy(last_lengths, lengths, sizeof(last_lengths))
    last[STATS] = args[STATS] + skipped * NUMBER
    last[PARAMETERS] = args[PARAMETERS]
    last[SCRATCH] = args[SCRATCH] + SCRATCH_PER_COLUMN * whole * NUMBER
    args[PIECES] = last[SCRATCH] + SCRATCH_PER_COLUMN * some * NUMBER
    last[PIECES] = args[PIECES] + job.piece_numbers * whole * NUMBER
    for k in range(job.operands + (RESULTS if job.results[0] != NULL else 0)):
        last[X + k] = args[X + k] + (0 if is_constant(job, k) else skipped * job.item)
    for k in range(job.operands if spare != NULL else 0):
        if job.is_overwritten[k]:
            copy_rows(
                spare, some * job.item, last[X + k], lengths[STEP + k] * job.item, lengths[ROWS], some * job.item
            )
            last[X + k], last_lengths[STEP + k] = spare, some
            spare += lengths[ROWS] * some * job.item
    lengths[WIDTH], last_lengths[WIDTH] = whole, some
    run_block(kernel, args, lengths)
    run_block(kernel, last, last_lengths)
    lengths[WIDTH] = width
    if kernel == job.reduce:
        whole, some, width = whole * NUMBER, some * NUMBER, width * NUMBER
        copy_rows(pieces, width, args[PIECES], whole, job.piece_numbers, whole)
        copy_rows(pieces + width - some, width, last[PIECES], some, job.piece_numbers, some)
    args[PIECES] = pieces


cdef void run_piece(
    const Job* job, BlockKernel kernel, const Piece* piece, double* pieces, double* scratch, char* buffers, bint writes
) noexcept nogil:
    """Call a kernel on one piece, packed where it has to be."""
    cdef char* args[MOST_OPERANDS + X]
    cdef Py_ssize_t lengths[MOST_OPERANDS + STEP]
    cdef char* memory[MOST_OPERANDS]
    cdef int inputs = job.operands - job.outputs
    cdef Py_ssize_t room = job.piece * job.tile * job.item
    cdef Py_ssize_t width
    cdef char* halves = buffers + job.operands * room
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
        memory[k] = job.data[k]
    move(&job.kept, 0, job.operands, piece.flat, job.kept.count, memory)
    give_results(job, piece.flat, args)
    for k in range(job.operands):
        args[X + k] = memory[k] + piece.inside * last_step(job, &job.reduced, k)
    move(&job.reduced, 0, job.operands, piece.segment, job.reduced.count - 1, args + X)
    for k in range(job.operands):
        lengths[STEP + k] = job.steps[k]
        if job.is_packed[k]:
            width = 1 if is_constant(job, k) else piece.width
            args[X + k] = buffers + k * room
            lengths[STEP + k] = width
            if k < inputs:
                load(job, k, memory[k], piece.start, piece.rows, width, args[X + k], halves)
    if writes and job.are_columns_streamed:
        run_streamed_columns(job, kernel, args, lengths, buffers + packed_room(job) * job.item)
        return
    run_columns(job, kernel, args, lengths, buffers + packed_room(job) * job.item if writes else NULL)
    if writes:
        if job.activation != NULL:
            activate(job, args[X + inputs], lengths[STEP + inputs] * job.item, piece.rows, piece.width)
        for k in range(inputs, job.operands):
            if job.is_packed[k]:
                store(job, k, memory[k], piece.start, piece.rows, piece.width, args[X + k], halves)


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


cdef void run_streamed(const Job* job, char** args, Py_ssize_t* lengths, char* buffer) noexcept nogil:
    """Call the kernel for whole rows, some at a time, and have their output in a buffer, from where it is streamed."""
    cdef int out = X + job.operands - 1
    cdef Py_ssize_t rows = lengths[WIDTH]
    cdef Py_ssize_t row = job.all_reduced * job.item
    cdef char* memory = args[out]
    cdef int k
    args[out] = buffer
    while rows > 0:
        lengths[WIDTH] = min(rows, streamed_rows(job))
        run_block(job.whole, args, lengths)
        stream(memory, buffer, lengths[WIDTH] * row)
        memory += lengths[WIDTH] * row
        args[STATS] += lengths[WIDTH] * NUMBER
        for k in range(X, out):
            args[k] += lengths[WIDTH] * lengths[STEP + k - X] * job.item
        rows -= lengths[WIDTH]
    end_stream()


cdef void run_streamed_columns(
    const Job* job, BlockKernel kernel, char** args, Py_ssize_t* lengths, char* buffer
) noexcept nogil:
    """Call a kernel of columns, for some rows at a time, and have its output in a buffer, from where it is streamed.

    Where rows follow one another, what does not fill a cache line waits for the next ones.
    """
    cdef int out = job.operands - 1
    cdef Py_ssize_t rows = lengths[ROWS]
    cdef Py_ssize_t row = lengths[WIDTH] * job.item
    cdef Py_ssize_t step = lengths[STEP + out] * job.item
    cdef char* memory = args[X + out]
    cdef Py_ssize_t waiting = 0
    cdef Py_ssize_t some, size, i
    cdef int k
    lengths[STEP + out] = lengths[WIDTH]
    if kernel != job.whole:
        # What it makes of statistics is the same for all rows.
        lengths[ROWS] = 0
        run_columns(job, kernel, args, lengths, NULL)
        lengths[COUNT] = 0
    while rows > 0:
        lengths[ROWS] = some = min(rows, streamed_rows_of_columns(job))
        args[X + out] = buffer + waiting
        run_columns(job, kernel, args, lengths, NULL)
        if job.activation != NULL:
            activate(job, args[X + out], row, some, lengths[WIDTH])
        if step == row:
            size = waiting + some * row
            waiting = (<Py_ssize_t>memory + size) % CACHE_LINE if rows > some and size > CACHE_LINE else 0
            size -= waiting
            stream(memory, buffer, size)
            memcpy(buffer, buffer + size, waiting)
            memory += size
        else:
            for i in range(some):
                stream(memory + i * step, buffer + i * row, row)
            memory += some * step
        for k in range(out):
            args[X + k] += some * lengths[STEP + k] * job.item
        rows -= some
    end_stream()


cdef void run_rows(
    const Job* job, Py_ssize_t first, Py_ssize_t rows, double* scratch, char* buffer
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
        lengths[COUNT] = 1
        for k in range(job.operands):
            args[X + k] = job.data[k]
            lengths[STEP + k] = last_step(job, &job.kept, k) // job.item
        move(&job.kept, 0, job.operands, first, job.kept.count, args + X)
        give_results(job, first, args)
        if job.is_streamed:
            run_streamed(job, args, lengths, buffer)
        else:
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
    cdef char* args[MOST_OPERANDS + X]
    cdef Py_ssize_t lengths[STEP]
    cdef Piece piece = piece_at(job, group, 0)
    args[STATS] = <char*>(job.stats + piece.flat)
    args[PIECES] = <char*>pieces
    args[PARAMETERS] = <char*>job.parameters
    args[SCRATCH] = <char*>scratch
    give_results(job, piece.flat, args)
    lengths[ROWS] = job.all_reduced
    lengths[WIDTH] = piece.width
    lengths[KEPT] = job.all_kept
    lengths[COUNT] = job.piece_count
    run_block(job.combine, args, lengths)


cdef inline double* pieces_of(const Job* job, Py_ssize_t group) noexcept nogil:
    return job.pieces + group * job.tile * job.piece_count * job.piece_numbers


# ---- Chunks: what one thread takes at a time.

cdef inline Py_ssize_t scratch_numbers(const Job* job) noexcept nogil:
    cdef Py_ssize_t copied = job.piece * job.tile if job.whole != NULL and job.is_columns else 0
    # What `run_columns` needs: some columns twice, and pieces that it puts together.
    cdef Py_ssize_t of_columns = (SCRATCH_PER_COLUMN + job.piece_numbers) * (job.tile + vector(job))
    return max(<Py_ssize_t>SCRATCH_NUMBERS, of_columns + (copied * job.item + NUMBER - 1) // NUMBER)


cdef inline Py_ssize_t pieces_room(const Job* job) noexcept nogil:
    """Return the size of scratch, and of the pieces of one row or tile if they are not in `Job.pieces`."""
    cdef Py_ssize_t numbers = job.tile * job.piece_count * job.piece_numbers if job.is_in_one_go else 0
    return ((scratch_numbers(job) + numbers) * NUMBER + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE


cdef inline Py_ssize_t streamed_rows(const Job* job) noexcept nogil:
    return max(<Py_ssize_t>1, STREAMED // job.all_reduced)


cdef inline Py_ssize_t streamed_rows_of_columns(const Job* job) noexcept nogil:
    return job.piece if job.whole != NULL else min(job.piece, max(<Py_ssize_t>1, STREAMED_COLUMNS // job.tile))


cdef inline Py_ssize_t packed_room(const Job* job) noexcept nogil:
    """Return how many elements the buffers of packed operands have."""
    cdef int k
    for k in range(job.operands):
        if job.is_packed[k]:
            return (job.operands + 1) * job.piece * job.tile
    return 0


cdef inline char* buffers_for(Job* job) noexcept nogil:
    """Return memory for scratch, one row's pieces and packed operands; the caller frees it. NULL if there is none."""
    cdef Py_ssize_t packed = packed_room(job)
    cdef char* memory
    cdef int k
    if job.are_columns_streamed:
        packed += streamed_rows_of_columns(job) * job.tile + CACHE_LINE
    for k in range(job.operands):
        packed += job.piece * vector(job) if job.is_overwritten[k] else 0
    if job.is_streamed:
        packed = streamed_rows(job) * job.all_reduced
    memory = <char*>malloc(pieces_room(job) + packed * job.item + CACHE_LINE)
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


cdef bint is_overwritten(const Job* job, int input) noexcept nogil:
    """Return whether a kernel of columns reads an operand from the place where it writes another."""
    cdef int k
    for k in range(job.operands - job.outputs, job.operands):
        if job.is_columns and input < k and job.data[k] == job.data[input] and not job.is_packed[k]:
            return not job.is_packed[input]
    return False


cdef bint is_beyond_caches(const Job* job) noexcept nogil:
    """Return whether no cache holds the arrays, and the only output has memory of its own."""
    cdef int out = job.operands - 1
    cdef int k
    for k in range(out):
        if job.data[k] == job.data[out]:
            return False
    return (
        CAN_STREAM
        and job.outputs == 1
        and job.operands * job.all_kept * job.all_reduced * job.item >= BEYOND_CACHES
    )


cdef bint are_rows_one_block(const Job* job) noexcept nogil:
    return last_step(job, &job.kept, job.operands - 1) == job.all_reduced * job.item


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
    run_piece_chunk(<Job*>context, chunk, (<Job*>context).apply, True)


cdef inline Py_ssize_t share(Job* job, Py_ssize_t units) noexcept nogil:
    """Set how many units a chunk takes; return the number of chunks."""
    cdef Py_ssize_t elements = job.all_kept * job.all_reduced
    job.per_chunk = units if elements < SERIAL_BELOW else max(<Py_ssize_t>1, CHUNK // max(<Py_ssize_t>1, elements // units))
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
    cdef bint is_long
    cdef bint is_long_apply


cdef dict FOUND = {}
# Kernels with so many operations that columns beside whole vectors take longer than a vector of them: see `run_columns`.
LONG = {"exp_sums", "moments", "normal_products", "weighted_products", "softmax", "grad_cross_entropy", "grad_log_softmax"}


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
    found.is_long = name in LONG
    found.is_long_apply = apply in LONG
    found.combine = find(precision, f"{apply}_combine") if reduces else NULL
    if found.combine == NULL:
        found.combine = find(precision, f"{name}_combine") if reduces else NULL
    FOUND[key] = found
    return found


cdef Kernel element_wise(str precision, str name) except NULL:
    return <Kernel>PyCapsule_GetPointer(KERNELS[precision][name], b"void (char **, Py_ssize_t)")


cdef int arrange(Job* job, list arrays, tuple axes) except -1:
    """Sort the axes into kept and reduced ones, the reduced ones from the longest step to the shortest."""
    cdef Py_ssize_t steps[MOST_OPERANDS]
    cdef bint is_reduced[MOST_AXES]
    cdef np.ndarray first = arrays[0]
    cdef int k, axis, longest, number
    for axis in range(first.ndim):
        is_reduced[axis] = False
    for axis in axes:
        is_reduced[axis] = True
    for axis in range(first.ndim):
        if not is_reduced[axis]:
            add_axis(job, &job.kept, first.shape[axis], steps_of(job, arrays, axis, steps))
    for number in range(len(axes)):
        longest = -1
        for axis in range(first.ndim):
            if is_reduced[axis] and (longest < 0 or distance(first.strides[axis]) > distance(first.strides[longest])):
                longest = axis
        is_reduced[longest] = False
        add_axis(job, &job.reduced, first.shape[longest], steps_of(job, arrays, longest, steps))
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
    arrange(&job, arrays, axes)
    for k in range(len(parameters)):
        values[k] = parameters[k]
    job.parameters = values
    job.piece_numbers = piece_numbers
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
    cut(&job)
    kind = job.is_columns
    if found.whole[kind] != NULL:
        job.whole = found.whole[kind]
        cut(&job)
    job.reduce = found.reduce[kind]
    job.combine = found.combine
    job.apply = found.apply[kind]
    job.is_in_one_go = job.whole != NULL or (reduces and job.all_reduced * job.tile <= WHOLE) or (
        # Results are not read again.
        job.results[0] != NULL and job.piece_count == 1
    )
    job.is_streamed = takes_rows(&job) and is_beyond_caches(&job) and are_rows_one_block(&job)
    job.are_columns_streamed = job.is_columns and is_beyond_caches(&job) and not job.is_packed[job.operands - 1]
    for k in range(job.operands):
        job.is_overwritten[k] = is_overwritten(&job, k)
    job.is_long = found.is_long
    job.is_long_apply = found.is_long_apply
    if stats is None:
        if job.whole == NULL and stats_numbers > 0:
            own_stats = <double*>calloc(stats_numbers * job.all_kept, NUMBER)
            if own_stats == NULL:
                raise MemoryError
        job.stats = own_stats
    else:
        job.stats = <double*>np.PyArray_DATA(stats)
    if reduces and not job.is_in_one_go:
        job.pieces = <double*>malloc(job.groups * job.tile * job.piece_count * piece_numbers * NUMBER)
        if job.pieces == NULL:
            free(own_stats)
            raise MemoryError
    callers = enter_environment()
    with nogil:
        run_job(&job)
    leave_environment(callers)
    free(job.pieces)
    free(own_stats)
    if job.has_failed:
        raise MemoryError
    return 0
