"""The work of a reduction: kernels called on pieces, on groups of them, and on neighbouring rows.

A thread has memory of its own for scratch, for what one group's pieces give, and for operands that are copied.
"""

from libc.stdlib cimport malloc
from libc.string cimport memcpy, memset

from fastact._kernels.copies cimport CACHE_LINE
from fastact._kernels.jobs cimport (
    MOST_OPERANDS, NUMBER, RESULTS, Job, Piece, is_constant, last_length, last_step, move, piece_at, vector
)
from fastact._kernels.layout cimport (
    COUNT, ELEMENTS, KEPT, PARAMETERS, PIECES, ROWS, SCRATCH, SCRATCH_PER_COLUMN, STATS, STEP, WIDTH, X
)
from fastact._kernels.packing cimport load, load_rows, store, store_rows
from fastact._kernels.stream cimport end_stream, stream
from fastact._kernels.ufuncs cimport BlockKernel, run_block

cdef enum:
    # Elements of whole rows that go past the caches at a time. 4096 take up to 1.2 of the time.
    STREAMED = 2048
    # The same of columns: the memory reads and writes at a time where little of each is done in turns. A kernel that took
    # 16384 gained nothing.
    STREAMED_COLUMNS = 1024
    SCRATCH_NUMBERS = 4096
    # Elements of rows that are packed together: four operands of them stay in the first-level cache.
    PACKED = 2048


# ---- Memory.

cdef Py_ssize_t scratch_numbers(const Job* job) noexcept nogil:
    cdef Py_ssize_t copied = job.piece * job.tile if job.whole != NULL and job.is_columns else 0
    # What `run_columns` needs: some columns twice, and pieces that it puts together.
    cdef Py_ssize_t of_columns = (SCRATCH_PER_COLUMN + job.piece_numbers) * (job.tile + vector(job))
    return max(<Py_ssize_t>SCRATCH_NUMBERS, of_columns + (copied * job.item + NUMBER - 1) // NUMBER)


cdef Py_ssize_t pieces_room(const Job* job) noexcept nogil:
    """Return the size of scratch, and of the pieces and statistics of one row or tile that only it has."""
    cdef Py_ssize_t numbers = scratch_numbers(job) + pieces_numbers(job) + (0 if job.stats != NULL else stats_numbers(job))
    return (numbers * NUMBER + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE


cdef inline Py_ssize_t pieces_numbers(const Job* job) noexcept nogil:
    return job.tile * job.piece_count * job.piece_numbers if job.is_in_one_go else 0


cdef inline Py_ssize_t stats_numbers(const Job* job) noexcept nogil:
    return job.tile * job.stats_numbers


cdef inline double* stats_of(const Job* job, Py_ssize_t flat, double* scratch) noexcept nogil:
    """Return where a group's statistics are: of all groups there may be as many numbers as elements."""
    return job.stats + flat if job.stats != NULL else scratch + scratch_numbers(job) + pieces_numbers(job)


cdef inline Py_ssize_t streamed_rows(const Job* job) noexcept nogil:
    return max(<Py_ssize_t>1, STREAMED // job.all_reduced)


cdef inline Py_ssize_t streamed_rows_of_columns(const Job* job) noexcept nogil:
    return job.piece if job.whole != NULL else min(job.piece, max(<Py_ssize_t>1, STREAMED_COLUMNS // job.tile))


cdef inline bint are_rows_packed(const Job* job) noexcept nogil:
    """Return whether operands are packed for the kernel of whole rows."""
    return job.whole != NULL and not job.is_columns


cdef inline Py_ssize_t rows_packed(const Job* job) noexcept nogil:
    return max(<Py_ssize_t>1, PACKED // job.all_reduced)


cdef inline Py_ssize_t packed_room(const Job* job) noexcept nogil:
    """Return how many elements the buffers of packed operands have."""
    cdef int k
    for k in range(job.operands):
        if are_rows_packed(job) and must_be_packed(job, k) or job.is_packed[k]:
            return (job.operands + 1) * job.piece * job.tile * (rows_packed(job) if are_rows_packed(job) else 1)
    return 0


cdef char* buffers_for(Job* job) noexcept nogil:
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


# ---- One piece.

cdef inline void give_results(const Job* job, Py_ssize_t flat, char** args) noexcept nogil:
    """Tell a kernel where results go, behind the operands."""
    cdef int k
    for k in range(RESULTS if job.results[0] != NULL else 0):
        args[X + job.operands + k] = job.results[k] + flat * job.item


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
    args[STATS] = <char*>stats_of(job, piece.flat, scratch)
    args[PIECES] = <char*>pieces
    args[PARAMETERS] = <char*>job.parameters
    args[SCRATCH] = <char*>scratch
    lengths[ROWS] = piece.rows
    lengths[WIDTH] = piece.width
    lengths[KEPT] = job.all_kept if job.stats != NULL else job.tile
    lengths[COUNT] = job.piece_count
    lengths[ELEMENTS] = job.all_kept * job.all_reduced
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
    if writes and job.are_streamed_by_kernel:
        lengths[COUNT] = -1
        run_columns(job, kernel, args, lengths, NULL)
        end_stream()
        return
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
    if row_step == width * job.item:
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
        stream(memory, buffer, lengths[WIDTH] * row, args[X] + lengths[WIDTH] * lengths[STEP] * job.item)
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
            stream(memory, buffer, size, buffer)
            memcpy(buffer, buffer + size, waiting)
            memory += size
        else:
            for i in range(some):
                stream(memory + i * step, buffer + i * row, row, buffer + i * row)
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
        lengths[ELEMENTS] = job.all_kept * job.all_reduced
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


cdef void run_packed_rows(
    const Job* job, Py_ssize_t first, Py_ssize_t rows, double* scratch, char* buffers
) noexcept nogil:
    """As `run_rows`, some rows at a time, packed where they have to be: alone, a row of 32 takes ten times as long."""
    cdef char* args[MOST_OPERANDS + X]
    cdef char* memory[MOST_OPERANDS]
    cdef Py_ssize_t lengths[MOST_OPERANDS + STEP]
    cdef Py_ssize_t room = rows_packed(job) * job.all_reduced * job.item
    cdef char* halves = buffers + job.operands * room
    cdef int inputs = job.operands - job.outputs
    cdef Py_ssize_t some
    cdef int k
    args[PARAMETERS], args[SCRATCH] = <char*>job.parameters, <char*>scratch
    lengths[ROWS], lengths[KEPT], lengths[COUNT] = job.all_reduced, job.all_kept, 1
    lengths[ELEMENTS] = job.all_kept * job.all_reduced
    while rows > 0:
        some = min(min(rows, rows_packed(job)), last_length(&job.kept) - first % last_length(&job.kept))
        args[STATS] = <char*>(job.stats + first)
        lengths[WIDTH] = some
        for k in range(job.operands):
            memory[k] = job.data[k]
        move(&job.kept, 0, job.operands, first, job.kept.count, memory)
        give_results(job, first, args)
        for k in range(job.operands):
            args[X + k] = memory[k]
            lengths[STEP + k] = last_step(job, &job.kept, k) // job.item
            if must_be_packed(job, k):
                args[X + k] = buffers + k * room
                # Of what is the same for all rows, one is enough.
                lengths[STEP + k] = 0 if last_step(job, &job.kept, k) == 0 else job.all_reduced
                if k < inputs:
                    load_rows(job, k, memory[k], 1 if lengths[STEP + k] == 0 else some, args[X + k], halves)
        run_block(job.whole, args, lengths)
        if job.activation != NULL:
            activate(job, args[X + inputs], lengths[STEP + inputs] * job.item, some, job.all_reduced)
        for k in range(inputs, job.operands):
            if must_be_packed(job, k):
                store_rows(job, k, memory[k], some, args[X + k], halves)
        first += some
        rows -= some


cdef inline bint must_be_packed(const Job* job, int k) noexcept nogil:
    return job.is_packed[k] or last_step(job, &job.kept, k) % job.item != 0


cdef void run_group(const Job* job, Py_ssize_t group, double* pieces, double* scratch, char* buffers) noexcept nogil:
    """Do everything for one row, or one tile of columns."""
    cdef Piece piece
    cdef Py_ssize_t number
    if job.whole != NULL:
        piece = piece_at(job, group, 0)
        run_piece(job, job.whole, &piece, pieces, scratch, buffers, True)
        return
    if job.stats == NULL:
        memset(stats_of(job, 0, scratch), 0, stats_numbers(job) * NUMBER)
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
    args[STATS] = <char*>stats_of(job, piece.flat, scratch)
    args[PIECES] = <char*>pieces
    args[PARAMETERS] = <char*>job.parameters
    args[SCRATCH] = <char*>scratch
    give_results(job, piece.flat, args)
    lengths[ROWS] = job.all_reduced
    lengths[WIDTH] = piece.width
    lengths[KEPT] = job.all_kept if job.stats != NULL else job.tile
    lengths[COUNT] = job.piece_count
    run_block(job.combine, args, lengths)
