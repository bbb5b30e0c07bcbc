from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]

def run(
    precision: str, name: str, x: _Array, y: _Array, parameters: _Array, axis: int = -1, kind: int = 0
) -> None: ...
