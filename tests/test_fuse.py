"""Fused functions: the same as the operators one after the other, in one ufunc; what cannot be fused is refused."""

# Lambdas are what is tested.
# ruff: noqa: ARG005, PLW0108

import copy
import math
import pickle
from pathlib import Path

import mpmath
import numpy as np
import pytest

import fastact
import floating
import processes
from cases import CASES, assert_same_bits
from fastact._kernels.registry import STEPS

FLOATS = (np.float16, np.float32, np.float64)

each_float = pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: np.dtype(dtype).name)


@fastact.fuse
def swiglu(x, gate):
    """SwiGLU's product."""
    return x * fastact.silu(gate)


def everything(x, y):
    magnitude = np.abs(x) + 1.5
    positive = np.where((x > y) & ~(y <= -1) | (x == 0), np.sqrt(magnitude), np.log(magnitude))
    bounded = np.minimum(np.maximum(positive, -2), 3) ** 2 - x / magnitude
    return np.exp(-bounded) + np.expm1(0.25 * y) * fastact.elu(x, alpha=0.7) - np.log1p(np.abs(y)) * fastact.gelu(x)


fused_everything = fastact.fuse(everything)


def normal(n, dtype=np.float32, seed=0):
    return (np.random.default_rng(seed).standard_normal(n) * 3).astype(dtype)


# ---- Values.

SIZES = (0, 1, 2, 15, 16, 17, 100, 1023, 1024, 1025, 5000, 16_385, 140_003)


@each_float
def test_against_the_operators(dtype):
    """Products and sums are those of NumPy, in float32 for float16."""
    for n in SIZES:
        x, gate = normal(n, dtype), normal(n, dtype, 1)
        wide = np.float64 if dtype == np.float64 else np.float32
        expected = (x.astype(wide) * fastact.silu(gate.astype(wide))).astype(dtype)
        assert_same_bits(swiglu(x, gate), expected)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_each_operator_has_its_own_bits(case):
    """Of every operator and gradient, its parameters numbers."""
    x = np.resize(np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -90, 90, *normal(3000)], np.float32), 20_000)
    for dtype in (np.float32, np.float64):
        arrays = [x.astype(dtype), x[::-1].astype(dtype)][: len(case.array_names)]
        for parameters in case.row.tested_parameters:
            numbers = tuple(map(float, parameters))
            fused = (fuse_one if len(arrays) == 1 else fuse_two)(case.ufunc, numbers)
            expected = case.ufunc(*arrays, *(dtype(number) for number in numbers))
            assert_same_bits(fused(*arrays), expected)


def fuse_one(ufunc, numbers):
    return fastact.fuse(lambda x: ufunc(x, *numbers))


def fuse_two(ufunc, numbers):
    return fastact.fuse(lambda dy, x: ufunc(dy, x, *numbers))


def test_against_numpy():
    for dtype, rtol in ((np.float32, 2e-6), (np.float64, 4e-15)):
        x, y = normal(50_000, dtype), normal(50_000, dtype, 1)
        np.testing.assert_allclose(fused_everything(x, y), everything(x, y), rtol=rtol, atol=rtol)


def test_conditions():
    x = np.array([-np.inf, -1, -0.0, 0.0, 1, np.inf, np.nan], np.float32)
    a, b = (values.ravel() for values in np.meshgrid(x, x))
    for condition in (
        lambda a, b: a < b,
        lambda a, b: a <= b,
        lambda a, b: a > b,
        lambda a, b: a >= b,
        lambda a, b: a == b,
        lambda a, b: a != b,
        lambda a, b: (a < b) & (a > 0),
        lambda a, b: (a < b) | ~(b >= 1),
        lambda a, b: (a < b) ^ (b > 0),
        lambda a, b: np.logical_and(a < b, np.logical_not(b > 0)),
        lambda a, b: np.where(a < b, b > 0, a > 0),
    ):
        fused = fuse_condition(condition)
        assert_same_bits(fused(a, b), np.where(condition(a, b), np.float32(1), np.float32(-1)))
    nonzero = fastact.fuse(lambda a: np.where(a, 1.0, -1.0))
    assert_same_bits(nonzero(x), np.where(x, np.float32(1), np.float32(-1)))
    gated = fastact.fuse(lambda a: a * (a > 0))
    assert_same_bits(gated(x[1:6]), x[1:6] * (x[1:6] > 0))


def fuse_condition(condition):
    return fastact.fuse(lambda a, b: np.where(condition(a, b), 1.0, -1.0))


def test_exact_functions():
    """Those of IEEE 754, and the minimum and maximum, which keep NaN as NumPy's."""
    x = np.resize(np.array([-np.inf, -1.5, -0.0, 0.0, 1e-40, 3e38, np.inf, np.nan], np.float32), 1000)
    y = np.resize(np.array([np.nan, 2.0, -3.0, np.inf, 1e-3], np.float32), 1000)
    with np.errstate(all="ignore"):
        for function in (
            lambda x, y: x + y,
            lambda x, y: x - y,
            lambda x, y: x * y,
            lambda x, y: x / y,
            lambda x, y: -x + 0 * y,
            lambda x, y: abs(x) + 0 * y,
            lambda x, y: np.sqrt(x) + 0 * y,
            np.minimum,
            np.maximum,
        ):
            fused = fastact.fuse(lambda x, y: function(x, y))  # noqa: B023 (traced at once)
            result, expected = fused(x, y), function(x, y)
            assert np.array_equal(result, expected, equal_nan=True)
            assert np.array_equal(np.signbit(result[result == 0]), np.signbit(expected[result == 0])) or function in (
                np.minimum,
                np.maximum,
            )


ELEMENTARY = ("exp", "expm1", "log", "log1p")


@pytest.mark.parametrize("name", ELEMENTARY)
def test_accuracy_in_float32(name):
    """At most 1 ULP, expm1 1.5, over a sample of all numbers; the others are NumPy's in float64, rounded."""
    function = getattr(np, name)
    fused = fastact.fuse(lambda x: function(x))
    for offset in range(8):
        x = (np.arange(2**19, dtype=np.uint32) * np.uint32(8191) + np.uint32(offset * 2**29)).view(np.float32)
        with np.errstate(all="ignore"):
            exact = function(x.astype(np.float64))
            expected = exact.astype(np.float32)
        y = fused(x)
        is_finite = np.isfinite(expected) & np.isfinite(y)
        assert np.array_equal(y[~is_finite], expected[~is_finite], equal_nan=True)
        assert np.array_equal(np.signbit(y[is_finite]), np.signbit(expected[is_finite]))
        error = np.abs(y[is_finite] - exact[is_finite]) / np.spacing(np.abs(expected[is_finite]))
        assert error.max(initial=0) < (1.5 if name == "expm1" else 1)


@pytest.mark.parametrize("name", ELEMENTARY)
def test_accuracy_in_float64(name):
    function = getattr(np, name)
    fused = fastact.fuse(lambda x: function(x))
    generator = np.random.default_rng(3)
    x = np.concatenate([
        generator.uniform(-1, 3, 300), generator.uniform(-760, 760, 300), 10 ** generator.uniform(-320, 308, 300),
        1 + generator.uniform(-1e-3, 1e-3, 100), -(10 ** generator.uniform(-320, 0, 200)),
    ])  # fmt: skip
    y = fused(x)
    with mpmath.workprec(120):
        for value, result in zip(x, y, strict=True):
            argument = mpmath.mpf(float(value))
            if name.startswith("log") and argument <= (-1 if name == "log1p" else 0):
                assert not np.isfinite(result)
                continue
            exact = getattr(mpmath, name)(argument)
            expected = float(exact)
            if np.isfinite(expected) and np.isfinite(result):
                assert abs(mpmath.mpf(float(result)) - exact) <= 1.5 * mpmath.mpf(float(np.spacing(abs(expected))))
            else:
                assert result == expected
    ends = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -1.0])
    with np.errstate(all="ignore"):
        assert_same_bits(np.nan_to_num(fused(ends), nan=7), np.nan_to_num(function(ends), nan=7))


def test_powers_and_numbers():
    x = np.abs(normal(500, np.float64)) + 0.1
    for exponent in (-1, 0.5, 1, 2, 3, 4):
        fused = fastact.fuse(lambda x: x**exponent)  # noqa: B023 (traced at once)
        np.testing.assert_allclose(fused(x), x**exponent, rtol=1e-15)
    weights = [0.5, np.float32(0.25), np.int64(2), True]
    polynomial = fastact.fuse(lambda x: sum(weight * x for weight in weights[:3]) + weights[3])
    assert_same_bits(polynomial(x), x * 0.5 + 0.25 * x + 2 * x + 1.0)
    assert_same_bits(fastact.fuse(lambda x: x)(x), x)
    assert_same_bits(fastact.fuse(lambda x: 2.5)(x), np.full_like(x, 2.5))
    weights[0] = 99
    assert_same_bits(polynomial(x), x * 0.5 + 0.25 * x + 2 * x + 1.0)
    inner = fastact.fuse(lambda x: x * 2)
    assert_same_bits(fastact.fuse(lambda x: inner(x) + inner(inner(x)))(x), x * 2 + x * 4)


def test_assignment_with_an_operator():
    """It makes a new array of the name, as for numbers: the operand stays."""

    def function(x):
        y = x
        y += 1
        y *= x
        return y

    x = normal(100)
    before = x.copy()
    assert_same_bits(fastact.fuse(function)(x), (x + 1) * x)
    assert_same_bits(x, before)


def test_many_values_at_a_time():
    """Blocks become shorter; more than there are places for is refused."""

    def sums(count):
        def function(x):
            terms = [x * k for k in range(1, count + 1)]
            return sum(terms[::-1][1:], terms[-1])

        return function

    x = normal(30_000)
    for count in (5, 25):
        assert_same_bits(fastact.fuse(sums(count))(x), sums(count)(x))
    with pytest.raises(ValueError, match="at most 64 inputs, constants and values"):
        fastact.fuse(sums(40))


# ---- The ufunc.


# Before NumPy 2.2 pickle asks every imported module for a ufunc's name, and modules of mpmath answer with warnings.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_is_a_ufunc():
    assert isinstance(swiglu, np.ufunc)
    assert (swiglu.__name__, swiglu.nin, swiglu.nout) == ("swiglu", 2, 1)
    assert swiglu.__doc__.endswith("SwiGLU's product.")
    assert pickle.loads(pickle.dumps(swiglu)) is swiglu
    if np.lib.NumpyVersion(np.__version__) >= "2.2.0":
        assert swiglu.__module__ == __name__


def test_same_name():
    first, second = (fastact.fuse(lambda x: x + 1), fastact.fuse(lambda x, y: x - y))
    assert first(1.0) == 2
    assert second(np.int8([5]), 2).dtype == np.float32
    assert first(np.int8([5])).dtype == np.float32


def test_operands():
    x, gate = normal((40, 50)), normal((40, 50), seed=1)
    expected = swiglu(x, gate)
    assert_same_bits(swiglu(np.asfortranarray(x), gate), expected)
    assert_same_bits(swiglu(x[::-1, ::2], gate[::-1, ::2]), expected[::-1, ::2].copy())
    assert_same_bits(swiglu(x, gate[0]), x * fastact.silu(gate[0]))
    assert_same_bits(swiglu(x, 0.5), x * fastact.silu(np.float32(0.5)))
    assert_same_bits(swiglu(2, gate), np.float32(2) * fastact.silu(gate))
    out = x.copy()
    assert swiglu(out, gate, out=out) is out
    assert_same_bits(out, expected)
    where = x > 0
    out = np.full_like(x, 7)
    swiglu(x, gate, out=out, where=where)
    assert_same_bits(out, np.where(where, expected, np.float32(7)))
    assert swiglu(np.float32(1), np.float32(2)).dtype == np.float32
    assert swiglu(1.0, 2.0).dtype == np.float64
    assert swiglu(x, gate, dtype=np.float64).dtype == np.float64
    memory = normal(3000)
    overlapping = memory.copy()
    swiglu(overlapping[:-7], overlapping[:-7], out=overlapping[7:])
    assert_same_bits(overlapping[7:], swiglu(memory[:-7], memory[:-7]))
    with pytest.raises(TypeError, match="complex"):
        swiglu(x.astype(complex), gate)


def test_bfloat16():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x, gate = normal(3000).astype(bfloat16), normal(3000, seed=1).astype(bfloat16)
    y = swiglu(x, gate)
    assert y.dtype == bfloat16
    assert y.tobytes() == swiglu(x.astype(np.float32), gate.astype(np.float32)).astype(bfloat16).tobytes()


@each_float
def test_any_number_of_threads(dtype):
    x, y = normal(500_003, dtype), normal(500_003, dtype, 1)
    with fastact.threads(1):
        expected = fused_everything(x, y)
    for count in (2, 5):
        with fastact.threads(count):
            assert_same_bits(fused_everything(x, y), expected)


def test_environment():
    x = np.resize(np.array([1e38, -1e38, 1e-44, np.inf, np.nan, 0, 1 / 3], np.float32), 3000)
    expected = fused_everything(x, x[::-1].copy())
    with floating.rounding(floating.UPWARD), np.errstate(all="raise"):
        fused = fastact.fuse(lambda x, y: everything(x, y))
        assert_same_bits(fused(x, x[::-1].copy()), expected)
    floating.clear_flags()
    fused(x, x[::-1].copy())
    assert floating.flags() == 0


@each_float
def test_constants_are_told_apart_by_their_sign(dtype):
    x = np.ones(3, dtype)
    positive, negative = fastact.fuse(lambda x: x * 0.0), fastact.fuse(lambda x: x * -0.0)
    assert not np.signbit(positive(x)).any()
    assert np.signbit(negative(x)).all()


MADE_AGAIN = """
import resource
from pathlib import Path
import fastact

def pages_after(times):
    for _ in range(times):
        fastact.fuse(lambda x: x * fastact.sigmoid(1.702 * x) + 0.5)
    return int(Path("/proc/self/statm").read_text().split()[1])

before = pages_after(50)
print((pages_after(500) - before) * resource.getpagesize() / 500)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells how much memory a process has here")
def test_functions_that_are_made_again_share_their_constants():
    """NumPy keeps pointers to a ufunc's memory, so none is freed: 3 KiB each time, and not 46."""
    assert float(processes.output_of(MADE_AGAIN)) < 12 * 1024


DIGEST = """
import hashlib
import numpy as np
import fastact, test_fuse

x = np.arange(-70_000, 70_001) / np.float64(7000)
seen = hashlib.sha256()
for dtype in (np.float16, np.float32, np.float64):
    seen.update(test_fuse.fused_everything(x.astype(dtype), x[::-1].astype(dtype)).tobytes())
print(seen.hexdigest())
"""


def test_every_instruction_set_gives_the_same_bits():
    """Of those with fused sums."""
    from fastact._kernels.ufuncs import AVAILABLE

    assert len({processes.output_of(DIGEST, FASTACT_CPU=name) for name in AVAILABLE[1:]}) <= 1


# ---- What is refused.


def test_every_step_is_reached():
    """The functions above are all there is."""
    from fastact._kernels import tracing

    names = {*tracing.STEPS.values(), *tracing.COMPARISONS.values(), *tracing.LOGICAL.values(), "where"}
    assert {row.name for row in STEPS} <= names


def with_if(x):
    if x > 0:
        return x
    return -x


def with_while(x):
    while x > 0:
        x = x - 1
    return x


REFUSED = (
    (with_if, r"np\.where.*line \d+: if x > 0:"),
    (with_while, r"np\.where.*line \d+: while x > 0:"),
    (lambda x: x if x > 0 else -x, r"np\.where"),
    (lambda x: max(x, 0), r"max\(\).*np\.where"),
    (lambda x: 0 < x < 1, r"chained comparisons.*&"),
    (lambda x: np.where((x > 0) and (x < 1), x, 0), r"&"),
    (lambda x: np.sin(x), r"uses np\.sin; what there is: arithmetic"),
    (lambda x: np.sum(x), r"uses np\.sum; what there is: arithmetic"),
    (lambda x: np.add.reduce(x), r"uses np\.add\.reduce: a fused function is element-wise"),
    (lambda x: np.where(x > 0), r"np\.where without two values"),
    (lambda x: x[0], r"indexes an array"),
    (lambda x: next(iter(x)), r"indexes an array"),
    (lambda x: math.exp(x), r"np\.exp"),
    (lambda x: np.asarray(x) + 1, r"makes an array of an array"),
    (lambda x: x + np.ones(3), r"an array that is not among its parameters"),
    (lambda x: x + 1j, r"'complex'"),
    (lambda x: x + "1", r"'str'"),
    (lambda x: x + 10**400, r"an integer that no float holds"),
    (lambda x: x**2.5, r"exponents are the numbers"),
    (lambda x: 2**x, r"exponents are the numbers"),
    (lambda x: x**np.array(2), r"exponents are the numbers"),
    (lambda x: x**np.array([2, 3]), r"exponents are the numbers"),
    (lambda x: round(x), r"as Python numbers.*line"),
    (lambda x: round(x, 2), r"as Python numbers.*line"),
    (lambda x: float(f"{x:.2f}"), r"as Python numbers.*line"),
    (lambda x: x.__delitem__(0), r"indexes an array.*line"),
    (lambda x: x.sum(), r"uses \.sum; what there is.*line"),
    (lambda x: x > 0, r"returns a condition"),
    (lambda x: (x > 0) + (x < 1), r"add of conditions"),
    (lambda x: x & (x > 0), r"bitwise_and on numbers"),
    (lambda x: None, r"'NoneType'"),
    (lambda x: np.add(x, 1, where=True), r"more than its operands"),
    (lambda x: np.exp(x, out=x), r"more than its operands"),
    (lambda x: x * np.timedelta64(1), r"'timedelta64'"),
    (lambda x: x ** np.timedelta64(2), r"exponents are the numbers"),
    (lambda x: x // 2, r"np\.floor_divide"),
    (lambda: 1, r"must have a parameter"),
    (lambda x, y=1: x, r"must have no defaults.*y=1"),
    (lambda *x: x[0], r"positional parameters alone, got \*x"),
    (lambda *, x: x, r"positional parameters alone, got x"),
    (lambda a, b, c, d, e, f, g, h, i: a, r"at most 8 parameters, got 9"),
    (np.exp, r"function must be a Python function, got 'ufunc'"),
)  # fmt: skip


@pytest.mark.parametrize(("function", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_refused(function, message):
    with pytest.raises(TypeError, match=message):
        fastact.fuse(function)


def test_attributes_are_refused():
    with pytest.raises(AttributeError, match=r"uses \.sum; what there is"):
        fastact.fuse(lambda x: x.sum())


def test_stand_ins_can_be_copied():
    x = np.float32([-1.0, 2.0])
    assert_same_bits(fastact.fuse(lambda x: copy.copy(x) * 2.0)(x), x * 2)


def test_an_array_of_another_call():
    kept = []
    fastact.fuse(lambda x: kept.append(x) or x)
    with pytest.raises(TypeError, match="another call"):
        fastact.fuse(lambda x: x + kept[0])
