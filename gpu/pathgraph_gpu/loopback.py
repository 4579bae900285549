"""A device that is none: arrays of their own type, which NumPy computes, to test code for devices without a GPU.

`LoopbackArray` behaves as CuPy's arrays do where it matters: NumPy cannot take one silently, one cannot meet an array
of NumPy, and only an explicit copy leads from one side to the other. What pathgraph does with them is done by its own
code for the CPU, so that results are those of the CPU, and only the way there is tested. Kernels do not run here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from pathgraph.devices import register
from pathgraph.errors import ConversionError
from pathgraph.graph.network import Network
from pathgraph.kronecker.chain import KSChain
from pathgraph.kronecker.matrix import KSMatrix
from pathgraph.norms import power_sums
from pathgraph.numbers import public
from pathgraph.path_sums import path_marginals
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.flat import mapped
from pathgraph.pathsum.preparation import buffer
from pathgraph.pathsum.scaled import scaled
from pathgraph.pathsum.semirings import REAL
from pathgraph.pathsum.sweep import swept
from pathgraph.pruning.masses import Moduli

if TYPE_CHECKING:
    from pathgraph.graph.architecture import Architecture
    from pathgraph.graph.device_network import DeviceNetwork, Start
    from pathgraph.kronecker.patterns import KSPattern
    from pathgraph.scalars import Array

__all__ = ["LoopbackArray", "LoopbackDevice", "loopback"]


class LoopbackArray(NDArrayOperatorsMixin):
    """An array of the loop-back device. Make one with ``loopback().to_device(array)``.

    It has operators, indices, and the methods of arrays named here, all of which give arrays of the device.

    Examples
    --------
    >>> device = loopback()
    >>> x = device.to_device(np.arange(3.0))
    >>> 2 * x[1:], x.get()
    (LoopbackArray([2., 4.]), array([0., 1., 2.]))
    >>> x + np.ones(3)
    Traceback (most recent call last):
    ...
    pathgraph.errors.ConversionError: add: an array of the loop-back device meets ndarray; ...
    """

    __array_priority__ = 100.0

    def __init__(self, data: Array) -> None:
        self._data = data

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self._data.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._data.ndim

    @property
    def size(self) -> int:
        """Number of entries."""
        return self._data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its entries."""
        return self._data.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of its entries."""
        return self._data.nbytes

    @property
    def flags(self) -> Any:
        """What is known of its layout, as for an array of NumPy."""
        return self._data.flags

    @property
    def data(self) -> SimpleNamespace:
        """Where it is: ``data.ptr`` is the address of its first entry."""
        return SimpleNamespace(ptr=self._data.ctypes.data)

    @property
    def T(self) -> LoopbackArray:
        """The transpose, a view."""
        return LoopbackArray(self._data.T)

    @property
    def real(self) -> LoopbackArray:
        """The real parts, a view."""
        return LoopbackArray(self._data.real)

    @property
    def imag(self) -> LoopbackArray:
        """The imaginary parts: a view of complex numbers, zeros for others."""
        return LoopbackArray(self._data.imag)

    def conj(self) -> LoopbackArray:
        """The conjugates: a copy of complex numbers."""
        return LoopbackArray(self._data.conj())

    def get(self) -> Array:
        """A copy for the CPU."""
        return self._data.copy()

    def copy(self) -> LoopbackArray:
        """A copy on the device."""
        return LoopbackArray(self._data.copy())

    def astype(self, dtype: Any) -> LoopbackArray:
        """A copy in another type."""
        return LoopbackArray(self._data.astype(dtype))

    def transpose(self, *axes: Any) -> LoopbackArray:
        """With its axes in another order, a view."""
        return LoopbackArray(self._data.transpose(*axes))

    def reshape(self, *shape: Any) -> LoopbackArray:
        """In another shape; a view if it can be."""
        return LoopbackArray(self._data.reshape(*shape))

    def tolist(self) -> Any:
        """Its entries as numbers of Python: a copy for the CPU."""
        return self._data.tolist()

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[LoopbackArray]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> LoopbackArray:
        return LoopbackArray(np.asarray(self._data[_data(index, "index")]))

    def __setitem__(self, index: Any, value: Any) -> None:
        self._data[_data(index, "index")] = _data(value, "value")

    def __float__(self) -> float:
        return float(self._data)

    def __bool__(self) -> bool:
        return bool(self._data)

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ConversionError("an array of the loop-back device does not become one of NumPy silently; call .get()")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(operand, np.ndarray) for operand in inputs):
            raise ConversionError(
                f"{ufunc.__name__}: an array of the loop-back device meets ndarray; move one of them, nothing is moved "
                "silently"
            )
        if "out" in kwargs:
            kwargs["out"] = tuple(_data(out, "out") for out in kwargs["out"])
        result = getattr(ufunc, method)(*(_data(operand, "operand") for operand in inputs), **kwargs)
        return LoopbackArray(np.asarray(result))

    def __repr__(self) -> str:
        return repr(self._data).replace("array", "LoopbackArray", 1)


def _data(operand: Any, name: str) -> Any:
    if isinstance(operand, tuple):
        return tuple(_data(part, name) for part in operand)
    if isinstance(operand, np.ndarray):
        raise ConversionError(f"{name}: needed an array of the loop-back device, got ndarray; move it there")
    return operand._data if isinstance(operand, LoopbackArray) else operand


def _host(array: Any, dtype: Any = None) -> Array:
    """What a constructor of an array was given, copied as NumPy has it."""
    return np.array(array._data if isinstance(array, LoopbackArray) else array, dtype=dtype)


class LoopbackDevice:
    """The loop-back device: what `pathgraph_gpu.device.Device` is, on the CPU and without kernels.

    Attributes
    ----------
    name : str
    xp : namespace
        ``array``, ``asarray``, ``ascontiguousarray``, ``empty``, ``zeros``, ``ones`` and ``asnumpy``. As with CuPy,
        making an array from one of NumPy is an explicit copy.
    networks : Networks
    products : Products
    """

    name = "loopback"

    def __init__(self) -> None:
        def made(array: Any, dtype: Any = None) -> LoopbackArray:
            return LoopbackArray(_host(array, dtype))

        def contiguous(array: Any, dtype: Any = None) -> LoopbackArray:
            """The array itself, if it is one of the device and contiguous, as with CuPy."""
            is_one = isinstance(array, LoopbackArray) and dtype in (None, array.dtype) and array.flags.c_contiguous
            return array if is_one else made(array, dtype)

        def filled(make: Any) -> Any:
            return lambda shape, dtype=float: LoopbackArray(make(shape, dtype=dtype))

        self.xp = SimpleNamespace(
            array=made,
            asarray=made,
            ascontiguousarray=contiguous,
            empty=filled(np.empty),
            zeros=filled(np.zeros),
            ones=filled(np.ones),
            asnumpy=_host,
        )
        self.networks = Networks()
        self.products = Products()

    def to_host(self, array: LoopbackArray) -> Array:
        """An array of the device as one of NumPy: a copy."""
        return array.get()

    def to_device(self, array: Array) -> LoopbackArray:
        """An array of NumPy as one of the device: a copy."""
        return LoopbackArray(np.array(array))

    def __repr__(self) -> str:
        return "<device loopback>"


class Networks:
    """The functions of `pathgraph_gpu.networks`, by pathgraph's code for the CPU."""

    def sums(self, device: Any, net: DeviceNetwork, q: float | None, start: Start, ends: Any, dtype: Any) -> Array:
        """The sums over the paths up to some positions, on the host: shape (sides, n_ends)."""
        host, weights = net.to_host(), np.atleast_2d(start.weights.get())
        if q is not None:
            rows = [power_sums(host, q, inputs=row, biases=start.biases, dtype=dtype) for row in weights]
        else:
            at = host.dag.outputs if ends is None else ends.get()
            rows = [self._signed(host, start, row)[at] for row in weights]
        same = all(row.dtype == rows[0].dtype for row in rows)
        return np.stack(rows if same else [scaled(row) for row in rows])

    def _signed(self, host: Network, start: Start, weights: Array) -> Array:
        x = buffer(host, REAL)
        x[0, host.dag.inputs if start.positions is None else start.positions.get()] = weights
        if start.biases:
            x[0, CONSTANT] = 1
        values = mapped(lambda w: w.astype(np.float64), host.tensors)
        return np.asarray(swept(host, values, x, REAL, "numpy")[0][0])

    def masses(self, device: Any, net: DeviceNetwork, q: float | None, start: Start, what: str) -> LoopbackArray:
        """The sums over the paths through each parameter, of absolute products for q = 1."""
        host, weights = net.to_host(), start.weights.get()
        if q is None:
            return LoopbackArray(path_marginals(host, inputs=weights, biases=start.biases))
        moduli = Moduli(host, weights)
        return LoopbackArray(public(moduli.per_parameter(moduli.masses()), what))

    def evaluate(self, device: Any, net: DeviceNetwork, rows: LoopbackArray, *, neurons: bool = False) -> LoopbackArray:
        """The outputs, or all neurons, on some rows of inputs."""
        host = net.to_host()
        return LoopbackArray((host.neuron_values if neurons else host)(rows.get()))

    def theta(self, device: Any, net: DeviceNetwork) -> LoopbackArray:
        """The parameters."""
        return LoopbackArray(net.to_host().theta.copy())

    def values_of(self, device: Any, net: DeviceNetwork, parameters: LoopbackArray) -> LoopbackArray:
        """The entries with other parameters."""
        values = net.values.get()
        place = net.architecture.parameter
        values[place >= 0] = parameters.get()[place[place >= 0]]
        return LoopbackArray(values)

    def check(self, device: Any, architecture: Architecture, values: LoopbackArray, name: str) -> None:
        """Refuse entries that are not finite, or that share a parameter and differ."""
        Network(architecture, values.get())

    def positions(self, device: Any, net: DeviceNetwork, wanted: Array) -> LoopbackArray:
        """Some buffer positions."""
        return LoopbackArray(wanted)


class Products:
    """The functions of `pathgraph_gpu.products`, by pathgraph's code for the CPU."""

    def multiply(
        self,
        device: Any,
        pattern: KSPattern,
        values: LoopbackArray,
        x: LoopbackArray,
        *,
        transposed: bool = False,
        out: LoopbackArray | None = None,
    ) -> LoopbackArray:
        """The products of a matrix, or of its transpose, with a batch of shape (outer, columns, inner)."""
        matrix = KSMatrix(values.get())
        return _written((matrix.T if transposed else matrix).apply(x.get(), 1), out)

    def multiply_chain(
        self,
        device: Any,
        factors: list[tuple[KSPattern, LoopbackArray, bool]],
        x: LoopbackArray,
        kept: dict[Any, Any],
        *,
        out: LoopbackArray | None = None,
    ) -> LoopbackArray:
        """The products of a chain with a batch."""
        if "chain" not in kept:
            matrices = [(KSMatrix(values.get()), transposed) for _, values, transposed in factors]
            kept["chain"] = KSChain([matrix.T if transposed else matrix for matrix, transposed in matrices])
        return _written(kept["chain"].apply(x.get(), 1), out)

    def values_gradient(
        self, device: Any, pattern: KSPattern, x: LoopbackArray, gradient: LoopbackArray
    ) -> LoopbackArray:
        """The gradient of the values."""
        return LoopbackArray(KSMatrix(np.zeros(pattern.values_shape, x.dtype)).vjp(x.get(), gradient.get(), 1)[1])


def _written(result: Array, out: LoopbackArray | None) -> LoopbackArray:
    if out is None:
        return LoopbackArray(result)
    out[...] = LoopbackArray(result)
    return out


@cache
def loopback() -> LoopbackDevice:
    """The loop-back device.

    Examples
    --------
    >>> import pathgraph as pg
    >>> device = pg.gpu.loopback()
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]]).to_device(device)
    >>> pg.path_norm(net), pg.path_magnitude(net)
    (7.0, LoopbackArray([1., 2., 3., 1., 3., 4.]))
    >>> net(np.array([1.0, 1.0]))
    Traceback (most recent call last):
    ...
    pathgraph.errors.ConversionError: the network on loopback, x on the CPU: needed all operands on one device, ...
    """
    return LoopbackDevice()


register("pathgraph_gpu", loopback, name="loopback")
