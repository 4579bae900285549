"""Balanced and path-conditioned networks: stationary, the same for a whole orbit, and the minimum."""

from decimal import Decimal, localcontext
from fractions import Fraction
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.geometry.coordinate_steps import log_root
from pathgraph.geometry.orbit_objective import coordinate_step
from pathgraph.testing import relu_dags, rescalings
from tests.networks import REGISTRY, on_networks
from tests.tolerances import gamma

INF = float("inf")
FORMS = [pg.balance, pg.path_condition]
CLOSE = 1e-11
"""Each form is content with a residual of 4096 units; moving back by less than this moves parameters no more."""


def is_met_twice(case):
    """Whether a path meets a tied parameter twice."""
    name = {part: name for part, _, _, name in case.oracle.entries() if name is not None}
    met = [[name[part] for part in case.oracle.parts(path) if part in name] for path in case.oracle.paths()]
    return any(len(names) != len(set(names)) for names in met)


def same(a, b):
    return bool((np.abs(a - b) <= CLOSE * np.abs(a)).all())


def flows(widths, seed):
    """A perceptron of disjoint paths with one modulus each: every hidden neuron is exactly balanced."""
    random = np.random.default_rng(seed)
    moduli = random.integers(1, 9, size=widths[0])
    matrices = []
    for _ in widths[1:]:
        matrices.append(np.diag(moduli)[random.permutation(len(moduli))] * random.choice([-1, 1]))
        moduli = np.abs(matrices[-1]).sum(axis=1)
    return pg.from_weights(matrices)


@pytest.mark.parametrize("form", FORMS)
@on_networks(lambda case: pg.count_paths(case.net) <= 2000)
def test_stationary_and_orbit_independent(case, form):
    if form is pg.path_condition and is_met_twice(case):
        with pytest.raises(pg.UnsupportedOperatorError, match="meets the tied parameter"):
            form(case.float64)
        return
    found = form(case.float64)
    assert found
    assert found.residual <= found.tolerance
    before, after = pg.path_lifting(case.float64).values, pg.path_lifting(found.net).values
    assert same(before, after)
    assert found.net.architecture == case.net.architecture
    assert (found.net.fixed == case.float64.fixed).all()
    for seed in range(2):
        other = pg.rescale(case.float64, pg.random_rescaling(case.float64, seed))
        if (other.fixed == case.float64.fixed).all():
            assert same(found.net.theta, form(other).net.theta)
    if form is pg.balance:
        laws = pg.conserved_quantities(found.net)
        assert (np.abs(laws.values) <= CLOSE * (abs(laws.coefficients) @ found.net.theta**2)).all()


@pytest.mark.parametrize("seed", range(3))
def test_powers_of_two_lead_back_to_an_exactly_balanced_network(seed):
    net = flows([4, 4, 4, 4], seed)
    assert not pg.conserved_quantities(net).values.any()
    found = pg.balance(pg.rescale(net, pg.random_rescaling(net, seed, max_exponent=30)))
    assert same(found.net.theta, net.theta)
    assert pg.balance(net).net == net
    assert pg.balance(net).sweeps == 0


@settings(max_examples=60)
@given(relu_dags().flatmap(lambda net: st.tuples(st.just(net), rescalings(net, max_exponent=10))))
def test_the_minimum_of_the_orbit(instance):
    net, factors = instance
    theta = pg.balance(net.to_float()).net.theta
    other = pg.rescale(net, factors).to_float()
    if (other.fixed == net.to_float().fixed).all():
        assert (theta**2).sum() <= (other.theta**2).sum() * (1 + 1e-12)


def objective(net):
    """n log(sum of the diagonal) - sum of its logarithms, by listing paths."""
    matrix = pg.path_lifting(net).jacobian()
    diagonal = [float(sum(row[i] ** 2 for row in matrix.rows if i in row)) for i in range(matrix.shape[1])]
    diagonal = [g for g in diagonal if g]
    return len(diagonal) * log(sum(diagonal)) - sum(map(log, diagonal)) if diagonal else 0.0


@settings(max_examples=60)
@given(
    relu_dags(roles=["parameter"], ties=False, max_hidden=4).flatmap(
        lambda net: st.tuples(st.just(net.with_theta([w or Fraction(1) for w in net.theta])), rescalings(net))
    )
)
def test_path_conditioning_is_the_minimum_of_the_orbit(instance):
    net, factors = instance
    best = objective(pg.path_condition(net.to_float()).net.to_exact())
    assert best <= objective(pg.rescale(net, factors)) + 1e-9


def test_closed_form_step_agrees_with_the_root_finder():
    random = np.random.default_rng(0)
    for _ in range(50):
        logs, exponents = random.normal(size=6), np.array([1, 1, -1, -1, -1, 1])
        rest, total = random.normal(), int(exponents.sum())
        root = coordinate_step(logs, exponents, rest, 8, total)
        shares = np.exp(logs + exponents * root)
        assert abs(8 * exponents @ shares - total * (np.exp(rest) + shares.sum())) < 1e-12 * 8 * shares.sum()
        double = coordinate_step(logs, 2 * exponents, rest, 8, 2 * total)
        shares = np.exp(logs + 2 * exponents * double)
        assert abs(8 * exponents @ shares - total * (np.exp(rest) + shares.sum())) < 1e-9 * 8 * shares.sum()


@pytest.mark.parametrize("size", [-90.0, -3.0, 0.0, 200.0, 900.0])
@pytest.mark.parametrize("sign", [-1, 0, 1])
def test_roots_of_any_range(size, sign):
    """With logarithms as large as they come; X^2 - m X - 1 = 0 has the roots X and -1 / X, so m = X - 1 / X."""
    found = log_root(0.0, sign, size if sign else -INF, 0.0)
    assert found == -log_root(0.0, -sign, size if sign else -INF, 0.0)
    with localcontext(prec=50):
        m = sign * Decimal(size).exp()
        root = ((m + (m * m + 4).sqrt()) / 2).ln() if size > -50 and sign >= 0 else m / 2  # up to m^3, if small
        if sign >= 0:  # log 2, the difference, the exponential of it, arsinh: all relative to what they are
            assert abs(Fraction(found) - Fraction(root)) <= gamma(8) * (1 + abs(Fraction(size))) * Fraction(root)
    # Scaled by s: a / s, m, c s have the root s X.
    moved = log_root(-5.0, sign, size if sign else -INF, 5.0)
    assert abs(moved - (found + 5)) <= gamma(8) * (5 + abs(Fraction(size)) + abs(Fraction(found)))


@pytest.mark.parametrize("form", FORMS)
def test_deep_and_wide(form):
    random = np.random.default_rng(0)
    deep = pg.from_weights([random.normal(size=(1, 1)) for _ in range(60)])
    wide = pg.from_weights([random.normal(size=(30, 20)), random.normal(size=(30, 30)), random.normal(size=(5, 30))])
    for net in (deep, wide, wide.to_float(np.float32)):
        found = form(pg.rescale(net, pg.random_rescaling(net, 0)))
        assert found
        assert found.net.dtype == net.dtype
        assert found.sweeps < 20


@pytest.mark.parametrize("form", FORMS)
def test_factors_lead_to_the_normal_form(form):
    net = REGISTRY["dense"].float64
    found = form(net)
    assert same(pg.rescale(net, found.factors).theta, found.net.theta)


@pytest.mark.parametrize("form", FORMS)
def test_dead_neurons_are_cut(form):
    net = pg.from_weights([[[1.0, 2.0], [0.0, 0.0]], [[3.0, 5.0]]])
    found = form(net)
    assert found
    assert found.net.theta[5] == 0
    assert pg.path_lifting(found.net).values[2:].tolist() == [0, 0]


def test_zero_weights_of_an_input_without_paths_are_conditioned():
    """The input x1 is on no path without a zero; the path through its zero weight has the derivative 3 all the same."""
    before = pg.from_weights([[[2.0, 0.0]], [[3.0]]])
    found = pg.path_condition(before)
    after = [float(g) for g in (np.array(pg.path_lifting(found.net).jacobian().toarray()) ** 2).sum(axis=0)]
    assert found
    assert after[0] == after[1]
    # n (out - in) / total = #out - #in: 3 (c - 2 a) = -(c + 2 a), so c = a.
    assert abs(after[2] - after[0]) <= 2 * found.tolerance * 3 * after[0]


@pytest.mark.parametrize("form", FORMS)
def test_wrong_arguments(form):
    net = pg.from_weights([[[1, 2]], [[3]]])
    with pytest.raises(pg.UnsupportedOperatorError, match=r"to_float\(\)"):
        form(net.to_exact())
    for tolerance in (0, -1, np.nan, np.inf, "a", True):
        with pytest.raises(pg.ParameterError, match=r"tolerance: needed a number in \(0, inf\), got"):
            form(net, tolerance=tolerance)
    for sweeps in (-1, 1.5, None, "a"):
        with pytest.raises(pg.ParameterError, match="max_sweeps: needed an integer >= 0, got"):
            form(net, max_sweeps=sweeps)
    assert not form(pg.rescale(net, {(1, 0): 3}), max_sweeps=0)
