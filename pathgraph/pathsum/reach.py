"""Lengths and reachability along paths by float sweeps of ones, which any block does fast and exactly.

A sum of less than 2**53 small integers is exact in float64, in whatever order it is taken. So one neuron reaches
another across a block if the block's sum of an indicator is positive; longest paths follow, one indicator for each
length that occurs. Counts are those of `pathgraph.pathsum.residues`.

Source: derived here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pathgraph.pathsum.blocks import Block, BlockDag
from pathgraph.pathsum.semirings import REAL

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["longest", "reached", "reaching"]


def reached(block: Block, ones: Sequence[Array] | Mapping[int, Array], flags: Array) -> Array:
    """Which targets have an edge from a flagged source: bool, (S, n_source) -> (S, n_target)."""
    return np.asarray(block.apply(flags.astype(np.float64), ones[block.tensor], REAL) > 0.5)


def reaching(block: Block, ones: Sequence[Array], flags: Array) -> Array:
    """Which sources have an edge to a flagged target: bool, (S, n_target) -> (S, n_source)."""
    return np.asarray(block.apply_transpose(flags.astype(np.float64), ones[block.tensor], REAL) > 0.5)


def longest(dag: BlockDag, ones: Sequence[Array], length: Array) -> Array:
    """The length of the longest path up to each buffer position, or -1 where there is none: shape (N,).

    Parameters
    ----------
    dag : BlockDag
    ones : sequence of ndarray
        Ones, in the shapes of the tensors.
    length : ndarray of int, shape (N,)
        What a neuron adds to the paths that come to it by an edge.
    """
    found = np.full(dag.size, -1, dtype=np.int64)
    found[dag.inputs] = 0
    for node in dag.nodes:
        for block in node.blocks:
            before = found[block.source]
            lengths = np.flatnonzero(np.bincount(before[before >= 0]))
            if not len(lengths):
                continue
            hits = reached(block, ones, before == lengths[:, None])
            several = np.where(hits, lengths[:, None], -1).max(axis=0)
            found[block.target] = np.maximum(found[block.target], several)
        own = found[node.target]
        found[node.target] = np.where(own >= 0, own + length[node.target], own)
        for block in node.biases:
            here = reached(block, ones, np.ones((1, 1)))[0]
            found[block.target] = np.where(here, np.maximum(found[block.target], 0), found[block.target])
    return found
