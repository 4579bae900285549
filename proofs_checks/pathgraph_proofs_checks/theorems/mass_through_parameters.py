"""The mass of the paths through each parameter and through each neuron: a forward and a backward sweep."""

from collections.abc import Callable, Hashable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.parts import MAX_PATHS, entries_on
from pathgraph_proofs_checks.registry import METRIC, drawn, theorem

Masses = Callable[[Network], tuple[Any, Any]]


def marginals(net: Network) -> tuple[Any, Any]:
    """The library's masses through parameters and neurons."""
    moduli = net.map_values(abs)
    return pg.path_marginals(moduli), pg.node_marginals(moduli)


@theorem(
    statement=(
        "The sum of |Phi_p| over the paths through a parameter u -> v is |theta_uv| times the sweep up to u times the "
        "sweep back to v, and |b_v| times the latter for a bias; through a neuron it is the product of both sweeps. A "
        "tied parameter has the sum over its places."
    ),
    latex=r"\sum_{p\ni u\to v}|\Phi_p|=\|\Phi^{\to u}\|_1\,|\theta^{u\to v}|\,\sum_{p:v\to N_{out}}\prod_p|\theta|",
    hypotheses="any DAG; fixed values multiply paths but have no mass of their own",
    source=METRIC,
    instances=drawn(),
    enumerates=True,
)
def mass_through_parameters(net: Network, *, masses: Masses = marginals) -> Equality:
    """Compare both kinds of masses with an enumeration."""
    structure = net.architecture
    lifting = pg.path_lifting(net, max_paths=MAX_PATHS)
    by_parameter = [Fraction(0)] * structure.n_parameters
    by_neuron: dict[Hashable, Fraction] = dict.fromkeys(net.nodes, Fraction(0))
    for path, product in zip(lifting.paths, lifting.values, strict=True):
        mass = abs(product)
        for place in structure.parameter[entries_on(net, path)]:
            if place >= 0:
                by_parameter[place] += mass
        for node in path:
            by_neuron[node] += mass
    return Equality(masses(net), (by_parameter, list(by_neuron.values())))


def without_own_weight(net: Network) -> tuple[Any, Any]:
    """Wrong masses: the derivative of the norm instead of the weight times it."""
    through, nodes = marginals(net)
    return [mass / abs(w) if w else mass for mass, w in zip(through, net.theta, strict=True)], nodes


mass_through_parameters.mutant("the derivative alone", ("x0; y0 = out(2*x0)",), masses=without_own_weight)
mass_through_parameters.mutant(
    "signs are kept", ("x0; y0 = out(-1*x0)",), masses=lambda net: (pg.path_marginals(net), pg.node_marginals(net))
)
mass_through_parameters.mutant(
    "biases start no path",
    ("x0; y0 = out(x0, 1)",),
    masses=lambda net: (
        pg.path_marginals(net.map_values(abs), biases=False),
        pg.node_marginals(net.map_values(abs), biases=False),
    ),
)
mass_through_parameters.mutant(
    "paths are counted, not weighed",
    ("x0; y0 = out(0*x0)",),
    masses=lambda net: (pg.path_marginals(net, pg.semirings.COUNT), pg.node_marginals(net, pg.semirings.COUNT)),
)
mass_through_parameters.mutant(
    "the magnitude of the parameter",
    ("x0; h0 = id(x0); y0 = out(0*h0)",),
    masses=lambda net: (abs(net.theta), pg.node_marginals(net.map_values(abs))),
)
