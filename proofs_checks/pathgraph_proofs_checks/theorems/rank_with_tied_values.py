"""The same rank with tied values: as many dimensions are lost as there are potentials."""

from collections.abc import Callable
from typing import Any

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
from pathgraph_proofs_checks.variants import edited


def untied(net: Network) -> Network:
    """The same network, each place being a parameter of its own."""

    def edit(graph: Any) -> None:
        for _, data in [*graph.nodes(data=True), *((e, data) for *e, data in graph.edges(data=True))]:
            data.pop("parameter", None)
            data.pop("bias_parameter", None)

    return edited(net, edit)


@theorem(
    statement=(
        "With tied parameters the rank is the number of parameters on a path, less the dimension of the potentials: "
        "functions on the neurons of paths, zero at inputs and outputs (and, before biases, at the constant), whose "
        "differences along fixed edges are zero and along the places of one parameter are equal."
    ),
    latex=r"\mathrm{rank}\,\partial\Phi(\theta)=\#\{\text{parameters on a path}\}-\dim\{\text{potentials}\}",
    hypotheses="no parameter is zero",
    source=DERIVED,
    instances=drawn(),
    networks=mapped(without_zeros, relu_dags(max_hidden=4)),
    on_network=0,
)
def rank_with_tied_values(net: Network, *, formula: Callable[[Network], int] = pg.generic_rank) -> Equality:
    """Compare the rank by elimination with the library's count."""
    return Equality(rank(lifting_jacobian(net)), formula(net))


rank_with_tied_values.mutant(
    "one per hidden neuron",
    ("x0; h0 = id(x0); y0 = out(h0~)",),
    formula=lambda net: len(parameters_on_paths(net)) - len(hidden_on_paths(net)),
)
rank_with_tied_values.mutant(
    "ties do not matter", ("x0; y0 = out(x0@a, 1@a)",), formula=lambda net: pg.generic_rank(untied(net))
)
rank_with_tied_values.mutant(
    "ties cost one dimension each",
    ("x0; h0 = id(x0); y0 = out(x0@a, h0@a)",),
    formula=lambda net: pg.generic_rank(untied(net)) - (len(untied(net).theta) - len(net.theta)),
)
