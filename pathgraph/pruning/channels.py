"""Removing whole channels of a layer graph, by the mass of the paths through them."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np

from pathgraph.layers.channels import ChannelUses, channel_uses, channels_of
from pathgraph.layers.structure import LayerArchitecture
from pathgraph.pruning.masses import Moduli, grouped
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
    own = _own_parameters(architecture, uses)
    hidden = np.ones(len(names), dtype=bool)
    for ends in (architecture.dag.inputs, architecture.dag.outputs):
        hidden[channel[ends]] = False
    can_go = np.flatnonzero(hidden & _can_go(architecture, moduli.values != 0, uses, own, len(names)))
    start = np.searchsorted(own[0], np.arange(len(names) + 1))

    def places(channels: Array) -> Array:
        parts = [own[1][start[c] : start[c + 1]] for c in channels.tolist()]
        together = np.concatenate([np.empty(0, dtype=np.int64), *parts])
        _, first = np.unique(together, return_index=True)
        return np.asarray(together[np.sort(first)])

    def masses() -> Array:
        return grouped(moduli.neuron_masses()[1:], channel[1:], len(names))

    gone = in_rounds(masses, lambda some: moduli.remove(places(some)), can_go, count(len(can_go)), rounds)
    return places(gone), tuple(names[c] for c in gone.tolist())


def _own_parameters(architecture: LayerArchitecture, uses: ChannelUses) -> Array:
    """Pairs (channel, place in theta), sorted: parameters all of whose edges enter or leave that channel."""
    place = architecture.parameter[uses.entry]
    free = place >= 0
    size = max(1, architecture.n_parameters)
    inner = free & (uses.source >= 0)
    keys = np.concatenate([uses.target[free] * size + place[free], uses.source[inner] * size + place[inner]])
    keys, times = np.unique(keys, return_counts=True)
    everywhere = np.bincount(place[free], minlength=size)
    return np.stack(np.divmod(keys, size))[:, times == everywhere[keys % size]]


def _can_go(architecture: LayerArchitecture, is_live: Array, uses: ChannelUses, own: Array, n_channels: int) -> Array:
    """The channels that have live edges on both sides, and on one of them none but their own: bool."""
    size = max(1, architecture.n_parameters)
    owned, place = own[0] * size + own[1], architecture.parameter[uses.entry]
    live = is_live[uses.entry]
    out, free = np.ones(n_channels, dtype=bool), np.zeros(n_channels, dtype=bool)
    for end in (uses.target, uses.source):
        at = end >= 0
        is_own = (place >= 0) & np.isin(end * size + place, owned)
        out &= np.bincount(end[at], weights=live[at], minlength=n_channels) > 0
        free |= np.bincount(end[at], weights=(live & ~is_own)[at], minlength=n_channels) == 0
    return out & free
