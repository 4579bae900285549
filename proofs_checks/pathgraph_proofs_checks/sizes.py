"""Random networks in two sizes: the usual one, which shrinks and enumerates fast, and a larger one for thorough runs.

The functions here are those of `pathgraph.testing`, and remember for each strategy the same one with larger networks.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pathgraph import Network, testing

__all__ = ["either", "filtered", "larger", "mapped", "mlps", "relu_dags"]

Networks = SearchStrategy[Network]

GROWTH = 1.6
"""Paths multiply with depth: at this factor, enumerations take ten times as long on average."""

_LARGER: dict[Networks, Networks] = {}


def relu_dags(*, max_inputs: int = 4, max_hidden: int = 5, **options: Any) -> Networks:
    """`pathgraph.testing.relu_dags`."""
    grown = testing.relu_dags(max_inputs=max_inputs + 1, max_hidden=ceil(GROWTH * max_hidden), **options)
    return remembered(testing.relu_dags(max_inputs=max_inputs, max_hidden=max_hidden, **options), grown)


def mlps(*, max_layers: int = 3, max_width: int = 3, **options: Any) -> Networks:
    """`pathgraph.testing.mlps`."""
    grown = testing.mlps(max_layers=max_layers + 1, max_width=max_width + 1, **options)
    return remembered(testing.mlps(max_layers=max_layers, max_width=max_width, **options), grown)


def remembered(networks: Networks, grown: Networks) -> Networks:
    """The first strategy, of which `larger` now knows the second."""
    _LARGER[networks] = grown
    return networks


def larger(networks: Networks) -> Networks:
    """The same networks, larger; those of a kind of their own as they are."""
    return _LARGER.get(networks, networks)


def mapped(change: Callable[[Network], Network], networks: Networks) -> Networks:
    """Networks that were changed, in both sizes."""
    return remembered(networks.map(change), larger(networks).map(change))


def filtered(wanted: Callable[[Network], bool], networks: Networks) -> Networks:
    """The networks that are wanted, in both sizes."""
    return remembered(networks.filter(wanted), larger(networks).filter(wanted))


def either(*kinds: Networks) -> Networks:
    """Networks of several kinds, in both sizes."""
    return remembered(st.one_of(*kinds), st.one_of(*map(larger, kinds)))
