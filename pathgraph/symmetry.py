r"""Rescaling: the symmetry of ReLU networks that leaves the function and the path-lifting unchanged.

For factors :math:`\lambda_v > 0` on the hidden neurons, and 1 on inputs and outputs,

.. math:: (\lambda \diamond \theta)^{u \to v} = \frac{\lambda_v}{\lambda_u} \theta^{u \to v},
   \qquad (\lambda \diamond \theta)_v = \lambda_v b_v .

Identity, ReLU and pool neurons may all be rescaled. Structural entries never change, so the factors must agree along
every non-zero structural edge (and be 1 where a structural bias is non-zero); the entries of a tied parameter must
all be multiplied by one number. Frozen entries are rescaled like parameters. A *negative* factor leaves the
path-lifting unchanged always, but the function only on identity neurons.

Source: arXiv 2310.01225; the restrictions by fixed and tied entries are derived here.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

from pathgraph.arguments import LARGEST_EXPONENT, exponent, generator, natural
from pathgraph.errors import ParameterError, RangeError, RescalingError, UnsupportedOperatorError
from pathgraph.geometry.potentials import rescaling_directions
from pathgraph.graph.architecture import PARAMETER, STRUCTURAL, Architecture
from pathgraph.graph.network import Network, require_network, require_numbers
from pathgraph.numbers import norm, product, quotient
from pathgraph.pathsum.blocks import IDENTITY
from pathgraph.pathsum.scaled import scaled, scaled_to_float
from pathgraph.resolutions import ReluNetwork, require_network_of_numbers
from pathgraph.scalars import Array, as_values, object_array, refuse_floats, to_fraction
from pathgraph.shown import argument_text, article, number_text

LARGEST_POWER = 1000
AnyNetwork = TypeVar("AnyNetwork", bound=ReluNetwork)

__all__ = ["normalize", "random_rescaling", "rescale"]


def rescale(net: AnyNetwork, factors: Mapping[Hashable, Any]) -> AnyNetwork:
    r"""Rescale a network neuron by neuron: same function, same path-lifting, other parameters.

    Parameters
    ----------
    net : Network or LayerGraph
    factors : mapping
        From neurons to factors :math:`\lambda_v`, positive (non-zero on identity neurons); 1 where absent. Numbers for
        a float network, integers and Fractions for an exact one. Of a layer graph from channels (layer, channel), or
        from layers; channels lie along the last axis of what a matrix makes, along the first one of all else. Single
        neurons are (layer, index...) there, too.

    Returns
    -------
    Network or LayerGraph

    Raises
    ------
    RescalingError
        On factors of inputs or outputs other than 1, zero, negative factors on ReLU or pool neurons, and factors that
        would change a structural entry or treat the places of a tied parameter differently.
    ParameterError
        If a factor is no finite number.
    RangeError
        If a rescaled value overflows or vanishes.
    GraphError
        If the network has no such neuron.

    Notes
    -----
    With powers of two and no underflow nothing is rounded, and evaluation gives the same bits. Otherwise each
    value is rounded at most twice, so that path products keep a relative accuracy of 4 units of round-off per edge.

    References
    ----------
    arXiv 2310.01225.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]])
    >>> other = pg.rescale(net, {(1, 0): 4, (1, 1): 0.5})
    >>> other.theta
    array([ 4.  , -8.  ,  1.5 ,  0.5 ,  0.25,  2.  ])
    >>> other([1, 3]) == net([1, 3]), pg.path_norm(other) == pg.path_norm(net)
    (array([ True]), True)
    """
    if not isinstance(net, Network):
        require_network_of_numbers(net, "rescale")
        from pathgraph.layers.rescaling import rescale_layers  # layers are loaded by those who use them

        return rescale_layers(net, factors)  # type: ignore[arg-type, return-value]
    architecture = net.architecture
    lam = _factors(net, factors)
    ratio = _entry_factors(architecture, lam)
    _refuse_forbidden(net, ratio)
    wanted = product(net.values if net.is_exact else scaled(net.values), ratio)
    values = wanted if net.is_exact else scaled_to_float(wanted, net.dtype)
    if net.scalars == "float":
        below = np.abs(values) < np.finfo(net.dtype).tiny
        lost = np.flatnonzero(np.isinf(values) | (below & (scaled(values) != wanted)))
        if len(lost):
            raise RangeError(
                f"factors: {architecture.describe(int(lost[0]))} = {net.values[lost[0]]} would leave the range of "
                f"normal {net.dtype} numbers; use smaller factors, or net.to_exact()"
            )
    if architecture.is_tied:
        free = architecture.parameter >= 0
        values[free] = values[architecture.first_entry][architecture.parameter[free]]
    return net.with_values(values)  # type: ignore[return-value]


def random_rescaling(net: ReluNetwork, rng: np.random.Generator | int, *, max_exponent: int = 8) -> dict[Hashable, Any]:
    """Random factors for `rescale`: powers of two, so that rescaling rounds nothing.

    The factors are drawn from the whole group that acts on the network: one exponent for each neuron that is free,
    one for each set of neurons that structural entries hold together, and a random integer combination of the
    remaining directions where parameters are tied.

    Parameters
    ----------
    net : Network or LayerGraph
    rng : numpy.random.Generator or int
        The generator, or its seed.
    max_exponent : int
        Free exponents are drawn uniformly from -max_exponent ... max_exponent.

    Returns
    -------
    dict
        A factor for every hidden neuron: floats for a float network, Fractions for an exact one. Of a layer graph for
        every hidden channel; those that share an entry as its targets, or as its sources, then have one factor.

    Raises
    ------
    ParameterError
        If `max_exponent` is negative, or so large that factors would leave the range of floats.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]])
    >>> factors = pg.random_rescaling(net, rng=0)
    >>> factors
    {(1, 0): 64.0, (1, 1): 4.0}
    >>> pg.path_lifting(pg.rescale(net, factors)) == pg.path_lifting(net)
    True
    """
    if natural(max_exponent, "max_exponent") > LARGEST_EXPONENT:
        raise ParameterError(f"max_exponent: needed at most 2**20, got {number_text(max_exponent)}; take a smaller one")
    random = generator(rng)
    if not isinstance(net, Network):
        require_network_of_numbers(net, "random_rescaling")
        from pathgraph.layers.rescaling import random_layer_rescaling

        return random_layer_rescaling(net, random, max_exponent)  # type: ignore[arg-type]
    exponents = dict.fromkeys(net.hidden, 0)
    for direction in rescaling_directions(net):
        step = int(random.integers(-max_exponent, max_exponent + 1))
        for node, multiple in direction.items():
            exponents[net.nodes[node]] += step * multiple
    if net.dtype == object:
        return {node: Fraction(2) ** power for node, power in exponents.items()}
    if any(abs(power) > LARGEST_POWER for power in exponents.values()):
        raise ParameterError(
            f"max_exponent: the factors leave the range of floats, got {max_exponent}; take a smaller one"
        )
    return {node: 2.0**power for node, power in exponents.items()}


def normalize(net: Network, q: float = 1, *, unfreeze: bool = False) -> Network:
    r"""The q-normal form: every hidden neuron's incoming weights and bias get q-norm 1 (or 0).

    In topological order, each hidden neuron v with :math:`\lambda_v = \|(\theta^{\to v}, b_v)\|_q > 0` is divided by
    it, and its outgoing weights multiplied; where :math:`\lambda_v = 0` the neuron is dead and its outgoing
    weights are set to 0. Function and path-lifting stay, and afterwards

    .. math:: \|\Phi\|_{q,r} = \big\| \big( \|(\theta^{\to v}, b_v)\|_q \big)_{v \in N_{out}} \big\|_r .

    Parameters
    ----------
    net : Network
    q : number in (0, inf]
        Exact networks need 1 or infinity: other norms are irrational.
    unfreeze : bool
        Allow structural and tied entries to change: the ones that must are made ordinary parameters, and ties are cut.

    Returns
    -------
    Network

    Raises
    ------
    RescalingError
        If a structural or tied entry would change and `unfreeze` is False.
    ParameterError
        On q out of range.
    RangeError
        If a value leaves the range of floats.
    UnsupportedOperatorError
        On an exact network with another q, or a symbolic one.

    References
    ----------
    arXiv 2310.01225, Algorithm 1.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.normalize(pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], dtype=object)).theta
    array([Fraction(1, 3), Fraction(-2, 3), Fraction(3, 4), Fraction(1, 4),
           Fraction(3, 1), Fraction(4, 1)], dtype=object)
    """
    require_network(net)
    q = exponent(q, "q")
    if net.scalars == "symbolic" or (net.is_exact and q not in (1, math.inf)):
        raise UnsupportedOperatorError(
            f"normalize: q={q} needs a float network, got {article(net.scalars)} one; q=1 and inf are exact"
        )
    architecture = net.architecture
    numbers = net.values.copy() if net.is_exact else scaled(net.values)
    lam = object_array([Fraction(1)] * architecture.n_nodes) if net.is_exact else scaled(np.ones(architecture.n_nodes))
    zero = object_array([Fraction(0)]) if net.is_exact else scaled(np.zeros(1))
    outer = {*architecture.input.tolist(), *architecture.output.tolist()}
    for v in range(architecture.n_nodes):
        edges = np.arange(architecture.start[v], architecture.start[v + 1])
        numbers[edges] = product(numbers[edges], lam[architecture.antecedent[edges]])
        if v in outer:
            continue
        incoming = architecture.entries_into(v)
        length = norm(numbers[incoming], q) if len(incoming) else zero
        if length[0] != zero[0]:
            numbers[incoming] = quotient(numbers[incoming], length)
        lam[v] = length[0]
    values = numbers if net.is_exact else scaled_to_float(numbers, net.dtype)
    if not net.is_exact and (np.isinf(values) | ((values == 0) & (numbers["mantissa"] != 0))).any():
        raise RangeError(f"normalize: a value leaves the range of {net.dtype}; use net.to_exact() with q=1")
    changed = np.flatnonzero((architecture.role == STRUCTURAL) & (values != net.values))
    is_cut = _cut_ties(architecture, values)
    if not unfreeze and (len(changed) or is_cut):
        what = architecture.describe(int(changed[0])) + " is structural" if len(changed) else "parameters are tied"
        raise RescalingError(f"normalize: {what} and would change; pass unfreeze=True to make it an ordinary parameter")
    return Network(_unfrozen(architecture, changed, is_cut) if len(changed) or is_cut else architecture, values)


# -- factors ------------------------------------------------------------------------------------------------------


def _factors(net: Network, factors: Mapping[Hashable, Any]) -> Array:
    """The factor of every neuron, in canonical order, checked."""
    require_numbers(net, "rescale")
    if not isinstance(factors, Mapping):
        raise ParameterError(f"factors: needed a mapping from neurons to numbers, got {type(factors).__name__}")
    if net.is_exact:
        names = list(factors)
        refuse_floats(factors.values(), lambda i: f"factors[{argument_text(names[i])}]")
    architecture = net.architecture
    lam = [Fraction(1)] * architecture.n_nodes
    outer = set(architecture.input.tolist()) | set(architecture.output.tolist())
    for node, factor in factors.items():
        v = architecture.index(node)
        lam[v] = to_fraction(factor, f"factors[{argument_text(node)}]")
        if v in outer and lam[v] != 1:
            raise RescalingError(
                f"factors: {argument_text(node)} is an input or an output, whose factor must be 1, got "
                f"{number_text(factor)}"
            )
        if lam[v] == 0 or (lam[v] < 0 and architecture.activation[v] != IDENTITY):
            raise RescalingError(
                f"factors: {argument_text(node)} is {architecture.activations[v]}, so its factor must be "
                f"{'non-zero' if architecture.activation[v] == IDENTITY else 'positive'}, got {number_text(factor)}"
            )
    if net.is_exact:
        return object_array(lam)
    floats = as_values(lam, lambda i: f"factors[{argument_text(architecture.nodes[i])}]", np.float64)
    for v in np.flatnonzero(floats == 0)[:1].tolist():
        raise ParameterError(
            f"factors: {argument_text(architecture.nodes[v])} vanishes as a float, got {number_text(lam[v])}"
        )
    return floats


def _entry_factors(architecture: Architecture, lam: Array) -> Array:
    """What each entry is multiplied by: lam[target] / lam[source] on edges, lam[target] on biases.

    Fractions, or scaled numbers for floats: a ratio may leave their range where the product with the entry does not.
    """
    numbers = lam if lam.dtype == object else scaled(lam)
    ratio = numbers[architecture.target]
    ratio[: architecture.n_edges] = quotient(ratio[: architecture.n_edges], numbers[architecture.antecedent])
    return ratio


def _refuse_forbidden(net: Network, ratio: Array) -> None:
    architecture = net.architecture
    one = 1 if net.is_exact else scaled(np.ones(len(ratio)))
    changed = np.flatnonzero((architecture.role == STRUCTURAL) & (net.values != 0) & (ratio != one))
    if len(changed):
        entry = int(changed[0])
        raise RescalingError(
            f"factors: {architecture.describe(entry)} is structural and cannot change, got other "
            f"factors at its ends; give both its ends one factor (1 for a bias, or beside an input or output)"
        )
    slack = 0 if net.is_exact else 4 * float(np.finfo(np.float64).eps)  # each ratio is rounded once
    first: dict[int, int] = {}
    for entry in _tied_entries(net):
        other = first.setdefault(int(architecture.parameter[entry]), entry)
        relative = quotient(ratio[entry : entry + 1], ratio[other : other + 1])
        if abs((relative if net.is_exact else scaled_to_float(relative))[0] - 1) > slack:
            raise RescalingError(
                f"factors: the places of the tied parameter {argument_text(architecture.ties[entry])} need one factor, "
                "got "
                f"different ones at {architecture.describe(other)} and {architecture.describe(entry)}"
            )


def _tied_entries(net: Network) -> list[int]:
    """The non-zero entries of parameters, if any of these is tied."""
    architecture = net.architecture
    if not architecture.is_tied:
        return []
    found: list[int] = np.flatnonzero((architecture.parameter >= 0) & (net.values != 0)).tolist()
    return found


def _cut_ties(architecture: Architecture, values: Array) -> bool:
    """Whether entries of one parameter have come to differ."""
    free = architecture.parameter >= 0
    first = architecture.first_entry[architecture.parameter[free]]
    return architecture.is_tied and bool((values[free] != values[first]).any())


def _unfrozen(architecture: Architecture, changed: Array, is_cut: bool) -> Architecture:
    role = architecture.role.copy()
    role[changed] = PARAMETER
    role.flags.writeable = False
    return replace(architecture, role=role, ties={} if is_cut else architecture.ties)
