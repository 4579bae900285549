"""Compiled products with powers of weights against exact ones: integers have no rounding, so all must be equal."""

import importlib
import os
import threading

import numpy as np
import pytest

import pathgraph as pg
from pathgraph import threads
from pathgraph.layers import masses, power_products, streaming, window_loops
from pathgraph.layers.arithmetic import Floats, Powers
from pathgraph.layers.passes import together
from tests import test_layer_streaming as streams
from tests.processors import VECTORS, run_compiled_for
from tests.tolerances import gamma

pytest.importorskip("numba")
kernels = importlib.import_module("pathgraph.layers.numba_powers")
BLOCK, PANEL, LANES = kernels.BLOCK_COLUMNS, kernels.PANEL, kernels.LANES

SHAPES = [
    (1, PANEL, 1),
    (3, PANEL + 1, LANES),
    (kernels.ROWS, 2 * PANEL - 1, LANES + 1),
    (kernels.BLOCK_ROWS + 1, 3 * PANEL, 3 * LANES),
    (2 * kernels.BLOCK_ROWS - 1, BLOCK + 1, 4 * LANES),
    (5, 2 * BLOCK - 1, 2),
    (kernels.BLOCK_ROWS, 2 * BLOCK + PANEL - 1, 5 * LANES + 1),
    (9, 3 * BLOCK + 7, 7),
]
"""Rows and columns of the weights, and columns to multiply: around the sizes of tiles, panels and blocks."""


@pytest.fixture
def compiled(monkeypatch):
    """Products are compiled for networks of any size, and on as many threads as a test says; all are woken."""

    def choose(n_threads):
        monkeypatch.setattr(power_products, "COMPILED_FROM", 0)
        monkeypatch.setattr(power_products, "WORTH", 0)
        monkeypatch.setattr(threads, "count", lambda: n_threads)

    choose(1)
    return choose


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("q", [1, 2, 4])
@pytest.mark.parametrize(("m", "k", "n"), SHAPES)
def test_products_and_masses(m, k, n, q, n_threads, compiled):
    compiled(n_threads)
    random = np.random.default_rng(m * k)
    for dtype in (np.float32, np.float64):
        w = random.integers(-3, 4, size=(m, k)).astype(dtype)
        x, y = random.integers(0, 4, size=(k, n)).astype(float), random.integers(0, 4, size=(m, n)).astype(float)
        f = np.abs(w.astype(float)) ** q
        weights = Powers([w], q).slabs(0, w.shape)
        assert np.array_equal(power_products.multiplied(weights, x), f @ x)
        assert np.array_equal(power_products.transposed(weights, y), f.T @ y)
        for multiply, product in (
            (power_products.multiplied_with_masses, f @ x),
            (power_products.transposed_with_masses, f.T @ y),
        ):
            room = np.full((m + 2, k), np.nan)  # nothing is written before or behind the entries
            assert np.array_equal(multiply(weights, x, y, room[1:-1]), product)
            assert np.array_equal(room[1:-1], (y @ x.T) * f)
            assert np.isnan(room[[0, -1]]).all()


def test_bits_do_not_depend_on_the_threads_or_on_columns_beside(compiled):
    random = np.random.default_rng(3)
    m, k, n = 70, 2 * BLOCK + 11, 3 * LANES + 2
    w, x, y = random.normal(size=(m, k)), random.random((k, n)), random.random((m, n))
    found = []
    for n_threads in (1, 2, 3, 5):
        compiled(n_threads)
        weights, entries = Powers([w], 1).slabs(0, w.shape), np.empty((m, k))
        there, back = power_products.multiplied(weights, x), power_products.transposed(weights, y)
        assert np.array_equal(power_products.multiplied_with_masses(weights, x, y, entries), there)
        first = entries.copy()
        assert np.array_equal(power_products.transposed_with_masses(weights, x, y, entries), back)
        assert np.array_equal(entries, first)
        assert np.array_equal(power_products.multiplied(weights, x[:, :3].copy()), there[:, :3])
        found.append((there, back, first))
    for other in found[1:]:
        assert all(map(np.array_equal, found[0], other))


def test_first_columns_of_other_arrays(compiled):
    """Where nothing but room lies behind the columns they are not copied; what begins later has less of it."""
    random = np.random.default_rng(4)
    w = random.integers(-3, 4, size=(5, PANEL)).astype(float)
    weights = Powers([w], 1).slabs(0, w.shape)
    wider = random.integers(0, 4, size=(PANEL, 2 * LANES)).astype(float)
    for n in range(LANES + 1, 2 * LANES + 1):
        for first in range(2 * LANES - n + 1):
            columns = wider[:, first : first + n]
            assert np.shares_memory(power_products._padded(columns, 2 * LANES), wider) == (first == 0)
            assert np.array_equal(power_products.multiplied(weights, columns), abs(w) @ columns)


@pytest.mark.parametrize("order", ["C", "F"])
def test_columns_in_any_order(compiled, order):
    random = np.random.default_rng(6)
    w = random.integers(-3, 4, size=(9, PANEL + 1)).astype(float)
    x, y = (np.asarray(random.integers(0, 4, size=(k, 5)).astype(float), order=order) for k in w.shape[::-1])
    for array in (x, y):
        array.flags.writeable = False
    weights, entries = Powers([w], 1).slabs(0, w.shape), np.empty(w.shape)
    assert np.array_equal(power_products.multiplied_with_masses(weights, x, y, entries), abs(w) @ x)
    assert np.array_equal(entries, (y @ x.T) * abs(w))
    assert np.array_equal(power_products.transposed_with_masses(weights, x, y, entries), abs(w).T @ y)
    assert np.array_equal(entries, (y @ x.T) * abs(w))


def test_what_is_not_compiled(compiled):
    w = np.ones((8, PANEL))
    x = np.ones((PANEL, 2))
    assert power_products.multiplied(Powers([w], 1).slabs(0, w.shape), x) is not None
    assert power_products.multiplied(Powers([w], 3).slabs(0, w.shape), x) is None
    assert power_products.multiplied(Powers([w], 0.5).slabs(0, w.shape), x) is None
    assert power_products.multiplied(Powers([w[:, 1:]], 1).slabs(0, (8, PANEL - 1)), x[1:]) is None
    many = np.ones((PANEL, power_products.MOST_COLUMNS + 1))
    assert power_products.multiplied(Powers([w], 1).slabs(0, w.shape), many) is None
    assert power_products.multiplied(lambda *chosen: w[chosen], x) is None


def test_without_numba_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr(power_products, "COMPILED_FROM", 0)
    monkeypatch.setattr(power_products, "is_numba_available", lambda: False)
    w = np.ones((8, PANEL))
    weights = Powers([w], 1).slabs(0, w.shape)
    assert not power_products.is_compiled(weights)
    assert power_products.multiplied(weights, np.ones((PANEL, 2))) is None


def wide():
    """Convolutions wide enough for tiles: padded, strided, dilated, pointwise, transposed, and dense maps."""
    b = streams.Draft(9)
    x = b.relu(b.norm(b.conv(b.input((3, 13, 11)), 12, 3, stride=2, padding=1)))
    x = b.max_pool(x, 3, stride=2, padding=1)
    y = b.relu(b.conv(x, 30, 1))
    y = b.norm(b.conv(y, 12, 3, padding=2, dilation=2, bias=False))
    x = b.relu(b.add([x, y]))
    z = b.transposed_convolution(
        b.relu(b.conv(x, 30, 3, stride=2, padding=1)), b.drawn(30, 12, 3, 3), stride=2, padding=1
    )
    x = b.relu(b.conv(b.concatenate([x, z]) if z.shape[1:] == x.shape[1:] else z, 26, 3, padding=1))
    x = b.relu(b.linear(b.flatten(b.adaptive_average_pool(x, (2, 1))), b.drawn(40, 52), b.drawn(40)))
    return b.build([b.linear(x, b.drawn(5, 40), b.drawn(5))])


GRAPHS = {"wide": wide()} | streams.GRAPHS
ROUNDED = ("wide", *streams.ROUNDED)


def slack_of(name):
    """Of a streamed sum, and one rounding more for the oracle in floats."""
    return float(gamma(streams.roundings(GRAPHS[name]) + 1)) if name in ROUNDED else 0.0


def assert_all_close(found, exact, slack):
    expected = np.array([float(number) for number in exact.ravel()])
    assert found.size == expected.size
    assert (np.abs(found.ravel() - expected) <= slack * expected).all()


def test_the_wide_graph_takes_every_compiled_way(compiled, monkeypatch):
    ways = {
        window_loops: window_loops.__all__,
        power_products: ["multiplied", "transposed", "multiplied_with_masses", "transposed_with_masses"],
    }
    taken = set()

    def noted(name, function):
        def call(*arguments):
            found = function(*arguments)
            taken.update([name] if found is not None else [])
            return found

        return call

    for module, names in ways.items():
        for name in names:
            monkeypatch.setattr(module, name, noted(name, getattr(module, name)))
    graph = GRAPHS["wide"]
    for stop in (0, len(graph.layers) // 2, len(graph.layers)):
        monkeypatch.setattr(streaming, "meeting", lambda architecture, axes, stop=stop: stop)
        pg.path_magnitude(graph)
    assert taken == {name for names in ways.values() for name in names}


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("kind", ["ones", "different"])
@pytest.mark.parametrize("name", GRAPHS)
def test_sums_and_masses_of_graphs(name, kind, n_threads, compiled):
    compiled(n_threads)
    graph, widths = GRAPHS[name], streams.widths_of(GRAPHS[name], kind)
    slack = slack_of(name)
    for q, biases in ((1, True), (2, False)):
        exact, masses = streams.swept(graph, q, widths, biases=biases)
        total, in_range = streaming.power_total(graph, q, widths, biases=biases)
        assert in_range
        assert_all_close(total, np.array([sum(exact)]), slack)
        assert_all_close(streaming.power_sums(graph, q, widths, biases=biases)[0], exact, slack)
        found, in_range = streaming.power_marginals(graph, q, widths, biases=biases, names=graph.roles)
        assert in_range
        for key, mass in found.items():
            assert_all_close(mass, masses[key], slack)


@pytest.mark.parametrize("name", ["wide", "tied"])
def test_compiled_sweeps_may_meet_anywhere(name, compiled, monkeypatch):
    compiled(2)
    graph, widths = GRAPHS[name], streams.widths_of(GRAPHS[name], "ones")
    exact, masses = streams.swept(graph, 1, widths)
    slack = slack_of(name)
    for stop in range(len(graph.layers) + 1):
        monkeypatch.setattr(streaming, "meeting", lambda architecture, axes, stop=stop: stop)
        assert_all_close(streaming.power_total(graph, 1, widths)[0], np.array([sum(exact)]), slack)
        found, in_range = streaming.power_marginals(graph, 1, widths, names=graph.roles)
        assert in_range
        for key, mass in found.items():
            assert_all_close(mass, masses[key], slack)


def test_places_of_an_entry_on_both_sides_are_never_added_up_at_the_same_time(compiled, monkeypatch):
    compiled(2)
    at_once = []
    monkeypatch.setattr(masses, "together", lambda *given: at_once.append(1) or together(*given))
    for name in ("tied", "flat"):
        graph = GRAPHS[name]
        monkeypatch.setattr(streaming, "meeting", lambda architecture, axes: 2)
        streaming.power_marginals(graph, 1, streams.widths_of(graph, "ones"), names=graph.roles)
        assert bool(at_once) == (name == "flat")


def test_tasks_treat_errors_as_their_caller_does():
    entries = Powers([np.ones(1)], 1, n_threads=2)
    for treatment in ("raise", "ignore"):
        with np.errstate(all=treatment):
            found = together(Floats(), entries, [lambda *_: np.geterr()] * 2)
            assert found == [np.geterr()] * 2


def test_norms_and_scores_have_the_same_bits_on_any_number_of_threads(compiled):
    graph = wide()
    random = np.random.default_rng(5)
    graph = graph.with_parameters({name: random.normal(size=t.shape) for name, t in graph.parameters.items()})
    found = []
    for n_threads in (1, 2, 3, 4):
        compiled(n_threads)
        found.append((pg.path_norm(graph), pg.path_norm(graph, q=2), pg.path_magnitude(graph)))
    for norm, square, scores in found[1:]:
        assert (norm, square) == found[0][:2]
        assert all(np.array_equal(scores[name], found[0][2][name]) for name in scores)


def test_ranges_are_watched_by_every_task(compiled):
    compiled(2)
    random = np.random.default_rng(2)
    b = pg.LayerGraphBuilder()
    x = b.input((12, 9, 9))
    for index, scale in enumerate((1e160, 1e-2, 1e160)):
        x = b.relu(b.convolution(x, b.tensor(f"w{index}", scale * random.random((12, 12, 3, 3))), padding=1))
    graph = b.build([x])
    with pytest.raises(pg.PathNormOverflowError):
        pg.path_norm(graph)
    logs = pg.log_path_norm(graph)
    with pytest.raises(pg.RangeError):
        pg.path_magnitude(graph)
    power_products.COMPILED_FROM = 1 << 60
    assert logs == pytest.approx(pg.log_path_norm(graph), rel=float(gamma(streams.roundings(graph))), abs=0)


def test_calls_that_make_calls_do_not_wait_for_each_other(monkeypatch):
    """More calls under way than threads, each of which waits for others."""
    with threads.Pool(1) as pool:
        monkeypatch.setattr(threads, "_pools", {os.getpid(): pool})

        def nested(depth):
            return threads.run([lambda: nested(depth - 1)] * 3) if depth else 1

        done = []
        caller = threading.Thread(target=lambda: done.append(nested(4)), daemon=True)
        caller.start()
        caller.join(60)
        assert np.shape(done) == (1, 3, 3, 3, 3)


OTHER_PROCESSOR = """
from pathgraph import threads
from pathgraph.layers import numba_powers, power_products
from pathgraph.layers.arithmetic import Powers
assert 8 * numba_powers.LANES == WIDTH
power_products.COMPILED_FROM = power_products.WORTH = 0
random, n = np.random.default_rng(0), 9
for n_threads, m, k in product((1, 2, 5), (3, 33), (7 * numba_powers.PANEL + 5, 2 * numba_powers.BLOCK_COLUMNS + 1)):
    threads.count = lambda: n_threads
    w, x, y = (random.integers(-3, 4, shape).astype(float) for shape in ((m, k), (k, n), (m, n)))
    f, weights, entries = abs(w), Powers([w], 1).slabs(0, w.shape), np.empty((m, k))
    assert np.array_equal(power_products.multiplied_with_masses(weights, x, y, entries), f @ x)
    assert np.array_equal(entries, (y @ x.T) * f)
    assert np.array_equal(power_products.transposed_with_masses(weights, x, y, entries), f.T @ y)
    assert np.array_equal(entries, (y @ x.T) * f)
"""


@pytest.mark.parametrize("processor", VECTORS)
def test_the_code_for_other_processors_is_right(tmp_path, processor):
    run_compiled_for(processor, OTHER_PROCESSOR, tmp_path)
