"""Layer graphs layer by layer: what users write by hand, and what the importers write for them.

Every method takes **signals** and gives a signal: the tensor that a layer makes, without a batch axis. Weights are
handles of named tensors; a handle used twice is one tied parameter. Nothing is computed: shapes are checked as layers
come, and `LayerGraphBuilder.build` compiles what was said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from pathgraph.arguments import natural
from pathgraph.errors import GraphError, ParameterError
from pathgraph.layers import windows
from pathgraph.layers.axes import AxisTaps, WeightedAxis, weighted
from pathgraph.layers.compilation import Compilation
from pathgraph.layers.drafting import Drafts, Signal, Sizes, TensorHandle
from pathgraph.layers.layer_graph import LayerGraph
from pathgraph.layers.operations import (
    Convolution,
    Diagonal,
    FixedLinear,
    KroneckerSparse,
    Linear,
    Operation,
    Shape,
    TransposedConvolution,
    TransposedLinear,
)
from pathgraph.layers.structure import View, basic_index
from pathgraph.scalars import to_fraction

__all__ = ["LayerGraphBuilder", "Signal", "TensorHandle"]


class LayerGraphBuilder(Drafts):
    """Collects layers, and makes a `LayerGraph` of them.

    Examples
    --------
    >>> import pathgraph as pg
    >>> build = pg.LayerGraphBuilder()
    >>> x = build.input((2,))
    >>> first = build.tensor("first", [[1, -2], [3, 1]])
    >>> y = build.relu(build.linear(x, first))
    >>> y = build.add([y, x])
    >>> graph = build.build([build.linear(y, build.tensor("last", [[1, 1]]))])
    >>> graph([[1, 1]]), pg.path_norm(graph)
    (array([[6.]]), 9.0)
    """

    # -- inputs and constants ----------------------------------------------------------------------------------------

    def input(self, shape: Sizes, *, name: str | None = None) -> Signal:
        """An input of the network, of a shape without the batch axis."""
        return self._add("input", (), self._shape(shape, "shape"), name=name, activation="input")

    def constant(self, values: TensorHandle, *, name: str | None = None) -> Signal:
        """A tensor of constants: neurons without antecedents, whose biases are the values."""
        self._require_handle(values, "values")
        bias = Diagonal((), values.shape, values.shape)
        return self._add("constant", (), values.shape, name=name, bias=(bias, values))

    # -- linear maps ----------------------------------------------------------------------------------------------

    def linear(
        self,
        x: Signal,
        weight: TensorHandle,
        bias: TensorHandle | None = None,
        *,
        transposed: bool = False,
        name: str | None = None,
    ) -> Signal:
        """A matrix of shape (n_out, n_in), or (n_in, n_out) if `transposed`, on the last axis, and a bias (n_out,)."""
        self._require_handle(weight, "weight", ndim=2)
        n_in, n_out = weight.shape if transposed else weight.shape[::-1]
        if not x.shape or x.shape[-1] != n_in:
            n = x.shape[-1] if x.shape else 1
            needed = f"({n}, n_out)" if transposed else f"(n_out, {n})"
            raise ParameterError(
                f"weight: {weight.name!r} needed shape {needed} for the last axis of {x.name!r} {x.shape}, "
                f"got {weight.shape}"
            )
        if transposed:
            operation: Operation = TransposedLinear(x.shape[:-1], n_in, n_out)
            return self._mapped("transposed_linear", x, operation, weight, bias, -1, name)
        return self._mapped("linear", x, Linear(x.shape[:-1], n_in, n_out), weight, bias, -1, name)

    def kronecker(
        self, x: Signal, values: TensorHandle, bias: TensorHandle | None = None, *, name: str | None = None
    ) -> Signal:
        """A Kronecker-sparse matrix on the last axis: values of shape (a, b, c, d), and a bias of shape (a b d,).

        A chain K1 K2 ... is one such layer per factor, the last factor first.
        """
        self._require_handle(values, "values", ndim=4)
        a, b, c, d = values.shape
        if not x.shape or x.shape[-1] != a * c * d or 0 in values.shape:
            raise ParameterError(
                f"values: {values.name!r} needed shape (a, b, c, d) with a c d = {x.shape[-1] if x.shape else 1}, the "
                f"last axis of {x.name!r} {x.shape}, got {values.shape}"
            )
        return self._mapped("kronecker", x, KroneckerSparse(x.shape[:-1], a, b, c, d), values, bias, -1, name)

    def convolution(
        self,
        x: Signal,
        weight: TensorHandle,
        bias: TensorHandle | None = None,
        *,
        stride: Sizes = 1,
        padding: int | Sequence[int | tuple[int, int]] = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        name: str | None = None,
    ) -> Signal:
        """A convolution with zero padding, of x ``(C, *space)`` with a weight ``(channels, C / groups, *kernel)``.

        The bias has shape (channels,); `padding` is one number, one per axis, or one pair (before, after) per axis.
        """
        n = self._spatial(x, weight)
        kernel = weight.shape[2:]
        groups = natural(groups, "groups", least=1)
        if weight.shape[1] * groups != x.shape[0] or weight.shape[0] % groups:
            raise ParameterError(
                f"weight: {weight.name!r} needed shape (channels, {x.shape[0]} / {groups} groups, *kernel) for "
                f"{x.name!r} {x.shape}, with channels a multiple of groups, got {weight.shape}"
            )
        operation = Convolution(
            x.shape,
            weight.shape[0],
            kernel,
            _per_axis(stride, n, "stride"),
            _paddings(padding, n),
            _per_axis(dilation, n, "dilation"),
            groups,
        )
        self._require_room(operation.space, x, kernel)
        return self._mapped("convolution", x, operation, weight, bias, 0, name)

    def transposed_convolution(
        self,
        x: Signal,
        weight: TensorHandle,
        bias: TensorHandle | None = None,
        *,
        stride: Sizes = 1,
        padding: int | Sequence[int | tuple[int, int]] = 0,
        output_padding: Sizes = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        name: str | None = None,
    ) -> Signal:
        """A transposed convolution: x ``(C, *space)``, weight ``(C, channels / groups, *kernel)``, bias (channels,)."""
        n = self._spatial(x, weight)
        kernel = weight.shape[2:]
        groups = natural(groups, "groups", least=1)
        if weight.shape[0] != x.shape[0] or x.shape[0] % groups:
            raise ParameterError(
                f"weight: {weight.name!r} needed shape ({x.shape[0]}, channels / {groups} groups, *kernel) for "
                f"{x.name!r} {x.shape}, got {weight.shape}"
            )
        operation = TransposedConvolution(
            x.shape,
            weight.shape[1] * groups,
            kernel,
            _per_axis(stride, n, "stride"),
            _paddings(padding, n),
            _per_axis(output_padding, n, "output_padding", least=0),
            _per_axis(dilation, n, "dilation"),
            groups,
        )
        self._require_room(operation.space, x, kernel)
        return self._mapped("transposed_convolution", x, operation, weight, bias, 0, name)

    def scale(self, x: Signal, factor: TensorHandle, *, name: str | None = None) -> Signal:
        """The product with a tensor that broadcasts to x."""
        operation = Diagonal(x.shape, x.shape, self._broadcast(factor, x, "factor"))
        return self._add("scale", (x,), x.shape, name=name, maps=((operation, factor),))

    def shift(self, x: Signal, offset: TensorHandle, *, name: str | None = None) -> Signal:
        """The sum with a tensor that broadcasts to x."""
        bias = Diagonal((), x.shape, self._broadcast(offset, x, "offset"))
        layer = self._new_name("shift", name)
        return self._add(
            "shift", (x,), x.shape, name=layer, maps=(self._skip(layer, x.shape, x.shape),), bias=(bias, offset)
        )

    def batch_norm(
        self, x: Signal, scale: TensorHandle, shift: TensorHandle | None = None, *, name: str | None = None
    ) -> Signal:
        """A frozen batch-norm: each channel (axis 0) times `scale` plus `shift`, both of shape (C,).

        For statistics mean and var, scale = gamma / sqrt(var + eps) and shift = beta - mean scale.
        """
        for handle, what in ((scale, "scale"), (shift, "shift")):
            if handle is not None and (not x.shape or handle.shape != x.shape[:1]):
                raise ParameterError(f"{what}: needed shape {x.shape[:1]}, one per channel, got {handle.shape}")
        factor = (x.shape[0], *(1,) * (len(x.shape) - 1))
        bias = None if shift is None else (Diagonal((), x.shape, factor), shift)
        maps = ((Diagonal(x.shape, x.shape, factor), scale),)
        return self._add("batch_norm", (x,), x.shape, name=name, maps=maps, bias=bias)

    def fixed_linear(
        self, x: Signal, matrix: Any, shape: Sizes, *, role: str = "structural", name: str | None = None
    ) -> Signal:
        """A sparse matrix, in any format of SciPy, on the flattened tensor; the result is reshaped to `shape`.

        Its stored entries are the edges, zeros included.
        """
        from scipy.sparse import csr_array

        target = self._shape(shape, "shape")
        stored = csr_array(matrix)
        stored.sum_duplicates()
        stored.sort_indices()
        if stored.shape != (math.prod(target), math.prod(x.shape)):
            raise ParameterError(
                f"matrix: needed shape ({math.prod(target)}, {math.prod(x.shape)}) for {x.shape} -> {target}, got "
                f"{stored.shape}"
            )
        layer = self._new_name("fixed_linear", name)
        relation = AxisTaps(stored.shape[1], stored.nnz, stored.indptr, stored.indices, np.arange(stored.nnz))
        handle = self.tensor(f"{layer}.matrix", stored.data, role=role)
        maps = ((FixedLinear(x.shape, target, relation), handle),)
        return self._add("fixed_linear", (x,), target, name=layer, maps=maps)

    # -- pools and fixed maps along axes --------------------------------------------------------------------------

    def max_pool(
        self,
        x: Signal,
        kernel: Sizes,
        *,
        stride: Sizes | None = None,
        padding: int | Sequence[int | tuple[int, int]] = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        rank: int = 1,
        name: str | None = None,
    ) -> Signal:
        """The rank-th largest entry of each window of x ``(C, *space)``; the padding is not read."""
        n = len(x.shape) - 1
        sizes = _per_axis(kernel, n, "kernel")
        strides = sizes if stride is None else _per_axis(stride, n, "stride")
        pads, dilations = _paddings(padding, n), _per_axis(dilation, n, "dilation")
        maps = tuple(
            windows.pool_axis(size, k, s, *p, d, ceil_mode=ceil_mode)
            for size, k, s, p, d in zip(x.shape[1:], sizes, strides, pads, dilations, strict=True)
        )
        options = {
            "kernel": sizes,
            "stride": strides,
            "padding": pads,
            "dilation": dilations,
            "ceil_mode": ceil_mode and _hangs_over(x, sizes, strides, pads, dilations),
        }
        return self._pool("max_pool", x, maps, rank, options, name)

    def average_pool(
        self,
        x: Signal,
        kernel: Sizes,
        *,
        stride: Sizes | None = None,
        padding: int | Sequence[int | tuple[int, int]] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor: int | None = None,
        name: str | None = None,
    ) -> Signal:
        """The average of each window of x ``(C, *space)``, or its sum over `divisor`."""
        n = len(x.shape) - 1
        sizes = _per_axis(kernel, n, "kernel")
        strides = sizes if stride is None else _per_axis(stride, n, "stride")
        pads = _paddings(padding, n)
        maps = [
            windows.pool_axis(
                size, k, s, *p, ceil_mode=ceil_mode, average=divisor is None, count_include_pad=count_include_pad
            )
            for size, k, s, p in zip(x.shape[1:], sizes, strides, pads, strict=True)
        ]
        if divisor is not None:
            share = Fraction(1, natural(divisor, "divisor", least=1))
            maps[0] = WeightedAxis(maps[0].taps, tuple(c * share for c in maps[0].coefficients))
        options = {
            "kernel": sizes,
            "stride": strides,
            "padding": pads,
            "ceil_mode": ceil_mode and _hangs_over(x, sizes, strides, pads, (1,) * n),
            "count_include_pad": count_include_pad,
            "divisor": divisor,
        }
        return self._separable("average_pool", x, tuple(maps), options, name)

    def adaptive_average_pool(self, x: Signal, size: Sizes, *, name: str | None = None) -> Signal:
        """Averages over PyTorch's partition of each spatial axis into `size` windows; size 1 is global pooling."""
        sizes = _per_axis(size, len(x.shape) - 1, "size")
        maps = tuple(windows.adaptive_axis(n, m, average=True) for n, m in zip(x.shape[1:], sizes, strict=True))
        return self._separable("adaptive_average_pool", x, maps, {"size": sizes}, name)

    def adaptive_max_pool(self, x: Signal, size: Sizes, *, rank: int = 1, name: str | None = None) -> Signal:
        """The rank-th largest entries over PyTorch's partition of each spatial axis into `size` windows."""
        sizes = _per_axis(size, len(x.shape) - 1, "size")
        maps = tuple(windows.adaptive_axis(n, m, average=False) for n, m in zip(x.shape[1:], sizes, strict=True))
        return self._pool("adaptive_max_pool", x, maps, rank, {"size": sizes}, name)

    def mean(self, x: Signal, axes: Sizes, *, keep: bool = True, name: str | None = None) -> Signal:
        """The average over some axes, which stay with size 1 or (not `keep`) are dropped."""
        chosen = sorted(_axis(axis, x) for axis in ([axes] if isinstance(axes, int) else axes))
        if not chosen or len(set(chosen)) < len(chosen):
            raise ParameterError(f"axes: needed different axes of {x.shape}, got {axes}")
        maps = tuple(
            windows.mean_axis(n) if axis in chosen else windows.identity_axis(n)
            for axis, n in enumerate(x.shape)
            if axis >= chosen[0]
        )
        y = self._separable("mean", x, maps, {"axes": tuple(chosen)}, name)
        return y if keep else self.reshape(y, [n for axis, n in enumerate(x.shape) if axis not in chosen])

    def resize(self, x: Signal, maps: Sequence[Any], *, name: str | None = None) -> Signal:
        """A fixed matrix along each of the trailing axes: sparse matrices of shape (n_out, n_in), or `WeightedAxis`."""
        axes = tuple(m if isinstance(m, WeightedAxis) else _as_axis(m) for m in maps)
        return self._separable("resize", x, axes, {}, name)

    def nearest(self, x: Signal, size: Sizes, *, name: str | None = None) -> Signal:
        """Nearest-neighbour resizing of the spatial axes of x ``(C, *space)``: output o reads floor(o n / size)."""
        sizes = _per_axis(size, len(x.shape) - 1, "size")
        maps = tuple(windows.nearest_axis(n, m) for n, m in zip(x.shape[1:], sizes, strict=True))
        return self._separable("nearest", x, maps, {"size": sizes}, name)

    def bilinear(self, x: Signal, size: Sizes, *, align_corners: bool = False, name: str | None = None) -> Signal:
        """Linear interpolation along the spatial axes of x ``(C, *space)``."""
        sizes = _per_axis(size, len(x.shape) - 1, "size")
        maps = tuple(
            windows.bilinear_axis(n, m, align_corners=align_corners) for n, m in zip(x.shape[1:], sizes, strict=True)
        )
        return self._separable("bilinear", x, maps, {"size": sizes, "align_corners": align_corners}, name)

    # -- sums and activations -------------------------------------------------------------------------------------

    def add(self, xs: Sequence[Signal], *, signs: Sequence[int] | None = None, name: str | None = None) -> Signal:
        """The sum, or with `signs` of 1 and -1 the signed sum, of signals that broadcast to one shape."""
        xs = list(xs)
        signs = [1] * len(xs) if signs is None else list(signs)
        if not xs or len(signs) != len(xs) or any(sign not in (1, -1) for sign in signs):
            raise ParameterError(f"signs: needed 1 or -1 for each of {len(xs)} signals (at least one), got {signs}")
        try:
            shape = np.broadcast_shapes(*(x.shape for x in xs))
        except ValueError:
            raise ParameterError(f"xs: shapes {[x.shape for x in xs]} do not broadcast to one") from None
        layer = self._new_name("add", name)
        sources: list[Signal] = []
        maps: list[tuple[Operation, TensorHandle]] = []
        for x, sign in zip(xs, signs, strict=True):
            if any(self._may_share(x, y) and self._reads_twice(x, y, shape) for y in sources):
                x = self.copy(x)
            sources.append(x)
            maps.append(self._skip(layer, x.shape, shape, sign, place=len(maps)))
        return self._add("add", tuple(sources), shape, name=layer, maps=tuple(maps), options={"signs": tuple(signs)})

    def _reads_twice(self, x: Signal, y: Signal, shape: Shape) -> bool:
        """Whether a neuron would read an entry from both."""
        read, other = (np.broadcast_to(self._where(signal.name), shape) for signal in (x, y))
        return bool((read == other).any())

    def copy(self, x: Signal, *, name: str | None = None) -> Signal:
        """Identity neurons that repeat a signal."""
        layer = self._new_name("copy", name)
        return self._add("copy", (x,), x.shape, name=layer, maps=(self._skip(layer, x.shape, x.shape),))

    def relu(self, x: Signal, *, name: str | None = None) -> Signal:
        """The ReLU of a signal: the activation of the layer that makes it, if nothing else reads that."""
        layer = self._new_name("relu", name)
        maps = (self._skip(layer, x.shape, x.shape),)
        return self._add("relu", (x,), x.shape, name=layer, maps=maps, activation="relu")

    def pad(self, x: Signal, widths: Sequence[tuple[int, int]], *, name: str | None = None) -> Signal:
        """Zeros around a signal, (before, after) for each axis: neurons without antecedents."""
        pairs = [(natural(a, "widths"), natural(b, "widths")) for a, b in widths]
        if len(pairs) != len(x.shape):
            raise ParameterError(f"widths: needed a pair for each axis of {x.shape}, got {pairs}")
        maps = tuple(
            weighted(n, [[]] * a + [[(i, Fraction(1))] for i in range(n)] + [[]] * b)
            for n, (a, b) in zip(x.shape, pairs, strict=True)
        )
        return self._separable("pad", x, maps, {"widths": tuple(pairs)}, name)

    # -- views ----------------------------------------------------------------------------------------------------

    def reshape(self, x: Signal, shape: Sizes, *, name: str | None = None) -> Signal:
        """The same entries in another shape, in C order; one size may be -1."""
        wanted = [shape] if isinstance(shape, int) else list(shape)
        known = math.prod(n for n in wanted if n != -1)
        if wanted.count(-1) == 1 and known and math.prod(x.shape) % known == 0:
            wanted[wanted.index(-1)] = math.prod(x.shape) // known
        if math.prod(wanted) != math.prod(x.shape) or any(n < 0 for n in wanted):
            raise ParameterError(f"shape: {x.shape} cannot be reshaped to {shape}")
        return self._view(View("reshape", tuple(map(int, wanted))), (x,), name)

    def flatten(self, x: Signal, *, name: str | None = None) -> Signal:
        """The same entries on one axis, in C order."""
        return self._view(View("reshape", (math.prod(x.shape),)), (x,), name)

    def transpose(self, x: Signal, axes: Sequence[int], *, name: str | None = None) -> Signal:
        """The axes in another order."""
        order = tuple(axes)
        if sorted(order) != list(range(len(x.shape))):
            raise ParameterError(f"axes: needed an order of the axes of {x.shape}, got {order}")
        if not order:
            return self.reshape(x, (), name=name)
        return self._view(View("transpose", order), (x,), name)

    def concatenate(self, xs: Sequence[Signal], axis: int = 0, *, name: str | None = None) -> Signal:
        """Signals one after the other along an axis; entries that occur twice get identity neurons."""
        xs = list(xs)
        if not xs:
            raise ParameterError("xs: needed at least one signal, got none")
        along = _axis(axis, xs[0])
        others = {(*x.shape[:along], *x.shape[along + 1 :], len(x.shape)) for x in xs}
        if len(others) > 1:
            raise ParameterError(f"xs: needed equal shapes but for axis {axis}, got {[x.shape for x in xs]}")
        for place, x in enumerate(xs):
            if any(self._share(x, y) for y in xs[:place]):
                xs[place] = self.copy(x)
        return self._view(View("concatenate", along), tuple(xs), name)

    def take(self, x: Signal, index: Any, *, name: str | None = None) -> Signal:
        """A part of a signal, by NumPy's basic indexing: integers, slices, an ellipsis."""
        items = index if isinstance(index, tuple) else (index,)
        if not all(isinstance(item, (int, slice)) or item is Ellipsis or item is None for item in items):
            raise ParameterError(f"index: needed integers, slices or an ellipsis, got {index!r}")
        try:
            np.empty(x.shape, dtype=np.int8)[items]
        except IndexError as error:
            raise ParameterError(f"index: {index!r} does not fit the shape {x.shape}: {error}") from None
        return self._view(View("take", basic_index(items, x.shape)), (x,), name)

    # -- compilation ----------------------------------------------------------------------------------------------

    def build(self, outputs: Sequence[Signal] | Signal, *, notes: Sequence[str] = ()) -> LayerGraph:
        """The layer graph with these outputs.

        A ReLU becomes the activation of the layer that it alone reads. An output that is an input, a ReLU or a pool, or
        is read by other layers, gets an identity copy.

        Raises
        ------
        GraphError
            If there is no input or no output.
        ParameterError
            On NaN or infinities among the entries, and floats beside Fractions.
        """
        wanted = [outputs] if isinstance(outputs, Signal) else list(outputs)
        if not wanted:
            raise GraphError("outputs: needed at least one signal, got none")
        for signal in wanted:
            self._require_signal(signal)
        if not any(draft.layer.activation == "input" for draft in self._drafts.values()):
            raise GraphError("outputs: the graph has no input; make one with .input(shape)")
        compiled = Compilation(self._drafts, self._tensors)
        return compiled.graph([signal.name for signal in wanted], tuple(notes))


# -- arguments ----------------------------------------------------------------------------------------------------


def _hangs_over(x: Signal, sizes: Shape, strides: Shape, pads: Any, dilations: Shape) -> bool:
    """Whether rounding sizes up makes a window that rounding down does not."""
    numbers = zip(x.shape[1:], sizes, strides, pads, dilations, strict=True)
    return any(
        len({windows.pool_size(n, k, s, low, high, d, ceil_mode=up) for up in (False, True)}) > 1
        for n, k, s, (low, high), d in numbers
    )


def _per_axis(sizes: Sizes, n: int, what: str, *, least: int = 1) -> Shape:
    if n < 1:
        raise ParameterError("x: needed a signal of shape (C, *space), with at least one spatial axis")
    listed = [sizes] * n if isinstance(sizes, (int, np.integer)) else list(sizes)
    if len(listed) != n:
        raise ParameterError(f"{what}: needed one number, or one for each of {n} spatial axes, got {sizes}")
    return tuple(natural(size, what, least=least) for size in listed)


def _paddings(padding: Any, n: int) -> tuple[tuple[int, int], ...]:
    listed = [padding] * n if isinstance(padding, (int, np.integer)) else list(padding)
    if len(listed) != n:
        raise ParameterError(f"padding: needed one number, or one or a pair for each of {n} axes, got {padding}")
    pairs = [(p, p) if isinstance(p, (int, np.integer)) else tuple(p) for p in listed]
    if any(len(pair) != 2 for pair in pairs):
        raise ParameterError(f"padding: needed pairs (before, after), got {padding}")
    return tuple((_any_integer(a), _any_integer(b)) for a, b in pairs)


def _any_integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ParameterError(f"padding: needed integers (negative ones crop), got {value!r}")
    return int(value)


def _axis(axis: Any, x: Signal) -> int:
    if not isinstance(axis, (int, np.integer)) or not -len(x.shape) <= axis < len(x.shape):
        raise ParameterError(f"axis: needed an axis of {x.name!r} {x.shape}, got {axis!r}")
    return int(axis) % len(x.shape)


def _as_axis(matrix: Any) -> WeightedAxis:
    """A sparse matrix, or an array of rationals or floats, as a relation with exact coefficients."""
    from scipy.sparse import csr_array, issparse

    if not issparse(matrix):
        dense = np.asarray(matrix, dtype=object)
        rows = [[(j, to_fraction(v)) for j, v in enumerate(row) if v != 0] for row in dense.tolist()]
        return weighted(dense.shape[1], rows)
    stored = csr_array(matrix)
    stored.sum_duplicates()
    rows = []
    for low, high in zip(stored.indptr[:-1], stored.indptr[1:], strict=True):
        columns, values = stored.indices[low:high].tolist(), stored.data[low:high].tolist()
        rows.append([(j, to_fraction(v)) for j, v in zip(columns, values, strict=True)])
    return weighted(stored.shape[1], rows)
