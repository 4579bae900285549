"""Products of one block with some vectors, tile by tile: what all compiled products are made of.

**No masks.** The last tile of a row of tiles begins earlier, so that it ends where the row ends: numbers that two tiles
compute get the same bits twice, be it from two threads. Where there is less than one tile, rows are repeated, and
columns are padded in a buffer and never added up with others: nothing leaks between columns.
"""

from __future__ import annotations

from numba import njit

from pathgraph.kronecker.kernels.tiles import (
    LINE,
    NV,
    SHORT,
    STEPS,
    TALL,
    VECTOR,
    copy_short,
    copy_tall,
    fetch,
    near_short,
    near_tall,
    number_at,
    pack,
    put,
    tile_short,
    tile_tall,
)  # fmt: skip

__all__ = ["block", "busy_block", "compiled", "fill", "pace", "scatter", "start"]

MADE_OF = "ebab2e5a327141dc"
"""Of the files whose functions are compiled here: Numba's cache notices a change in this file only."""

compiled = njit(cache=True, nogil=True)


@compiled
def tall_row(p, b):
    """The first row of a tall tile."""
    return min(p * TALL, max(b - TALL, 0))


@compiled
def short_row(p, tall, b):
    """The first row of a short tile, after the tall ones."""
    return min(tall * TALL + p * SHORT, max(b - SHORT, 0))


@compiled
def block(kind, size, w, x, x_stride, tall, short, b, c, out, out_stride, tiles):
    """All rows of a block, on some tiles side by side, where all operands are in the cache."""
    run = NV * VECTOR
    for p in range(tall + short):
        row = tall_row(p, b) if p < tall else short_row(p - tall, tall, b)
        for t in range(tiles):
            tile, at = x + t * c * run, out + row * out_stride + t * run
            if p < tall:
                near_tall(kind, w, tile, x_stride, c, at, out_stride, min(TALL, b))
            else:
                near_short(kind, w, tile, x_stride, c, at, out_stride, min(SHORT, b))
        w += (TALL if p < tall else SHORT) * c * size


@compiled
def pace(each, c):
    """Bytes from one request of a tile to the next, if it has so many to ask for in c steps: a line at most."""
    return min(STEPS * each // c + 1, LINE)


@compiled
def busy_block(
    kind, size, w, x, x_stride, x_step, kept, tall, short, b, c, out, out_stride, tiles, packing, fetching, calls, state
):
    """As `block`; meanwhile it packs and fetches the vectors of the next task.

    Parameters
    ----------
    x, x_stride, x_step : int
        Address of the vectors, bytes from one k to the next, and from one tile to the next.
    kept : int
        Where the first row of tiles leaves the vectors for the others, tile by tile; 0 if these find them at `x`, too.
    packing : tuple of 5 int
        Address of the vectors of the next task, stride of its rows, how many whole tiles there are, the offset of one
        more or -1, and where they go; no tiles: there is nothing to pack.
    fetching : tuple of 4 int
        Address of rows to fetch, their stride, bytes of a row, and how many there are.
    calls : int
        How many tiles share that work: all is done after so many. They ask for a line every `STEPS` k at most; those of
        low blocks, which have more to ask for, do so before they begin.
    state : tuple of 4 int
        The next row to pack, and c times the tiles that are done less `calls` times that row; the next row to fetch,
        and how many of its bytes are fetched.

    Returns
    -------
    state
    """
    run = NV * VECTOR
    source, stride, wholes, more, to = packing
    rows, row_stride, width, n_rows = fetching
    width += LINE  # a row may begin inside a line
    each = n_rows * width // calls
    along = pace(each, c)
    is_much = STEPS > 1 and each > c // STEPS * LINE  # more lines than tiles have requests: low blocks
    k, credit, line, offset = state
    for p in range(tall + short):
        row = tall_row(p, b) if p < tall else short_row(p - tall, tall, b)
        for t in range(tiles):
            if wholes > 0:
                credit += c
                low = k
                while credit >= calls:
                    credit -= calls
                    k += 1
                if k - low < wholes:
                    for r in range(low, k):
                        pack(kind, source + r * stride, run, wholes, to + r * run, c * run)
                else:
                    for q in range(wholes):
                        pack(kind, source + low * stride + q * run, stride, k - low, to + (q * c + low) * run, run)
                if more >= 0:
                    pack(kind, source + low * stride + more, stride, k - low, to + (wholes * c + low) * run, run)
            first, moves, end, jump, step = w, 0, w + 1, 0, 0
            if is_much:
                left = each
                while left > 0 and line < n_rows:
                    part = min(left, width - offset)
                    fetch(kind, rows + line * row_stride + offset, part)
                    left -= part
                    offset += part
                    if offset == width:
                        offset, line = 0, line + 1
            elif line < n_rows:
                start = rows + line * row_stride
                first, moves, end, jump, step = start + offset, along, start + width, row_stride - width, row_stride
                offset += each
                while offset >= width:
                    offset -= width
                    line += 1
            tile, at = x + t * x_step, out + row * out_stride + t * run
            if p == 0 and kept:
                place = kept + t * c * run
                if tall:
                    live = min(TALL, b)
                    copy_tall(kind, w, tile, x_stride, c, at, out_stride, live, place, first, moves, end, jump, step)
                else:
                    live = min(SHORT, b)
                    copy_short(kind, w, tile, x_stride, c, at, out_stride, live, place, first, moves, end, jump, step)
            elif p < tall:
                tile_tall(kind, w, tile, x_stride, c, at, out_stride, min(TALL, b), first, moves, end, jump, step)
            else:
                tile_short(kind, w, tile, x_stride, c, at, out_stride, min(SHORT, b), first, moves, end, jump, step)
        if p == 0 and kept:
            x, x_stride, x_step = kept, run, c * run
        w += (TALL if p < tall else SHORT) * c * size
    return k, credit, line, offset


@compiled
def fill(kind, size, x, x_stride, unit, depth, n, to):
    """Copy n columns that are `unit` bytes apart, number by number, into runs as long as a tile is wide; then zeros."""
    wide = NV * VECTOR // size
    for k in range(depth):
        for column in range(wide):
            value = kind
            if column < n:
                value = number_at(kind, x + k * x_stride + column * unit)
            put(kind, to + (k * wide + column) * size, value)


@compiled
def scatter(kind, size, start, rows, n, out, out_stride, unit):
    """Copy n columns of runs as long as a tile is wide to where they belong, number by number."""
    wide = NV * VECTOR // size
    for r in range(rows):
        for column in range(n):
            put(kind, out + r * out_stride + column * unit, number_at(kind, start + (r * wide + column) * size))


@compiled
def start(array):
    """The address of the first entry."""
    return array.ctypes.data
