"""Mean and variance: accuracy at any ratio of mean and deviation, and special values."""

from fractions import Fraction

import numpy as np
import pytest

import fastact
from cases import assert_same_bits, each_dtype
from families import INF, NAN, normal


def exact_moments(x):
    """Return mean and biased variance of a 1-D array as fractions."""
    numbers = [Fraction(float(number)) for number in x]
    mean = sum(numbers) / len(numbers)
    return mean, sum((number - mean) ** 2 for number in numbers) / len(numbers)


@pytest.mark.parametrize("ratio", [0.0, 1.0, 1e2, 1e4, 1e6])
@pytest.mark.parametrize("n", [2, 31, 1000, 5000])
@each_dtype
def test_variance_is_right_for_any_ratio_of_mean_and_std(dtype, n, ratio):
    row = normal(n, dtype, seed=n, scale=1.0, mean=ratio)
    mean, var = (float(number) for number in exact_moments(row))
    columns = np.repeat(row[:, None], 17, axis=1)
    for x, axis in ((row, None), (columns, 0), (columns[:, ::2], 0), (np.repeat(row, 2)[::2], 0)):
        got_mean, got_var = (np.atleast_1d(number)[-1] for number in fastact.moments(x, axis))
        assert abs(got_mean - mean) <= 2 * np.spacing(np.dtype(dtype).type(max(abs(mean), 1)))
        assert abs(float(got_var) - var) <= 4 * np.spacing(np.dtype(dtype).type(var))


@pytest.mark.parametrize("n", [200_000, 1_200_000])
def test_variance_where_data_drift_or_begin_far_away(n):
    """A shift by the first element of all, or Welford's update in float32, would lose the digits."""
    drift = (np.arange(n) // 1000 * 1e4 + np.random.default_rng(0).standard_normal(n)).astype(np.float32)
    outlier = normal(n, np.float32, scale=1.0)
    outlier[0] = 1e6
    for x in (drift, outlier):
        exact = x.astype(np.longdouble).var()
        assert abs(fastact.moments(x)[1] - exact) <= 4 * np.spacing(np.float32(exact))


@pytest.mark.parametrize(
    "shape",
    [
        (20_001, 16),
        (15_007, 21),
        (70_001, 63),
        (9001, 70),
        (2500, 950),
        (4100, 1030),
        (1030, 4100),
        (301, 14_001),
        (100, 42_001),
        (17, 250_007),
        (5, 1_050_007),
    ],
)
def test_float32_moments_beyond_the_cache(shape):
    """What is fetched ahead, and pieces of more rows, change nothing but the time."""
    x = normal(shape, np.float32, scale=2.0, mean=3.0)
    wide = x.astype(float)
    for axis in (0, 1, None):
        mean, var = fastact.moments(x, axis)
        exact = wide.var(axis)
        assert (np.abs(var - exact) <= 4 * np.spacing(exact.astype(np.float32))).all()
        assert (np.abs(mean - wide.mean(axis)) <= 2 * np.spacing(np.float32(4.0))).all()
    few = fastact.moments(x[:9], 1)
    for got, expected in zip(fastact.moments(x, 1), few, strict=True):
        assert_same_bits(got[:9], expected)


@pytest.mark.slow
def test_variance_of_1e8_elements():
    x = np.random.default_rng(0).standard_normal(100_000_000, dtype=np.float32)
    x += np.float32(1e6)
    wide_mean = sum(block.sum(dtype=np.float64) for block in np.split(x, 100)) / x.size
    exact = sum(((block - wide_mean) ** 2).sum() for block in np.split(x, 100)) / x.size
    assert abs(fastact.moments(x)[1] - exact) <= 4 * np.spacing(np.float32(exact))


@each_dtype
@pytest.mark.parametrize("value", [0.1, 1e6 / 3, -3e30])
def test_variance_of_a_constant_is_zero(value, dtype):
    x = np.full((20_001, 3), value, dtype)
    for axis in (0, 1, None):
        mean, var = fastact.moments(x, axis)
        assert (np.asarray(var) == 0).all()
        assert (np.asarray(mean) == dtype.type(value)).all()
    assert (fastact.batch_norm(x, training=True) == 0).all()


def test_moments_of_special_values():
    for row, mean, var in (
        ([INF, 1.0], INF, NAN), ([1.0, INF], INF, NAN), ([1.0, -INF], -INF, NAN), ([INF, -INF], NAN, NAN),
        ([NAN, 1.0], NAN, NAN), ([1.0, NAN], NAN, NAN), ([], NAN, NAN), ([3.0], 3.0, 0.0), (3.0, 3.0, 0.0),
        ([1e308, 1e308], 1e308, 0.0), ([1e200, -1e200], 0.0, INF), ([1e200, 1.0, 2.0], 1e200 / 3, INF),
    ):  # fmt: skip
        np.testing.assert_equal(fastact.moments(np.array(row)), (mean, var))
        columns = np.array(row).reshape(-1, 1).repeat(17, axis=1)
        np.testing.assert_equal(fastact.moments(columns, 0), (np.full(17, mean), np.full(17, var)))
    assert fastact.moments(np.eye(1, 8192, 5000) * 2.0**666) == (2.0**653, INF)
    assert np.isnan(fastact.moments([1.0], correction=1)[1])
    assert fastact.moments([1.0, 2.0], correction=1)[1] == 0.5
    assert fastact.moments([1.0, 2.0], correction=2)[1] == INF
    np.testing.assert_equal(fastact.moments(np.zeros((0, 3)), 0), (np.full(3, NAN),) * 2)
    assert fastact.moments(np.zeros((3, 0)), 0)[0].shape == (0,)
