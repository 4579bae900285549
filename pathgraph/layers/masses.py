"""The mass of each entry, which is the sum over the paths through it, from two sweeps that meet inside the graph.

The mass of an entry is the entry, times the sum over the paths that lead to it, times the sum over those that start
from it. A forward sweep over the layers before the meeting, and a backward sweep over those behind it, find one of the
two sums for every layer (its **values**). The other one (its **totals**: each class of equal entries has the sum over
the class) is found by going on from the meeting: backward through the layers before it, forward through those behind
it. The two sides do not need each other, and run at the same time. Where a kernel can, it reads each weight once, for
the masses and for the totals.
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
    """Fill arrays with the masses of some tensors.

    Parameters
    ----------
    architecture : LayerArchitecture
    numbers : Floats or ScaledFloats
    entries : Powers
    inputs : mapping from str to Compressed
        With what the paths start at each input.
    constant : ndarray, shape (1,)
        With what the paths start at biases.
    wanted : mapping from int to ndarray
        By number of the tensor, the array that is filled with its masses.
    stop : int
        The number of the layer before which the two sweeps meet.

    Returns
    -------
    bool
        False if a number left its range; then the arrays hold nothing useful.

    Notes
    -----
    The mass of an entry at one of its places is a part of the sum over all paths. So if that sum is in the range of
    floats, every mass is finite.
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
    meeting = _Meeting(architecture, swept[0], swept[1], constant, wanted, stop)
    tensors = _tensors(architecture.layers[:stop]), _tensors(architecture.layers[stop:])
    if tensors[0].isdisjoint(tensors[1] & wanted.keys()):
        in_range = together(numbers, entries, [meeting.behind, meeting.before])
    else:  # an array that both sides fill: one side after the other
        in_range = [side(numbers, entries) for side in (meeting.behind, meeting.before)]
    for tensor in wanted.keys() - meeting.filled:
        wanted[tensor][...] = np.zeros((), dtype=wanted[tensor].dtype)
    return all(in_range)


def _at_cut(
    architecture: LayerArchitecture,
    forward: Mapping[str, Compressed],
    backward: Mapping[str | None, Compressed],
    stop: int,
) -> dict[str | None, Compressed]:
    """The sums over the paths from the layers before the cut, and from the constant, through the layers behind it.

    If the cut is behind all layers, these are ones at the outputs.
    """
    if stop == len(architecture.layers):
        return {name: forward[name].map(np.ones_like(forward[name].values)) for name in architecture.outputs}
    behind = {layer.name for layer in architecture.layers[stop:] if layer.activation != "input"}
    return {name: y for name, y in backward.items() if name not in behind}


@dataclass
class _Meeting:
    """Two sweeps that met, and the arrays that are filled with masses.

    Attributes
    ----------
    architecture : LayerArchitecture
    forward, backward : mapping from str to Compressed
        What the two sweeps found; under the key None of `backward`, what belongs to the constant.
    constant, wanted, stop
        As for `masses`.
    filled : set of int
        The tensors whose arrays have got the masses of at least one place: those of further places are added.
    """

    architecture: LayerArchitecture
    forward: Mapping[str, Compressed]
    backward: Mapping[str | None, Compressed]
    constant: Array
    wanted: Mapping[int, Array]
    stop: int
    filled: set[int] = field(default_factory=set)

    def behind(self, numbers: Any, entries: Powers) -> bool:
        """Find the masses of the layers behind the cut, by totals that go forward; False out of the range."""
        layers = self.architecture.layers[self.stop :]
        own = {layer.name for layer in layers if layer.activation != "input"}
        totals: dict[str | None, Compressed] = {None: constant_tensor(self.constant)}
        for source, y in self.backward.items():
            if source is not None and source not in own:
                totals[source] = totals_on(self.forward[source], y.axes)
        for layer in layers:
            if layer.name not in self.backward or layer.activation == "input":
                continue
            y, total = self.backward[layer.name], None
            if layer.is_view:
                total = sent(layer, [totals[name] for name in layer.sources], y.axes)
            for operation, name, tensor in () if layer.is_view else edges_into(layer):
                run = kernel_of(operation).transposed
                part = self._totals_and_masses(numbers, entries, run, y, totals[name], tensor, operation.tensor_shape)
                total = part if total is None else numbers.add(total, part)
            totals[layer.name] = y.map(np.zeros_like(y.values)) if total is None else total
            if not numbers.in_range:
                return False
        return True

    def before(self, numbers: Any, entries: Powers) -> bool:
        """Find the masses of the layers before the cut, by totals that go backward; False out of the range."""
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
                    self._add_masses(numbers, entries, run, x, y, tensor, operation.tensor_shape)
                else:
                    part = self._totals_and_masses(numbers, entries, run, x, y, tensor, operation.tensor_shape)
                    receive(received, read, part, numbers.add)
            if not numbers.in_range:
                return False
        return True

    def _totals_and_masses(
        self,
        numbers: Any,
        entries: Powers,
        run: Kernel,
        x: Compressed,
        y: Compressed,
        tensor: int,
        shape: tuple[int, ...],
    ) -> Any:
        """Add the masses of one map, and return the totals that it leads back to."""
        if tensor in self.wanted and tensor not in self.filled:
            self.filled.add(tensor)
            return numbers.backward_with_masses(run, x, y, entries, tensor, self.wanted[tensor].reshape(shape))
        self._add_masses(numbers, entries, run, x, y, tensor, shape)
        return numbers.backward(run, y, x.axes, entries, tensor, shape)

    def _add_masses(
        self,
        numbers: Any,
        entries: Powers,
        run: Kernel,
        x: Compressed,
        y: Compressed,
        tensor: int,
        shape: tuple[int, ...],
    ) -> None:
        """Add the masses of one map to those that its tensor has from other places."""
        if tensor not in self.wanted:
            return
        out = self.wanted[tensor].reshape(shape)
        if tensor in self.filled:
            more = np.empty_like(out)
            numbers.masses(run, x, y, entries, tensor, more)
            out[...] = scaled_sum(out, more) if out.dtype.names else out + more
        else:
            self.filled.add(tensor)
            numbers.masses(run, x, y, entries, tensor, out)


def _tensors(layers: Iterable[Layer]) -> set[int]:
    """The numbers of the tensors that some layers use."""
    return {tensor for layer in layers for tensor in layer.all_tensors}
