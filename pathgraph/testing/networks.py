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

from pathgraph.graph.conversion import from_networkx
from pathgraph.graph.network import Network
from pathgraph.graph.weights import from_weights
from pathgraph.testing.values import at_least, dyadics, subset

__all__ = ["mlps", "relu_dags"]

ACTIVATIONS = ("identity", "relu", "pool")
ROLES = ("parameter", "frozen", "structural")
TWISTS = ("plain", "equal", "wide", "constant", "cancel", "zero", "twin", "wide")
"""What is done on purpose to a neuron: nothing; its weights made equal; the same, from the first neurons, as many as
it may have antecedents; its edges removed; its weights made opposite in turn; zero weights from the first neurons, and
no bias; weights and bias of the neuron before, which then has the same pre-activation."""


class _Neuron(NamedTuple):
    kind: tuple[str, int]  # activation; rank, modulo the number of candidates: 0 is the largest, -1 the smallest
    twist: str
    bias: Fraction | None
    edges: list[tuple[int, Fraction]]  # distance back to the antecedent, weight


class _Mark(NamedTuple):
    place: int  # of a weight or bias, modulo their number
    other: int
    what: str  # a role, or "tied": to the value at the other place


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
    >>> net = find(relu_dags(), lambda net: pg.depth(net) == 2)
    >>> net.is_exact, net.inputs[0], net.outputs[0]
    (True, 'x0', 'y0')
    """
    max_inputs, max_outputs, max_fan_in = at_least(
        1, max_inputs=max_inputs, max_outputs=max_outputs, max_fan_in=max_fan_in
    )
    (max_hidden,) = at_least(0, max_hidden=max_hidden)
    subset(ACTIVATIONS, activations=activations)
    subset(ROLES, roles=roles)
    kinds = [("identity", 0), ("relu", 0), ("pool", 0), ("pool", 1), ("relu", 0), ("pool", -1), ("pool", 2)]
    chosen = [kind for kind in kinds if kind[0] in {"identity", *activations}]
    back = st.integers(0, max_inputs + max_hidden - 1)
    edges = st.lists(st.tuples(back, dyadics()), min_size=1, max_size=max_fan_in)

    def neurons(kinds: list[tuple[str, int]]) -> SearchStrategy[_Neuron]:
        shifts = st.none() | dyadics() if biases else st.none()
        return st.builds(_Neuron, st.sampled_from(kinds), st.sampled_from(TWISTS), shifts, edges)

    whats = [*(role for role in ROLES[1:] if role in roles), *["tied"] * ties]
    place = st.integers(0, (max_hidden + max_outputs) * max_fan_in)
    marks = st.lists(st.builds(_Mark, place, place, st.sampled_from(whats)), max_size=3) if whats else st.just([])
    return st.builds(
        _decode,
        st.sampled_from([*range(1, max_inputs + 1), max_inputs]),
        st.lists(neurons(chosen), max_size=max_hidden),
        st.lists(neurons(kinds[:1]), min_size=1, max_size=max_outputs),
        marks,
        st.just(max_fan_in),
    )


def _decode(
    n_inputs: int, hidden: list[_Neuron], outputs: list[_Neuron], marks: list[_Mark], max_fan_in: int
) -> Network:
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from((f"x{i}" for i in range(n_inputs)), activation="input")
    previous = (hidden or outputs)[0]
    for prefix, neurons in (("h", hidden), ("y", outputs)):
        antecedents = list(graph)
        for index, drawn in enumerate(neurons):
            previous = _twisted(drawn, previous, max_fan_in)
            _add(graph, f"{prefix}{index}", previous, list(graph) if prefix == "h" else antecedents)
    for index in range(len(outputs)):
        graph.nodes[f"y{index}"]["output"] = True
    _mark(graph, marks)
    return from_networkx(graph, dtype=object)


def _twisted(neuron: _Neuron, previous: _Neuron, max_fan_in: int) -> _Neuron:
    backs, weights = zip(*neuron.edges, strict=True)
    first = [-1 - i for i in range(max_fan_in)]  # counted back from the last neuron, around to the first
    match neuron.twist:
        case "constant":
            return neuron._replace(edges=[])
        case "zero":
            return neuron._replace(edges=[(back, Fraction(0)) for back in first], bias=None)
        case "equal":
            return neuron._replace(edges=[(back, weights[0]) for back in backs])
        case "wide":
            return neuron._replace(edges=[(back, weights[0]) for back in first])
        case "cancel":
            return neuron._replace(edges=[(back, weights[0] * (-1) ** i) for i, back in enumerate(backs)])
        case "twin":  # one step further back, since its twin has joined the neurons
            edges = [(back + (back >= 0), weight) for back, weight in previous.edges]
            return neuron._replace(edges=edges, bias=previous.bias)
    return neuron


def _add(graph: nx.DiGraph[str], name: str, neuron: _Neuron, antecedents: list[str]) -> None:
    edges: dict[str, Fraction] = {}
    for back, weight in neuron.edges:
        edges.setdefault(antecedents[-1 - back % len(antecedents)], weight)
    activation, rank = neuron.kind if edges else ("identity", 0)
    graph.add_node(name, activation=activation)
    if activation == "pool":
        graph.nodes[name]["rank"] = 1 + rank % len(edges)
    if neuron.bias is not None:
        graph.nodes[name]["bias"] = neuron.bias
    graph.add_edges_from((antecedent, name, {"weight": weight}) for antecedent, weight in edges.items())


def _mark(graph: nx.DiGraph[str], marks: list[_Mark]) -> None:
    """Give roles to values, and tie others; a value has either a role or a tie."""
    values = [(data, "weight", "role", "parameter") for _, _, data in graph.edges(data=True)]
    values += [(data, "bias", "bias_role", "bias_parameter") for _, data in graph.nodes(data=True) if "bias" in data]
    for number, mark in enumerate(marks if values else []):
        data, value, role, name = values[mark.place % len(values)]
        other, other_value, other_role, other_name = values[mark.other % len(values)]
        if mark.what != "tied" and name not in data:
            data[role] = mark.what
        elif mark.what == "tied" and not {role, other_role, other_name} & {*data, *other}:
            data.setdefault(name, f"t{number}")
            other.update({other_value: data[value], other_name: data[name]})


def mlps(*, max_layers: int = 3, max_width: int = 3, biases: bool = True) -> SearchStrategy[Network]:
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
    >>> find(mlps(), lambda net: len(net.hidden) == 1).architecture
    Architecture(3 neurons: 1 input, 1 hidden, 1 output; 2 edges, 2 biases; 4 parameters)
    """
    max_layers, max_width = at_least(1, max_layers=max_layers, max_width=max_width)

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
