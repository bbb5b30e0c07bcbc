"""Numba's front end: formulas and loops to LLVM IR.

Each function of `formulas.py`, `float32.py` or `float64.py`, and `blocks.py` is compiled as it stands: its own code
object, with constants and primitives of one precision for globals. Nothing is optimized here.
"""

# An intrinsic has the arguments that Numba gives it, used or not.
# ruff: noqa: ARG001

import inspect
import re
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils, compiler, registry, types
from numba.extending import intrinsic

from fastact._kernels import blocks, float32, float64, formulas

Emit = Callable[..., ir.Value]
INTERLEAVE = 4
# A number of metadata that Numba does not reach.
LOOP = 1000


class Precision(NamedTuple):
    """A floating-point type, for Numba, LLVM and NumPy."""

    name: str
    bits: int
    mantissa: int
    numba_type: Any
    llvm_type: ir.Type
    scalar: Callable[[float], np.floating[Any]]
    module: Any


PRECISIONS = {
    "float32": Precision("float32", 32, 23, types.float32, ir.FloatType(), np.float32, float32),
    "float64": Precision("float64", 64, 52, types.float64, ir.DoubleType(), np.float64, float64),
}


class Compiled(NamedTuple):
    """A function that went through the front end."""

    descriptor: Any
    module: str
    needs: tuple[str, ...]


# ---- The primitives of primitives.h.


def primitives(precision: Precision) -> dict[str, Any]:
    """Return the primitives as intrinsics; arguments of any type, literals too, are converted to the precision."""
    integer = ir.IntType(precision.bits)
    sign = ir.Constant(integer, 1 << (precision.bits - 1))
    zero = ir.Constant(integer, 0)
    mantissa = ir.Constant(integer, precision.mantissa)

    def on_bits(operation: Emit) -> Emit:
        def emit(builder: ir.IRBuilder, *values: ir.Value) -> ir.Value:
            bits = [builder.bitcast(value, integer) for value in values]
            return builder.bitcast(operation(builder, *bits), precision.llvm_type)

        return emit

    def instruction(name: str) -> Emit:
        def emit(builder: ir.IRBuilder, *values: ir.Value) -> ir.Value:
            function_type = ir.FunctionType(precision.llvm_type, [precision.llvm_type] * len(values))
            symbol = f"llvm.{name}.f{precision.bits}"
            return builder.call(cgutils.get_or_insert_function(builder.module, function_type, symbol), values)

        return emit

    emitters: dict[str, tuple[int, Emit]] = {
        "fma": (3, instruction("fma")),
        "multiply_add": (3, instruction("fma")),
        "absolute": (1, instruction("fabs")),
        "copysign": (2, instruction("copysign")),
        "power_of_two": (1, on_bits(lambda b, x: b.shl(x, mantissa))),
        "negative_magnitude": (1, on_bits(lambda b, x: b.or_(x, sign))),
        "negative_part": (1, on_bits(lambda b, x: b.select(b.icmp_signed("<", x, zero), x, zero))),
        "positive_part": (1, on_bits(lambda b, x: b.select(b.icmp_signed(">", x, zero), x, zero))),
        "limit_negative": (2, on_bits(lambda b, x, low: b.select(b.icmp_unsigned("<", x, low), x, low))),
        "multiply_sign": (2, on_bits(lambda b, x, y: b.xor(x, b.and_(y, sign)))),
    }
    return {name: intrinsic_of(precision, count, emit) for name, (count, emit) in emitters.items()}


def intrinsic_of(precision: Precision, count: int, emit: Emit) -> Any:
    signature = precision.numba_type(*[precision.numba_type] * count)

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        return emit(builder, *values)

    return with_arguments(count, lambda: (signature, codegen))


def call_of(compiled: Compiled, signature: Any) -> Any:
    """Return an intrinsic that calls a function from the front end, to be linked later."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        return context.call_internal(builder, compiled.descriptor, signature, values)

    return with_arguments(len(signature.args), lambda: (signature, codegen))


def with_arguments(count: int, definition: Callable[[], Any]) -> Any:
    """Return an intrinsic of ``count`` arguments: Numba reads the number from the signature."""

    def define(typing_context: Any, *arguments: Any) -> Any:
        return definition()

    names = ["typing_context", *(f"a{k}" for k in range(count))]
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    define.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return intrinsic(define)


# ---- The front end.


def front_end(function: FunctionType, arguments: tuple[Any, ...], symbol: str) -> tuple[Any, str, Any]:
    """Return (descriptor, IR, signature) of a function. Nothing is optimized, nothing becomes machine code."""
    target = registry.cpu_target
    flags = compiler.Flags()
    flags.no_compile = True
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.enable_pyobject = False
    flags.nrt = False
    flags.error_model = "numpy"
    # An output may be one of the inputs, element by element: see fastact_output in primitives.h.
    flags.noalias = True
    library = target.target_context.codegen().create_library(symbol)
    # Numba would thread jumps over two selects in a row, as gcc would: four comparisons instead of two (tanh: +10%).
    library._optimize_functions = lambda _module: None
    result = compiler.compile_extra(
        target.typing_context, target.target_context, function, arguments, None, flags, {}, library=library
    )
    module = re.sub(r"(?m)^(define .*)\{$", r"\1alwaysinline {", library.get_llvm_str())
    return result.fndesc, module, result.signature


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


class FrontEnd:
    """The functions of one precision, compiled when first needed."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        constants = {name: value for name, value in vars(precision.module).items() if isinstance(value, float)}
        self.namespace = primitives(precision)
        self.namespace.update((name, precision.scalar(value)) for name, value in constants.items())
        self.compiled: dict[str, Compiled] = {}

    def formula(self, name: str) -> None:
        """Compile a formula and what it calls, unless that is done."""
        if name in self.namespace:
            return
        code = self.code(name)
        for callee in code.co_names:
            self.formula(callee)
        function = FunctionType(code, self.namespace, name)
        arguments = (self.precision.numba_type,) * code.co_argcount
        descriptor, module, signature = front_end(function, arguments, name)
        self.compiled[name] = Compiled(descriptor, module, code.co_names)
        self.namespace[name] = call_of(self.compiled[name], signature)

    def code(self, name: str) -> CodeType:
        function = getattr(self.precision.module, name, None) or getattr(formulas, name)
        assert isinstance(function, FunctionType)
        return function.__code__

    def loop(self, name: str, arrays: int, scalars: int) -> Compiled:
        """Compile the loop of so many arrays and scalars around a formula."""
        loop = getattr(blocks, f"each_{arrays}_{scalars}")
        pointer = types.CPointer(self.precision.numba_type)  # type: ignore[attr-defined]
        registry.cpu_target.typing_context.refresh()
        formula_type = registry.cpu_target.typing_context.resolve_value_type(self.namespace[name])
        inputs = (pointer,) * arrays + (self.precision.numba_type,) * scalars
        arguments = (formula_type, *inputs, pointer, types.intp)
        descriptor, module, _ = front_end(FunctionType(loop.__code__, {"range": range}, name), arguments, name)
        return Compiled(descriptor, interleaved(module), (name,))

    def needed(self, name: str) -> Iterator[str]:
        """Yield the names of a formula and of what it calls, each once."""
        pending, seen = [name], set()
        while pending:
            current = pending.pop()
            if current in self.compiled and current not in seen:
                seen.add(current)
                pending.extend(self.compiled[current].needs)
                yield current
