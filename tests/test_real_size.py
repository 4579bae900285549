"""What makes functions fit for networks of real size, on small ones: chunks, residues, fewer edges, refusals."""

import math
from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from pathgraph import lipschitz
from pathgraph.layers.blocks import LayerBlock
from pathgraph.layers.constant_axes import reduced
from pathgraph.layers.rescaling import _LARGEST, _SMALLEST
from pathgraph.metrics.parameter_boxes import largest_change
from pathgraph.pathsum import preparation, residues
from pathgraph.pathsum.blocks import Block
from pathgraph.pruning import selection
from pathgraph.pruning.owners import Owners, removable
from pathgraph.quantization import budgets
from tests.layer_graphs import MAKERS, build
from tests.test_layer_kernels import OPERATIONS

COUNT, LENGTHS = pg.semirings.COUNT, pg.semirings.LENGTHS
SOME = ["linear", "convolution_2d", "max_pool", "tied_in_series", "small_resnet"]


@pytest.mark.parametrize("name", list(MAKERS))
def test_outputs_one_at_a_time_give_the_same_bounds(name, monkeypatch):
    graph = build(name)
    bounds = [pg.input_lipschitz(graph, method="input-paths", input_norm=s, per_output=True).tolist() for s in (1, 2)]
    monkeypatch.setattr(lipschitz, "ROOM", 1)
    for s, expected in zip((1, 2), bounds, strict=True):
        assert pg.input_lipschitz(graph, method="input-paths", input_norm=s, per_output=True).tolist() == expected


@pytest.mark.parametrize("multiplier", [residues.MULTIPLIER, 1])
@pytest.mark.parametrize("name", list(MAKERS))
def test_counts_by_residues_are_those_of_the_edges(name, multiplier, monkeypatch):
    """With the multiplier 1 different numbers have one key, and each is then put together on its own."""
    monkeypatch.setattr(residues, "MULTIPLIER", multiplier)
    graph = build(name, np.float64)
    starts = {layer: np.arange(int(np.prod(shape))).reshape(shape) % 3 for layer, shape in graph.input_shapes.items()}
    for options in ({}, {"biases": False}, {"inputs": starts}):
        for function in (pg.path_marginals, pg.node_marginals):
            ours = function(graph, COUNT, **options)
            theirs = function(graph, COUNT, backend="reference", **options)
            assert ours.keys() == theirs.keys()
            assert all(ours[key].tolist() == theirs[key].tolist() for key in ours)
        ours = pg.path_sum(graph, COUNT, per_output=True, **options).tolist()
        assert ours == pg.path_sum(graph, COUNT, per_output=True, backend="reference", **options).tolist()
    node, end = graph.architecture.nodes[0], graph.architecture.nodes[len(graph.architecture.nodes) // 2]
    for where in ({"source": node}, {"target": end}, {"source": node, "target": end}):
        assert pg.path_sum(graph, COUNT, **where) == pg.path_sum(graph, COUNT, backend="reference", **where)


def smallest_primes(below, bound):
    """As few as determine a number up to the bound, and hardly a larger one."""
    primes, candidate = [], 2
    while math.prod(primes) <= bound:
        if all(candidate % prime for prime in primes):
            primes.append(candidate)
        candidate += 1
    assert primes[-1] < below
    return primes


@pytest.mark.parametrize("name", list(MAKERS))
def test_numbers_of_paths_stay_below_the_product_of_the_primes(name, monkeypatch):
    monkeypatch.setattr(residues, "_primes", smallest_primes)
    graph = build(name, np.float64)
    for function in (pg.path_marginals, pg.node_marginals):
        ours, theirs = function(graph, COUNT), function(graph, COUNT, backend="reference")
        assert all(ours[key].tolist() == theirs[key].tolist() for key in theirs)
    assert pg.count_paths(graph) == pg.path_sum(graph, COUNT, backend="reference")


def test_an_entry_that_one_path_meets_many_times(monkeypatch):
    monkeypatch.setattr(residues, "_primes", smallest_primes)
    b = pg.LayerGraphBuilder()
    x, shared = b.input((1,)), b.tensor("shared", np.ones((1, 1)))
    for _ in range(50):
        x = b.linear(x, shared)
    assert pg.path_marginals(b.build([x]), COUNT)["shared"].tolist() == [[50]]


def test_numbers_of_paths_beyond_many_primes():
    """Sums over the places of a kernel, each of a product of two residues, have to stay exact."""
    b = pg.LayerGraphBuilder()
    x = b.input((2, 4, 4))
    shared = b.tensor("shared", np.ones((2, 2, 3, 3)))
    for layer in range(30):
        weight = shared if layer % 3 else b.tensor(f"w{layer}", np.ones((2, 2, 3, 3)))
        x = b.relu(b.convolution(x, weight, padding=1))
    graph = b.build([x])
    for function in (pg.path_marginals, pg.node_marginals):
        ours, theirs = function(graph, COUNT), function(graph, COUNT, backend="reference")
        assert all(ours[key].tolist() == theirs[key].tolist() for key in theirs)
    assert pg.count_paths(graph) == pg.path_sum(graph, COUNT, backend="reference") > 2**100


def test_counts_from_inputs_that_are_no_counts_take_the_edges():
    graph = build("convolution_2d", np.float64)
    assert pg.path_sum(graph, COUNT, inputs=-2) == pg.path_sum(graph, COUNT, inputs=-2, backend="reference")


@pytest.mark.parametrize("ring", [_LARGEST, _SMALLEST, pg.semirings.MAX_TIMES])
@pytest.mark.parametrize("dtype", [np.float64, object])
@pytest.mark.parametrize("name", list(OPERATIONS))
def test_one_edge_for_each_tap_where_nothing_changes(name, dtype, ring):
    operation = OPERATIONS[name]
    block = LayerBlock(operation, slice(0, operation.source_size), slice(0, operation.target_size), 0)
    random = np.random.default_rng(3)
    n_axes = len(operation.relations)
    for kept in range(n_axes + 1):  # constant along all axes but the first ones
        ends = []
        for sizes in ([a.n_in for a in operation.relations], [a.n_out for a in operation.relations]):
            small = random.integers(1, 9, (2, *sizes[:kept], *[1] * (n_axes - kept)))
            ends.append(np.broadcast_to(small, (2, *sizes)).reshape(2, -1).astype(dtype))
        ours = block.entry_gradient(*ends, operation.tensor_shape, ring)
        expected = Block.entry_gradient(block, *ends, operation.tensor_shape, ring)
        assert ours.tolist() == expected.astype(ours.dtype).tolist()
        found = reduced(operation, *ends)
        is_shorter = any(len(set(axis.tap.tolist())) < len(axis.tap) for axis in operation.relations[kept:])
        assert found is not None or not is_shorter
        assert found is None or found.operation.n_edges < max(1, operation.n_edges)


def test_owners_against_their_definition():
    random = np.random.default_rng(0)
    for _ in range(200):
        n, n_parameters, n_neurons = random.integers(1, 12), int(random.integers(1, 5)), 6
        parameter = random.integers(-1, n_parameters, n)
        target = random.integers(1, n_neurons, n)
        source = np.array([int(random.integers(-1, t)) for t in target])
        is_live = random.random(n) < 0.7
        places = [np.flatnonzero(parameter == p) for p in range(n_parameters)]
        own = {
            v: [
                p for p in range(n_parameters) if len(places[p]) and all(v in (target[i], source[i]) for i in places[p])
            ]
            for v in range(n_neurons)
        }
        owners = Owners(parameter, target, source, n_parameters)
        for end in (target, source):
            assert owners.own(end).tolist() == [
                bool(v >= 0 and p in own[v]) for v, p in zip(end, parameter, strict=True)
            ]
        some = random.permutation(n_neurons)[:3]
        listed = dict.fromkeys(p for v in some.tolist() for p in own[v])
        assert owners.parameters_of(some).tolist() == list(listed)
        expected = []
        for v in range(n_neurons):
            sides = [[i for i in range(n) if end[i] == v and is_live[i]] for end in (target, source)]
            foreign = [[i for i in side if parameter[i] not in own[v]] for side in sides]
            expected.append(all(sides) and not all(foreign))
        assert removable(owners, target, source, is_live, n_neurons).tolist() == expected


@pytest.mark.parametrize("name", SOME)
def test_bits_are_dealt_as_one_after_the_other(name):
    graph = build(name)
    problem = budgets._Problem(graph, Fraction(1, 3), None, "channel")
    bits = [budgets._allowed(int(b)) for b in problem.relaxed()]
    while problem.within(bits) is None:
        errors = [problem.move(g, b) * problem.slopes[g] / n for g, (b, n) in enumerate(zip(bits, problem.counts))]  # noqa: B905
        g = errors.index(max(errors))
        bits[g] = budgets._allowed(bits[g] + 1)
    assert problem.dealt() == bits
    for g in sorted(range(len(bits)), key=lambda g: -problem.counts[g]):
        while bits[g] > 0:
            fewer = [*bits[:g], bits[g] - 1 if bits[g] > 2 else 0, *bits[g + 1 :]]
            if problem.within(fewer) is None:
                break
            bits = fewer
    assert problem.reduced(problem.dealt()) == bits


@pytest.mark.parametrize("dtype", [np.float64, object])
@pytest.mark.parametrize("name", SOME)
def test_the_upper_end_alone(name, dtype):
    graph = build(name, dtype)
    moves = abs(graph.theta) / 4
    for shrink in (False, True):
        assert largest_change(graph, moves, shrink=shrink) == pg.perturbation_bound(graph, moves, shrink=shrink).upper


def test_greedy_searches_that_take_hours_are_refused(monkeypatch):
    graph = build("convolution_2d", np.float64)
    monkeypatch.setattr(selection, "TRIAL", 1)
    assert len(pg.prune(graph, 3, strategy="greedy").removed) == 3
    monkeypatch.setattr(selection, "MOST_LAYERED", 0)
    with pytest.raises(pg.ParameterError, match=r"more scorings, which take hours; remove fewer, or use 'iterative'"):
        pg.prune(graph, 1.0, strategy="greedy")


def test_sums_of_objects_that_take_hours_are_refused(monkeypatch):
    graph = build("small_resnet", np.float64)
    monkeypatch.setattr(preparation, "LARGE", 1)
    for name in ("MOST_EDGES", "MOST_EDGES_SINGLY"):
        monkeypatch.setattr(preparation, name, 10)
    with pytest.raises(
        pg.UnsupportedOperatorError, match=r"on its [0-9,]+ edges, and runs on at most 10; use a semiring"
    ):
        pg.path_sum(graph, LENGTHS)
    with pytest.raises(pg.UnsupportedOperatorError, match="use floats, or the same network on smaller inputs"):
        pg.path_sum(graph.to_exact())
    with pytest.raises(pg.UnsupportedOperatorError, match="use another back end"):
        pg.path_marginals(graph, backend="reference")
    for function in (pg.path_sum, pg.path_marginals, pg.node_marginals):  # numbers of paths are no sums of objects
        assert function(graph, COUNT)
    assert pg.path_norm(graph) > 0
