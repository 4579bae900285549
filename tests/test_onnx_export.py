"""Layer graphs of every kind as ONNX files: what onnxruntime computes, and what is read back."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")

import pathgraph as pg  # noqa: E402
from tests.onnx_files import outputs_of, run_onnxruntime  # noqa: E402
from tests.tolerances import assert_close, evaluation_roundings, float_slack, gamma  # noqa: E402

RANDOM = np.random.default_rng(5)


def weights(*shape):
    return RANDOM.integers(-4, 5, size=shape).astype(np.float32) / 2


def made(shape, *makers):
    """A graph whose layers apply `makers` in turn."""
    build = pg.LayerGraphBuilder()
    x = build.input(shape)
    for maker in makers:
        x = maker(build, x)
    return build.build(x)


def sparse():
    from scipy.sparse import csr_array

    return csr_array(np.array([[1.0, 0, 0, 0, 2, 0], [0, -1, 0, 0.5, 0, 0], [0, 0, 0, 0, 0, 3]]))


def same_layers(b, x):
    """A layer that reads a tensor twice, which needs a copy."""
    return b.add([x, b.relu(b.linear(x, b.tensor("w", weights(3, 3)))), x])


IMAGE = (2, 5, 6)
EQUAL = {
    "linear": made((3,), lambda b, x: b.linear(x, b.tensor("w", weights(2, 3)), b.tensor("b", weights(2)))),
    "linear on an axis": made(
        (4, 3), lambda b, x: b.linear(x, b.tensor("w", weights(2, 3)), b.tensor("b", weights(2)), name="middle")
    ),
    "linear without bias": made((4, 3), lambda b, x: b.linear(x, b.tensor("w", weights(2, 3)))),
    "convolution, then shift": made(
        IMAGE,
        lambda b, x: b.convolution(x, b.tensor("w", weights(3, 2, 2, 2))),
        lambda b, x: b.shift(x, b.tensor("s", weights(3, 1, 1), role="frozen")),
    ),
    "frozen weights": made(
        IMAGE, lambda b, x: b.convolution(x, b.tensor("w", weights(4, 1, 2, 3), role="frozen"), groups=2)
    ),
    "trained scale": made(IMAGE, lambda b, x: b.scale(x, b.tensor("s", weights(2, 1, 1)))),
    "transposed convolution": made(
        IMAGE,
        lambda b, x: b.transposed_convolution(
            x, b.tensor("w", weights(2, 2, 3, 2)), stride=2, padding=[(1, 0), (0, 1)], output_padding=1, groups=2
        ),
    ),
    "batch-norm": made(
        IMAGE,
        lambda b, x: b.batch_norm(
            x, b.tensor("scale", weights(2), role="frozen"), b.tensor("shift", weights(2), role="frozen")
        ),
    ),
    "batch-norm without shift": made(
        IMAGE, lambda b, x: b.batch_norm(x, b.tensor("scale", weights(2), role="frozen"), name="norm")
    ),
    "max-pool": made(IMAGE, lambda b, x: b.max_pool(x, 3, stride=2, padding=1, ceil_mode=True)),
    "average pool": made(IMAGE, lambda b, x: b.average_pool(x, (2, 3), stride=2, padding=1, count_include_pad=False)),
    "global pools": made(
        IMAGE,
        lambda b, x: b.concatenate([b.adaptive_average_pool(x, 1), b.adaptive_max_pool(x, 1)], 0),
    ),
    "mean": made(IMAGE, lambda b, x: b.mean(x, (0, 2), keep=False)),
    "pad": made(IMAGE, lambda b, x: b.pad(x, [(1, 0), (0, 2), (1, 1)])),
    "nearest": made(IMAGE, lambda b, x: b.nearest(x, (10, 3))),
    "bilinear": made(IMAGE, lambda b, x: b.bilinear(x, (7, 4))),
    "bilinear corners": made(IMAGE, lambda b, x: b.bilinear(x, (7, 4), align_corners=True)),
    "sums": made((3,), same_layers),
    "difference": made((3,), lambda b, x: b.add([x, b.linear(x, b.tensor("w", weights(3, 3)))], signs=[1, -1])),
    "constant": made(
        (3,),
        lambda b, x: b.concatenate([x, b.constant(b.tensor("c", weights(2), role="frozen"))]),
        lambda b, x: b.relu(x),
    ),
    "views": made(
        (2, 3, 4),
        lambda b, x: b.transpose(x, (2, 0, 1)),
        lambda b, x: b.concatenate([b.take(x, (slice(None, None, -1),)), x], 0),
        lambda b, x: b.relu(b.reshape(x, (8, 6))),
        lambda b, x: b.linear(b.flatten(x), b.tensor("w", weights(2, 48))),
    ),
    "one index": made((2, 3), lambda b, x: b.relu(b.take(x, (slice(None), 1)))),
    "input is output": made((2, 3), lambda b, x: x),
    "second largest": made(IMAGE, lambda b, x: b.max_pool(x, (2, 3), stride=(1, 2), rank=2, name="second")),
    "second, with padding": made(
        IMAGE, lambda b, x: b.relu(b.max_pool(x, 3, stride=2, padding=((1, 0), (1, 1)), rank=2, ceil_mode=True))
    ),
    "second of a row": made((3, 9), lambda b, x: b.max_pool(x, 3, stride=2, dilation=2, rank=2)),
    "second of a cube": made((1, 3, 4, 3), lambda b, x: b.max_pool(x, 2, stride=(1, 2, 1), rank=5)),
    "uneven maxima": made(IMAGE, lambda b, x: b.adaptive_max_pool(x, (3, 4))),
    "uneven third": made(IMAGE, lambda b, x: b.adaptive_max_pool(x, (2, 4), rank=3)),
    "global second": made(IMAGE, lambda b, x: b.adaptive_max_pool(x, 1, rank=2)),
    "wide padding of maxima": made(
        IMAGE, lambda b, x: b.max_pool(x, 2, stride=3, padding=((2, 0), (0, 0)), dilation=3)
    ),
    "maxima without the border": made(IMAGE, lambda b, x: b.max_pool(x, 2, stride=1, padding=-1)),
}
SIMILAR = {
    "matrix kept as a vector": made(
        (3,), lambda b, x: b.linear(x, b.tensor("w", weights(3)).reshaped((1, 3)), b.tensor("b", weights(1)))
    ),
    "kernel kept as a matrix": made(
        (1, 5), lambda b, x: b.convolution(x, b.tensor("w", weights(1, 2)).reshaped((1, 1, 2)))
    ),
    "constant kept as a vector": made(
        (2, 2), lambda b, x: b.concatenate([x, b.constant(b.tensor("c", weights(4)).reshaped((2, 2)))])
    ),
    "no axes": made(
        (3,),
        lambda b, x: b.relu(b.reshape(b.linear(x, b.tensor("w", weights(1, 3))), ())),
        lambda b, x: b.shift(b.transpose(x, ()), b.tensor("s", weights(1).reshape(()))),
        lambda b, x: b.reshape(x, (1,)),
    ),
    "uneven averages": made(IMAGE, lambda b, x: b.adaptive_average_pool(x, (3, 4))),
    "even averages": made((1, 4, 6), lambda b, x: b.adaptive_average_pool(x, (2, 3))),
    "even maxima": made((1, 4, 6), lambda b, x: b.adaptive_max_pool(x, (2, 3))),
    "divisor": made(IMAGE, lambda b, x: b.average_pool(x, 2, divisor=3)),
    "uneven nearest": made(IMAGE, lambda b, x: b.nearest(x, (7, 4))),
    "resize": made(IMAGE, lambda b, x: b.resize(x, [[[1, 0, 0, 0, 0, 0.5], [0, 2, 0, 0, 0, 0]]])),
    "nothing to resize": made(IMAGE, lambda b, x: b.resize(x, [np.eye(6)])),
    "sparse matrix": made((2, 3), lambda b, x: b.fixed_linear(x, sparse(), (3, 1))),
    "signs": made((3,), lambda b, x: b.add([x, b.linear(x, b.tensor("w", weights(3, 3)))], signs=[-1, 1])),
    "one sum": made((3,), lambda b, x: b.relu(b.add([x]))),
    "broadcast": made(
        (2, 3),
        lambda b, x: b.add([x, b.relu(b.take(x, 0))]),
    ),
    "new axes": made((2, 3), lambda b, x: b.relu(b.take(x, (None, 1, Ellipsis, slice(0, 2))))),
}


def assert_same_values(graph, path, again):
    (shape,) = graph.input_shapes.values()
    x = np.random.default_rng(1).integers(-4, 5, size=(3, *shape)).astype(np.float32)
    expected = run_onnxruntime(path, x)
    for found, same, wanted, slack in zip(
        outputs_of(graph, x), outputs_of(again, x), expected, float_slack(graph, x), strict=True
    ):
        assert found.shape == wanted.shape == same.shape
        assert (np.abs(found.astype(float) - wanted) <= slack).all()
        assert (np.abs(found.astype(float) - same) <= slack).all()


@pytest.mark.parametrize("name", EQUAL)
def test_read_back_equal(name, tmp_path):
    graph, path = EQUAL[name], tmp_path / "net.onnx"
    graph.to_onnx(path)
    onnx.checker.check_model(str(path), full_check=True)
    again = pg.from_onnx(path)
    assert again == graph
    assert again.roles == graph.roles
    assert_same_values(graph, path, again)


@pytest.mark.parametrize("name", SIMILAR)
def test_read_back_with_the_same_values(name, tmp_path):
    graph, path = SIMILAR[name], tmp_path / "net.onnx"
    graph.to_onnx(path)
    onnx.checker.check_model(str(path), full_check=True)
    assert_same_values(graph, path, pg.from_onnx(path))


def test_values_are_written_without_loss(tmp_path):
    build = pg.LayerGraphBuilder()
    x = build.convolution(build.input((1, 4)), build.tensor("w", np.full((2, 1, 3), 1 / 3)))
    graph, path = build.build(build.relu(x)), tmp_path / "net.onnx"
    graph.to_onnx(path)
    again = pg.from_onnx(path)
    assert again == graph
    assert again.dtype == np.float64
    assert again.parameters["w"][0, 0, 0] == 1 / 3
    assert_same_values(graph, path, again)


@pytest.mark.parametrize(
    "layer",
    [
        lambda b, x: b.adaptive_average_pool(x, (3, 4)),
        lambda b, x: b.resize(x, [np.full((5, 6), 1 / 7)]),
        lambda b, x: b.fixed_linear(x, np.full((3, 60), 0.1), (3,)),
    ],
    ids=["averages", "resize", "fixed"],
)
def test_fixed_matrices_are_written_without_loss(layer, tmp_path):
    """Coefficients like 1/3 are no float32: the path-norm of what comes back differs by roundings of float64."""
    graph, path = made(IMAGE, layer), tmp_path / "net.onnx"
    graph.to_onnx(path)
    again = pg.from_onnx(path)
    assert graph.dtype == again.dtype == np.float64
    for q in (1, 2, 4):
        slack = 2 * gamma(evaluation_roundings(graph) + (q + 2) * len(graph.layers))
        assert_close(pg.path_norm(again, q=q), pg.path_norm(graph, q=q), slack)
    assert_same_values(graph, path, again)


def test_fixed_matrices_beyond_the_range(tmp_path):
    build = pg.LayerGraphBuilder()
    graph = build.build(build.resize(build.input((1, 2)), [[[1e200, 0]]], name="huge"))
    with pytest.raises(pg.RangeError, match="huge: a value lies beyond the range of float32; use dtype='float64'"):
        graph.to_onnx(tmp_path / "net.onnx")
    graph.to_onnx(tmp_path / "net.onnx", dtype=np.float64)
    assert pg.path_norm(pg.from_onnx(tmp_path / "net.onnx")) == 1e200


def test_names_of_layers_and_tensors_may_be_equal(tmp_path):
    build = pg.LayerGraphBuilder()
    x = build.linear(build.input((2,), name="x"), build.tensor("fc", weights(2, 2)), name="fc")
    graph, path = build.build(build.linear(build.relu(x), build.tensor("x", weights(1, 2)))), tmp_path / "net.onnx"
    graph.to_onnx(path)
    assert_same_values(graph, path, pg.from_onnx(path))


def test_large_tensors_go_into_a_file_of_their_own(tmp_path, monkeypatch):
    from pathgraph.io import onnx_export

    graph, path = EQUAL["linear"], tmp_path / "net.onnx"
    monkeypatch.setattr(onnx_export, "LARGEST_FILE", 10)
    graph.to_onnx(path)
    assert pg.from_onnx(path) == graph


def test_tensors_that_are_read_in_two_ways_are_written_once(tmp_path):
    """A matrix tied with its transpose and a convolution: the function stays, in onnxruntime, too."""
    onnxruntime = pytest.importorskip("onnxruntime")
    build = pg.LayerGraphBuilder()
    x = build.input((4,))
    w = build.tensor("w", np.arange(-6.0, 6.0).reshape(3, 4))
    b = build.tensor("b", np.array([1.0, -2.0, 3.0, 0.5]))
    y = build.linear(build.relu(build.linear(x, w)), w, b, transposed=True)
    z = build.reshape(y, (2, 2))
    z = build.convolution(z, w.reshaped((6, 2, 1)), stride=1)
    graph = build.build(build.relu(z))
    path = tmp_path / "tied.onnx"
    graph.to_onnx(path)
    rows = np.array([[1, -2, 3, 0.5], [0, 1, 1, -1]], dtype=np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: rows})
    assert (found == graph(rows)).all(), "small integers and halves: float32 is exact"
    again = pg.from_onnx(path)
    assert (again(rows) == graph(rows)).all()
    assert pg.path_norm(again) == pg.path_norm(graph)


def _hanging(build):
    pooled = build.max_pool(build.input((1, 4, 2)), 1, stride=2, ceil_mode=True)
    return build.add([pooled, build.constant(build.tensor("c", np.ones(pooled.shape)))])


@pytest.mark.parametrize(
    "make",
    [
        lambda build: build.relu(build.take(build.input((2, 2)), (Ellipsis,))),
        lambda build: build.relu(build.take(build.input((1, 1, 2)), (slice(None, None, -1), slice(0, 1), Ellipsis))),
        lambda build: build.average_pool(build.input((1, 4, 4)), 2, stride=1, padding=2),
        _hanging,
    ],
    ids=["all of it", "reversed", "wide padding", "a last window that is dropped"],
)
def test_unusual_layers_run_and_come_back(tmp_path, make):
    onnxruntime = pytest.importorskip("onnxruntime")
    build = pg.LayerGraphBuilder()
    graph = build.build(make(build))
    (shape,) = graph.input_shapes.values()
    path = tmp_path / "graph.onnx"
    graph.to_onnx(path)
    rows = np.random.default_rng(0).integers(-8, 9, size=(3, *shape)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: rows})
    assert (found == graph(rows)).all(), "quarters of small integers are exact in float32"
    assert (pg.from_onnx(path)(rows) == graph(rows)).all()


def _array(model, name, change):
    (tensor,) = [t for t in model.graph.initializer if t.name == name]
    tensor.CopyFrom(onnx.numpy_helper.from_array(change(onnx.numpy_helper.to_array(tensor).copy()), name))


def _node(model, name):
    (node,) = [n for n in model.graph.node if n.name == name]
    return node


def _attribute(model, node, name, value):
    (attribute,) = [a for a in _node(model, node).attribute if a.name == name]
    attribute.i = value


def _said(model, doc):
    _node(model, "second").doc_string = doc


def _moved(table):
    table[1, 2] -= 1
    return table


OTHER_POOLS = {
    "another entry": lambda m: _array(m, "second:table", _moved),
    "another rank": lambda m: _array(m, "second:rank", lambda r: r + 1),
    "another of the largest": lambda m: _array(m, "second:last", lambda r: r - 1),
    "the smallest": lambda m: _attribute(m, "second", "largest", 0),
    "in any order": lambda m: _attribute(m, "second", "sorted", 0),
    "zeros in the padding": lambda m: _array(m, "second:nothing", lambda v: v * 0 if np.isfinite(v) else np.float32(0)),
    "another axis": lambda m: _attribute(m, "second:windows", "axis", 1),
    "another shape": lambda m: _array(m, "second:shape", lambda s: s[[0, 2, 1, 3]]),
    "said otherwise": lambda m: _said(m, _node(m, "second").doc_string.replace("2]", "1]")),
    "said badly": lambda m: _said(m, "pool: {"),
    "not said": lambda m: _said(m, ""),
    "said to be huge": lambda m: _said(
        m,
        'pool: {"kernel": [2000000000, 1], "stride": [1, 1], "padding": [[0, 0], [0, 2000000000]], "dilation": [1, 1], '
        '"ceil_mode": false, "rank": 2}',
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", OTHER_POOLS)
def test_nodes_that_are_no_pool_are_refused(how, tmp_path):
    """What TopK says is believed only where it is so."""
    path = tmp_path / "net.onnx"
    made(IMAGE, lambda b, x: b.max_pool(x, (2, 3), stride=2, padding=1, rank=2, name="second")).to_onnx(path)
    assert [layer.rank for layer in pg.from_onnx(path).layers if layer.activation == "pool"] == [2]
    model = onnx.load(path)
    OTHER_POOLS[how](model)
    with pytest.raises((pg.UnsupportedOperatorError, pg.FileFormatError), match=r"(TopK|Reshape) node") as caught:
        pg.from_onnx(model)
    assert "second" in str(caught.value)
