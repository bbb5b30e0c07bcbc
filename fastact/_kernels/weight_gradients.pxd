# C types for weight_gradients.py.

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
cdef wide slope_term(real dy, real x) noexcept nogil
cdef void add_slope_terms(const real* dy, const real* x, size width, wides total) noexcept nogil
cdef void slope_sums_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void slope_sums_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void slope_sums_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
