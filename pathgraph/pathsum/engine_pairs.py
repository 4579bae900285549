"""The compiled back end on two networks of one structure: their meet, bounds of their difference, kinds of changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pathgraph.pathsum.blocks import BlockNetwork
from pathgraph.pathsum.engine import flat_of, flattened
from pathgraph.pathsum.float_range import stays_in_range

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["Comparison", "comparison", "gap", "kinds", "meet"]


def meet(net: BlockNetwork, a: Sequence[Array], b: Sequence[Array], x: Array) -> tuple[Array, bool]:
    """The path sums of the meet of two networks, and by how much those of each network exceed them.

    The meet of two entries is the smaller absolute value if their signs agree, else zero.

    Parameters
    ----------
    net : network
        Only its structure is read.
    a, b : sequence of ndarray
        The entries of the two networks.
    x : ndarray, shape (3, N)
        The start values: those of the meet in row 0, zeros in the other rows.

    Returns
    -------
    x : ndarray, shape (3, N)
        At each neuron the sum of the meet, and the excess over it of the sums of abs(a) and of abs(b).
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
    """Two sums at each neuron: s = sum of small s_u, and e = sum of large e_u + apart s_u.

    With ``large = small + apart``, e is by how much the path sums of `large` exceed those of `small`; see
    `pathgraph.metrics.gaps`. With `largest`, pools take the largest candidate instead of the sum.

    Returns
    -------
    x : ndarray, shape (2, N)
        The rows s and e, from the start values in `x`.
    in_range : bool
        Whether floats stayed in their range.
    """
    from pathgraph.pathsum import numba_pairs

    dag = flat_of(net)
    out = np.ascontiguousarray(x)
    entries = (flattened(net, values, x.dtype) for values in (small, apart, large))
    graph = (dag.start, dag.antecedent, dag.run, dag.bias, dag.activation)
    lost = numba_pairs.gap(*graph, *entries, *out, largest)
    return out, not lost and stays_in_range(out.ravel())


class Comparison(NamedTuple):
    """Which changes occur between the entries of two networks.

    Attributes
    ----------
    shrinks, grows, flips, appears : bool
        Whether the absolute value of some entry becomes smaller, or larger, with the same sign; whether some entry
        changes its sign; whether some entry is zero only in the first network. If the first three are all true, the
        last one is not reliable.
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
    """For each neuron, the set of kinds of changes on the paths to it, in place of the start values in `x`.

    With `most`, only paths through the first so many antecedents of each neuron are looked at.
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
