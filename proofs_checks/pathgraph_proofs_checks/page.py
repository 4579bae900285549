"""A page about every check: one HTML file that needs no network, no fonts and no scripts.

It says what was checked, and shows it: the statement as MathML, how far the two sides of an inequality were apart, the
instance on which they were nearest, and for each wrong version of the statement the counterexample that refutes it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from html import escape
from pathlib import Path
from typing import Any

from pathgraph import BackendError, Network
from pathgraph.testing.outcome import Comparison, Equality
from pathgraph_proofs_checks.codec import encode, network_to_text, shorten
from pathgraph_proofs_checks.drawing import STYLE as DRAWING_STYLE
from pathgraph_proofs_checks.drawing import draw_histogram, draw_network, number
from pathgraph_proofs_checks.page_style import STYLE
from pathgraph_proofs_checks.parts import values_at
from pathgraph_proofs_checks.registry import Check
from pathgraph_proofs_checks.report import failure_text
from pathgraph_proofs_checks.runner import BINS, Profile, Report, Verdict
from pathgraph_proofs_checks.versions import versions

__all__ = ["page", "save_page", "to_mathml", "with_low_primes"]

DRAWN = 100
"""Networks with more edges are named and not drawn."""

LETTER = "<mi[^<>]*>[^<]*</mi>|<mrow><mspace/><mi[^<>]*>[^<]*</mi></mrow>"
PRIMES = "<mo>[\N{PRIME}\N{DOUBLE PRIME}]</mo>"
PRIMED = re.compile(f"<msup>((?:{LETTER}){PRIMES})</msup>")
"""A letter with primes as its exponent."""

PRIMED_WITH_INDEX = re.compile(f"<msubsup>({LETTER})(<m[in][^<>]*>[^<]*</m[in]>)({PRIMES})</msubsup>")
"""The same with an index of one letter or number."""


def save_page(reports: Sequence[Report], profile: Profile, folder: Path, model: str | None = None) -> Path:
    """Write ``index.html`` into a folder.

    Parameters
    ----------
    reports : sequence of Report
    profile : Profile
    folder : Path
        Made if it is missing.
    model : str, optional
        The name of the model of a user that the checks ran on, in place of random networks.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    BackendError
        If math-core is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    path.write_text(page(reports, profile, model), encoding="utf-8")
    return path


def page(reports: Sequence[Report], profile: Profile, model: str | None = None) -> str:
    """The text of the page."""
    given = "on one trained on handwritten digits" if model is None else f"on <code>{escape(model)}</code>"
    on = ["on random networks"] * (model is None) + [given] * any(report.on_network for report in reports)
    passed = all(report.passed for report in reports)
    title = "The theorems of pathgraph, checked"
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{title}</title>\n<style>{STYLE}{DRAWING_STYLE}</style>\n</head>\n<body>",
            f'<header><h1 id="top">{title}</h1>',
            f"<p>Each statement was evaluated, both sides, in exact arithmetic, {' and '.join(on)}. "
            "That is no proof: it is a search for counterexamples that found none where it says <em>holds</em>. "
            "Each check also runs on wrong versions of its statement, and has to refute them all.</p>",
            f'<div class="tiles">{"".join(_tiles(reports))}</div>',
            f'<p class="{"good" if passed else "bad"} said">{_said(reports)}</p></header>',
            f"<nav>{_index(reports)}</nav>",
            LEGEND,
            "<main>",
            *(_article(report, model) for report in reports),
            "</main>",
            f"<footer>{_footer(profile)}</footer>\n</body>\n</html>\n",
        ]
    )


# -- what is said of all checks -------------------------------------------------------------------------------------


def _tiles(reports: Sequence[Report]) -> Iterator[str]:
    instances = sum(report.instances + (report.on_network or 0) for report in reports)
    verdicts = [verdict.refuted for report in reports for verdict in report.verdicts]
    bounds = [report for report in reports if report.check.constant is not None]
    attained = sum(report.tightness == "attained" for report in bounds)
    run = [report for report in reports if not report.inapplicable]
    yield _tile(f"{sum(report.failure is None for report in run)} of {len(run)}", "statements hold")
    yield _tile(f"{sum(verdicts)} of {len(verdicts)}", "wrong versions refuted")
    yield _tile(f"{instances:,}", "instances evaluated")
    if bounds:
        yield _tile(f"{attained} of {len(bounds)}", "inequalities attained")


def _tile(figure: str, text: str) -> str:
    return f"<div><b>{figure}</b>{text}</div>"


def _said(reports: Sequence[Report]) -> str:
    failed = [report.check.name for report in reports if not report.passed]
    if not failed:
        return "Everything holds, and every wrong version is refuted."
    return "Not everything holds: " + ", ".join(f'<a href="#{name}">{escape(title_of(name))}</a>' for name in failed)


def _index(reports: Sequence[Report]) -> str:
    rows = []
    for report in reports:
        name = report.check.name
        refuted = sum(verdict.refuted for verdict in report.verdicts)
        rows.append(
            f'<tr><td><a href="#{name}">{escape(title_of(name))}</a></td><td>{_badge(report)}</td>'
            f'<td class="wide">{report.instances + (report.on_network or 0)}</td>'
            f'<td>{refuted}/{len(report.verdicts)}</td><td class="wide">{_meter(report)}</td></tr>'
        )
    return (
        '<table><thead><tr><th>statement</th><th></th><th class="wide">instances</th><th>mutants</th>'
        f'<th class="wide">largest ratio</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )


def _badge(report: Report) -> str:
    kind = "bad" if report.failure is not None else "soft" if report.inapplicable else "good"
    return f'<span class="badge {kind}">{report.verdict.lower()}</span>'


def _meter(report: Report) -> str:
    constant = report.check.constant
    if not constant or report.ratio is None:
        return ""
    share = max(0.0, min(1.0, float(report.ratio / constant)))
    full = " full" if report.ratio == constant else ""
    return f'<span class="meter{full}"><i style="width:{100 * share:.0f}%"></i></span> {float(report.ratio):.3g}'


LEGEND = """<details class="legend"><summary>How to read the drawings</summary>
<p>Inputs are boxes on the left, outputs have a thick rim. A neuron carries its name and its activation; below it stands
its bias, above it in <b class="v">colour</b> its value where the instance has an input x. Edges are
<b class="p">positive</b> or <b class="m">negative</b>; grey ones are zero, dashed ones frozen, dotted ones structural,
and numbers with the same @name are one tied parameter. The counterexample of a wrong version is the smallest that is
known.</p></details>"""


def _footer(profile: Profile) -> str:
    run = (
        f"seed {profile.seed}, {profile.max_examples * (10 if profile.thorough else 1)} random instances per statement"
    )
    used = ", ".join(f"{name} {number}" for name, number in versions().items())
    return f"{run}; {escape(used)}. Made by <code>python -m pathgraph.proofs_checks --report</code>."


# -- one check ------------------------------------------------------------------------------------------------------


def title_of(name: str) -> str:
    """The name of a check as a title."""
    words = name.replace("-", " ").replace("lipschitz", "Lipschitz").replace("gaussian", "Gaussian")
    return words[0].upper() + words[1:]


def _article(report: Report, model: str | None) -> str:
    check = report.check
    refuted = sum(verdict.refuted for verdict in report.verdicts)
    lines = [
        f'<article id="{check.name}">',
        f'<h2><a href="#{check.name}">{escape(title_of(check.name))}</a> {_badge(report)}</h2>',
        f"<p>{escape(check.statement)}</p>",
        f'<div class="formula">{to_mathml(check.latex)}</div>' if check.latex else "",
        f"<dl><dt>Hypotheses</dt><dd>{escape(check.hypotheses) or 'none given'}</dd>"
        f"<dt>Source</dt><dd>{_source(check.source)}</dd>",
        f"<dt>Evaluated on</dt><dd>{_counts(report, model)}</dd></dl>",
    ]
    if report.failure is not None:
        lines.append(f'<div class="failure"><h3>{escape(report.verdict.lower())}</h3>{_failure(report)}</div>')
    figures = list(_figures(report))
    if figures:
        lines.append(f'<div class="figures">{"".join(figures)}</div>')
    if report.verdicts:
        said = "all refuted" if refuted == len(report.verdicts) else f"{refuted} refuted"
        noun = "wrong version" if len(report.verdicts) == 1 else "wrong versions"
        cards = "".join(_card(report, verdict) for verdict in report.verdicts)
        lines.append(
            f'<details open><summary>{len(report.verdicts)} {noun}, {said}</summary><div class="cards">{cards}</div>'
            "</details>"
        )
    return "\n".join([*lines, "</article>"])


def _source(source: str) -> str:
    """The source, in which an arXiv number is a link."""
    link = r'<a href="https://arxiv.org/abs/\1">arXiv:\1</a>'
    return re.sub(r"arXiv:(\d{4}\.\d{5})", link, escape(source)) or "none given"


def _counts(report: Report, model: str | None) -> str:
    if report.inapplicable:
        return f"nothing: {escape(report.inapplicable)}"
    if model is not None:
        return f"{report.on_network or 0} instances on {escape(model)}"
    said = f"{report.instances} random instances"
    if not report.on_network:
        return said
    return f"{said} and {report.on_network} {'parts of' if report.check.enumerates else 'on'} the trained network"


def _figures(report: Report) -> Iterator[str]:
    constant = report.check.constant
    if constant and report.histogram:
        attained, total = report.histogram[BINS], sum(report.histogram.values())
        said = f"{attained} of them attain it" if attained else "none attains it"
        yield (
            f"<figure>{draw_histogram(report.histogram, constant)}<figcaption>Left side over right side, on {total} "
            f"instances that were steered towards large ratios. The statement says at most {number(constant)}, and "
            f"{said}.</figcaption></figure>"
        )
    if report.worst is not None and report.ratio is not None:
        yield (
            f"<figure>{_instance(report.check, report.worst)}<figcaption>The tightest instance: left over right is "
            f"{number(report.ratio)}, {report.tightness or 'no constant is claimed'}.</figcaption></figure>"
        )


def _failure(report: Report) -> str:
    failure = report.failure
    assert failure is not None
    if failure.instance is None or failure.outcome is None:
        return f"<pre>{escape(failure_text(report.check.name, failure))}</pre>"
    return _instance(report.check, failure.instance) + _sides(failure.outcome)


def _card(report: Report, verdict: Verdict) -> str:
    mutant, check = verdict.mutant, report.check
    lines = [f"<h3>{escape(mutant.name)}</h3>", _instance(check, mutant.instance)]
    if verdict.refuted:
        lines.append(_sides(check(*mutant.instance, **mutant.ingredients)))
    else:
        lines.append(f'<p class="bad">not refuted: {escape(verdict.reason)}</p>')
    if mutant.name in report.found_again:
        found = report.found_again[mutant.name]
        said = "found none" if found is None else f"found <code>{escape(shorten(repr(encode(found)), 160))}</code>"
        lines.append(f'<p class="soft">A new search {said}.</p>')
    return f'<section class="card">{"".join(lines)}</section>'


def _instance(check: Check, instance: Sequence[Any]) -> str:
    """The networks of an instance drawn, the rest in words, under the names that the check gives them."""
    names = list(inspect.signature(check.evaluate).parameters)
    named = list(zip(names, instance, strict=False))
    drawn, told = [], []
    for name, part in named:
        if isinstance(part, Network) and part.architecture.n_edges <= DRAWN:
            drawn.append(f'<div class="scroll">{draw_network(part, _values(part, dict(named).get("x")))}</div>')
        else:
            told.append(f"<span><i>{escape(name)}</i> = {escape(_plain(part, 220))}</span>")
    return "".join(drawn) + (f'<p class="rest">{" ".join(told)}</p>' if told else "")


def _values(net: Network, x: Any) -> dict[Any, Any] | None:
    """The values of all neurons, if `x` is an input."""
    if not isinstance(x, (tuple, list)) or len(x) != len(net.inputs):
        return None
    if not net.is_exact or not all(isinstance(entry, (int, Fraction)) for entry in x):
        return None
    return values_at(net, x)


def _plain(part: Any, width: int) -> str:
    """A value as it is read: numbers short, tuples in brackets, cut at `width` characters."""
    if isinstance(part, (tuple, list)):
        text = f"({', '.join(_plain(entry, width) for entry in part[:width])})"
    elif isinstance(part, dict):
        text = "{" + ", ".join(f"{_plain(key, width)}: {_plain(value, width)}" for key, value in part.items()) + "}"
    elif isinstance(part, Network):
        text = repr(part) if part.architecture.n_edges > DRAWN else network_to_text(part)
    elif isinstance(part, (int, Fraction)) and not isinstance(part, bool):
        text = number(part)
    else:
        text = str(part)
    return shorten(text, width)


def _single(side: Any) -> Any:
    """The only entry of a side that has one."""
    while isinstance(side, tuple) and len(side) == 1:
        (side,) = side
    return side


def _sides(outcome: Comparison) -> str:
    left, right = (escape(_plain(_single(side), 180)) for side in (outcome.left, outcome.right))
    sign = "=" if isinstance(outcome, Equality) else "\N{LESS-THAN OR EQUAL TO}"
    false = {"=": "\N{NOT EQUAL TO}", "\N{LESS-THAN OR EQUAL TO}": "\N{NEITHER LESS-THAN NOR EQUAL TO}"}[sign]
    return f'<p class="sides"><span>{left}</span> <b>{sign if outcome else false}</b> <span>{right}</span></p>'


# -- formulas -------------------------------------------------------------------------------------------------------


def with_low_primes(mathml: str) -> str:
    r"""Primes beside their letters: fonts raise them already, and browsers would raise them again as exponents.

    Examples
    --------
    >>> from pathgraph_proofs_checks.page import with_low_primes
    >>> prime = "\N{PRIME}"
    >>> with_low_primes(f"<msup><mi>x</mi><mo>{prime}</mo></msup>") == f"<mrow><mi>x</mi><mo>{prime}</mo></mrow>"
    True
    """
    beside = PRIMED.sub(r"<mrow>\1</mrow>", mathml)
    return PRIMED_WITH_INDEX.sub(r"<msub><mrow>\1\3</mrow>\2</msub>", beside)


def to_mathml(latex: str) -> str:
    """A displayed formula as MathML; lines are aligned at their ``&``.

    Raises
    ------
    BackendError
        If math-core is not installed.
    """
    try:
        from math_core import LatexError, LatexToMathML
    except ImportError as error:
        raise BackendError(
            "--report needs math-core, which is not installed; pip install 'pathgraph[checks]', or pip install "
            "'.[checks]' in a checkout"
        ) from error
    if r"\\" in latex and r"\begin" not in latex:
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    try:
        converter = LatexToMathML(annotation=False, fancy_error=False)
        return with_low_primes(converter.convert_with_local_state(latex, displaystyle=True))
    except LatexError:  # of a check of one's own; those of the package are tested
        return f"<code>{escape(latex)}</code>"
