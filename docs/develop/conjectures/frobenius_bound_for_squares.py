"""A conjecture that survives: the same with the 2-norm of the path-lifting, which is smaller."""

from math import prod

import pathgraph as pg
from pathgraph.proofs_checks import Inequality, drawn, theorem
from pathgraph.testing import mlps


def frobenius(net, join=prod):
    """The sums of squared weights of the layers, multiplied."""
    level = dict(zip(net.nodes, net.architecture.level.tolist(), strict=True))
    squares = dict.fromkeys(range(1, pg.depth(net) + 1), 0)
    for _, v, weight in net.graph.edges(data="weight"):
        squares[level[v]] += weight**2
    return join(squares.values())


@theorem(
    statement="The 2-norm of the path-lifting is at most the product of the Frobenius norms of the layers.",
    hypotheses="no biases",
    instances=drawn(),
    networks=mlps(biases=False),
    constant=1,
)
def frobenius_bound_for_squares(net, *, bound=frobenius, q=2):
    """Compare the squares, which are rational."""
    return Inequality(pg.path_norm(net, q, root=False) ** (2 // q), bound(net))


frobenius_bound_for_squares.mutant("the path-norm instead", ("x0 x1; y0 = out(x0, x1)",), q=1)
frobenius_bound_for_squares.mutant("there may be biases", ("x0; y0 = out(0*x0, 1)",), networks=mlps())
frobenius_bound_for_squares.mutant(
    "the largest layer instead of all",
    ("x0; h0 = relu(2*x0); y0 = out(2*h0)",),
    bound=lambda net: frobenius(net, max),
)
