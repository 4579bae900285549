"""Read what users say about axes: sizes, paddings and matrices, for each axis of a signal.

All functions raise `ParameterError` if they cannot; it says which argument, what was needed, and what came.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pathgraph.arguments import natural
from pathgraph.errors import ParameterError
from pathgraph.layers.axes import WeightedAxis, weighted
from pathgraph.layers.drafting import Signal, Sizes
from pathgraph.layers.operations import Shape
from pathgraph.scalars import to_fraction
from pathgraph.shown import argument_text

__all__ = ["as_axis", "axis_of", "paddings", "per_axis"]


def per_axis(sizes: Sizes, n: int, what: str, *, least: int = 1) -> Shape:
    """One integer for each of n spatial axes, from one or from n of them."""
    if n < 1:
        raise ParameterError("x: needed a signal of shape (C, *space), with at least one spatial axis")
    listed = [sizes] * n if isinstance(sizes, (int, np.integer)) else list(sizes)
    if len(listed) != n:
        raise ParameterError(
            f"{what}: needed one number, or one for each of {n} spatial axes, got {argument_text(sizes)}"
        )
    return tuple(natural(size, what, least=least) for size in listed)


def paddings(padding: Any, n: int) -> tuple[tuple[int, int], ...]:
    """What is padded (before, after) each of n spatial axes, from a number or from numbers and pairs."""
    listed = [padding] * n if isinstance(padding, (int, np.integer)) else list(padding)
    if len(listed) != n:
        raise ParameterError(
            f"padding: needed one number, or one or a pair for each of {n} axes, got {argument_text(padding)}"
        )
    pairs = [(p, p) if isinstance(p, (int, np.integer)) else tuple(p) for p in listed]
    if any(len(pair) != 2 for pair in pairs):
        raise ParameterError(f"padding: needed pairs (before, after), got {argument_text(padding)}")
    return tuple((_any_integer(a), _any_integer(b)) for a, b in pairs)


def _any_integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ParameterError(f"padding: needed integers (negative ones crop), got {argument_text(value)}")
    return int(value)


def axis_of(axis: Any, x: Signal) -> int:
    """An axis of a signal, counted from the front."""
    if not isinstance(axis, (int, np.integer)) or not -len(x.shape) <= axis < len(x.shape):
        raise ParameterError(f"axis: needed an axis of {x.name!r} {x.shape}, got {argument_text(axis)}")
    return int(axis) % len(x.shape)


def as_axis(matrix: Any) -> WeightedAxis:
    """A sparse matrix, or an array of rationals or floats, as a relation with exact coefficients."""
    from scipy.sparse import csr_array, issparse

    if not issparse(matrix):
        dense = np.asarray(matrix, dtype=object)
        rows = [[(j, to_fraction(v)) for j, v in enumerate(row) if v != 0] for row in dense.tolist()]
        return weighted(dense.shape[1], rows)
    stored = csr_array(matrix)
    stored.sum_duplicates()
    rows = []
    for low, high in zip(stored.indptr[:-1], stored.indptr[1:], strict=True):
        columns, values = stored.indices[low:high].tolist(), stored.data[low:high].tolist()
        rows.append([(j, to_fraction(v)) for j, v in zip(columns, values, strict=True)])
    return weighted(stored.shape[1], rows)
