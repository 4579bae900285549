"""Strategies for numbers: weights, parameters of an architecture, inputs and rescalings of a network.

They draw small integers and never `hypothesis.strategies.fractions`, whose examples shrink slowly and not far.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from fractions import Fraction
from functools import cache
from itertools import cycle, islice
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph.errors import ParameterError
from pathgraph.geometry.potentials import rescaling_directions
from pathgraph.graph.architecture import Architecture
from pathgraph.graph.network import Network, require_network
from pathgraph.layers.channels import channel_classes
from pathgraph.layers.layer_graph import LayerGraph
from pathgraph.shown import argument_text

__all__ = ["dyadics", "inputs", "parameters", "rescalings"]

MAX_DISTINCT = 50
"""Longer vectors repeat their first entries: Hypothesis refuses examples of thousands of choices."""


def at_least(minimum: int, **options: int) -> list[int]:
    """The options as Python's integers, which is what Hypothesis takes; refused where they lie below `minimum`."""
    for name, value in options.items():
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < minimum:
            raise ParameterError(f"{name}: needed an integer of at least {minimum}, got {argument_text(value)}")
    return [int(value) for value in options.values()]


def subset(known: Sequence[str], **options: Collection[str]) -> None:
    """Refuse options that are no collection of some of the `known` names."""
    for option, value in options.items():
        is_some = isinstance(value, Collection) and not isinstance(value, str) and all(name in known for name in value)
        if not is_some:
            raise ParameterError(f"{option}: needed some of {', '.join(known)}, got {argument_text(value)}")


def dyadics(*, max_numerator: int = 4, max_exponent: int = 2) -> SearchStrategy[Fraction]:
    """Rationals n / 2**k with ``abs(n) <= max_numerator`` and ``k <= max_exponent``.

    They shrink towards small denominators, then towards 1, -1, 0, 2, -2, ... in that order: a weight 1 is the
    simplest one, since it disappears from every formula.

    Parameters
    ----------
    max_numerator, max_exponent : int
        At least 1 and at least 0.

    Returns
    -------
    SearchStrategy of Fraction

    Raises
    ------
    ParameterError
        If a bound is no integer or too small.

    Examples
    --------
    >>> from hypothesis import find
    >>> from pathgraph.testing import dyadics
    >>> find(dyadics(), lambda w: w < 0)
    Fraction(-1, 1)
    """
    (max_numerator,) = at_least(1, max_numerator=max_numerator)
    (max_exponent,) = at_least(0, max_exponent=max_exponent)
    return _dyadics(max_numerator, max_exponent)


@cache  # strategies that depend on a network ask for it at every example
def _dyadics(max_numerator: int, max_exponent: int) -> SearchStrategy[Fraction]:
    numerators = range(-max_numerator, max_numerator + 1)
    values = {Fraction(n, 2**k) for n in numerators for k in range(max_exponent + 1)}
    return st.sampled_from(sorted(values, key=lambda w: (w.denominator, w != 1, w != -1, abs(w), -w)))


def _vectors(values: SearchStrategy[Fraction], size: int) -> SearchStrategy[list[Fraction]]:
    drawn = min(size, MAX_DISTINCT)
    return st.lists(values, min_size=drawn, max_size=drawn).map(lambda few: list(islice(cycle(few), size)))


def parameters(
    architecture: Architecture | Network, *, max_numerator: int = 4, max_exponent: int = 2
) -> SearchStrategy[np.ndarray[Any, Any]]:
    """Parameter vectors of an architecture, to be used with ``net.with_theta``.

    Parameters
    ----------
    architecture : Architecture or Network
    max_numerator, max_exponent : int
        As in `dyadics`.

    Returns
    -------
    SearchStrategy of ndarray of Fraction, shape (n_parameters,)
        Beyond 50 parameters the first 50 values are repeated.

    Examples
    --------
    >>> import pathgraph as pg
    >>> from hypothesis import find
    >>> from pathgraph.testing import parameters
    >>> net = pg.from_weights([[[1, 1]]]).to_exact()
    >>> theta = find(parameters(net), lambda theta: theta[0] == -1)
    >>> net.with_theta(theta)([1, 0])
    array([Fraction(-1, 1)], dtype=object)
    """
    structure = architecture.architecture if isinstance(architecture, Network) else architecture
    values = dyadics(max_numerator=max_numerator, max_exponent=max_exponent)
    return _vectors(values, structure.n_parameters).map(lambda theta: np.array(theta, dtype=object))


def inputs(
    net: Network, *, max_numerator: int = 4, max_exponent: int = 2
) -> SearchStrategy[tuple[Fraction | float, ...]]:
    """Input vectors of a network, of its kind of scalars.

    One in four is constant, one in four alternates between a value and its opposite, and one in eight is zero, so
    that pool candidates tie and pre-activations vanish.

    Parameters
    ----------
    net : Network
    max_numerator, max_exponent : int
        As in `dyadics`.

    Returns
    -------
    SearchStrategy of tuple, length n_inputs
        Of Fractions for an exact network, of the same values as floats otherwise.

    Examples
    --------
    >>> import pathgraph as pg
    >>> from hypothesis import find
    >>> from pathgraph.testing import inputs
    >>> find(inputs(pg.from_weights([[[1.0, 1.0]]])), lambda x: x[0] == -x[1])
    (1.0, -1.0)
    """
    size = len(net.inputs)
    values = dyadics(max_numerator=max_numerator, max_exponent=max_exponent)
    plain = _vectors(values, size)
    constant = values.map(lambda w: [w] * size)
    alternating = values.map(lambda w: [w, -w] * size)
    drawn = st.one_of(plain, plain, plain, constant, constant, alternating, alternating, st.just([Fraction(0)] * size))
    scalar = Fraction if net.is_exact else float
    return drawn.map(lambda x: tuple(map(scalar, x[:size])))


def rescalings(
    net: Network | LayerGraph, *, max_exponent: int = 3, negative: Collection[str] = ()
) -> SearchStrategy[dict[Hashable, Fraction | float]]:
    """Elements of the rescaling group of a network, as mappings from hidden neurons, or channels, to factors.

    Factors are powers of two, so that floats rescale without rounding. Structural weights and ties restrict the
    group: it is generated by the integer solutions of their equations, and all of it can be drawn.

    Parameters
    ----------
    net : Network or LayerGraph
        Of a layer graph the channels are rescaled; those that an entry meets at several places move together.
    max_exponent : int
        Bound on the coefficients of the generators; where nothing restricts the group, factors lie between
        ``2**-max_exponent`` and ``2**max_exponent``.
    negative : collection of {"identity", "relu", "pool"}
        Activations of the neurons whose factor may be negative. Such a "rescaling" keeps the path-lifting, and the
        function if all these neurons are identities. Neurons under an equation stay positive. Not for layer graphs.

    Returns
    -------
    SearchStrategy of dict
        Every hidden neuron is a key; the values are of the network's kind of scalars.

    Examples
    --------
    >>> import pathgraph as pg
    >>> from hypothesis import find
    >>> from pathgraph.testing import rescalings
    >>> net = pg.from_weights([[[1], [2]], [[1, 1]]]).to_exact()
    >>> sorted(find(rescalings(net), lambda lam: max(lam.values()) > 1).values())
    [Fraction(1, 1), Fraction(2, 1)]
    """
    (max_exponent,) = at_least(0, max_exponent=max_exponent)
    subset(("identity", "relu", "pool"), negative=negative)
    if isinstance(net, LayerGraph):
        if negative:
            raise ParameterError(f"negative: needed () for a layer graph, got {argument_text(negative)}")
        return _channel_rescalings(net, max_exponent)
    require_network(net)
    generators = rescaling_directions(net)
    shared = Counter(v for generator in generators for v in generator)
    alone = {v for generator in generators if len(generator) == 1 for v in generator if shared[v] == 1}
    kinds = net.architecture.activations
    signs = {v: st.sampled_from((1, -1)) if kinds[v] in negative else st.just(1) for v in sorted(alone)}
    scalar = Fraction if net.is_exact else float

    def factors(multiples: list[int], sign: dict[int, int]) -> dict[Hashable, Fraction | float]:
        exponents: Counter[int] = Counter()
        for multiple, generator in zip(multiples, generators, strict=True):
            exponents.update({v: multiple * step for v, step in generator.items()})
        powers = {net.nodes[v]: sign.get(v, 1) * Fraction(2) ** z for v, z in exponents.items()}
        return {v: scalar(powers.get(v, 1)) for v in net.hidden}

    steps = st.lists(st.integers(-max_exponent, max_exponent), min_size=len(generators), max_size=len(generators))
    return st.builds(factors, steps, st.fixed_dictionaries(signs))


def _channel_rescalings(graph: LayerGraph, max_exponent: int) -> SearchStrategy[dict[Hashable, Fraction | float]]:
    classes = channel_classes(graph)
    scalar = Fraction if graph.is_exact else float

    def factors(exponents: list[int]) -> dict[Hashable, Fraction | float]:
        powers = [scalar(Fraction(2) ** z) for z in [*islice(cycle(exponents or [0]), classes.n_classes), 0]]
        found = zip(classes.names, classes.of_channel.tolist(), classes.is_outer.tolist(), strict=True)
        return {name: powers[k] for name, k, is_outer in found if not is_outer}

    n = min(classes.n_classes, MAX_DISTINCT)
    return st.lists(st.integers(-max_exponent, max_exponent), min_size=n, max_size=n).map(factors)
