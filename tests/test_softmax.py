"""The softmax family beside mpmath, and at special values."""

import math

import mpmath
import numpy as np
import pytest

import fastact
from cases import FLOATS, assert_same_bits, each_dtype
from families import INF, NAN, error, normal, ulp


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


@pytest.mark.parametrize("n", [100, 1000])
def test_softmax_of_rows_of_few_different_elements(n):
    """What a term of nearly all of the sum was rounded by is not in the sum, or all other results had it as well."""
    generator = np.random.default_rng(n)
    common = generator.uniform(-3, 3, (3000, 1))
    x = np.where(generator.random((3000, n)) < 0.9, common, common - np.abs(generator.standard_normal((3000, n))))
    x[:, 0] = common[:, 0] + generator.uniform(0, 1, 3000)
    x = x.astype(np.float32)
    wide = x.astype(np.longdouble)
    exact = np.exp(wide - wide.max(axis=1, keepdims=True))
    exact = (exact / exact.sum(axis=1, keepdims=True)).astype(float)
    assert (np.abs(fastact.softmax(x) - exact) / np.spacing(exact.astype(np.float32))).max() <= 2.0


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
