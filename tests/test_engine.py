"""The compiled back end against NumPy and the reference: to the last bit where nothing rounds."""

import os
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

import pathgraph as pg
from pathgraph.cache_lines import LINE
from pathgraph.metrics.path_changes import cancelling_outputs, path_changes
from pathgraph.pathsum import engine, engine_batch, engine_pairs, preparation
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.float_range import extremes
from pathgraph.pathsum.preparation import buffer, choose_backend, edge_values, entries
from pathgraph.pathsum.scaled import scaled
from pathgraph.pathsum.sweep import back, marginals, sweep
from tests.networks import on_networks
from tests.tolerances import assert_close, gamma, logarithm_slack, power_roundings, roundings

numba = pytest.importorskip("numba")

from pathgraph.pathsum.numba_sums import FEW, LINES  # noqa: E402

rings = pg.semirings


@pytest.fixture(autouse=True)
def _restored():
    """What a test does to the width of a level and to the threads ends with it."""
    wide, threads = engine.WIDE, numba.get_num_threads()
    yield
    engine.WIDE = wide
    numba.set_num_threads(threads)


def with_threads(n):
    """Every level is wide enough for n threads, from now on; skips the test if there are none to be had."""
    if n > numba.config.NUMBA_NUM_THREADS:
        pytest.skip(f"Numba has {numba.config.NUMBA_NUM_THREADS} thread(s) here")
    engine.WIDE = 1
    numba.set_num_threads(n)


def random_dag(seed, n_levels=4, width=40, fan_in=9):
    """Levels of ReLUs, identities and pools of any rank that read runs or scattered antecedents, with skips."""
    random = np.random.default_rng(seed)
    start, antecedent, activation, rank = [0], [], [], []
    for _ in range(width):
        start.append(0)
        activation.append("input")
        rank.append(1)
    for level in range(1, n_levels):
        for v in range(width):
            below = level * width
            if v < width // 2:  # a run, shared by six neurons and more
                first, degree = below - width + (3 if v < width // 4 else 0), width - 5
                chosen = np.arange(first, first + degree)
            else:
                chosen = np.sort(random.choice(below, int(random.integers(1, fan_in)), replace=False))
            antecedent.extend(chosen.tolist())
            start.append(len(antecedent))
            kind = "identity" if level == n_levels - 1 else str(random.choice(["relu", "relu", "identity", "pool"]))
            activation.append(kind)
            rank.append(int(random.integers(1, len(chosen) + 1)) if kind == "pool" else 1)
    graph = nx.DiGraph()
    for v, kind in enumerate(activation):
        is_output = v >= (n_levels - 1) * width
        graph.add_node(v, activation=kind, rank=rank[v] if kind == "pool" else None, output=is_output)
        if kind != "input" and random.integers(2):
            graph.nodes[v]["bias"] = float(random.normal())
    for v in range(len(activation)):
        for u in antecedent[start[v] : start[v + 1]]:
            graph.add_edge(u, v, weight=float(random.normal()))
    return pg.from_networkx(graph)


LARGE = random_dag(0)


# -- against the other back ends ----------------------------------------------------------------------------------


@on_networks(lambda case: case.is_dyadic)
def test_sums_of_small_dyadic_numbers_are_equal_to_the_last_bit(case):
    for dtype in (np.float64, np.float32):
        net = case.net.to_float(dtype)
        for ring in (rings.REAL, rings.MAX_TIMES, rings.SCALED):
            for f in (pg.path_sum, pg.path_marginals, pg.node_marginals):
                found, expected = (f(net, ring, backend=backend) for backend in ("numba", "numpy"))
                assert np.array_equal(found, expected)
        for q in (1, 2, 4, 3, np.inf, 0):
            found, expected = (pg.path_norm(net, q, root=False, backend=backend) for backend in ("numba", "numpy"))
            assert found == expected


@on_networks()
def test_norms_are_as_near_as_the_analysis_says(case):
    rough = case.rough
    for q in (1, 2, 4, 3):
        masses = [sum(rough.oracle.powers(q, v)) for v in rough.net.outputs]
        found = pg.path_norm(rough.float64, q, r=q, root=False, per_output=True, backend="numba")
        # up to four products for the power of an entry, one with the sum, and the additions
        deep = len(rough.oracle.nodes) * power_roundings(8, q)
        for value, mass in zip(found, masses, strict=True):
            assert_close(value, mass, gamma(roundings(rough.oracle) + deep))


def states(net, ring, seed, n_states=3):
    random, x = np.random.default_rng(seed), buffer(net, ring, n_states)
    numbers = random.integers(-4, 5, size=x.shape) / 2
    x[...] = scaled(numbers) if ring is rings.SCALED else numbers
    return x


@pytest.mark.parametrize("ring", [rings.REAL, rings.SCALED], ids=lambda ring: ring.name)
@on_networks(lambda case: case.is_dyadic)
def test_vector_states_and_terms(case, ring):
    net = case.float64
    transition = np.array([[0, 1, 0], [0, 0, 1], [1, 1, 0]], dtype=bool)
    steps = [
        (edge_values(net, ring), None),
        (edge_values(net.map_values(lambda w: 1 - w), ring), transition),
    ]
    found = {}
    for backend in ("numba", "numpy"):
        x = sweep(net, steps, states(net, ring, 1), ring=ring, backend=backend)
        y = back(net, steps, states(net, ring, 2), ring=ring, backend=backend)
        through = [
            np.concatenate([t.ravel() for t in marginals(net, s, x, y, ring=ring, backend=backend)]) for s in steps
        ]
        found[backend] = [x.tolist(), y.tolist(), [t.tolist() for t in through]]
    assert found["numba"] == found["numpy"]


@on_networks(lambda case: case.is_dyadic)
def test_maxima_at_pools(case):
    net = case.float64
    transition = np.array([[0, 1, 0], [0, 1, 1], [1, 0, 0]], dtype=bool)
    steps = [(entries(abs, net), None), (entries(lambda w: 1 + abs(w), net), transition)]
    found = [sweep(net, steps, abs(states(net, rings.REAL, 3)), pools="max", backend=b) for b in ("numba", "numpy")]
    assert np.array_equal(*found)


@on_networks(lambda case: case.is_dyadic)
def test_evaluation_is_exact_on_small_dyadic_numbers(case):
    rows = np.array([[float(w) for w in x] for x in case.inputs])
    expected = [[case.values(x)[v] for v in case.net.nodes] for x in case.inputs]
    wanted = np.arange(CONSTANT + 1, case.float64.dag.size)
    for dtype in (np.float64, np.float32):
        net = case.net.to_float(dtype)
        values, finite = engine_batch.evaluate(net, rows.astype(dtype), wanted)
        assert finite
        assert values.tolist() == expected
        for row, one in zip(rows.astype(dtype), values, strict=True):
            assert engine_batch.evaluate(net, row[None], wanted)[0].tolist() == [one.tolist()]


# -- the same bits, however many samples and threads --------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_size_of_a_batch_changes_no_bit_of_an_evaluation(dtype):
    net, rows = LARGE.to_float(dtype), samples(dtype)
    whole, _ = engine_batch.evaluate(net, rows, net.dag.outputs)
    for size in (1, 2, 7, 8, 16, 64):
        parts = [engine_batch.evaluate(net, rows[i : i + size], net.dag.outputs)[0] for i in range(0, len(rows), size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_an_evaluation_is_as_near_as_the_analysis_says(dtype):
    """Relative to the same with absolute values, in which a pool sums its candidates."""
    net, rows = LARGE.to_float(dtype), samples(dtype)[:7]
    found, exact = engine_batch.evaluate(net, rows, net.dag.outputs)[0], net.to_exact()
    masses = [pg.path_sum(exact.map_values(abs), inputs=fractions(abs(row)), per_output=True) for row in rows]
    slack = gamma(sum(net.dag.flat.fan_ins) + len(net.dag.flat.fan_ins), dtype)
    for row, values, sums in zip(rows, found, masses, strict=True):
        for value, true, mass in zip(values, exact(fractions(row)), sums, strict=True):
            assert abs(Fraction(float(value)) - true) <= slack * mass


def samples(dtype):
    return np.random.default_rng(1).normal(size=(101, len(LARGE.inputs))).astype(dtype)


def fractions(row):
    return [Fraction(float(x)) for x in row]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_threads_change_no_bit_of_an_evaluation(dtype):
    net, rows = LARGE.to_float(dtype), samples(dtype)
    alone, _ = engine_batch.evaluate(net, rows, net.dag.outputs)
    with_threads(2)
    assert engine_batch.evaluate(net, rows, net.dag.outputs)[0].tobytes() == alone.tobytes()


def swept(q):
    x = started(LARGE, 1)[0]
    mass, safe = engine.power_marginals(LARGE, q, x)
    assert safe
    return x, mass


@pytest.mark.parametrize("q", [1, 2, 3])
def test_threads_change_no_bit_of_a_sum(q):
    alone = swept(q)
    with_threads(2)
    assert [a.tobytes() for a in swept(q)] == [a.tobytes() for a in alone]


def test_asking_early_for_sums_changes_no_bit(monkeypatch):
    alone = [swept(q) for q in (1, 2, 3)]
    monkeypatch.setattr(engine, "VAST", 0)
    for n in (1, 2):
        with_threads(n)
        found = [swept(q) for q in (1, 2, 3)]
        assert [[a.tobytes() for a in each] for each in found] == [[a.tobytes() for a in each] for each in alone]


@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_long_sums_are_equal_to_the_last_bit_whether_they_ask_for_their_entries_or_not(monkeypatch, asks, dtype):
    """Small dyadic numbers, in rows of several times as many lines as are asked for at once, and a rest."""
    random = np.random.default_rng(3)
    widths = [600, 1111, 37, 5]
    few = [random.choice([-1, -0.5, 0.5, 1], size=(m, n)) * (random.random((m, n)) < 0.1) for n, m in pairwise(widths)]
    net = pg.from_weights(few, [random.choice([-0.5, 1], size=m) for m in widths[1:]])
    monkeypatch.setattr(engine, "ASKS", asks)
    for q in (1, 2):
        norms = [
            pg.path_norm(net, q, r=q, root=False, per_output=True, dtype=dtype, backend=backend)
            for backend in ("numba", "numpy")
        ]
        assert np.array_equal(*norms)
    for ring in (rings.REAL, rings.SCALED):
        assert np.array_equal(*(pg.path_marginals(net, ring, backend=backend) for backend in ("numba", "numpy")))
    masses, safe = engine.power_marginals(net, 1, started(net, 1)[0].astype(dtype), by_neuron=True)
    assert safe
    assert np.array_equal(masses, pg.path_marginals(net.map_values(abs), backend="numpy"))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sums_over_about_as_many_entries_as_are_asked_for_at_once(monkeypatch, dtype):
    monkeypatch.setattr(engine, "ASKS", True)
    random, line = np.random.default_rng(4), LINE // 8
    for n in (lines * line + more for lines in (1, FEW, 2 * FEW, LINES, 2 * LINES) for more in (-1, 0, 1)):
        weights = [random.choice([-1, -0.5, 0.5, 1], size=(3, n)), random.choice([-1, 0.5], size=(2, 3))]
        net = pg.from_weights(weights, [random.choice([-0.5, 1], size=3), None])
        norms = [pg.path_norm(net, 2, root=False, dtype=dtype, backend=backend) for backend in ("numba", "numpy")]
        assert norms[0] == norms[1]
        masses, safe = engine.power_marginals(net, 1, started(net, 1)[0].astype(dtype), by_neuron=True)
        assert safe
        assert np.array_equal(masses, pg.path_marginals(net.map_values(abs), backend="numpy"))
        marginals = [pg.path_marginals(net, backend=backend) for backend in ("numba", "numpy")]
        assert np.array_equal(*marginals)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_asking_early_for_values_changes_no_bit(monkeypatch, dtype):
    net, rows = LARGE.to_float(dtype), samples(dtype)
    alone, _ = engine_batch.evaluate(net, rows, net.dag.outputs)
    monkeypatch.setattr(engine, "VAST", 0)
    assert engine_batch.evaluate(net, rows, net.dag.outputs)[0].tobytes() == alone.tobytes()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_extremes_of_floats(dtype):
    """Of many, so that the loop has whole vectors and a rest; zeros count for nothing, and NaN for infinity."""
    info = np.finfo(dtype)
    wide = np.array([0, -0.0, info.smallest_subnormal, -info.tiny, 1, -info.max, np.inf], dtype=dtype)
    for seed in range(20):
        x = np.random.default_rng(seed).permutation(np.tile(wide[: 2 + seed % 6], 9))
        sizes = np.abs(x[x != 0]).tolist()
        assert extremes(x) == (min(sizes, default=np.inf), max(sizes, default=0.0))
        x[seed % len(x)] = np.nan
        assert extremes(x)[1] == np.inf
    assert extremes(np.full(3, np.nan, dtype=dtype)) == (np.inf, np.inf)
    assert extremes(np.empty(0, dtype=dtype)) == (np.inf, 0)


@pytest.mark.parametrize("q", [1, 2, 3])
def test_masses_by_entry_and_by_neuron(q):
    _, mass = swept(q)
    x = started(LARGE, 1)[0]
    by_neuron = engine.power_marginals(LARGE, q, x, by_neuron=True)[0]
    assert np.array_equal(by_neuron, mass[LARGE.architecture.theta_order])
    exact = pg.path_marginals(LARGE.to_exact().map_values(lambda w: abs(w) ** q))
    terms = sum(LARGE.dag.flat.fan_ins) + len(LARGE.dag.flat.fan_ins) * power_roundings(8, q)  # |w|**q, and two sums
    for found, true in zip(mass[LARGE.architecture.first_entry], exact, strict=True):
        assert_close(found, true, gamma(2 * terms + 2))


# -- pairs --------------------------------------------------------------------------------------------------------


def moved(net):
    """Other parameters: of other sizes, and some of another sign."""
    factors = np.where(np.arange(len(net.theta)) % 3 == 0, -1, 0.5)
    return net.with_theta(np.roll(net.theta, 1) * factors)


@on_networks(lambda case: case.is_dyadic)
def test_two_networks_at_once(case):
    """The excess of the path sums of abs(w), and of abs(w'), over those of their meet."""
    net, other = case.float64, moved(case.float64)
    a, b = net.to_exact(), other.to_exact()
    least = [min(abs(v), abs(w)) if v * w > 0 else Fraction(0) for v, w in zip(a.values, b.values, strict=True)]
    expected = [pg_sums(each) for each in (a.with_values(least), a.map_values(abs), b.map_values(abs))]
    (s, e, f), _ = engine_pairs.meet(net, net.tensors, other.tensors, started(net, 3))
    assert [s[1:].tolist(), (s + e)[1:].tolist(), (s + f)[1:].tolist()] == expected


@on_networks(lambda case: case.is_dyadic)
def test_a_recursion_on_the_error(case):
    net, other = case.float64, moved(case.float64)
    small, apart, large = entries(abs, other), entries(lambda w, v: abs(w - v), net, other), entries(abs, net)
    steps = [
        (small, np.array([[1, 0], [0, 0]], dtype=bool)),
        (apart, np.array([[0, 1], [0, 0]], dtype=bool)),
        (large, np.array([[0, 0], [0, 1]], dtype=bool)),
    ]
    for pools in ("sum", "max"):
        found, _ = engine_pairs.gap(net, small, apart, large, started(net, 2), largest=pools == "max")
        assert np.array_equal(found, sweep(net, steps, started(net, 2), pools=pools, backend="numpy"))


@on_networks()
def test_kinds_of_changes(case):
    """The kernel stops early at a neuron, and finds the same of mixed and flipped paths."""
    random = np.random.default_rng(len(case.name))
    net, widths = case.float64, np.ones(len(case.net.inputs))
    for _ in range(30):
        size = len(net.theta)
        changes = [np.ones(size), random.choice([1, 0.5, 2], size), random.choice([1, 0.5, 2, -1, 0], size)]
        for factors in changes:
            pair = net.tensors, net.with_theta(net.theta * factors).tensors
            found, expected = (path_changes(net, *pair, widths, backend=backend) for backend in ("numba", "numpy"))
            assert all(np.array_equal(*ends) for ends in zip(found, expected, strict=True))
            assert np.array_equal(cancelling_outputs(net, *pair, widths), found.mixed | found.even)


def test_first_antecedents_of_neurons_show_that_paths_cancel():
    """And where they do not, all are looked at: here only the last weights of each neuron change."""
    net = perceptron(30, 3)
    widths, matrices = np.ones(30), net.values.reshape(3, 30, 30)
    for columns in (slice(None), slice(20, 30)):
        flipped = matrices.copy()
        flipped[:, :, columns] *= np.random.default_rng(3).choice([-1.0, 1.0], flipped[:, :, columns].shape)
        other = net.with_theta(flipped.ravel())
        assert cancelling_outputs(net, net.tensors, other.tensors, widths).all()
    assert not cancelling_outputs(net, net.tensors, net.tensors, widths).any()
    flipped = matrices.copy()
    flipped[:2, 0, 25] *= -1.0  # the first neuron of both hidden layers, but no path crosses both
    other = net.with_theta(flipped.ravel())
    assert not cancelling_outputs(net, net.tensors, other.tensors, widths).any()


def perceptron(width, depth):
    random = np.random.default_rng(2)
    return pg.from_weights([random.normal(size=(width, width)) for _ in range(depth)])


def started(net, states):
    x = np.zeros((states, net.dag.size))
    x[0, CONSTANT] = x[0, net.dag.inputs] = 1
    return x


def pg_sums(net):
    """The path sums up to every neuron, exactly."""
    return [pg.path_sum(net, target=v) for v in net.nodes]


# -- ranges -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e-200, 1e200, 1e-320])
def test_sums_beyond_the_range_of_floats_are_swept_in_scaled_numbers(size):
    net = pg.from_weights([np.full((3, 3), size)] * 3)
    exact = 27 * Fraction(size) ** 3
    found, expected = (pg.log_path_norm(net, backend=backend) for backend in ("numba", "numpy"))
    assert abs(found - expected) <= logarithm_slack(expected, 2 * 30)
    m, e = pg.path_sum(net, rings.SCALED, backend="numba")
    assert_close(Fraction(m) * Fraction(2) ** e, 3 * exact, gamma(30))


def test_a_product_that_vanishes_is_noticed():
    net = pg.from_weights([[[1e-200], [1.0]], [[1e-200, 0.0]], [[1e300]]])
    assert pg.path_norm(net, backend="numba") == pytest.approx(1e-100, rel=float(gamma(8)), abs=0)
    x = np.zeros(net.dag.size)
    x[1] = 1
    assert not engine.power_sums(net, 1, x.copy())
    dead = pg.from_weights([[[1.0], [0.0]], [[1.0, 3.0]]])
    x = np.zeros(dead.dag.size)
    x[1] = 1
    assert engine.power_sums(dead, 1, x)  # a true zero is no loss
    chain = pg.from_weights([[[1e-200]], [[1e200]], [[1e-200]], [[1e-200]]])
    x = np.zeros(chain.dag.size)
    x[1] = 1
    assert not engine.power_marginals(chain, 1, x)[1]


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_weights_that_vanish_in_float32_are_noticed(backend):
    net = pg.from_weights([[[1e30]], [[1e-50]], [[1e10]]])
    found = pg.path_norm(net, dtype=np.float32, backend=backend)
    assert found.dtype == np.float32
    assert_close(found, pg.path_norm(net.to_exact()), gamma(8, np.float32))
    x = started(net, 1)[0].astype(np.float32)
    assert not engine.power_marginals(net, 1, x)[1]


@pytest.mark.parametrize("q", [1, 2, 3, 4])
def test_powers_that_vanish_in_float32_are_noticed(q):
    net = pg.from_weights([[[1e-20]], [[1e20]]])
    found = pg.path_norm(net, q, root=False, dtype=np.float32, backend="numba")
    assert_close(found, pg.path_norm(net.to_exact(), q, root=False), gamma(2 * power_roundings(67, q) + 4, np.float32))
    small = net.to_float(np.float32)
    x = started(small, 1)[0].astype(np.float32)
    mass, is_safe = engine.power_marginals(small, q, x)
    assert is_safe == (q == 1)
    assert mass.dtype == np.float32


def safe_sums(net, q=1):
    return engine.power_sums(net, q, started(net, 1)[0])


def test_sums_that_come_near_the_ends_of_the_range_are_noticed():
    assert safe_sums(pg.from_weights([[[1e-140]], [[1e-140]]]))
    assert not safe_sums(pg.from_weights([[[1e-150]], [[1e-150]]]))  # a normal number, but others may be lost in it
    assert not safe_sums(pg.from_weights([[[1e-100], [1e250]], [[1.0, 0.0]]]))  # a loss may have been magnified
    assert not safe_sums(pg.from_weights([[[1e200]], [[1e150]]]))


def test_powers_of_biases_that_vanish_are_noticed():
    net = pg.from_weights([[[0.0]], [[1.0]]], [[1e-200], None])
    assert safe_sums(net)
    assert not safe_sums(net, q=2)
    small = pg.from_weights([[[1.0]], [[1e-200]]], [[1e-200], None])
    assert safe_sums(small)
    assert not engine.power_marginals(small, 1, started(small, 1)[0])[1]


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("between", [[], ["w"]])
def test_products_that_vanish_on_the_way_to_a_mass_are_noticed(between, n_threads):
    """Where a neuron lies between the two that z reads, they are no run, and are summed in another way.

    That neuron has a small sum, and of two threads the last one makes it.
    """
    with_threads(n_threads)
    graph = nx.DiGraph()
    graph.add_node("x", activation="input")
    graph.add_nodes_from(["u", *between, "v"], activation="relu")
    graph.add_nodes_from("yz", activation="identity", output=True)
    edges = [("x", "u", 1e20), ("u", "v", 1.2345678e-170), ("v", "z", 1e-150), ("u", "y", 1.0), ("u", "z", 1.0)]
    graph.add_weighted_edges_from([*edges, *(("x", node, 1.0) for node in between)])
    net = pg.from_networkx(graph)
    assert net.dag.flat.has_runs == (not between)
    assert not engine.power_marginals(net, 1, started(net, 1)[0])[1]
    root = net.map_values(lambda w: abs(w) ** 0.5)
    assert not engine.power_marginals(root, 2, started(root, 1)[0])[1]


@pytest.mark.parametrize(
    ("before", "factor", "out", "is_lost"),
    [
        (1.0, 1.0, 1.0, False),
        (1e20, 1e-310, 1e20, True),  # the entry itself is not a normal number
        (1e-200, 1e-150, 1e200, True),  # the product with the sum before it is not, and vanishes
        (1e-165, 1.2345e-150, 1e200, True),  # it is no normal number, although the mass is one again
        (1e200, 1e-150, 1e-200, True),  # the one with the sum behind it is not, in the sweep backward
        (1e-150, 1.0, 1e-160, True),  # only the mass is not
        (0.0, 1e-310, 1.0, False),
        (1.0, 1e-310, 0.0, False),
        (1.0, 0.0, 1e-310, False),
    ],
)
@pytest.mark.parametrize("kind", ["run", "scattered", "bias"])
def test_a_mass_that_is_lost_is_noticed(kind, before, factor, out, is_lost):
    """And in the place of a mass nothing else is written.

    That of a bias needs no product with the sum behind it: no sum backward comes from it.
    """
    graph = nx.DiGraph()
    graph.add_nodes_from("abc", activation="input")
    graph.add_node("z", activation="identity", output=True, bias=factor if kind == "bias" else None)
    antecedents = {"run": "abc", "scattered": "ac", "bias": "a"}[kind]
    graph.add_weighted_edges_from([(u, "z", 0.0 if kind == "bias" else factor) for u in antecedents])
    net = pg.from_networkx(graph)
    dag, x, y = engine.flat_of(net), np.full(net.dag.size, before), np.full(net.dag.size, out)
    x[net.dag.outputs] = 0
    mass = np.full(len(net.values), np.nan)
    is_lost &= kind != "bias" or factor * before < 1
    assert engine._masses(dag, net.values, x, (1, 1.0), y, mass, (dag.start[:-1], dag.bias)) == is_lost
    assert mass.tolist() == (net.values * before * out).tolist()


@pytest.mark.parametrize("n_threads", [1, 2])
def test_sums_that_grow_on_the_way_leave_no_mass_unwatched(n_threads, monkeypatch):
    """The sum backward from u, 1e-170 * 1e-160, vanishes; other sums, and the mass of u -> v, are normal numbers."""
    with_threads(n_threads)
    monkeypatch.setattr(preparation, "LARGE", 0)
    graph = nx.DiGraph()
    graph.add_nodes_from("ab", activation="input")
    graph.add_nodes_from("uv", activation="relu")
    graph.add_node("z", activation="identity", output=True)
    graph.add_weighted_edges_from([("a", "u", 1e100), ("u", "v", 1e-170), ("v", "z", 1e-160), ("b", "z", 1.0)])
    net = pg.from_networkx(graph)
    assert not engine.power_marginals(net, 1, started(net, 1)[0])[1]
    exact = pg.path_magnitude(net.to_exact())
    for found, true in zip(pg.path_magnitude(net), exact, strict=True):
        assert_close(found, true, gamma(20))


@pytest.mark.parametrize("bias", [0.0, 1e-200])
def test_sums_that_vanish_where_no_output_is_reached_are_noticed(bias):
    """No mass is wrong there, but the sum of the neuron is."""
    net = pg.from_weights([[[1e-200 - bias], [1.0]], [[0.0, 1.0]]], [[bias, 0.0], None])
    for q in (1, 2):
        assert safe_sums(net, q) == engine.power_marginals(net, q, started(net, 1)[0])[1] == (q == 1)


@pytest.mark.parametrize("least", [0, preparation.LARGE])
def test_masses_where_neurons_without_antecedents_have_biases(least, monkeypatch):
    """Compiled for all networks, and for large ones only."""
    monkeypatch.setattr(preparation, "LARGE", least)
    graph = nx.DiGraph()
    graph.add_node("x", activation="input")
    graph.add_node("c", activation="relu", bias=3.0)
    graph.add_node("z", activation="identity", output=True)
    graph.add_weighted_edges_from([("x", "z", 2.0), ("c", "z", -5.0)])
    net = pg.from_networkx(graph)
    found = pg.path_magnitude(net)
    assert dict(zip(net.parameters, found.tolist(), strict=True)) == {"c": 15, ("x", "z"): 2, ("c", "z"): 15}


@pytest.mark.parametrize("between", [[], ["c"]])
def test_powers_that_vanish_and_are_magnified_on_the_way_back_are_noticed(between):
    numba.set_num_threads(1)
    graph = nx.DiGraph()
    graph.add_nodes_from(["a", *between, "b"], activation="input")
    graph.add_node("v", activation="relu")
    graph.add_nodes_from("yz", activation="identity", output=True)
    graph.add_weighted_edges_from([("a", "v", 1.2345678e-158), ("b", "v", 1e-50), ("v", "z", 1e100), ("a", "y", 1.0)])
    net = pg.from_networkx(graph)
    assert net.dag.flat.has_runs == (not between)
    assert not engine.power_marginals(net, 2, started(net, 1)[0])[1]
    kept = net.map_values(lambda w: np.where(w < 1e-100, 1e-100, w))
    assert engine.power_marginals(kept, 2, started(kept, 1)[0])[1]


def test_masses_are_unsafe_where_sums_forward_backward_or_of_all_paths_come_near_the_ends_of_the_range():
    def is_safe(net, width=1.0):
        x = np.zeros(net.dag.size)
        x[net.dag.inputs] = width
        return engine.power_marginals(net, 1, x)[1]

    line, fan = pg.from_weights([[[1.0]]]), pg.from_weights([np.ones((5, 1))])
    assert is_safe(line)
    assert not is_safe(line, 1e-300)
    assert is_safe(fan, 8e306)
    assert not is_safe(fan, 4e307)  # one of them is in the range, their sum is not
    graph = nx.DiGraph()
    graph.add_nodes_from("ab", activation="input")
    graph.add_nodes_from("uv", activation="relu")
    graph.add_node("z", activation="identity", output=True)
    edges = [("a", "u", 1.0), ("u", "v", 1e-150), ("v", "z", 1e-150), ("b", "v", 1.0), ("b", "z", 1.0)]
    graph.add_weighted_edges_from(edges)
    net = pg.from_networkx(graph)
    assert not is_safe(net)  # from u, backward
    assert is_safe(net.map_values(lambda w: np.where(w < 1, 1e-100, w)))


def test_sums_of_two_networks_that_vanish_are_noticed():
    tiny, one = pg.from_weights([[[1e-200]], [[1e-200]]]), pg.from_weights([[[1.0]], [[1.0]]])
    assert engine_pairs.meet(one, one.tensors, one.tensors, started(one, 3))[1]
    assert not engine_pairs.meet(tiny, tiny.tensors, tiny.tensors, started(tiny, 3))[1]
    assert not engine_pairs.meet(tiny, tiny.tensors, tiny.map_values(lambda w: -w).tensors, started(tiny, 3))[1]
    none = one.map_values(lambda w: 0 * w)
    assert engine_pairs.gap(one, one.tensors, none.tensors, one.tensors, started(one, 2))[1]
    assert not engine_pairs.gap(one, tiny.tensors, none.tensors, one.tensors, started(one, 2))[1]
    first = pg.from_weights([[[1e-200]], [[0.0]]])
    assert not engine_pairs.gap(one, one.tensors, first.tensors, tiny.tensors, started(one, 2))[1]


def test_an_overflow_before_a_relu_is_an_error():
    net = pg.from_weights([[[-1e308, -1e308, 1e308, 1e308, 1e308]], [[1.0]]])
    for backend in ("numba", "numpy"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(preparation, "LARGE", 0 if backend == "numba" else 10**9)
            for x in (np.ones(5), np.ones((3, 5))):
                with pytest.raises(pg.RangeError):
                    net(x)


def test_an_evaluation_that_overflows_is_an_error():
    net = pg.from_weights([np.full((40, 600), 1e200), np.full((600, 40), 1e200)])
    assert choose_backend(None, net) == "numba"
    for x in (np.ones(600), np.ones((3, 600))):
        with pytest.raises(pg.RangeError, match="float64"):
            net(x)
        assert not net(-x).any()


# -- choice -------------------------------------------------------------------------------------------------------


def test_small_and_exact_networks_are_left_to_numpy():
    small = pg.from_weights([[[1.0]]])
    assert choose_backend(None, small) == "numpy"
    assert choose_backend("numba", small) == "numba"
    with pytest.raises(pg.BackendError, match="floats"):
        pg.path_sum(small.to_exact(), backend="numba")
    with pytest.raises(pg.BackendError, match="backend"):
        pg.path_sum(small, backend="cuda")


WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None
import numpy as np, pathgraph as pg
net = pg.from_weights([np.ones((200, 200))] * 2)
assert net(np.ones(200))[0] == 40000 and pg.path_norm(net) == 200**3
try:
    pg.path_norm(net, backend="numba")
except pg.BackendError as error:
    print(error)
"""


def test_without_numba_everything_runs_on_numpy():
    done = subprocess.run([sys.executable, "-c", WITHOUT_NUMBA], capture_output=True, text=True, check=True)
    assert "Numba" in done.stdout


COMPILES = """
import pathgraph as pg
pg.path_norm(pg.from_weights([[[1.0]]]), backend="numba")
"""


def test_kernels_are_compiled_once_and_not_in_each_process(tmp_path):
    found = []
    for _ in range(2):
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
        subprocess.run([sys.executable, "-c", COMPILES], env=environment, check=True)
        found.append(sorted(path.name for path in tmp_path.rglob("*.nbc")))
    assert found[0] == found[1] != []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_process_starts_threads_of_its_own():
    """Threads do not survive a fork; a child that waited for them would wait for ever."""
    with_threads(2)
    net = LARGE
    x = np.zeros(net.dag.size)
    x[CONSTANT] = x[net.dag.inputs] = 1
    expected = x.copy()
    engine.power_sums(net, 1, expected)
    child = os.fork()
    if child == 0:
        engine.power_sums(net, 1, x)
        os._exit(0 if x.tobytes() == expected.tobytes() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
