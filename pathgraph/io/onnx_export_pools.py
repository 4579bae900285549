"""How are pools, averages, resizing and fixed matrices written as ONNX nodes?

As the operator that does the same, where there is one; else as one matrix product per axis, or as a table of windows.

Source: the ONNX operator specifications, operator set 18.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.io.onnx_selection import write_selection
from pathgraph.io.onnx_writers import reshaped, writes
from pathgraph.io.refusals import Unwritable
from pathgraph.layers.operations import FixedLinear, Separable
from pathgraph.layers.windows import identity_axis

if TYPE_CHECKING:
    from pathgraph.io.onnx_export import Writer
    from pathgraph.layers import Layer
    from pathgraph.layers.axes import WeightedAxis
    from pathgraph.scalars import Array

LARGEST_MATRIX = 2**24


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
        write_selection(file, layer, output)
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
    flat = reshaped(file, file.value(layer.sources[0]), (n_in,), layer.name, "flat")
    product = file.node("MatMul", [flat, matrix], file.fresh(f"{layer.name}:product"), layer.name)
    shape = file.fixed(np.array([-1, *layer.shape], dtype=np.int64), layer.name, "shape")
    file.node("Reshape", [product, shape], output, file.fresh(f"{layer.name}:reshape"))
