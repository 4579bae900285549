"""From lists of neurons and edges to a compiled `Architecture`.

This is the one place where the canonical order is made and where structural mistakes are found that do not depend
on how the network came in. Edges come grouped by target, in insertion numbering; the result says, besides the
architecture, in which order the caller's edges and biases became entries.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pathgraph.errors import GraphError
from pathgraph.graph.architecture import ACTIVATIONS, PARAMETER, Architecture
from pathgraph.graph.array_names import ArrayNames, TiedEntries
from pathgraph.graph.names import numbered
from pathgraph.graph.ordering import edge_order, first_disorder, has_successor, index_type
from pathgraph.pathsum.blocks import IDENTITY, INPUT, POOL
from pathgraph.scalars import frozen
from pathgraph.shown import argument_text

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["EntryOrder", "compile_architecture"]


class EntryOrder(NamedTuple):
    """How the caller's edges and biases became entries.

    Attributes
    ----------
    edges : ndarray of shape (n_edges,), or None
        ``edges[i]`` is the caller's edge that became entry i; None if that is edge i.
    biases : ndarray of shape (n_biases,), or None
        Likewise, the i-th bias being entry n_edges + i.
    """

    edges: Array | None
    biases: Array | None

    def apply(self, edges: Array, biases: Array, dtype: Any = None) -> Array:
        """What came with the edges and with the biases, as a new array over the entries."""
        out = np.empty(len(edges) + len(biases), dtype=edges.dtype if dtype is None else dtype)
        if self.edges is not None and out.dtype == edges.dtype:
            np.take(edges, self.edges, out=out[: len(edges)], mode="clip")  # the mode that needs no buffer
        else:
            out[: len(edges)] = edges if self.edges is None else edges[self.edges]
        out[len(edges) :] = biases if self.biases is None else biases[self.biases]
        return out


def compile_architecture(
    *,
    nodes: Sequence[Hashable] | None,
    activation: Array,
    rank: Array,
    level: Array,
    start: Array,
    antecedent: Array,
    role: Array | int,
    biased: Array,
    bias_role: Array | int,
    output: Array,
    ties: Mapping[int, Hashable],
    edges: Array | None = None,
) -> tuple[Architecture, EntryOrder]:
    """Check the structure, put it in canonical order and freeze it.

    Arrays that are in canonical order already are taken as they are, and become read-only: they must be the caller's
    to give.

    Parameters
    ----------
    nodes : sequence or None
        Names in insertion order; every index below refers to it. `ArrayNames` are not stored one by one. None: the
        numbers 0, ..., n_nodes - 1.
    activation, rank, level : ndarray, shape (n_nodes,)
    start : ndarray, shape (n_nodes + 1,)
        The edges into node v are ``start[v]:start[v + 1]``, in any order.
    antecedent : ndarray, shape (n_edges,)
        Their sources.
    role : ndarray of shape (n_edges,), or int
        By the caller's edge; an integer is the role of all edges.
    biased : ndarray, shape (n_biases,)
        The neurons with a bias, in any order.
    bias_role : ndarray of shape (n_biases,), or int
    output : ndarray, shape (n_outputs,)
        Outputs in insertion order.
    ties : mapping
        Names of parameters by entry: the caller's edges, then biases as given. `TiedEntries` stay such.
    edges : ndarray of shape (n_edges,), optional
        The caller's edge that stands at each place of `antecedent`; by default they are in that order.

    Returns
    -------
    architecture : Architecture
    order : EntryOrder

    Raises
    ------
    GraphError
        On a duplicate edge or bias, a pool rank out of range, an input with an antecedent or a bias, an output that
        is no identity neuron or has successors, no input, no output, a name on a fixed entry.
    """
    n_nodes, n_edges, n_biases = len(level), len(antecedent), len(biased)
    integer, degree = index_type(n_nodes), np.diff(start)
    place, canonical = None, np.arange(n_nodes, dtype=integer)
    if (level[1:] < level[:-1]).any():
        canonical = np.argsort(level, kind="stable").astype(integer)
        place = np.empty(n_nodes, dtype=integer)
        place[canonical] = np.arange(n_nodes, dtype=integer)
        activation, rank, level, degree = (array[canonical] for array in (activation, rank, level, degree))
        biased, output = place[biased], place[output]
    new_start = start if place is None else np.concatenate([[0], np.cumsum(degree)])

    bias_order = None
    if place is not None or first_disorder(start, antecedent) is not None:
        sorting = edge_order(start, antecedent, canonical, new_start)
        antecedent = antecedent[sorting] if place is None else place[antecedent[sorting]]
        edges = sorting if edges is None else edges[sorting]
        del sorting
    if (biased[1:] < biased[:-1]).any():
        bias_order = np.argsort(biased, kind="stable")
        biased = biased[bias_order]
    order = EntryOrder(edges, bias_order)
    architecture = Architecture(
        nodes=_names(nodes, canonical, place is None),
        insertion=frozen(canonical),
        activation=frozen(activation.astype(np.int8, copy=False)),
        rank=_uniform(rank.astype(np.int64, copy=False)),
        level=frozen(level.astype(np.int32, copy=False)),
        start=frozen(new_start.astype(np.int64, copy=False)),
        antecedent=frozen(antecedent.astype(integer, copy=False)),
        biased=frozen(biased.astype(np.int64, copy=False)),
        role=_entry_roles(role, bias_role, n_edges, n_biases, order),
        output=frozen(output.astype(np.int64, copy=False)),
        ties=_ties_of_entries(ties, order, n_edges, n_biases),
    )
    _refuse_duplicates(architecture)
    _check_neurons(architecture, degree)
    _check_outputs(architecture)
    if isinstance(architecture.ties, TiedEntries):
        named: Any = np.flatnonzero((architecture.ties.owner >= 0) & (architecture.role != PARAMETER))[:1].tolist()
    else:
        named = architecture.ties
    for entry in named:
        name = architecture.ties[entry]
        if architecture.role[entry] != PARAMETER:
            raise GraphError(
                f"{architecture.describe(entry)}: only a parameter can bear a name, got "
                f"parameter={argument_text(name)} on a fixed "
                "value; drop the name or the role"
            )
    return architecture, order


def _names(nodes: Sequence[Hashable] | None, canonical: Array, is_same: bool) -> Sequence[Hashable]:
    if nodes is None:
        return numbered(canonical)
    if isinstance(nodes, ArrayNames):
        return nodes if is_same else nodes.reordered(canonical)
    return tuple(nodes[i] for i in canonical.tolist())


def _uniform(array: Array) -> Array:
    """The array, read-only; one value in memory if all are equal."""
    if len(array) and (array == array[0]).all():
        return np.broadcast_to(array[0], array.shape)
    return frozen(array)


def _entry_roles(role: Array | int, bias_role: Array | int, n_edges: int, n_biases: int, order: EntryOrder) -> Array:
    of_edges, of_biases = np.asarray(role, dtype=np.int8), np.asarray(bias_role, dtype=np.int8)
    if of_edges.ndim == of_biases.ndim == 0 and (of_edges == of_biases or not n_biases):
        return np.broadcast_to(of_edges, n_edges + n_biases)
    return _uniform(order.apply(np.broadcast_to(of_edges, n_edges), np.broadcast_to(of_biases, n_biases)))


def _ties_of_entries(
    ties: Mapping[int, Hashable], order: EntryOrder, n_edges: int, n_biases: int
) -> Mapping[int, Hashable]:
    if not ties:
        return {}
    if isinstance(ties, TiedEntries):
        if order.edges is None and order.biases is None:
            return ties
        return TiedEntries(order.apply(ties.owner[:n_edges], ties.owner[n_edges:]), ties.names)
    before = order.apply(np.arange(n_edges), np.arange(n_edges, n_edges + n_biases))
    after = np.empty(len(before), dtype=np.int64)
    after[before] = np.arange(len(before))
    return {int(after[entry]): name for entry, name in ties.items()}


def _refuse_duplicates(architecture: Architecture) -> None:
    entry = first_disorder(architecture.start, architecture.antecedent)
    if entry is not None:
        u, v = architecture.entry_name(entry)
        raise GraphError(
            f"edge {argument_text(u)} -> {argument_text(v)} came twice; merging parallel edges changes the "
            "path-lifting: "
            "insert an identity neuron in one of them"
        )
    twice = np.diff(architecture.biased) == 0
    if twice.any():
        v = architecture.nodes[int(architecture.biased[1:][twice][0])]
        raise GraphError(f"node {argument_text(v)}: two biases came, needed one")


def _check_neurons(architecture: Architecture, degree: Array) -> None:
    nodes, activation, rank = architecture.nodes, architecture.activation, architecture.rank
    if not (activation == INPUT).any():
        raise GraphError("graph: a network needs an input; give a node without predecessors activation='input'")
    for v in np.flatnonzero((activation == INPUT) & (degree > 0))[:1]:
        u = architecture.antecedents(nodes[v])[0]
        raise GraphError(
            f"node {argument_text(nodes[v])}: an input has no predecessors, got the edge {argument_text(u)} -> "
            f"{argument_text(nodes[v])}; "
            "make it an identity neuron or remove the edge"
        )
    for v in architecture.biased[activation[architecture.biased] == INPUT][:1]:
        raise GraphError(
            f"node {argument_text(nodes[v])}: an input has no bias; put the bias on an identity neuron behind it"
        )
    is_pool = activation == POOL
    for v in np.flatnonzero(~is_pool & (rank != 1))[:1]:
        raise GraphError(f"node {argument_text(nodes[v])}: only a pool has a rank, got rank={rank[v]}")
    for v in np.flatnonzero(is_pool & (degree == 0))[:1]:
        raise GraphError(
            f"node {argument_text(nodes[v])}: a pool needs predecessors, got none; connect it or make it identity"
        )
    for v in np.flatnonzero(is_pool & ((rank > degree) | (rank < 1)))[:1]:
        raise GraphError(
            f"node {argument_text(nodes[v])}: a pool's rank must lie between 1 and its number of predecessors "
            f"{degree[v]}, "
            f"got {rank[v]}"
        )


def _check_outputs(architecture: Architecture) -> None:
    nodes = architecture.nodes
    if not len(architecture.output):
        raise GraphError(
            "graph: a network needs an output; mark an identity neuron without successors (output=True on a node of a "
            "graph, outputs=[...] for arrays)"
        )
    if len(set(architecture.output.tolist())) < len(architecture.output):
        raise GraphError("graph: an output came twice")
    inner = has_successor(architecture.n_nodes, architecture.antecedent)
    for v in architecture.output.tolist():
        if architecture.activation[v] != IDENTITY:
            raise GraphError(
                f"node {argument_text(nodes[v])}: an output must be an identity neuron, got activation "
                f"{ACTIVATIONS[architecture.activation[v]]!r}; append an identity neuron (weight 1, role "
                "'structural') behind it, or mark the true outputs (output=True on nodes of a graph, outputs=[...] for "
                "arrays)"
            )
        if inner[v]:
            raise GraphError(
                f"node {argument_text(nodes[v])}: an output has no successors; append an identity copy of it and mark "
                "that one"
            )
