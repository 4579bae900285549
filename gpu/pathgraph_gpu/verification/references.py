"""What the kernels have to compute, by plain loops over NumPy arrays in float64; nothing of the engine is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathgraph.graph.network import Network
    from pathgraph.scalars import Array

__all__ = ["evaluated", "powers", "roundings", "swept", "through"]

POOL, RELU, INPUT = 3, 2, 0


def _edges(net: Network, v: int) -> slice:
    start = net.dag.flat.start  # type: ignore[union-attr]
    return slice(int(start[v]), int(start[v + 1]))


def powers(numbers: Array, q: float | None) -> Array:
    """What a sweep does with the entries: abs(w)**q, abs(w) for infinity, w for None."""
    wide = np.asarray(numbers, dtype=np.float64)
    if q is None:
        return wide
    moduli = np.abs(wide)
    return moduli if q == np.inf else np.asarray(moduli**q)


def swept(net: Network, q: float | None, inputs: Array, *, biases: bool = True) -> Array:
    """The sums over the paths to every neuron: shape (n_nodes,)."""
    dag = net.dag.flat
    assert dag is not None
    w = powers(net.values, q)
    x = np.zeros(dag.n_nodes)
    x[net.dag.inputs - 1] = powers(inputs, q)
    for v in range(dag.n_nodes):
        edges = _edges(net, v)
        terms = w[edges] * x[dag.antecedent[edges]]
        bias = w[dag.bias[v]] if biases and dag.bias[v] >= 0 else 0.0
        if q == np.inf:
            x[v] = max(x[v], bias, terms.max(initial=0.0))
        else:
            x[v] += terms.sum() + bias
    return x


def through(net: Network, q: float | None, inputs: Array) -> Array:
    """The sums over the paths through every parameter, those through the places of a tied one added up."""
    dag = net.dag.flat
    assert dag is not None
    w, x, y = powers(net.values, q), swept(net, q, inputs), np.zeros(dag.n_nodes)
    y[net.dag.outputs - 1] = 1
    mass = np.zeros(len(w))
    for v in range(dag.n_nodes - 1, -1, -1):
        edges = _edges(net, v)
        below = dag.antecedent[edges]
        mass[edges] = w[edges] * x[below] * y[v]
        if dag.bias[v] >= 0:
            mass[dag.bias[v]] = w[dag.bias[v]] * y[v]
        np.add.at(y, below, w[edges] * y[v])
    out = np.zeros(net.architecture.n_parameters)
    free = net.architecture.parameter >= 0
    np.add.at(out, net.architecture.parameter[free], mass[free])
    return out


def evaluated(net: Network, rows: Array) -> Array:
    """The values of all neurons on some rows of inputs: shape (batch, n_nodes)."""
    dag = net.dag.flat
    assert dag is not None
    w, x = np.asarray(net.values, dtype=np.float64), np.zeros((len(rows), dag.n_nodes))
    x[:, net.dag.inputs - 1] = rows
    for v in range(dag.n_nodes):
        if dag.activation[v] == INPUT:
            continue
        edges = _edges(net, v)
        terms = x[:, dag.antecedent[edges]] * w[edges]
        total = np.sort(terms, axis=1)[:, -int(dag.rank[v])] if dag.activation[v] == POOL else terms.sum(axis=1)
        if dag.bias[v] >= 0:
            total = total + w[dag.bias[v]]
        x[:, v] = np.maximum(total, 0) if dag.activation[v] == RELU else total
    return x


def roundings(net: Network, per_power: int) -> int:
    """How often a product over a path is rounded on its way to the last level, at most.

    A level adds up as many terms as its largest fan-in, the bias and the start, and makes one product; a power of an
    entry is another `per_power`.
    """
    dag = net.dag.flat
    assert dag is not None
    fan_in = np.maximum.reduceat(np.diff(dag.start), dag.ends[:-1])
    return int((fan_in + 3 + per_power).sum()) + per_power
