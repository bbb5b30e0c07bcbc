"""bench/accuracy.py: what it finds, records, goes on with and writes."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import fastact
import processes
import sampling
import ulp
from fastact import activations

SCRIPT = Path(__file__).resolve().parents[1] / "bench" / "accuracy.py"

pytest.importorskip("scipy", reason="bench/accuracy.py compares with SciPy")
pytest.importorskip("numba", reason="bench/accuracy.py finds the largest error in a compiled loop")


# The script's modules are beside it, where Python looks only without this.
BESIDE = {"PYTHONSAFEPATH": ""}


def run_sweep(directory, *arguments):
    files = ("--json", str(directory / "accuracy.json"), "--markdown", str(directory / "accuracy.md"))
    ended = processes.run(str(SCRIPT), *arguments, *files, "--processes", "1", **BESIDE)
    path = directory / "accuracy.json"
    return ended, json.loads(path.read_text())["results"] if path.exists() else None


def test_a_small_sweep(tmp_path):
    ended, results = run_sweep(tmp_path, "tanh", "grad.relu", "--types", "float32", "float16", "--sample", "60000")
    assert ended.returncode == 0, ended.stderr
    assert 0.5 < results["tanh"]["float32"]["worst"]["fastact"]["ulp"] <= 1.5
    assert results["grad.relu"]["float32"]["worst"]["fastact"]["ulp"] == 0
    assert results["tanh"]["float16"]["numbers"] == 2**16
    table = (tmp_path / "accuracy.md").read_text()
    assert "| `tanh` |" in table
    assert "| `grad.relu` |" in table

    # What is recorded is not done again, unless the kernel's results have changed since; too large an error is seen.
    results["tanh"]["float32"]["worst"]["fastact"]["ulp"] = 7.0
    results["grad.relu"]["float32"]["worst"]["fastact"]["ulp"] = 7.0
    results["tanh"]["float32"]["fingerprint"] += 1
    (tmp_path / "accuracy.json").write_text(json.dumps({"results": results}))
    ended, results = run_sweep(tmp_path, "tanh", "grad.relu", "--types", "float32", "--sample", "60000")
    assert ended.returncode == 1
    assert "grad.relu float32" in ended.stdout
    assert "exceeds 0" in ended.stdout
    assert "tanh float32" not in ended.stdout
    assert results["tanh"]["float32"]["worst"]["fastact"]["ulp"] <= 1.5


def test_an_unknown_name(tmp_path):
    ended, results = run_sweep(tmp_path, "tahn")
    assert ended.returncode == 2
    assert "no such operator: tahn" in ended.stderr
    assert results is None


def test_the_documentation_is_what_is_recorded(tmp_path):
    page = SCRIPT.parents[1] / "docs" / "accuracy.md"
    arguments = ("--table", "--json", str(page.with_suffix(".json")), "--markdown", str(tmp_path / "accuracy.md"))
    ended = processes.run(str(SCRIPT), *arguments, **BESIDE)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "accuracy.md").read_text() == page.read_text()


# ---- A wrong kernel is noticed.


@pytest.fixture
def importable(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(SCRIPT.parent)])


@pytest.mark.usefixtures("importable")
def test_the_largest_error_is_that_of_the_metric():
    from sweep.errors import largest

    x = np.concatenate([sampling.specials(np.float32), sampling.dense(np.float32, 4096)])
    x = x[np.isfinite(x)]
    wide = x.astype(np.float64)
    for exact in (wide * (1 + 1e-8), wide * 0.9, wide * 1e-300):
        for term in (np.zeros(len(x)), np.roll(np.abs(wide), 7)):
            expected = ulp.errors(x, exact, True, term)
            found = [largest(x[i : i + 1], exact[i : i + 1], term[i : i + 1]) for i in range(len(x))]
            np.testing.assert_array_equal(found, expected)
            assert largest(x, exact, term) == expected.max()
    for y, value in ((np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (np.inf, np.inf), (-0.0, 0.0), (-1.0, 1.0)):
        assert largest(np.float32([1, y]), np.array([1.0, value]), np.zeros(2)) == np.inf


@pytest.fixture
def sweep_of(importable, monkeypatch):  # noqa: ARG001
    """Return what sweeps an operator's block of one exponent with a kernel that is wrong somewhere."""
    from sweep import float32, subjects

    def wrong_sweep(name, exponent, precisions, is_wrong, factor=1 + 2.0**-20):
        right = activations.ELEMENT_WISE[name]

        def wrong(x):
            y = right(x)
            return np.where(is_wrong(x) & (x.dtype in precisions), y * x.dtype.type(factor), y)

        monkeypatch.setattr(subjects.Subject, "function", staticmethod(wrong))
        float32.check_digits.cache_clear()
        with fastact.threads(1), np.errstate(all="ignore"):
            return float32.sweep_block(name, 127 + exponent, 1)["fastact"]

    yield wrong_sweep
    float32.check_digits.cache_clear()


def at(number, count=1):
    """Return what is true for a number and those that follow it in float32."""
    return lambda x: (x >= number) & (x < number + count * np.spacing(np.float32(number)))


def test_a_right_kernel_passes(sweep_of):
    assert sweep_of("sigmoid", 0, [], at(1.5)).ulp <= 1


@pytest.mark.parametrize("number", [1.0, 1.5, 1.9999999])
def test_one_wrong_number_of_float32_is_found(sweep_of, number):
    worst = sweep_of("sigmoid", 0, [np.float32], at(number))
    assert worst.ulp > 4
    assert worst.x == np.float32(number)


@pytest.mark.parametrize("number", [1.1, 1.5, 1.97])
@pytest.mark.parametrize("precisions", [[np.float64], [np.float32, np.float64]])
def test_61_wrong_numbers_of_both_precisions_are_found(sweep_of, number, precisions):
    with pytest.raises(AssertionError, match="sigmoid in float64, at .* by its definition"):
        sweep_of("sigmoid", 0, precisions, at(number, 61))


def test_one_wrong_number_of_both_precisions_at_a_kink_is_found(sweep_of):
    with pytest.raises(AssertionError, match=r"hardsigmoid\(2.9999.* in float64: .* off by .* ULP"):
        sweep_of("hardsigmoid", 1, [np.float32, np.float64], at(np.nextafter(np.float32(3), np.float32(0))))


def test_a_part_in_2_to_the_50_is_found(sweep_of):
    """Which is far below what the definition in binary64 is compared to."""
    with pytest.raises(AssertionError, match=r"in float64: .* off by .* ULP"):
        sweep_of("sigmoid", 0, [np.float64], lambda x: x > 0, 1 + 2.0**-50)


def test_a_wrong_sign_and_a_wrong_infinity_are_found(sweep_of):
    assert sweep_of("relu", 0, [np.float32], at(1.5), -1.0).ulp == np.inf
    assert sweep_of("relu", 0, [np.float32], at(1.5), np.inf).ulp > 2**22
    assert sweep_of("relu", 0, [np.float32], at(1.5), np.nan).ulp == np.inf
