# C types for slope_sums.py. Whatever the precision of the arrays, sums are float64.

cdef double slope_term(real dy, real x) noexcept nogil
cdef void add_slope_row(const real* dy, const real* x, double* sums, Py_ssize_t columns) noexcept nogil
cdef void slope_sums(char** args, const Py_ssize_t* lengths) noexcept nogil

cdef inline double widened(real x) noexcept nogil:
    return x

cdef inline double* sums_operand(char** args, Py_ssize_t k) noexcept nogil:
    return <double*>args[k]
