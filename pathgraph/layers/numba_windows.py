"""Compiled copies and sums along the taps of windows, for what `pathgraph.layers.numba_powers` multiplies.

`place` (T, P) says for each of T taps and P windows which of n positions is read there, and n where nothing is. The
order of all sums is fixed, and no thread is woken, as a matrix product with zeros and ones would.
"""

from __future__ import annotations

from numba import njit

compiled = njit(cache=True, nogil=True)


@compiled
def gather(values, place, out):
    """out[c T + t, p] = values[c, place[t, p]]; `values` has a last column of zeros."""
    for c in range(len(values)):
        row = values[c]
        for t in range(len(place)):
            line, where = out[c * len(place) + t], place[t]
            for p in range(len(where)):
                line[p] = row[where[p]]


@compiled
def scatter(sent, place, out):
    """out[c, place[t, p]] += sent[c T + t, p]; `out` has one more column, for what goes nowhere."""
    for c in range(len(out)):
        row = out[c]
        for t in range(len(place)):
            line, where = sent[c * len(place) + t], place[t]
            for p in range(len(where)):
                row[where[p]] += line[p]


@compiled
def collect(sent, place, out):
    """out[c, p] += sent[c T + t, place[t, p]], and nothing where that is behind the end."""
    n = sent.shape[1]
    for c in range(len(out)):
        row = out[c]
        for t in range(len(place)):
            line, where = sent[c * len(place) + t], place[t]
            for p in range(len(where)):
                if where[p] < n:
                    row[p] += line[where[p]]


@compiled
def spread(values, place, out):
    """out[c T + t, place[t, p]] += values[c, p]; `out` has one more column, for what goes nowhere."""
    for c in range(len(values)):
        row = values[c]
        for t in range(len(place)):
            line, where = out[c * len(place) + t], place[t]
            for p in range(len(where)):
                line[where[p]] += row[p]
