"""Recovering rescalings and permutations, or the invariant that differs."""

from fractions import Fraction
from random import Random

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing import relu_dags, rescalings
from tests.networks import REGISTRY, on_networks
from tests.tolerances import assert_close, gamma

HALF = Fraction(1, 2)


def contents(net):
    """Neurons and edges with their attributes, in no order."""
    return dict(net.graph.nodes(data=True)), {(u, v): data for u, v, data in net.graph.edges(data=True)}


def shuffled(net, seed):
    """The same network, its hidden neurons inserted in another order and all neurons renamed."""
    graph, random = pg.to_networkx(net), Random(seed)
    hidden = [v for v in graph if v in set(net.hidden)]
    random.shuffle(hidden)
    rest = iter(hidden)
    order = [next(rest) if v in set(net.hidden) else v for v in graph]
    other = nx.DiGraph()
    other.add_nodes_from((v, graph.nodes[v]) for v in order)
    other.add_edges_from(graph.edges(data=True))
    return pg.from_networkx(nx.relabel_nodes(other, {v: f"n{i}" for i, v in enumerate(order)}), dtype=object)


@pytest.mark.parametrize("seed", range(2))
@on_networks()
def test_a_rescaling_is_recovered(case, seed):
    other = pg.rescale(case.net, pg.random_rescaling(case.net, seed))
    found = pg.find_rescaling(case.net, other)
    assert found
    assert pg.rescale(case.net, found.factors) == other
    assert found.difference is None
    if case.is_dyadic:
        assert pg.find_rescaling(case.float64, other.to_float())


@on_networks(lambda case: len(case.graph) <= 40)
def test_a_permutation_is_recovered(case):
    other = shuffled(pg.rescale(case.net, pg.random_rescaling(case.net, 0)), 0)
    found = pg.find_rescaling(case.net, other, permutations=True)
    assert found, found
    back = nx.relabel_nodes(pg.to_networkx(pg.rescale(case.net, found.factors)), dict(found.permutation))
    assert contents(pg.from_networkx(back, dtype=object)) == contents(other)


@settings(max_examples=100)
@given(relu_dags().flatmap(lambda net: st.tuples(st.just(net), rescalings(net, negative=["identity"]))))
def test_random_networks(instance):
    net, factors = instance
    other = pg.rescale(net, factors)
    found = pg.find_rescaling(net, other)
    assert found
    assert pg.rescale(net, found.factors) == other
    assert pg.find_rescaling(net, shuffled(other, 1), permutations=True)


@settings(max_examples=100)
@given(
    relu_dags(roles=["parameter"], ties=False).flatmap(lambda net: st.tuples(st.just(net), rescalings(net))),
    st.integers(0, 30),
    st.sampled_from([Fraction(2), Fraction(-1), Fraction(0)]),
)
def test_a_changed_parameter_is_no_rescaling_unless_the_lifting_is_equal(instance, index, factor):
    net, factors = instance
    if not len(net.theta):
        return
    theta = net.theta.copy()
    theta[index % len(theta)] *= factor
    other = pg.rescale(net.with_theta(theta), factors)
    found = pg.find_rescaling(net, other)
    if found:
        assert pg.rescale(net, found.factors) == other
        assert pg.path_lifting(net) == pg.path_lifting(other)
    else:
        assert found.factors is None
        assert found.difference
        for value in found.values or ():
            assert isinstance(value, Fraction)
        assert found.values is None or found.values[0] != found.values[1]


def test_what_differs():
    net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], [[2, 0], None], dtype=object)

    def difference(theta):
        found = pg.find_rescaling(net, net.with_theta(theta))
        assert not found
        return found

    found = difference([1, -2, 2, 3, 1, 0, 2, 1])
    assert found.difference == "the product along the path (1, 0) -> (2, 0), with its bias"
    assert found.values == (2, 4)
    assert found.where == ((1, 0), ((1, 0), (2, 0)))
    assert repr(found) == f"Equivalence(none: {found.difference}: 2 and 4)"
    assert difference([1, -2, 2, 3, 1, 1, 1, 1]).difference == "the bias of (1, 1) is zero in one network only"
    assert difference([-1, -2, 2, 3, 1, 0, 1, 1]).difference == "the weight of (0, 0) -> (1, 0) is of another sign"
    found = difference([2, -2, 2, 3, 1, 0, 1, 1])
    assert found.difference.startswith("the product of the weight of (0, 0) -> (1, 0), over ")
    assert len(found.where) == 2


def test_structural_values_and_signs_of_chains():
    skip = REGISTRY["skip"].net
    changed = pg.to_networkx(skip)
    u, v = next((u, v) for u, v, data in changed.edges(data=True) if data.get("role") == "structural")
    changed.edges[u, v]["weight"] *= 2
    found = pg.find_rescaling(skip, pg.from_networkx(changed, dtype=object))
    assert "structural" in found.difference
    graph = nx.DiGraph([("x", "h"), ("h", "r"), ("r", "y")])
    nx.set_edge_attributes(graph, Fraction(1), "weight")
    for node, activation in zip("xhry", ("input", "identity", "relu", "identity"), strict=True):
        graph.nodes[node]["activation"] = activation
    net = pg.from_networkx(graph)
    assert pg.find_rescaling(net, net.with_theta([-1, -1, 1])).factors == {"h": -1, "r": 1}
    assert "sign" in pg.find_rescaling(net, net.with_theta([1, -1, -1])).difference


def test_floats_are_compared_up_to_the_rounding_of_rescale():
    net = REGISTRY["dense"].rough.float64
    random = np.random.default_rng(0)
    factors = {v: float(np.exp(random.normal())) for v in net.hidden}
    found = pg.find_rescaling(net, pg.rescale(net, factors))
    assert found
    slack = gamma(4 * len(net.hidden))  # along a tree: the rounding of `rescale`, twice, a quotient, a product
    for v, lam in factors.items():
        assert_close(found.factors[v], lam, slack)
    theta = net.theta.copy()
    theta[0] *= 1 + 1e-12
    assert not pg.find_rescaling(net, net.with_theta(theta))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rough", [False, True])
def test_floats_near_the_limit_are_decided_exactly(dtype, rough):
    """Values off by a few units in the last place, against the rule for cycles, evaluated on rationals."""
    random, eps = np.random.default_rng(0), Fraction(float(np.finfo(dtype).eps))
    verdicts = []
    for _ in range(50):
        weights = [random.normal(size=shape).astype(dtype) for shape in ((2, 1), (1, 2))]
        net = pg.from_weights([weights[0], weights[1]])
        factors = {v: float(np.exp(random.normal())) if rough else 2.0 ** random.integers(-4, 4) for v in net.hidden}
        theta = pg.rescale(net, factors).theta.astype(np.float64)
        steps = random.integers(-6, 7, size=len(theta))
        theta = theta + steps * np.spacing(np.abs(theta).astype(dtype)).astype(np.float64)
        other = net.with_theta(theta.astype(dtype))
        # Two cycles, each along one path: from the input to the output.
        before, after = ([Fraction(float(n.theta[i])) for i in range(4)] for n in (net, other))
        ratios = [after[k] * after[2 + k] / (before[k] * before[2 + k]) for k in range(2)]
        expected = all(abs(ratio - 1) <= 2 * eps * 2 for ratio in ratios)
        found = pg.find_rescaling(net, other)
        assert bool(found) == expected
        verdicts.append(expected)
    assert 5 < sum(verdicts) < 45


def chain(weights, *, skip):
    """Neurons in a row, behind one input, and perhaps an edge around all of them."""
    graph = nx.DiGraph()
    graph.add_node(0, activation="input")
    for i, weight in enumerate(weights, 1):
        graph.add_node(i, activation="relu" if i < len(weights) else "identity")
        graph.add_edge(i - 1, i, weight=weight)
    if skip:
        graph.add_edge(0, len(weights), weight=1.0)
    return pg.from_networkx(graph)


def test_factors_and_products_beyond_the_range_of_floats():
    length = 2200
    one, two = chain([1.0] * length, skip=True), chain([2.0] * length, skip=True)
    found = pg.find_rescaling(one, two)
    assert found.values == (1, 2**length)
    assert repr(found).endswith(f"1 and about 2**{length})")
    up = [2.0] * (length // 2) + [0.5] * (length // 2)
    with pytest.raises(pg.RangeError, match="the factor of"):
        pg.find_rescaling(chain([1.0] * length, skip=True), chain(up, skip=True))
    with pytest.raises(pg.RangeError, match="vanishes as a float"):
        pg.find_rescaling(chain(up, skip=True), chain([1.0] * length, skip=True))
    found = pg.find_rescaling(chain([1.0] * length, skip=True).to_exact(), chain(up, skip=True).to_exact())
    assert found.factors[length // 2] == 2 ** (length // 2)


def test_permutations_of_different_networks():
    net = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], dtype=object)

    def difference(*weights):
        return pg.find_rescaling(net, pg.from_weights(*weights, dtype=object), permutations=True)

    assert difference([[[1, -2]], [[1]]]).difference == "the number of hidden neurons"
    assert difference([[[1, -2, 0], [3, 1, 0]], [[1, 1]]]).values == (2, 3)
    assert difference([[[1, -2], [3, 1]], [[1, 1]]], [None, [1]]).difference == "the number of biases"
    assert difference([[[1, -2], [3, 1]], [[1, 2]]]).values == ([4], [8])
    assert difference([[[3, 1], [2, -4]], [[1, HALF]]]).factors == {(1, 0): 2, (1, 1): 1}


def test_colour_refinement_is_not_enough():
    """Two layers joined by one cycle of 12 edges, or by two cycles of 6: all neurons of a layer look alike."""

    def net(followers):
        matrix = [[int(j in (i, followers[i])) for j in range(6)] for i in range(6)]
        return pg.from_weights([[[1]] * 6, matrix, [[1] * 6]], dtype=object)

    one, two = net([1, 2, 3, 4, 5, 0]), net([1, 2, 0, 4, 5, 3])
    assert pg.find_rescaling(one, shuffled(one, 3), permutations=True)
    found = pg.find_rescaling(one, two, permutations=True)
    assert found.difference == "no isomorphism of the graphs keeps the normal form"


def test_ties_are_permuted_with_their_places():
    def net(first, second):
        graph = nx.DiGraph()
        graph.add_nodes_from(["x0", "x1"], activation="input")
        for v in ("h0", "h1"):
            graph.add_node(v, activation="relu")
        graph.add_node("y", activation="identity")
        for i, (u, v) in enumerate([("x0", "h0"), ("x1", "h1"), ("h0", "y"), ("h1", "y")]):
            graph.add_edge(u, v, weight=Fraction(1), **({"parameter": "a"} if i in (first, second) else {}))
        return pg.from_networkx(graph)

    assert pg.find_rescaling(net(0, 1), net(0, 1), permutations=True)
    assert "ties" in pg.find_rescaling(net(0, 1), net(2, 3), permutations=True).difference


def test_wrong_arguments():
    net, other = pg.from_weights([[[1.0]]]), pg.from_weights([[[1.0, 2.0]]])
    with pytest.raises(pg.ParameterError, match="same architecture"):
        pg.find_rescaling(net, other)
    with pytest.raises(pg.ParameterError, match="needed a float network"):
        pg.find_rescaling(net, net.to_exact())
    with pytest.raises(pg.ParameterError, match="max_candidates"):
        pg.find_rescaling(net, net, permutations=True, max_candidates=0)


def test_permutations_of_floats_whose_factors_round():
    random = np.random.default_rng(0)
    net = pg.from_weights([random.normal(size=(4, 3)), random.normal(size=(2, 4))])
    for other in (pg.rescale(net, {(1, 0): 3.0}), pg.balance(net).net):
        found = pg.find_rescaling(net, other, permutations=True)
        assert found.factors == pg.find_rescaling(net, other).factors
        assert found.permutation == {v: v for v in net.nodes}
        order = [2, 0, 3, 1]
        into, out = (other.theta[a:b].reshape(shape) for a, b, shape in [(0, 12, (4, 3)), (12, 20, (2, 4))])
        found = pg.find_rescaling(net, pg.from_weights([into[order], out[:, order]]), permutations=True)
        assert found
        assert [found.permutation[1, v] for v in order] == [(1, v) for v in range(4)]


def test_what_differs_up_to_permutations():
    random = np.random.default_rng(0)
    net = pg.from_weights([random.normal(size=(4, 3)), random.normal(size=(2, 4))], [np.ones(4), None])
    other = net.with_theta(net.theta * np.where(np.arange(len(net.theta)) == 0, 1.5, 1))
    found = pg.find_rescaling(net, other, permutations=True)
    assert found.difference.startswith("the bias of (1, 0) in normal form, which 1 and 0 of the neurons have")
    assert found.where == ((1, 0),)
    assert "nothing is decided" not in found.difference
    assert found.values[0] != found.values[1]
    one = pg.from_weights([[[1, -2], [3, 1]], [[1, 1]]], dtype=object)
    found = pg.find_rescaling(one, one.with_theta([1, -3, 3, 1, 1, 1]), permutations=True)
    assert found.difference.startswith("the weights into (1, 0) in normal form")
    assert found.values == ([Fraction(-2, 3), Fraction(1, 3)], [Fraction(-3, 4), Fraction(1, 4)])
    near = net.with_theta(net.theta * np.where(np.arange(len(net.theta)) == 0, 1 + 1e-9, 1))
    assert "nothing is decided" in pg.find_rescaling(net, near, permutations=True).difference
