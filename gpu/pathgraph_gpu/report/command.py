"""The command ``python -m pathgraph_gpu.report``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pathgraph.errors import PathgraphError
from pathgraph_gpu.report.budgets import differences, stale, violations
from pathgraph_gpu.report.compiled import Report, compile_report, configurations

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check a compile report.

    Returns
    -------
    int
        0; 1 if something is over budget, or the report is not what the compiler makes of the kernels; 2 if there is no
        compiler or no report.
    """
    parser = argparse.ArgumentParser(
        prog="python -m pathgraph_gpu.report", description="Compile every kernel without a GPU; see what it takes."
    )
    parser.add_argument("report", type=Path, help="the file of the report, JSON")
    parser.add_argument(
        "--check",
        action="store_true",
        help="do not write it: it has to be current, within the budgets, and what the compiler makes of every "
        "translation unit for every architecture; a program that is the reported one, bit for bit, is not disassembled",
    )
    parser.add_argument("--once", action="store_true", help="with --check: for one of the architectures each, by turns")
    parser.add_argument("--whole", action="store_true", help="compile and disassemble all, whatever is known")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes (default: 2)")
    given = parser.parse_args(arguments)
    try:
        return _check(given) if given.check else _write(given)
    except (PathgraphError, OSError, ModuleNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2


def _write(given: argparse.Namespace) -> int:
    known = None
    if given.report.exists() and not given.whole:
        known = Report.from_json(given.report.read_text(encoding="utf-8"))
    report = compile_report(jobs=given.jobs, known=known)
    given.report.write_text(report.to_json(), encoding="utf-8")
    print(f"{given.report}: {report!r}")
    return _told(violations(report))


def _check(given: argparse.Namespace) -> int:
    report = Report.from_json(given.report.read_text(encoding="utf-8"))
    found = stale(report, configurations())
    if not found:
        compiled = compile_report(once=given.once, jobs=given.jobs, counted=None if given.whole else report)
        found = differences(report, compiled)
        n, same = _same(report, compiled)
        print(f"compiled kernels: {n}, of which {same} are in the reported programs, bit for bit")
        found += [problem for problem in violations(compiled) if problem not in violations(report)]
    if found:
        found.append("run make gpu-report, and commit its file")
    else:
        print(f"{given.report}: {report!r}, current and as compiled here")
    return _told(found + violations(report))


def _same(report: Report, compiled: Report) -> tuple[int, int]:
    """How many kernels were compiled, and how many of their programs are the reported ones."""
    found = [
        key in report.entries and report.entries[key].programs.get(architecture) == program
        for key, entry in compiled.entries.items()
        for architecture, program in entry.programs.items()
    ]
    return len(found), sum(found)


def _told(problems: list[str]) -> int:
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0
