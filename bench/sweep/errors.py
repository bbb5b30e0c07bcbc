"""The largest error of float32 results, quickly: by the metric of tests/ulp.py only where it may be a new one."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numba
import numpy as np

import ulp

Array = np.ndarray[Any, Any]

# Of float64: the bits of an exponent, which are those of infinity.
EXPONENT = 0x7FF << 52
LOWEST, HIGHEST = ((1023 + edges["float32"]) << 52 for edges in (ulp.LOWEST_EXPONENT, ulp.HIGHEST_EXPONENT))
FRACTION = 2.0 ** ulp.FRACTION_BITS["float32"]


class Worst(NamedTuple):
    """The largest error of one library, and where."""

    ulp: float
    x: float
    dy: float = 1.0


def worst_at(error: Array, *arrays: Array) -> Worst:
    """Return the largest error of results of x, or of dy and x."""
    index = int(np.argmax(error))
    return Worst(float(error[index]), *(float(array[index]) for array in reversed(arrays)))


def merged(parts: Iterable[dict[str, Worst]]) -> dict[str, Worst]:
    worst: dict[str, Worst] = {}
    for part in parts:
        for library, one in part.items():
            worst[library] = max(worst.get(library, one), one, key=lambda found: found.ulp)
    return worst


def worse(
    worst: Worst | None, computed: Array, exact: Array, term: Array, is_sign_of_zero_known: bool, *arrays: Array
) -> Worst:
    """Return the worst of what is known and of float32 results of x, or of dy and x."""
    if worst is not None and largest(computed, exact, term) <= worst.ulp:
        return worst
    found = worst_at(ulp.errors(computed, exact, is_sign_of_zero_known, term), *arrays)
    return found if worst is None else max(worst, found, key=lambda one: one.ulp)


@numba.njit(error_model="numpy")
def per_unit(x):
    """Return 1/unit at a number that is not negative: 2 to the exponent, by its bits."""
    exponent = min(max(np.float64(x).view(np.int64) & EXPONENT, LOWEST), HIGHEST)
    return np.int64((2046 << 52) - exponent).view(np.float64) * FRACTION


@numba.njit(error_model="numpy")
def largest(computed, exact, term):
    """Return the largest error; infinity if a sign differs or if anything is NaN or infinite.

    The bits of numbers that are not negative are in the order of the numbers, and their maximum goes to vectors.
    """
    worst, signs = 0, 0
    for i in range(len(exact)):
        y = np.float64(computed[i])
        error = abs(y - exact[i]) * per_unit(max(abs(exact[i]), term[i]))
        worst = max(worst, np.float64(error).view(np.int64))
        signs |= np.float64(y).view(np.int64) ^ np.float64(exact[i]).view(np.int64)
    return np.inf if signs < 0 or worst >= EXPONENT else np.int64(worst).view(np.float64)
