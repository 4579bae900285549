"""Single costs enclose the cost of a set."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.pruned import Places, chosen, names, places
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem

Ends = Callable[[Sequence[Any], Network], Any]


def largest(costs: Sequence[Any], net: Network) -> Any:
    """The largest, or 0."""
    return max(costs, default=Fraction(0))


def total(costs: Sequence[Any], net: Network) -> Any:
    """The sum."""
    return sum(costs, Fraction(0))


@theorem(
    statement="The cost of a set lies between the largest and the sum of the single costs of its parameters.",
    latex=r"\max_{i\in I}F(\{i\})\le F(I)\le\sum_{i\in I}F(\{i\})",
    hypotheses="any set; the sum is attained if no path has two of them, the maximum if one is on all those paths",
    source=DERIVED,
    instances=drawn(places),
    constant=1,
)
def cost_between_single_costs(net: Network, drawn: Places, *, lower: Ends = largest, upper: Ends = total) -> Inequality:
    """Compare the three."""
    found = sorted(chosen(net, drawn))
    single = pg.path_magnitude(net)
    costs = [single[i] for i in found]
    cost = pg.set_magnitude(net, names(net, found))
    return Inequality((lower(costs, net), cost), (cost, upper(costs, net)))


cost_between_single_costs.mutant("at most the largest", ("x0; y0 = out(x0, 1)", (0, 1)), upper=largest)
cost_between_single_costs.mutant("at least the sum", ("x0; h0 = id(x0); y0 = out(h0)", (0, 1)), lower=total)
cost_between_single_costs.mutant(
    "at least half the sum",
    ("x0; h0 = id(x0); h1 = id(h0); y0 = out(h1)", (0, 1, 2)),
    lower=lambda costs, net: total(costs, net) / 2,
)
cost_between_single_costs.mutant(
    "at most the mean",
    ("x0; y0 = out(x0); y1 = out(x0)", (0, 1)),
    upper=lambda costs, net: total(costs, net) / max(1, len(costs)),
)
