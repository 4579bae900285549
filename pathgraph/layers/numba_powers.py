r"""Compiled products of matrices of powers of absolute weights, and what else is made while a block of them is near.

With f(w) = abs(w)**q for q in {1, 2, 4}, a weight matrix W (M, K), and P columns:

* `rows`: made = f(W) X for some rows of W, and with `entries` also entries = (Y X^t) * f(W) for those rows;
* `columns`: made = f(W)^t Y for some columns of W, and with `entries` likewise for those columns.

A block of W is mapped into a buffer that stays in the cache, and every product that needs it is made from there, tile
by tile: some rows times a few machine vectors of sums, kept in registers. So each weight is read from memory once.

Each number of a product is the sum over its terms from the first to the last, each added by one fused multiply-add
(where the processor has it): its bits depend neither on the blocks nor on the threads. The last panel of columns begins
earlier, so that it ends with the row; numbers that two panels make get the same bits twice.

The vectors and loops are written with the `Writer` of `pathgraph.kernel_text`.
"""

from __future__ import annotations

from math import lcm
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from pathgraph.kernel_text import I64, N_REGISTERS, VECTOR, Writer

LANES = VECTOR // 8
ROWS = 8 if N_REGISTERS == 32 else 4
"""Rows of a tile."""
WIDE = 3
"""Most vectors of a tile: with the sums, the vectors and a number spread out, registers are just enough."""
PANEL = WIDE * LANES
"""Columns of the matrix of the entries that are made together."""
SHARE = lcm(PANEL, ROWS)
"""Columns of which each thread has a whole number: tiles of other rows would reach into the next thread's."""
UNIT = 4 * LANES
"""Weights that are mapped at a time."""
BLOCK_ROWS, BLOCK_COLUMNS = 32, 32 * PANEL
"""Of the block of weights that is mapped at a time; the last one of a row may have nearly twice as many columns."""
STRIDE = 2 * BLOCK_COLUMNS + ROWS
"""Numbers from a row of the buffer to the next."""
MADE_OF = "6263f2db6115bef2"
"""Of the file of the `Writer`: Numba's cache notices a change in this file only."""

compiled = njit(cache=True, nogil=True)


def _tile(vectors: int, *, down: bool = False, is_final: bool = False) -> Any:
    """Add to a tile of sums; ``down``: the rows of the tile are columns of the numbers.

    Takes the addresses and strides (numbers, number stride, vectors, vector stride, depth, sums, sums stride, live), in
    bytes; ``is_final``: and (factors, factor stride), and writes the sums from zero times these factors.
    """
    n_arguments = 10 if is_final else 8
    name = f"powers.{'down' if down else 'along'}{ROWS}x{vectors}{'.final' if is_final else ''}"

    def write(to: Any) -> None:
        numbers, stride, runs, step, depth, out, out_stride, live, *factors = to.function.args
        lines = to.spaced(out, out_stride, ROWS, live)
        starts = [] if down else to.spaced(numbers, stride, ROWS, live)
        if is_final:
            sums = [ir.Constant(to.vector, [0.0] * to.lanes)] * (ROWS * vectors)
        else:
            sums = [to.load(to.plus(line, v * VECTOR), to.vector) for line in lines for v in range(vectors)]

        def body(state: list[Any]) -> list[Any]:
            *sums, at, run = state
            loaded = [to.load(to.plus(run, v * VECTOR), to.vector) for v in range(vectors)]
            for r in range(ROWS):
                place = to.plus(at, r * to.size) if down else to.plus(starts[r], at)
                number = to.spread(place)
                for v in range(vectors):
                    sums[r * vectors + v] = to.fma(number, loaded[v], sums[r * vectors + v])
            return [*sums, to.plus(at, stride if down else to.size), to.plus(run, step)]

        done = to.loop(depth, [*sums, numbers if down else I64(0), runs], body)
        rows = to.spaced(*factors, ROWS, live) if is_final else lines
        for r, line in enumerate(lines):
            for v in range(vectors):
                total = done[r * vectors + v]
                if is_final:
                    total = to.builder.fmul(total, to.load(to.plus(rows[r], v * VECTOR), to.vector))
                to.store(total, to.plus(line, v * VECTOR))

    return _callable(name, n_arguments, write)


def _absolutes(element: Any, size: int) -> Any:
    """Absolute values of runs of `UNIT` floats, as doubles: (source, target, runs)."""

    def write(to: Any) -> None:
        source, target, count = to.function.args
        kind = ir.VectorType(element, to.lanes)
        name = f"llvm.fabs.v{to.lanes}f64"
        if name not in to.builder.module.globals:
            ir.Function(to.builder.module, ir.FunctionType(to.vector, [to.vector]), name)

        def body(state: list[Any]) -> list[Any]:
            source, target = state
            for v in range(UNIT // to.lanes):
                values = to.load(to.plus(source, v * to.lanes * size), kind)
                if size == 4:
                    values = to.builder.fpext(values, to.vector)
                values = to.builder.call(to.builder.module.globals[name], [values])
                to.store(values, to.plus(target, v * VECTOR))
            return [to.plus(source, UNIT * size), to.plus(target, UNIT * 8)]

        to.loop(count, [source, target], body)

    return _callable(f"powers.absolutes{size}", 3, write)


def _callable(name: str, n_arguments: int, write: Any) -> Any:
    """Make such a function of one tuple of integers known to Numba."""

    def typed(typing: Any, arguments: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            to = Writer(builder.module, name, ir.DoubleType(), n_arguments)
            if to.is_new:
                write(to)
                to.builder.ret_void()
            builder.call(to.function, cgutils.unpack_tuple(builder, args[0], n_arguments))
            return context.get_dummy_value()

        return types.void(arguments), generate

    return intrinsic(typed)


along1, along2, along3 = _tile(1), _tile(2), _tile(3)
down1, down2, down3 = _tile(1, down=True), _tile(2, down=True), _tile(3, down=True)
final = _tile(WIDE, is_final=True)
absolute8, absolute4 = _absolutes(ir.DoubleType(), 8), _absolutes(ir.FloatType(), 4)


@compiled
def fill(w, q, row, n_rows, column, n_columns, buffer):
    """The powers of a block of weights."""
    size, block = w.itemsize, buffer.ctypes.data
    whole = n_columns // UNIT
    for r in range(n_rows):
        source, line = w.ctypes.data + ((row + r) * w.shape[1] + column) * size, block + r * STRIDE * 8
        if size == 8:
            absolute8((source, line, whole))
        else:
            absolute4((source, line, whole))
        for c in range(whole * UNIT, n_columns):
            buffer[r, c] = abs(w[row + r, column + c])
        for _ in range(q // 2):
            for c in range(n_columns):
                buffer[r, c] *= buffer[r, c]


@compiled
def n_blocks(n):
    """Blocks of columns; the last one has what is left, too."""
    return max(1, n // BLOCK_COLUMNS)


@compiled
def masses(block, stride, row, n_rows, first, last, column, y, y_stride, panels, entries, entries_stride, sizes):
    """The entries of a block, from panel `first` to `last`; `column` is the first one of the block."""
    n_columns, depth = sizes
    for p in range(first, last):
        at = min(p * PANEL, n_columns - PANEL)
        panel = panels + p * depth * PANEL * 8
        for r in range(0, n_rows, ROWS):
            final(
                (
                    y + (row + r) * y_stride,
                    y_stride,
                    panel,
                    PANEL * 8,
                    depth,
                    entries + (row + r) * entries_stride + at * 8,
                    entries_stride,
                    min(ROWS, n_rows - r),
                    block + r * stride + (at - column) * 8,
                    stride,
                )
            )


@compiled
def products(down, numbers, step, x, x_stride, vectors, depth, made, made_stride, lines):
    """Add the products of a block to some lines of made: of its rows, or, down, of its columns, tile by tile.

    All is in bytes. The numbers of the next line are `step` behind. Of columns, made has room for ROWS lines more.
    """
    v = 0
    while v < vectors:
        n = min(vectors - v, WIDE)
        if vectors - v == WIDE + 1:
            n = 2
        for r in range(0, lines, ROWS):
            arguments = (
                numbers + r * step,
                STRIDE * 8,
                x + v * VECTOR,
                x_stride,
                depth,
                made + r * made_stride + v * VECTOR,
                made_stride,
                ROWS if down else min(ROWS, lines - r),
            )
            if down:
                if n == 3:
                    down3(arguments)
                elif n == 2:
                    down2(arguments)
                else:
                    down1(arguments)
            elif n == 3:
                along3(arguments)
            elif n == 2:
                along2(arguments)
            else:
                along1(arguments)
        v += n


@compiled
def rows(w, q, low, high, x, x_stride, vectors, made, made_stride, y, y_stride, depth, panels, entries, buffer):
    """Rows low:high of made, which starts as zeros, and of the entries unless `entries` is 0; all else are addresses.

    `panels` are the columns X^t cut into panels of PANEL columns, (panels, P, PANEL), the last one ending with them.
    """
    n_columns = w.shape[1]
    block, stride, bytes_of_row = buffer.ctypes.data, STRIDE * 8, n_columns * 8
    n_panels = (n_columns + PANEL - 1) // PANEL
    for row in range(low, high, BLOCK_ROWS):
        n_rows = min(BLOCK_ROWS, high - row)
        blocks = n_blocks(n_columns)
        for b in range(blocks):
            start = b * BLOCK_COLUMNS
            stop = n_columns if b == blocks - 1 else start + BLOCK_COLUMNS
            fill(w, q, row, n_rows, start, stop - start, buffer)
            at, line = x + start * x_stride, made + row * made_stride
            products(False, block, stride, at, x_stride, vectors, stop - start, line, made_stride, n_rows)
            if entries != 0:
                first = start // PANEL
                last = n_panels if b == blocks - 1 else stop // PANEL
                sizes = (n_columns, depth)
                masses(
                    block, stride, row, n_rows, first, last, start, y, y_stride, panels, entries, bytes_of_row, sizes
                )


@compiled
def columns(w, q, low, high, vectors, made, made_stride, y, y_stride, depth, panels, entries, buffer):
    """Columns low:high of W: those rows of made, which starts as zeros, and of the entries unless `entries` is 0.

    `low` is a multiple of SHARE, and `high` one or the end. Made has room for ROWS rows more.
    """
    n_rows_all, n_columns = w.shape
    block, stride, bytes_of_row = buffer.ctypes.data, STRIDE * 8, n_columns * 8
    n_panels = (n_columns + PANEL - 1) // PANEL
    blocks = n_blocks(high - low)
    for b in range(blocks):
        start = low + b * BLOCK_COLUMNS
        stop = high if b == blocks - 1 else start + BLOCK_COLUMNS
        before = 0
        if entries != 0 and stop == n_columns and start > n_columns - PANEL:
            before = start - (n_columns - PANEL)  # the last panel begins earlier
        for row in range(0, n_rows_all, BLOCK_ROWS):
            n_rows = min(BLOCK_ROWS, n_rows_all - row)
            fill(w, q, row, n_rows, start - before, stop - start + before, buffer)
            at, line = y + row * y_stride, made + start * made_stride
            products(True, block + before * 8, 8, at, y_stride, vectors, n_rows, line, made_stride, stop - start)
            if entries != 0:
                first = start // PANEL
                last = n_panels if stop == n_columns else stop // PANEL
                sizes = (n_columns, depth)
                masses(
                    block,
                    stride,
                    row,
                    n_rows,
                    first,
                    last,
                    start - before,
                    y,
                    y_stride,
                    panels,
                    entries,
                    bytes_of_row,
                    sizes,
                )
