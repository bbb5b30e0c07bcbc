"""Dropout: values, masks, layouts, arguments. `philox_reference` says which elements are kept."""

import inspect
import math
import pickle
from fractions import Fraction
from functools import partial

import numpy as np
import pandas
import pytest

import fastact
import floating
import philox_reference
import processes
from cases import assert_same_bits
from fastact import grad

SELU_LIMIT = -1.7580993408473766
FLOATS = (np.float16, np.float32, np.float64)
FUNCTIONS = (fastact.dropout, fastact.alpha_dropout)
SIZES = (0, 1, 2, 31, 32, 33, 63, 64, 65, 255, 256, 257, 1000, 4095, 4097, 20_000, 140_003)

each_float = pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: np.dtype(dtype).name)
each_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)


def normal(shape, dtype=np.float32, seed=0):
    return (np.random.default_rng(seed).standard_normal(shape) * 3).astype(dtype)


def affine(function, p):
    """Return scale, shift and the dropped value."""
    if function is fastact.dropout:
        return 1 / (1 - p), -0.0, 0.0
    scale = 1 / math.sqrt((1 - p) * (1 + p * SELU_LIMIT**2))
    return scale, -scale * SELU_LIMIT * p, scale * SELU_LIMIT * (1 - p)


def assert_is_dropout(function, y, x, is_kept, p):
    """Assert that y is what comes of x. The sum of alpha_dropout may be fused or not."""
    compute = np.float64 if x.dtype in (np.float64, np.int64) else np.float32
    scale, shift, dropped = (compute(value) for value in affine(function, p))
    with np.errstate(all="ignore"):
        if function is fastact.dropout:
            expected = np.where(is_kept, x.astype(compute) * scale, dropped)
            assert_same_bits(y, expected.astype(y.dtype))
        else:
            exact = np.where(is_kept, x.astype(np.longdouble) * scale + shift, dropped)
            np.testing.assert_allclose(y, exact.astype(y.dtype), rtol=3 * np.finfo(y.dtype).eps, atol=1e-6)
            assert np.array_equal(y[~is_kept], np.full_like(y[~is_kept], dropped.astype(y.dtype)))


# ---- Values and masks.


@each_float
@each_function
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_values(function, dtype, p):
    for n in SIZES:
        x = normal(n, dtype)
        is_kept = philox_reference.keep(5, n, p)
        y, mask = function(x, p, rng=5, return_mask=True)
        assert y.dtype == dtype
        assert_is_dropout(function, y, x, is_kept, p)
        assert mask.dtype == np.uint8
        assert np.array_equal(mask, philox_reference.packed(is_kept))
        assert_same_bits(function(x, p, rng=5), y)
        assert np.array_equal(fastact.dropout_mask(n, p, rng=5), mask)
        if function is fastact.dropout:
            assert_same_bits(fastact.apply_mask(x, mask, p), y)
            assert_same_bits(grad.dropout(x, mask, p), y)


@each_float
def test_what_is_dropped_is_zero(dtype):
    """Whatever it was; what is kept stays NaN, infinite, or a zero with its sign."""
    x = np.resize(np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, np.finfo(dtype).max, -1.0], dtype), 5003)
    is_kept = philox_reference.keep(1, x.size, 0.5)
    mask = philox_reference.packed(is_kept)
    with np.errstate(all="raise"):
        for y in (fastact.dropout(x, rng=1), fastact.apply_mask(x, mask, 0.5), grad.dropout(x, mask, 0.5)):
            assert_same_bits(y[~is_kept], np.zeros(np.count_nonzero(~is_kept), dtype))
            with np.errstate(over="ignore"):
                assert_same_bits(y[is_kept], x[is_kept] * dtype(2))
        y = fastact.alpha_dropout(x, 0.5, rng=1)
    assert np.isfinite(y[~is_kept]).all()
    assert len(set(y[~is_kept])) == 1
    assert np.array_equal(np.isnan(y), is_kept & np.isnan(x))


@each_float
@each_function
def test_certain_outcomes(function, dtype):
    """p = 0 copies bit for bit, p = 1 gives zeros."""
    x = np.resize(np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, np.finfo(dtype).tiny, 1.0], dtype), 203)
    for given in (x, x[::-1], x.astype(x.dtype.newbyteorder())):
        y, mask = function(given, 0.0, rng=1, return_mask=True)
        assert_same_bits(y, given.astype(dtype))
        assert np.array_equal(mask, philox_reference.packed(np.ones(203, bool)))
        y, mask = function(given, 1.0, rng=1, return_mask=True)
        assert_same_bits(y, np.zeros(203, dtype))
        assert np.array_equal(mask, np.zeros(26, np.uint8))
        assert_same_bits(function(given, 0.7, training=False), given.astype(dtype))
    ones = philox_reference.packed(np.ones(203, bool))
    assert_same_bits(fastact.apply_mask(x, ones, 0.0), x)
    assert_same_bits(fastact.apply_mask(x, ones, 1.0), np.zeros(203, dtype))
    assert_same_bits(grad.dropout(x, ones, 1), np.zeros(203, dtype))
    assert np.array_equal(fastact.dropout_mask(203, 0), ones)
    assert np.array_equal(fastact.dropout_mask((7, 29), 1), np.zeros(26, np.uint8))


@each_function
def test_almost_certain_outcomes(function):
    """Below 2**-33 p is as good as 0, above 1 - 2**-33 everything is dropped, and nothing becomes infinite."""
    x = normal(100_000)
    assert_same_bits(function(x, 1e-12, rng=1), x)
    y, mask = function(x, 1 - 1e-12, rng=1, return_mask=True)
    assert not mask.any()
    dropped = np.float32(affine(function, 1 - 1e-12)[2])
    assert_same_bits(y, np.full_like(x, dropped))
    for p in (1e-6, 1 - 1e-6, 2**-32, 1 - 2**-32):
        is_kept = philox_reference.keep(2, x.size, p)
        assert_is_dropout(function, function(x, p, rng=2), x, is_kept, p)


def test_out_in_a_tuple():
    """As ufuncs and normalizations take it."""
    x, mask = normal((5, 7)), fastact.dropout_mask(35, 0.5, rng=3)
    for call in (
        partial(fastact.dropout, x, 0.5, rng=3),
        partial(fastact.alpha_dropout, x, 0.5, rng=3),
        partial(fastact.apply_mask, x, mask, 0.5),
        partial(grad.dropout, x, mask, 0.5),
    ):
        out = np.zeros_like(x)
        assert call(out=(out,)) is out
        assert_same_bits(out, call())
        with pytest.raises(TypeError, match=r"out must be an array, got 'tuple'"):
            call(out=(out, out))


def test_not_training():
    x = normal((5, 7))
    for function in FUNCTIONS:
        generator = np.random.default_rng(3)
        y, mask = function(x, 0.5, training=False, rng=generator, return_mask=True)
        assert_same_bits(y, x)
        assert not np.shares_memory(x, y)
        assert np.array_equal(mask, philox_reference.packed(np.ones(35, bool)))
        assert generator.bytes(16) == np.random.default_rng(3).bytes(16)
        out = np.zeros_like(x)
        assert function(x, training=False, out=out) is out
        assert_same_bits(out, x)
        assert_same_bits(function(x, training=False, out=x), y)
        assert function(np.arange(3), training=False).dtype == np.float64


def test_alpha_dropout_keeps_mean_and_variance():
    x = fastact.selu(np.random.default_rng(1).standard_normal(2**22))
    for p in (0.05, 0.2, 0.5, 0.8):
        y = fastact.alpha_dropout(x, p, rng=7)
        assert abs(y.mean()) < 4e-3
        assert abs(y.var() - 1) < 1e-2


def test_dropout_keeps_the_mean():
    for p in (0.1, 0.5, 0.9):
        assert abs(fastact.dropout(np.ones(2**22), p, rng=3).mean() - 1) < 5 * math.sqrt(p / (1 - p) / 2**22)


# ---- The seed.


@each_function
def test_seeds(function):
    x = normal(1000)
    y = function(x, rng=5)
    assert_same_bits(function(x, rng=np.random.default_rng(5)), y)
    assert_same_bits(function(x, rng=np.int64(5)), y)
    assert not np.array_equal(function(x, rng=6), y)
    assert not np.array_equal(function(x), function(x))
    assert not np.array_equal(function(x, rng=None), y)


def test_a_generator_is_asked_once():
    """For 16 bytes, whatever the probability, the shape and the type."""
    for call in (
        lambda rng: fastact.dropout(np.ones(10), rng=rng),
        lambda rng: fastact.dropout(np.ones((300, 1000), np.float16).T, 0.0, rng=rng),
        lambda rng: fastact.dropout(np.ones((3, 4)), 1.0, axis=0, rng=rng, return_mask=True),
        lambda rng: fastact.alpha_dropout(np.ones((3, 4)), axis=1, rng=rng),
        lambda rng: fastact.dropout_mask(0, rng=rng),
    ):
        generator, other = np.random.default_rng(9), np.random.default_rng(9)
        call(generator)
        other.bytes(16)
        assert generator.bytes(16) == other.bytes(16)


def test_every_bit_generator():
    for kind in (np.random.MT19937, np.random.PCG64, np.random.Philox, np.random.SFC64):
        mask = fastact.dropout_mask(100, rng=np.random.Generator(kind(4)))
        words = philox_reference.words(np.random.Generator(kind(4)).bytes(16), 100)
        assert np.array_equal(mask, philox_reference.packed(words >= 2**31))


# ---- Layouts.


def laid_out(x):
    """Yield the same numbers in different layouts."""
    yield "contiguous", x.copy()
    yield "Fortran", np.asfortranarray(x)
    yield "strided", np.repeat(x, 2, axis=-1)[..., ::2]
    yield "reversed", x[::-1, ..., ::-1].copy()[::-1, ..., ::-1]
    yield "permuted", np.moveaxis(x, 0, -1).copy().transpose(-1, *range(x.ndim - 1))
    yield "sliced", np.pad(x, 3)[(slice(3, -3),) * x.ndim]
    yield "byte-swapped", x.astype(x.dtype.newbyteorder())
    unaligned = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    unaligned[...] = x
    yield "unaligned", unaligned
    read_only = x.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only


@each_float
@each_function
@pytest.mark.parametrize("shape", [(7, 11), (3, 50, 130), (700, 301)], ids=str)
def test_layouts(function, dtype, shape):
    x = normal(shape, dtype)
    y, mask = function(x, 0.3, rng=5, return_mask=True)
    for name, array in laid_out(x):
        result, bits = function(array, 0.3, rng=5, return_mask=True)
        assert_same_bits(result, y)
        assert np.array_equal(bits, mask), name
        assert_same_bits(function(array, 0.3, rng=5), y)
        assert_same_bits(fastact.apply_mask(array, mask, 0.3), fastact.apply_mask(x, mask, 0.3))
        for _, out in laid_out(np.full_like(x, 99)):
            if out.flags.writeable:
                assert function(array, 0.3, rng=5, out=out) is out
                assert_same_bits(out.astype(dtype), y)
        if array.flags.writeable:
            assert function(array, 0.3, rng=5, out=array) is array
            assert_same_bits(array.astype(dtype), y)


@each_function
def test_overlapping_memory(function):
    memory = normal(30_000)
    for shift in (1, 16, 333, 5000):
        for forward in (True, False):
            work = memory.copy()
            x, out = (work[:-shift], work[shift:]) if forward else (work[shift:], work[:-shift])
            expected = function(x.copy(), rng=5)
            function(x, rng=5, out=out)
            assert_same_bits(out, expected)
    work = memory.copy()
    expected = function(work.copy(), rng=5)
    function(work, rng=5, out=work[::-1])
    assert_same_bits(work[::-1].copy(), expected)


def test_mask_in_the_memory_of_the_result():
    x = normal(8000)
    mask = fastact.dropout_mask(8000, rng=1)
    expected = fastact.apply_mask(x, mask, 0.5)
    out = np.zeros(8000, np.float32)
    inside = out.view(np.uint8)[5:1005]
    inside[:] = mask
    assert_same_bits(fastact.apply_mask(x, inside, 0.5, out=out), expected)


@each_function
def test_empty_and_zero_dimensional(function):
    for shape in ((0,), (3, 0, 2)):
        y, mask = function(np.ones(shape, np.float32), rng=1, return_mask=True)
        assert y.shape == shape
        assert y.dtype == np.float32
        assert mask.shape == (0,)
        assert function(np.ones(shape, np.float32), rng=1, axis=0).shape == shape
    is_kept = philox_reference.keep(5, (), 0.5)
    y, mask = function(np.float32(3), rng=5, return_mask=True)
    assert isinstance(y, np.float32)
    assert mask.tolist() == [int(is_kept)]
    out = np.zeros(())
    assert function(3.0, rng=5, out=out) is out
    assert isinstance(function(3.0, rng=5), np.float64)
    assert isinstance(fastact.apply_mask(3.0, mask, 0.5), np.float64)


@each_function
@pytest.mark.parametrize(
    ("dtype", "result"),
    [
        (bool, np.float32),
        *((f"{u}int{bits}", np.float32 if bits <= 16 else np.float64) for u in ("", "u") for bits in (8, 16, 32, 64)),
    ],
)
def test_integers(function, dtype, result):
    x = np.arange(1000).astype(dtype)
    y = function(x, 0.3, rng=5)
    assert_same_bits(y, function(x.astype(result), 0.3, rng=5))


@each_function
def test_bfloat16(function):
    """As float16: computed in float32, rounded once, where it lies or through NumPy's iterator."""
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    for n in SIZES:
        x = normal(n, bfloat16)
        expected = function(x.astype(np.float32), 0.3, rng=5).astype(bfloat16)
        y, mask = function(x, 0.3, rng=5, return_mask=True)
        for result in (y, function(np.repeat(x, 2)[::2], 0.3, rng=5), function(x, 0.3, rng=5, out=np.empty_like(x))):
            assert result.dtype == bfloat16
            assert result.tobytes() == expected.tobytes()
        assert np.array_equal(mask, philox_reference.packed(philox_reference.keep(5, n, 0.3)))
        assert function(x, 0.0).tobytes() == x.tobytes()


@each_function
@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_every_number_of_16_bits(function, name):
    """Rounded once from what float32 gives; NaN stays NaN."""
    dtype = np.dtype(np.float16) if name == "float16" else np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    x = np.arange(2**16).astype(np.uint16).view(dtype)
    for p in (0.3, 0.5, 1 - 2.0**-30):
        y, mask = function(x, p, rng=5, return_mask=True)
        with np.errstate(all="ignore"):
            expected = function(x.astype(np.float32), p, rng=5).astype(dtype)
            masked = fastact.apply_mask(x.astype(np.float32), mask, p).astype(dtype)
        for result, wanted in ((y, expected), (fastact.apply_mask(x, mask, p), masked)):
            is_nan = np.isnan(wanted)
            assert np.array_equal(np.isnan(result), is_nan)
            assert np.array_equal(result.view(np.uint16)[~is_nan], wanted.view(np.uint16)[~is_nan])


@each_function
def test_lists_and_numbers(function):
    assert_same_bits(function([[1, 2], [3, 4]], rng=1), function(np.array([[1.0, 2.0], [3.0, 4.0]]), rng=1))


@each_function
def test_out_of_another_type(function):
    x = normal(9000)
    y = function(x, rng=5)
    for dtype in (np.float64, np.float16):
        out = np.zeros(9000, dtype)
        with np.errstate(all="raise"):
            assert function(x * np.float32(1e4), rng=5, out=out) is out
            assert function(x, rng=5, out=out) is out
        np.testing.assert_allclose(out, y, rtol=1e-3 if dtype == np.float16 else 0)


# ---- Shared draws.


@each_function
@pytest.mark.parametrize(
    ("axis", "drawn"),
    [
        (0, (5, 1, 1, 1)), (1, (1, 6, 1, 1)), (-1, (1, 1, 1, 8)), ((0, 1), (5, 6, 1, 1)), ((1, 0), (5, 6, 1, 1)),
        ((0, -1), (5, 1, 1, 8)), ((1, 2), (1, 6, 7, 1)), ((0, 1, 2, 3), (5, 6, 7, 8)), ([0], (5, 1, 1, 1)),
        ((), (1, 1, 1, 1)), (np.int64(2), (1, 1, 7, 1)),
    ],
)  # fmt: skip
def test_axis(function, axis, drawn):
    x = normal((5, 6, 7, 8))
    is_kept = np.broadcast_to(philox_reference.keep(5, drawn, 0.4), x.shape)
    for _, array in laid_out(x):
        y, mask = function(array, 0.4, axis=axis, rng=5, return_mask=True)
        assert_is_dropout(function, y, x, is_kept, 0.4)
        assert np.array_equal(mask, philox_reference.packed(is_kept))
        assert_same_bits(function(array, 0.4, axis=axis, rng=5, out=np.empty_like(x)), np.ascontiguousarray(y))


def test_axis_of_a_large_array():
    x = normal((16, 64, 33, 31))
    for axis in (0, 1, (0, 1), (0, 3), (2, 3), (1, 2, 3)):
        named = (axis,) if isinstance(axis, int) else axis
        drawn = tuple(length if k in named else 1 for k, length in enumerate(x.shape))
        is_kept = np.broadcast_to(philox_reference.keep(8, drawn, 0.5), x.shape)
        y, mask = fastact.dropout(x, axis=axis, rng=8, return_mask=True)
        assert_is_dropout(fastact.dropout, y, x, is_kept, 0.5)
        assert np.array_equal(mask, philox_reference.packed(is_kept))


@pytest.mark.parametrize(
    ("axis", "error"),
    [
        (2, IndexError), (-3, IndexError), (2**64, IndexError), ((0, 2**64), IndexError), ((0, 0), ValueError),
        ((0, -2), ValueError), (1.5, TypeError), ("0", TypeError), ((0, None), TypeError),
    ],
)  # fmt: skip
def test_bad_axis(axis, error):
    out = np.full((3, 4), 99.0)
    with pytest.raises(error, match=r"^dropout\(\): axis "):
        fastact.dropout(np.ones((3, 4)), axis=axis, out=out)
    assert np.array_equal(out, np.full((3, 4), 99.0))


# ---- Arguments.


def test_signatures_are_those_of_torch():
    for function in FUNCTIONS:
        parameters = inspect.signature(function).parameters
        assert [*parameters] == ["x", "p", "training", "rng", "axis", "out", "return_mask"]
        assert [parameter.default for parameter in parameters.values()][1:] == [0.5, True, None, None, None, False]
    assert [*inspect.signature(fastact.dropout_mask).parameters] == ["shape", "p", "rng"]
    assert [*inspect.signature(fastact.apply_mask).parameters] == ["x", "mask", "p", "out"]
    assert [*inspect.signature(grad.dropout).parameters][:3] == ["dy", "mask", "p"]


@pytest.mark.parametrize("p", [-0.1, 1.1, -1e-300, math.nextafter(1, 2), math.nan, math.inf, -math.inf])
def test_p_outside(p):
    out = np.full(3, 99.0)
    mask = np.array([7], np.uint8)
    for call in (
        lambda: fastact.dropout(np.ones(3), p, out=out),
        lambda: fastact.dropout(np.ones(3), p, training=False, out=out),
        lambda: fastact.alpha_dropout(np.ones(3), np.float32(p) if abs(p) > 1.05 else p, out=out),
        lambda: fastact.dropout_mask(3, p),
        lambda: fastact.apply_mask(np.ones(3), mask, p, out=out),
        lambda: grad.dropout(np.ones(3), mask, p, out=out),
    ):
        with pytest.raises(ValueError, match=r"\(\): p must be a number in \[0, 1\], got "):
            call()
    assert np.array_equal(out, np.full(3, 99.0))


@pytest.mark.parametrize("p", ["0.5", None, [0.5], np.array([0.5, 0.5]), 0.5j, b"1"], ids=repr)
def test_p_of_a_wrong_type(p):
    with pytest.raises(TypeError, match=r"dropout\(\): p must be a number in \[0, 1\], got "):
        fastact.dropout(np.ones(2), p)


def test_p_of_other_types():
    x = normal(1000)
    y = fastact.dropout(x, 0.5, rng=5)
    for p in (np.float64(0.5), np.float32(0.5), np.float16(0.5), np.array(0.5)):
        assert_same_bits(fastact.dropout(x, p, rng=5), y)
    for p in (1, True, np.int8(1)):
        assert_same_bits(fastact.dropout(x, p, rng=5), np.zeros_like(x))


@pytest.mark.parametrize("p", [10**400, -(10**400), Fraction(10**400)], ids=["large", "low", "fraction"])
def test_p_beyond_float(p):
    with pytest.raises(ValueError, match=r"dropout\(\): p must be a number in \[0, 1\], got "):
        fastact.dropout(np.ones(2), p)


@pytest.mark.parametrize("function", [fastact.dropout, fastact.alpha_dropout])
def test_p_that_drops_nothing(function):
    """What is kept is scaled as for any p: as float64 shows."""
    x, p = normal((30, 50)).astype(np.float64), 2.0**-40
    expected = x if function is fastact.alpha_dropout else x / (1 - p)
    for axis in (None, 0):
        y, mask = function(x, p, rng=3, axis=axis, return_mask=True)
        assert np.array_equal(mask, philox_reference.packed(np.ones(x.shape, bool)))
        np.testing.assert_allclose(y, expected, rtol=4e-16 if function is fastact.dropout else 1e-11, atol=1e-11)
        assert not np.array_equal(y, x)


def test_return_mask_without_a_truth_value():
    """It is looked at before anything is written."""
    out = np.full((3, 4), 99.0)
    with pytest.raises(ValueError, match="truth value"):
        fastact.dropout(np.ones((3, 4)), axis=0, out=out, return_mask=np.ones(2))
    assert (out == 99).all()


@pytest.mark.parametrize("mask", [
    np.zeros(1, np.uint8), np.zeros(3, np.uint8), np.zeros((1, 2), np.uint8), np.zeros((), np.uint8), np.zeros(2, bool),
    np.zeros(2, np.int8), np.zeros(2, np.uint16), np.zeros(9), np.zeros(9, bool), [0, 0], b"\0\0", None,
], ids=repr)  # fmt: skip
def test_bad_mask(mask):
    out = np.full(9, 99.0)
    for function, name in ((fastact.apply_mask, "x"), (grad.dropout, "dy")):
        demand = rf"\(\): mask must be a one-dimensional array of 2 uint8, a bit for each element of {name}, got "
        with pytest.raises(ValueError, match=demand):
            function(np.ones(9), mask, 0.5, out=out)
    assert np.array_equal(out, np.full(9, 99.0))


def test_mask_that_is_not_contiguous():
    x = normal(1000)
    mask = fastact.dropout_mask(1000, rng=3)
    assert_same_bits(fastact.apply_mask(x, np.repeat(mask, 2)[::2], 0.5), fastact.dropout(x, rng=3))
    assert_same_bits(fastact.apply_mask(x, mask[::-1].copy()[::-1], 0.5), fastact.dropout(x, rng=3))


def test_bits_beyond_the_last_do_not_matter():
    x = normal(13)
    mask = fastact.dropout_mask(13, rng=3)
    assert mask[1] < 32
    assert_same_bits(fastact.apply_mask(x, mask | np.array([0, 0xE0], np.uint8), 0.5), fastact.dropout(x, rng=3))


@pytest.mark.parametrize(
    ("x", "given"),
    [
        (np.ones(3, np.longdouble), "longdouble|float128"), (np.ones(3, np.complex64), "complex64"),
        (np.array(["1"]), "<U1"), (np.array([None]), "object"), ("text", "str"), (None, "NoneType"),
        ([1, None], "list"), (pandas.Series(["1"]), "object"),
    ],
)  # fmt: skip
def test_bad_x(x, given):
    mask = np.zeros(1, np.uint8)
    for call, name in (
        (fastact.dropout, "x"),
        (fastact.alpha_dropout, "x"),
        (lambda x: fastact.apply_mask(x, mask, 0.5), "x"),
        (lambda x: grad.dropout(x, mask, 0.5), "dy"),
    ):
        with pytest.raises(TypeError, match=rf"\(\): {name} must be .*({given})"):
            call(x)


READ_ONLY = np.full(3, 99.0, np.float32)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("out", "error"),
    [
        (np.full(4, 99, np.float32), ValueError), (np.full((1, 3), 99, np.float32), ValueError),
        (np.full(3, 99), TypeError), (np.full(3, True), TypeError), ([99.0] * 3, TypeError), ("out", TypeError),
        (READ_ONLY, ValueError), (np.float32(99), TypeError), (np.full(3, 99, object), TypeError),
    ],
    ids=["longer", "2-d", "integers", "bool", "list", "text", "read-only", "scalar", "objects"],
)  # fmt: skip
def test_bad_out(out, error):
    before = np.array(out)
    mask = np.zeros(1, np.uint8)
    for p in (0.0, 0.5, 1.0):
        for call in (
            lambda p: fastact.dropout(np.ones(3, np.float32), p, out=out),
            lambda p: fastact.alpha_dropout(np.ones(3, np.float32), p, training=False, out=out),
            lambda p: fastact.apply_mask(np.ones(3, np.float32), mask, p, out=out),
            lambda p: grad.dropout(np.ones(3, np.float32), mask, p, out=out),
        ):
            with pytest.raises(error, match=r"\(\): out must "):
                call(p)
    assert np.array_equal(out, before)


@pytest.mark.parametrize(
    ("rng", "error"), [("5", TypeError), (1.5, TypeError), (-1, ValueError), (object(), TypeError)]
)
def test_bad_rng(rng, error):
    out = np.full(3, 99.0)
    for call in (
        lambda: fastact.dropout(np.ones(3), rng=rng, out=out),
        lambda: fastact.dropout(np.ones(3), 0, rng=rng, out=out),
        lambda: fastact.dropout_mask(3, rng=rng),
    ):
        with pytest.raises(error, match=r"\(\): rng must be None, a non-negative integer or a numpy.random.Generator"):
            call()
    assert np.array_equal(out, np.full(3, 99.0))


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        (-1, ValueError),
        ((2, -3), ValueError),
        (1.5, TypeError),
        ("3", TypeError),
        ({3, 4}, TypeError),
        ({3: 1}, TypeError),
        (iter([3]), TypeError),
        (2**63, ValueError),
        ((2**40, 2**40), ValueError),
    ],
)
def test_bad_shape(shape, error):
    with pytest.raises(error, match=r"dropout_mask\(\): shape must be "):
        fastact.dropout_mask(shape)


def test_shapes():
    for shape in (12, (12,), (3, 4), [2, 6], np.array([2, 6]), np.int64(12), (np.int32(3), 4), (1, 3, 2, 2)):
        assert np.array_equal(fastact.dropout_mask(shape, rng=4), fastact.dropout_mask(12, rng=4))
    assert len(fastact.dropout_mask(())) == 1
    assert len(fastact.dropout_mask((3, 0))) == 0


def test_pickle():
    for function in (*FUNCTIONS, fastact.dropout_mask, fastact.apply_mask, grad.dropout):
        assert pickle.loads(pickle.dumps(function)) is function


# ---- Threads, instruction sets, the floating-point environment, page borders.


@each_float
def test_any_number_of_threads(dtype):
    n = 500_003
    x = normal(n, dtype)
    with fastact.threads(1):
        y, mask = fastact.dropout(x, 0.3, rng=5, return_mask=True)
        shared = fastact.dropout(x[:500_000].reshape(50, -1), 0.3, axis=0, rng=5)
    for threads in (2, 3, 7):
        with fastact.threads(threads):
            assert_same_bits(fastact.dropout(x, 0.3, rng=5), y)
            assert_same_bits(fastact.apply_mask(x, mask, 0.3), y)
            assert np.array_equal(fastact.dropout_mask(n, 0.3, rng=5), mask)
            assert_same_bits(fastact.dropout(x, 0.3, rng=5, out=x.copy()), y)
            assert_same_bits(fastact.dropout(x[:500_000].reshape(50, -1), 0.3, axis=0, rng=5), shared)
            for _, array in laid_out(x[:500_000].reshape(250, 8, -1)):
                assert_same_bits(fastact.dropout(array, 0.3, rng=5).ravel(), y[:500_000])


DIGEST = """
import hashlib, json
import numpy as np
import fastact
from fastact._kernels import random
from fastact._kernels.ufuncs import CHOSEN

seen = hashlib.sha256()
x = np.arange(-70_000, 70_001) / np.float64(7)
for dtype in (np.float16, np.float32, np.float64):
    for p in (1e-6, 0.1, 0.5, 0.9):
        y, mask = fastact.dropout(x.astype(dtype), p, rng=5, return_mask=True)
        seen.update(y.tobytes() + mask.tobytes())
        seen.update(fastact.apply_mask(x.astype(dtype)[::-1], mask, p).tobytes())
        seen.update(fastact.alpha_dropout(x.astype(dtype), p, rng=5).tobytes() if {fused} else b"")
    seen.update(random.uniform(1003, np.float32 if dtype == np.float16 else dtype, bytes(16)).tobytes())
seen.update(random.draw_runs(np.array([2**32 - 77, 2**35 - 77]), 300, bytes(16), 2**31).tobytes())
print(json.dumps([CHOSEN, seen.hexdigest()]))
"""


@pytest.mark.parametrize("fused", [False, True], ids=["without sums", "with fused sums"])
def test_every_instruction_set_gives_the_same_bits(fused):
    """All of them, but for the sum in alpha_dropout, which the oldest does not fuse."""
    from fastact._kernels.ufuncs import AVAILABLE

    sets = AVAILABLE[1:] if fused else AVAILABLE
    results = [processes.output_of(DIGEST.replace("{fused}", str(fused)), FASTACT_CPU=name) for name in sets]
    assert len({result.split()[1] for result in results}) <= 1
    assert [result.split('"')[1] for result in results] == list(sets)


@each_float
@each_function
def test_environment(function, dtype):
    x = np.resize(np.array([np.inf, np.nan, np.finfo(dtype).max, np.finfo(dtype).tiny, 1 / 3], dtype), 700)
    expected = function(x, 0.3, rng=5)
    narrow = np.empty(700, np.float16)
    mask = fastact.dropout_mask(700, 0.3, rng=5)
    for mode in (floating.UPWARD, floating.DOWNWARD, floating.TOWARD_ZERO):
        with floating.rounding(mode), np.errstate(all="raise"):
            results = [function(given, 0.3, rng=5) for given in (x, x[::-1][::-1], np.repeat(x, 2)[::2])]
            function(x, 0.3, rng=5, out=narrow)
            function(x, 0.0, out=narrow)
            fastact.apply_mask(x, mask, 0.3, out=narrow)
            assert floating.rounding_mode() == mode
        for result in results:
            assert_same_bits(result, expected)
    floating.clear_flags()
    function(x, 0.3, rng=5)
    function(x[::2], 0.3, rng=5)
    function(x, 0.0, out=narrow)
    assert floating.flags() == 0


PAGES = """
import itertools
import numpy as np
import fastact, guard

pages = [guard.GuardedPage() for _ in range(3)]
checked = 0
for dtype, is_at_end, n in itertools.product((np.float16, np.float32, np.float64), (False, True), range(1, 300)):
    x, out = (page.array(n, np.dtype(dtype), is_at_end) for page in pages[:2])
    mask = pages[2].array((n + 7) // 8, np.dtype(np.uint8), is_at_end)
    x[:] = np.arange(n)
    expected, bits = fastact.dropout(x.copy(), 0.4, rng=5, return_mask=True)
    mask[:] = bits
    for call in (
        lambda: fastact.dropout(x, 0.4, rng=5, out=out),
        lambda: fastact.apply_mask(x, mask, 0.4, out=out),
        lambda: fastact.apply_mask(x[::-1], mask, 0.4, out=out[::-1]),
    ):
        out[:] = 0
        call()
        checked += 1
    out[:] = 0
    fastact.apply_mask(x, mask, 0.4, out=out)
    assert np.array_equal(out, expected)
print(checked)
"""


@pytest.mark.parametrize("instruction_set", ["baseline", "avx2", "avx512"])
def test_page_borders(instruction_set):
    from fastact._kernels.ufuncs import AVAILABLE

    if instruction_set not in AVAILABLE:
        pytest.skip(f"this processor has no {instruction_set}")
    assert processes.output_of(PAGES, FASTACT_CPU=instruction_set) == str(3 * 3 * 2 * 299)
