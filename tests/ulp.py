"""The error of a result in units in the last place of the exact one, subnormal units included."""

from typing import Any

import mpmath
import numpy as np

LOWEST_EXPONENT = {"float16": -14, "bfloat16": -126, "float32": -126, "float64": -1022}
HIGHEST_EXPONENT = {"float16": 15, "bfloat16": 127, "float32": 127, "float64": 1023}
FRACTION_BITS = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}


def unit(exact: np.ndarray, dtype: str = "float32") -> np.ndarray:
    """Return the distance of a type's neighbouring numbers at `exact`, that of subnormals near 0."""
    exponent = np.where(exact == 0, LOWEST_EXPONENT[dtype], np.frexp(exact)[1] - 1)
    clipped = np.clip(exponent, LOWEST_EXPONENT[dtype], HIGHEST_EXPONENT[dtype])
    return np.ldexp(1.0, clipped - FRACTION_BITS[dtype])


def errors(
    computed: np.ndarray, exact: np.ndarray, is_zero_sign_known: bool = True, term: np.ndarray | float = 0.0
) -> np.ndarray:
    """Return the errors of results against binary64 ones.

    Too large a result counts as the power of two above the largest number: infinity is right where the exact value
    rounds to it. An error is infinite where NaN stands for a number, a number for NaN or infinity, or where the sign is
    wrong, a zero's included.

    Parameters
    ----------
    computed : ndarray of float32 or of a 16-bit type
    exact : ndarray of float64
    is_zero_sign_known : bool
        Whether the sign of an exact zero means something.
    term : ndarray of float64, optional
        What has cancelled: where that is larger than the exact value, the unit is its, and the sign is not compared.
    """
    dtype = computed.dtype.name
    assert computed.dtype.itemsize <= 4
    assert exact.dtype == np.float64
    with np.errstate(all="ignore"):
        limit = 2.0 ** (HIGHEST_EXPONENT[dtype] + 1)
        value = np.clip(computed.astype(np.float64), -limit, limit)
        error = np.abs(value - np.clip(exact, -limit, limit)) / unit(np.maximum(np.abs(exact), term), dtype)
        is_nan = np.isnan(exact)
        is_wrong_sign = (np.signbit(value) != np.signbit(exact)) & (is_zero_sign_known | (exact != 0))
        is_wrong_sign &= np.abs(exact) >= term
        is_wrong = (np.isnan(value) != is_nan) | (is_wrong_sign & ~is_nan)
        is_wrong |= np.isinf(exact) & (computed.astype(np.float64) != exact)
        error[is_nan] = 0.0
        error[is_wrong] = np.inf
    return error


def error_of_number(computed: Any, exact: mpmath.mpf, term: float = 0.0) -> float:
    """Return the error of one float64 result against a finite number of many digits. The sign of 0 is not compared.

    As in `errors`, the unit is that of `term` if it is larger than the exact value.
    """
    if np.isnan(computed):
        return np.inf
    limit = mpmath.ldexp(1, HIGHEST_EXPONENT["float64"] + 1)
    if exact and abs(exact) >= term and np.signbit(computed) != (exact < 0):
        return np.inf
    value = mpmath.mpf(float(computed)) if np.isfinite(computed) else limit * int(np.sign(computed))
    bounded = max(-limit, min(limit, exact))
    largest = min(max(abs(bounded), mpmath.mpf(term)), limit)
    _, exponent = mpmath.frexp(largest) if largest else (0, LOWEST_EXPONENT["float64"])
    clipped = min(max(int(exponent) - 1, LOWEST_EXPONENT["float64"]), HIGHEST_EXPONENT["float64"])
    return float(mpmath.ldexp(abs(value - bounded), FRACTION_BITS["float64"] - clipped))
