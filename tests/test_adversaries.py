"""Moments and norms of data that textbook sums fail on: outliers, drifts, periods."""

from functools import partial

import numpy as np
import pytest

import fastact


def adversaries(n, seed=0):
    """Return rows with which a center that is no mean, or a chain of float32, could lose digits."""
    generator, i = np.random.default_rng(seed), np.arange(n)
    x = generator.standard_normal(n)
    return {
        "sorted": np.sort(x),
        "step": np.where(i < n // 2, 0.1, 1.7),
        "late step": np.where(i < n - 1 - n // 30, 0.1, 1.7),
        "alternating": np.where(i % 2, 0.3, -1.1),
        "two values": np.where(generator.random(n) < 0.3, 0.7, 2.3),
        "outlier first": np.where(i == 0, 1e6, x),
        "outlier last": np.where(i == n - 1, -1e6, x),
        "outlier in the middle": np.where(i == n // 2, 1e4, x),
        "spikes": np.where(i % 64 < 16, 1.0, 2.3e-4),
        "drift": i // 100 * 1e4 + x,
        "first ones far away": np.where(i < 16, 1e3, 1.0) + 0.3 * x,
        "second ones far away": np.where(i < 32, 0.1, 1e4) + 0.3 * x,
        "sorted at 1e6": np.sort(x) + 1e6,
        "wide": np.exp(3 * x),
    }


@pytest.mark.parametrize("n", [128, 300, 1000])
def test_variance_of_many_rows_with_outliers(n):
    """An outlier's square has each rounding of its chain: one row in 10000 is 3 to 6 ULP off if not summed again."""
    generator = np.random.default_rng(5)
    rows = generator.standard_normal((40_000, n), dtype=np.float32)
    rows[np.arange(len(rows)), generator.integers(0, n, len(rows))] += 10 ** generator.uniform(1, 6, len(rows))
    exact = rows.astype(np.float64).var(axis=1)
    error = np.abs(fastact.moments(rows, 1)[1] - exact) / np.spacing(exact.astype(np.float32))
    assert error.max() <= 3


@pytest.mark.parametrize("kind", adversaries(9))
@pytest.mark.parametrize("n", [9, 16, 31, 128, 257, 700, 1000, 5000])
def test_float32_moments_of_adversaries(kind, n):
    rows = np.array([adversaries(n, seed)[kind] for seed in range(20)], np.float32)
    wide = rows.astype(np.longdouble)
    mean, var = wide.mean(1), wide.var(1)
    deviation = np.sqrt(var)
    for x, axis in ((rows, 1), (np.ascontiguousarray(rows.T), 0)):
        got_mean, got_var = fastact.moments(x, axis)
        assert (np.abs(got_var - var) / np.spacing(var.astype(np.float32))).max() <= 4
        assert (np.abs(got_mean - mean) / np.spacing(np.maximum(np.abs(mean), deviation).astype(np.float32))).max() <= 2
        exact = ((wide - mean[:, None]) / np.sqrt(var + 1e-5)[:, None]).astype(float)
        unit = np.spacing(np.abs(exact).max(1, keepdims=True).astype(np.float32))
        got = fastact.layer_norm(x, axis=axis)
        assert (np.abs((got if axis else got.T) - exact) / unit).max() <= 4


def columns_of(kind, shape):
    """Return columns with which sums of float64 lose digits, and a number near their means: exact as a difference."""
    generator, i = np.random.default_rng(shape[0]), np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    x = generator.standard_normal(shape)
    return {
        "uniform": (generator.random(shape), 0),
        "normal": (x, 0),
        "log-normal": (np.exp(x), 0),
        "mean 1e6": (x + 1e6, 1e6),
        "sorted": (np.sort(x, axis=0), 0),
        "alternating": (np.where(i % 2, 0.3, -1.1) + 1e-3 * x, 0),
        "each ninth": (np.where(i % 9, 0.3, -1.1) + 1e-3 * x, 0),
        "outlier first": (np.where(i == 0, 1e6, x), 0),
        "outlier in the middle": (np.where(i == shape[0] // 2, 1e4, x), 0),
        "drift": (i // 100 * 1e4 + x, 0),
    }[kind]


def largest_error(computed, exact, unit):
    return (np.abs(computed - exact) / np.spacing(unit.astype(float))).max()


@pytest.mark.parametrize(
    "kind",
    ["uniform", "normal", "log-normal", "mean 1e6", "sorted", "alternating", "each ninth", "outlier first", "drift"],
)
@pytest.mark.parametrize("shape", [(9, 40), (64, 64), (100, 33), (256, 300), (1000, 40), (5000, 17)], ids=str)
def test_float64_columns_are_as_exact_as_two_passes(kind, shape):
    x, near = columns_of(kind, shape)
    wide = x.astype(np.longdouble) - near
    shift = wide.mean(0)
    deviations = wide - shift
    rest = deviations.mean(0)
    deviations -= rest
    var = (deviations**2).mean(0)
    got_mean, got_var = fastact.moments(x, 0)
    assert largest_error(got_var, var, var) <= 4
    assert largest_error((got_mean - near) - shift, rest, np.maximum(np.abs(shift + near), np.sqrt(var))) <= 2
    z = deviations / np.sqrt(var + 1e-5)
    largest = np.abs(z).max(0)
    assert largest_error(fastact.layer_norm(x, axis=0), z, largest) <= 4
    assert largest_error(fastact.batch_norm(x, training=True), z, largest) <= 4


@pytest.mark.parametrize("kind", ["uniform", "normal", "log-normal", "mean 1e6", "sorted", "outlier in the middle"])
@pytest.mark.parametrize("shape", [(9, 40), (64, 64), (100, 33), (256, 300), (1000, 40), (5000, 17)], ids=str)
def test_norms_of_float64_columns_are_as_exact_as_two_passes(kind, shape):
    x, _ = columns_of(kind, shape)
    wide = x.astype(np.longdouble)
    for function, norm in (
        (partial(fastact.normalize, p=1), np.abs(wide).sum(0)),
        (partial(fastact.normalize, p=2), np.sqrt((wide**2).sum(0))),
        (fastact.rms_norm, np.sqrt((wide**2).mean(0) + np.longdouble(1e-6))),
    ):
        exact = wide / norm
        assert largest_error(function(x, axis=0), exact, np.abs(exact)) <= 4


@pytest.mark.parametrize("kind", ["uniform", "normal", "log-normal", "mean 1e6"])
@pytest.mark.parametrize("shape", [(100, 3, 33), (256, 6, 5, 5), (5, 6, 40, 40), (2, 40, 70, 9)], ids=str)
def test_float64_channels_are_as_exact_as_two_passes(kind, shape):
    """NCHW, and the same in memory with channels last."""
    x, near = columns_of(kind, shape)
    axes = (0, *range(2, len(shape)))
    wide = x.astype(np.longdouble) - near
    deviations = wide - wide.mean(axes, keepdims=True)
    deviations -= deviations.mean(axes, keepdims=True)
    var = (deviations**2).mean(axes, keepdims=True)
    z = deviations / np.sqrt(var + 1e-5)
    for array in (x, np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)):
        assert largest_error(fastact.moments(array, axes)[1], var.reshape(-1), var.reshape(-1)) <= 4
        largest = np.abs(z).max(axes, keepdims=True)
        assert largest_error(fastact.batch_norm(array, training=True), z, largest) <= 4
