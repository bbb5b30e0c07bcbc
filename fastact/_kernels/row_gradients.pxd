# C types for row_gradients.py.

cdef enum:
    # Columns whose sums stay in the first-level cache.
    GRADIENT_TILE = 512

cdef size gradients_at_once(size n) noexcept nogil
cdef (real, real, real, real) all_sums_of_4(
    const real* dy, const real* x, const real* weight, real center
) noexcept nogil
cdef (real, real, real, real) all_sums_of_8(
    const real* dy, const real* x, const real* weight, real center
) noexcept nogil
cdef (real, real, real, real) all_sums_of_16(
    const real* dy, const real* x, const real* weight, real center
) noexcept nogil
cdef (wide, wide, wide) all_about(wide c, real center, wide n, real s, real q, real t, real p) noexcept nogil
cdef void add_all_of_4(
    const real* dy, const real* x, const real* weight, real c, wides total, wides square, wides slope, wides product
) noexcept nogil
cdef void add_all_of_8(
    const real* dy, const real* x, const real* weight, real c, wides total, wides square, wides slope, wides product
) noexcept nogil
cdef void add_all_of_16(
    const real* dy, const real* x, const real* weight, real c, wides total, wides square, wides slope, wides product
) noexcept nogil
cdef void add_all(
    const real* dy, const real* x, const real* weight, real c, wides total, wides square, wides slope, wides product
) noexcept nogil
cdef void all_sums_of_row(
    const real* dy, const real* x, const real* weight, size n, real c, wide* total, wide* square, wide* slope,
    wide* product, real* padded
) noexcept nogil
cdef void about_means(const real* c, const wide* stats, size rows, const wide* slope, wides product) noexcept nogil
cdef bint are_exact(wide slope, wide product, wide least) noexcept nogil
@cython.locals(padded="real*")
cdef wide* all_sums_of_rows(
    const real* dy, const real* x, const real* weight, size n, size rows, wide eps, wide* scratch
) noexcept nogil
cdef wide* root_mean_squares(const real* x, size n, size rows, wide eps, wide* scratch) noexcept nogil
cdef void centers_of_rows(
    wide* stats, size rows, output mean, output mean_low, output scale
) noexcept nogil
cdef void parts_of_gradients(
    const wide* total, const wide* product, const wide* stats, wide n, size rows, const real* mean_low,
    const real* scale, output c1, output c2, output rest
) noexcept nogil
cdef void grad_of_4_rows(
    const real* dy, const real* x, const real* weight, output dx, size step, size width, const real* mean,
    const real* scale, const real* rest, const real* c1, const real* c2, wides total, wides product
) noexcept nogil
cdef void grad_of_row(
    const real* dy, const real* x, const real* weight, output dx, size width, real mean, real scale, real rest,
    real c1, real c2, wides total, wides product
) noexcept nogil
cdef void grad_of_tile(
    const real* dy, const real* x, const real* weight, output dx, size n, size width, size rows, const real* mean,
    const real* scale, const real* rest, const real* c1, const real* c2, wide* total, wide* product
) noexcept nogil
cdef size columns_before_line(const real* dx, size n) noexcept nogil
cdef void grad_of_rows(
    const real* dy, const real* x, const real* weight, output dx, size n, size rows, const real* mean,
    const real* scale, const real* rest, const real* c1, const real* c2, wide* total, wide* product
) noexcept nogil
@cython.locals(stats="wide*")
cdef void grad_rows(char** args, const Py_ssize_t* lengths, bint is_centered) noexcept nogil
cdef void grad_layer_norm_rows(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void grad_rms_norm_rows(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void add_batch(const wide* sums, size width, wides total, wides low) noexcept nogil
cdef void round_sums(size width, const wide* total, const wide* low, output y) noexcept nogil
cdef void grad_weights_of_batches(char** args, const Py_ssize_t* lengths) noexcept nogil
