"""Write docs/results.md and docs/results.svg from a record: ``python docs/results.py bench/results/results.json``."""

import sys
from pathlib import Path

from fastact._bench import charts, record
from fastact._bench.command import of_copy, ratio_text, shown, size_text, ulp_text
from fastact._bench.peers import GIVEN_MORE, library

HERE = Path(__file__).resolve().parent

HEAD = """\
# Results

Written by `make docs` from `bench/results/results.json`, which `make bench-record` measures. Not to be changed by hand.

{processor}, {processors} processors, {instructions} kernels, {system}; {date}.
{versions}.

Times are of the fastest of many short bursts, all contenders of a line in one process and in turns; all of them are
measured {visits} times over, minutes apart. *Naive* is the NumPy line of the textbooks (`fastact/textbook.py`), *best
library* the fastest of those above that have the function, whether it writes into an array that is there or returns a
new one. *Of copy* is what is read and written a second, by what a copy of the same array reads and writes: 1 is as
fast as memory. ULP is the largest error in units in the last place: of activations over numbers of all magnitudes, of
the others over what was timed; *wrong* is an infinity or NaN where there is a number. Gradients are of dy and x:
torch's backward functions of sigmoid, tanh and logsigmoid, which take what the forward pass computed, are timed with
that pass, and alone in [a table of their own](#torch-from-y).

![Times as fast, and errors](results.svg)

## {shown:,} float32 elements, one thread
"""

COLUMNS = ("function", "ns/element", "naive", "times as fast", "best library", "times as fast", "of copy")
COLUMNS += ("ULP", "naive", "library")
FORWARD = {"activations", "softmax and losses", "normalization", "dropout"}


def text(found):
    """Return docs/results.md."""
    machine, versions = found["machine"], found["versions"]
    parts = [
        HEAD.format(
            processor=machine["processor"],
            processors=machine["processors"],
            instructions=machine["instruction set"],
            system=machine["system"],
            date=found["date"][:10],
            versions=", ".join(f"{name} {version}" for name, version in versions.items()),
            visits=min(entry["visits"] for entry in found["speed"]),
            shown=65536,
        )
    ]
    entries = shown(found)
    ulps = {entry["case"]: entry for entry in found["accuracy"]}
    for family in dict.fromkeys(entry["family"] for entry in entries):
        lines = [line(entry, ulps.get(entry["case"], {})) for entry in entries if entry["family"] == family]
        parts.append("\n".join([f"### {family.capitalize()}", "", head_of(COLUMNS), *lines, ""]))
    return "\n".join([*parts, from_y(found), other_sizes(found), other_types(found)])


def head_of(columns):
    """Return the first two lines of a table."""
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"


def line(entry, ulp):
    ns, elements = entry["ns"], entry["elements"]
    peer = record.best_peer(entry)
    errors = ulp.get("everywhere") or ulp.get("arguments") or {}
    cells = [
        f"`{entry['case']}`",
        f"{ns['fastact'][0] / elements:.3f}",
        f"{ns['naive'][0] / elements:.3f}" if "naive" in ns else "",
        ratio_text(record.speedup(entry, "naive")),
        f"{library(peer)} {ns[peer][0] / elements:.3f}" if peer else "",
        f"{record.speedup(entry, peer):.2f}" if peer else "",
        f"{of_copy(entry):.2f}",
        ulp_text(errors.get("fastact")),
        ulp_text(errors.get("naive")),
        ulp_text(errors.get(library(peer))) if peer else "",
    ]
    return f"| {' | '.join(cells)} |"


def from_y(found):
    """Return a table of the gradients that torch may be given the result of the forward pass for."""
    entries = [entry for entry in shown(found) if any(library(name) in GIVEN_MORE for name in entry["ns"])]
    contenders = {"fastact from x": "fastact", "torch from x": "torch", "torch from y": "torch from y"}
    rows = [(f"`{e['case']}`", *(fastest(e, contender) for contender in contenders.values())) for e in entries]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(["### torch from y", "", "ns/element", "", head_of(("function", *contenders)), *lines, ""])


def fastest(entry, contender):
    """Return the ns an element of a contender, into an array or not."""
    times = [best for name, (best, _) in entry["ns"].items() if library(name) == contender]
    return f"{min(times) / entry['elements']:.3f}" if times else ""


def other_sizes(found):
    """Return a table of nanoseconds an element, for each size and number of threads."""
    chosen = [entry for entry in found["speed"] if entry["dtype"] == "float32"]
    settings = sorted({(entry["threads"], entry["size"]) for entry in chosen})
    heads = [f"{size_text(size)}, {threads} thread{'s' if threads > 1 else ''}" for threads, size in settings]
    rows = []
    for name in dict.fromkeys(entry["case"] for entry in chosen):
        times = {(e["threads"], e["size"]): e for e in chosen if e["case"] == name}
        cells = [cell(times[setting]) if setting in times else "" for setting in settings]
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    title = "## Sizes and threads: float32, ns an element (speed by that of a copy)"
    return "\n".join([title, "", head_of(["function", *heads]), *rows, ""])


def cell(entry):
    return f"{entry['ns']['fastact'][0] / entry['elements']:.3g} ({of_copy(entry):.2f})"


def other_types(found):
    """Return a table of nanoseconds an element for each type."""
    chosen = [entry for entry in found["speed"] if entry["size"] == 65536 and entry["threads"] == 1]
    types = sorted({entry["dtype"] for entry in chosen})
    rows = []
    for name in dict.fromkeys(entry["case"] for entry in chosen):
        times = {entry["dtype"]: entry for entry in chosen if entry["case"] == name}
        if len(times) > 1:
            rows.append(f"| `{name}` | {' | '.join(cell(times[t]) if t in times else '' for t in types)} |")
    title = "## Types: 65,536 elements, one thread, ns an element (speed by that of a copy)"
    return "\n".join([title, "", head_of(["function", *types]), *rows, ""])


def bars(found):
    """Return what the picture shows: functions, not their gradients, the fastest by the naive line first."""
    ulps = {entry["case"]: entry for entry in found["accuracy"]}
    found_bars = []
    for entry in shown(found):
        peer, naive = record.best_peer(entry), record.speedup(entry, "naive")
        if entry["family"] in FORWARD and not entry["case"].startswith("grad.") and "[" not in entry["case"] and peer:
            ulp = ulps.get(entry["case"], {})
            errors = ulp.get("everywhere") or ulp.get("arguments") or {}
            ours, lines = (float(errors[name]) if name in errors else None for name in ("fastact", "naive"))
            of_peer = record.speedup(entry, peer)
            found_bars.append(charts.Bar(entry["case"], naive or 1.0, of_peer, library(peer), ours, lines))
    return sorted(found_bars, key=lambda bar: -bar.naive)


def picture(found):
    machine, versions = found["machine"], found["versions"]
    shown_versions = ("numpy", "torch", "jax", "onnxruntime")
    libraries = [f"{name} {versions[name].split('+')[0]}" for name in shown_versions if name in versions]
    note = f"65,536 float32 elements, one thread, {machine['processor']}; {', '.join(libraries)}; {found['date'][:10]}."
    title = "fastact: speed beside the NumPy line and the fastest library, and accuracy"
    return charts.picture(bars(found), title, note)


if __name__ == "__main__":
    found = record.load(Path(sys.argv[1]))
    (HERE / "results.md").write_text(text(found), encoding="utf-8")
    (HERE / "results.svg").write_text(picture(found), encoding="utf-8")
