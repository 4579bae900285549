"""The supports of Kronecker-sparse patterns, matrices and chains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.errors import ParameterError
from pathgraph.kronecker.chain import KSChain
from pathgraph.kronecker.matrix import KSMatrix
from pathgraph.kronecker.patterns import KSPattern
from pathgraph.plot.canvas import INK, PLUS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_chain", "draw_support"]

MOST = 4096
"""Rows or columns of a picture."""


def draw_support(matrix: KSPattern | KSMatrix, *, values: bool = True, ax: Axes | None = None) -> Axes:
    """Draw where the entries of a Kronecker-sparse matrix may be other than zero.

    Parameters
    ----------
    matrix : KSPattern or KSMatrix
    values : bool
        Of a matrix, colour the entries by their values: orange negative, blue positive, by size (the modulus of complex
        ones). A pattern has one colour.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ParameterError
        On other objects, and on more than 4,096 rows or columns.

    Examples
    --------
    >>> import pathgraph as pg
    >>> ax = pg.plot.draw_support(pg.KSPattern(1, 2, 2, 4))
    >>> ax.get_title(), int(ax.images[0].get_array().sum())
    ('(1, 2, 2, 4)', 16)
    """
    if not isinstance(matrix, (KSPattern, KSMatrix)):
        raise ParameterError(f"matrix: needed a KSPattern or a KSMatrix, got {type(matrix).__name__}")
    pattern = matrix if isinstance(matrix, KSPattern) else matrix.pattern
    rows, columns = pattern.shape
    if max(rows, columns) > MOST:
        raise ParameterError(f"matrix: needed at most {MOST} rows and columns to be seen, got shape {pattern.shape}")
    support = pattern.support().toarray().astype(float)
    panel = axes_or_new(ax, 0.4 + 3.2 * min(1.6, columns / max(rows, 1)), 3.6)
    if values and isinstance(matrix, KSMatrix):
        dense = matrix.toarray()
        shown = np.abs(dense) if np.iscomplexobj(dense) else np.asarray(dense, dtype=float)
        top = float(np.abs(shown).max(initial=0.0)) or 1.0
        image = np.where(support > 0, shown, np.nan)
        panel.imshow(image, cmap=_signs(), vmin=-top, vmax=top, interpolation="nearest", aspect="equal")
    else:
        panel.imshow(support, cmap=_one(), vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    panel.set_xticks([])
    panel.set_yticks([])
    for spine in panel.spines.values():
        spine.set_color(INK)
        spine.set_linewidth(0.8)
    panel.set_title(f"({', '.join(map(str, pattern))})", fontsize="medium")
    return panel


def draw_chain(chain: KSChain, *, values: bool = False, axes: Any = None) -> Any:
    """Draw the supports of the factors of a chain, from left to right.

    Parameters
    ----------
    chain : KSChain
    values : bool
        As for `draw_support`.
    axes : array of Axes, one for each factor, optional

    Returns
    -------
    ndarray of Axes, shape (n_factors,)

    Raises
    ------
    ParameterError
        On what is no chain, and on axes of another number.

    Examples
    --------
    >>> import pathgraph as pg
    >>> [ax.get_title() for ax in pg.plot.draw_chain(pg.hadamard(4))]
    ['(1, 2, 2, 2)', '(2, 2, 2, 1)']
    """
    if not isinstance(chain, KSChain):
        raise ParameterError(f"chain: needed a KSChain, got {type(chain).__name__}")
    n = len(chain.factors)
    if axes is None:
        first = axes_or_new(None, 2.2 * n, 2.5)
        figure: Any = first.figure
        figure.clear()
        axes = figure.subplots(1, n, squeeze=False)[0]
    panels = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if len(panels) != n:
        raise ParameterError(f"axes: needed {n}, one for each factor, got {len(panels)}")
    for factor, panel in zip(chain.factors, panels.tolist(), strict=True):
        draw_support(factor, values=values, ax=panel)
    return panels


def _signs() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("signs", ["#d1701c", "#e9edf3", PLUS]).with_extremes(bad="white")


def _one() -> Any:
    from matplotlib.colors import ListedColormap

    return ListedColormap(["white", PLUS])
