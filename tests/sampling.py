"""Arguments for the tests of accuracy: all bit patterns alike, and the places where kernels go wrong."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from ml_dtypes import finfo

BITS = {"float32": np.uint32, "float64": np.uint64}
# Where exp of any float32 or float64 overflows, underflows or rounds away lies inside.
INTERESTING = {"float32": (1.0, 12.0, 120.0, 240.0), "float64": (1.0, 40.0, 800.0, 1600.0)}
NEIGHBOURS = 40


def in_bit_space(dtype: Any, count: int, seed: int = 0) -> np.ndarray:
    """Return numbers whose bit patterns are spread evenly, one at random from each of `count` strata. No NaN."""
    dtype = np.dtype(dtype)
    patterns = 2 ** (8 * dtype.itemsize)
    width = patterns // count
    offsets = np.random.default_rng(seed).integers(0, width, count, dtype=np.uint64)
    bits = np.arange(count, dtype=np.uint64) * np.uint64(width) + offsets
    numbers = bits.astype(BITS[dtype.name]).view(dtype)
    assert_spread(numbers)
    return numbers[~np.isnan(numbers)]


def assert_spread(numbers: np.ndarray) -> None:
    """Assert that a sample is one: both signs alike, nearly every exponent, subnormals, hardly a value twice."""
    finite = numbers[np.isfinite(numbers)]
    info = finfo(numbers.dtype)
    exponents = np.unique(np.frexp(finite[np.abs(finite) >= info.smallest_normal])[1])
    possible = info.maxexp - info.minexp
    assert len(exponents) > 0.6 * min(possible, len(finite) / 8)
    assert 0.45 < np.mean(np.signbit(finite)) < 0.55
    if len(finite) > 8 * possible:
        assert np.any((finite != 0) & (np.abs(finite) < info.smallest_normal))
    assert len(np.unique(finite)) > 0.99 * len(finite)


def dense(dtype: Any, count: int, seed: int = 0) -> np.ndarray:
    """Return numbers that are uniform in the ranges where exponentials are neither 0 nor infinite."""
    generator = np.random.default_rng(seed)
    limits = INTERESTING[np.dtype(dtype).name]
    parts = [generator.uniform(-limit, limit, count // len(limits)) for limit in limits]
    return np.concatenate(parts).astype(dtype)


def around(points: Iterable[float], dtype: Any) -> np.ndarray:
    """Return the points and their neighbours."""
    dtype = np.dtype(dtype)
    offsets = np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    with np.errstate(over="ignore"):
        centres = np.array(list(points)).astype(dtype)
    centres = np.unique(centres[np.isfinite(centres) & (centres != 0)])
    signed = np.dtype(f"i{dtype.itemsize}")
    moved = centres.view(signed)[:, None] + offsets.astype(signed)
    numbers = moved.ravel().view(dtype)
    return numbers[np.isfinite(numbers)]


def specials(dtype: Any) -> np.ndarray:
    """Return zeros, infinities, NaN, and the ends of the normal and subnormal numbers, of both signs."""
    info = finfo(dtype)
    smallest = np.arange(NEIGHBOURS) * info.smallest_subnormal
    ends = [info.smallest_normal, info.smallest_normal - info.smallest_subnormal, info.max, info.max / 2, info.eps]
    positive = np.array([*smallest, *ends, 1.0, 0.5, 6.0, np.inf], dtype)
    return np.concatenate([positive, -positive, np.array([np.nan], dtype)])


def thresholds(dtype: Any) -> list[float]:
    """Return arguments at which exp and its sums change: multiples of log(2)/2 and powers of two."""
    info = finfo(dtype)
    halves = [k * np.log(2) / 2 for k in range(1, 2 * (info.nmant + 4))]
    edges = [k * np.log(2) for k in (info.minexp - info.nmant - 1, info.minexp, info.maxexp)]
    powers = [2.0**k for k in range(-info.nmant - 3, 12)]
    positive = [*halves, *(abs(edge) for edge in edges), *powers, 6.0, 20.0, 0.625, 0.4375]
    return [*positive, *(-point for point in positive)]


def every_half(dtype: Any) -> np.ndarray:
    """Return all values of a 16-bit type, NaN included."""
    return np.arange(2**16, dtype=np.uint16).view(dtype)


@cache
def common(dtype: Any, count: int, grid: int, seed: int = 0) -> np.ndarray:
    """Return the part of a sample that is the same for all operators. Of 16 bits it is every value."""
    if np.dtype(dtype).itemsize == 2:
        return every_half(dtype)
    parts = [in_bit_space(dtype, count, seed), dense(dtype, grid, seed), around(thresholds(dtype), dtype)]
    sample = np.concatenate([*parts, specials(dtype)])
    sample.flags.writeable = False
    return sample


def sample(dtype: Any, parameters: Iterable[float], kinks: Iterable[float], count: int, grid: int) -> np.ndarray:
    """Return arguments of an operator: those common to all, around its kinks, and in the scales of its parameters."""
    scales = sorted({abs(1 / p) for p in parameters if p} | {abs(p) for p in parameters if p})
    with np.errstate(over="ignore"):
        scaled = [(dense(np.float64, max(grid // 8, 64)) * scale).astype(dtype) for scale in scales if scale != 1]
    points = [*kinks, *parameters, *scales, *(k * s for s in scales for k in (-104.0, -88.0, 88.0, 745.0, -745.0))]
    return np.concatenate([common(np.dtype(dtype), count, grid), around(points, dtype), *scaled])
