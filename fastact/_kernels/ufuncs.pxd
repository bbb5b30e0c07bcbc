# What other front doors take from this one: the kernels for this processor, and the threads.

from fastact._kernels.workers cimport run_chunks
from fastact._kernels.tiers cimport BlockKernel, Task, run_block

cdef BlockKernel find_block_kernel(str precision, str name) except NULL
