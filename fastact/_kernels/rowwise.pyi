from typing import Any, TypeAlias

import numpy as np

_Array: TypeAlias = np.ndarray[Any, Any]

def gradients(
    name: str, dy: _Array, x: _Array, weight: _Array, dx: _Array, axes: tuple[int, ...], eps: float
) -> tuple[_Array, _Array] | None: ...
