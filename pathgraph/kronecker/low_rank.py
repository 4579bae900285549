"""Which matrices are products of Kronecker-sparse factors: complementary low rank, tested cut by cut.

For a chainable sequence, a matrix is a product of factors of these patterns if and only if its support lies in that of
the product of the patterns and at every cut every block has at most the rank of the cut. One direction is that a
product of L factors is one of two at every cut; the other, that the factorisation loses nothing then: see the Notes of
`pathgraph.butterfly_factorize`, in which all bounds are 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pathgraph.arguments import natural, number
from pathgraph.bounds import Bound
from pathgraph.errors import ParameterError
from pathgraph.geometry.exactmatrix import echelon
from pathgraph.kronecker.cuts import Cut, cut_at, span
from pathgraph.kronecker.sequences import Patterns, chainable_sequence, cut_ranks
from pathgraph.kronecker.targets import UNIT, exact_values, target_of
from pathgraph.scalars import Array
from pathgraph.shown import argument_text, number_text

__all__ = ["ButterflyCheck", "is_factorizable", "optimal_split_error"]


@dataclass(frozen=True, eq=False)
class ButterflyCheck:
    """Whether a matrix is a product of factors, and at which cuts it is not; the result of `is_factorizable`.

    As a bool it is the answer.

    Attributes
    ----------
    patterns : tuple of KSPattern
    ranks : tuple of int
        The largest rank of a block, for each cut.
    allowed : tuple of int
        The rank of each cut.
    excess : tuple of int
        How many blocks have a larger rank, for each cut.
    outside : float or int
        The Frobenius norm of the entries outside of the support of the product; for exact matrices their number.
    is_exact : bool
        Whether the ranks are those of a rational matrix, and not numerical ones.
    outside_matters : bool
        Whether `outside` is more than the tolerance.

    Examples
    --------
    >>> import pathgraph as pg
    >>> check = pg.is_factorizable([[1, 2], [2, 4]], [(1, 2, 1, 1), (1, 1, 2, 1)])
    >>> check, bool(check)
    (ButterflyCheck(yes: ranks 1 <= 1 at 1 cut), True)
    """

    patterns: Patterns
    ranks: tuple[int, ...]
    allowed: tuple[int, ...]
    excess: tuple[int, ...]
    outside: Any
    is_exact: bool
    outside_matters: bool

    def __bool__(self) -> bool:
        return not self.outside_matters and not any(self.excess)

    @property
    def failing_cuts(self) -> tuple[int, ...]:
        """The cuts, from 1, at which some block has too large a rank."""
        return tuple(cut for cut, excess in enumerate(self.excess, 1) if excess)

    def __repr__(self) -> str:
        if self:
            pairs = ", ".join(f"{rank} <= {most}" for rank, most in zip(self.ranks, self.allowed, strict=True))
            count = len(self.ranks)
            return f"ButterflyCheck(yes: ranks {pairs or 'free'} at {count} cut{'' if count == 1 else 's'})"
        faults = [
            f"{self.excess[cut - 1]} blocks of cut {cut} have a rank above {self.allowed[cut - 1]}, up to "
            f"{self.ranks[cut - 1]}"
            for cut in self.failing_cuts
        ]
        if self.outside_matters:
            what = f"{self.outside} entries" if self.is_exact else f"mass {number_text(self.outside, 3)}"
            faults.insert(0, f"{what} outside of the support")
        return f"ButterflyCheck(no: {'; '.join(faults)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ButterflyCheck):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__dataclass_fields__)

    __hash__ = None  # type: ignore[assignment]


def is_factorizable(A: Any, patterns: Any, tol: float | None = None, *, rank: Any = None) -> ButterflyCheck:
    """Whether a matrix is a product of factors of given patterns: complementary low rank.

    Parameters
    ----------
    A : array_like, sparse array, KSMatrix, KSChain or LinearOperator, shape (M, N)
        Floats; or exact numbers in an object array, whose ranks are exact.
    patterns : sequence of KSPattern or of tuples (a, b, c, d)
        Chainable, from left to right.
    tol : float, optional
        For floats: singular values, and the mass outside of the support, count as zero up to `tol` times the Frobenius
        norm of `A`; by default the unit round-off of its type times the sum of its sides. Not for exact numbers.
    rank : int or sequence of int, optional
        Largest ranks at the cuts, if less than those of the patterns.

    Returns
    -------
    ButterflyCheck

    Raises
    ------
    ParameterError
        On patterns that are not chainable, another shape, NaN, infinities, and a tolerance for exact numbers.

    Notes
    -----
    Hypothesis: the sequence is chainable; then the condition is necessary and sufficient. Redundant cuts are tested,
    too, which changes nothing.

    References
    ----------
    arXiv 2411.04506, on generalised complementary low rank.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.is_factorizable([[1, 2], [3, 4]], [(1, 2, 1, 1), (1, 1, 2, 1)])
    ButterflyCheck(no: 1 blocks of cut 1 have a rank above 1, up to 2)
    """
    chain = chainable_sequence(patterns)
    allowed = cut_ranks(chain, rank)
    pattern = span(chain)
    exact = exact_values(A, pattern)
    if exact is None:
        target = target_of(A, pattern)
        unit = UNIT if target.dtype.itemsize // (2 if target.is_complex else 1) == 8 else 2.0**-24
        share = unit * sum(pattern.shape) if tol is None else number(tol, "tol", "[0, 1]")
        limit = share * target.norm
        ranks = [_float_ranks(cut_at(chain, cut), target.values, limit) for cut in range(1, len(chain))]
        outside: Any = target.unscale(sum(target.outside) / 2)
        matters = target.outside[0] > limit
    else:
        if tol is not None:
            raise ParameterError(
                f"tol: exact numbers need no tolerance, got {argument_text(tol)}; omit it, or give floats"
            )
        values, outside = exact
        ranks = [_exact_ranks(cut_at(chain, cut), values) for cut in range(1, len(chain))]
        matters = bool(outside)
    return ButterflyCheck(
        chain,
        tuple(int(found.max()) for found in ranks),
        allowed,
        tuple(int((found > most).sum()) for found, most in zip(ranks, allowed, strict=True)),
        outside,
        exact is not None,
        matters,
    )


def _float_ranks(cut: Cut, values: Array, limit: float) -> Array:
    return np.asarray((np.linalg.svd(cut.blocks(values), compute_uv=False) > limit).sum(axis=-1))


def _exact_ranks(cut: Cut, values: Array) -> Array:
    blocks = cut.blocks(values).reshape(-1, *cut.block_shape)
    rows = [[{j: v for j, v in enumerate(row) if v} for row in block] for block in blocks.tolist()]
    return np.array([len(echelon(block)) for block in rows])


def optimal_split_error(A: Any, patterns: Any, cut: int, *, rank: int | None = None) -> Bound:
    r"""The error of the best approximation of a matrix by a product of two factors: those on the sides of a cut.

    Parameters
    ----------
    A : array_like, sparse array, KSMatrix, KSChain or LinearOperator, shape (M, N)
    patterns : sequence of KSPattern or of tuples (a, b, c, d)
        Chainable, from left to right. The two factors have the products of the patterns up to the cut and after it.
    cut : int
        From 1: the cut behind the first `cut` patterns.
    rank : int, optional
        Rank of the blocks, if less than that of the patterns.

    Returns
    -------
    Bound
        An enclosure of the error in the Frobenius norm, round-off included.

    Raises
    ------
    ParameterError
        On patterns that are not chainable, a cut that there is not, another shape, NaN and infinities.

    Notes
    -----
    Its square is the squared mass of A outside of the product pattern, plus the squares of the singular values of each
    block after the first r. It is a lower bound on the error of every product of factors of these patterns.

    References
    ----------
    arXiv 2411.04506, after Eckart and Young; the enclosure is derived in `pathgraph.kronecker.targets`.

    Examples
    --------
    >>> import pathgraph as pg
    >>> patterns = [(1, 2, 1, 1), (1, 1, 2, 1)]
    >>> round(float(pg.optimal_split_error([[3, 0], [0, 4]], patterns, 1)), 9)
    3.0
    """
    chain = chainable_sequence(patterns)
    if natural(cut, "cut", least=1) >= len(chain):
        raise ParameterError(f"cut: needed an integer from 1 to {len(chain) - 1}, for {len(chain)} patterns, got {cut}")
    place = cut_at(chain, cut)
    limit = place.rank if rank is None else min(place.rank, natural(rank, "rank", least=1))
    target = target_of(A, span(chain))
    low, high = target.tail(place, limit)
    low, high = (math.hypot(outside, tail) for outside, tail in zip(target.outside, (low, high), strict=True))
    ends = target.unscale(low * (1 - 4 * UNIT)), target.unscale(high * (1 + 4 * UNIT))
    return Bound(*ends, exact=True, rigorous=True, method="singular values of the blocks")
