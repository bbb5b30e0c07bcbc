"""Normalizations: accuracy, running statistics, fused activations."""

import numpy as np
import pytest

import fastact
from cases import assert_same_bits, each_dtype
from families import INF, normal
from fastact import ufuncs
from fastact._kernels.registry import OPERATORS


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
