"""Activations for NumPy: real ufuncs, right to the last bit and as fast as the memory."""

from fastact import activations, grad, runtime, ufuncs
from fastact.activations import *  # noqa: F403
from fastact.dropout import *  # noqa: F403
from fastact.dropout import __all__ as DROPOUT
from fastact.runtime import *  # noqa: F403

__version__ = "0.1.0"

__all__ = ["grad", "ufuncs", *activations.__all__, *DROPOUT, *runtime.__all__]
