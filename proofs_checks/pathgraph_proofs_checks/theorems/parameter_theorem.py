"""The headline: without sign flips, the output moves by at most the path-metric times the size of the input."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.pairs import Factors, any_signs, metric, moved, same_signs, summed, untied
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import METRIC, drawn, theorem

Metric = Callable[[Network, Network], Any]


def library(net: Network, other: Network) -> Any:
    """The library's metric per output, by enumeration where it must."""
    return pg.path_metric(net, other, per_output=True, max_paths=10**6).upper


def size(x: Input) -> Fraction:
    """max(1, largest |x_u|)."""
    return Fraction(max(1, *map(abs, x)))


@theorem(
    statement=(
        "If no parameter changes its sign, the change of R(x) is at most max(1, largest |x_u|) times the path-"
        "metric, in the l1 and in the supremum norm over the outputs."
    ),
    latex=(
        r"\|R_\theta(x)-R_{\theta'}(x)\|_r\le\max(1,\|x\|_\infty)\,\|\Phi(\theta)-\Phi(\theta')\|_{1,r},"
        r"\quad\theta_i\theta'_i\ge0"
    ),
    hypotheses=(
        "any DAG of identity, ReLU and k-max-pool neurons; parameters may vanish or appear; r = 1 and r = infinity"
    ),
    source=METRIC,
    instances=drawn(same_signs, inputs),
    networks=untied,
    needs=("no ties",),
    enumerates=True,
    constant=1,
)
def parameter_theorem(
    net: Network,
    factors: Factors,
    x: Input,
    *,
    size: Callable[[Input], Fraction] = size,
    distance: Metric = library,
) -> Inequality:
    """Compare the change of the output with the metric."""
    other = moved(net, factors)
    change, bound = abs(net(x) - other(x)), [size(x) * d for d in distance(net, other)]
    return Inequality([sum(change), max(change)], [sum(bound), max(bound)])


parameter_theorem.mutant(
    "signs may change",
    ("x0; h0 = id(x0); h1 = relu(x0, h0); h2 = id(h1); y0 = out(h2)", (-1, -1, 1, 1), (1,)),
    instances=drawn(any_signs, inputs),
)
parameter_theorem.mutant(
    "without the 1", ("x0; y0 = out(x0); y1 = out(x0, 1)", (0,), (0,)), size=lambda x: max(map(abs, x))
)
parameter_theorem.mutant("the size of x is ignored", ("x0; y0 = out(x0)", (0,), (2,)), size=lambda x: Fraction(1))
parameter_theorem.mutant(
    "the l2 norm over the paths",
    ("x0; y0 = out(x0, 1)", (0,), (1,)),
    distance=lambda net, other: [Fraction(m) for m in pg.path_metric(net, other, q=2, per_output=True).upper],
)
parameter_theorem.mutant(
    "the difference of the path-norms",
    ("x0; y0 = out(x0, 1)", (0, 2), (-1,)),
    distance=lambda net, other: abs(pg.path_norm(net, per_output=True) - pg.path_norm(other, per_output=True)),
)
parameter_theorem.mutant(
    "paths that start at biases are lost",
    ("x0 x1 x2; h0 = id(x1, x2); y0 = out(x0, x1, x2, h0, 1)", (1, 1, 1, 1, 1, 1, 0), (0, 0, 0)),
    distance=lambda net, other: summed(net, other, metric, biases=0),
)
