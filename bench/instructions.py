"""Count the instructions of every kernel in both builds, by ``valgrind --tool=callgrind``.

Nothing is timed, so nothing is noisy: the same build gives the same counts on a busy machine, and one more
multiplication is seen. What a count does not see is latency, memory and threads; and valgrind offers AVX2 at most.
Counted are the functions of fastact's own libraries, each by itself, while every case is called once in one thread.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

WORKER = Path(__file__).resolve().parent / "worker.py"
# Counts are exact. Less than this is what a compiler makes of the same source in another place.
TOLERANCE = 0.02
# Of a function that takes fewer instructions than this in all calls together, nobody notices anything.
LEAST = 10_000


def compare_counts(pythons, benchmarks):
    """Print the counts that changed, and return the functions whose count has risen."""
    if shutil.which("valgrind") is None:
        raise SystemExit("--instructions needs valgrind")
    base, head = (counts(python, benchmarks) for python in pythons)
    both = sorted(name for name in base.keys() & head.keys() if max(base[name], head[name]) >= LEAST)
    risen = [name for name in both if head[name] > base[name] * (1 + TOLERANCE)]
    print(f"{'instructions':<70}{'base':>12}{'head':>12}{'change':>9}")
    for name in both:
        change = head[name] / base[name] - 1
        if abs(change) > TOLERANCE:
            print(f"{name:<70}{base[name]:>12,}{head[name]:>12,}{change:>+9.1%}  {'MORE' if change > 0 else 'fewer'}")
    same = sum(base[name] == head[name] for name in both)
    print(f"{len(both)} functions: {same} take exactly as many instructions, {len(risen)} more.")
    return risen


def counts(python, benchmarks):
    """Return how many instructions each function of fastact's libraries takes, by library and name."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "counts"
        environment = {**os.environ, "FASTACT_BACKEND": "cython", "FASTACT_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}
        environment |= {"PYTHONHASHSEED": "0"}
        environment.pop("PYTHONPATH", None)
        subprocess.run(
            ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}", python, WORKER],
            input=json.dumps({"call": benchmarks}) + "\n",
            stdout=subprocess.DEVNULL,
            text=True,
            env=environment,
            check=True,
        )
        return own_costs(out.read_text())


def own_costs(text):
    """Return each function's own instructions, of fastact's libraries, from what callgrind wrote."""
    names, costs, library, function, skip = {}, {}, "", "", False
    for line in text.splitlines():
        if found := re.match(r"c?(ob|fn)=\((\d+)\)(?: (.*))?$", line):
            kind, number, name = found.groups()
            name = names.setdefault((kind, number), name)
            if line.startswith("ob="):
                library = Path(name).name.partition(".")[0] if "/fastact/" in name else ""
            elif line.startswith("fn="):
                function = f"{library} {re.sub(r'^__pyx_[a-z]+_.*?' + library + '_?', '', name)}"
        elif line.startswith("calls="):
            skip = True  # the next line is what the called function took
        elif line[:1].isdigit() or line[:1] in {"+", "-", "*"}:
            if library and not skip:
                costs[function] = costs.get(function, 0) + int(line.split()[-1])
            skip = False
    return costs
