"""Measure softmax, moments and normalizations beside NumPy, SciPy and torch: ``python bench/reductions.py``.

One process, in turns, the fastest burst counts. Nanoseconds an element, and how many times as fast as the best of the
others: larger is better. Everything writes a new array unless it can be given one.
"""

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy import special
from speed import Time, in_turns

import fastact

Functions = dict[str, Callable[[], object]]
functional = torch.nn.functional


def softmax_family(shape: tuple[int, int], axis: int) -> dict[str, Functions]:
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32) * np.float32(3)
    t, y = torch.from_numpy(x), np.empty_like(x)
    out = torch.from_numpy(y)
    return {
        "softmax": {
            "fastact": partial(fastact.softmax, x, axis, out=y),
            "torch": lambda: torch.softmax(t, axis, out=out),
            "scipy": lambda: special.softmax(x, axis),
        },
        "log_softmax": {
            "fastact": partial(fastact.log_softmax, x, axis, out=y),
            "torch": lambda: torch.log_softmax(t, axis, out=out),
            "scipy": lambda: special.log_softmax(x, axis),
        },
        "logsumexp": {
            "fastact": partial(fastact.logsumexp, x, axis),
            "torch": lambda: torch.logsumexp(t, axis),
            "scipy": lambda: special.logsumexp(x, axis),
        },
    }


def row_norms(shape: tuple[int, int]) -> dict[str, Functions]:
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    t, n = torch.from_numpy(x), shape[-1]
    weight, bias = np.ones(n, np.float32), np.zeros(n, np.float32)
    w, b, y = torch.from_numpy(weight), torch.from_numpy(bias), np.empty_like(x)
    return {
        "layer_norm": {
            "fastact": partial(fastact.layer_norm, x, weight, bias),
            "fastact out=": partial(fastact.layer_norm, x, weight, bias, out=y),
            "torch": lambda: functional.layer_norm(t, (n,), w, b),
        },
        "rms_norm": {
            "fastact": partial(fastact.rms_norm, x, weight),
            "fastact out=": partial(fastact.rms_norm, x, weight, out=y),
            "torch": lambda: functional.rms_norm(t, (n,), w, 1e-6),
        },
        "normalize": {
            "fastact": partial(fastact.normalize, x),
            "fastact out=": partial(fastact.normalize, x, out=y),
            "torch": lambda: functional.normalize(t),
        },
    }


def batch_norms(shape: tuple[int, ...]) -> dict[str, Functions]:
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    channels = np.arange(1, shape[1] + 1, dtype=np.float32)
    t, c, y = torch.from_numpy(x), torch.from_numpy(channels), np.empty_like(x)
    ours = partial(fastact.batch_norm, x, channels, channels, channels, channels)
    theirs = partial(functional.batch_norm, t, c.clone(), c.clone(), c, c)
    return {
        f"batch_norm {mode}{'+relu' if relu else ''}": {
            "fastact": partial(ours, mode == "train", activation="relu" if relu else None),
            "fastact out=": partial(ours, mode == "train", activation="relu" if relu else None, out=y),
            "torch": lambda mode=mode, relu=relu: (
                torch.relu_(theirs(mode == "train")) if relu else theirs(mode == "train")
            ),
        }
        for mode in ("eval", "train")
        for relu in (False, True)
    }


def moments(shape: tuple[int, int]) -> dict[str, Functions]:
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    t = torch.from_numpy(x)
    return {
        f"moments axis={axis}": {
            "fastact": partial(fastact.moments, x, axis),
            "numpy": lambda axis=axis: (x.mean(axis), x.var(axis)),
            "torch": lambda axis=axis: torch.var_mean(t, dim=axis, correction=0),
            "(plain read)": lambda: np.max(x),
        }
        for axis in (0, 1, None)
    }


def show(case: str, elements: int, times: dict[str, Time]) -> None:
    ours = min(time.best for name, time in times.items() if name.startswith("fastact"))
    others = [time.best for name, time in times.items() if not name.startswith(("fastact", "("))]
    nanoseconds = ", ".join(f"{name} {time.best * 1e9 / elements:.3f}" for name, time in times.items())
    print(f"{case:<40} {min(others) / ours:5.2f}x  {nanoseconds}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--only", default="", help="part of a case's name")
    arguments = parser.parse_args()
    fastact.set_num_threads(arguments.threads)
    torch.set_num_threads(arguments.threads)
    softmax_shapes = (((1024, 64), -1), ((4096, 256), -1), ((1048, 1000), -1), ((32, 32000), -1), ((1000, 1048), 0))
    groups = [(f"{shape} axis {axis}", shape, partial(softmax_family, shape, axis)) for shape, axis in softmax_shapes]
    groups += [(f"{s}", s, partial(row_norms, s)) for s in ((4096, 256), (1365, 768), (256, 4096))]
    groups += [(f"{s}", s, partial(batch_norms, s)) for s in ((4096, 256), (32, 64, 56, 56))]
    groups += [(f"{s}", s, partial(moments, s)) for s in ((4096, 256), (65536, 256))]
    for label, shape, make in groups:
        for name, functions in make().items():
            case = f"{name} {label}"
            if arguments.only in case:
                show(case, int(np.prod(shape)), in_turns(functions, arguments.rounds))


if __name__ == "__main__":
    main()
