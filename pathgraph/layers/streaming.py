"""Sweeps over a layer graph that hold only the activations that are still read, and one slab of mapped entries.

The sums of `pathgraph.pathsum.sweep`, layer by layer on compressed tensors: forward, an activation is dropped after its
last reader; for marginals the forward ones are kept (compressed, they are small), and the backward ones are streamed.
Functions |w|^q of the entries are made a slab at a time, so the norm of a network needs little more memory than its
parameters. Evaluation is the same forward sweep with ReLUs and pools, on tensors that are not compressed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.layers.arithmetic import HUGE, Arrays, Entries, Floats, Powers, ScaledFloats
from pathgraph.layers.compressed import Compressed, compress, full, refined, totals_on, with_rank
from pathgraph.layers.kernels import Kernel
from pathgraph.layers.partitions import singletons
from pathgraph.layers.plans import kernel_of, meeting
from pathgraph.layers.views import seen, seen_back, sent
from pathgraph.pathsum.scaled import scaled, scaled_argmax, scaled_sum, scaled_total

if TYPE_CHECKING:
    from pathgraph.layers.operations import Operation
    from pathgraph.layers.layer_graph import LayerGraph
    from pathgraph.layers.structure import Layer, LayerArchitecture
    from pathgraph.scalars import Array

__all__ = ["evaluate", "power_marginals", "power_sums", "power_total"]

BATCH = 1 << 22
"""Entries of the largest activation of the samples that are evaluated together."""


def power_sums(net: LayerGraph, q: float, widths: Array, *, biases: bool = True) -> tuple[Array, bool]:
    """Per output, the sum of the q-th powers of the absolute path products, and whether floats could hold it.

    Parameters
    ----------
    net : LayerGraph
        Of floats.
    q : number in (0, inf]
        For infinity, the largest absolute path product.
    widths : ndarray, shape (n_inputs,)
        Non-negative weights of the paths that start at the inputs.
    biases : bool
        Whether paths that start at a bias count.

    Returns
    -------
    sums : ndarray, shape (n_outputs,)
        float64; scaled numbers if some number on the way came near the ends of the range of floats.
    in_range : bool
    """
    largest = q == math.inf
    entries = Powers(net.tensors, 1 if largest else q)
    start = _powers_of(widths, entries.q)
    constant = np.full(1, float(biases))
    if _kept_all(start, widths):
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            floats = Floats(largest=largest)
            found = _forward(net.architecture, floats, entries, _inputs(net, start[None]), constant)
        if found is not None:
            return _outputs(net.architecture, found), True
    wide = ScaledFloats(largest=largest)
    start = scaled(widths, entries.q)
    found = _forward(net.architecture, wide, entries, _inputs(net, start[None]), scaled(constant))
    assert found is not None
    return _outputs(net.architecture, found), False


def power_total(net: LayerGraph, q: float, widths: Array, *, biases: bool = True) -> tuple[Array, bool]:
    """The sum of `power_sums` over the outputs (their maximum for infinite q), shape (1,), in less time.

    A forward sweep and a transposed one meet where the two together cost least (`pathgraph.layers.plans`).
    """
    start = _powers_of(widths, q if q < math.inf else 1)
    if q < math.inf and _kept_all(start, widths):
        architecture, entries, numbers = net.architecture, Powers(net.tensors, q), Floats()
        inputs = _inputs(net, start[None])
        stop = meeting(architecture, tuple(inputs[name].axes for name in architecture.inputs))
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            total = _met(architecture, numbers, entries, inputs, np.full(1, float(biases)), stop)
        if total is not None:
            return total, True
    sums, in_range = power_sums(net, q, widths, biases=biases)
    if q == math.inf:
        at = int(np.argmax(sums)) if in_range else scaled_argmax(sums)
        return sums[at : at + 1], in_range
    return (sums.sum(keepdims=True), True) if in_range else (scaled_total(sums), False)


def power_marginals(
    net: LayerGraph, q: float, widths: Array, *, biases: bool = True, names: Iterable[str] | None = None
) -> tuple[dict[str, Array], bool]:
    """For each entry, the sum of the q-th powers of the absolute path products through it, and whether floats held it.

    Parameters
    ----------
    net : LayerGraph
        Of floats.
    q : number in (0, inf)
    widths : ndarray, shape (n_inputs,)
    biases : bool
    names : iterable of str, optional
        The tensors wanted; by default those with the role "parameter".

    Returns
    -------
    masses : dict
        By name of the tensor, in its shape: float64, or all scaled numbers. A path that meets a tied entry at several
        places counts at each.
    in_range : bool
    """
    architecture = net.architecture
    roles = zip(architecture.tensor_names, architecture.roles, strict=True)
    wanted = {name for name, role in roles if role == "parameter"} if names is None else set(names)
    entries = Powers(net.tensors, q)
    start, constant = _powers_of(widths, q), np.full(1, float(biases))
    if _kept_all(start, widths):
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            inputs = _inputs(net, start[None])
            stop = meeting(architecture, tuple(inputs[name].axes for name in architecture.inputs))
            found = _masses(architecture, Floats(), entries, inputs, constant, wanted, stop)
        if found is not None:
            return found, True
    start = scaled(widths, q)
    inputs = _inputs(net, start[None])
    stop = len(architecture.layers)
    found = _masses(architecture, ScaledFloats(), entries, inputs, scaled(constant), wanted, stop)
    assert found is not None
    return found, False


def evaluate(net: LayerGraph, rows: Array) -> dict[str, Array] | None:
    """The outputs on a batch.

    Parameters
    ----------
    net : LayerGraph
        Of floats.
    rows : ndarray, shape (batch, n_inputs)
        The inputs, one after the other, in the dtype of the graph.

    Returns
    -------
    dict
        Name of each output to an array of shape (batch, *output shape). None if a value overflows.
    """
    architecture = net.architecture
    largest = max(layer.size for layer in architecture.layers)
    step = max(1, BATCH // largest)
    parts = []
    for first in range(0, max(1, len(rows)), step):
        batch = rows[first : first + step]
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            inputs = _inputs(net, batch, find=False)
            constant = np.ones(len(batch), dtype=batch.dtype)
            found = _forward(architecture, _Evaluation(), Arrays(net.tensors), inputs, constant)
        if found is None:
            return None
        parts.append({name: found[name].states_first() for name in architecture.outputs})
    shapes = {name: architecture.layer(name).shape for name in architecture.outputs}
    return {
        name: np.concatenate([part[name] for part in parts]).reshape(len(rows), *shape)
        for name, shape in shapes.items()
    }


class _Evaluation(Floats):
    """Floats with ReLUs and pools, all of them finite."""

    def activate(self, layer: Layer, x: Compressed) -> Compressed:
        if not np.isfinite(x.values.sum()) and not np.isfinite(x.values).all():
            self.in_range = False
        if layer.activation == "relu":
            return x.map(np.maximum(x.values, 0))
        return x

    def pooled(self, layer: Layer, x: Compressed) -> Compressed:
        run: Any = kernel_of(layer.operations[0])
        return run.largest(x, layer.rank)


# -- one sweep each way -------------------------------------------------------------------------------------------


def _forward(
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
    is_evaluation = isinstance(numbers, _Evaluation)
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


def _backward(
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


def _met(
    architecture: LayerArchitecture,
    numbers: Floats,
    entries: Powers,
    inputs: Mapping[str, Compressed],
    constant: Array,
    stop: int,
) -> Array | None:
    """The sum over all paths, shape (1,): forward over the first layers, backward over the others."""
    forward = _forward(architecture, numbers, entries, inputs, constant, stop=stop)
    backward = None if forward is None else _backward(architecture, numbers, entries, stop)
    if forward is None or backward is None:
        return None
    total = np.zeros(1)
    for name, y in backward.items():
        x = _constant(constant) if name is None else forward[name]
        x, y = refined(x, y)
        numbers.watch_products(x, y)
        total += (x.values * y.values * x.counts()).sum()
    return total if numbers.in_range and total[0] <= HUGE else None


def _masses(
    architecture: LayerArchitecture,
    numbers: Any,
    entries: Powers,
    inputs: Mapping[str, Compressed],
    constant: Array,
    wanted: set[str],
    stop: int,
) -> dict[str, Array] | None:
    """The masses of the wanted tensors; None as soon as numbers leave their range.

    Values on classes forward, and totals on the same classes backward, for the layers before `stop`; the other way
    round for those behind.
    """
    forward = _forward(architecture, numbers, entries, inputs, constant, stop=stop, keep=True)
    backward: Any = None
    if forward is not None:
        is_whole = stop == len(architecture.layers)
        backward = {} if is_whole else _backward(architecture, numbers, entries, stop, keep=True)
    if forward is None or backward is None:
        return None
    found: dict[str, Array] = {}
    source = _constant(constant)
    behind = {layer.name for layer in architecture.layers[stop:] if layer.activation != "input"}

    def add_mass(run: Kernel, operation: Operation, x: Compressed, y: Compressed, tensor: int) -> None:
        name = architecture.tensor_names[tensor]
        if name in wanted:
            mass = numbers.masses(run, x, y, entries, tensor, operation.tensor_shape)
            mass = mass.reshape(architecture.tensor_shapes[tensor])
            found[name] = _sum(found[name], mass) if name in found else mass

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
            add_mass(run, operation, y, sent_on[name], tensor)
            part = numbers.backward(run, sent_on[name], y.axes, entries, tensor, operation.tensor_shape)
            total = part if total is None else numbers.add(total, part)
        sent_on[layer.name] = y.map(np.zeros_like(y.values)) if total is None else total
        if not numbers.in_range:
            return None
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
            add_mass(run, operation, x, y, tensor)
            if name is not None and architecture.layer(name).activation != "input":
                part = numbers.backward(run, y, x.axes, entries, tensor, operation.tensor_shape)
                _receive(received, name, part, numbers.add)
        if not numbers.in_range:
            return None
    dtype = scaled(np.ones(1)).dtype if constant.dtype.names else np.float64
    shapes = dict(zip(architecture.tensor_names, architecture.tensor_shapes, strict=True))
    return {name: found.get(name, np.zeros(shape, dtype)) for name, shape in shapes.items() if name in wanted}


def _edges(layer: Layer) -> list[tuple[Operation, str | None, int]]:
    """The maps into a layer, each with its source, None for the constant, and its tensor."""
    maps: list[tuple[Operation, str | None, int]] = list(
        zip(layer.operations, layer.sources, layer.tensors, strict=True)
    )
    return maps if layer.bias is None else [*maps, (layer.bias[0], None, layer.bias[1])]


def _constant(constant: Array) -> Compressed:
    return Compressed(constant[None], (singletons(1),))


def _apply(
    numbers: Any, run: Kernel, x: Compressed, entries: Entries, tensor: int, operation: Operation
) -> Compressed:
    return numbers.forward(run, x, entries, tensor, operation.tensor_shape)


def _receive(
    received: dict[Any, Compressed], name: str | None, part: Compressed, add: Callable[[Compressed, Compressed], Compressed]
) -> None:
    received[name] = add(received[name], part) if name in received else part


def _sum(a: Array, b: Array) -> Array:
    return scaled_sum(a, b) if a.dtype.names else a + b


def _inputs(net: LayerGraph, rows: Array, *, find: bool = True) -> dict[str, Compressed]:
    """The inputs by name, from rows (S, n_inputs); `find`: look for equal rows and columns."""
    out, first = {}, 0
    for name in net.architecture.inputs:
        layer = net.architecture.layer(name)
        tensor = full(rows[:, first : first + layer.size], layer.shape)
        out[name] = compress(tensor) if find else tensor
        first += layer.size
    return out


def _outputs(architecture: LayerArchitecture, found: Mapping[str, Compressed]) -> Array:
    return np.concatenate([found[name].flat()[0] for name in architecture.outputs])


def _zeros(layer: Layer, constant: Array) -> Compressed:
    return full(np.zeros((len(constant), layer.size), dtype=constant.dtype), layer.shape)


def _powers_of(widths: Array, q: float) -> Array:
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(widths, dtype=np.float64) ** q


def _kept_all(powers: Array, widths: Array) -> bool:
    """Whether no power of a width vanished, and none is near the ends of the range."""
    present = powers[widths != 0]
    info = np.finfo(np.float64)
    return bool((present >= info.tiny).all() and (present <= info.max / 4).all())

