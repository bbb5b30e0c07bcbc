"""Gradients of the softmax family and of normalizations."""

from functools import partial

import numpy as np
import pytest

import fastact
from cases import assert_same_bits, each_dtype
from families import FUNCTIONS, INF, NAN, normal
from fastact import grad


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
    norm = partial(fastact.layer_norm, axis=axis)
    np.testing.assert_allclose(dx, central_difference(lambda v: norm(v, weight, bias), x, dy), **tolerance)
    np.testing.assert_allclose(dweight, central_difference(lambda w: norm(x, w, bias), weight, dy), **tolerance)
    np.testing.assert_allclose(dbias, central_difference(lambda b: norm(x, weight, b), bias, dy), **tolerance)
    dx, dweight = grad.rms_norm(dy, x, weight, axis=axis)
    norm = partial(fastact.rms_norm, axis=axis)
    np.testing.assert_allclose(dx, central_difference(lambda v: norm(v, weight), x, dy), **tolerance)
    np.testing.assert_allclose(dweight, central_difference(lambda w: norm(x, w), weight, dy), **tolerance)
    _, mean, var = fastact.batch_norm(x, training=True, axis=axis, return_stats=True)
    dx, dweight, dbias = grad.batch_norm(dy, x, weight, mean, var, axis=axis)
    norm = partial(fastact.batch_norm, training=True, axis=axis)
    np.testing.assert_allclose(dx, central_difference(lambda v: norm(v, weight=weight, bias=bias), x, dy), **tolerance)
    np.testing.assert_allclose(
        dweight, central_difference(lambda w: norm(x, weight=w, bias=bias), weight, dy), **tolerance
    )
    np.testing.assert_allclose(
        dbias, central_difference(lambda b: norm(x, weight=weight, bias=b), bias, dy), **tolerance
    )


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
