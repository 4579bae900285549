"""What functions ask of a network where they work at both resolutions, be its nodes neurons or layers.

A `Structure` is what stays when the values change, a `ReluNetwork` a structure with values. Both resolutions number
their values alike: the **entries** are those of all tensors, one tensor after the other, in C order; the
**parameters** are the distinct entries that may be trained, in the order of theta. Functions work on arrays over
either, whatever the resolution; only where a caller gives numbers or gets them do the forms differ, one array aligned
with theta or one array per tensor and name, and `Structure.arranged` and `Structure.aligned` go between them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from pathgraph.errors import ParameterError, UnsupportedOperatorError
from pathgraph.pathsum.flat import FlatTensors

if TYPE_CHECKING:
    from pathgraph.pathsum.blocks import BlockDag
    from pathgraph.scalars import Array, ScalarKind

__all__ = [
    "ReluNetwork",
    "Streams",
    "Structure",
    "is_streamed",
    "refuse_device_network",
    "require_network_of_numbers",
    "require_relu_network",
]


class Structure(ABC):
    """A network without its values, at either resolution.

    Attributes
    ----------
    dag : BlockDag
        The blocks, as the sweeps see them.
    nodes : sequence
        Names of the neurons, by buffer position less one.
    n_entries, n_parameters, n_edges : int
        Number of values, of parameters, and of edges between neurons.
    tensor_slices : tuple of slice
        Where each tensor lies among the entries.
    tensor_shapes : tuple of tuple of int, or None
        Shape of each tensor; None if all are vectors.
    role : ndarray, shape (n_entries,)
        Role of each entry.
    parameter : ndarray, shape (n_entries,)
        Index in theta of each entry, or -1 where it is fixed.
    first_entry : ndarray, shape (n_parameters,)
        For each parameter, its first entry.
    is_tied : bool
        Whether some parameter is several entries.
    parameters : sequence
        Names aligned with theta.
    """

    if TYPE_CHECKING:  # attributes, fields or properties: only to be read

        @property
        def n_entries(self) -> int: ...  # noqa: D102

        @property
        def n_parameters(self) -> int: ...  # noqa: D102

        @property
        def n_edges(self) -> int: ...  # noqa: D102

        @property
        def dag(self) -> BlockDag: ...  # noqa: D102

        @property
        def nodes(self) -> Sequence[Hashable]: ...  # noqa: D102

        @property
        def tensor_slices(self) -> tuple[slice, ...]: ...  # noqa: D102

        @property
        def role(self) -> Array: ...  # noqa: D102

        @property
        def parameter(self) -> Array: ...  # noqa: D102

        @property
        def first_entry(self) -> Array: ...  # noqa: D102

        @property
        def is_tied(self) -> bool: ...  # noqa: D102

        @property
        def parameters(self) -> Sequence[Any]: ...  # noqa: D102

        @property
        def tensor_shapes(self) -> tuple[tuple[int, ...], ...] | None: ...  # noqa: D102

    # -- inputs ---------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def input_names(self) -> tuple[Hashable, ...]:
        """What the caller calls the inputs: neurons, or layers."""

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...] | None:
        """Shape of each input; None if all are numbers."""
        return None

    def input_name(self, i: int) -> Any:
        """The name of the i-th input neuron, for messages."""
        return self.nodes[int(self.dag.inputs[i]) - 1]

    # -- entries and parameters -----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def at_bias(self) -> Array:
        """Which entries stand at a bias: bool, shape (n_entries,)."""

    @property
    @abstractmethod
    def scattered(self) -> Array:
        """The parameters that may occur twice on a path."""

    @property
    @abstractmethod
    def parameter_level(self) -> Array:
        """A number for each parameter: no path meets two parameters with the same number. -1: it has no number."""

    @property
    @abstractmethod
    def backward_roundings(self) -> int:
        """How many additions a summand of a backward sweep goes through at most, if numbers are added one by one."""

    @property
    @abstractmethod
    def marginal_roundings(self) -> int:
        """How many additions the sum over the places of a parameter takes at most."""

    @abstractmethod
    def index(self, node: Hashable) -> int:
        """Place of a neuron in `nodes`."""

    @abstractmethod
    def describe(self, entry: int) -> str:
        """An entry in words, for messages."""

    @abstractmethod
    def candidates(self, position: int) -> tuple[list[int], Array]:
        """The positions from which an edge leads to `position`, the constant last, and the entries of these edges."""

    def cut(self, values: Array) -> FlatTensors:
        """Cut an array over the entries into views, one per tensor and in its shape."""
        return FlatTensors(values, self.tensor_slices, self.tensor_shapes)

    def flat(self, tensors: Sequence[Array], dtype: Any = None) -> Array:
        """Put arrays, one per tensor, into one array over the entries."""
        if isinstance(tensors, FlatTensors):
            return tensors.flat
        dtype = dtype or (np.result_type(*tensors) if len(tensors) else np.float64)
        out = np.empty(self.n_entries, dtype=dtype)
        for part, tensor in zip(self.tensor_slices, tensors, strict=True):
            out[part] = tensor.ravel()
        return out

    # -- what callers give and get --------------------------------------------------------------------------------

    def arranged(self, numbers: Array) -> Any:
        """Numbers aligned with theta, in the form in which the caller gets them."""
        return numbers

    def aligned(self, given: Any, name: str, default: Any = None) -> Any:
        """What a caller gave for the parameters, in one array aligned with theta; arrays are not checked."""
        return given

    def arranged_nodes(self, numbers: Array) -> Any:
        """Numbers by neuron, in the form in which the caller gets them."""
        return numbers

    @abstractmethod
    def mask_of(self, parameters: Collection[Any] | Array) -> Array:
        """The parameters that a caller names, or gives by a mask, as a mask over theta."""

    @abstractmethod
    def names_of(self, parameters: Array) -> Sequence[Any]:
        """The names of the parameters at some places of theta."""


class Streams(Protocol):
    """Sums over the paths of a network of floats, faster and in less memory than by sweeps over all its neurons.

    The first three functions sum q-th powers of absolute path products, q in (0, inf], with non-negative weights for
    the inputs; `biases` says whether paths from biases count. Their last result says whether floats sufficed: if not,
    the numbers are scaled (`pathgraph.pathsum.scaled`). The others compute in floats only, and say if that failed.
    `pathgraph.layers.streaming` has all of them.
    """

    def power_sums(self, net: Any, q: float, widths: Array, *, biases: bool = True) -> tuple[Array, bool]:
        """Per output the sum over the paths, or for infinite q the largest product: shape (n_outputs,)."""

    def power_total(self, net: Any, q: float, widths: Array, *, biases: bool = True) -> tuple[Array, bool]:
        """The sum of `power_sums` over the outputs, or for infinite q the largest: shape (1,)."""

    def parameter_masses(
        self, net: Any, q: float, widths: Array, *, biases: bool = True, wide: bool = False
    ) -> tuple[Array, bool]:
        """The sums over the paths through each parameter, aligned with theta; q is finite; `wide`: scaled anyway."""

    def state_sums(self, net: Any, terms: Any, widths: Array, n_states: int) -> tuple[Array, bool]:
        """The states at the outputs of a forward sweep with non-negative entries: shape (n_states, n_outputs)."""

    def sums_from_inputs(self, net: Any, first: int, stop: int) -> Array | None:
        """The sum of the absolute path products from each input to each of some outputs; None out of the range."""

    def outputs_at(self, net: Any, values: Any, rows: Array) -> Array | None:
        """The outputs of the same structure with other entries at some inputs; None if a value overflows."""

    def largest_pass(self, net: Any, sizes: Any, widths: Array) -> Array | None:
        """Per output, a forward sweep with non-negative entries and maxima at pools; None out of the range."""


class ReluNetwork(ABC):
    """A network at either resolution, as functions that work at both see it: a `Structure` and its values."""

    @property
    @abstractmethod
    def architecture(self) -> Structure:
        """The structure, without the values."""

    @property
    @abstractmethod
    def dag(self) -> BlockDag:
        """The blocks, as the sweeps see the network."""

    @property
    @abstractmethod
    def tensors(self) -> Sequence[Array]:
        """The entries, one array per tensor."""

    @property
    @abstractmethod
    def values(self) -> Array:
        """The entries, in one array."""

    @property
    @abstractmethod
    def theta(self) -> Array:
        """The parameters, in one array."""

    @property
    @abstractmethod
    def scalars(self) -> ScalarKind:
        """What the values are: "float", "exact" or "symbolic"."""

    @property
    def is_exact(self) -> bool:
        """Whether the values are Fractions."""
        return self.scalars == "exact"

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """float32, float64, or object."""

    @property
    def streams(self) -> Streams | None:
        """Faster sums of powers of path products, if this network has some; they take the place of sweeps."""
        return None

    @abstractmethod
    def with_values(self, values: Array) -> Self:
        """The same structure with other values."""

    @abstractmethod
    def with_theta(self, theta: Any) -> Self:
        """The same network with other parameters, in one array."""

    @abstractmethod
    def to_exact(self) -> Self:
        """The same network over the rationals."""

    @abstractmethod
    def to_float(self) -> Self:
        """The same network in float64."""

    def to_device(self, device: Any = "cupy") -> Any:
        """The same network on a device, if its nodes are neurons.

        Raises
        ------
        UnsupportedOperatorError
            At another resolution.
        """
        raise UnsupportedOperatorError(
            f"to_device: needed a pathgraph.Network, whose nodes are neurons, got a {type(self).__name__}; its "
            f"expansion, of {self.architecture.n_edges:,} edges, can go there: net.expand().to_device()"
        )

    @abstractmethod
    def rows(self, x: Array) -> Array:
        """Evaluate flat inputs, (n, n_inputs) -> (n, n_outputs)."""


def refuse_device_network(net: Any, name: str = "net") -> None:
    """Refuse a network whose values are on a device, for functions that run on the CPU only.

    Raises
    ------
    UnsupportedOperatorError
    """
    if getattr(net, "is_on_device", False):
        raise UnsupportedOperatorError(
            f"{name}: its values are on {net.device.name}, where this function does not run; use {name}.to_host()"
        )


def require_relu_network(net: Any, name: str = "net") -> None:
    """Refuse what is no network, at either resolution.

    Raises
    ------
    ParameterError
    """
    refuse_device_network(net, name)
    if not isinstance(net, ReluNetwork):
        raise ParameterError(
            f"{name}: needed a pathgraph.Network or LayerGraph, got {type(net).__name__}; from_weights, from_networkx, "
            "from_torch, from_onnx and from_sklearn make one"
        )


def is_streamed(net: Any) -> bool:
    """Whether a network has `streams`, which sum layer by layer."""
    return isinstance(net, ReluNetwork) and net.streams is not None


def require_network_of_numbers(net: Any, function: str, *, name: str = "net") -> None:
    """Refuse symbolic networks, for functions that need signs or absolute values.

    Raises
    ------
    UnsupportedOperatorError
    """
    require_relu_network(net, name)
    if net.scalars == "symbolic":
        raise UnsupportedOperatorError(
            f"{function}: the network holds SymPy expressions, whose signs (hence ReLUs and absolute values) are "
            "unknown; use path_sum or path_lifting, or substitute numbers"
        )
