"""Numba's type inference without its changes to the warnings filters, which belong to the whole process.

Numba puts every step of it into `warnings.catch_warnings`, which is not for threads: two that are in such blocks at a
time leave each other's filters behind. A host that had blocks of its own while a kernel was compiled in the background
lost one warning in 30,000, found filters changed for good, and its warnings, taken for Numba's and issued once more,
made compilations fail. So while we compile, in this thread and in no other, these blocks do nothing. What Numba warns
of then goes to the filters as they are, at once rather than at the end of the step.

This module imports Numba: only `numba_backend.py` imports it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import errors


class Here(threading.local):
    """What is so in one thread."""

    is_ours = False


HERE = Here()
FIXER: Any = vars(errors)["WarningsFixer"]
of_numba = FIXER.catch_warnings


@contextmanager
def catch_warnings(fixer: Any, filename: Any = None, lineno: Any = None) -> Iterator[None]:
    if HERE.is_ours:
        yield
    else:
        with of_numba(fixer, filename, lineno):
            yield


@contextmanager
def filters_untouched() -> Iterator[None]:
    """Compile without a change to the process's warnings filters."""
    outer, HERE.is_ours = HERE.is_ours, True
    try:
        yield
    finally:
        HERE.is_ours = outer


FIXER.catch_warnings = catch_warnings
