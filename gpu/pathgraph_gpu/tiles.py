"""Tiles of the products of Kronecker-sparse matrices, and a model that chooses among them.

`Problem` is what ``kernels/products.cu`` computes: many small matrix products at strides. `TILES` lists how a block may
cut it, `predicted` says how long each would take on a device of nominal rates, and `choose` takes a fast one. The model
counts multiply-adds, those of padding included, sectors of 32 bytes, and blocks in flight. Its rates and weights
are those of no GPU in particular; `pathgraph_gpu.tuning` measures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "SECTOR",
    "TILES",
    "Axis",
    "Operand",
    "Problem",
    "Tile",
    "Way",
    "axes",
    "blocks_of",
    "choose",
    "lanes",
    "pack",
    "predicted",
    "run_along_l",
    "way",
]

SECTOR = 32
"""Bytes that memory moves at once."""
WARP = 32
"""Threads that read at once: what several of them want of a sector is asked for once."""

PROCESSORS, REGISTERS, SHARED, PROCESSOR_THREADS = 108, 65536, 96 * 1024, 2048
"""Of the nominal device; registers, bytes of shared memory and threads of one of its processors."""
STAGE = 40 * 1024
"""Bytes of shared memory through which a block writes its results, at most; as in the kernel."""
FMAS = {"float16": 9.7e12, "float32": 9.7e12, "float64": 4.8e12}
"""Multiply-adds a second."""
MEMORY, CACHE = 1.5e12, 4.0e12
"""Bytes a second from memory, and from the cache that all processors share."""

POINTER, LOOP = 2, 8
"""Instructions beside multiply-adds and reads of shared memory: for what a thread brings there, and of a chunk."""
TOO_LATE = 1 / 2
"""Of the sectors that two blocks share, the part that memory brings twice."""
IN_TURN = 1 / 4
"""Of arithmetic and traffic, which overlap, the part that does not."""
WAITING = 1 / 8
"""Of the blocks that are in flight at once, those that idle while the last ones run, by the mean."""
NEARLY = 1.05
"""How many times as long another tile may take that is chosen for its traffic."""


class Operand(NamedTuple):
    """The strides of an operand: of its products (i, l), and of their rows and columns."""

    i: int
    l: int  # noqa: E741
    row: int
    col: int


class Problem(NamedTuple):
    """Products C[i, l] = A[i mod a, l] B[i, l] of matrices of shapes (m, depth) and (depth, n).

    Attributes
    ----------
    a, groups, d : int
        i < groups and l < d; A repeats after a.
    m, n, depth : int
    part : int
        The depth is cut into parts of this length, whose products are apart.
    A, B, C : Operand
    is_batch_outer : bool
        Whether blocks take all products of some columns before other columns, where they share sectors of memory.
    is_batch_depth : bool
        Whether the depth is the batch, as in gradients of values; else the columns are.
    """

    a: int
    groups: int
    d: int
    m: int
    n: int
    depth: int
    part: int
    A: Operand
    B: Operand
    C: Operand
    is_batch_outer: bool
    is_batch_depth: bool = False

    @property
    def parts(self) -> int:
        """In how many parts the depth is cut."""
        return -(-self.depth // self.part)


class Tile(NamedTuple):
    """How a block cuts a problem: the macros of the kernel.

    Attributes
    ----------
    groups, rows, columns, depth : int
        Products side by side, and the entries of each that are in shared memory at once.
    row_sums, column_sums : int
        The sums of a thread.
    """

    groups: int
    rows: int
    columns: int
    depth: int
    row_sums: int
    column_sums: int

    @property
    def threads(self) -> int:
        """Of a block."""
        return self.groups * self.rows * self.columns // (self.row_sums * self.column_sums)

    def slice_rows(self, itemsize: int) -> int:
        """Rows of the result that a block writes together, for sums of this size: all, if they fit."""
        line = 16 // itemsize
        whole = self.groups * self.rows * (self.columns + line) * itemsize
        return self.rows if whole <= STAGE else self.rows // self.row_sums * line

    def shared(self, itemsize: int) -> int:
        """Bytes of shared memory, for sums of this size."""
        line = 16 // itemsize
        chunk = self.depth * self.groups * (self.rows + self.columns + 2 * line)
        return max(2 * chunk, self.groups * self.slice_rows(itemsize) * (self.columns + line)) * itemsize

    def widths(self, itemsize: int) -> tuple[tuple[int, int], ...]:
        """How many neighbours of A and of B can be read at once, for sums of this size: the ways, the fastest first.

        The last one is always possible. Two products side by side are two neighbours; A is often read along them.
        """
        line = 16 // itemsize
        a = min(line, self.groups * self.rows * self.depth // self.threads)
        b = min(line, self.groups * self.columns * self.depth // self.threads)
        found = [(min(a, self.groups) if self.groups > 1 else a, b)]
        if self.groups <= 2:
            found.append((1, b))
        return tuple(dict.fromkeys([*found, (1, 1)]))

    def resident(self, itemsize: int, *, packed: bool = True) -> int:
        """How many blocks a processor shall hold at least: threads with few sums need few registers.

        In double precision, and where operands are not read in packs, they need more than would allow another block.
        """
        sums = self.row_sums * self.column_sums
        most = 255 if sums >= 64 or itemsize == 8 or not packed else 64 + 4 * sums if sums <= 16 else 168
        return max(1, REGISTERS // (self.threads * most))

    @property
    def macros(self) -> tuple[str, ...]:
        """Options of the compiler."""
        names = ("GROUPS", "BM", "BN", "BK", "TM", "TN")
        return tuple(f"-D{name}={value}" for name, value in zip(names, self, strict=True))


_SINGLE = (  # of float32; float16, which is summed in it, has some of them
    Tile(1, 128, 128, 8, 8, 8),
    Tile(1, 64, 64, 8, 8, 8),
    Tile(2, 64, 128, 8, 8, 8),
    Tile(4, 64, 64, 8, 8, 8),
    Tile(8, 64, 32, 4, 8, 8),
    Tile(4, 32, 128, 4, 8, 8),
    Tile(8, 32, 64, 4, 8, 8),
    Tile(1, 16, 256, 8, 4, 8),
    Tile(4, 16, 64, 4, 4, 8),
    Tile(8, 16, 64, 4, 4, 8),
    Tile(8, 4, 64, 4, 4, 4),
    Tile(32, 16, 16, 2, 4, 8),
    Tile(32, 4, 16, 2, 4, 4),
    Tile(8, 16, 8, 4, 4, 4),
    Tile(1, 128, 8, 8, 4, 4),
)
TILES: dict[str, tuple[Tile, ...]] = {
    "float16": (
        *(
            tile
            for tile in _SINGLE
            if tile not in (Tile(2, 64, 128, 8, 8, 8), Tile(4, 32, 128, 4, 8, 8), Tile(4, 16, 64, 4, 4, 8))
        ),
        Tile(16, 32, 32, 2, 8, 8),
        Tile(16, 16, 32, 2, 4, 8),
    ),
    "float32": _SINGLE,
    "float64": (
        Tile(1, 128, 64, 4, 8, 8),
        Tile(1, 64, 32, 8, 8, 4),
        Tile(2, 64, 64, 8, 8, 4),
        Tile(4, 64, 32, 4, 8, 4),
        Tile(4, 32, 64, 4, 8, 4),
        Tile(1, 16, 128, 8, 4, 4),
        Tile(4, 16, 64, 4, 4, 4),
        Tile(8, 4, 32, 4, 4, 4),
        Tile(16, 16, 16, 2, 4, 4),
        Tile(16, 4, 32, 2, 4, 4),
        Tile(4, 16, 8, 4, 4, 4),
        Tile(1, 128, 8, 8, 4, 4),
    ),
}
"""By dtype of the values. Threads with many sums are for large blocks, the others for small blocks and batches."""


def _power_of_two(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << (n - 1).bit_length()


def run_along_l(tile: Tile, problem: Problem) -> int:
    """How many of the products of a block lie along l; the others lie along i.

    They may lie along i where A does not repeat there.
    """
    return min(tile.groups, _power_of_two(problem.d)) if problem.groups == problem.a else tile.groups


def blocks_of(tile: Tile, problem: Problem) -> int:
    """How many blocks there are, if each takes one tile."""
    run_l = run_along_l(tile, problem)
    products = -(-problem.d // run_l) * -(-problem.groups // (tile.groups // run_l))
    return products * -(-problem.m // tile.rows) * -(-problem.n // tile.columns) * problem.parts


class Axis(NamedTuple):
    """An operand along one of its coordinates: l, i, rows or columns.

    Attributes
    ----------
    places : int
        In a tile: a power of two.
    extent : int
        In the problem.
    stride : int
        In memory, in elements.
    """

    places: int
    extent: int
    stride: int


def axes(tile: Tile, problem: Problem, written_rows: int) -> list[tuple[Axis, Axis, Axis, Axis]]:
    """How blocks lie along A, B and C, of which they write some rows at once: l, i, rows and columns of each."""
    run_l = run_along_l(tile, problem)
    depth, columns = (tile.depth, problem.depth), (tile.columns, problem.n)
    shapes = (((tile.rows, problem.m), depth), (depth, columns), ((written_rows, problem.m), columns))
    return [
        (
            Axis(run_l, problem.d, operand.l),
            Axis(tile.groups // run_l, problem.groups, operand.i),
            Axis(*rows, operand.row),
            Axis(*columns, operand.col),
        )
        for operand, (rows, columns) in zip((problem.A, problem.B, problem.C), shapes, strict=True)
    ]


def _by_stride(along: Iterable[Axis]) -> list[Axis]:
    """The axes of an operand as they lie in memory; those of extent one come last."""
    return sorted(along, key=lambda axis: (axis.extent == 1, axis.stride))


def lanes(along: Iterable[Axis]) -> int:
    """How the threads of a block lie along an operand: by which shift their number gives each coordinate.

    Parameters
    ----------
    along : iterable of Axis
        Of l, i, rows and columns. Neighbouring threads take neighbours along the smallest stride; a coordinate of
        extent one comes last.
    """
    listed = list(along)
    shift, packed = 0, 0
    for which in sorted(range(4), key=lambda which: (listed[which].extent == 1, listed[which].stride)):
        packed |= shift << (8 * which)
        shift += listed[which].places.bit_length() - 1
    return packed


def pack(along: Iterable[Axis], most: int, place: int) -> int:
    """How many neighbours of an operand can be moved at once.

    Parameters
    ----------
    along : iterable of Axis
        Of l, i, rows and columns.
    most : int
        A power of two, which is never exceeded.
    place : int
        Of the operand in memory, in elements.

    Returns
    -------
    int
        A power of two that divides everything: where packs begin, and how many elements there are along them.
    """
    first, *others = _by_stride(along)
    if first.stride != 1 or first.extent == 1:
        return 1
    return math.gcd(most, place, first.places, first.extent, *(one.stride for one in others if one.extent > 1))


class Way(NamedTuple):
    """How many neighbours of A, B and C are moved at once."""

    A: int
    B: int
    C: int


def way(tile: Tile, along: Sequence[Sequence[Axis]], part: int, itemsize: int, places: Sequence[int]) -> Way:
    """The widest way that a tile has and that sizes, strides and places in memory allow, for sums of this size."""
    line = 16 // itemsize
    within = math.gcd(line, part)  # a pack lies in one part of the depth
    a, b, c = map(pack, along, (within, within, line), places)
    return Way(*next(both for both in tile.widths(itemsize) if both[0] <= a and both[1] <= b), line if c == line else 1)


# -- the model ----------------------------------------------------------------------------------------------------


def predicted(tile: Tile, problem: Problem, dtype: np.dtype[Any]) -> float:
    """Seconds on a device of nominal rates."""
    times = _arithmetic(tile, problem, dtype), *_traffic(tile, problem, dtype)
    return (max(times) + IN_TURN * sum(times)) * (1 + _idle(tile, problem, dtype))


def _total(dtype: np.dtype[Any]) -> int:
    """Bytes of a sum of products: of float16 in float32."""
    return max(4, dtype.itemsize)


def _arithmetic(tile: Tile, problem: Problem, dtype: np.dtype[Any]) -> float:
    """Seconds of multiply-adds, those of places that are not there included, and of what feeds them."""
    places = tile.groups * tile.rows * tile.columns * (-(-problem.part // tile.depth) * tile.depth)
    reads = (tile.row_sums + tile.column_sums) * _total(dtype) / 16
    brought = tile.groups * (tile.rows + tile.columns) / tile.threads
    others = (reads + POINTER * brought + LOOP / tile.depth) / (tile.row_sums * tile.column_sums)
    return blocks_of(tile, problem) * places * (1 + others) / FMAS[dtype.name]


def _own(along: Iterable[Axis], width: int) -> Iterator[tuple[Axis, int]]:
    """The axes of an operand as they lie in memory, with the places along each that one warp has, in packs."""
    room = WARP * width
    for axis in _by_stride(along):
        yield axis, max(1, min(axis.places, room))
        room //= axis.places


def _sectors(along: Iterable[tuple[Axis, int]], itemsize: int) -> float:
    """How many bytes are moved for each one that is needed, by the mean over where runs begin in a sector.

    The axes of an operand come as they lie in memory, with the places along each that are moved together.
    """
    run, is_whole, steps = 1, True, 0
    for (_, extent, stride), places in along:
        if extent == 1:
            continue
        if is_whole and stride == run:
            run *= min(places, extent)
            is_whole = places >= extent
            steps = steps if is_whole else math.gcd(steps, run)
        else:
            is_whole, steps = False, math.gcd(steps, stride)
    size, begins = run * itemsize, range(0, SECTOR, math.gcd(SECTOR, steps * itemsize))
    touched = sum(-(-(begin + size) // SECTOR) for begin in begins) / len(begins)
    return touched * SECTOR / size


def _places(along: Sequence[Axis], depth: int, width: int) -> int:
    """How many places of an operand are read, in packs, where blocks are those along its axes.

    In place of what is not there the first place of the tile is read, which is asked for again by every warp but its
    own. Along the depth, axis number `depth`, nothing is read there.
    """
    found = 1
    for axis, own in _own(along, width):
        rest = axis.extent % axis.places
        again = axis.places // own - max(1, rest // own) if rest and axis is not along[depth] else 0
        found *= axis.extent + again
    return found


def _traffic(tile: Tile, problem: Problem, dtype: np.dtype[Any]) -> tuple[float, float]:
    """Seconds of what warps ask the cache for, and of what the cache asks memory for."""
    _, groups, d, m, n, depth, *_ = problem
    parts, size = problem.parts, dtype.itemsize
    written = size if parts == 1 else _total(dtype)
    A, B = problem.a * d * m * depth * size, groups * d * n * depth * size  # bytes, once
    C = groups * d * m * n * parts * written
    along = of_a, of_b, of_c = axes(tile, problem, tile.rows)
    widths = way(tile, along, problem.part, _total(dtype), (0, 0, 0))
    asked = _places(of_a, 3, widths.A) * -(-n // tile.columns) * size * _sectors(_own(of_a, widths.A), size)
    asked += _places(of_b, 2, widths.B) * -(-m // tile.rows) * size * _sectors(_own(of_b, widths.B), size)
    asked += C * _sectors(_own(of_c, widths.C), written)
    a_shared, b_shared = (
        _sectors(((axis, axis.places) for axis in _by_stride(one)), size) - 1 for one in (of_a, of_b)
    )  # by other blocks
    moved = A + B + C + TOO_LATE * (A * a_shared + B * b_shared)
    return asked / CACHE, moved / MEMORY


def _idle(tile: Tile, problem: Problem, dtype: np.dtype[Any]) -> float:
    """For how long places of blocks are empty, or wait for the last blocks, by how long they are not."""
    blocks, size = blocks_of(tile, problem), _total(dtype)
    held = min(PROCESSOR_THREADS // tile.threads, SHARED // tile.shared(size), tile.resident(size))
    places = min(PROCESSORS * max(1, held), max(PROCESSORS, blocks))
    return WAITING * places / blocks


@lru_cache(maxsize=1024)
def choose(problem: Problem, dtype: np.dtype[Any]) -> Tile:
    """The tile that the model predicts to be fastest; it depends on shapes only.

    Of those that are nearly as fast, which the model cannot tell apart, the one whose warps ask for the least.
    """
    times = {tile: predicted(tile, problem, dtype) for tile in TILES[dtype.name]}
    fast = [tile for tile, time in times.items() if time <= NEARLY * min(times.values())]
    return min(fast, key=lambda tile: (_traffic(tile, problem, dtype)[0], times[tile]))
