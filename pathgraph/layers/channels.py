"""The channels of a layer graph: what is rescaled, and removed, together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pathgraph.layers.operations import Linear, TransposedLinear

if TYPE_CHECKING:
    from pathgraph.layers.structure import Layer, LayerArchitecture
    from pathgraph.scalars import Array

__all__ = ["ChannelUses", "channel_axis", "channel_uses", "channels_of"]


def channel_axis(layer: Layer) -> int | None:
    """The axis of the channels of a layer: the last one of matrices, which act on it, the first one of all others.

    None for a layer of one number, shape (): it is a channel of its own.
    """
    if not layer.shape:
        return None
    return (
        len(layer.shape) - 1
        if any(isinstance(operation, (Linear, TransposedLinear)) for operation in layer.operations)
        else 0
    )


def channels_of(architecture: LayerArchitecture) -> tuple[Array, list[tuple[str, int]]]:
    """The channel of every buffer position, -1 for the constant, and the names (layer, channel) of the channels."""
    channel = np.full(architecture.dag.size, -1, dtype=np.int64)
    names: list[tuple[str, int]] = []
    for layer in architecture.layers:
        if layer.is_view:
            continue
        first, axis = architecture.offsets[layer.name], channel_axis(layer)
        n = 1 if axis is None else layer.shape[axis]
        along = (
            np.arange(n)
            if axis is None
            else np.arange(n).reshape([-1 if i == axis else 1 for i in range(len(layer.shape))])
        )
        channel[first : first + layer.size] = len(names) + np.broadcast_to(along, layer.shape or (1,)).ravel()
        names += [(layer.name, i) for i in range(n)]
    return channel, names


class ChannelUses(NamedTuple):
    """Where entries stand: each triple (entry, channel it leads to, channel it comes from or -1) once."""

    entry: Array
    target: Array
    source: Array


def channel_uses(architecture: LayerArchitecture, channel: Array, n_channels: int) -> ChannelUses:
    """The triples, found in runs of edges."""
    width = n_channels + 1
    keys = [np.empty(0, dtype=np.int64)]
    place = np.arange(architecture.dag.size)
    for layer in architecture.layers:
        if layer.is_view:
            continue
        maps = list(zip(layer.operations, layer.tensors, map(architecture.place, layer.sources), strict=True))
        if layer.bias is not None:
            maps.append((layer.bias[0], layer.bias[1], slice(0, 1)))
        target_channel = channel[place[architecture.place(layer.name)]]
        for operation, tensor, source_place in maps:
            source_channel = channel[place[source_place]]
            for targets in operation.chunks(1 << 20):
                target, source, entry = operation.pattern(targets)
                key = (entry * width + target_channel[target]) * width + source_channel[source] + 1
                keys.append(np.unique(key) + architecture.tensor_slices[tensor].start * width**2)
    pairs, source = np.divmod(np.unique(np.concatenate(keys)), width)
    entry, target = np.divmod(pairs, width)
    return ChannelUses(entry, target, source - 1)
