"""Rational bounds on natural logarithms, by a series whose remainder is bounded."""

from __future__ import annotations

from fractions import Fraction

__all__ = ["log_above", "log_below"]

BITS, TERMS = 80, 24


def log_below(x: Fraction | int) -> Fraction:
    """A rational number below log x, by less than 2**-70 relative to 1 + |log x|.

    With x = 2**k m, 2/3 <= m < 4/3, z = (m - 1) / (m + 1), it is k log 2 + 2 (z + z**3 / 3 + z**5 / 5 + ...), and log 2
    is that of 2 (1/3 + ...). The first 24 terms leave a remainder of at most 2 |z|**49 / (49 (1 - z**2)), |z| <= 1/3.
    """
    if x <= 0:
        raise ValueError(f"x: needed a positive number, got {x}")
    x = Fraction(x)
    k = x.numerator.bit_length() - x.denominator.bit_length()
    m = x / Fraction(2) ** k  # in (1/2, 2)
    if m < Fraction(2, 3):
        k, m = k - 1, 2 * m
    elif m >= Fraction(4, 3):
        k, m = k + 1, m / 2
    two = _series(Fraction(2), k >= 0)
    return k * two + _series(m, True)


def log_above(x: Fraction | int) -> Fraction:
    """A rational number above log x, by less than 2**-70 relative to 1 + |log x|."""
    return -log_below(1 / Fraction(x))


def _series(m: Fraction, below: bool) -> Fraction:
    z = (m - 1) / (m + 1)
    z = Fraction(z.numerator * 2**BITS // z.denominator + (not below), 2**BITS)  # rounded down, or up; log grows with z
    total = 2 * sum((z ** (2 * j + 1) / (2 * j + 1) for j in range(TERMS)), Fraction(0))
    rest = 2 * abs(z) ** (2 * TERMS + 1) / ((2 * TERMS + 1) * (1 - z**2))
    return total - rest if below else total + rest
