"""What the command does, from the words of its line to the message at its end."""

import hashlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import fastact
from fastact._apply.blocks import compute
from fastact._apply.errors import ApplyError
from fastact._apply.files import Source, complete_or_not_at_all
from fastact._apply.operators import Given, operation, parsed_parameters
from fastact._apply.tiles import is_in_order


def run(name: str, source: Path, target: Path, given_parameters: Sequence[str], dtype_name: str | None) -> str:
    """Apply an operator to a file and return a sentence on what was done."""
    if "FASTACT_BACKEND" not in os.environ:
        # The disk is what takes the time: Numba's compiler would take 150 MiB and gain nothing.
        fastact.set_backend("cython")
    parameters = parsed_parameters(name, given_parameters)
    dtype = checked_dtype(dtype_name)
    target = checked_target(source, target)
    with closing(Source(source)) as file:
        return applied(name, parameters, dtype, file, target)


def applied(name: str, parameters: dict[str, Any], dtype: np.dtype[Any] | None, file: Source, target: Path) -> str:
    work = operation(name, parameters, file.given, dtype)
    result = Given(work.file_shape, work.dtype, file.given.is_fortran)
    job = [fastact.__version__, name, sorted(parameters.items()), dtype, file.path.resolve(), file.state, boot()]
    identity = hashlib.sha256(repr(job).encode()).hexdigest()[:16]
    start = perf_counter()
    is_resumable = is_in_order(work.shape, work.result)
    with ended_by_signals(), complete_or_not_at_all(target, identity, result, is_resumable) as part:
        compute(work, file, part)
        file.check_unchanged()
    return summary(target, result, part.done * result.dtype.itemsize, perf_counter() - start)


def boot() -> str:
    """Return what is different after a power cut, which may leave a file its length without its contents."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text() if path.exists() else ""


def summary(target: Path, result: Given, resumed: int, seconds: float) -> str:
    size = target.stat().st_size
    text = f"{target}: {result.dtype} of shape {result.shape}, {readable(size)}"
    if resumed:
        text += f", {readable(resumed)} of it by an earlier run"
    return f"{text}, in {seconds:.1f} s, {readable((size - resumed) / seconds)}/s"


def readable(size: float) -> str:
    """Return a number of bytes as text."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"


def checked_dtype(name: str | None) -> np.dtype[Any] | None:
    if name not in {None, "float16", "float32", "float64"}:
        raise ApplyError(f"--dtype must be float16, float32 or float64, got {name!r}")
    return None if name is None else np.dtype(name)


def checked_target(source: Path, target: Path) -> Path:
    """Return the path of the file to write, which may exist as a file other than the input, or raise."""
    target = target.resolve()
    try:
        if not target.parent.is_dir():
            raise ApplyError(f"there is no directory {str(target.parent)!r} to write {target.name!r} to")
        if target.exists() and not target.is_file():
            raise ApplyError(f"{str(target)!r} exists and is not a file")
        if target.exists() and source.exists() and target.samefile(source):
            raise ApplyError(
                "the output must be another file than the input, which is read while the output is written"
            )
    except OSError as error:
        # Python's exists() passes on what is neither yes nor no, as of a name that is too long.
        raise ApplyError(f"cannot write to {str(target)!r}: {error.strerror}") from None
    return target


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let a signal that ends the process raise SystemExit here, so that what is open is put in order.

    One that is ignored stays so: SIGHUP under nohup.
    """

    def end(number: int, _: Any) -> None:
        print(f"\nfastact apply: ended by {signal.Signals(number).name}", file=sys.stderr)
        raise SystemExit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, end) for number in numbers if signal.getsignal(number) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
