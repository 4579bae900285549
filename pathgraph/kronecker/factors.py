"""Factors of a chain, wherever their values are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pathgraph.errors import ParameterError
from pathgraph.kronecker.patterns import KSPattern

__all__ = ["Factors", "require_chain"]


class Factors:
    """What chains have in common: a chain has `factors`, from left to right."""

    factors: tuple[Any, ...]

    @property
    def patterns(self) -> tuple[KSPattern, ...]:
        """The patterns of the factors, left to right."""
        return tuple(factor.pattern for factor in self.factors)

    @property
    def nnz(self) -> int:
        """Number of values of all factors."""
        return sum(factor.nnz for factor in self.factors)


def require_chain(factors: Sequence[Any]) -> None:
    """Refuse factors whose products do not exist.

    Raises
    ------
    ParameterError
        If one has not as many columns as the next one has rows.
    """
    for i, (left, right) in enumerate(pairwise(factors)):
        if left.shape[1] != right.shape[0]:
            raise ParameterError(
                f"factors: the {left.shape[1]} columns of factor {i}, {left.pattern}, are not the {right.shape[0]} "
                f"rows of factor {i + 1}, {right.pattern}; factors are written left to right"
            )
