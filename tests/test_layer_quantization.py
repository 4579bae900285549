"""Bit budgets, ranges and equalisation on layer graphs: what the neuron graph gives, exactly."""

from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.layers.channels import channel_classes, channels_of
from pathgraph.quantization.sensitivities import sensitivities
from tests.layer_graphs import MAKERS, build

NAMES = sorted(MAKERS)


def acting(graph):
    """Whether some parameter acts on an output."""
    sizes, slopes = sensitivities(graph)
    return any(sizes * slopes)


@pytest.mark.parametrize("name", NAMES)
def test_slopes_are_those_of_the_neurons(name):
    graph = build(name)
    whole = graph.expand()
    ours, theirs = sensitivities(graph), sensitivities(whole)
    by_name = dict(zip(whole.parameters, zip(*theirs, strict=True), strict=True))
    ours_by_name = dict(zip(graph.architecture.parameters, zip(*ours, strict=True), strict=True))
    assert {name: ours_by_name[name] for name in by_name} == by_name
    assert ours.invariant == theirs.invariant


@pytest.mark.parametrize("name", NAMES)
def test_ranges_are_those_of_the_neurons(name):
    graph = build(name)
    ours, theirs = pg.neuron_ranges(graph, inputs=2), pg.neuron_ranges(graph.expand(), inputs=2)
    whole = graph.expand()
    expected = dict(zip(whole.nodes, theirs.bounds.tolist(), strict=True))
    found = {(layer, *index): value for layer, bounds in ours.bounds.items() for index, value in np.ndenumerate(bounds)}
    assert {node: expected[node] for node in found if node in expected} == {
        node: value for node, value in found.items() if node in expected
    }
    assert len([node for node in found if node in expected]) == len(expected)
    assert ours.accumulator_bits(Fraction(1, 8)) == theirs.accumulator_bits(Fraction(1, 8))
    in_floats = pg.neuron_ranges(build(name, np.float64), inputs=2)
    for layer, bounds in in_floats.bounds.items():
        assert (bounds >= ours.bounds[layer].astype(np.float64)).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_budget_for_the_whole_graph_is_that_of_the_neurons(name):
    graph = build(name)
    if not len(graph.theta):
        pytest.skip("no parameter")
    ours, theirs = (pg.allocate_bits(net, Fraction(1, 2), groups="network") for net in (graph, graph.expand()))
    assert (dict(ours.bits), ours.bound) == (dict(theirs.bits), theirs.bound)
    by_layer = pg.allocate_bits(graph, Fraction(1, 2))
    assert sum(by_layer.sizes.values()) == len(graph.theta)
    rounded = pg.quantize(graph, by_layer.quantizers, by="layer")
    assert float(pg.path_metric(graph, rounded)) <= by_layer.bound <= Fraction(1, 2)


@pytest.mark.parametrize("name", NAMES)
def test_equalisation_keeps_the_function_and_does_not_lose(name):
    graph = build(name)
    if not acting(graph):
        assert pg.equalize(graph).net is graph
        return
    found = pg.equalize(graph)
    assert max(found.optimum, found.after) <= found.before
    assert found.floor <= found.optimum + found.smoothing
    assert pg.path_norm(found.net) == pg.path_norm(graph)
    x = np.array([[Fraction(k % 7 - 3) for k in range(len(graph.dag.inputs))]], dtype=object)
    if len(graph.architecture.inputs) == 1:
        shape = graph.architecture.layer(graph.architecture.inputs[0]).shape
        assert np.array_equal(found.net(x.reshape(1, *shape)), graph(x.reshape(1, *shape)))
    if channel_classes(graph).n_classes == 0:
        assert found.net == graph


@pytest.mark.parametrize("objective", ["uniform", "mixed"])
def test_equalisation_of_a_perceptron_is_that_of_its_neurons(objective):
    graph = build("linear", np.float64)
    hidden = next(layer.name for layer in graph.architecture.layers if layer.activation == "relu")
    graph = pg.rescale(graph, {(hidden, 0): 2.0**10, (hidden, 1): 2.0**-7})
    expanded = graph.expand()
    ours, theirs = (pg.equalize(net, objective=objective, powers_of_two=False) for net in (graph, expanded))
    assert ours.optimum == pytest.approx(theirs.optimum, abs=2 * ours.smoothing)
    slack = len(expanded.theta) * np.finfo(np.float64).eps  # one rounding a parameter: the order of the sums differs
    assert ours.before == pytest.approx(theirs.before, rel=slack)
    assert ours.optimum < ours.before - 3
    assert {name: len(name) for name in ours.factors} == dict.fromkeys(ours.factors, 2)


def test_equalisation_of_a_convolution_asks_for_fewer_bits():
    b = pg.LayerGraphBuilder()
    random = np.random.default_rng(0)
    x = b.relu(b.convolution(b.input((1, 6, 6)), b.tensor("first", random.normal(size=(4, 1, 3, 3)))))
    y = b.linear(b.flatten(x), b.tensor("last", random.normal(size=(3, 64))))
    graph = b.build(y)
    hidden = next(layer.name for layer in graph.architecture.layers if layer.activation == "relu")
    spoilt = pg.rescale(graph, {(hidden, k): 2.0 ** (5 * k - 8) for k in range(4)})
    found = pg.equalize(spoilt)
    assert pg.bits_fixed(found.net, 0.5) <= pg.bits_fixed(graph, 0.5) + 1 < pg.bits_fixed(spoilt, 0.5)
    inputs = random.normal(size=(5, 1, 6, 6))
    assert found.net(inputs).tobytes() == spoilt(inputs).tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_channels_are_groups_of_neurons(name):
    graph, whole = build(name), build(name).expand()
    groups = pg.parameter_groups(graph, "channel")
    by_name = dict(zip(graph.architecture.parameters, groups.group.tolist(), strict=True))
    targets = whole.architecture.target[whole.architecture.first_entry]
    channel, names = channels_of(graph.architecture)
    for parameter, target in zip(whole.parameters, targets.tolist(), strict=True):
        label = groups.labels[by_name[parameter]]
        layer, *index = whole.nodes[target]
        place = graph.architecture.positions(layer)[tuple(index)]
        assert label == names[channel[place]]
    if not len(graph.theta):
        return
    quantizers = {label: pg.Quantizer("nearest", Fraction(1, 2 + k % 3)) for k, label in enumerate(groups.labels)}
    rounded = pg.quantize(graph, quantizers, by="channel")
    expected = [quantizers[groups.labels[g]]([w])[0] for g, w in zip(groups.group, graph.theta, strict=True)]
    assert rounded.theta.tolist() == expected
    allocation = pg.allocate_bits(graph, 1, groups="channel")
    assert allocation.bound <= 1
    other = pg.quantize(graph, allocation.quantizers, by="channel")
    assert pg.path_metric(graph, other).upper <= allocation.bound


def test_a_neuron_is_a_channel_of_its_own():
    net = build("linear").expand()
    assert pg.parameter_groups(net, "channel").labels == pg.parameter_groups(net, "neuron").labels


def test_groups_are_named_in_refusals():
    for call in (
        lambda: pg.allocate_bits(build("linear"), 1, groups="row"),
        lambda: pg.equalize(build("linear"), groups="row"),
    ):
        with pytest.raises(pg.ParameterError, match="groups: needed one of 'network'"):
            call()


def test_budgets_at_the_ends_of_the_range():
    b = pg.LayerGraphBuilder()
    hidden = b.relu(b.linear(b.input((2,)), b.tensor("w", np.full((2, 2), 1e300))))
    graph = b.build(b.linear(hidden, b.tensor("v", np.full((1, 2), 1e-300))))
    assert pg.allocate_bits(graph, 0.5).bound <= 0.5
    for eps, groups in ((0.5, "network"), (5e-324, "layer")):
        with pytest.raises(pg.RangeError, match="256 bits are not enough"):
            pg.allocate_bits(graph, eps, groups=groups)
    one, large = pg.from_weights([[[Fraction(1)]]]), pg.from_weights([[[Fraction(10**400)]]])
    with pytest.raises(pg.RangeError, match="256 bits are not enough"):
        pg.allocate_bits(one, Fraction(1, 10**330))
    assert pg.allocate_bits(one, 10**400).total == 0
    assert pg.allocate_bits(large, 10**399).bound <= 10**399
    assert repr(pg.neuron_ranges(large)) == "NeuronRanges(2 neurons; largest bound 1e400)"
