"""Counters of the paths of a layer graph, which make no edges: what sums over paths use where the sum is a count."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.arguments import per_input
from pathgraph.graph.architecture import PARAMETER
from pathgraph.pathsum.residues import PathCounter
from pathgraph.pathsum.semirings import COUNT, Semiring

if TYPE_CHECKING:
    from pathgraph.resolutions import ReluNetwork
    from pathgraph.scalars import Array

__all__ = ["counts_of_parameters", "ones_of", "path_counter"]


def ones_of(net: ReluNetwork) -> Sequence[Array]:
    """Entries that are all one, in the shapes of the tensors."""
    return net.architecture.cut(np.ones(net.architecture.n_entries))


def path_counter(
    net: ReluNetwork, ring: Semiring, inputs: Any, biases: bool, source: Hashable | None, backend: str | None
) -> PathCounter | None:
    """A counter of the paths of a layer graph, which makes no edges.

    None if the sum is no count of a layer graph, or if the paths start with something else than numbers of paths.
    """
    if ring is not COUNT or backend is not None or net.dag.flat is not None:
        return None
    numbers = per_input(net, inputs, 1)
    if not all(isinstance(number, (int, np.integer)) and number >= 0 for number in numbers):
        return None
    position = None if source is None else net.architecture.index(source) + 1
    return PathCounter(net.dag, ones_of(net), inputs=numbers, biases=biases, source=position)


def counts_of_parameters(net: ReluNetwork, counter: PathCounter) -> Any:
    """The numbers of paths through each parameter of a layer graph, whose entries are parameters, each its own."""
    architecture = net.architecture
    free = architecture.role == PARAMETER
    slices = dict(enumerate(architecture.tensor_slices))
    counts = counter.through_entries([tensor for tensor, part in slices.items() if free[part].any()])
    parts = [np.empty(0, dtype=object), *(counts[tensor].ravel() for tensor in sorted(counts))]
    return architecture.arranged(np.concatenate(parts))
