# C types for logsumexp.py.

import cython

cdef real other_term(real x, real m, real shift, real lowest, real bias) noexcept nogil
cdef (real, real) other_term_parts(real x, real m, real shift, real lowest, real bias) noexcept nogil
cdef (wide, wide) next_other(real x, real m, real shift, real lowest, real bias, wide total, wide low) noexcept nogil
cdef (wide, wide) rest_of_sum(real m, wide count, wide total, wide low) noexcept nogil
cdef real counted(real others, real x, real m) noexcept nogil
cdef void add_others(
    const real* x, real m, real shift, real lowest, real bias, wides total, wides low, output count
) noexcept nogil
cdef void others_of_blocks(
    const real* x, size n, size ahead, real m, real shift, real lowest, real bias, wides total, wides low, output count,
    output rest
) noexcept nogil
cdef void others_of_row(
    const real* x, size n, size ahead, real m, real shift, real lowest, real bias, wides total, wides low, output count,
    output rest
) noexcept nogil
cdef void count_neighbours(const real* source, output target, size n) noexcept nogil
cdef void fold_others(
    const wide* total, const wide* low, const real* count, wides sums, wides sums_low, output counts
) noexcept nogil
cdef void rests_of_sums(
    const real* m, wide n, const real* others, const wide* total, const wide* low, size width,
    wides rest, wides rest_low
) noexcept nogil
cdef wide* exp_sums_of_rows(const real* x, size step, size n, size rows, wide* scratch) noexcept nogil
cdef void exp_sums_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void add_terms_only(
    const real* x, real shift, real lowest, real bias, output total, output low
) noexcept nogil
cdef void start_terms_of_two_only(
    const real* x, real shift, real lowest, real bias, output total, output low
) noexcept nogil
cdef void sums_of_all_blocks(
    const real* x, size n, size ahead, real shift, real lowest, real bias, output total, output low, output rest
) noexcept nogil
cdef void add_terms_of_blocks_only(
    const real* x, real shift, real lowest, real bias, output total, output low
) noexcept nogil
cdef void sums_of_blocks(
    const real* x, size n, size ahead, real shift, real lowest, real bias, output total, output low, output rest
) noexcept nogil
cdef void sums_of_terms(
    const real* x, size n, size ahead, real shift, real lowest, real bias, output total, output low, output rest
) noexcept nogil
cdef void rests_of_all(
    const real* m, const real* shift, const real* lowest, const real* bias, const wide* total, size width,
    wides rest, wides rest_low
) noexcept nogil
cdef wide least_rest(size n) noexcept nogil
cdef wide* quick_rests_of_rows(const real* x, size step, size n, size rows, wide* scratch) noexcept nogil
@cython.locals(count=size)
cdef bint all_at_least(const wide* x, wide least, size n) noexcept nogil
cdef void take_large(const wide* x, const wide* x_low, wide least, size n, wides y, wides y_low) noexcept nogil
@cython.locals(pieces="wide*", rest="wide*", rest_low="wide*", kept="wide*", kept_low="wide*", least=wide)
cdef wide* log_sums_of_rows(const real* x, size step, size n, size rows, wide* scratch) noexcept nogil
cdef void add_others_of_columns(
    const real* x, size width, const real* m, const real* shift, const real* lowest, const real* bias,
    wides total, wides low, output count
) noexcept nogil
cdef void others_of_some_columns(
    const real* x, size step, size width, const real* m, const real* shift, const real* lowest, const real* bias,
    output count, output terms, output second, output third, output fourth
) noexcept nogil
cdef void add_rounded_rows(const real* terms, size step, size width, wides total, wides low) noexcept nogil
cdef void others_of_tiles(
    const real* x, size step, size width, size ahead, real* m, real* shift, real* lowest, real* bias, wide* total,
    wide* low, real* count, real* terms
) noexcept nogil
cdef void other_sums_of_columns(
    const real* x, size step, size rows, size width, size ahead, wide* piece, wide* scratch
) noexcept nogil
cdef void exp_sums_of_columns(
    const real* x, size step, size rows, size width, size ahead, wide* piece, wide* scratch
) noexcept nogil
cdef void exp_sums_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef (wide, wide) log_of_sum(wide m, wide rest, wide rest_low) noexcept nogil
cdef void logs_of_sums(
    const wide* m, const wide* rest, const wide* rest_low, size n, wides high, wides low
) noexcept nogil
cdef void take_larger(
    const wide* piece, size width, wide b, wides m, wides rest, wides rest_low, wides best
) noexcept nogil
cdef void add_other_piece(
    const wide* piece, size width, wide b, const wide* m, const wide* best, wides rest, wides rest_low
) noexcept nogil
cdef void exp_sums_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void subtract_two(const real* x, output y, size n, real high, real low) noexcept nogil
cdef void subtract_parts(const real* x, output y, size n, real high, real low) noexcept nogil
cdef void log_softmax_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void exp_sums_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void log_softmax_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void subtract_columns(const real* x, output y, size width, output high, output low) noexcept nogil
cdef void subtract_logs(
    const real* x, size x_step, real* y, size y_step, size rows, size width, real* high, real* low
) noexcept nogil
cdef void round_logs(const wide* log, const wide* log_low, size width, output high, output low) noexcept nogil
cdef void log_softmax_whole_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void exp_sums_whole_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void log_softmax_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
