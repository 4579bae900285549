"""What a layer architecture tells the functions that work at both resolutions: names, roles, places of parameters.

A neuron of a layer graph is named (layer, index...), an entry of a tensor (tensor, index...). Each entry of a tensor is
one parameter, however many edges take it. Names are made when they are asked for.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Hashable, Mapping
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.errors import GraphError, ParameterError
from pathgraph.graph.architecture import ROLES
from pathgraph.graph.array_names import ArrayNames
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.resolutions import Structure
from pathgraph.scalars import frozen
from pathgraph.shown import argument_text

if TYPE_CHECKING:
    from pathgraph.layers.operations import Shape
    from pathgraph.layers.structure import Layer, LayerArchitecture
    from pathgraph.scalars import Array

__all__ = ["LayerStructure"]


class LayerStructure(Structure):
    """The part of `LayerArchitecture` that answers `pathgraph.resolutions.Structure`."""

    if TYPE_CHECKING:  # attributes, fields or properties: only to be read

        @property
        def layers(self) -> tuple[Layer, ...]: ...  # noqa: D102

        @property
        def inputs(self) -> tuple[str, ...]: ...  # noqa: D102

        @property
        def tensor_names(self) -> tuple[str, ...]: ...  # noqa: D102

        @property
        def roles(self) -> tuple[str, ...]: ...  # noqa: D102

        @property
        def offsets(self) -> Mapping[str, int]: ...  # noqa: D102

    # -- names ----------------------------------------------------------------------------------------------------

    @cached_property
    def nodes(self) -> ArrayNames:
        """The names (layer, index...) of the neurons."""
        own = self._this.neuron_layers
        return ArrayNames([layer.name for layer in own], [layer.shape for layer in own])

    @property
    def input_names(self) -> tuple[Hashable, ...]:
        """The input layers."""
        return self.inputs

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """Their shapes."""
        return tuple(self._this.layer(name).shape for name in self.inputs)

    def index(self, node: Hashable) -> int:
        """Place of a neuron, named (layer, index...); views are other names of neurons.

        Raises
        ------
        GraphError
        """
        is_name = isinstance(node, tuple) and len(node) > 0 and node[0] in self._this.readers
        try:
            found = self._this.positions(node[0])[node[1:]] if is_name else None  # type: ignore[index]
        except (IndexError, TypeError):
            found = None
        if not isinstance(found, (int, np.integer)):
            raise GraphError(f"node: the network has no neuron {argument_text(node)}; they are named (layer, index...)")
        return int(found) - 1

    @property
    def _this(self) -> LayerArchitecture:
        return self  # type: ignore[return-value]

    # -- entries and parameters -----------------------------------------------------------------------------------

    @property
    def n_entries(self) -> int:
        """Number of entries of all tensors."""
        return self._starts[-1]

    @property
    def n_parameters(self) -> int:
        """Number of entries of the trainable tensors."""
        return sum(part.stop - part.start for part, role in self._parts if role == "parameter")

    @cached_property
    def tensor_slices(self) -> tuple[slice, ...]:
        """Where each tensor lies among the entries."""
        return tuple(map(slice, self._starts[:-1], self._starts[1:]))

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *accumulate(math.prod(shape) for shape in self._this.tensor_shapes)]

    @property
    def _parts(self) -> list[tuple[slice, str]]:
        return list(zip(self.tensor_slices, self.roles, strict=True))

    @cached_property
    def role(self) -> Array:
        """Code of the role of each entry."""
        sizes = [part.stop - part.start for part in self.tensor_slices]
        return frozen(np.repeat(np.array([ROLES.index(role) for role in self.roles], dtype=np.int8), sizes))

    @cached_property
    def parameter(self) -> Array:
        """Index in theta of each entry, or -1."""
        free = self.role == 0
        return frozen(np.where(free, np.cumsum(free) - 1, -1))

    @cached_property
    def first_entry(self) -> Array:
        """The entries that are parameters."""
        return frozen(np.flatnonzero(self.role == 0))

    @property
    def is_tied(self) -> bool:
        """Entries are parameters, each its own, though many edges take one entry."""
        return False

    @property
    def parameters(self) -> ArrayNames:
        """The names (tensor, index...) of the parameters."""
        return ArrayNames(self._free_names, self._free_shapes)

    def names_of(self, parameters: Array) -> ArrayNames:
        """The names (tensor, index...) of some parameters."""
        return ArrayNames(self._free_names, self._free_shapes, parameters)

    @property
    def _free(self) -> list[int]:
        return [i for i, role in enumerate(self.roles) if role == "parameter"]

    @property
    def _free_names(self) -> list[str]:
        return [self.tensor_names[i] for i in self._free]

    @property
    def _free_shapes(self) -> list[Shape]:
        return [self._this.tensor_shapes[i] for i in self._free]

    def describe(self, entry: int) -> str:
        """An entry in words, for messages."""
        name, *inner = ArrayNames(self.tensor_names, self._this.tensor_shapes)[entry]
        return f"the entry {tuple(inner)} of {name!r}"

    @cached_property
    def at_bias(self) -> Array:
        """Which entries stand at a bias: bool, shape (n_entries,)."""
        out = np.zeros(self.n_entries, dtype=bool)
        for layer in self.layers:
            if layer.bias is not None:
                out[self.tensor_slices[layer.bias[1]]] = True
        return frozen(out)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The names of the layers."""
        return tuple(layer.name for layer in self.layers)

    @property
    def first_layer(self) -> Array:
        """The place of the first layer that has each parameter: shape (n_parameters,)."""
        order = {name: i for i, name in enumerate(self.layer_names)}
        out = np.empty(self.n_parameters, dtype=np.int64)
        for tensor in self._free:
            out[self.parameter[self.tensor_slices[tensor]]] = order[self._users[tensor][0]]
        return out

    @cached_property
    def _users(self) -> dict[int, list[str]]:
        """For each tensor the layers that have it."""
        users: dict[int, list[str]] = {}
        for layer in self.layers:
            for tensor in dict.fromkeys(layer.all_tensors):
                users.setdefault(tensor, []).append(layer.name)
        return users

    @cached_property
    def scattered(self) -> Array:
        """The parameters that one path can meet at two layers: one of these lies behind the other."""
        twice = [tensor for tensor in self._free if len(self._users.get(tensor, ())) > 1]
        if not twice:
            return np.empty(0, dtype=np.int64)
        before: dict[str, set[str]] = {}
        for layer in self.layers:
            before[layer.name] = set(layer.sources).union(*(before[source] for source in layer.sources))
        places = [
            self.parameter[self.tensor_slices[tensor]]
            for tensor in twice
            if any(before[name].intersection(self._users[tensor]) for name in self._users[tensor])
        ]
        return np.concatenate([np.empty(0, dtype=np.int64), *places])

    @property
    def parameter_level(self) -> Array:
        """The place of the layer that a parameter stands at; -1 if there are several."""
        order = {layer.name: i for i, layer in enumerate(self.layers)}
        out = np.full(self.n_parameters, -1)
        for tensor in self._free:
            if len(self._users[tensor]) == 1:
                out[self.parameter[self.tensor_slices[tensor]]] = order[self._users[tensor][0]]
        return out

    @property
    def backward_roundings(self) -> int:
        """A neuron adds up no more than the neurons of the layers that read it, and 1 if it is an output."""
        return sum(block.shape[0] + 1 for block in self.dag.blocks()) + len(self.layers)

    @property
    def marginal_roundings(self) -> int:
        """An entry has no more places than its tensor has edges."""
        edges: dict[int, int] = {}
        for layer in self.layers:
            for tensor, operation in zip(layer.tensors, layer.operations, strict=True):
                edges[tensor] = edges.get(tensor, 0) + operation.n_edges
            if layer.bias is not None:
                edges[layer.bias[1]] = edges.get(layer.bias[1], 0) + layer.bias[0].n_edges
        return max(edges.values(), default=0)

    def candidates(self, position: int) -> tuple[list[int], Array]:
        """The antecedents by position, then the constant; and the entries between."""
        own = self._this.neuron_layers
        layer = own[bisect_right([self.offsets[each.name] for each in own], position) - 1]
        local = np.array([position - self.offsets[layer.name]])
        sources, entries = [], []
        for operation, name, tensor in zip(layer.operations, layer.sources, layer.tensors, strict=True):
            _, source, entry = operation.pattern(local)
            place = self._this.place(name)
            sources.append(source + place.start if isinstance(place, slice) else place[source])
            entries.append(entry + self.tensor_slices[tensor].start)
        found = np.concatenate([np.empty(0, dtype=np.int64), *sources])
        taken = np.concatenate([np.empty(0, dtype=np.int64), *entries])
        order = np.argsort(found, kind="stable")
        found, taken = found[order], taken[order]
        if layer.bias is not None:
            entry = layer.bias[0].pattern(local).entry + self.tensor_slices[layer.bias[1]].start
            found, taken = np.append(found, [CONSTANT] * len(entry)), np.append(taken, entry)
        return found.tolist(), taken

    # -- what callers give and get --------------------------------------------------------------------------------

    def arranged(self, numbers: Array) -> dict[str, Array]:
        """Numbers aligned with theta, as one array per parameter tensor and name."""
        start, out = 0, {}
        for name, shape in zip(self._free_names, self._free_shapes, strict=True):
            size = math.prod(shape)
            out[name] = numbers[start : start + size].reshape(shape)
            start += size
        return out

    def arranged_nodes(self, numbers: Array) -> dict[str, Array]:
        """Numbers by neuron, as one array per layer and name."""
        out, start = {}, 0
        for layer in self._this.neuron_layers:
            out[layer.name] = numbers[start : start + layer.size].reshape(layer.shape)
            start += layer.size
        return out

    def aligned(self, given: Any, name: str, default: Any = None) -> Any:
        """A mapping from names of parameters to numbers or arrays, aligned with theta.

        Parameters
        ----------
        given : mapping
            Anything else is returned as it is.
        name : str
            Of the argument, for messages.
        default : number, optional
            For tensors that are left out, which is an error otherwise.

        Raises
        ------
        ParameterError
        """
        if not isinstance(given, Mapping):
            return given
        names, shapes = self._free_names, self._free_shapes
        for key in given:
            if key not in names:
                raise ParameterError(
                    f"{name}: {argument_text(key)} is no parameter of the network; see .parameters for the names"
                )
        parts = []
        for key, shape in zip(names, shapes, strict=True):
            if key not in given and default is None:
                raise ParameterError(f"{name}: needed an array for every parameter, got none for {key!r}")
            value = given.get(key, default)
            try:
                array = np.asarray(value, dtype=None if isinstance(value, np.ndarray) else object)
            except ValueError:
                array = np.empty((0, 0))
            if array.shape not in ((), shape):
                raise ParameterError(f"{name}: {key!r} needs a number or shape {shape}, got {array.shape}")
            parts.append(np.broadcast_to(array, shape).ravel())
        return np.concatenate(parts) if parts else np.empty(0)

    def mask_of(self, parameters: Collection[Any] | Array) -> Array:
        """Parameters given by a mapping from names to masks, by names of tensors or of entries, or by a mask.

        Raises
        ------
        ParameterError
        """
        if isinstance(parameters, Mapping):
            for name, mask in parameters.items():
                if not isinstance(mask, np.ndarray) or mask.dtype != bool:
                    raise ParameterError(
                        f"parameters: {name!r} needs a mask (a bool ndarray), got {argument_text(mask)}"
                    )
            return np.asarray(self.aligned(parameters, "parameters", np.False_), dtype=bool)
        out = np.zeros(self.n_parameters, dtype=bool)
        if isinstance(parameters, np.ndarray) and parameters.dtype == bool:
            if parameters.shape != out.shape:
                raise ParameterError(f"parameters: needed a mask of shape {out.shape}, got {parameters.shape}")
            return parameters
        if isinstance(parameters, str) or not isinstance(parameters, (Collection, np.ndarray)):
            raise ParameterError(
                "parameters: needed a collection of names, or a mapping from names to masks (bool ndarrays), got "
                f"{parameters!r}"
            )
        entries = self.parameters
        parts = self.arranged(out)
        for name in parameters:
            if isinstance(name, str) and name in parts:
                parts[name][...] = True
                continue
            try:
                out[entries.index(name)] = True
            except (ValueError, TypeError):
                raise ParameterError(
                    f"parameters: {argument_text(name)} is no parameter of the network; they are named by their "
                    "tensor, or (tensor, index...)"
                ) from None
        return out
