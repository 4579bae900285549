"""The page of all checks: complete, well-formed, and nothing in it asks for a network or a script."""

import re
import xml.etree.ElementTree as ET
from fractions import Fraction
from html.parser import HTMLParser
from itertools import pairwise

import pytest

import pathgraph as pg
from pathgraph.plot.layout import COLUMN, RADIUS
from pathgraph.proofs_checks import Profile, all_checks, examine, load, main, network_from_text
from pathgraph_proofs_checks.drawing import draw_histogram, draw_network, number
from pathgraph_proofs_checks.page import page, save_page, to_mathml

pytest.importorskip("math_core")

CHECKS = {check.name: check for check in all_checks()}
SOME = ["contraction-of-pools", "lipschitz-by-max-pass", "number-of-paths", "output-bound"]
MLP = pg.from_weights([[[1, -2], [3, 1]], [[1, 1], [0, 2]]], [[1, -1], [0, 3]], dtype=object)
VOID = {"meta", "br"}

WRONG = """
from pathgraph.proofs_checks import Equality, Inequality, drawn, theorem

@theorem(statement="A <b>bold</b> claim & no more: no network has an input.", instances=drawn())
def no_inputs(net):
    return Equality(len(net.inputs), 0)

@theorem(statement="It raises.", instances=drawn())
def it_raises(net):
    raise ArithmeticError("<oops>")

no_inputs.mutant("<i>sound</i>", ("x0; y0 = out(x0)",))
"""


class Reader(HTMLParser):
    """Checks that tags are closed in their order, and collects what is asked from elsewhere."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.tags, self.ids = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [(tag, key, found[key]) for key in ("src", "href", "srcset", "data") if key in found]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def some():
    return page([examine(CHECKS[name], Profile(20), MLP) for name in SOME], Profile(20))


def test_the_page_stands_alone(some):
    reader = read(some)
    assert not set(reader.tags) & {"script", "link", "img", "iframe", "object"}
    assert all(tag == "a" and (to[0] == "#" or to.startswith("https://arxiv.org/abs/")) for tag, _, to in reader.links)
    assert {to[1:] for _, _, to in reader.links if to[0] == "#"} <= set(reader.ids)
    assert "@import" not in some
    assert "url(" not in some
    assert len(reader.ids) == len(set(reader.ids))
    assert set(SOME) <= set(reader.ids)
    assert "prefers-color-scheme: dark" in some
    assert 'name="viewport"' in some


@pytest.mark.parametrize("name", SOME)
def test_every_check_is_told_and_drawn(some, name):
    check = CHECKS[name]
    (article,) = re.findall(rf'<article id="{name}">.*?</article>', some, re.DOTALL)
    assert article.count("<math") == 1
    assert article.count('class="card"') == len(check.mutants)
    assert ("histogram of ratios" in article) == ("The tightest instance" in article) == (check.constant is not None)
    networks = sum(isinstance(part, pg.Network) for mutant in check.mutants for part in mutant.instance)
    assert article.count("<svg") >= networks
    assert len(re.findall("≰|≠", article)) >= len(check.mutants)
    for svg in re.findall("<svg.*?</svg>", article, re.DOTALL):
        ET.fromstring(svg)


def test_every_formula_of_the_package_is_mathml():
    for check in CHECKS.values():
        formula = to_mathml(check.latex)
        assert formula.startswith("<math"), check.name
        assert "merror" not in formula
        read(formula)


def test_primes_stand_beside_their_letters():
    formula = to_mathml(r"\Phi'_p(\theta') = x'_u \lambda'' + 2^n")
    assert "\N{PRIME}</mo></msubsup>" not in formula
    assert "<mrow><mi>θ</mi><mo>\N{PRIME}</mo></mrow>" in formula
    assert "<mrow><mi>λ</mi><mo>\N{DOUBLE PRIME}</mo></mrow>" in formula
    assert "<msub><mrow><mi>x</mi><mo>\N{PRIME}</mo></mrow><mi>u</mi></msub>" in formula
    assert "<msup><mn>2</mn><mi>n</mi></msup>" in formula


def test_failures_are_shown_and_texts_are_escaped(tmp_path):
    file = tmp_path / "wrong.py"
    file.write_text(WRONG)
    text = page([examine(check, Profile(5)) for check in load(file)], Profile(5))
    read(text)
    assert "A &lt;b&gt;bold&lt;/b&gt; claim &amp; no more" in text
    assert "<b>bold" not in text
    assert "0 of 2" in text
    assert "1</span> <b>≠</b> <span>0" in text
    assert "&lt;oops&gt;" in text
    assert "not refuted: its stored counterexample refutes the theorem, too" in text
    assert 'Not everything holds: <a href="#no-inputs">No inputs</a>, <a href="#it-raises">' in text


def test_the_command_writes_the_page(tmp_path, capsys):
    folder = tmp_path / "new" / "report"
    assert main(["--no-digits", "--only", "number-of-paths", "--report", str(folder)]) == 0
    assert f"report: {folder / 'index.html'}" in capsys.readouterr().out
    assert "Number of paths" in (folder / "index.html").read_text(encoding="utf-8")
    assert [path.name for path in folder.iterdir()] == ["index.html"]


def test_the_page_of_a_model(tmp_path, capsys):
    pg.save(MLP, tmp_path / "model.npz")
    model, file = str(tmp_path / "model.npz"), str(tmp_path / "results.json")
    options = ["--model", model, "--only", "output-bound", "--only", "contraction-of-pools", "--resume", file]
    assert main([*options, "--report", str(tmp_path)]) == 0
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    read(text)
    assert "in exact arithmetic, on <code>model.npz</code>. That is" in text
    assert "instances on model.npz" in text
    assert '<span class="badge soft">not run</span>' in text
    assert "1 of 1</b>statements hold" in text
    capsys.readouterr()
    assert main(options) == 0
    assert "2 of 2 results are used again" in capsys.readouterr().out
    pg.save(pg.rescale(MLP, {(1, 0): 2}), model)
    assert main(options) == 0
    assert "2 out of date; what changed: model" in capsys.readouterr().out


def test_a_report_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit):
        main(["--only", "number-of-paths", "--report", str(tmp_path / "file" / "x")])
    assert "--report: needed a folder, or a place where one can be made" in capsys.readouterr().err


def test_a_report_that_fails_after_the_checks(tmp_path, capsys, monkeypatch):
    """The folder may be gone by then: a line says so, and not a traceback."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathgraph_proofs_checks.cli.save_page", full)
    assert main(["--no-digits", "--only", "number-of-paths", "--report", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "everything holds" in said.out
    assert said.err.startswith("--report: needed a folder that can be made and written, got")
    assert "(No space left on device); name another" in said.err


def test_math_core_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "math_core", None)
    with pytest.raises(pg.BackendError, match=r"pip install 'pathgraph\[checks\]'"):
        save_page([examine(CHECKS["number-of-paths"], Profile(2))], Profile(2), tmp_path)


# -- drawings -------------------------------------------------------------------------------------------------------


def test_networks_are_drawn_with_what_matters():
    net = network_from_text(
        "x0 x1; h0 = relu(2*x0, -1/2*x1~, 3); h1 = pool2(h0!, x1@a, 0*x0); h2 = id(5); y0 = out(h0, h1, h2, x0, -1@b)"
    )
    svg = draw_network(net, {v: Fraction(k) for k, v in enumerate(net.nodes)})
    texts = [text.text for text in ET.fromstring(svg).iter("text")]
    assert {"x0", "x1", "h0", "h1", "h2", "y0", "ReLU", "2nd", "id", "out", "−1/2", "1 @a", "+3", "−1 @b"} <= set(texts)
    assert [svg.count(kind) for kind in ("frozen", "structural", "edge zero", "edge minus")] == [1, 1, 1, 1]
    assert svg.count('class="value"') == len(net.nodes)


def test_neurons_do_not_overlap_and_edges_avoid_them():
    net = network_from_text("x0; h0 = id(x0); h1 = id(h0); h2 = id(h1); y0 = out(h2, h1, h0, x0)")
    root = ET.fromstring(draw_network(net))
    places = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter("circle")]
    assert len(set(places)) == 4
    assert min(b[0] - a[0] for a, b in pairwise(places)) == COLUMN
    paths = [tuple(map(float, re.findall(r"-?[\d.]+", path.get("d")))) for path in root.iter("path")]
    skips = [path for path in paths if path[1] == path[5] and path[4] - path[0] > COLUMN]
    for _, y0, _, top, _, y1 in skips:
        assert abs((y0 + y1) / 4 + top / 2) > RADIUS, "an edge passes through a neuron"
    assert len(skips) == 3


def test_a_bias_stands_above_the_value_of_the_next_row():
    net = network_from_text("x0 x1; h0 = relu(x0, 1); h1 = relu(x1, 2); y0 = out(h0, -1/4); y1 = out(h1, 1)")
    root = ET.fromstring(draw_network(net, dict.fromkeys(net.nodes, 1)))
    places = {"bias": [], "value": []}
    for text in root.iter("text"):
        if text.get("class") in places:
            places[text.get("class")].append((text.get("x"), int(text.get("y"))))
    gaps = [abs(low - high) for x, low in places["bias"] for column, high in places["value"] if x == column]
    assert len(gaps) == 8
    assert min(gaps) >= 11  # pixels, the size of the letters


def test_large_networks_are_drawn_without_numbers():
    net = pg.from_weights([[[1] * 8] * 8], dtype=object)
    assert "weight" not in draw_network(net)
    assert draw_network(net).count("<path") == 64


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(-1, 2), "−1/2"),
        (12345, "12345"),
        (Fraction(1, 3**40), "≈ 8.22526334e−20"),
        (-(10**400), "−10^400 or so"),
        (Fraction(1, 10**5000), "10^-5000 or so".replace("-", "−")),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_histograms():
    root = ET.fromstring(draw_histogram({0: 1, 20: 4, 40: 2}, Fraction(2)))
    bars = [(bar.get("class"), float(bar.get("height"))) for bar in root.iter("rect")]
    assert [kind for kind, _ in bars] == ["bar", "bar", "bar attained"]
    assert bars[1][1] == 4 * bars[0][1] == 2 * bars[2][1]
    assert {"0", "1/2", "1", "3/2", "= 2", "4", "2"} == {text.text for text in root.iter("text")}
