"""The reductions as the public families call them: their arguments, and the kernels of an operation."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastact._kernels.operands import (
    FLOAT32,
    FLOAT64,
    Operand,
    Output,
    checked_out,
    computable,
    compute_dtype,
    is_half,
    kept_shape,
    like,
    normalized_axes,
    real,
    result_dtype,
    rounded,
    single_axis,
    statistics,
)
from fastact._kernels.reductions import run

__all__ = [
    "FLOAT32",
    "FLOAT64",
    "Operand",
    "Output",
    "checked_out",
    "computable",
    "compute_dtype",
    "is_half",
    "kept_shape",
    "like",
    "normalized_axes",
    "real",
    "result_dtype",
    "rounded",
    "run",
    "single_axis",
    "statistics",
]

Array = np.ndarray[Any, Any]
Axis = int | Sequence[int] | None
