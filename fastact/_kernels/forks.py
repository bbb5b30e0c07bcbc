"""Forking and leaving wait for the compiler's step under way: 0.3 s at most, in which nobody has noticed it otherwise.

A child would inherit locks that nobody opens (Numba's, LLVM's, those of half-imported modules), whether it computes
with us or with Numba itself. And LLVM must not run while the process takes itself apart.
"""

import atexit
import os
import threading
import time
from importlib import import_module

from fastact._kernels import tiers
from fastact._kernels.backend import STATE

LONGEST_FORK_DELAY = 10.0
LONGEST_EXIT_DELAY = 30.0
# What Numba imports, and what takes a lock of its own before each fork.
LOCKED_IN_FORKS = ("logging", "concurrent.futures.thread")


def begin() -> None:
    atexit.register(leave)
    register()


def register() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=before, after_in_parent=after_in_parent, after_in_child=after_in_child)


def import_what_takes_locks() -> None:
    """Be called before them at a fork: what was registered last is called first.

    Else the fork takes logging's lock and waits for our step, in which Numba's import waits for logging's lock.
    """
    if not STATE.knows_locks:
        for module in LOCKED_IN_FORKS:
            import_module(module)
        register()
        STATE.knows_locks = True


def before() -> None:
    if STATE.forking != threading.get_ident() and STATE.step.acquire(timeout=LONGEST_FORK_DELAY):
        STATE.forking = threading.get_ident()


def after_in_parent() -> None:
    if STATE.forking == threading.get_ident():
        STATE.forking = None
        STATE.step.release()


def after_in_child() -> None:
    """Let the child go on with what is compiled; it may compile the rest, unless the fork came in mid-compile."""
    if STATE.forking == threading.get_ident() or STATE.step.acquire(blocking=False):
        STATE.step.release()
    else:
        STATE.step = threading.RLock()
        STATE.compiler = None
        STATE.unusable = "this process was forked while Numba was at work in another thread"
    STATE.forking = None
    tiers.forget_wanted()
    STATE.failures[tiers.THREADS] = "this process was forked: Numba's threads belong to its parent"
    tiers.fail(tiers.THREADS)


def leave() -> None:
    """Wait until the background thread has left Numba, and everybody Numba's threads."""
    STATE.is_leaving = True
    end = time.monotonic() + LONGEST_EXIT_DELAY
    while not tiers.close() and time.monotonic() < end:
        time.sleep(0.002)
