"""A process that measures: its threads are settled before anything is imported that has any.

Reads a plan from the standard input, one line of JSON, and writes a line of JSON for each measurement.
"""

import json
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any


def main() -> None:
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not to be taken for a result
    plan = json.loads(sys.stdin.readline())
    os.environ["FASTACT_BACKEND"] = plan["backend"]
    os.environ["FASTACT_NUM_THREADS"] = str(plan["threads"])

    from fastact._bench import peers

    peers.use_threads(plan["threads"])
    settle(plan["threads"])
    warnings.simplefilter("ignore")  # of libraries: what they announce for later
    for entry in measured(plan):
        print(json.dumps(entry), file=results, flush=True)


def settle(threads: int) -> None:
    """Tell fastact, and torch if it is there: it does not look at the environment after its first use."""
    import fastact
    from fastact._bench import peers

    fastact.set_num_threads(threads)
    if peers.has("torch") and threads == 1:
        import torch

        torch.set_num_threads(threads)


def measured(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what is measured of each case, the largest error or the speed."""
    from fastact._bench import measure
    from fastact._bench.cases import CASES

    cases = {case.name: case for case in CASES}
    for name, size, dtype in plan["work"]:
        if size is None:
            yield measure.accuracy(cases[name], plan["peers"])
        else:
            yield measure.speed(cases[name], size, dtype, plan)


if __name__ == "__main__":
    main()
