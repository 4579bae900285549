"""The channels of a layer graph: the neurons that are rescaled, or removed, together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pathgraph.distinct import distinct
from pathgraph.graph.architecture import STRUCTURAL
from pathgraph.layers.constant_axes import reduced
from pathgraph.layers.operations import Linear, TransposedLinear

if TYPE_CHECKING:
    from pathgraph.layers.layer_graph import LayerGraph
    from pathgraph.layers.operations import Operation
    from pathgraph.layers.structure import Layer, LayerArchitecture
    from pathgraph.scalars import Array

__all__ = ["ChannelClasses", "ChannelUses", "channel_axis", "channel_classes", "channel_uses", "channels_of"]

RUN = 1 << 20
"""About how many edges are looked at together."""


def channel_axis(layer: Layer) -> int | None:
    """The axis of a layer whose coordinates are its channels: the last one if a matrix makes it, else the first one.

    None for a layer of one number, of shape (): it is its own channel.
    """
    if not layer.shape:
        return None
    is_of_matrix = any(isinstance(operation, (Linear, TransposedLinear)) for operation in layer.operations)
    return len(layer.shape) - 1 if is_of_matrix else 0


def channels_of(architecture: LayerArchitecture) -> tuple[Array, list[tuple[str, int]]]:
    """The channel of every buffer position, -1 for the constant, and the names (layer, channel) of the channels."""
    channel = np.full(architecture.dag.size, -1, dtype=np.int64)
    names: list[tuple[str, int]] = []
    for layer in architecture.neuron_layers:
        first, axis = architecture.offsets[layer.name], channel_axis(layer)
        n = 1 if axis is None else layer.shape[axis]
        shape = [n if i == axis else 1 for i in range(len(layer.shape))]
        own = np.broadcast_to(np.arange(n).reshape(shape), layer.shape)
        channel[first : first + layer.size] = len(names) + own.ravel()
        names += [(layer.name, i) for i in range(n)]
    return channel, names


class ChannelUses(NamedTuple):
    """Between which channels each entry leads: every triple that occurs, once and in order.

    Attributes
    ----------
    entry, target, source : ndarray of int, shape (n_triples,)
        The entry, the channel it leads to, and the channel it comes from, -1 for the constant.
    """

    entry: Array
    target: Array
    source: Array


def channel_uses(architecture: LayerArchitecture, channel: Array, n_channels: int) -> ChannelUses:
    """Between which channels each entry leads, from the channel of every buffer position."""
    width = n_channels + 1
    keys: dict[int, list[Array]] = {}
    place = np.arange(architecture.dag.size)
    for layer in architecture.neuron_layers:
        maps = list(zip(layer.operations, layer.tensors, map(architecture.place, layer.sources), strict=True))
        if layer.bias is not None:
            maps.append((layer.bias[0], layer.bias[1], slice(0, 1)))
        target_channel = channel[place[architecture.place(layer.name)]]
        for operation, tensor, source_place in maps:
            for entry, target, source in _uses(operation, target_channel, channel[place[source_place]]):
                key = distinct((entry * width + target) * width + source + 1)
                keys.setdefault(tensor, []).append(key)
    found = {tensor: distinct(np.concatenate(keys.pop(tensor))) for tensor in sorted(keys)}
    out = ChannelUses(*np.empty((3, sum(map(len, found.values()))), dtype=np.int64))
    low = 0
    for tensor in list(found):  # one at a time, since the triples take three times the memory of the keys
        pairs, source = np.divmod(found.pop(tensor), width)
        part = slice(low, low := low + len(pairs))
        np.divmod(pairs, width, out=(out.entry[part], out.target[part]))
        out.entry[part] += architecture.tensor_slices[tensor].start
        np.subtract(source, 1, out=out.source[part])
    return out


def _uses(operation: Operation, of_target: Array, of_source: Array) -> Iterator[tuple[Array, Array, Array]]:
    """The triples of one operation, some at a time and with repetitions, from the channels of its targets and sources.

    Along axes on which no channel changes, one edge of each tap is enough (`pathgraph.layers.constant_axes`).
    """
    less = reduced(operation, of_source[None], of_target[None])
    if less is not None:
        operation, of_source, of_target = less.operation, less.source[0], less.target[0]
    axes = operation.relations
    edges = []
    for k, axis in enumerate(axes):
        edge = np.stack([axis.tap, np.repeat(np.arange(axis.n_out), axis.degree), axis.index])
        sizes = ([a.n_taps for a in axes], [a.n_out for a in axes], [a.n_in for a in axes])
        edges.append(edge * np.array([math.prod(each[k + 1 :]) for each in sizes])[:, None])
    first, *others = edges or [np.zeros((3, 1), dtype=np.int64)]
    rest = np.zeros((3, 1), dtype=np.int64)
    for edge in others:
        rest = (rest[:, :, None] + edge[:, None, :]).reshape(3, -1)
    step = max(1, RUN // max(1, rest.shape[1]))
    for low in range(0, first.shape[1], step):
        entry, target, source = (first[:, low : low + step, None] + rest[:, None, :]).reshape(3, -1)
        yield entry, of_target[target], of_source[source]


class ChannelClasses(NamedTuple):
    """Classes of channels, such that one factor for each class makes a rescaling.

    Attributes
    ----------
    names : list of (layer, channel)
    of_channel : ndarray of int, shape (n_channels,)
        The class of each channel; -1 where the factor must be 1.
    n_classes : int
    is_outer : ndarray of bool, shape (n_channels,)
        Whether the channel is of an input or an output.
    uses : ChannelUses
        Of the entries that are not zero, in their order.
    """

    names: list[tuple[str, int]]
    of_channel: Array
    n_classes: int
    is_outer: Array
    uses: ChannelUses


def channel_classes(graph: LayerGraph) -> ChannelClasses:
    """Group the channels of a layer graph so that any factors of the groups make a rescaling.

    Two channels share a class if a structural entry, which must not change, leads from one to the other. The factors at
    the ends of any other entry must have one ratio wherever the entry occurs. So if an entry occurs between several
    pairs of channels, all channels that it leads to share a class, and all those that it comes from. This may join more
    channels than necessary: the rescalings found are a subgroup of all of them.
    """
    architecture = graph.architecture
    channel, names = channels_of(architecture)
    uses = channel_uses(architecture, channel, len(names))
    kept = (graph.values != 0)[uses.entry]
    if not kept.all():
        uses = ChannelUses(*(part[kept] for part in uses))
    entry, target, source = uses
    outer = len(names)  # the class of what has the factor 1
    parent = list(range(len(names) + 1))

    def root(c: int) -> int:
        while parent[c] != c:
            parent[c] = parent[parent[c]]
            c = parent[c]
        return c

    def join(a: int, b: int) -> None:
        a, b = root(outer if a < 0 else a), root(outer if b < 0 else b)
        if a != b:
            low, high = min(a, b), max(a, b)
            parent[low] = high  # the class of `outer` keeps its root

    is_outer = np.zeros(len(names), dtype=bool)
    for ends in (architecture.dag.inputs, architecture.dag.outputs):
        is_outer[channel[ends]] = True
    for c in np.flatnonzero(is_outer).tolist():
        join(c, outer)
    fixed = architecture.role[entry] == STRUCTURAL
    for t, s in zip(target[fixed].tolist(), source[fixed].tolist(), strict=True):
        join(t, s)
    for i in np.flatnonzero((entry[1:] == entry[:-1]) & ~fixed[1:]).tolist():
        join(int(target[i]), int(target[i + 1]))
        join(int(source[i]), int(source[i + 1]))
    roots = np.array([root(c) for c in range(len(names))], dtype=np.int64)
    free = np.setdiff1d(roots, [root(outer)])
    of_channel = np.where(np.isin(roots, free), np.searchsorted(free, roots), -1)
    return ChannelClasses(names, of_channel, len(free), is_outer, uses)
