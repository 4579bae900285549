"""Relative changes of the parameters, as rounding in floating point makes them."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem

units = st.sampled_from([Fraction(1, 2), Fraction(1, 8)])
changes = st.lists(st.sampled_from([1, 0, -1]), min_size=1, max_size=6)


def longest(net: Network) -> int:
    """The most parameters on a path, the bias at its start counted."""
    with_inputs = pg.path_sum(net, pg.semirings.MAX_PLUS, biases=False)
    with_biases = pg.path_sum(net, pg.semirings.MAX_PLUS, inputs=[-float("inf")] * len(net.inputs))
    return int(max(with_inputs, with_biases + 1, 0))


@theorem(
    statement=(
        "If each value of a network changes by at most u times itself: |R_v - R'_v| <= P_v((1 + u)|theta|) - "
        "P_v(|theta|) <= ((1 + u)^L - 1) P_v(|theta|) on the box, for paths of at most L values."
    ),
    latex=(
        r"|R_v(\theta,x)-R_v(\theta',x)|\le\big((1+u)^L-1\big)P_v(|\theta|;|x|),"
        r"\quad|\theta'_i-\theta_i|\le u|\theta_i|"
    ),
    hypotheses="any DAG of identity, ReLU and k-max-pool neurons; a bias counts as a value of its paths",
    source=DERIVED,
    instances=drawn(units, changes, inputs),
    constant=1,
)
def rounding_in_floating_point(
    net: Network,
    u: Fraction,
    signs: Sequence[int],
    x: Input,
    *,
    factor: Callable[[Fraction, Network], Any] = lambda u, net: (1 + u) ** longest(net) - 1,
) -> Inequality:
    """Compare the change of the outputs, and the bound by growth, with the path-norm."""
    box = [abs(value) for value in x]
    theta = [w * (1 + signs[i % len(signs)] * u) for i, w in enumerate(net.theta.tolist())]
    change = abs(net(x) - net.with_theta(theta)(x))
    growth = pg.perturbation_bound(net, [abs(w) * u for w in net.theta.tolist()], inputs=box, per_output=True).upper
    norms = pg.path_norm(net, inputs=box, per_output=True)
    return Inequality([change, growth], [growth, factor(u, net) * norms])


rounding_in_floating_point.mutant(
    "the first order in u",
    ("x0; h0 = id(x0); y0 = out(h0)", "1/2", (1,), (1,)),
    factor=lambda u, net: u * longest(net),
)
rounding_in_floating_point.mutant(
    "biases do not count as values of their paths",
    ("x0; y0 = out(1)", "1/2", (1,), (0,)),
    factor=lambda u, net: (1 + u) ** int(max(pg.depth(net), 0)) - 1,
)
rounding_in_floating_point.mutant(
    "values shrink as much as they grow",
    ("x0; h0 = id(x0); y0 = out(h0)", "1/2", (1,), (1,)),
    factor=lambda u, net: 1 - (1 - u) ** longest(net),
)
