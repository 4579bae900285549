"""Compiled sums over the paths of a neuron graph, of floats: one right-hand side, the power of the entries fused.

Kernels run forward over the neurons in canonical order, and backward over the levels in the opposite one. The sum into
a neuron is made by one thread in one order, so the number of threads changes no bit of a result; where the antecedents
of a neuron are consecutive, the compiler may reassociate its sum, and makes it in vector registers.

There is one kernel for each value of an entry that is wanted (`forward_rows`, `backward_rows`, `mass_rows`), by a
`code`: 0 for w, 1 for abs(w), 2 for w**2, 4 for w**4, and 3 for abs(w)**q. They are closures over numbers only: one
over another kernel would be compiled anew in each process.

These kernels ask for the entries of scattered antecedents some lines ahead (`will_read`): one line of a row, and more
only if it has two lines or more. They also ask for those of consecutive antecedents if it is worth it (`asks`,
`pathgraph.pathsum.engine.ASKS`): a processor that guesses what comes next does not look beyond the end of a page, and
waits there unless it is asked. A sum that is made without asking has one loop, and one addition of its parts.

Where no masses are made, scattered antecedents are taken two a turn, in the same order as one by one: with fewer
instructions between them, more reads are under way at the same time. The compiler does not unroll such loops by itself,
since it does not know their number of turns.

Indices are unsigned: Numba would ask of each signed one whether it counts from the end. The inner loops call no
function that takes an array: counting its references would take as long as a short sum. This file holds every function
that it compiles: a cached kernel would not notice a change in another file. What comes from others are constants of the
processor, and kernels are cached for each processor apart.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from pathgraph.cache_lines import LINE

compiled = njit(cache=True, nogil=True)
inlined = njit(cache=True, nogil=True, forceinline=True)
U = np.uintp


@intrinsic
def add_in_any_order(typing, total, factor, term):
    """``total + factor * term``, where the compiler may add many of these in another order."""

    def generate(context, builder, signature, args):
        flags = ("reassoc", "nsz", "contract")
        return builder.fadd(args[0], builder.fmul(args[1], args[2], flags=flags), flags=flags)

    return total(total, total, total), generate


@intrinsic
def as_kind_of(typing, like, number):
    """A number, in the type of another one."""

    def generate(context, builder, signature, args):
        return context.cast(builder, args[1], signature.args[1], signature.return_type)

    return like(like, number), generate


LINES, FEW = 32, 8
"""Lines that are asked for at once: in a sweep that reads for each entry, and in one that also writes for each."""

AHEAD = 64
"""Lines between what a sweep works on and what it asks for; left alone, a processor stops at the end of each page."""

FURTHER = 128
"""The same for a sweep that also writes masses: a line that is to be written comes later than one that is only read."""

SCATTERED = 24
"""Lines ahead where antecedents are scattered: each entry brings a line of its own, and what was asked for should still
be in the first-level cache when its turn comes."""

EARLY = 128
"""Edges between the one that is summed and the one whose antecedent is asked for, where the caches hold few of them."""


@intrinsic
def line_of(typing, array):
    """How many entries of an array share a cache line: a constant of the compiled code."""

    def generate(context, builder, signature, args):
        size = context.get_abi_sizeof(context.get_data_type(array.dtype))
        return ir.Constant(context.get_value_type(types.uintp), LINE // size)

    return types.uintp(array), generate


def _request(is_written):  # type: ignore[no-untyped-def]
    """An intrinsic that asks for the line with entry `k` of an array, to be read or to be written.

    It computes nothing: `k` may lie beyond the end.
    """

    @intrinsic
    def request(typing, array, k):
        def generate(context, builder, signature, args):
            data = context.make_array(signature.args[0])(context, builder, args[0]).data
            number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
            kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
            prefetch = builder.module.declare_intrinsic("llvm.prefetch", (byte,), kind)
            place = builder.bitcast(builder.gep(data, [args[1]]), byte)
            keep_close, is_data = number(3), number(1)
            builder.call(prefetch, [place, number(int(is_written)), keep_close, is_data])
            return context.get_dummy_value()

        return types.void(array, k), generate

    return request


will_read, will_write = _request(is_written=False), _request(is_written=True)


# -- forward ------------------------------------------------------------------------------------------------------


@inlined
def value(w, code, q):
    """The value of an entry, in its type: a sum in a wider one could be found to vanish only when it is stored."""
    if code == 0:
        return w
    if code == 1:
        return abs(w)
    if code == 2:
        return w * w
    if code == 4:
        return (w * w) * (w * w)
    return as_kind_of(w, abs(w) ** q)


@compiled
def vanished(lo, hi, w, antecedent, x):
    """Whether a sum of non-negative terms that came out as zero has a term that is not."""
    for e in range(lo, hi):
        if w[e] != 0 and x[U(antecedent[e]) + U(1)] != 0:
            return True
    return False


@cache
def forward_rows(code: int, with_runs: bool, with_biases: bool, is_vast: bool, asks: bool) -> Any:
    """The forward sweep: a kernel that sums into the neurons first:stop.

    It returns whether a sum of terms that are not zero came out as zero (never for signed values). A graph without runs
    of antecedents, or without biases, does not pay for looking. `is_vast`: the caches do not hold the sums of so many
    neurons, so those of scattered antecedents are asked for early. `asks`: entries of runs are asked for, too.
    """
    is_signed = code == 0

    @compiled
    def rows(first, stop, start, antecedent, run, bias, w, x, q):
        line = line_of(w)
        chunk, ahead, soon = U(LINES) * line, U(AHEAD) * line, U(SCATTERED) * line
        last = U(len(antecedent) - 1)
        lost = False
        hi = U(start[first])
        for v in range(U(first), U(stop)):
            lo, hi = hi, U(start[v + U(1)])
            total = x.dtype.type(0)
            if with_runs and run[v] >= 0:
                shift = U(run[v] + 1) - lo
                at = lo
                if asks:
                    while at + chunk <= hi:
                        for k in range(LINES):
                            will_read(w, at + ahead + U(k) * line)
                        for e in range(at, at + chunk):
                            total = add_in_any_order(total, value(x.dtype.type(w[e]), code, q), x[e + shift])
                        at += chunk
                    e = at + ahead
                    while e < hi + ahead:
                        will_read(w, e)
                        e += line
                for e in range(at, hi):
                    total = add_in_any_order(total, value(x.dtype.type(w[e]), code, q), x[e + shift])
            else:
                e = lo + soon
                will_read(w, e)
                will_read(antecedent, e)
                while e + line + line <= hi + soon:
                    e += line
                    will_read(w, e)
                    will_read(antecedent, e)
                e = lo
                if (hi - lo) & U(1):
                    if is_vast:
                        will_read(x, U(antecedent[min(e + U(EARLY), last)]) + U(1))
                    total += value(x.dtype.type(w[e]), code, q) * x[U(antecedent[e]) + U(1)]
                    e += U(1)
                while e < hi:
                    for _ in range(2):
                        if is_vast:
                            will_read(x, U(antecedent[min(e + U(EARLY), last)]) + U(1))
                        total += value(x.dtype.type(w[e]), code, q) * x[U(antecedent[e]) + U(1)]
                        e += U(1)
            total += x[v + U(1)]
            if with_biases:
                b = bias[v]
                if b >= 0:
                    total += value(x.dtype.type(w[b]), code, q) * x[0]
                    lost |= not is_signed and total == 0 and w[b] != 0 and x[0] != 0
            if not is_signed and total == 0:
                lost |= vanished(lo, hi, w, antecedent, x)
            x[v + U(1)] = total
        return lost

    return rows


@compiled
def forward_maxima(start, antecedent, bias, w, x):
    """The sweep in (max, x), of values w >= 0."""
    for v in range(len(start) - 1):
        top = x[v + 1]
        for e in range(U(start[v]), U(start[v + 1])):
            top = max(top, w[e] * x[U(antecedent[e]) + U(1)])
        b = bias[v]
        if b >= 0:
            top = max(top, w[b] * x[0])
        x[v + 1] = top


# -- backward -----------------------------------------------------------------------------------------------------


@cache
def backward_rows(code: int, with_runs: bool, is_vast: bool, asks: bool, to_some: bool) -> Any:
    """The backward sweep: a kernel that sends the sums of whole levels back, the neurons between two of their `ends`.

    It takes the levels in descending order and the neurons of each in ascending order, as memory is best read. It sends
    to all antecedents, or, `to_some`, to those that lie in low:high; asking each costs a third of the time.
    """

    @compiled
    def rows(ends, low, high, start, antecedent, run, w, y, q):
        line = line_of(w)
        few, ahead, soon = U(FEW) * line, U(AHEAD) * line, U(SCATTERED) * line
        last = U(len(antecedent) - 1)
        for level in range(len(ends) - 2, -1, -1):
            for v in range(U(ends[level]), U(ends[level + 1])):
                lo, hi = U(start[v]), U(start[v + U(1)])
                out = y[v + U(1)]
                if with_runs and run[v] >= 0:
                    a = run[v]
                    if to_some:
                        i, j = max(a, low), min(a + start[v + U(1)] - start[v], high)
                        if i >= j:
                            continue
                        a, lo, hi = i, lo + U(i - a), lo + U(j - a)
                    shift = U(a + 1) - lo
                    at = lo
                    while at < hi:
                        end = hi
                        if asks:
                            if at + few <= hi:
                                end = at + few
                            for k in range(FEW):
                                will_read(w, at + ahead + U(k) * line)
                        for e in range(at, end):
                            y[e + shift] += value(y.dtype.type(w[e]), code, q) * out
                        at = end
                    continue
                e = lo + soon
                will_read(w, e)
                will_read(antecedent, e)
                while e + line + line <= hi + soon:
                    e += line
                    will_read(w, e)
                    will_read(antecedent, e)
                e = lo
                if (hi - lo) & U(1):
                    if is_vast:
                        will_write(y, U(antecedent[min(e + U(EARLY), last)]) + U(1))
                    u = antecedent[e]
                    if not to_some or low <= u < high:
                        y[U(u) + U(1)] += value(y.dtype.type(w[e]), code, q) * out
                    e += U(1)
                while e < hi:
                    for _ in range(2):
                        if is_vast:
                            will_write(y, U(antecedent[min(e + U(EARLY), last)]) + U(1))
                        u = antecedent[e]
                        if not to_some or low <= u < high:
                            y[U(u) + U(1)] += value(y.dtype.type(w[e]), code, q) * out
                        e += U(1)

    return rows


@compiled
def backward_biases(bias, w, y):
    """What the biases send back to the constant."""
    for v in range(len(bias) - 1, -1, -1):
        b = bias[v]
        if b >= 0:
            y[0] += y.dtype.type(w[b]) * y[v + 1]


# -- forward, where the sums backward are known -------------------------------------------------------------------


@compiled
def underflows(lo, hi, w, antecedent, x, out, code, q):
    """Whether a mass, or a product on the way to it, is below the normal range although no factor is zero.

    Seldom called: inside `mass_rows` it would cost each short row.
    """
    tiny = np.finfo(x.dtype).tiny
    for e in range(U(lo), U(hi)):
        before = x[U(antecedent[e]) + U(1)]
        if w[e] != 0 and before != 0 and out != 0:
            factor = value(x.dtype.type(w[e]), code, q)
            if min(factor, factor * before, factor * out, factor * before * out) < tiny:
                return True
    return False


@cache
def mass_rows(code: int, with_runs: bool, with_biases: bool, is_vast: bool, asks: bool) -> Any:
    """The forward sweep of `forward_rows`, for `y` of the backward sweep: it also makes the masses of the entries.

    The sums over the paths through the edges into neuron v are put in `mass` from ``edges[v]`` on, that of its bias at
    ``biases[v]``. The kernel returns whether a number is lost: whether a mass, or a product on the way to it, is below
    the normal range although no factor is zero, or a sum of terms that are not zero came out as zero. A mass is not
    lost if it is at least ``room * max(1, y)``, where `room` is twice the smallest normal number, times the largest x
    so far if that exceeds 1; only rows with a smaller mass are looked through. It returns the room for the next
    neurons, too.
    """

    @compiled
    def rows(first, stop, start, antecedent, run, bias, w, x, q, y, mass, edges, biases, room):
        line = line_of(w)
        few, ahead, soon = U(FEW) * line, U(FURTHER) * line, U(SCATTERED) * line
        last = U(len(antecedent) - 1)
        tiny, one = np.finfo(x.dtype).tiny, x.dtype.type(1)
        lost = False
        hi = U(start[first])
        for v in range(U(first), U(stop)):
            lo, hi = hi, U(start[v + U(1)])
            out, total, here = y[v + U(1)], x.dtype.type(0), U(edges[v]) - lo
            limit = room * max(one, out)
            is_small = False
            if with_runs and run[v] >= 0:
                shift = U(run[v] + 1) - lo
                small = 0
                at = lo
                while at < hi:
                    end = hi
                    if asks:
                        if at + few <= hi:
                            end = at + few
                        for k in range(FEW):
                            will_read(w, at + ahead + U(k) * line)
                            will_write(mass, at + ahead + here + U(k) * line)
                    for e in range(at, end):
                        factor = value(x.dtype.type(w[e]), code, q)
                        total = add_in_any_order(total, factor, x[e + shift])
                        through = factor * x[e + shift] * out
                        mass[e + here] = through
                        small += through < limit
                    at = end
                is_small = small > 0
            else:
                least = x.dtype.type(np.inf)
                e = lo + soon
                will_read(w, e)
                will_read(antecedent, e)
                will_write(mass, e + here)
                while e + line + line <= hi + soon:
                    e += line
                    will_read(w, e)
                    will_read(antecedent, e)
                    will_write(mass, e + here)
                for e in range(lo, hi):
                    if is_vast:
                        will_read(x, U(antecedent[min(e + U(EARLY), last)]) + U(1))
                    term = value(x.dtype.type(w[e]), code, q) * x[U(antecedent[e]) + U(1)]
                    total += term
                    through = term * out
                    mass[e + here] = through
                    least = min(least, through)
                is_small = least < limit
            if is_small:
                lost |= underflows(lo, hi, w, antecedent, x, out, code, q)
            total += x[v + U(1)]
            if with_biases:
                b = bias[v]
                if b >= 0:
                    factor = value(x.dtype.type(w[b]), code, q)
                    term = factor * x[0]
                    total += term
                    mass[biases[v]] = term * out
                    if w[b] != 0 and x[0] != 0:
                        lost |= total == 0
                        lost |= out != 0 and min(factor, term, term * out) < tiny
            if total == 0:
                lost |= vanished(lo, hi, w, antecedent, x)
            x[v + U(1)] = total
            room = max(room, total * (tiny + tiny))
        return lost, room

    return rows
