"""Which ONNX operators only rearrange entries? Reshape, Transpose, Concat, Slice, Split, Gather, Pad and the like.

They make views, without neurons, except for what has neurons by nature: padding, repeated entries. The batch axis is
followed, and may not be cut, reversed or merged with others.

Source: the ONNX operator specifications, from operator set 1 on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from pathgraph.errors import FileFormatError
from pathgraph.io.onnx_file import Node
from pathgraph.io.onnx_linear import transposed
from pathgraph.io.onnx_reading import Reading, activation, constant, integers, operator, scalar
from pathgraph.io.onnx_values import Activation, Constant, Value, batch_after_reshape, checked_axis, shown
from pathgraph.io.refusals import Refused
from pathgraph.layers import Signal
from pathgraph.layers.axes import WeightedAxis, weighted
from pathgraph.layers.windows import identity_axis

__all__ = ["axes_of", "reshape_target", "selection", "slice_ranges"]

ONE = Fraction(1)


def axes_of(node: Node, given: Value | None) -> list[int] | None:
    """Axes, which newer operator sets have as an input and older ones as an attribute."""
    listed = node.attributes.read("axes", "ints")
    return integers(given, f"{node}: axes") if given is not None else listed


# -- shapes -------------------------------------------------------------------------------------------------------


def reshaped(ctx: Reading, node: Node, x: Activation, target: Sequence[int]) -> Activation:
    """A view in another shape that keeps the samples apart."""
    batch = batch_after_reshape(x.shape, x.batch, target)
    sample = tuple(d for axis, d in enumerate(target) if axis != batch)
    if sample == x.sample and batch is not None:
        return Activation(x.signal, tuple(target), batch)
    return Activation(ctx.build.reshape(x.signal, sample, name=ctx.name(node)), tuple(target), batch)


def reshape_target(shape: Sequence[int], wanted: Sequence[int], *, keeps_zeros: bool = False) -> list[int]:
    """The shape that Reshape means: 0 copies a size, one -1 is what is left."""
    target = list(wanted)
    if any(d < -1 for d in target) or target.count(-1) > 1 or len(target) > 64:
        raise FileFormatError(f"needed sizes >= 0 and at most one -1 as shape, got {target}")
    if not keeps_zeros:
        for axis, d in enumerate(target):
            if d == 0:
                if axis >= len(shape):
                    raise FileFormatError(f"the shape {target} copies axis {axis} of a tensor of shape {shown(shape)}")
                target[axis] = shape[axis]
    known = math.prod(d for d in target if d != -1)
    if -1 in target:
        if known == 0 or math.prod(shape) % known:
            raise FileFormatError(f"a tensor of shape {shown(shape)} cannot be reshaped to {shown(target)}")
        target[target.index(-1)] = math.prod(shape) // known
    if math.prod(target) != math.prod(shape):
        raise FileFormatError(f"a tensor of shape {shown(shape)} cannot be reshaped to {shown(target)}")
    return target


@operator("Reshape")
def reshape(ctx: Reading, node: Node, x: Value, shape: Value | None = None) -> Value:
    """Another shape."""
    wanted = node.attributes.read("shape", "ints") if shape is None else integers(shape, "shape")
    if wanted is None:
        raise FileFormatError(f"{node}: needed a shape, got none")
    keeps_zeros = bool(node.attributes.read("allowzero", "int", 0))
    x = activation(x)
    return reshaped(ctx, node, x, reshape_target(x.shape, wanted, keeps_zeros=keeps_zeros))


@operator("Flatten")
def flatten(ctx: Reading, node: Node, x: Value) -> Value:
    """Two axes: those before `axis`, and the others."""
    x = activation(x)
    axis = node.attributes.read("axis", "int", 1)
    axis = axis if axis == len(x.shape) else checked_axis(axis, len(x.shape))
    return reshaped(ctx, node, x, [math.prod(x.shape[:axis]), math.prod(x.shape[axis:])])


@operator("Squeeze")
def squeeze(ctx: Reading, node: Node, x: Value, axes: Value | None = None) -> Value:
    """Axes of size 1 dropped."""
    x = activation(x)
    listed = axes_of(node, axes)
    if listed is None:
        listed = [axis for axis, d in enumerate(x.shape) if d == 1]
    dropped = {checked_axis(axis, len(x.shape)) for axis in listed}
    for axis in dropped:
        if x.shape[axis] != 1:
            raise Refused(f"axis {axis} of {shown(x.shape)} is no axis of size 1")
    kept = [axis for axis in range(len(x.shape)) if axis not in dropped]
    shape = tuple(x.shape[axis] for axis in kept)
    batch = kept.index(x.batch) if x.batch in kept else None
    sample = tuple(d for axis, d in enumerate(shape) if axis != batch)
    signal = x.signal if sample == x.sample else ctx.build.reshape(x.signal, sample, name=ctx.name(node))
    return Activation(signal, shape, batch)


@operator("Unsqueeze")
def unsqueeze(ctx: Reading, node: Node, x: Value, axes: Value | None = None) -> Value:
    """New axes of size 1."""
    x = activation(x)
    listed = axes_of(node, axes)
    if listed is None:
        raise FileFormatError(f"{node}: needed axes, got none")
    rank = len(x.shape) + len(listed)
    new = {checked_axis(axis, rank) for axis in listed}
    if len(new) < len(listed):
        raise FileFormatError(f"{node}: needed different axes, got {listed}")
    old = [axis for axis in range(rank) if axis not in new]
    shape = [1] * rank
    for place, axis in enumerate(old):
        shape[axis] = x.shape[place]
    batch = None if x.batch is None else old[x.batch]
    sample = tuple(d for axis, d in enumerate(shape) if axis != batch)
    signal = x.signal if sample == x.sample else ctx.build.reshape(x.signal, sample, name=ctx.name(node))
    return Activation(signal, tuple(shape), batch)


@operator("Transpose")
def transpose(ctx: Reading, node: Node, x: Value) -> Value:
    """The axes in another order."""
    x = activation(x)
    order = node.attributes.read("perm", "ints")
    order = list(range(len(x.shape)))[::-1] if order is None else [checked_axis(a, len(x.shape)) for a in order]
    if sorted(order) != list(range(len(x.shape))):
        raise FileFormatError(f"{node}: needed an order of {len(x.shape)} axes as perm, got {order}")
    return transposed(ctx, x, order, ctx.name(node))


@operator("Expand")
def expand(ctx: Reading, node: Node, x: Value, shape: Value) -> Value:
    """Nothing, where the shape is the tensor's own."""
    x = activation(x)
    wanted = tuple(integers(shape, "shape"))
    try:
        full = np.broadcast_shapes(x.shape, wanted)
    except ValueError:
        raise FileFormatError(f"{node}: {shown(x.shape)} does not broadcast to {shown(wanted)}") from None
    if full != x.shape:
        raise Refused(f"it repeats an activation {shown(x.shape)} to {shown(full)}; export without Expand")
    return x


def repeated_constant(ctx: Reading, node: Node, values: Sequence[Constant | None]) -> Activation | None:
    """A constant that Expand repeats for every sample: neurons without antecedents."""
    if node.operator != "Expand" or len(values) != 2 or values[0] is None or values[1] is None:
        return None
    given, wanted = values[0].array, values[1].array
    if not values[1].knows_batch or wanted.ndim != 1 or not wanted.size or wanted[0] != ctx.batch:
        return None
    sample = tuple(int(d) for d in wanted[1:])
    rest = given.reshape(given.shape[1:]) if given.ndim > len(sample) and given.shape[0] == 1 else given
    ctx.reserve(sample)
    handle = ctx.tensor(values[0], np.broadcast_to(rest, sample), "frozen", values[0].layout)
    return Activation(ctx.build.constant(handle, name=ctx.name(node)), (ctx.batch, *sample), 0)


# -- parts --------------------------------------------------------------------------------------------------------


@operator("Concat")
def concatenation(ctx: Reading, node: Node, *values: Value | None) -> Value:
    """One after the other along an axis."""
    found = [v for v in values if v is not None]
    like = next(v for v in found if isinstance(v, Activation))
    axis = checked_axis(node.attributes.read("axis", "int", 1), len(like.shape))
    along = like.axis(axis)
    signals: list[Signal] = []
    for value in found:
        if isinstance(value, Constant):
            signals.append(_constant_part(ctx, node, value, like))
        elif value.batch != like.batch or len(value.shape) != len(like.shape):
            raise Refused("the batch axes of its operands do not match")
        else:
            signals.append(value.signal)
    ctx.reserve((sum(math.prod(s.shape) for s in signals),))
    if len(signals) == 1:
        return like
    return ctx.made(ctx.build.concatenate(signals, along, name=ctx.name(node)), like)


def _constant_part(ctx: Reading, node: Node, value: Constant, like: Activation) -> Signal:
    """A constant beside activations: neurons without antecedents."""
    shape = value.array.shape
    if len(shape) != len(like.shape) or (like.batch is not None and shape[like.batch] != 1):
        raise Refused(f"a constant of shape {shape} stands beside an activation {shown(like.shape)}")
    rest = (
        value.array if like.batch is None else value.array.reshape([d for a, d in enumerate(shape) if a != like.batch])
    )
    ctx.reserve(rest.shape)
    return ctx.build.constant(ctx.tensor(value, rest, "frozen", value.layout), name=ctx.name(node, ".constant"))


@operator("Split")
def split(ctx: Reading, node: Node, x: Value, sizes: Value | None = None) -> tuple[Value, ...]:
    """Consecutive parts along an axis."""
    x = activation(x)
    axis = checked_axis(node.attributes.read("axis", "int", 0), len(x.shape))
    along, n, size = x.axis(axis), len(node.outputs), x.shape[axis]
    node.attributes.ignore("num_outputs")  # the number of outputs says it, too
    listed = node.attributes.read("split", "ints") if sizes is None else integers(sizes, "split")
    if listed is None:
        step = -(-size // n)
        listed = [step] * (n - 1) + [size - step * (n - 1)]
    if len(listed) != n or sum(listed) != size or min(listed) < 0:
        raise FileFormatError(f"{node}: needed {n} sizes that add up to {size}, got {listed}")
    parts, first = [], 0
    for position, part in enumerate(listed):
        index = (slice(None),) * along + (slice(first, first + part),)
        parts.append(ctx.made(ctx.build.take(x.signal, index, name=ctx.name(node, f".{position}")), x))
        first += part
    return tuple(parts)


def slice_ranges(node: Node, shape: Sequence[int], values: Sequence[Value | None]) -> dict[int, slice]:
    """What Slice takes along each axis; as attributes before operator set 10, as inputs since."""
    starts, ends, axes, steps = (*values, None, None, None, None)[:4]
    if starts is None:
        first, last = (node.attributes.read(name, "ints") for name in ("starts", "ends"))
        listed = node.attributes.read("axes", "ints")
    else:
        first, last = integers(starts, "starts"), integers(ends, "ends")
        listed = None if axes is None else integers(axes, "axes")
    if first is None or last is None:
        raise FileFormatError(f"{node}: needed starts and ends, got none")
    chosen = list(range(len(first))) if listed is None else [checked_axis(a, len(shape)) for a in listed]
    strides = [1] * len(first) if steps is None else integers(steps, "steps")
    if not len(first) == len(last) == len(chosen) == len(strides) or 0 in strides or len(chosen) > len(shape):
        raise FileFormatError(f"{node}: starts {first}, ends {last}, axes {listed} and steps {strides} do not match")
    ranges: dict[int, slice] = {}
    for axis, low, high, step in zip(chosen, first, last, strides, strict=True):
        size = shape[axis]
        low, high = (v + size if v < 0 else v for v in (low, high))
        if step > 0:
            ranges[axis] = slice(min(max(low, 0), size), min(max(high, 0), size), step)
        else:
            low, high = min(max(low, 0), size - 1), min(max(high, -1), size - 1)
            ranges[axis] = slice(low, None if high < 0 else high, step)
    return ranges


@operator("Slice")
def sliced(ctx: Reading, node: Node, x: Value, *values: Value | None) -> Value:
    """A part of each axis."""
    x = activation(x)
    index = [slice(None)] * len(x.sample)
    shape = list(x.shape)
    for axis, part in slice_ranges(node, x.shape, values).items():
        if axis == x.batch and range(x.shape[axis])[part] == range(x.shape[axis]):
            continue
        index[x.axis(axis)] = part
        shape[axis] = len(range(x.shape[axis])[part])
    if 0 in shape:
        raise FileFormatError(f"{node}: nothing is left of a tensor of shape {shown(x.shape)}")
    return Activation(ctx.build.take(x.signal, tuple(index), name=ctx.name(node)), tuple(shape), x.batch)


@operator("Gather")
def gather(ctx: Reading, node: Node, x: Value, indices: Value) -> Value:
    """Coordinates along an axis: one of them, or some in any order."""
    x = activation(x)
    axis = checked_axis(node.attributes.read("axis", "int", 0), len(x.shape))
    along, size = x.axis(axis), x.shape[axis]
    listed = constant(indices, "the indices").array
    if listed.dtype.kind not in "iu" or listed.ndim > 1 or ((listed < -size) | (listed >= size)).any():
        raise Refused(f"needed a number or a vector of integers from {-size} to {size - 1} as indices")
    chosen = [int(i) % size for i in np.atleast_1d(listed)]
    name = ctx.name(node)
    if listed.ndim == 0:
        signal = ctx.build.take(x.signal, (slice(None),) * along + (chosen[0],), name=name)
        shape = (*x.shape[:axis], *x.shape[axis + 1 :])
        batch = x.batch if x.batch is None or x.batch < axis else x.batch - 1
        return Activation(signal, shape, batch)
    if not chosen:
        raise FileFormatError(f"{node}: needed indices, got none")
    steps = set(np.diff(chosen).tolist())
    ctx.require_short(len(chosen), *x.sample)
    ctx.reserve((len(chosen), *x.sample))
    if len(steps) <= 1 and 0 not in steps:
        step = steps.pop() if steps else 1
        end = chosen[-1] + (1 if step > 0 else -1)
        index = (slice(None),) * along + (slice(chosen[0], None if end < 0 else end, step),)
        return ctx.made(ctx.build.take(x.signal, index, name=name), x)
    maps = [selection(size, chosen), *map(identity_axis, x.sample[along + 1 :])]
    return ctx.made(ctx.build.resize(x.signal, maps, name=name), x)


def selection(n: int, chosen: Sequence[int | None]) -> WeightedAxis:
    """Coordinates of an axis of n, in any order and with repetitions; None is a zero."""
    return weighted(n, [[] if i is None else [(i, ONE)] for i in chosen])


# -- padding ------------------------------------------------------------------------------------------------------


@operator("Pad")
def pad(
    ctx: Reading,
    node: Node,
    x: Value,
    widths: Value | None = None,
    value: Value | None = None,
    axes: Value | None = None,
) -> Value:
    """Zeros, constants, or repeated entries around; negative widths cut."""
    x = activation(x)
    listed = node.attributes.read("pads", "ints", node.attributes.read("paddings", "ints"))
    if widths is not None:
        listed = integers(widths, "pads")
    chosen = (
        list(range(len(x.shape))) if axes is None else [checked_axis(a, len(x.shape)) for a in integers(axes, "axes")]
    )
    if listed is None or len(listed) != 2 * len(chosen):
        raise FileFormatError(f"{node}: needed two widths per axis of {shown(x.shape)}, got {listed}")
    mode = node.attributes.read("mode", "string", "constant")
    fill = scalar(value, "constant_value", node.attributes.read("value", "float", 0.0))
    pairs = {a: (listed[i], listed[i + len(chosen)]) for i, a in enumerate(chosen)}
    pairs = {a: p for a, p in pairs.items() if p != (0, 0)}
    by_axis = {x.axis(a): p for a, p in pairs.items()}
    shape = [n + sum(by_axis.get(a, (0, 0))) for a, n in enumerate(x.sample)]
    if min(shape, default=1) < 1:
        raise FileFormatError(f"{node}: nothing is left of a tensor of shape {shown(x.shape)}")
    ctx.require_short(*shape, *x.sample)
    ctx.reserve(shape)
    name = ctx.name(node)
    if mode != "constant":
        return _repeated(ctx, x, by_axis, mode, name)
    cuts = tuple(slice(max(0, -b), n - max(0, -a)) for n, (b, a) in _per_axis(x.sample, by_axis))
    signal = x.signal
    if any(c != slice(0, n) for c, n in zip(cuts, x.sample, strict=True)):
        signal = ctx.build.take(signal, cuts, name=ctx.name(node, ".cut"))
    around = [(max(0, b), max(0, a)) for _, (b, a) in _per_axis(x.sample, by_axis)]
    if any(map(any, around)):
        signal = ctx.build.pad(signal, around, name=name)
        if fill != 0:
            frame = np.full(shape, fill, dtype=np.float32 if np.float32(fill) == fill else np.float64)
            frame[tuple(slice(b, n - a) for n, (b, a) in zip(shape, around, strict=True))] = 0
            offset = ctx.own_tensor(f"{name}.frame", frame)
            signal = ctx.build.shift(signal, offset, name=ctx.name(node, ".filled"))
    return ctx.made(signal, x)


def _per_axis(sizes: Sequence[int], widths: dict[int, tuple[int, int]]) -> list[tuple[int, tuple[int, int]]]:
    return [(n, widths.get(axis, (0, 0))) for axis, n in enumerate(sizes)]


def _repeated(ctx: Reading, x: Activation, widths: dict[int, tuple[int, int]], mode: str, name: str) -> Activation:
    """Entries of the tensor itself around it."""
    if mode not in ("reflect", "edge", "wrap"):
        raise FileFormatError(f"needed constant, reflect, edge or wrap as mode, got {mode!r}")
    maps = []
    for n, (before, after) in _per_axis(x.sample, widths):
        if mode == "reflect" and max(before, after) >= n:
            raise FileFormatError(f"reflection by {before} and {after} needs an axis longer than {n}")
        places = range(-before, n + after)
        if mode == "edge":
            maps.append(selection(n, [min(max(i, 0), n - 1) for i in places]))
        elif mode == "wrap":
            maps.append(selection(n, [i % n for i in places]))
        else:
            maps.append(selection(n, [n - 1 - abs(n - 1 - abs(i)) for i in places]))
    first = next((axis for axis, _ in enumerate(x.sample) if axis in widths), None)
    return x if first is None else ctx.made(ctx.build.resize(x.signal, maps[first:], name=name), x)
