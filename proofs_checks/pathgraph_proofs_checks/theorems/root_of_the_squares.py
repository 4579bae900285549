"""In which orders the squared errors of the cuts add up: those that peel cuts off the two ends, and not all."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing.outcome import Inequality
from pathgraph_proofs_checks.kronecker import alone, difference, matrix, multiplied, slack
from pathgraph_proofs_checks.registry import DERIVED, theorem

PATTERNS = ((1, 2, 1, 3), (1, 3, 2, 1), (1, 2, 3, 1), (3, 1, 2, 1))
"""Four factors of a full 6 x 6 matrix: three blocks of rows of rank 1, rank 2 of the whole, three blocks of columns."""

MIDDLE_FIRST = (
    -3, -4,  0,  0,  3, -1,
     0,  0,  0,  0,  0,  0,
    -2, -2,  1,  0, -2, -3,
     1,  0,  4,  0,  2,  2,
     2,  1,  2,  0,  0,  2,
     0,  0,  0,  0,  1,  1,
)  # fmt: skip
"""A matrix, row by row, that refutes the bound where the middle cut comes first."""

ORTHONORMAL_NEEDED = (
     0,  1,  0,  0,  0,  0,
     0,  0,  0,  0,  0,  0,
     1, -1,  0,  0, -3,  1,
     0,  0,  0,  0,  0,  0,
    -1,  0,  3,  0,  0,  0,
    -2,  0,  3,  0,  0,  0,
)  # fmt: skip
"""One that refutes it where the factors around a split are not made orthonormal."""

entries = st.tuples(*[st.integers(-4, 4)] * 36)
peeling = st.sampled_from([(1, 2, 3), (3, 2, 1), (1, 3, 2), (3, 1, 2)])
others = st.sampled_from([(2, 1, 3), (2, 3, 1)])


@theorem(
    statement=(
        "If every cut lies on one side of all later ones, the squared error is at most the sum of the squared optimal "
        "errors of the cuts."
    ),
    latex=r"\|A-\hat X_1\cdots\hat X_L\|_F^2\le\sum_sE_s^2",
    hypotheses="chainable patterns; factors are orthonormal around each split; each cut is beside all later ones",
    source=DERIVED,
    instances=alone(entries, peeling),
    on_network=0,
    constant=1,
)
def root_of_the_squares(
    values: tuple[int, ...],
    order: tuple[int, ...],
    *,
    orthonormalize: bool = True,
    total: Callable[[Any], Any] = sum,
) -> Inequality:
    """Compare the exact error of the float factors with upper ends of the errors of the cuts."""
    target = [list(values[i : i + 6]) for i in range(0, 36, 6)]
    A = np.array(target, dtype=float)
    result = pg.butterfly_factorize(A, PATTERNS, order=order, orthonormalize=orthonormalize)
    found = multiplied(*(matrix(factor.pattern, factor.values.ravel()) for factor in result.factors))
    squares = total([Fraction(pg.optimal_split_error(A, PATTERNS, cut).upper) ** 2 for cut in (1, 2, 3)])
    # err <= root + slack; 2**-50 is more than the rounding of the root
    root = Fraction(float(squares) ** 0.5) * (1 + Fraction(1, 2**50))
    rounding: Any = slack(result)
    return Inequality(difference(target, found), squares + 2 * rounding * root + rounding**2)


root_of_the_squares.mutant(
    "the middle cut first",
    (
        MIDDLE_FIRST,
        (2, 1, 3),
    ),
    instances=alone(entries, others),
)
root_of_the_squares.mutant(
    "without orthonormalisation",
    (
        ORTHONORMAL_NEEDED,
        (1, 2, 3),
    ),
    orthonormalize=False,
)
root_of_the_squares.mutant(
    "the largest error of a cut is enough",
    (
        (0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        (1, 2, 3),
    ),
    total=max,
)
