"""A strategy for layer graphs: small, exact or in floats, with every kind of layer that the builder has.

A graph is drawn as flat lists of small integers. A layer reads one of the tensors made so far and takes its sizes from
its integers, modulo what fits; whatever Hypothesis deletes or lowers, the rest still fits together, so that minimal
examples are minimal. A layer that would take the expansion beyond its bound is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from fractions import Fraction
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from scipy.sparse import csr_array

from pathgraph.errors import ParameterError
from pathgraph.layers import windows
from pathgraph.layers.builder import LayerGraphBuilder, Signal, TensorHandle
from pathgraph.layers.layer_graph import LayerGraph
from pathgraph.scalars import object_array
from pathgraph.testing.values import at_least, dyadics, subset

__all__ = ["layer_graphs"]

ROLES = ("parameter", "frozen", "structural")


class _Step(NamedTuple):
    kind: str
    back: int  # which tensor is read, counted back from the last one, modulo their number
    numbers: list[int]  # what sizes and options are taken from
    values: list[Fraction]  # what tensors are filled with, in turn
    is_relu: bool
    has_bias: bool
    role: str
    is_tied: bool  # to an earlier tensor of the same shape and role, if there is one


def layer_graphs(
    *,
    layers: Collection[str] | None = None,
    max_layers: int = 4,
    max_inputs: int = 2,
    max_outputs: int = 2,
    max_axes: int = 3,
    max_channels: int = 2,
    max_size: int = 4,
    max_edges: int = 100,
    roles: Collection[str] = ROLES,
    biases: bool = True,
    ties: bool = True,
    exact: bool = True,
) -> SearchStrategy[LayerGraph]:
    """Layer graphs of every kind of layer, which shrink to a single linear map.

    Drawn on purpose: strides, paddings, dilations and groups; pools of every rank, over ties; sums and concatenations
    of a tensor with another one or itself; broadcasting; tensors that are read twice, or reach no output; zero,
    opposite and repeated entries; frozen, structural and tied tensors; several inputs and outputs.

    Parameters
    ----------
    layers : collection of str, optional
        Methods of `LayerGraphBuilder` that make layers, such as "convolution", "max_pool" or "add"; by default all of
        them. ReLUs follow layers of any kind.
    max_layers : int
        How many layers are drawn; identity copies and views come to them where they are needed.
    max_inputs, max_outputs : int
    max_axes : int
        Of the inputs: one for features or channels, the others of space.
    max_channels, max_size : int
        Sizes of the first axis and of the others, as inputs and convolutions have them; concatenations and
        upsamplings make larger ones.
    max_edges : int
        Of the expansion.
    roles : collection of {"parameter", "frozen", "structural"}
        Of tensors; "parameter" is always possible.
    biases, ties : bool
        Whether layers may have biases, and whether tensors may be shared.
    exact : bool
        Fractions; else the same values as floats, rounded to float64 where a third or the like needs it.

    Returns
    -------
    SearchStrategy of LayerGraph
        Inputs are named ``x0, x1, ...``.

    Raises
    ------
    ParameterError
        If an option has a wrong value.

    Examples
    --------
    >>> import pathgraph as pg
    >>> from hypothesis import find
    >>> from pathgraph.testing import layer_graphs
    >>> find(layer_graphs(layers=["convolution"], max_layers=1, max_axes=1), lambda graph: len(graph.theta) == 2)
    LayerGraph(3 layers: x0 (2,) -> convolution1 (1, 1); 2 parameters, 3 neurons; exact)
    """
    at_least(1, max_layers=max_layers, max_inputs=max_inputs, max_outputs=max_outputs, max_axes=max_axes)
    at_least(1, max_channels=max_channels, max_size=max_size, max_edges=max_edges)
    kinds = list(KINDS)
    if layers is not None:
        subset(kinds, layers=layers)
        kinds = [kind for kind in kinds if kind in layers]
        if not kinds:
            raise ParameterError(f"layers: needed some of {', '.join(KINDS)}, got none")
    subset(ROLES, roles=roles)
    for name, option in {"biases": biases, "ties": ties, "exact": exact}.items():
        if not isinstance(option, bool):
            raise ParameterError(f"{name}: needed a bool, got {option!r}")
    chosen = ["parameter", *(role for role in ROLES[1:] if role in roles)]
    steps = st.builds(
        _Step,
        st.sampled_from([*kinds, *(kind for kind in OFTEN if kind in kinds)]),
        st.sampled_from((0, 0, 0, 1, 2, 3)),
        st.lists(st.integers(0, 11), min_size=4, max_size=12),
        st.lists(dyadics(), min_size=1, max_size=6),
        st.booleans(),
        st.booleans() if biases else st.just(False),
        st.sampled_from(["parameter", "parameter", *chosen]),
        st.booleans() if ties else st.just(False),
    )
    first = st.integers(1, max_channels) if max_axes > 1 else st.integers(1, max_size)
    shapes = st.tuples(first, st.lists(st.integers(1, max_size), max_size=max_axes - 1)).map(lambda s: (s[0], *s[1]))
    limits = _Limits(max_channels, max_size, max_edges)
    graphs = st.builds(
        lambda shapes, steps, others: _decode(shapes, steps, others, limits),
        st.lists(shapes, min_size=1, max_size=max_inputs),
        st.lists(steps, min_size=1, max_size=max_layers),
        st.lists(st.integers(0, max_layers), max_size=max_outputs - 1),
    )
    return graphs if exact else graphs.map(lambda graph: graph.to_float())


class _Limits(NamedTuple):
    channels: int
    size: int
    edges: int


def _decode(shapes: list[tuple[int, ...]], steps: list[_Step], others: list[int], limits: _Limits) -> LayerGraph:
    kept = list(steps)
    while True:
        making = _Making(limits)
        for number, shape in enumerate(shapes):
            making.input(shape, f"x{number}")
        for place, step in enumerate(kept):
            making.add(step)
            if not making.has_room(making.signals[-1:]):
                del kept[place]
                break
        else:
            return making.graph(others)


class _Making:
    """A builder, the tensors it has made, and the integers from which the next layer takes its sizes."""

    def __init__(self, limits: _Limits) -> None:
        self.limits = limits
        self.builder = LayerGraphBuilder()
        self.signals: list[Signal] = []
        self.handles: list[TensorHandle] = []
        self.step: _Step
        self._numbers: Iterator[int] = iter(())
        self._values: Iterator[Fraction] = iter(())

    def input(self, shape: tuple[int, ...], name: str) -> None:
        """An input; axes are cut to 1, from the last one, while it has more entries than edges are allowed."""
        sizes = list(shape)
        for axis in reversed(range(len(sizes))):
            if math.prod(sizes) > self.limits.edges:
                sizes[axis] = 1
        self.signals.append(self.builder.input(sizes, name=name))

    def add(self, step: _Step) -> None:
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


def _linear(m: _Making, x: Signal) -> Signal:
    n_in, n_out, transposed = x.shape[-1], 1 + m.below(m.limits.size), bool(m.below(2))
    shape = (n_in, n_out) if transposed else (n_out, n_in)
    return m.builder.linear(x, m.tensor(*shape), m.bias(n_out), transposed=transposed)


def _convolution(m: _Making, x: Signal) -> Signal:
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


def _transposed_convolution(m: _Making, x: Signal) -> Signal:
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


def _kronecker(m: _Making, x: Signal) -> Signal:
    n = x.shape[-1]
    a = m.divisor(n)
    c = m.divisor(n // a)
    b, d = 1 + m.below(2), n // (a * c)
    return m.builder.kronecker(x, m.tensor(a, b, c, d), m.bias(a * b * d))


def _batch_norm(m: _Making, x: Signal) -> Signal:
    return m.builder.batch_norm(x, m.tensor(x.shape[0]), m.bias(x.shape[0]))


def _broadcast_shape(m: _Making, x: Signal) -> list[int]:
    return [1 if m.below(2) else n for n in x.shape][m.below(len(x.shape)) :]


def _scale(m: _Making, x: Signal) -> Signal:
    return m.builder.scale(x, m.tensor(*_broadcast_shape(m, x)))


def _shift(m: _Making, x: Signal) -> Signal:
    return m.builder.shift(x, m.tensor(*_broadcast_shape(m, x)))


def _constant(m: _Making, x: Signal) -> Signal:
    return m.builder.add([x, m.builder.constant(m.tensor(*_broadcast_shape(m, x)))])


def _fixed_linear(m: _Making, x: Signal) -> Signal:
    n_in, n_out = math.prod(x.shape), 1 + m.below(m.limits.size)
    entries = [[(1 + i + j) * (-1) ** m.below(2) if m.below(3) else 0 for j in range(n_in)] for i in range(n_out)]
    entries[0][0] = 1
    return m.builder.fixed_linear(x, csr_array(np.array(entries)), (n_out,))


def _max_pool(m: _Making, x: Signal) -> Signal:
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


def _average_pool(m: _Making, x: Signal) -> Signal:
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


def _adaptive_average_pool(m: _Making, x: Signal) -> Signal:
    x = m.spatial(x)
    return m.builder.adaptive_average_pool(x, [1 + m.below(n + 1) for n in x.shape[1:]])


def _adaptive_max_pool(m: _Making, x: Signal) -> Signal:
    x = m.spatial(x)
    sizes = [1 + m.below(n + 1) for n in x.shape[1:]]
    axes = [windows.adaptive_axis(n, size, average=False) for n, size in zip(x.shape[1:], sizes, strict=True)]
    least = math.prod(min(axis.taps.degree.tolist()) for axis in axes)
    return m.builder.adaptive_max_pool(x, sizes, rank=1 + m.below(least))


def _mean(m: _Making, x: Signal) -> Signal:
    x = m.spatial(x)
    return m.builder.mean(x, range(1 + m.below(len(x.shape) - 1), len(x.shape)), keep=bool(m.below(2)))


def _nearest(m: _Making, x: Signal) -> Signal:
    x = m.spatial(x)
    return m.builder.nearest(x, [1 + m.below(n + 1) for n in x.shape[1:]])


def _bilinear(m: _Making, x: Signal) -> Signal:
    x = m.spatial(x)
    return m.builder.bilinear(x, [1 + m.below(n + 1) for n in x.shape[1:]], align_corners=bool(m.below(2)))


def _add(m: _Making, x: Signal) -> Signal:
    """With a tensor that broadcasts to it, the last one by default, or with itself."""

    def fits(y: Signal) -> bool:
        sizes = zip(y.shape[::-1], x.shape[::-1], strict=False)
        return len(y.shape) <= len(x.shape) and all(a in (1, b) for a, b in sizes)

    sign, others = m.one_of([1, -1]), [y for y in m.signals[::-1] if y != x and fits(y)]
    return m.builder.add([x, m.one_of([*others, x])], signs=[1, sign])


def _concatenate(m: _Making, x: Signal) -> Signal:
    axis = m.below(len(x.shape))

    def around(y: Signal) -> tuple[int, ...]:
        return (*y.shape[:axis], *y.shape[axis + 1 :], len(y.shape))

    others = [y for y in m.signals[::-1] if y != x and around(y) == around(x)]
    return m.builder.concatenate([x, m.one_of([*others, x])], axis)


def _flatten(m: _Making, x: Signal) -> Signal:
    return m.builder.flatten(x)


def _transpose(m: _Making, x: Signal) -> Signal:
    shift = m.below(len(x.shape))
    return m.builder.transpose(x, [*range(shift, len(x.shape)), *range(shift)])


def _take(m: _Making, x: Signal) -> Signal:
    axis = m.below(len(x.shape))
    whole = slice(None)
    part = m.one_of([slice(0, 1), slice(None, None, -1), slice(x.shape[axis] - 1, None), slice(None, None, 2)])
    return m.builder.take(x, (*[whole] * axis, part))


def _pad(m: _Making, x: Signal) -> Signal:
    return m.builder.pad(x, [(m.below(2), m.below(2)) for _ in x.shape])


KINDS: dict[str, Callable[[_Making, Signal], Signal]] = {
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
