"""Convolutions on compressed tensors: windows gathered into columns, then one matrix product.

A convolution with weights w of shape (O, C / groups, k1, ..., kd) sums, for each output channel and position, the
products of a row of w with the window that the position reads.

* Forward, the windows of all *classes* of positions (`pathgraph.layers.partitions`) are gathered as the columns of a
  matrix, which is multiplied by w from the left.
* The transposed map multiplies by w^t, and adds up, for each input position, what the windows that hold it sent back. A
  transposed convolution is this map.
* The gradient in the entries of w is the product of the values at the targets, counted as often as their class occurs,
  with the transposed columns.

The weights are asked for a slab of rows at a time: a function of them, such as |w|^q, is never there as a whole. Or all
products with them are compiled (`pathgraph.layers.power_products`). Every sum runs over the channels and taps of the
window in C order, whatever the classes are; padding is read as zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from pathgraph.layers import power_products
from pathgraph.layers.compressed import Compressed, coarsened
from pathgraph.layers.partitions import PADDING, Partition, Reads, Taps, reads, singletons
from pathgraph.layers.slabs import Product, Slabs, products, rows_in_slab, slabs
from pathgraph.layers.tap_sums import arrived, collected, gathered, gone_back

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["Windows"]

COLUMNS = 1 << 20
"""About how many entries of the matrix of windows are there at a time."""

EVERYTHING = slice(None)


@dataclass(frozen=True)
class Windows:
    """The geometry of a convolution, and what can be computed from it.

    Pairs of methods belong together: `forward` and its transpose `pulled`, `backward` and its transpose `pushed`. The
    transposes take and give totals: for each class the sum over its positions.

    Attributes
    ----------
    source, target : tuple of int
        Channels, then 1 to 3 spatial sizes.
    kernel, stride, dilation : tuple of int
        Per spatial axis.
    before : tuple of int
        Padding in front, per spatial axis; what lies behind follows from the sizes.
    groups : int
    """

    source: tuple[int, ...]
    target: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    before: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weights."""
        return (self.target[0], self.source[0] // self.groups, *self.kernel)

    @cached_property
    def taps(self) -> tuple[Taps, ...]:
        """Per axis, which input position each output position reads at each tap."""
        out = []
        for n_in, n_out, k, s, b, d in self._axes():
            index = np.arange(n_out)[:, None] * s + np.arange(k) * d - b
            out.append(Taps(np.where((index < 0) | (index >= n_in), PADDING, index), n_in))
        return tuple(out)

    @cached_property
    def transposed_taps(self) -> tuple[Taps, ...]:
        """Per axis, which output position reads each input position at each tap."""
        out = []
        for n_in, n_out, k, s, b, d in self._axes():
            shifted = np.arange(n_in)[:, None] + b - np.arange(k) * d
            index = shifted // s
            out.append(Taps(np.where((shifted % s != 0) | (index < 0) | (index >= n_out), PADDING, index), n_out))
        return tuple(out)

    def forward(self, x: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        """The convolution of x, which has the shape `source`."""
        x = x.expanded([0])
        maps = [reads(taps, axis) for taps, axis in zip(self.taps, x.axes[1:], strict=True)]
        n_out, row = self.target[0], math.prod(self.shape[1:])
        out = np.empty((n_out, x.n_states, *(len(m.target) for m in maps)), dtype=x.values.dtype)
        for states, rows, make in self._columns(x, maps, quick=self._is_quick(weights)):
            part, columns = out[:, states, rows], make()
            made = self._compiled(power_products.multiplied, weights, columns, product)
            if made is not None:
                part[...] = made.reshape(part.shape)
                continue
            for chosen, groups in self._slabs(row):
                slab = weights(chosen).reshape(groups.stop - groups.start, -1, row)
                part[chosen] = product(slab, columns[groups]).reshape(-1, *part.shape[1:])
        return Compressed(out, (singletons(n_out), *(m.target for m in maps)))

    def backward(self, y: Compressed, weights: Slabs, product: Product = products) -> Compressed:
        """The transposed convolution of y, which has the shape `target`."""
        axes = self.sources(y.axes[1:])
        y = y.expanded() if _is_dense(y.axes[1:]) else y.expanded([0])
        maps = [reads(taps, axis) for taps, axis in zip(self.transposed_taps, y.axes[1:], strict=True)]
        shape, add = y.values.shape[1:], np.add if product is products else np.maximum
        out = np.empty((self.source[0], y.n_states, *map(len, axes)), dtype=y.values.dtype)
        values = y.values.reshape(self.groups, -1, math.prod(shape))
        for channels in self._channels(math.prod(shape)):
            sent = self._sent(values, weights, channels, product)
            at = slice(None) if self.groups > 1 else channels
            if all(axis.is_full for axis in y.axes[1:]):
                self._scatter(sent.reshape(-1, *self.kernel, *shape), out[at], add)
            else:
                sent = sent.reshape(-1, math.prod(shape))
                out[at] = collected(sent, self.kernel, shape, maps, add, quick=self._is_quick(weights))
        return Compressed(out, (singletons(self.source[0]), *axes))

    def sources(self, axes: Sequence[Partition]) -> tuple[Partition, ...]:
        """The spatial axes of what `backward` makes of a tensor with these spatial axes."""
        if _is_dense(axes):
            return tuple(map(singletons, self.source[1:]))
        return tuple(reads(taps, axis).target for taps, axis in zip(self.transposed_taps, axes, strict=True))

    def pulled(
        self, y: Compressed, axes: tuple[Partition, ...], weights: Slabs, product: Product = products
    ) -> Compressed:
        """The transpose of `forward`: from totals y of the target to totals of a source with these axes."""
        if all(axis.is_full for axis in (*y.axes, *axes[1:])):
            return coarsened(self.backward(y, weights, product).expanded(), axes)
        maps = [reads(taps, axis) for taps, axis in zip(self.taps, axes[1:], strict=True)]
        y = coarsened(y, (singletons(self.target[0]), *(m.target for m in maps)))
        size = math.prod(y.values.shape[1:])
        values, parts = y.values.reshape(self.groups, -1, size), []
        for channels in self._channels(size):
            sent = self._sent(values, weights, channels, product)
            parts.append(
                gone_back(
                    sent.reshape(-1, size),
                    self.kernel,
                    y.values.shape[1:],
                    maps,
                    axes[1:],
                    quick=self._is_quick(weights),
                )
            )
        out = np.concatenate(parts) if len(parts) > 1 else parts[0]
        return coarsened(Compressed(out, (singletons(self.source[0]), *axes[1:])), axes)

    def pulled_with_masses(self, x: Compressed, y: Compressed, weights: Slabs, out: Array) -> Compressed | None:
        """What `pulled` gives, to the axes of x, and into `out` the weights times `gradient`: each weight is read once.

        None, and nothing is done, if it cannot be one pass.
        """
        axes, x = x.axes, x.expanded([0])
        maps = [reads(taps, axis) for taps, axis in zip(self.taps, axes[1:], strict=True)]
        size, n_taps = math.prod(len(m.target) for m in maps), math.prod(self.kernel)
        if self.groups > 1 or x.n_states > 1 or self.source[0] * n_taps * size > COLUMNS:
            return None
        if x.is_full and not self._is_quick(weights):
            return None
        columns = self._windows(x, maps, slice(0, 1), slice(0, len(maps[0].target)), quick=self._is_quick(weights))[0]
        y = coarsened(y, (singletons(self.target[0]), *(m.target for m in maps)))
        values, entries = y.values.reshape(-1, size), out.reshape(self.target[0], -1)
        sent = power_products.transposed_with_masses(weights, columns, values, entries)
        if sent is None:
            sent = np.zeros((len(columns), size), dtype=values.dtype)
            for rows, _ in self._slabs(len(columns)):
                slab = weights(rows).reshape(-1, len(columns))
                sent += slab.T @ values[rows]
                np.multiply(values[rows] @ columns.T, slab, out=entries[rows])
        made = gone_back(sent, self.kernel, y.values.shape[1:], maps, axes[1:], quick=self._is_quick(weights))
        return coarsened(Compressed(made, (singletons(self.source[0]), *axes[1:])), axes)

    def pushed_with_masses(self, x: Compressed, y: Compressed, weights: Slabs, out: Array) -> Compressed | None:
        """What `pushed` gives, from totals x to the axes of y, and into `out` the weights times `pushed_gradient`.

        None, and nothing is done, if it cannot be one pass.
        """
        axes, y = y.axes, y.expanded([0])
        if x.n_states > 1 or (x.is_full and y.is_full and not self._is_quick(weights)):
            return None
        columns, row = self._arrived(x, axes, quick=self._is_quick(weights)), math.prod(self.shape[1:])
        values, entries = y.values.reshape(self.target[0], -1), out.reshape(self.target[0], row)
        made = np.empty(y.values.shape, dtype=x.values.dtype)
        whole = None
        if self.groups == 1:
            whole = power_products.multiplied_with_masses(weights, columns[0], values, entries)
        if whole is not None:
            made[...] = whole.reshape(made.shape)
        for chosen, groups in self._slabs(row) if whole is None else ():
            slab = weights(chosen).reshape(groups.stop - groups.start, -1, row)
            made[chosen] = (slab @ columns[groups]).reshape(-1, *made.shape[1:])
            part = values[chosen].reshape(*slab.shape[:2], -1) @ columns[groups].swapaxes(1, 2)
            np.multiply(part.reshape(-1, row), slab.reshape(-1, row), out=entries[chosen])
        return coarsened(Compressed(made, (singletons(self.target[0]), *axes[1:])), axes)

    def gradient(self, x: Compressed, y: Compressed, weights: Slabs | None = None, out: Array | None = None) -> Array:
        """For each entry of the weights, the sum over states and edges of x at the source times y at the target.

        Parameters
        ----------
        x : Compressed
            Values of the source.
        y : Compressed
            Totals of the target.
        weights : Slabs, optional
            What the result is multiplied by, entry by entry.
        out : ndarray, optional
            The array for the result; by default a new one.
        """
        x = x.expanded([0])
        maps = [reads(taps, axis) for taps, axis in zip(self.taps, x.axes[1:], strict=True)]
        y = coarsened(y, (singletons(self.target[0]), *(m.target for m in maps)))
        row = math.prod(self.shape[1:])
        out = self._rows(out, y.values.dtype)
        parts = list(self._columns(x, maps))
        for place, (states, rows, make) in enumerate(parts):
            columns = make().swapaxes(1, 2)
            values = y.values[:, states, rows].reshape(self.target[0], -1)
            for chosen, groups in self._slabs(row):
                part = out[chosen].reshape(groups.stop - groups.start, -1, row)
                values_of = values[chosen].reshape(*part.shape[:2], -1)
                if place == 0:
                    np.matmul(values_of, columns[groups], out=part)
                else:
                    part += values_of @ columns[groups]
                if weights is not None and place == len(parts) - 1:
                    np.multiply(out[chosen], weights(chosen).reshape(-1, row), out=out[chosen])
        return out.reshape(self.shape)

    def pushed(
        self, x: Compressed, axes: tuple[Partition, ...], weights: Slabs, product: Product = products
    ) -> Compressed:
        """The transpose of `backward`: from totals x of the source to totals of a target with these axes."""
        if all(axis.is_full for axis in (*x.axes, *axes[1:])):
            return coarsened(self.forward(x, weights, product).expanded(), axes)
        columns, row = self._arrived(x, axes, quick=self._is_quick(weights)), math.prod(self.shape[1:])
        out = np.empty((self.target[0], x.n_states, *map(len, axes[1:])), dtype=x.values.dtype)
        made = self._compiled(power_products.multiplied, weights, columns, product)
        if made is not None:
            out[...] = made.reshape(out.shape)
        for chosen, groups in self._slabs(row) if made is None else ():
            slab = weights(chosen).reshape(groups.stop - groups.start, -1, row)
            out[chosen] = product(slab, columns[groups]).reshape(-1, *out.shape[1:])
        return coarsened(Compressed(out, (singletons(self.target[0]), *axes[1:])), axes)

    def pushed_gradient(
        self, x: Compressed, y: Compressed, weights: Slabs | None = None, out: Array | None = None
    ) -> Array:
        """What `gradient` gives, from totals x of the source and values y of the target."""
        y = y.expanded([0])
        if x.is_full and y.is_full:
            return self.gradient(x, y, weights, out)
        columns, row = self._arrived(x, y.axes).swapaxes(1, 2), math.prod(self.shape[1:])
        values = y.values.reshape(self.target[0], -1)
        out = self._rows(out, values.dtype)
        for chosen, groups in self._slabs(row):
            part = out[chosen].reshape(groups.stop - groups.start, -1, row)
            np.matmul(values[chosen].reshape(*part.shape[:2], -1), columns[groups], out=part)
            if weights is not None:
                np.multiply(out[chosen], weights(chosen).reshape(-1, row), out=out[chosen])
        return out.reshape(self.shape)

    def _rows(self, out: Array | None, dtype: DTypeLike) -> Array:
        """The given or a new array for the entries, seen with one row for each channel of the target."""
        made = np.empty(self.shape, dtype=dtype) if out is None else out
        return made.reshape(self.target[0], -1)

    def _arrived(self, x: Compressed, axes: Sequence[Partition], *, quick: bool = False) -> Array:
        """Totals of the source, by the class of the target that sent them and by tap, arranged like `_columns`."""
        maps = [reads(taps, axis) for taps, axis in zip(self.transposed_taps, axes[1:], strict=True)]
        x = coarsened(x, (singletons(self.source[0]), *(m.target for m in maps)))
        columns = arrived(x.values, maps, axes[1:], quick=quick)
        return columns.reshape(self.groups, self.source[0] // self.groups * math.prod(self.kernel), -1)

    def _axes(self) -> Iterator[tuple[int, ...]]:
        return zip(self.source[1:], self.target[1:], self.kernel, self.stride, self.before, self.dilation, strict=True)

    def _slabs(self, row: int) -> Iterator[tuple[slice, slice]]:
        """Slices of the rows of the weights, each with the slice of their groups.

        With one group these are some rows of it; with several, all rows of some groups.
        """
        if self.groups == 1:
            for rows in slabs(self.target[0], row):
                yield rows, slice(0, 1)
            return
        per_group = self.target[0] // self.groups
        for groups in slabs(self.groups, row * per_group):
            yield slice(groups.start * per_group, groups.stop * per_group), groups

    def _channels(self, size: int) -> Iterator[slice]:
        """Slices of the source channels of each group, for `backward`: a few channels each if positions are many."""
        per_group, n_taps = self.source[0] // self.groups, math.prod(self.kernel)
        step = per_group
        if self.groups == 1 and n_taps * size * per_group > COLUMNS:
            step = min(COLUMNS // (n_taps * size), rows_in_slab(n_taps * self.target[0]))
        for start in range(0, per_group, max(1, step)):
            yield slice(start, min(per_group, start + max(1, step)))

    def _sent(self, values: Array, weights: Slabs, channels: slice, product: Product) -> Array:
        """What the targets send back, along each tap, to some source channels of each group.

        The values at the targets have shape (groups, channels / groups, positions).
        """
        n = (channels.stop - channels.start) * math.prod(self.kernel)
        if self.groups == 1 and channels.stop - channels.start < self.source[0]:
            return product(weights(EVERYTHING, channels).reshape(1, -1, n).swapaxes(1, 2), values)
        if self.groups == 1:  # whole rows of weights, as they lie in memory
            made = self._compiled(power_products.transposed, weights, values, product)
            if made is not None:
                return made[None]
            add = np.add if product is products else np.maximum
            parts = (
                product(weights(rows).reshape(1, -1, n).swapaxes(1, 2), values[:, rows]) for rows, _ in self._slabs(n)
            )
            total = next(parts)
            for part in parts:
                add(total, part, out=total)
            return total
        sent = np.empty((self.groups, n, values.shape[2]), dtype=values.dtype)
        for chosen, groups in self._slabs(n):
            slab = weights(chosen).reshape(groups.stop - groups.start, -1, n)
            sent[groups] = product(slab.swapaxes(1, 2), values[groups])
        return sent

    def _is_quick(self, weights: Slabs) -> bool:
        """Whether the products with these weights are compiled; then so are the copies of windows."""
        return self.groups == 1 and power_products.is_compiled(weights)

    def _compiled(
        self, multiply: Callable[[Slabs, Array], Array | None], weights: Slabs, read: Array, product: Product
    ) -> Array | None:
        """The compiled product of all weights with what they read, of shape (1, n, columns); None if there is none."""
        return multiply(weights, read[0]) if self.groups == 1 and product is products else None

    def _columns(
        self, x: Compressed, maps: Sequence[Reads], *, quick: bool = False
    ) -> Iterator[tuple[slice, slice, Callable[[], Array]]]:
        """The matrix of windows in parts that fit in memory.

        Yields
        ------
        states, rows : slice
            The states, and the classes of the first axis, whose windows the part holds.
        make : callable
            Makes the part: an array of shape (groups, C / groups * taps, positions).
        """
        n_taps = math.prod(self.kernel)
        row = self.source[0] * n_taps * math.prod(len(m.target) for m in maps[1:])
        n_rows = len(maps[0].target)
        n_states = max(1, COLUMNS // (row * n_rows))
        step = n_rows if n_states > 1 else max(1, COLUMNS // row)
        for first in range(0, x.n_states, n_states):
            states = slice(first, min(x.n_states, first + n_states))
            for start in range(0, n_rows, step):
                rows = slice(start, min(n_rows, start + step))
                yield states, rows, partial(self._windows, x, maps, states, rows, quick=quick)

    def _windows(
        self, x: Compressed, maps: Sequence[Reads], states: slice, rows: slice, *, quick: bool = False
    ) -> Array:
        values = x.values[:, states]
        if all(m.is_copy for m in maps):
            columns = values[:, :, rows]
        elif x.is_full and all(m.target.is_full for m in maps):
            columns = self._sliced(values, rows)
        else:
            some = [maps[0]._replace(classes=maps[0].classes[rows]), *maps[1:]]
            columns = gathered(values, some, quick=quick)
        return columns.reshape(self.groups, self.source[0] // self.groups * math.prod(self.kernel), -1)

    def _scatter(self, sent: Array, out: Array, add: np.ufunc) -> None:
        """Add up, by slices, what targets without repetitions send along each tap: (C, k1, ..., kd, S, n1, ..., nd)."""
        out[...] = 0
        for tap in np.ndindex(*self.kernel):
            ends, starts = [], []
            for t, (n_in, n_out, _, s, b, d) in zip(tap, self._axes(), strict=True):
                first = max(0, -((t * d - b) // s))
                stop = max(first, min(n_out, (n_in - 1 + b - t * d) // s + 1))
                low = first * s + t * d - b
                starts.append(slice(first, stop))
                ends.append(slice(low, low + (stop - first - 1) * s + 1 if stop > first else low, s))
            part = sent[(slice(None), *tap, slice(None), *starts)]
            if part.size:
                into = out[(slice(None), slice(None), *ends)]
                add(into, part, out=into)

    def _sliced(self, values: Array, rows: slice) -> Array:
        """The windows of some positions of the first axis, by slices: (C, k1, ..., kd, S, n1, ..., nd)."""
        windows = values
        for axis, (n_in, n_out, k, s, b, d) in enumerate(self._axes()):
            low, high = (rows.start, rows.stop) if axis == 0 else (0, n_out)
            start, stop = low * s - b, (high - 1) * s - b + (k - 1) * d + 1
            first = min(max(0, start), n_in)
            inside = windows[(slice(None),) * (2 + axis) + (slice(first, max(first, min(n_in, stop))),)]
            widths, front = [(0, 0)] * windows.ndim, min(max(0, -start), stop - start)
            widths[2 + axis] = (front, stop - start - front - inside.shape[2 + axis])
            padded = np.pad(inside, widths) if any(widths[2 + axis]) else inside
            view = np.lib.stride_tricks.sliding_window_view(padded, (k - 1) * d + 1, axis=2 + axis)
            steps = [slice(None)] * view.ndim
            steps[2 + axis], steps[-1] = slice(None, None, s), slice(None, None, d)
            windows = view[tuple(steps)]
        n = len(self.kernel)
        return windows.transpose(0, *range(2 + n, 2 + 2 * n), 1, *range(2, 2 + n))


def _is_dense(axes: Sequence[Partition]) -> bool:
    """Whether nearly all positions differ, so that it is quicker to take them one by one."""
    return 8 * math.prod(map(len, axes)) >= 7 * math.prod(axis.size for axis in axes)
