"""With biases the product bound needs factors max(1, .): a bias is a path that skips the layers before it."""

from collections.abc import Callable
from fractions import Fraction
from math import inf
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import mlps
from pathgraph_proofs_checks.variants import layers


def product_of_norms(net: Network, r: float) -> Any:
    """The library's product."""
    return pg.operator_norm_product(net, 1, r)


@theorem(
    statement=(
        "The (1, r) path-norm is at most the (1, r) norm of the last (M, b) times the factors max(1, (1, inf) norm of "
        "(M, b)) of the other layers."
    ),
    latex=r"\|\Phi\|_{q,r}\le\|(M_L,b_L)\|_{q,r}\prod_{\ell<L}\max\big(1,\|(M_\ell,b_\ell)\|_{q,\infty}\big)",
    hypotheses="perceptrons with biases; here q = 1 and r in {1, inf}",
    source=DERIVED,
    instances=drawn(st.sampled_from((1, inf))),
    networks=mlps(),
    needs=("layered",),
    constant=1,
)
def product_bound_with_biases(
    net: Network, r: float, *, product: Callable[[Network, float], Any] = product_of_norms
) -> Inequality:
    """Compare norm and product."""
    return Inequality(Fraction(pg.path_norm(net, 1, r)), product(net, r))


def by_layers(floor: int, biases: bool) -> Callable[[Network, float], Any]:
    """The product with factors max(floor, .), with or without the biases in the rows."""

    def product(net: Network, r: float) -> Any:
        *first, last = ([sum(map(abs, row), Fraction(0)) for row in matrix] for matrix in layers(net, biases=biases))
        total = max(last) if r == inf else sum(last, Fraction(0))
        for rows in first:
            total *= max([*rows, Fraction(floor)])
        return total

    return product


product_bound_with_biases.mutant(
    "without max(1, .)", ("x0; h0 = relu(1/4*x0, 1/4); y0 = out(1/4*h0, 1/4)", 1), product=by_layers(0, True)
)
product_bound_with_biases.mutant("without the biases", ("x0; y0 = out(x0, 1)", 1), product=by_layers(1, False))
product_bound_with_biases.mutant(
    "without either, as if there were no biases", ("x0; y0 = out(x0, 1)", 1), product=by_layers(0, False)
)
