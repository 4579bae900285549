"""The path-magnitude of a parameter: its modulus times the derivative of the path-norm, which is linear in it."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.registry import METRIC, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags
from pathgraph_proofs_checks.variants import sweep, without_biases


def moduli(w: Fraction, data: Any) -> Fraction:
    """The value of an edge in the sweeps below."""
    return abs(w)


def behind(net: Network, v: Any) -> Fraction:
    """The mass of the paths from a neuron to the outputs, by a sweep of its own."""
    value: dict[Any, Fraction] = dict.fromkeys(net.nodes, Fraction(0))
    value[v] = Fraction(1)
    for node in net.nodes:
        into = (value[u] * abs(w) for u, _, w in net.graph.in_edges(node, data="weight"))
        value[node] = value[node] + sum(into, Fraction(0)) if node != v else value[node]
    return sum((value[y] for y in net.outputs), Fraction(0))


@theorem(
    statement=(
        "The path-magnitude of a parameter is its modulus times the derivative of the path-norm with respect to that "
        "modulus, and the product of the mass that enters it, its modulus, and the mass behind it."
    ),
    latex=r"|\theta_i|\,\frac{\partial\|\Phi\|_1}{\partial|\theta_i|}=\|\Phi^{\to u}\|_1\,|\theta^{u\to v}|\,"
    r"\sum_{p:v\to N_{out}}\prod_p|\theta|",
    hypotheses="any DAG without tied parameters; the norm is linear in a modulus, so its derivative is a difference",
    source=METRIC,
    instances=drawn(st.integers(0, 15)),
    networks=relu_dags(ties=False),
    needs=("no ties",),
)
def path_magnitude_is_a_derivative(
    net: Network,
    drawn: int,
    *,
    scores: Callable[[Network], Any] = pg.path_magnitude,
    norm: Callable[..., Any] = pg.path_norm,
) -> Equality:
    """Compare the score of one parameter with a difference of norms, and with two sweeps edge by edge."""
    if not len(net.theta):
        return Equality(0, 0)
    place = drawn % len(net.theta)
    theta = abs(net.theta)
    more = theta.copy()
    more[place] += 1
    derivative = norm(net.with_theta(more)) - norm(net.with_theta(theta))
    entry = net.architecture.first_entry[place]
    name = net.architecture.entry_name(entry)
    if entry < net.architecture.n_edges:
        before, v = sweep(net, moduli)[name[0]], name[1]
    else:
        before, v = Fraction(1), name
    score = scores(net)[place]
    return Equality((score, score), (theta[place] * derivative, before * theta[place] * behind(net, v)))


path_magnitude_is_a_derivative.mutant(
    "the derivative alone",
    ("x0; y0 = out(2*x0)", 0),
    scores=lambda net: [
        cost / abs(w) if w else cost for cost, w in zip(pg.path_magnitude(net), net.theta, strict=True)
    ],
)
path_magnitude_is_a_derivative.mutant(
    "the modulus alone", ("x0; h0 = id(x0); y0 = out(0*h0)", 0), scores=lambda net: abs(net.theta)
)
path_magnitude_is_a_derivative.mutant(
    "biases start no path",
    ("x0; h0 = id(x0, 1); y0 = out(h0)", 2),
    scores=lambda net: pg.path_marginals(net.map_values(abs), biases=False),
)
path_magnitude_is_a_derivative.mutant("signs are kept", ("x0; y0 = out(-1*x0)", 0), scores=pg.path_marginals)
path_magnitude_is_a_derivative.mutant(
    "the derivative of the norm without biases",
    ("x0; y0 = out(x0, 1)", 1),
    norm=lambda net: pg.path_norm(without_biases(net)),
)
