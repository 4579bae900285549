"""A smaller network with the same function: without what no path uses, and without neurons that became linear.

The rules, applied until none fits. Inputs and outputs stay, in their order.

* A zero weight into an identity or ReLU neuron goes, and so does a zero bias. Into a pool it is a candidate 0, which
  counts: it stays, but what computed its antecedent goes; and of the zeros that a pool of rank k has more than k go.
* A hidden neuron that reaches no output along non-zero weights goes.
* A hidden neuron whose value is constant (it has no antecedents left, or is a ReLU that is never positive) is added to
  the biases behind it; in front of a pool it stays, as a constant.
* A ReLU that is never negative, by the signs of weights and antecedents, is an identity; so is a pool of one candidate.
* A hidden identity neuron is collapsed, each antecedent being connected to each successor, if this makes neither more
  edges nor parallel ones. In front of a pool this needs a single antecedent and no bias; elsewhere the bias is added
  to those behind.

References: collapsing, arXiv 2310.01225; the other rules are derived here.
"""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction
from typing import Any

import numpy as np

from pathgraph.graph.architecture import ROLES
from pathgraph.graph.conversion import (
    ACTIVATION,
    BIAS,
    BIAS_NAME,
    BIAS_ROLE,
    NAME,
    OUTPUT,
    RANK,
    ROLE,
    WEIGHT,
    from_networkx,
    to_networkx,
)
from pathgraph.graph.network import Network, require_numbers
from pathgraph.scalars import to_fraction

__all__ = ["minimize"]


def minimize(net: Network) -> Network:
    """A smaller network with the same function.

    Parameters
    ----------
    net : Network

    Returns
    -------
    Network
        With the same inputs and outputs, of the same scalars. Over the rationals it is equal as a function; in floats
        up to one rounding for each value that was put together, and the round-off of the evaluation.

    Raises
    ------
    UnsupportedOperatorError
        On a symbolic network.

    Notes
    -----
    What is removed or put together: zero weights, neurons that reach no output, constants, ReLUs whose sign is known,
    and identity neurons where this makes no more edges. It is no search for the smallest network. Values that are put
    together lose the name of a tied parameter, and are parameters if one of them was. In floats, values whose product
    or sum would leave the normal range are not put together. Path products do not change when a neuron without bias is
    collapsed; constants and biases that are added to others change them, and may lower the path-norm.

    It works on a graph of networkx, whatever its size: some 430 bytes and 10 to 15 microseconds an edge (measured on
    random graphs of 0.3 to 2.2 million edges).

    References
    ----------
    Collapsing: arXiv 2310.01225. The other rules are derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, 2], [0, 0]], [[3, 4], [0, 5]], [[1, 1]]], [[1, 2], None, None], dtype=object)
    >>> small = pg.minimize(net)
    >>> small
    Network(4 neurons: 2 inputs, 1 hidden, 1 output; 3 edges, 2 biases; 5 parameters; exact)
    >>> small([1, -2]) == net([1, -2]), small.bias((3, 0))
    (array([ True]), Fraction(18, 1))
    """
    require_numbers(net, "minimize")
    reducer = _Reducer(net)
    while reducer.changed:
        reducer.changed = False
        reducer.simplify()
        reducer.drop_dead_ends()
        reducer.collapse()
    return from_networkx(reducer.graph, dtype=net.dtype)


class _Reducer:
    """The graph on its way to a smaller one. Values that are put together are Fractions until the end."""

    def __init__(self, net: Network) -> None:
        self.graph = to_networkx(net, max_edges=net.architecture.n_edges)
        self.changed = True
        inputs = set(net.inputs)
        self._order = [v for v in net.nodes if v not in inputs]
        self._outputs = set(net.outputs)
        self._range = None if net.is_exact else np.finfo(net.dtype)
        for v in net.outputs:
            self.graph.nodes[v][OUTPUT] = True

    def _present(self) -> list[Hashable]:
        """The neurons that are no inputs, in topological order."""
        self._order = [v for v in self._order if v in self.graph]
        return self._order

    # -- forward: zeros, constants, signs -------------------------------------------------------------------------

    def simplify(self) -> None:
        """Drop zeros, fold constants, and turn ReLUs and pools into identities where they are."""
        at_least_0: set[Hashable] = set()
        at_most_0: set[Hashable] = set()
        for v in self._present():
            data = self.graph.nodes[v]
            self._drop_zeros(v)
            terms = [(u, w) for u, _, w in self.graph.in_edges(v, data=WEIGHT)]
            bias = data.get(BIAS, 0)
            is_up = bias >= 0 and all(_is_up(u, w, at_least_0, at_most_0) for u, w in terms)
            is_down = bias <= 0 and all(_is_up(u, -w, at_least_0, at_most_0) for u, w in terms)
            if data[ACTIVATION] == "relu" and is_down:
                self._become(v, "identity")
                self._set_constant(v, 0, "parameter")
                is_up = True
            elif data[ACTIVATION] == "relu":
                if is_up:
                    self._become(v, "identity")
                is_up, is_down = True, False
            elif data[ACTIVATION] == "pool" and len(terms) == 1:
                self._become(v, "identity")
            if is_up:
                at_least_0.add(v)
            if is_down:
                at_most_0.add(v)
            self._fold_if_constant(v)

    def _drop_zeros(self, v: Hashable) -> None:
        data = self.graph.nodes[v]
        if data.get(BIAS) == 0:
            self._set_bias(v, 0, "parameter")
        zeros = [u for u, _, w in self.graph.in_edges(v, data=WEIGHT) if w == 0]
        if data[ACTIVATION] == "pool":
            rank, degree = data.get(RANK, 1), self.graph.in_degree(v)
            from_below = degree - rank + 1
            if len(zeros) > rank:
                zeros = zeros[rank:]
            elif len(zeros) > from_below:
                zeros = zeros[from_below:]
                data[RANK] = rank - len(zeros)
            else:
                zeros = []
        for u in zeros:
            self.graph.remove_edge(u, v)
            self.changed = True

    def _fold_if_constant(self, v: Hashable) -> None:
        data = self.graph.nodes[v]
        if data[ACTIVATION] == "pool":
            found = [self._constant(u, w) for u, _, w in self.graph.in_edges(v, data=WEIGHT)]
            candidates = [value for value in found if value is not None]
            if len(candidates) < len(found):
                return
            value = sorted(candidates, reverse=True)[data.get(RANK, 1) - 1] + to_fraction(data.get(BIAS, 0))
        elif not self.graph.in_degree(v):
            value = to_fraction(data.get(BIAS, 0))
            value = max(value, Fraction(0)) if data[ACTIVATION] == "relu" else value
        else:
            return
        if not self._fits(value):
            return
        if self.graph.in_degree(v) or value != data.get(BIAS, 0):
            self._set_constant(v, value, "parameter")
        if data[ACTIVATION] != "identity":
            self._become(v, "identity")
        for s in list(self.graph.successors(v)):
            self._pass_on(v, s, value)

    def _constant(self, u: Hashable, weight: Any) -> Fraction | None:
        """The candidate of an edge, if it is constant: of weight 0, or from a neuron that is one."""
        data = self.graph.nodes[u]
        if weight == 0:
            return Fraction(0)
        if data[ACTIVATION] != "identity" or self.graph.in_degree(u):
            return None
        return to_fraction(weight) * to_fraction(data.get(BIAS, 0))

    def _pass_on(self, v: Hashable, s: Hashable, value: Fraction) -> None:
        """Add a constant to the bias of a successor; a pool keeps it as a candidate."""
        edge, data = self.graph.edges[v, s], self.graph.nodes[s]
        if data[ACTIVATION] == "pool":
            if value == 0 and edge[WEIGHT] != 0:
                edge[WEIGHT] = Fraction(0)
                edge.pop(NAME, None)
                self.changed = True
            return
        part = to_fraction(edge[WEIGHT]) * value
        if part and not self._add_to_bias(s, part, edge.get(ROLE), self.graph.nodes[v].get(BIAS_ROLE)):
            return
        self.graph.remove_edge(v, s)
        self.changed = True

    # -- backward: what reaches no output -------------------------------------------------------------------------

    def drop_dead_ends(self) -> None:
        """Remove the neurons that no non-zero way leads to an output from; a pool's zeros become constants."""
        live = set(self._outputs)
        for v in reversed(self._present()):
            if v in live:
                live.update(u for u, _, w in self.graph.in_edges(v, data=WEIGHT) if w != 0)
        for v in reversed(self._present()):
            if v in live:
                continue
            if live.isdisjoint(self.graph.successors(v)):
                self.graph.remove_node(v)
                self.changed = True
            elif self.graph.in_degree(v) or BIAS in self.graph.nodes[v]:
                self._become(v, "identity")
                self._set_constant(v, 0, "parameter")

    # -- identities -----------------------------------------------------------------------------------------------

    def collapse(self) -> None:
        """Connect around the identity neurons that may go."""
        for v in self._present():
            if v not in self._outputs and self.graph.nodes[v][ACTIVATION] == "identity" and self._may_collapse(v):
                self._collapse(v)

    def _may_collapse(self, v: Hashable) -> bool:
        graph, bias = self.graph, self.graph.nodes[v].get(BIAS, 0)
        before, behind = list(graph.predecessors(v)), list(graph.successors(v))
        if not before or len(before) * len(behind) > len(before) + len(behind):
            return False
        if any(graph.has_edge(u, s) for u in before for s in behind):
            return False
        if any(graph.nodes[s][ACTIVATION] == "pool" for s in behind) and (len(before) > 1 or bias):
            return False
        weights = [to_fraction(graph.edges[v, s][WEIGHT]) for s in behind]
        into = [to_fraction(graph.edges[u, v][WEIGHT]) for u in before]
        fits = all(self._fits(a * w) for a in into for w in weights)
        if bias:
            shifts = [to_fraction(graph.nodes[s].get(BIAS, 0)) for s in behind]
            sums = (w * to_fraction(bias) + b for w, b in zip(weights, shifts, strict=True))
            fits = fits and all(map(self._fits, sums))
        return fits

    def _collapse(self, v: Hashable) -> None:
        graph, data = self.graph, self.graph.nodes[v]
        for s in graph.successors(v):
            out = graph.edges[v, s]
            weight = to_fraction(out[WEIGHT])
            for u in graph.predecessors(v):
                into = graph.edges[u, v]
                role = _freest(into.get(ROLE), out.get(ROLE))
                graph.add_edge(u, s, **{WEIGHT: to_fraction(into[WEIGHT]) * weight, ROLE: role})
            if BIAS in data:
                self._add_to_bias(s, to_fraction(data[BIAS]) * weight, out.get(ROLE), data.get(BIAS_ROLE))
        graph.remove_node(v)
        self.changed = True

    # -- changes of one neuron ------------------------------------------------------------------------------------

    def _become(self, v: Hashable, activation: str) -> None:
        self.graph.nodes[v][ACTIVATION] = activation
        self.graph.nodes[v].pop(RANK, None)
        self.changed = True

    def _set_constant(self, v: Hashable, value: Any, role: str) -> None:
        self.graph.remove_edges_from(list(self.graph.in_edges(v)))
        self._set_bias(v, value, role)

    def _set_bias(self, v: Hashable, value: Any, role: str) -> None:
        data = self.graph.nodes[v]
        for name in (BIAS, BIAS_ROLE, BIAS_NAME):
            data.pop(name, None)
        if value:
            data.update({BIAS: value, BIAS_ROLE: role})
        self.changed = True

    def _add_to_bias(self, v: Hashable, part: Fraction, *roles: str | None) -> bool:
        """Whether it could be added: not if a float had to leave its range."""
        data = self.graph.nodes[v]
        value = to_fraction(data.get(BIAS, 0)) + part
        if not self._fits(value):
            return False
        own = [data.get(BIAS_ROLE)] if BIAS in data else []
        self._set_bias(v, value, _freest(*own, *roles))
        return True

    def _fits(self, value: Fraction) -> bool:
        """Whether the value has a float of full precision; rationals always fit."""
        if self._range is None or value == 0:
            return True
        return to_fraction(self._range.tiny) <= abs(value) <= to_fraction(self._range.max)


def _is_up(u: Hashable, weight: Any, at_least_0: set[Hashable], at_most_0: set[Hashable]) -> bool:
    """Whether weight * u >= 0 always."""
    return bool(weight == 0 or (weight > 0 and u in at_least_0) or (weight < 0 and u in at_most_0))


def _freest(*roles: str | None) -> str:
    """The role of values that were put together: the one that leaves most freedom."""
    return ROLES[min(ROLES.index(role or ROLES[0]) for role in roles)]
