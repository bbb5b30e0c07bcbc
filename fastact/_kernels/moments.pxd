# C types for moments.py.

cdef inline output output_of(char** args, size k) noexcept nogil:
    return <output>args[k]

cdef real finite(real x, real otherwise) noexcept nogil
cdef void add_deviations(const real* x, size width, real c, wides total, wides square) noexcept nogil
cdef void sums_of_row(
    const real* x, size n, size ahead, real c, wides total, wides square, output rest
) noexcept nogil
cdef void sums_of_rows(
    const real* x, size step, size n, size rows, const real* c, wide* scratch, real* rest
) noexcept nogil
cdef void add_8_of_row(const real* x, real c, wides total, wides square) noexcept nogil
cdef void add_few_of_row(const real* x, size n, real c, wides total, wides square, output rest) noexcept nogil
cdef size read_ahead(const Py_ssize_t* lengths, size n, size step) noexcept nogil
cdef size next_rows(const Py_ssize_t* lengths) noexcept nogil
cdef void add_8_of_row_ahead(const real* x, size ahead, real c, wides total, wides square) noexcept nogil
cdef void add_8_of_written_row_ahead(const real* x, size ahead, real c, wides total, wides square) noexcept nogil
cdef void fetch_row(const real* x, size n) noexcept nogil
cdef void chained_sums_of_row(
    const real* x, size n, size ahead, real c, wides total, wides square, output rest
) noexcept nogil
cdef void folded_sums_of_row(
    const real* x, size n, size ahead, real c, wide* lanes, wide* total, wide* square, output rest
) noexcept nogil
@cython.locals(total="wide*", square="wide*")
cdef void sums_of_chains(
    const real* x, size n, size ahead, real c, wide* lanes, wide* sums, output rest
) noexcept nogil
@cython.locals(greatest="wide*")
cdef void fold_rows_of_grid(wide* total, wide* square, wide* lanes, wide* sums) noexcept nogil
@cython.locals(total="wide*", square="wide*", lanes="wide*")
cdef void chained_sums_of_rows(
    const real* x, size step, size n, size rows, size ahead, output c, wide* scratch, real* rest
) noexcept nogil
@cython.locals(few=size)
cdef void rows_off_center(
    const real* x, size step, size n, size rows, output c, wide* scratch, real* rest
) noexcept nogil
@cython.locals(total="wide*", square="wide*")
cdef void short_sums_of_rows(
    const real* x, size step, size n, size rows, size ahead, real* c, wide* scratch, real* rest
) noexcept nogil
cdef void sums_without_chains(
    const real* x, size n, real c, wide* scratch, wide* sums, real* rest
) noexcept nogil
@cython.locals(few=size)
cdef void rows_without_chains(
    const real* x, size step, size n, size rows, output c, wide* scratch, real* rest, wide eps
) noexcept nogil
cdef void centers(const real* x, size step, size rows, output c) noexcept nogil
cdef void better_centers(const wide* total, size n, size rows, output c) noexcept nogil
cdef real* moments_of_rows(
    const real* x, size step, size n, size rows, size ahead, wide* scratch, wide eps
) noexcept nogil
cdef void moments_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void add_moments(const real* x, size width, const wide* c, wides total, wides square) noexcept nogil
cdef void add_moments_of_4(
    const real* x, size step, size width, const wide* c, wides total, wides square
) noexcept nogil
cdef void add_8_of_columns(
    const real* x, size step, size width, const wide* c, wides total, wides square
) noexcept nogil
cdef void add_16_of_columns(
    const real* x, size step, size width, const wide* c, wides total, wides square
) noexcept nogil
cdef size rows_ahead(size i, size blocks, size step, size width, size pieces) noexcept nogil
cdef void add_16_of_columns_ahead(
    const real* x, size step, size width, size ahead, const wide* c, wides total, wides square
) noexcept nogil
cdef void add_16_of_narrow_columns_ahead(
    const real* x, size width, const wide* c, wides total, wides square
) noexcept nogil
cdef void add_8_moments(
    const real* x, size step, size width, const wide* c, wides total, wides square
) noexcept nogil
cdef void fetch_rows(const real* x, size step, size width, size first, size count) noexcept nogil
cdef void add_4_far_rows(
    const real* x, size step, size width, size ahead, const wide* c, wides total, wides square
) noexcept nogil
cdef void add_8_far_rows(
    const real* x, size step, size width, size first, size ahead, const wide* c, wides total, wides square
) noexcept nogil
cdef void moments_of_far_columns(
    const real* x, size step, size rows, size width, const wide* c, wides total, wides square
) noexcept nogil
cdef bint are_far(const Py_ssize_t* lengths) noexcept nogil
cdef void add_few_of_columns(
    const real* x, size step, size rows, size width, const wide* c, wides total, wides square
) noexcept nogil
cdef void moments_of_columns(
    const real* x, size step, size rows, size width, const wide* c, wides total, wides square
) noexcept nogil
cdef void add_shares(const real* x, size width, wide share, const wide* c, wides shift) noexcept nogil
cdef void add_shares_of_4(
    const real* x, size step, size width, wide share, const wide* c, wides shift
) noexcept nogil
cdef void move_to_means(const real* x, size step, size rows, size width, wide* c, wide* shift) noexcept nogil
cdef void accumulate_moments(
    const real* x, size width, const wide* c, wides total, wides total_low, wides square, wides square_low
) noexcept nogil
cdef (wide, wide) sums_of_4(wide d, wide e, wide f, wide g) noexcept nogil
cdef void accumulate_moments_of_8(
    const real* x, size step, size width, const wide* c, wides total, wides total_low, wides square, wides square_low
) noexcept nogil
cdef void accumulate_moments_of_8_ahead(
    const real* x, size step, size width, const wide* c, wides total, wides total_low, wides square, wides square_low
) noexcept nogil
cdef void exact_moments_of_columns(
    const real* x, size step, size rows, size width, bint is_fetched, const wide* c, wide* total, wide* square,
    wide* low
) noexcept nogil
cdef bint is_near(wide n, wide total, wide square) noexcept nogil
@cython.locals(few=size, near=bint)
cdef void columns_about_means(
    const real* x, size step, size rows, size width, wides c, wides total, wides square, wides scratch
) noexcept nogil
cdef size unaligned_columns(const real* x, size step, size width) noexcept nogil
cdef bint are_fetched(const Py_ssize_t* lengths) noexcept nogil
cdef void chained_moments_of_columns(
    const real* x, size step, size rows, size width, bint is_fetched, size pieces, const wide* c, wides total,
    wides square
) noexcept nogil
@cython.locals(few=size)
cdef void columns_without_chains(
    const real* x, size step, size rows, size width, const wide* c, wides total, wides square, wides scratch, wide eps
) noexcept nogil
@cython.locals(c="wide*", total="wide*", square="wide*")
cdef void moments_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void add_totals(const wide* piece, size width, const wide* first, wides total, wides low) noexcept nogil
@cython.locals(is_finite=bint)
cdef void means_of_totals(
    size width, size n, const wide* first, const wide* total, const wide* low, wides mean, wides mean_low
) noexcept nogil
@cython.locals(inside=wide, is_too_large=bint)
cdef wide squares_inside(wide square, wide total, wide share) noexcept nogil
cdef void add_squares(
    const wide* piece, size width, const wide* mean, const wide* mean_low, wides square, wides low
) noexcept nogil
cdef void add_lows(size width, const wide* low, wides square) noexcept nogil
cdef void combine_moments(
    const wide* pieces, size count, size n, size width, wide* stats, size kept, wide* scratch, wide eps
) noexcept nogil
cdef void moments_of_pieces(char** args, const Py_ssize_t* lengths, wide* stats, size kept) noexcept nogil
cdef void moments_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void round_moments(
    size width, wide divisor, const wide* stats, size kept, output mean, output var
) noexcept nogil
cdef void variance_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef wide share_of(wide x, wide n) noexcept nogil
cdef (wide, wide, wide) moments_of_sums(size n, wide c, wide total, wide square) noexcept nogil
cdef void inverse_deviations(size width, size n, const wide* inside, wide eps, wides factor) noexcept nogil
cdef void statistics_of_columns(
    size width, size n, const wide* c, const wide* total, const wide* square, wides mean, wides mean_low, wides inside
) noexcept nogil
cdef void moments_of_piece(
    const wide* piece, size n, size width, wide* stats, size kept, wide eps
) noexcept nogil
cdef void statistics_of_rows(
    size rows, size n, const real* c, const wide* total, const wide* square, wides mean, wides mean_low, wides inside
) noexcept nogil
cdef wide* whole_moments_of_rows(
    const real* x, size step, size n, size rows, size ahead, wide* scratch, wide eps
) noexcept nogil
cdef void moments_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef size short_rows_at_once(size n) noexcept nogil
cdef void round_rows(
    size rows, size n, wide divisor, const real* c, const wide* total, const wide* square, output mean, output var
) noexcept nogil
cdef void variance_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil
