"""The strategies of the test kit: every feature is drawn, examples shrink, wrong options are refused."""

from collections import Counter
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing import dyadics, inputs, ks_patterns, layer_graphs, mlps, parameters, relu_dags, rescalings

QUIET = {"database": None, "deadline": None, "suppress_health_check": list(HealthCheck)}
DRAW = settings(max_examples=800, derandomize=True, phases=[Phase.generate], **QUIET)
FIND = settings(max_examples=5000, derandomize=True, **QUIET)


def nodes_of(net, kind):
    return [v for v, activation in zip(net.nodes, net.architecture.activations, strict=True) if activation == kind]


def pool_candidates(net, x):
    """The candidates of every pool, without its bias."""
    value = dict(zip(net.nodes, net.neuron_values(x), strict=True))
    structure = net.architecture
    return {v: [net.weight(u, v) * value[u] for u in structure.antecedents(v)] for v in nodes_of(net, "pool")}


def tie_size(candidates):
    return max(Counter(candidates).values())


def is_dead(net, v):
    """A ReLU neuron all of whose weights, of which there are some, are zero, and which has no positive bias."""
    weights = [net.weight(u, v) for u in net.architecture.antecedents(v)]
    return bool(weights) and not any(weights) and (net.bias(v) or 0) <= 0


def cancels(net, v):
    weights = [net.weight(u, v) for u in net.architecture.antecedents(v)]
    return any(w and -w in weights for w in weights)


def repeats(net, v):
    weights = [net.weight(u, v) for u in net.architecture.antecedents(v)]
    return len(set(weights)) < len(weights)


def is_disconnected(net):
    return nx.number_weakly_connected_components(net.graph) > 1


def dead_ends(net):
    """The inputs and hidden neurons that reach no output."""
    graph = net.graph
    reaching = set(net.outputs).union(*(nx.ancestors(graph, v) for v in net.outputs))
    return set(net.nodes) - reaching


def skips(net):
    structure = net.architecture
    source, target = structure.level[structure.antecedent], structure.level[structure.target[: structure.n_edges]]
    return bool((target > source + 1).any())


FEATURES = {
    "single edge": lambda net, x: net.architecture.n_edges == 1 and not net.hidden,
    "identity neuron": lambda net, x: any(v in net.hidden for v in nodes_of(net, "identity")),
    "ReLU neuron": lambda net, x: bool(nodes_of(net, "relu")),
    "pool": lambda net, x: bool(nodes_of(net, "pool")),
    "pool of rank 2": lambda net, x: 2 in net.architecture.rank,
    "pool of rank 3": lambda net, x: 3 in net.architecture.rank,
    "pool of rank 4": lambda net, x: 4 in net.architecture.rank,
    "pool with a bias": lambda net, x: any(net.bias(v) for v in nodes_of(net, "pool")),
    "pool of four": lambda net, x: any(len(c) == 4 for c in pool_candidates(net, x).values()),
    "2-way tie": lambda net, x: any(tie_size(c) == 2 for c in pool_candidates(net, x).values()),
    "3-way tie": lambda net, x: any(tie_size(c) == 3 for c in pool_candidates(net, x).values()),
    "4-way tie": lambda net, x: any(tie_size(c) == 4 for c in pool_candidates(net, x).values()),
    "4-way tie at a non-zero value": lambda net, x: any(
        tie_size(c) == 4 and c[0] for c in pool_candidates(net, x).values()
    ),
    "zero weight": lambda net, x: any(w == 0 for w in net.values[: net.architecture.n_edges]),
    "zero bias": lambda net, x: any(b == 0 for b in net.values[net.architecture.n_edges :]),
    "absent bias": lambda net, x: any(net.bias(v) is None for v in net.hidden),
    "non-zero bias": lambda net, x: any(net.bias(v) for v in net.hidden),
    "cancelling weights": lambda net, x: any(cancels(net, v) for v in net.nodes),
    "repeated weights": lambda net, x: any(repeats(net, v) for v in net.nodes),
    "dead neuron": lambda net, x: any(is_dead(net, v) for v in nodes_of(net, "relu")),
    "pre-activation zero": lambda net, x: any(
        value == 0 for v, value in zip(net.nodes, net.neuron_values(x), strict=True) if v in nodes_of(net, "relu")
    ),
    "active ReLU": lambda net, x: any(
        value > 0 for v, value in zip(net.nodes, net.neuron_values(x), strict=True) if v in nodes_of(net, "relu")
    ),
    "constant": lambda net, x: any(not net.architecture.antecedents(v) for v in net.nodes if v not in net.inputs),
    "hidden neuron that reaches no output": lambda net, x: bool(dead_ends(net) & set(net.hidden)),
    "input that reaches no output": lambda net, x: bool(dead_ends(net) & set(net.inputs)),
    "disconnected pieces": lambda net, x: is_disconnected(net),
    "skip": lambda net, x: skips(net),
    "several outputs": lambda net, x: len(net.outputs) > 1,
    "depth of at least 4": lambda net, x: net.architecture.level.max() >= 4,
    "frozen value": lambda net, x: 1 in net.architecture.role,
    "structural value": lambda net, x: 2 in net.architecture.role,
    "frozen or structural bias": lambda net, x: any(net.architecture.role[net.architecture.n_edges :]),
    "tied values": lambda net, x: net.architecture.is_tied,
    "no path": lambda net, x: pg.count_paths(net) == 0,
    "input zero": lambda net, x: not any(x),
    "constant input": lambda net, x: len(x) > 1 and len(set(x)) == 1,
    "cancelling inputs": lambda net, x: any(value and -value in x for value in x),
}
RARE = {"pool of rank 4", "4-way tie at a non-zero value"}


@pytest.fixture(scope="module")
def drawn():
    counts = Counter()
    sizes = []

    @DRAW
    @given(relu_dags().flatmap(lambda net: st.tuples(st.just(net), inputs(net))))
    def count(example):
        net, x = example
        counts.update(name for name, has in FEATURES.items() if has(net, x))
        sizes.append(net.architecture.n_edges)

    count()
    return counts, sizes


@pytest.mark.parametrize("feature", FEATURES)
def test_feature_is_drawn(drawn, feature):
    assert drawn[0][feature] >= (3 if feature in RARE else 15), drawn[0]


def test_exact_networks_stay_small(drawn):
    sizes = drawn[1]
    assert max(sizes) <= 40
    assert 4 <= np.mean(sizes) <= 15


@settings(max_examples=300)
@given(relu_dags())
def test_networks_are_exact(net):
    assert net.is_exact
    assert all(type(value) is Fraction for value in net.values)
    assert pg.from_networkx(net.graph, dtype=object) == net


SMALLEST = {
    "a pool of rank 2": (lambda net: 2 in net.architecture.rank, 4, 2),
    "a tie": (lambda net: net.architecture.is_tied, 2, 1),
    "a frozen value": (lambda net: 1 in net.architecture.role, 1, 0),
    "depth 3": (lambda net: pg.depth(net) == 3, 3, 2),
}


@pytest.mark.parametrize("name", SMALLEST)
def test_networks_shrink(name):
    condition, most_edges, most_hidden = SMALLEST[name]
    net = find(relu_dags(max_hidden=3), condition, settings=FIND)
    assert net.architecture.n_edges <= most_edges, net.graph.edges
    assert len(net.hidden) <= most_hidden


def test_values_shrink_to_ones():
    net = find(relu_dags(max_hidden=2), lambda net: net.architecture.n_edges >= 3, settings=FIND)
    assert set(net.values) == {1}


@given(
    relu_dags(
        max_inputs=1,
        max_hidden=2,
        max_outputs=1,
        max_fan_in=2,
        activations=["relu"],
        roles=[],
        biases=False,
        ties=False,
    )
)
def test_options_restrict_networks(net):
    structure = net.architecture
    assert len(net.inputs) == len(net.outputs) == 1
    assert len(net.hidden) <= 2
    assert not len(structure.biased)
    assert not any(structure.role)
    assert not structure.is_tied
    assert "pool" not in structure.activations
    assert all(len(structure.antecedents(v)) <= 2 for v in net.nodes)


@given(mlps(max_layers=2, max_width=2, biases=False))
def test_mlps_are_layered(net):
    structure = net.architecture
    assert net.is_exact
    assert structure.level.max() <= 2
    assert not len(structure.biased)
    assert not skips(net)


@given(st.data())
def test_parameters_fit(data):
    net = data.draw(relu_dags())
    theta = data.draw(parameters(net))
    other = net.with_theta(theta)
    assert other.theta.tolist() == theta.tolist()
    assert data.draw(parameters(net.architecture)).shape == theta.shape


def test_parameters_of_a_large_architecture():
    net = pg.from_weights([np.ones((30, 20))]).to_exact()
    assert find(parameters(net), lambda theta: len(set(theta)) > 3, settings=FIND).shape == (600,)


@given(st.data())
def test_rescalings_belong_to_the_group(data):
    net = data.draw(relu_dags())
    factors = data.draw(rescalings(net, negative=["identity"]))
    assert set(factors) == set(net.hidden)
    assert pg.path_lifting(pg.rescale(net, factors)) == pg.path_lifting(net)


def test_rescalings_move_tied_neurons_together():
    graph = pg.to_networkx(pg.from_weights([[[1], [1]], [[1, 1]]], dtype=object))
    for edge in ((0, 0), (1, 0)), ((0, 0), (1, 1)):
        graph.edges[edge]["parameter"] = "shared"
    factors = find(rescalings(pg.from_networkx(graph)), lambda lam: set(lam.values()) != {1}, settings=FIND)
    assert set(factors.values()) in ({2}, {Fraction(1, 2)})


def test_inputs_and_rescalings_follow_the_scalars_of_the_network():
    net = pg.from_weights([[[1.0, 2.0]], [[1.0]]])
    assert {type(value) for value in find(inputs(net), any, settings=FIND)} == {float}
    assert {type(value) for value in find(rescalings(net), bool, settings=FIND).values()} == {float}


def test_dyadics_shrink():
    assert find(dyadics(), lambda w: True, settings=FIND) == 1
    assert find(dyadics(), lambda w: w < 0, settings=FIND) == -1
    assert find(dyadics(), lambda w: w > 1, settings=FIND) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: relu_dags(max_inputs=0), "max_inputs: needed an integer of at least 1, got 0"),
        (lambda: relu_dags(max_hidden=-1), "max_hidden"),
        (lambda: relu_dags(max_fan_in=1.5), "max_fan_in"),
        (lambda: relu_dags(activations="relu"), "activations: needed some of identity, relu, pool, got 'relu'"),
        (lambda: relu_dags(activations=["tanh"]), "activations"),
        (lambda: relu_dags(roles=["free"]), "roles"),
        (lambda: mlps(max_layers=True), "max_layers"),
        (lambda: dyadics(max_exponent=-1), "max_exponent"),
        (lambda: dyadics(max_numerator=0), "max_numerator"),
        (lambda: rescalings(pg.from_weights([[[1]]]), max_exponent=-1), "max_exponent"),
        (lambda: rescalings(pg.from_weights([[[1]]]), negative=["sigmoid"]), "negative"),
    ],
)
def test_wrong_options_are_refused_at_once(call, message):
    with pytest.raises(pg.ParameterError, match=message):
        call()


def test_integers_of_numpy_are_integers():
    first = settings(DRAW, max_examples=1)
    one, two = np.int64(1), np.int32(2)
    for strategy in (
        mlps(max_layers=one, max_width=two),
        relu_dags(max_inputs=two, max_hidden=one),
        dyadics(max_numerator=two, max_exponent=one),
        ks_patterns(max_size=two),
        layer_graphs(max_layers=one, max_size=two),
    ):
        assert find(strategy, lambda drawn: True, settings=first)
