"""Products that are made again: what was checked and planned once, for arrays of one type, shape and strides.

A small product takes a few microseconds, and checking its operands ten times as long. An operator therefore remembers,
for each kind of operands, the kernel, its arguments, and how far each array reaches in memory. What depends on the
arrays themselves is looked at every time: whether `out` is writeable, and whether it may overlap what is read. Where
anything is not as it was, the way through all checks is taken, which says what is wrong.

Remembered are products by compiled tiles of arrays whose vectors need not be copied first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pathgraph import threads
from pathgraph.cache_lines import result_empty

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["Bound", "Repeated", "again", "remember"]

MOST = 64
"""Kinds of operands that an operator remembers."""


class Bound(NamedTuple):
    """A product whose operands are given by their addresses.

    Attributes
    ----------
    run : callable
        ``run(x, out)``, with the addresses of the first entries.
    n_threads : int or None
        How many it was planned for, and may not be any more; None if it has one, whatever their number.
    """

    run: Callable[[int, int], None]
    n_threads: int | None


class Repeated(NamedTuple):
    """A product with operands of one kind.

    Attributes
    ----------
    bound : Bound
    start : callable
        Compiled, the address of the first entry of an array of numbers: what `address` finds in seven times as long.
    shape, dtype : tuple, dtype
        Of the product.
    x_reach, out_reach : (int, int)
        The first byte that belongs to an array, and the first one behind it, from the address of its first entry.
    values : tuple of (int, int)
        The same for the values, as addresses.
    """

    bound: Bound
    start: Callable[[Array], int]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    x_reach: tuple[int, int]
    out_reach: tuple[int, int]
    values: tuple[tuple[int, int], ...]


def again(known: dict[Any, Repeated], x: Any, axis: Any, out: Any) -> Array | None:
    """The product, if one with such operands is known and they are as they have to be; None otherwise.

    Parameters
    ----------
    known : dict
        Of the operator.
    x, axis, out : as for `KSOperator.apply`
    """
    if type(x) is not np.ndarray or type(axis) is not int:
        return None
    if out is None:
        found = known.get((axis, x.dtype, x.shape, x.strides))
        if found is None or (found.bound.n_threads and found.bound.n_threads != threads.count()):
            return None
        result = result_empty(found.shape, found.dtype)
        found.bound.run(found.start(x), found.start(result))
        return result
    if type(out) is not np.ndarray or not out.flags.writeable:
        return None
    found = known.get((axis, x.dtype, x.shape, x.strides, out.dtype, out.shape, out.strides))
    if found is None or (found.bound.n_threads and found.bound.n_threads != threads.count()):
        return None
    source, target = found.start(x), found.start(out)
    low, high = target + found.out_reach[0], target + found.out_reach[1]
    if low < source + found.x_reach[1] and source + found.x_reach[0] < high:
        return None
    for first, behind in found.values:
        if low < behind and first < high:
            return None
    found.bound.run(source, target)
    return out


def remember(
    known: dict[Any, Repeated], bound: Bound, x: Array, axis: int, out: Array, values: Iterable[Array], *, is_new: bool
) -> None:
    """Keep a product that was made, for operands like these.

    Parameters
    ----------
    known : dict
    bound : Bound
    x, out : ndarray
        What it was made of and where it is.
    axis : int
        As it was given.
    values : iterable of ndarray
        What the operator reads besides x.
    is_new : bool
        Whether `out` was made for it, as it will be the next time.
    """
    from pathgraph.kronecker.kernels.numba_blocks import start

    for array in (x, out):
        start(array)  # compiled for arrays of this kind now, not the next time
    key: tuple[Any, ...] = (axis, x.dtype, x.shape, x.strides)
    if not is_new:
        key = (*key, out.dtype, out.shape, out.strides)
    if len(known) >= MOST:
        known.clear()
    places = []
    for array in values:
        first, (low, high) = address(array), reach(array)
        places.append((first + low, first + high))
    known[key] = Repeated(bound, start, out.shape, out.dtype, reach(x), reach(out), tuple(places))


def address(array: Array) -> int:
    """The address of the first entry."""
    return int(array.__array_interface__["data"][0])


def reach(array: Array) -> tuple[int, int]:
    """The first byte of an array that is not empty and the first one behind it, from its first entry."""
    steps = [stride * (size - 1) for stride, size in zip(array.strides, array.shape, strict=True)]
    return sum(min(step, 0) for step in steps), sum(max(step, 0) for step in steps) + array.itemsize
