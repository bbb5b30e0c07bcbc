"""Sweep the errors of operators and gradients, and write the table of the documentation: ``python bench/accuracy.py``.

Without names, all of them: ``python bench/accuracy.py sigmoid grad.silu --types float32``. float32 is swept in blocks
of one sign and exponent; what is done is recorded in a JSON file, from which a later call goes on, unless the kernel's
results have changed since. float16 and bfloat16 are exhaustive, float64 is sampled.

The error is |computed - exact| in units in the last place of the exact value, subnormal units included. Of float64 the
exact value is the registry's definition in 60 digits, by mpmath; of the 16-bit types, the definition in binary64.

Of float32 it is the result of fastact's own float64 kernel, within 2 units of float64, or 4e-9 of float32. Both kernels
come from one formula, so the kernel is checked in the same run by what does not: before a sweep, against mpmath at some
4000 float32 numbers, spread, dense, and all that are next to a kink; in every block, at every 61st number, against the
definition in binary64, which is right to 1e-5 units of float32. A mistake that both precisions share goes unnoticed
only if it is on a stretch of less than 61 numbers that contains none of mpmath's. The worst argument found in float32
is computed once more by mpmath. A gradient is tried with one random dy between 1 and 2 for each x; near where the
derivative is zero the unit is that of its largest term.
"""

import argparse
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from fastact.runtime import affinity
from sweep import ROOT
from sweep.errors import Worst
from sweep.float32 import BLOCK, BLOCKS, confirmed, sweep_block
from sweep.others import float64_sample, sweep_float64, sweep_half
from sweep.record import Record, page
from sweep.subjects import NAMES, ROWS, TYPES, one_thread, subject


class Task(NamedTuple):
    """What one process does at a time."""

    name: str
    dtype: str
    numbers: int
    function: Callable[..., dict[str, Worst]]
    arguments: tuple[Any, ...]
    is_block: bool = False


def tasks(record: Record, names: list[str], dtypes: list[str], step: int) -> Iterator[Task]:
    """Yield what is still to be done."""
    for name in names:
        for dtype in dtypes:
            entry = record.entry(name, dtype)
            if dtype == "float32":
                done = BLOCKS if step > 1 and entry["numbers"] else entry["blocks"]
                for block in range(done, BLOCKS):
                    yield Task(name, dtype, -(-BLOCK // step), sweep_block, (name, block, step), step == 1)
            elif not entry["numbers"]:
                numbers = 2**16 if dtype.endswith("16") else len(float64_sample(name))
                function, arguments = (sweep_float64, (name,)) if dtype == "float64" else (sweep_half, (name, dtype))
                yield Task(name, dtype, numbers, function, arguments)


def run(record: Record, todo: list[Task], processes: int) -> None:
    """Do it in processes of their own; the results are recorded in order."""
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(processes, context, one_thread) as executor,
        tqdm(total=sum(task.numbers for task in todo), unit="number", unit_scale=True, mininterval=1) as progress,
    ):
        futures = [executor.submit(task.function, *task.arguments) for task in todo]
        try:
            for count, (task, future) in enumerate(zip(todo, futures, strict=True)):
                record.add(task.name, task.dtype, task.numbers, future.result(), task.is_block)
                progress.set_description(f"{task.name} {task.dtype}", refresh=False)
                progress.update(task.numbers)
                if count % 64 == 0:
                    record.save()
        finally:
            executor.shutdown(cancel_futures=True)
            record.save()


def failures(record: Record, names: list[str]) -> Iterator[str]:
    """Yield what exceeds its bound, and where the two references disagree."""
    for name in names:
        for dtype, bound in subject(name).allowed.items():
            found = record.data["results"].get(name, {}).get(dtype, {}).get("worst", {}).get("fastact")
            if found and found["ulp"] > bound:
                yield f"{name} {dtype}: {found} exceeds {bound}"
            if found and dtype == "float32" and abs(confirmed(name, Worst(**found)) - found["ulp"]) > 1e-5:
                yield f"{name}: mpmath finds {confirmed(name, Worst(**found))}, not {found}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"operators or grad.NAME, all if none: {', '.join(ROWS)}"
    )
    parser.add_argument("--types", nargs="+", choices=TYPES, default=list(TYPES))
    parser.add_argument("--sample", type=int, metavar="N", help="about so many of the float32 numbers, evenly spread")
    parser.add_argument("--processes", type=int, default=affinity())
    parser.add_argument("--json", type=Path, default=ROOT / "docs" / "accuracy.json", metavar="FILE")
    parser.add_argument("--markdown", type=Path, default=ROOT / "docs" / "accuracy.md", metavar="FILE")
    parser.add_argument("--table", action="store_true", help="only write the table of what is recorded")
    options = parser.parse_args()
    names = options.names or NAMES
    if unknown := set(names) - set(NAMES):
        parser.error(f"no such operator: {', '.join(sorted(unknown))}")
    record = Record(options.json)
    wrong: list[str] = []
    if not options.table:
        one_thread()
        step = 1 if options.sample is None else max(1, 2**32 // options.sample) | 1
        run(record, list(tasks(record, names, options.types, step)), options.processes)
        wrong = list(failures(record, names))
    options.markdown.write_text(page(record))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
