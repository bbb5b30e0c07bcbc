# What other front doors take from this one.

cimport numpy as np

cdef bint is_computed(object x) noexcept
cdef bint may_share_memory(np.ndarray a, np.ndarray b) noexcept
