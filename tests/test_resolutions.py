"""Functions give the same result on a layer graph and on its expansion: the registry of graphs times all of them.

Exact numbers are equal. Floats sum in other orders at the two resolutions; that each resolution is right in floats is
held elsewhere, and here they are compared with the exact result, within the derived bound.
"""

import inspect
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.metrics.gaps import roundings
from tests.layer_graphs import MAKERS, build, moved
from tests.oracles import Oracle

SEMIRINGS = pg.semirings
EXACT_GRAPHS = list(MAKERS)


@cache
def expanded(name, dtype=object):
    return build(name, dtype).expand()


@cache
def other(name, how, dtype=object):
    graph = moved(build(name), how)
    return graph if dtype is object else graph.to_float(dtype)


def by_parameter(net, scores):
    """Scores by the name (tensor, index...), zeros where an entry has no edge."""
    if isinstance(scores, dict):
        return {(name, *i): v for name, array in scores.items() for i, v in np.ndenumerate(array)}
    return dict(zip(net.parameters, scores.tolist(), strict=True))


def same_scores(graph, net, ours, theirs, default=0):
    ours, theirs = by_parameter(graph, ours), by_parameter(net, theirs)
    assert theirs.keys() <= ours.keys()
    assert all(value == theirs.get(name, default) for name, value in ours.items())


def by_neuron(net, numbers):
    if isinstance(numbers, dict):
        return {(name, *i): v for name, array in numbers.items() for i, v in np.ndenumerate(array)}
    return dict(zip(net.nodes, numbers.tolist(), strict=True))


def box(graph, seed=3):
    """Half-widths of the inputs in both forms: by name for the graph, flat for its expansion."""
    rng = np.random.default_rng(seed)
    widths = {}
    for name, shape in graph.input_shapes.items():
        numbers = [Fraction(int(n)) for n in rng.integers(0, 4, shape).ravel()]
        widths[name] = np.array(numbers, dtype=object).reshape(shape)
    return widths, [w for array in widths.values() for w in array.ravel()]


def takes_inputs(function):
    """Whether a function of the tables below passes keywords on."""
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())


NUMBERS = {
    "path_norm": lambda net, **k: pg.path_norm(net, **k),
    "path_norm, q=2": lambda net, **k: pg.path_norm(net, 2, root=False, **k),
    "path_norm, q=3, r=6": lambda net, **k: pg.path_norm(net, 3, 6, root=False, **k),
    "path_norm, q=inf": lambda net, **k: pg.path_norm(net, np.inf, **k),
    "path_norm, q=0": lambda net, **k: pg.path_norm(net, 0, **k),
    "path_norm, per output": lambda net, **k: pg.path_norm(net, per_output=True, **k).tolist(),
    "path_norm, reference": lambda net, **k: pg.path_norm(net, backend="reference", **k),
    "path_sum": lambda net, **k: pg.path_sum(net, **k),
    "path_sum, inputs only": lambda net, **k: pg.path_sum(net, biases=False, **k),
    "lengths": lambda net: pg.path_sum(net, SEMIRINGS.LENGTHS),
    "count_paths": pg.count_paths,
    "count_paths, by sweep": lambda net: pg.count_paths(net, backend="numpy"),
    "depth": pg.depth,
    "depth, by sweep": lambda net: pg.depth(net, backend="numpy"),
    "input_lipschitz, max-pass": lambda net, **k: pg.input_lipschitz(net, **k),
    "input_lipschitz, input-paths": lambda net, **k: pg.input_lipschitz(net, method="input-paths", **k),
    "input_lipschitz, path-norm": lambda net, **k: pg.input_lipschitz(
        net, method="path-norm", per_output=True
    ).tolist(),
    "input_lipschitz, l1": lambda net: pg.input_lipschitz(net, method="input-paths", input_norm=1),
    "heaviest_path": lambda net: pg.heaviest_path(net)[1],
    "perturbation_bound": lambda net, **k: pg.perturbation_bound(net, Fraction(1, 3), **k),
    "perturbation_bound, shrink": lambda net, **k: pg.perturbation_bound(net, Fraction(1, 2), shrink=True, r=2, **k),
    "log_path_norm": lambda net: round(pg.log_path_norm(net), 9),
    "generalization_bound": lambda net: pg.generalization_bound(net, 50).constants,
    "generalization_bound, earlier": lambda net: [e.order for e in pg.generalization_bound(net, 50, loss=1).earlier],
}


def operator_norms(net):
    """The products, or that there is none."""
    try:
        return [pg.operator_norm_product(net, q, r) for q, r in ((1, 1), (1, np.inf), (np.inf, np.inf))]
    except pg.GraphError as error:
        return type(error)


NUMBERS["operator_norm_product"] = operator_norms

PAIRS = {
    "path_metric": lambda a, b, **k: pg.path_metric(a, b, max_paths=100, **k),
    "path_metric, meet": lambda a, b, **k: pg.path_metric(a, b, method="meet", per_output=True, **k),
    "path_metric, telescope": lambda a, b, **k: pg.path_metric(a, b, method="telescope", **k),
    "path_metric, q=2": lambda a, b, **k: pg.path_metric(a, b, q=2, root=False, **k),
    "parameter_lipschitz": lambda a, b, **k: pg.parameter_lipschitz(a, b, max_paths=100, **k),
    "parameter_lipschitz, meet": lambda a, b, **k: pg.parameter_lipschitz(a, b, method="meet", r=np.inf, **k),
    "parameter_lipschitz, all": lambda a, b, **k: pg.parameter_lipschitz(a, b, method="meet", drop_silent=False, **k),
    "parameter_lipschitz, telescope": lambda a, b, **k: pg.parameter_lipschitz(a, b, method="max-telescope", **k),
    "sign_flip_masses": lambda a, b: pg.sign_flip_masses(a, b),
}


@pytest.mark.parametrize("name", EXACT_GRAPHS)
def test_numbers_are_equal(name):
    graph, net = build(name), expanded(name)
    named, flat = box(graph)
    for what, function in NUMBERS.items():
        assert function(graph) == function(net), what
        if takes_inputs(function):
            assert function(graph, inputs=named) == function(net, inputs=flat), what


@pytest.mark.parametrize("how", ["shrunk", "moved", "flipped"])
@pytest.mark.parametrize("name", EXACT_GRAPHS)
def test_comparisons_are_equal(name, how):
    graph, net = build(name), expanded(name)
    changed, changed_net = other(name, how), other(name, how).expand()
    named, flat = box(graph)
    for what, function in PAIRS.items():
        boxed = how != "moved" and takes_inputs(function)
        ours, theirs = ({"inputs": named}, {"inputs": flat}) if boxed else ({}, {})
        assert function(graph, changed, **ours) == function(net, changed_net, **theirs), what
    if how == "shrunk":
        assert pg.box_bound(changed, graph, inputs=named) == pg.box_bound(changed_net, net, inputs=flat)


@pytest.mark.parametrize("name", EXACT_GRAPHS)
def test_evaluation_is_equal(name):
    graph, net = build(name), expanded(name)
    rng = np.random.default_rng(0)
    xs = [
        np.array([Fraction(int(n)) for n in rng.integers(-4, 5, (3, *shape)).ravel()], dtype=object).reshape(3, *shape)
        for shape in graph.input_shapes.values()
    ]
    outputs = graph(*xs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    flat = np.concatenate([x.reshape(3, -1) for x in xs], axis=1)
    found = np.concatenate([y.reshape(3, -1) for y in outputs], axis=1)
    assert (found == net(flat)).all()
    assert (graph.rows(flat) == net(flat)).all()


@pytest.mark.parametrize("name", EXACT_GRAPHS)
def test_sums_through_parameters_and_neurons_are_equal(name):
    graph, net = build(name), expanded(name)
    named, flat = box(graph)
    for ring in (SEMIRINGS.REAL, SEMIRINGS.COUNT):
        same_scores(graph, net, pg.path_marginals(graph, ring), pg.path_marginals(net, ring))
        assert by_neuron(graph, pg.node_marginals(graph, ring)) == by_neuron(net, pg.node_marginals(net, ring))
    same_scores(graph, net, pg.path_marginals(graph, inputs=named), pg.path_marginals(net, inputs=flat))
    same_scores(graph, net, pg.path_magnitude(graph, inputs=named), pg.path_magnitude(net, inputs=flat))
    for method in ("path-magnitude", "synflow"):
        same_scores(graph, net, pg.importance_scores(graph, method), pg.importance_scores(net, method))
    sizes = by_parameter(graph, pg.importance_scores(graph, "magnitude"))
    assert sizes == {name: abs(v) for name, v in by_parameter(graph, graph.parameters).items()}
    gradient = {name: np.full(array.shape, Fraction(3)) for name, array in graph.parameters.items()}
    snip = by_parameter(graph, pg.importance_scores(graph, "snip", gradient=gradient))
    assert snip == {name: 3 * v for name, v in sizes.items()}


@pytest.mark.parametrize("name", EXACT_GRAPHS)
def test_costs_are_what_the_expansion_loses(name):
    graph, net = build(name), expanded(name)
    oracle = Oracle(pg.to_networkx(net))
    owner = {part: parameter for part, _, _, parameter in oracle.entries()}
    paths = [(abs(oracle.product(p)), {owner[part] for part in oracle.parts(p)}) for p in oracle.paths()]
    assert pg.path_norm(graph) == sum(mass for mass, _ in paths)
    assert pg.path_norm(graph, 2, root=False) == sum(mass**2 for mass, _ in paths)
    costs = by_parameter(graph, pg.path_magnitude(graph))
    lost = {}
    for mass, met in paths:
        for parameter in met - {None}:
            lost[parameter] = lost.get(parameter, 0) + mass
    assert all(cost == lost.get(parameter, 0) for parameter, cost in costs.items())
    chosen = [parameter for i, parameter in enumerate(sorted(costs)) if i % 3 == 0]
    mass = sum(mass for mass, met in paths if met.intersection(chosen))
    masks = {name: np.zeros(array.shape, dtype=bool) for name, array in graph.parameters.items()}
    for tensor, *index in chosen:
        masks[tensor][tuple(index)] = True
    assert mass == pg.set_magnitude(graph, chosen) == pg.set_magnitude(graph, masks)
    first = next(iter(graph.parameters))
    entire = sum(mass for mass, met in paths if any(parameter and parameter[0] == first for parameter in met))
    assert entire == pg.set_magnitude(graph, [first])


@pytest.mark.parametrize("name", EXACT_GRAPHS)
def test_pruning_is_equal(name):
    graph, net = build(name), expanded(name)
    for options in ({}, {"method": "synflow"}, {"strategy": "greedy"}, {"strategy": "iterative", "rounds": 2}):
        ours, theirs = pg.prune(graph, 2, **options), pg.prune(net, 2, **options)
        assert len(ours.removed) == len(theirs.removed) == 2
        costs = [pg.set_magnitude(graph, list(ours.removed)), pg.set_magnitude(net, list(theirs.removed))]
        if options.get("method") is None:
            assert costs[0] == costs[1], options
        assert ours.certificate.upper == costs[0]
        assert all(not ours.mask[tensor][tuple(index)] for tensor, *index in ours.removed)
        assert all((ours.net.parameters[tensor][tuple(index)] == 0) for tensor, *index in ours.removed)
        assert ours == pg.prune(graph, 2, **options)


@pytest.mark.parametrize("name", EXACT_GRAPHS)
def test_removed_channels_leave_no_path(name):
    graph = build(name)
    try:
        result = pg.prune(graph, 1, "neurons")
    except pg.ParameterError as error:
        assert "at most 0" in str(error)  # noqa: PT017 - nothing can be removed
        return
    ((layer, channel),) = result.neurons
    mass = by_neuron(graph, pg.node_marginals(pg_abs(graph)))
    axis = len(graph.architecture.layer(layer).shape) - 1 if graph.architecture.layer(layer).kind == "linear" else 0
    gone = [v for v in mass if v[0] == layer and v[1 + axis] == channel]
    after = by_neuron(graph, pg.node_marginals(pg_abs(result.net)))
    assert gone
    assert all(after[v] == 0 for v in gone)
    assert result.certificate.upper >= sum(mass[v] for v in gone)


def pg_abs(graph):
    return graph.with_values(abs(graph.values))


@pytest.mark.parametrize("name", EXACT_GRAPHS)
def test_paths_are_those_of_the_expansion(name):
    graph, net = build(name), expanded(name)
    oracle = Oracle(pg.to_networkx(net))
    products = {path: abs(oracle.product(path)) for path in oracle.paths()}
    path, value = pg.heaviest_path(graph)
    assert products[path] == value == max(products.values())
    for sampled in pg.sample_paths(graph, 20, 0):
        assert products[sampled] > 0
    v = path[len(path) // 2]
    assert pg.path_sum(graph, source=path[0], target=v) == pg.path_sum(net, source=path[0], target=v)


@pytest.mark.parametrize("name", EXACT_GRAPHS)
def test_rescaling_leaves_every_path_product(name):
    graph, net = build(name), expanded(name)
    factors = pg.random_rescaling(graph, 5)
    rescaled = pg.rescale(graph, factors)
    spread = {v: factors[channel_of(graph, v)] for v in net.hidden}
    assert rescaled.expand() == pg.rescale(net, spread)
    assert by_parameter(graph, pg.path_magnitude(rescaled)) == by_parameter(graph, pg.path_magnitude(graph))
    floats = build(name, np.float64)
    factors = pg.random_rescaling(floats, 5)
    assert pg.path_norm(pg.rescale(floats, factors)) == pg.path_norm(floats)


def channel_of(graph, v):
    layer = graph.architecture.layer(v[0])
    return (v[0], v[-1] if layer.kind == "linear" else v[1] if len(v) > 1 else 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", EXACT_GRAPHS)
def test_floats_are_near_the_exact_results(name, dtype):
    exact, graph = build(name), build(name, dtype)
    exact = graph.to_exact()  # what the floats are: 1/3 is rounded in averages
    slack = Fraction(roundings(graph, 1) + 16) / 2**52
    for q in (1, 2, np.inf):
        ours, right = pg.path_norm(graph, q, root=False), pg.path_norm(exact, q, root=False)
        assert abs(Fraction(ours) - right) <= 3 * slack * right
    norm = pg.path_norm(exact)
    for ours, right in zip(pg.path_magnitude(graph).values(), pg.path_magnitude(exact).values(), strict=True):
        assert ours.dtype == np.float64
        assert all(abs(Fraction(a) - b) <= 8 * slack * norm for a, b in zip(ours.flat, right.flat, strict=True))
    a, b = pg.path_metric(graph, moved(graph, "shrunk")), pg.path_metric(exact, moved(graph, "shrunk").to_exact())
    assert abs(Fraction(a.value) - b.value) <= 16 * slack * norm
    assert pg.count_paths(graph) == pg.count_paths(exact)


@pytest.mark.parametrize("name", ["linear", "convolution_2d", "max_pool", "tied_in_series", "small_resnet"])
def test_quantization_is_equal(name):
    graph, net = build(name, np.float64), expanded(name, np.float64)
    quantizer = pg.Quantizer("nearest", step=0.75)
    ours, theirs = pg.quantize(graph, quantizer), pg.quantize(net, quantizer)
    assert ours.expand() == theirs
    real, same = pg.certify(graph, ours), pg.certify(net, theirs)
    assert (real.lower, real.upper, real.method) == (same.lower, same.upper, same.method)
    half = pg.Quantizer(format="fp16")
    executed = pg.certify(graph, pg.quantize(graph, half), execution="float16").upper
    assert executed >= pg.certify(net, pg.quantize(net, half), execution="float16").upper > 0
    assert pg.bits_fixed(graph, 0.5) == pg.bits_fixed(net, 0.5)
    assert pg.bits_float(graph, 0.5) == pg.bits_float(net, 0.5)
    first = next(
        layer
        for layer in graph.layers
        if layer.operations and graph.roles[graph.architecture.tensor_names[layer.tensors[0]]] == "parameter"
    )
    partly = pg.quantize(graph, {first.name: quantizer}, by="layer")
    weight = graph.architecture.tensor_names[first.tensors[0]]
    assert (partly.parameters[weight] == ours.parameters[weight]).all()
    assert any((partly.parameters[other] == graph.parameters[other]).all() for other in graph.parameters)
    with pytest.raises(pg.ParameterError, match=r"net\.expand\(\)"):
        pg.quantize(graph, {0: quantizer}, by="neuron")
