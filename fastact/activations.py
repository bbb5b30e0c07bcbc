"""Element-wise activations. An operator without parameters is a `numpy.ufunc`; the others are functions over one."""

from fastact._kernels import operators
from fastact._kernels.registry import OPERATORS

globals().update(operators.forward(__name__))

__all__ = [row.name for row in OPERATORS]
