"""The compiled back end on two networks of one structure: their meet, a recursion on the error, what changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pathgraph.pathsum.blocks import BlockNetwork
from pathgraph.pathsum.engine import flat_of, flattened, stays_in_range

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["Comparison", "comparison", "gap", "kinds", "meet"]


def meet(net: BlockNetwork, a: Sequence[Array], b: Sequence[Array], x: Array) -> tuple[Array, bool]:
    """The sums of the meet of the entries of two networks, and the excess over them of the sums of each.

    Parameters
    ----------
    net : network
        Its structure.
    a, b : sequence of ndarray
    x : ndarray, shape (3, N)
        The start: that of the meet in row 0, zeros elsewhere.

    Returns
    -------
    x : ndarray, shape (3, N)
    in_range : bool
        Whether floats stayed in their range.
    """
    from pathgraph.pathsum import numba_pairs

    dag = flat_of(net)
    out = np.ascontiguousarray(x)
    entries = (flattened(net, values, x.dtype) for values in (a, b))
    lost = numba_pairs.meet(dag.start, dag.antecedent, dag.run, dag.bias, *entries, *out)
    return out, not lost and stays_in_range(out.ravel())


def gap(
    net: BlockNetwork,
    small: Sequence[Array],
    apart: Sequence[Array],
    large: Sequence[Array],
    x: Array,
    *,
    largest: bool = False,
) -> tuple[Array, bool]:
    """The sums s of `small` and e = sum of large e_u + apart s_u: shape (2, N), as for `meet`."""
    from pathgraph.pathsum import numba_pairs

    dag = flat_of(net)
    out = np.ascontiguousarray(x)
    entries = (flattened(net, values, x.dtype) for values in (small, apart, large))
    graph = (dag.start, dag.antecedent, dag.run, dag.bias, dag.activation)
    lost = numba_pairs.gap(*graph, *entries, *out, largest)
    return out, not lost and stays_in_range(out.ravel())


class Comparison(NamedTuple):
    """Whether some entries, from one network to another, shrink, grow, change sign, come up from zero.

    If there are some of the first three kinds, the last is not known.
    """

    shrinks: bool
    grows: bool
    flips: bool
    appears: bool


def comparison(net: BlockNetwork, a: Sequence[Array], b: Sequence[Array]) -> Comparison:
    """What happens to the entries of a network of floats, from `a` to `b`."""
    from pathgraph.pathsum import numba_pairs

    bits = (flattened(net, values, np.float64).astype(np.float64, copy=False).view(np.int64) for values in (a, b))
    return Comparison(*map(bool, numba_pairs.comparison(*bits)))


def kinds(
    net: BlockNetwork, a: Sequence[Array], b: Sequence[Array], table: Array, x: Array, *, most: int | None = None
) -> None:
    """The sets of kinds of changes on the paths to each neuron, in place of the start in `x`.

    With `most`, only those on the paths that use no other antecedents than the first ones of each neuron, so many.
    """
    from pathgraph.pathsum import numba_pairs

    dag = flat_of(net)
    possible = np.ones(5, dtype=bool)
    if most is None:
        found = comparison(net, a, b)
        possible[2:] = found.shrinks, found.grows, found.flips
    entries = (flattened(net, values, np.float64) for values in (a, b))
    limit = len(dag.antecedent) if most is None else most
    numba_pairs.kinds(dag.ends, dag.start, dag.antecedent, dag.bias, *entries, table, possible, limit, x)
