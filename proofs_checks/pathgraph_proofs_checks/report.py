"""What a run says: tables, counterexamples drawn as text, and the same as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pathgraph_proofs_checks.analysis import Analysis, Fact
from pathgraph_proofs_checks.codec import encode, shorten, summary
from pathgraph_proofs_checks.models import Model
from pathgraph_proofs_checks.parallel import LostProcessError
from pathgraph_proofs_checks.registry import Check
from pathgraph_proofs_checks.runner import Failure, Report

__all__ = [
    "as_json",
    "check_list",
    "durations_table",
    "facts_table",
    "failure_text",
    "identities_table",
    "inapplicable_table",
    "mutants_text",
    "reports_table",
    "row_of",
    "searches_text",
    "worst_table",
]

LEGEND = (
    "instances on random networks and on the given one; mutants: wrong versions of the statement, refuted / all; worst "
    "ratio: the largest left / right of an inequality, 'attained' if it is the constant claimed, 'gap open' if less"
)
"""Under the table of the checks: what its columns count."""


def check_list(checks: Sequence[Check], width: int, *, wrapped: bool) -> list[str]:
    """Name and statement of each check: one line each, cut at `width`, or `wrapped` with a hanging indent."""
    texts = [f"{check.name}: {check.statement}" for check in checks]
    if wrapped:
        return [fill(text, width, subsequent_indent="    ", break_on_hyphens=False) for text in texts]
    return [text if len(text) <= width else f"{text[: width - 3]}..." for text in texts]


def facts_table(title: str, facts: Sequence[Fact]) -> Table:
    """Numbers about a network."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, show_header=False)
    table.add_column(min_width=34)
    table.add_column(justify="right", overflow="fold")
    table.add_column(style="dim")
    for fact in facts:
        table.add_row(fact.name, fact.value, fact.note)
    return table


def identities_table(analysis: Analysis) -> Table:
    """Statements that were evaluated exactly on the network."""
    table = Table(
        title="exact over the rationals", title_justify="left", title_style="bold", box=None, show_header=False
    )
    for identity in analysis.identities:
        table.add_row(
            identity.name, _verdict("holds" if identity.outcome else "REFUTED"), Text(identity.note, style="dim")
        )
    return table


def reports_table(reports: Sequence[Report], given: str = "digits", model: Model | None = None) -> Table:
    """One row per check."""
    table = Table(box=SIMPLE_HEAD, title="theorem checks", title_justify="left", title_style="bold")
    table.caption, table.caption_justify = LEGEND, "left"
    table.add_column("check", no_wrap=True)
    table.add_column("verdict")
    for name in ("random", given, "mutants", "worst ratio", "seconds"):
        table.add_column(name, justify="right")
    for report in reports:
        refuted = sum(verdict.refuted for verdict in report.verdicts)
        every = refuted == len(report.verdicts)
        table.add_row(
            report.check.name,
            _verdict(report.verdict),
            f"{report.instances}" if model is None else "-",
            instances_on_network(report, model),
            Text(f"{refuted}/{len(report.verdicts)}", style="" if every else "bold red"),
            tightness(report),
            f"{report.seconds:.1f}",
        )
    return table


def worst_table(reports: Sequence[Report]) -> Table:
    """For every inequality, the instance with the largest ratio of its sides."""
    table = Table(title="where inequalities are tightest", title_justify="left", title_style="bold", box=None)
    for name in ("check", "left / right", "on"):
        table.add_column(name, style="dim" if name == "on" else "")
    for report in reports:
        if report.worst is not None:
            instance = summary(report.worst).replace("\n", "; ")
            table.add_row(report.check.name, tightness(report), Text(shorten(instance, 150)))
    return table


def searches_text(reports: Sequence[Report]) -> list[str]:
    """Of a thorough run: which mutants a new search refuted again, and which it did not."""
    searched = {
        f"{report.check.name}: {name}": found for report in reports for name, found in report.found_again.items()
    }
    missed = [name for name, found in searched.items() if found is None]
    if not searched:
        return []
    lines = [
        f"new counterexamples were searched for {len(searched)} mutants, and found for {len(searched) - len(missed)}"
    ]
    return [*lines, *(f"    none found again, the stored one stands: {name}" for name in missed), ""]


def durations_table(reports: Sequence[Report], n: int) -> Table:
    """The checks that took most CPU time."""
    table = Table(title="slowest checks, CPU seconds", title_justify="left", title_style="bold", box=None)
    table.add_column("check")
    for name in ("total", "evaluating", "milliseconds per instance"):
        table.add_column(name, justify="right")
    for report in sorted(reports, key=lambda report: -report.cpu_seconds)[:n]:
        instances = report.instances + (report.on_network or 0)
        each = f"{1000 * report.cpu_seconds / instances:.1f}" if instances else "-"
        table.add_row(report.check.name, f"{report.cpu_seconds:.2f}", f"{report.evaluating:.2f}", each)
    table.add_row("all", f"{sum(r.cpu_seconds for r in reports):.2f}", f"{sum(r.evaluating for r in reports):.2f}")
    return table


def inapplicable_table(reports: Sequence[Report], model: Model) -> Table:
    """The checks that were not run on a model, and why."""
    table = Table(title=f"not run on {model.name}", title_justify="left", title_style="bold", box=None)
    table.add_column("check", no_wrap=True)
    table.add_column("because", style="dim")
    for report in reports:
        if report.inapplicable:
            table.add_row(report.check.name, Text(report.inapplicable))
    return table


def instances_on_network(report: Report, model: Model | None = None) -> str:
    """How many instances were drawn on the given network, or why there were none."""
    if report.inapplicable:
        return "does not apply"
    if model is not None and report.on_network is not None:
        return f"{report.on_network} on parts" if model.is_cut(report.check) else str(report.on_network)
    if not report.check.on_network:
        return "no network"
    if report.on_network is None:
        return "-"
    parts = f" part{'' if report.on_network == 1 else 's'}" if report.check.enumerates else ""
    return f"{report.on_network}{parts}"


def tightness(report: Report) -> str:
    """The worst ratio of an inequality, and whether it is the constant, where one is claimed."""
    if report.ratio is None:
        return ""
    return f"{float(report.ratio):.4g} {report.tightness}".rstrip()


def _verdict(verdict: str) -> Text:
    styles = {"holds": "green", "not run": "dim"}
    return Text(verdict, style=styles.get(verdict, "bold red"))


def failure_text(name: str, failure: Failure) -> str:
    """A counterexample, or what was raised: the network neuron by neuron, the rest of the instance, both sides."""
    raised = f"{type(failure.error).__name__}: {failure.error}" + (failure.place and f" ({failure.place})")
    if failure.instance is None:
        known = "" if isinstance(failure.error, LostProcessError) else "no instance could be drawn, "
        return f"ERROR in {name}: {known}{raised}"
    shown = summary(failure.instance)
    drawn = [shown, "", *_legend(shown)]
    if failure.outcome is None:
        return "\n".join(
            [f"ERROR in {name}: it raised {raised}", "so nothing is decided; it did so on", "", *drawn]
        ).rstrip()
    sides = [f"left   {side_text(failure.outcome.left)}", f"right  {side_text(failure.outcome.right)}"]
    return "\n".join([f"{name} does not hold on", "", *drawn, *sides])


def _legend(shown: str) -> list[str]:
    """What the marks in the text of an instance mean, if there are any."""
    marks = {"~": "~ frozen", "!": "! structural", "@": "@NAME tied to the others of this name"}
    found = [text for mark, text in marks.items() if mark in shown]
    return [f"marks: {', '.join(found)}", ""] if found else []


def side_text(side: Any) -> str:
    """One side of an outcome, short."""
    return shorten(str(encode(side)))


def mutants_text(report: Report) -> list[str]:
    """What is wrong with the mutants that were not refuted."""
    return [
        f"mutant not refuted: {report.check.name}, {verdict.mutant.name}: {verdict.reason}"
        for verdict in report.verdicts
        if not verdict.refuted
    ]


def as_json(rows: Sequence[dict[str, Any]], analysis: Analysis | None) -> dict[str, Any]:
    """Everything, as plain objects; `rows` are those of `row_of`."""
    document: dict[str, Any] = {"passed": all(row["passed"] for row in rows), "checks": list(rows)}
    if analysis is not None:
        document["network"] = {
            title: {fact.name: fact.value for fact in facts} for title, facts in analysis.facts.items()
        }
        document["identities"] = {identity.name: bool(identity.outcome) for identity in analysis.identities}
        document["passed"] = document["passed"] and all(document["identities"].values())
    return document


def row_of(report: Report) -> dict[str, Any]:
    """What one check gave, as plain objects."""
    said = None if report.failure is None else failure_text(report.check.name, report.failure)
    return {
        "name": report.check.name,
        "statement": report.check.statement,
        "source": report.check.source,
        "instances": report.instances,
        "on_network": report.on_network,
        "inapplicable": report.inapplicable or None,
        "passed": report.passed,
        "verdict": report.verdict,
        "counterexample": said if report.verdict == "REFUTED" else None,
        "error": said if report.verdict == "ERROR" else None,
        "mutants": {verdict.mutant.name: verdict.reason or "refuted" for verdict in report.verdicts},
        "constant": None if report.check.constant is None else str(report.check.constant),
        "worst_ratio": None if report.ratio is None else str(report.ratio),
        "tightness": report.tightness or None,
        "worst_instance": None if report.worst is None else summary(report.worst),
        "seconds": round(report.seconds, 3),
        "cpu_seconds": round(report.cpu_seconds, 3),
        "evaluating": round(report.evaluating, 3),
    }


def print_lines(console: Console, lines: Sequence[str]) -> None:
    """Print plain lines, without markup or wrapping."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
