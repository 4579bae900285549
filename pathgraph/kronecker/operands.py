"""What a Kronecker-sparse operator is multiplied with: arrays of any layout, and the arrays results are written to."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Number
from typing import Any

import numpy as np

from pathgraph.devices import is_device_array, refuse_elsewhere
from pathgraph.errors import ConversionError, ParameterError
from pathgraph.scalars import Array, is_symbol
from pathgraph.shown import argument_text

__all__ = ["as_operand", "as_output", "checked_axis", "flattened", "is_scalar", "product_type", "with_axis"]

KINDS = "biufcO"
"""NumPy's kinds of numbers: booleans, integers, floats, complex numbers, and objects."""


def is_scalar(value: Any) -> bool:
    """Whether a value multiplies an operator as a number does."""
    if isinstance(value, np.ndarray):
        return value.ndim == 0
    return isinstance(value, (Number, np.generic)) or is_symbol(value)


def as_operand(array: Any, name: str) -> Array:
    """An argument as an array of numbers, as it lies in memory.

    Raises
    ------
    ConversionError
        On arrays of another device: nothing is transferred silently.
    ParameterError
        On masked arrays, and what is no array of numbers.
    """
    if hasattr(array, "__cuda_array_interface__") or is_device_array(array):
        raise ConversionError(
            f"{name}: needed a NumPy array, as the values are, got {type(array).__name__} on a GPU or another device; "
            "move the array, or the operator with .to_device()"
        )
    if isinstance(array, np.ma.MaskedArray):
        raise ParameterError(f"{name}: needed an array without a mask, got a masked one; fill its gaps")
    try:
        found = np.asarray(array)
    except ValueError:
        raise ParameterError(f"{name}: needed an array of numbers, got rows of different lengths") from None
    if found.dtype.kind not in KINDS:
        raise ParameterError(f"{name}: needed an array of numbers, got {found.dtype}")
    return found


def product_type(*dtypes: Any) -> np.dtype[Any]:
    """NumPy's type of a product, in the byte order of the machine."""
    return np.result_type(*dtypes).newbyteorder("=")


def checked_axis(array: Array, axis: Any, name: str, size: int, shape: tuple[int, int]) -> int:
    """The axis along which the vectors of a batch lie, counted from the first one.

    Parameters
    ----------
    array : ndarray
    axis : int
    name : str
        Of the array, for messages.
    size : int
        The length of the vectors that an operator takes.
    shape : (int, int)
        Of the operator.

    Raises
    ------
    ParameterError
    """
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        raise ParameterError(f"axis: needed an integer, got {argument_text(axis)}")
    if array.ndim and not -array.ndim <= axis < array.ndim:
        raise ParameterError(f"axis: needed an axis of {name}, whose shape is {array.shape}, got {axis}")
    if not array.ndim or array.shape[axis] != size:
        raise ParameterError(
            f"{name}: needed {size} entries along axis {axis} for an operator of shape {shape}, got shape {array.shape}"
        )
    return int(axis) % array.ndim


def with_axis(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    """A shape with another length along an axis."""
    return (*shape[:axis], size, *shape[axis + 1 :])


def flattened(array: Array, axis: int) -> Array:
    """The array as a matrix whose rows lie along `axis`: a view if its strides allow it."""
    if axis in (-1, array.ndim - 1):
        return array.reshape(math.prod(array.shape[:-1]), array.shape[-1]).T
    moved = np.moveaxis(array, axis, 0) if axis else array
    return moved.reshape(len(moved), math.prod(moved.shape[1:]))


def as_output(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], read: Iterable[Array]) -> Array:
    """The array a result of this shape and type is to be written to, if it can be.

    Parameters
    ----------
    out : ndarray
    shape : tuple
    dtype : dtype
    read : iterable of ndarray
        What is read meanwhile, and must not share memory with it.

    Raises
    ------
    ParameterError
    """
    refuse_elsewhere(out, "out")
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise ParameterError(f"out: needed a NumPy array, got {type(out).__name__}")
    if out.shape != shape:
        raise ParameterError(f"out: needed shape {shape}, got {out.shape}")
    if out.dtype != dtype or not out.dtype.isnative:
        raise ParameterError(f"out: needed dtype {dtype}, got {out.dtype}")
    if not out.flags.writeable:
        raise ParameterError("out: needed a writeable array, got a read-only one")
    if out.size and any(stride == 0 and size > 1 for stride, size in zip(out.strides, out.shape, strict=True)):
        raise ParameterError("out: needed an array whose entries lie at different places, got a broadcast one")
    if _may_overlap_itself(out):
        raise ParameterError("out: needed an array whose entries lie at different places, got strides that may overlap")
    if any(_overlap(out, array) for array in read):
        raise ParameterError("out: needed an array that shares no memory with what is multiplied; pass a new one")
    return out


def _may_overlap_itself(array: Array) -> bool:
    """Whether each axis, from the smallest stride up, does not step over all that the ones before it reach."""
    reach = array.itemsize
    for stride, size in sorted((abs(stride), size) for stride, size in zip(array.strides, array.shape, strict=True)):
        if size > 1:
            if stride < reach:
                return bool(array.size)
            reach += stride * (size - 1)
    return False


def _overlap(first: Array, second: Array) -> bool:
    effort: Any = 10_000  # deciding it is NP-complete in general
    try:
        return np.shares_memory(first, second, max_work=effort)
    except np.exceptions.TooHardError:
        return True
