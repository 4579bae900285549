"""An analysis on a terminal: with rich where it is installed, else as plain text of the same content."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from textwrap import wrap
from typing import Any, TextIO

from pathgraph.analysis.document import Fact, Facts, Figure, Note, Section, Table
from pathgraph.shown import shortened

__all__ = ["plain_lines", "show"]

WIDTH = 120
"""Of the text, where the output is no terminal and COLUMNS is not set."""

MAX_ROWS = 40
"""Longer tables are cut in the middle; the page and the JSON file have all rows."""

MEANING = 24
"""Least width of the explanations; where there is less room, they begin on a line of their own."""


def show(title: str, sections: Sequence[Section], stream: TextIO | None = None) -> None:
    """Print the sections.

    Parameters
    ----------
    title : str
    sections : sequence of Section
    stream : text file, optional
        Standard output by default.
    """
    stream = sys.stdout if stream is None else stream
    width = shutil.get_terminal_size((WIDTH, 24)).columns
    try:
        import rich.console
    except ImportError:
        stream.write("\n".join(plain_lines(title, sections, width)) + "\n")
        return
    _show_rich(rich.console.Console(file=stream, width=width, highlight=False), title, sections)


def _rows(table: Table) -> list[Sequence[str]]:
    """The rows that are shown, with long names shortened where there are several columns."""
    n_columns, rows = len(table.columns), table.rows
    if n_columns > 2:
        rows = [[", ".join(map(shortened, cell.split(", "))) for cell in row] for row in rows]
    if len(rows) <= MAX_ROWS:
        return list(rows)
    head = MAX_ROWS // 2
    gap = [f"... {len(rows) - 2 * head} more ..."] + [""] * (n_columns - 1)
    return [*rows[:head], gap, *rows[-head:]]


def _widths(table: Table, rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Widths of columns that add up to at most `room`: heads are folded first, then the widest columns of texts.

    Words of heads and numbers stay whole as long as there is room for them.

    Examples
    --------
    >>> table = Table(["name", "share of it"], [["a long name", "12.25 %"]], numeric=frozenset({1}))
    >>> [_widths(table, table.rows, room) for room in (30, 20, 12, 8)]
    [[11, 11], [11, 7], [5, 7], [4, 4]]
    """
    columns = table.columns
    bodies = [max((len(row[place]) for row in rows), default=0) for place in range(len(columns))]
    widths = [max(body, len(column)) for body, column in zip(bodies, columns, strict=True)]
    if sum(widths) <= room:
        return widths
    words = [max(map(len, column.split()), default=0) for column in columns]
    widths = [max(body, word, 1) for body, word in zip(bodies, words, strict=True)]
    least = [max(word, bodies[place] if place in table.numeric else 1) for place, word in enumerate(words)]
    if sum(least) > room:
        least = [1] * len(columns)
    limit = max(widths)
    while limit > 1 and sum(max(min(size, limit), low) for size, low in zip(widths, least, strict=True)) > room:
        limit -= 1
    return [max(min(size, limit), low) for size, low in zip(widths, least, strict=True)]


# -- rich -----------------------------------------------------------------------------------------------------------


def _show_rich(console: Any, title: str, sections: Sequence[Section]) -> None:
    from rich.rule import Rule
    from rich.text import Text

    console.print(Rule(Text(title, style="bold"), align="left"))
    for section in sections:
        console.print()
        console.print(Text(section.title, style="bold"))
        console.print(Text(section.lead, style="dim"))
        for item in section.items:
            if not isinstance(item, Figure):
                console.print(_rich_item(item, console.width))


def _rich_item(item: Facts | Table | Note, width: int) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    if isinstance(item, Note):
        return Text(("! " if item.is_warning else "") + item.text, style="yellow" if item.is_warning else "")
    if isinstance(item, Facts):
        table = RichTable(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(justify="right", overflow="fold")
        table.add_column(style="dim", ratio=1)
        for fact in item.facts:
            table.add_row(Text(fact.name), Text(fact.value), Text(fact.meaning))
        return table
    table = RichTable(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    rows, n = _rows(item), len(item.columns)
    widths = _widths(item, rows, width - 2 * n - 1) if n > 2 else [None] * n
    for place, (column, size) in enumerate(zip(item.columns, widths, strict=True)):
        numeric = place in item.numeric
        table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold", width=size)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # As a title the caption would be folded to the width of the table.
    return Group(Text(item.caption, style="italic"), table) if item.caption else table


# -- plain ----------------------------------------------------------------------------------------------------------


def plain_lines(title: str, sections: Sequence[Section], width: int = WIDTH) -> list[str]:
    r"""The same as lines of plain text.

    Examples
    --------
    >>> from pathgraph.analysis.document import Fact, Facts, Section
    >>> print("\n".join(plain_lines("a model", [Section("Sizes", "How large.", [Facts([Fact("paths", "4")])])])))
    a model
    =======
    <BLANKLINE>
    Sizes
    -----
    How large.
      paths  4
    """
    lines = [title, "=" * len(title)]
    for section in sections:
        lines += ["", section.title, "-" * len(section.title), *wrap(section.lead, width)]
        for item in section.items:
            if isinstance(item, Note):
                lines += ["", *wrap(("! " if item.is_warning else "") + item.text, width)]
            elif isinstance(item, Facts):
                lines += _facts(item.facts, width)
            elif isinstance(item, Table):
                lines += ["", *wrap(item.caption, width), *_table(item, width)]
    return lines


def _facts(facts: Sequence[Fact], width: int) -> Iterator[str]:
    names = max(len(fact.name) for fact in facts)
    values = max(len(fact.value) for fact in facts)
    for fact in facts:
        yield from _beside(f"{fact.name:<{names}}  {fact.value:>{values}}", fact.meaning, width)


def _beside(name: str, text: str, width: int) -> Iterator[str]:
    """A text right of a name, or below it."""
    indent = len(name) + 4
    if width - indent < MEANING:
        yield from (f"  {line}" for line in wrap(name, max(width - 2, MEANING)))
        yield from (" " * 6 + line for line in wrap(text, max(width - 6, MEANING)))
        return
    first, *rest = wrap(text, width - indent) or [""]
    yield f"  {name}  {first}".rstrip()
    yield from (" " * indent + line for line in rest)


def _table(table: Table, width: int) -> Iterator[str]:
    rows = [table.columns, *_rows(table)]
    n = len(table.columns)
    if n <= 2:  # texts: the last column is folded
        first = max(len(row[0]) for row in rows) if n == 2 else 0
        for row in rows:
            if n == 2:
                yield from _beside(f"{row[0]:<{first}}", row[1], width)
            else:
                yield from (f"  {line}" for line in wrap(row[0], max(width - 2, MEANING)))
        return
    widths = _widths(table, rows[1:], width - 2 * n)
    for row in rows:
        folded = [wrap(cell, size) for cell, size in zip(row, widths, strict=True)]
        for parts in zip_longest(*folded, fillvalue=""):
            cells = (
                f"{part:>{size}}" if place in table.numeric else f"{part:<{size}}"
                for place, (part, size) in enumerate(zip(parts, widths, strict=True))
            )
            yield ("  " + "  ".join(cells)).rstrip()
