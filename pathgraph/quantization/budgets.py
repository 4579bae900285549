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

import heapq
import math
import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np

from pathgraph.arguments import Inputs, positive
from pathgraph.errors import RangeError
from pathgraph.metrics.parameter_boxes import largest_change
from pathgraph.quantization.networks import By, parameter_groups, require_grouping
from pathgraph.quantization.quantizers import Quantizer
from pathgraph.quantization.sensitivities import sensitivities
from pathgraph.resolutions import ReluNetwork, require_network_of_numbers
from pathgraph.scalars import Array, object_array, to_fraction

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
    problem = _Problem(net, positive(eps, "eps"), inputs, groups)
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
        order = np.argsort(self.group, kind="stable")
        ends = np.searchsorted(self.group[order], np.arange(len(self.labels) + 1))
        self._members = [order[first:stop] for first, stop in pairwise(ends.tolist())]
        self.counts = [len(members) for members in self._members]
        self.largest = [to_fraction(self.sizes[members].max(initial=0)) for members in self._members]
        self._slopes = slopes
        self.slopes = [_sum(slopes[members]) for members in self._members]

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
        moves = object_array([self.move(g, b) for g, b in enumerate(bits)])
        rho = moves if self.net.is_exact else self._float(moves)
        return largest_change(self.net, np.minimum(rho[self.group], self.sizes), inputs=self.inputs)

    def within(self, bits: list[int]) -> Fraction | None:
        """The bound, if it is at most eps."""
        try:
            bound = to_fraction(self.bound(bits))
        except RangeError:
            return None
        return bound if bound <= self.eps else None

    @staticmethod
    def _float(moves: Array) -> Array:
        """Floats that are no less than the moves."""
        return np.asarray(moves.astype(np.float64) * (1 + 2.0**-52))

    def dealt(self) -> list[int]:
        """From the relaxed numbers, rounded down, upwards: each bit where the error per weight is largest.

        The order of the bits does not depend on the bound, which falls with each of them: so the number that it takes
        is found by bisection.
        """
        bits = [_allowed(math.floor(b)) for b in self.relaxed()]
        if max(bits, default=0) > MOST:
            raise RangeError(f"eps: {MOST} bits are not enough; give a larger one")
        steps = _Steps(self, bits)
        short, enough = -1, 0
        while self.within(steps.after(enough)) is None:
            short, enough = enough, min(2 * enough + 1, steps.available(2 * enough + 1))
            if short == enough:
                raise RangeError(f"eps: {MOST} bits are not enough; give a larger one, or use net.to_exact()")
        while enough - short > 1:
            middle = (short + enough) // 2
            if self.within(steps.after(middle)) is None:
                short = middle
            else:
                enough = middle
        return steps.after(enough)

    def reduced(self, bits: list[int]) -> list[int]:
        """Without the bits that the bound itself does not need, the most expensive ones first."""
        bound = to_fraction(self.bound(bits))
        for g in sorted(range(len(bits)), key=lambda g: -self.counts[g]):
            while bits[g] > 0:
                fewer = [*bits[:g], bits[g] - 1 if bits[g] > 2 else 0, *bits[g + 1 :]]
                if bound + self._least_growth(g, bits[g], fewer[g]) > self.eps:
                    break
                found = self.within(fewer)
                if found is None:
                    break
                bits, bound = fewer, found
        return bits

    def _least_growth(self, g: int, bits: int, fewer: int) -> Fraction:
        """What the bound grows by at least, if a group has fewer bits.

        The bound is a polynomial in the moves without negative coefficients, hence no flatter than at 0, where its
        derivatives are the slopes. On floats a millionth is left for round-off.
        """
        members = self._members[g]
        sizes, slopes = self.sizes[members], self._slopes[members]
        moves = object_array([self.move(g, bits), self.move(g, fewer)])
        before, after = moves if self.net.is_exact else self._float(moves)
        grown = _sum(slopes * (np.minimum(after, sizes) - np.minimum(before, sizes)))
        return grown if self.net.is_exact else grown - (grown + self.eps) / 10**6


class _Steps:
    """The order in which bits are dealt: each where the error per weight is largest, while there is one to reduce.

    Parameters
    ----------
    problem : _Problem
    bits : list of int
        Before the first step.
    """

    def __init__(self, problem: _Problem, bits: list[int]) -> None:
        self._problem, self._start, self._bits = problem, bits, list(bits)
        self._taken: list[int] = []
        self._heap: list[tuple[Fraction, int]] | None = None

    def available(self, n: int) -> int:
        """How many steps there are, up to n."""
        if self._heap is None:
            self._heap = [self._entry(g) for g in range(len(self._bits))]
            heapq.heapify(self._heap)
        while len(self._taken) < n and self._heap and self._heap[0][0] < 0:
            g = self._heap[0][1]
            if _allowed(self._bits[g] + 1) > MOST:
                break
            self._bits[g] = _allowed(self._bits[g] + 1)
            self._taken.append(g)
            heapq.heapreplace(self._heap, self._entry(g))
        return min(n, len(self._taken))

    def _entry(self, g: int) -> tuple[Fraction, int]:
        """Less the error per weight, and the group."""
        problem = self._problem
        return -problem.move(g, self._bits[g]) * problem.slopes[g] / problem.counts[g], g

    def after(self, n: int) -> list[int]:
        """The bits after so many steps, which there are."""
        bits = list(self._start)
        for g in self._taken[:n]:
            bits[g] = _allowed(bits[g] + 1)
        return bits


def _sum(numbers: Array) -> Fraction:
    """The sum of some numbers: that of floats is rounded once, unless it leaves their range."""
    if numbers.dtype != object:
        try:
            return to_fraction(math.fsum(numbers))
        except OverflowError:
            pass
    return sum(map(to_fraction, numbers.tolist()), Fraction(0))


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
