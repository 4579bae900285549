"""The same rank with fixed values: one dimension is lost per set of neurons that fixed entries join to nothing else."""

from collections.abc import Callable, Collection, Hashable

import networkx as nx

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.jacobians import (
    hidden_on_paths,
    lifting_jacobian,
    parameters_on_paths,
    rank,
    without_zeros,
)
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import mapped, relu_dags

GROUND = object()


def floating_sets(
    net: Network, *, grounding: Collection[str] = ("input", "output", "bias"), joined: bool = True
) -> int:
    """The number of sets of hidden neurons on paths, joined by fixed edges, with no input, output or fixed bias."""
    inside = hidden_on_paths(net)
    graph = nx.Graph()
    graph.add_nodes_from([GROUND, *inside])
    outer = {
        v: GROUND
        for kind, nodes in (("input", net.inputs), ("output", net.outputs))
        for v in nodes
        if kind in grounding
    }

    def end(v: Hashable) -> Hashable:
        return outer.get(v, v)

    for u, v, data in net.graph.edges(data=True):
        if joined and data.get("role") and data["weight"] and {u, v} <= inside | {*net.inputs, *net.outputs}:
            graph.add_edge(end(u), end(v))
    for v, data in net.graph.nodes(data=True):
        if "bias" in grounding and data.get("bias_role") and data["bias"] and v in inside:
            graph.add_edge(GROUND, v)
    return sum(1 for part in nx.connected_components(graph) if GROUND not in part and part & inside)


@theorem(
    statement=(
        "With fixed values, some parameters on paths being none, the rank is the number of parameters on a path less "
        "the number of sets of hidden neurons on paths, joined by non-zero fixed edges, that contain no input, no "
        "output and no neuron with a non-zero fixed bias. Paths with a zero fixed value do not count."
    ),
    latex=r"\mathrm{rank}\,\partial\Phi(\theta)=\#\{\text{parameters on a path}\}-\#\{\text{floating sets}\}",
    hypotheses="no parameter is zero, none is tied",
    source=DERIVED,
    instances=drawn(),
    networks=mapped(without_zeros, relu_dags(max_hidden=4, ties=False)),
    on_network=0,
)
def rank_with_fixed_values(net: Network, *, lost: Callable[[Network], int] = floating_sets) -> Equality:
    """Compare the rank by elimination with the formula and with the library's count."""
    found = rank(lifting_jacobian(net))
    return Equality((found, found), (len(parameters_on_paths(net)) - lost(net), pg.generic_rank(net)))


rank_with_fixed_values.mutant(
    "one per hidden neuron", ("x0; h0 = id(x0); y0 = out(h0~)",), lost=lambda net: len(hidden_on_paths(net))
)
rank_with_fixed_values.mutant(
    "fixed biases hold nothing",
    ("x0; h0 = id(x0, 1~); y0 = out(h0)",),
    lost=lambda net: floating_sets(net, grounding=["input", "output"]),
)
rank_with_fixed_values.mutant(
    "inputs hold nothing",
    ("x0; h0 = id(x0~); y0 = out(h0)",),
    lost=lambda net: floating_sets(net, grounding=["output", "bias"]),
)
rank_with_fixed_values.mutant(
    "outputs hold nothing",
    ("x0; h0 = id(x0); y0 = out(h0~)",),
    lost=lambda net: floating_sets(net, grounding=["input", "bias"]),
)
