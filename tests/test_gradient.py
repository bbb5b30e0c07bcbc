"""Gradients against finite differences of the operators themselves, at kinks, and against torch."""

import numpy as np
import pytest

import references
from cases import assert_same_bits, cases_of, each_dtype, each_entry

STEP = 1e-3
TOLERANCE = 1e-7
# torch rounds 1/alpha to float32 for float64 arrays as well: 3e-5 in the tail.
TORCH_ERRORS = {("celu", (1e-3,)): 1e-4}


def scale_of(row, parameters):
    """Return the length on which the operator changes: a parameter above 1 makes it shorter, unless it is a length."""
    pairs = list(zip(row.parameters, parameters, strict=True))
    lengths = [abs(value) for parameter, value in pairs if parameter.is_length]
    others = [abs(value) for parameter, value in pairs if not parameter.is_length]
    return min(lengths, default=1.0) / max(1.0, *others, 1.0)


def away_from(kinks, x, distance):
    near = [np.abs(x - kink) <= distance for kink in kinks]
    return x[~np.any(near, axis=0)] if near else x


def central_difference(function, x, step):
    """Return the derivative to fourth order."""
    outer = function(x - 2 * step) - function(x + 2 * step)
    inner = function(x + step) - function(x - step)
    return (outer + 8 * inner) / (12 * step)


@each_entry
def test_central_differences(row, parameters):
    operator, gradient = cases_of(row)
    step = STEP * scale_of(row, parameters)
    generator = np.random.default_rng(1)
    x = away_from(row.kinks_for(parameters), generator.uniform(-8000, 8000, 5000) * step, 3 * step)
    numeric = central_difference(lambda at: operator.public(at, *parameters), x, step)
    analytic = gradient.public(np.ones_like(x), x, *parameters)
    np.testing.assert_allclose(analytic, numeric, rtol=TOLERANCE, atol=TOLERANCE * np.abs(numeric).max())
    assert np.ptp(x) > 10_000 * step


@each_dtype
@each_entry
def test_linear_in_dy(row, parameters, dtype):
    """A power of two and a sign go through the product unchanged."""
    _, gradient = cases_of(row)
    dy, x = gradient.inputs(1000, dtype)
    dx = gradient.public(dy, x, *parameters)
    scaled = gradient.public(4 * dy, x, *parameters)
    tiny = np.abs(dx) < np.finfo(dtype).smallest_normal
    assert_same_bits(scaled[~tiny], 4 * dx[~tiny])
    assert np.array_equal(gradient.public(-dy, x, *parameters), -dx)
    assert np.array_equal(gradient.public(0 * dy, x, *parameters), 0 * dx)
    one = gradient.public(np.ones_like(dy), x, *parameters)
    np.testing.assert_allclose(dx, dy * one, rtol=3 * row.ulp_gradient * np.finfo(dtype).eps, atol=1e-37)


@each_dtype
@each_entry
def test_at_kinks(row, parameters, dtype):
    """Exactly the reference's choice, which is torch's."""
    _, gradient = cases_of(row)
    for kink in row.kinks_for(references.rounded(parameters, dtype)):
        x = np.array([kink, -kink, kink], dtype)
        dy = np.array([1, -2, 0.5], dtype)
        expected = dy * references.exact_slope(row, x, references.rounded(parameters, dtype))
        rtol = row.ulp_gradient * np.finfo(np.float32).eps
        np.testing.assert_allclose(gradient.public(dy, x, *parameters), expected, rtol=rtol, atol=0)


@each_dtype
@each_entry
def test_beside_kinks(row, parameters, dtype):
    """The neighbours of a kink belong to their own sides."""
    _, gradient = cases_of(row)
    for kink in row.kinks_for(references.rounded(parameters, dtype)):
        centre = dtype.type(kink)
        x = np.array([np.nextafter(centre, dtype.type(-np.inf)), np.nextafter(centre, dtype.type(np.inf))])
        # Side by side in binary32 they are apart in binary64: the reference takes either.
        slope = [float(references.exact_number_slope(row, at, references.rounded(parameters, dtype))) for at in x]
        np.testing.assert_allclose(gradient.public(dtype.type(1), x, *parameters), slope, rtol=1e-6, atol=0)


def torch_function(row):
    """Return torch's function of the name, or skip: central differences are the proof, torch's choices a second one."""
    torch = pytest.importorskip("torch", reason="torch is not installed; central differences cover the gradients")
    function = getattr(torch.nn.functional, row.name, None) or getattr(torch, row.name, None)
    if function is None:
        pytest.skip(f"torch has no function {row.name}")
    return torch, function


@each_entry
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_torch(row, parameters):
    torch, function = torch_function(row)
    operator, gradient = cases_of(row)
    generator = np.random.default_rng(2)
    points = np.concatenate(
        [generator.uniform(-6, 6, 2000), np.array(row.kinks_for(parameters), np.float64), [0.0, -0.0]]
    )
    x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    dy = generator.standard_normal(len(points))
    y = function(x, *([torch.tensor([p], dtype=torch.float64) for p in parameters] if row.is_learned else parameters))
    y.backward(torch.tensor(dy))
    rtol = TORCH_ERRORS.get((row.name, parameters), 1e-7)
    np.testing.assert_allclose(operator.public(points, *parameters), y.detach().numpy(), rtol=rtol, atol=1e-300)
    np.testing.assert_allclose(gradient.public(dy, points, *parameters), x.grad.numpy(), rtol=rtol, atol=1e-300)
