"""Penalties on weights, for the loss of a model that is to stay simple: one pass over memory, summed exactly."""

from __future__ import annotations

from operator import mul
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastact._kernels.operands import checked_number, numbers_of, real
from fastact._kernels.random import undisturbed
from fastact._kernels.reductions import run

__all__ = ["elastic_net_penalty", "l1_penalty", "l2_penalty"]


def exact_sum(name: str, w: Any, function: str) -> float:
    """Return the sum of squares or of magnitudes."""
    array = real(w, function, "w", in_blocks=True).array
    stats = numbers_of(1, 0.0)
    run(f"exact_{name}", [array], 0, tuple(range(array.ndim)), stats, piece_numbers=2)
    return float(stats[0])


def sumprod(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return a[0] * b[0] + a[1] * b[1]


def l1_penalty(w: ArrayLike, lam: float) -> np.float64:
    """Return lam times the sum of magnitudes.

    Parameters
    ----------
    w : array_like
        The weights, of any shape and layout.
    lam : float
        The factor.

    Returns
    -------
    numpy.float64
        0 times `lam` if there are no weights.

    Raises
    ------
    TypeError
        If `w` is not an array of real numbers of at most 64 bits, or `lam` not a number.

    Notes
    -----
    ``lam*sum(abs(w))``. The sum is right to 1 ULP of float64, as of `math.fsum`. Never warns. The same for any number
    of threads.

    References
    ----------
    Tibshirani (1996), Journal of the Royal Statistical Society B 58

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> float(fastact.l1_penalty(np.array([1.0, -2.0]), 0.5))
    1.5
    """
    factor = checked_number(lam, "l1_penalty", "lam")
    return np.float64(undisturbed(mul, factor, exact_sum("magnitudes", w, "l1_penalty")))


def l2_penalty(w: ArrayLike, lam: float) -> np.float64:
    """Return lam times the sum of squares.

    Parameters
    ----------
    w : array_like
        The weights, of any shape and layout.
    lam : float
        The factor.

    Returns
    -------
    numpy.float64
        0 times `lam` if there are no weights.

    Raises
    ------
    TypeError
        If `w` is not an array of real numbers of at most 64 bits, or `lam` not a number.

    Notes
    -----
    ``lam*sum(w**2)``. The sum is right to 1 ULP of float64, as of `math.fsum`. Never warns. The same for any number
    of threads.

    References
    ----------
    Hoerl and Kennard (1970), Technometrics 12

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> float(fastact.l2_penalty(np.array([1.0, -2.0]), 0.5))
    2.5
    """
    factor = checked_number(lam, "l2_penalty", "lam")
    return np.float64(undisturbed(mul, factor, exact_sum("squares", w, "l2_penalty")))


def elastic_net_penalty(w: ArrayLike, l1: float, l2: float) -> np.float64:
    """Return l1 times the sum of magnitudes plus l2 times the sum of squares.

    Parameters
    ----------
    w : array_like
        The weights, of any shape and layout.
    l1, l2 : float
        The factors.

    Returns
    -------
    numpy.float64
        The penalty.

    Raises
    ------
    TypeError
        If `w` is not an array of real numbers of at most 64 bits, or a factor not a number.

    Notes
    -----
    ``l1*sum(abs(w)) + l2*sum(w**2)``. Each sum is right to 1 ULP of float64. Never warns.

    References
    ----------
    Zou and Hastie (2005), Journal of the Royal Statistical Society B 67

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> float(fastact.elastic_net_penalty(np.array([1.0, -2.0]), 0.5, 2.0))
    11.5
    """
    function = "elastic_net_penalty"
    factors = checked_number(l1, function, "l1"), checked_number(l2, function, "l2")
    sums = exact_sum("magnitudes", w, function), exact_sum("squares", w, function)
    return np.float64(undisturbed(sumprod, factors, sums))
