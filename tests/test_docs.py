"""The documentation: examples run, sections present, numbers right."""

import doctest
import importlib.util
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import fastact
from cases import CASES, each_case
from fastact._bench import record
from fastact._kernels.registry import OPERATORS

SECTIONS = ("Parameters", "Returns", "Raises", "Notes", "References", "Examples")
RUNTIME = [getattr(fastact, name) for name in fastact.runtime.__all__]


def documented(case):
    """Return the function users call; a variant has none of its own."""
    if case.row.variant_of is not None:
        return case.ufunc
    return getattr(fastact.grad if case.is_gradient else fastact, case.row.name)


DROPOUT = {
    "dropout": fastact.dropout,
    "alpha_dropout": fastact.alpha_dropout,
    "dropout_mask": fastact.dropout_mask,
    "apply_mask": fastact.apply_mask,
    "grad.dropout": fastact.grad.dropout,
}
GATED = [fastact.glu, fastact.grad.glu, fastact.fuse]
FUNCTIONS = [documented(case) for case in CASES] + GATED + list(DROPOUT.values()) + RUNTIME
NAMES = [case.name for case in CASES] + ["glu", "grad.glu", "fuse"] + list(DROPOUT) + fastact.runtime.__all__

each_function = pytest.mark.parametrize("function", FUNCTIONS, ids=NAMES)


@pytest.fixture
def threads_are_put_back():
    before = fastact.get_num_threads()
    yield
    fastact.set_num_threads(before)


@each_function
@pytest.mark.usefixtures("threads_are_put_back")
def test_examples(function):
    examples = doctest.DocTestParser().get_doctest(function.__doc__, {}, function.__name__, None, 0)
    assert examples.examples
    report = []
    doctest.DocTestRunner().run(examples, out=report.append)
    assert not report, "".join(report)


def sections(text):
    return re.findall(r"^ *(\w[\w ]*)\n *-{3,}$", text, re.MULTILINE)


@pytest.mark.parametrize("function", FUNCTIONS[: -len(RUNTIME)], ids=NAMES[: -len(RUNTIME)])
def test_sections(function):
    assert sections(function.__doc__) == list(SECTIONS)
    body = function.__doc__.split("\n\n")
    assert any(line.strip() and line.strip()[0].isupper() and line.strip().endswith(".") for line in body[:2])


@pytest.mark.parametrize("module", [fastact, fastact.grad, fastact.preprocess], ids=lambda module: module.__name__)
def test_signatures_can_be_read(module):
    """Types by their names: what ArrayLike stands for would be five lines of each help()."""
    for name in module.__all__:
        function = getattr(module, name)
        if inspect.isfunction(function):
            assert "_NestedSequence" not in str(inspect.signature(function)), name


@pytest.mark.parametrize("function", DROPOUT.values(), ids=DROPOUT)
def test_dropout_sections(function):
    text = inspect.getdoc(function)
    assert sections(text) == list(SECTIONS)
    for parameter in inspect.signature(function).parameters.values():
        assert re.search(rf"^{parameter.name} : \w", text, re.MULTILINE)
        if isinstance(parameter.default, float):
            assert f"{parameter.name} : float, default {parameter.default}" in text


@pytest.mark.parametrize("function", RUNTIME, ids=fastact.runtime.__all__)
def test_runtime_sections(function):
    found = sections(inspect.getdoc(function))
    assert "Examples" in found
    assert ("Parameters" in found) == bool(inspect.signature(function).parameters)


@each_case
def test_contents(case):
    """The definition, the bounds, and every parameter with its default."""
    text = " ".join(documented(case).__doc__.split())
    definition = f"dy*({case.row.derivative})" if case.is_gradient else case.row.definition
    assert f"``{definition}``" in text
    bound = case.row.ulp_gradient if case.is_gradient else case.row.ulp_float32
    assert f"at most {bound:g} ULP in float32" in text
    for name in case.array_names:
        assert f"{name} : array_like" in text
    for parameter in case.row.parameters:
        default = "" if parameter.default is None else f", default {parameter.default}"
        assert f"{parameter.name} : float or array_like{default} " in text


@each_case
def test_ufuncs_have_docstrings(case):
    assert case.ufunc.__doc__.strip()
    for parameter in case.row.parameters:
        assert parameter.name in case.ufunc.__doc__


def test_modules_have_docstrings():
    for module in (fastact, fastact.grad, fastact.ufuncs, fastact.activations, fastact.runtime):
        assert len(module.__doc__) > 30


@pytest.mark.parametrize("row", OPERATORS, ids=[row.name for row in OPERATORS])
def test_examples_show_both_sides(row):
    """An example with inputs of one sign would hide half of an activation."""
    x = eval(row.example.x)
    assert len(np.unique(x)) == len(x) >= 3
    assert len(row.source) > 10
    assert len(row.grad_special_values) > 5


# ---- Figures: what was measured is in the record, and what is written from the record is up to date.

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/performance.md")
RECORD = record.load(ROOT / "bench" / "results" / "results.json")
UNITS = r"(?:times (?:as|faster|slower|less|more)|x|ns|us|ms|s|seconds|minutes|hours|[KMG]i?B(?:/s)?|ULP|%)"
FIGURE = re.compile(rf"(?<![\w.*-])\d+(?:\.\d+)?\s?{UNITS}(?!\w)")
# Not measured: the bounds that the tests of accuracy check, what test_examples.py and test_apply.py do, and constants
# of tiers.pyx and bench/compare.py.
PROMISED = {"1 ULP", "2 ULP", "2.0 ULP", "97%", "100 MiB", "50 ms", "5%", "15%"}


def unmeasured(text):
    """Return the figures with a unit in a text that are neither recorded nor promised."""
    recorded = {figure["text"] for figure in RECORD["figures"].values()}
    flat = (" ".join(found.split()) for found in FIGURE.findall(text))
    return [figure for figure in flat if figure not in PROMISED and figure.removesuffix(" as") not in recorded]


@pytest.mark.parametrize("name", WRITTEN)
def test_figures_are_recorded(name):
    assert unmeasured((ROOT / name).read_text()) == []


@each_function
def test_figures_of_docstrings_are_recorded(function):
    """The bounds in docstrings are the registry's, and those of the tests of reductions: they are checked there."""
    text = re.sub(r"at most [\d.]+ ULP[^.]*\.", "", inspect.getdoc(function))
    assert [figure for figure in unmeasured(text) if "ULP" not in figure or f"{figure} off" in text] == []


def test_an_unmeasured_figure_is_found():
    text = "It takes 0.31 ns and 40 MiB, is 7 times as fast, 3x or 4 times faster and 2 ULP off."
    assert unmeasured(text) == ["0.31 ns", "40 MiB", "7 times as", "3x", "4 times faster"]


def test_recorded_figures_are_quoted():
    """Measured again, a figure may have changed: its text is then found nowhere."""
    texts = [(ROOT / "README.md").read_text(), *(inspect.getdoc(function) for function in FUNCTIONS)]
    for name, figure in RECORD["figures"].items():
        assert any(re.search(rf"(?<![\w.]){re.escape(figure['text'])}(?!\w)", text) for text in texts), name


def test_record_says_where_with_what_and_when():
    assert RECORD["machine"]["processor"]
    assert {"fastact", "numpy", "python", "torch"} <= set(RECORD["versions"])
    assert RECORD["date"]


@pytest.mark.parametrize(("name", "write"), [("results.md", "text"), ("results.svg", "picture")])
def test_results_are_written_from_the_record(name, write):
    spec = importlib.util.spec_from_file_location("results", ROOT / "docs" / "results.py")
    results = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(results)
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == getattr(results, write)(RECORD), "make docs"


@pytest.mark.parametrize("name", ["README.md", "docs/performance.md"])
@pytest.mark.usefixtures("threads_are_put_back")
def test_examples_of_documents(name):
    backend = fastact.get_backend()
    report = []
    text = (ROOT / name).read_text()
    # A fence is no output.
    examples = doctest.DocTestParser().get_doctest(re.sub(r"^```.*$", "", text, flags=re.MULTILINE), {}, name, None, 0)
    doctest.DocTestRunner().run(examples, out=report.append)
    fastact.set_backend(backend)
    assert examples.examples
    assert not report, "".join(report)
