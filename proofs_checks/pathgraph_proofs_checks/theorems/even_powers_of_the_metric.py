"""The l2 metric in three sweeps, and every even power in q + 1 of them, whatever the signs."""

from collections.abc import Callable
from fractions import Fraction
from math import comb
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.pairs import Factors, any_signs, moved, powers, summed, untied, valued
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.variants import at_outputs, kth_largest

Powers = Callable[[Network, Network, int], Any]


def library(net: Network, other: Network, q: int) -> Any:
    """The library's sums of q-th powers."""
    return pg.path_metric(net, other, q=q, root=False, per_output=True).upper


@theorem(
    statement=(
        "The sum over the paths of (Phi_p - Phi'_p)**q, q even, is the alternating binomial sum of q + 1 signed "
        "sweeps over the network that treats every neuron as an identity, with the entries w**(q-k) w'**k."
    ),
    latex=(
        r"\sum_{p\in\mathcal P^v}|\Phi_p-\Phi'_p|^q=\sum_{k=0}^q(-1)^k\binom qk\,"
        r"\bar R_{\theta^{q-k}\odot\theta'^k}(\mathbf 1)_v,\quad q\text{ even}"
    ),
    hypotheses="any DAG, any signs",
    source=DERIVED,
    instances=drawn(any_signs, st.sampled_from([2, 4])),
    networks=untied,
    needs=("no ties",),
    enumerates=True,
)
def even_powers_of_the_metric(net: Network, factors: Factors, q: int, *, found: Powers = library) -> Equality:
    """Compare the sweeps with an enumeration."""
    other = moved(net, factors)
    return Equality(found(net, other, q), summed(net, other, powers(q)))


def binomial(
    net: Network,
    other: Network,
    q: int,
    *,
    sign: int = -1,
    size: Callable[[Fraction], Fraction] = lambda w: w,
    **choices: Any,
) -> list[Fraction]:
    """The formula with choices changed."""
    totals = [Fraction(0)] * len(net.outputs)
    for k in range(q + 1):
        both = valued(net, [size(a ** (q - k) * b**k) for a, b in zip(net.values, other.values, strict=True)])
        swept = at_outputs(both, lambda w, data: w, **choices)
        totals = [t + sign**k * comb(q, k) * s for t, s in zip(totals, swept, strict=True)]
    return totals


even_powers_of_the_metric.mutant(
    "odd powers likewise",
    ("x0; y0 = out(x0)", (2,), 1),
    instances=drawn(any_signs, st.sampled_from([1, 3])),
    found=binomial,
)
even_powers_of_the_metric.mutant(
    "absolute values in the mixed sweeps",
    ("x0; y0 = out(x0)", (-1,), 2),
    found=lambda net, other, q: binomial(net, other, q, size=abs),
)
even_powers_of_the_metric.mutant(
    "no alternating sign", ("x0; y0 = out(x0)", (1,), 2), found=lambda net, other, q: binomial(net, other, q, sign=1)
)
even_powers_of_the_metric.mutant(
    "pools keep their rank",
    ("x0; h0 = id(x0); h1 = pool2(x0, h0); y0 = out(h1)", (-1,), 2),
    found=lambda net, other, q: binomial(net, other, q, pool=kth_largest),
)
even_powers_of_the_metric.mutant(
    "the difference of the powers of the norms",
    ("x0; y0 = out(x0)", (-1,), 2),
    found=lambda net, other, q: [
        abs(a - b)
        for a, b in zip(*(pg.path_norm(n, q=q, root=False, per_output=True) for n in (net, other)), strict=True)
    ],
)
