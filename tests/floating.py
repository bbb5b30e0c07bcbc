"""The processor's floating-point environment, through the C library."""

import ctypes
import ctypes.util
import platform
from collections.abc import Iterator
from contextlib import contextmanager

IS_X86_64 = platform.machine() in {"x86_64", "AMD64"}
IS_ARM_64 = platform.machine() in {"aarch64", "arm64"}
UPWARD = {True: 0x800, False: 0x400000}[IS_X86_64]
DOWNWARD = {True: 0x400, False: 0x800000}[IS_X86_64]
TOWARD_ZERO = 0xC00
ALL_FLAGS = {True: 0x3D, False: 0x1F}[IS_X86_64]
INEXACT = {True: 0x20, False: 0x10}[IS_X86_64]
# In glibc's fenv_t on x86-64, the register that SSE and AVX obey.
MXCSR_OFFSET = 28
FLUSH_TO_ZERO = 0x8040
# How far left of the x87's two bits MXCSR has them.
MXCSR_ROUNDING = 3

LIBRARY = ctypes.CDLL(ctypes.util.find_library("m"))


def flags() -> int:
    return LIBRARY.fetestexcept(ALL_FLAGS)


def clear_flags() -> None:
    LIBRARY.feclearexcept(ALL_FLAGS)


def raise_flags() -> None:
    LIBRARY.feraiseexcept(ALL_FLAGS)


def rounding_mode() -> int:
    """Return the mode. On x86-64 there are two: the C library answers for the x87, vectors obey MXCSR."""
    mode = LIBRARY.fegetround()
    if IS_X86_64:
        assert control_register() >> MXCSR_ROUNDING & TOWARD_ZERO == mode, "x87 and MXCSR round differently"
    return mode


@contextmanager
def rounding(mode: int) -> Iterator[None]:
    """Round in this direction."""
    previous = rounding_mode()
    assert LIBRARY.fesetround(mode) == 0
    try:
        yield
    finally:
        LIBRARY.fesetround(previous)


def control_register() -> int:
    """Return MXCSR without the flags."""
    environment = (ctypes.c_ubyte * 32)()
    LIBRARY.fegetenv(environment)
    return int.from_bytes(environment[MXCSR_OFFSET:], "little") & ~0x3F


@contextmanager
def subnormals_flushed() -> Iterator[None]:
    """Take subnormal numbers for 0, as other libraries like to leave the processor."""
    previous = (ctypes.c_ubyte * 32)()
    LIBRARY.fegetenv(previous)
    changed = (ctypes.c_ubyte * 32)(*previous)
    register = int.from_bytes(previous[MXCSR_OFFSET:], "little") | FLUSH_TO_ZERO
    changed[MXCSR_OFFSET:] = list(register.to_bytes(4, "little"))
    LIBRARY.fesetenv(changed)
    try:
        yield
    finally:
        LIBRARY.fesetenv(previous)
