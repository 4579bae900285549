"""Kirchhoff's law: what enters a hidden neuron leaves it, and every cut carries the whole path-norm.

For perceptrons without biases this is the conservation law of SynFlow, whose scores are these masses: Tanaka, Kunin,
Yamins, Ganguli, Pruning neural networks without any data by iteratively conserving synaptic flow, arXiv 2006.05467.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.variants import edited


def edge_masses(net: Network) -> dict[Any, Any]:
    """The library's mass through every edge (u, v) and every bias v."""
    return dict(zip(net.parameters, pg.path_marginals(net.map_values(abs)), strict=True))


def freed(net: Network) -> Network:
    """The same network, all of whose values are parameters of their own."""

    def edit(graph: Any) -> None:
        for _, _, data in graph.edges(data=True):
            data.pop("role", None)
            data.pop("parameter", None)
        for _, data in graph.nodes(data=True):
            data.pop("bias_role", None)
            data.pop("bias_parameter", None)

    return edited(net, edit)


@theorem(
    statement=(
        "At every hidden neuron the mass through its incoming weights and its bias is the mass through its outgoing "
        "weights; the masses that enter the outputs sum to the path-norm, those that leave the inputs and the biases "
        "do, and so does what crosses any cut between two levels, with the biases behind it: every layer of a network "
        "without biases carries the whole norm."
    ),
    latex=r"\sum_u\mu_{u\to v}+\mu_{b_v}=\sum_w\mu_{v\to w},\quad\sum_{u\in S,\,v\notin S}\mu_{u\to v}"
    r"+\sum_{v\notin S}\mu_{b_v}=\|\Phi\|_1,\quad\mu_e=\sum_{p\ni e}|\Phi_p|",
    hypotheses="any DAG, with biases and pools; fixed and tied values are freed; generalises SynFlow's law for layers",
    source=DERIVED,
    instances=drawn(),
)
def conservation_of_mass(
    net: Network,
    *,
    masses: Callable[[Network], dict[Any, Any]] = edge_masses,
    law: bool = True,
    behind: Callable[[bool], bool] = lambda is_behind: is_behind,
) -> Equality:
    """Compare inflow with outflow at each hidden neuron, and the masses of cuts with the norm."""
    free = freed(net)
    mass = masses(free)
    into = dict.fromkeys(net.nodes, Fraction(0))
    out = dict.fromkeys(net.nodes, Fraction(0))
    for u, v in free.graph.edges:
        into[v] += mass[u, v]
        out[u] += mass[u, v]
    biases = {v: mass[v] for v in net.nodes if net.bias(v) is not None}
    sources = sum((out[u] for u in net.inputs), Fraction(0)) + sum(biases.values())
    sinks = sum((into[v] + biases.get(v, 0) for v in net.outputs), Fraction(0))
    cuts = []
    level = dict(zip(net.nodes, net.architecture.level.tolist(), strict=True))
    for height in range(1, max(level.values()) + 1):
        before = {v for v in net.nodes if level[v] < height and v not in net.outputs}
        crossing = [mass[u, v] for u, v in free.graph.edges if u in before and v not in before]
        cuts.append(sum((*crossing, *(m for v, m in biases.items() if behind(v not in before))), Fraction(0)))
    norm = pg.path_norm(net)
    return Equality(
        ([into[v] + (biases.get(v, 0) if law else 0) for v in net.hidden], sources, sinks, cuts),
        ([out[v] for v in net.hidden], norm, norm, [norm] * len(cuts)),
    )


conservation_of_mass.mutant("the bias of the neuron is left out", ("x0; h0 = id(x0, 1); y0 = out(h0)",), law=False)
conservation_of_mass.mutant(
    "the biases behind a cut are left out", ("x0; y0 = out(x0); y1 = out(x0, 1)",), behind=lambda is_behind: False
)
conservation_of_mass.mutant(
    "all biases cross every cut", ("x0; h0 = id(x0, 1); y0 = out(h0)",), behind=lambda is_behind: True
)
conservation_of_mass.mutant(
    "magnitudes are conserved",
    ("x0; h0 = id(); y0 = out(h0)",),
    masses=lambda net: dict(zip(net.parameters, abs(net.theta), strict=True)),
)
conservation_of_mass.mutant(
    "derivatives are conserved",
    ("x0; y0 = out(2*x0)",),
    masses=lambda net: {
        name: mass / (abs(w) or 1) for (name, mass), w in zip(edge_masses(net).items(), net.theta, strict=True)
    },
)
conservation_of_mass.mutant(
    "squared masses are conserved",
    ("x0; y0 = out(2*x0)",),
    masses=lambda net: {name: mass**2 for name, mass in edge_masses(net).items()},
)
