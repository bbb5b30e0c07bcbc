# Operands of any strides in one call: see rows.pyx.

cimport numpy as np

from fastact._kernels.calls cimport Loop

cdef enum:
    # Elements from which on a call is worth it: to lay out the axes takes 1 us, as in NumPy.
    BY_ROWS_FROM = 16384

cdef object compute_rows(const Loop* loop, np.PyArrayObject** arrays, char** scalars, int dtype)
