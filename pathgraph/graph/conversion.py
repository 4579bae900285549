"""Networks from and to `networkx.DiGraph`, and from weight matrices.

The **graph contract**. Node attributes: ``activation`` in {"input", "identity", "relu", "pool"}, required; ``rank``
(pools: the k-th largest candidate, default 1); ``bias`` (absent: none, and then no path starts there), with
``bias_role`` and ``bias_parameter``; ``output`` (True on the outputs; if no node has it, the nodes without
successors are the outputs). Edge attributes: ``weight``, required; ``role`` in {"parameter" (default), "frozen",
"structural"}; ``parameter`` (edges, or biases, with one name are one tied parameter). Other attributes are ignored,
unless they look like a misspelt one of these.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from difflib import get_close_matches
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeAlias

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pathgraph.errors import GraphError, ParameterError
from pathgraph.graph.architecture import ACTIVATIONS, PARAMETER, ROLES
from pathgraph.graph.compilation import compile_architecture
from pathgraph.graph.network import Network
from pathgraph.pathsum.blocks import IDENTITY, INPUT, POOL, RELU
from pathgraph.scalars import as_values

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["from_networkx", "from_weights", "to_networkx"]

Matrix: TypeAlias = "ArrayLike | Sequence[Any]"

ACTIVATION, RANK, OUTPUT = "activation", "rank", "output"
BIAS, BIAS_ROLE, BIAS_NAME = "bias", "bias_role", "bias_parameter"
WEIGHT, ROLE, NAME = "weight", "role", "parameter"
NODE_ATTRIBUTES = (ACTIVATION, RANK, OUTPUT, BIAS, BIAS_ROLE, BIAS_NAME)
EDGE_ATTRIBUTES = (WEIGHT, ROLE, NAME)


def from_networkx(graph: nx.DiGraph[Any], *, dtype: DTypeLike | None = None) -> Network:
    """Read a network from a directed graph; the graph is not changed.

    Parameters
    ----------
    graph : networkx.DiGraph
        Acyclic, with the attributes of the graph contract (see the user guide, or `pathgraph.graph.conversion`).
    dtype : {float32, float64, object}, optional
        Convert the values: object means exact rationals. By default the values decide: any Fraction makes the
        network exact, any SymPy expression symbolic.

    Returns
    -------
    Network

    Raises
    ------
    GraphError
        Naming the node or edge: cycles, multigraphs, missing or unknown attributes, a pool rank out of range, an
        output that is not an identity neuron without successors, unequal values under one parameter name, no input,
        no output. A `DiGraph` has already merged parallel edges: keep an identity neuron per branch.
    ParameterError
        On values that are NaN, infinite or no numbers, and on floats beside Fractions.

    Examples
    --------
    >>> import networkx as nx, pathgraph as pg
    >>> graph = nx.DiGraph()
    >>> graph.add_node("x", activation="input")
    >>> graph.add_node("h", activation="relu", bias=-1.0)
    >>> graph.add_node("y", activation="identity")
    >>> graph.add_weighted_edges_from([("x", "h", 2.0), ("h", "y", 3.0), ("x", "y", 1.0)])
    >>> pg.from_networkx(graph)([2.0])
    array([11.])
    """
    if not isinstance(graph, nx.Graph):
        raise GraphError(f"graph: needed a networkx.DiGraph, got {type(graph).__name__}")
    if graph.is_multigraph() or not graph.is_directed():
        raise GraphError(
            f"graph: needed a networkx.DiGraph, got a {type(graph).__name__}; "
            "for parallel edges keep an identity neuron per branch"
        )
    if not len(graph):
        raise GraphError(
            "graph: a network needs at least one node, got an empty graph; "
            "add nodes with activation='input', 'relu', ..."
        )
    nodes = list(graph)
    index = {node: i for i, node in enumerate(nodes)}
    level = _levels(graph, index)
    attributes = [graph.nodes[node] for node in nodes]
    _refuse_misspelt(((f"node {node!r}", data) for node, data in graph.nodes(data=True)), NODE_ATTRIBUTES)
    _refuse_misspelt(((f"edge {u!r} -> {v!r}", data) for u, v, data in graph.edges(data=True)), EDGE_ATTRIBUTES)
    activation, rank = _activations(nodes, attributes)

    source, target, edges = [], [], []
    for u, v, data in graph.edges(data=True):
        source.append(index[u])
        target.append(index[v])
        edges.append(data)
    biased = [i for i, data in enumerate(attributes) if data.get(BIAS) is not None]
    weights: list[Any] = []
    for i, data in enumerate(edges):
        if WEIGHT not in data:
            u, v = nodes[source[i]], nodes[target[i]]
            raise GraphError(f"edge {u!r} -> {v!r}: needed the attribute 'weight', got {data}; give it a number")
        weights.append(data[WEIGHT])
    biases = [attributes[i][BIAS] for i in biased]

    def describe(entry: int) -> str:
        if entry < len(edges):
            return f"edge {nodes[source[entry]]!r} -> {nodes[target[entry]]!r}: weight"
        return f"node {nodes[biased[entry - len(edges)]]!r}: bias"

    for i, data in enumerate(attributes):
        if data.get(BIAS) is None and (data.get(BIAS_NAME) is not None or data.get(BIAS_ROLE) is not None):
            raise GraphError(f"node {nodes[i]!r}: it has a bias_role or a bias_parameter but no bias; give it bias=0")
    values = as_values(weights + biases, describe, dtype)
    role = _roles([data.get(ROLE) for data in edges], lambda i: describe(i))
    bias_role = _roles([attributes[i].get(BIAS_ROLE) for i in biased], lambda i: describe(len(edges) + i))
    names = [data.get(NAME) for data in edges] + [attributes[i].get(BIAS_NAME) for i in biased]
    ties = {entry: name for entry, name in enumerate(names) if name is not None}
    for entry, name in ties.items():
        if not isinstance(name, Hashable):
            raise GraphError(f"{describe(entry)}: a parameter's name must be hashable, got {name!r}; use a string")
        is_edge = isinstance(name, tuple) and len(name) == 2 and graph.has_edge(*name)
        if is_edge or (name in index and attributes[index[name]].get(BIAS) is not None):
            raise GraphError(
                f"{describe(entry)}: the parameter's name {name!r} is also the name of "
                f"{'an edge' if is_edge else 'a neuron with a bias'}; choose another"
            )
    architecture, order = compile_architecture(
        nodes,
        activation,
        rank,
        level,
        np.array(source, dtype=np.int64),
        np.array(target, dtype=np.int64),
        role,
        np.array(biased, dtype=np.int64),
        bias_role,
        _outputs(graph, nodes, attributes, activation),
        ties,
    )
    return Network(architecture, values[order])


def _refuse_misspelt(owners: Iterable[tuple[str, dict[str, Any]]], known: Sequence[str]) -> None:
    """Other attributes than the contract's are ignored, but not those that look like one of its own."""
    harmless: set[Any] = set(known)
    for owner, data in owners:
        for name in data.keys() - harmless:
            close = get_close_matches(name, known, 1, 0.75) if isinstance(name, str) else []
            if close:
                raise GraphError(f"{owner}: the attribute {name!r} is unknown; did you mean {close[0]!r}?")
            harmless.add(name)


def _levels(graph: nx.DiGraph[Any], index: dict[Hashable, int]) -> Array:
    level = np.empty(len(index), dtype=np.int64)
    try:
        for depth, generation in enumerate(nx.topological_generations(graph)):
            for node in generation:
                level[index[node]] = depth
    except nx.NetworkXUnfeasible:
        cycle = [u for u, _ in nx.find_cycle(graph)]
        shown = " -> ".join(map(repr, cycle[:6]))
        raise GraphError(
            f"graph: needed an acyclic graph, got the cycle {shown} -> ... ({len(cycle)} long); unroll it"
        ) from None
    return level


def _activations(nodes: Sequence[Hashable], attributes: Sequence[dict[str, Any]]) -> tuple[Array, Array]:
    activation = np.empty(len(nodes), dtype=np.int8)
    rank = np.ones(len(nodes), dtype=np.int64)
    codes = {name: code for code, name in enumerate(ACTIVATIONS)}
    for i, (node, data) in enumerate(zip(nodes, attributes, strict=True)):
        name = data.get(ACTIVATION)
        code = codes.get(name) if isinstance(name, str) else None
        if code is None:
            needed = ", ".join(map(repr, ACTIVATIONS))
            raise GraphError(f"node {node!r}: needed the attribute 'activation' in {{{needed}}}, got {name!r}")
        activation[i] = code
        if RANK in data and data[RANK] is not None:
            k = data[RANK]
            if code != POOL:
                raise GraphError(f"node {node!r}: only a pool has a rank, got rank={k!r} on activation {name!r}")
            if isinstance(k, bool) or not isinstance(k, (Integral, np.integer)):
                raise GraphError(f"node {node!r}: a pool's rank must be an integer, got {k!r}")
            rank[i] = int(k)
    return activation, rank


def _roles(given: Sequence[Any], describe: Any) -> Array:
    codes: dict[Any, int] = {None: PARAMETER} | {name: code for code, name in enumerate(ROLES)}
    out = np.empty(len(given), dtype=np.int8)
    for i, name in enumerate(given):
        code = codes.get(name) if name is None or isinstance(name, str) else None
        if code is None:
            needed = ", ".join(map(repr, ROLES))
            raise GraphError(f"{describe(i)}: needed a role in {{{needed}}}, got {name!r}")
        out[i] = code
    return out


def _outputs(
    graph: nx.DiGraph[Any], nodes: Sequence[Hashable], attributes: Sequence[dict[str, Any]], activation: Array
) -> Array:
    marks = [data.get(OUTPUT, False) for data in attributes]
    for node, mark in zip(nodes, marks, strict=True):
        if not isinstance(mark, (bool, np.bool_)):
            raise GraphError(f"node {node!r}: 'output' must be True or False, got {mark!r}")
    if any(marks):
        return np.flatnonzero(np.array(marks))
    found = [i for i, node in enumerate(nodes) if activation[i] != INPUT and not graph.succ[node]]
    return np.array(found, dtype=np.int64)


def to_networkx(net: Network) -> nx.DiGraph[Any]:
    """Write a network as a directed graph; `from_networkx` reads the same network back.

    Nodes keep their insertion order; attributes that have their default value are left out.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[2.0]], [[3.0]]], [[1.0], None])
    >>> graph = pg.to_networkx(net)
    >>> graph.nodes[1, 0], graph.edges[(0, 0), (1, 0)]
    ({'activation': 'relu', 'bias': 1.0}, {'weight': 2.0})
    >>> pg.from_networkx(graph) == net
    True
    """
    architecture = net.architecture
    graph: nx.DiGraph[Any] = nx.DiGraph()
    values = list(net.values) if net.dtype == np.float32 else net.values.tolist()
    outputs, implicit = set(architecture.output.tolist()), _default_outputs(net)
    for i in np.argsort(architecture.insertion).tolist():
        node = architecture.nodes[i]
        data: dict[str, Any] = {ACTIVATION: architecture.activations[i]}
        if architecture.rank[i] != 1:
            data[RANK] = int(architecture.rank[i])
        entry = architecture.bias_entry(node)
        if entry is not None:
            data[BIAS] = values[entry]
            data |= _extras(net, entry, BIAS_ROLE, BIAS_NAME)
        if i in outputs and outputs != implicit:
            data[OUTPUT] = True
        graph.add_node(node, **data)
    sources = architecture.antecedent.tolist()
    for entry, v in enumerate(architecture.target[: architecture.n_edges].tolist()):
        u = architecture.nodes[sources[entry]]
        graph.add_edge(u, architecture.nodes[v], weight=values[entry], **_extras(net, entry, ROLE, NAME))
    return graph


def _default_outputs(net: Network) -> set[int]:
    architecture = net.architecture
    sinks = np.ones(architecture.n_nodes, dtype=bool)
    sinks[architecture.antecedent] = False
    return set(np.flatnonzero(sinks & (architecture.activation != INPUT)).tolist())


def _extras(net: Network, entry: int, role: str, name: str) -> dict[str, Any]:
    architecture = net.architecture
    code = architecture.role[entry]
    out: dict[str, Any] = {} if code == PARAMETER else {role: ROLES[code]}
    return out | ({name: architecture.ties[entry]} if entry in architecture.ties else {})


def from_weights(
    weights: Sequence[Matrix], biases: Sequence[Matrix | None] | None = None, *, dtype: DTypeLike | None = None
) -> Network:
    """A multilayer perceptron: ReLU on the hidden layers, identity on the last.

    Neurons are named (layer, index), layer 0 being the inputs. Every entry of a matrix is an edge, zeros included.

    Parameters
    ----------
    weights : sequence of array_like
        One matrix per layer, shape (n_outputs, n_inputs): rows are outputs.
    biases : sequence of (array_like or None), optional
        One vector of shape (n_outputs,) per layer; None for a layer without biases.
    dtype : {float32, float64, object}, optional
        Convert the values: object means exact rationals.

    Raises
    ------
    ParameterError
        On shapes that do not chain, and on values that are NaN, infinite or no numbers.

    Examples
    --------
    >>> from fractions import Fraction
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2]], [[Fraction(1, 2)]]], [[3], None])
    >>> net([1, 1])
    array([Fraction(1, 1)], dtype=object)
    """
    matrices = [_matrix(weight, f"weights[{i}]") for i, weight in enumerate(_listed(weights, "weights"))]
    if not matrices:
        raise ParameterError("weights: needed at least one matrix, got an empty sequence")
    for i in range(1, len(matrices)):
        needed = matrices[i - 1].shape[0]
        if matrices[i].shape[1] != needed:
            raise ParameterError(
                f"weights[{i}]: needed {needed} columns, the rows of weights[{i - 1}], got shape {matrices[i].shape}; "
                "rows are outputs: transpose it if it was stored the other way"
            )
    given = [None] * len(matrices) if biases is None else _listed(biases, "biases")
    if len(given) != len(matrices):
        raise ParameterError(f"biases: needed {len(matrices)} entries, one per layer (None for none), got {len(given)}")
    vectors = [None if b is None else _vector(b, len(matrices[i]), f"biases[{i}]") for i, b in enumerate(given)]

    widths = [matrices[0].shape[1], *(len(matrix) for matrix in matrices)]
    offset = np.concatenate([[0], np.cumsum(widths)])
    nodes = [(layer, i) for layer, width in enumerate(widths) for i in range(width)]
    level = np.repeat(np.arange(len(widths)), widths)
    activation = np.full(len(nodes), RELU, dtype=np.int8)
    activation[: offset[1]] = INPUT
    activation[offset[-2] :] = IDENTITY
    source = np.concatenate([np.tile(offset[i] + np.arange(m.shape[1]), len(m)) for i, m in enumerate(matrices)])
    target = np.concatenate([np.repeat(offset[i + 1] + np.arange(len(m)), m.shape[1]) for i, m in enumerate(matrices)])
    layers = [i for i, vector in enumerate(vectors) if vector is not None]
    biased = np.concatenate([[], *(np.arange(offset[i + 1], offset[i + 2]) for i in layers)]).astype(np.int64)
    architecture, order = compile_architecture(
        nodes,
        activation,
        np.ones(len(nodes), dtype=np.int64),
        level,
        source,
        target,
        np.full(len(source), PARAMETER),
        biased,
        np.full(len(biased), PARAMETER),
        np.arange(offset[-2], offset[-1]),
        {},
    )
    parts = [m.ravel() for m in matrices] + [vector for vector in vectors if vector is not None]
    together = np.concatenate(parts) if len({p.dtype for p in parts}) == 1 else [item for p in parts for item in p]

    def describe(entry: int) -> str:
        if entry < len(source):
            return f"weights: edge {nodes[source[entry]]} -> {nodes[target[entry]]}"
        return f"biases: neuron {nodes[biased[entry - len(source)]]}"

    return Network(architecture, as_values(together, describe, dtype)[order])


def _listed(layers: Any, what: str) -> list[Any]:
    try:
        return list(layers)
    except TypeError:
        raise ParameterError(f"{what}: needed a sequence with one entry per layer, got {layers!r}") from None


def _matrix(weight: Matrix, what: str) -> Array:
    array = _as_array(weight, what)
    if array.ndim != 2 or 0 in array.shape:
        raise ParameterError(
            f"{what}: needed a matrix (n_outputs, n_inputs) with at least one entry, got {array.shape}"
        )
    return array


def _vector(bias: Matrix, size: int, what: str) -> Array:
    array = _as_array(bias, what)
    if array.shape != (size,):
        raise ParameterError(f"{what}: needed shape ({size},), one bias per row of the matrix, got {array.shape}")
    return array


def _as_array(values: Matrix, what: str) -> Array:
    if isinstance(values, np.ma.MaskedArray):
        raise ParameterError(f"{what}: needed an array without a mask, got a masked one; fill its gaps")
    if isinstance(values, np.ndarray):
        return np.asarray(values)
    try:
        return np.asarray(values, dtype=object)
    except (ValueError, TypeError):
        raise ParameterError(f"{what}: needed a rectangular array of numbers, got {values!r}") from None
