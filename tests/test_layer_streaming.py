"""Streamed sweeps over layer graphs against the sweeps over their edges, exactly and near the ends of the range."""

import math
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.layers import streaming
from pathgraph.layers.partitions import singletons
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.exact import accelerated, restored
from pathgraph.pathsum.scaled import scaled_log
from pathgraph.pathsum.semirings import MAX_TIMES
from pathgraph.pathsum.sweep import back, marginals, sweep
from pathgraph.scalars import object_array
from tests.tolerances import assert_close, float_slack, gamma, logarithm_slack, power_roundings


class Draft(pg.LayerGraphBuilder):
    """A builder that makes up small integers for its weights."""

    def __init__(self, seed=0):
        super().__init__()
        self.random = np.random.default_rng(seed)
        self.count = 0

    def drawn(self, *shape, role="parameter"):
        self.count += 1
        return self.tensor(f"w{self.count}", self.random.integers(-2, 3, size=shape).astype(float), role=role)

    def conv(self, x, channels, kernel, *, bias=True, groups=1, **options):
        n = len(x.shape) - 1
        weight = self.drawn(channels, x.shape[0] // groups, *(kernel,) * n)
        return self.convolution(x, weight, self.drawn(channels) if bias else None, groups=groups, **options)

    def norm(self, x):
        return self.batch_norm(x, self.drawn(x.shape[0], role="frozen"), self.drawn(x.shape[0], role="frozen"))


def residual():
    b = Draft()
    x = b.relu(b.norm(b.conv(b.input((2, 11, 9)), 3, 3, stride=2, padding=1)))
    x = b.max_pool(x, 3, stride=2, padding=1)
    y = b.norm(b.conv(b.relu(b.conv(x, 3, 3, padding=1, bias=False)), 3, 3, padding=1))
    x = b.relu(b.add([x, y]))
    z = b.conv(x, 4, 1, stride=2)
    x = b.add([z, b.conv(x, 4, 3, stride=2, padding=1)], signs=[1, -1])
    x = b.flatten(b.adaptive_average_pool(b.relu(x), 1))
    return b.build([b.linear(x, b.drawn(3, 4), b.drawn(3))])


def flat():
    b = Draft(1)
    x = b.relu(b.conv(b.reshape(b.input((72,)), (2, 6, 6)), 3, 3, padding=1))
    x = b.relu(b.linear(b.flatten(b.max_pool(x, 2)), b.drawn(5, 27), b.drawn(5)))
    return b.build([b.linear(x, b.drawn(2, 5))])


def unet():
    b = Draft(2)
    x = b.relu(b.conv(b.input((1, 8, 8)), 2, 3, padding=1))
    y = b.relu(b.conv(b.max_pool(x, 2), 2, 3, padding=1))
    y = b.transposed_convolution(y, b.drawn(2, 2, 2, 2), b.drawn(2), stride=2)
    z = b.concatenate([x, y, b.nearest(b.max_pool(x, 2, rank=2), 8)])
    z = b.relu(b.conv(z, 2, 3, padding=1, groups=2))
    return b.build([b.conv(z, 1, 1)])


def views():
    b = Draft(3)
    x = b.transpose(b.input((6, 5, 2)), (2, 0, 1))
    x = b.conv(x, 2, 3, padding=((1, 0), (0, 2)))
    left, right = b.take(x, (slice(None), slice(0, 4))), b.take(x, (0, slice(None, None, -1), None))
    right = b.pad(right, [(1, 0), (0, 0), (1, 1)])
    left = b.average_pool(left, 2, stride=1, padding=1, count_include_pad=False)
    top = b.linear(b.relu(left), b.drawn(3, left.shape[-1]), b.drawn(3))
    return b.build([top, b.relu(right), b.bilinear(b.scale(left, b.drawn(1, 1, left.shape[2])), (7, 4))])


def tied():
    b = Draft(4)
    weight = b.drawn(2, 2, 3)
    x = b.input((2, 7))
    for _ in range(3):
        x = b.relu(b.convolution(x, weight, padding=1))
    other = b.input((2, 1), name="other")
    x = b.add([x, other, b.constant(b.drawn(2, 7))])
    return b.build([b.mean(b.shift(x, b.drawn(7)), 1, keep=False)])


def means():
    """Maps along an axis whose positions are equal behind them: totals of them are sums over all."""
    b = Draft(5)
    x = b.relu(b.linear(b.input((5, 3)), b.drawn(4, 3), b.drawn(4)))
    x = b.mean(x, 1, keep=False)
    return b.build([b.linear(x, b.drawn(2, 5), b.drawn(2))])


ROUNDED = ("residual", "views", "tied")
"""Graphs with coefficients that are no dyadic rationals."""

GRAPHS = {make.__name__: make() for make in (residual, flat, unet, views, tied, means)}


def widths_of(graph, kind):
    n = len(graph.dag.inputs)
    if kind == "ones":
        return np.ones(n)
    return np.random.default_rng(5).integers(0, 4, size=n).astype(float)


def swept(graph, q, widths, biases=True):
    """Forward, backward and masses by the blocks' own edges, in rationals."""
    exact = graph.to_exact()
    values = [abs(accelerated(tensor)) ** q for tensor in exact.tensors]
    x, y = (accelerated(np.full((1, graph.dag.size), Fraction(0), dtype=object)) for _ in range(2))
    x[0, graph.dag.inputs] = accelerated(object_array([Fraction(w) ** q for w in widths]))
    x[0, CONSTANT] = accelerated(object_array([Fraction(biases)]))[0]
    y[0, graph.dag.outputs] = accelerated(object_array([Fraction(1)]))[0]
    x = sweep(exact, [(values, None)], x, backend="numpy")
    y = back(exact, [(values, None)], y, backend="numpy")
    masses = marginals(exact, (values, None), x, y, backend="numpy")
    names = graph.architecture.tensor_names
    return restored(x[0, graph.dag.outputs]), {n: restored(m.ravel()) for n, m in zip(names, masses, strict=True)}


def roundings(graph):
    """Of a streamed sum: fan-ins, products and additions of all layers, both ways, and the powers of the entries."""
    fan_in = sum(operation.max_degree + 4 for layer in graph.layers for operation in layer.operations)
    width = max(layer.size for layer in graph.layers)
    return 2 * fan_in + 10 * len(graph.layers) + 2 * width


def assert_all_close(found, exact, slack):
    assert found.size == exact.size
    for ours, theirs in zip(found.ravel().tolist(), exact.ravel(), strict=True):
        assert_close(ours, theirs, slack)


@pytest.mark.parametrize("kind", ["ones", "different"])
@pytest.mark.parametrize("name", GRAPHS)
def test_streamed_sums_are_those_of_the_edges(name, kind):
    graph = GRAPHS[name]
    widths = widths_of(graph, kind)
    slack = gamma(roundings(graph)) if name in ROUNDED else 0
    for q, biases in ((1, True), (2, False)):
        exact, masses = swept(graph, q, widths, biases=biases)
        sums, in_range = streaming.power_sums(graph, q, widths, biases=biases)
        assert in_range
        assert_all_close(sums, exact, slack)
        assert_all_close(streaming.power_total(graph, q, widths, biases=biases)[0], np.array([sum(exact)]), slack)
        found, in_range = streaming.power_marginals(graph, q, widths, biases=biases, names=graph.roles)
        assert in_range
        assert {key: mass.shape for key, mass in found.items()} == {
            key: tensor.shape for key, tensor in graph.entries_by_name.items()
        }
        for key, mass in found.items():
            assert_all_close(mass, masses[key], slack)


@pytest.mark.parametrize("kind", ["ones", "different"])
@pytest.mark.parametrize("name", GRAPHS)
def test_sweeps_may_meet_anywhere(name, kind, monkeypatch):
    graph, widths = GRAPHS[name], widths_of(GRAPHS[name], kind)
    exact, masses = swept(graph, 1, widths)
    slack = gamma(roundings(graph)) if name in ROUNDED else 0
    for stop in range(len(graph.layers) + 1):
        monkeypatch.setattr(streaming, "meeting", lambda architecture, axes, stop=stop: stop)
        assert_all_close(streaming.power_total(graph, 1, widths)[0], np.array([sum(exact)]), slack)
        found, in_range = streaming.power_marginals(graph, 1, widths, names=graph.roles)
        assert in_range
        for key, mass in found.items():
            assert_all_close(mass, masses[key], slack)


@given(pg.testing.layer_graphs(exact=False), st.integers(0, 20))
def test_sweeps_over_drawn_graphs_may_meet_anywhere(graph, place):
    stop, widths = place % (len(graph.layers) + 1), widths_of(graph, "different")
    exact, masses = swept(graph, 1, widths)
    slack = gamma(roundings(graph))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "meeting", lambda architecture, axes: stop)
        total, _ = streaming.power_total(graph, 1, widths)
        found, in_range = streaming.power_marginals(graph, 1, widths, names=graph.roles)
    assert in_range
    assert_all_close(total, np.array([sum(exact)]), slack)
    for key, mass in found.items():
        assert_all_close(mass, masses[key], slack)


@pytest.mark.parametrize("name", GRAPHS)
def test_compression_changes_no_bit(name, monkeypatch):
    """Floats of full precision: equal rows give equal sums, so computing one of them for all is the same."""
    graph = GRAPHS[name]
    random = np.random.default_rng(7)
    graph = graph.with_parameters({key: random.normal(size=t.shape) for key, t in graph.parameters.items()})
    widths = np.ones(len(graph.dag.inputs))
    sums = streaming.power_sums(graph, 1, widths)[0]
    monkeypatch.setattr(streaming, "compress", lambda tensor: tensor)
    assert_all_close(streaming.power_sums(graph, 1, widths)[0], sums, 2 * gamma(roundings(graph)))


@pytest.mark.parametrize("name", GRAPHS)
def test_the_largest_path_is_that_of_the_edges(name):
    graph = GRAPHS[name]
    widths = widths_of(graph, "different")
    x = np.zeros((1, graph.dag.size))
    x[0, graph.dag.inputs], x[0, CONSTANT] = widths, 1
    values = [np.abs(tensor) for tensor in graph.tensors]
    exact = sweep(graph, [(values, None)], x, ring=MAX_TIMES, backend="reference").astype(float)
    sums, in_range = streaming.power_sums(graph, math.inf, widths)
    assert in_range
    np.testing.assert_allclose(sums, exact[0, graph.dag.outputs], rtol=float(gamma(4 * len(graph.layers))))


@pytest.mark.parametrize("name", GRAPHS)
def test_evaluation_is_that_of_the_edges(name):
    graph = GRAPHS[name]
    random = np.random.default_rng(3)
    x = [random.integers(-3, 4, size=(3, *shape)) for shape in graph.input_shapes.values()]
    exact = graph.to_exact()(*(part.astype(object) for part in x))
    found = graph(*(part.astype(float) for part in x))
    alone = graph(*(part[1:2].astype(float) for part in x))
    nothing = graph(*(part[:0].astype(float) for part in x))
    assert all(len(y) == 0 for y in (nothing if isinstance(nothing, tuple) else (nothing,)))
    single = graph.to_float(np.float32)(*(part.astype(np.float32) for part in x))
    tuples = [y if isinstance(y, tuple) else (y,) for y in (exact, found, alone, single)]
    slacks = float_slack(graph, *x, dtype=np.float64)
    for theirs, ours, one, less, slack in zip(*tuples, slacks, strict=True):
        assert ours.shape == theirs.shape
        assert less.dtype == np.float32
        if name not in ROUNDED:
            assert np.array_equal(ours, theirs.astype(float))
            assert np.array_equal(one, ours[1:2])
            assert np.array_equal(less, ours)
        else:
            assert (np.abs(ours - theirs.astype(float)) <= slack).all()


# -- the range of floats --------------------------------------------------------------------------------------------


def chain(values, size=5, padding=1):
    """Convolutions along one axis, with a skip around every second, and a bias in the last."""
    b = pg.LayerGraphBuilder()
    x = b.input((2, size))
    for index, weight in enumerate(values):
        y = b.relu(b.convolution(x, b.tensor(f"w{index}", weight), padding=padding, name=f"c{index}"))
        x = b.add([x, y]) if index % 2 else y
    x = b.linear(b.flatten(b.mean(x, 1, keep=False)), b.tensor("last", np.ones((1, 2))), b.tensor("bias", np.ones(1)))
    return b.build([x])


def exact_logs(graph, q, widths):
    exact, masses = swept(graph, q, widths)
    return [float(log_of(v)) for v in exact], {k: np.array([log_of(v) for v in m]) for k, m in masses.items()}


def log_of(value):
    """Of a number m 2**e with m near 1: the logarithms of neither part are large against the result."""
    if not value:
        return -math.inf
    e = value.numerator.bit_length() - value.denominator.bit_length()
    return math.log(value / Fraction(2) ** e) + e * math.log(2)


def assert_logs_close(found, logs, roundings):
    for ours, theirs in zip(scaled_log(found).ravel().tolist(), np.ravel(logs).tolist(), strict=True):
        assert ours == theirs or abs(ours - theirs) <= logarithm_slack(theirs, roundings)


@pytest.mark.parametrize("scale", [1e150, 1e-150, 1.0])
@pytest.mark.parametrize("q", [1, 3])
def test_sums_beyond_the_range_of_floats_are_scaled_numbers(q, scale):
    random = np.random.default_rng(0)
    spread = 10.0 ** random.integers(-150, 150, size=(6, 2, 2, 3)) if scale == 1.0 else scale
    graph = chain(random.integers(1, 4, size=(6, 2, 2, 3)) * spread)
    widths = np.ones(10)
    widths[3] = 1e-200
    sums, masses = exact_logs(graph, q, widths)
    count = roundings(graph) + power_roundings(1, 3) * (len(graph.layers) + 1)  # of each entry of a path, and its width
    found, in_range = streaming.power_sums(graph, q, widths)
    assert not in_range
    assert_logs_close(found, sums, count)
    total, in_range = streaming.power_total(graph, q, widths)
    assert not in_range
    assert_logs_close(total, sums, count)
    found, in_range = streaming.power_marginals(graph, q, widths, names=graph.roles)
    assert not in_range
    for key, mass in found.items():
        assert_logs_close(mass, masses[key], count)


def test_the_largest_path_beyond_the_range_is_a_scaled_number():
    graph = chain(np.full((6, 2, 2, 3), 1e100))
    found, in_range = streaming.power_sums(graph, math.inf, np.ones(10))
    assert not in_range
    # along every path 1e100 per convolution, which is a float up to a rounding, then 1 / 5
    assert_logs_close(found, [600 * math.log(10) - math.log(5)], roundings(graph) + 6)


def test_a_thousand_layers_neither_overflow_nor_vanish():
    for value in (1e3, 1e-3):
        graph = chain(np.full((1000, 2, 2, 1), value), size=3, padding=0)
        found, in_range = streaming.power_sums(graph, 1, np.ones(6), biases=False)
        assert not in_range
        # the first of two layers multiplies by 2 value, the second by 1 + 2 value; two channels are summed
        log = 500 * (math.log(2 * value) + math.log1p(2 * value)) + math.log(2)
        assert_logs_close(found, [log], roundings(graph))
    masses, in_range = streaming.power_marginals(graph, 1, np.ones(6), biases=False)
    assert not in_range
    assert_logs_close(masses["w0"], [log - math.log(4)] * masses["w0"].size, roundings(graph))


def test_single_precision_is_accumulated_in_double():
    graph = GRAPHS["residual"]
    random = np.random.default_rng(1)
    single = graph.to_float(np.float32).with_parameters(
        {key: random.normal(size=t.shape).astype(np.float32) for key, t in graph.parameters.items()}
    )
    widths = widths_of(graph, "ones")
    double = single.to_float(np.float64)
    assert np.array_equal(*(streaming.power_sums(g, 2, widths)[0] for g in (single, double)))
    for ours, theirs in zip(
        *(streaming.power_marginals(g, 1, widths)[0].values() for g in (single, double)), strict=True
    ):
        assert ours.dtype == np.float64
        assert np.array_equal(ours, theirs)


def test_signals_without_axes():
    b = pg.LayerGraphBuilder()
    x = b.scale(b.input(()), b.tensor("factor", np.array(-3.0)))
    graph = b.build([b.shift(b.relu(x), b.tensor("offset", np.array(2.0)))])
    assert streaming.power_total(graph, 1, np.array([5.0]))[0].tolist() == [17.0]
    masses, in_range = streaming.power_marginals(graph, 1, np.array([5.0]))
    assert in_range
    assert {name: mass.tolist() for name, mass in masses.items()} == {"factor": 15.0, "offset": 2.0}
    assert graph(np.array([-1.0, 1.0])).tolist() == [5.0, 2.0]


def test_overflow_in_an_evaluation_is_an_error():
    graph = chain(np.full((6, 2, 2, 3), 1e100))
    with pytest.raises(pg.RangeError, match="leaves the range"):
        graph(np.ones((1, 2, 5)))


def test_of_cuts_that_cost_the_same_the_one_in_the_middle_is_taken():
    b = pg.LayerGraphBuilder()
    x = b.input((6,))
    for index in range(8):
        x = b.linear(x, b.tensor(f"w{index}", np.ones((6, 6))))
    graph = b.build([x])
    stop = streaming.meeting(graph.architecture, (tuple(map(singletons, (6,))),))
    assert [layer.activation for layer in graph.architecture.layers[:stop]] == ["input", *["identity"] * 4]


def of_many_parameters():
    b = pg.LayerGraphBuilder()
    random = np.random.default_rng(0)
    x = b.input((3, 32, 32))
    for index, channels in enumerate((16, 64, 128)):
        weight = b.tensor(f"conv{index}", random.normal(size=(channels, x.shape[0], 3, 3)))
        x = b.relu(b.convolution(x, weight, stride=2, padding=1))
    x = b.linear(b.flatten(x), b.tensor("fc1", random.normal(size=(1024, 2048))))
    return b.build([b.linear(b.relu(x), b.tensor("fc2", random.normal(size=(10, 1024))))])


def peak_of(function):
    function()
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["ones", "different"])
def test_norm_and_scores_need_little_more_memory_than_the_parameters(kind):
    graph = of_many_parameters()
    widths = np.ones(3072) if kind == "ones" else np.random.default_rng(1).random(3072)
    parameters = sum(tensor.nbytes for tensor in graph.tensors)
    activations = sorted(8 * layer.size for layer in graph.layers)
    norm = peak_of(lambda: streaming.power_total(graph, 1, widths))
    assert norm <= 0.5 * parameters + sum(activations[-2:])
    scores = peak_of(lambda: pg.path_magnitude(graph, inputs=widths.reshape(3, 32, 32)))
    assert scores <= 1.5 * parameters  # there is one for each
