r"""Potentials: which rescalings leave the fixed values of a network unchanged, and what they do to its parameters.

Taken logarithmically, a rescaling is a **potential** on the neurons, zero on inputs, outputs and the constant 1 behind
the biases; the logarithm of an entry changes by the difference of the potentials of its two ends. A fixed entry (frozen
or structural) allows no difference, and the places of a tied parameter must have equal differences. The integer
potentials with these properties generate the group that acts on the *parameters*: the tangent space of an orbit, the
kernel of the Jacobian of the path-lifting, and the conservation laws of gradient flow are all made of them.

Only entries on paths take part: others change nothing. Derived here.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from pathgraph.geometry.exactmatrix import null_space
from pathgraph.graph.architecture import PARAMETER, STRUCTURAL, Architecture
from pathgraph.graph.network import Network
from pathgraph.scalars import Array

__all__ = [
    "Potentials",
    "Reach",
    "ends",
    "generic_potentials",
    "potentials",
    "product",
    "reach",
    "rescaling_directions",
]


@dataclass(frozen=True, eq=False)
class Reach:
    """Which entries lie on paths, when only some entries are present.

    Attributes
    ----------
    on_path : ndarray of bool, shape (n_entries,)
        Whether a path of present entries goes through the entry.
    spanned : ndarray of bool, shape (n_entries,)
        Whether one does when the entry itself is present, too.
    on_neuron : ndarray of bool, shape (n_nodes + 1,)
        Whether one goes through the neuron v, at place v + 1; true for the constant, at place 0.
    """

    on_path: Array
    spanned: Array
    on_neuron: Array


@dataclass(frozen=True, eq=False)
class Potentials:
    """A basis of the potentials of a network.

    Attributes
    ----------
    architecture : Architecture
    on_neurons : csr_array of int, shape (n_potentials, n_nodes)
        The potentials; if nothing is fixed or tied, one unit vector per hidden neuron on a path, in canonical order.
    on_parameters : csr_array of int, shape (n_potentials, n_parameters)
        Their differences: the exponents with which each direction multiplies the parameters.
    acts_on : ndarray of bool, shape (n_parameters,)
        The parameters with a place among the entries that the potentials were made for.
    """

    architecture: Architecture
    on_neurons: csr_array
    on_parameters: csr_array
    acts_on: Array

    def __len__(self) -> int:
        return int(self.on_neurons.shape[0])

    @cached_property
    def directions(self) -> tuple[dict[Hashable, int], ...]:
        """The potentials as mappings from neurons to integers."""
        nodes, matrix = self.architecture.nodes, self.on_neurons
        parts = (slice(lo, hi) for lo, hi in pairwise(matrix.indptr.tolist()))
        return tuple(
            {nodes[v]: k for v, k in zip(matrix.indices[part].tolist(), matrix.data[part].tolist(), strict=True)}
            for part in parts
        )


def ends(architecture: Architecture) -> tuple[Array, Array]:
    """Source and target of each entry, each of shape (n_entries,): neuron v is v + 1, the constant is 0."""
    constants = np.zeros(len(architecture.biased), dtype=np.int64)
    return np.concatenate([architecture.antecedent + 1, constants]), architecture.target + 1


def reach(architecture: Architecture, present: Array) -> Reach:
    """Find what lies on paths of present entries: two breadth-first searches, linear in the size of the network.

    Parameters
    ----------
    architecture : Architecture
    present : ndarray of bool, shape (n_entries,)
    """
    tail, head = ends(architecture)
    extra = architecture.n_nodes + 1  # stands behind the outputs
    inputs, outputs = architecture.input + 1, architecture.output + 1
    starts, stops = np.zeros_like(inputs), np.full_like(outputs, extra)
    forward = _reached(extra + 1, 0, [starts, tail[present]], [inputs, head[present]])
    backward = _reached(extra + 1, extra, [stops, head[present]], [outputs, tail[present]])
    spanned = forward[tail] & backward[head]
    on_neuron = (forward & backward)[:extra]
    on_neuron[0] = True
    return Reach(present & spanned, spanned, on_neuron)


def _reached(size: int, start: int, source: list[Array], target: list[Array]) -> Array:
    from scipy.sparse.csgraph import breadth_first_order  # slow to import

    rows, columns = np.concatenate(source), np.concatenate(target)
    graph = csr_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(size, size))
    out = np.zeros(size, dtype=bool)
    out[breadth_first_order(graph, start, return_predecessors=False)] = True
    return out


def generic_potentials(net: Network | Architecture) -> Potentials:
    """The potentials for generic parameters: of the values only the zeros among the fixed ones matter.

    An architecture stands for a network none of whose fixed values is zero.
    """
    if isinstance(net, Architecture):
        return potentials(net, reach(net, np.ones(net.n_entries, dtype=bool)).on_path)
    present = (net.architecture.role == PARAMETER) | (net.values != 0).astype(bool)
    return potentials(net.architecture, reach(net.architecture, present).on_path)


def rescaling_directions(net: Network) -> list[dict[int, int]]:
    """A basis of the exponents of the group in which `rescale` draws: mappings from neuron numbers to integers.

    Here structural values alone are held, frozen ones are rescaled, and neurons on no path take part, too.
    """
    architecture = net.architecture
    present = (net.values != 0).astype(bool)
    unknown = _unknowns(architecture, present & (architecture.role == STRUCTURAL), slice(None))
    members: list[list[int]] = [[] for _ in range(int(unknown.max()) + 1)]
    for v, k in enumerate(unknown[1:].tolist()):
        if k >= 0:
            members[k].append(v)
    basis = _solutions(architecture, present, unknown)
    return [{v: multiple for k, multiple in vector.items() for v in members[k]} for vector in basis]


def potentials(architecture: Architecture, taking_part: Array) -> Potentials:
    """The potentials on the neurons at the ends of some entries, with differences that suit these entries.

    Parameters
    ----------
    architecture : Architecture
    taking_part : ndarray of bool, shape (n_entries,)

    Notes
    -----
    Linear in the size of the network if nothing is tied; otherwise exact Gaussian elimination, on the unknowns that
    tied parameters meet.
    """
    n_nodes = architecture.n_nodes
    tail, head = ends(architecture)
    unknown = _unknowns(architecture, taking_part & (architecture.role != PARAMETER), taking_part)
    n_unknowns = int(unknown.max()) + 1
    basis = _solutions(architecture, taking_part, unknown)
    neurons = np.flatnonzero(unknown[1:] >= 0)
    on_neurons = _selection(unknown[1:][neurons], neurons, (n_unknowns, n_nodes))
    places = np.flatnonzero(taking_part & (architecture.role == PARAMETER))
    owners, first = np.unique(architecture.parameter[places], return_index=True)
    one = places[first]  # any place of a tied parameter will do
    ahead, behind = unknown[head[one]], unknown[tail[one]]
    signs = np.concatenate([(ahead >= 0).astype(np.int64), -(behind >= 0).astype(np.int64)])
    rows, columns = np.maximum(np.concatenate([ahead, behind]), 0), np.concatenate([owners, owners])
    acting = signs != 0
    on_parameters = csr_array(
        (signs[acting], (rows[acting], columns[acting])), shape=(n_unknowns, architecture.n_parameters)
    )
    if architecture.is_tied:
        combination = _sparse(
            [(i, j, k) for i, vector in enumerate(basis) for j, k in vector.items()], len(basis), n_unknowns
        )
        on_neurons, on_parameters = csr_array(combination @ on_neurons), csr_array(combination @ on_parameters)
    on_parameters.eliminate_zeros()
    acts_on = np.zeros(architecture.n_parameters, dtype=bool)
    acts_on[owners] = True
    return Potentials(architecture, on_neurons, on_parameters, acts_on)


def _solutions(architecture: Architecture, taking_part: Array, unknown: Array) -> list[dict[int, int]]:
    """A basis of the values of the unknowns with equal differences at the places of each tied parameter."""
    if not architecture.is_tied:
        return [{k: 1} for k in range(int(unknown.max()) + 1)]
    tail, head = ends(architecture)
    equations = _equations(architecture, taking_part, unknown[tail], unknown[head])
    return null_space(equations, range(int(unknown.max()) + 1))


def _unknowns(architecture: Architecture, held: Array, at: Array | slice) -> Array:
    """For the constant and each neuron the number of its unknown, or -1: shape (n_nodes + 1,).

    Neurons between which an entry is held share one; those held to the inputs, outputs or the constant have none.
    """
    from scipy.sparse.csgraph import connected_components  # slow to import

    size = architecture.n_nodes + 1
    tail, head = ends(architecture)
    outer = np.concatenate([architecture.input, architecture.output]) + 1
    if held.any():
        graph = _selection(
            np.concatenate([np.zeros_like(outer), tail[held]]), np.concatenate([outer, head[held]]), (size,) * 2
        )
        group = connected_components(graph, directed=False)[1]
    else:
        group = np.arange(size)
        group[outer] = 0
    touched = np.full(size, isinstance(at, slice))
    touched[tail[at]] = touched[head[at]] = True
    out = np.full(size, -1)
    free = np.flatnonzero(touched & (group != group[0]))
    _, first, inverse = np.unique(group[free], return_index=True, return_inverse=True)
    out[free] = np.argsort(np.argsort(first))[inverse]  # numbered in the order of their first neurons
    return out


def _equations(architecture: Architecture, taking_part: Array, tail: Array, head: Array) -> list[dict[int, Fraction]]:
    """For each further place of a tied parameter, the combination of unknowns that must vanish."""
    equations: list[dict[int, Fraction]] = []
    first: dict[int, int] = {}
    for entry in np.flatnonzero(taking_part & (architecture.role == PARAMETER)).tolist():
        other = first.setdefault(int(architecture.parameter[entry]), entry)
        equation: dict[int, Fraction] = {}
        for unknown, sign in ((head[entry], 1), (tail[entry], -1), (head[other], -1), (tail[other], 1)):
            if unknown >= 0:
                equation[int(unknown)] = equation.get(int(unknown), Fraction(0)) + sign
        equations.append({unknown: k for unknown, k in equation.items() if k})
    return equations


def _selection(rows: Array, columns: Array, shape: tuple[int, ...]) -> csr_array:
    return csr_array((np.ones(len(rows), dtype=np.int64), (rows, columns)), shape=shape)


def _sparse(entries: list[tuple[int, int, int]], height: int, width: int) -> csr_array:
    rows, columns, values = np.array(entries, dtype=np.int64).reshape(-1, 3).T
    return csr_array((values, (rows, columns)), shape=(height, width))


def product(matrix: csr_array, vector: Array) -> Array:
    """The product of an integer matrix with a vector of a network's scalars, exact if these are."""
    if vector.dtype != object:
        return np.asarray(matrix @ vector)
    out = np.empty(matrix.shape[0], dtype=object)
    for i in range(matrix.shape[0]):
        part = slice(matrix.indptr[i], matrix.indptr[i + 1])
        terms: list[Any] = (matrix.data[part].astype(object) * vector[matrix.indices[part]]).tolist()
        out[i] = sum(terms, start=Fraction(0))
    return out
