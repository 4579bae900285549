"""The different numbers of an array, by sorting: `numpy.unique` hashes integers, and may take minutes for a million."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["distinct"]


def distinct(numbers: Array) -> Array:
    """The different numbers, sorted.

    Parameters
    ----------
    numbers : ndarray, shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> from pathgraph.distinct import distinct
    >>> distinct(np.array([3, 1, 3, 2, 1]))
    array([1, 2, 3])
    """
    ordered = np.sort(numbers)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered
