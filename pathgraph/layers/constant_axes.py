"""Operations between tensors that are constant along some axes, with fewer edges.

The edges of an operation are a product of relations along its axes. Take an axis along which neither the numbers read
nor those at the targets change. Then all edges with the same tap carry the same numbers. Where repetitions do not
matter, as in a maximum, a minimum or a list of what occurs, one edge for each tap is enough. So a convolution between
numbers that are the same at all places has about as many edges left as its tensor has entries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pathgraph.layers.axes import AxisTaps
from pathgraph.layers.operations import Operation

if TYPE_CHECKING:
    from pathgraph.layers.operations import Shape
    from pathgraph.scalars import Array

__all__ = ["Reduced", "Relations", "reduced"]


class Relations(Operation):
    """An operation given by its relations along axes.

    Parameters
    ----------
    relations : tuple of AxisTaps
    """

    def __init__(self, relations: tuple[AxisTaps, ...]) -> None:
        self._given = relations

    @property
    def source_shape(self) -> Shape:  # type: ignore[override]
        """One size for each axis."""
        return tuple(axis.n_in for axis in self._given)

    @property
    def target_shape(self) -> Shape:  # type: ignore[override]
        """One size for each axis."""
        return tuple(axis.n_out for axis in self._given)

    @property
    def axes(self) -> tuple[AxisTaps, ...]:
        """The given relations."""
        return self._given


class Reduced(NamedTuple):
    """An operation with one edge per tap along constant axes, and the numbers at its ends.

    Attributes
    ----------
    operation : Relations
        It has the same tensor of entries as the whole operation.
    source, target : ndarray, shape (S, n)
        The numbers at what it reads, and at what it makes.
    """

    operation: Relations
    source: Array
    target: Array


def reduced(operation: Operation, source: Array, target: Array) -> Reduced | None:
    """The operation with one edge per tap along the axes on which both ends are constant; None if it has no such axis.

    Parameters
    ----------
    operation : Operation
    source, target : ndarray, shape (S, n)
        The numbers at what is read, and at what is made.
    """
    axes = list(operation.relations)
    x, y = (
        numbers.reshape(len(numbers), *(getattr(axis, size) for axis in axes))
        for numbers, size in ((source, "n_in"), (target, "n_out"))
    )
    is_less = False
    for k, axis in enumerate(axes):
        taps = _used(axis)
        if len(taps) == len(axis.index) or not (_is_constant(x, k + 1) and _is_constant(y, k + 1)):
            continue
        nothing = np.zeros(len(taps), dtype=np.int64)
        axes[k] = AxisTaps(1, axis.n_taps, np.array([0, len(taps)]), nothing, taps)
        x, y, is_less = x.take([0], axis=k + 1), y.take([0], axis=k + 1), True
    if not is_less:
        return None
    return Reduced(Relations(tuple(axes)), x.reshape(len(x), -1), y.reshape(len(y), -1))


def _used(axis: AxisTaps) -> Array:
    """The taps that some edge has."""
    is_used = np.zeros(axis.n_taps, dtype=bool)
    is_used[axis.tap] = True
    return np.flatnonzero(is_used)


def _is_constant(numbers: Array, axis: int) -> bool:
    """Whether numbers are the same all along an axis."""
    return bool(numbers.size) and bool((numbers == numbers.take([0], axis=axis)).all())
