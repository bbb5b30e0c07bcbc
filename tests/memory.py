"""How much memory a call needs."""

import time
import tracemalloc
from collections.abc import Callable

import fastact
from fastact._kernels import tiers


def peak_of(call: Callable[[], object]) -> int:
    """Return how much Python and NumPy have at most beside what was there before: of a call that is not the first.

    What is imported at a first call, and what Numba needs in the background, is none of its memory.
    """
    call()
    backend = fastact.get_backend()
    if backend == "auto":
        fastact.set_backend("cython")
    while tiers.is_compiling():
        time.sleep(0.01)
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        fastact.set_backend(backend)
