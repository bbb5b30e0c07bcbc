from typing import Any

import numpy as np
from numpy.typing import ArrayLike

def slope_gradient(
    dy: ArrayLike, x: ArrayLike, weight_shape: tuple[int, ...], dtype: np.dtype[Any]
) -> np.ndarray[Any, Any]: ...
