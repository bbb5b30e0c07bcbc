"""The sweep of float32: blocks of one sign and exponent, against fastact's own float64 kernel, which is checked."""

from collections.abc import Iterator
from functools import cache

import numba
import numpy as np

import references
import sampling
import ulp
from sweep.errors import Array, Worst, largest, worse
from sweep.subjects import Subject, others, subject

BLOCKS, BLOCK = 2**9, 2**23
INFINITE = 255
# So many numbers at a time stay in the cache.
PART = 2**14
COUNT = np.arange(PART, dtype=np.uint32)
# At every so manieth number the reference is compared with the definition, and the other libraries are tried.
SAMPLED = 61
AGREEMENT = 1e-5
OF_DIGITS = 1000


class WrongReferenceError(AssertionError):
    """The float64 kernel is not what it should be: what it says of the float32 kernel means nothing."""


def sweep_block(name: str, block: int, step: int) -> dict[str, Worst]:
    """Return each library's worst result in a block: fastact's in every `step`-th number."""
    what = subject(name)
    check_digits(name)
    found: dict[str, Worst] = {}
    for arrays in parts(what, block, step):
        add_worst(found, what, "fastact", arrays, what.computed_wide(*arrays))
    for arrays in parts(what, block, step * SAMPLED):
        exact = what.computed_wide(*arrays)
        check_definition(what, arrays, exact)
        for library in others(what) if block % 256 != INFINITE else ():
            add_worst(found, what, library, arrays, exact)
    return found


def parts(what: Subject, block: int, step: int) -> Iterator[tuple[Array, ...]]:
    """Yield the numbers of a block part by part, with a dy between 1 and 2 for each if it is a gradient's.

    Left out are the zeros of operators where their sign is a matter of its own, and infinities of gradients.
    """
    exponent, first = block % 256, block * BLOCK
    leaves_out_zero = exponent == 0 and not what.is_gradient and (what.row.odd is not False or what.row.kinks)
    if what.is_gradient and exponent == INFINITE:
        return
    for start in range(0, BLOCK, PART * step):
        bits = COUNT[: -(-(BLOCK - start) // step)] * np.uint32(step) + np.uint32(first + start)
        x = bits.view(np.float32)
        x = x[x != 0] if leaves_out_zero else x
        yield (upstream(bits), x) if what.is_gradient else (x,)


def upstream(bits: Array) -> Array:
    """Return a dy between 1 and 2 for each number: the number's own bits, mixed, are its fraction."""
    return mixed(bits).view(np.float32)


@numba.njit
def mixed(bits):
    result = np.empty_like(bits)
    for i in range(len(bits)):
        product = np.uint32(bits[i] * np.uint32(0x9E3779B1))
        product = np.uint32((product ^ (product >> np.uint32(15))) * np.uint32(0x85EBCA77))
        result[i] = (product >> np.uint32(9)) | np.uint32(127 << 23)
    return result


def add_worst(found: dict[str, Worst], what: Subject, library: str, arrays: tuple[Array, ...], exact: Array) -> None:
    """Note a library's worst result."""
    computed = what.computed(*arrays) if library == "fastact" else others(what)[library](*arrays)
    is_known = library == "fastact" and not what.is_gradient
    computed = computed if library == "fastact" else with_sign_of_zeros(computed, exact)
    found[library] = worse(found.get(library), computed, exact, what.largest_term(*arrays), is_known, *arrays)


def with_sign_of_zeros(computed: Array, exact: Array) -> Array:
    """Return the results of others, whose zeros' signs are not looked at."""
    if computed.all():
        return computed
    return np.where(computed == 0, np.copysign(0.0, exact).astype(computed.dtype), computed)


# ---- The reference, checked.


@cache
def check_digits(name: str) -> None:
    """Compare the float64 kernel with 60 digits: spread numbers, and all that are next to where a formula changes."""
    what = subject(name)
    kinks = [*what.row.kinks_for(what.parameters), *(place for place, _ in what.row.grad_zeros)]
    x = sampling.sample(np.float32, what.parameters, kinks, OF_DIGITS, OF_DIGITS)
    x = np.concatenate([sampling.around(kinks, np.float32), x[: 2 * OF_DIGITS], x[2 * OF_DIGITS :: 7]])
    x = x[np.isfinite(x)]
    arrays = (upstream(x.view(np.uint32)), x) if what.is_gradient else (x,)
    terms = what.largest_term(*arrays)
    for *numbers, y, term in zip(*arrays, what.computed_wide(*arrays), terms, strict=True):
        error = ulp.error_of_number(y, what.defined_number("float32", *numbers), term)
        if error > what.allowed["float64"]:
            raise WrongReferenceError(f"{name}{tuple(map(float, numbers))} in float64: {y!r}, off by {error:.3g} ULP")


def check_definition(what: Subject, arrays: tuple[Array, ...], computed: Array) -> None:
    """Compare the float64 kernel's results with the registry's definition in binary64, in units of float32."""
    exact, term = what.defined(*arrays), what.largest_term(*arrays)
    if largest(computed, exact, term) <= AGREEMENT:
        return
    distance = np.abs(computed - exact) / ulp.unit(np.maximum(np.abs(exact), term))
    is_right = (distance <= AGREEMENT) & (what.is_gradient | (np.signbit(computed) == np.signbit(exact)))
    is_right |= (np.isinf(exact) & (computed == exact)) | (np.isnan(exact) & np.isnan(computed))
    if not is_right.all():
        *dy, x, y, value = (array[~is_right][0] for array in (*arrays, computed, exact))
        raise WrongReferenceError(f"{what.name} in float64, at {x!r} {dy or ''}: {y!r}, by its definition {value!r}")


def confirmed(name: str, worst: Worst) -> float:
    """Return the error of our float32 result at one argument once more, by mpmath."""
    what = subject(name)
    if not np.isfinite(worst.x):
        return worst.ulp
    numbers = (worst.dy, worst.x) if what.is_gradient else (worst.x,)
    arrays = tuple(np.float32([number]) for number in numbers)
    exact = what.defined_number("float32", *numbers)
    unit = ulp.unit(np.maximum([abs(float(exact))], what.largest_term(*arrays)))[0]
    return float(abs(references.mpmath.mpf(float(what.computed(*arrays)[0])) - exact) / float(unit))
