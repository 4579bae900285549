"""What a check of a statement returns: the two sides of an equality or of an inequality, as exact numbers.

Sides may be numbers, or nested tuples, lists and arrays of numbers and node names. Floats are refused: a check that
meets one would compare round-off, so float results must be converted to the Fractions that they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational
from typing import Any

import numpy as np

from pathgraph.shown import argument_text

__all__ = ["Comparison", "Equality", "Inequality"]


def _exact(side: Any) -> Any:
    """`side` with arrays and lists turned into tuples, so that ``==`` means equality of everything inside."""
    if isinstance(side, np.ndarray):
        side = side.tolist()
    if isinstance(side, (tuple, list)):
        if set(map(type, side)) <= {Fraction, int}:  # long lists of path products
            return tuple(side)
        return tuple(map(_exact, side))
    if isinstance(side, np.integer):
        return int(side)
    if isinstance(side, (Rational, str)):
        return side
    raise TypeError(
        f"a check compares exact numbers, got {argument_text(side)} of type {type(side).__name__}; compare powers in "
        "place of roots, as path_norm(net, 2, root=False), and Fractions in place of floats"
    )


def _numbers(side: Any) -> Iterator[Fraction]:
    if isinstance(side, tuple):
        for item in side:
            yield from _numbers(item)
    else:
        yield Fraction(side)


@dataclass(frozen=True)
class Comparison(ABC):
    """What a check returns: two sides, and whether they are as they should be, as a bool.

    Parameters
    ----------
    left, right : number, str, or nested sequence or ndarray of them

    Raises
    ------
    TypeError
        If a side holds a float.
    """

    left: Any
    right: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "left", _exact(self.left))
        object.__setattr__(self, "right", _exact(self.right))

    @abstractmethod
    def __bool__(self) -> bool: ...


class Equality(Comparison):
    """The statement ``left == right``.

    Parameters
    ----------
    left, right : number, str, or nested sequence or ndarray of them

    Examples
    --------
    >>> from pathgraph.testing import Equality
    >>> bool(Equality([1, 2], (1, 2)))
    True
    """

    def __bool__(self) -> bool:
        return bool(self.left == self.right)


class Inequality(Comparison):
    """The statement ``left <= right``, entry by entry.

    Parameters
    ----------
    left, right : number, or nested sequence or ndarray of numbers
        Both with the same number of entries.

    Raises
    ------
    TypeError
        If a side holds a float.
    ValueError
        When it is evaluated, if the numbers of entries differ.

    Examples
    --------
    >>> from pathgraph.testing import Inequality
    >>> claim = Inequality([1, 1], [2, 3])
    >>> bool(claim), claim.ratio
    (True, Fraction(1, 2))
    """

    def __bool__(self) -> bool:
        return all(a <= b for a, b in self._pairs())

    @property
    def ratio(self) -> Fraction | None:
        """The largest left / right among the entries whose right side is positive; None if there is none."""
        return max([a / b for a, b in self._pairs() if b > 0], default=None)

    def _pairs(self) -> list[tuple[Fraction, Fraction]]:
        left, right = list(_numbers(self.left)), list(_numbers(self.right))
        if len(left) != len(right):
            raise ValueError(f"Inequality: needed sides with equally many numbers, got {len(left)} and {len(right)}")
        return list(zip(left, right, strict=True))
