"""The element-wise operators inside compiled code of the user's: ``numba.njit``, ``numba.vectorize``.

Numba finds `init` by the entry point ``numba_extensions`` before it compiles anything. An operator on scalars becomes
its formula, inlined; on arrays, a loop over it that broadcasts as NumPy does. The formulas are the kernels' own, with
the same primitives, and without the fast mathematics of the code they are called from: results have the ufuncs' bits.
The caller's floating-point environment is not put back, as it is in the ufuncs: compiled code does not look at flags.
"""

# mypy: disallow-untyped-decorators=False

import inspect
from collections.abc import Callable, Iterator
from functools import cache
from types import FunctionType
from typing import Any, NamedTuple

import numba
from numba.core import errors, types
from numba.extending import overload

from fastact import activations, grad
from fastact._kernels import registry
from fastact._kernels.numba_frontend import FrontEnd
from fastact._kernels.numba_primitives import PRECISIONS
from fastact._kernels.ufuncs import UFUNCS

ROWS = {row.name: row for row in registry.kernels()}


class Operator(NamedTuple):
    """A function of the package, the formula it stands for, and its signature in compiled code."""

    function: Any
    formula: str
    signature: str


def operators() -> Iterator[Operator]:
    """Yield the ufuncs, and the functions over them."""
    for name, ufunc in UFUNCS.items():
        yield Operator(ufunc, name, ", ".join((*ROWS[name].operands, *ROWS[name].parameters)))
    for module, prefix in ((activations, ""), (grad, "grad_")):
        for name, function in module.ELEMENT_WISE.items():
            public = getattr(module, name, None)
            if public is function and isinstance(function, FunctionType):
                yield Operator(function, prefix + name, signature_of(function))
    yield Operator(activations.prelu, "prelu", "x, weight")
    yield Operator(activations.gelu, "gelu", "x")
    yield Operator(grad.gelu, "grad_gelu", "dy, x")


def signature_of(function: Callable[..., Any]) -> str:
    """Return a signature without the options of ufuncs: names and defaults."""
    parameters = inspect.signature(function).parameters.values()
    return ", ".join(str(parameter) for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD)


@cache
def init() -> None:
    """Make the operators known to Numba. Nothing is compiled before it is used."""
    for operator in operators():
        overload(operator.function, strict=True)(typing_of(operator))


def typing_of(operator: Operator) -> Any:
    """Return the function that Numba calls with the types of a call, for the function to compile."""

    def implementation(*given: Any) -> Any:
        given = tuple(without_default(of) for of in given)
        arrays = given[: ROWS[operator.formula].arrays]
        check_types(operator, given)
        if any(isinstance(of, types.Array) for of in given):
            return calling(operator, broadcast(operator.formula), given)
        return calling(operator, scalar(operator.formula, precision_of(arrays)), given)

    names = ", ".join(inspect.signature(eval(f"lambda {operator.signature}: 0")).parameters)  # noqa: S307 (our text)
    return defined(
        f"def typing({operator.signature}):\n    return implementation({names})", implementation=implementation
    )


def without_default(of: Any) -> Any:
    """Return the type of an argument; of one that is left out, the default itself."""
    return of.value if isinstance(of, types.Omitted) else of  # type: ignore[attr-defined]


def check_types(operator: Operator, given: tuple[Any, ...]) -> None:
    for of in given:
        number = of.dtype if isinstance(of, types.Array) else of
        is_number = isinstance(number, (types.Boolean, types.Integer, float)) or number in (
            types.float32,
            types.float64,
        )
        if not is_number:
            accepted = "bool, integers, float32, float64 or arrays of them"
            raise errors.TypingError(f"{operator.function.__name__}: operands must be {accepted}, got {of}")
    row = ROWS[operator.formula]
    if row.keeps_integers and all(isinstance(number_of(of), types.Integer) for of in given[: row.arrays]):
        raise errors.TypingError(f"{row.name}: integers stay integers in the ufunc, and are not known to compiled code")


def number_of(of: Any) -> Any:
    return of.dtype if isinstance(of, types.Array) else of


def precision_of(arrays: tuple[Any, ...]) -> str:
    """Return the precision that operands are computed in: float32 if it can hold all of them, as NumPy has it."""
    numbers = [number_of(of) for of in arrays]
    is_narrow = all(of == types.float32 or isinstance(of, types.Boolean) or is_short(of) for of in numbers)
    return "float32" if is_narrow else "float64"


def is_short(of: Any) -> bool:
    return isinstance(of, types.Integer) and of.bitwidth <= 16  # type: ignore[attr-defined]


def calling(operator: Operator, function: Any, given: tuple[Any, ...]) -> Any:
    """Return a function of the operator's signature that calls another; parameters that are numbers have x's type."""
    row = ROWS[operator.formula]
    fit = PRECISIONS[precision_of(given[: row.arrays])].numba_type
    names = list(inspect.signature(eval(f"lambda {operator.signature}: 0")).parameters)  # noqa: S307 (our text)
    arguments = [name if isinstance(of, types.Array) else f"fit({name})" for name, of in zip(names, given, strict=True)]
    text = f"def {row.name}({operator.signature}):\n    return function({', '.join(arguments)})"
    return defined(text, function=function, fit=fit)


def defined(text: str, **scope: Any) -> Any:
    """Return the function of a text."""
    before = set(scope)
    exec(text, scope)  # noqa: S102 (our own text)
    (name,) = set(scope) - before - {"__builtins__"}
    return scope[name]


# ---- The formulas.


@cache
def namespace(precision: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return primitives and constants, to which the functions are added, and the code of these."""
    front = FrontEnd(PRECISIONS[precision])
    return front.namespace, front.code


@cache
def scalar(name: str, precision: str) -> Any:
    """Return a formula for numbers of one precision."""
    known, code = namespace(precision)
    for callee in code[name].co_names:
        if callee not in known:
            known[callee] = scalar(callee, precision)
    function = FunctionType(code[name], known, name)
    return numba.njit(function, error_model="numpy", fastmath=False, forceinline=True)


@cache
def broadcast(name: str) -> Any:
    """Return a formula for arrays."""
    count = len(ROWS[name].operands) + len(ROWS[name].parameters)
    names = ", ".join(f"a{k}" for k in range(count))

    def chosen(*given: Any) -> Any:
        return defined(
            f"def {name}({names}):\n    return function({names})", function=scalar(name, precision_of(given))
        )

    def stub(*given: Any) -> None:
        raise NotImplementedError

    overload(stub)(defined(f"def typing({names}):\n    return chosen({names})", chosen=chosen))
    loop = defined(f"def {name}({names}):\n    return stub({names})", stub=stub)
    numbers = [PRECISIONS[precision].numba_type for precision in ("float32", "float64")]
    return numba.vectorize([of(*[of] * count) for of in numbers])(loop)
