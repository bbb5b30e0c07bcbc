"""Gradients: ``grad.NAME(dy, x, ...)`` is ``dy`` times the derivative of ``fastact.NAME(x, ...)``, in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastact._kernels import operators
from fastact._kernels.random import undisturbed
from fastact._kernels.registry import OPERATORS
from fastact.dropout import masked

if TYPE_CHECKING:
    # A millisecond of every import.
    from numpy.typing import ArrayLike

globals().update(operators.gradients(__name__))

__all__ = [*[row.name for row in OPERATORS], "dropout"]


def dropout(
    dy: ArrayLike,
    mask: np.ndarray[Any, np.dtype[np.uint8]],
    p: float,
    *,
    out: np.ndarray[Any, Any] | None = None,
) -> Any:
    """Gradient of `fastact.dropout`, multiplied by `dy`.

    Parameters
    ----------
    dy : array_like
        The gradient with respect to the output of `fastact.dropout`.
    mask : ndarray of uint8
        What ``fastact.dropout(..., return_mask=True)`` returned: one bit an element.
    p : float
        The probability of an element to be dropped, in [0, 1].
    out : ndarray, optional
        Where to write the result; may be `dy`.

    Returns
    -------
    ndarray or scalar
        The gradient with respect to `x`. Of the shape of `dy` and its floating-point type. Integers and bool are
        computed in float32 if they have at most 16 bits, else in float64.

    Raises
    ------
    TypeError
        If `dy`, `p` or `out` is of a wrong type.
    ValueError
        If `mask` is not a one-dimensional array of uint8 with a bit for each element of `dy`, `p` is not in [0, 1], or
        `out` has another shape.

    Notes
    -----
    ``dy/(1 - p)`` where the mask's bit is set, else 0

    What was dropped has gradient 0, also where `dy` is NaN or infinite. Never warns and leaves the floating-point flags
    as they are.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov (2014), JMLR 15

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> mask = np.packbits([1, 0, 1], bitorder="little")
    >>> fastact.grad.dropout(np.ones(3), mask, 0.5)
    array([2., 0., 2.])
    """
    return undisturbed(masked, "grad.dropout", "dy", dy, mask, p, out)
