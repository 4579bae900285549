"""Sweeps over a layer graph, layer by layer on compressed tensors: forward, backward, or from both ends at once.

A sweep forgets a tensor as soon as no later layer reads it, unless it is asked to keep everything. It stops, and
returns None, as soon as a number leaves the range of its type (`pathgraph.layers.arithmetic`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pathgraph import threads
from pathgraph.layers.arithmetic import HUGE, Entries, Floats, Powers
from pathgraph.layers.compressed import Compressed, compress, full, refined, with_rank
from pathgraph.layers.kernels import Kernel
from pathgraph.layers.partitions import singletons
from pathgraph.layers.plans import kernel_of
from pathgraph.layers.separable import SeparableKernel
from pathgraph.layers.views import seen, seen_back

if TYPE_CHECKING:
    from pathgraph.layers.operations import Operation
    from pathgraph.layers.structure import Layer, LayerArchitecture
    from pathgraph.scalars import Array

__all__ = [
    "Evaluation",
    "backward_sweep",
    "constant_tensor",
    "crossing",
    "edges_into",
    "forward_sweep",
    "met",
    "receive",
    "sweeps",
    "together",
]

T = TypeVar("T")


class Evaluation(Floats):
    """The arithmetic of an evaluation: floats, which must stay finite, with ReLUs and with pools that select.

    Parameters
    ----------
    is_largest : bool
        Whether every pool takes the largest number it reads, whatever its rank.
    """

    def __init__(self, *, is_largest: bool = False) -> None:
        super().__init__()
        self.is_largest = is_largest

    def activate(self, layer: Layer, x: Compressed) -> Compressed:
        """The activation of a layer; notes in `in_range` if a number it is applied to is not finite."""
        if not np.isfinite(x.values.sum()) and not np.isfinite(x.values).all():
            self.in_range = False
        if layer.activation == "relu":
            return x.map(np.maximum(x.values, 0))
        return x

    def pooled(self, layer: Layer, x: Compressed) -> Compressed:
        """What a pool layer selects from its windows, whose coefficients are 1."""
        run = kernel_of(layer.operations[0])
        assert isinstance(run, SeparableKernel)
        return run.largest(x, 1 if self.is_largest else layer.rank)


def forward_sweep(
    architecture: LayerArchitecture,
    numbers: Any,
    entries: Entries,
    inputs: Mapping[str, Compressed],
    constant: Array,
    *,
    stop: int | None = None,
    keep: bool = False,
) -> dict[str, Compressed] | None:
    """Sweep forward over the layers before the layer number `stop`, by default over all of them.

    Returns
    -------
    dict, or None if a number left its range
        By name, the tensors that later layers still read, and those of outputs; with `keep`, the tensors of all layers
        of the sweep.
    """
    left = {name: len(readers) for name, readers in architecture.readers.items()}
    for name in architecture.outputs:
        left[name] += 1
    alive = dict(inputs)
    is_evaluation = isinstance(numbers, Evaluation)
    source = constant_tensor(constant)
    for layer in architecture.layers[:stop]:
        if layer.is_view:
            alive[layer.name] = seen(layer, [alive[name] for name in layer.sources])
        elif layer.activation != "input":
            total = _sum_into(layer, numbers, entries, alive, source)
            if total is None:
                total = _zeros(layer, constant)
            alive[layer.name] = numbers.activate(layer, total) if is_evaluation else total
            if not numbers.in_range:
                return None
        if keep:
            continue
        for name in dict.fromkeys(layer.sources):
            left[name] -= layer.sources.count(name)
            if not left[name]:
                del alive[name]
        if not left[layer.name]:
            del alive[layer.name]
    return alive


def _sum_into(
    layer: Layer, numbers: Any, entries: Entries, alive: Mapping[str, Compressed], constant: Compressed
) -> Compressed | None:
    """The sum of what the maps into a layer make, before its activation; None if there are no maps.

    In an evaluation, a pool layer selects among what its map reads instead.
    """
    selects = layer.activation == "pool" and isinstance(numbers, Evaluation)
    total: Compressed | None = None
    for operation, read, tensor in edges_into(layer):
        if selects and read is not None:
            part = numbers.pooled(layer, alive[read])
        else:
            x = constant if read is None else alive[read]
            part = _apply(numbers, kernel_of(operation), x, entries, tensor, operation)
        total = part if total is None else numbers.add(total, part)
    return total


def backward_sweep(
    architecture: LayerArchitecture,
    numbers: Any,
    entries: Entries,
    start: int,
    *,
    keep: bool = False,
    ends: Mapping[str, Array] | None = None,
) -> dict[str | None, Compressed] | None:
    """Sweep backward, from the outputs to the layer number `start`.

    Parameters
    ----------
    architecture : LayerArchitecture
    numbers : Floats or ScaledFloats
    entries : Entries
    start : int
        The first layer that the sweep passes through.
    keep : bool
        Whether to return the sums of the layers passed through, too.
    ends : mapping from str to ndarray, shape (S, size), optional
        The weights of the outputs, by output layer, in S states; by default 1 for all outputs, in one state.

    Returns
    -------
    dict, or None if a number left its range
        For each layer before `start` that is read behind it, and for each of its entries, the sum over the paths from
        that entry to the outputs whose first edge leads to a layer that was passed through. Under the key None, the
        same for the constant.
    """
    alive: dict[str | None, Compressed] = {}
    for name in architecture.outputs:
        rows = np.ones((1, architecture.layer(name).size)) if ends is None else ends[name]
        receive(alive, name, compress(full(rows, architecture.layer(name).shape)), numbers.add)
    for layer in reversed(architecture.layers[start:]):
        if layer.name not in alive or layer.activation == "input":
            continue
        y = alive[layer.name] if keep else alive.pop(layer.name)
        if layer.is_view:
            shapes = [architecture.layer(name).shape or (1,) for name in layer.sources]
            for name, part in zip(layer.sources, seen_back(layer, y, shapes), strict=True):
                receive(alive, name, part, numbers.add)
            continue
        for operation, source, tensor in edges_into(layer):
            part = _apply(numbers, kernel_of(operation).transposed, y, entries, tensor, operation)
            rank = 1 if source is None else len(architecture.layer(source).shape) or 1
            receive(alive, source, with_rank(part, rank), numbers.add)
        if not numbers.in_range:
            return None
    return alive


def sweeps(
    architecture: LayerArchitecture,
    numbers: Any,
    entries: Powers,
    inputs: Mapping[str, Compressed],
    constant: Array,
    stop: int,
    *,
    keep: bool = False,
) -> tuple[dict[str, Compressed], dict[str | None, Compressed]] | None:
    """The forward sweep up to the layer `stop` and the backward sweep down to it; None if a number left its range."""

    def there(numbers: Any, entries: Powers) -> dict[Any, Compressed] | None:
        return forward_sweep(architecture, numbers, entries, inputs, constant, stop=stop, keep=keep)

    def back(numbers: Any, entries: Powers) -> dict[Any, Compressed] | None:
        return backward_sweep(architecture, numbers, entries, stop, keep=keep)

    forward, backward = together(numbers, entries, [there, back])
    return None if forward is None or backward is None else (forward, backward)


def together(numbers: Any, entries: Powers, tasks: Sequence[Callable[[Any, Powers], T]]) -> list[T]:
    """The results of tasks that do not need each other.

    Where products are compiled and there are threads for them, the tasks run at the same time, and each gets a part of
    the threads; else they run one after the other. Tasks that run at the same time share nothing: each gets its own
    arithmetic, which watches the range of its numbers, and its own buffer for entries.
    """
    shares = entries.shared(len(tasks))
    if shares is None:
        return [task(numbers, entries) for task in tasks]
    state = np.geterr()

    def run(task: Callable[[Any, Powers], T], own: Any, share: Powers) -> T:
        with np.errstate(**state):
            return task(own, share)

    each = [numbers.fresh() for _ in tasks]
    found = threads.run([partial(run, *arguments) for arguments in zip(tasks, each, shares, strict=True)])
    numbers.in_range &= all(own.in_range for own in each)
    return found


def met(
    architecture: LayerArchitecture,
    numbers: Floats,
    entries: Powers,
    inputs: Mapping[str, Compressed],
    constant: Array,
    stop: int,
) -> Array | None:
    """The sum over all paths, shape (1,), by two sweeps that meet before the layer `stop`; None out of the range."""
    found = sweeps(architecture, numbers, entries, inputs, constant, stop)
    if found is None:
        return None
    total = crossing(numbers, *found, constant)
    return total if numbers.in_range else None


def crossing(
    numbers: Floats, forward: Mapping[str, Compressed], backward: Mapping[str | None, Compressed], constant: Array
) -> Array:
    """The sum over all paths, shape (1,), from two sweeps that met.

    Every path leaves the layers of the forward sweep exactly once: by an edge to one of the other layers, or by ending
    at an output. So the sum is the inner product of what the two sweeps found for the layers that are left.
    """
    total = np.zeros(1)
    for name, y in backward.items():
        x = constant_tensor(constant) if name is None else forward[name]
        x, y = refined(x, y)
        numbers.watch_products(x, y)
        total += (x.values * y.values * x.counts()).sum()
    numbers.in_range &= bool(total[0] <= HUGE)
    return total


def edges_into(layer: Layer) -> list[tuple[Operation, str | None, int]]:
    """The linear maps into a layer: each with the name of the layer it reads (None: the constant) and its tensor."""
    maps: list[tuple[Operation, str | None, int]] = list(
        zip(layer.operations, layer.sources, layer.tensors, strict=True)
    )
    return maps if layer.bias is None else [*maps, (layer.bias[0], None, layer.bias[1])]


def constant_tensor(constant: Array) -> Compressed:
    """The constant, shape (S,), as a tensor with one entry."""
    return Compressed(constant[None], (singletons(1),))


def _apply(numbers: Any, run: Kernel, x: Compressed, entries: Entries, tensor: int, operation: Operation) -> Compressed:
    out: Compressed = numbers.forward(run, x, entries, tensor, operation.tensor_shape)
    return out


def receive(
    received: dict[Any, Compressed],
    name: str | None,
    part: Compressed,
    add: Callable[[Compressed, Compressed], Compressed],
) -> None:
    """Add a part to the sum that a layer has received so far."""
    received[name] = add(received[name], part) if name in received else part


def _zeros(layer: Layer, constant: Array) -> Compressed:
    return full(np.zeros((len(constant), layer.size), dtype=constant.dtype), layer.shape)
