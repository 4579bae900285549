"""Small ONNX files: of one operator, and in the manner of well-known architectures.

Weights are multiples of 1/4, so that sums are exact.
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper


class Model:
    """Nodes and weights of a file that is being made."""

    def __init__(self, *shape, opset=18, batch="N", name="x"):
        self.random = np.random.default_rng(sum(shape))
        self.opset = opset
        self.nodes, self.initializers, self.count = [], [], 0
        self.input = helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape])
        self.x = name

    def tensor(self, array, name=None):
        self.count += 1
        name = name or f"t{self.count}"
        self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weight(self, *shape, name=None):
        values = self.random.integers(-5, 6, size=shape) / 4
        return self.tensor(values.astype(np.float32), name)

    def __call__(self, operator, *inputs, outputs=1, **attributes):
        self.count += 1
        made = [f"{operator.lower()}{self.count}" + (f"_{i}" if outputs > 1 else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, made, name=f"n{self.count}", **attributes))
        return made[0] if outputs == 1 else made

    def conv(self, x, n_in, n_out, kernel=3, *, bias=True, group=1, **attributes):
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        attributes.setdefault("pads", [kernel[0] // 2, kernel[1] // 2] * 2)
        biases = [self.weight(n_out)] if bias else []
        weight = self.weight(n_out, n_in // group, *kernel)
        return self("Conv", x, weight, *biases, kernel_shape=list(kernel), group=group, **attributes)

    def batch_norm(self, x, channels):
        gamma, beta, mean = (self.weight(channels) for _ in range(3))
        var = self.tensor(self.random.choice([0.25, 1, 4], size=channels).astype(np.float32))
        return self("BatchNormalization", x, gamma, beta, mean, var, epsilon=0.0)

    def gemm(self, x, n_in, n_out):
        return self("Gemm", x, self.weight(n_out, n_in), self.weight(n_out), transB=1)

    def model(self, *outputs):
        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "fixture", [self.input], infos, self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)


def resnet():
    m = Model(2, 9, 9)
    x = m("Relu", m.batch_norm(m.conv(m.x, 2, 3, bias=False, strides=[2, 2]), 3))
    x = m("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    y = m("Relu", m.batch_norm(m.conv(x, 3, 3, bias=False), 3))
    x = m("Relu", m("Add", m.batch_norm(m.conv(y, 3, 3, bias=False), 3), x))
    y = m("Relu", m.batch_norm(m.conv(x, 3, 4, bias=False, strides=[2, 2]), 4))
    short = m.batch_norm(m.conv(x, 3, 4, 1, bias=False, strides=[2, 2]), 4)
    x = m("Relu", m("Add", m.batch_norm(m.conv(y, 4, 4, bias=False), 4), short))
    return m.model(m.gemm(m("Flatten", m("GlobalAveragePool", x)), 4, 3))


def vgg():
    m = Model(2, 8, 8, batch=1)
    x = m("Relu", m.conv(m.x, 2, 3))
    x = m("MaxPool", m("Relu", m.conv(x, 3, 3)), kernel_shape=[2, 2], strides=[2, 2])
    x = m("MaxPool", m("Relu", m.conv(x, 3, 4)), kernel_shape=[2, 2], strides=[2, 2])
    x = m("Reshape", x, m.tensor(np.array([1, 16])))
    x = m("Dropout", m("Relu", m.gemm(x, 16, 5)))
    return m.model(m.gemm(x, 5, 3))


def densenet():
    """With the batch-norms of older producers, whose scale and shift are nodes of their own."""
    m = Model(2, 6, 6)

    def normalized(x, channels):
        x = m.batch_norm(x, channels)
        axes = m.tensor(np.array([1, 2]))
        x = m("Mul", x, m("Unsqueeze", m.weight(channels), axes))
        return m("Relu", m("Add", x, m("Unsqueeze", m.weight(channels), axes)))

    x = m.conv(m.x, 2, 3)
    for channels in (3, 5):
        y = m.conv(m.conv(normalized(x, channels), channels, 4, 1, bias=False), 4, 2, bias=False)
        x = m("Concat", x, y, axis=1)
    x = m.conv(normalized(x, 7), 7, 3, 1, bias=False)
    x = m("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = m("ReduceMean", normalized(x, 3), m.tensor(np.array([2, 3])), keepdims=0)
    return m.model(m.gemm(x, 3, 2))


def squeezenet():
    m = Model(2, 13, 13, batch=1)
    x = m("Relu", m.conv(m.x, 2, 3, strides=[2, 2], pads=[0, 0, 0, 0]))
    for squeeze in (2, 3):
        x = m("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
        s = m("Relu", m.conv(x, 3 if squeeze == 2 else 4, squeeze, 1))
        x = m("Concat", m("Relu", m.conv(s, squeeze, 2, 1)), m("Relu", m.conv(s, squeeze, 2)), axis=1)
    x = m("Relu", m.conv(m("Dropout", x), 4, 3, 1))
    return m.model(m("Softmax", m("Reshape", m("GlobalAveragePool", x), m.tensor(np.array([0, -1]))), axis=1))


def googlenet():
    m = Model(2, 7, 7, batch=2)
    x = m("MaxPool", m("Relu", m.conv(m.x, 2, 3)), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    branches = [
        m("Relu", m.conv(x, 3, 2, 1)),
        m("Relu", m.conv(m("Relu", m.conv(x, 3, 2, 1)), 2, 2)),
        m("Relu", m.conv(m("Relu", m.conv(x, 3, 1, 1)), 1, 2, 5)),
        m("Relu", m.conv(m("MaxPool", x, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]), 3, 1, 1)),
    ]
    x = m("Concat", *branches, axis=1)
    x = m("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)
    return m.model(m.gemm(m("Flatten", x), 7 * 4, 2))


def inception():
    """With the re-normalisation of the input, channel by channel, and asymmetric convolutions."""
    m = Model(3, 5, 5)
    axis = m.tensor(np.array([1]))
    channels = []
    for c in range(3):
        channel = m("Unsqueeze", m("Gather", m.x, m.tensor(np.array(c)), axis=1), axis)
        scaled = m("Mul", channel, m.tensor(np.float32(0.5 + c)))
        channels.append(m("Add", scaled, m.tensor(np.float32(c - 0.75))))
    x = m("Relu", m.batch_norm(m.conv(m("Concat", *channels, axis=1), 3, 3, bias=False), 3))
    row = m("Relu", m.conv(x, 3, 2, (1, 3)))
    column = m("Relu", m.conv(x, 3, 2, (3, 1)))
    mean = m("AveragePool", x, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1], count_include_pad=1)
    x = m("Concat", row, column, m("Relu", m.conv(mean, 3, 2, 1)), axis=1)
    x = m("ReduceMean", x, m.tensor(np.array([2, 3])), keepdims=1)
    return m.model(m.gemm(m("Squeeze", x, m.tensor(np.array([2, 3]))), 6, 2))


def unet():
    m = Model(1, 8, 8)
    one = m("Relu", m.conv(m.x, 1, 2))
    two = m("Relu", m.conv(m("MaxPool", one, kernel_shape=[2, 2], strides=[2, 2]), 2, 3))
    deep = m("Relu", m.conv(m("MaxPool", two, kernel_shape=[2, 2], strides=[2, 2]), 3, 3))
    up = m("ConvTranspose", deep, m.weight(3, 2, 2, 2), m.weight(2), strides=[2, 2], kernel_shape=[2, 2])
    x = m("Relu", m.conv(m("Concat", up, two, axis=1), 5, 2))
    scales = m.tensor(np.array([1, 1, 2, 2], dtype=np.float32))
    up = m("Resize", x, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    return m.model(m.conv(m("Concat", up, one, axis=1), 4, 2, 1))


def mobilenet():
    """Inverted residuals with ReLU6."""
    m = Model(2, 5, 5)
    low, high = m.tensor(np.float32(0)), m.tensor(np.float32(6))
    x = m("Clip", m.batch_norm(m.conv(m.x, 2, 3, bias=False, strides=[2, 2]), 3), low, high)
    y = m("Clip", m.conv(x, 3, 6, 1), low, high)
    y = m("Clip", m.conv(y, 6, 6, group=6), low, high)
    x = m("Add", x, m.conv(y, 6, 3, 1))
    return m.model(m.gemm(m("Flatten", m("GlobalAveragePool", x)), 3, 2))


def shufflenet():
    """Groups, a shuffle of channels, halves of the channels, and a reshape by the batch of the input."""
    m = Model(4, 4, 4)
    x = m("Relu", m.conv(m.x, 4, 4, 1, group=2))
    x = m("Reshape", x, m.tensor(np.array([-1, 2, 2, 4, 4])))
    x = m("Reshape", m("Transpose", x, perm=[0, 2, 1, 3, 4]), m.tensor(np.array([-1, 4, 4, 4])))
    left, right = m("Split", x, outputs=2, axis=1, num_outputs=2)
    x = m("Concat", left, m("Relu", m.conv(right, 2, 2, group=2, strides=[1, 1])), axis=1)
    n = m("Unsqueeze", m("Gather", m("Shape", m.x), m.tensor(np.array(0)), axis=0), m.tensor(np.array([0])))
    x = m("Reshape", x, m("Concat", n, m.tensor(np.array([64])), axis=0))
    return m.model(m.gemm(x, 64, 2))


def perceptron():
    """An older producer: normalised input, MatMul and Add, an aliased weight, a difference of two branches."""
    m = Model(4, opset=8, name="input")
    x = m("Div", m("Sub", m.x, m.weight(4, name="mean")), m.tensor(np.float32([2, 0.5, 4, 1])))
    x = m("Relu", m("Add", m("MatMul", x, m.weight(4, 3, name="first")), m.weight(3, name="first.bias")))
    shared = m.weight(3, 3, name="shared")
    alias = m("Identity", shared)
    a = m("Relu", m("MatMul", x, shared))
    b = m("Relu", m("MatMul", a, alias))
    return m.model(m("Sub", a, b), m.gemm(b, 3, 1))


FIXTURES = {
    function.__name__: function
    for function in (
        resnet,
        vgg,
        densenet,
        squeezenet,
        googlenet,
        inception,
        unet,
        mobilenet,
        shufflenet,
        perceptron,
    )
}


# -- one operator -----------------------------------------------------------------------------------------------------


def single(operator, shape, *tensors, opset=18, outputs=1, batch="N", **attributes):
    """A file with one node on the input, the other operands being constants."""
    m = Model(*shape, opset=opset, batch=batch)
    operands = ["" if t is None else m.tensor(np.asarray(t)) for t in tensors]
    found = m(operator, m.x, *operands, outputs=outputs, **attributes)
    return m.model(*([found] if outputs == 1 else found))


def integers(*shape, seed=0):
    return np.random.default_rng(seed).integers(-4, 5, size=shape).astype(np.float32)


def floats(*values):
    return np.array(values, dtype=np.float32)


def ints(*values):
    return np.array(values, dtype=np.int64)
