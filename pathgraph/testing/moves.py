"""Strategies for what is done to a network: pairs that agree in sign, parameters to remove, quantizers, orders."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from itertools import cycle, islice
from typing import Any

import networkx as nx
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph.errors import ParameterError
from pathgraph.graph.conversion import from_networkx, to_networkx
from pathgraph.graph.network import Network, require_network
from pathgraph.quantization.quantizers import Quantizer
from pathgraph.shown import argument_text
from pathgraph.testing.values import MAX_DISTINCT, at_least, subset

__all__ = ["permutations", "prunings", "quantizations", "same_sign_pairs"]

RELATIONS = ("any", "shrunk", "grown")
FACTORS = {
    "any": [Fraction(1), Fraction(2), Fraction(1, 2), Fraction(0), Fraction(3, 2), Fraction(4), Fraction(1, 4)],
    "shrunk": [Fraction(1), Fraction(1, 2), Fraction(0), Fraction(3, 4), Fraction(1, 4)],
    "grown": [Fraction(1), Fraction(2), Fraction(3, 2), Fraction(4)],
}
MODES = ("nearest", "floor", "toward_zero")
FORMATS = ("fp32", "fp16", "bf16", "tf32", "e4m3", "e5m2")


def same_sign_pairs(net: Network, *, relation: str = "any") -> SearchStrategy[tuple[Network, Network]]:
    """Pairs of a network and one whose parameters never have the opposite sign; zero agrees with both.

    Parameters
    ----------
    net : Network
    relation : {"any", "shrunk", "grown"}
        Whether no parameter may grow, or shrink, in absolute value.

    Returns
    -------
    SearchStrategy of (Network, Network)
        The first is `net`. They shrink towards two equal networks.

    Raises
    ------
    ParameterError
        On another relation.

    Examples
    --------
    >>> import pathgraph as pg
    >>> from hypothesis import find
    >>> from pathgraph.testing import same_sign_pairs
    >>> net = pg.from_weights([[[1, -1]]]).to_exact()
    >>> _, other = find(same_sign_pairs(net, relation="grown"), lambda pair: pair[0] != pair[1])
    >>> [str(w) for w in other.theta]
    ['1', '-2']
    """
    if relation not in RELATIONS:
        raise ParameterError(
            f"relation: needed one of {', '.join(map(repr, RELATIONS))}, got {argument_text(relation)}"
        )
    require_network(net)
    size = len(net.theta)
    drawn = min(size, MAX_DISTINCT)

    def pair(few: list[Fraction]) -> tuple[Network, Network]:
        factors = list(islice(cycle(few), size))
        if net.is_exact:
            return net, net.with_theta(net.theta * np.array(factors, dtype=object))
        with np.errstate(over="ignore"):
            theta = net.theta * np.array(factors, dtype=net.dtype)
        return net, net.with_theta(np.where(np.isfinite(theta), theta, net.theta))

    return st.lists(st.sampled_from(FACTORS[relation]), min_size=drawn, max_size=drawn).map(pair)


def prunings(net: Network, *, min_size: int = 0) -> SearchStrategy[np.ndarray[Any, Any]]:
    """Sets of parameters to remove, as masks that are True where a parameter goes.

    Parameters
    ----------
    net : Network
    min_size : int
        At least so many go.

    Returns
    -------
    SearchStrategy of ndarray of bool, shape (n_parameters,)
        They shrink towards few and early parameters.

    Raises
    ------
    ParameterError
        If there are fewer parameters.

    Examples
    --------
    >>> import pathgraph as pg
    >>> from hypothesis import find
    >>> from pathgraph.testing import prunings
    >>> net = pg.from_weights([[[1, 2], [0, 3]], [[1, 1]]]).to_exact()
    >>> find(prunings(net), lambda mask: pg.set_magnitude(net, mask) >= 3).tolist()
    [False, False, False, True, False, False]
    """
    (min_size,) = at_least(0, min_size=min_size)
    require_network(net)
    size = len(net.theta)
    if min_size > size:
        raise ParameterError(f"min_size: needed at most {size}, the number of parameters, got {min_size}")

    def mask(chosen: set[int]) -> np.ndarray[Any, Any]:
        out = np.zeros(size, dtype=bool)
        out[sorted(chosen)] = True
        return out

    return st.sets(st.integers(0, max(0, size - 1)), min_size=min_size, max_size=size).map(mask)


def quantizations(
    *, modes: Collection[str] = MODES, formats: Collection[str] = FORMATS, max_exponent: int = 4
) -> SearchStrategy[Quantizer]:
    """Quantizers: steps that are powers of two, and floating formats.

    Parameters
    ----------
    modes : collection of {"nearest", "floor", "toward_zero"}
    formats : collection of {"fp32", "fp16", "bf16", "tf32", "e4m3", "e5m2"}
    max_exponent : int
        Steps are from ``2**-max_exponent`` to 2.

    Returns
    -------
    SearchStrategy of Quantizer

    Raises
    ------
    ParameterError
        On unknown names, and if neither modes nor formats are left.

    Examples
    --------
    >>> from hypothesis import find
    >>> from pathgraph.testing import quantizations
    >>> find(quantizations(), lambda q: q(0.3) != 0.3).mode
    'nearest'
    """
    (max_exponent,) = at_least(0, max_exponent=max_exponent)
    subset(MODES, modes=modes)
    subset(FORMATS, formats=formats)
    if not modes and not formats:
        raise ParameterError("modes: needed some mode or format, got none")
    steps = st.integers(-1, max_exponent).map(lambda k: Fraction(2) ** -k)
    kinds: list[SearchStrategy[Quantizer]] = []
    if modes:
        known: list[Any] = [mode for mode in MODES if mode in modes]
        kinds.append(st.builds(Quantizer, st.sampled_from(known), steps))
    if formats:
        names = [name for name in FORMATS if name in formats]
        kinds.append(st.sampled_from(names).map(lambda name: Quantizer(format=name)))
    return st.one_of(kinds)


def permutations(net: Network) -> SearchStrategy[Network]:
    """The same network with its hidden neurons in other orders: names, weights and function stay.

    What depends on the order of the neurons alone, such as `Network.theta`, changes; so may the rounding of sums.

    Examples
    --------
    >>> import pathgraph as pg
    >>> from hypothesis import find
    >>> from pathgraph.testing import permutations
    >>> net = pg.from_weights([[[1], [2]], [[3, 4]]]).to_exact()
    >>> other = find(permutations(net), lambda other: other.hidden != net.hidden)
    >>> other.hidden, other([1]) == net([1])
    (((1, 1), (1, 0)), array([ True]))
    """
    graph = to_networkx(net)
    outer = set(net.inputs) | set(net.outputs)

    def reordered(hidden: list[Any]) -> Network:
        order = iter(hidden)
        other: nx.DiGraph[Any] = nx.DiGraph()
        for v in graph:
            node = v if v in outer else next(order)
            other.add_node(node, **graph.nodes[node])
        other.add_edges_from(graph.edges(data=True))
        return from_networkx(other, dtype=object if net.is_exact else net.dtype)

    return st.permutations(list(net.hidden)).map(reordered)
