"""The part of a network between two neurons."""

from __future__ import annotations

from collections.abc import Hashable

import networkx as nx

from pathgraph.errors import GraphError
from pathgraph.graph.conversion import (
    ACTIVATION,
    BIAS,
    BIAS_NAME,
    BIAS_ROLE,
    OUTPUT,
    RANK,
    ROLE,
    WEIGHT,
    from_networkx,
    to_networkx,
)
from pathgraph.graph.network import Network

__all__ = ["subnetwork"]


def subnetwork(net: Network, source: Hashable, target: Hashable) -> Network:
    """The network of the paths from one neuron to another.

    Its only input is `source`, its only output `target`; it keeps the neurons and edges on paths between them, and no
    biases, so that its paths are exactly the paths from `source` to `target` in `net`. A ReLU or pool `target` gets an
    identity copy ``(target, "output")`` behind it, through a structural edge of weight 1. Pools keep the candidates
    that remain; one whose rank is then too large becomes a minimum.

    Raises
    ------
    GraphError
        If there is no path from `source` to `target`, or they are one neuron.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None])
    >>> part = pg.subnetwork(net, (0, 0), (2, 0))
    >>> part, pg.path_lifting(part).values.tolist()
    (Network(4 neurons: 1 input, 2 hidden, 1 output; 4 edges, 0 biases; 4 parameters; float64), [1.0, 3.0])
    """
    graph = to_networkx(net)
    for node in (source, target):
        net.architecture.index(node)
    between = (nx.descendants(graph, source) | {source}) & (nx.ancestors(graph, target) | {target})
    if source == target or target not in between:
        raise GraphError(f"target: needed a neuron behind {source!r}, got {target!r}; no path leads there")
    graph.remove_nodes_from([node for node in graph if node not in between])
    graph.remove_edges_from([*graph.in_edges(source), *graph.out_edges(target)])
    for node, data in graph.nodes(data=True):
        for name in (BIAS, BIAS_NAME, BIAS_ROLE, OUTPUT):
            data.pop(name, None)
        if RANK in data:
            data[RANK] = min(data[RANK], max(1, graph.in_degree(node)))
    graph.nodes[source].clear()
    graph.nodes[source][ACTIVATION] = "input"
    if graph.nodes[target][ACTIVATION] != "identity":
        copy = (target, "output")
        graph.add_node(copy, **{ACTIVATION: "identity"})
        graph.add_edge(target, copy, **{WEIGHT: 1, ROLE: "structural"})
    return from_networkx(graph, dtype=net.dtype if net.scalars == "float" else None)
