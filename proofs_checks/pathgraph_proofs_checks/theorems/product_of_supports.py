"""The product of two Kronecker-sparse supports is one, and is partitioned by blocks of r inner indices each."""

from collections.abc import Callable
from itertools import product

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.kronecker import BUTTERFLY, Pattern, alone, blocks, chains, multiplied, support
from pathgraph_proofs_checks.registry import theorem

Pair = tuple[Pattern, Pattern]


def pairs(dropped: str) -> tuple[Pair, ...]:
    """Pairs of equal inner size that violate one hypothesis and satisfy the others, the smallest first."""
    found: set[Pair] = set()
    for a1, b1, c1, d1, c in product((1, 2), repeat=5):
        left = a1, b1, c1, d1
        for a, b, d in product((1, 2, 4), repeat=3):
            right = (a, b, c, d)
            hold = {
                "a": right[0] % left[0] == 0,
                "d": left[3] % right[3] == 0,
                "r": left[0] * left[2] % right[0] == 0,
            }
            same = left[0] * left[2] * left[3] == right[0] * right[1] * right[3]
            if same and [name for name in hold if not hold[name]] == [dropped]:
                found.add((left, right))
    return tuple(sorted(found, key=lambda pair: (sum(map(sum, pair)), pair)))


def library(pair: Pair) -> Pattern:
    """The library's product."""
    product = pg.KSPattern(*pair[0]) * pg.KSPattern(*pair[1])
    return product.values_shape


def formula(pair: Pair) -> Pattern:
    """The formula, rounded down where it is no integer."""
    (a, b, _, d), (a2, _, c2, d2) = pair
    return a, max(b * d // d2, 1), max(a2 * c2 // a, 1), d2


@theorem(
    statement=(
        "The support of the product of two full matrices of chainable patterns is that of the pattern "
        "(a1, b1 d1/d2, a2 c2/a1, d2); the inner indices that share rows and columns form groups of r = a1 c1/a2, and "
        "their blocks partition it."
    ),
    latex=r"\mathrm{supp}(K_1K_2)=I_{a_1}\otimes\mathbf 1_{b_1d_1/d_2\times a_2c_2/a_1}\otimes I_{d_2}",
    hypotheses="a1 c1 d1 = a2 b2 d2; a1 divides a2; d2 divides d1; a2 divides a1 c1",
    source=BUTTERFLY,
    instances=alone(st.sampled_from(chains(2))),
    on_network=0,
)
def product_of_supports(
    pair: Pair,
    *,
    pattern: Callable[[Pair], Pattern] = library,
    members: Callable[[Pair], int] = lambda pair: pair[0][0] * pair[0][2] // pair[1][0],
) -> Equality:
    """Compare the boolean product with the formula, the sizes of the groups with r, the areas with the support."""
    left, right = map(support, pair)
    found = [[int(x > 0) for x in row] for row in multiplied(left, right)]
    groups = blocks(left, right)
    area = sum(len(rows) * len(columns) for rows, columns in groups)
    wanted = [[int(x) for x in row] for row in support(pattern(pair))]
    return Equality((found, sorted(set(groups.values())), area), (wanted, [members(pair)], sum(map(sum, wanted))))


product_of_supports.mutant(
    "a1 need not divide a2",
    (((2, 1, 1, 1), (1, 2, 1, 1)),),
    instances=alone(st.sampled_from(pairs("a"))),
    pattern=formula,
)
product_of_supports.mutant(
    "d2 need not divide d1",
    (((1, 1, 2, 1), (1, 1, 1, 2)),),
    instances=alone(st.sampled_from(pairs("d"))),
    pattern=formula,
)
product_of_supports.mutant(
    "r need not be an integer",
    (((1, 1, 1, 2), (2, 1, 1, 1)),),
    instances=alone(st.sampled_from(pairs("r"))),
    pattern=formula,
)
product_of_supports.mutant(
    "b1 rows per block, as in the left factor",
    (((1, 1, 1, 2), (1, 2, 1, 1)),),
    pattern=lambda pair: (library(pair)[0], pair[0][1], *library(pair)[2:]),
)
product_of_supports.mutant("groups of c1", (((1, 1, 2, 1), (2, 1, 1, 1)),), members=lambda pair: pair[0][2])
