"""What can be applied to a file, and how: blocks with the whole axis at once, or two passes where it is too long."""

import ast
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import fastact
from fastact._apply.errors import ApplyError
from fastact._kernels.registry import PUBLIC
from fastact.activations import ELEMENT_WISE

Array = np.ndarray[Any, Any]
Shape3 = tuple[int, int, int]

SOFTMAX_FAMILY = ("softmax", "softmin", "log_softmax")
# Those that look at a whole axis, or at its two halves.
ALONG_AXIS = (*SOFTMAX_FAMILY, "standardize", "glu")
NAMES = (*PUBLIC, "rrelu", *ALONG_AXIS)
# What a block has none of its own of: outputs, random draws (they depend on the place in the whole array), and the axis
# of PReLU's weight, which is one number here.
NOT_HERE = {"x", "out", "options", "training", "rng"}


class TwoPasses(NamedTuple):
    """How statistics of an axis are found piece by piece, and what is made of a piece and the statistics of it all."""

    statistics: Callable[[Array], Any]
    combined: Callable[[Any, Any], Any]
    finished: Callable[[Array, Any], Array]


class Operation(NamedTuple):
    """An operator with its parameters, for blocks of shape (outer, length, inner), along their axis 1."""

    shape: Shape3
    """The input, all of it."""
    result: Shape3
    """The result seen so; then its shape and type as the file is to have them."""
    file_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    whole: Callable[..., Array]
    two_passes: TwoPasses | None


def function_of(name: str) -> Callable[..., Any]:
    """Return the function that users call, or raise."""
    if name not in NAMES:
        from difflib import get_close_matches

        nearest = get_close_matches(name, NAMES) or sorted(NAMES)
        raise ApplyError(f"there is no operator {name!r} to apply; nearest: {', '.join(nearest)}")
    if name == "standardize":
        from fastact.preprocess import standardize

        return standardize
    return ELEMENT_WISE[name] if name in PUBLIC and name not in {"gelu", "prelu"} else getattr(fastact, name)


def accepted_parameters(name: str) -> dict[str, inspect.Parameter]:
    """Return an operator's parameters that can be given, as they are in its signature."""
    function = function_of(name)
    if isinstance(function, np.ufunc):
        return {}
    excluded = NOT_HERE | ({"axis"} if name == "prelu" else set())
    parameters = inspect.signature(function).parameters
    return {key: value for key, value in parameters.items() if key not in excluded}


def parsed_parameters(name: str, given: Sequence[str]) -> dict[str, Any]:
    """Return the parameters written as ``name=value``, each as its signature has it, or raise."""
    accepted = accepted_parameters(name)
    expected = ", ".join(str(without_type(parameter)).replace(" ", "") for parameter in accepted.values()) or "none"
    parameters: dict[str, Any] = {}
    for text in given:
        key, separator, value = text.partition("=")
        if not separator:
            raise ApplyError(f"--param must be written as name=value, got {text!r}")
        if key not in accepted:
            raise ApplyError(f"{name} has no parameter {key!r} here; accepted: {expected}")
        if key in parameters:
            raise ApplyError(f"--param {key} is given twice")
        parameters[key] = parsed(f"{name}: --param {key}", value, accepted[key])
    required = (key for key, parameter in accepted.items() if parameter.default is parameter.empty)
    missing = [key for key in required if key not in parameters]
    if missing:
        raise ApplyError(f"{name} needs {' and '.join(f'--param {key}=...' for key in missing)}")
    return parameters


def without_type(parameter: inspect.Parameter) -> inspect.Parameter:
    return parameter.replace(annotation=parameter.empty, kind=parameter.POSITIONAL_OR_KEYWORD)


def parsed(what: str, text: str, parameter: inspect.Parameter) -> Any:
    """Return one parameter's value: text where the default is text, an axis or axes, else a number."""
    if isinstance(parameter.default, str):
        return text
    if parameter.name == "axis":
        try:
            axis = ast.literal_eval(text.capitalize() if text.lower() == "none" else text)
        except (SyntaxError, ValueError):
            axis = text
        numbers = axis if isinstance(axis, tuple) else (axis,)
        if axis is not None and not all(type(number) is int for number in numbers):
            raise ApplyError(f"{what} must be an integer, several as in 0,1, or none, got {text!r}")
        return axis
    try:
        return float(text)
    except ValueError:
        raise ApplyError(f"{what} must be a number, got {text!r}") from None


class Given(NamedTuple):
    """The array in a file, as its header has it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool


def operation(name: str, parameters: Mapping[str, Any], given: Given, dtype: np.dtype[Any] | None) -> Operation:
    """Return an operation on a file's array, tried on one element: what an operator refuses is refused here."""
    function, options = function_of(name), dict(parameters)
    if name not in ALONG_AXIS:
        size = math.prod(given.shape)
        options |= {} if dtype is None else {"dtype": dtype}
        seen = (size, 1, 1)
        return tried(lambda x, **out: function(x, **options, **out), seen, seen, given.shape, None, given)

    axes = checked_axes(name, options.pop("axis", inspect.signature(function).parameters["axis"].default), given.shape)
    seen, shape = middle(axes, given), given.shape
    if name == "glu":
        if len(axes) > 1 or seen[1] % 2:
            raise ApplyError(f"glu: the axis must be a single one of even length, got a length of {seen[1]}")
        shape = tuple(length // 2 if axis in axes else length for axis, length in enumerate(shape))
        seen = (seen[0], 2, seen[1] // 2 * seen[2])

    def whole(x: Array, **out: Array) -> Array:
        return function(x if dtype is None else x.astype(dtype), axis=1, **options, **out)  # type: ignore[no-any-return]

    return tried(whole, seen, (seen[0], 1, seen[2]) if name == "glu" else seen, shape, two_passes(name, options), given)


def tried(
    whole: Callable[..., Array],
    seen: Shape3,
    result: Shape3,
    shape: tuple[int, ...],
    passes: TwoPasses | None,
    given: Given,
) -> Operation:
    try:
        dtype = whole(np.ones((1, 2, 1), given.dtype)).dtype
    except (TypeError, ValueError) as error:
        raise ApplyError(str(error)) from None
    return Operation(seen, result, shape, dtype, whole, passes)


def checked_axes(name: str, axis: int | tuple[int, ...] | None, shape: tuple[int, ...]) -> Sequence[int]:
    """Return the axes as neighbouring numbers from 0. A 0-d array counts as one of one element."""
    limit = max(1, len(shape))
    given = range(limit) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if not all(-limit <= number < limit for number in given):
        raise ApplyError(f"{name}: axis {axis} is out of bounds for a file of {len(shape)} dimensions")
    axes = sorted({number % limit for number in given})
    if not axes or len(axes) < len(given) or axes[-1] - axes[0] >= len(axes):
        raise ApplyError(f"{name}: the axes must be neighbours, each named once, got {axis}")
    return axes


def middle(axes: Sequence[int], given: Given) -> Shape3:
    """Return a file's shape, slowest index first, as (outer, length, inner), `length` being that of the axes."""
    first, last = axes[0], axes[-1] + 1
    before, length, after = (
        math.prod(part) for part in (given.shape[:first], given.shape[first:last], given.shape[last:])
    )
    return (after, length, before) if given.is_fortran else (before, length, after)


def two_passes(name: str, options: Mapping[str, Any]) -> TwoPasses | None:
    """Return how an operator is computed of an axis too long for memory, None for those that look at elements.

    All of it is in float64, whatever the file's type: what is rounded to that is the result.
    """
    if name == "standardize":
        eps = options.get("eps", 0.0)
        return TwoPasses(moments, combined_moments, lambda x, all_: standardized(x, all_, eps))
    if name in SOFTMAX_FAMILY:
        sign = -1 if name == "softmin" else 1

        def finished(x: Array, total: Array) -> Array:
            # An infinite sum, as of a row with inf, makes all of the row NaN.
            logarithm = sign * x.astype(np.float64) - np.where(np.isposinf(total), np.nan, total)
            return logarithm if name == "log_softmax" else np.exp(logarithm)

        return TwoPasses(
            lambda x: fastact.logsumexp(sign * x.astype(np.float64), axis=1, keepdims=True), np.logaddexp, finished
        )
    return None


class Moments(NamedTuple):
    """The number of elements, their mean, and the sum of their squared distances from it."""

    number: int
    mean: Array
    squares: Array


def moments(x: Array) -> Moments:
    mean, variance = fastact.moments(x.astype(np.float64), axis=1, keepdims=True)
    return Moments(x.shape[1], mean, variance * x.shape[1])


def combined_moments(a: Moments, b: Moments) -> Moments:
    """Return the moments of two sets of elements together.

    Chan, Golub and LeVeque (1979), Updating formulae and a pairwise algorithm for computing sample variances: only
    the distance of the two means is squared, nothing cancels.
    """
    number = a.number + b.number
    distance = b.mean - a.mean
    mean = a.mean + distance * (b.number / number)
    return Moments(number, mean, a.squares + b.squares + distance * distance * (a.number * (b.number / number)))


def standardized(x: Array, moments: Moments, eps: float) -> Array:
    """Return (x - mean)/sqrt(var + eps), 0 for constant elements."""
    deviation = np.sqrt(moments.squares / moments.number + eps)
    centered = x.astype(np.float64) - moments.mean
    return np.divide(centered, np.where(deviation == 0, np.inf, deviation), out=centered)
