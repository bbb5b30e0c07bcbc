"""Functions of arrays as ufuncs: one pass over memory for a whole formula."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from fastact._kernels import tracing
from fastact._kernels.ufuncs import create_fused

__all__ = ["fuse"]


def fuse(function: Callable[..., Any]) -> np.ufunc:
    """Make a ufunc of a Python function of arrays: one multithreaded pass over memory, without temporaries.

    Parameters
    ----------
    function : function
        A Python function of at most 8 positional parameters without defaults, the ufunc's operands. It is written with
        arithmetic, comparisons and ``&``, ``|``, ``~`` between them, `numpy.where`, `numpy.minimum`, `numpy.maximum`,
        `numpy.abs`, `numpy.sqrt`, `numpy.exp`, `numpy.expm1`, `numpy.log`, `numpy.log1p`, powers with the exponents
        0.5, -1, 1, 2, 3 and 4, fastact's element-wise operators and their gradients, and other fused functions.

    Returns
    -------
    numpy.ufunc
        Of the function's name and docstring, for float16, bfloat16, float32 and float64; the 16-bit types are computed
        in float32 and rounded once. Integers and bool are computed in float32 if they have at most 16 bits, else in
        float64. Python numbers have no type of their own.

    Raises
    ------
    TypeError
        If the function does what cannot be done element by element: ``if``, ``and`` or ``min()`` on an array, for
        which there is `numpy.where`, an index, a sum, an operation that is not in the list; or if its parameters are
        not plain ones. At once, not in the first call, with the line.
    ValueError
        If the function has too many constants and intermediate values at a time, 64 in all.

    Notes
    -----
    The function is called once, with stand-ins for arrays: numbers from closures, loops over numbers and helper
    functions are as usual, and constants from then on. Each operation is one step, with IEEE 754's result or an
    operator's own: the same bits as by its ufunc. No two operations become one: multiplications and additions are
    rounded each.

    The steps are compiled ahead of time and run on blocks that stay in the first-level cache. No compiler is needed,
    and none is waited for. The ufunc and its steps stay in memory as long as the process.

    Error of exp, log and log1p at most 1 ULP in float32, of expm1 1.5 ULP, and 2 ULP in float64, subnormal results
    included; the other functions of NumPy are exact but for one rounding. Never warns and leaves the floating-point
    flags as they are.

    References
    ----------
    numexpr, which does the same with a text; numba.vectorize

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> @fastact.fuse
    ... def swiglu(x, gate):
    ...     return x * fastact.silu(gate)
    >>> swiglu(np.float32([1, 2, 3]), np.float32([-1, 0, 1]))
    array([-0.26894143,  0.        ,  2.1931758 ], dtype=float32)
    >>> isinstance(swiglu, np.ufunc)
    True
    """
    ufunc: np.ufunc = create_fused(tracing.fused(function), function.__doc__ or "")
    # Where pickle finds it; it searches every imported module otherwise, as it must before NumPy 2.2.
    with suppress(AttributeError):
        ufunc.__module__ = function.__module__
    tracing.FUNCTIONS[ufunc] = function
    return ufunc
