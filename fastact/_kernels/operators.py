"""The public element-wise operators: a ufunc where there are no parameters, else a function with their defaults."""

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from fastact._kernels import docstrings
from fastact._kernels.promotion import float_of
from fastact._kernels.registry import OPERATORS, PUBLIC, Operator, Range
from fastact._kernels.ufuncs import UFUNCS, evaluate

__all__ = ["PUBLIC", "UFUNCS", "forward", "gradients"]

Function = Callable[..., Any]
Compute = Callable[[np.ufunc, tuple[Any, ...], tuple[Any, ...], tuple[str, ...], dict[str, Any]], Any]
Template = Callable[[Compute, np.ufunc, tuple[str, ...]], Function]


def one_array_one_parameter(compute: Compute, ufunc: np.ufunc, names: tuple[str, ...]) -> Function:
    def function(x, p, **options):  # type: ignore[no-untyped-def]
        return compute(ufunc, (x,), (p,), names, options)

    return function


def one_array_two_parameters(compute: Compute, ufunc: np.ufunc, names: tuple[str, ...]) -> Function:
    def function(x, p, q, **options):  # type: ignore[no-untyped-def]
        return compute(ufunc, (x,), (p, q), names, options)

    return function


def two_arrays_one_parameter(compute: Compute, ufunc: np.ufunc, names: tuple[str, ...]) -> Function:
    def function(dy, x, p, **options):  # type: ignore[no-untyped-def]
        return compute(ufunc, (dy, x), (p,), names, options)

    return function


def two_arrays_two_parameters(compute: Compute, ufunc: np.ufunc, names: tuple[str, ...]) -> Function:
    def function(dy, x, p, q, **options):  # type: ignore[no-untyped-def]
        return compute(ufunc, (dy, x), (p, q), names, options)

    return function


TEMPLATES: dict[tuple[int, int], Template] = {
    (1, 1): one_array_one_parameter,
    (1, 2): one_array_two_parameters,
    (2, 1): two_arrays_one_parameter,
    (2, 2): two_arrays_two_parameters,
}


def with_defaults(ufunc: np.ufunc, row: Operator, arrays: tuple[str, ...], module: str) -> Function:
    """Return a function over the ufunc, with the row's names and defaults in its signature."""
    names = (*arrays, *(parameter.name for parameter in row.parameters))
    compute = evaluate if row.range is None else in_range(row.range)
    template = TEMPLATES[len(arrays), len(row.parameters)](compute, ufunc, names)
    assert isinstance(template, FunctionType)
    code = template.__code__.replace(co_varnames=(*names, "options"), co_name=row.name, co_qualname=row.name)
    defaults = tuple(parameter.default for parameter in row.parameters if parameter.default is not None)
    function = FunctionType(code, template.__globals__, row.name, defaults, template.__closure__)
    function.__module__ = module
    function.__doc__ = docstrings.of_operator(row, is_gradient=len(arrays) == 2)
    return function


def is_single_number(parameter: Any) -> bool:
    """Return whether a parameter is one number, a Python one or a NumPy scalar that can be computed with."""
    return isinstance(parameter, (int, float)) or (
        isinstance(parameter, np.generic) and float_of(type(parameter)) is not None
    )


def without_type(number: Any) -> float:
    """Return a number as Python's: ml_dtypes' scalars raise the caller's flags when they are compared."""
    return number if isinstance(number, (int, float)) else float(number)


def in_range(range_: Range) -> Compute:
    """Return `evaluate` with a look at parameters that are single numbers."""

    def evaluate_in_range(
        ufunc: np.ufunc,
        arrays: tuple[Any, ...],
        parameters: tuple[Any, ...],
        names: tuple[str, ...],
        options: dict[str, Any],
    ) -> Any:
        if all(map(is_single_number, parameters)) and not range_.is_met(*map(without_type, parameters)):
            function = ufunc.__name__.replace("grad_", "grad.", 1)
            given = ", ".join(f"{name}={value}" for name, value in zip(names[len(arrays) :], parameters, strict=True))
            raise ValueError(f"{function}(): {range_.demand}, got {given}")
        return evaluate(ufunc, arrays, parameters, names, options)

    return evaluate_in_range


def forward(module: str) -> dict[str, Function]:
    """Return the operators by name, for the module of the given name."""
    return {
        row.name: with_defaults(UFUNCS[row.name], row, ("x",), module) if row.parameters else UFUNCS[row.name]
        for row in OPERATORS
    }


def gradients(module: str) -> dict[str, Function]:
    """Return the operators' gradients by the operators' names, for the module of the given name."""
    ufuncs = {row.name: UFUNCS[f"grad_{row.name}"] for row in OPERATORS}
    return {
        row.name: with_defaults(ufuncs[row.name], row, ("dy", "x"), module) if row.parameters else ufuncs[row.name]
        for row in OPERATORS
    }
