"""Make a layer graph layer by layer: by hand, or as the importers do.

Every method takes **signals** and returns a signal, which is the tensor that a layer makes, without a batch axis.
Weights are handles of named tensors; a handle that is used twice is one tied parameter. Nothing is computed: shapes are
checked as layers come, and `LayerGraphBuilder.build` makes the graph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pathgraph.arguments import natural
from pathgraph.errors import GraphError, ParameterError
from pathgraph.layers.axes import AxisTaps
from pathgraph.layers.axis_arguments import axis_of, paddings, per_axis
from pathgraph.layers.compilation import Compilation
from pathgraph.layers.drafting import Signal, Sizes, TensorHandle
from pathgraph.layers.fixed_layers import FixedLayers
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
from pathgraph.shown import argument_text

__all__ = ["LayerGraphBuilder", "Signal", "TensorHandle"]


class LayerGraphBuilder(FixedLayers):
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
            per_axis(stride, n, "stride"),
            paddings(padding, n),
            per_axis(dilation, n, "dilation"),
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
            per_axis(stride, n, "stride"),
            paddings(padding, n),
            per_axis(output_padding, n, "output_padding", least=0),
            per_axis(dilation, n, "dilation"),
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
        handles = {"scale": scale} if shift is None else {"scale": scale, "shift": shift}
        for what, handle in handles.items():
            self._require_handle(handle, what)
            if not x.shape or handle.shape != x.shape[:1]:
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

    # -- views ----------------------------------------------------------------------------------------------------

    def reshape(self, x: Signal, shape: Sizes, *, name: str | None = None) -> Signal:
        """The same entries in another shape, in C order; one size may be -1."""
        wanted = [shape] if isinstance(shape, int) else list(shape)
        known = math.prod(n for n in wanted if n != -1)
        if wanted.count(-1) == 1 and known and math.prod(x.shape) % known == 0:
            wanted[wanted.index(-1)] = math.prod(x.shape) // known
        if math.prod(wanted) != math.prod(x.shape) or any(n < 0 for n in wanted):
            raise ParameterError(f"shape: {x.shape} cannot be reshaped to {argument_text(shape)}")
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
        along = axis_of(axis, xs[0])
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
            raise ParameterError(f"index: needed integers, slices or an ellipsis, got {argument_text(index)}")
        try:
            np.empty(x.shape, dtype=np.int8)[items]
        except IndexError as error:
            raise ParameterError(f"index: {argument_text(index)} does not fit the shape {x.shape}: {error}") from None
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
        if not any(draft.layer.activation == "input" for draft in self._drafts.values()):
            raise GraphError("outputs: the graph has no input; make one with .input(shape)")
        compiled = Compilation(self._drafts, self._tensors)
        return compiled.graph([signal.name for signal in wanted], tuple(notes))
