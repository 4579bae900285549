"""Sets of parameters, networks without them, and the masses of the paths that meet them, by enumeration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

import pathgraph as pg
from pathgraph import Network
from pathgraph_proofs_checks.parts import MAX_PATHS, entries_on

__all__ = [
    "Places",
    "chosen",
    "mass",
    "mass_by_place",
    "names",
    "places",
    "without",
]

Places = Sequence[int]
"""Places in theta, modulo its length."""

places = st.lists(st.integers(0, 15), max_size=4).map(tuple)


def chosen(net: Network, drawn: Places) -> set[int]:
    """The places in theta."""
    size = len(net.theta)
    return {place % size for place in drawn} if size else set()


def names(net: Network, found: Iterable[int]) -> list[Any]:
    """Names of the parameters at some places."""
    return [net.parameters[place] for place in sorted(found)]


def without(net: Network, found: Iterable[int]) -> Network:
    """The network with zeros at some places of theta."""
    theta = net.theta.copy()
    theta[list(found)] = Fraction(0)
    return net.with_theta(theta)


def _masses_and_places(net: Network) -> list[tuple[Fraction, set[int]]]:
    """For every path, its absolute product, and the places of the parameters on it."""
    lifting = pg.path_lifting(net, max_paths=MAX_PATHS)
    owner = net.architecture.parameter
    return [
        (abs(value), {int(place) for place in owner[entries_on(net, path)] if place >= 0})
        for path, value in zip(lifting.paths, lifting.values, strict=True)
    ]


def mass(net: Network, of: Callable[[set[int]], bool]) -> Fraction:
    """The mass of the paths whose places fulfil a condition."""
    return sum((size for size, on in _masses_and_places(net) if of(on)), Fraction(0))


def mass_by_place(net: Network) -> list[Fraction]:
    """For every parameter, the mass of the paths that meet it."""
    out = [Fraction(0)] * len(net.theta)
    for size, on in _masses_and_places(net):
        for place in on:
            out[place] += size
    return out
