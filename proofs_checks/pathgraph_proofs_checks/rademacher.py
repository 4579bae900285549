"""Exact expectations over independent signs, by enumeration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

__all__ = ["CONVEX", "signed_mean"]

CONVEX: dict[str, Callable[[Any], Any]] = {
    "identity": lambda z: z,
    "hinge": lambda z: max(z, 0),
    "shifted hinge": lambda z: max(z - 2, 0),
    "power of two": lambda z: Fraction(2) ** z,
}
"""Convex non-decreasing functions G with rational values; the last one stands for the exponential, at integers."""


def signed_mean(sets: Sequence[Sequence[Sequence[Any]]], g: Callable[[Any], Any]) -> Fraction:
    """``E max_v max_{t in sets[v]} g(sum_i e_{i,v} t_i)`` over independent uniform signs e_{i,v}.

    The sets are independent of each other, so the law of each supremum is enumerated on its own, and the expectation
    of their maximum is summed from the product of the distribution functions.
    """
    laws = []
    for vectors in sets:
        signs = product((1, -1), repeat=len(vectors[0]))
        sums = (max(g(sum(e * entry for e, entry in zip(sign, t, strict=True))) for t in vectors) for sign in signs)
        laws.append(sorted(sums))
    values = sorted({value for law in laws for value in law})
    mean, below = Fraction(0), Fraction(0)
    for value in values:
        up_to = Fraction(1)
        for law in laws:
            up_to *= Fraction(sum(outcome <= value for outcome in law), len(law))
        mean += value * (up_to - below)
        below = up_to
    return mean
