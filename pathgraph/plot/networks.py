"""A network drawn neuron by neuron: levels, weights, the paths that one wants to see, what is active at an input."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from pathgraph.arguments import natural
from pathgraph.errors import ParameterError
from pathgraph.graph.architecture import FROZEN, PARAMETER, STRUCTURAL
from pathgraph.graph.network import Network, require_numbers
from pathgraph.lifting import path_lifting
from pathgraph.numbers import quotient
from pathgraph.path_sums import count_paths
from pathgraph.paths import heaviest_path
from pathgraph.pathsum.scaled import scaled, scaled_argmax, scaled_to_float
from pathgraph.plot.canvas import ACCENT, FAINT, INK, MINUS, PALE, PLUS, as_float, axes_or_new
from pathgraph.plot.layers import draw_layers
from pathgraph.plot.layout import RADIUS, Curve, Labels, Point, curve_between, node_places, row_for
from pathgraph.pruning.masses import Moduli
from pathgraph.resolutions import ReluNetwork
from pathgraph.shown import argument_text, decimal_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

Widths = Literal["weights", "marginals"]
LISTED = 100_000
"""Paths up to which the heaviest ones are found among all."""
LABELLED = 30
"""Edges up to which weights are written by default."""
THIN, THICK = 0.7, 4.5
STYLES: dict[int, Literal["-", "--", ":"]] = {PARAMETER: "-", FROZEN: "--", STRUCTURAL: ":"}


def draw(
    net: ReluNetwork,
    *,
    paths: int | Iterable[Sequence[Hashable]] | None = None,
    widths: Widths | None = "weights",
    inputs: Any = None,
    labels: bool | None = None,
    max_nodes: int = 120,
    ax: Axes | None = None,
) -> Axes:
    """Draw a network by level, from its inputs on the left to its outputs on the right.

    Parameters
    ----------
    net : Network or LayerGraph
        Layer graphs, and networks of more than `max_nodes` neurons, are drawn layer by layer: see `draw_layers`.
    paths : int, or iterable of tuples of neurons, optional
        Paths to highlight; a number stands for as many of the heaviest ones. A path that starts at a neuron with a bias
        stands for that bias.
    widths : {"weights", "marginals"} or None
        What the width of an edge shows: the size of its weight, or its share of the path-norm. Blue edges are positive,
        orange ones negative, grey ones zero.
    inputs : array_like, shape (n_inputs,), optional
        Colour the neurons by what they give at this input, and write it; neurons that are zero stay pale.
    labels : bool, optional
        Whether weights are written; by default if there are at most 30 edges.
    max_nodes : int
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes

    Raises
    ------
    ParameterError
        On a path that is none of the network, and wrong options.
    BackendError
        If matplotlib is not installed.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None])
    >>> ax = pg.plot.draw(net, paths=1, inputs=[1, 1])
    >>> [patch.get_gid() for patch in ax.patches if patch.get_gid()].count("path"), ax.texts[-1].get_text()
    (1, '9')
    """
    if widths is not None and not (isinstance(widths, str) and widths in get_args(Widths)):
        raise ParameterError(f"widths: needed 'weights', 'marginals' or None, got {argument_text(widths)}")
    natural(max_nodes, "max_nodes", least=1)
    if not isinstance(net, Network) or len(net.nodes) > max_nodes:
        given = {
            "paths": paths is not None,
            "inputs": inputs is not None,
            "widths": widths == "marginals",
            "labels": labels,
        }
        for name in [name for name, is_given in given.items() if is_given]:
            raise ParameterError(
                f"{name}: needed a network drawn neuron by neuron, of at most "
                f"max_nodes={max_nodes} neurons; expand() a small layer graph, or give a larger max_nodes"
            )
        return draw_layers(net, ax=ax)
    require_numbers(net, "draw")
    chosen = _chosen(net, paths)
    values = None if inputs is None else net.neuron_values(inputs)
    if values is not None and values.ndim != 1:
        raise ParameterError(
            f"inputs: needed one input of {len(net.inputs)} numbers, got shape {values.shape[:-1]} of them"
        )
    places = node_places(net, row=row_for(net, has_values=values is not None))
    xs, ys = [p.x for p in places.values()], [p.y for p in places.values()]
    room = RADIUS + 22
    width, height = max(xs) - min(xs) + 2 * room, max(ys) - min(ys) + 2 * room
    panel = axes_or_new(ax, max(2.0, width / 72), max(1.6, height / 72))
    _draw_edges(panel, net, places, chosen, widths, len(net.parameters) <= LABELLED if labels is None else labels)
    _draw_nodes(panel, net, places, values, {v for path in chosen for v in path})
    panel.set_xlim(min(xs) - room, max(xs) + room)
    panel.set_ylim(max(ys) + room, min(ys) - room)
    panel.set_aspect("equal")
    panel.set_axis_off()
    return panel


def _chosen(net: Network, paths: Any) -> list[tuple[Hashable, ...]]:
    if paths is None:
        return []
    if isinstance(paths, (int, np.integer)) and not isinstance(paths, bool):
        number = natural(paths, "paths", least=1)
        if number == 1:
            best, _ = heaviest_path(net)
            return [] if best is None else [tuple(best)]
        if count_paths(net) > LISTED:
            raise ParameterError(f"paths: needed 1 or paths of your own for a network of {count_paths(net)} paths")
        lifting = path_lifting(net, max_paths=LISTED)
        sizes = [abs(value) for value in lifting.values.tolist()]
        order = sorted(range(len(sizes)), key=lambda p: (-sizes[p], p))
        return [tuple(lifting.paths[p]) for p in order[:number]]
    try:
        found = [tuple(path) for path in paths]
    except TypeError:
        raise ParameterError(
            f"paths: needed a number, or tuples of neurons of the network, got {argument_text(paths)}"
        ) from None
    for path in found:
        if not path or any(v not in net.nodes for v in path):
            raise ParameterError(f"paths: needed tuples of neurons of the network, got {argument_text(path)}")
        for u, v in pairwise(path):
            if u not in net.architecture.antecedents(v):
                raise ParameterError(
                    f"paths: needed edges of the network, got {argument_text((u, v))} in {argument_text(path)}"
                )
    return found


def _draw_edges(
    panel: Axes, net: Network, places: dict[Hashable, Point], chosen: list[Any], widths: Widths | None, labels: bool
) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    architecture = net.architecture
    values = np.array([as_float(w) for w in net.values[: architecture.n_edges].tolist()])
    shares = np.full(len(values), 0.3)
    if widths is not None:
        masses = Moduli(net).masses() if widths == "marginals" else abs(net.values)
        shares = _shares(masses[: architecture.n_edges])
    marked = {edge for path in chosen for edge in pairwise(path)}
    spots = Labels(places)
    for entry in range(architecture.n_edges):
        u, v = architecture.nodes[architecture.antecedent[entry]], architecture.nodes[architecture.target[entry]]
        curve, value = curve_between(places, u, v), values[entry]
        shape = Path(np.array(curve), [Path.MOVETO, Path.CURVE3, Path.CURVE3])
        colour = PLUS if value > 0 else MINUS if value < 0 else FAINT
        wide = THIN + (THICK - THIN) * float(shares[entry])
        pale = 0.35 if chosen and (u, v) not in marked else 0.9
        if (u, v) in marked:
            halo = PathPatch(shape, fill=False, edgecolor=ACCENT, linewidth=wide + 5, alpha=0.45, capstyle="round")
            panel.add_patch(halo).set_gid("path")
        edge = PathPatch(shape, fill=False, edgecolor=colour, linewidth=wide, alpha=pale, zorder=1.5)
        edge.set_linestyle(STYLES[int(architecture.role[entry])])
        panel.add_patch(edge).set_gid("edge")
        if labels:
            _write(panel, curve, _number(net.values[entry]), spots)


def _shares(sizes: Any) -> Any:
    """Non-negative numbers, of any kind and size, over the largest of them."""
    if not len(sizes):
        return np.empty(0)
    if sizes.dtype == object:
        top = max(sizes.tolist())
        return np.array([as_float(size / top) if top else 0.3 for size in sizes.tolist()])
    wide = scaled(sizes)
    top = wide[[scaled_argmax(wide)]]
    return scaled_to_float(quotient(wide, top)) if top["mantissa"][0] else np.full(len(sizes), 0.3)


def _write(panel: Axes, curve: Curve, text: str, spots: Labels) -> None:
    from matplotlib.patheffects import withStroke

    x, y = spots.place(curve, 4 + 3.3 * len(text))
    stroke = [withStroke(linewidth=3, foreground="white")]
    panel.text(x, y, text, ha="center", va="center", fontsize=7.5, color=INK, path_effects=stroke, zorder=4)


def _draw_nodes(panel: Axes, net: Network, places: dict[Hashable, Point], values: Any, marked: set[Hashable]) -> None:
    from matplotlib.patches import Circle, FancyBboxPatch

    architecture, outputs = net.architecture, set(net.outputs)
    top = 1.0 if values is None else max([abs(as_float(value)) for value in values.tolist()], default=0.0) or 1.0
    for place, node in enumerate(architecture.nodes):
        x, y = places[node]
        kind = architecture.activations[place]
        value = None if values is None else values[place]
        fill = "white" if value is None else _shade(abs(as_float(value)) / top, value < 0)
        line: dict[str, Any] = {"facecolor": fill, "edgecolor": ACCENT if node in marked else INK, "zorder": 2.5}
        line["linewidth"] = 2.4 if node in outputs or node in marked else 1.2
        if kind == "input":
            panel.add_patch(FancyBboxPatch((x - 15, y - 12), 30, 24, boxstyle="round,pad=2", **line))
        else:
            panel.add_patch(Circle((x, y), RADIUS, **line))
        panel.text(x, y - 1, _name(node), ha="center", va="center", fontsize=8.5, weight="bold", color=INK, zorder=5)
        said = {"input": "input", "relu": "ReLU", "identity": "out" if node in outputs else "id"}.get(kind)
        if kind == "pool":
            rank = int(architecture.rank[place])
            said = "max" if rank == 1 else f"{rank}. largest"
        panel.text(x, y + 10, str(said), ha="center", va="center", fontsize=5.5, color=INK, zorder=5)
        bias = net.bias(node) if architecture.bias_entry(node) is not None else None
        if bias is not None:
            text = _number(bias)
            panel.text(
                x, y + RADIUS + 8, text if text[0] == "\N{MINUS SIGN}" else f"+{text}", ha="center", va="center",
                fontsize=7, color=INK, zorder=5,
            )  # fmt: skip
        if value is not None:
            colour = INK if value != 0 else FAINT
            panel.text(
                x, y - RADIUS - 8, _number(value), ha="center", va="center", fontsize=7.5, color=colour, zorder=5
            )


def _shade(share: float, is_negative: bool) -> Any:
    """From pale to saturated."""
    from matplotlib.colors import to_rgb

    if share == 0:
        return PALE
    strong = np.array(to_rgb("#f0a868" if is_negative else "#8db8e8"))
    return tuple((1 - strong) * (1 - share) * 0.85 + strong)


def _name(node: Hashable) -> str:
    text = ",".join(map(str, node)) if isinstance(node, tuple) else str(node)
    return text if len(text) <= 6 else text[:5] + "…"


def _number(value: Any) -> str:
    if isinstance(value, (Fraction, int)):
        exact = str(value)
        text = exact if len(exact) <= 7 else decimal_text(Fraction(value), 3)
    else:
        text = f"{float(value):.3g}"
    return text.replace("-", "\N{MINUS SIGN}")
