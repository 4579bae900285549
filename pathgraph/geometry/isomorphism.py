"""Which permutations of neurons could turn one network into a rescaling of another: coloured graphs.

The colours are what rescalings and permutations keep: activations, the places of inputs and outputs, roles, which
entries are zero, and the values of the exact l1 normal form, without their signs at neurons whose factor may be
negative. An equivalence of networks is an isomorphism of these graphs; the converse is left to the caller to verify,
since the normal form says nothing of dead neurons. Derived here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import networkx as nx
import numpy as np

from pathgraph.geometry.differences import Difference, first_difference
from pathgraph.geometry.potentials import ends
from pathgraph.graph.architecture import ROLES, STRUCTURAL
from pathgraph.graph.network import Network
from pathgraph.pathsum.blocks import IDENTITY
from pathgraph.scalars import Array, to_fraction
from pathgraph.symmetry import normalize

__all__ = ["coloured", "images", "isomorphisms", "keeps_ties", "may_be_negative", "refine"]


def may_be_negative(net: Network) -> Array:
    """Which neurons may have negative factors: hidden identities, at place v + 1."""
    hidden = net.architecture.activation == IDENTITY
    hidden[net.architecture.output] = False
    return np.concatenate([[False], hidden])


def coloured(net: Network, other: Network) -> tuple[nx.DiGraph[Any], nx.DiGraph[Any]]:
    """Two networks as graphs on the indices of their neurons, coloured by what rescaling and permutation keep.

    Values of float networks have one colour if they may differ by the rounding of `rescale` alone: by two units in
    the last place of each entry, which sums of absolute values do not amplify.
    """
    normals = [normalize(one.to_exact(), 1, unfreeze=True).values for one in (net, other)]
    allowed = Fraction(0)
    if not net.is_exact:
        length = max(int(one.architecture.level.max()) for one in (net, other))
        allowed = 8 * (length + 1) * to_fraction(np.finfo(net.dtype).eps)
    classes: dict[Fraction, int] = {}
    number, last = 0, Fraction(0)
    for size in sorted({abs(value) for normal in normals for value in normal}):
        number += size - last > allowed * last
        classes[size], last = number, size
    return _graph(net, normals[0], classes), _graph(other, normals[1], classes)


def _graph(net: Network, normal: Array, classes: Mapping[Fraction, int]) -> nx.DiGraph[Any]:
    """One network; its values in normal form have the colours of their signs and classes; zero has class 0."""
    architecture = net.architecture
    flexible = may_be_negative(net)
    tail, head = ends(architecture)
    entries = []
    for e, value in enumerate(net.values):
        shown = abs(normal[e]) if flexible[tail[e]] or flexible[head[e]] else normal[e]
        held = to_fraction(value) if architecture.role[e] == STRUCTURAL else 0
        signed = classes[abs(shown)] * (-1 if shown < 0 else 1)
        entries.append({"colour": (ROLES[architecture.role[e]], bool(value != 0), signed, held), "value": shown})
    place = {v: ("input", i) for i, v in enumerate(architecture.input.tolist())}
    place |= {v: ("output", i) for i, v in enumerate(architecture.output.tolist())}
    biases = dict(zip(architecture.biased.tolist(), entries[architecture.n_edges :], strict=True))
    graph: nx.DiGraph[Any] = nx.DiGraph()
    for v, activation in enumerate(architecture.activations):
        kind, bias = (activation, int(architecture.rank[v]), place.get(v)), biases.get(v)
        colour = (*kind, bias and bias["colour"])
        graph.add_node(v, colour=colour, kind=kind, bias=bias, name=architecture.nodes[v])
    for e in range(architecture.n_edges):
        graph.add_edge(int(tail[e]) - 1, int(head[e]) - 1, **entries[e])
    return graph


def refine(graphs: tuple[nx.DiGraph[Any], nx.DiGraph[Any]], close: float | None) -> Difference | None:
    """Refine the colours of two graphs together, in place, until they are stable; `close` as in `first_difference`.

    Returns
    -------
    Difference or None
        An invariant that differs.
    """
    classes = 0
    for depth in range(len(graphs[0]) + 1):
        number: dict[Any, int] = {}
        signature = _signature if depth else _given
        colours = [{v: number.setdefault(signature(graph, v), len(number)) for v in graph} for graph in graphs]
        if Counter(colours[0].values()) != Counter(colours[1].values()):
            if not depth:  # colours become kinds alone, so that a difference of the biases is found as such
                for graph in graphs:
                    nx.set_node_attributes(graph, {v: graph.nodes[v]["kind"] for v in graph}, "colour")
            return first_difference(graphs, signature, close)
        for graph, colour in zip(graphs, colours, strict=True):
            nx.set_node_attributes(graph, colour, "colour")
        if len(number) == classes:
            break
        classes = len(number)
    return None


def _given(graph: nx.DiGraph[Any], v: int) -> Any:
    return graph.nodes[v]["colour"]


def isomorphisms(*graphs: nx.DiGraph[Any]) -> Iterator[dict[int, int]]:
    """The isomorphisms that keep all colours, as mappings between indices of neurons."""

    def same(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
        return bool(a["colour"] == b["colour"])

    yield from nx.isomorphism.DiGraphMatcher(*graphs, node_match=same, edge_match=same).isomorphisms_iter()


def _signature(graph: nx.DiGraph[Any], v: int) -> Any:
    """The colour of a neuron, and how often its edges have which colours and lead where."""
    nodes = graph.nodes
    into = Counter((data["colour"], nodes[u]["colour"]) for u, _, data in graph.in_edges(v, data=True))
    out = Counter((data["colour"], nodes[w]["colour"]) for _, w, data in graph.out_edges(v, data=True))
    return nodes[v]["colour"], frozenset(into.items()), frozenset(out.items())


def images(net: Network, other: Network, mapping: Mapping[int, int]) -> Array:
    """For each entry of `net`, the entry of `other` between the images of its ends."""
    names = net.nodes, other.nodes

    def image(v: Hashable) -> Hashable:
        return names[1][mapping[net.architecture.index(v)]]

    found: list[int | None] = []
    for e in range(net.architecture.n_entries):
        name = net.architecture.entry_name(e)
        if e < net.architecture.n_edges:
            found.append(other.architecture.edge_entry(image(name[0]), image(name[1])))
        else:
            found.append(other.architecture.bias_entry(image(name)))
    return np.array(found, dtype=np.int64)


def keeps_ties(net: Network, other: Network, image: Array) -> bool:
    """Whether entries are one parameter of `net` exactly if their images are one parameter of `other`."""
    free = net.architecture.parameter >= 0
    pairs = set(zip(net.architecture.parameter[free], other.architecture.parameter[image][free], strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
