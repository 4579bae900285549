"""The picture of the landing page, from pathgraph's own numbers: two networks, and the paths they share.

The directive ``idea-picture`` writes it into the page as SVG, in the colours of the theme, so that it is legible in
light and in dark. On a phone its three parts stand one below the other.
"""

from fractions import Fraction
from html import escape

import networkx as nx
from docutils import nodes
from docutils.parsers.rst import Directive

import pathgraph as pg

PLACES = {"x": (40, 50), "y": (40, 170), "h": (150, 120), "out": (260, 80)}
LABELS = {("x", "h"): (95, 74), ("y", "h"): (95, 158), ("h", "out"): (205, 118), ("x", "out"): (150, 50)}
FACTOR = 8


def network():
    """The network of the quick start."""
    graph = nx.DiGraph()
    graph.add_nodes_from(["x", "y"], activation="input")
    graph.add_node("h", activation="relu", bias=1)
    graph.add_node("out", activation="identity")
    graph.add_weighted_edges_from([("x", "h", 2), ("y", "h", -3), ("x", "out", 4)])
    graph.add_edge("h", "out", weight=Fraction(1, 2))
    return pg.from_networkx(graph)


def number(value):
    return str(value).replace("-", "\N{MINUS SIGN}")


def text(x, y, words, kind="", anchor="middle"):
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'


def drawn_network(net, title):
    """One of the two networks, with its weights on the edges and the bias below its neuron."""
    parts = [text(150, 18, title, "idea-title")]
    for (source, target), (x, y) in LABELS.items():
        value = net.weight(source, target)
        (left, top), (right, bottom) = PLACES[source], PLACES[target]
        kind = "idea-edge idea-negative" if value < 0 else "idea-edge"
        parts.append(f'<line x1="{left}" y1="{top}" x2="{right}" y2="{bottom}" class="{kind}"/>')
        parts.append(text(x, y, number(value), "idea-weight"))
    for name, (x, y) in PLACES.items():
        parts.append(f'<circle cx="{x}" cy="{y}" r="17"/>' + text(x, y + 5, name))
    x, y = PLACES["h"]
    parts.append(text(x, y + 37, f"bias {number(net.bias('h'))}", "idea-weight"))
    described = ", ".join(f"{source} to {target} {number(net.weight(source, target))}" for source, target in LABELS)
    return svg(parts, 300, f"{title}: {described}, bias of h {number(net.bias('h'))}")


def drawn_paths(net):
    """The path-lifting as bars, and its norm."""
    lifting = pg.path_lifting(net)
    parts = [text(150, 18, "the paths of both", "idea-title")]
    largest = max(abs(value) for value in lifting.values)
    described = []
    for place, (path, value) in enumerate(zip(lifting.paths, lifting.values, strict=True)):
        y = 52 + 32 * place
        name = " → ".join(path)
        width = round(float(100 * abs(value) / largest))
        kind = "idea-bar idea-negative" if value < 0 else "idea-bar"
        parts.append(text(8, y, name, anchor="start"))
        parts.append(f'<rect x="130" y="{y - 13}" width="{width}" height="16" class="{kind}"/>')
        parts.append(text(138 + width, y, number(value), "idea-weight", "start"))
        described.append(f"{name} {number(value)}")
    parts.append(text(8, 188, f"path-norm {number(pg.path_norm(net))}", "idea-title", "start"))
    return svg(parts, 300, "The products along the paths: " + ", ".join(described))


def svg(parts, width, title):
    return f'<svg viewBox="0 0 {width} 200" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'


def picture():
    net = network()
    copy = pg.rescale(net, {"h": FACTOR})
    if pg.path_lifting(copy) != pg.path_lifting(net):
        raise ValueError("the picture says that rescaling leaves the path-lifting")
    drawings = (drawn_network(net, "a network"), drawn_network(copy, f"h rescaled by {FACTOR}"), drawn_paths(net))
    return f'<div class="idea">{"".join(drawings)}</div>'


class IdeaPicture(Directive):
    """The picture, without arguments."""

    def run(self):
        return [nodes.raw("", picture(), format="html")]


def setup(app):
    app.add_directive("idea-picture", IdeaPicture)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
