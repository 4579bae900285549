"""A parameter that stands at several places: its cost counts each path once, however often the path meets it."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.pruned import mass_by_place
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem

Scores = Callable[[Network], Any]


@theorem(
    statement=(
        "The path-magnitude of a tied parameter is the mass of the paths that meet one of its places, which is the "
        "loss of path-norm when it is set to zero, also if paths meet several of them."
    ),
    latex=r"F(\{i\})=\sum_{p\ni i}|\Phi_p|\le\theta_i\,\frac{\partial\|\Phi\|_1}{\partial\theta_i}",
    hypotheses="any DAG with tied weights and biases, at one depth (a convolution) or at several",
    source=DERIVED,
    instances=drawn(),
    enumerates=True,
)
def cost_of_a_tied_parameter(net: Network, *, scores: Scores = pg.path_magnitude) -> Equality:
    """Compare the scores with an enumeration."""
    return Equality(scores(net), mass_by_place(net))


def at_first_place(net: Network) -> list[Fraction]:
    """Wrong: only the first place counts."""
    return [_at(net, [entry]) for entry in net.architecture.first_entry.tolist()]


def largest_place(net: Network) -> list[Fraction]:
    """Wrong: only the place with the largest mass counts."""
    owner = net.architecture.parameter.tolist()
    places = [[e for e, p in enumerate(owner) if p == i] for i in range(len(net.theta))]
    return [max(_at(net, [entry]) for entry in entries) for entries in places]


def _at(net: Network, entries: list[int]) -> Fraction:
    values = net.values.copy()
    values[entries] = Fraction(0)
    untied = pg.to_networkx(net)
    for _, _, data in untied.edges(data=True):
        data.pop("parameter", None)
    for _, data in untied.nodes(data=True):
        data.pop("bias_parameter", None)
    free = pg.from_networkx(untied, dtype=object)
    return Fraction(pg.path_norm(free) - pg.path_norm(free.with_values(values)))


cost_of_a_tied_parameter.mutant(
    "the derivative of the path-norm counts a path as often as it meets the parameter",
    ("x0; h0 = id(1/2*x0@t); y0 = out(1/2*h0@t)",),
    scores=lambda net: pg.path_marginals(net.map_values(abs)),
)
cost_of_a_tied_parameter.mutant("its first place alone", ("x0; y0 = out(x0@t); y1 = out(x0@t)",), scores=at_first_place)
cost_of_a_tied_parameter.mutant(
    "its largest place alone", ("x0; y0 = out(x0@t); y1 = out(x0@t)",), scores=largest_place
)
cost_of_a_tied_parameter.mutant("its modulus", ("x0; h0 = id(x0); y0 = out(0*h0)",), scores=lambda net: abs(net.theta))
