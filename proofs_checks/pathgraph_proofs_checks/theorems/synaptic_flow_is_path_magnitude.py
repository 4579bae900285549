"""SynFlow's scores are path-magnitudes, where there are neither biases nor max-pools.

Tanaka, Kunin, Yamins, Ganguli, Pruning neural networks without any data by iteratively conserving synaptic flow,
arXiv 2006.05467.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.registry import METRIC, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags
from pathgraph_proofs_checks.variants import at_outputs, power, without_biases

Scores = Callable[[Network], Any]


def flow(net: Network) -> list[Fraction]:
    """|theta| times the derivative, at ones, of the sum of the outputs on the moduli: a difference, by linearity."""
    base = net.with_theta(abs(net.theta))

    def output(theta: Any) -> Fraction:
        return sum(at_outputs(base.with_theta(theta), power(1), bias=lambda b, data: Fraction(0)), Fraction(0))

    scores = []
    for i, w in enumerate(base.theta):
        gone = base.theta.copy()
        gone[i] = Fraction(0)
        scores.append(output(base.theta) - output(gone) if w else Fraction(0))
    return scores


def library(net: Network) -> Any:
    """The library's scores."""
    return pg.importance_scores(net, "synflow")


@theorem(
    statement=(
        "In a network without biases and pools the score of SynFlow, |theta| times the derivative of the sum of the "
        "outputs at ones of the network of moduli, is the path-magnitude."
    ),
    latex=r"|\theta_i|\,\frac{\partial}{\partial|\theta_i|}\mathbf 1^\top\prod_\ell|W_\ell|\,\mathbf 1"
    r"=\sum_{p\ni i}|\Phi_p|",
    hypotheses="no biases, no max-pools, nothing tied across levels",
    source=METRIC,
    instances=drawn(),
    networks=relu_dags(activations=["relu"], biases=False, ties=False),
    on_network=0,
)
def synaptic_flow_is_path_magnitude(
    net: Network, *, scores: Scores = library, costs: Scores = pg.path_magnitude
) -> Equality:
    """Compare the library's scores with differences and with path-magnitudes."""
    found = scores(net)
    return Equality((found, found), (flow(net), costs(net)))


synaptic_flow_is_path_magnitude.mutant(
    "with biases",
    ("x0; y0 = out(x0); y1 = out(x0, 1)",),
    networks=relu_dags(activations=["relu"], ties=False),
)
synaptic_flow_is_path_magnitude.mutant(
    "with max-pools",
    ("x0 x1; h0 = max(x0, x1); y0 = out(h0)",),
    networks=relu_dags(activations=["pool"], biases=False, ties=False),
)
synaptic_flow_is_path_magnitude.mutant(
    "the derivative alone",
    ("x0; y0 = out(2*x0)",),
    scores=lambda net: [s / (abs(w) or 1) for s, w in zip(library(net), net.theta, strict=True)],
)
synaptic_flow_is_path_magnitude.mutant(
    "signs are kept", ("x0; y0 = out(-1*x0)",), scores=lambda net: pg.path_marginals(without_biases(net))
)
