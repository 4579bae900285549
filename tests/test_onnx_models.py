"""ONNX files against definitions in exact numbers and against onnxruntime: values, path sums, writing back."""

from fractions import Fraction

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")

import pathgraph as pg  # noqa: E402
from pathgraph.pathsum.sweep import sweep  # noqa: E402
from tests import onnx_oracle  # noqa: E402
from tests.onnx_files import outputs_of, run_onnxruntime  # noqa: E402
from tests.onnx_models import FIXTURES  # noqa: E402
from tests.tolerances import float_slack  # noqa: E402

OPTIONS = {"mobilenet": {"relu6": "exact"}}


@pytest.fixture(params=FIXTURES, scope="module")
def case(request):
    """A file, the layer graph of it, and a batch of inputs."""
    model = FIXTURES[request.param]()
    options = OPTIONS.get(request.param, {})
    graph = pg.from_onnx(model.SerializeToString(), **options)
    (shape,) = graph.input_shapes.values()
    batch = np.random.default_rng(7).integers(-6, 7, size=(onnx_oracle.BATCH, *shape)) / 2
    return model, graph, batch, options


def power_sums(graph, q):
    """Sums of abs(path)**q for each output, in exact numbers."""
    exact = graph.to_exact()
    x = np.full((1, exact.dag.size), Fraction(0), dtype=object)
    x[0, exact.dag.inputs] = x[0, 0] = Fraction(1)
    values = [np.abs(w) ** q for w in exact.tensors]
    return sweep(exact, [(values, None)], x, backend="numpy")[0][exact.dag.outputs].tolist()


def without_softmax(model):
    """The same file, without a last Softmax."""
    trimmed = onnx.ModelProto()
    trimmed.CopyFrom(model)
    last = trimmed.graph.node[-1]
    if last.op_type == "Softmax":
        last.op_type = "Identity"
        del last.attribute[:]
    return trimmed


def test_values_are_exact(case):
    model, graph, batch, _ = case
    exact = onnx_oracle.exact(batch)
    expected = onnx_oracle.run(model, exact, dtype=graph.dtype.type)
    found = outputs_of(graph.to_exact(), exact)
    assert [a.tolist() for a in found] == [a.tolist() for a in expected]


@pytest.mark.parametrize("q", [1, 2])
def test_path_sums_are_exact(case, q):
    model, graph, batch, _ = case
    ones = np.full(batch.shape, Fraction(1), dtype=object)
    expected = [v for output in onnx_oracle.run(model, ones, power=q, dtype=graph.dtype.type) for v in output[0].flat]
    assert power_sums(graph, q) == expected


def test_values_are_those_of_onnxruntime(case):
    model, graph, batch, _ = case
    x = batch.astype(np.float32)
    expected = run_onnxruntime(without_softmax(model).SerializeToString(), x)
    for found, wanted, slack in zip(outputs_of(graph, x), expected, float_slack(graph, x), strict=True):
        assert found.shape == wanted.shape
        assert (np.abs(found.astype(float) - wanted) <= slack).all()


def test_files_are_written_back(case, tmp_path):
    _, graph, batch, options = case
    graph.to_onnx(tmp_path / "net.onnx")
    onnx.checker.check_model(str(tmp_path / "net.onnx"), full_check=True)
    again = pg.from_onnx(tmp_path / "net.onnx", **options)
    assert again == graph
    x = batch.astype(np.float32)
    expected = run_onnxruntime(tmp_path / "net.onnx", x)
    for found, wanted, slack in zip(outputs_of(graph, x), expected, float_slack(graph, x), strict=True):
        assert (np.abs(found.astype(float) - wanted) <= slack).all()


def test_changed_parameters_are_written_back(case, tmp_path):
    _, graph, batch, _ = case
    random = np.random.default_rng(3)
    pruned = graph.with_parameters(
        {name: np.where(random.random(w.shape) < 0.5, 0, w / 3) for name, w in graph.parameters.items()}
    )
    pruned.to_onnx(tmp_path / "net.onnx")
    assert pg.from_onnx(tmp_path / "net.onnx") == pruned != graph
    x = batch.astype(np.float32)
    expected = run_onnxruntime(tmp_path / "net.onnx", x)
    for found, wanted, slack in zip(outputs_of(pruned, x), expected, float_slack(pruned, x), strict=True):
        assert (np.abs(found.astype(float) - wanted) <= slack).all()


def test_relu6_is_refused_unless_chosen():
    model = FIXTURES["mobilenet"]()
    with pytest.raises(pg.UnsupportedOperatorError, match="3 of its 12 nodes") as refusal:
        pg.from_onnx(model)
    message = str(refusal.value)
    assert message.count("Clip node") == 3
    assert "relu6='exact'" in message
    graph = pg.from_onnx(model, relu6="relu")
    ones = np.full((onnx_oracle.BATCH, 2, 5, 5), Fraction(1), dtype=object)
    expected = onnx_oracle.run(model, ones, power=1, relu6="relu")[0][0].tolist()
    assert power_sums(graph, 1) == expected
    assert "left out" in graph.notes[0]


def test_tied_parameters_stay_tied():
    graph = pg.from_onnx(FIXTURES["perceptron"]())
    assert [name for name in graph.parameters if not name.startswith("t")] == ["first", "first.bias", "shared"]
    place = graph.architecture.tensor_names.index("shared")
    assert sum(layer.tensors.count(place) for layer in graph.layers) == 2


def test_notes_say_what_was_left_out():
    assert pg.from_onnx(FIXTURES["vgg"]()).notes == ("dropout does nothing at inference and is left out: 'n21'",)
    notes = pg.from_onnx(FIXTURES["squeezenet"]()).notes
    assert any(note.startswith("the final Softmax is left out") for note in notes)
    notes = pg.from_onnx(FIXTURES["googlenet"]()).notes
    assert notes == ("the file's batch of 2 samples stands for one of any size: 'x'",)
