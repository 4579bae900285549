"""The operations of layers on compressed tensors of floats: each one forward, backward, and in its entries.

A kernel computes what the edge-by-edge defaults of `pathgraph.pathsum.blocks.Block` compute, for sums (``products``)
and for maxima of non-negative numbers (``largest_products``), without its edges: matrix products for dense maps and
convolutions, gathers along axes for pools, averages and interpolation, broadcasting for the diagonal ones. The entries
are asked for in slabs, like those of a convolution.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache, singledispatch
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy.sparse import csr_array

from pathgraph.layers.axes import AxisTaps
from pathgraph.layers.blocks import LayerBlock
from pathgraph.layers.compressed import Compressed, coarsened, full
from pathgraph.layers.convolutions import Product, Slabs, Windows, products, slabs
from pathgraph.layers.operations import (
    Convolution,
    Diagonal,
    FixedLinear,
    Linear,
    Operation,
    Separable,
    TransposedConvolution,
)
from pathgraph.layers.partitions import PADDING, Partition, Reads, Taps, one_class, reads, singletons
from pathgraph.pathsum.semirings import MAX_TIMES, REAL

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["Kernel", "by_edges", "kernel"]

Axes: TypeAlias = "tuple[Partition, ...]"

GATHERED = 1 << 21
"""Entries that are gathered at a time."""

MOST_COEFFICIENTS = 16
"""Of a separable map whose gradient is taken one coefficient at a time."""


class Kernel(ABC):
    """An operation on compressed tensors."""

    @abstractmethod
    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        """From the source to the target."""

    @abstractmethod
    def backward(self, y: Compressed, axes: Axes, weights: Slabs, product: Product = products) -> Compressed:
        """The transpose of `forward` from a source that had these axes; on totals, both of them.

        Maxima need full axes.
        """

    @abstractmethod
    def gradient(self, x: Compressed, y: Compressed) -> Array | None:
        """Per entry, the sum over states and edges of x at the source times y at the target; None if it cannot.

        y has totals.
        """

    def masses(self, x: Compressed, y: Compressed, weights: Slabs) -> Array | None:
        """The entries times their gradients."""
        out = self.gradient(x, y)
        return None if out is None else out * weights(slice(None)).reshape(out.shape)


@lru_cache(maxsize=4096)
def kernel(operation: Operation) -> Kernel | None:
    """The kernel of an operation; None if there is none, and its edges must do."""
    return _kernel(operation)


@singledispatch
def _kernel(operation: Operation) -> Kernel | None:
    return None


# -- convolutions -------------------------------------------------------------------------------------------------


class _Convolution(Kernel):
    """`Windows` as they are."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows

    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        return self.windows.forward(x, weights, product)

    def backward(self, y: Compressed, axes: Axes, weights: Slabs, product: Product = products) -> Compressed:
        return self.windows.pulled(y, axes, weights, product)

    def gradient(self, x: Compressed, y: Compressed) -> Array:
        return self.windows.gradient(x, y)

    def masses(self, x: Compressed, y: Compressed, weights: Slabs) -> Array:
        return self.windows.gradient(x, y, weights)


class _TransposedConvolution(_Convolution):
    """`Windows` the other way."""

    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        return self.windows.backward(x, weights, product)

    def backward(self, y: Compressed, axes: Axes, weights: Slabs, product: Product = products) -> Compressed:
        return self.windows.pushed(y, axes, weights, product)

    def gradient(self, x: Compressed, y: Compressed) -> Array:
        return self.windows.pushed_gradient(y, x)

    def masses(self, x: Compressed, y: Compressed, weights: Slabs) -> Array:
        return self.gradient(x, y) * weights(slice(None))


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
    """A matrix on the last axis; without leading axes the states are the columns of the product."""

    def __init__(self, operation: Linear) -> None:
        self.operation = operation

    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        n_in, n_out = self.operation.n_in, self.operation.n_out
        last = len(x.axes) - 1
        x = x.expanded([last])
        is_flat = last == 0
        shape = (n_out, x.n_states) if is_flat else (*x.values.shape[:-1], n_out)
        out = np.empty(shape, dtype=x.values.dtype)
        rows = x.values if is_flat else x.values.reshape(-1, n_in)
        for chosen in slabs(n_out, n_in):
            if is_flat:
                out[chosen] = product(weights(chosen), rows)
            else:
                out[..., chosen] = product(rows, weights(chosen).T).reshape(*shape[:-1], -1)
        return Compressed(out, (*x.axes[:-1], singletons(n_out)))

    def backward(self, y: Compressed, axes: Axes, weights: Slabs, product: Product = products) -> Compressed:
        n_in, n_out = self.operation.n_in, self.operation.n_out
        y = coarsened(y, (*axes[:-1], singletons(n_out)))
        is_flat = len(axes) == 1
        rows = y.values.T if is_flat else y.values.reshape(-1, n_out)
        add = np.add if product is products else np.maximum
        out = np.zeros((len(rows), n_in), dtype=y.values.dtype)
        for chosen in slabs(n_out, n_in):
            add(out, product(rows[:, chosen], weights(chosen)), out=out)
        values = out.T if is_flat else out.reshape(*y.values.shape[:-1], n_in)
        return coarsened(Compressed(values, (*axes[:-1], singletons(n_in))), axes)

    def gradient(self, x: Compressed, y: Compressed) -> Array:
        x = x.expanded([len(x.axes) - 1])
        y = coarsened(y, (*x.axes[:-1], singletons(self.operation.n_out)))
        if len(x.axes) == 1:
            return np.asarray(y.values @ x.values.T)
        return np.asarray(
            y.values.reshape(-1, self.operation.n_out).T @ x.values.reshape(-1, self.operation.n_in)
        )


_kernel.register(Linear, _Linear)


# -- entry by entry -----------------------------------------------------------------------------------------------


class _Diagonal(Kernel):
    """A factor by broadcasting."""

    def __init__(self, operation: Diagonal) -> None:
        target = operation.target_shape or (1,)
        self.target = target
        self.source = operation.source_shape or (1,) * len(target)
        self.factor = operation.factor_shape or (1,) * len(target)
        self.own = [axis for axis, (n, f) in enumerate(zip(target, self.factor, strict=True)) if f == n > 1]

    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        x = self._aligned(x)
        return Compressed(x.values * self._placed(weights(slice(None))), self._target_axes(x.axes))

    def backward(self, y: Compressed, axes: Axes, weights: Slabs, product: Product = products) -> Compressed:
        spread = axes if len(axes) == len(self.target) else (singletons(1),) * len(self.target)
        add = np.add if product is products else np.maximum
        y = coarsened(y, self._target_axes(spread), add)
        values = y.values * self._placed(weights(slice(None)))
        for axis, n in enumerate(self.target):
            if self.source[axis] != n:
                values = add.reduce(values, axis=axis + (axis > 0), keepdims=True)
        middle = tuple(
            singletons(1) if self.source[axis] != n else singletons(n) if axis in self.own else spread[axis]
            for axis, n in enumerate(self.target)
        )
        out = coarsened(Compressed(values, middle), spread)
        return out if spread is axes else Compressed(out.values.reshape(1, -1), axes)

    def gradient(self, x: Compressed, y: Compressed) -> Array:
        x = self._aligned(x)
        y = coarsened(y, self._target_axes(x.axes))
        values = (x.values * y.values).sum(axis=1, keepdims=True)
        others = tuple(axis + (axis > 0) for axis in range(len(self.target)) if axis not in self.own)
        return np.asarray(values.sum(axis=others)).reshape(self.factor)

    def _target_axes(self, axes: Axes) -> Axes:
        """The axes of the target."""
        return tuple(
            singletons(n) if axis in self.own else axes[axis] if self.source[axis] == n else one_class(n)
            for axis, n in enumerate(self.target)
        )

    def _aligned(self, x: Compressed) -> Compressed:
        """The source with the axes of the target; the constant has none."""
        if len(x.axes) != len(self.target):
            n = len(self.target)
            x = Compressed(x.values.reshape(1, x.n_states, *(1,) * (n - 1)), (singletons(1),) * n)
        return x.expanded([axis for axis in self.own if self.source[axis] > 1])

    def _placed(self, factor: Array) -> Array:
        """The factor with an axis of size 1 for the states."""
        return factor.reshape(self.factor[0], 1, *self.factor[1:])


_kernel.register(Diagonal, _Diagonal)


# -- axis by axis -------------------------------------------------------------------------------------------------


class _Separable(Kernel):
    """Fixed maps along the trailing axes."""

    def __init__(self, operation: Separable) -> None:
        self.operation = operation
        self.n_lead = len(operation.lead)
        self.taps = [_padded(m.taps) for m in operation.maps]
        self.transposed_taps = [_padded(_transposed(m.taps)) for m in operation.maps]

    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        return self._map(x, self.taps, weights(slice(None)), np.add if product is products else np.maximum)

    def backward(self, y: Compressed, axes: Axes, weights: Slabs, product: Product = products) -> Compressed:
        entries = weights(slice(None))
        if all(axis.is_full for axis in (*y.axes[self.n_lead :], *axes[self.n_lead :])):
            y = coarsened(y, (*axes[: self.n_lead], *y.axes[self.n_lead :]))
            add = np.add if product is products else np.maximum
            return self._map(y, self.transposed_taps, entries, add).expanded(range(self.n_lead, len(axes)))
        maps = [reads(t, axis) for t, axis in zip(self.taps, axes[self.n_lead :], strict=True)]
        y = coarsened(y, (*axes[: self.n_lead], *(m.target for m in maps)))
        values, flat = y.values, entries.ravel()
        if flat.size == 1 or (flat == flat[0]).all():
            for axis, (m, partition) in enumerate(zip(maps, axes[self.n_lead :], strict=True), start=self.n_lead):
                hits = (m.index[:, :, None] == np.arange(len(partition))).sum(axis=1).astype(values.dtype)
                place = axis + (axis > 0)
                values = np.moveaxis(np.moveaxis(values, place, -1) @ hits, -1, place)
            return Compressed(values * flat[0], axes)
        first = np.moveaxis(values, 1, 0)
        lead = first.shape[: 1 + self.n_lead]
        sizes = [len(axis) for axis in axes[self.n_lead :]]
        index, coefficient = self._index(maps, sizes, entries.reshape(self.operation.tensor_shape))
        row = np.repeat(np.arange(len(index)), index.shape[1])
        matrix = csr_array((coefficient.ravel(), (row, index.ravel())), shape=(len(index), math.prod(sizes) + 1))
        out = first.reshape(math.prod(lead), -1) @ matrix
        out = np.asarray(out)[:, :-1].reshape(*lead, *sizes)
        return Compressed(np.moveaxis(out, 0, 1), axes)

    def gradient(self, x: Compressed, y: Compressed) -> Array | None:
        shape = self.operation.tensor_shape
        size = math.prod(shape)
        if size > MOST_COEFFICIENTS:
            return None
        out = np.empty(size, dtype=np.result_type(x.values, y.values))
        for entry in range(size):
            one = (np.arange(size) == entry).astype(out.dtype).reshape(shape)
            read = self._map(x, self.taps, one, np.add)
            out[entry] = (read.values * coarsened(y, read.axes).values).sum()
        return out.reshape(shape)

    def largest(self, x: Compressed, rank: int) -> Compressed:
        """The rank-th largest entry that each target reads."""
        maps = self._reads(x, self.taps)
        axes = (*x.axes[: self.n_lead], *(m.target for m in maps))
        values = x.values
        if rank == 1:
            for axis, m in enumerate(maps, start=self.n_lead):
                values = _reduced(values, axis + (axis > 0), m, np.maximum, -np.inf)
            return Compressed(values, axes)
        return Compressed(self._gathered(values, maps, lambda part, k: np.sort(part, axis=-1)[..., -rank], -np.inf), axes)

    def _map(self, x: Compressed, taps: Sequence[Taps], weights: Array, add: np.ufunc) -> Compressed:
        maps = self._reads(x, taps)
        axes = (*x.axes[: self.n_lead], *(m.target for m in maps))
        values, flat = x.values, weights.ravel()
        if flat.size == 1 or (flat == flat[0]).all():
            for axis, m in enumerate(maps, start=self.n_lead):
                values = _reduced(values, axis + (axis > 0), m, add, 0)
            return Compressed(values if flat[0] == 1 else values * flat[0], axes)
        entries = weights.reshape(self.operation.tensor_shape)

        def total(part: Array, coefficients: Array) -> Array:
            return np.asarray(add.reduce(part * coefficients, axis=-1))

        return Compressed(self._gathered(values, maps, total, 0, entries), axes)

    def _reads(self, x: Compressed, taps: Sequence[Taps]) -> list[Reads]:
        return [reads(t, axis) for t, axis in zip(taps, x.axes[self.n_lead :], strict=True)]

    def _gathered(
        self, values: Array, maps: Sequence[Reads], reduce, nothing: float, entries: Array | None = None
    ) -> Array:
        """All that each target reads on one last axis, reduced over it; `nothing` stands for the padding."""
        n = len(maps)
        if self.n_lead == 0:  # the states stand between the mapped axes
            values = np.moveaxis(values, 1, 0)
        lead = values.shape[: values.ndim - n]
        flat = np.full((math.prod(lead), math.prod(values.shape[values.ndim - n :]) + 1), nothing, dtype=values.dtype)
        flat[:, :-1] = values.reshape(len(flat), -1)
        index, chosen = self._index(maps, values.shape[values.ndim - n :], entries)
        sizes = [len(m.index) for m in maps]
        out = np.empty((len(flat), len(index)), dtype=values.dtype)
        step = max(1, GATHERED // max(1, index.size))
        for start in range(0, len(flat), step):
            part = np.take(flat[start : start + step], index, axis=1, mode="clip")
            out[start : start + step] = reduce(part, chosen)
        out = out.reshape(*lead, *sizes)
        return np.moveaxis(out, 0, 1) if self.n_lead == 0 else out


    @staticmethod
    def _index(maps: Sequence[Reads], sizes: Sequence[int], entries: Array | None) -> tuple[Array, Array | None]:
        """What each target reads, flat, one past the end for the padding; and by which entry: (targets, reads)."""
        n = len(maps)
        index, coefficient, is_padding = np.zeros((1,) * (2 * n), int), 0, np.zeros((1,) * (2 * n), dtype=bool)
        for axis, m in enumerate(maps):
            at = [1] * (2 * n)
            at[axis], at[n + axis] = m.index.shape
            index = index * sizes[axis] + m.index.reshape(at)
            is_padding = is_padding | (m.index == PADDING).reshape(at)
            if m.coefficient is not None and entries is not None:
                coefficient = coefficient * entries.shape[axis] + m.coefficient.reshape(at)
        n_targets = math.prod(index.shape[:n])
        flat = np.where(is_padding, math.prod(sizes), index).reshape(n_targets, -1)
        if entries is None:
            return flat, None
        chosen = np.where(is_padding, 0, entries.ravel()[np.where(is_padding, 0, coefficient)])
        return flat, chosen.reshape(flat.shape)


def _reduced(values: Array, place: int, m: Reads, add: np.ufunc, nothing: float) -> Array:
    """What each class reads along one axis, added up in order."""
    if m.index.shape[1] == 1 and np.array_equal(m.index[:, 0], np.arange(values.shape[place])):
        return values
    if (m.index == PADDING).any():
        shape = list(values.shape)
        shape[place] = 1
        values = np.concatenate([values, np.full(shape, nothing, dtype=values.dtype)], axis=place)
    out = np.take(values, m.index[:, 0], axis=place)
    for column in m.index.T[1:]:
        add(out, np.take(values, column, axis=place), out=out)
    return out


def _padded(axis: AxisTaps) -> Taps:
    """The reads of each output in a row of one length; the taps are the coefficients."""
    width = int(axis.degree.max(initial=1))
    index = np.full((axis.n_out, width), PADDING)
    tap = np.zeros((axis.n_out, width), dtype=np.int64)
    row = np.repeat(np.arange(axis.n_out), axis.degree)
    column = np.arange(len(axis.index)) - axis.start[row]
    index[row, column], tap[row, column] = axis.index, axis.tap
    return Taps(index, axis.n_in, tap if axis.n_taps > 1 else None)


def _transposed(axis: AxisTaps) -> AxisTaps:
    """The same reads from the other side."""
    row = np.repeat(np.arange(axis.n_out), axis.degree)
    order = np.lexsort((row, axis.index))
    start = np.searchsorted(axis.index[order], np.arange(axis.n_in + 1))
    return AxisTaps(axis.n_out, axis.n_taps, start, row[order], axis.tap[order])


_kernel.register(Separable, _Separable)


# -- any sparse matrix --------------------------------------------------------------------------------------------


class _FixedLinear(Kernel):
    """A CSR matrix on everything; sums only."""

    def __init__(self, operation: FixedLinear) -> None:
        self.operation = operation

    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        out = self._times(self._matrix(weights), x.flat().T, product)
        return full(out.T, self.operation.target_shape)

    def backward(self, y: Compressed, axes: Axes, weights: Slabs, product: Product = products) -> Compressed:
        out = self._times(csr_array(self._matrix(weights).T), _flat_totals(y).T, product)
        return coarsened(full(out.T, self.operation.source_shape), axes)

    def gradient(self, x: Compressed, y: Compressed) -> Array:
        relation = self.operation.relation
        row = np.repeat(np.arange(relation.n_out), relation.degree)
        products = (x.flat()[:, relation.index] * _flat_totals(y)[:, row]).sum(axis=0)
        return np.bincount(relation.tap, weights=products, minlength=relation.n_taps)

    def _matrix(self, weights: Slabs) -> csr_array:
        relation = self.operation.relation
        return csr_array(
            (weights(slice(None)).ravel()[relation.tap], relation.index, relation.start),
            shape=(relation.n_out, relation.n_in),
        )

    @staticmethod
    def _times(matrix: csr_array, x: Array, product: Product) -> Array:
        if product is products:
            return np.asarray(matrix @ x)
        out = np.zeros((matrix.shape[0], x.shape[1]), dtype=x.dtype)
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        np.maximum.at(out, row, matrix.data[:, None] * x[matrix.indices])
        return out


_kernel.register(FixedLinear, _FixedLinear)


def _flat_totals(y: Compressed) -> Array:
    """Totals on full axes, shape (S, size): they are so already, for what makes full tensors is read in full."""
    if not y.is_full:
        raise AssertionError("totals can be made coarser, never finer")
    return y.flat()


# -- anything else ------------------------------------------------------------------------------------------------


class _ByEdges(Kernel):
    """An operation that has no kernel, through its block."""

    def __init__(self, operation: Operation) -> None:
        everything = slice(0, operation.source_size), slice(0, operation.target_size)
        self.operation, self.block = operation, LayerBlock(operation, *everything, 0)

    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        out = self.block.apply(x.flat(), weights(slice(None)), REAL if product is products else MAX_TIMES)
        return full(out, self.operation.target_shape)

    def backward(self, y: Compressed, axes: Axes, weights: Slabs, product: Product = products) -> Compressed:
        ring = REAL if product is products else MAX_TIMES
        out = self.block.apply_transpose(_flat_totals(y), weights(slice(None)), ring)
        return coarsened(full(out, self.operation.source_shape), axes)

    def gradient(self, x: Compressed, y: Compressed) -> Array:
        return self.block.entry_gradient(x.flat(), _flat_totals(y), self.operation.tensor_shape, REAL)


@lru_cache(maxsize=1024)
def by_edges(operation: Operation) -> Kernel:
    """The kernel of an operation that has none of its own."""
    return _ByEdges(operation)
