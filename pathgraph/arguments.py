"""Arguments that several functions take, checked in one place: numbers, generators, weights of inputs, samples."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from fractions import Fraction
from numbers import Number
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from pathgraph.devices import refuse_elsewhere
from pathgraph.errors import ParameterError
from pathgraph.resolutions import ReluNetwork, require_network_of_numbers, require_relu_network
from pathgraph.scalars import Array, as_values, refuse_floats, to_fraction
from pathgraph.shown import argument_text, article, number_text

__all__ = [
    "LARGEST_EXPONENT",
    "MOST_SAMPLES",
    "Inputs",
    "classes",
    "exponent",
    "generator",
    "half_widths",
    "natural",
    "number",
    "numbers_per_input",
    "per_input",
    "positive",
    "require_same_structure",
    "samples",
]

Inputs: TypeAlias = "ArrayLike | Sequence[Any] | Mapping[Hashable, Any]"

LARGEST_EXPONENT = 2**20
MOST_SAMPLES = 2**53
"""Samples of which bounds speak, up to this number, which floats still count."""


def exponent(value: Any, name: str, *, zero: bool = False, least: float = 0) -> Any:
    """The exponent of a norm: a Python integer where it is one, else a float; infinity is welcome.

    Parameters
    ----------
    value : number
    name : str
        For the message.
    zero : bool
        Whether 0 is welcome, too.
    least : number
        The smallest one, 0 being excluded.

    Raises
    ------
    ParameterError
    """
    if type(value) is int and max(least, 1) <= value <= LARGEST_EXPONENT:  # nearly always: no more questions
        return value
    if _is_number(value) and value == 0 and zero:
        return 0
    if not _is_number(value) or not value > 0 or value < least:
        start = f"[{least}" if least else "[0" if zero else "(0"
        raise ParameterError(f"{name}: needed a number in {start}, inf], got {argument_text(value)}")
    if value == math.inf:
        return math.inf
    if not 1 / LARGEST_EXPONENT <= value <= LARGEST_EXPONENT:
        also = "0, infinity," if zero else "infinity"
        raise ParameterError(f"{name}: needed {also} or a number from 2**-20 to 2**20, got {argument_text(value)}")
    return int(value) if value == int(value) else float(value)


def natural(value: Any, name: str, *, least: int = 0, most: int | None = None) -> int:
    """An integer that is not less than the least, nor larger than the most.

    Raises
    ------
    ParameterError
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ParameterError(f"{name}: needed an integer >= {least}, got {argument_text(value)}")
    if most is not None and value > most:
        raise ParameterError(f"{name}: needed an integer <= {most}, got {argument_text(value)}")
    return int(value)


def number(value: Any, name: str, interval: str) -> float:
    """A real number in an interval such as "(0, 1]", as a float that lies in it, too.

    Raises
    ------
    ParameterError
    """
    low, high = map(float, interval[1:-1].split(","))

    def is_inside(number: Any) -> bool:
        above = low <= number if interval[0] == "[" else low < number
        return bool(above and (number <= high if interval[-1] == "]" else number < high))

    try:
        if _is_number(value) and is_inside(value) and is_inside(float(value)):
            return float(value)
    except OverflowError:
        pass
    raise ParameterError(f"{name}: needed a number in {interval}, got {argument_text(value)}")


def positive(value: Any, name: str, *, zero: bool = False) -> Fraction:
    """The exact value of a number > 0; of one >= 0, if zero is welcome, too.

    Raises
    ------
    ParameterError
    """
    exact = to_fraction(value, name)
    if exact < 0 or (exact == 0 and not zero):
        raise ParameterError(f"{name}: needed a number {'>=' if zero else '>'} 0, got {argument_text(value)}")
    return exact


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Fraction, np.integer, np.floating)) and not isinstance(value, bool)


def generator(rng: np.random.Generator | int) -> np.random.Generator:
    """A generator, from itself or from a seed.

    Raises
    ------
    ParameterError
    """
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise ParameterError(
            f"rng: needed a numpy.random.Generator or a seed (an integer >= 0), got {argument_text(rng)}"
        ) from None


def per_input(net: ReluNetwork, inputs: Any, default: Any) -> list[Any]:
    """What the caller gave for the inputs, one object for each neuron: from a scalar, a sequence or a mapping.

    Inputs that are arrays take one number, or an array of their shape, each: in a mapping or, if there are several, a
    sequence; alone if there is one.

    Raises
    ------
    ConversionError
        On arrays of a device.
    ParameterError
        On unknown inputs, a wrong length or a wrong shape.
    """
    refuse_elsewhere(inputs, "inputs")
    size = len(net.dag.inputs)
    if inputs is None or isinstance(inputs, (Number, np.generic)):
        return [default if inputs is None else inputs] * size
    structure = net.architecture
    names, shapes = structure.input_names, structure.input_shapes
    if isinstance(inputs, Mapping):
        known = set(names)
        for node in inputs:
            if node not in known:
                raise ParameterError(
                    f"inputs: {argument_text(node)} is no input of the network; its inputs are {_some(names)}; see "
                    ".inputs"
                    if shapes is not None
                    else f"inputs: {argument_text(node)} is no input of the network; see .inputs for their names"
                )
        listed = [inputs.get(node, default) for node in names]
        return listed if shapes is None else _spread(listed, names, shapes)
    if isinstance(inputs, (set, frozenset)):
        raise ParameterError(f"inputs: a set has no order; needed a sequence or a mapping, got {argument_text(inputs)}")
    try:
        listed = list(inputs)
    except TypeError:
        raise ParameterError(f"inputs: needed a scalar, a sequence or a mapping, got {argument_text(inputs)}") from None
    if shapes is not None:
        if len(shapes) > 1 and len(listed) != len(shapes):
            raise ParameterError(f"inputs: needed {len(shapes)} arrays, one per input, got {len(listed)}")
        return _spread([inputs] if len(shapes) == 1 else listed, names, shapes)
    if len(listed) != size:
        raise ParameterError(f"inputs: needed {size} values, one per input, got {len(listed)}")
    return listed


def _spread(listed: list[Any], names: Sequence[Hashable], shapes: Sequence[tuple[int, ...]]) -> list[Any]:
    """Numbers or arrays, one for each input, as one number for each of its neurons."""
    spread: list[Any] = []
    for given, name, shape in zip(listed, names, shapes, strict=True):
        try:
            array = np.asarray(given, dtype=None if isinstance(given, np.ndarray) else object)
        except ValueError:
            array = np.empty((0, 0))
        if array.shape not in ((), shape):
            raise ParameterError(
                f"inputs: {argument_text(name)} needs a number or an array of shape {shape}, got {array.shape}"
            )
        spread += np.broadcast_to(array, shape).ravel().tolist()
    return spread


def _some(names: Sequence[Hashable]) -> str:
    return ", ".join(map(repr, names[:6])) + (", ..." if len(names) > 6 else "")


def numbers_per_input(net: ReluNetwork, inputs: Any) -> Array:
    """Numbers for the inputs, ones by default, in the scalars of the network (float64 for all floats).

    Raises
    ------
    ParameterError
        On NaN, infinities, what is no number, and floats for an exact network.
    """

    def describe(i: int) -> str:
        return f"inputs: the value of {argument_text(net.architecture.input_name(i))}"

    size = len(net.dag.inputs)
    if net.scalars == "float":  # without a Python object per input
        if inputs is None:
            return np.ones(size)
        shapes = net.architecture.input_shapes
        if isinstance(inputs, np.ndarray) and inputs.dtype.kind in "fiu" and (inputs.shape,) == (shapes or ((size,),)):
            return as_values(inputs.ravel(), describe, np.float64)
        if isinstance(inputs, Number):
            return np.full(size, as_values([inputs], describe, np.float64)[0])
    listed = per_input(net, inputs, 1)
    if net.is_exact:
        refuse_floats(listed, describe)
    return as_values(listed, describe, np.float64 if net.scalars == "float" else object)


def half_widths(net: ReluNetwork, inputs: Any) -> Array:
    """Non-negative numbers for the inputs, ones by default: the half-widths of a box.

    Raises
    ------
    ParameterError
        As `numbers_per_input`, and on negative numbers.
    """
    widths = numbers_per_input(net, inputs)
    if inputs is None:
        return widths
    for i in np.flatnonzero(widths < 0)[:1].tolist():
        raise ParameterError(
            f"inputs: the width of {argument_text(net.architecture.input_name(i))} must be >= 0, got "
            f"{number_text(widths[i])}"
        )
    return widths


def samples(data: Any, n_inputs: int, n_samples: Any = None) -> Array:
    """Samples, one per row, as floats: shape (n, n_inputs).

    Parameters
    ----------
    data : array_like
    n_inputs : int
    n_samples : int, optional
        What the caller said n to be, besides.

    Raises
    ------
    ParameterError
        On another shape, no rows, another number of rows than n_samples, and what is no finite number.
    """
    try:
        if np.iscomplexobj(data):
            raise TypeError
        rows = np.array(data, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ParameterError(
            f"data: needed real numbers of shape (n, {n_inputs}), a row for each sample, got {_described(data)}"
        ) from None
    if rows.ndim != 2 or rows.shape[1] != n_inputs or not len(rows):
        raise ParameterError(f"data: needed shape (n, {n_inputs}) with n >= 1, got {rows.shape}")
    if not np.isfinite(rows).all():
        raise ParameterError("data: needed finite numbers, got NaN or infinities")
    if n_samples is not None and natural(n_samples, "n_samples") != len(rows):
        raise ParameterError(f"n_samples: data has {len(rows)} rows, got {argument_text(n_samples)}")
    return rows


def _described(data: Any) -> str:
    """What it is, of whatever size."""
    if isinstance(data, np.ndarray):
        return f"an array of {data.dtype} and shape {data.shape}"
    return argument_text(data) if isinstance(data, Number | str | bytes | None) else article(type(data).__name__)


def classes(labels: Any, n_samples: int, n_outputs: int) -> Array:
    """The classes of some samples, as indices of at least two outputs: shape (n_samples,).

    Raises
    ------
    ParameterError
    """
    if n_outputs < 2:
        raise ParameterError(f"labels: classes are indices of at least two outputs, got {n_outputs}")
    try:
        found = np.asarray(labels)
    except ValueError:
        raise ParameterError(f"labels: needed {n_samples} integers, got {argument_text(labels)}") from None
    if found.shape != (n_samples,) or found.dtype.kind not in "iu":
        raise ParameterError(f"labels: needed {n_samples} integers, got shape {found.shape} of {found.dtype}")
    for row in np.flatnonzero((found < 0) | (found >= n_outputs))[:1].tolist():
        raise ParameterError(f"labels: needed indices of the {n_outputs} outputs, got {found[row]} at {row}")
    return found


def require_same_structure(net: ReluNetwork, other: ReluNetwork, function: str, *, name: str = "other") -> None:
    """Refuse a pair of networks whose paths or scalars differ, and symbolic ones.

    Parameters
    ----------
    net, other : Network or LayerGraph
    function : str
        Who asks, for the message.
    name : str
        What `other` is called there.

    Raises
    ------
    ParameterError
    UnsupportedOperatorError
    """
    require_network_of_numbers(net, function)
    require_relu_network(other, name)
    if net.architecture != other.architecture:
        raise ParameterError(
            f"{name}: needed a network of the same architecture, so that its paths are the same, got "
            f"{other.architecture!r} beside {net.architecture!r}"
        )
    if net.scalars != other.scalars:
        raise ParameterError(f"{name}: needed a network of the same scalars, {net.scalars}, got {other.scalars}")
