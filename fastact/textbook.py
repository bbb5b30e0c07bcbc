"""What fastact computes as people write it in NumPy: the lines that the demo and the benchmarks run beside it.

These lines are contenders, nothing else. They know nothing of fastact, whose kernels are made from
`_kernels/formulas.py` and compared by the tests with the references of `_kernels/registry.py`; nothing is computed from
here. They are what the textbooks print, and so are their mistakes: `bench/naive.py` shows where each goes wrong.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# Python numbers: NumPy's own would make float64 of float32.
TANH_FORM = math.sqrt(2 / math.pi)


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
    return 0.5 * x * (1 + np.tanh(TANH_FORM * (x + 0.044715 * x * x * x)))


erf_of_each: Any = np.frompyfunc(math.erf, 1, 1)


def erf(x: Array) -> Any:
    """NumPy has none: one call of Python's for each element."""
    return erf_of_each(x).astype(x.dtype)


def gelu(x: Array) -> Any:
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def quick_gelu(x: Array) -> Any:
    return x / (1 + np.exp(-1.702 * x))


def glu(x: Array) -> Any:
    a, b = np.split(x, 2, axis=-1)
    return a * sigmoid(b)


def rrelu(x: Array, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Any:
    slope = np.random.default_rng().uniform(lower, upper, x.shape) if training else (lower + upper) / 2
    return np.where(x > 0, x, (slope * x).astype(x.dtype))


# Gradients: dy times the derivative.


def grad_identity(dy: Array, x: Array) -> Any:
    return dy * np.ones_like(x)


def grad_sigmoid(dy: Array, x: Array) -> Any:
    y = sigmoid(x)
    return dy * y * (1 - y)


def grad_tanh(dy: Array, x: Array) -> Any:
    return dy * (1 - np.tanh(x) ** 2)


def grad_relu(dy: Array, x: Array) -> Any:
    return dy * (x > 0)


def grad_relu6(dy: Array, x: Array) -> Any:
    return dy * ((x > 0) & (x < 6))


def grad_leaky_relu(dy: Array, x: Array, negative_slope: float) -> Any:
    return np.where(x > 0, dy, negative_slope * dy)


def grad_elu(dy: Array, x: Array, alpha: float) -> Any:
    return np.where(x > 0, dy, dy * alpha * np.exp(x))


def grad_selu(dy: Array, x: Array) -> Any:
    return 1.0507009873554805 * np.where(x > 0, dy, dy * 1.6732632423543772 * np.exp(x))


def grad_softplus(dy: Array, x: Array, beta: float) -> Any:
    return dy / (1 + np.exp(-beta * x))


def grad_hardsigmoid(dy: Array, x: Array) -> Any:
    return dy * ((x > -3) & (x < 3)) / 6


def grad_hardtanh(dy: Array, x: Array, min_val: float, max_val: float) -> Any:
    return dy * ((x > min_val) & (x < max_val))


def grad_softsign(dy: Array, x: Array) -> Any:
    return dy / (1 + np.abs(x)) ** 2


def grad_hardswish(dy: Array, x: Array) -> Any:
    return dy * np.where(x <= -3, 0.0, np.where(x < 3, x / 3 + 0.5, 1.0))


def grad_threshold(dy: Array, x: Array, threshold: float, value: float) -> Any:  # noqa: ARG001
    return dy * (x > threshold)


def grad_hardshrink(dy: Array, x: Array, lambd: float) -> Any:
    return dy * (np.abs(x) > lambd)


def grad_softshrink(dy: Array, x: Array, lambd: float) -> Any:
    return dy * (np.abs(x) > lambd)


def grad_prelu(dy: Array, x: Array, weight: Any, axis: int = 1) -> Any:
    others = tuple(k for k in range(x.ndim) if k != axis)
    slope = np.expand_dims(weight, others)
    return np.where(x > 0, dy, slope * dy), np.sum(np.where(x > 0, 0.0, dy * x), axis=others)


def grad_celu(dy: Array, x: Array, alpha: float) -> Any:
    return np.where(x > 0, dy, dy * np.exp(x / alpha))


def grad_silu(dy: Array, x: Array) -> Any:
    s = sigmoid(x)
    return dy * (s + x * s * (1 - s))


def grad_logsigmoid(dy: Array, x: Array) -> Any:
    return dy / (1 + np.exp(x))


def grad_tanhshrink(dy: Array, x: Array) -> Any:
    return dy * np.tanh(x) ** 2


def grad_mish(dy: Array, x: Array) -> Any:
    t = np.tanh(np.log(1 + np.exp(x)))
    return dy * (t + x * (1 - t * t) * sigmoid(x))


def grad_gelu(dy: Array, x: Array) -> Any:
    return dy * (0.5 * (1 + erf(x / math.sqrt(2))) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi))


def grad_gelu_tanh(dy: Array, x: Array) -> Any:
    t = np.tanh(TANH_FORM * (x + 0.044715 * x * x * x))
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * TANH_FORM * (1 + 0.134145 * x * x))


def grad_glu(dy: Array, x: Array) -> Any:
    a, b = np.split(x, 2, axis=-1)
    s = sigmoid(b)
    return np.concatenate([dy * s, dy * a * s * (1 - s)], axis=-1)


def grad_rrelu(dy: Array, x: Array, lower: float = 1 / 8, upper: float = 1 / 3) -> Any:
    return np.where(x > 0, dy, (lower + upper) / 2 * dy)


# Softmax and losses, along the last axis.


def softmax(x: Array) -> Any:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmin(x: Array) -> Any:
    return softmax(-x)


def log_softmax(x: Array) -> Any:
    return x - np.expand_dims(logsumexp(x), -1)


def logsumexp(x: Array) -> Any:
    largest = x.max(axis=-1, keepdims=True)
    return np.log(np.exp(x - largest).sum(axis=-1)) + largest[..., 0]


def cross_entropy(logits: Array, target: Array) -> Any:
    return -np.mean(np.log(softmax(logits)[np.arange(len(target)), target]))


def binary_cross_entropy_with_logits(logits: Array, target: Array) -> Any:
    p = sigmoid(logits)
    return -np.mean(target * np.log(p) + (1 - target) * np.log(1 - p))


def grad_softmax(dy: Array, y: Array) -> Any:
    return y * (dy - np.sum(dy * y, axis=-1, keepdims=True))


def grad_log_softmax(dy: Array, y: Array) -> Any:
    return dy - np.exp(y) * np.sum(dy, axis=-1, keepdims=True)


def grad_cross_entropy(logits: Array, target: Array) -> Any:
    gradient = softmax(logits)
    gradient[np.arange(len(target)), target] -= 1
    return gradient / len(target)


def grad_binary_cross_entropy_with_logits(logits: Array, target: Array) -> Any:
    return (sigmoid(logits) - target) / logits.size


# Moments and normalizations: channels are the second axis, rows the last.


def moments(x: Array) -> Any:
    return x.mean(axis=-1), x.var(axis=-1)


def like_channels(x: Array, *vectors: Any) -> Any:
    return [np.expand_dims(vector, tuple(k for k in range(x.ndim) if k != 1)) for vector in vectors]


def batch_norm(x: Array, mean: Any, var: Any, weight: Any, bias: Any) -> Any:
    mean, var, weight, bias = like_channels(x, mean, var, weight, bias)
    return (x - mean) / np.sqrt(var + 1e-5) * weight + bias


def batch_norm_in_training(x: Array, weight: Any, bias: Any) -> Any:
    axes = tuple(k for k in range(x.ndim) if k != 1)
    return batch_norm(x, x.mean(axis=axes), x.var(axis=axes), weight, bias)


def batch_norm_and_relu(x: Array, weight: Any, bias: Any) -> Any:
    return np.maximum(batch_norm_in_training(x, weight, bias), 0)


def batch_norm_inverse(y: Array, mean: Any, var: Any, weight: Any, bias: Any) -> Any:
    mean, var, weight, bias = like_channels(y, mean, var, weight, bias)
    return (y - bias) / weight * np.sqrt(var + 1e-5) + mean


def layer_norm(x: Array, weight: Any, bias: Any) -> Any:
    mean, var = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5) * weight + bias


def rms_norm(x: Array, weight: Any) -> Any:
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-6) * weight


def group_norm(x: Array, num_groups: int, weight: Any, bias: Any) -> Any:
    groups = x.reshape(len(x), num_groups, -1)
    mean, var = groups.mean(axis=-1, keepdims=True), groups.var(axis=-1, keepdims=True)
    weight, bias = like_channels(x, weight, bias)
    return ((groups - mean) / np.sqrt(var + 1e-5)).reshape(x.shape) * weight + bias


def instance_norm(x: Array, weight: Any, bias: Any) -> Any:
    return group_norm(x, x.shape[1], weight, bias)


def normalize(x: Array) -> Any:
    return x / np.maximum(np.sqrt(np.sum(x * x, axis=-1, keepdims=True)), 1e-12)


def grad_batch_norm(dy: Array, x: Array, weight: Any, mean: Any, var: Any) -> Any:
    axes = tuple(k for k in range(x.ndim) if k != 1)
    mean, var, weight = like_channels(x, mean, var, weight)
    deviation = np.sqrt(var + 1e-5)
    normalized = (x - mean) / deviation
    dbias, dweight = dy.sum(axis=axes, keepdims=True), (dy * normalized).sum(axis=axes, keepdims=True)
    count = x.size // x.shape[1]
    dx = weight / deviation * (dy - dbias / count - normalized * dweight / count)
    return dx, dweight.reshape(-1), dbias.reshape(-1)


def grad_layer_norm(dy: Array, x: Array, weight: Any) -> Any:
    deviation = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    normalized = (x - x.mean(axis=-1, keepdims=True)) / deviation
    d = dy * weight
    mean_of_product = np.mean(d * normalized, axis=-1, keepdims=True)
    dx = (d - d.mean(axis=-1, keepdims=True) - normalized * mean_of_product) / deviation
    return dx, (dy * normalized).sum(axis=0), dy.sum(axis=0)


def grad_rms_norm(dy: Array, x: Array, weight: Any) -> Any:
    rms = np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-6)
    normalized = x / rms
    d = dy * weight
    return (d - normalized * np.mean(d * normalized, axis=-1, keepdims=True)) / rms, (dy * normalized).sum(axis=0)


# Dropout, with masks of one byte an element, and penalties.


def dropout(x: Array, p: float = 0.5) -> Any:
    return x * (np.random.default_rng().random(x.shape) >= p) / (1 - p)


def alpha_dropout(x: Array, p: float = 0.5) -> Any:
    saturated = -1.0507009873554805 * 1.6732632423543772
    a = ((1 - p) * (1 + p * saturated**2)) ** -0.5
    kept = np.where(np.random.default_rng().random(x.shape) >= p, x, saturated)
    return a * kept - a * p * saturated


def dropout_mask(shape: Any, p: float = 0.5) -> Any:
    return np.packbits((np.random.default_rng().random(shape) >= p).ravel(), bitorder="little")


def apply_mask(x: Array, mask: Array, p: float) -> Any:
    kept = np.unpackbits(mask, count=x.size, bitorder="little").reshape(x.shape)
    return x * kept / (1 - p)


def grad_dropout(dy: Array, mask: Array, p: float) -> Any:
    return apply_mask(dy, mask, p)


def l1_penalty(w: Array, lam: float) -> Any:
    return lam * np.sum(np.abs(w))


def l2_penalty(w: Array, lam: float) -> Any:
    return lam * np.sum(w * w)


def elastic_net_penalty(w: Array, l1: float, l2: float) -> Any:
    return l1_penalty(w, l1) + l2_penalty(w, l2)


def grad_l1_penalty(w: Array, lam: float) -> Any:
    return lam * np.sign(w)


def grad_l2_penalty(w: Array, lam: float) -> Any:
    return 2 * lam * w


def grad_elastic_net_penalty(w: Array, l1: float, l2: float) -> Any:
    return grad_l1_penalty(w, l1) + grad_l2_penalty(w, l2)


# What comes before inference.


def image_to_tensor(images: Array) -> Any:
    return np.moveaxis(images.astype(np.float32) / 255, -1, -3).copy()


def quantize_linear(x: Array, scale: float, zero_point: int) -> Any:
    return np.clip(np.round(x / scale) + zero_point, 0, 255).astype(np.uint8)


def dequantize_linear(q: Array, scale: float, zero_point: int) -> Any:
    return (q.astype(np.float32) - zero_point) * scale


def standardize(x: Array) -> Any:
    return (x - x.mean(axis=0)) / x.std(axis=0)


LINES: dict[str, Callable[..., Any]] = {
    name: line for name, line in list(globals().items()) if getattr(line, "__module__", None) == __name__
}
