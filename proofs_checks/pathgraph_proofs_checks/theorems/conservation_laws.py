"""Gradient flow conserves, at every hidden neuron, what its incoming weights have more than its outgoing ones."""

from collections.abc import Callable, Hashable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.jacobians import hidden_on_paths, output_jacobian, parameters_on_paths
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags

Laws = list[list[Fraction]]


def laws(net: Network) -> Laws:
    """The library's coefficients of the squares of the parameters, one row per law."""
    coefficients: Laws = [
        list(map(Fraction, row)) for row in pg.conserved_quantities(net).coefficients.toarray().tolist()
    ]
    return coefficients


def per_neuron(net: Network, *, bias: int = 1, outgoing: int = -1) -> Laws:
    """One law per hidden neuron: 1 at its incoming weights and bias, -1 at its outgoing weights, 0 off all paths."""
    architecture, on_a_path = net.architecture, parameters_on_paths(net)

    def coefficient(v: Hashable, entry: int) -> int:
        name: Any = architecture.entry_name(entry)
        if entry >= architecture.n_edges:
            return bias if name == v else 0
        return 1 if name[1] == v else outgoing if name[0] == v else 0

    return [
        [Fraction(coefficient(v, int(e)) if i in on_a_path else 0) for i, e in enumerate(architecture.first_entry)]
        for v in net.hidden
        if v in hidden_on_paths(net)
    ]


@theorem(
    statement=(
        "With c_i the difference of a potential along parameter i, the sum of c_i theta_i dR/dtheta_i is zero for "
        "every output and every input, so gradient flow on any loss conserves the sum of c_i theta_i^2. If nothing is "
        "fixed or tied, this is |incoming|^2 + bias^2 - |outgoing|^2 at every hidden neuron on a path, counting the "
        "parameters on a path."
    ),
    latex=r"\sum_i c_i\,\theta_i\,\partial_iR_\theta(x)=0,\qquad h_v=\|\theta^{\to v}\|^2+b_v^2-\|\theta^{v\to}\|^2",
    hypotheses="neurons of any type; fixed and tied values; on a kink, the derivatives of the selected piece",
    source=DERIVED,
    instances=drawn(inputs),
    networks=relu_dags(max_hidden=4),
    on_network=0,
)
def conservation_laws(net: Network, x: Input, *, laws: Callable[[Network], Laws] = laws) -> Equality:
    """Multiply the derivatives, by dual numbers, with every law; on free networks compare the laws with the formula."""
    rates = [
        sum((c * w * d for c, w, d in zip(law, net.theta, row, strict=True)), Fraction(0))
        for law in laws(net)
        for row in output_jacobian(net, x)
    ]
    is_free = len(net.theta) == net.architecture.n_entries
    return Equality((rates, laws(net) if is_free else ()), ([0] * len(rates), per_neuron(net) if is_free else ()))


free_dags = relu_dags(max_hidden=4, roles=["parameter"], ties=False)
conservation_laws.mutant(
    "the bias is left out",
    ("x0; h0 = id(x0, 1); y0 = out(h0)", (1,)),
    networks=free_dags,
    laws=lambda net: per_neuron(net, bias=0),
)
conservation_laws.mutant(
    "outgoing weights are added",
    ("x0; h0 = id(x0); y0 = out(h0)", (1,)),
    networks=free_dags,
    laws=lambda net: per_neuron(net, outgoing=1),
)
conservation_laws.mutant(
    "one law per neuron, in spite of fixed values",
    ("x0; h0 = id(x0); y0 = out(h0~)", (1,)),
    networks=relu_dags(max_hidden=4, ties=False),
    laws=per_neuron,
)
conservation_laws.mutant(
    "one law per neuron, in spite of ties",
    ("x0; h0 = id(x0@a); y0 = out(h0@a)", (1,)),
    networks=relu_dags(max_hidden=4, roles=["parameter"]),
    laws=per_neuron,
)
