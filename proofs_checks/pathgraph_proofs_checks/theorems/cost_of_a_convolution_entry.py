"""Within one layer the places of a shared weight lie on different paths, so that its derivative is its cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import networkx as nx
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import dyadics
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.pruned import mass_by_place
from pathgraph_proofs_checks.registry import METRIC, drawn, theorem

Scores = Callable[[Network], Any]


def convolution(size: int, kernels: Sequence[Sequence[Fraction]], biased: bool, same: bool = False) -> Network:
    """Convolutions with one channel, without padding, on a line of inputs, and a sum of all positions at the end.

    With `same` all layers share the first kernel: then a parameter does occur twice on a path.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    before = [f"x{i}" for i in range(size)]
    graph.add_nodes_from(before, activation="input")
    for layer, kernel in enumerate(kernels):
        values = kernels[0] if same else kernel
        tag = 0 if same else layer
        now = [f"h{layer}{i}" for i in range(max(1, len(before) - len(values) + 1))]
        for i, v in enumerate(now):
            bias = {"bias": Fraction(1), "bias_parameter": f"b{tag}"} if biased else {}
            graph.add_node(v, activation="relu", **bias)
            for k, w in enumerate(values):
                if i + k < len(before):
                    graph.add_edge(before[i + k], v, weight=w, parameter=f"w{tag}{k}")
        before = now
    graph.add_node("y0", activation="identity", output=True)
    graph.add_weighted_edges_from((v, "y0", Fraction(1)) for v in before)
    return pg.from_networkx(graph, dtype=object)


def convolutions(same: bool = False) -> SearchStrategy[Network]:
    """Networks of one or two such layers."""
    kernels = st.lists(st.lists(dyadics(), min_size=1, max_size=3), min_size=1 + same, max_size=2)
    return st.builds(convolution, st.integers(1, 5), kernels, st.booleans(), st.just(same))


def derivative(net: Network) -> Any:
    """|theta| times the derivative of the path-norm: the sum over the places."""
    return pg.path_marginals(net.map_values(abs))


@theorem(
    statement=(
        "For the entries of a convolution, |theta| times the derivative of the path-norm is the mass of the paths that "
        "meet the entry, and the path-magnitude."
    ),
    latex=r"\theta_i\,\frac{\partial\|\Phi\|_1}{\partial\theta_i}=\sum_{p\ni i}|\Phi_p|",
    hypotheses="the places of an entry lead to neurons of one layer, so that no path meets two of them",
    source=METRIC,
    instances=drawn(),
    networks=convolutions(),
    on_network=0,
    enumerates=True,
)
def cost_of_a_convolution_entry(net: Network, *, scores: Scores = derivative) -> Equality:
    """Compare the derivative with an enumeration and with the library's cost."""
    found = scores(net)
    return Equality((found, found), (pg.path_magnitude(net), mass_by_place(net)))


def per_position(net: Network) -> list[Fraction]:
    """Wrong: the mean over the places."""
    owner = net.architecture.parameter.tolist()
    return [cost / owner.count(i) for i, cost in enumerate(derivative(net))]


cost_of_a_convolution_entry.mutant(
    "a kernel used in two layers",
    ("x0; h0 = relu(x0@t); h1 = relu(h0@t); y0 = out(h1)",),
    networks=convolutions(same=True),
)
cost_of_a_convolution_entry.mutant(
    "the mean over the positions", ("x0; y0 = out(x0@t); y1 = out(x0@t)",), scores=per_position
)
cost_of_a_convolution_entry.mutant("signs are kept", ("x0; y0 = out(-1*x0)",), scores=pg.path_marginals)
