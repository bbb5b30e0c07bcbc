"""What was found, in a JSON file from which a later call goes on, and the page of the documentation made of it."""

import datetime as dt
import json
import platform
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from fastact._bench.record import machine
from sweep.errors import Worst, merged
from sweep.float32 import BLOCKS, SAMPLED, upstream
from sweep.subjects import LIBRARIES, NAMES, TYPES, subject, torch


@cache
def fingerprint(name: str) -> int:
    """Return a number that changes with the float32 kernel's results."""
    what = subject(name)
    x = np.arange(0, 2**32, 2**15 + 1, dtype=np.uint32).view(np.float32)
    x = x[~np.isnan(x)]
    dy = upstream(x.view(np.uint32))
    return zlib.crc32((what.computed(dy, x) if what.is_gradient else what.computed(x)).tobytes())


class Record:
    """The JSON file: {name: {type: {"fingerprint", "date", "numbers", "blocks", "worst": {library: Worst}}}}.

    Of float32, "blocks" is how many were swept, from the first one on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"results": {}}

    def entry(self, name: str, dtype: str) -> dict[str, Any]:
        """Return what is known; nothing if the kernel has changed since."""
        of_name = self.data["results"].setdefault(name, {})
        if of_name.get(dtype, {}).get("fingerprint") != fingerprint(name):
            of_name[dtype] = {"fingerprint": fingerprint(name), "numbers": 0, "blocks": 0, "worst": {}}
        return dict(of_name[dtype])

    def add(self, name: str, dtype: str, numbers: int, worst: dict[str, Worst], is_block: bool) -> None:
        entry = self.entry(name, dtype)
        known = {library: Worst(**found) for library, found in entry["worst"].items()}
        entry["worst"] = {library: found._asdict() for library, found in merged([known, worst]).items()}
        entry["numbers"] += numbers
        entry["blocks"] += is_block
        entry["date"] = dt.datetime.now(dt.UTC).date().isoformat()
        self.data["results"][name][dtype] = entry

    def save(self) -> None:
        self.data["machine"], self.data["versions"] = machine(), versions()
        text = json.dumps(self.data, sort_keys=True, separators=(",", ":")).replace('"grad', '\n"grad')
        self.path.write_text(f"{text}\n")


def versions() -> dict[str, str]:
    modules = (np, scipy, *(() if torch is None else (torch,)))
    return {"python": platform.python_version()} | {module.__name__: str(module.__version__) for module in modules}


# ---- The page.

HEAD = f"""\
# Accuracy

Written by `bench/accuracy.py` from `docs/accuracy.json`; `python bench/accuracy.py --table` writes it again. The
largest |computed - exact| found, in units in the last place of the exact value (ULP), subnormal units included, and the
argument it was found at, with default parameters. `inf` is a number where NaN or infinity belongs, or the other way
round, or the wrong sign. Of the others only finite arguments count, and not the sign of a zero.
{{versions}}; {{machine}}.

"all" of float32 are its 2^32 bit patterns, with a random dy between 1 and 2 for each x of a gradient (which is tried at
finite x; within 0.5 of where a derivative is zero, the unit is that of its largest term). The others are tried at every
{SAMPLED}st of these arguments: elsewhere they may be worse. Where the column says how many were tried, these are spread
evenly over all bit patterns: the rest has not been. float16 and bfloat16 are all of their values; float64 is a sample
of bit space, of dense ranges and of what is near to where formulas change, against 60 digits.
"""
COLUMNS = ("operator", "tried", "fastact", "at", "allowed", "numpy", "at", "scipy", "at", "torch", "at")


def page(record: Record) -> str:
    head = HEAD.format(
        versions=", ".join(f"{k} {v}" for k, v in record.data["versions"].items() if k != "python"),
        machine="{processor}, {instruction set}".format(**record.data["machine"]),
    )
    return head + "".join(f"\n## {dtype}\n\n{table(record, dtype)}" for dtype in TYPES)


def table(record: Record, dtype: str) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"]
    for name in NAMES:
        entry = record.data["results"].get(name, {}).get(dtype)
        if entry and entry["worst"]:
            lines.append(f"| {' | '.join(cells(name, dtype, entry))} |\n")
    return "".join(lines)


def cells(name: str, dtype: str, entry: dict[str, Any]) -> Iterator[str]:
    allowed = subject(name).allowed.get(dtype)
    is_all = dtype.endswith("16") or entry["blocks"] == BLOCKS
    yield f"`{name}`"
    yield "all" if is_all else f"{entry['numbers']:,}"
    for library in LIBRARIES:
        found = entry["worst"].get(library)
        yield "" if found is None else figure(found["ulp"])
        yield "" if found is None or not found["ulp"] else f"{found['x']:.9g}"
        if library == "fastact":
            yield "" if allowed is None else f"{allowed:g}"


def figure(ulp: float) -> str:
    return f"{ulp:.3g}" if ulp >= 100 else f"{ulp:.2f}"
