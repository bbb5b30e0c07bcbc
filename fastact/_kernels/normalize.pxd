# C types for normalize.py.

import cython

cdef real normalized(real x, real mean, real scale, real bias) noexcept nogil
cdef real at_least(real y, real lowest) noexcept nogil
cdef real offset(real bias, real mean_low, real scale) noexcept nogil
cdef (real, real) mean_parts(wide* stats, size kept) noexcept nogil
@cython.locals(few=size)
cdef size far_deviations(const wide* factor, size count) noexcept nogil
cdef wide power_of_deviations(wide mean, wide factor) noexcept nogil
cdef void bring_near(wide* stats, size kept, size count, real* powers) noexcept nogil
cdef wide* near_stats(const wide* stats, size kept, size count, wide* near, real* powers) noexcept nogil
@cython.locals(source="const real*")
cdef void normalize_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void normalize_elements(
    const real* x, output y, size n, real mean, real scale, real bias, real lowest
) noexcept nogil
cdef void normalize_long(
    const real* x, output y, size n, real mean, real scale, real bias, real lowest
) noexcept nogil
cdef void normalize_columns(
    const real* x, output y, size width, const real* mean, const real* scale, const real* bias, real lowest
) noexcept nogil
cdef void normalize_long_columns(
    const real* x, output y, size width, size ahead, size later, const real* mean, const real* scale, const real* bias,
    real lowest
) noexcept nogil
cdef void normalize_columns_past_caches(
    const real* x, output y, size n, size period, size ahead, const real* mean, const real* scale, const real* bias,
    real lowest, output room
) noexcept nogil
cdef void normalize_past_caches(
    const real* x, size step_x, output y, size step_y, size rows, size width, size period, const real* mean,
    const real* scale, const real* bias, real lowest, output room
) noexcept nogil
cdef void normalize_parts(
    wide* stats, size kept, size width, output mean, output scale, output bias
) noexcept nogil
cdef size rows_together(const Py_ssize_t* lengths) noexcept nogil
cdef size periods(size width, size together, size pieces) noexcept nogil
cdef void repeat(output numbers_of_columns, size width, size times) noexcept nogil
@cython.locals(is_streamed=bint)
cdef void normalize_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void scale_and_shift(const real* x, output y, size n, real scale, real shift, real lowest) noexcept nogil
cdef void scale_and_shift_long(const real* x, output y, size n, real scale, real shift, real lowest) noexcept nogil
cdef void affine_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void affine_columns(
    const real* x, output y, size width, const real* scale, const real* shift, real lowest
) noexcept nogil
cdef void affine_long_columns(
    const real* x, output y, size width, size ahead, size later, const real* scale, const real* shift, real lowest
) noexcept nogil
cdef void affine_columns_past_caches(
    const real* x, output y, size n, size period, size ahead, const real* scale, const real* shift, real lowest,
    output room
) noexcept nogil
cdef void affine_past_caches(
    const real* x, size step_x, output y, size step_y, size rows, size width, size period, const real* scale,
    const real* shift, real lowest, output room
) noexcept nogil
cdef void affine_parts(const wide* stats, size kept, size width, output scale, output shift) noexcept nogil
@cython.locals(is_streamed=bint)
cdef void affine_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void weigh_normalized(
    const real* x, const real* weight, const real* bias, output y, size n, real mean, real scale, real rest
) noexcept nogil
cdef void normalize_row(
    const real* x, const real* weight, const real* bias, output y, size n, real mean, real scale, real rest
) noexcept nogil
cdef void layer_norm_parts(
    wide* stats, size kept, size count, output mean, output scale, output rest
) noexcept nogil
@cython.locals(source="const real*")
cdef void layer_norm_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
@cython.locals(source="const real*", step=size)
cdef void layer_norm_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void weigh_normalized_columns(
    const real* x, output y, size width, const real* mean, const real* scale, const real* rest, real weight, real bias
) noexcept nogil
cdef void layer_norm_long_columns(
    const real* x, output y, size width, size ahead, size later, const real* mean, const real* scale, const real* rest,
    real weight, real bias
) noexcept nogil
cdef void weigh_over_rows(
    const real* x, output y, size n, size column, size width, const real* mean, const real* scale, const real* rest,
    const real* weight, size weight_step, const real* bias, size bias_step
) noexcept nogil
cdef void weigh_two_rows(
    const real* x, output y, size some, const real* mean, const real* scale, const real* rest, real weight,
    real next_weight, real bias, real next_bias
) noexcept nogil
cdef void layer_norm_columns_past_caches(
    const real* x, output y, size n, size ahead, const real* mean, const real* scale, const real* rest, real weight,
    real bias, output room
) noexcept nogil
cdef void layer_norm_block_past_caches(
    const real* x, output y, size rows, size width, const real* mean, const real* scale, const real* rest,
    const real* weight, size weight_step, const real* bias, size bias_step, output room
) noexcept nogil
cdef void layer_norm_past_caches(
    const real* x, size step_x, output y, size step_y, size rows, size width, const real* mean, const real* scale,
    const real* rest, const real* weight, size weight_step, const real* bias, size bias_step, output room
) noexcept nogil
@cython.locals(is_streamed=bint, source="const real*", rows=size)
cdef void layer_norm_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void group_norm_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void group_norm_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void group_norm_columns(
    const real* x, const real* weight, const real* bias, output y, size width,
    const real* mean, const real* scale, const real* rest
) noexcept nogil
@cython.locals(source="const real*")
cdef void group_norm_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
