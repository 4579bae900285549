"""One row for each layer of a layer graph, or each level of a network: what analyses and pictures show of a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pathgraph.graph.architecture import ACTIVATIONS
from pathgraph.graph.network import Network
from pathgraph.layers.layer_graph import LayerGraph

__all__ = ["LayerRow", "layer_rows"]


@dataclass(frozen=True)
class LayerRow:
    """One layer of a layer graph, or one level of a network.

    Attributes
    ----------
    name, kind, activation : str
    shape : tuple of int
    sources : tuple of str
    neurons, edges, parameters : int
        Of the expansion; a view has no neurons; tensors that an earlier layer has, too, are not counted again.
    tied : tuple of str
        Those tensors.
    """

    name: str
    kind: str
    activation: str
    shape: tuple[int, ...]
    sources: tuple[str, ...]
    neurons: int
    edges: int
    parameters: int
    tied: tuple[str, ...] = ()


def layer_rows(net: Network | LayerGraph) -> list[LayerRow]:
    """One row for each layer of a layer graph, or each level of a network."""
    return _level_rows(net) if isinstance(net, Network) else _layer_rows(net)


def _layer_rows(graph: LayerGraph) -> list[LayerRow]:
    sizes = {name: tensor.size for name, tensor in graph.parameters.items()}
    names = graph.architecture.tensor_names
    seen: set[str] = set()
    rows = []
    for layer in graph.layers:
        used = [names[i] for i in layer.all_tensors]
        own = [name for name in dict.fromkeys(used) if name in sizes]
        rows.append(
            LayerRow(
                name=layer.name,
                kind=layer.kind,
                activation=layer.activation,
                shape=layer.shape,
                sources=layer.sources,
                neurons=0 if layer.is_view else layer.size,
                edges=sum(operation.n_edges for operation in layer.operations),
                parameters=sum(sizes[name] for name in own if name not in seen),
                tied=tuple(name for name in own if name in seen),
            )
        )
        seen.update(own)
    return rows


def _level_rows(net: Network) -> list[LayerRow]:
    architecture = net.architecture
    level = architecture.level
    n_levels = int(level.max()) + 1
    neurons = np.bincount(level, minlength=n_levels)
    target = level[architecture.target[: architecture.n_edges]]
    edges = np.bincount(target, minlength=n_levels)
    owner = level[architecture.target[architecture.first_entry]]
    parameters = np.bincount(owner, minlength=n_levels)
    sources: dict[int, list[str]] = {}
    for code in np.unique(level[architecture.antecedent] + n_levels * target).tolist():
        sources.setdefault(code // n_levels, []).append(f"level {code % n_levels}")
    rows = []
    for k in range(n_levels):
        kinds, counts = np.unique(architecture.activation[level == k], return_counts=True)
        named = [ACTIVATIONS[kind] for kind in kinds.tolist()]
        activation = ", ".join(
            name if len(named) == 1 else f"{name} x{n}" for name, n in zip(named, counts.tolist(), strict=True)
        )
        rows.append(
            LayerRow(
                name=f"level {k}",
                kind="inputs" if named == ["input"] else "neurons",
                activation=activation,
                shape=(int(neurons[k]),),
                sources=tuple(sources.get(k, ())),
                neurons=int(neurons[k]),
                edges=int(edges[k]),
                parameters=int(parameters[k]),
                tied=(),
            )
        )
    return rows
