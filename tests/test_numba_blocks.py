"""Kernels that are not element by element: Numba's versions give Cython's bits, for every family and way through it."""

import re

import numpy as np
import pytest

import fastact
import processes
from fastact import grad
from fastact._kernels import backend, signatures, tiers, ufuncs

FLOATS = (np.float32, np.float64)
IS_USABLE = ufuncs.FUSED and ufuncs.CHOSEN != "baseline"

pytestmark = [
    pytest.mark.skipif(not IS_USABLE, reason="Numba's kernels are not used without fused multiply-add"),
]
pytest.importorskip("numba")


@pytest.fixture(scope="module")
def kernel_cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(autouse=True)
def restored(kernel_cache, monkeypatch):
    """Keep kernels out of the user's cache, and restore the backend."""
    monkeypatch.setenv("FASTACT_CACHE_DIR", kernel_cache)
    before = fastact.get_backend()
    yield
    fastact.set_backend(before)


def numbers(shape, dtype, seed):
    """Return normal numbers of several magnitudes, and some that are special."""
    generator = np.random.default_rng(seed)
    return (generator.normal(0, 4, shape) * np.exp(generator.normal(0, 1, shape))).astype(dtype)


def special(shape, dtype, seed):
    """Return numbers with NaN, infinities, zeros of both signs and repeated maxima among them."""
    x = numbers(shape, dtype, seed)
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 50.0, 3e38, 1e-42])
    generator = np.random.default_rng(seed)
    where = generator.random(shape) < 2e-3
    x[where] = generator.choice(values, np.count_nonzero(where)).astype(dtype)
    return x


def flat(result):
    if isinstance(result, tuple):
        return [one for part in result for one in flat(part)]
    # NumPy has no signbit of bfloat16.
    return [np.asarray(result, np.float32 if result.dtype.name == "bfloat16" else None)]


def assert_same_bits(function):
    """Assert that both backends' results have the same bits, but for NaN's sign and payload."""
    results = []
    for name in ("cython", "numba"):
        fastact.set_backend(name)
        results.append(flat(function()))
    for first, second in zip(*results, strict=True):
        same = (first == second) & (np.signbit(first) == np.signbit(second)) | np.isnan(first) & np.isnan(second)
        assert np.all(same), f"{np.count_nonzero(~same)} of {same.size}, first at {np.argwhere(~same)[0]}"


# Rows, columns and packed pieces; whole and cut, with remainders of lanes and tiles; several tasks.
SHAPES = {
    "rows": ((40, 1000), -1),
    "short rows": ((1000, 8), -1),
    "columns": ((40, 1000), 0),
    "columns beside vectors": ((300, 31), 0),
    "columns half a page apart": ((261, 512), 0),
    "many columns": ((600, 300), 0),
    "long columns": ((9000, 40), 0),
    "long rows": ((3, 70_001), -1),
    "few columns": ((70_000, 3), 0),
    "middle": ((30, 40, 50), 1),
    "one row": ((5,), 0),
}
each_shape = pytest.mark.parametrize("shape", SHAPES)
each_dtype = pytest.mark.parametrize("dtype", FLOATS)


@each_dtype
@each_shape
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "moments", "normalize"])
def test_statistics(name, shape, dtype):
    shape, axis = SHAPES[shape]
    x = special(shape, dtype, 1)
    assert_same_bits(lambda: getattr(fastact, name)(x, axis=axis))


@pytest.mark.parametrize("axis", [0, 1, None])
def test_moments_beyond_the_cache(axis):
    x = numbers((70_001, 63), np.float32, 16)
    assert_same_bits(lambda: fastact.moments(x, axis))


@pytest.mark.parametrize("shape", [(131_101, 64), (5000, 1700)])
def test_columns_beyond_the_caches(shape):
    x, (mean, var, weight, bias) = numbers(shape, np.float32, 17), np.abs(numbers((4, shape[1]), np.float32, 18))
    assert_same_bits(lambda: fastact.batch_norm(x, mean, var, weight, bias))
    assert_same_bits(lambda: fastact.batch_norm(x, None, None, weight, bias, training=True, activation="relu"))
    for function in (fastact.softmax, fastact.log_softmax, fastact.layer_norm, fastact.rms_norm, fastact.normalize):
        assert_same_bits(lambda function=function: function(x, axis=0))


@each_dtype
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "moments", "normalize"])
def test_several_axes_and_strides(name, dtype):
    x = numbers((7, 9, 110), dtype, 2)
    for view, axes in ((x, (0, 2)), (x[:, ::2, ::-1], 2), (x.T, (0, 1)), (x[::3], (0, 1, 2))):
        assert_same_bits(lambda view=view, axes=axes: getattr(fastact, name)(view, axis=axes))


@each_dtype
@each_shape
def test_norms(shape, dtype):
    shape, axis = SHAPES[shape]
    x, (weight, bias) = special(shape, dtype, 3), numbers((2, shape[axis]), dtype, 4)
    assert_same_bits(lambda: fastact.layer_norm(x, weight, bias, axis=axis))
    assert_same_bits(lambda: fastact.rms_norm(x, weight, axis=axis))
    for p in (1.0, np.inf):
        assert_same_bits(lambda p=p: fastact.normalize(x, p, axis=axis))


@each_dtype
@each_shape
def test_gradients(shape, dtype):
    shape, axis = SHAPES[shape]
    x, dy, weight = numbers(shape, dtype, 5), numbers(shape, dtype, 6), numbers(shape[axis], dtype, 7)
    y = fastact.softmax(x, axis=axis)
    for function, *arguments in (
        (grad.softmax, dy, y),
        (grad.log_softmax, dy, np.log(y + np.finfo(dtype).tiny)),
        (grad.layer_norm, dy, x, weight),
        (grad.rms_norm, dy, x, weight),
        (grad.prelu, dy, x, weight),
    ):
        assert_same_bits(lambda function=function, arguments=arguments: function(*arguments, axis=axis))


@each_dtype
@pytest.mark.parametrize("shape", [(9, 16), (50, 64), (33, 100), (40, 333), (70, 4096)], ids=str)
def test_gradients_of_rows(shape, dtype):
    x, dy, weight = numbers(shape, dtype, 5), special(shape, dtype, 6), numbers(shape[-1], dtype, 7)
    for function in (grad.layer_norm, grad.rms_norm):
        assert_same_bits(lambda function=function: function(numbers(shape, dtype, 6), x, weight))
        assert_same_bits(lambda function=function: function(dy, x, weight))


@each_dtype
@pytest.mark.parametrize("axis", [0, 1])
def test_gated(axis, dtype):
    x = special((60, 1000), dtype, 14)
    dy = special((30, 1000) if axis == 0 else (60, 500), dtype, 15)
    assert_same_bits(lambda: grad.glu(dy, x, axis))


@each_dtype
@pytest.mark.parametrize("shape", ["rows", "columns", "many columns", "long columns", "few columns", "middle"])
def test_batch_norm(shape, dtype):
    shape, axis = SHAPES[shape]
    x, dy, (weight, bias) = numbers(shape, dtype, 8), numbers(shape, dtype, 9), numbers((2, shape[axis]), dtype, 10)
    others = tuple(k for k in range(len(shape)) if k != axis % len(shape))
    mean, var = fastact.moments(x, axis=others)
    for training in (True, False):
        assert_same_bits(
            lambda training=training: fastact.batch_norm(
                x, mean.copy(), var.copy(), weight, bias, training=training, axis=axis
            )
        )
    assert_same_bits(lambda: grad.batch_norm(dy, x, weight, mean, var, axis=axis))


# Planes with remainders of lanes, gathered in one piece or in several, and longer ones, also of several pieces.
@each_dtype
@pytest.mark.parametrize("special_values", [False, True])
@pytest.mark.parametrize("shape", [(4, 6, 7, 7), (40, 6, 14, 14), (3, 4, 50, 40), (300, 34, 5), (3, 4, 9999)], ids=str)
def test_planes(shape, special_values, dtype):
    x, dy = (special if special_values else numbers)(shape, dtype, 16), numbers(shape, dtype, 17)
    weight, bias, mean, var = np.abs(numbers((4, shape[1]), dtype, 18))
    for function, *arguments in (
        (fastact.batch_norm, x, None, None, weight, bias, True),
        (fastact.batch_norm, x, mean, var, weight, bias),
        (fastact.group_norm, x, 2, weight, bias),
        (fastact.instance_norm, x, weight, bias),
        (grad.batch_norm, dy, x, weight, mean, var),
    ):
        assert_same_bits(lambda function=function, arguments=arguments: function(*arguments))
    assert_same_bits(lambda: grad.batch_norm(dy[::2, ::-1], x[::2, ::-1], weight, mean, var))


@each_dtype
@pytest.mark.parametrize("length", [1, 31, 32, 1000, 4097, 300_001])
def test_penalties(length, dtype):
    for w in (numbers(length, dtype, 11), special(length, dtype, 11)):
        assert_same_bits(lambda w=w: fastact.l1_penalty(w, 0.3))
        assert_same_bits(lambda w=w: fastact.l2_penalty(w, 0.3))


@each_dtype
@pytest.mark.parametrize("length", [1, 7, 8, 31, 127, 128, 129, 1000, 4097, 300_001])
def test_dropout(length, dtype):
    x = special(length, dtype, 12)
    mask = fastact.dropout_mask(length, 0.3, rng=1)
    for function, *arguments in (
        (fastact.dropout, x, 0.3),
        (fastact.alpha_dropout, x, 0.3),
        (lambda *a, rng: fastact.dropout(*a, rng=rng, return_mask=True), x, 0.3),
        (fastact.dropout_mask, length, 0.3),
        (lambda x, *, rng: fastact.rrelu(x, training=True, rng=rng), x),
    ):
        assert_same_bits(lambda function=function, arguments=arguments: function(*arguments, rng=5))
    assert_same_bits(lambda: fastact.apply_mask(x, mask, 0.3))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bit_types(dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    with np.errstate(all="ignore"):
        x = special((30, 1000), np.float32, 13).astype(dtype)
    mask = fastact.dropout_mask(x.shape, 0.3, rng=1)
    for function in (
        fastact.softmax,
        lambda x: fastact.dropout(x, 0.3, rng=1),
        lambda x: fastact.alpha_dropout(x, 0.3, rng=1, return_mask=True),
        lambda x: fastact.apply_mask(x, mask, 0.3),
    ):
        assert_same_bits(lambda function=function: function(x))


def test_every_kernel_has_a_numba_version():
    fastact.set_backend("numba")
    fastact.warmup(ufuncs.BLOCK_KERNELS)
    keys = [key for key in tiers.compilable() if key[0] in ufuncs.BLOCK_KERNELS]
    loops = signatures.read()
    without = {key: backend.STATE.failures.get(key, "") for key in keys if not tiers.runs_numba(key)}
    # Shuffles and stores that only C can spell.
    assert all(reason.endswith("has no Numba version") for reason in without.values())
    assert {loops.files[name] for name, _ in without} <= {"halves", "images", "quantization"}


def test_signatures_are_those_that_cython_compiled():
    loops = signatures.read()
    assert {name for name in loops.code if loops.is_kernel(name)} == set(ufuncs.BLOCK_KERNELS)


def test_functions_that_are_no_ufuncs_can_be_warmed_up():
    for name, kernel in {
        "softmax": "softmax_whole_row",
        "layer_norm": "layer_norm_whole_row",
        "dropout": "dropout",
        "l2_penalty": "exact_squares_row",
        "rrelu": "rectify",
    }.items():
        assert kernel in fastact.runtime.kernels_of(name)


def test_hot_kernels_are_compiled_in_the_background(kernel_cache):
    code = """
import sys, time
import numpy as np, fastact
from fastact._kernels import tiers
x = np.random.default_rng(0).normal(0, 5, (500, 1000)).astype(np.float32)
expected = fastact.softmax(x), fastact.dropout(x, rng=1)
assert "numba" not in sys.modules
end = time.monotonic() + 400
while not (tiers.runs_numba(("softmax_whole_row", "float32")) and tiers.runs_numba(("dropout", "float32"))):
    assert time.monotonic() < end, "never swapped"
    assert (fastact.softmax(x) == expected[0]).all() and (fastact.dropout(x, rng=1) == expected[1]).all()
assert (fastact.softmax(x) == expected[0]).all() and (fastact.dropout(x, rng=1) == expected[1]).all()
print(tiers.runs_numba(("exp_sums_row", "float32")))
"""
    assert processes.output_of(code, FASTACT_BACKEND="auto", FASTACT_CACHE_DIR=kernel_cache) == "False"


def test_a_kernel_without_a_numba_version_runs_on_cython(tmp_path):
    code = """
import numpy as np, fastact
from fastact._kernels import numba_primitives
for name in [name for name in numba_primitives.WORD_PRIMITIVES if name.startswith("pack_")]:
    del numba_primitives.WORD_PRIMITIVES[name]
x = np.ones(1000, np.float32)
fastact.set_backend("cython"); expected = fastact.dropout_mask(1000, rng=1)
fastact.set_backend("numba")
assert (fastact.dropout_mask(1000, rng=1) == expected).all()
fastact.show_config()
"""
    output = processes.output_of(code, FASTACT_BACKEND="numba", FASTACT_CACHE_DIR=str(tmp_path))
    (line,) = [line for line in output.splitlines() if line.strip().startswith("draw_mask")]
    assert re.fullmatch(r"cython +cython +TypeError: pack_\w+ has no Numba version", line.partition(":")[2].strip())
