"""The activations as people write them in NumPy: what the demo and the benchmarks run beside fastact.

These lines are contenders, nothing else. The kernels are made from `_kernels/formulas.py` and the tests compare with
the references of `_kernels/registry.py`; nothing is computed from here. An operator that is missing is shown without
a contender.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def identity(x: Array) -> Any:
    return x.copy()


def sigmoid(x: Array) -> Any:
    return 1 / (1 + np.exp(-x))


def tanh(x: Array) -> Any:
    return np.tanh(x)


def relu(x: Array) -> Any:
    return np.maximum(x, 0)


def relu6(x: Array) -> Any:
    return np.minimum(np.maximum(x, 0), 6)


def leaky_relu(x: Array, negative_slope: float) -> Any:
    return np.where(x > 0, x, negative_slope * x)


def elu(x: Array, alpha: float) -> Any:
    return np.where(x > 0, x, alpha * (np.exp(x) - 1))


def selu(x: Array) -> Any:
    return 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * (np.exp(x) - 1))


def softplus(x: Array, beta: float) -> Any:
    return np.log(1 + np.exp(beta * x)) / beta


def hardsigmoid(x: Array) -> Any:
    return np.clip(x / 6 + 0.5, 0, 1)


def hardtanh(x: Array, min_val: float, max_val: float) -> Any:
    return np.clip(x, min_val, max_val)


def softsign(x: Array) -> Any:
    return x / (1 + np.abs(x))


def hardswish(x: Array) -> Any:
    return x * np.clip(x + 3, 0, 6) / 6


def threshold(x: Array, threshold: float, value: float) -> Any:
    return np.where(x > threshold, x, x.dtype.type(value))


def hardshrink(x: Array, lambd: float) -> Any:
    return np.where(np.abs(x) > lambd, x, x.dtype.type(0))


def softshrink(x: Array, lambd: float) -> Any:
    return np.sign(x) * np.maximum(np.abs(x) - lambd, 0)


def prelu(x: Array, weight: float) -> Any:
    return np.where(x > 0, x, weight * x)


def celu(x: Array, alpha: float) -> Any:
    return np.where(x > 0, x, alpha * (np.exp(x / alpha) - 1))


def silu(x: Array) -> Any:
    return x / (1 + np.exp(-x))


def logsigmoid(x: Array) -> Any:
    return -np.log(1 + np.exp(-x))


def tanhshrink(x: Array) -> Any:
    return x - np.tanh(x)


def mish(x: Array) -> Any:
    return x * np.tanh(np.log(1 + np.exp(x)))


def gelu_tanh(x: Array) -> Any:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


WRITTEN: tuple[Callable[..., Any], ...] = (identity, sigmoid, tanh, relu, relu6, leaky_relu, elu, selu, softplus)
WRITTEN += (hardsigmoid, hardtanh, softsign, hardswish, threshold, hardshrink, softshrink, prelu, celu)
WRITTEN += (silu, logsigmoid, tanhshrink, mish, gelu_tanh)
LINES: dict[str, Callable[..., Any]] = {function.__name__: function for function in WRITTEN}
