"""Kernels that make no use of equal positions: sparse matrices, and operations of which only the edges are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from pathgraph.layers.blocks import LayerBlock
from pathgraph.layers.compressed import Compressed, coarsened, full
from pathgraph.layers.kernels import Axes, Kernel
from pathgraph.layers.operations import FixedLinear, Operation
from pathgraph.layers.partitions import singletons
from pathgraph.layers.slabs import Product, Slabs, products
from pathgraph.pathsum.semirings import MAX_TIMES, REAL, Semiring

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["EdgeKernel", "SparseKernel"]


class SparseKernel(Kernel):
    """A sparse matrix, or its transpose, on the whole tensor."""

    def __init__(self, operation: FixedLinear, *, is_transposed: bool = False) -> None:
        self.operation, self.is_transposed = operation, is_transposed
        shapes = operation.source_shape, operation.target_shape
        self.source_shape, self.target_shape = shapes[::-1] if is_transposed else shapes

    @property
    def transposed(self) -> Kernel:
        """The map the other way."""
        return SparseKernel(self.operation, is_transposed=not self.is_transposed)

    def target_axes(self, axes: Axes) -> Axes:
        """Full axes: equal positions are not looked for."""
        return tuple(map(singletons, self.target_shape or (1,)))

    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        """The map on the whole tensor."""
        out = self._times(weights, x.flat(), product, is_transposed=self.is_transposed)
        return full(out, self.target_shape)

    def backward(self, y: Compressed, axes: Axes, weights: Slabs, product: Product = products) -> Compressed:
        """The transposed map on the whole tensor, whose result is then added up on the axes."""
        out = self._times(weights, _flat_totals(y), product, is_transposed=not self.is_transposed)
        return coarsened(full(out, self.source_shape), axes)

    def gradient(self, x: Compressed, y: Compressed) -> Array:
        """Edge by edge."""
        relation = self.operation.relation
        row = np.repeat(np.arange(relation.n_out), relation.degree)
        ends = (x.flat(), _flat_totals(y))
        source, target = ends[::-1] if self.is_transposed else ends
        weights = (source[:, relation.index] * target[:, row]).sum(axis=0)
        return np.bincount(relation.tap, weights=weights, minlength=relation.n_taps)

    def _times(self, weights: Slabs, x: Array, product: Product, *, is_transposed: bool) -> Array:
        relation = self.operation.relation
        shape = relation.n_out, relation.n_in
        values = weights(slice(None)).ravel()[relation.tap]
        matrix = csr_array((values, relation.index, relation.start), shape=shape)
        if is_transposed:
            matrix = csr_array(matrix.T)
        if product is products:
            return np.asarray((matrix @ x.T).T)
        out = np.zeros((matrix.shape[0], len(x)), dtype=x.dtype)
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        np.maximum.at(out, row, matrix.data[:, None] * x.T[matrix.indices])
        return out.T


def _flat_totals(y: Compressed) -> Array:
    """Totals as an array of shape (S, size).

    Their axes are full already: these kernels make full tensors, so the totals of what they make are full, too.
    """
    if not y.is_full:
        raise AssertionError("totals can be made coarser, never finer")
    return y.flat()


class EdgeKernel(Kernel):
    """An operation that has no kernel of its own, through its block; or its transpose."""

    def __init__(self, operation: Operation, *, is_transposed: bool = False) -> None:
        everything = slice(0, operation.source_size), slice(0, operation.target_size)
        self.operation, self.block = operation, LayerBlock(operation, *everything, 0)
        self.is_transposed = is_transposed
        shapes = operation.source_shape, operation.target_shape
        self.source_shape, self.target_shape = shapes[::-1] if is_transposed else shapes

    @property
    def transposed(self) -> Kernel:
        """The map the other way."""
        return EdgeKernel(self.operation, is_transposed=not self.is_transposed)

    def target_axes(self, axes: Axes) -> Axes:
        """Full axes: equal positions are not looked for."""
        return tuple(map(singletons, self.target_shape or (1,)))

    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        """The map on the whole tensor."""
        apply = self.block.apply_transpose if self.is_transposed else self.block.apply
        return full(apply(x.flat(), weights(slice(None)), _ring(product)), self.target_shape)

    def backward(self, y: Compressed, axes: Axes, weights: Slabs, product: Product = products) -> Compressed:
        """The transposed map on the whole tensor, whose result is then added up on the axes."""
        apply = self.block.apply if self.is_transposed else self.block.apply_transpose
        return coarsened(full(apply(_flat_totals(y), weights(slice(None)), _ring(product)), self.source_shape), axes)

    def gradient(self, x: Compressed, y: Compressed) -> Array:
        """Edge by edge."""
        ends = (x.flat(), _flat_totals(y))
        source, target = ends[::-1] if self.is_transposed else ends
        return self.block.entry_gradient(source, target, self.operation.tensor_shape, REAL)


def _ring(product: Product) -> Semiring:
    return REAL if product is products else MAX_TIMES
