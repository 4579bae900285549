"""What is the value of a tensor while a file is read: activations with a batch axis somewhere, or constants?

An ONNX file computes on tensors with a batch axis; a layer graph has none. An `Activation` is a signal of the layer
graph, its shape in the file, and which axis of it is the batch. The batch axis is followed through every operator, so
that an operator that mixes samples is found and refused. A dynamic batch has a size that no other axis can have
(`DYNAMIC`, a prime larger than any tensor that is accepted), so that shapes computed by the file itself come out right.

A `Constant` keeps the name of the tensor it comes from and the axes by which it was transposed since, so that a
parameter used twice is one parameter.

Source: derived here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pathgraph.io.refusals import Refused
from pathgraph.layers import Signal
from pathgraph.scalars import Array

__all__ = ["DYNAMIC", "Activation", "Constant", "Value", "batch_after_reshape"]

DYNAMIC = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Activation:
    """A tensor that depends on the inputs.

    Attributes
    ----------
    signal
        The tensor of one sample, in the layer graph.
    shape : tuple of int
        The shape in the file, with the batch axis.
    batch : int or None
        Which axis is the batch; None where the file has none, or has squeezed one of size 1.
    """

    signal: Signal
    shape: tuple[int, ...]
    batch: int | None

    @property
    def sample(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return tuple(d for axis, d in enumerate(self.shape) if axis != self.batch)

    def axis(self, number: int, what: str = "axis") -> int:
        """Which axis of the *signal* an axis of the file is, negative numbers counted from the end.

        Raises
        ------
        Refused
            If it is the batch axis, or none at all.
        """
        axis = checked_axis(number, len(self.shape), what)
        if axis == self.batch:
            raise Refused(f"{what} {number} is the batch axis; a network treats samples one by one")
        return axis - (self.batch is not None and axis > self.batch)


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that does not depend on the inputs.

    Attributes
    ----------
    array : ndarray
    origin : str
        The tensor of the file that holds the numbers.
    layout : tuple
        The transpositions since; reshapes do not count.
    knows_batch : bool
        Whether the size of a dynamic batch went into it: good for shapes only.
    """

    array: Array
    origin: str
    layout: tuple[tuple[int, ...], ...] = ()
    knows_batch: bool = False

    def viewed(self, array: Array, transposed: tuple[int, ...] | None = None) -> Constant:
        """The same numbers in another shape or order."""
        layout = self.layout if transposed is None else (*self.layout, transposed)
        if len(layout) > MOST_TRANSPOSITIONS:
            raise Refused(f"a constant is transposed more than {MOST_TRANSPOSITIONS} times")
        return replace(self, array=array, layout=layout)


Value = Activation | Constant

MOST_TRANSPOSITIONS = 64
"""Of one constant: each keeps the list of those before it."""


def checked_axis(number: int, rank: int, what: str = "axis") -> int:
    """A non-negative axis."""
    if not -rank <= number < rank:
        raise Refused(f"needed {what} from {-rank} to {rank - 1}, got {number}")
    return number % rank


def batch_after_reshape(shape: Sequence[int], batch: int | None, target: Sequence[int]) -> int | None:
    """Which axis is the batch after a reshape; samples stay samples if as many entries come before it.

    Raises
    ------
    Refused
        If samples are mixed.
    """
    if batch is None:
        return None
    size, before = shape[batch], math.prod(shape[:batch])
    fitting = [a for a, d in enumerate(target) if d == size and math.prod(target[:a]) == before]
    if fitting:
        return batch if batch in fitting else fitting[0]
    if size == 1:
        return None
    raise Refused(f"a reshape from {shown(shape)} to {shown(target)} mixes the batch axis with others")


def shown(shape: Sequence[int]) -> str:
    """A shape, with a letter for a dynamic batch."""
    inner = ", ".join("N" if d == DYNAMIC else str(d) for d in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"
