"""Activations for NumPy: real ufuncs, right to the last bit and as fast as the memory."""

from fastact import activations, grad, normalization, penalties, preprocess, runtime, ufuncs
from fastact.activations import *  # noqa: F403
from fastact.dropout import alpha_dropout, apply_mask, dropout, dropout_mask
from fastact.fuse import fuse
from fastact.normalization import *  # noqa: F403
from fastact.penalties import *  # noqa: F403
from fastact.runtime import *  # noqa: F403
from fastact.softmax import *  # noqa: F403
from fastact.softmax import __all__ as softmax_names

__version__ = "0.1.0"

__all__ = [
    "alpha_dropout",
    "apply_mask",
    "dropout",
    "dropout_mask",
    "fuse",
    "grad",
    "preprocess",
    "ufuncs",
    *activations.__all__,
    *normalization.__all__,
    *penalties.__all__,
    *runtime.__all__,
    *softmax_names,
]
