"""Every `numpy.ufunc` of the package; parameters are operands like any other, gradients are named ``grad_NAME``."""

from fastact._kernels.ufuncs import UFUNCS

globals().update(UFUNCS)

__all__ = list(UFUNCS)
