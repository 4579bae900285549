"""What is found block by block: norms, inverses, solutions and determinants.

Up to permutations of rows and columns the matrix is block-diagonal, and if the blocks are square both permutations are
the same; so norms, inverses, pseudo-inverses and determinants are those of the blocks. Floats and complex numbers go
through LAPACK, Fractions through elimination without rounding.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from pathgraph.errors import ParameterError, UnsupportedOperatorError
from pathgraph.kronecker.operands import as_operand, checked_axis, flattened, product_type
from pathgraph.kronecker.operator import KSOperator
from pathgraph.kronecker.patterns import KSPattern
from pathgraph.scalars import Array, is_symbol
from pathgraph.shown import argument_text

__all__ = ["Blockwise"]


class Blockwise(KSOperator):
    """What `KSMatrix` has of its blocks; they are its pattern and its values, besides the protocol of operators."""

    pattern: KSPattern
    values: Array

    @property
    def blocks(self) -> Array:
        """The dense blocks, shape (a, d, b, c)."""
        raise NotImplementedError

    def _of(self, values: Array) -> Any:
        """A matrix that keeps these values."""
        raise NotImplementedError

    def norm(self, ord: Any = "fro") -> Any:
        """A norm, in closed form: 1 (columns), inf (rows), 2 (spectral) or "fro".

        Returns
        -------
        float, or Fraction
            1 and inf are exact on Fractions; elsewhere a float, computed in float64.

        Raises
        ------
        ParameterError
            On another norm.

        Notes
        -----
        Rows of absolute values are sums over k, columns over j, and the spectral norm is the largest one of the blocks,
        since the matrix is block-diagonal up to permutations.

        Examples
        --------
        >>> import pathgraph as pg
        >>> K = pg.KSMatrix([[[[3, 1]], [[4, 0]]]])
        >>> K.norm(1), K.norm(float("inf")), K.norm(2), K.norm()
        (7.0, 4.0, 5.0, 5.0990195135927845)
        """
        return _norm(self, ord)

    def inv(self) -> Any:
        """The inverse, which has the same pattern: block by block, exactly on Fractions.

        Raises
        ------
        ParameterError
            If the blocks are not square, or one is singular: it is named.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSMatrix([[[[2.0, 4.0]]]]).inv().values.ravel()
        array([0.5 , 0.25])
        """
        blocks = _square(self, "inv")
        identity = np.broadcast_to(np.eye(blocks.shape[2], dtype=blocks.dtype), blocks.shape)
        return self._of(_values(_solved(blocks, identity)))

    def pinv(self, rtol: float | None = None) -> Any:
        """The pseudo-inverse, of the transposed pattern: block by block, floats and complex numbers.

        Parameters
        ----------
        rtol : float, optional
            Singular values below this part of the largest one of their block count as zero; by default
            max(b, c) times the rounding unit of the type.

        Raises
        ------
        UnsupportedOperatorError
            On Python objects.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSMatrix([[[[2.0]], [[0.0]]]]).pinv().toarray().tolist()
        [[0.5, 0.0]]
        """
        if self.dtype.kind == "O":
            raise UnsupportedOperatorError("pinv: needed machine numbers, got Python objects; use .astype(float)")
        blocks = _for_lapack(self.blocks)
        if rtol is None:
            rtol = max(blocks.shape[2:]) * float(np.finfo(blocks.dtype).eps)
        return self._of(_values(np.linalg.pinv(blocks, rtol)))

    def solve(self, right: Any, axis: int = 0) -> Array:
        """The x with ``apply(x, axis) == right``, block by block, exactly on Fractions.

        Parameters
        ----------
        right : array_like, n_rows long along `axis`
        axis : int

        Raises
        ------
        ParameterError
            On a wrong shape, on blocks that are not square, or singular.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSMatrix([[[[2.0, 4.0]]]]).solve([1.0, 1.0])
        array([0.5 , 0.25])
        """
        blocks = _square(self, "solve")
        array = as_operand(right, "right")
        axis = checked_axis(array, axis, "right", self.shape[0], self.shape)
        a, b, _, d = self.pattern
        dtype = product_type(blocks.dtype, array.dtype)
        moved = np.moveaxis(array, axis, 0)
        given = flattened(array, axis).reshape(a, b, d, array.size // self.shape[0]).transpose(0, 2, 1, 3)
        right = given.astype(dtype, copy=False)
        found = _solved(blocks.astype(dtype, copy=False), right if dtype.kind == "O" else _for_lapack(right))
        return np.moveaxis(found.transpose(0, 2, 1, 3).reshape(moved.shape), 0, axis)

    def det(self) -> Any:
        """The determinant: the product of those of the blocks, exact on Fractions; it may overflow, see `slogdet`.

        Raises
        ------
        ParameterError
            If the blocks are not square.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSMatrix([[[[2.0, 4.0]]]]).det()
        8.0
        """
        blocks = _square(self, "det")
        if blocks.dtype.kind == "O":
            return math.prod(_eliminated(block, None)[0] for block in blocks.reshape(-1, *blocks.shape[2:]))
        with np.errstate(over="ignore", under="ignore"):
            return np.prod(np.linalg.det(blocks)).item()

    def slogdet(self) -> tuple[Any, float]:
        """The sign (or phase) of the determinant and the logarithm of its absolute value.

        Raises
        ------
        ParameterError
            If the blocks are not square.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSMatrix([[[[2.0, -4.0]]]]).slogdet()
        (-1.0, 2.0794415416798357)
        """
        signs, logs = np.linalg.slogdet(_square(self._of(_floats(self.values)), "slogdet"))
        return np.prod(signs).item(), float(logs.sum())


def _norm(matrix: Blockwise, ord: Any) -> Any:
    """The norm `ord`."""
    if isinstance(ord, str) and ord == "fro":
        return _frobenius(np.abs(_floats(matrix.values)))
    if not isinstance(ord, str) and ord in (1, math.inf):
        if matrix.dtype.kind == "O":
            _refuse_symbols(matrix.values)
        sizes = np.abs(matrix.values if matrix.dtype.kind == "O" else _floats(matrix.values))
        largest = sizes.sum(axis=1 if ord == 1 else 2).max()
        return largest if matrix.dtype.kind == "O" else float(largest)
    if not isinstance(ord, str) and ord == 2:
        return float(np.linalg.norm(_floats(matrix.blocks), 2, axis=(2, 3)).max())
    raise ParameterError(f"ord: needed 1, 2, inf or 'fro', got {argument_text(ord)}")


def _floats(values: Array) -> Array:
    """The values in double precision.

    Raises
    ------
    UnsupportedOperatorError
        On symbols, which have none.
    """
    if values.dtype.kind == "O":
        _refuse_symbols(values)
    is_complex = values.dtype.kind == "c" or (
        values.dtype.kind == "O" and any(isinstance(value, (complex, np.complexfloating)) for value in values.flat)
    )
    return values.astype(np.complex128 if is_complex else np.float64)


def _refuse_symbols(values: Array) -> None:
    if any(map(is_symbol, values.flat)):
        raise UnsupportedOperatorError(
            "norm, slogdet: SymPy expressions have no order; substitute numbers for the symbols"
        )


def _frobenius(sizes: Array) -> float:
    largest = float(sizes.max())
    if not 0 < largest < math.inf:
        return largest
    exponent = math.frexp(largest)[1]
    return math.ldexp(math.sqrt(float(np.sum(np.ldexp(sizes, -exponent) ** 2))), exponent)


def _square(matrix: Blockwise, function: str) -> Array:
    if matrix.pattern.b != matrix.pattern.c:
        raise ParameterError(f"{function}: needed square blocks (b = c), got {matrix.pattern}; pinv takes any")
    return matrix.blocks if matrix.dtype.kind == "O" else _for_lapack(matrix.blocks)


def _for_lapack(blocks: Array) -> Array:
    """Blocks in a type that LAPACK has."""
    if blocks.dtype.char in "fdFD":
        return blocks
    if blocks.dtype == np.float16:
        return blocks.astype(np.float32)
    return blocks.astype(np.complex128 if blocks.dtype.kind == "c" else np.float64)


def _values(blocks: Array) -> Array:
    """Blocks (a, d, b, c) as values (a, b, c, d)."""
    return np.ascontiguousarray(blocks.transpose(0, 2, 3, 1))


def _solved(blocks: Array, right: Array) -> Array:
    """Solutions for every block, shape (a, d, b, n)."""
    if blocks.dtype.kind != "O":
        try:
            return np.linalg.solve(blocks, right)
        except np.linalg.LinAlgError:
            signs, _ = np.linalg.slogdet(blocks)
            _refuse_singular(*np.argwhere(signs == 0)[0].tolist())
    found = np.empty(right.shape, dtype=object)
    for place in np.ndindex(blocks.shape[:2]):
        det, found[place] = _eliminated(blocks[place], right[place])
        if det == 0:
            _refuse_singular(*place)
    return found


def _refuse_singular(i: int, l: int) -> None:  # noqa: E741
    raise ParameterError(f"the block (i, l) = ({i}, {l}) is singular, so the matrix has no inverse; pinv takes it")


def _eliminated(block: Array, right: Array | None) -> tuple[Any, Array | None]:
    """The determinant and the solution of a square system of exact numbers; no solution if it is singular."""
    n = len(block)
    rows = block.copy() if right is None else np.concatenate([block, right], axis=1)
    det: Any = 1
    for j in range(n):
        pivot = next((i for i in range(j, n) if rows[i, j] != 0), None)
        if pivot is None:
            return 0 * rows[0, 0], None
        if pivot != j:
            rows[[j, pivot]] = rows[[pivot, j]]
            det = -det
        det = det * rows[j, j]
        rows[j] = [_quotient(value, rows[j, j]) for value in rows[j]]
        for i in range(n):
            if i != j and rows[i, j] != 0:
                rows[i] = rows[i] - rows[i, j] * rows[j]
    return det, None if right is None else rows[:, n:]


def _quotient(number: Any, divisor: Any) -> Any:
    return Fraction(number, divisor) if isinstance(number, int) and isinstance(divisor, int) else number / divisor
