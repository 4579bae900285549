"""How ``python -m pathgraph`` shows an analysis: on terminals of any width, and as a page without scripts."""

import io
import re
import sys
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

import pathgraph as pg
from pathgraph.analysis import pictures
from pathgraph.analysis.analyse import analyse
from pathgraph.analysis.certificates import Settings
from pathgraph.analysis.command import main
from pathgraph.analysis.document import Figure, Section, Table
from pathgraph.analysis.model import Model
from pathgraph.analysis.page import page
from pathgraph.analysis.sections import document
from pathgraph.analysis.terminal import show
from pathgraph.plot import layers
from tests.analysis_models import QUICK, Page, perceptron
from tests.networks import REGISTRY


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "net.npz"
    pg.save(perceptron(), path)
    return str(path)


# -- terminals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("rich", [True, False])
def test_no_line_is_wider_than_the_terminal(width, rich, monkeypatch):
    if rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich", None)
        monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setenv("COLUMNS", str(width))
    builder, rng = pg.LayerGraphBuilder(), np.random.default_rng(0)
    x = builder.input((3,), name="an_input_with_quite_a_long_name")
    for place in range(2):
        weights = builder.tensor(f"encoder.blocks.{place}.projection.weight", rng.normal(size=(3, 3)))
        x = builder.relu(builder.linear(x, weights, name=f"a_projection_with_a_long_name_{place}"))
    graph = builder.build([builder.linear(x, builder.tensor("head", rng.normal(size=(2, 3))))])
    stream = io.StringIO()
    sections = document(analyse(graph, QUICK))
    show("a model", sections, stream)
    assert max(len(line.rstrip()) for line in stream.getvalue().splitlines()) <= width
    tables = [item for part in sections for item in part.items if isinstance(item, Table)]
    figures = {cell for table in tables for row in table.rows for cell in row}
    numbers = [cell for cell in figures if re.fullmatch(r"[\d,.]+", cell)]
    assert len(numbers) > 20
    assert set(numbers) <= set(stream.getvalue().split())  # no column is lost, and no number is folded


@pytest.mark.parametrize("rich", [True, False])
def test_words_of_heads_and_numbers_stay_whole_at_80_columns(rich, monkeypatch):
    if rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich", None)
        monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setenv("COLUMNS", "80")
    builder = pg.LayerGraphBuilder()
    x = builder.input((16, 128, 128), name="a_picture")
    weight = builder.tensor("decoder.upsampling.weight", np.ones((16, 4, 2, 2)))
    x = builder.relu(builder.transposed_convolution(x, weight, stride=2, name="decoder.upsampling"))
    graph = builder.build([builder.adaptive_average_pool(x, 1, name="decoder.average")])
    (table,) = [item for part in document(analyse(graph, Settings(certificates=False, trials=0)))
                for item in part.items if part.title == "Layers" and isinstance(item, Table)]  # fmt: skip
    stream = io.StringIO()
    show("a model", [Section("Layers", "", [table])], stream)
    numbers = {row[place] for place in table.numeric for row in table.rows}
    assert {word for column in table.columns for word in column.split()} | numbers <= set(stream.getvalue().split())
    assert max(len(line.rstrip()) for line in stream.getvalue().splitlines()) <= 80


def test_plain_text_where_rich_is_missing(model, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert main([model, "--trials", "2", "--shares", "0.5", "--bits", "8"]) == 0
    printed = capsys.readouterr().out
    assert "\nPath-norms\n----------\n" in printed
    assert max(map(len, printed.splitlines())) < 140


@pytest.mark.parametrize("rich", [True, False])
def test_the_caption_of_a_narrow_table_is_not_folded(rich, monkeypatch):
    if rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich", None)
        monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setenv("COLUMNS", "80")
    stream, caption = io.StringIO(), "A caption that is wider than its table, and not than the terminal"
    table = Table(["n", "m", "k"], [["1", "2", "3"]], caption)
    show("a model", [Section("Numbers", "", [table])], stream)
    assert caption in [line.strip() for line in stream.getvalue().splitlines()]


# -- the page -------------------------------------------------------------------------------------------------------


def test_the_page_is_one_file_without_scripts(model, tmp_path):
    pytest.importorskip("matplotlib")
    assert main([model, "--quiet", "--report", str(tmp_path), "--bits", "4,8", "--shares", "0.1,0.5"]) == 0
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.loaded == []
    assert "script" not in page.seen
    assert page.seen.count("svg") == 5
    assert len(page.ids) == len(set(page.ids))
    assert {target[1:] for target in page.targets} <= set(page.ids)
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text
    assert not set(pictures.COLOURS.values()) & set(re.findall(r"#[0-9a-f]{6}", text.lower()))
    assert "url(http" not in text


def test_the_bound_on_top_is_rounded_up_like_that_below(tmp_path):
    path = tmp_path / "net.npz"
    pg.save(pg.from_weights([[[1234567.25, 1.0], [0.5, 1.0]], [[1.0, 1.0]]]), path)
    assert main([str(path), "--quiet", "--report", str(tmp_path), "--no-certificates"]) == 0
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert pg.input_lipschitz(pg.load(path)) == 1234569.75
    assert "<dt>Lipschitz bound</dt><dd>1,234,570</dd>" in text
    assert '<dt>max-pass</dt><dd class="value">1,234,570</dd>' in text
    assert "1,234,569" not in text.replace("1,234,569.75", "")


def test_long_names_are_broken_where_they_part(tmp_path):
    build = pg.LayerGraphBuilder()
    x = build.input((2,), name="encoder/stage<1>.0/projection")
    graph = build.build(build.linear(x, build.tensor("w", [[1.0, 2.0]]), name="short/name"))
    layers_table = next(item for part in document(analyse(graph, Settings(certificates=False, trials=0)))
                        for item in part.items if isinstance(item, Table))  # fmt: skip
    text = page("net", "", [], [Section("Layers", "", [layers_table])], {}, "")
    assert "encoder/<wbr>stage&lt;1&gt;.<wbr>0/<wbr>projection" in text
    assert "short/name" in text
    Page(text)


def test_names_are_escaped(tmp_path):
    graph = pg.to_networkx(pg.from_weights([[[1.0, 2.0], [3.0, 4.0]]]))
    graph = nx.relabel_nodes(graph, {(1, 0): "<b>&", (1, 1): "'\""})
    path = tmp_path / "<i>.npz"
    pg.save(pg.from_networkx(graph), path)
    assert main([str(path), "--quiet", "--report", str(tmp_path), "--no-certificates"]) == 0
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    Page(text)
    assert "<b>" not in text
    assert "<i>" not in text
    assert "&lt;b&gt;&amp;" in text


def test_page_without_matplotlib_says_so(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main([model, "--quiet", "--report", str(tmp_path), "--no-certificates"]) == 0
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "matplotlib is not installed" in text
    assert "<svg" not in text
    with pytest.raises(pg.BackendError, match=r"pathgraph\[plot\]"):
        pictures.pictures(analyse(perceptron(), QUICK))


def test_every_figure_has_a_picture():
    pytest.importorskip("matplotlib")
    found = analyse(REGISTRY["skip"].net, QUICK)
    figures = {item.name for section in document(found) for item in section.items if isinstance(item, Figure)}
    assert set(pictures.pictures(found)) == figures


def test_names_of_formats_with_as_many_bits_keep_apart():
    pytest.importorskip("matplotlib")
    found = analyse(perceptron(), Settings(trials=4, formats=("e4m3", "e5m2"), shares=(), bits=(3, 24)))
    bounds = (1e3, 2e3, 1e-6, 1e6)  # among so many decades twice as much is a small step
    certificates = [replace(one, bound=bound) for one, bound in zip(found.precision, bounds, strict=True)]
    figure = pictures._bits(replace(found, precision=certificates))
    (panel,) = figure.axes
    names = [text for text in panel.texts if text.get_text().startswith("float8")]
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in names]
    assert len(boxes) == 2
    assert not boxes[0].overlaps(boxes[1])


def test_large_graphs_are_drawn_in_a_page():
    pytest.importorskip("matplotlib")
    deep = pg.from_weights([[[1.0]]] * 200)
    chain = layers.boxes_of(Model(deep).layers)
    assert [len(names) for names, _, _ in chain] == [1, 200]  # nothing that is read twice
    skips = pg.to_networkx(deep)
    skips.add_edges_from(((k, 0), (k + 2, 0), {"weight": 1.0}) for k in range(0, 198, 2))
    boxes = layers.boxes_of(Model(pg.from_networkx(skips)).layers)
    assert len(boxes) == layers.MAX_BOXES + 1
    assert sum("more layers" in text for _, _, (text, _) in boxes) == 1
    found = analyse(pg.from_networkx(skips), Settings(certificates=False, trials=1))
    assert "more layers" in pictures.pictures(found)["graph"]
