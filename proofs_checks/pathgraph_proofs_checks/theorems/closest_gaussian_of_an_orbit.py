"""All Gaussian laws of an orbit have one closest law to a centred prior, and the library finds it."""

from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import rescalings
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.parts import MAX_PATHS, entries_on
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags
from pathgraph_proofs_checks.variants import rescaled

Factors = dict[Hashable, Fraction]
Closest = Callable[[Network, Sequence[Any], Sequence[Any]], Factors]
TOLERANCE = Fraction(1, 2**38)
"""The gradient relative to its terms; the library ends with some units of round-off, and the factors are rounded."""


def deviations(net: Network) -> SearchStrategy[Sequence[Fraction]]:
    """Standard deviations of the parameters."""
    return st.lists(st.integers(1, 6).map(Fraction), min_size=len(net.theta), max_size=len(net.theta))


def closest(net: Network, means: Sequence[Any], stds: Sequence[Any]) -> Factors:
    """The library's factors, as the rational numbers that these floats are."""
    law = pg.Gaussian([float(m) for m in means], [float(s) for s in stds])
    found = pg.closest_gaussian(net.to_float(), law, pg.Gaussian(0.0, [1.0] * len(law)))
    return {v: Fraction(lam) for v, lam in found.factors.items()}


def weights(net: Network, means: Network, stds: Network) -> dict[Any, Fraction]:
    """For each parameter on a path, the sum of its squared mean and deviation."""
    structure = net.architecture
    paths = pg.path_lifting(net, max_paths=MAX_PATHS).paths
    used = {structure.entry_name(e) for path in paths for e in entries_on(net, path)}
    pairs = zip(means.theta.tolist(), stds.theta.tolist(), strict=True)
    return {p: m**2 + s**2 for p, (m, s) in zip(net.parameters, pairs, strict=True) if p in used}


def gradients(net: Network, energy: dict[Any, Fraction]) -> dict[Hashable, tuple[Fraction, Fraction]]:
    """For each hidden neuron: energy that enters minus energy that leaves minus the difference of their numbers."""
    found = {v: (Fraction(0), Fraction(0)) for v in net.hidden}
    biases = set(net.nodes)
    for p, w in energy.items():
        for v, sign in ((p, 1),) if p in biases else ((p[1], 1), (p[0], -1)):
            if v in found:
                value, size = found[v]
                found[v] = value + sign * (w - 1), size + w + 1
    return found


@theorem(
    statement=(
        "Two laws of an orbit, both closest to N(0, 1), differ only as far as their gradients are not zero: the sum of "
        "2 min(w, w') (1 - S/L)^2 is at most the sum of |log lam_v| (|g_v| + |g'_v|), where w, w' are s^2 + mu^2 and "
        "S/L the ratio of the factors. The laws that the library finds have no gradient, up to its tolerance."
    ),
    latex=r"2\sum_i\min(w_i,w_i')\log^2\tfrac{d_i'}{d_i}\le\sum_v|\log\lambda_v|\,(|g_v|+|g'_v|),\quad "
    r"g_v=\sum_{in}w-\sum_{out}w-(\#in-\#out)",
    hypotheses="nothing fixed or tied; parameters on paths; logarithms bounded by rational functions",
    source=DERIVED,
    instances=drawn(deviations, rescalings),
    networks=relu_dags(max_inputs=2, max_hidden=2, max_fan_in=3, roles=["parameter"], ties=False),
    on_network=0,
)
def closest_gaussian_of_an_orbit(
    net: Network, stds: Sequence[Fraction], factors: Factors, *, closest: Closest = closest
) -> Inequality:
    """Minimise from a law and from a rescaling of it; compare both sides, and each neuron's gradient."""
    mean, std = net, net.with_theta(list(stds))
    other_mean, other_std = rescaled(mean, factors), rescaled(std, factors)
    first = closest(net, mean.theta.tolist(), std.theta.tolist())
    second = closest(net, other_mean.theta.tolist(), other_std.theta.tolist())
    a = weights(net, rescaled(mean, first), rescaled(std, first))
    b = weights(net, rescaled(other_mean, second), rescaled(other_std, second))
    lam = {v: Fraction(factors[v]) * second.get(v, 1) / first.get(v, 1) for v in net.hidden}
    ratio = dict.fromkeys(net.nodes, Fraction(1)) | lam
    distance = Fraction(0)
    for p in a:
        moved = ratio[p] if p in ratio else ratio[p[1]] / ratio[p[0]]
        distance += 2 * min(a[p], b[p]) * (1 - min(moved, 1 / moved)) ** 2
    bound, gaps, sizes = Fraction(0), [], []
    at_b = gradients(net, b)
    for v, (value, size) in gradients(net, a).items():
        gap = abs(value) + abs(at_b[v][0])
        bound += (max(lam[v], 1 / lam[v]) - 1) * gap
        gaps.append(gap)
        sizes.append(TOLERANCE * (size + at_b[v][1]))
    return Inequality([distance, *gaps], [bound, *sizes])


def equalizing(net: Network, means: Sequence[Any], stds: Sequence[Any]) -> Factors:
    """The factors that make what enters a neuron equal to what leaves it, as if the numbers did not matter."""
    sizes = [(float(m) ** 2 + float(s) ** 2) ** 0.5 for m, s in zip(means, stds, strict=True)]
    return {v: Fraction(lam) for v, lam in pg.balance(net.to_float().with_theta(sizes)).factors.items()}


closest_gaussian_of_an_orbit.mutant(
    "as it is",
    ("x0; h0 = id(x0); y0 = out(h0)", (2, 1), {"h0": 1}),
    closest=lambda net, means, stds: {},
)
closest_gaussian_of_an_orbit.mutant(
    "the deviations do not count",
    ("x0; h0 = id(x0); y0 = out(h0)", (2, 1), {"h0": 1}),
    closest=lambda net, means, stds: closest(net, means, [2**-10] * len(stds)),
)
closest_gaussian_of_an_orbit.mutant(
    "the means do not count",
    ("x0; h0 = id(2*x0); y0 = out(h0)", (1, 1), {"h0": 1}),
    closest=lambda net, means, stds: closest(net, [0] * len(means), stds),
)
closest_gaussian_of_an_orbit.mutant(
    "the numbers of parameters do not count",
    ("x0; h0 = id(x0, 1); y0 = out(h0)", (1, 1, 1), {"h0": 1}),
    closest=equalizing,
)
closest_gaussian_of_an_orbit.mutant(
    "only ReLU neurons are rescaled",
    ("x0; h0 = id(x0); y0 = out(h0)", (2, 1), {"h0": 1}),
    closest=lambda net, means, stds: {
        v: lam for v, lam in closest(net, means, stds).items() if net.graph.nodes[v]["activation"] == "relu"
    },
)
