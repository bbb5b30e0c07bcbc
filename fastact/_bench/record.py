"""What was measured, where, with what and when: the JSON from which every figure and picture is made."""

import datetime as dt
import hashlib
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastact
from fastact._bench import peers
from fastact._kernels import ufuncs

Record = dict[str, Any]
PACKAGES = ("numba", "scipy", "torch", "jax", "onnxruntime", "numexpr", "opencv-python-headless")


class Key(NamedTuple):
    """Which measurement it is."""

    case: str
    size: int | None
    dtype: str
    threads: int


def new() -> Record:
    """Return a record without measurements."""
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "build": build(),
        "speed": [],
        "accuracy": [],
    }


def is_of_this(found: Record) -> bool:
    """Return whether a record is of this machine, these versions and this very build, and can be gone on with."""
    here = new()
    return all(found.get(name) == here[name] for name in ("machine", "versions", "build"))


def build() -> str:
    """Return what identifies the build: a digest of its libraries."""
    digest = hashlib.sha256()
    for path in sorted(Path(ufuncs.__file__).parent.glob("*.so")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def machine() -> dict[str, Any]:
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": fastact.runtime.processor_name(),
        "processors": affinity,
        "system": platform.platform(),
        "instruction set": ufuncs.CHOSEN,
    }


def versions() -> dict[str, str]:
    """Return the versions of what is installed. Of what is imported nothing but NumPy is asked."""
    found = {"fastact": fastact.__version__, "python": platform.python_version(), "numpy": np.__version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def key_of(entry: dict[str, Any]) -> Key:
    return Key(*(entry[field] for field in Key._fields))


def add(found: Record, entry: dict[str, Any]) -> None:
    """Add a measurement. Of one that is there already, each contender keeps what was fastest.

    A processor that others use too is slower for seconds at a time, so for all of one visit: sigmoid took 0.65 ns an
    element in one and 0.44 in others.
    """
    if "arguments" in entry:
        found["accuracy"].append(entry)
        return
    before = next((other for other in found["speed"] if key_of(other) == key_of(entry)), None)
    if before is None:
        found["speed"].append(entry | {"visits": 1})
        return
    for name, times in entry["ns"].items():
        before["ns"][name] = [min(pair) for pair in zip(before["ns"].get(name, times), times, strict=True)]
    noises = [noise for noise in (before["noise"], entry["noise"]) if noise is not None]
    before["noise"] = min(noises, default=None)
    before["visits"] += 1


def load(path: Path) -> Record:
    record: Record = json.loads(path.read_text())
    return record


def save(record: Record, path: Path) -> None:
    """Write a record, a line for each measurement: small, and its differences can be read."""
    parts = []
    for name, value in record.items():
        if isinstance(value, list):
            lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in value)
            parts.append(f'"{name}": [\n{lines}\n]' if lines else f'"{name}": []')
        else:
            parts.append(f'"{name}": {json.dumps(value, indent=1)}')
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def nanoseconds(seconds: float) -> float:
    """Return nanoseconds with the four digits that mean something."""
    return float(f"{1e9 * seconds:.4g}")


def best_peer(entry: dict[str, Any]) -> str | None:
    """Return which library was fastest of those that do the same, into an array or not."""
    ns = entry["ns"]
    return min(filter(peers.is_peer, ns), key=lambda name: ns[name][0], default=None)


def speedup(entry: dict[str, Any], other: str | None) -> float | None:
    """Return how many times as fast as another contender fastact is."""
    ns = entry["ns"]
    return ns[other][0] / ns["fastact"][0] if other in ns else None
