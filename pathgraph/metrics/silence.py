"""What stays silent on a box of inputs: intervals of all neurons, dead ReLUs, and pool candidates never selected.

Intervals go through a network by one sweep with two states, the lower and the upper ends: a positive entry keeps
the ends, a negative one exchanges them, ReLU and k-max-pool are monotone. Each input runs over [-D, D] on its own, so
the intervals are right and seldom sharp. Floats are compared with a margin for the round-off of the sweep, and
rationals take over where floats leave their range, unless the network is large; nothing is called dead that is not.

Comparisons at pools are strict: a candidate is *below* if k others always exceed it, *above* if so many never reach it
that it is among the k - 1 largest; with candidates that tie, each would be dropped for the sake of the other.

Source: derived here.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pathgraph.metrics.gaps import Entries, gamma, masked, may_be_exact, roundings, to_rationals
from pathgraph.pathsum.blocks import CONSTANT, BlockNetwork, Node, Pool
from pathgraph.pathsum.exact import accelerated
from pathgraph.pathsum.flat import mapped
from pathgraph.pathsum.preparation import is_safe
from pathgraph.pathsum.semirings import REAL
from pathgraph.pathsum.sweep import Term, sweep
from pathgraph.pathsum.thinning import thinned_network
from pathgraph.resolutions import ReluNetwork
from pathgraph.scalars import Array

__all__ = ["Live", "live_entries", "silence", "without_silent"]

_SWAP = np.array([[False, True], [True, False]])


class Silence(NamedTuple):
    """What is silent on the whole box.

    Attributes
    ----------
    dead : ndarray of bool, shape (N,)
        By buffer position: ReLU neurons whose pre-activation is never positive.
    below, above : list of ndarray of bool, shape (n, degree)
        For each group of pools, in the order of the nodes: candidates that are always less than the value of the pool,
        and always greater.
    """

    dead: Array
    below: list[Array]
    above: list[Array]


class Live(NamedTuple):
    """Two networks without what is silent in both."""

    net: Any
    ours: Entries
    theirs: Entries


def without_silent(net: ReluNetwork, ours: Entries, theirs: Entries, widths: Array) -> Live | None:
    """The two networks without what `live_entries` drops; None if nothing is silent.

    Where an entry is many edges, those that are silent leave the network, and the entries stay.
    """
    if net.dag.flat is not None:
        keep = live_entries(net, ours, theirs, widths)
        return None if keep is None else Live(net, masked(ours, keep), masked(theirs, keep))
    dead, idle = _silent_in_both(net, ours, theirs, widths)
    live = thinned_network(net, net.architecture, dead, idle)
    if all(map(operator.is_, live.dag.nodes, net.dag.nodes)):
        return None
    return Live(live, ours, theirs)


def _silent_in_both(net: BlockNetwork, ours: Entries, theirs: Entries, widths: Array) -> tuple[Array, list[Array]]:
    here, there = silence(net, ours, widths), silence(net, theirs, widths)
    idle = [(a & b) | (c & d) for a, b, c, d in zip(here.below, there.below, here.above, there.above, strict=True)]
    return here.dead & there.dead, idle


def live_entries(net: BlockNetwork, ours: Entries, theirs: Entries, widths: Array) -> list[Array] | None:
    """Which entries can act on the box in one of two networks, one mask per tensor; None if all can.

    Entries into neurons that are dead in both networks, and into pools at which they are below (or above) in both, may
    be dropped in both at once: what remains are two networks of one architecture with the same outputs on the box.
    """
    dead, idle = _silent_in_both(net, ours, theirs, widths)
    keep = [np.zeros(w.shape, dtype=bool) for w in ours]
    is_pool = np.zeros(net.dag.size, dtype=bool)
    for pool, unused in zip(_pools(net), idle, strict=True):
        is_pool[pool.target] = True
        for tensor in pool.tensors:
            keep[tensor].reshape(-1)[pool.entry[(pool.tensor == tensor) & ~unused]] = True
    positions = np.arange(net.dag.size)
    for block in net.dag.blocks():
        target, _, entry = block.pattern()
        ends = positions[block.target][target]
        acts = ~dead[ends] & (block.is_bias | ~is_pool[ends])
        keep[block.tensor].reshape(-1)[entry[acts]] = True
    return None if all(mask.all() for mask in keep) else keep


def silence(net: BlockNetwork, entries: Entries, widths: Array) -> Silence:
    """The dead ReLUs and the idle pool candidates of one network on the box [-widths, widths].

    Parameters
    ----------
    net : network
        Its structure is read.
    entries : sequence of ndarray
        Floats or rationals, one array per tensor.
    widths : ndarray, shape (n_inputs,)
        Likewise.
    """
    positive = [np.maximum(w, 0) for w in entries]
    negative = [np.minimum(w, 0) for w in entries]
    terms: list[Term] = [(positive, None), (negative, _SWAP)]
    x = np.zeros((2, net.dag.size), dtype=widths.dtype)
    x[:, CONSTANT] = 1
    x[:, net.dag.inputs] = [-widths, widths]
    x = sweep(net, terms, x, pools="rank", relu=True)
    margin = np.zeros(net.dag.size, dtype=widths.dtype)
    if widths.dtype != object:
        mass = np.zeros((1, net.dag.size))
        mass[0, CONSTANT] = 1
        mass[0, net.dag.inputs] = widths
        mass = sweep(net, [(mapped(np.abs, entries), None)], mass, pools="max")
        if not is_safe([widths, *entries], mass):
            if not may_be_exact(entries):
                return _nothing(net)
            return silence(net, [accelerated(w) for w in to_rationals(entries)], _rational(widths))
        margin = 2 * gamma(roundings(net, 2)) * mass[0]
    dead = np.zeros(net.dag.size, dtype=bool)
    below, above = [], []
    for node in net.dag.nodes:
        if len(node.relus):
            dead[node.relus] = (_before_relu(node, terms, x)[node.relus] + margin[node.relus]) <= 0
        for pool in node.pools:
            less, more = _idle(pool, positive, negative, x, margin)
            below.append(less)
            above.append(more)
    return Silence(dead, below, above)


def _nothing(net: BlockNetwork) -> Silence:
    none = [np.zeros(pool.entry.shape, dtype=bool) for pool in _pools(net)]
    return Silence(np.zeros(net.dag.size, dtype=bool), none, none)


def _before_relu(node: Node, terms: Sequence[Term], x: Array) -> Array:
    """The upper ends of the pre-activations of a node, by buffer position."""
    high = np.zeros(x.shape[1], dtype=x.dtype)
    for block in (*node.blocks, *node.biases):
        for values, swap in terms:
            ends = np.asarray(block.apply(x[:, block.source], values[block.tensor], REAL), dtype=x.dtype)
            high[block.target] += ends[1 if swap is None else 0]
    return high


def _idle(pool: Pool, positive: Entries, negative: Entries, x: Array, margin: Array) -> tuple[Array, Array]:
    """Candidates whose intervals lie below and above the interval of their pool."""
    up, down = _gathered(positive, pool), _gathered(negative, pool)
    low = up * x[0, pool.source] + down * x[1, pool.source]
    high = up * x[1, pool.source] + down * x[0, pool.source]
    apart = 2 * ((up - down) * margin[pool.source]).max(axis=1, keepdims=True)
    apart = apart + margin[pool.target][:, None]
    value_low = np.sort(low, axis=1)[:, -pool.rank, None]
    value_high = np.sort(high, axis=1)[:, -pool.rank, None]
    return np.asarray(value_low - high > apart, dtype=bool), np.asarray(low - value_high > apart, dtype=bool)


def _gathered(values: Entries, pool: Pool) -> Array:
    out = np.empty(pool.entry.shape, dtype=values[0].dtype)
    for tensor in pool.tensors:
        chosen = pool.tensor == tensor
        out[chosen] = values[tensor].reshape(-1)[pool.entry[chosen]]
    return out


def _pools(net: BlockNetwork) -> list[Pool]:
    return [pool for node in net.dag.nodes for pool in node.pools]


def _rational(widths: Array) -> Array:
    return accelerated(to_rationals([widths])[0])
