"""What does a file compute from constants and shapes alone? Small arithmetic on NumPy arrays.

Exporters write the shape arithmetic of the model into the file: the shape of an activation, an entry of it, a product,
a concatenation, and finally a Reshape. All of that is done here once. Results are bounded before they are made, and
whether the size of a dynamic batch went into them is remembered.

A cast between float types is the identity, as everywhere in a network of real numbers.

Source: the ONNX operator specifications.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pathgraph.errors import FileFormatError
from pathgraph.io.onnx_file import Node
from pathgraph.io.onnx_reading import Reading, integers, is_float_type, scalar
from pathgraph.io.onnx_tensors import ELEMENT_TYPES, tensor_array
from pathgraph.io.onnx_values import DYNAMIC, Activation, Constant, checked_axis
from pathgraph.io.onnx_views import axes_of, reshape_target, slice_ranges
from pathgraph.io.refusals import Refused
from pathgraph.scalars import Array

__all__ = ["SHAPE_OPERATORS", "fold", "is_foldable", "shape_of"]

Folder = Callable[..., Any]
FOLDERS: dict[str, Folder] = {}
SHAPE_OPERATORS = ("Shape", "Size")


def folder(*names: str) -> Callable[[Folder], Folder]:
    """Register what computes operators of these names on constants."""

    def register(function: Folder) -> Folder:
        for name in names:
            FOLDERS[name] = function
        return function

    return register


def is_foldable(name: str) -> bool:
    """Whether an operator is known on constants."""
    return name in FOLDERS


def fold(ctx: Reading, node: Node, values: Sequence[Constant | None]) -> tuple[Constant, ...]:
    """The outputs of a node whose inputs are constants.

    Raises
    ------
    Refused
        If that operator is not known on constants.
    """
    if node.operator not in FOLDERS:
        raise Refused("it has constants for inputs alone, on which it is not computed")
    knows_batch = any(v.knows_batch for v in values if v is not None)
    found = FOLDERS[node.operator](ctx, node, *values)
    outputs = found if isinstance(found, tuple) else (found,)
    made = []
    for name, value in zip(node.outputs, outputs, strict=False):
        if isinstance(value, Constant):
            made.append(replace(value, knows_batch=knows_batch))
        else:
            made.append(Constant(np.asarray(value), name, (), knows_batch))
    return tuple(made)


def shape_of(node: Node, x: Activation) -> Constant:
    """The shape or size of an activation."""
    shape = x.shape
    if node.operator == "Size":
        return Constant(np.array(math.prod(shape), dtype=np.int64), node.outputs[0], (), DYNAMIC in shape)
    start, end = (node.attributes.read(name, "int", default) for name, default in (("start", 0), ("end", None)))
    part = shape[slice(start, end)]
    return Constant(np.array(part, dtype=np.int64), node.outputs[0], (), DYNAMIC in part)


def _array(value: Constant | None, what: str = "input") -> Array:
    if value is None:
        raise FileFormatError(f"needed {what}, got none")
    return value.array


# -- sources of constants -----------------------------------------------------------------------------------------


@folder("Constant")
def _constant(ctx: Reading, node: Node) -> Array:
    read = node.attributes.read
    if "value" in node.attributes:
        return tensor_array(read("value", "tensor"), ctx.file.folder, f"{ctx.file.label}: {node}")
    for name, kind, dtype in (
        ("value_float", "float", np.float32),
        ("value_floats", "floats", np.float32),
        ("value_int", "int", np.int64),
        ("value_ints", "ints", np.int64),
    ):
        if name in node.attributes:
            return np.array(read(name, kind), dtype=dtype)
    raise Refused("it holds no dense numbers")


@folder("ConstantOfShape")
def _constant_of_shape(ctx: Reading, node: Node, shape: Constant) -> Array:
    wanted = integers(shape, "shape")
    if any(d < 0 for d in wanted):
        raise FileFormatError(f"{node}: needed sizes >= 0, got {wanted}")
    ctx.reserve(wanted)
    given = node.attributes.read("value", "tensor")
    value = np.zeros(1, np.float32) if given is None else tensor_array(given, ctx.file.folder, str(node))
    if value.size != 1:
        raise FileFormatError(f"{node}: needed one number as value, got shape {value.shape}")
    return np.broadcast_to(value.reshape(-1)[0], wanted)


@folder("Range")
def _range(ctx: Reading, node: Node, start: Constant, limit: Constant, step: Constant) -> Array:
    first, last, by = (scalar(v, name) for v, name in ((start, "start"), (limit, "limit"), (step, "delta")))
    count = math.ceil((last - first) / by) if by and math.isfinite(first + last + by) else -1
    if count < 0 and by == 0:
        raise FileFormatError(f"{node}: needed a step other than zero")
    ctx.reserve((max(0, count),))
    return np.asarray(first + by * np.arange(max(0, count))).astype(_array(start).dtype)


# -- the same numbers ---------------------------------------------------------------------------------------------


@folder("Identity", "Dropout")
def _same(ctx: Reading, node: Node, x: Constant, *others: Constant) -> Constant:
    node.attributes.ignore("ratio", "is_test", "seed")
    return x


@folder("Cast")
def _cast(ctx: Reading, node: Node, x: Constant) -> Any:
    to = node.attributes.read("to", "int")
    node.attributes.ignore("saturate", "round_mode")
    if to not in ELEMENT_TYPES:
        raise Refused(f"it casts to element type {to}, which is not read")
    if is_float_type(to):
        if x.array.dtype.kind == "f":
            if ELEMENT_TYPES[to][0] in ("float16", "bfloat16"):
                ctx.note("roundings of constants to 16-bit floats are left out", node)
            return x
        return x.array.astype(np.float64 if ELEMENT_TYPES[to][0] == "float64" else np.float32)
    return np.nan_to_num(x.array).astype(ELEMENT_TYPES[to][1])


@folder("Reshape")
def _reshape(ctx: Reading, node: Node, x: Constant, shape: Constant | None = None) -> Constant:
    wanted = node.attributes.read("shape", "ints", []) if shape is None else integers(shape, "shape")
    keeps_zeros = bool(node.attributes.read("allowzero", "int", 0))
    return x.viewed(x.array.reshape(reshape_target(x.array.shape, wanted, keeps_zeros=keeps_zeros)))


@folder("Flatten")
def _flatten(ctx: Reading, node: Node, x: Constant) -> Constant:
    axis, rank = node.attributes.read("axis", "int", 1), x.array.ndim
    axis = axis if axis == rank else checked_axis(axis, rank)
    return x.viewed(x.array.reshape(math.prod(x.array.shape[:axis]), -1 if x.array.size else 0))


@folder("Squeeze")
def _squeeze(ctx: Reading, node: Node, x: Constant, axes: Constant | None = None) -> Constant:
    listed = axes_of(node, axes)
    return x.viewed(np.squeeze(x.array, None if listed is None else tuple(listed)))


@folder("Unsqueeze")
def _unsqueeze(ctx: Reading, node: Node, x: Constant, axes: Constant | None = None) -> Constant:
    return x.viewed(np.expand_dims(x.array, tuple(axes_of(node, axes) or ())))


@folder("Transpose")
def _transpose(ctx: Reading, node: Node, x: Constant) -> Constant:
    order = node.attributes.read("perm", "ints", list(range(x.array.ndim))[::-1])
    return x.viewed(x.array.transpose(order), tuple(order))


# -- parts and unions ---------------------------------------------------------------------------------------------


@folder("Gather")
def _gather(ctx: Reading, node: Node, x: Constant, indices: Constant) -> Array:
    axis = checked_axis(node.attributes.read("axis", "int", 0), x.array.ndim)
    ctx.reserve((*x.array.shape[:axis], *indices.array.shape, *x.array.shape[axis + 1 :]))
    return np.take(x.array, indices.array, axis=axis)


@folder("Slice")
def _slice(ctx: Reading, node: Node, x: Constant, *values: Constant | None) -> Array:
    index = [slice(None)] * x.array.ndim
    for axis, part in slice_ranges(node, x.array.shape, values).items():
        index[axis] = part
    return np.asarray(x.array[tuple(index)])


@folder("Split")
def _split(ctx: Reading, node: Node, x: Constant, sizes: Constant | None = None) -> tuple[Array, ...]:
    axis = checked_axis(node.attributes.read("axis", "int", 0), x.array.ndim)
    node.attributes.ignore("num_outputs")
    listed = node.attributes.read("split", "ints") if sizes is None else integers(sizes, "split")
    step = -(-x.array.shape[axis] // len(node.outputs))
    listed = [step] * len(node.outputs) if listed is None else listed
    return tuple(np.split(x.array, np.cumsum(listed[:-1]).tolist(), axis))


@folder("Concat")
def _concat(ctx: Reading, node: Node, *values: Constant) -> Array:
    ctx.reserve((sum(v.array.size for v in values),))
    return np.concatenate([v.array for v in values], axis=node.attributes.read("axis", "int", 1))


@folder("Expand")
def _expand(ctx: Reading, node: Node, x: Constant, shape: Constant) -> Any:
    full = np.broadcast_shapes(x.array.shape, tuple(integers(shape, "shape")))
    ctx.reserve(full)
    return x if full == x.array.shape else np.broadcast_to(x.array, full)


# -- arithmetic ---------------------------------------------------------------------------------------------------


def _quotient(a: Array, b: Array) -> Array:
    """Integers are divided towards zero."""
    if a.dtype.kind in "iu":
        if (b == 0).any():
            raise FileFormatError("a division of integers by zero")
        return np.asarray((np.abs(a) // np.abs(b)) * np.sign(a) * np.sign(b)).astype(a.dtype)
    return np.asarray(a / b)


def _power(a: Array, b: Array) -> Array:
    """Floats by float64, since NumPy's powers of float32 are off by units in the last place on some processors."""
    if a.dtype.kind == "f" and a.dtype.itemsize < 8:
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            return np.asarray(np.power(a.astype(np.float64), b.astype(np.float64)).astype(a.dtype))
    return np.asarray(np.power(a, b).astype(a.dtype))


ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _quotient,
    "Pow": _power,
    "Min": np.minimum,
    "Max": np.maximum,
    "Equal": np.equal,
    "Less": np.less,
    "Greater": np.greater,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Sum": np.add,
    "Neg": np.negative,
    "Abs": np.abs,
    "Sqrt": lambda a: np.sqrt(a).astype(a.dtype),
    "Reciprocal": lambda a: (1 / a).astype(a.dtype),
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Not": np.logical_not,
    "Relu": lambda a: np.maximum(a, 0),
}


@folder(*ARITHMETIC)
def _arithmetic(ctx: Reading, node: Node, *values: Constant) -> Any:
    arrays = [_array(v) for v in values]
    function = ARITHMETIC[node.operator]
    if ctx.opset < 7 and node.attributes.read("broadcast", "int", 0) and len(arrays) == 2:
        axis = node.attributes.read("axis", "int", arrays[0].ndim - arrays[1].ndim)
        arrays[1] = arrays[1].reshape(arrays[1].shape + (1,) * (arrays[0].ndim - axis - arrays[1].ndim))
    ctx.reserve(np.broadcast_shapes(*(a.shape for a in arrays)))
    result = function(*arrays[: 1 if node.operator in UNARY else 2])
    for other in arrays[2:]:
        result = function(result, other)
    return result


UNARY = ("Neg", "Abs", "Sqrt", "Reciprocal", "Floor", "Ceil", "Not", "Relu")


@folder("Where")
def _where(ctx: Reading, node: Node, test: Constant, a: Constant, b: Constant) -> Array:
    ctx.reserve(np.broadcast_shapes(test.array.shape, a.array.shape, b.array.shape))
    return np.where(test.array, a.array, b.array)


@folder("ReduceProd", "ReduceSum")
def _reduce(ctx: Reading, node: Node, x: Constant, axes: Constant | None = None) -> Array:
    listed = axes_of(node, axes)
    keeps = bool(node.attributes.read("keepdims", "int", 1))
    if not listed and node.attributes.read("noop_with_empty_axes", "int", 0):
        return x.array
    reduce = np.prod if node.operator == "ReduceProd" else np.sum
    return np.asarray(reduce(x.array, axis=tuple(listed) if listed else None, keepdims=keeps)).astype(x.array.dtype)


@folder(*SHAPE_OPERATORS)
def _shape(ctx: Reading, node: Node, x: Constant) -> Array:
    if node.operator == "Size":
        return np.array(x.array.size, dtype=np.int64)
    start, end = (node.attributes.read(name, "int", default) for name, default in (("start", 0), ("end", None)))
    return np.array(x.array.shape[slice(start, end)], dtype=np.int64)
