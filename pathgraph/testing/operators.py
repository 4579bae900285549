"""A check that a linear operator keeps the promises of SciPy's protocol."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator

from pathgraph.arguments import generator
from pathgraph.errors import ParameterError
from pathgraph.scalars import Array

__all__ = ["check_operator"]

LARGEST = 4
"""The largest absolute value of an entry of the vectors."""


def check_operator(operator: Any, *, rng: np.random.Generator | int = 0, tolerance: float | None = None) -> None:
    r"""Check a linear operator on small integer vectors; its products with unit vectors are the reference.

    Checked are: types and shapes of products, ``matvec``, ``rmatvec``, ``matmat``, ``rmatmat``, ``@`` on both sides,
    linearity, transpose and adjoint, the adjoint identity, and empty batches.

    Parameters
    ----------
    operator : scipy.sparse.linalg.LinearOperator
        Small: it is multiplied with the identity.
    rng : numpy.random.Generator or int
    tolerance : float, optional
        Of differences, relative to the larger of the 1-norm and the infinity-norm of the operator times the largest
        entry of the vectors. By default 0 for integers and Python objects, and for floats 64 times the larger size
        times the distance of 1 to the next float.

    Raises
    ------
    AssertionError
        On a broken promise, which it names.
    ParameterError
        On what is no linear operator.

    Examples
    --------
    >>> import pathgraph as pg
    >>> from pathgraph.testing import check_operator
    >>> check_operator(pg.hadamard(8))
    """
    if not isinstance(operator, LinearOperator):
        raise ParameterError(f"operator: needed a scipy.sparse.linalg.LinearOperator, got {type(operator).__name__}")
    rows, columns = operator.shape
    dense = np.asarray(operator @ np.eye(columns, dtype=operator.dtype))
    _require(dense.dtype == operator.dtype, f"its products are {dense.dtype}, its dtype is {operator.dtype}")
    _require(dense.shape == (rows, columns), f"its product with the identity has shape {dense.shape}")
    random = generator(rng)
    x, y = (random.integers(-LARGEST, LARGEST + 1, (size, 3)).astype(dense.dtype) for size in (columns, rows))
    close = _Closeness(dense, tolerance)
    adjoint = dense.T.conj()
    close("matvec", operator.matvec(x[:, 0]), dense @ x[:, 0])
    close("matvec of a column", operator.matvec(x[:, :1]), dense @ x[:, :1])
    close("matmat", operator.matmat(x), dense @ x)
    close("rmatvec", operator.rmatvec(y[:, 0]), adjoint @ y[:, 0])
    close("rmatmat", operator.rmatmat(y), adjoint @ y)
    close("@", operator @ x, dense @ x)
    close("@ on the left", y.T @ operator, y.T @ dense)
    close("the transpose", operator.T @ y, dense.T @ y)
    close("the adjoint", operator.H @ y, adjoint @ y)
    close("the adjoint of the adjoint", operator.H.H @ x, dense @ x)
    close("linearity", operator @ (2 * x[:, 0] - x[:, 1]), 2 * (operator @ x[:, 0]) - operator @ x[:, 1], 3 * LARGEST)
    inner = (y[:, 0].conj() * (operator @ x[:, 0])).sum(), ((operator.H @ y[:, 0]).conj() * x[:, 0]).sum()
    close("the adjoint identity", np.array([inner[0]]), np.array([inner[1]]), rows * LARGEST**2)
    close("an empty batch", operator @ x[:, :0], dense @ x[:, :0])


class _Closeness:
    """Comparisons that are as strict as the scalars allow."""

    def __init__(self, dense: Array, tolerance: float | None) -> None:
        is_float = dense.dtype.kind in "fc"
        if tolerance is None:
            tolerance = 64 * max(dense.shape) * float(np.finfo(dense.dtype).eps) if is_float else 0
        sizes = np.abs(dense) if is_float else np.zeros((1, 1))
        self.slack = tolerance * float(max(sizes.sum(axis=0).max(), sizes.sum(axis=1).max()))

    def __call__(self, what: str, found: Any, wanted: Array, scale: float = LARGEST) -> None:
        _require(np.shape(found) == wanted.shape, f"{what} has shape {np.shape(found)}, needed {wanted.shape}")
        if self.slack:
            difference = np.abs(found - wanted).max(initial=0)
            _require(difference <= scale * self.slack, f"{what} is off by {difference}")
        else:
            _require(bool(np.all(found == wanted)), f"{what} is {found!r}, needed {wanted!r}")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(f"operator: {message}")
