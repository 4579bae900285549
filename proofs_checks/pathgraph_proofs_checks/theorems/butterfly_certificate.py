"""The certificate of a butterfly factorisation: below every product of factors, above the error of the method."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import ButterflyFactorization
from pathgraph.kronecker.cuts import span
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.kronecker import (
    BUTTERFLY,
    Chain,
    chains,
    difference,
    matrix,
    multiplied,
    slack,
    with_values,
)
from pathgraph_proofs_checks.registry import theorem

Factorize = Callable[[Any, Chain], ButterflyFactorization]


def noises(chain: Chain) -> Any:
    """Numbers for all entries of the product, inside and outside of the support."""
    rows, columns = chain[0][0] * chain[0][1] * chain[0][3], chain[-1][0] * chain[-1][2] * chain[-1][3]
    return st.tuples(*[st.sampled_from((0, 0, 1, -1))] * (rows * columns))


@theorem(
    statement=(
        "max_s E_s is at most the error of every product of factors, and the error of the factors found from left to "
        "right is at most the root of the sum of the E_s**2, E_s being the optimal error of two factors at cut s."
    ),
    latex=r"\max_sE_s\le\|A-X_1\cdots X_L\|_F,\qquad\|A-\hat X_1\cdots\hat X_L\|_F\le\Big(\sum_sE_s^2\Big)^{1/2}",
    hypotheses="chainable patterns; factors are orthonormal around each split; floats, up to their derived round-off",
    source=BUTTERFLY,
    instances=with_values(chains(2, 16) + chains(3, 20), noises),
    on_network=0,
    constant=1,
)
def butterfly_certificate(
    chain: Chain,
    values: tuple[tuple[int, ...], ...],
    noise: tuple[int, ...],
    *,
    factorize: Factorize = pg.butterfly_factorize,
) -> Inequality:
    """Compare the ends with the error of a drawn product and, exactly, with that of the float factors."""
    product = multiplied(*map(matrix, chain, values))
    width = len(product[0])
    target = [[x + noise[i * width + j] for j, x in enumerate(row)] for i, row in enumerate(product)]
    result = factorize(np.array(target, dtype=float), chain)
    found = multiplied(*(matrix(factor.pattern, factor.values.ravel()) for factor in result.factors))
    lower, error = Fraction(result.lower) ** 2, difference(target, found)
    upper = (Fraction(result.upper) + slack(result)) ** 2
    return Inequality((lower, lower, error), (difference(target, product), error, upper))


def with_lower(lower: Callable[[ButterflyFactorization], float]) -> Factorize:
    """The library's result with another lower end."""

    def factorize(A: Any, chain: Chain) -> ButterflyFactorization:
        result = pg.butterfly_factorize(A, chain)
        return replace(result, lower=lower(result))

    return factorize


def projected(A: Any, chain: Chain) -> ButterflyFactorization:
    """The upper end of the entries on the support alone."""
    pattern = span(tuple(pg.KSPattern(*p) for p in chain))
    inside = pg.butterfly_factorize(pg.KSMatrix.project(A, pattern), chain)
    return replace(pg.butterfly_factorize(A, chain), upper=inside.upper)


butterfly_certificate.mutant(
    "the errors add up below",
    (((1, 2, 1, 1), (1, 1, 1, 1), (1, 1, 2, 1)), ((0, 0), (0,), (0, 0)), (0, 1, 1, 0)),
    factorize=with_lower(lambda result: sum(result.cut_errors)),
)
butterfly_certificate.mutant(
    "what is outside of the support is forgotten",
    (((1, 1, 1, 2), (1, 1, 1, 2)), ((0, 0), (0, 0)), (0, 1, 0, 0)),
    factorize=projected,
)
butterfly_certificate.mutant(
    "the norm is a lower bound",
    (((1, 1, 1, 1), (1, 1, 1, 1)), ((1,), (1,)), (0,)),
    factorize=with_lower(lambda result: result.norm),
)
