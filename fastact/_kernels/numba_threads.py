"""Numba's threads: one parallel function, which computes the chunks of any kernel.

This module imports Numba: only `backend.py` imports it, when the threads are wanted.
"""

# An intrinsic has the arguments that Numba gives it, used or not.
# ruff: noqa: ARG001
# mypy: disallow-untyped-decorators=False

from typing import Any

import numba
from llvmlite import ir
from numba import prange
from numba.core import types
from numba.extending import intrinsic

from fastact._kernels.backend import UnusableError
from fastact._kernels.numba_backend import keep_for_ever
from fastact._kernels.numba_warnings import filters_untouched

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
    with filters_untouched():
        compiled = numba.cfunc(signature, parallel=True, error_model="numpy")(run)
    keep_for_ever(compiled)
    if numba.threading_layer() == "workqueue":
        raise UnusableError(refused)
    return compiled.address, numba.config.NUMBA_NUM_THREADS
