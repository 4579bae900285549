"""Damaged and hostile ONNX files: an error of ours, in bounded memory and time."""

import io
import tracemalloc

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import pathgraph as pg  # noqa: E402
from tests import onnx_mutations  # noqa: E402
from tests.onnx_files import outputs_of, perceptron, refused, run_onnxruntime  # noqa: E402
from tests.onnx_models import FIXTURES, Model, floats, integers, ints, single  # noqa: E402
from tests.test_onnx_operators import CASES  # noqa: E402
from tests.tolerances import float_slack  # noqa: E402


@pytest.mark.parametrize("kind", ["bytes", "fields"])
def test_mutated_files_give_a_network_or_an_error_of_ours(kind):
    random = np.random.default_rng(20)
    models = [make() for make in FIXTURES.values()] + list(CASES.values())
    results = {"network": 0, "error": 0}
    tracemalloc.start()
    for _ in range(250):
        model = models[int(random.integers(len(models)))]
        if kind == "bytes":
            damaged = onnx_mutations.changed_bytes(model.SerializeToString(), random)
        else:
            damaged = onnx_mutations.changed_fields(model, random)
        try:
            pg.from_onnx(damaged, relu6="exact", leaky_relu="exact", max_entries=2**20)
            results["network"] += 1
        except pg.PathgraphError:
            results["error"] += 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 2**20
    assert results["network"] > 0
    assert results["error"] > 100


def test_mutated_files_that_are_read_are_what_onnxruntime_computes():
    """A change may make another network of a file, and then it must be that one."""
    random = np.random.default_rng(21)
    models = [make() for make in FIXTURES.values()] + list(CASES.values())
    compared = 0
    for _ in range(400):
        damaged = onnx_mutations.changed_fields(models[int(random.integers(len(models)))], random)
        try:
            graph = pg.from_onnx(damaged, relu6="exact", leaky_relu="exact", max_entries=2**20)
        except pg.PathgraphError:
            continue
        if graph.notes or len(graph.input_shapes) > 1:
            continue
        (shape,) = graph.input_shapes.values()
        x = random.integers(-6, 7, size=(2, *shape)).astype(np.float32) / 2
        try:
            theirs = run_onnxruntime(damaged.SerializeToString(), x)
        except Exception:  # files that onnxruntime refuses, or with a batch of another size
            continue
        if any(len(part) != len(x) for part in theirs):  # a batch that the file itself repeats
            continue
        compared += 1
        wide = graph.to_float(np.float64)
        slacks = float_slack(graph, x)
        for ours, wanted, slack in zip(outputs_of(wide, x), theirs, slacks, strict=True):
            assert (abs(ours - wanted).reshape(slack.shape) <= slack).all()
    assert compared > 40


def test_truncated_files():
    data = FIXTURES["resnet"]().SerializeToString()
    for length in range(0, len(data), 97):
        refused(data[:length], pg.PathgraphError, "ONNX model")


def test_what_is_no_file(tmp_path):
    refused(tmp_path / "missing.onnx", pg.FileFormatError, "needed a readable file")
    refused(tmp_path, pg.FileFormatError, "needed a readable file")
    refused(3, pg.FileFormatError, "needed a path, bytes, a binary file or an onnx.ModelProto, got int")
    (tmp_path / "text.onnx").write_text("no model", encoding="utf-8")
    refused(tmp_path / "text.onnx", pg.FileFormatError, "text.onnx: needed an ONNX model")


def test_files_that_are_open(tmp_path):
    data = perceptron().SerializeToString()
    (tmp_path / "net.onnx").write_bytes(data)
    assert pg.from_onnx(io.BytesIO(data)) == pg.from_onnx(data)
    with (tmp_path / "net.onnx").open("rb") as file:
        assert pg.from_onnx(file) == pg.from_onnx(data)
    refused(io.BytesIO(data[:-3]), pg.FileFormatError, "the ONNX model: needed an ONNX model")
    refused(io.StringIO("text"), pg.FileFormatError, "which holds str; open it in the mode 'rb'")
    refused(file, pg.FileFormatError, "needed a file that is open for reading bytes, got .* closed file")
    with (tmp_path / "net.onnx").open("ab") as file:
        refused(file, pg.FileFormatError, "needed a file that is open for reading bytes, got ")
    (tmp_path / "text.txt").write_bytes(b"\xff")
    with (tmp_path / "text.txt").open(encoding="utf-8") as file:
        refused(file, pg.FileFormatError, "needed a file that is open for reading bytes, got .* can't decode")


def test_a_header_that_claims_four_gigabytes():
    model = perceptron()
    model.graph.initializer[0].dims[:] = [2**15, 2**15]
    tracemalloc.start()
    refused(model, pg.FileFormatError, r"'t1'.*needed 4294967296 bytes for float32 of shape \(32768, 32768\), got 24")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def chain(operator, length, copies=1, **attributes):
    """Nodes that each read the one before, `copies` times."""
    m = Model(2)
    value = m.x
    for _ in range(length):
        value = m(operator, *[value] * copies, **attributes)
    return m.model(value)


@pytest.mark.timeout(60)  # a hundredth of it is enough
def test_a_signal_that_doubles_again_and_again():
    refused(chain("Concat", 60, copies=2, axis=1), pg.FileFormatError, "more than max_entries=268435456")


@pytest.mark.timeout(60)
def test_ten_thousand_layers():
    assert "10002 layers" in repr(pg.from_onnx(chain("Relu", 10_000)))


HUGE = 2**40
GROWING = {
    "pad": single("Pad", (2, 5), ints(0, 0, 0, 0, 0, HUGE)),
    "resize": single("Resize", (2, 5), None, None, ints(2, 2**45), axes=[1, 2], mode="nearest"),
    "resize scales": single("Resize", (2, 5), None, floats(1, 1, 1e12), mode="nearest"),
    "upsample": single("Upsample", (2, 5), floats(1, 1, 1e12), opset=9),
    "convtranspose": single("ConvTranspose", (1, 5), integers(1, 1, 2), strides=[2**30]),
    "conv": single("Conv", (1, 5), integers(1, 1, 2), pads=[2**30, 2**30]),
    "maxpool": single("MaxPool", (1, 5), kernel_shape=[2**30], pads=[2**29, 2**29]),
    "add": single("Add", (1, 2**12), integers(1, 2**12, 1)),
}


def constant_of_shape(*shape):
    m = Model(2)
    return m.model(m("Add", m.x, m("ConstantOfShape", m.tensor(ints(*shape)))))


def growing_range():
    m = Model(2)
    sizes = [m.tensor(np.int64(v)) for v in (0, HUGE, 1)]
    return m.model(m("Add", m.x, m("Cast", m("Range", *sizes), to=1)))


def expanded():
    m = Model(2)
    return m.model(m("Add", m.x, m("Expand", m.weight(1), m.tensor(ints(HUGE, 2)))))


GROWING |= {"constantofshape": constant_of_shape(HUGE, 2), "range": growing_range(), "expand": expanded()}


@pytest.mark.parametrize("name", GROWING)
def test_small_files_that_describe_large_tensors(name):
    tracemalloc.start()
    refused(GROWING[name], pg.FileFormatError, "max_entries|at most|do not fit|windows", max_entries=10**6)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**23


def test_an_input_that_is_too_large():
    m = Model(2**31)
    refused(m.model(m("Relu", m.x)), pg.FileFormatError, "max_entries=268435456")


def test_cycles_are_named():
    m = Model(2)
    relu = m("Relu", "sum")
    m.nodes.append(helper.make_node("Add", [m.x, relu], ["sum"], name="closing"))
    message = refused(m.model("sum"), pg.GraphError, "acyclic")
    assert "Add node 'closing'" in message


def test_nodes_in_any_acyclic_order():
    model = perceptron()
    expected = pg.from_onnx(model)
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    x = integers(3, 2)
    assert pg.from_onnx(model)(x).tolist() == expected(x).tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers(value):
    model = perceptron()
    model.graph.initializer[0].raw_data = np.full(6, value, dtype=np.float32).tobytes()
    refused(model, pg.PathgraphError, "ONNX model: t1.* got (nan|-?inf)")


def test_names():
    model = perceptron()
    model.graph.node[0].input[1] = "nothing"
    refused(model, pg.FileFormatError, "needs the tensor 'nothing', which no node, input or initializer makes")
    model = perceptron()
    model.graph.output[0].name = "nothing"
    refused(model, pg.FileFormatError, "the graph's output needs the tensor 'nothing'")
    model = perceptron()
    model.graph.initializer.append(model.graph.initializer[0])
    refused(model, pg.FileFormatError, "two initializers are named 't1'")
    model = perceptron()
    model.graph.node[1].output[0] = "t1"
    refused(model, pg.FileFormatError, "the tensor 't1' is made twice")


def test_wrong_dimensions():
    model = perceptron()
    model.graph.initializer[0].dims[:] = [2, 3]
    refused(model, pg.FileFormatError, "a matrix for 3 numbers meets an axis of 2")
    refused(single("Conv", (2, 5, 5), integers(3, 4, 2, 2)), pg.PathgraphError, "weight: .* groups")
    refused(single("Conv", (2, 5, 5), integers(3, 2, 7, 2)), pg.FileFormatError, "do not fit")
    refused(single("Reshape", (2, 5), ints(0, 7)), pg.FileFormatError, r"shape \(N, 2, 5\) cannot be reshaped")
    refused(single("MaxPool", (2, 5)), pg.FileFormatError, "needed kernel_shape")
    refused(single("MaxPool", (2, 5), kernel_shape=[2], pads=[3, 0]), pg.FileFormatError, "needed padding from 0 to 1")
    refused(single("Add", (3,), integers(2)), pg.FileFormatError, "do not broadcast")
    refused(single("Div", (3,), floats(1, 0, 1)), pg.FileFormatError, "divisors other than zero")


def test_versions():
    model = perceptron()
    model.opset_import[0].version = 10_000
    refused(model, pg.FileFormatError, r"from 1 to \d+, got \[10000\]")
    del model.opset_import[:]
    refused(model, pg.FileFormatError, r"got \[\]")


def test_parts_that_are_not_read():
    model = perceptron()
    model.graph.sparse_initializer.add()
    refused(model, pg.FileFormatError, "sparse initializer")
    model = perceptron()
    model.functions.add().name = "f"
    refused(model, pg.FileFormatError, "inline_local_functions")
    model = perceptron()
    model.graph.initializer[0].data_type = TensorProto.STRING
    refused(model, pg.FileFormatError, "needed one of the types float32")
    model = perceptron()
    model.graph.initializer[0].data_type = TensorProto.INT32
    refused(model, pg.UnsupportedOperatorError, "needed floats in 't1', got int32")


@pytest.mark.parametrize(
    ("dtype", "kind"), [(np.float64, "d"), (np.float16, "h"), (np.float32, "f")], ids=["float64", "float16", "float32"]
)
@pytest.mark.parametrize("raw", [True, False])
def test_types_of_tensors(dtype, kind, raw):
    model = perceptron()
    values = np.array([[0.5, -2], [3, 1], [0, 7]], dtype=dtype)
    made = helper.make_tensor("t1", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), (3, 2), values.ravel(), raw=False)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "t1") if raw else made)
    graph = pg.from_onnx(model)
    assert graph.parameters["t1"].tolist() == values.tolist()
    assert graph.dtype == (np.float64 if kind == "d" else np.float32)
