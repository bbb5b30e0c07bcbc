"""Softmax, moments, normalizations, losses and penalties: accuracy, special values, axes, layouts, arguments."""

import doctest
import inspect
import math
import warnings
from decimal import Decimal
from fractions import Fraction
from functools import partial

import mpmath
import numpy as np
import pytest
from numpy.exceptions import AxisError

import fastact
import floating
import processes
from cases import FLOATS, HALVES, assert_same_bits, each_dtype
from fastact import grad, normalization, penalties, preprocess, ufuncs
from fastact._kernels.registry import OPERATORS
from memory import peak_of

mpmath.mp.dps = 60
INF, NAN = np.inf, np.nan

SOFTMAX = ("softmax", "softmin", "log_softmax")
LOSSES = ("logsumexp", "cross_entropy", "binary_cross_entropy_with_logits")
NAMES = (*SOFTMAX, *LOSSES, *normalization.__all__, *penalties.__all__)
GRADIENTS = [name for name in grad.__all__ if name not in {row.name for row in OPERATORS}]
FUNCTIONS = {name: getattr(fastact, name) for name in NAMES}
FUNCTIONS |= {f"grad.{name}": getattr(grad, name) for name in GRADIENTS}
# Functions of one array that keep its shape, with channels along axis 1 where there are any.
MAPS = {
    **{name: getattr(fastact, name) for name in (*SOFTMAX, "layer_norm", "rms_norm", "normalize", "instance_norm")},
    "batch_norm": lambda x, **options: fastact.batch_norm(x, training=True, **options),
    "group_norm": lambda x, **options: fastact.group_norm(x, 2, **options),
    "inference": lambda x, **options: fastact.batch_norm(x, np.zeros(6), np.full(6, 2.0), **options),
    "inverse": lambda x, **options: fastact.batch_norm_inverse(x, np.ones(6), np.full(6, 2.0), **options),
}
# Those whose axis is any axis.
ALONG = ("softmax", "softmin", "log_softmax", "layer_norm", "rms_norm", "normalize")

each_function = pytest.mark.parametrize("name", FUNCTIONS)
each_map = pytest.mark.parametrize("name", MAPS)


def normal(shape, dtype, seed=0, scale=3.0, mean=0.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale + mean).astype(dtype)


def ulp(exact, dtype):
    """Return the unit in the last place of exact numbers, subnormal ones included."""
    info = np.finfo(dtype)
    exponents = np.array([int(mpmath.frexp(number)[1]) - 1 if number else info.minexp for number in exact])
    return np.ldexp(1.0, np.maximum(exponents, info.minexp) - info.nmant)


def error(computed, exact, dtype):
    """Return the largest error in units in the last place of each number, or in given units."""
    differences = [float(abs(mpmath.mpf(float(y)) - e)) for y, e in zip(computed, exact, strict=True)]
    return max(np.array(differences) / ulp(exact, dtype))


def exact_softmax(row):
    """Return softmax, log_softmax and logsumexp with many digits, and the sum of the rest."""
    numbers = [mpmath.mpf(float(x)) for x in row]
    top = max(numbers)
    first = numbers.index(top)
    terms = [mpmath.exp(x - top) for x in numbers]
    log_sum = mpmath.log1p(mpmath.fsum(terms[:first] + terms[first + 1 :]))
    total = mpmath.fsum(terms)
    return [t / total for t in terms], [x - top - log_sum for x in numbers], top + log_sum, max(abs(top), log_sum)


def rows(n, dtype):
    """Return rows of every kind: spread, offset, equal, with one far above the others."""
    generator = np.random.default_rng(n)
    x = generator.standard_normal(n)
    yield (x * 5).astype(dtype)
    yield (x * 30 + 200).astype(dtype)
    yield (x * 1e-3 - 1e4).astype(dtype)
    yield np.full(n, 0.1, dtype)
    yield np.where(np.arange(n) == n // 2, 50, x).astype(dtype)


@each_dtype
@pytest.mark.parametrize("n", [1, 2, 10, 33, 64, 96, 128, 224, 257, 1000, 50_000])
def test_softmax_family_is_accurate(n, dtype):
    """Rows (of every number of blocks modulo four), pieces of rows (above 65536: the other test) and columns."""
    for row in list(rows(n, dtype))[: 5 if n <= 1000 else 1]:
        soft, log_soft, log_sum, largest = exact_softmax(row)
        columns = np.repeat(row[:, None], 17, axis=1)
        for x, axis, index in ((row, -1, ...), (columns, 0, (slice(None), 3))):
            assert error(fastact.softmax(x, axis)[index], soft, dtype) <= 2.0
            assert error(fastact.log_softmax(x, axis)[index], log_soft, dtype) <= 2.0
            result = np.atleast_1d(fastact.logsumexp(x, axis))[-1]
            assert float(abs(mpmath.mpf(float(result)) - log_sum)) <= 1.5 * ulp([largest], dtype)[0]


def test_float32_softmax_over_many_rows():
    for n in (2, 10, 100, 3000):
        x = normal((300_000 // n, n), np.float32, scale=12)
        wide = x.astype(np.longdouble)
        wide -= wide.max(axis=1, keepdims=True)
        exact = np.exp(wide)
        exact = (exact / exact.sum(axis=1, keepdims=True)).astype(float)
        unit = np.ldexp(1.0, np.maximum(np.frexp(exact)[1] - 1, -126) - 23)
        assert (np.abs(fastact.softmax(x) - exact) / unit).max() <= 2.0
        # What is left beside the largest, not from a sum with it: it may be far smaller than its last place.
        terms = np.exp(wide)
        np.put_along_axis(terms, wide.argmax(1)[:, None], 0, 1)
        exact = (wide - np.log1p(terms.sum(axis=1, keepdims=True))).astype(float)
        unit = np.ldexp(1.0, np.maximum(np.frexp(exact)[1] - 1, -126) - 23)
        assert (np.abs(fastact.log_softmax(x) - exact) / unit).max() <= 2.0


def log_softmax_in_long_double(x):
    x = x.astype(np.longdouble)
    difference = x - x.max(-1, keepdims=True)
    terms = np.exp(difference)
    np.put_along_axis(terms, np.argmax(x, -1)[:, np.newaxis], 0, -1)
    return difference - np.log1p(terms.sum(-1, keepdims=True))


@pytest.mark.parametrize("n", [16, 31, 32, 33, 64, 100, 256, 1000, 1024])
def test_log_softmax_of_rows_about_the_least_rest(n):
    """Sums that have the largest element in them show small rests badly: such rows are summed without it."""
    blocks = (n + 31) // 32
    least = blocks * (blocks - 1) * 2.0**-20 + 2.0**-22
    rest = least * np.geomspace(2.0**-20, 2.0**12, 500)[:, np.newaxis]
    x = np.log(rest / (n - 1)) + np.random.default_rng(n).standard_normal((500, n)) * 0.01
    x[np.arange(500), np.arange(500) % n] = np.random.default_rng(0).uniform(-1, 1, 500)
    x = x.astype(np.float32)
    exact = log_softmax_in_long_double(x)
    y = fastact.log_softmax(x)
    assert (np.abs(y - exact) / np.spacing(-exact.astype(np.float32))).max() <= 2.0
    # Which way a row goes does not depend on its neighbours.
    assert_same_bits(np.concatenate([fastact.log_softmax(row) for row in x]).reshape(y.shape), y)


@each_dtype
@pytest.mark.parametrize("top", [3.3, 90.7])
def test_softmax_beside_the_smallest_normal_numbers(top, dtype):
    """There the low part of the factor makes subnormal products, whose rounding counts half an ULP more."""
    smallest = np.log(np.finfo(dtype).tiny) + top
    x = np.linspace(smallest - 0.2, smallest + 1, 100_000).astype(dtype).reshape(-1, 100)
    x[:, 0] = top
    terms = np.exp(x.astype(np.longdouble) - np.longdouble(np.dtype(dtype).type(top)))
    exact = terms / terms.sum(axis=1, keepdims=True)
    unit = np.ldexp(
        np.longdouble(1), np.maximum(np.frexp(exact)[1] - 1, np.finfo(dtype).minexp) - np.finfo(dtype).nmant
    )
    for y in (fastact.softmax(x), fastact.softmax(x.T, 0).T):
        assert (np.abs(y - exact) / unit).max() <= 1.7


@each_dtype
@pytest.mark.parametrize("n", [70_000, 200_001])
def test_long_rows_are_accurate(n, dtype):
    """In pieces, along a row and along columns, beside NumPy in long double."""
    row = normal(n, dtype)
    wide = row.astype(np.longdouble)
    terms = np.exp(wide - wide.max())
    exact = terms / terms.sum()
    unit = np.spacing(exact.astype(dtype)).astype(float)
    columns = np.repeat(row[:, None], 16, axis=1)
    for x, axis, index in ((row, 0, ...), (columns, 0, (slice(None), 5))):
        assert (np.abs(fastact.softmax(x, axis)[index] - exact) / unit).max() <= 2.0
        exact_log = wide - wide.max() - np.log(terms.sum())
        assert (
            np.abs(fastact.log_softmax(x, axis)[index] - exact_log) / np.spacing(-exact_log.astype(dtype))
        ).max() <= 2


@each_dtype
def test_largest_result_of_columns_in_pieces(dtype):
    """The sums of many pieces have low parts that count: 30 ULP. What a piece is multiplied by is rounded once."""
    x = normal((4096, 64), dtype)
    x[700:] = x[700]
    wide = np.ascontiguousarray(x.T).astype(np.longdouble)
    terms = np.exp(wide - wide.max(axis=1, keepdims=True))
    exact = (terms / terms.sum(axis=1, keepdims=True)).T
    assert (np.abs(fastact.softmax(x, 0) - exact) / np.spacing(exact.astype(dtype))).max() <= 2.0


@each_dtype
@pytest.mark.parametrize("n", [1000, 3000, 4096, 50_000])
def test_softmax_of_columns_of_equal_elements(n, dtype):
    """Their terms all lose the same when they are rounded: 2.7 ULP of float64 where the sum does not have it."""
    x = np.repeat(normal((1, 64), dtype), n, axis=0)
    x[:20] = normal((20, 64), dtype, 1)
    y = fastact.softmax(x, 0)
    for column, computed in zip(x.T, y.T, strict=True):
        distinct, places, counts = np.unique(column, return_index=True, return_counts=True)
        terms = [mpmath.exp(float(number)) for number in distinct]
        total = mpmath.fdot(terms, map(int, counts))
        assert error(computed[places], [t / total for t in terms], dtype) <= 2.0


SPECIAL_ROWS = [
    [INF, 0.0], [-INF, -INF], [NAN, 1.0], [1.0, NAN], [INF, INF], [-INF, 0.0], [INF, -INF], [1e30, 1e30], [1e30, 0.0],
    [-1e30, 0.0], [3e38, -3e38], [0.0, -200.0], [5000.0, 4999.0], [INF, NAN], [-INF, NAN], [0.0, -0.0], [7.0, -INF],
]  # fmt: skip


@each_dtype
@pytest.mark.parametrize("row", SPECIAL_ROWS, ids=str)
def test_softmax_of_special_values(row, dtype):
    """As torch says, for short rows, for long ones and for columns."""
    x = np.array(row, dtype)
    long = np.concatenate([np.full(70_000, min(row, key=lambda v: (not math.isnan(v), v)), dtype), x])
    top = max(row)
    has_nan, has_inf = np.isnan(x).any(), top == INF
    log = NAN if has_nan else 0.0 if math.isinf(top) else math.log1p(sum(math.exp(v - top) for v in sorted(row)[:-1]))
    log_sum = top + log
    for array, axis in ((x, -1), (np.repeat(x[:, None], 20, axis=1), 0)):
        result = np.asarray(fastact.logsumexp(array, axis))
        np.testing.assert_allclose(result, np.full_like(result, log_sum), rtol=1e-6)
        soft = fastact.softmax(array, axis)
        if has_nan or has_inf or top == -INF:
            assert np.isnan(soft).all()
            assert np.isnan(fastact.log_softmax(array, axis)).all()
        else:
            np.testing.assert_allclose(soft.sum(axis=axis), 1, rtol=1e-6)
            log_soft = fastact.log_softmax(array, axis).astype(float)
            with np.errstate(all="ignore"):
                expected = ((array.astype(float) - float(dtype.type(top))) - log).astype(dtype)
            np.testing.assert_allclose(log_soft, expected, rtol=1e-6, atol=1e-6)
    assert np.isnan(fastact.logsumexp(long)) == has_nan
    if not has_nan:
        assert np.isnan(fastact.softmax(long)).all() == (has_inf or top == -INF)
        assert fastact.logsumexp(long) == (log_sum if math.isinf(top) else fastact.logsumexp(long))


@pytest.mark.parametrize("step", [-4, -3, -1, 2, 4, 5])
@each_dtype
def test_softmin_in_place_of_any_step(step, dtype):
    """NumPy's own negation fails for float32 in steps of 4."""
    x = normal(500, dtype)[::step]
    expected = fastact.softmin(x.copy())
    assert_same_bits(fastact.softmin(x, out=x).copy(), expected)


def test_rows_of_one_element_and_one_hot_rows_are_exactly_one():
    for dtype in FLOATS:
        x = normal((50, 1), dtype, scale=1000)
        assert (fastact.softmax(x) == 1).all()
        assert (fastact.log_softmax(x) == 0).all()
        assert (fastact.logsumexp(x, -1) == x[:, 0]).all()
        far = np.array([[1000.3, 0.3], [0.7, -2000.0]], dtype)
        assert (fastact.softmax(far).max(axis=1) == 1).all()


# ---- Moments.


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


def test_variance_where_data_drift_or_begin_far_away():
    """A shift by the first element of all, or Welford's update in float32, would lose the digits."""
    drift = (np.arange(200_000) // 1000 * 1e4 + np.random.default_rng(0).standard_normal(200_000)).astype(np.float32)
    outlier = normal(100_000, np.float32, scale=1.0)
    outlier[0] = 1e6
    for x in (drift, outlier):
        exact = x.astype(np.longdouble).var()
        assert abs(fastact.moments(x)[1] - exact) <= 4 * np.spacing(np.float32(exact))


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


# Squares that float32 cannot hold, or only some digits of, and sums that it cannot.
SCALES = (1e38, 1e25, 3e19, 1e18, 1e-18, 3e-20, 1e-22, 1e-25, 1e-37, 1e-42)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("n", [9, 40, 150, 300, 1000, 5000])
def test_float32_where_squares_overflow_or_vanish(n, scale):
    """As in float64, where they do neither. The inverse of a deviation has to be a float32."""
    small = normal((20, n), np.float32, scale=0.5, mean=0.3)
    rows = (small.astype(float) * scale).clip(-3.4e38, 3.4e38).astype(np.float32)
    for x, axis in ((rows, 1), (np.ascontiguousarray(rows.T), 0)):
        wide = x.astype(float)
        (got_mean, got_var), (mean, var) = fastact.moments(x, axis), fastact.moments(wide, axis)
        deviation = np.maximum(np.abs(mean), np.sqrt(var)).astype(np.float32)
        assert (np.abs(got_mean - mean) <= 2 * np.spacing(deviation)).all()
        finite = var <= np.finfo(np.float32).max
        assert (np.abs(got_var - var)[finite] <= 4 * np.spacing(var[finite].astype(np.float32))).all()
        assert np.isinf(got_var[~finite]).all()
        if scale < 1e-37:
            continue
        for function in (fastact.layer_norm, fastact.rms_norm, fastact.normalize)[: 3 if scale < 1e37 else 2]:
            got, exact = function(x, axis=axis, eps=0.0), function(wide, axis=axis, eps=0.0)
            unit = np.spacing(np.abs(exact).max(axis, keepdims=True).astype(np.float32))
            assert (np.abs(got - exact) <= 4 * unit).all()
        got, exact = (fastact.batch_norm(a, training=True, eps=0.0, axis=1 - axis) for a in (x, wide))
        assert (np.abs(got - exact) <= 4 * np.spacing(np.abs(exact).max(axis, keepdims=True).astype(np.float32))).all()


ALONG_ROWS = {
    "softmax": fastact.softmax,
    "log_softmax": fastact.log_softmax,
    "logsumexp": lambda x: fastact.logsumexp(x, -1),
    "layer_norm": fastact.layer_norm,
    "rms_norm": fastact.rms_norm,
    "moments": lambda x: np.stack(fastact.moments(x, -1), -1),
    "grad.softmax": lambda x: fastact.grad.softmax(x[:, ::-1].copy(), fastact.softmax(x)),
}


@each_dtype
@pytest.mark.parametrize("n", [16, 17, 64, 300, 1024, 1025, 5000])
@pytest.mark.parametrize("name", ALONG_ROWS)
def test_rows_do_not_depend_on_how_many_there_are(name, n, dtype):
    x = normal((140, n), dtype, scale=4)
    x[0] += 100
    expected = ALONG_ROWS[name](x)
    for some in (1, 15, 64, 65):
        assert_same_bits(ALONG_ROWS[name](x[:some]), expected[:some])


@pytest.mark.parametrize("n", [2, 3, 10, 15])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_short_rows_have_the_bits_of_columns(name, n):
    """Sixteen of them are turned into columns, fifteen are not."""
    x = normal((200, n), np.float32, scale=4)
    assert_same_bits(ALONG_ROWS[name](x[:15]), ALONG_ROWS[name](x)[:15])


@pytest.mark.parametrize("rows", [7, 16, 31, 300, 5000])
def test_columns_know_nothing_of_their_neighbours(rows):
    x = normal((rows, 50), np.float32, seed=rows)
    expected = fastact.moments(x, 0)
    for bad in (NAN, INF, 1e30, 1e-30):
        hurt = x.copy()
        hurt[:, 17] *= 1e-30
        hurt[rows // 2, 17] = bad
        for got, before in zip(fastact.moments(hurt, 0), expected, strict=True):
            assert_same_bits(np.delete(got, 17), np.delete(before, 17))


@each_dtype
@pytest.mark.parametrize("rows", [256, 257, 259, 300, 1024])
@pytest.mark.parametrize("name", SOFTMAX)
def test_columns_whose_rows_share_places_in_the_cache(name, rows, dtype):
    """They are copied: the result is that of columns alone, for any rest of rows and of columns, in place too."""
    x = normal((rows, 1024), dtype, seed=rows)[:, :531]
    expected = FUNCTIONS[name](np.ascontiguousarray(x[:, 468:]), axis=0)
    assert_same_bits(FUNCTIONS[name](x, axis=0)[:, 468:], expected)
    FUNCTIONS[name](x, axis=0, out=x)
    assert_same_bits(x[:, 468:], expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("rows", [5, 40, 300])
def test_columns_whose_rows_are_pages_apart(rows, dtype):
    """Those before a cache line are summed by themselves: the result does not depend on where the first one is."""
    x = normal((rows, 1024), dtype, seed=rows)
    moments = np.hstack([fastact.moments(x[:, k : k + 256].copy(), 0) for k in range(0, 1024, 256)])
    norms = np.hstack([fastact.normalize(x[:, k : k + 256].copy(), axis=0) for k in range(0, 1024, 256)])
    memory = np.empty(x.size + 16, dtype)
    for start in range(16):
        moved = memory[start : start + x.size].reshape(x.shape)
        moved[:] = x
        assert_same_bits(np.stack(fastact.moments(moved, 0)), moments)
        assert_same_bits(fastact.normalize(moved, axis=0), norms)


@pytest.mark.parametrize("dtype", [*FLOATS, np.float16])
@pytest.mark.parametrize("shape", [(5, 19), (40, 31), (1100, 23), (600, 30), (300, 271), (20_001, 27)], ids=str)
def test_columns_that_do_not_fill_vectors(shape, dtype):
    """The last ones have the bits that they have among others, in place and between others too."""
    rows, columns = shape
    x, dy = normal((2, rows, columns // 16 * 16 + 32), dtype, seed=columns)
    weight, bias = normal((2, rows), dtype)
    for function in (
        *(partial(FUNCTIONS[name], axis=0) for name in ALONG),
        lambda x, out: fastact.layer_norm(x, weight, bias, axis=0, out=out),
        lambda x, out: fastact.batch_norm(x, training=True, axis=1, out=out),
        lambda x, out: fastact.batch_norm(x, training=True, axis=1, activation="silu", out=out),
    ):
        expected = function(x, out=None)
        assert_same_bits(function(x[:, :columns].copy(), out=None), expected[:, :columns])
        in_place = x[:, :columns].copy()
        function(in_place, out=in_place)
        assert_same_bits(in_place, expected[:, :columns])
        between = x.copy()
        function(between[:, :columns], out=between[:, :columns])
        assert_same_bits(between[:, :columns], expected[:, :columns])
        assert_same_bits(between[:, columns:], x[:, columns:])
    assert_same_bits(fastact.logsumexp(x[:, :columns], 0), fastact.logsumexp(x, 0)[:columns])
    assert_same_bits(np.stack(fastact.moments(x[:, :columns], 0)), np.stack(fastact.moments(x, 0))[:, :columns])
    for function in (
        lambda dy, x: grad.softmax(dy, x, 0),
        lambda dy, x: grad.log_softmax(dy, x, 0),
        lambda dy, x: grad.layer_norm(dy, x, weight, axis=0)[0],
        lambda dy, x: grad.rms_norm(dy, x, weight, axis=0)[0],
        lambda dy, x: np.vstack(grad.batch_norm(dy, x, None, np.zeros(x.shape[1]), np.ones(x.shape[1]))),
    ):
        assert_same_bits(function(dy[:, :columns], x[:, :columns]), function(dy, x)[:, :columns])


@pytest.mark.parametrize(
    "shape", [(20_001, 16), (15_007, 21), (70_001, 63), (9001, 70), (2500, 950), (4100, 1030), (17, 250_007)]
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


# ---- Normalizations.


def textbook(x, mean, var, weight, bias, eps, axes):
    """Return the normalization in long double, and the largest term of its row."""
    scale = weight / np.sqrt(var + eps)
    exact = (x - mean) * scale + bias
    return exact, np.maximum(np.abs(exact - bias).max(axis=axes, keepdims=True), np.abs(bias))


NORMALIZATION_SHAPES = [(40, 6), (300, 6), (9, 6, 11), (4, 6, 8, 9), (3, 6, 70, 70)]


@each_dtype
@pytest.mark.parametrize("mean", [0.0, 1000.0])
@pytest.mark.parametrize("shape", NORMALIZATION_SHAPES, ids=str)
def test_normalizations_to_4_ulp_of_the_largest_term(shape, mean, dtype):
    x = normal(shape, dtype, mean=mean)
    weight, bias = normal(6, dtype, 1, 1.0), normal(6, dtype, 2, 1.0)
    wide = x.astype(np.longdouble)
    broad = (1, 6) + (1,) * (len(shape) - 2)
    w, b = weight.reshape(broad).astype(np.longdouble), bias.reshape(broad).astype(np.longdouble)
    batch, last, each = (0, *range(2, len(shape))), (len(shape) - 1,), tuple(range(2, len(shape)))
    eps = 1e-5

    def check(y, axes, weight=w, bias=b):
        # Neither mean nor variance of numbers far from 0 are exact in long double.
        near = wide - mean
        average, var = near.mean(axis=axes, keepdims=True), near.var(axis=axes, keepdims=True)
        exact, largest = textbook(near, average, var, weight, bias, np.longdouble(eps), axes)
        assert (np.abs(y - exact) / np.spacing(largest.astype(dtype))).max() <= 4.0

    check(fastact.batch_norm(x, None, None, weight, bias, True), batch)
    check(fastact.layer_norm(x), last, np.longdouble(1), np.longdouble(0))
    check(fastact.layer_norm(x, axis=0), (0,), np.longdouble(1), np.longdouble(0))
    if each:
        check(fastact.instance_norm(x, weight, bias), each)
        check(fastact.group_norm(x, 1, weight, bias), (1, *each))
        check(fastact.layer_norm(x, axis=(1, *each), weight=np.broadcast_to(weight.reshape(broad[1:]), shape[1:]),
                                 bias=np.broadcast_to(bias.reshape(broad[1:]), shape[1:])), (1, *each))  # fmt: skip
    running_mean, running_var = normal(6, dtype, 3, 1.0), normal(6, dtype, 4, 1.0) ** 2
    y = fastact.batch_norm(x, running_mean, running_var, weight, bias)
    m, v = (a.reshape(broad).astype(np.longdouble) for a in (running_mean, running_var))
    exact, _ = textbook(wide, m, v, w, b, eps, batch)
    largest = np.abs(wide * w / np.sqrt(v + eps)) + np.abs(m * w / np.sqrt(v + eps)) + np.abs(b)
    assert (np.abs(y - exact) / np.spacing(largest.astype(dtype))).max() <= 4.0
    exact = wide / np.sqrt((wide**2).mean(axis=-1, keepdims=True) + np.longdouble(1e-6))
    assert (np.abs(fastact.rms_norm(x) - exact) / np.spacing(np.abs(exact).astype(dtype))).max() <= 4.0
    for p in (1, 2, 3, 0.5, INF):
        size = (
            np.abs(wide).max(axis=-1, keepdims=True)
            if p == INF
            else (np.abs(wide) ** p).sum(-1, keepdims=True) ** (1 / np.longdouble(p))
        )
        unit = np.spacing(np.abs(wide / size).astype(dtype))
        assert (np.abs(fastact.normalize(x, p) - wide / size) / unit).max() <= 4.0


def test_norms_neither_overflow_nor_vanish():
    for scale in (1e-200, 1e200):
        x = normal((3, 40), np.float64) * scale
        for p in (0.5, 3.0, 10.0):
            np.testing.assert_allclose(fastact.normalize(x, p, eps=0.0), fastact.normalize(x / scale, p), rtol=1e-14)


@each_dtype
@pytest.mark.parametrize("shape", [(9, 5), (40, 17), (300, 33), (5000, 40), (70, 1048)])
def test_weights_along_the_first_axis(shape, dtype):
    """One for each row of the columns that are normalized."""
    x, weight, bias = normal(shape, dtype), normal(shape[0], dtype), normal(shape[0], dtype)
    exact, factor = x.astype(np.longdouble), weight.astype(np.longdouble)[:, None]
    centred = exact - exact.mean(0)
    unit = centred / np.sqrt((centred * centred).mean(0) + np.longdouble(1e-5))
    tolerance = 8 * np.finfo(dtype).eps * (np.abs(unit).max() * np.abs(weight).max() + np.abs(bias).max())
    expected = unit * factor + bias[:, None]
    assert np.abs(fastact.layer_norm(x, weight, bias, axis=0) - expected).max() <= tolerance
    expected = exact / np.sqrt((exact * exact).mean(0) + np.longdouble(1e-5)) * factor
    assert np.abs(fastact.rms_norm(x, weight, axis=0, eps=1e-5) - expected).max() <= tolerance


def test_float32_layer_norm_at_mean_1e6():
    x = normal((5, 1000), np.float32, scale=1.0, mean=1e6)
    wide = x.astype(np.longdouble)
    exact = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-5)
    assert np.abs(fastact.layer_norm(x) - exact).max() < 1e-6


# Planes of less than a lane, with remainders, of one piece, and too long; rows of one piece, of several, and too long.
PLANES = [(3, 6, 2), (4, 6, 7, 7), (5, 6, 10, 10), (40, 6, 14, 14), (2, 6, 64, 64), (2, 6, 65, 64), (1500, 6, 7, 7)]
each_shape_of_planes = pytest.mark.parametrize("shape", PLANES, ids=str)


def views_of_planes(x):
    """Return arrays that are equal: contiguous, with gaps between samples and channels, turned round, channels last."""
    wide = np.zeros((2 * x.shape[0], x.shape[1] + 1, *x.shape[2:]), x.dtype)
    wide[::2, 1:] = x
    back = np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]
    return wide[::2, 1:], back, np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def standard(x, axes):
    """Return what normalizations are before weight and bias, in longdouble."""
    x = x.astype(np.longdouble)
    deviations = x - x.mean(axes, keepdims=True)
    return deviations / np.sqrt((deviations**2).mean(axes, keepdims=True) + 1e-5)


def along_channels(values, ndim):
    return values.reshape(-1, *[1] * (ndim - 2)).astype(np.longdouble)


@each_dtype
@each_shape_of_planes
@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_planes(shape, mean, dtype):
    """NCHW: against the textbook; whatever the steps between planes, also channels last; in place."""
    x, (weight, bias) = normal(shape, dtype, mean=mean), normal((2, 6), dtype, 1, 1.0)
    planes = tuple(range(2, len(shape)))
    of_groups = standard(x.reshape(len(x), 3, -1), (2,)).reshape(shape)
    # The largest term: x*scale where the mean is large.
    unit = 4 * np.spacing(np.asarray(16 + mean / 2, dtype))
    for function, z in (
        (lambda x, **k: fastact.batch_norm(x, None, None, weight, bias, True, **k), standard(x, (0, *planes))),
        (lambda x, **k: fastact.instance_norm(x, weight, bias, **k), standard(x, planes)),
        (lambda x, **k: fastact.group_norm(x, 3, weight, bias, **k), of_groups),
    ):
        expected = z * along_channels(weight, len(shape)) + along_channels(bias, len(shape))
        for array in (x, *views_of_planes(x)):
            assert np.abs(function(array) - expected).max() <= unit
        copied = x.copy()
        assert_same_bits(function(copied, out=copied), function(x))


@each_dtype
@each_shape_of_planes
def test_gradients_of_planes(shape, dtype):
    x, dy, weight = normal(shape, dtype), normal(shape, dtype, 1, 1.0), np.linspace(0.5, 2, 6).astype(dtype)
    _, mean, var = fastact.batch_norm(x, training=True, return_stats=True)
    axes, count, g = (0, *range(2, len(shape))), x.size // 6, dy.astype(np.longdouble)
    scale = 1 / np.sqrt(along_channels(var, len(shape)) + 1e-5)
    z = (x - along_channels(mean, len(shape))) * scale
    dbias, dweight = g.sum(axes, keepdims=True), (g * z).sum(axes, keepdims=True)
    expected = along_channels(weight, len(shape)) * scale * (g - dbias / count - z * dweight / count)
    eps = np.finfo(dtype).eps
    for array in (x, *views_of_planes(x)):
        for slope in (dy, dy[::-1][::-1]):
            got = grad.batch_norm(slope, array, weight, mean, var)
            assert np.abs(got[0] - expected).max() <= 16 * eps
            for values, sums in zip(got[1:], (dweight, dbias), strict=True):
                assert np.abs(values - sums.reshape(-1)).max() <= 16 * eps * np.sqrt(count)


@pytest.mark.parametrize("shape", [(64, 34, 7, 7), (40, 9, 14, 14), (2, 600, 14, 14), (12, 3, 100, 100)], ids=str)
def test_planes_do_not_depend_on_threads(shape):
    x, weight = normal(shape, np.float32), np.linspace(0.5, 2, shape[1], dtype=np.float32)

    def results():
        y, mean, var = fastact.batch_norm(x, None, None, weight, weight, True, return_stats=True)
        yield from (y, mean, var, fastact.batch_norm(x, mean, var), *grad.batch_norm(y, x, weight, mean, var))
        yield from (fastact.group_norm(x, 1, weight), fastact.instance_norm(x, weight, weight))
        yield fastact.batch_norm(x, mean, var, activation="tanh")

    with fastact.threads(1):
        expected = list(results())
    with fastact.threads(3):
        for got, alone in zip(results(), expected, strict=True):
            assert_same_bits(got, alone)


def test_gradients_of_planes_beyond_the_chains():
    """Where products of float32 overflow or vanish, sums are made again in binary64."""
    x, dy = normal((4, 2, 7, 7), np.float32), normal((4, 2, 7, 7), np.float32, 1)
    mean, var = np.float32([0.5, -0.5]), np.float32([2.0, 3.0])
    expected = grad.batch_norm(dy, x, None, mean, var, eps=0.0)
    # Powers of two: all but the results' exponents stay.
    for power in (2.0**-62, 2.0**62):
        factor = np.float32(power)
        got = grad.batch_norm(dy, x * factor, None, mean * factor, var * factor * factor, eps=0.0)
        np.testing.assert_allclose(got[0] * factor, expected[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(got[1], expected[1], rtol=1e-6)
    large = np.full((4, 2, 7, 7), 3e38, np.float32)
    large[::2] *= -1
    dx, _, dbias = grad.batch_norm(large, x, None, mean, var)
    assert np.isfinite(dx).any()
    assert (dbias == 0).all()
    large[0, 0, 0, 0] = np.nan
    dx, _, dbias = grad.batch_norm(large, x, None, mean, var)
    assert np.isnan(dx[:, 0]).all()
    assert not np.isnan(dx[:, 1]).all()
    np.testing.assert_array_equal(np.isnan(dbias), [True, False])


@pytest.mark.parametrize(
    "function",
    [
        lambda dy, x: grad.batch_norm(dy, x, None, np.float32([0.5] * 80), np.float32([2.0] * 80)),
        lambda dy, x: grad.layer_norm(dy, x, None, eps=0.0),
        lambda dy, x: grad.layer_norm(dy, x, None, axis=0, eps=0.0),
        lambda dy, x: (*grad.rms_norm(dy, x, None, eps=0.0), dy.sum(0, np.float64)),
        lambda dy, x: (*grad.rms_norm(dy, x, None, axis=0, eps=0.0), dy.sum(0, np.float64)),
    ],
    ids=["batch_norm", "layer_norm", "layer_norm, axis 0", "rms_norm", "rms_norm, axis 0"],
)
def test_gradients_beyond_the_chains(function):
    """Where sums of a few float32 overflow or are NaN, they are made again in binary64: those, and no others."""
    x, dy = normal((96, 80), np.float32), normal((96, 80), np.float32, 1)
    signs = np.where((np.arange(96)[:, None] // 2 + np.arange(80) // 2) % 2, 1, -1)
    large = (signs * 3e38).astype(np.float32)
    dx, _, dbias = function(large, x)
    assert np.isfinite(dx).mean() > 0.5
    assert (dbias == 0).all()
    mixed = dy.copy()
    mixed[8, 5] = np.nan
    mixed[8:12, 20] = 3e38, 3e38, -3e38, -3e38
    expected, got = function(dy, x), function(mixed, x)
    for a, b in zip(got, expected, strict=True):
        differs = ~((a == b) | np.isnan(a))
        touched = np.zeros(a.shape, bool)
        touched[..., [5, 20]] = True
        if a.ndim == 2 or len(a) == 96:
            touched[8:12] = True
        assert not (differs & ~touched).any()
        assert not np.isnan(a[~touched]).any()


@pytest.mark.parametrize("name", [row.name for row in OPERATORS if not row.parameters])
@pytest.mark.parametrize("shape", [(40, 6), (3, 6, 50, 50), (7, 6, 9, 9), (70_000, 6)], ids=str)
def test_activations_are_fused(name, shape):
    """The same bits as one after the other, in training and inference, channels anywhere."""
    x = normal(shape, np.float32)
    for axis, array in ((1, x), (-1, np.moveaxis(x, 1, -1)), (-1, np.ascontiguousarray(np.moveaxis(x, 1, -1)))):
        for options in ({"training": True}, {"running_mean": np.full(6, 0.1), "running_var": np.full(6, 2.0)}):
            plain = fastact.batch_norm(array, axis=axis, **options)
            fused = fastact.batch_norm(array, axis=axis, activation=name, **options)
            assert_same_bits(fused, getattr(ufuncs, name)(plain))


# Powers of two whose squares, or whose inverses, leave the type; in between the ordinary ones.
FAR = {np.float32: (-149, -147, -127, -101, 0, 99, 126, 127), np.float64: (-1074, -1071, -541, -481, 0, 480, 512, 1023)}
FAR_NORMS = {
    "normalize": (fastact.normalize, {"p": 2.0}, lambda x: np.sqrt((x * x).sum(0))),
    "normalize 1": (fastact.normalize, {"p": 1.0}, lambda x: np.abs(x).sum(0)),
    "normalize 3": (fastact.normalize, {"p": 3.0}, lambda x: np.cbrt((np.abs(x) ** 3).sum(0))),
    "normalize inf": (fastact.normalize, {"p": INF}, lambda x: np.abs(x).max(0)),
    "rms_norm": (fastact.rms_norm, {}, lambda x: np.sqrt((x * x).mean(0))),
}


def errors_of_far(computed, exact, dtype):
    """Return the largest error in units in the last place of exact numbers, of a wider type."""
    info = np.finfo(dtype)
    unit = np.ldexp(np.longdouble(1), np.maximum(np.frexp(exact)[1] - 1, info.minexp) - info.nmant)
    return (np.abs(computed.astype(np.longdouble) - exact) / unit).max()


@pytest.mark.skipif(np.finfo(np.longdouble).maxexp < 4096, reason="the reference needs a type beyond float64")
@each_dtype
@pytest.mark.parametrize("name", FAR_NORMS)
@pytest.mark.parametrize("n", [1, 3, 40, 700, 9000])
def test_norms_at_any_magnitude(name, n, dtype):
    """Short and long rows, columns; of all magnitudes side by side, since each one has a factor of its own."""
    function, options, norm = FAR_NORMS[name]
    signs = (
        np.random.default_rng(n).uniform(0.5, 1, (n, 7 if n > 1000 else 70))
        * np.where(np.arange(n) % 3, 1, -1)[:, None]
    )
    powers = np.resize(np.array(FAR[dtype.type]), signs.shape[1])
    x = np.ldexp(signs.astype(dtype), powers)
    x[x == 0] = np.finfo(dtype).smallest_subnormal
    x = np.where(np.isinf(x), np.finfo(dtype).max, x)
    wide = x.astype(np.longdouble)
    exact = wide / norm(wide)
    assert errors_of_far(function(x, axis=0, eps=0.0, **options), exact, dtype) <= 4
    assert errors_of_far(function(np.ascontiguousarray(x.T), eps=0.0, **options), exact.T, dtype) <= 4
    for k in range(7):
        assert errors_of_far(function(x[:, k].copy(), eps=0.0, **options), exact[:, k], dtype) <= 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norms_of_mixed_magnitudes(dtype):
    """Pieces of one row, each with another power of two; and eps decides where it is larger."""
    large, small = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
    x = np.concatenate([np.full(4096, value, dtype) for value in (1, small, 0, large, 1, small)])
    for layout in (x, np.ascontiguousarray(np.repeat(x[:, None], 20, axis=1))):
        y = fastact.normalize(layout, axis=0, eps=0.0)
        assert (np.abs(y[3 * 4096 : 4 * 4096] * 64 - 1) <= 4 * np.finfo(dtype).eps).all()
        assert (np.abs(y[: 3 * 4096]) <= 1 / float(large)).all()
        z = fastact.rms_norm(layout[: 3 * 4096], axis=0, eps=0.0)
        assert (np.abs(z[:4096] / 3**0.5 - 1) <= 4 * np.finfo(dtype).eps).all()
        assert (np.abs(z[4096:]) <= 2 * float(small)).all()
    for n in (10, 10_000):
        row = np.full(n, small, dtype)
        np.testing.assert_array_equal(fastact.normalize(row, eps=2.0), row / 2)
        np.testing.assert_array_equal(fastact.rms_norm(row, eps=4.0), row / 2)
        np.testing.assert_array_equal(fastact.normalize(row * 0), row * 0)
        assert np.isnan(fastact.normalize(row * 0, eps=0.0)).all()
    np.testing.assert_array_equal(fastact.normalize(np.full(10, 2.0, dtype), eps=1e38), np.full(10, 2e-38, dtype))


def test_norms_of_bfloat16_have_the_range_of_float32():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = np.array([[3e38, -2e38, 1e38], [1e-40, 2e-40, 3e-40], [1, 2, 3]], ml_dtypes.bfloat16)
    for function in (fastact.normalize, fastact.rms_norm, fastact.layer_norm):
        expected = function(x.astype(np.float32), eps=0.0).astype(x.dtype)
        np.testing.assert_array_equal(function(x, eps=0.0), expected)


FAR_MAPS = {
    "layer_norm": lambda x: fastact.layer_norm(x, eps=0.0),
    "layer_norm of columns": lambda x: fastact.layer_norm(np.ascontiguousarray(x.T), axis=0, eps=0.0).T,
    "standardize": lambda x: preprocess.standardize(x, 1),
    "instance_norm": lambda x: fastact.instance_norm(x[None], eps=0.0)[0],
    "group_norm": lambda x: fastact.group_norm(x[..., None], 1, eps=0.0)[..., 0],
    "group_norm of channels": lambda x: fastact.group_norm(x, 1, eps=0.0),
    "group_norm of planes": lambda x: fastact.group_norm(x.reshape(1, 2 * len(x), -1), len(x), eps=0.0).reshape(
        x.shape
    ),
    "batch_norm": lambda x: fastact.batch_norm(x, training=True, axis=0, eps=0.0),
    "batch_norm of columns": lambda x: fastact.batch_norm(np.ascontiguousarray(x.T), training=True, eps=0.0).T,
    "batch_norm of planes": lambda x: (
        fastact.batch_norm(np.ascontiguousarray(x.reshape(len(x), 2, -1).swapaxes(0, 1)), training=True, eps=0.0)
        .swapaxes(0, 1)
        .reshape(x.shape)
    ),
}


@pytest.mark.parametrize("name", FAR_MAPS)
@pytest.mark.parametrize("n", [4, 36, 700, 9000])
def test_deviations_at_any_magnitude(name, n):
    """float32: x - mean may overflow, and 1/sqrt(var) be subnormal or infinite."""
    generator = np.random.default_rng(n)
    x = np.ldexp(generator.uniform(-1, 1, (24, n)), np.resize([127, 100, 0, -60, -126, -140], 24)[:, None]).astype(
        np.float32
    )
    x[0, :3], x[6, 1:] = [3.4e38, -3.4e38, -3.4e38], np.sign(x[6, 1:]) * np.float32(3e38)
    wide = x.astype(np.float64)
    deviation = wide - wide.mean(1, keepdims=True)
    exact = deviation / np.sqrt((deviation**2).mean(1, keepdims=True))
    unit = np.spacing(np.maximum(np.abs(exact), np.abs(exact).max(1, keepdims=True) * 2**-3).astype(np.float32))
    assert (np.abs(FAR_MAPS[name](x) - exact) / unit).max() <= 4


def test_running_statistics_may_be_lists_in_inference():
    x, mean, var = normal((4, 3), np.float32), [0.1, 0.2, 0.3], [1, 2, 3]
    expected = fastact.batch_norm(x, np.array(mean), np.array(var, np.float64), return_stats=True)
    for got, of_arrays in zip(fastact.batch_norm(x, mean, tuple(var), return_stats=True), expected, strict=True):
        assert_same_bits(got, of_arrays)


@each_dtype
def test_running_statistics_are_torchs(dtype):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x = normal((20, 6, 5, 4), dtype)
    ours = np.zeros(6, dtype), np.ones(6, dtype)
    theirs = torch.zeros(6, dtype=torch.float64), torch.ones(6, dtype=torch.float64)
    for step in range(20):
        batch = x * (1 + step) + step
        y, mean, var = fastact.batch_norm(batch, *ours, training=True, momentum=0.3, return_stats=True)
        expected = torch.nn.functional.batch_norm(
            torch.from_numpy(batch).double(), *theirs, training=True, momentum=0.3
        )
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(mean, batch.mean((0, 2, 3), dtype=np.float64), rtol=1e-6)
        np.testing.assert_allclose(var, batch.var((0, 2, 3), dtype=np.float64), rtol=1e-6)
        for running, reference in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(running, reference, rtol=20 * np.finfo(dtype).eps)
    before = [running.copy() for running in ours]
    y, mean, var = fastact.batch_norm(x, *ours, return_stats=True)
    for got, running, old in zip((mean, var), ours, before, strict=True):
        assert_same_bits(got, running)
        assert_same_bits(running, old)


@each_dtype
def test_inverse_gives_x_back(dtype):
    x = normal((50, 6, 7), dtype, mean=10)
    weight, bias = np.linspace(0.5, 2, 6).astype(dtype), np.linspace(-1, 1, 6).astype(dtype)
    y, mean, var = fastact.batch_norm(x, None, None, weight, bias, True, return_stats=True)
    back = fastact.batch_norm_inverse(y, mean, var, weight, bias)
    assert np.abs(back - x).max() <= 16 * np.spacing(np.abs(x).max())


# ---- Rows are worked on together, their ends in padded blocks: nothing of it may show.

# Of one lane, of some, of whole blocks, of one more; as many rows as are folded together and one more.
ROW_LENGTHS = (1, 2, 15, 16, 17, 31, 32, 33, 64, 100, 129, 300, 1000, 2049)


@pytest.mark.parametrize("name", ALONG)
@each_dtype
def test_rows_know_nothing_of_their_neighbours(name, dtype):
    function = MAPS[name]
    for n in ROW_LENGTHS:
        x = normal((35, n), dtype, seed=n)
        # So many columns that rows stay rows, however short they are.
        expected = function(x)
        for i in (0, 1, 15, 16, 34):
            alone = np.concatenate([x[i : i + 1], normal((34, n), dtype, seed=i + 1, scale=100)])
            assert_same_bits(function(alone)[0], expected[i])
        for bad in (NAN, INF, -INF):
            hurt = x.copy()
            hurt[16, n // 2] = bad
            found = function(hurt)
            assert_same_bits(np.delete(found, 16, 0), np.delete(expected, 16, 0))
            if math.isnan(bad):
                assert np.isnan(found[16]).all()


@each_dtype
def test_statistics_of_rows_know_nothing_of_their_neighbours(dtype):
    for n in ROW_LENGTHS:
        x = normal((35, n), dtype, seed=n)
        for function in (fastact.logsumexp, lambda x, axis: fastact.moments(x, axis)[1]):
            expected = function(x, -1)
            hurt = x.copy()
            hurt[16] = NAN
            assert_same_bits(np.delete(function(hurt, -1), 16), np.delete(expected, 16))
            assert np.isnan(function(hurt, -1)[16])


@pytest.mark.parametrize("n", [3, 16, 33, 100, 1000])
@each_dtype
def test_masked_elements(n, dtype):
    """-inf has no part in its row, whatever the rest is, and its result is 0."""
    x = normal((40, n), dtype, seed=n)
    masked = np.concatenate([x, np.full((40, 2 * n), -INF, dtype)], axis=1)
    soft, log_soft = fastact.softmax(masked), fastact.log_softmax(masked)
    assert (soft[:, n:] == 0).all()
    assert (log_soft[:, n:] == -INF).all()
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(soft[:, :n], fastact.softmax(x), rtol=2 * eps)
    np.testing.assert_allclose(log_soft[:, :n], fastact.log_softmax(x), rtol=2 * eps)
    np.testing.assert_allclose(fastact.logsumexp(masked, 1), fastact.logsumexp(x, 1), rtol=2 * eps)


def test_no_over_read():
    """Rows and columns that end where a page ends: nothing behind them is read or written."""
    checked = processes.output_of(GUARDED_ROWS)
    assert int(checked) == 2 * 2 * 70 * 12


GUARDED_ROWS = """
import numpy as np, fastact, guard
from cases import FLOATS, assert_same_bits
pages = [guard.GuardedPage() for _ in range(2)]
checked = 0
for dtype in FLOATS:
    for is_at_end in (False, True):
        for shape in [(n,) for n in range(1, 71)] + [(7, n) for n in range(1, 71)]:
            values = np.random.default_rng(shape[-1]).standard_normal(shape).astype(dtype)
            x, y = (page.array(values.size, dtype, is_at_end).reshape(shape) for page in pages)
            for name in ("softmax", "log_softmax", "layer_norm", "rms_norm", "normalize"):
                x[:] = values
                function = getattr(fastact, name)
                expected = function(values, axis=0)
                function(x, axis=0, out=y)
                assert_same_bits(y, expected)
                function(x, axis=0, out=x)
                assert_same_bits(x, expected)
                checked += 1
            x[:] = values
            assert_same_bits(np.stack(fastact.moments(x, 0)), np.stack(fastact.moments(values, 0)))
            assert_same_bits(fastact.logsumexp(x, 0), fastact.logsumexp(values, 0))
            checked += 1
print(checked)
"""


def test_memory_is_seen():
    assert 8e6 <= peak_of(lambda: np.ones(1_000_000)) < 9e6


@pytest.mark.parametrize("name", [*ALONG, "batch_norm", "inference"])
def test_16_bits_need_no_second_array(name):
    """float16 is converted block by block: no array of float32 beside it."""
    x = normal((100_000, 6) if name in {"batch_norm", "inference"} else (3000, 600), np.float16)
    out = np.empty_like(x)
    assert peak_of(lambda: MAPS[name](x, out=out)) < x.nbytes / 4


@pytest.mark.parametrize("layout", ["strided", "transposed", "middle"])
@each_map
def test_16_bits_of_any_layout(name, layout):
    x = normal((8, 6, 40), np.float16)
    wide = MAPS[name](np.ascontiguousarray(x).astype(np.float32))
    if layout == "strided":
        x = np.repeat(x, 2, axis=-1)[..., ::2]
    elif layout == "transposed":
        x = np.ascontiguousarray(x.transpose(2, 1, 0)).transpose(2, 1, 0)
    y = MAPS[name](x)
    np.testing.assert_allclose(y.astype(np.float32), wide, rtol=1e-3, atol=1e-4)


# Of dy (or a target) and x, of one shape with 6 channels along axis 1.
OF_TWO = {
    "grad.softmax": grad.softmax,
    "grad.log_softmax": lambda dy, x: grad.log_softmax(dy, -np.abs(x), 1),
    "grad.layer_norm": lambda dy, x: grad.layer_norm(dy, x, None),
    "grad.layer_norm, axis 0": lambda dy, x: grad.layer_norm(dy, x, None, axis=0),
    "grad.layer_norm, axes 0 and 2": lambda dy, x: grad.layer_norm(dy, x, None, axis=(0, 2)),
    "grad.rms_norm": lambda dy, x: grad.rms_norm(dy, x, None),
    "grad.rms_norm, axis 1": lambda dy, x: grad.rms_norm(dy, x, None, axis=1),
    "grad.batch_norm": lambda dy, x: grad.batch_norm(dy, x, None, np.full(6, 0.5), np.full(6, 2.0)),
    "loss": lambda dy, x: fastact.binary_cross_entropy_with_logits(x, dy),
    "losses": lambda dy, x: fastact.binary_cross_entropy_with_logits(x, dy, reduction="none"),
    "grad of loss": lambda dy, x: grad.binary_cross_entropy_with_logits(x[:2, :, :5], dy[:2, :, :5]),
}
each_of_two = pytest.mark.parametrize("function", OF_TWO.values(), ids=OF_TWO)


def results_of(function, *arrays):
    results = function(*arrays)
    return results if isinstance(results, tuple) else (results,)


@each_of_two
@pytest.mark.parametrize("shape", [(5, 6, 7), (40, 6, 33), (2, 6, 9000)], ids=str)
def test_two_arrays_of_any_layout(function, shape):
    """Strided, transposed or of 16 bits: the same as contiguous float32, but for the order of sums."""
    dy, x = normal(shape, np.float16, 1, 1.0), normal(shape, np.float16)
    expected = results_of(function, dy.astype(np.float32), x.astype(np.float32))

    def is_near(results, tolerance):
        for a, b in zip(results, expected, strict=True):
            unit = tolerance * np.abs(b).max()
            np.testing.assert_allclose(np.asarray(a, np.float64), b, rtol=tolerance, atol=unit)

    wide, middle = (
        x.astype(np.float32),
        np.ascontiguousarray(x.astype(np.float32).transpose(2, 0, 1)).transpose(1, 2, 0),
    )
    for other in (middle, np.repeat(wide, 2, axis=-1)[..., ::2], wide[:, ::-1][:, ::-1]):
        is_near(results_of(function, dy.astype(np.float32), other), 1e-5)
        is_near(results_of(function, np.asfortranarray(dy.astype(np.float32)), other), 1e-5)
    for result in results_of(function, dy, x):
        assert result.dtype == np.float16
    is_near(results_of(function, dy, x), 1e-3)
    is_near(results_of(function, np.asfortranarray(dy), np.repeat(x, 2, axis=-1)[..., ::2]), 1e-3)
    is_near(results_of(function, dy.astype(np.float32), x), 1e-3)


@pytest.mark.parametrize("name", ["grad.softmax", "grad.layer_norm", "grad.rms_norm", "grad.batch_norm", "losses"])
def test_two_arrays_of_16_bits_need_no_third(name):
    function = OF_TWO[name]
    dy, x = normal((300, 6, 600), np.float16, 1, 1.0), normal((300, 6, 600), np.float16)
    # The result, and what is known of each row.
    assert peak_of(lambda: function(dy, x)) < 1.5 * x.nbytes


def classes_of(x, seed=0):
    return np.random.default_rng(seed).integers(0, x.shape[-1], x.shape[:-1])


# Of x and the classes of its rows; and how much of x may be needed beside it.
OF_ROWS = {
    "cross_entropy": (fastact.cross_entropy, 0.25),
    "cross_entropy, none": (lambda x, target: fastact.cross_entropy(x, target, reduction="none"), 0.25),
    "grad.cross_entropy": (grad.cross_entropy, 1.25),
    "l1_penalty": (lambda x, _: fastact.l1_penalty(x, 0.5), 0.25),
    "l2_penalty": (lambda x, _: fastact.l2_penalty(x, 0.5), 0.25),
    "elastic_net_penalty": (lambda x, _: fastact.elastic_net_penalty(x, 0.5, 0.25), 0.25),
    "normalize, 1": (lambda x, _: fastact.normalize(x, 1.0), 1.25),
    "normalize, 3": (lambda x, _: fastact.normalize(x, 3.0), 1.25),
    "normalize, 0.5, axis 0": (lambda x, _: fastact.normalize(x, 0.5, 0), 1.25),
    "normalize, 0": (lambda x, _: fastact.normalize(x, 0.0), 1.25),
}


@pytest.mark.parametrize("function", [function for function, _ in OF_ROWS.values()], ids=OF_ROWS)
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_losses_and_penalties_of_16_bits(function, dtype):
    """As of the same numbers in float32, rounded once."""
    x = normal((40, 300), np.float32).astype(dtype)
    target = classes_of(x)
    target[3] = -100
    for view, classes in ((x, target), (x[::2, ::-1], target[::2]), (np.asfortranarray(x), target)):
        result, expected = function(view, classes), function(view.astype(np.float32), classes)
        assert result.dtype == (x.dtype if expected.dtype == np.float32 else expected.dtype)
        np.testing.assert_array_equal(np.asarray(result), np.asarray(expected).astype(result.dtype))


@pytest.mark.parametrize(("function", "most"), OF_ROWS.values(), ids=OF_ROWS)
def test_losses_and_penalties_of_16_bits_go_piece_by_piece(function, most):
    x = normal((6000, 1200), np.float16)
    target = classes_of(x)
    assert peak_of(lambda: function(x, target)) < most * x.nbytes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(700, 128), (333, 300), (75, 4096), (2, 4096)])
@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
def test_gradients_of_norms_of_whole_rows(name, shape, dtype):
    """Rows of some chunks, and of an incomplete one."""
    x = normal(shape, dtype) + dtype(100 if name == "layer_norm" else 0)
    dy, weight = normal(shape, dtype, 1), normal(shape[1], dtype, 2)
    wide, slope = x.astype(np.longdouble), dy.astype(np.longdouble)
    mean = wide.mean(-1, keepdims=True) if name == "layer_norm" else np.longdouble(0)
    scale = 1 / np.sqrt(np.square(wide - mean).mean(-1, keepdims=True) + np.longdouble(1e-5))
    z, g = (wide - mean) * scale, slope * weight
    c1 = g.mean(-1, keepdims=True) if name == "layer_norm" else np.longdouble(0)
    terms = [g * scale, c1 * scale, z * (g * z).mean(-1, keepdims=True) * scale]
    largest = np.max([np.broadcast_to(np.abs(term), shape) for term in terms], axis=0).max(-1, keepdims=True)
    gradient = getattr(grad, name)
    with fastact.threads(1):
        dx, dweight, *dbias = gradient(dy, x, weight, eps=1e-5)
    unit = np.finfo(dtype).eps
    assert (np.abs(dx - (terms[0] - terms[1] - terms[2])) <= 4 * unit * largest).all()
    assert (np.abs(dweight - (slope * z).sum(0)) <= 4 * unit * np.abs(slope * z).sum(0)).all()
    assert all((np.abs(sums - slope.sum(0)) <= 4 * unit * np.abs(slope).sum(0)).all() for sums in dbias)
    with fastact.threads(3):
        for a, b in zip((dx, dweight, *dbias), gradient(dy, x, weight, eps=1e-5), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
def test_gradients_of_norms_where_float32_ends(name):
    """Sums of a few products are made in float32: where one overflows, in binary64."""
    x, dy = normal((40, 128), np.float32), normal((40, 128), np.float32, 1)
    dy[0, 0] = dy[1, 0] = 3e38
    dy[2, 0] = -3e38
    got = getattr(grad, name)(dy, x, None)
    expected = getattr(grad, name)(dy.astype(float), x.astype(float), None)
    for a, b in zip(got, expected, strict=True):
        assert (np.abs(a - b) <= 1e-6 * np.abs(b).max(axis=0)).all()


@pytest.mark.parametrize("scale", [1e-43, 1e-38, 1.0, 2e38])
@pytest.mark.parametrize("n", [16, 30, 64, 100, 256, 1000])
def test_gradients_of_softmax_where_float32_ends(n, scale):
    """Sums of a few products are made in float32: where these overflow or lose digits, in binary64."""
    y = fastact.softmax(normal((7, n), np.float32))
    dy = np.random.default_rng(n).uniform(-1, 1, (7, n)) * scale
    dy[:, : n // 2] = np.abs(dy[:, : n // 2])
    dy[:, n // 2 :] = -dy[:, : (n + 1) // 2]
    dy = dy.astype(np.float32)
    wide, wide_y = dy.astype(float), y.astype(float)
    expected = wide_y * (wide - (wide * wide_y).sum(-1, keepdims=True))
    largest = np.abs(wide).max(-1, keepdims=True)
    assert (np.abs(grad.softmax(dy, y) - expected) <= 4 * 2.0**-24 * largest * wide_y + 2.0**-149).all()
    log = fastact.log_softmax(normal((7, n), np.float32))
    expected = wide - np.exp(log.astype(float)) * wide.sum(-1, keepdims=True)
    tolerance = 4 * 2.0**-24 * (np.abs(expected) + np.exp(log.astype(float)) * np.abs(wide).sum(-1, keepdims=True))
    assert (np.abs(grad.log_softmax(dy, log) - expected) <= tolerance + 2.0**-149).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_cross_entropy_of_any_layout(axis):
    x = normal((5, 6, 7), np.float32)
    target = np.random.default_rng(0).integers(0, x.shape[axis], np.delete(x.shape, axis))
    target[0, 1] = -100
    for function in (fastact.cross_entropy, grad.cross_entropy):
        expected = function(x, target, axis)
        for other in (np.asfortranarray(x), np.repeat(x, 2, axis=-1)[..., ::2], x[::-1].copy()[::-1]):
            np.testing.assert_allclose(function(other, np.asfortranarray(target), axis), expected, rtol=1e-5, atol=1e-7)
    ignored = np.moveaxis(grad.cross_entropy(np.full_like(x, NAN), target, axis), axis, -1)
    assert (ignored[0, 1] == 0).all()
    assert np.isnan(np.delete(ignored.reshape(-1, x.shape[axis]), 1, 0)).all()


def test_axes_that_name_nothing():
    """Over no axis every element is a row of its own."""
    x = normal((3, 4), np.float32)
    assert (fastact.softmax(x, ()) == 1).all()
    assert (fastact.log_softmax(x, ()) == 0).all()
    assert_same_bits(fastact.logsumexp(x, ()), x)
    mean, var = fastact.moments(x, ())
    assert_same_bits(mean, x)
    assert (var == 0).all()


# ---- Penalties and losses.


@each_dtype
def test_penalties_are_as_exact_as_fsum(dtype):
    for n in (0, 1, 7, 100, 5000, 100_000):
        for scale in (1.0, 1e10):
            w = normal(n, dtype) * (np.random.default_rng(1).uniform(0, 1, n) ** 20 * scale).astype(dtype)
            magnitudes = math.fsum(abs(float(x)) for x in w)
            squares = float(sum(Fraction(float(x)) ** 2 for x in w)) if n <= 5000 else None
            for array in (w, np.repeat(w, 2)[::2], w[::-1]):
                l1, l2 = fastact.l1_penalty(array, 1.0), fastact.l2_penalty(array, 1.0)
                assert type(l1) is type(l2) is np.float64
                assert abs(l1 - magnitudes) <= np.spacing(magnitudes)
                if squares is not None:
                    assert abs(l2 - squares) <= np.spacing(squares)
                assert fastact.elastic_net_penalty(array, 0.5, 0.25) == pytest.approx(0.5 * l1 + 0.25 * l2, rel=1e-15)


@each_dtype
def test_penalties_keep_what_a_large_number_hides(dtype):
    w = np.ones(100_001, dtype)
    w[7] = 2.0**53
    assert fastact.l1_penalty(w, 1) == 2.0**53 + 100_000
    w[7] = 2.0**27
    assert fastact.l2_penalty(w, 1) == 2.0**54 + 100_000
    for w in normal((300, 3), dtype):
        assert fastact.l2_penalty(w, 1) == float(sum(Fraction(float(x)) ** 2 for x in w))


def test_a_factor_that_no_float_holds_is_infinite():
    assert fastact.l1_penalty([1.0], 10**400) == INF
    assert fastact.l2_penalty([1.0], -(10**400)) == -INF


def test_penalties_of_special_values():
    assert fastact.l1_penalty([1.0, -INF], 1.0) == INF
    assert fastact.l2_penalty([1e200, 1.0], 1.0) == INF
    assert np.isnan(fastact.l1_penalty([INF, NAN], 1.0))
    assert np.isnan(fastact.l2_penalty([1.0, NAN], 1.0))
    assert fastact.l1_penalty(np.float32(-3), 2) == 6
    assert fastact.l2_penalty(np.array([3, 4]), 1) == 25


def test_cross_entropy():
    x = normal((4, 5, 3), np.float64)
    target = np.random.default_rng(0).integers(0, 5, (4, 3))
    target[1, 2] = -100
    each = np.array(
        [[np.log(np.exp(x[i, :, k]).sum()) - x[i, max(target[i, k], 0), k] for k in range(3)] for i in range(4)]
    )
    each[1, 2] = 0
    np.testing.assert_allclose(fastact.cross_entropy(x, target, 1, reduction="none"), each, rtol=1e-13)
    np.testing.assert_allclose(fastact.cross_entropy(x, target, axis=1, reduction="sum"), each.sum())
    np.testing.assert_allclose(fastact.cross_entropy(x, target, 1), each.sum() / 11)
    assert fastact.cross_entropy(np.array([1.0, 3.0], np.float32), 1).dtype == np.float32
    assert np.isnan(fastact.cross_entropy(np.zeros((0, 3)), np.zeros(0, int)))
    assert np.isnan(fastact.cross_entropy(np.zeros((1, 3)), np.array([-100])))
    for bad in (np.array([5] * 4), np.array([-1] * 4), np.zeros(3, int)):
        with pytest.raises(ValueError, match="target must"):
            fastact.cross_entropy(x[:, :, 0], bad)
    with pytest.raises(TypeError, match="target must be an array of integers"):
        fastact.cross_entropy(x[:, :, 0], np.zeros(4))
    with pytest.raises(ValueError, match="reduction must"):
        fastact.cross_entropy(x[:, :, 0], np.zeros(4, int), reduction="median")


def test_small_losses_keep_their_digits():
    logits = np.array([[60.0, 0.0], [0.0, 40.0]])
    target = np.array([0, 1])
    np.testing.assert_allclose(
        fastact.cross_entropy(logits, target, reduction="none"), np.exp([-60.0, -40.0]), rtol=1e-15
    )
    np.testing.assert_allclose(np.diag(grad.cross_entropy(logits, target)), -np.exp([-60.0, -40.0]) / 2, rtol=1e-15)
    ones = np.ones(2)
    np.testing.assert_allclose(
        fastact.binary_cross_entropy_with_logits(logits.max(1), ones, reduction="none"), np.exp([-60.0, -40.0])
    )


# ---- Axes, layouts, threads, types, arguments.


@pytest.mark.parametrize("name", ALONG)
@pytest.mark.parametrize("shape", [(3, 4, 5), (50, 40), (20, 3, 150), (2, 9000), (5, 1, 7), (12, 1024)], ids=str)
@each_dtype
def test_axes_and_layouts(name, shape, dtype):
    """Any axes of any layout: what the contiguous last axis gives, to rounding; out and in place: the same bits."""
    function = MAPS[name]
    base = normal(shape, dtype)
    for axis in (*range(-len(shape), len(shape)), (0, -1), tuple(range(len(shape))), (len(shape) - 1, 0)):
        axes = sorted(k % len(shape) for k in np.atleast_1d(axis))
        kept = [k for k in range(len(shape)) if k not in axes]
        order = [*kept, *axes]
        flat = np.ascontiguousarray(base.transpose(order)).reshape([shape[k] for k in kept] + [-1])
        expected = function(flat).reshape([shape[k] for k in order]).transpose(np.argsort(order))
        wide = np.zeros([2 * n for n in shape], dtype)
        inner = tuple(slice(None, None, -2) for _ in shape)
        strided = wide[inner]
        strided[...] = base
        for x in (base, np.asfortranarray(base), strided):
            y = function(x, axis=axis)
            np.testing.assert_allclose(y, expected, rtol=64 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)
            for out in (np.empty(shape, dtype), np.empty(shape, dtype, order="F"), np.empty_like(wide)[inner]):
                assert function(x, axis=axis, out=out) is out
                np.testing.assert_allclose(out, y, rtol=8 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)
        in_place = base.copy()
        assert_same_bits(function(in_place, axis=axis, out=in_place), function(base, axis=axis))


@each_map
@each_dtype
def test_overlapping_output(name, dtype):
    """An output that begins elsewhere in the input's memory must not change what is read."""
    memory = normal((31, 6, 40), dtype)
    expected = MAPS[name](memory[:-1].copy())
    assert_same_bits(MAPS[name](memory[:-1], out=memory[1:]), expected)


PER_CHANNEL = {
    "batch_norm": partial(fastact.batch_norm, training=True),
    "group_norm": partial(fastact.group_norm, num_groups=2),
    "group_norm of one": partial(fastact.group_norm, num_groups=6),
    "instance_norm": fastact.instance_norm,
    "layer_norm": partial(fastact.layer_norm, axis=1),
}


@pytest.mark.parametrize("name", PER_CHANNEL)
@pytest.mark.parametrize("shape", [(3, 6, 4, 5), (3, 6, 40, 50), (50, 6), (600, 6, 2)], ids=str)
@each_dtype
def test_output_over_the_weights(name, shape, dtype):
    """Weight or bias in the output's memory: what is written must not change what is read of them later."""
    function, x = PER_CHANNEL[name], normal(shape, dtype)
    weight, bias = normal(6, dtype), normal(6, dtype) + 1
    expected = function(x, weight=weight, bias=bias)
    for moved in ("weight", "bias"):
        out = np.zeros(shape, dtype)
        given = {"weight": weight, "bias": bias}
        place = out.ravel()[1:7]
        place[...] = given[moved]
        given[moved] = place
        assert function(x, out=out, **given) is out
        assert_same_bits(out, expected)


@each_map
@each_dtype
@pytest.mark.parametrize("shape", [(50, 6, 999), (3, 6, 70_001), (150_000, 6), (70_000, 6, 1), (2, 6, 3)], ids=str)
def test_bits_do_not_depend_on_threads(name, shape, dtype):
    x = normal(shape, dtype)
    results = []
    for count in (1, 2, 5):
        with fastact.threads(count):
            moment = fastact.moments(x, (0, -1)) + fastact.moments(x, 0) + fastact.moments(x)
            results.append((MAPS[name](x), fastact.logsumexp(x), fastact.l2_penalty(x, 1), *moment))
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            assert_same_bits(a, b)


@each_map
def test_types(name):
    """float16 in, float16 out, computed in float32; integers in a float wide enough; the same for lists."""
    x = np.random.default_rng(0).integers(-9, 9, (8, 6, 10))
    function = MAPS[name]
    wide = function(x.astype(np.float32))
    half = function(x.astype(np.float16))
    assert half.dtype == np.float16
    assert_same_bits(half, wide.astype(np.float16))
    out = np.empty(x.shape, np.float16)
    assert function(x.astype(np.float16), out=out) is out
    assert_same_bits(out, half)
    assert_same_bits(function(x.astype(np.int8)), wide)
    assert_same_bits(function(x.astype(np.uint16) % 7), function((x.astype(np.uint16) % 7).astype(np.float32)))
    assert_same_bits(function(x), function(x.astype(np.float64)))
    assert_same_bits(function(x.tolist()), function(x.astype(np.float64)))
    assert function(x > 0).dtype == np.float32
    assert_same_bits(function(x.astype(">f4")), wide)
    assert_same_bits(function(x.astype(">f2")), half)
    assert function(x.astype(">f2"), out=out) is out
    for bad in (np.longdouble, np.complex64, object, "S3", "M8[s]"):
        with pytest.raises(TypeError, match=r"must be an array .* of bool, integers, float16, .* or float64"):
            function(np.zeros((2, 6, 3), bad))


@each_map
def test_bfloat16(name):
    bfloat16 = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed").bfloat16
    x = normal((8, 6, 10), np.float32).astype(bfloat16)
    y = MAPS[name](x)
    assert y.dtype == bfloat16
    assert_same_bits(y.astype(np.float32), MAPS[name](x.astype(np.float32)).astype(bfloat16).astype(np.float32))
    out = np.empty_like(x)
    assert MAPS[name](x, out=out) is out
    assert_same_bits(out.astype(np.float32), y.astype(np.float32))


@each_map
def test_wrong_output(name):
    x = normal((4, 6, 5), np.float32)
    function = MAPS[name]
    readonly = np.empty_like(x)
    readonly.flags.writeable = False
    for out, kind in (
        (np.empty((4, 6)), ValueError),
        (np.empty(x.shape, np.float64), TypeError),
        (np.empty(x.shape, np.int32), TypeError),
        ([1.0], TypeError),
        (readonly, ValueError),
    ):
        with pytest.raises(kind, match=r"^\w+\(\): out must"):
            function(x, out=out)


@pytest.mark.parametrize("name", [*ALONG, "logsumexp", "moments"])
def test_wrong_axes(name):
    function = FUNCTIONS[name]
    x = normal((3, 4), np.float32)
    for axis in (2, -3, (0, 5)):
        with pytest.raises(AxisError, match="axis"):
            function(x, axis=axis)
    with pytest.raises(ValueError, match="axis must not name an axis twice"):
        function(x, axis=(0, -2))
    with pytest.raises(TypeError, match="axis must be an int or a tuple"):
        function(x, axis=0.5)
    scalar = np.float32(2)
    for axis in (0, -1):
        function(scalar, axis=axis)
    with pytest.raises(AxisError):
        function(scalar, axis=1)


@pytest.mark.parametrize("name", ALONG)
def test_empty_and_0d_inputs(name):
    function = MAPS[name]
    assert function(np.zeros((0, 3), np.float32)).shape == (0, 3)
    assert function(np.zeros((3, 0))).shape == (3, 0)
    result = function(np.float32(2))
    assert result.shape == ()
    assert result.dtype == np.float32


@pytest.mark.parametrize("shape", [(3, 0), (2, 0, 3), (2, 0, 4, 4)], ids=str)
@pytest.mark.parametrize("name", ["batch_norm", "instance_norm", "group_norm"])
def test_no_channels(name, shape):
    x = np.zeros(shape, np.float32)
    assert MAPS[name](x).shape == shape


def test_logsumexp_shapes():
    x = normal((2, 3, 4), np.float32)
    assert fastact.logsumexp(x).shape == ()
    assert fastact.logsumexp(x, (0, -1)).shape == (3,)
    assert fastact.logsumexp(x, (0, -1), keepdims=True).shape == (1, 3, 1)
    assert fastact.moments(x, 1, keepdims=True)[1].shape == (2, 1, 4)
    assert fastact.logsumexp([]) == -INF
    assert (fastact.logsumexp(np.zeros((3, 0)), 1) == -INF).all()
    assert fastact.logsumexp(np.zeros((0, 3)), 1).shape == (0,)


def test_running_statistics_of_16_bits():
    """What is given in 16 bits is read, and moved towards the batch's statistics in float64, rounded once."""
    bfloat16 = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed").bfloat16
    x = normal((8, 6, 10), np.float32)
    for dtype in (np.float16, bfloat16):
        mean, var = np.arange(6).astype(dtype), np.arange(1, 7).astype(dtype)
        wide_mean, wide_var = mean.astype(np.float64), var.astype(np.float64)
        assert_same_bits(fastact.batch_norm(x, mean, var), fastact.batch_norm(x, wide_mean, wide_var))
        fastact.batch_norm(x, mean, var, training=True)
        fastact.batch_norm(x, wide_mean, wide_var, training=True)
        assert mean.dtype == var.dtype == dtype
        assert_same_bits(mean.astype(np.float64), wide_mean.astype(dtype).astype(np.float64))
        assert_same_bits(var.astype(np.float64), wide_var.astype(dtype).astype(np.float64))


def wrong_batch_norm_arguments():
    ones = np.ones(6, np.float32)
    readonly = ones.copy()
    readonly.flags.writeable = False
    return {
        "zero-size batch": ({"x": np.zeros((0, 6), np.float32)}, "x must have more than one element a channel"),
        "one element": ({"x": np.zeros((1, 6), np.float32)}, "x must have more than one element a channel"),
        "weight": ({"weight": np.ones(5)}, "weight must have shape"),
        "bias": ({"bias": np.ones((1, 6))}, "bias must have shape"),
        "running_mean": ({"running_mean": np.ones(7)}, "running_mean must have shape"),
        "running_var": ({"running_var": np.ones((6, 1))}, "running_var must have shape"),
        "read-only": ({"running_var": readonly}, "running_var must be writeable"),
        "eps": ({"eps": -1e-9}, "eps must be at least 0"),
        "eps NaN": ({"eps": NAN}, "eps must be at least 0"),
        "momentum above": ({"momentum": 1.5}, "momentum must be between 0 and 1"),
        "momentum below": ({"momentum": -0.1}, "momentum must be between 0 and 1"),
        "momentum NaN": ({"momentum": NAN}, "momentum must be between 0 and 1"),
        "activation": ({"activation": "elu"}, "activation must be one of"),
        "out": ({"out": np.empty((4, 5), np.float32)}, "out must have shape"),
    }


@pytest.mark.parametrize("case", wrong_batch_norm_arguments())
def test_wrong_batch_norm_arguments(case):
    """A ValueError that names the argument; the running arrays and out are as before."""
    wrong, message = wrong_batch_norm_arguments()[case]
    arguments = {
        "x": normal((4, 6), np.float32), "running_mean": np.full(6, 7, np.float32), "running_var": np.full(6, 8.0),
        "training": True, "out": np.full((4, 6), 9, np.float32) if "x" not in wrong else None,
    } | wrong  # fmt: skip
    before = {name: value.copy() for name, value in arguments.items() if isinstance(value, np.ndarray)}
    with pytest.raises(ValueError, match=message):
        fastact.batch_norm(**arguments)
    for name, value in before.items():
        np.testing.assert_array_equal(arguments[name], value)


def test_more_wrong_arguments():
    x = normal((4, 6), np.float32)
    for call, kind, message in (
        (lambda: fastact.batch_norm(x), ValueError, "running_mean must be given"),
        (lambda: fastact.batch_norm(x, np.zeros(6)), ValueError, "running_var must be given"),
        (lambda: fastact.batch_norm(x, [0.0] * 6, None, training=True), TypeError, "running_mean must be an ndarray"),
        (lambda: fastact.batch_norm(x, ["a"] * 6, np.ones(6)), TypeError, "running_mean must be"),
        (lambda: fastact.batch_norm(x, np.zeros(6), [1.0] * 5), ValueError, r"running_var must have shape \(6,\)"),
        (lambda: fastact.batch_norm(x, np.zeros(6, int), np.ones(6), training=True), TypeError, "running_mean"),
        (lambda: fastact.batch_norm(x, np.zeros(6, np.longdouble), np.ones(6)), TypeError, "running_mean must be"),
        (lambda: fastact.batch_norm(x, None, np.ones(6, np.longdouble), training=True), TypeError, "running_var must"),
        (lambda: fastact.batch_norm(x[0], np.zeros(6), np.ones(6)), AxisError, "axis"),
        (lambda: fastact.batch_norm(x, training=True, axis=(0, 1)), TypeError, "axis must be an int"),
        (lambda: fastact.batch_norm(x, training=True, activation=3), TypeError, "activation must be a name"),
        (lambda: fastact.batch_norm(x, training=True, eps="a"), TypeError, "eps must be a real number"),
        (lambda: fastact.layer_norm(x, np.ones(4)), ValueError, "weight must have shape"),
        (lambda: fastact.layer_norm(x, eps=-1), ValueError, "eps must be at least 0"),
        (lambda: fastact.rms_norm(x, np.ones((6, 1))), ValueError, "weight must have shape"),
        (lambda: fastact.rms_norm(x, eps=-1), ValueError, "eps must be at least 0"),
        (lambda: fastact.group_norm(x, 4), ValueError, "num_groups must divide"),
        (lambda: fastact.group_norm(x, 0), ValueError, "num_groups must divide"),
        (lambda: fastact.group_norm(x, 2.0), TypeError, "num_groups must be an int"),
        (lambda: fastact.group_norm(x, np.timedelta64(2)), TypeError, "num_groups must be an int"),
        (lambda: fastact.normalize(x, -1), ValueError, "p must be at least 0"),
        (lambda: fastact.moments(x, correction="1"), TypeError, "correction must be a real number"),
        (lambda: fastact.l1_penalty(x, None), TypeError, "lam must be a real number"),
        (lambda: fastact.l2_penalty(x, np.ones(2)), TypeError, "lam must be a real number"),
        (lambda: fastact.l2_penalty(x, np.complex64(1)), TypeError, "lam must be a real number"),
        (lambda: fastact.cross_entropy(x, [0] * 4, ignore_index=None), TypeError, "ignore_index must be an int"),
        (lambda: fastact.cross_entropy(x, [0] * 4, reduction=["sum"]), ValueError, "reduction must be"),
        (lambda: fastact.cross_entropy(x, np.array([0, 1, 2, 2**64 - 100], ">u8")), ValueError, f"got {2**64 - 100}"),
        (lambda: fastact.cross_entropy(x, [0, -100, 6, -1]), ValueError, "target must be .* 5 or -100, got 6"),
        (lambda: fastact.cross_entropy(x[0], -7), ValueError, "target must be .* 5 or -100, got -7"),
        (lambda: fastact.cross_entropy(x, [6, 6, -1, 9], ignore_index=6), ValueError, "from 0 to 5 or 6, got -1"),
        (lambda: grad.softmax(x[0], x), ValueError, "dy must have the shape of y"),
        (lambda: grad.batch_norm(x, x, None, np.ones(6), None), TypeError, "var must be an array of one number a"),
        (lambda: fastact.batch_norm_inverse(x, None, np.ones(6)), TypeError, "mean must be an array of one number a"),
        (lambda: grad.batch_norm(x[0], x, None, np.ones(6), np.ones(6)), ValueError, "dy must have the shape of x"),
        (lambda: grad.batch_norm(x, x, None, np.ones(5), np.ones(6)), ValueError, "mean must have shape"),
        (lambda: fastact.binary_cross_entropy_with_logits(x, x[0]), ValueError, "target must have the shape"),
    ):
        with pytest.raises(kind, match=message):
            call()


@each_dtype
def test_infinite_eps(dtype):
    """Results are 0, and not (x - mean) times what memory happens to hold."""
    x = normal((4, 6), dtype)
    for function in (
        fastact.layer_norm,
        fastact.rms_norm,
        fastact.normalize,
        partial(fastact.batch_norm, training=True),
        partial(fastact.batch_norm, running_mean=np.zeros(6), running_var=np.ones(6)),
        partial(fastact.group_norm, num_groups=2),
        fastact.instance_norm,
        preprocess.standardize,
        partial(grad.layer_norm, x, weight=None),
    ):
        for array in (x, np.asfortranarray(x)):
            function(array)  # leaves its factors there
            result = function(array, eps=INF)
            np.testing.assert_allclose(result[0] if isinstance(result, tuple) else result, 0.0, atol=1e-150)


RAGGED = [[1.0, 2.0], [3.0]]
NUMBERS = {
    "eps": (
        fastact.layer_norm, fastact.rms_norm, fastact.normalize, partial(fastact.normalize, p=3.0),
        partial(fastact.batch_norm, training=True), partial(fastact.instance_norm, axis=0),
        partial(fastact.group_norm, num_groups=2), partial(fastact.batch_norm_inverse, mean=np.ones(6), var=np.ones(6)),
        partial(grad.layer_norm, np.ones((4, 6)), weight=None), partial(grad.rms_norm, np.ones((4, 6)), weight=None),
        partial(grad.batch_norm, np.ones((4, 6)), weight=None, mean=np.ones(6), var=np.ones(6)),
    ),
    "correction": (fastact.moments,),
}  # fmt: skip


def assert_same_results(results, others):
    pairs = (each if isinstance(each, tuple) else (each,) for each in (results, others))
    for result, other in zip(*pairs, strict=True):
        np.testing.assert_array_equal(result, other)


@pytest.mark.parametrize("number", [Decimal("0.5"), Fraction(1, 2), np.array(0.5), np.float16(0.5)], ids=repr)
def test_numbers_of_other_libraries(number):
    x = normal((4, 6), np.float32)
    for name, functions in NUMBERS.items():
        for function in functions:
            assert_same_results(function(x, **{name: number}), function(x, **{name: 0.5}))


def test_numbers_beyond_float():
    """They are infinite; what is no number is named."""
    x = normal((4, 6), np.float32)
    for name, functions in NUMBERS.items():
        for function in functions:
            for number in (10**400, Fraction(10**400)):
                assert_same_results(function(x, **{name: number}), function(x, **{name: INF}))
            for wrong in (RAGGED, [0.5], Decimal("sNaN"), np.timedelta64(1), np.ma.masked, np.ma.array(0.5, mask=True)):
                with pytest.raises(TypeError, match=f"{name} must be a real number"):
                    function(x, **{name: wrong})


def test_return_stats_without_a_truth_value():
    """It is looked at before anything is written."""
    x, out, running = normal((4, 6), np.float32), np.full((4, 6), 9, np.float32), np.full(6, 7.0)
    with pytest.raises(ValueError, match="truth value"):
        fastact.batch_norm(x, running, running.copy(), training=True, out=out, return_stats=np.ones(2))
    assert (out == 9).all()
    assert (running == 7).all()


@pytest.mark.parametrize("name", [*MAPS, "logsumexp", "moments"])
def test_a_ragged_list_is_named(name):
    """NumPy refuses to make an array of it, and does not say of which argument."""
    function = MAPS.get(name, FUNCTIONS.get(name))
    with pytest.raises(ValueError, match=r"^\w+\(\): [xy] must be an array .*, got 'list'"):
        function(RAGGED)


def test_other_ragged_lists_are_named():
    x, channels = normal((4, 6), np.float32), np.ones(6)
    for name, call in (
        ("weight", lambda: fastact.layer_norm(x, RAGGED)),
        ("bias", lambda: fastact.batch_norm(x, channels, channels, bias=RAGGED)),
        ("mean", lambda: fastact.batch_norm_inverse(x, RAGGED, channels)),
        ("dy", lambda: grad.softmax(RAGGED, x)),
        ("weight", lambda: grad.rms_norm(x, x, RAGGED)),
        ("w", lambda: fastact.l1_penalty(RAGGED, 1.0)),
        ("logits", lambda: fastact.cross_entropy(RAGGED, [0, 0])),
        ("target", lambda: fastact.cross_entropy(x, RAGGED)),
        ("target", lambda: grad.cross_entropy(x, RAGGED)),
        ("target", lambda: fastact.binary_cross_entropy_with_logits(x, RAGGED)),
    ):
        with pytest.raises(ValueError, match=rf"^[\w.]+\(\): {name} must be an array .*, got 'list'"):
            call()


def test_masked_elements_are_refused():
    """A mask would be lost; where nothing is masked, there is none to lose."""
    x, mask = normal((4, 6), np.float32), np.arange(24).reshape(4, 6) % 5 == 0
    masked, row, targets = np.ma.array(x, mask=mask), np.ma.array(np.ones(6), mask=mask[0]), np.zeros(4, int)
    bits = fastact.dropout_mask(24, 0.5)
    calls = [
        *[("[xy]", partial(function, masked)) for function in MAPS.values()],
        *[("x", partial(function, masked)) for function in (fastact.logsumexp, fastact.moments, fastact.dropout)],
        *[("w", partial(function, masked, 1.0)) for function in (fastact.l1_penalty, grad.l2_penalty)],
        ("weight", lambda: fastact.layer_norm(x, row)),
        ("bias", lambda: fastact.batch_norm(x, training=True, bias=row)),
        ("dy", lambda: grad.softmax(masked, x)),
        ("dy and x", lambda: grad.glu(masked[:, :3], x)),
        ("x", lambda: grad.prelu(x, masked, 0.5)),
        ("x", lambda: fastact.apply_mask(masked, bits, 0.5)),
        ("mask", lambda: fastact.apply_mask(x, np.ma.array(bits, mask=[1, 0, 0]), 0.5)),
        ("running_mean", lambda: fastact.batch_norm(x, row, np.ones(6))),
        ("running_var", lambda: fastact.batch_norm(x, np.ones(6), row, training=True)),
        ("target", lambda: fastact.cross_entropy(x, np.ma.array(targets, mask=mask[:, 0]))),
        ("x", lambda: preprocess.standardize(masked)),
        ("x", lambda: preprocess.quantize_linear(masked, 0.5)),
        ("images", lambda: preprocess.image_to_tensor(np.ma.array(np.ones((2, 3, 1), "u1"), mask=mask[:2, :3, None]))),
    ]
    for name, call in calls:
        with pytest.raises(TypeError, match=rf"^[\w.]+\(\): {name} must be .*, got a masked one"):
            call()
    for function in (fastact.softmax, fastact.logsumexp, fastact.dropout, preprocess.standardize):
        assert type(function(np.ma.array(x))) in {np.ndarray, np.float32}
        function(np.ma.array(x, mask=False))


@each_map
def test_no_warning_and_no_flag(name):
    """Not for overflow, NaN or inf, under errstate(all="raise")."""
    x = np.array([[3e38, -3e38, NAN, INF, -INF, 1e-45]] * 6, np.float32)
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        for array in (x, x.astype(np.float64) * 5e269, np.zeros_like(x)):
            MAPS[name](array)
            fastact.moments(array)
            fastact.logsumexp(array)
            fastact.elastic_net_penalty(array, 1e300, 1e300)


def wide_calls(x):
    """Return calls in which NumPy converts: 16-bit floats and statistics, running arrays of another type."""
    running = np.full(6, 2**0.5, np.float16), np.full(6, 3.0, ">f4")
    channels = {"weight": np.full(6, 3**0.5, x.dtype), "bias": np.full(6, 0.1, x.dtype)}

    def updated():
        arrays = tuple(array.copy() for array in running)
        fastact.batch_norm(x, *arrays, training=True, momentum=0.3)
        return arrays

    return (
        updated,
        lambda: fastact.batch_norm(x, *running, **channels, return_stats=True),
        lambda: fastact.batch_norm_inverse(x, *running, **channels),
        lambda: fastact.normalize(x, 3.0),
        lambda: fastact.logsumexp(x, 0),
        lambda: fastact.moments(x, 1),
        lambda: fastact.softmax(x.astype(x.dtype.newbyteorder())),
        lambda: fastact.cross_entropy(x[:4], [5, 4, 3, 2]),
        lambda: grad.cross_entropy(x[:4], [5, 4, 3, 2]),
        lambda: grad.batch_norm(x, x, None, *running),
        lambda: grad.layer_norm(x, x, None),
        lambda: grad.prelu(x, x, channels["weight"], axis=1),
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def test_the_floating_point_environment_of_conversions(dtype):
    """Flags stay as they are (but "inexact", which Python's own division raises), rounding changes no bit."""
    x = normal((6, 6), dtype) * np.finfo(dtype).max ** 0.5
    x[0] *= np.finfo(dtype).smallest_subnormal
    calls = wide_calls(x)
    for call, again in zip(calls, wide_calls(x), strict=True):
        floating.clear_flags()
        expected = call()
        assert floating.flags() & ~floating.INEXACT == 0
        for mode in (floating.UPWARD, floating.DOWNWARD):
            with floating.rounding(mode):
                result = again()
                assert floating.rounding_mode() == mode
            pairs = ((each if isinstance(each, tuple) else (each,)) for each in (result, expected))
            for array, other in zip(*pairs, strict=True):
                assert_same_bits(array, other)


# ---- Gradients.


def central_difference(function, x, dy):
    """Return d(sum(dy*function(x)))/dx by central differences of the fourth order."""
    result = np.empty_like(x)
    for index in np.ndindex(x.shape):
        values = []
        for step in (-2, -1, 1, 2):
            moved = x.copy()
            moved[index] += step * 1e-3
            values.append(np.sum(dy * function(moved)))
        result[index] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / 12e-3
    return result


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_gradients_are_central_differences(axis):
    x, dy = normal((4, 6, 5), np.float64, scale=1.0), normal((4, 6, 5), np.float64, 1, 1.0)
    tolerance = {"rtol": 1e-8, "atol": 1e-9}
    for name in ("softmax", "log_softmax"):
        forward = FUNCTIONS[name]
        got = FUNCTIONS[f"grad.{name}"](dy, forward(x, axis), axis)
        np.testing.assert_allclose(got, central_difference(lambda v, f=forward: f(v, axis), x, dy), **tolerance)
    weight, bias = normal(x.shape[axis], np.float64, 2, 1.0), normal(x.shape[axis], np.float64, 3, 1.0)
    dx, dweight, dbias = grad.layer_norm(dy, x, weight, axis=axis)
    norm = lambda v, w, b: fastact.layer_norm(v, w, b, axis=axis)  # noqa: E731
    np.testing.assert_allclose(dx, central_difference(lambda v: norm(v, weight, bias), x, dy), **tolerance)
    np.testing.assert_allclose(dweight, central_difference(lambda w: norm(x, w, bias), weight, dy), **tolerance)
    np.testing.assert_allclose(dbias, central_difference(lambda b: norm(x, weight, b), bias, dy), **tolerance)
    dx, dweight = grad.rms_norm(dy, x, weight, axis=axis)
    norm = lambda v, w: fastact.rms_norm(v, w, axis=axis)  # noqa: E731
    np.testing.assert_allclose(dx, central_difference(lambda v: norm(v, weight), x, dy), **tolerance)
    np.testing.assert_allclose(dweight, central_difference(lambda w: norm(x, w), weight, dy), **tolerance)
    _, mean, var = fastact.batch_norm(x, training=True, axis=axis, return_stats=True)
    dx, dweight, dbias = grad.batch_norm(dy, x, weight, mean, var, axis=axis)
    norm = lambda v, w, b: fastact.batch_norm(v, None, None, w, b, True, axis=axis)  # noqa: E731
    np.testing.assert_allclose(dx, central_difference(lambda v: norm(v, weight, bias), x, dy), **tolerance)
    np.testing.assert_allclose(dweight, central_difference(lambda w: norm(x, w, bias), weight, dy), **tolerance)
    np.testing.assert_allclose(dbias, central_difference(lambda b: norm(x, weight, b), bias, dy), **tolerance)


def test_gradients_of_losses_and_penalties():
    x = normal((4, 6), np.float64)
    one = np.float64(1)
    target = np.array([0, 5, -100, 2])
    probabilities = np.random.default_rng(0).uniform(size=x.shape)
    for got, function in (
        (grad.cross_entropy(x, target), lambda v: fastact.cross_entropy(v, target)),
        (grad.binary_cross_entropy_with_logits(x, probabilities),
         lambda v: fastact.binary_cross_entropy_with_logits(v, probabilities)),
        (grad.l1_penalty(x, 0.3), lambda v: fastact.l1_penalty(v, 0.3)),
        (grad.l2_penalty(x, 0.3), lambda v: fastact.l2_penalty(v, 0.3)),
        (grad.elastic_net_penalty(x, 0.3, 0.2), lambda v: fastact.elastic_net_penalty(v, 0.3, 0.2)),
    ):  # fmt: skip
        np.testing.assert_allclose(got, central_difference(function, x, one), rtol=1e-7, atol=1e-8)
    assert (grad.cross_entropy(np.full((2, 3), NAN), np.array([-100, -100])) == 0).all()
    assert grad.l1_penalty(np.float32([0.0]), 2.0)[0] == 0
    np.testing.assert_equal(grad.l1_penalty([INF, -INF, NAN], 2.0), [2, -2, NAN])
    np.testing.assert_equal(grad.l1_penalty([INF, -INF, NAN], 0.0), [0, -0.0, NAN])
    np.testing.assert_equal(grad.l2_penalty([-0.0, -INF, NAN], 2.0), [-0.0, -INF, NAN])


@each_dtype
@pytest.mark.parametrize("shape", [(40, 6), (500, 300), (3, 6, 20, 20), (2, 70_000), (9000, 20)], ids=str)
def test_gradients_are_torchs(shape, dtype):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    functional = torch.nn.functional
    x, dy = normal(shape, dtype), normal(shape, dtype, 1, 1.0)
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-10, "atol": 1e-10}

    def autograd(function, *arrays):
        leaves = [torch.from_numpy(array).double().requires_grad_() for array in arrays]
        function(*leaves).backward(torch.from_numpy(dy).double())
        return [leaf.grad.numpy() for leaf in leaves]

    (expected,) = autograd(lambda t: torch.softmax(t, -1), x)
    np.testing.assert_allclose(grad.softmax(dy, fastact.softmax(x)), expected, **tolerance)
    (expected,) = autograd(lambda t: torch.log_softmax(t, -1), x)
    np.testing.assert_allclose(grad.log_softmax(dy, fastact.log_softmax(x)), expected, **tolerance)
    weight, bias = normal(shape[-1], dtype, 2, 1.0), normal(shape[-1], dtype, 3, 1.0)
    expected = autograd(lambda t, w, b: functional.layer_norm(t, (shape[-1],), w, b), x, weight, bias)
    for a, b in zip(grad.layer_norm(dy, x, weight), expected, strict=True):
        np.testing.assert_allclose(a, b, **tolerance)
    expected = autograd(lambda t, w: functional.rms_norm(t, (shape[-1],), w, 1e-6), x, weight)
    for a, b in zip(grad.rms_norm(dy, x, weight), expected, strict=True):
        np.testing.assert_allclose(a, b, **tolerance)
    if shape[0] == 2:
        return  # mean and variance rounded to float32 say little of two elements
    weight, bias = normal(shape[1], dtype, 2, 1.0), normal(shape[1], dtype, 3, 1.0)
    expected = autograd(lambda t, w, b: functional.batch_norm(t, None, None, w, b, True), x, weight, bias)
    _, mean, var = fastact.batch_norm(x, None, None, weight, bias, True, return_stats=True)
    for a, b in zip(grad.batch_norm(dy, x, weight, mean, var), expected, strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


ROWS_OF_GRADIENTS = [(1, 16), (5, 17), (41, 64), (33, 100), (129, 256), (7, 300), (90, 768), (3, 11, 1000), (37, 4095)]


def exact_gradients(dy, x, weight, eps, mean):
    """Return dx, dweight and dbias of rows about their mean, or about 0; and the sums of their terms' magnitudes."""
    dy, x, weight = (array.astype(np.longdouble) for array in (dy, x, weight))
    d = x - x[..., :1] if mean else x
    d = d - d.mean(-1, keepdims=True) if mean else x
    scale = 1 / np.sqrt((d * d).mean(-1, keepdims=True) + eps)
    z, g, others = d * scale, dy * weight, tuple(range(x.ndim - 1))
    of_g = [f(g).mean(-1, keepdims=True) if mean else 0 for f in (np.asarray, np.abs)]
    of_z = [f(g * z).mean(-1, keepdims=True) for f in (np.asarray, np.abs)]
    gradients = (g - of_g[0] - z * of_z[0]) * scale, (dy * z).sum(others), dy.sum(others)
    return gradients, ((abs(g) + of_g[1] + abs(z) * of_z[1]) * scale, abs(dy * z).sum(others), abs(dy).sum(others))


@each_dtype
@pytest.mark.parametrize("shape", ROWS_OF_GRADIENTS, ids=str)
@pytest.mark.parametrize(("size", "mean"), [(3.0, 0.0), (1.0, 1e4), (2.0**-100, 0.0), (2.0**60, 0.0)])
def test_gradients_of_rows(shape, size, mean, dtype):
    """To 5 units of 2**-24, or 2**-53, of the sum of all terms' magnitudes."""
    x, dy = normal(shape, dtype, 0, size, mean), normal(shape, dtype, 1, 2.0**-40)
    weight = normal(shape[-1], dtype, 2, 1.0)
    dy[..., -1, :] = 0
    for function, eps in ((grad.layer_norm, 1e-5), (grad.rms_norm, 1e-6), (grad.layer_norm, 0.0), (grad.rms_norm, 0.0)):
        expected, terms = exact_gradients(dy, x, weight, eps, function is grad.layer_norm)
        got = function(dy, x, weight, eps=eps)
        for a, b, size_of_terms in zip(got, expected, terms, strict=False):
            assert a.dtype == dtype
            assert (abs(a - b) <= 5 * np.finfo(dtype).eps / 2 * size_of_terms + np.finfo(dtype).tiny).all()


@each_dtype
@pytest.mark.parametrize("shape", [(700, 100), (33, 4096), (5000, 16), (70, 3, 400)], ids=str)
def test_gradients_of_rows_do_not_depend_on_threads(shape, dtype):
    x, dy, weight = normal(shape, dtype), normal(shape, dtype, 1), normal(shape[-1], dtype, 2)
    for function in (grad.layer_norm, grad.rms_norm):
        with fastact.threads(1):
            expected = function(dy, x, weight)
        with fastact.threads(5):
            for a, b in zip(function(dy, x, weight), expected, strict=True):
                assert_same_bits(a, b)


def test_gradients_of_rows_in_many_ways():
    """Axes, weights and layouts that the kernels for rows do not take give what they give."""
    x, dy, weight = normal((40, 6, 20), np.float32), normal((40, 6, 20), np.float32, 1), normal((6, 20), np.float32, 2)
    for function in (grad.layer_norm, grad.rms_norm):
        expected = function(dy, x, weight, axis=(1, 2))
        others = [
            function(np.asfortranarray(dy), x, weight, axis=(1, 2)),
            function(dy, x, np.asfortranarray(weight), axis=(1, 2)),
            function(dy[:, :, ::-1], x[:, :, ::-1], weight[:, ::-1], axis=(1, 2)),
            function(dy.astype(np.float64), x.astype(np.float64), weight.astype(np.float64), axis=(1, 2)),
        ]
        others[2] = [array[..., ::-1] for array in others[2]]
        for other in others:
            for a, b in zip(other, expected, strict=True):
                assert a.shape == b.shape
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())
        for shape in ((0, 20), (40, 0)):
            empty = function(np.ones(shape), np.ones(shape), None)
            assert [array.shape for array in empty] == [shape, *[shape[1:]] * (len(empty) - 1)]
            assert (empty[1] == 0).all()


# ---- Documentation.


@each_function
def test_docstrings(name):
    function = FUNCTIONS[name]
    text = inspect.getdoc(function)
    for section in ("Parameters", "Returns", "Raises", "Notes", "References", "Examples"):
        assert f"{section}\n{'-' * len(section)}\n" in text
    for parameter in inspect.signature(function).parameters:
        assert f"{parameter}" in text.split("Returns\n")[0]
    examples = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    assert examples.examples
    report = []
    doctest.DocTestRunner().run(examples, out=report.append)
    assert not report, "".join(report)


def test_names_are_public():
    assert set(NAMES) <= set(fastact.__all__)
    assert set(GRADIENTS) <= set(grad.__all__)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", [24, 1000, 5000])
@pytest.mark.parametrize("name", ["softmax", "layer_norm", "normalize"])
def test_rows_beyond_the_caches(name, length, dtype):
    """They are written past the caches: wherever the first begins, and nothing beside them."""
    function = getattr(fastact, name)
    rows = 2**25 // np.dtype(dtype).itemsize // length + 3
    few = np.random.default_rng(0).standard_normal((67, length)).astype(dtype)
    x = np.resize(few, (rows, length))
    expected = np.resize(function(few), x.shape)
    memory = np.empty(x.size + 40, dtype)
    for first in (16, 17):
        memory[:] = 77
        out = memory[first : first + x.size].reshape(x.shape)
        assert function(x, out=out) is out
        assert np.array_equal(out, expected)
        assert (memory[:first] == 77).all()
        assert (memory[first + x.size :] == 77).all()
    assert np.array_equal(function(x, out=x), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("columns", [16, 100, 1000, 2049])
def test_columns_beyond_the_caches(columns, dtype):
    """They are written past the caches: wherever the first begins, and nothing beside them."""
    few = normal((331, columns), dtype)
    mean, var, weight, bias = np.random.default_rng(0).uniform(0.5, 1.5, (4, columns)).astype(dtype)
    rows = 2**25 // few.itemsize // columns + 3
    x = np.resize(few, (rows, columns))
    memory = np.empty(x.size + 40, dtype)
    for first, activation in ((16, None), (17, "relu"), (23, "silu")):
        memory[:] = 77
        out = memory[first : first + x.size].reshape(x.shape)
        options = {"activation": activation, "out": out}
        assert fastact.batch_norm(x, mean, var, weight, bias, **options) is out
        expected = fastact.batch_norm(few, mean, var, weight, bias, activation=activation)
        assert np.array_equal(out, np.resize(expected, x.shape))
        assert (memory[:first] == 77).all()
        assert (memory[first + x.size :] == 77).all()
        _, *stats = fastact.batch_norm(x, None, None, weight, bias, True, return_stats=True, **options)
        expected = fastact.batch_norm(few, *stats, weight, bias, activation=activation)
        tolerance = 8 * np.spacing(np.abs(expected).max())
        assert np.allclose(out, np.resize(expected, x.shape), rtol=0, atol=tolerance)
        assert (memory[:first] == 77).all()
        assert (memory[first + x.size :] == 77).all()
    # In place the results stay in the caches.
    x[:] = np.resize(few, x.shape)
    normalized = fastact.batch_norm(x, None, None, weight, bias, True)
    fastact.batch_norm(x, mean, var, weight, bias, out=x)
    assert np.array_equal(x, np.resize(fastact.batch_norm(few, mean, var, weight, bias), x.shape))
    x[:] = np.resize(few, x.shape)
    assert np.array_equal(fastact.batch_norm(x, None, None, weight, bias, True, out=x), normalized)


@pytest.mark.parametrize("columns", [20, 300, 1500])
def test_parts_of_rows_beyond_the_caches(columns):
    """What is between two rows stays as it is."""
    few = normal((331, columns + 13), np.float32)
    x = np.resize(few, (2**24 // columns + 3, columns + 13))
    mean, weight, bias = normal((3, columns), np.float32, 1)
    out = np.full_like(x, 77)
    fastact.batch_norm(x[:, 5:-8], mean, abs(weight), weight, bias, out=out[:, 6:-7])
    expected = fastact.batch_norm(few[:, 5:-8], mean, abs(weight), weight, bias)
    assert np.array_equal(out[:, 6:-7], np.resize(expected, (len(x), columns)))
    assert (out[:, :6] == 77).all()
    assert (out[:, -7:] == 77).all()


@pytest.mark.parametrize("columns", [20, 40, 300, 1500])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "layer_norm", "normalize"])
def test_functions_of_columns_beyond_the_caches(name, columns):
    """What goes past the caches is what stays there, in place; what is between two rows is left as it is."""
    wide = np.resize(normal((331, columns + 13), np.float32), (2**23 // columns + 3, columns + 13))
    weights = normal((2, len(wide)), np.float32, 1) if name == "layer_norm" else ()

    def function(x, out):
        getattr(fastact, name)(x, *weights, axis=0, out=out)

    # The square of the second is beyond float32.
    for largest in (1, 1e30):
        wide[:, 7] *= np.float32(largest)
        x = wide[:, 5:-8].copy()
        expected = x.copy()
        function(expected, expected)
        memory = np.full(x.size + 40, 77, np.float32)
        function(x, memory[17 : 17 + x.size].reshape(x.shape))
        assert_same_bits(memory[17 : 17 + x.size].reshape(x.shape), expected)
        assert (memory[:17] == 77).all()
        assert (memory[17 + x.size :] == 77).all()
        out = np.full_like(wide, 77)
        function(wide[:, 5:-8], out[:, 6:-7])
        assert_same_bits(out[:, 6:-7].copy(), expected)
        assert (out[:, :6] == 77).all()
        assert (out[:, -7:] == 77).all()


@pytest.mark.parametrize(("shape", "axes"), [((3, 150_001), 0), ((140_000, 5), 1), ((2, 70_000, 3), (0, 2))])
def test_moments_of_many(shape, axes):
    """Where there are more statistics than a cache holds, they are made for some of them at a time."""
    x = normal(shape, np.float32)
    kept = 0 if axes == 1 else 1
    pieces = np.array_split(x, 7, kept)
    for correction in (0, 1):
        parts = [fastact.moments(piece, axes, correction=correction) for piece in pieces]
        expected = [np.concatenate(statistic) for statistic in zip(*parts, strict=True)]
        for a, b in zip(fastact.moments(x, axes, correction=correction), expected, strict=True):
            assert_same_bits(a, b)
        other_order = fastact.moments(np.asfortranarray(x), axes, correction=correction)
        for a, b in zip(other_order, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
        for a, b in zip(fastact.moments(x, axes, correction=correction, keepdims=True), expected, strict=True):
            assert a.shape == x.mean(axes, keepdims=True).shape
            assert_same_bits(a.ravel(), b)


@pytest.mark.parametrize("axis", [0, 1, None])
def test_moments_of_16_bits_are_rounded_once(axis):
    """Results have the size of the array's type, and are those of float64, rounded."""
    x = normal((700, 700), np.float16, mean=3.0)
    for got, exact in zip(fastact.moments(x, axis), fastact.moments(x.astype(float), axis), strict=True):
        assert_same_bits(np.asarray(got), np.asarray(exact).astype(np.float16))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("side", [23, 65])
@pytest.mark.parametrize("name", ["batch_norm", "group_norm", "instance_norm"])
def test_planes_beyond_the_caches(name, side, dtype):
    """They are written past the caches, unless in place: wherever the first begins, and nothing beside them."""
    count = 2**25 // np.dtype(dtype).itemsize // (8 * side * side) + 3
    x = np.resize(normal((7, 8, side, side), dtype), (count, 8, side, side))
    mean, (weight, bias) = np.linspace(-1, 1, 8, dtype=dtype), normal((2, 8), dtype, 1)
    memory = np.empty(x.size + 40, dtype)
    out = memory[17 : 17 + x.size].reshape(x.shape)
    for function in {
        "batch_norm": [
            lambda x, out: fastact.batch_norm(x, mean, abs(weight), weight, bias, out=out),
            lambda x, out: fastact.batch_norm(x, mean, abs(weight), weight, bias, activation="silu", out=out),
            lambda x, out: fastact.batch_norm(x, None, None, weight, bias, True, activation="relu", out=out),
        ],
        "group_norm": [lambda x, out: fastact.group_norm(x, 2, weight, bias, out=out)],
        "instance_norm": [lambda x, out: fastact.instance_norm(x, weight, bias, out=out)],
    }[name]:
        memory[:] = 77
        assert function(x, out) is out
        expected = function(x.copy(), None)[:7]
        copied = x.copy()
        assert np.array_equal(function(copied, copied), out)
        assert np.array_equal(out[:7], expected)
        assert (memory[:17] == 77).all()
        assert (memory[17 + x.size :] == 77).all()
