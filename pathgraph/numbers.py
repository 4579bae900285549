"""Arithmetic on arrays that are rational or scaled: exact where it can be, and without a range of floats elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from pathgraph.errors import RangeError
from pathgraph.pathsum.exact import restored
from pathgraph.pathsum.scaled import (
    scaled,
    scaled_absolute,
    scaled_argmax,
    scaled_product,
    scaled_quotient,
    scaled_to_float,
    scaled_total,
)
from pathgraph.scalars import Array, object_array

__all__ = [
    "joined",
    "lower_floats",
    "nearest_floats",
    "norm",
    "norm_roundings",
    "product",
    "public",
    "quotient",
    "root_outward",
    "upper_floats",
]


def norm(numbers: Array, q: Any) -> Array:
    """The q-norm of some numbers, shape (1,): rational for rationals and q in {1, inf}, scaled else."""
    if numbers.dtype == object and q in (1, math.inf):
        absolute = [abs(number) for number in numbers]
        return object_array([sum(absolute) if q == 1 else max(absolute)])
    if q == math.inf:
        sizes = scaled_absolute(scaled(numbers))
        largest = scaled_argmax(sizes)
        return sizes[largest : largest + 1]
    return scaled(scaled_total(scaled_absolute(scaled(numbers, q))), 1 / q)


def norm_roundings(numbers: Array, q: Any) -> int:
    """How many units of round-off the q-norm of some numbers is off by, at most, where `norm` makes scaled numbers.

    Powers and additions, whose errors the root divides by q, and the root. The sum of n powers of numbers below
    2**size is below n 2**(q size).
    """
    if q == math.inf:
        return 1
    size, n = int(np.abs(scaled(numbers)["exponent"]).max(initial=0)), len(numbers)
    powers: int = math.ceil((_power_roundings(q, size) + n) / q)
    return powers + _power_roundings(1 / q, math.ceil(q * size) + n.bit_length())


def _power_roundings(p: float, size: int) -> int:
    """Of abs(w)**p as `scaled` makes it of w = m 2**e, abs(e) <= size.

    The roundings of w and p make p and p log 2 units in m**p. NumPy's powers are within 4 ulp, 8 units; there are two,
    and the fractions of their exponents and their product add three more. A power beyond 512 goes by a logarithm: 9
    units of it, which is at most 1 in absolute value, make 9 p log 2 < 7 p, and one more is the margin. And p e, if it
    is no integer, is off by 2 units of itself, log 4 < 1.4 in the power of 2.
    """
    is_whole, is_long = p == int(p), p > 512
    return math.ceil(2 * p + 20 + (7 * p if is_long else 0) + (0 if is_whole else 1.4 * p * size))


def joined(parts: list[Array]) -> Array:
    """Some numbers as one array: of rationals if all are, of scaled numbers else."""
    return np.concatenate(parts if all(part.dtype == object for part in parts) else [scaled(part) for part in parts])


def product(a: Array, b: Array) -> Array:
    """The products of two arrays: rational if both are, scaled else."""
    return np.asarray(a * b) if a.dtype == b.dtype == object else scaled_product(scaled(a), scaled(b))


def quotient(a: Array, b: Array) -> Array:
    """The quotients of two arrays: rational if both are, scaled else."""
    return np.asarray(a / b) if a.dtype == b.dtype == object else scaled_quotient(scaled(a), scaled(b))


def public(
    numbers: Array, what: str, *, floats: Callable[[Array], Array] | None = None, rationals: bool = True
) -> Array:
    """Numbers of any of the three kinds as the caller gets them: Fractions for rationals, float64 else.

    Parameters
    ----------
    numbers : ndarray
    what : str
        Begins the message.
    floats : callable, optional
        `upper_floats` or `lower_floats` for the ends of a bound; `nearest_floats` by default.
    rationals : bool
        Whether rationals stay: on exact networks.

    Raises
    ------
    RangeError
        If one is too large for a float.
    """
    if rationals and numbers.dtype == object:
        return restored(numbers)
    rounded = (floats or nearest_floats)(numbers)
    with np.errstate(over="ignore", invalid="ignore"):
        is_finite = bool(np.isfinite(rounded.sum())) or bool(np.isfinite(rounded).all())
    if not is_finite:
        raise RangeError(f"{what}: a value leaves the range of float64; use net.to_exact()")
    return rounded


def nearest_floats(numbers: Array) -> Array:
    """Rationals or scaled numbers as floats, and floats as they are: infinite where they are too large."""
    return numbers if numbers.dtype.kind == "f" else scaled_to_float(scaled(numbers))


def upper_floats(numbers: Array) -> Array:
    """Rationals, floats or scaled numbers, none negative, as floats: infinite where they are too large.

    Rationals are rounded up; so are subnormal numbers of the other kinds, since a bound must not vanish.
    """
    if numbers.dtype == object:
        return np.array([_rounded(number, up=True) for number in numbers], dtype=np.float64)
    wide = scaled(numbers)
    floats = scaled_to_float(wide)
    small = (floats < np.finfo(np.float64).tiny) & (wide["mantissa"] != 0)
    floats[small] = np.nextafter(floats[small], 1)
    return floats


def lower_floats(numbers: Array) -> Array:
    """The same from below: rationals are rounded down, and so are subnormal and infinite results."""
    if numbers.dtype == object:
        return np.array([_rounded(number, up=False) for number in numbers], dtype=np.float64)
    floats = np.minimum(scaled_to_float(scaled(numbers)), np.finfo(np.float64).max)
    small = floats < np.finfo(np.float64).tiny
    floats[small] = np.maximum(np.nextafter(floats[small], -1), 0)
    return floats


def _rounded(number: Fraction, *, up: bool) -> float:
    """The nearest float that is no smaller, or no larger, than a rational."""
    try:
        nearest = float(number)
    except OverflowError:
        return math.inf if up else np.finfo(np.float64).max.item()
    if up and nearest < number:
        return math.nextafter(nearest, math.inf)
    if not up and nearest > number:
        return math.nextafter(nearest, -math.inf)
    return nearest


def root_outward(lower: Fraction, upper: Fraction, degree: int, what: str) -> tuple[float, float]:
    """Floats around the roots of the ends of an interval of non-negative rationals, each at most a rounding away.

    Raises
    ------
    RangeError
        If they leave the range; `what` begins the message.
    """
    below, above = scaled_to_float(scaled(object_array([lower, upper]), 1 / degree)).tolist()
    if math.isinf(above):
        raise RangeError(f"{what}: the value leaves the range of float64; use root=False on an exact network")
    while Fraction(below) ** degree > lower:
        below = math.nextafter(below, 0)
    while Fraction(math.nextafter(below, math.inf)) ** degree <= lower:
        below = math.nextafter(below, math.inf)
    while Fraction(above) ** degree < upper:
        above = math.nextafter(above, math.inf)
    while above and Fraction(math.nextafter(above, 0)) ** degree >= upper:
        above = math.nextafter(above, 0)
    return below, above
