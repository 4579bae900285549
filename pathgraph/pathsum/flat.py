"""A whole neuron graph in CSR form, and its entries in one array: what the compiled sweeps run over.

The levels of a neuron graph are blocks like any others, and every sweep can run block by block. But a graph of a
thousand narrow levels would spend its time between the blocks. A `FlatDag` is the same graph seen as a whole, and
`FlatTensors` are the entries of its blocks as views of one array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["FlatDag", "FlatTensors", "mapped"]


@dataclass(frozen=True, eq=False)
class FlatDag:
    """The neurons of a graph in canonical order, with their edges.

    Neuron v stands at position v + 1 of a sweep's buffer. Since the order is topological, a loop over the neurons is a
    sweep; neurons of one level do not depend on each other.

    Attributes
    ----------
    start : ndarray of int64, shape (n_nodes + 1,)
        The edges into neuron v are ``start[v]:start[v + 1]``; they are also its entries.
    antecedent : ndarray of int32 or int64, shape (n_edges,)
        The neuron each edge comes from, increasing for each target.
    biased : ndarray, shape (n_biases,)
        The neurons with a bias, increasing; their entries follow those of the edges.
    activation : ndarray of int8, shape (n_nodes,)
        Code of each activation.
    rank : ndarray, shape (n_nodes,)
        Pool ranks.
    ends : ndarray of int64, shape (n_levels + 1,)
        The neurons of level l are ``ends[l]:ends[l + 1]``.
    """

    start: Array
    antecedent: Array
    biased: Array
    activation: Array
    rank: Array
    ends: Array

    @property
    def n_nodes(self) -> int:
        """Number of neurons."""
        return len(self.start) - 1

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return len(self.antecedent)

    @cached_property
    def run(self) -> Array:
        """The first antecedent of each neuron whose antecedents are consecutive, else -1: no index need be read."""
        out = np.full(self.n_nodes, -1, dtype=self.antecedent.dtype)
        degree = np.diff(self.start)
        some = np.flatnonzero(degree > 0)
        first = self.antecedent[self.start[some]]
        last = self.antecedent[self.start[some + 1] - 1]
        is_run = last - first == degree[some] - 1
        out[some[is_run]] = first[is_run]
        return out

    @cached_property
    def bias(self) -> Array:
        """The entry of the bias of each neuron, or -1."""
        out = np.full(self.n_nodes, -1, dtype=np.int64)
        out[self.biased] = self.n_edges + np.arange(len(self.biased))
        return out

    @cached_property
    def has_runs(self) -> bool:
        """Whether some neuron reads a run of two antecedents or more."""
        return bool(((self.run >= 0) & (np.diff(self.start) > 1)).any())

    @cached_property
    def fan_ins(self) -> tuple[int, ...]:
        """For each level, the largest number of terms that a neuron sums, its bias included."""
        terms = np.diff(self.start)
        terms[self.biased] += 1
        return tuple(np.maximum.reduceat(terms, self.ends[:-1]).tolist())

    @cached_property
    def by_neuron(self) -> tuple[Array, Array]:
        """Where the entries of neuron v go if they are put neuron by neuron, edges before the bias.

        The place of its first edge and the place of its bias, each of shape (n_nodes,).
        """
        before = np.searchsorted(self.biased, np.arange(self.n_nodes))
        return self.start[:-1] + before, self.start[1:] + before


class FlatTensors(Sequence[Any]):
    """The tensors of a network: views of one array.

    Attributes
    ----------
    flat : ndarray, shape (n_entries,)
    slices : tuple of slice
        Where each tensor lies in it; together they cover it.
    shapes : tuple of tuple of int, optional
        Shape of each tensor; all are vectors by default.
    """

    def __init__(
        self, flat: Array, slices: tuple[slice, ...], shapes: tuple[tuple[int, ...], ...] | None = None
    ) -> None:
        self.flat = flat
        self.slices = slices
        self.shapes = shapes

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self)[index]
        part = self.flat[self.slices[index]]
        return part if self.shapes is None else part.reshape(self.shapes[index])

    def __iter__(self) -> Iterator[Array]:
        return (self[index] for index in range(len(self)))


def mapped(f: Callable[..., Array], *tensors: Sequence[Array]) -> Sequence[Array]:
    """``f(t)``, or ``f(t, t', ...)``, for each tensor; `f` acts entry by entry, so flat tensors are mapped at once."""
    first, *others = tensors
    if isinstance(first, FlatTensors) and all(
        isinstance(other, FlatTensors) and other.slices == first.slices for other in others
    ):
        return FlatTensors(f(*(t.flat for t in tensors)), first.slices, first.shapes)  # type: ignore[attr-defined]
    return tuple(f(*group) for group in zip(*tensors, strict=True))
