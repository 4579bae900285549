"""The factors between two networks of one architecture, along a spanning forest of their non-zero entries.

The forest is rooted at the inputs, the outputs and the constant behind the biases, whose factors are 1, and at one
neuron of every piece that is connected to none of them. Each further entry closes a cycle with it. Exact networks are
compared as integers. For floats the factors are rational numbers, and what closes is decided in floating point where
its error bound allows it, and over the rationals where it does not.

Derived here.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from pathgraph.distinct import distinct
from pathgraph.geometry.potentials import ends
from pathgraph.graph.network import Network
from pathgraph.numbers import product, quotient
from pathgraph.pathsum.scaled import scaled, scaled_to_float
from pathgraph.scalars import UNIT, Array, object_array, to_fraction

__all__ = ["Forest", "Walk", "around", "signs"]

Walk = list[tuple[int, int]]
"""Entries, each with +1 if it is walked from its source to its target, else -1."""


class Forest:
    """Factors along a spanning forest, and a closed walk that contradicts them, if there is one.

    Parameters
    ----------
    net : Network
        Its scalars decide what is exact: the products around a cycle of k entries of floats may differ by 2k units in
        the last place.
    after : ndarray, shape (n_entries,)
        The values of the other network; zero where those of `net` are, and nowhere else.

    Attributes
    ----------
    factor : list of Fraction
        Of the constant and each neuron; 1 where no non-zero entry leads.
    tree : list of int
        The root of each neuron; 0 for the constant, inputs, outputs, and what is connected to them.
    conflict : list of (entry, +1 or -1), or None
        A closed walk around which the factors do not multiply to 1.

    Notes
    -----
    Linear in the number of entries, apart from the depth of the forest for floats that are no multiples of each other
    by powers of two.
    """

    def __init__(self, net: Network, after: Array) -> None:
        self.net, self.before, self.after = net, net.values, after
        self.tail, self.head = ends(net.architecture)
        self.present = np.flatnonzero(self.before != 0)
        self.slack = Fraction(0) if net.is_exact else 2 * to_fraction(np.finfo(net.dtype).eps)
        order = self._grow()
        self.factor = [Fraction(1)] * len(self.tree)
        for v in order:
            e, way = self.entry[v], self.way[v]
            self.factor[v] = self.factor[self.parent[v]] * self._ratio(e) ** way
        self.conflict = self._find_conflict()

    def _ratio(self, e: int) -> Fraction:
        return to_fraction(self.after[e]) / to_fraction(self.before[e])

    def _grow(self) -> list[int]:
        """Find the forest, breadth first; return the neurons that are no roots, antecedents in it first."""
        from scipy.sparse.csgraph import breadth_first_order, connected_components  # slow to import

        architecture = self.net.architecture
        size = architecture.n_nodes + 1
        outer = np.concatenate([[0], architecture.input + 1, architecture.output + 1])
        tail, head = (end[self.present].astype(np.int64) for end in (self.tail, self.head))

        def graph(starts: Array) -> csr_array:
            rows, columns = np.concatenate([np.full(len(starts), size), tail]), np.concatenate([starts, head])
            return csr_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(size + 1, size + 1))

        _, first, piece = np.unique(
            connected_components(graph(outer), directed=False)[1][:size], return_index=True, return_inverse=True
        )
        order, parent = breadth_first_order(graph(distinct(np.append(outer, first))), size, directed=False)
        inner = order[1:][parent[order[1:]] != size]
        # The entry between a neuron and its parent: there is one, in one direction or the other.
        keys = tail * size + head
        sorting = np.argsort(keys)
        entry, way = np.full(size, -1), np.ones(size, dtype=np.int64)
        for source, target, direction in ((parent[inner], inner, 1), (inner, parent[inner], -1)):
            wanted = source.astype(np.int64) * size + target
            place = np.minimum(np.searchsorted(keys, wanted, sorter=sorting), len(keys) - 1)
            found = keys[sorting[place]] == wanted
            entry[inner[found]], way[inner[found]] = self.present[sorting[place[found]]], direction
        depth = [0] * (size + 1)
        for v, u in zip(inner.tolist(), parent[inner].tolist(), strict=True):
            depth[v] = depth[u] + 1
        self.tree: list[int] = first[piece].tolist()
        self.parent, self.entry, self.way = parent[:size].tolist(), entry.tolist(), way.tolist()
        self._up, self._depth = np.where(entry < 0, np.arange(size), parent[:size]), np.array(depth[:size])
        return [int(v) for v in inner]

    def _find_conflict(self) -> Walk | None:
        """Of the closed walks that contradict the factors, one that an entry between neurons near the roots closes."""
        closing = self.present[~np.isin(self.present, self.entry)]
        if not len(closing):
            return None
        wrong = closing[self._differ_exactly(closing) if self.net.is_exact else self._differ(closing)]
        if not len(wrong):
            return None
        depth = self._depth[self.tail[wrong]] + self._depth[self.head[wrong]]
        return self.closed_by(int(wrong[np.argmin(depth)]))

    def _differ_exactly(self, entries: Array) -> Array:
        """Whether lam_tail * after and lam_head * before differ, all denominators multiplied out."""
        upper, lower = (object_array([getattr(f, part) for f in self.factor]) for part in ("numerator", "denominator"))
        tail, head = self.tail[entries], self.head[entries]
        left, right = self.after[entries].tolist(), self.before[entries].tolist()
        up = upper[tail] * lower[head] * object_array([value.numerator for value in left])
        down = lower[tail] * upper[head] * object_array([value.denominator for value in left])
        differ = up * object_array([v.denominator for v in right]) != down * object_array([v.numerator for v in right])
        return np.asarray(differ.astype(bool))

    def _differ(self, entries: Array) -> Array:
        """Whether lam_tail * after and lam_head * before differ by more than rounding explains."""
        factor, tail, head = scaled(object_array(self.factor)), self.tail[entries], self.head[entries]
        one, other = product(self.after[entries], factor[tail]), product(self.before[entries], factor[head])
        distance = np.abs(scaled_to_float(quotient(one, other)) - 1)
        # One rounding of the quotient; two for each factor, unless it is a power of two; and one unit as a margin.
        rough = np.array([not (_is_power(f.numerator) and _is_power(f.denominator)) for f in self.factor])
        error = UNIT * (2.0 + 2 * rough[tail] + 2 * rough[head])
        allowed = float(self.slack) * self._lengths(entries)
        differ = distance > allowed + error
        for k in np.flatnonzero(np.abs(distance - allowed) <= error).tolist():
            e = int(entries[k])
            exact = self.factor[self.tail[e]] * self._ratio(e) / self.factor[self.head[e]]
            differ[k] = abs(exact - 1) > self.slack * len(self.closed_by(e))
        return np.asarray(differ)

    def _lengths(self, entries: Array) -> Array:
        """How long the closed walks are, from what both ways to the roots do not have in common."""
        u, v = self.tail[entries], self.head[entries]
        steps = np.ones(len(entries), dtype=np.int64)
        going = np.flatnonzero(self._apart(u, v))
        while len(going):
            deeper = self._depth[u[going]] >= self._depth[v[going]]
            left, right = going[deeper], going[~deeper]
            u[left], v[right] = self._up[u[left]], self._up[v[right]]
            steps[going] += 1
            going = going[self._apart(u[going], v[going])]
        return steps

    def _apart(self, u: Array, v: Array) -> Array:
        """Whether two neurons are different, and not both roots."""
        return np.asarray((u != v) & ((self._depth[u] > 0) | (self._depth[v] > 0)))

    def walk_to(self, v: int) -> Walk:
        """The entries from the root to a neuron, each with the direction in which it is walked."""
        walk = []
        while self.entry[v] >= 0:
            walk.append((self.entry[v], self.way[v]))
            v = self.parent[v]
        return walk[::-1]

    def closed_by(self, e: int) -> Walk:
        """The closed walk that an entry makes with the forest, along the entry."""
        out, back = self.walk_to(int(self.tail[e])), self.walk_to(int(self.head[e]))
        while out and back and out[0] == back[0]:
            out, back = out[1:], back[1:]
        return [*out, (e, 1), *((b, -way) for b, way in reversed(back))]

    def oriented(self, flexible: Array) -> list[Fraction] | int:
        """The factors, with the sign of each floating tree chosen; or a neuron whose factor has a wrong sign.

        Parameters
        ----------
        flexible : ndarray of bool, shape (n_nodes + 1,)
            Which factors may be negative.
        """
        wrong: dict[int, set[int]] = {}
        for v, factor in enumerate(self.factor):
            if not flexible[v]:
                wrong.setdefault(self.tree[v], set()).add(-1 if factor < 0 else 1)
        for v, factor in enumerate(self.factor):
            signs = wrong.get(self.tree[v], {1})
            if not flexible[v] and factor < 0 and (self.tree[v] == 0 or len(signs) > 1):
                return v
        return [-factor if wrong.get(self.tree[v]) == {-1} else factor for v, factor in enumerate(self.factor)]


def _is_power(number: int) -> bool:
    """Whether the absolute value of an integer is a power of two."""
    return abs(number).bit_count() == 1


def around(values: Array, walk: Walk) -> Fraction:
    """The product of values around a walk, inverted where it is walked backward."""
    out = Fraction(1)
    for e, way in walk:
        out *= to_fraction(values[e]) ** way
    return out


def signs(values: Array) -> Any:
    """Signs of numbers: -1, 0, 1."""
    if values.dtype != object:
        return np.sign(values)
    numerators = object_array([value.numerator for value in values.tolist()])
    return (numerators > 0).astype(np.int8) - (numerators < 0).astype(np.int8)
