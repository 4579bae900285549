"""Removing whole hidden neurons, by the mass of the paths through them."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np

from pathgraph.graph.architecture import Architecture
from pathgraph.pruning.masses import Moduli, grouped
from pathgraph.pruning.selection import in_rounds
from pathgraph.scalars import Array

__all__ = ["remove_neurons"]


def remove_neurons(moduli: Moduli, count: Callable[[int], int], rounds: int) -> tuple[Array, tuple[Hashable, ...]]:
    """Remove the hidden neurons with the least mass.

    A neuron is removed by setting to zero all parameters of its incoming and outgoing weights and its bias that
    stand nowhere else. It can be removed if that leaves no path with a non-zero product through it: if no other
    non-zero value enters it, or none leaves it; and if it is not removed already.

    Parameters
    ----------
    moduli : Moduli
        Is changed.
    count : callable
        How many of the n neurons that can be removed.
    rounds : int
        In how many rounds.

    Returns
    -------
    places : ndarray
        Of the parameters that are zero now, in theta, neuron by neuron.
    neurons : tuple
        Their names, in the order of removal.
    """
    architecture = moduli.architecture
    assert isinstance(architecture, Architecture)
    own = _own_places(architecture)
    can_go = np.flatnonzero(_can_go(architecture, moduli.values != 0, own))
    places = _Places(own, architecture.n_nodes)

    def masses() -> Array:
        return grouped(moduli.masses(), architecture.target, architecture.n_nodes)

    def remove(neurons: Array) -> None:
        moduli.remove(places.of(neurons))

    gone = in_rounds(masses, remove, can_go, count(len(can_go)), rounds)
    return places.of(gone), tuple(architecture.nodes[v] for v in gone.tolist())


def _own_places(architecture: Architecture) -> Array:
    """Pairs (neuron, place in theta), sorted: the parameters that stand only at this neuron, before or behind it."""
    owner, edges = architecture.parameter, architecture.n_edges
    neuron = np.concatenate([architecture.target, architecture.antecedent])
    place = np.concatenate([owner, owner[:edges]])
    size = max(1, architecture.n_parameters)
    keys, times = np.unique((neuron * size + place)[place >= 0], return_counts=True)
    everywhere = np.bincount(owner[owner >= 0], minlength=size)
    return np.stack(np.divmod(keys, size))[:, times == everywhere[keys % size]]


def _can_go(architecture: Architecture, is_live: Array, own: Array) -> Array:
    """Which hidden neurons can be removed, and are not yet: bool, shape (n_nodes,)."""
    n, size = architecture.n_nodes, architecture.n_parameters
    owned = np.unique(own[0] * size + own[1])
    out = np.zeros(n, dtype=bool)
    out[[architecture.index(v) for v in architecture.hidden]] = True
    free = np.zeros(n, dtype=bool)
    edges = architecture.n_edges
    for neuron, entries in (
        (architecture.target, slice(None)),
        (architecture.antecedent, slice(edges)),
    ):
        place = architecture.parameter[entries]
        is_own = (place >= 0) & np.isin(neuron * size + place, owned)
        out &= np.bincount(neuron, weights=is_live[entries], minlength=n) > 0
        free |= np.bincount(neuron, weights=is_live[entries] & ~is_own, minlength=n) == 0
    return out & free


class _Places:
    """The places in theta of each neuron's own parameters."""

    def __init__(self, own: Array, n_nodes: int) -> None:
        self._place = own[1]
        self._start = np.searchsorted(own[0], np.arange(n_nodes + 1))

    def of(self, neurons: Array) -> Array:
        """Those of some neurons, neuron by neuron, each once."""
        parts = [self._place[self._start[v] : self._start[v + 1]] for v in neurons.tolist()]
        together = np.concatenate([np.empty(0, dtype=np.int64), *parts])
        _, first = np.unique(together, return_index=True)
        return np.asarray(together[np.sort(first)])
