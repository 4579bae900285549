"""Generalisation bounds: constants against enumerated paths, the published table, the formulas and their statements."""

import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import prod

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.generalization.bounds import _Grid
from tests.networks import dag, identity, on_networks, pool, relu
from tests.oracles import logarithm
from tests.tolerances import assert_close, exponential_roundings, gamma, roundings, unit

NAN, INF = float("nan"), float("inf")


# -- constants ----------------------------------------------------------------------------------------------------


def heights(oracle):
    """Of every neuron on a path: the largest number of ReLU and pool neurons behind the first one, up to it."""
    found = {}
    for path in oracle.paths():
        count = 0
        for place, v in enumerate(path):
            count += place > 0 and oracle.kind[v] in ("relu", "pool")
            found[v] = max(found.get(v, 0), count)
    return found


def brute_stages(oracle):
    """The factors of the stages, path by path."""
    height = heights(oracle)
    last = max((height[v] for v in oracle.outputs if v in height), default=0)
    kinds = [[(v, oracle.kind[v]) for v in height if height[v] == stage] for stage in range(last + 1)]
    has_relu = [any(kind == "relu" for _, kind in listed) for listed in kinds]
    passes = [False] * (last + 1)
    for path in oracle.paths():
        stops = [(v, height[v]) for v in path if height[v] and oracle.kind[v] in ("relu", "pool")]
        jumps = [*(h for _, h in stops), last + 1]
        constant = not oracle.starts_at_input(path)
        if constant:  # it is used by the first such neuron: inside it, or beside it if that is the biased pool itself
            beside = stops and stops[0][0] == path[0] and oracle.kind[path[0]] == "pool"
            for stage in range(1, jumps[0] + bool(beside)):
                passes[stage] |= not has_relu[stage]
        for low, high in pairwise(jumps if constant else [0, *jumps]):
            for stage in range(low + 1, high):
                passes[stage] = True
    types = [{pool_type(oracle, v) for v, kind in listed if kind == "pool"} for listed in kinds]
    stages = range(1, last + 1)
    return tuple(passes[s] + 2 * has_relu[s] + 2 * sum(size for _, size in types[s]) for s in stages)


def pool_type(oracle, v):
    return oracle.graph.nodes[v].get("rank", 1), oracle.graph.in_degree(v)


@on_networks()
def test_constants_are_their_definitions(case):
    oracle, found = case.oracle, pg.peeling_constants(case.net)
    paths, height = oracle.paths(), heights(oracle)
    pools = {pool_type(oracle, v) for v in height if height[v] and oracle.kind[v] == "pool"}
    assert found.depth == max((len(path) - 1 for path in paths), default=0) == pg.depth(case.net)
    assert found.pool_size == max((size for _, size in pools), default=1)
    assert found.pool_types == len(pools)
    assert found.pool_layers == max(sum(oracle.kind[v] == "pool" for v in path[1:]) for path in paths)
    assert found.biases == any(not oracle.starts_at_input(path) for path in paths)
    assert (found.n_inputs, found.n_outputs) == (len(oracle.inputs), len(oracle.outputs))
    assert found.stages == brute_stages(oracle)
    assert found.collapsed_depth == 1 + max(height[v] for v in oracle.outputs if v in height)
    assert found == pg.peeling_constants(case.net.architecture) == pg.peeling_constants(case.float64)


@on_networks()
def test_the_theorem_covers_the_stages(case):
    found = pg.peeling_constants(case.net)
    assert found.is_proved("theorem")
    assert pg.peeling_constants(case.net, depth=found.collapsed_depth).is_proved("theorem")
    assert (
        found.moments("theorem")
        >= found.moments("staged")
        == 2 * prod(found.stages) * found.coordinates * len(case.net.outputs)
    )
    for name in ("theorem", "staged", "sharpened"):
        moments = found.moments(name)
        size = sum(Fraction(logarithm(Fraction(part))) for part in (moments.numerator, moments.denominator))
        # the logarithms of two integers, in two parts each, their difference, and twice the error of the root
        assert abs(Fraction(found.value(name)) ** 2 - Fraction(logarithm(moments))) <= gamma(12) * size


def test_moments_are_the_formulas():
    found = pg.PeelingConstants(5, 7, 3, pool_size=4, pool_types=2, pool_layers=2)
    assert found.moments("theorem") == Fraction((7 * 4) ** 5 * 7 * 8 * 3, 3)
    assert found.moments("sharpened") == 3**5 * 4**2 * 8 * 3
    assert pg.PeelingConstants(5, 7, 3, biases=False).moments("theorem") == 3**5 * 3 * 7 * 3
    assert found.collapsed_depth is None
    assert found.is_proved("theorem") is None


def test_layered_networks_have_the_layered_constant():
    ones = [np.ones((4, 3)), np.ones((5, 4)), np.ones((2, 5))]
    assert pg.peeling_constants(pg.from_weights(ones)).stages == (2, 2)
    graph = dag(
        "x z",
        a=relu({"x": 1, "z": 1}, 1),
        b=relu({"x": 1, "z": 2}),
        m=pool({"a": 1, "b": 1}),
        i=identity({"m": 1}, 2),
        j=identity({"m": 3}),
        r=relu({"i": 1, "j": 1}, 1),
        y=identity({"r": 1}, 1),
    )
    found = pg.peeling_constants(pg.from_networkx(graph))
    assert found.stages == (2, 2 * 2 + 1, 2)  # the constant of the bias of i passes the pool
    assert (found.depth, found.collapsed_depth) == (5, 4)


def test_depth_of_the_caller_changes_only_the_theorem():
    net = pg.from_weights([[[1]], [[1]], [[1]]])
    found = pg.peeling_constants(net, depth=2)
    assert (found.depth, found.stages) == (2, (2, 2))
    assert found.is_proved("theorem")
    assert pg.PeelingConstants(1, 1, 1, stages=(7, 7)).is_proved("theorem") is False


def test_the_sharpened_constant_may_be_too_small():
    """D = 3, M = 1, K = 2: two levels that mix pools of one type with other neurons cost 2 (1 + 5 + 35) = 82 > 54."""
    found = pg.PeelingConstants(3, 1, 1, pool_size=2, pool_types=1, pool_layers=1, biases=False, stages=(5, 7))
    assert found.moments("sharpened") == 54
    assert found.moments("staged") == 70
    assert not found.is_proved("sharpened")
    bound = pg.generalization_bound(found, 10, radius=1, constant="sharpened")
    assert all("smaller than what is proved" in statement for statement in bound.statements.values())


@pytest.mark.parametrize(
    ("depth", "theorem", "sharpened", "first", "second"),
    [
        (18, "9.39499", "6.38764", "0.08809", "0.05989"),
        (34, "12.21362", "7.64066", "0.11452", "0.07164"),
        (50, "14.49411", "8.71536", "0.13590", "0.08172"),
        (101, "20.10520", "11.48855", "0.18852", "0.10772"),
        (152, "24.46137", "13.71189", "0.22936", "0.12857"),
    ],
)
def test_published_first_factors_of_resnets(depth, theorem, sharpened, first, second):
    found = pg.PeelingConstants(depth, 150528, 1000, pool_size=9, pool_types=1, pool_layers=1)
    n, width = int(0.99 * 1281167), 2.640000104904175
    assert n == 1268355
    assert (f"{found.theorem:.5f}", f"{found.sharpened:.5f}") == (theorem, sharpened)
    for constant, factor in (("theorem", first), ("sharpened", second)):
        bound = pg.generalization_bound(found, n, inputs=width, radius=1.329678881819518e30, constant=constant)
        assert f"{bound.first_factor:.5f}" == factor
        assert bound.is_vacuous


# -- bounds ---------------------------------------------------------------------------------------------------------


@on_networks()
def test_bounds_are_the_formulas(case):
    norm = sum(sum(case.oracle.powers(1, v)) for v in case.oracle.outputs)
    for net in (case.net, case.float64):
        for constant in ("staged", "theorem", "sharpened"):
            bound = pg.generalization_bound(net, 50, constant=constant, loss=3, inputs=2)
            sigma = math.sqrt(50) * 2
            assert bound.sigma == sigma
            factor = Fraction(4 * 3) * Fraction(sigma) * Fraction(bound.C) / 50
            swept = roundings(case.oracle) + len(case.oracle.outputs)
            slack = gamma(swept + exponential_roundings(math.log(norm) if norm else 0) + 5)
            assert_close(bound.gap, factor * norm, slack)
            assert (bound.log_path_norm == -INF) == (norm == 0)
            top = Fraction(bound.stratum.radius)
            assert norm <= top * (1 + slack + gamma(exponential_roundings(bound.stratum.index * math.log(1.1))))
    narrow = pg.generalization_bound(case.net, 50, inputs=0)
    assert narrow.sigma == (math.sqrt(50) if narrow.constants.biases else 0)


@on_networks()
def test_bounds_are_those_of_the_orbit(case):
    factors = pg.random_rescaling(case.net, rng=1)
    found, other = (pg.generalization_bound(net, 9) for net in (case.net, pg.rescale(case.net, factors)))
    assert replace(found, earlier=()) == replace(other, earlier=())  # among these are products of norms


def test_sigma_of_the_data():
    data = [[3.0, 0.0], [4.0, 1.0]]
    without = pg.from_weights([[[1.0, 1.0]]])
    assert pg.generalization_bound(without, data=data).sigma == 5
    assert pg.generalization_bound(without, 2, data=[[0.5, 0], [0, 0.1]]).sigma == 0.5
    with_bias = pg.from_weights([[[1.0, 1.0]]], [[1.0]])
    assert pg.generalization_bound(with_bias, data=[[0.5, 0], [0, 0.1]]).sigma == math.sqrt(2)
    bound = pg.generalization_bound(without, data=data)
    assert bound.sigma_from_data
    assert "this sample" in bound.statements["gap"]
    box = pg.generalization_bound(without, 2, inputs=5)
    assert bound.stratum.deviation > 3 * box.stratum.deviation


def test_radius_and_statements():
    net = pg.from_weights([[[3.0, -4.0]]])
    given, own = pg.generalization_bound(net, 100, radius=10), pg.generalization_bound(net, 100)
    assert given.radius_given
    assert not own.radius_given
    slack = gamma(2 * (exponential_roundings(math.log(10)) + 1))  # two exponentials of logarithms, times one factor
    assert_close(given.gap, Fraction(own.gap) * 10 / 7, slack)
    assert "no statement about it" in own.statements["gap"]
    assert "no statement about it" not in given.statements["gap"]
    assert pg.generalization_bound(net, 100, radius=7.0).gap == own.gap
    assert "vacuous" in repr(own)
    assert "vacuous" not in repr(pg.generalization_bound(net, 10**8))


def test_a_radius_may_be_the_norm():
    thirds = pg.from_weights([[[Fraction(1, 3)]], [[Fraction(1)]]])
    for radius in (Fraction(1, 3), Fraction(1, 3) + Fraction(1, 10**40), 1):
        assert pg.generalization_bound(thirds, 10, radius=radius).radius_given
    with pytest.raises(pg.ParameterError, match="radius"):
        pg.generalization_bound(thirds, 10, radius=1 / 3)  # the float is less than a third
    rough = pg.from_weights([[[0.1] * 7], [[0.3]]])
    norm = pg.path_norm(rough)
    assert pg.generalization_bound(rough, 10, radius=math.nextafter(norm, 0)).radius_given  # it may be the norm
    slack = float(gamma(2 * (7 + 1 + 2) + 1))
    with pytest.raises(pg.ParameterError, match="radius"):
        pg.generalization_bound(rough, 10, radius=norm * (1 - 2 * slack))
    deep = pg.from_weights([[[1e100]]] * 50)
    with pytest.raises(pg.ParameterError, match="radius"):
        pg.generalization_bound(deep, 10, radius=1e300)


def test_bounds_of_exact_networks_beyond_floats_are_infinite():
    net = pg.from_weights([[[1e200]], [[1e200]]])
    ours, theirs = (pg.generalization_bound(each, 100) for each in (net, net.to_exact()))
    assert math.isinf(theirs.gap)
    assert [bound.order for bound in ours.earlier] == [bound.order for bound in theirs.earlier]


def test_strata():
    net = pg.from_weights([[[1.0, -3.0]]])
    for ratio in (1.01, 1.1, 2, 16):
        bound = pg.generalization_bound(net, 1000, ratio=ratio, delta=0.01)
        cell = bound.stratum
        rounded = exponential_roundings(cell.index * math.log(ratio))
        assert_close(cell.radius, Fraction(ratio) ** cell.index, gamma(rounded))
        assert Fraction(ratio) ** (cell.index - 1) < 4 <= Fraction(cell.radius) * (1 + gamma(rounded))
        slack = gamma(2 * rounded + exponential_roundings(math.log(4)) + 2)
        assert_close(cell.complexity, Fraction(bound.gap) * Fraction(cell.radius) / 4, slack)
        share = Fraction(2, 3 * (abs(cell.index) + 1) * (abs(cell.index) + 2))
        # 1 / delta, the share, two logarithms, their sum, the quotient, and twice the error of the root
        confidence = Fraction(logarithm(1 / (Fraction(0.01) * share)))
        assert_close(Fraction(cell.deviation) ** 2 * 2000, confidence, gamma(12))
        assert cell.gap == cell.complexity + cell.deviation
    shares = [Fraction(2, 3 * (abs(k) + 1) * (abs(k) + 2)) for k in range(-300, 301)]
    assert 1 - Fraction(1, 200) < sum(shares) < 1
    # The end of a cell belongs to it.
    assert pg.generalization_bound(pg.from_weights([[[4.0]]]), 10, ratio=2).stratum.radius == 4
    # A smaller norm never has a larger bound: cells above are tried, too.
    gaps = [pg.generalization_bound(pg.from_weights([[[0.5**k]]]), 100).stratum.gap for k in range(0, 60, 4)]
    assert gaps == sorted(gaps, reverse=True)
    assert pg.generalization_bound(pg.from_weights([[[0.0]]]), 100).stratum.gap <= gaps[-1]


def test_margins_by_hand():
    net = pg.from_weights([[[1.0], [0.0], [-1.0]]])
    data, labels = [[1.0], [2.0], [-1.0], [4.0], [1.0]], [0, 0, 0, 0, 1]
    # margins: 1, 2, -2, 4, -1, so that two of five are errors
    bound = pg.generalization_bound(net, data=data, labels=labels, constant="theorem")
    assert [m.margin for m in bound.margins] == [1, 2, 4, 4, 4]
    assert [m.training for m in bound.margins] == [0.4, 0.6, 0.8, 0.8, 0.8]
    assert bound.loss == "margin"
    for m in bound.margins:
        rounded = exponential_roundings(math.log(2) + math.log(m.margin)) + 5
        factor = Fraction(4, 5) * Fraction(bound.sigma) * Fraction(math.sqrt(2)) * Fraction(bound.C)
        assert_close(m.complexity, factor * 2 / Fraction(m.margin), gamma(rounded))
        assert m.expected == m.training + m.complexity
        assert m.uniform == m.training + m.stratum.gap
        rounded = exponential_roundings(m.stratum.index * math.log(1.1)) + exponential_roundings(math.log(2 * m.margin))
        assert Fraction(m.stratum.radius) * (1 + gamma(rounded)) >= 2 / Fraction(m.margin)
    assert bound.is_vacuous
    hopeless = pg.generalization_bound(net, data=[[0.0]], labels=[0])
    assert {(m.margin, m.training) for m in hopeless.margins} == {(1.0, 1.0)}
    assert hopeless.is_vacuous
    given = pg.generalization_bound(net, data=data, labels=labels, constant="theorem", radius=20)
    assert [m.stratum for m in given.margins] == [m.stratum for m in bound.margins]
    for large, small in zip(given.margins, bound.margins, strict=True):
        slack = gamma(2 * (exponential_roundings(math.log(20) + math.log(small.margin)) + 1))
        assert_close(large.complexity, 10 * Fraction(small.complexity), slack)
    exact = pg.generalization_bound(net.to_exact(), data=data, labels=labels, constant="theorem")
    assert exact.margins == bound.margins


def test_a_bound_that_is_not_vacuous():
    rng = np.random.default_rng(0)
    x = np.sign(rng.normal(size=(20_000, 1)))
    bound = pg.generalization_bound(pg.from_weights([[[1.0], [-1.0]]]), data=x, labels=(x[:, 0] < 0).astype(int))
    assert not bound.is_vacuous
    assert bound.margins[0].uniform < 0.25


def test_norms_beyond_floats():
    deep = pg.from_weights([[[1e100]]] * 4)
    bound = pg.generalization_bound(deep, 100)
    assert bound.gap == INF
    factor = Fraction(bound.first_factor) * Fraction(math.sqrt(2))
    log = Fraction(logarithm(factor * Fraction(1e100) ** 4))
    # two logarithms, one of them in two parts, their sum, and the 5 roundings of what they are taken of
    assert abs(Fraction(bound.log_gap) - log) <= gamma(12) * (1 + abs(log) + 2 * abs(Fraction(logarithm(factor))))
    assert bound.is_vacuous
    tiny = pg.generalization_bound(pg.from_weights([[[1e-100]]] * 4), 100)
    assert 0 < tiny.gap < 1e-300


def test_earlier_bounds():
    net = pg.from_weights([[[1.0, 2.0], [3.0, 4.0]], [[1.0, -1.0]]])
    neyshabur, golowich, barron = pg.generalization_bound(net, 100, loss=1).earlier
    assert (neyshabur.objections, golowich.objections, barron.objections) == ((), (), ())
    # 0.1 = sigma / n, a logarithm, a sum, a root, products: at most 16 roundings on the way
    for found, square, log in (
        (neyshabur.order, Fraction(16) * Fraction(logarithm(Fraction(2))), math.log(40)),
        (golowich.order, (2 + Fraction(logarithm(Fraction(2)))) * Fraction(14, 10) ** 2, 0),
        (barron.order, 2 + Fraction(logarithm(Fraction(2))), math.log(10)),
    ):
        assert_close(Fraction(found) ** 2, square, gamma(2 * (16 + exponential_roundings(log))))
    twice = pg.from_weights([[[1.0, 2.0], [3.0, 4.0]], [[1.0, -1.0]] * 2])  # the last layer's norms are added
    golowich_of_two = pg.generalization_bound(twice, 100, loss=1).earlier[1]
    assert golowich_of_two.order == 2 * golowich.order
    assert golowich_of_two.objections == ("one output",)
    skipping = pg.from_networkx(dag("x", h=relu({"x": 1}, 1), y=identity({"h": 1, "x": 1}), w=identity({"h": 2})))
    neyshabur, golowich, barron = pg.generalization_bound(skipping, 100).earlier
    assert golowich.order is None
    assert "a multilayer perceptron" in golowich.objections
    assert neyshabur.objections == ("no biases", "one output")


NET = pg.from_weights([[[1.0, 2.0], [3.0, 4.0]], [[1.0, 1.0], [1.0, -1.0]]])
SHAPE = pg.PeelingConstants(2, 2, 2)
DATA = [[1.0, 2.0], [0.0, 1.0]]
BAD = {
    "no samples": (lambda: pg.generalization_bound(NET), "n_samples.*None"),
    "zero samples": (lambda: pg.generalization_bound(NET, 0), "n_samples.*0"),
    "negative samples": (lambda: pg.generalization_bound(NET, -5), "n_samples.*-5"),
    "half a sample": (lambda: pg.generalization_bound(NET, 2.5), "n_samples.*2.5"),
    "another number of rows": (lambda: pg.generalization_bound(NET, 3, data=DATA), "n_samples.*2 rows.*3"),
    "no network": (lambda: pg.generalization_bound([[1.0]], 10), "net.*list"),
    "no radius": (lambda: pg.generalization_bound(NET.architecture, 10), "radius"),
    "a radius below the norm": (lambda: pg.generalization_bound(NET, 10, radius=1), "radius.*path-norm"),
    "a radius just below the norm": (lambda: pg.generalization_bound(NET, 10, radius=20 * (1 - 1e-10)), "radius.*norm"),
    "a radius below an exact norm": (
        lambda: pg.generalization_bound(NET.to_exact(), 10, radius=20 - Fraction(1, 10**40)),
        "radius.*norm",
    ),
    "a negative radius": (lambda: pg.generalization_bound(SHAPE, 10, radius=-1), "radius.*-1"),
    "an infinite radius": (lambda: pg.generalization_bound(SHAPE, 10, radius=INF), "radius.*inf"),
    "a radius beyond floats": (lambda: pg.generalization_bound(SHAPE, 10, radius=10**400), "radius.*~1e400"),
    "a radius that vanishes": (lambda: pg.generalization_bound(SHAPE, 10, radius=Fraction(1, 10**400)), "radius"),
    "an unknown loss": (lambda: pg.generalization_bound(NET, 10, loss="hinge"), "loss.*cross-entropy.*'hinge'"),
    "a negative loss": (lambda: pg.generalization_bound(NET, 10, loss=-1), "loss.*-1"),
    "delta 0": (lambda: pg.generalization_bound(NET, 10, delta=0), "delta.*0"),
    "delta 1": (lambda: pg.generalization_bound(NET, 10, delta=1), "delta.*1"),
    "delta NaN": (lambda: pg.generalization_bound(NET, 10, delta=NAN), "delta.*nan"),
    "ratio 1": (lambda: pg.generalization_bound(NET, 10, ratio=1), "ratio.*1"),
    "an unknown constant": (lambda: pg.generalization_bound(NET, 10, constant="best"), "constant.*'best'"),
    "stages of plain numbers": (lambda: pg.generalization_bound(SHAPE, 10, radius=1, constant="staged"), "staged"),
    "a box of another size": (lambda: pg.generalization_bound(NET, 10, inputs=[1.0]), "inputs.*2.*1"),
    "a negative box": (lambda: pg.generalization_bound(NET, 10, inputs=-1), "inputs.*-1"),
    "a box of plain numbers": (lambda: pg.generalization_bound(SHAPE, 10, radius=1, inputs=[1.0]), "inputs"),
    "a box and data": (lambda: pg.generalization_bound(NET, data=DATA, inputs=1), "inputs.*data"),
    "data of another width": (lambda: pg.generalization_bound(NET, data=[[1.0]]), r"data.*\(n, 2\)"),
    "data without rows": (lambda: pg.generalization_bound(NET, data=np.empty((0, 2))), "data"),
    "data NaN": (lambda: pg.generalization_bound(NET, data=[[1.0, NAN]]), "data.*finite"),
    "data text": (lambda: pg.generalization_bound(NET, data=[["a", "b"]]), "data"),
    "labels without data": (lambda: pg.generalization_bound(NET, 2, labels=[0, 1]), "labels.*data"),
    "labels of an architecture": (
        lambda: pg.generalization_bound(NET.architecture, radius=1, data=DATA, labels=[0, 1]),
        "labels.*network",
    ),
    "too few labels": (lambda: pg.generalization_bound(NET, data=DATA, labels=[0]), "labels.*2"),
    "labels that are no integers": (lambda: pg.generalization_bound(NET, data=DATA, labels=[0.0, 1.0]), "labels"),
    "labels of no class": (lambda: pg.generalization_bound(NET, data=DATA, labels=[0, 2]), "labels.*2 outputs.*2"),
    "negative labels": (lambda: pg.generalization_bound(NET, data=DATA, labels=[0, -1]), "labels.*-1"),
    "one output": (
        lambda: pg.generalization_bound(pg.from_weights([[[1.0]]]), data=[[1.0]], labels=[0]),
        "labels.*two outputs",
    ),
    "another depth of plain numbers": (
        lambda: pg.generalization_bound(SHAPE, 10, radius=1, depth=3),
        "depth.*2.*3",
    ),
    "depth 0": (lambda: pg.peeling_constants(NET, depth=0), "depth"),
    "depth of text": (lambda: pg.peeling_constants(NET, depth="3"), "depth"),
    "constants of a matrix": (lambda: pg.peeling_constants(np.ones((2, 2))), "net.*ndarray"),
    "negative depth": (lambda: pg.PeelingConstants(-1, 1, 1), "depth"),
    "no inputs": (lambda: pg.PeelingConstants(1, 0, 1), "n_inputs"),
    "no outputs": (lambda: pg.PeelingConstants(1, 1, 0), "n_outputs"),
    "pools of no type": (lambda: pg.PeelingConstants(1, 1, 1, pool_size=2), "pool_types"),
    "biases of text": (lambda: pg.PeelingConstants(1, 1, 1, biases="yes"), "biases"),
    "stages of zeros": (lambda: pg.PeelingConstants(1, 1, 1, stages=(0,)), "stages"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name):
    call, words = BAD[name]
    with pytest.raises(pg.ParameterError, match=f"(?s){words}"):
        call()


def test_symbols_are_refused():
    sympy = pytest.importorskip("sympy")
    with pytest.raises(pg.UnsupportedOperatorError):
        pg.generalization_bound(pg.from_weights([[[sympy.Symbol("a")]]]), 10)


def test_the_cells_share_one_confidence():
    """The weights of all cells, on both sides of cell 0, sum to 1, and so do no shares that are any larger."""
    grid = _Grid(1.0, 100, 0.05, math.log(1.1), from_data=False)
    weights = [Fraction(grid._cell(k, 1.0).weight) for k in range(-200, 201)]
    rest = 2 * Fraction(2, 3) / 202  # the sum of 2 / (3 (k + 1) (k + 2)) over k > 200 telescopes
    assert abs(sum(weights) + rest - 1) <= len(weights) * 3 * unit()
