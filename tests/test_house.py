"""The house rules: one formula, one row; formulas import nothing and stand in one place; loops are vectors."""

import ast
import inspect
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

import fastact._kernels
import floating
import processes
from cases import each_row
from fastact._kernels.registry import OPERATORS, STEPS, kernels

KERNELS = Path(fastact._kernels.__file__).parent
FORMULAS = KERNELS / "formulas.py"
LONG_ENOUGH = 40


def functions_of(path):
    return {node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("kernel", kernels(), ids=[kernel.name for kernel in kernels()])
def test_each_kernel_has_its_formula(kernel):
    formula = functions_of(FORMULAS)[kernel.name]
    names = [argument.arg for argument in formula.args.args]
    assert names == [*kernel.operands, *kernel.parameters]
    assert (kernel.operands[0] == "dy") == kernel.name.startswith("grad_")


@each_row
def test_a_row_is_complete(row):
    assert row.name.isidentifier()
    assert row.summary.endswith(".")
    assert len(set(row.tested_parameters)) == len(row.tested_parameters) >= (3 if row.parameters else 1)
    assert all(len(parameters) == len(row.parameters) for parameters in row.tested_parameters)
    pairs = list(zip(row.parameters, row.tested_parameters[0], strict=True))
    assert all(parameter.default in {None, value} for parameter, value in pairs)
    # Parameters without a default come first, as in any signature.
    assert pairs == sorted(pairs, key=lambda pair: pair[0].default is not None)
    assert 0 <= row.ulp_float32 <= 2
    assert 0 <= row.ulp_float64 <= 2
    assert 0 <= row.ulp_gradient <= 2
    arguments = ["m", "x", *(parameter.name for parameter in row.parameters)]
    for reference in (row.reference, row.grad_reference):
        assert list(inspect.signature(reference).parameters) == arguments


def test_names_are_unique():
    names = [row.name for row in OPERATORS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["formulas", "elementary", "blocks", "philox", "halves", "float32", "float64"])
def test_the_mathematics_imports_nothing(name):
    imports = [node for node in ast.walk(ast.parse((KERNELS / f"{name}.py").read_text())) if is_import(node)]
    assert imports == []


def is_import(node):
    return isinstance(node, (ast.Import, ast.ImportFrom))


def test_formulas_do_not_branch():
    """A conditional expression becomes a select; a statement would keep the loop from being vectors."""
    for path in (FORMULAS, KERNELS / "elementary.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not isinstance(node, (ast.If, ast.For, ast.While, ast.Try)), f"{path.name}, line {node.lineno}"


def test_both_precisions_have_the_same_names():
    narrow, wide = (ast.parse((KERNELS / f"{precision}.py").read_text()).body for precision in ("float32", "float64"))
    assert names_of(narrow) == names_of(wide)


def names_of(body):
    constants = {node.targets[0].id for node in body if isinstance(node, ast.Assign)}
    return constants | {
        (node.name, *(a.arg for a in node.args.args)) for node in body if isinstance(node, ast.FunctionDef)
    }


def test_no_formula_stands_elsewhere():
    """No other file has a helper's name or a longer line of it; no other kernel source an operator's name.

    The demo writes the textbook's lines of the operators beside ours: that is what it compares with.
    """
    formulas = FORMULAS.read_text()
    names = set(functions_of(FORMULAS))
    lines = {line.strip() for line in formulas.splitlines() if len(line.strip()) >= LONG_ENOUGH and " = " in line}
    assert len(lines) > 20
    others = [*KERNELS.parent.rglob("*.py"), *KERNELS.rglob("*.pyx"), *KERNELS.rglob("*.h"), *KERNELS.rglob("*.cpp")]
    for path in others:
        if path == FORMULAS:
            continue
        text = path.read_text()
        defined = set(re.findall(r"^\s*(?:cdef|def)\b[^(\n]*?(\w+)\(", text, re.MULTILINE))
        operators = set() if path.is_relative_to(KERNELS) else {kernel.name for kernel in kernels()}
        assert not defined & (names - operators), path
        assert not {line.strip() for line in text.splitlines()} & lines, path


# ---- The machine code.

VECTOR = {"avx512": "zmm", "avx2": "ymm"}
ARITHMETIC = {
    "float32": r"\bv(?:add|sub|mul|div|min|max|fmadd|fmsub|fnmadd|fnmsub|cmp\w*|and\w*|or|blendv?m?)\w*ps\b",
    "float64": r"\bv(?:add|sub|mul|div|min|max|fmadd|fmsub|fnmadd|fnmsub|cmp\w*|and\w*|or|blendv?m?)\w*pd\b",
}


@cache
def disassembly(module):
    """Return the instructions of each function of an extension module by name, or skip."""
    if not floating.IS_X86_64:
        pytest.skip("the vector registers are named as on x86-64")
    if shutil.which("objdump") is None:
        pytest.skip("objdump is not installed")
    (path,) = KERNELS.glob(f"{module}.*.so")
    text = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", path],
        capture_output=True,
        text=True,
        check=True,
        timeout=processes.PATIENCE,
    ).stdout
    blocks = re.findall(r"^[0-9a-f]+ <([^>]+)>:\n((?:.+\n)*)", text, re.MULTILINE)
    found = {name.split(f"{module}_")[-1]: body for name, body in blocks if f"{module}_" in name}
    if not any(name.startswith("scalar_") for name in found):
        pytest.skip("the extension modules were stripped of their symbols")
    return found


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("instruction_set", VECTOR)
@pytest.mark.parametrize("kernel", kernels(), ids=[kernel.name for kernel in kernels()])
def test_loops_are_vectors(kernel, precision, instruction_set):
    """A loop with a call in it, or without packed arithmetic, would be five to fifty times slower."""
    functions = disassembly(f"_{precision}_{instruction_set}")
    for kind in ("scalar", "array"):
        code = functions[f"{kind}_{kernel.name}"]
        if hands_over(code):
            continue
        assert not re.search(r"\bcall", code)
        packed = [line for line in code.splitlines() if VECTOR[instruction_set] in line]
        assert any(re.search(ARITHMETIC[precision], line) for line in packed) or (packed and is_copy(code))


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("instruction_set", VECTOR)
def test_steps_of_fused_functions_are_vectors(precision, instruction_set):
    functions = disassembly(f"_{precision}_{instruction_set}")
    for row in STEPS:
        code = functions[f"array_{row.name}"]
        assert not re.search(r"\bcall", code), row.name
        assert re.search(rf"%{VECTOR[instruction_set]}", code), row.name


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("instruction_set", VECTOR)
@pytest.mark.parametrize("kernel", ["draw_mask", "dropout", "uniform", "rectify", "apply_mask"])
def test_draws_are_vectors(kernel, precision, instruction_set):
    """Ten rounds of Philox are 20 multiplications for each lane; nothing is called but for the lower halves."""
    code = disassembly(f"_{precision}_{instruction_set}")[kernel]
    assert all("complete" in line for line in code.splitlines() if re.search(r"\bcall", line))
    packed = [line for line in code.splitlines() if VECTOR[instruction_set] in line]
    assert len([line for line in packed if "vpmuludq" in line]) >= (0 if kernel == "apply_mask" else 4 * 18)
    if kernel in ("dropout", "rectify", "apply_mask"):
        assert any(re.search(ARITHMETIC[precision], line) for line in packed)


PREPROCESSING = {
    "float32": ("image_bytes_packed", "image_bytes_row", "image_words_row", "image_floats_row", "quantize_row"),
    "float64": ("quantize_row", "dequantize_row"),
}


@pytest.mark.parametrize("instruction_set", VECTOR)
@pytest.mark.parametrize(
    ("precision", "kernel"), [(p, kernel) for p, names in PREPROCESSING.items() for kernel in names]
)
def test_preprocessing_is_vectors(precision, kernel, instruction_set):
    """Pixels are split by shuffles, quotients are multiplications; nothing is called."""
    code = disassembly(f"_{precision}_{instruction_set}")[kernel]
    assert not re.search(r"\bcall", code)
    packed = [line for line in code.splitlines() if VECTOR[instruction_set] in line]
    assert any(re.search(r"\bv(mul|fmadd|fnmadd|add)\w*p[sd]\b", line) for line in packed)
    if kernel == "image_bytes_packed":
        assert any("vpshufb" in line for line in packed)


def hands_over(code):
    """Return whether a function only hands over to memcpy or memmove."""
    return len(code.splitlines()) < 20 and re.search(r"mem(cpy|move)@plt", code) is not None


def is_copy(code):
    """Return whether a function only hands over to memcpy, or does nothing with floats but to move them."""
    return hands_over(code) or not re.search(r"\bv(?!mov|zeroupper)\w+", code)


def test_few_kernels_are_copies():
    functions = disassembly("_float32_avx2")
    rows = [f"{kind}_{kernel.name}" for kernel in kernels() for kind in ("scalar", "array")]
    assert {name for name in rows if is_copy(functions[name])} == {
        f"{kind}_{name}" for name in ("identity", "grad_identity") for kind in ("scalar", "array")
    }
