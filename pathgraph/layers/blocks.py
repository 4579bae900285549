"""The operations between layers as blocks that every sweep can run, in any semiring.

A `LayerBlock` takes the fastest way there is:

* sums of floats, and maxima of non-negative floats: the kernel of the operation, which makes no edges
  (`pathgraph.layers.kernels`); if it has none, a sparse matrix of SciPy;
* scaled numbers and logarithms: the same on floats, cut into bands of exponents (`pathgraph.layers.bands`);
* other maxima and minima over many edges: compiled loops (`pathgraph.layers.edge_loops`). Those over the edges that
  take one entry look at fewer edges along axes on which nothing changes (`pathgraph.layers.constant_axes`);
* any other semiring that acts on arrays: the edges are made, a run of targets at a time so that they fit in memory,
  and their products are added up by target;
* any other semiring: edge by edge, as `pathgraph.pathsum.blocks.Block` does.
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
    from pathgraph.layers.kernels import Kernel
    from pathgraph.layers.slabs import Product, Slabs
    from pathgraph.scalars import Array

__all__ = ["LayerBlock"]

CHUNK = 1 << 20
"""About how many edges are made at a time."""


class _Edges(NamedTuple):
    """The edges into the targets ``first:stop``, in CSR form."""

    first: int
    stop: int
    start: Array
    source: Array
    entry: Array


class _Run(NamedTuple):
    """A kernel, the entries it is given, and the product it takes: of sums or of maxima."""

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
        takes_all = math.prod(shape) == math.prod(self.operation.tensor_shape)
        is_extreme = ring.arrays.add in (np.maximum, np.minimum)
        less = reduced(self.operation, x, y) if takes_all and is_extreme else None
        if less is not None:
            everything = slice(0, less.operation.source_size), slice(0, less.operation.target_size)
            return LayerBlock(less.operation, *everything, 0).entry_gradient(less.source, less.target, shape, ring)
        if takes_all and edge_loops.runs(self.operation, ring, x, y):
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
        """The kernel that takes float sums or maxima without edges; None if there is none for these numbers."""
        from pathgraph.layers.kernels import kernel
        from pathgraph.layers.slabs import largest_products, products

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
