"""The builds for different processors: the newer two agree to the bit, the oldest keeps the bounds."""

import json

import pytest

import processes
from cases import CASES
from fastact._kernels.cpu import INSTRUCTION_SETS, choose
from fastact._kernels.ufuncs import AVAILABLE

DIGESTS = """
import hashlib, json
import numpy as np
import fastact, sampling
from cases import CASES, FLOATS, HALVES, canonical
from fastact._kernels.ufuncs import CHOSEN

def digest(case, dtype):
    x = sampling.common(dtype, 2**20, 2**20)
    seen = hashlib.sha256()
    for parameters in case.row.tested_parameters:
        for dy in (1.0, -3e-5)[: case.arrays]:
            arrays = (np.full_like(x, dy), x)[-case.arrays :]
            seen.update(canonical(case.public(*arrays, *parameters)))
    part = x[:70_000]
    seen.update(canonical(case.public(*case.same_inputs(part), *(np.full_like(part, p) for p in case.defaults))))
    integers = np.arange(-70_000, 70_000).astype(np.int16)
    seen.update(canonical(case.public(*case.same_inputs(integers))))
    return seen.hexdigest()

digests = {f"{case.name} {dtype}": digest(case, dtype) for case in CASES for dtype in FLOATS + HALVES}
print(json.dumps([CHOSEN, digests]))
"""

BOUNDS = """
import json
import numpy as np
import accuracy, sampling
from cases import ENTRIES
from fastact._kernels.ufuncs import CHOSEN

def broken(row, parameters):
    narrow = sampling.sample(np.float32, parameters, row.kinks_for(parameters), 2**17, 2**17)
    wide = sampling.sample(np.float64, parameters, row.kinks_for(parameters), 300, 300)[::7]
    wide = wide[np.isfinite(wide)]
    errors = {
        "float32": (accuracy.in_blocks(accuracy.forward_float32, row, parameters, narrow), row.ulp_float32),
        "float32 gradient": (
            accuracy.in_blocks(accuracy.gradient_float32, row, parameters, narrow, (1.0, 1e30)), row.ulp_gradient
        ),
        "float64": (accuracy.forward_float64(row, parameters, wide), row.ulp_float64),
        "float64 gradient": (accuracy.gradient_float64(row, parameters, wide[::4]), row.ulp_gradient),
    }
    return [f"{row.name}{parameters} {what}: {worst}" for what, (worst, bound) in errors.items() if worst.ulp > bound]

print(json.dumps([CHOSEN, [line for row, parameters in ENTRIES for line in broken(row, parameters)]]))
"""


def available(instruction_set):
    if instruction_set not in AVAILABLE:
        pytest.skip(f"this processor has no {instruction_set}")
    return instruction_set


def result_with(instruction_set, code):
    """Return what a program prints where FASTACT_CPU names an instruction set."""
    chosen, result = json.loads(processes.output_of(code, timeout=280, FASTACT_CPU=instruction_set))
    assert chosen == instruction_set
    return result


def test_avx2_and_avx512_agree_to_the_bit():
    sets = [available(instruction_set) for instruction_set in ("avx2", "avx512")]
    one, other = (result_with(instruction_set, DIGESTS) for instruction_set in sets)
    assert len(one) == 4 * len(CASES)
    assert len(set(one.values())) > len(CASES)
    assert one == other, [name for name in one if one[name] != other[name]]


def test_bounds_of_the_oldest():
    """The one in use is tested everywhere else; AVX2 and AVX-512 are the same."""
    assert result_with("baseline", BOUNDS) == []


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_page_borders(instruction_set):
    checked = processes.output_of("import guard; guard.main()", timeout=200, FASTACT_CPU=available(instruction_set))
    assert int(checked) == len(CASES) * 4 * 2 * 70


def test_unknown_name():
    ended = processes.run("-c", "import fastact", FASTACT_CPU="pentium")
    assert ended.returncode == 1
    assert "ValueError: FASTACT_CPU must be one of baseline, avx2, avx512, got 'pentium'" in ended.stderr


def test_empty_name_means_the_best():
    code = "from fastact._kernels.ufuncs import AVAILABLE, CHOSEN; assert CHOSEN == AVAILABLE[-1]; print(CHOSEN)"
    assert processes.output_of(code, FASTACT_CPU="") == AVAILABLE[-1]


def test_choice():
    assert choose(("baseline", "avx2"), None)[0] == "avx2"
    assert choose(("baseline",), None)[0] == "baseline"
    assert choose(("baseline", "avx2"), "baseline") == ("baseline", "FASTACT_CPU=baseline")
    with pytest.raises(RuntimeError, match="FASTACT_CPU=avx512: this processor offers only baseline, avx2"):
        choose(("baseline", "avx2"), "avx512")
    with pytest.raises(ValueError, match="FASTACT_CPU must be one of baseline, avx2, avx512, got 'AVX2'"):
        choose(("baseline", "avx2"), "AVX2")
