"""Compiles formulas and loops with Numba and LLVM, to object code for this very processor.

The IR from Numba's front end of what a kernel needs is linked into one module, optimized as a whole and emitted as an
object file with the ABI of the Cython kernels, ``void scalar_NAME(char** args, intp n)``. Going round Numba's own back
end buys three things: a formula is optimized once in each kernel rather than also by itself (a kernel takes 0.3 s
instead of 1.6 s), vectors are as wide as the processor's, and the object file is all there is to cache: loading one
takes 2 ms.

The kernels take 0.6 to 1.05 times as long as gcc's, those of rows and columns 0.75 to 1.05, but for dropout, gelu and
the sums of exponentials in float64 (up to 1.12: the order of instructions, of which both have about as many) and, only
where all arrays are in the first-level cache, grad_relu6, leaky_relu and its gradient (1.1 to 1.2: a blend, where gcc
computes under a mask).

This module imports Numba: only `backend.py` imports it, when there is something to compile.
"""

# mypy: disallow-untyped-decorators=False

import ctypes
import re
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
from numba.core.compiler_lock import global_compiler_lock

from fastact._kernels import (
    float32,
    float64,
    formulas,
    numba_frontend,
    numba_loops,
    numba_primitives,
    numba_types,
    registry,
    signatures,
    usual,
)
from fastact._kernels.numba_frontend import LOOPS, Compiled, FrontEnd
from fastact._kernels.numba_primitives import PRECISIONS, Precision
from fastact._kernels.numba_warnings import filters_untouched
from fastact._kernels.registry import Kernel

VECTOR_BITS = 512
# Numbers of metadata that no module reaches, and what they say of a loop with so many operations at least.
WIDE_LOOP, INTERLEAVED_LOOP = 100_000, 100_002
ADVICE = {
    WIDE_LOOP: f'vectorize.width", i32 {VECTOR_BITS // 32}',
    INTERLEAVED_LOOP: f'interleave.count", i32 {numba_frontend.INTERLEAVE}',
}
LEAST_WORK = 4


def entry_point(
    symbol: str, loop: Compiled, precision: Precision, versions: int, arrays: int, scalars: int, limit: list[float]
) -> str:
    """Return the IR of ``void symbol(char** args, intp n)``, which unpacks the operands and calls the loop."""
    real = str(precision.llvm_type)
    lines, operands = [], ["ptr null"] * versions
    for k in range(arrays + scalars + 1):
        if k == arrays + scalars:
            operands += [f"{real} {number:e}" for number in limit]
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
    """Optimize a module with the loop of a formula."""
    make_selects(module, machine)
    run_passes(module, machine, vectorizes=True, unrolls=True)


def optimize_blocks(module: Any, machine: Any) -> Any:
    """Return an optimized module of loops over lanes and columns.

    Their short loops must be vectors before they are unrolled: LLVM would do it the other way round.
    """
    make_selects(module, machine)
    run_passes(module, machine, vectorizes=False, unrolls=False)
    module = llvm.parse_assembly(advised(str(module)))
    run_passes(module, machine, vectorizes=True, unrolls=False)
    run_passes(module, machine, vectorizes=True, unrolls=True)
    return module


def make_selects(module: Any, machine: Any) -> None:
    """Make selects of branches before anything can be threaded through them."""
    passes = llvm.create_new_function_pass_manager()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    for function in module.functions:
        if not function.is_declaration:
            passes.run(function, builder)


def run_passes(module: Any, machine: Any, vectorizes: bool, unrolls: bool) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = vectorizes
    options.slp_vectorization = vectorizes
    options.loop_interleaving = True
    options.loop_unrolling = unrolls
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)


def advised(module: str) -> str:
    """Return the IR with advice for its loops: whole registers of float32, or four vectors side by side.

    Where a loop computes in float32 and sums in float64, LLVM would take as many elements as there are float64 in a
    register: half vectors of float32. Others it takes one vector at a time, up to 12% slower than four. With the advice
    it would also reorder sums: only loops get it where no number goes from one turn to the next.
    """
    lines = module.splitlines()
    name, first = "", 0
    for number, line in enumerate(lines):
        label = re.match(r"([\w.]+):", line)
        if label:
            name, first = label[1], number
        elif name and line.startswith("  br i1 ") and f"label %{name}" in line:
            body = "\n".join(lines[first:number])
            types = re.findall(r"= (?:f(?:add|sub|mul|div)|.*call) (float|double)\b", body)
            if len(types) >= LEAST_WORK and not re.search(r"= phi (?:float|double)", body):
                is_mixed = types.count("float") >= LEAST_WORK and " double " in body
                advice = WIDE_LOOP if is_mixed else INTERLEAVED_LOOP
                lines[number] = re.sub(r", !llvm.loop .*", "", line) + f", !llvm.loop !{advice}"
    for advice, text in ADVICE.items():
        lines.append(f"!{advice} = distinct !{{!{advice}, !{advice + 1}}}")
        lines.append(f'!{advice + 1} = !{{!"llvm.loop.{text}}}')
    return "\n".join([*lines, ""])


OF_THE_COMPILER = (numba_frontend, numba_loops, numba_primitives, numba_types, signatures, usual)
SOURCES = [
    Path(__file__).read_text(encoding="utf-8"),
    *(Path(str(m.__file__)).read_text("utf-8") for m in OF_THE_COMPILER),
]
ROWS = {row.name: row for row in registry.kernels()}
FRONT_ENDS: dict[str, FrontEnd] = {}


def element_wise_parts(front: FrontEnd, row: Kernel) -> dict[str, str]:
    """Return the IR of the kernels of a row, with scalar parameters and with every operand an array."""
    parts: dict[str, str] = {}
    for symbol, scalars in zip(entries(row.name), (len(row.parameters), 0), strict=True):
        arrays = row.arrays + len(row.parameters) - scalars
        if returns_first(getattr(formulas, row.name)):
            parts[symbol] = copy_of_first(symbol, front.precision, arrays + scalars)
        else:
            is_usual = row.usual and row.name in front.asking and scalars == len(row.parameters)
            versions = usual.versions(row.name, scalars) if is_usual else [row.name]
            loop = front.loop(f"{'mostly' if is_usual else 'each'}_{arrays}_{scalars}", *versions)
            limit = [row.usual] if is_usual else []
            parts.update(front.needed(loop))
            parts[symbol] = entry_point(
                symbol, front.compiled[loop], front.precision, len(versions), arrays, scalars, limit
            )
    return parts


def block_parts(front: FrontEnd, name: str) -> dict[str, str]:
    """Return the IR of a kernel that is not element by element: ``void block_NAME(char** args, intp* lengths)``."""
    (symbol,) = entries(name)
    mangled = front.compiled[front.kernel(name)].descriptor.mangled_name
    entry = (
        f"declare i32 @{mangled}(ptr, ptr, ptr, ptr)\n"
        f'define void @{symbol}(ptr %args, ptr %lengths) nounwind "prefer-vector-width"="{VECTOR_BITS}" {{\n'
        f"  %result = alloca ptr\n  %error = alloca ptr\n"
        f"  call i32 @{mangled}(ptr %result, ptr %error, ptr %args, ptr %lengths)\n  ret void\n}}\n"
    )
    return {**front.needed(name), symbol: entry}


def entries(name: str) -> tuple[str, ...]:
    """Return the names of what is called from outside."""
    return (f"scalar_{name}", f"array_{name}") if name in ROWS else (f"block_{name}",)


def kernel_module(name: str, precision: str, machine: Any) -> Any:
    """Return the optimized LLVM module of a kernel."""
    front = FRONT_ENDS.setdefault(precision, FrontEnd(PRECISIONS[precision]))
    parts = element_wise_parts(front, ROWS[name]) if name in ROWS else block_parts(front, name)
    module = link(list(parts.values()), entries(name))
    if name not in ROWS:
        return optimize_blocks(module, machine)
    optimize(module, machine)
    return module


@global_compiler_lock
def compile_kernel(name: str, precision: str) -> bytes:
    """Return the object file of a kernel for one precision."""
    machine = target_machine()
    with filters_untouched():
        module = kernel_module(name, precision, machine)
    imports = [function.name for function in module.functions if is_imported(function)]
    if imports:
        # A loop that calls the C library would not have gone to vectors either.
        raise RuntimeError(f"{name}: compiled code calls {', '.join(imports)}")
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


def facts(name: str) -> list[str]:
    """Return all that compiled code depends on.

    Of the formulas and loops it is the functions in memory, not their files: a file that was edited since it was
    imported would otherwise keep old code under the new text's name.
    """
    import fastact

    texts = [text_of(vars(module)) for module in (formulas, float32, float64)]
    loops = [text_of(LOOPS.code), text_of(LOOPS.words), *LOOPS.texts]
    return [fastact.__version__, processor(), *versions(), *SOURCES, repr(ROWS.get(name, name)), *texts, *loops]


def text_of(names: Mapping[str, Any]) -> str:
    """Return what Numba reads of a module: constants, and the functions' code."""
    values = {name: getattr(value, "__code__", value) for name, value in names.items()}
    return "\n".join(
        repr((name, value.co_code, value.co_consts, value.co_names))
        if isinstance(value, CodeType)
        else repr((name, value))
        for name, value in values.items()
        if isinstance(value, (int, float, CodeType))
    )


def load(name: str, code: bytes) -> tuple[int, ...]:
    """Load an object file and return the addresses of its entries. It stays for ever."""
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    keep_for_ever(engine)
    return tuple(engine.get_function_address(entry) for entry in entries(name))


def keep_for_ever(thing: object) -> None:
    """Keep an object even when the interpreter ends: other threads may still run its code."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
