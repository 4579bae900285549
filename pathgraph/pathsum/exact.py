"""Faster rationals: `fractions.Fraction` at the boundary, `flint.fmpq` inside when python-flint is installed.

An fmpq multiplies and adds about ten times faster, and NumPy's object arrays hold either. Only arrays made of
integers and Fractions are converted; everything else passes through unchanged.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from pathgraph.errors import RangeError
from pathgraph.scalars import Array, object_array

__all__ = ["accelerated", "in_range", "restored"]


def _flint() -> Any:
    try:
        import flint
    except ImportError:
        return None
    return flint


def accelerated(array: Array) -> Array:
    """The same values as `flint.fmpq`, if these are exact rationals and python-flint is installed."""
    if array.dtype != object or not set(map(type, array.flat)) <= {Fraction, int}:
        return array
    flint = _flint()
    if flint is None:
        return array
    return object_array(flint.fmpq(v.numerator, v.denominator) for v in array.flat).reshape(array.shape)


def restored(array: Array) -> Array:
    """The same values with every exact rational as a Fraction."""
    if array.dtype != object:
        return array
    return object_array(map(_as_fraction, array.flat)).reshape(array.shape)


def in_range(value: Fraction, what: str) -> float:
    """A rational as the nearest float.

    Raises
    ------
    RangeError
        If it is too large; `what` begins the message.
    """
    try:
        return float(value)
    except OverflowError:
        raise RangeError(f"{what}: a value leaves the range of float64; use net.to_exact()") from None


def _as_fraction(value: Any) -> Any:
    if type(value).__name__ == "fmpq":
        return Fraction(int(value.p), int(value.q))
    return Fraction(value) if type(value) is int else value
