"""One picture of a trained network: where its path-norm comes from, how it is spread, and what it bounds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pathgraph_proofs_checks.analysis import Analysis
from pathgraph_proofs_checks.digits import SIDE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["save_picture"]

INK, PALE, ACCENT = "#1f2a44", "#9fb3c8", "#c8553d"


def save_picture(analysis: Analysis, path: Path) -> None:
    """Draw four panels and save them.

    Parameters
    ----------
    analysis : Analysis
        Of a network on 8 x 8 images.
    path : Path
        The format is that of the suffix; missing folders are created.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 2)
    for draw, panel in zip((_pixels, _products, _curve, _bounds), panels.flat, strict=True):
        draw(analysis, panel)
        panel.title.set(fontsize=12, fontweight="bold", color=INK)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    figure.suptitle("A ReLU network trained on handwritten digits, seen through its paths", fontsize=15, color=INK)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _pixels(analysis: Analysis, panel: Axes) -> None:
    share = 100 * analysis.pixel_mass.reshape(SIDE, SIDE)
    image = panel.imshow(share, cmap="magma")
    for (row, column), value in np.ndenumerate(share):
        dark = value < 0.6 * share.max()
        panel.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=7, color="w" if dark else INK)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.set_title("Share of the path-norm that starts at each pixel")
    rest = 100 - share.sum()
    panel.set_xlabel(f"the remaining {rest:.1f} % starts at biases")
    assert panel.figure is not None
    panel.figure.colorbar(image, ax=panel, label="%", fraction=0.046)


def _products(analysis: Analysis, panel: Axes) -> None:
    moduli = 10.0**analysis.log_products
    heavy = np.sort(moduli)[::-1].cumsum()
    few = 100 * (1 + np.searchsorted(heavy, heavy[-1] / 2)) / len(heavy)
    bins = np.linspace(np.quantile(analysis.log_products, 0.2) - 3, analysis.log_products.max(), 90).tolist()
    shares = np.full(len(moduli), 100 / len(moduli)), 100 * moduli / heavy[-1]
    panel.hist(analysis.log_products, bins, weights=shares[0], color=PALE, label="of the paths")
    panel.hist(
        analysis.log_products, bins, weights=shares[1], histtype="step", color=ACCENT, lw=2, label="of the path-norm"
    )
    below = 100 * np.mean(analysis.log_products < bins[0])
    panel.set_xlabel(rf"$\log_{{10}}|\Phi_p|$   ({below:.0f} % of the {len(moduli):,} paths lie further left)")
    panel.set_ylabel("%")
    panel.legend(frameon=False, loc="upper left")
    panel.set_title(f"Half of the path-norm lies on {few:.0f} % of the paths")


def _curve(analysis: Analysis, panel: Axes) -> None:
    panel.loglog(list(analysis.curve), list(analysis.curve.values()), color=INK, linewidth=2)
    heaviest = 10.0 ** analysis.log_products.max()
    panel.axhline(heaviest, color=ACCENT, linestyle="--", linewidth=1.5)
    panel.text(0.5, heaviest * 1.15, r"$q=\infty$: the heaviest path", color=ACCENT, va="bottom")
    for q, norm in analysis.curve.items():
        mark = round(q)
        if abs(q - mark) < 1e-9 and mark in (1, 2, 4, 8):
            panel.plot(q, norm, "o", color=INK, markersize=5)
            panel.annotate(f"{norm:,.5g}", (q, norm), xytext=(7, 6), textcoords="offset points", color=INK)
    panel.set_xticks([0.5, 1, 2, 4, 8, 16], ["1/2", "1", "2", "4", "8", "16"])
    panel.minorticks_off()
    panel.set_xlabel("q")
    panel.set_ylabel(r"$\|\Phi\|_q$")
    panel.set_title("The path-norm decreases with q")


def _bounds(analysis: Analysis, panel: Axes) -> None:
    values = list(analysis.bounds.values())
    bars = panel.barh(range(len(values)), values, color=[ACCENT, *[INK] * (len(values) - 1)], height=0.36)
    panel.bar_label(
        bars, [f"{value:,.0f}" if value < 1e6 else f"{value:.1e}" for value in values], padding=4, color=INK
    )
    panel.set_xscale("log")
    panel.set_xlim(min(values) / 6, max(values) * 30)
    for row, name in enumerate(analysis.bounds):
        panel.text(panel.get_xlim()[0], row - 0.25, f" {name}", va="bottom", color=INK)
    panel.set_ylim(len(values) - 0.5, -0.8)
    panel.set_yticks([])
    panel.set_xlabel(r"$\|R(x)-R(x')\|_1\,/\,\|x-x'\|_\infty$")
    panel.set_title("What was observed, and what bounds it")
