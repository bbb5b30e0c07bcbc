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
cdef (real, real) scaled_slopes_of_4(
    const real* dy, const real* x, const real* weight, real mean, real scale, real rest
) noexcept nogil
cdef (real, real) scaled_slopes_of_16(
    const real* dy, const real* x, const real* weight, real mean, real scale, real rest
) noexcept nogil
cdef void add_16_weighted_of_row(
    const real* dy, const real* x, const real* weight, real mean, real scale, real rest, wides total, wides product
) noexcept nogil
cdef void add_4_weighted_of_row(
    const real* dy, const real* x, const real* weight, real mean, real scale, real rest, wides total, wides product
) noexcept nogil
cdef void add_weighted_of_row(
    const real* dy, const real* x, const real* weight, real mean, real scale, real rest, wides total, wides product
) noexcept nogil
cdef void chained_products_of_weighted_row(
    const real* dy, const real* x, const real* weight, size n, real mean, real scale, real rest, wides total,
    wides product, real* padded
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
