"""Tensors with many equal rows and columns, stored without the repetitions.

Positions along an axis that carry equal numbers form a class (`pathgraph.layers.partitions`), and a `Compressed` tensor
keeps one number per class: a tensor of shape (d0, d1, ...), in S states, is an array of shape (c0, S, c1, ...), where
c_i <= d_i is the number of classes of axis i. The states stand behind the first axis, so that a convolution, in any
number of states, is one matrix product over its channels. In a tensor without repetitions every position is a class of
its own; the same code works on it.

A compressed tensor holds **values**, or **totals**. With totals, the number of a class is the sum over its positions:
that is what the transpose of a map adds up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING

import numpy as np

from pathgraph.layers.partitions import Partition, grouped_rows, joint, one_class, singletons

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = [
    "Compressed",
    "array_axis",
    "coarsened",
    "combined",
    "compress",
    "full",
    "in_shape",
    "multiplied_along",
    "refined",
    "totals",
    "totals_on",
    "with_rank",
]


@dataclass(frozen=True, eq=False)
class Compressed:
    """A tensor, in S states, with one number per class of equal positions.

    Attributes
    ----------
    values : ndarray, shape (c0, S, c1, ..., c_{d-1})
    axes : tuple of Partition
        One per axis of the tensor; a tensor has at least one axis.
    """

    values: Array
    axes: tuple[Partition, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the tensor."""
        return tuple(axis.size for axis in self.axes)

    @property
    def n_states(self) -> int:
        """S, the number of states."""
        return int(self.values.shape[1])

    @property
    def is_full(self) -> bool:
        """Whether every position is a class of its own."""
        return all(axis.is_full for axis in self.axes)

    @cached_property
    def largest(self) -> float:
        """The largest value, at least 0."""
        return float(self.values.max(initial=0.0))

    def expanded(self, axes: Sequence[int] | None = None) -> Compressed:
        """The same tensor with a class for every position of some axes, by default of all axes."""
        values, partitions = self.values, list(self.axes)
        for axis in range(len(partitions)) if axes is None else axes:
            if not partitions[axis].is_full:
                values = np.take(values, partitions[axis].labels, axis=array_axis(axis))
                partitions[axis] = singletons(partitions[axis].size)
        return Compressed(values, tuple(partitions))

    def taken(self, axes: tuple[Partition, ...], chosen: Sequence[Array]) -> Compressed:
        """The same tensor on finer partitions; `chosen` has, per axis and new class, the old class that holds it."""
        values = self.values
        for axis, (old, new, index) in enumerate(zip(self.axes, axes, chosen, strict=True)):
            if old is not new:
                values = np.take(values, index, axis=array_axis(axis))
        return Compressed(values, axes)

    def states_first(self) -> Array:
        """The whole tensor as an array of shape (S, d0, d1, ...)."""
        return np.moveaxis(self.expanded().values, 1, 0)

    def flat(self) -> Array:
        """The whole tensor as an array of shape (S, d0 d1 ...), each state in C order."""
        return self.states_first().reshape(self.n_states, -1)

    def counts(self) -> Array:
        """How many positions each value stands for, shape (c0, 1, c1, ...)."""
        out = np.ones((1,) * self.values.ndim)
        for axis, partition in enumerate(self.axes):
            shape = [1] * self.values.ndim
            shape[array_axis(axis)] = len(partition)
            out = out * partition.counts().reshape(shape)
        return out

    def map(self, values: Array) -> Compressed:
        """Other values on the same classes."""
        return Compressed(values, self.axes)


def array_axis(axis: int) -> int:
    """Where an axis of a tensor lies in the array of its values, in which the states stand second."""
    return axis + (axis > 0)


def multiplied_along(values: Array, axis: int, matrix: Array) -> Array:
    """The product with a matrix, on the right, along an axis of a tensor with these values."""
    place = array_axis(axis)
    return np.moveaxis(np.moveaxis(values, place, -1) @ matrix, -1, place)


def full(values: Array, shape: tuple[int, ...]) -> Compressed:
    """An array of S rows as S states of a tensor of this shape, without looking for equal positions."""
    shape = shape or (1,)
    array = np.moveaxis(np.asarray(values).reshape(len(values), *shape), 0, 1)
    return Compressed(array, tuple(map(singletons, shape)))


def compress(tensor: Compressed) -> Compressed:
    """Look for equal rows along every axis: rows whose values are the same to the last bit."""
    values, axes = tensor.values, list(tensor.axes)
    first = values[(slice(0, 1), slice(None), *(slice(0, 1),) * (values.ndim - 2))]
    if values.size and (values == first).all():
        return Compressed(first, tuple(one_class(axis.size) for axis in axes))
    for axis, partition in enumerate(axes):
        place = array_axis(axis)
        rows = np.moveaxis(values, place, 0).reshape(values.shape[place], -1)
        found = Partition(grouped_rows(rows))
        if not found.is_full:
            values = np.take(values, found.first, axis=place)
            axes[axis] = Partition(found.labels[partition.labels])
    return Compressed(values, tuple(axes))


def refined(*tensors: Compressed) -> list[Compressed]:
    """Tensors of one shape on their coarsest common partitions."""
    axes = tuple(reduce(lambda a, b: joint(a, b)[0], column) for column in zip(*(t.axes for t in tensors), strict=True))
    out = []
    for tensor in tensors:
        chosen = [old.labels[new.first] for old, new in zip(tensor.axes, axes, strict=True)]
        out.append(tensor.taken(axes, chosen))
    return out


def combined(a: Compressed, b: Compressed, add: Callable[[Array, Array], Array]) -> Compressed:
    """Apply a function of two arrays, entry by entry, to two tensors of one shape."""
    axes, parts = tuple(joint(one, other)[0] for one, other in zip(a.axes, b.axes, strict=True)), []
    for tensor in (a, b):
        values = tensor.values
        for axis, (old, new) in enumerate(zip(tensor.axes, axes, strict=True)):
            if old is not new and len(old) > 1:  # one class is broadcast
                values = np.take(values, old.labels[new.first], axis=array_axis(axis))
        parts.append(values)
    return Compressed(add(*parts), axes)


def coarsened(tensor: Compressed, axes: tuple[Partition, ...], add: np.ufunc = np.add) -> Compressed:
    """Totals on coarser partitions: each class gets the sum (or the maximum) of the classes it is made of."""
    values = tensor.values
    for axis, (old, new) in enumerate(zip(tensor.axes, axes, strict=True)):
        if len(old) == len(new):
            continue
        owner = new.labels[old.first]
        if add is np.add:
            matrix = (owner[:, None] == np.arange(len(new))).astype(values.dtype)
            values = multiplied_along(values, axis, matrix)
        else:
            order = np.argsort(owner, kind="stable")
            start = np.searchsorted(owner[order], np.arange(len(new)))
            place = array_axis(axis)
            values = add.reduceat(np.take(values, order, axis=place), start, axis=place)
    return Compressed(values, axes)


def totals(tensor: Compressed) -> Compressed:
    """The totals of a tensor of values: each value times the number of positions of its class."""
    return tensor if tensor.is_full else tensor.map(tensor.values * tensor.counts())


def totals_on(tensor: Compressed, axes: tuple[Partition, ...]) -> Compressed:
    """The totals of a tensor of values, on other axes, finer or coarser."""
    common = tuple(joint(own, other)[0] for own, other in zip(tensor.axes, axes, strict=True))
    chosen = [own.labels[new.first] for own, new in zip(tensor.axes, common, strict=True)]
    return coarsened(totals(tensor.taken(common, chosen)), axes)


def with_rank(tensor: Compressed, rank: int) -> Compressed:
    """The same entries with more or fewer leading axes of size 1."""
    n = len(tensor.axes)
    if n == rank:
        return tensor
    return in_shape(tensor, (*(singletons(1),) * (rank - n), *tensor.axes) if rank > n else tensor.axes[n - rank :])


def in_shape(tensor: Compressed, axes: tuple[Partition, ...]) -> Compressed:
    """The same values, in the same order, under other axes with as many classes together."""
    first = np.moveaxis(tensor.values, 1, 0)
    return Compressed(np.moveaxis(first.reshape(len(first), *map(len, axes)), 0, 1), axes)
