"""The masses of entries: for each one the sum over the paths through it, from two sweeps that met.

Layers before the meeting have values forward, and take totals backward; those behind it have values backward, and take
totals forward. Neither side needs what the other makes. At each map the gradient in its entries is a product of values
and totals; where kernels can, each weight is read once for it and for the totals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.layers.arithmetic import Floats, Powers
from pathgraph.layers.compressed import Compressed, totals_on
from pathgraph.layers.kernels import Kernel
from pathgraph.layers.passes import constant_tensor, crossing, edges_into, forward_sweep, receive, sweeps, together
from pathgraph.layers.plans import kernel_of
from pathgraph.layers.views import sent
from pathgraph.pathsum.scaled import scaled, scaled_sum

if TYPE_CHECKING:
    from pathgraph.layers.structure import Layer, LayerArchitecture
    from pathgraph.scalars import Array

__all__ = ["masses"]


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

    The sweeps meet before the layer `stop`. A mass at one place of an entry is at most the sum over all paths, so where
    that is in the range of floats the masses are finite.
    """
    swept: Any
    if stop < len(architecture.layers):
        swept = sweeps(architecture, numbers, entries, inputs, constant, stop, keep=True)
    else:
        found = forward_sweep(architecture, numbers, entries, inputs, constant, keep=True)
        swept = None if found is None else (found, {})
    if swept is None:
        return False
    if isinstance(numbers, Floats):
        crossing(numbers, swept[0], _at_cut(architecture, swept[0], swept[1], stop), constant)
        if not numbers.in_range:
            return False
    graph = _Masses(architecture, swept[0], swept[1], constant, wanted, stop)
    tensors = _tensors(architecture.layers[:stop]), _tensors(architecture.layers[stop:])
    if not tensors[0] & tensors[1] & wanted.keys():
        in_range = together(numbers, entries, [graph.behind, graph.before])
    else:  # places of one entry on both sides are added up one after the other
        in_range = [side(numbers, entries) for side in (graph.behind, graph.before)]
    for tensor in wanted.keys() - graph.found:
        wanted[tensor][...] = np.zeros((), dtype=wanted[tensor].dtype)
    return all(in_range)


def _at_cut(
    architecture: LayerArchitecture,
    forward: Mapping[str, Compressed],
    backward: Mapping[str | None, Compressed],
    stop: int,
) -> dict[str | None, Compressed]:
    """What the layers before the cut, and the constant, lead to behind it: for outputs 1, if nothing is behind it."""
    if stop == len(architecture.layers):
        return {name: forward[name].map(np.ones_like(forward[name].values)) for name in architecture.outputs}
    behind = {layer.name for layer in architecture.layers[stop:] if layer.activation != "input"}
    return {name: y for name, y in backward.items() if name not in behind}


@dataclass
class _Masses:
    """Two sweeps that met, and where the masses go."""

    architecture: LayerArchitecture
    forward: Mapping[str, Compressed]
    backward: Mapping[str | None, Compressed]
    constant: Array
    wanted: Mapping[int, Array]
    stop: int
    found: set[int] = field(default_factory=set)

    def behind(self, numbers: Any, entries: Powers) -> bool:
        """The layers behind the cut: totals forward."""
        layers = self.architecture.layers[self.stop :]
        own = {layer.name for layer in layers if layer.activation != "input"}
        sent_on: dict[str | None, Compressed] = {None: constant_tensor(self.constant)}
        for source, y in self.backward.items():
            if source is not None and source not in own:
                sent_on[source] = totals_on(self.forward[source], y.axes)
        for layer in layers:
            if layer.name not in self.backward or layer.activation == "input":
                continue
            y, total = self.backward[layer.name], None
            if layer.is_view:
                total = sent(layer, [sent_on[name] for name in layer.sources], y.axes)
            for operation, name, tensor in () if layer.is_view else edges_into(layer):
                run = kernel_of(operation).transposed
                part = self._led_on(numbers, entries, run, y, sent_on[name], tensor, operation.tensor_shape)
                total = part if total is None else numbers.add(total, part)
            sent_on[layer.name] = y.map(np.zeros_like(y.values)) if total is None else total
            if not numbers.in_range:
                return False
        return True

    def before(self, numbers: Any, entries: Powers) -> bool:
        """The layers before the cut: totals backward."""
        architecture, forward, stop = self.architecture, self.forward, self.stop
        behind = {layer.name for layer in architecture.layers[stop:] if layer.activation != "input"}
        received: dict[str, Compressed] = {}
        for name in architecture.outputs if stop == len(architecture.layers) else ():
            counts = np.broadcast_to(forward[name].counts(), forward[name].values.shape)
            start = forward[name].map(scaled(counts) if self.constant.dtype.names else counts)
            receive(received, name, start, numbers.add)
        for read, behind_it in self.backward.items():
            if read is not None and read not in behind:
                received[read] = totals_on(behind_it, forward[read].axes)
        source = constant_tensor(self.constant)
        for layer in reversed(architecture.layers[:stop]):
            y = received.pop(layer.name, None)
            if y is None or layer.activation == "input":
                continue
            if layer.is_view:
                axes = [forward[name].axes for name in layer.sources]
                for name, part in zip(layer.sources, numbers.sent_back(layer, y, axes), strict=True):
                    receive(received, name, part, numbers.add)
                continue
            for operation, read, tensor in edges_into(layer):
                x, run = source if read is None else forward[read], kernel_of(operation)
                if read is None or architecture.layer(read).activation == "input":
                    self._note(numbers, entries, run, x, y, tensor, operation.tensor_shape)
                else:
                    part = self._led_on(numbers, entries, run, x, y, tensor, operation.tensor_shape)
                    receive(received, read, part, numbers.add)
            if not numbers.in_range:
                return False
        return True

    def _led_on(
        self,
        numbers: Any,
        entries: Powers,
        run: Kernel,
        x: Compressed,
        y: Compressed,
        tensor: int,
        shape: tuple[int, ...],
    ) -> Any:
        """Note the masses, and give the totals that the kernel leads back to."""
        if tensor in self.wanted and tensor not in self.found:
            self.found.add(tensor)
            return numbers.backward_with_masses(run, x, y, entries, tensor, self.wanted[tensor].reshape(shape))
        self._note(numbers, entries, run, x, y, tensor, shape)
        return numbers.backward(run, y, x.axes, entries, tensor, shape)

    def _note(
        self,
        numbers: Any,
        entries: Powers,
        run: Kernel,
        x: Compressed,
        y: Compressed,
        tensor: int,
        shape: tuple[int, ...],
    ) -> None:
        """Note the masses, added to those of other places."""
        if tensor not in self.wanted:
            return
        out = self.wanted[tensor].reshape(shape)
        if tensor in self.found:
            more = np.empty_like(out)
            numbers.masses(run, x, y, entries, tensor, more)
            out[...] = scaled_sum(out, more) if out.dtype.names else out + more
        else:
            self.found.add(tensor)
            numbers.masses(run, x, y, entries, tensor, out)


def _tensors(layers: Iterable[Layer]) -> set[int]:
    """The numbers of the tensors that layers use."""
    return {tensor for layer in layers for tensor in layer.all_tensors}
