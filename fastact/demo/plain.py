"""What examples/digits.py calls of fastact, made of the textbooks' NumPy lines: the same networks can learn with these.

The arguments are fastact's, as far as the example gives them.
"""

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastact import textbook
from fastact._kernels.registry import OPERATORS

Array = np.ndarray[Any, Any]


def batch_norm(
    x: Array,
    running_mean: Array,
    running_var: Array,
    weight: Array,
    bias: Array,
    training: bool,
    *,
    return_stats: bool,  # noqa: ARG001
) -> tuple[Any, Any, Any]:
    mean, var = (x.mean(axis=0), x.var(axis=0)) if training else (running_mean, running_var)
    if training:
        running_mean += 0.1 * (mean - running_mean)
        running_var += 0.1 * (var * len(x) / (len(x) - 1) - running_var)
    return textbook.batch_norm(x, mean, var, weight, bias), mean, var


def dropout(x: Array, p: float, *, rng: np.random.Generator, return_mask: bool) -> tuple[Any, Any]:  # noqa: ARG001
    mask = rng.random(x.shape) >= p
    return x * mask / (1 - p), mask


def alpha_dropout(
    x: Array,
    p: float,
    *,
    rng: np.random.Generator,
    return_mask: bool,  # noqa: ARG001
) -> tuple[Any, Any]:
    saturated = -1.0507009873554805 * 1.6732632423543772
    a = ((1 - p) * (1 + p * saturated**2)) ** -0.5
    mask = rng.random(x.shape) >= p
    return a * np.where(mask, x, x.dtype.type(saturated)) - a * p * saturated, mask


def grad_dropout(dy: Array, mask: Array, p: float) -> Any:
    return dy * mask / (1 - p)


def library() -> SimpleNamespace:
    """Return functions by the names that they have in fastact, their gradients in `grad`."""
    lines: dict[str, Any] = {}
    gradients: dict[str, Any] = {}
    for row in OPERATORS:
        defaults = {} if row.is_learned else {p.name: p.default for p in row.parameters if p.default is not None}
        lines[row.name] = partial(textbook.LINES[row.name], **defaults)
        gradients[row.name] = partial(textbook.LINES[f"grad_{row.name}"], **defaults)
    for name in ("cross_entropy", "l1_penalty", "l2_penalty", "elastic_net_penalty"):
        lines[name], gradients[name] = textbook.LINES[name], textbook.LINES[f"grad_{name}"]
    lines |= {"batch_norm": batch_norm, "dropout": dropout, "alpha_dropout": alpha_dropout}
    gradients |= {"batch_norm": textbook.grad_batch_norm, "dropout": grad_dropout}
    return SimpleNamespace(**lines, grad=SimpleNamespace(**gradients))
