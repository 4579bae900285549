"""Linear operators whose values are on a device: what `DeviceKSMatrix` and `DeviceKSChain` have in common."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np

from pathgraph.devices import Device, device_of
from pathgraph.errors import ConversionError, ParameterError
from pathgraph.kronecker.operands import checked_axis, is_scalar, with_axis
from pathgraph.shown import argument_text

__all__ = ["DeviceOperator"]


class DeviceOperator:
    """What matrices and chains on a device have in common: products by `apply`, ``@`` and the transpose."""

    __array_ufunc__ = None  # so that ``array @ operator`` asks the operator
    __array_priority__ = 100.0
    __hash__ = None  # type: ignore[assignment]

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    device: Device

    def apply(self, x: Any, axis: int = 0, *, out: Any = None) -> Any:
        """The product with every vector along an axis of an array of the device.

        Parameters
        ----------
        x : array of the device, n_columns long along `axis`
            Of the type of the values; any other axes, and it may be empty. It is copied unless it is contiguous.
        axis : int
            0 for vectors that are columns (batch last), -1 for vectors that are rows (batch first), or any other axis.
        out : array of the device, n_rows long along `axis`, optional
            Where to write the product: contiguous, of the type of the values, sharing no memory with them or with `x`.

        Returns
        -------
        array of the device
            `out`, or a new array, which is contiguous.

        Raises
        ------
        ConversionError
            If x or out lives elsewhere.
        ParameterError
            On a shape or a type that does not fit, and an `out` that is not contiguous, is read-only or overlaps.

        Notes
        -----
        Every entry is one sum in one order, so that its bits depend neither on the batch nor on the run. float16 is
        accumulated in float32, then rounded.

        Examples
        --------
        >>> import numpy as np, pathgraph as pg
        >>> device = pg.gpu.loopback()
        >>> K = pg.KSMatrix(np.array([[[[1.0, 2.0]], [[3.0, 4.0]]]])).to_device(device)
        >>> K.apply(device.to_device(np.array([[10.0, 1.0], [1.0, 0.0]])), axis=-1)
        LoopbackArray([[10.,  2., 30.,  4.],
                       [ 1.,  0.,  3.,  0.]])
        """
        batch, shape, axis = self._batch(x, "x", axis, self.shape[1])
        needed = with_axis(shape, axis, self.shape[0])
        if out is None:
            return self._product(batch).reshape(needed)
        self._require_output(out, needed, batch)
        self._product(batch, out.reshape((batch.shape[0], self.shape[0], batch.shape[2])))
        return out

    def _require_output(self, out: Any, shape: tuple[int, ...], batch: Any) -> None:
        """Refuse what a product with a batch cannot be written to."""
        self._require_here(out, "out")
        if tuple(out.shape) != shape:
            raise ParameterError(f"out: needed shape {shape}, got {tuple(out.shape)}")
        if out.dtype != self.dtype:
            raise ParameterError(f"out: needed {self.dtype}, the type of the values, got {out.dtype}")
        if not out.flags.c_contiguous:
            raise ParameterError("out: needed a contiguous array, in C order; pass a new one")
        if not getattr(out.flags, "writeable", True):  # those of CuPy all are
            raise ParameterError("out: needed a writeable array, got a read-only one")
        if any(_overlap(out, array) for array in (batch, *self._arrays())):
            raise ParameterError("out: needed an array that shares no memory with what is multiplied; pass a new one")

    def _batch(self, array: Any, name: str, axis: Any, size: int) -> tuple[Any, tuple[int, ...], int]:
        """An array as a batch of shape (outer, size, inner), its shape, and the axis, counted from the first one."""
        self._require_here(array, name)
        axis = checked_axis(array, axis, name, size, self.shape)
        if array.dtype != self.dtype:
            raise ParameterError(
                f"{name}: needed {self.dtype}, the type of the values, got {array.dtype}; use astype of one of them"
            )
        shape = tuple(array.shape)
        sides = math.prod(shape[:axis]), size, math.prod(shape[axis + 1 :])
        return self.device.xp.ascontiguousarray(array).reshape(sides), shape, axis

    def _require_here(self, array: Any, name: str) -> None:
        """Refuse an operand that is not on the device of the values."""
        if array is None:
            raise ParameterError(f"{name}: needed an array of {self.device.name}, got None")
        device_of(**{"the values": self._witness, name: array})

    @property
    def _witness(self) -> Any:
        """An array of the device."""
        raise NotImplementedError

    def _arrays(self) -> Iterable[Any]:
        """The arrays that hold the values; contiguous."""
        raise NotImplementedError

    def _product(self, batch: Any, out: Any = None) -> Any:
        """The products with a batch of shape (outer, n_columns, inner); written to `out` unless it is None."""
        raise NotImplementedError

    def conj(self) -> Any:
        """The operator with conjugate values; itself if they are real."""
        raise NotImplementedError

    @property
    def T(self) -> Any:
        """The transpose, which shares the values."""
        raise NotImplementedError

    @property
    def H(self) -> Any:
        """The adjoint: the transpose of the conjugate, which are new values if they are complex."""
        return self.conj().T

    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, DeviceOperator):
            from pathgraph.kronecker.device_operators import DeviceKSChain

            return DeviceKSChain([self, other])
        if is_scalar(other):
            raise ParameterError(f"@: needed an array or an operator, got the number {argument_text(other)}")
        self._require_here(other, "x")
        return self.apply(other, axis=0 if other.ndim == 1 else -2)

    def __rmatmul__(self, other: Any) -> Any:
        if is_scalar(other):
            raise ParameterError(f"@: needed an array or an operator, got the number {argument_text(other)}")
        return self.T.apply(other, axis=-1)

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ConversionError(
            f"a {type(self).__name__} does not become an array of NumPy silently; use .to_host() and .toarray()"
        )

    def __reduce__(self) -> NoReturn:
        raise ConversionError(f"a {type(self).__name__} cannot be pickled or copied; use .to_host()")


def _overlap(one: Any, other: Any) -> bool:
    """Whether two contiguous arrays share memory."""
    return bool(_address(one) < _address(other) + other.nbytes and _address(other) < _address(one) + one.nbytes)


def _address(array: Any) -> int:
    """Where an array begins: of CuPy, or of NumPy's memory."""
    return int(array.data.ptr if hasattr(array.data, "ptr") else array.ctypes.data)
