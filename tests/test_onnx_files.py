"""What an ONNX file says besides its layers: shapes of inputs, constants, operator sets, and what cannot be written."""

import io

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")

from onnx import TensorProto, helper  # noqa: E402

import pathgraph as pg  # noqa: E402
from pathgraph.io import onnx_export, onnx_selection  # noqa: E402
from tests.onnx_files import perceptron, refused, run_onnxruntime  # noqa: E402
from tests.onnx_models import Model, floats, integers, ints, single  # noqa: E402

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


# -- where it is written ------------------------------------------------------------------------------------------


def one_layer():
    build = pg.LayerGraphBuilder()
    return build.build([build.linear(build.input((2,)), build.tensor("w", [[1.0, -2.0]]))])


class Slow(io.BytesIO):
    """A file of which one call takes at most 7 bytes."""

    def write(self, data):
        return super().write(data[:7])


class Silent(io.BytesIO):
    """A file that does not say how many bytes it took."""

    def write(self, data):
        super().write(data)


@pytest.mark.parametrize("kind", [io.BytesIO, Slow, Silent])
def test_written_to_open_files(tmp_path, kind):
    graph, file = one_layer(), kind()
    graph.to_onnx(file)
    graph.to_onnx(tmp_path / "net.onnx")
    assert file.getvalue() == (tmp_path / "net.onnx").read_bytes()
    file.seek(0)
    assert pg.from_onnx(file) == graph


def test_where_nothing_can_be_written(tmp_path, monkeypatch):
    graph = one_layer()
    for target in (3, None, [tmp_path]):
        with pytest.raises(
            pg.ParameterError, match="path: needed a path or a file that is open for writing bytes, got"
        ):
            graph.to_onnx(target)
    with pytest.raises(FileNotFoundError, match=r"path: there is no folder .*missing' to write 'net.onnx' in"):
        graph.to_onnx(tmp_path / "missing" / "net.onnx")
    closed = io.BytesIO()
    closed.close()
    for target in (io.StringIO(), closed):
        with pytest.raises(pg.ParameterError, match="path: needed a file that is open for writing bytes, got "):
            graph.to_onnx(target)
    (tmp_path / "net.onnx").write_bytes(b"kept")
    with (
        (tmp_path / "net.onnx").open("rb") as file,
        pytest.raises(pg.ParameterError, match="path: needed a file that is open for writing bytes, got "),
    ):
        graph.to_onnx(file)
    assert (tmp_path / "net.onnx").read_bytes() == b"kept"
    monkeypatch.setattr(onnx_export, "LARGEST_FILE", 16)
    with pytest.raises(pg.ParameterError, match="path: needed a path, since tensors of 16 bytes go into a file beside"):
        graph.to_onnx(io.BytesIO())
