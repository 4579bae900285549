"""How the levels of a graph are cut into launches.

A launch runs one level in many blocks, or several levels in one block, whose barrier separates them. So levels with
little work are joined, and a thousand narrow levels take one launch. The limits below come from a model of a GPU, not
from one: a launch takes about three microseconds, and a block reads some tens of gigabytes per second.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pathgraph_gpu.configurations import THREADS

if TYPE_CHECKING:
    from pathgraph.scalars import Array
    from pathgraph_gpu.graphs import DeviceGraph

__all__ = [
    "MOST_BLOCKS",
    "TILE",
    "Step",
    "backward_steps",
    "evaluation_steps",
    "forward_steps",
    "lanes_of",
    "width_of",
]

MOST_BLOCKS = 1 << 16
"""The most blocks of a sweep: more than a GPU runs at once; what is left they take in turns."""
NARROW = 1 << 13
"""Products of a level up to which one block makes them: about 32 for each of its threads, in the time of a launch."""
NARROW_GROUPS = 64
"""The same for evaluation: groups of neurons of a level."""
TILE = 128
"""Samples of a block in evaluation: 32 threads with four each."""
MANY_TILES = 256
"""Tiles of samples that fill a device, so that each block can run all levels of its own."""


class Step(NamedTuple):
    """Levels that one launch runs, its blocks, and the threads of a warp that share a neuron."""

    first: int
    last: int
    blocks: int
    lanes: int = 32


def _ranges(work: Array, limit: int, blocks: Callable[[int], int]) -> Iterator[tuple[int, int, int]]:
    """Ranges of levels with their blocks: those within the limit together, in one block, the others alone."""
    first = 0
    for level in range(len(work) + 1):
        is_wide = level < len(work) and work[level] > limit
        if (is_wide or level == len(work)) and first < level:
            yield first, level, 1
        if is_wide:
            yield level, level + 1, blocks(level)
            first = level + 1


def lanes_of(edges: int, nodes: int, width: int) -> int:
    """Threads of a warp that share a neuron: each takes about two edges of the mean neuron, or more."""
    parts = 1 << max(0, math.ceil(math.log2(max(1.0, edges / max(1, nodes) / 2))))
    return min(32, width * parts)


def width_of(sides: int) -> int:
    """Those of them that lie along the right-hand sides."""
    return min(32, 1 << (sides - 1).bit_length())


def forward_steps(graph: DeviceGraph, sides: int) -> list[Step]:
    """The launches of a forward sweep."""
    nodes, width = np.diff(graph.levels), width_of(sides)

    def lanes(first: int, last: int) -> int:
        return lanes_of(int(graph.edges_in[first:last].sum()), int(nodes[first:last].sum()), width)

    def blocks(level: int) -> int:
        return min(MOST_BLOCKS, -(-int(nodes[level]) * lanes(level, level + 1) // THREADS))

    work = (graph.edges_in + nodes) * sides
    return [Step(*found, lanes(*found[:2])) for found in _ranges(work, NARROW, blocks)]


def backward_steps(graph: DeviceGraph, sides: int) -> list[Step]:
    """The launches of a backward sweep."""
    nodes = np.diff(graph.levels)

    def blocks(level: int) -> int:
        return min(MOST_BLOCKS, -(-int(nodes[level]) * sides // 32))

    work = (graph.edges_out + nodes) * sides
    return [Step(*found) for found in _ranges(work, NARROW, blocks)][::-1]


def evaluation_steps(graph: DeviceGraph, tiles: int) -> list[Step]:
    """The launches of an evaluation of some tiles of samples; blocks are counted along the groups of neurons."""
    groups = graph.groups_per_level
    if tiles >= MANY_TILES:
        return [Step(0, len(groups), 1)]

    def blocks(level: int) -> int:
        return min(65535, -(-int(groups[level]) // 8))

    return [Step(*found) for found in _ranges(groups, NARROW_GROUPS, blocks)]
