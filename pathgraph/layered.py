"""Networks whose every edge leads from one level to the next: the norms of the rows of their layers."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from pathgraph.errors import GraphError
from pathgraph.graph.network import Network
from pathgraph.numbers import joined, norm
from pathgraph.pathsum.blocks import INPUT, Block
from pathgraph.pathsum.exact import accelerated, restored
from pathgraph.pathsum.flat import mapped
from pathgraph.pathsum.scaled import scaled
from pathgraph.pathsum.semirings import MAX_TIMES, REAL, SCALED, Semiring
from pathgraph.resolutions import ReluNetwork
from pathgraph.scalars import Array
from pathgraph.shown import argument_text

__all__ = ["LayerNorms", "layer_norms"]


class LayerNorms(NamedTuple):
    """One level of a layered network.

    Attributes
    ----------
    rows : ndarray, shape (n_neurons,)
        The q-norm of the entries into each neuron, the bias included: rational, or scaled.
    has_bias : bool
        Whether some neuron has a bias.
    """

    rows: Array
    has_bias: bool


def layer_norms(net: ReluNetwork, q: Any) -> list[LayerNorms]:
    """The levels of a layered network, from the one behind the inputs to the outputs.

    Raises
    ------
    GraphError
        If an edge skips a level, an output stands before the last level, or there is a constant.
    """
    return _of_neurons(net, q) if isinstance(net, Network) else _of_blocks(net, q)


def _of_neurons(net: Network, q: Any) -> list[LayerNorms]:
    architecture = net.architecture
    level, last = architecture.level, int(architecture.level.max())
    target = architecture.target[: architecture.n_edges]
    for edge in np.flatnonzero(level[target] != level[architecture.antecedent] + 1)[:1].tolist():
        u, v = architecture.entry_name(edge)
        raise GraphError(
            f"net: needed a layered network, got the edge {argument_text(u)} -> {argument_text(v)} that skips a level"
        )
    early = [v for v in architecture.output.tolist() if level[v] != last]
    sources = np.flatnonzero((level == 0) & (architecture.activation != INPUT)).tolist()
    for v, what in [(v, "an output before the last level") for v in early] + [(v, "a constant") for v in sources]:
        raise GraphError(f"net: needed a layered network, got {what}, {argument_text(architecture.nodes[v])}")
    rows: list[list[Array]] = [[] for _ in range(last)]
    has_bias = [False] * last
    outputs = set(architecture.output.tolist())
    for v in np.flatnonzero(level > 0).tolist():
        if level[v] == last and v not in outputs:
            continue
        entries = architecture.entries_into(v)
        rows[level[v] - 1].append(norm(net.values[entries], q))
        has_bias[level[v] - 1] |= bool(entries[-1] >= architecture.n_edges)
    return [LayerNorms(joined(found), some) for found, some in zip(rows, has_bias, strict=True)]


def _of_blocks(net: ReluNetwork, q: Any) -> list[LayerNorms]:
    """The same from the blocks: a row sum is what a block makes of ones."""
    dag, names = net.dag, net.architecture.nodes
    level = np.full(dag.size, -1)
    level[dag.inputs] = 0
    is_rational = net.is_exact and q in (1, math.inf)
    ring: Semiring = MAX_TIMES if q == math.inf else REAL
    if not is_rational:
        ring = (ring.wide or ring) if q == math.inf else SCALED
    values = mapped(
        lambda w: accelerated(abs(w)) if is_rational else scaled(abs(w), 1 if q == math.inf else q), net.tensors
    )
    ones = accelerated(np.full((1, 1), 1, dtype=object)) if is_rational else scaled(np.ones((1, 1)))
    rows = ring.full((1, dag.size)) if is_rational else scaled(np.zeros((1, dag.size)))
    biased = np.zeros(dag.size, dtype=bool)
    assert ring.arrays is not None
    for node in dag.nodes:
        for block in node.blocks:
            _find_level(block, level, names)
        positions = np.arange(dag.size)[node.target]
        for v in positions[level[positions] < 0][:1].tolist():
            raise GraphError(f"net: needed a layered network, got a constant, {argument_text(names[v - 1])}")
        for block in (*node.blocks, *node.biases):
            sums = block.apply(np.repeat(ones, block.shape[1], axis=1), values[block.tensor], ring)
            rows[:, block.target] = ring.arrays.add(rows[:, block.target], sums)
        for block in node.biases:
            biased[block.target] = True
    last = int(level.max())
    for v in dag.outputs[level[dag.outputs] != last][:1].tolist():
        raise GraphError(
            f"net: needed a layered network, got an output before the last level, {argument_text(names[v - 1])}"
        )
    found = []
    for depth in range(1, last + 1):
        chosen = np.flatnonzero(level == depth) if depth < last else dag.outputs
        sums = restored(rows[0, chosen]) if is_rational else rows[0, chosen]
        found.append(LayerNorms(sums if q in (1, math.inf) else scaled(sums, 1 / q), bool(biased[chosen].any())))
    return found


def _find_level(block: Block, level: Array, names: Any) -> None:
    """Set the level of the targets of a block; where its sources are not on one level, edge by edge."""
    place = np.arange(len(level))
    sources, targets = place[block.source], place[block.target]
    if len(np.unique(level[sources])) == 1 and block.degrees().all():
        found, ends = np.broadcast_to(level[sources[:1]] + 1, targets.shape), targets
    else:
        target, source, _ = block.pattern()
        found, ends = level[sources[source]] + 1, targets[target]
    level[ends[level[ends] < 0]] = found[level[ends] < 0]
    for edge in np.flatnonzero(level[ends] != found)[:1].tolist():
        raise GraphError(
            f"net: needed a layered network, got an edge to {names[int(ends[edge]) - 1]!r} that skips a level"
        )
