"""bench/accuracy.py: what it finds, records, goes on with and writes."""

import json
from pathlib import Path

import pytest

import processes

SCRIPT = Path(__file__).resolve().parents[1] / "bench" / "accuracy.py"

pytest.importorskip("scipy", reason="bench/accuracy.py compares with SciPy")


def sweep(directory, *arguments):
    files = ("--json", str(directory / "accuracy.json"), "--markdown", str(directory / "accuracy.md"))
    ended = processes.run(str(SCRIPT), *arguments, *files, "--processes", "1", timeout=250)
    path = directory / "accuracy.json"
    return ended, json.loads(path.read_text())["results"] if path.exists() else None


def test_a_small_sweep(tmp_path):
    ended, results = sweep(tmp_path, "tanh", "grad.relu", "--types", "float32", "float16", "--sample", "60000")
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
    ended, results = sweep(tmp_path, "tanh", "grad.relu", "--types", "float32", "--sample", "60000")
    assert ended.returncode == 1
    assert "grad.relu float32" in ended.stdout
    assert "exceeds 0" in ended.stdout
    assert "tanh float32" not in ended.stdout
    assert results["tanh"]["float32"]["worst"]["fastact"]["ulp"] <= 1.5


def test_an_unknown_name(tmp_path):
    ended, results = sweep(tmp_path, "tahn")
    assert ended.returncode == 2
    assert "no such operator: tahn" in ended.stderr
    assert results is None


def test_the_documentation_is_what_is_recorded(tmp_path):
    page = SCRIPT.parents[1] / "docs" / "accuracy.md"
    arguments = ("--table", "--json", str(page.with_suffix(".json")), "--markdown", str(tmp_path / "accuracy.md"))
    ended = processes.run(str(SCRIPT), *arguments)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "accuracy.md").read_text() == page.read_text()
