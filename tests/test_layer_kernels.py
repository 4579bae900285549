"""The kernels of layers against the edges of their operations: exactly, on small integers."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.sparse import random_array

from pathgraph.layers import axes, convolutions, slabs, windows
from pathgraph.layers.blocks import LayerBlock
from pathgraph.layers.compressed import coarsened, compress, full, totals
from pathgraph.layers.kernels import by_edges as by_edges_kernel
from pathgraph.layers.kernels import kernel
from pathgraph.layers.operations import (
    Convolution,
    Diagonal,
    FixedLinear,
    Linear,
    Separable,
    TransposedConvolution,
    TransposedLinear,
)
from pathgraph.layers.slabs import largest_products
from pathgraph.pathsum.semirings import MAX_TIMES, REAL
from tests.tolerances import assert_close, gamma


def _fixed(seed):
    matrix = random_array((12, 10), density=0.3, format="csr", rng=seed)
    matrix.sort_indices()
    relation = axes.AxisTaps(10, matrix.nnz, matrix.indptr, matrix.indices, np.arange(matrix.nnz))
    return FixedLinear((2, 5), (3, 4), relation)


def _convolution(*arguments, **options):
    return Convolution(*arguments, **{"dilation": (1,) * len(arguments[2]), **options})


OPERATIONS = {
    "linear": Linear((), 5, 3),
    "linear on a sequence": Linear((4, 2), 3, 2),
    "transposed linear": TransposedLinear((), 5, 3),
    "transposed linear on a sequence": TransposedLinear((4, 2), 3, 2),
    "convolution 1d": _convolution((2, 9), 3, (3,), (2,), ((2, 1),)),
    "convolution": _convolution((2, 7, 6), 3, (3, 2), (1, 2), ((1, 1), (0, 1))),
    "wide padding": _convolution((1, 3, 3), 2, (2, 2), (1, 1), ((4, 3), (0, 5))),
    "cropped": _convolution((2, 6, 5), 2, (2, 2), (1, 1), ((-1, -1), (1, -2))),
    "dilated": _convolution((2, 9, 9), 2, (3, 3), (2, 1), ((2, 2), (1, 3)), dilation=(2, 3)),
    "grouped": _convolution((4, 6, 6), 6, (3, 3), (1, 1), ((1, 1), (1, 1)), groups=2),
    "depthwise": _convolution((3, 6, 6), 3, (3, 3), (2, 2), ((1, 1), (1, 1)), groups=3),
    "pointwise": _convolution((3, 4, 4), 2, (1, 1), (1, 1), ((0, 0), (0, 0))),
    "strided pointwise": _convolution((3, 5, 5), 2, (1, 1), (2, 2), ((0, 0), (0, 0))),
    "convolution 3d": _convolution((2, 4, 3, 5), 2, (2, 2, 3), (1, 2, 1), ((1, 0), (1, 1), (0, 1))),
    "transposed": TransposedConvolution((3, 4, 5), 2, (3, 3), (2, 2), ((1, 1), (1, 0)), (1, 0), (1, 1)),
    "transposed, grouped": TransposedConvolution((4, 3), 6, (4,), (3,), ((1, 1),), (0,), (2,), groups=2),
    "transposed 3d": TransposedConvolution((2, 2, 3, 2), 2, (2, 1, 2), (2, 1, 1), ((0, 0),) * 3, (0,) * 3, (1,) * 3),
    "skip": Diagonal((2, 4, 3), (2, 4, 3), (1, 1, 1)),
    "batch-norm": Diagonal((3, 4, 3), (3, 4, 3), (3, 1, 1)),
    "map of factors": Diagonal((3, 4, 3), (3, 4, 3), (1, 4, 3)),
    "bias": Diagonal((), (3, 4, 3), (3, 1, 1)),
    "broadcast": Diagonal((1, 4, 1), (3, 4, 3), (3, 1, 1)),
    "max-pool": Separable((2,), (windows.pool_axis(7, 3, 2, 1, 1), windows.pool_axis(6, 2, 2, ceil_mode=True))),
    "average": Separable((2,), (windows.pool_axis(6, 3, 2, 1, 1, average=True, count_include_pad=False),) * 2),
    "adaptive": Separable((2,), (windows.adaptive_axis(7, 3, average=True), windows.adaptive_axis(4, 4, average=True))),
    "mean": Separable((2, 3), (windows.mean_axis(4),)),
    "mean of all": Separable((), (windows.mean_axis(4), windows.adaptive_axis(5, 2, average=True))),
    "pad": Separable((), (axes.weighted(3, [[], [(0, Fraction(1))], [(1, Fraction(1))], [(2, Fraction(1))], []]),) * 2),
    "nothing": Separable((2,), (axes.weighted(3, [[], []]),)),
    "bilinear": Separable((2,), (windows.bilinear_axis(4, 8), windows.bilinear_axis(3, 5, align_corners=True))),
    "nearest": Separable((1,), (windows.nearest_axis(3, 7), windows.nearest_axis(4, 2))),
    "fixed": _fixed(0),
}  # fmt: skip


def tensors(operation, kind, seed=0, states=2):
    """Integers for the source, the target and the entries; `kind` says how much they repeat along the axes."""
    random = np.random.default_rng(seed)
    made = []
    for shape in (operation.source_shape or (1,), operation.target_shape):
        x = random.integers(-4, 5, size=(states, *shape)).astype(float)
        if kind != "different":
            x[...] = x[(slice(None), slice(None), *(slice(0, 1),) * (len(shape) - 1))]
        if kind == "borders":
            for axis in range(2, len(shape) + 1):
                x += (np.arange(shape[axis - 1]) == 0).reshape(-1, *(1,) * (len(shape) - axis)) * axis
        made.append(x)
    return *made, random.integers(-4, 5, size=operation.tensor_shape).astype(float)


def by_edges(operation, x, y, w):
    """Forward, backward and gradient, sums and maxima of absolute values, an edge at a time."""
    target, source, entry = operation.pattern()
    x, y, w = x.reshape(len(x), -1), y.reshape(len(y), -1), w.ravel()
    forward, backward, gradient = np.zeros_like(y), np.zeros_like(x), np.zeros_like(w)
    most, back = np.zeros_like(y), np.zeros_like(x)
    for t, s, e in zip(target, source, entry, strict=True):
        forward[:, t] += w[e] * x[:, s]
        backward[:, s] += w[e] * y[:, t]
        gradient[e] += (x[:, s] * y[:, t]).sum()
        most[:, t] = np.maximum(most[:, t], np.abs(w[e] * x[:, s]))
        back[:, s] = np.maximum(back[:, s], np.abs(w[e] * y[:, t]))
    return forward, backward, gradient, most, back


@pytest.mark.parametrize(
    ("kind", "limit"), [("different", 1 << 20), ("different", 7), ("constant", 1 << 20), ("borders", 7)]
)
@pytest.mark.parametrize("name", OPERATIONS)
def test_kernels_add_over_the_edges(name, kind, limit, monkeypatch):
    operation = OPERATIONS[name]
    monkeypatch.setattr(slabs, "SLAB", limit)
    monkeypatch.setattr(convolutions, "COLUMNS", limit)
    x, y, w = tensors(operation, kind)
    pair = full(x, operation.source_shape), full(y, operation.target_shape)
    if kind != "different":
        pair = tuple(map(compress, pair))
    run = kernel(operation)
    forward, backward, gradient, most, back = by_edges(operation, x, y, w)
    assert np.array_equal(run.forward(pair[0], lambda *at: w[at]).flat(), forward)
    axes = pair[0].axes
    sent = run.forward(pair[0], lambda *at: w[at])
    given = coarsened(totals(full(y, operation.target_shape)), sent.axes)
    expected = coarsened(full(backward, operation.source_shape), axes)
    assert np.array_equal(run.backward(given, axes, lambda *at: w[at]).values, expected.values)
    found = run.gradient(pair[0], given)
    assert found is None or np.array_equal(found.ravel(), gradient)
    assert found is not None or math.prod(operation.tensor_shape) > 16
    assert run.target_axes(axes) == sent.axes
    turned = run.transposed
    received = turned.forward(pair[1], lambda *at: w[at])
    assert np.array_equal(received.flat(), backward)
    assert turned.target_axes(pair[1].axes) == received.axes
    given = totals(full(x, operation.source_shape))
    if operation.source_shape:
        given = coarsened(given, received.axes)
    expected = coarsened(full(forward, operation.target_shape), pair[1].axes)
    assert np.array_equal(turned.backward(given, pair[1].axes, lambda *at: w[at]).values, expected.values)
    found = turned.gradient(pair[1], given)
    assert found is None or np.array_equal(found.ravel(), gradient)
    sizes = [tensor.map(np.abs(tensor.values)) for tensor in pair]
    assert np.array_equal(run.forward(sizes[0], lambda *at: abs(w[at]), largest_products).flat(), most)
    if kind == "different":
        found = run.backward(sizes[1], axes, lambda *at: abs(w[at]), largest_products)
        assert np.array_equal(found.flat(), back)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("kind", ["different", "borders"])
def test_pools_take_the_largest_entries_of_their_windows(kind, rank):
    operation = OPERATIONS["max-pool"]
    x = tensors(operation, kind)[0]
    made = full(x, operation.source_shape)
    found = kernel(operation).largest(compress(made) if kind == "borders" else made, rank).flat()
    target, source, _ = operation.pattern()
    rows = x.reshape(len(x), -1)
    for t in range(operation.target_size):
        assert np.array_equal(found[:, t], np.sort(rows[:, source[target == t]], axis=1)[:, -rank])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OPERATIONS)
def test_blocks_run_on_kernels_in_their_dtype(name, dtype):
    operation = OPERATIONS[name]
    block = LayerBlock(operation, slice(0, operation.source_size), slice(0, operation.target_size), 0)
    x, y, w = (part.astype(dtype) for part in tensors(operation, "different"))
    forward, backward, gradient, most, back = by_edges(operation, x, y, w)
    x, y = x.reshape(len(x), -1), y.reshape(len(y), -1)
    for ring, there, ago in ((REAL, forward, backward), (MAX_TIMES, most, back)):
        sign = np.abs if ring is MAX_TIMES else np.asarray
        for found, wanted in (
            (block.apply(sign(x), sign(w), ring), there),
            (block.apply_transpose(sign(y), sign(w), ring), ago),
        ):
            assert found.dtype == dtype
            assert np.array_equal(found, wanted)
    assert np.array_equal(block.entry_gradient(x, y, w.shape, REAL).ravel(), gradient)


def test_rounding_stays_within_the_bound_of_the_sums():
    operation = OPERATIONS["convolution"]
    random = np.random.default_rng(0)
    x, w = random.random((1, *operation.source_shape)), random.random(operation.tensor_shape)
    found = kernel(operation).forward(full(x, operation.source_shape), lambda *at: w[at]).flat()[0]
    exact = [Fraction(0)] * operation.target_size
    for t, s, e in zip(*operation.pattern(), strict=True):
        exact[t] += Fraction(x.ravel()[s]) * Fraction(w.ravel()[e])
    for ours, theirs in zip(found, exact, strict=True):
        assert_close(ours, theirs, gamma(operation.max_degree + 1))


def test_an_operation_without_a_kernel_runs_over_its_edges():
    operation = OPERATIONS["linear"]
    run, quick = by_edges_kernel(operation), kernel(operation)
    x, y, w = tensors(operation, "different")
    ends = full(x, operation.source_shape), full(y, operation.target_shape)
    for slow, fast in ((run, quick), (run.transposed, quick.transposed)):
        there = slow.forward(ends[0], lambda *at: w[at]).flat()
        assert np.array_equal(there, fast.forward(ends[0], lambda *at: w[at]).flat())
        back = slow.backward(ends[1], ends[0].axes, lambda *at: w[at]).flat()
        assert np.array_equal(back, fast.backward(ends[1], ends[0].axes, lambda *at: w[at]).flat())
        assert np.array_equal(slow.gradient(*ends), fast.gradient(*ends))
        ends = ends[::-1]
