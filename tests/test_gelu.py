"""gelu's two forms, chosen by an argument."""

import numpy as np
import pytest

import fastact
from cases import assert_same_bits, each_float
from fastact import grad, ufuncs

X = np.array([-3.0, -0.75, -0.0, 0.0, 0.5, 2.0, np.inf, -np.inf, np.nan])
FORMS = {"none": (ufuncs.gelu, ufuncs.grad_gelu), "tanh": (ufuncs.gelu_tanh, ufuncs.grad_gelu_tanh)}
each_form = pytest.mark.parametrize("form", FORMS)


@each_form
@each_float
def test_an_argument_chooses_the_ufunc(form, dtype):
    x = X.astype(dtype)
    dy = np.linspace(-2, 2, x.size).astype(dtype)
    forward, backward = FORMS[form]
    for arguments, options in (((form,), {}), ((), {"approximate": form})):
        assert_same_bits(fastact.gelu(x, *arguments, **options), forward(x))
        assert_same_bits(grad.gelu(dy, x, *arguments, **options), backward(dy, x))


def test_without_an_argument_it_is_exact():
    assert_same_bits(fastact.gelu(X), ufuncs.gelu(X))
    assert_same_bits(grad.gelu(X, X), ufuncs.grad_gelu(X, X))
    assert not np.array_equal(fastact.gelu(X), fastact.gelu(X, "tanh"), equal_nan=True)


@each_form
def test_operands_and_options_are_a_ufuncs(form):
    x = np.float32([-1, 0, 2])
    y = np.full(3, 7, np.float32)
    assert fastact.gelu(x, form, out=y, where=[True, False, True]) is y
    assert y[1] == 7
    dx = np.full(3, 7, np.float32)
    assert grad.gelu(1.0, x, form, out=dx) is dx
    assert_same_bits(dx, FORMS[form][1](np.float32(1), x))
    assert fastact.gelu([-1, 0, 2], form).dtype == np.float64
    assert fastact.gelu(np.int8([-1, 0, 2]), form).dtype == np.float32
    assert fastact.gelu(x, form, dtype=np.float64).dtype == np.float64


@pytest.mark.parametrize(
    ("approximate", "error"),
    [("erf", ValueError), ("None", ValueError), (None, TypeError), (True, TypeError), (0.5, TypeError)],
)
def test_another_form(approximate, error):
    """Both functions name the argument, before anything is written."""
    x, out = np.ones(3), np.full(3, 7.0)
    message = "approximate must be 'none' or 'tanh', got"
    with pytest.raises(error, match=rf"^gelu\(\): {message}"):
        fastact.gelu(x, approximate, out=out)
    with pytest.raises(error, match=rf"^grad.gelu\(\): {message}"):
        grad.gelu(x, x, approximate, out=out)
    assert (out == 7).all()


def test_the_left_tail_reaches_the_smallest_subnormal():
    """By erfc: 1 + erf(x/sqrt(2)), of which little is left from -4 on, is 0 in float32 from -5.5 on."""
    x = np.float32([-5.5, -10.0, -13.0, -14.0, -14.1])
    exact = [-1.04442593e-07, -7.61985302e-23, -7.95231372e-38, -1.09109515e-43, -2.67737642e-44]
    np.testing.assert_allclose(fastact.gelu(x), np.float32(exact), rtol=1e-3, atol=1e-44)
    assert fastact.gelu(-38.4) < 0 == fastact.gelu(-40.0)


@each_form
@pytest.mark.parametrize("size", [3e38, 1.7e308])
def test_large_numbers_do_not_overflow(form, size):
    x = np.array([-size, size], np.float32 if size < 1e39 else np.float64)
    assert_same_bits(fastact.gelu(x, form), np.maximum(x, 0) * np.array([-1, 1], x.dtype))
    assert_same_bits(grad.gelu(x.dtype.type(1), x, form) + 0, np.array([0, 1], x.dtype))


@each_form
def test_torch(form):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    points = np.random.default_rng(4).uniform(-6, 6, 2000)
    dy = np.random.default_rng(5).standard_normal(2000)
    x = torch.tensor(points, requires_grad=True)
    y = torch.nn.functional.gelu(x, approximate=form)
    y.backward(torch.tensor(dy))
    # In the left tail torch has the error of 1 + erf or 1 + tanh, times x and dy.
    np.testing.assert_allclose(fastact.gelu(points, form), y.detach().numpy(), rtol=1e-7, atol=1e-14)
    np.testing.assert_allclose(grad.gelu(dy, points, form), x.grad.numpy(), rtol=1e-7, atol=1e-14)
