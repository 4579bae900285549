"""By how much a step of gradient descent changes what gradient flow conserves."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import dyadics, inputs
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.jacobians import output_jacobian
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import filtered, relu_dags

Gradient = list[Any]


def slopes(net: Network) -> st.SearchStrategy[tuple[Fraction, ...]]:
    """The derivatives of a loss by the outputs, none of them zero."""
    return st.tuples(*(steps for _ in net.outputs))


def has_laws(net: Network) -> bool:
    """Whether gradient flow conserves anything: else there is nothing to compare."""
    return len(pg.conserved_quantities(net)) > 0


steps = dyadics().map(lambda number: number or Fraction(1))


def drift(net: Network, gradient: Gradient, rate: Fraction) -> Any:
    """The library's identity."""
    return pg.conserved_quantities(net).drift(gradient, rate) if len(net.theta) else []


def conserved(net: Network) -> Any:
    """The library's conserved quantities."""
    return pg.conserved_quantities(net).values.tolist()


@theorem(
    statement=(
        "A step theta - eta g along the gradient of a loss of the outputs changes each conserved quantity, the sum of "
        "c_i theta_i^2, by exactly eta^2 times the sum of c_i g_i^2."
    ),
    latex=r"h(\theta-\eta g)-h(\theta)=\eta^2\sum_i c_i\,g_i^2",
    hypotheses="any loss of the outputs on one input (sums over inputs are alike); fixed and tied values",
    source=DERIVED,
    instances=drawn(inputs, slopes, steps),
    networks=filtered(has_laws, relu_dags(max_hidden=4)),
    on_network=0,
)
def drift_of_a_gradient_step(
    net: Network,
    x: Input,
    slope: tuple[Fraction, ...],
    rate: Fraction,
    *,
    drift: Callable[[Network, Gradient, Fraction], Any] = drift,
    direction: Callable[[Network, Gradient], Gradient] = lambda net, gradient: gradient,
) -> Equality:
    """Make the step, and compare the change with the identity."""
    rows = output_jacobian(net, x)
    gradient = [
        sum((s * row[i] for s, row in zip(slope, rows, strict=True)), Fraction(0)) for i in range(len(net.theta))
    ]
    moved = net.with_theta([w - rate * d for w, d in zip(net.theta, direction(net, gradient), strict=True)])
    changes = [b - a for a, b in zip(conserved(net), conserved(moved), strict=True)]
    return Equality(changes, drift(net, gradient, rate))


drift_of_a_gradient_step.mutant(
    "nothing changes",
    ("x0; h0 = id(x0); y0 = out(0*h0)", (1,), (1,), 1),
    drift=lambda net, gradient, rate: [Fraction(0)] * len(conserved(net)),
)
drift_of_a_gradient_step.mutant(
    "the step to the first power",
    ("x0; h0 = id(x0); y0 = out(0*h0)", (1,), (1,), 2),
    drift=lambda net, gradient, rate: [rate * d for d in drift(net, gradient, Fraction(1))],
)
drift_of_a_gradient_step.mutant(
    "with weight decay",
    ("x0; h0 = id(x0); y0 = out(0*h0)", (1,), (1,), 1),
    direction=lambda net, gradient: [g + w for g, w in zip(gradient, net.theta, strict=True)],
)
drift_of_a_gradient_step.mutant(
    "a step along the signs of the gradient",
    ("x0 x1; h0 = id(x0, x1); y0 = out(h0)", (1, 1), (1,), 1),
    drift=lambda net, gradient, rate: drift(net, [Fraction((g > 0) - (g < 0)) for g in gradient], rate),
    direction=lambda net, gradient: [Fraction((g > 0) - (g < 0)) for g in gradient],
)
