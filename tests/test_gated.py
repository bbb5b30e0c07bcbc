"""glu and its gradient: two arrays, in halves of one."""

import numpy as np
import pandas
import pytest

import fastact
import sampling
import ulp
from cases import assert_same_bits, each_dtype
from fastact import grad, ufuncs
from references import mpmath

FACTORS = (1.0, -3.0, 1e30, 1e-30, 3e38)
GATES = [0.0, -0.0, 1e-30, -1e-30, 0.5, -0.5, 16.0, -16.0, -87.0, -100.0, -150.0, -180.0, 200.0]


def sigmoid(b):
    return np.where(b < 0, np.exp(np.minimum(b, 0)), 1) / (1 + np.exp(-np.abs(b)))


def slope(b):
    return np.exp(-np.abs(b)) / (1 + np.exp(-np.abs(b))) ** 2


def gates(dtype, count):
    b = np.concatenate([sampling.common(dtype, count, count), np.array(GATES, dtype)])
    return b[np.isfinite(b)]


def halves_of(x, axis):
    return np.split(x, 2, axis)


@pytest.mark.parametrize("factor", FACTORS)
def test_float32(factor):
    """Right also where the sigmoid alone would be subnormal or 0."""
    b = gates(np.float32, 2**17)
    factor = np.float32(factor)
    with np.errstate(over="ignore"):
        exact = float(factor) * sigmoid(b.astype(np.float64))
        exact_slope = float(factor) * slope(b.astype(np.float64))
    assert ulp.errors(ufuncs.glu(factor, b), exact, is_zero_sign_known=False).max() <= 1.1
    of_value, _ = halves_of(grad.glu(np.full_like(b, factor), np.concatenate([b, b])), 0)
    assert ulp.errors(of_value, exact, is_zero_sign_known=False).max() <= 2
    for other in (np.float32(1), np.float32(-1e-3)):
        computed = ufuncs.grad_glu(factor, other, b)
        assert ulp.errors(computed, float(other) * exact_slope, is_zero_sign_known=False).max() <= 2
        assert_same_bits(ufuncs.grad_glu(other, factor, b), computed)


def test_gradient_whose_factors_overflow():
    """dy*a is infinite, dy*a*sigmoid'(b) is not."""
    b = np.array([-60, -87, 86, -100, 100, -150, 170, -190, 219, -221, 240, -260, 281, -284, 300], np.float32)
    for dy, a in np.array([(1e30, 1e30), (3e38, -3e38), (-1e38, 1e20), (1e10, 3e38), (-3e38, 0.9)], np.float32):
        exact = float(dy) * float(a) * slope(b.astype(np.float64))
        assert ulp.errors(ufuncs.grad_glu(dy, a, b), exact, is_zero_sign_known=False).max() <= 2


def test_float64_gradient_whose_factors_overflow():
    for number in (-400.0, 700.0, -746.0, 1000.0, -1480.0, 1500.0, -2000.0, 2160.0, -2200.0):
        for dy, a in ((1e200, 1e200), (1.7e308, -1.7e308), (-1e308, 1.0)):
            exp = mpmath.exp(-abs(mpmath.mpf(number)))
            exact = mpmath.mpf(dy) * mpmath.mpf(a) * exp / (1 + exp) ** 2
            assert ulp.error_of_number(ufuncs.grad_glu(dy, a, number), exact) <= 2


@pytest.mark.parametrize("factor", [1.0, -3.0, 1e300, 1e-300])
def test_float64(factor):
    b = gates(np.float64, 800)[::3]
    of_value, of_gate = halves_of(grad.glu(np.full_like(b, factor), np.concatenate([np.ones_like(b), b])), 0)
    assert_same_bits(of_gate, ufuncs.grad_glu(factor, 1.0, b))
    for number, y, da, dx in zip(b, ufuncs.glu(factor, b), of_value, of_gate, strict=True):
        exp = mpmath.exp(-abs(mpmath.mpf(float(number))))
        part = exp if number < 0 else 1
        assert ulp.error_of_number(y, mpmath.mpf(factor) * part / (1 + exp)) <= 2
        assert ulp.error_of_number(da, mpmath.mpf(factor) * part / (1 + exp)) <= 2
        assert ulp.error_of_number(dx, mpmath.mpf(factor) * exp / (1 + exp) ** 2) <= 2


@each_dtype
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
def test_axes(dtype, axis, layout):
    x = np.random.default_rng(0).standard_normal((4, 6, 8)).astype(dtype)
    dy = np.random.default_rng(1).standard_normal((4, 6, 8)).astype(dtype)
    dy = np.ascontiguousarray(halves_of(dy, axis)[0])
    given = {"C": x, "F": np.asfortranarray(x), "strided": np.repeat(x, 2, 0)[::2]}[layout]
    a, b = halves_of(x, axis)
    y = fastact.glu(given, axis)
    assert_same_bits(y, ufuncs.glu(a, b))
    assert_same_bits(fastact.glu(given, axis=axis), y)
    out = np.full_like(y, 99)
    assert fastact.glu(given, axis, out=out) is out
    assert_same_bits(out, y)
    of_value, of_gate = halves_of(grad.glu(dy, given, axis), axis)
    assert_same_bits(of_gate, ufuncs.grad_glu(dy, a, b))
    pairs = np.stack([a.ravel(), b.ravel()], 1)
    one_by_one = [grad.glu(slope, pair)[0] for slope, pair in zip(dy.ravel(), pairs, strict=True)]
    assert_same_bits(of_value, np.array(one_by_one, dtype).reshape(of_value.shape))


def test_gradient_of_the_value_at_the_ends():
    """dy is infinite, NaN or a zero, the gate NaN or infinite: what dy*sigmoid(b) is."""
    dy = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1.0, 1.0, -2.0, 1.0], np.float32)
    b = np.array([-3.0, 300.0, 0.0, 5.0, -5.0, np.nan, np.inf, -np.inf, 1e30], np.float32)
    expected = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, np.nan, 1.0, -0.0, 1.0], np.float32)
    of_value, of_gate = halves_of(grad.glu(dy, np.concatenate([np.ones_like(b), b])), 0)
    assert_same_bits(of_value, expected)
    assert_same_bits(of_gate, ufuncs.grad_glu(dy, np.float32(1), b))


def test_large_and_in_place():
    x = np.random.default_rng(0).standard_normal((2, 300_000)).astype(np.float32)
    expected = ufuncs.glu(x[0].copy(), x[1].copy())
    assert_same_bits(fastact.glu(x, 0)[0], expected)
    assert fastact.glu(x, 0, out=x[:1]).base is x
    assert_same_bits(x[0], expected)


@pytest.mark.parametrize(
    ("dtype", "computed"),
    [(np.bool_, np.float32), (np.int8, np.float32), (np.uint16, np.float32), (np.int32, np.float64)],
)
def test_integers(dtype, computed):
    x = np.array([1, 0, 1, 1], dtype)
    assert_same_bits(fastact.glu(x), fastact.glu(x.astype(computed)))
    assert grad.glu(1.0, x).dtype == computed


def test_lists_numbers_and_empty():
    assert fastact.glu([1.0, 0.0]).tolist() == [0.5]
    assert grad.glu([2.0], [1.0, 0.0]).tolist() == [1.0, 0.5]
    assert grad.glu(np.ones(1), np.ones(2, np.float32)).dtype == np.float64
    assert fastact.glu(np.ones((3, 0), np.float32)).shape == (3, 0)
    assert grad.glu(np.ones((3, 0), np.float32), np.ones((3, 0), np.float32)).shape == (3, 0)


def test_special_values():
    x = np.array([5, 0, np.inf, -1, -np.inf, -np.inf, 1, np.inf], np.float32)
    assert_same_bits(fastact.glu(x), np.array([0, 0, np.inf, -1], np.float32))
    assert np.isnan(fastact.glu(np.array([np.nan, 1, 0, np.nan], np.float32))).all()
    assert fastact.glu(np.array([3, np.inf], np.float32)) == 3


ERRORS = (
    ((np.ones(3),), ValueError, r"^glu\(\): x must have an even length along axis -1, got the shape \(3,\)"),
    ((np.ones((2, 3)), 1), ValueError, "even length along axis 1"),
    ((np.ones((2, 4)), 2), np.exceptions.AxisError, r"glu\(\)"),
    ((np.float32(3),), np.exceptions.AxisError, r"glu\(\)"),
    ((np.ones(2), 0.0), TypeError, r"^glu\(\): axis must be an integer, got 'float'"),
    ((np.ones(2), None), TypeError, "axis must be an integer"),
    ((["a", "b"],), TypeError, r"^glu\(\): x must be an array"),
    ((np.ones(2, np.complex64),), TypeError, r"^glu\(\): x must be an array"),
    ((pandas.Series(["a", "b"]),), TypeError, r"^glu\(\): x must be an array"),
)


@pytest.mark.parametrize(("arguments", "error", "message"), ERRORS, ids=[message for _, _, message in ERRORS])
def test_errors(arguments, error, message):
    out = np.full(1, 99.0)
    with pytest.raises(error, match=message):
        fastact.glu(*arguments, out=out)
    assert out[0] == 99
    with pytest.raises(error, match=message.replace("^glu", "^grad.glu")):
        grad.glu(1.0, *arguments)


@pytest.mark.parametrize("shape", [(4,), (1, 2), (2, 1), (3, 2)])
def test_bad_shapes_of_out_and_dy(shape):
    out = np.full(shape, 99.0)
    for given in (out, (out,)):
        with pytest.raises(ValueError, match=r"glu\(\): out must have the shape \(2,\)"):
            fastact.glu(np.ones(4), out=given)
    assert np.all(out == 99)
    with pytest.raises(ValueError, match=r"glu\(\): dy must have the shape \(2,\)"):
        grad.glu(np.ones(shape), np.ones(4))


def test_torch():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    generator = np.random.default_rng(3)
    points, dy = generator.uniform(-8, 8, (5, 6, 7)), generator.standard_normal((5, 3, 7))
    x = torch.tensor(points, requires_grad=True)
    y = torch.nn.functional.glu(x, 1)
    y.backward(torch.tensor(dy))
    np.testing.assert_allclose(fastact.glu(points, 1), y.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(grad.glu(dy, points, 1), x.grad.numpy(), rtol=1e-12)
