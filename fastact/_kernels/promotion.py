"""Which type a call is computed in: NumPy's promotion with two differences.

Integers and bool are computed in a float that holds all of their values, never in a 16-bit one. And a Python number
has no type of its own beside any array, where NumPy's own rule knows only floats (an int8 array with a Python float is
float64 to it, as is a bfloat16 one). A parameter that is a Python number keeps binary32's digits beside 16-bit floats:
they are computed in binary32.

Types are scalar types, as `numpy.dtype.type` has them: ``numpy.float32``, and ``float`` or ``int`` of a Python number.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

ScalarType = type[Any]

ACCEPTED = "bool, integers, float16, bfloat16, float32 or float64"
ARRAY = f"an array (or number) of {ACCEPTED}"
HALVES = ("float16", "bfloat16")


def kind_of(scalar: ScalarType) -> str:
    """Return NumPy's letter for the kind of a type, f for bfloat16 as well."""
    return "f" if is_bfloat16(scalar) else np.dtype(scalar).kind


def is_bfloat16(scalar: ScalarType) -> bool:
    """Return whether a type is the one of ml_dtypes, which is known by its name: it need not be installed."""
    return scalar.__name__ == "bfloat16" and scalar.__module__ == "ml_dtypes"


def is_python_number(scalar: ScalarType) -> bool:
    return scalar is float or scalar is int


def float_of(scalar: ScalarType) -> ScalarType | None:
    """Return the floating-point type that values of a type are computed in by themselves; None if they are not."""
    if is_python_number(scalar):
        return np.float64
    if kind_of(scalar) in "biu":
        return np.float32 if np.dtype(scalar).itemsize <= 2 else np.float64
    return scalar if is_bfloat16(scalar) or scalar in (np.float16, np.float32, np.float64) else None


def compute_type(operands: Sequence[ScalarType], keeps_integers: bool = False) -> ScalarType:
    """Return the type that operands of these types are computed in. All of them are accepted ones."""
    strong = [scalar for scalar in operands if not is_python_number(scalar)]
    if not strong:
        strong = [np.float64 if float in operands else np.int64]
    if keeps_integers and all(kind_of(scalar) in "iu" for scalar in strong):
        # NumPy has two types of the same size: the one of that name is meant.
        return np.dtype(np.result_type(*strong).str).type
    floats = {float_of(scalar) for scalar in strong}
    if len(floats) == 1:
        return floats.pop() or np.float64
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
    if float_of(computed) != computed and not (keeps_integers and kind_of(computed) in "iu"):
        accepted = "float16, bfloat16, float32 or float64" + (", or integers" if keeps_integers else "")
        raise TypeError(f"{function}(): dtype must be {accepted}, got {np.dtype(computed).name}")
    parameters = given[arrays:]
    is_half = computed.__name__ in HALVES
    parameter = np.float32 if is_half and any(scalar is not computed for scalar in parameters) else computed
    return (computed,) * arrays + (parameter,) * len(parameters) + (computed,)
