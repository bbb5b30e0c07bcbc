"""Measure the figures that README and docstrings quote, and add them to a record: ``python bench/figures.py FILE``.

Each has the text that it is quoted with. The documentation's tests look for it: a figure that is not here, or is no
longer what it was, fails them.
"""

import sys
from pathlib import Path

import numpy as np

import fastact
from fastact._bench import record


def variance_by_numpy():
    """NumPy's variance of float32 data with mean 1e6 and deviation 1, README's example."""
    return f"{columns().var(axis=0)[0]:.0f}"


def deviation_by_torch():
    """The standard deviation of a column of torch's batch_norm in training, of the same data. It should be 1."""
    from torch import from_numpy
    from torch.nn.functional import batch_norm

    y = batch_norm(from_numpy(columns()), None, None, training=True)
    return f"{y[:, 0].double().std().item():.3f}"


def columns():
    return np.random.default_rng(0).standard_normal((100_000, 2), dtype=np.float32) + np.float32(1e6)


def gelu_error_by_torch():
    """The error of torch's gelu at -3 in float32, in ULP, to one digit: of its vector loop, not of short arrays."""
    exact = fastact.gelu(-3.0)
    error = abs(gelu_by_torch(np.float32([-3]))[0] - exact) / np.spacing(np.float32(abs(exact)))
    return f"{float(f'{error:.1g}'):.0f} ULP"


def gelu_zero_by_torch():
    """The argument, in hundredths, from which on downwards torch's gelu is 0."""
    x = np.arange(-700, -400, dtype=np.float32) / 100
    return f"{x[gelu_by_torch(x) != 0].min() - 0.01:.2f}"


def gelu_by_torch(x):
    from torch import from_numpy
    from torch.nn.functional import gelu

    return gelu(from_numpy(np.repeat(x, 64))).numpy()[::64]


FIGURES = (variance_by_numpy, deviation_by_torch, gelu_error_by_torch, gelu_zero_by_torch)


def main():
    path = Path(sys.argv[1])
    found = record.load(path)
    found["figures"] = {figure.__name__: {"text": figure(), "is": figure.__doc__} for figure in FIGURES}
    record.save(found, path)
    for name, figure in found["figures"].items():
        print(f"{name}: {figure['text']}")


if __name__ == "__main__":
    main()
