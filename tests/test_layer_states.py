"""Sweeps of several states over layer graphs, and outputs with other entries, against the sweeps over their edges."""

from fractions import Fraction

import numpy as np
import pytest

from pathgraph.layers import streaming
from pathgraph.metrics import gaps
from pathgraph.metrics.gaps import gap_sweep, meet_sweep
from pathgraph.pathsum.blocks import CONSTANT
from pathgraph.pathsum.exact import accelerated, restored
from pathgraph.pathsum.sweep import sweep
from pathgraph.scalars import object_array
from tests.test_layer_streaming import GRAPHS, ROUNDED, roundings, widths_of
from tests.tolerances import gamma

TERMS = 2
"""More than one term leads to a state: each adds once."""


def slack_of(name):
    return float(gamma(TERMS * roundings(GRAPHS[name]) + 2)) if name in ROUNDED else 0.0


def moved(graph, seed=11):
    """Other parameters, some of them with another sign, some zero."""
    random = np.random.default_rng(seed)
    return graph.with_parameters(
        {name: t + random.integers(-1, 2, size=t.shape) for name, t in graph.parameters.items()}
    )


def rational(arrays):
    return [accelerated(object_array(map(Fraction, a.ravel().tolist())).reshape(a.shape)) for a in arrays]


def assert_close(found, exact, slack):
    expected = np.array([[float(number) for number in row] for row in exact])
    assert found.shape == expected.shape
    assert (np.abs(found - expected) <= slack * expected).all()


@pytest.mark.parametrize("kind", ["ones", "different"])
@pytest.mark.parametrize("name", GRAPHS)
def test_meets_and_gaps(name, kind, monkeypatch):
    graph, widths = GRAPHS[name], widths_of(GRAPHS[name], kind)
    exact, start = graph.to_exact(), rational([widths])[0]
    ours, theirs = graph.tensors, moved(graph).tensors
    small, large = [np.minimum(abs(a), abs(b)) for a, b in zip(ours, theirs, strict=True)], [abs(a) for a in ours]
    apart = [a - b for a, b in zip(large, small, strict=True)]
    meet = meet_sweep(exact, rational(ours), rational(theirs), start).states
    gap = gap_sweep(exact, *map(rational, (small, apart, large)), start).states
    monkeypatch.setattr(gaps, "sweep", None)  # floats do without the sweep over all positions
    for found, expected in (
        (meet_sweep(graph, ours, theirs, widths), meet),
        (gap_sweep(graph, small, apart, large, widths), gap),
    ):
        assert found.in_range
        assert_close(found.states, restored(expected), slack_of(name))


def test_an_automaton_with_several_moves_in_one_term():
    graph, widths = GRAPHS["flat"], widths_of(GRAPHS["flat"], "ones")
    sizes = [abs(t) for t in graph.tensors]
    moves = np.array([[True, True, False], [False, True, True], [False, False, True]])
    found, in_range = streaming.state_sums(graph, [(sizes, None), (sizes, moves)], widths, 3)
    x = np.zeros((3, graph.dag.size))
    x[0, CONSTANT], x[0, graph.dag.inputs] = 1, widths
    x = sweep(graph, [(sizes, None), (sizes, moves)], x, backend="numpy")
    assert in_range
    assert np.array_equal(found, x[:, graph.dag.outputs])


@pytest.mark.parametrize("kind", ["ones", "different"])
@pytest.mark.parametrize("name", GRAPHS)
def test_outputs_and_largest_passes(name, kind):
    graph, widths = GRAPHS[name], widths_of(GRAPHS[name], kind)
    other = moved(graph)
    rows = np.stack([widths, -widths, 0 * widths])
    sizes = [np.abs(t) for t in other.tensors]
    x = np.zeros((1, graph.dag.size))
    x[0, CONSTANT], x[0, graph.dag.inputs] = 1, widths
    largest = sweep(graph, [(sizes, None)], x.copy(), pools="max", backend="numpy")[0, graph.dag.outputs]
    found = streaming.largest_pass(graph, sizes, widths)
    slack = 2 * slack_of(name)
    assert (np.abs(found - largest) <= slack * largest).all()
    mass = sweep(graph, [(sizes, None)], x, backend="numpy")[0, graph.dag.outputs]
    assert (np.abs(streaming.outputs_at(graph, other.tensors, rows) - other.rows(rows)) <= slack * mass).all()


def test_what_leaves_the_range_is_said():
    graph = GRAPHS["flat"]
    widths, huge = np.ones(len(graph.dag.inputs)), [1e200 * np.abs(t) for t in graph.tensors]
    assert streaming.state_sums(graph, [(huge, None)], widths, 1)[1] is False
    assert streaming.state_sums(graph, [(graph.tensors, None)], 1e-310 * widths, 1)[1] is False
    assert streaming.largest_pass(graph, huge, widths) is None
    assert streaming.largest_pass(graph, graph.tensors, 1e-310 * widths) is None
    assert streaming.outputs_at(graph, huge, widths[None]) is None
    assert not meet_sweep(graph, huge, huge, widths).in_range
