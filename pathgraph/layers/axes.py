"""What a linear map does along one axis: which input coordinates each output coordinate reads, and by which tap.

Every linear map between layers is a *product* of such relations: output (o_1, ..., o_k) reads input (i_1, ..., i_k) by
the entry (t_1, ..., t_k) of the layer's tensor whenever o_j reads i_j by tap t_j along each axis j. A convolution is
the product of a dense relation on the channels and a window along each spatial axis; a linear layer is one dense
relation, a pooling layer has windows only, a bias is a broadcast. Padding is not read at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.errors import ParameterError
from pathgraph.scalars import frozen

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["AxisTaps", "WeightedAxis", "broadcast", "dense", "grouped", "identity", "kronecker", "weighted", "window"]


class AxisTaps:
    """What the coordinates of one output axis read of one input axis.

    Attributes
    ----------
    n_in, n_taps : int
        Sizes of the input axis and of the tensor's axis.
    start : ndarray, shape (n_out + 1,)
        The reads of output o are ``start[o]:start[o + 1]``.
    index, tap : ndarray, shape (n_reads,)
        Input coordinates, increasing for each output, and taps.
    """

    def __init__(self, n_in: int, n_taps: int, start: Array, index: Array, tap: Array) -> None:
        self.n_in, self.n_taps = int(n_in), int(n_taps)
        self.start, self.index, self.tap = (frozen(np.asarray(a, dtype=np.int64)) for a in (start, index, tap))

    @property
    def n_out(self) -> int:
        """Size of the output axis."""
        return len(self.start) - 1

    @cached_property
    def degree(self) -> Array:
        """How many coordinates each output reads: shape (n_out,)."""
        return frozen(np.diff(self.start))

    def _key(self) -> tuple[Any, ...]:
        return self.n_in, self.n_taps, self.start.tobytes(), self.index.tobytes(), self.tap.tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AxisTaps) and (self is other or self._key() == other._key())

    def __hash__(self) -> int:
        return hash((self.n_in, self.n_out, self.n_taps, len(self.index)))

    def __repr__(self) -> str:
        return f"AxisTaps({self.n_in} -> {self.n_out}, {len(self.index)} reads, {self.n_taps} taps)"


class WeightedAxis:
    """A fixed rational matrix along one axis; its taps are its different coefficients.

    Attributes
    ----------
    taps : AxisTaps
    coefficients : tuple of Fraction
        The value of each tap.
    """

    def __init__(self, taps: AxisTaps, coefficients: tuple[Fraction, ...]) -> None:
        self.taps, self.coefficients = taps, coefficients

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WeightedAxis) and self.coefficients == other.coefficients and self.taps == other.taps

    def __hash__(self) -> int:
        return hash((self.taps, self.coefficients))

    def __repr__(self) -> str:
        shown = ", ".join(map(str, self.coefficients[:4])) + (", ..." if len(self.coefficients) > 4 else "")
        return f"WeightedAxis({self.taps.n_in} -> {self.taps.n_out}, coefficients {shown})"


def identity(size: int, *, tapped: bool = False) -> AxisTaps:
    """Each coordinate reads its own, by one tap for all, or by a tap of its own (`tapped`)."""
    own = np.arange(size)
    return AxisTaps(size, size if tapped else 1, np.arange(size + 1), own, own if tapped else np.zeros_like(own))


def broadcast(size: int, *, tapped: bool = False) -> AxisTaps:
    """Each coordinate reads the only one there is, by one tap for all or by a tap of its own."""
    nothing = np.zeros(size, dtype=np.int64)
    return AxisTaps(1, size if tapped else 1, np.arange(size + 1), nothing, np.arange(size) if tapped else nothing)


def dense(n_out: int, n_in: int) -> AxisTaps:
    """Every coordinate reads every one, each pair by its own tap: the entries of a matrix of shape (n_out, n_in)."""
    return grouped(n_out, n_in, 1)


def grouped(n_out: int, n_in: int, groups: int, *, transposed: bool = False) -> AxisTaps:
    """Dense within each group: the entries of a tensor (n_out, n_in / groups), transposed of (n_in, n_out / groups)."""
    width = n_in // groups
    output = np.repeat(np.arange(n_out), width)
    index = np.arange(width)[None, :] + (np.arange(n_out) // (n_out // groups) * width)[:, None]
    index = index.ravel()
    tap = index * (n_out // groups) + output % (n_out // groups) if transposed else np.arange(n_out * width)
    return AxisTaps(n_in, n_out * width, np.arange(n_out + 1) * width, index, tap)


def kronecker(a: int, b: int, c: int, d: int) -> AxisTaps:
    """A Kronecker-sparse matrix: output (i, j, l) reads the inputs (i, k, l) by the entries (i, j, k, l)."""
    i, j, l, k = np.meshgrid(*map(np.arange, (a, b, d, c)), indexing="ij")  # noqa: E741
    index, tap = (i * c + k) * d + l, ((i * b + j) * c + k) * d + l
    return AxisTaps(a * c * d, a * b * c * d, np.arange(a * b * d + 1) * c, index.ravel(), tap.ravel())


def window(
    n_in: int, n_out: int, kernel: int, *, stride: int = 1, before: int = 0, dilation: int = 1, transposed: bool = False
) -> AxisTaps:
    """A sliding window: output o reads ``o * stride - before + tap * dilation`` where that is a coordinate.

    Transposed, output o reads i by tap where ``o = i * stride - before + tap * dilation``.
    """
    out, tap = np.meshgrid(np.arange(n_out), np.arange(kernel), indexing="ij")
    if transposed:
        index, remainder = np.divmod(out + before - tap * dilation, stride)
        is_read = (remainder == 0) & (index >= 0) & (index < n_in)
    else:
        index = out * stride - before + tap * dilation
        is_read = (index >= 0) & (index < n_in)
    out, tap, index = out[is_read], tap[is_read], index[is_read]
    order = np.lexsort((index, out))
    return AxisTaps(n_in, kernel, np.searchsorted(out, np.arange(n_out + 1)), index[order], tap[order])


def weighted(n_in: int, rows: Sequence[Sequence[tuple[int, Fraction]]]) -> WeightedAxis:
    """A fixed matrix of shape (len(rows), n_in), each row given by its pairs (column, coefficient)."""
    coefficients = tuple(sorted({value for row in rows for _, value in row}))
    place = {value: tap for tap, value in enumerate(coefficients)}
    pairs = [sorted(row) for row in rows]
    for row in pairs:
        columns = [column for column, _ in row]
        if len(set(columns)) < len(columns) or (columns and not 0 <= columns[0] <= columns[-1] < n_in):
            raise ParameterError(f"rows: needed different columns from 0 to {n_in - 1} in each row, got {columns}")
    start = np.cumsum([0, *map(len, pairs)])
    index = np.array([column for row in pairs for column, _ in row], dtype=np.int64)
    tap = np.array([place[value] for row in pairs for _, value in row], dtype=np.int64)
    return WeightedAxis(AxisTaps(n_in, max(1, len(coefficients)), start, index, tap), coefficients or (Fraction(1),))
