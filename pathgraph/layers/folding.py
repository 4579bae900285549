"""Batch-norms folded into the linear maps before them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pathgraph.errors import RangeError
from pathgraph.layers.layer_graph import LayerGraph
from pathgraph.layers.operations import Diagonal, Linear, TransposedConvolution, TransposedLinear
from pathgraph.layers.structure import Layer, LayerArchitecture

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["fold_batch_norm"]

FOLDABLE = ("linear", "transposed_linear", "convolution", "transposed_convolution")


def fold_batch_norm(graph: LayerGraph) -> LayerGraph:
    """The graph with each batch-norm folded into the linear map that it alone reads.

    A map whose tensors are used elsewhere, too, keeps its batch-norm. The folded bias has the name of the map's bias,
    or the name of its tensor with ``.bias`` for ``.weight``.

    Examples
    --------
    >>> import pathgraph as pg
    >>> build = pg.LayerGraphBuilder()
    >>> x = build.linear(build.input((2,)), build.tensor("w", [[1, 2]]), build.tensor("b", [3]))
    >>> scale, shift = (build.tensor(name, [value], role="frozen") for name, value in (("scale", 2), ("shift", -5)))
    >>> graph = build.build([build.batch_norm(x, scale, shift)])
    >>> folded = graph.fold_batch_norm()
    >>> folded.parameters
    {'w': array([[2., 4.]]), 'b': array([1.])}
    >>> pg.path_norm(graph), pg.path_norm(folded)
    (17.0, 7.0)
    """
    folding = _Folding(graph)
    for layer in graph.layers:
        if layer.kind == "batch_norm":
            folding.fold(layer)
    return folding.graph()


class _Folding:
    """A layer graph while its batch-norms are folded, one after the other.

    Parameters
    ----------
    graph : LayerGraph
        The graph as it was before.
    """

    def __init__(self, graph: LayerGraph) -> None:
        self._given = graph
        architecture = graph.architecture
        self._layers = {layer.name: layer for layer in architecture.layers}
        self._values = dict(enumerate(graph.tensors))
        self._names, self._roles = list(architecture.tensor_names), list(architecture.roles)
        self._outputs = list(architecture.outputs)
        self._uses = _uses(architecture.layers)
        self._folded: dict[str, str] = {}  # from batch-norms to the layers that have taken their place

    def fold(self, norm: Layer) -> None:
        """Fold a batch-norm into the map it reads, if it alone reads that and no other layer has the same tensors."""
        source = self._layers[self._folded.get(norm.sources[0], norm.sources[0])]
        if not self._is_foldable(source, norm):
            return
        scale = self._values[norm.tensors[0]].ravel()
        weight = source.tensors[0]
        self._values[weight] = _scaled(self._values[weight], scale, source)
        bias = self._folded_bias(source, norm, scale)
        self._layers[source.name] = replace(source, bias=bias, activation=norm.activation)
        self._replace(norm.name, source.name)

    def _is_foldable(self, source: Layer, norm: Layer) -> bool:
        is_map = source.kind in FOLDABLE and source.activation == "identity"
        is_free = all(self._uses.get(tensor, 1) == 1 for tensor in source.all_tensors)
        read = norm.sources[0]
        if not is_map or not is_free or self._given.architecture.readers[read] != (norm.name,) or read in self._outputs:
            return False
        operation = source.operations[0]  # its channels must lie where a matrix acts: on the last axis
        return not (isinstance(operation, (Linear, TransposedLinear)) and operation.lead)

    def _folded_bias(self, source: Layer, norm: Layer, scale: Array) -> tuple[Diagonal, int] | None:
        """The bias of the map with the batch-norm in it, and its values where they belong."""
        shift = None if norm.bias is None else self._values[norm.bias[1]].ravel()
        if source.bias is not None:
            tensor = source.bias[1]
            self._values[tensor] = self._values[tensor] * scale + (0 if shift is None else shift)
            return source.bias
        if shift is None:
            return None
        tensor = len(self._names)
        stem = self._names[source.tensors[0]].removesuffix(".weight")
        self._names.append(_fresh(f"{stem}.bias", self._names))
        self._roles.append("parameter")
        self._values[tensor] = shift
        return Diagonal((), source.shape, (shift.size, *(1,) * (len(source.shape) - 1))), tensor

    def _replace(self, norm: str, source: str) -> None:
        """Let the readers of a batch-norm read the map instead, and drop the batch-norm."""
        self._folded[norm] = source
        del self._layers[norm]
        for name, layer in self._layers.items():
            if norm in layer.sources:
                sources = tuple(source if read == norm else read for read in layer.sources)
                self._layers[name] = replace(layer, sources=sources)
        self._outputs = [source if name == norm else name for name in self._outputs]

    def graph(self) -> LayerGraph:
        """The layer graph of the layers that are left, with the tensors they use, in the order of their use."""
        layers = tuple(self._layers.values())
        place = {tensor: index for index, tensor in enumerate(_uses(layers))}
        renumbered = tuple(
            replace(
                layer,
                tensors=tuple(place[t] for t in layer.tensors),
                bias=None if layer.bias is None else (layer.bias[0], place[layer.bias[1]]),
            )
            for layer in layers
        )
        kept = list(place)
        architecture = LayerArchitecture(
            renumbered,
            tuple(self._outputs),
            tuple(self._names[t] for t in kept),
            tuple(self._values[t].shape for t in kept),
            tuple(self._roles[t] for t in kept),
        )
        return LayerGraph(architecture, [self._values[t] for t in kept], notes=self._given.notes)


def _scaled(weight: Array, scale: Array, source: Layer) -> Array:
    """The entries of a map times the factor of their output channel."""
    operation = source.operations[0]
    if isinstance(operation, TransposedLinear):
        entries, factors = weight.reshape(operation.tensor_shape), scale
    elif isinstance(operation, TransposedConvolution):
        groups, width = operation.groups, operation.channels // operation.groups
        entries = weight.reshape(groups, -1, width, *operation.kernel)
        factors = scale.reshape(groups, 1, width, *(1,) * len(operation.kernel))
    else:
        entries = weight.reshape(operation.tensor_shape)
        factors = scale.reshape(-1, *(1,) * (entries.ndim - 1))
    with np.errstate(over="ignore", under="ignore"):
        products = np.asarray(entries * factors)
    if products.dtype != object:
        lost = (np.abs(products) < np.finfo(products.dtype).tiny) & (entries != 0) & (factors != 0)
        if lost.any() or not np.isfinite(products).all():
            raise RangeError(
                f"fold_batch_norm: a product in {source.name!r} leaves the range of {products.dtype}; use to_float() "
                "or to_exact() first"
            )
    return products.reshape(weight.shape)


def _uses(layers: tuple[Layer, ...]) -> dict[int, int]:
    """At how many places each tensor is used, in the order of the first ones."""
    uses: dict[int, int] = {}
    for layer in layers:
        for tensor in layer.all_tensors:
            uses[tensor] = uses.get(tensor, 0) + 1
    return uses


def _fresh(name: str, names: list[str]) -> str:
    while name in names:
        name += "_"
    return name
