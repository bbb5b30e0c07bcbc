"""The picture of the demo: speed and accuracy of every kernel."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

import fastact
from fastact._kernels import ufuncs
from fastact.demo.kernels import Result, count, ratio, ulps


def save(results: Sequence[Result], path: Path, elements: int) -> None:
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
    print(f"Picture: {path}")


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
