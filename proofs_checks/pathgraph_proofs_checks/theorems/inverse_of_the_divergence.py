"""The inversion of the divergence of two coins: never too small, and nearly as small as it can be."""

import math
from collections.abc import Callable
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import pathgraph as pg
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.logarithms import log_above
from pathgraph_proofs_checks.registry import DERIVED, Networks, theorem

Inverse = Callable[[float, float], float]
STEP = Fraction(1, 2**30)
"""How far the library may be above the largest p."""


def instances(networks: Networks) -> SearchStrategy[tuple[int, int, Fraction]]:
    """A successes of 2**k, and the number R whose logarithm over 2**k is the budget."""
    return st.integers(0, 5).flatmap(
        lambda k: st.tuples(
            st.integers(0, 2**k), st.just(k), st.tuples(st.integers(1, 64), st.integers(1, 8)).map(excess)
        )
    )


def excess(pair: tuple[int, int]) -> Fraction:
    """1 plus a fraction."""
    return 1 + Fraction(*pair)


def power(mean: Fraction, n: int, p: Fraction) -> Fraction:
    """exp(n kl(mean, p)), which is rational."""
    hits = int(mean * n)
    return (mean / p) ** hits * ((1 - mean) / (1 - p)) ** (n - hits)


def rounded_up(number: Fraction) -> float:
    """A float that is not smaller."""
    return math.nextafter(float(number), math.inf)


@theorem(
    statement=(
        "With q = a/n and a budget c >= log(R)/n, the library's p has exp(n kl(q, p)) >= R, which is "
        "(q/p)^a ((1-q)/(1-p))^(n-a): it is not below the largest p with kl(q, p) <= c. And p - 2^-30 is below that."
    ),
    latex=r"\Big(\frac qp\Big)^{a}\Big(\frac{1-q}{1-p}\Big)^{n-a}\ge R,\quad q=\frac an,\ p=\mathrm{kl}^{-1}"
    r"\Big(q,\tfrac{\log R}n\Big)",
    hypotheses="n a power of two, so that q is a float; R > 1 rational; p a float, taken as the rational it is",
    source=DERIVED,
    instances=instances,
    on_network=0,
)
def inverse_of_the_divergence(
    hits: int, bits: int, excess: Fraction, *, inverse: Inverse = pg.kl_inverse
) -> Inequality:
    """Compare exact powers."""
    n = 2**bits
    mean = Fraction(hits, n)
    p = Fraction(inverse(float(mean), rounded_up(log_above(excess) / n)))
    if p >= 1 or p <= mean:
        return Inequality(mean if hits == n else Fraction(1), p)
    below = max(mean, p - STEP)
    return Inequality(
        [excess, Fraction(1) if below == mean else power(mean, n, below)],
        [power(mean, n, p), excess * (1 + STEP)],
    )


def exchanged(mean: float, budget: float) -> float:
    """The largest p with kl(p, mean) <= budget."""
    if not 0 < mean < 1:
        return mean
    low, high = mean, 1.0
    for _ in range(100):
        p = (low + high) / 2
        first = p * math.log(p / mean)
        low, high = (p, high) if p == 1 or first + (1 - p) * math.log((1 - p) / (1 - mean)) <= budget else (low, p)
    return high


inverse_of_the_divergence.mutant(
    "the normal approximation",
    (1, 1, 2),
    inverse=lambda mean, budget: min(1.0, mean + (2 * mean * (1 - mean) * budget) ** 0.5),
)
inverse_of_the_divergence.mutant(
    "Pinsker's inequality: sound, but too large",
    (0, 0, 2),
    inverse=lambda mean, budget: min(1.0, mean + (budget / 2) ** 0.5),
)
inverse_of_the_divergence.mutant("the arguments are exchanged", (1, 2, 2), inverse=exchanged)
inverse_of_the_divergence.mutant(
    "rounded to six digits", (1, 1, 2), inverse=lambda mean, budget: math.floor(1e6 * pg.kl_inverse(mean, budget)) / 1e6
)
inverse_of_the_divergence.mutant(
    "half the budget", (0, 0, 2), inverse=lambda mean, budget: pg.kl_inverse(mean, budget / 2)
)
