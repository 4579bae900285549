"""Kronecker-sparse matrices and chains whose values are on a device: `KSMatrix.to_device` makes them.

They multiply arrays of the device, which come and go there: nothing is moved silently, and arrays of the CPU beside
them are a `ConversionError`. Values and arrays have one type: float16, float32, float64, complex64 or complex128.
Nothing here looks at values, or waits for the device: NaN and infinities spread along the patterns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from pathgraph.devices import Device, device_named, device_of
from pathgraph.errors import BackendError, ConversionError, ParameterError, UnsupportedOperatorError
from pathgraph.kronecker.device_operator import DeviceOperator
from pathgraph.kronecker.factors import Factors, require_chain
from pathgraph.kronecker.operands import with_axis
from pathgraph.kronecker.operator import KSOperator
from pathgraph.kronecker.patterns import KSPattern
from pathgraph.shown import counted

if TYPE_CHECKING:
    from pathgraph.kronecker.chain import KSChain
    from pathgraph.kronecker.matrix import KSMatrix
    from pathgraph.scalars import Array

__all__ = ["DeviceKSChain", "DeviceKSMatrix", "moved"]

TYPES = ("float16", "float32", "float64", "complex64", "complex128")


class DeviceKSMatrix(DeviceOperator):
    """A Kronecker-sparse matrix with its values on a device; immutable.

    Parameters
    ----------
    values : array of a device, shape (a, b, c, d)
        float16, float32, float64, complex64 or complex128. It is copied.

    Attributes
    ----------
    pattern : KSPattern
    values : array of the device, shape (a, b, c, d)
        It must not be changed.
    shape : (int, int)
    dtype : dtype
    device : Device

    Raises
    ------
    ConversionError
        If the values are on the CPU.
    ParameterError
        On another shape or type.

    Notes
    -----
    ``K @ X`` and ``X @ K`` take arrays of the device with any number of axes; ``K @ L`` is a `DeviceKSChain`.

    References
    ----------
    arXiv 2405.15013.

    Examples
    --------
    >>> import numpy as np, pathgraph as pg
    >>> device = pg.gpu.loopback()
    >>> K = pg.KSMatrix(np.arange(1.0, 9.0).reshape(1, 2, 2, 2)).to_device(device)
    >>> K
    DeviceKSMatrix(4 x 4, pattern (1, 2, 2, 2), float64 on loopback)
    >>> K @ device.to_device(np.array([1.0, 0.0, 0.0, 1.0]))
    LoopbackArray([1., 4., 5., 8.])
    """

    def __init__(self, values: Any) -> None:
        device = device_of(values=values)
        if device is None:
            raise ConversionError(
                f"values: needed an array of a device, got {type(values).__name__}; KSMatrix(...).to_device() moves a "
                "matrix there"
            )
        if len(values.shape) != 4 or min(values.shape) < 1:
            raise ParameterError(f"values: needed shape (a, b, c, d), each at least 1, got {tuple(values.shape)}")
        _require_type(values.dtype)
        self._set(KSPattern(*values.shape), device.xp.array(device.xp.ascontiguousarray(values)), device, False)

    def _set(self, pattern: KSPattern, stored: Any, device: Device, is_transposed: bool) -> None:
        self.pattern, self._stored, self.device, self._is_transposed = pattern, stored, device, is_transposed
        self.shape, self.dtype = pattern.shape, np.dtype(stored.dtype)

    @classmethod
    def _of(cls, pattern: KSPattern, stored: Any, device: Device, is_transposed: bool = False) -> DeviceKSMatrix:
        """A matrix of values that are taken as they are: of `pattern`, or of its transpose."""
        matrix = cls.__new__(cls)
        matrix._set(pattern, stored, device, is_transposed)
        return matrix

    @property
    def values(self) -> Any:
        """The values: of a transpose, a new array."""
        if not self._is_transposed:
            return self._stored
        return self.device.xp.ascontiguousarray(self._stored.transpose(0, 2, 1, 3))

    @property
    def nnz(self) -> int:
        """Number of values, zeros included."""
        return self.pattern.nnz

    @property
    def _witness(self) -> Any:
        return self._stored

    @property
    def factor(self) -> tuple[KSPattern, Any, bool]:
        """The pattern of the values as they are kept, they, and whether the matrix is the transpose."""
        return (self.pattern.T if self._is_transposed else self.pattern), self._stored, self._is_transposed

    def _arrays(self) -> Iterable[Any]:
        return (self._stored,)

    def _product(self, batch: Any, out: Any = None) -> Any:
        pattern, values, is_transposed = self.factor
        return _products(self.device).multiply(self.device, pattern, values, batch, transposed=is_transposed, out=out)

    @property
    def T(self) -> DeviceKSMatrix:
        """The transpose, of pattern (a, c, b, d), which shares the values."""
        return self._of(self.pattern.T, self._stored, self.device, not self._is_transposed)

    def conj(self) -> DeviceKSMatrix:
        """The matrix with conjugate values; itself if they are real."""
        if self.dtype.kind != "c":
            return self
        return self._of(self.pattern, self._stored.conj(), self.device, self._is_transposed)

    def astype(self, dtype: DTypeLike) -> DeviceKSMatrix:
        """The matrix with its values in another type: one of those above, and complex if they are complex."""
        kind = np.dtype(dtype)
        _require_type(kind)
        if self.dtype.kind == "c" and kind.kind != "c":
            raise ParameterError(f"dtype: needed a complex type for values of {self.dtype}, got {kind}")
        return self._of(self.pattern, self.values.astype(kind), self.device)

    def vjp(self, x: Any, gradient: Any, axis: int = 0) -> tuple[Any, Any]:
        r"""Gradients with respect to x and the values of a loss whose gradient with respect to ``apply(x, axis)`` is G.

        Parameters
        ----------
        x : array of the device
            As in `apply`.
        gradient : array of the device
            G, of the shape of the product.
        axis : int

        Returns
        -------
        gradient_x : array of the device
            :math:`K^H G`, of the shape of x.
        gradient_values : array of the device, shape (a, b, c, d)
            :math:`\sum_n G_{ijln} \overline{x_{ikln}}` over the batch, in an order that depends on shapes only.

        Raises
        ------
        ConversionError
            If an operand lives elsewhere.
        ParameterError
            On a shape or a type that does not fit.

        Examples
        --------
        >>> import numpy as np, pathgraph as pg
        >>> device = pg.gpu.loopback()
        >>> K = pg.KSMatrix(np.array([[[[2.0]], [[3.0]]]])).to_device(device)
        >>> K.vjp(device.to_device(np.array([5.0])), device.to_device(np.array([1.0, 1.0])))[0]
        LoopbackArray([5.])
        """
        batch, shape, at = self._batch(x, "x", axis, self.shape[1])
        needed = with_axis(shape, at, self.shape[0])
        self._require_here(gradient, "gradient")
        if tuple(gradient.shape) != needed:
            raise ParameterError(f"gradient: needed shape {needed}, that of the product, got {tuple(gradient.shape)}")
        given = self._batch(gradient, "gradient", at, self.shape[0])[0]
        of_values = _products(self.device).values_gradient(self.device, self.pattern, batch, given)
        return self.H._product(given).reshape(shape), of_values

    def to_host(self) -> KSMatrix:
        """The matrix on the CPU: a copy, which waits for the device."""
        from pathgraph.kronecker.matrix import KSMatrix

        _, values, is_transposed = self.factor
        matrix = KSMatrix(self.device.to_host(values))
        return matrix.T if is_transposed else matrix

    def __repr__(self) -> str:
        rows, columns = self.shape
        return f"DeviceKSMatrix({rows} x {columns}, pattern {tuple(self.pattern)}, {self.dtype} on {self.device.name})"


class DeviceKSChain(Factors, DeviceOperator):
    """A product of Kronecker-sparse matrices on one device.

    Parameters
    ----------
    factors : sequence of DeviceKSMatrix or DeviceKSChain
        From left to right, of one type; the columns of each are as many as the rows of the next.

    Attributes
    ----------
    factors : tuple of DeviceKSMatrix
    patterns : tuple of KSPattern
    shape : (int, int)
    dtype : dtype
    device : Device

    Raises
    ------
    ConversionError
        If the factors are on different devices.
    ParameterError
        On no factors, and on shapes or types that do not fit.

    Examples
    --------
    >>> import numpy as np, pathgraph as pg
    >>> device = pg.gpu.loopback()
    >>> chain = pg.hadamard(4).to_device(device)
    >>> chain
    DeviceKSChain(4 x 4, 2 factors, float64 on loopback)
    >>> chain @ device.to_device(np.array([1.0, 2.0, 3.0, 4.0]))
    LoopbackArray([10., -2., -4.,  0.])
    """

    factors: tuple[DeviceKSMatrix, ...]

    def __init__(self, factors: Sequence[Any]) -> None:
        listed: list[DeviceKSMatrix] = []
        for i, factor in enumerate(factors):
            if isinstance(factor, KSOperator):
                raise ConversionError(
                    f"factors[{i}]: needed a matrix on a device, got {type(factor).__name__}; use .to_device()"
                )
            if not isinstance(factor, (DeviceKSMatrix, DeviceKSChain)):
                raise ParameterError(f"factors[{i}]: needed a DeviceKSMatrix, got {type(factor).__name__}")
            listed += factor.factors if isinstance(factor, DeviceKSChain) else [factor]
        if not listed:
            raise ParameterError("factors: needed at least one, got none")
        device_of(**{f"factors[{i}]": factor._witness for i, factor in enumerate(listed)})
        require_chain(listed)
        for factor in listed:
            if factor.dtype != listed[0].dtype:
                raise ParameterError(f"factors: needed one type, got {listed[0].dtype} and {factor.dtype}; use astype")
        self.factors = tuple(listed)
        self.shape = listed[0].shape[0], listed[-1].shape[1]
        self.dtype, self.device = listed[0].dtype, listed[0].device
        self._kept: dict[Any, Any] = {}  # what the device made of the values, which never change

    @property
    def _witness(self) -> Any:
        return self.factors[0]._witness

    def _arrays(self) -> Iterable[Any]:
        return (array for factor in self.factors for array in factor._arrays())

    def _product(self, batch: Any, out: Any = None) -> Any:
        factors = [factor.factor for factor in self.factors]
        return _products(self.device).multiply_chain(self.device, factors, batch, self._kept, out=out)

    @property
    def T(self) -> DeviceKSChain:
        """The transpose: the transposes of the factors, in the other order."""
        return DeviceKSChain([factor.T for factor in reversed(self.factors)])

    def conj(self) -> DeviceKSChain:
        """The chain of the conjugates of the factors; itself if they are real."""
        return DeviceKSChain([factor.conj() for factor in self.factors]) if self.dtype.kind == "c" else self

    def astype(self, dtype: DTypeLike) -> DeviceKSChain:
        """The chain with the values of all factors in another type."""
        return DeviceKSChain([factor.astype(dtype) for factor in self.factors])

    def vjp(self, x: Any, gradient: Any, axis: int = 0) -> tuple[Any, list[Any]]:
        """Gradients with respect to x and to the values of every factor; see `DeviceKSMatrix.vjp`.

        Examples
        --------
        >>> import numpy as np, pathgraph as pg
        >>> device = pg.gpu.loopback()
        >>> chain = pg.KSChain([pg.KSMatrix(np.array([[[[v]]]])) for v in (2.0, 6.0)]).to_device(device)
        >>> chain.vjp(device.to_device(np.array([5.0])), device.to_device(np.array([1.0])))[0]
        LoopbackArray([12.])
        """
        inputs = [x]
        for factor in self.factors[:0:-1]:
            inputs.append(factor.apply(inputs[-1], axis))
        found = []
        for factor, given in zip(self.factors, reversed(inputs), strict=True):
            gradient, of_values = factor.vjp(given, gradient, axis)
            found.append(of_values)
        return gradient, found

    def to_host(self) -> KSChain:
        """The chain on the CPU: a copy, which waits for the device."""
        from pathgraph.kronecker.chain import KSChain

        return KSChain([factor.to_host() for factor in self.factors])

    def __repr__(self) -> str:
        rows, columns = self.shape
        count = counted(len(self.factors), "factor")
        return f"DeviceKSChain({rows} x {columns}, {count}, {self.dtype} on {self.device.name})"


def _require_type(dtype: np.dtype[Any]) -> None:
    if dtype.name not in TYPES:
        raise ParameterError(f"values: needed one of {', '.join(TYPES)}, got {dtype}")


def moved(values: Array, pattern: KSPattern, device: Device | str) -> DeviceKSMatrix:
    """A matrix with a copy of these values on a device.

    Raises
    ------
    BackendError
        If the device cannot be used, with the reason.
    UnsupportedOperatorError
        If the values are of none of the types that a device multiplies.
    """
    if values.dtype.name not in TYPES:
        raise UnsupportedOperatorError(
            f"to_device: needed one of {', '.join(TYPES)}, the values are {values.dtype}; use .astype(...).to_device()"
        )
    is_named = isinstance(device, str) or not hasattr(device, "to_device")
    chosen: Any = device_named(device) if is_named else device  # type: ignore[arg-type]
    _products(chosen)
    return DeviceKSMatrix._of(pattern, chosen.to_device(np.ascontiguousarray(values)), chosen)


def _products(device: Any) -> Any:
    """What multiplies on a device."""
    if not hasattr(device, "products"):
        raise BackendError(f"device: {device.name} has no products of Kronecker-sparse matrices; use the CPU")
    return device.products
