"""Which ONNX operators pool and resize? Windows, averages over axes, and interpolation.

Max-pools keep their padding as missing edges; averages and interpolation are fixed matrices along axes, with exact
rational coefficients. ONNX describes interpolation by a coordinate transformation and a rounding; whatever the
combination, the result is one sparse matrix per axis.

Source: the ONNX operator specifications (MaxPool, AveragePool, ReduceMean, Resize, Upsample).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from pathgraph.errors import FileFormatError
from pathgraph.io.onnx_file import Node
from pathgraph.io.onnx_linear import padding_of, sizes_of
from pathgraph.io.onnx_reading import Reading, activation, constant, integers, operator
from pathgraph.io.onnx_values import Activation, Value, checked_axis, shown
from pathgraph.io.onnx_views import axes_of
from pathgraph.io.refusals import Refused
from pathgraph.layers.axes import WeightedAxis, weighted
from pathgraph.layers.windows import bilinear_axis, identity_axis, nearest_axis, pool_axis, pool_size

__all__: list[str] = []

ONE, HALF = Fraction(1), Fraction(1, 2)
LARGEST_WINDOW = 2**12
LONGEST_RESIZED_AXIS, LARGEST_INTERPOLATION = 2**13, 2**21
"""Points of an interpolated image: all their coefficients may differ, and are rational numbers."""


def _windows(ctx: Reading, node: Node, x: Activation) -> dict[str, Any]:
    """The geometry of a pool's windows."""
    n = len(x.shape) - 2
    if not 1 <= n <= 3:
        raise FileFormatError(f"{node}: needed one to three spatial axes, got the shape {shown(x.shape)}")
    if "kernel_shape" not in node.attributes:
        raise FileFormatError(f"{node}: needed kernel_shape, got none")
    kernel, stride, dilation = (sizes_of(node, name, n) for name in ("kernel_shape", "strides", "dilations"))
    if max(kernel) > LARGEST_WINDOW:
        raise FileFormatError(f"{node}: needed windows of at most {LARGEST_WINDOW} per axis, got {kernel}")
    padding = padding_of(node, x.shape[2:], kernel, stride, dilation)
    ceil_mode = bool(node.attributes.read("ceil_mode", "int", 0))
    spans = list(zip(x.shape[2:], kernel, stride, padding, dilation, strict=True))
    for size, k, _, pads, d in spans:
        if min(pads) < 0 or max(pads) > d * (k - 1):
            raise FileFormatError(f"{node}: needed padding from 0 to {d * (k - 1)} for windows {kernel}, got {pads}")
        if d * (k - 1) + 1 > size + sum(pads):
            raise FileFormatError(f"{node}: its windows {kernel} do not fit into the input {shown(x.shape)}")
    counts = [pool_size(size, k, s, *p, d, ceil_mode=ceil_mode) for size, k, s, p, d in spans]
    ctx.require_short(*(count * k for count, k in zip(counts, kernel, strict=True)))
    ctx.reserve((x.shape[1], *counts))
    return {
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "ceil_mode": ceil_mode,
    }


@operator("MaxPool")
def max_pool(ctx: Reading, node: Node, x: Value) -> Value:
    """The largest entry of each window."""
    if any(ctx.uses[name] for name in node.outputs[1:] if name):
        raise Refused("its second output, the places of the maxima, is used")
    node.attributes.ignore("storage_order")  # of that second output
    x = ctx.channels_first(x)
    return ctx.made(ctx.build.max_pool(x.signal, **_windows(ctx, node, x), name=ctx.name(node)), x)


@operator("AveragePool")
def average_pool(ctx: Reading, node: Node, x: Value) -> Value:
    """The average of each window."""
    x = ctx.channels_first(x)
    counts = bool(node.attributes.read("count_include_pad", "int", 0))
    geometry = _windows(ctx, node, x)
    dilation = geometry.pop("dilation")
    if set(dilation) == {1}:
        y = ctx.build.average_pool(x.signal, **geometry, count_include_pad=counts, name=ctx.name(node))
        return ctx.made(y, x)
    ceil_mode = geometry.pop("ceil_mode")
    maps = [
        pool_axis(size, k, s, before, after, d, ceil_mode=ceil_mode, average=True, count_include_pad=counts)
        for size, k, s, (before, after), d in zip(x.shape[2:], *geometry.values(), dilation, strict=True)
    ]
    return ctx.made(ctx.build.resize(x.signal, maps, name=ctx.name(node)), x)


@operator("GlobalAveragePool", "GlobalMaxPool")
def global_pool(ctx: Reading, node: Node, x: Value) -> Value:
    """One window for the whole space."""
    x = ctx.channels_first(x)
    ctx.require_short(*x.sample)
    ctx.reserve(x.shape[1:2])
    make = ctx.build.adaptive_average_pool if node.operator == "GlobalAveragePool" else ctx.build.adaptive_max_pool
    return ctx.made(make(x.signal, 1, name=ctx.name(node)), x)


@operator("ReduceMean", "ReduceMax")
def reduction(ctx: Reading, node: Node, x: Value, axes: Value | None = None) -> Value:
    """Averages over axes; maxima over the spatial ones."""
    x = activation(x)
    listed = axes_of(node, axes)
    keeps = bool(node.attributes.read("keepdims", "int", 1))
    does_nothing = bool(node.attributes.read("noop_with_empty_axes", "int", 0))
    if not listed:
        if does_nothing:
            return x
        listed = list(range(len(x.shape)))
    chosen = sorted({checked_axis(a, len(x.shape)) for a in listed})
    along = [x.axis(a, "the reduced axis") for a in chosen]
    ctx.require_short(*x.sample)
    ctx.reserve(x.sample)
    kept = [a for a in range(len(x.shape)) if a not in chosen]
    shape = tuple(1 if a in chosen else d for a, d in enumerate(x.shape)) if keeps else tuple(x.shape[a] for a in kept)
    batch = x.batch if keeps or x.batch is None else kept.index(x.batch)
    if node.operator == "ReduceMean":
        return Activation(ctx.build.mean(x.signal, along, keep=keeps, name=ctx.name(node)), shape, batch)
    if x.batch != 0 or chosen != list(range(2, len(x.shape))) or not chosen:
        raise Refused(f"needed the maximum over all spatial axes of {shown(x.shape)}, got axes {listed}")
    y = ctx.build.adaptive_max_pool(x.signal, 1, name=ctx.name(node))
    return Activation(y if keeps else ctx.build.flatten(y), shape, batch)


# -- resizing -----------------------------------------------------------------------------------------------------

Coordinates = Callable[[int, int, int, Fraction], Fraction]
COORDINATES: dict[str, Coordinates] = {
    # output coordinate, size of input and output, scale -> coordinate in the input
    "half_pixel": lambda o, n, m, s: (o + HALF) / s - HALF,
    "half_pixel_symmetric": lambda o, n, m, s: Fraction(n, 2) * (1 - Fraction(m) / (n * s)) + (o + HALF) / s - HALF,
    "pytorch_half_pixel": lambda o, n, m, s: (o + HALF) / s - HALF if m > 1 else Fraction(0),
    "align_corners": lambda o, n, m, s: Fraction(o * (n - 1), m - 1) if m > 1 else Fraction(0),
    "asymmetric": lambda o, n, m, s: o / s,
}
ROUNDINGS: dict[str, Callable[[Fraction], int]] = {
    "round_prefer_floor": lambda p: math.ceil(p - HALF),
    "round_prefer_ceil": lambda p: math.floor(p + HALF),
    "floor": math.floor,
    "ceil": math.ceil,
}


@operator("Resize")
def resize(
    ctx: Reading,
    node: Node,
    x: Value,
    region: Value | None = None,
    scales: Value | None = None,
    sizes: Value | None = None,
) -> Value:
    """Nearest-neighbour or linear interpolation."""
    if ctx.opset < 11:  # the second input was the scales
        return _resized(ctx, node, x, region, None, "asymmetric", "floor")
    read = node.attributes.read
    if read("exclude_outside", "int", 0) or read("antialias", "int", 0):
        raise Refused("antialias and exclude_outside are not read")
    if read("keep_aspect_ratio_policy", "string", "stretch") != "stretch":
        raise Refused("keep_aspect_ratio_policy other than stretch is not read")
    node.attributes.ignore("cubic_coeff_a", "extrapolation_value")
    coordinates = read("coordinate_transformation_mode", "string", "half_pixel")
    return _resized(ctx, node, x, scales, sizes, coordinates, read("nearest_mode", "string", "round_prefer_floor"))


@operator("Upsample")
def upsample(ctx: Reading, node: Node, x: Value, scales: Value | None = None) -> Value:
    """What Resize was before operator set 10."""
    return _resized(ctx, node, x, scales, None, "asymmetric", "floor")


def _resized(
    ctx: Reading, node: Node, x: Value, scales: Value | None, sizes: Value | None, coordinates: str, rounding: str
) -> Value:
    x = activation(x)
    mode = node.attributes.read("mode", "string", "nearest")
    mode = "linear" if mode == "bilinear" else mode
    if mode not in ("nearest", "linear") or coordinates not in COORDINATES or rounding not in ROUNDINGS:
        raise Refused(f"mode {mode!r} with {coordinates!r} and {rounding!r} is not read")
    factors, targets = _scales(node, x, scales, sizes)
    changed = [a for a in range(len(x.shape)) if targets[a] != x.shape[a] or factors[a] != 1]
    if x.batch in changed:
        raise Refused("it resizes the batch axis")
    kept = [a for a in range(len(x.shape)) if a != x.batch]
    shape = tuple(targets[a] for a in kept)
    ctx.require_short(*(max(targets[a], x.shape[a]) for a in changed), most=LONGEST_RESIZED_AXIS)
    if mode == "linear":
        ctx.require_short(math.prod(targets[a] for a in changed), most=LARGEST_INTERPOLATION)
    ctx.reserve(shape)
    maps = [
        _axis_map(x.shape[a], targets[a], factors[a], mode, COORDINATES[coordinates], ROUNDINGS[rounding])
        if a in changed
        else identity_axis(x.shape[a])
        for a in kept
    ]
    first = next((i for i, a in enumerate(kept) if a in changed), None)
    return x if first is None else ctx.made(_named(ctx, node, x, maps, first, mode), x)


def _scales(node: Node, x: Activation, scales: Value | None, sizes: Value | None) -> tuple[list[Fraction], list[int]]:
    """Factor and new size of each axis of the file."""
    rank = len(x.shape)
    axes = node.attributes.read("axes", "ints")
    chosen = list(range(rank)) if axes is None else [checked_axis(a, rank) for a in axes]
    factors, targets = [Fraction(1)] * rank, list(x.shape)
    if scales is not None and constant(scales, "scales").array.size:
        listed = [float(s) for s in constant(scales, "scales").array.reshape(-1)]
        is_valid = len(listed) == len(chosen) and all(math.isfinite(s) and s > 0 for s in listed)
        for axis, factor in zip(chosen, listed if is_valid else [], strict=is_valid):
            factors[axis] = Fraction(factor)
            targets[axis] = math.floor(x.shape[axis] * factors[axis])
    elif sizes is not None:
        listed = list(map(float, integers(sizes, "sizes")))
        is_valid = len(listed) == len(chosen)
        for axis, size in zip(chosen, integers(sizes, "sizes") if is_valid else [], strict=is_valid):
            factors[axis], targets[axis] = Fraction(size, x.shape[axis]), size
    else:
        listed = node.attributes.read("scales", "floats", [])
        is_valid = len(listed) == rank and all(math.isfinite(s) and s > 0 for s in listed)
        for axis, factor in enumerate(listed if is_valid else []):
            factors[axis] = Fraction(factor)
            targets[axis] = math.floor(x.shape[axis] * factors[axis])
    if not is_valid or min(targets) < 1 or min(factors) <= 0:
        raise FileFormatError(f"{node}: needed a positive scale or size for each of {len(chosen)} axes, got {listed}")
    return factors, targets


def _axis_map(
    n: int, m: int, scale: Fraction, mode: str, coordinate: Coordinates, rounding: Callable[[Fraction], int]
) -> WeightedAxis:
    """The matrix of an interpolation along one axis; what lies outside reads the nearest coordinate."""
    rows: list[Sequence[tuple[int, Fraction]]] = []
    for o in range(m):
        place = coordinate(o, n, m, scale)
        if mode == "nearest":
            rows.append([(min(max(rounding(place), 0), n - 1), ONE)])
            continue
        place = min(max(place, Fraction(0)), Fraction(n - 1))
        low = math.floor(place)
        rest = place - low
        rows.append([(low, 1 - rest)] + ([(low + 1, rest)] if rest else []))
    return weighted(n, rows)


def _named(ctx: Reading, node: Node, x: Activation, maps: Sequence[WeightedAxis], first: int, mode: str) -> Any:
    """The usual kinds of resizing under their names, others as matrices along axes."""
    name, sizes = ctx.name(node), tuple(m.taps.n_out for m in maps[1:])
    if first >= 1 and x.batch in (0, None):
        pairs = list(zip(x.sample[1:], sizes, strict=True))
        if mode == "nearest" and list(maps[1:]) == [nearest_axis(n, m) for n, m in pairs]:
            return ctx.build.nearest(x.signal, sizes, name=name)
        for corners in (False, True) if mode == "linear" else ():
            if list(maps[1:]) == [bilinear_axis(n, m, align_corners=corners) for n, m in pairs]:
                return ctx.build.bilinear(x.signal, sizes, align_corners=corners, name=name)
    return ctx.build.resize(x.signal, maps[first:], name=name)
