"""The slopes of `fastact.rrelu`: one number, or in training one for each element."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact._kernels.arguments import checked, dtype_of, requested_type
from fastact._kernels.operands import Undisturbed, checked_number
from fastact._kernels.promotion import ARRAY, HALVES, compute_type
from fastact._kernels.random import rectify, uniform
from fastact._kernels.seeds import seed_of

# Of a ufunc.
KEYWORDS = {"out", "where", "dtype", "signature", "casting", "order", "subok"}


def randomized(
    function: str,
    leaky_relu: Callable[..., Any],
    arrays: tuple[Any, ...],
    lower: Any,
    upper: Any,
    training: Any,
    rng: Any,
    options: dict[str, Any],
) -> Any:
    """Return ``leaky_relu(*arrays, slope, **options)`` with the slopes of `fastact.rrelu`.

    Parameters
    ----------
    function : str
        Who asks, for messages: ``rrelu`` or ``grad.rrelu``.
    leaky_relu : callable
        The operator with one slope or a slope for each element.
    arrays : tuple of array_like
        x, or dy and x.
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
    low, high = checked_number(lower, function, "lower"), checked_number(upper, function, "upper")
    if not low <= high:
        raise ValueError(f"{function}(): lower must be at most upper, got lower={lower}, upper={upper}")
    # Here, where it is known who asks.
    for name, array in zip(("dy", "x")[-len(arrays) :], arrays, strict=True):
        x = checked(array, f"{function}(): {name} must be {ARRAY}")
    if unknown := options.keys() - KEYWORDS:
        raise TypeError(f"{function}() got an unexpected keyword argument {min(unknown)!r}")
    if not training:
        return leaky_relu(*arrays, (low + high) / 2, **options)
    seed = seed_of(rng, function)
    result = None
    if not options.keys() - {"out"}:
        result = rectify(arrays, options.get("out"), low, high, seed)
    if result is not None:
        return result
    drawn = slopes(x, requested_type(options) or compute_type([dtype_of(x).type]), low, high, seed)
    return leaky_relu(*arrays, drawn, **options)


def slopes(x: Any, scalar: type[np.generic], low: float, high: float, seed: bytes) -> Any:
    """Return a slope of one type for each element of x."""
    dtype = np.dtype(scalar)
    drawn = uniform(np.shape(x), np.float32 if dtype.name in HALVES else dtype, seed)
    with Undisturbed():
        drawn *= high - low
        drawn += low
        return drawn.astype(dtype, copy=False)
