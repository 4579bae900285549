"""What a bound is: an interval around a quantity, and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR
from fractions import Fraction
from typing import Any

import numpy as np

from pathgraph.shown import number_text

__all__ = ["Bound"]


@dataclass(frozen=True, eq=False)
class Bound:
    """A quantity enclosed between two numbers, or one enclosure per output.

    Attributes
    ----------
    lower, upper : float, Fraction, or ndarray of shape (n_outputs,)
    exact : bool
        Whether `upper` is the quantity itself, up to the round-off of its type, and not only a bound of it.
    rigorous : bool
        Whether the ends enclose the round-off of their own computation, too: always so for rationals.
    method : str
        How it was found.

    Examples
    --------
    >>> from pathgraph import Bound
    >>> bound = Bound(1.0, 2.5, exact=False, rigorous=False, method="meet")
    >>> bound
    Bound(1.0 <= . <= 2.5, by meet)
    >>> float(bound), bound.value == bound.upper
    (2.5, True)
    >>> f"{bound:.2f}"
    '2.50'
    """

    lower: Any
    upper: Any
    exact: bool
    rigorous: bool
    method: str

    @property
    def value(self) -> Any:
        """The upper end: what may be relied on."""
        return self.upper

    def __float__(self) -> float:
        return float(self.upper)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Bound):
            return NotImplemented
        return (
            bool(np.array_equal(self.lower, other.lower))
            and bool(np.array_equal(self.upper, other.upper))
            and (self.exact, self.rigorous, self.method) == (other.exact, other.rigorous, other.method)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        known = "".join([", exact" if self.exact else "", ", rigorous" if self.rigorous else ""])
        lower = number_text(self.lower, rounding=ROUND_FLOOR)
        upper = number_text(self.upper, rounding=ROUND_CEILING)
        return f"Bound({lower} <= . <= {upper}{known}, by {self.method})"

    def __format__(self, spec: str) -> str:
        """The upper end, formatted; that of each output as a list. Without a format it is ``str``."""
        if not spec:
            return str(self)
        if isinstance(self.upper, np.ndarray):
            return f"[{', '.join(_formatted(end, spec) for end in self.upper)}]"
        return _formatted(self.upper, spec)


def _formatted(end: Any, spec: str) -> str:
    if isinstance(end, Fraction):  # which Python formats since 3.12 only
        end = float(end)
    return format(end, spec)
