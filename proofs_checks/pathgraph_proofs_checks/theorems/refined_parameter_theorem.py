"""The refined theorem: per output, each path weighted by the input at which it starts."""

from fractions import Fraction

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.pairs import Bounds, Factors, any_signs, metric, moved, same_signs, summed, untied
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem


def library(net: Network, other: Network, box: Input) -> object:
    """The library's bound over the box, by the weighted metric alone."""
    return pg.parameter_lipschitz(
        net, other, inputs=box, per_output=True, method="weighted-metric", drop_silent=False, max_paths=10**6
    ).upper


@theorem(
    statement=(
        "If no parameter changes its sign, |R_v(x) - R'_v(x)| is at most the sum over the paths p to v of |x_u| "
        "|Phi_p - Phi'_p|, u being the start of p, and of |Phi_p - Phi'_p| if p starts at a bias."
    ),
    latex=r"|R_v(\theta,x)-R_v(\theta',x)|\le\sum_{p\in\mathcal P^v}|x_{p_0}|\,|\Phi_p(\theta)-\Phi_p(\theta')|",
    hypotheses="any DAG of identity, ReLU and k-max-pool neurons; x at a bias is 1",
    source=DERIVED,
    instances=drawn(same_signs, inputs),
    networks=untied,
    needs=("no ties",),
    enumerates=True,
    constant=1,
)
def refined_parameter_theorem(net: Network, factors: Factors, x: Input, *, bound: Bounds = library) -> Inequality:
    """Compare the change of each output with its bound."""
    other = moved(net, factors)
    return Inequality(abs(net(x) - other(x)), bound(net, other, [abs(value) for value in x]))


def unchecked(net: Network, other: Network, box: Input) -> list[Fraction]:
    """The weighted metric, whatever the signs."""
    return summed(net, other, metric, box)


refined_parameter_theorem.mutant(
    "signs may change",
    ("x0; h0 = id(x0); h1 = relu(h0); y0 = out(h1)", (1, -1, -1), (1,)),
    instances=drawn(any_signs, inputs),
    bound=unchecked,
)
refined_parameter_theorem.mutant(
    "biases do not count",
    ("x0; y0 = out(x0, 1)", (0,), (1,)),
    bound=lambda net, other, box: summed(net, other, metric, box, biases=0),
)
refined_parameter_theorem.mutant(
    "biases have the weight of the largest input",
    ("x0; y0 = out(x0); y1 = out(x0, 1)", (0,), (0,)),
    bound=lambda net, other, box: summed(net, other, metric, box, biases=max(box)),
)
refined_parameter_theorem.mutant(
    "every output gets its share of the sum",
    ("x0; y0 = out(x0); y1 = out()", (0,), (1,)),
    bound=lambda net, other, box: [sum(unchecked(net, other, box)) / len(net.outputs)] * len(net.outputs),
)
refined_parameter_theorem.mutant(
    "squared weights of the inputs",
    ("x0; y0 = out(x0)", (0,), ("1/2",)),
    bound=lambda net, other, box: unchecked(net, other, [w**2 for w in box]),
)
