"""Sparse matrices of Fractions, and elimination: the exact linear algebra that SciPy does not have.

SciPy's sparse arrays hold machine numbers: with objects, sums of duplicates, products and conversions fail or silently
turn into floats. `ExactMatrix` is the little that is needed here, a dictionary per row; its rank is found by Gaussian
elimination without rounding. Nothing here knows about networks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from pathgraph.errors import ParameterError, UnsupportedOperatorError
from pathgraph.pathsum.exact import accelerated, restored
from pathgraph.scalars import Array, is_symbol, object_array, refuse_floats

__all__ = ["ExactMatrix", "echelon", "null_space"]

Row = Mapping[int, Any]


class ExactMatrix:
    """A sparse matrix of Fractions (or SymPy expressions).

    Parameters
    ----------
    shape : (int, int)
    entries : iterable of (row, column, value)
        Entries at one place are summed; zeros are dropped.

    Attributes
    ----------
    shape : (int, int)
    rows : tuple of dict
        For each row, its non-zero entries by column.

    Notes
    -----
    Products cost one multiplication per non-zero entry. The rank costs what elimination costs, cubic at worst.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from pathgraph.geometry.exactmatrix import ExactMatrix
    >>> matrix = ExactMatrix((2, 3), [(0, 0, Fraction(1, 2)), (1, 0, Fraction(1)), (1, 2, Fraction(3))])
    >>> matrix, matrix.rank(), (matrix @ [2, 0, 1]).tolist()
    (ExactMatrix(2 x 3, 3 entries), 2, [Fraction(1, 1), Fraction(5, 1)])
    """

    def __init__(self, shape: tuple[int, int], entries: Iterable[tuple[int, int, Any]]) -> None:
        rows: tuple[dict[int, Any], ...] = tuple({} for _ in range(shape[0]))
        for i, j, value in entries:
            rows[i][j] = rows[i].get(j, 0) + value
        self.shape = shape
        self.rows: tuple[Row, ...] = tuple({j: value for j, value in row.items() if value != 0} for row in rows)

    @property
    def nnz(self) -> int:
        """Number of non-zero entries."""
        return sum(map(len, self.rows))

    @property
    def T(self) -> ExactMatrix:
        """The transpose."""
        height, width = self.shape
        return ExactMatrix((width, height), ((j, i, v) for i, row in enumerate(self.rows) for j, v in row.items()))

    def toarray(self) -> Array:
        """The same matrix as an object array of the same shape."""
        out = object_array([Fraction(0)] * (self.shape[0] * self.shape[1])).reshape(self.shape)
        for i, row in enumerate(self.rows):
            for j, value in row.items():
                out[i, j] = value
        return out

    def __matmul__(self, other: Any) -> Any:
        """The product with a vector or a dense matrix of exact numbers, or with another `ExactMatrix`.

        Raises
        ------
        ParameterError
            On another number of rows, more than two axes, or floats.
        """
        if isinstance(other, ExactMatrix):
            self._require(other.shape[0])
            products = (
                (i, k, a * b)
                for i, row in enumerate(self.rows)
                for j, a in row.items()
                for k, b in other.rows[j].items()
            )
            return ExactMatrix((self.shape[0], other.shape[1]), products)
        dense = np.asarray(other, dtype=object)
        if dense.ndim not in (1, 2):
            raise ParameterError(f"other: needed a vector or a matrix, got {other!r:.100}")
        self._require(len(dense))
        refuse_floats(dense.flat, lambda i: f"other[{', '.join(map(str, np.unravel_index(i, dense.shape)))}]")
        zero = np.full(dense.shape[1:], Fraction(0), dtype=object)
        out = np.empty((self.shape[0], *dense.shape[1:]), dtype=object)
        for i, row in enumerate(self.rows):
            out[i] = sum((value * dense[j] for j, value in row.items()), start=zero if dense.ndim > 1 else Fraction(0))
        return out

    def rank(self) -> int:
        """The rank over the rationals.

        Raises
        ------
        UnsupportedOperatorError
            If the entries are SymPy expressions.
        """
        if any(is_symbol(value) for row in self.rows for value in row.values()):
            raise UnsupportedOperatorError("rank: needed rational entries, got SymPy expressions; substitute numbers")
        return len(echelon(self.rows))

    def _require(self, size: int) -> None:
        if size != self.shape[1]:
            raise ParameterError(f"other: needed {self.shape[1]} rows, one per column, got {size}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExactMatrix):
            return NotImplemented
        return self.shape == other.shape and self.rows == other.rows

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ExactMatrix({self.shape[0]} x {self.shape[1]}, {self.nnz} entries)"


def echelon(rows: Iterable[Row]) -> dict[int, dict[int, Any]]:
    """An echelon basis of the span of some sparse rows: by its first column, a row that starts with 1 there.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from pathgraph.geometry.exactmatrix import echelon
    >>> sorted(echelon([{0: Fraction(2), 1: Fraction(4)}, {0: Fraction(1), 1: Fraction(2)}, {2: Fraction(1)}]))
    [0, 2]
    """
    basis: dict[int, dict[int, Any]] = {}
    for row in rows:
        left = dict(zip(row, accelerated(object_array(row.values())).tolist(), strict=True))
        while left:
            first = min(left)
            lead = left[first]
            if first not in basis:
                basis[first] = {j: value / lead for j, value in left.items()}
                break
            for j, value in basis[first].items():
                left[j] = left.get(j, 0) - lead * value
                if not left[j]:
                    del left[j]
    return basis


def null_space(rows: Iterable[Row], unknowns: Sequence[int]) -> list[dict[int, int]]:
    """A basis of the integer vectors x on `unknowns` with ``sum(row[j] * x[j]) == 0`` for every row.

    One vector per free unknown, in their order, with coprime entries.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from pathgraph.geometry.exactmatrix import null_space
    >>> null_space([{0: Fraction(2), 1: Fraction(-1)}], [0, 1, 2])
    [{1: 2, 0: 1}, {2: 1}]
    """
    basis = echelon(rows)
    # Which free unknowns each unknown depends on, found from the last pivot back.
    solved: dict[int, dict[int, Fraction]] = {j: {j: Fraction(1)} for j in unknowns if j not in basis}
    for pivot in sorted(basis, reverse=True):
        terms: dict[int, Fraction] = {}
        for j, value in zip(basis[pivot], restored(object_array(basis[pivot].values())), strict=True):
            if j != pivot:
                for free, multiple in solved[j].items():
                    terms[free] = terms.get(free, Fraction(0)) - value * multiple
        solved[pivot] = {free: multiple for free, multiple in terms.items() if multiple}
    vectors: dict[int, dict[int, Fraction]] = {j: {} for j in unknowns if j not in basis}
    for j in solved:
        for free, multiple in solved[j].items():
            vectors[free][j] = multiple
    out = []
    for vector in vectors.values():
        scale = Fraction(
            math.lcm(*(x.denominator for x in vector.values())), math.gcd(*(x.numerator for x in vector.values()))
        )
        out.append({j: int(x * scale) for j, x in vector.items()})
    return out
