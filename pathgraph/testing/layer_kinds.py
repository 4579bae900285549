"""What a drawn layer is made of: one function for each method of the builder that makes layers.

A layer takes its sizes and options from a list of small integers, modulo what fits, so that any integers make a layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from pathgraph.layers import windows
from pathgraph.layers.builder import LayerGraphBuilder, Signal, TensorHandle
from pathgraph.layers.layer_graph import LayerGraph
from pathgraph.scalars import object_array

__all__ = ["KINDS", "OFTEN", "Limits", "Making", "Step"]


class Step(NamedTuple):
    """What is drawn for one layer.

    Attributes
    ----------
    kind : str
        A key of `KINDS`.
    back : int
        Which tensor is read, counted back from the last one, modulo their number.
    numbers : list of int
        What sizes and options are taken from.
    values : list of Fraction
        What tensors are filled with, in turn.
    is_relu, has_bias : bool
    role : {"parameter", "frozen", "structural"}
        Of the tensors.
    is_tied : bool
        Whether an earlier tensor of the same shape and role is taken, if there is one.
    """

    kind: str
    back: int
    numbers: list[int]
    values: list[Fraction]
    is_relu: bool
    has_bias: bool
    role: str
    is_tied: bool


class Limits(NamedTuple):
    """The largest number of channels, size of another axis, and number of edges of the expansion."""

    channels: int
    size: int
    edges: int


class Making:
    """A builder, the tensors it has made, and the integers from which the next layer takes its sizes."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.builder = LayerGraphBuilder()
        self.signals: list[Signal] = []
        self.handles: list[TensorHandle] = []
        self.step: Step
        self._numbers: Iterator[int] = iter(())
        self._values: Iterator[Fraction] = iter(())

    def input(self, shape: tuple[int, ...], name: str) -> None:
        """An input; axes are cut to 1, from the last one, while it has more entries than edges are allowed."""
        sizes = list(shape)
        for axis in reversed(range(len(sizes))):
            if math.prod(sizes) > self.limits.edges:
                sizes[axis] = 1
        self.signals.append(self.builder.input(sizes, name=name))

    def add(self, step: Step) -> None:
        """The layer of a step, and a ReLU if it says so."""
        self.step, self._numbers, self._values = step, iter(step.numbers), cycle(step.values)
        x = self.signals[-1 - step.back % len(self.signals)]
        y = KINDS[step.kind](self, x)
        self.signals.append(self.builder.relu(y) if step.is_relu else y)

    def has_room(self, outputs: Sequence[Signal]) -> bool:
        """Whether the expansion stays within its bound if all these outputs get identity copies."""
        drafts = self.builder._drafts.values()
        edges = sum(operation.n_edges for draft in drafts for operation in draft.layer.operations)
        return edges + sum(math.prod(x.shape) for x in outputs) <= self.limits.edges

    def graph(self, others: list[int]) -> LayerGraph:
        """The graph whose outputs are the last tensor and others, as far as there is room for them."""
        outputs = [self.signals[-1]]
        for back in others:
            signal = self.signals[-1 - back % len(self.signals)]
            if signal not in outputs and self.has_room([*outputs, signal]):
                outputs.append(signal)
        graph = self.builder.build(outputs)
        if graph.is_exact:
            return graph
        known = self.builder._tensors  # without a tensor of its own a graph is in floats
        names = graph.architecture.tensor_names
        values = [known[name].values if name in known else object_array([1]) for name in names]
        return graph.with_tensors([_fractions(array) for array in values])

    # -- what layers are made of ----------------------------------------------------------------------------------

    def below(self, n: int) -> int:
        """The next integer, modulo n; 0 when they are used up."""
        return next(self._numbers, 0) % n

    def one_of(self, options: Sequence[Any]) -> Any:
        """One of some options, the first one by default."""
        return options[self.below(len(options))]

    def divisor(self, n: int) -> int:
        """A divisor of n."""
        divisor: int = self.one_of([m for m in range(1, n + 1) if n % m == 0])
        return divisor

    def tensor(self, *shape: int) -> TensorHandle:
        """A tensor of the role of the step, or an earlier one."""
        if self.step.is_tied:
            for handle in self.handles:
                if handle.shape == shape and handle.role == self.step.role:
                    return handle
        values = object_array(list(islice(self._values, math.prod(shape)))).reshape(shape)
        handle = self.builder.tensor(f"t{len(self.handles)}", values, role=self.step.role)
        self.handles.append(handle)
        return handle

    def bias(self, n: int) -> TensorHandle | None:
        """A bias, if the step has one."""
        return self.tensor(n) if self.step.has_bias else None

    def spatial(self, x: Signal) -> Signal:
        """A tensor with an axis of space: features become one channel."""
        return x if len(x.shape) > 1 else self.builder.reshape(x, (1, *x.shape))

    def window(self, n: int) -> tuple[int, int]:
        """A kernel and a dilation that fit into n entries."""
        kernel = 1 + self.below(min(n, 3))
        return kernel, 1 + self.below((n - 1) // (kernel - 1) if kernel > 1 else 1)


def _fractions(array: Any) -> Any:
    return object_array([Fraction(value) for value in array.ravel().tolist()]).reshape(array.shape)


# -- the kinds of layers ------------------------------------------------------------------------------------------


def _linear(m: Making, x: Signal) -> Signal:
    n_in, n_out, transposed = x.shape[-1], 1 + m.below(m.limits.size), bool(m.below(2))
    shape = (n_in, n_out) if transposed else (n_out, n_in)
    return m.builder.linear(x, m.tensor(*shape), m.bias(n_out), transposed=transposed)


def _convolution(m: Making, x: Signal) -> Signal:
    x = m.spatial(x)
    groups = m.divisor(x.shape[0])
    channels = groups * (1 + m.below(max(1, m.limits.channels // groups)))
    kernels, dilations = zip(*(m.window(n) for n in x.shape[1:]), strict=True)
    strides = [1 + m.below(2) for _ in kernels]
    padding = [(m.below(2), m.below(2)) for _ in kernels]
    weight = m.tensor(channels, x.shape[0] // groups, *kernels)
    return m.builder.convolution(
        x, weight, m.bias(channels), stride=strides, padding=padding, dilation=dilations, groups=groups
    )


def _transposed_convolution(m: Making, x: Signal) -> Signal:
    x = m.spatial(x)
    groups = m.divisor(x.shape[0])
    per_group = 1 + m.below(max(1, m.limits.channels // groups))
    kernels = [1 + m.below(2) for _ in x.shape[1:]]
    strides = [1 + m.below(2) for _ in kernels]
    dilations = [1 + m.below(2) for _ in kernels]
    sizes = [(n - 1) * s + d * (k - 1) + 1 for n, k, s, d in zip(x.shape[1:], kernels, strides, dilations, strict=True)]
    padding = [(m.below(2), 0) if size > 1 else (0, 0) for size in sizes]
    more = [m.below(s) for s in strides]
    weight = m.tensor(x.shape[0], per_group, *kernels)
    return m.builder.transposed_convolution(
        x,
        weight,
        m.bias(groups * per_group),
        stride=strides,
        padding=padding,
        output_padding=more,
        dilation=dilations,
        groups=groups,
    )


def _kronecker(m: Making, x: Signal) -> Signal:
    n = x.shape[-1]
    a = m.divisor(n)
    c = m.divisor(n // a)
    b, d = 1 + m.below(2), n // (a * c)
    return m.builder.kronecker(x, m.tensor(a, b, c, d), m.bias(a * b * d))


def _batch_norm(m: Making, x: Signal) -> Signal:
    return m.builder.batch_norm(x, m.tensor(x.shape[0]), m.bias(x.shape[0]))


def _broadcast_shape(m: Making, x: Signal) -> list[int]:
    return [1 if m.below(2) else n for n in x.shape][m.below(len(x.shape)) :]


def _scale(m: Making, x: Signal) -> Signal:
    return m.builder.scale(x, m.tensor(*_broadcast_shape(m, x)))


def _shift(m: Making, x: Signal) -> Signal:
    return m.builder.shift(x, m.tensor(*_broadcast_shape(m, x)))


def _constant(m: Making, x: Signal) -> Signal:
    return m.builder.add([x, m.builder.constant(m.tensor(*_broadcast_shape(m, x)))])


def _fixed_linear(m: Making, x: Signal) -> Signal:
    n_in, n_out = math.prod(x.shape), 1 + m.below(m.limits.size)
    entries = [[(1 + i + j) * (-1) ** m.below(2) if m.below(3) else 0 for j in range(n_in)] for i in range(n_out)]
    entries[0][0] = 1
    return m.builder.fixed_linear(x, csr_array(np.array(entries)), (n_out,))


def _max_pool(m: Making, x: Signal) -> Signal:
    x, rank, ceil_mode = m.spatial(x), m.below(4), m.below(3) > 0
    kernels, dilations = zip(*(m.window(n) for n in x.shape[1:]), strict=True)
    strides = [m.one_of([1, 2, 2]) for _ in kernels]
    padding = [m.below(2) * (k // 2) for k in kernels]
    sizes = list(zip(x.shape[1:], kernels, strides, padding, dilations, strict=True))
    least = _smallest_window(sizes, ceil_mode)
    if not least:  # some window lies in the padding
        padding = [0] * len(kernels)
        least = _smallest_window([(n, k, s, 0, d) for n, k, s, _, d in sizes], ceil_mode)
    return m.builder.max_pool(
        x, kernels, stride=strides, padding=padding, dilation=dilations, ceil_mode=ceil_mode, rank=1 + rank % least
    )


def _smallest_window(sizes: Sequence[tuple[int, ...]], ceil_mode: bool) -> int:
    axes = [windows.pool_axis(n, k, s, p, p, d, ceil_mode=ceil_mode) for n, k, s, p, d in sizes]
    return math.prod(min(axis.taps.degree.tolist()) for axis in axes)


def _average_pool(m: Making, x: Signal) -> Signal:
    x, ceil_mode, is_padding_counted, divisor = m.spatial(x), m.below(3) > 0, m.below(2) > 0, m.one_of([None, None, 2])
    kernels = [1 + m.below(min(n, 3)) for n in x.shape[1:]]
    padding = [m.below(2) * (k // 2) for k in kernels]
    strides = [m.one_of([1, 2, 2]) for _ in kernels]
    return m.builder.average_pool(
        x,
        kernels,
        stride=strides,
        padding=padding,
        ceil_mode=ceil_mode,
        count_include_pad=is_padding_counted,
        divisor=divisor,
    )


def _adaptive_average_pool(m: Making, x: Signal) -> Signal:
    x = m.spatial(x)
    return m.builder.adaptive_average_pool(x, [1 + m.below(n + 1) for n in x.shape[1:]])


def _adaptive_max_pool(m: Making, x: Signal) -> Signal:
    x = m.spatial(x)
    sizes = [1 + m.below(n + 1) for n in x.shape[1:]]
    axes = [windows.adaptive_axis(n, size, average=False) for n, size in zip(x.shape[1:], sizes, strict=True)]
    least = math.prod(min(axis.taps.degree.tolist()) for axis in axes)
    return m.builder.adaptive_max_pool(x, sizes, rank=1 + m.below(least))


def _mean(m: Making, x: Signal) -> Signal:
    x = m.spatial(x)
    return m.builder.mean(x, range(1 + m.below(len(x.shape) - 1), len(x.shape)), keep=bool(m.below(2)))


def _nearest(m: Making, x: Signal) -> Signal:
    x = m.spatial(x)
    return m.builder.nearest(x, [1 + m.below(n + 1) for n in x.shape[1:]])


def _bilinear(m: Making, x: Signal) -> Signal:
    x = m.spatial(x)
    return m.builder.bilinear(x, [1 + m.below(n + 1) for n in x.shape[1:]], align_corners=bool(m.below(2)))


def _add(m: Making, x: Signal) -> Signal:
    """With a tensor that broadcasts to it, the last one by default, or with itself."""

    def fits(y: Signal) -> bool:
        sizes = zip(y.shape[::-1], x.shape[::-1], strict=False)
        return len(y.shape) <= len(x.shape) and all(a in (1, b) for a, b in sizes)

    sign, others = m.one_of([1, -1]), [y for y in m.signals[::-1] if y != x and fits(y)]
    return m.builder.add([x, m.one_of([*others, x])], signs=[1, sign])


def _concatenate(m: Making, x: Signal) -> Signal:
    axis = m.below(len(x.shape))

    def around(y: Signal) -> tuple[int, ...]:
        return (*y.shape[:axis], *y.shape[axis + 1 :], len(y.shape))

    others = [y for y in m.signals[::-1] if y != x and around(y) == around(x)]
    return m.builder.concatenate([x, m.one_of([*others, x])], axis)


def _flatten(m: Making, x: Signal) -> Signal:
    return m.builder.flatten(x)


def _transpose(m: Making, x: Signal) -> Signal:
    shift = m.below(len(x.shape))
    return m.builder.transpose(x, [*range(shift, len(x.shape)), *range(shift)])


def _take(m: Making, x: Signal) -> Signal:
    axis = m.below(len(x.shape))
    whole = slice(None)
    part = m.one_of([slice(0, 1), slice(None, None, -1), slice(x.shape[axis] - 1, None), slice(None, None, 2)])
    return m.builder.take(x, (*[whole] * axis, part))


def _pad(m: Making, x: Signal) -> Signal:
    return m.builder.pad(x, [(m.below(2), m.below(2)) for _ in x.shape])


KINDS: dict[str, Callable[[Making, Signal], Signal]] = {
    "linear": _linear,
    "convolution": _convolution,
    "transposed_convolution": _transposed_convolution,
    "kronecker": _kronecker,
    "fixed_linear": _fixed_linear,
    "batch_norm": _batch_norm,
    "scale": _scale,
    "shift": _shift,
    "constant": _constant,
    "max_pool": _max_pool,
    "adaptive_max_pool": _adaptive_max_pool,
    "average_pool": _average_pool,
    "adaptive_average_pool": _adaptive_average_pool,
    "mean": _mean,
    "nearest": _nearest,
    "bilinear": _bilinear,
    "add": _add,
    "concatenate": _concatenate,
    "flatten": _flatten,
    "transpose": _transpose,
    "take": _take,
    "pad": _pad,
}
"""Methods of `LayerGraphBuilder`, in the order in which they shrink."""

OFTEN = ("convolution", "convolution", "max_pool", "max_pool", "average_pool", "add", "linear")
"""Kinds that are drawn more often, for their many options."""
