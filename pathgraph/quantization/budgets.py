r"""Where to spend bits: as many for each layer or neuron as the outputs need.

With b_g bits for the n_g weights of group g, whose largest is r_g, the step is about :math:`2 r_g 2^{-b_g}`, and to
first order the outputs move by at most :math:`\sum_g c\, 2 r_g S_g 2^{-b_g}`, S_g being the sum of the slopes in the
group (`pathgraph.quantization.sensitivities`) and c = 1/2 to nearest. The least total :math:`\sum_g n_g b_g` under this
is attained where each group's share of the error is its share of the weights:

.. math:: b_g = \log_2 \frac{2 c\, r_g S_g n}{n_g \varepsilon} ,

a group whose number would be negative getting none, the others being solved for again. Whole bits are then dealt out
where the error per weight is largest, and taken away again wherever the bound itself, not its linearisation, allows.

Source: derived here.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np

from pathgraph.arguments import Inputs
from pathgraph.errors import ParameterError, RangeError
from pathgraph.metrics.parameter_boxes import perturbation_bound
from pathgraph.quantization.networks import By, parameter_groups, require_grouping
from pathgraph.quantization.quantizers import Quantizer
from pathgraph.quantization.sensitivities import sensitivities
from pathgraph.resolutions import ReluNetwork, require_network_of_numbers
from pathgraph.scalars import object_array, to_fraction

__all__ = ["BitAllocation", "allocate_bits", "relaxed_bits"]

MOST = 256


@dataclass(frozen=True)
class BitAllocation:
    """Bits for each group of parameters.

    Attributes
    ----------
    by : {"network", "layer", "channel", "neuron"}
        What the groups are.
    bits, sizes : mapping from labels to int
        Bits per weight and number of weights of each group.
    quantizers : mapping from labels to Quantizer
        What rounds each group to so many bits, for `quantize`; a group of no bits becomes zero.
    relaxed : mapping from labels to float
        The real numbers of bits that minimise the linearised problem.
    bound : float or Fraction
        What the outputs move by at most, in total, over the box: at most the accuracy asked for.

    Examples
    --------
    >>> import pathgraph as pg
    >>> allocation = pg.allocate_bits(pg.from_weights([[[1]], [[4]]], dtype=object), 1)
    >>> dict(allocation.bits), allocation.total, allocation.average
    ({1: 4, 2: 3}, 7, 3.5)
    """

    by: str
    bits: Mapping[Hashable, int]
    sizes: Mapping[Hashable, int]
    quantizers: Mapping[Hashable, Quantizer]
    relaxed: Mapping[Hashable, float]
    bound: Any

    @property
    def total(self) -> int:
        """Bits of all weights."""
        return sum(self.bits[label] * self.sizes[label] for label in self.bits)

    @property
    def average(self) -> float:
        """Bits per weight."""
        return self.total / max(1, sum(self.sizes.values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{label!r}: {bits}" for label, bits in list(self.bits.items())[:6])
        more = ", ..." if len(self.bits) > 6 else ""
        return f"BitAllocation({{{shown}{more}}} by {self.by}; {self.average:.2f} bits per weight)"


def allocate_bits(net: ReluNetwork, eps: Any, *, inputs: Inputs | None = None, groups: By = "layer") -> BitAllocation:
    """Bits for each group of parameters, rounded to nearest, that keep the output within eps at the least cost.

    Parameters
    ----------
    net : Network or LayerGraph
    eps : number > 0
        The accuracy: a bound of the sum over the outputs of the absolute errors, at all inputs in the box.
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Half-widths of the box; ones by default.
    groups : {"network", "layer", "channel", "neuron"}
        Which parameters share a number of bits and a step: see `parameter_groups`. The layers of a layer graph are its
        own.

    Returns
    -------
    BitAllocation

    Raises
    ------
    ParameterError
        On eps that is not > 0.
    RangeError
        If 256 bits are not enough.

    Notes
    -----
    A group of b bits has the step r / (2**(b - 1) - 1), r being its largest absolute value, so that there are
    2**b - 1 levels; b is 0 (all become zero) or at least 2. The whole numbers are found greedily: no single bit can be
    taken from any group, but another distribution may cost less, on average by some hundredths of a bit per weight.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[8, 1], [4, 2]], [[0.5, 0.25]]])
    >>> allocation = pg.allocate_bits(net, 0.5)
    >>> allocation
    BitAllocation({1: 6, 2: 5} by layer; 5.67 bits per weight)
    >>> rounded = pg.quantize(net, allocation.quantizers, by="layer")
    >>> float(pg.path_metric(net, rounded)) <= allocation.bound <= 0.5
    True
    """
    require_network_of_numbers(net, "allocate_bits")
    require_grouping(groups, "groups")
    accuracy = to_fraction(eps, "eps")
    if not accuracy > 0:
        raise ParameterError(f"eps: needed a number > 0, got {eps!r}")
    problem = _Problem(net, accuracy, inputs, groups)
    bits = problem.reduced(problem.dealt())
    labels = problem.labels
    return BitAllocation(
        groups,
        MappingProxyType(dict(zip(labels, bits, strict=True))),
        MappingProxyType(dict(zip(labels, problem.counts, strict=True))),
        MappingProxyType({label: problem.quantizer(g, bits[g]) for g, label in enumerate(labels)}),
        MappingProxyType(dict(zip(labels, problem.relaxed(), strict=True))),
        problem.bound(bits),
    )


def relaxed_bits(costs: Sequence[float | Fraction], counts: Sequence[int], eps: float | Fraction) -> list[float]:
    r"""The numbers :math:`b_g \ge 0` of least :math:`\sum n_g b_g` with :math:`\sum a_g 2^{-b_g} \le \varepsilon`.

    Parameters
    ----------
    costs : sequence of float or Fraction
        The errors :math:`a_g \ge 0` without bits.
    counts : sequence of int
        Weights of the groups.
    eps : float or Fraction

    Examples
    --------
    >>> from pathgraph.quantization.budgets import relaxed_bits
    >>> relaxed_bits([4.0, 16.0], [1, 1], 1.0)
    [3.0, 5.0]
    >>> relaxed_bits([0.25, 16.0], [1, 1], 1.25)
    [0.0, 4.0]
    """
    free, left = [g for g, cost in enumerate(costs) if cost > 0], eps
    bits = [0.0] * len(costs)
    if sum(costs) <= eps:
        return bits
    while free:
        total = sum(counts[g] for g in free)
        found = {g: _log2(costs[g] * total / (counts[g] * left)) for g in free}
        clipped = [g for g in free if found[g] < 0]
        if not clipped:
            for g in free:
                bits[g] = found[g]
            break
        left -= sum(costs[g] for g in clipped)  # what they cost without bits, less than their share
        free = [g for g in free if g not in clipped]
    return bits


class _Problem:
    """Groups, their slopes, and the bound of a choice of bits."""

    def __init__(self, net: ReluNetwork, eps: Fraction, inputs: Inputs | None, by: By) -> None:
        self.net, self.eps = net, eps
        self.inputs = inputs
        found = parameter_groups(net, by)
        self.labels, self.group = found.labels, found.group
        self.sizes, slopes = sensitivities(net, inputs)
        n = len(self.labels)
        self.counts = np.bincount(self.group, minlength=n).tolist()
        self.largest = [to_fraction(max(self.sizes[self.group == g].tolist(), default=0)) for g in range(n)]
        self.slopes = [sum(map(to_fraction, slopes[self.group == g].tolist()), Fraction(0)) for g in range(n)]

    def relaxed(self) -> list[float]:
        shares = [r * s / self.eps for r, s in zip(self.largest, self.slopes, strict=True)]
        return relaxed_bits(shares, self.counts, Fraction(1))

    def quantizer(self, g: int, bits: int) -> Quantizer:
        """What rounds a group to so many bits."""
        largest = self.largest[g]
        if bits == 0 or largest == 0:
            return Quantizer("nearest", 4 * largest or 1)
        return Quantizer("nearest", largest / (2 ** (bits - 1) - 1))

    def move(self, g: int, bits: int) -> Fraction:
        """What a weight of the group moves by at most."""
        return self.largest[g] if bits == 0 else self.largest[g] / (2**bits - 2)

    def bound(self, bits: list[int]) -> Any:
        """The bound of the change of the outputs: no weight moves farther than to zero."""
        moves = [self.move(g, b) for g, b in enumerate(bits)]
        each = object_array([moves[g] for g in self.group.tolist()])
        rho = each if self.net.is_exact else each.astype(np.float64) * (1 + 2.0**-52)
        return perturbation_bound(self.net, np.minimum(rho, self.sizes), inputs=self.inputs).upper

    def fits(self, bits: list[int]) -> bool:
        try:
            return to_fraction(self.bound(bits)) <= self.eps
        except RangeError:
            return False

    def dealt(self) -> list[int]:
        """From the relaxed numbers, rounded down, upwards: each bit where the error per weight is largest."""
        bits = [_allowed(math.floor(b)) for b in self.relaxed()]
        if max(bits, default=0) > MOST:
            raise RangeError(f"eps: {MOST} bits are not enough; give a larger one")
        while not self.fits(bits):
            errors = [
                self.move(g, b) * self.slopes[g] / n for g, (b, n) in enumerate(zip(bits, self.counts, strict=True))
            ]
            g = max(range(len(bits)), key=errors.__getitem__)
            bits[g] = _allowed(bits[g] + 1)
            if bits[g] > MOST or errors[g] == 0:
                raise RangeError(f"eps: {MOST} bits are not enough; give a larger one, or use net.to_exact()")
        return bits

    def reduced(self, bits: list[int]) -> list[int]:
        """Without the bits that the bound itself does not need, the most expensive ones first."""
        for g in sorted(range(len(bits)), key=lambda g: -self.counts[g]):
            while bits[g] > 0:
                fewer = [*bits[:g], bits[g] - 1 if bits[g] > 2 else 0, *bits[g + 1 :]]
                if not self.fits(fewer):
                    break
                bits = fewer
        return bits


def _log2(number: float | Fraction) -> float:
    """The binary logarithm of a positive number of any size."""
    try:
        if float(number) >= sys.float_info.min:
            return math.log2(number)
    except OverflowError:
        pass
    exact = Fraction(number)
    return math.log2(exact.numerator) - math.log2(exact.denominator)


def _allowed(bits: int) -> int:
    """One bit has no more levels around zero than none."""
    return 2 if bits == 1 else max(0, bits)
