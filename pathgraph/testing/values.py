"""Strategies for numbers: weights, parameters of an architecture, inputs and rescalings of a network.

They draw small integers and never `hypothesis.strategies.fractions`, whose examples shrink slowly and not far.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from itertools import cycle, islice
from math import lcm
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph.errors import ParameterError
from pathgraph.graph.architecture import Architecture
from pathgraph.graph.network import Network

__all__ = ["dyadics", "inputs", "parameters", "rescalings"]

MAX_DISTINCT = 50
"""Longer vectors repeat their first entries: Hypothesis refuses examples of thousands of choices."""


def at_least(minimum: int, **options: int) -> None:
    """Refuse options that are no integers or lie below `minimum`."""
    for name, value in options.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            raise ParameterError(f"{name}: needed an integer of at least {minimum}, got {value!r}")


def subset(known: Sequence[str], **options: Collection[str]) -> None:
    """Refuse options that are no collection of some of the `known` names."""
    for name, value in options.items():
        if isinstance(value, str) or not set(value) <= set(known):
            raise ParameterError(f"{name}: needed some of {', '.join(known)}, got {value!r}")


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
    >>> find(dyadics(), lambda w: 0 < w < 1)
    Fraction(1, 2)
    """
    at_least(1, max_numerator=max_numerator)
    at_least(0, max_exponent=max_exponent)
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
    >>> find(parameters(net), lambda theta: sum(theta) == 0).tolist()
    [Fraction(1, 1), Fraction(-1, 1)]
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
    >>> find(inputs(pg.from_weights([[[1.0, 1.0]]])), lambda x: x[0] > x[1])
    (1.0, 0.0)
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
    net: Network, *, max_exponent: int = 3, negative: Collection[str] = ()
) -> SearchStrategy[dict[Any, Fraction | float]]:
    """Elements of the rescaling group of a network, as mappings from hidden neurons to factors.

    Factors are powers of two, so that floats rescale without rounding. Structural weights and ties restrict the
    group: it is generated by the integer solutions of their equations, and all of it can be drawn.

    Parameters
    ----------
    net : Network
    max_exponent : int
        Bound on the coefficients of the generators; where nothing restricts the group, factors lie between
        ``2**-max_exponent`` and ``2**max_exponent``.
    negative : collection of {"identity", "relu", "pool"}
        Activations of the neurons whose factor may be negative. Such a "rescaling" keeps the path-lifting, and the
        function if all these neurons are identities. Neurons under an equation stay positive.

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
    at_least(0, max_exponent=max_exponent)
    subset(("identity", "relu", "pool"), negative=negative)
    hidden = net.hidden
    equations = _group_equations(net)
    generators = _kernel(equations, len(hidden))
    coefficients = st.lists(
        st.integers(-max_exponent, max_exponent), min_size=len(generators), max_size=len(generators)
    )
    kinds = dict(zip(net.nodes, net.architecture.activations, strict=True))
    bound = {column for row in equations for column, entry in enumerate(row) if entry}
    signs = st.tuples(
        *(
            st.sampled_from((1, -1)) if kinds[v] in negative and column not in bound else st.just(1)
            for column, v in enumerate(hidden)
        )
    )
    scalar = Fraction if net.is_exact else float

    def factors(chosen: list[int], sign: tuple[int, ...]) -> dict[Any, Fraction | float]:
        exponents = [
            sum(c * g[column] for c, g in zip(chosen, generators, strict=True) if c) for column in range(len(hidden))
        ]
        return {v: scalar(s * Fraction(2) ** z) for v, s, z in zip(hidden, sign, exponents, strict=True)}

    return st.builds(factors, coefficients, signs)


def _group_equations(net: Network) -> list[list[int]]:
    """The linear equations that log-factors of the hidden neurons obey: one row per structural or tied value.

    The factor of an edge u -> v has logarithm z_v - z_u, that of a bias of v has z_v. It must be 0 where a non-zero
    value is structural, and the same wherever a non-zero parameter occurs.
    """
    graph = net.graph
    column = {v: i for i, v in enumerate(net.hidden)}

    def logarithm(v: Any, u: Any = None) -> list[int]:
        row = [0] * len(column)
        for node, sign in ((v, 1), (u, -1)):
            if node in column:
                row[column[node]] += sign
        return row

    values = [(data["weight"], data, "", logarithm(v, u)) for u, v, data in graph.edges(data=True)]
    values += [(data["bias"], data, "bias_", logarithm(v)) for v, data in graph.nodes(data=True) if "bias" in data]
    equations, first = [], {}
    for value, data, prefix, row in values:
        if value == 0:
            continue
        if data.get(prefix + "role", "parameter") == "structural":
            equations.append(row)
        elif (name := data.get(prefix + "parameter")) is not None:
            other = first.setdefault(name, row)
            equations.append([a - b for a, b in zip(row, other, strict=True)])
    return [row for row in equations if any(row)]


def _kernel(equations: list[list[int]], n_unknowns: int) -> list[list[int]]:
    """An integer basis, one vector per free unknown, of the solutions of a homogeneous linear system."""
    rows = [[Fraction(entry) for entry in row] for row in equations]
    pivots: dict[int, list[Fraction]] = {}
    for column in range(n_unknowns):
        pivot = next((row for row in rows if row[column]), None)
        if pivot is None:
            continue
        pivot = [entry / pivot[column] for entry in pivot]
        reduced = [[a - row[column] * b for a, b in zip(row, pivot, strict=True)] for row in (*rows, *pivots.values())]
        rows = [row for row in reduced[: len(rows)] if any(row)]
        pivots = dict(zip(pivots, reduced[len(reduced) - len(pivots) :], strict=True))
        pivots[column] = pivot
    basis = []
    for free in (column for column in range(n_unknowns) if column not in pivots):
        vector = [-pivots[c][free] if c in pivots else Fraction(c == free) for c in range(n_unknowns)]
        scale = lcm(*(entry.denominator for entry in vector))
        basis.append([int(entry * scale) for entry in vector])
    return basis
