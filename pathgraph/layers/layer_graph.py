"""A ReLU network at the resolution of tensors: a `LayerArchitecture` and the values of its tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pathgraph.errors import ParameterError, RangeError
from pathgraph.layers import streaming
from pathgraph.layers.structure import Layer, LayerArchitecture
from pathgraph.pathsum.blocks import CONSTANT, BlockDag
from pathgraph.pathsum.exact import accelerated, restored
from pathgraph.pathsum.flat import mapped
from pathgraph.pathsum.sweep import sweep
from pathgraph.resolutions import ReluNetwork, Streams
from pathgraph.scalars import (
    ScalarKind,
    as_values,
    finite,
    float_type,
    fractions_of,
    frozen,
    kind_of,
    refuse_floats,
)
from pathgraph.shown import argument_text

if TYPE_CHECKING:
    import networkx as nx

    from pathgraph.graph.network import Network
    from pathgraph.layers.report import Report
    from pathgraph.scalars import Array

__all__ = ["Layer", "LayerGraph"]


class LayerGraph(ReluNetwork):
    """A ReLU network as a DAG of layers that hold tensors; immutable.

    Made by `LayerGraphBuilder`, and by `from_onnx`, `from_torch` and `from_sklearn`. Calling it evaluates it on a
    batch. The functions of the library take it like a `Network`; what they need neuron by neuron they ask of `expand`.

    Parameters
    ----------
    architecture : LayerArchitecture
    tensors : sequence of array_like
        The entries of each tensor, in the order and shapes of the architecture.
    notes : sequence of str
        What an importer left out or changed, in words.

    Raises
    ------
    ParameterError
        On wrong shapes, NaN or infinities, or floats beside Fractions.

    Examples
    --------
    >>> import numpy as np, pathgraph as pg
    >>> build = pg.LayerGraphBuilder()
    >>> x = build.input((1, 2, 2))
    >>> kernel = build.tensor("conv.weight", np.ones((1, 1, 2, 2)))
    >>> x = build.relu(build.convolution(x, kernel, padding=1))
    >>> graph = build.build([build.max_pool(x, 3)])
    >>> graph
    LayerGraph(4 layers: input (1, 2, 2) -> output (1, 1, 1); 4 parameters, 15 neurons; float64)
    >>> graph([[[[1, -2], [3, 4]]]]).tolist()
    [[[[7.0]]]]
    """

    def __init__(
        self, architecture: LayerArchitecture, tensors: Sequence[ArrayLike], *, notes: Sequence[str] = ()
    ) -> None:
        self._architecture = architecture
        self._notes = tuple(notes)
        given = [np.asarray(tensor) for tensor in tensors]
        shapes = tuple(tensor.shape for tensor in given)
        if shapes != architecture.tensor_shapes:
            raise ParameterError(f"tensors: needed arrays of shapes {architecture.tensor_shapes}, got {shapes}")
        self._tensors = _of_one_kind(architecture.tensor_names, given)

    # -- structure and values -------------------------------------------------------------------------------------

    @property
    def architecture(self) -> LayerArchitecture:
        """The structure, without the values."""
        return self._architecture

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, in topological order."""
        return self._architecture.layers

    @property
    def notes(self) -> tuple[str, ...]:
        """What an importer left out or changed, in words."""
        return self._notes

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """The inputs and their shapes, without the batch axis."""
        return {name: self._architecture.layer(name).shape for name in self._architecture.inputs}

    @property
    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """The outputs and their shapes, without the batch axis."""
        return {name: self._architecture.layer(name).shape for name in self._architecture.outputs}

    @cached_property
    def entries_by_name(self) -> Mapping[str, Array]:
        """Every tensor by its name, frozen and structural ones included."""
        return MappingProxyType(dict(zip(self._architecture.tensor_names, self._tensors, strict=True)))

    @cached_property
    def roles(self) -> Mapping[str, str]:
        """The role of each tensor: "parameter", "frozen" or "structural"."""
        return MappingProxyType(dict(zip(self._architecture.tensor_names, self._architecture.roles, strict=True)))

    @property
    def parameters(self) -> dict[str, Array]:
        """The trainable tensors by name, in order; a tied one once. Read-only arrays."""
        return {name: tensor for name, tensor in self.entries_by_name.items() if self.roles[name] == "parameter"}

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32, float64, or object for exact graphs."""
        return self._tensors[0].dtype if self._tensors else np.dtype(np.float64)

    @cached_property
    def scalars(self) -> ScalarKind:
        """What the values are: "float" or "exact" (Fractions)."""
        return kind_of(self._tensors[0]) if self._tensors else "float"

    @property
    def values(self) -> Array:
        """Every entry in one array, tensor by tensor in C order, fixed ones included; a copy."""
        return self._architecture.flat(self._tensors, self.dtype)

    @property
    def theta(self) -> Array:
        """The parameters in one array, tensor by tensor in C order; a copy."""
        return self.values[self._architecture.first_entry]

    # -- the same architecture with other values ------------------------------------------------------------------

    def with_parameters(self, parameters: Mapping[str, ArrayLike]) -> LayerGraph:
        """The same graph with other values of some tensors, by name; the others stay.

        Raises
        ------
        ParameterError
            On what is no mapping, unknown or structural names, wrong shapes, NaN or infinities, and other scalars than
            the graph's.
        """
        if not isinstance(parameters, Mapping):
            raise ParameterError(
                f"parameters: needed a mapping from names of tensors to arrays, got {argument_text(parameters)}"
            )
        names = self._architecture.tensor_names
        tensors = list(self._tensors)
        for name, array in parameters.items():
            if name not in self.roles or self.roles[name] == "structural":
                what = "a structural tensor, which never changes" if name in self.roles else "no tensor of the graph"
                raise ParameterError(f"parameters: {name!r} is {what}; see .parameters for the names")
            given = np.asarray(array)
            place = names.index(name)
            if given.shape != tensors[place].shape:
                raise ParameterError(f"parameters: {name!r} needed shape {tensors[place].shape}, got {given.shape}")
            if self.is_exact:
                refuse_floats(given.ravel().tolist(), lambda i, name=name: f"{name}[{i}]")  # type: ignore[misc]
            tensors[place] = given.astype(self.dtype) if not self.is_exact else given
        return LayerGraph(self._architecture, tensors, notes=self._notes)

    def with_tensors(self, tensors: Sequence[ArrayLike]) -> LayerGraph:
        """The same architecture with other values of all tensors, in the order of `tensors`."""
        return LayerGraph(self._architecture, tensors, notes=self._notes)

    def with_values(self, values: ArrayLike) -> LayerGraph:
        """The same architecture with other entries, in the order of `values`."""
        given = np.asarray(values)
        if given.shape != (self._architecture.n_entries,):
            raise ParameterError(f"values: needed shape ({self._architecture.n_entries},), got {given.shape}")
        return self.with_tensors(tuple(self._architecture.cut(given)))

    def with_theta(self, theta: ArrayLike) -> LayerGraph:
        """The same graph with other parameters, in the order of `theta`; fixed values stay."""
        given = np.asarray(theta)
        if given.shape != (self._architecture.n_parameters,):
            raise ParameterError(f"theta: needed shape ({self._architecture.n_parameters},), got {given.shape}")
        return self.with_parameters(self._architecture.arranged(given))

    def to_exact(self) -> LayerGraph:
        """The same graph over the rationals: floats are dyadic rationals, so nothing is rounded.

        A million entries take two seconds and 200 MB. Sums over large graphs of Fractions are refused, by the number of
        edges.
        """
        if self.is_exact:
            return self
        exact = object.__new__(LayerGraph)  # without checks, which would make every Fraction once more
        exact._architecture, exact._notes = self._architecture, self._notes
        exact._tensors = tuple(map(fractions_of, self._tensors))
        return exact

    def to_float(self, dtype: DTypeLike = np.float64) -> LayerGraph:
        """The same graph in floats, each value rounded to nearest.

        Raises
        ------
        ParameterError
            If a value lies beyond the range of `dtype`, or `dtype` is neither float32 nor float64.
        """
        wanted = float_type(dtype)
        names = self._architecture.tensor_names
        return self.with_tensors(
            [_stored(name, tensor, wanted) for name, tensor in zip(names, self._tensors, strict=True)]
        )

    def fold_batch_norm(self) -> LayerGraph:
        """The graph with each batch-norm folded into the linear map before it, where that map is read by it alone.

        The function stays. Path sums may change: a bias before a separate batch-norm makes two biases, one of them
        times the scale, where the folded layer has their sum.
        """
        from pathgraph.layers.folding import fold_batch_norm

        return fold_batch_norm(self)

    # -- evaluation -----------------------------------------------------------------------------------------------

    def __call__(self, *inputs: ArrayLike) -> Any:
        """Evaluate on a batch: one array ``(batch, *input shape)`` per input, ``(batch, *output shape)`` per output.

        Returns
        -------
        ndarray, or tuple of ndarray if there are several outputs
            In the dtype of the graph.

        Raises
        ------
        ParameterError
            On wrong shapes, NaN or infinities, or floats given to an exact graph.
        RangeError
            If a value overflows.
        """
        rows = self._rows(inputs)
        if self.scalars == "float":
            found = streaming.evaluate(self, rows)
            if found is None:
                raise RangeError(f"graph(x): a value leaves the range of {self.dtype}; use a wider type, or to_exact()")
            return next(iter(found.values())) if len(found) == 1 else tuple(found.values())
        state = np.zeros((len(rows), self.dag.size), dtype=self.dtype)
        state[:, CONSTANT] = 1
        state[:, self.dag.inputs] = accelerated(rows)
        sweep(self, [(mapped(accelerated, self.tensors), None)], state, pools="rank", relu=True, backend="numpy")
        outputs = self._architecture.outputs
        values = [restored(state[:, self._architecture.positions(name)]) for name in outputs]
        return values[0] if len(values) == 1 else tuple(values)

    def rows(self, x: Array) -> Array:
        """The outputs for some rows of flattened inputs: (n, n_inputs) -> (n, n_outputs)."""
        parts, start = [], 0
        for shape in self.input_shapes.values():
            size = math.prod(shape)
            parts.append(x[:, start : start + size].reshape(len(x), *shape))
            start += size
        outputs = self(*parts)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return np.concatenate([output.reshape(len(x), math.prod(output.shape[1:])) for output in outputs], axis=1)

    def _rows(self, inputs: tuple[ArrayLike, ...]) -> Array:
        """The inputs of a batch, checked and flattened: shape (batch, n_inputs)."""
        shapes = self.input_shapes
        if len(inputs) != len(shapes):
            raise ParameterError(
                f"x: needed {len(shapes)} arrays, one per input ({', '.join(shapes)}), got {len(inputs)}"
            )
        rows = []
        for (name, shape), x in zip(shapes.items(), inputs, strict=True):
            wanted = ", ".join(map(str, ("batch", *shape)))
            try:
                given = np.asarray(x, dtype=object if self.is_exact else None)
            except ValueError:
                raise ParameterError(f"{name}: needed a rectangular array of shape ({wanted})") from None
            if given.ndim != len(shape) + 1 or given.shape[1:] != shape:
                hint = "; a single input is x[None]" if given.shape == shape else ""
                raise ParameterError(f"{name}: needed shape ({wanted}), got {given.shape}{hint}")
            if self.is_exact:
                refuse_floats(given.flat, lambda i, name=name: f"{name}, value {i}")  # type: ignore[misc]
            flat = as_values(given.ravel(), lambda i, name=name: f"{name}, value {i}", self.dtype)  # type: ignore[misc]
            rows.append(flat.reshape(len(given), math.prod(shape)))
        if len({len(part) for part in rows}) > 1:
            raise ParameterError(f"x: needed one batch size, got {[len(part) for part in rows]}")
        return np.concatenate(rows, axis=1)

    # -- neurons, files and modules -------------------------------------------------------------------------------

    def expand(self, *, max_edges: int = 50_000_000) -> Network:
        """The network of all neurons: one per tensor entry, named (layer, index...), with one name per parameter.

        Parameters
        ----------
        max_edges : int
            The most edges that it may have.

        Returns
        -------
        Network
            With the same function and the same paths; inputs and outputs are flattened in C order.

        Raises
        ------
        ParameterError
            If it would have more than `max_edges` edges.
        """
        from pathgraph.layers.expansion import expand

        return expand(self, max_edges=max_edges)

    @cached_property
    def report(self) -> Report:
        """Layers, parameters, neurons, edges, paths and depths."""
        from pathgraph.layers.report import report

        return report(self)

    def to_onnx(self, path: str | PathLike[str] | IO[bytes], *, dtype: DTypeLike = np.float32) -> None:
        """Write an ONNX file that runs in onnxruntime and that `from_onnx` reads back.

        Parameters
        ----------
        path : str, path or binary file
            Tensors of more than 2 GiB together go into a file ``path.data`` beside it, and need a path.
        dtype : {float32, float64}
            In which type a runtime shall compute; the values are written without loss. onnxruntime has no convolutions
            and pools in float64.

        Raises
        ------
        UnsupportedOperatorError
            If layers have no ONNX operator, such as convolutions whose padding cuts their input; the message names
            them all.
        ParameterError
            If the graph is exact: `to_float` rounds it. If `path` is neither a path nor a file that is open for
            writing bytes.
        RangeError
            If a value lies beyond the range of `dtype`.
        FileNotFoundError
            If the folder does not exist.
        BackendError
            If the package onnx is not installed.
        """
        from pathgraph.io.onnx_export import to_onnx

        to_onnx(self, path, dtype=dtype)

    def apply_to(self, module: Any, *, strict: bool = True) -> None:
        """Copy the values into a torch module of the same structure; see `pathgraph.io.torch.apply_to`."""
        from pathgraph.io.torch import apply_to

        apply_to(self, module, strict=strict)

    # -- protocol of the sweeps -----------------------------------------------------------------------------------

    @property
    def dag(self) -> BlockDag:
        """The blocks, as the sweeps see the graph."""
        return self._architecture.dag

    @property
    def tensors(self) -> tuple[Array, ...]:
        """The entries: one read-only array per tensor of the blocks."""
        return self._tensors

    @property
    def streams(self) -> Streams | None:
        """What makes sums of powers layer by layer; for floats."""
        return streaming if self.scalars == "float" else None

    def positions(self, name: str) -> Array:
        """Buffer positions of a layer or view, in an array of its shape; position 0 is the constant."""
        return self._architecture.positions(name)

    # -- identity -------------------------------------------------------------------------------------------------

    @cached_property
    def graph(self) -> nx.DiGraph[Any]:
        """The layers as a frozen `networkx.DiGraph`, with attributes kind, shape, activation and layer."""
        import networkx as nx

        graph: nx.DiGraph[Any] = nx.DiGraph()
        for layer in self.layers:
            graph.add_node(layer.name, kind=layer.kind, shape=layer.shape, activation=layer.activation, layer=layer)
            graph.add_edges_from((source, layer.name) for source in layer.sources)
        return nx.freeze(graph)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LayerGraph):
            return NotImplemented
        return (
            self.dtype == other.dtype
            and self._architecture == other._architecture
            and all(np.array_equal(a, b) for a, b in zip(self._tensors, other._tensors, strict=True))
        )

    def __hash__(self) -> int:
        return hash(self._architecture)

    def __getstate__(self) -> dict[str, Any]:
        return {"_architecture": self._architecture, "_tensors": self._tensors, "_notes": self._notes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for tensor in self._tensors:
            frozen(tensor)

    def __repr__(self) -> str:
        inputs = ", ".join(f"{name} {shape}" for name, shape in self.input_shapes.items())
        outputs = ", ".join(f"{name} {shape}" for name, shape in self.output_shapes.items())
        n_parameters = sum(tensor.size for tensor in self.parameters.values())
        kind = self.dtype.name if self.scalars == "float" else self.scalars
        return (
            f"LayerGraph({len(self.layers)} layers: {inputs} -> {outputs}; {n_parameters} parameters, "
            f"{self._architecture.n_neurons} neurons; {kind})"
        )


def _of_one_kind(names: Sequence[str], tensors: Sequence[Array]) -> tuple[Array, ...]:
    """The tensors in one dtype: exact if one holds Fractions, float32 if all are, else float64."""
    dtypes = {tensor.dtype for tensor in tensors if tensor.size}
    if np.dtype(object) in dtypes:
        for name, tensor in zip(names, tensors, strict=True):
            refuse_floats(tensor.ravel().tolist(), lambda i, name=name: f"{name}[{i}]")  # type: ignore[misc]
        wanted: Any = object
    else:
        wanted = np.float32 if dtypes == {np.dtype(np.float32)} else np.float64
    return tuple(_stored(name, tensor, wanted) for name, tensor in zip(names, tensors, strict=True))


def _is_immutable(array: Array) -> bool:
    """Whether nobody can write into an array: neither it nor what it is a view of is writable."""
    base = array.base
    return not array.flags.writeable and (base is None or (isinstance(base, np.ndarray) and not base.flags.writeable))


def _stored(name: str, tensor: Array, dtype: DTypeLike) -> Array:
    """A checked, read-only, contiguous copy in that dtype, or the array itself if it is one already."""
    if tensor.dtype == dtype and tensor.dtype != object and tensor.flags.c_contiguous and _is_immutable(tensor):
        finite(tensor.ravel(), lambda i: f"{name}[{i}]")
        return tensor
    values = as_values(tensor.ravel(), lambda i: f"{name}[{i}]", dtype)
    return frozen(values.reshape(tensor.shape))
