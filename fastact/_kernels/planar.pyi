from typing import Any

import numpy as np

def normalize(
    x: np.ndarray[Any, Any],
    y: np.ndarray[Any, Any],
    channel: int,
    groups: int,
    weight: np.ndarray[Any, Any],
    bias: np.ndarray[Any, Any],
    eps: float,
    stats: np.ndarray[Any, Any] | None = None,
    activation: str | None = None,
    lowest: float = ...,
) -> bool: ...
def scale_and_shift(
    x: np.ndarray[Any, Any],
    y: np.ndarray[Any, Any],
    channel: int,
    both: np.ndarray[Any, Any],
    activation: str | None = None,
    lowest: float = ...,
) -> bool: ...
def gradient(
    dy: np.ndarray[Any, Any],
    x: np.ndarray[Any, Any],
    dx: np.ndarray[Any, Any],
    channel: int,
    stats: np.ndarray[Any, Any],
) -> bool: ...
