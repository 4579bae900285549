"""Strategies for exact networks: any DAG of the graph contract, and layered perceptrons.

A network is drawn as flat lists of small integers that are decoded into a graph: whatever entry Hypothesis deletes or
lowers while it shrinks, the rest still decodes, so that minimal examples are minimal. An antecedent, for one, is
drawn as its distance back in the list of neurons, modulo the length of that list.
"""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from itertools import cycle, islice, pairwise
from typing import NamedTuple

import networkx as nx
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph.graph.conversion import from_networkx, from_weights
from pathgraph.graph.network import Network
from pathgraph.testing.values import at_least, dyadics, subset

__all__ = ["mlps", "relu_dags"]

ACTIVATIONS = ("identity", "relu", "pool")
ROLES = ("parameter", "frozen", "structural")
TWISTS = ("plain", "equal", "wide", "constant", "cancel", "zero", "twin", "plain")
"""What is done on purpose to a neuron: nothing; its weights made equal; the same, from as many neurons as it may
have antecedents; its edges removed; its weights made opposite in turn; all made zero, with no bias; weights and bias
made those of the neuron before, which then has the same pre-activation."""


class _Value(NamedTuple):
    weight: Fraction
    mark: str  # a role, or the name of a tie

    def attributes(self, prefix: str, ties: dict[str, Fraction]) -> dict[str, str | Fraction]:
        """Node (prefix "bias") or edge attributes; the first value drawn for a tie is the value of the tie."""
        name, weight = ("weight", "") if not prefix else ("bias", "bias_")
        if self.mark in ROLES:
            role = {} if self.mark == "parameter" else {weight + "role": self.mark}
            return {name: self.weight, **role}
        return {name: ties.setdefault(self.mark, self.weight), weight + "parameter": self.mark}


class _Neuron(NamedTuple):
    activation: str
    twist: str
    rank: int  # 0 for the largest candidate, -1 for the smallest, modulo their number
    bias: _Value | None
    edges: list[tuple[int, _Value]]  # distance back to the antecedent, weight


def relu_dags(
    *,
    max_inputs: int = 4,
    max_hidden: int = 5,
    max_outputs: int = 2,
    max_fan_in: int = 4,
    activations: Collection[str] = ACTIVATIONS,
    roles: Collection[str] = ROLES,
    biases: bool = True,
    ties: bool = True,
) -> SearchStrategy[Network]:
    """Exact networks on arbitrary DAGs, which shrink to a single edge of weight 1.

    Drawn on purpose: equal, opposite, zero and repeated weights, so that pool candidates tie and sums cancel; dead
    neurons; constants, that is neurons without antecedents; neurons that reach no output; skips; pools of every rank;
    zero, absent and pool biases; frozen, structural and tied values; disconnected pieces.

    Parameters
    ----------
    max_inputs, max_hidden, max_outputs, max_fan_in : int
        Sizes; a network has at most ``(max_hidden + max_outputs) * max_fan_in`` edges.
    activations : collection of {"identity", "relu", "pool"}
        Of the hidden neurons; identity neurons are always possible.
    roles : collection of {"parameter", "frozen", "structural"}
        Of weights and biases; "parameter" is always possible.
    biases : bool
        Whether neurons may have biases.
    ties : bool
        Whether several weights, or biases, may be one tied parameter.

    Returns
    -------
    SearchStrategy of Network
        Inputs are named ``x0, x1, ...``, hidden neurons ``h0, ...`` and outputs ``y0, ...``.

    Raises
    ------
    ParameterError
        If an option has a wrong value.

    Examples
    --------
    >>> import pathgraph as pg
    >>> from hypothesis import find
    >>> from pathgraph.testing import relu_dags
    >>> net = find(relu_dags(), lambda net: pg.count_paths(net) > 1)
    >>> net.architecture.n_edges + len(net.hidden)
    1
    """
    at_least(1, max_inputs=max_inputs, max_outputs=max_outputs, max_fan_in=max_fan_in)
    at_least(0, max_hidden=max_hidden)
    subset(ACTIVATIONS, activations=activations)
    subset(ROLES, roles=roles)
    kinds = ["identity", *(kind for kind in ACTIVATIONS[1:] if kind in activations)]
    marks = ["parameter"] * 8 + [role for role in ROLES[1:] if role in roles] + ["a", "b"] * ties
    values = st.builds(_Value, dyadics(), st.sampled_from(marks))
    back = st.integers(0, max_inputs + max_hidden - 1)
    edges = st.lists(st.tuples(back, values), min_size=1, max_size=max_fan_in, unique_by=lambda edge: edge[0])

    def neurons(kinds: list[str]) -> SearchStrategy[_Neuron]:
        return st.builds(
            _Neuron,
            st.sampled_from(kinds),
            st.sampled_from(TWISTS),
            st.integers(-1, max_fan_in - 2),
            st.none() | values if biases else st.none(),
            edges,
        )

    return st.builds(
        _decode,
        st.integers(1, max_inputs),
        st.lists(neurons(kinds), max_size=max_hidden),
        st.lists(neurons(["identity"]), min_size=1, max_size=max_outputs),
        st.just(max_fan_in),
    )


def _decode(n_inputs: int, hidden: list[_Neuron], outputs: list[_Neuron], max_fan_in: int) -> Network:
    graph = nx.DiGraph()
    names = [f"x{i}" for i in range(n_inputs)]
    graph.add_nodes_from(names, activation="input")
    ties: dict[str, Fraction] = {}
    previous = hidden[0] if hidden else outputs[0]
    for prefix, neurons in (("h", hidden), ("y", outputs)):
        antecedents = tuple(names)
        for index, drawn in enumerate(neurons):
            neuron = _twisted(drawn, previous, max_fan_in)
            name = f"{prefix}{index}"
            _add(graph, name, neuron, names if prefix == "h" else antecedents, ties)
            names.append(name)
            previous = neuron
    for index in range(len(outputs)):
        graph.nodes[f"y{index}"]["output"] = True
    return from_networkx(graph, dtype=object)


def _twisted(neuron: _Neuron, previous: _Neuron, max_fan_in: int) -> _Neuron:
    edges = neuron.edges
    if neuron.twist == "constant":
        return neuron._replace(edges=[])
    if neuron.twist == "wide":
        return neuron._replace(edges=[(back, edges[0][1]) for back in range(max_fan_in)])
    if neuron.twist == "twin":
        # One step further back, since the twin itself has been added to the list of neurons.
        return neuron._replace(edges=[(back + 1, value) for back, value in previous.edges], bias=previous.bias)
    if neuron.twist == "zero":
        dead = [(back, value._replace(weight=Fraction(0))) for back, value in edges]
        return neuron._replace(edges=dead, bias=None)
    if neuron.twist in ("equal", "cancel"):
        first, ratio = edges[0][1].weight, 1 if neuron.twist == "equal" else -1
        return neuron._replace(
            edges=[(back, value._replace(weight=first * ratio**i)) for i, (back, value) in enumerate(edges)]
        )
    return neuron


def _add(
    graph: nx.DiGraph, name: str, neuron: _Neuron, antecedents: list[str] | tuple[str, ...], ties: dict[str, Fraction]
) -> None:
    chosen: dict[str, _Value] = {}
    for back, value in neuron.edges:
        chosen.setdefault(antecedents[-1 - back % len(antecedents)], value)
    kind = "identity" if neuron.activation == "pool" and not chosen else neuron.activation
    rank = {"rank": 1 + neuron.rank % len(chosen)} if kind == "pool" else {}
    bias = neuron.bias.attributes("bias", ties) if neuron.bias else {}
    graph.add_node(name, activation=kind, **rank, **bias)
    for antecedent, value in chosen.items():
        graph.add_edge(antecedent, name, **value.attributes("", ties))


def mlps(
    *, max_layers: int = 3, max_width: int = 3, biases: bool = True
) -> SearchStrategy[Network]:
    """Exact multi-layer ReLU perceptrons, with repeated, opposite and zero weights.

    Parameters
    ----------
    max_layers, max_width : int
        Numbers of weight matrices and of neurons in a layer.
    biases : bool
        Whether every neuron has a bias, or none has.

    Returns
    -------
    SearchStrategy of Network

    Raises
    ------
    ParameterError
        If an option has a wrong value.

    Examples
    --------
    >>> from hypothesis import find
    >>> from pathgraph.testing import mlps
    >>> find(mlps(), lambda net: len(net.hidden) == 2).architecture.n_edges
    4
    """
    at_least(1, max_layers=max_layers, max_width=max_width)

    def build(widths: list[int], values: list[Fraction]) -> Network:
        drawn = cycle(values)
        weights = [[list(islice(drawn, a)) for _ in range(b)] for a, b in pairwise(widths)]
        shifts = [list(islice(drawn, b)) for b in widths[1:]] if biases else None
        return from_weights(weights, shifts)

    return st.builds(
        build,
        st.lists(st.integers(1, max_width), min_size=2, max_size=max_layers + 1),
        st.lists(dyadics(), min_size=1, max_size=2 * max_width**2),
    )
