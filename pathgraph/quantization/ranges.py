"""How large the numbers inside a network get, over a box of inputs: activations, and accumulators in any order."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from pathgraph.arguments import Inputs, half_widths
from pathgraph.errors import ParameterError, RangeError
from pathgraph.graph.network import Network, require_numbers
from pathgraph.metrics.gaps import gamma, roundings
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.exact import accelerated, restored
from pathgraph.pathsum.flat import mapped
from pathgraph.pathsum.sweep import is_safe, sweep
from pathgraph.scalars import Array, to_fraction

__all__ = ["NeuronRanges", "neuron_ranges"]


@dataclass(frozen=True, eq=False)
class NeuronRanges:
    """Bounds of the absolute values that occur at each neuron.

    Attributes
    ----------
    net : Network
    bounds : ndarray, shape (n_nodes,)
        Aligned with ``net.nodes``: of the value of the neuron, of its pre-activation, and of every partial sum of its
        terms, in any order. Fractions on exact networks; floats, rounded up, else.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.neuron_ranges(pg.from_weights([[[1, -2]]], dtype=object), inputs=3)
    NeuronRanges(3 neurons; largest bound 9)
    """

    net: Network
    bounds: Array

    def accumulator_bits(self, step: Any) -> int:
        """Bits of a signed accumulator that counts in multiples of `step` and never overflows, at any neuron.

        For weights that are multiples of one step and activations of another it is the product of the two; biases must
        be multiples of it, too.

        Raises
        ------
        ParameterError
            On a step that is not > 0.
        """
        exact = to_fraction(step, "step")
        if not exact > 0:
            raise ParameterError(f"step: needed a number > 0, got {step!r}")
        inner = np.setdiff1d(np.arange(len(self.bounds)), self.net.architecture.input)
        top = max((to_fraction(bound) for bound in self.bounds[inner].tolist()), default=Fraction(0))
        return int(top / exact).bit_length() + 1

    def __repr__(self) -> str:
        top = max(map(float, self.bounds), default=0.0)
        return f"NeuronRanges({len(self.bounds)} neurons; largest bound {top:.6g})"


def neuron_ranges(net: Network, *, inputs: Inputs | None = None) -> NeuronRanges:
    r"""Bounds of the values and of all partial sums at every neuron, by one sweep.

    Parameters
    ----------
    net : Network
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
    require_numbers(net, "neuron_ranges")
    widths = half_widths(net, inputs)
    x = np.zeros((1, net.dag.size), dtype=object if net.is_exact else np.float64)
    x[0, CONSTANT] = 1
    x[0, net.dag.inputs] = accelerated(widths)
    values = mapped(lambda w: abs(accelerated(w)) if net.is_exact else np.abs(w.astype(np.float64)), net.tensors)
    swept = sweep(net, [(values, None)], x, pools="max")[0]
    if net.is_exact:
        return NeuronRanges(net, restored(swept[1:]))
    if not is_safe([widths, *values], swept):
        exact = neuron_ranges(net.to_exact(), inputs=[to_fraction(w) for w in widths.tolist()])
        try:
            floats = np.array([float(bound) for bound in exact.bounds])
        except OverflowError:
            raise RangeError("neuron_ranges: a bound leaves the range of float64; use net.to_exact()") from None
        return NeuronRanges(net, np.nextafter(floats, np.inf))
    return NeuronRanges(net, swept[1:] * (1 + 2 * gamma(roundings(net, 1) + 2)))
