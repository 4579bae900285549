r"""Kronecker-sparsity patterns: which entries may be non-zero, and which patterns multiply to a pattern.

A pattern (a, b, c, d) stands for the matrices of shape (a b d, a c d) whose support lies in that of

.. math:: I_a \otimes \mathbf 1_{b \times c} \otimes I_d .

Row (i, j, l) is number :math:`i b d + j d + l`, column (i', k, l') is number :math:`i' c d + k d + l'`, and the entry
there may be non-zero only if i = i' and l = l': there is one value :math:`w_{ijkl}` for each (i, j, k, l). So the
matrix is a permuted block-diagonal matrix of a d dense blocks of shape b x c, one per (i, l).

Nothing here holds values. Sizes are Python integers, below :math:`2^{63}`.

Source: arXiv 2405.15013; the product of patterns from arXiv 2411.04506.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pathgraph.arguments import natural
from pathgraph.errors import ParameterError
from pathgraph.graph.ordering import index_type
from pathgraph.shown import argument_text

__all__ = ["LIMIT", "MAX_BYTES", "KSPattern", "guard", "product_nnz", "sparse_array"]

MAX_BYTES = 2**31
"""What `toarray` and the like allocate without being asked twice."""

LIMIT = 2**63
"""Numbers of rows, columns and values are below it, so that they are indices."""

FORMATS = ("csr", "csc", "coo", "bsr", "dia", "dok", "lil")
"""Formats of SciPy's sparse arrays."""


def guard(size: int, itemsize: int, max_bytes: int, what: str, instead: str) -> None:
    """Refuse to allocate more than `max_bytes`.

    Raises
    ------
    ParameterError
    """
    if size * itemsize > max_bytes:
        raise ParameterError(
            f"{what} would take {size * itemsize:.3g} bytes, more than max_bytes={max_bytes}; {instead}, or give a "
            "larger max_bytes"
        )


@dataclass(frozen=True, repr=False)
class KSPattern:
    r"""The pattern :math:`I_a \otimes \mathbf 1_{b \times c} \otimes I_d` of a Kronecker-sparse matrix.

    Parameters
    ----------
    a, b, c, d : int
        At least 1; the numbers of rows, columns and values must be below :math:`2^{63}`.

    Raises
    ------
    ParameterError
        On zeros, negative numbers, what is no integer, and sizes beyond :math:`2^{63}`.

    Notes
    -----
    The pattern is dense if a = d = 1 and block-diagonal if d = 1. Patterns are hashable and unpack to (a, b, c, d).

    References
    ----------
    arXiv 2405.15013.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pattern = pg.KSPattern(2, 3, 4, 5)
    >>> pattern.shape, pattern.nnz, pattern.density
    ((30, 40), 120, 0.1)
    >>> pattern.T, pg.KSPattern(1, 2, 2, 2) * pg.KSPattern(2, 2, 2, 1)
    (KSPattern(2, 4, 3, 5), KSPattern(1, 4, 4, 1))
    """

    a: int
    b: int
    c: int
    d: int

    def __post_init__(self) -> None:
        for name in "abcd":
            object.__setattr__(self, name, natural(getattr(self, name), name, least=1))
        for what, size in (("rows", self.shape[0]), ("columns", self.shape[1]), ("values", self.nnz)):
            if size >= LIMIT:
                raise ParameterError(
                    f"{argument_text(self)}: needed fewer than 2**63 {what}, got {argument_text(size)}"
                )

    def __iter__(self) -> Iterator[int]:
        return iter((self.a, self.b, self.c, self.d))

    def __repr__(self) -> str:
        return f"KSPattern({self.a}, {self.b}, {self.c}, {self.d})"

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns of the matrices: (a b d, a c d)."""
        return self.a * self.b * self.d, self.a * self.c * self.d

    @property
    def values_shape(self) -> tuple[int, int, int, int]:
        """Shape of the array of values: (a, b, c, d)."""
        return self.a, self.b, self.c, self.d

    @property
    def nnz(self) -> int:
        """Number of entries in the support: a b c d."""
        return self.a * self.b * self.c * self.d

    @property
    def density(self) -> float:
        """Part of the entries that is in the support: 1 / (a d)."""
        return 1 / (self.a * self.d)

    @property
    def is_dense(self) -> bool:
        """Whether the support is everything: a = d = 1."""
        return self.a == self.d == 1

    def intensity(self, itemsize: int, batch: int | None = None) -> float:
        """Floating-point operations per byte of a product with `batch` columns that moves every number once.

        Parameters
        ----------
        itemsize : int
            Bytes per number.
        batch : int, optional
            By default the limit for large batches, 2 b c / ((b + c) itemsize): it depends on b and c only.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSPattern(7, 64, 64, 3).intensity(4), pg.KSPattern(1, 2, 2, 1).intensity(1, batch=1)
        (16.0, 1.0)
        """
        natural(itemsize, "itemsize", least=1)
        if batch is None:
            return 2 * self.b * self.c / ((self.b + self.c) * itemsize)
        natural(batch, "batch", least=1)
        return 2 * self.nnz * batch / (itemsize * (sum(self.shape) * batch + self.nnz))

    @property
    def T(self) -> KSPattern:
        """The pattern of the transposes: (a, c, b, d)."""
        return KSPattern(self.a, self.c, self.b, self.d)

    def kron_eye(self, *, left: int = 1, right: int = 1) -> KSPattern:
        r"""The pattern of :math:`I_{left} \otimes K \otimes I_{right}`: (left a, b, c, d right).

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSPattern(1, 2, 3, 1).kron_eye(left=5, right=7)
        KSPattern(5, 2, 3, 7)
        """
        return KSPattern(
            natural(left, "left", least=1) * self.a, self.b, self.c, self.d * natural(right, "right", least=1)
        )

    # -- products -------------------------------------------------------------------------------------------------

    def obstacle(self, other: KSPattern) -> str | None:
        """Why the product with `other` is not the product of the supports, or None if the pair is chainable.

        Notes
        -----
        A pair is chainable iff a1 c1 d1 = a2 b2 d2, a1 divides a2, d2 divides d1, and a2 divides a1 c1 (then d1 divides
        b2 d2, too, with the same quotient r). This is not symmetric under transposition: (2, 1, 1, 1) and
        (1, 2, 1, 1), the transposes of the chainable pair (1, 1, 2, 1) and (2, 1, 1, 1), are not chainable.

        References
        ----------
        arXiv 2411.04506; the remark on transposes is derived here.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSPattern(2, 2, 3, 1).obstacle(pg.KSPattern(3, 2, 2, 1))
        'a1 = 2 does not divide a2 = 3'
        """
        if not isinstance(other, KSPattern):
            raise ParameterError(f"other: needed a KSPattern, got {argument_text(other)}")
        if self.shape[1] != other.shape[0]:
            return f"the {self.shape[1]} columns of the first are not the {other.shape[0]} rows of the second"
        if other.a % self.a:
            return f"a1 = {self.a} does not divide a2 = {other.a}"
        if self.d % other.d:
            return f"d2 = {other.d} does not divide d1 = {self.d}"
        if (self.a * self.c) % other.a:
            return f"a2 = {other.a} does not divide a1 c1 = {self.a * self.c}"
        return None

    def is_chainable(self, other: KSPattern) -> bool:
        """Whether the products of matrices of the two patterns are matrices of the pattern ``self * other``."""
        return self.obstacle(other) is None

    def require_chainable(self, other: KSPattern) -> None:
        """Refuse a pair that is not chainable.

        Raises
        ------
        ParameterError
            It names both patterns and the divisibility that fails.
        """
        obstacle = self.obstacle(other)
        if obstacle is not None:
            raise ParameterError(f"{self} and {other} are not chainable: {obstacle}")

    def __mul__(self, other: KSPattern) -> KSPattern:
        if not isinstance(other, KSPattern):
            return NotImplemented
        self.require_chainable(other)
        return KSPattern(self.a, self.b * self.d // other.d, other.a * other.c // self.a, other.d)

    def rank(self, other: KSPattern) -> int:
        """The bound r = a1 c1 / a2 on the rank of the blocks of a product with a chainable pattern.

        Raises
        ------
        ParameterError
            If the pair is not chainable.

        Notes
        -----
        The inner indices that share their columns of the left factor and their rows of the right one form groups of r;
        each group makes one block of the product, of rank r at most, and the blocks are disjoint.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSPattern(1, 768, 192, 2).rank(pg.KSPattern(6, 64, 64, 1))
        32
        """
        self.require_chainable(other)
        return self.a * self.c // other.a

    def is_redundant(self, other: KSPattern) -> bool:
        """Whether every matrix of the pattern ``self * other`` is a product: r >= min(b1, c2), so nothing is gained.

        Raises
        ------
        ParameterError
            If the pair is not chainable.

        References
        ----------
        arXiv 2411.04506.
        """
        return self.rank(other) >= min(self.b, other.c)

    # -- the support ----------------------------------------------------------------------------------------------

    def columns(self, rows: Any = None) -> Any:
        """The columns of the support, row by row, increasing: shape (n_rows, c).

        Parameters
        ----------
        rows : ndarray of int, optional
            All rows by default.
        """
        integer = index_type(max(*self.shape, self.nnz))
        wanted = np.arange(self.shape[0], dtype=integer) if rows is None else np.asarray(rows, dtype=integer)
        first = wanted // (self.b * self.d) * (self.c * self.d) + wanted % self.d
        return first[:, None] + self.d * np.arange(self.c, dtype=integer)

    def support(self, format: str = "csr", *, max_bytes: int = MAX_BYTES) -> Any:
        """The support, as a sparse array of booleans.

        Parameters
        ----------
        format : str
            A format of `scipy.sparse`.
        max_bytes : int
            Refuse to allocate more.

        Raises
        ------
        ParameterError
            If it would take more than `max_bytes`, or on an unknown format.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSPattern(1, 1, 2, 2).support().toarray().astype(int)
        array([[1, 0, 1, 0],
               [0, 1, 0, 1]])
        """
        return sparse_array(self, lambda: np.ones(self.nnz, dtype=bool), 1, format, max_bytes)


def product_nnz(left: KSPattern, right: KSPattern) -> int:
    """The number of values of the product of two chainable patterns, whatever its size."""
    return left.b * left.d * right.a * right.c


def sparse_array(
    pattern: KSPattern, data: Callable[[], Any], itemsize: int, format: str, max_bytes: int = MAX_BYTES
) -> Any:
    """The sparse array with some values, row by row: sorted, without duplicates, in the smallest index type.

    Parameters
    ----------
    pattern : KSPattern
    data : callable
        Makes a new array of the values, shape (nnz,).
    itemsize : int
        Bytes per value.
    format : str
    max_bytes : int

    Raises
    ------
    ParameterError
    """
    from scipy import sparse

    if format not in FORMATS:
        raise ParameterError(f"format: needed one of {', '.join(FORMATS)}, got {argument_text(format)}")
    index = 4 if pattern.nnz < 2**31 else 8
    guard(pattern.nnz, itemsize + index, max_bytes, f"a sparse array of {pattern}", "take a part of it")
    columns = pattern.columns()
    start = pattern.c * np.arange(pattern.shape[0] + 1, dtype=columns.dtype)
    matrix = sparse.csr_array((data(), columns.ravel(), start), shape=pattern.shape)
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    if format == "bsr":  # its blocks are those of the pattern if d = 1; larger ones would hold zeros from outside
        return matrix.tobsr(blocksize=(pattern.b, pattern.c) if pattern.d == 1 else (1, 1))
    return matrix.asformat(format)
