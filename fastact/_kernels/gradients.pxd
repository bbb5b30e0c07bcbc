# C types for gradients.py.

cdef void products_of_row(
    const real* dy, const real* x, size n, real mean, real mean_low, wides total, wides product
) noexcept nogil
cdef void weighted_products_of_row(
    const real* dy, const real* x, const real* weight, size n, real mean, real mean_low, wides total, wides product
) noexcept nogil
cdef real deviation(real x, real mean, real mean_low, real scale) noexcept nogil
cdef (real, real) slopes_of_4(
    const real* dy, size dy_step, const real* x, size x_step, real mean, real mean_low, real scale
) noexcept nogil
cdef (real, real) weighted_slopes_of_4(
    const real* dy, size dy_step, const real* x, size x_step, const real* weight, size weight_step, real mean,
    real mean_low, real scale
) noexcept nogil
cdef bint in_range(wide total, wide product) noexcept nogil
@cython.locals(few=size)
cdef size count_out_of_range(size width, const wide* total, const wide* product) noexcept nogil
@cython.locals(fits=bint)
cdef void replace_out_of_range(
    size width, wides total, wides product, const wide* other_total, const wide* other_product
) noexcept nogil
cdef void unscale(size width, wides product, const real* scale) noexcept nogil
cdef void add_8_slopes_of_columns(
    const real* dy, size dy_step, const real* x, size x_step, size width, const real* mean, const real* mean_low,
    const real* scale, wides total, wides product
) noexcept nogil
cdef void add_slopes_of_columns(
    const real* dy, const real* x, size width, const real* mean, const real* mean_low, const real* scale, wides total,
    wides product
) noexcept nogil
cdef void normal_products_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void normal_products_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void add_8_weighted_of_columns(
    const real* dy, size dy_step, const real* x, size x_step, const real* weight, size weight_step, size width,
    const real* mean, const real* mean_low, const real* scale, wides total, wides product
) noexcept nogil
cdef void add_weighted_of_columns(
    const real* dy, const real* x, real weight, size width, const real* mean, const real* mean_low, const real* scale,
    wides total, wides product
) noexcept nogil
cdef void add_4_weighted_of_row(
    const real* dy, const real* x, const real* weight, real mean, real mean_low, real scale, wides total, wides product
) noexcept nogil
cdef void add_weighted_of_row(
    const real* dy, const real* x, const real* weight, real mean, real mean_low, real scale, wides total, wides product
) noexcept nogil
cdef void chained_products_of_weighted_row(
    const real* dy, const real* x, const real* weight, size n, real mean, real mean_low, real scale, wides total,
    wides product, real* rest
) noexcept nogil
cdef void products_of_weighted_rows(
    const real* dy, size dy_step, const real* x, size x_step, const real* weight, size weight_step, size n, size rows,
    const real* mean, const real* mean_low, const real* scale, wide* scratch
) noexcept nogil
cdef (wide, wide) both_sums(wide* lanes) noexcept nogil
cdef void products_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void weighted_products_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void add_products(
    const real* dy, const real* x, size width, const real* mean, const real* mean_low, wides total, wides product
) noexcept nogil
cdef void add_weighted_products(
    const real* dy, const real* x, real weight, size width, const real* mean, const real* mean_low, wides total, wides product
) noexcept nogil
cdef void products_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void weighted_products_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void combine_products(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void products_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void normal_products_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void weighted_products_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef real grad_normalized(
    real g, real x, real mean, real mean_low, real c1, real c2, real scale
) noexcept nogil
cdef void grad_normalize_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void grad_weighted_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void grad_weighted_row(
    const real* dy, const real* x, const real* weight, output dx, size n, real mean, real mean_low, real c1, real c2, real scale
) noexcept nogil
cdef void grad_weighted_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void row_facts(
    char** args, const Py_ssize_t* lengths, real* mean, real* mean_low, real* c1, real* c2, real* scale
) noexcept nogil
cdef void grad_normalize_columns(
    const real* dy, const real* x, output dx, size width, const real* mean, const real* mean_low, const real* c1, const real* c2, const real* scale
) noexcept nogil
cdef void grad_normalize_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void grad_weighted_columns(
    const real* dy, const real* x, real weight, output dx, size width, const real* mean, const real* mean_low, const real* c1, const real* c2, const real* scale
) noexcept nogil
cdef void grad_weighted_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void add_normalized(
    const real* dy, const real* x, const real* mean, const real* mean_low, const real* scale, size width, wides total, wides product
) noexcept nogil
cdef void add_normalized_columns(
    const real* dy, const real* x, real mean, real mean_low, real scale, size width, wides total, wides product
) noexcept nogil
cdef (real, real) normalized_slopes_of_4(
    const real* dy, size dy_step, const real* x, size x_step, const real* mean, const real* mean_low,
    const real* scale, size step
) noexcept nogil
cdef void add_8_normalized_columns(
    const real* dy, size dy_step, const real* x, size x_step, const real* mean, const real* mean_low,
    const real* scale, size step, size width, wides total, wides product
) noexcept nogil
cdef void normalized_columns(
    const real* dy, size dy_step, const real* x, size x_step, const real* mean, const real* mean_low,
    const real* scale, size step, size rows, size width, wide* total, wide* product
) noexcept nogil
cdef void normalized_products_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void normalized_products_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void normalized_products_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void grad_softmax_of_tile(const real* dy, const real* y, output dx, size n, real product) noexcept nogil
cdef void grad_softmax_of_row(const real* dy, const real* y, output dx, size n, real product) noexcept nogil
cdef real products_of_4(const real* dy, const real* y, size step) noexcept nogil
cdef real products_of_16(const real* dy, const real* y, size step) noexcept nogil
cdef void add_4_products(const real* dy, const real* y, wides product) noexcept nogil
cdef void add_16_products(const real* dy, const real* y, wides product) noexcept nogil
cdef void chained_products_of_row(const real* dy, const real* y, size n, wides product) noexcept nogil
cdef size slopes_at_once(size n) noexcept nogil
@cython.locals(count=size)
cdef bint all_between(const wide* sums, wide least, size n) noexcept nogil
cdef void products_of_slopes(
    const real* dy, size dy_step, const real* y, size y_step, size n, size rows, wide* total
) noexcept nogil
cdef void add_products_of_two(const real* dy, const real* y, size n, wides product) noexcept nogil
cdef wide product_of_row(const real* dy, const real* y, size n, wide* product) noexcept nogil
cdef void grad_softmax_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void grad_log_softmax_of_tile(const real* dy, const real* y, output dx, size n, real total) noexcept nogil
cdef void add_8_slopes(const real* dy, wides total) noexcept nogil
cdef void chained_slopes_of_row(const real* dy, size n, wides total) noexcept nogil
cdef void sums_of_slopes(const real* dy, size step, size n, size rows, wide* total) noexcept nogil
cdef void grad_log_softmax_of_row(const real* dy, const real* y, output dx, size n, real total) noexcept nogil
cdef void add_slopes(const real* dy, size n, wides total) noexcept nogil
cdef wide slopes_of_row(const real* dy, size n, wide* lanes) noexcept nogil
cdef void grad_log_softmax_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void grad_softmax_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void grad_softmax_columns(const real* dy, const real* y, output dx, size width, const real* product) noexcept nogil
cdef void grad_softmax_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef real exp_negative(real x) noexcept nogil
cdef void grad_log_softmax_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void grad_log_softmax_columns(
    const real* dy, const real* y, output dx, size width, const real* total
) noexcept nogil
cdef void grad_log_softmax_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef wide slope_term(real dy, real x) noexcept nogil
cdef void add_slope_terms(const real* dy, const real* x, size width, wides total) noexcept nogil
cdef void slope_sums_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void slope_sums_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void slope_sums_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
