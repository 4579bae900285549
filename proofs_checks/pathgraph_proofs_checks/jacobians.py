"""Jacobians by brute force: of the path-lifting by listing paths, of the outputs by dual numbers; ranks by elimination.

Loops over a graph and over lists of Fractions, independent of the library's sweeps and of its linear algebra.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction
from math import prod
from typing import Any

import pathgraph as pg
from pathgraph import Network
from pathgraph_proofs_checks.parts import MAX_PATHS, entries_on

__all__ = ["hidden_on_paths", "lifting_jacobian", "output_jacobian", "parameters_on_paths", "rank", "without_zeros"]

Matrix = list[list[Fraction]]


def lifting_jacobian(net: Network) -> Matrix:
    """One row per path, one column per parameter: products without each place of the parameter in turn, summed."""
    owner = net.architecture.parameter.tolist()
    rows = []
    for path in pg.path_lifting(net, max_paths=MAX_PATHS).paths:
        entries = entries_on(net, path)
        row = [Fraction(0)] * len(net.theta)
        for k, entry in enumerate(entries):
            if owner[entry] >= 0:
                row[owner[entry]] += prod((net.values[e] for e in entries[:k] + entries[k + 1 :]), start=Fraction(1))
        rows.append(row)
    return rows


def rank(matrix: Sequence[Sequence[Fraction]]) -> int:
    """The rank over the rationals, by Gaussian elimination."""
    rows = [list(row) for row in matrix if any(row)]
    found = 0
    while rows:
        pivot = rows.pop()
        column = next(j for j, value in enumerate(pivot) if value)
        found += 1
        for row in rows:
            if factor := row[column] / pivot[column]:
                row[:] = [a - factor * b for a, b in zip(row, pivot, strict=True)]
        rows = [row for row in rows if any(row)]
    return found


def output_jacobian(net: Network, x: Sequence[Any], *, is_on: Callable[[Fraction], bool] = lambda z: z > 0) -> Matrix:
    """One row per output, one column per parameter, by dual numbers: a value, and its derivative by every entry.

    A ReLU is on where `is_on` its pre-activation; a pool takes its first candidate of the right rank.
    """
    graph, architecture = net.graph, net.architecture
    size = architecture.n_entries
    dual: dict[Hashable, tuple[Fraction, list[Fraction]]] = {}
    for v in net.nodes:
        data = graph.nodes[v]
        if data["activation"] == "input":
            dual[v] = Fraction(x[net.inputs.index(v)]), [Fraction(0)] * size
            continue
        terms = []
        for u in architecture.antecedents(v):
            weight, (value, slope) = graph.edges[u, v]["weight"], dual[u]
            moved = [weight * s for s in slope]
            moved[architecture.edge_entry(u, v)] += value
            terms.append((weight * value, moved))
        if data["activation"] == "pool":
            chosen = sorted((t[0] for t in terms), reverse=True)[data.get("rank", 1) - 1]
            terms = [next(t for t in terms if t[0] == chosen)]
        bias = architecture.bias_entry(v)
        if bias is not None:
            terms.append((data["bias"], [Fraction(e == bias) for e in range(size)]))
        value = sum((t[0] for t in terms), start=Fraction(0))
        slope = [sum((t[1][e] for t in terms), start=Fraction(0)) for e in range(size)]
        if data["activation"] == "relu" and not is_on(value):
            value, slope = Fraction(0), [Fraction(0)] * size
        dual[v] = value, slope
    owner = architecture.parameter.tolist()
    rows = []
    for v in net.outputs:
        row = [Fraction(0)] * len(net.theta)
        for entry, derivative in enumerate(dual[v][1]):
            if owner[entry] >= 0:
                row[owner[entry]] += derivative
        rows.append(row)
    return rows


def without_zeros(net: Network) -> Network:
    """The same network, its zero parameters being 1 instead."""
    return net.with_theta([value or Fraction(1) for value in net.theta])


def parameters_on_paths(net: Network) -> set[int]:
    """Indices of the parameters on a path whose fixed values are not zero."""
    owner = net.architecture.parameter.tolist()
    return {owner[e] for path in _open_paths(net) for e in entries_on(net, path) if owner[e] >= 0}


def hidden_on_paths(net: Network) -> set[Hashable]:
    """The hidden neurons on a path whose fixed values are not zero."""
    return {v for path in _open_paths(net) for v in path} & set(net.hidden)


def _open_paths(net: Network) -> list[tuple[Hashable, ...]]:
    lifting = pg.path_lifting(without_zeros(net), max_paths=MAX_PATHS)
    return [path for path, value in zip(lifting.paths, lifting.values, strict=True) if value]
