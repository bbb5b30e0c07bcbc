"""An activation costs one formula and one row: the example of CONTRIBUTING.md, in a copy of the package."""

import re
import shutil
import sysconfig
from pathlib import Path

import pytest

import processes

ROOT = Path(__file__).parents[1]
NAME = "squared_relu"
BUILD_LIMIT, TEST_LIMIT = 400, 200
# What of the sources the build and the tests need; not what earlier builds left.
PARTS = ("fastact", "tests", "docs", "setup.py", "pyproject.toml", "README.md", "LICENSE")
LEFT_OUT = shutil.ignore_patterns("*.so", "*.pyi", "__pycache__", "*.pyc")
TESTS = (
    "test_accuracy.py",
    "test_docs.py",
    "test_environment.py",
    "test_gradient.py",
    "test_house.py",
    "test_import.py",
    "test_layouts.py",
    "test_parameters.py",
    "test_protocol.py",
)


@pytest.fixture(scope="module")
def examples():
    """Return the formulas and the row that CONTRIBUTING.md shows."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    chapter = text.partition("## Add an activation")[2].partition("\n## ")[0]
    formulas, row = re.findall(r"```python\n(.*?)```", chapter, re.DOTALL)
    return formulas, row


def copy_with(examples, directory):
    """Return a copy of the sources with the example's formulas and its row added, and nothing else."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, directory / part, ignore=LEFT_OUT)
        else:
            shutil.copy(source, directory / part)
    for stub in (ROOT / "fastact" / "_kernels").glob("*.pyi"):
        shutil.copy(stub, directory / "fastact" / "_kernels")
    formulas, row = examples
    kernels = directory / "fastact" / "_kernels"
    with open(kernels / "formulas.py", "a") as file:
        file.write(f"\n\n{formulas}")
    registry = (kernels / "registry.py").read_text()
    head, end, tail = registry.partition("\n)\n\n\n")
    assert head.count("OPERATORS: tuple") == 1
    (kernels / "registry.py").write_text(f"{head}\n{row.rstrip()}{end}{tail}")
    return directory


@pytest.mark.timeout(BUILD_LIMIT + TEST_LIMIT + 60)
@pytest.mark.slow
def test_the_example_of_contributing(examples, tmp_path):
    """Built for one instruction set, the tests of accuracy, gradient, protocol and the rest take the row as it is."""
    pytest.importorskip("Cython", reason="Cython is not installed: nothing can be built")
    pytest.importorskip("setuptools", reason="setuptools is not installed: nothing can be built")
    if not (ROOT / "setup.py").exists() or shutil.which(sysconfig.get_config_var("CC").split()[0]) is None:
        pytest.skip("there are no sources, or no compiler")
    directory = copy_with(examples, tmp_path)
    setup = (directory / "setup.py").read_text()
    # The kernels of the others would take three times as long and are the same text.
    fewer = re.sub(r'^        "avx(2|512)": \[.*\],\n', "", setup, flags=re.MULTILINE)
    assert len(setup.splitlines()) - len(fewer.splitlines()) == 2
    (directory / "setup.py").write_text(fewer)
    paths = {"PYTHONPATH": str(directory), "FASTACT_CPU": "baseline"}
    built = processes.run(
        "-W", "default", "setup.py", "-q", "build_ext", "--inplace", "-j2", timeout=BUILD_LIMIT, cwd=directory, **paths
    )
    assert built.returncode == 0, built.stderr[-4000:]
    tests = [f"tests/{name}" for name in TESTS]
    ended = processes.run(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", f"{NAME} and not loops_are_vectors", *tests,
        timeout=TEST_LIMIT, cwd=directory, **paths,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-1000:]
    assert int(re.search(r"(\d+) passed", ended.stdout)[1]) > 100
    called = processes.run(
        "-c", f"import fastact; print(fastact.__file__, fastact.{NAME}(3.0), fastact.grad.{NAME}(1.0, 3.0))",
        cwd=directory, **paths,
    )  # fmt: skip
    assert called.stdout.split() == [str(directory / "fastact" / "__init__.py"), "9.0", "6.0"]


def test_the_example_is_no_operator_yet(examples):
    formulas, row = examples
    assert f"def {NAME}(x):" in formulas
    assert f"def grad_{NAME}(dy, x):" in formulas
    assert f'"{NAME}"' in row
    assert f"def {NAME}(" not in (ROOT / "fastact" / "_kernels" / "formulas.py").read_text()
