"""Quantizers, worst-case constants and bits: against enumeration, closed forms and exact outputs."""

import math
import pickle
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.errors import ParameterError, RangeError
from pathgraph.quantization.quantizers import FORMATS
from pathgraph.scalars import object_array
from tests.tolerances import assert_close, gamma

MODES = ("nearest", "floor", "toward_zero")


def fractions(values):
    return object_array([Fraction(value) for value in values])


# -- worst-case constants -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("q", [1, math.inf])
@pytest.mark.parametrize(("width", "depth"), [(1, 1), (1, 4), (3, 2), (4, 5)])
@pytest.mark.parametrize("r", [Fraction(1, 3), 1, Fraction(5, 2)])
def test_the_constant_has_its_closed_form_for_equal_widths(q, width, depth, r):
    D = Fraction(3, 4)
    factor = width if q == 1 else 1
    expected = width * (depth * r ** (depth - 1) * D + sum(k * Fraction(r) ** k for k in range(1, depth)))
    expected += factor * sum(Fraction(r) ** k for k in range(depth))
    assert pg.lipschitz_constant([width] * (depth + 1), r, D, q) == expected
    without = pg.lipschitz_constant([width] * (depth + 1), r, D, q, biases=False)
    assert without == width * depth * Fraction(r) ** (depth - 1) * D


def test_constants_between_the_norms_are_between():
    widths, r = [3, 5, 2], 1.5
    for q in (1.5, 2, 3.5):
        value = pg.lipschitz_constant(widths, r, 1.0, q)
        assert isinstance(value, float)
        weights = [s ** (1 / q) * b ** (1 - 1 / q) for b, s in pairwise(widths)]
        by_hand = 1.5 * (weights[0] + 5 ** (1 / q)) + weights[1] * 3 + 2 ** (1 / q)
        # powers of at most 5, off by 8 units with their exponents; 8 products and sums of positive numbers; twice
        assert value == pytest.approx(by_hand, rel=2 * float(gamma(16)), abs=0)


def test_other_bounds_for_biases():
    # one layer after the other: Y1 = 2 + 3, and the entries of the biases may move as before
    assert pg.lipschitz_constant([1, 1, 1], 2, 1, r_bias=3) == 2 * (1 + 1) + 5 + 1


@pytest.mark.parametrize("q", [1, math.inf])
@pytest.mark.parametrize("widths", [[1, 1], [2, 3, 1], [3, 2, 4, 2]])
@pytest.mark.parametrize("r", [Fraction(1, 2), Fraction(2)])
def test_the_extremal_pair_attains_the_constant_in_the_limit(q, widths, r):
    D = Fraction(5, 3)
    constant = pg.lipschitz_constant(widths, r, D, q)
    ratios = []
    for power in (8, 40):
        delta = Fraction(1, 2**power)
        net, other, x = pg.extremal_pair(widths, r, D, q, delta=delta)
        assert net.is_exact
        gap = net(x) - other(x)
        size = sum(map(abs, gap)) if q == 1 else max(map(abs, gap))
        ratios.append(size / delta / constant)
        assert (sum(map(abs, x)) if q == 1 else max(map(abs, x))) == D
    assert ratios[0] <= ratios[1] <= 1
    assert 1 - ratios[1] < Fraction(1, 2**30)


def test_extremal_pairs_of_other_norms_are_floats():
    net, other, x = pg.extremal_pair([2, 3, 2], 1.25, 1.0, 2, delta=2.0**-20)
    for layer, (below, size) in enumerate(pairwise([2, 3, 2])):
        matrix = np.array([[net.weight((layer, i), (layer + 1, j)) for i in range(below)] for j in range(size)])
        assert (matrix == matrix[0, 0]).all()  # of rank one: its spectral norm is the Frobenius norm
        assert_close(below * size * Fraction(matrix[0, 0]) ** 2, Fraction(5, 4) ** 2, gamma(4))  # a root, a quotient
    ratio = np.linalg.norm(net(x) - other(x)) * 2.0**20 / pg.lipschitz_constant([2, 3, 2], 1.25, 1.0, 2)
    assert 0.9999 < ratio <= 1


@pytest.mark.parametrize("q", [1, math.inf])
def test_no_pair_of_networks_beats_the_constant(q):
    random = np.random.default_rng(0)
    widths, r, D = [2, 3, 2], Fraction(3, 2), Fraction(2)
    constant = pg.lipschitz_constant(widths, r, D, q)

    def draw():
        matrices, vectors = [], []
        for below, size in pairwise(widths):
            w = np.array(random.integers(-5, 6, size=(size, below)), dtype=object)
            b = np.array(random.integers(-5, 6, size=size), dtype=object)
            w_norm = max(abs(w).sum(axis=0 if q == 1 else 1))
            b_norm = sum(abs(b)) if q == 1 else max(abs(b))
            matrices.append(w * (r / max(1, w_norm)))
            vectors.append(b * (r / max(1, b_norm)))
        return pg.from_weights(matrices, vectors, dtype=object)

    for _ in range(40):
        net, other = draw(), draw()
        x = fractions(random.integers(-3, 4, size=2))
        x = x * D / max(1, sum(abs(x)) if q == 1 else max(abs(x)))
        gap = abs(net(x) - other(x))
        moved = max(abs(net.theta - other.theta))
        assert (sum(gap) if q == 1 else max(gap)) <= constant * moved
        if q == math.inf:  # each output's bound U2 is never worse
            bounds = pg.path_metric(net, other, inputs=D, per_output=True, method="meet").upper
            assert max(bounds) <= constant * moved


def test_covering_numbers_count_cells():
    # n = 7 parameters, K = 6: ceil(2 * 1 * 6 / 3) = 4 cells in each direction
    assert pg.lipschitz_constant([2, 1, 2], 1) == 2 * 1 + 1 + 2 + 1
    assert pg.covering_number([2, 1, 2], 1, 3) == 7 * 2
    sparse = pg.covering_number([2, 1, 2], 1, 3, n_nonzero=2)
    assert sparse == pytest.approx(math.log2(1 + 7 + 21) + 2 * 2, rel=float(gamma(4)), abs=0)
    assert pg.covering_number([2, 1, 2], 1, 3, n_nonzero=7) == pytest.approx(7 + 14, rel=float(gamma(4)), abs=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([3], 1), "at least two widths"),
        (([3, 0], 1), "widths: needed an integer >= 1"),
        (("33", 1), "at least two widths"),
        (([3, 3], 0), "r: needed a number > 0"),
        (([3, 3], 1, -1), "D: needed a number >= 0"),
        (([3, 3], -(10**5000)), "r: needed a number > 0, got ~-1e5000"),
        (([3, 10**5000], [1]), "r: needed a real number"),
        ([[[10**5000], 1], 1], "widths: needed an integer >= 1, got a list"),
        (([3, 3], math.nan), "needed a finite number"),
        (([3, 3], 1, 1, 0.5), r"q: needed a number in \[1, inf\]"),
    ],
)
def test_bad_worst_cases_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        pg.lipschitz_constant(*arguments)


def test_constants_beyond_floats_need_fractions():
    with pytest.raises(RangeError, match="use Fractions"):
        pg.lipschitz_constant([1] * 1000, 10.0)
    assert pg.lipschitz_constant([1] * 1000, 10) > 10**999
    for arguments in (([2, 2, 2], 10**400, 1, 2), ([2, 2, 2], 10**400, 1.0), ([10**400, 2], 1, 1, 2)):
        with pytest.raises(RangeError, match="use Fractions"):
            pg.lipschitz_constant(*arguments)
        with pytest.raises(RangeError, match="use Fractions"):
            pg.covering_number(*arguments[:2], 1, *arguments[2:])
    with pytest.raises(RangeError, match="use Fractions"):
        pg.extremal_pair([2, 2], 10**400, 1, 2, delta=1)
    with pytest.raises(RangeError, match="a number leaves"):
        pg.covering_number([1, 10**400], 1, 1)
    assert pg.covering_number([1, 1], 10**5000, 1) == 2 * math.log2(2 * 10**5000 * (1 + 1))
    with pytest.raises(ParameterError, match=r"delta: needed a number in \(0, ~1e5000\], .* got ~2e5000"):
        pg.extremal_pair([1, 1], 10**5000, delta=2 * 10**5000)
    with pytest.raises(ParameterError, match="delta: needed a number in"):
        pg.extremal_pair([2, 2], 1, delta=1)
    with pytest.raises(ParameterError, match="eps"):
        pg.covering_number([1, 1], 1, 0)


# -- quantizers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [*MODES, "zero_point"])
@pytest.mark.parametrize("step", [Fraction(1, 4), Fraction(1, 3), Fraction(2)])
def test_uniform_quantizers_round_to_their_grid(mode, step):
    zero = Fraction(1, 4) if mode == "zero_point" else 0
    quantizer = pg.Quantizer(mode, step, zero_point=zero)
    r = Fraction(2)
    values = fractions(Fraction(k, 24) for k in range(-48, 49))
    rounded = quantizer(values)
    errors = abs(rounded - values)
    assert max(errors) <= quantizer.error * step
    assert (errors <= quantizer.error_bounds(values)).all()
    if mode in ("floor", "toward_zero"):
        assert max(errors) < step
    assert all(((value / step + zero) % 1) == 0 for value in rounded)
    assert len(set(rounded)) <= quantizer.levels(r)
    assert quantizer.sign_safe == all(a * b >= 0 for a, b in zip(values, rounded, strict=True))
    assert not quantizer.shrinks or all(abs(b) <= abs(a) for a, b in zip(values, rounded, strict=True))
    assert 2 ** quantizer.bits(r) >= quantizer.levels(r) > 2 ** (quantizer.bits(r) - 1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("step", "r"), [(Fraction(1, 3), Fraction(1)), (Fraction(1, 4), Fraction(7, 8)), (3, 1)])
def test_levels_are_all_taken(mode, step, r):
    quantizer = pg.Quantizer(mode, step)
    values = fractions(Fraction(k, 96) for k in range(int(-96 * r), int(96 * r) + 1))
    assert len(set(quantizer(values))) == quantizer.levels(r)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("step", [0.25, 2.0**-20, 0.1, 8])
def test_floats_are_rounded_as_their_exact_values(mode, step):
    values = np.random.default_rng(0).normal(size=200) * 3
    values[:4] = [0.5, -0.5, 0.125, 0.49999999999999994]
    quantizer = pg.Quantizer(mode, step)
    exact = quantizer(fractions(values))
    assert (quantizer(values) == [float(value) for value in exact]).all()
    assert quantizer(values.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize(("name", "dtype"), [("fp16", np.float16), ("fp32", np.float32)])
def test_formats_round_as_the_machine_does(name, dtype):
    random = np.random.default_rng(1)
    values = random.normal(size=2000) * 10.0 ** random.integers(-9, 4, size=2000)
    values[:3] = [0, 65503.9, -(2.0**-24)]
    quantizer = pg.Quantizer(format=name)
    with np.errstate(under="ignore"):
        assert (quantizer(values) == values.astype(dtype).astype(np.float64)).all()
    assert (quantizer(fractions(values)) == fractions(quantizer(values))).all()
    bounds = quantizer.error_bounds(values)
    assert (np.abs(quantizer(values) - values) <= bounds).all()
    assert (fractions(bounds) == quantizer.error_bounds(fractions(values))).all()


@pytest.mark.parametrize("name", ["e4m3", "e5m2"])
@pytest.mark.parametrize("mode", ["nearest", "toward_zero"])
def test_small_formats_are_enumerated(name, mode):
    kind = FORMATS[name]
    spread = 2 ** (kind.precision - 1)
    subnormal = [Fraction(k) * Fraction(kind.quantum) for k in range(spread)]
    normal = [Fraction(2) ** e * (1 + Fraction(k, spread)) for e in range(kind.least, 20) for k in range(spread)]
    grid = [value for value in subnormal + normal if value <= kind.largest]
    quantizer = pg.Quantizer(mode, format=name)
    assert quantizer.levels(kind.largest) == 2 * len(grid) - 1
    assert quantizer.levels(grid[5]) == 11
    tests = [(a + b) / 2 for a, b in pairwise(grid)] + [(3 * a + b) / 4 for a, b in pairwise(grid)] + grid
    for value in tests:
        below = max(g for g in grid if g <= value)
        above = min(g for g in grid if g >= value)
        got = quantizer(fractions([value]))[0]
        assert quantizer(np.array([-float(value)]))[0] == -float(got)
        if mode == "toward_zero":
            assert got == below
        elif value - below != above - value:
            assert got == min(below, above, key=lambda g: abs(g - value))
        else:
            assert got in (below, above)
            assert grid.index(got) % 2 == 0 or below == above


def test_what_a_format_cannot_hold_is_an_error_or_saturates():
    for values in (np.array([500.0]), fractions([500])):
        with pytest.raises(RangeError, match="holds numbers up to 448"):
            pg.Quantizer(format="e4m3")(values)
        assert pg.Quantizer(format="e4m3", saturate=True)(values)[0] == 448
    assert pg.Quantizer(format="fp16")([65519.9])[0] == 65504
    with pytest.raises(RangeError, match="holds numbers up to 65504"):
        pg.Quantizer(format="fp16")([65520.0])
    with pytest.raises(RangeError, match="too small for numbers"):
        pg.Quantizer(step=2.0**-1000)([1e300])


@pytest.mark.parametrize(
    "given", [np.array([0.3, -1.7] * 2000), fractions([Fraction(3, 10), Fraction(-17, 10)] * 2000)]
)
def test_stochastic_rounding_keeps_the_mean_and_repeats(given):
    quantizer = pg.Quantizer("stochastic", Fraction(1, 2))
    rounded = quantizer(given, 3)
    assert (rounded == quantizer(given, 3)).all()
    for place, (low, mean) in enumerate(((0.0, 0.3), (-2.0, -1.7))):
        found = rounded[place::2].astype(float)
        assert set(found) == {low, low + 0.5}
        share = (mean - low) / 0.5
        # five standard deviations of the mean of 2000 draws
        assert abs(found.mean() - mean) < 5 * 0.5 * math.sqrt(share * (1 - share) / 2000)
    with pytest.raises(ParameterError, match="rng: the mode 'stochastic' needs"):
        quantizer(given)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pg.Quantizer("nearest"), "either a step or a format"),
        (lambda: pg.Quantizer("nearest", 1, format="fp16"), "either a step or a format"),
        (lambda: pg.Quantizer("up", 1), "mode: needed one of"),
        (lambda: pg.Quantizer(step=0), "step: needed a number > 0"),
        (lambda: pg.Quantizer(step=-1), "step: needed a number > 0"),
        (lambda: pg.Quantizer(step=math.nan), "step: needed a finite number"),
        (lambda: pg.Quantizer(format="fp12"), "format: needed one of"),
        (lambda: pg.Quantizer("floor", format="fp16"), "a format needs"),
        (lambda: pg.Quantizer(step=1, zero_point=2), "only the mode 'zero_point'"),
        (lambda: pg.Quantizer(step=1)([math.nan]), "needed finite numbers"),
        (lambda: pg.Quantizer(step=1).levels(-1), "r: needed a number >= 0"),
        (lambda: pg.Quantizer(step=-(10**5000)), "step: needed a number > 0, got ~-1e5000"),
        (lambda: pg.Quantizer(step=10**5000, format="fp16"), "either a step or a format, got ~1e5000 and 'fp16'"),
        (lambda: pg.Quantizer(step=1, zero_point=10**5000), "has one, got ~1e5000"),
        (lambda: pg.Quantizer(step=1).levels(Fraction(-1, 10**5000)), "r: needed a number >= 0, got ~-1e-5000"),
        (lambda: pg.Quantizer(step=1)([10**5000]), "values: needed real numbers in the range of floats"),
        (lambda: pg.Quantizer(step=1)([None, 1j]), "values: needed real numbers in the range of floats"),
    ],
)
def test_bad_quantizers_are_refused(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


def test_rounding_down_sees_the_side_of_zero_on_which_the_smallest_numbers_lie():
    """Also where the quotient by the step is no float any more."""
    for step in (2, 2.0**1000, Fraction(2) ** 1023):
        for values in ([-5e-324, 5e-324, -0.0, 1.0], [-1e-300]):
            for mode in ("floor", "nearest", "toward_zero"):
                quantizer = pg.Quantizer(mode, step)
                exact = quantizer([Fraction(value) for value in values])
                assert quantizer(values).tolist() == exact.tolist()
    with pytest.raises(RangeError, match="leaves the range of float64"):
        pg.Quantizer("floor", 2**5000)([-1.0])
    assert pg.Quantizer("nearest", 2**5000)(1.0) == 0


def test_rationals_of_any_size_are_rounded():
    with pytest.raises(RangeError, match=r"fp16 holds numbers up to 65504\.0, got ~3\.3.*e4999"):
        pg.Quantizer(format="fp16")([Fraction(10**5000, 3)])
    with pytest.raises(RangeError, match=r"step: ~7.*e-1506 is too small"):
        pg.Quantizer(step=Fraction(1, 2**5000))([1.0])
    net = pg.from_weights([[[1, 2], [3, 4]], [[1, 1]]], dtype=object)
    for size, half in ((Fraction(2) ** 5000, math.inf), (Fraction(1), 0.5), (Fraction(1, 2**5000), 5e-324)):
        large = net.map_values(lambda w, size=size: w * size)
        assert pg.bits_fixed(large, size * size) == pg.bits_fixed(net, 1) > 1
        assert pg.Quantizer(step=size).error_bounds(np.ones(2)).tolist() == [half, half]


def test_quantizers_are_values():
    quantizer = pg.Quantizer("floor", 0.25)
    assert quantizer == pg.Quantizer("floor", 0.25)
    assert pickle.loads(pickle.dumps(quantizer)) == quantizer
    assert len({quantizer, pg.Quantizer("floor", 0.25)}) == 1


# -- networks -----------------------------------------------------------------------------------------------------


def network(seed=0, exact=False):
    random = np.random.default_rng(seed)
    net = pg.from_weights(
        [random.normal(size=(4, 3)), random.normal(size=(3, 4)), random.normal(size=(2, 3))],
        [random.normal(size=4), None, random.normal(size=2)],
    )
    return net.to_exact() if exact else net


@pytest.mark.parametrize("by", ["network", "layer", "neuron"])
def test_groups_are_rounded_by_their_own_quantizers(by):
    net = network()
    groups = pg.parameter_groups(net, by)
    steps = {label: 2.0 ** -(place % 5) for place, label in enumerate(groups.labels)}
    other = pg.quantize(net, {label: pg.Quantizer(step=step) for label, step in steps.items()}, by=by)
    for old, new, place in zip(net.theta, other.theta, groups.group, strict=True):
        assert new == pg.Quantizer(step=steps[groups.labels[place]])(np.array([old]))[0]
    alone = pg.quantize(net, {groups.labels[-1]: pg.Quantizer(step=1)}, by=by)
    same = groups.group != len(groups.labels) - 1
    assert (alone.theta[same] == net.theta[same]).all()


def test_floating_formats_commute_with_rescalings_by_powers_of_two():
    net = network()
    factors = pg.random_rescaling(net, 3)
    quantizer = pg.Quantizer(format="bf16")
    assert pg.quantize(pg.rescale(net, factors), quantizer) == pg.rescale(pg.quantize(net, quantizer), factors)


@pytest.mark.parametrize(
    ("quantizer", "message"), [({9: pg.Quantizer(step=1)}, "no group has the label 9"), (3, "needed a Quantizer")]
)
def test_bad_groups_are_refused(quantizer, message):
    with pytest.raises(ParameterError, match=message):
        pg.quantize(network(), quantizer, by="layer")
    with pytest.raises(ParameterError, match="need its groups= as by="):
        pg.quantize(network(), {1: pg.Quantizer(step=1)})
    with pytest.raises(ParameterError, match="by: needed one of"):
        pg.quantize(network(), quantizer, by="weight")


# -- bits ---------------------------------------------------------------------------------------------------------


def worst_output(net, other):
    """The largest difference found at the corners of the box, exactly."""
    corners = [fractions(corner) for corner in product((-1, 0, 1), repeat=len(net.inputs))]
    return max(sum(abs(net(x) - other(x))) for x in corners)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", [0, 1])
def test_bits_in_fixed_point_keep_the_accuracy(mode, seed):
    net, eps = network(seed, exact=True), Fraction(1, 50)
    step = pg.fixed_step(net, eps, mode=mode)
    move = step / 2 if mode == "nearest" else step

    def moved(size):
        most = [min(size, abs(w)) if mode == "nearest" else size if w else Fraction(0) for w in net.theta]
        return pg.perturbation_bound(net, object_array(most), shrink=mode == "toward_zero").upper

    bound, coarser = moved(move), moved(2 * move)
    assert bound <= eps < coarser
    rounded = pg.quantize(net, pg.Quantizer(mode, step))
    assert worst_output(net, rounded) <= pg.parameter_lipschitz(net, rounded, method="meet").upper <= bound
    posterior = pg.fixed_step(net, eps, mode=mode, a_posteriori=True)
    assert posterior >= step
    k = step
    while k <= posterior:  # every step between succeeds, and the next does not
        assert pg.parameter_lipschitz(net, pg.quantize(net, pg.Quantizer(mode, k)), method="meet").upper <= eps
        k *= 2
    assert pg.parameter_lipschitz(net, pg.quantize(net, pg.Quantizer(mode, k)), method="meet").upper > eps
    largest = max(map(abs, net.theta))
    assert pg.bits_fixed(net, eps, mode=mode) == pg.Quantizer(mode, step).bits(largest)
    assert pg.bits_fixed(net.to_float(), float(eps), mode=mode) == pg.bits_fixed(net, eps, mode=mode)


@pytest.mark.parametrize("mode", ["nearest", "toward_zero"])
@pytest.mark.parametrize("seed", [0, 1])
def test_bits_in_floating_point_keep_the_accuracy(mode, seed):
    net, eps = network(seed, exact=True), Fraction(1, 50)
    p = pg.bits_float(net, eps, mode=mode)
    unit = Fraction(1, 2 ** (p if mode == "nearest" else p - 1))
    for factor, holds in ((1, True), (2, False)):
        bound = pg.perturbation_bound(net, abs(net.theta) * unit * factor, shrink=mode == "toward_zero").upper
        assert (bound <= eps) == holds
    rounded = pg.quantize(net, pg.Quantizer(mode, format=pg.FloatFormat(p, -200, math.inf, 0)))
    assert worst_output(net, rounded) <= eps
    assert pg.bits_float(net, eps, mode=mode, a_posteriori=True) <= p
    assert pg.bits_float(net.to_float(), float(eps), mode=mode) == p
    # the closed form, for paths of at most three weights and a bias at the start
    norm = float(pg.path_norm(net))
    if mode == "nearest":
        assert p <= math.ceil(math.log2(3 / math.log1p(float(eps) / norm)))


def test_bits_in_floating_point_do_not_change_under_rescaling():
    net = network(2)
    rescaled = pg.rescale(net, pg.random_rescaling(net, 5))
    assert pg.bits_float(rescaled, 0.01) == pg.bits_float(net, 0.01)
    assert pg.bits_fixed(rescaled, 0.01) > pg.bits_fixed(net, 0.01)


def test_bits_depend_on_the_box_and_the_accuracy():
    net = network()
    assert pg.bits_fixed(net, 1e-6) > pg.bits_fixed(net, 1e-2) > pg.bits_fixed(net, 1e3)
    assert pg.bits_fixed(net, 1e-2, inputs=100) > pg.bits_fixed(net, 1e-2)
    assert pg.bits_float(net, 1e9) == 1
    zero = net.with_theta(np.zeros(len(net.theta)))
    assert pg.bits_fixed(zero, 1e-9) == 0


@pytest.mark.parametrize("function", [pg.bits_fixed, pg.bits_float])
def test_bad_accuracies_are_refused(function):
    for eps in (0, -1, math.nan, math.inf):
        with pytest.raises(ParameterError, match="eps: needed"):
            function(network(), eps)
    with pytest.raises(ParameterError, match="eps: needed a number > 0, got ~-1e5000"):
        function(network(), -(10**5000))
    with pytest.raises(ParameterError, match="mode: needed"):
        function(network(), 1, mode="up")
    with pytest.raises(RangeError):
        function(network(), 1e-320)


def test_changes_of_float32_networks_do_not_vanish():
    net = pg.from_weights([np.array([[1e-36]], "f4"), np.array([[1e36]], "f4")])
    exact = net.to_exact()
    for eps in (1e-12, 1e-20):
        assert pg.bits_fixed(net, eps) >= pg.bits_fixed(exact, Fraction(eps))
        assert pg.bits_float(net, eps) >= pg.bits_float(exact, Fraction(eps))


def test_rounded_numbers_beyond_their_type_are_refused():
    with pytest.raises(RangeError, match="leaves the range of float32"):
        pg.Quantizer(step=2e38)(np.array([3.2e38], "f4"))
    with pytest.raises(ParameterError, match="values: needed real numbers"):
        pg.Quantizer(step=1)(["a"])


def test_formats_have_the_names_of_numpy_too():
    assert (pg.Quantizer(format="float16")([1 / 3]) == pg.Quantizer(format="fp16")([1 / 3])).all()


def test_fixed_values_are_rounded_where_that_is_asked_for():
    build = pg.LayerGraphBuilder()
    x = build.scale(build.input((2,)), build.tensor("by", [1 / 255], role="frozen"))
    graph = build.build(build.linear(x, build.tensor("w", [[0.3, -0.7]])))
    quantizer = pg.Quantizer(format="fp16")
    with pytest.raises(ParameterError, match=r"is no float16; it is no parameter, and quantize\(..., fixed=True\)"):
        pg.certify(graph, pg.quantize(graph, quantizer), execution="float16")
    rounded = pg.quantize(graph, quantizer, fixed=True)
    assert rounded.entries_by_name["by"] == np.float16(1 / 255)
    certificate = pg.certify(graph, rounded, execution="float16", inputs=255)
    rows = np.random.default_rng(0).uniform(-255, 255, size=(50, 2))
    assert np.abs(graph(rows) - rounded(rows)).max() <= certificate.upper
    with pytest.raises(ParameterError, match="fixed: rounding fixed values needs one quantizer"):
        pg.quantize(graph, {"w": quantizer}, by="layer", fixed=True)


def test_no_numbers_keep_their_type():
    for dtype in (object, np.float32, np.float64):
        empty = np.empty(0, dtype=dtype)
        assert pg.Quantizer(format="fp16")(empty).dtype == pg.Quantizer("nearest", 0.5)(empty).dtype == dtype
