r"""Rescaling before quantization: the representative of the network that needs the fewest bits in fixed point.

Bits in fixed point go like :math:`\log_2 (r\, S)` with r the largest absolute value of a parameter and S the sum of the
slopes (`pathgraph.quantization.sensitivities`). In the logarithms z of the factors, :math:`\log |\theta_i|` is
affine with some slope :math:`a_i`, and :math:`\log S_i` affine with the slope :math:`-a_i`. So

.. math:: f(z) = \max_i (\log |\theta_i| + a_i \cdot z) + \log \sum_i S_i e^{- a_i \cdot z}

is convex (a geometric program), and so is the sum over groups of :math:`n_g` times the same for each group. It is
minimised with a maximum smoothed by a temperature that goes down to where it costs some thousandths of a bit.
Nothing is below :math:`\log \Lambda`, which no rescaling changes.

Source: derived here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from scipy.sparse import csr_array

from pathgraph.arguments import Inputs
from pathgraph.errors import ParameterError, RangeError
from pathgraph.geometry.potentials import rescaling_directions
from pathgraph.graph.architecture import PARAMETER
from pathgraph.graph.network import Network
from pathgraph.layers.channels import channel_classes
from pathgraph.pathsum.scaled import SCALED_DTYPE, scaled_log
from pathgraph.quantization.log_sums import Ends, LogSums, Slopes
from pathgraph.quantization.networks import AnyNetwork, By, parameter_groups, require_grouping
from pathgraph.quantization.sensitivities import sizes_and_slopes
from pathgraph.resolutions import ReluNetwork, require_network_of_numbers
from pathgraph.scalars import Array, to_fraction
from pathgraph.shown import argument_text
from pathgraph.symmetry import rescale

__all__ = ["Equalization", "equalize"]

Objective = Literal["uniform", "mixed"]
FEW = 400
"""Directions up to which second derivatives are used."""

TEMPERATURES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)


@dataclass(frozen=True, eq=False)
class Equalization:
    r"""A rescaling that prepares a network for quantization.

    Attributes
    ----------
    net : Network or LayerGraph
        The rescaled network: the same function, and for powers of two the same bits.
    factors : mapping from hidden neurons, or channels (layer, channel), to numbers
    before, after : float
        The objective, in bits per weight: :math:`\log_2 (r S)`, or its average over the weights.
    optimum : float
        The objective before the factors were rounded to powers of two.
    floor : float
        :math:`\log_2 \Lambda`, below which no rescaling gets with one group.
    stationarity : float
        The largest slope, per unit of the logarithm of a factor, of the smoothed objective at the optimum, in bits per
        weight; at a minimum it is 0.
    smoothing : float
        What the smoothing may hide, in bits per weight: the smoothed objective exceeds the objective by less.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.equalize(pg.from_weights([[[0.5]], [[128]]]))
    Equalization(14.01 -> 7.00 bits per weight; optimum 7.00, floor 7.00)
    """

    net: Any
    factors: Mapping[Hashable, Any]
    before: float
    after: float
    optimum: float
    floor: float
    stationarity: float
    smoothing: float

    def __repr__(self) -> str:
        return (
            f"Equalization({self.before:.2f} -> {self.after:.2f} bits per weight; optimum {self.optimum:.2f}, "
            f"floor {self.floor:.2f})"
        )


def equalize(
    net: AnyNetwork,
    *,
    inputs: Inputs | None = None,
    objective: Objective = "uniform",
    groups: By = "layer",
    powers_of_two: bool = True,
) -> Equalization:
    """The rescaling that asks for the fewest bits per weight in fixed point.

    Parameters
    ----------
    net : Network or LayerGraph
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Half-widths of the box of inputs; ones by default.
    objective : {"uniform", "mixed"}
        One step for all parameters, or one for each group.
    groups : {"network", "layer", "channel", "neuron"}
        The groups of the mixed objective.
    powers_of_two : bool
        Round the factors to powers of two, which keeps the function to the last bit and costs at most two bits. Where
        nothing is gained, the factors are 1.

    Returns
    -------
    Equalization

    Raises
    ------
    ParameterError
        On an unknown objective or grouping, and options that are no bools.
    RangeError
        If a factor, or a parameter that it makes, leaves the range of floats; exact networks have none.

    Notes
    -----
    Where no parameter acts on an output, the network comes back as it is, and needs -inf bits.
    Only neurons that `rescale` may change take part: structural and tied parameters hold some of them together. Of a
    layer graph these are channels, and those that an entry meets at several places move together. The search runs in
    floats, on exact networks, too; the factors are then applied exactly.

    References
    ----------
    Derived here. It explains the heuristics of cross-layer equalisation.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[0.5, 0.25]], [[64]]])
    >>> pg.equalize(net).net.theta
    array([8., 4., 4.])
    """
    require_network_of_numbers(net, "equalize")
    require_grouping(groups, "groups")
    if not isinstance(objective, str) or objective not in get_args(Objective):
        raise ParameterError(f"objective: needed 'uniform' or 'mixed', got {argument_text(objective)}")
    if not isinstance(powers_of_two, bool):
        raise ParameterError(f"powers_of_two: needed a bool, got {argument_text(powers_of_two)}")
    problem = _Problem(net, inputs, parameter_groups(net, groups if objective == "mixed" else "network").group)
    if not problem.n_acting:  # no parameter needs a bit, however far it is scaled
        least = -math.inf
        return Equalization(net, MappingProxyType({}), least, least, least, least, 0.0, 0.0)
    z = problem.minimum()
    start, directions = np.zeros_like(z), problem.directions
    before = problem.value(start)
    final = np.rint(z / math.log(2)) * math.log(2) if powers_of_two else z
    if problem.value(final) > before:  # the network was at the optimum, but for the smoothing and the rounding
        final = start
    factors: dict[Hashable, Any]
    if powers_of_two:
        exponents = np.asarray(directions.basis.T @ np.rint(final / math.log(2))).astype(int)
        factors = {directions.name(v): Fraction(2) ** int(exponents[v]) for v in np.flatnonzero(exponents).tolist()}
    else:
        logs = directions.basis.T @ final
        factors = {directions.name(v): _exponential(float(logs[v])) for v in np.flatnonzero(logs).tolist()}
    if not net.is_exact:
        factors = {name: _float(factor, name) for name, factor in factors.items()}
    figures = (
        before,
        problem.value(final),
        min(before, problem.value(z)),
        problem.floor,
        float(np.abs(problem.smoothed(z, TEMPERATURES[-1])[1]).max(initial=0.0)),
        TEMPERATURES[-1] * math.log2(max(2, problem.n_acting)),
    )
    del problem, directions  # of the size of the network, and so is what `rescale` needs
    return Equalization(rescale(net, factors), MappingProxyType(factors), *figures)


def _exponential(log: float) -> Fraction:
    """The exponential, as near as floats are, of a number of any size."""
    shift = round(log / math.log(2)) if abs(log) > 700 else 0
    return Fraction(math.exp(log - shift * math.log(2))) * Fraction(2) ** shift


def _float(factor: Fraction, name: Hashable) -> float:
    """A factor of a float network."""
    try:
        nearest = float(factor)
    except OverflowError:
        nearest = 0.0
    if not nearest:
        raise RangeError(
            f"equalize: the factor of {argument_text(name)} leaves the range of float64; use net.to_exact()"
        )
    return nearest


class _Directions(NamedTuple):
    """Along which rescalings the search goes.

    Attributes
    ----------
    name : callable
        From the number of a neuron or channel to its name.
    basis : csr_array, shape (n_directions, n_neurons or n_channels)
        The exponents of the factors.
    slopes : csr_array, shape (n_parameters, n_directions), or None
        What they do to the logarithms of the parameters.
    target, source : ndarray of int, shape (n_parameters,), or None
        Where there are no `slopes`: the directions that multiply and that divide a parameter; n_directions for none.
    """

    name: Callable[[int], Hashable]
    basis: csr_array
    slopes: csr_array | None
    target: Array | None
    source: Array | None


def _slopes(directions: _Directions, parameters: Array) -> Slopes:
    """Of kinds of parameters, of each of which one is given."""
    if directions.slopes is not None:
        return Slopes(csr_array(directions.slopes[parameters]))
    assert directions.target is not None and directions.source is not None  # noqa: PT018
    return Slopes(Ends(directions.target[parameters], directions.source[parameters], directions.basis.shape[0]))


def _of_neurons(net: Network) -> _Directions:
    graph = net.architecture
    vectors = rescaling_directions(net)
    rows = [k for k, vector in enumerate(vectors) for _ in vector]
    columns = [v for vector in vectors for v in vector]
    data = [float(m) for vector in vectors for m in vector.values()]
    basis = csr_array((data, (rows, columns)), shape=(len(vectors), graph.n_nodes))
    entry = graph.first_entry
    antecedent = np.append(graph.antecedent, 0)[np.minimum(entry, graph.n_edges)]
    ends = _differences(graph.target[entry], np.where(entry < graph.n_edges, antecedent, -1), graph.n_nodes)
    return _Directions(graph.nodes.__getitem__, basis, csr_array(ends @ basis.T), None, None)


def _of_channels(graph: Any) -> _Directions:
    classes = channel_classes(graph)
    channels = np.flatnonzero(classes.of_channel >= 0)
    basis = csr_array(
        (np.ones(len(channels)), (classes.of_channel[channels], channels)),
        shape=(classes.n_classes, len(classes.names)),
    )
    entry, architecture = classes.uses.entry, graph.architecture
    is_first = np.append(True, entry[1:] != entry[:-1])[: len(entry)]
    first = np.flatnonzero(is_first & (architecture.role[entry] == PARAMETER))
    parameter = architecture.parameter[entry[first]]
    class_of = np.append(np.where(classes.of_channel < 0, classes.n_classes, classes.of_channel), classes.n_classes)
    class_of = class_of.astype(np.int32)  # the last one, of no channel, is that of -1
    ends = []
    for channel in (classes.uses.target, classes.uses.source):
        end = np.full(len(architecture.first_entry), classes.n_classes, dtype=np.int32)
        end[parameter] = class_of[channel[first]]
        ends.append(end)
    return _Directions(classes.names.__getitem__, basis, None, *ends)


def _differences(target: Array, source: Array, size: int) -> csr_array:
    """Rows with 1 at the target and -1 at the source; -1 is none."""
    n = len(target)
    ends, rows = np.concatenate([target, source]), np.tile(np.arange(n), 2)
    data = np.repeat([1.0, -1.0], n)
    there = ends >= 0
    return csr_array((data[there], (rows[there], ends[there])), shape=(n, size))


class _Problem:
    """The convex program, in the logarithms of the factors along the directions that may be taken.

    Neighbours among the parameters of a group that move alike are one *kind*, such as the kernel of a convolution
    between two channels: the largest of them counts, and the sum of their slopes. Kinds are sorted by group.
    """

    def __init__(self, net: ReluNetwork, inputs: Inputs | None, group: Array) -> None:
        directions = _of_neurons(net) if isinstance(net, Network) else _of_channels(net)
        sizes, slopes = sizes_and_slopes(net, inputs)
        numbers = slopes["mantissa"] if slopes.dtype == SCALED_DTYPE else slopes
        acts = np.flatnonzero(np.asarray((sizes != 0) & (numbers != 0), dtype=bool))
        self.n_acting = len(acts)
        if not len(acts):
            return
        group = group[acts]
        if (group[1:] < group[:-1]).any():
            order = np.argsort(group, kind="stable")
            group, acts = group[order], acts[order]
        with np.errstate(under="ignore"):
            self._log_sizes, log_slopes = _logarithms(sizes[acts]), _logarithms(slopes[acts])
        del sizes, slopes, numbers
        self.floor = float(np.logaddexp.reduce(self._log_sizes + log_slopes)) / math.log(2)
        begins = np.ones(len(acts), dtype=bool)
        if directions.slopes is None:
            begins[1:] = group[1:] != group[:-1]
            for ends in (directions.target, directions.source):
                assert ends is not None
                end = ends[acts]
                begins[1:] |= end[1:] != end[:-1]
        self._start = np.flatnonzero(begins)
        with np.errstate(under="ignore"):
            self._sum_of_slopes = np.logaddexp.reduceat(log_slopes, self._start)
        self._largest = np.maximum.reduceat(self._log_sizes, self._start)
        self._slopes = _slopes(directions, acts[self._start])
        self.directions = directions._replace(slopes=None, target=None, source=None)
        of_kind = group[self._start]
        self._first = np.flatnonzero(np.append(True, of_kind[1:] != of_kind[:-1]))
        self._shares = np.add.reduceat(np.diff(np.append(self._start, len(acts))), self._first) / len(acts)
        self._cold = LogSums(self._slopes, self._sum_of_slopes, -1.0, self._first)
        self._temperature, self._hot = math.nan, self._cold

    def value(self, z: Array) -> float:
        """The objective, in bits per weight."""
        moved = self._slopes.along(z)
        moved += self._largest
        tops = np.maximum.reduceat(moved, self._first)
        return float(self._shares @ (tops + self._cold(z, self._shares)[0])) / math.log(2)

    def smoothed(self, z: Array, temperature: float) -> tuple[float, Array]:
        """The objective with a smoothed maximum, and its gradient, in bits per weight."""
        tops, hot = self._heated(temperature)(z, self._shares)
        sums, cold = self._cold(z, self._shares)
        total = float(self._shares @ (temperature * tops + sums))
        return total / math.log(2), (temperature * hot + cold) / math.log(2)

    def curvature(self, z: Array, temperature: float) -> Array:
        """The second derivatives of the smoothed objective, in bits per weight."""
        heated, cold = (sums.curvature(z, self._shares) for sums in (self._heated(temperature), self._cold))
        return (temperature * heated + cold) / math.log(2)

    def _heated(self, temperature: float) -> LogSums:
        """Of the sizes to the power 1 / temperature."""
        if temperature != self._temperature:
            del self._hot  # of the size of the network
            logs = np.logaddexp.reduceat(self._log_sizes / temperature, self._start)
            self._hot = LogSums(self._slopes, logs, 1 / temperature, self._first)
            self._temperature = temperature
        return self._hot

    def minimum(self) -> Array:
        """The minimiser, followed from a high temperature to a low one."""
        from scipy.optimize import minimize

        z = np.zeros(self.directions.basis.shape[0])
        if not len(z):
            return z
        with np.errstate(under="ignore"):
            for temperature in TEMPERATURES:
                search, found = partial(minimize, self.smoothed, z, args=(temperature,), jac=True), None
                if len(z) <= FEW:
                    with suppress(ValueError):  # SciPy has divided by a curvature that is almost zero
                        found = search(method="trust-exact", hess=self.curvature, options={"gtol": 1e-7})
                if found is None:
                    found = search(method="L-BFGS-B", options={"maxiter": 500, "maxcor": 30})
                if self.value(found.x) < self.value(z) or temperature == TEMPERATURES[0]:
                    z = found.x
        return z


def _logarithms(numbers: Array) -> Array:
    """The natural logarithms of positive numbers of any kind and size."""
    if numbers.dtype == SCALED_DTYPE:
        return scaled_log(numbers)
    if numbers.dtype != object:
        return np.asarray(np.log(numbers))
    exact = (to_fraction(number) for number in numbers.tolist())
    return np.array([math.log(number.numerator) - math.log(number.denominator) for number in exact])
