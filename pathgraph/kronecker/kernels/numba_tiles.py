r"""Compiled products of Kronecker-sparse matrices with batches of vectors, on one tile of registers after the other.

Everything is :math:`out_{ijln} = \sum_k w_{ijkl} x_{ikln}` for some blocks (i, l) and some vectors n. One *tile* is a
few rows times a few machine vectors of it, kept in registers through all k: at each k it reads one number per row and
one run of consecutive numbers, and does one fused multiply-add for each pair,

* `tile_tall` and `tile_short`: rows are rows j of the block, vectors run along the batch;
* `tile_batch` and `tile_one`: rows are vectors n of the batch, or a single one, and machine vectors run along j.

An entry of the product is in both cases the sum from k = 0 on, each term added by one fused multiply-add (where the
processor has it) to what there was. So its bits depend neither on the tile, the layout, the batch nor the threads.

**No masks.** The last tile of a row of tiles begins earlier, so that it ends where the row ends: numbers that two tiles
compute get the same bits twice, be it from two threads. Where there is less than one tile, rows are repeated, and
columns are padded in a buffer and never added up with others: nothing leaks between columns.

Addresses and strides are integers, in bytes: the same compiled code serves arrays of any strides and alignment. Tiles
are written in LLVM's own vector types, since the compiler alone does not keep a two-dimensional tile in registers. This
file holds every function that it compiles: a cached kernel would not notice a change in another file.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, njit, types
from numba.extending import intrinsic


def _registers() -> tuple[int, int]:
    """Bytes of a vector register, and how many there are."""
    if config.CPU_FEATURES is not None:  # Numba was told to compile for another processor
        features = {feature.lstrip("+"): feature[:1] == "+" for feature in config.CPU_FEATURES.split(",")}
    else:
        try:
            features = llvm.get_host_cpu_features()
        except RuntimeError:  # a processor that LLVM does not know
            features = {}
    if features.get("avx512f"):
        return 64, 32
    if features.get("avx"):
        return 32, 16
    return 16, 32 if features.get("neon") else 16


VECTOR, N_REGISTERS = _registers()
TALL = 8 if N_REGISTERS == 32 else 6
"""Rows of the tall tile; two vectors wide, like the short one."""
SHORT = 4
WIDE = 8
"""Vectors of the tile for a single row."""
NV = 2
I64, I32 = ir.IntType(64), ir.IntType(32)
VOID = ir.VoidType()

compiled = njit(cache=True, nogil=True)


# -- functions in LLVM's language -----------------------------------------------------------------------------------


class Writer:
    """Writes one LLVM function of 64-bit integers, once per module."""

    def __init__(self, module: Any, name: str, element: Any, n_arguments: int) -> None:
        size = 8 if isinstance(element, ir.DoubleType) else 4
        self.element, self.size, self.lanes = element, size, VECTOR // size
        self.vector = ir.VectorType(element, self.lanes)
        name = f"pathgraph.{name}.{VECTOR}.{size}"
        self.is_new = name not in module.globals
        if not self.is_new:
            self.function = module.globals[name]
            return
        self.function = ir.Function(module, ir.FunctionType(VOID, [I64] * n_arguments), name)
        self.function.linkage = "internal"
        self.function.attributes.add("noinline")
        self.function.attributes.add("nounwind")
        self.entry = self.function.append_basic_block("entry")
        self.builder = ir.IRBuilder(self.entry)

    def plus(self, address: Any, *offsets: Any) -> Any:
        """An address and offsets from it."""
        for offset in offsets:
            address = self.builder.add(address, I64(offset) if isinstance(offset, int) else offset)
        return address

    def times(self, value: Any, factor: int) -> Any:
        """An integer times a constant."""
        return self.builder.mul(value, I64(factor))

    def load(self, address: Any, kind: Any) -> Any:
        """What an address points to."""
        return self.builder.load(self.builder.inttoptr(address, kind.as_pointer()), align=1)

    def store(self, value: Any, address: Any) -> None:
        """Write a value to an address."""
        self.builder.store(value, self.builder.inttoptr(address, value.type.as_pointer()), align=1)

    def spread(self, scalar: Any) -> Any:
        """A vector of one number."""
        empty = ir.Constant(self.vector, ir.Undefined)
        places = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(self.builder.insert_element(empty, scalar, I32(0)), empty, places)

    def fma(self, first: Any, second: Any, total: Any) -> Any:
        """``first * second + total``, rounded once if the processor can."""
        kind = self.vector
        name = f"llvm.fmuladd.v{self.lanes}f{8 * self.size}"
        module = self.builder.module
        if name not in module.globals:
            ir.Function(module, ir.FunctionType(kind, [kind] * 3), name)
        return self.builder.call(module.globals[name], [first, second, total])

    def interleaved(self, first: Any, second: Any, run: int, half: int) -> Any:
        """Runs of elements of two vectors in turn, from the first or second half of every 16 bytes."""
        part = 16 // self.size
        starts = [p * part + half * part // 2 for p in range(self.lanes // part)]
        places = [
            start + of + u + q
            for start in starts
            for u in range(0, part // 2, run)
            for of in (0, self.lanes)
            for q in range(run)
        ]
        return self.builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(I32, self.lanes), places))

    def transposed(self, rows: list[Any]) -> list[Any]:
        """As many vectors as they have elements, transposed: inside 16 bytes, then parts of 16 bytes."""
        done: list[Any] = []
        if self.size == 8:
            for r in range(0, self.lanes, 2):
                done += [self.interleaved(rows[r], rows[r + 1], 1, half) for half in (0, 1)]
        else:
            for r in range(0, self.lanes, 4):
                pairs = [self.interleaved(rows[r + q], rows[r + q + 1], 1, half) for q in (0, 2) for half in (0, 1)]
                done += [self.interleaved(pairs[q], pairs[q + 2], 2, half) for q in (0, 1) for half in (0, 1)]
        h, n = 16 // self.size, self.lanes
        while h < n:
            low = ir.Constant(ir.VectorType(I32, n), [q if q // h % 2 == 0 else n + q - h for q in range(n)])
            high = ir.Constant(ir.VectorType(I32, n), [q + h if q // h % 2 == 0 else n + q for q in range(n)])
            for r in range(n):
                if r // h % 2 == 0:
                    pair = done[r], done[r + h]
                    done[r], done[r + h] = (self.builder.shuffle_vector(*pair, places) for places in (low, high))
            h *= 2
        return done

    def spaced(self, start: Any, stride: Any, rows: int, live: Any) -> list[Any]:
        """The addresses of rows; from row `live` on, those of the last one that there is."""
        found = [start]
        for r in range(1, rows):
            step = self.builder.select(self.builder.icmp_signed("<", I64(r), live), stride, I64(0))
            found.append(self.plus(found[-1], step))
        return found

    def loop(self, count: Any, starts: list[Any], body: Any) -> list[Any]:
        """Repeat ``body(state) -> state`` count times; the last state."""
        builder = self.builder
        before = builder.block
        head, block, after = (self.function.append_basic_block(name) for name in ("head", "body", "after"))
        builder.branch(head)
        builder.position_at_end(head)
        left = builder.phi(I64)
        left.add_incoming(count, before)
        state = [builder.phi(start.type) for start in starts]
        for phi, start in zip(state, starts, strict=True):
            phi.add_incoming(start, before)
        builder.cbranch(builder.icmp_signed(">", left, I64(0)), block, after)
        builder.position_at_end(block)
        done = body(list(state))
        for phi, value in zip([left, *state], [builder.sub(left, I64(1)), *done], strict=True):
            phi.add_incoming(value, builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        return state

    def accumulated(self, rows: int, vectors: int, depth: Any, starts: list[Any], step: Any) -> list[list[Any]]:
        """A tile of sums; ``step(state)`` gives addresses of vectors and numbers, and the next state."""
        zero = ir.Constant(self.vector, [0.0] * self.lanes)

        def body(state: list[Any]) -> list[Any]:
            sums, where = state[: rows * vectors], state[rows * vectors :]
            addresses, numbers, further = step(where)
            runs = [self.load(address, self.vector) for address in addresses]
            for r in range(rows):
                number = self.spread(self.load(numbers[r], self.element))
                for v in range(vectors):
                    sums[r * vectors + v] = self.fma(number, runs[v], sums[r * vectors + v])
            return [*sums, *further]

        done = self.loop(depth, [zero] * (rows * vectors) + starts, body)
        return [done[r * vectors : (r + 1) * vectors] for r in range(rows)]


def _tile_of_rows(rows: int) -> Any:
    """Rows of a block times vectors of the batch: (w, x, x_stride, depth, out, out_stride, live)."""

    def write(to: Writer) -> None:
        w, x, x_stride, depth, out, out_stride, live = to.function.args

        def step(where: list[Any]) -> Any:
            w, x = where
            numbers = [to.plus(w, r * to.size) for r in range(rows)]
            runs = [to.plus(x, v * VECTOR) for v in range(NV)]
            return runs, numbers, [to.plus(w, rows * to.size), to.plus(x, x_stride)]

        sums = to.accumulated(rows, NV, depth, [w, x], step)
        for r, row in enumerate(to.spaced(out, out_stride, rows, live)):
            for v in range(NV):
                to.store(sums[r][v], to.plus(row, v * VECTOR))

    return _callable(f"rows{rows}", 7, write)


def _tile_of_vectors(rows: int) -> Any:
    """Vectors of the batch times rows of a block: (x, row_stride, x_stride, live, w, depth, out, out_stride)."""

    def write(to: Writer) -> None:
        x, row_stride, x_stride, live, w, depth, out, out_stride = to.function.args
        starts = to.spaced(x, row_stride, rows, live)

        def step(where: list[Any]) -> Any:
            w, offset = where
            runs = [to.plus(w, v * VECTOR) for v in range(NV)]
            return (
                runs,
                [to.plus(start, offset) for start in starts],
                [to.plus(w, NV * VECTOR), to.plus(offset, x_stride)],
            )

        sums = to.accumulated(rows, NV, depth, [w, I64(0)], step)
        for r, row in enumerate(to.spaced(out, out_stride, rows, live)):
            for v in range(NV):
                to.store(sums[r][v], to.plus(row, v * VECTOR))

    return _callable(f"vectors{rows}", 8, write)


def _tile_of_one() -> Any:
    """One vector of the batch times rows of a block: (x, x_stride, w, panel_stride, depth, out)."""

    def write(to: Writer) -> None:
        x, x_stride, w, panel_stride, depth, out = to.function.args
        panels = [to.plus(to.times(panel_stride, p), v * VECTOR) for p in range(WIDE // NV) for v in range(NV)]

        def step(where: list[Any]) -> Any:
            w, x = where
            return [to.plus(w, panel) for panel in panels], [x], [to.plus(w, NV * VECTOR), to.plus(x, x_stride)]

        sums = to.accumulated(1, WIDE, depth, [w, x], step)
        for v in range(WIDE):
            to.store(sums[0][v], to.plus(out, v * VECTOR))

    return _callable("one", 6, write)


def _packing() -> Any:
    """Copy runs as long as a tile is wide: (x, x_stride, depth, target, target_stride)."""

    def write(to: Writer) -> None:
        x, x_stride, depth, target, target_stride = to.function.args

        def body(state: list[Any]) -> list[Any]:
            x, target = state
            runs = [to.load(to.plus(x, v * VECTOR), to.vector) for v in range(NV)]
            for v, run in enumerate(runs):
                to.store(run, to.plus(target, v * VECTOR))
            return [to.plus(x, x_stride), to.plus(target, target_stride)]

        to.loop(depth, [x, target], body)

    return _callable("pack", 5, write)


def _pairing() -> Any:
    """Blocks of 2 x 2 that follow each other, in place, on one tile's width: (w, x, x_stride, count)."""

    def write(to: Writer) -> None:
        w, x, x_stride, count = to.function.args
        zero = ir.Constant(to.vector, [0.0] * to.lanes)

        def body(state: list[Any]) -> list[Any]:
            w, x = state
            numbers = [to.spread(to.load(to.plus(w, q * to.size), to.element)) for q in range(4)]  # k, then j
            places = [[to.plus(x, v * VECTOR), to.plus(x, x_stride, v * VECTOR)] for v in range(NV)]
            runs = [[to.load(place, to.vector) for place in pair] for pair in places]
            for pair, (first, second) in zip(places, runs, strict=True):
                for j in (0, 1):
                    to.store(to.fma(numbers[2 + j], second, to.fma(numbers[j], first, zero)), pair[j])
            return [to.plus(w, 4 * to.size), to.plus(x, NV * VECTOR)]

        to.loop(count, [w, x], body)

    return _callable("pairs", 4, write)


def _transposing(*, inwards: bool) -> Any:
    """Transpose a square of as many numbers as a vector has, from rows to places in a table, or back.

    Inwards (rows, row_stride, base, table), outwards (base, table, rows, row_stride); the table has offsets from base.
    """

    def write(to: Writer) -> None:
        if inwards:
            rows, row_stride, base, table = to.function.args
        else:
            base, table, rows, row_stride = to.function.args
        lines = [to.plus(rows, to.times(row_stride, r)) for r in range(to.lanes)]
        places = [
            to.plus(base, to.builder.load(to.builder.inttoptr(to.plus(table, 8 * r), I64.as_pointer())))
            for r in range(to.lanes)
        ]
        source, target = (lines, places) if inwards else (places, lines)
        for vector, address in zip(to.transposed([to.load(each, to.vector) for each in source]), target, strict=True):
            to.store(vector, address)

    return _callable("inwards" if inwards else "outwards", 4, write)


def _callable(name: str, n_arguments: int, write: Any) -> Any:
    """Make such a function known to Numba; a number as first argument says for which floats."""

    def typed(kind: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            to = Writer(builder.module, name, context.get_value_type(kind), n_arguments)
            if to.is_new:
                write(to)
                to.builder.ret_void()
            builder.call(to.function, args[1:])
            return context.get_dummy_value()

        return types.void(kind, *[types.int64] * n_arguments), generate

    # Numba counts the arguments of a function, so each number of them needs a signature
    if n_arguments == 4:
        return intrinsic(lambda typing, kind, a, b, c, d: typed(kind))
    if n_arguments == 5:
        return intrinsic(lambda typing, kind, a, b, c, d, e: typed(kind))
    if n_arguments == 6:
        return intrinsic(lambda typing, kind, a, b, c, d, e, f: typed(kind))
    if n_arguments == 7:
        return intrinsic(lambda typing, kind, a, b, c, d, e, f, g: typed(kind))
    return intrinsic(lambda typing, kind, a, b, c, d, e, f, g, h: typed(kind))


tile_tall = _tile_of_rows(TALL)
tile_short = _tile_of_rows(SHORT)
tile_batch = _tile_of_vectors(TALL)
tile_one = _tile_of_one()
pack = _packing()
pairs = _pairing()
transpose_in = _transposing(inwards=True)
transpose_out = _transposing(inwards=False)


@intrinsic
def number_at(typing, kind, address):
    """The number at an address."""

    def generate(context, builder, signature, args):
        element = context.get_value_type(kind)
        return builder.load(builder.inttoptr(args[1], element.as_pointer()), align=1)

    return kind(kind, types.int64), generate


@intrinsic
def put(typing, kind, address, value):
    """Write a number to an address."""

    def generate(context, builder, signature, args):
        builder.store(args[2], builder.inttoptr(args[1], args[2].type.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(kind, types.int64, kind), generate


# -- drivers: shares of the work, all numbers are int64 ---------------------------------------------------------------


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
    """All rows of a block, on some tiles side by side."""
    run = NV * VECTOR
    for p in range(tall):
        at = out + tall_row(p, b) * out_stride
        for t in range(tiles):
            tile_tall(kind, w, x + t * c * run, x_stride, c, at + t * run, out_stride, min(TALL, b))
        w += TALL * c * size
    for p in range(short):
        at = out + short_row(p, tall, b) * out_stride
        for t in range(tiles):
            tile_short(kind, w, x + t * c * run, x_stride, c, at + t * run, out_stride, min(SHORT, b))
        w += SHORT * c * size


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
def by_rows(kind, size, first, last, w, x, x_strides, out, out_strides, sizes, tiling, buffer):
    """The tasks first:last with rows of blocks as rows of tiles; a task is a block and a part of the batch.

    Parameters
    ----------
    kind : float32 or float64
        Zero.
    size : int
        Its bytes.
    w : int
        Address of the values, packed by `packed_rows`.
    x, out : int
        Addresses.
    x_strides, out_strides : tuple of 4 int
        In bytes, along i, k or j, l and n.
    sizes : tuple of 5 int
        b, c, d, n and how many tile's widths of the batch a task has.
    tiling : tuple of 3 int
        Tall and short tiles of a block, and how many tiles side by side meet one panel of values after the other.
    buffer : int
        Address of room for the vectors of a task, and for b rows more, as wide as a tile each.
    """
    b, c, d, n, together = sizes
    tall, short, beside = tiling
    xi, xk, xl, xn = x_strides
    oi, oj, ol, on = out_strides
    run = NV * VECTOR
    wide = run // size
    full = max(n // wide, 1)  # whole tiles; what is left goes with the last of them
    parts = (full + together - 1) // together
    loads, stores = xn == size and n >= wide, on == size and n >= wide
    rows = buffer + (together + 1) * c * run
    for task in range(first, last):
        part, g = task % parts, task // parts
        i, lane = g // d, g % d
        low = part * together
        high = min(low + together, full)
        tiles = high - low
        source = x + i * xi + lane * xl
        left = high == full and n > full * wide  # one more tile, which ends with the batch
        if loads:
            for k in range(c):
                pack(kind, source + k * xk + low * run, run, tiles, buffer + k * run, c * run)
            if left:
                pack(kind, source + (n - wide) * xn, xk, c, buffer + tiles * c * run, run)
        tiles += left
        if not loads:
            for t in range(tiles):
                column = max(min((low + t) * wide, n - wide), 0)
                fill(kind, size, source + column * xn, xk, xn, c, min(n, wide), buffer + t * c * run)
        values = w + g * (tall * TALL + short * SHORT) * c * size
        t = 0
        while t < tiles:
            some = min(beside, high - low - t) if stores and t < high - low else 1
            column = max(min((low + t) * wide, n - wide), 0)
            target = out + i * oi + lane * ol + column * on
            at, stride = (target, oj) if stores else (rows, run)
            block(kind, size, values, buffer + t * c * run, run, tall, short, b, c, at, stride, some)
            if not stores:
                scatter(kind, size, rows, b, min(n, wide), target, oj, on)
            t += some


@compiled
def transposing(kind, size, first, last, w, x, x_strides, out, out_strides, sizes, tiling, table, buffer):
    """As `by_rows`, for arrays whose unit stride is along l, and along k and j with d between: batch first.

    The table has the places in the buffer of numbers that follow each other in memory, of x and then of out:
    all c d and b d of them if d is less than a vector has, else as many as `lines` of successive l.
    """
    b, c, d, n, together = sizes
    tall, short, lines = tiling
    xi, oi, xn, on = x_strides[0], out_strides[0], x_strides[3], out_strides[3]
    run, lanes = NV * VECTOR, VECTOR // size
    wide = run // size
    full = n // wide  # whole tiles; what is left is a task of its own
    parts = (full + together - 1) // together + (n > full * wide)
    ranges = (d + lines - 1) // lines
    is_whole = lines == d
    deep, rows = (1, 1) if is_whole else (c, b)
    of_x, of_out = (c * d, b * d) if is_whole else (lines, lines)
    results = buffer + lines * together * c * run
    step = together * run
    for task in range(first, last):
        part, g = task % parts, task // parts
        i = g // ranges
        lane = min(g % ranges * lines, d - lines)
        tiles = min(together, max(full - part * together, 1))
        start = min(part * together * wide, n - wide)
        for t in range(tiles):
            for k in range(deep):
                source = x + i * xi + (k * d + lane) * size + (start + t * wide) * xn
                for q in range(0, of_x, lanes):
                    q = min(q, of_x - lanes)
                    for v in range(NV):
                        at = source + q * size + v * lanes * xn
                        transpose_in(kind, at, xn, buffer + (t * c + k) * run + v * VECTOR, table + 8 * q)
        for line in range(lines):
            values = w + (i * d + lane + line) * (tall * TALL + short * SHORT) * c * size
            source, target = buffer + line * together * c * run, results + line * b * step
            block(kind, size, values, source, run, tall, short, b, c, target, step, tiles)
        for t in range(tiles):
            for j in range(rows):
                target = out + i * oi + (j * d + lane) * size + (start + t * wide) * on
                for q in range(0, of_out, lanes):
                    q = min(q, of_out - lanes)
                    for v in range(NV):
                        at = target + q * size + v * lanes * on
                        transpose_out(kind, results + j * step + t * run + v * VECTOR, table + 8 * (of_x + q), at, on)


@compiled
def by_vectors(kind, size, first, last, w, x, x_strides, out, out_strides, sizes, buffer):
    """The tasks first:last with vectors of the batch as rows of tiles; `w` is packed by `packed_vectors`."""
    b, c, d, n, together = sizes
    xi, xk, xl, xn = x_strides
    oi, oj, ol, on = out_strides
    run = NV * VECTOR
    wide = run // size
    panels = (b + wide - 1) // wide
    group = WIDE // NV
    parts = (n + together - 1) // together
    stores = oj == size and b >= wide
    for task in range(first, last):
        part, g = task % parts, task // parts
        i, lane = g // d, g % d
        values = w + g * panels * c * run
        low = part * together
        high = min(low + together, n)
        if n == 1:
            source = x + i * xi + lane * xl
            for p in range(0, panels, group):
                p = max(min(p, panels - group), 0)
                apart = c * run if panels >= group else 0
                for q in range(1 if panels >= group else panels):
                    tile_one(kind, source, xk, values + (p + q) * c * run, apart, c, buffer)
                    for r in range(group if panels >= group else 1):
                        row = max(min((p + q + r) * wide, b - wide), 0)
                        target = out + i * oi + lane * ol + row * oj
                        scatter(kind, size, buffer + r * run, 1, min(b, wide), target, on, oj)
            continue
        for p in range(panels):
            row = max(min(p * wide, b - wide), 0)
            for column in range(low, high, TALL):
                column = max(min(column, high - TALL), low)
                live = min(high - low, TALL)
                source = x + i * xi + lane * xl + column * xn
                target = out + i * oi + lane * ol + row * oj + column * on
                if stores:
                    tile_batch(kind, source, xn, xk, live, values + p * c * run, c, target, on)
                else:
                    tile_batch(kind, source, xn, xk, live, values + p * c * run, c, buffer, run)
                    scatter(kind, size, buffer, live, min(b, wide), target, on, oj)


@compiled
def read_tiles(kind, size, x, row_stride, stride, n_rows, tiles, table, to, apart):
    """Copy some tile's widths of vectors into runs, row by row; the table has the places of the runs of a tile."""
    run, lanes = NV * VECTOR, VECTOR // size
    wide = run // size
    if stride == size:
        for r in range(n_rows):
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
                block(kind, size, w, panel, run, tall, short, b, c, target + i * b * step + lane * run, step, 1)
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
