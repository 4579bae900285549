"""Products of chains of Kronecker-sparse matrices: runs of small factors take one launch each.

A run of neighbouring factors whose a have a common divisor a, and whose d have one, d, leaves a d parts of a vector
apart. If these are short, a block takes parts of some vectors through all factors of the run in shared memory
(``kernels/chains.cu``), and memory is read and written once for the run. `runs_of` cuts a chain into the fewest
launches, and among those takes the shortest parts. Other factors take a launch of `pathgraph_gpu.products`.

Whether factors are fused changes no bit of a result: every entry is the same sum. float16 is computed in float32 and
rounded once, at the end.

What is made of the factors at their first product is kept for the next ones. These may run on another stream, which
then waits for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pathgraph_gpu import products
from pathgraph_gpu.complex_products import real_parts
from pathgraph_gpu.configurations import C_NAMES, THREADS, Configuration
from pathgraph_gpu.products import Factor

if TYPE_CHECKING:
    from pathgraph.kronecker.patterns import KSPattern
    from pathgraph_gpu.device import Device

__all__ = ["Run", "configurations", "multiply_chain", "runs_of"]

WIDTHS = (16, 64, 256)
"""The longest parts of a vector that a block holds, by configuration."""
ELEMENTS = {4: 4096, 8: 2048, 16: 1024}
"""Numbers that a block holds, twice, by their size."""
GROUPS = 8
"""Parts that a block takes side by side where they lie side by side in memory."""
SMALL = 8
"""Rows and columns of the blocks of factors that are worth fusing: larger ones are worth register tiles."""


class Run(NamedTuple):
    """Neighbouring factors, from left to right, and how they are taken.

    Attributes
    ----------
    start, stop : int
    a, d, width : int
        The parts of vectors that are apart, and the longest of them; a width of 0 for one factor that is not fused.
    """

    start: int
    stop: int
    a: int
    d: int
    width: int


def _fused(patterns: Sequence[KSPattern], start: int, stop: int, widest: int) -> Run | None:
    """A run as one launch, if it can be."""
    run = patterns[start:stop]
    a, d = math.gcd(*(p.a for p in run)), math.gcd(*(p.d for p in run))
    width = max(max(p.shape) for p in run) // (a * d)
    if width > widest or any(max(p.b, p.c) > SMALL for p in run):
        return None
    return Run(start, stop, a, d, width)


def runs_of(patterns: Sequence[KSPattern], *, batch_first: bool) -> list[Run]:
    """A chain as the fewest launches, with the shortest parts among those.

    Batch first, parts are shorter, as a block has to take several that lie side by side.
    """
    widest = WIDTHS[-2] if batch_first else WIDTHS[-1]
    best: list[tuple[int, int, list[Run]]] = [(0, 0, [])]
    for stop in range(1, len(patterns) + 1):
        options = [(best[stop - 1], Run(stop - 1, stop, 1, 1, 0))]
        for start in range(stop - 1):
            found = _fused(patterns, start, stop, widest)
            if found is not None:
                options.append((best[start], found))
        longer = [(n + 1, width + run.width, [*runs, run]) for (n, width, runs), run in options]
        best.append(min(longer, key=lambda one: one[:2]))
    return best[-1][2]


def multiply_chain(device: Device, factors: Sequence[Factor], x: Any, kept: dict[Any, Any], *, out: Any = None) -> Any:
    """The products of a chain with the vectors of a batch, from the right.

    Parameters
    ----------
    factors : sequence of (KSPattern, array of the device, bool)
        From left to right: each has a pattern, values of this pattern, and whether the factor is their transpose.
    x : array of the device, shape (outer, columns, inner)
    kept : dict
        What is made of the factors is kept here for their next product.
    out : array of the device, shape (outer, rows, inner), optional
        Where the products are written, as in `products.multiply`.

    Returns
    -------
    array of the device, shape (outer, rows, inner)
        `out`, or a new one.
    """
    dtype = x.dtype

    def once(name: Any, make: Callable[[], Any]) -> Any:
        if name not in kept:
            kept[name] = make(), device.mark()
        made, wait = kept[name]
        wait()
        return made

    if dtype == np.float16:
        factors = once("wide", lambda: [(pattern, own.astype(np.float32), turned) for pattern, own, turned in factors])
        x = x.astype(np.float32)
    patterns = [pattern.T if turned else pattern for pattern, _, turned in factors]
    for run in reversed(runs_of(patterns, batch_first=x.shape[2] == 1)):
        last = out if run.start == 0 and dtype == x.dtype else None
        if run.width == 0:
            pattern, values, turned = factors[run.start]
            x = products.multiply(device, pattern, values, x, transposed=turned, out=last)
            continue
        table, values = once(run, partial(_packed, device, factors[run.start : run.stop], run))
        x = _multiply_run(device, patterns[run.start : run.stop], run, table, values, x, last)
    if dtype == x.dtype:
        return x
    if out is None:
        return x.astype(dtype)
    out[...] = x  # rounded
    return out


def _packed(device: Device, factors: Sequence[Factor], run: Run) -> tuple[Any, Any]:
    """The table that the kernel reads, and the values of all factors of a run one behind the other."""
    table = np.zeros((len(factors), 5), dtype=np.int64)
    values = device.xp.empty(sum(pattern.nnz for pattern, _, _ in factors), dtype=factors[0][1].dtype)
    begin = 0
    for s, (pattern, own, turned) in enumerate(factors):
        a, b, c, d = pattern.T if turned else pattern
        table[s] = a // run.a, b, c, d // run.d, begin
        values[begin : begin + pattern.nnz] = (own.transpose(0, 2, 1, 3) if turned else own).reshape(-1)
        begin += pattern.nnz
    return device.to_device(table.reshape(-1)), values


def _multiply_run(
    device: Device, patterns: Sequence[KSPattern], run: Run, table: Any, values: Any, x: Any, out: Any = None
) -> Any:
    """The products of a run with a batch, in one launch: into `out` unless it is None."""
    dtype, (outer, _, inner) = np.dtype(x.dtype), x.shape
    rows, columns = patterns[0].shape[0], patterns[-1].shape[1]
    out = device.xp.empty((outer, rows, inner), dtype=dtype) if out is None else out
    if not outer * inner:
        return out
    # an array of complex numbers may begin between two pairs: NumPy and CuPy then read and write their parts
    if dtype.kind == "c" and not products.is_aligned(x):
        x = real_parts(x).copy().view(dtype)
    if dtype.kind == "c" and not products.is_aligned(out):
        real_parts(out)[...] = real_parts(_multiply_run(device, patterns, run, table, values, x))
        return out
    is_batch_outer = inner == 1
    groups = GROUPS if is_batch_outer and run.d >= GROUPS // 2 else 1
    width = next(width for width in WIDTHS if width >= run.width)
    batch, count = (outer, run.a) if is_batch_outer else (inner, run.a * outer)
    args: list[Any] = [*map(np.int64, (run.a, count, run.d, batch)), np.int32(len(patterns))]
    args += [table, values, np.int32(is_batch_outer)]
    for array, size in ((x, columns), (out, rows)):
        length = size // (run.a * run.d)
        strides = length * run.d * inner, run.d * inner, inner, size if is_batch_outer else 1
        args += [array, np.int32(length), *map(np.int64, strides)]
    blocks = count * -(-run.d // groups) * -(-batch // columns_of(width, groups, dtype))
    kernel = device.kernel("chains", "ks_chain", options(dtype, width, groups))
    kernel((min(blocks, products.BLOCKS),), (THREADS,), args)
    return out


def columns_of(width: int, groups: int, dtype: Any) -> int:
    """Vectors of a block."""
    return max(1, ELEMENTS[np.dtype(dtype).itemsize] // (width * groups))


def options(dtype: Any, width: int, groups: int) -> tuple[str, ...]:
    """The macros of the kernel."""
    kind = np.dtype(dtype)
    numbers = f"-DREAL={C_NAMES[kind.type(0).real.dtype.name]}", f"-DCOMPLEX={int(kind.kind == 'c')}"
    return *numbers, f"-DWIDTH={width}", f"-DGROUPS={groups}", f"-DBN={columns_of(width, groups, dtype)}"


def configurations() -> list[Configuration]:
    """Every configuration of the kernel that can be chosen."""
    return [
        Configuration("chains", "ks_chain", options(dtype, width, groups), (THREADS,), 0, False, np.dtype(dtype))
        for dtype in (np.float32, np.float64, np.complex64, np.complex128)
        for width in WIDTHS
        for groups in (1, GROUPS)
        if groups == 1 or width < WIDTHS[-1]
    ]
