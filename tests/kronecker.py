"""Brute force for Kronecker-sparse matrices: every value at its place, and sums as they are written.

And what LAPACK may lose: bounds on the round-off of eliminations and decompositions.
"""

import math
from itertools import permutations

import numpy as np

from tests.tolerances import gamma, unit


def placed(values):
    """The dense matrix with the values at their places."""
    values = np.asarray(values)
    a, b, c, d = values.shape
    dense = np.zeros((a * b * d, a * c * d), dtype=values.dtype)
    for i, j, k, l in np.ndindex(a, b, c, d):  # noqa: E741
        dense[i * b * d + j * d + l, i * c * d + k * d + l] = values[i, j, k, l]
    return dense


def times(left, right):
    """The product of two matrices of exact numbers."""
    left, right = np.asarray(left), np.asarray(right)
    out = np.zeros((left.shape[0], right.shape[1]), dtype=object)
    for i, j, k in np.ndindex(left.shape[0], right.shape[1], left.shape[1]):
        if left[i, k] != 0:
            out[i, j] += left[i, k] * right[k, j]
    return out


def chained(matrices):
    """The product of some matrices of exact numbers."""
    product = matrices[0]
    for matrix in matrices[1:]:
        product = times(product, matrix)
    return product


def kron(left, right):
    """The Kronecker product of two matrices of exact numbers."""
    out = np.zeros((left.shape[0] * right.shape[0], left.shape[1] * right.shape[1]), dtype=object)
    for i, j in np.ndindex(left.shape):
        for k, l in np.ndindex(right.shape):  # noqa: E741
            out[i * right.shape[0] + k, j * right.shape[1] + l] = left[i, j] * right[k, l]
    return out


def same(found, wanted):
    """Whether two arrays have the same shape and equal entries."""
    return np.shape(found) == np.shape(wanted) and bool(np.all(np.asarray(found) == np.asarray(wanted)))


def eliminated(blocks):
    """For each block A of order n a bound on the entries of E, where A + E = LU, or (A + E) x = b, exactly.

    By elimination with partial pivoting abs(E) <= gamma(3 n) abs(L) abs(U), abs(L) <= 1, abs(U) <= 2**(n - 1) max(A)
    (Higham, Accuracy and Stability, theorems 9.4 and 9.8). An operation on complex numbers makes at most 8 roundings; a
    block of Fractions is rounded before.
    """
    n = blocks.shape[-1]
    dtype = np.zeros(1, blocks.dtype if blocks.dtype.kind in "fc" else float).real.dtype
    steps = 3 * n * (8 if blocks.dtype.kind == "c" else 1) + 1
    return float(gamma(steps, dtype)) * n * 2 ** (n - 1) * np.abs(blocks).astype(float).max(axis=(-2, -1))


def determinant_slack(matrix):
    """How far the computed logarithm of the absolute value of a determinant, by LU of every block, may be off.

    For a block, log det(A + E) - log det A is log det(I + X), X = E / A: of absolute value at most n r / (1 - r), where
    r is the norm of X. The determinant is then a product of pivots, of which none is larger than p = 2**(n - 1) max(A),
    so that their logarithms are at most abs(log det) + n abs(log p): each is correct to 2 units, and they are added.
    """
    blocks = matrix.blocks.astype(complex if matrix.blocks.dtype.kind == "c" else float)
    n, count = blocks.shape[-1], blocks[..., 0].size
    inverse = 2 * np.linalg.norm(np.linalg.inv(blocks), np.inf, axis=(-2, -1))  # twice: it is computed itself
    move = n * eliminated(matrix.blocks) * inverse
    assert move.max() < 1, "needed an example that leaves digits"
    logs = abs(np.linalg.slogdet(blocks)[1]) + n * abs(np.log(2 ** (n - 1) * abs(blocks).max(axis=(-2, -1))))
    rounding = float(gamma(count + 4, np.zeros(1, matrix.dtype).real.dtype if matrix.dtype.kind in "fc" else float))
    return (n * move / (1 - move)).sum() + rounding * n * logs.sum()


def by_leibniz(blocks):
    """The determinants of small blocks: sums over permutations, in the widest floats, and bounds on their round-off."""
    wide = blocks.astype(np.clongdouble if blocks.dtype.kind == "c" else np.longdouble)
    n = blocks.shape[-1]
    sums, sizes = 0, 0
    for order in permutations(range(n)):
        product = np.prod([wide[..., i, k] for i, k in enumerate(order)], axis=0)
        swaps = sum(order[i] > order[k] for i in range(n) for k in range(i + 1, n))
        sums, sizes = sums + (-1) ** swaps * product, sizes + abs(product)
    return sums, float(gamma(8 * n + math.factorial(n), np.longdouble)) * sizes


def decomposed(dense):
    """Round-off of the singular values of a matrix with m rows and n columns: those of one that is as far away.

    Householder reflections, at most m + n of them, each move it by at most 10 max(m, n) units of its Frobenius norm
    (Higham, lemma 19.3), and the iterations after them by a few units each.
    """
    return float(30 * dense.shape[0] * dense.shape[1] * unit()) * np.linalg.norm(dense)
