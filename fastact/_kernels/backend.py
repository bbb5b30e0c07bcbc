"""Compiles what `tiers.pyx` wants compiled: finds Numba, or why there is none, and the cache; never raises.

One step is done at a time: the import of Numba, a kernel, or Numba's threads. Numba is imported in the first of them,
which is in the background thread unless the caller of `set_backend` or `warmup` has asked for it.
"""

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from types import FrameType, ModuleType

from fastact._kernels import tiers, ufuncs

VARIABLE = "FASTACT_BACKEND"
BACKENDS = ("auto", "numba", "cython")
# What the front end's interfaces were tested with.
OLDEST_NUMBA = (0, 62)
Key = tuple[str, str]


class UnusableError(RuntimeError):
    """Numba cannot be used, for the reason given."""


class LeavingError(BaseException):
    """The process is about to end."""


class State:
    """What the threads of a process share."""

    def __init__(self) -> None:
        self.step = threading.RLock()
        self.compiler: ModuleType | None = None
        # Why there is no compiler, why a kernel has no Numba version, and why there are no threads of Numba's.
        self.unusable = ""
        self.failures: dict[Key, str] = {}
        self.is_leaving = False
        # Whether modules that take locks in forks are imported, and ours are taken before theirs.
        self.knows_locks = False
        # The thread that forks, while it holds the step.
        self.forking: int | None = None


STATE = State()


def chosen(environment: Mapping[str, str]) -> str:
    """Return the backend to begin with."""
    requested = environment.get(VARIABLE, "").strip() or "auto"
    if requested not in BACKENDS:
        raise ValueError(f"{VARIABLE} must be one of {', '.join(BACKENDS)}, got {requested!r}")
    return requested


# ---- Numba, if there is one.


def compiler() -> ModuleType:
    """Return `numba_backend`, or raise `UnusableError`."""
    import_what_takes_locks()
    with STATE.step:
        if STATE.compiler is None and not STATE.unusable:
            try:
                STATE.compiler = import_compiler()
            except UnusableError as error:
                STATE.unusable = str(error)
            except Exception as error:  # noqa: BLE001 (a broken Numba may raise anything)
                STATE.unusable = f"Numba cannot be imported: {described(error)}"
        if STATE.compiler is None:
            raise UnusableError(STATE.unusable)
        return STATE.compiler


def import_what_takes_locks() -> None:
    """Do what `forks` says of it, before the step: a fork that waits for the step calls no more than it knew of before.

    What is registered meanwhile it would call afterwards alone, and open locks that are not closed.
    """
    if STATE.compiler is None and not STATE.unusable and not STATE.is_leaving:
        from fastact._kernels import forks

        # A process that ends imports no threads any more.
        with suppress(RuntimeError):
            forks.import_what_takes_locks()


def import_compiler() -> ModuleType:
    if ufuncs.CHOSEN == "baseline" and len(ufuncs.AVAILABLE) > 1:
        raise UnusableError(f"{ufuncs.REASON}: compiled for this processor, the last bits would differ")
    if not ufuncs.FUSED:
        raise UnusableError("this processor has no fused multiply-add: the last bits would differ")
    with abandonable():
        version = str(getattr(import_module("numba"), "__version__", "unknown"))
        if version_of(version) < OLDEST_NUMBA:
            oldest = ".".join(map(str, OLDEST_NUMBA))
            raise UnusableError(f"Numba {version} is too old: {oldest} is the oldest that is known to work")
        return import_module("fastact._kernels.numba_backend")


def version_of(text: str) -> tuple[int, ...]:
    """Return the first two numbers of a version."""
    numbers = []
    for part in text.split(".")[:2]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        numbers.append(int(digits) if digits else 0)
    return tuple(numbers)


def described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


@contextmanager
def abandonable() -> Iterator[None]:
    """End an import before its next module if the process is to end, which would have to wait for all of it."""

    def stop_before_module(frame: FrameType, _event: str, _argument: object) -> None:
        if STATE.is_leaving and frame.f_code.co_name == "<module>":
            raise LeavingError

    # Of this thread alone; the import takes 5% longer.
    previous = sys.gettrace()
    sys.settrace(stop_before_module)
    try:
        yield
    finally:
        sys.settrace(previous)


# ---- Compilation.


# What takes longer in Numba (200000 numbers to bytes: 36 us instead of 21) stays with Cython in `auto`, hot or not.
FASTER_AHEAD: frozenset[Key] = frozenset({("quantize_row", "float32")})


def compile_wanted() -> None:
    """Compile what is wanted. The background thread calls it again if something is wanted meanwhile."""
    for key in tiers.compilable():
        if tiers.status_of(key) == "wanted":
            if key in FASTER_AHEAD and tiers.get_backend() == "auto":
                STATE.failures[key] = "faster as it is"
                tiers.fail(key)
            else:
                compile_one(key)
    if tiers.status_of(tiers.THREADS) == "wanted":
        compile_one(tiers.THREADS)


def compile_one(key: Key) -> None:
    """Compile or load a kernel, or Numba's threads, unless that is done, and let it run. Never raises."""
    import_what_takes_locks()
    with STATE.step:
        if STATE.is_leaving or tiers.status_of(key) in ("compiled", "failed"):
            return
        try:
            if key == tiers.THREADS:
                compiler()
                tiers.install_threads(*import_module("fastact._kernels.numba_threads").launch())
            else:
                tiers.install(key, *addresses_of(*key))
        except (Exception, LeavingError) as error:  # noqa: BLE001 (there is a kernel that works)
            STATE.failures[key] = str(error) if isinstance(error, UnusableError) else described(error)
            tiers.fail(key)


def addresses_of(name: str, precision: str) -> tuple[int, ...]:
    """Return the addresses of a kernel's Numba version, from the cache or from the compiler."""
    # Of what it imports, nothing is needed before.
    from fastact._kernels import cache

    numba = compiler()
    directory, kept_as, key_of_code = cache.directory(os.environ), f"{precision}-{name}", cache.key(*numba.facts(name))
    code = cache.read(directory, kept_as, key_of_code)
    if code is None:
        code = numba.compile_kernel(name, precision)
        cache.write(directory, kept_as, key_of_code, code)
    addresses: tuple[int, ...] = numba.load(name, code)
    return addresses


tiers.set_backend(chosen(os.environ))
tiers.compile_wanted = compile_wanted
