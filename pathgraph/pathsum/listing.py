"""The paths of a network as a sequence: counted exactly, found by index, listed lazily."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from pathgraph.graph.network import Network
from pathgraph.graph.scalars import Array
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.semirings import COUNT
from pathgraph.pathsum.sweep import buffer, edge_values, sweep

__all__ = ["Path", "Paths"]

Path: TypeAlias = tuple[Hashable, ...]


class Paths(Sequence[Path]):
    """The paths of a network to its outputs (or to one neuron), listed lazily.

    Any path is found by its index without listing those before it, and ``len`` is exact.
    """

    def __init__(self, net: Network, node: Hashable | None = None) -> None:
        architecture = net.architecture
        self._net = net
        ends = net.dag.outputs if node is None else np.array([architecture.index(node) + 1])
        self._ends: list[int] = ends.tolist()
        x = buffer(net, COUNT)
        x[0, CONSTANT] = 1
        x[0, net.dag.inputs] = 1
        self._counts: Array = sweep(net, [(edge_values(net, COUNT), None)], x, ring=COUNT)[0]
        self._inputs = set(net.dag.inputs.tolist())

    @property
    def total(self) -> int:
        """Their number, of any size."""
        return int(sum(self._counts[end] for end in self._ends))

    @property
    def ends(self) -> list[int]:
        """Buffer positions of the neurons at which they end."""
        return self._ends

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(self.total)[index]]
        rank = range(self.total)[index]
        choices, path = self._ends, []
        while True:
            for position in choices:
                size = 1 if position == CONSTANT else self._counts[position]
                if rank < size:
                    break
                rank -= size
            if position == CONSTANT:
                break
            path.append(position)
            if position in self._inputs:
                break
            choices = self._before(position)
        return tuple(self._net.nodes[p - 1] for p in reversed(path))

    def __iter__(self) -> Iterator[Path]:
        nodes = self._net.nodes
        stack: list[tuple[int, Path]] = [(end, ()) for end in reversed(self._ends)]
        while stack:
            position, suffix = stack.pop()
            if position == CONSTANT:
                yield suffix
                continue
            path = (nodes[position - 1], *suffix)
            if position in self._inputs:
                yield path
            else:
                stack.extend((p, path) for p in reversed(self._before(position)) if p == CONSTANT or self._counts[p])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other))  # noqa: B905

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(repr(self[i]) for i in range(min(3, self.total)))
        return f"[{shown}{', ...' if self.total > 3 else ''}] ({self.total})"

    def _before(self, position: int) -> list[int]:
        """Where a path may come from: the antecedents, then the constant if the neuron has a bias."""
        architecture = self._net.architecture
        lo, hi = architecture.start[position - 1], architecture.start[position]
        before: list[int] = (architecture.antecedent[lo:hi] + 1).tolist()
        has_bias = architecture.bias_entry(architecture.nodes[position - 1]) is not None
        return [*before, CONSTANT] if has_bias else before
