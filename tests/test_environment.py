"""Floating-point flags, rounding mode and warnings: the caller's stay as they are, and no result depends on them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastact
import floating
import sampling
from cases import assert_same_bits, each_case, each_float

LENGTHS = (1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 70, 1000, 140_000)
EXTREME_PARAMETERS = (0.0, -0.0, 1.0, -1.0, 1e-30, 1e30, 3e38, -3e38, 1e-45, np.inf, -np.inf, np.nan)


def extremes(dtype, n):
    """Return n values, special and huge ones first."""
    hard = np.concatenate([sampling.specials(dtype), sampling.around([88.7, -103.9, 709.7, -745.1], dtype)])
    bits = sampling.common(np.dtype(dtype), 4096, 4096)
    return np.resize(np.concatenate([hard[::-1], hard, bits]), n)


@each_float
@each_case
def test_no_warning(case, dtype):
    with np.errstate(all="raise"):
        for n in LENGTHS:
            values = extremes(dtype, n)
            for shift in range(min(n, 40)):
                arrays = (np.roll(values, 3 * shift), np.roll(values, shift))[-case.arrays :]
                case.public(*arrays)
                case.raw(*arrays)
            case.public(*case.same_inputs(values[::-1]))
            case.public(*case.same_inputs(values), out=np.empty(2 * n, dtype)[::2])


@each_float
@each_case
def test_no_warning_for_single_values(case, dtype):
    with np.errstate(all="raise"):
        for value in extremes(dtype, 400):
            case.public(*case.same_inputs(value))
            case.public(*case.same_inputs(float(value)))


@each_float
@each_case
def test_no_warning_for_any_parameter(case, dtype):
    values = extremes(dtype, 300)
    count = len(case.row.parameters)
    with np.errstate(all="raise"):
        for parameter in EXTREME_PARAMETERS if count else ():
            with np.errstate(all="ignore"):
                fitted = dtype.type(parameter)
            numbers = (float(fitted), fitted) if case.row.is_in_range([float(fitted)] * count) else ()
            for given in (*numbers, np.full(300, fitted)):
                result = case.public(*case.same_inputs(values), *[given] * count)
                assert result.dtype == dtype


@each_case
def test_python_parameters_too_large_for_float32(case):
    if case.row.parameters:
        with np.errstate(all="raise"):
            for n in (1, 50):
                values = np.linspace(-3, 3, n, dtype=np.float32)
                count = len(case.row.parameters)
                for huge in (1e300, 10**30, 10**400):
                    fitted = np.float32(np.inf) if huge > 1e38 else np.float32(huge)
                    expected = case.public(*case.same_inputs(values), *[fitted] * count)
                    assert_same_bits(case.public(*case.same_inputs(values), *[huge] * count), expected)


@each_float
@each_case
def test_nan_stays_in_its_place(case, dtype):
    """NaN comes out where it went in, and nowhere else."""
    for n in (1, 16, 37, 70):
        for place in range(n):
            arrays = case.inputs(n, dtype)
            arrays[0][place] = np.nan
            assert np.array_equal(np.isnan(case.public(*arrays)), expected_nan(case, arrays))


def expected_nan(case, arrays):
    """Return where NaN has to be: for a gradient, unless the derivative is a constant 0 there."""
    if not case.is_gradient:
        return np.isnan(arrays[0])
    slope = case.public(np.ones_like(arrays[0]), arrays[1])
    single = [np.isnan(case.public(dy, x)) for dy, x in zip(*arrays, strict=True)]
    assert all(single[k] or slope[k] == 0 for k in np.flatnonzero(np.isnan(arrays[0])))
    return np.array(single)


@each_case
def test_nan_parameters(case):
    for k in range(len(case.row.parameters)):
        parameters = list(case.defaults)
        parameters[k] = np.nan
        x = np.linspace(-3, 3, 50, dtype=np.float32)
        assert np.isnan(case.public(*case.same_inputs(x), *parameters)).any()


# ---- Flags and modes.


@each_float
@each_case
def test_flags_are_not_raised(case, dtype):
    for n in (1, 40, 1000, 140_000):
        arrays = case.same_inputs(extremes(dtype, n))
        out = np.empty(n, dtype)
        for call in (case.public, case.with_parameters(dtype)):
            for target in (out, out[::-1]):
                floating.clear_flags()
                call(*arrays, out=target)
                assert floating.flags() == 0


@each_float
@each_case
def test_flags_are_not_cleared(case, dtype):
    """NumPy itself clears the flags before a ufunc: what is ours are the calls that go round it."""
    if not case.row.parameters:
        return
    arrays = case.same_inputs(extremes(dtype, 1000))
    floating.clear_flags()
    floating.raise_flags()
    raised = floating.flags()
    case.public(*arrays)
    assert floating.flags() == raised != 0
    floating.clear_flags()


@each_float
@each_case
@pytest.mark.parametrize("mode", [floating.UPWARD, floating.DOWNWARD, floating.TOWARD_ZERO])
def test_rounding_mode(case, dtype, mode):
    """Results have the bits of round-to-nearest in any mode, and the mode stays; in worker threads as well."""
    for n in (1, 77, 1000, 200_000):
        arrays = case.inputs(n, dtype)
        strided = tuple(np.repeat(array, 2)[::2] for array in arrays)
        expected = case.public(*arrays)
        for call in (case.public, case.with_parameters(dtype)):
            for given in (arrays, strided):
                with floating.rounding(mode):
                    result = call(*given)
                    seen = floating.rounding_mode()
                assert seen == mode
                assert_same_bits(result, expected)
    assert floating.rounding_mode() == 0


def test_python_numbers_beside_rows_of_large_arrays():
    """Rounded to the nearest float32, which 0.7 is above, and without a flag."""
    x = np.full((200, 310), -1, np.float32)[:, :300]
    with floating.rounding(floating.UPWARD):
        floating.clear_flags()
        y = fastact.ufuncs.leaky_relu(x, 0.7)
        seen = floating.flags()
    assert np.all(y == -np.float32(0.7))
    assert seen == 0


@each_float
@each_case
def test_single_values_under_another_rounding_mode(case, dtype):
    for x in (dtype.type(-0.7), dtype.type(1.9)):
        expected = case.public(*case.same_inputs(x))
        with floating.rounding(floating.UPWARD):
            result = case.public(*case.same_inputs(x))
        assert_same_bits(result, expected)


@pytest.mark.skipif(not floating.IS_X86_64, reason="the control register is MXCSR on x86-64 only")
@each_float
@each_case
def test_flushed_subnormals(case, dtype):
    """A library that set flush-to-zero changes nothing here, and finds it set afterwards."""
    smallest = sampling.finfo(dtype).smallest_subnormal
    for n in (1, 50, 200_000):
        x = np.resize((np.arange(1, 41) * smallest * 3).astype(dtype) * np.array([1, -1], dtype)[[0, 1] * 20], n)
        arrays = (np.ones_like(x), x)[-case.arrays :]
        expected = case.public(*arrays)
        for call in (case.public, case.raw):
            with floating.subnormals_flushed():
                before = floating.control_register()
                result = call(*arrays)
                after = floating.control_register()
            assert before == after
            assert before & floating.FLUSH_TO_ZERO == floating.FLUSH_TO_ZERO
            assert_same_bits(result, expected)


def test_flags_of_a_thread_of_the_caller():
    """The flags belong to a thread: one that is not the main one keeps its own, too."""
    values = extremes(np.float32, 200_000)

    def flags_after():
        floating.clear_flags()
        fastact.elu(values)
        return floating.flags()

    with ThreadPoolExecutor(4) as executor:
        assert [executor.submit(flags_after).result() for _ in range(8)] == [0] * 8


def test_the_flags_of_these_tests_are_seen():
    """The test of the test: NumPy's exp raises them."""
    floating.clear_flags()
    with np.errstate(all="ignore"):
        np.exp(np.array([1e30, -1e30, 0.3], np.float32))
    assert floating.LIBRARY.fetestexcept(floating.ALL_FLAGS) != 0
    floating.clear_flags()
