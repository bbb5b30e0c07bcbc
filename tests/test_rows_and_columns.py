"""Rows and columns are worked on together, their ends in padded blocks: nothing of it may show."""

import math
from functools import partial

import numpy as np
import pytest

import fastact
import memory
import processes
from cases import FLOATS, assert_same_bits, each_dtype
from families import ALONG, FUNCTIONS, INF, MAPS, NAN, SOFTMAX, normal
from fastact import grad

ALONG_ROWS = {
    "softmax": fastact.softmax,
    "log_softmax": fastact.log_softmax,
    "logsumexp": lambda x: fastact.logsumexp(x, -1),
    "layer_norm": fastact.layer_norm,
    "rms_norm": fastact.rms_norm,
    "moments": lambda x: np.stack(fastact.moments(x, -1), -1),
    "normalize": fastact.normalize,
    "normalize by the sum": lambda x: fastact.normalize(x, 1.0),
    "normalize by the largest": lambda x: fastact.normalize(x, np.inf),
    "grad.softmax": lambda x: fastact.grad.softmax(x[:, ::-1].copy(), fastact.softmax(x)),
}


@each_dtype
@pytest.mark.parametrize("n", [16, 17, 31, 33, 47, 48, 63, 64, 95, 96, 300, 1024, 1025, 5000])
@pytest.mark.parametrize("name", ALONG_ROWS)
def test_rows_do_not_depend_on_how_many_there_are(name, n, dtype):
    x = normal((140, n), dtype, scale=4)
    x[0] += 100
    expected = ALONG_ROWS[name](x)
    for some in (1, 15, 64, 65):
        assert_same_bits(ALONG_ROWS[name](x[:some]), expected[:some])


@pytest.mark.parametrize("n", [2, 3, 10, 15, 16, 20, 23, 24])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_short_rows_have_the_bits_of_columns(name, n):
    """Sixteen of them are turned into columns, fifteen are not."""
    x = normal((200, n), np.float32, scale=4)
    assert_same_bits(ALONG_ROWS[name](x[:15]), ALONG_ROWS[name](x)[:15])


@each_dtype
@pytest.mark.parametrize("rows", [16, 17, 18, 19, 255, 257])
def test_short_rows_are_transposed(rows, dtype):
    """Both ways, in blocks that overlap at the ends; rows with a gap between them are not written into."""
    for n in range(2, 64 if dtype == np.float32 else 32):
        x = normal((rows, n), dtype, scale=4)
        expected = fastact.softmax(np.ascontiguousarray(x.T), 0).T
        wide = np.full((rows, n + 3), 7, dtype)
        for array in (wide[:, :n], wide[:, 1 : n + 1]):
            wide[:] = 7
            array[:] = x
            assert_same_bits(np.ascontiguousarray(fastact.softmax(array, out=array)), np.ascontiguousarray(expected))
            assert (wide == 7).sum() == 3 * rows


@each_dtype
def test_short_rows_need_no_memory_for_statistics(dtype):
    """Of rows of three elements they would be several times as many numbers as the array has."""
    x = np.ones((2**16, 3), dtype)
    for name in ("softmax", "log_softmax", "layer_norm", "rms_norm", "normalize", "normalize by the sum"):
        function = getattr(fastact, name.split()[0])
        order = (1.0,) if name.endswith("sum") else ()
        assert memory.peak_of(partial(function, x, *order, out=x)) < x.nbytes / 16, name


@pytest.mark.parametrize("n", [4, 10, 15])
def test_gradients_of_short_rows_do_not_depend_on_how_many_there_are(n):
    x = normal((200, n), np.float32, scale=4)
    assert_same_bits(ALONG_ROWS["grad.softmax"](x[:15]), ALONG_ROWS["grad.softmax"](x)[:15])


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
