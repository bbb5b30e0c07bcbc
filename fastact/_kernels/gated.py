"""The operands of glu's gradient, in the type that they are computed in, or lazy as they are."""

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


def of_lazy_halves(dy: Any, a: Any, b: Any, axis: int) -> Any:
    """Return glu's gradient of halves that are no arrays of NumPy's, dask's say, as what they are."""
    if np.shape(dy) not in {(), a.shape}:
        raise wrong_shape(dy, a)
    return np.concatenate((UFUNCS["glu"](dy, b), UFUNCS["grad_glu"](dy, a, b)), axis)


def wrong_shape(dy: Any, a: Any) -> ValueError:
    return ValueError(f"grad.glu(): dy must have the shape {a.shape} of the output, got {np.shape(dy)}")
