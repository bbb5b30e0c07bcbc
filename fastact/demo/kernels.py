"""Every kernel on two photographs, beside the NumPy line of the textbooks: speed and accuracy."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

import fastact
from fastact import textbook
from fastact._bench import accuracy
from fastact._kernels import ufuncs
from fastact._kernels.registry import OPERATORS, Operator

Array = np.ndarray[Any, Any]

# The large array's contrast rises from the first to the second: small arguments cancel, large ones overflow.
CONTRAST = (1 / 256, 64.0)
# What the error is computed in at a time.
CHUNK = 2**20


class Effort(NamedTuple):
    """How much is run: elements of the large array, rounds of timing, epochs of learning."""

    elements: int
    rounds: int
    epochs: int


FULL = Effort(elements=2**24, rounds=9, epochs=60)
QUICK = Effort(elements=2**21, rounds=3, epochs=12)


class Contender(NamedTuple):
    """What was measured of one way to compute one operator: times in seconds, largest error in ULP."""

    fastest: float
    median: float
    ulp: float
    warnings: tuple[str, ...]


class Result(NamedTuple):
    """What was measured of one operator. There may be no textbook line for it."""

    name: str
    ours: Contender
    textbook: Contender | None


def run(photographs: Array, effort: Effort) -> list[Result]:
    """Run all kernels over the photographs and over a larger array made from them; print tables, return the last."""
    inputs = {
        "the two photographs": photographs,
        f"the photographs repeated, contrast rising from {CONTRAST[0]:g} to {CONTRAST[1]:g}": larger(
            photographs, effort.elements
        ),
    }
    print(setting(), flush=True)
    with progress_bar(len(inputs) * len(OPERATORS) * effort.rounds) as advance:
        results = [[measure(row, x, effort.rounds, advance) for row in OPERATORS] for x in inputs.values()]
    for (title, x), rows in zip(inputs.items(), results, strict=True):
        print(f"\n{title[0].upper()}{title[1:]}: {x.size:,} float32 elements\n\n{table(rows)}")
    print(f"\n{explanation(results[-1], effort.rounds)}")
    return results[-1]


@contextmanager
def progress_bar(rounds: int) -> Iterator[Callable[[], Any]]:
    """Show how many rounds are done; nothing if tqdm is not installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        yield lambda: None
        return
    with tqdm(total=rounds, unit="round", leave=False) as bar:
        yield bar.update


def setting() -> str:
    """Return which kernels run, and on how many threads."""
    return (
        f"fastact {fastact.__version__}, NumPy {np.__version__}: {ufuncs.CHOSEN} kernels ({ufuncs.REASON}), "
        f"{count(fastact.get_num_threads(), 'thread')}"
    )


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number > 1 else ''}"


def normalized_photographs() -> Array:
    """Return china.jpg and flower.jpg as float32 of shape (2, 427, 640, 3), each channel of mean 0 and deviation 1."""
    from sklearn.datasets import load_sample_images

    images = np.stack(load_sample_images().images).astype(np.float64)
    centered = images - images.mean(axis=(1, 2), keepdims=True)
    normalized: Array = centered / centered.std(axis=(1, 2), keepdims=True)
    return normalized.astype(np.float32)


def pattern() -> Array:
    """Return noise of the photographs' shape, mean and deviation, for where they are not installed."""
    return np.random.default_rng(0).standard_normal((2, 427, 640, 3), dtype=np.float32)


def larger(photographs: Array, elements: int) -> Array:
    """Return the photographs repeated, every element at a contrast of its own, rising over the range `CONTRAST`."""
    x = np.resize(photographs, elements)
    x *= np.geomspace(*CONTRAST, elements, dtype=np.float32)
    return x


def measure(row: Operator, x: Array, rounds: int, advance: Callable[[], Any]) -> Result:
    """Time one operator and its textbook line in turns, and find the largest error of both."""
    parameters = row.tested_parameters[0]
    kernel = fastact.activations.ELEMENT_WISE[row.name]
    line = textbook.LINES.get(row.name)
    y = np.empty_like(x)
    functions: list[Callable[[], Array]] = [lambda: kernel(x, *parameters, out=y)]
    if line is not None:
        functions.append(lambda: line(x, *parameters))

    checked = [check(function, row, x, parameters) for function in functions]
    times: list[list[float]] = [[] for _ in functions]
    with np.errstate(all="ignore"):
        for _ in range(rounds):
            for function, seconds in zip(functions, times, strict=True):
                start = perf_counter()
                function()
                seconds.append(perf_counter() - start)
            advance()
    ours, *rest = (
        Contender(min(seconds), median(seconds), ulp, warnings)
        for seconds, (ulp, warnings) in zip(times, checked, strict=True)
    )
    return Result(row.name, ours, rest[0] if rest else None)


def check(
    function: Callable[[], Array], row: Operator, x: Array, parameters: Sequence[float]
) -> tuple[float, tuple[str, ...]]:
    """Return the largest error of a function's result in ULP, and what NumPy would have warned of."""
    warnings: set[str] = set()
    with np.errstate(all="call", call=lambda kind, _: warnings.add(kind)):
        y = function()
    return largest_error(row, x, parameters, y), tuple(sorted(warnings))


def largest_error(row: Operator, x: Array, parameters: Sequence[float], y: Array) -> float:
    """Return the largest |y - exact|/ulp(exact), exact being the row's reference in binary64. NaN and inf are inf."""
    x, y = x.reshape(-1), y.reshape(-1)
    largest = 0.0
    with np.errstate(all="ignore"):
        for start in range(0, x.size, CHUNK):
            part = slice(start, start + CHUNK)
            exact = accuracy.exact_values(row, x[part], parameters)
            largest = max(largest, float(np.max(accuracy.errors(y[part], exact))))
    return largest


def ratio(result: Result) -> float | None:
    """Return how many times as fast as the textbook line fastact is, by the fastest rounds."""
    return None if result.textbook is None else result.textbook.fastest / result.ours.fastest


def table(results: Sequence[Result]) -> str:
    """Return the results as text, a line for each kernel."""
    head = (
        f"{'':<12}{'time in ms':^22}{'times as fast':^22}{'largest error in ULP':^24}\n"
        f"{'kernel':<12}{'textbook':>11}{'fastact':>11}{'fastest':>11}{'median':>11}{'textbook':>12}{'fastact':>12}"
    )
    return "\n".join([head, "-" * 80, *map(line_of_table, results)])


def line_of_table(result: Result) -> str:
    name, ours, line = result
    if line is None:
        return f"{name:<12}{'-':>11}{1e3 * ours.fastest:>11.2f}{'-':>11}{'-':>11}{'-':>12}{ulps(ours.ulp):>12}"
    return (
        f"{name:<12}{1e3 * line.fastest:>11.2f}{1e3 * ours.fastest:>11.2f}"
        f"{line.fastest / ours.fastest:>11.1f}{line.median / ours.median:>11.1f}"
        f"{ulps(line.ulp):>12}{ulps(ours.ulp):>12}"
    )


def ulps(error: float) -> str:
    """Return an error as text, readable from 0 to infinity."""
    return f"{error:.2f}" if error < 100 else f"{error:.1e}".replace("e+0", "e")


def explanation(results: Sequence[Result], rounds: int) -> str:
    """Return what the tables mean, and what was silenced."""
    warned = ", ".join(
        f"{result.name} ({' and '.join(result.textbook.warnings)})"
        for result in results
        if result.textbook and result.textbook.warnings
    )
    text = (
        "Textbook: NumPy lines such as 1/(1 + np.exp(-x)), new arrays for their results included; fastact: with out=.\n"
        f"Both ran in turns, {rounds} rounds. Errors: over all elements, against float64, in float32's last place."
    )
    return f"{text}\nSilenced warnings of the textbook lines: {warned}." if warned else text
