"""What is found block by block: norms, inverses, solutions and determinants.

Up to permutations of rows and columns the matrix is block-diagonal, and if the blocks are square both permutations are
the same; so norms, inverses, pseudo-inverses and determinants are those of the blocks. Floats and complex numbers go
through LAPACK, Fractions through elimination without rounding.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.errors import ParameterError, UnsupportedOperatorError
from pathgraph.kronecker.operands import as_operand, flattened, product_type
from pathgraph.scalars import Array

if TYPE_CHECKING:
    from pathgraph.kronecker.matrix import KSMatrix

__all__ = ["determinant", "inverse", "log_determinant", "norm", "pseudo_inverse", "solve"]


def norm(matrix: KSMatrix, ord: Any) -> Any:
    """The norm `ord`: 1, 2, inf or "fro".

    Raises
    ------
    ParameterError
    """
    if isinstance(ord, str) and ord == "fro":
        return _frobenius(np.abs(_floats(matrix.values)))
    if not isinstance(ord, str) and ord in (1, math.inf):
        sizes = np.abs(matrix.values if matrix.dtype == object else _floats(matrix.values))
        return (
            np.sum(sizes, axis=1 if ord == 1 else 2).max()
            if matrix.dtype == object
            else float(sizes.sum(axis=1 if ord == 1 else 2).max())
        )
    if not isinstance(ord, str) and ord == 2:
        return float(np.linalg.norm(_floats(matrix.blocks), 2, axis=(2, 3)).max())
    raise ParameterError(f"ord: needed 1, 2, inf or 'fro', got {ord!r}")


def _floats(values: Array) -> Array:
    """The values in double precision."""
    is_complex = values.dtype.kind == "c" or (
        values.dtype == object and any(isinstance(value, (complex, np.complexfloating)) for value in values.flat)
    )
    return values.astype(np.complex128 if is_complex else np.float64)


def _frobenius(sizes: Array) -> float:
    largest = float(sizes.max())
    if not 0 < largest < math.inf:
        return largest
    exponent = math.frexp(largest)[1]
    return math.ldexp(math.sqrt(float(np.sum(np.ldexp(sizes, -exponent) ** 2))), exponent)


def inverse(matrix: KSMatrix) -> Array:
    """The values of the inverse.

    Raises
    ------
    ParameterError
    """
    blocks = _square(matrix, "inv")
    identity = np.broadcast_to(np.eye(blocks.shape[2], dtype=blocks.dtype), blocks.shape)
    return _values(_solved(blocks, identity))


def pseudo_inverse(matrix: KSMatrix, rtol: float | None) -> Array:
    """The values of the pseudo-inverse.

    Raises
    ------
    UnsupportedOperatorError
    """
    if matrix.dtype == object:
        raise UnsupportedOperatorError("pinv: needed floats or complex numbers, got Python objects; use .astype(float)")
    blocks = _for_lapack(matrix.blocks)
    if rtol is None:
        rtol = max(blocks.shape[2:]) * float(np.finfo(blocks.dtype).eps)
    return _values(np.linalg.pinv(blocks, rtol))


def solve(matrix: KSMatrix, right: Any, axis: int) -> Array:
    """The solution of K x = right along an axis.

    Raises
    ------
    ParameterError
    """
    blocks = _square(matrix, "solve")
    array = as_operand(right, "right")
    size = matrix.shape[0]
    if not -array.ndim <= axis < array.ndim or array.shape[axis] != size:
        raise ParameterError(
            f"right: needed {size} entries along axis {axis} for a matrix of shape {matrix.shape}, got {array.shape}"
        )
    a, b, _, d = matrix.pattern
    dtype = product_type(blocks.dtype, array.dtype)
    moved = np.moveaxis(array, axis, 0)
    given = flattened(array, axis).reshape(a, b, d, array.size // size).transpose(0, 2, 1, 3)
    found = _solved(blocks.astype(dtype, copy=False), given.astype(dtype, copy=False))
    return np.moveaxis(found.transpose(0, 2, 1, 3).reshape(moved.shape), 0, axis)


def determinant(matrix: KSMatrix) -> Any:
    """The determinant.

    Raises
    ------
    ParameterError
    """
    blocks = _square(matrix, "det")
    if blocks.dtype == object:
        return math.prod(_eliminated(block, None)[0] for block in blocks.reshape(-1, *blocks.shape[2:]))
    with np.errstate(over="ignore", under="ignore"):
        return np.prod(np.linalg.det(blocks)).item()


def log_determinant(matrix: KSMatrix) -> tuple[Any, float]:
    """The sign of the determinant and the logarithm of its absolute value.

    Raises
    ------
    ParameterError
    """
    signs, logs = np.linalg.slogdet(_square(matrix.astype(_floats(matrix.values).dtype), "slogdet"))
    return np.prod(signs).item(), float(logs.sum())


def _square(matrix: KSMatrix, function: str) -> Array:
    if matrix.pattern.b != matrix.pattern.c:
        raise ParameterError(f"{function}: needed square blocks (b = c), got {matrix.pattern}; pinv takes any")
    return matrix.blocks if matrix.dtype == object else _for_lapack(matrix.blocks)


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
    if blocks.dtype != object:
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
    from fractions import Fraction

    return Fraction(number, divisor) if isinstance(number, int) and isinstance(divisor, int) else number / divisor
