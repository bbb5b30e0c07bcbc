"""The largest error of an operator and of its gradient over given arguments, in ULP."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

import fastact
import references
import ulp
from cases import Case, cases_of
from fastact._kernels.registry import Operator
from fastact.runtime import affinity

# So many at a time stay in the cache, and their temporaries below the size at which malloc asks for pages.
BLOCK = 2**13
UPSTREAM = {"float32": (1.0, -3.0, 1e30, 1e-30, 3e38), "float64": (1.0, -3.0, 1e300, 1e-300, 1.7e308)}


class Worst(NamedTuple):
    """The largest error and where it is."""

    ulp: float
    x: float
    dy: float = 1.0

    @property
    def is_wrong(self) -> bool:
        return bool(np.isinf(self.ulp))


def worst_of(found: Iterable[Worst]) -> Worst:
    return max(found, key=lambda worst: worst.ulp)


def worst_at(errors: np.ndarray, x: np.ndarray, dy: float = 1.0) -> Worst:
    index = int(np.argmax(errors))
    return Worst(float(errors[index]), float(x[index]), dy)


def forward_float32(row: Operator, parameters: Sequence[float], x: np.ndarray) -> Worst:
    """Return the largest error of the operator. Zeros, whose sign is a matter of its own, are left out."""
    operator, _ = cases_of(row)
    x = x[x != 0]
    return worst_at(ulp.errors(operator.public(x, *parameters), references.exact_float32(row, x, parameters)), x)


def gradient_float32(row: Operator, parameters: Sequence[float], x: np.ndarray, upstream: Sequence[float]) -> Worst:
    """Return the largest error of the gradient at finite x."""
    x = x[np.isfinite(x)]
    if not x.size:
        return Worst(0.0, 0.0)
    _, gradient = cases_of(row)
    slope = references.exact_slope(row, x, parameters)
    return worst_of(gradient_errors(gradient, parameters, x, slope, dy) for dy in upstream)


def gradient_errors(case: Case, parameters: Sequence[float], x: np.ndarray, slope: np.ndarray, dy: float) -> Worst:
    computed = case.public(np.full_like(x, dy), x, *parameters)
    with np.errstate(all="ignore"):
        exact = float(np.float32(dy)) * slope
    term = abs(dy) * references.largest_term(case.row, x)
    return worst_at(ulp.errors(computed, exact, is_zero_sign_known=False, term=term), x, dy)


def blocks(x: np.ndarray) -> list[np.ndarray]:
    return [x[start : start + BLOCK] for start in range(0, len(x), BLOCK)]


def in_blocks(measure: Any, row: Operator, parameters: Sequence[float], x: np.ndarray, *rest: Any) -> Worst:
    """Return the worst of all blocks, which are computed side by side."""
    return side_by_side(lambda block: measure(row, parameters, block, *rest), blocks(x))


def side_by_side(measure: Any, parts: Iterable[Any]) -> Worst:
    """Return the worst of all parts, computed on all processors, one thread each."""

    def in_one_thread(part: Any) -> Worst:
        with fastact.threads(1):
            return measure(part)

    with ThreadPoolExecutor(affinity()) as executor:
        return worst_of(executor.map(in_one_thread, parts))


def forward_float64(row: Operator, parameters: Sequence[float], x: np.ndarray) -> Worst:
    """Return the largest error of the operator at finite x."""
    operator, _ = cases_of(row)
    computed = operator.public(x, *parameters)
    exact = (references.exact_number(row, number, parameters) for number in x)
    return worst_of(
        Worst(ulp.error_of_number(y, value), float(number)) for number, y, value in zip(x, computed, exact, strict=True)
    )


def gradient_float64(row: Operator, parameters: Sequence[float], x: np.ndarray) -> Worst:
    """Return the largest error of the gradient at finite x."""
    _, gradient = cases_of(row)
    slopes = [references.exact_number_slope(row, number, parameters) for number in x]
    terms = references.largest_term(row, x) * np.ones(len(x))
    return worst_of(
        Worst(ulp.error_of_number(dx, references.mpmath.mpf(dy) * slope, abs(dy) * term), float(number), dy)
        for dy in UPSTREAM["float64"]
        for number, dx, slope, term in zip(
            x, gradient.public(np.full_like(x, dy), x, *parameters), slopes, terms, strict=True
        )
    )
