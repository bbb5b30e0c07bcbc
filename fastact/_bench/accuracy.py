"""The largest errors, in units in the last place (ULP) of float32: of fastact and of whoever computes the same."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastact._bench.agreement import results_of, terms, widened
from fastact._bench.cases import Array, Prepared
from fastact._kernels.registry import OPERATORS, Operator

ROWS = {row.name: row for row in OPERATORS}
# Of all 2**32 numbers, every so manieth: 65,552 of them, of all magnitudes and both signs.
STEP = 65521


class Binary64:
    """Binary64 NumPy as the namespace that the registry's references are called with."""

    erfc = np.vectorize(math.erfc, otypes=[np.float64])

    def constant(self, digits: str) -> np.float64:
        return np.float64(digits)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def exact_values(row: Operator, x: Array, parameters: Sequence[float]) -> Array:
    """Return the row's reference in binary64."""
    rounded = (np.float64(np.float32(parameter)) for parameter in parameters)
    exact: Array = row.reference(Binary64(), x.astype(np.float64), *rounded)
    return exact


def errors(y: Array, exact: Array) -> Array:
    """Return |y - exact|/ulp(exact) of float32 results: infinite for NaN and infinity, which no exact value is."""
    # frexp's mantissa is in [1/2, 1), subnormal numbers share the last exponent.
    ulp = np.ldexp(1.0, np.maximum(np.frexp(exact)[1], -125) - 24)
    error: Array = np.abs(y - exact) / ulp
    return np.where(np.isfinite(error), error, np.inf)


def all_magnitudes() -> Array:
    """Return finite float32 numbers spread evenly over all bit patterns."""
    x = np.arange(0, 2**32, STEP, dtype=np.uint32).view(np.float32)
    return x[np.isfinite(x)]


def of_operator(prepared: Prepared, call: Callable[[], Any]) -> float:
    """Return the largest error of an operator, whose exact values the registry knows.

    Where the exact result is beyond the largest float32, an infinity is right.
    """
    row = ROWS[prepared.case.name]
    (x,) = prepared.arguments
    with np.errstate(all="ignore"):
        exact = exact_values(row, x, row.tested_parameters[0])
        found = errors(one_result(prepared, call), exact)
    return float(np.max(found[np.abs(exact) < np.finfo(np.float32).max]))


def of_function(prepared: Prepared, call: Callable[[], Any]) -> float | None:
    """Return the largest error, in units of the terms, where those are larger than the result.

    Other functions are compared with the textbook's line in binary64, which is exact enough for what is timed.
    """
    case = prepared.case
    if case.is_random or results_of(prepared.result)[0].dtype.kind != "f":
        return None
    with np.errstate(all="ignore"):
        wide = results_of(case.line(*(widened(a) for a in prepared.arguments), *case.defaults))
        # One after the other: a call may write where the next one does.
        computed = [np.array(part, copy=True) for part in results_of(call())]
        found = []
        for y, exact in zip(computed, wide, strict=False):
            largest = np.maximum(np.abs(exact), terms(prepared, exact))
            units = np.ldexp(1.0, np.maximum(np.frexp(largest.astype(np.float64))[1], -125) - 24)
            error = np.abs(y - exact.reshape(y.shape).astype(np.float64)) / units.reshape(y.shape)
            found.append(float(np.max(np.where(np.isfinite(error), error, np.inf), initial=0)))
    return max(found)


def one_result(prepared: Prepared, call: Callable[[], Any]) -> Array:
    """Return what a call computes, wherever it puts it, flat."""
    results = results_of(call())
    return np.array(results[0], copy=True).reshape(prepared.result.shape)
