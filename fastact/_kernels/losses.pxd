# C types for losses.py.

cdef real binary_loss(real x, real target) noexcept nogil
cdef void add_binary_losses(const real* x, const real* target, size width, wides total) noexcept nogil
cdef void binary_losses_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void binary_losses_combine(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef void binary_losses_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef real grad_binary_loss(real x, real target, real count) noexcept nogil
cdef void grad_binary_losses_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
cdef real grad_penalty(real w, real first, real second) noexcept nogil
cdef void grad_penalties_apply_row(char** args, const Py_ssize_t* lengths) noexcept nogil
