# One reduction, cut into groups (rows, or tiles of columns) and pieces: see reductions.pyx, which makes a job, and
# pieces.pyx, which does it.

from fastact._kernels.copies cimport CACHE_LINE
from fastact._kernels.operands cimport MOST_AXES
from fastact._kernels.ufuncs cimport BlockKernel

ctypedef void (*Kernel)(char** args, Py_ssize_t n) noexcept nogil

cdef enum:
    MOST_OPERANDS = 8
    RESULTS = 2
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
    # Those of all kept elements; NULL where a group's are made, used, and not wanted afterwards.
    double* stats
    Py_ssize_t stats_numbers
    # Two numbers of each kept element, in the kernels' precision; NULL where there are none.
    char* results[RESULTS]
    double* pieces
    Py_ssize_t piece_numbers
    Py_ssize_t longest_whole
    # Rows shorter than this are turned into columns.
    Py_ssize_t short_row
    # Kernels that only reduce, and do not come back to a piece: it need not stay in a cache.
    bint is_read_once
    # Kernels of whole columns that keep terms, which pieces would compute twice.
    bint keeps_terms
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
    # By the kernel, which needs no buffer, and no call for some of them.
    bint are_streamed_by_kernel
    # Inputs in whose place a kernel of columns writes.
    bint is_overwritten[MOST_OPERANDS]
    # Whether the kernels have many operations: see LONG.
    bint is_long
    bint is_long_apply
    bint has_failed


cdef struct Piece:
    Py_ssize_t flat
    Py_ssize_t width
    Py_ssize_t start
    Py_ssize_t rows
    # Where it starts, if it does not go over segments: in which one, and where in it.
    Py_ssize_t segment
    Py_ssize_t inside


cdef inline Py_ssize_t product(const Axes* axes) noexcept nogil:
    cdef Py_ssize_t total = 1
    cdef int k
    for k in range(axes.count):
        total *= axes.length[k]
    return total


cdef inline Py_ssize_t last_length(const Axes* axes) noexcept nogil:
    return axes.length[axes.count - 1] if axes.count else 1


cdef inline Py_ssize_t last_step(const Job* job, const Axes* axes, int k) noexcept nogil:
    return axes.step[k][axes.count - 1] if axes.count else job.items[k]


cdef inline bint is_constant(const Job* job, int k) noexcept nogil:
    cdef int inputs = job.operands - job.outputs
    return job.is_columns and inputs - job.constants <= k < inputs


cdef inline Py_ssize_t vector(const Job* job) noexcept nogil:
    """Return how many elements the widest vectors have."""
    return CACHE_LINE // job.item


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
