"""The kernels of fixed matrices along axes: pooling windows, averages, interpolation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from pathgraph.layers.axes import AxisTaps
from pathgraph.layers.compressed import Compressed, array_axis, coarsened, multiplied_along
from pathgraph.layers.kernels import Axes, Kernel
from pathgraph.layers.operations import Separable
from pathgraph.layers.partitions import PADDING, Reads, Taps, reads
from pathgraph.layers.slabs import Product, Slabs, products

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["SeparableKernel"]

GATHERED = 1 << 21
"""About how many numbers are gathered at a time."""

MOST_COEFFICIENTS = 16
"""Up to this many, the gradient is taken one coefficient at a time."""


class SeparableKernel(Kernel):
    """A fixed matrix along each trailing axis, or their transposes."""

    def __init__(self, operation: Separable, *, is_transposed: bool = False) -> None:
        self.operation, self.is_transposed = operation, is_transposed
        self.n_lead = len(operation.lead)
        self.taps = [_padded(_transposed(m.taps) if is_transposed else m.taps) for m in operation.maps]
        self.transposed_taps = [_padded(m.taps if is_transposed else _transposed(m.taps)) for m in operation.maps]

    @cached_property
    def transposed(self) -> Kernel:
        """The maps the other way."""
        return SeparableKernel(self.operation, is_transposed=not self.is_transposed)

    def target_axes(self, axes: Axes) -> Axes:
        """The leading axes as they are, then the axes that the matrices make."""
        return (
            *axes[: self.n_lead],
            *(reads(t, a).target for t, a in zip(self.taps, axes[self.n_lead :], strict=True)),
        )

    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        """The map: one axis after the other if all coefficients are equal, else all axes at once."""
        return self._map(x, self.taps, weights(slice(None)), np.add if product is products else np.maximum)

    def backward(self, y: Compressed, axes: Axes, weights: Slabs, product: Product = products) -> Compressed:
        """The transpose, on totals: what the targets send back, added up by the classes that were read."""
        entries = weights(slice(None))
        if all(axis.is_full for axis in (*y.axes[self.n_lead :], *axes[self.n_lead :])):
            y = coarsened(y, (*axes[: self.n_lead], *y.axes[self.n_lead :]))
            add = np.add if product is products else np.maximum
            return self._map(y, self.transposed_taps, entries, add).expanded(range(self.n_lead, len(axes)))
        maps = [reads(t, axis) for t, axis in zip(self.taps, axes[self.n_lead :], strict=True)]
        values = coarsened(y, (*axes[: self.n_lead], *(m.target for m in maps))).values
        sizes = [len(axis) for axis in axes[self.n_lead :]]
        if _are_equal(entries):
            return Compressed(self._sent_back_by_axes(values, maps, sizes) * entries.ravel()[0], axes)
        return Compressed(self._sent_back_at_once(values, maps, sizes, entries), axes)

    def _sent_back_by_axes(self, values: Array, maps: Sequence[Reads], sizes: Sequence[int]) -> Array:
        """What the targets send back if all coefficients are 1: by a matrix along one axis after the other."""
        for axis, (m, size) in enumerate(zip(maps, sizes, strict=True), start=self.n_lead):
            hits = (m.classes[:, :, None] == np.arange(size)).sum(axis=1).astype(values.dtype)
            values = multiplied_along(values, axis, hits)
        return values

    def _sent_back_at_once(self, values: Array, maps: Sequence[Reads], sizes: Sequence[int], entries: Array) -> Array:
        """What the targets send back: by one sparse matrix over all axes."""
        first = np.moveaxis(values, 1, 0)
        lead = first.shape[: 1 + self.n_lead]
        index, coefficient = self._index(maps, sizes, entries.reshape(self.operation.tensor_shape))
        assert coefficient is not None
        row = np.repeat(np.arange(len(index)), index.shape[1])
        matrix = csr_array((coefficient.ravel(), (row, index.ravel())), shape=(len(index), math.prod(sizes) + 1))
        out = first.reshape(math.prod(lead), -1) @ matrix
        return np.moveaxis(np.asarray(out)[:, :-1].reshape(*lead, *sizes), 0, 1)

    def gradient(self, x: Compressed, y: Compressed) -> Array | None:
        """One coefficient at a time; None if there are many and no positions are equal: the edges are quicker then."""
        if math.prod(self.operation.tensor_shape) > MOST_COEFFICIENTS and x.is_full and y.is_full:
            return None
        return self._gradient(x, y)

    def masses(self, x: Compressed, y: Compressed, weights: Slabs, out: Array) -> None:
        """The entries times their gradients."""
        np.multiply(self._gradient(x, y), weights(slice(None)), out=out)

    def _gradient(self, x: Compressed, y: Compressed) -> Array:
        shape = self.operation.tensor_shape
        out = np.empty(math.prod(shape), dtype=np.result_type(x.values, y.values))
        for entry in range(len(out)):
            one = (np.arange(len(out)) == entry).astype(out.dtype).reshape(shape)
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
                values = _reduced(values, array_axis(axis), m, np.maximum, -np.inf)
            return Compressed(values, axes)
        return Compressed(
            self._gathered(values, maps, lambda part, k: np.sort(part, axis=-1)[..., -rank], -np.inf), axes
        )

    def _map(self, x: Compressed, taps: Sequence[Taps], weights: Array, add: np.ufunc) -> Compressed:
        maps = self._reads(x, taps)
        axes = (*x.axes[: self.n_lead], *(m.target for m in maps))
        values = x.values
        if _are_equal(weights):
            for axis, m in enumerate(maps, start=self.n_lead):
                values = _reduced(values, array_axis(axis), m, add, 0)
            common = weights.ravel()[0]
            return Compressed(values if common == 1 else values * common, axes)
        entries = weights.reshape(self.operation.tensor_shape)

        def total(part: Array, coefficients: Array | None) -> Array:
            return np.asarray(add.reduce(part * coefficients, axis=-1))

        return Compressed(self._gathered(values, maps, total, 0, entries), axes)

    def _reads(self, x: Compressed, taps: Sequence[Taps]) -> list[Reads]:
        return [reads(t, axis) for t, axis in zip(taps, x.axes[self.n_lead :], strict=True)]

    def _gathered(
        self,
        values: Array,
        maps: Sequence[Reads],
        reduce: Callable[[Array, Array | None], Array],
        nothing: float,
        entries: Array | None = None,
    ) -> Array:
        """All that each target reads on one last axis, reduced over it; `nothing` stands for the padding."""
        n = len(maps)
        if self.n_lead == 0:  # the states stand between the mapped axes
            values = np.moveaxis(values, 1, 0)
        lead = values.shape[: values.ndim - n]
        flat = np.full((math.prod(lead), math.prod(values.shape[values.ndim - n :]) + 1), nothing, dtype=values.dtype)
        flat[:, :-1] = values.reshape(len(flat), -1)
        index, chosen = self._index(maps, values.shape[values.ndim - n :], entries)
        sizes = [len(m.classes) for m in maps]
        out = np.empty((len(flat), len(index)), dtype=values.dtype)
        step = max(1, GATHERED // max(1, index.size))
        for start in range(0, len(flat), step):
            part = np.take(flat[start : start + step], index, axis=1, mode="clip")
            out[start : start + step] = reduce(part, chosen)
        out = out.reshape(*lead, *sizes)
        return np.moveaxis(out, 0, 1) if self.n_lead == 0 else out

    @staticmethod
    def _index(maps: Sequence[Reads], sizes: Sequence[int], entries: Array | None) -> tuple[Array, Array | None]:
        """What each target reads, and by which entry.

        Returns
        -------
        index : ndarray of int, shape (n_targets, n_reads)
            Flat positions in a tensor of the given sizes; one past its end stands for the padding.
        coefficient : ndarray, shape (n_targets, n_reads), or None without `entries`
            Zero for the padding.
        """
        n = len(maps)
        index, coefficient, is_padding = np.zeros((1,) * (2 * n), int), 0, np.zeros((1,) * (2 * n), dtype=bool)
        for axis, m in enumerate(maps):
            at = [1] * (2 * n)
            at[axis], at[n + axis] = m.classes.shape
            index = index * sizes[axis] + m.classes.reshape(at)
            is_padding = is_padding | (m.classes == PADDING).reshape(at)
            if m.coefficient is not None and entries is not None:
                coefficient = coefficient * entries.shape[axis] + m.coefficient.reshape(at)
        n_targets = math.prod(index.shape[:n])
        flat = np.where(is_padding, math.prod(sizes), index).reshape(n_targets, -1)
        if entries is None:
            return flat, None
        chosen = np.where(is_padding, 0, entries.ravel()[np.where(is_padding, 0, coefficient)])
        return flat, chosen.reshape(flat.shape)


def _are_equal(entries: Array) -> bool:
    """Whether all coefficients are one number, so that a map may go axis by axis."""
    return bool((entries == entries.ravel()[0]).all())


def _reduced(values: Array, place: int, m: Reads, add: np.ufunc, nothing: float) -> Array:
    """What each class reads along one axis, added up in order; `nothing` stands for the padding."""
    if m.classes.shape[1] == 1 and np.array_equal(m.classes[:, 0], np.arange(values.shape[place])):
        return values
    if (m.classes == PADDING).any():
        shape = list(values.shape)
        shape[place] = 1
        values = np.concatenate([values, np.full(shape, nothing, dtype=values.dtype)], axis=place)
    out = np.take(values, m.classes[:, 0], axis=place)
    for column in m.classes.T[1:]:
        add(out, np.take(values, column, axis=place), out=out)
    return out


def _padded(axis: AxisTaps) -> Taps:
    """The same relation as a table with a row of reads for each output, in which the taps are the coefficients."""
    width = int(axis.degree.max(initial=1))
    index = np.full((axis.n_out, width), PADDING)
    tap = np.zeros((axis.n_out, width), dtype=np.int64)
    row = np.repeat(np.arange(axis.n_out), axis.degree)
    column = np.arange(len(axis.index)) - axis.start[row]
    index[row, column], tap[row, column] = axis.index, axis.tap
    return Taps(index, axis.n_in, tap if axis.n_taps > 1 else None)


def _transposed(axis: AxisTaps) -> AxisTaps:
    """The same reads seen from the inputs: a relation in which they are the outputs."""
    row = np.repeat(np.arange(axis.n_out), axis.degree)
    order = np.lexsort((row, axis.index))
    start = np.searchsorted(axis.index[order], np.arange(axis.n_in + 1))
    return AxisTaps(axis.n_out, axis.n_taps, start, row[order], axis.tap[order])
