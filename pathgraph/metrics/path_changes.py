r"""Which changes occur together on the paths to each output: a sweep over sets of automaton states.

A path between two networks is *unchanged*, *shrinking* or *growing* if its parameters change so, *mixed* if some shrink
and some grow, *odd* or *even* if signs flip on it, an odd number of times or an even number of at least two. Paths on
which one of the two products is zero, and those from inputs of width zero, are left out. The elements of the semiring
are sets of these kinds, as the bits of an integer: addition is union, and an edge maps each kind to another one. So
one sweep finds, without any arithmetic on the parameters but comparisons, what happens on the paths to each output.
Where nodes are layers, each kind is a state of zeros and ones instead, and each kind of edge an array of such entries:
whether an edge of a kind comes from a path of a kind is a sum of floats, which layers add without their edges.

Source: derived here; the sign hypothesis that it decides is the one of arXiv 2405.15006.
"""

from __future__ import annotations

import operator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from pathgraph.metrics.gaps import Entries
from pathgraph.pathsum import engine_pairs
from pathgraph.pathsum.blocks import CONSTANT, BlockNetwork
from pathgraph.pathsum.changes import (
    EVEN,
    FLIP,
    GROWS,
    LARGER,
    MIXED,
    ODD,
    SAME,
    SHRINKS,
    SMALLER,
    UNCHANGED,
    ZERO,
)
from pathgraph.pathsum.flat import mapped
from pathgraph.pathsum.preparation import choose_backend
from pathgraph.pathsum.reach import reached
from pathgraph.pathsum.semirings import ArrayOperations, Semiring
from pathgraph.pathsum.sweep import sweep
from pathgraph.scalars import Array

__all__ = ["PathChanges", "cancelling_outputs", "path_changes"]

_FEW = 4
"""So many antecedents of each neuron are looked at before all of them."""

_NEXT = {
    SAME: (UNCHANGED, SHRINKS, GROWS, MIXED, ODD, EVEN),
    SMALLER: (SHRINKS, SHRINKS, MIXED, MIXED, ODD, EVEN),
    LARGER: (GROWS, MIXED, GROWS, MIXED, ODD, EVEN),
    FLIP: (ODD, ODD, ODD, ODD, EVEN, ODD),
}


def _table() -> Array:
    """The image of every set of kinds under every kind of edge."""
    table = np.zeros((5, 64), dtype=np.uint8)
    for edge, images in _NEXT.items():
        for kinds in range(64):
            for kind, image in enumerate(images):
                table[edge, kinds] |= (kinds >> kind & 1) << image
    return table


_TABLE = _table()


def _times(edge: Any, kinds: Any) -> Any:
    return _TABLE[edge, kinds]


_KINDS = Semiring(
    0,
    1 << UNCHANGED,
    operator.or_,
    _times,
    name="kinds of changes",
    arrays=ArrayOperations(
        np.bitwise_or, _times, partial(np.bitwise_or.reduceat, axis=-1), lambda w: w.astype(np.uint8), np.uint8
    ),
)


class PathChanges(NamedTuple):
    """What happens on the paths to each output.

    Attributes
    ----------
    mixed, odd, even : ndarray of bool, shape (n_outputs,)
        Whether some path, both of whose products are non-zero, is of this kind.
    """

    mixed: Array
    odd: Array
    even: Array


def path_changes(
    net: BlockNetwork, ours: Entries, theirs: Entries, widths: Array, *, backend: str | None = None
) -> PathChanges:
    """The kinds of changes on the paths to each output, from the entries of two networks."""
    x = _start(net, widths)
    if choose_backend(backend, net) == "numba":
        engine_pairs.kinds(net, ours, theirs, _TABLE, x[0])
    elif net.dag.flat is None and backend is None:
        _by_indicators(net, mapped(_edges, ours, theirs), x[0])
    else:
        sweep(net, [(mapped(_edges, ours, theirs), None)], x, ring=_KINDS)
    return _at_outputs(net, x)


def cancelling_outputs(net: BlockNetwork, ours: Entries, theirs: Entries, widths: Array) -> Array:
    """Whether some path to each output is mixed or even: boolean array of shape (n_outputs,).

    In large networks the first antecedents of each neuron often suffice to see that all outputs have such paths.
    """
    if choose_backend(None, net) == "numba":
        x = _start(net, widths)
        engine_pairs.kinds(net, ours, theirs, _TABLE, x[0], most=_FEW)
        few = _at_outputs(net, x)
        if (few.mixed | few.even).all():
            return few.mixed | few.even
    found = path_changes(net, ours, theirs, widths)
    return found.mixed | found.even


def _start(net: BlockNetwork, widths: Array) -> Array:
    """The empty path to the constant and to the inputs of the box that move."""
    x = np.zeros((1, net.dag.size), dtype=np.uint8)
    x[0, CONSTANT] = _KINDS.one
    x[0, net.dag.inputs] = np.where(widths != 0, _KINDS.one, 0)
    return x


def _at_outputs(net: BlockNetwork, x: Array) -> PathChanges:
    found = x[0, net.dag.outputs]
    return PathChanges(*((found >> kind & 1).astype(bool) for kind in (MIXED, ODD, EVEN)))


def _by_indicators(net: BlockNetwork, edges: Entries, x: Array) -> None:
    """The sweep over sets of kinds, a kind of edges at a time: those that an edge comes from, then their images."""
    for node in net.dag.nodes:
        for block in (*node.blocks, *node.biases):
            before, into = x[block.source], x[block.target]
            kinds = np.flatnonzero([(before >> kind & 1).any() for kind in _NEXT[SAME]])
            flags = (before >> kinds[:, None].astype(np.uint8) & 1).astype(bool)
            for edge, images in _NEXT.items():
                here = edges[block.tensor] == edge
                if len(kinds) and here.any():
                    ones = {block.tensor: here.astype(np.float64)}
                    for kind, hits in zip(kinds.tolist(), reached(block, ones, flags), strict=True):
                        into = into | hits.astype(np.uint8) << images[kind]
            x[block.target] = into


def _edges(a: Array, b: Array) -> Array:
    """The kind of each edge."""
    size, other = abs(a), abs(b)
    conditions = [(a == 0) | (b == 0), (a > 0) != (b > 0), other < size, other > size]
    conditions = [np.asarray(condition, dtype=bool) for condition in conditions]
    return np.select(conditions, [ZERO, FLIP, SMALLER, LARGER], SAME).astype(np.uint8)
