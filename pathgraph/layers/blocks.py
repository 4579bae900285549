"""Operations between layers as blocks of the sweeps, edge by edge but many at a time.

Float sums, and maxima of non-negative floats, go through the kernel of the operation (`pathgraph.layers.kernels`).
Scaled numbers are floats in bands of exponents (`pathgraph.layers.bands`), logarithms are scaled numbers, and large
maxima and minima run in compiled loops (`pathgraph.layers.edge_loops`); those over the edges of an entry need one edge
for each tap along axes where nothing changes (`pathgraph.layers.constant_axes`). A `LayerBlock` runs every other
semiring that has array operations as gather, multiply, segmented sum over the edges of its operation, in runs of
targets so that memory stays bounded; so do float sums where there is no kernel, by `scipy.sparse`. The rest use the
defaults of `pathgraph.pathsum.blocks.Block`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from pathgraph.layers import edge_loops
from pathgraph.layers.bands import banded, in_bands
from pathgraph.layers.compressed import full
from pathgraph.layers.constant_axes import reduced
from pathgraph.layers.operations import Operation
from pathgraph.layers.partitions import singletons
from pathgraph.pathsum.blocks import Block, Pattern, Positions
from pathgraph.pathsum.semirings import MAX_TIMES, REAL, Semiring

if TYPE_CHECKING:
    from pathgraph.layers.convolutions import Product, Slabs
    from pathgraph.layers.kernels import Kernel
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


class _Run(NamedTuple):
    """A kernel, the entries it is given, and what it does with them."""

    kernel: Kernel
    slabs: Slabs
    product: Product


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
        if in_bands(ring):
            return banded(self.apply, x, w, ring)
        if edge_loops.runs(self.operation, ring, x, w) and w.size == math.prod(self.operation.tensor_shape):
            return edge_loops.made(self.operation, "target", x, w.ravel(), ring)
        run = self._kernel(x, w, ring)
        if run is not None:
            made = run.kernel.forward(full(x, self.operation.source_shape), run.slabs, run.product)
            return made.flat()
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
        if in_bands(ring):
            return banded(self.apply_transpose, y, w, ring)
        if edge_loops.runs(self.operation, ring, y, w) and w.size == math.prod(self.operation.tensor_shape):
            return edge_loops.made(self.operation, "source", y, w.ravel(), ring)
        run = self._kernel(y, w, ring)
        if run is not None:
            axes = tuple(map(singletons, self.operation.source_shape or (1,)))
            made = run.kernel.backward(full(y, self.operation.target_shape), axes, run.slabs, run.product)
            return made.flat()
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
        if in_bands(ring):
            return banded(lambda a, b, floats: self.entry_gradient(a, b, shape, floats), x, y, ring)
        whole = math.prod(shape) == math.prod(self.operation.tensor_shape)
        if whole and ring.arrays.add in (np.maximum, np.minimum) and (less := reduced(self.operation, x, y)):
            everything = slice(0, less.operation.source_size), slice(0, less.operation.target_size)
            return LayerBlock(less.operation, *everything, 0).entry_gradient(less.source, less.target, shape, ring)
        if whole and edge_loops.runs(self.operation, ring, x, y):
            return edge_loops.made(self.operation, "entry", x, y, ring).reshape(shape)
        run = self._kernel(x, np.empty(shape, dtype=x.dtype), ring) if ring is REAL else None
        if run is not None:
            ends = full(x, self.operation.source_shape), full(y, self.operation.target_shape)
            gradient = run.kernel.gradient(*ends)
            if gradient is not None:
                return np.asarray(gradient.reshape(shape))
        size = int(np.prod(shape, dtype=np.int64))
        out = self._zeros(x[:1], size, ring)
        for edges in self._edges():
            target = np.repeat(np.arange(edges.first, edges.stop), np.diff(edges.start))
            products = ring.arrays.mul(x[0, edges.source], y[0, target])
            for row in range(1, len(x)):
                products = ring.arrays.add(products, ring.arrays.mul(x[row, edges.source], y[row, target]))
            _scatter(out, edges.entry, products[None], ring)
        return out.reshape(shape)

    def _kernel(self, x: Array, w: Array, ring: Semiring) -> _Run | None:
        """What makes float sums and maxima without the edges, if there is such a thing."""
        from pathgraph.layers.convolutions import largest_products, products
        from pathgraph.layers.kernels import kernel

        shape = self.operation.tensor_shape or (1,)
        if x.dtype.kind != "f" or w.dtype.kind != "f" or (ring is not REAL and ring is not MAX_TIMES):
            return None
        found = kernel(self.operation)
        if found is None or w.size != math.prod(shape):  # a block may use the first entries of a tensor only
            return None
        entries = w.reshape(shape)
        return _Run(found, lambda *chosen: entries[chosen], products if ring is REAL else largest_products)

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
