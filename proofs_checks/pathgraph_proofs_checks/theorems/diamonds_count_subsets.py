"""The second gadget: metrics of same-sign networks count the subsets whose product is given."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.pairs import diamonds
from pathgraph_proofs_checks.registry import DERIVED, theorem

factors = st.lists(st.integers(1, 6), min_size=1, max_size=5)
HALF = Fraction(1, 2)


def library(factors: Sequence[int], c: Fraction) -> Any:
    """The metric of the two chains, the first weight being c in the one and 1 in the other."""
    ours = diamonds([(1, 1)] * len(factors), first=c)
    return pg.path_metric(ours, diamonds([(1, a) for a in factors])).upper


@theorem(
    statement=(
        "Between a chain of stages (1, 1) that begins with the weight c and one of stages (1, a_i) that begins "
        "with 1, the path-metric is the sum over all subsets of |c - product|; its second difference in c counts "
        "the subsets whose product is c. All weights are positive."
    ),
    latex=(
        r"m(c)=\sum_S\Big|c-\prod_{i\in S}a_i\Big|,\qquad "
        r"m(c+\tfrac12)-2m(c)+m(c-\tfrac12)=\#\Big\{S:\prod_{i\in S}a_i=c\Big\}"
    ),
    hypotheses="positive integers a_i and c, hence products at distance 1 at least from each other or equal",
    source=DERIVED,
    instances=lambda networks: st.tuples(factors, st.integers(1, 12)),
    on_network=0,
)
def diamonds_count_subsets(
    factors: Sequence[int], c: int, *, metric: Callable[[Sequence[int], Fraction], Any] = library, step: Fraction = HALF
) -> Equality:
    """Compare the second difference with a count."""
    second = metric(factors, c + step) - 2 * metric(factors, Fraction(c)) + metric(factors, c - step)
    subsets = [prod(a for a, bit in zip(factors, o, strict=True) if bit) for o in product((0, 1), repeat=len(factors))]
    return Equality(second, subsets.count(c))


def by_norms(factors: Sequence[int], c: Fraction) -> Any:
    """The difference of the path-norms."""
    ours = diamonds([(1, 1)] * len(factors), first=c)
    return abs(pg.path_norm(ours) - pg.path_norm(diamonds([(1, a) for a in factors])))


diamonds_count_subsets.mutant("a step too large", ((1,), 1), step=Fraction(2))
diamonds_count_subsets.mutant("the difference of the path-norms", ((2,), 1), metric=by_norms)
diamonds_count_subsets.mutant(
    "the empty set is left out", ((1,), 1), metric=lambda factors, c: library(factors, c) - abs(c - 1)
)
