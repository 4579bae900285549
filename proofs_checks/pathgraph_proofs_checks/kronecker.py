"""What the checks on Kronecker-sparse matrices share: small chainable sequences, supports, exact products and blocks.

Written from the definitions: a pattern is a tuple (a, b, c, d), its values are a flat tuple in C order, a matrix is a
list of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph import ButterflyFactorization
from pathgraph.geometry.exactmatrix import echelon
from pathgraph_proofs_checks.registry import Networks

__all__ = [
    "BUTTERFLY",
    "Chain",
    "Matrix",
    "Pattern",
    "alone",
    "blocks",
    "chains",
    "difference",
    "matrix",
    "multiplied",
    "rank",
    "size",
    "slack",
    "support",
    "with_values",
]

BUTTERFLY = "Le, Zheng, Riccietti, Gribonval, Butterfly factorization with error guarantees, arXiv:2411.04506"

Pattern = tuple[int, int, int, int]
Chain = tuple[Pattern, ...]
Matrix = list[list[Any]]


def size(pattern: Pattern) -> int:
    """The number of values."""
    a, b, c, d = pattern
    return a * b * c * d


def chains(length: int, largest: int = 24) -> tuple[Chain, ...]:
    """Chainable sequences with few values, the smallest first: from ranks, and ratios of consecutive a and d."""
    found = []
    inner = length - 1
    for a, d, b, c, *rest in product((1, 2), repeat=4 + 3 * inner):
        ratios, steps, ranks = rest[:inner], rest[inner : 2 * inner], rest[2 * inner :]
        lefts, rights = [a], [d]
        for ratio in ratios:
            lefts.append(lefts[-1] * ratio)
        for step in reversed(steps):
            rights.insert(0, rights[0] * step)
        tall = [b, *(rank * step for rank, step in zip(ranks, steps, strict=True))]
        wide = [*(rank * ratio for rank, ratio in zip(ranks, ratios, strict=True)), c]
        chain = tuple(zip(lefts, tall, wide, rights, strict=True))
        if sum(map(size, chain)) <= largest:
            found.append(chain)
    return tuple(sorted(found, key=lambda chain: (sum(map(size, chain)), chain)))


def alone(*parts: SearchStrategy[Any]) -> Callable[[Networks], SearchStrategy[tuple[Any, ...]]]:
    """Instances that have no network."""

    def instances(networks: Networks) -> SearchStrategy[tuple[Any, ...]]:
        return st.tuples(*parts)

    return instances


def with_values(
    some: Sequence[Chain], *more: Callable[[Chain], SearchStrategy[Any]]
) -> Callable[[Networks], SearchStrategy[tuple[Any, ...]]]:
    """Instances of a chain, the values of its factors, and further parts that depend on the chain."""

    def values(chain: Chain) -> SearchStrategy[Any]:
        return st.tuples(*(st.tuples(*[st.integers(-2, 2)] * size(pattern)) for pattern in chain))

    def instances(networks: Networks) -> SearchStrategy[tuple[Any, ...]]:
        return st.sampled_from(some).flatmap(
            lambda chain: st.tuples(st.just(chain), values(chain), *(part(chain) for part in more))
        )

    return instances


def support(pattern: Pattern) -> Matrix:
    """The matrix of zeros and ones of a pattern."""
    return matrix(pattern, (1,) * size(pattern))


def matrix(pattern: Iterable[int], values: Iterable[Any]) -> Matrix:
    """The matrix of a pattern with these values."""
    a, b, c, d = pattern
    rows: Matrix = [[Fraction(0)] * (a * c * d) for _ in range(a * b * d)]
    for value, (i, j, k, n) in zip(values, product(range(a), range(b), range(c), range(d)), strict=True):
        rows[i * b * d + j * d + n][i * c * d + k * d + n] = Fraction(value)
    return rows


def multiplied(*factors: Matrix) -> Matrix:
    """The product."""
    first, *others = factors
    for other in others:
        columns = list(zip(*other, strict=True))
        first = [
            [sum((x * y for x, y in zip(row, column, strict=True) if x and y), Fraction(0)) for column in columns]
            for row in first
        ]
    return first


def difference(one: Matrix, other: Matrix) -> Fraction:
    """The squared Frobenius norm of the difference."""
    pairs = zip(one, other, strict=True)
    return sum(((x - y) ** 2 for row, its in pairs for x, y in zip(row, its, strict=True)), Fraction(0))


def blocks(left: Matrix, right: Matrix) -> dict[tuple[tuple[int, ...], tuple[int, ...]], int]:
    """Of a product of two supports: rows and columns of each block, and how many inner indices have both."""
    groups: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
    for column, row in zip(zip(*left, strict=True), right, strict=True):
        key = tuple(i for i, x in enumerate(column) if x), tuple(j for j, x in enumerate(row) if x)
        groups[key] = groups.get(key, 0) + 1
    return groups


def rank(rows: Matrix) -> int:
    """The rank over the rationals."""
    return len(echelon([{j: Fraction(v) for j, v in enumerate(row) if v} for row in rows]))


def slack(result: ButterflyFactorization) -> Fraction:
    """By how much the round-off of the decompositions can raise the error above its bound in exact arithmetic.

    Each of at most 3 (L - 1) decompositions by Householder matrices of blocks with sides up to n changes the product,
    relatively, by less than 10 n**2 units; the factors are multiplied exactly here.
    """
    sides = sum(max(factor.pattern.b, factor.pattern.c) ** 2 for factor in result.factors)
    return Fraction(result.norm) * 30 * len(result.factors) * sides / 2**53
