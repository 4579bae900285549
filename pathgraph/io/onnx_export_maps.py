"""How is each kind of layer written as ONNX nodes?

A writer gets the file on its way, a layer, and the name of the tensor to make. The node that stands for the layer has
the layer's name; what it needs besides has names that begin with it.

Source: the ONNX operator specifications, operator set 18.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.io.onnx_selection import write_selection
from pathgraph.layers.operations import (
    Convolution,
    FixedLinear,
    Linear,
    Separable,
    TransposedConvolution,
    TransposedLinear,
)
from pathgraph.layers.windows import identity_axis

if TYPE_CHECKING:
    from pathgraph.io.onnx_export import Writer
    from pathgraph.layers import Layer
    from pathgraph.layers.axes import WeightedAxis
    from pathgraph.scalars import Array

__all__ = ["LAYER_WRITERS", "LayerWriter", "Unwritable"]

LayerWriter = Callable[["Writer", "Layer", str], Any]
LAYER_WRITERS: dict[str, LayerWriter] = {}
LARGEST_MATRIX = 2**24


class Unwritable(Exception):
    """A layer without ONNX operator, and why."""


def writes(*kinds: str) -> Callable[[LayerWriter], LayerWriter]:
    """Register what writes the layers of these kinds."""

    def register(writer: LayerWriter) -> LayerWriter:
        for kind in kinds:
            LAYER_WRITERS[kind] = writer
        return writer

    return register


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


# -- pools and fixed maps -----------------------------------------------------------------------------------------


def _rounds_up(layer: Layer, space: Sequence[int]) -> int:
    """Whether sizes have to be rounded up: not where the windows are those of rounding down.

    A last window that would start beyond the end is dropped here, and by onnxruntime only in some of its parts.
    """
    options, n = layer.options, len(space)
    dilation = options.get("dilation", (1,) * n)
    rooms = [
        size + sum(pads) - d * (k - 1) - 1
        for size, pads, d, k in zip(space, options["padding"], dilation, options["kernel"], strict=True)
    ]
    down = tuple(room // s + 1 for room, s in zip(rooms, options["stride"], strict=True))
    up = tuple(-(-room // s) + 1 for room, s in zip(rooms, options["stride"], strict=True))
    if layer.shape[1:] == down:
        return 0
    if layer.shape[1:] != up:
        raise Unwritable(f"its windows {layer.shape[1:]} are those of neither rounding {down} nor {up}")
    return 1


def _is_wide(layer: Layer) -> bool:
    """Whether the padding is as wide as a window, which no pool of ONNX takes."""
    pairs = zip(layer.options["padding"], layer.options["kernel"], strict=True)
    return any(p >= k for pair, k in pairs for p in pair)


def _is_max_pool(file: Writer, layer: Layer) -> bool:
    """Whether MaxPool or GlobalMaxPool do what a pool layer does."""
    space = file.shape(layer.sources[0])[1:]
    if layer.rank > 1:
        return False
    if "size" in layer.options:
        sizes = layer.options["size"]
        return set(sizes) == {1} or not any(n % m for n, m in zip(space, sizes, strict=True))
    if _is_wide(layer) or any(p < 0 for pair in layer.options["padding"] for p in pair):
        return False
    try:
        _rounds_up(layer, space)
    except Unwritable:
        return False
    return True


@writes("max_pool", "adaptive_max_pool", "average_pool", "adaptive_average_pool")
def _pool(file: Writer, layer: Layer, output: str) -> None:
    if layer.activation == "pool" and not _is_max_pool(file, layer):
        reason = write_selection(file, layer, output)
        if reason is not None:
            raise Unwritable(reason)
        return
    is_average = layer.kind.endswith("average_pool")
    name = "AveragePool" if is_average else "MaxPool"
    x, space = file.value(layer.sources[0]), file.shape(layer.sources[0])[1:]
    options = layer.options
    if layer.kind.startswith("adaptive"):
        sizes = options["size"]
        if set(sizes) == {1}:
            file.node(f"Global{name}", [x], output, layer.name)
            return
        if any(n % m for n, m in zip(space, sizes, strict=True)):
            _by_matrices(file, layer, output)
            return
        kernel = [n // m for n, m in zip(space, sizes, strict=True)]
        file.node(name, [x], output, layer.name, kernel_shape=kernel, strides=kernel)
        return
    if options.get("divisor") is not None:
        _by_matrices(file, layer, output)
        return
    pads = options["padding"]
    if is_average and _is_wide(layer):
        _by_matrices(file, layer, output)
        return
    attributes: dict[str, Any] = {
        "kernel_shape": list(options["kernel"]),
        "strides": list(options["stride"]),
        "pads": [before for before, _ in pads] + [after for _, after in pads],
        "ceil_mode": _rounds_up(layer, space),
    }
    if any(p < 0 for p in attributes["pads"]):
        raise Unwritable(f"its padding {pads} cuts the input, which {name} does not")
    if is_average:
        attributes["count_include_pad"] = int(options["count_include_pad"])
    else:
        attributes["dilations"] = list(options["dilation"])
    file.node(name, [x], output, layer.name, **attributes)


@writes("mean")
def _mean(file: Writer, layer: Layer, output: str) -> None:
    axes = file.fixed(np.array([a + 1 for a in layer.options["axes"]], dtype=np.int64), layer.name, "axes")
    file.node("ReduceMean", [file.value(layer.sources[0]), axes], output, layer.name, keepdims=1)


@writes("pad")
def _pad(file: Writer, layer: Layer, output: str) -> None:
    widths = layer.options["widths"]
    listed = [0, *(before for before, _ in widths), 0, *(after for _, after in widths)]
    pads = file.fixed(np.array(listed, dtype=np.int64), layer.name, "pads")
    file.node("Pad", [file.value(layer.sources[0]), pads], output, layer.name)


@writes("nearest", "bilinear")
def _resized(file: Writer, layer: Layer, output: str) -> None:
    sizes, space = layer.options["size"], file.shape(layer.sources[0])[1:]
    if layer.kind == "nearest":
        if not all(_is_exact_scale(n, m) for n, m in zip(space, sizes, strict=True)):  # runtimes round coordinates
            _by_matrices(file, layer, output)
            return
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    else:
        corners = "align_corners" if layer.options["align_corners"] else "half_pixel"
        how = {"mode": "linear", "coordinate_transformation_mode": corners}
    target = file.fixed(np.array(sizes, dtype=np.int64), layer.name, "sizes")
    axes = list(range(2, 2 + len(sizes)))
    file.node("Resize", [file.value(layer.sources[0]), "", "", target], output, layer.name, axes=axes, **how)


def _is_exact_scale(n: int, m: int) -> bool:
    """Whether m / n is an integer, or one over a power of two."""
    return m % n == 0 or (n % m == 0 and (n // m).bit_count() == 1)


@writes("resize")
def _by_matrices(file: Writer, layer: Layer, output: str) -> None:
    """One product with a matrix per axis."""
    (operation,) = layer.operations
    assert isinstance(operation, Separable)
    x, first = file.value(layer.sources[0]), 1 + len(operation.lead)
    todo = [(first + i, m) for i, m in enumerate(operation.maps) if m != identity_axis(m.taps.n_in)]
    rank = 1 + len(layer.shape)
    if not todo:
        file.node("Identity", [x], output, layer.name, doc="copy")
        return
    for axis, axis_map in todo:
        is_last = axis == todo[-1][0]
        swap = list(range(rank))
        swap[axis], swap[-1] = swap[-1], swap[axis]
        matrix = file.fixed(_matrix(axis_map).T, layer.name, f"matrix{axis}", doc="role: structural")
        moved = file.helper_node("Transpose", [x], layer.name, f"to{axis}", perm=swap)
        name = layer.name if is_last else file.fresh(f"{layer.name}:axis{axis}")
        product = file.node("MatMul", [moved, matrix], file.fresh(f"{layer.name}:product{axis}"), name)
        back = output if is_last else file.fresh(f"{layer.name}:back{axis}")
        x = file.node("Transpose", [product], back, file.fresh(f"{layer.name}:from{axis}"), perm=swap)


def _matrix(axis_map: WeightedAxis) -> Array:
    taps = axis_map.taps
    if taps.n_out * taps.n_in > LARGEST_MATRIX:
        raise Unwritable(f"its matrix along an axis would have {taps.n_out} x {taps.n_in} entries")
    dense = np.zeros((taps.n_out, taps.n_in))
    values = np.array([float(c) for c in axis_map.coefficients])
    dense[np.repeat(np.arange(taps.n_out), taps.degree), taps.index] = values[taps.tap]
    return dense


@writes("fixed_linear")
def _fixed_linear(file: Writer, layer: Layer, output: str) -> None:
    """A dense matrix on the flattened tensor."""
    (operation,) = layer.operations
    assert isinstance(operation, FixedLinear)
    n_out, n_in = math.prod(operation.target_shape), math.prod(operation.source_shape)
    if n_out * n_in > LARGEST_MATRIX:
        raise Unwritable(f"its matrix would have {n_out} x {n_in} entries")
    taps = operation.relation
    dense = np.zeros((n_in, n_out))
    values = file.graph.tensors[layer.tensors[0]].ravel()
    dense[taps.index, np.repeat(np.arange(n_out), taps.degree)] = values[taps.tap]
    role = file.graph.architecture.roles[layer.tensors[0]]
    matrix = file.fixed(dense, layer.name, "dense", doc=f"role: {role}")
    flat = _reshaped(file, file.value(layer.sources[0]), (n_in,), layer.name, "flat")
    product = file.node("MatMul", [flat, matrix], file.fresh(f"{layer.name}:product"), layer.name)
    shape = file.fixed(np.array([-1, *layer.shape], dtype=np.int64), layer.name, "shape")
    file.node("Reshape", [product, shape], output, file.fresh(f"{layer.name}:reshape"))


# -- sums and activations -----------------------------------------------------------------------------------------


@writes("add")
def _add(file: Writer, layer: Layer, output: str) -> None:
    rank, signs = len(layer.shape), layer.options["signs"]
    terms = []
    for place, source in enumerate(layer.sources):
        x, shape = file.value(source), file.shape(source)
        if len(shape) < rank:  # the batch axes have to meet
            x = _reshaped(file, x, (1,) * (rank - len(shape)) + shape, layer.name, f"term{place}")
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


def _reshaped(file: Writer, x: str, shape: Sequence[int], layer: str, what: str) -> str:
    target = file.fixed(np.array([-1, *shape], dtype=np.int64), layer, f"{what}_shape")
    return file.helper_node("Reshape", [x, target], layer, what)


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
