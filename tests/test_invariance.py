"""`check_invariance` finds what is there to be found, small, and lets pass what is invariant."""

import subprocess
import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.testing import (
    QUANTITIES,
    check_invariance,
    mlps,
    permutations,
    prunings,
    quantizations,
    relu_dags,
    rescalings,
    same_sign_pairs,
)
from tests.layer_graphs import MAKERS, build

QUIET = {"database": None, "deadline": None, "suppress_health_check": list(HealthCheck)}
DRAW = settings(max_examples=300, derandomize=True, phases=[Phase.generate], **QUIET)


@pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda quantity: quantity.name)
def test_what_is_known_of_a_quantity_is_found(quantity):
    found = check_invariance(quantity, max_examples=40, raises=False)
    assert bool(found) == quantity.is_invariant
    if not found:
        assert len(found.counterexample.net.hidden) <= 2
        assert found.counterexample.net.architecture.n_edges <= 6


def test_counterexamples_are_small_and_readable():
    def l1(net):
        return sum(abs(w) for w in net.theta)

    with pytest.raises(AssertionError, match="l1 is not invariant") as caught:
        check_invariance(l1, exact=True)
    text = str(caught.value)
    assert "(1, 0) = relu(1 * (0, 0)" in text
    assert "rescaled: (1, 0) by 2" in text
    assert len(text.splitlines()) == 7


def test_exact_networks_and_any_dag():
    assert check_invariance(lambda net: pg.path_norm(net, 2, root=False), networks=relu_dags(), exact=True)
    assert check_invariance(lambda net: pg.path_lifting(net).values.tolist(), networks=relu_dags(), exact=True)


def test_negative_factors_break_the_function_and_keep_the_path_lifting():
    def by_hand(net, factors):
        theta = []
        for name, w in zip(net.parameters, net.theta, strict=True):
            u, v = name if isinstance(name[0], tuple) else (None, name)
            theta.append(w * factors.get(v, 1) / factors.get(u, 1))
        return net.with_theta(theta)

    def under(net):
        return rescalings(net, negative=("relu",)).map(lambda factors: lambda other: by_hand(other, factors))

    assert check_invariance(lambda net: pg.path_lifting(net).values.tolist(), under=under, exact=True)
    assert not check_invariance(lambda net: net([1] * len(net.inputs)), under=under, exact=True, raises=False)


def test_other_moves():
    assert check_invariance(lambda net: pg.path_norm(net), under=permutations, exact=True)
    assert not check_invariance(lambda net: net.theta.tolist(), under=permutations, exact=True, raises=False)
    doubled = st.just(lambda net: net.with_theta(net.theta * 2))
    found = check_invariance(pg.path_norm, under=lambda net: doubled, raises=False)
    assert not found
    assert found.counterexample.after > found.counterexample.before


@pytest.mark.parametrize("name", ["residual", "convolution_2d", "max_pool_with_dilation", "linear"])
def test_layer_graphs(name):
    graph = build(name)
    assert check_invariance(pg.path_norm, networks=graph, exact=True, max_examples=20)
    assert check_invariance(lambda net: pg.path_magnitude(net), networks=graph, exact=True, max_examples=20)
    scores = check_invariance(lambda net: abs(net.theta).sum(), networks=graph, exact=True, raises=False)
    assert not scores


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_rescalings_of_every_layer_graph_keep_the_path_norm(name):
    graph = build(name)

    @given(rescalings(graph))
    @settings(max_examples=5, derandomize=True, **QUIET)
    def check(factors):
        assert pg.path_norm(pg.rescale(graph, factors)) == pg.path_norm(graph)

    check()


def test_tolerances():
    def noisy(net):
        return pg.path_norm(net) * (1 + 1e-12 * len(str(net.theta)))

    assert check_invariance(noisy)
    assert not check_invariance(noisy, tolerance=0, raises=False)
    assert check_invariance(lambda net: float("nan"))
    assert check_invariance(lambda net: {"a": [pg.path_norm(net), "b"]})
    assert not check_invariance(lambda net: {"a": [net.theta[0]]}, raises=False)


ONE = pg.from_weights([[[1.0]], [[1.0]]])


def is_invariant(function, **options):
    return bool(check_invariance(function, networks=ONE, raises=False, **options))


def test_rationals_of_any_size_are_compared_exactly():
    for factor in (Fraction(1, 10**400), Fraction(10**400)):
        assert not is_invariant(lambda net, factor=factor: factor * net.theta[0], exact=True, tolerance=1e-9)
        assert not is_invariant(lambda net, factor=factor: factor * net.theta[0], exact=True)
        assert is_invariant(lambda net, factor=factor: factor * net.theta[0] * net.theta[1], exact=True)
    assert is_invariant(lambda net: net.theta[0], exact=True, tolerance=10**400)
    assert is_invariant(lambda net: float(net.theta[0]), tolerance=10**400)


def test_floats_in_arrays_of_objects_are_floats():
    def last_bit(net):
        return np.array([0.1 if net.theta[0] <= 1 else np.nextafter(0.1, 1)], dtype=object)

    assert is_invariant(last_bit)
    assert not is_invariant(last_bit, tolerance=0)
    assert is_invariant(lambda net: np.array([np.nan, 1], dtype=object))
    assert not is_invariant(lambda net: np.array([1e308 * min(1, net.theta[0]), -1e308]))


def test_exact_is_exact_for_strategies_too():
    seen = set()
    check_invariance(lambda net: seen.add(net.is_exact) or 0, networks=st.just(ONE), exact=True, max_examples=3)
    assert seen == {True}


def test_an_error_of_the_function_refutes_nothing():
    def broken(net):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        check_invariance(broken)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"function": 3}, "function: needed"),
        ({"function": lambda net: None}, "function: needed a value to compare"),
        ({"networks": 3}, "networks: needed"),
        ({"tolerance": -1}, "tolerance: needed"),
        ({"max_examples": 0}, "max_examples"),
        ({"module": object()}, "input_shape: needed"),
        ({"module": object(), "networks": mlps()}, "networks: needed None"),
        ({"under": lambda net: st.just(3)}, "under: needed moves"),
        ({"under": lambda net: 3}, "under: needed a function that gives a strategy"),
        ({"tolerance": True}, "tolerance: needed"),
        ({"under": None}, "under: needed a function"),
        ({"networks": st.integers()}, "networks: needed a strategy of networks"),
        ({"networks": st.nothing()}, "networks: needed a strategy that draws"),
        ({"input_shape": (3,)}, "input_shape: needed None without module"),
    ],
)
def test_refusals(options, match):
    with pytest.raises(pg.ParameterError, match=match):
        check_invariance(**{"function": pg.path_norm} | options)


# -- the strategies -----------------------------------------------------------------------------------------------


def drawn(strategy):
    out = []

    @given(strategy)
    @DRAW
    def draw(example):
        out.append(example)

    draw()
    return out


NET = pg.from_weights([[[1, -2], [3, 0]], [[1, -1]]], [[0, 5], None], dtype=object)


@pytest.mark.parametrize("relation", ["any", "shrunk", "grown"])
def test_pairs_of_one_sign(relation):
    pairs = drawn(same_sign_pairs(NET, relation=relation))
    seen = Counter()
    for net, other in pairs:
        assert net is NET
        assert all(a * b >= 0 for a, b in zip(net.theta, other.theta, strict=True))
        ratios = [abs(b) - abs(a) for a, b in zip(net.theta, other.theta, strict=True)]
        gone = (net.theta != 0) & (other.theta == 0)
        seen.update(shrinks=min(ratios) < 0, grows=max(ratios) > 0, zero=bool(gone.any()))
    assert bool(seen["shrinks"]) == (relation != "grown")
    assert bool(seen["grows"]) == (relation != "shrunk")
    assert bool(seen["zero"]) == (relation != "grown")
    assert find(same_sign_pairs(NET, relation=relation), lambda pair: True)[1] == NET


@pytest.mark.parametrize("strategy", [same_sign_pairs, prunings, permutations, rescalings])
def test_strategies_refuse_what_is_no_network(strategy):
    with pytest.raises(pg.PathgraphError, match=r"needed a pathgraph\.Network"):
        strategy(3)


def test_pairs_keep_the_type_and_the_range_of_floats():
    net = pg.from_weights([[[1, 2]]], dtype=np.float32)
    ours, theirs = find(same_sign_pairs(net), lambda pair: True)
    assert ours == theirs
    assert theirs.dtype == np.float32
    large = pg.from_weights([[[1e308, 1.0]]])
    for _, other in drawn(same_sign_pairs(large, relation="grown")):
        assert (abs(other.theta) >= abs(large.theta)).all()


def test_prunings_are_sets_of_parameters():
    masks = drawn(prunings(NET, min_size=1))
    assert {len(mask) for mask in masks} == {len(NET.theta)}
    assert {int(mask.sum()) for mask in masks} >= {1, 2, 3, len(NET.theta)}
    assert find(prunings(NET), lambda mask: True).sum() == 0
    with pytest.raises(pg.ParameterError, match="min_size: needed at most 8"):
        prunings(NET, min_size=9)


def test_quantizers_of_every_kind():
    modes = Counter((q.mode, str(q.format)) if q.format else (q.mode, "") for q in drawn(quantizations()))
    assert len(modes) >= 9
    assert {q.mode for q in drawn(quantizations(modes=["floor"], formats=[]))} == {"floor"}
    with pytest.raises(pg.ParameterError, match="modes: needed some mode"):
        quantizations(modes=[], formats=[])
    with pytest.raises(pg.ParameterError, match="formats: needed"):
        quantizations(formats=["fp64"])


def test_permutations_are_the_same_network_in_other_orders():
    found = drawn(permutations(NET))
    assert {other.hidden for other in found} == {NET.hidden, NET.hidden[::-1]}
    for other in found:
        assert sorted(map(str, pg.path_lifting(other).values)) == sorted(map(str, pg.path_lifting(NET).values))
        assert other([1, Fraction(1, 2)]) == NET([1, Fraction(1, 2)])


def test_annotated_types_are_drawn_by_the_entry_point():
    program = """
from hypothesis import given, settings, strategies as st
import pathgraph as pg, sys
assert "hypothesis" in sys.modules and "pathgraph.testing" not in sys.modules
seen = set()
@given(...)
@settings(max_examples=20, database=None, deadline=None)
def check(
    net: pg.Network,
    graph: pg.LayerGraph,
    pattern: pg.KSPattern,
    matrix: pg.KSMatrix,
    chain: pg.KSChain,
    quantizer: pg.Quantizer,
):
    seen.add(tuple(type(drawn).__name__ for drawn in (net, graph, pattern, matrix, chain, quantizer)))
check()
print(seen)
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    names = ("Network", "LayerGraph", "KSPattern", "KSMatrix", "KSChain", "Quantizer")
    assert found.stdout.strip() == f"{{{names}}}", found.stderr
