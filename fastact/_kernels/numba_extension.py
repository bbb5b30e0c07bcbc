"""The element-wise operators inside compiled code of the user's: ``numba.njit``, ``numba.vectorize``.

Numba finds `init` by the entry point ``numba_extensions`` before it compiles anything. An operator on scalars becomes
its formula, inlined; on arrays, a loop over it that broadcasts as NumPy does. The formulas are the kernels' own, with
the same primitives, and without the fast mathematics of the code they are called from: results have the ufuncs' bits.
The caller's floating-point environment is not put back, as it is in the ufuncs: compiled code does not look at flags.
"""

# mypy: disallow-untyped-decorators=False

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from types import FunctionType
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core import errors, types
from numba.extending import overload, register_jitable

from fastact import activations, grad
from fastact._kernels import registry
from fastact._kernels.numba_frontend import FrontEnd
from fastact._kernels.numba_primitives import PRECISIONS
from fastact._kernels.ufuncs import UFUNCS
from fastact._kernels.variants import gelu_variant

ROWS = {row.name: row for row in registry.kernels()}


class Operator(NamedTuple):
    """A function of the package, the formula it stands for, and its arguments in compiled code."""

    function: Any
    formula: str
    names: tuple[str, ...]
    defaults: tuple[Any, ...] = ()


def operators() -> Iterator[Operator]:
    """Yield the ufuncs, and the functions over them."""
    for name, ufunc in UFUNCS.items():
        yield Operator(ufunc, name, (*ROWS[name].operands, *ROWS[name].parameters))
    for module, prefix in ((activations, ""), (grad, "grad_")):
        for name, function in module.ELEMENT_WISE.items():
            public = getattr(module, name, None)
            if public is function and isinstance(function, FunctionType):
                yield Operator(function, prefix + name, *signature_of(function))
    yield Operator(activations.prelu, "prelu", ("x", "weight"))


def signature_of(function: Callable[..., Any]) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Return the names and defaults of a signature without the options of ufuncs."""
    parameters = [of for of in inspect.signature(function).parameters.values() if of.kind is not of.VAR_KEYWORD]
    defaults = tuple(of.default for of in parameters if of.default is not of.empty)
    return tuple(of.name for of in parameters), defaults


@cache
def init() -> None:
    """Make the operators known to Numba. Nothing is compiled before it is used."""
    for operator in operators():
        overload(operator.function, strict=True)(typing_of(operator))
    for function, prefix, names in ((activations.gelu, "", ("x",)), (grad.gelu, "grad_", ("dy", "x"))):
        overload(function, strict=True)(typing_of_gelu(function, prefix, names))
    overload(activations.rrelu, strict=True)(typing_of_rrelu)
    overload(grad.rrelu, strict=True)(typing_of_grad_rrelu)
    overload(activations.glu, strict=True)(typing_of_glu)
    overload(grad.glu, strict=True)(typing_of_grad_glu)


def typing_of(operator: Operator) -> Any:
    """Return the function that Numba calls with the types of a call, for the function to compile."""

    def implementation(*given: Any) -> Any:
        given = tuple(without_default(of) for of in given)
        arrays = given[: ROWS[operator.formula].arrays]
        check_types(operator, given)
        if any(isinstance(of, types.Array) for of in given):
            return calling(operator, broadcast(operator.formula), given)
        return calling(operator, scalar(operator.formula, precision_of(arrays)), given)

    return caller("typing", operator.names, implementation, defaults=operator.defaults)


def typing_of_gelu(function: Any, prefix: str, names: tuple[str, ...]) -> Any:
    """Return the same for gelu, of which there are two. Which one is known while it is compiled, or not at all."""

    def implementation(*given: Any) -> Any:
        *arrays, approximate = map(without_default, given)
        if not isinstance(approximate, (str, types.StringLiteral)):  # type: ignore[attr-defined]
            raise errors.TypingError(f"gelu: approximate must be 'none' or 'tanh', written there, got {approximate}")
        form = prefix + gelu_variant("gelu", getattr(approximate, "literal_value", approximate))
        operator = Operator(function, form, names)
        check_types(operator, tuple(arrays))
        is_of_arrays = any(isinstance(of, types.Array) for of in arrays)
        formula = broadcast(form) if is_of_arrays else scalar(form, precision_of(tuple(arrays)))
        called = calling(operator, formula, tuple(arrays))
        return caller(form, (*names, "approximate"), without_last(called, len(names)), defaults=("none",))

    return caller("typing", (*names, "approximate"), implementation, defaults=("none",))


# Numba binds the arguments of `overload` by name: typing and implementation take all, whether they look at them or not.


def check_no_draw(training: Any) -> None:
    given = getattr(without_default(training), "literal_value", without_default(training))
    if given is not False:
        raise errors.TypingError(
            f"rrelu: training must be False, written there, got {given}: compiled code knows no random slopes"
        )


def typing_of_rrelu(x: Any, lower: Any = 1 / 8, upper: Any = 1 / 3, training: Any = False) -> Any:  # noqa: ARG001
    check_no_draw(training)
    leaky_relu = activations.ELEMENT_WISE["leaky_relu"]

    def implementation(x: Any, lower: Any = 1 / 8, upper: Any = 1 / 3, training: Any = False) -> Any:  # noqa: ARG001
        return leaky_relu(x, (lower + upper) / 2)

    return implementation


def typing_of_grad_rrelu(dy: Any, x: Any, lower: Any = 1 / 8, upper: Any = 1 / 3, training: Any = False) -> Any:  # noqa: ARG001
    check_no_draw(training)
    leaky_relu = grad.ELEMENT_WISE["leaky_relu"]

    def implementation(dy: Any, x: Any, lower: Any = 1 / 8, upper: Any = 1 / 3, training: Any = False) -> Any:  # noqa: ARG001
        return leaky_relu(dy, x, (lower + upper) / 2)

    return implementation


@numba.njit
def halves(x: Any, axis: int) -> Any:
    """Return views of the halves of x along an axis, which comes last."""
    last = np.swapaxes(x, axis, -1)
    if last.shape[-1] % 2:
        raise ValueError("glu(): x must have an even length along the axis")
    return last[..., : last.shape[-1] // 2], last[..., last.shape[-1] // 2 :]


def check_array(x: Any) -> None:
    if not isinstance(x, types.Array) or x.ndim == 0:
        raise errors.TypingError(f"glu: x must be an array with an axis to split, got {x}")


def typing_of_glu(x: Any, axis: Any = -1) -> Any:  # noqa: ARG001
    check_array(x)
    glu = UFUNCS["glu"]

    def implementation(x: Any, axis: Any = -1) -> Any:
        a, b = halves(x, axis)
        return np.swapaxes(glu(a, b), axis, -1)

    return implementation


def typing_of_grad_glu(dy: Any, x: Any, axis: Any = -1) -> Any:  # noqa: ARG001
    raise errors.TypingError("grad.glu: is not known to compiled code; fastact.ufuncs.glu and grad_glu are")


def without_last(function: Any, count: int) -> Any:
    """Return a function of `count` arguments with one more that it does not look at."""
    compiled = numba.njit(function)
    return numba.njit({1: lambda a, _: compiled(a), 2: lambda a, b, _: compiled(a, b)}[count])


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
    fits = [unchanged if isinstance(of, types.Array) else fit for of in given]
    return caller(row.name, operator.names, function, fits, operator.defaults)


@numba.njit
def unchanged(x: Any) -> Any:
    return x


# What Numba compiles has a fixed number of arguments. Their names and defaults are the operator's, and the functions
# called are in the namespace that `caller` gives the code: F821 and name-defined cannot know it.
CALLERS: dict[int, Any] = {
    1: lambda a: called(fit_0(a)),  # type: ignore[name-defined]  # noqa: F821
    2: lambda a, b: called(fit_0(a), fit_1(b)),  # type: ignore[name-defined]  # noqa: F821
    3: lambda a, b, c: called(fit_0(a), fit_1(b), fit_2(c)),  # type: ignore[name-defined]  # noqa: F821
    4: lambda a, b, c, d: called(fit_0(a), fit_1(b), fit_2(c), fit_3(d)),  # type: ignore[name-defined]  # noqa: F821
}


def caller(
    name: str, names: tuple[str, ...], function: Any, fits: Sequence[Any] = (), defaults: tuple[Any, ...] = ()
) -> Any:
    """Return a function of these arguments that calls another, each argument converted first."""
    code = CALLERS[len(names)].__code__.replace(co_name=name, co_varnames=names)
    scope = {f"fit_{k}": fit for k, fit in enumerate(fits or [same] * len(names))}
    return FunctionType(code, {"called": function, **scope}, name, defaults)


@register_jitable
def same(x: Any) -> Any:
    return x


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
    names = tuple(f"a{k}" for k in range(count))
    as_they_are = [unchanged] * count

    def chosen(*given: Any) -> Any:
        return caller(name, names, scalar(name, precision_of(given)), as_they_are)

    def stub(*given: Any) -> None:
        raise NotImplementedError

    overload(stub)(caller("typing", names, chosen))
    loop = caller(name, names, stub, as_they_are)
    numbers = [PRECISIONS[precision].numba_type for precision in ("float32", "float64")]
    return numba.vectorize([of(*[of] * count) for of in numbers])(loop)
