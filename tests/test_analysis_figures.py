"""The figures of ``python -m pathgraph`` against the library and brute force, and how they are rounded."""

import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.analysis.analyse import TOP, analyse
from pathgraph.analysis.certificates import Settings, Trials
from pathgraph.analysis.document import count, number, percent, power
from pathgraph.analysis.formats import FixedPoint, Float
from pathgraph.analysis.model import Model
from pathgraph.analysis.sections import document
from pathgraph.analysis.terminal import plain_lines
from pathgraph.quantization.quantizers import FORMATS
from tests.analysis_models import QUICK, perceptron
from tests.layer_graphs import MAKERS, build
from tests.networks import REGISTRY
from tests.oracles import Oracle, logarithm
from tests.tolerances import exponential_roundings, gamma, roundings

# -- formats --------------------------------------------------------------------------------------------------------


def by_hand(precision, least, largest):
    """All non-negative numbers of a format, from its definition."""
    steps = [Fraction(m) * Fraction(2) ** (least - precision + 1) for m in range(2 ** (precision - 1))]
    exponents = range(least, 20)
    normal = [
        Fraction(m) * Fraction(2) ** (e - precision + 1)
        for e in exponents
        for m in range(2 ** (precision - 1), 2**precision)
    ]
    return [x for x in sorted({*steps, *normal}) if x <= largest]


@pytest.mark.parametrize(("name", "precision", "least"), [("e4m3", 4, -6), ("e5m2", 3, -14)])
def test_rounding_is_to_the_nearest_number_of_the_format(name, precision, least):
    one = Float(name)
    numbers = by_hand(precision, least, Fraction(FORMATS[name].largest))
    largest = FORMATS[name].largest
    assert numbers[-1] == largest
    rng = np.random.default_rng(0)
    w = np.concatenate([rng.normal(size=200) * 2.0 ** rng.integers(-20, 18, 200), [0.0, -largest, 3 * largest]])
    for x, rounded in zip(w.tolist(), one.rounded(w).tolist(), strict=True):
        distance = min(abs(Fraction(abs(x)) - y) for y in numbers)
        assert abs(Fraction(x) - Fraction(rounded)) == distance
    assert one.saturated(w) == int((abs(w) > largest).sum()) >= 1


def test_float16_and_bfloat16_are_those_of_the_machine():
    rng = np.random.default_rng(1)
    w = rng.normal(size=2000) * 2.0 ** rng.integers(-30, 15, 2000)
    assert np.array_equal(Float("fp16").rounded(w), w.astype(np.float16).astype(np.float64))
    w = w.astype(np.float32)
    bits = w.view(np.uint32).astype(np.uint64)
    nearest = ((bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) >> np.uint64(16) << np.uint64(16)).astype(
        np.uint32
    )
    assert np.array_equal(Float("bf16").rounded(w.astype(np.float64)), nearest.view(np.float32))


@pytest.mark.parametrize("bits", [2, 3, 8, 16])
def test_fixed_point_has_the_smallest_power_of_two_that_fits(bits):
    rng = np.random.default_rng(bits)
    for w in (rng.normal(size=50), np.array([2.0**-1060, 0.0]), np.zeros(3), np.array([4.0, -1.0])):
        rounded = FixedPoint(bits).rounded(w)
        levels = 2 ** (bits - 1) - 1
        step = next(
            (Fraction(2) ** k for k in range(-1074, 40) if Fraction(abs(w).max()) <= levels * Fraction(2) ** k), 1
        )
        for x, y in zip(w.tolist(), rounded.tolist(), strict=True):
            assert Fraction(y) % step == 0
            assert abs(Fraction(x) - Fraction(y)) <= step / 2
            assert abs(Fraction(y)) <= levels * step


def test_fixed_point_refuses_other_bits():
    with pytest.raises(pg.ParameterError, match="2 to 32, got 1"):
        FixedPoint(1)


def evaluation_share(net, oracle):
    """What share of the path-norm the l1 norm of the outputs at an input of [-1, 1] can be off by, in floats.

    Each output is off by the roundings on its paths, one more on each edge for a weight that is no float; then outputs
    are subtracted and added. Moved inputs are off by one rounding, and lie in a box that is wider by 2**-10.
    """
    steps = roundings(oracle) + pg.depth(net) + len(net.outputs) + QUICK.trials + 4
    return gamma(steps) * (1 + Fraction(1, 2**10))


def smallest_gap(net):
    """Between the inputs of which slopes are taken."""
    x = Trials(Model(net), QUICK.box, QUICK.trials, QUICK.seed).x
    gaps = np.abs(x[1:] - x[:-1]).max(axis=1, initial=0.0)
    return Fraction(min([2.0**-10, *gaps[gaps > 0]]))


# -- figures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REGISTRY)
def test_figures_are_those_of_the_paths(name):
    """On every network of the registry, the figures agree with the enumeration of its paths."""
    case = REGISTRY[name]
    found = analyse(case.net, QUICK)
    oracle: Oracle = case.oracle
    products = list(case.lifting.values())
    summary = found.summary
    assert (summary.paths, summary.n_edges) == (len(products), case.graph.number_of_edges())
    assert summary.n_neurons == case.graph.number_of_nodes()
    assert sum(row.neurons for row in summary.layers) == summary.n_neurons
    assert sum(row.edges for row in summary.layers) == summary.n_edges
    assert sum(row.parameters for row in summary.layers) == summary.n_parameters == len(case.net.theta)
    norm = sum(map(abs, products))
    q1 = next(one for one in found.norms if one.q == 1)
    assert q1.value == float(norm)
    if norm:
        masses = dict.fromkeys(case.net.outputs, Fraction(0))
        for path, product in case.lifting.items():
            masses[path[-1]] += abs(product)
        exact = sorted((float(mass / norm) for mass in masses.values()), reverse=True)[:TOP]
        logs = [abs(math.log(mass)) for mass in masses.values() if mass]
        steps = 4 * (exponential_roundings(max(logs)) + 1) + len(masses) + 1  # a quotient of sums of exponentials
        assert [one.share for one in found.per_output] == pytest.approx(exact, rel=float(gamma(steps)), abs=0)
        costs = pg.path_magnitude(case.net)
        slack = float(gamma(len(costs) + 4))
        assert sum(row.share for row in found.scores) == pytest.approx(float(sum(costs) / norm), rel=slack, abs=0)
    assert oracle is not None
    share = evaluation_share(case.net, oracle)
    for one in (*found.pruning, *found.precision):
        assert one.rigorous  # the network is exact
        # two evaluations; the path-norm of the other network is at most norm + bound
        assert one.seen <= one.bound + share * (2 * norm + Fraction(one.bound))
    assert found.lipschitz.seen <= min(found.lipschitz.bounds.values()) + 2 * share * norm / smallest_gap(case.net)
    json.dumps(found.as_json(), allow_nan=False)
    assert plain_lines("title", document(found))


@pytest.mark.parametrize("name", MAKERS)
def test_layer_graphs_give_the_figures_of_their_expansions(name):
    graph = build(name)
    expanded = graph.expand()
    found, plain = analyse(graph, QUICK), analyse(expanded, QUICK)
    share, norm = evaluation_share(expanded, Oracle(pg.to_networkx(expanded))), pg.path_norm(graph)
    sizes = ("n_inputs", "n_outputs", "n_neurons", "n_edges", "n_parameters", "n_zeros", "paths")
    sizes += ("depth_in_edges", "depth_in_activations", "largest_pool")
    assert [getattr(found.summary, size) for size in sizes] == [getattr(plain.summary, size) for size in sizes]
    for total in ("neurons", "edges", "parameters"):
        assert sum(getattr(row, total) for row in found.summary.layers) == getattr(found.summary, f"n_{total}")
    assert found.norms == plain.norms
    assert [one.log for one in found.per_output] == [one.log for one in plain.per_output]
    assert found.lipschitz.bounds == plain.lipschitz.bounds
    assert found.generalization == plain.generalization
    if found.outputs is not None:
        assert abs(Fraction(found.outputs.size) - Fraction(plain.outputs.size)) <= 2 * share * norm
    n_scores = len(graph.theta)
    shares = [sum(row.share for row in each.scores) for each in (found, plain)]
    assert shares[0] == pytest.approx(shares[1], rel=2 * float(gamma(n_scores + 3)), abs=0)  # same scores, other sums
    for one, other in zip(found.pruning, plain.pruning, strict=True):
        assert (one.bound, one.changed) == (other.bound, other.changed)
    for one in (*found.pruning, *found.precision):
        assert one.seen <= one.bound + share * (2 * norm + Fraction(one.bound))
    assert {what.what for what in found.left_out} == {what.what for what in plain.left_out}
    json.dumps(found.as_json(), allow_nan=False)
    assert plain_lines("title", document(found))


def test_certificates_hold_at_every_trial():
    net = perceptron()
    settings = Settings(box=0.5, trials=32)
    found = analyse(net, settings)
    model = Model(net)
    trials = Trials(model, 0.5, 32, 0)
    assert np.abs(trials.x).max() <= 0.5
    for one in found.pruning:
        pruned = pg.prune(net, one.amount, inputs=0.5)
        assert one.bound == pruned.certificate.upper
        change = np.abs(net(trials.x) - pruned.net(trials.x)).sum(axis=1).max()
        assert one.seen == max(change, pruned.certificate.lower) <= one.bound
    shares = [one.bound for one in found.pruning]
    assert shares == sorted(shares)
    fixed = [one for one in found.precision if "fixed" in one.name]
    assert [one.bits for one in fixed] == sorted((one.bits for one in fixed), reverse=True)
    assert len(found.precision) == 4 + len(fixed)
    assert all(one.seen <= one.bound for one in found.precision)


def test_weights_that_a_format_holds_are_not_changed():
    net = perceptron()
    halves = net.map_values(lambda w: np.round(w * 2) / 2)
    found = analyse(halves, Settings(formats=("fp16",), bits=()))
    assert [(one.bound, one.seen, one.changed, one.ratio) for one in found.precision] == [(0.0, 0.0, 0, 1.0)]


def test_float32_is_taken_as_it_is():
    net = perceptron().to_float(np.float32)
    found = analyse(net, QUICK)
    assert found.summary.scalars == "float32"
    assert next(one for one in found.norms if one.q == 1).value == pg.path_norm(net.to_float(np.float64))


def test_what_overflows_is_given_by_its_logarithm():
    deep = pg.from_weights([[[1e200, 1e200], [1e200, 1e200]]] * 4)
    found = analyse(deep, QUICK)
    q1 = next(one for one in found.norms if one.q == 1)
    assert q1.value is None
    exact = 2**5 * Fraction(1e200) ** 4
    slack = gamma(4 * (2 + 1) + 2 + exponential_roundings(float(logarithm(exact))))  # the sum, and its logarithm
    assert abs(Fraction(q1.log) - Fraction(logarithm(exact))) <= slack
    assert any("Lipschitz" in one.what for one in found.left_out)
    text = "\n".join(plain_lines("deep", document(found)))
    assert "3.2000" in text
    assert "e+801" in text


def test_what_underflows_is_not_said_to_be_zero():
    tiny = pg.from_weights([[[5e-324]], [[1e-300]]])
    for net, why in ((tiny, "exp(-1435.22), below all floats"), (tiny.with_theta([5e-324, 0.0]), "no path has")):
        assert why in next(one.why for one in analyse(net, QUICK).left_out if one.what == "scores by layer")


def test_more_paths_than_can_be_written_down():
    found = analyse(perceptron(), QUICK)
    huge = replace(found, summary=replace(found.summary, paths=2**20000))
    assert huge.as_json()["summary"]["paths"] is None
    assert huge.as_json()["summary"]["log10_paths"] == pytest.approx(20000 * np.log10(2), rel=4 * 2.0**-53, abs=0)
    assert "3.9803e6020" in "\n".join(plain_lines("", document(huge)))


@pytest.mark.parametrize(
    ("box", "message"), [(np.ones(3), "6, one per input, got 3"), (-1.0, "finite half-widths >= 0"), (np.inf, "finite")]
)
def test_boxes_that_do_not_fit(box, message):
    with pytest.raises(pg.ParameterError, match=message):
        analyse(perceptron(), Settings(box=box))


def test_symbols_are_refused():
    sympy = pytest.importorskip("sympy")
    with pytest.raises(pg.UnsupportedOperatorError, match="SymPy"):
        analyse(pg.from_weights([[[sympy.Symbol("a")]]]))
    with pytest.raises(pg.ParameterError, match="Network or LayerGraph, got int"):
        analyse(3)


def test_numbers_as_text():
    assert [number(x) for x in (None, 0.0, 12345.678, 1e20, float("inf"), 0.00012345678)] == [
        "-", "0", "12,346", "1e+20", "infinite", "0.00012346",
    ]  # fmt: skip
    assert (power(float("-inf")), power(0.0), power(1000 * np.log(10))) == ("0", "1", "1.0000e+1000")
    assert (count(12345), count(10**20)) == ("12,345", "1.0000e20")
    assert (percent(0), percent(0.5), percent(1e-6)) == ("0.0 %", "50.0 %", "0.0001 %")
