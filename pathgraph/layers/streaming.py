"""Sums over the paths of large layer graphs of floats, in little memory: norms, masses, metrics, and evaluation.

The sums are those of `pathgraph.pathsum.sweep`, computed layer by layer on compressed tensors. The memory stays small
for two reasons. A tensor is forgotten after the last layer that reads it. (Masses need the tensors of one direction to
the end; compressed, they are small.) And functions |w|^q of the entries are made a slab at a time: the norm of a
network needs little more memory than its parameters.

Evaluation is the same forward sweep, with ReLUs and with pools that select, on tensors that are not compressed. For
metrics the sweep takes other entries than those of the graph, and may have several states.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pathgraph.layers.arithmetic import Arrays, Floats, Powers, ScaledFloats
from pathgraph.layers.compressed import Compressed, compress, full
from pathgraph.layers.masses import masses
from pathgraph.layers.passes import Evaluation, backward_sweep, forward_sweep, met
from pathgraph.layers.plans import meeting
from pathgraph.layers.states import states_at_outputs
from pathgraph.pathsum.scaled import SCALED_DTYPE, scaled, scaled_argmax, scaled_total

if TYPE_CHECKING:
    from pathgraph.layers.layer_graph import LayerGraph
    from pathgraph.layers.structure import LayerArchitecture
    from pathgraph.scalars import Array

__all__ = [
    "evaluate",
    "largest_pass",
    "outputs_at",
    "parameter_masses",
    "power_marginals",
    "power_sums",
    "power_total",
    "state_sums",
    "sums_from_inputs",
]

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
            found = forward_sweep(net.architecture, floats, entries, _inputs(net, start[None]), constant)
        if found is not None:
            return _outputs(net.architecture, found), True
    wide = ScaledFloats(largest=largest)
    start = scaled(widths, entries.q)
    found = forward_sweep(net.architecture, wide, entries, _inputs(net, start[None]), scaled(constant))
    assert found is not None
    return _outputs(net.architecture, found), False


def power_total(net: LayerGraph, q: float, widths: Array, *, biases: bool = True) -> tuple[Array, bool]:
    """The sum of `power_sums` over the outputs (for infinite q, the maximum), shape (1,), in less time.

    A forward and a backward sweep meet where the two together cost least (`pathgraph.layers.plans`).
    """
    start = _powers_of(widths, q if q < math.inf else 1)
    if q < math.inf and _kept_all(start, widths):
        architecture, entries, numbers = net.architecture, Powers(net.tensors, q), Floats()
        inputs = _inputs(net, start[None])
        stop = meeting(architecture, tuple(inputs[name].axes for name in architecture.inputs))
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            total = met(architecture, numbers, entries, inputs, np.full(1, float(biases)), stop)
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
    """For each entry, the sum of the q-th powers of the absolute path products through it.

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
        From names of tensors, in the order of the graph, to arrays of their shapes: all of float64, or all of scaled
        numbers. A path that meets a tied entry at several places counts once for each. The arrays are views of one
        array, which they fill in this order.
    in_range : bool
        Whether floats could hold the masses; if not, they are scaled numbers.
    """
    architecture = net.architecture
    wanted = set(net.parameters if names is None else names)
    chosen = [tensor for tensor, name in enumerate(architecture.tensor_names) if name in wanted]
    flat, in_range = _marginals(net, q, widths, chosen, biases)
    parts = _cut(architecture, flat, chosen)
    return {architecture.tensor_names[tensor]: parts[tensor] for tensor in chosen}, in_range


def parameter_masses(
    net: LayerGraph, q: float, widths: Array, *, biases: bool = True, wide: bool = False
) -> tuple[Array, bool]:
    """`power_marginals` of the parameters, one after the other in one array, shape (n_parameters,).

    `wide`: in scaled numbers even where floats hold them, for those who divide by the entries what may be subnormal.
    """
    chosen = [tensor for tensor, role in enumerate(net.architecture.roles) if role == "parameter"]
    return _marginals(net, q, widths, chosen, biases, wide=wide)


def _marginals(
    net: LayerGraph, q: float, widths: Array, chosen: Sequence[int], biases: bool, *, wide: bool = False
) -> tuple[Array, bool]:
    architecture = net.architecture
    entries, constant = Powers(net.tensors, q), np.full(1, float(biases))
    size = sum(math.prod(architecture.tensor_shapes[tensor]) for tensor in chosen)
    start = _powers_of(widths, q)
    if not wide and _kept_all(start, widths):
        flat = np.empty(size)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            inputs = _inputs(net, start[None])
            stop = meeting(architecture, tuple(inputs[name].axes for name in architecture.inputs))
            if masses(architecture, Floats(), entries, inputs, constant, _cut(architecture, flat, chosen), stop):
                return flat, True
    flat = np.empty(size, dtype=SCALED_DTYPE)
    inputs, stop = _inputs(net, scaled(widths, q)[None]), len(architecture.layers)
    masses(architecture, ScaledFloats(), entries, inputs, scaled(constant), _cut(architecture, flat, chosen), stop)
    return flat, False


def _cut(architecture: LayerArchitecture, flat: Array, chosen: Sequence[int]) -> dict[int, Array]:
    """Cut an array into views, one for each tensor, in the shape of the tensor."""
    shapes = [architecture.tensor_shapes[tensor] for tensor in chosen]
    stops = np.cumsum([math.prod(shape) for shape in shapes])
    return {
        tensor: flat[stop - math.prod(shape) : stop].reshape(shape)
        for tensor, shape, stop in zip(chosen, shapes, stops, strict=True)
    }


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
    shapes = {name: architecture.layer(name).shape for name in architecture.outputs}
    if not len(rows):
        return {name: np.empty((0, *shape), dtype=rows.dtype) for name, shape in shapes.items()}
    step = max(1, BATCH // max(layer.size for layer in architecture.layers))
    parts = []
    for first in range(0, len(rows), step):
        batch = rows[first : first + step]
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            inputs = _inputs(net, batch, find=False)
            constant = np.ones(len(batch), dtype=batch.dtype)
            found = forward_sweep(architecture, Evaluation(), Arrays(net.tensors), inputs, constant)
        if found is None:
            return None
        parts.append({name: found[name].states_first() for name in architecture.outputs})
    return {
        name: np.concatenate([part[name] for part in parts]).reshape(len(rows), *shape)
        for name, shape in shapes.items()
    }


def state_sums(
    net: LayerGraph, terms: Sequence[tuple[Sequence[Array], Array | None]], widths: Array, n_states: int
) -> tuple[Array, bool]:
    """The states of a forward sweep at the outputs, shape (n_states, n_outputs), and whether floats could hold them.

    Parameters
    ----------
    net : LayerGraph
        Only its structure is read.
    terms : sequence of (values, transition)
        Non-negative entries in float64, one array for each tensor, and from which states to which they lead; see
        `pathgraph.layers.states.states_at_outputs`.
    widths : ndarray, shape (n_inputs,)
        Non-negative weights with which the inputs start in the first state. The constant starts with 1.
    n_states : int
    """
    if not _kept_all(widths, widths):
        return np.zeros((n_states, len(net.dag.outputs))), False
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return states_at_outputs(net.architecture, terms, _inputs(net, widths[None]), n_states)


def sums_from_inputs(net: LayerGraph, first: int, stop: int) -> Array | None:
    """The sum of the absolute path products from each input to each of the outputs ``first:stop``.

    One backward sweep gives them all, in an array of shape (stop - first, n_inputs); None if floats cannot hold them.
    """
    architecture, ends, place = net.architecture, {}, 0
    for name in architecture.outputs:
        size = architecture.layer(name).size
        ends[name] = np.eye(stop - first, size, k=first - place)
        place += size
    numbers = Floats()
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        found = backward_sweep(architecture, numbers, Powers(net.tensors, 1), 0, ends=ends)
    if found is None or not numbers.in_range:
        return None
    parts = [
        found[name].flat() if name in found else np.zeros((stop - first, architecture.layer(name).size))
        for name in architecture.inputs
    ]
    return np.concatenate(parts, axis=1)


def outputs_at(net: LayerGraph, values: Sequence[Array], rows: Array) -> Array | None:
    """The outputs of the same structure with other entries at some inputs; None if a value overflows.

    Parameters
    ----------
    net : LayerGraph
        Only its structure is read.
    values : sequence of ndarray
        Entries in float64, one array for each tensor.
    rows : ndarray, shape (n, n_inputs)
        Evaluated all at once, on compressed tensors: meant for a few inputs with many equal coordinates.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        constant = np.ones(len(rows))
        found = forward_sweep(net.architecture, Evaluation(), Arrays(values), _inputs(net, rows), constant)
    if found is None:
        return None
    return np.concatenate([found[name].flat() for name in net.architecture.outputs], axis=1)


def largest_pass(net: LayerGraph, sizes: Sequence[Array], widths: Array) -> Array | None:
    """Per output, a forward sweep with non-negative entries in which pools take the largest number they read.

    Parameters
    ----------
    net : LayerGraph
        Only its structure is read.
    sizes : sequence of ndarray
        Non-negative entries in float64, one array for each tensor.
    widths : ndarray, shape (n_inputs,)
        The non-negative numbers at the inputs.

    Returns
    -------
    ndarray, shape (n_outputs,), or None if floats cannot hold it
    """
    if not _kept_all(widths, widths):
        return None
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        inputs, numbers = _inputs(net, widths[None]), Evaluation(is_largest=True)
        found = forward_sweep(net.architecture, numbers, Powers(sizes, 1), inputs, np.ones(1))
    return None if found is None else _outputs(net.architecture, found)


def _inputs(net: LayerGraph, rows: Array, *, find: bool = True) -> dict[str, Compressed]:
    """The inputs by name, from rows (S, n_inputs); `find`: look for equal positions."""
    out, first = {}, 0
    for name in net.architecture.inputs:
        layer = net.architecture.layer(name)
        tensor = full(rows[:, first : first + layer.size], layer.shape)
        out[name] = compress(tensor) if find else tensor
        first += layer.size
    return out


def _outputs(architecture: LayerArchitecture, found: Mapping[str, Compressed]) -> Array:
    return np.concatenate([found[name].flat()[0] for name in architecture.outputs])


def _powers_of(widths: Array, q: float) -> Array:
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(widths, dtype=np.float64) ** q


def _kept_all(powers: Array, widths: Array) -> bool:
    """Whether no power of a width that is not zero vanished, and none is near the ends of the range."""
    present = powers[widths != 0]
    info = np.finfo(np.float64)
    return bool((present >= info.tiny).all() and (present <= info.max / 4).all())
