# C types for sums.py.

ctypedef wide (*wide_formula)(wide) noexcept nogil
ctypedef real (*low_formula)(real) noexcept nogil
ctypedef void (*scaling)(const real*, const real*, output, size, real) noexcept nogil
ctypedef wide (*factor_formula)(wide, wide, wide, wide) noexcept nogil

cdef enum:
    # Rows of which one is summed while the one before it is scaled. Rows of 64, folded together, take 0.87 of that time; of
    # 2048 the first-level cache does not hold both, what they become and the weight.
    SHORTEST_IN_TURNS = 256
    LONGEST_IN_TURNS = 1024

cdef wide square_of(wide x) noexcept nogil
cdef wide magnitude_of(wide x) noexcept nogil
cdef wide power_for(wide factor) noexcept nogil
cdef wide inverse_power(wide power) noexcept nogil
cdef wide whole_sum(wide total, wide low) noexcept nogil
cdef wide sum_with_power(wide_formula f, const real* x, size step, size n, wide power) noexcept nogil
cdef bint leaves_binary64(wide total, wide least) noexcept nogil
cdef wide power_for_sum(wide total) noexcept nogil
cdef wide sum_of_row(wide_formula f, const real* x, size n, size ahead, wides total) noexcept nogil
cdef void add_4_squares(const real* x, wides total) noexcept nogil
cdef void add_16_squares(const real* x, wides total) noexcept nogil
cdef void add_squares_of_row(const real* x, size n, size ahead, wides total) noexcept nogil
cdef void chained_squares_of_row(const real* x, size n, size ahead, wides total) noexcept nogil
cdef wide square_of_chains(const real* x, size n, wide least, wide* total) noexcept nogil
cdef void squares_of_rows(const real* x, size step, size n, size rows, wide least, wide* total) noexcept nogil
cdef size squares_at_once(size n) noexcept nogil
cdef wide least_of_chains(wide n, wide eps) noexcept nogil
@cython.locals(leaves=bint)
cdef void keep_sum_of_row(
    wide_formula f, const real* x, size n, wide least, wide total, wide* piece
) noexcept nogil
cdef wide least_of_sums(wide n, wide eps) noexcept nogil
cdef wide least_norm(wide eps) noexcept nogil
cdef void squares_of_piece(char** args, const Py_ssize_t* lengths, wide least) noexcept nogil
cdef void squares_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void magnitudes_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void add_row(wide_formula f, const real* x, size width, wides total) noexcept nogil
cdef void sum_of_columns(
    wide_formula f, const real* x, size step, size rows, size width, wides total
) noexcept nogil
cdef void accumulate_row(wide_formula f, const real* x, size width, wides total, wides low) noexcept nogil
cdef void accumulate_8_rows(
    wide_formula f, const real* x, size step, size width, wides total, wides low
) noexcept nogil
cdef void accumulate_8_rows_ahead(
    wide_formula f, const real* x, size step, size width, wides total, wides low
) noexcept nogil
cdef void exact_sum_of_columns(
    wide_formula f, const real* x, size step, size rows, size width, bint is_fetched, wide* total, wide* low
) noexcept nogil
cdef void add_16_squares_of_columns(const real* x, size step, size width, wides total) noexcept nogil
cdef void add_16_squares_of_columns_ahead(
    const real* x, size step, size width, size ahead, wides total
) noexcept nogil
cdef void squares_of_8_columns(const real* x, size step, size width, output few) noexcept nogil
cdef void add_8_more_squares(
    const real* x, size step, size width, const real* few, wides total
) noexcept nogil
cdef void squares_of_8_far_rows(
    const real* x, size step, size width, size ahead, output few
) noexcept nogil
cdef void add_8_more_far_rows(
    const real* x, size step, size width, size ahead, const real* few, wides total
) noexcept nogil
cdef void squares_of_far_columns(
    const real* x, size step, size rows, size width, real* few, wide* total
) noexcept nogil
cdef void chained_squares_of_columns(
    const real* x, size step, size rows, size width, bint is_fetched, size pieces, wide* total
) noexcept nogil
@cython.locals(few=size)
cdef void squares_without_chains(
    const real* x, size step, size rows, size width, wide* total, wide* other
) noexcept nogil
@cython.locals(few=size, leaves=bint)
cdef void keep_sums_of_columns(
    wide_formula f, const real* x, size step, size rows, size width, wide least, wide* total
) noexcept nogil
cdef void squares_of_columns(char** args, const Py_ssize_t* lengths, wide least) noexcept nogil
cdef void squares_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void magnitudes_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef wide larger(wide a, wide b) noexcept nogil
cdef void peaks_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void add_peaks(const real* x, size width, wides peak) noexcept nogil
cdef void peaks_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef wide total_of(const wide* pieces, size count, size step) noexcept nogil
cdef void totals(char** args, const Py_ssize_t* lengths) noexcept nogil
@cython.locals(few=size)
cdef bint are_ordinary(const wide* pieces, size count, size width) noexcept nogil
cdef wide power_of_piece(const wide* power, size j) noexcept nogil
cdef wide power_of_pieces(const wide* pieces, size count, size width, size j) noexcept nogil
cdef void add_far_pieces(
    const wide* pieces, size count, size width, bint is_of_squares, wide* stats, wide* powers
) noexcept nogil
cdef bint add_up(char** args, const Py_ssize_t* lengths, bint is_of_squares) noexcept nogil
cdef wide rms_factor(wide total, wide n, wide eps, wide power) noexcept nogil
cdef wide norm_2_factor(wide total, wide n, wide eps, wide power) noexcept nogil
@cython.locals(few=size)
cdef void factors_of_divisors(size width, bint is_ordinary, wide* stats, wide* powers) noexcept nogil
cdef bint rms_divisors(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void squares_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void rms_norm_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void largest_of_pieces(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void norm_factors(char** args, const Py_ssize_t* lengths, bint is_ordinary) noexcept nogil
cdef void norm_2_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void norm_2_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void norm_2_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void norm_1_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void norm_1_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void norm_1_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void norm_inf_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void norm_inf_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void norm_inf_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void norm_2_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void far_rows(
    const real* x, size x_step, output y, size y_step, size n, size rows, wide* total, wide* powers
) noexcept nogil
cdef void scale_rows(
    const real* x, size x_step, output y, size y_step, size n, size rows, const real* factor
) noexcept nogil
cdef void scale_row(const real* x, output y, size n, real factor) noexcept nogil
cdef void norm_2_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void norm_2_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void scale_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void scale_columns(const real* x, output y, size width, const real* factor) noexcept nogil
cdef void scale_long_columns(
    const real* x, output y, size width, size ahead, size later, const real* factor
) noexcept nogil
@cython.locals(is_far=bint)
cdef bint factors_of_columns(
    const wide* stats, size kept, size width, output factor, output power
) noexcept nogil
cdef void scale_columns_past_caches(
    const real* x, output y, size n, size period, size ahead, const real* factor, output room
) noexcept nogil
cdef void scale_past_caches(
    const real* x, size step_x, output y, size step_y, size rows, size width, const real* factor, output room
) noexcept nogil
@cython.locals(is_streamed=bint, rows=size)
cdef void scale_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void weigh(const real* x, const real* weight, output y, size n, real factor) noexcept nogil
cdef void unweighed(const real* x, const real* weight, output y, size n, real factor) noexcept nogil
cdef void scaled_long(
    scaling f, const real* x, const real* weight, output y, size n, real factor
) noexcept nogil
cdef void weigh_row(const real* x, const real* weight, output y, size n, real factor) noexcept nogil
cdef void scale_and_add(
    scaling f, const real* x, const real* weight, output y, size n, real factor, const real* following, size ahead,
    wide* total
) noexcept nogil
@cython.locals(source="const real*", factor=wide)
cdef void scaled_rows_in_turns(
    scaling f, factor_formula factor_of, wide least, const real* x, size step, const real* weight, size weight_step,
    output y, size step_y, size n, size rows, wide eps, wide* total
) noexcept nogil
cdef void scaled_batch(
    scaling f, factor_formula factor_of, wide least, const real* x, size step, const real* weight, size weight_step,
    output y, size step_y, size n, size rows, wide eps, wide* total
) noexcept nogil
@cython.locals(rows=size, are_cached=bint)
cdef void scaled_whole_rows(
    scaling f, factor_formula factor_of, wide least, char** args, const Py_ssize_t* lengths, const real* weight,
    size weight_step, output y, size step_y
) noexcept nogil
cdef void rms_norm_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void rms_norm_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void weigh_columns(
    const real* x, real weight, output y, size width, const real* factor
) noexcept nogil
cdef void weigh_long_columns(
    const real* x, real weight, output y, size width, size ahead, size later, const real* factor
) noexcept nogil
cdef void fill(output values, size n, real value) noexcept nogil
@cython.locals(is_streamed=bint, rows=size)
cdef void rms_norm_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef (wide, wide) add_exactly(wide total, wide low, wide t, wide t_low) noexcept nogil
cdef real square_low(real x) noexcept nogil
cdef void fold_exactly(wide* total, wide* low, size half) noexcept nogil
cdef void exact_sum_of_row(
    wide_formula f, low_formula f_low, const real* x, size n, wide* piece, wides total, wides low
) noexcept nogil
cdef real nothing_low(real x) noexcept nogil
cdef void exact_squares_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void exact_magnitudes_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void combine_exactly(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void exact_squares_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void exact_magnitudes_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
