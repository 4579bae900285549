"""A pair of networks as the metrics see it: its entries, how they compare, and its path products one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pathgraph.errors import PathCountError
from pathgraph.graph.network import Network
from pathgraph.lifting import guarded_paths, lift, starts
from pathgraph.metrics.gaps import Entries, to_rationals
from pathgraph.metrics.path_changes import PathChanges, cancelling_outputs, path_changes
from pathgraph.metrics.silence import without_silent
from pathgraph.pathsum import engine_pairs
from pathgraph.pathsum.blocks import CONSTANT, BlockNetwork
from pathgraph.pathsum.exact import accelerated
from pathgraph.pathsum.flat import mapped
from pathgraph.pathsum.preparation import choose_backend
from pathgraph.pathsum.sweep import sweep
from pathgraph.resolutions import ReluNetwork
from pathgraph.scalars import Array, object_array

__all__ = ["Differences", "Pair", "differences", "flips", "has_few_paths"]


class Pair(NamedTuple):
    """Two networks of one architecture, over a box.

    Attributes
    ----------
    net : Network, LayerGraph, or a part of one
        The structure.
    ours, theirs : sequence of ndarray
        Their entries per tensor: float64, or (accelerated) rationals.
    widths : ndarray, shape (n_inputs,)
        The half-widths of the box, likewise.
    """

    net: Any
    ours: Entries
    theirs: Entries
    widths: Array

    @classmethod
    def of(cls, net: ReluNetwork, other: ReluNetwork, widths: Array) -> Pair:
        """The pair of two networks."""
        ours, theirs = (mapped(_working, each.tensors) for each in (net, other))
        return cls(net, ours, theirs, _working(widths))

    @property
    def is_exact(self) -> bool:
        """Whether the entries are rationals."""
        return bool(self.net.is_exact)

    def swapped(self) -> Pair:
        """The pair in the other order."""
        return self._replace(ours=self.theirs, theirs=self.ours)

    def without_silent(self) -> Pair | None:
        """The pair without what is silent on the box in both networks; None if nothing is."""
        live = without_silent(self.net, self.ours, self.theirs, self.widths)
        return None if live is None else Pair(live.net, live.ours, live.theirs, self.widths)

    def rationals(self) -> Pair:
        """The pair in rationals."""
        if self.is_exact:
            return self
        ours, theirs, (widths,) = (
            [accelerated(w) for w in to_rationals(entries)] for entries in (self.ours, self.theirs, [self.widths])
        )
        return self._replace(ours=ours, theirs=theirs, widths=widths)

    def changes(self) -> PathChanges:
        """What changes on the paths to each output."""
        return path_changes(self.net, self.ours, self.theirs, self.widths)

    def cancelling_outputs(self) -> Array:
        """The outputs to which some path shrinks and grows, or flips its sign an even number of times."""
        return cancelling_outputs(self.net, self.ours, self.theirs, self.widths)

    def is_shrinking(self) -> bool:
        """Whether all entries keep their signs, or vanish, and none grows."""
        if choose_backend(None, self.net) == "numba":
            found = engine_pairs.comparison(self.net, self.ours, self.theirs)
            return not (found.grows or found.flips or found.appears)
        return all(
            bool(((abs(b) <= abs(a)) & ((a >= 0) | (b <= 0)) & ((a <= 0) | (b >= 0))).all())
            for a, b in zip(self.ours, self.theirs, strict=True)
        )

    def first(self, is_meant: Callable[[Array, Array], Any]) -> str | None:
        """The first entry whose values in both networks are meant, in words, with both; None if there is none."""
        entry = 0
        for a, b in zip(self.ours, self.theirs, strict=True):
            for index in np.flatnonzero(np.asarray(is_meant(a, b), dtype=bool))[:1].tolist():
                return f"{self.net.architecture.describe(entry + index)}: {a.flat[index]} and {b.flat[index]}"
            entry += a.size
        return None


def flips(a: Array, b: Array) -> Array:
    """Where signs differ."""
    return ((a > 0) & (b < 0)) | ((a < 0) & (b > 0))


class Differences(NamedTuple):
    """The paths to one output: their products in both networks, their weights, and whether signs flip on them."""

    ours: Array
    theirs: Array
    weights: Array
    flipped: Array

    def metric(self) -> Array:
        """The weighted absolute differences."""
        return np.asarray(abs(self.ours - self.theirs) * self.weights)

    def without_signs(self) -> Array:
        """The same, with the sum of the absolute values instead of the difference where signs flip."""
        sums = abs(self.ours) + abs(self.theirs)
        return np.asarray(np.where(self.flipped, sums, abs(self.ours - self.theirs)) * self.weights)


def differences(pair: Pair, max_paths: int) -> list[Differences]:
    """For each output, all its paths, in rationals.

    Raises
    ------
    PathCountError
        If there are more than `max_paths` paths.
    """
    if not isinstance(pair.net, Network):
        return _by_blocks(pair, max_paths)
    guarded_paths(pair.net, None, max_paths)
    exact, net = pair.rationals(), pair.net
    ours, theirs = _flat(net, exact.ours), _flat(net, exact.theirs)
    kept = np.where(flips(ours, theirs), 0, 1).astype(np.int8)
    weights = object_array([*exact.widths, accelerated(object_array([1]))[0]])
    found = []
    for v in net.outputs:
        paths = guarded_paths(net, v, max_paths)
        found.append(
            Differences(
                lift(net, paths, ours),
                lift(net, paths, theirs),
                weights[starts(net, paths)],
                lift(net, paths, kept) == 0,
            )
        )
    return found


def _by_blocks(pair: Pair, max_paths: int) -> list[Differences]:
    """The same from the blocks alone: the list of all paths to each neuron that reaches an output, node by node."""
    if not has_few_paths(pair.net, max_paths):
        raise PathCountError(
            f"the network has more than max_paths={max_paths} paths; raise max_paths if they fit in memory, or use a "
            "method that needs no list of paths"
        )
    exact, dag = pair.rationals(), pair.net.dag
    before = _incoming(exact)
    needed = set(dag.outputs.tolist())
    for node in reversed(dag.nodes):
        for v in np.arange(dag.size)[node.target].tolist():
            if v in needed:
                needed.update(u for u, _, _ in before.get(v, ()))
    one = accelerated(object_array([1]))[0]
    paths: dict[int, list[tuple[Any, Any, Any, bool]]] = {CONSTANT: [(one, one, one, False)]}
    paths |= {u: [(one, one, width, False)] for u, width in zip(dag.inputs.tolist(), exact.widths, strict=True)}
    for node in dag.nodes:
        for v in np.arange(dag.size)[node.target].tolist():
            if v in needed:
                paths[v] = [
                    (ours * a, theirs * b, width, flipped or a * b < 0)
                    for u, a, b in before.get(v, ())
                    for ours, theirs, width, flipped in paths.get(u, ())
                ]
    found = []
    for v in dag.outputs.tolist():
        columns = list(zip(*paths.get(v, ()), strict=True)) or [()] * 4
        flipped = np.array(columns[3], dtype=bool)
        ours, theirs, widths = (object_array(column) for column in columns[:3])
        found.append(Differences(ours, theirs, widths, flipped))
    return found


def _incoming(pair: Pair) -> dict[int, list[tuple[int, Any, Any]]]:
    """For each buffer position the edges into it: where they come from, and their two entries."""
    before: dict[int, list[tuple[int, Any, Any]]] = {}
    place = np.arange(pair.net.dag.size)
    for block in pair.net.dag.blocks():
        target, source, entry = block.pattern()
        ours, theirs = (entries[block.tensor].ravel()[entry] for entries in (pair.ours, pair.theirs))
        ends = (place[block.target][target].tolist(), place[block.source][source].tolist())
        for v, u, a, b in zip(*ends, ours, theirs, strict=True):
            before.setdefault(v, []).append((u, a, b))
    return before


def has_few_paths(net: BlockNetwork, limit: int) -> bool:
    """Whether there are at most `limit` paths, by a sweep in floats, which hold such numbers exactly."""
    x = np.zeros((1, net.dag.size))
    x[0, CONSTANT] = x[0, net.dag.inputs] = 1
    x = sweep(net, [(mapped(lambda w: np.ones(w.shape), net.tensors), None)], x)
    return bool(x[0, net.dag.outputs].sum() <= limit)


def _working(values: Array) -> Array:
    return accelerated(values) if values.dtype == object else values.astype(np.float64, copy=False)


def _flat(net: Network, entries: Sequence[Array]) -> Array:
    return net.architecture.flat(entries, object)
