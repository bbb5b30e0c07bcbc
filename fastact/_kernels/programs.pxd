# The steps of a fused function on one type, computed block by block. See programs.pyx.

from fastact._kernels.tiers cimport Kernel

cdef enum:
    MOST_STEP_OPERANDS = 4

# Operands and target are numbers of places: the function's inputs, its output, constants, and memory in between.
cdef struct Step:
    Kernel kernel
    int inputs
    int operands[MOST_STEP_OPERANDS]
    int target

cdef struct Program:
    int inputs
    int constants
    int places
    int steps_count
    Py_ssize_t item_size
    Py_ssize_t block
    # A block of each constant.
    char** values
    Step* steps

cdef Program* create_program(dict functions, str precision, int inputs, tuple values, int memories, list steps) except NULL
cdef void execute(const Program* program, char** args, Py_ssize_t n) noexcept nogil
