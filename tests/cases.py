"""What is tested: two cases for each row of the registry, the operator and its gradient.

A new row gives new cases by itself. Nothing in the tests names an operator, except where its documented behaviour
is stated by itself.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest

from fastact import activations, grad, ufuncs
from fastact._kernels.registry import GATED, OPERATORS, Operator, kernels

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
HALVES = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


class Case(NamedTuple):
    """An operator or a gradient, as the public function and as the ufunc behind it."""

    name: str
    row: Operator
    is_gradient: bool
    function: Callable[..., Any]
    ufunc: np.ufunc

    def public(self, *operands: Any, **options: Any) -> Any:
        """Call the function. Parameters that have no default are, where none is given, the first that are tested."""
        names = {parameter.name for parameter in self.row.parameters}
        is_complete = len(operands) != self.arrays or names & options.keys()
        return self.function(*operands, *(() if is_complete else self.row.required), **options)

    @property
    def arrays(self) -> int:
        """The number of operands that are not parameters."""
        return 2 if self.is_gradient else 1

    @property
    def array_names(self) -> tuple[str, ...]:
        return ("dy", "x") if self.is_gradient else ("x",)

    @property
    def defaults(self) -> tuple[float, ...]:
        """The parameters of a call that gives none."""
        return self.row.tested_parameters[0]

    @property
    def keeps_integers(self) -> bool:
        return self.row.keeps_integers and not self.is_gradient

    def inputs(self, shape: Any, dtype: Any = np.float32, seed: int = 0) -> tuple[np.ndarray, ...]:
        """Return random operands, dy first; every one has values of its own."""
        generator = np.random.default_rng(seed)
        return tuple((generator.standard_normal(shape) * 3).astype(dtype) for _ in range(self.arrays))

    def same_inputs(self, x: Any) -> tuple[Any, ...]:
        """Return x for each operand."""
        return (x,) * self.arrays

    def parameters_as(self, dtype: Any) -> tuple[np.generic, ...]:
        return tuple(np.dtype(dtype).type(default) for default in self.defaults)

    def raw(self, *arrays: Any, **options: Any) -> Any:
        """Call the ufunc with the default parameters in the precision of the arrays."""
        dtype = np.result_type(*arrays)
        return self.with_parameters(dtype if dtype in FLOATS + HALVES else np.float64)(*arrays, **options)

    def with_parameters(self, dtype: Any) -> Callable[..., Any]:
        """Return a call of the ufunc whose parameters are rounded to the type that a type is computed in beforehand."""
        single = (float(parameter) for parameter in self.parameters_as(np.float32))
        parameters = tuple(single) if dtype in HALVES else self.parameters_as(dtype)
        return lambda *arrays, **options: self.ufunc(*arrays, *parameters, **options)


def cases_of(row: Operator) -> tuple[Case, Case]:
    return (
        Case(row.name, row, False, activations.ELEMENT_WISE[row.name], getattr(ufuncs, row.name)),
        Case(f"grad.{row.name}", row, True, grad.ELEMENT_WISE[row.name], getattr(ufuncs, f"grad_{row.name}")),
    )


CASES = tuple(case for row in OPERATORS for case in cases_of(row))
assert len(CASES) + len(GATED) == len(kernels()) > 0, "the registry and the ufuncs differ"

each_row = pytest.mark.parametrize("row", OPERATORS, ids=[row.name for row in OPERATORS])
each_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
each_dtype = pytest.mark.parametrize("dtype", FLOATS, ids=[dtype.name for dtype in FLOATS])
each_half = pytest.mark.parametrize("dtype", HALVES, ids=[dtype.name for dtype in HALVES])
each_float = pytest.mark.parametrize("dtype", FLOATS + HALVES, ids=[dtype.name for dtype in FLOATS + HALVES])

ENTRIES = [(row, parameters) for row in OPERATORS for parameters in row.tested_parameters]
each_entry = pytest.mark.parametrize(
    ("row", "parameters"), ENTRIES, ids=["-".join([row.name, *map(str, parameters)]) for row, parameters in ENTRIES]
)


def assert_same_bits(actual: Any, expected: Any) -> None:
    """Assert the same type, shape and bits; one NaN is as good as another."""
    actual, expected = np.asanyarray(actual), np.asanyarray(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert canonical(actual) == canonical(expected), f"\n{actual}\n{expected}"


def canonical(array: np.ndarray) -> bytes:
    """Return the bytes in C order, every NaN the same one."""
    native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    if native.dtype not in FLOATS + HALVES:
        return array.tobytes()
    return np.where(np.isnan(native), native.dtype.type(np.nan), native).tobytes()
