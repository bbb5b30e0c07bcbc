# C types for gates.py.

cdef void grad_glu_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void each_pair(
    const real* dy, const real* a, const real* b, output da, output db, Py_ssize_t n
) noexcept nogil
cdef bint usual_pairs(
    const real* dy, const real* a, const real* b, output da, output db, Py_ssize_t n
) noexcept nogil
