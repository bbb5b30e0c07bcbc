"""Memory between two pages that must not be touched. Run as a program: a wrong access ends the process."""

import ctypes
import itertools
import mmap

import numpy as np

from cases import CASES, FLOATS, HALVES, assert_same_bits

LENGTHS = range(1, 71)
NO_ACCESS = 0
LIBRARY = ctypes.CDLL(None, use_errno=True)
LIBRARY.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class GuardedPage:
    """A page of memory with a forbidden one before and after."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 3 * mmap.PAGESIZE)
        address = ctypes.addressof((ctypes.c_char * len(self.memory)).from_buffer(self.memory))
        for page in (0, 2):
            assert LIBRARY.mprotect(address + page * mmap.PAGESIZE, mmap.PAGESIZE, NO_ACCESS) == 0

    def array(self, n: int, dtype: np.dtype, is_at_end: bool) -> np.ndarray:
        """Return n elements that end where the page ends, or begin where it begins."""
        size = n * dtype.itemsize
        offset = 2 * mmap.PAGESIZE - size if is_at_end else mmap.PAGESIZE
        return np.frombuffer(self.memory, dtype, n, offset)


def main() -> None:
    pages = [GuardedPage() for _ in range(3)]
    checked = 0
    for case, dtype, is_at_end, n in itertools.product(CASES, FLOATS + HALVES, (False, True), LENGTHS):
        *inputs, out = (page.array(n, dtype, is_at_end) for page in pages[: case.arrays + 1])
        for array, values in zip(inputs, case.inputs(n, dtype), strict=True):
            array[:] = values
        expected = case.public(*case.inputs(n, dtype))
        for call in (case.public, case.raw):
            out[:] = 0
            call(*inputs, out=out)
            assert_same_bits(out, expected)
        case.public(*(array[::-1] for array in inputs), out=out[::-1])
        assert_same_bits(out, expected)
        checked += 1
    print(checked)


if __name__ == "__main__":
    main()
