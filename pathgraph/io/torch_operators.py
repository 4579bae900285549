"""What the linear operators of PyTorch are as layers: matrices, convolutions, batch-norms, sums and products.

A rule takes the importer and the arguments of the operator by the names of its schema, ``self`` and ``input`` being
called x; it gives a signal, or raises `Refused`.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from pathgraph.io.refusals import Refused
from pathgraph.io.torch_arguments import MIXES, per_axis, require_constant, require_signal
from pathgraph.io.torch_constants import Constant
from pathgraph.io.torch_import import Importer
from pathgraph.io.torch_reasons import STATISTICS
from pathgraph.layers.builder import Signal

__all__ = ["RULES"]


# -- linear maps -----------------------------------------------------------------------------------------------------


def linear(at: Importer, x: Any, weight: Any, bias: Any = None) -> Signal:
    """``torch.nn.functional.linear``."""
    weight = require_constant(weight, "weight")
    return _product(at, require_signal(x), weight, bias)


def _product(at: Importer, x: Signal, weight: Constant, bias: Any) -> Signal:
    """A matrix (n_out, n_in) on the last axis; of a vector, which makes a scalar."""
    offset = None if bias is None else at.tensor(require_constant(bias, "bias"))
    if not x.shape:
        raise Refused(MIXES)
    handle, is_transposed = at.transposed(weight)
    if len(handle.shape) != 2:
        raise Refused(f"needed a matrix, got a weight of shape {handle.shape}")
    return at.build.linear(x, handle, offset, transposed=is_transposed, name=at.name)


def addmm(at: Importer, x: Any, mat1: Any, mat2: Any, beta: float = 1, alpha: float = 1) -> Signal:
    """``x + mat1 @ mat2``."""
    if (beta, alpha) != (1, 1):
        raise Refused("needed beta = alpha = 1")
    return matmul(at, mat1, mat2, bias=x)


def matmul(at: Importer, x: Any, other: Any = None, mat2: Any = None, vec: Any = None, bias: Any = None) -> Signal:
    """A product of an activation with a constant matrix or vector, on either side."""
    other = next(value for value in (other, mat2, vec) if value is not None)
    if isinstance(x, Constant):
        y = require_signal(other)
        if len(x.shape) != 2 or len(y.shape) < 2:
            raise Refused("needed a constant matrix times an activation with two axes besides the batch")
        axes = [*range(len(y.shape) - 2), len(y.shape) - 1, len(y.shape) - 2]
        z = at.build.linear(at.build.transpose(y, axes), at.tensor(x), name=at.name)
        return at.build.transpose(z, axes)
    other = require_constant(other, "second factor")
    y = require_signal(x)
    if len(other.shape) == 1:
        z = at.build.linear(y, at.tensor(other, (1, *other.shape)), name=at.name)
        return at.build.reshape(z, y.shape[:-1])
    if len(other.shape) != 2:
        raise Refused(f"needed a matrix, got a second factor of shape {other.shape}")
    offset = None if bias is None else at.tensor(require_constant(bias, "bias"))
    handle, is_transposed = at.transposed(other)
    return at.build.linear(y, handle, offset, transposed=not is_transposed, name=at.name)


def convolution(
    at: Importer,
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    transposed: bool = False,
    output_padding: Any = 0,
) -> Signal:
    """Convolutions in any number of dimensions."""
    handle = at.tensor(require_constant(weight, "weight"))
    offset = None if bias is None else at.tensor(require_constant(bias, "bias"))
    signal, n = require_signal(x), len(handle.shape) - 2
    if len(signal.shape) != n + 1:
        raise Refused(f"needed an input with a batch axis, channels and {n} spatial axes")
    step, spread = per_axis(stride, n), per_axis(dilation, n)
    if transposed:
        return at.build.transposed_convolution(
            signal,
            handle,
            offset,
            stride=step,
            padding=per_axis(padding, n),
            output_padding=per_axis(output_padding, n),
            dilation=spread,
            groups=groups,
            name=at.name,
        )
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(spread, handle.shape[2:], strict=True)]
        pads: Any = [(t // 2, t - t // 2) for t in total]
    else:
        pads = 0 if padding == "valid" else per_axis(padding, n)
    return at.build.convolution(
        signal, handle, offset, stride=step, padding=pads, dilation=spread, groups=groups, name=at.name
    )


def transposed_convolution(
    at: Importer,
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Signal:
    """Transposed convolutions in any number of dimensions."""
    return convolution(at, x, weight, bias, stride, padding, dilation, groups, True, output_padding)


# -- batch-norm ------------------------------------------------------------------------------------------------------


def instance_norm(at: Importer, x: Any, use_input_stats: bool = True, **rest: Any) -> Signal:
    """An instance-norm in evaluation mode is a batch-norm if it has kept running statistics."""
    if use_input_stats:
        raise Refused(STATISTICS)
    return batch_norm(at, x=x, **rest)


def batch_norm(
    at: Importer,
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool = False,
    eps: float = 1e-5,
    **_: Any,
) -> Signal:
    """A batch-norm with frozen statistics: its scale and shift, computed in double precision."""
    parts = {"weight": weight, "bias": bias, "running_mean": running_mean, "running_var": running_var}
    if training or running_mean is None or running_var is None:
        raise Refused(
            "it divides by statistics of the batch, so that no paths describe it; needed running statistics, which are "
            "fixed: a batch-norm with track_running_stats=True, in evaluation mode"
        )
    nodes = {key: require_constant(part, key).node for key, part in parts.items() if part is not None}
    stem = next(
        (name.rpartition(".")[0] for key in nodes if (name := at.origin(parts[key]).name) is not None), at.node.name
    )
    prefix = f"{stem}." if stem else ""

    def scale(state: Any) -> torch.Tensor:
        wide = at.wide(nodes["running_var"], state)
        factor = at.wide(nodes["weight"], state) if "weight" in nodes else torch.ones_like(wide)
        return factor / torch.sqrt(wide + eps)

    def shift(state: Any) -> torch.Tensor:
        centre = at.wide(nodes["running_mean"], state) * scale(state)
        return (at.wide(nodes["bias"], state) if "bias" in nodes else 0) - centre

    key = (*((part, at.number_of(node)) for part, node in nodes.items()), eps)
    factor, offset = (
        at.made((kind, key), f"{prefix}{kind}", "frozen", recipe)
        for kind, recipe in (("scale", scale), ("shift", shift))
    )
    return at.build.batch_norm(require_signal(x), factor, offset, name=at.name)


# -- sums and products -----------------------------------------------------------------------------------------------


def add(at: Importer, x: Any, other: Any, alpha: Any = 1) -> Signal:
    """``x + alpha * other``."""
    if isinstance(x, (Constant, int, float)):
        if alpha == 1:
            return add(at, other, x)
        return add(at, _times(at, require_signal(other), alpha), x)
    signal = require_signal(x)
    if isinstance(other, Signal):
        if len(other.shape) != len(signal.shape):
            raise Refused(MIXES)
        if alpha not in (1, -1):
            other, alpha = _times(at, other, alpha), 1
        return at.build.add([signal, other], signs=[1, 1 if alpha == 1 else -1], name=at.name)
    if isinstance(other, (int, float)):
        return at.build.shift(signal, at.number(other * alpha, len(signal.shape)), name=at.name)
    constant = require_constant(other, "second term")
    if alpha == 1:
        return at.build.shift(*at.broadcast(signal, constant), name=at.name)
    if at.origin(constant).sources & at.parameters:  # the parameter itself is the bias of a neuron
        signal, handle = at.broadcast(signal, constant)
        return add(at, signal, at.build.constant(handle), alpha)
    suffix = "negative" if alpha == -1 else f"times {alpha}"
    signal, handle = at.broadcast(signal, constant, transform=lambda plain: plain * alpha, suffix=suffix)
    return at.build.shift(signal, handle, name=at.name)


def subtract(at: Importer, x: Any, other: Any, alpha: float = 1) -> Signal:
    """``x - alpha * other``."""
    return add(at, x, other, -alpha)


def subtract_from(at: Importer, x: Any, other: Any, alpha: float = 1) -> Signal:
    """``other - alpha * x``."""
    return add(at, other, x, -alpha)


def negative(at: Importer, x: Any) -> Signal:
    """``-x``."""
    return _times(at, require_signal(x), -1)


def multiply(at: Importer, x: Any, other: Any) -> Signal:
    """A product with a number or a constant."""
    if isinstance(other, Signal) and isinstance(x, Signal):
        raise Refused("it multiplies activations with each other")
    if isinstance(other, Signal):
        x, other = other, x
    return _scaled(at, require_signal(x), other)


def divide(at: Importer, x: Any, other: Any, rounding_mode: str | None = None) -> Signal:
    """A quotient by a number or a constant."""
    if rounding_mode is not None:
        raise Refused("it rounds")
    if isinstance(other, Signal):
        raise Refused("it divides by an activation")
    signal = require_signal(x)
    if isinstance(other, (int, float)):
        return _times(at, signal, 1 / other if other else math.inf)
    constant = require_constant(other, "divisor")
    return at.build.scale(
        *at.broadcast(signal, constant, transform=torch.reciprocal, suffix="reciprocal"), name=at.name
    )


def _scaled(at: Importer, x: Signal, factor: Any) -> Signal:
    if isinstance(factor, (int, float)):
        return _times(at, x, factor)
    return at.build.scale(*at.broadcast(x, require_constant(factor, "factor")), name=at.name)


def _times(at: Importer, x: Signal, number: float) -> Signal:
    if number == -1:
        return at.build.add([x], signs=[-1], name=at.name)
    return at.build.scale(x, at.number(number, len(x.shape)), name=at.name)


RULES: dict[str, Any] = {
    "linear": linear,
    "addmm": addmm,
    "mm": matmul,
    "matmul": matmul,
    "mv": matmul,
    "convolution": convolution,
    **{f"conv{n}d": convolution for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": transposed_convolution for n in (1, 2, 3)},
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "add": add,
    "sub": subtract,
    "rsub": subtract_from,
    "subtract": subtract,
    "neg": negative,
    "mul": multiply,
    "multiply": multiply,
    **dict.fromkeys(["div", "divide", "true_divide"], divide),
}
"""A rule by operator, with or without its overload."""
