"""The element-wise operators inside ``numba.njit`` and ``numba.vectorize``: the ufuncs' bits."""

from importlib.metadata import entry_points

import numpy as np
import pytest

import fastact
import processes
from fastact import grad
from fastact._kernels import ufuncs

numba = pytest.importorskip("numba")

pytestmark = [
    pytest.mark.skipif(not ufuncs.FUSED or ufuncs.CHOSEN == "baseline", reason="the last bits need fused multiply-add"),
]
FLOATS = (np.float32, np.float64)
INIT = "from fastact._kernels import numba_extension; numba_extension.init()\n"


@pytest.fixture(autouse=True, scope="module")
def extension():
    """Register the operators, as Numba does where the package is installed."""
    from fastact._kernels import numba_extension

    numba_extension.init()


def numbers(dtype, seed=0):
    x = np.random.default_rng(seed).normal(0, 8, 10_000).astype(dtype)
    x[:6] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40]
    return x


def assert_same_bits(first, second):
    assert first.dtype == second.dtype
    same = (first == second) & (np.signbit(first) == np.signbit(second)) | np.isnan(first) & np.isnan(second)
    assert np.all(same)


def activations(x):
    return fastact.sigmoid(x), fastact.gelu(x), fastact.relu(x), fastact.elu(x), fastact.elu(x, 0.3)


def by_name_or_array(x):
    return (
        fastact.softplus(x, beta=2.0),
        fastact.prelu(x, 0.1),
        fastact.leaky_relu(x, np.abs(x)),
        fastact.ufuncs.celu(x, x),
    )


def gradients(x):
    return grad.tanh(x, x), grad.elu(x, x, 0.3), fastact.ufuncs.grad_silu(x, x)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("function", [activations, by_name_or_array, gradients])
def test_arrays(function, dtype):
    x = numbers(dtype)
    for result, expected in zip(numba.njit(function)(x), function(x), strict=True):
        assert_same_bits(result, expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("fastmath", [False, True])
def test_numbers_in_a_loop(dtype, fastmath):
    """Nor does the fast mathematics of the caller reach the formulas."""

    @numba.njit(fastmath=fastmath)
    def loop(x, y):
        for i in range(x.size):
            y[i] = fastact.gelu(x[i]) if i % 2 else fastact.mish(x[i])

    x = numbers(dtype)
    y, expected = np.empty_like(x), fastact.mish(x)
    loop(x, y)
    expected[1::2] = fastact.gelu(x[1::2])
    assert_same_bits(y, expected)


def test_vectorize():
    @numba.vectorize
    def gated(x, alpha):
        return x * fastact.elu(x, alpha)

    x = numbers(np.float32)
    # NumPy looks at the flags of such a ufunc, which is not ours: a formula may have raised some on its way.
    with np.errstate(all="ignore"):
        assert_same_bits(gated(x, np.float32(0.5)), x * fastact.elu(x, 0.5))


def test_broadcasting():
    @numba.njit
    def function(x, slope):
        return fastact.prelu(x, slope)

    x, slope = numbers(np.float64).reshape(100, 100), np.linspace(0, 1, 100)
    assert_same_bits(function(x, slope), fastact.prelu(x, slope))
    assert_same_bits(function(x[::2, ::-1].T, slope[:50]), fastact.prelu(x[::2, ::-1].T, slope[:50]))


@pytest.mark.parametrize("dtype", FLOATS)
def test_both_gelus(dtype):
    def function(x):
        return fastact.gelu(x, "tanh"), fastact.gelu(x, approximate="tanh"), fastact.gelu(x, approximate="none")

    def gradient(x):
        return grad.gelu(x, x, "tanh"), grad.gelu(x, x, approximate="tanh"), grad.gelu(x, x, approximate="none")

    x = numbers(dtype)
    for of in (function, gradient):
        for given in (x, x[7]):
            for result, expected in zip(numba.njit(of)(given), of(given), strict=True):
                assert_same_bits(np.asarray(result, dtype), np.asarray(expected))


@pytest.mark.parametrize("dtype", FLOATS)
def test_rrelu_without_training(dtype):
    def function(x):
        return fastact.rrelu(x), fastact.rrelu(x, 0.1, upper=0.2), grad.rrelu(x, x, 0.1, training=False)

    x = numbers(dtype)
    for given in (x, x[7]):
        for result, expected in zip(numba.njit(function)(given), function(given), strict=True):
            assert_same_bits(np.asarray(result, dtype), np.asarray(expected))
    with pytest.raises(numba.TypingError, match="rrelu: training must be False"):
        numba.njit(lambda x: fastact.rrelu(x, training=True))(x)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_glu(dtype, axis):
    x = numbers(dtype).reshape(10, 50, 20)
    assert_same_bits(numba.njit(lambda x: fastact.glu(x, axis))(x), fastact.glu(x, axis))
    split = numba.njit(lambda x: fastact.glu(x) + 0)
    assert_same_bits(split(x[0, 0]), fastact.glu(x[0, 0]) + 0)
    with pytest.raises(ValueError, match="x must have an even length"):
        split(x[0, 0, 1:])
    with pytest.raises(numba.TypingError, match="glu: x must be an array"):
        split(1.0)
    with pytest.raises(numba.TypingError, match=r"grad\.glu: is not known"):
        numba.njit(lambda x: grad.glu(x, x) + 0)(x)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint16, np.int32, np.int64])
def test_integers_are_computed_in_a_float_wide_enough(dtype):
    function = numba.njit(lambda x: fastact.sigmoid(x) + 0)
    x = np.arange(5).astype(dtype)
    assert_same_bits(function(x), fastact.sigmoid(x))
    assert function(x[1]) == fastact.sigmoid(x[1])


def test_what_is_unknown_is_refused():
    with pytest.raises(numba.TypingError, match="integers stay integers"):
        numba.njit(lambda x: fastact.relu(x) + 0)(np.arange(3))
    with pytest.raises(numba.TypingError, match="operands must be bool, integers, float32, float64"):
        numba.njit(lambda x: fastact.sigmoid(x) + 0)(1j)
    with pytest.raises(ValueError, match="approximate must be 'none' or 'tanh', got 'erf'"):
        numba.njit(lambda x: fastact.gelu(x, "erf"))(1.0)
    with pytest.raises(numba.TypingError, match="approximate must be 'none' or 'tanh', written there"):
        numba.njit(lambda x, approximate: fastact.gelu(x, approximate) + 0)(1.0, "tanh")


def test_compiled_code_can_be_cached(tmp_path):
    (tmp_path / "cached.py").write_text(
        f"""
{INIT}
import numba, numpy as np, fastact
@numba.njit(cache=True)
def function(x): return fastact.sigmoid(x), fastact.elu(x[0], 0.5)
x = np.linspace(-5, 5, 1000).astype(np.float32)
y, first = function(x)
assert (y == fastact.sigmoid(x)).all() and first == fastact.elu(x[0], 0.5)
print(sum(function.stats.cache_hits.values()))
"""
    )
    runs = [processes.run(str(tmp_path / "cached.py"), NUMBA_CACHE_DIR=str(tmp_path / "cache")) for _ in range(2)]
    assert [run.stdout.strip() for run in runs] == ["0", "1"], [run.stderr for run in runs]


def test_numba_finds_the_extension():
    found = [point for point in entry_points(group="numba_extensions") if point.value.startswith("fastact.")]
    if not found:
        pytest.skip("fastact is not installed: there are no entry points")
    code = "import numba, fastact; print(numba.njit(lambda x: fastact.relu(x))(-1.0))"
    assert processes.output_of(code) == "0.0"
