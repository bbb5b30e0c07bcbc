"""The slopes of `fastact.rrelu`: one number, or in training one for each element."""

import numbers
from typing import Any

import numpy as np

from fastact._kernels.arguments import checked, dtype_of
from fastact._kernels.promotion import ARRAY, HALVES, compute_type
from fastact._kernels.random import undisturbed, uniform
from fastact._kernels.seeds import seed_of


def slopes(function: str, x: Any, lower: Any, upper: Any, training: Any, rng: Any) -> Any:
    """Return what `x` is multiplied by where it is not positive.

    Parameters
    ----------
    function : str
        Who asks, for messages.
    x : array_like
        The input.
    lower, upper : float
        The ends of the interval of slopes.
    training : bool
        Whether every element has its own slope.
    rng : None, int or numpy.random.Generator
        Where slopes come from in training.

    Raises
    ------
    TypeError
        If `lower` or `upper` is not a number, or `rng` of another type.
    ValueError
        If `lower` is not at most `upper`, or `rng` is a negative integer.
    """
    low, high = bound(function, "lower", lower), bound(function, "upper", upper)
    if not low <= high:
        raise ValueError(f"{function}(): lower must be at most upper, got lower={lower}, upper={upper}")
    if not training:
        return (low + high) / 2
    array = checked(x, f"{function}(): x must be {ARRAY}")
    dtype = np.dtype(compute_type([dtype_of(array).type]))
    drawn = uniform(np.shape(array), np.float32 if dtype.name in HALVES else dtype, seed_of(rng, function))
    return undisturbed(between, low, high, drawn).astype(dtype)


def between(low: float, high: float, drawn: Any) -> Any:
    """Return low + (high - low)*drawn, in the memory of `drawn`."""
    drawn *= high - low
    drawn += low
    return drawn


def bound(function: str, name: str, value: Any) -> float:
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{function}(): {name} must be a number, got {type(value).__name__!r}")
    return float(value)
