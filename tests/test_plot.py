"""Pictures hold what they should: artists are counted, and nothing global changes."""

import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import pathgraph as pg
from tests.layer_graphs import MAKERS, build
from tests.networks import on_networks
from tests.tolerances import gamma

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from matplotlib.figure import Figure  # noqa: E402

NET = pg.from_weights([[[1, -2], [3, 0]], [[1, 1]]], [[0, 5], None])
KS = pg.KSMatrix(np.arange(-8, 8).reshape(2, 2, 2, 2))
CALLS = {
    "draw": lambda ax: pg.plot.draw(NET, paths=2, widths="marginals", inputs=[1, 2], ax=ax),
    "draw_layers": lambda ax: pg.plot.draw_layers(build("residual"), ax=ax),
    "draw_orbit": lambda ax: pg.plot.draw_orbit(NET, ax=ax),
    "compare_bounds": lambda ax: pg.plot.compare_bounds([0, 1, 2], {"bound": [1, 2, 2]}, ax=ax),
    "plot_pruning": lambda ax: pg.plot.plot_pruning({"m": ([0, 1], [1, 0])}, baseline=1, ax=ax),
    "plot_bits": lambda ax: pg.plot.plot_bits({"m": ([4, 5], [1, 0.5])}, ax=ax),
    "plot_scores": lambda ax: pg.plot.plot_scores(NET, ax=ax),
    "plot_path_weights": lambda ax: pg.plot.plot_path_weights(NET, ax=ax),
    "draw_support": lambda ax: pg.plot.draw_support(KS, ax=ax),
    "draw_chain": lambda ax: pg.plot.draw_chain(pg.KSChain([KS]), axes=[ax])[0],
}


def test_every_public_function_is_called_here():
    assert set(CALLS) == set(pg.plot.__all__)


@pytest.mark.parametrize("name", CALLS)
def test_pictures_are_drawn_where_asked_and_change_nothing_else(name):
    before = dict(matplotlib.rcParams)
    ax = Figure().subplots()
    assert CALLS[name](ax) is ax
    ax.figure.canvas.draw()
    assert dict(matplotlib.rcParams) == before
    other = CALLS[name](None) if name != "draw_chain" else pg.plot.draw_chain(pg.KSChain([KS]))[0]
    assert other.figure is not ax.figure


def test_notebooks_show_a_new_figure():
    assert pg.plot.draw(NET).figure._repr_png_().startswith(b"\x89PNG")


def gids(ax):
    return [patch.get_gid() for patch in ax.patches if patch.get_gid()]


@on_networks(lambda case: len(case.net.nodes) <= 120)
def test_networks_of_the_registry(case):
    net = case.net
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = pg.plot.draw(net, paths=1, widths="marginals", labels=True)
        ax.figure.canvas.draw()
    assert gids(ax).count("edge") == net.architecture.n_edges
    assert len(ax.texts) >= 2 * len(net.nodes)
    places = {tuple(patch.get_center()) for patch in ax.patches if hasattr(patch, "get_radius")}
    assert len(places) == len(net.nodes) - len(net.inputs)


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_layer_graphs_of_the_registry(name):
    graph = build(name)
    ax = pg.plot.draw(graph)
    written = " ".join(text.get_text() for text in ax.texts)
    assert all(layer.name[:8] in written for layer in graph.layers)


def test_signs_are_colours_and_widths_are_shares():
    ax = pg.plot.draw(NET, labels=False)
    edges = [patch for patch in ax.patches if patch.get_gid() == "edge"]
    colours = [matplotlib.colors.to_hex(edge.get_edgecolor()) for edge in edges]
    signs = np.sign(NET.values[: len(edges)])
    assert len({colour for colour, sign in zip(colours, signs, strict=True) if sign > 0}) == 1
    assert len(set(colours)) == 3
    widest = int(np.argmax([edge.get_linewidth() for edge in edges]))
    assert widest == int(np.argmax(abs(NET.values[: len(edges)])))
    marginal = pg.plot.draw(NET, widths="marginals", labels=False)
    wide = [patch.get_linewidth() for patch in marginal.patches if patch.get_gid() == "edge"]
    scores = dict(zip(NET.parameters, pg.path_magnitude(NET), strict=True))
    names = [
        (NET.nodes[u], NET.nodes[v])
        for u, v in zip(NET.architecture.antecedent, NET.architecture.target[: len(wide)], strict=True)
    ]
    assert np.argsort(wide, kind="stable").tolist() == np.argsort([scores[n] for n in names], kind="stable").tolist()


def test_chosen_paths():
    ax = pg.plot.draw(NET, paths=[((0, 0), (1, 0), (2, 0)), ((1, 1), (2, 0))])
    assert gids(ax).count("path") == 3
    heaviest = pg.plot.draw(NET, paths=3)
    assert gids(heaviest).count("path") >= 2


def test_large_networks_become_layers():
    net = pg.from_weights([np.ones((40, 30)), np.ones((40, 40)), np.ones((20, 40))])
    written = [text.get_text() for text in pg.plot.draw(net).texts]
    assert any(text.startswith("level 1") for text in written)
    assert len(written) == 8
    assert gids(pg.plot.draw(net, max_nodes=130, labels=False)).count("edge") == net.architecture.n_edges


def test_balanced_and_normalised_points_of_an_orbit():
    ax = pg.plot.draw_orbit(pg.from_weights([[[4, 1]], [[0.5]]]))
    points = {line.get_label(): (line.get_xdata()[0], line.get_ydata()[0]) for line in ax.get_lines()}
    assert points["as given"] == (4, 0.5)
    assert points["normalised"] == (0.8, 2.5)
    x, y = points["balanced"]
    assert x * y == pytest.approx(2, rel=float(gamma(8)), abs=0)  # two exponentials to 1 ulp, three products
    residual = 4096 * np.finfo(float).eps  # with which `balance` is content: of the squares, so of both lengths
    assert np.hypot(x, x / 4) == pytest.approx(y, rel=residual * (1 + residual) + float(gamma(8)), abs=0)


def test_supports_hold_the_values():
    ax = pg.plot.draw_support(KS)
    shown = np.asarray(ax.images[0].get_array().filled(np.nan))
    assert np.array_equal(np.nan_to_num(shown), KS.toarray())
    assert np.isnan(shown).sum() == 64 - KS.nnz
    panels = pg.plot.draw_chain(pg.dft(8), values=True)
    assert len(panels) == len(pg.dft(8).factors)


@pytest.mark.parametrize(
    "net",
    [
        pg.from_weights([[[Fraction(10**400)]], [[Fraction(1, 3)]]], dtype=object),
        pg.from_weights([[[1e300]], [[1e-300]]]),
        pg.from_weights([[[0.0]], [[0.0]]]),
    ],
    ids=["a large fraction", "large and small floats", "zeros"],
)
def test_extreme_values_are_drawn(net):
    pg.plot.draw(net, inputs=[1], paths=1).figure.canvas.draw()
    pg.plot.draw(net, widths="marginals").figure.canvas.draw()
    pg.plot.plot_scores(net).figure.canvas.draw()
    pg.plot.plot_path_weights(net).figure.canvas.draw()


def test_tiny_is_not_zero():
    tiny = Fraction(1, 10**400)
    net = pg.from_weights([[[tiny]], [[-tiny]]])
    edges = [patch for patch in pg.plot.draw(net).patches if patch.get_gid() == "edge"]
    assert len({patch.get_edgecolor() for patch in edges}) == 2
    assert matplotlib.colors.to_hex(edges[0].get_edgecolor()) == "#2c6fbb"
    assert pg.plot.plot_path_weights(net).get_title() == "1 path"


@pytest.mark.parametrize("size", [1e-150, 1e150])
def test_products_beyond_floats_are_spread_on_their_logarithms(size):
    net = pg.from_weights([np.full((60, 60), size)] * 3)
    ax = pg.plot.plot_path_weights(net)
    ax.figure.canvas.draw()
    assert ax.get_xlim()[0] < 3 * np.log10(size) < ax.get_xlim()[1]


def test_symbols_are_no_widths():
    sympy = pytest.importorskip("sympy", reason="sympy is not installed")
    with pytest.raises(pg.UnsupportedOperatorError, match="draw"):
        pg.plot.draw(pg.from_weights([[[sympy.Symbol("a")]]]))


def test_a_bound_below_the_truth_is_seen_below_the_diagonal():
    ax = pg.plot.compare_bounds([1, 2], {"wrong": [0.5, 3]})
    x, y = ax.get_lines()[0].get_data()
    assert (np.asarray(y) < np.asarray(x)).tolist() == [True, False]


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: pg.plot.draw(NET, ax=3), "ax: needed axes"),
        (lambda: pg.plot.compare_bounds([1], [1]), "bounds: needed a mapping"),
        (lambda: pg.plot.draw(NET, widths="size"), "widths: needed"),
        (lambda: pg.plot.draw(NET, paths=0), "paths: needed an integer"),
        (lambda: pg.plot.draw(NET, paths=[("a",)]), "paths: needed tuples of neurons"),
        (lambda: pg.plot.draw(NET, paths=[((0, 0), (2, 0))]), "paths: needed edges"),
        (lambda: pg.plot.draw(NET, inputs=[1, 2, 3]), "net|x"),
        (lambda: pg.plot.draw(build("linear"), paths=1), "paths: needed a network drawn neuron by neuron"),
        (lambda: pg.plot.draw(NET, max_nodes=0), "max_nodes"),
        (lambda: pg.plot.draw_orbit(NET, (2, 0)), "neuron: needed a hidden neuron"),
        (lambda: pg.plot.draw_orbit(NET, (1, 1), weights=(((0, 1), (1, 1)), ((1, 1), (2, 0)))), "not zero"),
        (lambda: pg.plot.draw_orbit(NET, weights=3), "weights: needed two edges"),
        (lambda: pg.plot.draw_orbit(NET, span=1), "span"),
        (lambda: pg.plot.draw_orbit(NET, span=10**400), "span"),
        (lambda: pg.plot.draw_orbit(pg.from_weights([[[5e-324]], [[5e-324]]])), "too large or too small"),
        (lambda: pg.plot.draw(NET, paths=True), "paths: needed"),
        (lambda: pg.plot.draw(NET, paths=1.5), "paths: needed"),
        (lambda: pg.plot.draw(NET, inputs=[[1, 2]]), "inputs: needed one input"),
        (lambda: pg.plot.draw(build("linear"), widths="marginals"), "widths: needed a network"),
        (lambda: pg.plot.compare_bounds([1], {"b": [0]}), "bounds nothing"),
        (lambda: pg.plot.compare_bounds("ab", {"b": [1]}), "truth: needed an array"),
        (lambda: pg.plot.plot_bits({}), "needed some curve"),
        (lambda: pg.plot.plot_bits({"a": ([1], [-1])}), "errors >= 0"),
        (lambda: pg.plot.plot_pruning({"a": ([np.nan], [1])}), "got NaN"),
        (lambda: pg.plot.plot_scores(NET.to_device(pg.gpu.loopback())), "to_host"),
        (lambda: pg.plot.draw_orbit(pg.from_weights([[[1.0]]])), "hidden neuron"),
        (lambda: pg.plot.compare_bounds([-1], {"b": [1]}), "truth: needed numbers >= 0"),
        (lambda: pg.plot.compare_bounds([1], {"b": [1, 2]}), r"bounds\['b'\]: needed shape"),
        (lambda: pg.plot.compare_bounds([0], {"b": [1]}), "needed a positive number"),
        (lambda: pg.plot.plot_pruning({"a": ([0, 2], [1, 1])}), "shares in"),
        (lambda: pg.plot.plot_pruning([1]), "curves: needed a mapping"),
        (lambda: pg.plot.plot_bits({"a": 3}), "needed a pair"),
        (lambda: pg.plot.plot_bits({"a": ([1], [1, 2])}), "two arrays of one length"),
        (lambda: pg.plot.draw_support(np.ones((2, 2))), "needed a KSPattern"),
        (lambda: pg.plot.draw_support(pg.KSPattern(5000, 1, 1, 1)), "at most 4096"),
        (lambda: pg.plot.draw_chain(KS), "needed a KSChain"),
        (lambda: pg.plot.draw_chain(pg.hadamard(4), axes=[Figure().subplots()]), "axes: needed 2"),
    ],
)
def test_refusals(call, match):
    with pytest.raises(pg.PathgraphError, match=match):
        call()


def test_pictures_do_not_need_analyses():
    """Analyses are drawn; what draws them knows nothing of them."""
    folder = Path(pg.__file__).parent / "plot"
    for file in sorted(folder.glob("*.py")):
        assert "pathgraph.analysis" not in file.read_text(encoding="utf-8"), file


def test_many_scores_are_told_apart_and_their_legend_covers_none():
    panel = pg.plot.plot_scores(pg.from_weights([[[2.0, 1.0], [1.0, 3.0]]] * 12))
    panel.figure.canvas.draw()
    looks = {(line.get_color(), line.get_linestyle()) for line in panel.get_lines()}
    assert len(looks) == 12
    assert panel.get_legend().get_window_extent().x0 >= panel.get_window_extent().x1
