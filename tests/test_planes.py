"""Image batches: statistics and gradients of channels."""

import numpy as np
import pytest

import fastact
from cases import assert_same_bits, each_dtype
from families import normal
from fastact import grad

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
