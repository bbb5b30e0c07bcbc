"""Formulas for usual arguments: of which there is a second version, and what it calls instead of what.

Both compilers make it of the one text by other names: of the primitives that are something else for usual arguments,
and of all that call them.
"""

from collections.abc import Iterable, Mapping

PRIMITIVES = {"rare", "limit_negative", "limit_positive"}
SUFFIX = "_usual"
UNIT = "_unit"


def versions(name: str, count: int) -> list[str]:
    """Return the formulas that a loop of usual arguments takes.

    Parameters
    ----------
    name : str
        Of a formula.
    count : int
        How many parameters it has: with one, the second version is of the formula with the parameter 1.
    """
    unit = [name + UNIT] * count
    return [name, *unit, (unit or [name])[0] + SUFFIX]


def callers(calls: Mapping[str, Iterable[str]], names: Iterable[str]) -> set[str]:
    """Return those that call one of these names, directly or not.

    Parameters
    ----------
    calls : mapping of str to iterable of str
        Each function and the names it calls.
    names : iterable of str
        What they call in the end.
    """
    found: set[str] = set()
    sought = set(names)
    while sought:
        sought = {name for name, called in calls.items() if not sought.isdisjoint(called)} - found
        found |= sought
    return found


def asking(calls: Mapping[str, Iterable[str]]) -> set[str]:
    """Return those whose second version has fewer operations: they ask what is rare."""
    return callers(calls, {"rare"})


def second_names(calls: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return the name in the second version of each function and primitive that is another one there."""
    return {name: name + SUFFIX for name in PRIMITIVES | callers(calls, PRIMITIVES)}
