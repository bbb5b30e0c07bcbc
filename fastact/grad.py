"""Gradients: ``grad.NAME(dy, x, ...)`` is ``dy`` times the derivative of ``fastact.NAME(x, ...)``, in one pass."""

from fastact import _gradients
from fastact._gradients import *  # noqa: F403
from fastact._kernels import operators
from fastact._kernels.registry import OPERATORS

globals().update(operators.gradients(__name__))

__all__ = [row.name for row in OPERATORS] + _gradients.__all__
