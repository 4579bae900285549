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
from pathgraph.pathsum.scaled import (
    SCALED_DTYPE,
    one_number,
    scaled,
    scaled_log,
    scaled_maxima,
    scaled_maximum,
    scaled_product,
    scaled_segments,
    scaled_sum,
)

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
    "ArrayOperations",
    "Semiring",
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


@dataclass(frozen=True, eq=False)
class Semiring:
    """An algebra (add, mul) in which sums over paths are computed.

    Elements may be any Python objects except NumPy arrays (use tuples).

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
        v for the bias of v (``edge in net.nodes`` tells them apart where neurons are tuples).
    bias_value : callable, optional
        Element of a bias, where it differs from the one of an edge.
    name : str, optional
        Shown in messages.
    arrays : ArrayOperations, optional
        The same on whole arrays; without it the sweep runs edge by edge.
    wide : Semiring, optional
        The same algebra on numbers without a range, in which floats are swept again where they come near the ends of
        theirs.
    needs_numbers : bool
        Whether `value` needs the size or the sign of a weight, so that networks of SymPy expressions are refused.

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
    wide: Semiring | None = None
    needs_numbers: bool = False

    def full(self, shape: tuple[int, ...], element: Any = None) -> Array:
        """An object array filled with `element` (by default the zero), even when that is a sequence."""
        out = np.empty(shape, dtype=object)
        out.fill(self.zero if element is None else element)
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


def _as_tuple(element: Array) -> tuple[float, int]:
    mantissa, exponent = element.item()
    return mantissa, exponent


def _pair(element: tuple[float, int]) -> Array:
    return np.array(element, dtype=SCALED_DTYPE)


SCALED = Semiring(
    (0.0, 0),
    (0.5, 1),
    lambda a, b: _as_tuple(scaled_sum(_pair(a), _pair(b))),
    lambda a, b: _as_tuple(scaled_product(_pair(a), _pair(b))),
    value=lambda w: _as_tuple(scaled(one_number(w))[0]),
    name="scaled (+, x)",
    arrays=ArrayOperations(scaled_sum, scaled_product, scaled_segments, scaled, SCALED_DTYPE),
    needs_numbers=True,
)
"""Signed sums of floats as pairs (m, e) that stand for m 2**e, with abs(m) in [1/2, 1) or m = 0."""

_SCALED_MAX_TIMES = Semiring(
    SCALED.zero,
    SCALED.one,
    lambda a, b: _as_tuple(scaled_maximum(_pair(a), _pair(b))),
    SCALED.mul,
    value=lambda w: SCALED.value(abs(w)),
    name="scaled (max, x)",
    arrays=ArrayOperations(scaled_maximum, scaled_product, scaled_maxima, lambda w: scaled(abs(w)), SCALED_DTYPE),
    needs_numbers=True,
)


REAL = Semiring(
    0, 1, operator.add, operator.mul, name="real (+, x)", arrays=_ufuncs(np.add, np.multiply, _same), wide=SCALED
)
"""Signed sums, in the scalars of the network: floats, Fractions or SymPy expressions."""

LOG = Semiring(
    -np.inf,
    0.0,
    lambda a, b: float(np.logaddexp(a, b)),
    operator.add,
    value=lambda w: float(_log_abs(one_number(w))[0]),
    name="log (logaddexp, +)",
    arrays=_ufuncs(np.logaddexp, np.add, _log_abs, np.float64),
    needs_numbers=True,
)
"""Natural logarithms of sums of absolute values."""

MAX_TIMES = Semiring(
    0,
    1,
    max,
    operator.mul,
    value=abs,
    name="(max, x)",
    arrays=_ufuncs(np.maximum, np.multiply, np.abs),
    wide=_SCALED_MAX_TIMES,
    needs_numbers=True,
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
        raise BackendError(
            "INTERVAL needs python-flint, which is not installed; pip install 'pathgraph[exact]', "
            "or pip install '.[exact]' in a checkout"
        ) from None
    if hasattr(w, "denominator") and hasattr(w, "numerator"):
        return flint.arb(flint.fmpq(int(w.numerator), int(w.denominator)))
    return flint.arb(float(w))


INTERVAL = Semiring(0, 1, operator.add, operator.mul, value=_ball, name="intervals (+, x)", needs_numbers=True)
"""Enclosures of signed sums by `flint.arb` balls; needs python-flint."""
