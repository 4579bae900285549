"""A priori: how far the output can move if the parameters move by at most rho."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import dyadics, inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem

Moves = Sequence[Fraction]
steps = st.lists(st.sampled_from([Fraction(k, 2) for k in (2, 0, -2, 1, -1)]), min_size=1, max_size=6)
sizes = st.lists(dyadics().map(abs), min_size=1, max_size=6)
Box = Callable[[Network, Any, Input], Any]


def library(net: Network, rho: Any, box: Input) -> Any:
    """The library's bound."""
    return pg.perturbation_bound(net, rho, inputs=box, per_output=True).upper


def library_shrinking(net: Network, rho: Any, box: Input) -> Any:
    """The library's bound for shrinking parameters."""
    return pg.perturbation_bound(net, rho, inputs=box, per_output=True, shrink=True).upper


@theorem(
    statement=(
        "If no parameter moves by more than rho: |R_v - R'_v| <= U2 <= U4 <= P_v(|theta| + rho) - P_v(|theta|) "
        "over the box; if they moreover shrink: |R_v - R'_v| <= P_v(|theta|) - P_v((|theta| - rho)_+)."
    ),
    latex=(
        r"|R_v(\theta,x)-R_v(\theta',x)|\le U_2\le U_4\le P_v(|\theta|+\rho;|x|)-P_v(|\theta|;|x|),\quad"
        r"|\theta'_i-\theta_i|\le\rho_i"
    ),
    hypotheses="any DAG of identity, ReLU and k-max-pool neurons; any signs; fixed values do not move",
    source=DERIVED,
    instances=drawn(sizes, steps, inputs),
    constant=1,
)
def perturbation_box(
    net: Network,
    sizes: Moves,
    steps: Moves,
    x: Input,
    *,
    growth: Box = library,
    shrinkage: Box = library_shrinking,
) -> Inequality:
    """Compare the changes of the outputs, U2 and U4 with the bounds."""
    theta, box = net.theta.tolist(), [abs(value) for value in x]
    rho = [sizes[i % len(sizes)] for i in range(len(theta))]
    move = [steps[i % len(steps)] * r for i, r in enumerate(rho)]
    other = net.with_theta([w + m for w, m in zip(theta, move, strict=True)])
    less = net.with_theta(
        [max(abs(w) - abs(m), Fraction(0)) * (1 if w > 0 else -1) for w, m in zip(theta, move, strict=True)]
    )
    meet, telescope = (
        pg.path_metric(net, other, inputs=box, per_output=True, method=method).upper for method in ("meet", "telescope")
    )
    left = [abs(net(x) - other(x)), meet, telescope, abs(net(x) - less(x))]
    return Inequality(left, [meet, telescope, growth(net, rho, box), shrinkage(net, rho, box)])


def first_order(net: Network, rho: Any, box: Input) -> list[Fraction]:
    """The derivative of the bound in rho, at 0."""
    tiny = Fraction(1, 10**30)
    bounds = library(net, [r * tiny for r in rho], box)
    return [Fraction(b) / tiny for b in bounds]


def weights_only(net: Network, rho: Any, box: Input) -> Any:
    """The bound with biases that do not move."""
    kept = [r if isinstance(name, tuple) else Fraction(0) for r, name in zip(rho, net.parameters, strict=True)]
    return library(net, kept, box)


perturbation_box.mutant(
    "the first order in rho", ("x0; h0 = id(x0); y0 = out(h0)", (1,), (1,), (1,)), growth=first_order
)
perturbation_box.mutant(
    "shrinking is the worst change", ("x0; h0 = id(x0); y0 = out(h0)", (1,), (1,), (1,)), growth=library_shrinking
)
perturbation_box.mutant("biases do not move", ("x0; y0 = out(x0, 1)", (1,), (1,), (1,)), growth=weights_only)
perturbation_box.mutant(
    "half of rho",
    ("x0; y0 = out(x0)", (1,), (1,), (1,)),
    growth=lambda net, rho, box: library(net, [r * Fraction(1, 2) for r in rho], box),
)
perturbation_box.mutant(
    "half of rho, for shrinking parameters",
    ("x0; y0 = out(x0)", (1,), (1,), (1,)),
    shrinkage=lambda net, rho, box: library_shrinking(net, [r * Fraction(1, 2) for r in rho], box),
)
