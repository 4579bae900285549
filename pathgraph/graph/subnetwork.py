"""The part of a network between two neurons."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from scipy.sparse import csr_array

from pathgraph.errors import GraphError
from pathgraph.graph.architecture import STRUCTURAL, Architecture
from pathgraph.graph.arrays import from_arrays
from pathgraph.graph.network import Network, require_network
from pathgraph.pathsum.blocks import IDENTITY, INPUT
from pathgraph.scalars import Array
from pathgraph.shown import argument_text

__all__ = ["subnetwork"]


def subnetwork(net: Network, source: Hashable, target: Hashable) -> Network:
    """The network of the paths from one neuron to another.

    Its only input is `source`, its only output `target`; it keeps the neurons and edges on paths between them, and no
    biases, so that its paths are exactly the paths from `source` to `target` in `net`. A ReLU or pool `target` gets an
    identity copy ``(target, "output")`` behind it, through a structural edge of weight 1. Pools keep the candidates
    that remain; one whose rank is then too large becomes a minimum.

    Parameters
    ----------
    net : Network
    source, target : node

    Returns
    -------
    Network

    Raises
    ------
    GraphError
        If there is no path from `source` to `target`, or they are one neuron.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None])
    >>> part = pg.subnetwork(net, (0, 0), (2, 0))
    >>> part, pg.path_lifting(part).values.tolist()
    (Network(4 neurons: 1 input, 2 hidden, 1 output; 4 edges, 0 biases; 4 parameters; float64), [1.0, 3.0])
    """
    require_network(net)
    architecture = net.architecture
    first, last = architecture.index(source), architecture.index(target)
    between = _between(architecture, first, last)
    if not between[first]:
        raise GraphError(
            f"target: needed a neuron behind {argument_text(source)}, got {argument_text(target)}; no path leads there"
        )
    edges = np.flatnonzero(between[architecture.antecedent] & between[architecture.target[: architecture.n_edges]])
    kept = np.flatnonzero(between)
    kept = kept[np.argsort(architecture.insertion[kept])]
    number = np.full(architecture.n_nodes, -1)
    number[kept] = np.arange(len(kept))
    antecedents, targets = number[architecture.antecedent[edges]], number[architecture.target[edges]]
    activation = architecture.activation[kept]
    activation[number[first]] = INPUT
    rank = np.minimum(architecture.rank[kept], np.maximum(1, np.bincount(targets, minlength=len(kept))))
    rank[number[first]] = 1
    names = [architecture.nodes[v] for v in kept.tolist()]
    weights, roles = net.values[edges], architecture.role[edges]
    if activation[number[last]] != IDENTITY:
        names.append((target, "output"))
        activation, rank = np.append(activation, np.int8(IDENTITY)), np.append(rank, 1)
        antecedents, targets = np.append(antecedents, number[last]), np.append(targets, len(kept))
        roles, one = np.append(roles, np.int8(STRUCTURAL)), weights[:1].copy()
        one[0] = 1
        weights = np.concatenate([weights, one])
    places = {entry: place for place, entry in enumerate(edges.tolist()) if entry in architecture.ties}
    return from_arrays(
        antecedents,
        weights,
        targets=targets,
        activation=activation,
        rank=rank,
        roles=roles,
        ties={place: architecture.ties[entry] for entry, place in places.items()},
        names=names,
        outputs=[len(names) - 1 if len(names) > len(kept) else number[last]],
        dtype=net.dtype if net.scalars == "float" else None,
    )


def _between(architecture: Architecture, first: int, last: int) -> Array:
    """Which neurons lie on a path between two different ones, these included; none if there is no path."""
    from scipy.sparse.csgraph import breadth_first_order  # takes long to import

    size, ones = architecture.n_nodes, np.ones(architecture.n_edges, dtype=np.int8)
    backward = csr_array((ones, architecture.antecedent, architecture.start), shape=(size, size))
    found = np.zeros((2, size), dtype=bool)
    for seen, matrix, start in ((found[0], backward, last), (found[1], backward.T.tocsr(), first)):
        seen[breadth_first_order(matrix, start, return_predecessors=False)] = True
    return found[0] & found[1] if first != last else np.zeros(size, dtype=bool)
