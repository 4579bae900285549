"""The copies and sums of a convolution: what its windows read, and what they send back, between classes of positions.

A window map has k1 x ... x kd taps.

* `gathered` copies what each window reads into a column, which has one row for each channel and tap.
* `gone_back` is its transpose: it adds up what the columns send back, by the classes that were read.
* `collected` adds up what is sent from positions along each tap, by the positions where it arrives: the last step of a
  transposed convolution.
* `arrived` is the transpose of that.

Each has two executions: by NumPy, and, with `quick`, by compiled loops over an index array, for columns that compiled
products read or make (`pathgraph.layers.window_loops`). The order of every sum is fixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from pathgraph.layers import window_loops
from pathgraph.layers.partitions import PADDING, Partition, Reads

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["arrived", "collected", "gathered", "gone_back"]

KEPT = 1 << 14
"""An index array is remembered if it, and the array it points into, have at most so many entries together."""

KEPT_QUICK = 1 << 17
"""The same for compiled loops, whose arrays are half as large."""


class Index:
    """An index array that can be the key of a dict: it is compared by its contents."""

    __slots__ = ("array", "key")

    def __init__(self, array: Array) -> None:
        self.array, self.key = array, (array.shape, array.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Index) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def gathered(values: Array, maps: Sequence[Reads], *, quick: bool = False) -> Array:
    """The windows of values (C, S, c1, ..., cd) as columns: shape (C taps, S windows)."""
    shape, index = values.shape[1:], _indices(maps)
    rows = values.reshape(len(values), -1)
    if quick:
        return window_loops.gathered(rows, _quick_places(shape, index))
    flat = np.zeros((len(values), math.prod(shape) + 1), dtype=values.dtype)
    flat[:, :-1] = rows
    return np.asarray(np.take(flat, _remembered(_window_index, shape, index), axis=1, mode="clip"))


def _indices(maps: Sequence[Reads]) -> tuple[Index, ...]:
    return tuple(Index(m.classes) for m in maps)


def _remembered(
    make: Callable[..., Array], shape: tuple[int, ...], maps: tuple[Index, ...], *, most: int = KEPT
) -> Array:
    """An index array, kept for the next call if it and what it points into have at most so many entries."""
    size = math.prod(shape) + math.prod(m.array.size for m in maps) * shape[0]
    return _kept(make, shape, maps) if size <= most else make(shape, maps)


@lru_cache(maxsize=512)
def _kept(make: Callable[..., Array], shape: tuple[int, ...], maps: tuple[Index, ...]) -> Array:
    return make(shape, maps)


def _window_index(shape: tuple[int, ...], maps: tuple[Index, ...]) -> Array:
    """What each window reads at each tap, as flat positions in (S, c1, ..., cd); one past the end for the padding.

    The result has shape (k1, ..., kd, S, n1, ..., nd).
    """
    n, nothing = len(maps), math.prod(shape)
    index, is_padding = np.zeros((1,) * (2 * n), dtype=np.int64), np.zeros((1,) * (2 * n), dtype=bool)
    for axis, m in enumerate(maps):
        at = [1] * (2 * n)
        at[axis], at[n + axis] = m.array.shape[1], m.array.shape[0]
        part = m.array.T.reshape(at)
        index = index * shape[1 + axis] + part
        is_padding = is_padding | (part == PADDING)
    states = np.arange(shape[0]).reshape(-1, *(1,) * n) * math.prod(shape[1:])
    index = np.expand_dims(index, n) + states
    return np.asarray(np.where(np.expand_dims(is_padding, n), nothing, index))


def _places(shape: tuple[int, ...], maps: tuple[Index, ...]) -> Array:
    """`_window_index` as a matrix (taps, windows), of a type that compiled loops read quickly."""
    index = _window_index(shape, maps)
    return index.reshape(math.prod(index.shape[: len(maps)]), -1).astype(np.uint32)


def _quick_places(shape: tuple[int, ...], maps: tuple[Index, ...]) -> Array:
    return _remembered(_places, shape, maps, most=KEPT_QUICK)


def gone_back(
    sent: Array,
    kernel: tuple[int, ...],
    shape: tuple[int, ...],
    maps: Sequence[Reads],
    axes: Sequence[Partition],
    *,
    quick: bool = False,
) -> Array:
    """What targets of this shape send along each tap, (C taps, targets), added up by the classes that they read.

    The result has shape (C, S, c1, ..., cd).
    """
    if all(m.is_copy for m in maps):
        return sent.reshape(-1, *shape)
    if quick and shape[0] == 1:
        sizes = (1, *map(len, axes))
        made = window_loops.scattered(sent, _quick_places(sizes, _indices(maps)), math.prod(sizes))
        return made.reshape(-1, *sizes)
    sent = sent.reshape(-1, *kernel, *shape)
    for done, (m, axis) in enumerate(zip(maps, axes, strict=True)):
        hits = _hits(Index(m.classes), len(axis))
        sent = np.moveaxis(sent, (1, 2 + len(maps) - done), (-2, -1))
        sent = (sent.reshape(-1, len(hits)) @ hits).reshape(*sent.shape[:-2], len(axis))
    return sent


def arrived(values: Array, maps: Sequence[Reads], axes: Sequence[Partition], *, quick: bool = False) -> Array:
    """Totals of the source (C, S, c1, ..., cd), by the class of the target that sent them and by tap.

    The maps are those of the transposed convolution: they say which targets each source reads. The classes of the
    targets are those of `axes`. The result has shape (C, taps, S, targets), or some of these axes merged.
    """
    if all(m.is_copy for m in maps):
        return values
    if quick and values.shape[1] == 1:
        sizes = (1, *map(len, axes))
        return window_loops.spread(
            values.reshape(len(values), -1), _quick_places(sizes, _indices(maps)), math.prod(sizes)
        )
    for axis, (m, partition) in enumerate(zip(maps, axes, strict=True)):
        hits = _hits(Index(m.classes), len(partition))
        hits = hits.reshape(m.classes.shape[1], len(m.classes), len(partition)).swapaxes(0, 1)
        values = np.moveaxis(values, 2 + axis, -1) @ hits.reshape(len(m.classes), -1)
        values = values.reshape(*values.shape[:-1], m.classes.shape[1], len(partition))
        values = np.moveaxis(values, -2, 1 + axis)  # (C, taps done, S, positions to come, classes done)
    return values


@lru_cache(maxsize=512)
def _hits(index: Index, n_classes: int) -> Array:
    """A matrix with 1 where a tap of a class of targets reads a class, else 0: shape (taps * targets, classes)."""
    flat = index.array.T.ravel()
    return np.asarray(flat[:, None] == np.arange(n_classes), dtype=np.float64)


def collected(
    sent: Array,
    kernel: tuple[int, ...],
    shape: tuple[int, ...],
    maps: Sequence[Reads],
    add: np.ufunc,
    *,
    quick: bool = False,
) -> Array:
    """What was sent from (S, c1, ..., cd) along each tap, (C taps, positions), added up where it arrives."""
    n_taps, targets = math.prod(kernel), (shape[0], *(len(m.target) for m in maps))
    if n_taps == 1 and all(m.is_copy for m in maps):
        return sent.reshape(len(sent), *shape)
    if quick and add is np.add:
        made = window_loops.collected(sent, _quick_places(shape, _indices(maps)))
        return made.reshape(-1, *targets)
    index = _remembered(_arrival_index, shape, _indices(maps))
    flat = np.zeros((len(sent) // n_taps, n_taps * sent.shape[1] + 1), dtype=sent.dtype)
    flat[:, :-1] = sent.reshape(len(flat), -1)
    out: Array = np.take(flat, index[0], axis=1, mode="clip")
    for tap in index[1:]:
        add(out, np.take(flat, tap, axis=1, mode="clip"), out=out)
    return out


def _arrival_index(shape: tuple[int, ...], maps: tuple[Index, ...]) -> Array:
    """Where what arrives at each position along each tap was sent from, as flat positions in (taps, S, c1, ..., cd).

    One past the end stands for nothing. The result has shape (taps, S, n1, ..., nd).
    """
    index = _window_index(shape, maps)
    n, size = len(maps), math.prod(shape)
    index = index.reshape(-1, *index.shape[n:])
    taps = np.arange(len(index)).reshape(-1, *(1,) * (index.ndim - 1)) * size
    return np.asarray(np.where(index == size, len(index) * size, index + taps))
