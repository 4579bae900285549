"""What ONNX files are refused: every node at once, with its operator, its name and the reason."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import pathgraph as pg  # noqa: E402
from tests.onnx_files import refused  # noqa: E402
from tests.onnx_models import Model, floats, integers, ints, single  # noqa: E402


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
