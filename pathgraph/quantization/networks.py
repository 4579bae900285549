"""Networks with quantized parameters: one quantizer for all, or one for each layer or neuron."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import numpy as np

from pathgraph.arguments import generator
from pathgraph.errors import ParameterError
from pathgraph.graph.network import Network, require_network
from pathgraph.layers.channels import channel_uses, channels_of
from pathgraph.quantization.quantizers import Quantizer
from pathgraph.resolutions import ReluNetwork, require_network_of_numbers
from pathgraph.scalars import Array
from pathgraph.shown import argument_text

__all__ = ["Groups", "parameter_groups", "quantize", "require_grouping"]

By = Literal["network", "layer", "channel", "neuron"]
AnyNetwork = TypeVar("AnyNetwork", bound=ReluNetwork)


class Groups(NamedTuple):
    """The parameters of a network in groups.

    Attributes
    ----------
    labels : tuple
        Of the groups: 0; the levels; the channels; or the neurons.
    group : ndarray of int, shape (n_parameters,)
        The place of each parameter's group among the labels.
    """

    labels: tuple[Hashable, ...]
    group: Array


def require_grouping(by: Any, name: str) -> None:
    """Refuse what is no way to group parameters.

    Raises
    ------
    ParameterError
    """
    if not isinstance(by, str) or by not in get_args(By):
        raise ParameterError(f"{name}: needed one of {', '.join(map(repr, get_args(By)))}, got {argument_text(by)}")


def parameter_groups(net: ReluNetwork, by: By = "network") -> Groups:
    """Each parameter's group: all in one, by the level of the neuron it leads to, or by that neuron.

    A tied parameter belongs to the group of its first place. Of a layer graph the groups are all, the layers, or the
    channels that parameters lead to, which takes a pass over its edges; a neuron of a network is a channel of its own.

    Parameters
    ----------
    net : Network or LayerGraph
    by : {"network", "layer", "channel", "neuron"}

    Returns
    -------
    Groups
        Labels: 0, the levels or names of layers, the channels (layer, channel), or the neurons; None for parameters
        that stand on no edge and so lead to no channel.

    Raises
    ------
    ParameterError
        On another `by`, and on the neurons of a layer graph: expand it.
    UnsupportedOperatorError
        On symbolic networks.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None])
    >>> pg.parameter_groups(net, "layer")
    Groups(labels=(1, 2), group=array([0, 0, 0, 0, 0, 0, 1, 1]))
    """
    require_network_of_numbers(net, "parameter_groups")
    require_grouping(by, "by")
    if not isinstance(net, Network):
        structure: Any = net.architecture
        if by == "network":
            return Groups((0,), np.zeros(structure.n_parameters, dtype=np.int64))
        if by == "neuron":
            require_network(net)  # which says how to get a graph of neurons
        if by == "channel":
            return _by_channel(structure)
        order, group = np.unique(structure.first_layer, return_inverse=True)
        return Groups(tuple(structure.layer_names[i] for i in order.tolist()), group)
    architecture = net.architecture
    target = architecture.target[architecture.first_entry]
    if by == "network":
        return Groups((0,), np.zeros(len(target), dtype=np.int64))
    found, group = np.unique(architecture.level[target] if by == "layer" else target, return_inverse=True)
    labels = found.tolist() if by == "layer" else [architecture.nodes[v] for v in found.tolist()]
    return Groups(tuple(labels), group)


def quantize(
    net: AnyNetwork,
    quantizer: Quantizer | Mapping[Hashable, Quantizer],
    *,
    by: By = "network",
    fixed: bool = False,
    rng: np.random.Generator | int | None = None,
) -> AnyNetwork:
    """The network with its parameters rounded; frozen and structural values stay unless `fixed` is set.

    Parameters
    ----------
    net : Network or LayerGraph
    quantizer : Quantizer, or mapping from the labels of the groups to quantizers
        Groups without one are not rounded.
    by : {"network", "layer", "channel", "neuron"}
        What the labels are; see `parameter_groups`.
    fixed : bool
        Round the frozen and structural values, too (scales of batch-norms and of inputs, shares of averages), by the
        one quantizer: for networks that are executed in a narrow format.
    rng : numpy.random.Generator or int, optional
        For stochastic rounding.

    Returns
    -------
    Network or LayerGraph
        In the scalars of `net`.

    Raises
    ------
    ParameterError
        On labels that no group has, what is no quantizer, and `fixed` with several quantizers.
    RangeError
        If a format cannot hold a parameter.

    Notes
    -----
    With a batch-norm kept apart it is the unscaled weights that are rounded; fold it first where the scaled ones are
    stored. In floating formats, without under- or overflow, rounding commutes with rescalings by powers of two.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[0.7, -2.2]], [[0.3]]])
    >>> pg.quantize(net, pg.Quantizer("floor", step=0.5)).theta
    array([ 0.5, -2.5,  0. ])
    >>> pg.quantize(net, {2: pg.Quantizer(step=0.25)}, by="layer").theta
    array([ 0.7 , -2.2 ,  0.25])
    """
    groups = parameter_groups(net, by)
    random = None if rng is None else generator(rng)
    if isinstance(quantizer, Quantizer):
        return net.with_values(quantizer(net.values, random)) if fixed else net.with_theta(quantizer(net.theta, random))
    if fixed:
        raise ParameterError("fixed: rounding fixed values needs one quantizer for all, got several")
    if not isinstance(quantizer, Mapping) or not all(isinstance(each, Quantizer) for each in quantizer.values()):
        raise ParameterError(
            "quantizer: needed a Quantizer, such as Quantizer(format='bf16') or Quantizer(step=2**-8), or a mapping "
            f"from labels to some, got {argument_text(quantizer)}"
        )
    for label in quantizer:
        if label not in groups.labels:
            raise ParameterError(
                f"quantizer: no group has the label {argument_text(label)}, see parameter_groups(net, {by!r}).labels; "
                "those of allocate_bits need its groups= as by="
            )
    theta = net.theta.copy()
    order = np.argsort(groups.group, kind="stable")
    ends = np.searchsorted(groups.group[order], np.arange(len(groups.labels) + 1))
    for label, (first, stop) in zip(groups.labels, pairwise(ends.tolist()), strict=True):
        if label in quantizer:
            members = order[first:stop]
            theta[members] = quantizer[label](theta[members], random)
    return net.with_theta(theta)


def _by_channel(structure: Any) -> Groups:
    """By the first channel that each parameter of a layer graph leads to."""
    channel, names = channels_of(structure)
    uses = channel_uses(structure, channel, len(names))
    is_first = np.append(True, uses.entry[1:] != uses.entry[:-1])[: len(uses.entry)]  # entries are sorted
    target = np.full(structure.n_entries, -1)
    target[uses.entry[is_first]] = uses.target[is_first]
    target = target[structure.first_entry]
    is_label = np.zeros(len(names) + 1, dtype=bool)  # the last one is that of -1
    is_label[target] = True
    found = np.append(np.full(int(is_label[-1]), -1), np.flatnonzero(is_label[:-1]))
    place = np.zeros(len(is_label), dtype=np.int64)
    place[found] = np.arange(len(found))
    group = place[target]
    return Groups(tuple(names[k] if k >= 0 else None for k in found.tolist()), group)
