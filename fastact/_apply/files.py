""".npy files that are read and written in runs of elements, and results that appear complete or not at all."""

import errno
import fcntl
import io
import math
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from fastact._apply.errors import ApplyError
from fastact._apply.operators import Given
from fastact._apply.tiles import Run

Array = np.ndarray[Any, Any]

FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EFBIG: "the largest size of a file is reached",
}


class Source:
    """A .npy file to be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.is_fifo():
                raise ApplyError(f"{str(path)!r} is a pipe: what is read in blocks has to be a file")
            # The map is dropped at once: it is only for the header and whether the file is as long as that says.
            array = np.lib.format.open_memmap(path, mode="r")
            self.file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ApplyError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
        except ValueError as error:
            raise ApplyError(f"{str(path)!r} is not a .npy file that can be read in blocks: {error}") from None
        if array.dtype.kind not in "fiub":
            what = "named fields" if array.dtype.names else "Python objects" if array.dtype.hasobject else "no numbers"
            raise ApplyError(f"{str(path)!r} has {what} (dtype {array.dtype}); bool, integers or floats are needed")
        self.given = Given(array.shape, array.dtype, bool(array.flags.f_contiguous and not array.flags.c_contiguous))
        self.offset = int(getattr(array, "offset", 0))
        self.state = self.current_state()

    def current_state(self) -> tuple[int, int, int, int]:
        """Return what changes when somebody writes to the file, or puts another in its place."""
        state = self.path.stat()
        return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns

    def read(self, runs: Iterable[Run], array: Array) -> None:
        """Fill an array with runs of elements."""
        memory = memoryview(array.reshape(-1).view(np.uint8).data)
        size = self.given.dtype.itemsize
        for run in runs:
            begin, length = self.offset + run.begin * size, run.size * size
            try:
                read_all(self.file, memory[:length], begin)
            except OSError as error:
                raise ApplyError(f"cannot read {str(self.path)!r}: {error.strerror}") from None
            memory = memory[length:]
            # What is most probably next: the disk works while we compute.
            os.posix_fadvise(self.file, begin + length, length, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        os.close(self.file)

    def check_unchanged(self) -> None:
        if self.current_state() != self.state:
            raise ApplyError(f"{str(self.path)!r} has changed while it was read")


def read_all(file: int, memory: memoryview, position: int) -> None:
    while memory:
        count = os.preadv(file, [memory], position)
        if count == 0:
            raise ApplyError("the input has become shorter while it was read")
        memory, position = memory[count:], position + count


# The disk is given what it has to write this often. Of 2 GiB the fsync at the end then waits 0.04 s instead of 1 s.
SENT = 2**26


class Part:
    """The file that the result is written to before it gets its name."""

    def __init__(self, file: int, offset: int, itemsize: int, done: int) -> None:
        self.file, self.offset, self.itemsize = file, offset, itemsize
        # The elements at its beginning that an earlier run has written.
        self.done = done
        self.waiting = 0

    def write(self, runs: Iterable[Run], array: Array) -> None:
        """Write an array's elements to runs of elements."""
        memory = memoryview(array.reshape(-1).view(np.uint8).data)
        for run in runs:
            length = run.size * self.itemsize
            write_all(self.file, memory[:length], self.offset + run.begin * self.itemsize)
            memory = memory[length:]
        self.waiting += array.nbytes
        if self.waiting >= SENT:
            # Begins to write what is not on the disk yet, and lets the page cache go of what is.
            os.posix_fadvise(self.file, 0, 0, os.POSIX_FADV_DONTNEED)
            self.waiting = 0


def write_all(file: int, memory: memoryview, position: int) -> None:
    while memory:
        count = os.pwrite(file, memory, position)
        memory, position = memory[count:], position + count


def header(given: Given) -> bytes:
    """Return what a .npy file of such an array begins with."""
    text = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(given.dtype)
    np.lib.format.write_array_header_1_0(
        text, {"descr": descr, "fortran_order": given.is_fortran, "shape": given.shape}
    )
    return text.getvalue()


@contextmanager
def complete_or_not_at_all(target: Path, job: str, given: Given, is_resumable: bool) -> Iterator[Part]:
    """Write a file under another name in its directory, and rename it when the block is left without an exception.

    The other name tells the job, so that the same job goes on where it was ended, by whatever: what is written in order
    is there as far as the file is long. What other jobs have left for the same target is removed.
    """
    begin = header(given)
    path = target.with_name(f".{target.name}.{job}.part")
    remove_others(target, path)
    file = locked(path)
    itemsize = given.dtype.itemsize
    part = Part(file, len(begin), itemsize, done(file, begin, itemsize) if is_resumable else 0)
    try:
        if part.done == 0:
            os.ftruncate(file, 0)
        require_space(target, math.prod(given.shape) * itemsize + len(begin) - os.fstat(file).st_size)
        write_all(file, memoryview(begin), 0)
        yield part
        # The bytes before the name: after a power cut there is no complete name on incomplete contents.
        os.fsync(file)
        path.replace(target)
    except OSError as error:
        path.unlink(missing_ok=True)
        reason = FULL.get(error.errno or 0) or error.strerror or error
        raise ApplyError(f"cannot write {str(target)!r}: {reason}") from None
    except ApplyError:
        path.unlink(missing_ok=True)
        raise
    except BaseException:
        if not is_resumable:
            path.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)


def done(file: int, begin: bytes, itemsize: int) -> int:
    """Return how many elements follow the header in what an earlier run has left; 0 if it is not the same header."""
    size = os.fstat(file).st_size - len(begin)
    return size // itemsize if size > 0 and os.pread(file, len(begin), 0) == begin else 0


def locked(path: Path) -> int:
    """Open a file for writing, for this process alone."""
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise ApplyError(f"cannot write to {str(path.parent)!r}: {error.strerror}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise ApplyError(f"another process is writing {str(path)!r}") from None
        with suppress(FileNotFoundError):
            if os.fstat(file).st_ino == path.stat().st_ino:
                return file
        # Renamed by the process that had it, between the two calls.
        os.close(file)


def remove_others(target: Path, own: Path) -> None:
    """Remove what other jobs, which are not running any more, have left for this target."""
    left = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{16}}\.part")
    try:
        paths = [path for path in target.parent.iterdir() if path != own and left.fullmatch(path.name)]
    except OSError as error:
        raise ApplyError(f"cannot read {str(target.parent)!r}: {error.strerror}") from None
    for path in paths:
        os.close(locked(path))
        path.unlink(missing_ok=True)


def require_space(target: Path, size: int) -> None:
    """Raise if there is no room: it would be found out after hours otherwise."""
    state = os.statvfs(target.parent)
    if state.f_bavail * state.f_frsize < size:
        raise OSError(errno.ENOSPC, "")
