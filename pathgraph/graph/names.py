"""Names of neurons and of values, made when they are asked for: millions of objects are never kept."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.graph.array_names import ArrayNames
from pathgraph.scalars import frozen

if TYPE_CHECKING:
    from pathgraph.graph.architecture import Architecture
    from pathgraph.scalars import Array

__all__ = ["EntryNames", "NodeNumbers", "is_numbered", "numbered", "place_of", "same_names"]


class EntryNames(Sequence[Any]):
    """The names of some entries, made when they are asked for.

    (u, v) is the weight of the edge u -> v, v the bias of v, and a tied parameter has its own name.
    """

    def __init__(self, architecture: Architecture, entries: Array) -> None:
        self._architecture = architecture
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        entry = int(self._entries[index])
        ties = self._architecture.ties
        return ties[entry] if entry in ties else self._architecture.entry_name(entry)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and not isinstance(other, str) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:6]))
        return f"[{shown}{', ...' if len(self) > 6 else ''}] ({len(self)})"


class NodeNumbers(Sequence[int]):
    """Neurons named by their place of insertion, in canonical order: a permutation of 0, ..., n - 1.

    Where the two orders are one, a `range` serves.
    """

    def __init__(self, insertion: Array) -> None:
        self._insertion = insertion

    def __len__(self) -> int:
        return len(self._insertion)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self._insertion[index].tolist())
        return int(self._insertion[index])

    def __iter__(self) -> Iterator[int]:
        for low in range(0, len(self), 4096):
            yield from self._insertion[low : low + 4096].tolist()

    def __contains__(self, value: object) -> bool:
        return value in range(len(self))

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Place of a number.

        Raises
        ------
        ValueError
            If it is none of these, or not among those from `start` to `stop`.
        """
        place = int(self._place[range(len(self)).index(value)])
        if place not in range(len(self))[start:stop]:
            raise ValueError(f"{value!r} is not between the places {start} and {stop}")
        return place

    def count(self, value: Any) -> int:
        """1 for these numbers, 0 for everything else."""
        return int(value in self)

    @cached_property
    def _place(self) -> Array:
        place = np.empty(len(self), dtype=self._insertion.dtype)
        place[self._insertion] = np.arange(len(self), dtype=place.dtype)
        return place

    def __eq__(self, other: object) -> bool:
        if isinstance(other, NodeNumbers):
            return bool(np.array_equal(self._insertion, other._insertion))
        return isinstance(other, tuple) and len(self) == len(other) and all(map(_equal, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __getstate__(self) -> dict[str, Any]:
        return {"_insertion": self._insertion}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        frozen(self._insertion)

    def __repr__(self) -> str:
        shown = ", ".join(map(str, self[:6]))
        return f"({shown}{', ...' if len(self) > 6 else ''}) ({len(self)})"


def _equal(a: object, b: object) -> bool:
    return a == b


def numbered(insertion: Array) -> Sequence[int]:
    """The numbers 0, ..., n - 1 as names of neurons, in canonical order, without an object for each."""
    size = len(insertion)
    is_identity = bool((insertion == np.arange(size, dtype=insertion.dtype)).all())
    return range(size) if is_identity else NodeNumbers(insertion)


def is_numbered(names: Sequence[Hashable]) -> bool:
    """Whether the names of the neurons are numbers that nobody gave them."""
    return isinstance(names, (range, NodeNumbers))


def place_of(names: Sequence[Hashable], name: Hashable) -> int | None:
    """Place of a name among names that are made when they are asked for, or None."""
    if isinstance(names, ArrayNames):
        return names.place(name)
    if not isinstance(name, (int, np.integer)) or not 0 <= name < len(names):
        return None
    return names.index(int(name))


def same_names(a: Sequence[Hashable], b: Sequence[Hashable]) -> bool:
    """Whether two sequences hold the same names, be they stored or counted."""
    return a == b if type(a) is type(b) else len(a) == len(b) and all(map(_equal, a, b))
