# What other front doors take from this one: the kernels for this processor, and the threads.

from fastact._kernels.tiers cimport Task

# A kernel that is not element by element: pointers to its arrays and scalars, and the lengths it needs.
ctypedef void (*BlockKernel)(char** args, const Py_ssize_t* lengths) noexcept nogil

cdef BlockKernel find_block_kernel(str precision, str name) except NULL
cdef void run_chunks(Task task, void* context, Py_ssize_t chunks) noexcept nogil
