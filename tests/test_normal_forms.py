"""Balanced and path-conditioned networks: stationary, the same for a whole orbit, and the minimum."""

import math
from collections import namedtuple
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pathgraph as pg
from pathgraph.geometry.coordinate_steps import PRECISION, log_root
from pathgraph.geometry.orbit_objective import coordinate_step
from pathgraph.geometry.potentials import potentials, reach
from pathgraph.testing import relu_dags, rescalings
from tests.networks import REGISTRY, on_networks
from tests.tolerances import gamma, unit

INF = float("inf")
FORMS = [pg.balance, pg.path_condition]


class Slack:
    """How far a normal form may be from the minimum of its orbit, by its residual and by round-off.

    Up to constants the forms minimise F = n log sum_i t_i exp(v_i) - r sum_i v_i over v = C z, where t are the squares
    of the parameters (r = 0), or the diagonal (r = 1); v / 2 moves the logarithms of parameters. By a residual tau each
    component of the gradient d is at most tau T, T being the sum of the absolute values of its terms. In the norm of
    the curvature H that is at most e = tau sqrt(T abs(1/H) T), and the minimum is at most b = e max_i |C_i| away in any
    v_i, were H constant; it changes by a factor of at most exp(2 max abs(v)), as the third moment of numbers in an
    interval is at most its length times the second, so that 2 b is a bound for b <= 1/4. F is then at most 2 e**2 above
    its minimum.
    """

    def __init__(self, form, found):
        architecture, net = found.net.architecture, found.net.to_float(np.float64)
        taking_part, linear = reach(architecture, net.values != 0).on_path.copy(), int(form is pg.path_condition)
        terms = net.theta**2
        if linear:
            terms = np.asarray(pg.path_lifting(net).jacobian().toarray() ** 2).sum(axis=0)
            free = architecture.parameter >= 0
            taking_part[free] |= terms[architecture.parameter[free]] > 0
        basis = potentials(architecture, taking_part)
        exponents = basis.on_parameters.toarray()[:, basis.acts_on].astype(float)
        # A move z multiplies each parameter by powers of its factors: their logarithms, sums of them, an exponential.
        size = max((abs(np.log(factor)) for factor in found.factors.values()), default=0)
        most = abs(exponents).sum(axis=0).max(initial=0)
        self.rounding = float(gamma(math.ceil(4 * most * (size + 1)) + 4))
        self.parameter = self.rounding
        self.excess = 0.0
        if not exponents.any():
            return
        shares = terms[basis.acts_on] / terms[basis.acts_on].sum()
        n, mean = len(shares), exponents @ shares
        inverse = np.linalg.pinv(n * ((exponents * shares) @ exponents.T - np.outer(mean, mean)), hermitian=True)
        scale = n * abs(exponents) @ shares + linear * abs(exponents.sum(axis=1))
        # Twice the tolerance: what is off the orbit by round-off, and the round-off of the residual itself, are less.
        error = 2 * found.tolerance * np.sqrt(scale @ abs(inverse) @ scale)
        away = error * np.sqrt(np.einsum("ki,kl,li->i", exponents, inverse, exponents).max())
        assert away <= 1 / 4
        assert self.rounding <= found.tolerance / 4
        self.parameter += away
        self.excess = 2 * error**2


def is_met_twice(case):
    """Whether a path meets a tied parameter twice."""
    name = {part: name for part, _, _, name in case.oracle.entries() if name is not None}
    met = [[name[part] for part in case.oracle.parts(path) if part in name] for path in case.oracle.paths()]
    return any(len(names) != len(set(names)) for names in met)


def same(a, b, slack):
    return bool((np.abs(a - b) <= np.expm1(slack) * np.abs(a)).all())


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
    slack = Slack(form, found)
    before, after = pg.path_lifting(case.float64), pg.path_lifting(found.net)
    longest = max(len(path) for path in before.paths) + 1
    assert same(before.values, after.values, longest * slack.rounding + float(gamma(2 * longest)))
    assert found.net.architecture == case.net.architecture
    assert (found.net.fixed == case.float64.fixed).all()
    for seed in range(2):
        other = pg.rescale(case.float64, pg.random_rescaling(case.float64, seed))
        if (other.fixed == case.float64.fixed).all():
            again = form(other)
            assert same(found.net.theta, again.net.theta, slack.parameter + Slack(form, again).parameter)
    if form is pg.balance:
        laws = pg.conserved_quantities(found.net)
        assert (np.abs(laws.values) <= 2 * found.tolerance * (abs(laws.coefficients) @ found.net.theta**2)).all()


@pytest.mark.parametrize("seed", range(3))
def test_powers_of_two_lead_back_to_an_exactly_balanced_network(seed):
    net = flows([4, 4, 4, 4], seed)
    assert not pg.conserved_quantities(net).values.any()
    found = pg.balance(pg.rescale(net, pg.random_rescaling(net, seed, max_exponent=30)))
    assert same(found.net.theta, net.theta, Slack(pg.balance, found).parameter)
    assert pg.balance(net).net == net
    assert pg.balance(net).sweeps == 0


@settings(max_examples=60)
@given(relu_dags().flatmap(lambda net: st.tuples(st.just(net), rescalings(net, max_exponent=10))))
def test_the_minimum_of_the_orbit(instance):
    net, factors = instance
    found = pg.balance(net.to_float())
    other = pg.rescale(net, factors).to_float()
    if (other.fixed == net.to_float().fixed).all():
        slack = Slack(pg.balance, found)
        # F / n is the logarithm of the sum; squares are off by two roundings, and are added here, in both.
        share = slack.excess / max(1, len(net.theta)) + 2 * slack.rounding + 2 * float(gamma(len(net.theta) + 2))
        assert (found.net.theta**2).sum() <= (other.theta**2).sum() * (1 + share)


Found = namedtuple("Found", "value size")


def objective(net):
    """n log(sum of the diagonal) - sum of its logarithms, by listing paths; and the sum of the absolute values."""
    matrix = pg.path_lifting(net).jacobian()
    diagonal = [float(sum(row[i] ** 2 for row in matrix.rows if i in row)) for i in range(matrix.shape[1])]
    diagonal = [g for g in diagonal if g]
    if not diagonal:
        return Found(0.0, 0.0)
    whole, logs = len(diagonal) * math.log(sum(diagonal)), list(map(math.log, diagonal))
    # the sum of the diagonal is rounded before its logarithm is taken
    return Found(whole - sum(logs), abs(whole) + sum(map(abs, logs)) + len(diagonal))


@settings(max_examples=60)
@given(
    relu_dags(roles=["parameter"], ties=False, max_hidden=4).flatmap(
        lambda net: st.tuples(st.just(net.with_theta([w or Fraction(1) for w in net.theta])), rescalings(net))
    )
)
def test_path_conditioning_is_the_minimum_of_the_orbit(instance):
    net, factors = instance
    found = pg.path_condition(net.to_float())
    best, other = objective(found.net.to_exact()), objective(pg.rescale(net, factors))
    slack, n = Slack(pg.path_condition, found), len(net.theta)
    # A diagonal entry moves by twice as much, in its logarithm, as the parameters on a path of at most all neurons;
    # with n terms in a sum, F moves by at most 2 n times that. Its logarithms are rounded, too.
    moved = 2 * n * 2 * (len(net.nodes) + 1) * slack.rounding
    assert best.value - other.value <= slack.excess + moved + float(gamma(n + 4)) * (best.size + other.size)


def test_closed_form_step_agrees_with_the_root_finder():
    random = np.random.default_rng(0)
    signs = set()
    for _ in range(50):
        logs, exponents = random.normal(size=6), np.array([1, -1, *random.choice([-1, 1], size=4)])
        rest, total = random.normal(), int(exponents.sum())
        signs.add(np.sign(total))
        for k in (
            1,
            2,
        ):  # in closed form, and not: with exponents and a total of twice the size the equation is the same
            root = coordinate_step(logs, k * exponents, rest, 8, k * total)
            shares = np.exp(logs + k * exponents * root)
            # The root: logarithms of sums of 6 terms, and four operations with them; or the precision of the root
            # finder, absolute and 8 units of the root. That times the slope, which is at most k times the terms.
            size = abs(logs).max() + abs(rest) + abs(k * root) + 3
            step = float(gamma(24)) * size + k * (PRECISION + 8 * float(unit()) * abs(root))
            terms = 8 * shares.sum() + abs(total) * (np.exp(rest) + shares.sum())
            assert abs(8 * exponents @ shares - total * (np.exp(rest) + shares.sum())) <= step * terms
    assert signs == {-1, 0, 1}


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
    # Each factor, which is an exponential, and products and quotients of them
    assert same(pg.rescale(net, found.factors).theta, found.net.theta, 2 * Slack(form, found).rounding)


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


def test_factors_and_parameters_at_the_ends_of_the_range():
    """The logarithms of the first parameters move by more than exponentials can say; the second network by less."""
    far = pg.from_weights([[[1e-300]], [[1e-300]], [[1e300]], [[1e300]]])
    for form in (pg.balance, pg.path_condition):
        with pytest.raises(pg.RangeError, match=r"the factor of \(2, 0\) leaves the range of float64"):
            form(far)
    near = pg.from_weights([[[1e-308]], [[1e308]]])
    balanced = pg.balance(near)
    assert balanced
    # two logarithms of 709, their half difference and their sums with it are off by an ulp, 2**-43, at most
    assert balanced.net.theta == pytest.approx([1, 1], rel=6 * 2.0**-43)
