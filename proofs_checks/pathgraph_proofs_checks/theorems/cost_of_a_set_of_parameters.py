"""What it costs to set parameters to zero: the mass of the paths that meet one of them."""

from collections.abc import Callable, Collection
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.parts import MAX_PATHS
from pathgraph_proofs_checks.pruned import Places, chosen, mass, names, places, without
from pathgraph_proofs_checks.registry import METRIC, drawn, theorem
from pathgraph_proofs_checks.variants import at_outputs, kth_largest, power

Cost = Callable[[Network, Collection[int]], Any]


def library(net: Network, found: Collection[int]) -> Any:
    """The library's cost."""
    return pg.set_magnitude(net, names(net, found))


@theorem(
    statement=(
        "The l1 distance of the path-liftings before and after the parameters of a set I are set to zero is the sum of "
        "|Phi_p| over the paths that meet I, and the difference of the path-norms; a sweep with two states computes it."
    ),
    latex=r"\|\Phi(\theta)-\Phi(s_I\odot\theta)\|_1=\sum_{p\cap I\ne\emptyset}|\Phi_p|"
    r"=\|\Phi(\theta)\|_1-\|\Phi(s_I\odot\theta)\|_1",
    hypotheses="any DAG; a tied parameter is met where one of its places is",
    source=METRIC,
    instances=drawn(places),
    enumerates=True,
)
def cost_of_a_set_of_parameters(net: Network, drawn: Places, *, cost: Cost = library) -> Equality:
    """Compare the cost with two enumerations and with the norms."""
    found = chosen(net, drawn)
    other = without(net, found)
    here, there = (pg.path_lifting(n, max_paths=MAX_PATHS).values for n in (net, other))
    distance = sum((abs(a - b) for a, b in zip(here, there, strict=True)), Fraction(0))
    found_cost = cost(net, found)
    return Equality(
        (found_cost, found_cost, found_cost),
        (distance, mass(net, lambda on: not on.isdisjoint(found)), pg.path_norm(net) - pg.path_norm(other)),
    )


def kept_pools(net: Network) -> Fraction:
    """A wrong norm, in which a pool keeps its rank."""
    return sum(at_outputs(net, power(1), pool=kth_largest), Fraction(0))


cost_of_a_set_of_parameters.mutant(
    "the sum of the single costs",
    ("x0; h0 = id(x0); y0 = out(h0)", (0, 1)),
    cost=lambda net, found: sum((pg.path_magnitude(net)[i] for i in found), Fraction(0)),
)
cost_of_a_set_of_parameters.mutant(
    "the largest single cost",
    ("x0; y0 = out(x0, 1)", (0, 1)),
    cost=lambda net, found: max((pg.path_magnitude(net)[i] for i in found), default=Fraction(0)),
)
cost_of_a_set_of_parameters.mutant(
    "the paths within the set",
    ("x0; h0 = id(x0); y0 = out(h0)", (0,)),
    cost=lambda net, found: mass(net, lambda on: on <= set(found)),
)
cost_of_a_set_of_parameters.mutant(
    "the difference of the signed sums",
    ("x0; y0 = out(-1*x0, 1)", (0,)),
    cost=lambda net, found: abs(pg.path_sum(net)) - abs(pg.path_sum(without(net, found))),
)
cost_of_a_set_of_parameters.mutant(
    "pools keep their rank",
    ("x0 x1; h0 = max(x0, x1); y0 = out(h0)", (0,)),
    cost=lambda net, found: kept_pools(net) - kept_pools(without(net, found)),
)
cost_of_a_set_of_parameters.mutant(
    "the moduli of the parameters",
    ("x0; h0 = id(x0); y0 = out(0*h0)", (0,)),
    cost=lambda net, found: sum((abs(net.theta[i]) for i in found), Fraction(0)),
)
