"""Where the neurons of a network stand in a drawing, and how its edges run: levels from left to right.

Pure geometry in points, y downwards; nothing is drawn here. Edges that skip levels are bent until they pass no neuron,
and labels move along their edges until they collide least.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import hypot
from statistics import fmean
from typing import NamedTuple

from pathgraph.graph.network import Network

__all__ = [
    "COLUMN",
    "RADIUS",
    "ROW",
    "WIDE_ROW",
    "Curve",
    "Labels",
    "Point",
    "curve_between",
    "node_places",
    "point_on",
    "row_for",
]

COLUMN, ROW, RADIUS = 104, 62, 19
"""Distances of columns and rows, and the radius of a neuron."""

WIDE_ROW = 76
"""The distance of rows where biases stand below the neurons, and values above those of the next row."""

BENDS = (0, 34, -34, 62, -62, 96, -96, 130, -130)
"""By how much an edge that skips levels is bent, until it passes no neuron."""

PLACES = (0.36, 0.52, 0.27, 0.64, 0.44, 0.74)
"""Where on an edge its number may stand."""


class Point(NamedTuple):
    """A place in the drawing."""

    x: float
    y: float


Curve = tuple[Point, Point, Point]
"""Start, control point and end of a quadratic curve."""


def row_for(net: Network, *, has_values: bool) -> float:
    """The distance of rows, by what is written between them."""
    return WIDE_ROW if has_values and len(net.architecture.biased) else ROW


def node_places(net: Network, *, margin: float = 0, row: float = ROW) -> dict[Hashable, Point]:
    """The place of each neuron: the column is its level, outputs in the last; rows by the mean of the neighbours."""
    structure, outputs = net.architecture, set(net.outputs)
    column = dict(zip(net.nodes, structure.level.tolist(), strict=True))
    last = max(1, *column.values())
    after: dict[Hashable, list[Hashable]] = {v: [] for v in net.nodes}
    for v in net.nodes:
        for u in structure.antecedents(v):
            after[u].append(v)
    for v in reversed(net.nodes):
        if v in outputs:
            column[v] = last
        elif column[v] == 0 and v not in net.inputs and after[v]:
            column[v] = max(0, min(column[w] for w in after[v]) - 1)
    columns: list[list[Hashable]] = [[] for _ in range(last + 1)]
    for v in net.nodes:
        columns[column[v]].append(v)
    height: dict[Hashable, float] = {}
    for group in columns:
        _spread(group, height, row)
    for group in [*columns[1:], *reversed(columns[:-1]), *columns[1:]]:  # towards the mean of the neighbours
        wanted = {v: fmean([height[u] for u in [*structure.antecedents(v), *after[v]]] or [height[v]]) for v in group}
        group.sort(key=wanted.__getitem__)
        _spread(group, height, row)
    return {v: Point(margin + COLUMN * column[v], height[v]) for v in net.nodes}


def _spread(group: Sequence[Hashable], height: dict[Hashable, float], row: float) -> None:
    for place, v in enumerate(group):
        height[v] = row * (place - (len(group) - 1) / 2)


def curve_between(places: Mapping[Hashable, Point], u: Hashable, v: Hashable) -> Curve:
    """The edge from u to v, bent where it would pass other neurons."""
    start, end = places[u], places[v]
    others = [p for w, p in places.items() if w not in (u, v) and start.x < p.x < end.x]
    if start.x == end.x:  # a constant that could not be moved, to an output in its column
        return start, Point(start.x + 46, (start.y + end.y) / 2), end
    curves = [(start, Point((start.x + end.x) / 2, (start.y + end.y) / 2 + 1.3 * bend), end) for bend in BENDS]
    return max(curves, key=lambda curve: min([RADIUS + 7, *(_distance(curve, p) for p in others)]))


def _distance(curve: Curve, point: Point) -> float:
    steps = [point_on(curve, k / 20) for k in range(1, 20)]
    return min(hypot(p.x - point.x, p.y - point.y) for p in steps)


def point_on(curve: Curve, t: float) -> Point:
    """The point of a curve at a parameter from 0 to 1."""
    (ax, ay), (bx, by), (cx, cy) = curve
    a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
    return Point(a * ax + b * bx + c * cx, a * ay + b * by + c * cy)


class Labels:
    """Places for texts on edges, each as far from neurons and from earlier texts as can be."""

    def __init__(self, places: Mapping[Hashable, Point]) -> None:
        self.taken: list[tuple[float, float, float]] = [(p.x, p.y, RADIUS + 10) for p in places.values()]

    def place(self, curve: Curve, half: float) -> Point:
        """A place on the curve for a text of this half width, which is then taken."""

        def crowding(t: float) -> float:
            x, y = point_on(curve, t)
            return sum(
                max(0.0, half + r - abs(x - ox)) * max(0.0, 9 + min(r, 12) - abs(y - oy)) for ox, oy, r in self.taken
            )

        found = point_on(curve, min(PLACES, key=crowding))
        self.taken.append((*found, half))
        return found
