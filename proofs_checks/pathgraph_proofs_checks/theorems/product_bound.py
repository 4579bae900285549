"""The path-norm of a perceptron without biases is at most the product of its layers' norms."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import inf
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.registry import TOOLKIT, Networks, theorem
from pathgraph_proofs_checks.sizes import mlps
from pathgraph_proofs_checks.variants import layers, without_biases

Product = Callable[[Network, float], Any]


def instances(networks: Networks) -> SearchStrategy[tuple[Any, ...]]:
    """Perceptrons, deprived of their biases, and r."""
    return st.tuples(networks.map(without_biases), st.sampled_from((1, inf)))


def product_of_norms(net: Network, r: float) -> Any:
    """The library's product."""
    return pg.operator_norm_product(net, 1, r)


@theorem(
    statement="The (1, r) path-norm is at most the (1, r) norm of the last matrix times the others' (1, inf) norms.",
    latex=r"\|\Phi\|_{q,r}\le\|M_L\|_{q,r}\prod_{\ell<L}\|M_\ell\|_{q,\infty}",
    hypotheses="perceptrons without biases; here q = 1 and r in {1, inf}, for which both sides are rational",
    source=TOOLKIT,
    instances=instances,
    networks=mlps(biases=False),
    needs=("layered",),
    constant=1,
)
def product_bound(net: Network, r: float, *, product: Product = product_of_norms, power: int = 1) -> Inequality:
    """Compare norm and product, both to some power."""
    return Inequality(Fraction(pg.path_norm(net, 1, r)) ** power, product(net, r))


def largest_entries(net: Network, r: float) -> Any:
    """A wrong product: of the largest entries."""
    product = Fraction(1)
    for matrix in layers(net):
        product *= max(abs(entry) for row in matrix for entry in row)
    return product


def columns(net: Network, r: float) -> Any:
    """A wrong product: the norm of the largest column, by which no signal of all ones is bounded."""
    product = Fraction(1)
    for matrix in layers(net):
        product *= max(sum(map(abs, column)) for column in zip(*matrix, strict=True))
    return product


def squared_spectral_norms(net: Network, r: float) -> Any:
    """The squared product of the spectral norms, with the square root of the number of inputs, for orthogonal rows."""
    product = Fraction(len(net.inputs))
    for matrix in layers(net):
        gram = [[_dot(a, b) for b in matrix] for a in matrix]
        if any(gram[i][j] for i in range(len(gram)) for j in range(i)):
            raise ValueError("spectral norms are computed for matrices with orthogonal rows only")
        product *= max(gram[i][i] for i in range(len(gram)))
    return product


def _dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def hadamard_networks(networks: Networks) -> SearchStrategy[tuple[Any, ...]]:
    """A Hadamard matrix of order 1, 2, 4 or 8, followed by one of its rows, the path-norm being order**2."""

    def build(order: int) -> tuple[Network, float]:
        matrix = [[Fraction((-1) ** (i & j).bit_count()) for j in range(order)] for i in range(order)]
        return pg.from_weights([matrix, matrix[-1:]]), 1

    return st.sampled_from((1, 2, 4, 8)).map(build)


product_bound.mutant(
    "the last layer takes its largest row, whatever r",
    ("x0; y0 = out(x0); y1 = out(x0)", 1),
    product=lambda net, r: product_of_norms(net, inf),
)
product_bound.mutant("norms of columns", ("x0 x1; y0 = out(x0, x1)", 1), product=columns)
product_bound.mutant("largest entries", ("x0; y0 = out(x0); y1 = out(x0)", 1), product=largest_entries)
product_bound.mutant(
    "spectral norms times the root of the input dimension",
    ("x0 x1; h0 = relu(x0, x1); h1 = relu(x0, -1*x1); y0 = out(h0, -1*h1)", 1),
    instances=hadamard_networks,
    product=squared_spectral_norms,
    power=2,
)
