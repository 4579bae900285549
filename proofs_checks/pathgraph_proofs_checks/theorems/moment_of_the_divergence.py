"""The exponential moment behind the PAC-Bayes inequality: exp(n kl) has mean at most 2 sqrt(n)."""

from collections.abc import Callable
from fractions import Fraction
from math import comb

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.registry import Networks, theorem

MAURER = "Maurer, A note on the PAC Bayesian theorem, arXiv:cs/0411099"


def instances(networks: Networks) -> SearchStrategy[tuple[int, Fraction]]:
    """A sample size, and the probability of an error."""
    return st.tuples(st.integers(1, 40), st.integers(1, 7).map(lambda k: Fraction(k, 8)))


def exponential(hits: int, n: int, p: Fraction) -> Fraction:
    """exp(n kl(hits / n, p)), which is rational."""
    mean = Fraction(hits, n)
    return (mean / p) ** hits * ((1 - mean) / (1 - p)) ** (n - hits)


@theorem(
    statement=(
        "For n independent errors of probability p, the mean of exp(n kl(frequency, p)) is at most 2 sqrt(n). "
        "It is the sum of binom(n, k) (k/n)^k (1 - k/n)^(n - k), whatever p."
    ),
    latex=r"\mathbb E\,e^{n\,\mathrm{kl}(\hat p\|p)}=\sum_k\binom nk\Big(\frac kn\Big)^k\Big(1-\frac kn\Big)^{n-k}"
    r"\le2\sqrt n",
    hypotheses="losses 0 or 1; losses in [0, 1] have smaller moments, by convexity, which is not checked; n >= 1",
    source=MAURER,
    instances=instances,
    on_network=0,
    constant=1,
)
def moment_of_the_divergence(
    n: int,
    p: Fraction,
    *,
    exponential: Callable[[int, int, Fraction], Fraction] = exponential,
    bound: Callable[[int], int] = lambda n: 4 * n,
) -> Inequality:
    """Compare the squares, and the mean with the sum, from both sides."""
    mean = sum((comb(n, k) * p**k * (1 - p) ** (n - k) * exponential(k, n, p) for k in range(n + 1)), Fraction(0))
    free = sum((comb(n, k) * Fraction(k, n) ** k * Fraction(n - k, n) ** (n - k) for k in range(n + 1)), Fraction(0))
    return Inequality([mean**2, mean, free], [bound(n), free, mean])


moment_of_the_divergence.mutant("sqrt(n) instead of 2 sqrt(n)", (1, "1/8"), bound=lambda n: n)
moment_of_the_divergence.mutant("a bound that does not grow", (2, "1/8"), bound=lambda n: 4)
moment_of_the_divergence.mutant(
    "twice the divergence", (1, "1/8"), exponential=lambda k, n, p: exponential(k, n, p) ** 2
)
moment_of_the_divergence.mutant(
    "one sample more in the exponent",
    (1, "1/8"),
    exponential=lambda k, n, p: exponential(k, n, p) * (Fraction(1, 1) / p if k else 1 / (1 - p)),
)
