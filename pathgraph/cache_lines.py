"""Sizes of the caches, and arrays that begin with a cache line: a vector that lies across two lines takes both."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["LINE", "aligned_empty", "cache_size", "result_empty"]

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


WORTH_ALIGNING = 1 << 16
"""Bytes of a result from which on it is worth two microseconds to have it begin with a cache line."""


def result_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array for a result, whose values are not set: as `aligned_empty` if it is large, else as `numpy.empty`.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype
        Python objects are no bytes: arrays of them begin anywhere.

    Returns
    -------
    ndarray
        Contiguous, of that shape.

    Examples
    --------
    >>> import numpy as np
    >>> from pathgraph.cache_lines import result_empty
    >>> result_empty((300, 500), np.dtype(float)).ctypes.data % 64
    0
    """
    if dtype.hasobject or math.prod(shape) * dtype.itemsize < WORTH_ALIGNING:
        return np.empty(shape, dtype)
    return aligned_empty(shape, dtype)


def cache_size(index: int, *, otherwise: int) -> int:
    """The size of a cache of the first core, as Linux tells it.

    Parameters
    ----------
    index : int
        Of the folder: as a rule 0 for the data of the first level, 2 for the second, 3 for the last before the memory.
    otherwise : int
        Bytes to return where the system does not tell, or tells 0.

    Returns
    -------
    int
        Bytes.

    Examples
    --------
    >>> from pathgraph.cache_lines import cache_size
    >>> cache_size(0, otherwise=32 << 10) > 0
    True
    """
    with suppress(OSError, ValueError):
        told = Path(f"/sys/devices/system/cpu/cpu0/cache/index{index}/size").read_text(encoding="ascii")
        return (int(told.strip().removesuffix("K")) << 10) or otherwise
    return otherwise
