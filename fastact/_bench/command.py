"""``python -m fastact bench``: measure, print a table, write a record and a report."""

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any, NamedTuple

from fastact._bench import record
from fastact._bench.cases import CASES, SIZES, Case
from fastact._bench.peers import library
from fastact._bench.record import Key, Record

# What is in cache and in everybody's reach: the size that the tables show.
SHOWN = 2**16
# Told by the exit status: there is more to measure, call again.
UNFINISHED = 3

Work = tuple[str, int | None, str]


class Effort(NamedTuple):
    """How much is measured.

    Attributes
    ----------
    sizes, other_sizes : tuple of int
        Of activations, whose speed is shown against size, and of the other functions.
    types : tuple of str
        The types besides float32, measured at one size.
    threads : tuple of int
        The numbers of threads.
    rounds, burst, seconds
        As of `fastact.testing.interleave`.
    """

    sizes: tuple[int, ...]
    other_sizes: tuple[int, ...]
    types: tuple[str, ...]
    threads: tuple[int, ...]
    rounds: int
    burst: float
    seconds: float


FULL = Effort(SIZES, (2**16, 2**20), ("float64", "float16"), (1, 2), rounds=30, burst=0.0005, seconds=0.6)
QUICK = Effort((1000, SHOWN, 2**20), (SHOWN,), (), (1,), rounds=8, burst=0.0003, seconds=0.1)


def run(arguments: argparse.Namespace) -> None:
    """Measure what is asked for and not yet recorded, and show it."""
    check_options(arguments)
    effort = QUICK if arguments.quick else FULL
    found = begun(arguments.json) if arguments.json and arguments.json.exists() else record.new()
    if not record.is_of_this(found):
        raise SystemExit(f"--json: {str(arguments.json)!r} is of another build, machine or version: name another file")
    chosen = [case for case in CASES if arguments.only in case.name]
    if not chosen:
        raise SystemExit(f"--only: there is no benchmark with {arguments.only!r} in its name")
    print(heading(found))
    finished = measure(found, chosen, effort, arguments)
    print(table(found))
    if arguments.html:
        from fastact._bench.report import page

        arguments.html.write_text(page(found), encoding="utf-8")
        print(f"Report: {arguments.html}")
    if not finished:
        print(f"Not all is measured yet: {arguments.json} has what is, and the same command goes on.")
        sys.exit(UNFINISHED)


def begun(path: Path) -> Record:
    """Return a record to go on with."""
    try:
        found = record.load(path)
    except ValueError as error:
        raise SystemExit(f"--json: {str(path)!r} is no record: {error}") from None
    if not isinstance(found, dict):
        raise SystemExit(f"--json: {str(path)!r} is no record")
    return found


def save(found: Record, path: Path) -> None:
    try:
        record.save(found, path)
    except OSError as error:
        raise SystemExit(f"--json: {str(path)!r} cannot be written: {error.strerror}") from None


def check_options(arguments: argparse.Namespace) -> None:
    if arguments.visits < 1:
        raise SystemExit(f"--visits must be at least 1, got {arguments.visits}")
    if not arguments.seconds > 0:  # nor is NaN
        raise SystemExit(f"--seconds must be more than 0, got {arguments.seconds:g}")
    for option in ("json", "html"):
        path = getattr(arguments, option)
        if path is not None and not path.parent.is_dir():
            raise SystemExit(f"--{option}: there is no directory {str(path.parent)!r} to write {path.name!r} to")
        if path is not None and path.is_dir():
            raise SystemExit(f"--{option}: {str(path)!r} is a directory")
    # It is read before it is written, and a device may have no end.
    if arguments.json is not None and arguments.json.exists() and not arguments.json.is_file():
        raise SystemExit(f"--json: {str(arguments.json)!r} is no regular file")
    if math.isfinite(arguments.seconds) and arguments.json is None:
        raise SystemExit("--seconds needs --json: what is measured has to be kept somewhere")


def heading(found: Record) -> str:
    machine, versions = found["machine"], dict(found["versions"])
    return (
        f"fastact {versions.pop('fastact')} ({machine['instruction set']} kernels) on {machine['processor']}, "
        f"{machine['processors']} processors\n" + ", ".join(f"{name} {text}" for name, text in versions.items())
    )


# ---- Measuring.


def plan(chosen: Sequence[Case], effort: Effort, threads: int) -> list[Work]:
    """Return what is to be measured with so many threads: (case, size, type), the size None for the accuracy."""
    work: list[Work] = []
    for case in chosen:
        sizes = effort.sizes if case.family == "activations" else effort.other_sizes
        if threads > 1:
            work += [(case.name, size, "float32") for size in sizes if size > SHOWN]
            continue
        work.append((case.name, None, "float32"))
        work += [(case.name, size, "float32") for size in sizes]
        work += [(case.name, SHOWN, name) for name in effort.types if name in case.dtypes]
    return work


def measure(found: Record, chosen: Sequence[Case], effort: Effort, arguments: argparse.Namespace) -> bool:
    """Measure what the record lacks, as far as the time goes; return whether it is complete."""
    missing = lacking(found, chosen, effort, arguments.visits)
    end = time.monotonic() + arguments.seconds
    left = sum(len(work) for _, work in missing)
    progress = bar(left)
    for threads, work in missing:
        for entry in results(work, threads, effort, arguments, end):
            record.add(found, entry)
            progress.set_postfix_str(entry["case"], refresh=False)
            progress.update()
            left -= 1
            if arguments.json:
                save(found, arguments.json)
    progress.close()
    return left == 0


def lacking(found: Record, chosen: Sequence[Case], effort: Effort, visits: int) -> list[tuple[int, list[Work]]]:
    """Return what is left to measure with which number of threads: everything once, then everything once more."""
    available = found["machine"]["processors"]
    visited: dict[Key, int] = {record.key_of(entry): entry["visits"] for entry in found["speed"]}
    visited |= {Key(entry["case"], None, "float32", 1): 1 for entry in found["accuracy"]}

    def is_left(work: Work, threads: int, visit: int) -> bool:
        if work[1] is None and visit > 1:  # an error is the same each time
            return False
        return visited.get(Key(*work, threads), 0) < visit

    return [
        (threads, [work for work in plan(chosen, effort, threads) if is_left(work, threads, visit)])
        for visit in range(1, visits + 1)
        for threads in effort.threads
        if threads <= available
    ]


def results(
    work: Sequence[Work], threads: int, effort: Effort, arguments: argparse.Namespace, end: float
) -> Iterator[dict[str, Any]]:
    """Yield the measurements of a process of its own, until the time is up."""
    if not work or time.monotonic() > end:
        return
    order = {
        "work": work,
        "threads": threads,
        "backend": arguments.backend,
        "peers": arguments.peers,
        "rounds": effort.rounds,
        "burst": effort.burst,
        "seconds": effort.seconds,
    }
    command = [sys.executable, "-m", "fastact._bench.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.close()
        for line in process.stdout:
            yield json.loads(line)
            if time.monotonic() > end:
                process.terminate()
                return
    if process.returncode:
        raise SystemExit(f"bench: the process that measures ended with status {process.returncode}")


class NoBar:
    """What stands for the bar where tqdm is not installed."""

    def update(self) -> None:
        pass

    def set_postfix_str(self, text: str, refresh: bool) -> None:
        pass

    def close(self) -> None:
        pass


def bar(total: int) -> Any:
    """Return a progress bar, which shows itself on terminals only."""
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return NoBar()
    return tqdm(total=total, unit="measurement", disable=None, leave=False)


# ---- The table.


def table(found: Record) -> str:
    """Return the speeds of one size in one thread as text, a line for each function."""
    with_peers = any(record.best_peer(entry) for entry in found["speed"])
    ulps = {entry["case"]: entry for entry in found["accuracy"]}
    head = f"{'':<38}{'ns':>8}{'ns':>9}{'times as fast as':>20}{'of copy':>9}{'ULP':>8}{'ULP':>9}"
    names = f"{'function, 65,536 float32':<38}{'fastact':>8}{'naive':>9}{'naive':>8}{'best peer':>12}"
    lines = [head, f"{names}{'speed':>9}{'fastact':>8}{'naive':>9}", "-" * 103]
    lines += [line(entry, ulps.get(entry["case"], {})) for entry in shown(found)]
    return "\n".join(["", *lines, "", *summary(found, with_peers)])


def shown(found: Record) -> list[dict[str, Any]]:
    """Return the measurements that the tables are of, in the order of the cases."""
    order = {case.name: place for place, case in enumerate(CASES)}
    entries = [
        entry for entry in found["speed"] if (entry["size"], entry["dtype"], entry["threads"]) == (SHOWN, "float32", 1)
    ]
    return sorted(entries, key=lambda entry: order.get(entry["case"], len(order)))


def line(entry: dict[str, Any], ulp: dict[str, Any]) -> str:
    ns, elements = entry["ns"], entry["elements"]
    peer = record.best_peer(entry)
    errors = ulp.get("everywhere", ulp.get("arguments", {}))
    cells = [
        f"{ns['fastact'][0] / elements:>8.3f}",
        f"{ns['naive'][0] / elements:>9.3f}" if "naive" in ns else f"{'':>9}",
        f"{ratio_text(record.speedup(entry, 'naive')):>8}",
        f"{ratio_text(record.speedup(entry, peer)):>5} {library(peer):<6.6}" if peer else f"{'':>12}",
        f"{of_copy(entry):>9.2f}",
        f"{ulp_text(errors.get('fastact')):>8}",
        f"{ulp_text(errors.get('naive')):>9}",
    ]
    return f"{entry['case']:<38.38}{''.join(cells)}"


def of_copy(entry: dict[str, Any]) -> float:
    """Return the bytes a second that fastact reads and writes, by those of the copy of the input."""
    return float(entry["bytes"] / entry["ns"]["fastact"][0] / (entry["copied"] / entry["ns"]["copy"][0]))


def ratio_text(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.1f}" if ratio < 100 else f"{ratio:.0f}"


def size_text(size: int) -> str:
    return f"{size // 2**20} Mi" if size >= 2**20 else f"{size // 2**10} Ki" if size >= 2**14 else f"{size:,}"


def ulp_text(error: float | str | None) -> str:
    """Return an error as text, readable from 0 to infinity."""
    if error is None:
        return ""
    value = float(error)
    if value < 100 or math.isinf(value):
        return "wrong" if math.isinf(value) else f"{value:.2f}" if value else "0"
    return f"{value:.0e}".replace("e+0", "e")


def summary(found: Record, with_peers: bool) -> list[str]:
    """Return what the table says, in words."""
    entries = shown(found)
    if not entries:
        return []
    naive = [ratio for entry in entries if (ratio := record.speedup(entry, "naive"))]
    text = [f"Geometric mean of {len(naive)} functions: {geometric_mean(naive):.1f} times as fast as the naive lines."]
    if with_peers:
        ratios = [record.speedup(entry, peer) or 1.0 for entry in entries if (peer := record.best_peer(entry))]
        text.append(f"Of {len(ratios)} that a library has: {geometric_mean(ratios):.1f} times as fast as the best.")
    noise = [entry["noise"] for entry in entries if entry["noise"] is not None]
    if noise:
        text.append(f"Times are of the fastest rounds, in one thread. Noise of a ratio: {median(noise):.1%} (median).")
    return [*text, 'ULP: the largest error, of operators over numbers of all magnitudes; "wrong": infinity or NaN.']
