"""The activations as people write them in NumPy: what the demo and the benchmarks run beside fastact.

These lines are contenders, nothing else. The kernels are made from `_kernels/formulas.py` and the tests compare with
the references of `_kernels/registry.py`; nothing is computed from here. An operator that is missing is shown without
a contender.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def identity(x: Array) -> Array:
    return x.copy()


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))  # type: ignore[no-any-return]


def tanh(x: Array) -> Array:
    return np.tanh(x)  # type: ignore[no-any-return]


def relu(x: Array) -> Array:
    return np.maximum(x, 0)  # type: ignore[no-any-return]


def relu6(x: Array) -> Array:
    return np.minimum(np.maximum(x, 0), 6)  # type: ignore[no-any-return]


def leaky_relu(x: Array, negative_slope: float) -> Array:
    return np.where(x > 0, x, negative_slope * x)


def elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * (np.exp(x) - 1))


def selu(x: Array) -> Array:
    return 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * (np.exp(x) - 1))


def softplus(x: Array, beta: float) -> Array:
    return np.log(1 + np.exp(beta * x)) / beta  # type: ignore[no-any-return]


LINES: dict[str, Callable[..., Array]] = {
    function.__name__: function for function in (identity, sigmoid, tanh, relu, relu6, leaky_relu, elu, selu, softplus)
}
