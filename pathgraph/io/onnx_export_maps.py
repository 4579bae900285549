"""How are layers with tensors, sums, activations and views written as ONNX nodes?

Source: the ONNX operator specifications, operator set 18.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.io.onnx_writers import reshaped, writes
from pathgraph.io.refusals import Unwritable
from pathgraph.layers.operations import (
    Convolution,
    Linear,
    TransposedConvolution,
    TransposedLinear,
)

if TYPE_CHECKING:
    from pathgraph.io.onnx_export import Writer
    from pathgraph.layers import Layer

# -- weights ------------------------------------------------------------------------------------------------------


def _entries(file: Writer, place: int, shape: tuple[int, ...], layer: Layer, default: str = "parameter") -> str:
    """A tensor in the shape in which a layer reads it: one that is read in two ways has a shape of its own."""
    name, stored = file.tensor(place, default), file.graph.architecture.tensor_shapes[place]
    if stored == shape:
        return name
    wanted = file.fixed(np.array(shape, dtype=np.int64), layer.name, f"shape{place}")
    return file.helper_node("Reshape", [name, wanted], layer.name, f"entries{place}")


def _bias(file: Writer, layer: Layer) -> list[str]:
    if layer.bias is None:
        return []
    operation, place = layer.bias
    return [_entries(file, place, (math.prod(operation.factor_shape),), layer)]


@writes("linear", "transposed_linear")
def _linear(file: Writer, layer: Layer, output: str) -> None:
    (operation,) = layer.operations
    assert isinstance(operation, (Linear, TransposedLinear))
    is_turned = isinstance(operation, TransposedLinear)
    x, weight = file.value(layer.sources[0]), _entries(file, layer.tensors[0], operation.tensor_shape, layer)
    if not operation.lead:
        file.node("Gemm", [x, weight, *_bias(file, layer)], output, layer.name, transB=int(not is_turned))
        return
    turned = weight if is_turned else file.helper_node("Transpose", [weight], layer.name, "weight", perm=[1, 0])
    if layer.bias is None:
        file.node("MatMul", [x, turned], output, layer.name)
        return
    product = file.node("MatMul", [x, turned], file.fresh(f"{layer.name}:product"), layer.name)
    file.node("Add", [product, *_bias(file, layer)], output, file.fresh(f"{layer.name}:bias"))


def _windowed(operation: Convolution | TransposedConvolution) -> dict[str, Any]:
    pads = operation.padding
    if any(p < 0 for pair in pads for p in pair):
        raise Unwritable(f"its padding {pads} cuts the input, which Conv does not")
    return {
        "kernel_shape": list(operation.kernel),
        "strides": list(operation.stride),
        "dilations": list(operation.dilation),
        "pads": [before for before, _ in pads] + [after for _, after in pads],
        "group": operation.groups,
    }


@writes("convolution")
def _convolution(file: Writer, layer: Layer, output: str) -> None:
    (operation,) = layer.operations
    assert isinstance(operation, Convolution)
    weight = _entries(file, layer.tensors[0], operation.tensor_shape, layer)
    inputs = [file.value(layer.sources[0]), weight, *_bias(file, layer)]
    file.node("Conv", inputs, output, layer.name, **_windowed(operation))


@writes("transposed_convolution")
def _transposed_convolution(file: Writer, layer: Layer, output: str) -> None:
    (operation,) = layer.operations
    assert isinstance(operation, TransposedConvolution)
    weight = _entries(file, layer.tensors[0], operation.tensor_shape, layer)
    inputs = [file.value(layer.sources[0]), weight, *_bias(file, layer)]
    extra = list(operation.output_padding)
    file.node("ConvTranspose", inputs, output, layer.name, output_padding=extra, **_windowed(operation))


def _broadcast(file: Writer, place: int, shape: tuple[int, ...], layer: Layer) -> str:
    """A tensor that broadcasts: missing leading axes are of size 1."""
    stored = file.graph.architecture.tensor_shapes[place]
    if (1,) * (len(shape) - len(stored)) + stored == shape:
        return file.tensor(place, "frozen")
    return _entries(file, place, shape, layer, "frozen")


@writes("scale")
def _scale(file: Writer, layer: Layer, output: str) -> None:
    factor = _broadcast(file, layer.tensors[0], layer.operations[0].tensor_shape, layer)
    file.node("Mul", [file.value(layer.sources[0]), factor], output, layer.name)


@writes("shift")
def _shift(file: Writer, layer: Layer, output: str) -> None:
    """By Sum: an Add after a convolution would be read as its bias."""
    assert layer.bias is not None
    offset = _broadcast(file, layer.bias[1], layer.bias[0].factor_shape, layer)
    file.node("Sum", [file.value(layer.sources[0]), offset], output, layer.name)


@writes("batch_norm")
def _batch_norm(file: Writer, layer: Layer, output: str) -> None:
    channels = layer.shape[0]
    scale = _entries(file, layer.tensors[0], (channels,), layer, "frozen")
    if layer.bias is None:
        shift = file.fixed(np.zeros(channels, file.dtype), layer.name, "shift", doc="role: absent")
    else:
        shift = _entries(file, layer.bias[1], (channels,), layer, "frozen")
    mean = file.fixed(np.zeros(channels, file.dtype), layer.name, "mean")
    var = file.fixed(np.ones(channels, file.dtype), layer.name, "var")
    inputs = [file.value(layer.sources[0]), scale, shift, mean, var]
    file.node("BatchNormalization", inputs, output, layer.name, epsilon=0.0)


@writes("constant")
def _constant(file: Writer, layer: Layer, output: str) -> None:
    """Repeated for every sample."""
    assert layer.bias is not None
    shape = file.fixed(np.array(layer.shape, dtype=np.int64), layer.name, "shape")
    full = file.helper_node("Concat", [file.batch(), shape], layer.name, "batch_shape", axis=0)
    file.node("Expand", [_broadcast(file, layer.bias[1], layer.shape, layer), full], output, layer.name)


# -- sums and activations -----------------------------------------------------------------------------------------


@writes("add")
def _add(file: Writer, layer: Layer, output: str) -> None:
    rank, signs = len(layer.shape), layer.options["signs"]
    terms = []
    for place, source in enumerate(layer.sources):
        x, shape = file.value(source), file.shape(source)
        if len(shape) < rank:  # the batch axes have to meet
            x = reshaped(file, x, (1,) * (rank - len(shape)) + shape, layer.name, f"term{place}")
        terms.append(x)
    if signs == (1,):
        file.node("Identity", terms, output, layer.name, doc="copy")
    elif signs == (-1,):
        file.node("Neg", terms, output, layer.name)
    elif signs == (1, -1):
        file.node("Sub", terms, output, layer.name)
    else:
        terms = [
            x if sign > 0 else file.helper_node("Neg", [x], layer.name, f"minus{place}")
            for place, (x, sign) in enumerate(zip(terms, signs, strict=True))
        ]
        file.node("Add" if len(terms) == 2 else "Sum", terms, output, layer.name)


@writes("copy")
def _copy(file: Writer, layer: Layer, output: str) -> None:
    file.node("Identity", [file.value(layer.sources[0])], output, layer.name, doc="copy")


@writes("relu")
def _relu(file: Writer, layer: Layer, output: str) -> None:
    file.node("Relu", [file.value(layer.sources[0])], output, layer.name)


# -- views --------------------------------------------------------------------------------------------------------


@writes("reshape")
def _reshape(file: Writer, layer: Layer, output: str) -> None:
    shape = file.fixed(np.array([-1, *layer.shape], dtype=np.int64), layer.name, "shape")
    file.node("Reshape", [file.value(layer.sources[0]), shape], output, layer.name)


@writes("transpose")
def _transpose(file: Writer, layer: Layer, output: str) -> None:
    assert layer.view is not None
    order = [0, *(axis + 1 for axis in layer.view.argument)]
    file.node("Transpose", [file.value(layer.sources[0])], output, layer.name, perm=order)


@writes("concatenate")
def _concatenate(file: Writer, layer: Layer, output: str) -> None:
    assert layer.view is not None
    sources = [file.value(source) for source in layer.sources]
    file.node("Concat", sources, output, layer.name, axis=layer.view.argument + 1)


@writes("take")
def _take(file: Writer, layer: Layer, output: str) -> None:
    """Slices, and a reshape where axes came or went."""
    assert layer.view is not None
    shape = file.shape(layer.sources[0])
    items = [item for item in layer.view.argument if item is not None and item is not Ellipsis]
    if items and isinstance(items[-1], int) and set(map(str, layer.view.argument[:-1])) <= {str(slice(None))}:
        place = file.fixed(np.array(items[-1], dtype=np.int64), layer.name, "index")
        file.node("Gather", [file.value(layer.sources[0]), place], output, layer.name, axis=len(items))
        return
    cut: list[tuple[int, int, int, int]] = []
    for axis, item in enumerate(items):
        low, high, step = (
            item.indices(shape[axis]) if isinstance(item, slice) else (item % shape[axis], item % shape[axis] + 1, 1)
        )
        if (low, high, step) != (0, shape[axis], 1):
            cut.append((low, high if high >= 0 else -shape[axis] - 1, axis + 1, step))
    inputs = [
        file.fixed(np.array([c[i] for c in cut], dtype=np.int64), layer.name, what)
        for i, what in enumerate(("starts", "ends", "axes", "steps"))
    ]
    sliced_shape = tuple(
        len(range(*item.indices(n))) if isinstance(item, slice) else 1
        for item, n in zip([*items, *[slice(None)] * (len(shape) - len(items))], shape, strict=True)
    )
    x = file.value(layer.sources[0])
    if sliced_shape == layer.shape:
        file.node("Slice", [x, *inputs], output, layer.name)
        return
    part = file.node("Slice", [x, *inputs], file.fresh(f"{layer.name}:part"), layer.name)
    target = file.fixed(np.array([-1, *layer.shape], dtype=np.int64), layer.name, "shape")
    file.node("Reshape", [part, target], output, file.fresh(f"{layer.name}:reshape"))
