r"""Compiled products of Kronecker-sparse matrices with batches of vectors: shares of the work, one function per kernel.

Everything is :math:`out_{ijln} = \sum_k w_{ijkl} x_{ikln}` for some blocks (i, l) and some vectors n, on one tile of
registers after the other. An entry of the product is the sum from k = 0 on, each term added by one fused multiply-add
(where the processor has it) to what there was. So its bits depend neither on the tile, the layout, the batch nor the
threads.

**What comes next is fetched.** While a task is multiplied, the vectors of the next one are asked for line by line, and
packed or copied row by row between two tiles: the way to memory hides behind the work.

Addresses and strides are integers, in bytes: the same compiled code serves arrays of any strides and alignment.
"""

from __future__ import annotations

from pathgraph.kronecker.kernels.numba_blocks import busy_block, compiled, fill, pace, scatter
from pathgraph.kronecker.kernels.tiles import (
    ABREAST,
    APART,
    BROAD,
    DEEP,
    LINE,
    LOW,
    MANY,
    NV,
    SHORT,
    STEPS,
    TALL,
    VECTOR,
    WIDE,
    copy,
    far_deep,
    far_low,
    fetch,
    integers_at,
    pack,
    tile_batch,
    tile_broad,
    tile_of_8,
    tile_of_16,
    tile_of_32,
    tile_of_64,
    tile_one,
    tile_stream,
    transpose_in,
    transpose_out,
)  # fmt: skip

__all__ = ["by_copies", "by_groups", "by_near", "by_one", "by_rows", "by_vectors", "transposing"]

MADE_OF = "c3628b1023d90ee6"
"""Of the files whose functions are compiled here: Numba's cache notices a change in this file only."""


@compiled
def by_rows(kind, first, last, call, x, out, buffer):
    """The tasks first:last with rows of blocks as rows of tiles; a task is a block and a part of the batch.

    Parameters
    ----------
    kind : float32 or float64
        Zero.
    call : int
        Address of 64-bit integers, from `launch.plan`. They are, for each kernel: the bytes of a number; the address of
        the packed values, here by `packed_rows`; the strides of x and out along i, k or j, l and n, in bytes; b, c, d
        and, but for `by_one`, n. Here: how many tile's widths of the batch a task has; tall and short tiles of a block;
        how many tiles side by side meet one panel of values after the other; whether the first panel reads vectors
        where they lie.
    x, out : int
        Addresses.
    buffer : int
        Address of room for the vectors of a task, and for b rows more, as wide as a tile each.
    """
    size, w, xi, xk, xl, xn, oi, oj, ol, on, b, c, d, n, together, tall, short, beside, is_near = integers_at(19, call)
    run = NV * VECTOR
    wide = run // size
    full = max(n // wide, 1)  # whole tiles; what is left goes with the last of them
    parts = (full + together - 1) // together
    loads, stores = xn == size and n >= wide, on == size and n >= wide
    panels, room = tall + short, (together + 1) * c * run
    rows = buffer + 2 * room
    here, there = buffer, buffer + room
    is_packed = False
    for task in range(first, last):
        part, g = task % parts, task // parts
        i, lane = g // d, g % d
        low = part * together
        tiles = min(together, full - low) + (low + together >= full and n > full * wide)
        source = x + i * xi + lane * xl
        if not loads:
            for t in range(tiles):
                column = max(min((low + t) * wide, n - wide), 0)
                fill(kind, size, source + column * xn, xk, xn, c, min(n, wide), here + t * c * run)
        elif not is_packed and not is_near:
            for t in range(tiles):
                pack(kind, source + min((low + t) * wide, n - wide) * size, xk, c, here + t * c * run, run)
        next_part, next_g = (task + 1) % parts, (task + 1) // parts
        next_low = next_part * together
        wholes, more = max(1, min(together, full - next_low)), -1
        if next_low + together >= full and n > full * wide:
            more = (n - wide - next_low * wide) * size
        is_packed = loads and task + 1 < last
        width = wholes * run
        ahead = x + next_g // d * xi + next_g % d * xl + next_low * run
        packing, fetching = (ahead, xk, wholes, more, there), (ahead, xk, width, c)
        if not is_packed:
            packing, fetching = (ahead, xk, 0, more, there), (ahead, xk, width, 0)
        elif is_near:
            packing = (ahead, xk, 0, more, there)
        values = w + g * (tall * TALL + short * SHORT) * c * size
        early = 2 * ((width + LINE) * c // (tiles * panels)) + LINE
        state = (0, 0, early // (width + LINE), early % (width + LINE))
        t = 0
        while t < tiles:
            some = min(beside, full - low - t, tiles - t) if stores and t < full - low else 1
            column = max(min((low + t) * wide, n - wide), 0)
            target = out + i * oi + lane * ol + column * on
            at, stride = (target, oj) if stores else (rows, run)
            given, x_stride, x_step, kept = here + t * c * run, run, c * run, 0
            if is_near:
                given, x_stride, x_step, kept = source + column * size, xk, run, given if panels > 1 else 0
            state = busy_block(
                kind, size, values, given, x_stride, x_step, kept, tall, short, b, c, at, stride, some,
                packing, fetching, tiles * panels, state,
            )  # fmt: skip
            if not stores:
                scatter(kind, size, rows, b, min(n, wide), target, oj, on)
            t += some
        here, there = there, here


@compiled
def by_near(kind, first, last, call, x, out, buffer):
    """As `by_rows`, where rows of vectors lie so near to each other that every tile reads them where they lie.

    A task is a block, with all vectors: tiles have few rows, and runs so long that there are few of them beside each
    other. Meanwhile the vectors of the next task are fetched. The values are packed by `packed_rows`, in such tiles.
    """
    size, w, xi, xk, xl, _, oi, oj, ol, _, b, c, d, n, deep, low = integers_at(16, call)
    run, width = BROAD * VECTOR, n * size
    runs, long = (width + run - 1) // run, width + LINE  # a row may begin inside a line
    each = long * c // ((deep + low) * runs)
    along = pace(each, c)
    values = w + first * (deep * DEEP + low * LOW) * c * size
    for task in range(first, last):
        source, target = x + task // d * xi + task % d * xl, out + task // d * oi + task % d * ol
        ahead = x + (task + 1) // d * xi + (task + 1) % d * xl
        line, offset = c if task + 1 == last else 0, 0
        for p in range(deep + low):
            row, rows = max(min(p * DEEP, b - DEEP), 0), DEEP
            if p >= deep:
                row, rows = max(min(deep * DEEP + (p - deep) * LOW, b - LOW), 0), LOW
            for t in range(runs):
                begin, moves, end, jump, step = values, 0, values + 1, 0, 0
                if line < c:
                    begin = ahead + line * xk
                    begin, moves, end, jump, step = begin + offset, along, begin + long, xk - long, xk
                    offset += each
                    while offset >= long:
                        offset -= long
                        line += 1
                at = min(t * run, width - run)
                given, to = source + at, target + row * oj + at
                if p < deep:
                    far_deep(kind, values, given, xk, c, to, oj, min(DEEP, b), begin, moves, end, jump, step)
                else:
                    far_low(kind, values, given, xk, c, to, oj, min(LOW, b), begin, moves, end, jump, step)
            values += rows * c * size


@compiled
def transposing(kind, first, last, call, x, out, buffer):
    """As `by_rows`, for arrays whose unit stride is along l, and along k and j with d between: batch first.

    The table has the places in the buffer of numbers that follow each other in memory, of x and then of out:
    all c d and b d of them if d is less than a vector has, else as many as `lines` of successive l.
    """
    size, w, xi, _, _, xn, oi, _, _, on, b, c, d, n, together, tall, short, lines, table = integers_at(19, call)
    run, lanes = NV * VECTOR, VECTOR // size
    wide = run // size
    full = n // wide  # whole tiles; what is left is a task of its own
    parts = (full + together - 1) // together + (n > full * wide)
    ranges = (d + lines - 1) // lines
    is_whole = lines == d
    deep, rows = (1, 1) if is_whole else (c, b)
    of_x, of_out = (c * d, b * d) if is_whole else (lines, lines)
    step = together * run
    x_pitch, out_pitch = c * step + APART, b * step + APART
    results = buffer + lines * x_pitch
    stage, apart = results + lines * out_pitch, (max(b, c) * lines * size + 63) // 64 * 64 + 64
    for task in range(first, last):
        part, g = task % parts, task // parts
        i = g // ranges
        lane = min(g % ranges * lines, d - lines)
        tiles = min(together, max(full - part * together, 1))
        start = min(part * together * wide, n - wide)
        for t in range(tiles):
            for k in range(deep):
                source = x + i * xi + (k * d + lane) * size + (start + t * wide) * xn
                for v in range(NV):
                    for q in range(0, of_x, lanes):
                        q = min(q, of_x - lanes)
                        at = source + q * size + v * lanes * xn
                        transpose_in(kind, at, xn, buffer + (t * c + k) * run + v * VECTOR, table + 8 * q)
        # half of the tiles fetch where the product goes, the others the vectors of the next task
        next_part, next_i = (task + 1) % parts, (task + 1) // parts // ranges
        next_tiles = min(together, max(full - next_part * together, 1))
        ahead = x + next_i * xi + min(next_part * together * wide, n - wide) * xn
        nothing = (x, 0, 0, 0, x)
        half, panels = (lines + 1) // 2, tall + short
        fetching, calls = (out + i * oi + start * on, on, of_out * size, tiles * wide * is_whole), half * panels * tiles
        state = (0, 0, 0, 0)
        for line in range(lines):
            if line == half:
                fetching, calls = (ahead, xn, of_x * size, next_tiles * wide), (lines - half) * panels * tiles
                if not is_whole or task + 1 == last:
                    fetching = (ahead, xn, of_x * size, 0)
                state = (0, 0, 0, 0)
            values = w + (i * d + lane + line) * (tall * TALL + short * SHORT) * c * size
            source, target = buffer + line * x_pitch, results + line * out_pitch
            state = busy_block(
                kind, size, values, source, run, c * run, 0, tall, short, b, c, target, step, tiles,
                nothing, fetching, calls, state,
            )  # fmt: skip
        for t in range(tiles):
            for j in range(rows):
                for q in range(0, of_out, lanes):
                    q = min(q, of_out - lanes)
                    for v in range(NV):
                        at = stage + (j * of_out + q) * size + v * lanes * apart
                        given = results + j * step + t * run + v * VECTOR
                        transpose_out(kind, given, table + 8 * (of_x + q), at, apart)
            for row in range(wide):
                target = out + i * oi + lane * size + (start + t * wide + row) * on
                for j in range(rows):
                    copy(kind, stage + row * apart + j * of_out * size, target + j * d * size, of_out * size)


@compiled
def by_vectors(kind, first, last, call, x, out, buffer):
    """The tasks first:last with vectors of the batch as rows of tiles; the values are packed by `packed_vectors`."""
    size, w, xi, xk, xl, xn, oi, oj, ol, on, b, c, d, n, together = integers_at(15, call)
    run = NV * VECTOR
    wide = run // size
    panels = (b + wide - 1) // wide
    parts = (n + together - 1) // together
    stores = oj == size and b >= wide
    for task in range(first, last):
        part, g = task % parts, task // parts
        i, lane = g // d, g % d
        values = w + g * panels * c * run
        low = part * together
        high = min(low + together, n)
        for p in range(panels):
            row = max(min(p * wide, b - wide), 0)
            for column in range(low, high, TALL):
                column = max(min(column, high - TALL), low)
                live = min(high - low, TALL)
                source = x + i * xi + lane * xl + column * xn
                target = out + i * oi + lane * ol + row * oj + column * on
                panel = values + p * c * run
                if stores:
                    tile_stream(kind, source, xn, xk, live, panel, c, target, on)
                else:
                    tile_stream(kind, source, xn, xk, live, panel, c, buffer, run)
                    scatter(kind, size, buffer, live, min(b, wide), target, on, oj)


@compiled
def by_one(kind, first, last, call, x, out, buffer):
    """The tasks first:last for a single vector; a task is a panel of a block. Values are packed by `packed_for_one`."""
    size, w, xi, xk, xl, _, oi, oj, ol, _, b, c, d = integers_at(13, call)
    lanes = VECTOR // size
    wide, rows = WIDE * lanes, (b + lanes - 1) // lanes * lanes
    panels = (rows + wide - 1) // wide
    for task in range(first, last):
        g, row = task // panels, task % panels * wide
        i, lane = g // d, g % d
        vectors, live = min(rows - row, wide) // lanes, min(b - row, wide)
        source, target = x + i * xi + lane * xl, out + i * oi + lane * ol + row * oj
        values = w + (g * rows + row) * c * size
        if oj == size and live == vectors * lanes:
            tile_one(kind, source, xk, values, vectors, c, target)
        else:
            tile_one(kind, source, xk, values, vectors, c, buffer)
            scatter(kind, size, buffer, 1, live, target, 0, oj)


@compiled
def by_copies(kind, first, last, call, x, out, buffer):
    """As `by_vectors`, for arrays whose unit stride is along k and j, at least as many as a tile has of each.

    The vectors of a task are copied to rows `pitch` bytes apart, those of the next one while this one is multiplied.
    The values are packed by `packed_vectors`, the last of their panels one machine vector broader if `broad`.
    """
    size, w, xi, _, xl, xn, oi, _, ol, on, b, c, d, n, together, panels, broad, pitch = integers_at(18, call)
    run, length = NV * VECTOR, c * size
    parts = (n + together - 1) // together
    here, there = buffer, buffer + together * pitch
    heights = (together + TALL - 1) // TALL
    needed = (run + broad * VECTOR + LINE - 1) // LINE * STEPS
    # tiles of a panel that ask for the next one, c // STEPS lines each
    others = min(needed, heights - 1) if heights > NV + 1 else 0
    calls = panels * (heights - others)
    each = together * (length + LINE) // calls
    along = pace(each, c)
    early = 2 * (together // calls + 1)
    for task in range(first, last):
        low, g = min(task % parts * together, n - together), task // parts
        source = x + g // d * xi + g % d * xl + low * xn
        if task == first:
            for row in range(together):
                copy(kind, source + row * xn, here + row * pitch, length)
        low_next, g_next = min((task + 1) % parts * together, n - together), (task + 1) // parts
        source = x + g_next // d * xi + g_next % d * xl + low_next * xn
        credit, row, line, offset = 0, 0, min(early, together), 0
        if task + 1 < last:
            for far in range(line):
                fetch(kind, source + far * xn, length)
        else:
            row = line = together
        target = out + g // d * oi + g % d * ol + low * on
        values = w + g * (panels * run + broad * VECTOR) * c
        for p in range(panels):
            is_broad = broad and p == panels - 1
            width = run + VECTOR if is_broad else run
            at = target + min(p * run, b * size - width)
            for t in range(heights):
                ahead, moves, end, jump, step = values, 0, values + 1, 0, 0
                if t < others:
                    ahead = values + c * width + t * (c // STEPS) * LINE
                    moves, end = LINE, ahead + c * LINE
                elif row < together:
                    credit += together
                    while credit >= calls:
                        copy(kind, source + row * xn, there + row * pitch, length)
                        credit -= calls
                        row += 1
                    if line < together:
                        start = source + line * xn
                        ahead, moves, end = start + offset, along, start + length + LINE
                        jump, step = xn - length - LINE, xn
                        offset += each
                        while offset >= length + LINE:
                            offset -= length + LINE
                            line += 1
                column = min(t * TALL, together - TALL)
                given, to = here + column * pitch, at + column * on
                if is_broad:
                    tile_broad(kind, given, pitch, size, TALL, values, c, to, on, ahead, moves, end, jump, step)
                else:
                    tile_batch(kind, given, pitch, size, TALL, values, c, to, on, ahead, moves, end, jump, step)
            values += c * width
        here, there = there, here


@compiled
def by_groups(kind, first, last, call, x, out, buffer):
    """As `by_copies`, where a machine vector has several j with all their l, or one if d is the number of its lanes.

    A task is a block with all its l, and the vectors of the batch of one tile: they are copied to rows `pitch` bytes
    apart, which stay in the first-level cache while all values meet them; so are those of the next task, meanwhile.
    Those of the one after it are fetched, and if `is_far` the lines that the product of the next task will take. The
    values are packed by `packed_groups`.
    """
    size, w, xi, _, _, xn, oi, _, _, on, b, c, d, n, is_far, pitch = integers_at(16, call)
    group, run, heights = d * size, ABREAST * VECTOR, (n + MANY - 1) // MANY
    panels = (b * group + run - 1) // run
    here, there = buffer, buffer + MANY * pitch
    requests = max(c // STEPS, 1)  # of a tile; none if c < STEPS, but some to divide by
    for task in range(first - 1, last):  # the first turn only copies
        turn = min(task + 1, last - 1)
        i, column = turn // heights, min(turn % heights * MANY, n - MANY)
        source, behind = x + i * xi + column * xn, out + i * oi + column * on
        if task < first:
            for row in range(MANY):
                copy(kind, source + row * xn, there + row * pitch, c * group)
            here, there = there, here
            continue
        turn = min(task + 2, last - 1)
        ahead = x + turn // heights * xi + min(turn % heights * MANY, n - MANY) * xn
        i, column, row = task // heights, min(task % heights * MANY, n - MANY), 0
        target, values = out + i * oi + column * on, w + i * panels * c * run
        for p in range(panels):
            while row * panels < (p + 1) * MANY:
                copy(kind, source + row * xn, there + row * pitch, c * group)
                row += 1
            after, stream = lines_of(ahead, xn, c * group, 0, p, requests)
            if is_far and p >= after:
                _, stream = lines_of(behind, on, b * group, after, p, requests)
            at = target + min(p * run, b * group - run)
            if group == 8:
                tile_of_8(kind, here, pitch, values, c, at, on, *stream)
            elif group == 16:
                tile_of_16(kind, here, pitch, values, c, at, on, *stream)
            elif group == 32:
                tile_of_32(kind, here, pitch, values, c, at, on, *stream)
            else:
                tile_of_64(kind, here, pitch, values, c, at, on, *stream)
            values += c * run
        here, there = there, here


@compiled
def lines_of(start, stride, length, first, part, requests):
    """Where a tile asks for two lines of some rows, so many `requests` times; the first part has the first ones.

    Returns the first part after it, and: the address of the first line, bytes to the next two, the end of the row, from
    there to the next row, and from row to row.
    """
    along = 2 * LINE
    width = (length + LINE + along - 1) // along * along  # a row may begin inside a line
    after = first + (MANY * width + requests * along - 1) // (requests * along)
    if part < first or part >= after:
        return after, (start, 0, start + 1, 0, 0)
    place = (part - first) * requests * along
    start += place // width * stride
    return after, (start + place % width, along, start + width, stride - width, stride)
