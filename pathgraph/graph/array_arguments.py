"""The arguments of `from_arrays`, checked: one function for each, which names it in its messages.

What comes back may be the caller's own array, or a view of it, unless the function says that it is a copy.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from pathgraph.errors import GraphError, ParameterError
from pathgraph.graph.architecture import ACTIVATIONS, PARAMETER, ROLES
from pathgraph.pathsum.blocks import IDENTITY, INPUT, POOL
from pathgraph.shown import argument_text

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = [
    "activation_codes",
    "at_least_one",
    "check_indptr",
    "chosen_neurons",
    "distinct_names",
    "integers",
    "names_by_entry",
    "neurons_and_biases",
    "number_of_neurons",
    "numbers",
    "pool_ranks",
    "refuse_beyond",
    "role_codes",
]


def _as_array(values: Any, what: str, needed: str, dtype: DTypeLike | None = None) -> Array:
    if isinstance(values, np.ma.MaskedArray):
        raise ParameterError(f"{what}: needed an array without a mask, got a masked one; fill its gaps")
    if hasattr(values, "tocsr"):
        raise ParameterError(f"{what}: needed an array, got a sparse matrix M; give M.indices, M.data, indptr=M.indptr")
    try:
        array = np.asarray(values, dtype=None if isinstance(values, np.ndarray) else dtype)
    except (ValueError, TypeError, OverflowError):
        raise ParameterError(f"{what}: needed {needed}, got {argument_text(values)}") from None
    if array.ndim > 1:
        raise ParameterError(f"{what}: needed {needed}, got shape {array.shape}")
    return array


def integers(values: Any, what: str) -> Array:
    """A 1-D array of integers."""
    array = _as_array(values, what, "a 1-D array of integers")
    if not array.size and not isinstance(values, np.ndarray):
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ParameterError(
            f"{what}: needed a 1-D array of integers, got {array.dtype} of shape {array.shape}; "
            "convert it with .astype(np.int64) if it holds whole numbers"
        )
    return array


def refuse_beyond(neurons: Array, what: str, n_nodes: int) -> None:
    """Refuse what is no number of a neuron."""
    if len(neurons) and not (neurons.min() >= 0 and neurons.max() < n_nodes):
        place = int(np.argmax((neurons < 0) | (neurons >= n_nodes)))
        raise ParameterError(
            f"{what}: needed numbers of neurons from 0 to {n_nodes - 1}, got {neurons[place]} at place {place}"
        )


def at_least_one(n_nodes: int) -> int:
    """The number of neurons, if there is one."""
    if n_nodes < 1:
        raise GraphError("graph: a network needs at least one node, got none")
    return n_nodes


def check_indptr(ends: Array, n_edges: int) -> None:
    """Refuse what is no array of row starts."""
    falls = ends[1:] < ends[:-1]
    if falls.any():
        v = int(np.argmax(falls))
        hint = "; 32 bits overflow from 2**31 edges on: use int64" if ends.dtype.itemsize < 8 else ""
        raise ParameterError(f"indptr: must not decrease, got {ends[v]} and then {ends[v + 1]} at neuron {v}{hint}")
    if ends[0] != 0 or ends[-1] != n_edges:
        raise ParameterError(
            f"indptr: needed 0 at first and {n_edges} at last, the number of edges, got {ends[0]} and {ends[-1]}"
        )


def number_of_neurons(before: Array, behind: Array, activation: Any, names: tuple[Hashable, ...] | None) -> int:
    """How many neurons there are when the edges do not say: as many as names or activations, or as have edges."""
    if names is not None:
        return len(names)
    array = _as_array(activation, "activation", "names of activations")
    if array.ndim == 1:
        return len(array)
    largest = max((int(neurons.max()) for neurons in (before, behind) if len(neurons)), default=-1)
    if largest >= 2 * len(before):  # then some neuron has no edge
        raise ParameterError(
            f"targets: {len(before)} edges lead to or from neurons up to number {largest}, so some have no edge; "
            "give an activation for each neuron, or number them without gaps"
        )
    return largest + 1


def distinct_names(names: Any) -> tuple[Hashable, ...] | None:
    """The names as a tuple; None if there are none."""
    if names is None:
        return None
    if isinstance(names, str) or not isinstance(names, (Sequence, np.ndarray)):
        raise ParameterError(f"names: needed a sequence with one name per neuron, got {argument_text(names)}")
    listed = tuple(names.tolist() if isinstance(names, np.ndarray) else names)
    seen: set[Hashable] = set()
    for name in listed:
        if not _is_hashable(name) or name is None:
            raise ParameterError(f"names: needed hashable names other than None, got {argument_text(name)}")
        if name in seen:
            raise ParameterError(f"names: two neurons have the name {argument_text(name)}; names must differ")
        seen.add(name)
    return listed


def _is_hashable(name: Any) -> bool:
    try:
        hash(name)
    except TypeError:
        return False
    return True


# -- neurons ------------------------------------------------------------------------------------------------------


def _codes(values: Any, what: str, known: Sequence[str], size: int) -> Array:
    """Names or codes as codes: an array of shape (size,), or one of shape () for a single one."""
    needed = f"{', '.join(map(repr, known))}, or numbers from 0 to {len(known) - 1}"
    array = _as_array(values, what, needed)
    if array.ndim and len(array) != size:
        raise ParameterError(f"{what}: needed a single value or {size} of them, got {len(array)}")
    if array.dtype.kind in "iu":
        codes = array
    elif array.dtype.kind in "UOT":
        codes = np.full(array.shape, -1, dtype=np.int8)
        for code, name in enumerate(known):
            codes[array == name] = code
    elif array.size:
        raise ParameterError(f"{what}: needed {needed}, got {array.dtype}")
    else:
        codes = np.empty(0, dtype=np.int8)
    wrong = (codes < 0) | (codes >= len(known))
    if wrong.any():
        where = f" at place {np.argmax(wrong)}" if array.ndim else ""
        raise ParameterError(f"{what}: needed {needed}, got {argument_text(array[wrong].tolist()[0])}{where}")
    return codes.astype(np.int8)


def activation_codes(activation: Any, degree: Array, ends: Array) -> Array:
    """The activations, as a copy, from themselves or from a single one, by degree and whether there is no successor."""
    codes = _codes(activation, "activation", ACTIVATIONS, len(degree))
    if codes.ndim:
        return codes
    inner = np.where(ends, np.int8(IDENTITY), codes)
    inner[degree == 0] = INPUT
    return inner


def pool_ranks(rank: Any, codes: Array) -> Array:
    """The ranks, from themselves or from that of all pools: nothing of the caller's."""
    if rank is None:
        return np.broadcast_to(np.int64(1), len(codes))
    needed = f"an integer, or {len(codes)} of them"
    array = _as_array(rank, "rank", needed)
    if array.dtype.kind not in "iu" or (array.ndim and len(array) != len(codes)):
        raise ParameterError(f"rank: needed {needed}, got {array.dtype} of shape {array.shape}")
    return np.where(codes == POOL, array, 1).astype(np.int64) if array.ndim == 0 else array.astype(np.int64)


def chosen_neurons(neurons: Any, what: str, n_nodes: int) -> Array:
    """Numbers of neurons, as a copy, from themselves or from a mask."""
    array = _as_array(neurons, what, "numbers of neurons, or a mask")
    if array.dtype == bool and array.ndim:
        if array.shape != (n_nodes,):
            raise ParameterError(f"{what}: needed a mask of shape ({n_nodes},), got shape {array.shape}")
        return np.flatnonzero(array)
    array = integers(neurons, what)
    refuse_beyond(array, what, n_nodes)
    return array.astype(np.int64)


# -- values -------------------------------------------------------------------------------------------------------


def numbers(values: Any, what: str, size: int) -> Array:
    """Values, of which only the number is checked; objects if they came as no array."""
    array = _as_array(values, what, f"{size} numbers", dtype=object)
    if array.shape != (size,):
        raise ParameterError(f"{what}: needed shape ({size},), got {array.shape}")
    return array if size or isinstance(values, np.ndarray) else np.empty(0)


def neurons_and_biases(bias: Any, biased: Any, codes: Array) -> tuple[Array, Array]:
    """The neurons with a bias, as a copy, and the biases."""
    if bias is None:
        if biased is not None and np.any(biased):
            raise ParameterError("biased: some neurons have a bias, but no bias came; give bias=")
        return np.empty(0, dtype=np.int64), np.empty(0)
    neurons = np.flatnonzero(codes != INPUT) if biased is None else chosen_neurons(biased, "biased", len(codes))
    single = _as_array(bias, "bias", "a number, or one for each biased neuron", dtype=object)
    if single.ndim:
        return neurons, numbers(bias, "bias", len(neurons))
    plain = isinstance(bias, (int, float, np.generic, np.ndarray))
    return neurons, np.full(len(neurons), bias, dtype=None if plain else object)


def role_codes(roles: Any, what: str, size: int) -> Array | int:
    """The roles, as a copy, or the one of all entries."""
    if roles is None:
        return PARAMETER
    codes = _codes(roles, what, ROLES, size)
    return codes if codes.ndim else int(codes)


def names_by_entry(ties: Any, n_entries: int) -> dict[int, Hashable]:
    """The names of tied parameters."""
    if ties is None:
        return {}
    if not isinstance(ties, Mapping):
        raise ParameterError(f"ties: needed a mapping from places of entries to names, got {argument_text(ties)}")
    for entry, name in ties.items():
        if isinstance(entry, bool) or not isinstance(entry, (int, np.integer)) or not 0 <= entry < n_entries:
            raise ParameterError(
                f"ties: needed places of edges and biases from 0 to {n_entries - 1}, got {argument_text(entry)}"
            )
        if not _is_hashable(name):
            raise ParameterError(
                f"ties: the name of a parameter must be hashable, got {argument_text(name)}; use a string"
            )
    return {int(entry): name for entry, name in ties.items() if name is not None}
