"""Pools may take the largest candidate of a Lipschitz sweep, whatever their rank: the max-pass."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import inputs
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.parts import Input, pooling_dags
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.variants import at_outputs, kth_largest, power

Bound = Callable[[Network, Input], Any]


def max_pass(net: Network, widths: Input) -> Any:
    """The library's bound over a box."""
    return pg.input_lipschitz(net, method="max-pass", inputs=widths, per_output=True)


@theorem(
    statement=(
        "|R_v(x) - R_v(x')| is at most the output v of the sweep with |theta|, zero biases, |x - x'| as input and "
        "every pool, whatever its rank, replaced by the maximum."
    ),
    latex=r"|R_v(x)-R_v(x')|\le L^{\max}_v(|x-x'|),\quad L_v=\max_u|\theta^{u\to v}|L_u\text{ at pools}",
    hypotheses="any DAG of identity, ReLU and k-max-pool neurons; a pool is 1-Lipschitz for the largest difference",
    source=DERIVED,
    instances=drawn(inputs, inputs),
    networks=pooling_dags,
    constant=1,
)
def lipschitz_by_max_pass(net: Network, x: Input, y: Input, *, bound: Bound = max_pass) -> Inequality:
    """Compare the change of each output with the bound."""
    return Inequality(abs(net(x) - net(y)), bound(net, [abs(a - b) for a, b in zip(x, y, strict=True)]))


def swept(**choices: Any) -> Bound:
    """The bound by a sweep with some choices changed."""

    def bound(net: Network, widths: Input) -> list[Fraction]:
        start = dict(zip(net.inputs, widths, strict=True))
        right: dict[str, Any] = {"edge": power(1), "bias": lambda b, data: 0, "pool": lambda terms, rank: max(terms)}
        return at_outputs(net, start=start, **(right | choices))

    return bound


lipschitz_by_max_pass.mutant(
    "pools keep their rank",
    ("x0; h0 = id(0*x0); h1 = pool2(x0, h0); y0 = out(h1)", (1,), (-1,)),
    bound=swept(pool=kth_largest),
)
lipschitz_by_max_pass.mutant(
    "pools take the mean",
    ("x0 x1; h0 = pool2(x0, x1); y0 = out(h0)", (1, 1), (1, -1)),
    bound=swept(pool=lambda terms, rank: sum(terms) / Fraction(len(terms))),
)
lipschitz_by_max_pass.mutant(
    "every neuron takes the maximum",
    ("x0 x1 x2 x3; y0 = out(x2, x3)", (1, 1, 1, 1), (0, 0, 0, 0)),
    bound=swept(join=max),
)
lipschitz_by_max_pass.mutant(
    "weights into pools count as 1",
    ("x0; h0 = id(2*x0); y0 = out(h0)", (1,), (-1,)),
    bound=lambda net, widths: swept(edge=lambda w, data: min(abs(w), Fraction(1)))(net, widths),
)
