"""Transposes, diagonal scalings and Kronecker products with identities of Kronecker-sparse matrices are such again."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing.outcome import Equality
from pathgraph_proofs_checks.kronecker import Chain, Matrix, Pattern, chains, matrix, size, with_values
from pathgraph_proofs_checks.registry import DERIVED, theorem

Made = Callable[[Any, int], Any]


def kept(values: Any) -> Matrix:
    """The matrix of an array of values, by the definition."""
    return matrix(values.shape, values.ravel().tolist())


def kron(one: Matrix, other: Matrix) -> Matrix:
    """The Kronecker product."""
    return [[x * y for x in row for y in its] for row in one for its in other]


def identity(n: int) -> Matrix:
    """The identity."""
    return matrix((n, 1, 1, 1), (1,) * n)


RULES: dict[str, tuple[Callable[[Matrix, int], Matrix], Made]] = {
    "transpose": (lambda dense, k: [list(row) for row in zip(*dense, strict=True)], lambda K, k: K.T.values),
    "left identity": (lambda dense, k: kron(identity(k), dense), lambda K, k: K.kron_eye(left=k).values),
    "right identity": (lambda dense, k: kron(dense, identity(k)), lambda K, k: K.kron_eye(right=k).values),
    "rows": (
        lambda dense, k: [[(i + k) * x for x in row] for i, row in enumerate(dense)],
        lambda K, k: K.scale(rows=np.arange(k, K.shape[0] + k).astype(object)).values,
    ),
    "columns": (
        lambda dense, k: [[(j + k) * x for j, x in enumerate(row)] for row in dense],
        lambda K, k: K.scale(columns=np.arange(k, K.shape[1] + k).astype(object)).values,
    ),
}


@theorem(
    statement=(
        "The transpose of a Kronecker-sparse matrix, its Kronecker products with identities and its products with "
        "diagonal matrices have the patterns (a,c,b,d), (ka,b,c,d), (a,b,c,dk) and (a,b,c,d), and the values that the "
        "library gives."
    ),
    latex=r"K^\top,\quad I_k\otimes K,\quad K\otimes I_k,\quad DK,\quad KD",
    hypotheses="any pattern",
    source=DERIVED,
    instances=with_values(chains(1), lambda chain: st.sampled_from(sorted(RULES)), lambda chain: st.integers(1, 3)),
    on_network=0,
)
def closed_kronecker_sparse_matrices(
    chain: Chain, values: tuple[tuple[int, ...]], rule: str, k: int, *, made: dict[str, Made] | None = None
) -> Equality:
    """Compare the dense matrix with that of the values."""
    (pattern,), (flat,) = chain, values
    K = pg.KSMatrix(np.array(flat, dtype=object).reshape(pattern))
    by_definition, by_library = RULES[rule]
    return Equality(by_definition(matrix(pattern, flat), k), kept((made or {}).get(rule, by_library)(K, k)))


def first(pattern: Pattern, rule: str, k: int = 1) -> tuple[Any, ...]:
    """The instance with the values 1, 2, 3, ... of a pattern."""
    return (pattern,), (tuple(range(1, size(pattern) + 1)),), rule, k


closed_kronecker_sparse_matrices.mutant(
    "the values of the transpose are reshaped",
    first((1, 2, 2, 1), "transpose"),
    made={"transpose": lambda K, k: K.values.reshape(K.T.pattern.values_shape)},
)
closed_kronecker_sparse_matrices.mutant(
    "left and right are exchanged",
    first((1, 1, 2, 1), "left identity", 2),
    made={"left identity": lambda K, k: K.kron_eye(right=k).values},
)
closed_kronecker_sparse_matrices.mutant(
    "the transpose exchanges a and d, too",
    first((1, 1, 2, 2), "transpose"),
    made={"transpose": lambda K, k: K.values.transpose(3, 2, 1, 0)},
)
closed_kronecker_sparse_matrices.mutant(
    "one factor per block row",
    first((1, 1, 1, 2), "rows"),
    made={"rows": lambda K, k: K.values * k},
)
