"""What a builder keeps: its tensors, the drafts of its layers, and where the entries of each signal are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from pathgraph.arguments import natural
from pathgraph.errors import ParameterError
from pathgraph.layers.axes import WeightedAxis
from pathgraph.layers.operations import Diagonal, Operation, Separable, Shape
from pathgraph.layers.structure import Layer, View, viewed
from pathgraph.scalars import object_array
from pathgraph.shown import argument_text

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = ["Draft", "Drafts", "Signal", "Sizes", "Tensor", "TensorHandle"]

ROLES = ("parameter", "frozen", "structural")
TAKE_SIGNALS = ("Signal", "Sequence[Signal]", "Sequence[Signal] | Signal")
"""How methods write that their first argument is a signal, or some signals, or either."""
Sizes: TypeAlias = "int | Sequence[int]"


@dataclass(frozen=True)
class TensorHandle:
    """A tensor of entries, by which layers refer to it.

    Attributes
    ----------
    name : str
    shape : tuple of int
    role : {"parameter", "frozen", "structural"}
    """

    name: str
    shape: Shape
    role: str

    def reshaped(self, shape: Sequence[int]) -> TensorHandle:
        """The same entries for layers that need them in another shape, in C order; the tensor keeps its own."""
        if math.prod(shape) != math.prod(self.shape):
            raise ParameterError(
                f"shape: {self.name!r} {self.shape} cannot be reshaped to {argument_text(tuple(shape))}"
            )
        return TensorHandle(self.name, tuple(shape), self.role)


@dataclass(frozen=True)
class Signal:
    """The tensor that a layer makes.

    Attributes
    ----------
    name : str
        Of the layer.
    shape : tuple of int
        Without the batch axis.
    """

    name: str
    shape: Shape


@dataclass
class Tensor:
    """A named tensor and its values.

    Attributes
    ----------
    handle : TensorHandle
    values : ndarray
    follows : bool
        Whether a layer made the values by itself, like the coefficients of an average. They are exact, and become the
        scalars of the tensors that the user gave.
    """

    handle: TensorHandle
    values: Array
    follows: bool = False


@dataclass
class Draft:
    """A layer before it is compiled: it knows its tensors by their names.

    Attributes
    ----------
    layer : Layer
        Without its tensors and its bias.
    tensors : tuple of str
        The tensor of each of its operations.
    bias : str, optional
        The tensor of its bias.
    bias_map : Diagonal, optional
        The map of its bias.
    readers : list of str
        The layers that read it, once for each time they do.
    """

    layer: Layer
    tensors: tuple[str, ...] = ()
    bias: str | None = None
    bias_map: Diagonal | None = None
    readers: list[str] = field(default_factory=list)


class Drafts:
    """The tensors and layers that a builder has been told of.

    The public methods of its subclasses that take signals first (`TAKE_SIGNALS`) look at nothing else before these have
    been found to be signals of the builder.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, method in list(vars(cls).items()):
            if isinstance(method, FunctionType) and not name.startswith("_"):
                what = next(iter(method.__annotations__), "return")
                if method.__annotations__.get(what) in TAKE_SIGNALS:
                    setattr(cls, name, _checking(method, what))

    def __init__(self) -> None:
        self._drafts: dict[str, Draft] = {}
        self._tensors: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._positions: dict[str, Array] = {}
        self._spans: dict[str, tuple[int, int]] = {}
        self._n_positions = 0
        self._repeats: dict[str, int] = {}

    # -- tensors ---------------------------------------------------------------------------------------

    def tensor(self, name: str, values: ArrayLike, *, role: str = "parameter") -> TensorHandle:
        """A tensor of entries.

        Parameters
        ----------
        name : str
            Unique; parameters keep the names of their model.
        values : array_like
            Floats, or Fractions and integers. One Fraction, in a tensor of any role, makes the graph exact.
        role : {"parameter", "frozen", "structural"}
            Trainable; rescaled, but no parameter; never changed.

        Raises
        ------
        ParameterError
            On a name that is taken, an unknown role, or no numbers.
        """
        if not isinstance(name, str) or not name or name in self._tensors:
            raise ParameterError(f"name: needed a name that no tensor has yet, got {argument_text(name)}")
        if role not in ROLES:
            raise ParameterError(f"role: needed one of {', '.join(map(repr, ROLES))}, got {argument_text(role)}")
        try:
            array = np.asarray(values)
        except ValueError:
            raise ParameterError(f"{name}: needed a rectangular array") from None
        if array.dtype.kind not in "fiuO":
            raise ParameterError(f"{name}: needed real numbers, got {array.dtype}")
        if array.dtype.kind in "iu":
            array = array.astype(object)
        handle = TensorHandle(name, array.shape, role)
        self._tensors[name] = Tensor(handle, array)
        return handle

    def _made(self, name: str, values: Array) -> TensorHandle:
        """A structural tensor of exact values, made by a layer and not by the user."""
        handle = self.tensor(name, values, role="structural")
        self._tensors[name].follows = True
        return handle

    # -- names ----------------------------------------------------------------------------------------------------

    def free_name(self, name: str) -> str:
        """The name if no layer has it yet, else the name with the first free number behind it."""
        found, number = name, self._repeats.get(name, 1)
        while found in self._drafts:
            number += 1
            found = f"{name}_{number}"
        self._repeats[name] = max(1, number - 1)
        return found

    # -- shared ---------------------------------------------------------------------------------------------------

    def _new_name(self, kind: str, name: str | None) -> str:
        if name is None:
            while True:
                self._counts[kind] = self._counts.get(kind, 0) + 1
                name = f"{kind}{self._counts[kind]}" if kind not in ("input",) or self._counts[kind] > 1 else kind
                if name not in self._drafts:
                    return name
        if not isinstance(name, str) or not name or name in self._drafts:
            raise ParameterError(f"name: needed a name that no layer has yet, got {argument_text(name)}")
        return name

    def _add(
        self,
        kind: str,
        sources: tuple[Signal, ...],
        shape: Shape,
        *,
        name: str | None = None,
        maps: tuple[tuple[Operation, TensorHandle], ...] = (),
        bias: tuple[Diagonal, TensorHandle] | None = None,
        activation: str = "identity",
        rank: int = 1,
        view: View | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Signal:
        layer_name = self._new_name(kind, name)
        names = tuple(source.name for source in sources)
        layer = Layer(
            layer_name,
            kind,
            names,
            tuple(shape),
            tuple(operation for operation, _ in maps),
            activation=activation,
            rank=rank,
            view=view,
            options=MappingProxyType(dict(options or {})),
        )
        for operation, handle in maps:
            assert math.prod(operation.tensor_shape) == math.prod(handle.shape), (operation, handle)
            assert operation.target_shape == layer.shape, (operation, layer)
        draft = Draft(layer, tuple(handle.name for _, handle in maps))
        if bias is not None:
            draft.bias_map, draft.bias = bias[0], bias[1].name
        self._drafts[layer_name] = draft
        for read in names:
            self._drafts[read].readers.append(layer_name)
        if view is not None:
            spans = [self._spans[source] for source in names]
            self._spans[layer_name] = min(low for low, _ in spans), max(high for _, high in spans)
        else:
            self._spans[layer_name] = self._n_positions, self._n_positions + layer.size
            self._n_positions += layer.size
        return Signal(layer_name, layer.shape)

    # -- positions ------------------------------------------------------------------------------------------------

    def _where(self, name: str) -> Array:
        """The positions of a signal's entries, in an array of its shape; kept for the next time."""
        todo = [name]
        while todo:
            layer = self._drafts[todo[-1]].layer
            missing = [source for source in layer.sources if layer.is_view and source not in self._positions]
            if missing:
                todo += missing
                continue
            todo.pop()
            if layer.view is not None:
                self._positions[layer.name] = viewed(layer.view, [self._positions[s] for s in layer.sources])
            else:
                self._positions[layer.name] = np.arange(*self._spans[layer.name]).reshape(layer.shape)
        return self._positions[name]

    def _may_share(self, x: Signal, y: Signal) -> bool:
        """Whether the layers of two signals overlap in their positions. If they do not, the signals share no entry."""
        (low, high), (other_low, other_high) = self._spans[x.name], self._spans[y.name]
        return low < other_high and other_low < high

    def _share(self, x: Signal, y: Signal) -> bool:
        """Whether two signals share an entry."""
        if x.name == y.name or not self._may_share(x, y):
            return x.name == y.name
        low, high = self._spans[x.name]
        is_read = np.zeros(high - low, dtype=bool)
        is_read[self._where(x.name).ravel() - low] = True
        other = self._where(y.name).ravel() - low
        return bool(is_read[other[(other >= 0) & (other < high - low)]].any())

    def _mapped(
        self,
        kind: str,
        x: Signal,
        operation: Operation,
        weight: TensorHandle,
        bias: TensorHandle | None,
        axis: int,
        name: str | None,
    ) -> Signal:
        """A layer with one operation, and with a bias that has one number for each coordinate of one axis."""
        shape = operation.target_shape
        along = None
        if bias is not None:
            self._require_handle(bias, "bias")
            if bias.shape != (shape[axis],):
                raise ParameterError(f"bias: {bias.name!r} needed shape ({shape[axis]},), got {bias.shape}")
            factor = [1] * len(shape)
            factor[axis] = shape[axis]
            along = (Diagonal((), shape, tuple(factor)), bias)
        return self._add(kind, (x,), shape, name=name, maps=((operation, weight),), bias=along)

    def _separable(
        self,
        kind: str,
        x: Signal,
        maps: tuple[WeightedAxis, ...],
        options: Mapping[str, Any],
        name: str | None,
        *,
        activation: str = "identity",
        rank: int = 1,
    ) -> Signal:
        lead = x.shape[: len(x.shape) - len(maps)]
        operation = Separable(lead, maps)
        if operation.source_shape != x.shape:
            raise ParameterError(f"maps: needed matrices for the trailing sizes of {x.shape}, got {maps}")
        layer = self._new_name(kind, name)
        if 0 in operation.target_shape:
            raise ParameterError(f"{layer}: no window fits into {x.name!r} {x.shape}")
        coefficients = object_array(operation.coefficients()).reshape(operation.tensor_shape)
        handle = self._made(f"{layer}.coefficients", coefficients)
        return self._add(
            kind,
            (x,),
            operation.target_shape,
            name=layer,
            maps=((operation, handle),),
            activation=activation,
            rank=rank,
            options=options,
        )

    def _pool(
        self,
        kind: str,
        x: Signal,
        maps: tuple[WeightedAxis, ...],
        rank: int,
        options: Mapping[str, Any],
        name: str | None,
    ) -> Signal:
        least = math.prod(min(m.taps.degree.tolist(), default=rank) for m in maps)
        if natural(rank, "rank", least=1) > least:
            raise ParameterError(
                f"rank: needed at most {least}, the entries of the smallest window, got {argument_text(rank)}"
            )
        return self._separable(kind, x, maps, options, name, activation="pool", rank=rank)

    def _skip(
        self, layer: str, source: Shape, target: Shape, sign: int = 1, place: int = 0
    ) -> tuple[Diagonal, TensorHandle]:
        """Edges of weight 1 or -1 from each entry to its own, by broadcasting."""
        handle = self._made(f"{layer}.skip{place}", object_array([sign]))
        read = (1,) * (len(target) - len(source)) + source
        return Diagonal(read, target, (1,) * len(target)), handle

    def _view(self, view: View, xs: tuple[Signal, ...], name: str | None) -> Signal:
        shape = viewed(view, [np.broadcast_to(np.int8(0), x.shape) for x in xs]).shape
        return self._add(view.kind, xs, shape, name=name, activation="view", view=view)

    def _broadcast(self, handle: TensorHandle, x: Signal, what: str) -> Shape:
        """The shape of a tensor that broadcasts to a signal, with as many axes."""
        self._require_handle(handle, what)
        shape = (1,) * (len(x.shape) - len(handle.shape)) + handle.shape
        if len(shape) != len(x.shape) or any(m not in (1, n) for m, n in zip(shape, x.shape, strict=True)):
            raise ParameterError(
                f"{what}: needed a shape that broadcasts to {x.name!r} {x.shape}, got {handle.name!r} {handle.shape}"
            )
        return shape

    def _spatial(self, x: Signal, weight: TensorHandle) -> int:
        self._require_handle(weight, "weight")
        n = len(x.shape) - 1
        if n < 1 or len(weight.shape) != n + 2:
            raise ParameterError(
                f"weight: {weight.name!r} needed {n + 2} axes for {x.name!r} {x.shape}, got shape {weight.shape}"
            )
        return n

    @staticmethod
    def _require_room(space: Shape, x: Signal, kernel: Shape) -> None:
        if any(size < 1 for size in space):
            raise ParameterError(f"padding: a kernel {kernel} does not fit into {x.name!r} {x.shape}: output {space}")

    @staticmethod
    def _shape(shape: Sizes, what: str) -> Shape:
        return tuple(natural(n, what, least=1) for n in ([shape] if isinstance(shape, int) else shape))

    def _require_handle(self, handle: Any, what: str, ndim: int | None = None) -> None:
        if not isinstance(handle, TensorHandle) or not self._is_known(handle):
            raise ParameterError(
                f"{what}: needed a handle made by .tensor(...) of this builder, got {argument_text(handle)}"
            )
        if ndim is not None and len(handle.shape) != ndim:
            raise ParameterError(f"{what}: {handle.name!r} needed {ndim} axes, got shape {handle.shape}")

    def _is_known(self, handle: TensorHandle) -> bool:
        """Whether this builder made the handle, or one that holds the same entries in another shape."""
        own = self._tensors.get(handle.name, _NOTHING).handle
        return own.role == handle.role and math.prod(own.shape) == math.prod(handle.shape)

    def _required(self, value: Any, what: str) -> None:
        """Refuse what is no signal of this builder."""
        if not self._is_own(value):
            raise ParameterError(f"{what}: needed a signal made by this builder, got {argument_text(value)}")

    def _all_required(self, values: Any, what: str) -> list[Signal]:
        """Signals of this builder, as a list."""
        try:
            signals = list(values)
        except TypeError:
            raise ParameterError(
                f"{what}: needed a sequence of signals made by this builder, got {argument_text(values)}"
            ) from None
        for signal in signals:
            self._required(signal, what)
        return signals

    def _is_own(self, signal: Any) -> bool:
        """Whether this is a signal of the builder, or equal to one."""
        draft = self._drafts.get(signal.name) if isinstance(signal, Signal) else None
        return draft is not None and draft.layer.shape == signal.shape


def _checking(method: Callable[..., Any], what: str) -> Callable[..., Any]:
    """The method of a builder, which first asks whether its argument `what`, the first one, is of signals of it."""
    kind = method.__annotations__[what]

    def checked(builder: Drafts, value: Any) -> Any:
        if kind == "Signal" or (isinstance(value, Signal) and "|" in kind):
            builder._required(value, what)
            return value
        return builder._all_required(value, what)

    @wraps(method)
    def asking(builder: Drafts, *arguments: Any, **options: Any) -> Any:
        if arguments:
            return method(builder, checked(builder, arguments[0]), *arguments[1:], **options)
        if what in options:
            options[what] = checked(builder, options[what])
        return method(builder, **options)

    return asking


_NOTHING = Tensor(TensorHandle("", (), ""), np.empty(0))
