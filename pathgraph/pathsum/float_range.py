"""Whether sums of floats stayed clear of the ends of their range, judged by their sizes; for compiled sweeps.

Not checked: that Numba is installed.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["extremes", "limits_of", "stays_in_range"]


def stays_in_range(x: Array) -> bool:
    r"""Whether the sums of non-negative terms at all neurons are accurate, judged by their sizes alone.

    What can go wrong is that a power or a product falls below the normal range: it is then wrong by at most the
    smallest positive float, times the largest sum, and a neuron sums no more terms than there are neurons. So nothing
    that matters is lost if the smallest sum that is not zero exceeds the smallest normal number by the product of the
    largest sum, the number of neurons and the inverse of the precision. A sum that is zero is taken to be zero: the
    kernels themselves report sums of non-zero terms that came out as zero.
    """
    (least, most), limits = extremes(x), limits_of(x.dtype)
    return most <= limits.top and least >= limits.bottom * max(1.0, most) * len(x)


def extremes(x: Array) -> tuple[float, float]:
    """The smallest non-zero absolute value (infinite if all are zero), and the largest one (infinite if one is NaN)."""
    from pathgraph.pathsum.numba_extremes import extreme_sizes

    limits = limits_of(x.dtype)
    least, most = extreme_sizes(x.view(limits.integer), limits.mask, limits.room)
    return math.inf if math.isnan(least) else float(least), math.inf if math.isnan(most) else float(most)


class Limits(NamedTuple):
    """What there is to know of a type of floats.

    Attributes
    ----------
    integer : dtype
        Signed integers of the size of the floats: not every processor compares unsigned ones by the vector.
    mask : integer
        All bits but the sign.
    top : float
        Sums up to this one leave room for one more operation.
    bottom : float
        The smallest normal number over the precision.
    room : float
        Twice the smallest normal number, in the type itself.
    """

    integer: np.dtype[Any]
    mask: Any
    top: float
    bottom: float
    room: Any


@cache
def limits_of(dtype: np.dtype[Any]) -> Limits:
    """The limits of float32 or float64."""
    info: Any = np.finfo(dtype)
    integer = np.dtype(f"i{dtype.itemsize}")
    mask = integer.type(np.iinfo(integer).max)
    return Limits(integer, mask, float(info.max) / 4, float(info.tiny) / float(info.eps), 2 * info.tiny)
