# What other front doors take from this one.

cimport cython
cimport numpy as np

cdef enum:
    MOST_AXES = 64

ctypedef fused real_number:
    float
    double

@cython.final
cdef class Operand:
    cdef readonly np.ndarray array
    cdef readonly np.dtype dtype

cdef bint is_computed(object x) noexcept
cdef bint is_same(np.ndarray a, np.ndarray b) noexcept
cdef bint may_share_memory(np.ndarray a, np.ndarray b) noexcept
cdef np.ndarray laid_over(np.ndarray x, np.ndarray array, char* first, np.npy_intp* steps)
