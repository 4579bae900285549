"""Operations between layers as blocks of the sweeps, edge by edge but many at a time.

A `LayerBlock` runs every semiring that has array operations as gather, multiply, segmented sum over the edges of its
operation, in runs of targets so that memory stays bounded; float sums go through `scipy.sparse`. Other semirings use
the defaults of `pathgraph.pathsum.blocks.Block`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from pathgraph.layers.operations import Operation
from pathgraph.pathsum.blocks import Block, Pattern, Positions
from pathgraph.pathsum.semirings import REAL, Semiring

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["LayerBlock"]

CHUNK = 1 << 20
"""Edges that are made at a time."""


class _Edges(NamedTuple):
    """The edges into a run of targets: ``first ... stop``, in CSR form."""

    first: int
    stop: int
    start: Array
    source: Array
    entry: Array


class LayerBlock(Block):
    """An operation from some positions of the buffer to others.

    Parameters
    ----------
    operation : Operation
    source, target : slice or ndarray
        Buffer positions of the tensor read, in C order, and of the one made.
    tensor : int
        Which of the network's tensors holds the entries.
    """

    def __init__(self, operation: Operation, source: Positions, target: Positions, tensor: int) -> None:
        self.operation = operation
        self.source = source
        self.target = target
        self.tensor = tensor

    @property
    def shape(self) -> tuple[int, int]:
        """Number of targets and number of sources."""
        return self.operation.target_size, self.operation.source_size

    def degrees(self) -> Array:
        """The number of edges into each target."""
        return self.operation.degrees()

    def pattern(self, targets: Array | None = None) -> Pattern:
        """The edges of the operation."""
        return self.operation.pattern(targets)

    def apply(self, x: Array, w: Array, ring: Semiring) -> Array:
        """The base operation, by array operations where the semiring has them."""
        if ring.arrays is None:
            return super().apply(x, w, ring)
        out = self._zeros(x, self.shape[0], ring)
        flat = w.ravel()
        for edges in self._edges():
            if ring is REAL and x.dtype.kind == "f":
                matrix = csr_array(
                    (flat[edges.entry], edges.source, edges.start), shape=(len(edges.start) - 1, x.shape[1])
                )
                out[:, edges.first : edges.stop] = (matrix @ x.T).T
                continue
            has_some = np.flatnonzero(np.diff(edges.start))
            if len(has_some):
                products = ring.arrays.mul(flat[edges.entry], x[:, edges.source])
                out[:, edges.first + has_some] = ring.arrays.segments(products, edges.start[has_some])
        return out

    def apply_transpose(self, y: Array, w: Array, ring: Semiring) -> Array:
        """The base operation, by array operations where the semiring has them."""
        if ring.arrays is None:
            return super().apply_transpose(y, w, ring)
        out = self._zeros(y, self.shape[1], ring)
        flat = w.ravel()
        for edges in self._edges():
            target = np.repeat(np.arange(edges.first, edges.stop), np.diff(edges.start))
            products = ring.arrays.mul(flat[edges.entry], y[:, target])
            _scatter(out, edges.source, products, ring)
        return out

    def entry_gradient(self, x: Array, y: Array, shape: tuple[int, ...], ring: Semiring) -> Array:
        """The base operation, by array operations where the semiring has them."""
        if ring.arrays is None:
            return super().entry_gradient(x, y, shape, ring)
        size = int(np.prod(shape, dtype=np.int64))
        out = self._zeros(x[:1], size, ring)
        for edges in self._edges():
            target = np.repeat(np.arange(edges.first, edges.stop), np.diff(edges.start))
            products = ring.arrays.mul(x[0, edges.source], y[0, target])
            for row in range(1, len(x)):
                products = ring.arrays.add(products, ring.arrays.mul(x[row, edges.source], y[row, target]))
            _scatter(out, edges.entry, products[None], ring)
        return out.reshape(shape)

    def _edges(self) -> Iterator[_Edges]:
        """The edges, in runs of targets."""
        for targets in self.operation.chunks(CHUNK):
            target, source, entry = self.operation.pattern(targets)
            first, stop = int(targets[0]), int(targets[-1]) + 1
            start = np.searchsorted(target, np.arange(first, stop + 1))
            yield _Edges(first, stop, start, source, entry)

    @staticmethod
    def _zeros(x: Array, size: int, ring: Semiring) -> Array:
        if x.dtype == object:
            return ring.full((len(x), size))
        out = np.empty((len(x), size), dtype=x.dtype)
        out[...] = ring.zero
        return out


def _scatter(out: Array, place: Array, elements: Array, ring: Semiring) -> None:
    """Add elements of shape (S, n) into the columns ``place`` of `out`, which may repeat."""
    assert ring.arrays is not None
    if not len(place):
        return
    order = np.argsort(place, kind="stable")
    columns, start = np.unique(place[order], return_index=True)
    sums = ring.arrays.segments(elements[:, order], start)
    out[:, columns] = ring.arrays.add(out[:, columns], sums)
