"""Functions on one tile of registers, in LLVM's language, as functions that Numba knows.

A tile is a few rows times a few machine vectors of the product, kept in registers through all k: at each k it reads one
number per row and one run of consecutive numbers, and does one fused multiply-add for each pair,

* `tile_tall` and `tile_short`: rows are rows j of the block, vectors run along the batch; `copy_tall` and `copy_short`
  copy the runs that they read; `near_tall` and `near_short` are for operands that are in the cache anyway; `far_deep`
  and `far_low` have fewer rows and longer runs, which come from further away;
* `tile_batch`, `tile_broad`, `tile_stream` and `tile_one`: rows are vectors n of the batch (of `tile_one`: one), and
  machine vectors run along j; the last two ask for the values that come next, the first two for other lines;
* `tile_of_8` to `tile_of_64`: the same along (j, l), for d numbers of so many bytes together.

Around them: copies, transposed squares, and lines of the cache that are asked for before they are needed. All arguments
are 64-bit integers, addresses and strides in bytes; the first one is a number of the type that the addresses point to.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from pathgraph.kernel_text import I64, LINE, N_REGISTERS, VECTOR, Writer

__all__ = [
    "ABREAST", "APART", "BROAD", "DEEP", "LINE", "LOW", "MANY", "NV", "N_REGISTERS", "SHORT", "STEPS", "TALL", "VECTOR",
    "WIDE",
    "copy", "copy_short", "copy_tall", "far_deep", "far_low", "fetch", "integers_at", "near_short", "near_tall",
    "number_at", "pack", "pairs", "put", "tile_batch", "tile_broad", "tile_of_8", "tile_of_16", "tile_of_32",
    "tile_of_64", "tile_one", "tile_short", "tile_stream", "tile_tall", "transpose_in", "transpose_out",
]  # fmt: skip

TALL = 8 if N_REGISTERS == 32 else 6
"""Rows of the tall tile; two vectors wide, like the short one."""
SHORT = 4
MANY, ABREAST = (6, 4) if N_REGISTERS == 32 else (4, 3)
"""Vectors of the batch, and machine vectors, of the tile whose machine vectors run along (j, l)."""
DEEP, LOW, BROAD = 6, 4, 4
"""Rows of the two tiles that read vectors where they lie, and machine vectors of either: for 32 registers only."""
STEPS, LEVEL = (1, 1) if N_REGISTERS == 32 else (4, 2)
"""Steps, one k each, that a turn of the loop makes, and the level of the caches into which tiles ask for the vectors
that come next; tiles of rows for values, too.

With 16 registers a request at every k would cost as much as many multiply-adds.
"""
WIDE = 8
"""Machine vectors of the tile for a single vector of the batch, at most."""
NV = 2
AHEAD = 8192
"""Bytes by which values are fetched before they are used: at about 32 a k, time enough for memory to answer."""
SOON = 2048
"""The same where several times as many are used at each k, and most of them are in the second-level cache."""
ONE_AHEAD = 4096
"""The same for a single vector: a page, beyond whose end a processor does not look by itself."""
APART = 128
"""Bytes between the vectors of one l and the next, beyond what they take: they come to lie in different cache sets."""


def _fetch_lines(to: Writer, at: Any, each: int, ahead: int, number: int | None, level: int) -> None:
    """In a step that reads `each` bytes from `at` on: ask for its share of what its turn will read `ahead` bytes on.

    The steps of a turn share the lines out; a step without a number asks for none. Where a turn reads no whole number
    of lines, some line is asked for twice.
    """
    for line in range(number, -(-STEPS * each // LINE), STEPS) if number is not None else ():
        to.fetch(to.plus(at, ahead + line * LINE - number * each), level=level)


def _fetch_targets(to: Writer, targets: list[Any], vectors: int, *, level: int) -> None:
    """Ask for the lines that the rows of a tile will be written to, into a level of the caches.

    Rows may begin inside a line: that of their last byte is asked for, too. To ask in order to write would bring them
    to the first level, whatever the level.
    """
    for target in targets:
        for offset in [*range(0, vectors * VECTOR, LINE), vectors * VECTOR - 1]:
            to.fetch(to.plus(target, offset), to_write=level == 1, level=level)


def _fetch_row(to: Writer, moving: list[Any], further: list[Any]) -> list[Any]:
    """Ask for the line whose address is `moving`, with the end of its row, and move both on; see `_tile_of_rows`."""
    _, along, _, jump, row = further
    address, end = moving
    return list(to.fetched_next(address, along, end, jump, row, level=LEVEL))


def _tile_of_rows(rows: int, vectors: int = NV, *, fetches: bool, copies: bool = False) -> Any:
    """Rows of a block times vectors of the batch: (w, x, x_stride, depth, out, out_stride, live, and up to six more).

    If it `fetches`, it asks meanwhile for the values that come next, for where the product goes, and, by five more
    arguments (ahead, along, end, jump, row), for a line every `STEPS` k: its address moves by `along`, and by `jump`
    more from `end` on, which itself moves by `row` then. If it `copies`, too, it leaves the runs that it reads one
    after the other, at an address that comes before these five.
    """

    def write(to: Writer) -> None:
        w, x, x_stride, depth, out, out_stride, live, *further = to.function.args
        kept = [further.pop(0) for _ in range(copies)]
        targets = to.spaced(out, out_stride, rows, live)
        if fetches:
            _fetch_targets(to, targets, vectors, level=1)

        def step(where: list[Any], number: int | None) -> Any:
            w, x, *moving = where
            kept = [moving.pop() for _ in range(copies)]
            if fetches:
                _fetch_lines(to, w, rows * to.size, AHEAD, number, LEVEL)
            if fetches and number == 0:
                moving = _fetch_row(to, moving, further)
            numbers = [to.plus(w, r * to.size) for r in range(rows)]
            runs = [to.plus(x, v * VECTOR) for v in range(vectors)]
            places = [[to.plus(to_keep, v * VECTOR) for v in range(vectors)] for to_keep in kept]
            kept = [to.plus(to_keep, vectors * VECTOR) for to_keep in kept]
            return runs, numbers, [to.plus(w, rows * to.size), to.plus(x, x_stride), *moving, *kept], *places

        sums = to.accumulated(rows, vectors, depth, [w, x, *further[0:3:2], *kept], step, steps=STEPS)
        for r, target in enumerate(targets):
            for v in range(vectors):
                to.store(sums[r][v], to.plus(target, v * VECTOR))

    return _callable(f"rows{rows}x{vectors}{'ahead' * fetches}{'kept' * copies}", 7 + 5 * fetches + copies, write)


def _tile_of_vectors(rows: int, vectors: int, *, streams: bool = False) -> Any:
    """Vectors of the batch times rows of a block: (x, row_stride, x_stride, live, w, depth, out, out_stride, and more).

    Meanwhile it asks for where the product goes: into the second-level cache, since vectors of the batch often are
    whole pages long, and then lie in the same sets of the first one. If it `streams`, it asks for the values that come
    next, into the first-level cache; if not, for the lines that five more arguments give, as in `_tile_of_rows`.
    """

    def write(to: Writer) -> None:
        x, row_stride, x_stride, live, w, depth, out, out_stride, *further = to.function.args
        starts = to.spaced(x, row_stride, rows, live)
        targets = to.spaced(out, out_stride, rows, live)
        _fetch_targets(to, targets, vectors, level=2)

        def step(where: list[Any], number: int | None) -> Any:
            w, offset, *moving = where
            runs = [to.plus(w, v * VECTOR) for v in range(vectors)]
            if streams:
                _fetch_lines(to, w, vectors * VECTOR, AHEAD, number, 1)
            elif number == 0:
                moving = _fetch_row(to, moving, further)
            numbers = [to.plus(start, offset) for start in starts]
            return runs, numbers, [to.plus(w, vectors * VECTOR), to.plus(offset, x_stride), *moving]

        sums = to.accumulated(rows, vectors, depth, [w, I64(0), *further[0:3:2]], step, steps=STEPS)
        for r, target in enumerate(targets):
            for v in range(vectors):
                to.store(sums[r][v], to.plus(target, v * VECTOR))

    return _callable(f"vectors{rows}x{vectors}{'streaming' * streams}", 13 - 5 * streams, write)


def _tile_of_groups(group: int) -> Any:
    """As `_tile_of_vectors`, where machine vectors run along (j, l) with all l, `group` bytes of them.

    Takes (x, row_stride, w, depth, out, out_stride, and the same five more). All rows are there; lines are fetched into
    the second-level cache, two every `STEPS` k.
    """
    group = min(group, VECTOR)

    def write(to: Writer) -> None:
        x, row_stride, w, depth, out, out_stride, ahead, along, end, jump, row = to.function.args
        starts = to.spaced(x, row_stride, MANY)

        def step(where: list[Any], number: int | None) -> Any:
            w, offset, ahead, end = where
            runs = [to.plus(w, v * VECTOR) for v in range(ABREAST)]
            if group == VECTOR:  # values are used as fast as they come from the second-level cache
                _fetch_lines(to, w, ABREAST * VECTOR, SOON, number, 1)
            if number == 0:
                to.fetch(to.plus(ahead, LINE), level=2)
                ahead, end = to.fetched_next(ahead, along, end, jump, row, level=2)
            numbers = [to.plus(start, offset) for start in starts]
            return runs, numbers, [to.plus(w, ABREAST * VECTOR), to.plus(offset, group), ahead, end]

        sums = to.accumulated(MANY, ABREAST, depth, [w, I64(0), ahead, end], step, group // to.size, STEPS)
        for line, target in zip(sums, to.spaced(out, out_stride, MANY), strict=True):
            for v in range(ABREAST):
                to.store(line[v], to.plus(target, v * VECTOR))

    return _callable(f"groups{group}", 11, write)


def _tile_of_one() -> Any:
    """One vector of the batch times `vectors` machine vectors of rows: (x, x_stride, w, vectors, depth, out).

    There is a loop for each number of machine vectors up to `WIDE`. The values are one stream. At each k it asks, a
    page ahead, for the first of every four lines that it reads: for one in four where there are eight machine vectors
    of 64 bytes, for every line, or for each more than once, where a k has a line or less.
    """

    def write(to: Writer) -> None:
        x, x_stride, w, vectors, depth, out = to.function.args

        def multiply(width: int) -> None:
            def step(where: list[Any], number: int | None) -> Any:
                w, x = where
                for offset in range(0, width * VECTOR, 4 * LINE):
                    to.fetch(to.plus(w, ONE_AHEAD + offset), level=2)
                runs = [to.plus(w, v * VECTOR) for v in range(width)]
                return runs, [x], [to.plus(w, width * VECTOR), to.plus(x, x_stride)]

            sums = to.accumulated(1, width, depth, [w, x], step)
            for v in range(width):
                to.store(sums[0][v], to.plus(out, v * VECTOR))

        for width in range(1, WIDE + 1):
            with to.builder.if_then(to.builder.icmp_signed("==", vectors, I64(width))):
                multiply(width)

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


def _copying() -> Any:
    """Copy bytes that follow each other, at least as many as a vector has: (source, target, length)."""

    def write(to: Writer) -> None:
        source, target, length = to.function.args
        wholes = to.builder.udiv(length, I64(VECTOR))

        def body(state: list[Any]) -> list[Any]:
            source, target = state
            to.store(to.load(source, to.vector), target)
            return [to.plus(source, VECTOR), to.plus(target, VECTOR)]

        to.loop(wholes, [source, target], body)
        rest = to.plus(length, -VECTOR)
        to.store(to.load(to.plus(source, rest), to.vector), to.plus(target, rest))

    return _callable("copy", 3, write)


def _fetching() -> Any:
    """Ask for the cache lines of bytes that follow each other: (source, length)."""

    def write(to: Writer) -> None:
        source, length = to.function.args

        def body(state: list[Any]) -> list[Any]:
            to.fetch(state[0])
            return [to.plus(state[0], LINE)]

        to.loop(to.plus(to.builder.udiv(to.plus(length, -1), I64(LINE)), 2), [source], body)  # the first may be cut

    return _callable("fetch", 2, write)


def _pairing() -> Any:
    """Blocks of 2 x 2 that follow each other, in place, on one tile's width: (w, x, x_stride, count)."""

    def write(to: Writer) -> None:
        w, x, x_stride, count = to.function.args
        zero = ir.Constant(to.vector, [0.0] * to.lanes)

        def body(state: list[Any]) -> list[Any]:
            w, x = state
            numbers = [to.spread(to.plus(w, q * to.size)) for q in range(4)]  # k, then j
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
    by_count = {
        2: lambda typing, kind, a, b: typed(kind),
        3: lambda typing, kind, a, b, c: typed(kind),
        4: lambda typing, kind, a, b, c, d: typed(kind),
        5: lambda typing, kind, a, b, c, d, e: typed(kind),
        6: lambda typing, kind, a, b, c, d, e, f: typed(kind),
        7: lambda typing, kind, a, b, c, d, e, f, g: typed(kind),
        8: lambda typing, kind, a, b, c, d, e, f, g, h: typed(kind),
        11: lambda typing, kind, a, b, c, d, e, f, g, h, i, j, k: typed(kind),
        12: lambda typing, kind, a, b, c, d, e, f, g, h, i, j, k, m: typed(kind),
        13: lambda typing, kind, a, b, c, d, e, f, g, h, i, j, k, m, n: typed(kind),
    }
    return intrinsic(by_count[n_arguments])


tile_tall = _tile_of_rows(TALL, fetches=True)
tile_short = _tile_of_rows(SHORT, fetches=True)
copy_tall = _tile_of_rows(TALL, fetches=True, copies=True)
copy_short = _tile_of_rows(SHORT, fetches=True, copies=True)
near_tall = _tile_of_rows(TALL, fetches=False)
near_short = _tile_of_rows(SHORT, fetches=False)
far_deep = _tile_of_rows(DEEP, BROAD, fetches=True)
far_low = _tile_of_rows(LOW, BROAD, fetches=True)
tile_batch = _tile_of_vectors(TALL, NV)
tile_broad = _tile_of_vectors(TALL, NV + 1)
tile_stream = _tile_of_vectors(TALL, NV, streams=True)
tile_one = _tile_of_one()
tile_of_8, tile_of_16, tile_of_32, tile_of_64 = (_tile_of_groups(group) for group in (8, 16, 32, 64))
pack = _packing()
copy = _copying()
fetch = _fetching()
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


@intrinsic(prefer_literal=True)
def integers_at(typing, count, address):
    """So many 64-bit integers from an address on, as a tuple; the number of them is known to the compiler."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    kind = types.UniTuple(types.int64, count.literal_value)

    def generate(context, builder, signature, args):
        places = [builder.add(args[1], I64(8 * q)) for q in range(count.literal_value)]
        values = [builder.load(builder.inttoptr(place, I64.as_pointer())) for place in places]
        return context.make_tuple(builder, kind, values)

    return kind(count, types.int64), generate


@intrinsic
def put(typing, kind, address, value):
    """Write a number to an address."""

    def generate(context, builder, signature, args):
        builder.store(args[2], builder.inttoptr(args[1], args[2].type.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(kind, types.int64, kind), generate
