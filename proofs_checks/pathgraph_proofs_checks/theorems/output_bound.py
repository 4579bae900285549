"""The output is at most the path-norm, for inputs in the unit box: the 1 of max(1, |x|) pays for the biases."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.parts import Input, pooling_dags
from pathgraph_proofs_checks.registry import TOOLKIT, drawn, theorem
from pathgraph_proofs_checks.variants import at_outputs, kth_largest, power, without_biases


def size(x: Input) -> Fraction:
    """max(1, largest |x_u|)."""
    return Fraction(max(1, *map(abs, x)))


def path_norm(net: Network) -> Any:
    """The library's norm."""
    return pg.path_norm(net)


@theorem(
    statement="The l1 norm of R(x) is at most max(1, largest |x_u|) times the path-norm.",
    latex=r"\|R_\theta(x)\|_1\le\max(1,\|x\|_\infty)\,\|\Phi(\theta)\|_1",
    hypotheses="any DAG of identity, ReLU and k-max-pool neurons",
    source=TOOLKIT,
    instances=drawn(inputs),
    networks=pooling_dags,
    constant=1,
)
def output_bound(
    net: Network, x: Input, *, size: Callable[[Input], Fraction] = size, norm: Callable[[Network], Any] = path_norm
) -> Inequality:
    """Compare the output with the bound."""
    return Inequality(sum(map(abs, net(x))), size(x) * norm(net))


def kept_pools(net: Network) -> Fraction:
    """A wrong norm, in which a pool keeps its rank."""
    return sum(at_outputs(net, power(1), pool=kth_largest), Fraction(0))


output_bound.mutant("without the 1", ("x0; y0 = out(x0, 1)", (0,)), size=lambda x: max(map(abs, x)))
output_bound.mutant("the size of x is ignored", ("x0; y0 = out(x0)", (2,)), size=lambda x: Fraction(1))
output_bound.mutant(
    "biases are lost", ("x0; y0 = out(x0); y1 = out(x0, 1)", (1,)), norm=lambda net: path_norm(without_biases(net))
)
output_bound.mutant(
    "the largest output's norm instead of their sum",
    ("x0; y0 = out(x0); y1 = out(x0)", (1,)),
    norm=lambda net: pg.path_norm(net, 1, float("inf")),
)
output_bound.mutant(
    "pools keep their rank",
    ("x0 x1; h0 = pool2(-2*x0, x1); y0 = out(h0)", (1, 1)),
    norm=kept_pools,
)
