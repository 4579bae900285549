"""From lists of neurons and edges to a compiled `Architecture`.

This is the one place where the canonical order is made and where structural mistakes are found that do not depend
on how the network came in. Edges come as two index arrays in insertion numbering; the result says, besides the
architecture, in which order the caller's edges and biases became entries.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pathgraph.errors import GraphError
from pathgraph.graph.architecture import PARAMETER, Architecture
from pathgraph.pathsum.blocks import IDENTITY, INPUT, POOL
from pathgraph.scalars import frozen

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["compile_architecture", "longest_distances"]


def compile_architecture(
    nodes: Sequence[Hashable],
    activation: Array,
    rank: Array,
    level: Array,
    source: Array,
    target: Array,
    role: Array,
    biased: Array,
    bias_role: Array,
    output: Array,
    ties: Mapping[int, Hashable],
) -> tuple[Architecture, Array]:
    """Check the structure, put it in canonical order and freeze it.

    Parameters
    ----------
    nodes : sequence
        Names in insertion order; every index below refers to it.
    activation, rank, level : ndarray, shape (n_nodes,)
    source, target, role : ndarray, shape (n_edges,)
        Edges in any order.
    biased, bias_role : ndarray, shape (n_biases,)
        The neurons with a bias, in any order.
    output : ndarray, shape (n_outputs,)
        Outputs in insertion order.
    ties : mapping
        Names of parameters by entry: edges as given, then biases as given.

    Returns
    -------
    architecture : Architecture
    order : ndarray, shape (n_entries,)
        ``order[i]`` is the caller's entry that became entry i.

    Raises
    ------
    GraphError
        On a duplicate edge or bias, a pool rank out of range, an input with an antecedent or a bias, an output that
        is no identity neuron or has successors, no input, no output, a name on a fixed entry.
    """
    n_nodes, n_edges = len(nodes), len(source)
    canonical = np.lexsort((np.arange(n_nodes), level))
    place = np.empty(n_nodes, dtype=np.int64)
    place[canonical] = np.arange(n_nodes)

    edge_order = np.lexsort((place[source], place[target]))
    bias_order = np.argsort(place[biased], kind="stable")
    order = np.concatenate([edge_order, n_edges + bias_order]).astype(np.int64)
    where = np.empty_like(order)
    where[order] = np.arange(len(order))

    antecedent, ends = place[source][edge_order], place[target][edge_order]
    degree = np.bincount(ends, minlength=n_nodes)
    architecture = Architecture(
        nodes=tuple(nodes[i] for i in canonical.tolist()),
        insertion=frozen(canonical),
        activation=frozen(activation[canonical].astype(np.int8)),
        rank=frozen(rank[canonical].astype(np.int64)),
        level=frozen(level[canonical].astype(np.int64)),
        start=frozen(np.concatenate([[0], np.cumsum(degree)]).astype(np.int64)),
        antecedent=frozen(antecedent.astype(np.int64)),
        biased=frozen(place[biased][bias_order].astype(np.int64)),
        role=frozen(np.concatenate([role, bias_role])[order].astype(np.int8)),
        output=frozen(place[output].astype(np.int64)),
        ties={int(where[entry]): name for entry, name in ties.items()},
    )
    _refuse_duplicates(architecture, ends)
    _check_neurons(architecture, degree)
    _check_outputs(architecture)
    for entry, name in architecture.ties.items():
        if architecture.role[entry] != PARAMETER:
            raise GraphError(
                f"{architecture.describe(entry)}: only a parameter can bear a name, got parameter={name!r} on a fixed "
                "value; drop the name or the role"
            )
    return architecture, order


def longest_distances(n_nodes: int, source: Array, target: Array) -> Array:
    """The level of each node: its longest distance from a source, by peeling off one level at a time.

    Raises
    ------
    GraphError
        If the graph has a cycle.
    """
    by_source = np.argsort(source, kind="stable")
    first = np.searchsorted(source[by_source], np.arange(n_nodes + 1))
    waiting = np.bincount(target, minlength=n_nodes)
    level = np.full(n_nodes, -1, dtype=np.int64)
    frontier = np.flatnonzero(waiting == 0)
    depth = 0
    while len(frontier):
        level[frontier] = depth
        counts = first[frontier + 1] - first[frontier]
        offset = np.repeat(first[frontier] - (np.cumsum(counts) - counts), counts)
        reached = target[by_source[np.arange(counts.sum()) + offset]]
        np.subtract.at(waiting, reached, 1)
        frontier = np.unique(reached[waiting[reached] == 0])
        depth += 1
    if (level < 0).any():
        raise GraphError(f"graph: needed an acyclic graph, got a cycle through node number {np.argmin(level)}")
    return level


def _refuse_duplicates(architecture: Architecture, ends: Array) -> None:
    same = (np.diff(architecture.antecedent) == 0) & (np.diff(ends) == 0)
    if same.any():
        u, v = (architecture.nodes[i] for i in (architecture.antecedent[1:][same][0], ends[1:][same][0]))
        raise GraphError(
            f"edge {u!r} -> {v!r} came twice; merging parallel edges changes the path-lifting: "
            "insert an identity neuron in one of them"
        )
    twice = np.diff(architecture.biased) == 0
    if twice.any():
        raise GraphError(f"node {architecture.nodes[architecture.biased[1:][twice][0]]!r}: two biases came, needed one")


def _check_neurons(architecture: Architecture, degree: Array) -> None:
    nodes, activation, rank = architecture.nodes, architecture.activation, architecture.rank
    if not (activation == INPUT).any():
        raise GraphError("graph: a network needs an input; give a node without predecessors activation='input'")
    for v in np.flatnonzero((activation == INPUT) & (degree > 0))[:1]:
        u = architecture.antecedents(nodes[v])[0]
        raise GraphError(
            f"node {nodes[v]!r}: an input has no predecessors, got the edge {u!r} -> {nodes[v]!r}; "
            "make it an identity neuron or remove the edge"
        )
    for v in architecture.biased[activation[architecture.biased] == INPUT][:1]:
        raise GraphError(f"node {nodes[v]!r}: an input has no bias; put the bias on an identity neuron behind it")
    is_pool = activation == POOL
    for v in np.flatnonzero(~is_pool & (rank != 1))[:1]:
        raise GraphError(f"node {nodes[v]!r}: only a pool has a rank, got rank={rank[v]}")
    for v in np.flatnonzero(is_pool & (degree == 0))[:1]:
        raise GraphError(f"node {nodes[v]!r}: a pool needs predecessors, got none; connect it or make it identity")
    for v in np.flatnonzero(is_pool & ((rank > degree) | (rank < 1)))[:1]:
        raise GraphError(
            f"node {nodes[v]!r}: a pool's rank must lie between 1 and its number of predecessors {degree[v]}, "
            f"got {rank[v]}"
        )


def _check_outputs(architecture: Architecture) -> None:
    nodes = architecture.nodes
    if not len(architecture.output):
        raise GraphError(
            "graph: a network needs an output; give an identity neuron without successors the attribute output=True"
        )
    if len(set(architecture.output.tolist())) < len(architecture.output):
        raise GraphError("graph: an output came twice")
    has_successor = np.zeros(architecture.n_nodes, dtype=bool)
    has_successor[architecture.antecedent] = True
    for v in architecture.output.tolist():
        if architecture.activation[v] != IDENTITY:
            raise GraphError(
                f"node {nodes[v]!r}: an output must be an identity neuron, got activation "
                f"{architecture.activations[v]!r}; append an identity neuron (weight 1, role 'structural') behind it, "
                "or mark the true outputs with output=True"
            )
        if has_successor[v]:
            raise GraphError(
                f"node {nodes[v]!r}: an output has no successors; append an identity copy of it and mark that one"
            )
