# C types for lanes.py. `wide` is what reductions add up in.

cdef enum:
    LANES = 32
    # Short rows whose lanes are folded together.
    ROWS_AT_ONCE = 16
    FEW_ELEMENTS = 4096
    # The same of softmax, which does more once for all of them.
    SOME_ELEMENTS = 16384
    GRID = 512
    # The lanes of a row that are left before some rows are folded together.
    FOLDED = 8
    # The same where the largest is sought: fewer are not a vector of binary32.
    LARGEST_LANES = 16
    # Rows of a softmax whose lanes, sums and what they lost, are kept until they are folded.
    ROWS_OF_GRID = 8
    # Rows of a softmax that are folded together.
    MOST_ROWS = 64
    # The longest rows of which that many have their moments found together, and gradients of softmax sum in binary32.
    SHORT_CHAINS = 64
    # The longest rows whose log_softmax is found from the sums of softmax.
    QUICK_ROW = 1024
    # Rows of columns that are worked on together: the sums stay in registers.
    ROWS_TOGETHER = 4
    # Blocks of a row that are worked on together.
    BLOCKS_TOGETHER = 4
    # How many rows of columns further on the places of results are fetched. 4 and 16 are no better.
    ROWS_AHEAD = 8
    # How many elements further on is fetched what is read next of columns beyond the caches. 4096 takes 1.2 of the time.
    FAR_AHEAD = 8192
    # How many elements further on is fetched what is read next where results go past the caches. 1024 and 2048 take up to
    # 1.17 of the time beyond the third-level cache, 0.97 at its size.
    STREAMED_AHEAD = 512
    # The most columns of rows that go past the caches as one block.
    MOST_COLUMNS_OF_BLOCK = 1024
    # Columns of what goes past the caches strip by strip, and the rows that are worked on together. In strips of 1024,
    # or of 64 rows, (4096, 4096) takes 1.4 of the time.
    STRIP = 256
    ROWS_OF_STRIP = 8
    # The rows that are fetched ahead there.
    STRIPS_AHEAD = 2
    # The same in rows of softmax.
    STREAMED_ROWS_AHEAD = 2
    # Whole columns of more rows than this, so many elements or a multiple of them apart, are copied: see `share_places`.
    ROWS_OF_PLACES = 256
    FAR_APART = 512
    # Elements of arrays that stay in the second-level cache.
    SECOND_LEVEL = 262144
    # Elements that short rows of columns are lengthened to where nothing is reduced.
    LONG_ROW = 512
    # Rows of columns of binary64 of which a shift is the mean, about so many.
    ROWS_OF_MEANS = 32
    # Rows of columns whose terms are added up in the arrays' precision, what is lost included: to 2**-30 in float32.
    ROWS_OF_TERMS = 1024
    # Columns of a row, a page of binary32, that the processor reads ahead by itself.
    LONG_STRETCH = 1024

ctypedef double wide
ctypedef Py_ssize_t size

cdef extern from "wide.h":
    ctypedef wide* wides "fastact_wide_output"
    wide wide_fma "fastact_wide_fma"(wide, wide, wide) noexcept nogil
    wide wide_multiply_add "fastact_wide_multiply_add"(wide, wide, wide) noexcept nogil
    wide wide_magnitude "fastact_wide_magnitude"(wide) noexcept nogil
    wide wide_sqrt "fastact_wide_sqrt"(wide) noexcept nogil
    wide exponent_of "fastact_exponent_of"(wide) noexcept nogil
    wide power_of_minus "fastact_power_of_minus"(wide) noexcept nogil
    void will_read_lanes "fastact_will_read_lanes"(const real*) noexcept nogil
    void will_read_lanes_later "fastact_will_read_lanes_later"(const real*) noexcept nogil
    void will_read_pair_later "fastact_will_read_pair_later"(const real*) noexcept nogil
    void will_write_lanes "fastact_will_write_lanes"(const real*) noexcept nogil
    void stream_lanes "fastact_stream_lanes"(real* lines, const real* source, const real* next) noexcept nogil
    size before_line "fastact_before_line"(const real*) noexcept nogil
    # target[:n] = source[:n] for n < LANES; the rest of the lanes of the padded target is `rest`.
    void pad_lanes "fastact_pad_lanes"(real* target, const real* source, size n, real rest) noexcept nogil
    void copy_lanes "fastact_copy_lanes"(real* target, const real* source, size n) noexcept nogil

cdef (wide, wide) wide_two_sum(wide a, wide b) noexcept nogil
cdef (wide, wide) accumulate(wide total, wide low, wide t, wide t_low) noexcept nogil
cdef real greater(real a, real b) noexcept nogil
cdef void largest_of_block(const real* x, output m) noexcept nogil
cdef void largest_of_blocks(const real* x, output m) noexcept nogil
cdef void lanes_of_largest(const real* x, size n, output m) noexcept nogil
cdef void larger_neighbours(const real* source, output target, size n) noexcept nogil
cdef void fold_largest_lanes(const real* m, output folded) noexcept nogil
cdef void add_neighbours(const wide* total, const wide* low, wides sums, wides sums_low, size n) noexcept nogil
cdef void sum_neighbours(const wide* source, wides target, size n) noexcept nogil
cdef void add_halves(const wide* lanes, wides total) noexcept nogil
cdef void fold_rows(wide* total, wide* low, wide* sums, wide* sums_low, size rows) noexcept nogil
cdef void fold_eight(wide* total, wide* sums, size rows) noexcept nogil
cdef void fold_sums(wide* total, wide* sums, size rows) noexcept nogil
cdef wide sum_of_lanes(wide* total, wide* other) noexcept nogil
cdef void fold_eighths(wide* total, wide* low, wide* sums, wide* sums_low, size rows) noexcept nogil
cdef bint are_one_block(size width, size step_x, size step_y) noexcept nogil
cdef size edge_of_strip(const real* y, size strip, size width) noexcept nogil
cdef void clear(wide* total, wide* low, size width) noexcept nogil
cdef (wide, wide) log1p_parts(wide rest, wide rest_low) noexcept nogil
cdef (wide, wide) accumulate_always(wide total, wide low, wide t) noexcept nogil

cdef inline wide* numbers(char** args, size k) noexcept nogil:
    return <wide*>args[k]

cdef inline real* reals(wide* memory) noexcept nogil:
    return <real*>memory

cdef inline real narrow(wide x) noexcept nogil:
    return <real>x

cdef inline wide wide_of(wide x) noexcept nogil:
    return x

cdef inline wide wide_sum(wide a, wide b) noexcept nogil:
    return a + b
