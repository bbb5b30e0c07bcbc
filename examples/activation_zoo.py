"""A figure of every activation and its gradient, from fastact's registry: a new row there is a new panel here."""

import sys

import numpy as np
from matplotlib.figure import Figure

import fastact
from fastact._kernels.registry import OPERATORS

COLUMNS = 6


def figure():
    """Return the figure: a panel for each activation, f in blue, f' in orange."""
    x = np.linspace(-5, 5, 1001)
    rows = -(-len(OPERATORS) // COLUMNS)
    drawing = Figure(figsize=(2.3 * COLUMNS, 2.0 * rows), layout="constrained")
    panels = drawing.subplots(rows, COLUMNS, sharex=True).ravel()
    for panel, row in zip(panels, OPERATORS, strict=False):
        parameters = row.tested_parameters[0]
        y = fastact.activations.ELEMENT_WISE[row.name](x, *parameters)
        dx = fastact.grad.ELEMENT_WISE[row.name](np.ones_like(x), x, *parameters)
        panel.plot(x, y, color="#1f6fb4", linewidth=1.8)
        panel.plot(x, dx, color="#c2571a", linewidth=1.2)
        panel.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        panel.axvline(0, color="0.8", linewidth=0.8, zorder=0)
        values = [f"{p.name}={value:g}" for p, value in zip(row.parameters, parameters, strict=True)]
        panel.set_title(f"{row.name}({', '.join(['x', *values])})", fontsize=8)
        panel.tick_params(labelsize=7)
    for panel in panels[len(OPERATORS) :]:
        panel.set_visible(False)
    drawing.suptitle("Activations (blue) and their gradients (orange)", fontsize=11)
    return drawing


def main(path="activation_zoo.png"):
    figure().savefig(path, dpi=120)
    print(f"{len(OPERATORS)} activations and their gradients: {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
