"""Losses and penalties."""

import math
from fractions import Fraction

import numpy as np
import pytest

import fastact
from cases import each_dtype
from families import INF, NAN, normal
from fastact import grad


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
