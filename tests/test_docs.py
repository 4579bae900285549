"""The README, the pages of the site and the metadata say what is true.

Every ``pycon`` block of a page runs as a doctest, in one namespace per page, and the README's program prints
what the README shows.
"""

import contextlib
import doctest
import importlib
import inspect
import io
import operator
import re
import sys
import tomllib
from numbers import Rational
from pathlib import Path

import numpy as np
import pytest

import pathgraph as pg

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for page in (ROOT / "docs").rglob("*.md")
    if "_build" not in page.parts and "```pycon" in page.read_text(encoding="utf-8")
)
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("[0-9][0-9]-*.md"))
CODE_CELL = re.compile(
    r"^```\{code-cell\} ipython3\n(---\n.*?^---\n|(?::[^\n]*\n)*)\n?(.*?)^```$", re.MULTILINE | re.DOTALL
)
NOTEBOOK_HEADER = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
    jupytext_version: 1.16.0
kernelspec:
  display_name: Python 3 (ipykernel)
  language: python
  name: python3
---
"""
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path):
    """The fenced blocks of a page: (language, content, number of the first line of the content)."""
    text = path.read_text(encoding="utf-8")
    return [(m[1], m[2], text.count("\n", 0, m.start(2))) for m in FENCE.finditer(text)]


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_pages_with_examples_are_found():
    assert len(PAGES) >= 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_examples_of_a_page(page):
    if page.name == "torch.md":
        pytest.importorskip("torch", reason="PyTorch is not installed; make test-torch runs this page")
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=flags, verbose=False)
    namespace = {}
    report = io.StringIO()
    for language, content, line in blocks(page):
        if language == "pycon":
            test = parser.get_doctest(content, namespace, page.name, str(page), line)
            runner.run(test, out=report.write, clear_globs=False)
            namespace = test.globs
    assert runner.tries > 0
    assert runner.failures == 0, report.getvalue()


def distribution(requirement):
    return re.match(r"[\w-]+", requirement)[0]


def imported(code):
    """The distributions that the code of a notebook needs, those that pathgraph loads by itself included."""
    modules = (
        set(re.findall(r"^\s*(?:import|from) (\w+)", code, re.MULTILINE)) - {"pathgraph"} - sys.stdlib_module_names
    )
    names = {"sklearn": "scikit-learn", "flint": "python-flint"}
    needed = {names.get(module, module) for module in modules if not module.startswith("pathgraph")}
    loaded = {
        "pg.plot.": "matplotlib",
        "pathgraph.testing": "hypothesis",
        "proofs_checks": "rich",
        "from_onnx": "onnx",
        "INTERVAL": "python-flint",
    }
    for used, name in loaded.items():
        if used in code:
            needed.add(name)
    return needed


@pytest.mark.parametrize("page", NOTEBOOKS, ids=lambda page: page.stem)
def test_notebook(page):
    text = page.read_text(encoding="utf-8")
    assert text.startswith(NOTEBOOK_HEADER)
    assert len(CODE_CELL.findall(text)) == text.count("```{code-cell}")
    lesson, rule, exercises = text.partition("\n## Exercises\n")
    assert rule
    assert "\n## " not in exercises
    (options, install), *cells = CODE_CELL.findall(lesson)
    assert options == ":tags: [skip-execution]\n"
    extras, others = re.fullmatch(r'%pip install -q "pathgraph\[([\w,]+)\]"((?: [\w-]+)*)\n', install).groups()
    assert len(cells) >= 3

    _, *parts = re.split(r"^\*\*Exercise (\d+)\.\*\* ", exercises, flags=re.MULTILINE)
    numbers, bodies = parts[::2], parts[1::2]
    assert 3 <= len(numbers) <= 5
    assert numbers == [str(i + 1) for i in range(len(numbers))]
    for body in bodies:
        ((options, solution),) = CODE_CELL.findall(body)
        assert "hide-cell" in options
        assert len(body.partition("```")[0].split()) > 5, "an exercise asks something"
        cells.append((options, solution))

    assert not any("skip-execution" in options for options, _ in cells)
    code = "".join(content for _, content in cells)
    assert [line for line in code.splitlines() if len(line) > 84] == []
    available = project()["optional-dependencies"]
    installed = [*project()["dependencies"], *others.split()]
    for extra in extras.split(","):
        installed += available[extra]
    assert imported(code) <= {distribution(requirement) for requirement in installed}


def test_notebooks_are_listed_in_order():
    index = (ROOT / "docs" / "notebooks" / "index.md").read_text(encoding="utf-8")
    linked = re.findall(r"\[(\d+)\. [^\]]*\]\(((\d\d)-[\w-]+\.md)\)", index)
    assert [int(number) for number, _, _ in linked] == list(range(1, len(NOTEBOOKS) + 1))
    assert [int(digits) for _, _, digits in linked] == list(range(1, len(NOTEBOOKS) + 1))
    assert [name for _, name, _ in linked] == [page.name for page in NOTEBOOKS]
    for page in NOTEBOOKS:
        title = re.search(r"^# (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)[1]
        assert f"[{title}]({page.name})" in index


def test_readme_program_prints_what_the_readme_shows():
    found = blocks(ROOT / "README.md")
    programs = [index for index, (language, _, _) in enumerate(found) if language == "python"]
    assert programs
    for index in programs:
        language, shown, _ = found[index + 1]
        assert language == "text", "a program in the README is followed by its output"
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(found[index][1], "README.md", "exec"), {})
        assert printed.getvalue() == shown


def test_readme_links_to_files_that_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / target).exists(), target


def test_readme_names_targets_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([\w-]+)`", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_extras_are_those_of_pyproject():
    extras = set(project()["optional-dependencies"])
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.search(r"are extras \(([^)]*)\)", readme)[1]
    assert set(re.findall(r"`(\w+)`", listed)) == extras
    install = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", install, re.MULTILINE)) == extras


def test_versions_agree():
    version = project()["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", citation, re.MULTILINE)[1] == version
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(\d[^\]]*)\]", changelog, re.MULTILINE)[0] == version
    assert pg.__version__ == version


@pytest.mark.parametrize("name", sorted(pg.__all__))
def test_public_names_are_documented(name):
    public = getattr(pg, name)
    reference = (ROOT / "docs" / "api" / "index.rst").read_text(encoding="utf-8")
    if name.startswith("__"):
        return
    assert re.search(rf"^\s+{name}$|automodule:: pathgraph\.(?:\w+\.)*{name}$", reference, re.MULTILINE)
    docstring = public.__doc__
    assert docstring
    if callable(public):
        assert re.search(r"^\s*Examples\n\s*-{8}\n", docstring, re.MULTILINE)
        assert doctest.DocTestParser().get_examples(docstring)


@pytest.mark.parametrize("page", ["docs/guide/path_sums.md", "docs/api/semirings.rst"])
def test_predefined_semirings_are_listed(page):
    predefined = {name for name in pg.semirings.__all__ if isinstance(getattr(pg.semirings, name), pg.Semiring)}
    text = (ROOT / page).read_text(encoding="utf-8")
    assert set(re.findall(r"^(?:\| `|\.\. autodata:: )([A-Z_]+)", text, re.MULTILINE)) == predefined


def test_options_of_the_checks_are_listed(capsys):
    from pathgraph.proofs_checks import main

    with pytest.raises(SystemExit):
        main(["--help"])
    options = set(re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    page = (ROOT / "docs" / "theorems" / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(--[a-z-]+)", page, re.MULTILINE)) == options


def test_options_of_the_command_are_listed(capsys):
    from pathgraph.analysis.command import main

    with pytest.raises(SystemExit):
        main(["--help"])
    options = set(re.findall(r"^  (--[a-z0-9-]+)", capsys.readouterr().out, re.MULTILINE))
    page = (ROOT / "docs" / "guide" / "command-line.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(--[a-z0-9-]+)", page, re.MULTILINE)) == options


def capabilities():
    """The rows of the table of scalars: (expression, kind of the network, what comes out)."""
    text = (ROOT / "docs" / "guide" / "capabilities.md").read_text(encoding="utf-8")
    _, _, *rows = re.findall(r"^\|.*$", text, re.MULTILINE)  # after the head and the rule below it
    for row in rows:
        expression, *outcomes = re.fullmatch(r"\| `(.*)` \| (\w+) \| (\w+) \| (\w+) \|", row).groups()
        for kind, outcome in zip(["float", "exact", "symbolic"], outcomes, strict=True):
            yield expression, kind, outcome


def kind_of(value):
    if isinstance(value, (Rational, np.integer)):
        return "exact"
    return "float" if isinstance(value, float) else "symbolic"


def kinds_of(result):
    """Which kinds of numbers a result holds; among symbols an exact zero is no kind of its own."""
    values = np.asarray(result.toarray() if hasattr(result, "toarray") else result, dtype=object)
    kinds = {kind_of(value) for value in values.flat}
    zeros = all(value == 0 for value in values.flat if kind_of(value) == "exact")
    return kinds - {"exact"} if "symbolic" in kinds and zeros else kinds


@pytest.mark.parametrize(("expression", "kind", "outcome"), list(capabilities()))
def test_capabilities(expression, kind, outcome):
    sympy = pytest.importorskip("sympy")
    a, b, c, d = sympy.symbols("a b c d")
    net = {
        "float": pg.from_weights([[[1.0], [2.0]], [[3.0, 4.0]]]),
        "exact": pg.from_weights([[[1], [2]], [[3, 4]]], dtype=object),
        "symbolic": pg.from_weights([[[a], [b]], [[c, d]]]),
    }[kind]
    if outcome == "refused":
        with pytest.raises(pg.PathgraphError):
            eval(expression, {"pg": pg, "net": net})
    else:
        found = eval(expression, {"pg": pg, "net": net})
        if "SCALED" in expression:
            found, _ = found  # the exponent of 2 is an integer
        assert kinds_of(found) == {outcome}


def test_reference_has_no_stale_name():
    reference = (ROOT / "docs" / "api" / "index.rst").read_text(encoding="utf-8")
    found = set()
    for section in reference.split(".. currentmodule:: ")[1:]:
        module = importlib.import_module(section.split()[0])
        for table in re.findall(r":toctree: generated\n\n((?:   \S+\n)+)", section):
            for name in table.split():
                assert operator.attrgetter(name)(module) is not None
                found.add(f"{module.__name__}.{name}")
    assert len(found) > len(pg.__all__) / 2


def symbols():
    """The rows of the page of symbols: the code in their last column."""
    text = (ROOT / "docs" / "symbols.md").read_text(encoding="utf-8")
    for row in re.findall(r"^\| .* \|$", text, re.MULTILINE):
        *_, code = re.split(r"(?<!\\) \| ", row.strip("| "))
        if code != "in the code" and set(code) - {"-", " ", "|"}:
            yield code


@pytest.fixture(scope="module")
def names_of_the_symbols():
    net = pg.from_weights([[[2, -3], [1, 4]], [[0.5, 1]]], [[1, 0], None])
    other = pg.rescale(net, {(1, 0): 2})
    return {
        "pg": pg,
        "net": net,
        "other": other,
        "low": net,
        "high": net.with_theta(2 * net.theta),
        "u": (0, 0),
        "v": (1, 1),
        "e": ((0, 0), (1, 1)),
        "x": [1, -1],
        "xs": [[1, -1], [2, 3]],
        "q": 2,
        "r": 1,
        "D": 1,
        "n": 100,
        "factors": {(1, 0): 2},
        "rho": 0.1,
        "mean": 0,
        "std": [1] * 8,
        "law": pg.Gaussian(1, [1] * 8),
        "prior": pg.Gaussian(0, [1] * 8),
        "widths": (2, 3, 1),
        "eps": 0.1,
        "eta": 0.25,
        "delta": 0.125,
        "p1": pg.KSPattern(1, 2, 2, 2),
        "p2": pg.KSPattern(2, 2, 2, 1),
        "w": np.arange(1.0, 9.0).reshape(1, 2, 2, 2),
        "A": np.arange(16.0).reshape(4, 4),
        "patterns": pg.square_dyadic(4),
        "s": 1,
    }


@pytest.mark.parametrize("code", list(symbols()))
def test_names_of_the_symbols_exist(code, names_of_the_symbols):
    """Expressions are evaluated; `.name` is an attribute of the one before, `name=` an argument of those behind."""
    spans = re.findall(r"`([^`]+)`", code)
    assert spans
    base, arguments, found = None, [], []
    for span in spans:
        if span.endswith("="):
            arguments.append(span[:-1])
        elif span.startswith("."):
            assert operator.attrgetter(span[1:])(base) is not None, span
        elif span.startswith('"'):
            if "methods" in code:
                eval(f"pg.path_metric(net, other, method={span})", names_of_the_symbols)
            else:
                assert span.strip('"') in pg.to_networkx.__doc__ + pg.from_networkx.__doc__
        else:
            found.append(eval(span, names_of_the_symbols))
            attribute = re.fullmatch(r"(.*\))\.\w+(\.\w+)*", span)
            base = found[-1]
            if attribute:
                whole = span.rsplit(".", 1)[0]
                base = eval(whole, names_of_the_symbols)
    for argument in arguments:
        assert found
        assert all(argument in inspect.signature(function).parameters for function in found), argument
