"""The operations below the formulas are written twice, in C headers and for LLVM: each gives the same bits."""

import ctypes
import shutil
import subprocess
from pathlib import Path
from types import FunctionType

import numpy as np
import pytest

from fastact._kernels import signatures, ufuncs

pytest.importorskip("numba")
pytestmark = [
    pytest.mark.skipif(not ufuncs.FUSED, reason="Numba's kernels are not used without fused multiply-add"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc"),
]

HEADERS = Path(__file__).resolve().parent.parent / "fastact" / "_kernels"
LOOPS = signatures.read()
COUNT = 100_000
TYPES = {
    "wide": np.float64, "int": np.int32, "bint": np.int32, "uint32_t": np.uint32, "uint64_t": np.uint64,
    "Py_ssize_t": np.int64,
}  # fmt: skip


def of_numbers(real):
    """Return the types of the primitives that take and return numbers, the result's first.

    Those of other types are the same for either precision, and looked at once.
    """
    known = TYPES | {"real": real}
    found = {}
    for name, signature in LOOPS.signatures.items():
        c_types = [signature.result, *(argument.c_type for argument in signature.arguments)]
        is_new = "real" in c_types or real is np.float32
        if signature.is_primitive and is_new and all(c_type in known for c_type in c_types):
            found[name] = [known[c_type] for c_type in c_types]
    return found


def arguments_of(name, types):
    """Return numbers of random bits; of some primitives only those that they are for."""
    generator = np.random.default_rng(5)
    arrays = [np.frombuffer(generator.bytes(COUNT * np.dtype(of).itemsize), of).copy() for of in types]
    if name in {"negative_part", "positive_part", "limit_negative", "limit_positive"}:
        arrays = [np.nan_to_num(x, nan=1.0) for x in arrays]
    if name == "limit_negative":
        arrays[1] = -np.abs(arrays[1])
    if name == "limit_positive":
        arrays[1] = np.abs(arrays[1])
    if name == "power_of_minus":
        arrays = [generator.integers(-1022, 1023, COUNT).astype(np.float64)]
    if name in {"is_set", "rarely", "rare", "rare_usual"}:
        arrays[-1] %= 32 if name == "is_set" else 2
    return arrays


def compiled_by_gcc(functions, bits, directory):
    """Return the primitives of the headers as functions of arrays."""
    c_name = {of: np.dtype(of).name + "_t" for of in TYPES.values()} | {np.float32: "float", np.float64: "double"}
    lines = [f'#include "{header}.h"' for header in ("primitives", "wide", "philox")]
    for name, (result, *types) in functions.items():
        operands = ", ".join(f"const {c_name[of]} *x{k}" for k, of in enumerate(types))
        call = ", ".join(f"x{k}[i]" for k in range(len(types)))
        lines.append(f"void each_{name}({c_name[result]} *y, {operands})")
        lines.append(f"{{ for (int i = 0; i < {COUNT}; i++) y[i] = fastact_{name}({call}); }}")
    source = directory / "primitives.c"
    source.write_text("\n".join(lines) + "\n")
    flags = ["-O2", "-march=native", "-ffp-contract=off", "-shared", "-fPIC", f"-DFASTACT_BITS={bits}", f"-I{HEADERS}"]
    subprocess.run(["gcc", *flags, source, "-o", source.with_suffix(".so"), "-lm"], check=True)
    return ctypes.CDLL(source.with_suffix(".so"))


def compiled_by_numba(primitive, count):
    from numba import njit

    def one(y, a):
        for i in range(len(y)):
            y[i] = primitive(a[i])

    def two(y, a, b):
        for i in range(len(y)):
            y[i] = primitive(a[i], b[i])

    def three(y, a, b, c):
        for i in range(len(y)):
            y[i] = primitive(a[i], b[i], c[i])

    return njit((one, two, three)[count - 1])


@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_bits_are_those_of_the_headers(real, tmp_path):
    from fastact._kernels import numba_frontend, numba_primitives

    precision = numba_primitives.PRECISIONS[np.dtype(real).name]
    namespace = numba_frontend.FrontEnd(precision).namespace
    functions = {name: types for name, types in of_numbers(real).items() if name in namespace}
    assert len(functions) > 10
    library = compiled_by_gcc(functions, precision.bits, tmp_path)
    for name, (result, *types) in functions.items():
        arguments = arguments_of(name, types)
        by_gcc, by_numba = np.zeros(COUNT, result), np.zeros(COUNT, result)
        getattr(library, f"each_{name}")(*(array.ctypes.data_as(ctypes.c_void_p) for array in (by_gcc, *arguments)))
        compiled_by_numba(namespace[name], len(types))(by_numba, *arguments)
        # Zeros of either sign come of the parts where gcc has no vectors of such integers.
        bits = [y.view(f"u{y.itemsize}") for y in (by_gcc, by_numba)]
        same = (bits[0] == bits[1]) | (by_gcc == by_numba) | (np.isnan(by_gcc) & np.isnan(by_numba))
        assert same.all(), f"{name}: {by_gcc[~same][0]!r} by gcc, {by_numba[~same][0]!r} by Numba"
        assert np.unique(bits[0]).size > 1 or name == "rare_usual", name


def test_values_of_inline_functions():
    """What their texts in the .pxd say, on numbers that tell one operation from another."""
    given = {"args[k]": ([7, 5], 1), "a + b": (6, 3), "a ^ b": (6, 3), "x + k": (6, 3), "x": (6,), "memory": (6,)}
    expected = {"args[k]": 5, "a + b": 9, "a ^ b": 5, "x + k": 9, "x": 6, "memory": 6}
    found = {text: FunctionType(code, {})(*given[text]) for text, code in signatures.VALUES.items()}
    assert found == expected
