r"""Bounds over all parameters in a box, known before any of them is chosen: a priori bounds for rounding and pruning.

Both are differences of path-norms weighted by the box of inputs, computed by the recursion on the error:

.. math:: P(|\theta| + \rho) - P(|\theta|) , \qquad P(|\theta|) - P((|\theta| - \rho)_+) , \qquad P(high) - P(low) .

Source: derived here.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pathgraph.arguments import Inputs, exponent, half_widths, require_same_structure
from pathgraph.bounds import Bound
from pathgraph.errors import ParameterError
from pathgraph.metrics.gaps import fallen_back, gap_sweep, total, zeros
from pathgraph.metrics.output_bounds import differences_found, output_bound, upper_end
from pathgraph.metrics.path_differences import Pair, flips
from pathgraph.metrics.path_metrics import excess
from pathgraph.pathsum.exact import accelerated
from pathgraph.pathsum.flat import mapped
from pathgraph.resolutions import ReluNetwork, require_network_of_numbers
from pathgraph.scalars import Array, as_values, object_array, refuse_floats
from pathgraph.shown import argument_text, number_text

__all__ = ["box_bound", "largest_change", "perturbation_bound"]


def perturbation_bound(
    net: ReluNetwork,
    rho: ArrayLike | Any,
    *,
    inputs: Inputs | None = None,
    r: float = 1,
    per_output: bool = False,
    shrink: bool = False,
) -> Bound:
    r"""A bound on the change of the output for every change of the parameters by at most `rho`.

    Parameters
    ----------
    net : Network or LayerGraph
    rho : number, or array_like of shape (n_parameters,)
        The largest changes, >= 0, aligned with ``net.theta``; fixed values do not change. For a layer graph also a
        mapping from the names of parameters to numbers or arrays of their shapes, 0 where absent.
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Half-widths of the box of inputs; ones by default.
    r : number in [1, inf]
        The norm over the outputs.
    per_output : bool
        One bound per output instead.
    shrink : bool
        Whether the parameters are known to keep their signs, or vanish, and not to grow, as in rounding toward zero.

    Returns
    -------
    Bound
        The lower end is the largest change found at x = 0 and at a few corners of the box, for the parameters moved by
        `rho` away from zero (toward zero if `shrink`).

    Raises
    ------
    ParameterError
        On a negative or non-finite `rho`, or one of a wrong shape.
    RangeError
        If the bound leaves the range of floats.

    Notes
    -----
    The bound is :math:`P(|\theta| + \rho) - P(|\theta|)`, with `shrink` :math:`P(|\theta|) - P((|\theta| - \rho)_+)`.
    It holds for any signs and is attained by networks without negative parameters and without pools, at x = D.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[2, 1]], [[3]]], dtype=object)
    >>> pg.perturbation_bound(net, 1), pg.perturbation_bound(net, 1, shrink=True)
    (Bound(11 <= . <= 11, exact, rigorous, by growth), Bound(7 <= . <= 7, exact, rigorous, by shrinkage))
    """
    require_network_of_numbers(net, "perturbation_bound")
    r = exponent(r, "r", least=1)
    pair = Pair.of(net, net, half_widths(net, inputs))
    bounds, moved = _changes(pair, _moves(net, rho), shrink)
    signs = [np.where(w < 0, -1, 1) for w in pair.ours]
    if all(w.dtype in (np.float64, object) for w in moved):
        pair = pair._replace(theirs=[sign * w for sign, w in zip(signs, moved, strict=True)])
    method = "shrinkage" if shrink else "growth"
    return output_bound(differences_found(pair), bounds, r, per_output, net.is_exact, method, "perturbation_bound")


def largest_change(net: ReluNetwork, moves: Array, *, inputs: Inputs | None = None, shrink: bool = False) -> Any:
    """The upper end of `perturbation_bound` for the sum over the outputs, without looking for the lower end.

    Parameters
    ----------
    net : Network or LayerGraph
    moves : ndarray, shape (n_parameters,)
        The largest changes, >= 0: float64, or Fractions for an exact network.
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
    shrink : bool

    Raises
    ------
    RangeError
        If the bound leaves the range of floats.
    """
    bounds, _ = _changes(Pair.of(net, net, half_widths(net, inputs)), moves, shrink)
    return upper_end(bounds, 1, net.is_exact, "perturbation_bound")


def _changes(pair: Pair, moves: Array, shrink: bool) -> tuple[Array, list[Array]]:
    """The bound for each output, and the absolute values of the parameters as they move."""
    architecture = pair.net.architecture
    each = np.zeros(architecture.n_entries, dtype=moves.dtype)
    is_free = architecture.parameter >= 0
    each[is_free] = moves[architecture.parameter[is_free]]
    rhos = [accelerated(rho) for rho in architecture.cut(each)]
    sizes = [abs(w) for w in pair.ours]
    if shrink:
        small = [np.maximum(w - rho, zeros(w)) for w, rho in zip(sizes, rhos, strict=True)]
        apart = [np.minimum(w, rho) for w, rho in zip(sizes, rhos, strict=True)]
        large, moved = sizes, small
    else:
        small, apart = sizes, rhos
        large = moved = [total(w, rho) for w, rho in zip(sizes, rhos, strict=True)]
    bounds = fallen_back(lambda start: gap_sweep(pair.net, small, apart, large, start), pair.widths)[1]
    return bounds, moved


def _leaves(high: Array, low: Array) -> Array:
    """Where there is nothing between the ends."""
    return (abs(low) > abs(high)) | flips(high, low)


def _moves(net: ReluNetwork, rho: Any) -> Array:
    """The changes, one per parameter, in the scalars of the network."""
    size = net.architecture.n_parameters
    rho = net.architecture.aligned(rho, "rho", 0)
    is_one = isinstance(rho, (Number, np.generic))
    if (not is_one and not isinstance(rho, (Sequence, np.ndarray))) or isinstance(rho, str) or np.ndim(rho) > 1:
        got = f"shape {rho.shape}" if isinstance(rho, np.ndarray) else argument_text(rho)
        raise ParameterError(f"rho: needed a number, or a vector of one per parameter, got {got}")
    is_plain = isinstance(rho, np.ndarray) and rho.dtype.kind in "fiu" and not net.is_exact
    listed: Any = [rho] if is_one else rho if is_plain else list(rho)
    if not is_one and len(listed) != size:
        raise ParameterError(f"rho: needed a number, or {size} numbers, one per parameter, got {len(listed)}")

    def describe(i: int) -> str:
        return "rho" if is_one else f"rho: the value of {net.architecture.parameters[i]!r}"

    if net.is_exact:
        refuse_floats(listed, describe)
    moves = as_values(listed, describe, np.float64 if net.scalars == "float" else object)
    for i in np.flatnonzero(moves < 0)[:1].tolist():
        raise ParameterError(f"{describe(i)} must be >= 0, got {number_text(moves[i])}")
    return object_array(list(moves) * size) if is_one and net.is_exact else np.resize(moves, size)


def box_bound(
    low: ReluNetwork, high: ReluNetwork, *, inputs: Inputs | None = None, r: float = 1, per_output: bool = False
) -> Bound:
    r"""A bound on the difference of the outputs of any two networks between two others, over a box of inputs.

    Parameters
    ----------
    low, high : Network or LayerGraph
        Of one architecture, with the same signs; no parameter of `low` is larger in absolute value than that of
        `high`, and it may be 0. Between them lie the parameters with these signs and absolute values in between.
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Half-widths of the box of inputs; ones by default.
    r : number in [1, inf]
        The norm over the outputs.
    per_output : bool
        One bound per output instead.

    Returns
    -------
    Bound
        The lower end is the largest difference of the outputs of `low` and `high` found at x = 0 and at a few corners
        of the box.

    Raises
    ------
    ParameterError
        If the two are no ends of a box.
    RangeError
        If the bound leaves the range of floats.

    Notes
    -----
    The bound is P(high) - P(low): the path-metric of the two ends, which is monotone in the box.

    References
    ----------
    Derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> high = pg.from_weights([[[2, -1]], [[3]]], dtype=object)
    >>> pg.box_bound(high.with_theta([1, 0, 3]), high, inputs=[1, 0])
    Bound(3 <= . <= 3, exact, rigorous, by box)
    """
    require_network_of_numbers(low, "box_bound", name="low")
    require_same_structure(low, high, "box_bound", name="high")
    r = exponent(r, "r", least=1)
    pair = Pair.of(high, low, half_widths(high, inputs))
    if not pair.is_shrinking():
        raise ParameterError(
            "low: needed parameters with the signs of those of high, or zero, and absolute values no larger, got, in "
            f"high and low, {pair.first(_leaves)}: the box is empty; use parameter_lipschitz for any two networks"
        )
    bounds = excess(pair, mapped(abs, pair.theirs), mapped(abs, pair.ours))
    return output_bound(differences_found(pair), bounds, r, per_output, high.is_exact, "box", "box_bound")
