"""The squared norm of the parameters is convex along an orbit, its slope being the conserved quantities."""

from collections.abc import Callable, Hashable
from fractions import Fraction
from typing import Any

from pathgraph import Network
from pathgraph.testing import rescalings
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags
from pathgraph_proofs_checks.variants import rescaled

LOG_2 = Fraction(693147180559, 10**12), Fraction(693147180560, 10**12)
"""A lower and an upper bound of the natural logarithm of 2."""


def excess(net: Network, v: Hashable, *, bias: bool = True) -> Fraction:
    """Squared incoming weights and bias, less squared outgoing weights."""
    into = sum((w * w for _, _, w in net.graph.in_edges(v, data="weight")), Fraction(0))
    out = sum((w * w for _, _, w in net.graph.out_edges(v, data="weight")), Fraction(0))
    return into - out + (Fraction(net.bias(v) or 0) ** 2 if bias else 0)


def slope(net: Network, factors: dict[Hashable, Fraction], *, bias: bool = True, sign: int = 1) -> Fraction:
    """A lower bound of twice the sum of log(lam_v) h_v, for factors that are powers of two."""
    total = sum((sign * _exponent(lam) * excess(net, v, bias=bias) for v, lam in factors.items()), Fraction(0))
    return 2 * total * LOG_2[total < 0]


def _exponent(lam: Any) -> int:
    return int(lam).bit_length() - 1 if lam >= 1 else 1 - int(1 / lam).bit_length()


@theorem(
    statement=(
        "The squared Euclidean norm of the parameters grows under a rescaling by at least twice the sum of log(lam_v) "
        "h_v, where h_v is |incoming|^2 + bias^2 - |outgoing|^2. So a network whose h_v are all zero is a shortest "
        "one of its orbit, and the only one up to what changes no parameter."
    ),
    latex=r"\|\lambda\diamond\theta\|^2-\|\theta\|^2\ge2\sum_v\log(\lambda_v)\,h_v",
    hypotheses="nothing fixed or tied; lam powers of two, log 2 being enclosed in an interval",
    source=DERIVED,
    instances=drawn(rescalings),
    networks=relu_dags(roles=["parameter"], ties=False),
    needs=("no ties", "nothing fixed"),
)
def energy_along_an_orbit(
    net: Network, factors: dict[Hashable, Fraction], *, slope: Callable[[Network, Any], Fraction] = slope
) -> Inequality:
    """Compare the growth of the squared norm with the slope."""
    growth = sum(rescaled(net, factors).theta ** 2) - sum(net.theta**2)
    return Inequality(slope(net, factors), growth)


energy_along_an_orbit.mutant(
    "the bias is left out",
    ("x0; h0 = id(x0, 4); y0 = out(h0)", {"h0": "1/2"}),
    slope=lambda net, lam: slope(net, lam, bias=False),
)
energy_along_an_orbit.mutant(
    "outgoing less incoming",
    ("x0; h0 = id(2*x0); y0 = out(h0)", {"h0": "1/2"}),
    slope=lambda net, lam: slope(net, lam, sign=-1),
)
energy_along_an_orbit.mutant(
    "six times the sum", ("x0; h0 = id(x0); y0 = out(0*h0)", {"h0": 2}), slope=lambda net, lam: 3 * slope(net, lam)
)
energy_along_an_orbit.mutant(
    "rescaling changes no norm",
    ("x0; h0 = id(2*x0); y0 = out(h0)", {"h0": "1/2"}),
    slope=lambda net, lam: abs(slope(net, lam)),
)
