"""A block network without some of its edges.

In a layer graph one entry is many edges: to leave out one edge it is not enough to put a zero in a tensor.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pathgraph.pathsum.blocks import Block, BlockDag, BlockNetwork, Node, Pattern

if TYPE_CHECKING:
    from pathgraph.pathsum.semirings import Semiring
    from pathgraph.resolutions import Structure
    from pathgraph.scalars import Array, ScalarKind

__all__ = ["Thinned", "thinned", "thinned_network"]


@dataclass(frozen=True, eq=False)
class Thinned:
    """A network without some of its edges; its tensors are those of the whole network."""

    dag: BlockDag
    tensors: Sequence[Array]
    scalars: ScalarKind
    architecture: Structure

    @property
    def is_exact(self) -> bool:
        """Whether the values are Fractions."""
        return self.scalars == "exact"


def thinned(dag: BlockDag, dead: Array, idle: Sequence[Array]) -> BlockDag:
    """The DAG without the edges into some neurons, and without some candidates of pools.

    Parameters
    ----------
    dag : BlockDag
    dead : ndarray of bool, shape (N,)
        For each buffer position, whether to leave out the edges into it, biases included.
    idle : sequence of ndarray of bool, shape (n, degree)
        For each group of pools, in the order of the nodes, which candidates to leave out.

    Returns
    -------
    BlockDag
        Nodes that lose no edge are the same objects as in `dag`.
    """
    rest = iter(idle)
    nodes = []
    for node in dag.nodes:
        gone = _pairs(node, [next(rest) for _ in node.pools], dag.size)
        positions = np.arange(dag.size)[node.target]
        if not dead[positions].any() and not len(gone):
            nodes.append(node)
            continue
        blocks, biases = (
            tuple(kept for block in each if (kept := _filtered(block, dead, gone, dag.size)) is not None)
            for each in (node.blocks, node.biases)
        )
        is_same = all(map(operator.is_, (*blocks, *biases), (*node.blocks, *node.biases)))
        is_same &= len(blocks) + len(biases) == len(node.blocks) + len(node.biases)
        nodes.append(node if is_same else replace(node, blocks=blocks, biases=biases))
    return BlockDag(dag.size, dag.inputs, dag.outputs, tuple(nodes))


def _pairs(node: Node, idle: Sequence[Array], size: int) -> Array:
    """The edges of the idle candidates, as sorted numbers ``target * size + source``."""
    keys = [(pool.target[:, None] * size + pool.source)[unused] for pool, unused in zip(node.pools, idle, strict=True)]
    return np.sort(np.concatenate([np.empty(0, dtype=np.int64), *keys]))


def _filtered(block: Block, dead: Array, gone: Array, size: int) -> Block | None:
    """A block without some edges; None if none remains."""
    place = np.arange(size)
    targets = place[block.target]
    has_edges = block.degrees() > 0
    silent = dead[targets] & has_edges
    if silent.any() and (silent == has_edges).all():
        return None
    live = _Silenced(block, silent) if silent.any() else block
    if block.is_bias or not np.isin(gone // size, targets).any():
        return live
    return _without_pairs(live, gone, targets, place[block.source], size)


def _without_pairs(block: Block, gone: Array, targets: Array, sources: Array, size: int) -> Block | None:
    """A block without some edges, given as numbers ``target * size + source``: it lists the edges that remain."""
    from pathgraph.layers.axes import AxisTaps
    from pathgraph.layers.blocks import LayerBlock
    from pathgraph.layers.operations import FixedLinear

    target, source, entry = block.pattern()
    keys = targets[target] * size + sources[source]
    keep = gone[np.minimum(np.searchsorted(gone, keys), len(gone) - 1)] != keys
    if keep.all():
        return block
    if not keep.any():
        return None
    target, source, entry = target[keep], source[keep], entry[keep]
    start = np.searchsorted(target, np.arange(len(targets) + 1))
    n_taps = int(entry.max()) + 1
    relation = AxisTaps(len(sources), n_taps, start, source, entry)
    operation = FixedLinear((len(sources),), (len(targets),), relation)
    return LayerBlock(operation, block.source, block.target, block.tensor)


class _Silenced(Block):
    """A block without the edges into some of its targets.

    The whole block runs, with its fast code; then zeros are put at the silent targets of the result. Backward, zeros
    are put there first.

    Parameters
    ----------
    block : Block
    silent : ndarray of bool, shape (n_target,)
        Those targets.
    """

    def __init__(self, block: Block, silent: Array) -> None:
        self.block, self.silent = block, silent
        self.source, self.target, self.tensor = block.source, block.target, block.tensor

    @property
    def shape(self) -> tuple[int, int]:
        return self.block.shape

    def degrees(self) -> Array:
        return np.where(self.silent, 0, self.block.degrees())

    def pattern(self, targets: Array | None = None) -> Pattern:
        kept = np.flatnonzero(~self.silent) if targets is None else targets[~self.silent[targets]]
        return self.block.pattern(kept)

    def apply(self, x: Array, w: Array, ring: Semiring) -> Array:
        return self._silenced(self.block.apply(x, w, ring), ring)

    def apply_transpose(self, y: Array, w: Array, ring: Semiring) -> Array:
        return self.block.apply_transpose(self._silenced(y, ring), w, ring)

    def entry_gradient(self, x: Array, y: Array, shape: tuple[int, ...], ring: Semiring) -> Array:
        return self.block.entry_gradient(x, self._silenced(y, ring), shape, ring)

    def _silenced(self, y: Array, ring: Semiring) -> Array:
        """A copy with zeros at the silent targets."""
        out = y.copy()
        out[:, self.silent] = ring.full((len(y), int(self.silent.sum()))) if y.dtype == object else ring.zero
        return out


def thinned_network(net: BlockNetwork, architecture: Structure, dead: Array, idle: Sequence[Array]) -> Thinned:
    """The network without the edges that `thinned` leaves out."""
    return Thinned(thinned(net.dag, dead, idle), net.tensors, net.scalars, architecture)
