"""The operands of a call that NumPy's general machinery is to work on: checked, and Python numbers fitted.

NumPy rounds a Python number to the type of the loop as its caller rounds, and warns if it is too large. It is therefore
replaced by a number that this type holds, before NumPy sees it.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastact._kernels.promotion import ARRAY, HALVES, ScalarType, compute_type, float_of

FLOAT64 = np.dtype(np.float64)
# Half a unit in the last place above the largest number: from here on a number rounds to infinity.
OVERFLOW = {
    "float16": 2.0**16 - 2.0**4,
    "bfloat16": 2.0**128 - 2.0**119,
    "float32": 2.0**128 - 2.0**103,
    "float64": math.inf,
}

PLAIN: tuple[type[np.generic], ...] = (np.float16, np.float32, np.float64)
PARAMETER = "a real number or an array of real numbers"


def prepared(
    ufunc: np.ufunc,
    arrays: tuple[Any, ...],
    parameters: tuple[Any, ...],
    names: tuple[str, ...],
    options: Mapping[str, Any],
) -> tuple[Any, ...]:
    """Return the operands of ``ufunc(*arrays, *parameters, **options)``, checked and Python numbers fitted."""
    function = ufunc.__name__.replace("grad_", "grad.", 1)
    accepted = [ARRAY] * len(arrays) + [PARAMETER] * len(parameters)
    operands = [
        operand if is_number(operand) else checked(operand, f"{function}(): {name} must be {what}")
        for operand, name, what in zip(arrays + parameters, names, accepted, strict=True)
    ]
    types = [dtype_of(operand).type for operand in operands if not is_number(operand)]
    computed = requested_type(options) or compute_type(types or [number_type(number) for number in arrays])
    # A number takes its type from the arrays beside it. Where there are none, and in a table's hands, it needs its own.
    needs_type = not types or any(is_table(operand) for operand in operands)
    held = np.float32 if computed.__name__ in HALVES and not needs_type else computed
    fitting = [computed] * len(arrays) + [held] * len(parameters)
    return tuple(
        (scalar if needs_type else float)(fitted(operand, scalar)) if is_number(operand) else operand
        for operand, scalar in zip(operands, fitting, strict=True)
    )


def is_number(operand: Any) -> bool:
    """Return whether an operand is a Python number, which has no precision of its own."""
    return isinstance(operand, (float, int)) and not isinstance(operand, np.generic)


def number_type(number: float) -> ScalarType:
    """Return the type a Python number stands for where there is no array, also one of a subclass."""
    return next(scalar for scalar in (bool, int, float) if isinstance(number, scalar))


def checked(operand: Any, demand: str) -> Any:
    """Return an operand NumPy can compute with: the same object if it has a dtype or its own `__array_ufunc__`."""
    if type(operand) is np.ndarray and operand.dtype.type in PLAIN:
        # As below, in a twentieth of the time.
        return operand
    is_array = hasattr(operand, "__array_ufunc__") or isinstance(operand, np.generic)
    array = operand if is_array else as_array(operand, demand)
    dtype = dtype_of(array)
    if float_of(dtype.type) is None:
        is_sequence = is_array or (isinstance(operand, Sequence) and not isinstance(operand, (str, bytes)))
        given = f"{type(operand).__name__!r} of dtype {dtype}" if is_sequence else f"{type(operand).__name__!r}"
        raise TypeError(f"{demand}, got {given}")
    return array


def as_array(operand: Any, demand: str) -> np.ndarray[Any, Any]:
    """Return an operand as a plain array. What has no shape, as a ragged list, is none, and a mask would be lost."""
    try:
        array = np.asarray(operand)
    except ValueError as error:
        raise ValueError(f"{demand}, got {type(operand).__name__!r}: {error}") from error
    if array is not operand and is_masked(operand):
        raise TypeError(f"{demand}, got a masked one: fill its masked elements (filled()) or take its data")
    return array


def is_masked(operand: Any) -> bool:
    """Return whether elements are masked. NumPy does not import what knows before somebody needs it."""
    return "numpy.ma" in sys.modules and bool(np.ma.is_masked(operand))


def dtype_of(array: Any) -> np.dtype[Any]:
    """Return the NumPy dtype of an array of any library; of a table, one that holds all its columns."""
    if is_table(array):
        return np.result_type(np.bool_, *(numpy_dtype(dtype) for dtype in array.dtypes))
    return numpy_dtype(getattr(array, "dtype", FLOAT64))


def is_table(operand: Any) -> bool:
    """Return whether an operand is one of several types, as pandas' frames: those make float64 of a Python number."""
    return not hasattr(operand, "dtype") and hasattr(operand, "dtypes")


def numpy_dtype(dtype: Any) -> np.dtype[Any]:
    """Return a dtype as NumPy's: pandas' nullable ones know theirs, others refuse by themselves in the call."""
    return dtype if isinstance(dtype, np.dtype) else getattr(dtype, "numpy_dtype", FLOAT64)


def requested_type(options: Mapping[str, Any]) -> ScalarType | None:
    """Return the type that ``dtype=`` asks for, None if there is none or it is refused later."""
    return None if options.get("dtype") is None else float_of(np.dtype(options["dtype"]).type)


def fitted(number: float, scalar: ScalarType) -> float:
    """Return a number as the nearest that a type holds; one that is too large is infinite, without NumPy's warning."""
    try:
        value = float(number)
    except OverflowError:
        value = math.inf if number > 0 else -math.inf
    return math.copysign(math.inf, value) if abs(value) >= OVERFLOW[scalar.__name__] else float(scalar(value))
