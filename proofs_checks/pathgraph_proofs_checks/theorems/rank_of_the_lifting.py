"""The rank of the Jacobian of the path-lifting: one dimension is lost per hidden neuron on a path."""

from collections.abc import Callable

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

free_dags = relu_dags(max_hidden=4, roles=["parameter"], ties=False)


def formula(net: Network) -> int:
    """The number of parameters on a path, less that of hidden neurons on a path."""
    return len(parameters_on_paths(net)) - len(hidden_on_paths(net))


@theorem(
    statement=(
        "At parameters without zeros the rank of the Jacobian of the path-lifting is the number of parameters on a "
        "path, less the number of hidden neurons on a path."
    ),
    latex=r"\mathrm{rank}\,\partial\Phi(\theta)=\#\{\text{parameters on a path}\}"
    r"-\#\{\text{hidden neurons on a path}\}",
    hypotheses="no parameter is zero, none is fixed or tied",
    source=DERIVED,
    instances=drawn(),
    networks=mapped(without_zeros, free_dags),
    needs=("no ties", "nothing fixed", "no zeros"),
    on_network=1,
    enumerates=True,
)
def rank_of_the_lifting(net: Network, *, formula: Callable[[Network], int] = formula) -> Equality:
    """Compare the rank by elimination with the formula and with the library's count."""
    found = rank(lifting_jacobian(net))
    return Equality((found, found), (formula(net), pg.generic_rank(net)))


rank_of_the_lifting.mutant(
    "parameters on no path count",
    ("x0; h0 = id(x0); y0 = out(x0)",),
    formula=lambda net: len(net.theta) - len(hidden_on_paths(net)),
)
rank_of_the_lifting.mutant(
    "hidden neurons on no path count",
    ("x0; h0 = id(x0); y0 = out(x0)",),
    formula=lambda net: len(parameters_on_paths(net)) - len(net.hidden),
)
rank_of_the_lifting.mutant(
    "nothing is lost", ("x0; h0 = id(x0); y0 = out(h0)",), formula=lambda net: len(parameters_on_paths(net))
)
rank_of_the_lifting.mutant(
    "pools lose nothing",
    ("x0; h0 = max(x0); y0 = out(h0)",),
    formula=lambda net: (
        len(parameters_on_paths(net)) - sum(net.graph.nodes[v]["activation"] != "pool" for v in hidden_on_paths(net))
    ),
)
rank_of_the_lifting.mutant(
    "parameters may be zero", ("x0; h0 = id(x0); h1 = id(x0, h0); y0 = out(0*h1)",), networks=free_dags
)
