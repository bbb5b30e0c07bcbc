"""What the kernels need to know of (x*scale - mean)/std: lines on which bytes round as in float64, or a table."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from fastact._kernels import channels

Array = np.ndarray[Any, Any]

BYTES = np.arange(256)
# Lines with a low part a few units off, one of which rounds right where the first does not.
TRIALS = (0, 1, -1, 2, -2, 3, -3, 4)


class Plan(NamedTuple):
    """The kernels' name and their parameters, of shape (numbers, channels)."""

    kernels: str
    parameters: Array


@lru_cache(maxsize=64)
def plan_of_bytes(kernels: str, scale: float, mean: tuple[float, ...], std: tuple[float, ...]) -> Plan:
    """Return kernels whose results are the nearest float32 to the float64 formula's, for each byte."""
    with np.errstate(all="ignore"):
        table = (BYTES[:, None] * scale - np.array(mean)) / np.array(std)
        rounded = table.astype(np.float32)
        lines = [line(table[:, c], rounded[:, c], scale / std[c]) for c in range(len(mean))]
    found = [parameters for parameters in lines if parameters is not None]
    is_table = len(found) < len(lines)
    parameters = rounded if is_table else np.ascontiguousarray(np.stack(found, axis=1))
    parameters.flags.writeable = False
    return Plan("image_table" if is_table else kernels, parameters)


def line(exact: Array, rounded: Array, slope: float) -> Array | None:
    """Return origin, slope and value there, both in two parts, for `on_lines` in images.py; None if there are none."""
    origin = int(np.argmin(np.abs(exact)))
    if not np.isfinite(rounded).all() or slope == 0:
        return None
    # 16 bits of the slope; the value as a multiple of the same unit.
    unit = 2.0 ** (np.frexp(slope)[1] - 16)
    slope_high, value_high = (np.round(number / unit) * unit for number in (slope, exact[origin]))
    for trial in TRIALS:
        parts = [origin, slope_high, slope - slope_high, value_high, exact[origin] - value_high]
        parameters = np.array(parts, np.float32)
        parameters[2] += trial * np.spacing(parameters[2])
        if np.array_equal(on_line(parameters), rounded):
            return parameters
    return None


def on_line(parameters: Array) -> Array:
    """Return what the kernel makes of each byte."""
    y = np.empty(256, np.float32)
    channels.run("float32", "image_bytes", BYTES.astype(np.uint8), y, parameters[:, None])
    return y


@lru_cache(maxsize=64)
def plan_of_numbers(kernels: str, scale: float, mean: tuple[float, ...], std: tuple[float, ...]) -> Plan:
    with np.errstate(all="ignore"):
        parameters = np.array([(scale,) * len(mean), mean, 1 / np.array(std)])
    parameters.flags.writeable = False
    return Plan(kernels, parameters)
