"""Brute force for Kronecker-sparse matrices: every value at its place, and sums as they are written."""

import numpy as np


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
