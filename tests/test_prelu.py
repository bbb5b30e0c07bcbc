"""prelu: the slope along an axis, and its gradient."""

import numpy as np
import pytest

import fastact
from cases import assert_same_bits, each_dtype
from fastact import grad

SHAPES = (
    ((6,), 0),
    ((1,), 0),
    ((40_000,), 0),
    ((5, 7), 1),
    ((5, 7), -1),
    ((7, 5), 0),
    ((3, 4, 5), -2),
    ((2, 3, 17, 19), 1),
    ((70, 3, 40, 40), 1),
    ((300, 257), 0),
    ((4000, 90), 1),
    ((2, 100_003), 0),
    ((0, 3), 1),
    ((3, 0), 0),
)
each_shape = pytest.mark.parametrize(("shape", "axis"), SHAPES, ids=str)


def arrays(shape, dtype, seed=0):
    generator = np.random.default_rng(seed)
    return tuple((3 * generator.standard_normal(shape)).astype(dtype) for _ in range(2))


def laid(weight, ndim, axis):
    shape = [1] * ndim
    shape[axis] = -1
    return weight.reshape(shape)


def exact_sums(dy, x, axes):
    """Return the gradient of the slope and the sum of its terms' magnitudes."""
    terms = np.where(x > 0, 0, dy.astype(np.longdouble) * x)
    return terms.sum(axes).astype(np.float64), np.abs(terms).sum(axes).astype(np.float64)


@each_dtype
@each_shape
def test_axis(shape, axis, dtype):
    dy, x = arrays(shape, dtype)
    weight = np.linspace(-0.5, 2, shape[axis]).astype(dtype)
    expected = fastact.leaky_relu(x, laid(weight, len(shape), axis))
    assert_same_bits(fastact.prelu(x, weight, axis=axis), expected)
    assert_same_bits(fastact.prelu(x, laid(weight, len(shape), axis)), expected)
    out = np.full_like(x, 99)
    assert fastact.prelu(x, weight, axis=axis, out=out) is out
    assert_same_bits(out, expected)
    dx, dweight = grad.prelu(dy, x, weight, axis=axis)
    assert_same_bits(dx, grad.leaky_relu(dy, x, laid(weight, len(shape), axis)))
    others = tuple(k for k in range(len(shape)) if k != axis % len(shape))
    total, size = exact_sums(dy, x, others)
    assert dweight.dtype == dtype
    assert dweight.shape == weight.shape
    assert np.all(np.abs(dweight - total) <= np.finfo(dtype).eps * np.abs(total) + 2.0**-45 * size)


@each_dtype
def test_one_slope_for_all(dtype):
    dy, x = arrays((3, 50_001), dtype)
    total, size = exact_sums(dy, x, (0, 1))
    for weight, axis in ((0.25, None), (np.array([0.25], dtype), None), (np.array([0.25], dtype), 0), ([0.25], 1)):
        dx, dweight = grad.prelu(dy, x, weight, axis=axis)
        assert dx.dtype == (np.float64 if isinstance(weight, list) else dtype)
        assert np.shape(dweight) == np.shape(weight)
        assert abs(float(np.ravel(dweight)[0]) - total) <= np.finfo(dtype).eps * abs(total) + 2.0**-45 * size
    assert type(grad.prelu(dy, x, 0.25)[1]) is dtype.type


@pytest.mark.parametrize("shape", [(3, 1, 5), (1, 4, 1), (4, 5), (4, 1), (3, 4, 5), (1, 1, 1), (5,), (2, 1, 4, 1)])
def test_broadcasting(shape):
    """Any pattern of axes that are summed over."""
    dy, x = arrays((3, 4, 5), np.float32)
    weight = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    dx, dweight = grad.prelu(dy, x, weight)
    assert_same_bits(dx, grad.leaky_relu(dy, x, weight))
    common = np.broadcast_shapes(shape, x.shape)
    padded = (1,) * (len(common) - len(shape)) + shape
    axes = tuple(k for k, length in enumerate(padded) if length == 1)
    total, _ = exact_sums(np.broadcast_to(dy, common), np.broadcast_to(x, common), axes)
    np.testing.assert_allclose(dweight, total.reshape(shape), rtol=1e-6, atol=1e-6)
    assert dweight.shape == shape


@each_dtype
@pytest.mark.parametrize("shape", [(70, 8, 30, 30), (1000, 300), (2_000_003,)])
def test_the_sum_depends_on_nothing_but_the_shape(shape, dtype):
    dy, x = arrays(shape, dtype)
    weight = np.full(shape[-1] if len(shape) == 2 else 1, 0.25, dtype)
    with fastact.threads(1):
        expected = grad.prelu(dy, x, weight, axis=len(shape) - 1)[1]
    for threads in (1, 2, 5):
        with fastact.threads(threads):
            assert_same_bits(grad.prelu(dy, x, weight, axis=-1)[1], expected)
    strided = [np.repeat(array, 2, 0)[::2] for array in (dy, x)]
    assert_same_bits(grad.prelu(*strided, weight, axis=-1)[1], expected)
    assert_same_bits(grad.prelu(*map(np.asfortranarray, (dy, x)), weight, axis=-1)[1], expected)


def test_sums_in_float64():
    """Where float32 would stand still: 2**25 times 1."""
    x = np.full(2**25, -1, np.float32)
    assert grad.prelu(-1.0, x, 0.5)[1] == 2**25
    x[0] = -(2.0**60)
    assert grad.prelu(np.float32(1), np.array([-(2.0**60), -3, 2.0, 1e30], np.float32), 0.5)[1] == -(2.0**60)


def test_special_values():
    dy = np.array([1, np.inf, 3, 4, 5], np.float32)
    x = np.array([-2, -0.0, 0, 1, np.nan], np.float32)
    with np.errstate(all="raise"):
        dx, dweight = grad.prelu(dy, x, 0.25)
        assert grad.prelu(dy[[0, 2, 3]], x[[0, 2, 3]], 0.25)[1] == -2
        assert grad.prelu(np.float64(1e200), np.float64(-1e200), 0.25)[1] == -np.inf
        assert np.isnan(grad.prelu(1.0, x, 0.25)[1])
    assert_same_bits(dx, np.array([0.25, np.inf, 0.75, 4, 1.25], np.float32))
    assert np.isnan(dweight)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.bool_])
def test_integers(dtype):
    x = np.array([[-3, 1], [2, -5]]).astype(dtype)
    floating = np.float64 if dtype is np.int32 else np.float32
    weight = np.array([0.25, 0.5], np.float32)
    assert_same_bits(fastact.prelu(x, weight, axis=1), fastact.prelu(x.astype(floating), weight, axis=1))
    for ours, expected in zip(
        grad.prelu(x, x, weight, axis=1), grad.prelu(*[x.astype(floating)] * 2, weight, axis=1), strict=True
    ):
        assert_same_bits(ours, expected)


ERRORS = (
    (
        (np.ones((2, 3)), np.ones(2)),
        1,
        ValueError,
        r"prelu\(\): weight must be one-dimensional, of length 3 .* got the",
    ),
    ((np.ones((2, 3)), np.ones((1, 3))), 1, ValueError, r"prelu\(\): weight must be one-dimensional"),
    ((np.ones((2, 3)), 0.25), 1, ValueError, r"prelu\(\): weight must be one-dimensional"),
    ((np.ones((2, 3)), np.ones(3)), 2, np.exceptions.AxisError, r"prelu\(\)"),
    ((np.float64(1), np.ones(1)), 0, np.exceptions.AxisError, r"prelu\(\)"),
    ((np.ones((2, 3)), np.ones(3)), 1.0, TypeError, r"prelu\(\): axis must be an integer, got 'float'"),
    ((np.ones((2, 3)), ["a", "b", "c"]), 1, TypeError, r"prelu\(\): weight must be a real number or an array"),
    ((["a", "b", "c"], np.ones(3)), 0, TypeError, r"prelu\(\): x must be an array"),
    ((np.ones((2, 3)), np.ones(2)), None, ValueError, "broadcast"),
    ((np.ones((2, 3)), None), None, TypeError, r"prelu\(\): weight must be a real number or an array"),
)


def test_gradient_of_a_masked_weight_is_refused():
    """NumPy would give dx the mask's shape, and dweight would have lost it."""
    weight = np.ma.masked_array([0.1, 0.2, 0.3], [False, True, False])
    for axis in (None, 1):
        with pytest.raises(TypeError, match=r"grad\.prelu\(\): weight must be .* got a masked one"):
            grad.prelu(np.ones((2, 3)), -np.ones((2, 3)), weight, axis=axis)


@pytest.mark.parametrize(("operands", "axis", "error", "message"), ERRORS, ids=str)
def test_errors(operands, axis, error, message):
    out = np.full((2, 3), 99.0)
    with pytest.raises(error, match=message):
        fastact.prelu(*operands, axis=axis, out=out)
    assert np.all(out == 99)
    with pytest.raises(error, match=message.replace("prelu", "grad.prelu", 1) if "prelu" in message else message):
        grad.prelu(np.ones((2, 3)), *operands, axis=axis)


def test_torch():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    dy, x = arrays((3, 4, 5), np.float64)
    x[0, 0, :2] = 0.0, -0.0
    weight = np.array([0.25, -0.5, 1e3, 0.0])
    tensors = [torch.tensor(array, requires_grad=True) for array in (x, weight)]
    y = torch.nn.functional.prelu(*tensors)
    y.backward(torch.tensor(dy))
    np.testing.assert_allclose(fastact.prelu(x, weight, axis=1), y.detach().numpy(), rtol=1e-15)
    for ours, tensor in zip(grad.prelu(dy, x, weight, axis=1), tensors, strict=True):
        np.testing.assert_allclose(ours, tensor.grad.numpy(), rtol=1e-13)
