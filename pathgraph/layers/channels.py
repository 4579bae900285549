"""The channels of a layer graph: what is rescaled, and removed, together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pathgraph.layers.operations import Linear

if TYPE_CHECKING:
    from pathgraph.layers.structure import Layer, LayerArchitecture
    from pathgraph.scalars import Array

__all__ = ["channel_axis", "channels_of"]


def channel_axis(layer: Layer) -> int | None:
    """The axis of the channels of a layer: the last one of matrices, which act on it, the first one of all others.

    None for a layer of one number, shape (): it is a channel of its own.
    """
    if not layer.shape:
        return None
    return len(layer.shape) - 1 if any(isinstance(operation, Linear) for operation in layer.operations) else 0


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
