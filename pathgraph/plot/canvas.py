"""New axes without pyplot, and the colours that all pictures share."""

from __future__ import annotations

import io
import math
import sys
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

from pathgraph.errors import BackendError, ParameterError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "ACCENT",
    "FAINT",
    "INK",
    "MARKERS",
    "MINUS",
    "PALE",
    "PLUS",
    "SERIES",
    "as_float",
    "axes_or_new",
    "log10_size",
    "tidied",
]

INK, FAINT, PALE = "#23293a", "#a9b1bd", "#e9edf3"
PLUS, MINUS, ACCENT = "#2c6fbb", "#d1701c", "#b3127e"
"""Of positive and negative weights, and of what is picked out: they differ for all kinds of colour vision."""

SERIES = ("#2c6fbb", "#d1701c", "#1b8a5a", "#b3127e", "#6b5bb5", "#7a7a7a", "#b59a00", "#00899b")
MARKERS = "osD^vXPh"


def as_float(number: Any) -> float:
    """The nearest float that has the sign of a number: neither infinite, nor zero unless the number is."""
    try:
        found = float(number)
    except OverflowError:
        return -sys.float_info.max if number < 0 else sys.float_info.max
    return found if found != 0 or number == 0 else math.copysign(5e-324, -1 if number < 0 else 1)


def log10_size(number: Any) -> float:
    """The decimal logarithm of the absolute value of a number that is not zero, of any size."""
    if isinstance(number, (int, Fraction)):
        exact = abs(Fraction(number))
        return math.log10(exact.numerator) - math.log10(exact.denominator)
    return math.log10(abs(number))


def axes_or_new(ax: Any, width: float, height: float) -> Axes:
    """The axes given, or those of a new figure of this size in inches.

    Raises
    ------
    BackendError
        If matplotlib is not installed.
    ParameterError
        On what is no axes.
    """
    try:
        from matplotlib.axes import Axes
        from matplotlib.backends.backend_agg import FigureCanvasAgg
    except ImportError as error:
        raise BackendError(
            "pictures need matplotlib, which is not installed; pip install 'pathgraph[plot]', or pip install '.[plot]' "
            "in a checkout"
        ) from error
    if ax is None:
        figure = _shown_figure()(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        return figure.subplots()  # type: ignore[no-any-return]
    if not isinstance(ax, Axes):
        raise ParameterError(f"ax: needed axes of matplotlib or None, got {type(ax).__name__}")
    return ax


@cache
def _shown_figure() -> Any:
    """A figure that notebooks show, whether or not pyplot has told them how."""
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png", dpi=100)
            return buffer.getvalue()

    return ShownFigure


def tidied(ax: Axes) -> Axes:
    """Axes with a grid, and no frame above and on the right."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.grid(alpha=0.3, linewidth=0.6)
    ax.set_axisbelow(True)
    return ax
