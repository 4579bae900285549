"""The orbit of a network under the rescalings of one neuron, as a curve in the plane of two of its weights."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.arguments import natural
from pathgraph.errors import GraphError, ParameterError, RangeError
from pathgraph.graph.network import Network, require_network, require_numbers
from pathgraph.norms import path_norm
from pathgraph.plot.canvas import ACCENT, FAINT, INK, PLUS, SERIES, as_float, axes_or_new, tidied
from pathgraph.shown import argument_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_orbit"]

LEAST = 1e-290
"""Matplotlib has to add margins to what is drawn."""


def draw_orbit(
    net: Network,
    neuron: Hashable | None = None,
    *,
    weights: tuple[tuple[Hashable, Hashable], tuple[Hashable, Hashable]] | None = None,
    span: float = 8,
    n_points: int = 121,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw the rescalings of one hidden neuron: an incoming weight against an outgoing one, and the normal forms.

    Parameters
    ----------
    net : Network
    neuron : hidden neuron, optional
        The first one with incoming and outgoing edges by default.
    weights : pair of edges, optional
        The edge into the neuron and the edge out of it whose weights are the coordinates; the first ones by default.
    span : number > 1, at most 2**100
        Factors go from 1 / span to span, in ratio to the balanced one.
    n_points : int
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    GraphError
        If the network has no such neuron or edges, or one of the weights is zero: its orbit is then a line.
    RangeError
        If the weights are too large or too small for a picture.
    ParameterError
        On what are no two edges, and a span or number of points out of range.

    Notes
    -----
    The coordinates are :math:`(\lambda a, b / \lambda)`: a branch of a hyperbola, along which their product, every path
    sum and the function stay. Marked are the network itself, the balanced point (incoming and outgoing weights of equal
    l2 norm, which gradient flow conserves), and the normalised one (incoming weights of l1 norm 1, as `normalize` makes
    them). Grey circles are level lines of the l2 norm of the two weights, which changes along the orbit.

    Examples
    --------
    >>> import pathgraph as pg
    >>> ax = pg.plot.draw_orbit(pg.from_weights([[[4]], [[1]]]))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['orbit: path-norm 4', 'as given', 'balanced', 'normalised']
    """
    require_network(net)
    require_numbers(net, "draw_orbit")
    natural(n_points, "n_points", least=2)
    if not isinstance(span, (int, float)) or isinstance(span, bool) or not 1 < span <= 2**100:
        raise ParameterError(f"span: needed a number > 1, at most 2**100, got {argument_text(span)}")
    node = _neuron(net, neuron)
    into, out_of = _edges(net, node, weights)
    if 0 in (net.weight(*into), net.weight(*out_of)):
        raise GraphError(
            f"weights: needed edges of weights that are not zero, got {argument_text(into)} and {argument_text(out_of)}"
        )
    a, b = as_float(net.weight(*into)), as_float(net.weight(*out_of))
    incoming, outgoing = _weights(net, node)
    middle = math.sqrt(math.hypot(*outgoing)) / math.sqrt(math.hypot(*incoming))
    total = sum(map(abs, incoming))
    extremes = [
        middle / span,
        middle * span,
        a * middle / span,
        a * middle * span,
        b / middle / span,
        b / middle * span,
    ]
    if not all(LEAST < abs(number) < 1 / LEAST for number in [*extremes, a, b, total, 1 / total, b * total]):
        raise RangeError(
            "net: the weights on the orbit are too large or too small to be drawn; rescale the network first"
        )
    factors = np.geomspace(middle / span, middle * span, n_points)
    panel = tidied(axes_or_new(ax, 5, 4.4))
    panel.plot(
        a * factors, b / factors, color=PLUS, linewidth=2, label=f"orbit: path-norm {as_float(path_norm(net)):.4g}"
    )
    reach = max(abs(a), abs(b)) * 1.05
    for radius in np.hypot(a, b) * np.array([0.5, 0.75, 1.0, 1.5]):
        angles = np.linspace(0, 2 * math.pi, 181)
        panel.plot(radius * np.cos(angles), radius * np.sin(angles), color=FAINT, linewidth=0.6, zorder=0)
    marks = [
        ("as given", 1.0, "o", INK),
        ("balanced", middle, "D", ACCENT),
        ("normalised", 1 / total, "s", SERIES[2]),
    ]
    for label, factor, marker, colour in marks:
        panel.plot([a * factor], [b / factor], marker, color=colour, markersize=8, label=label)
        reach = max(reach, 1.15 * abs(a * factor), 1.15 * abs(b / factor))
    panel.set_xlim(*sorted((-0.08 * math.copysign(reach, a), math.copysign(reach, a))))
    panel.set_ylim(*sorted((-0.08 * math.copysign(reach, b), math.copysign(reach, b))))
    panel.set_xlabel(f"weight {into[0]} → {into[1]}")
    panel.set_ylabel(f"weight {out_of[0]} → {out_of[1]}")
    panel.legend(frameon=False, fontsize="small")
    return panel


def _neuron(net: Network, neuron: Hashable | None) -> Hashable:
    graph = net.architecture
    followed = set(graph.antecedent.tolist())
    usable = [v for v in net.hidden if graph.antecedents(v) and graph.index(v) in followed]
    if neuron is None:
        if not usable:
            raise GraphError("neuron: needed a network with a hidden neuron that has edges on both sides, got none")
        return usable[0]
    if neuron not in usable:
        raise GraphError(f"neuron: needed a hidden neuron with edges on both sides, got {argument_text(neuron)}")
    return neuron


def _edges(net: Network, node: Hashable, weights: Any) -> tuple[tuple[Hashable, Hashable], tuple[Hashable, Hashable]]:
    graph = net.architecture
    if weights is None:
        follower = next(v for v in graph.nodes if node in graph.antecedents(v))
        return (graph.antecedents(node)[0], node), (node, follower)
    try:
        (u, v), (w, x) = weights
    except (TypeError, ValueError):
        raise ParameterError(f"weights: needed two edges, got {argument_text(weights)}") from None
    if v != node or w != node or u not in graph.antecedents(node) or node not in graph.antecedents(x):
        raise GraphError(f"weights: needed an edge into {node!r} and one out of it, got {argument_text(weights)}")
    return (u, v), (w, x)


def _weights(net: Network, node: Hashable) -> tuple[list[float], list[float]]:
    """What enters a neuron, its bias included, and what leaves it."""
    graph = net.architecture
    incoming = [as_float(net.weight(u, node)) for u in graph.antecedents(node)]
    if graph.bias_entry(node) is not None:
        incoming.append(as_float(net.bias(node)))
    leaving = np.flatnonzero(graph.antecedent == graph.index(node))
    return incoming, [as_float(weight) for weight in net.values[leaving].tolist()]
