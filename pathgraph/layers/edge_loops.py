"""Maxima and minima of products, or of sums, over the edges of an operation, in compiled loops.

An edge of an operation is a triple: a source, a target and an entry of the tensor. Given numbers at two of the three,
the loops make the third: targets (the operation itself), sources (its transpose) or entries (its gradient). All three
are one computation. The edges are a product of relations along axes (`pathgraph.layers.axes`), so each position o of
what is made has, along every axis, a list of **pairs** (a, b) of positions of the other two, and ::

    made[o]  =  the largest (or smallest)  x[a] * y[b]  (or x[a] + y[b])  over the pairs (a, b) of o along all axes.

The order of the edges does not matter to a maximum, so the axes may be reordered: the one with the most pairs for each
position goes last, where its pairs lie side by side in memory.

Not checked: that Numba is installed (`runs` says so).
"""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from pathgraph import threads
from pathgraph.pathsum import engine
from pathgraph.pathsum.semirings import Semiring

if TYPE_CHECKING:
    from pathgraph.layers.axes import AxisTaps
    from pathgraph.layers.operations import Operation
    from pathgraph.scalars import Array

__all__ = ["made", "runs"]

LARGE = 1 << 22
"""Edges from which compiling, or loading what was compiled, takes less time than it saves."""

WIDE = 1 << 20
"""Least number of edges for each thread."""

N_AXES = 4
"""How many axes the compiled loop has."""

Part = Literal["source", "target", "entry"]
_NAMES: tuple[Part, ...] = ("source", "target", "entry")


class _Axis(NamedTuple):
    """The pairs of all positions along one axis.

    Attributes
    ----------
    start : ndarray, shape (n_made + 1,)
        The pairs of position o are ``start[o]:start[o + 1]``.
    a, b : ndarray, shape (n_pairs,)
        The pairs, as positions along the axis or as offsets in the arrays x and y.
    """

    start: Array
    a: Array
    b: Array

    @property
    def n_made(self) -> int:
        return len(self.start) - 1


def runs(operation: Operation, ring: Semiring, *arrays: Array) -> bool:
    """Whether to use the loops: for many edges, in float64, with the operations that the loops know."""
    if ring.arrays is None or ring.arrays.add not in (np.maximum, np.minimum):
        return False
    return (
        ring.arrays.mul in (np.multiply, np.add)
        and all(array.dtype == np.float64 for array in arrays)
        and operation.n_edges >= LARGE
        and engine.is_available()
    )


def made(operation: Operation, part: Part, x: Array, y: Array, ring: Semiring) -> Array:
    """The elements of the sources, the targets or the entries, from those of the other two.

    Parameters
    ----------
    operation : Operation
    part : {"source", "target", "entry"}
        What is made.
    x, y : ndarray, shape (S, n) or (n,)
        The elements of the other two in the order source, target, entry; a vector stands for each of the S states.
    ring : Semiring

    Returns
    -------
    ndarray, shape (S, n)
        Entries have one row, the sum over the states in the semiring.
    """
    assert ring.arrays is not None
    from pathgraph.layers.numba_edges import contract

    axes = [_pairs(axis, part) for axis in operation.relations]
    sizes = {name: [_size(axis, name) for axis in operation.relations] for name in _NAMES}
    of_x, of_y = (name for name in _NAMES if name != part)
    order = _order(axes)
    shape = [sizes[part][k] for k in order]
    loops = _four([_offsets(axes[k], k, order, sizes[of_x], sizes[of_y]) for k in order])
    states = max(len(array) if array.ndim > 1 else 1 for array in (x, y))
    rows = [
        [_moved(row, sizes[name], order) for row in np.broadcast_to(array, (states, array.shape[-1]))]
        if array.ndim > 1
        else [_moved(array, sizes[name], order)] * states
        for name, array in ((of_x, x), (of_y, y))
    ]
    n_made = 1 if part == "entry" else states
    out = np.full((n_made, math.prod(shape)), ring.zero, dtype=np.float64)
    n_first = loops[0].n_made
    n_threads = max(1, min(threads.count(), operation.n_edges // WIDE, n_first))
    cuts = [n_first * i // n_threads for i in range(n_threads + 1)]
    how = ring.arrays.add is np.minimum, ring.arrays.mul is np.add
    for state, (row_x, row_y) in enumerate(zip(*rows, strict=True)):
        into = out[0 if part == "entry" else state]
        threads.run([partial(contract, *cut, tuple(loops), row_x, row_y, into, *how) for cut in pairwise(cuts)])
    back = np.argsort(order)
    return np.ascontiguousarray(out.reshape(n_made, *shape).transpose(0, *(1 + back))).reshape(n_made, -1)


def _pairs(axis: AxisTaps, part: Part) -> _Axis:
    """The pairs of the other two, for each position of one of the three."""
    if part == "target":
        return _Axis(axis.start, axis.index, axis.tap)
    output = np.repeat(np.arange(axis.n_out), axis.degree)
    if part == "source":
        made, n_made, a, b = axis.index, axis.n_in, output, axis.tap
    else:
        made, n_made, a, b = axis.tap, axis.n_taps, axis.index, output
    order = np.argsort(made, kind="stable")
    return _Axis(np.searchsorted(made[order], np.arange(n_made + 1)), a[order], b[order])


def _size(axis: AxisTaps, part: Part) -> int:
    return {"source": axis.n_in, "target": axis.n_out, "entry": axis.n_taps}[part]


def _order(axes: list[_Axis]) -> list[int]:
    """The order of the axes in which the one with the most pairs for each position is last."""
    ratios = [len(axis.a) / max(1, axis.n_made) for axis in axes]
    last = int(np.argmax(ratios)) if axes else 0
    return [*(k for k in range(len(axes)) if k != last), *([last] if axes else [])]


def _offsets(axis: _Axis, k: int, order: list[int], sizes_x: list[int], sizes_y: list[int]) -> _Axis:
    """The pairs as offsets in arrays whose axes are in that order."""
    behind = order[order.index(k) + 1 :]
    stride_x, stride_y = (math.prod(sizes[j] for j in behind) for sizes in (sizes_x, sizes_y))
    # writable, all three: read-only arrays would be another type to compile for
    return _Axis(axis.start.copy(), axis.a * stride_x, axis.b * stride_y)


def _four(axes: list[_Axis]) -> list[_Axis]:
    """As many axes as the loop has: neighbours with the fewest pairs are merged, or axes of one position inserted."""
    one = _Axis(np.arange(2), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))
    axes = list(axes) or [one]
    while len(axes) > N_AXES:
        k = min(range(len(axes) - 1), key=lambda k: len(axes[k].a) * len(axes[k + 1].a))
        axes[k : k + 2] = [_merged(axes[k], axes[k + 1])]
    return [axes[0], *[one] * (N_AXES - len(axes)), *axes[1:]]


def _merged(p: _Axis, q: _Axis) -> _Axis:
    """Two neighbouring axes as one, whose pairs are all combinations of theirs."""
    degrees = np.diff(p.start), np.diff(q.start)
    count = np.multiply.outer(*degrees).ravel()
    start = np.concatenate([[0], np.cumsum(count)])
    within = np.arange(start[-1]) - np.repeat(start[:-1], count)
    row_p, row_q = np.divmod(np.repeat(np.arange(len(count)), count), len(degrees[1]))
    first, second = np.divmod(within, np.maximum(1, degrees[1][row_q]))
    first, second = p.start[row_p] + first, q.start[row_q] + second
    return _Axis(start, p.a[first] + q.a[second], p.b[first] + q.b[second])


def _moved(row: Array, sizes: list[int], order: list[int]) -> Array:
    """The numbers of one state with the axes in another order."""
    return row.reshape(sizes).transpose(order).flatten()
