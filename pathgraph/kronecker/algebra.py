"""How Kronecker-sparse matrices combine, as products and as diagonal blocks; and the gradient in their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.devices import refuse_elsewhere
from pathgraph.errors import ParameterError
from pathgraph.kronecker.blockwise import Blockwise
from pathgraph.kronecker.execution import computed_in
from pathgraph.kronecker.operands import as_operand, checked_axis, flattened, product_type, with_axis
from pathgraph.scalars import Array

if TYPE_CHECKING:
    from pathgraph.kronecker.matrix import KSMatrix

__all__ = ["block_diagonal", "product", "values_gradient"]


def product(first: KSMatrix, second: KSMatrix) -> Array:
    r"""The values of the product of two matrices of chainable patterns.

    Notes
    -----
    Chainability gives integers with a2 = a1 s, d1 = t d2, c1 = s r and b2 = t r, and the inner index
    (i, sigma, rho, tau, l) is column (i, sigma r + rho, tau d2 + l) of the first matrix and row
    (i s + sigma, rho t + tau, l) of the second. So the blocks of the product are products of b1 x r by r x c2
    matrices, one for each (i, sigma, tau, l). Derived here.

    Raises
    ------
    ParameterError
        If they are not chainable.
    """
    left, right = first.pattern, second.pattern
    found, r = left * right, left.rank(right)
    s, t, d = right.a // left.a, left.d // right.d, right.d
    dtype = product_type(first.dtype, second.dtype)
    work = computed_in(dtype)
    tall = first.values.reshape(left.a, left.b, s, r, t, d).transpose(0, 2, 4, 5, 1, 3).astype(work, copy=False)
    wide = second.values.reshape(left.a, s, r, t, right.c, d).transpose(0, 1, 3, 5, 2, 4).astype(work, copy=False)
    blocks = np.matmul(tall, wide)  # (i, sigma, tau, l, j, k)
    values = blocks.transpose(0, 4, 2, 1, 5, 3).reshape(found.values_shape)
    return np.ascontiguousarray(values.astype(dtype, copy=False))


def block_diagonal(matrices: Sequence[KSMatrix]) -> Array:
    """The values of the block-diagonal matrix of some matrices.

    Raises
    ------
    ParameterError
    """
    listed = list(matrices)
    if not listed:
        raise ParameterError("matrices: needed at least one, got none")
    for i, matrix in enumerate(listed):
        refuse_elsewhere(matrix, f"matrices[{i}]")
        if not isinstance(matrix, Blockwise):
            raise ParameterError(f"matrices[{i}]: needed a KSMatrix, got {type(matrix).__name__}")
        if matrix.pattern.values_shape[1:] != listed[0].pattern.values_shape[1:]:
            raise ParameterError(
                f"matrices[{i}]: needed the b, c and d of {listed[0].pattern}, got {matrix.pattern}; see kron_eye"
            )
    return np.concatenate([matrix.values for matrix in listed])


def values_gradient(matrix: KSMatrix, x: Any, gradient: Any, axis: int) -> Array:
    """The sum over the batch of the products of G with conjugate x, at the places of the values.

    Raises
    ------
    ParameterError
    """
    a, b, c, d = matrix.pattern
    array, given = as_operand(x, "x"), as_operand(gradient, "gradient")
    axis = checked_axis(array, axis, "x", matrix.shape[1], matrix.shape)
    needed = with_axis(array.shape, axis, matrix.shape[0])
    if given.shape != needed:
        raise ParameterError(f"gradient: needed shape {needed}, that of the product, got {given.shape}")
    dtype = product_type(array.dtype, given.dtype)
    work = computed_in(dtype)
    source = flattened(array, axis).astype(work, copy=False).reshape(a, c, d, -1) if array.size else None
    if source is None:
        return np.zeros(matrix.pattern.values_shape, dtype=dtype)
    target = flattened(given, axis).astype(work, copy=False).reshape(a, b, d, -1)
    blocks = np.matmul(target.transpose(0, 2, 1, 3), source.conj().transpose(0, 2, 3, 1))  # (a, d, b, c)
    return np.ascontiguousarray(blocks.transpose(0, 2, 3, 1).astype(dtype, copy=False))
