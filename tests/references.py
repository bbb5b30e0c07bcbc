"""The registry's references, computed with binary64 NumPy (for float32) or with mpmath (for float64)."""

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np

from fastact._kernels.registry import Operator

DIGITS = 60
mpmath.mp.dps = DIGITS

BINARY64 = SimpleNamespace(
    where=np.where,
    exp=np.exp,
    expm1=np.expm1,
    log=np.log,
    log1p=np.log1p,
    sqrt=np.sqrt,
    tanh=np.tanh,
    erfc=np.vectorize(math.erfc, otypes=[np.float64]),
    minimum=np.minimum,
    maximum=np.maximum,
    constant=np.float64,
)

MANY_DIGITS = SimpleNamespace(
    where=lambda condition, yes, no: mpmath.mpf(yes if condition else no),
    exp=mpmath.exp,
    expm1=mpmath.expm1,
    log=mpmath.log,
    log1p=mpmath.log1p,
    sqrt=mpmath.sqrt,
    tanh=mpmath.tanh,
    erfc=mpmath.erfc,
    minimum=min,
    maximum=max,
    constant=mpmath.mpf,
)


def rounded(parameters: Sequence[float], dtype: Any) -> tuple[float, ...]:
    """Return the parameters as an array of this type has them."""
    return tuple(float(np.dtype(dtype).type(parameter)) for parameter in parameters)


def exact_float32(row: Operator, x: np.ndarray, parameters: Sequence[float]) -> np.ndarray:
    """Return what the operator's float32 results are to be compared with, in binary64. NaN propagates."""
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        y = np.asarray(row.reference(BINARY64, wide, *rounded(parameters, np.float32)), np.float64)
    return np.where(np.isnan(wide), np.nan, y)


def zero_by_slope(row: Operator, x: float, parameters: Sequence[float]) -> float:
    """Return the zero that the operator has at a zero x: its sign follows the slope.

    The slope is that of x's own side, or of the other if the function is constant there.
    """
    step = np.copysign(2.0**-100, x) * np.array([1.0, -1.0])
    own, other = exact_float32(row, step, parameters)
    return float(np.copysign(0.0, own or -other))


def exact_slope(row: Operator, x: np.ndarray, parameters: Sequence[float]) -> np.ndarray:
    """Return the derivative for float32 arguments, in binary64."""
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        slope = row.grad_reference(BINARY64, wide, *rounded(parameters, np.float32))
        return np.broadcast_to(np.asarray(slope, np.float64), x.shape)


def largest_term(row: Operator, x: Any) -> Any:
    """Return the derivative's largest term within 0.5 of where the derivative is zero, elsewhere 0."""
    return sum(np.where(np.abs(x - place) < 0.5, term, 0.0) for place, term in row.grad_zeros)


def exact_number(row: Operator, x: Any, parameters: Sequence[float]) -> mpmath.mpf:
    """Return the operator's value at one finite number, with many digits."""
    return mpmath.mpf(row.reference(MANY_DIGITS, mpmath.mpf(float(x)), *map(mpmath.mpf, parameters)))


def exact_number_slope(row: Operator, x: Any, parameters: Sequence[float]) -> mpmath.mpf:
    """Return the derivative at one finite number, with many digits."""
    return mpmath.mpf(row.grad_reference(MANY_DIGITS, mpmath.mpf(float(x)), *map(mpmath.mpf, parameters)))
