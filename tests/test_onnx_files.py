"""What ONNX files are refused, and how: damaged, hostile, open and unsupported ones; tensors in files of their own."""

import os
import tracemalloc

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import pathgraph as pg  # noqa: E402
from pathgraph.io import onnx_selection  # noqa: E402
from tests import onnx_mutations  # noqa: E402
from tests.onnx_models import FIXTURES, Model  # noqa: E402
from tests.test_onnx_models import run_onnxruntime  # noqa: E402
from tests.test_onnx_operators import CASES, floats, integers, ints, single  # noqa: E402


def perceptron():
    """Input x (N, 2), hidden layer with weight t1, output."""
    m = Model(2)
    return m.model(m.gemm(m("Relu", m.gemm(m.x, 2, 3)), 3, 1))


def refused(model, error, match, **options):
    with pytest.raises(error, match=match) as caught:
        pg.from_onnx(model, **options)
    return str(caught.value)


# -- damaged files ------------------------------------------------------------------------------------------------


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


def test_truncated_files():
    data = FIXTURES["resnet"]().SerializeToString()
    for length in range(0, len(data), 97):
        refused(data[:length], pg.PathgraphError, "ONNX model")


def test_what_is_no_file(tmp_path):
    refused(tmp_path / "missing.onnx", pg.FileFormatError, "needed a readable file")
    refused(tmp_path, pg.FileFormatError, "needed a readable file")
    refused(3, pg.FileFormatError, "needed a path, bytes or an onnx.ModelProto")
    (tmp_path / "text.onnx").write_text("no model", encoding="utf-8")
    refused(tmp_path / "text.onnx", pg.FileFormatError, "text.onnx: needed an ONNX model")


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


# -- tensors in files of their own --------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path):
    """A model whose tensors lie beside it, its path, and what it should be."""
    model = perceptron()
    expected = pg.from_onnx(model)
    path = tmp_path / "model" / "net.onnx"
    path.parent.mkdir()
    onnx.save_model(model, str(path), save_as_external_data=True, location="net.data", size_threshold=0)
    return onnx.load(str(path), load_external_data=False), path, expected


def changed(model, path, **entries):
    tensor = model.graph.initializer[0]
    for entry in tensor.external_data:
        if entry.key in entries:
            entry.value = entries[entry.key]
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data(stored):
    model, path, expected = stored
    assert pg.from_onnx(path) == expected
    assert pg.from_onnx(onnx.load(str(path))) == expected
    refused(model, pg.FileFormatError, "pass the path of the model")


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/hostname", "a/../../secret", "..", "", ".", "C:secret", "..\\secret", "a\0b"]
)
def test_external_data_stays_in_the_folder(stored, location):
    model, path, _ = stored
    (path.parent.parent / "secret").write_bytes(bytes(1000))
    refused(changed(model, path, location=location), pg.FileFormatError, "'t1'.*in the folder of the model")


def test_external_data_that_all_tensors_share(tmp_path):
    m = Model(100)
    x = m.x
    for _ in range(6):
        x = m("Relu", m.gemm(x, 100, 100))
    path = tmp_path / "net.onnx"
    onnx.save_model(m.model(x), str(path), save_as_external_data=True, location="net.data", size_threshold=0)
    model = onnx.load(str(path), load_external_data=False)
    (tmp_path / "net.data").write_bytes(bytes(40_000))
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "0" if entry.key == "offset" else entry.value
    path.write_bytes(model.SerializeToString())
    refused(path, pg.FileFormatError, "was read 4 times over")


def test_external_data_without_offset_and_length(tmp_path):
    model = perceptron()
    expected = pg.from_onnx(model)
    tensor = model.graph.initializer[0]
    (tmp_path / "t1").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="t1")
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    assert pg.from_onnx(tmp_path / "net.onnx") == expected


def test_external_data_does_not_follow_links_out(stored):
    model, path, _ = stored
    secret = path.parent.parent / "secret"
    secret.write_bytes(bytes(1000))
    os.symlink(secret, path.parent / "link")
    refused(changed(model, path, location="link"), pg.FileFormatError, "in the folder of the model")


@pytest.mark.parametrize(
    ("entries", "match"),
    [
        ({"location": "missing"}, "cannot be read"),
        ({"length": "8"}, "needed 24 bytes .* got 8"),
        ({"length": "99999999999"}, "needed 24 bytes"),
        ({"offset": "99999999999"}, "at 99999999999"),
        ({"offset": "-1"}, "needed a non-negative integer as offset"),
        ({"offset": "1e3"}, "needed a non-negative integer as offset"),
        ({"length": "²"}, "needed a non-negative integer as length"),
    ],
)
def test_external_data_is_what_the_model_says(stored, entries, match):
    model, path, _ = stored
    refused(changed(model, path, **entries), pg.FileFormatError, match)


# -- unsupported files --------------------------------------------------------------------------------------------


def test_every_offending_node_is_in_one_error():
    m = Model(2, 4, 4)
    x = m("LRN", m.conv(m.x, 2, 2), size=3)
    x = m("Sigmoid", m("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]))
    x = m("Mul", x, m("HardSwish", x))
    x = m("Foo", m("LeakyRelu", x, alpha=0.1))
    m.nodes.append(helper.make_node("Bar", [x], ["y"], name="other", domain="com.example"))
    message = refused(m.model("y"), pg.UnsupportedOperatorError, "7 of its 9 nodes cannot be imported")
    lines = message.splitlines()[1:]
    expected = ["LRN", "Sigmoid", "HardSwish", "Mul", "LeakyRelu", "Foo", "com.example.Bar"]
    assert [line.split()[0] for line in lines] == expected
    assert "multiplies two activations" in message


def branching():
    m = Model(2)
    branch = helper.make_graph(
        [helper.make_node("Relu", [m.x], ["z"])], "branch", [], [helper.make_tensor_value_info("z", 1, None)]
    )
    condition = m.tensor(np.array(True))
    return m.model(m("If", condition, then_branch=branch, else_branch=branch))


def two_activations(operator):
    m = Model(3, 3)
    return m.model(m(operator, m("Relu", m.x), m.x))


def softmax_inside():
    m = Model(3)
    return m.model(m("Relu", m("Softmax", m.x)))


UNSUPPORTED = {
    "if": (branching(), "at run time"),
    "product": (two_activations("Mul"), "multiplies two activations"),
    "quotient": (two_activations("Div"), "divides two activations"),
    "matrix product": (two_activations("MatMul"), "multiplies two activations"),
    "softmax inside": (softmax_inside(), "not the last operator"),
    "layer norm": (single("LayerNormalization", (3,), integers(3)), "statistics of the sample"),
    "unknown attribute": (single("Relu", (3,), strength=2), "attribute 'strength' is not known"),
    "unknown pool attribute": (single("MaxPool", (1, 4), kernel_shape=[2], rank=2), "attribute 'rank' is not known"),
    "batch mean": (single("ReduceMean", (3,), ints(0)), "is the batch axis"),
    "batch reshape": (single("Reshape", (4,), ints(2, -1)), "mixes the batch axis"),
    "batch slice": (single("Slice", (4,), ints(0), ints(1), ints(0)), "is the batch axis"),
    "batch matrix": (single("Gemm", (4,), integers(4, 4), transA=1), "is the batch axis"),
    "per sample": (single("Add", (3,), integers(2, 3), batch=2), "differs from sample to sample"),
    "cubic": (single("Resize", (1, 4), None, floats(1, 1, 2), mode="cubic"), "mode 'cubic'"),
    "crop": (
        single("Resize", (1, 4), None, floats(1, 1, 2), coordinate_transformation_mode="tf_crop_and_resize"),
        "tf_crop_and_resize",
    ),
    "integers": (single("Cast", (3,), to=7), "casts an activation to integers"),
    "clip": (single("Clip", (3,), np.float32(-1), np.float32(1)), "needed minimum 0"),
    "leaky": (single("LeakyRelu", (3,)), "leaky_relu='exact'"),
    "training dropout": (single("Dropout", (3,), np.float32(0.5), np.array(True)), "training mode"),
    "training batch norm": (
        single("BatchNormalization", (2, 3), *[floats(1, 2)] * 4, training_mode=1),
        "training mode",
    ),
    "conv weight": (single("Sqrt", (3,)), "not piecewise linear"),
    "stack of matrices": (single("MatMul", (2, 5, 3), integers(2, 3, 4)), "stacks of matrices"),
    "batch transposed": (single("Transpose", (3,), perm=[1, 0]), "needed it as the first"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported(name):
    model, match = UNSUPPORTED[name]
    refused(model, pg.UnsupportedOperatorError, match)


def test_outputs_that_are_no_activations():
    m = Model(2)
    refused(m.model(m("Identity", m.weight(2))), pg.FileFormatError, "does not depend on the inputs")
    m = Model(2, 4)
    _, places = m("MaxPool", m.x, kernel_shape=[2], outputs=2)
    refused(m.model(places), pg.UnsupportedOperatorError, "the places of the maxima")


# -- inputs -------------------------------------------------------------------------------------------------------


def reader(*dims, elem_type=TensorProto.FLOAT):
    relu = helper.make_node("Relu", ["x"], ["y"])
    x, y = (helper.make_tensor_value_info(name, elem_type, shape) for name, shape in (("x", dims), ("y", None)))
    graph = helper.make_graph([relu], "reader", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize(
    ("dims", "given", "shape"),
    [
        (("N", 3, 4), None, (3, 4)),
        ((1, 3, 4), None, (3, 4)),
        ((5, 3, 4), None, (3, 4)),
        ((3,), None, (3,)),
        (("N",), None, ()),
        (("N", "C", 4), (7, 4), (7, 4)),
        (("N", 3, None), {"x": (3, 2)}, (3, 2)),
        ((3, 4), (3, 4), (3, 4)),
        (("H", "W"), (3, 4), (3, 4)),
    ],
)
def test_input_shapes(dims, given, shape):
    graph = pg.from_onnx(reader(*dims), input_shape=given)
    assert graph.input_shapes == {"x": shape}
    x = integers(2, *shape)
    assert graph(x).tolist() == np.maximum(x, 0).tolist()


@pytest.mark.parametrize(
    ("dims", "given", "error", "match"),
    [
        (("N", "C", 4), None, pg.ParameterError, r"input 'x' has open axes, \(\?, \?, 4\); give input_shape"),
        (("N", 0, 4), None, pg.ParameterError, "open axes"),
        (("N", 3, 4), (3, 5), pg.ParameterError, "input_shape: .* got"),
        (("N", 3, 4), (4,), pg.ParameterError, "input_shape"),
        (("N", 3, 4), (3, 4.5), pg.ParameterError, "input_shape"),
        (("N", 3, 4), (3, -4), pg.ParameterError, "input_shape"),
        (("N", 3, 4), {"z": (3, 4)}, pg.ParameterError, "no input 'z'"),
        (("N", 3, 4), 3, pg.ParameterError, "needed a sequence of sizes"),
    ],
)
def test_wrong_input_shapes(dims, given, error, match):
    refused(reader(*dims), error, match, input_shape=given)


def test_inputs_of_other_types():
    refused(reader("N", 3, elem_type=TensorProto.INT64), pg.UnsupportedOperatorError, "needed floats, got int64")


def test_several_inputs():
    m = Model(2)
    other = helper.make_tensor_value_info("other", TensorProto.FLOAT, ["N", 2])
    model = m.model(m("Sub", m.x, "other"))
    model.graph.input.append(other)
    graph = pg.from_onnx(model)
    assert graph.input_shapes == {"x": (2,), "other": (2,)}
    a, b = integers(3, 2), integers(3, 2, seed=1)
    assert graph(a, b).tolist() == (a - b).tolist()
    refused(model, pg.ParameterError, "needed a mapping", input_shape=(2,))


def test_options():
    model = perceptron()
    refused(model, pg.ParameterError, "relu6: needed", relu6="6")
    refused(model, pg.ParameterError, "leaky_relu: needed", leaky_relu=True)
    refused(model, pg.ParameterError, "max_entries", max_entries=0)


# -- constants ----------------------------------------------------------------------------------------------------


def folded(operator, *operands, opset=18, **attributes):
    """A file that adds to its input what an operator makes of constants, as numbers of shape (1, n)."""
    m = Model(1, opset=opset)
    found = m(operator, *[m.tensor(np.asarray(operand)) for operand in operands], **attributes)
    found = m("Reshape", m("Cast", found, to=1), m.tensor(ints(1, -1)))
    return m.model(m("Concat", m.x, m("Expand", found, m.tensor(ints(1, 1))), axis=1))


FOLDED = {
    "quotient of integers": folded("Div", ints(-7, 7, 8), ints(2, -2, 3)),
    "quotient": folded("Div", floats(1, 2), floats(4, -8)),
    "where": folded("Where", np.array([True, False, True]), ints(1, 2, 3), ints(4, 5, 6)),
    "equal": folded("Equal", ints(1, 2, 3), ints(1, 0, 3)),
    "range": folded("Range", np.int64(7), np.int64(-3), np.int64(-3)),
    "constantofshape": folded("ConstantOfShape", ints(2, 2), value=helper.make_tensor("v", 1, [1], [2.5])),
    "gather": folded("Gather", ints(5, 6, 7), ints(-1, 0)),
    "slice": folded("Slice", ints(5, 6, 7, 8), ints(-1), ints(-4), ints(0), ints(-2)),
    "concat": folded("Concat", ints(1), ints(2, 3), axis=0),
    "reduceprod": folded("ReduceProd", ints(2, 3, 4), keepdims=0),
    "sum": folded("Sum", floats(1, 2), floats(3, 4), floats(5, 6)),
    "pow": folded("Pow", floats(2, 3), floats(2, 0.5)),
    "sqrt": folded("Sqrt", floats(4, 9)),
    "transpose": folded("Transpose", integers(2, 3)),
    "squeeze": folded("Squeeze", integers(1, 3, 1)),
    "unsqueeze": folded("Unsqueeze", integers(3), ints(0, 2)),
    "flatten": folded("Flatten", integers(2, 3, 2), axis=2),
    "shape": folded("Shape", integers(2, 3, 5), start=-2),
    "size": folded("Size", integers(2, 3, 5)),
    "cast": folded("Cast", floats(-2.5, 2.5, 3.5), to=7),
    "expand": folded("Expand", floats(1, 2), ints(2, 1)),
}


@pytest.mark.parametrize("name", FOLDED)
def test_constants_are_computed(name):
    x = floats(3).reshape(1, 1)
    (expected,) = run_onnxruntime(FOLDED[name].SerializeToString(), x)
    assert pg.from_onnx(FOLDED[name])(x).tolist() == expected.tolist()


def test_a_weight_in_two_layouts_is_two_parameters():
    m = Model(2)
    weight = m.weight(2, 2, name="w")
    x = m("Gemm", m("Relu", m("Gemm", m.x, weight, transB=1)), weight)
    graph = pg.from_onnx(m.model(x))
    assert sorted(graph.parameters) == ["w", "w#2"]
    assert graph.parameters["w"].T.tolist() == graph.parameters["w#2"].tolist()
    assert graph.notes == ("used in two shapes, orders or roles, and imported as tensors that are not tied: 'w#2'",)


def test_a_weight_that_is_transposed_and_back_is_one_parameter():
    m = Model(2)
    weight = m.weight(2, 2, name="w")
    turned = m("Transpose", weight, perm=[1, 0])
    graph = pg.from_onnx(m.model(m("MatMul", m("Relu", m("MatMul", m.x, turned)), turned)))
    assert list(graph.parameters) == ["w"]


def test_attributes_of_wrong_kinds():
    refused(single("Conv", (2, 5), integers(1, 2, 2), strides=2), pg.FileFormatError, "needed ints as attribute 'str")
    refused(single("Conv", (2, 5), integers(1, 2, 2), group=1.5), pg.FileFormatError, "got float")
    refused(single("Conv", (2, 5), integers(1, 2, 2), auto_pad="SOME"), pg.FileFormatError, "as auto_pad, got 'SOME'")


# -- older operator sets ------------------------------------------------------------------------------------------


def test_operator_set_6_aligns_operands_at_an_axis():
    model = single("Add", (2, 3), integers(2), broadcast=1, axis=1, opset=6)
    graph = pg.from_onnx(model)
    x = integers(4, 2, 3, seed=1)
    assert graph(x).tolist() == (x + integers(2)[:, None]).tolist()


def test_operator_sets_1_to_6():
    m = Model(2, 3, opset=1)
    graph = pg.from_onnx(m.model(m("Reshape", m.x, shape=[0, -1])))
    assert graph.input_shapes, graph.output_shapes == ({"x": (2, 3)}, {"output": (6,)})
    statistics = [floats(2, 4), floats(1, -1), floats(3, 0), floats(1, 4)]
    model = single("BatchNormalization", (2, 3), *statistics, epsilon=0.0, is_test=1, momentum=0.9, opset=6)
    x = integers(2, 2, 3)
    expected = x * np.array([[2], [2]]) + np.array([[-5], [-1]])
    assert pg.from_onnx(model)(x).tolist() == expected.tolist()
    (note,) = pg.from_onnx(single("BatchNormalization", (2, 3), *statistics, opset=6)).notes
    assert note.startswith("in training mode (is_test=0)")
    model = single("BatchNormalization", (2, 3), *statistics, spatial=0, opset=6)
    refused(model, pg.UnsupportedOperatorError, "spatial=0")


# -- what cannot be written ---------------------------------------------------------------------------------------


def test_what_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_selection, "LARGEST_TABLE", 35)
    build = pg.LayerGraphBuilder()
    x = build.input((1, 4, 4))
    cut = build.convolution(x, build.tensor("w", np.ones((1, 1, 2, 2))), padding=[(-1, 0), (0, 0)], name="cut")
    graph = build.build([build.max_pool(x, 2, stride=1, rank=2, name="second"), cut])
    with pytest.raises(pg.UnsupportedOperatorError, match="2 of its") as caught:
        graph.to_onnx(tmp_path / "net.onnx")
    assert "'second': it selects the entry of rank 2, for which ONNX has no pool, and a table of" in str(caught.value)
    assert "9 x 4 entries, more than 35" in str(caught.value)
    assert "'cut': its padding ((-1, 0), (0, 0)) cuts the input" in str(caught.value)
    with pytest.raises(pg.ParameterError, match="round them by"):
        graph.to_exact().to_onnx(tmp_path / "net.onnx")
    assert not (tmp_path / "net.onnx").exists()


def test_values_beyond_the_range_cannot_be_written(tmp_path):
    build = pg.LayerGraphBuilder()
    graph = build.build([build.linear(build.input((1,)), build.tensor("w", [[1e200]]))])
    with pytest.raises(pg.RangeError, match="w: a value lies beyond the range of float32; use dtype='float64'"):
        graph.to_onnx(tmp_path / "net.onnx")
    graph.to_onnx(tmp_path / "net.onnx", dtype=np.float64)
    assert pg.from_onnx(tmp_path / "net.onnx") == graph


REASONS = {
    "is recurrent": ("LSTM", ["x", "x", "x"], {"hidden_size": 3}),
    "it is not continuous": ("ThresholdedRelu", ["x"], {}),
    "abs(z) is relu(z) + relu(-z)": ("Abs", ["x"], {}),
    "it compares activations": ("Max", ["x", "x"], {}),
    "it chooses at run time": ("Where", ["c", "x", "x"], {}),
    "of the reductions ReduceMean": ("ReduceSum", ["x"], {}),
    "it is not piecewise linear": ("ReduceL2", ["x"], {}),
    "it selects entries by their size": ("TopK", ["x", "k"], {}),
    "it is random": ("RandomNormal", [], {"shape": [1, 3]}),
    "it is not among the operators that are read": ("DepthToSpace", ["x"], {"blocksize": 1}),
}


@pytest.mark.parametrize("reason", REASONS)
def test_every_refusal_says_why(reason):
    operator, inputs, attributes = REASONS[reason]
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])]
    nodes = [
        helper.make_node(operator, inputs, ["z"], name="here", **attributes),
        helper.make_node("Add", ["x", "z"], ["w"]),
        helper.make_node("Sigmoid", ["x"], ["v"], name="there"),
        helper.make_node("Add", ["v", "w"], ["y"]),
    ]
    tensors = [numpy_helper.from_array(np.array([2]), "k"), numpy_helper.from_array(np.array(True), "c")]
    graph = helper.make_graph(nodes, "g", given, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], tensors)
    with pytest.raises(pg.UnsupportedOperatorError) as caught:
        pg.from_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8))
    message = str(caught.value)
    assert "2 of its 4 nodes cannot be imported" in message
    assert f"{operator} node 'here'" in message
    assert reason in message
    assert "Sigmoid node 'there'" in message
