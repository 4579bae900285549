"""Greedy pruning with old costs, while these decide, removes what greedy pruning with new costs removes."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.pruned import without
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem

Order = Callable[[Network, int], Any]


def library(net: Network, count: int) -> list[int]:
    """The library's greedy choice, as places in theta."""
    place = {name: i for i, name in enumerate(net.parameters)}
    return [place[name] for name in pg.prune(net, count, strategy="greedy", biases=True).removed]


def non_zero(net: Network) -> list[int]:
    """The places that may be chosen."""
    return [i for i, w in enumerate(net.theta) if w]


@theorem(
    statement=(
        "Removing, again and again, the parameter that then costs least can go on with old costs: since a scoring a "
        "cost c has fallen by at most the sum D of the old costs of what was removed at other levels, so that the "
        "smallest old cost is next if it is at most c - D for every other parameter."
    ),
    latex=r"F(I\cup i)-F(I)\ge F(\{i\})-\sum_{j\in I,\ \mathrm{level}(j)\ne\mathrm{level}(i)}F(\{j\})",
    hypotheses="F is submodular, and no path has two parameters that lead to one level; equal costs go by their order",
    source=DERIVED,
    instances=drawn(st.integers(0, 6)),
    on_network=1,
)
def lazy_greedy_is_greedy(net: Network, drawn: int, *, lazy: Order = library) -> Equality:
    """Compare the order of removal with that of new costs after every removal."""
    count = min(drawn, len(non_zero(net)))
    removed: list[int] = []
    for _ in range(count):
        costs = pg.path_magnitude(without(net, removed))
        removed.append(min((i for i in non_zero(net) if i not in removed), key=lambda i: (costs[i], i)))
    return Equality(lazy(net, count), removed)


def old_costs(net: Network, count: int) -> list[int]:
    """Wrong: one scoring."""
    costs = pg.path_magnitude(net)
    return sorted(non_zero(net), key=lambda i: (costs[i], i))[:count]


def classic(net: Network, count: int) -> list[int]:
    """Wrong: the lazy choice of maximisation, which looks at the first old cost alone again."""
    stale = {i: pg.path_magnitude(net)[i] for i in non_zero(net)}
    removed: list[int] = []
    while len(removed) < count:
        costs = pg.path_magnitude(without(net, removed))
        best = min(stale, key=lambda i: (stale[i], i))
        stale[best] = costs[best]
        if best == min(stale, key=lambda i: (stale[i], i)):
            removed.append(best)
            del stale[best]
    return removed


def with_the_last_fall(net: Network, count: int) -> list[int]:
    """Wrong: old costs are lowered by what was removed last alone."""
    stale = {i: pg.path_magnitude(net)[i] for i in non_zero(net)}
    removed: list[int] = []
    last: Fraction = Fraction(0)
    while len(removed) < count:
        best = min(stale, key=lambda i: (stale[i], i))
        if any((stale[best], best) > (stale[i] - last, i) for i in stale if i != best):
            costs = pg.path_magnitude(without(net, removed))
            stale = {i: costs[i] for i in stale}
            best = min(stale, key=lambda i: (stale[i], i))
        last = stale.pop(best)
        removed.append(best)
    return removed


def last_of_equals(net: Network, count: int) -> list[int]:
    """Wrong: of equal costs the last one goes first."""
    removed: list[int] = []
    for _ in range(count):
        costs = pg.path_magnitude(without(net, removed))
        removed.append(min((i for i in non_zero(net) if i not in removed), key=lambda i: (costs[i], -i)))
    return removed


lazy_greedy_is_greedy.mutant("one scoring for all", ("x0; h0 = id(x0); y0 = out(h0); y1 = out(h0)", 2), lazy=old_costs)
lazy_greedy_is_greedy.mutant(
    "the lazy choice of maximisation", ("x0; h0 = id(x0); y0 = out(h0); y1 = out(h0)", 2), lazy=classic
)
lazy_greedy_is_greedy.mutant(
    "only the last removal lowers a cost",
    ("x0 x1 x2; h0 = id(x0, 3*x1, 4*x2!); y0 = out(h0); y1 = out(5*x0)", 3),
    lazy=with_the_last_fall,
)
lazy_greedy_is_greedy.mutant("the last of equals", ("x0; y0 = out(x0); y1 = out(x0)", 1), lazy=last_of_equals)
