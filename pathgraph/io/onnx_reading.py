"""What is known while an ONNX file is read: the layer graph so far, the value of each tensor, and what to tell.

`Reading` is what every operator gets. It names layers, gives each tensor of the file one handle, so that a parameter
used twice stays tied, and keeps the books: how many entries the file has asked for (a file of a few bytes can describe
a tensor of any size), what the user should know, and what cannot be imported.

Operators register with `operator`; they take the values of the node's inputs (None where an optional one is left out)
and return the values of its outputs. They raise `Refused` with a reason.

Source: derived here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pathgraph.errors import FileFormatError
from pathgraph.io.onnx_file import Node, OnnxFile
from pathgraph.io.onnx_selection import Selection
from pathgraph.io.onnx_tensors import FLOAT_TYPES
from pathgraph.io.onnx_values import Activation, Constant, Value, shown
from pathgraph.io.refusals import Refused
from pathgraph.layers import LayerGraphBuilder, Signal, TensorHandle
from pathgraph.scalars import Array

__all__ = ["OPERATORS", "Handler", "Options", "Reading", "narrow", "operator"]

Handler = Callable[..., "Value | tuple[Value, ...]"]
OPERATORS: dict[str, Handler] = {}
LONGEST_AXIS = 2**18


def operator(*names: str) -> Callable[[Handler], Handler]:
    """Register what reads the operators of these names."""

    def register(handler: Handler) -> Handler:
        for name in names:
            OPERATORS[name] = handler
        return handler

    return register


@dataclass(frozen=True)
class Options:
    """What the user has agreed to."""

    relu6: str | None = None
    leaky_relu: str | None = None
    max_entries: int = 2**28


class Reading:
    """The state of an import."""

    def __init__(self, file: OnnxFile, options: Options, batch: int) -> None:
        self.file, self.options, self.batch = file, options, batch
        self.opset = file.opset
        self.build = LayerGraphBuilder()
        self.values: dict[str, Value | None] = {}
        self.roles: dict[str, str] = {}
        self.fused: dict[str, str] = {}
        self.copies: set[str] = set()
        self.selections: dict[int, Selection] = {}
        self.within: set[int] = set()
        self.readers: dict[str, list[Node]] = {}
        for node in file.nodes:
            for name in node.inputs:
                self.readers.setdefault(name, []).append(node)
        self.uses = Counter({name: len(nodes) for name, nodes in self.readers.items()})
        self.uses.update(file.outputs)
        self._notes: dict[str, list[str]] = {}
        self._handles: dict[Any, TensorHandle] = {}
        self._layer_names = {value.name: 1 for value in file.inputs}
        self._tensor_names: dict[str, int] = {}
        self._spent = 0

    # -- books ------------------------------------------------------------------------------------------------------

    def reserve(self, shape: Sequence[int]) -> None:
        """Agree to another tensor of this shape.

        Raises
        ------
        FileFormatError
            If the tensors have too many entries together.
        """
        self._spent += math.prod(shape)
        if self._spent > self.options.max_entries:
            raise FileFormatError(
                f"{self.file.label}: its activations and computed constants have more than max_entries="
                f"{self.options.max_entries} entries (another {shown(shape)}); give more if the file is to be trusted"
            )

    def require_short(self, *sizes: int, most: int = LONGEST_AXIS) -> None:
        """Agree to maps along axes, which are made coordinate by coordinate.

        Raises
        ------
        FileFormatError
            If one has too many coordinates or reads.
        """
        if max(sizes, default=0) > most:
            raise FileFormatError(
                f"{self.file.label}: needed at most {most} coordinates or reads along an axis of a convolution, pool, "
                f"padding or resizing, got {max(sizes)}"
            )

    def note(self, text: str, node: Node | str) -> None:
        """Tell the user; nodes with the same text are told of together."""
        names = self._notes.setdefault(text, [])
        names.append(node if isinstance(node, str) else node.name or node.outputs[0])

    @property
    def notes(self) -> tuple[str, ...]:
        """What to tell, one line per fact."""
        lines = []
        for text, names in self._notes.items():
            listed = ", ".join(map(repr, names[:4])) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
            lines.append(f"{text}: {listed}")
        return tuple(lines)

    # -- names and tensors ------------------------------------------------------------------------------------------

    def name(self, node: Node, suffix: str = "") -> str:
        """A name for a layer: that of the node or of its output, made unique."""
        return _fresh((node.name or node.outputs[0]) + suffix, self._layer_names)

    def tensor(self, constant: Constant, array: Array, role: str, key: tuple[Any, ...] = ()) -> TensorHandle:
        """The handle of a tensor of the file, in the layout that a layer wants.

        Parameters
        ----------
        constant : Constant
            Where it comes from.
        array : ndarray
            Its entries, as the layer wants them.
        role : str
        key : tuple
            What was done to the entries beyond reshapes.
        """
        self.require_numbers(constant)
        role = self.roles.get(constant.origin, role)
        place = (constant.origin, array.shape, key, role)
        if place not in self._handles:
            fresh = _fresh(constant.origin, self._tensor_names)
            if fresh != constant.origin:
                self.note("used in two shapes, orders or roles, and imported as tensors that are not tied", fresh)
            self._handles[place] = self.build.tensor(fresh, array, role=role)
        return self._handles[place]

    def own_tensor(self, name: str, array: Any, role: str = "frozen") -> TensorHandle:
        """A tensor that the file does not have."""
        return self.build.tensor(_fresh(name, self._tensor_names), narrow(np.asarray(array)), role=role)

    def require_numbers(self, constant: Constant) -> None:
        """Floats that do not depend on the size of the batch; that they are finite is checked with the graph."""
        if constant.knows_batch:
            raise Refused("the size of the batch enters the values; a network treats samples one by one")
        if constant.array.dtype.kind != "f":
            raise Refused(f"needed floats in {constant.origin!r}, got {constant.array.dtype}")

    # -- values -----------------------------------------------------------------------------------------------------

    def made(self, signal: Signal, like: Activation) -> Activation:
        """A signal whose batch axis is where that of another is."""
        batch = like.batch
        shape = list(signal.shape)
        if batch is not None:
            shape.insert(batch, like.shape[batch])
        return Activation(signal, tuple(shape), batch)

    def channels_first(self, x: Value | None, what: str = "input") -> Activation:
        """A tensor (batch, channels, *space).

        Raises
        ------
        Refused
            If its first axis is not the batch.
        """
        x = activation(x, what)
        if x.batch is None and self.batch == 1 and x.shape and x.shape[0] == 1:
            return Activation(self.build.reshape(x.signal, x.shape[1:]), x.shape, 0)
        if x.batch != 0 or len(x.shape) < 2:
            where = "it has no batch axis" if x.batch is None else f"the batch is axis {x.batch}"
            raise Refused(f"needed {what} of shape (batch, channels, ...), got {shown(x.shape)}, where {where}")
        return x


def activation(x: Value | None, what: str = "input") -> Activation:
    """A value that depends on the inputs of the network."""
    if not isinstance(x, Activation):
        raise Refused(f"needed {what} that depends on the inputs of the network, got a constant or nothing")
    return x


def constant(x: Value | None, what: str) -> Constant:
    """A value that does not depend on the inputs of the network."""
    if x is None:
        raise FileFormatError(f"{what}: needed a tensor, got none")
    if not isinstance(x, Constant):
        raise Refused(f"needed constants as {what}, got numbers that depend on the inputs of the network")
    return x


def integers(x: Value | None, what: str) -> list[int]:
    """The entries of a constant vector of integers."""
    array = constant(x, what).array
    if array.dtype.kind not in "iu" or array.ndim > 1 or array.size > 64:
        raise FileFormatError(f"{what}: needed a short vector of integers, got {array.dtype} of shape {array.shape}")
    return [int(v) for v in np.atleast_1d(array)]


def scalar(x: Value | None, what: str, default: Any = None) -> Any:
    """The only entry of a constant, or the default where there is none."""
    if x is None:
        return default
    array = constant(x, what).array
    if array.size != 1:
        raise FileFormatError(f"{what}: needed one number, got shape {array.shape}")
    return array.reshape(-1)[0].item()


def narrow(array: Array) -> Array:
    """Floats in float32, if that holds them exactly."""
    if array.dtype == np.float64:
        single = array.astype(np.float32)
        if np.array_equal(single, array):
            return single
    return array


def is_float_type(number: int) -> bool:
    """Whether an element type stands for real numbers."""
    return number in FLOAT_TYPES


def _fresh(wanted: str, taken: dict[str, int]) -> str:
    """A name like that which is not taken; the numbers count how often each was wanted."""
    name = wanted
    while name in taken:
        taken[wanted] += 1
        name = f"{wanted}#{taken[wanted]}"
    taken[name] = 1
    return name
