"""Semirings: the algebras in which a sum over paths is computed by one sweep.

A semiring is given by its two operations, their neutral elements, and the **value** of an edge in it. That is all a
user writes; any Python objects may be elements. The semirings of this module also say how whole arrays are added
and multiplied, which lets NumPy run them level by level.

========== ==================== =============== ============================================
name       edge value           (add, mul)      sum over paths
========== ==================== =============== ============================================
REAL       w                    (+, x)          signed sum of the path products
SCALED     w = m 2**e           (+, x)          the same, without overflow at any depth
LOG        log abs(w)           (logaddexp, +)  logarithm of the l1 path-norm
MAX_TIMES  abs(w)               (max, x)        largest abs(path product)
MAX_PLUS   1, and 0 at a bias   (max, +)        number of edges of the longest path
COUNT      1                    (+, x), ints    number of paths
LENGTHS    abs(w) z             polynomials     l1 path-norm by number of edges
INTERVAL   ball around w        (+, x), arb     certified enclosure of the signed sum
========== ==================== =============== ============================================

Exact rationals and SymPy expressions need no semiring of their own: REAL computes in the scalars of the network.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from pathgraph.errors import BackendError

if TYPE_CHECKING:
    from pathgraph.scalars import Array

__all__ = [
    "COUNT",
    "INTERVAL",
    "LENGTHS",
    "LOG",
    "MAX_PLUS",
    "MAX_TIMES",
    "REAL",
    "SCALED",
    "SCALED_DTYPE",
    "ArrayOperations",
    "Semiring",
    "scaled",
    "scaled_argmax",
    "scaled_log",
    "scaled_product",
    "scaled_quotient",
    "scaled_to_float",
    "scaled_total",
]


@dataclass(frozen=True)
class ArrayOperations:
    """How a semiring acts on whole arrays of elements.

    Attributes
    ----------
    add, mul : callable
        Elementwise, with broadcasting.
    segments : callable
        ``segments(a, start)``: the sums of the non-empty runs ``a[:, start[i]:start[i + 1]]``.
    value : callable
        Edge values of an array of weights.
    dtype : dtype or None
        Of the elements; None means the dtype of the weights.
    """

    add: Callable[[Array, Array], Array]
    mul: Callable[[Array, Array], Array]
    segments: Callable[[Array, Array], Array]
    value: Callable[[Array], Array]
    dtype: DTypeLike | None = None


@dataclass(frozen=True)
class Semiring:
    """An algebra (add, mul) in which sums over paths are computed.

    Elements may be any Python objects but NumPy arrays (use tuples).

    Parameters
    ----------
    zero, one : object
        The neutral elements of `add` and of `mul`.
    add, mul : callable
        The operations on two elements: associative, `add` commutative, `mul` distributing over `add`. This is not
        checked; `mul` need not commute: it receives the edge first, then what lies before it on the path.
    value : callable, optional
        Element of an edge (or bias) of weight w: ``value(w)``. By default w itself.
    edge_value : callable, optional
        Instead of `value`, when the element must know the edge: ``edge_value(w, edge)`` with edge = (u, v), or
        v for the bias of v.
    bias_value : callable, optional
        Element of a bias, where it differs from the one of an edge.
    name : str, optional
        Shown in messages.
    arrays : ArrayOperations, optional
        The same on whole arrays; without it the sweep runs edge by edge.

    Examples
    --------
    The two heaviest path products, in four lines:

    >>> import pathgraph as pg
    >>> def best(items):
    ...     return tuple(sorted(items, reverse=True)[:2])
    >>> two_best = pg.Semiring((), (1,), lambda a, b: best(a + b), lambda a, b: best(x * y for x in a for y in b),
    ...                        value=lambda w: (abs(w),))
    >>> net = pg.from_weights([[[1.0, 2.0], [0.5, -1.0]], [[1.0, 3.0]]])
    >>> pg.path_sum(net, two_best)
    (3.0, 2.0)
    """

    zero: Any
    one: Any
    add: Callable[[Any, Any], Any]
    mul: Callable[[Any, Any], Any]
    value: Callable[[Any], Any] = field(default=lambda w: w)
    edge_value: Callable[[Any, Any], Any] | None = None
    bias_value: Callable[[Any], Any] | None = None
    name: str = "semiring"
    arrays: ArrayOperations | None = None

    def full(self, shape: tuple[int, ...], element: Any = None) -> Array:
        """An object array filled with `element` (by default the zero), even when that is a sequence."""
        out = np.empty(shape, dtype=object)
        element = self.zero if element is None else element
        for index in np.ndindex(shape):
            out[index] = element
        return out

    def __repr__(self) -> str:
        return f"Semiring({self.name})"

    def __reduce__(self) -> Any:
        for name in __all__:
            if globals()[name] is self:
                return name
        return super().__reduce__()


def _ufuncs(
    add: np.ufunc, mul: np.ufunc, value: Callable[[Array], Array], dtype: DTypeLike | None = None
) -> ArrayOperations:
    return ArrayOperations(add, mul, partial(add.reduceat, axis=-1), value, dtype)


def _same(w: Any) -> Any:
    return w


def _log_abs(w: Array) -> Array:
    return scaled_log(scaled(w))


def _ones(w: Array) -> Array:
    out = np.empty(w.shape, dtype=object)
    out[...] = 1
    return out


REAL = Semiring(0, 1, operator.add, operator.mul, name="real (+, x)", arrays=_ufuncs(np.add, np.multiply, _same))
"""Signed sums, in the scalars of the network: floats, Fractions or SymPy expressions."""

LOG = Semiring(
    -np.inf,
    0.0,
    lambda a, b: float(np.logaddexp(a, b)),
    operator.add,
    value=lambda w: float(_log_abs(_array(w))[0]),
    name="log (logaddexp, +)",
    arrays=_ufuncs(np.logaddexp, np.add, _log_abs, np.float64),
)
"""Natural logarithms of sums of absolute values."""

MAX_TIMES = Semiring(
    0, 1, max, operator.mul, value=abs, name="(max, x)", arrays=_ufuncs(np.maximum, np.multiply, np.abs)
)
"""The largest absolute path product."""

MAX_PLUS = Semiring(
    -np.inf,
    0,
    max,
    operator.add,
    value=lambda w: 1,
    bias_value=lambda b: 0,
    name="(max, +)",
    arrays=_ufuncs(np.maximum, np.add, lambda w: np.ones(w.shape), np.float64),
)
"""The number of edges of the longest path; minus infinity where there is none."""

COUNT = Semiring(
    0,
    1,
    operator.add,
    operator.mul,
    value=lambda w: 1,
    name="count (+, x)",
    arrays=_ufuncs(np.add, np.multiply, _ones, object),
)
"""The number of paths, in Python integers of any size."""


def _polynomial_sum(a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x + y for x, y in zip_longest(a, b, fillvalue=0))


def _polynomial_product(a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, ...]:
    if not a or not b:
        return ()
    out = [0] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            out[i + j] += x * y
    return tuple(out)


def _exact_size(w: Any) -> Any:
    return abs(Fraction(w)) if isinstance(w, float) else abs(w)


LENGTHS = Semiring(
    (),
    (1,),
    _polynomial_sum,
    _polynomial_product,
    value=lambda w: (0, _exact_size(w)),
    bias_value=lambda b: (_exact_size(b),),
    name="polynomials in z",
)
"""Coefficient k of the sum is the l1 mass of the paths with k edges: polynomials as tuples, lowest degree first.

The coefficients are exact: Fractions for floats, too.
"""


def _ball(w: Any) -> Any:
    try:
        import flint
    except ImportError:
        raise BackendError("INTERVAL needs python-flint; install it with: pip install 'pathgraph[exact]'") from None
    if hasattr(w, "denominator") and hasattr(w, "numerator"):
        return flint.arb(flint.fmpq(int(w.numerator), int(w.denominator)))
    return flint.arb(float(w))


INTERVAL = Semiring(0, 1, operator.add, operator.mul, value=_ball, name="intervals (+, x)")
"""Enclosures of signed sums by `flint.arb` balls; needs python-flint."""


SCALED_DTYPE = np.dtype([("mantissa", np.float64), ("exponent", np.int64)])
_NOTHING = np.int64(-(2**62))


def _normalized(mantissa: Any, exponent: Any) -> Array:
    fraction, shift = np.frexp(mantissa)
    out = np.zeros(np.shape(mantissa), dtype=SCALED_DTYPE)
    out["mantissa"] = fraction
    out["exponent"] = np.where(fraction == 0, 0, exponent + shift)
    return out


def _shifted(a: Array, exponent: Any) -> Any:
    """The mantissas of `a` for a larger common exponent."""
    return np.ldexp(a["mantissa"], np.maximum(a["exponent"] - exponent, -2100).astype(np.int32))


def _top(a: Array) -> Any:
    """The exponents, with zeros below everything."""
    return np.where(a["mantissa"] == 0, _NOTHING, a["exponent"])


def _scaled_add(a: Array, b: Array) -> Array:
    top = np.maximum(_top(a), _top(b))
    return _normalized(_shifted(a, top) + _shifted(b, top), top)


def scaled_product(a: Array, b: Array) -> Array:
    """The products of two arrays of scaled numbers."""
    return _normalized(a["mantissa"] * b["mantissa"], a["exponent"] + b["exponent"])


def scaled_quotient(a: Array, b: Array) -> Array:
    """The quotients of two arrays of scaled numbers."""
    return _normalized(a["mantissa"] / b["mantissa"], a["exponent"] - b["exponent"])


def _scaled_segments(a: Array, start: Array) -> Array:
    top = np.maximum.reduceat(_top(a), start, axis=-1)
    counts = np.diff(start, append=a.shape[-1])
    mantissa = _shifted(a, np.repeat(top, counts, axis=-1))
    return _normalized(np.add.reduceat(mantissa, start, axis=-1), top)


def scaled_total(values: Array) -> Array:
    """The sum of a 1-D array of scaled numbers, shape (1,)."""
    return _scaled_segments(values, np.array([0]))


def scaled_argmax(values: Array) -> int:
    """The index of the largest of some non-negative scaled numbers."""
    return int(np.lexsort((values["mantissa"], _top(values)))[-1])


def scaled(values: Array, power: float = 1.0) -> Array:
    """Scaled numbers: the values themselves, with sign, for power 1, and ``abs(values)**power`` else.

    Nothing overflows or underflows on the way, be the values floats or Fractions of any size. The relative error
    is of the order of `power` units of round-off, which is the condition number of the power.
    """
    fraction, exponent = _frexp(values)
    if power == 1:
        return _normalized(fraction, exponent)
    shift = power * exponent
    whole, fraction = np.floor(shift), np.abs(fraction)
    if power <= 512:
        mantissa = fraction**power
    else:  # the power of a mantissa could vanish, so its exponent is split off, too
        bits = power * np.log2(np.where(fraction == 0, 1.0, fraction))
        whole = whole + np.floor(bits)
        mantissa = np.where(fraction == 0, 0.0, np.exp2(bits - np.floor(bits)))
    return _normalized(mantissa * np.exp2(shift - np.floor(shift)), whole.astype(np.int64))


def _frexp(values: Array) -> tuple[Array, Array]:
    """Mantissas in [1/2, 1) and exponents, of floats, of exact rationals and of scaled numbers."""
    if values.dtype == SCALED_DTYPE:
        return values["mantissa"], values["exponent"]
    if values.dtype != object:
        fraction, exponent = np.frexp(np.asarray(values, dtype=np.float64))
        return fraction, exponent.astype(np.int64)
    exponents = np.array(
        [int(v.numerator).bit_length() - int(v.denominator).bit_length() for v in values.flat], dtype=np.int64
    )
    pairs = zip(values.flat, exponents.tolist(), strict=True)
    fractions = np.array([float(v / 2**e if e >= 0 else v * 2**-e) for v, e in pairs], dtype=np.float64)
    return fractions.reshape(values.shape), exponents.reshape(values.shape)


def scaled_log(values: Array) -> Array:
    """Natural logarithms of the absolute values of scaled numbers; minus infinity for zero."""
    mantissa, exponent = np.abs(values["mantissa"]), values["exponent"]
    near = np.where(np.abs(exponent) < 1000, exponent, 0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.ldexp(mantissa, near.astype(np.int32))) + (exponent - near) * np.log(2.0))


def scaled_to_float(values: Array, dtype: DTypeLike = np.float64) -> Array:
    """Scaled numbers as floats; infinite beyond the range, and zero or subnormal below it."""
    with np.errstate(over="ignore", under="ignore"):
        shift = np.clip(values["exponent"], -2000, 2000).astype(np.int32)
        return np.asarray(np.ldexp(values["mantissa"], shift).astype(dtype))


def _array(w: Any) -> Array:
    """One number as an array: float, or object for exact ones."""
    out = np.empty(1, dtype=object if hasattr(w, "numerator") else np.float64)
    out[0] = w
    return out


def _as_tuple(element: Array) -> tuple[float, int]:
    mantissa, exponent = element.item()
    return mantissa, exponent


def _pair(element: tuple[float, int]) -> Array:
    return np.array(element, dtype=SCALED_DTYPE)


SCALED = Semiring(
    (0.0, 0),
    (0.5, 1),
    lambda a, b: _as_tuple(_scaled_add(_pair(a), _pair(b))),
    lambda a, b: _as_tuple(scaled_product(_pair(a), _pair(b))),
    value=lambda w: _as_tuple(scaled(_array(w))[0]),
    name="scaled (+, x)",
    arrays=ArrayOperations(_scaled_add, scaled_product, _scaled_segments, scaled, SCALED_DTYPE),
)
"""Signed sums of floats as pairs (m, e) that stand for m 2**e, with abs(m) in [1/2, 1) or m = 0."""
