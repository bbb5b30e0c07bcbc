"""A file's array as (outer, length, inner), an operator working along the middle axis, cut into blocks for memory."""

from collections.abc import Iterator
from typing import NamedTuple

# Elements of a tile at most: 4 MiB of float32. Tiles of 16 MiB are no faster.
BLOCK = 2**20
# Shorter runs of elements than this cost more by the call that reads them than by their bytes.
RUN = 2**13


class Tile(NamedTuple):
    """A part of an array of shape (outer, length, inner), given by where it begins and its own shape."""

    begin: tuple[int, int, int]
    shape: tuple[int, int, int]


class Run(NamedTuple):
    """Elements that are neighbours in the file: where they begin, and how many."""

    begin: int
    size: int


def groups(shape: tuple[int, int, int]) -> Iterator[list[Tile]]:
    """Cut an array into tiles, in the order of the file where possible.

    What is in one group belongs together: all of it has to be seen before any of it can be computed. Mostly that is a
    single tile, with the whole length; else the length is cut as well.
    """
    outer, length, inner = shape
    if length * inner <= BLOCK:
        step = BLOCK // max(1, length * inner)
        for begin in range(0, outer if length * inner else 0, step):
            yield [Tile((begin, 0, 0), (min(step, outer - begin), length, inner))]
        return
    # As narrow as a run, all rows may fit; else strips of columns that leave room for some rows.
    columns = BLOCK // length if length * RUN <= BLOCK else min(inner, BLOCK // 16)
    rows = min(length, BLOCK // columns)
    for index in range(outer):
        for column in range(0, inner, columns):
            width = min(columns, inner - column)
            parts = ((row, min(rows, length - row)) for row in range(0, length, rows))
            yield [Tile((index, row, column), (1, count, width)) for row, count in parts]


def runs(tile: Tile, shape: tuple[int, int, int]) -> list[Run]:
    """Return where the elements of a tile are in the file, in their order in the tile."""
    _, length, inner = shape
    (outer, row, column), (count, rows, columns) = tile
    begin = (outer * length + row) * inner + column
    if columns == inner:
        return [Run(begin, count * rows * columns)]
    return [Run(begin + k * inner, columns) for k in range(rows)]


def of_result(tile: Tile, result: tuple[int, int, int]) -> Tile:
    """Return the tile that is computed of one: the same, or its only row where the operator makes one of two."""
    count, rows, columns = tile.shape
    return Tile(tile.begin, (count, min(rows, result[1]), columns))


def is_in_order(shape: tuple[int, int, int], result: tuple[int, int, int]) -> bool:
    """Return whether the results of one tile after the other are one run after the other in the file."""
    return result[1] == 1 or all(tile.shape[2] == shape[2] for tile in next(groups(shape), []))
