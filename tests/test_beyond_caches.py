"""Arrays beyond the caches have the same results."""

import numpy as np
import pytest

import fastact
from cases import assert_same_bits
from families import normal


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
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "layer_norm", "rms_norm", "normalize"])
def test_functions_of_columns_beyond_the_caches(name, columns):
    """What goes past the caches is what stays there, in place; what is between two rows is left as it is."""
    wide = np.resize(normal((331, columns + 13), np.float32), (2**23 // columns + 3, columns + 13))
    weights = normal((2, len(wide)), np.float32, 1)[: {"layer_norm": 2, "rms_norm": 1}.get(name, 0)]

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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [31, 32, 33, 49, 128])
def test_small_planes_beyond_the_caches(n, dtype):
    """In inference these go past the caches, too: cache lines over their ends, but not over gaps between them."""
    channels = 2**25 // np.dtype(dtype).itemsize // (8 * n) + 3
    x = np.resize(normal((3, 7, n), dtype), (8, channels, n))
    mean, var, weight, bias = np.random.default_rng(0).uniform(0.5, 1.5, (4, channels)).astype(dtype)
    memory = np.empty(x.size + 40, dtype)
    for first in (16, 17, 31):
        memory[:] = 77
        out = memory[first : first + x.size].reshape(x.shape)
        fastact.batch_norm(x, mean, var, weight, bias, activation="relu", out=out)
        expected = x.copy()
        fastact.batch_norm(expected, mean, var, weight, bias, activation="relu", out=expected)
        assert_same_bits(out, expected)
        assert (memory[:first] == 77).all()
        assert (memory[first + x.size :] == 77).all()
    apart = np.full((8, channels + 1, n), 77, dtype)
    fastact.batch_norm(x[:, 1:], mean[1:], var[1:], weight[1:], bias[1:], activation="relu", out=apart[:, 1:-1])
    assert_same_bits(apart[:, 1:-1].copy(), expected[:, 1:])
    assert (apart[:, [0, -1]] == 77).all()
    every_other = np.full((8, 2 * channels, n), 77, dtype)
    fastact.batch_norm(x, mean, var, weight, bias, activation="relu", out=every_other[:, ::2])
    assert_same_bits(every_other[:, ::2].copy(), expected)
    assert (every_other[:, 1::2] == 77).all()
