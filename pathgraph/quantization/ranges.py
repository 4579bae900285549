"""How large the numbers inside a network get, over a box of inputs: activations, and accumulators in any order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from pathgraph.arguments import Inputs, half_widths, positive
from pathgraph.errors import RangeError
from pathgraph.graph.network import Network
from pathgraph.metrics.gaps import gamma, roundings
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.exact import accelerated, restored
from pathgraph.pathsum.flat import mapped
from pathgraph.pathsum.preparation import is_safe
from pathgraph.pathsum.sweep import sweep
from pathgraph.resolutions import ReluNetwork, require_network_of_numbers
from pathgraph.scalars import Array, frozen, object_array, to_fraction
from pathgraph.shown import decimal_text

__all__ = ["NeuronRanges", "neuron_ranges"]


@dataclass(frozen=True, eq=False)
class NeuronRanges:
    """Bounds of the absolute values that occur at each neuron.

    Attributes
    ----------
    net : Network or LayerGraph
    bounds : ndarray, shape (n_nodes,), or mapping from layers to arrays of their shapes
        For each neuron of ``net.nodes``, or of each layer that has neurons: of its value, of its pre-activation, and of
        every partial sum of its terms, in any order. Fractions on exact networks; floats, rounded up, else.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.neuron_ranges(pg.from_weights([[[1, -2]]], dtype=object), inputs=3)
    NeuronRanges(3 neurons; largest bound 9)
    """

    net: ReluNetwork
    bounds: Any

    @property
    def flat(self) -> Array:
        """All bounds, in the order of the neurons."""
        if isinstance(self.bounds, Mapping):
            return np.concatenate([bound.ravel() for bound in self.bounds.values()])
        return np.asarray(self.bounds)

    def accumulator_bits(self, step: Any) -> int:
        """Bits of a signed accumulator that counts in multiples of `step` and never overflows, at any neuron.

        For weights that are multiples of one step and activations of another it is the product of the two; biases must
        be multiples of it, too.

        Raises
        ------
        ParameterError
            On a step that is not > 0.
        """
        exact = positive(step, "step")
        flat = self.flat
        inner = np.ones(len(flat), dtype=bool)
        inner[self.net.dag.inputs - 1] = False
        return int(to_fraction(flat[inner].max(initial=0)) / exact).bit_length() + 1

    def __repr__(self) -> str:
        flat = self.flat
        largest = decimal_text(to_fraction(flat.max(initial=0)), 6)
        return f"NeuronRanges({len(flat)} neurons; largest bound {largest})"


def neuron_ranges(net: ReluNetwork, *, inputs: Inputs | None = None) -> NeuronRanges:
    r"""Bounds of the values and of all partial sums at every neuron, by one sweep.

    Parameters
    ----------
    net : Network or LayerGraph
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Half-widths of the box of inputs; ones by default.

    Returns
    -------
    NeuronRanges

    Raises
    ------
    RangeError
        If a bound leaves the range of floats.

    Notes
    -----
    :math:`s_v = |b_v| + \sum_u |w_{uv}| s_u`, with the largest candidate in place of the sum at pools. Attained, at
    x = D, by networks without negative parameters.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> ranges = pg.neuron_ranges(pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None]))
    >>> ranges.bounds.tolist()[2:], ranges.accumulator_bits(0.25)
    ([3.0..., 9.0..., 12.0...], 7)
    """
    require_network_of_numbers(net, "neuron_ranges")
    found = _bounds(net, half_widths(net, inputs))
    if isinstance(net, Network):
        return NeuronRanges(net, found)
    structure: Any = net.architecture
    by_layer = {
        layer.name: frozen(found[structure.positions(layer.name) - 1])
        for layer in structure.layers
        if not layer.is_view
    }
    return NeuronRanges(net, MappingProxyType(by_layer))


def _bounds(net: ReluNetwork, widths: Array) -> Array:
    """For every neuron, in their order."""
    x = np.zeros((1, net.dag.size), dtype=object if net.is_exact else np.float64)
    x[0, CONSTANT] = 1
    x[0, net.dag.inputs] = accelerated(widths)
    values = mapped(lambda w: abs(accelerated(w)) if net.is_exact else np.abs(w.astype(np.float64)), net.tensors)
    swept = sweep(net, [(values, None)], x, pools="max")[0]
    if net.is_exact:
        return restored(swept[1:])
    if not is_safe([widths, *values], swept):
        exact = _bounds(net.to_exact(), object_array(map(to_fraction, widths.tolist())))
        try:
            floats = np.array([float(bound) for bound in exact])
        except OverflowError:
            raise RangeError("neuron_ranges: a bound leaves the range of float64; use net.to_exact()") from None
        return np.asarray(np.nextafter(floats, np.inf))
    return np.asarray(swept[1:] * (1 + 2 * gamma(roundings(net, 1) + 2)))
