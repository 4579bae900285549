"""The divergence of a rescaled Gaussian from a centred one: its formula, and its convexity in the logarithms."""

from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.logarithms import log_above, log_below
from pathgraph_proofs_checks.registry import DERIVED, drawn, theorem
from pathgraph_proofs_checks.sizes import relu_dags
from pathgraph_proofs_checks.variants import rescaled

Factors = dict[Hashable, Fraction]
TOLERANCE = Fraction(1, 2**40)
"""Relative to the terms of the divergence: the library adds a few hundred units of round-off."""


def laws(net: Network) -> SearchStrategy[Sequence[Fraction]]:
    """Standard deviations of the parameters, whose means are those of the network; the prior has ones."""
    return st.lists(st.integers(1, 6).map(lambda k: Fraction(k, 2)), min_size=len(net.theta), max_size=len(net.theta))


def roots(net: Network) -> SearchStrategy[tuple[Factors, Factors]]:
    """Two square roots of factors, so that the geometric mean of the factors is rational."""
    factors = st.fixed_dictionaries({v: st.integers(1, 4).map(lambda k: Fraction(k, 2)) for v in net.hidden})
    return st.tuples(factors, factors)


def ratios(net: Network, factors: Factors) -> list[Fraction]:
    """What a rescaling multiplies each parameter by."""
    lam = dict.fromkeys(net.nodes, Fraction(1)) | factors
    biases = set(net.nodes)
    return [lam[p] if p in biases else lam[p[1]] / lam[p[0]] for p in net.parameters]


def squares(mean: Fraction, std: Fraction, ratio: Fraction) -> Fraction:
    """The part of twice the divergence that is no logarithm: of N(0, 1) from the rescaled law of a parameter."""
    return ratio**2 * (mean**2 + std**2) - 1


def midpoint(a: Factors, b: Factors) -> Factors:
    """The geometric mean of the squares."""
    return {v: a[v] * b[v] for v in a}


def library(mean: Any, std: Any) -> Fraction:
    """The library's upper bound on the divergence."""
    law = pg.Gaussian([float(m) for m in mean], [float(s) for s in std])
    return Fraction(pg.gaussian_kl(law, pg.Gaussian(0.0, [1.0] * len(law))))


@theorem(
    statement=(
        "KL(rescaled law, N(0, t^2)) = 1/2 sum (d^2 (s^2 + mu^2) / t^2 - 1 - log(d^2 s^2 / t^2)) is convex in log lam: "
        "at the geometric mean of two rescalings it is at most the mean, and the logarithms are linear. The library's "
        "divergence is an upper bound, and not larger than its tolerance allows."
    ),
    latex=r"KL(\lambda\diamond Q\|P)=\tfrac12\sum_i\Big(\tfrac{d_i^2(s_i^2+\mu_i^2)}{t_i^2}-1-\log\tfrac{d_i^2s_i^2}"
    r"{t_i^2}\Big),\quad d=\lambda_v/\lambda_u,\quad 2KL(\sqrt{\lambda\lambda'})\le KL(\lambda)+KL(\lambda')",
    hypotheses="a prior of mean 0, here t = 1; nothing fixed or tied; logarithms by rational bounds",
    source=DERIVED,
    instances=drawn(laws, roots),
    networks=relu_dags(max_inputs=2, max_hidden=2, max_fan_in=3, roles=["parameter"], ties=False),
    on_network=0,
)
def divergence_along_an_orbit(
    net: Network,
    stds: Sequence[Fraction],
    factors: tuple[Factors, Factors],
    *,
    ratios: Callable[[Network, Factors], list[Fraction]] = ratios,
    squares: Callable[[Fraction, Fraction, Fraction], Fraction] = squares,
    midpoint: Callable[[Factors, Factors], Factors] = midpoint,
    library: Callable[[Any, Any], Fraction] = library,
) -> Inequality:
    """Compare the algebraic parts and the products under the logarithms, and enclose the library's float."""
    a, b = factors
    ends = [{v: x**2 for v, x in one.items()} for one in factors]
    algebraic, determinants = [], []
    left, right = [], []
    for lam in (midpoint(a, b), *ends):
        d = ratios(net, lam)
        mean, std = (rescaled(net.with_theta(theta), lam).theta.tolist() for theta in (net.theta, list(stds)))
        total = sum(map(squares, net.theta.tolist(), stds, d), Fraction(0))
        direct = sum((m**2 + s**2 - 1 for m, s in zip(mean, std, strict=True)), Fraction(0))
        product = Fraction(1)
        for ratio in d:
            product *= ratio
        algebraic.append(total)
        determinants.append(product)
        left += [total, direct]
        right += [direct, total]
    middle, *others = determinants
    left += [2 * algebraic[0], middle**2, others[0] * others[1]]
    right += [algebraic[1] + algebraic[2], others[0] * others[1], middle**2]
    product = Fraction(1)
    for s in stds:
        product *= s
    plain = sum((m**2 + s**2 - 1 for m, s in zip(net.theta.tolist(), stds, strict=True)), Fraction(0)) / 2
    size = plain + len(stds) + 1 + abs(log_above(product))
    found = library(net.theta.tolist(), stds)
    left += [plain - log_above(product), found]
    right += [found, plain - log_below(product) + size * TOLERANCE]
    return Inequality(left, right)


divergence_along_an_orbit.mutant(
    "a prior of another mean",
    ("x0; h0 = id(x0); y0 = out(1*h0)", (1, 1), ({"h0": "1/2"}, {"h0": 2})),
    squares=lambda mean, std, ratio: ratio**2 * (mean**2 + std**2) - 2 * ratio * 4 * mean + 15,
)
divergence_along_an_orbit.mutant(
    "the arithmetic mean of the factors",
    ("x0; h0 = id(x0); y0 = out(1)", (1, 1), ({"h0": 1}, {"h0": 2})),
    midpoint=lambda a, b: {v: Fraction(a[v] ** 2 + b[v] ** 2) / 2 for v in a},
)
divergence_along_an_orbit.mutant(
    "biases are not rescaled",
    ("x0; h0 = id(x0, 1); y0 = out(h0)", (1, 1, 1), ({"h0": 1}, {"h0": 2})),
    ratios=lambda net, lam: [
        Fraction(1) if p in net.nodes else r for p, r in zip(net.parameters, ratios(net, lam), strict=True)
    ],
)
divergence_along_an_orbit.mutant(
    "only the means are rescaled",
    ("x0; h0 = id(x0); y0 = out(h0)", (1, 1), ({"h0": 1}, {"h0": 2})),
    squares=lambda mean, std, ratio: ratio**2 * mean**2 + std**2 - 1,
)
divergence_along_an_orbit.mutant(
    "the factors are not squared",
    ("x0; h0 = id(x0); y0 = out(h0)", (1, 1), ({"h0": 1}, {"h0": 2})),
    squares=lambda mean, std, ratio: ratio * (mean**2 + std**2) - 1,
)
divergence_along_an_orbit.mutant(
    "a divergence without the logarithm",
    ("x0; y0 = out(x0)", (2,), ({}, {})),
    library=lambda mean, std: sum((m**2 + s**2 - 1 for m, s in zip(mean, std, strict=True)), Fraction(0)) / 2,
)
