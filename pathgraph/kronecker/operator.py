"""The protocol that Kronecker-sparse matrices and chains share: SciPy's linear operators, on arrays of any layout.

`scipy.sparse.linalg.LinearOperator` is what iterative solvers ask for. Its defaults multiply column by column and take
arrays of two axes only; here every product is one call of `apply`. Nothing becomes dense silently: ``np.asarray`` of an
operator is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import issparse
from scipy.sparse.linalg import LinearOperator

from pathgraph.cache_lines import result_empty
from pathgraph.devices import Device
from pathgraph.errors import ConversionError, ParameterError
from pathgraph.kronecker import repeated
from pathgraph.kronecker.operands import (
    as_operand,
    as_output,
    checked_axis,
    flattened,
    is_scalar,
    product_type,
    with_axis,
)
from pathgraph.kronecker.patterns import MAX_BYTES
from pathgraph.scalars import Array
from pathgraph.shown import argument_text

__all__ = ["KSOperator"]


class KSOperator(LinearOperator):  # type: ignore[misc]
    """What `KSMatrix` and `KSChain` have in common; a `scipy.sparse.linalg.LinearOperator`.

    Subclasses provide `_run`, `_bound`, `_arrays`, `_scaled`, `_times`, `_transpose`, `conj`, `to_device`,
    `toarray` and `tosparse`.
    """

    __array_ufunc__ = None  # so that ``array @ operator`` and ``array * operator`` ask the operator
    __array_priority__ = 100.0
    __hash__ = None  # type: ignore[assignment]

    # -- products with arrays -------------------------------------------------------------------------------------

    def apply(self, x: Any, axis: int = 0, *, out: Array | None = None, method: str = "auto") -> Array:
        """The product with every vector along an axis of an array.

        Parameters
        ----------
        x : array_like, n_columns long along `axis`
            Any other axes, strides, alignment, byte order and type; it may be empty.
        axis : int
            0 for vectors that are columns (batch last), -1 for vectors that are rows (batch first), or any other axis.
        out : ndarray, n_rows long along `axis`, optional
            Where to write the product: of the type of the product, sharing no memory with `x` or the values.
        method : str
            ``"auto"``, or a method that `explain` names.

        Returns
        -------
        ndarray
            `out`, or a new array.

        Raises
        ------
        ParameterError
            On shapes that do not fit, and an `out` that is read-only, overlaps or has another shape or type.
        BackendError
            On an unknown method, or one that does not multiply these numbers.

        Notes
        -----
        The type is that of a product of NumPy arrays. float16 is accumulated in float32, then rounded.

        Examples
        --------
        >>> import numpy as np, pathgraph as pg
        >>> K = pg.KSMatrix([[[[1, 2]], [[3, 4]]]])
        >>> K.apply([10, 1]), K.apply([[10, 1], [1, 0]], axis=-1).tolist()
        (array([10,  2, 30,  4]), [[10, 2, 30, 4], [1, 0, 3, 0]])
        """
        if method == "auto":
            known = repeated.again(self._known, x, axis, out)
            if known is not None:
                return known
        array, given_axis = as_operand(x, "x"), axis
        axis = checked_axis(array, axis, "x", self.shape[1], self.shape)
        dtype, shape = product_type(self.dtype, array.dtype), with_axis(array.shape, axis, self.shape[0])
        result = result_empty(shape, dtype) if out is None else as_output(out, shape, dtype, [array, *self._arrays()])
        if not result.size:
            self._check_method(method, dtype)
            return result
        source, target = flattened(array, axis), flattened(result, axis)
        self._run(source, target, method)
        if not np.may_share_memory(target, result):  # its strides allowed no view
            result[...] = np.moveaxis(target.reshape(np.moveaxis(result, axis, 0).shape), 0, axis)
        elif method == "auto" and np.may_share_memory(source, array) and (bound := self._bound(source, target)):
            read = [] if out is None else self._arrays()
            repeated.remember(self._known, bound, array, given_axis, result, read, is_new=out is None)
        return result

    @cached_property
    def _known(self) -> dict[Any, repeated.Repeated]:
        """What is remembered of products that were made."""
        return {}

    def _bound(self, x: Array, out: Array) -> repeated.Bound | None:
        """What `_run` does with arrays of this type, shape and strides, if it is worth remembering."""
        raise NotImplementedError

    def _run(self, x: Array, out: Array, method: str) -> None:
        """Write the product with x, shape (n_columns, n), to out, shape (n_rows, n); n >= 1, any strides."""
        raise NotImplementedError

    def _check_method(self, method: str, dtype: np.dtype[Any]) -> None:
        """Refuse what `_run` would refuse, where there is nothing to multiply."""
        raise NotImplementedError

    def _arrays(self) -> Iterable[Array]:
        """The arrays that hold the values."""
        raise NotImplementedError

    def _matvec(self, x: Any) -> Array:
        return self.apply(np.asarray(x).ravel())

    def _rmatvec(self, x: Any) -> Array:
        return np.asarray(self.H.apply(np.asarray(x).ravel()))

    def _matmat(self, x: Any) -> Any:
        return self @ x

    def _rmatmat(self, x: Any) -> Any:
        return self.H @ x

    # -- operators ------------------------------------------------------------------------------------------------

    def dot(self, x: Any) -> Any:
        """The product with an array, a sparse array, another operator, or a number."""
        return self._scaled(x) if is_scalar(x) else self @ x

    def __mul__(self, x: Any) -> Any:
        return self.dot(x)

    def __rmul__(self, x: Any) -> Any:
        return self._scaled(x) if is_scalar(x) else self.__rmatmul__(x)

    def __matmul__(self, other: Any) -> Any:
        _refuse_scalar(other)
        if isinstance(other, LinearOperator):
            self._require_columns(other.shape)
            return self._times(other) if isinstance(other, KSOperator) else LinearOperator.dot(self, other)
        if issparse(other):
            self._require_columns(other.shape)
            return self.tosparse() @ other
        array = as_operand(other, "x")
        return self.apply(array, axis=0 if array.ndim == 1 else -2)

    def __rmatmul__(self, other: Any) -> Any:
        _refuse_scalar(other)
        if issparse(other):
            if other.shape[-1] != self.shape[0]:
                raise ParameterError(f"cannot multiply shapes {other.shape} and {self.shape}")
            return other @ self.tosparse()
        return self.T.apply(other, axis=-1)

    def _require_columns(self, shape: tuple[int, ...]) -> None:
        if shape[0] != self.shape[1]:
            raise ParameterError(f"cannot multiply shapes {self.shape} and {shape}")

    def __truediv__(self, other: Any) -> Any:
        return self._scaled(other, divide=True) if is_scalar(other) else NotImplemented

    def __neg__(self) -> Any:
        return self._scaled(-1)

    def _scaled(self, factor: Any, *, divide: bool = False) -> Any:
        raise NotImplementedError

    def _times(self, other: KSOperator) -> Any:
        raise NotImplementedError

    def _transpose(self) -> Any:
        raise NotImplementedError

    def _adjoint(self) -> Any:
        return self._transpose().conj()

    def conj(self) -> Any:
        """The operator with conjugate values."""
        raise NotImplementedError

    # -- on a device, and as arrays -------------------------------------------------------------------------------

    def to_device(self, device: Device | str = "cupy") -> Any:
        """The same operator with a copy of its values on a device, which multiplies arrays of the device.

        Parameters
        ----------
        device : Device or str
            The package of its arrays, or the device itself; the GPU, through CuPy, by default.

        Returns
        -------
        DeviceKSMatrix or DeviceKSChain
            Its method ``to_host`` is the way back.

        Raises
        ------
        BackendError
            If the device cannot be used, with the reason.
        UnsupportedOperatorError
            If the values are not float16, float32, float64, complex64 or complex128.

        Examples
        --------
        >>> import numpy as np, pathgraph as pg
        >>> device = pg.gpu.loopback()
        >>> pg.hadamard(2).to_device(device) @ device.to_device(np.array([3.0, 1.0]))
        LoopbackArray([4., 2.])
        """
        raise NotImplementedError

    def toarray(self, *, max_bytes: int = MAX_BYTES) -> Array:
        """The dense matrix."""
        raise NotImplementedError

    def tosparse(self, format: str = "csr") -> Any:
        """The matrix as a sparse array."""
        raise NotImplementedError

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        # SciPy's sparse arrays call np.asanyarray to learn whether their right operand can answer instead of them; an
        # array that holds the operator means yes.
        if sys._getframe(1).f_code.co_name == "_matmul_dispatch":
            holder = np.empty((), dtype=object)
            holder[()] = self
            return holder
        raise ConversionError(
            f"a {type(self).__name__} of shape {self.shape} does not become a dense array silently; call .toarray()"
        )


def _refuse_scalar(other: Any) -> None:
    if is_scalar(other):
        raise ParameterError(f"@: needed an array or an operator, got the number {argument_text(other)}; use *")
