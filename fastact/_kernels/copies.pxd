# Items of any size from one place to another, for the front doors: what kernels take has to be contiguous.

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uintptr_t

ctypedef fused item:
    int8_t
    int16_t
    int32_t
    int64_t

cdef enum:
    CACHE_LINE = 64


cdef inline void copy_items(
    item* target, Py_ssize_t target_step, const item* source, Py_ssize_t source_step, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        (<item*>(<char*>target + i * target_step))[0] = (<const item*>(<const char*>source + i * source_step))[0]


cdef inline void copy(
    char* target, Py_ssize_t target_step, const char* source, Py_ssize_t source_step, Py_ssize_t n, Py_ssize_t item_size
) noexcept nogil:
    if item_size == 1:
        copy_items(<int8_t*>target, target_step, <const int8_t*>source, source_step, n)
    elif item_size == 2:
        copy_items(<int16_t*>target, target_step, <const int16_t*>source, source_step, n)
    elif item_size == 4:
        copy_items(<int32_t*>target, target_step, <const int32_t*>source, source_step, n)
    else:
        copy_items(<int64_t*>target, target_step, <const int64_t*>source, source_step, n)


cdef inline char* aligned(char* memory) noexcept nogil:
    """Return the first place from here on where a cache line begins."""
    return memory + (-<uintptr_t>memory & (CACHE_LINE - 1))


cdef inline Py_ssize_t distance(Py_ssize_t step) noexcept nogil:
    return -step if step < 0 else step
