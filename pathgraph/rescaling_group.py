r"""Which rescalings act on a network: the group of factors that its fixed and tied entries allow.

With :math:`\lambda_v = 2^{z_v}` the conditions on the factors are linear in the exponents z: equal at both ends of a
non-zero structural edge, zero at inputs, outputs and non-zero structural biases, and for the places of a tied
parameter equal differences. Over the rationals the directions found here, exactly, are a basis of the solutions; they
have integer entries, so that powers of two rescale without rounding.

Derived here.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from pathgraph.graph.architecture import STRUCTURAL
from pathgraph.graph.network import Network
from pathgraph.scalars import Array

__all__ = ["directions", "tied_entries"]


def directions(net: Network) -> list[dict[int, int]]:
    """A basis of the exponents of the rescaling group: each direction maps neurons to integers."""
    component = _components(net)
    members: dict[int, list[int]] = {}
    for v, root in enumerate(component.tolist()):
        if root >= 0:
            members.setdefault(root, []).append(v)
    solved = _solve(_tie_equations(net, component))
    out = []
    for root in members:
        if root in solved:
            continue
        multiples = {root: Fraction(1)} | {p: terms[root] for p, terms in solved.items() if root in terms}
        scale = math.lcm(*(multiple.denominator for multiple in multiples.values()))
        out.append({v: int(multiple * scale) for p, multiple in multiples.items() for v in members[p]})
    return out


def _components(net: Network) -> Array:
    """For each neuron a representative of those that must have the same factor; -1 where the factor must be 1."""
    architecture = net.architecture
    ground = architecture.n_nodes
    parent = list(range(ground + 1))

    def find(v: int) -> int:
        while parent[v] != v:
            parent[v] = parent[parent[v]]
            v = parent[v]
        return v

    for v in [*architecture.input.tolist(), *architecture.output.tolist()]:
        parent[find(v)] = find(ground)
    for entry in np.flatnonzero((architecture.role == STRUCTURAL) & (net.values != 0)).tolist():
        source = architecture.antecedent[entry] if entry < architecture.n_edges else ground
        parent[find(int(source))] = find(int(architecture.target[entry]))
    fixed = find(ground)
    return np.array([-1 if find(v) == fixed else find(v) for v in range(ground)])


def _tie_equations(net: Network, component: Array) -> list[dict[int, Fraction]]:
    """For each further place of a tied parameter: the combination of exponents that must vanish."""
    architecture = net.architecture
    equations: list[dict[int, Fraction]] = []
    first: dict[int, dict[int, Fraction]] = {}
    for entry in tied_entries(net):
        exponent: dict[int, Fraction] = {}
        ends = [(int(component[architecture.target[entry]]), 1)]
        if entry < architecture.n_edges:
            ends.append((int(component[architecture.antecedent[entry]]), -1))
        for root, sign in ends:
            if root >= 0:
                exponent[root] = exponent.get(root, Fraction(0)) + sign
        reference = first.setdefault(int(architecture.parameter[entry]), exponent)
        if reference is not exponent:
            zero = Fraction(0)
            equations.append({p: exponent.get(p, zero) - reference.get(p, zero) for p in {*exponent, *reference}})
    return equations


def _solve(equations: list[dict[int, Fraction]]) -> dict[int, dict[int, Fraction]]:
    """Gaussian elimination: each pivot unknown as a combination of the free ones."""
    solved: dict[int, dict[int, Fraction]] = {}
    for equation in equations:
        left: dict[int, Fraction] = {}
        for unknown, coefficient in equation.items():
            for free, multiple in solved.get(unknown, {unknown: Fraction(1)}).items():
                left[free] = left.get(free, Fraction(0)) + coefficient * multiple
        left = {free: coefficient for free, coefficient in sorted(left.items()) if coefficient}
        if not left:
            continue
        pivot, coefficient = left.popitem()
        new = {free: -multiple / coefficient for free, multiple in left.items()}
        for other in [p for p, terms in solved.items() if pivot in terms]:
            share = solved[other].pop(pivot)
            for free, multiple in new.items():
                solved[other][free] = solved[other].get(free, Fraction(0)) + share * multiple
            solved[other] = {free: multiple for free, multiple in solved[other].items() if multiple}
        solved[pivot] = new
    return solved


def tied_entries(net: Network) -> list[int]:
    """The non-zero entries of parameters, if any of these is tied."""
    architecture = net.architecture
    if not architecture.is_tied:
        return []
    found: list[int] = np.flatnonzero((architecture.parameter >= 0) & (net.values != 0)).tolist()
    return found
