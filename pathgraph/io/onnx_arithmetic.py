"""Which ONNX operators act entry by entry: sums, products with constants, ReLU and its relatives.

Constants broadcast against activations from the right, batch axis included; one that differs from sample to sample is
refused. A factor or an offset that belongs to no weighted layer is *frozen*: like the scale and shift of a batch-norm
it multiplies paths and starts them, but is no parameter.

ReLU6 is not positively homogeneous, LeakyReLU is no ReLU: both are refused unless the caller has chosen a model of
them. ``min(max(z, 0), c) = relu(z) - relu(z - c)`` and ``leaky(z) = relu(z) - a relu(-z)`` hold exactly.

Source: the ONNX operator specifications; the two identities are elementary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pathgraph.errors import FileFormatError
from pathgraph.io import modelling
from pathgraph.io.onnx_file import Node
from pathgraph.io.onnx_reading import Reading, activation, constant, is_float_type, operator, scalar
from pathgraph.io.onnx_values import Activation, Constant, Value, shown
from pathgraph.io.refusals import Refused
from pathgraph.layers import Signal, TensorHandle
from pathgraph.scalars import Array

__all__ = ["added", "scaled_by"]


# -- broadcasting -------------------------------------------------------------------------------------------------


def _aligned(ctx: Reading, values: Sequence[Value]) -> tuple[list[Signal | Array], tuple[int, ...], int | None]:
    """The operands of one operator without the batch axis, the shape of the result, and its batch axis."""
    try:
        shape = np.broadcast_shapes(*(v.shape if isinstance(v, Activation) else v.array.shape for v in values))
    except ValueError:
        raise FileFormatError(
            "its operands do not broadcast: "
            + ", ".join(shown(v.shape if isinstance(v, Activation) else v.array.shape) for v in values)
        ) from None
    places = {len(v.shape) - v.batch for v in values if isinstance(v, Activation) and v.batch is not None}
    if len(places) > 1:
        raise Refused("the batch axes of its operands do not match; a network treats samples one by one")
    place = places.pop() if places else None
    return [_without(ctx, v, place) for v in values], shape, None if place is None else len(shape) - place


def _without(ctx: Reading, value: Value, place: int | None) -> Signal | Array:
    """An operand without the axis that is the batch of another one, `place` axes from the end."""
    shape = value.shape if isinstance(value, Activation) else value.array.shape
    if isinstance(value, Activation) and value.batch is not None:
        return value.signal
    if place is None or place > len(shape):
        return value.signal if isinstance(value, Activation) else value.array
    axis = len(shape) - place
    if shape[axis] != 1:
        raise Refused(f"an operand of shape {shown(shape)} differs from sample to sample")
    rest = (*shape[:axis], *shape[axis + 1 :])
    return ctx.build.reshape(value.signal, rest) if isinstance(value, Activation) else np.reshape(value.array, rest)


def _old_broadcast(ctx: Reading, node: Node, values: Sequence[Value | None]) -> list[Value]:
    """Before operator set 7, the second operand was aligned at an axis."""
    found = [v for v in values if v is not None]
    if len(found) != len(values) or not found:
        raise FileFormatError(f"{node}: an operand is missing")
    broadcasts, axis = node.attributes.read("broadcast", "int", 0), node.attributes.read("axis", "int")
    if ctx.opset >= 7 or not broadcasts or axis is None or len(found) != 2:
        return found
    a, b = found
    if not isinstance(a, Activation) or not isinstance(b, Constant):
        raise Refused("it broadcasts by an axis, which is read for a constant as second operand only")
    after = len(a.shape) - axis - b.array.ndim
    if axis < 0 or after < 0:
        raise FileFormatError(f"{node}: a tensor of shape {b.array.shape} does not fit at axis {axis} of {a.shape}")
    return [a, b.viewed(b.array.reshape(b.array.shape + (1,) * after))]


# -- sums and differences -----------------------------------------------------------------------------------------


@operator("Add", "Sum")
def addition(ctx: Reading, node: Node, *values: Value | None) -> Value:
    """Sums of activations, and of constants."""
    found = _old_broadcast(ctx, node, values)
    return added(ctx, node, found, [1] * len(found))


@operator("Sub")
def subtraction(ctx: Reading, node: Node, a: Value, b: Value) -> Value:
    """A difference."""
    return added(ctx, node, _old_broadcast(ctx, node, (a, b)), [1, -1])


def added(ctx: Reading, node: Node, values: Sequence[Value], signs: Sequence[int], *, suffix: str = "") -> Activation:
    """The signed sum of activations and constants."""
    operands, shape, batch = _aligned(ctx, values)
    pairs = list(zip(values, operands, signs, strict=True))
    signals = [(operand, sign) for _, operand, sign in pairs if isinstance(operand, Signal)]
    sample = tuple(d for axis, d in enumerate(shape) if axis != batch)
    ctx.reserve(sample)
    constants = [(value, operand, sign) for value, operand, sign in pairs if isinstance(value, Constant)]
    fits = math.prod(np.broadcast_shapes(*(s.shape for s, _ in signals))) == math.prod(sample)
    extra: list[tuple[Signal, int]] = []
    offsets: list[TensorHandle] = []
    for value, operand, sign in constants:
        array = _trimmed(np.asarray(operand), len(sample))
        key = (*value.layout, "-") if sign < 0 else value.layout
        if not fits:  # the constant makes the result larger: neurons of its own
            array = np.broadcast_to(array, sample)
        handle = ctx.tensor(value, -array if sign < 0 else array, "frozen", key)
        if fits:
            offsets.append(handle)
        else:
            extra.append((ctx.build.constant(handle), 1))
    terms = signals + extra
    needs_sum = len(terms) > 1 or terms[0][1] < 0 or not fits
    y = terms[0][0]
    if needs_sum and len(terms) == 1 and not offsets:
        return Activation(scaled(ctx, y, -1.0, ctx.name(node, suffix)), shape, batch)
    if needs_sum:
        name = ctx.name(node, suffix if not offsets else f"{suffix}.sum")
        y = (
            ctx.build.add([s for s, _ in terms], signs=[sign for _, sign in terms], name=name)
            if len(terms) > 1
            else scaled(ctx, y, -1.0, name)
        )
    elif not offsets:
        return Activation(y, shape, batch)
    for position, handle in enumerate(offsets):
        last = position == len(offsets) - 1
        y = ctx.build.shift(y, handle, name=ctx.name(node, suffix if last else f"{suffix}.{position}"))
    return Activation(y, shape, batch)


def _trimmed(array: Array, rank: int) -> Array:
    """Leading axes of size 1 dropped, where there are more axes than the signal has; one number is a vector."""
    array = array.reshape(1) if array.ndim == 0 and rank > 0 else array
    while array.ndim > rank and array.shape[0] == 1:
        array = array.reshape(array.shape[1:])
    return array


# -- products -----------------------------------------------------------------------------------------------------


@operator("Mul", "Div")
def product(ctx: Reading, node: Node, a: Value, b: Value) -> Value:
    """The product or quotient of an activation and a constant."""
    a, b = _old_broadcast(ctx, node, (a, b))
    if isinstance(a, Activation) and isinstance(b, Activation):
        verb = "multiplies" if node.operator == "Mul" else "divides"
        raise Refused(f"it {verb} two activations, which no ReLU network does")
    if node.operator == "Div" and isinstance(b, Activation):
        raise Refused("it divides by an activation, which no ReLU network does")
    x, c = (a, constant(b, "the factor")) if isinstance(a, Activation) else (activation(b), constant(a, "the factor"))
    (signal, array), shape, batch = _aligned(ctx, [x, c])
    assert isinstance(signal, Signal)
    array = _trimmed(np.asarray(array), len(signal.shape))
    ctx.require_numbers(c)
    if math.prod(signal.shape) != math.prod(d for axis, d in enumerate(shape) if axis != batch):
        raise Refused(f"a constant of shape {c.array.shape} makes the activation {shown(x.shape)} larger")
    name = ctx.name(node)
    if node.operator == "Div":
        if (array == 0).any():
            raise FileFormatError(f"{node}: needed divisors other than zero in {c.origin!r}")
        handle = ctx.own_tensor(f"{name}.factor", 1 / array.astype(np.float64))
        ctx.note("divisions by constants are products with their reciprocals", node)
    else:
        handle = ctx.tensor(c, array, "frozen", c.layout)
    ctx.reserve(signal.shape)
    return Activation(ctx.build.scale(signal, handle, name=name), shape, batch)


@operator("Neg")
def negation(ctx: Reading, node: Node, x: Value) -> Value:
    """Times -1."""
    x = activation(x)
    ctx.reserve(x.sample)
    return ctx.made(ctx.build.add([x.signal], signs=[-1], name=ctx.name(node)), x)


def scaled(ctx: Reading, x: Signal, factor: float, name: str) -> Signal:
    """A signal times a number, frozen."""
    handle = ctx.own_tensor(f"{name}.factor", np.full((1,) * len(x.shape), factor))
    return ctx.build.scale(x, handle, name=name)


def scaled_by(ctx: Reading, x: Activation, handle: TensorHandle, name: str) -> Activation:
    """An activation times a tensor."""
    return ctx.made(ctx.build.scale(x.signal, handle, name=name), x)


# -- activations --------------------------------------------------------------------------------------------------


@operator("Relu")
def relu(ctx: Reading, node: Node, x: Value) -> Value:
    """ReLU."""
    return _relu(ctx, node, activation(x))


def _relu(ctx: Reading, node: Node, x: Activation) -> Activation:
    ctx.reserve(x.sample)
    return ctx.made(ctx.build.relu(x.signal, name=ctx.name(node)), x)


@operator("Clip")
def clip(ctx: Reading, node: Node, x: Value, low: Value | None = None, high: Value | None = None) -> Value:
    """A ReLU if only the minimum 0 is there; ReLU6 and the like by the caller's choice."""
    bounds = [
        node.attributes.read(name, "float") if name in node.attributes else scalar(value, name)
        for name, value in (("min", low), ("max", high))
    ]
    least, most = (None if b is None or math.isinf(b) or abs(b) > 3.4e38 else float(b) for b in bounds)
    x = activation(x)
    if least is None and most is None:
        return x
    if most is None and least == 0:
        return _relu(ctx, node, x)
    if least != 0 or most is None or not most > 0:
        raise Refused(f"needed minimum 0, and no maximum or a positive one, got {bounds[0]} and {bounds[1]}")
    model = ctx.options.relu6
    if model is None:
        raise Refused(
            f"ReLU cut at {most:g} is not positively homogeneous; relu6='exact' imports relu(z) - relu(z - {most:g}), "
            "relu6='relu' a plain ReLU"
        )
    if model == "relu":
        ctx.note(f"the cut of the ReLU at {most:g} is left out (relu6='relu')", node)
        return _relu(ctx, node, x)
    ctx.note(f"the ReLU cut at {most:g} is imported as relu(z) - relu(z - {most:g}) (relu6='exact')", node)
    name = ctx.name(node)
    for _ in range(4):
        ctx.reserve(x.sample)
    cut = ctx.own_tensor(f"{name}.cut", np.full((1,) * len(x.sample), -most))
    return ctx.made(modelling.capped_relu(ctx.build, x.signal, cut, name=name), x)


@operator("LeakyRelu", "PRelu")
def leaky_relu(ctx: Reading, node: Node, x: Value, slope: Value | None = None) -> Value:
    """Two ReLUs, by the caller's choice."""
    x = activation(x)
    alpha = node.attributes.read("alpha", "float", float(np.float32(0.01)))
    if ctx.options.leaky_relu is None:
        raise Refused("it is no ReLU; leaky_relu='exact' imports relu(z) - a relu(-z)")
    ctx.note("imported as relu(z) - a relu(-z), two ReLU neurons each (leaky_relu='exact')", node)
    name = ctx.name(node)
    if node.operator == "PRelu":
        given = constant(slope, "the slope")
        (_, array), shape, _ = _aligned(ctx, [x, given])
        if shape != x.shape:
            raise FileFormatError(f"{node}: a slope of shape {given.array.shape} does not fit {shown(x.shape)}")
        handle = ctx.tensor(given, _trimmed(np.asarray(array), len(x.sample)), "parameter", given.layout)
    else:
        handle = ctx.own_tensor(f"{name}.slope", np.full((1,) * len(x.sample), alpha))
    for _ in range(5):
        ctx.reserve(x.sample)
    return ctx.made(modelling.leaky_relu(ctx.build, x.signal, handle, name=name), x)


# -- what does nothing --------------------------------------------------------------------------------------------


@operator("Identity")
def identity(ctx: Reading, node: Node, x: Value) -> Value:
    """The same tensor; where the file was written by `to_onnx` and says so, identity neurons."""
    if node.outputs[0] in ctx.copies and isinstance(x, Activation):
        ctx.reserve(x.sample)
        return ctx.made(ctx.build.copy(x.signal, name=ctx.name(node)), x)
    return x


@operator("Dropout")
def dropout(ctx: Reading, node: Node, x: Value, ratio: Value | None = None, training: Value | None = None) -> Value:
    """Nothing, at inference."""
    node.attributes.ignore("ratio", "is_test", "seed")
    if scalar(training, "training_mode", False):
        raise Refused("it is in training mode, which is random; export in eval mode")
    if any(ctx.uses[name] for name in node.outputs[1:] if name):
        raise Refused("its mask is used, which is random")
    ctx.note("dropout does nothing at inference and is left out", node)
    return x


@operator("Cast")
def cast(ctx: Reading, node: Node, x: Value) -> Value:
    """Between float types, nothing: networks compute with real numbers."""
    x = activation(x)
    to = node.attributes.read("to", "int")
    node.attributes.ignore("saturate", "round_mode")
    if to is None or not is_float_type(to):
        raise Refused("it casts an activation to integers, which is not continuous")
    ctx.note("casts of activations between float types are left out", node)
    return x
