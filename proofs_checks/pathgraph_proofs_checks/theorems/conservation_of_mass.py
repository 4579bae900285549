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
        "weights; the masses that enter the outputs sum to the path-norm, and so do those that leave the inputs and "
        "the biases."
    ),
    latex=r"\sum_u\mu_{u\to v}+\mu_{b_v}=\sum_w\mu_{v\to w},\qquad\mu_e=\sum_{p\ni e}|\Phi_p|",
    hypotheses="any DAG, with biases and pools; fixed and tied values are freed; generalises SynFlow's law for layers",
    source=DERIVED,
    instances=drawn(),
)
def conservation_of_mass(
    net: Network, *, masses: Callable[[Network], dict[Any, Any]] = edge_masses, law: bool = True
) -> Equality:
    """Compare inflow with outflow at each hidden neuron, and the two outer cuts with the norm."""
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
    norm = pg.path_norm(net)
    return Equality(
        ([into[v] + (biases.get(v, 0) if law else 0) for v in net.hidden], sources, sinks),
        ([out[v] for v in net.hidden], norm, norm),
    )


conservation_of_mass.mutant("the bias of the neuron is left out", ("x0; h0 = id(x0, 1); y0 = out(h0)",), law=False)
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
