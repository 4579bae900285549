"""The q-th power of the path-norm is log-convex in q, and the path-norm itself does not increase."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.parts import exponents
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.variants import at_outputs

Power = Callable[[Network, int], Any]


def norm_power(net: Network, q: int) -> Any:
    """The library's S_q; S_0 is the number of non-zero paths."""
    return pg.path_norm(net, q, root=False)


@theorem(
    statement=(
        "With S_q = sum |Phi_p|**q: S_q**2 <= S_{q-1} S_{q+1}, and S_{q+1}**q <= S_q**(q+1), that is, "
        "log S_q is convex in q and the q-norm does not increase."
    ),
    latex=r"S_q^2\le S_{q-1}S_{q+1},\quad \|\Phi\|_{q+1}\le\|\Phi\|_q,\quad S_q=\|\Phi\|_q^q",
    hypotheses="q >= 1 an integer; S_0 counts the non-zero paths",
    source=DERIVED,
    instances=drawn(exponents),
    constant=1,
)
def log_convexity_in_q(net: Network, q: int, *, norm_power: Power = norm_power) -> Inequality:
    """Compare powers of three neighbouring S_q."""
    below, here, above = (Fraction(norm_power(net, p)) for p in (q - 1, q, q + 1))
    return Inequality((here**2, above**q), (below * above, here ** (q + 1)))


def late_pooling_factor(net: Network, q: int) -> Any:
    """Structural weights at power 1 in the sweep, corrected after the root by their (q - 1)-th power."""
    sums = at_outputs(net, lambda w, data: abs(w) ** (q if data.get("role") != "structural" else 1))
    total = sum(sums, Fraction(0))
    for _, _, data in net.graph.edges(data=True):
        if data.get("role") == "structural":
            return total * abs(data["weight"]) ** (q * (q - 1))
    return total


log_convexity_in_q.mutant(
    "the root instead of the power",
    ("x0; y0 = out(x0); y1 = out(x0)", 1),
    norm_power=lambda net, q: pg.path_norm(net, max(q, 1)),
)
log_convexity_in_q.mutant(
    "the largest product instead of the sum",
    ("x0; y0 = out(1/4*x0)", 1),
    norm_power=lambda net, q: norm_power(net, q) if q == 1 else pg.path_norm(net, float("inf")),
)
log_convexity_in_q.mutant(
    "signed sums",
    ("x0 x1; y0 = out(-1*x0, x1)", 1),
    norm_power=lambda net, q: pg.path_sum(net.map_values(lambda w: w**q)),
)
log_convexity_in_q.mutant(
    "pooling weights are powered after the root", ("x0; y0 = out(2*x0!)", 1), norm_power=late_pooling_factor
)
log_convexity_in_q.mutant(
    "S_0 is 1", ("x0; y0 = out(x0); y1 = out(x0)", 1), norm_power=lambda net, q: norm_power(net, q) if q else 1
)
