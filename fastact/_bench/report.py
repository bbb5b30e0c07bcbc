"""The report: one page, complete in one file, made from a record."""

import math
from collections.abc import Iterable
from html import escape
from importlib import resources
from statistics import geometric_mean
from typing import Any

from fastact._bench import charts, record
from fastact._bench.command import SHOWN, of_copy, ratio_text, shown, size_text, ulp_text
from fastact._bench.peers import library
from fastact._bench.record import Record

Entry = dict[str, Any]

TIMES = "\N{MULTIPLICATION SIGN}"


def page(found: Record) -> str:
    """Return the report as HTML."""
    style = resources.files(__package__).joinpath("report.css").read_text()
    sections = [tiles(found), speedups(found), against_size(found), threads(found), complete(found), how(found)]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>fastact: speed and accuracy</title><style>{style}</style>"
        f"<body><h1>fastact: speed and accuracy</h1>{heading(found)}{''.join(sections)}</body></html>\n"
    )


def heading(found: Record) -> str:
    machine, versions = found["machine"], found["versions"]
    return (
        f'<p class="faint">fastact {versions["fastact"]} beside NumPy {versions["numpy"]} on '
        f"{escape(machine['processor'])}, {machine['processors']} processors, {machine['instruction set']} kernels; "
        f"{found['date'][:10]}</p>"
    )


# ---- What the page says in four figures.


def tiles(found: Record) -> str:
    entries = shown(found)
    naive = [ratio for entry in entries if (ratio := record.speedup(entry, "naive"))]
    peer = [ratio for entry in entries if (ratio := record.speedup(entry, record.best_peer(entry)))]
    errors = [e["everywhere"]["fastact"] for e in found["accuracy"] if "fastact" in e.get("everywhere", {})]
    figures = []
    if naive:
        figures.append(
            (f"{geometric_mean(naive):.1f}{TIMES}", f"as fast as the naive NumPy lines: {len(naive)} functions")
        )
    if peer:
        figures.append((f"{geometric_mean(peer):.2f}{TIMES}", f"as fast as the best library, of {len(peer)} functions"))
        slower = sum(ratio < 0.95 for ratio in peer)
        figures.append((f"{slower}", f"of {len(peer)} functions are faster in another library, by 5% or more"))
    if errors:
        figures.append(
            (f"{max(map(float, errors)):.2f} ULP", f"largest error of {len(errors)} activations, any float32")
        )
    cells = (f'<div class="tile"><b>{figure}</b><span>{text}</span></div>' for figure, text in figures)
    return f'<div class="tiles">{"".join(cells)}</div>'


# ---- Speed and accuracy side by side.


def speedups(found: Record) -> str:
    """Return bars against naive and the best library, with the errors beside them, a block for each family."""
    entries = shown(found)
    ulps = {entry["case"]: entry for entry in found["accuracy"]}
    ratios = [r for e in entries for other in ("naive", record.best_peer(e)) if (r := record.speedup(e, other))]
    if not ratios:
        return ""
    widest = math.log(max(*ratios, 10))
    families = dict.fromkeys(entry["family"] for entry in entries)
    blocks = []
    for family in families:
        rows = [row(e, ulps.get(e["case"], {}), widest) for e in entries if e["family"] == family]
        blocks.append(f"<h3>{family.capitalize()}</h3>{HEAD_OF_ROWS}{''.join(rows)}")
    return (
        f"<h2>Times as fast, and how exact</h2><p>{SHOWN:,} float32 elements, in cache, one thread; bars are on a "
        "logarithmic scale and begin at 1: outlined, fastact is slower. Errors are the largest in units "
        "in the last place (ULP): of activations over numbers of all magnitudes, of the others over what was timed; "
        "“wrong” is an infinity or NaN where there is a number.</p>"
        f'<div class="key">{key("ours", "times as fast as the naive NumPy line")}'
        f"{key('theirs', 'times as fast as the best library')}</div>{''.join(blocks)}"
    )


HEAD_OF_ROWS = (
    '<div class="row head"><span></span><span>times as fast</span><span class="num">ns/element</span>'
    '<span class="ulp"><span class="ours num">fastact</span><span>ULP</span><span class="naive">naive</span></span>'
    "</div>"
)


def key(kind: str, text: str) -> str:
    return f'<span><i class="{kind}{" dash" if kind == "copy" else ""}"></i>{text}</span>'


def row(entry: Entry, ulp: Entry, widest: float) -> str:
    peer = record.best_peer(entry)
    bars = bar(record.speedup(entry, "naive"), "ours", "", widest)
    bars += bar(record.speedup(entry, peer), "theirs", library(peer or ""), widest)
    time = entry["ns"]["fastact"][0] / entry["elements"]
    errors = ulp.get("everywhere") or ulp.get("arguments") or {}
    return (
        f'<div class="row"><span class="name">{escape(entry["case"])}</span><span class="bars">{bars}</span>'
        f'<span class="num">{time:.3f} <span class="faint">ns</span></span>{track(errors)}</div>'
    )


def bar(ratio: float | None, kind: str, text: str, widest: float) -> str:
    if ratio is None:
        return ""
    length = 100 * min(1.0, abs(math.log(ratio)) / widest)
    less = " less" if ratio < 1 else ""
    number = f"{ratio:.2f}" if ratio < 2 else ratio_text(ratio)
    return f'<div class="bar {kind}{less}" style="width:{length:.1f}%"><span>{number}{TIMES} {text}</span></div>'


def track(errors: dict[str, Any]) -> str:
    """Return both errors as numbers, and as dots on a logarithmic line from 0.1 to 10**8, the rule in it at 1."""
    if "fastact" not in errors:
        return '<span class="ulp"></span>'
    place = charts.Scale(0.1, 1e8, 3, 97)
    dots = "".join(
        f'<b class="{kind}" style="left:{place(float(errors[name])):.0f}%"></b>'
        for name, kind in (("naive", "naive"), ("fastact", "ours"))
        if name in errors
    )
    return (
        f'<span class="ulp"><span class="ours num">{ulp_text(errors["fastact"])} <i>ULP</i></span>'
        f'<span class="track"><em style="left:{place(1):.0f}%"></em>{dots}</span>'
        f'<span class="naive">{ulp_text(errors.get("naive"))}</span></span>'
    )


# ---- Speed against size.


def against_size(found: Record) -> str:
    """Return a small chart for each function that was measured at several sizes."""
    entries = [e for e in found["speed"] if e["dtype"] == "float32" and e["threads"] == 1]
    names = dict.fromkeys(entry["case"] for entry in entries)
    figures = []
    for name in names:
        sizes = sorted((e for e in entries if e["case"] == name), key=lambda e: e["size"])
        if len(sizes) > 2:
            figures.append(f"<figure><h3>{escape(name)}</h3>{charts.speed_against_size(name, lines(sizes))}</figure>")
    if not figures:
        return ""
    keys = key("ours", "fastact, with out=") + key("naive", "naive") + key("theirs", "best library")
    return (
        "<h2>Speed against size</h2><p>Gigabytes that are read and written a second, against the number of float32 "
        "elements; one thread. The dashed roof is a copy of the same array: what reads its input and writes "
        "a result is not faster than memory. Left, a call costs more than the elements; right, arrays exceed the "
        f'caches.</p><div class="key">{keys}{key("copy", "copy (np.copyto)")}</div>'
        f'<div class="grid-of-charts">{"".join(figures)}</div>'
    )


def lines(sizes: Iterable[Entry]) -> list[charts.Line]:
    """Return the lines of a chart: (size, GB/s), bytes a nanosecond being that."""
    points: dict[str, list[tuple[float, float]]] = {"copy": [], "naive": [], "theirs": [], "ours": []}
    for entry in sizes:
        ns, size = entry["ns"], entry["size"]
        chosen = {"naive": "naive", "theirs": record.best_peer(entry), "ours": "fastact"}
        for kind, name in chosen.items():
            if name in ns:
                points[kind].append((size, entry["bytes"] / ns[name][0]))
        points["copy"].append((size, entry["copied"] / ns["copy"][0]))
    return [charts.Line(kind, values) for kind, values in points.items()]


# ---- Threads, and everything.


def threads(found: Record) -> str:
    """Return how many times as fast more threads are, and how near to a copy with as many."""
    one = {record.key_of(e): e for e in found["speed"]}
    more = [e for e in found["speed"] if e["threads"] > 1 and record.key_of(e)._replace(threads=1) in one]
    if not more:
        return ""
    sizes = sorted({entry["size"] for entry in more})
    heads = "".join(f"<th>{size_text(s)}: times as fast</th><th>of copy</th>" for s in sizes)
    rows = []
    for name in dict.fromkeys(entry["case"] for entry in more):
        cells = []
        for size in sizes:
            entry = next((e for e in more if e["case"] == name and e["size"] == size), None)
            if entry is None:
                cells.append("<td></td><td></td>")
                continue
            single = one[record.key_of(entry)._replace(threads=1)]
            gain = single["ns"]["fastact"][0] / entry["ns"]["fastact"][0]
            cells.append(f"<td>{gain:.2f}</td><td>{of_copy(entry):.2f}</td>")
        rows.append(f"<tr><td>{escape(name)}</td>{''.join(cells)}</tr>")
    return (
        f"<h2>{more[0]['threads']} threads</h2><p>Times as fast as one thread, and bytes a second by those of a copy "
        f'that uses as many threads.</p><details><summary>{len(rows)} functions</summary><div class="scroll"><table>'
        f"<tr><th></th>{heads}</tr>{''.join(rows)}</table></div></details>"
    )


def complete(found: Record) -> str:
    """Return all that was measured, as a table: nanoseconds a call."""
    names = list(dict.fromkeys(name for entry in found["speed"] for name in entry["ns"]))
    head = "".join(f"<th>{name}</th>" for name in ("", "size", "type", "threads", "noise", *names))
    rows = []
    for entry in found["speed"]:
        noise = "" if entry["noise"] is None else f"{entry['noise']:.1%}"
        cells = [escape(entry["case"]), size_text(entry["size"]), entry["dtype"], str(entry["threads"]), noise]
        cells += [f"{entry['ns'][name][0]:,.0f}" if name in entry["ns"] else "" for name in names]
        rows.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return (
        "<h2>Everything that was measured</h2><p>Nanoseconds a call, of the fastest round. “new” returns a new array, "
        f"the others write into one that is there. “torch from y” is a backward function alone, given what "
        "its forward pass computed; “torch” is of both, from x.</p>"
        f"<details><summary>{len(rows)} measurements</summary>"
        f'<div class="scroll"><table><tr>{head}</tr>{"".join(rows)}</table></div></details>'
    )


def how(found: Record) -> str:
    facts = {**found["machine"], **found["versions"], "date": found["date"]}
    entries = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(text))}</dd>" for name, text in facts.items())
    return (
        "<h2>How this was measured</h2><p>All contenders of one line ran in one process, in turns and in alternating "
        "order, many short bursts each, after a call to warm up; the fastest round counts. All libraries were held to "
        "the same number of threads before they were imported. Results were compared before anything was timed, and a "
        "library that computes something else was left out. Noise is what another run of the same length would "
        f"differ by.</p><dl>{entries}</dl>"
    )
