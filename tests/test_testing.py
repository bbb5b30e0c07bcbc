"""fastact.testing: what is in turns, what a ratio is, what the noise says, and the fixture."""

import doctest
import itertools
import math
import random

import pytest

import fastact.testing
import processes
from fastact.testing import Comparison, Timing, compare, interleave

DOCUMENTED = [fastact.testing, Timing, Comparison, Comparison.check, compare, interleave]


@pytest.mark.parametrize("documented", DOCUMENTED, ids=lambda documented: documented.__name__)
def test_examples(documented):
    finder = doctest.DocTestFinder(recurse=False)
    report = []
    for examples in finder.find(documented, documented.__name__):
        doctest.DocTestRunner().run(examples, out=report.append)
    assert not report, "".join(report)


def test_functions_run_in_turns_in_alternating_order():
    calls = []
    functions = {name: (lambda name=name: calls.append(name)) for name in "abc"}
    timings = interleave(functions, rounds=4, burst=0)
    assert list(timings) == ["a", "b", "c"]
    assert "".join(calls).endswith("abccbaabccba")
    assert all(len(timing.seconds) == 4 and timing.calls == 1 for timing in timings.values())


def test_a_burst_has_many_calls_of_a_fast_function():
    count = itertools.count()
    timing = interleave({"count": lambda: next(count)}, rounds=2, burst=0.001)["count"]
    assert timing.calls > 100
    assert next(count) > 2 * timing.calls


def test_time_is_limited_but_four_rounds_are_run():
    assert len(interleave({"none": lambda: None}, rounds=50, seconds=0)["none"].seconds) == 4


def test_no_rounds_are_an_error():
    with pytest.raises(ValueError, match="rounds must be at least 1, got 0"):
        interleave({}, rounds=0)


def busy(turns):
    def work():
        for _ in range(turns):
            pass

    return work


def test_the_ratio_is_that_of_the_work():
    found = compare(busy(40_000), busy(10_000), rounds=60)
    assert 2 < found.ratio < 8
    assert found.speedup == 1 / found.ratio
    assert 1 < found.median_ratio < 16


def simulated(ratio, noise, rounds=40, seed=0):
    """Return what a machine would measure that is disturbed, upwards, by exponentially distributed amounts."""
    generator = random.Random(seed)

    def timing(seconds):
        return Timing(tuple(seconds * (1 + generator.expovariate(1 / noise)) for _ in range(rounds)), 1)

    return Comparison(timing(ratio), timing(1.0))


def test_noise_is_how_far_the_ratio_is_from_another_run():
    errors = [math.log(simulated(1, 0.2, seed=seed).ratio) for seed in range(200)]
    spread = math.sqrt(sum(error**2 for error in errors) / len(errors))
    told = sorted(simulated(1, 0.2, seed=seed).noise for seed in range(200))[100]
    # A quarter of the rounds is noisier than all of them: what is told is on the safe side.
    assert spread < told < 8 * spread


def test_noise_of_few_rounds_is_not_known():
    assert math.isnan(Comparison(Timing((1.0,) * 3, 1), Timing((1.0,) * 3, 1)).noise)


def test_check():
    simulated(0.5, 0.02).check(at_most=0.6)
    simulated(1.0, 0.02).check(at_most=1.0)
    with pytest.raises(AssertionError, match=r"1\.\d+ times the reference's time; allowed is 0.5"):
        simulated(1.0, 0.02).check(at_most=0.5)


def test_check_tolerates_the_noise():
    """Of 300 runs that are exactly as fast as allowed, hardly one is called slow."""
    failed = 0
    for seed in range(300):
        try:
            simulated(1.0, 0.05, seed=seed).check(at_most=1.0)
        except AssertionError:
            failed += 1
    assert failed <= 6


def test_check_does_not_judge_a_single_round():
    Comparison(Timing((9.0,), 1), Timing((1.0,), 1)).check(at_most=0.5)


FIXTURE = """
def work(turns):
    for _ in range(turns):
        pass

def test_it(interleaved, benchmark):
    found = interleaved(lambda: work(2000), lambda: work(1000), rounds=8)
    found.check(at_most=1000)
    if benchmark.enabled:
        assert benchmark.extra_info["ratio"] == found.ratio
        assert benchmark.extra_info["noise"] == found.noise
        assert benchmark.stats.stats.rounds == 8
        assert abs(benchmark.stats.stats.min - found.function.best) < 1e-9
"""


@pytest.mark.parametrize("option", ["--benchmark-enable", "--benchmark-disable"])
def test_fixture(option, tmp_path):
    pytest.importorskip("pytest_benchmark")
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["fastact.testing"]\n')
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(FIXTURE)
    options = ["-q", "-p", "no:xdist", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'inner'}", option]
    # A process of pytest-xdist tells its children what it is, and pytest-benchmark believes them to be the same.
    ended = processes.run("-m", "pytest", *options, str(tmp_path / "test_it.py"), cwd=tmp_path, PYTEST_XDIST_WORKER="")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 passed" in ended.stdout


def test_pytest_is_not_needed():
    code = (
        "import sys; sys.modules['pytest'] = None; sys.modules['pytest_benchmark'] = None; "
        "import fastact.testing as t; print(hasattr(t, 'interleaved'), len(t.__all__))"
    )
    assert processes.output_of(code) == "False 4"


def test_import_of_the_package_does_not_import_it():
    code = "import sys, fastact; print(any(n in sys.modules for n in ('fastact.testing', 'fastact._bench', 'timeit')))"
    assert processes.output_of(code) == "False"
