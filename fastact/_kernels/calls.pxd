# What is known of a loop for ever: one for each ufunc and type, NumPy hands it back as `data`.

cimport numpy as np

from fastact._kernels.programs cimport Program
from fastact._kernels.tiers cimport Kernel, Tiers

cdef enum:
    MOST_OPERANDS = 9
    # Elements of a chunk, and how many stay in one thread. Measured on two processors: float32 sigmoid of 2**16 takes
    # 28 us, and 16 us with a second thread that is awake; relu 9 us either way. A chunk takes 1 us (relu) to 10 us.
    CHUNK = 8192
    SERIAL_BELOW = 65536

ctypedef void (*Copy)(
    char* target, Py_ssize_t target_step, const char* source, Py_ssize_t source_step, Py_ssize_t n
) noexcept nogil

cdef struct Operand:
    Py_ssize_t item_size
    Copy copy
    # Between the operand's type and the kernel's, on contiguous memory: an input's to it, the output's from it.
    Kernel convert

cdef struct Loop:
    Tiers* tiers
    # Of a fused function, which has no kernel; else NULL.
    const Program* program
    int arrays
    int inputs
    Py_ssize_t kernel_item_size
    bint is_converting
    Operand operands[MOST_OPERANDS]

cdef void inner_loop(char** args, np.npy_intp* dimensions, np.npy_intp* steps, void* data) noexcept nogil
cdef bint compute_directly(const Loop* loop, char** args, const np.npy_intp* steps, Py_ssize_t n) noexcept
cdef void compute_row(
    const Loop* loop, char** args, const np.npy_intp* steps, Py_ssize_t n, Py_ssize_t all_elements
) noexcept nogil
