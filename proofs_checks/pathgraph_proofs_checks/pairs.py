"""Pairs of networks of one architecture: how parameters are moved, and sums over the paths of both, one by one.

A *term* says what a path contributes to a bound, from its entries in both networks; the bounds of the theory and their
mutants are sums of terms. U1 to U4 are the bounds of the path-metric that `pathgraph.path_metric` describes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import prod
from typing import Any, TypeAlias

import networkx as nx
import numpy as np
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph.testing import dyadics
from pathgraph_proofs_checks.parts import MAX_PATHS, Input, entries_on
from pathgraph_proofs_checks.sizes import relu_dags
from pathgraph_proofs_checks.variants import sweep

__all__ = [
    "Bounds",
    "Factors",
    "Term",
    "any_signs",
    "at_pools_max",
    "diamonds",
    "flips",
    "join",
    "masses",
    "max_min",
    "meet",
    "metric",
    "moved",
    "powers",
    "pruning",
    "same_signs",
    "shrinking",
    "summed",
    "telescope",
    "untied",
    "valued",
    "without_signs",
]

Factors: TypeAlias = Sequence[Fraction]
"""By which the values are multiplied, repeated as long as needed."""

Entries: TypeAlias = Sequence[Fraction]
Term: TypeAlias = Callable[[Entries, Entries], Fraction]
Bounds: TypeAlias = Callable[[Network, Network, Input], Any]
"""One bound per output, from two networks and half-widths of a box of inputs."""

any_signs = st.lists(dyadics(), min_size=1, max_size=8)
same_signs = st.lists(dyadics().map(abs), min_size=1, max_size=8)
shrinking = st.lists(st.sampled_from([Fraction(k, 4) for k in (4, 2, 0, 3, 1)]), min_size=1, max_size=8)
pruning = st.lists(st.sampled_from([Fraction(1), Fraction(0)]), min_size=1, max_size=8)

untied = relu_dags(ties=False)
"""Networks whose values can be moved one by one."""


def moved(net: Network, factors: Factors) -> Network:
    """The network with every value multiplied by a factor; a zero becomes the factor itself, if one is beyond 1."""
    switched = max(map(abs, factors)) > 1
    values = net.values.tolist()
    times = [factors[i % len(factors)] for i in range(len(values))]
    return valued(net, [w * f if w or not switched else f for w, f in zip(values, times, strict=True)])


def valued(net: Network, values: Sequence[Fraction]) -> Network:
    """The network with other values; it stays exact if it has none."""
    return net.with_values(np.array(values, dtype=object))


def summed(net: Network, other: Network, term: Term, box: Input | None = None, *, biases: Any = 1) -> list[Fraction]:
    """For each output, the sum over the paths of the term times the half-width at the start, `biases` at a bias."""
    sums = dict.fromkeys(net.outputs, Fraction(0))
    widths = dict(zip(net.inputs, [1] * len(net.inputs) if box is None else box, strict=True))
    for path in pg.path_lifting(net, max_paths=MAX_PATHS).paths:
        places = entries_on(net, path)
        sums[path[-1]] += widths.get(path[0], biases) * term(net.values[places].tolist(), other.values[places].tolist())
    return list(sums.values())


def flips(a: Entries, b: Entries) -> int:
    """How many signs differ."""
    return sum(x * y < 0 for x, y in zip(a, b, strict=True))


def metric(a: Entries, b: Entries) -> Fraction:
    """The difference of the path products."""
    return abs(Fraction(prod(a) - prod(b)))


def powers(q: int) -> Term:
    """The q-th power of the difference of the path products."""
    return lambda a, b: metric(a, b) ** q


def without_signs(a: Entries, b: Entries) -> Fraction:
    """The difference, or the sum of the absolute values where signs flip."""
    return abs(Fraction(prod(a))) + abs(Fraction(prod(b))) if flips(a, b) else metric(a, b)


def meet(a: Entries, b: Entries) -> Fraction:
    """The term of U2: both absolute products, less twice the product of the smaller entries (0 where signs differ)."""
    smallest = prod(min(abs(x), abs(y)) if x * y > 0 else 0 for x, y in zip(a, b, strict=True))
    return abs(Fraction(prod(a))) + abs(Fraction(prod(b))) - 2 * smallest


def _extreme(choose: Callable[[Fraction, Fraction], Fraction], a: Entries, b: Entries) -> Fraction:
    """The product of the larger, or of the smaller, absolute values."""
    return Fraction(prod(choose(abs(x), abs(y)) for x, y in zip(a, b, strict=True)))


def max_min(a: Entries, b: Entries) -> Fraction:
    """The term of U1: the product of the larger absolute values less that of the smaller ones."""
    return _extreme(max, a, b) - _extreme(min, a, b)


def join(a: Entries, b: Entries) -> Fraction:
    """The term of U3: twice the product of the larger absolute values, less both absolute products."""
    return 2 * _extreme(max, a, b) - abs(Fraction(prod(a))) - abs(Fraction(prod(b)))


def telescope(a: Entries, b: Entries) -> Fraction:
    """The term of U4: what changes if the entries of the second network are put in place one after the other."""
    return Fraction(sum(abs(prod(b[:i]) * (a[i] - b[i]) * prod(a[i + 1 :])) for i in range(len(a))))


def at_pools_max(terms: Sequence[Any], rank: int) -> Any:
    """The largest of some numbers, or of each column of some tuples."""
    return max(terms)


def masses(net: Network, box: Input, **choices: Any) -> list[Fraction]:
    """For each output, the sum of the absolute path products, weighted by the half-widths of the box."""
    start = dict(zip(net.inputs, box, strict=True))
    values = sweep(net, lambda w, data: abs(w), start=start, **choices)
    return [values[v] for v in net.outputs]


def diamonds(stages: Sequence[tuple[Any, Any]], *, first: Any = 1) -> Network:
    """A chain of two-branch stages of identity neurons; both weights of the first stage are multiplied by `first`."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_node("x", activation="input")
    before = "x"
    for k, weights in enumerate(stages):
        graph.add_nodes_from([f"a{k}", f"b{k}", f"y{k}"], activation="identity")
        for branch, weight in zip("ab", weights, strict=True):
            graph.add_edge(before, f"{branch}{k}", weight=Fraction(weight) * (1 if k else first))
            graph.add_edge(f"{branch}{k}", f"y{k}", weight=Fraction(1))
        before = f"y{k}"
    return pg.from_networkx(graph, dtype=object)
