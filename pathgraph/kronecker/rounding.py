"""Rounding to floating-point numbers of few significant bits, whatever their exponent, real, complex or exact.

Formats with a range of exponents are `pathgraph.Quantizer`'s.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from pathgraph.arguments import natural
from pathgraph.errors import ParameterError
from pathgraph.scalars import Array
from pathgraph.shown import argument_text

__all__ = ["MOST_BITS", "as_numbers", "round_significand", "significant_bits"]

MOST_BITS = 52


def significant_bits(bits: Any) -> int:
    """A number of significant bits, the leading one counted.

    Raises
    ------
    ParameterError
    """
    found = natural(bits, "bits", least=1)
    if found > MOST_BITS:
        raise ParameterError(
            f"bits: needed at most {MOST_BITS} significant bits, got {argument_text(bits)}; float64 has 53"
        )
    return found


def as_numbers(values: Any, name: str) -> Array:
    """An array of float64, of complex128, or of Fractions, finite.

    Raises
    ------
    ParameterError
    """
    try:
        found = np.asarray(values)
    except ValueError:
        raise ParameterError(f"{name}: needed an array of numbers, got rows of different lengths") from None
    if found.dtype.kind == "O":
        try:
            exact = np.frompyfunc(Fraction, 1, 1)(found)
        except (TypeError, ValueError):
            raise ParameterError(f"{name}: needed floats, complex numbers or Fractions, got other objects") from None
        return np.asarray(exact, dtype=object)
    if found.dtype.kind not in "fcbiu":
        raise ParameterError(f"{name}: needed floats, complex numbers or Fractions, got the type {found.dtype}")
    found = found.astype(np.complex128 if found.dtype.kind == "c" else np.float64)
    if not np.isfinite(found).all():
        raise ParameterError(f"{name}: needed finite numbers, got NaN or infinities")
    return found


def round_significand(values: Any, bits: int) -> Array:
    """The nearest numbers with `bits` significant bits, ties to even; the range of exponents is not limited.

    Parameters
    ----------
    values : array_like
        Floats, complex numbers (real and imaginary parts are rounded apart), or Fractions, which stay exact.
    bits : int
        At least 1, at most 52; the leading bit is counted.

    Returns
    -------
    ndarray
        float64, complex128 or object, of the same shape.

    Raises
    ------
    ParameterError
        On NaN, infinities, and what is no number.

    Examples
    --------
    >>> from pathgraph.kronecker.rounding import round_significand
    >>> round_significand([5.0, 7.0, -9.0, 0.0], 2).tolist()
    [4.0, 8.0, -8.0, 0.0]
    """
    return rounded(as_numbers(values, "values"), significant_bits(bits))


def rounded(values: Array, bits: int) -> Array:
    """`round_significand` without checks."""
    if values.dtype.kind == "O":
        return np.asarray(np.frompyfunc(lambda value: _exactly(value, bits), 1, 1)(values), dtype=object)
    if values.dtype.kind == "c":
        parts = np.ascontiguousarray(values).reshape(*values.shape, 1).view(np.float64)
        return _floats(parts, bits).view(np.complex128)[..., 0]
    return _floats(values, bits)


def _floats(values: Array, bits: int) -> Array:
    mantissa, exponent = np.frexp(values)  # 1/2 <= abs(mantissa) < 1
    return np.asarray(np.ldexp(np.rint(mantissa * 2.0**bits), exponent - bits))


def _exactly(value: Fraction, bits: int) -> Fraction:
    if not value:
        return Fraction(0)
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()
    exponent += abs(value) >= Fraction(2) ** exponent  # now 2**(exponent - 1) <= abs(value) < 2**exponent
    unit = Fraction(2) ** (exponent - bits)
    return round(value / unit) * unit
