"""Networks that approximate, exactly; rounding with data against its definition; ranges against what occurs."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.errors import ParameterError, UnsupportedOperatorError
from pathgraph.scalars import object_array
from tests.networks import on_networks
from tests.tolerances import gamma as rounding


def fractions(values):
    return object_array([Fraction(value) for value in values])


# -- squares ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("m", [1, 2, 3, 5])
def test_squares_are_approximated_with_the_exact_error(m, balanced):
    net = pg.squaring_network(m, balanced=balanced)
    cells = 2**m
    points = [Fraction(k, 2 * cells) for k in range(2 * cells + 1)]
    errors = [net([x])[0] - x**2 for x in points]
    # piecewise linear between the knots, where it interpolates: the error of a chord is largest in its middle
    assert errors[0::2] == [0] * (cells + 1)
    assert errors[1::2] == [Fraction(1, 2 ** (2 * m + 2))] * cells
    for k in range(cells):
        a, b, c = (net([Fraction(4 * k + j, 4 * cells)])[0] for j in (0, 2, 4))
        assert a + c == 2 * b


def test_the_path_norm_of_squares_grows_by_half_a_level():
    norms = [pg.path_norm(pg.squaring_network(m)) for m in range(1, 9)]
    assert norms[0] == 3
    assert 1.45 < norms[-1] / norms[-2] < 1.7
    assert [pg.path_norm(pg.squaring_network(m, balanced=True)) for m in range(1, 9)] == norms


def test_bits_for_squares_grow_as_derived():
    rows = pg.speed_table(pg.squaring_network, range(2, 9), lambda m: Fraction(1, 2 ** (2 * m + 2)))
    slopes = {rule: (rows[-1].bits[rule] - rows[2].bits[rule]) / (rows[-1].m - rows[2].m) for rule in rows[0].bits}
    assert abs(slopes["fixed"] - (2 + math.log2(6))) < 0.5, "tiny output weights are multiplied by 6**m"
    assert abs(slopes["worst-case"] - (2 + math.log2(6))) < 0.5
    assert abs(slopes["float"] - (2 + math.log2(1.5))) < 0.4
    balanced = pg.speed_table(
        lambda m: pg.squaring_network(m, balanced=True), range(4, 9), lambda m: Fraction(1, 2 ** (2 * m + 2))
    )
    slope = (balanced[-1].bits["fixed"] - balanced[0].bits["fixed"]) / 4
    assert abs(slope - (2 + math.log2(1.5))) < 0.5
    assert [row.bits["float"] for row in balanced] == [row.bits["float"] for row in rows[2:]]
    assert all(row.bits["fixed"] <= row.bits["worst-case"] for row in rows)


@pytest.mark.parametrize("rule", ["worst-case", "fixed", "float"])
def test_rounded_squares_stay_within_twice_the_error(rule):
    m = 3
    net, allowed = pg.squaring_network(m), Fraction(1, 2**8)
    (row,) = pg.speed_table(pg.squaring_network, [m], lambda m: allowed)
    largest = max(map(abs, net.theta))
    if rule == "float":
        quantizer = pg.Quantizer(format=pg.FloatFormat(row.bits[rule], -100, math.inf, 0))
    else:
        steps = [Fraction(1, 2**k) for k in range(40)]
        quantizer = next(q for q in (pg.Quantizer(step=s) for s in steps) if q.bits(largest) >= row.bits[rule])
    rounded = pg.quantize(net, quantizer)
    for k in range(65):
        x = Fraction(k, 64)
        assert abs(rounded([x])[0] - x**2) <= 2 * allowed


# -- splines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_free_knots_beat_uniform_ones_on_the_square_root(size):
    """The largest error of a chord of the root from a**2 to b**2 is (b - a)**2 / (4 (a + b)), at ((a + b) / 2)**2."""
    roots = [Fraction(i, size) ** 2 for i in range(size + 1)]
    net = pg.spline_network([root**2 for root in roots], roots)
    worst = Fraction(0)
    for a, b in itertools.pairwise(roots):
        middle = (a + b) / 2
        error = middle - net([middle**2])[0]
        assert error == (b - a) ** 2 / (4 * (a + b))
        worst = max(worst, error)
    assert worst == Fraction((2 * size - 1) ** 2, 4 * size**2 * (2 * size**2 - 2 * size + 1))
    uniform = pg.spline_network([i / size for i in range(size + 1)], [math.sqrt(i / size) for i in range(size + 1)])
    x = 1 / (4 * size)
    # between the first two knots one neuron is active; what is subtracted is 2 and 1 times the difference
    assert math.sqrt(x) - uniform([x])[0] == pytest.approx(1 / (4 * math.sqrt(size)), rel=3 * float(rounding(8)), abs=0)
    assert not uniform.is_exact


@pytest.mark.parametrize(
    ("knots", "values"), [([0], [1]), ([0, 1], [1]), ([0, 0], [1, 2]), ([1, 0], [1, 2]), ([0, math.nan], [1, 2])]
)
def test_bad_knots_are_refused(knots, values):
    with pytest.raises(ParameterError, match="knots: needed"):
        pg.spline_network(knots, values)


def test_a_fixed_precision_destroys_the_speed():
    errors = []
    for size in (8, 16, 32):
        roots = [Fraction(i, size) ** 2 for i in range(size + 1)]
        net = pg.spline_network([root**2 for root in roots], roots)
        rounded = pg.quantize(net, pg.Quantizer(format=pg.FloatFormat(8, -200, math.inf, 0)))
        middles = [(a + b) / 2 for a, b in itertools.pairwise(roots)]
        errors.append(max(abs(rounded([x**2])[0] - x) for x in [*roots, *middles]))
    assert errors[0] < errors[1] < errors[2], "more neurons make it worse"


# -- codes --------------------------------------------------------------------------------------------------------


def test_families_of_bounded_depth_are_encodable_at_every_speed():
    sizes = [2**k for k in range(4, 10)]
    tables = []
    for gamma in (1, 3):
        radii = [m ** -float(gamma) for m in sizes]
        counts = [pg.covering_number([1, m, 1], m, radius, n_nonzero=m) for m, radius in zip(sizes, radii, strict=True)]
        tables.append(pg.encoding_speed(counts, sizes, radii))
    for gamma, table in zip((1, 3), tables, strict=True):
        assert table[:, 0] == pytest.approx(np.full(len(sizes), gamma), rel=float(rounding(8)), abs=0)
        assert table[-1, 1] < 2.3, "bits per unit are polynomial in log M"
        assert table[-1, 1] <= table[0, 1]
    with pytest.raises(ParameterError, match="sizes"):
        pg.encoding_speed([1.0], [2], [0.5])
    with pytest.raises(ParameterError, match="one size and radius"):
        pg.encoding_speed([1.0], [4, 5], [0.5])


@pytest.mark.parametrize("bad", [None, 5, "a", b"x", {}, {3: 4}, object(), [None], [1 + 2j], [10**400], [math.nan]])
def test_columns_that_are_no_numbers(bad):
    for counts, sizes, radii, name in (
        (bad, [4], [0.5], "log2_counts"),
        ([1], bad, [0.5], "sizes"),
        ([1], [4], bad, "radii"),
    ):
        if bad in ({3: 4}, b"x") and name != "radii":
            continue  # numbers that may be counts and sizes
        needed = "one size" if bad == {} else rf"{name}(\[0\])?: needed a (number in|sequence)"
        with pytest.raises(ParameterError, match=needed):
            pg.encoding_speed(counts, sizes, radii)
    if not isinstance(bad, (list, dict, str, bytes)):
        for call in (lambda: pg.spline_network(bad, [0, 1]), lambda: pg.speed_table(pg.squaring_network, bad, float)):
            with pytest.raises(ParameterError, match="needed a sequence of numbers, got"):
                call()


def test_squares_of_any_accuracy_would_not_fit():
    with pytest.raises(ParameterError, match="m: needed an integer from 1 to 4096"):
        pg.squaring_network(10**400)


# -- rounding with data -------------------------------------------------------------------------------------------


def nearest_plane(w, x, step, damping):
    """One weight after the other; those left are set to the least squares solution before each rounding."""
    moments = x.T @ x / len(x)
    moments = moments + damping * np.trace(moments) / len(moments) * np.eye(len(moments))
    out = w.copy()
    for i in range(len(w)):
        rest = list(range(i, len(w)))
        done = list(range(i))
        best = w.copy()
        if done:
            # minimise (v - w)^t H (v - w) over the rest with the first i fixed
            best[rest] = w[rest] - np.linalg.solve(
                moments[np.ix_(rest, rest)], moments[np.ix_(rest, done)] @ (out[done] - w[done])
            )
        out[i] = np.floor(best[i] / step + 0.5) * step
    return out


@pytest.mark.parametrize("seed", range(5))
def test_rounding_with_data_is_the_nearest_plane(seed):
    random = np.random.default_rng(seed)
    net = pg.from_weights([random.normal(size=(2, 5))])
    data = random.normal(size=(30, 5)) @ random.normal(size=(5, 5))
    rounded = pg.quantize_with_data(net, pg.Quantizer(step=0.5), data)
    expected = [nearest_plane(row, data, 0.5, 0.01) for row in net.theta.reshape(2, 5)]
    assert (rounded.theta == np.concatenate(expected)).all()


def test_rounding_with_data_is_better_on_them_and_certified():
    random = np.random.default_rng(0)
    sizes = (6, 12, 8, 2)
    net = pg.from_weights(
        [random.normal(size=(m, n)) / math.sqrt(n) for n, m in itertools.pairwise(sizes)],
        [random.normal(size=m) / 4 for m in sizes[1:]],
    )
    data = random.normal(size=(200, 6)) @ (random.normal(size=(6, 6)) / 3)
    data = np.clip(data, -1, 1)
    quantizer = pg.Quantizer(step=0.25)
    plain, adapted = pg.quantize(net, quantizer), pg.quantize_with_data(net, quantizer, data)
    assert (adapted.theta == quantizer(adapted.theta)).all()
    plain_error, error = (np.square(net(data) - other(data)).mean() for other in (plain, adapted))
    assert error < 0.75 * plain_error
    certificate = pg.certify(net, adapted)
    gaps = np.abs(net(data) - adapted(data)).sum(axis=1)
    assert gaps.max() <= certificate.upper


def test_rounding_with_data_may_change_signs():
    net = pg.from_weights([[[0.24, -0.3]]])
    data = [[1, 0.1], [2, 0.2]]
    rounded = pg.quantize_with_data(net, pg.Quantizer(step=0.5), data, damping=1e-6)
    assert rounded.theta.tolist() == [0, 2]
    assert pg.certify(net, rounded, inputs=[2, 0.2]).upper >= np.abs(net(data) - rounded(data)).max()


@on_networks(lambda case: not case.net.architecture.is_tied)
def test_rounding_with_data_runs_on_every_kind_of_network(case):
    net = case.float64
    data = np.random.default_rng(0).normal(size=(8, len(net.inputs)))
    rounded = pg.quantize_with_data(net, pg.Quantizer(step=2.0**-30), data)
    assert np.abs(rounded.theta - net.theta).max(initial=0) < 2.0**-20
    assert (rounded.fixed == net.fixed).all()


def test_bad_data_are_refused():
    net = pg.from_weights([[[1.0, 2.0]]])
    for bad, got in (([[1j]], "a list"), (np.array([[1j, 0]]), r"complex128 and shape \(1, 2\)"), ("a", "'a'")):
        with pytest.raises(ParameterError, match=rf"data: needed real numbers of shape \(n, \d\), .* got .*{got}"):
            pg.quantize_with_data(net, pg.Quantizer(step=1), bad)
    with pytest.raises(ParameterError, match="data: needed shape"):
        pg.quantize_with_data(net, pg.Quantizer(step=1), [[1.0]])
    with pytest.raises(ParameterError, match="not stochastic"):
        pg.quantize_with_data(net, pg.Quantizer("stochastic", 1), [[1.0, 1.0]])
    with pytest.raises(UnsupportedOperatorError, match="an exact network"):
        pg.quantize_with_data(net.to_exact(), pg.Quantizer(step=1), [[1.0, 1.0]])
    with pytest.raises(ParameterError, match="damping"):
        pg.quantize_with_data(net, pg.Quantizer(step=1), [[1.0, 1.0]], damping=0)


# -- ranges -------------------------------------------------------------------------------------------------------


@on_networks()
def test_no_value_leaves_its_range(case):
    ranges = pg.neuron_ranges(case.net, inputs=3)
    floats = pg.neuron_ranges(case.float64, inputs=3) if case.is_dyadic else None
    for x in case.inputs:
        values = case.net.neuron_values(x)
        assert (abs(values) <= ranges.bounds).all()
    if floats is not None:
        assert all(Fraction(a) >= b for a, b in zip(floats.bounds.tolist(), ranges.bounds, strict=True))


def test_ranges_are_attained_and_accumulators_hold_them():
    net = pg.from_weights([[[1, 2], [3, 1]], [[1, 1]]], [[0, 5], None], dtype=object)
    ranges = pg.neuron_ranges(net)
    assert ranges.bounds.tolist() == net.neuron_values(fractions([1, 1])).tolist()
    assert ranges.accumulator_bits(1) == 5, "12 needs four bits and a sign"
    assert ranges.accumulator_bits(Fraction(1, 4)) == 7
    assert "largest bound 12" in repr(ranges)
    with pytest.raises(ParameterError, match="step: needed"):
        ranges.accumulator_bits(0)
