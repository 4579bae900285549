"""All networks of an orbit have one path-conditioned representative, and the library finds it."""

from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import rescalings
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.conditioning import diagonal, parted, sides, slope
from pathgraph_proofs_checks.jacobians import without_zeros
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import mapped, relu_dags
from pathgraph_proofs_checks.variants import rescaled

Factors = dict[Hashable, Fraction]
TOLERANCE = Fraction(1, 2**38)
"""Four times the residual with which the library is content: the factors are rounded once more."""


def conditioning(net: Network) -> Factors:
    """The library's factors, as the rational numbers that these floats are."""
    return {v: Fraction(lam) for v, lam in pg.path_condition(net.to_float()).factors.items()}


def slopes(net: Network, g: Sequence[Fraction]) -> dict[Hashable, tuple[Fraction, Fraction]]:
    """For each hidden neuron n (out - in) / total - (#out - #in), and the sum of the sizes of these terms."""
    places = sides(net, g)
    found = {}
    for v in net.hidden:
        terms = [value for side in parted(g, places, v) for value in side]
        found[v] = slope(g, places, v), len(places) * sum(terms, Fraction(0)) / sum(g) + len(terms)
    return found


@theorem(
    statement=(
        "Two networks of an orbit differ by no more than they miss stationarity: with b = lam * a, p and q the shares "
        "of the parameters in the diagonal g, and d_v = n (out - in) / total - (#out - #in), n times the sum of "
        "(p_i - q_i)^2 / max(p_i, q_i) is at most twice the sum of |log lam_v| (|d_v(a)| + |d_v(b)|). So stationary "
        "networks share the shares. What the library conditions is stationary up to its tolerance."
    ),
    latex=r"n\sum_i\frac{(p_i-q_i)^2}{\max(p_i,q_i)}\le2\sum_v|\log\lambda_v|\,(|d_v(a)|+|d_v(b)|)",
    hypotheses="no parameter is zero, nothing fixed or tied; logarithms bounded by rational functions",
    source=f"{DERIVED}; the objective is that of arXiv:2602.19799",
    instances=drawn(rescalings),
    networks=mapped(without_zeros, relu_dags(max_hidden=4, roles=["parameter"], ties=False)),
    on_network=0,
)
def path_conditioned_representative(
    net: Network, factors: Factors, *, conditioning: Callable[[Network], Factors] = conditioning
) -> Inequality:
    """Condition a network and a rescaling of it, compare both, and look at each neuron's slope."""
    other = rescaled(net, factors)
    first, second = conditioning(net), conditioning(other)
    a, b = rescaled(net, first), rescaled(other, second)
    of_a, of_b = diagonal(a), diagonal(b)
    if not any(of_a):
        return Inequality(0, 0)
    p, q = ([value / sum(g) for value in g] for g in (of_a, of_b))
    n = sum(map(bool, p))
    difference = n * sum(((x - y) ** 2 / max(x, y) for x, y in zip(p, q, strict=True) if x), Fraction(0))
    bound, gaps, sizes = Fraction(0), [], []
    slopes_b = slopes(b, of_b)
    for v, (slope_a, size) in slopes(a, of_a).items():
        lam = Fraction(factors[v]) * second.get(v, 1) / first.get(v, 1)
        gap = abs(slope_a) + abs(slopes_b[v][0])
        bound += 2 * (max(lam, 1 / lam) - 1) * gap
        gaps.append(gap)
        sizes.append(TOLERANCE * (size + slopes_b[v][1]))
    return Inequality([difference, *gaps], [bound, *sizes])


def balancing(net: Network) -> Factors:
    """The factors of the balanced network."""
    return {v: Fraction(lam) for v, lam in pg.balance(net.to_float()).factors.items()}


path_conditioned_representative.mutant(
    "as it is", ("x0; h0 = id(x0, 1); y0 = out(h0)", {"h0": 1}), conditioning=lambda net: {}
)
path_conditioned_representative.mutant(
    "the balanced network is conditioned",
    ("x0; h0 = id(x0); y0 = out(h0); y1 = out(x0, h0)", {"h0": 1}),
    conditioning=balancing,
)
path_conditioned_representative.mutant(
    "the inverse factors",
    ("x0; h0 = id(x0, 1); y0 = out(h0)", {"h0": 1}),
    conditioning=lambda net: {v: 1 / lam for v, lam in conditioning(net).items()},
)
path_conditioned_representative.mutant(
    "the square of the factors",
    ("x0; h0 = id(x0, 1); y0 = out(h0)", {"h0": 1}),
    conditioning=lambda net: {v: lam**2 for v, lam in conditioning(net).items()},
)
