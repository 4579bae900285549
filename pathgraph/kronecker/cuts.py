"""A product of two Kronecker-sparse factors, cut into its blocks of bounded rank.

Let ``left = (a1, b1, c1, d1)`` and ``right = (a2, b2, c2, d2)`` be chainable: a1 divides a2, d2 divides d1, and
``r = a1 c1 / a2 = b2 d2 / d1`` is an integer. With ``P = a2 / a1`` and ``Q = d1 / d2``, the inner index of the product
is (i, p, t, q, l), where t < r: all r values of t have the same column support in the left factor and the same row
support in the right one. So the product is, for each of the ``a1 P Q d2`` groups (i, p, q, l), a matrix of shape
(b1, c2) and rank at most r, and these blocks are disjoint: they partition the support of the product, whose pattern is
``(a1, b1 Q, P c2, d2)``. A cut therefore gives and takes three stacks of matrices, by reshaping and transposing:

    product (a1, b1 Q, P c2, d2)   ->   (a1, P, Q, d2, b1, c2)
    left    (a1, b1, P r, Q d2)    ->   (a1, P, Q, d2, b1, r)
    right   (a1 P, r Q, c2, d2)    ->   (a1, P, Q, d2, r, c2)

Nothing is checked here: the sequences come from `pathgraph.kronecker.sequences`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from pathgraph.kronecker.patterns import KSPattern
from pathgraph.scalars import Array

__all__ = ["Cut", "cut_at", "product_of", "span"]


@dataclass(frozen=True)
class Cut:
    """Where a product is cut: a chainable pair of patterns.

    Attributes
    ----------
    left, right : KSPattern
    """

    left: KSPattern
    right: KSPattern

    @property
    def rank(self) -> int:
        """The number r of inner indices of a block."""
        return self.left.a * self.left.c // self.right.a

    @property
    def groups(self) -> tuple[int, int, int, int]:
        """The shape (a1, P, Q, d2) of the stacks."""
        left, right = self.left, self.right
        return left.a, right.a // left.a, left.d // right.d, right.d

    @property
    def block_shape(self) -> tuple[int, int]:
        """The shape (b1, c2) of a block of the product."""
        return self.left.b, self.right.c

    def blocks(self, values: Array) -> Array:
        """The blocks of a product: a view of shape (a1, P, Q, d2, b1, c2) if `values` is contiguous."""
        a, p, q, d = self.groups
        b, c = self.block_shape
        return values.reshape(a, b, q, p, c, d).transpose(0, 3, 2, 5, 1, 4)

    def product(self, blocks: Array) -> Array:
        """The values of the product that has these blocks."""
        a, p, q, d = self.groups
        b, c = self.block_shape
        return blocks.transpose(0, 4, 2, 1, 5, 3).reshape(a, b * q, p * c, d)

    def columns(self, left: Array) -> Array:
        """The blocks of columns of the left factor: shape (a1, P, Q, d2, b1, r)."""
        a, p, q, d = self.groups
        return left.reshape(a, self.left.b, p, self.rank, q, d).transpose(0, 2, 4, 5, 1, 3)

    def left_values(self, columns: Array) -> Array:
        """The values of the left factor that has these blocks of columns."""
        a, p, q, d = self.groups
        return columns.transpose(0, 4, 1, 5, 2, 3).reshape(a, self.left.b, p * self.rank, q * d)

    def rows(self, right: Array) -> Array:
        """The blocks of rows of the right factor: shape (a1, P, Q, d2, r, c2)."""
        a, p, q, d = self.groups
        return right.reshape(a, p, self.rank, q, self.right.c, d).transpose(0, 1, 3, 5, 2, 4)

    def right_values(self, rows: Array) -> Array:
        """The values of the right factor that has these blocks of rows."""
        a, p, q, d = self.groups
        return rows.transpose(0, 1, 4, 2, 5, 3).reshape(a * p, self.rank * q, self.right.c, d)

    def multiply(self, left: Array, right: Array) -> Array:
        """The values of the product of two factors; any scalars."""
        return self.product(self.columns(left) @ self.rows(right))


def product_of(patterns: tuple[KSPattern, ...], factors: list[Array]) -> Array:
    """The values of the product of a chain, from left to right; any scalars."""
    values, pattern = factors[0], patterns[0]
    for factor, right in zip(factors[1:], patterns[1:], strict=True):
        values, pattern = Cut(pattern, right).multiply(values, factor), pattern * right
    return values


def span(patterns: tuple[KSPattern, ...]) -> KSPattern:
    """The pattern of the product of a chain."""
    return reduce(lambda left, right: left * right, patterns)


def cut_at(patterns: tuple[KSPattern, ...], cut: int) -> Cut:
    """The cut behind the first `cut` patterns of a chain."""
    return Cut(span(patterns[:cut]), span(patterns[cut:]))
