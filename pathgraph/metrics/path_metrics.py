r"""The path-metric: how far apart the path-liftings of two networks of one architecture are.

.. math:: \|\Phi(\theta) - \Phi(\theta')\|_1 = \sum_p D_p\, |\Phi_p(\theta) - \Phi_p(\theta')| ,

where :math:`D_p` is the half-width of the input at which the path starts, and 1 at a bias. It is invariant under
rescaling either network. Two sweeps compute it if all parameters move one way (pruning, shrinking, rounding toward
zero); in general that is #P-hard, so there are bounds, and enumeration for small networks. For even q the sum of the
q-th powers is a polynomial in the two liftings, hence exact whatever the signs.

Every float bound comes from a recursion on the error (`pathgraph.metrics.gaps`), never from a difference of path-norms.

Source: arXiv 2405.15006 for the metric and its two sweeps; the rest is derived here.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal, get_args

import numpy as np

from pathgraph.arguments import Inputs, exponent, half_widths, natural, require_same_structure
from pathgraph.bounds import Bound
from pathgraph.errors import ParameterError, RangeError
from pathgraph.metrics.gaps import (
    GapStates,
    distance,
    fallen_back,
    gamma,
    gap_sweep,
    may_be_exact,
    meet_sweep,
    power_sweep,
    roundings,
    total,
)
from pathgraph.metrics.path_differences import Pair, differences, flips, has_few_paths
from pathgraph.numbers import lower_floats, norm, public, root_outward, upper_floats
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.exact import restored
from pathgraph.pathsum.flat import mapped
from pathgraph.pathsum.scaled import scaled, scaled_product, scaled_sum
from pathgraph.pathsum.sweep import Pools, sweep
from pathgraph.resolutions import ReluNetwork
from pathgraph.scalars import Array, object_array, to_fraction
from pathgraph.shown import argument_text

__all__ = ["excess", "l1_gap", "meet_sums", "path_metric", "telescoped"]

Method = Literal["auto", "two-sweeps", "enumeration", "meet", "max-min", "join", "telescope"]

MAX_POWER = 16


def path_metric(
    net: ReluNetwork,
    other: ReluNetwork,
    *,
    inputs: Inputs | None = None,
    per_output: bool = False,
    q: int = 1,
    method: Method = "auto",
    root: bool = True,
    max_paths: int = 10_000,
) -> Bound:
    r"""The norm of the difference of two path-liftings, :math:`\|\Phi(\theta) - \Phi(\theta')\|_q`, or bounds of it.

    Parameters
    ----------
    net, other : Network or LayerGraph
        Of one architecture and one kind of scalars.
    inputs : scalar, array_like of shape (n_inputs,), or mapping, optional
        Weights :math:`D_i \ge 0` of the paths that start at the inputs (box half-widths); ones by default.
    per_output : bool
        One metric per output instead of the norm over all paths.
    q : 1 or an even integer up to 16
    method : {"auto", "two-sweeps", "enumeration", "meet", "max-min", "join", "telescope"}
        For q = 1 the upper end, with P the path-norm, and the largest and smallest absolute value of each parameter:

        * "two-sweeps": the metric; all parameters keep their signs and all shrink, or all grow;
        * "enumeration": the metric, path by path, at most `max_paths` of them (of a layer graph those of its
          expansion);
        * "meet" (U2): P(theta) + P(theta') - 2 P(meet), the meet having the smallest absolute values, and zeros where
          signs differ;
        * "max-min" (U1): P(largest) - P(smallest); no sign differs on any path with two non-zero products;
        * "join" (U3): 2 P(largest) - P(theta) - P(theta'); likewise;
        * "telescope" (U4): one recursion with the entries theta, theta - theta', theta'; any signs.

        "auto" is the first of these that is exact: "two-sweeps", "meet", "enumeration"; and "meet" if none is.
    root : bool
        With False the sum of the q-th powers, without the root; rational on exact networks.
    max_paths : int
        The most paths that are enumerated.

    Returns
    -------
    Bound
        The lower end is ``|P(theta) - P(theta')|`` per output where the metric itself is not found. `exact` says
        whether the upper end is the metric, `rigorous` whether the round-off is enclosed: always so on exact networks,
        by enumeration, and for even q.

    Raises
    ------
    ParameterError
        On networks of different architectures or scalars, differing signs where a method needs them equal, other q.
    PathCountError
        If there are too many paths to enumerate.
    RangeError
        If the result leaves the range of floats.

    Notes
    -----
    ``metric <= U2 <= U4`` always, ``U2 <= U1 <= U3`` where U1 and U3 are bounds, and ``U4 <= U3`` if no sign differs.
    U2 is the metric itself for an output if on each of the paths to it whose two products are not zero the parameters
    all shrink, or all grow, or an odd number of signs flip; a sweep over sets of states decides that, without rounding.
    Computing the metric in general is #P-hard: on a chain of "diamonds" with branch weights (p, 1 - p) it is twice the
    total variation distance of two products of Bernoulli laws, and with branch weights (1, a) it counts the subsets of
    a given product.

    The metric is invariant under a rescaling of either network; the other bounds only if both are rescaled alike.

    For even q the sweep carries the mixed powers of the change of a path and of the path; floats come with an
    enclosure of the round-off, and where cancellation makes it wide, networks of up to 100,000 entries are computed in
    rationals.

    References
    ----------
    arXiv 2405.15006 ("two-sweeps"); the rest is derived here.

    Examples
    --------
    >>> import pathgraph as pg
    >>> net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[0, 5], None], dtype=object)
    >>> pruned = net.with_theta([1, -2, 0, 3, 1, 0, 1, 1])
    >>> pg.path_metric(net, pruned)
    Bound(5 <= . <= 5, exact, rigorous, by two-sweeps)
    >>> moved = net.with_theta([1, -3, 0, 3, 1, 4, 1, 2])
    >>> pg.path_metric(net, moved, max_paths=0), pg.path_metric(net, moved)
    (Bound(8 <= . <= 10, rigorous, by meet), Bound(8 <= . <= 8, exact, rigorous, by enumeration))
    >>> pg.path_metric(net, moved, q=2, root=False)
    Bound(20 <= . <= 20, exact, rigorous, by three-sweeps)
    """
    require_same_structure(net, other, "path_metric")
    if method not in get_args(Method):
        raise ParameterError(
            f"method: needed one of {', '.join(map(repr, get_args(Method)))}, got {argument_text(method)}"
        )
    natural(max_paths, "max_paths")
    pair = Pair.of(net, other, half_widths(net, inputs))
    q = exponent(q, "q", least=1)
    if q not in (1, *range(2, MAX_POWER + 1, 2)):
        raise ParameterError(f"q: needed 1 or an even integer up to {MAX_POWER}, got {argument_text(q)}")
    if q != 1:
        if method != "auto":
            raise ParameterError(
                f"method: for q = {q} the metric is exact; leave method out, got {argument_text(method)}"
            )
        return _even_metric(pair, q, per_output, root)
    gap = l1_gap(pair, method, max_paths)
    lower, upper = (gap.lower, gap.upper) if per_output else (norm(gap.lower, 1), norm(gap.upper, 1))
    ends = _ends(lower, upper, net.is_exact, per_output)
    return Bound(*ends, gap.exact, gap.rigorous, gap.method)


def l1_gap(pair: Pair, method: Method, max_paths: int) -> Bound:
    """The l1 metric of a pair, or bounds of it, by the methods of `path_metric`.

    One per output, whose ends are floats, scaled numbers or Fractions.
    """
    if method in ("auto", "two-sweeps"):
        for one in (pair, pair.swapped()):
            if one.is_shrinking():
                large, small = (mapped(abs, each) for each in (one.ours, one.theirs))
                upper = excess(one, small, large)
                return Bound(upper, upper, True, pair.is_exact, "two-sweeps")
        if method == "two-sweeps":
            raise ParameterError(
                "method: 'two-sweeps' needs parameters that keep their signs, and all shrink or all grow, got "
                f"{_moved_both_ways(pair)}; use 'auto' or 'meet'"
            )
    if method == "enumeration":
        return _enumerated(pair, max_paths)
    known = ~pair.cancelling_outputs()
    if method == "auto" and not known.all() and has_few_paths(pair.net, max_paths):
        return _enumerated(pair, max_paths)
    over, under = meet_sums(pair)
    upper, lower = total(over, under), _lower_sums(pair, over, under)
    if method in ("auto", "meet"):
        lower = np.where(known, upper, lower)
        return Bound(lower, upper, bool(known.all()), pair.is_exact, "meet")
    if method != "telescope" and _has_flips(pair):
        raise ParameterError(
            f"method: {method!r} needs parameters whose signs agree on every path, got {pair.first(flips)}; use 'meet'"
        )
    upper = _UPPER[method](pair)
    exact = pair.is_exact and bool((lower == upper).all())
    return Bound(lower, upper, exact, pair.is_exact, method)


def _has_flips(pair: Pair) -> bool:
    """Whether signs differ on some path."""
    changes = pair.changes()
    return bool((changes.odd | changes.even).any())


def excess(pair: Pair, small: Sequence[Array], large: Sequence[Array]) -> Array:
    """P(large) - P(small) per output, for entries 0 <= small <= large, by the recursion on the error."""
    apart = mapped(operator.sub, large, small)
    return np.asarray(fallen_back(lambda start: gap_sweep(pair.net, small, apart, large, start), pair.widths)[1])


def meet_sums(pair: Pair) -> tuple[Array, Array]:
    """What the path-norms of both networks exceed that of their meet by, per output."""
    states = fallen_back(lambda start: meet_sweep(pair.net, pair.ours, pair.theirs, start), pair.widths)
    return states[1], states[2]


def _lower_sums(pair: Pair, over: Array, under: Array) -> Array:
    """|P(theta) - P(theta')| per output, from `meet_sums`: rational, or less than that by the round-off.

    Floats are those of a sweep that stayed in range, so that the slack is no subnormal number.
    """
    both = total(over, under)
    if both.dtype == object:
        return distance(over, under)
    factor = 2 * gamma(roundings(pair.net, 5))
    if both.dtype == np.float64:
        return np.asarray(np.maximum(distance(over, under) - factor * both, 0))
    apart = distance(scaled(over), scaled(under))
    lower = scaled_sum(apart, scaled_product(scaled(np.array([-factor])), both))
    return np.where(lower["mantissa"] > 0, lower, scaled(np.zeros(1)))


def telescoped(pair: Pair, *, pools: Pools = "sum") -> Array:
    """The bound U4 per output; with maxima at pools for ``pools="max"``.

    Scaled numbers have no maxima at pools. Where floats leave their range rationals take over, and in large networks
    the sums, which are a coarser bound.
    """
    if pools == "max" and not pair.is_exact and not may_be_exact(pair.ours):
        states, in_range = _telescope(pair, pair.widths, pools)
        return np.asarray(states[1]) if in_range else telescoped(pair)

    def exactly() -> Array:
        exact = pair.rationals()
        return fallen_back(lambda start: _telescope(exact, start, pools), exact.widths)

    def run(start: Array) -> GapStates:
        return _telescope(pair, start, pools)

    return np.asarray(fallen_back(run, pair.widths, exactly=exactly if pools == "max" else None)[1])


def _telescope(pair: Pair, start: Array, pools: Pools) -> GapStates:
    large, small = (mapped(abs, each) for each in (pair.ours, pair.theirs))
    return gap_sweep(pair.net, small, mapped(distance, pair.ours, pair.theirs), large, start, pools=pools)


def _max_min(pair: Pair) -> Array:
    sizes = [mapped(abs, each) for each in (pair.ours, pair.theirs)]
    return excess(pair, mapped(np.minimum, *sizes), mapped(np.maximum, *sizes))


def _join(pair: Pair) -> Array:
    ours, theirs = (mapped(abs, each) for each in (pair.ours, pair.theirs))
    large = mapped(np.maximum, ours, theirs)
    return total(excess(pair, ours, large), excess(pair, theirs, large))


_UPPER = {"max-min": _max_min, "join": _join, "telescope": telescoped}


def _enumerated(pair: Pair, max_paths: int) -> Bound:
    sums = restored(object_array(sum(each.metric().tolist()) for each in differences(pair, max_paths)))
    return Bound(sums, sums, True, True, "enumeration")


def _moved_both_ways(pair: Pair) -> str:
    """The first entry whose sign differs, or the first two of which one shrinks and one grows."""
    flipped = pair.first(flips)
    shrinks, grows = pair.first(lambda a, b: abs(b) < abs(a)), pair.first(lambda a, b: abs(b) > abs(a))
    return flipped or f"{shrinks}; {grows}"


def _ends(lower: Array, upper: Array, is_exact: bool, per_output: bool) -> tuple[Any, Any]:
    """Both ends as the caller gets them, alone unless there is one per output."""
    low = public(lower, "path_metric", floats=lower_floats, rationals=is_exact)
    high = public(upper, "path_metric", floats=upper_floats, rationals=is_exact)
    return (low, high) if per_output else (low.tolist()[0], high.tolist()[0])


# -- even powers --------------------------------------------------------------------------------------------------


def _even_metric(pair: Pair, q: int, per_output: bool, root: bool) -> Bound:
    found = None if pair.is_exact else _float_powers(pair, q)
    if found is not None and found[2]:
        lower, upper, exact = found
    elif pair.is_exact or may_be_exact(pair.ours):
        lower = upper = _rational_powers(pair.rationals(), q)
        exact = True
    elif found is not None:
        lower, upper, exact = found
    else:
        raise RangeError(f"path_metric: a power {q} leaves the range of float64; use net.to_exact()")
    if not per_output:
        lower, upper = [sum(lower, Fraction(0))], [sum(upper, Fraction(0))]
    if root:
        roots = [root_outward(a, b, q, "path_metric") for a, b in zip(lower, upper, strict=True)]
        low, high = (np.array(end) for end in zip(*roots, strict=True))
        ends: tuple[Any, Any] = (low, high) if per_output else (low.tolist()[0], high.tolist()[0])
    else:
        ends = _ends(object_array(lower), object_array(upper), pair.is_exact, per_output)
    return Bound(*ends, exact, True, "three-sweeps" if q == 2 else f"{q + 1}-sweeps")


def _float_powers(pair: Pair, q: int) -> tuple[list[Fraction], list[Fraction], bool] | None:
    """An enclosure of the sums of q-th powers, and whether little cancelled; None if floats leave their range."""
    sums, masses = power_sweep(pair.net, pair.ours, pair.theirs, pair.widths, q)
    if not (sums.in_range and masses.in_range):
        return None
    # each entry: q + 2 factors and a binomial coefficient, powers within 2 units; the start likewise
    count = roundings(pair.net, (q + 1) * (q + 2) // 2, entry=4 * q + 8) + 4 * q
    slack = to_fraction(gamma(2 * count))
    lower, upper, is_sharp = [], [], True
    for power, mass in zip(sums.states[-1].tolist(), masses.states[-1].tolist(), strict=True):
        value, error = Fraction(power), slack * Fraction(mass)
        lower.append(max(Fraction(0), value - error))
        upper.append(value + error)
        is_sharp = is_sharp and mass <= 4 * power
    return lower, upper, is_sharp


def _rational_powers(pair: Pair, q: int) -> list[Fraction]:
    """The sums of q-th powers by the binomial formula: q + 1 sweeps on products of powers of the entries."""
    sums = object_array([Fraction(0)] * len(pair.net.dag.outputs))
    for k in range(q + 1):
        values = [a ** (q - k) * b**k for a, b in zip(pair.ours, pair.theirs, strict=True)]
        x = np.zeros((1, pair.net.dag.size), dtype=object)
        x[0, CONSTANT] = 1
        x[0, pair.net.dag.inputs] = pair.widths**q
        swept = restored(sweep(pair.net, [(values, None)], x)[0, pair.net.dag.outputs])
        sums = sums + (-1) ** k * math.comb(q, k) * swept
    return list(sums)
