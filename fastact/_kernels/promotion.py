"""Which type a call is computed in: NumPy's promotion with two differences.

Integers and bool are computed in a float that holds all of their values, never in a 16-bit one. And a Python number has
no type of its own beside any array: NumPy makes float64 of an int8 or a bfloat16 array with a Python float. Beside
16-bit floats, which are computed in float32, a parameter that is a Python number has float32's digits.

Types are scalar types, as `numpy.dtype.type` has them: ``numpy.float32``, and ``float`` or ``int`` of a Python number.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

ScalarType: TypeAlias = type

ARRAY = "an array (or number) of bool, integers, float16, bfloat16, float32 or float64"
PYTHON_NUMBERS = (float, int)
HALVES = ("float16", "bfloat16")


def is_bfloat16(scalar: ScalarType) -> bool:
    """Return whether a type is the one of ml_dtypes, which is known by its name: it need not be installed."""
    return scalar.__name__ == "bfloat16" and scalar.__module__ == "ml_dtypes"


def float_of(scalar: ScalarType) -> ScalarType | None:
    """Return the floating-point type that values of a type are computed in by themselves; None if they are not."""
    if scalar in PYTHON_NUMBERS:
        return np.float64
    if np.dtype(scalar).kind in "biu":
        return np.float32 if np.dtype(scalar).itemsize <= 2 else np.float64
    return scalar if scalar in (np.float16, np.float32, np.float64) or is_bfloat16(scalar) else None


def compute_type(operands: Sequence[ScalarType], keeps_integers: bool = False) -> ScalarType:
    """Return the type that operands of these types, all of them accepted ones, are computed in."""
    types = {scalar for scalar in operands if scalar not in PYTHON_NUMBERS} or {float if float in operands else int}
    if keeps_integers and all(np.dtype(scalar).kind in "iu" for scalar in types):
        # By its size: NumPy has several types of one, and there is a loop for the one that the size names.
        return np.dtype(np.result_type(*types).str).type
    floats = {found for found in map(float_of, types) if found is not None}
    if len(floats) == 1:
        return floats.pop()
    return np.float64 if np.float64 in floats else np.float32


def loop_of(
    function: str,
    names: Sequence[str],
    arrays: int,
    keeps_integers: bool,
    given: Sequence[ScalarType],
    output: ScalarType | None,
) -> tuple[ScalarType, ...]:
    """Return the types of the loop for a call, the output's last.

    Parameters
    ----------
    function, names : str and sequence of str
        The function's name and the operands', for messages.
    arrays : int
        How many of the operands are no parameters.
    keeps_integers : bool
        Whether the function has loops for integers.
    given : sequence of types
        The operands' types.
    output : type or None
        What ``dtype=`` asks for.

    Raises
    ------
    TypeError
        If there is no such loop.
    """
    for name, scalar in zip(names, given, strict=True):
        if float_of(scalar) is None:
            raise TypeError(f"{function}(): {name} must be {ARRAY}, got dtype {np.dtype(scalar).name}")
    computed = output or compute_type(given, keeps_integers)
    if float_of(computed) != computed and not (keeps_integers and np.dtype(computed).kind in "iu"):
        accepted = "float16, bfloat16, float32 or float64" + (", or integers" if keeps_integers else "")
        raise TypeError(f"{function}(): dtype must be {accepted}, got {np.dtype(computed).name}")
    parameters = given[arrays:]
    is_half = computed.__name__ in HALVES
    parameter = np.float32 if is_half and any(scalar is not computed for scalar in parameters) else computed
    return (computed,) * arrays + (parameter,) * len(parameters) + (computed,)
