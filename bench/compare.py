"""Is this slower than it was? ``python bench/compare.py REV``: the working tree beside a revision, in one run.

Both are built in environments of their own. A pair of processes, one for each build, sits on one processor and measures
in turns; what counts is each function's time by that of a reference (the textbook's line, or a copy) in the same
process, the fastest of many short bursts of each. A process keeps what chance gave it, such as where in memory its
arrays are: that is the noise which no number of bursts removes. So there are several pairs, and how far processes of
one build differ is the noise of a benchmark. A function is suspected if it is slower by more than three times that, and
reported only if longer measurements with new processes say so again, twice.
"""

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import NamedTuple

import builds

WORKER = Path(__file__).resolve().parent / "worker.py"
SIZE = 2**14
DTYPES = ("float32", "float64")
TRIPWIRE = 3.0
# The least noise that is believed in: where a loop happens to lie in the code changes its speed by some percent.
LEAST_NOISE = 0.05 / TRIPWIRE
# What a benchmark should be able to see.
GOAL = 0.15


class Effort(NamedTuple):
    """How long is measured: pairs of processes, turns of a pair at a benchmark, rounds in a turn."""

    pairs: int
    turns: int
    rounds: int


FIRST, SECOND = Effort(pairs=5, turns=16, rounds=3), Effort(pairs=9, turns=24, rounds=3)


class Process:
    """A worker with one of the builds, on one processor."""

    def __init__(self, python, processor):
        environment = {**os.environ, "FASTACT_BACKEND": "cython", "FASTACT_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}
        environment.pop("PYTHONPATH", None)
        self.process = subprocess.Popen(
            [python, WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(self.process.pid, {processor})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def ask(self, **command):
        print(json.dumps(command), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"a process that measures has ended: {self.process.args[0]}")
        return json.loads(answer)


class Found(NamedTuple):
    """What the processes of both builds measured of one benchmark: logarithms of ratios to the reference."""

    base: list
    head: list

    @property
    def change(self):
        """By which factor the head takes longer, as a logarithm."""
        return median(self.head) - median(self.base)

    @property
    def noise(self):
        """How far `change` is from what another run would give, from how far processes of one build are apart.

        The standard deviation of a process is taken from the median distance to the median, unmoved by single outliers
        and corrected for few processes; that of a median of n is 1.2533/sqrt(n) of it.
        """
        distances = [abs(value - median(values)) for values in self for value in values]
        number = len(self.base)
        of_process = 1.4826 * median(distances) * number / (number - 0.8)
        return max(LEAST_NOISE, 1.2533 * of_process * math.sqrt(2 / number))

    @property
    def is_slower(self):
        return self.change > TRIPWIRE * self.noise

    @property
    def is_blind(self):
        return TRIPWIRE * self.noise > math.log(1 + GOAL)


def processors():
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def measure(pythons, benchmarks, effort):
    """Return what was measured of each benchmark that both builds have."""
    found = {benchmark: Found([], []) for benchmark in benchmarks}
    available = processors()
    for number in range(effort.pairs):
        # Neither build is always the first to start, or to have its memory.
        order = pythons if number % 2 == 0 else pythons[::-1]
        processor = available[number % len(available)]
        with Process(order[0], processor) as first, Process(order[1], processor) as second:
            pair = (first, second) if number % 2 == 0 else (second, first)
            for benchmark in benchmarks:
                measure_one(pair, benchmark, effort, found[benchmark])
        print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    return {benchmark: result for benchmark, result in found.items() if result.base}


def measure_one(pair, benchmark, effort, found):
    """Let a pair of processes measure a benchmark in turns, and add what each found."""
    has_it = [process.ask(prepare=benchmark) for process in pair]
    if not all(has_it):
        return
    fastest = [[math.inf, math.inf], [math.inf, math.inf]]
    for turn in range(effort.turns):
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            times = pair[side].ask(run=effort.rounds)
            fastest[side] = [min(best, *seconds) for best, seconds in zip(fastest[side], times, strict=True)]
    for values, (function, reference) in zip(found, fastest, strict=True):
        values.append(math.log(function / reference))


def compare(pythons, benchmarks):
    """Measure all, then again what is suspected or could not be seen; return the results and those that are slower."""
    results = measure(pythons, benchmarks, FIRST)
    again = [benchmark for benchmark, found in results.items() if found.is_slower or found.is_blind]
    suspects = {benchmark for benchmark in again if results[benchmark].is_slower}
    if again:
        print(f"{len(suspects)} suspected, {len(again) - len(suspects)} too noisy: measured again", file=sys.stderr)
        second = measure(pythons, again, SECOND)
        suspects |= {benchmark for benchmark, found in second.items() if found.is_slower}
        results |= second
    if newly := [benchmark for benchmark in suspects if results[benchmark].is_slower]:
        results |= measure(pythons, newly, SECOND)
    return results, [benchmark for benchmark in suspects if results[benchmark].is_slower]


def percent(logarithm):
    return f"{100 * (math.exp(logarithm) - 1):+.1f}%"


def line(benchmark, found, slower):
    name, _, dtype = benchmark
    remark = "SLOWER" if benchmark in slower else "faster" if -found.change > TRIPWIRE * found.noise else ""
    remark = "too noisy to see 15%" if found.is_blind and not remark else remark
    ratios = "".join(f"{math.exp(median(values)):>9.3f}" for values in found)
    return f"{name + ' ' + dtype:<48}{ratios}{percent(found.change):>9}{percent(TRIPWIRE * found.noise):>10}  {remark}"


def show(results, slower, everything):
    """Print what changed, or all, and a summary."""
    print(f"{'time by the reference in the same process':<48}{'base':>9}{'head':>9}{'change':>9}{'tripwire':>10}")
    for benchmark, found in sorted(results.items(), key=lambda item: -item[1].change):
        if everything or benchmark in slower or abs(found.change) > TRIPWIRE * found.noise or found.is_blind:
            print(line(benchmark, found, slower))
    blind = sum(found.is_blind for found in results.values())
    noises = sorted(found.noise for found in results.values())
    print(
        f"{len(results)} benchmarks: {len(slower)} slower, {blind} too noisy to see {GOAL:.0%}. "
        f"Noise: median {percent(median(noises))}, largest {percent(noises[-1])}."
    )


def saved(results, slower):
    """Return the results for a file."""
    return {
        "slower": sorted(map(list, slower)),
        "benchmarks": [
            {"case": name, "size": size, "dtype": dtype, "base": found.base, "head": found.head}
            for (name, size, dtype), found in results.items()
        ],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", help="what to compare the working tree with, as git names it: HEAD, main, v0.1.0")
    parser.add_argument("--only", default="", metavar="TEXT", help="functions with this in their name")
    parser.add_argument("--all", action="store_true", help="print every benchmark, not only what changed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    parser.add_argument("--instructions", action="store_true", help="count instructions instead, by valgrind")
    options = parser.parse_args()
    pythons = builds.pythons_of(options.revision, None)

    from fastact._bench.cases import CASES

    benchmarks = [(c.name, SIZE, d) for c in CASES for d in DTYPES if d in c.dtypes and options.only in c.name]
    if options.instructions:
        from instructions import compare_counts

        sys.exit(1 if compare_counts(pythons, benchmarks) else 0)
    results, slower = compare(pythons, benchmarks)
    show(results, slower, options.all)
    if options.json:
        options.json.write_text(json.dumps(saved(results, slower)) + "\n")
    sys.exit(1 if slower else 0)


if __name__ == "__main__":
    main()
