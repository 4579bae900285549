"""How kernels are given entries, and how they multiply: a slab of the entries at a time, by sums or by maxima.

A kernel never needs all entries of a tensor at once, but some rows of them. So functions of the entries, such as |w|^q,
are made a slab at a time, and never held as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["Product", "Slabs", "largest_products", "products", "rows_in_slab", "slabs"]

SLAB = 1 << 17
"""About how many entries of the weights are mapped at a time."""

Slabs: TypeAlias = "Callable[..., Array]"
"""A function that takes slices of the first axes of a tensor, and gives its (mapped) entries there, as an array.

The next call may overwrite that array.
"""

Product: TypeAlias = "Callable[[Array, Array], Array]"
"""A product of two stacks of matrices: `products` or `largest_products`."""

products: Product = np.matmul


def largest_products(a: Array, b: Array) -> Array:
    """The matrix products of two stacks of non-negative matrices, with the maximum in place of the sum."""
    out = np.empty((*a.shape[:-1], b.shape[-1]), dtype=b.dtype)
    for at in np.ndindex(a.shape[:-1]):
        out[at] = (a[at][:, None] * b[at[:-1]]).max(axis=0, initial=0)
    return out


def rows_in_slab(row: int) -> int:
    """How many rows of so many entries fit into a slab; none if even one does not."""
    return SLAB // max(1, row)


def slabs(n_rows: int, row: int) -> Iterator[slice]:
    """Slices that cover some rows, each of at most SLAB entries, or of one row."""
    step = max(1, rows_in_slab(row))
    step -= step % 16 if step > 16 else 0
    for start in range(0, n_rows, step):
        yield slice(start, min(n_rows, start + step))
