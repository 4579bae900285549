"""Smaller networks with the same function: equal on exact inputs, never larger, and as small as the rules promise."""

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.pruning import minimization
from pathgraph.testing import inputs, relu_dags
from tests.networks import dag, frozen, identity, numbers, on_networks, pool, relu, structural, tied
from tests.tolerances import gamma, roundings


def assert_same(small, net, xs):
    assert (small.inputs, small.outputs, small.dtype) == (net.inputs, net.outputs, net.dtype)
    for x in xs:
        assert small(x).tolist() == net(x).tolist()
    assert len(small.nodes) <= len(net.nodes)
    assert small.architecture.n_edges <= net.architecture.n_edges
    assert pg.minimize(small) == small


@on_networks()
def test_the_function_is_the_same(case):
    for amount in (0, 0.5, 0.9):
        result = pg.prune(case.net, amount, "magnitude", biases=amount == 0.9)
        assert_same(result.minimize(), result.net, case.inputs)
        assert result.minimize() == pg.minimize(result.net)


@settings(max_examples=100)
@given(st.data())
def test_the_function_is_the_same_on_random_networks(data):
    net = data.draw(relu_dags(max_hidden=6))
    xs = data.draw(st.lists(inputs(net), min_size=1, max_size=4))
    assert_same(pg.minimize(net), net, xs)


@settings(max_examples=60)
@given(st.data())
def test_pools_of_many_zeros(data):
    """Every rank, with any number of candidates that are zero, by zero weights or by dead antecedents."""
    weights = data.draw(st.lists(st.sampled_from([0, 0, 1, -2]), min_size=1, max_size=6))
    rank = data.draw(st.integers(1, len(weights)))
    graph = dag(
        "x z",
        dead=relu({"x": 0}),
        **{f"h{i}": identity({"xz"[i % 2]: 1 + i}) for i in range(len(weights))},
        m=pool({**{f"h{i}": w for i, w in enumerate(weights)}, "dead": 3}, rank),
        y=identity({"m": 1}, 1),
    )
    net = pg.from_networkx(graph)
    assert_same(pg.minimize(net), net, data.draw(st.lists(inputs(net), min_size=1, max_size=6)))


@on_networks()
def test_floats_are_minimized_up_to_round_off(case):
    """Both networks are near the exact one: of their own values, each rounded once."""
    rough = case.rough
    net = pg.prune(rough.float64, 0.5).net
    small, exact = pg.minimize(net), net.to_exact()
    assert small.dtype == np.float64
    assert small.nodes == pg.minimize(exact).nodes
    slack = 4 * gamma(2 * roundings(rough.oracle) + len(net.nodes))
    for x in case.inputs:
        scale = pg.path_norm(exact, inputs=[abs(value) for value in x], per_output=True)
        for a, b, size in zip(small(list(map(float, x))), exact(x), scale, strict=True):
            assert abs(Fraction(float(a)) - b) <= slack * size


def only(graph):
    return pg.minimize(pg.from_networkx(graph))


def test_a_pruned_perceptron_becomes_a_smaller_one():
    rng = np.random.default_rng(0)
    net = pg.from_weights([rng.normal(size=(8, 4)), rng.normal(size=(8, 8)), rng.normal(size=(3, 8))]).to_exact()
    result = pg.prune(net, 6, "neurons")
    small = result.minimize()
    assert set(small.nodes) == set(net.nodes) - set(result.neurons)
    left = [v for v in net.hidden if v not in result.neurons]
    assert small.architecture.n_edges == sum(not {u, v} & set(result.neurons) for u, v in net.graph.edges)
    assert set(small.hidden) == set(left)


def test_dead_ends_and_unreachable_neurons_go():
    small = only(
        dag(
            "x",
            dead=relu({"x": 0}),
            far=relu({"dead": 2}),
            end=relu({"x": 1}),
            y=identity({"x": 1, "far": 3, "end": 0}),
        )
    )
    assert small.nodes == ("x", "y")
    assert list(small.graph.edges) == [("x", "y")]


def test_constants_are_folded_and_roles_and_ties_are_kept_apart():
    graph = dag(
        "x",
        one=relu(bias=frozen(2)),
        minus=relu(bias=-2),
        twice=identity({"one": 3, "minus": 5}, 1),
        h=relu({"x": tied("w", 2), "twice": -1}),
        g=relu({"x": tied("w", 2)}, structural(1)),
        y=identity({"h": 1, "g": structural(1), "twice": structural(1)}),
    )
    small = only(graph)
    assert small.nodes == ("x", "h", "g", "y")
    assert (small.bias("h"), small.bias("y"), small.bias("g")) == (-7, 7, 1)
    assert list(small.parameters) == ["w", "h", ("h", "y"), "y"]
    assert small.graph.nodes["g"]["bias_role"] == "structural"


def test_products_of_structural_weights_stay_structural():
    small = only(
        dag("x", a=identity({"x": structural(2)}), b=identity({"a": structural(3)}), y=identity({"b": frozen(1)}))
    )
    assert small.graph.edges["x", "y"] == {"weight": 6, "role": "frozen"}
    small = only(dag("x", a=identity({"x": structural(2)}), y=identity({"a": structural(3)}), z=identity({"a": 1})))
    assert small.graph.edges["x", "y"]["role"] == "structural"
    assert "role" not in small.graph.edges["x", "z"]


def test_relus_of_known_sign():
    graph = dag(
        "x",
        h=relu({"x": 1}),
        g=relu({"x": -1}),
        up=relu({"h": 1, "g": 2}, 1),
        down=relu({"h": -1, "g": -2}),
        y=identity({"up": 1, "down": 1}),
        z=identity({"up": 2}),
    )
    assert set(only(graph).hidden) == {"h", "g"}


def test_collapsing_keeps_away_from_parallel_edges_pools_and_more_edges():
    parallel = dag("x", a=identity({"x": 2}), y=identity({"a": 1, "x": 1}))
    assert only(parallel).hidden == ("a",)
    into_pool = dag(
        "x z",
        a=identity({"x": 2, "z": 1}),
        b=identity({"x": 1}, 1),
        m=pool({"a": 1, "b": 1, "z": 1}),
        y=identity({"m": 1}),
    )
    assert set(only(into_pool).hidden) == {"a", "b", "m"}
    one_antecedent = dag("x z", a=identity({"x": 2}), m=pool({"a": 3, "z": 1}), y=identity({"m": 1}))
    small = only(one_antecedent)
    assert (small.hidden, small.weight("x", "m")) == (("m",), 6)
    names = " ".join(f"x{i}" for i in range(3))
    wide = dag(
        names, a=identity(dict.fromkeys(names.split(), 1)), **{f"y{i}": identity({"a": i + 1}) for i in range(3)}
    )
    assert only(wide).hidden == ("a",)
    assert only(wide).architecture.n_edges == 6


def test_collapsing_keeps_the_path_products():
    net = pg.from_networkx(
        dag("x z", a=identity({"x": 2, "z": -1}), h=relu({"a": 3}, 1), y=identity({"h": -1, "x": 1}))
    )
    small = pg.minimize(net)
    assert small.hidden == ("h",)
    assert sorted(pg.path_lifting(small).values) == sorted(pg.path_lifting(net).values)


def test_a_pool_of_one_and_a_constant_pool():
    small = only(
        dag(
            "x",
            one=identity(bias=1),
            two=identity(bias=2),
            m=pool({"one": 3, "two": 1}, 2, 1),
            y=identity({"m": 2, "x": 1}),
        )
    )
    assert (small.nodes, small.bias("y")) == (("x", "y"), 6)
    assert only(dag("x", m=pool({"x": 3}, 1, 1), y=identity({"m": 2}))).nodes == ("x", "y")


def test_a_zero_candidate_counts():
    """max(x, 0), whatever computed the zero."""
    graph = dag("x z", h=relu({"z": 1}), g=relu({"h": 1}), m=pool({"x": 1, "g": 0}), y=identity({"m": 1}))
    small = only(graph)
    assert small([-1, 5]).tolist() == [0]
    assert small([2, 5]).tolist() == [2]
    assert "h" not in small.nodes


def linear(*weights):
    graph = pg.to_networkx(pg.from_weights([[[w]] for w in weights]))
    for layer in range(1, len(weights)):
        graph.nodes[layer, 0]["activation"] = "identity"
    return pg.from_networkx(graph)


def test_values_that_would_leave_the_range_stay_apart():
    assert pg.minimize(linear(1e200, 1e200)) == linear(1e200, 1e200)
    assert pg.minimize(linear(1e-200, 1e-200)) == linear(1e-200, 1e-200)
    assert pg.minimize(linear(1e200, 1e200, 2.0**-1000)).hidden == ()
    exact = linear(1e200, 1e200).to_exact()
    assert pg.minimize(exact).theta.tolist() == [Fraction(1e200) ** 2]


def test_perceptrons_with_random_zeros():
    random, value = Random(0), numbers()
    weights = [[[next(value) for _ in range(4)] for _ in range(4)] for _ in range(4)]
    net = pg.from_weights(weights, [[next(value) for _ in range(4)] for _ in range(4)])
    for _ in range(10):
        theta = [t if random.random() < 0.4 else Fraction(0) for t in net.theta]
        pruned = net.with_theta(theta)
        xs = [[Fraction(random.randint(-8, 8), 4) for _ in range(4)] for _ in range(6)]
        assert_same(pg.minimize(pruned), pruned, xs)


def test_no_network():
    with pytest.raises(pg.ParameterError, match="net: needed"):
        pg.minimize(3)


def test_no_network_is_too_large(monkeypatch):
    """Whoever asks for a graph of networkx may be refused; who asks for a smaller network is not."""
    allowed = []

    def to_networkx(net, *, max_edges):
        allowed.append(max_edges)
        return pg.to_networkx(net, max_edges=max_edges)

    monkeypatch.setattr(minimization, "to_networkx", to_networkx)
    net = pg.from_weights([[[1, 2], [0, 0]], [[3, 4]]])
    assert pg.minimize(net)([1, 1]) == net([1, 1])
    assert allowed == [net.architecture.n_edges]
