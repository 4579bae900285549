"""The path-metric and its bounds: each against its definition, path by path; exactness is claimed only where it is."""

import math
from fractions import Fraction
from itertools import product

import networkx as nx
import numpy as np
import pytest

import pathgraph as pg
from pathgraph.metrics.gaps import gap_sweep, meet_sweep
from pathgraph.metrics.path_changes import path_changes
from tests import pairs
from tests.networks import on_networks
from tests.pairs import flips, is_mixed, on_pairs
from tests.refusals import refused
from tests.tolerances import assert_close, gamma

BOUNDS = {"meet": pairs.meet, "max-min": pairs.max_min, "join": pairs.join, "telescope": pairs.telescope}


@on_pairs("mixed", "flipped")
def test_every_method_is_its_definition(pair):
    widths = pair.widths(1)
    exact = pair.sums(pairs.metric, widths)
    masses = [pair.sums(lambda a, b, which=which: abs(math.prod((a, b)[which])), widths) for which in (0, 1)]
    has_flips = any(flips(a, b) and math.prod(a) * math.prod(b) for paths in pair.paths for _, a, b in paths)
    for method, term in BOUNDS.items():
        if has_flips and method in ("max-min", "join"):
            with pytest.raises(pg.ParameterError, match="signs agree"):
                pg.path_metric(pair.net, pair.other, method=method)
            continue
        found = pg.path_metric(pair.net, pair.other, inputs=widths, per_output=True, method=method)
        assert found.upper.tolist() == pair.sums(term, widths)
        for lower, metric, mass, other, upper in zip(found.lower, exact, *masses, found.upper, strict=True):
            assert abs(mass - other) <= lower <= metric <= upper
            assert lower in (abs(mass - other), metric)
        assert found.rigorous
        assert not found.exact or found.upper.tolist() == exact
        total = pg.path_metric(pair.net, pair.other, inputs=widths, method=method)
        assert (total.lower, total.upper) == (sum(found.lower), sum(found.upper))
    listed = pg.path_metric(pair.net, pair.other, inputs=widths, per_output=True, method="enumeration")
    assert (listed.lower.tolist(), listed.upper.tolist(), listed.exact) == (exact, exact, True)


@on_pairs("pruned", "grown", "mixed", "flipped")
def test_the_best_is_exact_and_says_so(pair):
    exact = sum(pair.sums(pairs.metric, {}))
    found = pg.path_metric(pair.net, pair.other)
    assert (found.lower, found.upper, found.exact, found.rigorous) == (exact, exact, True, True)
    one_way = {"pruned", "grown"}
    assert pair.move not in one_way or found.method == "two-sweeps"
    unlisted = pg.path_metric(pair.net, pair.other, max_paths=0)
    hard = any(
        math.prod(a) * math.prod(b) and (is_mixed(a, b) if not flips(a, b) else flips(a, b) % 2 == 0)
        for paths in pair.paths
        for _, a, b in paths
    )
    assert unlisted.exact != hard
    assert (unlisted.upper == exact) or hard
    if found.method != "two-sweeps":
        with pytest.raises(pg.ParameterError, match="two-sweeps"):
            pg.path_metric(pair.net, pair.other, method="two-sweeps")


@on_pairs("mixed", "flipped", "reversed")
def test_kinds_of_changes_are_those_of_the_paths(pair):
    widths = np.array([0, *[1] * 20][: len(pair.net.inputs)])
    start = dict(zip(pair.net.inputs, widths, strict=True))
    found = path_changes(pair.net, pair.net.tensors, pair.other.tensors, widths)
    for index, paths in enumerate(pair.paths):
        live = [(a, b) for u, a, b in paths if start.get(u, 1) and math.prod(a) * math.prod(b)]
        assert found.mixed[index] == any(not flips(a, b) and is_mixed(a, b) for a, b in live)
        assert found.odd[index] == any(flips(a, b) % 2 for a, b in live)
        assert found.even[index] == any(flips(a, b) and not flips(a, b) % 2 for a, b in live)


@on_pairs("mixed", "flipped")
def test_even_powers(pair):
    widths = pair.widths(1)
    for q in (2, 4):
        powers = [
            sum((widths.get(start, 1) * pairs.metric(a, b)) ** q for start, a, b in paths) for paths in pair.paths
        ]
        found = pg.path_metric(pair.net, pair.other, inputs=widths, per_output=True, q=q, root=False)
        assert (found.lower.tolist(), found.upper.tolist(), found.exact) == (powers, powers, True)
        assert found.method == ("three-sweeps" if q == 2 else "5-sweeps")
        root = pg.path_metric(pair.net, pair.other, inputs=widths, q=q)
        assert Fraction(root.lower) ** q <= sum(powers) <= Fraction(root.upper) ** q
        assert root.upper <= math.nextafter(root.lower, math.inf)
        if pair.case.is_dyadic and q == 2:
            rough = pg.path_metric(pair.net.to_float(), pair.other.to_float(), inputs=widths, q=q, root=False)
            assert Fraction(rough.lower) <= sum(powers) <= Fraction(rough.upper)
            assert rough.rigorous
            assert rough.exact


@on_networks()
def test_float_bounds_are_as_near_as_the_analysis_says(case):
    rough = case.rough
    factors = np.resize([1.5, 0.75, 1 + 2.0**-20, 1 - 2.0**-20], len(rough.net.theta)).astype(np.float32)
    for net, methods in ((rough.float64, BOUNDS), (rough.net.to_float(np.float32), ["meet"])):
        other = net.with_theta(net.theta * factors)
        exact = net.to_exact(), other.to_exact()
        metric = pg.path_metric(*exact).upper
        levels = len({*rough.oracle.level.values()})
        fan_in = max(dict(rough.graph.in_degree()).values(), default=0)
        slack = gamma(levels * (5 * (fan_in + 1) + 3) + len(net.outputs) + 2)
        for method in methods:
            if method in ("max-min", "join") and (net.values * other.values < 0).any():
                continue
            bound = pg.path_metric(*exact, method=method)
            found = pg.path_metric(net, other, method=method)
            assert_close(found.upper, bound.upper, slack)
            assert Fraction(found.lower) <= metric * (1 + slack)
            assert type(found.upper) is float
        listed = pg.path_metric(net, other, method="enumeration")
        assert Fraction(listed.lower) <= metric <= Fraction(listed.upper)
        assert listed.upper <= math.nextafter(listed.lower, math.inf)
        assert listed.rigorous
        other = net.with_theta(net.theta * np.float32(1 - 2.0**-10))
        found = pg.path_metric(net, other)
        assert found.exact
        assert not found.rigorous
        assert_close(found.upper, pg.path_metric(net.to_exact(), other.to_exact()).upper, slack)


def test_recursion_beats_subtraction_in_single_precision():
    """Rounding toward zero to a step of 2**-18: path-norms of float32 agree in most of their digits."""
    random = np.random.default_rng(0)
    weights = [random.normal(size=(8, 8)).astype(np.float32) for _ in range(4)]
    net = pg.from_weights(weights)
    assert net.dtype == np.float32
    other = net.with_theta((np.trunc(net.theta * 2.0**18) / 2.0**18).astype(np.float32))
    exact = pg.path_metric(net.to_exact(), other.to_exact(), per_output=True).upper
    ours, theirs = ([np.abs(w) for w in each.tensors] for each in (net, other))
    apart = [a - b for a, b in zip(ours, theirs, strict=True)]
    states, in_range = gap_sweep(net, theirs, apart, ours, np.ones(8, dtype=np.float32))
    assert in_range
    assert states.dtype == np.float32
    norms = [pg.path_norm(each, per_output=True, dtype=np.float32) for each in (net, other)]
    by_recursion = max(abs(Fraction(float(e)) / x - 1) for e, x in zip(states[1], exact, strict=True))
    by_subtraction = max(abs(Fraction(float(e)) / x - 1) for e, x in zip(norms[0] - norms[1], exact, strict=True))
    assert by_recursion <= gamma(4 * (3 * 9 + 3), np.float32)
    assert by_recursion < 1e-6
    assert by_subtraction > 1e-3


def test_states_of_the_sweeps():
    net = pg.from_weights([[[1.0, -2.0], [3.0, 1.0]], [[1.0, 1.0]]], [[0.0, 5.0], None])
    other = net.with_theta([2.0, -1.0, 0.0, 3.0, -1.0, 4.0, 1.0, 1.0])
    s, over, under = meet_sweep(net, net.tensors, other.tensors, np.ones(2)).states
    assert (s.tolist(), over.tolist(), under.tolist()) == ([9.0], [3.0], [2.0])
    assert (s + over).tolist() == pg.path_norm(net, per_output=True).tolist()
    assert (s + under).tolist() == pg.path_norm(other, per_output=True).tolist()


def test_rescaling_leaves_the_metric_and_not_the_bounds():
    net = pg.from_weights([[[1, 2], [3, -4]], [[1, 1]]], [[1, 2], [3]], dtype=object)
    scaled = pg.rescale(net, {(1, 0): 2, (1, 1): 3})
    assert pg.path_metric(net, scaled) == pg.Bound(0, 0, True, True, "enumeration")
    assert pg.path_metric(net, scaled, method="meet").upper > 0
    both = pg.rescale(scaled, {(1, 0): 5})
    other = pg.rescale(net, {(1, 0): 5})
    assert pg.path_metric(both, other, method="meet") == pg.path_metric(scaled, net, method="meet")


@pytest.mark.parametrize("q", [2, 4])
def test_cancellation_of_an_even_metric_is_enclosed(q):
    """Two representatives of nearly one orbit: the changes of a path nearly cancel, and rationals take over."""
    random = np.random.default_rng(1)
    net = pg.from_weights([random.normal(size=(4, 4)), random.normal(size=(2, 4))])
    factors = dict(zip(net.hidden, [3.0, 5.0, 7.0, 11.0], strict=True))
    other = pg.rescale(net, factors)
    found = pg.path_metric(net, other, q=q, root=False)
    exact = pg.path_metric(net.to_exact(), other.to_exact(), q=q, root=False).upper
    assert Fraction(found.lower) <= exact <= Fraction(found.upper)
    assert 0 < found.upper < 1e-28
    assert found.exact
    assert found.upper <= math.nextafter(math.nextafter(found.lower, 1), 1)


def test_a_large_network_keeps_its_enclosure(monkeypatch):
    monkeypatch.setattr("pathgraph.metrics.gaps.MAX_EXACT", 0)
    net = pg.from_weights([[[1.0]], [[1 / 3]]])
    other = pg.rescale(net, {(1, 0): 3.0})
    found = pg.path_metric(net, other, q=2)
    exact = pg.path_metric(net.to_exact(), other.to_exact(), q=2, root=False).upper
    assert not found.exact
    assert found.rigorous
    assert Fraction(found.lower) ** 2 <= exact <= Fraction(found.upper) ** 2
    for big, inputs in ((1e300, 1), (1.5, 1e-200)):
        with pytest.raises(pg.RangeError, match="to_exact"):
            pg.path_metric(pg.from_weights([[[big]]]), pg.from_weights([[[1.0]]]), q=2, inputs=inputs)


# -- why the exact metric is hard ---------------------------------------------------------------------------------


def diamonds(stages):
    """A chain of two-branch stages of identity neurons; `stages` holds the weights of the first edges."""
    graph = nx.DiGraph()
    graph.add_node("x", activation="input")
    before = "x"
    for k, (a, b) in enumerate(stages):
        graph.add_nodes_from([(k, 0), (k, 1), (k, "end")], activation="identity")
        for branch, weight in enumerate((a, b)):
            graph.add_edge(before, (k, branch), weight=Fraction(weight))
            graph.add_edge((k, branch), (k, "end"), weight=Fraction(1))
        before = (k, "end")
    return graph


def test_diamonds_are_total_variation():
    p, q = [Fraction(1, 3), Fraction(1, 2), Fraction(4, 5)], [Fraction(1, 2), Fraction(1, 5), Fraction(3, 4)]
    ours, theirs = (pg.from_networkx(diamonds([(a, 1 - a) for a in each])) for each in (p, q))

    def law(each):
        return [math.prod(a if bit else 1 - a for a, bit in zip(each, bits, strict=True)) for bits in outcomes]

    outcomes = list(product((0, 1), repeat=3))
    variation = sum(abs(a - b) for a, b in zip(law(p), law(q), strict=True)) / 2
    assert pg.path_metric(ours, theirs).upper == 2 * variation


def test_diamonds_count_subset_products():
    factors = [2, 3, 6, 4, 12]

    def metric(c):
        graph = diamonds([(1, 1)] * 5)
        other = diamonds([(1, a) for a in factors])
        for each, weight in ((graph, c), (other, 1)):
            for branch in (0, 1):
                each.edges["x", (0, branch)]["weight"] *= Fraction(weight)
        return pg.path_metric(pg.from_networkx(graph), pg.from_networkx(other)).upper

    subsets = [math.prod(a for a, bit in zip(factors, bits, strict=True) if bit) for bits in product((0, 1), repeat=5)]
    for target in (12, 5):
        step = Fraction(1, 2)
        second = metric(target + step) - 2 * metric(target) + metric(target - step)
        assert second == 2 * step * subsets.count(target)


# -- the range of floats ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [1e100, 1e-300, 5e-324])
def test_deep_networks(weight):
    net = pg.from_weights([np.full((2, 2), weight)] * 40)
    other = pg.from_weights([np.full((2, 2), weight)] * 39 + [np.full((2, 2), weight / 2)])
    exact = Fraction(weight) ** 39 * (Fraction(weight) - Fraction(weight / 2)) * 2**41
    if weight > 1:
        for method in ("auto", "meet", "telescope", "max-min", "join"):
            with pytest.raises(pg.RangeError, match="to_exact"):
                pg.path_metric(net, other, method=method)
    else:
        for method in ("auto", "meet", "telescope", "max-min", "join"):
            found = pg.path_metric(net, other, method=method)
            assert found.lower <= exact <= found.upper == 5e-324


def test_a_metric_within_the_range_is_right_whatever_lies_between():
    weights = [1e300] * 5 + [1e-300] * 5
    net = pg.from_weights([[[w]] for w in weights])
    other = net.with_theta(net.theta * [1, 1, 1, 1, 0.5, 1, 1, 1, 1, 1])
    exact = pg.path_metric(net.to_exact(), other.to_exact()).upper
    for method in ("auto", "meet", "telescope", "max-min", "join", "enumeration"):
        found = pg.path_metric(net, other, method=method)
        assert_close(found.upper, exact, gamma(100))
        assert Fraction(found.lower) <= exact * (1 + gamma(100))
    assert Fraction(pg.path_metric(net, other, q=2).lower) <= exact <= Fraction(pg.path_metric(net, other, q=2).upper)


def test_opposite_giants():
    """The difference of two weights overflows, its product with the next weight does not."""
    net = pg.from_weights([[[1.5e308]], [[1e-10]]])
    other = pg.from_weights([[[-1.5e308]], [[1e-10]]])
    exact = 3 * Fraction(1.5e308) / 3 * 2 * Fraction(1e-10)
    for method in ("auto", "meet", "telescope"):
        assert_close(pg.path_metric(net, other, method=method).upper, exact, gamma(20))


def test_exact_networks_have_no_range():
    huge = Fraction(10) ** 400
    net = pg.from_weights([[[huge, 1]], [[Fraction(1, 3)]]])
    other = net.with_theta([huge + 1, 0, Fraction(1, 3)])
    assert pg.path_metric(net, other).upper == Fraction(2, 3)
    assert pg.path_metric(net, net.with_theta(-net.theta), q=2, root=False).upper == 0
    with pytest.raises(pg.RangeError, match="root=False"):
        pg.path_metric(net, net.with_theta(0 * net.theta), q=2)
    small = pg.from_weights([[[1 / huge]]])
    assert pg.path_metric(small, small.with_theta([Fraction(0)]), q=2) == pg.Bound(
        0.0, 5e-324, True, True, "three-sweeps"
    )


# -- what is refused ----------------------------------------------------------------------------------------------

NET = pg.from_weights([[[1.0, -2.0]], [[3.0]]])
FLIPPED = NET.with_theta([1.0, 2.0, 3.0])
REFUSED = {
    "no network": (lambda: pg.path_metric([1], NET), "net.*Network.*list"),
    "no other network": (lambda: pg.path_metric(NET, None), "other.*Network.*NoneType"),
    "another architecture": (
        lambda: pg.path_metric(NET, pg.from_weights([[[1.0, -2.0]]])),
        "other.*architecture.*got.*3 neurons.*beside.*4 neurons",
    ),
    "other scalars": (lambda: pg.path_metric(NET, NET.to_exact()), "other.*scalars.*float.*exact"),
    "unknown method": (lambda: pg.path_metric(NET, NET, method="U2"), "method.*'meet'.*'U2'"),
    "q of a norm": (lambda: pg.path_metric(NET, NET, q=3), "q: .*even.*3"),
    "q zero": (lambda: pg.path_metric(NET, NET, q=0), "q: "),
    "q infinite": (lambda: pg.path_metric(NET, NET, q=math.inf), "q: .*even.*inf"),
    "q boolean": (lambda: pg.path_metric(NET, NET, q=True), "q: "),
    "q too large": (lambda: pg.path_metric(NET, NET, q=18), "q: .*16.*18"),
    "a method for q = 2": (lambda: pg.path_metric(NET, NET, q=2, method="meet"), "method.*q = 2.*'meet'"),
    "negative width": (lambda: pg.path_metric(NET, NET, inputs=[1, -1]), "inputs.*>= 0.*-1"),
    "NaN width": (lambda: pg.path_metric(NET, NET, inputs=[1, math.nan]), "inputs.*finite"),
    "widths of a wrong length": (lambda: pg.path_metric(NET, NET, inputs=[1]), "inputs.*2 values.*1"),
    "float width": (lambda: pg.path_metric(NET.to_exact(), NET.to_exact(), inputs=0.5), "inputs.*exact.*0.5"),
    "signs, two-sweeps": (lambda: pg.path_metric(NET, FLIPPED, method="two-sweeps"), "two-sweeps.*signs.*-2.0 and 2.0"),
    "both ways, two-sweeps": (
        lambda: pg.path_metric(NET, NET.with_theta([2.0, -2.0, 1.5]), method="two-sweeps"),
        r"all grow, got the weight of \(1, 0\).*: 3.0 and 1.5; the weight of \(0, 0\).*: 1.0 and 2.0; use",
    ),
    "signs, max-min": (lambda: pg.path_metric(NET, FLIPPED, method="max-min"), r"signs.*-2.* 2"),
    "signs, join": (lambda: pg.path_metric(NET, FLIPPED, method="join"), "signs agree"),
    "max_paths": (lambda: pg.path_metric(NET, NET, max_paths=-1), "max_paths.*>= 0.*-1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    call, match = REFUSED[name]
    refused(call, pg.ParameterError, match)


def test_too_many_paths():
    with pytest.raises(pg.PathCountError, match=r"2 paths.*max_paths=1"):
        pg.path_metric(NET, FLIPPED, method="enumeration", max_paths=1)


def test_symbols_are_refused():
    sympy = pytest.importorskip("sympy")
    net = pg.from_weights([[[sympy.Symbol("w")]]])
    with pytest.raises(pg.UnsupportedOperatorError, match="path_metric"):
        pg.path_metric(net, net)
