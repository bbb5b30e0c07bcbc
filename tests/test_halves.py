"""float16 and bfloat16: every value, the types of results, numbers beside them, and when ml_dtypes comes and goes."""

import itertools

import ml_dtypes
import numpy as np
import pytest

import fastact
import processes
import references
import sampling
import ulp
from cases import CASES, FLOATS, HALVES, assert_same_bits, cases_of, each_case, each_entry, each_half
from fastact._kernels.ufuncs import AVAILABLE

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
UPSTREAM = (1.0, -3.0, 2.0**10, 2.0**-12)
PARAMETRIZED = [case for case in CASES if case.row.parameters]
each_parametrized = pytest.mark.parametrize("case", PARAMETRIZED, ids=[case.name for case in PARAMETRIZED])


def rounded(array, dtype):
    with np.errstate(all="ignore"):
        return array.astype(dtype)


def wide(array):
    return rounded(array, np.float32)


def once_rounded(bound, dtype):
    """Return the bound in units of a 16-bit type on a float32 result that is within a bound in units of float32."""
    return 0.5 + bound * 2.0 ** (ulp.FRACTION_BITS[dtype.name] - ulp.FRACTION_BITS["float32"])


# ---- Every value.


@each_half
@each_entry
def test_every_value(row, parameters, dtype):
    operator, _ = cases_of(row)
    x = sampling.every_half(dtype)
    computed = operator.public(x, *parameters)
    x = wide(x)
    # A zero has a sign by the rules of test_accuracy.py.
    errors = np.where(x == 0, 0, ulp.errors(computed, references.exact_float32(row, x, parameters)))
    assert np.max(errors) <= once_rounded(row.ulp_float32, dtype), x[np.argmax(errors)]


@each_half
@each_entry
def test_gradient_of_every_value(row, parameters, dtype):
    _, gradient = cases_of(row)
    x = sampling.every_half(dtype)
    x = x[np.isfinite(wide(x))]
    slope = references.exact_slope(row, wide(x), parameters)
    for dy in UPSTREAM:
        computed = gradient.public(np.full(len(x), dy, dtype), x, *parameters)
        with np.errstate(all="ignore"):
            exact = dy * slope
        # Where terms cancel, float32's error is in units of the largest.
        term = abs(dy) * references.largest_term(row, wide(x))
        cancelled = ulp.unit(np.maximum(np.abs(exact), term)) / ulp.unit(exact)
        errors = ulp.errors(computed, exact, is_zero_sign_known=False)
        excess = errors - once_rounded(row.ulp_gradient * cancelled, dtype)
        assert np.max(excess) <= 0, (dy, x[np.argmax(excess)])


@each_half
@each_entry
def test_float32_rounded_once(row, parameters, dtype):
    """To the bit, zeros and NaN included: what float32 gives, converted by NumPy or ml_dtypes."""
    x = sampling.every_half(dtype)
    for case in cases_of(row):
        for dy in UPSTREAM:
            arrays = (np.full(len(x), dy, dtype), x)[-case.arrays :]
            expected = rounded(case.public(*map(wide, arrays), *parameters), dtype)
            assert_same_bits(case.public(*arrays, *parameters), expected)


CONVERSIONS = """
import ml_dtypes, numpy as np, fastact, json
from fastact._kernels.ufuncs import CHOSEN

def differing(dtype, values):
    # -1 times a slope is a product without an error: float32 values of any kind are rounded to the 16-bit type.
    computed = fastact.leaky_relu(np.full(len(values), -1, dtype), -values, dtype=dtype)
    with np.errstate(all="ignore"):
        expected = values.astype(dtype)
        is_nan = np.isnan(expected)
        assert np.array_equal(np.isnan(computed), is_nan)
    return int(np.sum(computed.view(np.uint16)[~is_nan] != expected.view(np.uint16)[~is_nan]))

wrong = 0
for dtype in (np.float16, ml_dtypes.bfloat16):
    every = np.arange(2**16, dtype=np.uint16).view(dtype)
    kept = fastact.identity(every)
    with np.errstate(all="ignore"):
        is_nan = np.isnan(every)
        wrong += np.sum(np.isnan(kept) != is_nan) + np.sum((kept.view(np.uint16) != every.view(np.uint16))[~is_nan])
        bits = every.astype(np.float32).view(np.uint32)[:, None]
    fraction = 13 if dtype is np.float16 else 16
    for offset in (0, 1, 2 ** (fraction - 1) - 1, 2 ** (fraction - 1), 2 ** (fraction - 1) + 1, 2**fraction - 1):
        wrong += differing(dtype, (bits + np.uint32(offset)).ravel().view(np.float32))
    # Between 0 and float16's largest subnormal there are other halves.
    halves = (np.arange(4096)[:, None] * 2.0**-26 * [1, -1, 1 + 2**-23, -1 + 2**-23]).ravel().astype(np.float32)
    wrong += differing(dtype, halves)
    wrong += differing(dtype, np.random.default_rng(0).integers(0, 2**32, 2**21, np.uint32).view(np.float32))
print(json.dumps([CHOSEN, int(wrong)]))
"""


@pytest.mark.parametrize("instruction_set", AVAILABLE)
def test_conversions(instruction_set):
    """Widening of all values, rounding around every one of them and every tie between two, and at random."""
    assert processes.output_of(CONVERSIONS, FASTACT_CPU=instruction_set) == f'["{instruction_set}", 0]'


@each_half
def test_overflow_and_underflow(dtype):
    info = sampling.finfo(dtype)
    with np.errstate(all="raise"):
        x = np.array([-info.max, info.max, -info.smallest_subnormal, info.smallest_subnormal], dtype)
        assert list(fastact.leaky_relu(x, 2.0)) == [-np.inf, info.max, -2 * info.smallest_subnormal, x[3]]
        assert_same_bits(fastact.leaky_relu(x, 0.25)[2:], np.array([-0.0, info.smallest_subnormal], dtype))
        assert_same_bits(fastact.leaky_relu(x[2:3], 0.75), x[2:3])


# ---- Types of results.

FLOAT_OF = {
    "?": "float32",
    "b": "float32",
    "B": "float32",
    "h": "float32",
    "H": "float32",
    "i": "float64",
    "I": "float64",
    "l": "float64",
    "L": "float64",
    "q": "float64",
    "Q": "float64",
    "e": "float16",
    BFLOAT16: "bfloat16",
    "f": "float32",
    "d": "float64",
}
MIXED = {
    ("e", "f"): "float32",
    ("e", "d"): "float64",
    ("f", "d"): "float64",
    ("e", BFLOAT16): "float32",
    ("f", BFLOAT16): "float32",
    ("d", BFLOAT16): "float64",
    ("e", "b"): "float32",
    ("e", "?"): "float32",
    ("e", "l"): "float64",
    ("B", BFLOAT16): "float32",
    ("l", BFLOAT16): "float64",
    ("b", "i"): "float64",
    ("h", "f"): "float32",
    ("i", "f"): "float64",
}


def result_type(case, dtype):
    is_kept = case.keeps_integers and np.dtype(dtype).kind in "iu"
    return np.dtype(dtype).name if is_kept else FLOAT_OF[dtype]


@each_case
def test_type_of_the_result(case):
    for dtype in FLOAT_OF:
        x = np.ones(3, dtype)
        for call in (case.public, lambda *arrays, case=case: case.ufunc(*arrays, *case.defaults)):
            for given in (x, x[:1], x[::2], x[0]):
                assert call(*case.same_inputs(given)).dtype.name == result_type(case, dtype), dtype


@each_case
def test_type_of_mixed_arrays(case):
    if case.arrays < 2:
        return
    for (left, right), expected in MIXED.items():
        for pair in ((left, right), (right, left)):
            arrays = [np.full(5, 3, dtype) for dtype in pair]
            result = case.public(*arrays)
            assert result.dtype.name == expected, pair
            as_one = [array.astype(expected) for array in arrays]
            np.testing.assert_allclose(result.astype(float), case.public(*as_one).astype(float), rtol=1e-6)


@each_parametrized
def test_type_with_arrays_of_parameters(case):
    """They are operands like any other."""
    for left, right in itertools.permutations(FLOAT_OF, 2):
        expected = MIXED.get((left, right)) or MIXED.get((right, left))
        if expected:
            parameters = [np.ones(5, right)] * len(case.defaults)
            for call in (case.public, case.ufunc):
                assert call(*case.same_inputs(np.ones(5, left)), *parameters).dtype.name == expected
    for dtype, expected in FLOAT_OF.items():
        for call in (case.public, case.ufunc):
            result = call(*case.same_inputs(np.ones(5, dtype)), *[np.ones(5, dtype)] * len(case.defaults))
            assert result.dtype.name == expected


@each_case
def test_python_numbers_have_no_type(case):
    for dtype, expected in FLOAT_OF.items():
        for number in (2, 0.5, True):
            if case.row.parameters:
                result = case.public(*case.same_inputs(np.ones(3, dtype)), *[number] * len(case.defaults))
                assert result.dtype.name == expected, (dtype, number)
            if case.arrays == 2 and number is not True:
                assert case.public(number, np.ones(3, dtype)).dtype.name == expected
                assert case.public(np.ones(3, dtype), number).dtype.name == expected


@each_half
@each_case
def test_dtype_and_out(case, dtype):
    """Computed in the type that ``dtype=`` names, kept in the type of ``out``."""
    for given in (*FLOATS, *HALVES, np.dtype(np.int8)):
        arrays = tuple(rounded(array, given) for array in case.inputs(40))
        expected = case.public(*(rounded(array, dtype) for array in arrays))
        for options in ({}, {"casting": "same_kind"}, {"out": np.zeros(40, dtype)}):
            if np.can_cast(given, dtype, "same_kind"):
                assert_same_bits(case.public(*arrays, dtype=dtype, **options), expected)
    half = tuple(rounded(array, dtype) for array in case.inputs(40))
    expected = case.public(*half)
    for wider in FLOATS:
        out = np.zeros(40, wider)
        assert case.public(*half, out=out) is out
        assert_same_bits(out, expected.astype(wider))
        widened = case.public(*(array.astype(wider) for array in half))
        assert_same_bits(case.public(*half, dtype=wider), widened)


@each_half
@each_case
def test_casting(case, dtype):
    half = case.inputs(3, dtype)
    for casting in ("no", "equiv", "safe"):
        with pytest.raises(TypeError):
            case.public(*case.inputs(3), dtype=dtype, casting=casting)
    out = np.zeros(3, np.int64)
    with pytest.raises(TypeError):
        case.public(*half, out=out)
    assert not out.any()
    assert case.public(*half, out=out, casting="unsafe") is out
    assert np.array_equal(out, case.public(*half).astype(np.int64))


@each_case
def test_other_small_floats_are_refused(case):
    for dtype in (ml_dtypes.float8_e5m2, ml_dtypes.float8_e4m3fn, ml_dtypes.int4):
        for call in (case.public, case.ufunc):
            rest = case.defaults if call is case.ufunc else ()
            with pytest.raises(TypeError, match=f"must be .*bfloat16.*{np.dtype(dtype).name}"):
                call(*case.same_inputs(np.ones(3, dtype)), *rest)


# ---- Numbers beside 16-bit arrays.


@each_half
@each_parametrized
def test_python_parameters_keep_the_digits_of_float32(case, dtype):
    """On every path: contiguous, strided, with out, with where, of one element, the ufunc itself."""
    number = 0.3 + 2.0**-20
    arrays = case.inputs(50, dtype)
    numbers = [number] * len(case.defaults)
    expected = rounded(case.public(*map(wide, arrays), *numbers), dtype)
    coarse = [np.dtype(dtype).type(number)] * len(case.defaults)
    # Nothing is to be seen where a parameter is only compared with or is the result, rounded either way.
    is_exact = (case.row.ulp_gradient if case.is_gradient else case.row.ulp_float32) == 0
    assert np.any(case.public(*arrays, *coarse) != expected) or is_exact
    out = np.zeros(50, dtype)
    for call in (case.public, case.ufunc):
        assert_same_bits(call(*arrays, *numbers), expected)
        assert_same_bits(call(*(np.repeat(array, 2)[::2] for array in arrays), *numbers), expected)
        assert_same_bits(call(*arrays, *numbers, out=out), expected)
        assert_same_bits(call(*arrays, *numbers, where=np.ones(50, bool), out=out), expected)
        assert_same_bits(call(*arrays, *numbers, dtype=dtype), expected)
        assert_same_bits(call(*(array[7] for array in arrays), *numbers), expected[7])
        assert_same_bits(call(*(array[7:8] for array in arrays), *numbers), expected[7:8])


@each_half
def test_a_large_array_with_a_parameter_for_each_element(dtype):
    """Enough for threads, parameters of the arrays' type and of float32."""
    case = PARAMETRIZED[0]
    n = 200_003
    arrays, slopes = case.inputs(n, dtype), case.inputs(n, dtype, seed=3)[0]
    expected = rounded(case.public(*map(wide, arrays), wide(slopes)), dtype)
    assert_same_bits(case.public(*arrays, slopes), expected)
    assert_same_bits(case.public(*arrays, wide(slopes), dtype=dtype), expected)
    assert_same_bits(case.public(*arrays, wide(slopes)), case.public(*map(wide, arrays), wide(slopes)))


# ---- ml_dtypes.

USE_BFLOAT16 = """
x = np.array([-1.5, 0.0, 2.0], np.float32).astype(ml_dtypes.bfloat16)
functions = {fastact.sigmoid: 1, fastact.leaky_relu: 1, fastact.grad.elu: 2, fastact.ufuncs.grad_relu: 2}
for function, operands in functions.items():
    arrays = (x,) * operands
    expected = function(*(array.astype(np.float32) for array in arrays)).astype(ml_dtypes.bfloat16)
    for _ in range(3):
        result = function(*arrays)
        assert result.dtype == ml_dtypes.bfloat16 and list(result) == list(expected), (function, result)
        assert list(function(*(array[::-1] for array in arrays))) == list(expected[::-1])
print("kept")
"""


@pytest.mark.parametrize(
    "imports",
    [
        "import ml_dtypes; import fastact",
        "import fastact; import ml_dtypes",
        "import fastact; fastact.sigmoid(np.ones(3)); fastact.elu(np.ones(3, np.float16)); import ml_dtypes",
    ],
)
def test_order_of_imports(imports):
    assert processes.output_of(f"import numpy as np; {imports}\n{USE_BFLOAT16}") == "kept"


@pytest.mark.parametrize("asked_first", [False, True])
def test_first_use_by_dtype(asked_first):
    """What one call asks for decides about no other."""
    code = f"""
import numpy as np, ml_dtypes, fastact
x, slopes = np.ones(3, ml_dtypes.bfloat16), np.ones(3, np.float32)
names = []
for asked in ({asked_first}, {not asked_first}, False):
    options = {{"dtype": x.dtype}} if asked else {{}}
    names += [fastact.ufuncs.elu(x, slopes, **options).dtype.name]
    names += [fastact.ufuncs.grad_hardtanh(x, x, slopes, slopes, **options).dtype.name]
print(*names)
"""
    expected = ["float32"] * 6
    first = 0 if asked_first else 2
    expected[first : first + 2] = ["bfloat16"] * 2
    assert processes.output_of(code).split() == expected


def test_without_ml_dtypes():
    code = """
import sys
sys.modules["ml_dtypes"] = None
import numpy as np, fastact
x = np.ones(3, np.float16)
print(fastact.elu(x).dtype, fastact.sigmoid(x).dtype, fastact.grad.elu(x, x, 0.5).dtype)
"""
    assert processes.output_of(code) == "float16 float16 float16"


def test_first_uses_from_many_threads():
    """The loops for bfloat16 are registered once, whoever comes first."""
    code = """
import numpy as np, ml_dtypes, fastact, threading
barrier = threading.Barrier(16)
failed = []

def use():
    barrier.wait()
    try:
        x = np.ones(5, ml_dtypes.bfloat16)
        for _ in range(20):
            assert fastact.selu(x).dtype == fastact.softplus(x).dtype == x.dtype
    except BaseException as error:
        failed.append(error)

threads = [threading.Thread(target=use) for _ in range(16)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(failed)
"""
    assert processes.output_of(code) == "[]"
