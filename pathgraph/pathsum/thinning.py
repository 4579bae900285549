"""A block network without some of its edges, where an entry is many edges so that no zero can stand for one of them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pathgraph.pathsum.blocks import Block, BlockDag, BlockNetwork, Node

if TYPE_CHECKING:
    from pathgraph.resolutions import Structure
    from pathgraph.scalars import Array, ScalarKind

__all__ = ["Thinned", "thinned", "thinned_network"]


@dataclass(frozen=True, eq=False)
class Thinned:
    """A network some of whose edges are left out; its entries are those of the whole network."""

    dag: BlockDag
    tensors: Sequence[Array]
    scalars: ScalarKind
    architecture: Structure

    @property
    def is_exact(self) -> bool:
        """Whether the values are Fractions."""
        return self.scalars == "exact"


def thinned(dag: BlockDag, dead: Array, idle: Sequence[Array]) -> BlockDag:
    """The DAG without the edges into some neurons, biases included, and without some candidates of pools.

    Parameters
    ----------
    dag : BlockDag
    dead : ndarray of bool, shape (N,)
        By buffer position.
    idle : sequence of ndarray of bool, shape (n, degree)
        For each group of pools, in the order of the nodes: candidates to leave out.

    Returns
    -------
    BlockDag
        Its nodes are those of `dag` where no edge was left out.
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
    from pathgraph.layers.axes import AxisTaps
    from pathgraph.layers.blocks import LayerBlock
    from pathgraph.layers.operations import FixedLinear

    place = np.arange(size)
    targets, sources = place[block.target], place[block.source]
    target, source, entry = block.pattern()
    keep = ~dead[targets[target]]
    if len(gone) and not block.is_bias:
        keep &= ~np.isin(targets[target] * size + sources[source], gone)
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


def thinned_network(net: BlockNetwork, architecture: Structure, dead: Array, idle: Sequence[Array]) -> Thinned:
    """The network without those edges."""
    return Thinned(thinned(net.dag, dead, idle), net.tensors, net.scalars, architecture)
