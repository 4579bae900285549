r"""Factorisation of a matrix into Kronecker-sparse factors, with a certificate of how good it is.

A target A and a chainable sequence of patterns are given; wanted are factors whose product is close to A in the
Frobenius norm. A product of two factors consists of disjoint blocks of rank r at most (`pathgraph.kronecker.cuts`), so
two factors are found by one truncated singular value decomposition per block, and these are optimal. With more
factors, the product is split at one cut after the other; before each split, the factors around the one to be split are
made orthonormal by QR decompositions of their blocks, so that the local error is the global one.

The errors of the single cuts bound the error of the best product from below and that of this method from above: that
is the certificate. It encloses the round-off of the singular values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR
from typing import Any

import numpy as np

from pathgraph.kronecker.chain import KSChain
from pathgraph.kronecker.cuts import Cut, cut_at, span
from pathgraph.kronecker.matrix import KSMatrix
from pathgraph.kronecker.sequences import (
    Patterns,
    chainable_sequence,
    cut_order,
    cut_ranks,
    error_bound,
    lifted,
    reduced,
)
from pathgraph.kronecker.targets import UNIT, decomposed, target_of
from pathgraph.scalars import Array
from pathgraph.shown import number_text

__all__ = ["ButterflyFactorization", "butterfly_factorize"]


@dataclass(frozen=True, eq=False)
class ButterflyFactorization:
    """Factors, and what is known about their error; the result of `butterfly_factorize`.

    Attributes
    ----------
    factors : tuple of KSMatrix
        From left to right.
    error : float
        The Frobenius norm of A minus the product of the factors.
    lower : float
        No product of factors of these patterns (and ranks) has a smaller error; round-off is enclosed.
    upper : float
        The error of the method in exact arithmetic is at most this.
    roundoff : float
        A bound on the round-off of `error` itself, and on what rounding the factors to their type adds.
    cut_errors : tuple of float
        For each cut s the optimal error E_s of two factors, the products on its two sides.
    norm : float
        The Frobenius norm of A.
    order : tuple of int
        The cuts in the order in which they were made, without redundant ones.

    Examples
    --------
    >>> import pathgraph as pg
    >>> result = pg.butterfly_factorize([[1, 2], [3, 4]], [(1, 2, 1, 1), (1, 1, 2, 1)])
    >>> result
    ButterflyFactorization(2 factors, relative error 0.0668, certificate 0.0668 <= . <= 0.0669)
    """

    factors: tuple[KSMatrix, ...]
    error: float
    lower: float
    upper: float
    roundoff: float
    cut_errors: tuple[float, ...]
    norm: float
    order: tuple[int, ...]

    @property
    def patterns(self) -> Patterns:
        """The patterns of the factors."""
        return tuple(factor.pattern for factor in self.factors)

    @property
    def chain(self) -> KSChain:
        """The factors as a `KSChain`."""
        return KSChain(self.factors)

    @property
    def relative_error(self) -> float:
        """The error over the norm of A; 0 for the zero matrix."""
        return self.error / self.norm if self.norm else self.error

    @property
    def gap(self) -> float:
        """The error over the lower bound: at least this close to the best product. Infinite where `lower` is 0."""
        return self.error / self.lower if self.lower else math.inf if self.error else 1.0

    def __repr__(self) -> str:
        size = self.norm or 1.0
        low, high = (
            number_text(value / size, 3, rounding)
            for value, rounding in ((self.lower, ROUND_FLOOR), (self.upper, ROUND_CEILING))
        )
        return (
            f"ButterflyFactorization({len(self.factors)} factors, relative error "
            f"{number_text(self.relative_error, 3)}, certificate {low} <= . <= {high})"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ButterflyFactorization):
            return NotImplemented
        numbers = ("error", "lower", "upper", "roundoff", "cut_errors", "norm", "order", "patterns")
        return all(getattr(self, name) == getattr(other, name) for name in numbers) and all(
            mine.values.dtype == its.values.dtype and np.array_equal(mine.values, its.values)
            for mine, its in zip(self.factors, other.factors, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]


def butterfly_factorize(
    A: Any,
    patterns: Any,
    *,
    order: str | Sequence[int] = "left-to-right",
    rank: int | Sequence[int] | None = None,
    orthonormalize: bool = True,
) -> ButterflyFactorization:
    r"""Factors of given patterns whose product is close to a matrix, with a lower and an upper bound on the error.

    Parameters
    ----------
    A : array_like, sparse array, KSMatrix, KSChain or LinearOperator, shape (M, N)
        Real or complex; computed in float64 or complex128. A `KSMatrix` of the product pattern is never made dense.
    patterns : sequence of KSPattern or of tuples (a, b, c, d)
        From left to right, consecutive ones chainable; a `KSChain` stands for its patterns. Redundant pairs are
        welcome: they are merged first, and lifted back.
    order : {"left-to-right", "right-to-left", "balanced"} or sequence of int
        In which order the cuts 1, ..., L - 1 are made; cut s lies between factors s and s + 1.
    rank : int or sequence of int, optional
        Rank that is kept at the cuts, if less than that of the patterns; the factors are padded with zeros.
    orthonormalize : bool
        Whether the factors around a split are made orthonormal before it. Without it `upper` is no bound on the error,
        and is infinite.

    Returns
    -------
    ButterflyFactorization
        `factors` of type float32 or complex64 if `A` is of at most single precision, else float64 or complex128.

    Raises
    ------
    ParameterError
        On patterns that are not chainable, another shape, NaN, infinities, exact scalars, and wrong options.

    Notes
    -----
    *Hypotheses*: the sequence is chainable. Let :math:`E_s` be the error of the best approximation of A by a product of
    two factors, of the patterns :math:`\pi_1 * \dots * \pi_s` and :math:`\pi_{s+1} * \dots * \pi_L`, and err the
    error here.

    *Lower bound.* A product of L factors is a product of two, so :math:`\max_s E_s` bounds the error of every product.

    *Upper bound.* The blocks of cut s partition the support, and :math:`E_s^2` is the squared mass outside of it
    plus the sum over the blocks of the squares of their singular values after the r_s-th. A split at cut t of the
    current product Z, with orthonormal factors around, is :math:`Z \mapsto PZ` with an orthogonal projection that acts
    on the row space of each block of t; also :math:`Z \mapsto ZP'`. For t < s, a block of s meets blocks of t in
    disjoint sets of rows, all of whose columns are there: P acts on it from the left, and its singular values do not
    grow. For t > s the same holds with P'. So the error of each split is at most :math:`E_s`. If all later splits lie
    behind t, they multiply the blocks of t from the right, whose columns stay in the range of P, and the error of t is
    orthogonal to it; likewise if all lie before t. So in a run of splits each of which lies on one side of all later
    ones the squares add up, and to no more than the squared norm. Hence

    .. math:: \mathrm{err} \le \Big(\sum_s E_s^2\Big)^{1/2} \le \sqrt{L-1}\,\max_s E_s

    from left to right, from right to left, and whenever cuts are peeled off the two ends. Other orders are parted into
    such runs, whose bounds add up: never more than :math:`\sum_s E_s \le (L-1)\max_s E_s`. `upper` is the best of
    these.

    Complexity: one singular value decomposition of all blocks per cut for the certificate, L - 1 smaller ones for the
    factors; O(n**2.5) for dyadic patterns of size n, and O(n**2) memory.

    References
    ----------
    arXiv 2411.04506 for the method and the constants L - 1 and sqrt(L - 1); the bound for the other orders, and that it
    holds with the single E_s, are derived here.

    Examples
    --------
    >>> import numpy as np, pathgraph as pg
    >>> A = np.array([[2, 0, 4, 0], [0, 3, 0, 3], [1, 0, 2, 0], [0, 1, 0, 1]])
    >>> result = pg.butterfly_factorize(A, [(1, 2, 2, 2), (2, 2, 2, 1)])
    >>> result.error <= result.roundoff, [factor.pattern for factor in result.factors]
    (True, [KSPattern(1, 2, 2, 2), KSPattern(2, 2, 2, 1)])
    """
    chain = chainable_sequence(patterns)
    ranks = cut_ranks(chain, rank)
    wanted = cut_order(order, len(chain) - 1)
    target = target_of(A, span(chain))
    spans = reduced(chain, ranks)
    place = {part.last: number for number, part in enumerate(spans[:-1], 1)}
    made = tuple(cut for cut in wanted if cut in place)
    found = split_all(
        target.values,
        tuple(part.pattern for part in spans),
        [place[cut] for cut in made],
        [ranks[cut - 1] for cut in made],
        orthonormalize,
    )
    factors = [factor for part, values in zip(spans, found, strict=True) for factor in lifted(part, values)]
    rounded = [factor.astype(target.dtype) for factor in factors]
    tails = [target.tail(cut_at(chain, cut), ranks[cut - 1]) for cut in range(1, len(chain))]
    squares = {cut: tails[cut - 1][1] ** 2 for cut in made}
    bound = error_bound(made, squares, target.mass) if orthonormalize else math.inf
    error, roundoff = target.error(chain, rounded)
    lower = math.hypot(target.outside[0], max((low for low, _ in tails), default=0.0)) * (1 - 4 * UNIT)
    upper = math.hypot(target.outside[1], bound) * (1 + 4 * UNIT)
    outside = sum(target.outside) / 2
    return ButterflyFactorization(
        tuple(map(KSMatrix, target.distributed(rounded))),
        error=target.unscale(error),
        lower=target.unscale(lower),
        upper=target.unscale(upper),
        roundoff=target.unscale(roundoff),
        cut_errors=tuple(target.unscale(math.hypot(outside, (low + high) / 2)) for low, high in tails),
        norm=target.unscale(target.norm),
        order=made,
    )


def split_all(
    values: Array, patterns: Patterns, order: Sequence[int], ranks: Sequence[int], orthonormalize: bool
) -> list[Array]:
    """Factors, one per pattern, by truncated singular value decompositions at the cuts in the order given.

    The mass of the current product sits in one factor, the centre; those on its left have orthonormal blocks of
    columns, those on its right orthonormal blocks of rows, up to zero columns and rows.
    """
    ends, parts, centre = [0, len(patterns)], [values], 0
    for step, (cut, rank) in enumerate(zip(order, ranks, strict=True)):
        here = max(n for n, end in enumerate(ends) if end < cut)
        while orthonormalize and centre != here:
            left = min(centre, centre + (1 if here > centre else -1))
            around = Cut(*(span(patterns[ends[n] : ends[n + 1]]) for n in (left, left + 1)))
            parts[left : left + 2] = _moved(around, *parts[left : left + 2], to_the_right=here > centre)
            centre += 1 if here > centre else -1
        around = Cut(span(patterns[ends[here] : cut]), span(patterns[cut : ends[here + 1]]))
        columns, singular, rows = decomposed(around.blocks(parts[here]))
        columns, singular, rows = columns[..., :rank], singular[..., None, :rank], rows[..., :rank, :]
        goes_left = step + 1 < len(order) and order[step + 1] < cut
        if not orthonormalize:
            columns, rows = columns * np.sqrt(singular), np.sqrt(singular).swapaxes(-1, -2) * rows
        elif goes_left:
            columns = columns * singular
        else:
            rows = singular.swapaxes(-1, -2) * rows
        parts[here : here + 1] = _joined(around, columns, rows)
        ends.insert(here + 1, cut)
        centre = here if goes_left else here + 1
    return parts


def _moved(cut: Cut, left: Array, right: Array, *, to_the_right: bool) -> list[Array]:
    """The factors on the two sides of a cut, with the same product; the one that is left behind is orthonormal."""
    columns, rows = cut.columns(left), cut.rows(right)
    if to_the_right:
        columns, triangle = np.linalg.qr(columns)
        rows = triangle @ rows
    else:
        rows, triangle = np.linalg.qr(rows.conj().swapaxes(-1, -2))
        rows, columns = rows.conj().swapaxes(-1, -2), columns @ triangle.conj().swapaxes(-1, -2)
    return _joined(cut, columns, rows)


def _joined(cut: Cut, columns: Array, rows: Array) -> list[Array]:
    """The factors with these blocks, which are padded with zeros up to the rank of the cut."""
    missing = cut.rank - columns.shape[-1]
    if missing:
        still = [(0, 0)] * (columns.ndim - 2)
        columns = np.pad(columns, [*still, (0, 0), (0, missing)])
        rows = np.pad(rows, [*still, (0, missing), (0, 0)])
    return [cut.left_values(columns), cut.right_values(rows)]
