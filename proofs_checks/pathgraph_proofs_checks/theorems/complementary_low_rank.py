"""Products of Kronecker-sparse factors have low rank at every cut: the necessary half of complementary low rank."""

from collections.abc import Callable

import pathgraph as pg
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.kronecker import (
    BUTTERFLY,
    Chain,
    blocks,
    chains,
    matrix,
    multiplied,
    rank,
    support,
    with_values,
)
from pathgraph_proofs_checks.registry import theorem

Values = tuple[tuple[int, ...], ...]


def library(chain: Chain, cut: int) -> int:
    """The library's rank of a cut."""
    return pg.KSPattern(*chain[cut - 1]).rank(pg.KSPattern(*chain[cut]))


@theorem(
    statement="At every cut, each block of a product of factors of chainable patterns has rank at most r = a1 c1/a2.",
    latex=r"\mathrm{rank}\big((X_1\cdots X_L)_{R\times C}\big)\le r_s=a_sc_s/a_{s+1}",
    hypotheses="consecutive patterns are chainable; R x C: a block of inner indices with equal rows and columns",
    source=BUTTERFLY,
    instances=with_values(chains(2) + chains(3)),
    on_network=0,
    constant=1,
)
def complementary_low_rank(
    chain: Chain,
    values: Values,
    *,
    bound: Callable[[Chain, int], int] = library,
    whole: bool = False,
) -> Inequality:
    """Compare the rank of every block of every cut with the bound."""
    product = multiplied(*map(matrix, chain, values))
    found, bounds = [], []
    for cut in range(1, len(chain)):
        left, right = (multiplied(*map(support, part)) for part in (chain[:cut], chain[cut:]))
        for rows, columns in blocks(left, right):
            inside = [[product[i][j] for j in columns] for i in rows]
            found.append(rank(product if whole else inside))
            bounds.append(bound(chain, cut))
    return Inequality(found, bounds)


complementary_low_rank.mutant(
    "one less", (((1, 1, 1, 1), (1, 1, 1, 1)), ((1,), (1,))), bound=lambda chain, cut: library(chain, cut) - 1
)
complementary_low_rank.mutant("of the whole product", (((2, 1, 1, 1), (2, 1, 1, 1)), ((1, 1), (1, 1))), whole=True)
complementary_low_rank.mutant(
    "the rank of the first cut, at all cuts",
    (((1, 1, 1, 2), (1, 2, 2, 1), (1, 2, 2, 1)), ((1, 1), (0, 1, 1, 0), (1, 0, 0, 1))),
    bound=lambda chain, cut: library(chain, 1),
)
complementary_low_rank.mutant(
    "c1 / a2",
    (((2, 1, 1, 1), (2, 1, 1, 1)), ((1, 0), (1, 0))),
    bound=lambda chain, cut: chain[cut - 1][2] // chain[cut][0],
)
