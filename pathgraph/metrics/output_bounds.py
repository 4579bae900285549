"""From bounds per output to a `Bound` of a norm of the outputs, whose lower end is a difference that was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pathgraph.bounds import Bound
from pathgraph.metrics.gaps import gamma, roundings
from pathgraph.metrics.path_differences import Pair
from pathgraph.numbers import lower_floats, norm, norm_roundings, public, root_outward, upper_floats
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.exact import restored
from pathgraph.pathsum.flat import mapped
from pathgraph.pathsum.preparation import is_safe
from pathgraph.pathsum.sweep import sweep
from pathgraph.resolutions import is_streamed
from pathgraph.scalars import Array

__all__ = ["differences_found", "output_bound", "upper_end"]

MAX_EXACT_NORM = 64
"""Integer norms over the outputs up to this one are taken of rationals."""


def differences_found(pair: Pair) -> Array:
    """The absolute differences of the outputs at x = 0 and at four corners of the box: shape (5, n_outputs).

    The corners are D, -D, and those two with every second sign changed.

    Rationals, or floats that are less than the true differences by the round-off; zeros where floats come near the ends
    of their range.
    """
    dag, widths = pair.net.dag, pair.widths
    alternating = widths * [(-1) ** i for i in range(len(widths))]
    rows = np.stack([widths, -widths, alternating, -alternating, widths - widths])
    if is_streamed(pair.net):
        found = [pair.net.streams.outputs_at(pair.net, entries, rows) for entries in (pair.ours, pair.theirs)]
        passes = [pair.net.streams.largest_pass(pair.net, mapped(np.abs, e), widths) for e in (pair.ours, pair.theirs)]
        if any(part is None for part in (*found, *passes)):
            return np.zeros((len(rows), len(dag.outputs)))
        return _apart(found, passes, pair)
    start = np.zeros((len(rows), dag.size), dtype=widths.dtype)
    start[:, CONSTANT], start[:, dag.inputs] = 1, rows
    ours, theirs = (
        sweep(pair.net, [(entries, None)], start.copy(), pools="rank", relu=True)[:, dag.outputs]
        for entries in (pair.ours, pair.theirs)
    )
    if pair.is_exact:
        return restored(abs(ours - theirs))
    masses: list[Any] = []
    for entries in (pair.ours, pair.theirs):
        sizes = mapped(np.abs, entries)
        mass = sweep(pair.net, [(sizes, None)], start[:1].copy(), pools="max")
        if not is_safe([widths, *sizes], mass):
            return np.zeros(ours.shape)
        masses.append(mass[0, dag.outputs])
    return _apart((ours, theirs), masses, pair)


def _apart(outputs: Sequence[Any], masses: Sequence[Any], pair: Pair) -> Array:
    """The differences of outputs less their round-off, from the sum passes that bound it."""
    slack = 2 * gamma(roundings(pair.net, 1)) * (masses[0] + masses[1])
    return np.asarray(np.maximum(np.abs(outputs[0] - outputs[1]) - slack, 0))


def output_bound(found: Array, upper: Array, r: Any, per_output: bool, is_exact: bool, method: str, what: str) -> Bound:
    """The bound of the r-norm of the outputs, or of each.

    Parameters
    ----------
    found : ndarray, shape (n_found, n_outputs)
        Differences that occur: Fractions on exact networks, else floats.
    upper : ndarray, shape (n_outputs,)
        Their bounds: rationals on exact networks, else floats or scaled numbers.
    """
    upper = restored(upper)
    if per_output:
        lower = found.max(axis=0)
    elif is_exact and isinstance(r, int) and 1 < r <= MAX_EXACT_NORM:
        below, above = max(sum(row**r) for row in found), sum(upper**r)
        return Bound(*root_outward(below, above, r, what), below == above, True, method)
    else:
        norms = [norm(row, r) for row in found]
        upper = norm(upper, r)
        if upper.dtype != object:
            # two roundings more: those of the factor and of the product
            counts = [norm_roundings(row, r) + 2 for row in found]
            norms = [lower_floats(one) * (1 - gamma(count)) for one, count in zip(norms, counts, strict=True)]
        lower = np.maximum.reduce(norms)
    rigorous = is_exact and upper.dtype == object
    high = public(upper, what, floats=upper_floats, rationals=is_exact)
    low = public(lower, what, floats=lower_floats, rationals=is_exact)
    exact = bool((low == high).all()) and (rigorous or not high.any())
    if per_output:
        return Bound(low, high, exact, rigorous, method)
    return Bound(low.tolist()[0], high.tolist()[0], exact, rigorous, method)


def upper_end(upper: Array, r: Any, is_exact: bool, what: str) -> Any:
    """The upper end of `output_bound` for the r-norm of the outputs, r being 1 or infinite: a Fraction or a float.

    Parameters are those of `output_bound`.
    """
    high = public(norm(restored(upper), r), what, floats=upper_floats, rationals=is_exact)
    return high.tolist()[0]
