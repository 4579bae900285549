"""Sweeps over compressed tensors, layer by layer: forward, backward, both to a meeting, and the masses of entries.

Each drops a tensor after its last reader, unless it is asked to keep it, and stops where numbers leave their range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.layers.arithmetic import HUGE, Entries, Floats, Powers
from pathgraph.layers.compressed import Compressed, compress, full, refined, totals_on, with_rank
from pathgraph.layers.kernels import Kernel
from pathgraph.layers.partitions import singletons
from pathgraph.layers.plans import kernel_of
from pathgraph.layers.separable import SeparableKernel
from pathgraph.layers.views import seen, seen_back, sent
from pathgraph.pathsum.scaled import scaled, scaled_sum

if TYPE_CHECKING:
    from pathgraph.layers.operations import Operation
    from pathgraph.layers.structure import Layer, LayerArchitecture
    from pathgraph.scalars import Array

__all__ = ["Evaluation", "forward_sweep", "masses", "met"]


class Evaluation(Floats):
    """Floats with ReLUs and pools, all of them finite."""

    def activate(self, layer: Layer, x: Compressed) -> Compressed:
        """The activation of a layer, on finite numbers."""
        if not np.isfinite(x.values.sum()) and not np.isfinite(x.values).all():
            self.in_range = False
        if layer.activation == "relu":
            return x.map(np.maximum(x.values, 0))
        return x

    def pooled(self, layer: Layer, x: Compressed) -> Compressed:
        """What a pool layer selects, from windows whose coefficients are 1."""
        run = kernel_of(layer.operations[0])
        assert isinstance(run, SeparableKernel)
        return run.largest(x, layer.rank)


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
    """What the first layers (all by default) make and others, or outputs, need, by name (everything, to `keep`).

    None as soon as numbers leave their range.
    """
    left = {name: len(readers) for name, readers in architecture.readers.items()}
    for name in architecture.outputs:
        left[name] += 1
    alive = dict(inputs)
    is_evaluation = isinstance(numbers, Evaluation)
    source = _constant(constant)
    for layer in architecture.layers[:stop]:
        if layer.is_view:
            alive[layer.name] = seen(layer, [alive[name] for name in layer.sources])
        elif layer.activation != "input":
            total = None
            for operation, name, tensor in zip(layer.operations, layer.sources, layer.tensors, strict=True):
                if is_evaluation and layer.activation == "pool":
                    part = numbers.pooled(layer, alive[name])
                else:
                    part = _apply(numbers, kernel_of(operation), alive[name], entries, tensor, operation)
                total = part if total is None else numbers.add(total, part)
            if layer.bias is not None:
                operation, tensor = layer.bias
                part = _apply(numbers, kernel_of(operation), source, entries, tensor, operation)
                total = part if total is None else numbers.add(total, part)
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


def backward_sweep(
    architecture: LayerArchitecture, numbers: Any, entries: Entries, start: int, *, keep: bool = False
) -> dict[str | None, Compressed] | None:
    """The transposed sweep over the layers from `start` on: for each layer before them, what it leads to.

    The sums over the paths from each entry to the outputs whose first edge leads into those layers; under the key None,
    those from the constant. With `keep`, of those layers themselves, too. None as soon as numbers leave their range.
    """
    alive: dict[str | None, Compressed] = {}
    for name in architecture.outputs:
        ones = np.ones((1, architecture.layer(name).size))
        _receive(alive, name, compress(full(ones, architecture.layer(name).shape)), numbers.add)
    for layer in reversed(architecture.layers[start:]):
        if layer.name not in alive or layer.activation == "input":
            continue
        y = alive[layer.name] if keep else alive.pop(layer.name)
        if layer.is_view:
            shapes = [architecture.layer(name).shape or (1,) for name in layer.sources]
            for name, part in zip(layer.sources, seen_back(layer, y, shapes), strict=True):
                _receive(alive, name, part, numbers.add)
            continue
        for operation, source, tensor in _edges(layer):
            part = _apply(numbers, kernel_of(operation).transposed, y, entries, tensor, operation)
            rank = 1 if source is None else len(architecture.layer(source).shape) or 1
            _receive(alive, source, with_rank(part, rank), numbers.add)
        if not numbers.in_range:
            return None
    return alive


def met(
    architecture: LayerArchitecture,
    numbers: Floats,
    entries: Powers,
    inputs: Mapping[str, Compressed],
    constant: Array,
    stop: int,
) -> Array | None:
    """The sum over all paths, shape (1,): forward over the first layers, backward over the others."""
    forward = forward_sweep(architecture, numbers, entries, inputs, constant, stop=stop)
    backward = None if forward is None else backward_sweep(architecture, numbers, entries, stop)
    if forward is None or backward is None:
        return None
    total = np.zeros(1)
    for name, y in backward.items():
        x = _constant(constant) if name is None else forward[name]
        x, y = refined(x, y)
        numbers.watch_products(x, y)
        total += (x.values * y.values * x.counts()).sum()
    return total if numbers.in_range and total[0] <= HUGE else None


def masses(
    architecture: LayerArchitecture,
    numbers: Any,
    entries: Powers,
    inputs: Mapping[str, Compressed],
    constant: Array,
    wanted: Mapping[int, Array],
    stop: int,
) -> bool:
    """Fill arrays with the masses of some tensors; False as soon as numbers leave their range.

    Values on classes forward, and totals on the same classes backward, for the layers before `stop`; the other way
    round for those behind.
    """
    forward = forward_sweep(architecture, numbers, entries, inputs, constant, stop=stop, keep=True)
    backward: Any = None
    if forward is not None:
        is_whole = stop == len(architecture.layers)
        backward = {} if is_whole else backward_sweep(architecture, numbers, entries, stop, keep=True)
    if forward is None or backward is None:
        return False
    found: set[int] = set()
    source = _constant(constant)
    behind = {layer.name for layer in architecture.layers[stop:] if layer.activation != "input"}

    def went_back(run: Kernel, x: Compressed, y: Compressed, tensor: int, shape: tuple[int, ...], on: bool) -> Any:
        """Note the masses, and (if asked `on`) give the totals that the kernel leads back to."""
        if tensor in wanted and tensor not in found:
            out = wanted[tensor].reshape(shape)
            found.add(tensor)
            if on:
                return numbers.backward_with_masses(run, x, y, entries, tensor, out)
            numbers.masses(run, x, y, entries, tensor, out)
        elif tensor in wanted:
            out = wanted[tensor].reshape(shape)
            more = np.empty_like(out)
            numbers.masses(run, x, y, entries, tensor, more)
            out[...] = _sum(out, more)
        return numbers.backward(run, y, x.axes, entries, tensor, shape) if on else None

    # behind the cut: totals forward
    sent_on: dict[str | None, Compressed] = {None: source}
    for name, y in backward.items():
        if name is not None and name not in behind:
            sent_on[name] = totals_on(forward[name], y.axes)
    for layer in architecture.layers[stop:]:
        if layer.name not in backward or layer.activation == "input":
            continue
        y, total = backward[layer.name], None
        if layer.is_view:
            total = sent(layer, [sent_on[name] for name in layer.sources], y.axes)
        for operation, name, tensor in () if layer.is_view else _edges(layer):
            run = kernel_of(operation).transposed
            part = went_back(run, y, sent_on[name], tensor, operation.tensor_shape, True)
            total = part if total is None else numbers.add(total, part)
        sent_on[layer.name] = y.map(np.zeros_like(y.values)) if total is None else total
        if not numbers.in_range:
            return False
    # before the cut: totals backward
    received: dict[str | None, Compressed] = {}
    for name in architecture.outputs if stop == len(architecture.layers) else ():
        counts = np.broadcast_to(forward[name].counts(), forward[name].values.shape)
        start = forward[name].map(scaled(counts) if constant.dtype.names else counts)
        _receive(received, name, start, numbers.add)
    for name, y in backward.items():
        if name is not None and name not in behind:
            received[name] = totals_on(y, forward[name].axes)
    for layer in reversed(architecture.layers[:stop]):
        y = received.pop(layer.name, None)
        if y is None or layer.activation == "input":
            continue
        if layer.is_view:
            axes = [forward[name].axes for name in layer.sources]
            for name, part in zip(layer.sources, numbers.sent_back(layer, y, axes), strict=True):
                _receive(received, name, part, numbers.add)
            continue
        for operation, name, tensor in _edges(layer):
            x, run = source if name is None else forward[name], kernel_of(operation)
            is_read = name is not None and architecture.layer(name).activation != "input"
            part = went_back(run, x, y, tensor, operation.tensor_shape, is_read)
            if is_read:
                _receive(received, name, part, numbers.add)
        if not numbers.in_range:
            return False
    for tensor, out in wanted.items():
        if tensor not in found:
            out[...] = np.zeros((), dtype=out.dtype)
    return True


def _edges(layer: Layer) -> list[tuple[Operation, str | None, int]]:
    """The maps into a layer, each with its source, None for the constant, and its tensor."""
    maps: list[tuple[Operation, str | None, int]] = list(
        zip(layer.operations, layer.sources, layer.tensors, strict=True)
    )
    return maps if layer.bias is None else [*maps, (layer.bias[0], None, layer.bias[1])]


def _constant(constant: Array) -> Compressed:
    return Compressed(constant[None], (singletons(1),))


def _apply(numbers: Any, run: Kernel, x: Compressed, entries: Entries, tensor: int, operation: Operation) -> Compressed:
    out: Compressed = numbers.forward(run, x, entries, tensor, operation.tensor_shape)
    return out


def _receive(
    received: dict[Any, Compressed],
    name: str | None,
    part: Compressed,
    add: Callable[[Compressed, Compressed], Compressed],
) -> None:
    received[name] = add(received[name], part) if name in received else part


def _sum(a: Array, b: Array) -> Array:
    return scaled_sum(a, b) if a.dtype.names else a + b


def _zeros(layer: Layer, constant: Array) -> Compressed:
    return full(np.zeros((len(constant), layer.size), dtype=constant.dtype), layer.shape)
