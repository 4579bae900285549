"""The check of linear operators: it accepts those of the library, and refuses every broken one."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import pathgraph as pg
from pathgraph.testing import check_operator


def numbers(pattern, dtype):
    rng = np.random.default_rng(0)
    values = rng.integers(-3, 4, pattern)
    if dtype is object:
        return np.vectorize(lambda v: Fraction(int(v), 2), otypes=[object])(values)
    return (values + (1j * rng.integers(-3, 4, pattern) if np.dtype(dtype).kind == "c" else 0)).astype(dtype)


OPERATORS = {
    **{
        f"{pattern} of {np.dtype(dtype)}": pg.KSMatrix(numbers(pattern, dtype))
        for pattern in [(1, 1, 1, 1), (2, 3, 2, 1), (1, 2, 4, 3), (2, 2, 5, 2)]
        for dtype in (np.int64, np.float32, np.float64, np.complex64, np.complex128, object)
    },
    "chain": pg.dft(16),
    "merged chain": pg.hadamard(16, dtype=np.float32).merge(),
    "exact chain": pg.hadamard(8, dtype=object),
    "BLAST": pg.blast(numbers((2, 3, 2), float), numbers((2, 4, 2), float), numbers((4, 5, 2), float)),
    "transpose": pg.KSMatrix(numbers((2, 3, 2, 2), complex)).T,
    "adjoint of a chain": pg.dft(8).H,
    "sum": pg.hadamard(8) + pg.hadamard(8).T,
    "product with a matrix": pg.hadamard(8) @ aslinearoperator(np.arange(24.0).reshape(8, 3)),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_of_the_library(name):
    check_operator(OPERATORS[name])


class Broken(LinearOperator):
    """A matrix with one thing wrong."""

    def __init__(self, fault):
        self.fault = fault
        self.matrix = np.array([[1.0, 2.0], [3.0, 5.0], [0.0, 1.0]])
        super().__init__(np.dtype(np.float32 if fault == "dtype" else np.float64), (3, 2))

    def _matmat(self, x):
        if self.fault == "linearity":
            return np.abs(self.matrix @ x)
        return self.matrix @ x

    def _matvec(self, x):
        return self._matmat(x) + (self.fault == "matvec")

    def _rmatvec(self, x):
        return self.matrix.T @ x * (2 if self.fault == "adjoint" else 1)

    def _rmatmat(self, x):
        return self.matrix.T @ x + (self.fault == "rmatmat")


def test_broken_operators_are_named():
    check_operator(Broken(None))
    for fault, message in [
        ("dtype", "its products are float64, its dtype is float32"),
        ("linearity", "is off by"),
        ("matvec", "matvec is off by 1"),
        ("adjoint", "rmatvec is off by"),
        ("rmatmat", "rmatmat is off by 1"),
    ]:
        with pytest.raises(AssertionError, match=message):
            check_operator(Broken(fault))
    with pytest.raises(pg.ParameterError, match="LinearOperator"):
        check_operator(np.eye(2))
    check_operator(Broken("adjoint"), tolerance=10)
