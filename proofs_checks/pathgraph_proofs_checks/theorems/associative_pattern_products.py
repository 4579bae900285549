"""The product of chainable patterns is associative, and its ranks are those of the neighbours."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.kronecker import BUTTERFLY, Chain, Pattern, alone, chains
from pathgraph_proofs_checks.registry import theorem

Product = Callable[[Pattern, Pattern], Pattern]


def library(one: Pattern, other: Pattern) -> Pattern:
    """The library's product; it raises if the pair is not chainable."""
    return (pg.KSPattern(*one) * pg.KSPattern(*other)).values_shape


def rank(one: Pattern, other: Pattern) -> int:
    """The library's rank."""
    return pg.KSPattern(*one).rank(pg.KSPattern(*other))


@theorem(
    statement=(
        "(p1 * p2) * p3 = p1 * (p2 * p3); both are defined if neighbours are chainable, and the ranks of their cuts "
        "are those of the neighbours."
    ),
    latex=r"(\pi_1*\pi_2)*\pi_3=\pi_1*(\pi_2*\pi_3),\quad r(\pi_1*\pi_2,\pi_3)=r(\pi_2,\pi_3),\quad "
    r"r(\pi_1,\pi_2*\pi_3)=r(\pi_1,\pi_2)",
    hypotheses="p1, p2 and p2, p3 are chainable",
    source=BUTTERFLY,
    instances=alone(st.sampled_from(chains(3, 48))),
    on_network=0,
)
def associative_pattern_products(chain: Chain, *, multiply: Product = library, ranks: Any = rank) -> Equality:
    """Compare the two ways, and the ranks."""
    one, two, three = chain
    left, right = multiply(one, two), multiply(two, three)
    return Equality(
        (multiply(left, three), ranks(left, three), ranks(one, right)),
        (multiply(one, right), ranks(two, three), ranks(one, two)),
    )


def altered(change: Callable[[Pattern, Pattern], Pattern]) -> dict[str, Any]:
    """Ingredients with another product, and ranks by the formula, rounded down."""
    return {"multiply": change, "ranks": lambda one, other: one[0] * one[2] // other[0]}


associative_pattern_products.mutant(
    "b1 d1 rows, without the division by d2",
    (((1, 1, 1, 2), (1, 1, 1, 2), (1, 1, 1, 2)),),
    **altered(lambda one, other: (one[0], one[1] * one[3], other[0] * other[2] // one[0], other[3])),
)
associative_pattern_products.mutant(
    "a2 c2 columns, without the division by a1",
    (((2, 1, 1, 1), (2, 1, 1, 1), (2, 1, 1, 1)),),
    **altered(lambda one, other: (one[0], one[1] * one[3] // other[3], other[0] * other[2], other[3])),
)
associative_pattern_products.mutant(
    "the rank is c1",
    (((1, 1, 2, 1), (2, 1, 1, 1), (2, 1, 1, 1)),),
    ranks=lambda one, other: one[2],
)
