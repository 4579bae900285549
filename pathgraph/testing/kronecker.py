"""Strategies for Kronecker-sparse patterns, matrices and chains, of small sizes and exact values.

The next pattern of a chainable sequence is drawn from all that there are: a2 = a1 s for a divisor s of c1, d2 = d1 / t
for a divisor t of d1, b2 = (c1 / s) t, and any c2. So square dyadic and Monarch patterns, redundant pairs and every
rank occur.
"""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from pathgraph.kronecker.chain import KSChain
from pathgraph.kronecker.matrix import KSMatrix
from pathgraph.kronecker.patterns import KSPattern
from pathgraph.testing.values import MAX_DISTINCT, at_least, dyadics

__all__ = ["ks_chains", "ks_matrices", "ks_patterns"]


def ks_patterns(*, max_size: int = 4, square: bool = False) -> SearchStrategy[KSPattern]:
    """Patterns (a, b, c, d) of numbers up to `max_size`, which shrink to (1, 1, 1, 1).

    Parameters
    ----------
    max_size : int
    square : bool
        Only patterns with b = c.

    Returns
    -------
    SearchStrategy of KSPattern

    Examples
    --------
    >>> from hypothesis import find
    >>> from pathgraph.testing import ks_patterns
    >>> find(ks_patterns(), lambda pattern: pattern.density < 1 / 4 and pattern.b > 1)
    KSPattern(2, 2, 1, 3)
    """
    (max_size,) = at_least(1, max_size=max_size)
    size = st.integers(1, max_size)
    if square:
        return st.builds(lambda a, b, d: KSPattern(a, b, b, d), size, size, size)
    return st.builds(KSPattern, size, size, size, size)


def ks_matrices(
    patterns: SearchStrategy[KSPattern] | None = None, *, max_numerator: int = 4, max_exponent: int = 2
) -> SearchStrategy[KSMatrix]:
    """Matrices of Fractions with small power-of-two denominators.

    Parameters
    ----------
    patterns : SearchStrategy of KSPattern, optional
        By default `ks_patterns` with its defaults.
    max_numerator, max_exponent : int
        As in `dyadics`.

    Returns
    -------
    SearchStrategy of KSMatrix
        Beyond 50 values the first 50 are repeated.

    Examples
    --------
    >>> from hypothesis import find
    >>> from pathgraph.testing import ks_matrices
    >>> find(ks_matrices(), lambda K: K.values.min() < 0).toarray()
    array([[Fraction(-1, 1)]], dtype=object)
    """
    scalars = dyadics(max_numerator=max_numerator, max_exponent=max_exponent)
    return (ks_patterns() if patterns is None else patterns).flatmap(lambda pattern: _matrices(pattern, scalars))


def _matrices(pattern: KSPattern, scalars: SearchStrategy[Any]) -> SearchStrategy[KSMatrix]:
    few = min(pattern.nnz, MAX_DISTINCT)

    def filled(values: list[Any]) -> KSMatrix:
        array = np.array(list(islice(cycle(values), pattern.nnz)), dtype=object)
        return KSMatrix(array.reshape(pattern.values_shape))

    return st.lists(scalars, min_size=few, max_size=few).map(filled)


def ks_chains(
    *, min_factors: int = 1, max_factors: int = 3, max_size: int = 3, chainable: bool = True
) -> SearchStrategy[KSChain]:
    """Chains of matrices of Fractions.

    Parameters
    ----------
    min_factors, max_factors : int
    max_size : int
        Of the a, b, c and d of the first pattern, and the c of the next ones.
    chainable : bool
        With False only the shapes fit: some pairs of neighbours are chainable, some are not.

    Returns
    -------
    SearchStrategy of KSChain

    Examples
    --------
    >>> from hypothesis import find
    >>> from pathgraph.testing import ks_chains
    >>> find(ks_chains(chainable=False), lambda chain: not chain.is_chainable).patterns
    (KSPattern(2, 1, 1, 1), KSPattern(1, 2, 1, 1))
    """
    min_factors, max_size = at_least(1, min_factors=min_factors, max_size=max_size)
    (max_factors,) = at_least(min_factors, max_factors=max_factors)
    return _chains(min_factors, max_factors, max_size, chainable)


@st.composite
def _chains(draw: DrawFn, fewest: int, most: int, max_size: int, chainable: bool) -> KSChain:
    patterns = [draw(ks_patterns(max_size=max_size))]
    for _ in range(draw(st.integers(fewest, most)) - 1):
        a, _b, c, d = patterns[-1]
        columns = draw(st.integers(1, max_size))
        if chainable:
            s, t = draw(_divisors(c)), draw(_divisors(d))
            patterns.append(KSPattern(a * s, c // s * t, columns, d // t))
        else:
            first = draw(_divisors(a * c * d))
            last = draw(_divisors(a * c * d // first))
            patterns.append(KSPattern(first, a * c * d // (first * last), columns, last))
    return KSChain([draw(_matrices(pattern, dyadics())) for pattern in patterns])


def _divisors(n: int) -> SearchStrategy[int]:
    return st.sampled_from([m for m in range(1, n + 1) if n % m == 0])
