"""The reductions as the public families call them: their arguments, and the kernels of an operation."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastact._kernels import reductions
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


def run(
    name: str, arrays: list[Array], outputs: int, axes: tuple[int, ...], stats: Array | None, **options: Any
) -> None:
    """Run the kernels of an operation on arrays of one shape, the first of which says what is computed in."""
    if arrays[0].size:
        # NumPy looks up a dtype's name in Python: 2 us.
        precision = "float64" if arrays[0].dtype == FLOAT64 else "float32"
        reductions.run(name, precision, arrays, outputs, axes, stats, **options)
