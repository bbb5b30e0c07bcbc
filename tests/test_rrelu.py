"""The randomized leaky rectifier: the fixed slope, the draws, the gradient, the arguments."""

import numpy as np
import pytest

import fastact
from cases import assert_same_bits
from memory import peak_of

X = np.array([-2.0, -0.5, -0.0, 0.0, 0.5, 3.0, np.inf, np.nan])
DTYPES = (np.float16, np.float32, np.float64)


def drawn(x, rng=5, **options):
    """Return the slopes of negative elements."""
    return fastact.rrelu(x, training=True, rng=rng, **options) / x


@pytest.mark.parametrize("dtype", DTYPES)
def test_fixed_slope_is_the_middle(dtype):
    x = X.astype(dtype)
    np.testing.assert_array_equal(fastact.rrelu(x, 0.1, 0.4), fastact.leaky_relu(x, 0.25))
    np.testing.assert_array_equal(fastact.grad.rrelu(x, x, 0.1, 0.4), fastact.grad.leaky_relu(x, x, 0.25))
    assert fastact.rrelu(x).dtype == dtype
    np.testing.assert_array_equal(fastact.rrelu(x), fastact.leaky_relu(x, (1 / 8 + 1 / 3) / 2))


@pytest.mark.parametrize("dtype", DTYPES)
def test_slopes_are_uniform_and_positive_elements_stay(dtype):
    x = np.full(200_000, -1, dtype)
    slopes = drawn(x, lower=0.25, upper=0.75).astype(np.float64)
    assert slopes.min() >= 0.25
    assert slopes.max() <= 0.75
    counts, _ = np.histogram(slopes, bins=20, range=(0.25, 0.75))
    # Each bin 10,000 +- 97; float16 has some 26 values a bin, so that its ends are uneven.
    assert abs(counts - 10_000).max() < (600 if dtype == np.float16 else 500)
    np.testing.assert_array_equal(fastact.rrelu(-x, training=True, rng=5), -x)


def test_slopes_depend_on_seed_and_index_alone():
    x = -np.arange(1.0, 300_001.0)
    y = fastact.rrelu(x, training=True, rng=7)
    with fastact.threads(1):
        np.testing.assert_array_equal(fastact.rrelu(x, training=True, rng=7), y)
    np.testing.assert_array_equal(fastact.rrelu(x, training=True, rng=np.random.default_rng(7)), y)
    np.testing.assert_array_equal(fastact.rrelu(x.reshape(300, 1000), training=True, rng=7).ravel(), y)
    fortran = np.asfortranarray(x.reshape(300, 1000))
    np.testing.assert_array_equal(fastact.rrelu(fortran, training=True, rng=7).ravel(), y)
    assert (fastact.rrelu(x, training=True, rng=8) != y).mean() > 0.99
    assert (fastact.rrelu(x, training=True) != fastact.rrelu(x, training=True)).mean() > 0.99


def test_gradient_has_the_slopes_of_the_output():
    x = np.random.default_rng(0).standard_normal(10_000)
    y = fastact.rrelu(x, 0.2, 0.9, True, rng=3)
    dx = fastact.grad.rrelu(2.0, x, 0.2, 0.9, True, rng=3)
    np.testing.assert_allclose(dx * x, 2 * y, rtol=1e-15)
    same = fastact.grad.rrelu(2.0, x, 0.2, 0.9, True, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(same, dx)


def test_special_values_in_training():
    y = fastact.rrelu(X, training=True, rng=1)
    assert np.signbit(y[2])
    np.testing.assert_array_equal(y[3:], X[3:])
    assert fastact.rrelu(-np.inf, training=True, rng=1) == -np.inf


@pytest.mark.parametrize("dtype", DTYPES)
def test_slopes_too_large_for_the_type_do_not_warn(dtype):
    with np.errstate(all="raise"):
        fastact.rrelu(-np.ones(100, dtype), -1e300, 1e300, training=True, rng=1)


def test_in_place():
    x = -np.ones(1000, np.float32)
    expected = fastact.rrelu(x, training=True, rng=2)
    assert fastact.rrelu(x, training=True, rng=2, out=x) is x
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 7, 1023, 1025, 8193, 300_007])
def test_one_pass_gives_the_bits_of_any_other_way(n, dtype):
    """Memory that is worked on where it lies, and what NumPy brings block by block."""
    x, dy = np.random.default_rng(n).standard_normal((2, n)).astype(dtype)
    x[:1] = -np.inf
    spread = np.repeat(x, 2)[::2]
    for threads in (1, 2, 5):
        with fastact.threads(threads):
            y, dx = fastact.rrelu(x, -0.3, 0.7, True, rng=4), fastact.grad.rrelu(dy, x, -0.3, 0.7, True, rng=4)
            for other in (spread, x.astype(x.dtype.newbyteorder())):
                assert_same_bits(fastact.rrelu(other, -0.3, 0.7, True, rng=4), y)
                assert_same_bits(fastact.grad.rrelu(dy, other, -0.3, 0.7, True, rng=4), dx)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_pass_needs_no_memory_for_slopes(dtype):
    x = -np.ones(1_000_000, dtype)
    y = np.empty_like(x)

    def train():
        fastact.rrelu(x, training=True, rng=2, out=y)
        fastact.grad.rrelu(x, x, training=True, rng=2, out=y)

    assert peak_of(train) < x.nbytes / 4


def test_outputs_that_overlap_or_do_not_fit():
    x = -np.ones(1000, np.float32)
    expected = fastact.rrelu(x[:999], training=True, rng=2)
    fastact.rrelu(x[:999], training=True, rng=2, out=x[1:])
    np.testing.assert_array_equal(x[1:], expected)
    x.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        fastact.rrelu(x, training=True, rng=2, out=x)
    wide = np.empty(1000)
    fastact.rrelu(x, training=True, rng=2, out=wide)
    np.testing.assert_array_equal(wide, fastact.rrelu(x, training=True, rng=2))


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint16, np.int32])
def test_integers_are_computed_in_a_float(dtype):
    expected = np.float32 if np.dtype(dtype).itemsize <= 2 else np.float64
    assert fastact.rrelu(np.ones(3, dtype)).dtype == expected
    assert fastact.rrelu(np.ones(3, dtype), training=True, rng=0).dtype == expected


def test_empty_and_zero_dimensions():
    assert fastact.rrelu(np.empty((0, 3)), training=True).shape == (0, 3)
    assert np.ndim(fastact.rrelu(-1.0, training=True, rng=0)) == 0


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"lower": 0.5, "upper": 0.25}, ValueError, "lower"),
        ({"lower": np.nan}, ValueError, "lower"),
        ({"lower": "0.1"}, TypeError, "lower"),
        ({"upper": [0.1]}, TypeError, "upper"),
        ({"lower": 10**400}, ValueError, "lower"),
        ({"upper": np.timedelta64(1, "s")}, TypeError, "upper"),
    ],
)
def test_wrong_arguments(arguments, error, name, training):
    out = np.full(3, 7.0)
    for function, operands in ((fastact.rrelu, (-np.ones(3),)), (fastact.grad.rrelu, (1.0, -np.ones(3)))):
        with pytest.raises(error, match=name):
            function(*operands, **arguments, training=training, out=out)
    assert (out == 7).all()


def test_unknown_keywords_name_who_was_called():
    for training in (False, True):
        with pytest.raises(TypeError, match=r"^rrelu\(\) got an unexpected keyword argument 'alpha'$"):
            fastact.rrelu(-np.ones(3), training=training, alpha=1.0)
        with pytest.raises(TypeError, match=r"^grad\.rrelu\(\) got an unexpected keyword argument 'axis'$"):
            fastact.grad.rrelu(1.0, -np.ones(3), training=training, axis=0)


@pytest.mark.parametrize(("rng", "error"), [(-1, ValueError), ("seed", TypeError)])
def test_wrong_rng(rng, error):
    with pytest.raises(error, match="rng"):
        fastact.rrelu(-np.ones(3), training=True, rng=rng)


@pytest.mark.parametrize("x", [np.ones(3, np.complex64), np.ones(3, np.longdouble), ["a"]])
def test_wrong_types(x):
    for training in (False, True):
        with pytest.raises(TypeError, match=r"^rrelu\(\): x must be"):
            fastact.rrelu(x, training=training)
        with pytest.raises(TypeError, match=r"^grad\.rrelu\(\): dy must be"):
            fastact.grad.rrelu(x, 1.0, training=training)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_is_that_of_the_computation(dtype, training):
    x = -np.arange(1, 1000, dtype=np.float32)
    y = fastact.rrelu(x, training=training, rng=4, dtype=dtype, casting="same_kind")
    assert_same_bits(y, fastact.rrelu(x.astype(dtype), training=training, rng=4))
