"""Where a forward and a backward sweep over a layer graph should meet, so that the two together take least time.

The sum over all paths is linear in what a layer makes. So it can be split at any cut of the graph: a forward sweep over
the layers before the cut, a backward sweep over those behind it, and the inner product of the two at the cut.

The cost of a sweep depends on how many classes of positions its tensors have. Forward, every padded convolution makes
the border of different positions wider, so late layers have the most classes. Backward from a global average it is the
other way round: early layers have the most. A good meeting saves a third of the products of a ResNet. Among cuts that
cost nearly the same, the best one has two sweeps that take equally long, since they may run at the same time.

Only the structure matters, that is the classes, not the values. Plans are remembered.
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
"""How much more than the cheapest cut, relatively, a cut may cost if its two sweeps take more equal times."""


def kernel_of(operation: Operation) -> Kernel:
    """The kernel of an operation: its own, or else one that goes through its edges."""
    return kernel(operation) or by_edges(operation)


@lru_cache(maxsize=16)
def meeting(architecture: LayerArchitecture, inputs: tuple[Axes, ...]) -> int:
    """How many layers, counted from the first, the forward sweep should take; `inputs` are the axes of the inputs."""
    layers = architecture.layers
    given = dict(zip(architecture.inputs, inputs, strict=True))
    forward, backward = _forward_costs(layers, given), _backward_costs(architecture)
    costs = np.array(forward) + np.array(backward)
    good = np.flatnonzero(costs <= (1 + SLACK) * costs.min())
    return int(good[np.argmin(np.maximum(forward, backward)[good])])


def _forward_costs(layers: tuple[Layer, ...], given: Mapping[str, Axes]) -> list[int]:
    """The cost of a forward sweep over the first n layers, for n = 0, 1, ... up to all."""
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
    """The cost of a backward sweep over all but the first n layers, for n = 0, 1, ... up to all."""
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
