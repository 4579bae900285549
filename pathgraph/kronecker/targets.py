r"""The matrix to be factorised: its entries on a pattern, its mass outside, and the enclosed errors of its cuts.

The error of the best approximation by two factors has the square: mass outside of the pattern, plus the squares of the
singular values of each block after the r-th (Eckart, Young). The singular values are computed in floating point, and
their error is bounded afterwards. Let U, S, V be what came out for a block B of shape b x c, and R = B - U S V^H. By
Ostrowski's theorem the singular values of U S V^H are S times factors between the smallest and the largest products
of singular values of U and V, which lie in 1 +- |U^H U - I| and 1 +- |V^H V - I| when squared; by Mirsky's theorem the
vector of the singular values of B is off by at most the Frobenius norm of R. Both defects are computed, and bounds on
the round-off of their computation are added.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Rational
from typing import Any

import numpy as np

from pathgraph.errors import ParameterError
from pathgraph.kronecker.chain import KSChain
from pathgraph.kronecker.conversion import dense, values_of
from pathgraph.kronecker.cuts import Cut, product_of
from pathgraph.kronecker.matrix import KSMatrix
from pathgraph.kronecker.patterns import KSPattern
from pathgraph.kronecker.sequences import Patterns
from pathgraph.scalars import Array

__all__ = ["UNIT", "Target", "decomposed", "exact_values", "gamma", "target_of"]

UNIT = 2.0**-53
SAFE = 200
"""Powers of two up to this one are squared and multiplied without a thought."""


def gamma(roundings: float, is_complex: bool = False) -> float:
    """How far from 1 a product of that many factors 1 + d, abs(d) <= UNIT, can be; complex operations count thrice."""
    count = roundings * (3 if is_complex else 1) * UNIT
    return count / (1 - count)


NORM_ERROR = gamma(132)


def norm(values: Array) -> float:
    """The Frobenius norm of an array of any shape; its relative round-off is at most `NORM_ERROR`.

    Squares are added in runs of 128, in any order, and the sums of the runs without round-off.
    """
    flat = np.ascontiguousarray(values).ravel()
    squares = flat.real**2 + flat.imag**2 if flat.dtype.kind == "c" else flat**2
    return math.sqrt(math.fsum(np.add.reduceat(squares, np.arange(0, flat.size, 128)).tolist()))


def decomposed(blocks: Array) -> tuple[Array, Array, Array]:
    """Thin singular value decompositions of a stack of matrices."""
    left, singular, right = np.linalg.svd(blocks, full_matrices=False)
    return left, singular, right


@dataclass(frozen=True)
class Target:
    """A matrix, divided by a power of two if it is very large or small.

    Attributes
    ----------
    pattern : KSPattern
    values : ndarray of float64 or complex128, shape (a, b, c, d)
        Its entries on the pattern.
    outside : tuple of two floats
        An enclosure of the Frobenius norm of the rest.
    exponent : int
        The power of two that was divided by.
    dtype : dtype
        Of the factors.
    """

    pattern: KSPattern
    values: Array
    outside: tuple[float, float]
    exponent: int
    dtype: Any

    @property
    def is_complex(self) -> bool:
        """Whether the entries are complex numbers."""
        return self.values.dtype.kind == "c"

    @property
    def norm(self) -> float:
        """The Frobenius norm of the matrix, up to round-off."""
        return math.hypot(norm(self.values), sum(self.outside) / 2)

    @property
    def mass(self) -> float:
        """The norm of the entries on the pattern, rounded upwards."""
        return norm(self.values) * (1 + 2 * NORM_ERROR)

    def unscale(self, value: float) -> float:
        """A number in the units of the matrix."""
        return value * 2.0 ** (self.exponent // 2) * 2.0 ** (self.exponent - self.exponent // 2)

    def distributed(self, factors: list[Array]) -> list[Array]:
        """The factors of the matrix from those of its quotient by the power of two."""
        share, rest = divmod(self.exponent, len(factors))
        return [_times_power(x, share + (n < rest)).astype(self.dtype) for n, x in enumerate(factors)]

    def tail(self, cut: Cut, rank: int) -> tuple[float, float]:
        """An enclosure of the root of the sum, over the blocks, of squares of singular values after the rank-th."""
        blocks = cut.blocks(self.values)
        size = min(cut.block_shape)
        if rank >= size:
            return 0.0, 0.0
        left, singular, right = decomposed(blocks)
        residual = norm(blocks - (left * singular[..., None, :]) @ right)
        residual += gamma(size + 3, self.is_complex) * 1.01 * norm(singular.sum(axis=-1))
        unitary, slack = np.eye(size), gamma(max(cut.block_shape) + 2, self.is_complex) * 1.01 * size
        defects = [
            float(np.linalg.norm(gram - unitary, axis=(-2, -1)).max()) + slack
            for gram in (left.conj().swapaxes(-1, -2) @ left, right @ right.conj().swapaxes(-1, -2))
        ]
        tail = norm(singular[..., rank:])
        sums = NORM_ERROR
        low = tail * (1 - sums) * math.sqrt(max(0.0, 1 - defects[0]) * max(0.0, 1 - defects[1])) - residual * (1 + sums)
        high = tail * (1 + sums) * math.sqrt((1 + defects[0]) * (1 + defects[1])) + residual * (1 + sums)
        return max(low, 0.0), high

    def error(self, patterns: Patterns, factors: list[Array]) -> tuple[float, float]:
        """The error of a product of factors, and a bound on the round-off of it and of the factors' type."""
        wide = [factor.astype(self.values.dtype) for factor in factors]
        error = math.hypot(norm(self.values - product_of(patterns, wide)), sum(self.outside) / 2)
        mass = norm(product_of(patterns, [abs(factor) for factor in wide]))
        steps = sum(left.rank(right) + 1 for left, right in itertools.pairwise(patterns))
        units = float(np.finfo(self.dtype).eps) * len(patterns) + gamma(steps, self.is_complex)
        return error, 1.01 * units * mass + 2 * NORM_ERROR * error + (self.outside[1] - self.outside[0])


def target_of(A: Any, pattern: KSPattern) -> Target:
    """The matrix, read and checked.

    Raises
    ------
    ParameterError
        On another shape than that of the pattern, NaN, infinities, and scalars that are no floats or integers.
    """
    if isinstance(A, KSChain) and A.is_chainable and A.pattern == pattern:
        return _scaled(product_of(A.patterns, [_numbers(factor.values) for factor in A.factors]), None, pattern)
    if isinstance(A, KSMatrix) and A.pattern == pattern:
        return _scaled(_numbers(A.values), None, pattern)
    if hasattr(A, "toarray"):
        A = A.toarray()
    elif hasattr(A, "matmat"):
        A = A.matmat(np.eye(A.shape[1], dtype=getattr(A, "dtype", None)))
    matrix = _numbers(A)
    _require_shape(matrix, pattern)
    return _scaled(values_of(matrix, pattern, is_exact=False), matrix, pattern)


def exact_values(A: Any, pattern: KSPattern) -> tuple[Array, int] | None:
    """The values and the number of entries outside of the pattern, of a matrix of exact numbers; None for others.

    Raises
    ------
    ParameterError
        On another shape, and on Python objects that are no rational numbers.
    """
    kind = getattr(A, "dtype", None)
    if kind is None and isinstance(A, Sequence):
        A = _array(A)
        kind = A.dtype
    if kind != np.dtype(object):
        return None
    array = A.toarray() if hasattr(A, "toarray") else np.asarray(A)
    if not all(isinstance(value, (Rational, np.integer)) for value in array.ravel()):
        raise ParameterError("A: needed floats, or exact numbers such as Fractions, got other Python objects")
    _require_shape(array, pattern)
    values = values_of(array, pattern, is_exact=False)
    return values, int(np.count_nonzero(array)) - int(np.count_nonzero(values))


def _require_shape(matrix: Array, pattern: KSPattern) -> None:
    if matrix.shape != pattern.shape:
        raise ParameterError(
            f"A: needed the shape {pattern.shape} of the product of the patterns, {pattern}, got {matrix.shape}"
        )


def _array(A: Any) -> Array:
    try:
        return np.asarray(A)
    except ValueError:
        raise ParameterError("A: needed a matrix of numbers, got rows of different lengths") from None


def _numbers(A: Any) -> Array:
    """The array, of a type that is a float or an integer, finite."""
    array = _array(A)
    if array.dtype.kind not in "fcbiu":
        raise ParameterError(
            f"A: needed real or complex floats, got the type {array.dtype}; singular values of exact numbers are no "
            "exact numbers: convert with A.astype(float)"
        )
    if not np.isfinite(array).all():
        raise ParameterError("A: needed finite numbers, got NaN or infinities")
    return array


def _scaled(values: Array, matrix: Array | None, pattern: KSPattern) -> Target:
    kind = values.dtype
    single = kind.kind in "fc" and np.finfo(kind).bits <= 32
    is_complex = kind.kind == "c"
    dtype = (np.complex64 if single else np.complex128) if is_complex else np.float32 if single else np.float64
    wide = np.complex128 if is_complex else np.float64
    whole = values if matrix is None else matrix
    largest = float(np.max([abs(whole.real).max(), abs(whole.imag).max()]))
    exponent = math.frexp(largest)[1]
    exponent = exponent if abs(exponent) > SAFE else 0
    outside = (0.0, 0.0)
    if matrix is not None and values.size < matrix.size:
        rest = _times_power(matrix.astype(wide) - dense(values.astype(wide), pattern, sys.maxsize), -exponent)
        mass = norm(rest)
        outside = (mass * (1 - NORM_ERROR), mass * (1 + NORM_ERROR))
    return Target(pattern, _times_power(values.astype(wide), -exponent), outside, exponent, np.dtype(dtype))


def _times_power(array: Array, exponent: int) -> Array:
    return array * 2.0 ** (exponent // 2) * 2.0 ** (exponent - exponent // 2) if exponent else array
