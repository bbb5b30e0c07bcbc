from typing import Any, NamedTuple

import numpy as np

AVAILABLE: tuple[str, ...]
CHOSEN: str
REASON: str
FUSED: bool
UFUNCS: dict[str, np.ufunc]
BLOCK_KERNELS: tuple[str, ...]

class Fused(NamedTuple):
    name: str
    operands: tuple[str, ...]
    values: tuple[float, ...]
    memories: int
    steps: list[tuple[str, tuple[int, ...], int]]
    parameters: tuple[str, ...] = ...
    keeps_integers: bool = ...
    @property
    def arrays(self) -> int: ...

def create_fused(row: Fused, doc: str) -> np.ufunc: ...
def evaluate(
    ufunc: np.ufunc,
    arrays: tuple[Any, ...],
    parameters: tuple[Any, ...],
    names: tuple[str, ...],
    options: dict[str, Any],
) -> Any: ...
