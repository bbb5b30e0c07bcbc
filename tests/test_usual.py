"""Second versions of formulas, for usual arguments: the same bits, and nobody's neighbour makes a difference.

What is computed in place is by the formula as it stands; elsewhere the second version comes first.
"""

import ast
from pathlib import Path

import numpy as np
import pytest

from cases import assert_same_bits, each_dtype
from fastact import grad, ufuncs
from fastact._kernels import float32, float64, usual
from fastact._kernels.registry import GATED, OPERATORS, kernels

FORMULAS = Path(usual.__file__).with_name("formulas.py")
CALLS = {
    node.name: {part.func.id for part in ast.walk(node) if isinstance(part, ast.Call)}
    for node in ast.parse(FORMULAS.read_text()).body
    if isinstance(node, ast.FunctionDef)
}
ASKING = usual.asking(CALLS)
KERNELS = [kernel for kernel in kernels() if kernel.usual and kernel.name in ASKING]
each_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=[kernel.name for kernel in KERNELS])
UNIT = (1.0,)
RARE = (np.nan, np.inf, -np.inf, 1e30, -1e30, 300.0)


def spread(dtype, largest, count, seed):
    """Return numbers of any magnitude up to the largest: of all bits alike, even ones, zeros and the largest itself."""
    generator = np.random.default_rng(seed)
    integer = np.dtype(f"u{np.dtype(dtype).itemsize}")
    bits = generator.integers(0, int(np.asarray(largest, dtype).view(integer)) + 1, count // 2, dtype=integer)
    numbers = np.concatenate([bits.view(dtype), generator.uniform(0, largest, count // 2).astype(dtype)])
    numbers[:4] = 0, largest, np.nextafter(dtype(largest), dtype(0)), np.finfo(dtype).smallest_subnormal
    generator.shuffle(numbers)
    return numbers * generator.choice(np.array([-1, 1], dtype), count)


def operands_of(kernel, dtype, count, seed=0):
    """Return usual operands."""
    factors = [spread(dtype, float32.USUAL_FACTOR, count, (seed, k)) for k in range(kernel.arrays - 1)]
    return [*factors, spread(dtype, kernel.usual, count, (seed, kernel.arrays))]


def apart(kernel, operands):
    return getattr(ufuncs, kernel.name)(*operands, *UNIT[: len(kernel.parameters)])


def in_place(kernel, operands):
    x = operands[-1].copy()
    return getattr(ufuncs, kernel.name)(*operands[:-1], x, *UNIT[: len(kernel.parameters)], out=x)


def test_rows_that_say_what_is_usual_have_formulas_that_ask():
    for row in OPERATORS:
        assert bool(row.usual) <= ({row.name, f"grad_{row.name}"} & ASKING != set()), row.name
        assert not row.usual or len(row.parameters) <= len(UNIT), f"{row.name}: no loop has this many parameters"
    assert len(KERNELS) > len(GATED)
    assert {kernel.usual for kernel in GATED} == {float32.USUAL_GATE} == {float64.USUAL_GATE}
    assert float32.USUAL_FACTOR == float64.USUAL_FACTOR


@each_dtype
@each_kernel
def test_both_versions_have_the_same_bits(kernel, dtype):
    for seed in range(3):
        operands = operands_of(kernel, dtype.type, 2**18, seed)
        assert_same_bits(apart(kernel, operands), in_place(kernel, operands))


@each_dtype
@each_kernel
@pytest.mark.parametrize("count", [1, 7, 127, 128, 129, 1000, 5000, 20000])
def test_what_is_rare_changes_no_other_element(kernel, dtype, count):
    usual_operands = [operand[:count] for operand in operands_of(kernel, dtype.type, 20000)]
    expected = apart(kernel, usual_operands)
    generator = np.random.default_rng(count)
    for which in range(kernel.arrays):
        places = np.unique(generator.integers(0, count, 1 + count // 3000))
        operands = [operand.copy() for operand in usual_operands]
        operands[which][places] = generator.choice(np.array(RARE, dtype), len(places))
        computed = apart(kernel, operands)
        assert_same_bits(computed, in_place(kernel, operands))
        kept = np.setdiff1d(np.arange(count), places)
        assert_same_bits(computed[kept], expected[kept])


@each_dtype
@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel.parameters], ids=lambda kernel: kernel.name)
def test_a_parameter_of_1_and_any_other(kernel, dtype):
    """The version without the parameter gives the bits of the one with it, which an array of parameters takes."""
    operands = operands_of(kernel, dtype.type, 2**16)
    function = getattr(ufuncs, kernel.name)
    assert_same_bits(function(*operands, UNIT[0]), function(*operands, np.ones_like(operands[0])))
    for parameter in (0.5, 3.0):
        array = np.full_like(operands[0], parameter)
        assert_same_bits(function(*operands, parameter), function(*operands, array))


@each_dtype
def test_gradients_of_glu(dtype):
    """Both outputs of one kernel: where something in every span is rare, all is by the formulas as they stand."""
    dy, a, b = operands_of(GATED[1], dtype.type, 2**16)
    is_rare = np.arange(len(b)) % 64 == 0
    usual_gradients = grad.glu(dy, np.concatenate([a, b]))
    gradients = grad.glu(dy, np.concatenate([a, np.where(is_rare, dtype.type(np.nan), b)]))
    kept = np.tile(~is_rare, 2)
    assert_same_bits(usual_gradients[kept], gradients[kept])
    assert_same_bits(usual_gradients[len(b) :], in_place(GATED[1], [dy, a, b]))
    assert np.isnan(gradients[~kept]).all()
