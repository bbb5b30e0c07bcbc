"""Every public function beside the textbook's lines and, with --peers, beside other libraries, in pytest-benchmark.

All contenders of a case run in turns; what was measured of each is then recorded as a benchmark of its own. A group is
a case: ``--benchmark-group-by=group`` sets the contenders of one case side by side, fastact with each backend among
them, and ``pytest-benchmark compare --group-by=name`` two runs of one contender.
"""

import os
import subprocess
import sys
from functools import cache, lru_cache, partial
from timeit import Timer

import numpy as np
import pytest

import fastact
from fastact import testing
from fastact._bench import agreement, measure
from fastact._bench.cases import CASES, DTYPES, SIZES, without_case

LARGEST_CHECKED = 2**20
BACKENDS = ("cython", "numba")
# What each option takes: all there is, a subset that says most, the subset of --quick.
CHOICES = {
    "sizes": (SIZES, (1, 2**16, 2**20), (2**16,)),
    "dtypes": (DTYPES, ("float32",), ("float32",)),
    "threads": ((1, 2), (1,), (1,)),
    "backends": (BACKENDS, BACKENDS, ("cython",)),
}


def chosen(config, name):
    """Return the sizes, types, threads or backends to measure."""
    every, subset, quick = CHOICES[name]
    given = config.getoption(f"--{name}")
    if given is None:
        return every if config.getoption("--full") else quick if config.getoption("--quick") else subset
    kind = type(every[0])
    values = tuple(kind(value) for value in given.split(","))
    if kind is str and not set(values) <= set(every):
        raise pytest.UsageError(f"--{name}: one or more of {', '.join(every)}, separated by commas, got {given}")
    return values


def pytest_generate_tests(metafunc):
    """Give a test that takes a setting one of each that was chosen: (case, size, type, threads, backends)."""
    if "setting" not in metafunc.fixturenames:
        return
    config = metafunc.config
    settings = [
        (case.name, size, dtype, threads, chosen(config, "backends"))
        for case in CASES
        for size in chosen(config, "sizes")
        for dtype in chosen(config, "dtypes")
        for threads in chosen(config, "threads")
        if dtype in case.dtypes
    ]
    pairs = [
        pytest.param(setting, contender, id=f"{group_of(setting)} {contender}".replace(" ", "-"))
        for setting in settings
        for contender in contenders_of(setting[0], setting[-1], config.getoption("--peers"))
    ]
    metafunc.parametrize(("setting", "contender"), pairs)


def group_of(setting):
    """Return the name under which the contenders of one case stand."""
    case, size, dtype, threads, _ = setting
    return f"{case} {size} {dtype} threads={threads}"


def contenders(prepared, threads, backends, with_peers):
    """Return who is measured, by name: fastact with each backend, which is set before a burst, and the others."""
    calls = measure.contenders(prepared, threads, with_peers)
    ours = [(name, calls.pop(name)) for name in list(calls) if name.partition(" ")[0] == "fastact"]
    timers = {name: Timer(call) for name, call in calls.items()}
    for backend in backends:
        timers |= {f"{name} {backend}": Timer(call, partial(fastact.set_backend, backend)) for name, call in ours}
    return timers


@cache
def contenders_of(name, backends, with_peers):
    """Return who takes part in a case, found out on a small one."""
    return list(contenders(case_of(name).prepare(1000), 1, backends, with_peers))


def case_of(name):
    return next(case for case in CASES if case.name == name)


def test_every_public_function_has_a_benchmark():
    assert without_case() == []


@pytest.fixture(autouse=True)
def settings_are_put_back():
    threads, backend = fastact.get_num_threads(), fastact.get_backend()
    yield
    fastact.set_num_threads(threads)
    fastact.set_backend(backend)


@lru_cache(maxsize=1)
def prepared_and_checked(setting):
    """Return the case with its arguments, warmed up and found to agree with the textbook's line, with each backend."""
    name, size, dtype, _, backends = setting
    case = case_of(name)
    small = case.prepare(min(size, LARGEST_CHECKED), dtype)
    for backend in backends:
        fastact.set_backend(backend)
        agreement.check(small, small.naive())
    return small if size <= LARGEST_CHECKED else case.prepare(size, dtype)


@lru_cache(maxsize=1)
def measured(setting, with_peers, rounds):
    """Measure all contenders of a case in turns, once for all of them."""
    *_, threads, backends = setting
    calls = contenders(prepared_and_checked(setting), threads, backends, with_peers)
    return testing.interleave(calls, rounds=rounds, seconds=1.0)


def test_kernel(benchmark, setting, contender, request):
    """Measure one contender of a case: all of them in turns, when the first is asked for."""
    *_, threads, backends = setting
    with_peers, rounds = request.config.getoption("--peers"), request.config.getoption("--rounds")
    rounds = rounds or (8 if request.config.getoption("--quick") else 30)
    benchmark.group = group_of(setting)
    fastact.set_num_threads(threads)
    prepared = prepared_and_checked(setting)
    timers = contenders(prepared, threads, backends, with_peers)
    if contender not in timers:
        pytest.skip(f"{contender} has no such type")
    with np.errstate(all="ignore"):
        benchmark.pedantic(timers[contender].timeit, (1,), warmup_rounds=1)
        if benchmark.enabled:
            timings = measured(setting, with_peers, rounds)
            report(benchmark, prepared, timings, contender)


def report(benchmark, prepared, timings, contender):
    """Record what was measured, and what it means."""
    testing.record(benchmark, timings[contender])
    against_copy = testing.Comparison(timings[contender], timings["copy"])
    benchmark.extra_info |= {
        "contender": contender,
        "times of copy": against_copy.ratio,
        "noise": against_copy.noise,
        "ns an element": 1e9 * timings[contender].best / prepared.elements,
        "GB/s": prepared.bytes / timings[contender].best / 1e9,
    }


@pytest.mark.parametrize("kernel", ["compiled", "loaded from disk"])
def test_numba(benchmark, kernel, tmp_path):
    """What `fastact.warmup` takes in a fresh process that has imported Numba, for one kernel."""
    pytest.importorskip("numba")
    benchmark.group = "Numba, elu in float32"
    rounds = 3 if benchmark.enabled else 1
    if kernel == "loaded from disk":
        seconds_to_warm_up(tmp_path)
        taken = [seconds_to_warm_up(tmp_path) for _ in range(rounds)]
    else:
        taken = [seconds_to_warm_up(tmp_path / str(k)) for k in range(rounds)]
    benchmark.pedantic(int)
    if benchmark.enabled:
        testing.record(benchmark, testing.Timing(tuple(taken), 1))


def seconds_to_warm_up(cache):
    code = (
        "import time, fastact; fastact.set_backend('numba'); import numba; start = time.perf_counter(); "
        "fastact.warmup(['elu'], ['float32']); print(time.perf_counter() - start)"
    )
    environment = {**os.environ, "FASTACT_CACHE_DIR": str(cache)}
    return float(subprocess.check_output([sys.executable, "-c", code], env=environment, text=True))
