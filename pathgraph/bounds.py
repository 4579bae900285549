"""What a bound is: an interval around a quantity, and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

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
        return f"Bound({_shown(self.lower)} <= . <= {_shown(self.upper)}{known}, by {self.method})"


def _shown(end: Any) -> str:
    return str(end.tolist()) if isinstance(end, np.ndarray) else str(end)
