"""Sums over paths in every semiring: sweep against enumeration, NumPy against the reference, back against forward."""

import math
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise, product

import networkx as nx
import numpy as np
import pytest

import pathgraph as pg
from pathgraph.pathsum.blocks import Block
from pathgraph.pathsum.preparation import buffer, edge_values
from pathgraph.pathsum.sweep import back, marginals, sweep
from tests.networks import on_networks
from tests.oracles import Oracle, logarithm
from tests.tolerances import assert_close, gamma, roundings

rings = pg.semirings


def best(items):
    return tuple(sorted(items, reverse=True)[:2])


TWO_BEST = pg.Semiring(
    (), (1,), lambda a, b: best(a + b), lambda a, b: best(x * y for x in a for y in b), value=lambda w: (abs(w),)
)
WORDS = pg.Semiring(
    frozenset(),
    frozenset({()}),
    frozenset.union,
    lambda a, b: frozenset(y + x for x in a for y in b),
    edge_value=lambda w, edge: frozenset({((w, edge),)}),
    name="sets of words",
)
BOTTLENECK = pg.Semiring(-1, Fraction(10**9), max, min, value=abs)

COMMUTATIVE = {
    "real": rings.REAL,
    "max_times": rings.MAX_TIMES,
    "max_plus": rings.MAX_PLUS,
    "count": rings.COUNT,
    "lengths": rings.LENGTHS,
    "two_best": TWO_BEST,
    "bottleneck": BOTTLENECK,
}
EXACT = COMMUTATIVE | {"words": WORDS}
ROUNDING = {"scaled": rings.SCALED, "log": rings.LOG}

in_exact_rings = pytest.mark.parametrize("ring", EXACT.values(), ids=EXACT)
in_commutative_rings = pytest.mark.parametrize("ring", COMMUTATIVE.values(), ids=COMMUTATIVE)
in_rings = pytest.mark.parametrize("ring", (EXACT | ROUNDING).values(), ids=EXACT | ROUNDING)


def listed(array):
    return array.tolist() if isinstance(array, np.ndarray) else array


# -- sums against enumeration -------------------------------------------------------------------------------------


@in_exact_rings
@on_networks()
def test_path_sum_is_the_sum_over_paths(case, ring):
    net, oracle = case.net, case.oracle
    assert pg.path_sum(net, ring) == oracle.path_sum(ring)
    per_output = [oracle.path_sum(ring, oracle.paths(v)) for v in oracle.outputs]
    assert listed(pg.path_sum(net, ring, per_output=True)) == per_output
    from_inputs = [path for path in case.lifting if oracle.starts_at_input(path)]
    assert pg.path_sum(net, ring, biases=False) == oracle.path_sum(ring, from_inputs)
    for v in net.nodes:
        assert pg.path_sum(net, ring, target=v) == oracle.path_sum(ring, oracle.paths(v))


@in_exact_rings
@on_networks(lambda case: len(case.graph) < 9)
def test_path_sum_between_two_neurons(case, ring):
    for source, target in product(case.net.nodes, repeat=2):
        between = [(source,)] if source == target else list(nx.all_simple_paths(case.graph, source, target))
        expected = case.oracle.path_sum(ring, between, parts=lambda path: list(pairwise(path)))
        assert pg.path_sum(case.net, ring, source=source, target=target) == expected


@on_networks()
def test_paths_start_with_the_given_elements(case):
    start = {u: Fraction(3 * i - 2, 2) for i, u in enumerate(case.net.inputs)}
    assert pg.path_sum(case.net, inputs=start) == case.oracle.path_sum(rings.REAL, start=start)
    assert pg.path_sum(case.net, inputs=list(start.values())) == case.oracle.path_sum(rings.REAL, start=start)
    some = dict(list(start.items())[:1])
    assert pg.path_sum(case.net, inputs=some) == case.oracle.path_sum(rings.REAL, start=dict.fromkeys(start, 1) | some)
    assert pg.path_sum(case.net, inputs=3) == case.oracle.path_sum(rings.REAL, start=dict.fromkeys(start, 3))
    if case.is_dyadic:
        floats = {u: float(w) for u, w in start.items()}
        assert pg.path_sum(case.float64, inputs=floats) == case.oracle.path_sum(rings.REAL, start=start)


def as_fraction(scaled):
    mantissa, exponent = scaled
    return Fraction(mantissa) * Fraction(2) ** exponent


@on_networks()
def test_scaled_and_log_sums_are_as_near_as_the_analysis_says(case):
    rough = case.rough
    masses, slack = [sum(rough.oracle.powers(1, v)) for v in rough.net.outputs], gamma(roundings(rough.oracle) + 1)
    positive = rough.float64.map_values(abs)
    for scaled, mass in zip(pg.path_sum(positive, rings.SCALED, per_output=True).tolist(), masses, strict=True):
        assert_close(as_fraction(scaled), mass, slack)
    for log, mass in zip(pg.path_sum(rough.float64, rings.LOG, per_output=True), masses, strict=True):
        if mass == 0:
            assert log == -np.inf
            continue
        # an entry: log, correct to 1 ulp of at most 2**8; an edge: one addition, one logaddexp, of 4 ulps each at most
        edges_and_biases = len(case.net.values) + 1
        assert abs(Decimal(float(log)) - logarithm(mass)) <= Decimal(edges_and_biases * 10 * 2.0**-52 * 2**8)


# -- the back ends ------------------------------------------------------------------------------------------------


def rounds(case, ring):
    """Whether the ring rounds on this network, in an order that differs between the back ends."""
    return ring is rings.SCALED and not case.is_dyadic


def same(one, other):
    """Equal, element by element; intervals, which are never certainly equal, by their text."""
    return listed(one) == listed(other) or repr(listed(one)) == repr(listed(other))


@in_rings
@on_networks()
def test_numpy_does_what_the_reference_does(case, ring):
    """To the last bit."""
    for net in () if rounds(case, ring) else (case.net, case.float64):
        for f in (pg.path_sum, pg.path_marginals, pg.node_marginals):
            if f is not pg.path_sum and ring is WORDS:
                continue  # its product does not commute
            assert same(f(net, ring, backend="numpy"), f(net, ring, backend="reference"))
        per_output = [pg.path_sum(net, ring, per_output=True, backend=backend) for backend in ("numpy", "reference")]
        assert same(*per_output)


@on_networks()
def test_numpy_does_what_the_reference_does_when_floats_round(case):
    net = case.rough.float64
    for ring in (rings.REAL, rings.MAX_TIMES, rings.LENGTHS):
        for f in (pg.path_sum, pg.path_marginals, pg.node_marginals):
            assert same(f(net, ring, backend="numpy"), f(net, ring, backend="reference"))
    for q in (0, 1, 2, np.inf):
        assert pg.path_norm(net, q, backend="numpy") == pg.path_norm(net, q, backend="reference")
        assert pg.path_norm(case.net, q, backend="numpy") == pg.path_norm(case.net, q, backend="reference")


def states(net, ring, backend, seed, n_states=3):
    """A full buffer of elements, the same for both back ends."""
    random, x = np.random.default_rng(seed), buffer(net, ring, n_states, backend)
    for index in np.ndindex(x.shape):
        weight = Fraction(int(random.integers(-4, 5)), 2)
        x[index] = ring.value(weight if net.is_exact else float(weight))
    return x


def terms(net, ring, backend, n_states=3):
    """Two terms with other entries and transitions, one of which may lead nowhere or to two states."""
    random = np.random.default_rng(n_states)
    other = net.map_values(lambda values: 1 - values)
    transition = random.integers(0, 2, size=(n_states, n_states)).astype(bool)
    return [(edge_values(net, ring, backend), None), (edge_values(other, ring, backend), transition)]


WITHOUT_LABELS = COMMUTATIVE | ROUNDING
in_unlabelled_rings = pytest.mark.parametrize("ring", WITHOUT_LABELS.values(), ids=WITHOUT_LABELS)


@in_unlabelled_rings
@on_networks(lambda case: len(case.graph) < 12)
def test_vector_states_on_both_back_ends(case, ring):
    for net in () if rounds(case, ring) else (case.net, case.float64):
        forward, backward, through = {}, {}, {}
        for backend in ("numpy", "reference"):
            steps = terms(net, ring, backend)
            x, y = (states(net, ring, backend, seed) for seed in (1, 2))
            forward[backend] = sweep(net, steps, x, ring=ring, backend=backend)
            backward[backend] = back(net, steps, y, ring=ring, backend=backend)
            found = [marginals(net, term, x, y, ring=ring, backend=backend) for term in steps]
            through[backend] = [[listed(tensor) for tensor in term] for term in found]
        for found in (forward, backward, through):
            assert same(found["numpy"], found["reference"])


def swept_inputs(net, xs, backend, *, constant, **options):
    """The neurons on several inputs at once, one row each, in the sum of two terms whose values add up to the net's."""
    pair = [net.map_values(lambda w: w - 1), net.map_values(lambda w: 0 * w + 1)]
    steps = [(edge_values(part, rings.REAL, backend), None) for part in pair]
    x = buffer(net, rings.REAL, len(xs), backend)
    x[:, 0] = constant
    x[:, net.dag.inputs] = np.array(xs, dtype=x.dtype)
    return sweep(net, steps, x, backend=backend, **options)[:, 1:].tolist()


@pytest.mark.parametrize("backend", ["numpy", "reference"])
@on_networks()
def test_pools_select_what_the_definitions_say(case, backend):
    """The k-th largest in an evaluation, the largest in the pass of a bound; of candidates summed over the terms."""
    oracle, nodes = case.oracle, case.net.nodes
    widths = [tuple(map(abs, x)) for x in case.inputs]
    values = [[case.values(x)[v] for v in nodes] for x in case.inputs]
    passes = [[oracle.max_pass(v, dict(zip(oracle.inputs, w, strict=True))) for v in nodes] for w in widths]
    for net in (case.net, case.float64) if case.is_dyadic else (case.net,):
        assert swept_inputs(net, case.inputs, backend, constant=1, pools="rank", relu=True) == values
        assert swept_inputs(net.map_values(abs), widths, backend, constant=0, pools="max") == passes


@in_unlabelled_rings
@on_networks()
def test_blocks_do_what_their_pattern_says(case, ring):
    """The overrides of a block against the defaults of `Block`, on the same elements."""
    for net in () if rounds(case, ring) else (case.net, case.float64):
        values, x = edge_values(net, ring), states(net, ring, "numpy", 1)
        for block in net.dag.blocks():
            w, source, target = values[block.tensor], x[:, block.source], x[:, block.target]
            assert (target.shape[1], source.shape[1]) == block.shape
            plain = [ring.full(a.shape) for a in (w, source, target)]
            for copy, array in zip(plain, (w, source, target), strict=True):
                copy[...] = array if array.dtype == object else objects(array)
            pw, ps, pt = plain
            assert same(block.apply(source, w, ring), Block.apply(block, ps, pw, ring))
            assert same(block.apply_transpose(target, w, ring), Block.apply_transpose(block, pt, pw, ring))
            gradient = block.entry_gradient(source, target, w.shape, ring)
            assert same(gradient, Block.entry_gradient(block, ps, pt, w.shape, ring))
            some = np.arange(0, block.shape[0], 2)
            chosen = np.isin(block.pattern().target, some)
            assert same(np.stack(block.pattern(some)), np.stack(block.pattern())[:, chosen])


def objects(array):
    out = np.empty(array.shape, dtype=object)
    for index in np.ndindex(array.shape):
        out[index] = array[index].item()
    return out


# -- the backward sweep and the marginals -------------------------------------------------------------------------


def total(ring, x, y):
    sums = ring.zero
    for a, b in zip(x.flat, y.flat, strict=True):
        sums = ring.add(sums, ring.mul(a, b))
    return sums


@in_commutative_rings
@on_networks(lambda case: len(case.graph) < 20)
def test_back_is_the_transpose_of_sweep(case, ring):
    """<y, sweep(x)> = <back(y), x> for full buffers and any transitions, in any commutative semiring."""
    steps = terms(case.net, ring, "reference")
    x, y = (states(case.net, ring, "reference", seed) for seed in (1, 2))
    swept = sweep(case.net, steps, x.copy(), ring=ring, backend="reference")
    assert total(ring, swept, y) == total(ring, x, back(case.net, steps, y.copy(), ring=ring, backend="reference"))


@on_networks(lambda case: len(case.graph) < 12)
def test_marginals_are_what_the_total_loses_without_the_entry(case):
    """The total is linear in each single entry of each term, so its marginal is found by setting it to zero."""
    ring, net = rings.REAL, case.net
    steps = terms(net, ring, "numpy")
    x0, y0 = (states(net, ring, "numpy", seed) for seed in (1, 2))
    x, y = sweep(net, steps, x0.copy()), back(net, steps, y0.copy())
    complete = total(ring, x, y0)
    for k, (values, transition) in enumerate(steps):
        for i, tensor in enumerate(marginals(net, steps[k], x, y)):
            for entry, marginal in enumerate(tensor):
                without = [tensor.copy() for tensor in values]
                without[i][entry] = 0
                changed = [*steps[:k], (without, transition), *steps[k + 1 :]]
                assert marginal == complete - total(ring, sweep(net, changed, x0.copy()), y0)


@in_commutative_rings
@on_networks()
def test_marginals_are_the_sums_over_the_paths_through(case, ring):
    oracle, parts = case.oracle, {path: case.oracle.parts(path) for path in case.lifting}
    name = {(u, v): data.get("parameter", (u, v)) for u, v, data in case.graph.edges(data=True)}
    name |= {(None, v): case.graph.nodes[v].get("bias_parameter", v) for v in oracle.bias}
    expected = [
        oracle.path_sum(ring, [path for path in parts for part in parts[path] if name[part] == parameter])
        for parameter in case.net.parameters
    ]
    assert listed(pg.path_marginals(case.net, ring)) == expected
    through = [oracle.path_sum(ring, [path for path in parts if v in path]) for v in case.net.nodes]
    assert listed(pg.node_marginals(case.net, ring)) == through


@on_networks()
def test_marginals_take_inputs_and_leave_biases_out(case):
    start = {u: Fraction(i - 1, 2) for i, u in enumerate(case.net.inputs)}
    kept = [path for path in case.lifting if case.oracle.starts_at_input(path)]
    expected = [
        case.oracle.path_sum(rings.REAL, [path for path in kept if v in path], start=start) for v in case.net.nodes
    ]
    assert listed(pg.node_marginals(case.net, inputs=start, biases=False)) == expected


# -- counts, depth and single paths -------------------------------------------------------------------------------


@on_networks()
def test_count_and_depth(case):
    for backend in ("numpy", "reference"):
        assert pg.count_paths(case.net, backend=backend) == len(case.lifting)
        assert pg.depth(case.net, backend=backend) == max((len(path) - 1 for path in case.lifting), default=0)
    assert type(pg.count_paths(case.float64)) is type(pg.depth(case.float64)) is int


@on_networks()
def test_heaviest_path(case):
    if not case.lifting:
        with pytest.raises(pg.PathCountError, match="no path"):
            pg.heaviest_path(case.net)
        return
    for net in (case.net, case.rough.net):
        weights = dict(zip(case.lifting, map(abs, pg.path_lifting(net).values), strict=True))
        path, value = pg.heaviest_path(net)
        assert (value, type(value)) == (weights[path], Fraction)
        assert value == max(weights.values()) == pg.path_norm(net, np.inf)
        if value:
            assert path == max(weights, key=weights.get)  # the first, among equals
    path, value = pg.heaviest_path(case.rough.float64)
    best, slack = max(map(abs, pg.path_lifting(case.rough.net).values)), gamma(len(case.net.nodes))
    assert_close(value, best, slack)
    assert_close(abs(case.rough.lifting[path]), best, 2 * slack)


@on_networks()
def test_sampled_paths_follow_their_masses(case):
    masses = {path: abs(weight) for path, weight in case.lifting.items() if weight}
    if not masses:
        with pytest.raises(pg.ParameterError, match="every path product is zero"):
            pg.sample_paths(case.net, 1, rng=0)
        return
    n, everything = 600, sum(masses.values())
    for net in (case.net, case.float64):
        paths = pg.sample_paths(net, n, rng=0)
        assert paths == pg.sample_paths(net, n, np.random.default_rng(0))
        frequency = Counter(paths)
        assert set(frequency) <= set(masses)
        # Hoeffding's inequality for each path: together they fail with a probability below 1e-9
        slack = math.sqrt(math.log(2e9 * len(masses)) / (2 * n))
        assert all(abs(frequency[path] / n - mass / everything) <= slack for path, mass in masses.items())
    assert pg.sample_paths(case.net, 0, rng=0) == []


# -- sign flips ---------------------------------------------------------------------------------------------------


@on_networks()
def test_sign_flip_masses_count_the_flips_on_every_path(case):
    factors = np.random.default_rng(0).choice([-2, -1, 0, 1, 1, 3], size=len(case.net.theta))
    other = case.net.with_theta([Fraction(int(k)) * w for k, w in zip(factors, case.net.theta, strict=True)])
    second = Oracle(pg.to_networkx(other))
    expected = dict.fromkeys(("none", "odd", "even"), Fraction(0))
    for path, weight in case.lifting.items():
        flips = sum(case.oracle.weight(part) * second.weight(part) < 0 for part in case.oracle.parts(path))
        expected["odd" if flips % 2 else "even" if flips else "none"] += abs(weight * second.product(path))
    masses = pg.sign_flip_masses(case.net, other)
    assert masses._asdict() == expected
    assert {type(mass) for mass in masses} == {Fraction}
    if case.is_dyadic:
        assert pg.sign_flip_masses(case.float64, other.to_float())._asdict() == expected
        low = [net.to_float(np.float32) for net in (case.net, other)]
        assert pg.sign_flip_masses(*low)._asdict() == expected
