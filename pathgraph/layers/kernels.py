"""Kernels: the operations of layers on compressed tensors of floats, without making their edges.

A kernel applies an operation, its transpose, and takes the gradient in its entries. It computes what the edge-by-edge
defaults of `pathgraph.pathsum.blocks.Block` compute, for sums (``products``) and for maxima of non-negative numbers
(``largest_products``). Dense maps and convolutions are matrix products; pools, averages and interpolation gather along
axes; maps entry by entry broadcast. The entries are asked for in slabs, like those of a convolution.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import lru_cache, singledispatch
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pathgraph.layers import power_products
from pathgraph.layers.compressed import Compressed, coarsened
from pathgraph.layers.convolutions import Windows
from pathgraph.layers.operations import (
    Convolution,
    Diagonal,
    FixedLinear,
    Linear,
    Operation,
    Separable,
    TransposedConvolution,
    TransposedLinear,
)
from pathgraph.layers.partitions import Partition, reads, singletons
from pathgraph.layers.slabs import Product, Slabs, products, slabs

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["Kernel", "by_edges", "kernel"]

Axes: TypeAlias = "tuple[Partition, ...]"

READ = 25
"""How many products take as long as reading and mapping one entry of the weights: measured, roughly."""


class Kernel(ABC):
    """An operation on compressed tensors."""

    @abstractmethod
    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        """From the source to the target."""

    @abstractmethod
    def backward(self, y: Compressed, axes: Axes, weights: Slabs, product: Product = products) -> Compressed:
        """The transpose of `forward`: from totals y of the target to totals of a source with these axes.

        Maxima need full axes.
        """

    @property
    @abstractmethod
    def transposed(self) -> Kernel:
        """The transposed map as a kernel: `forward` takes values of the target, `backward` totals of the source."""

    @abstractmethod
    def target_axes(self, axes: Axes) -> Axes:
        """The axes of what `forward` makes."""

    def cost(self, axes: Axes) -> int:
        """Roughly the time of `forward` on a tensor with these axes, in products."""
        return math.prod(map(len, self.target_axes(axes)))

    @abstractmethod
    def gradient(self, x: Compressed, y: Compressed) -> Array | None:
        """For each entry, the sum over states and edges of values x at the source times totals y at the target.

        None if the kernel cannot do it, and the edges must.
        """

    def masses(self, x: Compressed, y: Compressed, weights: Slabs, out: Array) -> None:
        """The entries times their gradients, into an array of the shape of the entries."""
        gradient = self.gradient(x, y)
        assert gradient is not None, "entries of fixed maps have no masses of their own"
        np.multiply(gradient.reshape(out.shape), weights(slice(None)).reshape(out.shape), out=out)

    def backward_with_masses(self, x: Compressed, y: Compressed, weights: Slabs, out: Array) -> Compressed:
        """What `backward` gives, to the axes of x, and what `masses` does; in one pass if the kernel can."""
        self.masses(x, y, weights, out)
        return self.backward(y, x.axes, weights)


@lru_cache(maxsize=4096)
def kernel(operation: Operation) -> Kernel | None:
    """The kernel of an operation; None if there is none, and its edges must do."""
    return _kernel(operation)


@singledispatch
def _kernel(operation: Operation) -> Kernel | None:
    return None


# -- convolutions -------------------------------------------------------------------------------------------------


class _Convolution(Kernel):
    """A convolution, by `Windows`."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows

    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        return self.windows.forward(x, weights, product)

    def backward(self, y: Compressed, axes: Axes, weights: Slabs, product: Product = products) -> Compressed:
        return self.windows.pulled(y, axes, weights, product)

    @property
    def transposed(self) -> Kernel:
        return _TransposedConvolution(self.windows)

    def cost(self, axes: Axes) -> int:
        return math.prod(self.windows.shape) * (READ + math.prod(map(len, self.target_axes(axes)[1:])))

    def target_axes(self, axes: Axes) -> Axes:
        maps = zip(self.windows.taps, axes[1:], strict=True)
        return (singletons(self.windows.target[0]), *(reads(taps, axis).target for taps, axis in maps))

    def gradient(self, x: Compressed, y: Compressed) -> Array:
        return self.windows.gradient(x, y)

    def masses(self, x: Compressed, y: Compressed, weights: Slabs, out: Array) -> None:
        self.windows.gradient(x, y, weights, out)

    def backward_with_masses(self, x: Compressed, y: Compressed, weights: Slabs, out: Array) -> Compressed:
        made = self.windows.pulled_with_masses(x, y, weights, out)
        return super().backward_with_masses(x, y, weights, out) if made is None else made


class _TransposedConvolution(_Convolution):
    """A transposed convolution, by `Windows` the other way."""

    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        return self.windows.backward(x, weights, product)

    def backward(self, y: Compressed, axes: Axes, weights: Slabs, product: Product = products) -> Compressed:
        return self.windows.pushed(y, axes, weights, product)

    @property
    def transposed(self) -> Kernel:
        return _Convolution(self.windows)

    def cost(self, axes: Axes) -> int:
        return math.prod(self.windows.shape) * (READ + math.prod(map(len, axes[1:])))

    def target_axes(self, axes: Axes) -> Axes:
        return (singletons(self.windows.source[0]), *self.windows.sources(axes[1:]))

    def gradient(self, x: Compressed, y: Compressed) -> Array:
        return self.windows.pushed_gradient(y, x)

    def masses(self, x: Compressed, y: Compressed, weights: Slabs, out: Array) -> None:
        self.windows.pushed_gradient(y, x, weights, out)

    def backward_with_masses(self, x: Compressed, y: Compressed, weights: Slabs, out: Array) -> Compressed:
        made = self.windows.pushed_with_masses(y, x, weights, out)
        return Kernel.backward_with_masses(self, x, y, weights, out) if made is None else made


@_kernel.register
def _(operation: Convolution) -> Kernel:
    before = tuple(pair[0] for pair in operation.padding)
    return _Convolution(
        Windows(
            operation.source_shape,
            operation.target_shape,
            operation.kernel,
            operation.stride,
            before,
            operation.dilation,
            operation.groups,
        )
    )


@_kernel.register
def _(operation: TransposedConvolution) -> Kernel:
    before = tuple(pair[0] for pair in operation.padding)
    return _TransposedConvolution(
        Windows(
            operation.target_shape,
            operation.source_shape,
            operation.kernel,
            operation.stride,
            before,
            operation.dilation,
            operation.groups,
        )
    )


# -- dense maps ---------------------------------------------------------------------------------------------------


class _Linear(Kernel):
    """A matrix on the last axis, or its transpose."""

    def __init__(self, operation: Linear, *, is_transposed: bool = False) -> None:
        self.operation, self.is_transposed = operation, is_transposed
        sizes = operation.n_in, operation.n_out
        self.n_in, self.n_out = sizes[::-1] if is_transposed else sizes

    @property
    def transposed(self) -> Kernel:
        return _Linear(self.operation, is_transposed=not self.is_transposed)

    def cost(self, axes: Axes) -> int:
        return self.n_in * self.n_out * (READ + math.prod(map(len, axes[:-1])))

    def target_axes(self, axes: Axes) -> Axes:
        return (*axes[:-1], singletons(self.n_out))

    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        x = x.expanded([len(x.axes) - 1])
        return self._applied(x, weights, product, is_transposed=self.is_transposed)

    def backward(self, y: Compressed, axes: Axes, weights: Slabs, product: Product = products) -> Compressed:
        y = coarsened(y, self.target_axes(axes))
        return coarsened(self._applied(y, weights, product, is_transposed=not self.is_transposed), axes)

    def gradient(self, x: Compressed, y: Compressed) -> Array:
        read, sent = self._ends(x, y)
        return np.asarray(sent @ read.T)

    def masses(self, x: Compressed, y: Compressed, weights: Slabs, out: Array) -> None:
        read, sent = self._ends(x, y)
        for chosen in slabs(self.operation.n_out, self.operation.n_in):
            np.matmul(sent[chosen], read.T, out=out[chosen])
            np.multiply(out[chosen], weights(chosen), out=out[chosen])

    def _ends(self, x: Compressed, y: Compressed) -> tuple[Array, Array]:
        """The numbers at what the matrix reads, and at what it makes, as columns."""
        x = x.expanded([len(x.axes) - 1])
        y = coarsened(y, self.target_axes(x.axes))
        return (_columns(y), _columns(x)) if self.is_transposed else (_columns(x), _columns(y))

    def backward_with_masses(self, x: Compressed, y: Compressed, weights: Slabs, out: Array) -> Compressed:
        axes, x = x.axes, x.expanded([len(x.axes) - 1])
        y = coarsened(y, self.target_axes(x.axes))
        read, sent = _columns(x), _columns(y)
        if self.is_transposed:
            made = power_products.multiplied_with_masses(weights, sent, read, out)
        else:
            made = power_products.transposed_with_masses(weights, read, sent, out)
        back = super().backward_with_masses(x, y, weights, out) if made is None else self._of_columns(made, x)
        return coarsened(back, axes)

    def _applied(self, x: Compressed, weights: Slabs, product: Product, *, is_transposed: bool) -> Compressed:
        """The matrix or its transpose on a tensor that is full along its last axis."""
        n_in, n_out = self.operation.n_in, self.operation.n_out
        rows = _columns(x)
        made = None
        if product is products:
            made = (power_products.transposed if is_transposed else power_products.multiplied)(weights, rows)
        if made is not None:
            return self._of_columns(made, x)
        out = np.zeros((n_in if is_transposed else n_out, rows.shape[1]), dtype=x.values.dtype)
        add = np.add if product is products else np.maximum
        for chosen in slabs(n_out, n_in):
            if is_transposed:
                add(out, product(weights(chosen).T, rows[chosen]), out=out)
            else:
                out[chosen] = product(weights(chosen), rows)
        return self._of_columns(out, x)

    @staticmethod
    def _of_columns(columns: Array, x: Compressed) -> Compressed:
        """The inverse of `_columns`: a matrix as a tensor whose axes but the last are those of x."""
        values = columns if len(x.axes) == 1 else columns.T.reshape(*x.values.shape[:-1], -1)
        return Compressed(values, (*x.axes[:-1], singletons(len(columns))))


def _columns(x: Compressed) -> Array:
    """A tensor as a matrix, with a row for each class of its last axis and a column for everything else."""
    return x.values if len(x.axes) == 1 else x.values.reshape(-1, x.values.shape[-1]).T


_kernel.register(Linear, _Linear)


@_kernel.register
def _(operation: TransposedLinear) -> Kernel:
    return _Linear(Linear(operation.lead, operation.n_out, operation.n_in), is_transposed=True)


# -- kernels with modules of their own ----------------------------------------------------------------------------


@_kernel.register
def _(operation: Diagonal) -> Kernel:
    from pathgraph.layers.diagonal_kernels import DiagonalKernel

    return DiagonalKernel(operation)


@_kernel.register
def _(operation: Separable) -> Kernel:
    from pathgraph.layers.separable import SeparableKernel

    return SeparableKernel(operation)


@_kernel.register
def _(operation: FixedLinear) -> Kernel:
    from pathgraph.layers.edge_kernels import SparseKernel

    return SparseKernel(operation)


@lru_cache(maxsize=1024)
def by_edges(operation: Operation) -> Kernel:
    """The kernel of an operation that has none of its own."""
    from pathgraph.layers.edge_kernels import EdgeKernel

    return EdgeKernel(operation)
