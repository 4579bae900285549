"""Scaled numbers as floats: split into *bands* of exponents, between which products and their sums are normal floats.

So whatever multiplies and adds floats can multiply and add numbers m 2**e of any size: it runs once for each pair of
bands, and nearly always there is only one pair. Maxima of products come out as they would in scaled numbers, to the
last bit; sums are rounded as sums of floats are. Logarithms are first turned into scaled numbers, and the results back:
this adds the rounding of the logarithms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from pathgraph.pathsum.scaled import SCALED_DTYPE, scaled, scaled_log, scaled_maximum, scaled_sum
from pathgraph.pathsum.semirings import LOG, MAX_TIMES, REAL, SCALED, Semiring

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["BAND", "banded", "bands", "in_bands", "one_band", "shifted"]

BAND = 400
"""How many exponents of 2 a band has."""


def one_band(numbers: Array, top: int) -> Array:
    """As floats, the numbers with exponents in (top - BAND, top], divided by 2**top; zero in place of all others."""
    shift = numbers["exponent"] - top
    inside = (shift <= 0) & (shift > -BAND)
    return np.ldexp(np.where(inside, numbers["mantissa"], 0.0), np.where(inside, shift, 0).astype(np.int32))


def bands(numbers: Array) -> Iterator[tuple[int, Array]]:
    """The numbers cut into bands: pairs of an exponent e and, as floats, one band divided by 2**e.

    Every number is zero in all bands but its own. If all numbers are zero there are no bands.
    """
    exponents = numbers["exponent"][numbers["mantissa"] != 0]
    while len(exponents):
        top = int(exponents.max())
        yield top, one_band(numbers, top)
        exponents = exponents[exponents <= top - BAND]


def shifted(numbers: Array, exponent: int) -> Array:
    """Scaled numbers times a power of 2, in place."""
    numbers["exponent"] += np.where(numbers["mantissa"] == 0, 0, exponent)
    return numbers


def in_bands(ring: Semiring) -> bool:
    """Whether `banded` can compute in this semiring: whether its elements are scaled numbers, or logarithms."""
    return ring in (LOG, SCALED, MAX_TIMES.wide)


def banded(map_: Callable[[Array, Array, Semiring], Array], x: Array, y: Array, ring: Semiring) -> Array:
    """A bilinear map of scaled numbers or logarithms, by the same map of floats.

    Parameters
    ----------
    map_ : callable
        Of two arrays of floats and a semiring, which is REAL or MAX_TIMES.
    x, y : ndarray
        Elements of the semiring.
    ring : Semiring
        One for which `in_bands` is true.
    """
    if ring is LOG:
        return scaled_log(banded(map_, _exponential(x), _exponential(y), SCALED))
    floats, add = (REAL, scaled_sum) if ring is SCALED else (MAX_TIMES, scaled_maximum)
    total = None
    of_y = list(bands(y))
    for e, of_x in bands(x):
        for f, part_of_y in of_y:
            part = shifted(scaled(map_(of_x, part_of_y, floats)), e + f)
            total = part if total is None else add(total, part)
    return scaled(map_(np.zeros(x.shape), np.zeros(y.shape), floats)) if total is None else total


def _exponential(logarithms: Array) -> Array:
    """Scaled numbers with these logarithms."""
    is_zero = logarithms == -np.inf
    exponent = np.floor(np.where(is_zero, 0.0, logarithms) / np.log(2.0))
    mantissa = np.where(is_zero, 0.0, np.exp(np.where(is_zero, 0.0, logarithms) - exponent * np.log(2.0)))
    return shifted(scaled(mantissa), exponent.astype(np.int64)).astype(SCALED_DTYPE, copy=False)
