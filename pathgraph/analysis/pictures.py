"""The pictures of an analysis, as SVG text that takes its colours from the page: needs matplotlib (extra ``plot``).

Matplotlib draws with a few marker colours; in the text each becomes a CSS variable, so that one picture serves light
and dark pages.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pathgraph.analysis.results import Analysis, Certificate
from pathgraph.errors import BackendError
from pathgraph.plot.layers import BoxColours, boxes_of, draw_boxes
from pathgraph.shown import told_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["is_available", "pictures"]

COLOURS = {
    "ink": "#0a0b0c",
    "soft": "#1a1b1c",
    "line": "#2a2b2c",
    "first": "#3a3b3c",
    "second": "#4a4b4c",
    "fill": "#5a5b5c",
}
"""Markers that become var(--NAME); colours that nothing else has."""

INK, SOFT, LINE, FIRST, SECOND, FILL = COLOURS.values()

MAX_BARS = 50


def is_available() -> bool:
    """Whether matplotlib can be imported."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def pictures(analysis: Analysis) -> dict[str, str]:
    """The pictures by the names of the figures of the document, as SVG elements.

    Raises
    ------
    BackendError
        If matplotlib is not installed.
    """
    if not is_available():
        raise BackendError(
            "pictures need matplotlib, which is not installed; pip install 'pathgraph[plot]', or pip install '.[plot]' "
            "in a checkout"
        )
    import matplotlib

    drawings: dict[str, Callable[[Analysis], Figure]] = {"graph": _graph, "widths": _widths}
    if analysis.scores:
        drawings["shares"] = _shares
    if analysis.pruning:
        drawings["pruning"] = _pruning
    if analysis.precision:
        drawings["bits"] = _bits
    style: Any = {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9, "svg.hashsalt": "pathgraph"}
    with matplotlib.rc_context(style):
        return {name: _svg(draw(analysis), name) for name, draw in drawings.items()}


# -- figures --------------------------------------------------------------------------------------------------------


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.patch.set_alpha(0)
    panel = figure.subplots()
    panel.patch.set_alpha(0)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        panel.spines[side].set_color(LINE)
    panel.tick_params(colors=SOFT, which="both", labelcolor=SOFT)
    panel.xaxis.label.set_color(INK)
    panel.yaxis.label.set_color(INK)
    return figure, panel


def _svg(figure: Figure, name: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for variable, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{variable})")
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "inherit", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', text)  # ids of several pictures on one page must differ
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r'(<svg[^>]*?) height="[\d.]+pt"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) width="[\d.]+pt"', r"\1", text, count=1)
    return text.replace("<svg", f'<svg role="img" aria-label="{name}"', 1)


def _bars(labels: Sequence[str], values: Sequence[float], axis: str) -> tuple[Figure, Axes]:
    """Horizontal bars, the first on top."""
    figure, panel = _figure(4.8, 0.9 + 0.27 * len(labels))
    panel.barh(range(len(labels)), list(values), color=FIRST, height=0.62)
    panel.set_yticks(range(len(labels)), told_apart(labels))
    panel.set_ylim(len(labels) - 0.4, -0.6)
    panel.set_xlabel(axis)
    panel.tick_params(axis="y", length=0)
    return figure, panel


def _some(rows: Sequence[Any], limit: int) -> list[Any]:
    """All rows, or evenly spaced ones."""
    if len(rows) <= limit:
        return list(rows)
    return [rows[round(k * (len(rows) - 1) / (limit - 1))] for k in range(limit)]


def _widths(analysis: Analysis) -> Figure:
    rows = [row for row in analysis.summary.layers if row.neurons]
    shown = _some(rows, MAX_BARS)
    figure, panel = _bars([row.name for row in shown], [row.neurons for row in shown], "neurons")
    panel.set_xscale("log")
    panel.set_xlim(0.8, 3 * max(row.neurons for row in shown))
    for place, row in enumerate(shown):
        panel.text(row.neurons * 1.08, place, f"{row.neurons:,}", va="center", color=SOFT, fontsize=7.5)
    return figure


def _shares(analysis: Analysis) -> Figure:
    shown = _some(analysis.scores, MAX_BARS)
    figure, panel = _bars([row.name for row in shown], [100 * row.share for row in shown], "% of the path-norm")
    panel.set_xlim(0, 118 * max(1.0, max(row.share for row in shown)))
    for place, row in enumerate(shown):
        panel.text(100 * row.share + 1, place, f"{100 * row.share:.3g}", va="center", color=SOFT, fontsize=7.5)
    return figure


def _references(panel: Axes, analysis: Analysis) -> None:
    """Lines for the sizes of the outputs."""
    if analysis.outputs is None:
        return
    lines = [(analysis.outputs.size, "size of\nthe outputs")]
    if analysis.outputs.margin:
        lines.append((analysis.outputs.margin, "keeps\nthe decision"))
    lines = sorted(line for line in lines if line[0] > 0)
    for place, (value, text) in enumerate(lines):
        panel.axhline(value, color=LINE, linestyle="--", linewidth=1, zorder=0)
        side = "center" if len(lines) == 1 else ("top", "bottom")[place]  # away from each other
        panel.annotate(
            text, (1.015, value), xycoords=("axes fraction", "data"), va=side, color=SOFT, fontsize=7.5,
            annotation_clip=False,
        )  # fmt: skip


def _floor(found: Sequence[Certificate], analysis: Analysis) -> float:
    """The smallest change that is drawn: round-off below it says nothing."""
    positive = [value for one in found for value in (one.bound, one.seen) if value > 0]
    size = 1.0 if analysis.outputs is None or not analysis.outputs.largest else analysis.outputs.largest
    return max(min(positive, default=size), 1e-10 * size)


def _pruning(analysis: Analysis) -> Figure:
    figure, panel = _figure(4.8, 4)
    found, least = analysis.pruning, _floor(analysis.pruning, analysis)
    amounts = [100 * (one.amount or 0) for one in found]
    for values, colour, label in (
        ([one.bound for one in found], FIRST, "bound for the whole box"),
        ([one.seen for one in found], SECOND, "seen at random inputs"),
    ):
        points = [(x, y) for x, y in zip(amounts, values, strict=True) if y >= least]
        panel.plot([x for x, _ in points], [y for _, y in points], "o-", color=colour, label=label, markersize=4)
    panel.set_yscale("log")
    panel.set_xlim(0, 100)
    panel.set_xlabel("% of the weights removed")
    panel.set_ylabel("change of the outputs")
    _references(panel, analysis)
    panel.legend(frameon=False, labelcolor=INK, loc="lower right")
    return figure


def _bits(analysis: Analysis) -> Figure:
    figure, panel = _figure(4.8, 4)
    least = _floor(analysis.precision, analysis)
    fixed = [one for one in analysis.precision if "fixed" in one.name]
    floats = [one for one in analysis.precision if "fixed" not in one.name]
    for name, colour, what in (("bound", FIRST, "bound"), ("seen", SECOND, "seen")):
        line = [(one.bits or 0, getattr(one, name)) for one in fixed if getattr(one, name) >= least]
        dots = [(one.bits or 0, getattr(one, name)) for one in floats if getattr(one, name) >= least]
        panel.plot(
            [x for x, _ in line], [y for _, y in line], "o-", color=colour, label=f"{what}, fixed point", markersize=4
        )
        panel.plot([x for x, _ in dots], [y for _, y in dots], "D", color=colour, label=f"{what}, floats", markersize=5)
    for one in floats:
        if one.bound >= least:
            is_lower = any(other.bits == one.bits and other.bound > one.bound for other in floats)
            side, lift = ("center", 0) if is_lower else ("bottom", 2)  # names of as many bits keep apart
            panel.annotate(
                one.name, (one.bits or 0, one.bound), xytext=(6, lift), textcoords="offset points", va=side,
                color=SOFT, fontsize=7.5,
            )  # fmt: skip
    panel.set_yscale("log")
    panel.set_xlabel("bits of a weight")
    panel.set_ylabel("change of the outputs")
    _references(panel, analysis)
    panel.legend(frameon=False, labelcolor=INK, loc="lower left", fontsize=7.5)
    return figure


# -- the graph ------------------------------------------------------------------------------------------------------


def _graph(analysis: Analysis) -> Figure:
    boxes = boxes_of(analysis.summary.layers)
    figure, panel = _figure(4.8, 0.3 + 0.36 * len(boxes))
    draw_boxes(panel, boxes, BoxColours(INK, SOFT, LINE, SECOND, FILL))
    return figure
