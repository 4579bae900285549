"""One tensor that layers read in several layouts: transposed, and in other shapes."""

from fractions import Fraction

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.layers.builder import LayerGraphBuilder

W = np.array([[1, -2, 3], [Fraction(1, 2), 0, -1]], dtype=object)


def test_a_transposed_matrix_is_the_matrix_of_its_transpose():
    x = np.array([[1, 2, -1], [Fraction(-3, 7), 0, 5]], dtype=object)
    build = LayerGraphBuilder()
    signal, b = build.input((3,)), build.tensor("b", [Fraction(1), 2])
    right = build.build([build.linear(signal, build.tensor("w", W.T), b, transposed=True)])
    assert (right(x) == x @ W.T + [1, 2]).all()
    assert right.parameters["w"].shape == (3, 2)
    pattern = right.dag.nodes[0].blocks[0].pattern()
    assert sorted(zip(*map(np.ndarray.tolist, pattern), strict=True)) == [
        (t, s, 2 * s + t) for t in range(2) for s in range(3)
    ]


def test_an_autoencoder_with_one_tied_matrix():
    build = LayerGraphBuilder()
    w = build.tensor("w", W)
    code = build.relu(build.linear(build.input((3,)), w))
    tied = build.build([build.linear(code, w, transposed=True)])
    x = np.array([[1, 2, -1]], dtype=object)
    assert (tied(x) == np.maximum(x @ W.T, 0) @ W).all()
    assert list(tied.parameters) == ["w"]


def test_folding_scales_the_columns_of_a_transposed_matrix():
    build = LayerGraphBuilder()
    y = build.linear(build.input((3,)), build.tensor("w", W.T), transposed=True)
    scale, shift = (build.tensor(name, values, role="frozen") for name, values in (("s", [2, 3]), ("t", [0, -1])))
    graph = build.build([build.batch_norm(y, scale, shift)])
    folded = graph.fold_batch_norm()
    assert (folded.parameters["w"] == W.T * [2, 3]).all()
    x = np.array([[1, 2, -1]], dtype=object)
    assert (folded(x) == graph(x)).all()


def test_a_handle_in_another_shape_is_the_same_tensor():
    build = LayerGraphBuilder()
    g = build.tensor("g", [[[2]], [[-3]]])
    x = build.input((2,))
    y = build.scale(x, g.reshaped((2,)))
    graph = build.build([build.shift(y, g.reshaped((2,)))])
    assert graph.parameters["g"].shape == (2, 1, 1)
    assert graph([[1, 1]]).tolist() == [[4, -6]]
    with pytest.raises(pg.ParameterError, match="cannot be reshaped"):
        g.reshaped((3,))
    other = LayerGraphBuilder()
    with pytest.raises(pg.ParameterError, match="needed a handle"):
        other.scale(other.input((2,)), g.reshaped((2,)))


def test_a_transposed_matrix_of_a_wrong_shape_is_refused():
    build = LayerGraphBuilder()
    with pytest.raises(pg.ParameterError, match=r"needed shape \(3, n_out\)"):
        build.linear(build.input((3,)), build.tensor("w", W), transposed=True)
