r"""How a Kronecker-sparse matrix is multiplied with a batch of vectors: one seam, several methods, one rule.

Every layout is the same product of four-axis views: with x of shape (a, c, d, n) and out of shape (a, b, d, n),

.. math:: out_{ijln} = \sum_{k} w_{ijkl} \, x_{ikln} ,

where batch-last arrays have stride 1 along n, and batch-first ones along l. A method is a function
``f(weights, x, out)`` that writes `out` on these views, whatever their strides:

* ``"reference"``: the sum as it stands, k = 0, 1, ..., on whole arrays: any scalars. Every entry of `out` takes the
  same operations in the same order whatever the batch, so its bits do not depend on the batch (real numbers);
* ``"matmul"``: one call of BLAS per block (i, l), on strided views, without a copy where the layout has a unit stride
  along k or n, and on packed tiles of the batch elsewhere. BLAS chooses its kernels by the size of the batch, so that
  two batches may differ in the last bits.

* ``"tiles"``: compiled tiles of registers, for float32 and float64 where Numba is installed, with the same bits for any
  batch, layout and number of threads (`pathgraph.kronecker.kernels`).

Blocks never mix: a NaN or an infinity in one of them reaches no other. One rule, `choose`, names the method in advance.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.errors import BackendError
from pathgraph.kronecker.kernels import launch
from pathgraph.shown import argument_text

if TYPE_CHECKING:
    from pathgraph.kronecker.patterns import KSPattern
    from pathgraph.kronecker.repeated import Bound
    from pathgraph.scalars import Array

__all__ = ["METHODS", "Weights", "choose", "multiply"]

TILE_BYTES = 2**20
"""About the size of the second-level cache: what a tile of the batch may take, read and written."""

FEW_COLUMNS, LONG_RUN = 4, 128
"""Of batch-first arrays, blocks with so few columns, whose entries lie in runs of so many, are multiplied by operations
on whole arrays: packing them for BLAS costs more (1.4 to 6 times, measured)."""


class Weights:
    """The values of a matrix, and the forms of them that methods have asked for.

    Parameters
    ----------
    values : ndarray, shape (a, b, c, d)
    pattern : KSPattern

    Attributes
    ----------
    packed : dict
        For other types, and for methods that keep a form of their own. Values never change.
    """

    def __init__(self, values: Array, pattern: KSPattern) -> None:
        self.values, self.pattern = values, pattern
        self.packed: dict[Any, Any] = {}

    @cached_property
    def blocks(self) -> Array:
        """The dense blocks, shape (a, d, b, c): a view of the values if d = 1, else a copy that is kept."""
        return np.ascontiguousarray(self.values.transpose(0, 3, 1, 2))

    @property
    def T(self) -> Weights:
        """The weights of the transpose."""
        transposed = Weights(self.values.transpose(0, 2, 1, 3), self.pattern.T)
        if "blocks" in self.__dict__:
            transposed.__dict__["blocks"] = self.blocks.swapaxes(2, 3)
        return transposed

    def astype(self, dtype: np.dtype[Any]) -> Weights:
        """The weights in another type, which are kept; themselves if they have it."""
        if self.values.dtype == dtype:
            return self
        if dtype not in self.packed:
            self.packed[dtype] = Weights(self.values.astype(dtype), self.pattern)
        return self.packed[dtype]  # type: ignore[no-any-return]


def multiply(weights: Weights, x: Array, out: Array, method: str = "auto") -> None:
    """Write the product of a matrix with x to out.

    Parameters
    ----------
    weights : Weights
    x : ndarray, shape (n_columns, n)
        Any strides, n >= 1.
    out : ndarray, shape (n_rows, n)
        Any strides; of the type of the product, sharing no memory with x or the weights.
    method : str

    Raises
    ------
    BackendError
    """
    a, b, c, d = weights.pattern
    n = x.shape[1]
    dtype = out.dtype
    if method == "auto":
        name, _ = choose(weights.pattern, dtype, n, batch_first=abs(x.strides[0]) < abs(x.strides[1]))
    else:
        name = require(method, dtype)
    work = computed_in(dtype)
    source = x.astype(work, copy=False).reshape(a, c, d, n)
    if work == dtype:
        METHODS[name](weights.astype(work), source, out.reshape(a, b, d, n))
        return
    wide = np.empty_like(out, dtype=work)
    METHODS[name](weights.astype(work), source, wide.reshape(a, b, d, n))
    out[...] = wide


def bound(weights: Weights, x: Array, out: Array) -> Bound | None:
    """What `multiply` does with arrays of this type, shape and strides, if compiled tiles do it without a copy of x.

    Parameters
    ----------
    weights, x, out : as for `multiply`
    """
    a, b, c, d = weights.pattern
    n, dtype = x.shape[1], out.dtype
    if x.dtype != dtype or choose(weights.pattern, dtype, n, batch_first=False)[0] != "tiles":
        return None
    if computed_in(dtype) != dtype:
        return None
    same = weights.astype(dtype)
    return launch.bound(same.values, x.reshape(a, c, d, n), out.reshape(a, b, d, n), same.packed)


def computed_in(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type in which products of this type are accumulated: float32 for float16, else itself."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def choose(pattern: KSPattern, dtype: np.dtype[Any], n: int, *, batch_first: bool) -> tuple[str, str]:
    """The method for n vectors, and why.

    Parameters
    ----------
    pattern : KSPattern
    dtype : dtype
        Of the product.
    n : int
    batch_first : bool
        Whether the vectors lie along memory, and not across it.

    Returns
    -------
    method, reason : str
    """
    if dtype.kind == "O":
        return "reference", "the scalars are Python objects"
    if launch.is_available(computed_in(dtype)):
        return "tiles", "compiled tiles read and write every number where it lies, once"
    if batch_first and n > 1 and pattern.c <= FEW_COLUMNS and pattern.d >= LONG_RUN:
        return "reference", "the blocks have few columns, and their entries lie in long runs: not worth packing"
    if batch_first and pattern.d > 1:
        return "matmul", "the blocks are matrices for BLAS, once the batch is packed tile by tile"
    return "matmul", "the blocks are matrices for BLAS as they lie in memory"


def require(method: str, dtype: np.dtype[Any]) -> str:
    """A method that was asked for, if it exists and multiplies such numbers.

    Raises
    ------
    BackendError
    """
    if method not in METHODS:
        raise BackendError(
            f"method: needed 'auto' or one of {', '.join(map(repr, METHODS))}, got {argument_text(method)}"
        )
    if method == "tiles" and not launch.is_available(computed_in(dtype)):
        raise BackendError(
            f"method: 'tiles' multiplies float32 and float64 where Numba is installed, got {dtype}; use 'auto'"
        )
    if method != "reference" and dtype.kind == "O":
        raise BackendError(f"method: {method!r} multiplies machine numbers, got Python objects; needed 'reference'")
    return method


def _by_terms(weights: Weights, x: Array, out: Array) -> None:
    """The sum over k of whole arrays, on tiles of the batch."""
    w = weights.values[..., None]  # (a, b, c, d, 1)
    for part in _tiles(x, out):
        source, target = x[..., part], out[..., part]
        np.multiply(w[:, :, 0], source[:, None, 0], out=target)
        term = np.empty_like(target)
        for k in range(1, w.shape[2]):
            np.multiply(w[:, :, k], source[:, None, k], out=term)
            np.add(target, term, out=target)


def _by_blas(weights: Weights, x: Array, out: Array) -> None:
    """One matrix product per block."""
    w = weights.blocks
    source, target = x.transpose(0, 2, 1, 3), out.transpose(0, 2, 1, 3)  # (a, d, c, n), (a, d, b, n)
    if _has_unit_stride(source) and _has_unit_stride(target):
        np.matmul(w, source, out=target)
        return
    for part in _tiles(x, out):  # rows of the batch, packed by block
        packed = np.ascontiguousarray(source[..., part].swapaxes(2, 3))  # (a, d, n, c)
        target[..., part] = np.matmul(packed, w.swapaxes(2, 3)).swapaxes(2, 3)


def _has_unit_stride(blocks: Array) -> bool:
    """Whether BLAS reads the last two axes as they lie in memory."""
    size = blocks.itemsize
    rows, columns = blocks.strides[2:]
    if not blocks.flags.aligned or rows % size or columns % size:
        return False
    n_rows, n_columns = blocks.shape[2:]
    return (columns == size and rows >= n_columns * size) or (rows == size and columns >= n_rows * size)


def _tiles(x: Array, out: Array) -> list[slice]:
    """Parts of the batch whose columns of x and out fit into the cache together."""
    n = x.shape[-1]
    per_vector = (x.size + out.size) // n * x.itemsize
    width = max(16, TILE_BYTES // per_vector // 16 * 16)
    return [slice(start, min(start + width, n)) for start in range(0, n, width)]


def _by_tiles(weights: Weights, x: Array, out: Array) -> None:
    """Compiled tiles."""
    launch.multiply(weights.values, x, out, weights.packed)


METHODS: dict[str, Callable[[Weights, Array, Array], None]] = {
    "reference": _by_terms,
    "matmul": _by_blas,
    "tiles": _by_tiles,
}
"""From the plainest to the fastest."""
