"""Compiled sweeps of two networks at once: how much their path sums differ, without subtracting path sums.

Each kernel reads the entries of both networks and carries two or three sums per neuron; no array of differences is
made. This file holds every function that it compiles: a cached kernel would not notice a change in another file.
"""

from __future__ import annotations

from numba import njit

from pathgraph.pathsum.blocks import POOL

REASSOCIATED = {"reassoc", "nsz", "contract"}
compiled = njit(cache=True, nogil=True)
compiled_fast = njit(cache=True, nogil=True, fastmath=REASSOCIATED)


@compiled_fast
def meet_edge(a, b, s, e, f):
    """What one edge adds to the three sums of `meet`."""
    size_a, size_b = abs(a), abs(b)
    least = min(size_a, size_b) if (a > 0) == (b > 0) else 0 * size_a
    return least * s, size_a * e + (size_a - least) * s, size_b * f + (size_b - least) * s


@compiled_fast
def meet_run(a, b, s, e, f):
    """The three sums of `meet` over consecutive antecedents."""
    zero = s.dtype.type(0)
    total_s, total_e, total_f = zero, zero, zero
    for k in range(len(a)):
        part_s, part_e, part_f = meet_edge(s.dtype.type(a[k]), s.dtype.type(b[k]), s[k], e[k], f[k])
        total_s += part_s
        total_e += part_e
        total_f += part_f
    return total_s, total_e, total_f


@compiled
def meet_indexed(a, b, antecedent, s, e, f):
    """The three sums of `meet` over any antecedents."""
    zero = s.dtype.type(0)
    total_s, total_e, total_f = zero, zero, zero
    for k in range(len(a)):
        u = antecedent[k] + 1
        part_s, part_e, part_f = meet_edge(s.dtype.type(a[k]), s.dtype.type(b[k]), s[u], e[u], f[u])
        total_s += part_s
        total_e += part_e
        total_f += part_f
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
    lost = False
    for v in range(len(start) - 1):
        lo, hi = start[v], start[v + 1]
        r = run[v]
        if r >= 0:
            i, j = r + 1, r + 1 + hi - lo
            new_s, new_e, new_f = meet_run(a[lo:hi], b[lo:hi], s[i:j], e[i:j], f[i:j])
        else:
            new_s, new_e, new_f = meet_indexed(a[lo:hi], b[lo:hi], antecedent[lo:hi], s, e, f)
        i = bias[v]
        if i >= 0:
            part_s, part_e, part_f = meet_edge(s.dtype.type(a[i]), s.dtype.type(b[i]), s[0], e[0], f[0])
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


@compiled_fast
def telescoped_run(a, b, s, e):
    """The two sums of `telescoped` over consecutive antecedents."""
    zero = s.dtype.type(0)
    total_s, total_e = zero, zero
    for k in range(len(a)):
        w, other = s.dtype.type(a[k]), s.dtype.type(b[k])
        total_s += abs(other) * s[k]
        total_e += abs(w) * e[k] + abs(w - other) * s[k]
    return total_s, total_e


@compiled
def telescoped_indexed(a, b, antecedent, s, e, largest):
    """The two sums of `telescoped` over any antecedents, or their largest terms."""
    zero = s.dtype.type(0)
    total_s, total_e = zero, zero
    for k in range(len(a)):
        u = antecedent[k] + 1
        w, other = s.dtype.type(a[k]), s.dtype.type(b[k])
        part_s = abs(other) * s[u]
        part_e = abs(w) * e[u] + abs(w - other) * s[u]
        if largest:
            total_s = max(total_s, part_s)
            total_e = max(total_e, part_e)
        else:
            total_s += part_s
            total_e += part_e
    return total_s, total_e


@compiled
def telescoped(start, antecedent, run, bias, activation, a, b, s, e, largest):
    """The path sums s of abs(b), and e_v = sum of abs(a) e_u + abs(a - b) s_u.

    With `largest`, pool neurons take the largest candidate instead of the sum. Returns whether a sum of terms that are
    not zero vanished.
    """
    lost = False
    for v in range(len(start) - 1):
        lo, hi = start[v], start[v + 1]
        r = run[v]
        takes_largest = largest and activation[v] == POOL
        if r >= 0 and not takes_largest:
            i, j = r + 1, r + 1 + hi - lo
            new_s, new_e = telescoped_run(a[lo:hi], b[lo:hi], s[i:j], e[i:j])
        else:
            new_s, new_e = telescoped_indexed(a[lo:hi], b[lo:hi], antecedent[lo:hi], s, e, takes_largest)
        i = bias[v]
        if i >= 0:
            w, other = s.dtype.type(a[i]), s.dtype.type(b[i])
            new_s += abs(other) * s[0]
            new_e += abs(w) * e[0] + abs(w - other) * s[0]
        if new_s == 0 or new_e == 0:
            for k in range(lo, hi + 1):
                i = k if k < hi else bias[v]
                if i < 0:
                    continue
                u = antecedent[k] + 1 if k < hi else 0
                lost |= new_s == 0 and b[i] != 0 and s[u] != 0
                lost |= new_e == 0 and ((a[i] != 0 and e[u] != 0) or (a[i] != b[i] and s[u] != 0))
        s[v + 1] += new_s
        e[v + 1] += new_e
    return lost
