"""From ``rng`` to a seed, from a probability to a threshold."""

import os
from functools import lru_cache
from typing import Any

import numpy as np

from fastact._kernels.operands import checked_number
from fastact._kernels.random import bytes_of

SEED_BYTES = 16
# A word is one of this many.
WORDS = 2**32


def seed_of(rng: Any, function: str) -> bytes:
    """Return 128 bits: a Generator is asked for its next 16 bytes, None takes the system's entropy.

    Everything else is a seed of `numpy.random.default_rng`.
    """
    if rng is None:
        return os.urandom(SEED_BYTES)
    try:
        if type(rng) is int:
            return bytes_of_integer(rng)
        generator = np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        demand = f"{function}(): rng must be None, a non-negative integer or a numpy.random.Generator"
        raise type(error)(f"{demand}, got {rng!r}") from error
    return bytes_of(generator) if type(generator) is np.random.Generator else generator.bytes(SEED_BYTES)


@lru_cache
def bytes_of_integer(rng: int) -> bytes:
    """Return the seed for an integer. NumPy takes 7 to 20 us for a Generator: as long as 2**16 elements take."""
    return np.random.default_rng(rng).bytes(SEED_BYTES)


def probability(p: Any, function: str) -> float:
    """Return p as a float, or raise."""
    try:
        value = p if type(p) is float else checked_number(p, function, "p")
    except TypeError:
        raise TypeError(f"{function}(): p must be a number in [0, 1], got {type(p).__name__!r}") from None
    if not 0 <= value <= 1:
        raise ValueError(f"{function}(): p must be a number in [0, 1], got {p!r}")
    return value


def threshold_of(p: float) -> int:
    """Return how many of the words drop their element: p to within 2**-33. The product is exact, round rounds once."""
    return round(p * WORDS)
