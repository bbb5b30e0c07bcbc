# C types for grad_softmax.py.

import cython

cdef void grad_softmax_of_tile(const real* dy, const real* y, output dx, size n, real product) noexcept nogil
cdef void grad_softmax_of_row(const real* dy, const real* y, output dx, size n, real product) noexcept nogil
cdef real products_of_4(const real* dy, const real* y, size step) noexcept nogil
cdef real products_of_16(const real* dy, const real* y, size step) noexcept nogil
cdef void add_4_products(const real* dy, const real* y, wides product) noexcept nogil
cdef void add_16_products(const real* dy, const real* y, wides product) noexcept nogil
cdef void chained_products_of_row(const real* dy, const real* y, size n, wides product) noexcept nogil
cdef void grad_softmax_of_short_row(const real* dy, const real* y, output dx, size n, real product) noexcept nogil
cdef void add_block(const real* dy, const real* y, output product) noexcept nogil
cdef void short_products_of_row(const real* dy, const real* y, size n, output product, real* padded) noexcept nogil
cdef void products_of_block(const real* dy, const real* y, output product) noexcept nogil
cdef void products_of_two_blocks(const real* dy, const real* y, output product) noexcept nogil
cdef void products_of_four_blocks(const real* dy, const real* y, output product) noexcept nogil
cdef void short_products_of_rows(
    const real* dy, size dy_step, const real* y, size y_step, size n, size rows, real* lanes, real* padded
) noexcept nogil
cdef void grad_softmax_of_block(const real* dy, const real* y, output dx, real product) noexcept nogil
cdef void grad_softmax_of_two_blocks(const real* dy, const real* y, output dx, real product) noexcept nogil
cdef void grad_softmax_of_short_rows(
    const real* dy, size dy_step, const real* y, size y_step, real* dx, size dx_step, size n, size rows,
    const wide* product
) noexcept nogil
cdef void sum_real_neighbours(const real* source, output target, size n) noexcept nogil
cdef void fold_short_rows(real* lanes, real* other, size rows, wide* total) noexcept nogil
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
cdef void grad_log_softmax_of_short_row(
    const real* dy, const real* y, output dx, size n, real total, real* padded
) noexcept nogil
cdef void add_slopes_of_block(const real* dy, output total) noexcept nogil
cdef void short_slopes_of_row(const real* dy, size n, output total, real* padded) noexcept nogil
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
