"""The fixed matrices along axes of which pooling, averaging and resizing layers are made.

Output sizes and partitions are those of PyTorch and ONNX: with `ceil_mode` the last window may hang over the end, but
must start inside the input or the padding before it; in adaptive pooling from n to m coordinates, output o has those
from floor(o n / m) to ceil((o + 1) n / m) - 1. Padding is never read; whether an average counts it is a choice.
"""

from __future__ import annotations

import math
from fractions import Fraction

from pathgraph.errors import ParameterError
from pathgraph.layers.axes import WeightedAxis, weighted

__all__ = ["adaptive_axis", "bilinear_axis", "identity_axis", "mean_axis", "nearest_axis", "pool_axis", "pool_size"]

ONE = Fraction(1)


def pool_size(n: int, kernel: int, stride: int, before: int, after: int, dilation: int, *, ceil_mode: bool) -> int:
    """Number of windows along an axis of n coordinates."""
    room = n + before + after - dilation * (kernel - 1) - 1
    if room < 0:
        return 0
    if not ceil_mode:
        return room // stride + 1
    size = -(-room // stride) + 1
    return size - 1 if (size - 1) * stride >= n + before else size


def pool_axis(
    n: int,
    kernel: int,
    stride: int,
    before: int = 0,
    after: int = 0,
    dilation: int = 1,
    *,
    ceil_mode: bool = False,
    average: bool = False,
    count_include_pad: bool = True,
) -> WeightedAxis:
    """Windows along an axis, with coefficients 1, or 1 / count for averages.

    An average that counts the padding divides by the part of the window that lies in the padded input.
    """
    rows = []
    for o in range(pool_size(n, kernel, stride, before, after, dilation, ceil_mode=ceil_mode)):
        first = o * stride - before
        read = [first + k * dilation for k in range(kernel)]
        inside = [i for i in read if 0 <= i < n]
        count = sum(1 for i in read if i < n + after) if count_include_pad else len(inside)
        rows.append([(i, Fraction(1, count) if average else ONE) for i in inside])
    return weighted(n, rows)


def adaptive_axis(n: int, size: int, *, average: bool) -> WeightedAxis:
    """The partition of an axis into `size` windows that may overlap."""
    rows = []
    for o in range(size):
        inside = range(o * n // size, -(-(o + 1) * n // size))
        rows.append([(i, Fraction(1, len(inside)) if average else ONE) for i in inside])
    return weighted(n, rows)


def mean_axis(n: int) -> WeightedAxis:
    """The average over a whole axis."""
    return adaptive_axis(n, 1, average=True)


def identity_axis(n: int) -> WeightedAxis:
    """Every coordinate as it is."""
    return weighted(n, [[(i, ONE)] for i in range(n)])


def nearest_axis(n: int, size: int, scale: Fraction | None = None) -> WeightedAxis:
    """Output o reads coordinate floor(o / scale), where scale is size / n unless it is given."""
    ratio = Fraction(n, size) if scale is None else 1 / scale
    return weighted(n, [[(min(math.floor(o * ratio), n - 1), ONE)] for o in range(size)])


def bilinear_axis(n: int, size: int, *, align_corners: bool = False, scale: Fraction | None = None) -> WeightedAxis:
    """Linear interpolation at (o + 1/2) / scale - 1/2, or at o (n - 1) / (size - 1) with aligned corners.

    What lies before the first coordinate or after the last reads that one.
    """
    if n < 1 or size < 1:
        raise ParameterError(f"size: needed sizes >= 1, got {n} -> {size}")
    ratio = Fraction(n, size) if scale is None else 1 / scale
    rows = []
    for o in range(size):
        if align_corners:
            place = Fraction(o * (n - 1), size - 1) if size > 1 else Fraction(0)
        else:
            place = (o + Fraction(1, 2)) * ratio - Fraction(1, 2)
        place = min(max(place, Fraction(0)), Fraction(n - 1))
        low = math.floor(place)
        rest = place - low
        rows.append([(low, 1 - rest)] + ([(low + 1, rest)] if rest else []))
    return weighted(n, rows)
