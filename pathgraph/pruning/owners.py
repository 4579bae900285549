"""Which parameters go with a neuron, or with a channel, when it is removed: those that stand nowhere else."""

from __future__ import annotations

import numpy as np

from pathgraph.scalars import Array

__all__ = ["Owners", "removable"]


class Owners:
    """For each parameter the neurons (or channels) at one end of all its places: one, two or none.

    A neuron at an end of every place of a parameter is at an end of the first one, so that no more than two are asked.

    Parameters
    ----------
    parameter : ndarray of int, shape (n_places,)
        Which parameter stands there; -1 for values that are none.
    target, source : ndarray of int, shape (n_places,)
        The neurons that its edge leads to, and comes from: -1 for a bias.
    n_parameters : int
    """

    def __init__(self, parameter: Array, target: Array, source: Array, n_parameters: int) -> None:
        places = np.flatnonzero(parameter >= 0)
        first = np.full(n_parameters, -1)
        first[parameter[places[::-1]]] = places[::-1]  # the last one written stays
        stands = first >= 0
        self.ends = tuple(np.where(stands, end[first], -1) for end in (target, source))
        self._parameter, self._places = parameter, places
        self._at = target, source
        self._owns = tuple(self._at_all_places(end) for end in self.ends)

    def _at_all_places(self, end: Array) -> Array:
        """Whether that neuron is at an end of all places of the parameter."""
        parameter, (target, source) = self._parameter[self._places], (at[self._places] for at in self._at)
        elsewhere = parameter[(target != end[parameter]) & (source != end[parameter])]
        owns = end >= 0
        owns[elsewhere] = False
        return np.asarray(owns)

    def own(self, end: Array) -> Array:
        """Which places have a parameter that goes with the neuron at that end of theirs: bool, shape (n_places,).

        Parameters
        ----------
        end : ndarray of int, shape (n_places,)
            The targets, or the sources.
        """
        out = np.zeros(len(end), dtype=bool)
        parameter = self._parameter[self._places]
        for one, owns in zip(self.ends, self._owns, strict=True):
            out[self._places] |= owns[parameter] & (one[parameter] == end[self._places])
        return out

    def parameters_of(self, neurons: Array) -> Array:
        """The parameters that go with some neurons, neuron by neuron, each once."""
        if not len(neurons):
            return np.empty(0, dtype=np.int64)
        rank = np.full(int(max(neurons.max(), *(end.max(initial=0) for end in self.ends))) + 1, -1)
        rank[neurons] = np.arange(len(neurons))
        found = []
        for end, owns in zip(self.ends, self._owns, strict=True):
            chosen = np.flatnonzero(owns & (rank[end] >= 0))
            found.append(np.stack([rank[end[chosen]], chosen]))
        order, parameter = np.concatenate(found, axis=1)
        parameter = parameter[np.lexsort((parameter, order))]
        is_first = np.zeros(len(parameter), dtype=bool)
        is_first[np.unique(parameter, return_index=True)[1]] = True
        return np.asarray(parameter[is_first])


def removable(owners: Owners, target: Array, source: Array, is_live: Array, n_neurons: int) -> Array:
    """The neurons that have live places on both sides, and on one of them none but their own: bool, shape (n_neurons,).

    Parameters
    ----------
    owners : Owners
    target, source : ndarray of int, shape (n_places,)
    is_live : ndarray of bool, shape (n_places,)
        Where a value is not zero.
    n_neurons : int
    """
    out, free = np.ones(n_neurons, dtype=bool), np.zeros(n_neurons, dtype=bool)
    for end in (target, source):
        live = is_live & (end >= 0)
        out &= np.bincount(end[live], minlength=n_neurons) > 0
        free |= np.bincount(end[live & ~owners.own(end)], minlength=n_neurons) == 0
    return out & free
