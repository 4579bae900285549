"""A ReLU network: an `Architecture` and the values on it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pathgraph.devices import Device, device_named, device_of, is_device_array
from pathgraph.errors import GraphError, ParameterError, RangeError, UnsupportedOperatorError
from pathgraph.graph.architecture import Architecture, EntryNames
from pathgraph.graph.device_network import DeviceNetwork
from pathgraph.pathsum import engine_batch
from pathgraph.pathsum.blocks import CONSTANT, BlockDag
from pathgraph.pathsum.exact import accelerated, restored
from pathgraph.pathsum.flat import FlatTensors, mapped
from pathgraph.pathsum.preparation import choose_backend
from pathgraph.pathsum.sweep import sweep
from pathgraph.resolutions import ReluNetwork, refuse_device_network, require_network_of_numbers
from pathgraph.scalars import (
    ScalarKind,
    as_values,
    float_type,
    frozen,
    is_symbol,
    kind_of,
    object_array,
    refuse_floats,
    to_fraction,
)
from pathgraph.shown import argument_text, whole_text

if TYPE_CHECKING:
    import networkx as nx

    from pathgraph.scalars import Array

__all__ = ["Network", "require_numbers"]


class Network(ReluNetwork):
    """A ReLU network as an explicit DAG with values; immutable.

    Build one with `from_networkx`, `from_weights` or `from_arrays`. Calling it evaluates it.

    Parameters
    ----------
    architecture : Architecture
    values : array_like, shape (n_entries,)
        The weights of all edges by (target, antecedent), then the biases, as `Architecture` orders them. Fixed
        values included; entries that share a parameter must be equal.

    Raises
    ------
    ParameterError
        On a wrong number of values, NaN or infinities, or floats beside Fractions.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, 2], [-1, 1]], [[3, 1]]])
    >>> net
    Network(5 neurons: 2 inputs, 2 hidden, 1 output; 6 edges, 0 biases; 6 parameters; float64)
    >>> net([1, 1]), net([[1, 1], [0, -1]])
    (array([9.]), array([[9.],
           [0.]]))
    >>> net.to_exact()([1, 1])
    array([Fraction(9, 1)], dtype=object)
    """

    def __init__(self, architecture: Architecture, values: Sequence[Any] | Array) -> None:
        shape = np.shape(values) if isinstance(values, np.ndarray) else np.shape(np.asarray(values, dtype=object))
        if shape != (architecture.n_entries,):
            raise ParameterError(f"values: needed shape ({architecture.n_entries},), one per entry, got {shape}")
        self._architecture = architecture
        self._values = as_values(values, lambda i: f"values[{i}] ({architecture.describe(i)})")
        _check_ties(architecture, self._values)

    @classmethod
    def _of(cls, architecture: Architecture, values: Array) -> Network:
        """A network of values that are checked and read-only, which are taken as they are."""
        net = cls._tied(architecture, values)
        _check_ties(architecture, values)
        return net

    @classmethod
    def _tied(cls, architecture: Architecture, values: Array) -> Network:
        """The same of values that are known to be equal where they are tied."""
        net = cls.__new__(cls)
        net._architecture, net._values = architecture, frozen(values)
        return net

    # -- structure and values -------------------------------------------------------------------------------------

    @property
    def architecture(self) -> Architecture:
        """The structure, without the values."""
        return self._architecture

    @property
    def values(self) -> Array:
        """Every entry, fixed ones included: edges by (target, antecedent), then biases. Read-only."""
        return self._values

    @property
    def nodes(self) -> Sequence[Hashable]:
        """Names of all neurons, in canonical order: a tuple, or a range or its like where they are numbers."""
        return self._architecture.nodes

    @property
    def inputs(self) -> tuple[Hashable, ...]:
        """Names of the inputs."""
        return self._architecture.inputs

    @property
    def hidden(self) -> tuple[Hashable, ...]:
        """Names of the hidden neurons."""
        return self._architecture.hidden

    @property
    def outputs(self) -> tuple[Hashable, ...]:
        """Names of the outputs."""
        return self._architecture.outputs

    @property
    def parameters(self) -> EntryNames:
        """Names aligned with `theta`: (u, v) for a weight, v for a bias, its own name for a tied parameter."""
        return self._architecture.parameters

    @cached_property
    def theta(self) -> Array:
        """The parameters: for each neuron its incoming weights, then its bias; a tied one once. Read-only."""
        return frozen(self._values[self._architecture.first_entry])

    @cached_property
    def fixed(self) -> Array:
        """The frozen and structural values, aligned with ``architecture.fixed_names``. Read-only."""
        return frozen(self._values[self._architecture.fixed_entry])

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32, float64, or object for exact and symbolic networks."""
        return self._values.dtype

    @cached_property
    def scalars(self) -> ScalarKind:
        """What the values are: "float", "exact" (Fractions) or "symbolic" (SymPy expressions)."""
        return kind_of(self._values)

    def weight(self, u: Hashable, v: Hashable) -> Any:
        """The weight of the edge u -> v."""
        return self._values[self._architecture.edge_entry(u, v)]

    def bias(self, v: Hashable) -> Any:
        """The bias of a neuron, or None if it has none."""
        entry = self._architecture.bias_entry(v)
        return None if entry is None else self._values[entry]

    # -- the same architecture with other values ------------------------------------------------------------------

    def with_theta(self, theta: ArrayLike | Sequence[Any]) -> Network:
        """The same network with other parameters; fixed values stay.

        Parameters
        ----------
        theta : array_like, shape (n_parameters,)
            Aligned with `parameters`. Its scalars decide those of the result: Fractions make it exact (the fixed
            values are then converted), SymPy symbols make it symbolic.

        Raises
        ------
        ParameterError
            On a wrong shape, NaN or infinities, or floats beside Fractions.
        """
        architecture = self._architecture
        if isinstance(theta, np.ma.MaskedArray):
            raise ParameterError("theta: needed an array without a mask, got a masked one; fill its gaps")
        given = np.asarray(theta) if isinstance(theta, np.ndarray) else np.asarray(theta, dtype=object)
        if given.shape != (architecture.n_parameters,):
            raise ParameterError(f"theta: needed shape ({architecture.n_parameters},), got {given.shape}")
        has_floats = given.dtype.kind == "f" or any(isinstance(item, (float, np.floating)) for item in given.flat)
        new = as_values(
            given,
            lambda i: f"theta[{i}] (parameter {argument_text(architecture.parameters[i])})",
            dtype=object if self.is_exact and not has_floats else None,
        )
        free = architecture.parameter >= 0
        values = np.empty(architecture.n_entries, dtype=new.dtype)
        values[free] = new[architecture.parameter[free]]
        fixed = self._values[~free].tolist()
        exact = new.dtype == object
        values[~free] = (
            object_array(map(_exactly, fixed))
            if exact
            else as_values(
                [float(value) if is_symbol(value) and value.is_number else value for value in fixed],
                lambda i: architecture.describe(int(np.flatnonzero(~free)[i])),
                new.dtype,
            )
        )
        return Network(architecture, values)

    def with_values(self, values: Sequence[Any] | Array) -> Network:
        """The same architecture with other values, fixed ones included, in the order of `values`."""
        return Network(self._architecture, values)

    def map_values(self, f: Callable[[Array], Array]) -> Network:
        """The same architecture with `f` applied to the array of all values, fixed ones included."""
        return Network(self._architecture, f(self._values))

    def to_exact(self) -> Network:
        """The same network over the rationals: floats are dyadic rationals, so nothing is rounded."""
        require_numbers(self, "to_exact")
        return self if self.is_exact else Network(self._architecture, object_array(map(to_fraction, self._values)))

    def to_float(self, dtype: DTypeLike = np.float64) -> Network:
        """The same network in floats: each value rounded to nearest.

        Raises
        ------
        ParameterError
            If a value lies beyond the range of `dtype`, or `dtype` is neither float32 nor float64.
        """
        require_numbers(self, "to_float")
        values = as_values(self._values, lambda i: self._architecture.describe(i), float_type(dtype))
        return Network(self._architecture, values)

    def to_device(self, device: Device | str = "cupy") -> DeviceNetwork:
        """The same network with its values on a device: one copy of them, and of the architecture at its first time.

        Parameters
        ----------
        device : Device or str
            "cupy", which is the GPU, "loopback", a name that was registered, or the device itself.

        Returns
        -------
        DeviceNetwork
            It says what runs there; its method ``to_host`` is the way back.

        Raises
        ------
        BackendError
            If the device cannot be used, with the reason.
        UnsupportedOperatorError
            If the values are no floats.

        Examples
        --------
        >>> import pathgraph as pg
        >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]])
        >>> device = pg.gpu.loopback()
        >>> net.to_device(device)(device.to_device(np.array([1.0, 1.0])))
        LoopbackArray([4.])
        """
        if self.scalars != "float":
            raise UnsupportedOperatorError(
                f"to_device: needed floats, the values are {self.scalars}; use net.to_float().to_device()"
            )
        is_named = isinstance(device, str) or not hasattr(device, "to_device")
        chosen: Any = device_named(device) if is_named else device  # type: ignore[arg-type]
        return DeviceNetwork._of(self._architecture, chosen.to_device(self._values), chosen)

    # -- evaluation -----------------------------------------------------------------------------------------------

    def __call__(self, x: ArrayLike | Sequence[Any]) -> Array:
        """Evaluate: (..., n_inputs) -> (..., n_outputs), in the dtype of the network.

        Raises
        ------
        ParameterError
            On a wrong last axis, NaN or infinities, or floats given to an exact network.
        RangeError
            If a value overflows.
        UnsupportedOperatorError
            On a symbolic network.
        """
        return self._evaluate(x, self.dag.outputs)

    def neuron_values(self, x: ArrayLike | Sequence[Any]) -> Array:
        """The value of every neuron: (..., n_inputs) -> (..., n_nodes), aligned with `nodes`."""
        return self._evaluate(x, np.arange(CONSTANT + 1, self.dag.size))

    def rows(self, x: Array) -> Array:
        """The outputs for some rows of inputs: (n, n_inputs) -> (n, n_outputs), which is what calling it does."""
        return self(x)

    def _evaluate(self, x: ArrayLike | Sequence[Any], wanted: Array, backend: str | None = None) -> Array:
        """The values at some buffer positions: shape (..., len(wanted))."""
        require_numbers(self, "net(x)")
        rows = self._as_inputs(x)
        batch = rows.shape[:-1]
        rows = rows.reshape(-1, len(self.dag.inputs))
        if choose_backend(backend, self) == "numba":
            values, is_finite = engine_batch.evaluate(self, rows, wanted)
        else:
            state = np.zeros((len(rows), self.dag.size), dtype=self.dtype)
            state[:, CONSTANT] = 1
            state[:, self.dag.inputs] = accelerated(rows)
            sweep(self, [(mapped(accelerated, self.tensors), None)], state, pools="rank", relu=True, backend="numpy")
            is_finite = self.scalars != "float" or bool(np.isfinite(state).all())
            values = restored(state[:, wanted])
        if not is_finite:
            raise RangeError(f"net(x): a value leaves the range of {self.dtype}; use a wider type, or net.to_exact()")
        return values.reshape(*batch, len(wanted))

    def _as_inputs(self, x: ArrayLike | Sequence[Any]) -> Array:
        size = len(self._architecture.input)
        if is_device_array(x):
            device_of(**{"the network": self._values, "x": x})
        if isinstance(x, np.ma.MaskedArray):
            raise ParameterError("x: needed an array without a mask, got a masked one; fill its gaps")
        try:
            rows = np.asarray(x, dtype=object if self.is_exact else None)
        except ValueError:
            raise ParameterError(f"x: needed a rectangular array of shape (..., {size})") from None
        if rows.ndim == 0 or rows.shape[-1] != size:
            raise ParameterError(f"x: needed shape (..., {size}), one value per input, got {rows.shape}")

        def describe(i: int) -> str:
            return f"x[{', '.join(map(str, np.unravel_index(i, rows.shape)))}]"

        if self.is_exact:
            refuse_floats(rows.flat, describe)
        return as_values(rows.ravel(), describe, self.dtype).reshape(rows.shape)

    # -- protocol of the sweeps -----------------------------------------------------------------------------------

    @property
    def dag(self) -> BlockDag:
        """The blocks, as the sweeps see the network."""
        return self._architecture.dag

    @cached_property
    def tensors(self) -> FlatTensors:
        """The entries of each block: views of `values`."""
        return FlatTensors(self._values, self._architecture.tensor_slices)

    # -- identity -------------------------------------------------------------------------------------------------

    @cached_property
    def graph(self) -> nx.DiGraph[Any]:
        """The network as a frozen `networkx.DiGraph`; `to_networkx` gives one that may be changed.

        Raises
        ------
        ParameterError
            If the network has more than two million edges: ``to_networkx(net, max_edges=...)`` makes larger ones.
        """
        import networkx as nx

        from pathgraph.graph.conversion import to_networkx

        return nx.freeze(to_networkx(self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Network):
            return NotImplemented
        return (
            self.dtype == other.dtype
            and self._architecture == other._architecture
            and bool(np.array_equal(self._values, other._values))
        )

    def __hash__(self) -> int:
        return hash((self._architecture, tuple(self._values[:8].tolist())))

    def __getstate__(self) -> dict[str, Any]:
        return {"_architecture": self._architecture, "_values": self._values}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        frozen(self._values)

    def __repr__(self) -> str:
        kind = self.dtype.name if self.scalars == "float" else self.scalars
        return f"{repr(self._architecture)[:-1].replace('Architecture', 'Network', 1)}; {kind})"


def require_network(net: Any, name: str = "net", *, instead: str = "") -> None:
    """Refuse what is no neuron graph, for functions that need one; `instead` is another way out for a layer graph.

    Raises
    ------
    ParameterError
        For a network at another resolution it says how many neurons and edges its expansion has.
    """
    refuse_device_network(net, name)
    if isinstance(net, ReluNetwork) and not isinstance(net, Network):
        raise ParameterError(
            f"{name}: needed a pathgraph.Network, whose nodes are neurons, got a {type(net).__name__}; {name}.expand() "
            f"makes one, of {net.dag.size - 1:,} neurons and {net.architecture.n_edges:,} edges{instead}"
        )
    if not isinstance(net, Network):
        raise ParameterError(
            f"{name}: needed a pathgraph.Network, got {type(net).__name__}; from_weights, from_networkx and "
            "from_arrays make one"
        )


def require_numbers(net: Network, function: str) -> None:
    """Refuse symbolic networks and what is no neuron graph, for functions that need signs of single neurons.

    Raises
    ------
    ParameterError
    UnsupportedOperatorError
    """
    require_network(net)
    require_network_of_numbers(net, function)


def _exactly(value: Any) -> Any:
    return to_fraction(value) if isinstance(value, float) else value


def _check_ties(architecture: Architecture, values: Array) -> None:
    if not architecture.is_tied:
        return
    shared = architecture.parameter >= 0
    first = architecture.first_entry[architecture.parameter[shared]]
    differs = np.flatnonzero(values[shared] != values[first])
    if len(differs):
        entry = int(np.flatnonzero(shared)[differs[0]])
        other = int(first[differs[0]])
        raise GraphError(
            f"parameter {argument_text(architecture.ties[entry])}: entries of one name must be equal, got "
            f"{whole_text(values[other])} ({architecture.describe(other)}) and {whole_text(values[entry])} "
            f"({architecture.describe(entry)})"
        )
