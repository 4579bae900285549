"""A network whose values are on a device: `Network.to_device` makes one, `DeviceNetwork.to_host` the way back.

It has the architecture of the network it came from, and one array of the device for the values. `path_norm`,
`log_path_norm`, `path_sum` in REAL, `path_marginals` in REAL, `path_magnitude` and calling it run on the device; every
other function refuses it and says so. What is an array for a network of the CPU is an array of the device here, and
what is a float is a float: then the sums at the outputs, a few numbers, have been copied to the host.

Nothing is moved silently: arrays of the CPU beside it are a `ConversionError`. Numbers, sequences and mappings of
numbers are welcome where functions take them, as ``inputs=``.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast

import numpy as np

from pathgraph.arguments import exponent, half_widths, numbers_per_input
from pathgraph.devices import Device, device_of, is_device_array
from pathgraph.errors import BackendError, ConversionError, ParameterError, RangeError, UnsupportedOperatorError
from pathgraph.graph.architecture import Architecture
from pathgraph.pathsum.scaled import SCALED_DTYPE, scaled_to_float
from pathgraph.resolutions import ReluNetwork
from pathgraph.scalars import FLOATS, Array, ScalarKind
from pathgraph.shown import argument_text

if TYPE_CHECKING:
    from pathgraph.graph.names import EntryNames
    from pathgraph.graph.network import Network
    from pathgraph.pathsum.blocks import BlockDag

__all__ = ["DeviceNetwork", "Start"]


class Start(NamedTuple):
    """What the paths of a sweep start with.

    Attributes
    ----------
    positions : array of a device, or None
        Buffer positions; None for the inputs.
    weights : array of a device, float64, shape (n,) or (sides, n)
        With which paths start there.
    biases : bool
        Whether paths start at biases, too.
    """

    positions: Any
    weights: Any
    biases: bool


class DeviceNetwork:
    """A ReLU network with its values on a device; immutable.

    Parameters
    ----------
    architecture : Architecture
    values : array of a device, shape (n_entries,)
        float32 or float64: the weights of all edges by (target, antecedent), then the biases. It is copied.

    Raises
    ------
    ConversionError
        If the values are on the CPU.
    ParameterError
        On another shape or dtype, NaN and infinities.
    GraphError
        If entries that share a parameter differ.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None])
    >>> there = net.to_device(pg.gpu.loopback())
    >>> there
    DeviceNetwork(5 neurons: 2 inputs, 2 hidden, 1 output; 6 edges, 2 biases; 8 parameters; float64 on loopback)
    >>> pg.path_norm(there), there.to_host() == net
    (12.0, True)
    """

    is_exact = False
    is_on_device = True

    def __init__(self, architecture: Architecture, values: Any) -> None:
        device = device_of(values=values)
        if device is None:
            raise ConversionError(
                f"values: needed an array of a device, got {type(values).__name__}; Network(...).to_device() moves a "
                "network there"
            )
        self._set(architecture, _checked(architecture, values, device), device)

    def _set(self, architecture: Architecture, values: Any, device: Device) -> None:
        self._architecture, self._values, self._device = architecture, values, device

    @classmethod
    def _of(cls, architecture: Architecture, values: Any, device: Device) -> DeviceNetwork:
        """A network of values that are checked, and taken as they are."""
        net = cls.__new__(cls)
        net._set(architecture, values, device)
        return net

    # -- structure and values -------------------------------------------------------------------------------------

    @property
    def architecture(self) -> Architecture:
        """The structure, without the values; on the host."""
        return self._architecture

    @property
    def device(self) -> Device:
        """Where the values are."""
        return self._device

    @property
    def values(self) -> Any:
        """Every entry, fixed ones included: an array of the device, which must not be changed."""
        return self._values

    @property
    def theta(self) -> Any:
        """The parameters, as `Network.theta`: a new array of the device."""
        return self._device.networks.theta(self._device, self)

    @property
    def nodes(self) -> Sequence[Hashable]:
        """Names of all neurons, in canonical order."""
        return self._architecture.nodes

    @property
    def inputs(self) -> tuple[Hashable, ...]:
        """Names of the inputs."""
        return self._architecture.inputs

    @property
    def outputs(self) -> tuple[Hashable, ...]:
        """Names of the outputs."""
        return self._architecture.outputs

    @property
    def parameters(self) -> EntryNames:
        """Names aligned with `theta`."""
        return self._architecture.parameters

    @property
    def dag(self) -> BlockDag:
        """The blocks of the architecture."""
        return self._architecture.dag

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        dtype: np.dtype[Any] = np.dtype(self._values.dtype)
        return dtype

    @property
    def scalars(self) -> ScalarKind:
        """Always "float"."""
        return "float"

    def with_theta(self, theta: Any) -> DeviceNetwork:
        """The same network with other parameters; fixed values stay.

        Parameters
        ----------
        theta : array of the device, shape (n_parameters,)
            In the dtype of the network.

        Raises
        ------
        ConversionError
            If it lives elsewhere.
        ParameterError
            On another shape or dtype, NaN and infinities.
        """
        self._require_here(theta=theta)
        if tuple(theta.shape) != (self._architecture.n_parameters,) or np.dtype(theta.dtype) != self.dtype:
            raise ParameterError(
                f"theta: needed shape ({self._architecture.n_parameters},) and {self.dtype}, got {theta.shape} and "
                f"{theta.dtype}"
            )
        networks, theta = self._device.networks, self._device.xp.ascontiguousarray(theta)
        values = networks.values_of(self._device, self, theta)
        networks.check(self._device, self._architecture, values, "theta")
        return DeviceNetwork._of(self._architecture, values, self._device)

    def with_values(self, values: Any) -> DeviceNetwork:
        """The same architecture with other values, fixed ones included: see the class."""
        self._require_here(values=values)
        values = _checked(self._architecture, values, self._device)
        return DeviceNetwork._of(self._architecture, values, self._device)

    def to_host(self) -> Network:
        """The same network on the CPU: one copy, which waits for the device."""
        from pathgraph.graph.network import Network

        return Network(self._architecture, self._device.to_host(self._values))

    # -- evaluation -----------------------------------------------------------------------------------------------

    def __call__(self, x: Any) -> Any:
        """Evaluate: (..., n_inputs) -> (..., n_outputs), in the dtype of the network, on the device.

        The sums are made in one order for any batch, so that a sample has the same bits alone and among others.

        Parameters
        ----------
        x : array of the device
            Floats or integers, which take the dtype of the network.

        Raises
        ------
        ConversionError
            If it lives elsewhere; `pathgraph.gpu.from_dlpack` takes arrays of other libraries on the device.
        ParameterError
            On a wrong last axis, another kind of numbers, NaN or infinities.
        RangeError
            If a value overflows.
        """
        return self._evaluate(x, neurons=False)

    def neuron_values(self, x: Any) -> Any:
        """The value of every neuron: (..., n_inputs) -> (..., n_nodes), aligned with `nodes`."""
        return self._evaluate(x, neurons=True)

    def _evaluate(self, x: Any, *, neurons: bool) -> Any:
        self._require_here(x=x)
        size = len(self._architecture.input)
        if not is_device_array(x):
            raise ParameterError(f"x: needed an array of the device, got {type(x).__name__}")
        if x.ndim == 0 or x.shape[-1] != size:
            raise ParameterError(f"x: needed shape (..., {size}), one value per input, got {tuple(x.shape)}")
        if np.dtype(x.dtype).kind not in "fiu":
            raise ParameterError(f"x: needed real numbers, got {x.dtype}")
        batch = tuple(x.shape[:-1])
        rows = self._device.xp.ascontiguousarray(x, dtype=self.dtype).reshape(int(np.prod(batch)), size)
        out = self._device.networks.evaluate(self._device, self, rows, neurons=neurons)
        return out.reshape(*batch, out.shape[-1])

    # -- path sums ------------------------------------------------------------------------------------------------

    def power_sums(self, boxes: Any, q: float = 1, *, biases: bool = True) -> Any:
        r"""For several boxes of inputs at once, per output :math:`\sum_p |\Phi_p|^q`, weighted by the box: one sweep.

        Parameters
        ----------
        boxes : array of the device, shape (n_boxes, n_inputs)
            Half-widths of the inputs, as ``path_norm(inputs=...)`` takes them.
        q : number in (0, inf]
            For infinity the largest product.
        biases : bool
            Whether paths that start at a bias count.

        Returns
        -------
        array of the device, shape (n_boxes, n_outputs), float64

        Raises
        ------
        RangeError
            If a sum leaves the range of floats.
        """
        q = exponent(q, "q")
        self._require_here(boxes=boxes)
        size = len(self._architecture.input)
        if boxes.ndim != 2 or not len(boxes) or boxes.shape[1] != size or np.dtype(boxes.dtype).kind not in "fiu":
            raise ParameterError(
                f"boxes: needed real numbers of shape (n_boxes, {size}), n_boxes >= 1, got {tuple(boxes.shape)} of "
                f"{boxes.dtype}"
            )
        start = Start(None, self._device.xp.ascontiguousarray(boxes, dtype=np.float64), biases)
        sums = self._device.networks.sums(self._device, self, q, start, None, np.float64)
        return self._device.to_device(_floats(sums, "power_sums"))

    def sums_at_outputs(self, q: float, inputs: Any, *, biases: bool, dtype: Any, backend: str | None) -> Array:
        """Per output the sum of powers, on the host, for the norms: floats, or scaled numbers."""
        self.refuse_backend(backend)
        if q == 0:
            raise UnsupportedOperatorError("q: 0 counts paths, by integers of any size; use net.to_host()")
        start = Start(None, self._weights(inputs), biases)
        sums: Array = self._device.networks.sums(self._device, self, q, start, None, dtype)[0]
        return sums

    def path_sum(self, inputs: Any, *, biases: bool, per_output: bool, source: Any, target: Any) -> Any:
        """What `pathgraph.path_sum` returns in REAL."""
        ends = None if target is None else self._positions(target)
        if source is None:
            start = Start(None, self._weights(inputs, signed=True), biases)
        else:
            one = self._device.to_device(np.ones(1))
            start = Start(self._positions(source), one, False)
        sums = self._device.networks.sums(self._device, self, None, start, ends, np.float64)[0]
        numbers = _floats(sums, "path_sum")
        if per_output:
            return self._device.to_device(numbers)
        total = 0.0
        for number in numbers.tolist():
            total += number
        return _floats(np.array([total]), "path_sum").tolist()[0]

    def masses(self, q: float | None, inputs: Any, *, biases: bool, what: str) -> Any:
        """The sums over the paths through each parameter, of absolute products if q is 1, of the products if None."""
        start = Start(None, self._weights(inputs, signed=q is None), biases)
        return self._device.networks.masses(self._device, self, q, start, what)

    def magnitudes(self, inputs: Any) -> Any:
        """What `pathgraph.path_magnitude` returns."""
        scattered = self._architecture.scattered
        if len(scattered):
            name = self._architecture.parameters[int(scattered[0])]
            raise UnsupportedOperatorError(
                f"path_magnitude: paths may meet the parameter {name!r} twice, which is scored by a sweep of its own; "
                "use net.to_host()"
            )
        return self.masses(1, inputs, biases=True, what="path_magnitude")

    def _positions(self, node: Hashable) -> Any:
        return self._device.networks.positions(self._device, self, np.array([self._architecture.index(node) + 1]))

    def _weights(self, inputs: Any, *, signed: bool = False) -> Any:
        """The weights of the inputs, on the device."""
        size = len(self._architecture.input)
        if is_device_array(inputs):
            self._require_here(inputs=inputs)
            if tuple(inputs.shape) != (size,) or np.dtype(inputs.dtype).kind not in "fiu":
                raise ParameterError(
                    f"inputs: needed {size} real numbers, one per input, got shape {tuple(inputs.shape)} of "
                    f"{inputs.dtype}"
                )
            return self._device.xp.ascontiguousarray(inputs, dtype=np.float64)
        if isinstance(inputs, np.ndarray):
            self._require_here(inputs=inputs)
        numbers = numbers_per_input if signed else half_widths
        return self._device.to_device(numbers(cast(ReluNetwork, self), inputs))

    def _require_here(self, **operands: Any) -> None:
        """Refuse operands that are not on the device of the network."""
        for name, operand in operands.items():
            device_of(**{"the network": self._values, name: operand})

    def refuse_backend(self, backend: str | None) -> None:
        """Refuse the choice of a back end of the CPU.

        Raises
        ------
        BackendError
        """
        if backend is not None:
            raise BackendError(
                f"backend: the values are on {self._device.name}, whose kernels run; leave it out, or use "
                f"net.to_host(); got {argument_text(backend)}"
            )

    # -- identity -------------------------------------------------------------------------------------------------

    def __reduce__(self) -> NoReturn:
        raise ConversionError("a DeviceNetwork cannot be pickled or copied; use net.to_host()")

    def __repr__(self) -> str:
        structure = repr(self._architecture)[:-1].replace("Architecture", "DeviceNetwork", 1)
        return f"{structure}; {self.dtype} on {self._device.name})"


def _checked(architecture: Architecture, values: Any, device: Device) -> Any:
    """A copy of values that a caller gave."""
    if tuple(values.shape) != (architecture.n_entries,):
        raise ParameterError(
            f"values: needed shape ({architecture.n_entries},), one per entry, got {tuple(values.shape)}"
        )
    if np.dtype(values.dtype) not in FLOATS:
        raise ParameterError(f"values: needed float32 or float64, got {values.dtype}")
    copied = device.xp.array(values)
    device.networks.check(device, architecture, copied, "values")
    return copied


def _floats(sums: Array, what: str) -> Array:
    """Sums as floats that are finite."""
    floats = scaled_to_float(sums) if sums.dtype == SCALED_DTYPE else sums
    if not np.isfinite(floats).all():
        raise RangeError(f"{what}: a sum leaves the range of float64; use net.to_host() and semirings.SCALED")
    return floats
