"""Small networks and histograms as SVG, without scripts; colours come from the style sheet of the page around them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from fractions import Fraction
from html import escape
from math import log10
from typing import Any

from pathgraph import Network
from pathgraph.plot.layout import RADIUS, Curve, Labels, Point, curve_between, node_places, row_for
from pathgraph_proofs_checks.codec import word
from pathgraph_proofs_checks.runner import BINS

__all__ = ["STYLE", "draw_histogram", "draw_network", "number"]

MARGIN = 26
LABELLED = 40
"""Networks with more edges are drawn without the numbers on them."""

STYLE = """
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
svg .edge { fill: none; stroke: var(--plus); } svg .edge.minus { stroke: var(--minus); }
svg .edge.zero { stroke: var(--faint); }
svg .frozen { stroke-dasharray: 6 3; } svg .structural { stroke-dasharray: 2 3; }
svg .weight, svg .bias, svg .value { paint-order: stroke; stroke: var(--card); stroke-width: 5px; text-anchor: middle;
  stroke-linejoin: round; }
svg .node { fill: var(--node); stroke: var(--line); stroke-width: 1.4; } svg .node.out { stroke-width: 2.8; }
svg .node.in { fill: var(--input); } svg .node.pool { fill: var(--pool); }
svg .name { text-anchor: middle; font-weight: 600; }
svg .kind { text-anchor: middle; font-size: 9px; fill: var(--soft); }
svg .bias { font-size: 11px; fill: var(--soft); }
svg .value { font-size: 11px; font-weight: 600; fill: var(--value); }
svg .bar { fill: var(--bar); } svg .bar.attained { fill: var(--value); } svg .axis { stroke: var(--line); }
svg .tick { font-size: 11px; fill: var(--soft); text-anchor: middle; }
"""


def number(value: Fraction | int) -> str:
    """A rational with a minus sign; the decimal near it, and marked so, where it has many digits."""
    exact = Fraction(value)
    if max(exact.numerator.bit_length(), exact.denominator.bit_length()) <= 40:
        text = str(exact)
    elif 1e-300 < abs(exact) < 1e300:
        text = f"≈ {float(exact):.9g}"
    else:
        power = (exact.numerator.bit_length() - exact.denominator.bit_length()) * log10(2)
        text = f"{'-' if exact < 0 else ''}10^{power:.0f} or so"
    return text.replace("-", "\N{MINUS SIGN}")


def draw_network(net: Network, values: Mapping[Hashable, Any] | None = None) -> str:
    """A network, from its inputs on the left to its outputs on the right.

    Parameters
    ----------
    net : Network
    values : mapping, optional
        What the neurons give on some input, to be written above them.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    places = node_places(net, margin=MARGIN, row=row_for(net, has_values=values is not None))
    graph, outputs = net.graph, set(net.outputs)
    labelled = graph.number_of_edges() <= LABELLED
    spots = Labels(places)
    edges, labels, nodes = [], [], []
    for u, v, data in graph.edges(data=True):
        curve = curve_between(places, u, v)
        edges.append(_edge(curve, data, labelled))
        if labelled:
            labels.append(_label(curve, _marked(data["weight"], data, ""), spots))
    for v, data in graph.nodes(data=True):
        nodes.append(_node(v, data, places[v], v in outputs, None if values is None else values[v]))
    width = max(p.x for p in places.values()) + MARGIN
    tops = [p.y for p in places.values()] + [y for _, y, _ in spots.taken]
    top, bottom = min(tops) - MARGIN - 8, max(tops) + MARGIN + 8
    said = f"network of {len(net.nodes)} neurons and {graph.number_of_edges()} edges"
    return (
        f'<svg role="img" aria-label="{said}" viewBox="0 {top:.0f} {width:.0f} {bottom - top:.0f}" width="{width:.0f}" '
        f'height="{bottom - top:.0f}" style="min-width:{0.72 * width:.0f}px">{"".join([*edges, *labels, *nodes])}</svg>'
    )


def _edge(curve: Curve, data: Mapping[str, Any], labelled: bool) -> str:
    weight = data["weight"]
    kind = "zero" if weight == 0 else "plus" if weight > 0 else "minus"
    role = data.get("role", "parameter")
    width = 1 + min(2.0, abs(float(weight)) / 2)
    path = "M{:.0f} {:.0f}Q{:.0f} {:.0f} {:.0f} {:.0f}".format(*(c for point in curve for c in point))
    pale = "" if labelled else ' opacity=".55"'
    return f'<path class="edge {kind} {role}" stroke-width="{width:.1f}" d="{path}"{pale}/>'


def _label(curve: Curve, text: str, labels: Labels) -> str:
    x, y = labels.place(curve, 4 + 3.3 * len(text))
    return f'<text class="weight" x="{x:.0f}" y="{y + 4:.0f}">{escape(text)}</text>'


def _marked(value: Any, data: Mapping[str, Any], prefix: str) -> str:
    tie = data.get(f"{prefix}parameter")
    return number(value) + ("" if tie is None else f" @{tie}")


def _node(v: Hashable, data: Mapping[str, Any], place: Point, is_output: bool, value: Any) -> str:
    activation, rank = data["activation"], data.get("rank", 1)
    kind = {"input": "in", "pool": "pool"}.get(activation, "plain") + (" out" if is_output else "")
    said = {
        "input": "input",
        "relu": "ReLU",
        "identity": "out" if is_output else "id",
        "pool": "max" if rank == 1 else str(rank) + {2: "nd", 3: "rd"}.get(rank, "th"),
    }[activation]
    x, y = place
    shape = (
        f'<rect class="node {kind}" x="{x - 19:.0f}" y="{y - 16:.0f}" width="38" height="32" rx="6"/>'
        if activation == "input"
        else f'<circle class="node {kind}" cx="{x:.0f}" cy="{y:.0f}" r="{RADIUS}"/>'
    )
    texts = [
        f'<text class="name" x="{x:.0f}" y="{y + 2:.0f}">{escape(word(v))}</text>',
        f'<text class="kind" x="{x:.0f}" y="{y + 12:.0f}">{said}</text>',
    ]
    if data.get("bias") is not None:
        shown = _marked(data["bias"], data, "bias_")
        sign = "" if shown.startswith("\N{MINUS SIGN}") else "+"
        texts.append(f'<text class="bias" x="{x:.0f}" y="{y + RADIUS + 12:.0f}">{sign}{escape(shown)}</text>')
    if value is not None:
        texts.append(f'<text class="value" x="{x:.0f}" y="{y - RADIUS - 5:.0f}">{number(value)}</text>')
    return shape + "".join(texts)


def draw_histogram(counts: Mapping[int, int], constant: Fraction) -> str:
    """How often which ratio was met, from 0 to the constant; a bar of its own for those that attain it.

    Parameters
    ----------
    counts : mapping of int to int
        As `pathgraph_proofs_checks.runner.Report.histogram`.
    constant : Fraction

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    step, top, height = 7, 18, 110
    largest = max(counts.values(), default=1)
    base, end = top + height, 14 + step * BINS
    bars = []
    for k, count in sorted(counts.items()):
        tall = max(2.0, height * count / largest)
        place, kind, wide = (end + 4, "bar attained", 14) if k == BINS else (14 + step * k, "bar", step - 1)
        bars.append(
            f'<rect class="{kind}" x="{place}" y="{base - tall:.1f}" width="{wide}" height="{tall:.1f}" rx="1"/>'
        )
        if k == BINS or count == largest:
            bars.append(f'<text class="tick" x="{place + wide / 2}" y="{base - tall - 4:.1f}">{count}</text>')
    ticks = "".join(
        f'<text class="tick" x="{14 + step * BINS * k / 4}" y="{base + 15}">{number(constant * k / 4)}</text>'
        for k in range(4)
    )
    ticks += f'<text class="tick" x="{end + 11}" y="{base + 15}">= {number(constant)}</text>'
    return (
        f'<svg role="img" aria-label="histogram of ratios" viewBox="0 0 {end + 32} {base + 22}" width="{end + 32}" '
        f'height="{base + 22}">{"".join(bars)}<path class="axis" d="M14 {base}H{end + 20}"/>{ticks}</svg>'
    )
