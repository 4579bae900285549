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

from pathgraph.layers.arithmetic import Arrays, Entries, Floats, Powers, ScaledFloats
from pathgraph.layers.compressed import Compressed, compress, full
from pathgraph.layers.kernels import by_edges, kernel
from pathgraph.layers.operations import Operation
from pathgraph.layers.views import seen
from pathgraph.pathsum.scaled import scaled

if TYPE_CHECKING:
    from pathgraph.layers.layer_graph import LayerGraph
    from pathgraph.layers.structure import Layer, LayerArchitecture
    from pathgraph.scalars import Array

__all__ = ["evaluate", "power_marginals", "power_sums"]

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
            found = _masses(architecture, Floats(), entries, _inputs(net, start[None]), constant, wanted)
        if found is not None:
            return found, True
    start = scaled(widths, q)
    found = _masses(architecture, ScaledFloats(), entries, _inputs(net, start[None]), scaled(constant), wanted)
    assert found is not None
    return found, False


def evaluate(net: LayerGraph, rows: Array) -> dict[str, Array]:
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
        Name of each output to an array of shape (batch, *output shape). Infinite or NaN where a value overflows
        anywhere in the network.
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
        assert found is not None
        parts.append({name: found[name].states_first() for name in architecture.outputs})
    shapes = {name: architecture.layer(name).shape for name in architecture.outputs}
    return {
        name: np.concatenate([part[name] for part in parts]).reshape(len(rows), *shape)
        for name, shape in shapes.items()
    }


class _Evaluation(Floats):
    """Floats with ReLUs and pools; what overflows stays visible."""

    def activate(self, layer: Layer, x: Compressed) -> Compressed:
        if not np.isfinite(x.values.sum()) and not np.isfinite(x.values).all():
            return x.map(np.full_like(x.values, np.nan))
        if layer.activation == "relu":
            np.maximum(x.values, 0, out=x.values)
        return x

    def pooled(self, layer: Layer, x: Compressed) -> Compressed:
        run: Any = kernel(layer.operations[0])
        return run.largest(x, layer.rank)


# -- one sweep each way -------------------------------------------------------------------------------------------


def _forward(
    architecture: LayerArchitecture,
    numbers: Any,
    entries: Entries,
    inputs: Mapping[str, Compressed],
    constant: Array,
    *,
    keep: bool = False,
) -> dict[str, Compressed] | None:
    """The outputs (or everything, to `keep`) by name; None as soon as numbers leave their range."""
    left = {name: len(readers) for name, readers in architecture.readers.items()}
    for name in architecture.outputs:
        left[name] += 1
    alive: dict[str, Compressed] = {}
    is_evaluation = isinstance(numbers, _Evaluation)
    source = Compressed(constant[None], full(constant, ()).axes)
    for layer in architecture.layers:
        if layer.activation == "input":
            alive[layer.name] = inputs[layer.name]
        elif layer.is_view:
            alive[layer.name] = seen(layer, [alive[name] for name in layer.sources])
        else:
            total = None
            for operation, name, tensor in zip(layer.operations, layer.sources, layer.tensors, strict=True):
                if is_evaluation and layer.activation == "pool":
                    part = numbers.pooled(layer, alive[name])
                else:
                    part = _apply(numbers.forward, operation, alive[name], entries, tensor)
                total = part if total is None else numbers.add(total, part)
            if layer.bias is not None:
                part = _apply(numbers.forward, layer.bias[0], source, entries, layer.bias[1])
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


def _masses(
    architecture: LayerArchitecture,
    numbers: Any,
    entries: Powers,
    inputs: Mapping[str, Compressed],
    constant: Array,
    wanted: set[str],
) -> dict[str, Array] | None:
    """The masses of the wanted tensors; None as soon as numbers leave their range."""
    forward = _forward(architecture, numbers, entries, inputs, constant, keep=True)
    if forward is None:
        return None
    source = Compressed(constant[None], full(constant, ()).axes)
    backward: dict[str, Compressed] = {}  # totals on the classes of the forward tensors
    for name in architecture.outputs:
        counts = np.broadcast_to(forward[name].counts(), forward[name].values.shape)
        start = forward[name].map(scaled(counts) if constant.dtype.names else counts)
        _receive(backward, name, start, numbers.add)
    found: dict[str, Array] = {}
    for layer in reversed(architecture.layers):
        y = backward.pop(layer.name, None)
        x = forward.pop(layer.name)
        del x
        if y is None or layer.activation == "input":
            continue
        if layer.is_view:
            axes = [forward[name].axes for name in layer.sources]
            for name, part in zip(layer.sources, numbers.sent_back(layer, y, axes), strict=True):
                _receive(backward, name, part, numbers.add)
            continue
        pairs = [(o, forward[s], t) for o, s, t in zip(layer.operations, layer.sources, layer.tensors, strict=True)]
        if layer.bias is not None:
            pairs.append((layer.bias[0], source, layer.bias[1]))
        for operation, x, tensor in pairs:
            name = architecture.tensor_names[tensor]
            if name in wanted:
                run = kernel(operation) or by_edges(operation)
                mass = numbers.masses(run, x, y, entries, tensor, operation.tensor_shape)
                mass = mass.reshape(architecture.tensor_shapes[tensor])
                found[name] = mass if name not in found else _sum(found[name], mass)
        for operation, name, tensor in zip(layer.operations, layer.sources, layer.tensors, strict=True):
            if architecture.layer(name).activation != "input":
                run = kernel(operation) or by_edges(operation)
                part = numbers.backward(run, y, forward[name].axes, entries, tensor, operation.tensor_shape)
                _receive(backward, name, part, numbers.add)
        if not numbers.in_range:
            return None
    dtype = scaled(np.ones(1)).dtype if constant.dtype.names else np.float64
    shapes_by_name = dict(zip(architecture.tensor_names, architecture.tensor_shapes, strict=True))
    names = [name for name in architecture.tensor_names if name in wanted]
    return {name: found[name] if name in found else np.zeros(shapes_by_name[name], dtype) for name in names}


def _apply(
    method: Callable[..., Compressed], operation: Operation, x: Compressed, entries: Entries, tensor: int
) -> Compressed:
    return method(kernel(operation) or by_edges(operation), x, entries, tensor, operation.tensor_shape)


def _receive(
    received: dict[str, Compressed], name: str, part: Compressed, add: Callable[[Compressed, Compressed], Compressed]
) -> None:
    received[name] = add(received[name], part) if name in received else part


def _sum(a: Array, b: Array) -> Array:
    from pathgraph.pathsum.scaled import scaled_sum

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

