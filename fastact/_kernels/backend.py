"""Which compiler's kernels run, and when Numba compiles.

Every kernel begins on Cython. Its loop takes the time; when it is hot (auto) or called for the first time (numba), it
is wanted, and a background thread of `background.cpp` calls `compile_wanted` here. Numba is imported there, and nowhere
else but in `set_backend("numba")` and `warmup`. Whatever fails leaves the kernel on Cython and its reason in `STATE`.

Forking and leaving wait for the step under way, 0.2 s at most but for the import: a child would inherit locks that
nobody opens, and LLVM must not run while the process takes itself apart.
"""

import atexit
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType, ModuleType

from fastact._kernels import registry, ufuncs

VARIABLE = "FASTACT_BACKEND"
BACKENDS = ("auto", "numba", "cython")
# What the front end's interfaces were tested with.
OLDEST_NUMBA = (0, 62)
LONGEST_FORK_DELAY = 10.0
LONGEST_EXIT_DELAY = 30.0
Key = tuple[str, str]


class UnusableError(RuntimeError):
    """Numba cannot be used, for the reason given."""


class LeavingError(BaseException):
    """The process is about to end."""


class State:
    """What the threads of a process share."""

    def __init__(self) -> None:
        self.backend = "auto"
        self.compiler: ModuleType | None = None
        self.unusable = ""
        self.failures: dict[Key, str] = {}
        # The address of what starts a parallel region, and the most threads it can use; or why there is none.
        self.launcher: tuple[int, int] | None = None
        self.threads_reason = ""
        self.is_leaving = False
        self.renew_locks()

    def renew_locks(self) -> None:
        self.step = threading.RLock()
        self.change = threading.RLock()
        self.forking: int | None = None


STATE = State()
ROWS = {row.name: row for row in registry.kernels()}


def chosen(environment: dict[str, str] | os._Environ[str]) -> str:
    """Return the backend to begin with."""
    requested = environment.get(VARIABLE, "").strip() or "auto"
    if requested not in BACKENDS:
        raise ValueError(f"{VARIABLE} must be one of {', '.join(BACKENDS)}, got {requested!r}")
    return requested


def choose(backend: str) -> None:
    """Let kernels run on a backend from now on."""
    with STATE.change:
        STATE.backend = backend
        for key in ufuncs.compilable():
            ufuncs.prefer(key, backend)
        is_numba = backend == "numba"
        ufuncs.open_gate(*(STATE.launcher if is_numba and STATE.launcher else (0, 1)))
        ufuncs.offer_gate(is_numba and not STATE.launcher and not STATE.threads_reason)


# ---- Numba, if there is one.


def compiler() -> ModuleType:
    """Return `numba_backend`, or raise `UnusableError`."""
    with STATE.step:
        if STATE.compiler is None and not STATE.unusable:
            try:
                STATE.compiler = import_compiler()
            except UnusableError as error:
                STATE.unusable = str(error)
            except Exception as error:  # noqa: BLE001 (a broken Numba may raise anything)
                STATE.unusable = f"Numba cannot be imported: {type(error).__name__}: {error}"
        if STATE.compiler is None:
            raise UnusableError(STATE.unusable)
        return STATE.compiler


def import_compiler() -> ModuleType:
    if ufuncs.CHOSEN == "baseline" and len(ufuncs.AVAILABLE) > 1:
        raise UnusableError(f"{ufuncs.REASON}: compiled for this processor, the last bits would differ")
    if not ufuncs.FUSED:
        raise UnusableError("this processor has no fused multiply-add: the last bits would differ")
    with abandonable():
        fork_after_this_step()
        numba = import_module("numba")
        version = str(getattr(numba, "__version__", "unknown"))
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


@contextmanager
def abandonable() -> Iterator[None]:
    """End an import before its next module if the process is to end: `leave` would have to wait for all of it."""

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


def compile_wanted() -> None:
    """Compile what is wanted. The background thread calls it again if something is wanted meanwhile."""
    for key in ufuncs.compilable():
        if ufuncs.status_of(key) == "wanted":
            compile_one(key)
    if ufuncs.is_gate_asked_for() and not STATE.launcher and not STATE.threads_reason:
        open_gate()


def compile_one(key: Key) -> None:
    """Compile or load a kernel, unless that is done, and let it run. Never raises."""
    with STATE.step:
        if ufuncs.status_of(key) in ("compiled", "failed"):
            return
        try:
            addresses = addresses_of(key)
        except UnusableError:
            for other in ufuncs.compilable():
                if ufuncs.status_of(other) != "compiled":
                    ufuncs.fail(other)
        except LeavingError:
            ufuncs.fail(key)
        except Exception as error:  # noqa: BLE001 (there is a kernel that works)
            STATE.failures[key] = f"{type(error).__name__}: {error}".partition("\n")[0]
            ufuncs.fail(key)
        else:
            with STATE.change:
                ufuncs.install(key, *addresses)
                ufuncs.prefer(key, STATE.backend)


def addresses_of(key: Key) -> tuple[int, int]:
    """Return the addresses of a kernel's Numba version, from the cache or from the compiler."""
    if STATE.is_leaving:
        raise LeavingError
    from fastact._kernels import cache

    name, precision = key
    numba = compiler()
    row = ROWS[name]
    directory, kept_as, key_of_code = cache.directory(os.environ), f"{precision}-{name}", cache.key(*numba.facts(row))
    code = cache.read(directory, kept_as, key_of_code)
    if code is None:
        code = numba.compile_kernel(row, precision)
        cache.write(directory, kept_as, key_of_code, code)
    scalar, array = numba.load(row, code)
    return scalar, array


def open_gate() -> None:
    """Compute large calls in Numba's threads, if they can be had."""
    with STATE.step:
        try:
            STATE.launcher = compiler().launch()
        except Exception as error:  # noqa: BLE001 (there are threads that work)
            STATE.threads_reason = str(error) or type(error).__name__
            return
        with STATE.change:
            if STATE.backend == "numba" and not STATE.is_leaving:
                ufuncs.open_gate(*STATE.launcher)


# ---- Forking and leaving.


# What Numba imports and takes a lock for as long as somebody forks: whoever took that one first and then waited for our
# step, would wait for a step that waits for him.
LOCKED_IN_FORKS = ("logging", "concurrent.futures.thread")


def fork_after_this_step() -> None:
    """Be the first to hear of a fork: what was registered last is called first."""
    for module in LOCKED_IN_FORKS:
        import_module(module)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=before_fork)


def before_fork() -> None:
    if STATE.forking != threading.get_ident() and STATE.step.acquire(timeout=LONGEST_FORK_DELAY):
        STATE.forking = threading.get_ident()


def after_fork_in_parent() -> None:
    if STATE.forking == threading.get_ident():
        STATE.forking = None
        STATE.step.release()


def after_fork_in_child() -> None:
    """Let the child go on with what is compiled. Its own compiler is fine, unless the fork came in the middle."""
    if STATE.forking != threading.get_ident():
        STATE.compiler = None
        STATE.unusable = "this process was forked while Numba was at work in another thread"
    STATE.renew_locks()
    STATE.launcher = None
    ufuncs.offer_gate(False)
    STATE.threads_reason = "this process was forked: Numba's threads belong to its parent"
    for key in ufuncs.compilable():
        ufuncs.forget(key)
        ufuncs.prefer(key, STATE.backend)


def leave() -> None:
    """Wait until the background thread has left Numba, 0.2 s at most."""
    STATE.is_leaving = True
    end = time.monotonic() + LONGEST_EXIT_DELAY
    while not ufuncs.close() and time.monotonic() < end:
        time.sleep(0.002)


def begin() -> None:
    """Take over: the kernels run, and call back."""
    choose(chosen(os.environ))
    ufuncs.compile_wanted = compile_wanted
    atexit.register(leave)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=before_fork, after_in_parent=after_fork_in_parent, after_in_child=after_fork_in_child
        )


begin()
