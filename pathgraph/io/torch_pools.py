"""What the pools, sums and maxima over axes, and activations of PyTorch are as layers.

Rules are as in `torch_operators`.
"""

from __future__ import annotations

import math
from typing import Any

from pathgraph.io import modelling
from pathgraph.io.refusals import Refused
from pathgraph.io.torch_arguments import axes_of, per_axis, require_constant, require_signal
from pathgraph.io.torch_constants import Constant
from pathgraph.io.torch_import import Importer
from pathgraph.layers.builder import Signal

__all__ = ["RULES"]

# -- pools -----------------------------------------------------------------------------------------------------------


def _with_channel(at: Importer, x: Any, n: int) -> tuple[Signal, bool]:
    """A signal with one axis before the n spatial ones, and whether that axis was added."""
    signal = require_signal(x)
    if len(signal.shape) == n:
        return at.build.reshape(signal, (1, *signal.shape)), True
    if len(signal.shape) == n + 1:
        return signal, False
    raise Refused(f"needed an input with a batch axis, channels and {n} spatial axes")


def _pool(n: int, kind: str) -> Any:
    def max_pool(
        at: Importer, x: Any, kernel_size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> Signal:  # fmt: skip
        signal, added = _with_channel(at, x, n)
        kernel = per_axis(kernel_size, n)
        y = at.build.max_pool(
            signal,
            kernel,
            stride=per_axis(stride, n) if stride else kernel,
            padding=per_axis(padding, n),
            dilation=per_axis(dilation, n),
            ceil_mode=ceil_mode,
            name=at.name,
        )
        return at.build.reshape(y, y.shape[1:]) if added else y

    def average_pool(
        at: Importer, x: Any, kernel_size: Any, stride: Any = (), padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> Signal:  # fmt: skip
        signal, added = _with_channel(at, x, n)
        kernel = per_axis(kernel_size, n)
        y = at.build.average_pool(
            signal,
            kernel,
            stride=per_axis(stride, n) if stride else kernel,
            padding=per_axis(padding, n),
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
            divisor=divisor_override,
            name=at.name,
        )
        return at.build.reshape(y, y.shape[1:]) if added else y

    def adaptive(at: Importer, x: Any, output_size: Any) -> Signal:
        signal, added = _with_channel(at, x, n)
        make = at.build.adaptive_max_pool if kind.startswith("adaptive_max") else at.build.adaptive_average_pool
        y = make(signal, per_axis(output_size, n), name=at.name)
        return at.build.reshape(y, y.shape[1:]) if added else y

    def first(rule: Any) -> Any:
        return lambda at, **arguments: [rule(at, **arguments), None]

    rules = {"max": max_pool, "average": average_pool, "adaptive_max": adaptive, "adaptive_average": adaptive}
    if kind.endswith("+indices"):
        return first(rules[kind.removesuffix("+indices")])
    return rules[kind]


def mean(at: Importer, x: Any, dim: Any = None, keepdim: bool = False, **_: Any) -> Signal:
    """The average over some axes."""
    signal = require_signal(x)
    y = at.build.mean(signal, axes_of(dim, signal), name=at.name)
    return at.build.reshape(y, at.shape)


def total(at: Importer, x: Any, dim: Any = None, keepdim: bool = False, **_: Any) -> Signal:
    """The sum over some axes."""
    lead = _moved_last(at, require_signal(x), dim)
    y = at.build.resize(lead, [[[1] * lead.shape[-1]]], name=at.name)
    return at.build.reshape(y, at.shape)


def largest(at: Importer, x: Any, dim: Any = None, keepdim: bool = False) -> Signal:
    """The maximum over some axes, as one pool neuron for what remains."""
    lead = _moved_last(at, require_signal(x), dim)
    y = at.build.max_pool(lead, lead.shape[-1], name=at.name)
    return at.build.reshape(y, at.shape)


def largest_with_index(at: Importer, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The maximum over one axis; its index, which comes second, is no activation."""
    lead = _moved_last(at, require_signal(x), dim)
    y = at.build.max_pool(lead, lead.shape[-1], name=at.name)
    return [at.build.reshape(y, tuple(at.node.meta["val"][0].shape[1:])), None]


def _moved_last(at: Importer, x: Signal, dim: Any) -> Signal:
    """The axes of `dim` merged into the last one, all others into the first: shape (rest, merged)."""
    axes = axes_of(dim, x)
    rest = [axis for axis in range(len(x.shape)) if axis not in axes]
    moved = at.build.transpose(x, [*rest, *axes])
    return at.build.reshape(moved, (math.prod(x.shape[axis] for axis in rest), math.prod(x.shape[a] for a in axes)))


# -- activations -----------------------------------------------------------------------------------------------------


def relu(at: Importer, x: Any) -> Signal:
    """The ReLU."""
    return at.build.relu(require_signal(x), name=at.name)


def clamp(at: Importer, x: Any, min: Any = None, max: Any = None, min_val: Any = None, max_val: Any = None) -> Signal:
    """The ReLU and its capped variants, among all that limit a value."""
    low = min if min_val is None else min_val
    high = max if max_val is None else max_val
    if isinstance(low, (Signal, Constant)) or isinstance(high, (Signal, Constant)):
        raise Refused("needed limits that are numbers")
    if low != 0:
        raise Refused(f"needed the lower limit 0 of a ReLU, got {low}")
    if high is None or high == math.inf:
        return relu(at, x)
    if not high > 0:
        raise Refused(f"needed an upper limit above 0, got {high}")
    if at.relu6 is None:
        raise Refused(
            f"a ReLU capped at {high} is not positively homogeneous; relu6='relu' takes it for a ReLU, relu6='exact' "
            f"models it as ReLU(z) - ReLU(z - {high})"
        )
    if at.relu6 == "relu":
        at.notes.append("capped ReLUs (ReLU6) were taken for ReLUs")
        return relu(at, x)
    signal = require_signal(x)
    return modelling.capped_relu(at.build, signal, at.number(-high, len(signal.shape)), name=at.name)


def relu6(at: Importer, x: Any) -> Signal:
    """The ReLU capped at 6."""
    return clamp(at, x, 0, 6)


def threshold(at: Importer, x: Any, threshold: Any, value: Any) -> Signal:
    """A threshold at 0 is the ReLU."""
    if (threshold, value) != (0, 0):
        raise Refused("needed threshold = value = 0, which is the ReLU")
    return relu(at, x)


def leaky_relu(at: Importer, x: Any, negative_slope: float = 0.01) -> Signal:
    """The leaky ReLU with a fixed slope."""
    signal = require_signal(x)
    if negative_slope == 0:
        return relu(at, signal)
    _opted_in(at)
    return modelling.leaky_relu(at.build, signal, at.number(negative_slope, len(signal.shape)), name=at.name)


def prelu(at: Importer, x: Any, weight: Any) -> Signal:
    """The leaky ReLU with slopes that are parameters."""
    signal = require_signal(x)
    _opted_in(at)
    slope = at.tensor(require_constant(weight, "weight"))
    shape = (math.prod(slope.shape), *(1,) * (len(signal.shape) - 1))
    return modelling.leaky_relu(at.build, signal, slope.reshaped(shape), name=at.name)


def _opted_in(at: Importer) -> None:
    if at.leaky_relu is None:
        raise Refused("a leaky ReLU is two ReLUs: leaky_relu='exact' models it as ReLU(z) - a ReLU(-z)")


def maximum(at: Importer, x: Any, other: Any) -> Signal:
    """The larger of two activations, as pool neurons with two antecedents."""
    first, second = require_signal(x), require_signal(other)
    if first.shape != second.shape:
        raise Refused(f"needed equal shapes, got {first.shape} and {second.shape}")
    pair = at.build.concatenate([at.build.reshape(part, (-1, 1)) for part in (first, second)], axis=1)
    return at.build.reshape(at.build.max_pool(pair, 2, name=at.name), first.shape)


def softmax(at: Importer, x: Any, dim: int, **_: Any) -> Signal:
    """A softmax that is an output is left out, and reported."""
    if any(user.op != "output" for user in at.node.users) or not at.node.users:
        raise Refused("a softmax inside a network is no piecewise linear map; only a last one is left out")
    place = f" in {at.path}" if at.path else ""
    at.notes.append(f"the last {at.node.name}{place} was left out: the outputs are what it reads")
    return require_signal(x)


RULES: dict[str, Any] = {
    **{f"max_pool{n}d": _pool(n, "max") for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": _pool(n, "max+indices") for n in (1, 2, 3)},
    **{f"avg_pool{n}d": _pool(n, "average") for n in (1, 2, 3)},
    **{f"adaptive_max_pool{n}d": _pool(n, "adaptive_max+indices") for n in (1, 2, 3)},
    **{f"{mark}adaptive_avg_pool{n}d": _pool(n, "adaptive_average") for n in (1, 2, 3) for mark in ("", "_")},
    "mean": mean,
    "sum": total,
    "amax": largest,
    "max.dim": largest_with_index,
    "max.other": maximum,
    "maximum": maximum,
    "relu": relu,
    "relu6": relu6,
    "hardtanh": clamp,
    "clamp": clamp,
    "clamp_min": clamp,
    "threshold": threshold,
    "leaky_relu": leaky_relu,
    "prelu": prelu,
    **dict.fromkeys(["softmax", "log_softmax", "_softmax", "_log_softmax"], softmax),
}
"""A rule by operator, with or without its overload."""
