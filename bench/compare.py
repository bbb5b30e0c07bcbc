"""Is this slower than it was? ``python bench/compare.py REV``: the working tree beside a revision, in one run.

Both are built in environments of their own. A pair of processes, one for each build, sits on one processor and measures
in turns; what counts is each function's time by that of a reference, a copy, in the same process, the fastest of many
short bursts of each, and how much that differs within a pair. A process keeps what chance gave it, such as where in
memory its arrays are: that is the noise which no number of bursts removes. So there are several pairs, and how far
they disagree is the noise of a benchmark. A function is suspected if it is slower by more than three times that, and
reported only if longer measurements with new processes say so again, twice.
"""

import argparse
import json
import math
import os
import shlex
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import NamedTuple

import builds

PAIR = Path(__file__).resolve().parent / "pair.py"
# So many benchmarks a pair of processes measures: some ten seconds.
PIECE = 90
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


FIRST, SECOND = Effort(pairs=6, turns=16, rounds=3), Effort(pairs=12, turns=16, rounds=3)


class Found(NamedTuple):
    """What the processes of both builds measured of one benchmark: logarithms of ratios to the reference."""

    base: list
    head: list

    @property
    def differences(self):
        """By which factor the head takes longer in each pair, as logarithms: what slows both is in neither."""
        return [head - base for base, head in zip(self.base, self.head, strict=True)]

    @property
    def change(self):
        return median(self.differences)

    @property
    def noise(self):
        """How far `change` is from what another run would give, from how far the pairs are apart.

        The standard deviation of a pair is taken from the median distance to the median, unmoved by single outliers
        and corrected for few pairs; that of a median of n is 1.2533/sqrt(n) of it.
        """
        number = len(self.differences)
        of_pair = 1.4826 * median(abs(value - self.change) for value in self.differences) * number / (number - 0.8)
        return max(LEAST_NOISE, 1.2533 * of_pair / math.sqrt(number))

    @property
    def is_slower(self):
        return self.change > TRIPWIRE * self.noise

    @property
    def is_blind(self):
        return TRIPWIRE * self.noise > math.log(1 + GOAL)

    @property
    def is_unsure(self):
        """Whether chance may have hidden a change of the goal: half the time, if that is the tripwire."""
        return TRIPWIRE * self.noise > math.log(1 + GOAL) / 2


def processors():
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def measure(pythons, benchmarks, effort, under):
    """Return what was measured of each benchmark that both builds have."""
    found = {benchmark: Found([], []) for benchmark in benchmarks}
    available = processors()
    for number in range(effort.pairs):
        plan = {
            "pythons": list(map(str, pythons)),
            "head first": number % 2 == 1,
            "processor": available[number // 2 % len(available)],
            "turns": effort.turns,
            "rounds": effort.rounds,
        }
        for piece in batched(benchmarks, PIECE):
            for benchmark, ratios in zip(piece, piece_of(plan | {"benchmarks": piece}, under), strict=True):
                for values, ratio in zip(found[benchmark], ratios or (), strict=False):
                    values.append(ratio)
        print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    return {benchmark: result for benchmark, result in found.items() if result.base}


def piece_of(plan, under):
    """Return what a pair of new processes measures."""
    command = [*under, sys.executable, PAIR]
    ended = subprocess.run(command, input=json.dumps(plan), stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in ended.stdout.splitlines()]


def batched(items, size):
    return [items[start : start + size] for start in range(0, len(items), size)]


def compare(pythons, benchmarks, under):
    """Measure all, then again what is suspected or not sure; return the results and those that are slower."""
    results = measure(pythons, benchmarks, FIRST, under)
    again = [benchmark for benchmark, found in results.items() if found.is_slower or found.is_unsure]
    suspects = {benchmark for benchmark in again if results[benchmark].is_slower}
    if again:
        print(f"{len(suspects)} suspected, {len(again) - len(suspects)} too noisy: measured again", file=sys.stderr)
        second = measure(pythons, again, SECOND, under)
        suspects |= {benchmark for benchmark, found in second.items() if found.is_slower}
        results |= second
    if newly := [benchmark for benchmark in suspects if results[benchmark].is_slower]:
        results |= measure(pythons, newly, SECOND, under)
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
    parser.add_argument("--under", type=shlex.split, default=[], metavar="COMMAND", help="what to run each piece under")
    options = parser.parse_args()
    pythons = builds.pythons_of(options.revision, None)

    from fastact._bench.cases import CASES

    benchmarks = [(c.name, SIZE, d) for c in CASES for d in DTYPES if d in c.dtypes and options.only in c.name]
    if options.instructions:
        from instructions import compare_counts

        sys.exit(1 if compare_counts(pythons, benchmarks) else 0)
    results, slower = compare(pythons, benchmarks, options.under)
    show(results, slower, options.all)
    if options.json:
        options.json.write_text(json.dumps(saved(results, slower)) + "\n")
    sys.exit(1 if slower else 0)


if __name__ == "__main__":
    main()
