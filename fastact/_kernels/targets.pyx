"""The targets of cross entropy: checked, and what of the logits, the losses and the gradients is theirs."""

import operator

cimport cython
from libc.math cimport expm1, isfinite
from libc.string cimport memcpy, memset
cimport numpy as np

import numpy as np

from fastact._kernels.arguments import as_array, checked
from fastact._kernels.environment cimport Environment, enter_environment, leave_environment
from fastact._kernels.operands cimport Operand
from fastact._kernels.walks cimport Walk, go_on, walk_over
from fastact._kernels.operands import FLOAT64, computable, kept_shape, numbers_of, single_axis
from fastact._kernels.statistics import rounded

np.import_array()


@cython.final
cdef class Targets:
    """The classes of cross entropy: as intp, 0 for those that are ignored; which are not (bool), and their number."""

    cdef readonly np.ndarray classes
    cdef readonly np.ndarray is_counted
    cdef readonly Py_ssize_t count
    cdef readonly int channel


def checked_targets(target, Operand logits not None, axis, ignore_index, str function):
    """Return the classes for each element of the logits' other axes."""
    cdef Targets targets = Targets()
    cdef np.ndarray x = logits.array
    cdef Py_ssize_t classes
    targets.channel = single_axis(axis, np.PyArray_NDIM(x), function)
    demand = f"{function}(): target must be an array of integers"
    given = as_array(checked(target, demand), demand)
    if given.dtype.kind not in "iu":
        raise TypeError(f"{demand}, got dtype {given.dtype}")
    shape = kept_shape((<object>x).shape, (targets.channel,))
    if given.shape != shape:
        raise ValueError(f"{function}(): target must have shape {shape}, that of logits without axis, got {given.shape}")
    held = given
    if given.dtype.kind == "u" and given.dtype.itemsize == 8:
        # Those that int64 does not hold do not exist.
        held = np.minimum(given, np.uint64(2**63 - 1))
    try:
        ignored = operator.index(ignore_index)
    except TypeError:
        raise TypeError(f"{function}(): ignore_index must be an int, got {type(ignore_index).__name__!r}") from None
    classes = np.PyArray_DIM(x, targets.channel) if np.PyArray_NDIM(x) else 1
    targets.classes = np.PyArray_FROMANY(
        held, np.NPY_INTP, 0, 0, np.NPY_ARRAY_DEFAULT | np.NPY_ARRAY_FORCECAST | np.NPY_ARRAY_ENSURECOPY
    )
    ignored = ignored if abs(ignored) < 2**63 else -(2**63)
    if not count_targets(targets, classes, ignored):
        others = given[(held != ignored) & ((held < 0) | (held >= classes))]
        accepted = f"classes from 0 to {classes - 1} or {ignore_index}"
        raise ValueError(f"{function}(): target must be {accepted}, got {others.flat[0]}")
    return targets


cdef bint count_targets(Targets targets, Py_ssize_t classes, long long ignored) except -1:
    """Find out what is not ignored; return whether all classes exist."""
    cdef np.npy_intp* given = <np.npy_intp*>np.PyArray_DATA(targets.classes)
    cdef np.npy_bool* counted
    cdef Py_ssize_t i
    targets.is_counted = np.PyArray_EMPTY(
        np.PyArray_NDIM(targets.classes), np.PyArray_DIMS(targets.classes), np.NPY_BOOL, 0
    )
    counted = <np.npy_bool*>np.PyArray_DATA(targets.is_counted)
    targets.count = 0
    for i in range(np.PyArray_SIZE(targets.classes)):
        counted[i] = given[i] != ignored
        if not counted[i]:
            given[i] = 0
        elif not 0 <= given[i] < classes:
            return False
        targets.count += counted[i]
    return True


cdef inline Py_ssize_t step_of_classes(np.ndarray x, Targets targets) noexcept:
    return np.PyArray_STRIDE(x, targets.channel) if np.PyArray_NDIM(x) else 0


cdef np.ndarray picked(np.ndarray x, Targets targets):
    """Return the elements of 16 bits at the classes as contiguous float64."""
    cdef np.ndarray items = np.empty((<object>targets.classes).shape, x.dtype)
    cdef char* memory = np.PyArray_BYTES(items)
    cdef const np.npy_intp* k = <np.npy_intp*>np.PyArray_DATA(targets.classes)
    cdef const np.npy_bool* counted = <np.npy_bool*>np.PyArray_DATA(targets.is_counted)
    cdef Py_ssize_t i
    cdef Py_ssize_t step = step_of_classes(x, targets)
    cdef Walk walk = walk_over(x, targets.channel)
    for i in range(np.PyArray_SIZE(items)):
        # A row that is ignored may have no elements.
        if counted[i]:
            memcpy(memory + 2 * i, walk.place + k[i] * step, 2)
        else:
            memset(memory + 2 * i, 0, 2)
        go_on(&walk)
    return computable(items, FLOAT64)


def losses_of(np.ndarray x not None, Targets targets not None, np.ndarray high not None, np.ndarray low not None):
    """Return high - x[class] + low, float64, for each class that is not ignored, else 0."""
    cdef np.ndarray loss = np.PyArray_ZEROS(
        np.PyArray_NDIM(targets.classes), np.PyArray_DIMS(targets.classes), np.NPY_FLOAT64, 0
    )
    cdef double* y = <double*>np.PyArray_DATA(loss)
    cdef const double* h = <double*>np.PyArray_DATA(high)
    cdef const double* l = <double*>np.PyArray_DATA(low)
    cdef const np.npy_intp* k = <np.npy_intp*>np.PyArray_DATA(targets.classes)
    cdef const np.npy_bool* counted = <np.npy_bool*>np.PyArray_DATA(targets.is_counted)
    cdef Py_ssize_t item = np.PyArray_ITEMSIZE(x)
    cdef np.ndarray halves = picked(x, targets) if item == 2 else loss
    cdef const double* half = <double*>np.PyArray_DATA(halves)
    cdef Environment callers = enter_environment()
    cdef Py_ssize_t i
    cdef double logit
    cdef char* place
    cdef Py_ssize_t step = step_of_classes(x, targets)
    cdef Walk walk = walk_over(x, targets.channel)
    for i in range(np.PyArray_SIZE(loss)):
        if counted[i]:
            place = walk.place + k[i] * step
            logit = half[i] if item == 2 else (<double*>place)[0] if item == 8 else (<float*>place)[0]
            y[i] = h[i] - logit + l[i]
        go_on(&walk)
    leave_environment(callers)
    return loss


def set_targets(np.ndarray dx not None, Targets targets not None, np.ndarray loss not None):
    """Write expm1(-loss)/count at the classes, and 0 to all that is ignored: that has no gradient, not even NaN."""
    cdef const double* l = <double*>np.PyArray_DATA(loss)
    cdef const np.npy_intp* classes = <np.npy_intp*>np.PyArray_DATA(targets.classes)
    cdef const np.npy_bool* counted = <np.npy_bool*>np.PyArray_DATA(targets.is_counted)
    cdef Py_ssize_t item = np.PyArray_ITEMSIZE(dx)
    cdef Py_ssize_t length = np.PyArray_DIM(dx, targets.channel) if np.PyArray_NDIM(dx) else 1
    cdef np.ndarray slopes = numbers_of(np.PyArray_SIZE(loss), 0.0)
    cdef double* slope = <double*>np.PyArray_DATA(slopes)
    cdef Environment callers = enter_environment()
    cdef Py_ssize_t i, k
    cdef Py_ssize_t step = step_of_classes(dx, targets)
    cdef const char* values
    cdef Walk walk
    for i in range(np.PyArray_SIZE(loss)):
        slope[i] = expm1(-l[i]) / targets.count if counted[i] else 0.0
    leave_environment(callers)
    slopes = rounded(slopes, (np.PyArray_SIZE(loss),), dx.dtype)
    values = np.PyArray_BYTES(slopes)
    walk = walk_over(dx, targets.channel)
    for i in range(np.PyArray_SIZE(loss)):
        for k in range(classes[i], classes[i] + 1 if counted[i] else length):
            memcpy(walk.place + k * step, values + i * item, item)
        go_on(&walk)


def reduced(np.ndarray loss not None, str reduction, Py_ssize_t count, np.dtype dtype not None):
    """Return contiguous losses as they are, or their sum, or their mean over `count`, in the caller's type."""
    cdef const double* items = <double*>np.PyArray_DATA(loss)
    cdef double total = 0.0, low = 0.0, s, part
    cdef Environment callers
    cdef Py_ssize_t i
    if reduction == "none":
        return rounded(loss, (<object>loss).shape, dtype)
    callers = enter_environment()
    for i in range(np.PyArray_SIZE(loss)):
        # Knuth's sum: what an addition rounds off is added up beside it.
        s = total + items[i]
        part = s - total
        low += (total - (s - part)) + (items[i] - part)
        total = s
    total = total + low if isfinite(total) else total
    total = total / count if reduction == "mean" else total
    leave_environment(callers)
    return rounded(numbers_of(1, total), (), dtype)
