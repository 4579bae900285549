"""The kernels of products entry by entry, in which both factors are broadcast: scales, skips, batch-norms, biases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pathgraph.layers.compressed import Compressed, array_axis, coarsened, with_rank
from pathgraph.layers.kernels import Axes, Kernel
from pathgraph.layers.operations import Diagonal
from pathgraph.layers.partitions import one_class, singletons
from pathgraph.layers.slabs import Product, Slabs, products

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["ContractionKernel", "DiagonalKernel"]


class DiagonalKernel(Kernel):
    """A product with a tensor, entry by entry, in which both are broadcast.

    Attributes
    ----------
    target, source, factor : tuple of int
        The shapes of what is made, of what is read and of the factor, all with as many axes as the target.
    own : list of int
        The axes along which the factor changes: positions along these are never equal.
    """

    def __init__(self, operation: Diagonal) -> None:
        target = operation.target_shape or (1,)
        self.target = target
        self.source = operation.source_shape or (1,) * len(target)
        self.factor = operation.factor_shape or (1,) * len(target)
        self.own = [axis for axis, (n, f) in enumerate(zip(target, self.factor, strict=True)) if f == n > 1]

    @property
    def transposed(self) -> Kernel:
        """Products summed over the axes along which the source is broadcast."""
        return ContractionKernel(self)

    def target_axes(self, axes: Axes) -> Axes:
        """The axes of the source, but full where the factor changes, and one class where the source is broadcast."""
        return self._target_axes(self.spread(axes))

    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        """Values times the factor."""
        aligned = self.aligned(x).expanded([axis for axis in self.own if self.source[axis] > 1])
        axes, values = self._target_axes(aligned.axes), self.times(aligned.values, weights)
        return x if values is x.values and axes == x.axes else Compressed(values, axes)

    def backward(self, y: Compressed, axes: Axes, weights: Slabs, product: Product = products) -> Compressed:
        """Totals times the factor, summed where the source is broadcast."""
        spread = self.spread(axes)
        add = np.add if product is products else np.maximum
        y = coarsened(y, self._target_axes(spread), add)
        values = self.times(y.values, weights)
        for axis, n in enumerate(self.target):
            if self.source[axis] != n:
                values = add.reduce(values, axis=array_axis(axis), keepdims=True)
        middle = tuple(
            singletons(1) if self.source[axis] != n else singletons(n) if axis in self.own else spread[axis]
            for axis, n in enumerate(self.target)
        )
        return with_rank(coarsened(Compressed(values, middle), spread), len(axes))

    def gradient(self, x: Compressed, y: Compressed) -> Array:
        """Products summed along the axes on which the factor is broadcast."""
        x = self.aligned(x).expanded([axis for axis in self.own if self.source[axis] > 1])
        y = coarsened(y, self._target_axes(x.axes))
        values = (x.values * y.values).sum(axis=1, keepdims=True)
        others = tuple(array_axis(axis) for axis in range(len(self.target)) if axis not in self.own)
        return np.asarray(values.sum(axis=others)).reshape(self.factor)

    def spread(self, axes: Axes) -> Axes:
        """The axes of the source, with axes of size 1 in front so that there are as many as in the target."""
        return (*(singletons(1),) * (len(self.target) - len(axes)), *axes)

    def _target_axes(self, axes: Axes) -> Axes:
        """`target_axes`, for a source with as many axes as the target."""
        return tuple(
            singletons(n) if axis in self.own else axes[axis] if self.source[axis] == n else one_class(n)
            for axis, n in enumerate(self.target)
        )

    def aligned(self, x: Compressed) -> Compressed:
        """A source with axes of size 1 in front, so that it has as many as the target."""
        return with_rank(x, len(self.target))

    def times(self, values: Array, weights: Slabs) -> Array:
        """Values times the factor; the array itself if the factor is 1, as in sums of layers."""
        factor = weights(slice(None))
        if factor.size == 1 and factor.dtype == values.dtype and factor.item() == 1:
            return values
        return np.asarray(values * factor.reshape(self.factor[0], 1, *self.factor[1:]))


class ContractionKernel(Kernel):
    """The transpose of a `DiagonalKernel`: products, summed where its source is broadcast. Sums only, no maxima."""

    def __init__(self, diagonal: DiagonalKernel) -> None:
        self.of = diagonal
        self.summed = [axis for axis, n in enumerate(diagonal.target) if diagonal.source[axis] != n]

    @property
    def transposed(self) -> Kernel:
        """The map it is the transpose of."""
        return self.of

    def target_axes(self, axes: Axes) -> Axes:
        """The axes of the source: one position where it is broadcast, full where the factor changes."""
        return tuple(
            singletons(1) if axis in self.summed else singletons(n) if axis in self.of.own else axes[axis]
            for axis, n in enumerate(self.of.target)
        )

    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        """Values times the factor, summed along the axes on which the source is broadcast."""
        wide = x.expanded(self.of.own)
        axes, values = self.target_axes(wide.axes), self.of.times(wide.values, weights)
        if self.summed:
            values = values * self._counts(wide.axes)
            values = values.sum(axis=tuple(array_axis(axis) for axis in self.summed), keepdims=True)
        return x if values is x.values and axes == x.axes else Compressed(values, axes)

    def backward(self, y: Compressed, axes: Axes, weights: Slabs, product: Product = products) -> Compressed:
        """Totals times the factor, repeated where the source is broadcast."""
        finer = self._finer(axes)
        y = coarsened(self.of.aligned(y), self.target_axes(finer))
        values = self.of.times(y.values, weights)
        return coarsened(Compressed(values * self._counts(finer) if self.summed else values, finer), axes)

    def gradient(self, x: Compressed, y: Compressed) -> Array:
        """Products summed along the axes on which the factor is broadcast."""
        x = x.expanded(self.of.own)
        y = coarsened(self.of.aligned(y), self.target_axes(x.axes))
        values = (x.values * y.values * self._counts(x.axes)).sum(axis=1, keepdims=True)
        others = tuple(array_axis(axis) for axis in range(len(x.axes)) if axis not in self.of.own)
        return np.asarray(values.sum(axis=others)).reshape(self.of.factor)

    def _finer(self, axes: Axes) -> Axes:
        return tuple(singletons(axis.size) if place in self.of.own else axis for place, axis in enumerate(axes))

    def _counts(self, axes: Axes) -> Array:
        """How many positions each class of the summed axes has."""
        out = np.ones((1,) * (len(axes) + 1))
        for axis in self.summed:
            out = out * axes[axis].counts().reshape(-1, *(1,) * (len(axes) - 1 - axis + (axis == 0)))
        return out
