# What kernels take has to be contiguous, and of their type: blocks of other arrays are copied, and their results back.

from libc.string cimport memcpy

from fastact._kernels.copies cimport CACHE_LINE, copy
from fastact._kernels.jobs cimport MOST_OPERANDS, Job, last_length, last_step, move

cdef extern from "transpose.hpp" namespace "fastact":
    bint can_transpose(Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t size) noexcept nogil
    void transpose_items(
        char* to, Py_ssize_t to_step, const char* from_, Py_ssize_t from_step, Py_ssize_t rows, Py_ssize_t columns,
        Py_ssize_t size,
    ) noexcept nogil

cdef extern from *:
    void fetch_line "__builtin_prefetch"(const void* memory, int is_written) noexcept nogil


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
    # Neighbours on one side are a step apart on the other.
    if (target_step == item and source_row == item or target_row == item and source_step == item) and (
        target_step != source_step and can_transpose(rows, width, item)
    ):
        if target_step == item:
            transpose_items(target, target_row, source, source_step, rows, width, item)
        else:
            transpose_items(target, target_step, source, source_row, width, rows, item)
        return
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


cdef inline void pack(
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


cdef inline bint is_dense(const Job* job, int k, Py_ssize_t rows, Py_ssize_t width) noexcept nogil:
    """Return whether a piece lies in memory as it does in a buffer. (It may lie in segments only if that is one.)"""
    cdef Py_ssize_t item = job.items[k]
    return (
        job.reduced.count < 2
        and (width == 1 or last_step(job, &job.kept, k) == item)
        and (rows == 1 or last_step(job, &job.reduced, k) == width * item)
    )


cdef inline void load(
    const Job* job, int k, char* memory, Py_ssize_t start, Py_ssize_t rows, Py_ssize_t width, char* buffer, char* halves
) noexcept nogil:
    """Pack an input, and widen it if it has 16 bits."""
    cdef char* args[2]
    if job.widen[k] == NULL:
        pack(job, k, memory, start, rows, width, buffer, False)
        return
    args[0], args[1] = memory + start * last_step(job, &job.reduced, k), buffer
    if not is_dense(job, k, rows, width):
        pack(job, k, memory, start, rows, width, halves, False)
        args[0] = halves
    job.widen[k](args, rows * width)


cdef inline void store(
    const Job* job, int k, char* memory, Py_ssize_t start, Py_ssize_t rows, Py_ssize_t width, char* buffer, char* halves
) noexcept nogil:
    """Unpack an output, rounded if it has 16 bits."""
    cdef char* args[2]
    if job.narrow[k] == NULL:
        pack(job, k, memory, start, rows, width, buffer, True)
        return
    cdef bint is_direct = is_dense(job, k, rows, width)
    args[0], args[1] = buffer, memory + start * last_step(job, &job.reduced, k) if is_direct else halves
    job.narrow[k](args, rows * width)
    if not is_direct:
        pack(job, k, memory, start, rows, width, halves, True)


cdef inline bint are_rows_dense(const Job* job, int k) noexcept nogil:
    """Return whether rows that are neighbours follow one another in memory, without a gap."""
    cdef Py_ssize_t item = job.items[k]
    return (
        not job.is_flat and last_step(job, &job.reduced, k) == item and last_step(job, &job.kept, k) == job.all_reduced * item
    )


cdef inline void pack_rows(const Job* job, int k, char* memory, Py_ssize_t rows, char* buffer, bint back) noexcept nogil:
    """Copy whole rows that are neighbours to the buffer or back."""
    cdef Py_ssize_t row = job.all_reduced * job.items[k]
    cdef Py_ssize_t i
    for i in range(rows):
        pack(job, k, memory + i * last_step(job, &job.kept, k), 0, job.all_reduced, 1, buffer + i * row, back)


cdef inline void load_rows(
    const Job* job, int k, char* memory, Py_ssize_t rows, char* buffer, char* halves
) noexcept nogil:
    """Pack whole rows of an input, and widen them if they have 16 bits."""
    cdef char* args[2]
    if job.widen[k] == NULL:
        pack_rows(job, k, memory, rows, buffer, False)
        return
    args[0], args[1] = memory, buffer
    if not are_rows_dense(job, k):
        pack_rows(job, k, memory, rows, halves, False)
        args[0] = halves
    job.widen[k](args, rows * job.all_reduced)


cdef inline void store_rows(
    const Job* job, int k, char* memory, Py_ssize_t rows, char* buffer, char* halves
) noexcept nogil:
    """Unpack whole rows of an output, rounded if they have 16 bits."""
    cdef char* args[2]
    if job.narrow[k] == NULL:
        pack_rows(job, k, memory, rows, buffer, True)
        return
    args[0], args[1] = buffer, memory if are_rows_dense(job, k) else halves
    job.narrow[k](args, rows * job.all_reduced)
    if args[1] == halves:
        pack_rows(job, k, memory, rows, halves, True)
