"""The sharpened constant of the generalisation theorem, where pools stand on levels of their own."""

from collections.abc import Callable, Sequence
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph import PeelingConstants
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.registry import DERIVED, Networks, theorem

Level = Sequence[int]
"""The in-degrees of the types of pools on a level; none on a level of ReLUs."""
Moments = Callable[[Sequence[Level]], Fraction]


def instances(networks: Networks) -> SearchStrategy[tuple[Sequence[Level]]]:
    """Up to four levels between the inputs and the outputs, of ReLUs or of one type of pools."""
    return st.tuples(st.lists(st.lists(st.integers(1, 4), max_size=1), max_size=4))


def several_types(networks: Networks) -> SearchStrategy[tuple[Sequence[Level]]]:
    """The same, with up to two types of pools on a level, which may differ in their ranks alone."""
    return st.tuples(st.lists(st.lists(st.integers(2, 4), max_size=2), max_size=4))


def sharpened(levels: Sequence[Level], *, uncounted: int = 0, pool_layers: int | None = None) -> Fraction:
    """The library's number of moments, D being less by some levels."""
    pools = [size for level in levels for size in level]
    found = PeelingConstants(
        depth=len(levels) + 1 - uncounted,
        n_inputs=1,
        n_outputs=1,
        pool_size=max(pools, default=1),
        pool_types=len(set(pools)),
        pool_layers=sum(map(bool, levels)) if pool_layers is None else pool_layers,
        biases=False,
    )
    return found.moments("sharpened")


def cost(level: Level) -> int:
    """What a level costs: 1 for identities, 2 for ReLUs or 2 K for each type of pools."""
    return 1 + (2 * sum(level) if level else 2)


@theorem(
    statement=(
        "If every level holds ReLUs or pools of one type, and perhaps identities, and D counts all levels, the sum "
        "that peeling leaves, inputs ending at every level with two signs, is at most 3^D K^M, M being the number of "
        "levels of pools and K their largest in-degree."
    ),
    latex=r"2\sum_{d=0}^{D-1}\prod_{l\le d}a_l\le3^DK^M,\quad a_l\in\{1+2,\ 1+2K_l\}",
    hypotheses="levels of one kind: ReLUs and pools on one level, or several types, may cost more",
    source=DERIVED,
    instances=instances,
    on_network=0,
    constant=1,
)
def sharpened_constant(
    levels: Sequence[Level], *, cost: Callable[[Level], int] = cost, moments: Moments = sharpened
) -> Inequality:
    """Compare the sum with the library's number of moments."""
    total = product = Fraction(1)
    for level in levels:
        product *= cost(level)
        total += product
    return Inequality(2 * total, moments(levels))


sharpened_constant.mutant(
    "pools stand beside ReLUs", (((2,), (2,)),), cost=lambda level: 3 + 2 * sum(level) if level else 3
)
sharpened_constant.mutant("several types of pools on a level", (((2, 2),),), instances=several_types)
sharpened_constant.mutant(
    "D does not count the levels of pools",
    (((1,),),),
    moments=lambda levels: sharpened(levels, uncounted=sum(map(bool, levels))),
)
sharpened_constant.mutant(
    "M is 1 at most", (((2,), (2,)),), moments=lambda levels: sharpened(levels, pool_layers=min(1, len(levels)))
)
sharpened_constant.mutant(
    "the factor 2 instead of 3",
    (((),),),
    moments=lambda levels: sharpened(levels) * Fraction(2, 3) ** (len(levels) + 1),
)
