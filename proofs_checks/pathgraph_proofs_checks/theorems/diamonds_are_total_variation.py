"""Why the exact metric is hard: on a chain of diamonds it is the total variation distance of two product laws."""

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

chances = st.sampled_from([Fraction(k, 4) for k in (2, 4, 0, 1, 3)])
laws = st.lists(st.tuples(chances, chances), min_size=1, max_size=5)
Laws = Sequence[tuple[Fraction, Fraction]]


def library(p: Sequence[Fraction], q: Sequence[Fraction]) -> Any:
    """The library's metric of the two chains."""
    ours, theirs = (diamonds([(a, 1 - a) for a in each]) for each in (p, q))
    return pg.path_metric(ours, theirs).upper


@theorem(
    statement=(
        "On a chain of two-branch stages with weights (p_i, 1 - p_i) against (q_i, 1 - q_i) the path-metric is "
        "twice the total variation distance of the products of the Bernoulli laws of parameters p_i and q_i."
    ),
    latex=(
        r"\|\Phi(\theta)-\Phi(\theta')\|_1=\sum_{S}\Big|\prod_{i\in S}p_i\prod_{i\notin S}(1-p_i)"
        r"-\prod_{i\in S}q_i\prod_{i\notin S}(1-q_i)\Big|=2\,TV"
    ),
    hypotheses="identity neurons; the distance is #P-complete (Bhattacharyya et al., IJCAI 2023)",
    source=DERIVED,
    instances=lambda networks: st.tuples(laws),
    on_network=0,
)
def diamonds_are_total_variation(
    pairs: Laws, *, found: Callable[[Sequence[Fraction], Sequence[Fraction]], Any] = library
) -> Equality:
    """Compare the metric with twice the distance, outcome by outcome."""
    p, q = zip(*pairs, strict=True)
    outcomes = list(product((0, 1), repeat=len(p)))
    laws = [[prod(a if bit else 1 - a for a, bit in zip(each, o, strict=True)) for o in outcomes] for each in (p, q)]
    largest = sum(max(a - b, Fraction(0)) for a, b in zip(*laws, strict=True))
    return Equality(found(p, q), 2 * largest)


diamonds_are_total_variation.mutant("once the distance", ((("1/2", 1),),), found=lambda p, q: library(p, q) / 2)
diamonds_are_total_variation.mutant(
    "the sum of the distances of the factors",
    ((("1/2", 1), ("1/2", 1)),),
    found=lambda p, q: 2 * sum((abs(a - b) for a, b in zip(p, q, strict=True)), Fraction(0)),
)
diamonds_are_total_variation.mutant(
    "the bound through the meet",
    ((("1/2", 1), ("1/2", "1/4")),),
    found=lambda p, q: pg.path_metric(*(diamonds([(a, 1 - a) for a in each]) for each in (p, q)), method="meet").upper,
)
