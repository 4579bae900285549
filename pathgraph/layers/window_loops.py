"""Copies and sums along the taps of windows, compiled: what compiled products read, and what becomes of their results.

`place` (T, P) says for each of T taps and P windows which of n positions is read there, and n where nothing is. No
thread is woken, as those of the BLAS would be by a matrix product with zeros and ones.

Not checked: that Numba is there (`pathgraph.layers.power_products.is_compiled` says so).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["collected", "gathered", "scattered", "spread"]


def gathered(values: Array, place: Array) -> Array:
    """Windows as columns: (C, n) at places (T, P), n for nothing, to (C T, P)."""
    from pathgraph.layers import numba_windows
    from pathgraph.layers.numba_powers import LANES

    n_taps, n = place.shape
    padded = np.zeros((len(values), values.shape[1] + 1))
    padded[:, :-1] = values
    out = np.zeros((len(values) * n_taps, -(-n // LANES) * LANES))
    numba_windows.gather(padded, place, out)
    return out[:, :n]


def scattered(sent: Array, place: Array, n: int) -> Array:
    """What columns (C T, P) send to places (T, P) of n, added up: (C, n)."""
    from pathgraph.layers import numba_windows

    out = np.zeros((len(sent) // len(place), n + 1))
    numba_windows.scatter(sent, place, out)
    return out[:, :n]


def collected(sent: Array, place: Array) -> Array:
    """What columns (C T, n) send along each tap to P targets, of which it is read at place (T, P): (C, P)."""
    from pathgraph.layers import numba_windows

    out = np.zeros((len(sent) // len(place), place.shape[1]))
    numba_windows.collect(sent, place, out)
    return out


def spread(values: Array, place: Array, n: int) -> Array:
    """What values (C, P) send along each tap to places (T, P) of n, added up: (C T, n)."""
    from pathgraph.layers import numba_windows

    out = np.zeros((len(values) * len(place), n + 1))
    numba_windows.spread(np.ascontiguousarray(values), place, out)
    return out[:, :n]
