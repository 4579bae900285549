"""Which scalars a network may hold: floats, exact rationals, or SymPy symbols, never a mixture.

* only floats and integers: a float network (float32 when every value is one, float64 otherwise);
* any `fractions.Fraction`: an exact network. Integers are welcome, floats are refused, since a float in an exact
  network is nearly always a mistake;
* any SymPy expression: a symbolic network.

Values are stored in one read-only 1-D array: float32, float64, or object.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from numbers import Integral, Rational, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pathgraph.errors import ParameterError

__all__ = ["Array", "ScalarKind", "as_values", "frozen", "is_symbol", "kind_of", "object_array", "to_fraction"]

Array = NDArray[Any]
ScalarKind = Literal["float", "exact", "symbolic"]


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
    if dtype is not None and np.dtype(dtype) not in (np.dtype("f4"), np.dtype("f8"), np.dtype("O")):
        raise ParameterError(f"dtype: needed float32, float64 or object (exact rationals), got {dtype!r}")
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
        native = values.dtype if values.dtype in (np.float32, np.float64) else np.dtype(np.float64)
        exact_wanted = dtype is not None and np.dtype(dtype) == object
        return _floats(values, describe, np.float64 if exact_wanted else dtype or native, exact_wanted)
    if dtype is None and isinstance(values, np.ndarray) and values.dtype == object and not len(values):
        return frozen(values.copy())  # an exact network without values stays exact
    items = list(values)
    types = set(map(type, items))
    if any(issubclass(t, Real) and not issubclass(t, (Integral, float, np.floating)) for t in types) or (
        any(map(is_symbol, items))
    ):
        return _objects(items, describe, dtype)
    for index, item in enumerate(items):
        if isinstance(item, (bool, np.bool_)) or not isinstance(item, Real):
            raise ParameterError(_not_a_number(describe(index), item))
    if dtype is not None and np.dtype(dtype) == object:
        return frozen(object_array(to_fraction(item, describe(i)) for i, item in enumerate(items)))
    native = np.dtype(np.float32 if types and types <= {np.float32} else np.float64)
    try:
        return _floats(np.array(items, dtype=native), describe, dtype or native, False)
    except OverflowError:
        index = next(i for i, item in enumerate(items) if abs(item) > sys.float_info.max)
        raise ParameterError(
            f"{describe(index)}: an integer beyond the range of floats came; make the network exact (Fraction)"
        ) from None


def _floats(values: Array, describe: Callable[[int], str], dtype: DTypeLike, exact: bool) -> Array:
    with np.errstate(over="ignore"):
        stored = np.array(values, dtype=dtype).ravel()
    if not np.isfinite(stored).all():
        index = int(np.flatnonzero(~np.isfinite(stored))[0])
        raise ParameterError(
            f"{describe(index)}: needed a finite number, got {values.ravel()[index]} as {stored.dtype}"
        )
    if exact:
        return frozen(object_array(map(Fraction, stored.tolist())))
    return frozen(stored)


def _objects(items: list[Any], describe: Callable[[int], str], dtype: DTypeLike | None) -> Array:
    if any(map(is_symbol, items)):
        if dtype is not None and np.dtype(dtype) != object:
            raise ParameterError(f"dtype: SymPy expressions have no {np.dtype(dtype)} value; leave dtype out")
        sympify = sys.modules["sympy"].sympify
        return frozen(object_array(map(sympify, items)))
    if dtype is not None and np.dtype(dtype) != object:
        return _floats(np.array([float(item) for item in items]), describe, dtype, False)
    return frozen(
        object_array(
            to_fraction(item, describe(i)) if _is_rational(item) else _refuse_float(describe(i), item)
            for i, item in enumerate(items)
        )
    )


def _is_rational(item: object) -> bool:
    return isinstance(item, Rational) and not isinstance(item, (bool, np.bool_))


def _refuse_float(what: str, item: object) -> Fraction:
    if isinstance(item, (float, np.floating)):
        raise ParameterError(
            f"{what}: {item!r} is a float beside exact rationals; write Fraction({item!r}) if its exact value is meant"
        )
    raise ParameterError(_not_a_number(what, item))


def _not_a_number(what: str, item: object) -> str:
    return f"{what}: needed a real number (int, float, Fraction), got {item!r} of type {type(item).__name__}"


def to_fraction(item: Any, what: str = "value") -> Fraction:
    """The exact value of an integer, a Fraction or a finite float."""
    if isinstance(item, (float, np.floating)) and not np.isfinite(item):
        raise ParameterError(f"{what}: needed a finite number, got {item}")
    if isinstance(item, (bool, np.bool_)) or not isinstance(item, Real):
        raise ParameterError(_not_a_number(what, item))
    if isinstance(item, Rational):
        return Fraction(int(item.numerator), int(item.denominator))
    return Fraction(float(item))
