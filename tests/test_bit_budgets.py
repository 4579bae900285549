"""Bits by group against brute force, and the convex rescaling against its lower bound and its neighbours."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.errors import ParameterError, RangeError
from pathgraph.quantization.budgets import relaxed_bits
from pathgraph.quantization.sensitivities import sensitivities
from pathgraph.scalars import object_array
from tests.networks import on_networks
from tests.test_pruning import layers_of
from tests.tolerances import unit


def perceptron(seed=0, widths=(3, 4, 3, 2), bias=True):
    random = np.random.default_rng(seed)
    return pg.from_weights(
        [random.normal(size=(m, n)) * math.sqrt(2 / n) for n, m in itertools.pairwise(widths)],
        [random.normal(size=m) / 4 if bias else None for m in widths[1:]],
    )


# -- slopes -------------------------------------------------------------------------------------------------------


@on_networks(lambda case: "tied" not in str(case))
def test_slopes_are_differences_of_path_norms(case):
    """The path-norm is affine in each parameter that stands at one place."""
    net = case.net
    sizes, slopes = sensitivities(net)
    norm = pg.path_norm(net)
    for i, w in enumerate(net.theta.tolist()):
        if w != 0:
            grown = net.theta.copy()
            grown[i] = 2 * w
            assert (pg.path_norm(net.with_theta(grown)) - norm) == sizes[i] * slopes[i]
        else:
            assert slopes[i] == 0


def test_the_invariant_counts_the_parameters_of_each_path():
    net = perceptron().to_exact()
    lifting = pg.path_lifting(net)
    total = sum(
        abs(value) * (len(path) - (path[0] in net.inputs))
        for path, value in zip(lifting.paths, lifting.values, strict=True)
    )
    assert sensitivities(net).invariant == total
    rescaled = pg.rescale(net, pg.random_rescaling(net, 0))
    assert sensitivities(rescaled).invariant == total
    largest = max(abs(net.theta))
    assert largest * sum(sensitivities(net).slopes) >= total


def nearest(number):
    """The nearest float, and one unit of it: the smallest one for subnormal numbers."""
    return float(number), max(abs(Fraction(number)) * unit(), Fraction(5e-324))


ROUNDINGS = 8
"""Of a slope in a chain of three: of two products in each sweep, two of the mass, the quotient, and the float."""
CHAINS = list(itertools.product([1e-200, 1e200, 1e-310, 5e-324, 1.0, 1.7e308], repeat=2))
CHAINS += [(1e-200,) * 3, (1e-200, 1e-200, 1e300), (1e200, 1e-200, 1e200), (1e300, 1e-300, 1e-300)]


@pytest.mark.parametrize("makes", [lambda *w: pg.from_weights(w), layers_of], ids=["neurons", "layers"])
@pytest.mark.parametrize("weights", CHAINS, ids=str)
def test_slopes_are_right_although_their_products_with_sizes_leave_the_range(weights, makes):
    net = makes(*([[w]] for w in weights))
    exact = sensitivities(net.to_exact())
    if max(exact.slopes) > Fraction(1.7976931348623157e308):
        with pytest.raises(RangeError, match="sensitivities: a value leaves"):
            sensitivities(net)
        return
    for ours, theirs in zip(sensitivities(net).slopes.tolist(), exact.slopes.tolist(), strict=True):
        value, step = nearest(theirs)
        assert abs(Fraction(ours) - Fraction(value)) <= ROUNDINGS * step
    if exact.invariant < 1e308:
        assert math.isfinite(sensitivities(net).invariant)


def test_a_slope_is_right_where_only_its_own_mass_vanishes():
    """The sums around it are in the range of floats: only the product with the parameter itself is not."""
    for net in (layers_of([[1.0, 1.0], [1.0, 1e-200]], [[1.0, 1e-150]]), layers_of([[1.0, 1e-300]], [[1e-10]])):
        for theirs, ours in zip(sensitivities(net.to_exact()).slopes, sensitivities(net).slopes.tolist(), strict=True):
            value, step = nearest(theirs)
            assert abs(Fraction(ours) - Fraction(value)) <= (ROUNDINGS + 1) * step  # and a sum of two


# -- relaxed bits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_relaxed_bits_are_optimal(seed):
    """No shift of error between two groups that keeps the constraint costs less."""
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 6))
    costs, counts = (10.0 ** random.uniform(-4, 3, size=n)).tolist(), random.integers(1, 50, size=n).tolist()
    eps = 10.0 ** random.uniform(-2, 2)
    bits = relaxed_bits(costs, counts, eps)
    errors = [a * 2.0**-b for a, b in zip(costs, bits, strict=True)]
    assert min(bits) >= 0
    if sum(costs) <= eps:
        assert bits == [0.0] * n
        return
    # bits: a logarithm correct to 2 units, of a quotient of 4 roundings; 2**-b and the products: 3 units; sums: n units
    slack = unit() * Fraction(2 * max(bits) + n + 16)
    assert abs(sum(map(Fraction, errors)) - Fraction(eps)) <= slack * Fraction(eps)
    for g, h in itertools.permutations(range(n), 2):
        step = min(errors) * 1e-3
        if errors[g] + step > costs[g] or errors[h] <= step:
            continue
        saved = counts[g] * math.log1p(step / errors[g])
        spent = -counts[h] * math.log1p(-step / errors[h])
        assert spent >= saved * (1 - 3 * slack), "both errors are off by the slack, the logarithms by less"


# -- whole bits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [Fraction(1, 2), Fraction(1, 50)])
@pytest.mark.parametrize("seed", range(3))
def test_allocations_keep_the_accuracy_and_are_near_the_best(seed, eps):
    net = perceptron(seed).to_exact()
    allocation = pg.allocate_bits(net, eps)
    rounded = pg.quantize(net, allocation.quantizers, by="layer")
    assert pg.parameter_lipschitz(net, rounded, method="meet").upper <= allocation.bound <= eps
    for label in allocation.bits:
        largest = max(
            abs(w)
            for w, g in zip(net.theta, pg.parameter_groups(net, "layer").group, strict=True)
            if pg.parameter_groups(net, "layer").labels[g] == label
        )
        assert allocation.quantizers[label].bits(largest) == allocation.bits[label]
    # brute force: the cheapest bits whose bound keeps eps, around the ones found
    groups = pg.parameter_groups(net, "layer")
    largest = [max(abs(net.theta[groups.group == g])) for g in range(3)]

    def bound(bits):
        moves = [r if b == 0 else r / (2**b - 2) for r, b in zip(largest, bits, strict=True)]
        rho = object_array([min(moves[g], abs(w)) for g, w in zip(groups.group.tolist(), net.theta, strict=True)])
        return pg.perturbation_bound(net, rho).upper

    found = tuple(allocation.bits.values())
    assert bound(found) == allocation.bound
    counts = list(allocation.sizes.values())
    best = min(
        (
            sum(n * b for n, b in zip(counts, bits, strict=True))
            for bits in itertools.product(*[range(max(2, b - 2), b + 3) for b in found])
            if sum(n * b for n, b in zip(counts, bits, strict=True)) < allocation.total and bound(bits) <= eps
        ),
        default=allocation.total,
    )
    assert (allocation.total - best) / sum(counts) <= 0.3, "the greedy choice is close to the best"


def test_allocations_cost_less_than_one_step_for_all():
    net = perceptron(5, (4, 16, 16, 1))
    uneven = pg.rescale(net, {(1, i): 2.0 ** (i % 5) for i in range(16)})
    mixed = pg.allocate_bits(uneven, 0.01, groups="neuron")
    layers = pg.allocate_bits(uneven, 0.01, groups="layer")
    assert mixed.average < layers.average < pg.bits_fixed(uneven, 0.01)
    assert "by neuron" in repr(mixed)
    for label, bits in layers.bits.items():
        assert bits >= layers.relaxed[label] - 1


def test_groups_that_may_vanish_get_no_bits():
    net = pg.from_weights([[[1.0], [2.0**-20]], [[1.0, 1.0]]])
    allocation = pg.allocate_bits(net, 0.01, groups="neuron")
    assert allocation.bits[1, 1] == 0
    rounded = pg.quantize(net, allocation.quantizers, by="neuron")
    assert rounded.weight((0, 0), (1, 1)) == 0
    everything = pg.allocate_bits(net, 100)
    assert everything.total == 0
    assert (pg.quantize(net, everything.quantizers, by="layer").theta == 0).all()


def test_bad_accuracies_are_refused():
    for eps in (0, -1, math.nan):
        with pytest.raises(ParameterError, match="eps: needed"):
            pg.allocate_bits(perceptron(), eps)
    with pytest.raises(ParameterError, match="groups: needed one of"):
        pg.allocate_bits(perceptron(), 1, groups="weight")
    with pytest.raises(RangeError, match="256 bits are not enough"):
        pg.allocate_bits(perceptron().to_exact(), Fraction(1, 2**400))


# -- equalisation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["uniform", "mixed"])
@pytest.mark.parametrize("seed", range(3))
def test_equalisation_recovers_from_a_rescaling(seed, objective):
    net = perceptron(seed, (4, 8, 8, 1))
    random = np.random.default_rng(seed)
    spoilt = pg.rescale(net, {node: 2.0 ** int(random.integers(-4, 5)) for node in net.hidden})
    one, other = (pg.equalize(each, objective=objective) for each in (net, spoilt))
    assert other.before > one.before
    assert one.optimum <= one.before
    assert one.floor <= one.optimum or objective == "mixed"
    assert one.after <= one.optimum + 2
    # the smoothed objective is convex: f(z) - f(z') <= |gradient at z|_max |z - z'|_1, and smoothing hides some of it
    ends = [pg.equalize(each, objective=objective, powers_of_two=False).net for each in (net, spoilt)]
    moved = pg.find_rescaling(*ends).factors
    distance = sum(abs(math.log(factor)) for factor in moved.values())
    slack = one.smoothing + max(one.stationarity, other.stationarity) * distance
    assert abs(one.optimum - other.optimum) <= slack
    assert slack < other.before - other.optimum, "so that it tells the optimum from what was given"
    x = random.normal(size=(5, 4))
    assert (other.net(x) == spoilt(x)).all(), "powers of two keep every bit"
    if objective == "uniform":
        assert pg.bits_fixed(other.net, 0.01) < pg.bits_fixed(spoilt, 0.01)


def objective_slack(net, other):
    """How far log2(r S) of a rescaled network can be off, by its weights or by logarithms of factors, in bits.

    A rescaled weight is off by 6 units: two exponentials correct to 1 ulp, and 2 roundings; so are the D + 1 weights of
    a path. Each sum of slopes is made by two sweeps, of N roundings each, and n additions. Logarithms are correct to
    1 ulp; of sizes, slopes, their sum and the factors there are at most 8, each at most L in absolute value.
    """
    parts = [part for each in (net, other) for part in sensitivities(each)[:2]]
    largest = max(abs(math.log(number)) for part in parts for number in part.tolist() if number > 0)
    largest = Fraction(largest) + len(net.theta).bit_length()  # of a sum of slopes
    fan_ins = sum(len(net.architecture.antecedents(v)) + 1 for v in net.nodes)
    return unit() * 2 * (6 * (pg.depth(net) + 2) + 2 * fan_ins + len(net.theta) + 16 * largest)


def test_the_optimum_is_below_its_neighbours():
    net = perceptron(1, (3, 5, 4, 2))
    found = pg.equalize(net, powers_of_two=False)
    assert found.after == found.optimum

    def objective(other):
        sizes, slopes = sensitivities(other)
        return math.log2(sizes.max()) + math.log2(slopes.sum())

    assert abs(objective(found.net) - found.optimum) <= objective_slack(net, found.net)
    random = np.random.default_rng(0)
    for scale in (0.001, 0.03, 0.5):
        for _ in range(20):
            near = pg.rescale(found.net, {node: math.exp(scale * random.normal()) for node in net.hidden})
            assert objective(near) >= found.optimum - found.smoothing


def test_the_objective_is_convex():
    net = perceptron(2)
    random = np.random.default_rng(1)

    def rescaled(z):
        return pg.rescale(net, dict(zip(net.hidden, np.exp(z).tolist(), strict=True)))

    def value(z):
        sizes, slopes = sensitivities(rescaled(z))
        return math.log2(sizes.max()) + math.log2(slopes.sum())

    for _ in range(30):
        a, b = random.normal(size=(2, len(net.hidden)))
        slack = max(objective_slack(net, rescaled(z)) for z in (a, b, (a + b) / 2))
        assert value((a + b) / 2) <= (value(a) + value(b)) / 2 + 2 * slack


def test_a_network_that_is_equalised_reaches_the_floor():
    net = pg.from_weights([[[3.0, -3.0]], [[12.0]]])
    found = pg.equalize(net)
    assert set(np.abs(found.net.theta)) == {6.0}
    assert abs(found.after - found.floor) <= objective_slack(net, found.net)


@on_networks(lambda case: any(w != 0 for w in case.net.theta) and pg.path_norm(case.net) != 0)
def test_every_kind_of_network_is_equalised_exactly(case):
    if not any((sensitivities(case.net).slopes != 0).tolist()):
        return
    found = pg.equalize(case.net)
    assert pg.path_norm(found.net) == pg.path_norm(case.net)
    assert found.optimum <= found.before


def test_bad_equalisations_are_refused():
    with pytest.raises(ParameterError, match="objective: needed"):
        pg.equalize(perceptron(), objective="best")
    with pytest.raises(ParameterError, match="powers_of_two: needed a bool, got 1"):
        pg.equalize(perceptron(), powers_of_two=1)


def test_arrays_are_no_groupings():
    net, groups = perceptron(), np.zeros(3)
    for call, name in (
        (lambda: pg.allocate_bits(net, 0.1, groups=groups), "groups"),
        (lambda: pg.equalize(net, groups=groups), "groups"),
        (lambda: pg.equalize(net, objective=groups), "objective"),
        (lambda: pg.parameter_groups(net, groups), "by"),
        (lambda: pg.quantize(net, pg.Quantizer(step=0.5), by=groups), "by"),
    ):
        with pytest.raises(ParameterError, match=f"^{name}: needed"):
            call()


@pytest.mark.parametrize("powers_of_two", [True, False])
def test_factors_beyond_floats_need_an_exact_network(powers_of_two):
    """The second factor is 1e600 or so, though all parameters end at 1."""
    net = pg.from_weights([[[1e-300]], [[1e-300]], [[1e300]], [[1e300]]])
    with pytest.raises(RangeError, match=r"equalize: the factor of \(2, 0\) leaves .* use net.to_exact"):
        pg.equalize(net, powers_of_two=powers_of_two)
    found = pg.equalize(net.to_exact(), powers_of_two=powers_of_two)
    assert found.before > 1990
    assert found.after <= found.floor + 2
    assert abs(math.log10(found.factors[2, 0].numerator) - math.log10(found.factors[2, 0].denominator) - 600) < 1


@pytest.mark.parametrize("weights", [(1e-200,) * 3, (1e200,) * 3, (1e-210, 1e-200, 1e-190)])
def test_slopes_beyond_floats_are_equalised_by_their_logarithms(weights):
    net = pg.from_weights([[[w]] for w in weights])
    found, exact = pg.equalize(net), pg.equalize(net.to_exact())
    slack = 16 * unit() * 2**12  # of some roundings of logarithms, to base 2 below 2**12
    for ours, theirs in ((found.before, exact.before), (found.floor, exact.floor), (found.optimum, exact.optimum)):
        assert abs(Fraction(ours) - Fraction(theirs)) <= slack


def test_almost_no_curvature_is_no_obstacle():
    net = pg.from_weights([[[1.0]], [[1e-200]], [[1e-150]]], [[1.0], [1e200], [1e300]])
    found = pg.equalize(net.to_exact())
    assert found.floor <= found.optimum <= found.before


def test_slopes_whose_sum_leaves_the_range_are_summed():
    net = pg.from_weights([[[1.0], [1.0]], [[1.7e308, 1.7e308]]])
    ours, theirs = (pg.allocate_bits(each, 10**300).bits for each in (net, net.to_exact()))
    assert ours == theirs
    with pytest.raises(RangeError, match="eps: 256 bits are not enough"):
        pg.allocate_bits(net, 0.5)


def test_what_no_parameter_acts_on_comes_back_as_it_is():
    for weights in ([[[0.0]]], [[[1.0]], [[0.0]]]):
        net = pg.from_weights(weights)
        found = pg.equalize(net)
        assert found.net is net
        assert not found.factors
        assert found.before == found.after == found.optimum == found.floor == -math.inf
        assert "-inf -> -inf bits" in repr(found)
