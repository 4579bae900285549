"""Values of Kronecker-sparse matrices from dense and sparse matrices, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse

from pathgraph.errors import ParameterError, UnsupportedOperatorError
from pathgraph.kronecker.operands import as_operand
from pathgraph.kronecker.patterns import KSPattern, guard, sparse_array
from pathgraph.scalars import Array
from pathgraph.shown import argument_text

__all__ = ["dense", "diagonal_values", "row_values", "sparse", "values_of"]


def dense(values: Array, pattern: KSPattern, max_bytes: int) -> Array:
    """The dense matrix with these values, zeros elsewhere.

    Raises
    ------
    ParameterError
        If it would take more than `max_bytes`.
    """
    rows, columns = pattern.shape
    guard(
        rows * columns, values.dtype.itemsize, max_bytes, f"a dense matrix of shape {pattern.shape}", "use .tosparse()"
    )
    matrix = np.zeros(pattern.shape, dtype=values.dtype)
    _six_axes(matrix, pattern)[_places(pattern)] = values
    return matrix


def row_values(values: Array) -> Array:
    """The values row by row, by increasing column: shape (n_rows, c)."""
    a, b, c, d = values.shape
    return values.transpose(0, 1, 3, 2).reshape(a * b * d, c)


def sparse(values: Array, pattern: KSPattern, format: str, max_bytes: int) -> Any:
    """The sparse array with these values.

    Raises
    ------
    ParameterError
    UnsupportedOperatorError
        On Python objects.
    """
    if values.dtype == object:
        raise UnsupportedOperatorError(
            "tosparse: SciPy's sparse arrays hold machine numbers, got Python objects; convert with .astype(float), or "
            "use .toarray()"
        )
    wide = np.dtype(np.float32) if values.dtype == np.float16 else values.dtype
    return sparse_array(pattern, lambda: row_values(values).astype(wide).ravel(), wide.itemsize, format, max_bytes)


def values_of(matrix: Any, pattern: KSPattern, *, is_exact: bool) -> Array:
    """The entries of a dense or sparse matrix on the support: a new array of shape (a, b, c, d).

    Parameters
    ----------
    matrix : array_like or sparse array, shape (a b d, a c d)
    pattern : KSPattern
    is_exact : bool
        Refuse non-zero entries elsewhere.

    Raises
    ------
    ParameterError
    """
    if isinstance(pattern, tuple) and len(pattern) == 4:
        pattern = KSPattern(*pattern)
    if not isinstance(pattern, KSPattern):
        raise ParameterError(f"pattern: needed a KSPattern, or its numbers (a, b, c, d), got {argument_text(pattern)}")
    found = matrix.tocsr() if issparse(matrix) else as_operand(matrix, "matrix")
    if found.shape != pattern.shape:
        raise ParameterError(f"matrix: needed shape {pattern.shape} for {pattern}, got {found.shape}")
    values = _from_sparse(found, pattern) if issparse(found) else _six_axes(found, pattern)[_places(pattern)]
    if is_exact and _count(values) != _count(found):
        row, column = _outside(found, pattern)
        raise ParameterError(
            f"matrix: needed zeros outside of the support of {pattern}, got {found[row, column]} at ({row}, {column}); "
            "KSMatrix.project drops such entries"
        )
    return values


def diagonal_values(diagonal: ArrayLike, along: str) -> Array:
    """The values of a diagonal matrix, as the pattern (1, 1, 1, n) or (n, 1, 1, 1).

    Raises
    ------
    ParameterError
    """
    array = np.array(as_operand(diagonal, "diagonal"))
    if array.ndim != 1 or not array.size:
        raise ParameterError(f"diagonal: needed a vector of at least one entry, got shape {array.shape}")
    if along not in ("a", "d"):
        raise ParameterError(f"along: needed 'a' or 'd', got {argument_text(along)}")
    return array.reshape((-1, 1, 1, 1) if along == "a" else (1, 1, 1, -1))


def _six_axes(matrix: Array, pattern: KSPattern) -> Array:
    a, b, c, d = pattern
    return matrix.reshape(a, b, d, a, c, d)


def _places(pattern: KSPattern) -> tuple[Array, ...]:
    """Indices of the entries (i, j, k, l) on the six axes of the dense matrix."""
    i, j, k, l = np.ogrid[tuple(slice(size) for size in pattern)]  # noqa: E741
    return i, j, l, i, k, l


def _from_sparse(matrix: Any, pattern: KSPattern) -> Array:
    """Entries by row, column and place: one pass over those that are stored."""
    _, b, c, d = pattern
    entries = matrix.tocoo()
    row, column = entries.row.astype(np.int64), entries.col.astype(np.int64)
    inside = (row // (b * d) == column // (c * d)) & (row % d == column % d)
    row, column = row[inside], column[inside]
    values = np.zeros(pattern.values_shape, dtype=matrix.dtype)
    place = (row // (b * d), row // d % b, column // d % c, row % d)
    np.add.at(values, place, entries.data[inside])  # duplicates add up
    return values


def _count(matrix: Any) -> int:
    return int(matrix.count_nonzero() if issparse(matrix) else np.count_nonzero(matrix))


def _outside(matrix: Any, pattern: KSPattern) -> tuple[int, int]:
    """The first non-zero entry outside of the support."""
    rows, columns = matrix.nonzero()
    _, b, c, d = pattern
    outside = (rows // (b * d) != columns // (c * d)) | (rows % d != columns % d)
    place = min(zip(rows[outside].tolist(), columns[outside].tolist(), strict=True))
    return place[0], place[1]
