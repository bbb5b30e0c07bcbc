"""Fused functions: the kernels of their steps, one after the other on blocks that stay in the first-level cache.

What is between two steps never goes to memory: a block of it is written and read again within a few hundred
nanoseconds. The kernels are those of the operators, compiled ahead of time, so nothing waits for a compiler.
"""

from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc
from cpython.pycapsule cimport PyCapsule_GetPointer

from fastact._kernels.copies cimport CACHE_LINE, aligned

cdef enum:
    MOST_PLACES = 64
    # Half of a small first-level cache, for constants and what is between steps.
    STORAGE = 24576
    # Elements at a time: a step costs 10 ns by itself.
    LONGEST_BLOCK = 1024

# Where blocks of constants are, by their text and the size of an element.
cdef dict CONSTANTS = {}


cdef void* allocate(size_t count, size_t size) except NULL:
    cdef void* memory = calloc(count + 1, size)
    if memory == NULL:
        raise MemoryError
    return memory


cdef Program* create_program(
    dict functions, str precision, int inputs, tuple values, int memories, list steps
) except NULL:
    """Return a program; like all that NumPy has pointers to, it stays for ever.

    Parameters
    ----------
    functions : dict
        The compiled kernels of one precision.
    precision : str
        float32 or float64.
    inputs : int
        How many arrays the function takes: places 0, 1, ...; behind them stands its output.
    values : tuple of float
        The constants, whose places come next.
    memories : int
        How many blocks of memory there are between steps: the last places.
    steps : list of (str, tuple of int, int)
        The kernel's name, the places it reads and the one it writes.
    """
    cdef Program* program
    cdef int i, k
    if inputs + 1 + len(values) + memories > MOST_PLACES:
        raise ValueError(f"a fused function has at most {MOST_PLACES} inputs, constants and values at a time")
    program = <Program*>allocate(1, sizeof(Program))
    program.inputs = inputs
    program.constants = len(values)
    program.places = inputs + 1 + len(values) + memories
    program.steps_count = len(steps)
    program.item_size = 4 if precision == "float32" else 8
    program.block = block_of(len(values) + memories, program.item_size)
    program.values = <char**>allocate(len(values), sizeof(char*))
    program.steps = <Step*>allocate(len(steps), sizeof(Step))
    for k, value in enumerate(values):
        program.values[k] = constant(value, program.item_size)
    for i, (name, operands, target) in enumerate(steps):
        program.steps[i].kernel = <Kernel>PyCapsule_GetPointer(functions[f"array_{name}"], b"void (char **, Py_ssize_t)")
        program.steps[i].inputs = len(operands)
        for k, place in enumerate(operands):
            program.steps[i].operands[k] = place
        program.steps[i].target = target
    return program


cdef Py_ssize_t block_of(Py_ssize_t buffers, Py_ssize_t item_size) noexcept:
    """Return how many elements, whole cache lines of them, so many buffers have room for."""
    cdef Py_ssize_t line = CACHE_LINE // item_size
    if buffers == 0:
        return LONGEST_BLOCK
    return min(<Py_ssize_t>LONGEST_BLOCK, STORAGE // (buffers * item_size) // line * line)


cdef char* constant(double value, Py_ssize_t item_size) except NULL:
    """Return a block of a constant, filled here and not in calls, which may be short ones.

    All functions share it: none is ever freed, and 43 KiB more for each that is made again would add up.
    """
    cdef char* memory
    cdef Py_ssize_t i
    # Not by value: -0.0 is equal to 0.0.
    key = repr(value), item_size
    if key not in CONSTANTS:
        memory = aligned(<char*>allocate(LONGEST_BLOCK * item_size + CACHE_LINE, 1))
        for i in range(LONGEST_BLOCK):
            if item_size == 4:
                (<float*>memory)[i] = <float>value
            else:
                (<double*>memory)[i] = value
        CONSTANTS[key] = <uintptr_t>memory
    return <char*><uintptr_t>CONSTANTS[key]


cdef void execute(const Program* program, char** args, Py_ssize_t n) noexcept nogil:
    """Compute n elements of contiguous arrays: the inputs, then the output, which only the last step writes."""
    cdef char storage[STORAGE + CACHE_LINE]
    cdef char* places[MOST_PLACES]
    cdef char* operands[MOST_STEP_OPERANDS + 1]
    cdef char* buffer = aligned(storage)
    cdef Py_ssize_t length
    cdef const Step* step
    cdef int i, k
    for k in range(program.inputs + 1):
        places[k] = args[k]
    for k in range(program.constants):
        places[program.inputs + 1 + k] = program.values[k]
    for k in range(program.inputs + 1 + program.constants, program.places):
        places[k] = buffer
        buffer += program.block * program.item_size
    while n > 0:
        length = min(n, program.block)
        for i in range(program.steps_count):
            step = &program.steps[i]
            for k in range(step.inputs):
                operands[k] = places[step.operands[k]]
            operands[step.inputs] = places[step.target]
            step.kernel(operands, length)
        for k in range(program.inputs + 1):
            places[k] += length * program.item_size
        n -= length
