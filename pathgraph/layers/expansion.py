"""A layer graph as the graph of its neurons.

There is one neuron for each entry of a layer's tensor, named (layer, index...), in the order of the layers and in C
order; and one parameter for each entry of a trainable tensor, named (tensor, index...). A weight of zero is an edge;
what a window would read in the padding is none. No neuron is left out, even where it only repeats another one.
Batch-norms are frozen; skips and the coefficients of pools are structural. Views have no neurons: they are other names
of the neurons that they show.

The edges into some neurons at a time are made, and written straight to their place in the result. So little more
memory is needed than for the result, some 30 bytes for an edge.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pathgraph.arguments import natural
from pathgraph.errors import ParameterError
from pathgraph.graph.array_names import TiedEntries
from pathgraph.graph.compilation import compile_architecture
from pathgraph.graph.network import Network
from pathgraph.graph.ordering import index_type, longest_distances
from pathgraph.layers.structure import ACTIVATION_CODES, Layer
from pathgraph.scalars import frozen

if TYPE_CHECKING:
    from pathgraph.layers.layer_graph import LayerGraph
    from pathgraph.layers.structure import LayerArchitecture
    from pathgraph.scalars import Array

__all__ = ["expand"]

CHUNK = 1 << 20
"""About how many edges are made at a time."""


def expand(graph: LayerGraph, *, max_edges: int = 50_000_000) -> Network:
    """The network of all neurons of a layer graph, with the same paths and the same function.

    Parameters
    ----------
    graph : LayerGraph
    max_edges : int
        The most edges that it may have.

    Returns
    -------
    Network
        Its inputs and outputs are those of the graph, flattened in C order.

    Raises
    ------
    ParameterError
        If it would have more than `max_edges` edges, or that is no natural number.

    Notes
    -----
    Time and memory are linear in the number of edges.

    Examples
    --------
    >>> import numpy as np, pathgraph as pg
    >>> build = pg.LayerGraphBuilder()
    >>> x = build.input((1, 3), name="x")
    >>> graph = build.build([build.convolution(x, build.tensor("w", [[[2, 3]]]), padding=1, name="y")])
    >>> net = graph.expand()
    >>> net
    Network(7 neurons: 3 inputs, 0 hidden, 4 outputs; 6 edges, 0 biases; 2 parameters; float64)
    >>> net.outputs[0], list(net.parameters), float(net.weight(("x", 0, 2), ("y", 0, 3)))
    (('y', 0, 0), [('w', 0, 0, 1), ('w', 0, 0, 0)], 2.0)
    """
    structure = graph.architecture
    n_neurons, n_edges = structure.n_neurons, structure.n_edges
    if n_edges > natural(max_edges, "max_edges"):
        raise ParameterError(
            f"max_edges: the expansion has {n_neurons:,} neurons and {n_edges:,} edges (some {n_edges * 30 / 1e9:.2g} "
            f"GB), more than max_edges={max_edges:,}; raise max_edges, or keep to what layer graphs do natively"
        )
    edges, biases = _edges(structure), _biases(structure)
    entry = np.concatenate([edges.entry, biases.entry])
    role, values, owner = _of_entries(graph, structure, entry)
    del entry
    own = structure.neuron_layers
    sizes = [layer.size for layer in own]
    architecture, order = compile_architecture(
        nodes=structure.nodes,
        activation=np.repeat(np.array([ACTIVATION_CODES[layer.activation] for layer in own], dtype=np.int8), sizes),
        rank=np.repeat(np.array([layer.rank for layer in own], dtype=np.int64), sizes),
        level=longest_distances(edges.start, edges.antecedent),
        start=edges.start,
        antecedent=edges.antecedent,
        role=role[:n_edges],
        biased=biases.antecedent,
        bias_role=role[n_edges:],
        output=structure.dag.outputs - 1,
        ties=TiedEntries(owner, structure.parameters),
    )
    if order.edges is not None or order.biases is not None:
        values = order.apply(values[:n_edges], values[n_edges:])
    return Network._tied(architecture, values)


class _Edges(NamedTuple):
    """Edges sorted by target, in CSR form, with the entry that each takes.

    For biases, `antecedent` holds the neurons that have one, and `start` is empty.
    """

    start: Array
    antecedent: Array
    entry: Array


def _edges(structure: LayerArchitecture) -> _Edges:
    """All edges between neurons, sorted by (target, antecedent)."""
    n_neurons, n_edges = structure.n_neurons, structure.n_edges
    antecedent = np.empty(n_edges, dtype=index_type(n_neurons))
    entry = np.empty(n_edges, dtype=index_type(structure.n_entries))
    degree = np.zeros(n_neurons, dtype=np.int64)
    done = 0
    for layer in structure.layers:
        if not layer.operations:
            continue
        first = structure.offsets[layer.name] - 1
        for target, source, taken in _runs(layer, structure):
            stop = done + len(target)
            antecedent[done:stop], entry[done:stop] = source, taken
            degree[first : first + layer.size] += np.bincount(target, minlength=layer.size)
            done = stop
    assert done == n_edges, (done, n_edges)
    return _Edges(np.concatenate([[0], np.cumsum(degree)]), antecedent, entry)


def _runs(layer: Layer, structure: LayerArchitecture) -> Iterator[tuple[Array, Array, Array]]:
    """The edges into a layer, some targets at a time: their targets within the layer, antecedents and entries."""
    places = [structure.place(source) for source in layer.sources]
    step = max(1, CHUNK // max(1, sum(operation.max_degree for operation in layer.operations)))
    for low in range(0, layer.size, step):
        targets = np.arange(low, min(low + step, layer.size))
        parts = []
        for operation, place, tensor in zip(layer.operations, places, layer.tensors, strict=True):
            target, source, entry = operation.pattern(targets)
            source = source + (place.start - 1) if isinstance(place, slice) else place[source] - 1
            parts.append((target, source, entry + structure.tensor_slices[tensor].start))
        if len(parts) == 1 and isinstance(places[0], slice):
            yield parts[0]
            continue
        target, source, entry = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.lexsort((source, target))
        yield target[order], source[order], entry[order]


def _biases(structure: LayerArchitecture) -> _Edges:
    neurons, entries = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for layer in structure.layers:
        if layer.bias is not None:
            operation, tensor = layer.bias
            target, _, entry = operation.pattern()
            neurons.append(target + structure.offsets[layer.name] - 1)
            entries.append(entry + structure.tensor_slices[tensor].start)
    return _Edges(np.empty(0), np.concatenate(neurons), np.concatenate(entries))


def _of_entries(graph: LayerGraph, structure: LayerArchitecture, entry: Array) -> tuple[Array, Array, Array]:
    """The role, the value and the number of the parameter of each entry of the expansion."""
    owner = structure.parameter.astype(index_type(structure.n_entries))
    return structure.role[entry], frozen(graph.values[entry]), owner[entry]
