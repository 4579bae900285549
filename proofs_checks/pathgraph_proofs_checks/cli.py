"""The command ``python -m pathgraph.proofs_checks``."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console

from pathgraph import BackendError, Network, PathgraphError
from pathgraph.analysis.arguments import folder, positive, shape, writable
from pathgraph.analysis.model import read as read_model
from pathgraph_proofs_checks.analysis import Analysis, analyse
from pathgraph_proofs_checks.codec import encode
from pathgraph_proofs_checks.conjectures import ConjectureError, load
from pathgraph_proofs_checks.digits import TrainedDigits, train
from pathgraph_proofs_checks.models import MAX_WHOLE, Model
from pathgraph_proofs_checks.page import save_page
from pathgraph_proofs_checks.parallel import ClusterError, examine_all
from pathgraph_proofs_checks.picture import save_picture
from pathgraph_proofs_checks.registry import Check, all_checks
from pathgraph_proofs_checks.report import (
    check_list,
    durations_table,
    facts_table,
    failure_text,
    identities_table,
    inapplicable_table,
    mutants_text,
    print_lines,
    reports_table,
    searches_text,
    side_text,
    worst_table,
)
from pathgraph_proofs_checks.resume import Results, ResultsError, read, reused
from pathgraph_proofs_checks.runner import Profile, Report, refute, replay

__all__ = ["main"]

WIDTH = 120
"""Of the tables, where the output is no terminal."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the checks; see ``--help``.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        0 if everything holds and every mutant is refuted, 2 if a check raised and so decided nothing, or none applies
        to the model given, or it cannot be read, or the page cannot be written, else 1. Wrong arguments exit with 2,
        too.

    Examples
    --------
    >>> from pathgraph.proofs_checks import main
    >>> main(["--list", "--only", "output-bound"])
    output-bound: The l1 norm of R(x) is at most max(1, largest |x_u|) times the path-norm.
    0
    """
    parser = _parser()
    options = parser.parse_args(argv)
    if options.no_digits and options.picture is not None:
        parser.error("--picture: there is nothing to draw with --no-digits; leave one of them out")
    if options.no_digits and options.analyse:
        parser.error("--analyse: there is nothing to analyse with --no-digits; leave one of them out")
    written = options.json or options.resume or options.report or options.picture
    if (options.list or options.refute) and (written or (options.list and options.refute)):
        parser.error(
            "--list and --refute: they write no results; leave out --json, --resume, --report and --picture, and one "
            "of the two"
        )
    if options.dask is not None and options.jobs > 1:
        parser.error("--dask: the workers of the cluster take the place of --jobs; leave one of them out")
    if options.model is not None and (options.no_digits or options.picture is not None or options.analyse):
        parser.error(
            "--model: it takes the place of the digits; leave out --no-digits, --picture and --analyse "
            "(python -m pathgraph MODEL analyses a model)"
        )
    if options.model is not None and (options.list or options.refute):
        parser.error("--model: --list and --refute take no model; leave it out")
    if options.model is None and (options.input_shape or options.max_whole is not None):
        parser.error("--input-shape and --max-whole: they belong to --model")
    checks = _chosen(options.only, options.load)
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    if options.list:
        print_lines(console, check_list(checks, console.width, wrapped=console.is_terminal))
        return 0
    try:
        earlier = None if options.resume is None else read(options.resume)
        profile = Profile(seed=_seed(options, earlier), thorough=options.thorough)
        if options.refute:
            return _search_mutants(console, checks, profile)
        return _run(console, checks, profile, options, earlier)
    except (ResultsError, ClusterError, BackendError) as error:
        parser.error(str(error))


def _seed(options: argparse.Namespace, earlier: Mapping[str, Any] | None) -> int:
    """The seed that was given; of a thorough run, that of the run to be resumed, or a new one."""
    if options.seed is not None or not options.thorough:
        return options.seed or 0
    before = (earlier or {}).get("run") or {}
    if before.get("thorough") and isinstance(before.get("seed"), int):
        return int(before["seed"])
    return secrets.randbelow(2**32)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pathgraph.proofs_checks",
        description="Train a ReLU network on handwritten digits, analyse it, and run every theorem check on it and on "
        "random networks, exactly. Exit code 0 if all hold and all their mutants are refuted, 1 if not, 2 if a check "
        "raised.",
    )
    parser.add_argument("--list", action="store_true", help="list the checks and stop")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="run this check alone, without the analysis of the network (can be repeated)",
    )
    parser.add_argument(
        "--load", action="append", metavar="FILE", help="run the checks of this Python file, too (can be repeated)"
    )
    parser.add_argument(
        "--refute", action="store_true", help="search and shrink a counterexample of every mutant again"
    )
    parser.add_argument(
        "--thorough",
        action="store_true",
        help="ten times as many examples, on larger networks, and a new search for a counterexample of every mutant; "
        "another seed at every run",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the random examples (default: 0)")
    parser.add_argument(
        "--jobs", type=positive, default=1, metavar="N", help="how many processes run checks (default: 1)"
    )
    parser.add_argument(
        "--durations",
        type=positive,
        nargs="?",
        const=10,
        metavar="N",
        help="show the N checks that took most CPU time (without N: 10)",
    )
    parser.add_argument("--analyse", action="store_true", help="analyse the trained network with --only, too")
    parser.add_argument(
        "--model", metavar="FILE", help="an ONNX file, or one that pathgraph.save wrote, in place of all other networks"
    )
    parser.add_argument(
        "--input-shape", type=shape, metavar="N,N,...", help="with --model: shape of the input, without the batch axis"
    )
    parser.add_argument(
        "--max-whole",
        type=positive,
        metavar="N",
        help=f"with --model: parts of models with more edges are checked (default: {MAX_WHOLE})",
    )
    parser.add_argument("--no-digits", action="store_true", help="random networks only: no training, no analysis")
    parser.add_argument("--picture", type=writable, metavar="FILE", help="draw the trained network, too")
    parser.add_argument(
        "--json", type=writable, metavar="FILE", help="write the results there, too, each as soon as it is known"
    )
    parser.add_argument(
        "--resume",
        type=writable,
        metavar="FILE",
        help="use the results in this file of --json that still stand, run the other checks, and write all there",
    )
    parser.add_argument("--report", type=folder, metavar="DIR", help="write a page about every check there: index.html")
    parser.add_argument(
        "--dask", metavar="ADDRESS", help="run checks on the workers of the Dask scheduler at this address"
    )
    return parser


def _chosen(names: Sequence[str] | None, files: Sequence[str] | None) -> list[Check]:
    known = {check.name: check for check in all_checks()}
    for file in files or []:
        try:
            loaded = load(file)
        except ConjectureError as error:
            _parser().error(f"--load: {error}")
        for check in loaded:
            if check.name in known:
                _parser().error(f"--load: {file}: there is a check {check.name!r} already, in another file")
            known[check.name] = check
    for name in names or []:
        if name not in known:
            close = get_close_matches(name, known, 3, 0.4)
            hint = f"did you mean {', '.join(close)}?" if close else "--list shows the names"
            _parser().error(f"--only: there is no check {name!r}; {hint}")
    return [known[name] for name in names] if names else list(known.values())


def _run(
    console: Console,
    checks: Sequence[Check],
    profile: Profile,
    options: argparse.Namespace,
    earlier: Mapping[str, Any] | None,
) -> int:
    started = perf_counter()
    given: Network | Model | None = None
    if options.model is not None:
        try:
            net = read_model(options.model, input_shape=options.input_shape)
            given = Model.of(net, Path(options.model).name, max_whole=options.max_whole or MAX_WHOLE)
        except (PathgraphError, OSError, MemoryError) as error:
            said = " ".join(str(error).split()) or type(error).__name__
            print(f"--model: {options.model}: {said}", file=sys.stderr)
            return 2
        whole = (
            "" if given.whole is not None else f"; too large to be checked as a whole: {len(given.parts)} parts of it"
        )
        print_lines(console, [f"{given.name}: {given.size}{whole}"])
        return _check(console, checks, profile, options, earlier, started, given)
    analysed = not options.no_digits and (not options.only or options.analyse or options.picture is not None)
    digits = None
    if not options.no_digits and (analysed or any(check.on_network for check in checks)):
        console.print("training a ReLU network, 64 -> 32 -> 32 -> 10, on scikit-learn's digits ...")
        digits = train()
        given = digits.net.to_exact()
        if not analysed:
            console.print("its analysis is left out with --only; --analyse asks for it", highlight=False)
    return _check(console, checks, profile, options, earlier, started, given, digits if analysed else None)


def _check(
    console: Console,
    checks: Sequence[Check],
    profile: Profile,
    options: argparse.Namespace,
    earlier: Mapping[str, Any] | None,
    started: float,
    given: Network | Model | None,
    analysed: TrainedDigits | None = None,
) -> int:
    """Start the checks that are missing, analyse the trained network, wait for the checks, and report."""
    model = given if isinstance(given, Model) else None
    results = Results(options.json or options.resume, profile, given, len(checks))
    if earlier is not None:
        results.reports, remarks = reused(earlier, checks, profile, given)
        print_lines(console, [f"resuming {options.resume}: {'; '.join(remarks)}"])
    done = {report.check.name for report in results.reports}
    missing = [check for check in checks if check.name not in done]
    running = examine_all(missing, profile, given, options.jobs, dask=options.dask) if missing else iter(())
    if analysed is not None:
        console.print(f"analysing it ... [dim]({perf_counter() - started:.1f} s so far)[/dim]")
        results.analysis = analyse(analysed)
        _show(console, results.analysis, options.picture)
    said = f", seed {profile.seed}" if profile.thorough else ""
    seconds = perf_counter() - started
    console.print(f"\nrunning {_counted(len(missing), 'check')}{said} ... [dim]({seconds:.1f} s so far)[/dim]")
    try:
        for number, report in enumerate(running, 1):
            results.add(report)
            of = f"[{number:2}/{len(missing)}]"
            console.print(f"[dim]{of}[/dim] {report.check.name} [dim]{report.seconds:.1f} s[/dim]")
    except KeyboardInterrupt:
        where = "" if results.path is None else f", which are in {results.path}; --resume {results.path} goes on"
        print_lines(console, ["", f"interrupted after {len(results.reports)} of {len(checks)} checks{where}"])
        return 130
    reports = sorted(results.reports, key=lambda report: report.check.name)
    _tables(console, reports, options, model)
    code = _conclude(console, reports, results.analysis, perf_counter() - started)
    if model is not None:
        tried = sum(report.on_network is not None for report in reports)
        console.print(
            f"{_counted(tried, 'check')} of {len(reports)} ran on {model.name}", highlight=False, markup=False
        )
        code = code if tried else 2
    results.write()
    if options.report is not None:
        try:
            page = save_page(reports, profile, options.report, None if model is None else model.name)
        except OSError as error:
            said = f"needed a folder that can be made and written, got {str(options.report)!r} ({error.strerror})"
            print(f"--report: {said}; name another", file=sys.stderr)
            return 2
        print_lines(console, [f"report: {page}"])
    return code


def _tables(console: Console, reports: Sequence[Report], options: argparse.Namespace, model: Model | None) -> None:
    console.print(reports_table(reports, "digits" if model is None else "model", model))
    console.print()
    if model is not None and any(report.inapplicable for report in reports):
        console.print(inapplicable_table(reports, model))
        console.print()
    if any(report.worst for report in reports):
        console.print(worst_table(reports))
        console.print()
    if options.durations:
        console.print(durations_table(reports, options.durations))
        console.print()
    print_lines(console, searches_text(reports))


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _show(console: Console, analysis: Analysis, picture: Path | None) -> None:
    for title, facts in analysis.facts.items():
        console.print()
        console.print(facts_table(title, facts))
    console.print()
    console.print(identities_table(analysis))
    if picture is not None:
        save_picture(analysis, picture)
        console.print(f"\npicture: {picture}", markup=False)


def _conclude(console: Console, reports: Sequence[Report], analysis: Analysis | None, seconds: float) -> int:
    """Print what failed and the last line; the exit code."""
    wrong = [identity for identity in (analysis.identities if analysis else []) if not identity.outcome]
    for identity in wrong:
        left, right = side_text(identity.outcome.left), side_text(identity.outcome.right)
        print_lines(console, [f"on the trained network, {identity.name}", f"left   {left}", f"right  {right}", ""])
    for report in reports:
        if report.failure is not None:
            print_lines(console, [failure_text(report.check.name, report.failure), ""])
        print_lines(console, mutants_text(report))
    errors = sum(report.verdict == "ERROR" for report in reports)
    failed = sum(not report.passed for report in reports) + len(wrong) - errors
    said = [text for n, text in ((failed, f"{failed} failed"), (errors, _counted(errors, "error"))) if n]
    instances = sum(report.instances + (report.on_network or 0) for report in reports)
    mutants = [verdict.refuted for report in reports for verdict in report.verdicts]
    console.print(
        f"{_counted(len(reports), 'check')}, {instances:,} instances, "
        f"{sum(mutants)}/{len(mutants)} mutants refuted, {seconds:.0f} s: "
        + (f"[bold red]{', '.join(said)}[/bold red]" if said else "[green]everything holds[/green]")
    )
    return 2 if errors else 1 if failed else 0


def _search_mutants(console: Console, checks: Sequence[Check], profile: Profile) -> int:
    refuted = True
    for check in checks:
        for mutant in check.mutants:
            started = perf_counter()
            failure = refute(check, mutant, profile)
            stored = replay(check, mutant)
            refuted = refuted and stored.refuted
            seconds = perf_counter() - started
            found = "none found again" if failure is None else repr(encode(failure.instance))
            if failure is not None and failure.instance is None:
                found = f"none, no instance could be drawn: {failure.error}"
            lines = [f"{check.name}: {mutant.name} ({seconds:.1f} s)", f"    found   {found}"]
            lines.append(f"    stored  {mutant.counterexample!r}{'' if stored.refuted else ' NOT A COUNTEREXAMPLE'}")
            print_lines(console, lines)
    return 0 if refuted else 1
