"""Chainable sequences of patterns: validation, redundant pairs, orders of cuts and the error bound of an order.

A sequence of L patterns has L - 1 cuts; cut s lies between the s-th pattern and the next one, counted from 1.

**Redundancy.** A pair whose rank r is at least min(b1, c2) does not constrain the product: every matrix of the product
pattern is a product. `reduced` merges such pairs until none is left, and `lifted` gives factors of the given sequence
back: an identity, padded with zeros, beside the merged factor. So the set of products stays the same.

**Orders.** Splitting a matrix of the product pattern at all cuts, in some order, gives the factors. `error_bound` is
the bound on the error of this that follows from the errors E_s of the single cuts; its proof is in the Notes of
`pathgraph.butterfly_factorize`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pathgraph.arguments import natural
from pathgraph.errors import ParameterError
from pathgraph.kronecker.cuts import Cut
from pathgraph.kronecker.patterns import KSPattern
from pathgraph.scalars import Array
from pathgraph.shown import argument_text

__all__ = ["Patterns", "Span", "chainable_sequence", "cut_order", "cut_ranks", "error_bound", "lifted", "reduced"]

Patterns = tuple[KSPattern, ...]

ORDERS = ("left-to-right", "right-to-left", "balanced")


def chainable_sequence(patterns: Any) -> Patterns:
    """The patterns of a chain, or of an iterable of patterns or 4-tuples, from left to right.

    Raises
    ------
    ParameterError
        On an empty sequence, what is no pattern, and consecutive patterns that are not chainable.
    """
    given = getattr(patterns, "patterns", patterns)
    if isinstance(given, KSPattern) or not isinstance(given, Iterable):
        raise ParameterError(
            f"patterns: needed a sequence of KSPatterns, from left to right, got {argument_text(given)}"
        )
    chain = []
    for place, item in enumerate(given, 1):
        if not isinstance(item, KSPattern):
            try:
                item = KSPattern(*item)
            except TypeError:
                raise ParameterError(
                    f"patterns: needed KSPatterns, or tuples (a, b, c, d), got {argument_text(item)} at place {place}"
                ) from None
        chain.append(item)
    if not chain:
        raise ParameterError("patterns: needed at least one pattern, got none")
    for place, (left, right) in enumerate(itertools.pairwise(chain), 1):
        obstacle = left.obstacle(right)
        if obstacle is not None:
            raise ParameterError(
                f"patterns: patterns {place} and {place + 1}, {left} and {right}, are not chainable: {obstacle}; give "
                "them from left to right, as in A = K1 K2 ... KL"
            )
    return tuple(chain)


def cut_ranks(patterns: Patterns, rank: Any) -> tuple[int, ...]:
    """The rank kept at each cut: that of the patterns, or less if the caller says so.

    Raises
    ------
    ParameterError
    """
    own = [left.rank(right) for left, right in itertools.pairwise(patterns)]
    if rank is None:
        return tuple(own)
    if isinstance(rank, (int, np.integer)):
        limits = [natural(rank, "rank", least=1)] * len(own)
    elif isinstance(rank, Iterable):
        limits = [natural(value, "rank", least=1) for value in rank]
    else:
        raise ParameterError(f"rank: needed None, an integer >= 1, or one per cut, got {argument_text(rank)}")
    if len(limits) != len(own):
        raise ParameterError(f"rank: needed one integer per cut, {len(own)} of them, got {len(limits)}")
    return tuple(map(min, own, limits))


# -- redundant pairs ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Span:
    """Some consecutive patterns, merged.

    Attributes
    ----------
    pattern : KSPattern
        Their product.
    last : int
        The number of patterns up to its end: the cut behind it.
    parts : tuple of two Spans, or ()
        What it was merged from, a redundant pair; empty for a single pattern.
    """

    pattern: KSPattern
    last: int
    parts: tuple[Span, ...] = ()


def reduced(patterns: Patterns, ranks: Sequence[int]) -> list[Span]:
    """The sequence without redundant pairs; `ranks` are those kept at the cuts."""
    spans = [Span(pattern, place) for place, pattern in enumerate(patterns, 1)]
    place = 0
    while place < len(spans) - 1:
        left, right = spans[place : place + 2]
        if ranks[left.last - 1] >= min(left.pattern.b, right.pattern.c):
            spans[place : place + 2] = [Span(left.pattern * right.pattern, right.last, (left, right))]
            place = max(place - 1, 0)
        else:
            place += 1
    return spans


def lifted(span: Span, values: Array) -> list[Array]:
    """Factors, one per pattern of the span, whose product has these values; exactly, in any scalars."""
    if not span.parts:
        return [values]
    left, right = span.parts
    cut = Cut(left.pattern, right.pattern)
    blocks = cut.blocks(values)
    rows, columns = cut.block_shape
    outer = np.zeros((*cut.groups, rows, cut.rank), values.dtype)
    inner = np.zeros((*cut.groups, cut.rank, columns), values.dtype)
    if cut.rank >= rows:
        outer[..., np.arange(rows), np.arange(rows)] = 1
        inner[..., :rows, :] = blocks
    else:
        outer[..., :columns] = blocks
        inner[..., np.arange(columns), np.arange(columns)] = 1
    return [*lifted(left, cut.left_values(outer)), *lifted(right, cut.right_values(inner))]


# -- orders ------------------------------------------------------------------------------------------------------------


def cut_order(order: Any, cuts: int) -> tuple[int, ...]:
    """The cuts 1, ..., `cuts` in the order in which they are made.

    Raises
    ------
    ParameterError
    """
    if isinstance(order, str):
        if order not in ORDERS:
            raise ParameterError(
                f"order: needed {', '.join(map(repr, ORDERS))} or a permutation, got {argument_text(order)}"
            )
        if order == "balanced":
            return tuple(_halves(1, cuts))
        return tuple(range(1, cuts + 1)) if order == "left-to-right" else tuple(range(cuts, 0, -1))
    try:
        listed = [natural(cut, "order", least=1) for cut in order]
    except TypeError:
        listed = []
    if sorted(listed) != list(range(1, cuts + 1)):
        raise ParameterError(f"order: needed each of the cuts 1, ..., {cuts} once, got {argument_text(order)}")
    return tuple(listed)


def _halves(first: int, last: int) -> Iterable[int]:
    if first <= last:
        middle = (first + last) // 2
        yield middle
        yield from _halves(first, middle - 1)
        yield from _halves(middle + 1, last)


def error_bound(order: Sequence[int], squares: dict[int, float], mass: float = math.inf) -> float:
    """A bound on the error inside the support: the least sum, over runs of cuts, of roots of sums of squared errors.

    Parameters
    ----------
    order : sequence of int
        Cuts. It is parted into runs of consecutive ones, such that each cut of a run lies on one side of all later
        ones of the run.
    squares : dict
        The squared error E_s**2 of each cut.
    mass : float
        The norm of the matrix, which bounds the error of each run, too.

    Returns
    -------
    float
        Rounded upwards. For the orders from left to right, from right to left, and all that peel cuts off both ends,
        it is the root of the sum of the squares; it is never more than the sum of the errors.

    Examples
    --------
    >>> from pathgraph.kronecker.sequences import error_bound
    >>> squares = {1: 9.0, 2: 0.0, 3: 16.0}
    >>> [round(error_bound(order, squares), 9) for order in ([1, 2, 3], [2, 1, 3])]
    [5.0, 5.0]
    >>> round(error_bound([2, 1, 3], {1: 9.0, 2: 16.0, 3: 1.0}), 9)
    6.0
    """
    best = [0.0]
    for end in range(1, len(order) + 1):
        total, low, high, least = 0.0, math.inf, -math.inf, math.inf
        for start in range(end - 1, -1, -1):
            cut = order[start]
            if low < cut < high:
                break
            low, high, total = min(low, cut), max(high, cut), total + squares[cut]
            least = min(least, best[start] + min(math.sqrt(total), mass))
        best.append(least)
    # at most L additions of squares, a root and an addition per run: 2 L + 2 roundings
    return best[-1] * (1 + (2 * len(order) + 2) * 2**-52)
