"""Which pruning scores depend on how the network is written, and which do not."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs, rescalings
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import METRIC, drawn, theorem
from pathgraph_proofs_checks.variants import Factors

Scores = Callable[[Network, Input], Any]


def gradient(net: Network, x: Input) -> list[Fraction]:
    """The gradient of half the squared output."""
    jacobian = pg.parameter_jacobian(net, [list(x)])[0]
    return [
        sum((r * row[i] for r, row in zip(net(x), jacobian, strict=True)), Fraction(0)) for i in range(len(net.theta))
    ]


def curvature(net: Network, x: Input) -> list[Fraction]:
    """The diagonal of its Gauss-Newton matrix, which is that of the Hessian: the output is linear in each parameter."""
    jacobian = pg.parameter_jacobian(net, [list(x)])[0]
    return [sum((row[i] ** 2 for row in jacobian), Fraction(0)) for i in range(len(net.theta))]


def library(net: Network, x: Input) -> Any:
    """The library's four scores."""
    return (
        pg.importance_scores(net),
        pg.importance_scores(net, "synflow"),
        pg.importance_scores(net, "snip", gradient=gradient(net, x)),
        pg.importance_scores(net, "obd", hessian_diagonal=curvature(net, x)),
    )


@theorem(
    statement=(
        "Path-magnitude, the scores of SynFlow, |theta g| with the gradient g of a loss, and theta^2 h / 2 with the "
        "diagonal h of its Hessian do not change when a network is rescaled."
    ),
    latex=r"\theta\mapsto\lambda\diamond\theta:\quad\text{cost}_i,\ |\theta_ig_i|,\ \tfrac12\theta_i^2h_{ii}"
    r"\ \text{invariant}",
    hypotheses=(
        "positive factors of the rescaling group; gradient and diagonal are those at the rescaled parameters. Checked "
        "with the loss |R(x)|^2 / 2 and its Gauss-Newton diagonal"
    ),
    source=METRIC,
    instances=drawn(rescalings, inputs),
    on_network=1,
    enumerates=True,  # gradients over the rationals are slow: parts of a large network will do
)
def scores_under_rescaling(net: Network, factors: Factors, x: Input, *, scores: Scores = library) -> Equality:
    """Compare the scores before and after."""
    return Equality(scores(net, x), scores(pg.rescale(net, factors), x))


RESCALED = ("x0; h0 = id(x0); y0 = out(h0)", {"h0": 2}, (1,))
scores_under_rescaling.mutant("magnitude", RESCALED, scores=lambda net, x: abs(net.theta))
scores_under_rescaling.mutant(
    "the modulus of the gradient", RESCALED, scores=lambda net, x: list(map(abs, gradient(net, x)))
)
scores_under_rescaling.mutant("the curvature alone", RESCALED, scores=curvature)
scores_under_rescaling.mutant(
    "theta times the curvature",
    RESCALED,
    scores=lambda net, x: [abs(t) * h for t, h in zip(net.theta, curvature(net, x), strict=True)],
)
scores_under_rescaling.mutant(
    "the gradient of the decayed loss",
    RESCALED,
    scores=lambda net, x: [abs(t * (g + t)) for t, g in zip(net.theta, gradient(net, x), strict=True)],
)
scores_under_rescaling.mutant(
    "the derivative of the path-norm",
    RESCALED,
    scores=lambda net, x: [cost / (abs(t) or 1) for t, cost in zip(net.theta, pg.path_magnitude(net), strict=True)],
)
