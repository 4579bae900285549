r"""What it costs to set parameters to zero: the mass of the paths through them.

For a set I of parameters, with :math:`s_I \odot \theta` the parameters after those in I are set to zero,

.. math:: F(I) = \|\Phi(\theta) - \Phi(s_I \odot \theta)\|_1 = \sum_{p \cap I \neq \emptyset} |\Phi_p| ,
   \qquad F(\{i\}) = |\theta_i| \, \frac{\partial \|\Phi\|_1}{\partial |\theta_i|} .

F is a coverage function: monotone, submodular, between the largest and the sum of its single costs. The single costs
of all parameters come from one forward and one backward sweep; the cost of a set from one sweep with two states, "no
parameter of I hit" and "hit". Nothing is subtracted, so nothing cancels.

Source: arXiv 2405.15006; sets, box weights and parameters that occur twice on a path are derived here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np

from pathgraph.arguments import Inputs, half_widths
from pathgraph.graph.architecture import Architecture
from pathgraph.graph.device_network import DeviceNetwork
from pathgraph.numbers import public
from pathgraph.pathsum import engine
from pathgraph.pathsum.blocks import CONSTANT, BlockDag, BlockNetwork
from pathgraph.pathsum.exact import accelerated
from pathgraph.pathsum.flat import FlatTensors
from pathgraph.pathsum.preparation import buffer, choose_backend, is_safe
from pathgraph.pathsum.scaled import SCALED_DTYPE, scaled, scaled_product
from pathgraph.pathsum.semirings import REAL, SCALED
from pathgraph.pathsum.sweep import back, marginals, sweep
from pathgraph.pathsum.thinning import thinned
from pathgraph.resolutions import ReluNetwork, Structure, require_network_of_numbers
from pathgraph.scalars import Array, ScalarKind, object_array, to_fraction

__all__ = ["Moduli", "grouped", "path_magnitude", "set_magnitude"]

HIT = np.array([[False, True], [False, True]])
"""From either state to "hit"."""


def path_magnitude(net: ReluNetwork | DeviceNetwork, *, inputs: Inputs | None = None) -> Any:
    r"""The path-magnitude of every parameter: how much of the path-norm is lost when it is set to zero.

    Parameters
    ----------
    net : Network or LayerGraph
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Half-widths of the box of inputs: the weights of the paths that start at the inputs. Ones by default.

    Returns
    -------
    ndarray, shape (n_parameters,)
        Aligned with ``net.theta``; for a layer graph a dict, from the names of the parameters to arrays of their
        shapes. Fractions on exact networks, float64 else. A float below the range is rounded to a
        subnormal number or to zero.

    Raises
    ------
    RangeError
        If a cost leaves the range of floats.
    ParameterError
        On negative half-widths.
    UnsupportedOperatorError
        On a symbolic network.

    Notes
    -----
    The cost of the edge u -> v is :math:`|\theta^{u\to v}| \cdot \|\Phi^{\to u}\|_1 \cdot up(v)`, where up(v) sums the
    absolute path products from v to the outputs; that of a bias is :math:`|b_v| \cdot up(v)`. One forward and one
    backward sweep. Frozen and structural values multiply paths and have no cost of their own. Costs are invariant
    under rescaling, to the last bit for factors that are powers of two, while no float comes near the ends of its
    range.

    A tied parameter gets the sum over its places, which is exact if no path hits two of them. If its places lie on
    several levels, so that a path might, the parameter is scored as a set, by a sweep of its own: then
    :math:`\theta\,\partial\|\Phi\|_1/\partial\theta` would count such paths as often as they hit it.

    References
    ----------
    arXiv 2405.15006; parameters that occur twice on a path: derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None])
    >>> pg.path_magnitude(net)
    array([1., 2., 0., 3., 1., 5., 3., 9.])
    >>> pg.path_magnitude(pg.rescale(net, {(1, 0): 0.25, (1, 1): 16}))
    array([1., 2., 0., 3., 1., 5., 3., 9.])
    """
    if isinstance(net, DeviceNetwork):
        return net.magnitudes(inputs)
    require_network_of_numbers(net, "path_magnitude")
    moduli = Moduli(net, inputs)
    costs = moduli.compiled_costs()
    if costs is None:
        costs = moduli.swept_costs()
        costs = costs if moduli.are_finite else public(costs, "path_magnitude")
    return net.architecture.arranged(costs)


def set_magnitude(
    net: ReluNetwork, parameters: Collection[Any] | Array, *, inputs: Inputs | None = None, per_output: bool = False
) -> Any:
    r"""The exact cost of setting some parameters to zero together: the mass of the paths that hit one of them.

    Parameters
    ----------
    net : Network or LayerGraph
    parameters : collection of names, or bool ndarray of shape (n_parameters,)
        Names as in ``net.parameters``: (u, v) for a weight, v for a bias, the name of a tied parameter. For a layer
        graph names of tensors, names of entries (tensor, index...), or a mapping from names of tensors to masks.
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Half-widths of the box of inputs; ones by default.
    per_output : bool
        Return one cost per output, as an array.

    Returns
    -------
    float, Fraction, or ndarray of shape (n_outputs,)
        :math:`\|\Phi(\theta) - \Phi(s_I\odot\theta)\|_1`, its paths weighted by `inputs`. Per output it bounds the
        change of that output over the box.

    Raises
    ------
    ParameterError
        If a name is not that of a parameter of the network, or a mask has a wrong shape.
    RangeError
        If the cost leaves the range of floats.
    UnsupportedOperatorError
        On a symbolic network.

    Notes
    -----
    One sweep with two states. A set costs at least its most expensive parameter and at most the sum of them.

    References
    ----------
    arXiv 2405.15006 for the cost; the sweep is derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None])
    >>> first, last = ((0, 0), (1, 1)), ((1, 1), (2, 0))
    >>> [pg.set_magnitude(net, chosen) for chosen in ([first], [last], [first, last])]
    [3.0, 9.0, 9.0]
    """
    require_network_of_numbers(net, "set_magnitude")
    mask = net.architecture.mask_of(parameters)
    costs = Moduli(net, inputs).set_costs(mask)
    if not per_output:
        costs = grouped(costs, np.zeros(len(costs), dtype=np.int64), 1)
    costs = public(costs, "set_magnitude")
    return costs if per_output else costs.tolist()[0]


class Moduli:
    """The absolute values of a network, some of which may be set to zero: a network as the sweeps see it.

    Attributes
    ----------
    values : ndarray, shape (n_entries,)
        float64, or rationals; may be changed.
    tensors : FlatTensors
        Views of it.
    net : Network or LayerGraph
        As it was given.
    widths : ndarray, shape (n_inputs,)
    are_finite : bool
        Whether the sums of `summed` were all seen to be finite floats.
    """

    def __init__(self, net: ReluNetwork, inputs: Inputs | None = None) -> None:
        self.net = net
        self.architecture: Structure = net.architecture
        self.dag: BlockDag = net.dag
        self.scalars: ScalarKind = net.scalars
        self.widths = accelerated(half_widths(net, inputs))
        self._has_all_edges = True
        self.are_finite = False

    @cached_property
    def values(self) -> Array:
        """The absolute values."""
        net = self.net
        return np.asarray(abs(accelerated(net.values)) if net.is_exact else np.abs(net.values, dtype=np.float64))

    @cached_property
    def tensors(self) -> FlatTensors:
        """Views of them."""
        return self.cut(self.values)

    @property
    def _untouched(self) -> BlockNetwork:
        """The network where its values are still those given: what takes absolute values needs no copy of them."""
        return self if "values" in self.__dict__ else self.net

    def remove(self, parameters: Array) -> None:
        """Set the parameters at these places of theta to zero."""
        if self.architecture.is_tied:
            mask = np.zeros(self.architecture.n_parameters, dtype=bool)
            mask[parameters] = True
            self.values[self.entries_of(mask)] = 0
        else:
            self.values[self.architecture.first_entry[parameters]] = 0

    def entries_of(self, mask: Array) -> Array:
        """Which entries belong to the parameters of a mask: bool, shape (n_entries,)."""
        owner = self.architecture.parameter
        if not len(mask):
            return np.zeros(len(owner), dtype=bool)
        return np.asarray(mask[owner] & (owner >= 0))

    def to_exact(self) -> Moduli:
        """The same over the rationals."""
        return Moduli(self.net.to_exact()).with_values(accelerated(object_array(map(to_fraction, self.values))))

    def with_values(self, values: Array) -> Moduli:
        """The same network with other values, which are not copied."""
        other = copy(self)
        other.values = values
        other.tensors = self.cut(values)
        return other

    def thinned(self, dead: Array, idle: Sequence[Array]) -> Moduli:
        """The same without some edges: see `pathgraph.pathsum.thinning.thinned`."""
        other = copy(self)
        other._has_all_edges = False
        other.dag = thinned(self.dag, dead, idle)
        return other

    def start(self, states: int = 1, *, plain: bool = False) -> Array:
        """The buffer with which paths start, in the first state; `plain`: at the inputs alone, with weight one."""
        x = buffer(self, REAL, states)
        x[0, CONSTANT] = 0 if plain else 1
        x[0, self.dag.inputs] = 1 if plain else self.widths
        return x

    def neuron_masses(self) -> Array:
        """The mass of the paths through each neuron, by buffer position: float64, rational, or scaled."""
        y = buffer(self, REAL)
        y[0, self.dag.outputs] = 1
        forward = sweep(self, [(self.tensors, None)], self.start())[0]
        backward = back(self, [(self.tensors, None)], y.copy())[0]
        with np.errstate(over="ignore", under="ignore"):
            through = forward * backward
        if self.scalars == "float" and not self._is_safe(forward, backward, [through]):
            wide = self.cut(scaled(self.values))
            forward = sweep(self, [(wide, None)], scaled(self.start()), ring=SCALED)[0]
            backward = back(self, [(wide, None)], scaled(y), ring=SCALED)[0]
            through = scaled_product(forward, backward)
        return np.asarray(through)

    def masses(self, *, plain: bool = False, forward: Array | None = None) -> Array:
        """The mass of the paths through each entry, shape (n_entries,): float64, rational, or scaled.

        `forward` is what the forward sweep makes, where that is known.
        """
        y = buffer(self, REAL)
        y[0, self.dag.outputs] = 1
        terms = [(self.tensors, None)]
        if forward is None:
            forward = sweep(self, terms, self.start(plain=plain))
        backward = back(self, terms, y.copy())
        through = marginals(self, terms[0], forward, backward)
        if self.scalars == "float" and not self._is_safe(forward, backward, through):
            wide = self.cut(scaled(self.values))
            forward = sweep(self, [(wide, None)], scaled(self.start(plain=plain)), ring=SCALED)
            backward = back(self, [(wide, None)], scaled(y), ring=SCALED)
            through = marginals(self, (wide, None), forward, backward, ring=SCALED)
        return self.architecture.flat(through, through[0].dtype if len(through) else self.values.dtype)

    def cut(self, values: Array) -> FlatTensors:
        """One array over the entries as one view per tensor."""
        return self.architecture.cut(values)

    def per_parameter(self, masses: Array) -> Array:
        """The sums over the places of each parameter, aligned with theta."""
        architecture = self.architecture
        if not architecture.is_tied:
            return np.asarray(masses[architecture.first_entry])
        free = np.flatnonzero(architecture.parameter >= 0)
        return grouped(masses[free], architecture.parameter[free], architecture.n_parameters)

    def costs(self) -> Array:
        """The cost of each parameter, aligned with theta."""
        costs = self.compiled_costs()
        return self.swept_costs() if costs is None else costs

    def swept_costs(self) -> Array:
        """The same by sums over the places of each parameter: floats, rationals, or scaled numbers."""
        costs = self.summed()
        for parameter in self.architecture.scattered.tolist():
            mask = np.zeros(len(costs), dtype=bool)
            mask[parameter] = True
            if self.values[self.architecture.first_entry[parameter]] != 0:
                exact = self.set_costs(mask)
                exact = grouped(exact, np.zeros(len(exact), dtype=np.int64), 1)
                if SCALED_DTYPE in (exact.dtype, costs.dtype):
                    costs, exact = scaled(costs), scaled(exact)
                costs[parameter] = exact[0]
        return costs

    def summed(self, *, plain: bool = False) -> Array:
        r"""For each parameter :math:`|\theta_i|\,\partial P/\partial|\theta_i|`, the sum over its places.

        Where a path meets a parameter twice it counts twice, other than in the costs. `plain`: of the paths from the
        inputs alone, with weight one.
        """
        if self.net.streams is None or not self._has_all_edges:
            return self.per_parameter(self.masses(plain=plain))
        widths = np.ones(len(self.widths)) if plain else self.widths
        masses, in_range = self.net.streams.parameter_masses(self._untouched, 1, widths, biases=not plain)
        self.are_finite = in_range and not self.architecture.is_tied
        return masses

    def compiled_costs(self) -> Array | None:
        """The same, all finite, by the kernel with one pass each way, if it fits and floats stay in range."""
        architecture = self.architecture
        if architecture.is_tied or choose_backend(None, self) != "numba":
            return None
        mass, is_safe = engine.power_marginals(self._untouched, 1, self.start()[0], by_neuron=True)
        if not is_safe:
            return None
        if architecture.n_parameters == architecture.n_entries:
            return mass
        assert isinstance(architecture, Architecture)
        return np.asarray(mass[architecture.parameter[architecture.theta_order] >= 0])

    def set_costs(self, mask: Array) -> Array:
        """For each output, the mass of the paths that hit a parameter of the mask: float64, rational, or scaled."""
        hit = self.entries_of(mask)
        in_set, others = self.values.copy(), self.values.copy()
        in_set[~hit] = 0
        others[hit] = 0
        inside, outside = self.cut(in_set), self.cut(others)
        if self.net.streams is not None and self.dag is self.net.dag:
            states, in_range = self.net.streams.state_sums(
                self.net, [(outside, None), (inside, HIT)], self.widths, len(HIT)
            )
            if in_range:
                return np.asarray(states[1])
        x = sweep(self, [(outside, None), (inside, HIT)], self.start(2))
        if self.scalars == "float" and not is_safe([*self.tensors, self.widths], x):
            inside, outside = self.cut(scaled(in_set)), self.cut(scaled(others))
            x = sweep(self, [(outside, None), (inside, HIT)], scaled(self.start(2)), ring=SCALED)
        return np.asarray(x[1, self.dag.outputs])

    @np.errstate(over="ignore", under="ignore")
    def _is_safe(self, forward: Array, backward: Array, through: Sequence[Array]) -> bool:
        """Whether every product of a value and the two sums stayed clear of the ends of the range of floats."""
        least = _smallest(self.values) * _smallest(forward) * _smallest(backward)
        return bool(least >= np.finfo(np.float64).tiny and all(np.isfinite(part.sum()) for part in through))


def _smallest(array: Array) -> float:
    """The smallest positive number of a non-negative array, at most 1."""
    if not array.size:
        return 1.0
    least = float(array.min())
    if least > 0:
        return min(least, 1.0)
    return float(array[array > 0].min(initial=1.0))


def grouped(numbers: Array, owner: Array, size: int) -> Array:
    """The sums of some non-negative numbers, of any of the three kinds, by owner: shape (size,)."""
    if numbers.dtype.kind == "f":
        return np.bincount(owner, weights=numbers, minlength=size)
    ring = SCALED if numbers.dtype == SCALED_DTYPE else REAL
    out = np.zeros(size, dtype=numbers.dtype)
    if len(owner):
        order = np.argsort(owner, kind="stable")
        owners, start = np.unique(owner[order], return_index=True)
        assert ring.arrays is not None
        out[owners] = ring.arrays.segments(numbers[order][None], start)[0]
    return out
