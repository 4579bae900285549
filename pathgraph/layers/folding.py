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
    architecture = graph.architecture
    layers = {layer.name: layer for layer in architecture.layers}
    values = dict(enumerate(graph.tensors))
    names, roles = list(architecture.tensor_names), list(architecture.roles)
    uses = _uses(architecture.layers)
    outputs = list(architecture.outputs)
    folded: dict[str, str] = {}
    for norm in architecture.layers:
        if norm.kind != "batch_norm":
            continue
        source = layers[folded.get(norm.sources[0], norm.sources[0])]
        is_free = (
            source.kind in FOLDABLE
            and source.activation == "identity"
            and all(uses.get(tensor, 1) == 1 for tensor in source.all_tensors)
        )
        if not is_free or architecture.readers[norm.sources[0]] != (norm.name,) or norm.sources[0] in outputs:
            continue
        if isinstance(source.operations[0], (Linear, TransposedLinear)) and source.operations[0].lead:
            continue  # its channels are not on the last axis, where the matrix acts
        scale = values[norm.tensors[0]].ravel()
        weight = source.tensors[0]
        values[weight] = _scaled(values[weight], scale, source)
        shift = None if norm.bias is None else values[norm.bias[1]].ravel()
        bias = None
        if source.bias is not None:
            place = source.bias[1]
            values[place] = values[place] * scale + (0 if shift is None else shift)
            bias = source.bias
        elif shift is not None:
            place = len(names)
            stem = names[weight].removesuffix(".weight")
            names.append(_fresh(f"{stem}.bias", names))
            roles.append("parameter")
            values[place] = shift
            along = (shift.size, *(1,) * (len(source.shape) - 1))
            bias = (Diagonal((), source.shape, along), place)
        layers[source.name] = replace(source, bias=bias, activation=norm.activation)
        folded[norm.name] = source.name
        del layers[norm.name]
        for name, layer in layers.items():
            if norm.name in layer.sources:
                layers[name] = replace(
                    layer, sources=tuple(source.name if s == norm.name else s for s in layer.sources)
                )
        outputs = [source.name if name == norm.name else name for name in outputs]
    return _rebuilt(graph, list(layers.values()), outputs, names, roles, values)


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
    uses: dict[int, int] = {}
    for layer in layers:
        for tensor in layer.all_tensors:
            uses[tensor] = uses.get(tensor, 0) + 1
    return uses


def _fresh(name: str, names: list[str]) -> str:
    while name in names:
        name += "_"
    return name


def _rebuilt(
    graph: LayerGraph,
    layers: list[Layer],
    outputs: list[str],
    names: list[str],
    roles: list[str],
    values: dict[int, Array],
) -> LayerGraph:
    """A layer graph of the tensors that are still used, in order of use."""
    place = {tensor: index for index, tensor in enumerate(_uses(tuple(layers)))}
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
        tuple(outputs),
        tuple(names[t] for t in kept),
        tuple(values[t].shape for t in kept),
        tuple(roles[t] for t in kept),
    )
    return LayerGraph(architecture, [values[t] for t in kept], notes=graph.notes)
