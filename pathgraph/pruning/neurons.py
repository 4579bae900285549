"""Removing whole hidden neurons, by the mass of the paths through them."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np

from pathgraph.graph.architecture import Architecture
from pathgraph.pruning.masses import Moduli, grouped
from pathgraph.pruning.owners import Owners, removable
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
    source = np.full(len(architecture.target), -1)
    source[: architecture.n_edges] = architecture.antecedent
    owners = Owners(architecture.parameter, architecture.target, source, architecture.n_parameters)
    hidden = np.zeros(architecture.n_nodes, dtype=bool)
    hidden[[architecture.index(v) for v in architecture.hidden]] = True
    can_go = np.flatnonzero(
        hidden & removable(owners, architecture.target, source, moduli.values != 0, architecture.n_nodes)
    )

    def masses() -> Array:
        return grouped(moduli.masses(), architecture.target, architecture.n_nodes)

    def remove(neurons: Array) -> None:
        moduli.remove(owners.parameters_of(neurons))

    gone = in_rounds(masses, remove, can_go, count(len(can_go)), rounds)
    return owners.parameters_of(gone), tuple(architecture.nodes[v] for v in gone.tolist())
