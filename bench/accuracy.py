"""Sweep the errors of operators and gradients, and write the table of the documentation: ``python bench/accuracy.py``.

Without names, all of them: ``python bench/accuracy.py sigmoid grad.silu --types float32``. float32 is swept in blocks
of one sign and exponent; what is done is recorded in a JSON file, from which a later call goes on, unless the kernel's
results have changed since. float16 and bfloat16 are exhaustive, float64 is sampled.

The error is |computed - exact| in units in the last place of the exact value, subnormal units included. The exact value
is the registry's definition in binary64 for the smaller types, where that is right to 1e-6 units, and in 60 digits by
mpmath for float64 and, once more, for the worst argument found in each type. A gradient is tried with one random dy
between 1 and 2 for each x; near where the derivative is zero the unit is that of its largest term.
"""

import argparse
import datetime as dt
import json
import multiprocessing
import platform
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import scipy
from scipy import special
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

import fastact  # noqa: E402
import references  # noqa: E402
import sampling  # noqa: E402
import ulp  # noqa: E402
from fastact import activations, grad  # noqa: E402
from fastact._kernels.registry import OPERATORS, Operator  # noqa: E402
from fastact.runtime import affinity  # noqa: E402

try:
    import torch
except ImportError:
    torch = None

Array = np.ndarray[Any, Any]
Function = Callable[[Array], Array]

TYPES = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
LIBRARIES = ("fastact", "numpy", "scipy", "torch")
# A block has one sign and exponent. Parts of it stay in the cache.
BLOCKS, BLOCK, PART = 2**9, 2**23, 2**13
OF_FLOAT64 = 3000
# With --quick: the exponents, biased, whose numbers are all tried, and which ones of the others, where every operator
# is linear or constant to the last bit.
ALL_OF = range(127 - 30, 127 + 8)
THINNED = 61
ROWS = {row.name: row for row in OPERATORS}
NAMES = [*ROWS, *(f"grad.{name}" for name in ROWS)]
WIDE = SimpleNamespace(**{**vars(references.BINARY64), "erfc": special.erfc})


class Worst(NamedTuple):
    """The largest error of one library, and where."""

    ulp: float
    x: float
    dy: float = 1.0


class Subject(NamedTuple):
    """An operator, or its gradient, with the default parameters."""

    row: Operator
    is_gradient: bool

    @property
    def parameters(self) -> tuple[float, ...]:
        return self.row.tested_parameters[0]

    @property
    def allowed(self) -> dict[str, float]:
        """The registry's bounds."""
        wide = self.row.ulp_gradient if self.is_gradient else self.row.ulp_float64
        return {"float32": self.row.ulp_gradient if self.is_gradient else self.row.ulp_float32, "float64": wide}

    def exact(self, x: Array) -> Array:
        """Return the definition's values in binary64; NaN propagates."""
        define = self.row.grad_reference if self.is_gradient else self.row.reference
        wide = x.astype(np.float64)
        y = np.asarray(define(WIDE, wide, *references.rounded(self.parameters, np.float32)), np.float64)
        return np.where(np.isnan(wide), np.nan, y)

    def exact_number(self, x: float, dtype: str) -> Any:
        """Return the definition's value at one number, with many digits."""
        define = references.exact_number_slope if self.is_gradient else references.exact_number
        return define(self.row, x, references.rounded(self.parameters, dtype))


def subject(name: str) -> Subject:
    return Subject(ROWS[name.removeprefix("grad.")], name.startswith("grad."))


# ---- Who is measured: functions of x, or of dy and x.


def contenders(what: Subject) -> dict[str, Callable[..., Array]]:
    """Return what there is for an operator, by library."""
    function = (grad if what.is_gradient else activations).ELEMENT_WISE[what.row.name]
    ours = {"fastact": lambda *arrays: function(*arrays, *what.parameters)}
    others = {} if what.is_gradient else {"numpy": numpy_has(what.row.name), "scipy": scipy_has(what.row.name)}
    others["torch"] = torch_has(what)
    return ours | {library: function for library, function in others.items() if function}


def numpy_has(name: str) -> Function | None:
    return {"tanh": np.tanh, "softplus": lambda x: np.logaddexp(x, x.dtype.type(0))}.get(name)


def scipy_has(name: str) -> Function | None:
    functions = {"sigmoid": special.expit, "logsigmoid": special.log_expit, "gelu": lambda x: x * special.ndtr(x)}
    return functions.get(name)


def torch_has(what: Subject) -> Callable[..., Array] | None:
    name = what.row.name
    if torch is None or (name != "gelu_tanh" and not hasattr(torch.nn.functional, name)):
        return None
    functional = getattr(torch, name, None) if name in {"sigmoid", "tanh"} else getattr(torch.nn.functional, name, None)
    if name == "gelu_tanh":
        functional = partial(torch.nn.functional.gelu, approximate="tanh")

    def forward(x: Array) -> Array:
        return from_torch(functional(*operands(to_torch(x))))

    def gradient(dy: Array, x: Array) -> Array:
        argument = to_torch(x).requires_grad_()
        functional(*operands(argument)).backward(to_torch(dy))
        return from_torch(argument.grad)

    def operands(x: Any) -> tuple[Any, ...]:
        if what.row.is_learned:
            return (x, *(torch.tensor([number], dtype=x.dtype) for number in what.parameters))
        return (x, *what.parameters)

    return gradient if what.is_gradient else forward


def to_torch(x: Array) -> Any:
    if x.dtype.name == "bfloat16":
        return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(x)


def from_torch(y: Any) -> Array:
    y = y.detach()
    return y.view(torch.int16).numpy().view(ml_dtypes.bfloat16) if y.dtype == torch.bfloat16 else y.numpy()


# ---- The error in float32: that of tests/ulp.py, in fewer operations where nothing is special.


def per_unit(exact: Array, term: Array | float) -> Array:
    """Return 1/unit of the exact values, or of `term` if that is larger."""
    lowest, highest = ((1023 + exponent) << 52 for exponent in (-126, 127))
    bits = np.maximum(np.abs(exact), term).view(np.int64) & (0x7FF << 52)
    return ((2046 << 52) - np.clip(bits, lowest, highest)).view(np.float64) * 2.0**23


def errors(computed: Array, exact: Array, scale: Array, term: Array | float, is_sign_of_zero_known: bool) -> Array:
    """Return the errors of float32 results; scale is `per_unit`."""
    error = np.abs(computed - exact) * scale
    is_special = not np.isfinite(error.max())
    if is_special or (is_sign_of_zero_known and np.any(np.signbit(computed) != np.signbit(exact))):
        return ulp.errors(computed, exact, is_sign_of_zero_known, term)
    return error


def with_sign_of_zeros(computed: Array, exact: Array) -> Array:
    """Return the results of others, whose zeros' signs are not looked at."""
    return np.where(computed == 0, np.copysign(0.0, exact).astype(computed.dtype), computed)


def check_the_metric() -> None:
    x = np.concatenate([sampling.specials(np.float32), sampling.dense(np.float32, 4096)])
    for exact in (x.astype(np.float64), np.roll(x, 1).astype(np.float64) * (1 + 1e-8)):
        ordinary = np.isfinite(x) & np.isfinite(exact) & (np.abs(exact) < 2.0**127)
        computed, signed = x[ordinary], np.copysign(exact, x)[ordinary]
        found = errors(computed, signed, per_unit(signed, 0.0), 0.0, True)
        np.testing.assert_array_equal(found, ulp.errors(computed, signed))


def worst_at(error: Array, x: Array, dy: Array | None) -> Worst:
    index = int(np.argmax(error))
    return Worst(float(error[index]), float(x[index]), float(dy[index]) if dy is not None else 1.0)


def upstream(x: Array, seed: int) -> Array:
    """Return a dy between 1 and 2 for each x."""
    return np.random.default_rng(seed).uniform(1, 2, x.shape).astype(x.dtype)


def measured(name: str, x: Array, seed: int) -> dict[str, Worst]:
    """Return each library's worst result of float32 or a 16-bit type."""
    what = subject(name)
    if what.is_gradient:
        x = x[np.isfinite(x)]
    elif what.row.odd is not False or what.row.kinks:
        # The sign of what comes of a zero is a matter of its own.
        x = x[x != 0]
    if not x.size:
        return {}
    exact, term = what.exact(x), 0.0
    dy = upstream(x, seed) if what.is_gradient else None
    if dy is not None:
        exact = exact * dy.astype(np.float64)
        term = np.asarray(dy * np.float64(references.largest_term(what.row, x.astype(np.float64))), np.float64)
    scale = per_unit(exact, term)
    found = {}
    for library, function in contenders(what).items():
        computed = function(x) if dy is None else function(dy, x)
        if computed.dtype != x.dtype:
            # SciPy computes bfloat16 in another type.
            continue
        if library != "fastact":
            computed = with_sign_of_zeros(computed, exact)
        known = library == "fastact" and dy is None
        error = (
            errors(computed, exact, scale, term, known)
            if x.dtype == np.float32
            else ulp.errors(computed, exact, known, term)
        )
        if library != "fastact":
            error = np.where(np.isfinite(x), error, 0.0)
        found[library] = worst_at(error, x, dy)
    return found


def merged(parts: Iterable[dict[str, Worst]]) -> dict[str, Worst]:
    worst: dict[str, Worst] = {}
    for part in parts:
        for library, one in part.items():
            worst[library] = max(worst.get(library, one), one, key=lambda found: found.ulp)
    return worst


# ---- What one process does.


def prepare() -> None:
    """One thread for each process. The others overflow where they should not, and numbers are compared with NaN."""
    np.seterr(all="ignore")
    fastact.set_num_threads(1)
    if torch is not None:
        torch.set_num_threads(1)


def parts_of_block(block: int, step: int) -> Iterator[tuple[Array, int]]:
    """Yield the numbers of a block part by part, every `step`-th one, with a seed."""
    first = block * BLOCK
    for start in range(0, BLOCK, PART * step):
        bits = np.arange(first + start, first + min(start + PART * step, BLOCK), step, dtype=np.uint32)
        yield bits.view(np.float32), first + start


def sweep_block(name: str, block: int, step: int) -> dict[str, Worst]:
    return merged(measured(name, x, seed) for x, seed in parts_of_block(block, step))


def sweep_half(name: str, dtype: str) -> dict[str, Worst]:
    x = sampling.every_half(TYPES[dtype])
    return measured(name, x, 0)


def float64_sample(name: str) -> Array:
    """Return numbers spread over bit space, dense ones, and the neighbourhood of what is special."""
    what = subject(name)
    x = sampling.sample(np.float64, what.parameters, what.row.kinks_for(what.parameters), OF_FLOAT64, OF_FLOAT64)
    x = np.concatenate([x[: 2 * OF_FLOAT64], x[2 * OF_FLOAT64 :: 7]])
    return x[np.isfinite(x)]


def sweep_float64(name: str) -> dict[str, Worst]:
    what, x = subject(name), float64_sample(name)
    dy = upstream(x, 0) if what.is_gradient else None
    exact = [what.exact_number(number, "float64") for number in x]
    term = np.zeros(len(x))
    if dy is not None:
        exact = [references.mpmath.mpf(float(factor)) * slope for factor, slope in zip(dy, exact, strict=True)]
        term = dy * references.largest_term(what.row, x)
    found = {}
    for library, function in contenders(what).items():
        computed = function(x) if dy is None else function(dy, x)
        if library != "fastact":
            computed = with_sign_of_zeros(computed, np.array([float(number) for number in exact]))
        error = np.array([ulp.error_of_number(*one) for one in zip(computed, exact, term, strict=True)])
        found[library] = worst_at(error, x, dy)
    return found


def confirmed(name: str, worst: Worst) -> float:
    """Return the error of our float32 result at one argument once more, by mpmath."""
    what = subject(name)
    if not np.isfinite(worst.x):
        return worst.ulp
    x, dy = np.float32([worst.x]), np.float32([worst.dy])
    function = contenders(what)["fastact"]
    computed = float((function(dy, x) if what.is_gradient else function(x))[0])
    exact = what.exact_number(worst.x, "float32") * (references.mpmath.mpf(float(dy[0])) if what.is_gradient else 1)
    term = float(dy[0]) * float(references.largest_term(what.row, worst.x)) if what.is_gradient else 0.0
    unit = ulp.unit(np.array(max(abs(float(exact)), term)))
    return float(abs(references.mpmath.mpf(computed) - exact) / float(unit))


@cache
def fingerprint(name: str) -> int:
    """Return a number that changes with the kernel's results."""
    what = subject(name)
    x = np.arange(0, 2**32, 2**15 + 1, dtype=np.uint32).view(np.float32)
    x = x[~np.isnan(x)]
    function = contenders(what)["fastact"]
    return zlib.crc32((function(upstream(x, 1), x) if what.is_gradient else function(x)).tobytes())


# ---- The record.


class Task(NamedTuple):
    """What one process does at a time."""

    name: str
    dtype: str
    numbers: int
    function: Callable[..., dict[str, Worst]]
    arguments: tuple[Any, ...]
    kind: str | None = None
    """What the record calls the blocks of float32."""


class Record:
    """The JSON file: {name: {type: {"fingerprint", "numbers", "blocks", "thinned", "worst": {library: Worst}}}}.

    Of float32, "blocks" are those of which every number was tried, "thinned" those of which every 61st was.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"results": {}}

    def entry(self, name: str, dtype: str) -> dict[str, Any]:
        """Return what is known; nothing if the kernel has changed since."""
        of_name = self.data["results"].setdefault(name, {})
        if of_name.get(dtype, {}).get("fingerprint") != fingerprint(name):
            of_name[dtype] = {"fingerprint": fingerprint(name), "numbers": 0, "blocks": [], "thinned": [], "worst": {}}
        return dict(of_name[dtype])

    def add(self, task: Task, worst: dict[str, Worst]) -> None:
        name, dtype = task.name, task.dtype
        entry = self.entry(name, dtype)
        known = {library: Worst(**found) for library, found in entry["worst"].items()}
        entry["worst"] = {library: found._asdict() for library, found in merged([known, worst]).items()}
        entry["numbers"] += task.numbers
        if task.kind is not None:
            entry[task.kind] = sorted({*entry[task.kind], task.arguments[1]})
        entry["date"] = dt.datetime.now(dt.UTC).date().isoformat()
        self.data["results"][name][dtype] = entry

    def save(self) -> None:
        self.data["versions"] = versions()
        text = json.dumps(self.data, sort_keys=True, separators=(",", ":")).replace('"grad', '\n"grad')
        self.path.write_text(f"{text}\n")


def versions() -> dict[str, str]:
    modules = (np, scipy, *(() if torch is None else (torch,)))
    return {"python": platform.python_version()} | {module.__name__: str(module.__version__) for module in modules}


# ---- The table.

HEAD = """\
# Accuracy

Written by `bench/accuracy.py` from `docs/accuracy.json`; `python bench/accuracy.py --table` writes it again. The
largest |computed - exact| found, in units in the last place of the exact value (ULP), subnormal units included, and the
argument it was found at, with default parameters. `inf` is a number where NaN or infinity belongs, or the other way
round, or the wrong sign. Of the others only finite arguments count, and not the sign of a zero. Versions: {versions}.

"all" of float32 are its 2^32 bit patterns, with a random dy between 1 and 2 for each x of a gradient (which is tried at
finite x; within 0.5 of where a derivative is zero, the unit is that of its largest term). "All of 2^-30 to 2^8" are all
of these magnitudes, and every 61st bit pattern of the others, where operators are linear or constant. Otherwise the
column says how many were tried, spread over all bit patterns and perhaps denser somewhere: the others have not been.
float16 and bfloat16 are all of their values; float64 is a sample of bit space, of dense ranges and of what is near to
where formulas change, against 60 digits.
"""
COLUMNS = ("operator", "tried", "fastact", "at", "allowed", "numpy", "at", "scipy", "at", "torch", "at")


def table(record: Record) -> str:
    """Return the documentation's page."""
    head = HEAD.format(versions=", ".join(f"{k} {v}" for k, v in record.data["versions"].items() if k != "python"))
    return head + "".join(f"\n## {dtype}\n\n{table_of(record, dtype)}" for dtype in TYPES)


def table_of(record: Record, dtype: str) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"]
    for name in NAMES:
        entry = record.data["results"].get(name, {}).get(dtype)
        if entry and entry["worst"]:
            lines.append(f"| {' | '.join(cells(name, dtype, entry))} |\n")
    return "".join(lines)


def cells(name: str, dtype: str, entry: dict[str, Any]) -> Iterator[str]:
    allowed = subject(name).allowed.get(dtype)
    yield f"`{name}`"
    yield tried(dtype, entry)
    for library in LIBRARIES:
        found = entry["worst"].get(library)
        yield "" if found is None else f"{found['ulp']:.3g}" if found["ulp"] >= 100 else f"{found['ulp']:.2f}"
        yield "" if found is None or not found["ulp"] else f"{found['x']:.9g}"
        if library == "fastact":
            yield "" if allowed is None else f"{allowed:g}"


def tried(dtype: str, entry: dict[str, Any]) -> str:
    if dtype.endswith("16") or len(entry["blocks"]) == BLOCKS:
        return "all"
    if len({*entry["blocks"], *entry["thinned"]}) == BLOCKS and {*ALL_OF} <= {block % 256 for block in entry["blocks"]}:
        return "all of 2^-30 to 2^8"
    return f"{entry['numbers']:,}"


# ---- All together.


def tasks(record: Record, names: list[str], dtypes: list[str], step_of: Callable[[int], int]) -> Iterator[Task]:
    """Yield what is still to be done."""
    for name in names:
        for dtype in dtypes:
            entry = record.entry(name, dtype)
            if dtype == "float32":
                yield from tasks_of_float32(name, entry, step_of)
            elif not entry["numbers"]:
                numbers = 2**16 if dtype.endswith("16") else len(float64_sample(name))
                function, arguments = (sweep_float64, (name,)) if dtype == "float64" else (sweep_half, (name, dtype))
                yield Task(name, dtype, numbers, function, arguments)


def tasks_of_float32(name: str, entry: dict[str, Any], step_of: Callable[[int], int]) -> Iterator[Task]:
    kinds = {1: "blocks", THINNED: "thinned"}
    for block in range(BLOCKS):
        step = step_of(block)
        kind = kinds.get(step)
        is_done = block in entry["blocks"] or (block in entry[kind] if kind else bool(entry["numbers"]))
        if not is_done:
            yield Task(name, "float32", -(-BLOCK // step), sweep_block, (name, block, step), kind)


def run(record: Record, todo: list[Task], processes: int) -> None:
    """Do it in processes of their own; every result is recorded when it comes."""
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(processes, context, prepare) as executor,
        tqdm(total=sum(task.numbers for task in todo), unit="number", unit_scale=True, mininterval=1) as progress,
    ):
        futures = {executor.submit(task.function, *task.arguments): task for task in todo}
        try:
            for count, future in enumerate(as_completed(futures)):
                task = futures[future]
                record.add(task, future.result())
                progress.set_description(f"{task.name} {task.dtype}", refresh=False)
                progress.update(task.numbers)
                if count % 16 == 0:
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
    parser.add_argument("--quick", action="store_true", help="all float32 numbers from 2^-30 to 2^8, every 61st other")
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
        prepare()
        check_the_metric()
        step = 1 if options.sample is None else max(1, 2**32 // options.sample) | 1

        def step_of(block: int) -> int:
            return THINNED if options.quick and block % 256 not in ALL_OF else step

        run(record, list(tasks(record, names, options.types, step_of)), options.processes)
        wrong = list(failures(record, names))
    options.markdown.write_text(table(record))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
