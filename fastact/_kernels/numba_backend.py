"""Compiles formulas and loops with Numba, to object code for this very processor.

Numba's front end turns each function of `formulas.py`, `float32.py` or `float64.py`, and `blocks.py` into LLVM IR: the
functions' own code objects, with constants and primitives of one precision for globals. The IR of what a kernel needs
is then linked into one module, optimized as a whole and emitted as an object file with the ABI of the Cython kernels,
``void scalar_NAME(char** args, intp n)``. Going round Numba's own back end buys three things: a formula is optimized
once in each kernel rather than also by itself (a kernel takes 0.3 s instead of 1.6 s), vectors are as wide as the
processor's, and the object file is all there is to cache: loading one takes 2 ms.

This module imports Numba: only `backend.py` imports it, when there is something to compile.
"""

# An intrinsic has the arguments that Numba gives it, used or not.
# ruff: noqa: ARG001
# mypy: disallow-untyped-decorators=False

import ctypes
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import prange
from numba.core import cgutils, compiler, registry, types
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic

from fastact._kernels import blocks, float32, float64, formulas
from fastact._kernels.backend import UnusableError
from fastact._kernels.registry import Kernel

Emit = Callable[..., ir.Value]
VECTOR_BITS = 512
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


# ---- The back end.


def entry_point(symbol: str, loop: Compiled, precision: Precision, arrays: int, scalars: int) -> str:
    """Return the IR of ``void symbol(char** args, intp n)``, which unpacks the operands and calls the loop."""
    real = str(precision.llvm_type)
    lines, operands = [], ["ptr null"]
    for k in range(arrays + scalars + 1):
        lines.append(f"%slot{k} = getelementptr ptr, ptr %args, i64 {k}")
        lines.append(f"%operand{k} = load ptr, ptr %slot{k}")
        if arrays <= k < arrays + scalars:
            lines.append(f"%scalar{k} = load {real}, ptr %operand{k}")
            operands.append(f"{real} %scalar{k}")
        else:
            operands.append(f"ptr %operand{k}")
    signature = ", ".join(operand.split()[0] for operand in operands)
    body = "\n".join(f"  {line}" for line in lines)
    # LLVM takes half-width vectors for processors that clocked down for wide ones; those that matter no longer do.
    return (
        f"declare i32 @{loop.descriptor.mangled_name}(ptr, ptr, {signature}, i64)\n"
        f'define void @{symbol}(ptr %args, i64 %n) nounwind "prefer-vector-width"="{VECTOR_BITS}" {{\n'
        f"  %result = alloca ptr\n  %error = alloca ptr\n{body}\n"
        f"  call i32 @{loop.descriptor.mangled_name}(ptr %result, ptr %error, {', '.join(operands)}, i64 %n)\n"
        f"  ret void\n}}\n"
    )


def copy_of_first(symbol: str, precision: Precision, arrays: int) -> str:
    """Return the IR of ``void symbol(char** args, intp n)`` that copies the first operand, as gcc makes of such a loop.

    The C library's copy is twice as fast in the first-level cache as a loop of LLVM's.
    """
    return (
        f"declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)\n"
        f"define void @{symbol}(ptr %args, i64 %n) nounwind {{\n"
        f"  %x = load ptr, ptr %args\n  %slot = getelementptr ptr, ptr %args, i64 {arrays}\n"
        f"  %y = load ptr, ptr %slot\n  %size = mul i64 %n, {precision.bits // 8}\n"
        f"  call void @llvm.memmove.p0.p0.i64(ptr %y, ptr %x, i64 %size, i1 false)\n  ret void\n}}\n"
    )


def returns_first(formula: FunctionType) -> bool:
    """Return whether a formula only passes on its first argument: any operation on these would raise."""
    arguments = [object() for _ in range(formula.__code__.co_argcount)]
    try:
        return formula(*arguments) is arguments[0]
    except (NameError, TypeError):
        return False


def target_machine() -> Any:
    """Return LLVM's description of this processor."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="pic",
        codemodel="jitdefault",
        jit=True,
    )


def link(parts: list[str], entries: tuple[str, ...]) -> Any:
    """Return one LLVM module of which only the entry points are seen from outside."""
    module = llvm.parse_assembly(parts[0])
    for part in parts[1:]:
        module.link_in(llvm.parse_assembly(part))
    for function in module.functions:
        if not function.is_declaration and function.name not in entries:
            function.linkage = "internal"
    for variable in module.global_variables:
        if not variable.is_declaration:
            variable.linkage = "internal"
    module.verify()
    return module


def optimize(module: Any, machine: Any) -> None:
    """Make selects of branches first, before anything can be threaded through them; then as ever."""
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    options.loop_interleaving = True
    options.loop_unrolling = True
    builder = llvm.create_pass_builder(machine, options)
    selects = llvm.create_new_function_pass_manager()
    selects.add_sroa_pass()
    selects.add_simplify_cfg_pass()
    for function in module.functions:
        if not function.is_declaration:
            selects.run(function, builder)
    builder.getModulePassManager().run(module, builder)


SOURCE = Path(__file__).read_text(encoding="utf-8")
FRONT_ENDS: dict[str, FrontEnd] = {}


def kernel_module(row: Kernel, precision_name: str, machine: Any) -> Any:
    precision = PRECISIONS[precision_name]
    front = FRONT_ENDS.setdefault(precision_name, FrontEnd(precision))
    front.formula(row.name)
    parts = [front.compiled[name].module for name in front.needed(row.name)]
    scalars = len(row.parameters)
    shapes = {f"scalar_{row.name}": (row.arrays, scalars), f"array_{row.name}": (row.arrays + scalars, 0)}
    for symbol, shape in shapes.items():
        if returns_first(getattr(formulas, row.name)):
            parts.append(copy_of_first(symbol, precision, sum(shape)))
        else:
            loop = front.loop(row.name, *shape)
            parts += [loop.module, entry_point(symbol, loop, precision, *shape)]
    module = link(parts, tuple(shapes))
    optimize(module, machine)
    return module


@global_compiler_lock
def compile_kernel(row: Kernel, precision: str) -> bytes:
    """Return the object file with ``scalar_NAME`` and ``array_NAME`` for one precision."""
    machine = target_machine()
    module = kernel_module(row, precision, machine)
    imports = [function.name for function in module.functions if is_imported(function)]
    if imports:
        # A loop that calls the C library would not have gone to vectors either.
        raise RuntimeError(f"{row.name}: compiled code calls {', '.join(imports)}")
    return bytes(machine.emit_object(module))


def is_imported(function: Any) -> bool:
    return bool(function.is_declaration) and not function.name.startswith("llvm.")


# ---- In the process.


def processor() -> str:
    """Return the name and the features of the processor code is compiled for."""
    return f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"


def versions() -> tuple[str, str]:
    """Return the versions of Numba and llvmlite."""
    return str(numba.__version__), str(llvmlite.__version__)


def facts(row: Kernel) -> list[str]:
    """Return all that compiled code depends on.

    Of the formulas and loops it is the functions in memory, not their files: a file that was edited since it was
    imported would otherwise keep old code under the new text's name.
    """
    import fastact

    texts = [text_of(module) for module in (formulas, float32, float64, blocks)]
    return [fastact.__version__, processor(), *versions(), SOURCE, repr(row), *texts]


def text_of(module: Any) -> str:
    """Return what Numba reads of a module: constants, and the functions' code."""
    return "\n".join(
        repr((name, value.__code__.co_code, value.__code__.co_consts, value.__code__.co_names))
        if isinstance(value, FunctionType)
        else repr((name, value))
        for name, value in vars(module).items()
        if isinstance(value, (float, FunctionType))
    )


def load(row: Kernel, code: bytes) -> tuple[int, int]:
    """Load an object file and return the addresses of ``scalar_NAME`` and ``array_NAME``. It stays for ever."""
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    keep_for_ever(engine)
    return engine.get_function_address(f"scalar_{row.name}"), engine.get_function_address(f"array_{row.name}")


def keep_for_ever(thing: object) -> None:
    """Keep an object even when the interpreter ends: other threads may still run its code."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


# ---- Numba's threads.

ADDRESS: Any = types.intp
get_threads: Any = types.ExternalFunction("get_num_threads", types.intp())
set_threads: Any = types.ExternalFunction("set_num_threads", types.void(types.intc))


@intrinsic
def take(typing_context: Any, counter: Any) -> Any:
    """Return the number at an address, and add 1 to it: no other thread gets the same."""

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        number = ir.IntType(ADDRESS.bitwidth)
        pointer = builder.inttoptr(values[0], number.as_pointer())
        return builder.atomic_rmw("add", pointer, ir.Constant(number, 1), "monotonic")

    return ADDRESS(ADDRESS), codegen


@intrinsic
def compute(typing_context: Any, task: Any, context: Any, chunk: Any) -> Any:
    """Call the task at an address, as the pool does."""

    def codegen(target: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        pointer = ir.IntType(8).as_pointer()
        task_type = ir.FunctionType(ir.VoidType(), [pointer, ir.IntType(ADDRESS.bitwidth)])
        function = builder.inttoptr(values[0], task_type.as_pointer())
        builder.call(function, [builder.inttoptr(values[1], pointer), values[2]])
        return target.get_dummy_value()

    return types.void(ADDRESS, ADDRESS, ADDRESS), codegen


def run(task: int, context: int, chunks: int, counter: int, threads: int) -> None:
    """Compute all chunks in so many of Numba's threads; each takes the next chunk when it is done with one.

    One such function serves all kernels: it takes 0.7 s to compile, which is three times as long as a kernel.
    Numba's thread count belongs to the calling thread and is as before afterwards.
    """
    previous = get_threads()
    set_threads(threads)
    for _ in prange(threads):
        chunk = take(counter)
        while chunk < chunks:
            compute(task, context, chunk)
            chunk = take(counter)
    set_threads(previous)


def launch() -> tuple[int, int]:
    """Start Numba's threads and return the address of the compiled `run` and the most threads it can use.

    Raises
    ------
    UnusableError
        If the threading layer is workqueue: it aborts the process when two threads use it at a time, and of the host's
        own parallel functions we would not know.
    """
    refused = "the workqueue layer aborts the process when two threads use it at a time"
    if str(numba.config.THREADING_LAYER).lower() == "workqueue":
        raise UnusableError(refused)
    signature = types.void(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS)
    compiled = numba.cfunc(signature, parallel=True, error_model="numpy")(run)
    keep_for_ever(compiled)
    if numba.threading_layer() == "workqueue":
        raise UnusableError(refused)
    return compiled.address, numba.config.NUMBA_NUM_THREADS
