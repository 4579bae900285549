"""The block protocol, on a network that is no neuron graph: matrices as tensors, one of them used by two blocks.

The layer y = W W x + b, written by hand with the least that a block must have, is swept by the library and compared
with the neuron graph that has every weight as an edge.
"""

from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.pathsum.blocks import IDENTITY, Block, BlockDag, Node, Pattern
from pathgraph.pathsum.preparation import buffer, edge_values
from pathgraph.pathsum.sweep import back, marginals, sweep, swept

WEIGHTS = [[Fraction(1), Fraction(-2)], [Fraction(3), Fraction(1, 2)]]
BIAS = [Fraction(5), Fraction(-1)]


class Matrix(Block):
    """A full matrix between two runs of positions; only what is mandatory."""

    def __init__(self, source, target, tensor):
        self.source, self.target, self.tensor = source, target, tensor

    @property
    def shape(self):
        return self.target.stop - self.target.start, self.source.stop - self.source.start

    def pattern(self, targets=None):
        rows, columns = self.shape
        target = np.repeat(np.arange(rows) if targets is None else targets, columns)
        source = np.tile(np.arange(columns), len(target) // columns)
        return Pattern(target, source, target * columns + source)


class Layers:
    """Positions: the constant, two inputs, two hidden neurons, two outputs."""

    def __init__(self, weights, bias):
        self.tensors = (weights, bias)
        self.scalars = "exact" if weights.dtype == object else "float"

        def node(first, *blocks, biases=()):
            return Node(slice(first, first + 2), np.full(2, IDENTITY), np.ones(2, dtype=int), blocks, biases)

        self.dag = BlockDag(
            7,
            np.array([1, 2]),
            np.array([5, 6]),
            (
                node(3, Matrix(slice(1, 3), slice(3, 5), 0)),
                node(5, Matrix(slice(3, 5), slice(5, 7), 0), biases=(Matrix(slice(0, 1), slice(5, 7), 1),)),
            ),
        )


LAYERS = Layers(np.array(WEIGHTS), np.array(BIAS)[:, None])
NEURONS = pg.from_weights([WEIGHTS, WEIGHTS], [None, BIAS])
RINGS = [pg.semirings.REAL, pg.semirings.MAX_TIMES, pg.semirings.COUNT, pg.semirings.LENGTHS]


def swept_both_ways(net, ring, backend):
    values = edge_values(net, ring, backend)
    x, y = buffer(net, ring, backend=backend), buffer(net, ring, backend=backend)
    for position in (0, 1, 2):
        x[0, position] = ring.one
    for position in net.dag.outputs:
        y[0, position] = ring.one
    sweep(net, [(values, None)], x, ring=ring, backend=backend)
    back(net, [(values, None)], y, ring=ring, backend=backend)
    return values, x, y


@pytest.mark.parametrize("backend", ["numpy", "reference"])
@pytest.mark.parametrize("ring", RINGS, ids=lambda ring: ring.name)
def test_layers_are_swept_like_their_neurons(ring, backend):
    _, x, y = swept_both_ways(LAYERS, ring, backend)
    _, expected, back_expected = swept_both_ways(NEURONS, ring, backend)
    assert x.tolist() == expected.tolist()
    assert y[0, 1:].tolist() == back_expected[0, 1:].tolist()


@pytest.mark.parametrize("backend", ["numpy", "reference"])
def test_a_tensor_of_two_blocks_gets_the_marginals_of_both(backend):
    values, x, y = swept_both_ways(LAYERS, pg.semirings.REAL, backend)
    weights, bias = marginals(LAYERS, (values, None), x, y, backend=backend)
    expected = pg.path_marginals(NEURONS)
    edges = dict(zip(NEURONS.parameters, expected, strict=True))
    assert weights.tolist() == [[edges[(0, j), (1, i)] + edges[(1, j), (2, i)] for j in range(2)] for i in range(2)]
    assert bias.ravel().tolist() == [edges[2, i] for i in range(2)]


@pytest.mark.parametrize("backend", ["numpy", "reference"])
def test_layers_of_floats_are_swept_without_a_range(backend):
    tiny = Layers(np.full((2, 2), 1e-200), np.zeros((2, 1)))
    start = buffer(tiny, pg.semirings.REAL, backend=backend)
    start[0, :3] = 1
    x, ring = swept(tiny, edge_values(tiny, pg.semirings.REAL, backend), start, pg.semirings.REAL, backend)
    assert ring is pg.semirings.SCALED
    mantissa, exponent = x[0, 5].item() if backend == "numpy" else x[0, 5]
    exact = 4 * Fraction(1e-200) ** 2
    assert abs(Fraction(mantissa) * Fraction(2) ** exponent / exact - 1) <= Fraction(4, 2**53)  # four roundings


@pytest.mark.parametrize("pools", ["max", "rank"])
def test_only_the_real_numbers_take_the_largest_candidate(pools):
    with pytest.raises(pg.ParameterError, match="pools"):
        sweep(LAYERS, [], buffer(LAYERS, pg.semirings.LOG), ring=pg.semirings.LOG, pools=pools)
