"""Pointers and vector lanes for Numba, which has none of its own that can be added to.

Only the compiler of our kernels uses these types: no function of the host's ever has one.
"""

# Numba calls with the arguments that it gives, used or not.
# ruff: noqa: ARG001, ARG002
# mypy: disallow-untyped-decorators=False

import operator
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.imputils import lower_builtin, lower_cast
from numba.core.typeconv import Conversion
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import models, register_model

POINTER = ir.IntType(8).as_pointer()
WORD = ir.IntType(64)


class Pointer(types.Type):
    """Memory of one type. One that is restricted is apart from what other pointers of its function point to."""

    def __init__(self, to: Any, is_restricted: bool = False) -> None:
        self.to = to
        self.is_restricted = is_restricted
        super().__init__(f"{'restricted ' if is_restricted else ''}pointer to {to}")

    def can_convert_to(self, typing_context: Any, other: Any) -> Any:
        return Conversion.safe if isinstance(other, Pointer) else None


class Lanes(types.Type):
    """As many 64-bit words as a vector register holds."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(f"{count} lanes")


@register_model(Pointer)
class PointerModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, pointer: Pointer) -> None:
        super().__init__(manager, pointer, POINTER)


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, ir.VectorType(WORD, lanes.count))


# ---- What kernels do with pointers: memory[i], memory[i] = x, memory + i.


class Apart:
    """The function whose restricted pointers LLVM is to be told of, by name; see `told_apart`."""

    function = ""


def told_apart(builder: ir.IRBuilder, access: Any, pointer: Pointer) -> None:
    """Tell LLVM that restricted and other pointers of a kernel do not meet. Of those of functions it knows.

    In the body of a kernel they come from `args`. Without this, loops begin with a comparison of addresses, and where
    the output is the input, it sends them to code without vectors.
    """
    if Apart.function:
        module = builder.module
        domain = module.add_metadata(["fastact"])
        scopes = module.add_metadata([module.add_metadata([Apart.function, domain])])
        access.set_metadata("alias.scope" if pointer.is_restricted else "noalias", scopes)


@infer_global(operator.getitem)
class GetItem(AbstractTemplate):  # type: ignore[misc]
    def generic(self, arguments: Any, keywords: Any) -> Any:
        pointer, index = arguments
        if isinstance(pointer, Pointer) and isinstance(index, types.Integer):
            return signature(pointer.to, pointer, types.intp)
        return None


@infer_global(operator.setitem)
class SetItem(AbstractTemplate):  # type: ignore[misc]
    def generic(self, arguments: Any, keywords: Any) -> Any:
        pointer, index, _ = arguments
        if isinstance(pointer, Pointer) and isinstance(index, types.Integer):
            return signature(types.none, pointer, types.intp, pointer.to)
        return None


@infer_global(operator.add)
class Add(AbstractTemplate):  # type: ignore[misc]
    def generic(self, arguments: Any, keywords: Any) -> Any:
        pointer, offset = arguments
        if isinstance(pointer, Pointer) and isinstance(offset, types.Integer):
            return signature(pointer, pointer, types.intp)
        return None


def address(context: Any, builder: ir.IRBuilder, pointer: Pointer, memory: ir.Value, index: ir.Value) -> ir.Value:
    typed = builder.bitcast(memory, context.get_data_type(pointer.to).as_pointer())
    return builder.gep(typed, [index], inbounds=True)


@lower_builtin(operator.getitem, Pointer, types.Integer)
def get_item(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
    pointer = signature.args[0]
    loaded = builder.load(address(context, builder, pointer, *values))
    told_apart(builder, loaded, pointer)
    return context.data_model_manager[pointer.to].from_data(builder, loaded)


@lower_builtin(operator.setitem, Pointer, types.Integer, types.Any)
def set_item(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
    pointer = signature.args[0]
    memory, index, value = values
    stored = context.data_model_manager[pointer.to].as_data(builder, value)
    told_apart(builder, builder.store(stored, address(context, builder, pointer, memory, index)), pointer)
    return context.get_dummy_value()


@lower_builtin(operator.add, Pointer, types.Integer)
def add(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
    return builder.bitcast(address(context, builder, signature.args[0], *values), POINTER)


@lower_cast(Pointer, Pointer)
def cast(context: Any, builder: ir.IRBuilder, source: Any, target: Any, value: ir.Value) -> ir.Value:
    return value


# ---- What they do with lanes.

OPERATIONS = {operator.add: "add", operator.xor: "xor", operator.or_: "or_", operator.and_: "and_"}


class Operation(AbstractTemplate):  # type: ignore[misc]
    def generic(self, arguments: Any, keywords: Any) -> Any:
        if len(arguments) == 2 and isinstance(arguments[0], Lanes) and arguments[0] == arguments[1]:
            return signature(arguments[0], *arguments)
        return None


def lower_operation(function: Any, instruction: str) -> None:
    @lower_builtin(function, Lanes, Lanes)
    def operation(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        return getattr(builder, instruction)(*values)


for function, instruction in OPERATIONS.items():
    infer_global(function)(type(f"Operation_{instruction}", (Operation,), {}))
    lower_operation(function, instruction)
