"""The order of nodes and edges: levels, the canonical order, edges grouped by target.

The **level** of a node is its longest distance from a source. Graphs come in compressed rows: the edges into node v
are ``start[v]:start[v + 1]``, in any order, and ``antecedent`` holds their sources.

Large graphs go through kernels compiled by Numba, which need one pass over the edges and little memory; small ones,
and all of them where Numba is missing, through NumPy. Both give the same arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.distinct import distinct
from pathgraph.errors import GraphError

if TYPE_CHECKING:
    from collections.abc import Hashable
    from types import ModuleType

    from pathgraph.scalars import Array

__all__ = [
    "edge_order",
    "first_disorder",
    "grouped",
    "has_successor",
    "index_type",
    "longest_distances",
]

COMPILED_FROM = 2_000_000
"""Number of edges from which the compiled kernels are used: loading them takes as long as NumPy takes on these."""

DEEP = 20_000
"""Number of levels from which they are used on smaller graphs, too: NumPy works level by level."""

CHUNK = 1 << 20
"""Edges that are looked at together where a temporary array of all of them would be large."""


@cache
def _kernels() -> ModuleType | None:
    try:
        from pathgraph.graph import ordering_numba
    except (ImportError, RuntimeError):  # no Numba, or one that finds no folder for its cache
        return None
    return ordering_numba


def _compiled(n_nodes: int, n_edges: int) -> Any:
    """The compiled kernels where they pay; their node numbers have 32 bits."""
    return _kernels() if n_edges >= COMPILED_FROM and n_nodes < 2**31 - 1 else None


def index_type(n_nodes: int) -> Any:
    """The integer type for node numbers, and for positions in a buffer, which are larger by one."""
    return np.int32 if n_nodes < 2**31 - 1 else np.int64


def grouped(n_nodes: int, source: Array, target: Array) -> tuple[Array, Array, Array | None]:
    """Edges in any order as compressed rows: ``start``, ``antecedent``, and the edge at each place of it.

    The last one is None if the edges came by target. The order of the edges into one node is kept.
    """
    start = np.concatenate([[0], np.cumsum(np.bincount(target, minlength=n_nodes))]).astype(np.int64, copy=False)
    if bool((target[1:] >= target[:-1]).all()):
        return start, source, None
    kernels = _compiled(n_nodes, len(target))
    order = np.argsort(target, kind="stable") if kernels is None else np.asarray(kernels.by_target(n_nodes, target))
    return start, source[order], order


def longest_distances(start: Array, antecedent: Array, nodes: Sequence[Hashable] | None = None) -> Array:
    """The level of each node, shape (n_nodes,).

    Parameters
    ----------
    start : ndarray, shape (n_nodes + 1,)
    antecedent : ndarray, shape (n_edges,)
    nodes : sequence, optional
        Names for the message; the numbers by default.

    Raises
    ------
    GraphError
        If the graph has a cycle; the message shows one.
    """
    level, cycle = _levels(start, antecedent)
    if len(cycle):
        along = np.asarray(cycle)[::-1]
        turned = np.roll(along, -int(np.argmin(along))).tolist()
        shown = " -> ".join(repr(v if nodes is None else nodes[v]) for v in turned[:6])
        raise GraphError(
            f"graph: needed an acyclic graph, got the cycle {shown} -> ... ({len(turned)} long); unroll it"
        )
    return level


def _levels(start: Array, antecedent: Array) -> tuple[Array, Sequence[int] | Array]:
    """The levels, and a cycle, each node of which is an antecedent of the one before; it is empty if there is none."""
    n_nodes, n_edges = len(start) - 1, len(antecedent)
    if _compiled(n_nodes, n_edges) is None:
        level, is_complete = _peeled(start, antecedent, DEEP)
        if is_complete:
            return level, _cycle(start, antecedent, level)
    kernels = _compiled(n_nodes, max(n_edges, COMPILED_FROM))  # a graph that is too deep to be peeled quickly
    if kernels is not None:
        found: tuple[Array, Array] = kernels.longest_distances(start, antecedent)
        return found
    level, _ = _peeled(start, antecedent, n_nodes)
    return level, _cycle(start, antecedent, level)


def _peeled(start: Array, antecedent: Array, most: int) -> tuple[Array, bool]:
    """Levels by peeling off one at a time (Kahn's algorithm); -1 on cycles and behind them.

    And whether that was all: it gives up after `most` levels.
    """
    n_nodes, waiting = len(start) - 1, np.diff(start)
    target = np.repeat(np.arange(n_nodes), waiting)
    by_source = np.argsort(antecedent, kind="stable")
    first = np.searchsorted(antecedent[by_source], np.arange(n_nodes + 1))
    level = np.full(n_nodes, -1, dtype=np.int32)
    frontier = np.flatnonzero(waiting == 0)
    depth = 0
    while len(frontier):
        if depth == most:
            return level, False
        level[frontier] = depth
        counts = first[frontier + 1] - first[frontier]
        offset = np.repeat(first[frontier] - (np.cumsum(counts) - counts), counts)
        reached = target[by_source[np.arange(counts.sum()) + offset]]
        np.subtract.at(waiting, reached, 1)
        frontier = distinct(reached[waiting[reached] == 0])
        depth += 1
    return level, True


def _cycle(start: Array, antecedent: Array, level: Array) -> list[int]:
    """What is left after the peeling has an antecedent that is left, too: following those runs into a cycle."""
    if level.min(initial=0) >= 0:
        return []
    seen: dict[int, int] = {}
    v = int(np.argmin(level))
    while v not in seen:
        seen[v] = len(seen)
        before = antecedent[start[v] : start[v + 1]]
        v = int(before[np.argmin(level[before])])
    return list(seen)[seen[v] :]


def edge_order(start: Array, antecedent: Array, canonical: Array, new_start: Array) -> Array:
    """The edges by (target, antecedent), both in canonical order.

    Parameters
    ----------
    start, antecedent : ndarray
        The graph.
    canonical : ndarray, shape (n_nodes,)
        The nodes in canonical order.
    new_start : ndarray, shape (n_nodes + 1,)
        ``start`` in canonical order.

    Returns
    -------
    ndarray, shape (n_edges,)
        ``order[i]`` is the edge that becomes edge i.
    """
    kernels = _compiled(len(canonical), len(antecedent))
    if kernels is not None:
        return np.asarray(kernels.edge_order(start, antecedent, canonical, new_start))
    place = np.empty(len(canonical), dtype=np.int64)
    place[canonical] = np.arange(len(canonical))
    return np.lexsort((place[antecedent], np.repeat(place, np.diff(start))))


def first_disorder(start: Array, antecedent: Array) -> int | None:
    """The first edge whose antecedent is not larger than that of the edge before it into the same node."""
    for lo in range(1, len(antecedent), CHUNK):
        hi = min(lo + CHUNK, len(antecedent))
        falls = antecedent[lo:hi] <= antecedent[lo - 1 : hi - 1]
        rows = start[np.searchsorted(start, lo) : np.searchsorted(start, hi)]
        falls[rows - lo] = False
        if falls.any():
            return lo + int(np.argmax(falls))
    return None


def has_successor(n_nodes: int, antecedent: Array) -> Array:
    """Whether each node has a successor, shape (n_nodes,)."""
    out = np.zeros(n_nodes, dtype=bool)
    for lo in range(0, len(antecedent), CHUNK):
        out[antecedent[lo : lo + CHUNK]] = True
    return out
