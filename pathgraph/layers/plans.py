"""Where a forward and a backward sweep over a layer graph should meet.

The sum over all paths is linear in what a layer makes, so it can be split at any cut of the graph: a forward sweep
over the layers before it, the transposed sweep over those after it, and the inner product of the two at the cut.
Forward, every padded convolution adds to the border, and late layers have the most classes; backward from a global
average the early ones have. Meeting where the two costs together are least saves a third of the products of a ResNet.

Where several cuts cost nearly the same, the two sweeps should take as long as each other: they may run side by side.

Only structure matters: the classes, not the values. Plans are remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, reduce
from typing import TYPE_CHECKING

import numpy as np

from pathgraph.layers.compressed import Compressed
from pathgraph.layers.kernels import Axes, Kernel, by_edges, kernel
from pathgraph.layers.partitions import joint, one_class
from pathgraph.layers.views import seen, seen_back

if TYPE_CHECKING:
    from pathgraph.layers.operations import Operation
    from pathgraph.layers.structure import Layer, LayerArchitecture

__all__ = ["kernel_of", "meeting"]

SLACK = 0.01
"""By how much a cut may cost more than the best one if its two sweeps are more alike."""


def kernel_of(operation: Operation) -> Kernel:
    """The kernel of an operation, or the one that goes through its edges."""
    return kernel(operation) or by_edges(operation)


@lru_cache(maxsize=16)
def meeting(architecture: LayerArchitecture, inputs: tuple[Axes, ...]) -> int:
    """How many layers, from the first, the forward sweep should take; `inputs` are the axes of the inputs."""
    layers = architecture.layers
    given = dict(zip(architecture.inputs, inputs, strict=True))
    forward, backward = _forward_costs(layers, given), _backward_costs(architecture)
    costs = np.array(forward) + np.array(backward)
    good = np.flatnonzero(costs <= (1 + SLACK) * costs.min())
    return int(good[np.argmin(np.maximum(forward, backward)[good])])


def _forward_costs(layers: tuple[Layer, ...], given: Mapping[str, Axes]) -> list[int]:
    """The cost of the first layers, for each number of them."""
    axes, costs = dict(given), [0]
    for layer in layers:
        cost = 0
        if layer.is_view:
            axes[layer.name] = seen(layer, [_blank(axes[name]) for name in layer.sources]).axes
        elif layer.activation != "input":
            made = []
            for operation, name in zip(layer.operations, layer.sources, strict=True):
                run = kernel_of(operation)
                made.append(run.target_axes(axes[name]))
                cost += run.cost(axes[name])
            if layer.bias is not None:
                made.append(kernel_of(layer.bias[0]).target_axes((one_class(1),)))
            axes[layer.name] = reduce(_refined, made) if made else tuple(map(one_class, layer.shape or (1,)))
        costs.append(costs[-1] + cost)
    return costs


def _backward_costs(architecture: LayerArchitecture) -> list[int]:
    """The cost of the transposed sweep over all layers but the first, for each number of these."""
    axes: dict[str, Axes] = {}
    for name in architecture.outputs:
        axes[name] = tuple(map(one_class, architecture.layer(name).shape or (1,)))
    costs = [0]
    for layer in reversed(architecture.layers):
        cost, own = 0, axes.get(layer.name)
        if own is not None and layer.is_view:
            shapes = [architecture.layer(name).shape or (1,) for name in layer.sources]
            for name, part in zip(layer.sources, seen_back(layer, _blank(own), shapes), strict=True):
                axes[name] = _refined(axes.get(name, part.axes), part.axes)
        elif own is not None and layer.activation != "input":
            for operation, name in zip(layer.operations, layer.sources, strict=True):
                run = kernel_of(operation).transposed
                made = run.target_axes(own)[-len(architecture.layer(name).shape or (1,)) :]
                axes[name] = _refined(axes.get(name, made), made)
                cost += run.cost(own)
        costs.append(costs[-1] + cost)
    return costs[::-1]


def _refined(a: Axes, b: Axes) -> Axes:
    return tuple(joint(one, other)[0] for one, other in zip(a, b, strict=True))


def _blank(axes: Axes) -> Compressed:
    """A tensor of zeros with these axes."""
    sizes = [len(axis) for axis in axes]
    return Compressed(np.broadcast_to(0.0, (sizes[0], 1, *sizes[1:])), axes)
