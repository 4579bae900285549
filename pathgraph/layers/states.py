"""Forward sweeps in several states of an automaton, over compressed tensors and with non-negative entries.

These are the sums of `pathgraph.pathsum.sweep` with terms (values, transition), computed layer by layer. A state that
no path has reached yet is None, and takes no time; neither does a tensor whose entries are all zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.layers.arithmetic import Floats, Powers
from pathgraph.layers.compressed import Compressed
from pathgraph.layers.partitions import one_class
from pathgraph.layers.passes import constant_tensor, edges_into
from pathgraph.layers.plans import kernel_of
from pathgraph.layers.views import seen

if TYPE_CHECKING:
    from pathgraph.layers.structure import Layer, LayerArchitecture
    from pathgraph.scalars import Array

__all__ = ["states_at_outputs"]

States = list[Compressed | None]
"""A tensor in each state; None if no path has reached it."""


def states_at_outputs(
    architecture: LayerArchitecture,
    terms: Sequence[tuple[Sequence[Array], Array | None]],
    inputs: Mapping[str, Compressed],
    n_states: int,
) -> tuple[Array, bool]:
    """The states at the outputs, shape (n_states, n_outputs), and whether all stayed in the range of floats.

    Parameters
    ----------
    architecture : LayerArchitecture
    terms : sequence of (values, transition)
        The values are non-negative entries, one array for each tensor. The transition is a matrix of bool that says
        from which states (rows) to which (columns) they lead; None stands for the identity.
    inputs : mapping from str to Compressed
        With what the paths start in the first state. At biases they start with 1, in the first state.
    n_states : int
    """
    numbers = Floats()
    moves = [(Powers(values, 1), _moves(transition, n_states)) for values, transition in terms]
    left = {name: len(readers) for name, readers in architecture.readers.items()}
    alive: dict[str | None, States] = {None: [constant_tensor(np.ones(1)), *[None] * (n_states - 1)]}
    alive |= {name: [x, *[None] * (n_states - 1)] for name, x in inputs.items()}
    for layer in architecture.layers:
        if layer.is_view:
            alive[layer.name] = _seen(layer, [alive[name] for name in layer.sources], architecture)
        elif layer.activation != "input":
            alive[layer.name] = _sums_into(layer, numbers, moves, alive, n_states)
            if not numbers.in_range:
                break
        for name in dict.fromkeys(layer.sources):
            left[name] -= layer.sources.count(name)
            if not left[name] and name not in architecture.outputs:
                del alive[name]
    out = np.zeros((n_states, sum(architecture.layer(name).size for name in architecture.outputs)))
    first = 0
    for name in architecture.outputs if numbers.in_range else ():
        stop = first + architecture.layer(name).size
        for state, x in enumerate(alive[name]):
            if x is not None:
                out[state, first:stop] = x.flat()[0]
        first = stop
    return out, numbers.in_range


def _sums_into(
    layer: Layer,
    numbers: Floats,
    moves: Sequence[tuple[Powers, list[tuple[int, int]]]],
    alive: Mapping[str | None, States],
    n_states: int,
) -> States:
    """The sum of what the maps into a layer make, in each state."""
    totals: States = [None] * n_states
    for operation, name, tensor in edges_into(layer):
        run, sources = kernel_of(operation), alive[name]
        for entries, pairs in moves:
            if not entries.tensors[tensor].any():
                continue
            for before, after in pairs:
                x, total = sources[before], totals[after]
                if x is not None:
                    part = numbers.forward(run, x, entries, tensor, operation.tensor_shape)
                    totals[after] = part if total is None else numbers.add(total, part)
    return totals


def _moves(transition: Any, n_states: int) -> list[tuple[int, int]]:
    """The pairs (state before, state after) of a transition."""
    matrix = np.eye(n_states, dtype=bool) if transition is None else np.asarray(transition, dtype=bool)
    return [(int(before), int(after)) for before, after in np.argwhere(matrix)]


def _seen(layer: Layer, sources: Sequence[States], architecture: LayerArchitecture) -> States:
    """What a view makes of its sources, in each state."""
    out: States = []
    for parts in zip(*sources, strict=True):
        if all(part is None for part in parts):
            out.append(None)
            continue
        shapes = [architecture.layer(name).shape or (1,) for name in layer.sources]
        there = [_nothing(shape) if part is None else part for part, shape in zip(parts, shapes, strict=True)]
        out.append(seen(layer, there))
    return out


def _nothing(shape: tuple[int, ...]) -> Compressed:
    """A tensor of zeros."""
    return Compressed(np.zeros((1,) * (len(shape) + 1)), tuple(map(one_class, shape)))
