"""From a Python function to the steps it takes: it is called once, with stand-ins that write down what is done to them.

Whatever Python does with numbers alone, in loops, helper functions and closures, is done there and then: the result is
a constant. What would have to look at an array's values or shape raises TypeError and names the line.
"""

import inspect
import linecache
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from fastact._kernels.ufuncs import UFUNCS, Fused

Function = Callable[..., Any]
Node = tuple[Any, ...]

ACCEPTED = (
    "arithmetic, comparisons, &, |, ~, np.where, np.minimum, np.maximum, np.abs, np.sqrt, np.exp, np.expm1, np.log, "
    "np.log1p and fastact's element-wise operators"
)
STEPS: dict[np.ufunc, str] = {
    np.add: "add",
    np.subtract: "subtract",
    np.multiply: "multiply",
    np.divide: "divide",
    np.negative: "negative",
    np.positive: "identity",
    np.absolute: "magnitude",
    np.minimum: "minimum",
    np.maximum: "maximum",
    np.sqrt: "sqrt",
    np.exp: "exp",
    np.expm1: "expm1",
    np.log: "log",
    np.log1p: "log1p",
} | {ufunc: name for name, ufunc in UFUNCS.items()}
COMPARISONS = {np.less: "less", np.less_equal: "less_equal", np.equal: "equal", np.not_equal: "not_equal"}
SWAPPED = {np.greater: np.less, np.greater_equal: np.less_equal}
# A condition is 0 or 1.
LOGICAL: dict[np.ufunc, str] = {
    np.bitwise_and: "minimum",
    np.bitwise_or: "maximum",
    np.bitwise_xor: "not_equal",
    np.logical_and: "minimum",
    np.logical_or: "maximum",
    np.logical_xor: "not_equal",
}
NEGATIONS = (np.invert, np.logical_not)
# Of the functions that have become ufuncs, which call each other.
FUNCTIONS: dict[np.ufunc, Function] = {}


class Trace:
    """What a function does: nodes, each an operation on earlier ones, an input or a constant."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.nodes: list[Node] = []
        self.numbers: dict[Node, int] = {}

    def add(self, *node: Any, is_condition: bool = False) -> "Traced":
        """Return the stand-in for a node; what is computed twice is one node."""
        # 0.0 and -0.0 are equal, and 1 is True.
        key = tuple(map(repr, node))
        if key not in self.numbers:
            self.numbers[key] = len(self.nodes)
            self.nodes.append(node)
        return Traced(self, self.numbers[key], is_condition)

    def step(self, name: str, *operands: "Traced", is_condition: bool = False) -> "Traced":
        return self.add(name, *(operand._number for operand in operands), is_condition=is_condition)

    def stand_in(self, operand: Any) -> "Traced":
        """Return the stand-in of an operand: a number is a constant."""
        if isinstance(operand, Traced):
            if operand._trace is not self:
                raise self.error("uses an array of another call")
            return operand
        if isinstance(operand, (bool, np.bool_)):
            return self.add("constant", float(operand), is_condition=True)
        if is_number(operand):
            try:
                return self.add("constant", float(operand))
            except OverflowError:
                raise self.error("computes with an integer that no float holds") from None
        if isinstance(operand, np.ndarray):
            raise self.error("computes with an array that is not among its parameters: make it one")
        raise self.error(f"computes with {type(operand).__name__!r}: operands are its parameters and real numbers")

    def error(self, fault: str) -> TypeError:
        """Return the error to raise, which quotes the function's line."""
        frame = sys._getframe()
        while frame is not None and frame.f_code is not self.function.__code__:
            frame = frame.f_back  # type: ignore[assignment]
        where = ""
        if frame is not None:
            text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            where = f" (line {frame.f_lineno}: {text})" if text else f" (line {frame.f_lineno})"
        return TypeError(f"fuse(): {self.function.__name__} {fault}{where}")


class NoSuchAttributeError(AttributeError, TypeError):
    """What `hasattr` asks for, and what everything else that is refused raises."""


class Traced(NDArrayOperatorsMixin):
    """A stand-in for an array. Python's operators are NumPy's ufuncs, and those come to `__array_ufunc__`."""

    def __init__(self, trace: Trace, number: int, is_condition: bool) -> None:
        self._trace = trace
        self._number = number
        self._is_condition = is_condition

    __hash__ = object.__hash__

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> "Traced":
        if method != "__call__":
            raise self._trace.error(f"uses np.{ufunc.__name__}.{method}: a fused function is element-wise")
        if options:
            raise self._trace.error(f"gives {ufunc.__name__}() more than its operands")
        if ufunc in FUNCTIONS:
            return FUNCTIONS[ufunc](*inputs)  # type: ignore[no-any-return]
        return traced_ufunc(self._trace, ufunc, inputs)

    def __array_function__(self, function: Any, _types: Any, inputs: Any, options: Any) -> "Traced":
        if function is not np.where or len(inputs) != 3 or options:
            name = f"np.{function.__name__}" + (" without two values" if function is np.where else "")
            raise self._trace.error(f"uses {name}; what there is: {ACCEPTED}")
        condition, a, b = map(self._trace.stand_in, inputs)
        return self._trace.step("where", condition, a, b, is_condition=a._is_condition and b._is_condition)

    def __bool__(self) -> bool:
        raise self._trace.error(
            "asks whether an array is true, as `if`, `while`, `and`, `or`, `not`, conditional expressions, min(), "
            "max() and chained comparisons do: write np.where(condition, a, b), and &, |, ~ between conditions"
        )

    def __float__(self, *_arguments: Any) -> Any:
        raise self._trace.error(
            "needs an array's values as Python numbers, as the functions of math do: write np.exp etc."
        )

    __int__ = __index__ = __complex__ = __round__ = __format__ = __float__

    def __getitem__(self, *_arguments: Any) -> Any:
        raise self._trace.error("indexes an array: a fused function is element-wise")

    __iter__ = __len__ = __setitem__ = __delitem__ = __getitem__

    def __array__(self, *_arguments: Any, **_options: Any) -> Any:
        raise self._trace.error(f"makes an array of an array; what there is: {ACCEPTED}")

    def __getattr__(self, name: str) -> Any:
        if name == "_trace":
            # Of one that copy.copy() has only begun to make.
            raise AttributeError(name)
        raise NoSuchAttributeError(*self._trace.error(f"uses .{name}; what there is: {ACCEPTED}").args)


for name in dir(NDArrayOperatorsMixin):
    if name.startswith("__i") and hasattr(Traced, f"__{name[3:]}"):
        # ``y += 1`` makes a new array of the name, as for numbers.
        setattr(Traced, name, getattr(Traced, f"__{name[3:]}"))


def is_number(operand: Any) -> bool:
    """Return whether an operand is a real number. NumPy's durations are among its integers."""
    return isinstance(operand, (int, float, np.integer, np.floating)) and not isinstance(operand, np.timedelta64)


def traced_ufunc(trace: Trace, ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Traced:
    """Return the stand-in for a ufunc's result."""
    if ufunc in SWAPPED:
        return traced_ufunc(trace, SWAPPED[ufunc], inputs[::-1])
    if ufunc in (np.power, np.square):
        return power(trace, inputs[0], 2 if ufunc is np.square else inputs[1])
    operands = [trace.stand_in(operand) for operand in inputs]
    if ufunc in COMPARISONS:
        return trace.step(COMPARISONS[ufunc], *operands, is_condition=True)
    are_conditions = all(operand._is_condition for operand in operands)
    if ufunc in LOGICAL or ufunc in NEGATIONS:
        if not are_conditions:
            raise trace.error(f"uses {ufunc.__name__} on numbers: its operands are comparisons")
        second = () if ufunc in LOGICAL else (trace.stand_in(0.0),)
        return trace.step(LOGICAL.get(ufunc, "equal"), *operands, *second, is_condition=True)
    if ufunc not in STEPS:
        raise trace.error(f"uses np.{ufunc.__name__}; what there is: {ACCEPTED}")
    if are_conditions:
        raise trace.error(f"computes {ufunc.__name__} of conditions: write np.where(condition, 1.0, 0.0)")
    return trace.step(STEPS[ufunc], *operands)


def power(trace: Trace, base: Any, exponent: Any) -> Traced:
    """Return a power as products, a root or a quotient; NumPy's own takes any exponent, and longer."""
    if not isinstance(base, Traced) or not is_number(exponent) or exponent not in (-1, 0.5, 1, 2, 3, 4):
        raise trace.error("uses a power: exponents are the numbers 0.5, -1, 1, 2, 3 and 4")
    if exponent == 0.5:
        return trace.step("sqrt", base)
    square = base * base
    powers: dict[float, Function] = {
        -1: lambda: 1.0 / base,
        1: lambda: +base,
        2: lambda: square,
        3: lambda: square * base,
        4: lambda: square * square,
    }
    return powers[exponent]()  # type: ignore[no-any-return]


def parameters_of(function: Function) -> tuple[str, ...]:
    """Return the names of a function's parameters, or raise."""
    if not inspect.isfunction(function):
        raise TypeError(f"fuse(): function must be a Python function, got {type(function).__name__!r}")
    parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise TypeError(f"fuse(): {function.__name__} must have positional parameters alone, got {parameter}")
        if parameter.default is not parameter.empty:
            raise TypeError(f"fuse(): {function.__name__} must have no defaults, a ufunc has none, got {parameter}")
    if not parameters:
        raise TypeError(f"fuse(): {function.__name__} must have a parameter")
    return tuple(parameter.name for parameter in parameters)


def fused(function: Function) -> Fused:
    """Return the steps of a function, with a place for what each of them writes."""
    names = parameters_of(function)
    trace = Trace(function)
    arguments = [trace.add("input", k) for k in range(len(names))]
    result = trace.stand_in(function(*arguments))
    if result._is_condition:
        raise TypeError(f"fuse(): {function.__name__} returns a condition: write np.where(condition, 1.0, 0.0)")
    if trace.nodes[result._number][0] in ("input", "constant"):
        result = trace.step("identity", result)
    return placed(function.__name__, names, trace.nodes, result._number)


def placed(name: str, parameters: tuple[str, ...], nodes: list[Node], result: int) -> Fused:
    """Return the steps that lead to a result. What is needed no more makes room for what is next."""
    last_use = {result: result}
    for number in range(result, -1, -1):
        if number in last_use and nodes[number][0] not in ("input", "constant"):
            for operand in nodes[number][1:]:
                last_use.setdefault(operand, number)
    constants = [number for number in sorted(last_use) if nodes[number][0] == "constant"]
    output = len(parameters)
    places = {number: output + 1 + k for k, number in enumerate(constants)}
    places.update((number, node[1]) for number, node in enumerate(nodes) if node[0] == "input")
    places[result] = output
    first_memory = output + 1 + len(constants)
    free: list[int] = []
    memories = 0
    steps = []
    for number in sorted(last_use):
        step, *operands = nodes[number]
        if step in ("input", "constant"):
            continue
        read = tuple(places[operand] for operand in operands)
        free += {place for operand, place in zip(operands, read, strict=True)
                 if place >= first_memory and last_use[operand] == number}  # fmt: skip
        if number != result:
            if not free:
                free.append(first_memory + memories)
                memories += 1
            places[number] = free.pop()
        steps.append((step, read, places[number]))
    return Fused(name, parameters, tuple(nodes[number][1] for number in constants), memories, steps)
