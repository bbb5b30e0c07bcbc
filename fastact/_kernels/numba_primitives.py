"""The operations of primitives.h, wide.h and philox.h, as LLVM's instructions.

They have the types that the .pxd files say; here is only what is done.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from fastact._kernels import float32, float64
from fastact._kernels.numba_types import Lanes

Emit = Callable[..., Any]
BYTE, HALF_WORD, WORD = ir.IntType(8), ir.IntType(32), ir.IntType(64)
WIDE = ir.DoubleType()


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


def lane_count() -> int:
    """Return how many 64-bit lanes this processor's vectors have."""
    features = llvm.get_host_cpu_features()
    return 8 if features.get("avx512f") else 4 if features.get("avx2") else 2


LANES = Lanes(lane_count())
VECTOR = ir.VectorType(WORD, LANES.count)


def instruction(name: str, real: ir.Type) -> Emit:
    """Return what calls one of LLVM's own functions of numbers of one type."""
    suffix = "f32" if isinstance(real, ir.FloatType) else "f64"

    def emit(builder: ir.IRBuilder, *values: ir.Value) -> ir.Value:
        function_type = ir.FunctionType(real, [real] * len(values))
        return builder.call(
            cgutils.get_or_insert_function(builder.module, function_type, f"llvm.{name}.{suffix}"), values
        )

    return emit


# ---- primitives.h: numbers of the arrays' precision.


def of_reals(precision: Precision) -> dict[str, Emit]:
    integer = ir.IntType(precision.bits)
    sign = ir.Constant(integer, 1 << (precision.bits - 1))
    zero = ir.Constant(integer, 0)
    mantissa = ir.Constant(integer, precision.mantissa)

    def on_bits(operation: Emit) -> Emit:
        def emit(builder: ir.IRBuilder, *values: ir.Value) -> ir.Value:
            bits = [builder.bitcast(value, integer) for value in values]
            return builder.bitcast(operation(builder, *bits), precision.llvm_type)

        return emit

    return {
        "fma": instruction("fma", precision.llvm_type),
        "multiply_add": instruction("fma", precision.llvm_type),
        "absolute": instruction("fabs", precision.llvm_type),
        "copysign": instruction("copysign", precision.llvm_type),
        "power_of_two": on_bits(lambda b, x: b.shl(x, mantissa)),
        "negative_magnitude": on_bits(lambda b, x: b.or_(x, sign)),
        "negative_part": on_bits(lambda b, x: b.select(b.icmp_signed("<", x, zero), x, zero)),
        "positive_part": on_bits(lambda b, x: b.select(b.icmp_signed(">", x, zero), x, zero)),
        "limit_negative": on_bits(lambda b, x, low: b.select(b.icmp_unsigned("<", x, low), x, low)),
        "multiply_sign": on_bits(lambda b, x, y: b.xor(x, b.and_(y, sign))),
    }


# ---- wide.h: binary64 scalars.


def exponent_of(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    biased = builder.and_(builder.lshr(builder.bitcast(x, WORD), WORD(52)), WORD(0x7FF))
    return builder.sitofp(builder.sub(biased, WORD(1023)), WIDE)


def power_of_minus(builder: ir.IRBuilder, k: ir.Value) -> ir.Value:
    return builder.bitcast(builder.shl(builder.sub(WORD(1023), builder.fptosi(k, WORD)), WORD(52)), WIDE)


WIDE_PRIMITIVES = {
    "wide_fma": instruction("fma", WIDE),
    "wide_multiply_add": instruction("fma", WIDE),
    "wide_magnitude": instruction("fabs", WIDE),
    "wide_sqrt": instruction("sqrt", WIDE),
    "exponent_of": exponent_of,
    "power_of_minus": power_of_minus,
}


# ---- philox.h: words, lanes of them, and bits in bytes.


def each(value: int) -> ir.Value:
    return ir.Constant(VECTOR, [value] * LANES.count)


def each_lane(builder: ir.IRBuilder, value: ir.Value, vector: ir.Type = VECTOR) -> ir.Value:
    anything = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(anything, value, HALF_WORD(0))
    return builder.shuffle_vector(first, anything, ir.Constant(ir.VectorType(HALF_WORD, vector.count), None))


def counting_lanes(builder: ir.IRBuilder, first: ir.Value, lane: ir.Value) -> ir.Value:
    return builder.add(each_lane(builder, builder.add(first, lane)), ir.Constant(VECTOR, list(range(LANES.count))))


def multiply_words(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    """Return the 64-bit products of the lower halves.

    As a shuffle, not as an and: LLVM would take that apart, and where it has moved a part out of the loop it no longer
    sees that the upper halves are zero: a multiplication of three times the cost (a dropout of 1.07).
    """
    return builder.mul(lower_halves(builder, a), lower_halves(builder, b))


def lower_halves(builder: ir.IRBuilder, a: ir.Value) -> ir.Value:
    halves = ir.VectorType(HALF_WORD, 2 * LANES.count)
    from_which = [2 * LANES.count if k % 2 else k for k in range(2 * LANES.count)]
    zeros = ir.Constant(halves, None)
    mask = ir.Constant(ir.VectorType(HALF_WORD, 2 * LANES.count), from_which)
    return builder.bitcast(builder.shuffle_vector(builder.bitcast(a, halves), zeros, mask), VECTOR)


def at(builder: ir.IRBuilder, memory: ir.Value, item: ir.Type, offset: ir.Value, target: ir.Type) -> ir.Value:
    """Return the address of an item, as one of another type."""
    place = builder.gep(builder.bitcast(memory, item.as_pointer()), [offset])
    return builder.bitcast(place, target.as_pointer())


def store_pairs(builder: ir.IRBuilder, words: ir.Value, offset: ir.Value, pairs: ir.Value) -> None:
    builder.store(pairs, at(builder, words, HALF_WORD, offset, VECTOR), align=4)


def load_32(builder: ir.IRBuilder, memory: ir.Value, offset: ir.Value) -> ir.Value:
    return builder.load(at(builder, memory, BYTE, offset, HALF_WORD), align=1)


def is_set(builder: ir.IRBuilder, bits: ir.Value, i: ir.Value) -> ir.Value:
    bit = builder.shl(HALF_WORD(1), builder.trunc(i, HALF_WORD))
    return builder.icmp_unsigned("!=", builder.and_(bits, bit), HALF_WORD(0))


def pack_128(
    builder: ir.IRBuilder, words: ir.Value, threshold: ir.Value, memory: ir.Value, offset: ir.Value
) -> None:
    count = 2 * LANES.count
    vector, bits = ir.VectorType(HALF_WORD, count), ir.IntType(count)
    least = each_lane(builder, threshold, vector)
    for k in range(0, 128, count):
        drawn = builder.load(at(builder, words, HALF_WORD, WORD(k), vector), align=4)
        kept = builder.bitcast(builder.icmp_unsigned(">=", drawn, least), bits)
        place = at(builder, memory, BYTE, builder.add(offset, WORD(k // 8)), bits)
        builder.store(kept, place, align=1)


def unit_interval_of(real: ir.Type) -> Emit:
    def emit(builder: ir.IRBuilder, word: ir.Value) -> ir.Value:
        upper = builder.lshr(word, HALF_WORD(8))
        return builder.fmul(builder.sitofp(upper, real), ir.Constant(real, 2.0**-24))

    return emit


WORD_PRIMITIVES: dict[str, Emit] = {
    "each_lane": each_lane,
    "counting_lanes": counting_lanes,
    "multiply_words": multiply_words,
    "upper_word": lambda builder, a: builder.lshr(a, each(32)),
    "to_upper_word": lambda builder, a: builder.shl(a, each(32)),
    "store_pairs": store_pairs,
    "high_word": lambda builder, counter: builder.lshr(counter, WORD(32)),
    "counter_of": lambda builder, element: builder.lshr(element, WORD(2)),
    "load_32": load_32,
    "is_set": is_set,
    "pack_128": pack_128,
}


def primitives(precision: Precision) -> dict[str, Emit]:
    """Return what emits each primitive's instructions, from its arguments' values."""
    real = precision.llvm_type
    return {**of_reals(precision), **WIDE_PRIMITIVES, **WORD_PRIMITIVES, "unit_interval": unit_interval_of(real)}


# ---- Those that are loops themselves: plain functions, compiled as any other.


def pack_at_most_8(words, start, end, threshold, mask, offset):  # type: ignore[no-untyped-def]
    bits = 0
    for k in range(min(8, end - start)):
        bits |= (1 if words[start + k] >= threshold else 0) << k
    mask[offset] = bits


FUNCTIONS = {"pack_at_most_8": pack_at_most_8}
CONSTANTS = {"PHILOX_LANES": LANES.count}
# Types of C's own.
TYPES = {"lanes": LANES}
