"""Activations for NumPy: real ufuncs, right to the last bit and as fast as the memory."""

from fastact import activations, grad, runtime, ufuncs
from fastact.activations import *  # noqa: F403
from fastact.dropout import alpha_dropout, apply_mask, dropout, dropout_mask
from fastact.runtime import *  # noqa: F403

__version__ = "0.1.0"

__all__ = [
    "alpha_dropout",
    "apply_mask",
    "dropout",
    "dropout_mask",
    "grad",
    "ufuncs",
    *activations.__all__,
    *runtime.__all__,
]
