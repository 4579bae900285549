"""Bounds on the change of the output when parameters change: against their definitions, and against evaluations."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.metrics.output_bounds import differences_found
from pathgraph.metrics.path_differences import Pair
from pathgraph.metrics.silence import live_entries, silence
from tests import pairs
from tests.networks import dag, identity, on_networks, pool, relu
from tests.pairs import PAIRS, flips, on_pairs
from tests.refusals import refused
from tests.tolerances import assert_close, gamma, norm_roundings

METHODS = ("path-metric", "weighted-metric", "general-signs", "meet", "max-telescope", "auto")


def bounds_of(pair, widths, **options):
    """The bounds per output by every method whose hypotheses hold."""
    found = {}
    for method in METHODS:
        if not (method.endswith("metric") and has_even_flips(pair)):
            found[method] = pg.parameter_lipschitz(
                pair.net, pair.other, inputs=widths, per_output=True, method=method, **options
            )
    return found


def has_even_flips(pair):
    entries = [(a, b) for paths in pair.paths for _, a, b in paths if math.prod(a) * math.prod(b)]
    return any(flips(a, b) and flips(a, b) % 2 == 0 for a, b in entries)


@on_pairs("mixed", "flipped")
def test_every_method_is_its_definition(pair):
    widths = pair.widths(1)
    found = bounds_of(pair, widths, drop_silent=False)
    metric = pair.sums(pairs.metric, widths)
    signless = pair.sums(pairs.without_signs, widths)
    telescopes = zip(
        pairs.max_telescope(pair.ours, pair.theirs, widths),
        pairs.max_telescope(pair.theirs, pair.ours, widths),
        strict=True,
    )
    telescope = [min(both) for both in telescopes]
    assert found["general-signs"].upper.tolist() == signless
    assert found["meet"].upper.tolist() == pair.sums(pairs.meet, widths)
    assert found["max-telescope"].upper.tolist() == telescope
    if has_even_flips(pair):
        for method in ("path-metric", "weighted-metric"):
            with pytest.raises(pg.ParameterError, match="even number"):
                pg.parameter_lipschitz(pair.net, pair.other, method=method, drop_silent=False)
    else:
        assert found["weighted-metric"].upper.tolist() == metric == signless
        size = max([1] * bool(pair.ours.bias) + list(widths.values()))
        assert found["path-metric"].upper.tolist() == [size * m for m in pair.sums(pairs.metric, {})]
        assert all(a <= b for a, b in zip(metric, found["path-metric"].upper, strict=True))
    has_pools = "pool" in pair.ours.kind.values()
    best = [min(a, b) if has_pools else a for a, b in zip(signless, telescope, strict=True)]
    assert found["auto"].upper.tolist() == best
    names = {"weighted-metric", "general-signs", "max-telescope"}
    assert set(found["auto"].method.split(" and ")) <= names


@on_pairs("mixed", "flipped")
def test_bounds_hold_and_lower_ends_occur(pair):
    for x in pair.case.inputs[3:6]:
        box = [abs(value) for value in x]
        change = [abs(a - b) for a, b in zip(pair.net(x), pair.other(x), strict=True)]
        found = pg.parameter_lipschitz(pair.net, pair.other, inputs=box, per_output=True)
        whole = pg.parameter_lipschitz(pair.net, pair.other, inputs=box, per_output=True, drop_silent=False)
        assert all(c <= a <= b for c, a, b in zip(change, found.upper, whole.upper, strict=True))
        assert all(a <= b for a, b in zip(found.lower, found.upper, strict=True))
    if len(box) <= 3:  # the last box
        corners = [
            [s * width for s, width in zip(signs, box, strict=True)] for signs in product((1, 0, -1), repeat=len(box))
        ]
        changes = abs(pair.net(corners) - pair.other(corners)).tolist()
        assert all(lower in column for lower, column in zip(found.lower, zip(*changes, strict=True), strict=True))
        for r, norm in ((1, sum), (math.inf, max)):
            total = pg.parameter_lipschitz(pair.net, pair.other, inputs=box, r=r)
            assert total.upper == norm(found.upper)
            assert total.lower in map(norm, changes)
            assert total.rigorous


@pytest.mark.parametrize("seed", range(20))
def test_differences_that_occur_are_rounded_down(seed):
    """Two networks that differ by little: the difference of two rounded outputs is mostly round-off."""
    random = np.random.default_rng(seed)
    net = pg.from_weights([random.normal(size=(9, 7)), random.normal(size=(9, 9)), random.normal(size=(3, 9))])
    other = net.with_theta(net.theta * (1 + 2.0**-50 * random.normal(size=len(net.theta))))
    pair = Pair.of(net, other, np.ones(7))
    found, true = differences_found(pair), differences_found(pair.rationals()._replace(net=net.to_exact()))
    assert all(Fraction(a) <= b for a, b in zip(found.ravel().tolist(), true.ravel(), strict=True))


def test_other_norms_of_the_outputs():
    net = pg.from_weights([[[3], [4]]], dtype=object)
    found = pg.parameter_lipschitz(net, net.with_theta([0, 0]), r=2)
    assert found == pg.Bound(5.0, 5.0, True, True, "weighted-metric")
    root = pg.parameter_lipschitz(net, net.with_theta([1, 1]), r=2)
    assert Fraction(root.lower) ** 2 <= 13 <= Fraction(root.upper) ** 2
    assert root.upper == math.nextafter(root.lower, math.inf)
    rough = pg.parameter_lipschitz(net, net.with_theta([0, 0]), r=1.5)
    share = float(2 * gamma(norm_roundings([3, 4], 1.5)))  # of a norm that is computed here and there
    assert rough.lower <= (3**1.5 + 4**1.5) ** (2 / 3) <= rough.upper * (1 + share)
    assert not rough.rigorous
    rough = pg.parameter_lipschitz(net.to_float(), net.with_theta([0, 0]).to_float(), r=2)
    assert rough.lower <= 5 <= rough.upper * (1 + float(gamma(norm_roundings([3, 4], 2))))
    assert not rough.exact


def test_the_theorem_is_attained():
    net = pg.from_weights([[[1, 2], [3, 4]], [[1, 1]]], [[1, 0], [2]], dtype=object)
    found = pg.parameter_lipschitz(net, net.with_theta([1, 0, 1, 3, 1, 0, 1, 1, 2]), inputs=[2, 3])
    assert found == pg.Bound(15, 15, True, True, "weighted-metric")


# -- silence ------------------------------------------------------------------------------------------------------


@on_networks()
def test_what_is_silent_is_silent(case):
    architecture = case.net.architecture
    for x in case.inputs:
        widths = np.array([abs(value) for value in x], dtype=object)
        found = silence(case.net, case.net.tensors, widths)
        rough = silence(case.float64, case.float64.tensors, widths.astype(float))
        assert (rough.dead <= found.dead).all()
        for below, above, *exact in zip(rough.below, rough.above, found.below, found.above, strict=True):
            assert (below <= exact[0]).all()
            assert (above <= exact[1]).all()
        signs = ([1] * 4, [-1] * 4, [1, -1] * 2)
        points = [[s * w for s, w in zip(each[: len(x)], widths, strict=True)] for each in signs]
        for point in [x, *points]:
            value = case.values(point)
            for v, dead in zip(case.net.nodes, found.dead[1:], strict=True):
                assert not dead or (case.oracle.kind[v] == "relu" and value[v] == 0)
            groups = [pool for node in case.net.dag.nodes for pool in node.pools]
            for group, below, above in zip(groups, found.below, found.above, strict=True):
                for row, target in enumerate((group.target - 1).tolist()):
                    v = architecture.nodes[target]
                    candidates = [c for _, c in case.oracle.candidates(v, value)]
                    chosen = sorted(candidates, reverse=True)[group.rank - 1]
                    assert all(c < chosen for c, idle in zip(candidates, below[row], strict=True) if idle)
                    assert all(c > chosen for c, idle in zip(candidates, above[row], strict=True) if idle)


def test_intervals_are_those_of_the_neurons():
    """A ReLU on the edge of being dead, and pools whose candidates just miss each other."""

    def net(bias, weight=3):
        graph = dag(
            "x",
            h=relu({"x": 1}, bias),
            far=identity({"x": 1}, weight),
            m=pool({"x": 1, "far": 1}),
            n=pool({"x": 1, "far": 1}, 2),
            y=identity({"h": 1, "m": 1, "n": 1}),
        )
        return pg.from_networkx(graph)

    one = np.array([Fraction(1)], dtype=object)
    at = {v: i + 1 for i, v in enumerate(net(-1).nodes)}
    assert silence(net(-1), net(-1).tensors, one).dead[at["h"]]
    assert not silence(net("-9/10"), net("-9/10").tensors, one).dead[at["h"]]
    apart = silence(net(-1, 3), net(-1, 3).tensors, one)
    assert [mask.tolist() for mask in apart.below] == [[[True, False]], [[False, False]]]
    assert [mask.tolist() for mask in apart.above] == [[[False, False]], [[False, True]]]
    touching = silence(net(-1, 2), net(-1, 2).tensors, one)
    assert not any(mask.any() for mask in (*touching.below, *touching.above))
    rough = net(-1).to_float()  # on the edge, floats leave the matter open
    assert not silence(rough, rough.tensors, np.ones(1)).dead.any()
    assert silence(net(-2).to_float(), net(-2).to_float().tensors, np.ones(1)).dead[at["h"]]


def test_dropping_the_silent_improves_the_bound():
    graph = dag("x", h=relu({"x": 1}, -2), g=relu({"x": 1}, 2), y=identity({"h": 5, "g": 1}))
    net = pg.from_networkx(graph)
    other = net.with_theta(net.theta / 2)
    found = pg.parameter_lipschitz(net, other)
    assert found == pg.Bound(Fraction(9, 4), Fraction(9, 4), True, True, "weighted-metric without the silent")
    assert pg.parameter_lipschitz(net, other, drop_silent=False).upper == Fraction(45, 4) + Fraction(9, 4)
    assert pg.parameter_lipschitz(net, other, inputs=3).method == "weighted-metric"


def test_candidates_that_tie_are_kept():
    """With comparisons that are not strict, both would be dropped, and the bound would be 0."""
    net = pg.from_networkx(dag("x", a=identity({"x": 1}), m=pool({"x": 1, "a": 1}), y=identity({"m": 1})))
    other = net.with_theta([1, 1, 1, 2])
    widths = np.array([Fraction(1)], dtype=object)
    assert live_entries(net, net.tensors, other.tensors, widths) is None
    assert pg.parameter_lipschitz(net, other, per_output=True).lower.tolist() == [1]
    assert pg.parameter_lipschitz(net, other).upper == 1


def test_what_is_dead_in_one_network_only_is_kept():
    net = pg.from_networkx(dag("x", h=relu({"x": 1}, -2), y=identity({"h": 1})))
    other = net.with_theta([1, 2, 1])
    assert live_entries(net, net.tensors, other.tensors, np.array([Fraction(1)], dtype=object)) is None
    assert pg.parameter_lipschitz(net, other).upper >= 3


def test_silence_beyond_the_range_of_floats(monkeypatch):
    net = pg.from_weights([[[1e300]], [[1e300]], [[1e-300]], [[1e-300]]], [[-2e300], [0], [0], [0]])
    assert silence(net, net.tensors, np.ones(1)).dead.sum() == 3
    assert pg.parameter_lipschitz(net, net.with_theta(net.theta * 0.5)).upper == 0
    monkeypatch.setattr("pathgraph.metrics.gaps.MAX_EXACT", 0)
    assert not silence(net, net.tensors, np.ones(1)).dead.any()


# -- boxes of parameters ------------------------------------------------------------------------------------------


@on_networks()
def test_perturbations_within_rho(case):
    oracle, net = case.oracle, case.net
    random = np.random.default_rng(len(case.name))
    rho = [Fraction(int(k), 4) for k in random.integers(0, 3, size=len(net.theta))]
    by_name = dict(zip(net.parameters, rho, strict=True))
    roles = {part: (role, name) for part, _, role, name in oracle.entries()}

    def move(part):
        role, name = roles[part]
        return 0 if role else by_name[name or (part[1] if part[0] is None else part)]

    def mass(change):
        return [
            sum(
                math.prod(change(abs(oracle.weight(p)), move(p)) for p in oracle.parts(path))
                for path in oracle.paths(v)
            )
            for v in oracle.outputs
        ]

    plain = mass(lambda w, move: w)
    grown, shrunk = mass(lambda w, move: w + move), mass(lambda w, move: max(w - move, 0))
    growth = pg.perturbation_bound(net, rho, per_output=True)
    shrinkage = pg.perturbation_bound(net, rho, per_output=True, shrink=True)
    assert growth.upper.tolist() == [a - b for a, b in zip(grown, plain, strict=True)]
    assert shrinkage.upper.tolist() == [a - b for a, b in zip(plain, shrunk, strict=True)]
    assert all(a <= b for a, b in zip(shrinkage.upper, growth.upper, strict=True))
    steps = [Fraction(int(k), 2) for k in random.integers(-2, 3, size=len(rho))]
    moved = net.with_theta([w + k * s for w, k, s in zip(net.theta, steps, rho, strict=True)])
    less = net.with_theta(
        [w - min(abs(w), abs(k) * s) * (1 if w > 0 else -1) for w, k, s in zip(net.theta, steps, rho, strict=True)]
    )
    for x in case.inputs:
        if max(map(abs, x)) <= 1:
            for other, bound in ((moved, growth), (less, shrinkage)):
                change = abs(net(x) - other(x))
                assert all(a <= b for a, b in zip(change, bound.upper, strict=True))
    meet = pg.path_metric(net, moved, per_output=True, method="meet").upper
    assert all(a <= b for a, b in zip(meet, growth.upper, strict=True))


def test_perturbation_bounds_are_attained():
    net = pg.from_weights([[[1, 2], [3, 0]], [[1, 1]]], [[1, 0], [2]], dtype=object)
    for shrink in (False, True):
        for inputs in (1, [2, Fraction(1, 2)]):
            assert pg.perturbation_bound(net, Fraction(1, 2), inputs=inputs, shrink=shrink).exact
    rough = pg.perturbation_bound(net.to_float(), 0.5)
    assert_close(rough.upper, pg.perturbation_bound(net, Fraction(1, 2)).upper, gamma(60))


def test_boxes_of_moduli():
    for pair in PAIRS:
        if pair.move == "pruned":
            found = pg.box_bound(pair.other, pair.net, inputs=pair.widths(1), per_output=True)
            assert found.upper.tolist() == pair.sums(pairs.metric, pair.widths(1))
            between = [
                pair.net.with_theta((a + k * b) / (1 + k))
                for a, b in [(pair.net.theta, pair.other.theta)]
                for k in (1, 3)
            ]
            total = pg.box_bound(pair.other, pair.net, inputs=pair.widths(1))
            assert pg.parameter_lipschitz(*between, inputs=pair.widths(1)).lower <= total.upper


# -- floats -------------------------------------------------------------------------------------------------------


@on_networks()
def test_float_bounds_are_as_near_as_the_analysis_says(case):
    rough = case.rough
    net = rough.float64
    other = net.with_theta(net.theta * np.resize([1.5, 0.75, 1.0], len(net.theta)))
    exact = net.to_exact(), other.to_exact()
    levels, fan_in = len({*rough.oracle.level.values()}), max(dict(rough.graph.in_degree()).values(), default=0)
    slack = gamma(levels * (5 * (fan_in + 1) + 3) + len(net.outputs) + 2)
    for method in METHODS:
        found = pg.parameter_lipschitz(net, other, method=method, drop_silent=False)
        bound = pg.parameter_lipschitz(*exact, method=method, drop_silent=False)
        assert_close(found.upper, bound.upper, slack)
        assert found.lower <= bound.lower
        assert not found.exact
        assert not found.rigorous
    assert bound.upper * (1 + slack) >= Fraction(pg.parameter_lipschitz(net, other).upper)


@pytest.mark.parametrize("weight", [1e100, 5e-324])
def test_deep_networks(weight):
    net = pg.from_weights([np.full((2, 2), weight)] * 40)
    other = net.with_theta(net.theta * np.resize([1, 0.5, 2], len(net.theta)))
    for method in ("auto", "meet", "max-telescope"):
        if weight > 1:
            with pytest.raises(pg.RangeError, match="to_exact"):
                pg.parameter_lipschitz(net, other, method=method)
        else:
            assert 0 < pg.parameter_lipschitz(net, other, method=method).upper < 1e-322
    if weight > 1:
        with pytest.raises(pg.RangeError, match="perturbation_bound"):
            pg.perturbation_bound(net, 1.0)
    else:
        assert 0 < pg.perturbation_bound(net, 5e-324).upper < 1e-322


def test_pools_in_a_telescope_beyond_the_range(monkeypatch):
    weights = [1e300, 1e300, 1e-300, 1e-300]
    names = ["x", "a", "b", "c"]
    neurons = {
        v: pool({u: w, "z": w}) for u, v, w in zip(names, ["a", "b", "c", "d"], map(Fraction, weights), strict=True)
    }
    net = pg.from_networkx(dag("x z", **neurons, y=identity({"d": 1}))).to_float()
    other = net.with_theta(net.theta * 0.5)
    exact = pg.parameter_lipschitz(net.to_exact(), other.to_exact(), method="max-telescope").upper
    assert_close(pg.parameter_lipschitz(net, other, method="max-telescope").upper, exact, gamma(40))
    monkeypatch.setattr("pathgraph.metrics.gaps.MAX_EXACT", 0)
    pair = [each.to_exact() for each in (net, other)]
    sums = min(pg.path_metric(*order, method="telescope").upper for order in (pair, pair[::-1]))
    coarse = pg.parameter_lipschitz(net, other, method="max-telescope").upper
    assert_close(coarse, sums, gamma(40))
    assert coarse > exact


# -- what is refused ----------------------------------------------------------------------------------------------

NET = pg.from_weights([[[1.0, -2.0]], [[3.0]]], [[1.0], None])
TWICE = NET.with_theta([1.0, 2.0, 1.0, -3.0])
REFUSED = {
    "no other network": (lambda: pg.parameter_lipschitz(NET, 3), "other.*Network.*int"),
    "another architecture": (lambda: pg.parameter_lipschitz(NET, pg.from_weights([[[1.0]]])), "other.*architecture"),
    "other scalars": (lambda: pg.parameter_lipschitz(NET.to_exact(), NET), "other.*scalars.*exact.*float"),
    "unknown method": (lambda: pg.parameter_lipschitz(NET, NET, method="U2"), "method.*'meet'.*'U2'"),
    "r below 1": (lambda: pg.parameter_lipschitz(NET, NET, r=0.5), r"r: .*\[1, inf\].*0.5"),
    "negative box": (lambda: pg.parameter_lipschitz(NET, NET, inputs=-1), "inputs.*>= 0"),
    "NaN box": (lambda: pg.parameter_lipschitz(NET, NET, inputs=math.nan), "inputs.*finite"),
    "infinite box": (lambda: pg.parameter_lipschitz(NET, NET, inputs=math.inf), "inputs.*finite"),
    "empty box": (lambda: pg.parameter_lipschitz(NET, NET, inputs=[]), "inputs.*2 values"),
    "even flips": (
        lambda: pg.parameter_lipschitz(NET, TWICE, method="weighted-metric"),
        "even number.*'general-signs'",
    ),
    "negative rho": (lambda: pg.perturbation_bound(NET, -1.0), "rho must be >= 0.*-1"),
    "one negative rho": (lambda: pg.perturbation_bound(NET, [0, 0, 0, -1]), r"rho: the value of .*>= 0.*-1"),
    "NaN rho": (lambda: pg.perturbation_bound(NET, math.nan), "rho.*finite"),
    "rho of a wrong length": (lambda: pg.perturbation_bound(NET, [1, 2]), "rho.*4 numbers.*2"),
    "rho of text": (lambda: pg.perturbation_bound(NET, "1"), "rho.*number.*'1'"),
    "rho of a set": (lambda: pg.perturbation_bound(NET, {1.0}), "rho.*number"),
    "matrix rho": (lambda: pg.perturbation_bound(NET, np.ones((4, 1))), r"rho.*vector.*\(4, 1\)"),
    "float rho": (lambda: pg.perturbation_bound(NET.to_exact(), 0.5), "rho.*exact.*0.5"),
    "no box": (
        lambda: pg.box_bound(NET, NET.with_theta([2.0, -1.0, 1.0, 3.0])),
        "low.*, got, in high and low, the weight of .*: -1.0 and -2.0: the box is empty; use parameter_lipschitz",
    ),
    "box of two signs": (lambda: pg.box_bound(TWICE, NET), "low.*signs"),
    "box with one end": (lambda: pg.box_bound(NET, 3), "high.*Network.*int"),
    "box with a number": (lambda: pg.box_bound(3, NET), "low.*Network.*int"),
    "box of two architectures": (lambda: pg.box_bound(NET, pg.from_weights([[[1.0]]])), "high.*architecture"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    call, match = REFUSED[name]
    refused(call, pg.ParameterError, match)


TOO_MANY = {
    "weighted-metric": (
        lambda: pg.parameter_lipschitz(
            NET, NET.with_theta([2.0, -4.0, 1.0, 1.0]), method="weighted-metric", max_paths=1
        ),
        "max_paths=1 paths.*'meet'",
    ),
    "path-metric": (
        lambda: pg.parameter_lipschitz(NET, NET.with_theta([2.0, -4.0, 1.0, 1.0]), method="path-metric", max_paths=1),
        "more than max_paths=1",
    ),
}


@pytest.mark.parametrize("name", TOO_MANY)
def test_too_many_paths(name):
    call, match = TOO_MANY[name]
    refused(call, pg.PathCountError, match)


def test_symbols_are_refused():
    sympy = pytest.importorskip("sympy")
    net = pg.from_weights([[[sympy.Symbol("w")]]])
    for call in (
        lambda: pg.parameter_lipschitz(net, net),
        lambda: pg.perturbation_bound(net, 1),
        lambda: pg.box_bound(net, net),
    ):
        with pytest.raises(pg.UnsupportedOperatorError, match="SymPy"):
            call()


def test_pairs_have_two_orders():
    pair = Pair.of(NET, TWICE, np.ones(2))
    assert pair.swapped().swapped() == pair
