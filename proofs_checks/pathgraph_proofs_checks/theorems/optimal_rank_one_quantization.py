"""The best quantization of a rank-one matrix is a rounding of rescaled vectors, against all pairs of vectors."""

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.kronecker.rounding import round_significand
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.kronecker import alone
from pathgraph_proofs_checks.registry import DERIVED, theorem

Vector = tuple[int, ...]


def numbers(bits: int, low: int, high: int) -> list[float]:
    """The non-negative floating-point numbers with that many bits and these exponents."""
    sizes = [m * 2.0 ** (e - bits + 1) for e in range(low, high + 1) for m in range(2 ** (bits - 1), 2**bits)]
    return [0.0, *sizes]


def least(x: Vector, y: Vector, bits: int) -> Fraction:
    """The least squared error over all pairs: float64 is exact on these numbers, whose squares have few bits.

    A power of two moves from one vector to the other, so the largest entry of the first is in [1, 2).
    """
    signs = [-1.0 if v < 0 else 1.0 for v in x]
    first = np.array([v for v in product(numbers(bits, -4, 0), repeat=len(x)) if max(v) >= 1]) * signs
    sizes = np.array(numbers(bits, -7, 7))
    second = np.concatenate([-sizes, sizes])
    total = np.zeros(len(first))
    for value in y:
        apart = np.array(x) * float(value) - first[:, None, :] * second[:, None]
        total += (apart**2).sum(axis=-1).min(axis=1)
    return Fraction(total.min())


def library(x: Vector, y: Vector, bits: int) -> Any:
    """The library's optimum, over the rationals."""
    return pg.quantize_pair([Fraction(v) for v in x], [Fraction(v) for v in y], bits).squared_error


vectors = st.lists(st.integers(-7, 7), min_size=1, max_size=2).filter(any).map(tuple)


@theorem(
    statement=(
        "Some nearest pair of vectors of p-bit floating-point numbers is round(lam x), round(mu y) with lam in [1, 2), "
        "mu = <x, x'>/|x'|**2 for x' = round(lam x), and lam between neighbouring breakpoints."
    ),
    latex=r"\min_{\hat x,\hat y}\|xy^\top-\hat x\hat y^\top\|_F=\min_{\lambda\in[1,2)}"
    r"\|xy^\top-\mathrm{rd}(\lambda x)\,\mathrm{rd}(\mu y)^\top\|_F",
    hypotheses="any exponents; x, y not 0; here integers up to 7, and one or two bits",
    source=DERIVED,
    instances=alone(vectors, vectors, st.integers(1, 2)),
    on_network=0,
)
def optimal_rank_one_quantization(
    x: Vector, y: Vector, bits: int, *, found: Callable[[Vector, Vector, int], Any] = library
) -> Equality:
    """Compare the error with the least one of all pairs."""
    return Equality(found(x, y, bits), least(x, y, bits))


def error(x: Vector, y: Vector, first: Any, second: Any) -> Fraction:
    """The squared error of a pair."""
    pairs = ((u * v - s * t) ** 2 for u, s in zip(x, first, strict=True) for v, t in zip(y, second, strict=True))
    return sum(pairs, Fraction(0))


def rescaled(x: Vector, y: Vector, bits: int) -> Fraction:
    """The best of round(lam x), round(y / lam), for lam on a grid that meets every interval between breakpoints."""
    grid = [1 + Fraction(2 * k + 1, 2**9) for k in range(2**8)]
    return min(
        error(x, y, *(round_significand([s * v for v in vector], bits) for s, vector in ((lam, x), (1 / lam, y))))
        for lam in grid
    )


optimal_rank_one_quantization.mutant(
    "rounding to nearest",
    ((3,), (3,), 1),
    found=lambda x, y, bits: error(
        x, y, *(round_significand([Fraction(v) for v in vector], bits) for vector in (x, y))
    ),
)
optimal_rank_one_quantization.mutant("1 / lam instead of mu", ((3, 7), (3, 7), 1), found=rescaled)
optimal_rank_one_quantization.mutant(
    "the first vector is rounded to nearest",
    ((1,), (5,), 2),
    found=lambda x, y, bits: projected(x, y, bits),
)


def projected(x: Vector, y: Vector, bits: int) -> Fraction:
    """Round the first vector, and only choose the scale of the second."""
    first = round_significand([Fraction(v) for v in x], bits)
    mu = sum(u * s for u, s in zip(x, first, strict=True)) / sum(s * s for s in first)
    return error(x, y, first, round_significand([mu * v for v in y], bits))
