"""Models that the tests of ``python -m pathgraph`` analyse, quick settings, and a reader of its pages."""

import html.parser
from itertools import pairwise

import numpy as np
import pytest

import pathgraph as pg
from pathgraph.analysis.certificates import Settings

QUICK = Settings(trials=4, shares=(0.5,), bits=(4,), formats=("bf16",), samples=1000)


def perceptron(widths=(6, 8, 7, 3), seed=0):
    rng = np.random.default_rng(seed)
    pairs = list(pairwise(widths))
    return pg.from_weights([rng.normal(size=(n, m)) for m, n in pairs], [rng.normal(size=n) for _, n in pairs])


def onnx_file(path, activation="Relu", batch="N", size=6):
    """A convolution, an activation, a max-pool and a linear map."""
    onnx = pytest.importorskip("onnx")
    helper, array = onnx.helper, onnx.numpy_helper.from_array
    rng = np.random.default_rng(0)
    tensors = {"w": (3, 2, 3, 3), "b": (3,), "v": (4, 3 * 3 * 3), "c": (4,)}
    values = [array(rng.normal(size=shape).astype(np.float32), name) for name, shape in tensors.items()]
    extra = {"Clip": ["low", "high"]}.get(activation, [])
    values += [array(np.array(value, dtype=np.float32), name) for name, value in zip(extra, (0, 6), strict=False)]
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["z"], pads=[1, 1, 1, 1], name="conv"),
        helper.make_node(activation, ["z", *extra], ["a"], name="act"),
        helper.make_node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "v", "c"], ["y"], transB=1, name="fc"),
        helper.make_node("Softmax", ["y"], ["s"], name="softmax"),
    ]
    x = helper.make_tensor_value_info("x", 1, [batch, 2, size, size])
    y = helper.make_tensor_value_info("s", 1, [batch, 4])
    graph = helper.make_graph(nodes, "g", [x], [y], values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return str(path)


class Page(html.parser.HTMLParser):
    """The tags of a page, checked for balance; links, ids and what is loaded."""

    VOID = frozenset({"meta", "br", "link", "img", "hr", "wbr"})

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.ids, self.targets, self.loaded = [], [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.note(tag, attributes)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.note(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def note(self, tag, attributes):
        self.seen.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "xlink:href"):
                (self.targets if value.startswith("#") else self.loaded).append(value)
            if name == "src":
                self.loaded.append(value)
