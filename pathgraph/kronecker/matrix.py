"""Kronecker-sparse matrices: a pattern and its values, as an immutable linear operator.

The public form of the values is the array w of shape (a, b, c, d) whose entry (i, j, k, l) stands in row
``i b d + j d + l`` and column ``i c d + k d + l``. Methods that multiply may keep packed copies of it.

Products with arrays are those of `KSOperator`, norms and inverses those of `Blockwise`, sums and scalings those of
`Entrywise`. Products of matrices are in `algebra`, conversions in `conversion`, methods of multiplication in
`execution`; the methods here call them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pathgraph.devices import Device, refuse_elsewhere
from pathgraph.errors import ParameterError
from pathgraph.kronecker import algebra, conversion, cost, execution
from pathgraph.kronecker.device_operators import DeviceKSMatrix, moved
from pathgraph.kronecker.entrywise import Entrywise
from pathgraph.kronecker.operands import as_operand
from pathgraph.kronecker.operator import KSOperator
from pathgraph.kronecker.patterns import MAX_BYTES, KSPattern, product_nnz
from pathgraph.kronecker.repeated import Bound
from pathgraph.scalars import Array, frozen

__all__ = ["KSMatrix"]


class KSMatrix(Entrywise):
    r"""A Kronecker-sparse matrix, as a `scipy.sparse.linalg.LinearOperator`.

    Parameters
    ----------
    values : array_like, shape (a, b, c, d)
        Booleans, integers, floats, complex numbers, or Python objects such as `fractions.Fraction`.
    copy : bool
        With False the array is kept as it is, and must not change any more.

    Attributes
    ----------
    pattern : KSPattern
    values : ndarray, shape (a, b, c, d), read-only
    shape : (int, int)
        (a b d, a c d).
    dtype : dtype
    nnz : int
        Number of values, zeros included.

    Raises
    ------
    ParameterError
        If the values are no array of numbers with four axes of at least one entry.

    Notes
    -----
    ``K @ X`` and ``X @ K`` take arrays of any number of axes, as `numpy.matmul` does, and sparse arrays. ``K @ L`` with
    another Kronecker-sparse matrix is a KSMatrix where the patterns are chainable and the product has no more values
    than both factors together, a `KSChain` otherwise; `product` always multiplies. ``K * L`` is ``K @ L``, as for every
    LinearOperator; `multiply` is the entrywise product. Matrices are equal (``==``) if their patterns and values are.

    References
    ----------
    arXiv 2405.15013.

    Examples
    --------
    >>> import numpy as np, pathgraph as pg
    >>> K = pg.KSMatrix(np.arange(1, 9).reshape(1, 2, 2, 2))
    >>> K.toarray()
    array([[1, 0, 3, 0],
           [0, 2, 0, 4],
           [5, 0, 7, 0],
           [0, 6, 0, 8]])
    >>> K @ [1, 0, 0, 1], [1, 0, 0, 1] @ K, K.T.pattern
    (array([1, 4, 5, 8]), array([1, 6, 3, 8]), KSPattern(1, 2, 2, 2))
    """

    pattern: KSPattern
    values: Array

    def __init__(self, values: ArrayLike, *, copy: bool = True) -> None:
        array = as_operand(values, "values")
        if array.ndim != 4:
            raise ParameterError(f"values: needed shape (a, b, c, d), got {array.shape}")
        self.pattern = KSPattern(*array.shape)
        if copy or not array.dtype.isnative:
            array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
        self.values = frozen(array.view(np.ndarray))
        super().__init__(self.values.dtype, self.pattern.shape)

    @property
    def nnz(self) -> int:
        """Number of values, zeros included."""
        return self.pattern.nnz

    @cached_property
    def weights(self) -> execution.Weights:
        """The values as methods of multiplication see them."""
        return execution.Weights(self.values, self.pattern)

    @property
    def blocks(self) -> Array:
        """The dense blocks, shape (a, d, b, c)."""
        return frozen(self.weights.blocks.view())

    # -- from and to arrays ---------------------------------------------------------------------------------------

    @staticmethod
    def from_dense(matrix: Any, pattern: KSPattern) -> KSMatrix:
        """The matrix of this pattern that equals a dense or sparse one.

        Raises
        ------
        ParameterError
            On another shape, and on entries outside the support; `project` drops them.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSMatrix.from_dense([[1, 0], [0, 2]], pg.KSPattern(1, 1, 1, 2)).values.ravel()
        array([1, 2])
        """
        return _kept(conversion.values_of(matrix, pattern, is_exact=True))

    @staticmethod
    def project(matrix: Any, pattern: KSPattern) -> KSMatrix:
        """The orthogonal projection of a dense or sparse matrix: its entries on the support.

        Raises
        ------
        ParameterError
            On another shape.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSMatrix.project([[1, 5], [6, 2]], pg.KSPattern(2, 1, 1, 1)).values.ravel()
        array([1, 2])
        """
        return _kept(conversion.values_of(matrix, pattern, is_exact=False))

    @staticmethod
    def from_diagonal(diagonal: ArrayLike, *, along: str = "d") -> KSMatrix:
        """The diagonal matrix, which has two patterns: (1, 1, 1, n) along "d" and (n, 1, 1, 1) along "a".

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSMatrix.from_diagonal([3, 4], along="a").pattern
        KSPattern(2, 1, 1, 1)
        """
        return _kept(conversion.diagonal_values(diagonal, along))

    @staticmethod
    def block_diagonal(matrices: Sequence[KSMatrix]) -> KSMatrix:
        """The block-diagonal matrix of matrices that have b, c and d in common: the a add up.

        Raises
        ------
        ParameterError
            On no matrices, and on different b, c or d.

        Examples
        --------
        >>> import pathgraph as pg
        >>> K = pg.KSMatrix([[[[1]]]])
        >>> pg.KSMatrix.block_diagonal([K, 2 * K]).toarray().tolist()
        [[1, 0], [0, 2]]
        """
        return _kept(algebra.block_diagonal(matrices))

    def toarray(self, *, max_bytes: int = MAX_BYTES) -> Array:
        """The dense matrix.

        Parameters
        ----------
        max_bytes : int
            Refuse to allocate more.

        Raises
        ------
        ParameterError
            If it would take more than `max_bytes`.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSMatrix([[[[1, 2]]]]).toarray()
        array([[1, 0],
               [0, 2]])
        """
        return conversion.dense(self.values, self.pattern, max_bytes)

    def tosparse(self, format: str = "csr", *, max_bytes: int = MAX_BYTES) -> Any:
        """The matrix as a SciPy sparse array: every value, zeros included, sorted, without duplicates.

        Parameters
        ----------
        format : str
            A format of `scipy.sparse`. SciPy has no float16 and no objects: float16 becomes float32.
        max_bytes : int
            Refuse to allocate more.

        Raises
        ------
        ParameterError
            If it would take more than `max_bytes`, or on an unknown format.
        UnsupportedOperatorError
            On Python objects.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSMatrix([[[[1, 2]]]]).tosparse().indices.tolist()
        [0, 1]
        """
        return conversion.sparse(self.values, self.pattern, format, max_bytes)

    def to_device(self, device: Device | str = "cupy") -> DeviceKSMatrix:
        """The matrix with its values on a device; see `KSOperator.to_device`."""
        return moved(self.values, self.pattern, device)

    def astype(self, dtype: DTypeLike) -> KSMatrix:
        """The matrix with its values in another type."""
        return _kept(as_operand(self.values.astype(dtype), "values"))

    # -- multiplication -------------------------------------------------------------------------------------------

    def _of(self, values: Array) -> KSMatrix:
        return _kept(values)

    def _run(self, x: Array, out: Array, method: str) -> None:
        execution.multiply(self.weights, x, out, method)

    def _bound(self, x: Array, out: Array) -> Bound | None:
        return execution.bound(self.weights, x, out)

    def _check_method(self, method: str, dtype: np.dtype[Any]) -> None:
        if method != "auto":
            execution.require(method, dtype)

    def _arrays(self) -> Iterable[Array]:
        return (self.values,)

    def explain(
        self, batch: int = 1, *, axis: int = 0, dtype: DTypeLike | None = None, method: str = "auto"
    ) -> cost.Plan:
        """How `apply` would multiply a batch, why, and what it costs.

        Parameters
        ----------
        batch : int
            Number of vectors.
        axis : {0, -1}
            Of `apply`: 0 for batch last, -1 for batch first.
        dtype : dtype, optional
            Of the vectors; by default that of the values.
        method : str
            Of `apply`.

        Returns
        -------
        Plan
            Its representation is a report. The rates of the machine are measured once per process, in about 50 ms.

        Examples
        --------
        >>> import numpy as np, pathgraph as pg
        >>> plan = pg.KSMatrix(np.ones((4, 8, 8, 2))).explain(100, method="matmul")
        >>> plan.method, plan.flops, plan.bytes
        ('matmul', 102400, 106496)
        """
        return cost.explain(self, batch, axis, dtype, method)

    def vjp(self, x: Any, gradient: Any, axis: int = 0) -> tuple[Array, Array]:
        r"""Gradients with respect to x and the values of a loss whose gradient with respect to ``apply(x, axis)`` is G.

        Parameters
        ----------
        x : array_like
            As in `apply`.
        gradient : array_like
            G, of the shape of the product.
        axis : int

        Returns
        -------
        gradient_x : ndarray
            :math:`K^H G`, of the shape of x.
        gradient_values : ndarray, shape (a, b, c, d)
            :math:`\sum_n G_{ijln} \overline{x_{ikln}}` over the batch.

        Notes
        -----
        For complex numbers these are the gradients for the inner product :math:`\mathrm{Re}\langle G, dY\rangle`, as in
        PyTorch. Derived here.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSMatrix([[[[2]], [[3]]]]).vjp([5], [1, 1])
        (array([5]), array([[[[5]],
        <BLANKLINE>
                [[5]]]]))
        """
        of_values = algebra.values_gradient(self, x, gradient, axis)
        return self.H.apply(gradient, axis), of_values

    # -- algebra --------------------------------------------------------------------------------------------------

    @cached_property
    def _transposed(self) -> KSMatrix:
        matrix = _kept(self.values.transpose(0, 2, 1, 3))
        matrix.__dict__["weights"] = self.weights.T
        return matrix

    @cached_property
    def _adjoined(self) -> KSMatrix:
        return self._transposed.conj()

    def _transpose(self) -> KSMatrix:
        return self._transposed

    def _adjoint(self) -> KSMatrix:
        return self._adjoined

    def conj(self) -> KSMatrix:
        """The matrix with conjugate values; itself if they are real."""
        return _kept(self.values.conj()) if self.dtype.kind in "cO" else self

    def _times(self, other: KSOperator) -> Any:
        from pathgraph.kronecker.chain import KSChain

        is_one = isinstance(other, KSMatrix) and self.pattern.is_chainable(other.pattern)
        if is_one and product_nnz(self.pattern, other.pattern) <= self.nnz + other.nnz:
            return self.product(other)
        return KSChain([self, other])

    def product(self, other: KSMatrix) -> KSMatrix:
        """The product with a matrix of a chainable pattern, as one matrix.

        Raises
        ------
        ParameterError
            If the patterns are not chainable: it names the divisibility that fails.

        Notes
        -----
        The pattern of the product is the product of the patterns. It may have many more values than both factors.

        Examples
        --------
        >>> import numpy as np, pathgraph as pg
        >>> K, L = pg.KSMatrix(np.ones((1, 2, 2, 2))), pg.KSMatrix(np.ones((2, 2, 2, 1)))
        >>> K.product(L).pattern
        KSPattern(1, 4, 4, 1)
        """
        return _kept(algebra.product(self, _matrix(other)))

    def kron_eye(self, *, left: int = 1, right: int = 1) -> KSMatrix:
        r"""The matrix :math:`I_{left} \otimes K \otimes I_{right}`: values repeated along the first and last axis.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.KSMatrix([[[[1, 2]]]]).kron_eye(left=2, right=2).values.ravel()
        array([1, 1, 2, 2, 1, 1, 2, 2])
        """
        pattern = self.pattern.kron_eye(left=left, right=right)
        return _kept(np.tile(np.repeat(self.values, pattern.d // self.pattern.d, axis=3), (left, 1, 1, 1)))

    # -- as a value -----------------------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KSMatrix):
            return NotImplemented
        return self.pattern == other.pattern and bool(np.array_equal(self.values, other.values))

    def __reduce__(self) -> Any:
        return _kept, (np.asarray(self.values),)

    def __repr__(self) -> str:
        rows, columns = self.shape
        return f"KSMatrix({rows} x {columns}, pattern {tuple(self.pattern)}, {self.dtype})"


def _kept(values: Array) -> KSMatrix:
    """A matrix that keeps this array."""
    return KSMatrix(values, copy=False)


def _matrix(value: Any) -> KSMatrix:
    refuse_elsewhere(value, "other")
    if not isinstance(value, KSMatrix):
        raise ParameterError(f"other: needed a KSMatrix, got {type(value).__name__}")
    return value
