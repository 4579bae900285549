"""The levels of a neuron graph as blocks, executed by NumPy and SciPy.

A `LevelBlock` holds the edges into some neurons in CSR form. It reads its antecedents, which may lie on any earlier
level, and runs every semiring that has array operations as gather, multiply, segmented sum; the float sums go
through `scipy.sparse`, whose order of summation per output is fixed (the order of the antecedents), so a result
does not depend on the number of samples that are swept together.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from pathgraph.pathsum.blocks import Block, Pattern, Positions
from pathgraph.pathsum.semirings import REAL, Semiring

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["LevelBlock"]


class LevelBlock(Block):
    """Edges into neurons of one level, in CSR form.

    Parameters
    ----------
    target : slice or ndarray
        Buffer positions of the neurons; each has at least one edge.
    start : ndarray, shape (n_target + 1,)
        ``start[i]:start[i + 1]`` are the edges into neuron i.
    antecedent : ndarray, shape (n_edges,)
        Buffer position of each edge's antecedent, increasing within a neuron.
    tensor : int
        Which of the network's tensors holds the weights, one per edge, in the same order.
    """

    def __init__(self, target: Positions, start: Array, antecedent: Array, tensor: int) -> None:
        self.target = target
        self.tensor = tensor
        self._start = start
        self._antecedent = antecedent

    @cached_property
    def source(self) -> Positions:  # type: ignore[override]
        """The antecedents, each once: a slice if they are consecutive."""
        positions, _ = self._sources
        is_run = positions[-1] - positions[0] == len(positions) - 1
        return slice(int(positions[0]), int(positions[-1]) + 1) if is_run else positions

    @property
    def shape(self) -> tuple[int, int]:
        """Number of targets and number of sources."""
        return len(self._start) - 1, len(self._sources[0])

    @cached_property
    def _sources(self) -> tuple[Array, Array]:
        """The antecedents, each once, and which of them each edge comes from."""
        positions, column = np.unique(self._antecedent, return_inverse=True)
        return positions, column.ravel()

    @property
    def _column(self) -> Array:
        return self._sources[1]

    def degrees(self) -> Array:
        """The number of edges into each target."""
        return np.diff(self._start)

    def pattern(self, targets: Array | None = None) -> Pattern:
        """The edges in CSR order."""
        if targets is None:
            return Pattern(self._row, self._column, np.arange(len(self._column)))
        counts = np.diff(self._start)[targets]
        first = np.cumsum(counts) - counts
        entry = np.arange(counts.sum()) + np.repeat(self._start[targets] - first, counts)
        return Pattern(np.repeat(targets, counts), self._column[entry], entry)

    def apply(self, x: Array, w: Array, ring: Semiring) -> Array:
        """The base operation, by array operations where the semiring has them."""
        if ring is REAL and x.dtype.kind == "f":
            return np.asarray((self._matrix(w) @ x.T).T)
        if ring.arrays is None:
            return super().apply(x, w, ring)
        return ring.arrays.segments(ring.arrays.mul(w, x[:, self._column]), self._start[:-1])

    def apply_transpose(self, y: Array, w: Array, ring: Semiring) -> Array:
        """The base operation, by array operations where the semiring has them."""
        if ring is REAL and y.dtype.kind == "f":
            return np.asarray((self._matrix(w).T @ y.T).T)
        if ring.arrays is None:
            return super().apply_transpose(y, w, ring)
        order, start = self._by_source
        return ring.arrays.segments(ring.arrays.mul(w[order], y[:, self._row[order]]), start)

    def entry_gradient(self, x: Array, y: Array, shape: tuple[int, ...], ring: Semiring) -> Array:
        """The base operation, by array operations where the semiring has them; every entry has one edge."""
        if ring.arrays is None:
            return super().entry_gradient(x, y, shape, ring)
        out = ring.arrays.mul(x[0, self._column], y[0, self._row])
        for row in range(1, len(x)):
            out = ring.arrays.add(out, ring.arrays.mul(x[row, self._column], y[row, self._row]))
        return out

    def _matrix(self, w: Array) -> csr_array:
        return csr_array((w, self._column, self._start), shape=self.shape)

    @cached_property
    def _row(self) -> Array:
        return np.repeat(np.arange(self.shape[0]), np.diff(self._start))

    @cached_property
    def _by_source(self) -> tuple[Array, Array]:
        """The edges sorted by source, and where each source starts; every source has an edge."""
        order = np.argsort(self._column, kind="stable")
        return order, np.searchsorted(self._column[order], np.arange(self.shape[1]))
