r"""Compiled products with powers of absolute weights, and the masses of these weights, where compiling is worth it.

`PowerSlabs` gives the entries f(w) = abs(w)**q of a tensor, some slices at a time. The functions of this module
multiply by all entries of a tensor, and store none of them. Each returns None where its caller should use slabs and the
matrix products of the BLAS instead:

* for entries that are no `PowerSlabs` of a large network, and for powers other than 1, 2 and 4;
* for many columns, since nearly all the time then goes into the product itself, which the BLAS does as well;
* for small shapes, and for arrays that do not lie in memory row by row;
* without Numba.

The products run on `pathgraph.threads`, on as many as Numba may use. Each thread has rows, or columns, of the weights
of its own, so the bits of the result are the same on any number of threads. The copies and sums of windows that
convolutions make before and after such a product are compiled, too: `pathgraph.layers.window_loops`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph import threads
from pathgraph.pathsum.engine import is_available as is_numba_available

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = [
    "PowerSlabs",
    "is_compiled",
    "multiplied",
    "multiplied_with_masses",
    "threads_for",
    "transposed",
    "transposed_with_masses",
]

COMPILED_FROM = 1 << 23
"""Entries of a network from which products are compiled.

Below, the BLAS is quick enough that nobody should wait for Numba: its import and the loading of the kernels take a
third of a second, and the first compilation, which is kept on disk, less than two.
"""
WORTH = 1 << 22
"""Multiplications from which it is worth waking other threads."""
MOST_COLUMNS = 512
"""Columns up to which products are compiled."""
POWERS = (1, 2, 4)
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class PowerSlabs:
    """The entries abs(w)**q of a tensor, made a slice at a time when they are asked for.

    Parameters
    ----------
    array : ndarray
        The tensor w.
    q : number
    make : callable
        Takes a part of the tensor, and gives its powers as an array that is only good until the next call.
    n_threads : int
        How many threads compiled products may use; 0: no products are compiled.
    """

    __slots__ = ("array", "make", "n_threads", "q")

    def __init__(self, array: Array, q: float, make: Callable[[Array], Array], n_threads: int) -> None:
        self.array, self.q, self.make, self.n_threads = array, q, make, n_threads

    def __call__(self, *chosen: slice) -> Array:
        """The powers of some slices of the first axes."""
        return self.make(self.array[chosen])


def threads_for(n_entries: int, q: float) -> int:
    """How many threads compiled products with q-th powers of a network's entries may use; 0: do not compile them."""
    return threads.count() if n_entries >= COMPILED_FROM and q in POWERS and is_numba_available() else 0


def is_compiled(weights: Any) -> bool:
    """Whether products with these entries are compiled."""
    return isinstance(weights, PowerSlabs) and weights.n_threads > 0


def multiplied(weights: Any, columns: Array) -> Array | None:
    """f(W) X: the weights, seen as a matrix (M, K), times columns (K, P)."""
    return _made(weights, columns, None, None, is_transposed=False)


def transposed(weights: Any, values: Array) -> Array | None:
    """f(W)^t Y: the transpose of the weights (M, K) times columns (M, P)."""
    return _made(weights, None, values, None, is_transposed=True)


def multiplied_with_masses(weights: Any, columns: Array, values: Array, entries: Array) -> Array | None:
    """f(W) X, and (Y X^t) * f(W) into `entries`, shape (M, K); X has shape (K, P), and Y (M, P)."""
    return _made(weights, columns, values, entries, is_transposed=False)


def transposed_with_masses(weights: Any, columns: Array, values: Array, entries: Array) -> Array | None:
    """f(W)^t Y, and (Y X^t) * f(W) into `entries`, shape (M, K); X has shape (K, P), and Y (M, P)."""
    return _made(weights, columns, values, entries, is_transposed=True)


def _made(
    weights: Any, columns: Array | None, values: Array | None, entries: Array | None, *, is_transposed: bool
) -> Array | None:
    read = columns if columns is not None and not is_transposed else values
    assert read is not None
    n = read.shape[1]
    matrix = _matrix(weights, len(read), n, is_transposed=is_transposed)
    if matrix is None or (entries is not None and not _is_plain(entries)):
        return None
    from pathgraph.layers import numba_powers as kernels

    n_rows, n_columns = matrix.shape
    if n_columns < kernels.PANEL:
        return None
    vectors = -(-n // kernels.LANES)
    read = _padded(read, vectors * kernels.LANES)
    made = np.zeros(((n_columns + kernels.ROWS) if is_transposed else n_rows, vectors * kernels.LANES))
    panels, y, target = np.empty(0), read, 0
    if entries is not None:
        assert columns is not None
        assert values is not None
        panels, y, target = _panels(columns, kernels.PANEL), np.ascontiguousarray(values), _address(entries)
    unit, size = (kernels.SHARE, n_columns) if is_transposed else (kernels.ROWS, n_rows)
    n_threads = weights.n_threads if matrix.size * n >= WORTH else 1
    cuts = _cuts(size, unit, n_threads)
    of_read, of_made = (_address(read), read.strides[0]), (vectors, _address(made), made.strides[0])
    of_masses = n, _address(panels), target

    def share(low: int, high: int) -> None:
        head, buffer = (matrix, int(weights.q), low, high), np.empty((kernels.BLOCK_ROWS, kernels.STRIDE))
        if is_transposed:
            kernels.columns(*head, *of_made, *of_read, *of_masses, buffer)
        else:
            kernels.rows(*head, *of_read, *of_made, _address(y), y.strides[0], *of_masses, buffer)

    threads.run([partial(share, low, high) for low, high in pairwise(cuts)])
    return made[: n_columns if is_transposed else n_rows, :n]


def _matrix(weights: Any, n_read: int, n: int, *, is_transposed: bool) -> Array | None:
    """The weights as a matrix with a column (transposed: a row) for each number read; None to leave it to the BLAS."""
    if not is_compiled(weights) or not 0 < n <= MOST_COLUMNS or n_read == 0:
        return None
    array: Array = weights.array
    if array.dtype not in FLOATS or not array.flags.c_contiguous or array.size == 0:
        return None
    return array.reshape(n_read, -1) if is_transposed else array.reshape(-1, n_read)


def _is_plain(array: Array) -> bool:
    return bool(array.flags.c_contiguous and array.dtype == np.float64)


def _padded(columns: Array, width: int) -> Array:
    """The columns with more columns behind them, whose numbers do not matter, up to a whole number of vectors."""
    if columns.strides == (width * 8, 8) and (columns.shape[1] == width or _has_room(columns, width)):
        return columns
    out = np.zeros((len(columns), width))
    out[:, : columns.shape[1]] = columns
    return out


def _has_room(columns: Array, width: int) -> bool:
    """Whether the columns are the first ones of an array of this width."""
    base = columns.base
    if not isinstance(base, np.ndarray) or base.shape != (len(columns), width) or base.dtype != np.float64:
        return False
    return _address(base) == _address(columns)


def _panels(columns: Array, width: int) -> Array:
    """X^t cut into panels of so many columns: (K, P) to (panels, P, width); the last one ends with the last column."""
    n_rows, n = columns.shape
    n_panels = -(-n_rows // width)
    out = np.empty((n_panels, n, width))
    whole = n_rows // width
    out[:whole] = columns[: whole * width].reshape(whole, width, n).swapaxes(1, 2)
    if n_panels > whole:
        out[whole] = columns[n_rows - width :].T
    return out


def _cuts(size: int, unit: int, n_threads: int) -> list[int]:
    """Where the shares of the threads begin and end: at multiples of the unit, and at the end."""
    units = -(-size // unit)
    n = max(1, min(n_threads, units))
    return [min(size, units * t // n * unit) for t in range(n + 1)]


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])
