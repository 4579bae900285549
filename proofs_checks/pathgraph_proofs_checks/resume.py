"""The file of results: written after every check, so that an interrupted run goes on where it stopped.

A result is used again if nothing has changed that it depends on: the sources of pathgraph and of the checks, the file
the check was loaded from, the versions of the packages that draw and compute, the seed and the number of examples, and
the given network where the check runs on one. Checks that failed run again.
"""

from __future__ import annotations

import json
import os
import re
from ast import literal_eval
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

from pathgraph import Network
from pathgraph_proofs_checks.analysis import Analysis
from pathgraph_proofs_checks.codec import decode, network_from_text, network_to_text, parts
from pathgraph_proofs_checks.models import Model
from pathgraph_proofs_checks.registry import Check
from pathgraph_proofs_checks.report import as_json, row_of
from pathgraph_proofs_checks.runner import Profile, Report, Verdict
from pathgraph_proofs_checks.versions import sources, versions

__all__ = ["Results", "ResultsError", "read", "reused"]


_NETWORK = re.compile(r"; \w+ = \w+\(")


class ResultsError(Exception):
    """A file that holds no results; the message says why."""


def description(profile: Profile, net: Any) -> dict[str, Any]:
    """What all results of a run depend on; a given model takes the place of all other networks."""
    return {
        "model": digest_of(net) if isinstance(net, Model) else None,
        "sources": sources(),
        "seed": profile.seed,
        "examples": profile.max_examples,
        "thorough": profile.thorough,
        **versions(),
    }


def fingerprint(check: Check, run: Mapping[str, Any], given: str) -> str:
    """A digest of everything that the result of a check depends on; `given` is that of the given network."""
    digest = sha256(json.dumps([check.name, run], sort_keys=True).encode())
    if check.file is not None:
        digest.update(Path(check.file).read_bytes())
    if check.on_network:
        digest.update(given.encode())
    return digest.hexdigest()[:16]


def digest_of(net: Any) -> str:
    """A digest of the given network, or of whatever holds some."""
    return sha256(_text(net).encode()).hexdigest()


def _text(net: Any) -> str:
    if isinstance(net, Network):
        return network_to_text(net)
    if isinstance(net, (tuple, list)):
        return "\n".join(map(_text, net))
    return _text([getattr(net, part.name) for part in fields(net)]) if is_dataclass(net) else repr(net)


@dataclass
class Results:
    """The results of a run, and the file that holds them.

    Attributes
    ----------
    path : Path or None
        None: nothing is written.
    profile : Profile
    net : Network, Model or None
    n_checks : int
        How many there will be.
    reports : list of Report
    analysis : Analysis or None
    """

    path: Path | None
    profile: Profile
    net: Any
    n_checks: int
    reports: list[Report] = field(default_factory=list)
    analysis: Analysis | None = None

    def __post_init__(self) -> None:
        self._run, self._given = description(self.profile, self.net), digest_of(self.net)
        self._rows: dict[str, dict[str, Any]] = {}

    def add(self, report: Report) -> None:
        """Take a result, and write the file."""
        self.reports.append(report)
        self.write()

    def write(self) -> None:
        """Replace the file in one step: at any moment it holds a whole document."""
        if self.path is None:
            return
        text = json.dumps(self.document(), indent=2) + "\n"
        place = self.path.resolve()
        if place.exists() and not place.is_file():  # a pipe or a device
            if self.is_complete:
                place.write_text(text, encoding="utf-8")
            return
        scratch = place.with_name(f"{place.name}.part")
        scratch.write_text(text, encoding="utf-8")
        os.replace(scratch, place)

    @property
    def is_complete(self) -> bool:
        """Whether every check was run."""
        return len(self.reports) == self.n_checks

    def document(self) -> dict[str, Any]:
        """Everything, as plain objects."""
        for report in self.reports:
            if report.check.name not in self._rows:
                self._rows[report.check.name] = self._row(report)
        rows = [self._rows[name] for name in sorted(self._rows)]
        document = {"complete": self.is_complete, "run": self._run, **as_json(rows, self.analysis)}
        document["passed"] = document["passed"] and self.is_complete
        return document

    def _row(self, report: Report) -> dict[str, Any]:
        searches = report.found_again.items()
        return {
            **row_of(report),
            "fingerprint": fingerprint(report.check, self._run, self._given),
            "worst_parts": None if report.worst is None else parts(report.worst),
            "histogram": {str(k): count for k, count in sorted(report.histogram.items())},
            "found_again": {name: None if found is None else parts(found) for name, found in searches},
        }


def read(path: Path) -> dict[str, Any] | None:
    """The document of a file of results; None if there is no file, or an empty one.

    Raises
    ------
    ResultsError
        If it holds anything else.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        document = json.loads(text) if text.strip() else None
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: needed a file that --json wrote, got {error}") from None
    if document is not None and not (isinstance(document, dict) and isinstance(document.get("checks"), list)):
        raise ResultsError(f"{path}: needed a file that --json wrote, got other JSON")
    return document


def reused(
    document: Mapping[str, Any], checks: Sequence[Check], profile: Profile, net: Any
) -> tuple[list[Report], list[str]]:
    """The reports of a document that still stand, and what is said about the others.

    Parameters
    ----------
    document : mapping
        Of `read`.
    checks : sequence of Check
    profile : Profile
    net : Network, Model or None

    Returns
    -------
    reports : list of Report
    remarks : list of str
    """
    run, before, given = description(profile, net), document.get("run") or {}, digest_of(net)
    rows = {row.get("name"): row for row in document["checks"] if isinstance(row, dict)}
    reports, why = [], Counter[str]()
    for check in checks:
        row = rows.get(check.name)
        if row is None:
            why["missing"] += 1
        elif row.get("fingerprint") != fingerprint(check, run, given):
            why["out of date"] += 1
        elif not row.get("passed"):
            why["failed"] += 1
        else:
            try:
                reports.append(restored(check, row))
            except (KeyError, TypeError, ValueError, AttributeError):
                why["unreadable"] += 1
    said = [f"{len(reports)} of {len(checks)} results are used again"]
    said += [f"{count} {reason}" for reason, count in sorted(why.items())]
    changed = [name for name in run if before.get(name) != run[name]]
    if why["out of date"]:
        what = ", ".join(changed) or "the file of the check, or the given network"
        said.append(f"what changed: {what}")
    return reports, said


def restored(check: Check, row: Mapping[str, Any]) -> Report:
    """The report that a row was made from, of a check that passed."""
    names = {mutant.name: mutant for mutant in check.mutants}
    if set(row["mutants"]) != set(names) or set(row["mutants"].values()) - {"refuted"}:
        raise ValueError("other mutants")
    ratio = row["worst_ratio"]
    return Report(
        check,
        instances=int(row["instances"]),
        on_network=None if row["on_network"] is None else int(row["on_network"]),
        inapplicable=row["inapplicable"] or "",
        verdicts=tuple(Verdict(mutant, True) for mutant in names.values()),
        ratio=None if ratio is None else Fraction(ratio),
        worst=None if row["worst_parts"] is None else as_shown(row["worst_parts"]),
        histogram=Counter({int(k): int(count) for k, count in row["histogram"].items()}),
        found_again={name: None if found is None else as_shown(found) for name, found in row["found_again"].items()},
        seconds=float(row["seconds"]),
        cpu_seconds=float(row["cpu_seconds"]),
        evaluating=float(row["evaluating"]),
    )


def as_shown(texts: Sequence[str]) -> tuple[Any, ...]:
    """The parts of an instance, read again from what was shown; what cannot be read stays text."""
    return tuple(map(_part, texts))


def _part(text: str) -> Any:
    if _NETWORK.search(text) and not text.startswith(("(", "[", "{", "'")):
        return network_from_text(text)
    try:
        return decode(literal_eval(text))
    except (ValueError, SyntaxError):  # cut short, or a large network
        return Shown(text)


class Shown(str):
    """A part of an instance of which only the text is left; it shows as that text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
