"""What weight decay does to what gradient flow conserves: it forgets it, at a rate that no loss changes."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from pathgraph import Network
from pathgraph.testing import dyadics, inputs
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.jacobians import output_jacobian
from pathgraph_proofs_checks.parts import Input
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import filtered, relu_dags
from pathgraph_proofs_checks.theorems.drift_of_a_gradient_step import conserved, drift, has_laws, slopes, steps

Rule = Callable[[Fraction, Fraction], Fraction]


def decayed_parameters(net: Network) -> list[Any]:
    """All of them, biases included."""
    return list(net.theta)


def weights_only(net: Network) -> list[Any]:
    """Wrong: biases do not decay."""
    biases = {int(i) for i in net.architecture.parameter[net.architecture.n_edges :]}
    return [Fraction(0) if i in biases else w for i, w in enumerate(net.theta)]


@theorem(
    statement=(
        "A step theta - eta (g + mu theta) of gradient descent with weight decay turns each conserved quantity h, the "
        "sum of c_i theta_i^2, into (1 - eta mu)^2 h plus eta^2 times the sum of c_i g_i^2. In the limit of small "
        "steps the derivative of h is -2 mu h, whatever the loss."
    ),
    latex=r"h\big(\theta-\eta(g+\mu\theta)\big)=(1-\eta\mu)^2\,h(\theta)+\eta^2\sum_ic_i\,g_i^2,\qquad\dot h=-2\mu h",
    hypotheses="any loss of the outputs on one input (sums over inputs are alike); biases decay, too",
    source=DERIVED,
    instances=drawn(inputs, slopes, steps, dyadics()),
    networks=filtered(has_laws, relu_dags(max_hidden=4)),
    on_network=0,
)
def decay_of_conserved_quantities(
    net: Network,
    x: Input,
    slope: tuple[Fraction, ...],
    rate: Fraction,
    decay: Fraction,
    *,
    factor: Rule = lambda rate, decay: (1 - rate * decay) ** 2,
    decayed: Callable[[Network], list[Any]] = decayed_parameters,
) -> Equality:
    """Make the step, and compare what is conserved afterwards with the formula."""
    rows = output_jacobian(net, x)
    gradient = [
        sum((s * row[i] for s, row in zip(slope, rows, strict=True)), Fraction(0)) for i in range(len(net.theta))
    ]
    steps = [g + decay * w for g, w in zip(gradient, decayed(net), strict=True)]
    moved = net.with_theta([w - rate * step for w, step in zip(net.theta, steps, strict=True)])
    kept = [factor(rate, decay) * h for h in conserved(net)]
    return Equality(conserved(moved), [h + d for h, d in zip(kept, drift(net, gradient, rate), strict=True)])


decay_of_conserved_quantities.mutant(
    "it stays", ("x0; h0 = id(x0); y0 = out(0*h0)", (0,), (1,), 1, 1), factor=lambda rate, decay: Fraction(1)
)
decay_of_conserved_quantities.mutant(
    "the factor to the first power",
    ("x0; h0 = id(x0); y0 = out(0*h0)", (0,), (1,), 1, -1),
    factor=lambda rate, decay: 1 - rate * decay,
)
decay_of_conserved_quantities.mutant(
    "twice the decay, in one step",
    ("x0; h0 = id(x0); y0 = out(0*h0)", (0,), (1,), 1, 1),
    factor=lambda rate, decay: 1 - 2 * rate * decay,
)
decay_of_conserved_quantities.mutant(
    "biases do not decay",
    ("x0; h0 = id(0*x0, 1); y0 = out(0*h0)", (0,), (1,), 1, 1),
    decayed=weights_only,
)
