"""An analysis as one HTML page that needs nothing but itself: no script, no file beside it, light and dark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from pathgraph.analysis.document import Facts, Figure, Item, Note, Section, Table

__all__ = ["page"]

STYLE = """
:root { color-scheme: light dark;
  --back: #fbfbfa; --ink: #1d2433; --soft: #5b6577; --line: #cdd3dc; --fill: #eef1f5;
  --first: #2f5fa8; --second: #c1561f; --warn-back: #fdf1dc; --warn-line: #d99a26; }
@media (prefers-color-scheme: dark) { :root {
  --back: #14171d; --ink: #e4e8ef; --soft: #9aa5b8; --line: #3a4352; --fill: #1f2530;
  --first: #7aa7ec; --second: #f0915a; --warn-back: #33290f; --warn-line: #b98422; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.2rem clamp(.9rem, 4vw, 2rem) 4rem; }
h1 { font-size: clamp(1.5rem, 5vw, 2.1rem); line-height: 1.2; margin: .6rem 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 0 0 .2rem; }
p { margin: .4rem 0; max-width: 46rem; text-wrap: pretty; }
.lead { color: var(--soft); }
nav { margin: 1rem 0 0; font-size: .9rem; }
nav a { color: var(--first); margin-right: .9rem; display: inline-block; padding: .15rem 0; }
section { margin-top: 2.4rem; padding-top: 1.1rem; border-top: 1px solid var(--line); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11.8rem, 1fr)); gap: .7rem;
  margin: 1.2rem 0 0; padding: 0; }
.tiles div { background: var(--fill); border-radius: .5rem; padding: .6rem .8rem; }
.tiles dt { color: var(--soft); font-size: .82rem; }
.tiles dd { margin: 0; font-size: 1.18rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.facts { margin: .8rem 0; }
.facts div { display: grid; grid-template-columns: 10.5rem 11rem 1fr; gap: .1rem 1.1rem; padding: .34rem 0;
  border-bottom: 1px solid var(--line); }
.facts div:last-child { border-bottom: 0; }
.facts dt { font-weight: 600; } .facts dd { margin: 0; }
.facts .value { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.facts .meaning { color: var(--soft); font-size: .92rem; }
details .scroll { max-height: 40rem; }
.scroll { overflow: auto; margin: .9rem 0; border: 1px solid var(--line); border-radius: .4rem; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding: .5rem .7rem 0; }
th, td { padding: .34rem .55rem; text-align: left; vertical-align: top; }
th { font-weight: 600; background: var(--fill); position: sticky; top: 0; }
tr + tr td { border-top: 1px solid var(--line); }
.number { text-align: right; }
.numbers td { white-space: nowrap; }
.numbers td.long { white-space: normal; font-size: .82rem; }
.warning { background: var(--warn-back); border-left: 4px solid var(--warn-line); border-radius: .3rem;
  padding: .5rem .8rem; }
figure { margin: 1rem 0; max-width: 36rem; } figure svg { width: 100%; height: auto; display: block; }
figcaption { color: var(--soft); font-size: .88rem; }
details summary { cursor: pointer; color: var(--first); padding: .3rem 0; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 44rem) {
  .tiles { grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); }
  .facts div { grid-template-columns: 1fr auto; } .facts .meaning { grid-column: 1 / -1; }
  .cards, .cards tbody, .cards tr, .cards caption { display: block; } .cards thead { display: none; }
  .cards tr { padding: .4rem .7rem; } .cards tr + tr { border-top: 1px solid var(--line); }
  .cards td, .cards tr + tr td { border: 0; display: flex; gap: 1rem; justify-content: space-between; padding: .1rem 0;
    overflow-wrap: anywhere; text-align: right; white-space: normal; }
  .cards td::before { content: attr(data-label); color: var(--soft); text-align: left; overflow-wrap: normal; }
  .cards td:first-child { font-weight: 600; } }
@media print { .scroll { max-height: none; overflow: visible; } nav { display: none; } }
"""

FOLDED = 24
"""Longer tables are folded."""

LONG = 20
"""Longer names are broken behind the signs that part them, so that the numbers beside them stay in sight."""

CARDS = 4
"""Tables of so many columns are not tables on a phone."""


def page(
    title: str,
    lead: str,
    tiles: Sequence[tuple[str, str]],
    sections: Sequence[Section],
    pictures: Mapping[str, str],
    footer: str,
) -> str:
    """The page as text.

    Parameters
    ----------
    title, lead, footer : str
    tiles : sequence of (name, value)
        The numbers on top.
    sections : sequence of Section
    pictures : mapping from str to str
        SVG elements by the names of the figures; figures without one are left out.

    Examples
    --------
    >>> from pathgraph.analysis.page import page
    >>> "<h1>a &amp; b</h1>" in page("a & b", "", [], [], {}, "")
    True
    """
    anchors = [f"part-{place}" for place in range(1, len(sections) + 1)]
    links = "".join(
        f'<a href="#{anchor}">{escape(section.title)}</a>' for anchor, section in zip(anchors, sections, strict=True)
    )
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)} - pathgraph</title>",
        f"<style>{STYLE}</style></head><body><main>",
        f'<header><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>',
        '<dl class="tiles">',
        *(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in tiles),
        f'</dl><nav aria-label="Sections">{links}</nav></header>',
    ]
    for anchor, section in zip(anchors, sections, strict=True):
        parts.append(
            f'<section id="{anchor}"><h2>{escape(section.title)}</h2><p class="lead">{escape(section.lead)}</p>'
        )
        parts += [_item(item, pictures) for item in section.items]
        parts.append("</section>")
    parts.append(f"<footer>{escape(footer)}</footer></main></body></html>")
    return "\n".join(parts) + "\n"


def _item(item: Item, pictures: Mapping[str, str]) -> str:
    if isinstance(item, Figure):
        if item.name not in pictures:
            return ""
        return f"<figure>{pictures[item.name]}<figcaption>{escape(item.caption)}</figcaption></figure>"
    if isinstance(item, Note):
        return f"<p{' class=warning' if item.is_warning else ''}>{escape(item.text)}</p>"
    if isinstance(item, Facts):
        rows = (
            f'<div><dt>{escape(fact.name)}</dt><dd class="value">{_unbroken(escape(fact.value))}</dd>'
            f'<dd class="meaning">{escape(fact.meaning)}</dd></div>'
            for fact in item.facts
        )
        return f'<dl class="facts">{"".join(rows)}</dl>'
    return _table(item)


def _unbroken(text: str) -> str:
    """The text with shapes, like 3 x 32 x 32, that are not broken into lines."""
    return text.replace(" x ", "\N{NO-BREAK SPACE}x\N{NO-BREAK SPACE}")


def _table(table: Table) -> str:
    """A table; one of many columns becomes a list of its rows where the page is narrow, with the roles of a table."""
    as_cards = len(table.columns) >= CARDS

    def cells(row: Sequence[str], tag: str, role: str) -> str:
        parts = []
        for place, (column, cell) in enumerate(zip(table.columns, row, strict=True)):
            is_long = tag == "td" and place not in table.numeric and len(cell) > LONG
            kind = " class=number" if place in table.numeric else " class=long" if is_long else ""
            label = f' data-label="{escape(column)}"' if as_cards and tag == "td" else ""
            text = re.sub(r"(?<=\S[/._:])(?=\w)", "<wbr>", escape(cell)) if is_long else escape(cell)
            parts.append(f"<{tag} role={role}{kind}{label}>{text}</{tag}>")
        return "".join(parts)

    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    kinds = " ".join(["numbers"] * bool(table.numeric) + ["cards"] * as_cards)
    body = "".join(f"<tr role=row>{cells(row, 'td', 'cell')}</tr>" for row in table.rows)
    text = (
        f'<div class="scroll" tabindex="0"><table role=table class="{kinds}">{caption}<thead role=rowgroup>'
        f"<tr role=row>{cells(table.columns, 'th', 'columnheader')}</tr></thead>"
        f"<tbody role=rowgroup>{body}</tbody></table></div>"
    )
    if len(table.rows) <= FOLDED:
        return text
    return f"<details><summary>All {len(table.rows)} rows</summary>{text}</details>"
