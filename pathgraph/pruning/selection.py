"""Which parameters to remove: by one scoring, by several, or one after the other.

All functions remove what they choose, and return it in the order of removal. Equal scores go by the place in theta, so
that results are deterministic.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from pathgraph.errors import ParameterError
from pathgraph.metrics.gaps import gamma, roundings
from pathgraph.pathsum.scaled import SCALED_DTYPE
from pathgraph.pruning.masses import Moduli
from pathgraph.scalars import Array

__all__ = ["greedy", "in_rounds", "order"]

TRIAL = 16
"""Scorings of a greedy search after which those to come are estimated."""

MOST, MOST_LAYERED = 10**12, 10**11
"""Parameters scored in a greedy search, in all, that take hours: in a graph of neurons, and in one of layers."""


def order(scores: Array, candidates: Array, count: int | None = None) -> Array:
    """The candidates by increasing score, equal ones by increasing place; the first `count` of them."""
    chosen = scores[candidates]
    if count is not None and count < len(candidates):
        if chosen.dtype.kind != "f" or not count:
            return order(scores, candidates)[:count]
        last = np.partition(chosen, count - 1)[count - 1]
        is_first = chosen < last
        equal = np.flatnonzero(chosen == last)  # the candidates increase
        is_first[equal[: count - np.count_nonzero(is_first)]] = True
        return order(scores, candidates[is_first])
    if chosen.dtype == SCALED_DTYPE:
        sign = np.sign(chosen["mantissa"])
        return np.asarray(candidates[np.lexsort((chosen["mantissa"], chosen["exponent"] * sign, sign))])
    return np.asarray(candidates[np.argsort(chosen, kind="stable")])


def in_rounds(
    score: Callable[[], Array], remove: Callable[[Array], None], candidates: Array, count: int, rounds: int
) -> Array:
    """Remove `count` candidates, parameters or neurons, in some rounds, scoring anew before each.

    The share of the candidates that is kept shrinks by one factor per round.
    """
    removed: list[Array] = []
    done, n = 0, len(candidates)
    for k in range(1, rounds + 1):
        kept = 0.0 if count == n else n * (1 - Fraction(count, n)) ** (k / rounds)
        wanted = count if k == rounds else min(count, n - int(np.ceil(kept)))
        if wanted <= done:
            continue
        chosen = order(score(), candidates, wanted - done)
        remove(chosen)
        removed.append(chosen)
        candidates = _without(candidates, chosen)
        done = wanted
    return np.concatenate([np.empty(0, dtype=np.int64), *removed])


def greedy(moduli: Moduli, candidates: Array, count: int) -> Array:
    r"""Remove one candidate after the other, always one whose removal costs least then.

    Scoring costs two sweeps and scores all candidates. The search is lazy: it goes on with old costs while they
    decide. Costs only fall (F is submodular), and since a scoring the cost c of a parameter fell by at most the sum D
    of the old costs of what was removed at other levels, no path having two parameters of one level. So the
    candidate with the smallest old cost is next if that is at most c - D for every other one. This saves most where
    many costs vanish, behind neurons that are dead already; in a dense network nearly every removal needs a scoring.

    Raises
    ------
    ParameterError
        If the first scorings show that hours of them would be needed.
    """
    removed: list[int] = []
    n_scorings = 0
    slack = 0 if moduli.scalars == "exact" else _slack(moduli, len(candidates))
    level = moduli.architecture.parameter_level
    while len(removed) < count:
        costs = moduli.costs()
        wanted = 1 if costs.dtype == SCALED_DTYPE else count - len(removed)
        batch = _decided(costs, level, candidates, wanted, slack)
        moduli.remove(np.array(batch))
        removed += batch
        candidates = _without(candidates, np.array(batch))
        n_scorings += 1
        if n_scorings % TRIAL == 0:
            _refuse_long(moduli, count - len(removed), len(removed) / n_scorings)
    return np.array(removed, dtype=np.int64)


def _refuse_long(moduli: Moduli, left: int, batch: float) -> None:
    """Refuse a search that needs too many more scorings, at so many removals for each.

    Raises
    ------
    ParameterError
    """
    n_parameters, is_layered = moduli.architecture.n_parameters, moduli.dag.flat is None
    work = n_parameters * left / batch
    if work > (MOST_LAYERED if is_layered else MOST):
        raise ParameterError(
            f"strategy: 'greedy' scored all {n_parameters:,} parameters for every {batch:.3g} that it removed; it needs"
            f" {left / batch:,.0f} more scorings, which take hours; remove fewer, or use 'iterative' or 'one-shot'"
        )


def _without(candidates: Array, chosen: Array) -> Array:
    """The candidates without some of them."""
    is_left = np.ones(int(candidates.max(initial=0)) + 1, dtype=bool)
    is_left[chosen] = False
    return np.asarray(candidates[is_left[candidates]])


def _decided(costs: Array, level: Array, candidates: Array, count: int, slack: float) -> list[int]:
    """The next removals on which these costs decide: one at least."""
    if count == 1:
        is_float = costs.dtype.kind == "f"
        return [int(candidates[costs[candidates].argmin()] if is_float else order(costs, candidates)[0])]
    queues = {key: iter(first) for key, first in _queues(costs, level, candidates, count)}
    lost: dict[int, Any] = dict.fromkeys(queues, 0)
    heads: list[tuple[Any, int, int]] = []

    def advance(key: int) -> None:
        place = next(queues[key], None)
        if place is not None:
            heapq.heappush(heads, (costs[place], int(place), key))

    for key in queues:
        advance(key)
    batch: list[int] = []
    while heads and len(batch) < count:
        cost, place, key = heapq.heappop(heads)
        advance(key)
        if batch and not all(
            _precedes(cost, place, other, rival, _fall(lost, group), slack) for other, rival, group in heads
        ):
            break
        batch.append(place)
        lost[key] += cost
    return batch


def _queues(costs: Array, level: Array, candidates: Array, count: int) -> Iterator[tuple[int, Array]]:
    """For each level its cheapest candidates in order: `count` and one more, and those that cost as much."""
    levels = level[candidates]
    for key in (np.flatnonzero(np.bincount(levels + 1)) - 1).tolist():
        members = candidates[levels == key]
        if len(members) > count + 1 and costs.dtype.kind == "f":
            of_members = costs[members]
            members = members[of_members <= np.partition(of_members, count)[count]]
        yield key, order(costs, members)


def _fall(lost: dict[int, Any], level: int) -> Any:
    """The sum of the costs removed at other levels, at all levels for -1: added up, so that nothing cancels."""
    return sum(loss for other, loss in lost.items() if level < 0 or other != level)


def _precedes(cost: Any, place: int, other: Any, rival: int, fall: Any, slack: float) -> bool:
    """Whether `place` is removed before `rival`, whose cost fell by at most `fall` (rounded: within the slack)."""
    if not fall:
        return (cost, place) < (other, rival)
    least = other - fall - slack * (cost + other + fall)
    return bool(cost < least or (cost == least and place < rival))


def _slack(moduli: Moduli, n_candidates: int) -> float:
    """A bound on the relative error of a comparison of costs.

    A cost is a value times the sums of a forward and a backward sweep, added up over the places of a tied parameter; a
    fall is a sum of costs. The other scoring, with which this one is to agree, has the same error: hence 2.
    """
    architecture = moduli.architecture
    swept = roundings(moduli, 1, entry=0) + architecture.backward_roundings
    added = n_candidates + architecture.marginal_roundings
    # two products, and the four roundings of the comparison itself
    return 2 * gamma(swept + added + 6)
