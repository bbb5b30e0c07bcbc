from typing import Any

import numpy as np

def run(
    name: str,
    arrays: list[np.ndarray[Any, Any]],
    outputs: int,
    axes: tuple[int, ...],
    stats: np.ndarray[Any, Any] | None = None,
    piece_numbers: int = 0,
    parameters: tuple[float, ...] = (),
    activation: str | None = None,
    reduces: bool = True,
    apply: str | None = None,
    is_exact: bool = True,
    stats_numbers: int = 0,
    constants: int = 0,
    results: tuple[np.ndarray[Any, Any], ...] = (),
) -> None: ...
def mapped(
    name: str,
    apply: str,
    inputs: list[Any],
    axis: Any,
    out: Any,
    piece_numbers: int,
    stats_numbers: int,
    parameters: tuple[float, ...] = (),
) -> np.ndarray[Any, Any] | None: ...
