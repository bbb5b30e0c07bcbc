"""Every operator and gradient against an exact reference, in ULP, over bit space."""

import math
import re

import numpy as np
import pytest

import accuracy
import fastact
import references
import sampling
import ulp
from accuracy import UPSTREAM
from cases import FLOATS, assert_same_bits, cases_of, each_case, each_dtype, each_entry, each_row
from fastact._kernels.registry import OPERATORS

FLOAT32_BITS, FLOAT32_GRID = 2**21, 2**20
GRADIENT_STEP = 3
FLOAT64_BITS, FLOAT64_GRID = 1600, 1600
LARGEST_PIECES = 4
EXHAUSTIVE_PARTS = 64


def float32_sample(row, parameters):
    return sampling.sample(np.float32, parameters, row.kinks_for(parameters), FLOAT32_BITS, FLOAT32_GRID)


def float64_sample(row, parameters):
    """Return fewer: mpmath takes 0.1 ms a function. Of the neighbours, every third."""
    x = sampling.sample(np.float64, parameters, row.kinks_for(parameters), FLOAT64_BITS, FLOAT64_GRID)
    x = np.concatenate([x[: FLOAT64_BITS + FLOAT64_GRID], x[FLOAT64_BITS + FLOAT64_GRID :: 23]])
    return x[np.isfinite(x)]


@each_entry
def test_float32(row, parameters):
    worst = accuracy.in_blocks(accuracy.forward_float32, row, parameters, float32_sample(row, parameters))
    assert worst.ulp <= row.ulp_float32, worst


@each_entry
def test_float32_gradient(row, parameters):
    x = float32_sample(row, parameters)[::GRADIENT_STEP]
    worst = accuracy.in_blocks(accuracy.gradient_float32, row, parameters, x, UPSTREAM["float32"])
    assert worst.ulp <= row.ulp_gradient, worst


@pytest.mark.parametrize("row", [row for row in OPERATORS if row.grad_zeros], ids=lambda row: row.name)
def test_gradient_next_to_its_zeros(row):
    """Every number there: at two of float32, grad.gelu had the wrong sign."""
    places, parameters = [place for place, _ in row.grad_zeros], row.tested_parameters[0]
    worst = accuracy.gradient_float32(row, parameters, sampling.around(places, np.float32), UPSTREAM["float32"])
    assert worst.ulp <= row.ulp_gradient, worst
    worst = accuracy.gradient_float64(row, parameters, sampling.around(places, np.float64))
    assert worst.ulp <= row.ulp_gradient, worst


@each_entry
def test_float64(row, parameters):
    worst = accuracy.forward_float64(row, parameters, float64_sample(row, parameters))
    assert worst.ulp <= row.ulp_float64, worst


@each_entry
def test_float64_gradient(row, parameters):
    worst = accuracy.gradient_float64(row, parameters, float64_sample(row, parameters)[::2])
    assert worst.ulp <= row.ulp_gradient, worst


@each_dtype
@each_entry
def test_limits(row, parameters, dtype):
    """At infinity the reference's limits, which have no digits in float64 either; NaN stays NaN."""
    operator, _ = cases_of(row)
    x = np.array([np.inf, -np.inf, np.nan], dtype)
    computed = operator.public(x, *parameters)
    exact = references.exact_float32(row, x.astype(np.float32), parameters)
    np.testing.assert_allclose(computed, exact, rtol=1e-6, atol=0)
    assert np.array_equal(np.signbit(computed[computed == 0]), np.signbit(exact[exact == 0]))


@each_dtype
@each_entry
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_zeros(row, parameters, dtype, zero):
    """A zero has the definition's sign as an IEEE 754 product, or the sign of the slope where that says nothing."""
    operator, _ = cases_of(row)
    computed = operator.public(np.array([zero], dtype), *parameters)
    exact = references.exact_float32(row, np.array([zero], np.float32), parameters)
    if exact[0] == 0:
        possible = {np.signbit(exact[0]), np.signbit(references.zero_by_slope(row, zero, parameters))}
        assert computed[0] == 0
        assert np.signbit(computed[0]) in possible
    else:
        np.testing.assert_allclose(computed, exact, rtol=1e-6, atol=0)


def documented_values(row):
    """Return (argument, value) for each "NAME(argument) = value" of the row's text."""
    names = {"inf": np.inf, "NaN": np.nan, "scale": 1.0507009873554805, "alpha": 1.6732632423543772}
    names |= {parameter.name: value for parameter, value in zip(row.parameters, row.tested_parameters[0], strict=True)}
    found = re.findall(rf"\b{row.name}\(([^()]+)\) = ([^\s,;]+)", row.special_values)
    return [(float(argument.lower()), float(eval(value.rstrip("."), names))) for argument, value in found]


@each_dtype
@each_row
def test_documented_values(row, dtype):
    operator, _ = cases_of(row)
    for argument, value in documented_values(row):
        computed = operator.public(np.array([argument], dtype))
        np.testing.assert_allclose(computed, value, rtol=2 * np.finfo(dtype).eps, atol=0)
        assert np.isnan(value) or np.signbit(computed[0]) == np.signbit(value)


@each_dtype
@each_entry
def test_gradient_at_infinity(row, parameters, dtype):
    """The limit of the derivative, which is reached long before the largest number."""
    _, gradient = cases_of(row)
    ends = np.array([np.finfo(dtype).max, -np.finfo(dtype).max], dtype)
    infinities = np.array([np.inf, -np.inf], dtype)
    dy = np.full_like(ends, 2.0)
    assert_same_bits(gradient.public(dy, infinities, *parameters) + 0, gradient.public(dy, ends, *parameters) + 0)


@each_dtype
@each_entry
def test_gradient_at_nan(row, parameters, dtype):
    """NaN, or the value of one of the pieces where the derivative is constant between kinks."""
    _, gradient = cases_of(row)
    pieces = np.unique(references.exact_slope(row, sampling.dense(np.float32, 4096), parameters))
    dx = gradient.public(dtype.type(2), np.array([np.nan], dtype), *parameters)
    may_be_a_number = len(pieces) <= LARGEST_PIECES
    assert np.isnan(dx[0]) or (may_be_a_number and np.any(np.isclose(dx[0], 2 * pieces, rtol=1e-6)))


@each_dtype
@each_entry
def test_gradient_of_nan(row, parameters, dtype):
    """NaN from above is not lost: it comes out wherever the derivative is a product, and never as infinity."""
    _, gradient = cases_of(row)
    x = sampling.dense(dtype, 256)
    dx = gradient.public(dtype.type(np.nan), x, *parameters)
    is_constant_zero = references.exact_slope(row, x.astype(np.float32), parameters) == 0
    assert np.all(np.isnan(dx) | (is_constant_zero & (dx == 0)))


@each_dtype
@each_entry
def test_odd(row, parameters, dtype):
    operator, _ = cases_of(row)
    x = sampling.common(dtype, 2**14, 2**14)
    x = x[~np.isnan(x)]
    if row.odd:
        # Adding 0 makes every zero +0.0: their signs are another test's matter.
        assert_same_bits(operator.public(-x, *parameters) + 0, -operator.public(x, *parameters) + 0)
    elif row.odd is not None:
        assert np.any(operator.public(-x, *parameters) != -operator.public(x, *parameters))


@each_dtype
@each_entry
def test_monotone(row, parameters, dtype):
    """Where the function never falls, results never fall by more than two of their errors."""
    if not row.monotone:
        return
    operator, _ = cases_of(row)
    x = np.sort(sampling.common(dtype, 2**15, 2**15))
    x = x[~np.isnan(x)]
    y = operator.public(x, *parameters)
    bound = {"float32": row.ulp_float32, "float64": row.ulp_float64}[dtype.name]
    y = y[np.isfinite(y)]
    with np.errstate(over="ignore"):
        falls = -np.diff(y)
        assert np.all(falls <= 4 * bound * np.spacing(np.abs(y[1:]) / 2))


@each_case
def test_the_public_function_and_the_ufunc_agree(case):
    x = sampling.common(np.float32, 2**14, 2**14)
    arrays = case.same_inputs(x)
    assert_same_bits(case.public(*arrays), case.raw(*arrays))


# ---- The tests of the tests.


def test_metric_in_known_cases():
    one = np.float32(1)
    smallest = np.float32(1e-45)
    huge = np.finfo(np.float32).max
    table = [
        (one, 1.0, 0.0),
        (np.nextafter(one, np.float32(2)), 1.0, 1.0),
        (np.nextafter(one, np.float32(0)), 1.0, 0.5),
        (smallest, 0.0, 1.0),
        (np.float32(0), 0.25 * float(smallest), 0.25),
        (3 * smallest, float(smallest), 2.0),
        (np.float32(np.inf), 2.0**128, 0.0),
        (np.float32(np.inf), 1e300, 0.0),
        (huge, 1e300, 1.0),
        (np.float32(np.inf), float(huge), 1.0),
        (huge, np.inf, np.inf),
        (np.float32(np.nan), 1.0, np.inf),
        (one, np.nan, np.inf),
        (np.float32(np.nan), np.nan, 0.0),
        (np.float32(-0.0), 0.0, np.inf),
        (np.float32(0.0), -0.0, np.inf),
        (np.float32(0.0), -1e-300, np.inf),
        (-smallest, 1e-45, np.inf),
        (np.float32(-np.inf), np.inf, np.inf),
    ]
    for computed, exact, expected in table:
        error = ulp.errors(np.array([computed], np.float32), np.array([exact]))[0]
        assert error == expected, (computed, exact, error)


def test_metric_of_numbers_in_known_cases():
    two, mpf = np.float64(2), references.mpmath.mpf
    smallest, huge = np.float64(5e-324), np.finfo(np.float64).max
    assert ulp.error_of_number(two, mpf(2)) == 0
    assert ulp.error_of_number(np.nextafter(two, np.float64(3)), mpf(2)) == 1
    assert ulp.error_of_number(np.nextafter(two, np.float64(1)), mpf(2)) == 0.5
    assert ulp.error_of_number(np.float64(0), mpf(float(smallest)) / 4) == 0.25
    assert ulp.error_of_number(smallest, mpf(0)) == 1
    assert ulp.error_of_number(np.float64(-0.0), mpf("1e-400")) == np.inf
    assert ulp.error_of_number(np.float64(np.inf), mpf("1e400")) == 0
    assert ulp.error_of_number(huge, mpf("1e400")) == 1
    assert ulp.error_of_number(np.float64(np.nan), mpf(1)) == np.inf


@each_entry
def test_a_result_too_far_off_is_seen(row, parameters):
    """So is one whose exponential had a coefficient wrong in its twentieth bit, wherever it matters."""
    operator, _ = cases_of(row)
    x = sampling.common(np.float32, 2**12, 2**12)
    exact = references.exact_float32(row, x, parameters)
    computed = operator.public(x, *parameters)
    moved = computed
    with np.errstate(all="ignore"):
        for _ in range(math.ceil(2 * row.ulp_float32) + 1):
            moved = np.nextafter(moved, np.float32(np.inf))
    ordinary = np.isfinite(moved) & (np.abs(exact) < ulp.unit(np.array(1e38)))
    assert np.all(ulp.errors(moved, exact)[ordinary & (computed > 0)] > row.ulp_float32)
    with np.errstate(all="ignore"):
        mutated = (exact * (1 + 2.0**-20)).astype(np.float32)
    normal = ordinary & (np.abs(exact) > np.finfo(np.float32).smallest_normal * 16)
    assert np.all(ulp.errors(mutated, exact)[normal] > row.ulp_float32)


def test_a_constant_sample_is_refused():
    for dtype in FLOATS:
        with pytest.raises(AssertionError):
            sampling.assert_spread(np.full(1000, 1.5, dtype))
        with pytest.raises(AssertionError):
            sampling.assert_spread(np.linspace(-5, 5, 1000, dtype=dtype))


# ---- Everything.


def every_float32(block):
    """Return block number `block` of all bit patterns."""
    first = block * accuracy.BLOCK
    return np.arange(first, first + accuracy.BLOCK, dtype=np.uint32).view(np.float32)


def exhaustive(measure, row, parameters, *rest):
    blocks = 2**32 // accuracy.BLOCK
    parts = [range(first, blocks, EXHAUSTIVE_PARTS) for first in range(EXHAUSTIVE_PARTS)]

    def worst_of_part(part):
        return accuracy.worst_of(measure(row, parameters, every_float32(block), *rest) for block in part)

    return accuracy.side_by_side(worst_of_part, parts)


@each_row
def test_the_blocks_of_everything(row):
    """The blocks of the slow test around 0, infinity and the signalling NaNs, of both signs."""
    for parameters in row.tested_parameters[:1]:
        for first in (0x00000000, 0x7F7F0000, 0x7F800000, 0x7FC00000, 0x80000000, 0xFF800000, 0xFFFF0000):
            x = every_float32(first // accuracy.BLOCK)
            assert accuracy.forward_float32(row, parameters, x).ulp <= row.ulp_float32
            assert accuracy.gradient_float32(row, parameters, x, (1.0,)).ulp <= row.ulp_gradient
    assert np.isnan(every_float32(0x7F800000 // accuracy.BLOCK)).sum() == accuracy.BLOCK - 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
@each_row
def test_all_float32(row, capsys):
    for parameters in row.tested_parameters[:1]:
        worst = exhaustive(accuracy.forward_float32, row, parameters)
        gradient = exhaustive(accuracy.gradient_float32, row, parameters, (1.0,))
        with capsys.disabled():
            print(f"\n{row.name}{parameters}: {worst.ulp:.4f} ULP at {worst.x!r}", end="; ")
            print(f"gradient: {gradient.ulp:.4f} ULP at {gradient.x!r}")
        assert worst.ulp <= row.ulp_float32, worst
        assert gradient.ulp <= row.ulp_gradient, gradient


def test_threads_of_the_tests_are_put_back():
    before = fastact.get_num_threads()
    accuracy.side_by_side(lambda _: accuracy.Worst(0.0, 0.0), [1, 2])
    assert fastact.get_num_threads() == before
