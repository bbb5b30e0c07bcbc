"""Parameters: names, defaults, broadcasting, types, errors."""

import inspect
import itertools

import numpy as np
import pytest

import sampling
from cases import CASES, FLOATS, assert_same_bits, each_float

PARAMETRIZED = [case for case in CASES if case.row.parameters]
each_parametrized = pytest.mark.parametrize("case", PARAMETRIZED, ids=[case.name for case in PARAMETRIZED])


def columns_of(case, dtype):
    """Return the row's parameters that are tested, as a column for each parameter, as a type has them."""
    with np.errstate(over="ignore"):
        return np.array(case.row.tested_parameters).astype(dtype)


@each_parametrized
def test_signature(case):
    parameters = list(inspect.signature(case.function).parameters.values())
    names = [*case.array_names, *(parameter.name for parameter in case.row.parameters), "options"]
    assert [parameter.name for parameter in parameters] == names
    given = [parameter.default for parameter in parameters[case.arrays : -1]]
    known = [parameter.default for parameter in case.row.parameters]
    assert given == [inspect.Parameter.empty if default is None else default for default in known]
    assert all(parameter.default is inspect.Parameter.empty for parameter in parameters[: case.arrays])
    assert parameters[-1].kind is inspect.Parameter.VAR_KEYWORD
    assert case.function.__module__ == ("fastact.grad" if case.is_gradient else "fastact.activations")
    assert case.function.__name__ == case.function.__qualname__ == case.row.name


@each_float
@each_parametrized
def test_by_position_by_name_and_by_default(case, dtype):
    arrays = case.inputs(50, dtype)
    names = [parameter.name for parameter in case.row.parameters]
    assert_same_bits(case.public(*arrays), case.public(*arrays, *case.defaults))
    for parameters in case.row.tested_parameters:
        expected = case.public(*arrays, *parameters)
        assert_same_bits(case.public(*arrays, **dict(zip(names, parameters, strict=True))), expected)
        by_name = dict(zip(case.array_names, arrays, strict=True)) | dict(zip(names, parameters, strict=True))
        assert_same_bits(case.public(**by_name), expected)


@each_float
@each_parametrized
def test_nan_stays_nan(case, dtype):
    """For parameters of any size: of x in an operator, of dy in a gradient."""
    info = sampling.finfo(dtype)
    sizes = [0.0, info.smallest_subnormal, 1.0, info.max, np.inf, np.nan]
    numbers = np.array([*sizes, *[-size for size in sizes]]).astype(dtype)
    x = np.full(3, np.nan, dtype)
    for parameters in itertools.product(numbers, repeat=len(case.defaults)):
        result = case.ufunc(*(x, np.ones_like(x))[: case.arrays], *[np.full_like(x, number) for number in parameters])
        # 0 times dy is 0 where the derivative is one of a few numbers.
        assert (np.isnan(result) | (case.is_gradient & (result == 0))).all(), parameters


@each_parametrized
def test_values_matter(case):
    arrays = case.inputs(50)
    results = {case.public(*arrays, *parameters).tobytes() for parameters in case.row.tested_parameters}
    assert len(results) == len(set(case.row.tested_parameters)) >= 3


@each_float
@each_parametrized
def test_any_kind_of_number(case, dtype):
    """A Python float, a NumPy number, a 0-d array and an array of the same value give the same bits."""
    arrays = case.inputs(50, dtype)
    for given, numbers in zip(case.row.tested_parameters, columns_of(case, dtype), strict=True):
        parameters = given if dtype in FLOATS else [float(number) for number in numbers]
        expected = case.public(*arrays, *parameters)
        assert_same_bits(case.public(*arrays, *numbers), expected)
        assert_same_bits(case.public(*arrays, *map(np.array, numbers)), expected)
        assert_same_bits(case.public(*arrays, *(np.full(50, number) for number in numbers)), expected)
        assert_same_bits(case.public(*arrays, *(np.full(1, number) for number in numbers)), expected)
        assert_same_bits(case.ufunc(*arrays, *parameters), expected)


@each_float
@each_parametrized
def test_python_parameters_are_weak(case, dtype):
    """They take the array's precision on every path: contiguous, strided, 0-d, small integers."""
    arrays = case.inputs((50, 2), dtype)
    for parameters in case.row.tested_parameters:
        expected = case.public(*arrays, *parameters)
        strided = case.public(*(array[:, 1] for array in arrays), *parameters)
        assert_same_bits(strided, expected[:, 1].copy())
        number = case.public(*(array[3, 1] for array in arrays), *parameters)
        assert_same_bits(number, expected[3, 1])


@each_parametrized
def test_small_integers_with_python_parameters_are_float32(case):
    x = np.array([-3, 0, 5], np.int8)
    expected = case.public(*case.same_inputs(x.astype(np.float32)))
    assert_same_bits(case.public(*case.same_inputs(x)), expected)
    if case.is_gradient:
        assert case.public(0.5, x).dtype == np.float32


@each_parametrized
def test_python_ints_and_bools(case):
    arrays = case.inputs(50)
    for number in (1, 2, True):
        given = [number] * len(case.defaults)
        assert_same_bits(case.public(*arrays, *given), case.public(*arrays, *map(float, given)))


@each_float
@each_parametrized
def test_a_value_for_each_channel(case, dtype):
    channels = columns_of(case, dtype)
    shape = (2, len(channels), 3, 4)
    arrays = case.inputs(shape, dtype)
    columns = [channels[:, k].reshape(-1, 1, 1) for k in range(len(case.defaults))]
    result = case.public(*arrays, *columns)
    assert result.shape == shape
    for k, parameters in enumerate(channels):
        per_channel = case.public(*(array[:, k].copy() for array in arrays), *map(float, parameters))
        assert_same_bits(result[:, k].copy(), per_channel)


@each_float
@each_parametrized
def test_a_value_for_each_element(case, dtype):
    """Also enough of them for threads."""
    for n in (1, 70, 3000, 140_000):
        arrays = case.inputs(n, dtype)
        columns = np.resize(columns_of(case, dtype), (n, len(case.defaults))).T
        result = case.public(*arrays, *columns)
        for place in {0, n // 2, n - 1}:
            single = case.public(*(array[place : place + 1] for array in arrays), *map(float, columns[:, place]))
            assert_same_bits(result[place], single[0])
        contiguous = case.public(*arrays, *(column.copy() for column in columns))
        assert_same_bits(contiguous, result)


@each_parametrized
def test_wider_parameters_widen(case):
    """An array of parameters is an operand like any other: float64 with float32 gives float64."""
    arrays = case.inputs(5)
    columns = [np.full(5, default) for default in case.defaults]
    assert case.public(*arrays, *columns).dtype == np.float64


@each_parametrized
@pytest.mark.parametrize("bad", ["text", None, 1j, [1, "a"], Ellipsis, np.ones(3, np.complex64), b"1"], ids=repr)
def test_bad_parameters(case, bad):
    out = np.full(3, 99, np.float32)
    for k, parameter in enumerate(case.row.parameters):
        given = list(case.defaults)
        given[k] = bad
        message = rf"{case.name}\(\): {parameter.name} must be a real number or an array of real numbers, got "
        with pytest.raises(TypeError, match=message):
            case.public(*case.inputs(3), *given, out=out)
        with pytest.raises(TypeError):
            case.ufunc(*case.inputs(3), *given, out=out)
    assert np.all(out == 99)


@each_parametrized
def test_parameters_that_do_not_fit(case):
    out = np.full(3, 99, np.float32)
    with pytest.raises(ValueError, match="broadcast"):
        case.public(*case.inputs(3), *[np.ones(4, np.float32)] * len(case.defaults), out=out)
    assert np.all(out == 99)


@each_parametrized
def test_ragged_parameters(case):
    with pytest.raises(ValueError, match=case.row.parameters[0].name):
        case.public(*case.inputs(3), [[1.0], [1.0, 2.0]], *case.defaults[1:])


@each_parametrized
def test_unknown_parameter(case):
    with pytest.raises(TypeError):
        case.public(*case.inputs(3), no_parameter=1.0)
    with pytest.raises(TypeError):
        case.public(*case.inputs(3), *case.defaults, **{case.row.parameters[0].name: 1.0})


# ---- Parameters that have to be given, and ranges.


@each_parametrized
def test_required_parameters(case):
    if case.row.required:
        with pytest.raises(TypeError, match=f"missing .*{case.row.parameters[0].name}"):
            case.function(*case.inputs(3))
    else:
        assert_same_bits(case.function(*case.inputs(3)), case.function(*case.inputs(3), *case.defaults))


OUT_OF_RANGE = {
    "hardtanh": ((1.0, -1.0), (0.5, 0)),
    "softshrink": ((-1.0,), (-1e-45,)),
    "celu": ((0.0,), (0,), (-0.0,)),
}
each_out_of_range = pytest.mark.parametrize(
    ("case", "parameters"),
    [(case, parameters) for case in PARAMETRIZED for parameters in OUT_OF_RANGE.get(case.row.name, ())],
    ids=lambda value: getattr(value, "name", None) or str(value),
)


def test_ranges_are_known():
    assert {case.row.name for case in PARAMETRIZED if case.row.range is not None} == set(OUT_OF_RANGE)


@each_out_of_range
def test_out_of_range(case, parameters):
    """As torch; arrays of parameters are not checked, and NaN is no number that could be out of range."""
    demand = case.row.range.demand
    out = np.full(3, 99, np.float32)
    for given in (parameters, tuple(np.float64(p) for p in parameters), tuple(np.float32(p) for p in parameters)):
        with pytest.raises(ValueError, match=rf"^{case.name}\(\): {demand}, got .*{case.row.parameters[0].name}="):
            case.public(*case.inputs(3), *given, out=out)
    assert np.all(out == 99)
    columns = [np.full(3, parameter, np.float32) for parameter in parameters]
    assert case.public(*case.inputs(3), *columns, out=out) is out


@each_parametrized
def test_nan_parameters_are_in_range(case):
    count = len(case.row.parameters)
    assert np.isnan(case.public(*case.same_inputs(np.float32(-1)), *[np.nan] * count))
