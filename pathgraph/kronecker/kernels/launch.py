r"""Products by compiled tiles: which kernel runs, on which packed values, in which parts and on which threads.

The operands are the four-axis views of `pathgraph.kronecker.execution`: x of shape (a, c, d, n) and out of shape
(a, b, d, n), of any strides. What runs depends on the pattern, the number of vectors and the strides alone:

* ``by_vectors``, tiles of vectors times rows of a block: less than a tile's width of vectors (a matrix-vector product
  reads the values once), and batch-first arrays with d = 1, which it reads and writes as they are;
* ``transposing``, other batch-first arrays: squares of numbers are transposed in registers on the way in and out;
* ``by_rows``, tiles of rows times vectors, for all others: best with unit strides along the batch.

All give the same bits. Numba is imported at the first product.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph import threads
from pathgraph.kronecker.kernels.packing import cut, packed_rows, packed_vectors, starts
from pathgraph.pathsum.engine import is_available as is_numba_available

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["Plan", "is_available", "multiply", "plan"]

ROOM = 192 << 10
"""Bytes of packed vectors that a task should have, which stay in the second-level cache beside the values of a block."""
CLOSE = 24 << 10
"""Bytes of them that should stay in the first-level cache."""
WORTH = 1 << 21
"""Multiplications from which it is worth waking other threads: it then takes some ten times as long as they do."""


def is_available(dtype: Any) -> bool:
    """Whether there are kernels for arrays of this type: float32 or float64, and Numba is installed."""
    return np.dtype(dtype) in (np.dtype(np.float32), np.dtype(np.float64)) and is_numba_available()


def multiply(values: Array, x: Array, out: Array, packed: dict[Any, Any] | None = None) -> None:
    """Write the product to out.

    Parameters
    ----------
    values : ndarray, shape (a, b, c, d)
        Of type float32 or float64, as the others.
    x : ndarray, shape (a, c, d, n)
        Any strides and alignment.
    out : ndarray, shape (a, b, d, n)
        Any strides and alignment; it shares no memory with the others, nor its entries with each other.
    packed : dict, optional
        Where packed values are kept for the next product. They belong to these values.
    """
    if x.shape[3] == 0:
        return
    runner = _Product(values.shape, x, out)
    form, pack = runner.form
    kept = {} if packed is None else packed
    if form not in kept:
        kept[form] = pack(values)
    runner.run(kept[form])


@cache
def _width(itemsize: int) -> int:
    """Vectors of a tile's width."""
    from pathgraph.kronecker.kernels import numba_tiles as kernels

    return kernels.NV * kernels.VECTOR // itemsize


class _Product:
    """One product: the kernel, its parts, and where its operands are."""

    def __init__(self, shape: tuple[int, ...], x: Array, out: Array) -> None:
        from pathgraph.kronecker.kernels import numba_tiles as kernels

        self.kernels = kernels
        self.shape, self.n = shape, x.shape[3]
        self.x, self.out = x, out
        self.kind, self.size = x.dtype.type(0), x.itemsize
        self.wide = _width(self.size)
        self.name = self._name()
        if self.name != "by_vectors":
            b, c = shape[1:3]
            price = kernels.PRICE if c <= kernels.DEEP else 0.9
            self.tiling = cut(b, kernels.TALL, kernels.SHORT, price)
            self.tiles = starts(b, *self.tiling, kernels.TALL, kernels.SHORT)

    def _name(self) -> str:
        _, b, c, d = self.shape
        if self.n < self.wide:
            return "by_vectors"
        along_l = _is_batch_first(self.x, self.size) and _is_batch_first(self.out, self.size)
        if along_l and d == 1:
            return "by_vectors"
        lanes = self.wide // self.kernels.NV
        return "transposing" if along_l and min(b, c) * d >= lanes else "by_rows"

    @property
    def form(self) -> tuple[Any, Callable[[Array], Array]]:
        """The name of the packed values that the kernel reads, and what makes them."""
        if self.name == "by_vectors":
            return ("vectors", self.wide), partial(packed_vectors, width=self.wide)
        return ("rows", *self.tiling), partial(packed_rows, tiles=self.tiles)

    def run(self, values: Array) -> None:
        """Run it on packed values."""
        a, b, c, d = self.shape
        n_threads = threads.count() if a * b * c * d * self.n >= WORTH else 1
        run = self.wide * self.size
        more: tuple[Any, ...]
        if self.name == "by_vectors":
            tall = self.kernels.TALL
            units = -(-self.n // tall)
            together = _share(max(1, ROOM // (c * self.size * tall)), units, a * d, n_threads)
            blocks, parts = a * d, -(-units // together)
            together, more, room = together * tall, (), max(tall, self.kernels.WIDE) * run
        elif self.name == "by_rows":
            units = self.n // self.wide
            together = _share(max(1, ROOM // (c * run)), units, a * d, n_threads)
            blocks, parts = a * d, -(-units // together)
            more = ((*self.tiling, max(1, CLOSE // (c * run))),)
            room = ((together + 1) * c + b) * run
        else:
            lanes = self.wide // self.kernels.NV
            lines = d if d < lanes else lanes
            units, ranges = self.n // self.wide, -(-d // lines)
            together = _share(4, units, a * ranges, n_threads)
            blocks, parts = a * ranges, -(-units // together)
            table = _places(b, c, lines, d == lines, run)
            more, room = ((*self.tiling, lines), table.ctypes.data), lines * (b + c) * run
        sizes = (b, c, d, self.n, together)
        kernel = getattr(self.kernels, self.name)
        x, out = self.x, self.out

        def share(first: int, stop: int) -> None:
            buffer = _scratch(room)
            kernel(
                self.kind, self.size, first, stop, values.ctypes.data, x.ctypes.data, x.strides,
                out.ctypes.data, out.strides, sizes, *more, buffer,
            )  # fmt: skip

        tasks = blocks * parts
        n = min(n_threads, tasks)
        cuts = pairwise([tasks * t // n for t in range(n + 1)])
        threads.run([partial(share, first, stop) for first, stop in cuts])


def _is_batch_first(array: Array, size: int) -> bool:
    """Whether numbers (j, l) or (k, l) of one vector follow each other in memory."""
    _, m, d, _ = array.shape
    return (d == 1 or array.strides[2] == size) and (m == 1 or array.strides[1] == d * size)


def _share(most: int, units: int, blocks: int, n_threads: int) -> int:
    """How many units of the batch a task has, so that every thread gets a task."""
    parts = -(-n_threads // blocks)
    return max(1, min(most, -(-units // parts)))


@cache
def _places(b: int, c: int, lines: int, is_whole: bool, run: int) -> Array:
    """The places in the buffer of numbers that follow each other in memory, of x and then of out; see `transposing`."""
    line, k = np.arange(lines), np.arange(c)[:, None]
    if is_whole:
        return np.concatenate([((line * m + np.arange(m)[:, None]) * run).ravel() for m in (c, b)])
    return np.concatenate([line * c * run, line * b * run])


_local = threading.local()


def _scratch(n_bytes: int) -> int:
    """The address of memory of this thread, at the begin of a cache line."""
    found = getattr(_local, "scratch", None)
    if found is None or len(found) < n_bytes + 64:
        found = _local.scratch = np.empty(n_bytes + 64, dtype=np.uint8)
    address = int(found.ctypes.data)
    return address + -address % 64
