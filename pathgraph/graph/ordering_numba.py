"""The kernels of `pathgraph.graph.ordering`, compiled by Numba; imported only when a graph is large.

Everything that runs compiled is in this file, so that a cached function cannot outlive a change of a helper
elsewhere. The kernels trust their arguments: indices in range, `start` increasing from 0 to the number of edges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["by_target", "edge_order", "longest_distances"]

UNSEEN, OPEN = -1, -2


@njit(cache=True, nogil=True)
def longest_distances(start: Array, antecedent: Array) -> tuple[Array, Array]:
    """The level of each node, and a cycle, empty if there is none: each node of it is an antecedent of the one before.

    A node is closed once its antecedents are. Where antecedents have smaller numbers that is one pass over the edges;
    elsewhere the antecedents are closed first, depth first.
    """
    size = len(start) - 1
    level = np.full(size, UNSEEN, dtype=np.int32)
    stack = np.empty(size, dtype=np.int32)
    following = np.empty(size, dtype=np.int64)
    for root in range(size):
        if level[root] != UNSEEN:
            continue
        height = 1
        stack[0], following[root], level[root] = root, start[root], OPEN
        while height:
            v = stack[height - 1]
            edge = following[v]
            while edge < start[v + 1] and level[antecedent[edge]] >= 0:
                edge += 1
            following[v] = edge
            if edge == start[v + 1]:
                largest = -1
                for e in range(start[v], start[v + 1]):
                    largest = max(largest, level[antecedent[e]])
                level[v] = largest + 1
                height -= 1
                continue
            u = antecedent[edge]
            if level[u] == OPEN:
                bottom = height - 1
                while stack[bottom] != u:
                    bottom -= 1
                return level, stack[bottom:height].copy()
            stack[height], following[u], level[u] = u, start[u], OPEN
            height += 1
    return level, stack[:0].copy()


@njit(cache=True, nogil=True)
def edge_order(start: Array, antecedent: Array, canonical: Array, new_start: Array) -> Array:
    """The edges by (target, antecedent), both in canonical order: transposed once, and back."""
    size, n_edges = len(start) - 1, len(antecedent)
    first = np.zeros(size + 1, dtype=np.int64)
    for e in range(n_edges):
        first[antecedent[e] + 1] += 1
    for v in range(size):
        first[v + 1] += first[v]
    place = first[:-1].copy()
    edge = np.empty(n_edges, dtype=np.int64)
    owner = np.empty(n_edges, dtype=np.int32)
    for v in range(size):
        for e in range(start[v], start[v + 1]):
            u = antecedent[e]
            edge[place[u]], owner[place[u]] = e, v
            place[u] += 1
    for i in range(size):
        place[canonical[i]] = new_start[i]
    order = np.empty(n_edges, dtype=np.int64)
    for i in range(size):
        u = canonical[i]
        for k in range(first[u], first[u + 1]):
            v = owner[k]
            order[place[v]] = edge[k]
            place[v] += 1
    return order


@njit(cache=True, nogil=True)
def by_target(size: int, target: Array) -> Array:
    """The stable order of the edges by target: a counting sort."""
    place = np.zeros(size + 1, dtype=np.int64)
    for e in range(len(target)):
        place[target[e] + 1] += 1
    for v in range(size):
        place[v + 1] += place[v]
    order = np.empty(len(target), dtype=np.int64)
    for e in range(len(target)):
        order[place[target[e]]] = e
        place[target[e]] += 1
    return order
