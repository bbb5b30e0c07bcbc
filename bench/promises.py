"""Is a record what is promised? ``python bench/promises.py bench/results/results.json``; status 1 if it is not.

A ratio counts as kept within what the record says is its noise, twice.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fastact._bench import record
from fastact._bench.command import SHOWN, of_copy

LARGE = 2**24
# Times as fast as the fastest of NumPy, SciPy and torch: where these are slow, more is promised than to be as fast.
BESIDE = ("numpy", "scipy", "torch")
MORE = {"elu": 4.0, "selu": 4.0, "softplus": 3.0, "mish": 3.0}
DROPOUT_BESIDE_TORCH = 25.0
OF_COPY = 0.9
# Who need not be beaten, as it is fast by being wrong: at the input, 0 instead of the number.
WRONG = {("onnxruntime", "sigmoid"): (-18.0, 1.523e-8), ("onnxruntime", "gelu_tanh"): (-6.0, -8.44e-11)}


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
        peer = record.best_peer(of_the_right(entry))
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


def of_the_right(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a measurement without those who are fast by being wrong."""
    wrong = {library for library, case in WRONG if case == entry["case"]}
    return entry | {"ns": {name: ns for name, ns in entry["ns"].items() if name.partition(" ")[0] not in wrong}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path, help="what `python -m fastact bench --peers --json FILE` has written")
    found = list(promises(record.load(parser.parse_args().record)))
    broken = [promise for promise in found if not promise.is_kept]
    for promise in sorted(broken, key=lambda promise: promise.found / promise.least):
        print(f"{promise.text:<60}{promise.found:>8.2f}, promised {promise.least:g} (noise {promise.noise:.1%})")
    for (library, case), (x, exact) in WRONG.items():
        print(f"{case}: {library} is not asked, which returns 0 at {x:g} and not {exact:g}")
    print(f"{len(found) - len(broken)} of {len(found)} promises kept")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
