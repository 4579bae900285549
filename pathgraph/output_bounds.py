"""From bounds per output to a `Bound` of a norm of the outputs, whose lower end is a difference that was found."""

from __future__ import annotations

from typing import Any

import numpy as np

from pathgraph.bounds import Bound
from pathgraph.gaps import gamma, roundings
from pathgraph.metrics import public
from pathgraph.numbers import lower_floats, norm, root_outward
from pathgraph.path_differences import Pair
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.exact import restored
from pathgraph.pathsum.flat import mapped
from pathgraph.pathsum.sweep import is_safe, sweep
from pathgraph.scalars import Array

__all__ = ["differences_found", "output_bound"]

MAX_EXACT_NORM = 64
"""Integer norms over the outputs up to this one are taken of rationals."""


def differences_found(pair: Pair) -> Array:
    """The absolute differences of the outputs at x = 0 and at four corners of the box: shape (5, n_outputs).

    The corners are D, -D, and those two with every second sign changed.

    Rationals, or floats that are less than the true differences by the round-off; zeros where floats come near the ends
    of their range.
    """
    dag = pair.net.dag
    start = np.zeros((5, dag.size), dtype=pair.widths.dtype)
    start[:, CONSTANT] = 1
    alternating = pair.widths * [(-1) ** i for i in range(len(pair.widths))]
    start[:4, dag.inputs] = [pair.widths, -pair.widths, alternating, -alternating]
    ours, theirs = (
        sweep(pair.net, [(entries, None)], start.copy(), pools="rank", relu=True)[:, dag.outputs]
        for entries in (pair.ours, pair.theirs)
    )
    if pair.is_exact:
        return restored(abs(ours - theirs))
    masses = []
    for entries in (pair.ours, pair.theirs):
        sizes = mapped(np.abs, entries)
        mass = sweep(pair.net, [(sizes, None)], start[:1].copy(), pools="max")
        if not is_safe([pair.widths, *sizes], mass):
            return np.zeros(ours.shape)
        masses.append(mass[0, dag.outputs])
    slack = 2 * gamma(roundings(pair.net, 1)) * (masses[0] + masses[1])
    return np.asarray(np.maximum(np.abs(ours - theirs) - slack, 0))


def output_bound(found: Array, upper: Array, r: Any, per_output: bool, is_exact: bool, method: str, what: str) -> Bound:
    """The bound of the r-norm of the outputs, or of each.

    Parameters
    ----------
    found : ndarray, shape (n_found, n_outputs)
        Differences that occur.
    upper : ndarray, shape (n_outputs,)
        Their bounds; like `found` Fractions on exact networks, else floats.
    """
    if per_output:
        lower = found.max(axis=0)
    elif is_exact and isinstance(r, int) and 1 < r <= MAX_EXACT_NORM:
        below, above = max(sum(row**r) for row in found), sum(upper**r)
        return Bound(*root_outward(below, above, r, what), below == above, True, method)
    else:
        norms = [norm(row, r) for row in found]
        upper = norm(upper, r)
        if upper.dtype != object:
            # a norm of numbers in the range of floats by powers of scaled numbers: 4096 roundings and the additions
            factor = 1 - (4096 + len(found[0])) * 2.0**-53
            norms = [lower_floats(one) * factor for one in norms]
        lower = np.maximum.reduce(norms)
    rigorous = is_exact and upper.dtype == object
    ends = public(lower, upper, is_exact, per_output, what)
    return Bound(*ends, rigorous and bool((lower == upper).all()), rigorous, method)
