"""What importing costs and needs, the command line, the public names."""

import ast
import importlib.metadata
import importlib.resources
import json
import os
import re
import subprocess
import sys

import pytest

import fastact
import processes
from fastact._kernels.registry import OPERATORS, PUBLIC, kernels

MODULES = ("activations", "grad", "normalization", "penalties", "preprocess", "runtime", "ufuncs")
UNWANTED = ("numba", "torch", "scipy", "matplotlib", "pandas", "sklearn", "dask", "ml_dtypes", "multiprocessing")


def test_import_takes_nothing_but_numpy():
    code = "import json, sys, numpy; before = set(sys.modules); import fastact; print(json.dumps([*sys.modules]))"
    modules = set(json.loads(processes.output_of(code)))
    assert "fastact" in modules
    assert modules.isdisjoint(UNWANTED)


def test_import_adds_few_modules():
    code = "import sys, numpy; before = set(sys.modules); import fastact; print(*(set(sys.modules) - before))"
    added = processes.output_of(code).split()
    foreign = [name for name in added if not name.startswith(("fastact", "_cython", "cython"))]
    assert len(foreign) < 20, foreign


def test_import_without_home_in_a_read_only_directory(tmp_path):
    tmp_path.chmod(0o500)
    code = "import os; os.environ.pop('HOME', None); import fastact; print(fastact.sigmoid(0.0))"
    assert processes.output_of(code, cwd=tmp_path, HOME="/nonexistent") == "0.5"
    assert list(tmp_path.iterdir()) == []
    tmp_path.chmod(0o700)


def test_import_after_numpy_has_warned_about_nothing():
    code = "import warnings; warnings.simplefilter('error'); import fastact; print('quiet')"
    assert processes.output_of(code) == "quiet"


def test_import_leaves_subnormals_alone():
    """What is linked with -ffast-math has the processor flush them to 0, for the whole process and its threads."""
    code = """
import threading
import numpy as np, fastact
smallest = np.float32(1e-45)
x = np.full(300_000, smallest)
def check():
    assert smallest > 0 and smallest * np.float32(1) == smallest and np.all(fastact.relu(x) == smallest)
with fastact.threads(3):
    fastact.sigmoid(x)
check()
thread = threading.Thread(target=check); thread.start(); thread.join()
np.finfo(np.float32), np.finfo(np.float64)
print("there")
"""
    assert processes.output_of(code) == "there"


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files")
def test_no_library_of_threads_is_linked():
    """A second OpenMP in a process is what others' crash of."""
    kernels = importlib.resources.files("fastact").joinpath("_kernels")
    modules = [path for path in kernels.iterdir() if path.name.endswith(".so")]
    assert len(modules) > 10
    for path in modules:
        content = path.read_bytes()
        assert not any(name in content for name in (b"libgomp", b"libomp", b"libiomp", b"libtbb", b"GOMP_")), path


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the module of subinterpreters has another name")
def test_subinterpreters_are_refused():
    """NumPy lives in one interpreter; the first goes on."""
    code = """
import _xxsubinterpreters, fastact
other = _xxsubinterpreters.create()
try:
    _xxsubinterpreters.run_string(other, "import fastact")
except Exception as error:
    print("ImportError" in str(error))
print(fastact.sigmoid(0.0))
"""
    assert processes.output_of(code) == "True\n0.5"


def test_info():
    ended = processes.run("-m", "fastact", "info")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"fastact {fastact.__version__}, NumPy ")
    for fact in ("processor", "instruction sets", "in use", "threads", "backend"):
        assert re.search(rf"^{fact} *: \S", ended.stdout, re.MULTILINE)


def test_info_to_a_reader_who_leaves():
    """As of ``info | head``."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        command = [sys.executable, "-m", "fastact", "info"]
        ended = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, env=processes.environment(), check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_info_without_a_standard_output():
    """As of ``info >&-``: Python has none then."""
    ended = processes.run("-c", "import sys; from fastact.__main__ import main; sys.stdout = None; main(['info'])")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_version_on_the_command_line():
    assert processes.run("-m", "fastact", "--version").stdout == f"fastact {fastact.__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("info", "--nonsense")], ids=repr)
def test_wrong_command_line(arguments):
    ended = processes.run("-m", "fastact", *arguments)
    assert ended.returncode == 2
    assert "usage: python -m fastact" in ended.stderr


def test_help_names_the_commands():
    assert "info" in processes.run("-m", "fastact", "--help").stdout


def test_names_exist():
    for module in (fastact, *(getattr(fastact, name) for name in MODULES)):
        assert len(set(module.__all__)) == len(module.__all__)
        for name in module.__all__:
            assert getattr(module, name) is not None


def test_names_are_the_registry():
    assert fastact.activations.__all__ == [*PUBLIC, "glu", "rrelu"]
    assert fastact.grad.__all__[: len(PUBLIC)] == [*PUBLIC]
    assert set(fastact.ufuncs.__all__) == {row.name for row in kernels()}
    assert set(PUBLIC) < set(fastact.__all__)
    assert {"get_num_threads", "set_num_threads", "threads", "show_config", "grad", "ufuncs"} < set(fastact.__all__)
    assert {"dropout", "alpha_dropout", "dropout_mask", "apply_mask"} < set(fastact.__all__)


def test_a_variant_is_a_ufunc_and_nothing_else():
    """Each is chosen by an argument of the function it is a variant of."""
    variants = {row.name: row.variant_of for row in OPERATORS if row.variant_of is not None}
    assert variants == {"gelu_tanh": "gelu"}
    for name, function in variants.items():
        assert function in PUBLIC
        assert {name, f"grad_{name}"} < set(fastact.ufuncs.__all__)
        assert not any(hasattr(module, name) for module in (fastact, fastact.activations, fastact.grad))


def names_in(stub):
    """Return the names that a stub file declares."""
    names = set()
    for node in ast.parse(stub).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign):
            names.add(node.target.id)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname for alias in node.names if alias.asname}
    return names - {"__all__", "np", "ELEMENT_WISE"}


@pytest.mark.parametrize("name", ["activations", "grad", "ufuncs"])
def test_stubs(name):
    stub = importlib.resources.files("fastact").joinpath(f"{name}.pyi").read_text()
    assert names_in(stub) == set(getattr(fastact, name).__all__)


def test_stub_of_the_package():
    stub = importlib.resources.files("fastact").joinpath("__init__.pyi").read_text()
    assert names_in(stub) == {*fastact.__all__, *MODULES, "__version__"}


def test_typed():
    assert importlib.resources.files("fastact").joinpath("py.typed").is_file()


def test_version_of_the_installed_package():
    try:
        version = importlib.metadata.version("fastact")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("fastact was built in place and is not installed: there is no metadata")
    assert version == fastact.__version__
