"""Streamed sweeps over layer graphs against the sweeps of the block protocol, exactly and near the ends of the range."""

import math
from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.layers import convolutions, streaming
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.scaled import scaled_log
from pathgraph.pathsum.semirings import MAX_TIMES, REAL
from pathgraph.pathsum.sweep import back, marginals, sweep


class Draft(pg.LayerGraphBuilder):
    """A builder that makes up small integers for its weights."""

    def __init__(self, seed=0):
        super().__init__()
        self.random = np.random.default_rng(seed)
        self.count = 0

    def drawn(self, *shape, role="parameter"):
        self.count += 1
        return self.tensor(f"w{self.count}", self.random.integers(-2, 3, size=shape).astype(float), role=role)

    def conv(self, x, channels, kernel, *, bias=True, groups=1, **options):
        n = len(x.shape) - 1
        weight = self.drawn(channels, x.shape[0] // groups, *(kernel,) * n)
        return self.convolution(x, weight, self.drawn(channels) if bias else None, groups=groups, **options)

    def norm(self, x):
        return self.batch_norm(x, self.drawn(x.shape[0], role="frozen"), self.drawn(x.shape[0], role="frozen"))


def residual():
    b = Draft()
    x = b.relu(b.norm(b.conv(b.input((2, 11, 9)), 3, 3, stride=2, padding=1)))
    x = b.max_pool(x, 3, stride=2, padding=1)
    y = b.norm(b.conv(b.relu(b.conv(x, 3, 3, padding=1, bias=False)), 3, 3, padding=1))
    x = b.relu(b.add([x, y]))
    z = b.conv(x, 4, 1, stride=2)
    x = b.add([z, b.conv(x, 4, 3, stride=2, padding=1)], signs=[1, -1])
    x = b.flatten(b.adaptive_average_pool(b.relu(x), 1))
    return b.build([b.linear(x, b.drawn(3, 4), b.drawn(3))])


def flat():
    b = Draft(1)
    x = b.relu(b.conv(b.reshape(b.input((72,)), (2, 6, 6)), 3, 3, padding=1))
    x = b.relu(b.linear(b.flatten(b.max_pool(x, 2)), b.drawn(5, 27), b.drawn(5)))
    return b.build([b.linear(x, b.drawn(2, 5))])


def unet():
    b = Draft(2)
    x = b.relu(b.conv(b.input((1, 8, 8)), 2, 3, padding=1))
    y = b.relu(b.conv(b.max_pool(x, 2), 2, 3, padding=1))
    y = b.transposed_convolution(y, b.drawn(2, 2, 2, 2), b.drawn(2), stride=2)
    z = b.concatenate([x, y, b.nearest(b.max_pool(x, 2, rank=2), 8)])
    z = b.relu(b.conv(z, 2, 3, padding=1, groups=2))
    return b.build([b.conv(z, 1, 1)])


def views():
    b = Draft(3)
    x = b.transpose(b.input((6, 5, 2)), (2, 0, 1))
    x = b.conv(x, 2, 3, padding=((1, 0), (0, 2)))
    left, right = b.take(x, (slice(None), slice(0, 4))), b.take(x, (0, slice(None, None, -1), None))
    right = b.pad(right, [(1, 0), (0, 0), (1, 1)])
    left = b.average_pool(left, 2, stride=1, padding=1, count_include_pad=False)
    b.positions = None
    top = b.linear(b.relu(left), b.drawn(3, left.shape[-1]), b.drawn(3))
    return b.build([top, b.relu(right), b.bilinear(b.scale(left, b.drawn(1, 1, left.shape[2])), (7, 4))])


def tied():
    b = Draft(4)
    weight = b.drawn(2, 2, 3)
    x = b.input((2, 7))
    for _ in range(3):
        x = b.relu(b.convolution(x, weight, padding=1))
    other = b.input((2, 1), name="other")
    x = b.add([x, other, b.constant(b.drawn(2, 7))])
    return b.build([b.mean(b.shift(x, b.drawn(7)), 1, keep=False)])


GRAPHS = {make.__name__: make() for make in (residual, flat, unet, views, tied)}


def widths_of(graph, kind):
    n = len(graph.dag.inputs)
    if kind == "ones":
        return np.ones(n)
    return np.random.default_rng(5).integers(0, 4, size=n).astype(float)


def swept(graph, q, widths, ring=REAL, biases=True):
    """Forward, backward and masses by the blocks' own edges, in Fractions."""
    exact = graph.to_exact()
    values = [np.abs(tensor) ** q for tensor in exact.tensors]
    x = np.full((1, graph.dag.size), Fraction(0), dtype=object)
    x[0, graph.dag.inputs] = [Fraction(w) ** q for w in widths]
    x[0, CONSTANT] = Fraction(biases)
    x = sweep(exact, [(values, None)], x, ring=ring)
    y = np.full_like(x, Fraction(0))
    y[0, graph.dag.outputs] = Fraction(1)
    y = back(exact, [(values, None)], y, ring=ring)
    masses = marginals(exact, (values, None), x, y, ring=ring)
    return x[0, graph.dag.outputs], dict(zip(graph.architecture.tensor_names, masses, strict=True))


@pytest.mark.parametrize("kind", ["ones", "different"])
@pytest.mark.parametrize("name", GRAPHS)
def test_streamed_sums_are_those_of_the_edges(name, kind):
    graph = GRAPHS[name]
    widths = widths_of(graph, kind)
    dyadic = name != "views" and name != "tied"
    for q, biases in ((1, True), (2, False)):
        exact, masses = swept(graph, q, widths, biases=biases)
        sums, in_range = streaming.power_sums(graph, q, widths, biases=biases)
        assert in_range
        found, in_range = streaming.power_marginals(graph, q, widths, biases=biases, names=graph.roles)
        assert in_range
        assert list(found) == list(graph.roles)
        print(name, [float(s) for s in exact][:3], sums[:3])
        pairs = [(sums, exact), *((found[key], masses[key]) for key in found)]
        for ours, theirs in pairs:
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours, theirs.astype(float), rtol=1e-13, atol=0)


@pytest.mark.parametrize("kind", ["ones", "different"])
@pytest.mark.parametrize("name", GRAPHS)
def test_sweeps_may_meet_anywhere(name, kind, monkeypatch):
    graph, widths = GRAPHS[name], widths_of(GRAPHS[name], kind)
    monkeypatch.setattr(streaming, "meeting", lambda architecture, axes: len(architecture.layers))
    total = streaming.power_total(graph, 1, widths)[0]
    masses = streaming.power_marginals(graph, 1, widths, names=graph.roles)[0]
    for stop in range(len(graph.layers)):
        monkeypatch.setattr(streaming, "meeting", lambda architecture, axes, stop=stop: stop)
        np.testing.assert_allclose(streaming.power_total(graph, 1, widths)[0], total, rtol=1e-13)
        found, in_range = streaming.power_marginals(graph, 1, widths, names=graph.roles)
        assert in_range
        for key in masses:
            np.testing.assert_allclose(found[key], masses[key], rtol=1e-13, err_msg=f"{key} {stop}")
