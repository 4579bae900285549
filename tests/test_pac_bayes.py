"""PAC-Bayes bounds: divergences and inversions against 60 digits, closest laws of orbits, the bound end to end."""

import math
import pickle
from decimal import Decimal, localcontext
from fractions import Fraction
from math import comb

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.geometry.closest_gaussian import SMALL_GRADIENT
from tests.networks import on_networks
from tests.oracles import logarithm
from tests.tolerances import assert_close, gamma, unit

NAN, INF = float("nan"), float("inf")


def exact(number):
    return Decimal(Fraction(number).numerator) / Decimal(Fraction(number).denominator)


def exact_divergence(law, prior):
    """The divergence of two laws of floats, to 50 digits."""
    with localcontext(prec=60):
        total = Decimal(0)
        for m, s, c, t in zip(law.mean, law.std, prior.mean, prior.std, strict=True):
            m, s, c, t = (exact(float(number)) for number in (m, s, c, t))
            total += ((s / t) ** 2 + ((m - c) / t) ** 2 - 1) / 2 - (s / t).ln()
        return total


def slack_of(law, prior, spread=0.0):
    """What the divergence is rounded up by, see `divergence_above`: so it is too large by at most twice that.

    `spread` bounds the sums of absolute values that the logarithms of the factors are computed from.
    """
    logs = np.abs(np.log(law.std)), np.abs(np.log(prior.std))
    size = (law.std / prior.std) ** 2 + 1 + ((np.abs(law.mean) + np.abs(prior.mean)) / prior.std) ** 2
    slack = 32 * (spread + sum(logs) + 1) * size + 32 * (size + sum(logs))
    return float(unit()) * math.fsum(slack.tolist()) * (1 + 2**-20)  # its own round-off is far less


def spread_of(found):
    """Sums of combinations of the logarithms of the factors are at most this, one of each."""
    logs = [abs(math.log(factor)) for factor in found.factors.values()]
    return len(logs) * max(logs, default=0.0)


def factor_slack(found):
    """Relative, of a product of two factors: each the exponential of a sum, with its additions, and 16 other units."""
    return float(gamma(math.ceil(16 + (len(found.factors) + 4) * spread_of(found))))


def law_of(size, seed, spread=1.0):
    rng = np.random.default_rng(seed)
    return pg.Gaussian(rng.normal(size=size) * spread, np.exp(spread * rng.normal(size=size)))


# -- divergences ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [1e-3, 1.0, 20.0])
@pytest.mark.parametrize("seed", range(3))
def test_divergence_is_an_upper_bound_and_tight(seed, spread):
    law, prior = law_of(40, seed, spread), law_of(40, seed + 100)
    truth = exact_divergence(law, prior)
    found = pg.gaussian_kl(law, prior)
    assert truth <= exact(found)
    assert exact(found) <= truth + 2 * exact(slack_of(law, prior))


def test_divergence_of_a_law_from_itself():
    law = law_of(1000, 0)
    assert 0 <= pg.gaussian_kl(law, law) <= 2 * slack_of(law, law)


def test_laws_are_values():
    law = pg.Gaussian([1, 2], 3)
    assert law == pg.Gaussian([1.0, 2.0], [3.0, 3.0])
    assert law != pg.Gaussian([1, 2], 4)
    assert law != "law"
    assert law.scaled(2) == pg.Gaussian([1, 2], 6)
    assert len(pg.Gaussian(0.0, [1.0, 1.0])) == 2
    assert np.array_equal(law.sample(2, 5), law.sample(2, np.random.default_rng(5)))
    draws = pg.Gaussian([1.0], 0.5).sample(4000, 0)
    assert abs(draws.mean() - 1) < 5 * 0.5 / 4000**0.5
    with pytest.raises(ValueError, match="read-only"):
        law.mean[0] = 5


# -- the closest law of an orbit ------------------------------------------------------------------------------------


@on_networks()
def test_closest_law_is_a_rescaling(case):
    net = case.float64
    size = len(net.theta)
    for centre in (0.0, law_of(size, 3, 0.5).mean):
        law, prior = law_of(size, 1, 0.5), pg.Gaussian(centre, np.ones(size))
        found = pg.closest_gaussian(net, law, prior)
        rescaled = pg.rescale(net.with_theta(law.mean), found.factors)
        generic = net.with_theta(np.ones(size)).map_values(np.abs)
        on_path = pg.path_marginals(generic) > 0  # through no fixed value that is zero
        assert np.allclose(found.law.mean[on_path], rescaled.theta[on_path], rtol=factor_slack(found), atol=0)
        assert np.array_equal(found.law.mean[~on_path], prior.mean[~on_path])
        assert found.residual <= SMALL_GRADIENT
        slack = 2 * slack_of(found.law, prior, spread_of(found))
        assert found.divergence <= found.before + slack
        assert abs(found.divergence - pg.gaussian_kl(found.law, prior)) <= slack


@on_networks(lambda case: len(case.net.hidden) > 0)
def test_closest_law_belongs_to_the_orbit(case):
    net = case.float64
    law, prior = law_of(len(net.theta), 2, 0.5), pg.Gaussian(0.0, np.full(len(net.theta), 2.0))
    found = pg.closest_gaussian(net, law, prior)
    # frozen values must stay, so only factors that leave them alone are tried
    nothing = pg.rescale(net, found.factors)
    assert np.allclose(nothing.fixed, net.fixed, rtol=factor_slack(found), atol=0)
    factors = {v: lam**3 for v, lam in found.factors.items()}
    mean, std = (pg.rescale(net.with_theta(values), factors).theta for values in (law.mean, law.std))
    other = pg.closest_gaussian(net, pg.Gaussian(mean, std), prior)
    gap = sum(2 * slack_of(one.law, prior, spread_of(one)) for one in (found, other))
    assert abs(other.divergence - found.divergence) <= gap
    # At the minimum the first derivative vanishes, so that the divergence grows by sum w (e^2d - 1 - 2d) / 2 >=
    # sum w d^2 / 2 for changes d of the logarithms, -1 <= d: either law is within sqrt(2 gap / w) of the closest one.
    weights = (found.law.std**2 + found.law.mean**2) / prior.std**2
    assert (np.abs(np.log(other.law.std / found.law.std)) <= 2 * np.sqrt(2 * gap / weights)).all()


MLP = pg.from_weights([np.ones((4, 3)), np.ones((3, 4)), np.ones((2, 3))], [np.ones(4), np.ones(3), np.ones(2)])


@pytest.mark.parametrize("max_exponent", [1, 8, 60])
@pytest.mark.parametrize("centred", [True, False])
def test_far_laws_of_one_orbit_have_one_closest_law(max_exponent, centred):
    size = len(MLP.theta)
    law = law_of(size, 0, 0.7)
    prior = pg.Gaussian(0.0 if centred else law.mean + 0.3 * law_of(size, 9).mean, np.full(size, 0.5))
    best = pg.closest_gaussian(MLP, law, prior)
    for seed in range(3):
        factors = pg.random_rescaling(MLP, seed, max_exponent=max_exponent)
        mean, std = (pg.rescale(MLP.with_theta(values), factors).theta for values in (law.mean, law.std))
        found = pg.closest_gaussian(MLP, pg.Gaussian(mean, std), prior)
        slack = sum(2 * slack_of(one.law, prior, spread_of(one)) for one in (found, best))
        assert abs(found.divergence - best.divergence) <= slack
        assert found.before > found.divergence


def test_no_neighbour_is_closer():
    law, prior = law_of(len(MLP.theta), 5), pg.Gaussian(0.0, np.ones(len(MLP.theta)))
    best = pg.closest_gaussian(MLP, law, prior)
    least = best.divergence - 2 * slack_of(best.law, prior, spread_of(best))
    rng = np.random.default_rng(0)
    for size in (1e-3, 0.1, 1.0):
        for _ in range(10):
            factors = {v: math.exp(size * rng.normal()) for v in MLP.hidden}
            mean, std = (pg.rescale(MLP.with_theta(part), factors).theta for part in (best.law.mean, best.law.std))
            assert pg.gaussian_kl(pg.Gaussian(mean, std), prior) > least


def test_closed_form_of_one_neuron():
    """a = s^2 + mu^2 of the edge and the bias that enter, c of the edge that leaves, m = 1: a X^2 - X - c = 0."""
    net = pg.from_weights([[[1.0]], [[1.0]]], [[1.0], None])
    law, prior = pg.Gaussian([1.0, 2.0, 3.0], [1.0, 2.0, 1.0]), pg.Gaussian(0.0, [1.0, 2.0, 0.5])
    # the order of the parameters is weight, bias, weight
    a, c = 2 / 1 + 8 / 4, 10 / 0.25
    root = (1 + math.sqrt(1 + 4 * a * c)) / (2 * a)
    found = pg.closest_gaussian(net, law, prior)
    # The derivative of aX - m - c/X in log X is at least half the sum of its terms, to which the residual is relative;
    # the residual, the root and the factor are computed in less than 40 roundings.
    assert_close(found.factors[1, 0] ** 2, Fraction(root), 2 * Fraction(found.residual) + gamma(2 * 40))


def test_rescaled_draws_are_the_same_function():
    law, prior = law_of(len(MLP.theta), 5), pg.Gaussian(0.0, np.ones(len(MLP.theta)))
    best = pg.closest_gaussian(MLP, law, prior)
    ratio = best.law.std / law.std
    # per evaluation fan-in + 1 roundings and a bias at each level; three ratios on a path
    slack = float(gamma(2 * ((3 + 2) + (4 + 2) + (3 + 2)))) + 3 * factor_slack(best)
    x = np.random.default_rng(1).normal(size=(20, 3))
    for draw in law.sample(5, 0):
        size = MLP.with_theta(np.abs(draw))(np.abs(x))
        assert (np.abs(MLP.with_theta(draw)(x) - MLP.with_theta(draw * ratio)(x)) <= slack * size).all()


def test_results_are_values():
    law, prior = law_of(len(MLP.theta), 5), pg.Gaussian(0.0, np.ones(len(MLP.theta)))
    results = [pg.pac_bayes_bound(MLP, prior, law, errors=[0.5], n_samples=9) for _ in range(2)]
    assert results[0] == results[1] == pickle.loads(pickle.dumps(results[0]))
    assert results[0] != pg.pac_bayes_bound(MLP, prior, law, errors=[0.5], n_samples=8)
    assert "after rescaling, 9 samples, vacuous" in repr(results[0])
    assert "residual" in repr(results[0].closest)


def test_architectures_will_do():
    law, prior = law_of(len(MLP.theta), 5), pg.Gaussian(0.0, np.ones(len(MLP.theta)))
    one, two = (pg.closest_gaussian(net, law, prior) for net in (MLP, MLP.architecture))
    assert (one.law, one.factors, one.divergence) == (two.law, two.factors, two.divergence)


# -- the inversion --------------------------------------------------------------------------------------------------


def exact_kl(q, p):
    with localcontext(prec=60):
        q, p = exact(q), exact(p)
        terms = [a * (a / b).ln() for a, b in ((q, p), (1 - q, 1 - p)) if a]
        return sum(terms, Decimal(0))


@pytest.mark.parametrize("q", [0.0, 1e-12, 0.01, 0.25, 0.4999, 0.5, 0.75, 0.999, 1 - 2**-40])
@pytest.mark.parametrize("budget", [0.0, 1e-18, 1e-9, 1e-3, 0.1, 1.0, 30.0, 800.0])
def test_inverse_is_above_and_near(q, budget):
    p = pg.kl_inverse(q, budget)
    assert q <= p <= 1
    if p < 1:
        assert exact_kl(q, p) >= exact(budget)
        # The float below p did not reach the budget for sure, that is, up to twice the round-off of its divergence.
        below = math.nextafter(p, 0)
        first = q * abs(math.log(q / p)) if q else 0.0
        size = first + 2 + (-math.log(1 - p) if p > 0.49 else 0) if p > 0.49 else first + 4 * budget + q
        assert below < q or exact_kl(q, below) <= exact(budget) + exact(size) * Decimal(2) ** -47


def test_ends_of_the_inverse():
    assert pg.kl_inverse(0.3, INF) == 1
    assert pg.kl_inverse(1, 0) == 1
    # -log(1 - p) exceeds 1 by at most twice the 16 units of abs(log(1 - p)) + 1, and 1 - p < p
    assert_close(pg.kl_inverse(0, 1.0), 1 - 1 / Fraction(Decimal(1).exp()), gamma(2 * 16 * 2))
    values = [pg.kl_inverse(0.2, c) for c in (0, 1e-6, 1e-3, 0.1, 1, 10)]
    assert values == sorted(values)


@pytest.mark.parametrize("p", [Fraction(1, 10), Fraction(1, 2), Fraction(7, 8)])
def test_the_estimate_fails_as_seldom_as_it_says(p):
    """Exactly: the probability of the frequencies whose upper bound lies below p, for a budget of log(1/delta)/n."""
    n, delta = 30, Fraction(1, 20)
    budget = float(logarithm(1 / delta)) / n
    bad = [k for k in range(n + 1) if pg.kl_inverse(k / n, budget) < p]
    assert sum(comb(n, k) * p**k * (1 - p) ** (n - k) for k in bad) <= delta


@pytest.mark.parametrize("number", [Fraction(1), Fraction(2), Fraction(1, 3), Fraction(10**40, 7), Fraction(1, 10**9)])
def test_rational_bounds_on_logarithms(number):
    from pathgraph_proofs_checks.logarithms import log_above, log_below

    truth = Fraction(logarithm(number))
    low, high = log_below(number), log_above(number)
    assert low <= truth + Fraction(1, 10**58)
    assert high >= truth - Fraction(1, 10**58)
    assert high - low <= (1 + abs(truth)) / 2**70
    with pytest.raises(ValueError, match="positive"):
        log_below(-number)


# -- the bound --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [Fraction(1, 10), Fraction(1, 2)])
def test_the_bound_fails_as_seldom_as_it_says(p):
    """With the prior as posterior and no estimate to speak of, exactly."""
    net = pg.from_weights([[[1.0]]])
    law = pg.Gaussian([0.0], 1.0)
    n, delta = 40, 0.1
    bad = 0
    for k in range(n + 1):
        errors = np.full(10**4, k / n)
        bound = pg.pac_bayes_bound(net, law, law, errors=errors, n_samples=n, delta=delta)
        bad += comb(n, k) * p**k * (1 - p) ** (n - k) if bound.risk < p else 0
    assert bad <= delta


def test_the_bound_is_its_formula():
    law, prior = law_of(len(MLP.theta), 5, 0.3), pg.Gaussian(0.0, np.ones(len(MLP.theta)))
    errors = np.linspace(0, 0.2, 500)
    bound = pg.pac_bayes_bound(
        MLP, prior, law, errors=errors, n_samples=400, delta=0.03, delta_draws=0.02, scales=(0.5, 1, 2)
    )
    # kl_inverse grows with both arguments, which are rounded upwards, by less than 32 units
    up, budget = 1 + float(gamma(32)), -math.log(0.02) / 500
    assert pg.kl_inverse(0.1 / up, budget / up) <= bound.empirical_upper <= pg.kl_inverse(0.1 * up, budget * up)
    upper = bound.empirical_upper
    best = min((pg.closest_gaussian(MLP, law, prior.scaled(c)).divergence, c) for c in (0.5, 1, 2))
    assert (bound.divergence, bound.scale) == best
    budget = (best[0] + math.log(2 * math.sqrt(400) / 0.03 * 3)) / 400
    assert pg.kl_inverse(upper, budget / up) <= bound.risk <= pg.kl_inverse(upper, budget * up)
    assert bound.confidence == 1 - 0.03 - 0.02
    plain = pg.pac_bayes_bound(
        MLP, prior, law, errors=errors, n_samples=400, delta=0.03, delta_draws=0.02, scales=(0.5, 1, 2), rescale=False
    )
    assert plain.risk == plain.unrescaled == bound.unrescaled >= bound.risk
    assert plain.closest is None
    assert "0.95" in bound.statement


def test_draws_on_data():
    law, prior = law_of(len(MLP.theta), 5, 0.3), pg.Gaussian(0.0, np.ones(len(MLP.theta)))
    x = np.random.default_rng(0).normal(size=(50, 3))
    labels = MLP.with_theta(law.mean)(x).argmax(axis=1)
    bound = pg.pac_bayes_bound(MLP, prior, law, data=x, labels=labels, n_draws=30, rng=7)
    draws = np.random.default_rng(7)
    errors = [(MLP.with_theta(law.sample(1, draws)[0])(x).argmax(axis=1) != labels).mean() for _ in range(30)]
    assert bound.empirical == math.fsum(errors) / 30
    assert (bound.n_samples, bound.n_draws) == (50, 30)
    same = pg.pac_bayes_bound(MLP, prior, law, errors=errors, n_samples=50)
    assert same.risk == bound.risk
    exact_net = pg.pac_bayes_bound(MLP.to_exact(), prior, law, data=x, labels=labels, n_draws=30, rng=7)
    assert exact_net.risk == bound.risk


def test_a_stochastic_network_on_digits():
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_digits

    from pathgraph_proofs_checks.stochastic import sample_errors, starting_law, train_gaussian

    images, labels = load_digits(return_X_y=True)
    images, labels, widths = images[:700] / 16, labels[:700], (64, 8, 10)
    start = starting_law(widths, 0.05)
    prior = pg.Gaussian(0.0, np.ones(len(start)))
    law = train_gaussian(widths, images, labels, prior, start, weight=1.5, n_steps=100, rate=0.06)
    net = pg.from_weights([np.ones((8, 64)), np.ones((10, 8))], [np.ones(8), np.ones(10)])
    errors = sample_errors(widths, law, images, labels, 20)
    bound = pg.pac_bayes_bound(net, prior, law, errors=errors, n_samples=len(images))
    assert not bound.is_vacuous
    assert bound.risk < 0.8
    factors = pg.random_rescaling(net, 3)
    mean, std = (pg.rescale(net.with_theta(part), factors).theta for part in (law.mean, law.std))
    other = pg.pac_bayes_bound(net, prior, pg.Gaussian(mean, std), errors=errors, n_samples=len(images))
    slack = sum(2 * slack_of(one.closest.law, prior, spread_of(one.closest)) for one in (bound, other))
    confidence, up = math.log(2 * math.sqrt(len(images)) / bound.delta), 1 + float(gamma(64))
    low, high = (
        pg.kl_inverse(bound.empirical_upper, (bound.divergence + sign * slack + confidence) * up**sign / len(images))
        for sign in (-1, 1)
    )
    assert low <= other.risk <= high
    assert other.unrescaled == 1
    draws = np.array([(net.with_theta(draw)(images).argmax(axis=1) != labels).mean() for draw in law.sample(100, 0)])
    deviations = draws.std() / len(draws) ** 0.5 + errors.std() / len(errors) ** 0.5
    assert abs(draws.mean() - errors.mean()) < 6 * deviations


def test_gradient_of_the_training():
    from pathgraph_proofs_checks.stochastic import _forward, _gradient, starting_law

    widths, rng = (3, 4, 5, 2), np.random.default_rng(1)
    law = starting_law(widths, 0.3)
    x, labels = rng.random((6, 3)), rng.integers(0, 2, 6)

    def loss(mean, std):
        scores = _forward(widths, x, mean, std, np.random.default_rng(3))[-1][-1]
        return np.mean(np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(6), labels])

    gradient = _gradient(widths, x, labels, law.mean, law.std, np.random.default_rng(3))
    direction = rng.normal(size=gradient.shape)

    def difference(h):
        ends = (loss(law.mean + step * direction[0], law.std * np.exp(step * direction[1])) for step in (h, -h))
        return (next(ends) - next(ends)) / (2 * h)

    # The error of a central difference falls to a quarter when h is halved: it then is a third of the change.
    coarse, fine = difference(2**-9), difference(2**-10)
    assert 0 < abs(coarse - fine) < abs(fine) / 1000
    assert abs(fine - (gradient * direction).sum()) <= abs(coarse - fine)


# -- what is refused ------------------------------------------------------------------------------------------------

NET = pg.from_weights([[[1.0], [2.0]]])
LAW = pg.Gaussian([0.0, 0.0], 1.0)
GOOD = {"errors": [0.5], "n_samples": 10}


def bound(**changes):
    return pg.pac_bayes_bound(
        changes.pop("net", NET), changes.pop("prior", LAW), changes.pop("posterior", LAW), **(GOOD | changes)
    )


BAD = {
    "a negative deviation": (lambda: pg.Gaussian([0.0], [-1.0]), "std.*-1.0"),
    "a zero deviation": (lambda: pg.Gaussian([0.0, 1.0], [1.0, 0.0]), "std.*> 0.*0.0 at 1"),
    "a NaN mean": (lambda: pg.Gaussian([NAN], 1.0), "mean.*nan"),
    "an infinite deviation": (lambda: pg.Gaussian([0.0], INF), "std.*inf"),
    "a mean of text": (lambda: pg.Gaussian(["a"], 1.0), "mean"),
    "a mean of truth values": (lambda: pg.Gaussian([True], 1.0), "mean"),
    "other shapes": (lambda: pg.Gaussian([0.0, 1.0], [1.0, 1.0, 1.0]), r"std.*\(2,\).*\(3,\)"),
    "two scalars": (lambda: pg.Gaussian(0.0, 1.0), "std.*one array"),
    "a matrix": (lambda: pg.Gaussian([[0.0]], 1.0), "std"),
    "a negative scale": (lambda: LAW.scaled(-1), "std"),
    "divergence of other sizes": (lambda: pg.gaussian_kl(LAW, pg.Gaussian([0.0], 1.0)), "prior.*2.*1"),
    "divergence of arrays": (lambda: pg.gaussian_kl(np.ones(2), LAW), "law.*Gaussian.*ndarray"),
    "closest of another size": (lambda: pg.closest_gaussian(NET, pg.Gaussian([0.0], 1.0), LAW), "law.*2.*1"),
    "a mean above 1": (lambda: pg.kl_inverse(1.5, 1), "mean.*1.5"),
    "a NaN mean to invert": (lambda: pg.kl_inverse(NAN, 1), "mean.*nan"),
    "a negative budget": (lambda: pg.kl_inverse(0.5, -1), "budget.*-1"),
    "no network": (lambda: bound(net=[[1.0]]), "net.*list"),
    "a prior of another size": (lambda: bound(prior=pg.Gaussian([0.0], 1.0)), "prior.*2.*1"),
    "a posterior that is none": (lambda: bound(posterior=np.zeros(2)), "posterior.*Gaussian"),
    "delta 0": (lambda: bound(delta=0), "delta.*0"),
    "delta 1": (lambda: bound(delta=1.0), "delta.*1"),
    "deltas that add up to 1": (lambda: bound(delta=0.5, delta_draws=0.5), "delta_draws.*0.5"),
    "no scale": (lambda: bound(scales=()), "scales"),
    "a scale of 0": (lambda: bound(scales=(0.0,)), "scales"),
    "a scale that is no sequence": (lambda: bound(scales=2.0), "scales.*2.0"),
    "rescale of text": (lambda: bound(rescale="yes"), "rescale"),
    "no errors and no data": (lambda: bound(errors=None), "errors.*data"),
    "errors and data": (lambda: bound(data=[[1.0]]), "errors.*data"),
    "errors and labels": (lambda: bound(labels=[0]), "labels"),
    "errors beyond 1": (lambda: bound(errors=[0.5, 1.5]), "errors.*0, 1.*1.5 at 1"),
    "NaN errors": (lambda: bound(errors=[NAN]), "errors.*nan at 0"),
    "no draws": (lambda: bound(errors=[]), "errors"),
    "no sample size": (lambda: bound(n_samples=None), "n_samples"),
    "a sample size of 0": (lambda: bound(n_samples=0), "n_samples.*0"),
    "data of another width": (lambda: bound(errors=None, data=[[1.0, 2.0]], labels=[0]), r"data.*\(n, 1\)"),
    "data without labels": (lambda: bound(errors=None, n_samples=None, data=[[1.0]]), "labels"),
    "data NaN": (lambda: bound(errors=None, n_samples=None, data=[[NAN]], labels=[0]), "data.*finite"),
    "ragged labels": (lambda: bound(errors=None, n_samples=None, data=[[1.0]], labels=[[0], [0, 1]]), "labels.*1 int"),
    "a complex delta": (lambda: bound(delta=np.complex128(0.5)), "delta"),
    "labels of no class": (lambda: bound(errors=None, n_samples=None, data=[[1.0]], labels=[2]), "labels.*2"),
    "no draws on data": (lambda: bound(errors=None, data=[[1.0]], labels=[0], n_draws=0), "n_draws"),
    "another number of rows": (lambda: bound(errors=None, data=[[1.0]], labels=[0]), "n_samples.*1 rows.*10"),
    "data for an architecture": (lambda: bound(net=NET.architecture, errors=None, data=[[1.0]], labels=[0]), "net"),
    "one output": (
        lambda: pg.pac_bayes_bound(pg.from_weights([[[1.0, 1.0]]]), LAW, LAW, data=[[1.0, 1.0]], labels=[0]),
        "two outputs",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name):
    call, words = BAD[name]
    with pytest.raises(pg.ParameterError, match=f"(?s){words}"):
        call()


def test_divergences_beyond_floats():
    far = pg.Gaussian([1e200, 0.0], 1.0)
    with pytest.raises(pg.RangeError, match="divergence"):
        pg.gaussian_kl(far, LAW)
    with pytest.raises(pg.RangeError, match="divergence"):
        bound(posterior=far)
    assert bound(posterior=far, rescale=False).risk == 1


def test_the_inverse_among_subnormal_numbers():
    """It may be loose there, but not below the supremum, which is above the mean."""
    for tiny in (5e-324, 1e-310, 1e-300):
        assert pg.kl_inverse(tiny, tiny) >= pg.kl_inverse(2.0**-900, 2.0**-900) > 2.0**-900
        assert 0 < pg.kl_inverse(0, tiny) < 1e-250
