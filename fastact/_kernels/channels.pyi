from typing import Any, TypeAlias

import numpy as np

_Array: TypeAlias = np.ndarray[Any, Any]

def run(precision: str, name: str, x: _Array, y: _Array, parameters: _Array, axis: int = -1, kind: int = 0) -> None: ...
def run_packed(name: str, x: _Array, y: _Array, parameters: _Array, order: tuple[int, ...]) -> bool: ...
