"""Jacobians by brute force: of the path-lifting by listing paths, of the outputs by dual numbers; ranks by FLINT.

Loops over a graph and over Fractions, independent of the library's sweeps and of its linear algebra.
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
Slope = dict[int, Any]
"""Derivatives by entry, without those that are known to vanish."""


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
    """The rank over the rationals, by FLINT."""
    import flint

    rows = [[flint.fmpq(value.numerator, value.denominator) for value in row] for row in matrix if any(row)]
    return int(flint.fmpq_mat(rows).rank()) if rows else 0


def output_jacobian(net: Network, x: Sequence[Any], *, is_on: Callable[[Fraction], bool] = lambda z: z > 0) -> Matrix:
    """One row per output, one column per parameter, by dual numbers: a value, and its derivative by every entry.

    A ReLU is on where `is_on` its pre-activation; a pool takes its first candidate of the right rank.
    """
    graph, architecture = net.graph, net.architecture
    dual: dict[Hashable, tuple[Fraction, Slope]] = {}
    for v in net.nodes:
        data = graph.nodes[v]
        if data["activation"] == "input":
            dual[v] = Fraction(x[net.inputs.index(v)]), {}
            continue
        terms: list[tuple[Fraction, Slope]] = []
        for u in architecture.antecedents(v):
            weight, (value, slope) = graph.edges[u, v]["weight"], dual[u]
            moved = {e: weight * s for e, s in slope.items()} if weight else {}
            terms.append((weight * value, moved | {architecture.edge_entry(u, v): value}))
        if data["activation"] == "pool":
            chosen = sorted((t[0] for t in terms), reverse=True)[data.get("rank", 1) - 1]
            terms = [next(t for t in terms if t[0] == chosen)]
        bias = architecture.bias_entry(v)
        if bias is not None:
            terms.append((data["bias"], {bias: Fraction(1)}))
        value, slope = sum((t[0] for t in terms), start=Fraction(0)), {}
        for _, moved in terms:
            for e, s in moved.items():
                slope[e] = slope.get(e, 0) + s
        dual[v] = (Fraction(0), {}) if data["activation"] == "relu" and not is_on(value) else (value, slope)
    owner = architecture.parameter.tolist()
    rows = []
    for v in net.outputs:
        row = [Fraction(0)] * len(net.theta)
        for entry, derivative in dual[v][1].items():
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
