"""What a report is made of: sections of facts, tables, notes and figures, and numbers as text.

The terminal and the page lay the same sections out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Context
from typing import TypeAlias

__all__ = [
    "Fact",
    "Facts",
    "Figure",
    "Item",
    "Note",
    "Section",
    "Table",
    "ceiling",
    "count",
    "number",
    "percent",
    "power",
    "scientific",
]


@dataclass(frozen=True)
class Fact:
    """A number with its name and, in a sentence, its meaning."""

    name: str
    value: str
    meaning: str = ""


@dataclass(frozen=True)
class Facts:
    """Several facts."""

    facts: Sequence[Fact]


@dataclass(frozen=True)
class Table:
    """A table of texts; `numeric` are the columns that are aligned to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    numeric: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Note:
    """A paragraph; a warning is one that must not be overlooked."""

    text: str
    is_warning: bool = False


@dataclass(frozen=True)
class Figure:
    """A place for a picture, which the terminal skips."""

    name: str
    caption: str


Item: TypeAlias = Facts | Table | Note | Figure


@dataclass(frozen=True)
class Section:
    """A title, a lead that says what the section is about, and its items."""

    title: str
    lead: str
    items: Sequence[Item] = field(default_factory=list)


# -- numbers --------------------------------------------------------------------------------------------------------


def number(value: float | None, digits: int = 5) -> str:
    """A number with a few digits; a dash for none."""
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if 1e3 <= abs(value) < 1e9:
        return f"{value:,.{max(0, digits - len(str(int(abs(value)))))}f}"
    return f"{value:.{digits}g}"


def ceiling(value: float | None, digits: int = 5) -> str:
    """The same for an upper end: rounded up."""
    if value is None or not math.isfinite(value) or value <= 0:
        return number(value, digits)
    whole = len(str(int(value))) if 1e3 <= value < 1e9 else 0
    context = Context(prec=max(digits, whole), rounding=ROUND_CEILING)
    return number(float(context.create_decimal(repr(float(value)))), digits)


def power(log: float, digits: int = 5) -> str:
    """The exponential of a natural logarithm of any size, in decimal notation."""
    if log == -math.inf:
        return "0"
    if abs(log) < 600:
        return number(math.exp(log), digits)
    return scientific(log / math.log(10), digits, "+d")


def count(value: int) -> str:
    """An integer of any size."""
    if value < 10**15:
        return f"{value:,}"
    return scientific(math.log10(value), 5, "d")


def scientific(logarithm: float, digits: int, sign: str) -> str:
    """The number with a decimal logarithm, in scientific notation."""
    whole = math.floor(logarithm)
    mantissa = f"{10 ** (logarithm - whole):.{digits - 1}f}"
    if float(mantissa) >= 10:
        whole, mantissa = whole + 1, f"{1:.{digits - 1}f}"
    return f"{mantissa}e{whole:{sign}}"


def percent(share: float) -> str:
    """A share in percent; small ones are not rounded to zero."""
    if share == 0 or share >= 0.0005:
        return f"{100 * share:.1f} %"
    return f"{100 * share:.1g} %"
