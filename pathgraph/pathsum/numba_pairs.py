"""Compiled sweeps of two networks at once: how much their path sums differ, without subtracting path sums.

Each kernel carries two or three sums per neuron; `meet` makes its entries from those of the two networks as it reads
them. This file holds every function that it compiles: a cached kernel would not notice a change in another file.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pathgraph.pathsum.blocks import POOL
from pathgraph.pathsum.changes import FLIP, GROWS, LARGER, MIXED, SAME, SHRINKS, SMALLER, UNCHANGED, ZERO

compiled = njit(cache=True, nogil=True)
inlined = njit(cache=True, nogil=True, forceinline=True)
reassociated = njit(cache=True, nogil=True, forceinline=True, fastmath={"reassoc", "nsz", "contract"})
U = np.uintp


# -- the meet of two networks -------------------------------------------------------------------------------------


@inlined
def meet_edge(a, b, s, e, f):
    """What one edge adds to the three sums of `meet`."""
    size_a, size_b = abs(a), abs(b)
    least = min(size_a, size_b) if (a > 0) == (b > 0) else 0 * size_a
    return least * s, size_a * e + (size_a - least) * s, size_b * f + (size_b - least) * s


@reassociated
def meet_run(a, b, lo, n, s, e, f, at):
    """The three sums of `meet` over consecutive antecedents."""
    kind = s.dtype.type
    total_s, total_e, total_f = kind(0), kind(0), kind(0)
    for k in range(n):
        size_a, size_b = abs(kind(a[lo + k])), abs(kind(b[lo + k]))
        least = min(size_a, size_b) if (a[lo + k] > 0) == (b[lo + k] > 0) else kind(0)
        below = s[at + k]
        total_s += least * below
        total_e += size_a * e[at + k] + (size_a - least) * below
        total_f += size_b * f[at + k] + (size_b - least) * below
    return total_s, total_e, total_f


@compiled
def meet_vanished(a, b, s, e, f, new_s, new_e, new_f):
    """Whether one of the sums is zero although this edge adds something to it."""
    is_met = (a > 0) == (b > 0) and a != 0 and b != 0
    more_a = abs(a) > abs(b) or (a != 0 and not is_met)
    more_b = abs(b) > abs(a) or (b != 0 and not is_met)
    return (
        (new_s == 0 and is_met and s != 0)
        or (new_e == 0 and ((a != 0 and e != 0) or (more_a and s != 0)))
        or (new_f == 0 and ((b != 0 and f != 0) or (more_b and s != 0)))
    )


@compiled
def meet(start, antecedent, run, bias, a, b, s, e, f):
    """The path sums s of the meet of two networks, and the excess e of those of abs(a), f of those of abs(b).

    Returns whether a sum of terms that are not zero vanished.
    """
    kind = s.dtype.type
    lost = False
    hi = start[0]
    for v in range(len(start) - 1):
        lo, hi = hi, start[v + 1]
        if run[v] >= 0:
            new_s, new_e, new_f = meet_run(a, b, U(lo), U(hi - lo), s, e, f, U(run[v] + 1))
        else:
            new_s, new_e, new_f = kind(0), kind(0), kind(0)
            for k in range(U(lo), U(hi)):
                u = U(antecedent[k]) + U(1)
                part_s, part_e, part_f = meet_edge(kind(a[k]), kind(b[k]), s[u], e[u], f[u])
                new_s += part_s
                new_e += part_e
                new_f += part_f
        i = bias[v]
        if i >= 0:
            part_s, part_e, part_f = meet_edge(kind(a[i]), kind(b[i]), s[0], e[0], f[0])
            new_s += part_s
            new_e += part_e
            new_f += part_f
        if new_s == 0 or new_e == 0 or new_f == 0:
            for k in range(lo, hi):
                u = antecedent[k] + 1
                lost |= meet_vanished(a[k], b[k], s[u], e[u], f[u], new_s, new_e, new_f)
            if i >= 0:
                lost |= meet_vanished(a[i], b[i], s[0], e[0], f[0], new_s, new_e, new_f)
        s[v + 1] += new_s
        e[v + 1] += new_e
        f[v + 1] += new_f
    return lost


# -- a recursion on the error -------------------------------------------------------------------------------------


@reassociated
def gap_run(small, apart, large, lo, n, s, e, at):
    """The two sums of `gap` over consecutive antecedents."""
    total_s, total_e = s.dtype.type(0), s.dtype.type(0)
    for k in range(n):
        total_s += small[lo + k] * s[at + k]
        total_e += large[lo + k] * e[at + k] + apart[lo + k] * s[at + k]
    return total_s, total_e


@compiled
def gap(start, antecedent, run, bias, activation, small, apart, large, s, e, largest):
    """``s_v = sum small s_u`` and ``e_v = sum large e_u + apart s_u``, of non-negative entries.

    With `largest`, pool neurons take the largest candidate instead of the sum. Returns whether a sum of terms that are
    not zero vanished.
    """
    lost = False
    for v in range(len(start) - 1):
        lo, hi = start[v], start[v + 1]
        takes_largest = largest and activation[v] == POOL
        if run[v] >= 0 and not takes_largest:
            new_s, new_e = gap_run(small, apart, large, U(lo), U(hi - lo), s, e, U(run[v] + 1))
        else:
            new_s, new_e = s.dtype.type(0), s.dtype.type(0)
            for k in range(U(lo), U(hi)):
                u = U(antecedent[k]) + U(1)
                part_s = small[k] * s[u]
                part_e = large[k] * e[u] + apart[k] * s[u]
                if takes_largest:
                    new_s, new_e = max(new_s, part_s), max(new_e, part_e)
                else:
                    new_s, new_e = new_s + part_s, new_e + part_e
        b = bias[v]
        if b >= 0:
            new_s += small[b] * s[0]
            new_e += large[b] * e[0] + apart[b] * s[0]
        if new_s == 0 or new_e == 0:
            for k in range(lo, hi + 1):
                i = k if k < hi else b
                if i < 0:
                    continue
                u = antecedent[k] + 1 if k < hi else 0
                lost |= new_s == 0 and small[i] != 0 and s[u] != 0
                lost |= new_e == 0 and ((large[i] != 0 and e[u] != 0) or (apart[i] != 0 and s[u] != 0))
        s[v + 1] += new_s
        e[v + 1] += new_e
    return lost


# -- which changes occur together on a path -----------------------------------------------------------------------

ONLY_UNCHANGED = 1 << UNCHANGED
WITHOUT_FLIPS = 1 << SHRINKS | 1 << GROWS | 1 << MIXED
ABSOLUTE = np.int64(2**63 - 1)


@compiled
def comparison(a, b):
    """Whether some of the entries shrink, grow, change sign, and come up from zero, from a to b: those of int64 views.

    The bits of a float without its sign are ordered as its absolute value; each answer is the sign of a disjunction.
    Once there are all of the first three, nobody asks for the fourth, and the rest is not read.
    """
    shrinks, grows, flips, appears = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for low in range(0, len(a), 4096):
        for k in range(U(low), U(min(low + 4096, len(a)))):
            size, other, apart = a[k] & ABSOLUTE, b[k] & ABSOLUTE, a[k] ^ b[k]
            both = -size & -other
            shrinks |= both & ~apart & (other - size)
            grows |= both & ~apart & (size - other)
            flips |= both & apart
            appears |= ~-size & -other
        if shrinks < 0 and grows < 0 and flips < 0:
            break
    return shrinks < 0, grows < 0, flips < 0, appears < 0


@inlined
def change(a, b):
    """What happens to an entry from a to b."""
    if a == 0 or b == 0:
        return ZERO
    if (a > 0) != (b > 0):
        return FLIP
    if abs(b) < abs(a):
        return SMALLER
    return LARGER if abs(b) > abs(a) else SAME


@compiled
def kinds(ends, start, antecedent, bias, a, b, table, possible, most, x):
    """The sets of kinds of changes on the paths to each neuron, as bits, in place of the start in `x`.

    ``table[change, set]`` is the image of a set under a change; `possible` says which changes occur. See
    `pathgraph.metrics.path_changes` for the kinds. A neuron is done as soon as its set is as large as those of the
    levels below allow. "Unchanged" may then be missing where another kind without flips is there, since what it leads
    to later, mixed or flipped, these lead to as well. Of each neuron at most `most` antecedents are read.
    """
    below = x[0]
    for v in range(len(start) - 1):
        below |= x[v + 1]
    for level in range(len(ends) - 1):
        bound = np.uint8(0)
        for c in range(5):
            if possible[c]:
                bound |= table[c, below]
        for v in range(ends[level], ends[level + 1]):
            found = x[v + 1]
            i = bias[v]
            if i >= 0:
                found |= table[change(a[i], b[i]), x[0]]
            for k in range(U(start[v]), U(min(start[v + 1], start[v] + most))):
                missing = bound & ~found
                if missing == 0 or (missing == ONLY_UNCHANGED and (found & WITHOUT_FLIPS) != 0):
                    break
                found |= table[change(a[k], b[k]), x[U(antecedent[k]) + U(1)]]
            x[v + 1] = found
        for v in range(ends[level], ends[level + 1]):
            below |= x[v + 1]
