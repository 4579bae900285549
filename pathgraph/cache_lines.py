"""Arrays that begin with a cache line: reading a vector that lies across two lines takes both of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["LINE", "aligned_empty"]

LINE = 64
"""Bytes of a cache line."""


def aligned_empty(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """An array that begins with a cache line, and whose values are not set; one of `numpy.empty` need not.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype

    Returns
    -------
    ndarray
        Contiguous, of that shape: a view of some bytes more.

    Examples
    --------
    >>> from pathgraph.cache_lines import aligned_empty
    >>> array = aligned_empty((3, 5), "float32")
    >>> array.shape, array.ctypes.data % 64
    ((3, 5), 0)
    """
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.empty(n_bytes + LINE, dtype=np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + n_bytes].view(dtype).reshape(shape)
