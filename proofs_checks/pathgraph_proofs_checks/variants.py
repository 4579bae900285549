"""The recursions of the theory with every choice left open, so that a mutant is the right one with one choice changed.

They are plain loops over a `networkx` graph, slow and independent of the library's sweeps.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from fractions import Fraction
from itertools import cycle
from typing import Any

import networkx as nx

import pathgraph as pg
from pathgraph import Network

__all__ = [
    "BatchNorms",
    "Factors",
    "at_outputs",
    "edited",
    "folded",
    "kth_largest",
    "layers",
    "normalized",
    "power",
    "rescaled",
    "separate",
    "sweep",
    "without_biases",
]

Factors = Mapping[Hashable, Any]
BatchNorms = Sequence[tuple[Fraction, Fraction]]
"""Scale and shift, repeated over the hidden neurons as often as needed."""


def kth_largest(terms: Sequence[Fraction], rank: int) -> Fraction:
    """The rank-th largest of some numbers."""
    return sorted(terms, reverse=True)[rank - 1]


def power(q: int) -> Callable[[Fraction, Mapping[str, Any]], Fraction]:
    """The value of an edge or a bias in the sweep for the q-th power of the norm."""
    return lambda w, data: abs(w) ** q


def sweep(
    net: Network,
    edge: Callable[[Fraction, Mapping[str, Any]], Any],
    *,
    bias: Callable[[Fraction, Mapping[str, Any]], Any] | None = None,
    start: Mapping[Hashable, Any] | None = None,
    join: Callable[[Sequence[Any]], Any] = sum,
    pool: Callable[[Sequence[Any], int], Any] | None = None,
) -> dict[Hashable, Any]:
    """One value per neuron, from its antecedents' values.

    Parameters
    ----------
    net : Network
    edge, bias : callable
        ``edge(weight, attributes)`` multiplies the antecedent's value; `bias` is by default the same function.
    start : mapping, optional
        Values of the inputs; by default 1.
    join : callable
        Puts the terms of a neuron, its bias included, together.
    pool : callable, optional
        ``pool(terms, rank)`` does so at pools, the bias excluded; by default `join`.
    """
    graph = net.graph
    value: dict[Hashable, Any] = {}
    for v in net.nodes:
        data = graph.nodes[v]
        if data["activation"] == "input":
            value[v] = 1 if start is None else start[v]
            continue
        terms = [edge(e["weight"], e) * value[u] for u, _, e in graph.in_edges(v, data=True)]
        if pool is not None and data["activation"] == "pool":
            terms = [pool(terms, data.get("rank", 1))]
        if "bias" in data:
            terms.append((bias or edge)(data["bias"], data))
        value[v] = join(terms) if terms else 0
    return value


def at_outputs(net: Network, edge: Callable[[Fraction, Mapping[str, Any]], Any], **options: Any) -> list[Any]:
    """The values that `sweep` gives the outputs, in the order of ``net.outputs``."""
    values = sweep(net, edge, **options)
    return [values[v] for v in net.outputs]


def edited(net: Network, edit: Callable[[nx.DiGraph[Any]], None]) -> Network:
    """A copy of a network whose graph was changed by `edit`."""
    graph = pg.to_networkx(net)
    edit(graph)
    return pg.from_networkx(graph, dtype=object)


def rescaled(
    net: Network,
    factors: Factors,
    *,
    incoming: Callable[[Mapping[str, Any]], bool] = lambda data: True,
    outgoing: bool = True,
    fixed: bool = True,
    bias: Callable[[Mapping[str, Any]], bool] = lambda data: True,
) -> Network:
    """A network whose weights u -> v are multiplied by lam_v / lam_u, and whose biases by lam_v, for any factors.

    The switches leave out, in turn: the incoming weights of the neurons whose attributes `incoming` refuses, all
    outgoing weights, the weights that are no parameters, and the biases of the neurons that `bias` refuses.
    """

    def edit(graph: nx.DiGraph[Any]) -> None:
        for u, v, data in graph.edges(data=True):
            if fixed or "role" not in data:
                into = factors.get(v, 1) if incoming(graph.nodes[v]) else 1
                data["weight"] *= Fraction(into) / (factors.get(u, 1) if outgoing else 1)
        for v, data in graph.nodes(data=True):
            if "bias" in data and bias(data):
                data["bias"] *= factors.get(v, 1)

    return edited(net, edit)


def normalized(
    net: Network,
    *,
    bias: bool = True,
    outgoing: bool = True,
    dead_ends: bool = True,
    kinds: Collection[str] = ("identity", "relu", "pool"),
) -> Network:
    """The l1 normal form, untied: hidden neurons are divided, in order, by the norm of their weights and bias.

    The switches leave out, in turn: the bias in that norm, the multiplication of the outgoing weights, the zeroing
    of the outgoing weights of dead neurons, and the neurons of other kinds.
    """

    def edit(graph: nx.DiGraph[Any]) -> None:
        for _, _, data in graph.edges(data=True):
            data.pop("parameter", None)
        for v in net.nodes:
            graph.nodes[v].pop("bias_parameter", None)
        for v in net.hidden:
            node = graph.nodes[v]
            if node["activation"] not in kinds:
                continue
            into = [data for _, _, data in graph.in_edges(v, data=True)]
            norm = sum(abs(data["weight"]) for data in into) + (abs(node.get("bias", 0)) if bias else 0)
            for data in into:
                data["weight"] /= norm or 1
            if "bias" in node:
                node["bias"] /= norm or 1
            if outgoing and (norm or dead_ends):
                for _, _, data in graph.out_edges(v, data=True):
                    data["weight"] *= norm

    return edited(net, edit)


def without_biases(net: Network) -> Network:
    """A copy without biases."""

    def edit(graph: nx.DiGraph[Any]) -> None:
        for node in graph:
            for name in ("bias", "bias_role", "bias_parameter"):
                graph.nodes[node].pop(name, None)

    return edited(net, edit)


def layers(net: Network, *, biases: bool = False) -> list[list[list[Fraction]]]:
    """The weight matrices of a perceptron, each with its biases as a last column if asked for."""
    by_level: dict[int, list[list[Fraction]]] = {}
    for v, level in zip(net.nodes, net.architecture.level.tolist(), strict=True):
        if level:
            row = [net.weight(u, v) for u in net.architecture.antecedents(v)]
            by_level.setdefault(level, []).append([*row, net.bias(v) or Fraction(0)] if biases else row)
    return list(by_level.values())


def folded(net: Network, norms: BatchNorms) -> Network:
    """The network with a batch-norm z -> s z + t folded into the weights and bias of each hidden neuron."""

    def edit(graph: nx.DiGraph[Any]) -> None:
        for v, (scale, shift) in zip(net.hidden, cycle(norms), strict=False):
            for _, _, data in graph.in_edges(v, data=True):
                data["weight"] *= scale
            graph.nodes[v]["bias"] = scale * graph.nodes[v].get("bias", 0) + shift

    return edited(net, edit)


def separate(net: Network, norms: BatchNorms) -> Network:
    """The same function, each batch-norm being a neuron of its own behind an identity neuron."""

    def edit(graph: nx.DiGraph[Any]) -> None:
        for v, (scale, shift) in zip(net.hidden, cycle(norms), strict=False):
            before = ("before", v)
            graph.add_node(before, activation="identity")
            graph.add_edges_from([(u, before, data) for u, _, data in graph.in_edges(v, data=True)])
            graph.remove_edges_from(list(graph.in_edges(v)))
            if "bias" in graph.nodes[v]:
                graph.nodes[before]["bias"] = graph.nodes[v]["bias"]
            graph.nodes[v]["bias"] = shift
            graph.add_edge(before, v, weight=scale, role="frozen")

    return edited(net, edit)
