"""The structure of a layer graph: its layers in order, and the blocks that the sweeps see.

A sweep has one buffer of numbers. Position 0 is the constant; then come the layers of neurons in order, each of which
owns a slice of the buffer, in C order. **Views** (reshape, transpose, concatenate, take) own nothing: they are other
names of positions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.errors import GraphError
from pathgraph.layers.blocks import LayerBlock
from pathgraph.layers.neurons import LayerStructure
from pathgraph.layers.operations import Diagonal, Operation, Shape
from pathgraph.pathsum.blocks import CONSTANT, IDENTITY, INPUT, POOL, RELU, BlockDag, Node, Positions

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["ACTIVATION_CODES", "Layer", "LayerArchitecture", "View", "basic_index", "viewed"]

ACTIVATION_CODES = {"input": INPUT, "identity": IDENTITY, "relu": RELU, "pool": POOL}


@dataclass(frozen=True)
class View:
    """How a layer without neurons rearranges what it reads.

    Attributes
    ----------
    kind : {"reshape", "transpose", "concatenate", "take"}
    argument : tuple or int
        The shape, the order of the axes, the axis, or the index.
    """

    kind: str
    argument: Any = field(hash=False)


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes
    ----------
    name, kind : str
        The kind is what the layer was made as: "linear", "convolution", "batch_norm", "add", ...
    sources : tuple of str
        The layers read.
    shape : tuple of int
    operations : tuple of Operation
        For layers of neurons, one linear map from each source; their sum is what the activation is applied to.
    tensors : tuple of int
        Which tensor holds the entries of each.
    bias : tuple of (Diagonal, int), optional
        The map that reads the constant, and its tensor.
    activation : {"input", "identity", "relu", "pool", "view"}
    rank : int
        Of a pool: it selects the rank-th largest candidate.
    view : View, optional
        What a layer without neurons does.
    options : mapping
        What else the layer was made with, for export.
    """

    name: str
    kind: str
    sources: tuple[str, ...]
    shape: Shape
    operations: tuple[Operation, ...] = ()
    tensors: tuple[int, ...] = ()
    bias: tuple[Diagonal, int] | None = None
    activation: str = "identity"
    rank: int = 1
    view: View | None = None
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    @property
    def is_view(self) -> bool:
        """Whether the layer has no neurons of its own."""
        return self.view is not None

    @property
    def size(self) -> int:
        """Number of entries of the layer's tensor."""
        return math.prod(self.shape)

    @property
    def all_tensors(self) -> tuple[int, ...]:
        """The tensors of its linear maps, then the one of its bias, if it has one."""
        return self.tensors if self.bias is None else (*self.tensors, self.bias[1])

    def __reduce__(self) -> Any:
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return _layer, (values | {"options": dict(self.options)},)


def _layer(values: dict[str, Any]) -> Layer:
    return Layer(**values | {"options": MappingProxyType(values["options"])})


def viewed(view: View, arrays: Sequence[Array]) -> Array:
    """Apply a view to arrays that have the shapes of its sources."""
    if view.kind == "reshape":
        return arrays[0].reshape(view.argument)
    if view.kind == "transpose":
        return arrays[0].transpose(view.argument)
    if view.kind == "take":
        return np.asarray(arrays[0][view.argument])
    assert view.kind == "concatenate", view.kind
    return np.concatenate(arrays, axis=view.argument)


def basic_index(items: tuple[Any, ...], shape: Shape) -> tuple[Any, ...]:
    """The normal form of a basic index: indices that take the same entries have the same one.

    It has no ellipsis, its numbers lie within the axes, and it does not end with full slices.
    """
    full = slice(None)
    n_missing = len(shape) - sum(item is not None and item is not Ellipsis for item in items)
    place = items.index(Ellipsis) if Ellipsis in items else len(items)
    sizes = iter(shape)
    out: list[Any] = []
    for item in (*items[:place], *[full] * n_missing, *items[place + 1 :]):
        if item is None:
            out.append(None)
            continue
        size = next(sizes)
        if isinstance(item, slice):
            low, high, step = item.indices(size)
            item = full if (low, high, step) == (0, size, 1) else slice(low, high if high >= 0 else None, step)
        else:
            item = item % size
        out.append(item)
    while out and isinstance(out[-1], slice) and out[-1] == full:
        out.pop()
    return tuple(out)


@dataclass(frozen=True, eq=False)
class LayerArchitecture(LayerStructure):
    """Everything of a layer graph but the values; made by `LayerGraphBuilder`.

    Attributes
    ----------
    layers : tuple of Layer
        In topological order.
    outputs : tuple of str
        Names of the output layers.
    tensor_names : tuple of str
        One name per tensor of the blocks; the parameters have the names of the model.
    tensor_shapes : tuple of tuple of int
    roles : tuple of {"parameter", "frozen", "structural"}
    """

    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    tensor_names: tuple[str, ...]
    tensor_shapes: tuple[Shape, ...]
    roles: tuple[str, ...]

    def layer(self, name: str) -> Layer:
        """The layer of that name.

        Raises
        ------
        GraphError
            If there is none.
        """
        if name not in self._by_name:
            raise GraphError(f"layer: the graph has no layer {name!r}; see .layers for their names")
        return self._by_name[name]

    @cached_property
    def neuron_layers(self) -> tuple[Layer, ...]:
        """The layers that have neurons: all but the views."""
        return tuple(layer for layer in self.layers if not layer.is_view)

    @cached_property
    def _by_name(self) -> dict[str, Layer]:
        return {layer.name: layer for layer in self.layers}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input layers."""
        return tuple(layer.name for layer in self.layers if layer.activation == "input")

    @cached_property
    def readers(self) -> Mapping[str, tuple[str, ...]]:
        """For each layer the layers that read it."""
        out: dict[str, list[str]] = {layer.name: [] for layer in self.layers}
        for layer in self.layers:
            for source in layer.sources:
                out[source].append(layer.name)
        return MappingProxyType({name: tuple(names) for name, names in out.items()})

    @cached_property
    def n_neurons(self) -> int:
        """Number of neurons, inputs included."""
        return sum(layer.size for layer in self.neuron_layers)

    @cached_property
    def n_edges(self) -> int:
        """Number of edges between neurons."""
        return sum(operation.n_edges for layer in self.layers for operation in layer.operations)

    # -- positions ------------------------------------------------------------------------------------------------

    @cached_property
    def offsets(self) -> Mapping[str, int]:
        """First buffer position of each layer of neurons."""
        offsets, position = {}, CONSTANT + 1
        for layer in self.neuron_layers:
            offsets[layer.name] = position
            position += layer.size
        return MappingProxyType(offsets)

    def positions(self, name: str) -> Array:
        """Buffer positions of a layer or view: an array of its shape."""
        found: dict[str, Array] = {}
        todo = [self.layer(name)]
        while todo:
            layer = todo[-1]
            missing = [self.layer(source) for source in layer.sources if layer.is_view and source not in found]
            if missing:
                todo += missing
                continue
            todo.pop()
            if layer.view is not None:
                found[layer.name] = viewed(layer.view, [found[source] for source in layer.sources])
            else:
                first = self.offsets[layer.name]
                found[layer.name] = np.arange(first, first + layer.size).reshape(layer.shape)
        return found[name]

    def place(self, name: str) -> Positions:
        """The same in C order, as a slice where the positions are consecutive."""
        layer = self.layer(name)
        while layer.view is not None and layer.view.kind == "reshape":
            layer = self.layer(layer.sources[0])
        if layer.view is None:
            first = self.offsets[layer.name]
            return slice(first, first + layer.size)
        flat = np.ascontiguousarray(self.positions(layer.name).ravel())
        is_run = len(flat) > 0 and flat[-1] - flat[0] == len(flat) - 1 and bool((np.diff(flat) == 1).all())
        return slice(int(flat[0]), int(flat[-1]) + 1) if is_run else flat

    # -- blocks ---------------------------------------------------------------------------------------------------

    @cached_property
    def dag(self) -> BlockDag:
        """The blocks, one node per layer of neurons."""
        nodes = []
        for layer in self.neuron_layers:
            if layer.activation == "input":
                continue
            target = self.place(layer.name)
            blocks = tuple(
                LayerBlock(operation, self.place(source), target, tensor)
                for operation, source, tensor in zip(layer.operations, layer.sources, layer.tensors, strict=True)
            )
            biases: tuple[LayerBlock, ...] = ()
            if layer.bias is not None:
                biases = (LayerBlock(layer.bias[0], slice(CONSTANT, CONSTANT + 1), target, layer.bias[1]),)
            code = np.broadcast_to(np.int8(ACTIVATION_CODES[layer.activation]), (layer.size,))
            nodes.append(Node(target, code, np.broadcast_to(np.int64(layer.rank), (layer.size,)), blocks, biases))
        inputs, outputs = (
            np.concatenate([self.positions(name).ravel() for name in names]) for names in (self.inputs, self.outputs)
        )
        return BlockDag(self.n_neurons + 1, inputs, outputs, tuple(nodes))

    # -- identity -------------------------------------------------------------------------------------------------

    def _key(self) -> tuple[Any, ...]:
        return self.layers, self.outputs, self.tensor_names, self.tensor_shapes, self.roles

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LayerArchitecture) and (self is other or self._key() == other._key())

    def __hash__(self) -> int:
        return hash((tuple(layer.name for layer in self.layers), self.outputs, self.tensor_shapes))

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        kinds = dict.fromkeys(layer.kind for layer in self.layers)
        return f"LayerArchitecture({len(self.layers)} layers: {', '.join(kinds)}; {self.n_neurons} neurons)"
