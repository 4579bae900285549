"""Blocks of layers without matrix products, or without some edges: loops and bands, against the edges one by one."""

from fractions import Fraction
from functools import cache

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.layers import axes, bands, channels, edge_loops
from pathgraph.layers.blocks import LayerBlock
from pathgraph.layers.operations import Diagonal, KroneckerSparse
from pathgraph.layers.rescaling import _LARGEST, _SMALLEST
from pathgraph.metrics.path_changes import path_changes
from pathgraph.pathsum.blocks import Block, BlockDag, Node
from pathgraph.pathsum.scaled import scaled, scaled_log
from pathgraph.pathsum.thinning import thinned
from tests.layer_graphs import MAKERS, build, moved
from tests.test_layer_kernels import OPERATIONS
from tests.tolerances import gamma

LOG, MAX_PLUS, MAX_TIMES, SCALED = (getattr(pg.semirings, n) for n in ("LOG", "MAX_PLUS", "MAX_TIMES", "SCALED"))
SMALLEST_SUM = pg.Semiring(
    np.inf,
    0.0,
    min,
    lambda a, b: a + b,
    arrays=pg.semirings.ArrayOperations(np.minimum, np.add, lambda a, start: np.minimum.reduceat(a, start, -1), abs),
)
RINGS = {
    "(max, x)": MAX_TIMES,
    "(max, x), signed": _LARGEST,
    "(min, x), signed": _SMALLEST,
    "(max, +)": MAX_PLUS,
    "(min, +)": SMALLEST_SUM,
}
MORE = {
    "Kronecker-sparse": KroneckerSparse((2,), 2, 3, 2, 2),
    "five axes": Diagonal((2, 1, 2, 3, 2), (2, 3, 2, 3, 2), (1, 3, 2, 1, 2)),
}


def block_of(operation):
    return LayerBlock(operation, slice(0, operation.source_size), slice(0, operation.target_size), 0)


def three(operation, ring=None, seed=0, states=2):
    """Elements of the sources, of the targets and of the entries; some of them zeros of the semiring."""
    random = np.random.default_rng(seed)
    out = []
    for shape in ((states, operation.source_size), (states, operation.target_size), operation.tensor_shape):
        x = random.integers(-4, 5, shape).astype(float)
        if ring is MAX_TIMES:
            x = abs(x)
        elif ring in (MAX_PLUS, SMALLEST_SUM):
            x[x == 4] = ring.zero
        out.append(x)
    return out


@pytest.fixture
def looping(monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr(edge_loops, "LARGE", 0)
    monkeypatch.setattr(edge_loops, "WIDE", 1)


@pytest.mark.usefixtures("looping")
@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("name", [*OPERATIONS, *MORE])
def test_loops_take_the_edges_of_the_pattern(name, ring, monkeypatch):
    operation, ring = (OPERATIONS | MORE)[name], RINGS[ring]
    block = block_of(operation)
    x, y, w = three(operation, ring)
    calls = []
    run = edge_loops.made
    monkeypatch.setattr(edge_loops, "made", lambda *given: calls.append(given[1]) or run(*given))
    for method, given in (("apply", (x, w)), ("apply_transpose", (y, w)), ("entry_gradient", (x, y, w.shape))):
        found = getattr(block, method)(*given, ring)
        expected = getattr(Block, method)(block, *given, ring)
        assert found.shape == expected.shape
        assert (found == expected).all(), method
    assert calls == ["target", "source", "entry"]


@pytest.mark.usefixtures("looping")
@pytest.mark.parametrize("ring", [_LARGEST, _SMALLEST])
def test_loops_keep_what_is_no_number(ring):
    operation = OPERATIONS["convolution"]
    x, _, w = three(operation)
    x[0, 17], x[1, :] = np.inf, 1
    w.flat[3] = 0
    with np.errstate(invalid="ignore"):
        found = block_of(operation).apply(x, w, ring)
        edge_loops.LARGE = 1 << 40
        expected = block_of(operation).apply(x, w, ring)
    assert np.isnan(expected).any()
    assert np.array_equal(found, expected, equal_nan=True)


def exactly(numbers):
    """Scaled numbers as Fractions."""
    return [Fraction(m) * Fraction(2) ** int(e) for m, e in zip(numbers["mantissa"], numbers["exponent"], strict=True)]


def wide(operation, seed=0):
    """Scaled numbers of the whole range, for sources, targets and entries, with zeros."""
    random = np.random.default_rng(seed)
    out = []
    for part in three(operation, seed=seed, states=1):
        numbers = scaled(part * random.uniform(1, 2, part.shape))
        numbers["exponent"] += np.where(part == 0, 0, random.choice([-3000, -300, 0, 250, 2500], part.shape))
        out.append(numbers)
    return out


@cache
def slack(count):
    return gamma(2 * count)


BANDED = ["linear", "convolution", "grouped", "transposed", "batch-norm", "max-pool", "average", "fixed"]


@pytest.mark.parametrize("name", BANDED)
def test_bands_add_scaled_numbers_to_within_their_rounding(name):
    """A term is rounded once as a product, and less often than there are terms within a band and between bands."""
    operation = OPERATIONS[name]
    x, y, w = wide(operation)
    target, source, entry = operation.pattern()
    ends = {"x": exactly(x[0]), "y": exactly(y[0]), "w": exactly(w.ravel())}
    block = block_of(operation)
    cases = {
        "apply": ((x, w), target, ("w", entry, "x", source)),
        "apply_transpose": ((y, w), source, ("w", entry, "y", target)),
        "entry_gradient": ((x, y, w.shape), entry, ("x", source, "y", target)),
    }
    for method, (given, place, (one, at_one, other, at_other)) in cases.items():
        found = exactly(getattr(block, method)(*given, SCALED).ravel())
        sums, sizes, counts = ([0] * len(found) for _ in range(3))
        for p, i, j in zip(place.tolist(), at_one.tolist(), at_other.tolist(), strict=True):
            term = ends[one][i] * ends[other][j]
            sums[p] += term
            sizes[p] += abs(term)
            counts[p] += 1
        for value, exact, size, count in zip(found, sums, sizes, counts, strict=True):
            assert abs(value - exact) <= slack(count) * size, method


@pytest.mark.parametrize("name", BANDED)
def test_bands_find_the_largest_scaled_numbers(name):
    operation = OPERATIONS[name]
    ring, block = MAX_TIMES.wide, block_of(operation)
    x, y, w = wide(operation)
    for part in (x, y, w):
        part["mantissa"] = abs(part["mantissa"])
    for method, given in (("apply", (x, w)), ("apply_transpose", (y, w)), ("entry_gradient", (x, y, w.shape))):
        found = getattr(block, method)(*given, ring)
        objects = [part.astype(object) if isinstance(part, np.ndarray) else part for part in given]
        expected = getattr(Block, method)(block, *objects, ring)
        assert found.ravel().tolist() == expected.ravel().tolist(), method


def test_logarithms_are_those_of_scaled_numbers():
    operation = OPERATIONS["convolution"]
    x, _, w = wide(operation)
    logs = [scaled_log(part) for part in (x, w)]
    found = block_of(operation).apply(*logs, LOG)
    x["mantissa"], w["mantissa"] = abs(x["mantissa"]), abs(w["mantissa"])
    wanted = scaled_log(block_of(operation).apply(x, w, SCALED))
    finite = np.isfinite(wanted)
    assert (np.isneginf(found) == np.isneginf(wanted)).all()
    # a logarithm l is correct to 1 ulp of itself, so a term is off by the sum of the two, like the last logarithm
    largest = sum(abs(part[np.isfinite(part)]).max() for part in logs) + np.log(operation.max_degree)
    slack = float(gamma(4)) * largest + float(gamma(2 * operation.max_degree + 9))
    assert (abs(found - wanted)[finite] <= slack).all()


def test_zeros_have_no_band():
    operation = OPERATIONS["convolution"]
    x, _, w = (part * 0 for part in three(operation))
    assert list(bands.bands(scaled(x))) == []
    found = block_of(operation).apply(scaled(x), scaled(w), SCALED)
    assert (found == scaled(np.zeros(found.shape))).all()


def test_merged_axes_keep_the_order_of_what_is_made():
    relation = axes.window(5, 3, 3, stride=2, before=1)
    p, q = (edge_loops._pairs(axis, "target") for axis in (relation, axes.dense(2, 3)))
    both = edge_loops._merged(p._replace(a=3 * p.a, b=6 * p.b), q)
    pairs = [
        (int(start), int(a), int(b))
        for start in range(both.n_made)
        for a, b in zip(
            both.a[both.start[start] : both.start[start + 1]], both.b[both.start[start] : both.start[start + 1]],
            strict=True,
        )
    ]  # fmt: skip
    expected = [
        (2 * o + u, 3 * int(i) + int(j), 6 * int(t) + int(s))
        for o in range(3)
        for u in range(2)
        for i, t in zip(*(part[relation.start[o] : relation.start[o + 1]] for part in (relation.index, relation.tap)),
                        strict=True)
        for j, s in zip(range(3), range(3 * u, 3 * u + 3), strict=True)
    ]  # fmt: skip
    assert pairs == expected


# -- functions on graphs ----------------------------------------------------------------------------------------------

FUNCTIONS = {
    "heaviest path": pg.heaviest_path,
    "longest path": lambda g: pg.path_sum(g, MAX_PLUS),
    "largest product": lambda g: pg.path_sum(g, MAX_TIMES),
    "largest through parameters": lambda g: pg.path_marginals(g, MAX_TIMES),
    "rescaled": lambda g: pg.rescale(g, pg.random_rescaling(g, 0)),
}


@pytest.mark.usefixtures("looping")
@pytest.mark.parametrize("name", MAKERS)
def test_functions_are_the_same_in_loops(name, monkeypatch):
    graph = build(name, np.float64)
    found = {what: function(graph) for what, function in FUNCTIONS.items()}
    monkeypatch.setattr(edge_loops, "LARGE", 1 << 40)
    for what, function in FUNCTIONS.items():
        expected = function(graph)
        if isinstance(expected, dict):
            assert all((found[what][key] == expected[key]).all() for key in expected), what
        else:
            assert found[what] == expected, what


@pytest.mark.parametrize("name", MAKERS)
def test_counts_at_each_output_are_those_of_the_sweep(name):
    graph = build(name)
    widths = {layer: np.arange(np.prod(shape)).reshape(shape) % 3 for layer, shape in graph.input_shapes.items()}
    sparse = moved(graph, "shrunk")
    for net in (graph, sparse):
        for inputs in (None, widths):
            found = pg.path_norm(net, 0, inputs=inputs, per_output=True)
            expected = pg.path_norm(net, 0, inputs=inputs, per_output=True, backend="numpy")
            assert found.tolist() == expected.tolist()
    for biases in (True, False):
        sums = [
            pg.path_sum(graph, pg.semirings.COUNT, biases=biases, per_output=True, backend=backend)
            for backend in (None, "numpy")
        ]
        assert sums[0].tolist() == sums[1].tolist()


@pytest.mark.parametrize("how", ["shrunk", "moved", "flipped"])
@pytest.mark.parametrize("name", MAKERS)
def test_changes_on_paths_are_those_of_the_sweep_over_sets(name, how):
    graph, other = build(name, np.float64), moved(build(name, np.float64), how)
    widths = np.arange(len(graph.dag.inputs)) % 2
    found = path_changes(graph, graph.tensors, other.tensors, widths)
    expected = path_changes(graph, graph.tensors, other.tensors, widths, backend="numpy")
    assert all((a == b).all() for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("dtype", [float, object])
@pytest.mark.parametrize("name", ["linear", "convolution", "bias", "fixed"])
def test_a_block_without_some_targets_has_the_edges_of_its_pattern(name, dtype):
    operation = OPERATIONS[name]
    block = block_of(operation)
    dead = np.arange(operation.target_size) % 3 == 1
    (node,) = thinned(
        BlockDag(
            operation.target_size,
            np.zeros(0, dtype=int),
            np.zeros(0, dtype=int),
            (Node(slice(0, operation.target_size), dead * 0, dead * 0 + 1, (block,), ()),),
        ),
        dead,
        [],
    ).nodes
    (part,) = node.blocks
    target, source, entry = block.pattern()
    kept = ~dead[target]
    assert all((a == b[kept]).all() for a, b in zip(part.pattern(), (target, source, entry), strict=True))
    some = np.arange(0, operation.target_size, 2)
    assert set(part.pattern(some).target.tolist()) == set(target[kept & (target % 2 == 0)].tolist())
    assert (part.degrees() == np.bincount(target[kept], minlength=operation.target_size)).all()
    x, y, w = (np.abs(a).astype(dtype) for a in three(operation))
    for ring in (pg.semirings.REAL, MAX_TIMES):
        for method, given in (("apply", (x, w)), ("apply_transpose", (y, w)), ("entry_gradient", (x, y, w.shape))):
            assert (getattr(part, method)(*given, ring) == getattr(Block, method)(part, *given, ring)).all(), method


@pytest.mark.parametrize("run", [1 << 20, 5])
@pytest.mark.parametrize("name", MAKERS)
def test_uses_of_channels_are_those_of_all_edges(name, run, monkeypatch):
    monkeypatch.setattr(channels, "RUN", run)
    architecture = build(name).architecture
    channel, names = channels.channels_of(architecture)
    found = channels.channel_uses(architecture, channel, len(names))
    expected, place = set(), np.arange(architecture.dag.size)
    for block in architecture.dag.blocks():
        target, source, entry = block.pattern()
        ends = channel[place[block.target][target]], channel[place[block.source][source]]
        first = architecture.tensor_slices[block.tensor].start
        expected |= set(zip((entry + first).tolist(), *(end.tolist() for end in ends), strict=True))
    assert list(zip(*(part.tolist() for part in found), strict=True)) == sorted(expected)
