"""A process that runs one build of fastact for `compare.py`, with the cases and the harness of this checkout.

Commands come as lines of JSON on the standard input, and each is answered by one line:
``{"prepare": [case, size, dtype]}`` with whether this build has the function, ``{"run": rounds}`` with the seconds of
the function and of its reference in each round, ``{"call": [[case, size, dtype], ...]}`` when each was called once.
"""

import importlib.util
import json
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np

PACKAGE = Path(__file__).resolve().parent.parent / "fastact"
BURST = 0.0004
# The reference is a copy within the first-level cache: where arrays lie in memory makes the least difference to it.
REFERENCE_BYTES = 2**13


def use_harness_of_this_checkout():
    """Load textbook, testing and _bench over the build's own, which may be older or not be there."""
    import fastact

    for name in ("textbook", "testing", "_bench"):
        path = PACKAGE / name / "__init__.py" if (PACKAGE / name).is_dir() else PACKAGE / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"fastact.{name}", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[f"fastact.{name}"] = module
        setattr(fastact, name, module)
        spec.loader.exec_module(module)


class Worker:
    """What is prepared: the calls of a function and of its reference, and how many make a burst."""

    def __init__(self):
        from fastact import testing
        from fastact._bench.cases import CASES

        self.testing = testing
        self.cases = {case.name: case for case in CASES}
        self.calls = None

    def prepare(self, work):
        name, size, dtype = work
        if name not in self.cases or dtype not in self.cases[name].dtypes:
            return False
        prepared = self.cases[name].prepare(size, dtype)
        target, source = np.zeros((2, REFERENCE_BYTES), np.uint8)
        self.calls = {"function": prepared.ours()["fastact"], "reference": partial(np.copyto, target, source)}
        self.testing.interleave(self.calls, rounds=1, burst=BURST)
        return True

    def run(self, rounds):
        timings = self.testing.interleave(self.calls, rounds=rounds, burst=BURST)
        return [timings["function"].seconds, timings["reference"].seconds]

    def call(self, works):
        """Call each once, whatever this build has of them, for callgrind to count."""
        for name, size, dtype in works:
            if name in self.cases and dtype in self.cases[name].dtypes:
                self.cases[name].prepare(size, dtype).ours()["fastact"]()
        return True


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    use_harness_of_this_checkout()
    import fastact

    fastact.set_num_threads(1)
    np.seterr(all="ignore")
    worker = Worker()
    for line in sys.stdin:
        ((command, argument),) = json.loads(line).items()
        print(json.dumps(getattr(worker, command)(argument)), file=answers, flush=True)


if __name__ == "__main__":
    main()
