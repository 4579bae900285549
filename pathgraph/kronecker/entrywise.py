"""What keeps the pattern: sums and multiples, entrywise products, and scalings of rows and columns."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.linalg import LinearOperator

from pathgraph.devices import refuse_elsewhere
from pathgraph.errors import ParameterError
from pathgraph.kronecker.blockwise import Blockwise
from pathgraph.kronecker.operands import as_operand
from pathgraph.scalars import Array

__all__ = ["Entrywise"]


class Entrywise(Blockwise):
    """What `KSMatrix` does with its values one by one."""

    def _map(self, function: Callable[[Array], Any]) -> Any:
        return self._of(np.asarray(function(self.values), dtype=object if self.dtype.kind == "O" else None))

    def _scaled(self, factor: Any, *, divide: bool = False) -> Any:
        number = factor.item() if isinstance(factor, np.ndarray) and self.dtype.kind == "O" else factor
        if isinstance(number, Fraction) and self.dtype.kind in "fc":
            number = float(number)  # else NumPy would make objects of the floats
        if divide and self.dtype.kind == "O" and isinstance(number, Integral):
            return self._map(lambda w: w * Fraction(1, int(number)))  # Python's quotient of integers is a float
        return self._map(lambda w: w / number if divide else w * number)

    def __add__(self, other: Any) -> Any:
        return self._sum(other, lambda v, w: v + w)

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, Entrywise) and other.pattern == self.pattern:
            return self._sum(other, lambda v, w: v - w)
        return self + (-other)

    def _sum(self, other: Any, add: Callable[[Array, Array], Array]) -> Any:
        if not isinstance(other, LinearOperator):
            return NotImplemented
        if other.shape != self.shape:
            raise ParameterError(f"cannot add shapes {self.shape} and {other.shape}")
        if isinstance(other, Entrywise) and other.pattern == self.pattern:
            return self._of(add(self.values, other.values))
        return LinearOperator.__add__(self, other)

    def multiply(self, other: Any) -> Any:
        """The entrywise (Hadamard) product with a matrix of the same pattern.

        Raises
        ------
        ParameterError
            On another pattern.

        Examples
        --------
        >>> import pathgraph as pg
        >>> K = pg.KSMatrix([[[[2, 3]]]])
        >>> K.multiply(K).values.ravel()
        array([4, 9])
        """
        refuse_elsewhere(other, "other")
        if not isinstance(other, Entrywise):
            raise ParameterError(f"other: needed a KSMatrix, got {type(other).__name__}")
        if other.pattern != self.pattern:
            raise ParameterError(f"other: needed the pattern {self.pattern}, got {other.pattern}")
        return self._of(self.values * other.values)

    def scale(self, *, rows: ArrayLike | None = None, columns: ArrayLike | None = None) -> Any:
        """The matrix with its rows and columns multiplied by numbers: diag(rows) K diag(columns).

        Parameters
        ----------
        rows : array_like, shape (n_rows,), optional
        columns : array_like, shape (n_columns,), optional

        Raises
        ------
        ParameterError
            On other shapes.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSMatrix([[[[1, 1]]]]).scale(rows=[2, 3], columns=[1, 10]).toarray().tolist()
        [[2, 0], [0, 30]]
        """
        a, b, c, d = self.pattern
        values = self.values
        if rows is not None:
            values = values * _factors(rows, "rows", a * b * d).reshape(a, b, 1, d)
        if columns is not None:
            values = values * _factors(columns, "columns", a * c * d).reshape(a, 1, c, d)
        return self._of(values)


def _factors(factors: ArrayLike, name: str, size: int) -> Array:
    array = as_operand(factors, name)
    if array.shape != (size,):
        raise ParameterError(f"{name}: needed shape ({size},), one factor each, got {array.shape}")
    return array
