"""Threads: the same bits for any number, when they start, who sees which number, and what fork does to them."""

import hashlib
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastact
import processes
from cases import assert_same_bits, canonical, each_case, each_dtype
from fastact import runtime
from fastact._kernels import ufuncs

LARGE = 300_007
HALVES = (slice(None, 10_000), slice(10_000, None))


@pytest.fixture(autouse=True)
def threads_are_put_back():
    before = fastact.get_num_threads()
    yield
    fastact.set_num_threads(before)


# ---- Results.


@each_dtype
@each_case
def test_any_number_gives_the_same_bits(case, dtype):
    arrays = case.inputs(LARGE, dtype)
    strided = tuple(np.repeat(array, 2)[::2] for array in arrays)
    columns = [np.full(LARGE, default, dtype) for default in case.defaults]
    digests = set()
    for n in (1, 2, 7, 40):
        with fastact.threads(n):
            for given in (arrays, strided, (*arrays, *columns)):
                digests.add(hashlib.sha256(canonical(case.public(*given))).hexdigest())
            out = np.empty(2 * LARGE, dtype)[::2]
            digests.add(hashlib.sha256(canonical(case.public(*arrays, out=out))).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize("threads", [1, 2])
@each_case
def test_where_the_output_begins(case, threads):
    """Large outputs are computed from a cache line on, and what is before it by itself."""
    with fastact.threads(threads):
        for n in (16_383, 16_384, 73_729):
            arrays = case.inputs(n)
            expected = np.concatenate([case.public(*(array[piece] for array in arrays)) for piece in HALVES])
            for before in (1, 4, 15, 16):
                memory = np.full(n + 32, 99, np.float32)
                case.public(*arrays, out=memory[before : before + n])
                assert_same_bits(memory[before : before + n], expected)
                assert np.all(memory[:before] == 99)
                assert np.all(memory[before + n :] == 99)


@each_case
def test_sizes_around_the_threshold(case):
    """Where threads begin, and where a chunk ends: nothing is left out, nothing is written twice."""
    with fastact.threads(3):
        for n in (65_535, 65_536, 65_537, 73_728, 73_729, 81_919):
            arrays = case.inputs(n)
            out = np.full(n + 2, 99, np.float32)
            case.public(*arrays, out=out[1:-1])
            assert out[0] == out[-1] == 99
            middle = n - 20_000
            assert_same_bits(out[1 : middle + 1], case.public(*(array[:middle] for array in arrays)))
            assert_same_bits(out[middle + 1 : -1], case.public(*(array[middle:] for array in arrays)))


def test_sixteen_python_threads_at_once():
    """Each with its own data, sizes, thread counts and operators."""
    x = np.random.default_rng(1).standard_normal(16 * LARGE).astype(np.float32).reshape(16, -1)
    functions = (fastact.sigmoid, fastact.elu, fastact.softplus, lambda x: fastact.grad.tanh(np.float32(2), x))
    with fastact.threads(1):
        expected = [functions[k % 4](x[k]) for k in range(16)]
    start = threading.Barrier(16)

    def work(k):
        start.wait()
        for repetition in range(12):
            with fastact.threads(1 + (k + repetition) % 5):
                assert_same_bits(functions[k % 4](x[k]), expected[k])

    with ThreadPoolExecutor(16) as executor:
        for future in [executor.submit(work, k) for k in range(16)]:
            future.result()


# ---- The number.


def test_set_and_get():
    for n in (1, 2, 5, 1000, np.int64(3), np.uint8(7)):
        assert fastact.set_num_threads(n) is None
        assert fastact.get_num_threads() == n
        assert type(fastact.get_num_threads()) is int


def test_huge_numbers():
    fastact.set_num_threads(10**30)
    assert fastact.get_num_threads() >= 2**31 - 1


def test_more_threads_than_chunks():
    x = np.random.default_rng(1).standard_normal(LARGE)
    expected = fastact.sigmoid(x[:1000])
    with fastact.threads(100_000):
        assert_same_bits(fastact.sigmoid(x)[:1000], expected)


def test_context_manager():
    fastact.set_num_threads(2)
    with fastact.threads(5) as value:
        assert value is None
        assert fastact.get_num_threads() == 5
        with fastact.threads(3):
            assert fastact.get_num_threads() == 3
            fastact.set_num_threads(9)
            assert fastact.get_num_threads() == 3
        assert fastact.get_num_threads() == 5
    assert fastact.get_num_threads() == 9


def test_context_manager_after_an_error():
    fastact.set_num_threads(2)
    with pytest.raises(KeyError), fastact.threads(5):
        raise KeyError
    assert fastact.get_num_threads() == 2


def test_context_manager_again_and_as_decorator():
    fastact.set_num_threads(2)
    five = fastact.threads(5)
    for _ in range(2):
        with five, fastact.threads(3), five, ThreadPoolExecutor(1) as executor:
            assert executor.submit(five(fastact.get_num_threads)).result() == 5
            assert executor.submit(fastact.get_num_threads).result() == 2
            assert fastact.get_num_threads() == 5
        assert fastact.get_num_threads() == 2


@pytest.mark.parametrize("function", [fastact.set_num_threads, fastact.threads])
@pytest.mark.parametrize("bad", [0, -1, -(10**30)])
def test_numbers_below_one(function, bad):
    before = fastact.get_num_threads()
    with pytest.raises(ValueError, match=rf"{function.__name__}\(\): n must be .*at least 1, got {bad}"):
        function(bad)
    assert fastact.get_num_threads() == before


@pytest.mark.parametrize("function", [fastact.set_num_threads, fastact.threads])
@pytest.mark.parametrize("bad", [2.0, "2", None, True, [2], np.float32(2), np.bool_(True)], ids=repr)
def test_what_is_no_integer(function, bad):
    before = fastact.get_num_threads()
    message = rf"{function.__name__}\(\): n must be an integer.*, got '{type(bad).__name__}'"
    with pytest.raises(TypeError, match=message):
        function(bad)
    assert fastact.get_num_threads() == before


def test_another_thread_does_not_see_it():
    fastact.set_num_threads(2)
    with ThreadPoolExecutor(1) as executor, fastact.threads(7):
        assert executor.submit(fastact.get_num_threads).result() == 2
        fastact.set_num_threads(4)
        assert executor.submit(fastact.get_num_threads).result() == 4
        assert fastact.get_num_threads() == 7


# ---- Where the first number comes from.

CGROUP_V1 = "12:cpuset:/box\n5:cpu,cpuacct:/box/a\n1:name=systemd:/box\n"
CGROUP_V2 = "0::/box/a\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def threads_for(root, environment=None, affinity=64):
    return runtime.default_threads(environment or {}, affinity, runtime.cgroup_quota(str(root)))


def test_affinity(tmp_path):
    assert threads_for(tmp_path, affinity=6) == (6, "processors this process may run on")


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("200000 100000", 2), ("250000 100000", 3), ("1000 100000", 1), ("max 100000", 64), ("9900000 100000", 64)],
)
def test_quota_v2(tmp_path, quota, expected):
    write(tmp_path / "proc/self/cgroup", CGROUP_V2)
    write(tmp_path / "sys/fs/cgroup/box/a/cpu.max", quota + "\n")
    assert threads_for(tmp_path).threads == expected
    assert ("quota" in threads_for(tmp_path).reason) == (expected < 64)


def test_quota_v2_of_a_parent_and_in_a_container(tmp_path):
    write(tmp_path / "proc/self/cgroup", CGROUP_V2)
    write(tmp_path / "sys/fs/cgroup/box/a/cpu.max", "800000 100000\n")
    assert threads_for(tmp_path).threads == 8
    write(tmp_path / "sys/fs/cgroup/box/cpu.max", "300000 100000\n")
    assert threads_for(tmp_path).threads == 3
    write(tmp_path / "sys/fs/cgroup/cpu.max", "100000 100000\n")
    assert threads_for(tmp_path).threads == 1


@pytest.mark.parametrize(
    ("affinity", "quota", "expected"), [(4, None, 4), (4, 2.5, 2), (4, 0.5, 0), (1, None, 1), (2, 8.0, 2)]
)
def test_processors_of_its_own(affinity, quota, expected):
    assert runtime.own_processors(affinity, quota) == expected


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
@pytest.mark.parametrize(("quota", "expected"), [("350000", 4), ("-1", 64), ("50000", 1)])
def test_quota_v1(tmp_path, mount, quota, expected):
    write(tmp_path / "proc/self/cgroup", CGROUP_V1)
    write(tmp_path / f"sys/fs/cgroup/{mount}/box/a/cpu.cfs_quota_us", quota + "\n")
    write(tmp_path / f"sys/fs/cgroup/{mount}/box/a/cpu.cfs_period_us", "100000\n")
    assert threads_for(tmp_path).threads == expected


@pytest.mark.parametrize("text", ["", "nonsense", "100000", "a b", "100000 0", "-5 100000", "1 2 3"])
def test_unreadable_quota(tmp_path, text):
    write(tmp_path / "proc/self/cgroup", CGROUP_V2)
    write(tmp_path / "sys/fs/cgroup/box/a/cpu.max", text)
    assert threads_for(tmp_path, affinity=5).threads in {5, 1}


@pytest.mark.parametrize(
    ("environment", "expected", "reason"),
    [
        ({"FASTACT_NUM_THREADS": "3"}, 3, "FASTACT_NUM_THREADS"),
        ({"FASTACT_NUM_THREADS": " 3 "}, 3, "FASTACT_NUM_THREADS"),
        ({"FASTACT_NUM_THREADS": "3", "OMP_NUM_THREADS": "2"}, 3, "FASTACT_NUM_THREADS"),
        ({"OMP_NUM_THREADS": "2"}, 2, "OMP_NUM_THREADS"),
        ({"OMP_NUM_THREADS": "4,2,1"}, 4, "OMP_NUM_THREADS"),
        ({"OMP_NUM_THREADS": "many"}, 8, "processors"),
        ({"OMP_NUM_THREADS": "0"}, 8, "processors"),
        ({"OMP_NUM_THREADS": ""}, 8, "processors"),
        ({"FASTACT_NUM_THREADS": ""}, 8, "processors"),
        ({"OMP_NUM_THREADS": "100"}, 8, "processors"),
        ({"FASTACT_NUM_THREADS": "12345678901234567890"}, 8, "processors"),
    ],
)
def test_variables(tmp_path, environment, expected, reason):
    count = threads_for(tmp_path, environment, affinity=8)
    assert count.threads == expected
    assert reason in count.reason


@pytest.mark.parametrize("bad", ["0", "-1", "two", "1.5", "2,1", "²"])
def test_a_wrong_variable(tmp_path, bad):
    with pytest.raises(ValueError, match="FASTACT_NUM_THREADS must be an integer of at least 1, got"):
        threads_for(tmp_path, {"FASTACT_NUM_THREADS": bad})


def test_variables_of_the_process():
    code = "import fastact; print(fastact.get_num_threads()); fastact.show_config()"
    assert processes.output_of(code, FASTACT_NUM_THREADS="1").startswith("1\n")
    text = processes.output_of(code, FASTACT_NUM_THREADS="1")
    # One processor is reason enough.
    reason = "FASTACT_NUM_THREADS|processors this process may run on|CPU quota of the cgroup"
    assert re.search(rf"^threads +: 1 \(({reason})\)$", text, re.MULTILINE)
    assert processes.output_of(code, OMP_NUM_THREADS="1").startswith("1\n")
    ended = processes.run("-c", code, FASTACT_NUM_THREADS="none")
    assert ended.returncode == 1
    assert "FASTACT_NUM_THREADS must be an integer of at least 1, got 'none'" in ended.stderr


def test_affinity_of_the_process():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); import fastact as f; "
    assert processes.output_of(code + "print(f.get_num_threads())") == "1"


def test_show_config(capsys):
    fastact.show_config()
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[0].startswith(f"fastact {fastact.__version__}, NumPy {np.__version__}, Python 3.")
    facts = dict(line.split(":", 1) for line in lines[1:])
    names = ["processor", "instruction sets", "in use", "threads", "backend", "Numba", "large arrays", "kernels"]
    kernels = [*vars(fastact.ufuncs)["__all__"], *ufuncs.BLOCK_KERNELS, "all others"]
    assert [name.strip() for name in facts] == names + kernels
    assert {"softmax_whole_row", "moments_row", "dropout"} <= set(ufuncs.BLOCK_KERNELS)
    with fastact.threads(1234):
        fastact.show_config()
    assert "1234 (set_num_threads or threads)" in capsys.readouterr().out


# ---- When they start. In processes of their own: this one has threads already. Numba would bring its own.

START = """
import os, sys, threading, time
import numpy as np
import psutil

def native_threads():
    return psutil.Process().num_threads()

before = native_threads()
import fastact
from fastact._kernels import ufuncs, workers
x = np.linspace(-20, 20, 300_007).astype(np.float32)
right = np.concatenate([fastact.sigmoid(part) for part in np.array_split(x, 30)])

def check():
    with fastact.threads(3):
        assert np.array_equal(fastact.sigmoid(x), right)

def check_child():
    assert workers.started_workers() == 0, workers.started_workers()
    for _ in range(20):
        check()
    assert workers.started_workers() == 2, workers.started_workers()
    assert native_threads() >= 3

def join(child):
    _, status = os.waitpid(child, 0)
    assert status == 0, status

def fork(in_child):
    child = os.fork()
    if child == 0:
        try:
            in_child()
            os._exit(0)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
    join(child)
"""


def passes(code, **options):
    """Assert that a program ends by itself, without an error, in time."""
    assert processes.output_of(START + code + "\nprint('passed')", **options).endswith("passed")


def test_nothing_starts_at_import_or_in_small_calls():
    passes("assert native_threads() == before, (before, native_threads()); assert workers.started_workers() == 0")


def test_workers_start_at_the_first_large_call():
    passes(
        "check(); assert native_threads() == before + 2; assert workers.started_workers() == 2",
        FASTACT_BACKEND="cython",
    )


def test_one_thread_starts_none():
    passes("""
with fastact.threads(1):
    fastact.sigmoid(x)
assert native_threads() == before
""")


def test_parked_workers_take_no_time():
    passes(
        """
for _ in range(100):
    check()
time.sleep(0.2)
first = time.process_time()
time.sleep(0.5)
assert time.process_time() - first < 0.05
""",
        FASTACT_BACKEND="cython",
    )


def test_many_calls_on_one_processor():
    """Nobody waits for a thread that cannot run while he does: calls of several threads, sixteen callers at once."""
    passes(
        """
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
check()
callers = [threading.Thread(target=lambda: [check() for _ in range(20)]) for _ in range(16)]
for caller in callers:
    caller.start()
for caller in callers:
    caller.join()
assert workers.started_workers() == 2
"""
    )


def test_sizes_that_come_one_after_another():
    """Workers are awake, asleep or waking when a job comes, and its chunks few or many."""
    passes("""
right = fastact.tanh(x)
with fastact.threads(3):
    for repetition in range(300):
        n = (65_536, 90_001, 131_072, 300_007)[repetition % 4]
        assert np.array_equal(fastact.tanh(x[:n]), right[:n])
        if repetition % 3 == 0:
            time.sleep(repetition % 7 * 2e-5)
""")


def test_exit_with_workers_is_clean():
    ended = processes.run("-c", START + "check()")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_exit_while_a_thread_computes():
    code = """
def work():
    while True:
        check()
threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
"""
    for _ in range(3):
        ended = processes.run("-c", START + code)
        assert ended.returncode == 0, ended.stderr


# ---- fork.

IGNORE_FORK_WARNING = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"


def forks(code, **options):
    passes(IGNORE_FORK_WARNING + code, **options)


def test_fork():
    forks("check(); fork(check_child); check()")


def test_fork_before_any_thread():
    forks("fork(check_child); check()")


def test_fork_again_and_again():
    forks("""
check()
for _ in range(20):
    fork(check_child)
    check()
""")


def test_grandchild():
    forks("""
check()
def child():
    check_child()
    fork(check_child)
    check()
fork(child)
check()
""")


def test_fork_from_another_thread():
    forks("""
check()
failures = []
def work():
    try:
        fork(check_child)
    except BaseException as error:
        failures.append(error)
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert not failures, failures
check()
""")


def test_fork_while_another_thread_computes():
    forks("""
stop = False
def work():
    while not stop:
        check()
callers = [threading.Thread(target=work) for _ in range(3)]
for caller in callers:
    caller.start()
for _ in range(30):
    fork(check_child)
stop = True
for caller in callers:
    caller.join()
check()
""")


def test_fork_keeps_the_number():
    forks("""
fastact.set_num_threads(5)
def child():
    assert fastact.get_num_threads() == 5
fork(child)
with fastact.threads(4):
    def child():
        assert fastact.get_num_threads() == 4
    fork(child)
""")


POOL = """
import multiprocessing
import warnings
import numpy as np
import psutil
import fastact
from fastact._kernels import workers

def work(seed):
    warnings.simplefilter("ignore", DeprecationWarning)
    x = np.random.default_rng(seed).standard_normal(300_007).astype(np.float32)
    with fastact.threads(3):
        large = fastact.sigmoid(x)
    small = np.concatenate([fastact.sigmoid(part) for part in np.array_split(x, 30)])
    has_threads = psutil.Process().num_threads() >= 3
    return bool(np.array_equal(large, small)) and has_threads, workers.started_workers()

if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    assert work(0) == (True, 2)
    with multiprocessing.get_context("METHOD").Pool(3) as pool:
        results = pool.map(work, range(9))
    assert results == [(True, 2)] * 9, results
    assert work(1) == (True, 2)
    print("passed")
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method, tmp_path):
    output = processes.output_of_file(POOL.replace("METHOD", method), tmp_path)
    assert output == "passed"
