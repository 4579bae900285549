"""Scaled numbers: pairs (m, e) that stand for m 2**e, with abs(m) in [1/2, 1) or m = 0, as structured arrays.

They have the precision of float64 and practically no range, so sums and products over paths of any depth neither
overflow nor vanish. Sweeps fall back to them where floats come near the ends of their range.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from pathgraph.scalars import Array

__all__ = [
    "SCALED_DTYPE",
    "one_number",
    "scaled",
    "scaled_absolute",
    "scaled_argmax",
    "scaled_log",
    "scaled_maxima",
    "scaled_maximum",
    "scaled_product",
    "scaled_quotient",
    "scaled_segments",
    "scaled_sum",
    "scaled_to_float",
    "scaled_total",
]

SCALED_DTYPE = np.dtype([("mantissa", np.float64), ("exponent", np.int64)])
_NOTHING = np.int64(-(2**62))


def _normalized(mantissa: Any, exponent: Any) -> Array:
    """The scaled numbers mantissa * 2**exponent."""
    fraction, shift = np.frexp(mantissa)
    out = np.zeros(np.shape(mantissa), dtype=SCALED_DTYPE)
    out["mantissa"] = fraction
    out["exponent"] = np.where(fraction == 0, 0, exponent + shift)
    return out


def _shifted(a: Array, exponent: Any) -> Any:
    """The mantissas of `a` if its exponents are replaced by larger ones; what is far too small vanishes."""
    return np.ldexp(a["mantissa"], np.maximum(a["exponent"] - exponent, -2100).astype(np.int32))


def _top(a: Array) -> Any:
    """The exponents, where zeros have one below all others."""
    return np.where(a["mantissa"] == 0, _NOTHING, a["exponent"])


def scaled_absolute(a: Array) -> Array:
    """The absolute values of some scaled numbers."""
    out = a.copy()
    np.abs(a["mantissa"], out=out["mantissa"])
    return out


def scaled_sum(a: Array, b: Array) -> Array:
    """The sums of two arrays of scaled numbers."""
    top = np.maximum(_top(a), _top(b))
    return _normalized(_shifted(a, top) + _shifted(b, top), top)


def scaled_product(a: Array, b: Array) -> Array:
    """The products of two arrays of scaled numbers."""
    return _normalized(a["mantissa"] * b["mantissa"], a["exponent"] + b["exponent"])


def scaled_quotient(a: Array, b: Array) -> Array:
    """The quotients of two arrays of scaled numbers."""
    return _normalized(a["mantissa"] / b["mantissa"], a["exponent"] - b["exponent"])


def scaled_segments(a: Array, start: Array) -> Array:
    """The sums of the non-empty runs ``a[:, start[i]:start[i + 1]]``."""
    top = np.maximum.reduceat(_top(a), start, axis=-1)
    counts = np.diff(start, append=a.shape[-1])
    mantissa = _shifted(a, np.repeat(top, counts, axis=-1))
    return _normalized(np.add.reduceat(mantissa, start, axis=-1), top)


def scaled_maximum(a: Array, b: Array) -> Array:
    """The larger of two non-negative scaled numbers, elementwise."""
    top_a, top_b = _top(a), _top(b)
    return np.where((top_b > top_a) | ((top_b == top_a) & (b["mantissa"] > a["mantissa"])), b, a)


def scaled_maxima(a: Array, start: Array) -> Array:
    """The largest of the non-negative scaled numbers in each run ``a[:, start[i]:start[i + 1]]``."""
    top = np.maximum.reduceat(_top(a), start, axis=-1)
    at_top = _top(a) == np.repeat(top, np.diff(start, append=a.shape[-1]), axis=-1)
    return _normalized(np.maximum.reduceat(np.where(at_top, a["mantissa"], 0.0), start, axis=-1), top)


def scaled_total(values: Array) -> Array:
    """The sum of a 1-D array of scaled numbers, shape (1,)."""
    return scaled_segments(values, np.array([0]))


def scaled_argmax(values: Array) -> int:
    """The index of the largest of some non-negative scaled numbers."""
    return int(np.lexsort((values["mantissa"], _top(values)))[-1])


def scaled(values: Array, power: float = 1.0) -> Array:
    """Numbers as scaled numbers: with power 1 the values themselves, signs included; else ``abs(values)**power``.

    The values may be floats, Fractions of any size, or scaled numbers; nothing overflows or underflows on the way. The
    relative error is of the order of `power` units of round-off: that is the condition number of a power. With power 1,
    scaled numbers are returned without a copy.
    """
    if power == 1 and values.dtype == SCALED_DTYPE:
        return values
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
    """Scaled numbers as floats: infinite if they are too large, and zero or subnormal if they are too small."""
    with np.errstate(over="ignore", under="ignore"):
        shift = np.clip(values["exponent"], -2000, 2000).astype(np.int32)
        return np.asarray(np.ldexp(values["mantissa"], shift).astype(dtype))


def one_number(w: Any) -> Array:
    """One number as an array of one element, of floats or, for exact numbers, of objects."""
    out = np.empty(1, dtype=object if hasattr(w, "numerator") else np.float64)
    out[0] = w
    return out
