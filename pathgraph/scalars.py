"""Which scalars a network may hold: floats, exact rationals, or SymPy symbols, never a mixture.

* only floats and integers: a float network (float32 when every value is one, float64 otherwise);
* any `fractions.Fraction`: an exact network. Integers are welcome, floats are refused, since a float in an exact
  network is nearly always a mistake;
* any SymPy expression: a symbolic network.

Values are stored in one read-only 1-D array: float32, float64, or object.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from numbers import Integral, Rational, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pathgraph.errors import ParameterError
from pathgraph.shown import argument_text

__all__ = [
    "UNIT",
    "Array",
    "ScalarKind",
    "as_values",
    "finite",
    "float_type",
    "fractions_of",
    "frozen",
    "is_symbol",
    "kind_of",
    "object_array",
    "refuse_floats",
    "to_fraction",
]

Array = NDArray[Any]
ScalarKind = Literal["float", "exact", "symbolic"]
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

UNIT = 2.0**-53
"""The unit round-off of float64."""


def is_symbol(value: object) -> bool:
    """Whether `value` is a SymPy expression; never imports SymPy."""
    sympy = sys.modules.get("sympy")
    return sympy is not None and isinstance(value, sympy.Expr)


def object_array(items: Iterable[Any]) -> Array:
    """A 1-D object array of `items`, which are never unpacked, even when they are sequences."""
    listed = list(items)
    array = np.empty(len(listed), dtype=object)
    for index, item in enumerate(listed):
        array[index] = item
    return array


def fractions_of(array: Array) -> Array:
    """The exact values of an array of finite floats, read-only.

    The collector of garbage waits: no Fraction is in a cycle, and it would look at all of them again and again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        exact = np.empty(array.size, dtype=object)
        exact[:] = [Fraction(item) for item in array.ravel().tolist()]
    finally:
        if was_enabled:
            gc.enable()
    return frozen(exact.reshape(array.shape))


def frozen(array: Array) -> Array:
    """`array`, made read-only."""
    array.flags.writeable = False
    return array


def kind_of(values: Array) -> ScalarKind:
    """The kind of scalars in an array made by `as_values`."""
    if values.dtype != object:
        return "float"
    return "symbolic" if any(map(is_symbol, values.flat)) else "exact"


def as_values(values: Sequence[Any] | Array, describe: Callable[[int], str], dtype: DTypeLike | None = None) -> Array:
    """Check scalars and store them: a new read-only 1-D array of float32, float64, Fraction or SymPy values.

    Parameters
    ----------
    values : sequence or ndarray, shape (n,)
    describe : callable
        ``describe(i)`` names the i-th value in error messages.
    dtype : {float32, float64, object}, optional
        Convert to this dtype: object means exact rationals. By default the values decide.

    Raises
    ------
    ParameterError
        On NaN, infinities, values that are no real numbers, and floats beside Fractions.
    """
    if dtype is not None and dtype is not object and dtype != np.dtype(object):
        dtype = float_type(dtype, " or object (exact rationals)")
    if isinstance(values, np.ma.MaskedArray):
        raise ParameterError(f"{describe(0)}: needed an array without a mask, got a masked one; fill its gaps")
    is_plain = isinstance(values, np.ndarray) and values.dtype.kind in "fiu"
    items: Any = values if is_plain else list(values)
    types: set[type] = set() if is_plain else set(map(type, items))
    kind = "float" if is_plain else _kind(types, isinstance(values, np.ndarray))
    if kind == "symbolic":
        if dtype is not None and np.dtype(dtype) != object:
            raise ParameterError(f"dtype: SymPy expressions have no {np.dtype(dtype)} value; leave dtype out")
        return frozen(object_array(_expression(item, describe(i)) for i, item in enumerate(items)))
    if kind == "exact" and dtype is None:
        refuse_floats(items, describe)
    if dtype is None and kind == "float":
        dtype = _float_type(types, items)
    if dtype is None or np.dtype(dtype) == object:
        return frozen(object_array(to_fraction(item, describe(i)) for i, item in enumerate(items)))
    return _floats(items, describe, dtype, types)


def float_type(dtype: DTypeLike, more: str = "") -> np.dtype[Any]:
    """A dtype that is float32 or float64.

    Raises
    ------
    ParameterError
        If it is another one, or none at all.
    """
    try:
        chosen = np.dtype(dtype)
    except (TypeError, ValueError):
        chosen = np.dtype(object)
    if chosen not in FLOATS:
        raise ParameterError(f"dtype: needed float32 or float64{more}, got {argument_text(dtype)}")
    return chosen


def _expression(item: Any, what: str) -> Any:
    """A number or a SymPy expression that may stand for one, as a SymPy expression."""
    if not is_symbol(item):
        exact = to_fraction(item, what)
        return sys.modules["sympy"].sympify(float(item) if isinstance(item, float) else exact)
    if item.is_finite is False or item.is_extended_real is False or (item.is_number and not item.is_comparable):
        raise ParameterError(_not_a_number(what, item))
    return item


def _kind(types: set[type], is_array: bool) -> ScalarKind:
    """What objects of these types are together; an empty array of objects comes from an exact network."""
    sympy = sys.modules.get("sympy")
    if sympy is not None and any(issubclass(t, sympy.Expr) for t in types):
        return "symbolic"
    is_exact = any(issubclass(t, Rational) and not issubclass(t, Integral) for t in types)
    return "exact" if is_exact or (is_array and not types) else "float"


def _float_type(types: set[type], items: Array | list[Any]) -> np.dtype[Any]:
    if isinstance(items, np.ndarray):
        return items.dtype if items.dtype in FLOATS else FLOATS[1]
    return FLOATS[0] if types == {np.float32} else FLOATS[1]


def _floats(items: Any, describe: Callable[[int], str], dtype: DTypeLike, types: set[type]) -> Array:
    if wrong := {t for t in types if issubclass(t, (bool, np.bool_)) or not issubclass(t, Real)}:
        index = next(i for i, item in enumerate(items) if type(item) in wrong)
        raise ParameterError(_not_a_number(describe(index), items[index]))
    try:
        with np.errstate(over="ignore"):
            stored = np.array(items, dtype=dtype)
    except OverflowError:
        index = next(i for i, item in enumerate(items) if abs(item) > sys.float_info.max)
        raise ParameterError(
            f"{describe(index)}: a number beyond the range of floats came; make the network exact (dtype=object)"
        ) from None
    return finite(stored, describe, items)


def finite(stored: Array, describe: Callable[[int], str], items: Sequence[Any] | Array | None = None) -> Array:
    """`stored`, made read-only, if all of it is finite; `items` are what was stored, for the message.

    Raises
    ------
    ParameterError
    """
    is_finite = np.isfinite(stored)
    if not is_finite.all():
        index = int(np.argmin(is_finite))
        came = (stored if items is None else items)[index]
        raise ParameterError(f"{describe(index)}: needed a finite number, got {came} as {stored.dtype}")
    return frozen(stored)


def refuse_floats(items: Iterable[Any], describe: Callable[[int], str]) -> None:
    """Refuse floats where exact rationals are needed.

    Raises
    ------
    ParameterError
    """
    for index, item in enumerate(items):
        if isinstance(item, (float, np.floating)):
            raise ParameterError(
                f"{describe(index)}: needed an exact number, got the float {item!r}; write Fraction({item!r}) if its "
                "exact value is meant"
            )


def _not_a_number(what: str, item: object) -> str:
    return (
        f"{what}: needed a real number (int, float, Fraction), got {argument_text(item)} of type {type(item).__name__}"
    )


def to_fraction(item: Any, what: str = "value") -> Fraction:
    """The exact value of an integer, a Fraction or a finite float."""
    if isinstance(item, (float, np.floating)) and not np.isfinite(item):
        raise ParameterError(f"{what}: needed a finite number, got {item}")
    if isinstance(item, (bool, np.bool_)) or not isinstance(item, Real):
        raise ParameterError(_not_a_number(what, item))
    if isinstance(item, Rational):
        return Fraction(int(item.numerator), int(item.denominator))
    return Fraction(float(item))
