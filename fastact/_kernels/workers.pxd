# The threads that the caller may use, and what shares work among them.

from fastact._kernels.tiers cimport Task

cpdef int get_threads() noexcept nogil
cdef void run_chunks(Task task, void* context, Py_ssize_t chunks) noexcept nogil
