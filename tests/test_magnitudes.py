"""Norms and deviations from the smallest numbers to the largest."""

import numpy as np
import pytest

import fastact
from cases import each_dtype
from families import INF, normal
from fastact import preprocess

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
