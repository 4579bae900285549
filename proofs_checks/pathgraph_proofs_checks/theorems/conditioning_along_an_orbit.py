"""How well the path-lifting is conditioned, as far as the diagonal tells, is log-convex along an orbit."""

from collections.abc import Callable, Hashable
from fractions import Fraction
from math import floor

from pathgraph import Network
from pathgraph.testing import rescalings
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.conditioning import diagonal, sides, slope, spread
from pathgraph_proofs_checks.jacobians import without_zeros
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import mapped, relu_dags
from pathgraph_proofs_checks.variants import rescaled

ROOT = 16
"""Powers of two with rational exponents are rounded down to the next sixteenth root of an integer power."""


@theorem(
    statement=(
        "Let g be the diagonal of the Gram matrix of the Jacobian of the path-lifting, over the n parameters on paths, "
        "and s = (sum of g / n)^n / product of g. Then s(lam * theta) is at least s(theta) times the product of "
        "lam_v^(2 d_v), where d_v = n (out - in) / total - (#out - #in) from the sums of g over outgoing and incoming "
        "parameters of v, and their numbers: log s is convex along an orbit, with this slope. So a network with all "
        "d_v = 0 is one of the best conditioned of its orbit."
    ),
    latex=r"s(\lambda\diamond\theta)\ge s(\theta)\prod_v\lambda_v^{2d_v},\quad "
    r"d_v=n\,\frac{g^{v\to}-g^{\to v}}{\sum g}-(\#^{v\to}-\#^{\to v})",
    hypotheses="no parameter is zero, nothing fixed or tied; lam powers of two, the right side is rounded down",
    source=f"{DERIVED}; the objective is that of arXiv:2602.19799",
    instances=drawn(rescalings),
    networks=mapped(without_zeros, relu_dags(max_hidden=4, roles=["parameter"], ties=False)),
    on_network=0,
    constant=1,
)
def conditioning_along_an_orbit(
    net: Network, factors: dict[Hashable, Fraction], *, slope: Callable[..., Fraction] = slope
) -> Inequality:
    """Compare the growth of the spread with the tangent."""
    g = diagonal(net)
    if not any(g):
        return Inequality(0, 0)
    found = sides(net, g)
    exponent = sum((2 * _exponent(lam) * slope(g, found, v) for v, lam in factors.items()), start=Fraction(0))
    growth = spread(diagonal(rescaled(net, factors))) / spread(g)
    return Inequality(Fraction(2) ** floor(ROOT * exponent), growth**ROOT)


def _exponent(lam: Fraction) -> int:
    return Fraction(lam).numerator.bit_length() - Fraction(lam).denominator.bit_length()


conditioning_along_an_orbit.mutant(
    "the numbers of parameters are left out",
    ("x0; h0 = id(4*x0); y0 = out(1/4*h0); y1 = out(1/4*h0)", {"h0": 2}),
    slope=lambda *of: slope(*of, counts=False),
)
conditioning_along_an_orbit.mutant(
    "the bias is left out",
    ("x0; h0 = id(4*x0, 4); y0 = out(1/4*h0)", {"h0": "1/2"}),
    slope=lambda *of: slope(*of, bias=False),
)
conditioning_along_an_orbit.mutant(
    "incoming less outgoing",
    ("x0; h0 = id(x0); y0 = out(1/4*h0)", {"h0": "1/2"}),
    slope=lambda *of: -slope(*of),
)
conditioning_along_an_orbit.mutant(
    "twice the slope",
    ("x0; h0 = id(4*x0); y0 = out(1/4*h0)", {"h0": 2}),
    slope=lambda *of: 2 * slope(*of),
)
