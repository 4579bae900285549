"""``python -m pathgraph MODEL``: its figures against the library and brute force, its flags, its page, its refusals."""

import html.parser
import io
import json
import math
import re
import struct
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.analysis import pictures
from pathgraph.analysis.analyse import TOP, analyse
from pathgraph.analysis.certificates import Settings, Trials
from pathgraph.analysis.command import main
from pathgraph.analysis.document import Figure, Table, count, number, percent, power
from pathgraph.analysis.formats import FixedPoint, Float
from pathgraph.analysis.model import Model
from pathgraph.analysis.sections import document
from pathgraph.analysis.terminal import plain_lines, show
from pathgraph.plot import layers
from pathgraph.quantization.quantizers import FORMATS
from tests.layer_graphs import MAKERS, build
from tests.networks import REGISTRY
from tests.oracles import Oracle
from tests.tolerances import exponential_roundings, gamma, roundings

CASES = {case.name: case for case in (REGISTRY.values() if isinstance(REGISTRY, dict) else REGISTRY)}
QUICK = Settings(trials=4, shares=(0.5,), bits=(4,), formats=("bf16",), samples=1000)


def perceptron(widths=(6, 8, 7, 3), seed=0):
    rng = np.random.default_rng(seed)
    pairs = list(pairwise(widths))
    return pg.from_weights([rng.normal(size=(n, m)) for m, n in pairs], [rng.normal(size=n) for _, n in pairs])


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "net.npz"
    pg.save(perceptron(), path)
    return str(path)


# -- formats --------------------------------------------------------------------------------------------------------


def by_hand(precision, least, largest):
    """All non-negative numbers of a format, from its definition."""
    steps = [Fraction(m) * Fraction(2) ** (least - precision + 1) for m in range(2 ** (precision - 1))]
    exponents = range(least, 20)
    normal = [
        Fraction(m) * Fraction(2) ** (e - precision + 1)
        for e in exponents
        for m in range(2 ** (precision - 1), 2**precision)
    ]
    return [x for x in sorted({*steps, *normal}) if x <= largest]


@pytest.mark.parametrize(("name", "precision", "least"), [("e4m3", 4, -6), ("e5m2", 3, -14)])
def test_rounding_is_to_the_nearest_number_of_the_format(name, precision, least):
    one = Float(name)
    numbers = by_hand(precision, least, Fraction(FORMATS[name].largest))
    largest = FORMATS[name].largest
    assert numbers[-1] == largest
    rng = np.random.default_rng(0)
    w = np.concatenate([rng.normal(size=200) * 2.0 ** rng.integers(-20, 18, 200), [0.0, -largest, 3 * largest]])
    for x, rounded in zip(w.tolist(), one.rounded(w).tolist(), strict=True):
        distance = min(abs(Fraction(abs(x)) - y) for y in numbers)
        assert abs(Fraction(x) - Fraction(rounded)) == distance
    assert one.saturated(w) == int((abs(w) > largest).sum()) >= 1


def test_float16_and_bfloat16_are_those_of_the_machine():
    rng = np.random.default_rng(1)
    w = rng.normal(size=2000) * 2.0 ** rng.integers(-30, 15, 2000)
    assert np.array_equal(Float("fp16").rounded(w), w.astype(np.float16).astype(np.float64))
    w = w.astype(np.float32)
    bits = w.view(np.uint32).astype(np.uint64)
    nearest = ((bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) >> np.uint64(16) << np.uint64(16)).astype(
        np.uint32
    )
    assert np.array_equal(Float("bf16").rounded(w.astype(np.float64)), nearest.view(np.float32))


@pytest.mark.parametrize("bits", [2, 3, 8, 16])
def test_fixed_point_has_the_smallest_power_of_two_that_fits(bits):
    rng = np.random.default_rng(bits)
    for w in (rng.normal(size=50), np.array([2.0**-1060, 0.0]), np.zeros(3), np.array([4.0, -1.0])):
        rounded = FixedPoint(bits).rounded(w)
        levels = 2 ** (bits - 1) - 1
        step = next(
            (Fraction(2) ** k for k in range(-1074, 40) if Fraction(abs(w).max()) <= levels * Fraction(2) ** k), 1
        )
        for x, y in zip(w.tolist(), rounded.tolist(), strict=True):
            assert Fraction(y) % step == 0
            assert abs(Fraction(x) - Fraction(y)) <= step / 2
            assert abs(Fraction(y)) <= levels * step


def test_fixed_point_refuses_other_bits():
    with pytest.raises(pg.ParameterError, match="2 to 32, got 1"):
        FixedPoint(1)


# -- figures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_figures_are_those_of_the_paths(name):
    """On every network of the registry, the figures agree with the enumeration of its paths."""
    case = CASES[name]
    found = analyse(case.net, QUICK)
    oracle: Oracle = case.oracle
    products = list(case.lifting.values())
    summary = found.summary
    assert (summary.paths, summary.n_edges) == (len(products), case.graph.number_of_edges())
    assert summary.n_neurons == case.graph.number_of_nodes()
    assert sum(row.neurons for row in summary.layers) == summary.n_neurons
    assert sum(row.edges for row in summary.layers) == summary.n_edges
    assert sum(row.parameters for row in summary.layers) == summary.n_parameters == len(case.net.theta)
    norm = sum(map(abs, products))
    q1 = next(one for one in found.norms if one.q == 1)
    assert q1.value == float(norm)
    if norm:
        masses = dict.fromkeys(case.net.outputs, Fraction(0))
        for path, product in case.lifting.items():
            masses[path[-1]] += abs(product)
        exact = sorted((float(mass / norm) for mass in masses.values()), reverse=True)[:TOP]
        logs = [abs(math.log(mass)) for mass in masses.values() if mass]
        steps = 4 * (exponential_roundings(max(logs)) + 1) + len(masses) + 1  # a quotient of sums of exponentials
        assert [one.share for one in found.per_output] == pytest.approx(exact, rel=float(gamma(steps)), abs=0)
        costs = pg.path_magnitude(case.net)
        slack = float(gamma(len(costs) + 4))
        assert sum(row.share for row in found.scores) == pytest.approx(float(sum(costs) / norm), rel=slack, abs=0)
    assert oracle is not None
    for one in (*found.pruning, *found.precision):
        assert one.rigorous  # the network is exact
        # two evaluations in floats, on rounded weights; the path-norm of the other network is at most norm + bound
        slack = gamma(roundings(oracle) + summary.depth_in_edges + summary.n_outputs + 2) * (2 * norm + one.bound)
        assert one.seen <= one.bound + slack
    assert found.lipschitz.seen <= min(found.lipschitz.bounds.values()) * (1 + 1e-9) + 1e-9
    json.dumps(found.as_json(), allow_nan=False)
    assert plain_lines("title", document(found))


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


@pytest.mark.parametrize("name", MAKERS)
def test_layer_graphs_give_the_figures_of_their_expansions(name):
    graph = build(name)
    found, plain = analyse(graph, QUICK), analyse(graph.expand(), QUICK)
    sizes = ("n_inputs", "n_outputs", "n_neurons", "n_edges", "n_parameters", "n_zeros", "paths")
    sizes += ("depth_in_edges", "depth_in_activations", "largest_pool")
    assert [getattr(found.summary, size) for size in sizes] == [getattr(plain.summary, size) for size in sizes]
    for total in ("neurons", "edges", "parameters"):
        assert sum(getattr(row, total) for row in found.summary.layers) == getattr(found.summary, f"n_{total}")
    assert found.norms == plain.norms
    assert [one.log for one in found.per_output] == pytest.approx([one.log for one in plain.per_output], abs=1e-12)
    assert found.lipschitz.bounds == plain.lipschitz.bounds
    assert found.generalization == plain.generalization
    if found.outputs is not None:
        assert found.outputs.size == pytest.approx(plain.outputs.size, rel=1e-9, abs=1e-9)
    n_scores = len(graph.theta)
    shares = [sum(row.share for row in each.scores) for each in (found, plain)]
    assert shares[0] == pytest.approx(shares[1], rel=2 * float(gamma(n_scores + 3)), abs=0)  # same scores, other sums
    for one, other in zip(found.pruning, plain.pruning, strict=True):
        assert (one.bound, one.changed) == (other.bound, other.changed)
    for one in (*found.pruning, *found.precision):
        assert one.seen <= one.bound * (1 + 1e-9) + 1e-9
    assert {what.what for what in found.left_out} == {what.what for what in plain.left_out}
    json.dumps(found.as_json(), allow_nan=False)
    assert plain_lines("title", document(found))


def test_certificates_hold_at_every_trial():
    net = perceptron()
    settings = Settings(box=0.5, trials=32)
    found = analyse(net, settings)
    model = Model(net)
    trials = Trials(model, 0.5, 32, 0)
    assert np.abs(trials.x).max() <= 0.5
    for one in found.pruning:
        pruned = pg.prune(net, one.amount, inputs=0.5)
        assert one.bound == pruned.certificate.upper
        change = np.abs(net(trials.x) - pruned.net(trials.x)).sum(axis=1).max()
        assert one.seen == max(change, pruned.certificate.lower) <= one.bound
    shares = [one.bound for one in found.pruning]
    assert shares == sorted(shares)
    fixed = [one for one in found.precision if "fixed" in one.name]
    assert [one.bits for one in fixed] == sorted((one.bits for one in fixed), reverse=True)
    assert len(found.precision) == 4 + len(fixed)
    assert all(one.seen <= one.bound for one in found.precision)


def test_weights_that_a_format_holds_are_not_changed():
    net = perceptron()
    halves = net.map_values(lambda w: np.round(w * 2) / 2)
    found = analyse(halves, Settings(formats=("fp16",), bits=()))
    assert [(one.bound, one.seen, one.changed, one.ratio) for one in found.precision] == [(0.0, 0.0, 0, 1.0)]


def test_float32_is_taken_as_it_is():
    net = perceptron().to_float(np.float32)
    found = analyse(net, QUICK)
    assert found.summary.scalars == "float32"
    assert next(one for one in found.norms if one.q == 1).value == pg.path_norm(net.to_float(np.float64))


def test_what_overflows_is_given_by_its_logarithm():
    deep = pg.from_weights([[[1e200, 1e200], [1e200, 1e200]]] * 4)
    found = analyse(deep, QUICK)
    q1 = next(one for one in found.norms if one.q == 1)
    assert q1.value is None
    assert q1.log == pytest.approx(4 * np.log(1e200) + 5 * np.log(2))
    assert any("Lipschitz" in one.what for one in found.left_out)
    text = "\n".join(plain_lines("deep", document(found)))
    assert "3.2000" in text
    assert "e+801" in text


def test_what_underflows_is_not_said_to_be_zero():
    tiny = pg.from_weights([[[5e-324]], [[1e-300]]])
    for net, why in ((tiny, "exp(-1435.22), below all floats"), (tiny.with_theta([5e-324, 0.0]), "no path has")):
        assert why in next(one.why for one in analyse(net, QUICK).left_out if one.what == "scores by layer")


def test_more_paths_than_can_be_written_down():
    found = analyse(perceptron(), QUICK)
    huge = replace(found, summary=replace(found.summary, paths=2**20000))
    assert huge.as_json()["summary"]["paths"] is None
    assert huge.as_json()["summary"]["log10_paths"] == pytest.approx(20000 * np.log10(2))
    assert "3.9803e6020" in "\n".join(plain_lines("", document(huge)))


@pytest.mark.parametrize(
    ("box", "message"), [(np.ones(3), "6, one per input, got 3"), (-1.0, "finite half-widths >= 0"), (np.inf, "finite")]
)
def test_boxes_that_do_not_fit(box, message):
    with pytest.raises(pg.ParameterError, match=message):
        analyse(perceptron(), Settings(box=box))


def test_symbols_are_refused():
    sympy = pytest.importorskip("sympy")
    with pytest.raises(pg.UnsupportedOperatorError, match="SymPy"):
        analyse(pg.from_weights([[[sympy.Symbol("a")]]]))
    with pytest.raises(pg.ParameterError, match="Network or LayerGraph, got int"):
        analyse(3)


def test_numbers_as_text():
    assert [number(x) for x in (None, 0.0, 12345.678, 1e20, float("inf"), 0.00012345678)] == [
        "-", "0", "12,346", "1e+20", "infinite", "0.00012346",
    ]  # fmt: skip
    assert (power(float("-inf")), power(0.0), power(1000 * np.log(10))) == ("0", "1", "1.0000e+1000")
    assert (count(12345), count(10**20)) == ("12,345", "1.0000e20")
    assert (percent(0), percent(0.5), percent(1e-6)) == ("0.0 %", "50.0 %", "0.0001 %")


# -- the command ----------------------------------------------------------------------------------------------------


def test_terminal_report_files_and_every_flag(model, tmp_path, capsys):
    widths = tmp_path / "box.npy"
    np.save(widths, np.linspace(0, 1, 6))
    report, figures = tmp_path / "new" / "folder", tmp_path / "figures.json"
    flags = "--q 1,2.5,inf,0 --samples 500 --trials 3 --seed 7 --shares 0.25,0.5 --bits 4,5 --formats fp16"
    assert main([model, *flags.split(), "--box", str(widths), "--report", str(report), "--json", str(figures)]) == 0
    printed = capsys.readouterr()
    assert not printed.err
    for wanted in (
        "net.npz",
        "Path-norms",
        "q = inf",
        "not faster by itself",
        "real arithmetic",
        str(report / "index.html"),
    ):
        assert wanted in printed.out
    found = json.loads(figures.read_text())
    assert [one["q"] for one in found["norms"]] == [1, 2.5, None, 0]
    assert found["generalization"]["n_samples"] == 500
    assert (found["outputs"]["trials"], found["seed"]) == (3, 7)
    assert [one["amount"] for one in found["pruning"]] == [0.25, 0.5]
    assert [one["name"] for one in found["precision"]] == ["float16", "5-bit fixed point", "4-bit fixed point"]
    net = pg.load(model)
    box = np.load(widths)
    assert found["norms"][0]["value"] == pg.path_norm(net)
    assert found["pruning"][1]["bound"] == pg.prune(net, 0.5, inputs=box).certificate.upper
    assert found["summary"]["paths"] == str(pg.count_paths(net))


def test_the_same_run_twice_and_another_seed(model, tmp_path):
    files = [tmp_path / f"{k}.json" for k in range(3)]
    for file, seed in zip(files, "001", strict=True):
        assert main([model, "--quiet", "--json", str(file), "--trials", "5", "--seed", seed, "--bits", "5"]) == 0
    first, second, third = (json.loads(file.read_text()) for file in files)
    for run in (first, second, third):
        del run["seconds"]
    assert first == second
    assert first["outputs"] != third["outputs"]


def test_quiet_exact_and_no_certificates(model, tmp_path, capsys):
    file = tmp_path / "x.json"
    assert (
        main([model, "--quiet", "--exact", "--json", str(file), "--shares", "0.5", "--bits", "6", "--formats", "none"])
        == 0
    )
    found = json.loads(file.read_text())
    assert found["exact"]
    assert all(one["rigorous"] for one in found["pruning"] + found["precision"])
    assert main([model, "--quiet", "--no-certificates", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert not found["pruning"]
    assert not found["precision"]
    assert "not asked for" in found["left_out"][-1]["why"]
    assert capsys.readouterr() == ("", "")


def test_without_random_inputs(model, capsys):
    assert main([model, "--trials", "0", "--shares", "0.5", "--bits", "6"]) == 0
    assert "no random inputs were asked for" in capsys.readouterr().out


def test_box_of_one_number_and_of_several(model, tmp_path):
    file = tmp_path / "x.json"
    bounds = []
    for box in ("0.5", ",".join(["0.5"] * 6), "2"):
        assert main([model, "--quiet", "--box", box, "--json", str(file), "--shares", "0.5", "--bits", "5"]) == 0
        bounds.append(json.loads(file.read_text())["pruning"][0]["bound"])
    assert bounds[0] == bounds[1] < bounds[2]


def test_plain_text_where_rich_is_missing(model, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert main([model, "--trials", "2", "--shares", "0.5", "--bits", "8"]) == 0
    printed = capsys.readouterr().out
    assert "\nPath-norms\n----------\n" in printed
    assert max(map(len, printed.splitlines())) < 140


# -- the page -------------------------------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """The tags of a page, checked for balance; links, ids and what is loaded."""

    VOID = frozenset({"meta", "br", "link", "img", "hr"})

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.ids, self.targets, self.loaded = [], [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.note(tag, attributes)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.note(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def note(self, tag, attributes):
        self.seen.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "xlink:href"):
                (self.targets if value.startswith("#") else self.loaded).append(value)
            if name == "src":
                self.loaded.append(value)


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


def test_names_are_escaped(tmp_path):
    graph = pg.to_networkx(pg.from_weights([[[1.0, 2.0], [3.0, 4.0]]]))
    import networkx as nx

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
    found = analyse(CASES["skip"].net, QUICK)
    figures = {item.name for section in document(found) for item in section.items if isinstance(item, Figure)}
    assert set(pictures.pictures(found)) == figures


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


# -- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "an empty file"),
        (b"PK\x03\x04" + bytes(60), "ONNX"),
        (struct.pack("<q", 7) * 20, "ONNX"),
    ],
    ids=["missing", "empty", "torn archive", "bytes"],
)
def test_refused_models_exit_with_1_and_one_line(tmp_path, capsys, content, message):
    path = tmp_path / "model.bin"
    if message == "ONNX":
        pytest.importorskip("onnx")
    if content is not None:
        path.write_bytes(content)
    assert main([str(path)]) == 1
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.startswith("python -m pathgraph: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err


# -- ONNX files -----------------------------------------------------------------------------------------------------


def onnx_file(path, activation="Relu", batch="N", size=6):
    """A convolution, an activation, a max-pool and a linear map."""
    onnx = pytest.importorskip("onnx")
    helper, array = onnx.helper, onnx.numpy_helper.from_array
    rng = np.random.default_rng(0)
    tensors = {"w": (3, 2, 3, 3), "b": (3,), "v": (4, 3 * 3 * 3), "c": (4,)}
    values = [array(rng.normal(size=shape).astype(np.float32), name) for name, shape in tensors.items()]
    extra = {"Clip": ["low", "high"]}.get(activation, [])
    values += [array(np.array(value, dtype=np.float32), name) for name, value in zip(extra, (0, 6), strict=False)]
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["z"], pads=[1, 1, 1, 1], name="conv"),
        helper.make_node(activation, ["z", *extra], ["a"], name="act"),
        helper.make_node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "v", "c"], ["y"], transB=1, name="fc"),
        helper.make_node("Softmax", ["y"], ["s"], name="softmax"),
    ]
    x = helper.make_tensor_value_info("x", 1, [batch, 2, size, size])
    y = helper.make_tensor_value_info("s", 1, [batch, 4])
    graph = helper.make_graph(nodes, "g", [x], [y], values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return str(path)


def test_an_onnx_file_gives_the_figures_of_its_expansion(tmp_path, capsys):
    path, file = onnx_file(tmp_path / "net.onnx"), tmp_path / "x.json"
    assert main([path, "--json", str(file), "--shares", "0.5", "--bits", "6", "--report", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "softmax" in printed.lower()
    found = json.loads(file.read_text())
    net = pg.from_onnx(path).expand()
    assert found["summary"]["resolution"] == "layers"
    assert found["summary"]["n_edges"] == net.architecture.n_edges
    assert found["summary"]["paths"] == str(pg.count_paths(net))
    assert found["summary"]["largest_pool"] == 4
    assert found["norms"][0]["value"] == pytest.approx(pg.path_norm(net.to_float(np.float64)), rel=1e-12)
    plain = analyse(net, QUICK)
    assert found["lipschitz"]["bounds"] == pytest.approx(plain.lipschitz.bounds, rel=1e-12)
    shares = {row["name"]: row["share"] for row in found["scores"]}
    assert shares["w"] + shares["b"] <= 1 + 1e-9
    assert shares["v"] + shares["c"] == pytest.approx(1)
    for one in found["pruning"] + found["precision"]:
        assert one["seen"] <= one["bound"]
    pruned = next(one for one in found["pruning"])
    assert pruned["bound"] == pytest.approx(pg.prune(net.to_float(np.float64), 0.5).certificate.upper, rel=1e-9)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    Page(page)
    assert "conv" in page


def test_flags_of_the_import(tmp_path, capsys):
    open_axes = onnx_file(tmp_path / "open.onnx", size="S")
    assert main([open_axes]) == 1
    assert "input_shape" in capsys.readouterr().err
    assert main([open_axes, "--input-shape", "2,6,6", "--quiet", "--no-certificates", "--trials", "1"]) == 0
    clipped, leaky = onnx_file(tmp_path / "clip.onnx", "Clip"), onnx_file(tmp_path / "leaky.onnx", "LeakyRelu")
    for path, flags in ((clipped, ["--relu6", "exact"]), (clipped, ["--relu6", "relu"]), (leaky, ["--leaky-relu"])):
        assert main([path, "--quiet"]) == 1
        refused = capsys.readouterr().err
        assert refused.count("\n") == 1
        assert "act" in refused
        file = tmp_path / "x.json"
        assert main([path, *flags, "--quiet", "--trials", "1", "--no-certificates", "--json", str(file)]) == 0
        assert json.loads(file.read_text())["summary"]["n_outputs"] == 4


def test_an_archive_that_is_no_network(tmp_path, capsys):
    path = tmp_path / "x.npz"
    np.savez(path, a=np.ones(3))
    assert main([str(path)]) == 1
    assert "not a network that pathgraph.save wrote" in capsys.readouterr().err
    assert main([str(path), "--input-shape", "3"]) == 1
    assert "only ONNX files take it" in capsys.readouterr().err


def test_rationals_beyond_floats(tmp_path, capsys):
    path = tmp_path / "huge.npz"
    pg.save(pg.from_weights([[[10**400]]], dtype=object), path)
    assert main([str(path)]) == 1
    assert "beyond the range of float64" in capsys.readouterr().err
    pg.save(pg.from_weights([[[10**200]], [[10**200]]], dtype=object), path)
    assert main([str(path), "--trials", "0", "--bits", "8"]) == 0
    assert "1.000000000e+400" in capsys.readouterr().out


def test_box_of_a_wrong_size_is_refused(model, capsys):
    assert main([model, "--box", "1,2"]) == 1
    assert "needed one half-width, or 6" in capsys.readouterr().err


def test_report_that_cannot_be_written(model, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([model, "--quiet", "--no-certificates", "--report", str(tmp_path / "file" / "x")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "MODEL"),
        (["x", "--q", "-1"], "numbers >= 0 or inf"),
        (["x", "--q", "nan"], "numbers >= 0 or inf"),
        (["x", "--bits", "1"], "integers from 2 to 32"),
        (["x", "--shares", "2"], "numbers between 0 and 1"),
        (["x", "--box", "-1"], "numbers >= 0"),
        (["x", "--box", "nan"], "numbers >= 0"),
        (["x", "--box", "none.npy"], "needed an array of numbers"),
        (["x", "--formats", "float4"], "bf16, e4m3"),
        (["x", "--input-shape", "3,x"], "as in 3,224,224"),
        (["x", "--samples", "0"], "an integer >= 1"),
        (["x", "--trials", "-1"], "an integer >= 0"),
        (["x", "--json", "/no/such/folder/x.json"], "a folder that exists"),
        (["x", "--frobnicate"], "unrecognized arguments"),
    ],
)
def test_wrong_arguments_exit_with_2(capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_as_a_process(model, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pathgraph", model, "--no-certificates", "--trials", "1"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "Path-norms" in done.stdout
    missing = subprocess.run(
        [sys.executable, "-m", "pathgraph", "missing"], capture_output=True, text=True, check=False, timeout=120
    )
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "Traceback" not in missing.stderr


def test_a_network_of_many_edges_leaves_out_what_its_size_says(tmp_path):
    pytest.importorskip("onnx")
    from tests.bench.resnets import small_resnet

    graph = small_resnet(2)
    graph.to_onnx(tmp_path / "resnet20.onnx")
    figures = tmp_path / "figures.json"
    assert main([str(tmp_path / "resnet20.onnx"), "--quiet", "--report", str(tmp_path), "--json", str(figures)]) == 0
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert found["summary"]["n_edges"] == graph.architecture.n_edges > 20_000_000
    left_out = [one["what"] for one in found["left_out"]]
    assert left_out[1:] == ["product of norms"]
    assert left_out[0].startswith("62 of 64 random inputs")
    (pruned,), rounded = found["pruning"], found["precision"]
    assert len(rounded) == 2
    assert all(0 < one["seen"] <= one["bound"] < math.inf for one in (pruned, *rounded))
    assert "<svg" in (tmp_path / "index.html").read_text(encoding="utf-8")
