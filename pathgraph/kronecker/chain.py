r"""Chains of Kronecker-sparse matrices: products :math:`K_1 K_2 \cdots K_L`, written left to right.

A chain is kept as its factors and applied from the right. A product with a batch runs tile by tile: a part of the batch
that fits into the second-level cache goes through all factors before the next part starts.

Consecutive factors may be merged. `KSChain.merge` finds the partition into runs whose products cost least, by dynamic
programming; `KSChain.reduce` removes the redundant pairs only, whose product has no rank constraint.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property, reduce
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse.linalg import LinearOperator

from pathgraph.arguments import number
from pathgraph.devices import Device, refuse_elsewhere
from pathgraph.errors import ParameterError
from pathgraph.kronecker import cost, execution
from pathgraph.kronecker.device_operators import DeviceKSChain, moved
from pathgraph.kronecker.factors import Factors, require_chain
from pathgraph.kronecker.kernels import chains, launch
from pathgraph.kronecker.matrix import KSMatrix
from pathgraph.kronecker.operands import as_operand, product_type
from pathgraph.kronecker.operator import KSOperator
from pathgraph.kronecker.patterns import LIMIT, MAX_BYTES, KSPattern, guard, product_nnz
from pathgraph.kronecker.repeated import Bound
from pathgraph.scalars import Array
from pathgraph.shown import counted

__all__ = ["KSChain"]


class KSChain(Factors, KSOperator):
    r"""A product of Kronecker-sparse matrices, as a `scipy.sparse.linalg.LinearOperator`.

    Parameters
    ----------
    factors : sequence of KSMatrix or KSChain
        From left to right; the columns of each are as many as the rows of the next. Chains stand for their factors.

    Attributes
    ----------
    factors : tuple of KSMatrix
    patterns : tuple of KSPattern
    shape : (int, int)
    dtype : dtype
        That of the product.
    nnz : int
        Number of values of all factors.

    Raises
    ------
    ParameterError
        On no factors, and on shapes that do not chain.

    Notes
    -----
    The patterns need not be chainable in the sense of `KSPattern.is_chainable`; if they are, `pattern` is that of the
    product. ``==`` compares factors: different factors may have the same product, compare `toarray` for that.

    Examples
    --------
    >>> import pathgraph as pg
    >>> chain = pg.hadamard(4)
    >>> chain
    KSChain(4 x 4, 2 factors, 16 values, float64)
    >>> chain @ [1, 2, 3, 4], chain.pattern
    (array([10., -2., -4.,  0.]), KSPattern(1, 4, 4, 1))
    """

    factors: tuple[KSMatrix, ...]

    def __init__(self, factors: Sequence[KSOperator]) -> None:
        self.factors = tuple(_listed(factors))
        if not self.factors:
            raise ParameterError("factors: needed at least one, got none")
        require_chain(self.factors)
        dtype = product_type(*(factor.dtype for factor in self.factors))
        super().__init__(dtype, (self.factors[0].shape[0], self.factors[-1].shape[1]))

    @property
    def is_chainable(self) -> bool:
        """Whether every pair of neighbours is chainable."""
        return all(left.is_chainable(right) for left, right in pairwise(self.patterns))

    @property
    def _is_mirrored(self) -> bool:
        """Whether the transpose is chainable, and this chain is not: it is merged in the transpose."""
        return not self.is_chainable and all(right.T.is_chainable(left.T) for left, right in pairwise(self.patterns))

    @property
    def pattern(self) -> KSPattern:
        """The product of the patterns, which holds the support of the product.

        Raises
        ------
        ParameterError
            If a pair of neighbours is not chainable.
        """
        return reduce(lambda left, right: left * right, self.patterns)

    # -- multiplication -------------------------------------------------------------------------------------------

    def _run(self, x: Array, out: Array, method: str) -> None:
        n = x.shape[1]
        is_last = abs(x.strides[1]) <= abs(x.strides[0])  # the batch lies along rows
        work = execution.computed_in(out.dtype)  # float16 is rounded once, at the end
        weights = [factor.weights.astype(work) for factor in self.factors]
        if work == out.dtype and self._is_fused(n, work, method, batch_first=not is_last):
            kept = self._packed.setdefault(work, {})
            chains.multiply([each.values for each in weights], x.astype(work, copy=False), out, kept)
            return
        kept = launch.taken()
        for part in self._tiles(n, work, method):
            given = x[:, part].astype(work, copy=False)
            for step, factor in enumerate(weights[:0:-1]):
                rows, columns = factor.pattern.shape[0], given.shape[1]
                shape = (rows, columns) if is_last else (columns, rows)
                found = launch.between(kept, step % 2, shape, work)
                found = found if is_last else found.T
                execution.multiply(factor, given, found, method)
                given = found
            target = out[:, part] if work == out.dtype else np.empty_like(out[:, part], dtype=work)
            execution.multiply(weights[0], given, target, method)
            if work != out.dtype:
                out[:, part] = target
        launch.give_back(kept)

    def _bound(self, x: Array, out: Array) -> Bound | None:
        work, is_first = out.dtype, abs(x.strides[1]) > abs(x.strides[0])
        if x.dtype != work or not self._is_fused(x.shape[1], work, "auto", batch_first=is_first):
            return None
        values = [factor.weights.astype(work).values for factor in self.factors]
        return chains.bound(values, x, out, self._packed.setdefault(work, {}))

    def _is_fused(self, n: int, dtype: np.dtype[Any], method: str, *, batch_first: bool) -> bool:
        """Whether one kernel takes tiles of the batch through all factors."""
        shapes = [tuple(pattern) for pattern in self.patterns]
        return method == "auto" and chains.is_worth_it(shapes, n, dtype, batch_first=batch_first)

    @cached_property
    def _packed(self) -> dict[Any, Any]:
        """What the kernel keeps, by type."""
        return {}

    def _tiles(self, n: int, dtype: np.dtype[Any], method: str) -> list[slice]:
        """Parts of the batch that go through all factors in a cache: the last one for compiled products."""
        sizes = [self.shape[1], *(factor.shape[0] for factor in self.factors)]
        widest = max(before + after for before, after in pairwise(sizes))
        is_compiled = method in ("auto", "tiles") and launch.is_available(dtype)
        least, room = (256, chains.SHARED) if is_compiled else (64, execution.TILE_BYTES)
        width = max(least, room // (widest * dtype.itemsize) // 64 * 64) if len(self.factors) > 1 else n
        return [slice(start, min(start + width, n)) for start in range(0, n, width)]

    def _check_method(self, method: str, dtype: np.dtype[Any]) -> None:
        if method != "auto":
            execution.require(method, dtype)

    def _arrays(self) -> Iterable[Array]:
        return (factor.values for factor in self.factors)

    def explain(
        self, batch: int = 1, *, axis: int = 0, dtype: DTypeLike | None = None, method: str = "auto"
    ) -> cost.ChainPlan:
        """How `apply` would multiply a batch: fused or one factor after the other, and each factor by itself.

        See `KSMatrix.explain`.

        Examples
        --------
        >>> import pathgraph as pg
        >>> plan = pg.hadamard(8).explain(10, method="matmul")
        >>> plan.flops, [step.method for step in plan.steps]
        (960, ['matmul', 'matmul', 'matmul'])
        """
        kind = product_type(self.dtype, self.dtype if dtype is None else np.dtype(dtype))
        steps = tuple(cost.explain(factor, batch, axis, kind, method) for factor in self.factors)
        if self._is_fused(batch, kind, method, batch_first=axis == -1):
            width = min(batch, chains.width(kind))
            return cost.ChainPlan(steps, width, -(-batch // width), is_fused=True)
        tiles = self._tiles(max(batch, 1), kind, method)
        return cost.ChainPlan(steps, tiles[0].stop, len(tiles), is_fused=False)

    def vjp(self, x: Any, gradient: Any, axis: int = 0) -> tuple[Array, list[Array]]:
        """Gradients with respect to x and to the values of every factor; see `KSMatrix.vjp`.

        Examples
        --------
        >>> import pathgraph as pg
        >>> K = pg.KSMatrix([[[[2]]]])
        >>> pg.KSChain([K, 3 * K]).vjp([5], [1])
        (array([12]), [array([[[[30]]]]), array([[[[10]]]])])
        """
        inputs = [as_operand(x, "x")]
        for factor in self.factors[:0:-1]:
            inputs.append(factor.apply(inputs[-1], axis))
        found = []
        for factor, given in zip(self.factors, reversed(inputs), strict=True):
            gradient, of_values = factor.vjp(given, gradient, axis)
            found.append(of_values)
        return gradient, found

    # -- shorter chains -------------------------------------------------------------------------------------------

    def merge(self, balance: float = 8.0) -> KSChain:
        """The same product with fewer factors: the partition into runs of neighbours that costs least.

        Parameters
        ----------
        balance : float
            How many multiplications take as long as moving a number to or from the cache. A run costs, per vector, the
            number of values of its product, plus `balance` times its numbers of rows and columns. With 0 merging never
            makes more values.

        Returns
        -------
        KSChain
            Runs whose patterns are not chainable stay apart; the transpose of a chainable chain is merged like it.

        Notes
        -----
        Dynamic programming over the L (L + 1) / 2 runs: the best partition, not a greedy one; of equal ones, the one
        with fewest factors. Derived here.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.hadamard(16).merge(0).patterns
        (KSPattern(1, 4, 4, 4), KSPattern(4, 4, 4, 1))
        """
        weight = number(balance, "balance", "[0, inf)")
        if self._is_mirrored:
            return self._transposed.merge(weight)._transposed
        best: list[tuple[float, int, list[tuple[int, int]]]] = [(0.0, 0, [])]
        for stop in range(1, len(self.factors) + 1):
            run, options = None, []
            for start in reversed(range(stop)):
                factor = self.factors[start].pattern
                if run is not None and (not factor.is_chainable(run) or product_nnz(factor, run) >= LIMIT):
                    break
                run = factor if run is None else factor * run
                before, n_runs, runs = best[start]
                total = before + run.nnz + weight * sum(run.shape)
                options.append((total, n_runs + 1, [*runs, (start, stop)]))
            best.append(min(options))
        return self._in_runs(best[-1][2])

    def reduce(self) -> KSChain:
        """The same product without redundant pairs: neighbours whose product has no rank constraint are merged.

        Returns
        -------
        KSChain
            Its patterns have the same set of products as those of this chain.

        References
        ----------
        arXiv 2411.04506.

        Examples
        --------
        >>> import numpy as np, pathgraph as pg
        >>> chain = pg.KSChain([pg.KSMatrix(np.ones((1, 2, 2, 1))), pg.KSMatrix(np.ones((1, 2, 3, 1)))])
        >>> chain.reduce().patterns
        (KSPattern(1, 2, 3, 1),)
        """
        if self._is_mirrored:
            return self._transposed.reduce()._transposed
        factors = list(self.factors)
        i = 0
        while i + 1 < len(factors):
            left, right = factors[i].pattern, factors[i + 1].pattern
            if left.is_chainable(right) and left.is_redundant(right):
                factors[i : i + 2] = [factors[i].product(factors[i + 1])]
                i = max(i - 1, 0)  # the product may be redundant with the factor before
            else:
                i += 1
        return KSChain(factors)

    def _in_runs(self, runs: Iterable[tuple[int, int]]) -> KSChain:
        parts = (self.factors[start:stop] for start, stop in runs)
        return KSChain([reduce(lambda right, left: left.product(right), reversed(part)) for part in parts])

    # -- algebra --------------------------------------------------------------------------------------------------

    @cached_property
    def _transposed(self) -> KSChain:
        return KSChain([factor.T for factor in reversed(self.factors)])

    @cached_property
    def _adjoined(self) -> KSChain:
        return KSChain([factor.H for factor in reversed(self.factors)])

    def _transpose(self) -> KSChain:
        return self._transposed

    def _adjoint(self) -> KSChain:
        return self._adjoined

    def conj(self) -> KSChain:
        """The chain of the conjugate factors."""
        return KSChain([factor.conj() for factor in self.factors])

    def astype(self, dtype: DTypeLike) -> KSChain:
        """The chain with the values of all factors in another type."""
        return KSChain([factor.astype(dtype) for factor in self.factors])

    def _scaled(self, factor: Any, *, divide: bool = False) -> KSChain:
        return KSChain([self.factors[0]._scaled(factor, divide=divide), *self.factors[1:]])

    def _times(self, other: KSOperator) -> KSChain:
        return KSChain([self, other])

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, LinearOperator):
            return NotImplemented
        if other.shape != self.shape:
            raise ParameterError(f"cannot add shapes {self.shape} and {other.shape}")
        return LinearOperator.__add__(self, other)

    def inv(self) -> KSChain:
        """The chain of the inverses, in the other order.

        Raises
        ------
        ParameterError
            If a factor has no inverse.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.hadamard(2).inv().toarray().tolist()
        [[0.5, 0.5], [0.5, -0.5]]
        """
        return KSChain([factor.inv() for factor in reversed(self.factors)])

    def solve(self, right: Any, axis: int = 0) -> Array:
        """The x with ``apply(x, axis) == right``, factor by factor; see `KSMatrix.solve`."""
        for factor in self.factors:
            right = factor.solve(right, axis)
        return right  # type: ignore[no-any-return]

    def slogdet(self) -> tuple[Any, float]:
        """The sign of the determinant and the logarithm of its absolute value; see `KSMatrix.slogdet`.

        Raises
        ------
        ParameterError
            If a factor is not square.
        """
        parts = [factor.slogdet() for factor in self.factors]
        return reduce(lambda sign, part: sign * part[0], parts, 1.0), sum(log for _, log in parts)

    # -- on a device, as arrays and as a value -----------------------------------------------------------------------

    def to_device(self, device: Device | str = "cupy") -> DeviceKSChain:
        """The chain with its values on a device; see `KSOperator.to_device`."""
        kind = self.dtype
        return DeviceKSChain([moved(factor.astype(kind).values, factor.pattern, device) for factor in self.factors])

    def toarray(self, *, max_bytes: int = MAX_BYTES) -> Array:
        """The dense matrix of the product.

        Parameters
        ----------
        max_bytes : int
            Refuse to allocate more for the product or the last factor.

        Raises
        ------
        ParameterError
            If it would take more than `max_bytes`.

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.hadamard(2).toarray().tolist()
        [[1.0, 1.0], [1.0, -1.0]]
        """
        size = self.shape[0] * self.shape[1]
        guard(size, self.dtype.itemsize, max_bytes, f"a dense matrix of shape {self.shape}", "use .tosparse()")
        last = self.factors[-1].toarray(max_bytes=max_bytes).astype(self.dtype, copy=False)
        return last if len(self.factors) == 1 else KSChain(self.factors[:-1]).apply(last)

    def tosparse(self, format: str = "csr") -> Any:
        """The product as a SciPy sparse array; it may have many more entries than the factors.

        Parameters
        ----------
        format : str

        Examples
        --------
        >>> import pathgraph as pg
        >>> pg.hadamard(2).tosparse().nnz
        4
        """
        product = reduce(lambda left, right: left @ right, (factor.tosparse() for factor in self.factors))
        product.sort_indices()
        return product.asformat(format)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KSChain):
            return NotImplemented
        return self.factors == other.factors

    def __reduce__(self) -> Any:
        return KSChain, (self.factors,)

    def __repr__(self) -> str:
        rows, columns = self.shape
        count = counted(len(self.factors), "factor")
        return f"KSChain({rows} x {columns}, {count}, {self.nnz} values, {self.dtype})"


def _listed(factors: Any) -> Iterable[KSMatrix]:
    try:
        listed = list(factors)
    except TypeError:
        raise ParameterError(f"factors: needed a sequence of KSMatrix, got {type(factors).__name__}") from None
    if isinstance(factors, KSMatrix):
        raise ParameterError("factors: needed a sequence of KSMatrix, got one; write [K]")
    for i, factor in enumerate(listed):
        if isinstance(factor, KSChain):
            yield from factor.factors
        elif isinstance(factor, KSMatrix):
            yield factor
        else:
            refuse_elsewhere(factor, f"factors[{i}]")
            raise ParameterError(f"factors[{i}]: needed a KSMatrix, got {type(factor).__name__}")
