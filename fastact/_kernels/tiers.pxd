# A kernel's versions, for the front doors: which of them runs, and the time that makes it hot. See tiers.pyx.

from libc.stdint cimport int64_t

cdef extern from "atomics.h" nogil:
    int load "fastact_load"(const int* source) noexcept
    int64_t now "fastact_now"() noexcept

ctypedef void (*Kernel)(char** args, Py_ssize_t n) noexcept nogil
# A kernel that is not element by element: pointers to its arrays and scalars, and the lengths it needs.
ctypedef void (*BlockFunction)(char** args, const Py_ssize_t* lengths) noexcept nogil
ctypedef void (*Task)(void* context, Py_ssize_t chunk) noexcept nogil

cdef enum:
    # Shorter arrays stay with Cython: Numba's loops take four vectors at a time, 25% faster at 4096 elements and up to
    # 50% slower at 100. The two clock readings that find a hot kernel cost 50 ns.
    NUMBA_FROM = 512

cdef enum Backend:
    AUTO
    NUMBA
    CYTHON

# From left to right, but that a forked child wants again what its parent was compiling.
cdef enum Status:
    NOT_COMPILED
    WANTED
    COMPILED
    FAILED

cdef struct Kernels:
    Kernel scalar
    Kernel array

cdef struct Tiers:
    int status
    int64_t nanoseconds
    Kernels cython
    Kernels numba
    # Of a kernel that is not element by element, instead of these.
    BlockFunction cython_block
    BlockFunction numba_block

ctypedef Tiers* BlockKernel

cdef int backend

cdef Tiers* create_tiers(Kernel scalar, Kernel array, object key) except NULL
cdef Tiers* create_block_tiers(BlockFunction function, object key) except NULL
cdef Tiers* tiers_at(tuple key) except NULL
cdef void compile_first(Tiers* tiers) noexcept nogil
cdef void add_time(Tiers* tiers, int64_t nanoseconds) noexcept nogil
cdef bint run_in_numba(Task task, void* context, Py_ssize_t chunks, int threads) noexcept nogil


cdef inline const Kernels* kernels_for(Tiers* tiers, Py_ssize_t n) noexcept nogil:
    """Return the kernels to compute n elements with."""
    if load(&tiers.status) < COMPILED and load(&backend) == NUMBA:
        compile_first(tiers)
    if n >= NUMBA_FROM and load(&tiers.status) == COMPILED and load(&backend) != CYTHON:
        return &tiers.numba
    return &tiers.cython


cdef inline bint is_timed(const Tiers* tiers, Py_ssize_t n) noexcept nogil:
    """Return whether the time of a call of n elements is to be told to `add_time`."""
    return n >= NUMBA_FROM and load(&tiers.status) == NOT_COMPILED and load(&backend) == AUTO


cdef inline void run_block(Tiers* tiers, char** args, const Py_ssize_t* lengths) noexcept nogil:
    """Call a kernel that is not element by element: of its versions the one that is to run now."""
    cdef int64_t start
    cdef int status = load(&tiers.status)
    if status == COMPILED and load(&backend) != CYTHON:
        tiers.numba_block(args, lengths)
    elif status < COMPILED and load(&backend) == NUMBA:
        compile_first(tiers)
        (tiers.numba_block if load(&tiers.status) == COMPILED else tiers.cython_block)(args, lengths)
    elif status == NOT_COMPILED and load(&backend) == AUTO:
        start = now()
        tiers.cython_block(args, lengths)
        add_time(tiers, now() - start)
    else:
        tiers.cython_block(args, lengths)
