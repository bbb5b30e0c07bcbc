from typing import Any, TypeAlias

import numpy as np

_Array: TypeAlias = np.ndarray[Any, Any]

QUANTIZED: dict[np.dtype[Any], int]

def run(precision: str, name: str, x: _Array, y: _Array, parameters: _Array, axis: int = -1, kind: int = 0) -> None: ...
def run_packed(name: str, x: _Array, y: _Array, parameters: _Array, order: tuple[int, ...]) -> bool: ...
def linear_parameters(precision: str, scale: Any, zero_point: Any, channels: int, kind: int) -> _Array: ...
def linear(
    quantizes: bool, x: Any, scale: Any, zero_point: Any, dtype: Any, axis: Any, out: Any
) -> _Array | None: ...
