"""What a sweep is prepared with, and whether its result may be believed: all that comes before and after the loop.

Before: the back end that will run, the entries of a network as elements of a semiring, a buffer of zeros of the dtype
that the back end wants, and the refusal of sums that would take hours. After: whether floats stayed clear of the ends
of their range, and the numbers of a second sweep where they did not (`pathgraph.pathsum.scaled`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from pathgraph.errors import BackendError, UnsupportedOperatorError
from pathgraph.pathsum import engine
from pathgraph.pathsum.blocks import BlockNetwork
from pathgraph.pathsum.flat import FlatTensors, mapped
from pathgraph.pathsum.float_range import extremes
from pathgraph.pathsum.scaled import SCALED_DTYPE, scaled, scaled_to_float
from pathgraph.pathsum.semirings import Semiring
from pathgraph.shown import argument_text

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = [
    "Backend",
    "buffer",
    "choose_backend",
    "edge_values",
    "entries",
    "is_safe",
    "kind_of_sums",
    "narrow",
    "refuse_hours",
    "widen",
]

Backend: TypeAlias = Literal["reference", "numpy", "numba"]

LARGE = 20_000
"""Edges from which the compiled back end is chosen: compiling, or loading what was compiled, takes its time."""

MOST_EDGES, MOST_EDGES_SINGLY = 200_000_000, 50_000_000
"""Edges up to which sums of Python objects are taken, by arrays of them or one after the other: minutes, not hours."""


def choose_backend(backend: str | None, net: BlockNetwork) -> Backend:
    """The back end that will run; None chooses Numba for large neuron graphs of floats, and NumPy else.

    Raises
    ------
    BackendError
        On an unknown one, and on "numba" where it cannot sweep this network.
    """
    if backend is None:
        flat = net.dag.flat
        is_large = flat is not None and flat.n_edges >= LARGE
        return "numba" if is_large and engine.refusal(net) is None else "numpy"
    if backend == "numpy":
        return "numpy"
    if backend == "reference":
        return "reference"
    if backend != "numba":
        raise BackendError(f"backend: needed 'reference', 'numpy', 'numba' or None, got {argument_text(backend)}")
    reason = engine.refusal(net)
    if reason is not None:
        raise BackendError(f"backend: 'numba' cannot run this: {reason}")
    return "numba"


def refuse_hours(net: BlockNetwork, ring: Semiring, backend: Backend, dtype: DTypeLike) -> None:
    """Refuse sums of Python objects (of dtype object) over so many edges that they would take hours.

    Raises
    ------
    UnsupportedOperatorError
    """
    if np.dtype(dtype).kind != "O" or net.dag.size < LARGE:
        return
    is_single = ring.arrays is None or backend == "reference"
    most = MOST_EDGES_SINGLY if is_single else MOST_EDGES
    n_edges = sum(int(block.degrees().sum()) for block in net.dag.blocks())
    if n_edges > most:
        way_out = (
            "a semiring with arrays=" if ring.arrays is None else "floats" if not is_single else "another back end"
        )
        raise UnsupportedOperatorError(
            f"net: {ring!r} on Python objects takes hours on its {n_edges:,} edges, and runs on at most {most:,}; use "
            f"{way_out}, or the same network on smaller inputs"
        )


def entries(f: Callable[..., Array], net: BlockNetwork, *others: BlockNetwork) -> Sequence[Array]:
    """Apply `f`, entry by entry, to networks of one architecture: ``f(w)``, ``f(w, w')``, ..., one array per tensor.

    Structural entries (skips, pooling weights) are mapped like the others: a norm raises them to its power, too.
    """
    return mapped(f, net.tensors, *(other.tensors for other in others))


def edge_values(net: BlockNetwork, ring: Semiring, backend: Backend = "numpy") -> Sequence[Array]:
    """The entries of `net` as elements of a semiring."""
    if ring.arrays is not None and ring.bias_value is None and backend != "reference":
        return entries(ring.arrays.value, net)
    biases = {block.tensor for block in net.dag.blocks() if block.is_bias}
    if ring.arrays is not None and ring.bias_value is not None and backend != "reference":
        dtype = ring.arrays.dtype
        return tuple(
            np.array([ring.bias_value(b) for b in tensor.ravel().tolist()], dtype=dtype).reshape(tensor.shape)
            if index in biases
            else ring.arrays.value(tensor)
            for index, tensor in enumerate(net.tensors)
        )
    out = []
    for index, tensor in enumerate(net.tensors):
        value = ring.bias_value if index in biases and ring.bias_value is not None else ring.value
        elements = ring.full(tensor.shape)
        for position, weight in np.ndenumerate(tensor):
            elements[position] = value(weight.item() if isinstance(weight, np.generic) else weight)
        out.append(elements)
    return tuple(out)


def buffer(net: BlockNetwork, ring: Semiring, states: int = 1, backend: Backend = "numpy") -> Array:
    """A buffer of zeros of the semiring, of shape (states, N), with the dtype that the back end wants."""
    dtype = kind_of_sums(net, ring, backend)
    if dtype.kind == "O":
        return ring.full((states, net.dag.size))
    out = np.empty((states, net.dag.size), dtype=dtype)
    out[...] = ring.zero
    return out


def kind_of_sums(net: BlockNetwork, ring: Semiring, backend: Backend) -> np.dtype[Any]:
    """The dtype of the elements of a sweep."""
    if ring.arrays is None or backend == "reference":
        return np.dtype(object)
    return np.dtype(ring.arrays.dtype or (np.float64 if net.scalars == "float" else object))


def widen(array: Array, backend: Backend) -> Array:
    """Floats as scaled numbers, in the form the back end wants: a structured array, or an array of tuples."""
    numbers = scaled(array.astype(np.float64))
    return numbers.astype(object) if backend == "reference" else numbers


def narrow(numbers: Array, dtype: DTypeLike = np.float64) -> Array:
    """Scaled numbers, in either form, as floats; infinite where they are too large."""
    return scaled_to_float(np.array(numbers.tolist(), dtype=SCALED_DTYPE), dtype)


def is_safe(values: Sequence[Array], x: Array) -> bool:
    """Whether a float sweep of `values` that ended in the buffer `x` stayed clear of the ends of the float range.

    Every product in it is one of a value and a sum: the smallest such product of non-zeros is a normal number, and no
    sum is near the largest number, so nothing overflowed and nothing vanished.
    """
    sums = x if x.dtype.kind == "f" else x.astype(np.float64)
    info: Any = np.finfo(sums.dtype)
    arrays = [values.flat] if isinstance(values, FlatTensors) else values
    least = min((_smallest(value.astype(sums.dtype, copy=False)) for value in arrays), default=1.0)
    return bool((np.abs(sums) <= info.max / 4).all()) and least * _smallest(sums) >= info.tiny


def _smallest(array: Array) -> float:
    """The smallest non-zero absolute value, at most 1."""
    if array.size >= LARGE and array.flags.c_contiguous and engine.is_available():
        return min(1.0, extremes(array.ravel())[0])
    return float(np.abs(array[array != 0]).min(initial=1.0))
