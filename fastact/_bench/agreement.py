"""Whether fastact and another way to compute the same agree, as far as the other's own error allows."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact._bench.cases import Array, Prepared

WIDER = {"float16": np.float32, "float32": np.float64, "float64": np.longdouble}
# Who is further off, as a part of the largest result, computes something else.
ANOTHER_THING = {"float16": 0.1, "float32": 1e-3, "float64": 1e-6}
# Of fastact's results, which are within 2 units or so, and of how a wider result was rounded.
UNITS = 8
# Samples of one distribution have means this many standard errors apart, at most.
STANDARD_ERRORS = 6


def check(prepared: Prepared, other: Callable[[], Any]) -> None:
    """Raise AssertionError unless fastact's result is the other's to within the other's own error.

    That error is measured: the textbook's line is computed again in a wider type. Where terms cancel, the unit is
    theirs: of a gradient, dy's; of a reduction or a normalization, that of the largest result. Where the other
    overflows, it says nothing.
    """
    case = prepared.case
    ours = results_of(case.function(*prepared.arguments, **case.options))
    with np.errstate(all="ignore"):
        theirs = results_of(other())
        if case.is_random:
            for a, b in zip(ours, theirs, strict=True):
                check_distribution(case.name, a, b)
            return
        wide = results_of(case.line(*(widened(a) for a in prepared.arguments), *case.defaults))
        for a, b, exact in zip(ours, theirs, wide, strict=True):
            check_values(case.name, a, b, exact, terms(prepared, exact))


def results_of(result: Any) -> list[Array]:
    return [np.asarray(part) for part in (result if isinstance(result, tuple) else (result,))]


def widened(argument: Any) -> Any:
    wider = WIDER.get(argument.dtype.name) if isinstance(argument, np.ndarray) else None
    return argument.astype(wider) if wider else argument


def terms(prepared: Prepared, exact: Array) -> Any:
    """Return the size of what is added up to a result."""
    case, first = prepared.case, prepared.arguments[0]
    is_element_wise = case.family in {"activations", "gradients"} and exact.shape == first.shape
    size = np.abs(exact) if is_element_wise else np.max(np.abs(exact), where=np.isfinite(exact), initial=0)
    if case.name.startswith("grad."):
        size = size + (np.abs(first.astype(exact.dtype)) if is_element_wise else np.max(np.abs(first)))
    return size


def check_values(name: str, ours: Array, theirs: Array, exact: Array, terms: Any) -> None:
    """Raise unless |ours - theirs| is at most their error, and a few units in the last place of the terms."""
    assert ours.shape == theirs.shape == exact.shape, f"{name}: shapes {ours.shape}, {theirs.shape}, {exact.shape}"
    if not ours.size:
        return
    if exact.dtype.kind != "f":
        ours, theirs, exact = (array.astype(np.float64) for array in (ours, theirs, exact))
    floats = [array.dtype for array in (ours, theirs) if array.dtype.kind == "f"]
    narrow = min(floats, key=lambda dtype: dtype.itemsize, default=np.dtype(np.float32))
    unit = np.finfo(narrow).eps
    # 1: a sum of terms of order 1, taken in binary64, may be left with that much of an error itself.
    allowed = np.abs(theirs - exact) + UNITS * (unit * terms + np.finfo(np.float64).eps + smallest(narrow))
    is_known = np.isfinite(theirs) & np.isfinite(exact)
    excess = np.where(is_known, np.abs(ours.astype(exact.dtype) - theirs) - allowed, 0)
    worst = np.unravel_index(np.argmax(excess), excess.shape)
    off = np.where(is_known, np.abs(theirs - exact), 0) / (np.max(terms) + smallest(narrow))
    assert off.max() <= ANOTHER_THING[narrow.name], f"{name}: the other computes something else, {off.max():.1e} off"
    assert excess[worst] <= 0, (
        f"{name}: {ours[worst]!r} at {worst}, the other has {theirs[worst]!r}, in a wider type {exact[worst]!r}"
    )


def smallest(dtype: Any) -> float:
    return float(np.finfo(dtype).smallest_subnormal)


def check_distribution(name: str, ours: Array, theirs: Array) -> None:
    """Raise unless the means of two samples, and of their squares, differ by chance."""
    assert ours.shape == theirs.shape, f"{name}: shapes {ours.shape} and {theirs.shape}"
    if ours.dtype == np.uint8:
        ours, theirs = np.unpackbits(ours), np.unpackbits(theirs)
    for power in (1, 2):
        a, b = ours.astype(np.float64) ** power, theirs.astype(np.float64) ** power
        error = np.sqrt((a.var() + b.var()) / a.size) + 1e-12
        distance = abs(a.mean() - b.mean())
        # A few elements can be all kept or all dropped.
        assert a.size < 100 or distance <= STANDARD_ERRORS * error, f"{name}: means differ by {distance / error:.1f}"
