"""Layer graphs are drawn with every feature, shrink, and give the same at both resolutions, whatever is asked."""

import math
from collections import Counter
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing import check_invariance, layer_graphs
from tests.layer_graphs import moved
from tests.test_resolutions import NUMBERS, PAIRS, box, by_neuron, same_scores, takes_inputs

QUIET = {"database": None, "deadline": None, "suppress_health_check": list(HealthCheck)}
DRAW = settings(derandomize=True, phases=[Phase.generate], **QUIET)
FIND = settings(max_examples=3000, derandomize=True, phases=[Phase.generate, Phase.shrink], **QUIET)

KINDS = (
    "linear", "transposed_linear", "convolution", "transposed_convolution", "kronecker", "fixed_linear", "batch_norm",
    "scale", "shift", "constant", "max_pool", "adaptive_max_pool", "average_pool", "adaptive_average_pool", "mean",
    "nearest", "bilinear", "add", "concatenate", "reshape", "transpose", "take", "pad", "relu", "copy",
)  # fmt: skip


def layers(graph, kind):
    return [layer for layer in graph.layers if layer.kind == kind]


def maps(graph, kind):
    return [layer.operations[0] for layer in layers(graph, kind)]


def option(graph, kinds, name, is_chosen):
    return any(is_chosen(layer.options[name]) for kind in kinds for layer in layers(graph, kind))


def any_above(least):
    return lambda sizes: max(np.ravel(sizes)) > least


def convolved(condition):
    return lambda graph: any(condition(one) for kind in ("convolution", "transposed_convolution")
                             for one in maps(graph, kind))  # fmt: skip


def unread(graph):
    read = {source for layer in graph.layers for source in layer.sources} | set(graph.output_shapes)
    return [layer.name for layer in graph.layers if layer.name not in read]


def tied(graph):
    places = Counter(place for layer in graph.layers for place in {*layer.tensors, *(layer.bias or ())[1:]})
    return max(places.values(), default=0) > 1


FEATURES = {
    **{f"layer of kind {kind}": lambda graph, kind=kind: bool(layers(graph, kind)) for kind in KINDS},
    "convolution over one axis": lambda graph: any(len(one.kernel) == 1 for one in maps(graph, "convolution")),
    "convolution over two axes": lambda graph: any(len(one.kernel) == 2 for one in maps(graph, "convolution")),
    "kernel above 1": convolved(lambda one: max(one.kernel) > 1),
    "stride": convolved(lambda one: max(one.stride) > 1),
    "padding": convolved(lambda one: np.max(one.padding) > 0),
    "uneven padding": convolved(lambda one: any(a != b for a, b in one.padding)),
    "dilation": convolved(lambda one: max(one.dilation) > 1),
    "groups": convolved(lambda one: one.groups > 1),
    "several channels": lambda graph: any(one.channels > 1 for one in maps(graph, "convolution")),
    "subtraction": lambda graph: option(graph, ["add"], "signs", lambda signs: -1 in signs),
    "broadcasting sum": lambda graph: any(
        one.source_shape != one.target_shape for layer in layers(graph, "add") for one in layer.operations
    ),
    "residual": lambda graph: any(
        len(layer.sources) == 2 and layer.sources[0] != layer.sources[1] for layer in layers(graph, "add")
    ),
    "fused ReLU": lambda graph: any(layer.activation == "relu" and layer.kind != "relu" for layer in graph.layers),
    "bias": lambda graph: any(layer.bias is not None for layer in graph.layers),
    "several inputs": lambda graph: len(graph.input_shapes) > 1,
    "several outputs": lambda graph: len(graph.output_shapes) > 1,
    "frozen tensor": lambda graph: "frozen" in graph.roles.values(),
    "no parameter": lambda graph: not graph.parameters,
    "tied tensor": tied,
    "dead layer": lambda graph: bool(unread(graph)),
    "tensor read twice": lambda graph: (
        max(Counter(source for layer in graph.layers for source in layer.sources).values(), default=0) > 1
    ),
    "zero entry": lambda graph: any(0 in np.ravel(array) for array in graph.parameters.values()),
    "negative entry": lambda graph: any((np.ravel(array) < 0).any() for array in graph.parameters.values()),
    "parameters on several layers": lambda graph: len(graph.parameters) > 2,
}

POOLS = {
    "pool of two or more": lambda graph: any(
        layer.activation == "pool" and layer.operations[0].n_edges > layer.size for layer in graph.layers
    ),
    "pool of rank 2": lambda graph: any(layer.activation == "pool" and layer.rank == 2 for layer in graph.layers),
    "pool with stride": lambda graph: option(graph, ["max_pool", "average_pool"], "stride", any_above(1)),
    "pool with padding": lambda graph: option(graph, ["max_pool", "average_pool"], "padding", any_above(0)),
    "pool with dilation": lambda graph: option(graph, ["max_pool"], "dilation", any_above(1)),
    "pool that hangs over": lambda graph: option(graph, ["max_pool", "average_pool"], "ceil_mode", bool),
    "average with a divisor": lambda graph: option(graph, ["average_pool"], "divisor", bool),
    "average without its padding": lambda graph: any(
        not layer.options["count_include_pad"] and np.any(layer.options["padding"])
        for layer in layers(graph, "average_pool")
    ),
}


def drawn(strategy, features, examples):
    counts, sizes = Counter(), []

    @settings(DRAW, max_examples=examples)
    @given(strategy)
    def count(graph):
        assert graph.is_exact
        counts.update(name for name, has in features.items() if has(graph))
        sizes.append(graph.architecture.n_edges)

    count()
    return counts, sizes


@cache
def drawn_by_default():
    return drawn(layer_graphs(), FEATURES, 500)


@cache
def drawn_pools():
    return drawn(layer_graphs(layers=["max_pool", "average_pool"], max_layers=1, max_inputs=1), POOLS, 250)


@pytest.mark.parametrize("feature", FEATURES)
def test_feature_is_drawn(feature):
    counts, _ = drawn_by_default()
    assert counts[feature] >= 5, counts


@pytest.mark.parametrize("feature", POOLS)
def test_option_of_pools_is_drawn(feature):
    counts, _ = drawn_pools()
    assert counts[feature] >= 5, counts


def test_expansions_stay_small():
    _, sizes = drawn_by_default()
    assert max(sizes) <= 100
    assert 5 <= np.mean(sizes) <= 40


SMALLEST = {
    "anything": (lambda graph: True, 1),
    "a dilation": (FEATURES["dilation"], 6),
    "a pool of rank 2": (POOLS["pool of rank 2"], 9),
    "a residual": (FEATURES["residual"], 4),
    "a concatenation": (FEATURES["layer of kind concatenate"], 6),
    "a tied tensor": (tied, 2),
    "an upsampling": (FEATURES["layer of kind bilinear"], 2),
}


@pytest.mark.parametrize("name", SMALLEST)
def test_graphs_shrink(name):
    condition, most_edges = SMALLEST[name]
    graph = find(layer_graphs(max_layers=2), condition, settings=FIND)
    assert graph.architecture.n_edges <= most_edges, graph.report
    assert all(set(np.ravel(array)) == {1} for array in graph.parameters.values())


@settings(DRAW, max_examples=100)
@given(
    layer_graphs(
        layers=["linear", "convolution"],
        max_layers=2,
        max_inputs=1,
        max_outputs=1,
        max_axes=2,
        max_channels=1,
        max_size=2,
        max_edges=9,
        roles=[],
        biases=False,
        ties=False,
        exact=False,
    )
)
def test_options_restrict_graphs(graph):
    kinds = {layer.kind for layer in graph.layers}
    assert kinds <= {"input", "linear", "transposed_linear", "convolution", "reshape", "relu", "copy"}
    assert graph.dtype == np.float64
    assert len(graph.input_shapes) == len(graph.output_shapes) == 1
    assert graph.expand().architecture.n_edges <= 9
    assert all(role == "parameter" for name, role in graph.roles.items() if name.startswith("t"))
    assert not any(layer.bias for layer in graph.layers)
    assert not tied(graph)
    [shape] = graph.input_shapes.values()
    assert len(shape) <= 2
    assert shape[0] == 1
    assert max(shape) <= 2


@settings(DRAW, max_examples=100)
@given(layer_graphs(max_edges=3))
def test_bounds_on_edges_hold(graph):
    assert graph.expand().architecture.n_edges <= 3


@given(layer_graphs(exact=False, max_layers=2))
@settings(DRAW, max_examples=50)
def test_floats_are_the_exact_values(graph):
    assert not graph.is_exact
    assert all(abs(value) in {0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4} for value in graph.theta)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"layers": 5}, "layers: needed some of"),
        ({"layers": [["linear"]]}, "layers: needed some of"),
        ({"roles": None}, "roles: needed some of"),
        ({"layers": "linear"}, "layers: needed some of linear, convolution"),
        ({"layers": ["softmax"]}, "layers: needed some of linear"),
        ({"layers": []}, "layers: needed some of linear, convolution, .* got none"),
        ({"max_layers": 0}, "max_layers: needed an integer of at least 1"),
        ({"max_inputs": 1.5}, "max_inputs"),
        ({"max_outputs": True}, "max_outputs"),
        ({"max_axes": 0}, "max_axes"),
        ({"max_channels": 0}, "max_channels"),
        ({"max_size": 0}, "max_size"),
        ({"max_edges": 0}, "max_edges"),
        ({"roles": ["tied"]}, "roles: needed some of"),
        ({"biases": 1}, "biases: needed a bool, got 1"),
        ({"ties": None}, "ties: needed a bool"),
        ({"exact": "yes"}, "exact: needed a bool"),
    ],
)
def test_wrong_options_are_refused_at_once(options, match):
    with pytest.raises(pg.ParameterError, match=match):
        layer_graphs(**options)


# -- both resolutions ---------------------------------------------------------------------------------------------


def outcome(function, *args, **options):
    """What a function gives, or that it refuses, which it must do at both resolutions."""
    try:
        return function(*args, **options)
    except pg.PathgraphError as error:
        return type(error)


@settings(DRAW, max_examples=30)
@given(layer_graphs())
def test_numbers_are_equal(graph):
    net = graph.expand()
    named, flat = box(graph)
    for what, function in NUMBERS.items():
        assert outcome(function, graph) == outcome(function, net), what
        if takes_inputs(function):
            assert outcome(function, graph, inputs=named) == outcome(function, net, inputs=flat), what


@settings(DRAW, max_examples=25)
@given(layer_graphs(), st.sampled_from(["shrunk", "moved", "flipped"]))
def test_comparisons_are_equal(graph, how):
    changed = moved(graph, how)
    net, changed_net = graph.expand(), changed.expand()
    for what, function in PAIRS.items():
        assert outcome(function, graph, changed) == outcome(function, net, changed_net), what


@settings(DRAW, max_examples=50)
@given(layer_graphs())
def test_evaluation_and_marginals_are_equal(graph):
    net, rng = graph.expand(), np.random.default_rng(0)
    size = sum(math.prod(shape) for shape in graph.input_shapes.values())
    x = np.array([Fraction(int(n), 2) for n in rng.integers(-4, 5, 3 * size)], dtype=object).reshape(3, size)
    assert (graph.rows(x) == net(x)).all()
    assert graph.rows(x[:0]).shape == net(x[:0]).shape
    for ring in (pg.semirings.REAL, pg.semirings.COUNT):
        same_scores(graph, net, pg.path_marginals(graph, ring), pg.path_marginals(net, ring))
        assert by_neuron(graph, pg.node_marginals(graph, ring)) == by_neuron(net, pg.node_marginals(net, ring))
    same_scores(graph, net, pg.path_magnitude(graph), pg.path_magnitude(net))


def test_invariance_of_drawn_graphs():
    assert check_invariance(pg.path_norm, networks=layer_graphs(), exact=True, max_examples=40)
    found = check_invariance(lambda net: abs(net.theta).sum(), networks=layer_graphs(), exact=True, raises=False)
    assert not found
    assert found.counterexample.net.architecture.n_edges <= 6


def test_shifts_of_several_axes_in_semirings_that_treat_biases_apart():
    build = pg.LayerGraphBuilder()
    graph = build.build(build.shift(build.input((2, 2)), build.tensor("offset", [[Fraction(3), Fraction(2)]])))
    for ring in (pg.semirings.MAX_PLUS, pg.semirings.LENGTHS):
        assert pg.path_sum(graph, ring) == pg.path_sum(graph.expand(), ring)
