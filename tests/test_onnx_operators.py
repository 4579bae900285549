"""One ONNX operator at a time, with the attributes that have effects, against onnxruntime or a definition."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")

import pathgraph as pg  # noqa: E402
from tests.onnx_files import outputs_of, run_onnxruntime  # noqa: E402
from tests.onnx_models import floats, integers, ints, single  # noqa: E402
from tests.tolerances import float_slack  # noqa: E402

IMAGE = (2, 5, 6)
W = integers(3, 2, 3, 2)
UP = integers(2, 3, 3, 2)
CASES = {
    "conv same_upper": single("Conv", IMAGE, W, auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv same_lower": single("Conv", IMAGE, W, auto_pad="SAME_LOWER", strides=[2, 1]),
    "conv valid": single("Conv", IMAGE, W, integers(3), auto_pad="VALID"),
    "conv pads": single("Conv", IMAGE, W, pads=[0, 2, 1, 0], strides=[1, 2], dilations=[2, 1]),
    "conv 1d": single("Conv", (4, 7), integers(6, 2, 3), group=2, pads=[1, 1]),
    "conv 3d": single("Conv", (1, 3, 4, 3), integers(2, 1, 2, 2, 2), strides=[1, 2, 1]),
    "convtranspose": single("ConvTranspose", IMAGE, UP, integers(3), strides=[2, 3], pads=[1, 0, 0, 1]),
    "convtranspose output_padding": single("ConvTranspose", IMAGE, UP, strides=[2, 2], output_padding=[1, 0]),
    "convtranspose dilations": single("ConvTranspose", IMAGE, UP, dilations=[2, 2], strides=[2, 1]),
    "convtranspose groups": single("ConvTranspose", (4, 3, 3), integers(4, 2, 2, 2), group=2, strides=[2, 2]),
    "convtranspose output_shape": single("ConvTranspose", IMAGE, UP, strides=[2, 2], output_shape=[10, 11]),
    "convtranspose same_upper": single("ConvTranspose", IMAGE, UP, strides=[2, 2], auto_pad="SAME_UPPER"),
    "convtranspose same_lower": single("ConvTranspose", IMAGE, UP, strides=[2, 2], auto_pad="SAME_LOWER"),
    "convtranspose upper shape": single(
        "ConvTranspose", IMAGE, UP, strides=[2, 2], auto_pad="SAME_UPPER", output_shape=[10, 11]
    ),
    "maxpool ceil": single("MaxPool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "maxpool ceil pads": single("MaxPool", IMAGE, kernel_shape=[2, 2], strides=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1),
    "maxpool dilations": single("MaxPool", IMAGE, kernel_shape=[2, 2], dilations=[2, 3]),
    "maxpool same": single("MaxPool", IMAGE, kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    "maxpool same_lower": single("MaxPool", IMAGE, kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_LOWER"),
    "averagepool": single("AveragePool", IMAGE, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
    "averagepool counts": single(
        "AveragePool", IMAGE, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], count_include_pad=1
    ),
    "averagepool ceil": single("AveragePool", IMAGE, kernel_shape=[2, 4], strides=[2, 3], ceil_mode=1, opset=19),
    "averagepool ceil counts": single(
        "AveragePool",
        IMAGE,
        kernel_shape=[3, 3],
        strides=[2, 2],
        pads=[1, 1, 1, 1],
        ceil_mode=1,
        count_include_pad=1,
        opset=19,
    ),
    "averagepool dilations": single("AveragePool", IMAGE, kernel_shape=[2, 2], dilations=[2, 1], opset=19),
    "globalmaxpool": single("GlobalMaxPool", IMAGE),
    "globalaveragepool 1d": single("GlobalAveragePool", (2, 7)),
    "reducemean 13": single("ReduceMean", IMAGE, axes=[2], keepdims=0, opset=13),
    "reducemean 18": single("ReduceMean", IMAGE, ints(-1, 1), keepdims=0),
    "reducemean keep": single("ReduceMean", IMAGE, ints(1, 3), keepdims=1),
    "reducemax": single("ReduceMax", IMAGE, ints(2, 3), keepdims=0),
    "gemm": single("Gemm", (3,), integers(3, 4), integers(4), alpha=0.5, beta=2.0),
    "gemm scalar": single("Gemm", (3,), integers(4, 3), floats(3), transB=1),
    "gemm row": single("Gemm", (3,), integers(4, 3), integers(1, 4), transB=1, opset=7),
    "matmul right": single("MatMul", (2, 5, 3), integers(3, 4)),
    "matmul stacked": single("MatMul", (2, 5, 3), integers(1, 1, 3, 4)),
    "flatten 1": single("Flatten", IMAGE, opset=8),
    "flatten 2": single("Flatten", IMAGE, axis=2, batch=1),
    "flatten 0": single("Flatten", IMAGE, axis=0, batch=1),
    "reshape zero": single("Reshape", IMAGE, ints(0, 6, -1)),
    "reshape one": single("Reshape", IMAGE, ints(60), batch=1),
    "transpose": single("Transpose", IMAGE, perm=[0, 3, 1, 2]),
    "squeeze 11": single("Squeeze", (1, 4, 1), axes=[1, 3], opset=11),
    "squeeze 13": single("Squeeze", (1, 4, 1), ints(-1)),
    "unsqueeze 11": single("Unsqueeze", (4,), axes=[1, 3], opset=11),
    "unsqueeze 13": single("Unsqueeze", (4,), ints(-1)),
    "slice 9": single("Slice", IMAGE, starts=[1, 0], ends=[9, -1], axes=[2, 3], opset=9),
    "slice": single("Slice", IMAGE, ints(-1, 4), ints(-100, 1), ints(2, 3), ints(-2, -1)),
    "split 11": single("Split", IMAGE, outputs=2, axis=3, split=[2, 4], opset=11),
    "split 13": single("Split", IMAGE, ints(1, 4), outputs=2, axis=2, opset=13),
    "split uneven": single("Split", IMAGE, outputs=3, axis=2, num_outputs=3),
    "gather one": single("Gather", IMAGE, np.int64(-1), axis=1),
    "gather reversed": single("Gather", IMAGE, ints(4, 2, 0), axis=2),
    "gather repeated": single("Gather", IMAGE, ints(0, 0, 3, 1), axis=3),
    "pad": single("Pad", IMAGE, ints(0, 0, 1, 0, 0, 0, 0, 2)),
    "pad value": single("Pad", IMAGE, ints(0, 1, 1, 0, 0, 0, 0, 2), np.float32(1.5)),
    "pad negative": single("Pad", IMAGE, ints(0, 0, -1, 1, 0, 0, 2, -2)),
    "pad axes": single("Pad", IMAGE, ints(1, 2), None, ints(-2)),
    "pad 10": single("Pad", IMAGE, pads=[0, 0, 1, 1, 0, 0, 0, 1], value=2.0, opset=10),
    "pad reflect": single("Pad", IMAGE, ints(0, 0, 2, 1, 0, 0, 1, 3), mode="reflect"),
    "pad edge": single("Pad", IMAGE, ints(0, 0, 2, 1, 0, 0, 0, 3), mode="edge"),
    "pad wrap": single("Pad", IMAGE, ints(0, 0, 0, 2, 0, 0, 0, 3), mode="wrap", opset=19),
    "add": single("Add", IMAGE, integers(2, 1, 1)),
    "add scalar": single("Add", IMAGE, np.float32(3)),
    "add larger": single("Add", (2, 1), integers(1, 2, 3)),
    "sub": single("Sub", IMAGE, integers(6)),
    "mul": single("Mul", IMAGE, integers(1, 2, 1, 6)),
    "div": single("Div", IMAGE, floats(2, 4, 0.5, 1, 8, 2)),
    "neg": single("Neg", IMAGE),
    "sum": single("Sum", IMAGE, integers(5, 6), integers(2, 1, 1)),
    "prelu": single("PRelu", IMAGE, floats(0.5, -2).reshape(2, 1, 1)),
    "leakyrelu": single("LeakyRelu", IMAGE, alpha=0.25),
    "clip": single("Clip", IMAGE, np.float32(0), np.float32(2)),
    "clip relu": single("Clip", IMAGE, np.float32(0)),
    "clip nothing": single("Clip", IMAGE),
    "clip 6": single("Clip", IMAGE, min=0.0, max=3.0, opset=8),
    "dropout": single("Dropout", IMAGE, np.float32(0.25), opset=13),
    "cast": single("Cast", IMAGE, to=1),
    "softmax": single("Identity", IMAGE),
    "upsample 7": single("Upsample", IMAGE, scales=[1.0, 1.0, 2.0, 3.0], mode="nearest", opset=7),
    "upsample 9": single("Upsample", IMAGE, floats(1, 1, 2, 2), mode="linear", opset=9),
    "resize 10": single("Resize", IMAGE, floats(1, 1, 2, 1), mode="nearest", opset=10),
    "resize sizes": single("Resize", IMAGE, None, None, ints(7, 9), axes=[2, 3], mode="linear"),
    "resize batch sizes": single("Resize", IMAGE, None, None, ints(1, 2, 10, 3), mode="linear", batch=1, opset=13),
    "resize 1.5": single("Resize", IMAGE, None, floats(1, 1, 1.5, 0.5), mode="linear"),
}
for corners in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"):
    CASES[f"resize linear {corners}"] = single(
        "Resize", IMAGE, None, floats(1, 1, 2.5, 0.75), mode="linear", coordinate_transformation_mode=corners, opset=19
    )
    for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        if corners != "align_corners":
            CASES[f"resize nearest {corners} {rounding}"] = single(
                "Resize",
                IMAGE,
                None,
                floats(1, 1, 2, 0.5),
                mode="nearest",
                nearest_mode=rounding,
                coordinate_transformation_mode=corners,
                opset=19,
            )


@pytest.mark.parametrize("name", CASES)
def test_operators_do_as_in_onnxruntime(name):
    model = CASES[name]
    graph = pg.from_onnx(model, relu6="exact", leaky_relu="exact")
    (shape,) = graph.input_shapes.values()
    x = integers(2, *shape, seed=1)
    expected = run_onnxruntime(model.SerializeToString(), x)
    for found, wanted, slack in zip(outputs_of(graph, x), expected, float_slack(graph, x), strict=True):
        assert found.size == wanted.size
        assert (np.abs(found.reshape(wanted.shape).astype(float) - wanted) <= slack.reshape(wanted.shape)).all()


@pytest.mark.parametrize("name", CASES)
def test_operators_are_written_back(name, tmp_path):
    graph = pg.from_onnx(CASES[name], relu6="exact", leaky_relu="exact")
    graph.to_onnx(tmp_path / "net.onnx")
    again = pg.from_onnx(tmp_path / "net.onnx")
    (shape,) = graph.input_shapes.values()
    x = integers(2, *shape, seed=1)
    expected = run_onnxruntime(tmp_path / "net.onnx", x)
    for found, same, wanted, slack in zip(
        outputs_of(graph, x), outputs_of(again, x), expected, float_slack(graph, x), strict=True
    ):
        assert (np.abs(found.astype(float) - wanted) <= slack).all()
        assert (np.abs(found.astype(float) - same) <= slack).all()
    if not any(layer.kind == "resize" for layer in graph.layers):
        assert again == graph
