"""Plots of what is computed from networks: bounds against the truth, pruning, bits, scores and path products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from pathgraph.arguments import generator, natural, number
from pathgraph.errors import ParameterError
from pathgraph.graph.network import Network, require_network
from pathgraph.lifting import path_lifting
from pathgraph.path_sums import count_paths
from pathgraph.paths import sample_paths
from pathgraph.plot.canvas import ACCENT, INK, MARKERS, PLUS, SERIES, as_float, axes_or_new, log10_size, tidied
from pathgraph.pruning.masses import path_magnitude
from pathgraph.resolutions import ReluNetwork, require_network_of_numbers
from pathgraph.shown import argument_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["compare_bounds", "plot_bits", "plot_path_weights", "plot_pruning", "plot_scores"]

STYLES = ("-", "--", ":", "-.")
"""Of lines, one after the other where there are more lines than colours."""

LISTED = 20_000
"""Paths up to which all are listed; of more, some are drawn at random."""

Curves = Mapping[str, tuple[ArrayLike, ArrayLike]]
"""Names, and abscissae and ordinates of shape (n,)."""


def compare_bounds(truth: ArrayLike, bounds: Mapping[str, ArrayLike], *, ax: Axes | None = None) -> Axes:
    """Draw bounds against what they bound, on logarithmic axes: nothing may lie below the diagonal.

    Parameters
    ----------
    truth : array_like, shape (n,)
        Non-negative; zeros are left out, since they have no logarithm.
    bounds : mapping from names to array_like of shape (n,)
    ax : Axes, optional

    Returns
    -------
    Axes
        The legend has the median ratio of each bound to the truth.

    Raises
    ------
    ParameterError
        On arrays of other shapes, negative numbers or NaN, and where nothing is positive.

    Examples
    --------
    >>> import pathgraph as pg
    >>> ax = pg.plot.compare_bounds([1, 2], {"U2": [1, 4], "U1": [3, 6]})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['U2: median ratio 1.5', 'U1: median ratio 3']
    """
    exact = _numbers(truth, "truth")
    if not isinstance(bounds, Mapping):
        raise ParameterError(f"bounds: needed a mapping from names to arrays, got {type(bounds).__name__}")
    found = {name: _numbers(values, f"bounds[{name!r}]", len(exact)) for name, values in bounds.items()}
    shown = exact > 0
    if not shown.any() or not found:
        raise ParameterError("truth: needed a positive number and a bound of it, got none")
    for name, values in found.items():
        if (values[shown] == 0).any():
            raise ParameterError(
                f"bounds[{name!r}]: needed positive bounds of what is positive, got 0, which bounds nothing"
            )
    panel = tidied(axes_or_new(ax, 5, 4.4))
    for k, (name, values) in enumerate(found.items()):
        ratio = float(np.median(values[shown] / exact[shown]))
        panel.loglog(
            exact[shown], values[shown], MARKERS[k % len(MARKERS)], color=SERIES[k % len(SERIES)], markersize=4,
            alpha=0.7, label=f"{name}: median ratio {ratio:.3g}",
        )  # fmt: skip
    ends = [exact[shown].min(), exact[shown].max()]
    panel.plot(ends, ends, color=INK, linewidth=1, zorder=0)
    panel.set_xlabel("truth")
    panel.set_ylabel("bound")
    panel.legend(frameon=False, fontsize="small")
    return panel


def plot_pruning(curves: Curves, *, baseline: float | None = None, ax: Axes | None = None) -> Axes:
    """Draw what is left, such as an accuracy, against the share of the weights that is removed.

    Parameters
    ----------
    curves : mapping from names to (shares, values)
        Shares in [0, 1].
    baseline : number, optional
        The value of the whole network: a dotted line.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ParameterError
        On shares outside [0, 1], arrays of different lengths, NaN, and no curve at all.

    Examples
    --------
    >>> import pathgraph as pg
    >>> ax = pg.plot.plot_pruning({"path-magnitude": ([0, 0.5, 0.9], [0.97, 0.96, 0.6])}, baseline=0.97)
    >>> ax.get_lines()[0].get_xdata().tolist()
    [0.0, 50.0, 90.0]
    """
    panel = tidied(axes_or_new(ax, 5.6, 3.8))
    for k, (name, (x, y)) in enumerate(_curves(curves).items()):
        if (x < 0).any() or (x > 1).any():
            raise ParameterError(f"curves[{name!r}]: needed shares in [0, 1], got {x.min():g} to {x.max():g}")
        panel.plot(100 * x, y, f"{MARKERS[k % len(MARKERS)]}-", color=SERIES[k % len(SERIES)], ms=4, label=name)
    if baseline is not None:
        panel.axhline(number(baseline, "baseline", "[-inf, inf]"), color=INK, linestyle=":", linewidth=1)
    panel.set_xlabel("% of the weights removed")
    panel.legend(frameon=False, fontsize="small")
    return panel


def plot_bits(curves: Curves, *, seen: Curves | None = None, ax: Axes | None = None) -> Axes:
    """Draw errors, or bounds of them, against bits per weight, on a logarithmic axis.

    Parameters
    ----------
    curves : mapping from names to (bits, errors)
        Errors that are zero have no place on the axis, and are left out.
    seen : mapping from names to (bits, errors), optional
        What is seen at samples, and proves nothing: dotted lines.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ParameterError
        On negative errors, arrays of different lengths, NaN, and no curve at all.

    Examples
    --------
    >>> import pathgraph as pg
    >>> ax = pg.plot.plot_bits({"U2": ([8, 9], [0.5, 0.25])}, seen={"test images": ([8, 9], [0.1, 0.05])})
    >>> ax.get_yscale(), len(ax.get_lines())
    ('log', 2)
    """
    panel = tidied(axes_or_new(ax, 5.6, 3.8))
    for group, style in ((_curves(curves), "-"), (_curves(seen) if seen else {}, ":")):
        for name, (x, y) in group.items():
            if (y < 0).any():
                raise ParameterError(f"curves[{name!r}]: needed errors >= 0, got {y.min():g}")
            k = len(panel.get_lines())
            some = y > 0
            panel.plot(
                x[some], y[some], f"{MARKERS[k % len(MARKERS)]}{style}", color=SERIES[k % len(SERIES)], ms=4, label=name
            )
    panel.set_yscale("log")
    panel.set_xlabel("bits per weight")
    panel.set_ylabel("change of the outputs")
    panel.legend(frameon=False, fontsize="small")
    return panel


def plot_scores(net: ReluNetwork, *, inputs: Any = None, ax: Axes | None = None) -> Axes:
    """Draw the path-magnitudes of the parameters, sorted, by tensor or by level.

    Parameters
    ----------
    net : Network or LayerGraph
    inputs : scalar, array_like or mapping, optional
        Half-widths of the box of inputs; ones by default.
    ax : Axes, optional

    Returns
    -------
    Axes
        Zero scores are left out, and counted in the legend; scores beyond 1e290 or 1e-290 are drawn there.

    Examples
    --------
    >>> import pathgraph as pg
    >>> ax = pg.plot.plot_scores(pg.from_weights([[[1, -2], [3, 0]], [[1, 1]]]))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['level 1 (4, 1 of them zero)', 'level 2 (2)']
    """
    require_network_of_numbers(net, "plot_scores")
    scores = path_magnitude(net, inputs=inputs)
    groups: dict[str, Any]
    if isinstance(net, Network):
        architecture = net.architecture
        level = architecture.level[architecture.target[architecture.first_entry]]
        groups = {f"level {k}": np.asarray(scores)[level == k] for k in np.unique(level).tolist()}
    else:
        groups = dict(scores)
    is_long = len(groups) > len(SERIES)  # a legend that would lie over the curves
    panel = tidied(axes_or_new(ax, 8.4 if is_long else 5.6, 3.8))
    for k, (name, values) in enumerate(groups.items()):
        sizes = np.sort([as_float(value) for value in np.asarray(values).ravel().tolist()])[::-1]
        positive = np.clip(sizes[sizes > 0], 1e-290, 1e290)
        zeros = len(sizes) - len(positive)
        label = f"{name} ({len(sizes)}{f', {zeros} of them zero' if zeros else ''})"
        rank = (np.arange(len(positive)) + 0.5) / max(1, len(sizes))
        style = STYLES[k // len(SERIES) % len(STYLES)]
        panel.plot(100 * rank, positive, style, color=SERIES[k % len(SERIES)], label=label)
    panel.set_yscale("log")
    panel.set_xlabel("% of the parameters, the highest scores first")
    panel.set_ylabel("path-magnitude")
    beside: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1, 1)} if is_long else {}
    panel.legend(frameon=False, fontsize="small", **beside)
    return panel


def plot_path_weights(net: Network, *, n_samples: int = 5000, rng: Any = 0, ax: Axes | None = None) -> Axes:
    """Draw how the products of the weights along the paths are spread, on a logarithmic scale.

    Parameters
    ----------
    net : Network
        Up to 20,000 paths are all listed; of more, some are drawn with probability proportional to their size.
    n_samples : int
        How many, then.
    rng : numpy.random.Generator or seed
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> import pathgraph as pg
    >>> ax = pg.plot.plot_path_weights(pg.from_weights([[[1, -2], [3, 0]], [[1, 1]]]))
    >>> ax.get_title()
    '4 paths, 1 of them zero'
    """
    require_network(net)
    natural(n_samples, "n_samples", least=1)
    n_paths = count_paths(net)
    panel = tidied(axes_or_new(ax, 5.6, 3.8))
    if n_paths <= LISTED:
        products = [value for value in path_lifting(net).values.tolist() if value != 0]
        logs = np.array([log10_size(value) for value in products])
        zeros = n_paths - len(products)
        panel.set_title(
            f"{n_paths:,} path{'s' if n_paths > 1 else ''}" + (f", {zeros:,} of them zero" if zeros else ""),
            fontsize="medium",
        )
        label = "of the paths"
    else:
        drawn = sample_paths(net, n_samples, generator(rng))
        logs = np.array([_log_size(net, path) for path in drawn])
        panel.set_title(f"{n_samples:,} of {_short(n_paths)} paths, drawn by their mass", fontsize="medium")
        label = "of the path-norm"
    if len(logs):
        weights = np.full(len(logs), 100 / len(logs))
        panel.hist(logs, bins=60, weights=weights, color=PLUS, alpha=0.75, label=label)
        if n_paths <= LISTED:
            masses = 10.0 ** np.maximum(logs - logs.max(), -300)
            shares = 100 * masses / masses.sum()
            panel.hist(logs, bins=60, weights=shares, histtype="step", color=ACCENT, lw=1.6, label="of the path-norm")
        panel.legend(frameon=False, fontsize="small")
    panel.set_xlabel(r"$\log_{10}|\Phi_p|$")
    panel.set_ylabel("%")
    return panel


def _log_size(net: Network, path: Sequence[Any]) -> float:
    start = [] if path[0] in net.inputs else [net.bias(path[0])]
    return sum(log10_size(factor) for factor in [*start, *(net.weight(u, v) for u, v in pairwise(path))])


def _short(number: int) -> str:
    return f"{number:,}" if number < 10**9 else f"{number:.2e}"


def _numbers(values: ArrayLike, name: str, size: int | None = None) -> Any:
    try:
        found = np.asarray(values, dtype=float)
    except (OverflowError, TypeError, ValueError):
        raise ParameterError(
            f"{name}: needed an array of numbers that floats hold, got {argument_text(values)}"
        ) from None
    if found.ndim != 1 or (size is not None and len(found) != size):
        raise ParameterError(f"{name}: needed shape ({'n' if size is None else size},), got {found.shape}")
    if not (found >= 0).all():
        raise ParameterError(f"{name}: needed numbers >= 0, got {found[~(found >= 0)][0]}")
    return found


def _curves(curves: Any) -> dict[str, tuple[Any, Any]]:
    if not isinstance(curves, Mapping):
        raise ParameterError(f"curves: needed a mapping from names to pairs of arrays, got {type(curves).__name__}")
    if not curves:
        raise ParameterError("curves: needed some curve, got none")
    out = {}
    for name, pair in curves.items():
        try:
            x, y = (np.asarray(part, dtype=float) for part in pair)
        except (OverflowError, TypeError, ValueError):
            raise ParameterError(
                f"curves[{name!r}]: needed a pair of arrays of numbers, got {argument_text(pair)}"
            ) from None
        if not np.isfinite(x).all() or np.isnan(y).any():
            raise ParameterError(f"curves[{name!r}]: needed numbers, got NaN, or an infinite abscissa")
        if x.ndim != 1 or x.shape != y.shape:
            raise ParameterError(f"curves[{name!r}]: needed two arrays of one length, got {x.shape} and {y.shape}")
        out[name] = x, y
    return out
