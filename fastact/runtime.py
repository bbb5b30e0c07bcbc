"""How calls are computed: threads, and what is known of the machine."""

import math
import operator
import os
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, ContextDecorator, suppress
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from fastact._kernels import backend, forks, tiers, ufuncs, workers

__all__ = ["get_backend", "get_num_threads", "set_backend", "set_num_threads", "show_config", "threads", "warmup"]

MOST_THREADS = 2**31 - 1
# Python reads longer numbers in quadratic time, and may refuse them.
MOST_DIGITS = 640
# The files with the kernels of functions that are not ufuncs, gradients included, by the module of their public names.
FILES_OF_KERNELS = {
    "dropout": ("philox", "halves"),
    "normalization": ("moments", "normalize", "sums", "gradients", "weight_gradients", "row_gradients", "planes"),
    "penalties": ("sums",),
    "softmax": ("softmax", "logsumexp", "gradients", "grad_softmax", "losses"),
}
# What operators that are ufuncs or made of them need besides.
BESIDES = {
    "glu": ("grad_glu_apply_row",),
    "prelu": ("slope_sums_row", "slope_sums_columns", "slope_sums_combine"),
    "rrelu": ("rectify", "leaky_relu", "grad_leaky_relu", "uniform"),
}


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
    return int(workers.get_threads())


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
    workers.set_default_threads(checked_count(n, "set_num_threads"))


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
    return LocalThreads(checked_count(n, "threads"))


class LocalThreads(threading.local, ContextDecorator):
    """A number of threads for as long as it lasts; may be used again, also by other Python threads at the same time."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.previous: list[int] = []

    def __enter__(self) -> None:
        self.previous.append(workers.get_local_threads())
        workers.set_local_threads(self.count)

    def __exit__(self, *_: object) -> None:
        workers.set_local_threads(self.previous.pop())


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


def default_threads(environment: Mapping[str, str], affinity: int, quota: float | None) -> ThreadCount:
    """Return the number of threads to begin with.

    Parameters
    ----------
    environment : mapping
        Environment variables: FASTACT_NUM_THREADS, or else OMP_NUM_THREADS, is an upper limit.
    affinity : int
        The number of processors this process may run on.
    quota : float or None
        How many processors' worth of time it gets, None for all.

    Raises
    ------
    ValueError
        If FASTACT_NUM_THREADS is not an integer of at least 1.
    """
    limits = [ThreadCount(affinity, "processors this process may run on")]
    if quota is not None:
        limits.append(ThreadCount(max(1, math.ceil(quota)), "CPU quota of the cgroup"))
    limits += environment_limits(environment)
    return min(limits, key=operator.attrgetter("threads"))


def own_processors(affinity: int, quota: float | None) -> int:
    """Return how many processors may be kept busy without taking time from this process itself."""
    return affinity if quota is None else min(affinity, int(quota))


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
    return text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS and int(text) > 0


def cgroup_quota(root: str = "/") -> float | None:
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


def get_backend() -> str:
    """Return the backend: "auto", "numba" or "cython".

    Examples
    --------
    >>> import fastact
    >>> fastact.get_backend()  # doctest: +SKIP
    'auto'
    """
    return tiers.get_backend()


def set_backend(name: str) -> None:
    """Choose whose kernels compute, for the process. Results do not depend on it, to the last bit.

    Parameters
    ----------
    name : {"auto", "numba", "cython"}
        "cython": the kernels compiled ahead of time. "auto": these, until a kernel has used 50 ms; then Numba compiles
        it for this very processor in the background, and no call waits. "numba": a kernel is compiled when it is first
        called on more than one element, and that call waits; large arrays are computed in Numba's threads, whose layer
        must be omp or tbb.

    Raises
    ------
    TypeError, ValueError
        If `name` is none of these.
    RuntimeError
        If it is "numba" and Numba cannot be used; the message says why.

    Examples
    --------
    >>> import fastact
    >>> fastact.set_backend("cython")
    >>> fastact.set_backend("auto")
    """
    accepted = ", ".join(repr(accepted) for accepted in backend.BACKENDS)
    if not isinstance(name, str):
        raise TypeError(f"set_backend(): name must be one of {accepted}, got {type(name).__name__!r}")
    if name not in backend.BACKENDS:
        raise ValueError(f"set_backend(): name must be one of {accepted}, got {name!r}")
    if name == "numba":
        require_numba("set_backend")
    tiers.set_backend(name)


def require_numba(function: str) -> None:
    try:
        backend.compiler()
    except backend.UnusableError as error:
        raise RuntimeError(f"{function}(): the backend 'numba' cannot be used: {error}") from None


def warmup(names: str | Iterable[str] | None = None, dtypes: Any = None) -> None:
    """Compile kernels with Numba now, or load them from the cache, so that no later call has to wait.

    Shows a progress bar if standard error is a terminal and tqdm is installed. Does nothing if the backend is
    "cython", or "auto" without a usable Numba.

    Parameters
    ----------
    names : str or iterable of str, optional
        Functions, as in ``fastact.NAME``, which includes their gradients, or ufuncs, as in ``fastact.ufuncs.NAME``.
        Of one that is no ufunc (softmax, layer_norm, dropout) the kernels of its whole family. All by default.
    dtypes : dtype or iterable of dtypes, optional
        The types of arrays to come. Floating-point types and bool; all by default.

    Raises
    ------
    TypeError
        If a dtype is none that operators take.
    ValueError
        If a name is unknown.
    RuntimeError
        If the backend is "numba" and Numba cannot be used.

    Examples
    --------
    >>> import fastact
    >>> fastact.warmup(["sigmoid", "elu"], "float32")  # doctest: +SKIP
    """
    kernels, precisions = kernels_of(names), precisions_of(dtypes)
    if get_backend() == "cython":
        return
    if get_backend() == "numba":
        require_numba("warmup")
    for key in with_progress([key for key in tiers.compilable() if key[0] in kernels and key[1] in precisions]):
        backend.compile_one(key)


def kernels_of(names: str | Iterable[str] | None) -> set[str]:
    """Return the names of kernels for names of functions, ufuncs or kernels."""
    known = {*ufuncs.UFUNCS, *ufuncs.BLOCK_KERNELS}
    if names is None:
        return known
    kernels: set[str] = set()
    several = [names] if isinstance(names, str) or not np.iterable(names) else names
    for name in several:
        if not isinstance(name, str):
            raise TypeError(f"warmup(): names must be a string or some of them, got {type(name).__name__!r}")
        found = ({name, f"grad_{name}", *BESIDES.get(name, ())} | block_kernels_of(name)) & known
        if not found:
            from difflib import get_close_matches

            nearest = get_close_matches(str(name), ufuncs.UFUNCS) or sorted(ufuncs.UFUNCS)
            raise ValueError(
                f"warmup(): names must be operators or ufuncs, got {name!r}; nearest: {', '.join(nearest)}"
            )
        kernels.update(found)
    return kernels


def block_kernels_of(name: str) -> set[str]:
    """Return the names of kernels that a public function which is no ufunc may need: those of its family."""
    from fastact._kernels import signatures

    families = [family for family in FILES_OF_KERNELS if name in import_module(f"fastact.{family}").__all__]
    if not families:
        return set()
    files = {file for family in families for file in FILES_OF_KERNELS[family]}
    return {kernel for kernel, file in signatures.read().files.items() if file in files}


def precisions_of(dtypes: Any) -> set[str]:
    """Return the types in which arrays of these types are computed."""
    if dtypes is None:
        return {"float32", "float64"}
    is_one = isinstance(dtypes, (str, type, np.dtype)) or not np.iterable(dtypes)
    precisions: set[str] = set()
    for given in [dtypes] if is_one else dtypes:
        try:
            dtype = np.dtype(given)
        except (TypeError, ValueError):
            raise TypeError(f"warmup(): dtypes must be a dtype or some of them, got {given!r}") from None
        name = {"float16": "float32", "bfloat16": "float32", "bool": "float32"}.get(dtype.name, dtype.name)
        if name not in ("float32", "float64"):
            raise TypeError(f"warmup(): dtypes must be floating-point types of 16 to 64 bits or bool, got {dtype.name}")
        precisions.add(name)
    return precisions


def with_progress(keys: list[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """Return the keys, with a progress bar where somebody sees it."""
    if sys.stderr is None or not sys.stderr.isatty():
        return keys
    try:
        from tqdm import tqdm
    except ImportError:
        return keys
    return tqdm(keys, desc="fastact: compiling", unit="kernel", leave=False)  # type: ignore[no-any-return]


def show_config() -> None:
    """Print versions, processor, threads and compilers, why they were chosen, and which compiler's kernels run.

    Examples
    --------
    >>> import fastact
    >>> fastact.show_config()  # doctest: +SKIP
    fastact 0.1.0, NumPy 2.4.0, Python 3.13.1
    processor        : Intel(R) Xeon(R) Processor
    instruction sets : baseline, avx2, avx512
    in use           : avx512 (the best this processor offers)
    threads          : 2 (processors this process may run on)
    backend          : auto
    Numba            : 0.68.1 (not imported yet)
    large arrays     : own threads
    kernels          : float32 float64
      elu            : numba   cython
      ...
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
        "backend": get_backend(),
        "Numba": numba_text(),
        "large arrays": "Numba's threads" if tiers.uses_numba_threads() else own_threads_text(),
        "kernels": "float32 float64",
        **kernel_texts(),
    }
    python = ".".join(str(part) for part in sys.version_info[:3])
    title = f"fastact {fastact.__version__}, NumPy {np.__version__}, Python {python}"
    width = max(map(len, facts)) + 1
    return "\n".join([title, *(f"{name:<{width}}: {value}" for name, value in facts.items())])


def numba_text() -> str:
    """Return Numba's version, or why it is not used."""
    from importlib.metadata import PackageNotFoundError, version

    if backend.STATE.unusable:
        return f"not used: {backend.STATE.unusable}"
    if backend.STATE.compiler is not None:
        return str(backend.STATE.compiler.versions()[0])
    try:
        return f"{version('numba')} (not imported yet)"
    except PackageNotFoundError:
        return "not installed"


def own_threads_text() -> str:
    reason = backend.STATE.failures.get(tiers.THREADS)
    return f"own threads ({reason})" if reason and get_backend() == "numba" else "own threads"


def kernel_texts() -> dict[str, str]:
    """Return what runs now of each kernel, and why Numba could not compile it if that is so."""
    texts = {}
    for name in (*ufuncs.UFUNCS, *ufuncs.BLOCK_KERNELS):
        running = [running_version((name, precision)) for precision in ("float32", "float64")]
        failures = {reason for (failed, _), reason in backend.STATE.failures.items() if failed == name}
        failures -= {backend.STATE.unusable}
        texts[f"  {name}"] = "  ".join([f"{running[0]:<7}", running[1], *sorted(failures)])
    return {
        **texts,
        "  all others": "cython (conversions, integers as they are, steps of fused functions: no Numba version)",
    }


def running_version(key: tuple[str, str]) -> str:
    if not tiers.is_kernel(key):
        return ""
    return "numba" if tiers.runs_numba(key) else "cython"


def processor_name() -> str:
    import platform

    for line in read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


AFFINITY = affinity()
QUOTA = cgroup_quota()
INITIAL_THREADS = default_threads(os.environ, AFFINITY, QUOTA)
workers.set_processors(own_processors(AFFINITY, QUOTA))
set_num_threads(INITIAL_THREADS.threads)
forks.begin()
