"""Which ONNX operators multiply by weights: Gemm, MatMul, Conv, ConvTranspose and BatchNormalization.

The weights are constants of the file, and keep their names. A constant that is added to the result right afterwards,
and to nothing else, is its bias (older producers write MatMul and Add). Where an operator uses the numbers in another
way than they stand in the file (transposed for MatMul, times alpha for Gemm), a note says so.

Source: the ONNX operator specifications; SAME padding and the padding of ConvTranspose as onnxruntime has them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pathgraph.errors import FileFormatError
from pathgraph.io.onnx_file import Node
from pathgraph.io.onnx_reading import Reading, activation, constant, narrow, operator
from pathgraph.io.onnx_values import Activation, Constant, Value
from pathgraph.io.refusals import Refused
from pathgraph.layers import TensorHandle
from pathgraph.scalars import Array

__all__ = ["padding_of", "sizes_of"]


LONGEST_CONVOLUTION = 2**26


def sizes_of(node: Node, name: str, n: int, default: int = 1, *, least: int = 1) -> tuple[int, ...]:
    """An attribute with one integer per spatial axis."""
    sizes = node.attributes.read(name, "ints")
    if sizes is None:
        return (default,) * n
    if len(sizes) != n or any(not least <= s < 2**31 for s in sizes):
        raise FileFormatError(f"{node}: needed {n} integers >= {least} as {name}, got {sizes}")
    return tuple(sizes)


def padding_of(
    node: Node, space: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """Pairs (before, after), from `pads` or `auto_pad`."""
    n = len(space)
    mode = auto_pad(node)
    pads = sizes_of(node, "pads", 2 * n, 0, least=-(2**31))
    if mode == "NOTSET":
        return tuple(zip(pads[:n], pads[n:], strict=True))
    if any(pads):
        raise Refused(f"pads {list(pads)} beside auto_pad {mode}; only one of them may be there")
    if mode == "VALID":
        return ((0, 0),) * n
    pairs = []
    for size, k, s, d in zip(space, kernel, stride, dilation, strict=True):
        total = max(0, (-(-size // s) - 1) * s + d * (k - 1) + 1 - size)
        small = total // 2
        pairs.append((small, total - small) if mode == "SAME_UPPER" else (total - small, small))
    return tuple(pairs)


def auto_pad(node: Node) -> str:
    """The attribute auto_pad."""
    mode = node.attributes.read("auto_pad", "string", "NOTSET") or "NOTSET"
    if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise FileFormatError(f"{node}: needed NOTSET, VALID, SAME_UPPER or SAME_LOWER as auto_pad, got {mode!r}")
    return str(mode)


def _kernel(node: Node, weight: Constant, x: Activation) -> tuple[int, ...]:
    """The spatial sizes of a weight, which the attribute kernel_shape repeats."""
    if weight.array.ndim != len(x.shape) or not 3 <= len(x.shape) <= 5:
        raise FileFormatError(
            f"{node}: needed input and weight with the same number of axes, 3 to 5, got {x.shape} and "
            f"{weight.array.shape}"
        )
    kernel = weight.array.shape[2:]
    if sizes_of(node, "kernel_shape", len(kernel), 0, least=0) not in (kernel, (0,) * len(kernel)):
        raise FileFormatError(f"{node}: kernel_shape differs from the weight's shape {weight.array.shape}")
    if 0 in weight.array.shape:
        raise FileFormatError(f"{node}: needed a weight with entries, got shape {weight.array.shape}")
    return tuple(kernel)


@operator("Conv")
def convolution(ctx: Reading, node: Node, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """A convolution with a constant weight."""
    x = ctx.channels_first(x)
    w = constant(weight, "the weight")
    kernel = _kernel(node, w, x)
    n = len(kernel)
    stride, dilation = sizes_of(node, "strides", n), sizes_of(node, "dilations", n)
    padding = padding_of(node, x.shape[2:], kernel, stride, dilation)
    groups = node.attributes.read("group", "int", 1)
    spans = zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    space = [(size + sum(p) - d * (k - 1) - 1) // s + 1 for size, k, s, p, d in spans]
    if min(space) < 1:
        raise FileFormatError(f"{node}: its windows do not fit into the input {x.shape}")
    ctx.require_short(*(count * k for count, k in zip(space, kernel, strict=True)), most=LONGEST_CONVOLUTION)
    ctx.reserve((w.array.shape[0], *space))
    handle = ctx.tensor(w, w.array, "parameter", w.layout)
    offset = _bias(ctx, node, bias, w.array.shape[0], len(x.shape), 1)
    y = ctx.build.convolution(
        x.signal,
        handle,
        offset,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        name=ctx.name(node),
    )
    return ctx.made(y, x)


@operator("ConvTranspose")
def transposed_convolution(ctx: Reading, node: Node, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """A transposed convolution with a constant weight."""
    x = ctx.channels_first(x)
    w = constant(weight, "the weight")
    kernel = _kernel(node, w, x)
    n = len(kernel)
    groups = node.attributes.read("group", "int", 1)
    if groups < 1 or groups > x.shape[1]:
        raise FileFormatError(f"{node}: needed a number of groups from 1 to {x.shape[1]}, got {groups}")
    stride, dilation = sizes_of(node, "strides", n), sizes_of(node, "dilations", n)
    extra = sizes_of(node, "output_padding", n, 0, least=0)
    padding = _transposed_padding(node, x.shape[2:], kernel, stride, dilation, extra)
    spans = zip(x.shape[2:], kernel, stride, padding, dilation, extra, strict=True)
    space = [(size - 1) * s - sum(p) + d * (k - 1) + 1 + e for size, k, s, p, d, e in spans]
    if min(space) < 1:
        raise FileFormatError(f"{node}: nothing of its output is left by the padding {padding}")
    channels = w.array.shape[1] * groups
    ctx.require_short(*(count * k for count, k in zip(space, kernel, strict=True)), most=LONGEST_CONVOLUTION)
    ctx.reserve((channels, *space))
    handle = ctx.tensor(w, w.array, "parameter", w.layout)
    offset = _bias(ctx, node, bias, channels, len(x.shape), 1)
    y = ctx.build.transposed_convolution(
        x.signal,
        handle,
        offset,
        stride=stride,
        padding=padding,
        output_padding=extra,
        dilation=dilation,
        groups=groups,
        name=ctx.name(node),
    )
    return ctx.made(y, x)


def _transposed_padding(
    node: Node,
    space: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    extra: tuple[int, ...],
) -> tuple[tuple[int, int], ...]:
    """What is cropped from each end: from `pads`, or so that the output has the wanted size."""
    n, mode = len(space), auto_pad(node)
    wanted = node.attributes.read("output_shape", "ints")
    pads = sizes_of(node, "pads", 2 * n, 0, least=-(2**31))
    if wanted is None:
        if mode == "NOTSET":
            return tuple(zip(pads[:n], pads[n:], strict=True))
        if mode == "VALID":
            return ((0, 0),) * n
        wanted = [size * s for size, s in zip(space, stride, strict=True)]
    wanted = wanted[-n:]
    if len(wanted) != n:
        raise FileFormatError(f"{node}: needed {n} sizes as output_shape, got {wanted}")
    pairs = []
    for size, k, s, d, e, w in zip(space, kernel, stride, dilation, extra, wanted, strict=True):
        total = (size - 1) * s + e + d * (k - 1) + 1 - w
        if total < 0:
            raise Refused(f"output_shape {wanted} is larger than what the input covers; use output_padding")
        small = total // 2
        pairs.append((small, total - small) if mode == "SAME_UPPER" else (total - small, small))
    return tuple(pairs)


def _bias(ctx: Reading, node: Node, bias: Value | None, size: int, rank: int, axis: int) -> TensorHandle | None:
    """The bias of a layer with `size` channels on an axis of its output: given, or added by the only next node."""
    if bias is None:
        return _added_bias(ctx, node, size, rank, axis)
    given = constant(bias, "the bias")
    if given.array.shape != (size,):
        raise FileFormatError(f"{node}: needed a bias of shape ({size},), got {given.array.shape}")
    return ctx.tensor(given, given.array, "parameter", given.layout)


def _added_bias(ctx: Reading, node: Node, size: int, rank: int, axis: int) -> TensorHandle | None:
    """The constant that the only reader of the node adds to it, if it is one number per channel."""
    output = node.outputs[0]
    if ctx.uses[output] != 1 or not ctx.readers.get(output):
        return None
    (reader,) = ctx.readers[output]
    if reader.operator != "Add" or len(reader.inputs) != 2 or "broadcast" in reader.attributes:
        return None
    (other,) = [name for name in reader.inputs if name != output] or [""]
    value = ctx.values.get(other)
    if not isinstance(value, Constant) or value.array.ndim > rank or value.array.dtype.kind != "f":
        return None
    shape = (1,) * (rank - value.array.ndim) + value.array.shape
    if shape[axis] != size or math.prod(shape) != size or value.knows_batch:
        return None
    ctx.fused[reader.outputs[0]] = output
    return ctx.tensor(value, value.array.reshape(size), "parameter", value.layout)


@operator("MatMul")
def matrix_product(ctx: Reading, node: Node, a: Value, b: Value) -> Value:
    """The product with a constant matrix on either side."""
    if isinstance(a, Activation) and isinstance(b, Activation):
        raise Refused("it multiplies two activations, which no ReLU network does")
    on_right = isinstance(a, Activation)
    x, w = (activation(a), constant(b, "the weight")) if on_right else (activation(b), constant(a, "the weight"))
    matrix = w.array
    if matrix.ndim > 2 and math.prod(matrix.shape[:-2]) == 1 and matrix.ndim <= len(x.shape):
        matrix = matrix.reshape(matrix.shape[-2:])
    if matrix.ndim != 2 or not x.shape:
        raise Refused(f"needed a constant matrix, got one of shape {w.array.shape}; stacks of matrices are not read")
    if on_right:
        return _on_last_axis(ctx, node, x, w, matrix.T, (*w.layout, "T"))
    if len(x.shape) < 2:
        return _on_last_axis(ctx, node, x, w, matrix, w.layout)
    return _swapped(ctx, _on_last_axis(ctx, node, _swapped(ctx, x), w, matrix, w.layout, takes_bias=False))


def _swapped(ctx: Reading, x: Activation) -> Activation:
    """The last two axes exchanged."""
    order = list(range(len(x.shape)))
    order[-2:] = order[-1], order[-2]
    return transposed(ctx, x, order)


def transposed(ctx: Reading, x: Activation, order: list[int], name: str | None = None) -> Activation:
    """The axes in another order; the batch axis moves along, and costs nothing."""
    shape = tuple(x.shape[a] for a in order)
    batch = None if x.batch is None else order.index(x.batch)
    axes = [a - (x.batch is not None and a > x.batch) for a in order if a != x.batch]
    signal = x.signal if axes == sorted(axes) and name is None else ctx.build.transpose(x.signal, axes, name=name)
    return Activation(signal, shape, batch)


def _on_last_axis(
    ctx: Reading,
    node: Node,
    x: Activation,
    w: Constant,
    matrix: Array,
    key: tuple[Any, ...],
    *,
    takes_bias: bool = True,
) -> Activation:
    """A matrix of shape (n_out, n_in) on the last axis, and the bias that follows."""
    x.axis(-1, "the axis that is summed,")
    if matrix.shape[1] != x.shape[-1]:
        raise FileFormatError(f"{node}: a matrix for {matrix.shape[1]} numbers meets an axis of {x.shape[-1]}")
    n_out = matrix.shape[0]
    ctx.reserve((*x.sample[:-1], n_out))
    bias = _added_bias(ctx, node, n_out, len(x.shape), len(x.shape) - 1) if takes_bias else None
    return ctx.made(ctx.build.linear(x.signal, ctx.tensor(w, matrix, "parameter", key), bias, name=ctx.name(node)), x)


@operator("Gemm")
def general_product(ctx: Reading, node: Node, a: Value, b: Value, c: Value | None = None) -> Value:
    """Alpha A B + beta C, with one of A and B constant."""
    alpha, beta = (node.attributes.read(name, "float", 1.0) for name in ("alpha", "beta"))
    flips = [bool(node.attributes.read(name, "int", 0)) for name in ("transA", "transB")]
    node.attributes.ignore("broadcast")
    if isinstance(a, Activation) and isinstance(b, Activation):
        raise Refused("it multiplies two activations, which no ReLU network does")
    on_right = isinstance(a, Activation)
    x, w = (activation(a), constant(b, "the weight")) if on_right else (activation(b), constant(a, "the weight"))
    if len(x.shape) != 2 or w.array.ndim != 2:
        raise FileFormatError(f"{node}: needed two matrices, got shapes {x.shape} and {w.array.shape}")
    flip_x, flip_w = flips if on_right else flips[::-1]
    if on_right == flip_x:  # the axis that is summed is to be the last
        x = transposed(ctx, x, [1, 0])
    is_turned = on_right != flip_w  # the stored matrix is (n_in, n_out)
    matrix, key = (w.array.T, (*w.layout, "T")) if is_turned else (w.array, w.layout)
    if alpha != 1:
        _require_finite(node, "alpha", alpha)
        ctx.note(f"the weight is stored times alpha = {alpha:g}", node)
        ctx.require_numbers(w)
        matrix, key = narrow(matrix.astype(np.float64) * alpha), (*key, alpha)
    x.axis(-1, "the axis that is summed,")
    if matrix.shape[1] != x.shape[-1]:
        raise FileFormatError(f"{node}: a matrix for {matrix.shape[1]} numbers meets an axis of {x.shape[-1]}")
    ctx.reserve((*x.sample[:-1], matrix.shape[0]))
    handle = ctx.tensor(w, matrix, "parameter", key)
    bias = _gemm_bias(ctx, node, c, beta, matrix.shape[0]) if on_right else None
    is_open = bias is None and c is not None and beta != 0
    y = ctx.made(ctx.build.linear(x.signal, handle, bias, name=ctx.name(node)), x)
    if not on_right:
        y = transposed(ctx, y, [1, 0])
    return _plus(ctx, node, y, c, beta) if is_open else y


def _gemm_bias(ctx: Reading, node: Node, c: Value | None, beta: float, size: int) -> TensorHandle | None:
    """C as the bias of a layer, if it is a constant with one number per output."""
    if not isinstance(c, Constant) or beta == 0 or c.array.shape not in ((size,), (1, size)):
        return None
    array: Array = c.array.reshape(size)
    key: tuple[Any, ...] = c.layout
    if beta != 1:
        _require_finite(node, "beta", beta)
        ctx.note(f"the bias is stored times beta = {beta:g}", node)
        ctx.require_numbers(c)
        array, key = narrow(array.astype(np.float64) * beta), (*key, beta)
    return ctx.tensor(c, array, "parameter", key)


def _plus(ctx: Reading, node: Node, y: Activation, c: Value | None, beta: float) -> Activation:
    """What Gemm adds where that is no bias."""
    from pathgraph.io.onnx_arithmetic import added, scaled_by

    assert c is not None
    if beta != 1:
        if isinstance(c, Activation):
            c = scaled_by(ctx, c, ctx.own_tensor(f"{ctx.name(node, '.beta')}", [beta]), ctx.name(node, ".scaled"))
        else:
            c = c.viewed(narrow(c.array.astype(np.float64) * beta))
    return added(ctx, node, [y, c], [1, 1], suffix=".sum")


def _require_finite(node: Node, name: str, value: float) -> None:
    if not math.isfinite(value):
        raise FileFormatError(f"{node}: needed a finite {name}, got {value}")


@operator("BatchNormalization")
def batch_norm(ctx: Reading, node: Node, x: Value, gamma: Value, beta: Value, mean: Value, var: Value) -> Value:
    """A batch-norm at inference: frozen scale and shift."""
    epsilon = node.attributes.read("epsilon", "float", float(np.float32(1e-5)))
    node.attributes.ignore("momentum")
    if ctx.opset < 7 and not node.attributes.read("is_test", "int", 0):
        ctx.note("in training mode (is_test=0), and imported as it is at inference", node)
    if node.attributes.read("training_mode", "int", 0):
        raise Refused("it is in training mode, where the statistics are those of the batch; export in eval mode")
    if node.attributes.read("spatial", "int", 1) != 1:
        raise Refused("spatial=0, a normalisation of every entry by its own statistics, is not read")
    if any(ctx.uses[name] for name in node.outputs[1:] if name):
        raise Refused("its statistics are used as outputs; export in eval mode")
    x = ctx.channels_first(x)
    names = ("scale", "B", "mean", "var")
    found = [constant(v, f"{node}: {n}") for n, v in zip(names, (gamma, beta, mean, var), strict=True)]
    for name, value in zip(names, found, strict=True):
        ctx.require_numbers(value)
        if value.array.shape != (x.shape[1],):
            raise FileFormatError(f"{node}: needed {name} of shape ({x.shape[1]},), got {value.array.shape}")
    g, b, m, v = (value.array.astype(np.float64) for value in found)
    if not math.isfinite(epsilon) or (v + epsilon <= 0).any():
        raise FileFormatError(f"{node}: needed var + epsilon > 0, got {(v + epsilon).min()}")
    layer = ctx.name(node)
    ctx.reserve(x.sample)
    if (m == 0).all() and (v + epsilon == 1).all():  # the numbers are those of the file
        scale = ctx.tensor(found[0], found[0].array, "frozen", found[0].layout)
        is_absent = ctx.roles.get(found[1].origin) == "absent"
        shift = None if is_absent else ctx.tensor(found[1], found[1].array, "frozen", found[1].layout)
    else:
        factor = g / np.sqrt(v + epsilon)
        scale, shift = ctx.own_tensor(f"{layer}.scale", factor), ctx.own_tensor(f"{layer}.shift", b - m * factor)
    return ctx.made(ctx.build.batch_norm(x.signal, scale, shift, name=layer), x)
