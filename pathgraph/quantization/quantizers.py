r"""Quantizers: maps of single numbers to grids, applied exactly.

A **uniform** quantizer rounds to the multiples of a step: down, toward zero, to the nearest (ties away from zero), or
at random to one of the two neighbours with the mean kept; with a zero point z, to the numbers step (k - z). A
**format** is a floating one, with subnormal numbers and a largest number.

=============== ==================== =========== ==========
mode            error                sign-safe   shrinks
=============== ==================== =========== ==========
"floor"         below one step       yes         no
"toward_zero"   below one step       yes         yes
"nearest"       at most half a step  yes         no
"stochastic"    below one step       yes         no
"zero_point"    at most half a step  integer z   no
=============== ==================== =========== ==========

Sign-safe: x and Q(x) never have opposite signs, as for every monotone map with Q(0) = 0. Shrinks: abs(Q(x)) <= abs(x).

Source: derived here; arXiv 2205.11874 for rounding down.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from pathgraph.arguments import generator, positive
from pathgraph.errors import ParameterError, RangeError
from pathgraph.scalars import Array, object_array, to_fraction
from pathgraph.shown import argument_text, number_text

__all__ = ["FORMATS", "FloatFormat", "Quantizer", "binary_exponent"]

Mode = Literal["nearest", "floor", "toward_zero", "stochastic", "zero_point"]


class FloatFormat(NamedTuple):
    """A floating-point format, given by its precision, its smallest exponent and its largest number.

    Attributes
    ----------
    precision : int
        Significant bits, the implicit one counted.
    least : int
        Exponent e of the smallest normal number 2**e; the subnormal ones are multiples of 2**(e - precision + 1).
    largest : float
    bits : int
        Of storage.

    Examples
    --------
    >>> import pathgraph as pg
    >>> four_bits = pg.FloatFormat(precision=4, least=-100, largest=1e30, bits=12)
    >>> four_bits.unit, pg.Quantizer(format=four_bits)([1.0625, 17])
    (0.0625, array([ 1., 16.]))
    """

    precision: int
    least: int
    largest: float
    bits: int

    @property
    def unit(self) -> float:
        """The largest relative error of rounding to nearest, in the normal range: 2**-precision."""
        return 2.0**-self.precision

    @property
    def quantum(self) -> float:
        """The smallest positive number."""
        return math.ldexp(1.0, self.least - self.precision + 1)


def _ieee(precision: int, least: int, bits: int) -> FloatFormat:
    return FloatFormat(precision, least, math.ldexp(2.0 - 2.0 ** (1 - precision), 1 - least), bits)


FORMATS = {
    "fp64": _ieee(53, -1022, 64),
    "fp32": _ieee(24, -126, 32),
    "tf32": _ieee(11, -126, 19),
    "fp16": _ieee(11, -14, 16),
    "bf16": _ieee(8, -126, 16),
    "e5m2": _ieee(3, -14, 8),
    "e4m3": FloatFormat(4, -6, 448.0, 8),
}
"""The formats by name; e4m3 is the one of the Open Compute Project, without infinities, whose largest number is 448."""

ALIASES = {"float64": "fp64", "float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
"""What NumPy and PyTorch call some of them, which is as good."""


@dataclass(frozen=True)
class Quantizer:
    """Rounds numbers to a grid.

    Parameters
    ----------
    mode : {"nearest", "floor", "toward_zero", "stochastic", "zero_point"}
    step : number > 0, optional
        Of a uniform grid. Powers of two are applied to whole arrays; any other step goes number by number, exactly, and
        floats become the floats nearest to its multiples.
    format : {"fp64", "fp32", "tf32", "fp16", "bf16", "e4m3", "e5m2"} or FloatFormat, optional
        Of a floating grid, instead ("float16" and the like are welcome, too); the nearest number is the one with an
        even last bit in ties. The mode is then "nearest", "toward_zero" or "stochastic".
    zero_point : number
        For the mode "zero_point": which multiple of the step stands for zero. It is rounded to nearest.
    saturate : bool
        Whether numbers beyond the largest of a format become that, instead of an error.

    Raises
    ------
    ParameterError
        On a step that is no finite number > 0, an unknown mode or format, or both a step and a format.

    Examples
    --------
    >>> import pathgraph as pg
    >>> pg.Quantizer("floor", step=0.5)([0.7, -0.7]), pg.Quantizer(format="e4m3")([0.3, -100])
    (array([ 0.5, -1. ]), array([   0.3125,  -96.    ]))
    >>> quantizer = pg.Quantizer("toward_zero", step=0.25)
    >>> quantizer.levels(1), quantizer.bits(1), quantizer.shrinks
    (9, 4, True)
    """

    mode: Mode = "nearest"
    step: Any = None
    format: str | FloatFormat | None = None
    zero_point: Any = 0
    saturate: bool = False

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ParameterError(
                f"mode: needed one of {', '.join(map(repr, get_args(Mode)))}, got {argument_text(self.mode)}"
            )
        if (self.step is None) == (self.format is None):
            raise ParameterError(
                f"step: needed either a step or a format, got {argument_text(self.step)} and "
                f"{argument_text(self.format)}"
            )
        if self.format is not None:
            if self.float_format is None:
                raise ParameterError(
                    f"format: needed one of {', '.join(map(repr, FORMATS))}, got {argument_text(self.format)}"
                )
            if self.mode in ("floor", "zero_point"):
                raise ParameterError(
                    f"mode: a format needs 'nearest', 'toward_zero' or 'stochastic', got {argument_text(self.mode)}"
                )
        else:
            positive(self.step, "step")
        if self.mode != "zero_point" and self.zero_point != 0:
            raise ParameterError(
                f"zero_point: only the mode 'zero_point' has one, got {argument_text(self.zero_point)}"
            )
        to_fraction(self.zero_point, "zero_point")

    # -- what is known of it --------------------------------------------------------------------------------------

    @property
    def float_format(self) -> FloatFormat | None:
        """The floating format, if it is one."""
        if isinstance(self.format, FloatFormat):
            return self.format
        return FORMATS.get(ALIASES.get(self.format, self.format)) if isinstance(self.format, str) else None

    @property
    def sign_safe(self) -> bool:
        """Whether x and Q(x) never have opposite signs, and Q(0) = 0."""
        return self.mode != "zero_point" or to_fraction(self.zero_point).denominator == 1

    @property
    def shrinks(self) -> bool:
        """Whether abs(Q(x)) <= abs(x) for all x."""
        return self.mode == "toward_zero"

    @property
    def error(self) -> Fraction:
        """The largest error, in steps of the grid: 1/2 to nearest, 1 (never attained) else."""
        return Fraction(1, 2) if self.mode in ("nearest", "zero_point") else Fraction(1)

    def error_bounds(self, values: Array) -> Array:
        """What the error of each value cannot exceed: of its kind, rounded up where it is a float.

        In a format it is relative in the normal range, and half a quantum (or a whole one) below.
        """
        flat = values.ravel()
        kind = self.float_format
        if kind is None:
            bound = self.error * to_fraction(self.step)
            if values.dtype == object:
                return object_array([bound] * flat.size).reshape(values.shape)
            return np.full(values.shape, _up(bound))
        if values.dtype == object:
            bounds = [self.error * _spacing(abs(value), kind) for value in flat]
            return object_array(bounds).reshape(values.shape)
        _, exponent = np.frexp(np.abs(values).astype(np.float64))
        exponent = np.where(values == 0, kind.least, np.maximum(exponent - 1, kind.least))
        return np.asarray(np.ldexp(float(self.error), exponent - kind.precision + 1))

    def levels(self, r: Any) -> int:
        """How many values there are for numbers of absolute value at most r.

        Raises
        ------
        ParameterError
            If r is negative, or beyond the largest number of the format.
        """
        radius = positive(r, "r", zero=True)
        kind = self.float_format
        if kind is not None:
            top = _rounded(radius, Quantizer(format=kind), None)
            spacing = _spacing(top, kind)
            normal = max(0, binary_exponent(spacing) - binary_exponent(Fraction(kind.quantum)))
            steps = int(top / spacing)  # within its binade (or the subnormal numbers), of 2**(precision - 1) each
            return int(2 * (normal * 2 ** (kind.precision - 1) + steps) + 1)
        ratio = radius / to_fraction(self.step)
        if self.mode == "toward_zero":
            return 2 * math.floor(ratio) + 1
        if self.mode == "nearest":
            return 2 * math.floor(ratio + Fraction(1, 2)) + 1
        if self.mode == "floor":
            return math.floor(ratio) + math.ceil(ratio) + 1
        if self.mode == "stochastic":
            return 2 * math.ceil(ratio) + 1
        zero = to_fraction(self.zero_point)
        return _nearest(ratio + zero) - _nearest(-ratio + zero) + 1

    def bits(self, r: Any) -> int:
        """The bits that a value takes for numbers of absolute value at most r; those of the format."""
        kind = self.float_format
        return kind.bits if kind is not None else (self.levels(r) - 1).bit_length()

    # -- application ----------------------------------------------------------------------------------------------

    def __call__(self, values: Any, rng: np.random.Generator | int | None = None) -> Array:
        """The values rounded, in an array of their kind: float32, float64, or Fractions.

        Parameters
        ----------
        values : array_like
        rng : numpy.random.Generator or int, optional
            Needed by the mode "stochastic".

        Raises
        ------
        ParameterError
            On NaN, infinities, what is no number, integers beyond the floats (give Fractions), or a missing generator.
        RangeError
            If a value lies beyond the largest number of the format, or the result beyond the floats of the values.
        """
        given = np.asarray(values)
        is_exact = given.dtype == object and (
            not given.size or any(isinstance(value, Fraction) for value in given.flat)
        )
        if not is_exact:
            if given.dtype.kind not in "fiuO":
                raise ParameterError(f"values: needed real numbers, got {given.dtype}")
            try:
                given = given if given.dtype in (np.float32, np.float64) else given.astype(np.float64)
            except (TypeError, ValueError, OverflowError):
                raise ParameterError(
                    "values: needed real numbers in the range of floats, or Fractions, got others; give Fractions"
                ) from None
            if not np.isfinite(given).all():
                raise ParameterError("values: needed finite numbers, got NaN or infinities")
        random = None
        if self.mode == "stochastic":
            if rng is None:
                raise ParameterError("rng: the mode 'stochastic' needs a numpy.random.Generator or a seed, got None")
            random = generator(rng)
        if not is_exact and (self.format is not None or _is_power_of_two(self.step)) and self.mode != "zero_point":
            return self._on_arrays(given, random)
        rounded = [_rounded(to_fraction(value), self, random) for value in given.ravel().tolist()]
        if is_exact:
            return object_array(rounded).reshape(given.shape)
        with np.errstate(over="ignore"):
            floats = np.array([_float(value) for value in rounded]).astype(given.dtype).reshape(given.shape)
        if not np.isfinite(floats).all():
            raise RangeError(f"values: a rounded number leaves the range of {given.dtype}; use a wider type")
        return floats

    def _on_arrays(self, values: Array, random: np.random.Generator | None) -> Array:
        """Floats, to multiples of powers of two: scaled by them, which is exact, and rounded to integers."""
        wide = values.astype(np.float64)
        kind = self.float_format
        if kind is None:
            power: Any = np.full(wide.shape, binary_exponent(to_fraction(self.step)))
        else:
            _, exponent = np.frexp(wide)
            power = np.maximum(exponent - 1, kind.least) - kind.precision + 1
        with np.errstate(over="ignore", under="ignore"):
            scaled = np.ldexp(wide, -power)
        if not np.isfinite(scaled).all():
            raise RangeError(f"step: {number_text(self.step)} is too small for numbers of this size; use Fractions")
        least = np.copysign(np.finfo(np.float64).smallest_subnormal, wide)  # it says on which side of 0 a number lies
        scaled = np.where((scaled == 0) & (wide != 0), least, scaled)
        integers = _ROUND[self.mode if kind is None else self.mode + "_even"](scaled, random)
        with np.errstate(over="ignore"):
            rounded = np.ldexp(integers, power) + 0.0  # no negative zeros
        if kind is not None:
            rounded = self._held(rounded, kind.largest)
        with np.errstate(over="ignore"):
            out = rounded.astype(values.dtype)
        if not np.isfinite(out).all():
            raise RangeError(f"values: a rounded number leaves the range of {values.dtype}; use a wider type")
        return np.asarray(out)

    def _held(self, rounded: Array, largest: float) -> Array:
        """Numbers of a format: those beyond the largest are an error, or become the largest."""
        beyond = np.abs(rounded) > largest
        if beyond.any() and not self.saturate:
            raise RangeError(
                f"format: {self.format} holds numbers up to {largest}, got {rounded[beyond].ravel()[0]}; "
                "use saturate=True, another format, or a scale"
            )
        return np.clip(rounded, -largest, largest)


# -- one number, exactly ------------------------------------------------------------------------------------------


def _rounded(value: Fraction, quantizer: Quantizer, random: np.random.Generator | None) -> Fraction:
    """The value on the grid."""
    kind = quantizer.float_format
    if kind is None:
        step, zero = to_fraction(quantizer.step), to_fraction(quantizer.zero_point)
        ratio = value / step
        if quantizer.mode == "zero_point":
            return (_nearest(ratio + zero) - zero) * step
        return _integer(ratio, quantizer.mode, random, even=False) * step
    step = _spacing(abs(value), kind)
    rounded = _integer(value / step, quantizer.mode, random, even=True) * step
    if abs(rounded) > kind.largest:
        if not quantizer.saturate:
            raise RangeError(
                f"format: {quantizer.format} holds numbers up to {kind.largest}, got {number_text(rounded)}; use "
                "saturate=True, another format, or a scale"
            )
        rounded = Fraction(kind.largest) * (1 if rounded > 0 else -1)
    return rounded


def _integer(ratio: Fraction, mode: str, random: np.random.Generator | None, *, even: bool) -> int:
    if mode == "floor":
        return math.floor(ratio)
    if mode == "toward_zero":
        return math.trunc(ratio)
    if mode == "stochastic":
        assert random is not None
        low = math.floor(ratio)
        return low + int(random.random() < ratio - low)
    return round(ratio) if even else _nearest(ratio)


def _nearest(ratio: Fraction) -> int:
    """The nearest integer, in ties the one farther from zero."""
    size = math.floor(abs(ratio) + Fraction(1, 2))
    return size if ratio >= 0 else -size


def _spacing(size: Fraction, kind: FloatFormat) -> Fraction:
    """The distance of the numbers of a format in the binade of a number >= 0."""
    exponent = max(binary_exponent(size), kind.least) if size else kind.least
    return Fraction(2) ** (exponent - kind.precision + 1)


def binary_exponent(size: Fraction) -> int:
    """The integer e with 2**e <= size < 2**(e + 1), for size > 0."""
    e = size.numerator.bit_length() - size.denominator.bit_length()
    return e if Fraction(2) ** e <= size else e - 1


def _is_power_of_two(step: Any) -> bool:
    exact = to_fraction(step)
    return exact == Fraction(2) ** binary_exponent(exact)


def _float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _up(bound: Fraction) -> float:
    """A float that is not less."""
    value = _float(bound)
    return value if value >= bound else math.nextafter(value, math.inf)


# -- arrays of floats ---------------------------------------------------------------------------------------------


def _away(x: Array, random: np.random.Generator | None) -> Array:
    """To the nearest integer, in ties the one farther from zero; adding 1/2 would round numbers just below 1/2 up."""
    size = np.abs(x)
    low = np.floor(size)
    return np.asarray(np.copysign(low + (size - low >= 0.5), x))


def _random(x: Array, random: np.random.Generator | None) -> Array:
    assert random is not None
    low = np.floor(x)
    return np.asarray(low + (random.random(x.shape) < x - low))


_ROUND: dict[str, Callable[[Array, np.random.Generator | None], Array]] = {
    "nearest": _away,
    "floor": lambda x, random: np.floor(x),
    "toward_zero": lambda x, random: np.trunc(x),
    "stochastic": _random,
    "nearest_even": lambda x, random: np.rint(x),
    "toward_zero_even": lambda x, random: np.trunc(x),
    "stochastic_even": _random,
}
