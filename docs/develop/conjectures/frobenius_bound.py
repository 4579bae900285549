"""A conjecture that does not survive: the path-norm of a perceptron is at most the product of its Frobenius norms."""

from math import prod

import pathgraph as pg
from pathgraph.proofs_checks import Inequality, drawn, theorem
from pathgraph.testing import mlps


def frobenius(net):
    """The product over the layers of the sums of squared weights."""
    level = dict(zip(net.nodes, net.architecture.level.tolist(), strict=True))
    squares = dict.fromkeys(range(1, pg.depth(net) + 1), 0)
    for _, v, weight in net.graph.edges(data="weight"):
        squares[level[v]] += weight**2
    return prod(squares.values())


@theorem(
    statement="The path-norm of a perceptron is at most the product of the Frobenius norms of its layers.",
    hypotheses="no biases",
    instances=drawn(),
    networks=mlps(biases=False),
    constant=1,
)
def frobenius_bound(net):
    """Compare the squares, which are rational."""
    return Inequality(pg.path_norm(net) ** 2, frobenius(net))
