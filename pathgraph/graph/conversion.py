"""Networks from and to `networkx.DiGraph`.

The **graph contract**. Node attributes: ``activation`` in {"input", "identity", "relu", "pool"}, required; ``rank``
(pools: the k-th largest candidate, default 1); ``bias`` (absent: none, and then no path starts there), with
``bias_role`` and ``bias_parameter``; ``output`` (True on the outputs; if no node has it, the nodes without
successors are the outputs). Edge attributes: ``weight``, required; ``role`` in {"parameter" (default), "frozen",
"structural"}; ``parameter`` (edges, or biases, with one name are one tied parameter). Other attributes are ignored,
unless they look like a misspelt one of these.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from difflib import get_close_matches
from itertools import chain, islice
from numbers import Integral
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
from numpy.typing import DTypeLike

from pathgraph.arguments import natural
from pathgraph.errors import GraphError, ParameterError
from pathgraph.graph.architecture import ACTIVATIONS, PARAMETER, ROLES
from pathgraph.graph.compilation import compile_architecture
from pathgraph.graph.network import Network, require_network
from pathgraph.graph.ordering import grouped, index_type, longest_distances
from pathgraph.pathsum.blocks import INPUT, POOL
from pathgraph.scalars import as_values
from pathgraph.shown import argument_text

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["from_networkx", "to_networkx"]

ACTIVATION, RANK, OUTPUT = "activation", "rank", "output"
BIAS, BIAS_ROLE, BIAS_NAME = "bias", "bias_role", "bias_parameter"
WEIGHT, ROLE, NAME = "weight", "role", "parameter"
NODE_ATTRIBUTES = (ACTIVATION, RANK, OUTPUT, BIAS, BIAS_ROLE, BIAS_NAME)
EDGE_ATTRIBUTES = (WEIGHT, ROLE, NAME)

MAX_EDGES = 2_000_000
"""The largest network that becomes a graph of networkx unasked."""

BYTES_PER_EDGE, BYTES_PER_NODE = 330, 500
"""What networkx needs for an edge and for a node, names apart, on 64-bit systems: measured, and rounded up."""


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
    index = dict(zip(nodes, range(len(nodes)), strict=True))
    attributes = [graph.nodes[node] for node in nodes]
    rows, by_target = _rows(graph)
    edges = list(chain.from_iterable(row.values() for row in rows))
    own = np.repeat(np.arange(len(nodes), dtype=index_type(len(nodes))), [len(row) for row in rows])
    other = np.fromiter(map(index.__getitem__, chain.from_iterable(rows)), dtype=own.dtype, count=len(edges))
    source, target = (other, own) if by_target else (own, other)
    start, antecedent, came = grouped(len(nodes), source, target)
    level = longest_distances(start, antecedent, nodes)

    def edge_name(entry: int) -> str:
        return f"edge {argument_text(nodes[source[entry]])} -> {argument_text(nodes[target[entry]])}"

    _refuse_misspelt(attributes, NODE_ATTRIBUTES, lambda i: f"node {argument_text(nodes[i])}")
    edge_attributes = _refuse_misspelt(edges, EDGE_ATTRIBUTES, edge_name)
    activation, rank = _activations(nodes, attributes)
    biased = [i for i, data in enumerate(attributes) if data.get(BIAS) is not None]
    try:
        weights = [data[WEIGHT] for data in edges]
    except KeyError:
        entry = next(i for i, data in enumerate(edges) if WEIGHT not in data)
        raise GraphError(
            f"{edge_name(entry)}: needed the attribute 'weight', got {edges[entry]}; give it a number"
        ) from None
    biases = [attributes[i][BIAS] for i in biased]

    def describe(entry: int) -> str:
        if entry < len(edges):
            return f"{edge_name(entry)}: weight"
        return f"node {argument_text(nodes[biased[entry - len(edges)]])}: bias"

    for i, data in enumerate(attributes):
        if data.get(BIAS) is None and (data.get(BIAS_NAME) is not None or data.get(BIAS_ROLE) is not None):
            raise GraphError(
                f"node {argument_text(nodes[i])}: it has a bias_role or a bias_parameter but no bias; give it bias=0"
            )
    values = as_values(weights + biases, describe, dtype)
    role = _roles([data.get(ROLE) for data in edges], describe) if ROLE in edge_attributes else PARAMETER
    bias_role = _roles([attributes[i].get(BIAS_ROLE) for i in biased], lambda i: describe(len(edges) + i))
    names = enumerate(data.get(NAME) for data in edges) if NAME in edge_attributes else ()
    ties = {entry: name for entry, name in names if name is not None}
    names = enumerate((attributes[i].get(BIAS_NAME) for i in biased), len(edges))
    ties |= {entry: name for entry, name in names if name is not None}
    for entry, name in ties.items():
        if not isinstance(name, Hashable):
            raise GraphError(
                f"{describe(entry)}: a parameter's name must be hashable, got {argument_text(name)}; use a string"
            )
        is_edge = isinstance(name, tuple) and len(name) == 2 and graph.has_edge(*name)
        if is_edge or (name in index and attributes[index[name]].get(BIAS) is not None):
            raise GraphError(
                f"{describe(entry)}: the parameter's name {argument_text(name)} is also the name of "
                f"{'an edge' if is_edge else 'a neuron with a bias'}; choose another"
            )
    architecture, order = compile_architecture(
        nodes=nodes,
        activation=activation,
        rank=rank,
        level=level,
        start=start,
        antecedent=antecedent,
        role=role,
        biased=np.array(biased, dtype=np.int64),
        bias_role=bias_role,
        output=_outputs(graph, nodes, attributes, activation),
        ties=ties,
        edges=came,
    )
    return Network._of(architecture, order.apply(values[: len(edges)], values[len(edges) :]))


def _rows(graph: nx.DiGraph[Any]) -> tuple[list[Any], bool]:
    """The edges of each node, those into it or those out of it, as mappings; and whether it is those into it.

    Both are the same edges, but their objects are scattered over the memory, and to go through them in the order in
    which they were made is several times faster: it is the one in which neighbours have near addresses.
    """
    forward = [row for _, row in graph.adjacency()]
    backward = [row for _, row in graph.reverse(copy=False).adjacency()]
    strides = [_stride(rows) for rows in (forward, backward)]
    return (backward, True) if strides[1] < strides[0] else (forward, False)


def _stride(rows: Sequence[Any]) -> float:
    """The usual distance in memory between edges that follow each other, from the first thousands of them."""
    address = np.array([id(data) for data in islice(chain.from_iterable(row.values() for row in rows), 4000)])
    return float(np.median(np.abs(np.diff(address)))) if len(address) > 1 else 0.0


def _refuse_misspelt(
    owners: Sequence[dict[Any, Any]], known: Sequence[str], describe: Callable[[int], str]
) -> set[Any]:
    """The names of all attributes: others than the contract's are ignored, but not those that look like its own."""
    found = set(chain.from_iterable(owners))
    strings = (name for name in found.difference(known) if isinstance(name, str))
    close = {name: matches[0] for name in strings if (matches := get_close_matches(name, known, 1, 0.75))}
    for i, data in enumerate(owners if close else ()):
        for name in data:
            if name in close:
                raise GraphError(
                    f"{describe(i)}: the attribute {argument_text(name)} is unknown; did you mean {close[name]!r}?"
                )
    return found


def _activations(nodes: Sequence[Hashable], attributes: Sequence[dict[str, Any]]) -> tuple[Array, Array]:
    activation = np.empty(len(nodes), dtype=np.int8)
    rank = np.ones(len(nodes), dtype=np.int64)
    codes = {name: code for code, name in enumerate(ACTIVATIONS)}
    for i, (node, data) in enumerate(zip(nodes, attributes, strict=True)):
        name = data.get(ACTIVATION)
        code = codes.get(name) if isinstance(name, str) else None
        if code is None:
            needed = ", ".join(map(repr, ACTIVATIONS))
            raise GraphError(
                f"node {argument_text(node)}: needed the attribute 'activation' in {{{needed}}}, got "
                f"{argument_text(name)}"
            )
        activation[i] = code
        if RANK in data and data[RANK] is not None:
            k = data[RANK]
            if code != POOL:
                raise GraphError(
                    f"node {argument_text(node)}: only a pool has a rank, got rank={argument_text(k)} on activation "
                    f"{argument_text(name)}"
                )
            if isinstance(k, bool) or not isinstance(k, (Integral, np.integer)):
                raise GraphError(
                    f"node {argument_text(node)}: a pool's rank must be an integer, got {argument_text(k)}"
                )
            if not 0 < int(k) < 2**63:
                raise GraphError(
                    f"node {argument_text(node)}: a pool's rank must lie between 1 and its number of predecessors, got "
                    f"{argument_text(k)}"
                )
            rank[i] = int(k)
    return activation, rank


def _roles(given: Sequence[Any], describe: Any) -> Array:
    codes: dict[Any, int] = {None: PARAMETER} | {name: code for code, name in enumerate(ROLES)}
    out = np.empty(len(given), dtype=np.int8)
    for i, name in enumerate(given):
        code = codes.get(name) if name is None or isinstance(name, str) else None
        if code is None:
            needed = ", ".join(map(repr, ROLES))
            raise GraphError(f"{describe(i)}: needed a role in {{{needed}}}, got {argument_text(name)}")
        out[i] = code
    return out


def _outputs(
    graph: nx.DiGraph[Any], nodes: Sequence[Hashable], attributes: Sequence[dict[str, Any]], activation: Array
) -> Array:
    marks = [data.get(OUTPUT, False) for data in attributes]
    for node, mark in zip(nodes, marks, strict=True):
        if not isinstance(mark, (bool, np.bool_)):
            raise GraphError(f"node {argument_text(node)}: 'output' must be True or False, got {argument_text(mark)}")
    if any(marks):
        return np.flatnonzero(np.array(marks))
    found = [i for i, node in enumerate(nodes) if activation[i] != INPUT and not graph.succ[node]]
    return np.array(found, dtype=np.int64)


def to_networkx(net: Network, *, max_edges: int = MAX_EDGES) -> nx.DiGraph[Any]:
    """Write a network as a directed graph; `from_networkx` reads the same network back.

    Nodes keep their insertion order; attributes that have their default value are left out.

    Parameters
    ----------
    net : Network
    max_edges : int
        The largest number of edges that is agreed to: networkx needs some 330 bytes for each, many times what the
        network itself needs.

    Returns
    -------
    networkx.DiGraph

    Raises
    ------
    ParameterError
        If the network has more edges; the message says how much memory they would need.

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
    require_network(net)
    architecture = net.architecture
    if architecture.n_edges > natural(max_edges, "max_edges"):
        memory = BYTES_PER_EDGE * architecture.n_edges + BYTES_PER_NODE * architecture.n_nodes
        raise ParameterError(
            f"max_edges: the network has {architecture.n_edges} edges, more than {max_edges}; as a graph of networkx "
            f"they would need about {memory / 2**30:.2g} GiB: use to_networkx(net, max_edges={architecture.n_edges}) "
            "if that is meant, or the arrays of to_arrays(net) and net.architecture"
        )
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
