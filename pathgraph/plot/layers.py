"""Networks too large to be drawn neuron by neuron: one box for each layer, from top to bottom.

What skips layers is an arc on the right. In long graphs a chain of layers becomes one box, and the middle is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pathgraph.layer_rows import LayerRow, layer_rows
from pathgraph.plot.canvas import FAINT, INK, MINUS, PALE, axes_or_new
from pathgraph.resolutions import ReluNetwork, require_relu_network
from pathgraph.shown import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BoxColours", "boxes_of", "draw_boxes", "draw_layers"]

MAX_BOXES = 60
"""Layers of a drawing; of more, chains become one box, and the middle is left out."""

RIGHT = 6.0
"""The width of a box, as many rows."""


Box = tuple[tuple[str, ...], tuple[str, ...], tuple[str, str]]
"""Names of the layers in it, what they read, and the texts on it."""


class BoxColours(NamedTuple):
    """Of names, of sizes, of frames, of arcs, and of boxes."""

    ink: str = INK
    soft: str = "#5b6474"
    line: str = FAINT
    arc: str = MINUS
    fill: str = PALE


def draw_layers(net: ReluNetwork, *, ax: Axes | None = None) -> Axes:
    """Draw the layers of a layer graph, or the levels of a network, with their shapes.

    Parameters
    ----------
    net : Network or LayerGraph
    ax : Axes, optional
        A new figure by default.

    Returns
    -------
    Axes

    Raises
    ------
    BackendError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, pathgraph as pg
    >>> b = pg.LayerGraphBuilder()
    >>> graph = b.build(b.linear(b.input((2,)), b.tensor("weight", np.ones((3, 2)))))
    >>> [text.get_text() for text in pg.plot.draw_layers(graph).texts]
    ['input', '2', 'linear1  linear', '3']
    """
    require_relu_network(net)
    boxes = boxes_of(layer_rows(net))  # type: ignore[arg-type]
    panel = axes_or_new(ax, 4.8, 0.3 + 0.36 * len(boxes))
    draw_boxes(panel, boxes, BoxColours())
    return panel


def draw_boxes(panel: Axes, boxes: Sequence[Box], colours: BoxColours) -> None:
    """Draw boxes from top to bottom."""
    height = len(boxes)
    panel.set_axis_off()
    place = {name: k for k, (names, _, _) in enumerate(boxes) for name in names}
    arcs = sorted(
        {
            (place[source], k)
            for k, (_, sources, _) in enumerate(boxes)
            for source in sources
            if source in place and k - place[source] > 1
        },
        key=lambda arc: arc[1] - arc[0],
    )
    next_to = {(place[s], k) for k, (_, sources, _) in enumerate(boxes) for s in sources if s in place}
    lanes: list[list[tuple[int, int]]] = []
    for start, stop in arcs:
        lane = next((n for n, used in enumerate(lanes) if all(stop <= a or start >= b for a, b in used)), len(lanes))
        if lane == len(lanes):
            lanes.append([])
        lanes[lane].append((start, stop))
        x = RIGHT + 0.25 + 0.22 * lane
        panel.plot(
            [RIGHT, x, x, RIGHT],
            [start + 0.12, start + 0.12, stop - 0.12, stop - 0.12],
            color=colours.arc,
            linewidth=1.2,
        )
        panel.plot([RIGHT + 0.06], [stop - 0.12], marker="<", color=colours.arc, markersize=4)
    for k, (names, _, text) in enumerate(boxes):
        panel.add_patch(_box(k, colours))
        panel.text(0.12, k, shortened(text[0], 40), va="center", color=colours.ink, fontsize=8)
        panel.text(RIGHT - 0.12, k, shortened(text[1], 18), va="center", ha="right", color=colours.soft, fontsize=7.5)
        if (k - 1, k) in next_to:
            panel.plot([0.4, 0.4], [k - 0.64, k - 0.36], color=colours.ink, linewidth=1)
        if not names:
            panel.plot([0.4, 0.4], [k - 0.64, k - 0.36], color=colours.line, linewidth=1, linestyle=":")
    panel.set_xlim(-0.05, RIGHT + 0.5 + 0.22 * len(lanes))
    panel.set_ylim(height - 0.4, -0.6)


def _box(k: int, colours: BoxColours) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((0, k - 0.36), RIGHT, 0.72, facecolor=colours.fill, edgecolor=colours.line, linewidth=0.8)


def boxes_of(layers: Sequence[LayerRow]) -> list[Box]:
    """One box per layer; in large graphs one per chain, and a gap in the middle."""
    boxes = [_one(row) for row in layers]
    if len(boxes) <= MAX_BOXES:
        return boxes
    readers: dict[str, int] = {}
    for row in layers:
        for source in row.sources:
            readers[source] = readers.get(source, 0) + 1
    chains: list[list[LayerRow]] = []
    for row in layers:
        last = chains[-1][-1] if chains else None
        if last is not None and row.sources == (last.name,) and readers.get(last.name) == 1 and last.sources:
            chains[-1].append(row)
        else:
            chains.append([row])
    boxes = [_one(chain[0]) if len(chain) == 1 else _chain(chain) for chain in chains]
    if len(boxes) <= MAX_BOXES:
        return boxes
    head, tail = boxes[: MAX_BOXES // 2], boxes[-(MAX_BOXES // 2) :]
    hidden = sum(len(names) for names, _, _ in boxes) - sum(len(names) for names, _, _ in head + tail)
    return [*head, ((), (), (f"... {hidden} more layers ...", "")), *tail]


def _one(row: LayerRow) -> Box:
    named = "" if row.activation in ("identity", "input") or row.activation == row.kind else f", {row.activation}"
    kind = "" if row.name == row.kind else f"  {row.kind}"
    return (row.name,), row.sources, (f"{row.name}{kind}{named}", " x ".join(map(str, row.shape)) or "1")


def _chain(chain: Sequence[LayerRow]) -> Box:
    names = tuple(row.name for row in chain)
    shape = " x ".join(map(str, chain[-1].shape)) or "1"
    return names, chain[0].sources, (f"{names[0]} ... {names[-1]}  ({len(chain)} layers)", shape)
