"""The parts that instances of several checks are drawn from, and the enumerations that their right sides are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import pathgraph as pg
from pathgraph import Network
from pathgraph_proofs_checks.sizes import either, relu_dags

__all__ = [
    "MAX_PATHS",
    "ROUNDOFF",
    "Input",
    "by_output",
    "distance",
    "entries_on",
    "exponents",
    "neurons",
    "parts_of",
    "path_products",
    "pooling_dags",
    "relative",
    "roundings",
    "values_at",
]

MAX_PATHS = 1_000_000
"""Enumerations beyond this are refused; the network that is given is far smaller."""

ROUNDOFF = Fraction(1, 2**53)
"""Of float64."""

PART_WIDTH, SMALL = 6, 5000
"""A part of a network keeps this many neurons of each level; a network with that many paths is taken as a whole."""

Input: TypeAlias = Any
"""A tuple of Fractions, which NumPy's ArrayLike does not admit."""

exponents = st.integers(1, 3)
"""Integers q for which ``abs(w)**q`` stays rational."""

pooling_dags = either(relu_dags(), relu_dags(activations=["pool"], max_inputs=2))
"""Networks, half of which have no other activations than pools and identities."""


def neurons(net: Network) -> SearchStrategy[Hashable]:
    """Neurons of a network, the last one being the simplest."""
    return st.sampled_from(net.nodes[::-1])


def parts_of(net: Network) -> SearchStrategy[Network]:
    """The network itself if it has few paths, else parts of it, with the same weights and biases."""
    if pg.count_paths(net) <= SMALL:
        return st.just(net)
    # Below 100, since Hypothesis draws larger constants from the modules that happen to be imported.
    return st.builds(part, st.just(net), st.integers(0, 99))


def part(net: Network, seed: int) -> Network:
    """The network on a few random inputs, hidden neurons and outputs of each level, and the edges between them."""
    graph = pg.to_networkx(net)
    groups: dict[tuple[int, bool, bool], list[Hashable]] = defaultdict(list)
    for v, level in zip(net.nodes, net.architecture.level.tolist(), strict=True):
        groups[level, v in net.inputs, v in net.outputs].append(v)
    random = Random(seed)
    for group in groups.values():
        graph.remove_nodes_from(random.sample(group, max(0, len(group) - PART_WIDTH)))
    for v, data in graph.nodes(data=True):
        if v in net.outputs:
            data["output"] = True
        if data["activation"] == "pool":
            data["rank"] = min(data.get("rank", 1), graph.in_degree(v))
            if not graph.in_degree(v):
                graph.nodes[v].update(activation="identity", rank=None)
    return pg.from_networkx(graph, dtype=object)


def path_products(net: Network, node: Hashable | None = None) -> tuple[Fraction, ...]:
    """The path-lifting by enumeration: one product per path that ends at an output, or at `node`."""
    return tuple(pg.path_lifting(net, node=node, max_paths=MAX_PATHS).values)


def by_output(net: Network) -> list[list[Fraction]]:
    """The path products of each output, in the order of ``net.outputs``."""
    lifting = pg.path_lifting(net, max_paths=MAX_PATHS)
    groups: dict[Hashable, list[Fraction]] = defaultdict(list)
    for path, value in zip(lifting.paths, lifting.values, strict=True):
        groups[path[-1]].append(value)
    return [groups[v] for v in net.outputs]


def entries_on(net: Network, path: tuple[Hashable, ...]) -> list[int]:
    """The places in ``net.values`` of the weights on a path, the bias it stands for included."""
    structure = net.architecture
    bias = structure.bias_entry(path[0])
    edges = [structure.edge_entry(u, v) for u, v in pairwise(path)]
    return edges if bias is None else [bias, *edges]


def distance(x: Input, y: Input) -> Fraction:
    """The largest difference between two inputs."""
    return Fraction(max(abs(a - b) for a, b in zip(x, y, strict=True)))


def values_at(net: Network, x: Any) -> dict[Hashable, Fraction]:
    """The value of every neuron, by name."""
    return dict(zip(net.nodes, net.neuron_values(x).tolist(), strict=True))


def roundings(net: Network) -> int:
    """The sum over the levels of fan-in + 1, biases counted in the fan-in."""
    structure = net.architecture
    terms = [len(structure.antecedents(v)) + (net.bias(v) is not None) for v in net.nodes]
    levels = structure.level.tolist()
    return sum(1 + max(t for t, level in zip(terms, levels, strict=True) if level == k) for k in set(levels))


def relative(n: int) -> Fraction:
    """The bound n u / (1 - n u) on n successive roundings."""
    return n * ROUNDOFF / (1 - n * ROUNDOFF)
