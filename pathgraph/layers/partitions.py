"""Which positions along an axis carry equal numbers, and which output positions of a layer do so as a consequence.

If the inputs are constant in space, most spatial positions of every layer carry the same sums: only the distance to the
padding makes a difference. So an axis of a tensor is kept as a *partition* of its positions into classes, with one
number per class. A convolution, a pool or an interpolation reads, for each output position, a list of input positions.
The *signature* of the output position is the list of their classes, with "padding" in place of a class where nothing is
read. Positions with equal signatures get equal sums, term by term. So they form the classes of the output, and the map
is computed once per class.

Everything here is about one axis, and about its structure only: it is remembered between calls.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["PADDING", "Partition", "Reads", "Taps", "grouped_rows", "joint", "one_class", "reads", "singletons"]

PADDING = -1
"""In place of a position or of a class: nothing is read there."""

REMEMBERED = 4096
"""How many results of each function are remembered."""


class Partition:
    """Classes of the positions of an axis, numbered by first occurrence.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        The class of each position; any numbers, equal ones for one class.

    Attributes
    ----------
    labels : ndarray, shape (n,)
        Renumbered 0, 1, ... by first occurrence.
    first : ndarray, shape (n_classes,)
        The first position of each class.
    """

    __slots__ = ("_key", "first", "labels")

    def __init__(self, labels: Array) -> None:
        _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        self.labels = rank[inverse.ravel()]
        self.first = first[order]
        self._key = self.labels.tobytes()
        self.labels.flags.writeable = self.first.flags.writeable = False

    def __len__(self) -> int:
        return len(self.first)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Partition) and self._key == other._key)

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"Partition({self.labels.tolist()})"

    @property
    def size(self) -> int:
        """How many positions the axis has."""
        return len(self.labels)

    @property
    def is_full(self) -> bool:
        """Whether every position is a class of its own."""
        return len(self.first) == len(self.labels)

    def counts(self) -> Array:
        """How many positions each class has, as floats."""
        return np.bincount(self.labels, minlength=len(self)).astype(np.float64)


@lru_cache(maxsize=REMEMBERED)
def singletons(n: int) -> Partition:
    """Every position a class of its own."""
    return Partition(np.arange(n))


@lru_cache(maxsize=REMEMBERED)
def one_class(n: int) -> Partition:
    """All positions equal."""
    return Partition(np.zeros(n, dtype=np.int64))


@lru_cache(maxsize=REMEMBERED)
def joint(a: Partition, b: Partition) -> tuple[Partition, Array, Array]:
    """The coarsest partition whose classes lie in one class of `a` and in one of `b`; and these two, for each class."""
    if a == b:
        same = np.arange(len(a))
        return a, same, same
    both = Partition(a.labels * len(b) + b.labels)
    both = a if both == a else b if both == b else both  # the same object: what is on it need not be copied
    return both, a.labels[both.first], b.labels[both.first]


class Taps:
    """What each output position of an axis reads: a list of input positions, with coefficients or none.

    Parameters
    ----------
    index : ndarray of int, shape (n_out, k)
        Input positions in the order in which they are summed; PADDING where nothing is read.
    n_in : int
    coefficient : ndarray, shape (n_out, k), optional

    Notes
    -----
    Compared by identity: an operation makes its taps once.
    """

    def __init__(self, index: Array, n_in: int, coefficient: Array | None = None) -> None:
        self.index = index
        self.n_in = n_in
        self.coefficient = coefficient

    @property
    def n_out(self) -> int:
        """The number of output positions."""
        return len(self.index)

    @cached_property
    def _coefficient_class(self) -> Array | None:
        if self.coefficient is None:
            return None
        return np.unique(self.coefficient, return_inverse=True)[1].reshape(self.index.shape)

    def signature(self, source: Partition) -> Array:
        """The signature of each output position, as a row of numbers: the classes it reads, and their coefficients."""
        classes = np.where(self.index == PADDING, PADDING, source.labels[self.index])
        if self._coefficient_class is None:
            return classes
        return np.concatenate([classes, self._coefficient_class], axis=1)


class Reads(NamedTuple):
    """What the output classes of an axis read: `Taps` between classes instead of positions.

    Attributes
    ----------
    classes : ndarray of int, shape (n_classes_out, k)
        The input classes that each output class reads.
    coefficient : ndarray, shape (n_classes_out, k), or None
    target : Partition
        Of the output axis.
    is_copy : bool
        Whether output class i reads input class i and nothing else, with no coefficient.
    """

    classes: Array
    coefficient: Array | None
    target: Partition
    is_copy: bool


@lru_cache(maxsize=REMEMBERED)
def reads(taps: Taps, source: Partition) -> Reads:
    """What the output classes read, if the input has these classes."""
    signature = taps.signature(source)
    target = Partition(grouped_rows(signature))
    k = taps.index.shape[1]
    index = np.ascontiguousarray(signature[target.first, :k])
    coefficient = None if taps.coefficient is None else taps.coefficient[target.first]
    is_copy = coefficient is None and k == 1 and np.array_equal(index[:, 0], np.arange(len(source)))
    return Reads(index, coefficient, target, is_copy)


def grouped_rows(rows: Array) -> Array:
    """A number for each row of a matrix, equal for equal rows."""
    rows = np.ascontiguousarray(rows)
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(row.tobytes(), len(seen)) for row in rows], dtype=np.int64)
