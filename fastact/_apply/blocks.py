"""The work itself: read a tile, compute, write. The memory is that of a few tiles, used again and again."""

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastact._apply import tiles
from fastact._apply.files import Part, Source
from fastact._apply.operators import Operation
from fastact._apply.tiles import Tile, groups, of_result, runs

Array = np.ndarray[Any, Any]
Advance = Callable[[int], Any]


def compute(work: Operation, source: Source, part: Part) -> None:
    """Compute all tiles but those that an earlier run has written."""
    memory, out = np.empty(tiles.BLOCK, source.given.dtype), np.empty(tiles.BLOCK, work.dtype)

    def read(tile: Tile) -> Array:
        x = memory[: math.prod(tile.shape)].reshape(tile.shape)
        source.read(runs(tile, work.shape), x)
        return x

    with np.errstate(all="ignore"), progress_bar(work, source.given.dtype.itemsize) as advance:
        for group in groups(work.shape):
            left = [tile for tile in group if end(tile, work) > part.done]
            if not left:
                advance(passes(group) * size_of(group))
                continue
            finish = work.whole if len(group) == 1 else finishing(work, group, read, advance)
            advance(size_of(group) - size_of(left))
            for tile in left:
                x, target = read(tile), of_result(tile, work.result)
                y = out[: math.prod(target.shape)].reshape(target.shape)
                finish(x, out=y)
                part.write(runs(target, work.result), y)
                advance(x.size)


def finishing(
    work: Operation, group: list[Tile], read: Callable[[Tile], Array], advance: Advance
) -> Callable[..., Any]:
    """Return the function for the second pass over a group, from the statistics that the first one collects."""
    steps = work.two_passes
    assert steps is not None

    def statistics(tile: Tile) -> Any:
        x = read(tile)
        advance(x.size)
        return steps.statistics(x)

    total = functools.reduce(steps.combined, map(statistics, group))
    return lambda x, out: np.copyto(out, steps.finished(x, total), casting="unsafe")


def end(tile: Tile, work: Operation) -> int:
    """Return how many elements of the result are there once a tile's are written, if all are written in order."""
    begin, count = runs(of_result(tile, work.result), work.result)[-1]
    return begin + count


def size_of(group: list[Tile]) -> int:
    return sum(math.prod(tile.shape) for tile in group)


def passes(group: list[Tile]) -> int:
    return min(len(group), 2)


@contextmanager
def progress_bar(work: Operation, itemsize: int) -> Iterator[Advance]:
    """Show what is done, in bytes read, and how fast; nothing if tqdm is not installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        yield lambda _: None
        return
    total = math.prod(work.shape) * itemsize * passes(next(groups(work.shape), []))
    with tqdm(total=total, unit="B", unit_scale=True, unit_divisor=1024) as bar:
        yield lambda elements: bar.update(elements * itemsize)
