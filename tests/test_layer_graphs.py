"""Layer graphs beyond the registry: expansion, reports, arguments, errors, and networks that floats cannot hold."""

import gc
import pickle
import tracemalloc
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest

import pathgraph as pg
from pathgraph.graph.array_names import ArrayNames, TiedEntries
from pathgraph.pathsum.reach import longest
from pathgraph.pathsum.residues import count_by_residues
from tests.layer_graphs import MAKERS, build, moved
from tests.oracles import Oracle, logarithm
from tests.tolerances import assert_close, bits, exponential_roundings, gamma, power_roundings, roundings

# -- expansion ----------------------------------------------------------------------------------------------------


def test_an_expansion_is_written_out():
    b = pg.LayerGraphBuilder()
    x = b.convolution(
        b.input((1, 3), name="x"), b.tensor("w", [[[2, 0]]]), b.tensor("b", [5]), padding=((1, 0),), name="y"
    )
    x = b.batch_norm(x, b.tensor("scale", [3], role="frozen"), b.tensor("shift", [4], role="frozen"), name="n")
    graph = b.build([b.max_pool(b.relu(x), 2, stride=1, name="p")])
    net = graph.expand()
    expected = nx.DiGraph()
    for i in range(3):
        expected.add_node(("x", 0, i), activation="input")
    for i in range(3):
        expected.add_node(("y", 0, i), activation="identity", bias=5.0, bias_parameter=("b", 0))
    for i in range(3):
        expected.add_node(("n", 0, i), activation="relu", bias=4.0, bias_role="frozen")
    for i in range(2):
        expected.add_node(("p", 0, i), activation="pool")
    for i in range(2):
        expected.add_node(("output", 0, i), activation="identity", output=True)
    for i in range(3):
        if i:  # the padding is no neuron
            expected.add_edge(("x", 0, i - 1), ("y", 0, i), weight=2.0, parameter=("w", 0, 0, 0))
        expected.add_edge(("x", 0, i), ("y", 0, i), weight=0.0, parameter=("w", 0, 0, 1))
        expected.add_edge(("y", 0, i), ("n", 0, i), weight=3.0, role="frozen")
    for i in range(2):
        expected.add_edge(("p", 0, i), ("output", 0, i), weight=1.0, role="structural")
        for k in (0, 1):
            expected.add_edge(("n", 0, i + k), ("p", 0, i), weight=1.0, role="structural")
    assert net == pg.from_networkx(expected)
    assert pg.from_networkx(pg.to_networkx(net)) == net
    assert pg.from_arrays(**pg.to_arrays(net)) == net
    assert list(net.parameters) == list(pg.from_networkx(expected).parameters)


@pytest.mark.parametrize("name", MAKERS)
def test_expansions_are_ordinary_networks(name, tmp_path):
    net = build(name).expand()
    again = pg.from_networkx(pg.to_networkx(net))
    assert again.nodes == net.nodes
    assert list(again.parameters) == list(net.parameters)
    assert (again.values == net.values).all()
    pg.save(net, tmp_path / "net.npz")
    assert pg.load(tmp_path / "net.npz").theta.tolist() == net.theta.tolist()
    x = [Fraction(i % 3) for i in range(len(net.inputs))]
    assert (pg.minimize(net)(x) == net(x)).all()


def test_expansions_are_guarded():
    graph = build("inception")
    with pytest.raises(pg.ParameterError, match=r"160 edges .* more than max_edges=159"):
        graph.expand(max_edges=159)
    assert graph.expand(max_edges=160).architecture.n_edges == 160
    with pytest.raises(pg.ParameterError, match="max_edges: needed an integer"):
        graph.expand(max_edges="160")
    for parameters in ([], None):
        with pytest.raises(pg.ParameterError, match="parameters: needed a mapping"):
            graph.with_parameters(parameters)


def test_expansions_are_arrays():
    b, rng = pg.LayerGraphBuilder(), np.random.default_rng(0)
    x = b.input((8, 16, 16))
    for i in range(2):
        y = b.relu(b.convolution(x, b.tensor(f"w{i}", rng.standard_normal((8, 8, 3, 3))), padding=1))
        x = b.add([x, y])
    graph = b.build([b.linear(b.flatten(b.max_pool(x, 2)), b.tensor("last", rng.standard_normal((5, 512))))])
    tracemalloc.start()
    net = graph.expand()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert net.architecture.n_edges == graph.architecture.n_edges > 250_000
    assert peak < 70 * net.architecture.n_edges + 2**25  # two copies of what an edge has; 1 << 20 edges at a time
    assert len(net.parameters) == len(graph.theta)
    fan_ins = [8 * 9, 2, 8 * 9, 2, 4, 512, 5]  # of two convolutions, their sums with skips, the pool, the end, outputs
    for q, power, root in ((1, 0, 0), (2, power_roundings(0, 2), power_roundings(bits([pg.path_norm(net)]), 1 / 2))):
        slack = 2 * gamma(sum(n + 1 + power for n in fan_ins) + root)  # two orders of the sum
        assert pg.path_norm(net, q) == pytest.approx(pg.path_norm(graph, q), rel=float(slack), abs=0)
    slack = 2 * gamma(len(fan_ins))  # products alone
    assert pg.path_norm(net, np.inf) == pytest.approx(pg.path_norm(graph, np.inf), rel=float(slack), abs=0)


@pytest.mark.parametrize(
    "function",
    [
        pg.path_lifting,
        lambda g: pg.path_activations(g, [0]),
        lambda g: pg.find_rescaling(g, g),
        pg.conserved_quantities,
        pg.normalize,
        pg.generic_rank,
        pg.minimize,
        pg.to_networkx,
        lambda g: pg.save(g, "unused.npz"),
        lambda g: pg.prune(g, 1).minimize(),
    ],
)
def test_what_needs_neurons_names_the_expansion(function):
    graph = build("residual")
    with pytest.raises(pg.ParameterError, match=r"\.expand\(\) makes one, of 14 neurons and 30 edges"):
        function(graph)


def test_what_cannot_be_saved_can_be_written_as_onnx():
    with pytest.raises(pg.ParameterError, match=r"net\.to_onnx\(path\) writes the layers"):
        pg.save(build("residual"), "unused.npz")


# -- names and ties as arrays -------------------------------------------------------------------------------------


def test_names_of_arrays():
    names = ArrayNames(["a", "b"], [(2, 2), ()])
    assert list(names) == [("a", 0, 0), ("a", 0, 1), ("a", 1, 0), ("a", 1, 1), ("b",)]
    assert names == tuple(names)
    assert [names.index(name) for name in names] == list(range(5))
    assert names[-1] == ("b",)
    assert names[1:3] == (("a", 0, 1), ("a", 1, 0))
    some = names.reordered(np.array([4, 0]))
    assert list(some) == [("b",), ("a", 0, 0)]
    assert some.index(("a", 0, 0)) == 1
    for unknown in (("a", 2, 0), ("a", 0), ("c",), "a", ("a", -1, 0), 0, ("a", 0, 0.5)):
        assert unknown not in names
        with pytest.raises(ValueError, match="not one of these names"):
            names.index(unknown)
    assert ("a", 1, 1) not in some


def test_ties_as_an_array_are_a_mapping():
    ties = TiedEntries(np.array([1, -1, 1, 0]), ["x", "y", "unused"])
    assert dict(ties) == {0: "y", 2: "y", 3: "x"} == ties
    assert (len(ties), ties.n_used) == (3, 2)
    assert 1 not in ties
    with pytest.raises(KeyError):
        ties[1]


@pytest.mark.parametrize("name", MAKERS)
def test_ties_as_an_array_are_ties(name):
    architecture = build(name).expand().architecture
    plain = pg.from_networkx(pg.to_networkx(build(name).expand())).architecture
    assert isinstance(architecture.ties, TiedEntries)
    assert architecture == plain
    assert architecture.n_parameters == plain.n_parameters
    assert architecture.is_tied == plain.is_tied
    assert (architecture.parameter == plain.parameter).all()
    assert (architecture.first_entry == plain.first_entry).all()


# -- counts and reports -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKERS)
def test_reports_count_the_expansion(name):
    graph, net = build(name), build(name).expand()
    report, oracle = graph.report, Oracle(pg.to_networkx(net))
    paths = oracle.paths()
    pools = [v for path in paths for v in path if oracle.kind[v] == "pool"]
    assert report.n_paths == len(paths)
    assert report.n_neurons == len(net.nodes) == sum(row.n_neurons for row in report.layers)
    assert report.n_edges == net.architecture.n_edges == sum(row.n_edges for row in report.layers)
    assert report.n_biases == len(net.architecture.biased)
    assert report.n_parameters == len(graph.theta) == sum(row.n_parameters for row in report.layers)
    assert report.n_frozen + report.n_structural == len(graph.values) - len(graph.theta)
    assert report.depth == max(len(path) - 1 for path in paths)
    assert report.collapsed_depth == 1 + max(sum(oracle.kind[v] in ("relu", "pool") for v in path) for path in paths)
    assert report.pool_size == max((oracle.graph.in_degree(v) for v in pools), default=1)
    assert report.pool_types == len({(oracle.graph.nodes[v].get("rank", 1), oracle.graph.in_degree(v)) for v in pools})
    assert str(report).count("\n") >= len(graph.layers) + 3
    assert sum(report.kinds.values()) == len(graph.layers)


def test_counts_of_any_size():
    b = pg.LayerGraphBuilder()
    x = b.input((10,))
    for i in range(100):
        x = b.linear(x, b.tensor(f"w{i}", np.zeros((10, 10))))
    graph = b.build([x])
    assert pg.count_paths(graph) == 10**101
    assert "1e101 paths" in repr(graph.report)
    assert pg.depth(graph) == 100


def test_lengths_count_what_is_asked():
    graph = build("residual")
    ones = graph.architecture.cut(np.ones(graph.architecture.n_entries))
    assert longest(graph.dag, ones, np.zeros(graph.dag.size, dtype=int))[graph.dag.outputs].tolist() == [0, 0]
    assert sum(count_by_residues(graph.dag, ones)) == pg.count_paths(graph, backend="reference")


# -- arguments ----------------------------------------------------------------------------------------------------


def test_boxes_of_inputs():
    graph = build("inception", np.float64)
    widths = np.arange(9.0).reshape(1, 3, 3)
    net = graph.expand()
    slack = 2 * gamma(roundings(Oracle(pg.to_networkx(net))) + len(net.outputs))  # two orders of the sum
    flat = pg.path_norm(net, inputs=widths.ravel())
    assert flat == pytest.approx(pg.path_norm(graph, inputs=widths), rel=float(slack), abs=0)
    assert pg.path_norm(graph, inputs={"input": widths}) == pg.path_norm(graph, inputs=widths)
    assert pg.path_norm(graph, inputs=widths.tolist()) == pg.path_norm(graph, inputs=widths)
    assert pg.path_norm(graph, inputs=2) == pg.path_norm(graph, inputs=np.full((1, 3, 3), 2))
    for wrong, message in [
        (np.ones(9), r"'input' needs a number or an array of shape \(1, 3, 3\), got \(9,\)"),
        ({"x": 1}, "'x' is no input of the network; its inputs are 'input'"),
        ({"input": np.ones((3, 3))}, r"shape \(1, 3, 3\), got \(3, 3\)"),
        (-widths, r"the width of \('input', 0, 0, 1\) must be >= 0"),
        (np.full((1, 3, 3), np.nan), r"\('input', 0, 0, 0\)"),
    ]:
        with pytest.raises(pg.ParameterError, match=message):
            pg.path_norm(graph, inputs=wrong)
    several = build("several_ends", np.float64)
    pair = [np.array([1.0, 2.0]), np.array([[0.0, 3.0]])]
    assert pg.path_norm(several, inputs=pair) == pg.path_norm(several, inputs={"x": pair[0], "y": pair[1]})
    assert pg.path_norm(several, inputs={"x": 0}) == pg.path_norm(several, inputs=[0, 1])
    with pytest.raises(pg.ParameterError, match="needed 2 arrays, one per input, got 3"):
        pg.path_norm(several, inputs=[1, 2, 3])


def test_parameters_by_name():
    graph = build("residual", np.float64)
    shapes = {name: array.shape for name, array in graph.parameters.items()}
    assert {name: array.shape for name, array in pg.path_magnitude(graph).items()} == shapes
    rho = {"a": np.full((3, 3), 0.5), "ab": 1}
    spread = graph.architecture.aligned(rho, "rho", 0)
    assert pg.perturbation_bound(graph, rho) == pg.perturbation_bound(graph, spread.tolist())
    result = pg.prune(graph, 0.5, biases=True)
    assert {name: mask.shape for name, mask in result.mask.items()} == shapes
    assert all((result.net.parameters[name][~mask] == 0).all() for name, mask in result.mask.items())
    assert next(iter(result.removed))[0] in shapes
    assert "in scope remain" in repr(result)
    for call, message in [
        (lambda: pg.set_magnitude(graph, ["b"]), "'b' is no parameter of the network"),
        (lambda: pg.set_magnitude(graph, [("a", 3, 0)]), r"\('a', 3, 0\) is no parameter"),
        (lambda: pg.set_magnitude(graph, {"a": [True]}), "'a' needs a mask"),
        (lambda: pg.set_magnitude(graph, {"a": np.ones(3, dtype=bool)}), r"'a' needs a number or shape \(3, 3\)"),
        (lambda: pg.set_magnitude(graph, "a"), "collection of names"),
        (lambda: pg.set_magnitude(graph, np.ones(3, dtype=bool)), "needed a mask of shape"),
        (lambda: pg.perturbation_bound(graph, {"x": 1}), "'x' is no parameter"),
        (lambda: pg.perturbation_bound(graph, {"a": -1}), r"rho: the value of \('a', 0, 0\) must be >= 0"),
        (lambda: pg.importance_scores(graph, "snip", gradient={"a": 1}), "needed an array for every parameter"),
        (lambda: pg.path_sum(graph, source="a"), "no neuron 'a'"),
        (lambda: pg.path_sum(graph, source=("input", 3)), r"no neuron \('input', 3\)"),
        (lambda: pg.path_sum(graph, pg.semirings.LOG, inputs=[1]), r"shape \(3,\)"),
        (lambda: pg.path_metric(graph, build("linear", np.float64)), "same architecture"),
        (lambda: pg.path_metric(graph, graph.expand()), "same architecture"),
        (lambda: pg.path_metric(graph, graph.to_exact()), "same scalars"),
        (lambda: graph.with_theta([1.0]), "theta: needed shape"),
        (lambda: graph.with_values([1.0]), "values: needed shape"),
    ]:
        with pytest.raises((pg.ParameterError, pg.GraphError), match=message):
            call()


# -- rescaling ----------------------------------------------------------------------------------------------------


def test_rescaling_by_channels():
    graph = build("convolution_2d")
    layer = graph.layers[1].name
    twice = pg.rescale(graph, {(layer, 0): 2})
    assert (twice.parameters["w"][0] == 2 * graph.parameters["w"][0]).all()
    assert (twice.parameters["w"][1:] == graph.parameters["w"][1:]).all()
    assert twice.parameters["b"][0] == 2 * graph.parameters["b"][0]
    assert (twice.parameters["v"][:, 0] * 2 == graph.parameters["v"][:, 0]).all()
    assert pg.rescale(graph, {layer: 3}) == pg.rescale(graph, {(layer, c): 3 for c in range(4)})
    for factors, error, message in [
        ({(layer, 0, 0, 0): 2}, pg.RescalingError, "needs one factor at all places"),
        ({(layer, 0): -1}, pg.RescalingError, "needed a positive factor"),
        ({(layer, 0): 0}, pg.RescalingError, "needed a positive factor"),
        ({("input", 0): 2}, pg.RescalingError, "is an input or an output"),
        ({("input", 0): 10**5000}, pg.RescalingError, "is an input or an output.*got ~1e5000"),
        ({(layer, 0): -(10**5000)}, pg.RescalingError, "needed a positive factor, got ~-1e5000"),
        ({(layer, 4): 2}, pg.GraphError, "is no channel of a layer of shape"),
        ({"nothing": 2}, pg.GraphError, "is no channel"),
        ({(layer, 0): 0.5}, pg.ParameterError, "factors"),
        ([2], pg.ParameterError, "needed a mapping"),
    ]:
        with pytest.raises(error, match=message):
            pg.rescale(graph, factors)
    pooled = build("max_pool")
    with pytest.raises(pg.RescalingError, match="is structural and cannot change"):
        pg.rescale(pooled, {pooled.layers[1].name: 2})
    with pytest.raises(pg.ParameterError, match="leaves the range of floats, got ~1e5000"):
        pg.rescale(build("convolution_2d", np.float64), {(layer, 0): 10**5000})
    floats = build("linear", np.float64)
    with pytest.raises(pg.RangeError, match="leaves the range"):
        pg.rescale(floats, {floats.layers[1].name: 1e308})
    with pytest.raises(pg.RangeError, match="would leave the range"):
        pg.rescale(floats.with_theta(floats.theta * 2.0**-900), {floats.layers[1].name: 2.0**900})


@pytest.mark.parametrize("power", [-600, 600])
def test_rescaling_never_makes_a_zero_of_a_quotient_beyond_floats(power):
    """The factor of the entry in the middle is 2**(2 * power); times 1e300 the small one is in the range again."""
    build = pg.LayerGraphBuilder()
    x = build.input((1,))
    for k, weight in enumerate([1.0, 1e300, 1.0]):
        x = build.linear(x, build.tensor(f"w{k}", np.array([[weight]])), name=f"map{k}")
    graph = build.build([x])
    with pytest.raises(pg.RangeError, match=r"the quotient of those of the entry \(0, 0\) of 'w1' leaves"):
        pg.rescale(graph, {"map0": 2.0**-power, "map1": 2.0**power})


def test_rescaling_negatively():
    graph = build("batch_norm")
    name = next(layer.name for layer in graph.layers if layer.kind == "convolution")
    other = pg.rescale(graph, {(name, 0): -2})
    x = np.array([Fraction(i % 4 - 1) for i in range(9)], dtype=object).reshape(1, 1, 3, 3)
    assert (other(x) == graph(x)).all()
    assert other.entries_by_name["scale"][0] == graph.entries_by_name["scale"][0] / -2


# -- beyond the range of floats -----------------------------------------------------------------------------------


def deep_resnet(blocks, size, dtype, gain):
    """Bottleneck blocks as in a ResNet-152, on a few channels."""
    b, rng = pg.LayerGraphBuilder(), np.random.default_rng(0)

    def convolution(x, name, channels, k):
        w = gain * rng.integers(1, 4, (channels, x.shape[0], k, k))
        x = b.convolution(x, b.tensor(name, w.astype(dtype)), padding=k // 2)
        scale, shift = (
            b.tensor(f"{name}.{s}", np.full(channels, v, dtype=dtype), role="frozen") for s, v in (("s", 2), ("h", 1))
        )
        return b.batch_norm(x, scale, shift)

    x = b.input((1, size, size))
    x = b.relu(convolution(x, "stem", 2, 3))
    for i in range(blocks):
        y = b.relu(convolution(x, f"{i}.a", 1, 1))
        y = b.relu(convolution(y, f"{i}.b", 1, 3))
        x = b.relu(b.add([convolution(y, f"{i}.c", 2, 1), x]))
    return b.build([b.linear(b.flatten(b.adaptive_average_pool(x, 1)), b.tensor("fc", np.ones((2, 2), dtype=dtype)))])


def log_slack(steps, right):
    """Of the logarithm of a sum: its relative error, and the roundings of the logarithm."""
    return gamma(steps + exponential_roundings(float(logarithm(right))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norms_that_floats_just_hold(dtype):
    graph = deep_resnet(50, 2, dtype, 8)  # 151 convolutions
    right = pg.path_norm(graph.to_exact())
    assert right > 10**200
    # 151 convolutions of at most 2 x 9 entries, batch-norms behind them, 50 skips, the pool, the end, and its outputs
    steps = 151 * (19 + 2) + 50 * 3 + 65 + 3 + 3
    assert_close(pg.path_norm(graph), right, gamma(steps))
    assert abs(Fraction(pg.log_path_norm(graph)) - Fraction(logarithm(right))) <= log_slack(steps, right)
    with pytest.raises(pg.PathNormOverflowError, match="log_path_norm"):
        pg.path_norm(graph, dtype=np.float32)


@pytest.mark.parametrize("gain", [2.0**-40, 2.0**40])
def test_norms_that_no_float_holds(gain):
    b, rng = pg.LayerGraphBuilder(), np.random.default_rng(0)
    weights = [gain * rng.integers(1, 4, (2, 2)) * rng.choice([-1, 1], (2, 2)) for _ in range(1000)]
    x = b.input((2,))
    for i, w in enumerate(weights):
        x = b.relu(b.linear(x, b.tensor(f"w{i}", w)))
    graph = b.build([b.linear(x, b.tensor("last", [[1.0, 1.0]]))])
    before = [[Fraction(1)] * 2]  # the sums of absolute path products up to each layer, and behind it
    for w in weights:
        before.append([sum(abs(Fraction(e)) * m for e, m in zip(row, before[-1], strict=True)) for row in w])
    right = sum(before[-1])
    assert abs(Fraction(pg.log_path_norm(graph)) - Fraction(logarithm(right))) <= log_slack(1001 * 3, right)
    assert pg.path_norm(graph.to_exact()) == right
    assert pg.depth(graph) == 1001
    if gain > 1:
        with pytest.raises(pg.PathNormOverflowError):
            pg.path_norm(graph)
        with pytest.raises(pg.RangeError):
            pg.path_magnitude(graph)
    else:
        assert pg.path_norm(graph) == float(right) == 0


def test_float32_is_not_wrong_in_silence():
    b = pg.LayerGraphBuilder()
    x = b.input((1,))
    for i in range(4):
        x = b.linear(x, b.tensor(f"w{i}", np.array([[1e30]], dtype=np.float32)))
    graph = b.build([x])
    exact = pytest.approx(float(Fraction(float(np.float32(1e30))) ** 4), rel=float(gamma(8)), abs=0)
    assert pg.path_norm(graph) == exact
    assert pg.path_magnitude(graph)["w0"][0, 0] == exact
    with pytest.raises(pg.RangeError):
        graph(np.ones((1, 1), dtype=np.float32))


def test_generalisation_of_layer_graphs():
    graph = build("convolution_1d", np.float64)
    rng = np.random.default_rng(0)
    data, labels = rng.standard_normal((20, 2, 7)), None
    flat = pg.generalization_bound(graph.expand(), data=data.reshape(20, -1), labels=labels)
    count = (
        roundings(Oracle(pg.to_networkx(graph.expand()))) + data.size + 32
    )  # the norm, the squares of the data, the rest
    found = pg.generalization_bound(graph, data=data, labels=labels)
    assert found.gap == pytest.approx(flat.gap, rel=2 * float(gamma(count)), abs=0)
    two = build("linear", np.float64)
    size = len(two.theta)
    prior, law = pg.Gaussian(np.zeros(size), 1.0), pg.Gaussian(two.theta, 0.5)
    rows, own = rng.standard_normal((30, 3)), rng.integers(0, 2, 30)
    options = {"data": rows, "labels": own, "n_draws": 20, "rng": 0}
    bound = pg.pac_bayes_bound(two, prior, law, rescale=False, **options)
    assert 0 <= bound.empirical <= 1
    with pytest.raises(pg.ParameterError, match=r"net\.expand\(\)"):
        pg.pac_bayes_bound(two, prior, law, **options)


def test_moved_graphs_are_as_named():
    graph = build("linear")
    assert (abs(moved(graph, "shrunk").theta) <= abs(graph.theta)).all()
    assert (abs(moved(graph, "grown").theta) >= abs(graph.theta)).all()
    assert (moved(graph, "moved").theta * graph.theta >= 0).all()
    assert (moved(graph, "flipped").theta * graph.theta < 0).any()


@pytest.mark.parametrize("name", ["inception", "tied_in_series", "several_ends"])
def test_everything_pickles(name):
    graph = build(name)
    for thing in (graph, graph.expand(), graph.report, pg.prune(graph, 2), graph.architecture):
        assert pickle.loads(pickle.dumps(thing)) == thing


@pytest.mark.parametrize("is_enabled", [True, False])
def test_exact_graphs_are_read_only_and_leave_the_collector_of_garbage_as_it_was(is_enabled):
    was_enabled = gc.isenabled()
    (gc.enable if is_enabled else gc.disable)()
    try:
        exact = build("linear", np.float64).to_exact()
        assert gc.isenabled() == is_enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()
    assert not any(tensor.flags.writeable for tensor in exact.tensors)


def test_refusals_say_why():
    graph = build("linear", np.float64)
    labelled = pg.Semiring(0, 1, max, max, edge_value=lambda w, edge: w)
    for call, error, message in [
        (lambda: pg.path_norm(graph, backend="numba"), pg.BackendError, "neuron graphs"),
        (lambda: pg.path_sum(graph, labelled), pg.ParameterError, r"net\.expand\(\)"),
        (lambda: pg.path_norm(3), pg.ParameterError, "Network or LayerGraph, got int; from_weights, .* make one"),
        (lambda: pg.rescale(3, {}), pg.ParameterError, "Network or LayerGraph, got int"),
        (lambda: pg.random_rescaling(graph, 0, max_exponent=2000), pg.ParameterError, "range of floats"),
    ]:
        with pytest.raises(error, match=message):
            call()
