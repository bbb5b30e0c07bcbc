# What is done for one piece, one group, or rows that are neighbours.

from fastact._kernels.jobs cimport Job, Piece
from fastact._kernels.ufuncs cimport BlockKernel

cdef char* buffers_for(Job* job) noexcept nogil
cdef Py_ssize_t pieces_room(const Job* job) noexcept nogil
cdef Py_ssize_t scratch_numbers(const Job* job) noexcept nogil
cdef void run_piece(
    const Job* job, BlockKernel kernel, const Piece* piece, double* pieces, double* scratch, char* buffers, bint writes
) noexcept nogil
cdef void run_rows(const Job* job, Py_ssize_t first, Py_ssize_t rows, double* scratch, char* buffer) noexcept nogil
cdef void run_packed_rows(
    const Job* job, Py_ssize_t first, Py_ssize_t rows, double* scratch, char* buffers
) noexcept nogil
cdef void run_group(const Job* job, Py_ssize_t group, double* pieces, double* scratch, char* buffers) noexcept nogil
cdef void combine(const Job* job, Py_ssize_t group, double* pieces, double* scratch) noexcept nogil
