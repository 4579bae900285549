"""A Sphinx math renderer that writes MathML, which browsers display without JavaScript, fonts or a network.

A formula that cannot be converted is a warning, hence an error of `make docs`.
"""

import html

from docutils.nodes import SkipNode
from math_core import LatexError, LatexToMathML
from sphinx.util import logging

from pathgraph_proofs_checks.page import with_low_primes

LOGGER = logging.getLogger(__name__)
CONVERTER = LatexToMathML(annotation=True, fancy_error=False)


def to_mathml(latex, *, display, location=None):
    """Convert one formula; several lines in a display are aligned at their `&`."""
    if display and r"\\" in latex and r"\begin" not in latex:
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    try:
        return with_low_primes(CONVERTER.convert_with_local_state(latex, displaystyle=display))
    except LatexError as error:
        LOGGER.warning("formula %r: %s", latex, error, location=location)
        return f"<code>{html.escape(latex)}</code>"


def visit_math(translator, node):
    translator.body.append(to_mathml(node.astext(), display=False, location=node))
    raise SkipNode


def visit_displaymath(translator, node):
    formula = to_mathml(node.astext(), display=True, location=node)
    number = ""
    if node.get("number"):
        number = f'<span class="eqno">({node["number"]})</span>'
    anchors = "".join(f'<span id="{name}"></span>' for name in node.get("ids", []))
    translator.body.append(f'<div class="equation">{anchors}{formula}{number}</div>\n')
    raise SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", inline_renderers=(visit_math, None), block_renderers=(visit_displaymath, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
