"""Numba's kernels: the same bits as Cython's, compiled behind the caller's back, and harmless to the host."""

import compileall
import itertools
import os
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import fastact
import processes
from fastact._kernels import backend, tiers, ufuncs
from fastact._kernels.registry import OPERATORS, kernels

ROWS = {row.name: row for row in kernels()}
BITS = {np.dtype(np.float32): np.uint32, np.dtype(np.float64): np.uint64}
FLOATS = (np.float32, np.float64)
IS_USABLE = ufuncs.FUSED and ufuncs.CHOSEN != "baseline"
IS_LINUX = sys.platform == "linux"

pytestmark = [
    pytest.mark.skipif(not IS_USABLE, reason="Numba's kernels are not used without fused multiply-add"),
]
pytest.importorskip("numba")


@pytest.fixture(autouse=True)
def restored(kernel_cache, monkeypatch):
    """Keep kernels out of the user's cache, and restore the backend."""
    monkeypatch.setenv("FASTACT_CACHE_DIR", kernel_cache)
    before = fastact.get_backend()
    yield
    fastact.set_backend(before)


@pytest.fixture(scope="session")
def kernel_cache(tmp_path_factory):
    """Return a cache for the subprocesses, so that they compile each kernel once."""
    return str(tmp_path_factory.mktemp("kernels"))


def both(ufunc, arrays, **options):
    """Return the results of Cython and of Numba."""
    results = []
    for name in ("cython", "numba"):
        fastact.set_backend(name)
        results.append(ufunc(*arrays, **options))
    return results


def assert_same_bits(first, second):
    """Assert the same bits, but for NaN, whose sign and payload no IEEE operation defines."""
    bits = BITS[first.dtype]
    differ = (first.view(bits) != second.view(bits)) & ~(np.isnan(first) & np.isnan(second))
    assert not np.any(differ), f"{np.count_nonzero(differ)} of {differ.size}, first at {np.flatnonzero(differ)[0]}"


def patterns(dtype, count, seed):
    """Return numbers of random bits; NaN one in 256 or 1024."""
    bits = BITS[np.dtype(dtype)]
    return np.random.default_rng(seed).integers(0, np.iinfo(bits).max, count, bits, endpoint=True).view(dtype)


def parameters_of(row):
    name = row.name.removeprefix("grad_")
    return next((operator.tested_parameters for operator in OPERATORS if operator.name == name), ((),))


# ---- The same bits.


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ROWS)
def test_bits_are_those_of_cython(name, dtype):
    row, ufunc = ROWS[name], ufuncs.UFUNCS[name]
    arrays = [patterns(dtype, 1_000_003, seed) for seed in range(row.arrays)]
    near = [np.random.default_rng(seed).normal(0, 8, 100_003).astype(dtype) for seed in range(row.arrays)]
    for operands, parameters in itertools.product((arrays, near), parameters_of(row)):
        with np.errstate(over="ignore"):
            fitted = [np.array(parameter).astype(dtype) for parameter in parameters]
        assert_same_bits(*both(ufunc, [*operands, *fitted]))
    assert tiers.runs_numba((name, np.dtype(dtype).name))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.parameters])
def test_bits_are_those_of_cython_with_arrays_of_parameters(name, dtype):
    ufunc = ufuncs.UFUNCS[name]
    assert_same_bits(*both(ufunc, [patterns(dtype, 300_007, seed) for seed in range(ufunc.nin)]))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ROWS)
def test_bits_are_those_of_cython_for_every_float32(name):
    """In memory that stays in the cache: 10 to 20 s for an operator."""
    row, ufunc, chunk = ROWS[name], ufuncs.UFUNCS[name], 2**18
    parameters = [np.float32(parameter) for parameter in parameters_of(row)[0]]
    bits = np.arange(chunk, dtype=np.uint32)
    x, dy, first, second = bits.view(np.float32), np.full(chunk, 0.7, np.float32), *np.empty((2, chunk), np.float32)
    operands = [*[dy] * (row.arrays - 1), x, *parameters]
    fastact.set_backend("numba")
    ufunc(*operands)
    assert tiers.runs_numba((name, "float32"))
    for _ in range(2**32 // chunk):
        for backend_name, out in (("cython", first), ("numba", second)):
            fastact.set_backend(backend_name)
            ufunc(*operands, out=out)
        if not np.array_equal(first.view(np.uint32), second.view(np.uint32)):
            assert_same_bits(first, second)
        bits += chunk


@pytest.mark.parametrize("length", [511, 512, 513, 575, 1000, 16384, 131071, 131072, 200_003])
def test_lengths_tails_and_in_place(length):
    x = patterns(np.float32, length, 5)
    for name in ("sigmoid", "relu", "grad_tanh"):
        ufunc = ufuncs.UFUNCS[name]
        expected, result = both(ufunc, [x] * ufunc.nin)
        assert_same_bits(expected, result)
        in_place = x.copy()
        ufunc(*[in_place] * ufunc.nin, out=in_place)
        assert_same_bits(expected, in_place)


def test_strides_and_where():
    x = patterns(np.float64, 400_000, 6)
    where = np.random.default_rng(1).random(x.size) < 0.9
    for view in (x[::2], x[::-1], x.reshape(400, 1000).T):
        assert_same_bits(*(np.ascontiguousarray(y) for y in both(ufuncs.UFUNCS["sigmoid"], [view])))
    options = {"where": where, "out": np.zeros_like(x)}
    first, second = ((y.copy()) for y in both(lambda x, **o: ufuncs.UFUNCS["tanh"](x, **o).copy(), [x], **options))
    assert_same_bits(first, second)


def test_no_floating_point_flags():
    fastact.set_backend("numba")
    with np.errstate(all="raise"):
        for name, ufunc in ufuncs.UFUNCS.items():
            ufunc(*[patterns(np.float32, 140_000, 7)] * ufunc.nin)
            assert tiers.runs_numba((name, "float32"))


def test_primitives_are_those_of_cython():
    from fastact._kernels import numba_primitives, signatures

    loops = signatures.read()
    of_kernels = {callee for name in loops.signatures if loops.is_kernel(name) for callee in called(loops, name)}
    names = {name for name, known in loops.signatures.items() if known.is_primitive and name in of_kernels}
    assert len(names) > 20
    for precision in numba_primitives.PRECISIONS.values():
        # Shuffles of bytes are C's alone.
        of_bytes = {"split_3_bytes", "widen_pixels", "byte_of_word"}
        assert names - of_bytes <= {*numba_primitives.primitives(precision), *numba_primitives.FUNCTIONS}


def called(loops, name):
    """Return the names in a function's code and in those it calls."""
    pending, seen = [name], set()
    while pending:
        current = pending.pop()
        if current not in seen:
            seen.add(current)
            pending.extend(loops.code[current].co_names if current in loops.code else ())
    return seen


# ---- The interface.


def test_unknown_backends_are_refused():
    with pytest.raises(ValueError, match="'auto', 'numba', 'cython'.*'torch'"):
        fastact.set_backend("torch")
    with pytest.raises(TypeError, match="'int'"):
        fastact.set_backend(1)
    ended = processes.run("-c", "import fastact", FASTACT_BACKEND="torch")
    assert ended.returncode != 0
    assert "FASTACT_BACKEND must be one of auto, numba, cython, got 'torch'" in ended.stderr


@pytest.mark.parametrize("name", backend.BACKENDS)
def test_environment_chooses(name, kernel_cache):
    code = "import fastact; print(fastact.get_backend(), fastact.relu(-2.0))"
    assert processes.output_of(code, FASTACT_BACKEND=name, FASTACT_CACHE_DIR=kernel_cache) == f"{name} 0.0"


def test_warmup(kernel_cache):
    code = """
import fastact, numpy as np
fastact.warmup(["sigmoid", "grad_elu"], [np.float32, "float16"])
from fastact._kernels import tiers, ufuncs
print(sorted(key for key in tiers.compilable() if tiers.runs_numba(key)))
"""
    expected = [("grad_elu", "float32"), ("grad_sigmoid", "float32"), ("sigmoid", "float32")]
    assert processes.output_of(code, FASTACT_BACKEND="auto", FASTACT_CACHE_DIR=kernel_cache) == str(expected)


def test_warmup_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match=r"got 'sigmoud'; nearest: sigmoid"):
        fastact.warmup("sigmoud")
    with pytest.raises(TypeError, match="got complex64"):
        fastact.warmup("sigmoid", np.complex64)
    for wrong in (1.5, [None], np.ones((2, 2)), np.array(3)):
        with pytest.raises(TypeError, match=r"warmup\(\): names must be"):
            fastact.warmup(wrong)
    for wrong in (1.5, "nonsense", [[1, [2]]], (1.0,)):
        with pytest.raises(TypeError, match=r"warmup\(\): dtypes must be"):
            fastact.warmup("sigmoid", wrong)


@pytest.mark.skipif(not IS_LINUX, reason="needs a pseudo-terminal")
@pytest.mark.parametrize("has_tqdm", [True, False])
def test_warmup_shows_progress_on_a_terminal(has_tqdm, kernel_cache):
    pytest.importorskip("tqdm")
    code = f"""
import os, pty, sys, termios
ours, terminal = pty.openpty()
termios.tcsetwinsize(terminal, (24, 80))
sys.stderr = os.fdopen(terminal, "w")
if not {has_tqdm}: sys.modules["tqdm"] = None
import fastact
fastact.warmup("sigmoid", "float32")
sys.stderr.flush()
os.set_blocking(ours, False)
try: print(b"fastact: compiling" in os.read(ours, 10000))
except BlockingIOError: print(False)
"""
    assert processes.output_of(code, FASTACT_CACHE_DIR=kernel_cache) == str(has_tqdm)


def total_of_1(a):
    return a


def total_of_5(a, b, c, d, e):
    return a + b + c + d + e


def total_of_8(a, b, c, d, e, f, g, h):
    return a + b + c + d + e + f + g + h


CALLS = (
    (total_of_1, lambda x: total_of_1(-x)),
    (total_of_5, lambda x: total_of_5(x, x, x, x, x)),
    (total_of_8, lambda x: total_of_8(x, x, x, x, x, x, x, x)),
)


@pytest.mark.parametrize(("called", "formula"), CALLS, ids=["1", "5", "8"])
def test_formulas_of_any_number_of_arguments(called, formula):
    """What a formula calls may take more arguments than a kernel has operands."""
    from fastact._kernels import numba_frontend, numba_primitives

    front = numba_frontend.FrontEnd(numba_primitives.PRECISIONS["float32"])
    front.code = {called.__name__: called.__code__, "formula": formula.__code__}
    front.prepare("formula")
    assert set(front.needed("formula")) == {"formula", called.__name__}


def test_show_config_says_what_runs(capsys):
    fastact.set_backend("numba")
    fastact.warmup("selu", "float64")
    fastact.show_config()
    lines = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines()[1:])
    texts = {name.strip(): text.split() for name, text in lines.items()}
    assert texts["backend"] == ["numba"]
    assert texts["Numba"] == [sys.modules["numba"].__version__]
    assert texts["selu"][1] == "numba"
    fastact.set_backend("cython")
    fastact.show_config()
    assert "numba  " not in capsys.readouterr().out


# ---- Tiers.

BECOMES_HOT = """
import sys, time
import numpy as np, fastact
from fastact._kernels import tiers, ufuncs
x = np.random.default_rng(0).normal(0, 5, 200_000).astype(np.float32)
expected = fastact.sigmoid(x)
assert "numba" not in sys.modules
longest, end = 0.0, time.monotonic() + 400
while not tiers.runs_numba(("sigmoid", "float32")):
    assert time.monotonic() < end, "never swapped"
    assert (fastact.sigmoid(x) == expected).all()
"""


def test_hot_kernels_are_compiled_in_the_background(tmp_path):
    code = (
        f"{BECOMES_HOT}\nassert (fastact.sigmoid(x) == expected).all()\nassert 'numba' in sys.modules\nprint('swapped')"
    )
    assert processes.output_of(code, FASTACT_BACKEND="auto", FASTACT_CACHE_DIR=str(tmp_path)) == "swapped"


def test_cython_never_imports_numba():
    code = """
import sys, time, numpy as np, fastact
x = np.zeros(10_000_000, np.float32)
for _ in range(30): fastact.sigmoid(x, out=x)
time.sleep(1)
print("numba" in sys.modules)
"""
    assert processes.output_of(code, FASTACT_BACKEND="cython") == "False"


def test_first_call_costs_no_more_than_the_second(tmp_path):
    """In time of the processor that this thread has used: who else is at work does not matter."""
    code = """
import time, numpy as np, fastact
x = np.zeros(1000, np.float32)
np.exp(x)
times = []
for _ in range(2):
    start = time.thread_time(); fastact.sigmoid(x); times.append(time.thread_time() - start)
print(times[0] - times[1])
"""
    extra = [
        float(processes.output_of(code, FASTACT_BACKEND="auto", FASTACT_CACHE_DIR=str(tmp_path))) for _ in range(3)
    ]
    assert min(extra) < 1e-3


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.1, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("name", ["auto", "numba"])
def test_exit_in_mid_compile_is_clean(name, delay, tmp_path):
    begin = {"auto": "for _ in range(100): fastact.sigmoid(x)", "numba": "fastact.sigmoid(x)"}[name]
    code = f"""
import atexit, time, numpy as np
atexit.register(lambda: print(tiers.is_compiling()))
import fastact
from fastact._kernels import tiers
x = np.zeros(3_000_000, np.float32)
{begin}
time.sleep({delay})
"""
    ended = processes.run("-c", code, FASTACT_BACKEND=name, FASTACT_CACHE_DIR=str(tmp_path))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "False\n", "")


# ---- Without a usable Numba.

FAKES = {
    "import numba": ("raise ImportError('no such thing')", "no such thing"),
    "broken": ("raise RuntimeError('out of order')", "out of order"),
    "old": ("__version__ = '0.57.1'", "Numba 0.57.1 is too old"),
    "strange": ("", "Numba unknown is too old"),
}


@pytest.mark.parametrize("name", ["auto", "numba"])
@pytest.mark.parametrize("fake", FAKES)
def test_runs_on_cython_without_numba(fake, name, tmp_path):
    text, reason = FAKES[fake]
    (tmp_path / "numba.py").write_text(text)
    code = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
import time, numpy as np, fastact
x = np.zeros(1_000_000, np.float32)
end = time.monotonic() + 400
while "not used" not in fastact.runtime.config_text() and time.monotonic() < end: fastact.sigmoid(x)
fastact.show_config()
try: fastact.set_backend("numba")
except RuntimeError as error: print(error)
assert fastact.sigmoid(x)[0] == 0.5
"""
    output = processes.output_of(code, FASTACT_BACKEND=name, FASTACT_CACHE_DIR=str(tmp_path))
    assert "not used: " in output
    assert output.count(reason) >= 2
    assert output.splitlines()[-1].startswith("set_backend(): the backend 'numba' cannot be used:")


def test_runs_on_cython_without_its_sources(tmp_path):
    """As in a program made of bytecode alone."""
    package = tmp_path / "fastact"
    shutil.copytree(Path(fastact.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    assert compileall.compile_dir(package, quiet=1, legacy=True)
    for path in package.rglob("*"):
        if path.is_file() and path.suffix not in (".pyc", ".so"):
            path.unlink()
    code = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
import numpy as np, fastact
assert fastact.__file__ == {str(package / "__init__.pyc")!r}
print(fastact.sigmoid(np.zeros(2)), fastact.fuse(lambda x: x * 2)(1.5))
try: fastact.set_backend("numba")
except RuntimeError as error: print(error)
"""
    for name in backend.BACKENDS:
        output = processes.output_of(code, FASTACT_BACKEND=name, FASTACT_CACHE_DIR=str(tmp_path / "cache"))
        first, second = output.splitlines()
        assert first == "[0.5 0.5] 3.0"
        assert second.startswith("set_backend(): the backend 'numba' cannot be used:")


# ---- The host.

LAYERS = ("workqueue", "omp", "default")
OPEN_GATE = """
import time
import numpy as np, fastact
from fastact._kernels import backend, tiers, ufuncs
x = np.random.default_rng(0).normal(0, 5, 400_000).astype(np.float32)
fastact.set_num_threads(2)
fastact.set_backend("cython"); expected = fastact.sigmoid(x)
fastact.set_backend("numba"); fastact.sigmoid(x)
end = time.monotonic() + 400
while not tiers.uses_numba_threads() and not backend.STATE.failures.get(tiers.THREADS):
    assert time.monotonic() < end
    time.sleep(0.01)
"""


@pytest.mark.parametrize("layer", LAYERS)
def test_sixteen_threads(layer, kernel_cache):
    code = f"""{OPEN_GATE}
import threading
wrong = []
def work():
    for _ in range(60):
        if not (fastact.sigmoid(x) == expected).all(): wrong.append(1)
threads = [threading.Thread(target=work) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(wrong))
"""
    variables = {"NUMBA_THREADING_LAYER": layer, "FASTACT_CACHE_DIR": kernel_cache}
    assert processes.output_of(code, **variables) == "0"


@pytest.mark.parametrize("layer", ["omp", "default"])
def test_numba_threads_are_used(layer, kernel_cache):
    code = f"{OPEN_GATE}\nprint(tiers.uses_numba_threads())\nassert (fastact.sigmoid(x) == expected).all()"
    variables = {"NUMBA_THREADING_LAYER": layer, "FASTACT_CACHE_DIR": kernel_cache, "NUMBA_NUM_THREADS": "2"}
    output = processes.output_of(code, **variables)
    assert output == str(layer == "omp" or IS_LINUX)


def test_workqueue_is_left_to_the_host(kernel_cache):
    code = f"""{OPEN_GATE}
print(tiers.uses_numba_threads())
fastact.show_config()
"""
    output = processes.output_of(code, NUMBA_THREADING_LAYER="workqueue", FASTACT_CACHE_DIR=kernel_cache)
    assert output.startswith("False")
    assert "own threads (the workqueue layer aborts" in output


FORKED = """
def check():
    assert (fastact.sigmoid(x) == expected).all()
    assert (fastact.tanh(x) == fastact.tanh(x)).all()
    os._exit(0)

def status_of_child(work):
    child = os.fork()
    if child == 0:
        try: work()
        finally: os._exit(1)
    end = time.monotonic() + 400
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done: return status
        if time.monotonic() > end:
            os.kill(child, 9); os.waitpid(child, 0); return "hangs"
        time.sleep(0.01)
"""
FORKS = {
    "fork": "print(status_of_child(check))",
    "thread": """
results = []
thread = threading.Thread(target=lambda: results.append(status_of_child(check)))
thread.start(); thread.join(); print(*results)
""",
    "busy": """
stop = []
def work():
    while not stop: fastact.sigmoid(x)
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
time.sleep(0.1)
statuses = {status_of_child(check) for _ in range(5)}
stop.append(1)
for thread in threads: thread.join()
print(*statuses)
""",
    "grandchild": """
def fork_again():
    assert (fastact.sigmoid(x) == expected).all()
    os._exit(status_of_child(check) != 0)
print(status_of_child(fork_again))
""",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("fork", FORKS)
def test_fork(fork, layer, kernel_cache):
    code = f"{OPEN_GATE}\nimport os, threading\n{FORKED}\n{FORKS[fork]}\nassert (fastact.sigmoid(x) == expected).all()"
    variables = {"NUMBA_THREADING_LAYER": layer, "FASTACT_CACHE_DIR": kernel_cache}
    assert processes.output_of(code, **variables) == "0"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_while_the_first_kernel_is_wanted(kernel_cache):
    """Modules with locks are imported before the step that forks wait for: nobody opens a lock that is not closed."""
    code = """
import os, threading, time, warnings
import fastact
from fastact._kernels import backend, forks
find = forks.import_module
def find_late(name):
    time.sleep(0.3)
    return find(name)
forks.import_module = find_late
thread = threading.Thread(target=backend.compile_one, args=[("relu", "float32")])
thread.start()
time.sleep(0.1)
warnings.simplefilter("ignore")
child = os.fork()
if child == 0:
    os._exit(0)
print(os.waitpid(child, 0)[1])
thread.join()
"""
    ended = processes.run("-c", code, FASTACT_CACHE_DIR=kernel_cache)
    assert (ended.stdout.strip(), ended.stderr) == ("0", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.4, 0.7])
def test_fork_in_mid_compile(delay, tmp_path):
    """The child can use Numba for itself: it has inherited no lock that nobody opens."""
    code = f"""
import os, time, threading
import numpy as np, fastact
x = np.random.default_rng(0).normal(0, 5, 400_000).astype(np.float32)
fastact.set_backend("cython"); expected = fastact.sigmoid(x)
fastact.set_backend("auto")
for _ in range(600): fastact.sigmoid(x)
time.sleep({delay})
{FORKED}
def check_numba():
    import numba
    assert numba.njit(lambda a: a + 1)(1) == 2
    fastact.set_backend("numba")
    check()
print(status_of_child(check_numba))
"""
    assert processes.output_of(code, FASTACT_BACKEND="auto", FASTACT_CACHE_DIR=str(tmp_path)) == "0"


def test_no_side_effects(kernel_cache):
    code = f"""
import os, threading
import numba
try: from torch import get_num_threads as of_torch
except ImportError: of_torch = int
def state():
    return (dict(os.environ), numba.get_num_threads(), of_torch(), threading.enumerate(),
            {{k: v for k, v in vars(numba.config).items() if k.isupper()}})
before = state()
{OPEN_GATE}
fastact.set_num_threads(1); fastact.sigmoid(x)
fastact.set_num_threads(3); fastact.sigmoid(x)
for one, other in zip(before, state()): assert one == other, (one, other)
print("as before")
"""
    output = processes.output_of(
        code, NUMBA_THREADING_LAYER="omp", NUMBA_NUM_THREADS="2", FASTACT_CACHE_DIR=kernel_cache
    )
    assert output == "as before"


def test_openmp_thread_count_of_the_caller_is_as_before(kernel_cache):
    """Numba's omp layer sets OpenMP's thread count where it is started: that is our background thread."""
    code = f"""
import ctypes
openmp = ctypes.CDLL("libgomp.so.1")
openmp.omp_set_num_threads(7)
{OPEN_GATE}
print(openmp.omp_get_max_threads(), tiers.uses_numba_threads())
"""
    if not IS_LINUX:
        pytest.skip("needs libgomp")
    output = processes.output_of(code, NUMBA_THREADING_LAYER="omp", FASTACT_CACHE_DIR=kernel_cache)
    assert output == "7 True"


def test_no_shared_memory(kernel_cache):
    """Numba wants a lock of multiprocessing's for its threads; where there is no /dev/shm, ours compute."""
    code = f"""
import multiprocessing.context
def refuse(*_): raise OSError(30, "Read-only file system")
multiprocessing.context.BaseContext.RLock = refuse
{OPEN_GATE}
assert (fastact.sigmoid(x) == expected).all()
print(tiers.uses_numba_threads())
"""
    for layer in LAYERS:
        ended = processes.run("-c", code, NUMBA_THREADING_LAYER=layer, FASTACT_CACHE_DIR=kernel_cache)
        assert (ended.stdout, ended.stderr) == ("False\n", "")


def test_numba_and_the_host_in_turns(kernel_cache):
    """The host's own parallel functions run beside ours, in any thread."""
    code = f"""{OPEN_GATE}
import threading, numba
@numba.njit(parallel=True)
def total(n):
    s = 0
    for i in numba.prange(n): s += i
    return s
assert total(1000) == 499500
wrong = []
def work():
    for _ in range(100):
        if not (fastact.sigmoid(x) == expected).all(): wrong.append(1)
thread = threading.Thread(target=work); thread.start()
for _ in range(300): assert total(100000) == 4999950000
thread.join()
print(len(wrong))
"""
    for layer in LAYERS:
        assert processes.output_of(code, NUMBA_THREADING_LAYER=layer, FASTACT_CACHE_DIR=kernel_cache) == "0"


def test_a_warm_cache_is_faster_than_the_compiler(tmp_path):
    """In time of the processors: who else is at work does not matter."""
    code = """
import time, numba, numpy as np, fastact
x = np.zeros(10, np.float32)
fastact.set_backend("numba")
start = time.process_time()
for name in ("sigmoid", "tanh", "selu"): getattr(fastact, name)(x)
print(time.process_time() - start)
"""
    compiled, *loaded = [float(processes.output_of(code, FASTACT_CACHE_DIR=str(tmp_path))) for _ in range(4)]
    assert min(loaded) < compiled / 4, (compiled, loaded)


def test_warnings_of_the_host_are_left_alone(tmp_path):
    """While kernels are compiled, no warning of another thread is lost or raised, and no filter stays behind."""
    code = """
import threading, warnings
import fastact
from fastact._kernels import backend, tiers
from fastact._kernels.backend import compile_one

def compile_some():
    backend.compiler()
    for key in [key for key in tiers.compilable() if key[1] == "float32"][:10]: compile_one(key)
    compile_one(tiers.THREADS)

warnings.simplefilter("error")
before, seen, issued = list(warnings.filters), 0, 0
thread = threading.Thread(target=compile_some)
thread.start()
while thread.is_alive():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(20): warnings.warn("the host's own", UserWarning)
    seen, issued = seen + len(caught), issued + 20
failed = [key for key in backend.STATE.failures if key != tiers.THREADS]
print(issued > 0, issued - seen, warnings.filters == before, failed)
"""
    assert processes.output_of(code, FASTACT_CACHE_DIR=str(tmp_path)) == "True 0 True []"


def test_warnings_of_numba_in_code_of_the_host():
    """They are collected as ever: only what we compile is apart."""
    from numba.core.errors import NumbaWarning, WarningsFixer

    from fastact._kernels.numba_warnings import filters_untouched

    fixer = WarningsFixer(NumbaWarning)
    with fixer.catch_warnings("file", 1):
        warnings.warn("of the host's code", NumbaWarning, stacklevel=1)
    with pytest.warns(NumbaWarning, match="of the host's code"):
        fixer.flush()
    with filters_untouched(), pytest.warns(NumbaWarning), fixer.catch_warnings("file", 1):
        warnings.warn("of ours", NumbaWarning, stacklevel=1)
