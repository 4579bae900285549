"""Compiled sums over the paths of a neuron graph, of floats: one right-hand side, the power of the entries fused.

Every kernel runs over the neurons in canonical order. The sum into a neuron is made by one thread in one order, so
the number of threads changes no bit of a result; where the antecedents of a neuron are consecutive, the compiler may
reassociate its sum, and makes it in vector registers.

There is one kernel for each value of an entry that is wanted (`forward_kernels`, `backward_kernels`), by a `code`:
0 for w, 1 for abs(w), 2 for w**2, 4 for w**4, and 3 for abs(w)**q.

Indices are unsigned: Numba would ask of each signed one whether it counts from the end. The inner loops call no
function that takes an array: counting its references would take as long as a short sum. This file holds every function
that it compiles: a cached kernel would not notice a change in another file.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange
from numba.extending import intrinsic

compiled = njit(cache=True, nogil=True)
compiled_parallel = njit(cache=True, nogil=True, parallel=True)
inlined = njit(cache=True, nogil=True, forceinline=True)
U = np.uintp


@intrinsic
def add_in_any_order(typing, total, factor, term):
    """``total + factor * term``, where the compiler may add many of these in another order."""

    def generate(context, builder, signature, args):
        flags = ("reassoc", "nsz", "contract")
        return builder.fadd(args[0], builder.fmul(args[1], args[2], flags=flags), flags=flags)

    return total(total, total, total), generate


# -- the value of an entry ----------------------------------------------------------------------------------------


@inlined
def signed(w, q):
    """The weight."""
    return w


@inlined
def absolute(w, q):
    """Its absolute value."""
    return abs(w)


@inlined
def square(w, q):
    """Its square."""
    return w * w


@inlined
def fourth(w, q):
    """Its fourth power."""
    return (w * w) * (w * w)


@inlined
def power(w, q):
    """The q-th power of its absolute value."""
    return abs(w) ** q


VALUES = {0: signed, 1: absolute, 2: square, 3: power, 4: fourth}


# -- forward ------------------------------------------------------------------------------------------------------


class Kernels(NamedTuple):
    """One kernel for a range of neurons, and one that shares all of them among threads."""

    rows: Any
    parallel: Any


@compiled
def vanished(lo, hi, w, antecedent, x):
    """Whether a sum of non-negative terms that came out as zero has a term that is not."""
    for e in range(lo, hi):
        if w[e] != 0 and x[antecedent[e] + 1] != 0:
            return True
    return False


@compiled
def shares(first, stop, start, group, n):
    """Cut the neurons first:stop into n parts with about as many edges each, between groups: n + 1 ends."""
    ends = np.empty(n + 1, dtype=np.int64)
    for c in range(n + 1):
        wanted = start[first] + (start[stop] - start[first]) * c // n
        end = first + np.searchsorted(start[first : stop + 1], wanted)
        while first < end < stop and group[end] == 0:
            end -= 1
        ends[c] = end
    ends[n] = stop
    return ends


@cache
def forward_kernels(code: int) -> Kernels:
    """The forward sweep: ``rows(first, stop, ...)`` sums into the neurons first:stop.

    Both return whether a sum of terms that are not zero came out as zero (never for signed values).
    """
    value = VALUES[code]
    is_signed = code == 0

    @compiled
    def rows(first, stop, start, antecedent, run, group, bias, w, x, q):
        lost = False
        zero = x.dtype.type(0)
        v = first
        while v < stop:
            lo, hi = start[v], start[v + 1]
            count = group[v]
            sums = (zero, zero, zero, zero)
            if count == 4:
                t0, t1, t2, t3 = sums
                shift, degree = U(run[v] + 1) - U(lo), U(hi - lo)
                for e in range(U(lo), U(hi)):
                    below = x[e + shift]
                    t0 = add_in_any_order(t0, value(x.dtype.type(w[e]), q), below)
                    t1 = add_in_any_order(t1, value(x.dtype.type(w[e + degree]), q), below)
                    t2 = add_in_any_order(t2, value(x.dtype.type(w[e + U(2) * degree]), q), below)
                    t3 = add_in_any_order(t3, value(x.dtype.type(w[e + U(3) * degree]), q), below)
                sums = (t0, t1, t2, t3)
            elif run[v] >= 0:
                total = zero
                shift = U(run[v] + 1) - U(lo)
                for e in range(U(lo), U(hi)):
                    total = add_in_any_order(total, value(x.dtype.type(w[e]), q), x[e + shift])
                sums = (total, zero, zero, zero)
            else:
                total = zero
                for e in range(U(lo), U(hi)):
                    total += value(x.dtype.type(w[e]), q) * x[U(antecedent[e]) + U(1)]
                sums = (total, zero, zero, zero)
            for i in range(count):
                total = x[v + 1] + sums[i]
                b = bias[v] if len(bias) else -1
                if b >= 0:
                    total += value(x.dtype.type(w[b]), q) * x[0]
                if not is_signed and total == 0:
                    lost |= vanished(start[v], start[v + 1], w, antecedent, x)
                    lost |= b >= 0 and w[b] != 0 and x[0] != 0
                x[v + 1] = total
                v += 1
        return lost

    @compiled_parallel
    def parallel(ends, wide, n, start, antecedent, run, group, bias, w, x, q):
        lost = np.zeros(n + 1, dtype=np.bool_)
        for level in range(len(ends) - 1):
            first, stop = ends[level], ends[level + 1]
            if start[stop] - start[first] < wide:
                lost[n] |= rows(first, stop, start, antecedent, run, group, bias, w, x, q)
            else:
                part = shares(first, stop, start, group, n)
                for c in prange(n):
                    lost[c] |= rows(part[c], part[c + 1], start, antecedent, run, group, bias, w, x, q)
        return lost.any()

    return Kernels(rows, parallel)


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


@compiled
def mass_vanished(lo, hi, w, antecedent, x, mass, here, tiny):
    """Whether a sum over paths, through the edges lo:hi, is below the normal range although no factor is zero."""
    for e in range(lo, hi):
        if abs(mass[here + e - lo]) < tiny and w[e] != 0 and x[antecedent[e] + 1] != 0:
            return True
    return False


@compiled
def reach(first, stop, start, antecedent):
    """The first antecedent of the neurons first:stop, and the one behind their last."""
    low, high = first, 0
    for v in range(first, stop):
        if start[v + 1] > start[v]:
            low = min(low, antecedent[start[v]])
            high = max(high, antecedent[start[v + 1] - 1] + 1)
    return low, high


@cache
def backward_kernels(code: int, with_mass: bool) -> Kernels:
    """The backward sweep: ``rows(first, stop, low, high, ...)`` sends the sums of the neurons first:stop back.

    It does so in descending order, to those of their antecedents that lie in low:high. `with_mass`, the sums over the
    paths through the edges into neuron v are put in `mass` from ``place[v]`` on, and both kernels return whether one of
    them vanished: came out below the normal range although none of its factors is zero.
    """
    value = VALUES[code]

    @compiled
    def rows(first, stop, low, high, start, antecedent, run, w, x, y, mass, place, q):
        tiny = np.finfo(y.dtype).tiny
        lost = False
        for v in range(stop - 1, first - 1, -1):
            lo, hi = start[v], start[v + 1]
            out = y[v + 1]
            a = run[v]
            if a >= 0:
                i, j = max(a, low), min(a + hi - lo, high)
                if i >= j:
                    continue
                lo, hi, here = lo + i - a, lo + j - a, place[v] + i - a
                shift, move = U(i + 1) - U(lo), U(here) - U(lo)
                small = 0
                for e in range(U(lo), U(hi)):
                    part = value(y.dtype.type(w[e]), q) * out
                    y[e + shift] += part
                    if with_mass:
                        through = part * x[e + shift]
                        mass[e + move] = through
                        small += through < tiny
                if small > 0 and out != 0:
                    lost |= mass_vanished(lo, hi, w, antecedent, x, mass, here, tiny)
                continue
            here = U(place[v] - lo)
            for e in range(U(lo), U(hi)):
                u = antecedent[e]
                if low <= u < high:
                    part = value(y.dtype.type(w[e]), q) * out
                    y[U(u) + U(1)] += part
                    if with_mass:
                        through = part * x[U(u) + U(1)]
                        mass[here + e] = through
                        if through < tiny:
                            lost |= w[e] != 0 and x[U(u) + U(1)] != 0 and out != 0
        return lost

    @compiled_parallel
    def parallel(ends, wide, n, start, antecedent, run, w, x, y, mass, place, q):
        lost = np.zeros(n + 1, dtype=np.bool_)
        for level in range(len(ends) - 2, -1, -1):
            first, stop = ends[level], ends[level + 1]
            if start[stop] - start[first] < wide:
                lost[n] |= rows(first, stop, 0, first, start, antecedent, run, w, x, y, mass, place, q)
            else:
                low, high = reach(first, stop, start, antecedent)
                for c in prange(n):
                    i, j = low + (high - low) * c // n, low + (high - low) * (c + 1) // n
                    lost[c] |= rows(first, stop, i, j, start, antecedent, run, w, x, y, mass, place, q)
        return lost.any()

    return Kernels(rows, parallel)


@cache
def bias_kernel(code: int) -> Any:
    """What the biases send back to the constant, and the sums over the paths that start at them, at ``place[v]``."""
    value = VALUES[code]

    @compiled
    def backward_biases(bias, w, x, y, mass, place, q):
        tiny = np.finfo(y.dtype).tiny
        lost = False
        for v in range(len(bias) - 1, -1, -1):
            b = bias[v]
            if b >= 0:
                part = value(y.dtype.type(w[b]), q) * y[v + 1]
                y[0] += part
                if len(mass):
                    through = part * x[0]
                    mass[place[v]] = through
                    lost |= through < tiny and w[b] != 0 and x[0] != 0 and y[v + 1] != 0
        return lost

    return backward_biases


@compiled
def extreme_bits(bits, mask):
    """The smallest and the largest pattern of bits, of non-zero floats without their sign; as unsigned integers.

    Patterns are ordered as the absolute values are, NaN above infinity. Where all are zero, the smallest is `mask`.
    """
    one = bits.dtype.type(1)
    least, most = mask - one, bits.dtype.type(0)
    for k in range(len(bits)):
        size = bits[k] & mask
        most = max(most, size)
        least = min(least, (size - one) & mask)  # zero goes to the top
    return least + one, most
