"""The linear maps between layers against their definitions, in integers, and their blocks against the edges."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from pathgraph.errors import ParameterError
from pathgraph.layers import blocks, windows
from pathgraph.layers.axes import AxisTaps, weighted
from pathgraph.layers.blocks import LayerBlock
from pathgraph.layers.operations import (
    Convolution,
    Diagonal,
    FixedLinear,
    Linear,
    Separable,
    TransposedConvolution,
)
from pathgraph.pathsum.blocks import Block
from pathgraph.pathsum.semirings import COUNT, LOG, MAX_PLUS, MAX_TIMES, REAL, SCALED
from pathgraph.scalars import object_array


def convolved(x, w, stride, padding, dilation, groups):
    """A convolution by its definition, on nested loops."""
    channels, width, *kernel = w.shape
    space = [
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x.shape[1:], kernel, stride, padding, dilation, strict=True)
    ]
    out = np.zeros((channels, *space), dtype=object)
    for o, *at in np.ndindex(*out.shape):
        for c, *k in np.ndindex(width, *kernel):
            place = [a * s - p[0] + t * d for a, s, p, t, d in zip(at, stride, padding, k, dilation, strict=True)]
            if all(0 <= i < n for i, n in zip(place, x.shape[1:], strict=True)):
                out[(o, *at)] += w[(o, c, *k)] * x[(o // (channels // groups) * width + c, *place)]
    return out


def transposed(x, w, stride, padding, extra, dilation, groups):
    """A transposed convolution by its definition: each input is stamped onto the output."""
    _, width, *kernel = w.shape
    space = [
        (n - 1) * s - sum(p) + d * (k - 1) + 1 + e
        for n, k, s, p, d, e in zip(x.shape[1:], kernel, stride, padding, dilation, extra, strict=True)
    ]
    out = np.zeros((width * groups, *space), dtype=object)
    for c, *at in np.ndindex(*x.shape):
        for o, *k in np.ndindex(width, *kernel):
            place = [a * s - p[0] + t * d for a, s, p, t, d in zip(at, stride, padding, k, dilation, strict=True)]
            if all(0 <= i < n for i, n in zip(place, space, strict=True)):
                out[(c // (x.shape[0] // groups) * width + o, *place)] += w[(c, o, *k)] * x[(c, *at)]
    return out


CONVOLUTIONS = [
    Convolution((2, 7), 4, (3,), (2,), ((1, 0),), (1,), 2),
    Convolution((3, 5, 4), 2, (3, 2), (1, 2), ((1, 1), (0, 1)), (1, 1)),
    Convolution((2, 6, 6), 2, (2, 3), (2, 1), ((0, 0), (2, 2)), (3, 2)),
    Convolution((4, 3, 3), 4, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 4),
    Convolution((2, 3, 4, 3), 3, (2, 3, 1), (1, 2, 2), ((0, 1), (1, 1), (0, 0)), (1, 1, 1)),
    Convolution((1, 4, 4), 1, (2, 2), (1, 1), ((-1, 0), (0, -1)), (1, 1)),
]
TRANSPOSED = [
    TransposedConvolution((2, 4), 3, (3,), (2,), ((1, 1),), (1,), (1,)),
    TransposedConvolution((4, 3, 2), 2, (2, 3), (2, 1), ((0, 0), (1, 1)), (0, 0), (1, 2), 2),
    TransposedConvolution((2, 2, 2), 4, (3, 3), (3, 2), ((0, 1), (1, 0)), (1, 0), (1, 1)),
    TransposedConvolution((1, 2, 2, 2), 1, (2, 2, 2), (2, 2, 2), ((0, 0),) * 3, (0, 0, 0), (1, 1, 1)),
]
OTHERS = [
    Linear((), 4, 3),
    Linear((2, 3), 2, 5),
    Diagonal((2, 3), (2, 3), (2, 1)),
    Diagonal((2, 1, 1), (2, 2, 3), (1, 1, 3)),
    Diagonal((), (2, 3, 2), (2, 1, 1)),
    Separable((2,), (windows.pool_axis(5, 3, 2, 1, 1), windows.pool_axis(4, 2, 2))),
    Separable((), (windows.bilinear_axis(3, 5), windows.nearest_axis(2, 5))),
    FixedLinear((2, 2), (3,), AxisTaps(4, 4, np.array([0, 2, 2, 4]), np.array([0, 3, 1, 2]), np.arange(4))),
]
OPERATIONS = [*CONVOLUTIONS, *TRANSPOSED, *OTHERS]


def integers(shape, seed=0):
    values = np.random.default_rng(seed).integers(-4, 5, size=shape)
    return np.array(values, dtype=object).reshape(shape)


def by_edges(operation, x, w):
    """The map by the edges of the pattern alone."""
    out = object_array([0] * operation.target_size)
    for target, source, entry in zip(*operation.pattern(), strict=True):
        out[target] += w.ravel()[entry] * x.ravel()[source]
    return out.reshape(operation.target_shape)


@pytest.mark.parametrize("operation", CONVOLUTIONS, ids=str)
def test_convolutions_are_those_of_their_definition(operation):
    x, w = integers(operation.source_shape), integers(operation.tensor_shape, 1)
    expected = convolved(x, w, operation.stride, operation.padding, operation.dilation, operation.groups)
    assert operation.target_shape == expected.shape
    assert (by_edges(operation, x, w) == expected).all()


@pytest.mark.parametrize("operation", TRANSPOSED, ids=str)
def test_transposed_convolutions_are_those_of_their_definition(operation):
    x, w = integers(operation.source_shape), integers(operation.tensor_shape, 1)
    o = operation
    expected = transposed(x, w, o.stride, o.padding, o.output_padding, o.dilation, o.groups)
    assert operation.target_shape == expected.shape
    assert (by_edges(operation, x, w) == expected).all()


def test_linear_maps_act_on_the_last_axis():
    operation = Linear((2, 3), 2, 5)
    x, w = integers((2, 3, 2)), integers((5, 2), 1)
    assert (by_edges(operation, x, w) == x @ w.T).all()


def test_diagonals_broadcast_both_ways():
    x, w = integers((2, 1, 1)), integers((1, 1, 3), 1)
    operation = Diagonal((2, 1, 1), (2, 2, 3), (1, 1, 3))
    assert (by_edges(operation, x, w) == np.broadcast_to(x * w, (2, 2, 3))).all()
    bias = Diagonal((), (2, 3, 2), (2, 1, 1))
    values = integers((2, 1, 1), 2)
    assert (by_edges(bias, object_array([1]), values) == np.broadcast_to(values, (2, 3, 2))).all()


def test_separable_maps_are_products_of_matrices():
    maps = (windows.bilinear_axis(3, 5), windows.pool_axis(4, 3, 2, 1, 1, average=True))
    operation = Separable((2,), maps)
    x = integers((2, 3, 4))
    w = object_array(operation.coefficients())
    rows, columns = map(matrix, maps)
    assert (by_edges(operation, x, w) == np.array([rows @ plane @ columns.T for plane in x])).all()


def matrix(axis):
    """A fixed map along an axis as a dense matrix of Fractions."""
    out = np.zeros((axis.taps.n_out, axis.taps.n_in), dtype=object)
    for o in range(axis.taps.n_out):
        for read in range(axis.taps.start[o], axis.taps.start[o + 1]):
            out[o, axis.taps.index[read]] += axis.coefficients[axis.taps.tap[read]]
    return out


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_patterns_are_sorted_and_can_be_had_in_parts(operation):
    target, source, entry = operation.pattern()
    order = target * operation.source_size + source
    assert (np.diff(order) > 0).all(), "sorted by (target, source), each pair once"
    assert operation.n_edges == len(target)
    assert (operation.degrees() == np.bincount(target, minlength=operation.target_size)).all()
    assert operation.max_degree == operation.degrees().max()
    assert entry.size == 0 or entry.max() < math.prod(operation.tensor_shape)
    chosen = np.arange(operation.target_size)[::2]
    part = operation.pattern(chosen)
    kept = np.isin(target, chosen)
    for whole, some in zip((target, source, entry), part, strict=True):
        assert (whole[kept] == some).all()
    assert (np.concatenate(list(operation.chunks(3))) == np.arange(operation.target_size)).all()


@pytest.mark.parametrize("chunk", [3, 1 << 20])
@pytest.mark.parametrize("ring", [REAL, MAX_TIMES, COUNT, MAX_PLUS, SCALED, LOG], ids=repr)
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_blocks_do_what_their_edges_say(operation, ring, chunk, monkeypatch):
    monkeypatch.setattr(blocks, "CHUNK", chunk)
    block = LayerBlock(operation, slice(0, operation.source_size), slice(0, operation.target_size), 0)
    rng = np.random.default_rng(1)

    def elements(shape, seed):
        # small powers of two, so that floats are exact, and in (max, x) and logarithms positive ones
        numbers = 2.0 ** np.random.default_rng(seed).integers(0, 3, size=shape)
        if ring in (REAL, SCALED):
            numbers *= rng.choice([-1, 0, 1], size=shape)
        return ring.arrays.value(numbers)

    x, y = elements((2, operation.source_size), 2), elements((2, operation.target_size), 3)
    w = elements(operation.tensor_shape, 4)
    plain = [np.array(a.tolist() if a.dtype.names is None else None, dtype=object) for a in (x, y, w)]
    if ring is SCALED:
        plain = [_as_objects(a) for a in (x, y, w)]
    got = (
        block.apply(x, w, ring),
        block.apply_transpose(y, w, ring),
        block.entry_gradient(x, y, operation.tensor_shape, ring),
    )
    a, b, c = plain
    expected = (
        Block.apply(block, a, c, ring),
        Block.apply_transpose(block, b, c, ring),
        Block.entry_gradient(block, a, b, operation.tensor_shape, ring),
    )
    for one, other in zip(got, expected, strict=True):
        assert one.shape == other.shape
        if ring is LOG:  # sums of at most 2**8 powers of two, in another order: 2**8 roundings of numbers below 2**5
            assert np.allclose(one.astype(float), other.astype(float), rtol=0, atol=2.0**-40)
        elif ring is SCALED:
            assert (_as_objects(one) == other).all()
        else:
            assert (np.asarray(one, dtype=object) == other).all()


def _as_objects(numbers):
    out = np.empty(numbers.shape, dtype=object)
    for place in np.ndindex(*numbers.shape):
        out[place] = numbers[place].item()
    return out


# -- windows ------------------------------------------------------------------------------------------------------


def test_pool_windows_start_inside_and_cover():
    n_cases = 0
    for n, kernel, stride, before, after in itertools.product(range(1, 8), range(1, 4), range(1, 4), (0, 1), (0, 1)):
        if max(before, after) > kernel // 2 or kernel > n + before + after:
            continue
        full = [s for s in range(-before, n + after, stride) if s + kernel <= n + after]
        more = full[-1] + stride  # one more window if something is left over, and it starts before the end
        hangs = full[-1] + kernel < n + after and more < n
        for ceil_mode, expected in ((False, full), (True, full + [more] * hangs)):
            size = windows.pool_size(n, kernel, stride, before, after, 1, ceil_mode=ceil_mode)
            assert [o * stride - before for o in range(size)] == expected
            n_cases += 1
    assert n_cases > 200


def test_averages_divide_by_what_they_count():
    counted = matrix(windows.pool_axis(3, 2, 2, 1, 1, average=True))
    assert counted.tolist() == [[Fraction(1, 2), 0, 0], [0, Fraction(1, 2), Fraction(1, 2)]]
    inside = matrix(windows.pool_axis(3, 2, 2, 1, 1, average=True, count_include_pad=False))
    assert inside.tolist() == [[1, 0, 0], [0, Fraction(1, 2), Fraction(1, 2)]]
    hanging = matrix(windows.pool_axis(4, 3, 2, average=True, ceil_mode=True))
    assert hanging.tolist() == [[Fraction(1, 3)] * 3 + [0], [0, 0, Fraction(1, 2), Fraction(1, 2)]]


@pytest.mark.parametrize(("n", "size"), [(5, 3), (7, 7), (3, 5), (10, 4), (6, 1)])
def test_adaptive_windows_are_the_partition(n, size):
    rows = matrix(windows.adaptive_axis(n, size, average=True))
    for o, row in enumerate(rows):
        low, high = math.floor(o * n / size), math.ceil((o + 1) * n / size)
        assert [i for i in range(n) if row[i]] == list(range(low, high))
        assert sum(row) == 1


def test_interpolation_is_exact_on_lines():
    for n, size in itertools.product(range(2, 6), range(1, 9)):
        line = np.arange(n)
        aligned = matrix(windows.bilinear_axis(n, size, align_corners=True)) @ line
        assert aligned.tolist() == [Fraction(o * (n - 1), max(1, size - 1)) for o in range(size)]
        centred = matrix(windows.bilinear_axis(n, size)) @ line
        places = [(o + Fraction(1, 2)) * n / size - Fraction(1, 2) for o in range(size)]
        assert centred.tolist() == [min(max(place, 0), n - 1) for place in places]
        nearest = matrix(windows.nearest_axis(n, size)) @ line
        assert nearest.tolist() == [o * n // size for o in range(size)]


def test_fixed_rows_are_checked():
    with pytest.raises(ParameterError, match="different columns from 0 to 2"):
        weighted(3, [[(0, Fraction(1)), (0, Fraction(2))]])
    with pytest.raises(ParameterError, match="different columns from 0 to 2"):
        weighted(3, [[(3, Fraction(1))]])
