"""Write the pages of the theorem index from the registry of checks, before Sphinx reads the sources.

The registry is the only source: a check that is added there appears in the index at the next build, and the page of a
check that is gone is removed.
"""

import pprint
import re
from pathlib import Path

from pathgraph_proofs_checks.registry import all_checks


def check_page(check):
    """One check as a MyST page."""
    lines = [
        "---",
        "html_theme.sidebar_secondary.remove: true",  # the page is short, and its formula may be wide
        "---",
        "",
        f"# {title(check)}",
        "",
        plain(check.statement),
        "",
        "$$",
        check.latex.strip(),
        "$$",
        "",
        "Hypotheses",
        f": {plain(check.hypotheses)}",
        "",
        "Source",
        f": {plain(check.source)}",
        "",
        "Run it",
        f": `python -m pathgraph.proofs_checks --only {check.name}`",
        "",
        "## Mutants",
        "",
        "Wrong versions of the statement, run through the same check. Each is refuted by the counterexample that is",
        "stored with it.",
        "",
    ]
    for mutant in check.mutants:
        counterexample = pprint.pformat(mutant.counterexample, width=100, compact=True)
        lines += [f"**{plain(mutant.name)}**", "", "```text", counterexample, "```", ""]
    return "\n".join(lines)


def index_table(checks):
    """The list of checks, as a MyST table that the index page includes."""
    total = sum(len(check.mutants) for check in checks)
    lines = [f"{len(checks)} checks, {total} mutants.", "", "| statement | source | mutants |", "| --- | --- | --- |"]
    for check in checks:
        paper = re.search(r"arXiv\S+", check.source)
        source = plain(paper[0] if paper else check.source)
        lines.append(f"| [{title(check)}](generated/{check.name}.md) | {source} | {len(check.mutants)} |")
    return "\n".join([*lines, ""])


def title(check):
    words = check.name.replace("-", " ").replace("lipschitz", "Lipschitz")
    return words[0].upper() + words[1:]


def plain(text):
    """The text as it is, whatever its characters mean in Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~^])", r"\\\1", text)


def write_pages(app):
    folder = Path(app.srcdir) / "theorems" / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    checks = list(all_checks())
    pages = {f"{check.name}.md": check_page(check) for check in checks}
    pages["table.inc"] = index_table(checks)
    for old in folder.iterdir():
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # else Sphinx would read it again
            path.write_text(text, encoding="utf-8")


def setup(app):
    app.connect("builder-inited", write_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
