"""How calls are computed: threads, and what is known of the machine."""

import math
import operator
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np

from fastact._kernels import ufuncs

__all__ = ["get_num_threads", "set_num_threads", "show_config", "threads"]

MOST_THREADS = 2**31 - 1


class ThreadCount(NamedTuple):
    """A number of threads, and the reason in words."""

    threads: int
    reason: str


def get_num_threads() -> int:
    """Return the number of threads a large call from this thread is computed with.

    Returns
    -------
    int
        The calling thread's own number within `threads`, else that of the process.

    Examples
    --------
    >>> import fastact
    >>> with fastact.threads(3):
    ...     fastact.get_num_threads()
    3
    """
    return int(ufuncs.get_threads())


def set_num_threads(n: int) -> None:
    """Set the number of threads that large calls are computed with, for the process.

    Parameters
    ----------
    n : int
        At least 1; may be larger than the number of processors. Results do not depend on it.

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is less than 1.

    Examples
    --------
    >>> import fastact
    >>> fastact.set_num_threads(4)
    """
    ufuncs.set_default_threads(checked_count(n, "set_num_threads"))


def threads(n: int) -> AbstractContextManager[None]:
    """Set the number of threads for the calls of this Python thread in a ``with`` block.

    Parameters
    ----------
    n : int
        At least 1; may be larger than the number of processors. Results do not depend on it.

    Returns
    -------
    context manager
        On leaving, the number is what it was before.

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is less than 1.

    Examples
    --------
    >>> import numpy as np
    >>> import fastact
    >>> with fastact.threads(1):
    ...     y = fastact.sigmoid(np.zeros(100_000))
    """
    return local_threads(checked_count(n, "threads"))


@contextmanager
def local_threads(count: int) -> Iterator[None]:
    previous = ufuncs.get_local_threads()
    ufuncs.set_local_threads(count)
    try:
        yield
    finally:
        ufuncs.set_local_threads(previous)


def checked_count(n: Any, function: str) -> int:
    """Return a number of threads as an int the pool can hold, or raise."""
    try:
        count = operator.index(n)
    except TypeError:
        count = None
    if count is None or isinstance(n, (bool, np.bool_)):
        raise TypeError(f"{function}(): n must be an integer of at least 1, got {type(n).__name__!r}")
    if count < 1:
        raise ValueError(f"{function}(): n must be an integer of at least 1, got {count}")
    return min(count, MOST_THREADS)


def default_threads(environment: Mapping[str, str], affinity: int, root: str = "/") -> ThreadCount:
    """Return the number of threads to begin with.

    Parameters
    ----------
    environment : mapping
        Environment variables: FASTACT_NUM_THREADS, or else OMP_NUM_THREADS, is an upper limit.
    affinity : int
        The number of processors this process may run on.
    root : str
        Where ``proc`` and ``sys`` are to be found.

    Raises
    ------
    ValueError
        If FASTACT_NUM_THREADS is not an integer of at least 1.
    """
    limits = [ThreadCount(affinity, "processors this process may run on")]
    quota = cgroup_quota(root)
    if quota is not None:
        limits.append(ThreadCount(max(1, math.ceil(quota)), "CPU quota of the cgroup"))
    limits += environment_limits(environment)
    return min(limits, key=operator.attrgetter("threads"))


def environment_limits(environment: Mapping[str, str]) -> list[ThreadCount]:
    """Return what the user asks for. OpenMP's variable may be a list, one number for each level of nesting."""
    own = environment.get("FASTACT_NUM_THREADS", "").strip()
    if own:
        if not is_count(own):
            raise ValueError(f"FASTACT_NUM_THREADS must be an integer of at least 1, got {own!r}")
        return [ThreadCount(min(int(own), MOST_THREADS), "FASTACT_NUM_THREADS")]
    first = environment.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return [ThreadCount(min(int(first), MOST_THREADS), "OMP_NUM_THREADS")] if is_count(first) else []


def is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20 and int(text) > 0


def cgroup_quota(root: str) -> float | None:
    """Return the processors' worth of time this process gets, the least of its nested cgroups; None if unlimited."""
    quotas = []
    for line in read(f"{root}/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mounts, quota_of = ("unified", ""), quota_v2
        elif "cpu" in controllers.split(","):
            mounts, quota_of = (controllers, "cpu"), quota_v1
        else:
            continue
        quotas += [quota_of(f"{root}/sys/fs/cgroup/{mount}{group}") for mount in mounts for group in with_parents(path)]
    return min((quota for quota in quotas if quota is not None), default=None)


def with_parents(path: str) -> list[str]:
    """Return "/a/b", "/a" and "" for "/a/b". In a container the path may be the host's: then only "" exists."""
    parts = [part for part in path.split("/") if part]
    return ["".join(f"/{part}" for part in parts[:length]) for length in range(len(parts), -1, -1)]


def quota_v2(group: str) -> float | None:
    return ratio(*read(f"{group}/cpu.max").split()[:2])


def quota_v1(group: str) -> float | None:
    return ratio(*read(f"{group}/cpu.cfs_quota_us").split(), *read(f"{group}/cpu.cfs_period_us").split())


def ratio(*numbers: str) -> float | None:
    """Return quota/period; None unless both are numbers ("max" and -1 mean no limit)."""
    if len(numbers) != 2 or not all(is_count(number) for number in numbers):
        return None
    return int(numbers[0]) / int(numbers[1])


def read(path: str) -> str:
    """Return a file's text, "" if there is none."""
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
    return ""


def affinity() -> int:
    """Return the number of processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def show_config() -> None:
    """Print versions, processor, instruction set and threads, and why they were chosen.

    Examples
    --------
    >>> import fastact
    >>> fastact.show_config()  # doctest: +SKIP
    fastact 0.1.0, NumPy 2.4.0, Python 3.13.1
    processor        : Intel(R) Xeon(R) Processor
    instruction sets : baseline, avx2, avx512
    in use           : avx512 (the best this processor offers)
    threads          : 2 (processors this process may run on)
    backend          : cython
    """
    print(config_text())


def config_text() -> str:
    """Return what `show_config` prints."""
    import fastact

    threads_now = get_num_threads()
    reason = INITIAL_THREADS.reason if threads_now == INITIAL_THREADS.threads else "set_num_threads or threads"
    facts = {
        "processor": processor_name(),
        "instruction sets": ", ".join(ufuncs.AVAILABLE),
        "in use": f"{ufuncs.CHOSEN} ({ufuncs.REASON})",
        "threads": f"{threads_now} ({reason})",
        "backend": "cython",
    }
    python = ".".join(str(part) for part in sys.version_info[:3])
    title = f"fastact {fastact.__version__}, NumPy {np.__version__}, Python {python}"
    return "\n".join([title, *(f"{name:<17}: {value}" for name, value in facts.items())])


def processor_name() -> str:
    import platform

    for line in read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


INITIAL_THREADS = default_threads(os.environ, affinity())
set_num_threads(INITIAL_THREADS.threads)
