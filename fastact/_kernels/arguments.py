"""The operands of a call that NumPy's general machinery is to work on: checked, and Python scalars fitted.

NumPy computes an int8 array with a Python float in float64. A Python scalar is therefore made an array of the type
that the other arrays are computed in, before NumPy sees it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
# Half a unit in the last place above binary32's largest number: from here on it rounds to infinity.
FLOAT32_OVERFLOW = 2.0**128 - 2.0**103

ARRAY = "an array (or number) of bool, integers, float16, float32 or float64"
PARAMETER = "a real number or an array of real numbers"


def prepared(
    ufunc: np.ufunc,
    arrays: tuple[Any, ...],
    parameters: tuple[Any, ...],
    names: tuple[str, ...],
    options: Mapping[str, Any],
) -> tuple[Any, ...]:
    """Return the operands of ``ufunc(*arrays, *parameters, **options)``, checked and Python scalars fitted."""
    function = ufunc.__name__.replace("grad_", "grad.", 1)
    accepted = [ARRAY] * len(arrays) + [PARAMETER] * len(parameters)
    operands = [
        operand if is_number(operand) else checked(operand, f"{function}(): {name} must be {what}")
        for operand, name, what in zip(arrays + parameters, names, accepted, strict=True)
    ]
    dtype = compute_dtype(operands[: len(arrays)], options)
    return tuple(fitted(operand, dtype) if is_number(operand) else operand for operand in operands)


def is_number(operand: Any) -> bool:
    """Return whether an operand is a Python number, which has no precision of its own."""
    return isinstance(operand, (float, int)) and not isinstance(operand, np.generic)


def checked(operand: Any, demand: str) -> Any:
    """Return an operand NumPy can compute with: the same object if it has a dtype or its own `__array_ufunc__`."""
    is_array = hasattr(operand, "__array_ufunc__") or isinstance(operand, np.generic)
    try:
        array = operand if is_array else np.asarray(operand)
    except ValueError as error:
        raise ValueError(f"{demand}, got {type(operand).__name__!r}: {error}") from error
    dtype = dtype_of(array)
    if not np.can_cast(dtype, FLOAT64):
        is_sequence = is_array or (isinstance(operand, Sequence) and not isinstance(operand, (str, bytes)))
        given = f"{type(operand).__name__!r} of dtype {dtype}" if is_sequence else f"{type(operand).__name__!r}"
        raise TypeError(f"{demand}, got {given}")
    return array


def dtype_of(array: Any) -> np.dtype[Any]:
    """Return the NumPy dtype of an array of any library; of a table, one that holds all its columns."""
    if not hasattr(array, "dtype") and hasattr(array, "dtypes"):
        return np.result_type(np.bool_, *(numpy_dtype(dtype) for dtype in array.dtypes))
    return numpy_dtype(getattr(array, "dtype", FLOAT64))


def numpy_dtype(dtype: Any) -> np.dtype[Any]:
    """Return a dtype as NumPy's: pandas' nullable ones know theirs, others refuse by themselves in the call."""
    return dtype if isinstance(dtype, np.dtype) else getattr(dtype, "numpy_dtype", FLOAT64)


def compute_dtype(arrays: Sequence[Any], options: Mapping[str, Any]) -> np.dtype[Any]:
    """Return the type that NumPy's search for a loop will find for these arrays: float32 if it holds them all."""
    if options.get("dtype") is not None:
        return FLOAT32 if np.dtype(options["dtype"]) == FLOAT32 else FLOAT64
    dtypes = [dtype_of(array) for array in arrays if not is_number(array)]
    if not dtypes:
        dtypes = [np.dtype(type(number)) for number in arrays]
    return FLOAT32 if all(np.can_cast(dtype, FLOAT32) for dtype in dtypes) else FLOAT64


def fitted(number: float, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return a Python number as a 0-d array; one that is too large is infinite, without NumPy's warning."""
    try:
        value = float(number)
    except OverflowError:
        value = math.inf if number > 0 else -math.inf
    if dtype == FLOAT32 and abs(value) >= FLOAT32_OVERFLOW:
        value = math.copysign(math.inf, value)
    return np.array(value, dtype)
