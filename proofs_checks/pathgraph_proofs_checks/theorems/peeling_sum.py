"""The constant of the generalisation theorem covers the sum over the levels that peeling leaves."""

from collections.abc import Callable, Sequence
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph import PeelingConstants
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.registry import TOOLKIT, Networks, theorem

Pool = tuple[int, int]
Level = tuple[bool, bool, Sequence[Pool]]
"""Whether a level holds identity neurons (or is skipped), whether ReLUs, and its pools: pairs (k, in-degree)."""
Moments = Callable[[Sequence[Level]], Fraction]

pools = st.lists(st.tuples(st.just(1) | st.integers(1, 3), st.integers(1, 4)), max_size=4)


def instances(networks: Networks) -> SearchStrategy[tuple[Sequence[Level]]]:
    """Up to four levels between the inputs and the outputs."""
    return st.tuples(st.lists(st.tuples(st.booleans(), st.booleans(), pools), max_size=4))


def types(levels: Sequence[Level]) -> set[Pool]:
    """The pools of all levels, with ranks that are possible."""
    return {(min(k, size), size) for *_, listed in levels for k, size in listed}


def constants(levels: Sequence[Level]) -> PeelingConstants:
    """D, K and P of a network with these levels, one input, one output and no bias."""
    found = types(levels)
    return PeelingConstants(
        depth=len(levels) + 1,
        n_inputs=1,
        n_outputs=1,
        pool_size=max((size for _, size in found), default=1),
        pool_types=len(found),
        pool_layers=int(bool(found)),
        biases=False,
    )


def theorem_moments(levels: Sequence[Level]) -> Fraction:
    """The library's M, with D - 1 instead of D."""
    found = constants(levels)
    return found.moments("theorem") / ((3 + 2 * found.pool_types) * found.pool_size)


@theorem(
    statement=(
        "Peeling a level costs a_l = [identity] + 2 [ReLU] + 2 sum of K over its pool types; inputs may end at every "
        "level, with two signs: 2 (1 + a_1 + a_1 a_2 + ...) is at most ((3 + 2P) K)^(D - 1) (3 + 2P) / (1 + P)."
    ),
    latex=r"2\sum_{d=0}^{D-1}\prod_{l\le d}a_l\le\big((3+2P)K\big)^{D-1}\,\frac{3+2P}{1+P}",
    hypotheses="D - 1 levels below the outputs; P types (k, in-degree) of pools in all; K their largest in-degree",
    source=TOOLKIT,
    instances=instances,
    on_network=0,
    constant=1,
)
def peeling_sum(levels: Sequence[Level], *, moments: Moments = theorem_moments) -> Inequality:
    """Compare the sum with the library's number of moments."""
    total, product = Fraction(0), Fraction(1)
    for identity, relu, listed in ((True, False, []), *levels):
        sizes = {(min(k, size), size) for k, size in listed}
        product *= identity + 2 * relu + 2 * sum(size for _, size in sizes)
        total += product
    return Inequality(2 * total, moments(levels))


def geometric(levels: Sequence[Level], kinds: int, size: int, signs: int = 2) -> Fraction:
    """M with other numbers of pool types and candidates, and of signs of a ReLU."""
    factor = 1 + signs + 2 * kinds
    return Fraction((factor * size) ** len(levels) * 2 * factor, factor - 1)


def largest(levels: Sequence[Level]) -> int:
    """K."""
    return constants(levels).pool_size


peeling_sum.mutant(
    "the sharpened constant, when a level mixes pools with other neurons",
    (((True, False, ((1, 2),)), (True, True, ((1, 2),))),),
    moments=lambda levels: constants(levels).moments("sharpened"),
)
peeling_sum.mutant(
    "one sign for a ReLU",
    (((True, True, ()), (True, True, ())),),
    moments=lambda levels: geometric(levels, len(types(levels)), largest(levels), signs=1),
)
peeling_sum.mutant(
    "the last level alone",
    (((True, True, ()),),),
    moments=lambda levels: Fraction(2 * ((3 + 2 * len(types(levels))) * largest(levels)) ** len(levels)),
)
peeling_sum.mutant(
    "pools cost as much as one candidate",
    (((True, True, ((1, 4),)),),),
    moments=lambda levels: geometric(levels, len(types(levels)), 1),
)
peeling_sum.mutant(
    "pool types are counted by their ranks alone",
    (((True, True, ((1, 1), (1, 2), (1, 3), (1, 4))),) * 2,),
    moments=lambda levels: geometric(levels, len({k for k, _ in types(levels)}), largest(levels)),
)
