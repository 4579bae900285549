"""Tiles of the products of Kronecker-sparse matrices, and a model that chooses among them.

`Problem` is what ``kernels/products.cu`` computes: many small matrix products at strides. `TILES` lists how a block may
cut it, `predicted` says how long each would take on a device of nominal rates, and `choose` takes the fastest. The
model counts multiply-adds, those of padding included, sectors of 32 bytes, and blocks in flight. Nothing was measured:
that is what `pathgraph_gpu.tuning` is for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["SECTOR", "TILES", "Operand", "Problem", "Tile", "choose", "lanes", "pack", "predicted", "run_along_l"]

SECTOR = 32
"""Bytes that memory moves at once."""

PROCESSORS, REGISTERS, SHARED = 108, 65536, 96 * 1024
"""Of the nominal device; registers and bytes of shared memory of one of its processors."""
STAGE = 40 * 1024
"""Bytes of shared memory through which a block writes its results, at most; as in the kernel."""
FMAS = {"float16": 9.7e12, "float32": 9.7e12, "float64": 4.8e12}
"""Multiply-adds a second."""
MEMORY, CACHE = 1.5e12, 4.0e12
"""Bytes a second from memory, and from the cache that all processors share."""


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


_SINGLE = (
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
        *(tile for tile in _SINGLE if tile not in (_SINGLE[2], _SINGLE[5], _SINGLE[8])),
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


def lanes(sizes: Iterable[tuple[int, int, int]]) -> int:
    """How the threads of a block lie along an operand: by which shift their number gives each coordinate.

    Parameters
    ----------
    sizes : iterable of (int, int, int)
        For l, i, rows and columns: places in the tile (a power of two), places in the problem, and the stride.
        Neighbouring threads take neighbours along the smallest stride; a coordinate with one place comes last.
    """
    listed = list(sizes)
    shift, packed = 0, 0
    for which in sorted(range(4), key=lambda which: (listed[which][1] == 1, listed[which][2])):
        packed |= shift << (8 * which)
        shift += listed[which][0].bit_length() - 1
    return packed


def pack(sizes: Iterable[tuple[int, int, int]], most: int, place: int) -> int:
    """How many neighbours of an operand can be moved at once.

    Parameters
    ----------
    sizes : iterable of (int, int, int)
        As for `lanes`.
    most : int
        A power of two, which is never exceeded.
    place : int
        Of the operand in memory, in elements.

    Returns
    -------
    int
        A power of two that divides everything: where packs begin, and how many elements there are along them.
    """
    (places, extent, stride), *others = sorted(sizes, key=lambda one: (one[1] == 1, one[2]))
    if stride != 1 or extent == 1:
        return 1
    return math.gcd(most, place, places, extent, *(other[2] for other in others if other[1] > 1))


def predicted(tile: Tile, problem: Problem, dtype: np.dtype[Any]) -> float:
    """Seconds on a device of nominal rates."""
    a, groups, d, m, n, depth, part, A, B, C, _ = problem
    total = max(4, dtype.itemsize)
    run_l = run_along_l(tile, problem)
    run_i = tile.groups // run_l
    m_tiles, n_tiles, parts = -(-m // tile.rows), -(-n // tile.columns), problem.parts
    tiles = m_tiles * n_tiles * parts * -(-d // run_l) * -(-groups // run_i)
    padded = tiles * tile.groups * tile.rows * tile.columns * (-(-part // tile.depth) * tile.depth)
    sums, turns = tile.row_sums * tile.column_sums, tile.groups * (tile.rows + tile.columns) / tile.threads
    reads = (tile.row_sums + tile.column_sums) * total / 16
    slower = 1 + (reads + 2 * turns + 8 / tile.depth) / sums  # instructions for a place of the depth, as reported
    compute = padded * slower / FMAS[dtype.name]

    def sectors(operand: Operand, rows: tuple[int, int], columns: tuple[int, int], itemsize: int) -> float:
        """How many bytes are moved for each one that is needed, on average over where runs begin in a sector."""
        along = [(run_l, d, operand.l), (run_i, groups, operand.i), (*rows, operand.row), (*columns, operand.col)]
        run, is_whole, steps = 1, True, 0
        for places, extent, stride in sorted(along, key=lambda one: (one[1] == 1, one[2])):
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

    products, size = groups * d, dtype.itemsize
    written = size if parts == 1 else total
    in_depth = (tile.depth, part)
    read = tiles // parts * tile.groups * depth * size  # what is not there is read in another place
    of_a, of_b = sectors(A, (tile.rows, m), in_depth, size), sectors(B, in_depth, (tile.columns, n), size)
    moved = read * (tile.rows * of_a + tile.columns * of_b)
    moved += products * m * n * parts * written * sectors(C, (tile.rows, m), (tile.columns, n), written)
    once = a * d * m * depth * size, products * n * depth * size, products * m * n * parts * written
    again = (once[0] * (of_a - 1) + once[1] * (of_b - 1)) / 2  # some blocks that share a sector come too late for it
    needed = sum(once) + again
    resident = min(2048 // tile.threads, SHARED // tile.shared(total), tile.resident(total))
    places = min(PROCESSORS * max(1, resident), max(PROCESSORS, tiles))
    times = compute, moved / CACHE, needed / MEMORY
    idle = 1 + places / (8 * tiles)  # a part of the places while the last blocks run
    return (max(times) + sum(times) / 4) * idle  # they overlap, but not wholly


def choose(problem: Problem, dtype: np.dtype[Any]) -> Tile:
    """The tile that the model predicts to be fastest; it depends on shapes only."""
    return min(TILES[dtype.name], key=lambda tile: predicted(tile, problem, dtype))
