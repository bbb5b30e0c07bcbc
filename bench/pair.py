"""Two processes, one for each build, that measure in turns on one processor: a piece of `compare.py`.

Reads what to measure from the standard input, one JSON object, and writes for each benchmark, in a line, the logarithms
of both builds' times by those of the reference, null where a build lacks the function. A piece is short: a command that
keeps others off the machine can be put before it.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

WORKER = Path(__file__).resolve().parent / "worker.py"


class Process:
    """A worker with one of the builds, on one processor."""

    def __init__(self, python, processor):
        environment = {**os.environ, "FASTACT_BACKEND": "cython", "FASTACT_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}
        environment.pop("PYTHONPATH", None)
        self.process = subprocess.Popen(
            [python, WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(self.process.pid, {processor})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def ask(self, **command):
        print(json.dumps(command), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"a process that measures has ended: {self.process.args[0]}")
        return json.loads(answer)


def measure(pair, benchmark, turns, rounds):
    """Let a pair of processes measure a benchmark in turns; return the logarithm of each one's ratio."""
    has_it = [process.ask(prepare=benchmark) for process in pair]
    if not all(has_it):
        return None
    fastest = [[math.inf, math.inf], [math.inf, math.inf]]
    for turn in range(turns):
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            times = pair[side].ask(run=rounds)
            fastest[side] = [min(best, *seconds) for best, seconds in zip(fastest[side], times, strict=True)]
    return [math.log(function / reference) for function, reference in fastest]


def main():
    plan = json.load(sys.stdin)
    base, head = plan["pythons"]
    # Neither build is always the first to start, or to have its memory.
    order = (head, base) if plan["head first"] else (base, head)
    with Process(order[0], plan["processor"]) as first, Process(order[1], plan["processor"]) as second:
        pair = (second, first) if plan["head first"] else (first, second)
        for benchmark in plan["benchmarks"]:
            print(json.dumps(measure(pair, benchmark, plan["turns"], plan["rounds"])), flush=True)


if __name__ == "__main__":
    main()
