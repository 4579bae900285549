"""The cost of a set of parameters is a coverage function: monotone, with diminishing returns."""

from collections.abc import Callable, Collection
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.pruned import Places, chosen, mass, names, places, without
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem

Cost = Callable[[Network, Collection[int]], Any]


def library(net: Network, found: Collection[int]) -> Any:
    """The library's cost."""
    return pg.set_magnitude(net, names(net, found))


@theorem(
    statement=(
        "The cost F of a set of parameters is monotone and submodular: a parameter costs no less when it is removed "
        "after fewer others, and never less than nothing."
    ),
    latex=r"I\subset J\ \Rightarrow\ 0\le F(J\cup i)-F(J)\le F(I\cup i)-F(I)",
    hypotheses="F(I) is the mass of the paths that meet I",
    source=DERIVED,
    instances=drawn(places, places, st.integers(0, 15)),
)
def pruning_costs_are_submodular(
    net: Network, few: Places, more: Places, one: int, *, cost: Cost = library, law: str = "submodular"
) -> Inequality:
    """Compare the costs of a parameter after a set and after a larger one."""
    small = chosen(net, few)
    large = small | chosen(net, more)
    added = chosen(net, [one])
    early = cost(net, small | added) - cost(net, small)
    late = cost(net, large | added) - cost(net, large)
    sides = {
        "submodular": ((0, late), (late, early)),
        "supermodular": ((0, early), (early, late)),
        "additive": ((early, late), (late, early)),
    }
    return Inequality(*sides[law])


pruning_costs_are_submodular.mutant(
    "supermodular: a parameter costs more after more others",
    ("x0; y0 = out(x0)", (), (0,), 0),
    law="supermodular",
)
pruning_costs_are_submodular.mutant(
    "additive: a parameter costs the same after others",
    ("x0; y0 = out(x0)", (), (0,), 0),
    law="additive",
)
pruning_costs_are_submodular.mutant(
    "the paths within the set",
    ("x0; h0 = id(x0); y0 = out(h0)", (), (0,), 1),
    cost=lambda net, found: mass(net, lambda on: bool(on) and on <= set(found)),
)
pruning_costs_are_submodular.mutant(
    "the square of the cost",
    ("x0; y0 = out(x0); y1 = out(x0)", (), (0,), 1),
    cost=lambda net, found: library(net, found) ** 2,
)
pruning_costs_are_submodular.mutant(
    "the change of the signed sum of the paths",
    ("x0; y0 = out(x0); y1 = out(-1*x0)", (), (0,), 1),
    cost=lambda net, found: abs(pg.path_sum(net) - pg.path_sum(without(net, found))),
)
