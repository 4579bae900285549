"""What the operators of PyTorch that move entries about are as views and fixed maps.

Rules are as in `torch_operators`. Most make no neurons; padding, repeating and resizing do.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array

from pathgraph.io.refusals import Refused
from pathgraph.io.torch_arguments import MIXES, repeated, require_signal
from pathgraph.io.torch_capture import BATCH
from pathgraph.io.torch_constants import Constant, key_of
from pathgraph.io.torch_import import Importer
from pathgraph.layers.builder import Signal

__all__ = ["RULES"]


def same(at: Importer, x: Any, train: bool = False, **_: Any) -> Signal:
    """Operators that do nothing to values: copies, casts between floats, dropout in evaluation mode."""
    if train:
        raise Refused("a dropout that is active in evaluation mode is random")
    return require_signal(x)


def reshape(at: Importer, x: Any, **_: Any) -> Signal:
    """Every entry in C order, in the shape that was recorded."""
    signal = require_signal(x)
    if at.node.meta["val"].dim() == 0 or math.prod(at.shape) != math.prod(signal.shape):
        raise Refused(MIXES)
    return signal if at.shape == signal.shape else at.build.reshape(signal, at.shape)


def permute(at: Importer, x: Any, dims: Any) -> Signal:
    """The axes in another order."""
    signal = require_signal(x)
    axes = [axis % (len(signal.shape) + 1) for axis in dims]
    if axes[0] != 0:
        raise Refused("it moves axis 0, the batch")
    return at.build.transpose(signal, [axis - 1 for axis in axes[1:]])


def transpose(at: Importer, x: Any, dim0: int, dim1: int) -> Signal:
    """Two axes exchanged."""
    signal = require_signal(x)
    n = len(signal.shape) + 1
    axes = list(range(n))
    axes[dim0 % n], axes[dim1 % n] = axes[dim1 % n], axes[dim0 % n]
    return permute(at, signal, axes)


def matrix_transpose(at: Importer, x: Any) -> Signal:
    """The two axes of a batch of numbers, one of which is the batch."""
    return transpose(at, x, 0, 1)


def nothing(at: Importer, **_: Any) -> None:
    """Checks that `torch.export` writes down."""


def concatenate(at: Importer, tensors: Any, dim: int = 0) -> Signal:
    """Tensors one after the other along an axis; constants among them become neurons, zeros padding."""
    parts = [part for part in tensors if not (isinstance(part, Constant) and math.prod(part.shape) == 0)]
    example = next(part for part in parts if isinstance(part, Signal))
    axis = _axis(dim, len(example.shape))
    return at.build.concatenate([_neurons(at, part, example) for part in parts], axis)


def stack(at: Importer, tensors: Any, dim: int = 0) -> Signal:
    """Tensors beside each other along a new axis."""
    example = next(part for part in tensors if isinstance(part, Signal))
    axis = _axis(dim, len(example.shape) + 1)
    shape = (*example.shape[:axis], 1, *example.shape[axis:])
    return at.build.concatenate([at.build.reshape(_neurons(at, part, example), shape) for part in tensors], axis)


def _axis(dim: int, n: int) -> int:
    """An axis of a batch as an axis of a sample that has n axes."""
    axis = dim % (n + 1) - 1
    if axis < 0:
        raise Refused("it goes over axis 0, the batch; needed operations on each sample by itself")
    return axis


def _neurons(at: Importer, part: Any, example: Signal) -> Signal:
    """A signal; of a constant, zeros that are not read, or neurons with the values as biases."""
    if isinstance(part, Signal):
        return part
    if not isinstance(part, Constant):
        raise Refused("needed tensors")
    values = at.array(part)
    shape = tuple(values.shape[1:])
    if bool((values == 0).all()) and not at.origin(part).sources & at.parameters:
        flat = at.build.take(at.build.flatten(example), (slice(0, 1),))
        empty = csr_array((math.prod(shape), 1))
        return at.build.fixed_linear(flat, empty, shape, name=at.build.free_name("zeros"))
    constant, is_repeated = at.of_one_sample(part)
    first: Any = (lambda values: values[0]) if is_repeated else None
    return at.build.constant(at.tensor(constant, shape, transform=first, suffix=at.node.name if is_repeated else ""))


def pad(at: Importer, x: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Signal:
    """Zeros around a tensor, or its own entries again (reflect, replicate, circular); negative widths crop."""
    signal = require_signal(x)
    pairs = list(zip(pad[0::2], pad[1::2], strict=True))[::-1]
    widths = [(0, 0)] * (len(signal.shape) - len(pairs)) + pairs
    if len(widths) != len(signal.shape):
        raise Refused("it pads axis 0, the batch")
    if mode == "constant":
        if value:
            raise Refused(f"needed zeros as padding, got {value}")
        cropped = at.build.take(
            signal, tuple(slice(max(0, -a), n - max(0, -b)) for n, (a, b) in _sized(signal, widths))
        )
        wider = [(max(0, a), max(0, b)) for a, b in widths]
        return at.build.pad(cropped, wider, name=at.name) if any(map(any, wider)) else cropped
    modes = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    maps = []
    for n, (before, after) in _sized(signal, widths):
        read = np.pad(np.arange(n), (before, after), mode=modes[mode])  # type: ignore[call-overload]
        maps.append((read[:, None] == np.arange(n)).astype(int))
    return at.build.resize(signal, maps, name=at.name)


def _sized(x: Signal, widths: Any) -> list[tuple[int, tuple[int, int]]]:
    return list(zip(x.shape, widths, strict=True))


def take_slice(
    at: Importer, x: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    """A slice of one axis."""
    signal = require_signal(x)
    axis = dim % (len(signal.shape) + 1)
    if axis == 0:
        if at.node.meta["val"].shape[0] != BATCH or step != 1:
            raise Refused("it takes a part of axis 0, the batch")
        return signal
    return at.build.take(signal, (*(slice(None),) * (axis - 1), slice(start, end, step)))


def narrow(at: Importer, x: Any, dim: int, start: int, length: int) -> Any:
    """A slice of one axis, by its length."""
    return take_slice(at, x, dim, start, start + length)


def select(at: Importer, x: Any, dim: int, index: int) -> Signal:
    """One index of an axis."""
    signal = require_signal(x)
    return at.build.take(signal, (*(slice(None),) * _axis(dim, len(signal.shape)), index))


def split(at: Importer, x: Any, dim: int = 0, **_: Any) -> list[Signal]:
    """Consecutive parts of an axis, of the recorded sizes."""
    signal = require_signal(x)
    axis = _axis(dim, len(signal.shape))
    parts, first = [], 0
    for tensor in at.node.meta["val"]:
        stop = first + tensor.shape[axis + 1]
        parts.append(at.build.take(signal, (*(slice(None),) * axis, slice(first, stop))))
        first = stop
    return parts


def unbind(at: Importer, x: Any, dim: int = 0) -> list[Signal]:
    """All indices of an axis."""
    signal = require_signal(x)
    axis = _axis(dim, len(signal.shape))
    return [at.build.take(signal, (*(slice(None),) * axis, index)) for index in range(signal.shape[axis])]


def flip(at: Importer, x: Any, dims: Any) -> Signal:
    """Axes the other way round."""
    signal = require_signal(x)
    axes = {_axis(dim, len(signal.shape)) for dim in dims}
    return at.build.take(
        signal, tuple(slice(None, None, -1 if axis in axes else None) for axis in range(len(signal.shape)))
    )


def expand(at: Importer, x: Any, **_: Any) -> Signal:
    """Axes of size 1 repeated: identity neurons that read the same entry."""
    signal = require_signal(x)
    if len(at.shape) != len(signal.shape) or at.node.meta["val"].shape[0] != BATCH:
        raise Refused("it repeats axis 0, the batch, or moves it")
    return repeated(at.build, signal, at.shape, name=at.name)


def pixel_shuffle(at: Importer, x: Any, upscale_factor: int) -> Signal:
    """Channels into space: (C r^2, H, W) -> (C, H r, W r)."""
    signal, r = require_signal(x), upscale_factor
    channels, height, width = signal.shape
    y = at.build.reshape(signal, (channels // r**2, r, r, height, width))
    return at.build.reshape(at.build.transpose(y, (0, 3, 1, 4, 2)), at.shape)


def pixel_unshuffle(at: Importer, x: Any, downscale_factor: int) -> Signal:
    """Space into channels: (C, H r, W r) -> (C r^2, H, W)."""
    signal, r = require_signal(x), downscale_factor
    channels, height, width = signal.shape
    y = at.build.reshape(signal, (channels, height // r, r, width // r, r))
    return at.build.reshape(at.build.transpose(y, (0, 2, 4, 1, 3)), at.shape)


def channel_shuffle(at: Importer, x: Any, groups: int) -> Signal:
    """Channels of all groups by turns."""
    signal = require_signal(x)
    y = at.build.reshape(signal, (groups, signal.shape[0] // groups, *signal.shape[1:]))
    return at.build.reshape(at.build.transpose(y, (1, 0, *range(2, len(y.shape)))), at.shape)


# -- resizing --------------------------------------------------------------------------------------------------------


def resize(at: Importer, x: Any, **arguments: Any) -> Signal:
    """Linear interpolation and doubling by their definition; others, and odd factors, as PyTorch computes them."""
    signal = require_signal(x)
    kind, n = key_of(at.node), len(signal.shape) - 1
    size = at.shape[1:]
    factors = arguments.get("scale_factors") or _given_scales(arguments, n)
    is_plain = all(
        factor is None or m == n * factor for n, m, factor in zip(signal.shape[1:], size, factors, strict=True)
    )
    is_doubled = all(m in (n, 2 * n) for n, m in zip(signal.shape[1:], size, strict=True))
    if is_doubled and kind.startswith("upsample_nearest"):
        return at.build.nearest(signal, size, name=at.name)
    if is_plain and kind in ("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"):
        corners = bool(arguments["align_corners"])
        return at.build.bilinear(signal, size, align_corners=corners, name=at.name)
    maps = [_observed(at, n, axis, factors) for axis in range(n)]
    return at.build.resize(signal, maps, name=at.name)


def _given_scales(arguments: dict[str, Any], n: int) -> list[Any]:
    names = ["scales"] if n == 1 else ["scales_d", "scales_h", "scales_w"][-n:]
    return [arguments.get(name) for name in names]


def _observed(at: Importer, n: int, axis: int, factors: list[Any]) -> np.ndarray[Any, Any]:
    """The matrix of a resizing along one axis: what PyTorch makes of the unit vectors, the other axes having size 1."""
    node: Any = at.node
    before, after = node.args[0].meta["val"].shape[2 + axis], node.meta["val"].shape[2 + axis]
    shape, size = [1, before] + [1] * n, [1] * n
    shape[2 + axis], size[axis] = before, after
    # which entry is nearest is decided in the precision of the tensor; coefficients are wanted in double precision
    dtype = node.meta["val"].dtype if "nearest" in key_of(node) else torch.float64
    images = torch.eye(before, dtype=dtype).reshape(shape)
    arguments = {}
    for argument, value in zip(node.target._schema.arguments, node.args, strict=False):
        arguments[argument.name] = value
    arguments |= node.kwargs
    name = next(name for name in ("self", "input") if name in arguments)
    del arguments[name]
    if arguments.get("scale_factors") is not None:
        arguments["scale_factors"] = [factors[axis] if i == axis else 1.0 for i in range(n)]
    else:
        arguments["output_size"] = size
        for i, key in enumerate(["scales"] if n == 1 else ["scales_d", "scales_h", "scales_w"][-n:]):
            if arguments.get(key) is not None and i != axis:
                arguments[key] = 1.0
    made = node.target(images, **arguments)
    return np.array(made.double().reshape(before, after).T.numpy())


RULES: dict[str, Any] = {
    **dict.fromkeys(
        ["alias", "clone", "contiguous", "detach", "dropout", "feature_dropout", "alpha_dropout", "to", "_to_copy"],
        same,
    ),
    **dict.fromkeys(["feature_alpha_dropout", "native_dropout", "lift_fresh_copy"], same),
    **dict.fromkeys(
        ["flatten", "reshape", "view", "_unsafe_view", "squeeze", "unsqueeze", "unflatten", "view_as"], reshape
    ),
    "permute": permute,
    "transpose": transpose,
    "t": matrix_transpose,
    "_assert_tensor_metadata": nothing,
    "cat": concatenate,
    "concat": concatenate,
    "stack": stack,
    "pad": pad,
    "constant_pad_nd": pad,
    "slice": take_slice,
    "narrow": narrow,
    "select": select,
    **dict.fromkeys(["split", "split_with_sizes", "chunk", "tensor_split"], split),
    "unbind": unbind,
    "flip": flip,
    "expand": expand,
    "expand_as": expand,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "channel_shuffle": channel_shuffle,
    **{
        f"{mark}upsample_{kind}": resize
        for mark in ("", "_")
        for kind in [
            "nearest1d",
            "nearest2d",
            "nearest3d",
            "nearest_exact1d",
            "nearest_exact2d",
            "nearest_exact3d",
            "linear1d",
            "bilinear2d",
            "trilinear3d",
            "bicubic2d",
        ]
    },
}
"""A rule by operator."""
