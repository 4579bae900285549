"""Removing what no path uses, folding constants and collapsing identities leaves the function as it was."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import networkx as nx

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.pruned import Places, chosen, places, without
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import either, relu_dags
from pathgraph_proofs_checks.variants import edited

Minimize = Callable[[Network], Network]


@theorem(
    statement=(
        "The smaller network that minimize returns has the same inputs and outputs and the same function, with no more "
        "neurons and edges."
    ),
    latex=r"R_{\min(\theta)}(x)=R_\theta(x)\quad\text{for all }x",
    hypotheses="zeros that are candidates of pools count; constants and biases are not pushed through pools",
    source=DERIVED,
    instances=drawn(places, inputs),
    networks=either(relu_dags(), relu_dags(activations=["pool"], max_inputs=2)),
    on_network=1,
)
def minimization_keeps_the_function(
    net: Network, drawn: Places, x: Input, *, minimize: Minimize = pg.minimize
) -> Equality:
    """Compare the values of a pruned network and of its smaller copy, and their sizes."""
    pruned = without(net, chosen(net, drawn))
    small = minimize(pruned)
    growth = (
        max(0, len(small.nodes) - len(pruned.nodes)),
        max(0, small.architecture.n_edges - pruned.architecture.n_edges),
    )
    return Equality((small(x), growth), (pruned(x), (0, 0)))


def all_zeros_dropped(net: Network) -> Network:
    """Wrong: zero weights into pools go, too; a pool without candidates becomes a constant."""

    def edit(graph: nx.DiGraph[Any]) -> None:
        graph.remove_edges_from([(u, v) for u, v, w in graph.edges(data="weight") if not w])
        _repair(graph)

    return _marked(net, edit)


def _repair(graph: nx.DiGraph[Any]) -> None:
    for v, data in graph.nodes(data=True):
        if data["activation"] == "pool":
            data["rank"] = min(data.get("rank", 1), max(1, graph.in_degree(v)))
            if not graph.in_degree(v):
                data.update(activation="identity")
                del data["rank"]


def _marked(net: Network, edit: Callable[[nx.DiGraph[Any]], None]) -> Network:
    def marked(graph: nx.DiGraph[Any]) -> None:
        for v in net.outputs:
            graph.nodes[v]["output"] = True
        edit(graph)

    return edited(net, marked)


def without_neurons_out_of_reach(net: Network) -> Network:
    """Wrong: neurons that no input reaches go, with what their biases do."""

    def edit(graph: nx.DiGraph[Any]) -> None:
        reached = set(net.inputs) | set(net.outputs)
        for v in net.nodes:
            if any(u in reached for u in graph.predecessors(v)):
                reached.add(v)
        graph.remove_nodes_from([v for v in net.nodes if v not in reached])
        _repair(graph)

    return _marked(net, edit)


def collapsed(
    net: Network, *, kinds: tuple[str, ...] = ("identity",), merge: bool = True, pools: bool = False
) -> Network:
    """All hidden neurons of some kinds collapsed, unless a successor is a pool; parallel edges are merged or lost."""

    def edit(graph: nx.DiGraph[Any]) -> None:
        for v in net.hidden:
            behind = list(graph.successors(v))
            is_pool = any(graph.nodes[s]["activation"] == "pool" for s in behind)
            if graph.nodes[v]["activation"] not in kinds or (is_pool and not pools):
                continue
            for s in behind:
                weight = graph.edges[v, s]["weight"]
                for u in graph.predecessors(v):
                    before = graph.edges[u, s]["weight"] if merge and graph.has_edge(u, s) else Fraction(0)
                    graph.add_edge(u, s, weight=before + weight * graph.edges[u, v]["weight"])
                    graph.edges[u, s].pop("parameter", None)
                if "bias" in graph.nodes[v]:
                    data = graph.nodes[s]
                    data["bias"] = data.get("bias", Fraction(0)) + weight * graph.nodes[v]["bias"]
                    data.pop("bias_parameter", None)
            graph.remove_node(v)
        for v, data in graph.nodes(data=True):
            if data["activation"] == "pool" and not graph.in_degree(v):
                _repair(graph)

    return _marked(net, edit)


minimization_keeps_the_function.mutant(
    "zero candidates of pools are dropped",
    ("x0 x1; h0 = max(x0, -1*x1); y0 = out(h0)", (0,), (1, 1)),
    minimize=all_zeros_dropped,
)
minimization_keeps_the_function.mutant(
    "neurons that no input reaches are dropped, with their biases",
    ("x0; h0 = id(1); y0 = out(h0)", (), (1,)),
    minimize=without_neurons_out_of_reach,
)
minimization_keeps_the_function.mutant(
    "ReLUs are collapsed",
    ("x0; h0 = relu(x0); y0 = out(h0)", (), (-1,)),
    minimize=lambda net: collapsed(net, kinds=("identity", "relu")),
)
minimization_keeps_the_function.mutant(
    "a parallel edge replaces the one that was there",
    ("x0; h0 = id(x0); y0 = out(x0, h0)", (), (1,)),
    minimize=lambda net: collapsed(net, merge=False),
)
minimization_keeps_the_function.mutant(
    "a sum in front of a pool becomes several candidates",
    ("x0 x1; h0 = id(x0, x1); h1 = max(h0); y0 = out(h1)", (), (1, 1)),
    minimize=lambda net: collapsed(net, pools=True),
)
