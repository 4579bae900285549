"""In floats, the sweep of a path-norm has a small relative error that is known in advance."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.parts import relative, roundings
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem


def path_norms(net: Network) -> Any:
    """The library's norms of the outputs."""
    return pg.path_norm(net, per_output=True)


@theorem(
    statement=(
        "In float64 the path-norm of every output has relative error at most n u / (1 - n u), n the sum over the "
        "levels of (largest fan-in + 1), u = 2**-53: all terms are non-negative, so nothing cancels."
    ),
    latex=r"|\widehat{S_v}-S_v|\le\frac{nu}{1-nu}S_v,\qquad n=\sum_{\text{levels}}(\text{fan-in}+1)",
    hypotheses="no overflow or underflow; q = 1; float64",
    source=DERIVED,
    instances=drawn(st.sampled_from((3, 5, 7, 10))),
    constant=1,
)
def float_sweep_error(
    net: Network,
    divisor: int,
    *,
    sums: Callable[[Network], Any] = path_norms,
    bound: Callable[[Network], Fraction] = lambda net: relative(roundings(net)),
) -> Inequality:
    """Compare the error of the float sweep with the bound; the divisor gives the weights a full mantissa."""
    rounded = net.map_values(lambda values: values / divisor).to_float()
    exact = [Fraction(s) for s in sums(rounded.to_exact())]
    found = [Fraction(s) for s in sums(rounded).tolist()]
    errors = [abs(a - b) for a, b in zip(found, exact, strict=True)]
    return Inequality(errors, [bound(net) * abs(s) for s in exact])


float_sweep_error.mutant("floats are exact", ("x0; h0 = id(x0); y0 = out(h0)", 3), bound=lambda net: Fraction(0))
float_sweep_error.mutant(
    "one rounding in all", ("x0 x1; h0 = id(x0, 3/4*x1); h1 = id(h0); y0 = out(h1)", 3), bound=lambda net: relative(1)
)
float_sweep_error.mutant(
    "signed sums, too",
    ("x0; h0 = id(x0); h1 = id(x0); h2 = id(x0); y0 = out(-1*x0, h0, h1, h2)", 3),
    sums=lambda net: pg.path_sum(net, per_output=True),
)
