"""Numba's front end: formulas, loops and kernels to LLVM IR.

Each function is compiled as it stands: its own code object, with constants and primitives of one precision for globals.
The formulas (`formulas.py`, `float32.py` or `float64.py`) take and return numbers of that precision; the types of all
others are in the .pxd files. Nothing is optimized here.
"""

# An intrinsic has the arguments that Numba gives it, used or not.
# ruff: noqa: ARG001

import inspect
import re
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import compiler, registry, types
from numba.extending import intrinsic

from fastact._kernels import formulas, numba_primitives, numba_types, signatures, usual
from fastact._kernels.numba_primitives import Precision
from fastact._kernels.numba_types import Pointer
from fastact._kernels.signatures import Argument, Signature

INTERLEAVE = 4
# The loops that are interleaved.
OF_ONE_FORMULA = ("each_", "usual_")
# A number of metadata that Numba does not reach.
LOOP = 1000
LOOPS = signatures.read()
NUMBERS = {
    "void": types.void,
    "float": types.float32,
    "double": types.float64,
    "Py_ssize_t": types.intp,
    "int": types.intc,
    "bint": types.boolean,
    "char": types.char,
    **{f"{name}_t": getattr(types, name) for name in ("int8", "int16", "int32", "int64")},
    **{f"{name}_t": getattr(types, name) for name in ("uint8", "uint16", "uint32", "uint64")},
}


OWN_SIGNATURES = {
    name: Signature(result, (Argument(argument, ""),), None, True)
    for name, (result, argument) in numba_primitives.OWN_TYPES.items()
}


class Compiled(NamedTuple):
    """A function that went through the front end, and the names of those it calls."""

    descriptor: Any
    module: str
    needs: set[str]


def named_intrinsic(name: str, count: int, definition: Any) -> Any:
    """Return an intrinsic of ``count`` arguments: Numba reads the number from the signature."""

    def define(typing_context: Any, *arguments: Any) -> Any:
        return definition(arguments)

    names = ["typing_context", *(f"a{k}" for k in range(count))]
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    define.__name__ = name
    define.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return intrinsic(define)


def front_end(function: FunctionType, arguments: tuple[Any, ...], result: Any, symbol: str) -> tuple[Any, str, Any]:
    """Return (descriptor, IR, signature) of a function. Nothing is optimized, nothing becomes machine code."""
    target = registry.cpu_target
    flags = compiler.Flags()
    flags.no_compile = True
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.enable_pyobject = False
    flags.nrt = False
    flags.error_model = "numpy"
    library = target.target_context.codegen().create_library(symbol)
    # Numba would thread jumps over two selects in a row, as gcc would: four comparisons instead of two (tanh: +10%).
    library._optimize_functions = lambda _module: None
    result = compiler.compile_extra(
        target.typing_context, target.target_context, function, arguments, result, flags, {}, library=library
    )
    module = re.sub(r"(?m)^(define .*)\{$", r"\1alwaysinline {", library.get_llvm_str())
    return result.fndesc, module, result.signature


def apart(module: str, names: list[str]) -> str:
    """Return the IR of a function with LLVM told that what these arguments point to is apart from all else.

    An output may be one of the inputs, element by element: see fastact_output in primitives.h.
    """
    for name in names:
        module = re.sub(rf"(?m)^(define .*)\bptr( %[\w.\"]*\barg\.{name}\b)", r"\1ptr noalias\2", module)
    return module


def interleaved(module: str) -> str:
    """Return the IR of a loop with the request that four vectors be computed side by side.

    LLVM takes them one by one. The latency of each fills that of the others: four are up to 25% faster, and never
    slower, two half of that.
    """
    seen: set[str] = set()
    lines = module.splitlines()
    for number, line in enumerate(lines):
        label = re.match(r"([\w.]+):", line)
        if label:
            seen.add(label[1])
        elif line.lstrip().startswith("br ") and seen.intersection(re.findall(r"label %([\w.]+)", line)):
            lines[number] = f"{line}, !llvm.loop !{LOOP}"
    loop = f"!{LOOP} = distinct !{{!{LOOP}, !{LOOP + 1}}}"
    hint = f'!{LOOP + 1} = !{{!"llvm.loop.interleave.count", i32 {INTERLEAVE}}}'
    return "\n".join([*lines, loop, hint, ""])


def of_lengths(name: str, relation: str) -> Any:
    """Return Python's min or max of two lengths; of other numbers a formula says what NaN gives."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        return builder.select(builder.icmp_signed(relation, *values), *values)

    def define(given: tuple[Any, ...]) -> Any:
        is_known = all(isinstance(of, types.Integer) for of in given)
        return (types.intp(types.intp, types.intp), codegen) if is_known else None

    return named_intrinsic(name, 2, define)


PYTHONS_OWN = {"range": range, "min": of_lengths("min", "<"), "max": of_lengths("max", ">")}


class FrontEnd:
    """The functions of one precision, compiled when first needed."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        bits = types.Integer.from_bitwidth(precision.bits, signed=True)
        self.numbers = {**NUMBERS, **numba_primitives.TYPES, "real": precision.numba_type, "bits": bits}
        self.code = {
            name: value.__code__
            for module in (formulas, precision.module)
            for name, value in vars(module).items()
            if isinstance(value, FunctionType)
        }
        calls = {name: code.co_names for name, code in self.code.items()}
        self.asking = usual.asking(calls)
        second = usual.second_names(calls)
        self.code |= {
            second[name]: code.replace(co_names=tuple(second.get(called, called) for called in calls[name]))
            for name, code in self.code.items()
            if name in second
        }
        self.code |= LOOPS.code | {name: value.__code__ for name, value in numba_primitives.FUNCTIONS.items()}
        self.namespace: dict[str, Any] = {**PYTHONS_OWN, **LOOPS.lengths, **numba_primitives.CONSTANTS}
        self.namespace.update((name, np.uint64(value)) for name, value in LOOPS.words.items())
        constants = {name: value for name, value in vars(precision.module).items() if isinstance(value, float)}
        self.namespace.update((name, precision.scalar(value)) for name, value in constants.items())
        signatures_of_primitives = {**LOOPS.signatures, **OWN_SIGNATURES}
        self.namespace.update(
            (name, self.primitive(name, emit, signatures_of_primitives[name]))
            for name, emit in numba_primitives.primitives(precision).items()
            if name in signatures_of_primitives
        )
        self.compiled: dict[str, Compiled] = {}
        # The functions being compiled, each called by the one before.
        self.callers: list[set[str]] = []

    # ---- Types.

    def type_of(self, c_type: str) -> Any:
        """Return Numba's type for one of C's; None for one that is as it is given."""
        name = c_type.removeprefix("const ").strip()
        if name in LOOPS.open_types or name.removesuffix("*").strip() in {*LOOPS.open_types, "void"} - {name}:
            return None
        if name in self.numbers:
            return self.numbers[name]
        if name in LOOPS.types:
            known = self.type_of(LOOPS.types[name])
            return Pointer(known.to, is_restricted=True) if name in LOOPS.restricted else known
        if name.startswith("("):
            return tuple_of([self.type_of(part) for part in name[1:-1].split(",")])
        if name.endswith("*"):
            return Pointer(self.type_of(name[:-1]))
        raise TypeError(f"no type of Numba's for {c_type!r}")

    # ---- Functions.

    def prepare(self, name: str) -> None:
        """Make a function known under its name, and compile it and what it calls unless that is done."""
        if name in self.namespace:
            return
        code = self.code.get(name)
        if code is None:
            raise TypeError(f"{name} has no Numba version")
        for callee in code.co_names:
            self.prepare(callee)
        if name not in LOOPS.signatures:
            self.namespace[name] = self.formula(name, code)
        else:
            self.namespace[name] = self.function(name, code, LOOPS.signatures[name])

    def primitive(self, name: str, emit: Any, signature: Signature) -> Any:
        """Return an intrinsic; arguments of any type, literals too, are converted to its own."""
        declared = [self.type_of(argument.c_type) for argument in signature.arguments]
        result = self.type_of(signature.result)

        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
            opened = [given for given, of in zip(signature.args, declared, strict=True) if of is None]
            value = emit(builder, *opened, *values)
            return context.get_dummy_value() if value is None else value

        return named_intrinsic(name, len(declared), lambda given: (result(*filled(declared, given)), codegen))

    def formula(self, name: str, code: CodeType) -> Any:
        """Return an intrinsic that calls a formula: every argument is of the precision, and so is what comes out."""
        arguments = (self.precision.numba_type,) * code.co_argcount
        signature = self.compile(name, code, name, arguments, None)
        return named_intrinsic(name, code.co_argcount, lambda _: (signature, self.call_of(name)))

    def function(self, name: str, code: CodeType, signature: Signature) -> Any:
        """Return an intrinsic that calls a function, which is compiled for each set of open types it is given."""
        declared = [self.type_of(argument.c_type) for argument in signature.arguments]
        result = self.type_of(signature.result)
        restricted = [arg.name for arg, of in zip(signature.arguments, declared, strict=True) if is_restricted(of)]

        def define(given: tuple[Any, ...]) -> Any:
            arguments = filled(declared, given)
            opened = [of_given for of_given, of in zip(given, declared, strict=True) if of is None]
            symbol = "_of_".join([name, *(re.sub(r"\W+", "_", str(of_given)) for of_given in opened)])
            if symbol not in self.compiled:
                self.compile(name, code, symbol, arguments, result, restricted)
            return result(*arguments), self.call_of(symbol)

        return named_intrinsic(name, len(declared), define)

    def compile(
        self, name: str, code: CodeType, symbol: str, arguments: tuple[Any, ...], result: Any, restricted: Any = ()
    ) -> Any:
        """Compile a function under a symbol, and return its signature."""
        self.callers.append(set())
        outer, numba_types.Apart.function = numba_types.Apart.function, name if LOOPS.is_kernel(name) else ""
        try:
            function = FunctionType(code, self.namespace, name)
            descriptor, module, signature = front_end(function, arguments, result, symbol)
        finally:
            needs = self.callers.pop()
            numba_types.Apart.function = outer
        module = interleaved(module) if name.startswith(OF_ONE_FORMULA) else module
        self.compiled[symbol] = Compiled(descriptor, apart(module, restricted), needs)
        return signature

    def call_of(self, symbol: str) -> Any:
        """Return what emits a call of a compiled function, to be linked later."""

        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
            self.callers[-1].add(symbol)
            _, value = context.call_internal_no_propagate(builder, self.compiled[symbol].descriptor, signature, values)
            return value

        return codegen

    # ---- Kernels.

    def kernel(self, name: str) -> str:
        """Compile a kernel that is not element by element, and return its symbol."""
        if name not in self.compiled:
            for callee in self.code[name].co_names:
                self.prepare(callee)
            arguments = tuple(self.type_of(argument.c_type) for argument in LOOPS.signatures[name].arguments)
            self.compile(name, self.code[name], name, arguments, types.void)
        return name

    def loop(self, loop: str, *formulas: str) -> str:
        """Compile a loop around its formulas, and return its symbol."""
        for name in (loop, *formulas):
            self.prepare(name)
        context = registry.cpu_target.typing_context
        context.refresh()
        given = [context.resolve_value_type(self.namespace[name]) for name in formulas]
        symbol = "_of_".join([loop, *formulas])
        if symbol in self.compiled:
            return symbol
        declared = [self.type_of(argument.c_type) for argument in LOOPS.signatures[loop].arguments]
        self.compile(loop, self.code[loop], symbol, (*given, *declared[len(given) :]), types.void, ["y"])
        return symbol

    def needed(self, *symbols: str) -> dict[str, str]:
        """Return the IR of functions and of all that they call, directly or not, by symbol."""
        modules: dict[str, str] = {}
        pending = list(symbols)
        while pending:
            symbol = pending.pop()
            if symbol not in modules:
                modules[symbol] = self.compiled[symbol].module
                pending.extend(self.compiled[symbol].needs)
        return modules


def filled(declared: list[Any], given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the types of a call's arguments: those declared, and where none is, those given."""
    return tuple(of_given if of is None else of for of_given, of in zip(given, declared, strict=True))


def tuple_of(parts: list[Any]) -> Any:
    return types.BaseTuple.from_types(parts)  # type: ignore[attr-defined]


def is_restricted(of: Any) -> bool:
    return isinstance(of, Pointer) and of.is_restricted
