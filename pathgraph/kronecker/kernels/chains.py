"""Products with chains of Kronecker-sparse matrices, a tile of the batch through all factors at a time.

Between the first and the last factor a tile stays in a buffer, one machine run per row, that fits into the second-level
cache where chains are worth it: many small factors. A block with as many rows as columns is replaced in place, so that
such chains need the buffer once. The bits are those of the factors applied one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph import threads
from pathgraph.kronecker.kernels.launch import WORTH, is_available, scratch
from pathgraph.kronecker.kernels.packing import cut, packed_rows, starts
from pathgraph.kronecker.repeated import Bound

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["bound", "is_worth_it", "multiply", "width"]

ROOM = 768 << 10
"""Bytes of a tile between two factors up to which it is kept from memory."""
SHARED = 8 << 20
"""Bytes of the batch, read and written by a factor, that are taken through a chain factor by factor."""
TOGETHER = 8
"""Tiles that are read and written together: what lies side by side in memory is fetched side by side."""
SMALL, SMALL_FIRST = 16, 64
"""Rows or columns of blocks beyond which the work on a factor hides the way to memory, batch last and first."""
SMALL_ALONE = 32
"""The same for batches that fill no tile: a factor by itself then takes longer to be called than to be multiplied."""


def is_worth_it(shapes: Sequence[tuple[int, ...]], n: int, dtype: Any, *, batch_first: bool) -> bool:
    """Whether a chain is rather multiplied tile by tile than factor by factor: the one rule.

    Parameters
    ----------
    shapes : sequence of (a, b, c, d)
    n : int
        Size of the batch.
    dtype : dtype
    batch_first : bool
        Then a factor by itself transposes on its way in and out, a chain once.
    """
    if not is_available(dtype) or len(shapes) < 2:
        return False
    from pathgraph.kronecker.kernels import tiles

    run = tiles.NV * tiles.VECTOR
    rows = max(a * max(b, c) * d for a, b, c, d in shapes)
    limit = SMALL_FIRST if batch_first else SMALL
    if n < run // np.dtype(dtype).itemsize:
        limit = SMALL_ALONE
    return rows * run <= ROOM and min(min(shape[1:3]) for shape in shapes) <= limit


def width(dtype: Any) -> int:
    """Vectors that are taken through a chain together."""
    from pathgraph.kronecker.kernels import tiles

    return TOGETHER * tiles.NV * tiles.VECTOR // int(np.dtype(dtype).itemsize)


def multiply(values: Sequence[Array], x: Array, out: Array, packed: dict[Any, Any] | None = None) -> None:
    """Write the product with a chain to out.

    Parameters
    ----------
    values : sequence of ndarray, shapes (a, b, c, d)
        Of the factors, left to right; float32 or float64, as the others.
    x : ndarray, shape (n_columns, n)
        Any strides and alignment.
    out : ndarray, shape (n_rows, n)
        Any strides and alignment; it shares no memory with the others, nor its entries with each other.
    packed : dict, optional
        Where packed values are kept for the next product. They belong to these values.
    """
    if x.shape[1]:
        data = (array.__array_interface__["data"][0] for array in (x, out))
        bound(values, x, out, {} if packed is None else packed).run(*data)


def bound(values: Sequence[Array], x: Array, out: Array, packed: dict[Any, Any]) -> Bound:
    """The product for all arrays of the type, shape and strides of these, of at least one vector.

    Parameters
    ----------
    values, x, out, packed : as for `multiply`
    """
    from pathgraph.kronecker.kernels import numba_chains, tiles

    n, run = x.shape[1], tiles.NV * tiles.VECTOR
    if "chain" not in packed:
        packed["chain"] = _packed(values, tiles)
    factors, kept = packed["chain"]
    most = max(a * max(b, c) * d for a, b, c, d in (w.shape for w in values))
    wide = run // x.itemsize
    is_worth = sum(w.size for w in values) * n >= WORTH
    n_threads = threads.count() if is_worth else 1
    together = max(1, min(TOGETHER, n // wide // n_threads))
    room = ((together + 1) * most + max(w.shape[2] for w in values)) * run
    table = _places(max(len(x), len(out)), run)
    places = int(table.ctypes.data)
    head, x_strides, out_strides = (x.dtype.type(0), x.itemsize), x.strides, out.strides
    sizes = (len(x), len(out), most, n, together)
    tasks = -(-(n // wide) // together) + (n % wide > 0)
    parts = min(tasks, n_threads)
    shares = list(pairwise([tasks * t // parts for t in range(parts + 1)]))

    def share(x: int, out: int, first: int, stop: int) -> None:
        _held, buffer = scratch(room)  # a product that interrupts this one may need more room
        numba_chains.chained(*head, first, stop, factors, x, x_strides, out, out_strides, sizes, places, buffer)

    def multiplied(x: int, out: int, held: Any = (kept, table)) -> None:  # the arrays that addresses belong to
        if len(shares) == 1:
            share(x, out, *shares[0])
        else:
            threads.run([partial(share, x, out, *part) for part in shares])

    return Bound(multiplied, n_threads if is_worth else None)


def _packed(values: Sequence[Array], tiles: Any) -> tuple[Array, list[Array]]:
    """The table of factors for the kernel, and the packed values it points to."""
    rows, kept = [], []
    for w in values:
        _, b, c, _ = w.shape
        n_tiles = (0, 0) if (b, c) == (2, 2) else cut(b, tiles.TALL, tiles.SHORT)
        heights = [(0, 2)] if (b, c) == (2, 2) else starts(b, *n_tiles, tiles.TALL, tiles.SHORT)
        kept.append(packed_rows(w, heights))
        rows.append([*w.shape, kept[-1].ctypes.data, *n_tiles])
    return np.array(rows, dtype=np.int64), kept


@cache
def _places(n_rows: int, run: int) -> Array:
    """The places of runs one after the other."""
    return np.arange(n_rows, dtype=np.int64) * run
