"""Compare the speed of functions on a machine that does other things as well.

A time by itself says little: the next run, or the next machine, gives another. What stays is the ratio of a function to
a reference that runs in turns with it, burst by burst, in an order that alternates, so that whatever slows the machine
slows both. `compare` returns that ratio and how far to trust it. In pytest, with pytest-benchmark installed,
``pytest_plugins = ["fastact.testing"]`` in a ``conftest.py`` gives tests the fixture `interleaved`, which does the same
and records what it measured as pytest-benchmark does.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from statistics import median, stdev
from time import perf_counter
from timeit import Timer
from typing import Any, NamedTuple

__all__ = ["Comparison", "Timing", "compare", "interleave"]

Function = Callable[[], object]

# The noise is found by splitting a run into this many runs of interleaved rounds.
PARTS = 4
# Of what is called noise, one standard deviation, so much is tolerated.
TRIPWIRE = 3.0


class Timing(NamedTuple):
    """The time of one call of a function, in each round.

    Attributes
    ----------
    seconds : tuple of float
        The time of one call, averaged over the burst of a round.
    calls : int
        The number of calls in a burst.

    Examples
    --------
    >>> from fastact.testing import Timing
    >>> timing = Timing((0.25, 0.125, 0.5), calls=8)
    >>> timing.best, timing.median
    (0.125, 0.25)
    """

    seconds: tuple[float, ...]
    calls: int

    @property
    def best(self) -> float:
        """The fastest round: what the function takes when nothing else runs."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        return median(self.seconds)


class Comparison(NamedTuple):
    """The times of a function and of its reference, measured in turns.

    Attributes
    ----------
    function, reference : Timing
        What was measured of each: round i of one ran beside round i of the other.

    Examples
    --------
    >>> from fastact.testing import Comparison, Timing
    >>> found = Comparison(Timing((1.0, 2.0, 1.0, 1.0), 1), Timing((4.0, 8.0, 4.0, 4.0), 1))
    >>> found.ratio, found.speedup, found.noise
    (0.25, 4.0, 0.0)
    """

    function: Timing
    reference: Timing

    @property
    def ratio(self) -> float:
        """The function's time by the reference's, of the fastest rounds of each. Below 1, the function is faster."""
        return self.function.best / self.reference.best

    @property
    def median_ratio(self) -> float:
        """The median, over rounds, of the ratio in each."""
        return median(self._ratios())

    @property
    def speedup(self) -> float:
        """How many times as fast as the reference the function is: 1/ratio."""
        return 1 / self.ratio

    @property
    def noise(self) -> float:
        """How far `ratio` is from what another run would have given: a relative standard deviation.

        Taken from the run itself: its rounds are dealt out to four runs, which measure the same thing. NaN if there
        are too few rounds. What is the same in all rounds, such as where in memory the arrays happen to be, cannot be
        seen in it: another process differs by more.
        """
        rounds = len(self.function.seconds)
        if rounds < PARTS:
            return math.nan
        parts = [
            math.log(min(self.function.seconds[k::PARTS]) / min(self.reference.seconds[k::PARTS])) for k in range(PARTS)
        ]
        return stdev(parts)

    def check(self, at_most: float) -> None:
        """Raise AssertionError if the ratio is larger than it may be, by more than the noise can explain.

        Parameters
        ----------
        at_most : float
            The largest allowed ratio of the function's time to the reference's.

        Notes
        -----
        Tolerates three times the `noise`. A comparison of few rounds, as of pytest-benchmark with
        ``--benchmark-disable``, is not judged.

        Examples
        --------
        >>> from fastact.testing import Comparison, Timing
        >>> Comparison(Timing((1.0,) * 4, 1), Timing((4.0,) * 4, 1)).check(at_most=0.3)
        """
        limit = at_most * math.exp(TRIPWIRE * self.noise)
        if self.ratio > limit:
            raise AssertionError(
                f"{self.ratio:.3f} times the reference's time; allowed is {at_most:g}, or {limit:.3f} with three times "
                f"the noise, which was {self.noise:.1%}"
            )

    def _ratios(self) -> Iterator[float]:
        return (f / r for f, r in zip(self.function.seconds, self.reference.seconds, strict=True))


def compare(
    function: Function,
    reference: Function,
    *,
    rounds: int = 40,
    burst: float = 0.001,
    seconds: float = math.inf,
) -> Comparison:
    """Measure a function and its reference in turns.

    Parameters
    ----------
    function, reference : callable
        What is compared, without arguments: ``functools.partial`` or a lambda brings them.
    rounds, burst, seconds
        As of `interleave`.

    Returns
    -------
    Comparison

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> from fastact.testing import compare
    >>> x = np.linspace(-4, 4, 10_000, dtype=np.float32)
    >>> found = compare(lambda: fastact.sigmoid(x), lambda: 1 / (1 + np.exp(-x)), rounds=8)
    >>> found.ratio < 1
    True
    """
    timings = interleave({"function": function, "reference": reference}, rounds=rounds, burst=burst, seconds=seconds)
    return Comparison(timings["function"], timings["reference"])


def interleave(
    functions: Mapping[str, Function | Timer], *, rounds: int = 40, burst: float = 0.001, seconds: float = math.inf
) -> dict[str, Timing]:
    """Measure functions in turns: in each round a burst of calls of each, every other round in reverse order.

    Parameters
    ----------
    functions : mapping of str to callable or timeit.Timer
        What is measured, by name; the setup of a Timer precedes each burst and is not timed.
    rounds : int, default 40
        The largest number of rounds.
    burst : float, default 0.001
        Seconds that the calls of one function in one round are to take. There is at least one.
    seconds : float, optional
        No round begins after so many seconds, but four are run in any case.

    Returns
    -------
    dict of str to Timing
        In the order of `functions`.

    Raises
    ------
    ValueError
        If `rounds` is below 1.

    Notes
    -----
    Each function is called once before anything is timed: what a first call costs (a compiler, page faults of the
    result, threads) is a question of its own. So is what the others leave in the caches: a call that is not timed
    precedes each burst of several. The garbage collector rests during the bursts.

    Examples
    --------
    >>> from fastact.testing import interleave
    >>> timings = interleave({"sum": lambda: sum(range(1000)), "max": lambda: max(range(1000))}, rounds=6)
    >>> len(timings["sum"].seconds)
    6
    """
    if rounds < 1:
        raise ValueError(f"interleave(): rounds must be at least 1, got {rounds}")
    timers = {name: call if isinstance(call, Timer) else Timer(call) for name, call in functions.items()}
    calls = {name: calls_in_burst(timer, burst) for name, timer in timers.items()}
    taken: dict[str, list[float]] = {name: [] for name in timers}
    end = perf_counter() + seconds
    for number in range(rounds):
        if number >= PARTS and perf_counter() > end:
            break
        for name in list(timers) if number % 2 == 0 else reversed(timers):
            if calls[name] > 1:
                timers[name].timeit(1)
            taken[name].append(timers[name].timeit(calls[name]) / calls[name])
    return {name: Timing(tuple(values), calls[name]) for name, values in taken.items()}


def calls_in_burst(timer: Timer, burst: float) -> int:
    """Return how many calls take so many seconds, after a call that warms up."""
    timer.timeit(1)
    if timer.timeit(1) >= burst:
        return 1
    calls = 1
    while calls * (took := min(timer.repeat(3, calls)) / calls) < burst / 10:
        calls *= 10
    return max(1, round(burst / took))


def record(benchmark: Any, timing: Timing) -> None:
    """Give pytest-benchmark's fixture the rounds that were measured of a function."""
    benchmark.stats.stats.data.clear()
    for seconds in timing.seconds:
        benchmark.stats.update(seconds * benchmark.stats.iterations)


try:
    import pytest
except ModuleNotFoundError:
    pass
else:

    @pytest.fixture
    def interleaved(benchmark: Any) -> Callable[..., Comparison]:
        """Return `compare`, with what it measures of the function recorded by pytest-benchmark."""

        def compare_and_record(function: Function, reference: Function, **options: Any) -> Comparison:
            if not benchmark.enabled:
                options = {"rounds": 1, "burst": 0.0}
            found = compare(function, reference, **options)
            benchmark.pedantic(function, iterations=found.function.calls)
            if benchmark.enabled:
                record(benchmark, found.function)
                benchmark.extra_info |= {
                    "ratio": found.ratio,
                    "median_ratio": found.median_ratio,
                    "noise": found.noise,
                    "reference_seconds": found.reference.best,
                }
            return found

        return compare_and_record
