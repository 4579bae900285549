r"""Products by compiled tiles: which kernel runs, on which packed values, in which parts and on which threads.

The operands are the four-axis views of `pathgraph.kronecker.execution`: x of shape (a, c, d, n) and out of shape
(a, b, d, n), of any strides. What runs depends on the pattern, the number of vectors and the strides alone:

* ``by_one``, rows of a block alone: a single vector (each value is read once, in the order of memory);
* ``by_vectors``, tiles of vectors times rows of a block: less than a tile's width of vectors;
* ``by_copies``, the same for larger batches, batch first with d = 1: vectors are copied on the way in;
* ``by_groups``, batch-first arrays whose d divides the lanes of a machine vector, if the second-level cache holds the
  values of all l of a block: machine vectors run along (j, l);
* ``transposing``, other batch-first arrays: squares of numbers are transposed in registers on the way in and out;
* ``by_near``, tiles of rows times vectors that lie near each other, batch last, on processors with 32 vector registers:
  they are read where they lie (with 16, tiles have so few rows that ``by_rows`` takes less time);
* ``by_rows``, tiles of rows times vectors, for all others: best with unit strides along the batch.

All give the same bits. Numba is imported at the first product.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from functools import cache, lru_cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pathgraph import threads
from pathgraph.cache_lines import aligned_empty, result_empty
from pathgraph.kronecker.kernels.packing import (
    aligned,
    cut,
    packed_for_one,
    packed_groups,
    packed_rows,
    packed_vectors,
    starts,
)
from pathgraph.kronecker.repeated import Bound
from pathgraph.pathsum.engine import is_available as is_numba_available

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["Plan", "between", "bound", "give_back", "is_available", "multiply", "plan", "scratch", "taken"]

FLOATS = frozenset([np.dtype(np.float32), np.dtype(np.float64)])
ROOM = 96 << 10
"""Bytes of packed vectors of a task: there is room in the second-level cache for those of the next, and for values."""
LEAST = 3
"""Tiles of them at least, of long blocks: values that have to come from further away meet so many."""
COPIES, FEWEST = 128 << 10, 4
"""Bytes of copied vectors of a task, batch first, and tiles of them at least: values are read once for all of them."""
LARGE, MORE = 3 << 20, 4
"""Bytes of the values of a block from which on a task has so many times as many vectors, with 16 registers: the caches
may not keep them for the next task, so fewer tasks read them (blocks of 1024, AMD Zen 3: up to a third faster)."""
GROUPED, FAR = 192 << 10, 16 << 20
"""Bytes of values of all l of a block up to which the second-level cache has them for one tile after the other, and of
a product from which on its lines are asked for before they are written."""
LINES, CLOSE = 64, 64 << 10
"""How many successive l are transposed together at most, and bytes of vectors from where on more are not."""
BESIDE = 96 << 10
"""Bytes of them that meet one tile of values after the other: rows of the product are written in long runs."""
KEPT = 16 << 20
"""Bytes of an array between two factors of a chain up to which each thread keeps it."""
NEAR = 512
"""Bytes between rows of vectors up to which they are read where they lie, batch last."""
WORTH = 1 << 21
"""Multiplications from which it is worth waking other threads: it then takes some ten times as long as they do."""


def is_available(dtype: Any) -> bool:
    """Whether there are kernels for arrays of this type: float32 or float64, and Numba is installed."""
    return np.dtype(dtype) in FLOATS and is_numba_available()


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
    if x.shape[3]:
        data = (array.__array_interface__["data"][0] for array in (x, out))
        bound(values, x, out, {} if packed is None else packed).run(*data)


def bound(values: Array, x: Array, out: Array, packed: dict[Any, Any]) -> Bound:
    """The product for all arrays of the type, shape and strides of these, of at least one vector.

    Parameters
    ----------
    values, x, out, packed : as for `multiply`
    """
    shape, n = values.shape, x.shape[3]
    is_worth = math.prod(shape) * n >= WORTH
    n_threads = threads.count() if is_worth else 1
    chosen = plan(shape, n, x.itemsize, x.strides, out.strides, n_threads)
    if chosen.form not in packed:
        array = aligned(chosen.pack(values))
        packed[chosen.form] = array, array.ctypes.data
    kept, w = packed[chosen.form]
    kernel, room, shares, table = chosen.kernel, chosen.room, chosen.shares, chosen.table
    zero = x.dtype.type(0)
    numbers = np.array([x.itemsize, w, *x.strides, *out.strides, *chosen.more], dtype=np.int64)
    call = int(numbers.ctypes.data)

    def share(first: int, stop: int, x: int, out: int, held: Any = (kept, table, numbers)) -> None:
        _held, buffer = scratch(room) if room else (None, 0)  # what interrupts this product may need more room
        kernel(zero, first, stop, call, x, out, buffer)  # addresses are of what is held

    def shared(x: int, out: int) -> None:
        threads.run([partial(share, *part, x, out) for part in shares])

    run = partial(share, *shares[0]) if len(shares) == 1 else shared
    return Bound(run, n_threads if is_worth else None)


class Plan(NamedTuple):
    """How a product is made.

    Attributes
    ----------
    name : str
        Of the kernel.
    form : tuple
        Of the packed values.
    pack : callable
        Packs values in that form.
    kernel : callable
    more : tuple
        What it reads behind the strides of the operands: sizes, tiling, and the address of a table.
    room : int
        Bytes of its buffer.
    shares : list of (int, int)
        Ranges of tasks, one for each thread.
    table : ndarray or None
        What the address in `more` belongs to.
    """

    name: str
    form: tuple[Any, ...]
    pack: Callable[[Array], Array]
    kernel: Callable[..., None]
    more: tuple[Any, ...]
    room: int
    shares: list[tuple[int, int]]
    table: Array | None


@lru_cache(maxsize=1024)
def plan(
    shape: tuple[int, int, int, int],
    n: int,
    size: int,
    x_strides: tuple[int, ...],
    out_strides: tuple[int, ...],
    n_threads: int,
) -> Plan:
    """The one rule: how n >= 1 vectors of numbers of `size` bytes are multiplied."""
    from pathgraph.kronecker.kernels import numba_tiles, tiles

    a, b, c, d = shape
    run = tiles.NV * tiles.VECTOR
    wide, lanes, tall = run // size, tiles.VECTOR // size, tiles.TALL
    is_first = _is_batch_first(c, d, x_strides, size) and _is_batch_first(b, d, out_strides, size)
    is_near, long = x_strides[3] == size and 0 <= x_strides[1] <= NEAR, tiles.BROAD * lanes
    is_long = n >= long and -(-n // wide) * wide % long == 0  # tiles of `long` compute no more
    # kernels of copies and of groups have tiles of `tall` and `MANY` vectors, which must be there: with narrow machine
    # vectors a batch may have fewer
    is_grouped = n >= tiles.MANY and _is_grouped(b * d, c * d, d, tiles.ABREAST * lanes, lanes)
    table, left = None, 0
    form: tuple[Any, ...]
    more: tuple[int, ...]
    if n == 1:
        most = tiles.WIDE * lanes
        name, form, pack = "by_one", ("one", most), partial(packed_for_one, lanes=lanes, most=most)
        units, blocks, together = 1, a * d * -(-b // most), 1
        more, room = (b, c, d), tiles.WIDE * tiles.VECTOR
    elif n < wide:
        name, form, pack = "by_vectors", ("vectors", wide, False), partial(packed_vectors, width=wide)
        units, blocks = -(-n // tall), a * d
        together = _together(ROOM // (c * size * tall), units, blocks, n_threads)
        more, room = (b, c, d, n, together * tall), tall * run
    elif d == 1 and is_first and b >= wide and c >= lanes and n >= tall:
        name = "by_copies"
        broad = tiles.N_REGISTERS == 32 and 0 < b % wide <= lanes and b >= wide + lanes
        pack, form = partial(packed_vectors, width=wide, last=broad * (wide + lanes)), ("vectors", wide, broad)
        units, blocks = -(-n // tall), a
        n_bytes = COPIES * (MORE if b * c * size >= LARGE and tiles.N_REGISTERS == 16 else 1)
        together = _together(max(FEWEST, n_bytes // (c * size * tall)), units, blocks, n_threads)
        together = -(-units // -(-units // together))
        pitch = -(-c * size // 128) * 128 + 64  # an odd number of cache lines
        rows = min(together * tall, n)
        more = (b, c, d, n, rows, b // wide if broad else -(-b // wide), int(broad), pitch)
        room = 2 * rows * pitch
    elif is_first and is_grouped and b * c * d * size <= GROUPED:
        name, form = "by_groups", ("groups", tiles.ABREAST)
        pack = partial(packed_groups, width=tiles.ABREAST * lanes)
        units, blocks, together = -(-n // tiles.MANY), a, 1
        pitch = -(-c * d * size // 128) * 128 + 64
        is_far = int(a * b * d * n * size >= FAR)
        more, room = (b, c, d, n, is_far, pitch), 2 * tiles.MANY * pitch
    elif tiles.N_REGISTERS == 32 and is_near and is_long and out_strides[3] == size and a * d >= n_threads:
        name, units, blocks, together = "by_near", 1, a * d, 1
        n_tiles = cut(b, tiles.DEEP, tiles.LOW)
        form, pack = ("near", *n_tiles), partial(packed_rows, tiles=starts(b, *n_tiles, tiles.DEEP, tiles.LOW))
        more, room = (b, c, d, n, *n_tiles), 0
    else:
        n_tiles = cut(b, tall, tiles.SHORT)
        form, pack = ("rows", *n_tiles), partial(packed_rows, tiles=starts(b, *n_tiles, tall, tiles.SHORT))
        units, blocks = n // wide, a * d
        if is_first and min(b, c) * d >= lanes:
            name, left = "transposing", int(n % wide > 0)
            lines = min(d, LINES)
            blocks = a * -(-d // lines)
            together = _together(CLOSE // (lines * (b + c) * run), units, blocks, n_threads)
            table = _places(b, c, lines, d == lines, together * run, run, tiles.APART)
            more = (b, c, d, n, together, *n_tiles, lines, int(table.ctypes.data))
            room = lines * ((b + c) * together * run + 2 * tiles.APART) + wide * (max(b, c) * lines * size + 128)
        else:
            name = "by_rows"
            together = _together(max(LEAST, ROOM // (c * run)), units, blocks, n_threads)
            together = -(-units // -(-units // together))
            more = (b, c, d, n, together, *n_tiles, max(LEAST, BESIDE // (c * run)), int(is_near))
            room = (2 * (together + 1) * c + b) * run
    tasks = blocks * (-(-units // together) + left)
    cuts = [tasks * t // min(n_threads, tasks) for t in range(min(n_threads, tasks) + 1)]
    return Plan(name, form, pack, getattr(numba_tiles, name), more, room, list(pairwise(cuts)), table)


def _is_batch_first(m: int, d: int, strides: tuple[int, ...], size: int) -> bool:
    """Whether numbers (j, l) or (k, l) of one vector follow each other in memory."""
    return (d == 1 or strides[2] == size) and (m == 1 or strides[1] == d * size)


def _is_grouped(rows: int, columns: int, d: int, wide: int, lanes: int) -> bool:
    """Whether machine vectors have whole groups of d numbers, and there are enough rows and columns (j or k, l)."""
    return d > 1 and lanes % d == 0 and rows >= wide and columns >= lanes


def _together(most: int, units: int, blocks: int, n_threads: int) -> int:
    """How many units of the batch a task has, so that every thread gets a task."""
    parts = -(-n_threads // blocks)
    return max(1, min(most, -(-units // parts)))


@cache
def _places(b: int, c: int, lines: int, is_whole: bool, step: int, run: int, apart: int) -> Array:
    """The places in the buffer of numbers that follow each other in memory, of x and then of out; see `transposing`."""
    line = np.arange(lines)
    of_x, of_out = line * (c * step + apart), line * (b * step + apart)
    if is_whole:
        of_x, of_out = of_x + np.arange(c)[:, None] * run, of_out + np.arange(b)[:, None] * step
    return np.concatenate([of_x.ravel(), of_out.ravel()])


_local = threading.local()


def scratch(n_bytes: int) -> tuple[Array, int]:
    """Memory of this thread, to be held while it is used, and the address of a cache line from where on it is free."""
    found = getattr(_local, "scratch", None)
    if found is None or len(found[0]) < n_bytes:
        room = aligned_empty((n_bytes,), np.uint8)
        found = _local.scratch = room, int(room.ctypes.data)
    return found


def taken() -> dict[int, Array]:
    """What this thread keeps for `between`, until it is given back: what interrupts a product finds nothing here."""
    return _local.__dict__.pop("between", {})  # type: ignore[no-any-return]


def give_back(kept: dict[int, Array]) -> None:
    """Keep it for the next product."""
    _local.between = kept


def between(kept: dict[int, Array], number: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> Array:
    """An array for what goes from one factor of a chain to the next: new pages would cost a third more.

    Parameters
    ----------
    kept : dict
        What was `taken`.
    number : int
        0 or 1: there are two of them.
    shape, dtype : (int, int), dtype
        Beyond `KEPT` bytes a new one is made.
    """
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes > KEPT or dtype.hasobject:
        return result_empty(shape, dtype)
    if number not in kept or len(kept[number]) < n_bytes:
        kept[number] = aligned_empty((n_bytes,), np.uint8)
    return kept[number][:n_bytes].view(dtype).reshape(shape)
