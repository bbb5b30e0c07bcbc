# C types for softmax.py.

import cython

cdef (real, real, real) exp_reference(real m) noexcept nogil
cdef (real, real, real) exp_term_parts(real x, real shift, real lowest, real bias) noexcept nogil
cdef real exp_term(real x, real shift, real lowest, real bias) noexcept nogil
cdef wide terms_of_total(real total) noexcept nogil
cdef (wide, wide) with_low(wide total, wide total_low, real low) noexcept nogil
cdef (wide, wide) largest_term(real m) noexcept nogil
cdef (wide, wide) reciprocal_parts(wide total, wide low) noexcept nogil
cdef real largest_result(wide t, wide t_low, wide inverse, wide inverse_low) noexcept nogil
cdef (real, real) quotient_parts(wide inverse, wide inverse_low) noexcept nogil
cdef real smaller(real a, real b) noexcept nogil
cdef real term_quotient(real t, real rest, real unit, real t_top, real top) noexcept nogil
cdef real lower_quotient(real t, real rest, real unit, real top) noexcept nogil
cdef real top_quotient(real t_top, real rest, real unit, real top) noexcept nogil
cdef real result(real t, real factor, real factor_low, real t_top, real top) noexcept nogil
cdef (real, real) rounded_parts(wide high, wide low) noexcept nogil
@cython.locals(shifted=real, w=real, w_low=real, t=wide, t_low=wide, unit=wide)
cdef (wide, wide) exp_difference(wide a, wide b) noexcept nogil
cdef void references(
    const real* m, output shift, output lowest, output bias, size n
) noexcept nogil
cdef void references_of_rows(
    const real* x, size step, size n, size rows, wide* scratch, real* m, real* shift, real* lowest, real* bias
) noexcept nogil
cdef void start_terms(output total, output low, size n) noexcept nogil
cdef void fold_terms(const real* total, const real* low, wides sums, wides sums_low) noexcept nogil
cdef void fold_terms_of_rows(real* lanes, size rows, wide* sums, wide* sums_low) noexcept nogil
cdef void add_terms(
    const real* x, output y, real shift, real lowest, real bias, output total, output low
) noexcept nogil
cdef void add_terms_of_blocks(
    const real* x, output y, real shift, real lowest, real bias, output total, output low
) noexcept nogil
cdef void start_terms_of_two(
    const real* x, output y, real shift, real lowest, real bias, output total, output low
) noexcept nogil
cdef void terms_of_all_blocks(
    const real* x, output y, size n, size ahead, real shift, real lowest, real bias, output total, output low,
    output rest
) noexcept nogil
cdef void terms_of_blocks(
    const real* x, output y, size n, size ahead, real shift, real lowest, real bias, output total, output low,
    output rest
) noexcept nogil
cdef void terms_of_row(
    const real* x, output y, size n, size ahead, real shift, real lowest, real bias, output total, output low,
    output rest
) noexcept nogil
cdef void largest_terms(
    const real* m, const real* shift, const real* lowest, const real* bias, output t_top, wides t, wides t_low,
    wides lost, size n
) noexcept nogil
cdef void quotients_of_sums(
    const real* t_top, const wide* t, const wide* t_low, const wide* lost, const wide* total, const wide* low, output top,
    output rest, output unit, size n
) noexcept nogil
cdef void divide_terms(output y, size n, real rest, real unit, real t_top, real top) noexcept nogil
cdef void divide_lower_terms(output y, size n, real rest, real unit, real top) noexcept nogil
cdef void divide_row(
    output y, size n, real rest, real unit, real t_top, real top, output padded
) noexcept nogil
cdef void softmax_of_rows(
    const real* x, size x_step, real* y, size y_step, size n, size rows, wide* scratch
) noexcept nogil
cdef size whole_vectors(size rows) noexcept nogil
cdef size rows_at_once(size n) noexcept nogil
cdef size some_rows(size n) noexcept nogil
cdef void softmax_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void largest_of_columns(const real* x, size width, output m) noexcept nogil
cdef void largest_of_some_columns(const real* x, size step, size width, output m) noexcept nogil
cdef void references_of_columns(
    const real* x, size step, size rows, size width, output m, output shift, output lowest, output bias
) noexcept nogil
cdef bint share_places(size step, size rows) noexcept nogil
cdef bint terms_share_places(size step, size rows) noexcept nogil
cdef void copy_columns(const real* x, output y, size width, output m) noexcept nogil
cdef void copy_some_columns(
    const real* x, size step, output first, output second, output third, output fourth, size width, output m
) noexcept nogil
cdef void references_of_copied_columns(
    const real* x, size step, size rows, size width, real* y, output m, output shift, output lowest, output bias
) noexcept nogil
cdef void will_read_columns(const real* x, size width) noexcept nogil
cdef void will_write_columns(const real* y, size width) noexcept nogil
cdef void clear_reals(output x, size n) noexcept nogil
cdef (real, real, real) next_term(
    real x, real shift, real lowest, real bias, real total, real low
) noexcept nogil
cdef void add_terms_of_columns(
    const real* x, output y, size width, const real* shift, const real* lowest, const real* bias, output total, output low
) noexcept nogil
cdef void add_terms_of_some_columns(
    const real* x, size step, output y, output second, output third, output fourth, size width, const real* shift,
    const real* lowest, const real* bias, output total, output low
) noexcept nogil
cdef void add_widened_terms(const real* total, const real* low, wides sums, wides sums_low, size n) noexcept nogil
cdef void divide_into(
    const real* terms, real* y, size step, size rows, size width, const real* rest, const real* unit, const real* t_top,
    const real* top
) noexcept nogil
cdef void terms_of_columns(
    const real* x, size x_step, real* y, size y_step, size rows, size width, const real* shift, const real* lowest,
    const real* bias, output total, output low
) noexcept nogil
cdef void divide_columns(
    const real* terms, output y, size width, const real* rest, const real* unit, const real* t_top, const real* top
) noexcept nogil
cdef void softmax_whole_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef (real, real, real) softmax_factors(wide* stats, size kept, wide share) noexcept nogil
cdef void apply_to_row(
    const real* x, output y, size n, wide* stats, size kept, wide share
) noexcept nogil
cdef void softmax_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void apply_softmax(
    const real* x, output y, size width, output shift, output lowest, output bias, output factor, output factor_low,
    output t_top, output top
) noexcept nogil
cdef void apply_softmax_past_caches(
    const real* x, real* y, size n, size period, size ahead, real* shift, real* lowest, real* bias, real* factor,
    real* factor_low, real* t_top, real* top, real* room
) noexcept nogil
@cython.locals(is_one_block=bint)
cdef void apply_to_columns(char** args, const Py_ssize_t* lengths, wide share) noexcept nogil
cdef void softmax_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void grad_cross_entropy_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void grad_cross_entropy_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void grad_cross_entropy_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil
