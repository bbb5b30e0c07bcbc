"""The operations of primitives.h, wide.h and philox.h, as LLVM's instructions.

They have the types that the .pxd files say; here is only what is done.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from fastact._kernels import float32, float64, numba_loops
from fastact._kernels.numba_types import POINTER, Lanes

Emit = Callable[..., Any]
BIT, BYTE, HALF_WORD, WORD = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
WIDE = ir.DoubleType()
# FASTACT_TILE of primitives.h.
TILE = 128
ROW_LANES = 32


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
# As fastact_fetches_results of primitives.h: LLVM's names of AMD's processors.
FETCHES_RESULTS = not llvm.get_host_cpu_name().startswith(("znver", "bdver", "btver"))
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


def fetch(builder: ir.IRBuilder, memory: ir.Value, offset: ir.Value, is_written: bool, locality: int = 3) -> None:
    """Fetch the cache line at an offset in bytes, into the first-level cache or, of locality 2, the second."""
    function_type = ir.FunctionType(ir.VoidType(), [POINTER, HALF_WORD, HALF_WORD, HALF_WORD])
    prefetch = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
    place = builder.gep(builder.bitcast(memory, POINTER), [offset])
    builder.call(prefetch, [place, HALF_WORD(int(is_written)), HALF_WORD(locality), HALF_WORD(1)])


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

    def low_bits(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
        bits = builder.bitcast(x, integer)
        return bits if precision.bits == 32 else builder.trunc(bits, HALF_WORD)

    def before_line(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
        to_line = builder.and_(builder.neg(builder.ptrtoint(x, WORD)), WORD(63))
        return builder.udiv(to_line, WORD(precision.bits // 8))

    def fetched(count: int, is_written: bool, locality: int = 3) -> Emit:
        """Return what fetches the cache lines of so many elements."""

        def emit(builder: ir.IRBuilder, x: ir.Value) -> None:
            for byte in range(0, count * precision.bits // 8, 64):
                fetch(builder, x, WORD(byte), is_written, locality)

        return emit

    return {
        "low_bits": low_bits,
        "will_write": fetched(TILE if FETCHES_RESULTS else 0, is_written=True),
        "will_read_later": fetched(TILE, is_written=False, locality=2),
        "will_read_lanes": fetched(ROW_LANES, is_written=False),
        "will_read_lanes_later": fetched(ROW_LANES, is_written=False, locality=2),
        "will_read_pair_later": fetched(1, is_written=False, locality=2),
        "will_write_lanes": fetched(ROW_LANES, is_written=True),
        "fma": instruction("fma", precision.llvm_type),
        "multiply_add": instruction("fma", precision.llvm_type),
        "absolute": instruction("fabs", precision.llvm_type),
        "copysign": instruction("copysign", precision.llvm_type),
        "power_of_two": on_bits(lambda b, x: b.shl(x, mantissa)),
        "negative_magnitude": on_bits(lambda b, x: b.or_(x, sign)),
        "negative_part": on_bits(lambda b, x: b.select(b.icmp_signed("<", x, zero), x, zero)),
        "positive_part": on_bits(lambda b, x: b.select(b.icmp_signed(">", x, zero), x, zero)),
        "limit_negative": on_bits(lambda b, x, low: b.select(b.icmp_unsigned("<", x, low), x, low)),
        "limit_positive": on_bits(lambda b, x, high: b.select(b.icmp_signed("<", x, high), x, high)),
        "limit_negative_usual": lambda _builder, x, _limit: x,
        "limit_positive_usual": lambda _builder, x, _limit: x,
        "rare": lambda _builder, condition: condition,
        "rare_usual": lambda _builder, _condition: BIT(0),
        "before_line": before_line,
        "is_same": lambda b, first, second: b.icmp_unsigned("==", first, second),
        "magnitude_bits": lambda b, x: b.or_(b.bitcast(x, integer), sign),
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


def lanes_of(precision: Precision) -> dict[str, Emit]:
    """Return what copies the first n of 32 lanes, and no more."""
    count = 64 * LANES.count // precision.bits
    vector, mask = ir.VectorType(precision.llvm_type, count), ir.VectorType(BIT, count)
    indices = ir.VectorType(HALF_WORD, count)
    suffix = f"v{count}f{precision.bits}.p0"

    def selected(builder: ir.IRBuilder, first: int, n: ir.Value) -> ir.Value:
        """Return which of the lanes from the first on are among the n."""
        last = each_lane(builder, builder.trunc(n, HALF_WORD), indices)
        return builder.icmp_signed("<", ir.Constant(indices, list(range(first, first + count))), last)

    def place(builder: ir.IRBuilder, memory: ir.Value, first: int) -> ir.Value:
        return at(builder, memory, precision.llvm_type, WORD(first), vector)

    def pad_lanes(builder: ir.IRBuilder, target: ir.Value, source: ir.Value, n: ir.Value, rest: ir.Value) -> None:
        load_type = ir.FunctionType(vector, [POINTER, HALF_WORD, mask, vector])
        load = cgutils.get_or_insert_function(builder.module, load_type, f"llvm.masked.load.{suffix}")
        padding = each_lane(builder, rest, vector)
        for first in range(0, 32, count):
            memory = builder.bitcast(place(builder, source, first), POINTER)
            arguments = [memory, HALF_WORD(4), selected(builder, first, n), padding]
            builder.store(builder.call(load, arguments), place(builder, target, first), align=4)

    def copy_lanes(builder: ir.IRBuilder, target: ir.Value, source: ir.Value, n: ir.Value) -> None:
        store_type = ir.FunctionType(ir.VoidType(), [vector, POINTER, HALF_WORD, mask])
        store = cgutils.get_or_insert_function(builder.module, store_type, f"llvm.masked.store.{suffix}")
        for first in range(0, 32, count):
            lanes = builder.load(place(builder, source, first), align=4)
            memory = builder.bitcast(place(builder, target, first), POINTER)
            arguments = [lanes, memory, HALF_WORD(4), selected(builder, first, n)]
            builder.call(store, arguments)

    def stream_lanes(builder: ir.IRBuilder, lines: ir.Value, source: ir.Value, following: ir.Value) -> None:
        """Copy them to whole cache lines, past the caches; fetch as many of those that follow."""
        for first in range(0, 32, count):
            fetch(builder, following, WORD(first * precision.bits // 8), is_written=False)
            lanes = builder.load(place(builder, source, first), align=4)
            store = builder.store(lanes, place(builder, lines, first), align=8 * LANES.count)
            store.set_metadata("nontemporal", builder.module.add_metadata([HALF_WORD(1)]))

    return {"pad_lanes": pad_lanes, "copy_lanes": copy_lanes, "stream_lanes": stream_lanes}


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


def pack(count: int) -> Emit:
    """Return what packs the bits of so many words."""

    def emit(builder: ir.IRBuilder, words: ir.Value, threshold: ir.Value, memory: ir.Value, offset: ir.Value) -> None:
        at_once = 2 * LANES.count
        vector, bits = ir.VectorType(HALF_WORD, at_once), ir.IntType(at_once)
        least = each_lane(builder, threshold, vector)
        for k in range(0, count, at_once):
            drawn = builder.load(at(builder, words, HALF_WORD, WORD(k), vector), align=4)
            kept = builder.bitcast(builder.icmp_unsigned(">=", drawn, least), bits)
            place = at(builder, memory, BYTE, builder.add(offset, WORD(k // 8)), bits)
            builder.store(kept, place, align=1)

    return emit


def unit_interval_of(real: ir.Type) -> Emit:
    def emit(builder: ir.IRBuilder, word: ir.Value) -> ir.Value:
        upper = builder.lshr(word, HALF_WORD(8))
        return builder.fmul(builder.sitofp(upper, real), ir.Constant(real, 2.0**-24))

    return emit


def rarely(builder: ir.IRBuilder, condition: ir.Value) -> ir.Value:
    function_type = ir.FunctionType(BIT, [BIT, BIT])
    expect = cgutils.get_or_insert_function(builder.module, function_type, "llvm.expect.i1")
    return builder.call(expect, [condition, BIT(0)])


def prefetch(
    builder: ir.IRBuilder, of_x: Any, _of_y: Any, x: ir.Value, y: ir.Value, start: ir.Value, n: ir.Value
) -> None:
    """Fetch what will be read and written 4096 bytes further on, 256 elements of each, unless that is beyond n."""
    size = of_x.to.bitwidth // 8
    ahead, length = 4096, 256 * size
    first, end = builder.mul(start, WORD(size)), builder.mul(n, WORD(size))
    with builder.if_then(builder.icmp_signed("<=", builder.add(first, WORD(ahead + length)), end)):
        for byte in range(ahead, ahead + length, 64):
            offset = builder.add(first, WORD(byte))
            fetch(builder, x, offset, is_written=False)
            fetch(builder, y, offset, is_written=True)


WORD_PRIMITIVES: dict[str, Emit] = {
    "each_lane": each_lane,
    "counting_lanes": counting_lanes,
    "multiply_words": multiply_words,
    "upper_word": lambda builder, a: builder.lshr(a, each(32)),
    "to_upper_word": lambda builder, a: builder.shl(a, each(32)),
    "store_pairs": store_pairs,
    "high_word": lambda builder, counter: builder.lshr(counter, WORD(32)),
    "counter_of": lambda builder, element: builder.lshr(element, WORD(3)),
    "load_32": load_32,
    "is_set": is_set,
    "pack_256": pack(256),
    "to_upper_half": lambda builder, a: builder.shl(a, each(16)),
    "rarely": rarely,
    "prefetch": prefetch,
}


def primitives(precision: Precision) -> dict[str, Emit]:
    """Return what emits each primitive's instructions, from its arguments' values."""
    real = precision.llvm_type
    of_precision = {**of_reals(precision), **lanes_of(precision), "unit_interval": unit_interval_of(real)}
    return {**of_precision, **WIDE_PRIMITIVES, **WORD_PRIMITIVES, **CONVERSIONS}


# ---- conversions.h: the 16-bit floats, as bits. LLVM knows them and makes vectors of them.

QUARTER = ir.IntType(16)
NARROW = ir.FloatType()


def float_of_half(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    return builder.fpext(builder.bitcast(x, ir.HalfType()), NARROW)


def half_of_float(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    return builder.bitcast(builder.fptrunc(x, ir.HalfType()), QUARTER)


CONVERSIONS: dict[str, Emit] = {
    "float_of_half": float_of_half,
    "half_of_float": half_of_float,
    "float_of_bits": lambda builder, x: builder.bitcast(x, NARROW),
    "bits_of_float": lambda builder, x: builder.bitcast(x, HALF_WORD),
    "word": lambda _builder, x: x,
}
# Of these the .pxd files say nothing: results and arguments.
OWN_TYPES = {
    "float_of_half": ("float", "uint16_t"),
    "half_of_float": ("uint16_t", "float"),
    "float_of_bits": ("float", "uint32_t"),
    "bits_of_float": ("uint32_t", "float"),
    "word": ("uint32_t", "uint64_t"),
}


# ---- What is no instruction.

FUNCTIONS = {name: value for name, value in vars(numba_loops).items() if isinstance(value, FunctionType)}
CONSTANTS = {"PHILOX_LANES": LANES.count, "TILE": TILE}
# Types of C's own.
TYPES = {"lanes": LANES}
