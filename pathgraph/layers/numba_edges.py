"""Compiled loops over the edges of an operation, in semirings of floats that have no matrix products.

Called by `pathgraph.layers.edge_loops`, which says what is made of what. A sum is made by one thread, in the order of
the pairs, axis after axis. Maxima and minima keep a NaN that they meet, as NumPy's do.

This file holds every function that it compiles: a cached kernel would not notice a change in another file.
"""

from __future__ import annotations

from numba import njit


@njit(cache=True, nogil=True)
def contract(first, stop, axes, x, y, out, is_smallest, is_sum):
    """Make the positions whose coordinate on the first of four axes is in first:stop.

    An axis is a triple of arrays: where the pairs of each position begin, and the pairs, as offsets in x and y. With
    `is_sum` the product of two elements is their sum.
    """
    start0, x0, y0 = axes[0]
    start1, x1, y1 = axes[1]
    start2, x2, y2 = axes[2]
    start3, x3, y3 = axes[3]
    n1, n2, n3 = len(start1) - 1, len(start2) - 1, len(start3) - 1
    sign = -1.0 if is_smallest else 1.0  # minima are maxima of what is negated
    o = first * n1 * n2 * n3
    for i0 in range(first, stop):
        for i1 in range(n1):
            for i2 in range(n2):
                for i3 in range(n3):
                    total = sign * out[o]
                    for r0 in range(start0[i0], start0[i0 + 1]):
                        for r1 in range(start1[i1], start1[i1 + 1]):
                            a1, b1 = x0[r0] + x1[r1], y0[r0] + y1[r1]
                            for r2 in range(start2[i2], start2[i2 + 1]):
                                a2, b2 = a1 + x2[r2], b1 + y2[r2]
                                for r in range(start3[i3], start3[i3 + 1]):
                                    p, q = x[a2 + x3[r]], y[b2 + y3[r]]
                                    term = sign * (p + q if is_sum else p * q)
                                    if term > total or term != term:
                                        total = term
                    out[o] = sign * total
                    o += 1
