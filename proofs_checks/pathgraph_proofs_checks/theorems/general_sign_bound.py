"""For any signs: on paths with sign flips, sums take the place of differences."""

from fractions import Fraction
from math import prod

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.pairs import (
    Bounds,
    Factors,
    any_signs,
    flips,
    metric,
    moved,
    summed,
    untied,
    without_signs,
)
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem


def library(net: Network, other: Network, box: Input) -> object:
    """The library's bound."""
    return pg.parameter_lipschitz(
        net, other, inputs=box, per_output=True, method="general-signs", drop_silent=False, max_paths=10**6
    ).upper


@theorem(
    statement=(
        "For any parameters, |R_v(x) - R'_v(x)| is at most the weighted sum over the paths p to v of |Phi_p - "
        "Phi'_p| if no sign flips on p, and of |Phi_p| + |Phi'_p| if some does."
    ),
    latex=(
        r"|R_v(\theta,x)-R_v(\theta',x)|\le\sum_{p\in\mathcal P^v}|x_{p_0}|\,g_p,\quad "
        r"g_p=|\Phi_p-\Phi'_p|\text{ without flips, }|\Phi_p|+|\Phi'_p|\text{ with flips}"
    ),
    hypotheses="any DAG of identity, ReLU and k-max-pool neurons; no hypothesis on signs",
    source=DERIVED,
    instances=drawn(any_signs, inputs),
    networks=untied,
    needs=("no ties",),
    enumerates=True,
    constant=1,
)
def general_sign_bound(net: Network, factors: Factors, x: Input, *, bound: Bounds = library) -> Inequality:
    """Compare the change of each output with its bound."""
    other = moved(net, factors)
    return Inequality(abs(net(x) - other(x)), bound(net, other, [abs(value) for value in x]))


general_sign_bound.mutant(
    "differences on all paths",
    ("x0; h0 = id(x0); h1 = relu(h0); y0 = out(h1)", (1, -1, -1), (1,)),
    bound=lambda net, other, box: summed(net, other, metric, box),
)
general_sign_bound.mutant(
    "two flips count as none",
    ("x0; h0 = id(x0); h1 = relu(h0); y0 = out(h1)", (1, -1, -1), (1,)),
    bound=lambda net, other, box: summed(
        net, other, lambda a, b: without_signs(a, b) if flips(a, b) % 2 else metric(a, b), box
    ),
)
general_sign_bound.mutant(
    "the larger of both instead of the sum",
    ("x0; y0 = out(x0)", (-1,), (1,)),
    bound=lambda net, other, box: summed(
        net,
        other,
        lambda a, b: max(abs(Fraction(prod(a))), abs(Fraction(prod(b)))) if flips(a, b) else metric(a, b),
        box,
    ),
)
general_sign_bound.mutant(
    "biases do not count",
    ("x0; y0 = out(x0, 1)", (-1,), (1,)),
    bound=lambda net, other, box: summed(net, other, without_signs, box, biases=0),
)
