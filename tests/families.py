"""What the tests of reductions share: the functions by family, data, and errors in ULP."""

import mpmath
import numpy as np
import pytest

import fastact
from fastact import grad, normalization, penalties
from fastact._kernels.registry import OPERATORS

mpmath.mp.dps = 60
INF, NAN = np.inf, np.nan

SOFTMAX = ("softmax", "softmin", "log_softmax")
LOSSES = ("logsumexp", "cross_entropy", "binary_cross_entropy_with_logits")
NAMES = (*SOFTMAX, *LOSSES, *normalization.__all__, *penalties.__all__)
GRADIENTS = [name for name in grad.__all__ if name not in {row.name for row in OPERATORS}]
FUNCTIONS = {name: getattr(fastact, name) for name in NAMES}
FUNCTIONS |= {f"grad.{name}": getattr(grad, name) for name in GRADIENTS}
# Functions of one array that keep its shape, with channels along axis 1 where there are any.
MAPS = {
    **{name: getattr(fastact, name) for name in (*SOFTMAX, "layer_norm", "rms_norm", "normalize", "instance_norm")},
    "batch_norm": lambda x, **options: fastact.batch_norm(x, training=True, **options),
    "group_norm": lambda x, **options: fastact.group_norm(x, 2, **options),
    "inference": lambda x, **options: fastact.batch_norm(x, np.zeros(6), np.full(6, 2.0), **options),
    "inverse": lambda x, **options: fastact.batch_norm_inverse(x, np.ones(6), np.full(6, 2.0), **options),
}
# Those whose axis is any axis.
ALONG = ("softmax", "softmin", "log_softmax", "layer_norm", "rms_norm", "normalize")

each_function = pytest.mark.parametrize("name", FUNCTIONS)
each_map = pytest.mark.parametrize("name", MAPS)


def normal(shape, dtype, seed=0, scale=3.0, mean=0.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale + mean).astype(dtype)


def ulp(exact, dtype):
    """Return the unit in the last place of exact numbers, subnormal ones included."""
    info = np.finfo(dtype)
    exponents = np.array([int(mpmath.frexp(number)[1]) - 1 if number else info.minexp for number in exact])
    return np.ldexp(1.0, np.maximum(exponents, info.minexp) - info.nmant)


def error(computed, exact, dtype):
    """Return the largest error in units in the last place of each number, or in given units."""
    differences = [float(abs(mpmath.mpf(float(y)) - e)) for y, e in zip(computed, exact, strict=True)]
    return max(np.array(differences) / ulp(exact, dtype))
