"""The block protocol: a network as a DAG of linear blocks, at whatever resolution.

A sweep owns one buffer ``x`` of shape (S, N): S right-hand sides (samples, automaton states), N - 1 neurons behind
position 0, which holds the constant 1. A `Node` is a set of positions that are computed together; it sums its
blocks. A `Block` is linear, with no bias case: it reads ``x[:, source]`` and adds into ``x[:, target]``. A bias is
a block whose source is position 0.

What a block multiplies by, its **entries**, is not stored in it: entries belong to the network, one tensor per
block, and every function of the theory is a sweep with other entries (|w|, |w|**q, |w - w'|, 1, ...).

The three operations default to the block's `~Block.pattern`, edge by edge, in any semiring and any scalar: this is
the *reference* back end. Subclasses override them with faster code, which the tests hold against the default.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from pathgraph.pathsum.flat import FlatDag
    from pathgraph.pathsum.semirings import Semiring
    from pathgraph.scalars import Array, ScalarKind

__all__ = ["CONSTANT", "Block", "BlockDag", "BlockNetwork", "Node", "Pattern", "Pool", "Positions"]

CONSTANT = 0
"""Position of the constant 1 in the buffer of a sweep."""

INPUT, IDENTITY, RELU, POOL = range(4)
"""Codes of the activations."""

Positions: TypeAlias = "slice | Array"
"""A slice or a 1-D integer array of buffer positions."""


class Pattern(NamedTuple):
    """Edges of a block, in local numbering, sorted by (target, source).

    Attributes
    ----------
    target, source, entry : ndarray, shape (n_edges,)
        ``entry[i]`` is the flat index, in the block's tensor, of the weight on edge i.
    """

    target: Array
    source: Array
    entry: Array


class Block(ABC):
    """A linear map from ``x[:, source]`` to ``x[:, target]``.

    Attributes
    ----------
    source, target : slice or ndarray
        Buffer positions; each position occurs at most once in either.
    tensor : int
        Which of the network's tensors holds the entries.
    """

    source: Positions
    target: Positions
    tensor: int

    @abstractmethod
    def pattern(self, targets: Array | None = None) -> Pattern:
        """The edges, all of them or those into the local target indices `targets` (sorted)."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Number of targets and number of sources."""

    def degrees(self) -> Array:
        """The number of edges into each target: shape (n_target,)."""
        return np.bincount(self.pattern().target, minlength=self.shape[0])

    @property
    def is_bias(self) -> bool:
        """Whether the block reads the constant."""
        return isinstance(self.source, slice) and self.source == slice(CONSTANT, CONSTANT + 1)

    def apply(self, x: Array, w: Array, ring: Semiring) -> Array:
        """Sum over the edges into each target: (S, n_source) -> (S, n_target), edge by edge."""
        return self._accumulate(x, w, ring, self.shape[0], zip(*self.pattern(), strict=True))

    def apply_transpose(self, y: Array, w: Array, ring: Semiring) -> Array:
        """Sum over the edges out of each source: (S, n_target) -> (S, n_source), edge by edge."""
        target, source, entry = self.pattern()
        return self._accumulate(y, w, ring, self.shape[1], zip(source, target, entry, strict=True))

    def entry_gradient(self, x: Array, y: Array, shape: tuple[int, ...], ring: Semiring) -> Array:
        """Per entry of the tensor, the sum over S and over its edges of ``x[source] * y[target]``."""
        out = ring.full((math.prod(shape),))
        for t, s, e in zip(*self.pattern(), strict=True):
            for row in range(len(x)):
                out[e] = ring.add(out[e], ring.mul(x[row, s], y[row, t]))
        return out.reshape(shape)

    @staticmethod
    def _accumulate(x: Array, w: Array, ring: Semiring, size: int, edges: Iterable[tuple[int, int, int]]) -> Array:
        out, flat = ring.full((len(x), size)), w.ravel()
        for to, of, e in edges:
            for row in range(len(x)):
                out[row, to] = ring.add(out[row, to], ring.mul(flat[e], x[row, of]))
        return out


class Pool(NamedTuple):
    """Pool neurons of one rank and one in-degree.

    Attributes
    ----------
    rank : int
        The k of k-max-pooling: the value is the k-th largest candidate.
    target : ndarray, shape (n,)
        Their buffer positions.
    source : ndarray, shape (n, degree)
        Buffer positions of their antecedents, in order.
    tensor, entry : ndarray, shape (n, degree)
        Where the weight of each candidate is.
    """

    rank: int
    target: Array
    source: Array
    tensor: Array
    entry: Array

    @property
    def tensors(self) -> list[int]:
        """The tensors that hold weights of candidates, in order."""
        found: list[int] = np.flatnonzero(np.bincount(self.tensor.ravel())).tolist()
        return found


@dataclass(frozen=True, eq=False)
class Node:
    """Positions that are computed together: a level of neurons, or a layer.

    Attributes
    ----------
    target : slice or ndarray, shape (n,)
        Their buffer positions.
    activation, rank : ndarray, shape (n,)
        Activation code of each position, and its pool rank (1 where it is no pool).
    blocks, biases : tuple of Block
        What is summed; `biases` are the blocks that read the constant.
    """

    target: Positions
    activation: Array
    rank: Array
    blocks: tuple[Block, ...]
    biases: tuple[Block, ...]

    @cached_property
    def relus(self) -> Array:
        """Buffer positions of the ReLU neurons."""
        return np.asarray(self._positions[self.activation == RELU])

    @cached_property
    def pools(self) -> tuple[Pool, ...]:
        """The pool neurons, grouped by rank and in-degree, with their antecedents in order."""
        wanted = self.activation == POOL
        if not wanted.any():
            return ()
        edges = [np.empty((4, 0), dtype=np.int64)]
        for block in self.blocks:
            positions, sources = _positions(block.target), _positions(block.source)
            local = np.flatnonzero(np.isin(positions, self._positions[wanted]))
            target, source, entry = block.pattern(local)
            edges.append(np.stack([positions[target], sources[source], np.full_like(entry, block.tensor), entry]))
        target, source, tensor, entry = np.concatenate(edges, axis=1)
        order = np.lexsort((source, target))
        target, source, tensor, entry = (column[order] for column in (target, source, tensor, entry))
        pooled, start, degree = np.unique(target, return_index=True, return_counts=True)
        rank = self.rank[wanted][np.argsort(self._positions[wanted])]
        groups = []
        for k, d in sorted(set(zip(rank.tolist(), degree.tolist(), strict=True))):
            members = np.flatnonzero((rank == k) & (degree == d))
            edge = start[members][:, None] + np.arange(d)
            groups.append(Pool(k, pooled[members], source[edge], tensor[edge], entry[edge]))
        return tuple(groups)

    @cached_property
    def _positions(self) -> Array:
        return _positions(self.target)


def _positions(index: Positions) -> Array:
    return np.arange(index.start, index.stop) if isinstance(index, slice) else index


@dataclass(frozen=True, eq=False)
class BlockDag:
    """A network's structure as the sweeps see it.

    Attributes
    ----------
    size : int
        N: the constant and every neuron.
    inputs, outputs : ndarray
        Buffer positions, in the order of the network's inputs and outputs.
    nodes : sequence of Node
        In topological order; inputs belong to no node.
    flat : FlatDag, optional
        The same structure as one graph of neurons, if it is one: what the compiled back end sweeps.
    """

    size: int
    inputs: Array
    outputs: Array
    nodes: Sequence[Node]
    flat: FlatDag | None = None

    def blocks(self) -> Iterator[Block]:
        """Every block, in topological order."""
        for node in self.nodes:
            yield from node.blocks
            yield from node.biases


class BlockNetwork(Protocol):
    """What the sweeps need of a network, at any resolution."""

    @property
    def dag(self) -> BlockDag:
        """The structure."""

    @property
    def tensors(self) -> Sequence[Array]:
        """The entries: one array per tensor, float or object."""

    @property
    def scalars(self) -> ScalarKind:
        """What the entries are: floats, exact rationals or SymPy expressions."""
