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
from pathgraph.io.torch_arguments import MIXES, repeated, require_constant, require_signal
from pathgraph.io.torch_capture import BATCH
from pathgraph.io.torch_constants import Constant
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
    """The last two axes exchanged."""
    return transpose(at, x, -2, -1)


def reverse(at: Importer, x: Any) -> Signal:
    """All axes the other way round, the batch among them."""
    return permute(at, x, range(len(require_signal(x).shape), -1, -1))


def swap(at: Importer, x: Any, axis0: Any = None, axis1: Any = None, dim0: Any = None, dim1: Any = None) -> Signal:
    """Two axes exchanged, by other names."""
    return transpose(at, x, axis0 if dim0 is None else dim0, axis1 if dim1 is None else dim1)


def move_axes(at: Importer, x: Any, source: Any, destination: Any) -> Signal:
    """Some axes elsewhere, the others in their order."""
    n = len(require_signal(x).shape) + 1
    pairs = zip(*([d] if isinstance(d, int) else d for d in (destination, source)), strict=True)
    placed = {to % n: axis % n for to, axis in pairs}
    others = iter(axis for axis in range(n) if axis not in placed.values())
    return permute(at, x, [placed[place] if place in placed else next(others) for place in range(n)])


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


def take_index(at: Importer, x: Any, indices: Any = None, dim: int | None = None, index: Any = None) -> Signal:
    """Entries of one axis by a constant list of their places."""
    signal = require_signal(x)
    if indices is None:
        place, listed = _axis(int(dim or 0), len(signal.shape)), index
    else:
        given = [axis for axis, part in enumerate(indices) if part is not None]
        if len(given) != 1:
            raise Refused("needed an index of one axis alone")
        place, listed = _axis(given[0], len(signal.shape)), indices[given[0]]
    chosen = at.array(require_constant(listed, "index"))
    if chosen.dtype.is_floating_point or chosen.dtype == torch.bool or chosen.dim() != 1:
        raise Refused("needed a list of whole numbers as the index")
    lead = (slice(None),) * place
    n = signal.shape[place]
    parts = [at.build.take(signal, (*lead, slice(i % n, i % n + 1))) for i in chosen.tolist()]
    return at.build.concatenate(parts, place)


def roll(at: Importer, x: Any, shifts: Any, dims: Any = ()) -> Signal:
    """The entries of some axes moved on, the last ones to the front."""
    signal = require_signal(x)
    steps, axes = ([v] if isinstance(v, int) else list(v) for v in (shifts, dims))
    if not axes:
        raise Refused(MIXES)
    for step, dim in zip(steps, axes, strict=True):
        axis = _axis(dim, len(signal.shape))
        cut, lead = -step % signal.shape[axis], (slice(None),) * axis
        if cut:
            pieces = [at.build.take(signal, (*lead, part)) for part in (slice(cut, None), slice(0, cut))]
            signal = at.build.concatenate(pieces, axis)
    return signal


def repeat(at: Importer, x: Any, repeats: Any = None, dims: Any = None) -> Signal:
    """Copies of a tensor beside each other along its axes."""
    signal = require_signal(x)
    times = list(repeats if dims is None else dims)
    times = [1] * (len(signal.shape) + 1 - len(times)) + times
    if len(times) != len(signal.shape) + 1 or times[0] != 1:
        raise Refused("it repeats axis 0, the batch, or moves it")
    for axis, n in enumerate(times[1:]):
        if n > 1:
            signal = at.build.concatenate([signal] * n, axis)
    return signal


def beside(at: Importer, tensors: Any) -> Signal:
    """Tensors one after the other along axis 1."""
    return concatenate(at, tensors, 1)


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
    **dict.fromkeys(["t", "mT", "mH", "adjoint"], matrix_transpose),
    "numpy_T": reverse,
    **dict.fromkeys(["swapaxes", "swapdims"], swap),
    **dict.fromkeys(["movedim", "moveaxis"], move_axes),
    **dict.fromkeys(["index.Tensor", "index_select"], take_index),
    "roll": roll,
    **dict.fromkeys(["repeat", "tile"], repeat),
    "hstack": beside,
    "positive": same,
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
}
"""A rule by operator."""
