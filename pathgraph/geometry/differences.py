"""What tells two coloured graphs apart, in words: a neuron of one network that has no counterpart in the other.

Derived here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import networkx as nx

__all__ = ["Difference", "first_difference"]

Graph: TypeAlias = "nx.DiGraph[Any]"


@dataclass(frozen=True)
class Difference:
    """An invariant in which two networks differ: what it is, of which neuron, and its two values."""

    what: str
    where: tuple[Hashable, ...]
    values: tuple[Any, Any]


def first_difference(
    graphs: tuple[Graph, Graph], signature: Callable[[Graph, int], Any], close: float | None
) -> Difference:
    """The first difference of two graphs whose colours agree, while the signatures of their neurons do not.

    In this order: the kinds of neurons, their biases, their weights into them and out of them, their neighbours.

    Parameters
    ----------
    graphs : pair of DiGraph
        As `pathgraph.geometry.isomorphism.coloured` makes them.
    signature : callable
        Of a graph and a neuron.
    close : float or None
        For networks of floats, the relative difference of values below which rounding may be the reason.
    """
    pair = _unmatched(graphs, lambda graph, v: graph.nodes[v]["kind"])
    if pair is not None:
        v, _, counts = pair
        node = graphs[0].nodes[v]
        return Difference(f"the number of neurons of the kind of {node['name']!r}", (node["name"],), counts)
    entries = {"bias of": _biases, "weights into": _into, "weights out of": _out_of}
    for what, of in entries.items():
        pair = _unmatched(graphs, _coloured_by(of), of)
        if pair is not None:
            return _difference_of_values(graphs, pair, what, of, close)
    pair = _unmatched(graphs, signature)
    assert pair is not None
    name = graphs[0].nodes[pair[0]]["name"]
    return Difference(f"the number of neurons joined to others as {name!r} is, in normal form", (name,), pair[2])


def _difference_of_values(
    graphs: tuple[Graph, Graph],
    pair: tuple[int, int, tuple[int, int]],
    what: str,
    of: Callable[[Graph, int], Iterable[Mapping[str, Any]]],
    close: float | None,
) -> Difference:
    """The difference of the entries at a neuron and at the nearest one of the other network."""
    v, w, counts = pair
    values = _apart(*(sorted(d["value"] for d in of(graph, u)) for graph, u in zip(graphs, (v, w), strict=True)))
    names = [graph.nodes[u]["name"] for graph, u in zip(graphs, (v, w), strict=True)]
    if values == ([], []):
        return Difference(f"the number of neurons with the roles of the {what} {names[0]!r}", (names[0],), counts)
    text = f"the {what} {names[0]!r} in normal form, which {counts[0]} and {counts[1]} of the neurons have"
    text += f"; the nearest of the other network are those of {names[1]!r}"
    if close is not None and _close(*values, Fraction(close)):
        text += ", so near that rounding may be the reason, and nothing is decided"
    shown = tuple([x if close is None else float(x) for x in side] for side in values)
    return Difference(text, (names[0],), (shown[0], shown[1]))


def _unmatched(
    graphs: tuple[Graph, Graph],
    key: Callable[[Graph, int], Any],
    of: Callable[[Graph, int], Iterable[Mapping[str, Any]]] | None = None,
) -> tuple[int, int, tuple[int, int]] | None:
    """A neuron whose key is more frequent in the first graph, and one whose key is more frequent in the second.

    With `of`, the second neuron is the nearest one by the values of these entries. The third item of the result is how
    many neurons of each graph have the first key. None if all keys are equally frequent in both.
    """
    keys = [{v: key(graph, v) for v in graph} for graph in graphs]
    counts = [Counter(found.values()) for found in keys]
    if counts[0] == counts[1]:
        return None
    more = [[v for v, k in keys[i].items() if counts[i][k] > counts[1 - i][k]] for i in (0, 1)]
    v = min(more[0], key=lambda v: graphs[0].nodes[v]["kind"][2] is not None)  # hidden ones first
    n = counts[0][keys[0][v]], counts[1][keys[0][v]]
    if of is None:
        return v, more[1][0], n
    same = [w for w in more[1] if _colour(graphs[1], w) == _colour(graphs[0], v)] or more[1]
    mine = sorted(d["value"] for d in of(graphs[0], v))
    return v, min(same, key=lambda w: _distance(mine, sorted(d["value"] for d in of(graphs[1], w)))), n


def _distance(a: list[Fraction], b: list[Fraction]) -> Fraction:
    return abs(len(a) - len(b)) + sum((abs(x - y) for x, y in zip(a, b, strict=False)), Fraction(0))


def _apart(a: list[Fraction], b: list[Fraction]) -> tuple[list[Fraction], list[Fraction]]:
    """Two sorted lists without what they have in common."""
    first, second = Counter(a), Counter(b)
    return sorted((first - second).elements()), sorted((second - first).elements())


def _close(a: list[Fraction], b: list[Fraction], allowed: Fraction) -> bool:
    return len(a) == len(b) and all(abs(x - y) <= allowed * max(abs(x), abs(y)) for x, y in zip(a, b, strict=True))


def _colour(graph: Graph, v: int) -> Any:
    return graph.nodes[v]["colour"]


def _coloured_by(of: Callable[[Graph, int], Iterable[Mapping[str, Any]]]) -> Callable[[Graph, int], Any]:
    """The colour of a neuron with those of some of its entries."""
    return lambda graph, v: (_colour(graph, v), frozenset(Counter(data["colour"] for data in of(graph, v)).items()))


def _biases(graph: Graph, v: int) -> list[Mapping[str, Any]]:
    bias = graph.nodes[v]["bias"]
    return [] if bias is None else [bias]


def _into(graph: Graph, v: int) -> list[Mapping[str, Any]]:
    return [data for _, _, data in graph.in_edges(v, data=True)]


def _out_of(graph: Graph, v: int) -> list[Mapping[str, Any]]:
    return [data for _, _, data in graph.out_edges(v, data=True)]
