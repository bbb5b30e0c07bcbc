"""Is a record what is promised? ``python bench/promises.py bench/results/results.json``; status 1 if it is not.

A ratio counts as kept within what the record says is its noise, twice.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fastact._bench import record
from fastact._bench.command import SHOWN, of_copy

LARGE = 2**24
# Times as fast as the fastest of NumPy, SciPy and torch: where these are slow, more is promised than to be as fast.
BESIDE = ("numpy", "scipy", "torch")
MORE = {"elu": 4.0, "selu": 4.0, "softplus": 3.0, "mish": 3.0}
DROPOUT_BESIDE_TORCH = 25.0
OF_COPY = 0.9


class Promise(NamedTuple):
    """What is promised of one measurement, and what it is."""

    text: str
    least: float
    found: float
    noise: float

    @property
    def is_kept(self) -> bool:
        return self.found >= self.least * (1 - 2 * self.noise)


def promises(found: record.Record) -> Iterator[Promise]:
    """Yield what is promised of the measurements that a record has."""
    for entry in found["speed"]:
        if entry["dtype"] != "float32":
            continue
        name, noise, key = entry["case"], entry["noise"] or 0.0, (entry["size"], entry["threads"])
        peer = record.best_peer(entry)
        if key == (SHOWN, 1) and peer:
            yield Promise(f"{name}: as fast as {peer}", 1.0, record.speedup(entry, peer) or 0.0, noise)
        if key == (SHOWN, 1) and name in MORE:
            others = [other for other in entry["ns"] if other.partition(" ")[0] in BESIDE]
            ratio = min(record.speedup(entry, other) or 0.0 for other in others)
            yield Promise(f"{name}: beside {', '.join(BESIDE)}", MORE[name], ratio, noise)
        if key == (SHOWN, 1) and name == "dropout" and "torch new" in entry["ns"]:
            ratio = entry["ns"]["torch new"][0] / entry["ns"]["fastact new"][0]
            yield Promise("dropout: beside torch", DROPOUT_BESIDE_TORCH, ratio, noise)
        if entry["size"] == LARGE and entry["family"] == "activations":
            yield Promise(f"{name}, 16 Mi, {entry['threads']} threads: of a copy", OF_COPY, of_copy(entry), noise)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path, help="what `python -m fastact bench --peers --json FILE` has written")
    found = list(promises(record.load(parser.parse_args().record)))
    broken = [promise for promise in found if not promise.is_kept]
    for promise in sorted(broken, key=lambda promise: promise.found / promise.least):
        print(f"{promise.text:<60}{promise.found:>8.2f}, promised {promise.least:g} (noise {promise.noise:.1%})")
    print(f"{len(found) - len(broken)} of {len(found)} promises kept")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
