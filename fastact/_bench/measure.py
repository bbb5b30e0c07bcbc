"""One measurement: everybody who can compute a case, in turns, checked beforehand."""

import math
from collections.abc import Callable
from functools import cache, partial
from timeit import Timer
from typing import Any

import numpy as np

from fastact import testing
from fastact._bench import accuracy as errors_of
from fastact._bench import agreement, peers
from fastact._bench.cases import CASES, Case, Prepared
from fastact._bench.record import nanoseconds

# Who is right on so many elements is right on others, and is asked once.
CHECKED = 2**16
# Nobody waits for who takes so many seconds for a call.
PATIENCE = 0.2
# What a line is about.
ALWAYS = frozenset({"fastact", "copy"})
ACCURACY_SIZE = 2**16


def contenders(prepared: Prepared, threads: int, with_peers: bool) -> dict[str, Callable[[], Any]]:
    """Return who is measured: fastact, the textbook's line, libraries if asked, and a copy of the input."""
    others = peers.offers(prepared) if with_peers else {}
    return {**prepared.ours(), "naive": prepared.naive(), **others, "copy": prepared.copy(threads)}


@cache
def checked(name: str, dtype: str, with_peers: bool) -> dict[str, float]:
    """Return the seconds that each contender takes for a call of `CHECKED` elements, if it computes what fastact does.

    A library that computes something else is not a contender. That fastact disagrees with the textbook's line is an
    error.
    """
    prepared = next(case for case in CASES if case.name == name).prepare(CHECKED, dtype)
    agreement.check(prepared, prepared.naive())
    seconds = {}
    for contender, call in contenders(prepared, 1, with_peers).items():
        if peers.library(contender) in peers.LIBRARIES:
            try:
                agreement.check(prepared, partial(result, prepared, contender, call))
            except AssertionError:
                continue
        with np.errstate(all="ignore"):
            seconds[contender] = min(Timer(call).repeat(2, 1))
    return seconds


def result(prepared: Prepared, name: str, call: Callable[[], Any]) -> Any:
    """Return what a contender computed, as arrays of NumPy, wherever it put it."""
    if prepared.case.takes_out and name != "naive" and not name.endswith(" new"):
        prepared.result.reshape(-1).view(np.uint8).fill(255)  # NaN, if it is of floats
        call()
        return prepared.result.copy()
    returned = call()
    if isinstance(returned, tuple):
        return tuple(np.asarray(part) for part in returned)
    return np.asarray(returned[0] if isinstance(returned, list) else returned)


def speed(case: Case, size: int, dtype: str, plan: dict[str, Any]) -> dict[str, Any]:
    """Return the times of all contenders, in nanoseconds a call: of the fastest round and the median."""
    seconds = checked(case.name, dtype, plan["peers"])
    prepared = case.prepare(size, dtype)
    calls = contenders(prepared, plan["threads"], plan["peers"])
    times = size / CHECKED
    with np.errstate(all="ignore"):
        timings = testing.interleave(
            {name: calls[name] for name in calls if name in ALWAYS or seconds.get(name, math.inf) * times < PATIENCE},
            rounds=plan["rounds"],
            burst=plan["burst"],
            seconds=plan["seconds"],
        )
    noise = testing.Comparison(timings["fastact"], timings["copy"]).noise
    return {
        "case": case.name,
        "size": size,
        "dtype": dtype,
        "threads": plan["threads"],
        "family": case.family,
        "elements": prepared.elements,
        "bytes": prepared.bytes,
        "copied": 2 * prepared.arrays[0].nbytes,
        "noise": None if math.isnan(noise) else round(noise, 4),
        "ns": {name: [nanoseconds(t.best), nanoseconds(t.median)] for name, t in timings.items()},
    }


def accuracy(case: Case, with_peers: bool) -> dict[str, Any]:
    """Return the largest errors in ULP of float32: over the arguments that are timed, and over all magnitudes."""
    prepared = case.prepare(ACCURACY_SIZE)
    if case.name not in errors_of.ROWS:
        return {"case": case.name, "arguments": largest(prepared, errors_of.of_function, with_peers)}
    x = errors_of.all_magnitudes()
    anywhere = Prepared(case, (x,), np.empty_like(x))
    return {
        "case": case.name,
        "arguments": largest(prepared, errors_of.of_operator, with_peers),
        "everywhere": largest(anywhere, errors_of.of_operator, with_peers),
    }


def largest(
    prepared: Prepared, error: Callable[[Prepared, Callable[[], Any]], float | None], with_peers: bool
) -> dict[str, float | str]:
    """Return everybody's largest error. JSON has no infinity: it is the text "inf"."""
    calls = contenders(prepared, 1, with_peers)
    del calls["copy"]
    found: dict[str, float | str] = {}
    for name, call in calls.items():
        library = peers.library(name)
        if library not in found:
            ulp = error(prepared, partial(result, prepared, name, call))
            if ulp is not None:
                found[library] = "inf" if math.isinf(ulp) else float(f"{ulp:.3g}")
    return found
