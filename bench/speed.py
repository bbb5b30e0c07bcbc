"""Measure the speed that fastact promises, and print it with what is required: ``python bench/speed.py``.

Everything that is compared runs in turns, many short bursts each, so that a busy machine slows all of them. Ratios are
given for the fastest bursts ("best", which decides) and for the medians. Larger is better throughout: a ratio of 2
means that fastact takes half the time. Textbook lines are shown in parentheses and never count.
"""

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import median
from timeit import Timer
from typing import Any, NamedTuple

import contenders
import numpy as np

import fastact
from fastact import textbook
from fastact._kernels import ufuncs
from fastact._kernels.registry import OPERATORS

IN_CACHE = (2**16, 2**18, 2**20)
LARGE = 2**24
REQUIRED_IN_CACHE = {"sigmoid": 1.0, "tanh": 1.0, "relu": 1.0, "elu": 4.0, "selu": 4.0, "softplus": 3.0}
REQUIRED_IN_CACHE |= {"silu": 1.0, "tanhshrink": 1.0, "mish": 3.0, "logsigmoid": 2.5}
REQUIRED_OF_COPY = 0.9
REQUIRED_OF_ONE = 1.0
# By the probability: of torch, whose own cost halves at 0.1, and of the best line of NumPy.
REQUIRED_OF_DROPOUT = {0.1: (12.0, 4.0), 0.5: (25.0, 4.0), 0.9: (12.0, 4.0)}
REQUIRED_OF_MASK = 0.8
REQUIRED_OF_DROPOUT_OF_COPY = 1 / 2.5
REQUIRED_OF_IMPORT = 1 / 1.2
BURST = 0.002


class Time(NamedTuple):
    """Seconds of one call: of the fastest burst, and the median."""

    best: float
    median: float


class Row(NamedTuple):
    """One comparison, as it is printed and recorded."""

    section: str
    case: str
    times: dict[str, Time]
    peer: str
    best: float
    median: float
    required: float | None

    @property
    def verdict(self) -> str:
        return "" if self.required is None else "pass" if self.best >= self.required else "FAIL"


def in_turns(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, Time]:
    return timed({name: Timer(function) for name, function in functions.items()}, rounds)


def timed(timers: dict[str, Timer], rounds: int, burst: float = BURST) -> dict[str, Time]:
    """Time in turns: in each round a burst of calls of each."""
    calls = {}
    for name, timer in timers.items():
        timer.timeit(1)
        calls[name] = max(1, round(burst / min(timer.repeat(3, 1))))
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            seconds[name].append(timer.timeit(calls[name]) / calls[name])
    return {name: Time(min(values), median(values)) for name, values in seconds.items()}


def compared(section: str, case: str, times: dict[str, Time], peers: Iterable[str], required: float | None) -> Row:
    """Return the comparison of fastact with the fastest of its peers."""
    peers = list(peers)
    peer = min(peers, key=lambda name: times[name].best)
    medians = min(times[name].median for name in peers)
    ours = times["fastact"]
    return Row(section, case, times, peer, times[peer].best / ours.best, medians / ours.median, required)


def normal(size: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(size, dtype=np.float32) * np.float32(3)


def in_cache(rounds: int) -> Iterable[Row]:
    """One thread, in cache, against the fastest library function."""
    for row in OPERATORS:
        for size in IN_CACHE:
            x = normal(size)
            y = np.empty_like(x)
            functions = {"fastact": partial(fastact.activations.ELEMENT_WISE[row.name], x, *row.required, out=y)}
            peers = contenders.libraries(row.name, x, y)
            check_same(functions | peers, y)
            line = textbook.LINES.get(row.name)
            lines = {"(textbook)": partial(line, x, *row.tested_parameters[0])} if line else {}
            with np.errstate(all="ignore"):
                times = in_turns(functions | peers | lines, rounds)
            if peers:
                required = REQUIRED_IN_CACHE.get(row.name)
                yield compared("cache", f"{row.name} {size // 1024} Ki", times, peers, required)


def gradients(rounds: int) -> Iterable[Row]:
    """Gradients, one thread, in cache, against torch's backward functions."""
    for row in OPERATORS:
        x, dy = normal(2**18), normal(2**18, seed=1)
        y = np.empty_like(x)
        functions = {"fastact": partial(fastact.grad.ELEMENT_WISE[row.name], dy, x, *row.required, out=y)}
        peers = contenders.gradients(row.name, dy, x, y)
        if peers:
            check_same(functions | peers, y)
            yield compared("gradients", f"{row.name} 256 Ki", in_turns(functions | peers, rounds), peers, None)


def check_same(functions: dict[str, Callable[[], object]], y: np.ndarray[Any, Any]) -> None:
    """Check that all compute the same thing; how well is the accuracy tests' question.

    torch's gelu is 1e-6 off, its gradient 7e-6.
    """
    results = []
    for function in functions.values():
        y.fill(np.nan)
        result = function()
        results.append(np.asarray(y if result is None else result).copy())
    for name, result in zip(functions, results, strict=True):
        np.testing.assert_allclose(result, results[0], rtol=1e-5, atol=2e-5, err_msg=name)


def large(rounds: int) -> Iterable[Row]:
    """16 Mi elements, two threads, against a copy by NumPy."""
    x = normal(LARGE)
    y = np.empty_like(x)
    functions = {row.name: partial(fastact.activations.ELEMENT_WISE[row.name], x, out=y) for row in OPERATORS}
    times = in_turns({"np.copyto": lambda: np.copyto(y, x), **functions}, rounds)
    for name in functions:
        pair = {"fastact": times[name], "np.copyto": times["np.copyto"]}
        yield compared("large", f"{name} 16 Mi", pair, ["np.copyto"], REQUIRED_OF_COPY)


def two_threads(rounds: int) -> Iterable[Row]:
    """1 Mi elements, in cache, two threads against one."""
    x = normal(2**20)
    y = np.empty_like(x)
    for row in OPERATORS:
        kernel = partial(fastact.activations.ELEMENT_WISE[row.name], x, out=y)
        settings = {"fastact": partial(fastact.set_num_threads, 2), "one thread": partial(fastact.set_num_threads, 1)}
        timers = {name: Timer(kernel, setting) for name, setting in settings.items()}
        times = timed(timers, rounds)
        yield compared("two threads", f"{row.name} 1024 Ki", times, ["one thread"], None)


def dropout(rounds: int) -> Iterable[Row]:
    """Dropout, one thread, a new array for each result, against torch and lines of NumPy."""
    for size in (2**16, 2**20):
        x = normal(size)
        y = np.empty_like(x)
        for p, required in REQUIRED_OF_DROPOUT.items():
            peers = contenders.dropout(p, x, y)
            times = in_turns({"fastact": partial(fastact.dropout, x, p), **peers}, rounds)
            for named, least in zip(({"torch"}, {"np.where", "np.multiply"}), required, strict=True):
                if named <= set(peers):
                    yield compared("dropout", f"dropout({p}) {size // 1024} Ki", times, sorted(named), least)


def dropout_of_copy(rounds: int) -> Iterable[Row]:
    """Dropout and applying its mask, one thread, against a copy."""
    for size in (2**20, LARGE):
        x = normal(size)
        y = np.empty_like(x)
        mask = fastact.dropout_mask(size, rng=0)
        functions = {
            "dropout": (partial(fastact.dropout, x, out=y), REQUIRED_OF_DROPOUT_OF_COPY if size == LARGE else None),
            "alpha_dropout": (partial(fastact.alpha_dropout, x, out=y), None),
            "return_mask": (partial(fastact.dropout, x, out=y, return_mask=True), None),
            "dropout_mask": (partial(fastact.dropout_mask, size), None),
            "apply_mask": (partial(fastact.apply_mask, x, mask, 0.5, out=y), REQUIRED_OF_MASK),
        }
        copies = {"np.copyto": lambda x=x, y=y: np.copyto(y, x)}
        times = in_turns(copies | {name: function for name, (function, _) in functions.items()}, rounds)
        for name, (_, required) in functions.items():
            pair = {"fastact": times[name], "np.copyto": times["np.copyto"]}
            yield compared("dropout and copy", f"{name} {size // 1024} Ki", pair, ["np.copyto"], required)


def dropout_in_two_threads(rounds: int) -> Iterable[Row]:
    """Dropout of 1 Mi elements, in cache, two threads against one."""
    x = normal(2**20)
    call = partial(fastact.dropout, x, out=np.empty_like(x))
    settings = {"fastact": partial(fastact.set_num_threads, 2), "one thread": partial(fastact.set_num_threads, 1)}
    times = timed({name: Timer(call, setting) for name, setting in settings.items()}, rounds)
    yield compared("dropout, two threads", "dropout 1024 Ki", times, ["one thread"], 1.8)


def one_element(rounds: int) -> Iterable[Row]:
    """One element, against np.exp."""
    x = normal(1)
    y = np.empty_like(x)
    for call, label in (("f(x, out=y)", "out="), ("f(x)", "new array")):
        functions = {row.name: fastact.activations.ELEMENT_WISE[row.name] for row in OPERATORS}
        timers = {
            name: Timer(call, globals={"f": function, "x": x, "y": y})
            for name, function in {"np.exp": np.exp, **functions}.items()
        }
        times = timed(timers, rounds, BURST / 4)
        for name in functions:
            pair = {"fastact": times[name], "np.exp": times["np.exp"]}
            yield compared("one", f"{name} {label}", pair, ["np.exp"], REQUIRED_OF_ONE)


def imports(rounds: int) -> Iterable[Row]:
    """``import fastact`` against ``import numpy``, in fresh processes."""
    seconds: dict[str, list[float]] = {"numpy": [], "fastact": []}
    for _ in range(rounds):
        for module, values in seconds.items():
            code = f"from time import perf_counter as t; a = t(); import {module}; print(t() - a)"
            values.append(float(subprocess.check_output([sys.executable, "-P", "-c", code])))
    times = {name: Time(min(values), median(values)) for name, values in seconds.items()}
    yield compared("import", "import", times, ["numpy"], REQUIRED_OF_IMPORT)


# What is measured, with which threads and how many rounds.
SECTIONS: dict[Callable[[int], Iterable[Row]], tuple[int, int]] = {
    in_cache: (1, 150),
    gradients: (1, 100),
    large: (2, 30),
    two_threads: (2, 60),
    dropout: (1, 30),
    dropout_of_copy: (1, 20),
    dropout_in_two_threads: (2, 60),
    one_element: (1, 60),
    imports: (1, 20),
}


def machine() -> dict[str, Any]:
    """Return where and with what this was measured."""
    try:
        from cpuinfo import get_cpu_info

        processor = get_cpu_info().get("brand_raw", platform.processor())
    except ImportError:
        processor = fastact.runtime.processor_name()
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "processor": processor,
        "processors": os.cpu_count(),
        "system": platform.platform(),
        "instruction set": ufuncs.CHOSEN,
        "versions": {"python": platform.python_version(), "fastact": fastact.__version__, **contenders.versions()},
    }


def text(row: Row) -> str:
    """Return a comparison as a line of text."""
    size = int(row.case.split()[1]) * {"Ki": 2**10, "Mi": 2**20}[row.case.split()[2]] if row.case.endswith("i") else 1
    times = ", ".join(f"{name} {1e9 * time.best / size:.3g}" for name, time in row.times.items())
    required = "" if row.required is None else f"{row.required:.2f}"
    return f"{row.case:<22}{row.best:>7.2f}{row.median:>8.2f}{required:>10} {row.verdict:<5} {times}"


def main() -> None:
    """Run all sections, print them, record them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="record everything in this file")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a requirement is not met")
    options = parser.parse_args()

    contenders.use_one_thread()
    setting = machine()
    print("\n".join(f"{name}: {value}" for name, value in setting.items()))
    rows: list[Row] = []
    for section, (threads, rounds) in SECTIONS.items():
        fastact.set_num_threads(threads)
        print(f"\n{section.__doc__}\n{'':<22}{'best':>7}{'median':>8}{'required':>10}       ns (an element)")
        for row in section(rounds):
            rows.append(row)
            print(text(row), flush=True)
    failed = [f"{row.section}: {row.case}" for row in rows if row.verdict == "FAIL"]
    print(
        f"\n{len(failed)} of {sum(row.required is not None for row in rows)} requirements not met", *failed, sep="\n  "
    )
    if options.json:
        recorded = [
            {**row._asdict(), "times": {k: t._asdict() for k, t in row.times.items()}, "verdict": row.verdict}
            for row in rows
        ]
        options.json.write_text(json.dumps({**setting, "rows": recorded}, indent=1) + "\n")
    sys.exit(1 if options.strict and failed else 0)


if __name__ == "__main__":
    main()
