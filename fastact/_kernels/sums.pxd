# C types for sums.py.

ctypedef wide (*wide_formula)(wide) noexcept nogil
ctypedef real (*low_formula)(real) noexcept nogil

cdef wide square_of(wide x) noexcept nogil
cdef wide magnitude_of(wide x) noexcept nogil
cdef wide sum_of_row(wide_formula f, const real* x, size n, size ahead, wides total) noexcept nogil
cdef void add_4_squares(const real* x, wides total) noexcept nogil
cdef void add_16_squares(const real* x, wides total) noexcept nogil
cdef void add_32_squares(const real* x, wides total) noexcept nogil
cdef void chained_squares_of_row(const real* x, size n, size ahead, wides total) noexcept nogil
cdef void squares_of_rows(const real* x, size step, size n, size rows, wide least, wide* total) noexcept nogil
cdef size squares_at_once(size n) noexcept nogil
cdef wide least_of_chains(wide n, wide eps) noexcept nogil
cdef void squares_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void magnitudes_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void add_row(wide_formula f, const real* x, size width, wides total) noexcept nogil
cdef void sum_of_columns(
    wide_formula f, const real* x, size step, size rows, size width, wides total
) noexcept nogil
cdef void add_16_squares_of_columns(const real* x, size step, size width, wides total) noexcept nogil
cdef void add_16_squares_of_columns_ahead(
    const real* x, size step, size width, size ahead, wides total
) noexcept nogil
cdef void chained_squares_of_columns(
    const real* x, size step, size rows, size width, bint is_fetched, size pieces, wide* total
) noexcept nogil
@cython.locals(few=size)
cdef void squares_without_chains(
    const real* x, size step, size rows, size width, wide* total, wide* other
) noexcept nogil
cdef void squares_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void magnitudes_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef wide larger(wide a, wide b) noexcept nogil
cdef void peaks_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void add_peaks(const real* x, size width, wides peak) noexcept nogil
cdef void peaks_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef wide total_of(wide* pieces, size count, size width, size j) noexcept nogil
cdef wide rms_factor(wide total, wide n, wide eps) noexcept nogil
cdef void squares_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void totals(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void largest_of_pieces(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void norm_factors(char** args, const Py_ssize_t* lengths) noexcept nogil
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
cdef void scale_row(const real* x, output y, size n, real factor) noexcept nogil
cdef void norm_2_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void norm_2_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void scale_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void scale_columns(const real* x, output y, size width, const real* factor) noexcept nogil
cdef void scale_long_columns(
    const real* x, output y, size width, size ahead, size later, const real* factor
) noexcept nogil
@cython.locals(is_streamed=bint)
cdef void scale_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void weigh(const real* x, const real* weight, output y, size n, real factor) noexcept nogil
cdef void weigh_row(const real* x, const real* weight, output y, size n, real factor) noexcept nogil
cdef void rms_norm_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void rms_norm_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void weigh_columns(
    const real* x, real weight, output y, size width, const real* factor
) noexcept nogil
cdef void weigh_long_columns(
    const real* x, real weight, output y, size width, size ahead, size later, const real* factor
) noexcept nogil
@cython.locals(is_streamed=bint)
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
