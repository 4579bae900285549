"""Rescaling and the normal form, on every registered network: equalities of rationals, and of bits."""

import math
from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from tests.networks import on_networks
from tests.oracles import rank
from tests.tolerances import gamma

INF = math.inf


def entry(net, part):
    """The weight of an edge (u, v), or the bias of v for (None, v)."""
    u, v = part
    return net.bias(v) if u is None else net.weight(u, v)


def same_function(net, other, case):
    """The same lifting, activations and outputs, exactly."""
    assert pg.path_lifting(other) == pg.path_lifting(net)
    for x in case.inputs:
        assert other(x).tolist() == net(x).tolist()
        assert (pg.path_activations(other, x) != pg.path_activations(net, x)).nnz == 0


@pytest.mark.parametrize("seed", range(3))
@on_networks()
def test_random_rescalings_change_nothing_but_the_parameters(case, seed):
    factors = pg.random_rescaling(case.net, seed)
    assert list(factors) == list(case.net.hidden)
    assert case.oracle.allows(factors)
    other = pg.rescale(case.net, factors)
    assert other == pg.from_networkx(case.oracle.rescaled(factors))
    same_function(case.net, other, case)


@on_networks()
def test_rescalings_are_a_group(case):
    first, second = pg.random_rescaling(case.net, 1), pg.random_rescaling(case.net, 2)
    assert pg.rescale(pg.rescale(case.net, first), {v: 1 / f for v, f in first.items()}) == case.net
    both = {v: first[v] * second[v] for v in first}
    assert pg.rescale(pg.rescale(case.net, first), second) == pg.rescale(case.net, both)
    assert pg.rescale(case.net, {}) == pg.rescale(case.net, dict.fromkeys(case.net.nodes, 1)) == case.net


@on_networks()
def test_powers_of_two_round_nothing(case):
    net = case.rough.float64
    factors = pg.random_rescaling(net, 0)
    assert {type(factor) for factor in factors.values()} <= {float}
    other = pg.rescale(net, factors)
    assert other.to_exact() == pg.rescale(case.rough.net, {v: Fraction(f) for v, f in factors.items()})
    x = np.random.default_rng(0).normal(size=(20, len(net.inputs)))
    assert other(x).tobytes() == net(x).tobytes()
    assert pg.path_norm(other) == pg.path_norm(net)
    assert pg.path_lifting(other).values.tobytes() == pg.path_lifting(net).values.tobytes()


@on_networks()
def test_other_factors_round_twice_per_entry(case):
    """Path products keep a relative accuracy of two roundings per weight or bias."""
    net = case.rough.float64
    group = pg.random_rescaling(net, 0)
    other = pg.rescale(net, {v: f**0.77 for v, f in group.items()})
    for path, weight in case.rough.lifting.items():
        found = math.prod(entry(other.to_exact(), part) for part in case.oracle.parts(path))
        assert abs(found - weight) <= gamma(2 * len(path)) * abs(weight)


@on_networks()
def test_single_factors_are_allowed_or_refused(case):
    """A factor on one neuron is allowed if and only if no structural entry changes and ties stay equal."""
    for v in case.net.hidden:
        if case.oracle.allows({v: 3}):
            other = pg.rescale(case.net, {v: 3})
            assert other == pg.from_networkx(case.oracle.rescaled({v: Fraction(3)}))
            same_function(case.net, other, case)
        else:
            with pytest.raises(pg.RescalingError, match=r"structural|tied"):
                pg.rescale(case.net, {v: 3})


@on_networks()
def test_negative_factors(case):
    for v in case.net.hidden:
        if case.oracle.kind[v] != "identity":
            with pytest.raises(pg.RescalingError, match="positive"):
                pg.rescale(case.net, {v: -2})
        elif case.oracle.allows({v: -2}):
            same_function(case.net, pg.rescale(case.net, {v: -2}), case)


@on_networks()
def test_random_rescalings_reach_the_whole_group(case):
    """As many independent directions as hidden neurons, less the independent equations between their exponents."""
    hidden = list(case.net.hidden)
    drawn = [pg.random_rescaling(case.net, seed) for seed in range(3 * len(hidden) + 3)]
    exponents = [[int(math.log2(factors[v])) for v in hidden] for factors in drawn]
    assert rank(exponents) == len(hidden) - rank(case.oracle.equations(hidden))


@on_networks()
def test_random_rescalings_are_moderate_powers_of_two(case):
    for limit in (0, 3):
        factors = pg.random_rescaling(case.net, np.random.default_rng(5), max_exponent=limit)
        exponents = [math.log2(factor) for factor in factors.values()]
        assert all(exponent.is_integer() for exponent in exponents)
        if not case.net.architecture.is_tied:
            assert all(abs(exponent) <= limit for exponent in exponents)


# -- the normal form ----------------------------------------------------------------------------------------------


def row(net, v):
    """The incoming weights and the bias of a neuron."""
    entries = [net.weight(u, v) for u in net.architecture.antecedents(v)]
    return entries if net.bias(v) is None else [*entries, net.bias(v)]


def norm(numbers, q):
    absolute = [abs(number) for number in numbers]
    return max(absolute, default=0) if q == INF else sum(mass**q for mass in absolute)


@pytest.mark.parametrize("q", [1, INF])
@on_networks()
def test_normal_form(case, q):
    net = pg.normalize(case.net, q, unfreeze=True)
    assert pg.path_lifting(net) == pg.path_lifting(case.net)
    for x in case.inputs:
        assert net(x).tolist() == case.net(x).tolist()
    for v in net.hidden:
        assert norm(row(net, v), q) in (0, 1)
        if norm(row(net, v), q) == 0:
            assert all(net.weight(v, w) == 0 for w in case.graph.succ[v])
    for r in (1, INF):
        assert pg.path_norm(case.net, q, r) == norm([norm(row(net, v), q) for v in net.outputs], r)
    assert pg.normalize(net, q, unfreeze=True) == net


@pytest.mark.parametrize("q", [1, INF])
@on_networks()
def test_fixed_and_tied_entries_hold_the_normal_form(case, q):
    """It is refused exactly if a structural or tied entry would change; otherwise the architecture stays."""
    free = pg.normalize(case.net, q, unfreeze=True)
    places = {}
    for part, value, role, name in case.oracle.entries():
        if role == "structural":
            places[part] = {value, entry(free, part)}
        elif name:
            places.setdefault(name, set()).add(entry(free, part))
    if any(len(values) > 1 for values in places.values()):
        with pytest.raises(pg.RescalingError, match="unfreeze=True"):
            pg.normalize(case.net, q)
        assert free.architecture != case.net.architecture
    else:
        assert pg.normalize(case.net, q) == free
        assert free.architecture == case.net.architecture


@on_networks()
def test_euclidean_normal_form_of_floats(case):
    """Each entry is multiplied and divided once; a norm of d entries is right to d + 8 roundings."""
    before, net = case.rough, pg.normalize(case.rough.float64, 2, unfreeze=True).to_exact()
    for v in net.hidden:
        entries = row(net, v)
        if any(entries):
            assert abs(norm(entries, 2) - 1) <= gamma(2 * (len(entries) + 10))
        else:
            assert all(net.weight(v, w) == 0 for w in case.graph.succ[v])
    for path, weight in before.lifting.items():
        found = math.prod(entry(net, part) for part in case.oracle.parts(path))
        assert abs(found - weight) <= gamma(2 * len(path)) * abs(weight)
    with pytest.raises(pg.UnsupportedOperatorError, match="q=2"):
        pg.normalize(case.net, 2)


def test_exponents_beyond_every_integer_type_are_refused():
    with pytest.raises(pg.ParameterError, match=r"max_exponent: needed at most 2\*\*20, got ~1e400"):
        pg.random_rescaling(pg.from_weights([[[1]], [[1]]], dtype=object), 0, max_exponent=10**400)
