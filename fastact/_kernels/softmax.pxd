# C types for softmax.py.

import cython

cdef (real, real, real) exp_reference(real m) noexcept nogil
cdef (real, real) exp_term_parts(real x, real shift, real lowest, real bias) noexcept nogil
cdef real exp_term(real x, real shift, real lowest, real bias) noexcept nogil
cdef (real, real) exp_term_low(real x, real shift, real lowest, real bias) noexcept nogil
cdef (wide, wide) accumulate_other(
    wide total, wide low, real x, real m, real shift, real lowest, real bias
) noexcept nogil
cdef (wide, wide) largest_term(real m) noexcept nogil
cdef (wide, wide) rest_of_sum(real m, wide count, wide total, wide low) noexcept nogil
cdef (wide, wide) reciprocal_parts(wide total, wide low) noexcept nogil
cdef real largest_result(wide t, wide t_low, wide inverse, wide inverse_low) noexcept nogil
cdef real result(real t, real factor, real factor_low, real t_top, real top) noexcept nogil
cdef (real, real) rounded_parts(wide high, wide low) noexcept nogil
@cython.locals(shifted=real, w=real, w_low=real, power=wide)
cdef wide exp_difference(wide a, wide b) noexcept nogil

cdef void softmax_of_row(const real* x, output y, size n, wides total, wides low, output lane) noexcept nogil
cdef void softmax_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil

@cython.locals(count=int, m=real)
cdef void exp_sums_of_row(const real* x, size n, wide* piece, wides total, wides low, output lane) noexcept nogil
cdef void exp_sums_row(char** args, const Py_ssize_t* lengths) noexcept nogil

cdef void references_of_columns(
    const real* x, size step, size rows, size width, output m, output shift, output lowest, output bias
) noexcept nogil
cdef void add_others(
    const real* x, size width, output m, output shift, output lowest, output bias, wides total, wides low, wides count
) noexcept nogil
cdef void exp_sums_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void add_terms(
    const real* x, output y, size width, output shift, output lowest, output bias, wides total, wides low, output small
) noexcept nogil
cdef void multiply_columns(
    output y, size width, output factor, output factor_low, output t_top, output top
) noexcept nogil
cdef void softmax_whole_columns(char** args, const Py_ssize_t* lengths) noexcept nogil

@cython.locals(rest=wide, rest_low=wide)
cdef void combine_column(wide* pieces, size count, size width, size j, wide* stats, size kept) noexcept nogil
cdef (real, real, real) softmax_factors(wide* stats, size kept) noexcept nogil
cdef void exp_sums_combine(char** args, const Py_ssize_t* lengths) noexcept nogil

cdef void softmax_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void apply_softmax(
    const real* x, output y, size width, output shift, output lowest, output bias, output factor, output factor_low,
    output t_top, output top
) noexcept nogil
cdef void softmax_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void subtract_parts(const real* x, output y, size n, real high, real low) noexcept nogil
cdef void log_softmax_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void exp_sums_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void log_softmax_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void subtract_columns(const real* x, output y, size width, output high, output low) noexcept nogil
cdef void log_softmax_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
