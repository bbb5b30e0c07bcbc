"""The demo: every kernel on two photographs, beside the NumPy line of the textbooks. Needs the extra fastact[demo]."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from sklearn.datasets import load_sample_images
from tqdm import tqdm

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
    """How much is run: elements of the large array, rounds of timing."""

    elements: int
    rounds: int


FULL = Effort(elements=2**24, rounds=9)
QUICK = Effort(elements=2**21, rounds=3)


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


def run(out: str, quick: bool) -> None:
    """Run all kernels over the photographs and over a larger array made from them; print tables, save a picture."""
    path = Path(out)
    if not path.parent.is_dir():
        raise SystemExit(f"--out: there is no directory {str(path.parent)!r} to write {path.name!r} to")
    effort = QUICK if quick else FULL
    photographs = normalized_photographs()
    inputs = {
        "the two photographs": photographs,
        f"the photographs repeated, contrast rising from {CONTRAST[0]:g} to {CONTRAST[1]:g}": larger(
            photographs, effort.elements
        ),
    }
    print(setting(), flush=True)
    with tqdm(total=len(inputs) * len(OPERATORS) * effort.rounds, unit="round", leave=False) as progress:
        results = [[measure(row, x, effort.rounds, progress) for row in OPERATORS] for x in inputs.values()]
    for (title, x), rows in zip(inputs.items(), results, strict=True):
        print(f"\n{title[0].upper()}{title[1:]}: {x.size:,} float32 elements\n\n{table(rows)}")
    print(f"\n{explanation(results[-1], effort.rounds)}")
    save_picture(results[-1], path, effort.elements)
    print(f"Picture: {path}")


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
    images = np.stack(load_sample_images().images).astype(np.float64)
    centered = images - images.mean(axis=(1, 2), keepdims=True)
    normalized: Array = centered / centered.std(axis=(1, 2), keepdims=True)
    return normalized.astype(np.float32)


def larger(photographs: Array, elements: int) -> Array:
    """Return the photographs repeated, every element at a contrast of its own, rising over the range `CONTRAST`."""
    x = np.resize(photographs, elements)
    x *= np.geomspace(*CONTRAST, elements, dtype=np.float32)
    return x


def measure(row: Operator, x: Array, rounds: int, progress: Any) -> Result:
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
            progress.update()
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


def save_picture(results: Sequence[Result], path: Path, elements: int) -> None:
    """Save a picture: how many times as fast on the left, the largest errors on the right."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    speed, accuracy = figure.subplots(1, 2, sharey=True)
    order = sorted(results, key=lambda result: ratio(result) or 0.0)
    draw_speed(speed, order)
    draw_accuracy(accuracy, order)
    figure.suptitle(
        f"fastact and the textbook NumPy lines on {elements / 2**20:g} Mi float32 values from two photographs "
        f"({ufuncs.CHOSEN}, {count(fastact.get_num_threads(), 'thread')})",
        fontsize=11,
    )
    figure.savefig(path, dpi=120, format="png")


OURS, THEIRS = "#1f6fb4", "#c2571a"


def draw_speed(axes: Any, results: Sequence[Result]) -> None:
    """Draw a bar for each kernel, with both times beside it."""
    ratios = [ratio(result) or 0.0 for result in results]
    axes.barh([result.name for result in results], ratios, color=OURS, height=0.6)
    axes.axvline(1, color=THEIRS, linewidth=1.2)
    axes.set_xlim(0, 1.45 * max(*ratios, 1.0))
    axes.xaxis.get_major_locator().set_params(integer=True)
    for position, (result, value) in enumerate(zip(results, ratios, strict=True)):
        ours = f"{1e3 * result.ours.fastest:.1f} ms"
        text = ours if result.textbook is None else f" {value:.1f}x   {1e3 * result.textbook.fastest:.0f} \u2192 {ours}"
        axes.text(value, position, text, va="center", fontsize=9)
    finish(axes, "Times as fast as the textbook line (its time \u2192 fastact's)")


def draw_accuracy(axes: Any, results: Sequence[Result]) -> None:
    """Draw both errors of each kernel on a logarithmic axis, 0 at its left end and infinity at its right."""
    low, high = 0.03, 1e9
    for position, (_, ours, line) in enumerate(results):
        draw_error(axes, position - 0.14, ours.ulp, OURS, (low, high))
        if line is not None:
            draw_error(axes, position + 0.14, line.ulp, THEIRS, (low, high))
    axes.axvline(1, color="0.6", linewidth=0.8, linestyle=":", zorder=0)
    axes.set(xscale="log", xlim=(low, 30 * high), xticks=[1.0, 1e2, 1e4, 1e6, 1e8])
    axes.legend(handles=[Patch(color=OURS, label="fastact"), Patch(color=THEIRS, label="textbook")], frameon=False)
    finish(axes, "Largest error in ULP (log scale)")


def draw_error(axes: Any, height: float, error: float, color: str, limits: tuple[float, float]) -> None:
    place = float(np.clip(error, *limits))
    axes.hlines(height, limits[0], place, color=color, linewidth=2.5, alpha=0.45)
    axes.plot(place, height, "o", color=color, markersize=5, clip_on=False)
    text = ulps(error) if error else "exact"
    axes.annotate(text, (place, height), (7, 0), textcoords="offset points", va="center", fontsize=8)


def finish(axes: Any, title: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
