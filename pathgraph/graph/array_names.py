"""Names of the entries of named arrays, made when they are asked for, and ties that are kept as arrays of integers."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from pathgraph.scalars import frozen

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["ArrayNames", "TensorName", "TiedEntries"]

TensorName: TypeAlias = "tuple[Any, ...]"
"""(name, index...): a neuron of a layer, or an entry of a tensor."""


class ArrayNames(Sequence[TensorName]):
    """The names (array, index...) of the entries of some arrays, one array after the other, in C order.

    Attributes
    ----------
    names : tuple of str
    shapes : tuple of tuple of int
    chosen : ndarray of int, optional
        The places, among all these names, of those that there are, in their order.
    """

    def __init__(self, names: Sequence[str], shapes: Sequence[tuple[int, ...]], chosen: Array | None = None) -> None:
        self.names, self.shapes = tuple(names), tuple(shapes)
        self._start = [0, *accumulate(math.prod(shape) for shape in self.shapes)]
        self._chosen = chosen

    def reordered(self, order: Array) -> ArrayNames:
        """Some of all names, by their places, each at most once."""
        return ArrayNames(self.names, self.shapes, order)

    def __len__(self) -> int:
        return self._start[-1] if self._chosen is None else len(self._chosen)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(len(self))[index])
        place = range(len(self))[index]
        if self._chosen is not None:
            place = int(self._chosen[place])
        which = bisect_right(self._start, place) - 1
        inner = np.unravel_index(place - self._start[which], self.shapes[which])
        return (self.names[which], *map(int, inner))

    def __iter__(self) -> Iterator[TensorName]:
        if self._chosen is not None:
            yield from (self[i] for i in range(len(self)))
            return
        for name, shape in zip(self.names, self.shapes, strict=True):
            for inner in np.ndindex(*shape):
                yield (name, *inner)

    def __contains__(self, value: object) -> bool:
        return self.place(value) is not None

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Place of a name.

        Raises
        ------
        ValueError
            If it is none of these, or not among those from `start` to `stop`.
        """
        place = self.place(value)
        if place is None or place not in range(len(self))[start:stop]:
            raise ValueError(f"{value!r} is not one of these names")
        return place

    def place(self, value: object) -> int | None:
        """Place of a name, or None."""
        if not isinstance(value, tuple) or not value or value[0] not in self._by_name:
            return None
        which, inner = self._by_name[value[0]], value[1:]
        shape = self.shapes[which]
        if len(inner) != len(shape) or not all(
            isinstance(i, (int, np.integer)) and 0 <= i < n for i, n in zip(inner, shape, strict=True)
        ):
            return None
        place = self._start[which] + int(np.ravel_multi_index(inner, shape) if shape else 0)
        if self._chosen is None:
            return place
        found = int(self._where[place])
        return found if found >= 0 else None

    @cached_property
    def _where(self) -> Array:
        """The place of each name among the chosen ones, or -1."""
        assert self._chosen is not None
        out = np.full(self._start[-1], -1, dtype=np.int64)
        out[self._chosen] = np.arange(len(self._chosen))
        return out

    @cached_property
    def _by_name(self) -> dict[Any, int]:
        return {name: i for i, name in enumerate(self.names)}

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ArrayNames) and self._chosen is None and other._chosen is None:
            return (self.names, self.shapes) == (other.names, other.shapes)
        if isinstance(other, str):
            return False
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other))  # noqa: B905

    def __hash__(self) -> int:
        return hash((self.names, self.shapes))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_by_name", "_where")}

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3]))
        return f"[{shown}{', ...' if len(self) > 3 else ''}] ({len(self)})"


class TiedEntries(Mapping[int, Hashable]):
    """The names of the parameters of some entries, as one number for each entry instead of one object.

    Attributes
    ----------
    owner : ndarray of int, shape (n_entries,)
        For each entry the place of its name, or -1 if it has none.
    names : sequence of hashables
        The names, each once.
    """

    def __init__(self, owner: Array, names: Sequence[Hashable]) -> None:
        self.owner, self.names = frozen(owner), names

    @cached_property
    def n_named(self) -> int:
        """Number of entries that have a name."""
        return int(np.count_nonzero(self.owner >= 0))

    @cached_property
    def n_used(self) -> int:
        """Number of names that occur."""
        used = np.zeros(len(self.names) + 1, dtype=bool)
        used[self.owner] = True
        return int(np.count_nonzero(used[:-1]))

    def __len__(self) -> int:
        return self.n_named

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self.owner >= 0).tolist())

    def __contains__(self, entry: object) -> bool:
        return isinstance(entry, (int, np.integer)) and bool(0 <= entry < len(self.owner) and self.owner[entry] >= 0)

    def __getitem__(self, entry: int) -> Hashable:
        if entry not in self:
            raise KeyError(entry)
        return self.names[int(self.owner[entry])]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TiedEntries) and self.names == other.names:
            return bool(np.array_equal(self.owner, other.owner))
        return isinstance(other, Mapping) and dict(self) == dict(other)

    __hash__ = None  # type: ignore[assignment]

    def __getstate__(self) -> dict[str, Any]:
        return {"owner": self.owner, "names": self.names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        frozen(self.owner)

    def __repr__(self) -> str:
        return f"TiedEntries({self.n_named} entries, {self.n_used} names)"
