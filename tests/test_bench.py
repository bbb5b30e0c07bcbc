"""The benchmarks: complete, right about who computes the same, and what is made of a record."""

import importlib.metadata
import importlib.util
import json
import math
import re
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import fastact
import processes
from fastact import textbook
from fastact._bench import accuracy, agreement, cases, command, measure, peers, record, report

BENCH = Path(__file__).resolve().parent.parent / "bench"

each_case = pytest.mark.parametrize("case", cases.CASES, ids=[case.name for case in cases.CASES])


def script(name):
    """Import a script of bench/, which is no package."""
    if str(BENCH) not in sys.path:
        sys.path.insert(0, str(BENCH))
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- Cases.


def test_every_public_function_and_kernel_has_a_case():
    assert cases.without_case() == []
    assert len({case.name for case in cases.CASES}) == len(cases.CASES)


def test_a_function_without_a_case_is_found(monkeypatch):
    monkeypatch.setattr(fastact, "__all__", [*fastact.__all__, "new_function"])
    monkeypatch.setattr(cases, "CASES", [case for case in cases.CASES if case.name != "grad.mish"])
    assert cases.without_case() == ["new_function", "grad.mish"]


@each_case
@pytest.mark.parametrize("size", [1, 1000])
def test_agrees_with_the_textbook(case, size):
    for dtype in case.dtypes:
        prepared = case.prepare(size, dtype)
        agreement.check(prepared, prepared.naive())


@pytest.mark.parametrize("name", ["sigmoid", "grad.elu", "softmax", "layer_norm", "l2_penalty"])
def test_disagreement_is_found(name):
    prepared = next(case for case in cases.CASES if case.name == name).prepare(1000)
    right = prepared.case.function
    wrong = prepared._replace(case=prepared.case._replace(function=lambda *a, **o: right(*a, **o) * np.float32(1.001)))
    with pytest.raises(AssertionError, match=re.escape(name)):
        agreement.check(wrong, prepared.naive())


@pytest.mark.parametrize("name", ["dropout", "rrelu[training]", "dropout_mask"])
def test_another_distribution_is_found(name):
    prepared = next(case for case in cases.CASES if case.name == name).prepare(2**16)
    agreement.check(prepared, prepared.naive())
    with pytest.raises(AssertionError, match="means differ"):
        agreement.check(prepared, lambda: np.zeros_like(prepared.result))


def test_another_function_is_found():
    prepared = next(case for case in cases.CASES if case.name == "tanh").prepare(1000)
    with pytest.raises(AssertionError, match="computes something else"):
        agreement.check(prepared, lambda: prepared.result * np.float32(0.99))


@pytest.mark.parametrize("name", peers.OF_FORWARD_PASS)
def test_torch_computes_gradients_from_x_and_from_y(name):
    """Both are right, and another x makes only that wrong which is given the result of a forward pass."""
    pytest.importorskip("torch")
    prepared = next(case for case in cases.CASES if case.name == name).prepare(1000)
    offers = peers.offers(prepared)
    results = {contender: partial(measure.result, prepared, contender, call) for contender, call in offers.items()}
    from_x, from_y = ["torch", "torch new"], ["torch from y", "torch from y new"]
    for contender in from_x + from_y:
        agreement.check(prepared, results[contender])
    prepared.arguments[1][:] /= -2
    for contender in from_x:
        agreement.check(prepared, results[contender])
    for contender in from_y:
        with pytest.raises(AssertionError, match=name):
            agreement.check(prepared, results[contender])


def test_who_is_given_more_is_no_peer():
    entry = {"ns": {"fastact": [50.0, 50.0], "torch": [90.0, 90.0], "torch from y": [9.0, 9.0], "copy": [5.0, 5.0]}}
    assert record.best_peer(entry) == "torch"
    del entry["ns"]["torch"]
    assert record.best_peer(entry) is None


def test_mistakes_of_the_textbook():
    """Where the naive lines are wrong, and fastact is not."""
    naive = script("naive")
    functions = {case.line.__name__: case.function for case in cases.CASES}
    for mistake in naive.MISTAKES:
        assert naive.is_wrong(mistake), mistake.name
        assert not naive.is_wrong(mistake, functions[mistake.name]), mistake.name


def test_textbook_lines_keep_the_type():
    for case in cases.CASES:
        if case.family in {"activations", "gradients"}:
            prepared = case.prepare(100)
            for part in agreement.results_of(prepared.naive()()):
                assert part.dtype == np.float32, case.name


def test_textbook_knows_nothing_of_fastact():
    assert "fastact" not in re.sub(r'""".*?"""', "", Path(textbook.__file__).read_text(), flags=re.DOTALL)


# ---- Accuracy.


def test_errors():
    x = np.float32([1, 2, 1, 0, 1])
    exact = np.array([1, 2 + 2.0**-22, 1, 2.0**-149, 1])
    y = x.copy()
    y[2], y[4] = np.nan, np.inf
    assert accuracy.errors(y, exact).tolist() == [0, 1, np.inf, 1, np.inf]


def test_accuracy_is_measured_over_all_magnitudes():
    entry = measure.accuracy(next(case for case in cases.CASES if case.name == "softplus"), with_peers=False)
    assert entry["everywhere"]["naive"] == "inf"
    assert 0.5 < entry["everywhere"]["fastact"] <= 1.4
    assert json.loads(json.dumps(entry)) == entry


# ---- The command, its record and its report.


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Run the command on two functions."""
    directory = tmp_path_factory.mktemp("bench")
    paths = directory / "record.json", directory / "report.html"
    options = ["--quick", "--only", "hardshrink", "--json", paths[0], "--html", paths[1]]
    ended = processes.run("-m", "fastact", "bench", *map(str, options))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, record.load(paths[0]), paths[1].read_text(encoding="utf-8"), paths


def test_command(measured):
    text, found, _, _ = measured
    lines = [line.split() for line in text.splitlines() if line.startswith(("hardshrink", "grad.hardshrink"))]
    assert [line[0] for line in lines] == ["hardshrink", "grad.hardshrink"]
    assert "times as fast as the naive lines" in text
    assert {entry["case"] for entry in found["speed"]} == {"hardshrink", "grad.hardshrink"}
    for entry in found["speed"]:
        assert {"fastact", "fastact new", "naive", "copy"} == set(entry["ns"])
        assert all(0 < best <= median for best, median in entry["ns"].values())


def test_record_says_where_and_when(measured):
    _, found, _, _ = measured
    assert set(found["machine"]) == {"processor", "processors", "system", "instruction set"}
    assert {"fastact", "python", "numpy"} <= set(found["versions"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found["date"])


def test_what_is_recorded_is_not_measured_again(measured):
    _, found, _, paths = measured
    before = paths[0].read_text()
    ended = processes.run("-m", "fastact", "bench", "--quick", "--only", "hardshrink", "--json", str(paths[0]))
    assert ended.returncode == 0, ended.stderr
    assert paths[0].read_text() == before
    assert record.load(paths[0]) == found


def test_a_second_visit_keeps_what_was_fastest(measured, tmp_path):
    path = tmp_path / "record.json"
    record.save(measured[1], path)
    options = ["--quick", "--only", "grad.hardshrink", "--visits", "2", "--json", str(path)]
    ended = processes.run("-m", "fastact", "bench", *options)
    assert ended.returncode == 0, ended.stderr
    found = record.load(path)
    assert found["accuracy"] == measured[1]["accuracy"]
    assert [entry["visits"] for entry in found["speed"]] == [1, 1, 1, 2]
    for now, before in zip(found["speed"], measured[1]["speed"], strict=True):
        assert all(now["ns"][name][0] <= before["ns"][name][0] for name in before["ns"])


def test_each_contender_keeps_what_was_fastest():
    entry = {"case": "elu", "size": 1, "dtype": "float32", "threads": 1, "noise": None}
    found = {"speed": [], "accuracy": []}
    record.add(found, entry | {"ns": {"fastact": [3.0, 4.0], "copy": [1.0, 2.0]}})
    record.add(found, entry | {"ns": {"fastact": [2.0, 5.0], "copy": [1.5, 2.0], "torch": [7.0, 7.0]}, "noise": 0.1})
    (merged,) = found["speed"]
    assert merged["ns"] == {"fastact": [2.0, 4.0], "copy": [1.0, 2.0], "torch": [7.0, 7.0]}
    assert (merged["noise"], merged["visits"]) == (0.1, 2)


def test_a_record_of_another_build_is_not_gone_on_with(measured, tmp_path):
    path = tmp_path / "record.json"
    record.save(measured[1] | {"build": "another"}, path)
    before = path.read_text()
    ended = processes.run("-m", "fastact", "bench", "--quick", "--only", "hardshrink", "--json", str(path))
    assert "another build" in ended.stderr
    assert ended.returncode != 0
    assert path.read_text() == before


def test_unfinished_has_a_status(tmp_path):
    path = tmp_path / "record.json"
    options = ["--quick", "--only", "relu", "--json", str(path), "--seconds", "0.1"]
    ended = processes.run("-m", "fastact", "bench", *options)
    assert ended.returncode == command.UNFINISHED, ended.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "nonsense"], "no benchmark with 'nonsense'"),
        (["--html", "/nonexistent/report.html"], "no directory '/nonexistent'"),
        (["--html", "/"], "'/' is a directory"),
        (["--json", "/"], "'/' is a directory"),
        (["--json", "/dev/full"], "'/dev/full' is no regular file"),
        (["--json", __file__], "is no record"),
        (["--seconds", "1"], "--seconds needs --json"),
        (["--visits", "0"], "--visits must be at least 1, got 0"),
        (["--seconds", "nan", "--json", "r.json"], "--seconds must be more than 0, got nan"),
    ],
)
def test_wrong_options(options, message):
    ended = processes.run("-m", "fastact", "bench", "--quick", *options)
    assert ended.returncode != 0
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_report_is_complete_and_small(measured):
    *_, page, _ = measured
    check_page(page)
    assert "hardshrink" in page


def check_page(page):
    """Check that a page loads nothing, runs nothing and is well formed."""
    assert len(page.encode()) < 2**21
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|https?://", page)
    assert page.count("<div") == page.count("</div>")
    assert page.count("<span") == page.count("</span>")
    assert not re.search(r"[>:(]\s*-?(nan|inf)\b", page)


def test_report_of_everything():
    path = BENCH / "results" / "results.json"
    found = record.load(path)
    check_page(report.page(found))
    page = report.page(found)
    for heading in ("Times as fast", "Speed against size", "Everything that was measured"):
        assert heading in page
    assert page.count("<svg") >= 24


def test_empty_record_makes_a_page():
    check_page(report.page(record.new()))


# ---- Base and head.


def test_a_change_beyond_the_noise_is_seen():
    compare = script("compare")
    base = [0.0, 0.01, -0.01, 0.005, -0.002]
    same = compare.Found(base, [value + 0.01 for value in base])
    slower = compare.Found(base, [value + math.log(1.15) for value in base])
    assert not same.is_slower
    assert slower.is_slower
    assert not slower.is_blind
    noisy = compare.Found([0, 0.2, -0.2, 0.1, -0.1], [0.15, 0.05, 0.25, -0.05, 0.35])
    assert noisy.is_blind
    assert not noisy.is_slower
    # What slows both processes of a pair is no noise.
    assert compare.Found(noisy.base, [value + 0.15 for value in noisy.base]).is_slower


def test_only_what_is_slower_each_time_is_called_slower(monkeypatch):
    """One benchmark is 15% slower, one seemed so when it was measured first, one has no base."""
    compare = script("compare")
    slower, once, new = benchmarks = [("slower", 1, "float32"), ("once", 1, "float32"), ("new", 1, "float32")]
    pieces = []

    def piece_of(plan, under):  # noqa: ARG001
        pieces.append(plan["benchmarks"])
        change = {slower: math.log(1.15), once: 0.15 if len(pieces) <= compare.FIRST.pairs else 0.0}
        return [None if b == new else [0.0, change[b] + 0.001 * len(pieces)] for b in plan["benchmarks"]]

    monkeypatch.setattr(compare, "piece_of", piece_of)
    results, found = compare.compare(["base", "head"], benchmarks, [])
    assert found == [slower]
    assert set(results) == {slower, once}
    assert len(pieces) == compare.FIRST.pairs + 2 * compare.SECOND.pairs
    assert pieces[-1] == [slower]


def test_worker_measures_with_the_harness_of_the_checkout():
    try:
        importlib.metadata.version("fastact")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("fastact was built in place: a process elsewhere does not find it")
    pair = script("pair")
    with pair.Process(sys.executable, script("compare").processors()[0]) as process:
        assert process.ask(prepare=["elu", 1000, "float32"]) is True
        function, reference = process.ask(run=3)
        assert len(function) == len(reference) == 3
        assert process.ask(prepare=["no such function", 1000, "float32"]) is False


CALLGRIND = """\
events: Ir
ob=(1) /lib/python/fastact/_kernels/_float32_avx2.cpython-311.so
fn=(1) __pyx_f_7fastact_8_kernels_13_float32_avx2_scalar_elu
12 100
+3 20
cob=(2) /lib/libm.so
cfn=(2) expf
calls=5 0
13 999
* 7
ob=(2)
fn=(2)
1 5000
"""


def test_callgrind_output():
    instructions = script("instructions")
    assert instructions.own_costs(CALLGRIND) == {"_float32_avx2 scalar_elu": 127}


def test_promises():
    """What is slower than a library or a copy is named, unless the noise explains it."""
    promises = script("promises")
    ns = {"fastact": [100.0, 100.0], "fastact new": [100.0, 100.0], "naive": [200.0, 200.0], "torch": [90.0, 90.0]}
    entry = {"case": "elu", "size": command.SHOWN, "dtype": "float32", "threads": 1, "family": "activations"}
    entry |= {"elements": 1, "bytes": 8, "copied": 8, "noise": 0.01, "ns": ns}
    beside_best, beside_named = promises.promises({"speed": [entry]})
    assert (beside_best.found, beside_best.least, beside_best.is_kept) == (0.9, 1.0, False)
    assert (beside_named.found, beside_named.least, beside_named.is_kept) == (0.9, 4.0, False)
    assert next(promises.promises({"speed": [entry | {"noise": 0.06}]})).is_kept
    large = entry | {"size": promises.LARGE, "ns": ns | {"copy": [95.0, 95.0]}}
    (of_copy,) = promises.promises({"speed": [large]})
    assert (of_copy.least, of_copy.is_kept) == (0.9, True)


def test_who_is_fast_by_being_wrong_is_not_promised_to_be_beaten():
    promises = script("promises")
    ns = {
        "fastact": [100.0, 100.0],
        "torch": [110.0, 110.0],
        "onnxruntime": [80.0, 80.0],
        "onnxruntime new": [90.0, 90.0],
    }
    entry = {"case": "sigmoid", "size": command.SHOWN, "dtype": "float32", "threads": 1, "family": "activations"}
    entry |= {"elements": 1, "bytes": 8, "copied": 8, "noise": 0.01, "ns": ns}
    assert [promise.text for promise in promises.promises({"speed": [entry]})] == ["sigmoid: as fast as torch"]
    (beside,) = promises.promises({"speed": [entry | {"case": "tanh"}]})
    assert (beside.text, beside.is_kept) == ("tanh: as fast as onnxruntime", False)


@pytest.mark.parametrize(("library", "name"), script("promises").WRONG)
def test_it_is_wrong(library, name):
    x, exact = script("promises").WRONG[library, name]
    case = next(case for case in cases.CASES if case.name == name)
    prepared = case.prepare(64)
    prepared.arguments[0][:] = x
    np.testing.assert_allclose(prepared.ours()["fastact new"](), exact, rtol=1e-3)
    pytest.importorskip(library, reason="it is measured where it is installed")
    offered = peers.LIBRARIES[library][1](name, prepared.arguments, None)
    assert not np.any(offered())


def test_fastact_is_measured_however_long_it_takes(monkeypatch):
    monkeypatch.setattr(measure, "PATIENCE", 0.0)
    case = next(case for case in cases.CASES if case.name == "relu")
    plan = {"threads": 1, "peers": False, "rounds": 2, "burst": 1e-4, "seconds": 0.01}
    assert set(measure.speed(case, 100, "float32", plan)["ns"]) == {"fastact", "copy"}
