"""The logarithm of the path-norm, at scales no float reaches."""

from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction
from math import inf

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.parts import ROUNDOFF, exponents
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem

PRECISE = Context(prec=60)


def logarithm(value: Fraction) -> tuple[Fraction, Fraction]:
    """The natural logarithm of a positive rational to 50 digits, and the sum of those of its two integers."""
    over, under = (Fraction(PRECISE.ln(Decimal(n))) for n in (value.numerator, value.denominator))
    return over - under, over + under


def log_path_norm(net: Network, q: int) -> float:
    """The library's logarithm."""
    return float(pg.log_path_norm(net, q))


@theorem(
    statement=(
        "log_path_norm is the natural logarithm of the q-th root of a/b = sum |Phi_p|**q, up to 5 u (1 + ln a + ln b), "
        "u the unit round-off."
    ),
    latex=r"\log\|\Phi(\theta)\|_q=\tfrac1q\log\tilde R_{|\theta|^q}(\mathbf 1)",
    hypotheses="an exact network, weights as large as 2**2000 or as small as 2**-2000; the logarithm of 0 is -inf",
    source=DERIVED,
    instances=drawn(exponents, st.sampled_from((0, 1, -1, 60, -60, 2000, -2000))),
    constant=1,
)
def logarithm_of_the_path_norm(
    net: Network, q: int, scale: int, *, log_norm: Callable[[Network, int], float] = log_path_norm
) -> Inequality:
    """Compare the float with a logarithm of 50 digits.

    With a/b = m 2**e, L = ln m + e ln 2 and |ln m| <= ln 2, the units of round-off are 1 for m, 2 ln 2 for its
    logarithm, 2 (|L| + ln 2) for ln 2 and the product with e, 2 |L| for sum and quotient: in all less than
    5 (1 + |L|), and |L| <= ln a + ln b.
    """
    scaled = net.map_values(lambda values: values * Fraction(2) ** scale)
    power = Fraction(pg.path_norm(scaled, q, root=False))
    found = log_norm(scaled, q)
    if power == 0 or found == -inf:
        return Inequality(int((power == 0) != (found == -inf)), 0)
    exact, size = logarithm(power)
    return Inequality(abs(Fraction(found) - exact / q), 5 * ROUNDOFF * (1 + size))


logarithm_of_the_path_norm.mutant(
    "the root is forgotten", ("x0; y0 = out(x0)", 2, 1), log_norm=lambda net, q: pg.log_path_norm(net, q) * q
)
logarithm_of_the_path_norm.mutant(
    "the logarithm is binary",
    ("x0; y0 = out(x0)", 1, 1),
    log_norm=lambda net, q: pg.log_path_norm(net, q) * 1.4426950408889634,
)
logarithm_of_the_path_norm.mutant(
    "the sum is replaced by its largest term",
    ("x0; y0 = out(x0, 1)", 1, 0),
    log_norm=lambda net, q: pg.log_path_norm(net, inf),
)
