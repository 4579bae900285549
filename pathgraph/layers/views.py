"""Reshape, transpose, concatenate and take on compressed tensors, and the transposes of these maps.

A view without neurons has four forms here: forward on values (`seen`) and its transpose on totals (`sent_back`),
backward on values (`seen_back`) and its transpose on totals (`sent`). Axes stay compressed wherever they can.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.layers.compressed import (
    Compressed,
    array_axis,
    coarsened,
    full,
    in_shape,
    multiplied_along,
    refined,
)
from pathgraph.layers.partitions import Partition, one_class, singletons
from pathgraph.layers.structure import Layer

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["seen", "seen_back", "sent", "sent_back"]


def seen(layer: Layer, sources: Sequence[Compressed]) -> Compressed:
    """A view, on values."""
    assert layer.view is not None
    kind, argument = layer.view.kind, layer.view.argument
    if kind == "reshape":
        return reshaped(sources[0], layer.shape)
    if kind == "transpose":
        return transposed(sources[0], argument)
    if kind == "concatenate":
        return concatenated(sources, argument)
    return taken(sources[0], argument, layer.shape)


def sent_back(layer: Layer, y: Compressed, axes: Sequence[tuple[Partition, ...]]) -> list[Compressed]:
    """The transpose of a view, on totals: what each of its sources gets, on the axes that it had."""
    assert layer.view is not None
    kind, argument = layer.view.kind, layer.view.argument
    if kind == "reshape":
        return [_reshaped_back(y, axes[0])]
    if kind == "transpose":
        return [coarsened(transposed(y, tuple(np.argsort(argument))), axes[0])]
    if kind == "concatenate":
        stops = np.cumsum([each[argument].size for each in axes])
        return [
            coarsened(_part(y, argument, slice(stop - each[argument].size, stop)), each)
            for stop, each in zip(stops, axes, strict=True)
        ]
    return [_put_back(y, argument, axes[0])]


def seen_back(layer: Layer, y: Compressed, shapes: Sequence[tuple[int, ...]]) -> list[Compressed]:
    """The transpose of a view, on values: what each of its sources, which have these shapes, gets."""
    assert layer.view is not None
    kind, argument = layer.view.kind, layer.view.argument
    if kind == "reshape":
        return [reshaped(y, shapes[0])]
    if kind == "transpose":
        return [transposed(y, tuple(np.argsort(argument)))]
    if kind == "concatenate":
        stops = np.cumsum([shape[argument] for shape in shapes])
        return [
            _part(y, argument, slice(stop - shape[argument], stop)) for stop, shape in zip(stops, shapes, strict=True)
        ]
    values = np.zeros((y.n_states, *shapes[0]), dtype=y.values.dtype)
    values[(slice(None), *argument)] = y.states_first().reshape(y.n_states, *layer.shape)
    return [full(values, shapes[0])]


def sent(layer: Layer, xs: Sequence[Compressed], axes: tuple[Partition, ...]) -> Compressed:
    """A view, on totals, to the axes of the tensor that `seen_back` started from."""
    assert layer.view is not None
    kind, argument = layer.view.kind, layer.view.argument
    if kind == "reshape":
        return _reshaped_back(xs[0], axes)
    if kind == "transpose":
        return coarsened(transposed(xs[0], argument), axes)
    if kind == "concatenate":
        parts = [coarsened(x, _without(axes, argument, x.axes[argument])).values for x in xs]
        whole = np.concatenate(parts, axis=array_axis(argument))
        return coarsened(Compressed(whole, _without(axes, argument, singletons(axes[argument].size))), axes)
    return coarsened(taken(xs[0], argument, layer.shape), axes)


def reshaped(x: Compressed, shape: tuple[int, ...]) -> Compressed:
    """The same entries in another shape; axes that keep their size, or whose entries are all equal, stay compressed."""
    expanded, axes = _reshaped_axes(x.axes, shape or (1,))
    return in_shape(x.expanded(expanded), axes)


def _reshaped_back(y: Compressed, axes: tuple[Partition, ...]) -> Compressed:
    expanded, made = _reshaped_axes(axes, y.shape)
    middle = tuple(singletons(p.size) if axis in expanded else p for axis, p in enumerate(axes))
    return coarsened(in_shape(coarsened(y, made), middle), axes)


def _reshaped_axes(axes: tuple[Partition, ...], shape: tuple[int, ...]) -> tuple[list[int], tuple[Partition, ...]]:
    """Which axes must be expanded to be reshaped, and the axes of the other shape."""
    expanded: list[int] = []
    made: list[Partition] = []
    for sources, targets in _groups(tuple(axis.size for axis in axes), shape):
        kept = [axes[axis] for axis in sources if axes[axis].size > 1]
        sizes = [shape[axis] for axis in targets]
        if [p.size for p in kept] == [n for n in sizes if n > 1]:
            left = iter(kept)
            made.extend(next(left) if n > 1 else singletons(1) for n in sizes)
        elif all(len(p) == 1 for p in kept):
            made.extend(map(one_class, sizes))
        else:
            expanded.extend(sources)
            made.extend(map(singletons, sizes))
    return expanded, tuple(made)


def transposed(x: Compressed, order: Sequence[int]) -> Compressed:
    """The axes in another order."""
    values = np.moveaxis(x.values, 1, 0).transpose(0, *(axis + 1 for axis in order))
    return Compressed(np.moveaxis(values, 0, 1), tuple(x.axes[axis] for axis in order))


def concatenated(xs: Sequence[Compressed], axis: int) -> Compressed:
    """One after the other along an axis."""
    xs = [x.expanded([axis]) for x in xs]
    place, single = array_axis(axis), singletons(1)
    firsts = [Compressed(x.values.take([0], place), _without(x.axes, axis, single)) for x in xs]
    common = refined(*firsts)[0].axes
    parts = []
    for x in xs:
        chosen = [old.labels[new.first] for old, new in zip(x.axes, common, strict=True)]
        chosen[axis] = np.arange(x.axes[axis].size)
        parts.append(x.taken(_without(common, axis, x.axes[axis]), chosen).values)
    values = np.concatenate(parts, axis=place)
    return Compressed(values, _without(common, axis, singletons(values.shape[place])))


def _part(y: Compressed, axis: int, chosen: slice) -> Compressed:
    y = y.expanded([axis])
    at = [slice(None)] * y.values.ndim
    at[array_axis(axis)] = chosen
    return Compressed(y.values[tuple(at)], _without(y.axes, axis, singletons(chosen.stop - chosen.start)))


def _without(axes: tuple[Partition, ...], axis: int, other: Partition) -> tuple[Partition, ...]:
    return (*axes[:axis], other, *axes[axis + 1 :])


def taken(x: Compressed, index: tuple[Any, ...], shape: tuple[int, ...]) -> Compressed:
    """A part by NumPy's basic indexing."""
    values = x.values
    for axis, (chosen, _) in enumerate(_chosen(x.axes, index)):
        values = np.take(values, chosen, axis=array_axis(axis))
    return in_shape(Compressed(values, ()), _taken_axes(x.axes, index, shape))


def _put_back(y: Compressed, index: tuple[Any, ...], axes: tuple[Partition, ...]) -> Compressed:
    y = coarsened(y, _taken_axes(axes, index, y.shape))
    picked = _chosen(axes, index)
    first = np.moveaxis(y.values, 1, 0).reshape(y.n_states, *(len(chosen) for chosen, _ in picked))
    values = np.moveaxis(first, 0, 1)
    for axis, ((chosen, _), partition) in enumerate(zip(picked, axes, strict=True)):
        hits = (chosen[:, None] == np.arange(len(partition))).astype(values.dtype)
        values = multiplied_along(values, axis, hits)
    return Compressed(values, axes)


def _chosen(axes: tuple[Partition, ...], index: tuple[Any, ...]) -> list[tuple[Array, Partition | None]]:
    """Per axis of the source which classes are taken, and the axis they make; None where an integer drops the axis.

    The index is one of `pathgraph.layers.structure.basic_index`: without an ellipsis, and perhaps too short.
    """
    items = [item for item in index if item is not None]
    items += [slice(None)] * (len(axes) - len(items))
    out: list[tuple[Array, Partition | None]] = []
    for item, axis in zip(items, axes, strict=True):
        labels = axis.labels[item]
        if np.ndim(labels) == 0:
            out.append((np.array([labels]), None))
        else:
            made = Partition(labels)
            out.append((labels[made.first], made))
    return out


def _taken_axes(axes: tuple[Partition, ...], index: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Partition, ...]:
    """The axes of what is taken: those that slices make, in order, and new ones of size 1."""
    if shape == () or shape == (1,):
        return (singletons(1),)
    made = [axis for _, axis in _chosen(axes, index) if axis is not None]
    out: list[Partition] = []
    for size in shape:
        if made and made[0].size == size:
            out.append(made.pop(0))
        else:
            assert size == 1
            out.append(singletons(1))
    return tuple(out)


def _groups(old: tuple[int, ...], new: tuple[int, ...]) -> list[tuple[list[int], list[int]]]:
    """Cut two shapes into groups of consecutive axes that have equally many entries, as small as possible."""
    groups = []
    i = j = 0
    while i < len(old) or j < len(new):
        left, right = [], []
        if i < len(old):
            left.append(i)
            i += 1
        if j < len(new):
            right.append(j)
            j += 1
        n = math.prod(old[axis] for axis in left)
        m = math.prod(new[axis] for axis in right)
        while n != m:
            if n < m:
                left.append(i)
                n, i = n * old[i], i + 1
            else:
                right.append(j)
                m, j = m * new[j], j + 1
        groups.append((left, right))
    return groups
