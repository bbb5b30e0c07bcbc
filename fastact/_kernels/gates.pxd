# C types for gates.py.

cdef void grad_glu_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
