"""Compiled products with chains: a tile of the batch goes through all factors in a buffer of one run per row."""

from __future__ import annotations

from pathgraph.kronecker.kernels.numba_blocks import block, compiled, fill, scatter
from pathgraph.kronecker.kernels.tiles import NV, SHORT, TALL, VECTOR, fetch, pack, pairs, transpose_in, transpose_out

__all__ = ["chained"]

MADE_OF = "c3628b1023d90ee6"
"""Of the files whose functions are compiled here: Numba's cache notices a change in this file only."""

EARLY = 4
"""Rows from one that is read or written to one that is asked for: mostly in another page, where no processor looks by
itself. The last ones lie beyond the array, which a request may."""


@compiled
def read_tiles(kind, size, x, row_stride, stride, n_rows, tiles, table, to, apart):
    """Copy some tile's widths of vectors into runs, row by row; the table has the places of the runs of a tile."""
    run, lanes = NV * VECTOR, VECTOR // size
    wide = run // size
    if stride == size:
        for r in range(n_rows):
            fetch(kind, x + (r + EARLY) * row_stride, tiles * run)
            pack(kind, x + r * row_stride, run, tiles, to + r * run, apart)
        return
    for t in range(tiles):
        source, target = x + t * wide * stride, to + t * apart
        if row_stride == size and n_rows >= lanes:
            for q in range(0, n_rows, lanes):
                q = min(q, n_rows - lanes)
                for v in range(NV):
                    transpose_in(
                        kind, source + q * size + v * lanes * stride, stride, target + v * VECTOR, table + 8 * q
                    )
        else:
            fill(kind, size, source, row_stride, stride, n_rows, wide, target)


@compiled
def write_tiles(kind, size, start, apart, out, row_stride, stride, n_rows, tiles, table):
    """Copy runs to where their numbers belong: what `read_tiles` does, backwards."""
    run, lanes = NV * VECTOR, VECTOR // size
    wide = run // size
    if stride == size:
        for r in range(n_rows):
            fetch(kind, out + (r + EARLY) * row_stride, tiles * run)
            pack(kind, start + r * run, apart, tiles, out + r * row_stride, run)
        return
    for t in range(tiles):
        source, target = start + t * apart, out + t * wide * stride
        if row_stride == size and n_rows >= lanes:
            for q in range(0, n_rows, lanes):
                q = min(q, n_rows - lanes)
                for v in range(NV):
                    at = target + q * size + v * lanes * stride
                    transpose_out(kind, source + v * VECTOR, table + 8 * q, at, stride)
        else:
            scatter(kind, size, source, n_rows, wide, target, row_stride, stride)


@compiled
def through(kind, size, factors, rows, other, panel):
    """Replace the rows of one tile by their product with all factors, from the last to the first."""
    run = NV * VECTOR
    start = rows
    for f in range(len(factors) - 1, -1, -1):
        a, b, c, d, w, tall, short = factors[f]
        step = d * run
        if tall + short == 0:
            for i in range(a):
                pairs(kind, w + i * d * 4 * size, rows + 2 * i * step, step, d)
            continue
        target = rows if b == c else other  # a square block is read before it is written
        for i in range(a):
            for lane in range(d):
                pack(kind, rows + i * c * step + lane * run, step, c, panel, run)
                to = target + i * b * step + lane * run
                block(kind, size, w, panel, run, tall, short, b, c, to, step, 1)
                w += (tall * TALL + short * SHORT) * c * size
        if b != c:
            rows, other = other, rows
    if rows != start:
        a, b, _, d, _, _, _ = factors[0]
        pack(kind, rows, run, a * b * d, start, run)


@compiled
def chained(kind, size, first, last, factors, x, x_strides, out, out_strides, sizes, table, buffer):
    """The tasks first:last of a product with a chain; a task is some tiles of the batch.

    Parameters
    ----------
    factors : ndarray of int, shape (n_factors, 7)
        a, b, c, d, address of the packed values, tall and short tiles of a block; no tiles for blocks of 2 x 2.
    x_strides, out_strides : tuple of 2 int
        In bytes, along the rows and the batch.
    sizes : tuple of 5 int
        Rows of x and of out, the largest number of rows between factors, the size of the batch, and how many tile's
        widths of it a task has.
    table : int
        Address of the places of runs one after the other.
    buffer : int
        Address of room for the rows between factors of all tiles of a task and of one more, and for the columns of the
        widest block.
    """
    x_rows, out_rows, most, n, together = sizes
    apart = most * NV * VECTOR
    wide = NV * VECTOR // size
    other = buffer + together * apart
    for task in range(first, last):
        low = task * together
        tiles = min(together, n // wide - low)
        column = low * wide
        if tiles <= 0:  # what is left of the batch
            tiles, column = 1, max(n - wide, 0)
        source, target = x + column * x_strides[1], out + column * out_strides[1]
        if n < wide:
            fill(kind, size, source, x_strides[0], x_strides[1], x_rows, n, buffer)
        else:
            read_tiles(kind, size, source, x_strides[0], x_strides[1], x_rows, tiles, table, buffer, apart)
        for t in range(tiles):
            through(kind, size, factors, buffer + t * apart, other, other + apart)
        if n < wide:
            scatter(kind, size, buffer, out_rows, n, target, out_strides[0], out_strides[1])
        else:
            write_tiles(kind, size, buffer, apart, target, out_strides[0], out_strides[1], out_rows, tiles, table)
