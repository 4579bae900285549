"""How blocks are cut into the rows of tiles, and the values in the order in which tiles read them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from pathgraph.cache_lines import aligned_empty

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["aligned", "cut", "packed_for_one", "packed_groups", "packed_rows", "packed_vectors", "starts"]


@cache
def cut(b: int, tall: int, short: int) -> tuple[int, int]:
    """How many tall and short tiles cover b rows with the least work; a row of a short tile counts for a little more.

    Parameters
    ----------
    b : int
    tall, short : int
        Rows of a tile.

    Examples
    --------
    >>> cut(64, 6, 4), cut(48, 6, 4), cut(1, 6, 4)
    ((10, 1), (8, 0), (0, 1))
    """
    choices = []
    for n_tall in range(-(-b // tall) + 1):
        n_short = max(0, -(-(b - n_tall * tall) // short))
        if b >= tall or n_tall <= 1:
            choices.append((n_tall * tall + 1.1 * n_short * short, n_tall, n_short))
    _, n_tall, n_short = min(choices)
    return n_tall, n_short


def aligned(array: Array) -> Array:
    """A copy that begins with a cache line: vectors that lie across two lines are loaded at half the rate."""
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def starts(b: int, n_tall: int, n_short: int, tall: int, short: int) -> list[tuple[int, int]]:
    """The first row of each tile and how many it has: the last of either kind ends with the block, if it fits in."""
    heights = [(p * tall, tall) for p in range(n_tall)]
    heights += [(n_tall * tall + p * short, short) for p in range(n_short)]
    return [(max(min(first, b - height), 0), height) for first, height in heights]


def packed_rows(values: Array, tiles: list[tuple[int, int]]) -> Array:
    """The values block by block, tile by tile, and in it for each k the numbers of its rows.

    Parameters
    ----------
    values : ndarray, shape (a, b, c, d)
    tiles : list of (int, int)
        Of `starts`. A tile that is higher than a block repeats the last row.

    Returns
    -------
    ndarray, shape (a, d, size of a block)

    Examples
    --------
    >>> import numpy as np
    >>> packed_rows(np.arange(6).reshape(1, 3, 2, 1), [(0, 2), (1, 2)]).ravel()
    array([0, 2, 1, 3, 2, 4, 3, 5])
    """
    a, b, c, d = values.shape
    out = np.empty((a, d, c * sum(height for _, height in tiles)), dtype=values.dtype)
    at = 0
    for first, height in tiles:
        rows = np.minimum(np.arange(first, first + height), b - 1)
        part = out[:, :, at : at + c * height].reshape(a, d, c, height)
        part[...] = values[:, rows].transpose(0, 3, 2, 1)
        out[:, :, at : at + c * height] = part.reshape(a, d, -1)
        at += c * height
    return out


def packed_vectors(values: Array, width: int, last: int = 0) -> Array:
    """The values block by block, panel by panel of `width` rows, and in it for each k the numbers of its rows.

    Parameters
    ----------
    values : ndarray, shape (a, b, c, d)
    width : int
        The last panel ends with the block; if this has fewer rows, zeros follow.
    last : int
        Rows of the last panel, if it is another number: more than `width`, and at most b.

    Returns
    -------
    ndarray, shape (a, d, size of a block)

    Examples
    --------
    >>> import numpy as np
    >>> packed_vectors(np.arange(6).reshape(1, 3, 2, 1), 2).tolist()
    [[[0, 2, 1, 3, 2, 4, 3, 5]]]
    >>> packed_vectors(np.arange(6).reshape(1, 3, 2, 1), 2, 3).tolist()
    [[[0, 2, 4, 1, 3, 5]]]
    """
    b = values.shape[1]
    widths = [width] * (b // width - 1) + [last] if last else [width] * -(-b // width)
    return _panelled(values, [(max(min(p * width, b - wide), 0), wide) for p, wide in enumerate(widths)])


def packed_for_one(values: Array, lanes: int, most: int) -> Array:
    """The values block by block, panel by panel of at most `most` rows, and in it for each k the numbers of its rows.

    Parameters
    ----------
    values : ndarray, shape (a, b, c, d)
    lanes : int
        The rows of a block are filled up with zeros to a multiple of it.
    most : int
        A multiple of `lanes`.

    Returns
    -------
    ndarray, shape (a, d, size of a block)

    Examples
    --------
    >>> import numpy as np
    >>> packed_for_one(np.arange(1, 11).reshape(1, 5, 2, 1), 2, 4).tolist()
    [[[1, 3, 5, 7, 2, 4, 6, 8, 9, 0, 10, 0]]]
    """
    rows = -(-values.shape[1] // lanes) * lanes
    return _panelled(values, [(first, min(most, rows - first)) for first in range(0, rows, most)])


def _panelled(values: Array, panels: list[tuple[int, int]]) -> Array:
    """The values block by block, in panels of a first row and a number of rows; zeros follow behind the last row."""
    a, _, c, d = values.shape
    out = np.zeros((a, d, c * sum(wide for _, wide in panels)), dtype=values.dtype)
    at = 0
    for first, wide in panels:
        rows = values[:, first : first + wide].transpose(0, 3, 2, 1)
        panel = out[:, :, at : at + c * wide].reshape(a, d, c, wide)  # a view: the last axis is split
        panel[..., : rows.shape[-1]] = rows
        at += c * wide
    return out


def packed_groups(values: Array, width: int) -> Array:
    """As `packed_vectors`, where rows are pairs (j, l), l fastest.

    Parameters
    ----------
    values : ndarray, shape (a, b, c, d)
    width : int

    Returns
    -------
    ndarray, shape (a, 1, size of a block with all l)

    Examples
    --------
    >>> import numpy as np
    >>> packed_groups(np.arange(8).reshape(1, 2, 2, 2), 4).tolist()
    [[[0, 1, 4, 5, 2, 3, 6, 7]]]
    """
    a, b, c, d = values.shape
    return packed_vectors(values.transpose(0, 1, 3, 2).reshape(a, b * d, c, 1), width)
