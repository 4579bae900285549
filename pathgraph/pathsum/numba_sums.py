"""Compiled sums over the paths of a neuron graph, of floats: one right-hand side, the power of the entries fused.

Every kernel runs over the neurons in canonical order. The sum into a neuron is made by one thread in one order, so
the number of threads changes no bit of a result; where the antecedents of a neuron are consecutive, the compiler may
reassociate its sum, and runs it in vector registers. With `code` the kernels choose the value of an entry:

==== ===========
code value
==== ===========
0    w
1    abs(w)
2    w**2
4    w**4
3    abs(w)**q
==== ===========

This file holds every function that it compiles: a cached kernel would not notice a change in another file.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

REASSOCIATED = {"reassoc", "nsz", "contract"}
compiled = njit(cache=True, nogil=True)
compiled_fast = njit(cache=True, nogil=True, fastmath=REASSOCIATED)
compiled_parallel = njit(cache=True, nogil=True, parallel=True)


@compiled
def value(w, code, q):
    """The value of one entry."""
    if code == 0:
        return w
    if code == 1:
        return abs(w)
    if code == 2:
        return w * w
    if code == 4:
        square = w * w
        return square * square
    return abs(w) ** q


@compiled_fast
def run_sum(w, x, code, q):
    """The sum of value(w) x over consecutive antecedents."""
    total = x.dtype.type(0)
    if code == 0:
        for k in range(len(w)):
            total += w[k] * x[k]
    elif code == 1:
        for k in range(len(w)):
            total += abs(w[k]) * x[k]
    elif code == 2:
        for k in range(len(w)):
            u = x.dtype.type(w[k])
            total += u * u * x[k]
    elif code == 4:
        for k in range(len(w)):
            u = x.dtype.type(w[k])
            square = u * u
            total += square * square * x[k]
    else:
        for k in range(len(w)):
            total += value(x.dtype.type(w[k]), code, q) * x[k]
    return total


@compiled
def indexed_sum(w, antecedent, x, code, q):
    """The sum of value(w) x over any antecedents; x begins at the constant."""
    total = x.dtype.type(0)
    if code == 0:
        for k in range(len(w)):
            total += w[k] * x[antecedent[k] + 1]
    elif code == 1:
        for k in range(len(w)):
            total += abs(w[k]) * x[antecedent[k] + 1]
    else:
        for k in range(len(w)):
            total += value(x.dtype.type(w[k]), code, q) * x[antecedent[k] + 1]
    return total


@compiled
def vanished(w, antecedent, x):
    """Whether a sum of non-negative terms that came out as zero has a term that is not."""
    for k in range(len(w)):
        if w[k] != 0 and x[antecedent[k] + 1] != 0:
            return True
    return False


@compiled
def forward_rows(first, stop, start, antecedent, run, bias, w, x, code, q):
    """Sum into the neurons first:stop; returns whether a sum of non-zero terms vanished."""
    lost = False
    for v in range(first, stop):
        lo, hi = start[v], start[v + 1]
        a = run[v]
        total = x[v + 1]
        if a >= 0:
            total += run_sum(w[lo:hi], x[a + 1 : a + 1 + hi - lo], code, q)
        else:
            total += indexed_sum(w[lo:hi], antecedent[lo:hi], x, code, q)
        b = bias[v]
        if b >= 0:
            total += value(x.dtype.type(w[b]), code, q) * x[0]
        if total == 0 and code != 0:
            lost |= vanished(w[lo:hi], antecedent[lo:hi], x) or (b >= 0 and w[b] != 0 and x[0] != 0)
        x[v + 1] = total
    return lost


@compiled
def shares(first, stop, start, n):
    """Cut the neurons first:stop into n parts with about as many edges each: n + 1 ends."""
    ends = np.empty(n + 1, dtype=np.int64)
    for c in range(n + 1):
        wanted = start[first] + (start[stop] - start[first]) * c // n
        ends[c] = first + np.searchsorted(start[first : stop + 1], wanted)
    ends[n] = stop
    return ends


@compiled_parallel
def forward_parallel(ends, wide, n, start, antecedent, run, bias, w, x, code, q):
    """`forward_rows` of all neurons, with n threads on the levels of at least `wide` edges."""
    lost = np.zeros(n + 1, dtype=np.bool_)
    for level in range(len(ends) - 1):
        first, stop = ends[level], ends[level + 1]
        if start[stop] - start[first] < wide:
            lost[n] |= forward_rows(first, stop, start, antecedent, run, bias, w, x, code, q)
        else:
            part = shares(first, stop, start, n)
            for c in prange(n):
                lost[c] |= forward_rows(part[c], part[c + 1], start, antecedent, run, bias, w, x, code, q)
    return lost.any()


@compiled
def forward_maxima(start, antecedent, bias, w, x):
    """The sweep in (max, x), of values w >= 0."""
    for v in range(len(start) - 1):
        top = x[v + 1]
        for e in range(start[v], start[v + 1]):
            top = max(top, w[e] * x[antecedent[e] + 1])
        b = bias[v]
        if b >= 0:
            top = max(top, w[b] * x[0])
        x[v + 1] = top


@compiled_fast
def run_scatter(w, y, out, code, q):
    """Add value(w) out to consecutive antecedents."""
    if code == 0:
        for k in range(len(w)):
            y[k] += w[k] * out
    elif code == 1:
        for k in range(len(w)):
            y[k] += abs(w[k]) * out
    else:
        for k in range(len(w)):
            y[k] += value(y.dtype.type(w[k]), code, q) * out


@compiled_fast
def run_scatter_mass(w, x, y, mass, out, code, q, tiny):
    """`run_scatter`, and the sum over the paths through each edge; returns how many of these are below `tiny`."""
    small = 0
    if code == 1:
        for k in range(len(w)):
            part = abs(w[k]) * out
            y[k] += part
            through = part * x[k]
            mass[k] = through
            small += through < tiny
    else:
        for k in range(len(w)):
            part = value(y.dtype.type(w[k]), code, q) * out
            y[k] += part
            through = part * x[k]
            mass[k] = through
            small += through < tiny
    return small


@compiled
def mass_vanished(w, antecedent, x, mass, out, tiny):
    """Whether a sum over paths came out below the normal range although none of its factors is zero."""
    for k in range(len(w)):
        if abs(mass[k]) < tiny and w[k] != 0 and x[antecedent[k] + 1] != 0 and out != 0:
            return True
    return False


@compiled
def backward_rows(first, stop, low, high, start, antecedent, run, w, x, y, mass, place, code, q):
    """Send the sums of the neurons first:stop back to those of their antecedents that lie in low:high.

    `mass`, where it is not empty, gets the sums over the paths through the edges: those into neuron v from ``place[v]``
    on. In descending order of neurons. Returns whether one of these sums vanished.
    """
    with_mass = len(mass) > 0
    tiny = np.finfo(y.dtype).tiny
    lost = False
    for v in range(stop - 1, first - 1, -1):
        lo, hi = start[v], start[v + 1]
        if hi == lo:
            continue
        out = y[v + 1]
        a = run[v]
        if a >= 0:
            i, j = max(a, low), min(a + hi - lo, high)
            if i >= j:
                continue
            here = place[v] + i - a
            lo, hi = lo + i - a, lo + j - a
            row, part_x, part_y = w[lo:hi], x[i + 1 : j + 1], y[i + 1 : j + 1]
            if with_mass:
                part = mass[here : here + hi - lo]
                if run_scatter_mass(row, part_x, part_y, part, out, code, q, tiny):
                    lost |= mass_vanished(row, antecedent[lo:hi], x, part, out, tiny)
            else:
                run_scatter(row, part_y, out, code, q)
            continue
        here = place[v] - lo
        for e in range(lo, hi):
            u = antecedent[e]
            if low <= u < high:
                part = value(y.dtype.type(w[e]), code, q) * out
                y[u + 1] += part
                if with_mass:
                    through = part * x[u + 1]
                    mass[here + e] = through
                    lost |= through < tiny and w[e] != 0 and x[u + 1] != 0 and out != 0
    return lost


@compiled
def backward_biases(bias, w, x, y, mass, place, code, q):
    """What the biases send back to the constant, and the sums over the paths that start at them, at ``place[v]``."""
    tiny = np.finfo(y.dtype).tiny
    lost = False
    for v in range(len(bias) - 1, -1, -1):
        b = bias[v]
        if b >= 0:
            part = value(y.dtype.type(w[b]), code, q) * y[v + 1]
            y[0] += part
            if len(mass):
                through = part * x[0]
                mass[place[v]] = through
                lost |= through < tiny and w[b] != 0 and x[0] != 0 and y[v + 1] != 0
    return lost


@compiled_parallel
def backward_parallel(ends, wide, n, start, antecedent, run, w, x, y, mass, place, code, q):
    """`backward_rows` of all neurons; on wide levels each of n threads owns some of the antecedents."""
    lost = np.zeros(n + 1, dtype=np.bool_)
    for level in range(len(ends) - 2, -1, -1):
        first, stop = ends[level], ends[level + 1]
        if start[stop] - start[first] < wide:
            lost[n] |= backward_rows(first, stop, 0, first, start, antecedent, run, w, x, y, mass, place, code, q)
        else:
            low, high = first, 0
            for v in range(first, stop):
                if start[v + 1] > start[v]:
                    low = min(low, antecedent[start[v]])
                    high = max(high, antecedent[start[v + 1] - 1] + 1)
            for c in prange(n):
                i, j = low + (high - low) * c // n, low + (high - low) * (c + 1) // n
                lost[c] |= backward_rows(first, stop, i, j, start, antecedent, run, w, x, y, mass, place, code, q)
    return lost.any()


@compiled
def extremes(x):
    """The smallest non-zero absolute value (infinite if there is none) and the largest; NaN becomes infinite."""
    least, most = np.inf, 0.0
    for k in range(len(x)):
        size = abs(x[k])
        if not size < np.inf:
            return 0.0, np.inf
        most = max(most, size)
        if size != 0:
            least = min(least, size)
    return least, most
