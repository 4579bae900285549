"""Compiled copies and sums along the taps of windows, for the columns that compiled products read and make.

`place`, of shape (T, P), says for each of T taps and P windows which of n positions is read there; n means nothing. A
matrix product with zeros and ones could do the same, but would wake the threads of the BLAS.

Not checked: that Numba is installed (`pathgraph.layers.power_products.is_compiled` says so).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["collected", "gathered", "scattered", "spread"]


def gathered(values: Array, place: Array) -> Array:
    """What the windows read of values (C, n), as columns: (C T, P)."""
    from pathgraph.layers import numba_windows
    from pathgraph.layers.numba_powers import LANES

    n_taps, n = place.shape
    padded = np.zeros((len(values), values.shape[1] + 1))
    padded[:, :-1] = values
    out = np.zeros((len(values) * n_taps, -(-n // LANES) * LANES))
    numba_windows.gather(padded, place, out)
    return out[:, :n]


def scattered(sent: Array, place: Array, n: int) -> Array:
    """What columns (C T, P) send back to the n positions that they read, added up: (C, n)."""
    from pathgraph.layers import numba_windows

    out = np.zeros((len(sent) // len(place), n + 1))
    numba_windows.scatter(sent, place, out)
    return out[:, :n]


def collected(sent: Array, place: Array) -> Array:
    """What columns (C T, n) send along each tap, added up by P targets, which find it at their places: (C, P)."""
    from pathgraph.layers import numba_windows

    out = np.zeros((len(sent) // len(place), place.shape[1]))
    numba_windows.collect(sent, place, out)
    return out


def spread(values: Array, place: Array, n: int) -> Array:
    """What values (C, P) send along each tap to their places among n, added up for each tap: (C T, n)."""
    from pathgraph.layers import numba_windows

    out = np.zeros((len(values) * len(place), n + 1))
    numba_windows.spread(np.ascontiguousarray(values), place, out)
    return out[:, :n]
