# An array's elements in the order of their indices, whatever its strides: one by one, or copied to a buffer or back.

from libc.string cimport memcpy
cimport numpy as np

from fastact._kernels.copies cimport copy, distance
from fastact._kernels.operands cimport MOST_AXES


cdef struct Walk:
    char* place
    Py_ssize_t item_size
    # As few axes as the array allows, at least one.
    int last
    Py_ssize_t lengths[MOST_AXES]
    Py_ssize_t steps[MOST_AXES]
    # Of the element at the place.
    Py_ssize_t numbers[MOST_AXES]


cdef inline Walk walk_over(np.ndarray array, int without=-1) noexcept:
    """Return a walk that begins at the first element, and stays there on one of the axes."""
    cdef Walk walk
    cdef Py_ssize_t length, step
    cdef int axis
    walk.place, walk.item_size = np.PyArray_BYTES(array), np.PyArray_ITEMSIZE(array)
    walk.last, walk.lengths[0], walk.steps[0], walk.numbers[0] = 0, 1, walk.item_size, 0
    for axis in range(np.PyArray_NDIM(array)):
        length, step = np.PyArray_DIM(array, axis), np.PyArray_STRIDE(array, axis)
        if length == 1 or axis == without:
            continue
        if walk.lengths[walk.last] == 1 or walk.steps[walk.last] == length * step:
            length *= walk.lengths[walk.last]
        else:
            walk.last += 1
        walk.lengths[walk.last], walk.steps[walk.last], walk.numbers[walk.last] = length, step, 0
    return walk


cdef inline bint has_distinct_elements(const Walk* walk) noexcept nogil:
    """Return whether it is sure that no two elements share memory: each step is longer than all that is inside it."""
    cdef Py_ssize_t inside
    cdef int i, j
    for i in range(walk.last + 1):
        inside = walk.item_size
        for j in range(walk.last + 1):
            if j != i and distance(walk.steps[j]) <= distance(walk.steps[i]):
                inside += (walk.lengths[j] - 1) * distance(walk.steps[j])
        if distance(walk.steps[i]) < inside:
            return False
    return True


cdef inline void go_to(Walk* walk, Py_ssize_t index) noexcept nogil:
    """Go from the first element to another one."""
    cdef int i
    for i in range(walk.last, -1, -1):
        walk.numbers[i] = index % walk.lengths[i]
        walk.place += walk.numbers[i] * walk.steps[i]
        index //= walk.lengths[i]


cdef inline void turn(Walk* walk) noexcept nogil:
    """Go from behind the end of an axis to where the next one begins."""
    cdef int i = walk.last
    while i > 0 and walk.numbers[i] == walk.lengths[i]:
        walk.place += walk.steps[i - 1] - walk.lengths[i] * walk.steps[i]
        walk.numbers[i] = 0
        i -= 1
        walk.numbers[i] += 1


cdef inline void go_on(Walk* walk) noexcept nogil:
    """Go to the next element."""
    walk.place += walk.steps[walk.last]
    walk.numbers[walk.last] += 1
    turn(walk)


cdef inline void copy_next(Walk* walk, char* buffer, Py_ssize_t n, bint back) noexcept nogil:
    """Copy the next n elements to a buffer or back, and go on behind them."""
    cdef int last = walk.last
    cdef Py_ssize_t step = walk.steps[last], item = walk.item_size, length
    while n > 0:
        length = min(n, walk.lengths[last] - walk.numbers[last])
        if step == item and back:
            memcpy(walk.place, buffer, length * item)
        elif step == item:
            memcpy(buffer, walk.place, length * item)
        elif back:
            copy(walk.place, step, buffer, item, length, item)
        else:
            copy(buffer, item, walk.place, step, length, item)
        buffer += length * item
        n -= length
        walk.place += length * step
        walk.numbers[last] += length
        turn(walk)
