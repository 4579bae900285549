"""Removing whole channels of a layer graph, by the mass of the paths through them."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np

from pathgraph.layers.channels import channel_uses, channels_of
from pathgraph.layers.structure import LayerArchitecture
from pathgraph.pruning.masses import Moduli, grouped
from pathgraph.pruning.owners import Owners, removable
from pathgraph.pruning.selection import in_rounds
from pathgraph.scalars import Array

__all__ = ["remove_channels"]


def remove_channels(moduli: Moduli, count: Callable[[int], int], rounds: int) -> tuple[Array, tuple[Hashable, ...]]:
    """Remove the hidden channels with the least mass; see `pathgraph.layers.channels` for what they are.

    A channel is removed by setting its own parameters to zero: its biases and the weights into and out of it that
    stand nowhere else. It can be removed if no path with a non-zero product is left through it then, that is if no
    other non-zero value enters it, or none leaves it. Channels without such a path are removed already.

    Parameters
    ----------
    moduli : Moduli
        Of a layer graph; is changed.
    count : callable
        How many of the n channels that can be removed.
    rounds : int
        In how many rounds.

    Returns
    -------
    places : ndarray
        Of the parameters that are zero now, in theta, channel by channel.
    channels : tuple
        Their names (layer, channel), in the order of removal.
    """
    architecture = moduli.architecture
    assert isinstance(architecture, LayerArchitecture)
    channel, names = channels_of(architecture)
    uses = channel_uses(architecture, channel, len(names))
    owners = Owners(architecture.parameter[uses.entry], uses.target, uses.source, architecture.n_parameters)
    hidden = np.ones(len(names), dtype=bool)
    for ends in (architecture.dag.inputs, architecture.dag.outputs):
        hidden[channel[ends]] = False
    is_live = (moduli.values != 0)[uses.entry]
    can_go = np.flatnonzero(hidden & removable(owners, uses.target, uses.source, is_live, len(names)))

    def masses() -> Array:
        return grouped(moduli.neuron_masses()[1:], channel[1:], len(names))

    def remove(channels: Array) -> None:
        moduli.remove(owners.parameters_of(channels))

    gone = in_rounds(masses, remove, can_go, count(len(can_go)), rounds)
    return owners.parameters_of(gone), tuple(names[c] for c in gone.tolist())
