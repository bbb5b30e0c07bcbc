# C types for moments.py.

cdef inline output output_of(char** args, size k) noexcept nogil:
    return <output>args[k]

cdef real finite(real x, real otherwise) noexcept nogil
cdef void fold_sum(wide* total, size half) noexcept nogil
cdef void fold_sums(wide* total) noexcept nogil
cdef void sums_of_row(const real* x, size n, real c, wides total, wides square) noexcept nogil
cdef void moments_of_row(const real* x, size n, wide* piece, wides total, wides square) noexcept nogil
cdef void moments_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void add_moments(const real* x, size width, const wide* c, wides total, wides square) noexcept nogil
@cython.locals(c="wide*", total="wide*", square="wide*")
cdef void moments_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void combine_moments(
    wide* pieces, size count, size width, size j, wide* stats, size kept, wide eps
) noexcept nogil
cdef void moments_combine(char** args, const Py_ssize_t* lengths) noexcept nogil

cdef void moments_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil

cdef real normalized(real x, real mean, real mean_low, real scale, real bias) noexcept nogil
cdef (real, real) mean_parts(wide* stats, size kept) noexcept nogil
cdef void normalize_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void normalize_columns(
    const real* x, output y, size width, const real* mean, const real* mean_low, const real* scale, const real* bias
) noexcept nogil
cdef void normalize_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil

cdef void affine_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void affine_columns(const real* x, output y, size width, const real* scale, const real* shift) noexcept nogil
cdef void affine_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil

cdef void normalize_row(
    const real* x, const real* weight, const real* bias, output y, size n, wide* stats, size kept
) noexcept nogil
cdef void layer_norm_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void layer_norm_whole_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void layer_norm_columns(
    const real* x, const real* weight, const real* bias, output y, size width,
    const real* mean, const real* mean_low, const real* scale
) noexcept nogil
cdef void layer_norm_apply_columns(char** args, const Py_ssize_t* lengths) noexcept nogil
