"""The operands of glu's gradient, in the type that they are computed in."""

from typing import Any, TypeGuard

import numpy as np

from fastact._kernels.arguments import as_array, dtype_of, is_number, prepared
from fastact._kernels.axes import Array
from fastact._kernels.operands import FLOAT32, FLOAT64, computable
from fastact._kernels.operators import UFUNCS
from fastact._kernels.promotion import ARRAY, compute_type


def is_plain(x: Any) -> TypeGuard[Array]:
    """Return whether an argument is what the kernels compute with."""
    return type(x) is np.ndarray and x.dtype in (FLOAT32, FLOAT64) and x.flags.aligned


def of_one_type(dy: Any, a: Any, b: Any) -> tuple[Array, ...]:
    """Return glu's operands, checked, as arrays of the type that they are computed in; dy may be a number."""
    operands = prepared(UFUNCS["grad_glu"], (dy, a, b), (), ("dy", "x", "x"), {})
    dtype = np.dtype(compute_type([dtype_of(operand).type for operand in operands if not is_number(operand)]))
    demand = f"grad.glu(): dy and x must be {ARRAY}"
    dy, a, b = (computable(as_array(operand, demand), dtype) for operand in operands)
    return np.broadcast_to(dy, a.shape) if dy.ndim == 0 else dy, a, b
