"""Number formats of weights: what is left of a float after it was stored in fewer bits.

Two kinds. A **float format** has p significant bits (the implicit one counted), a smallest exponent below which the
spacing stays the same (subnormal numbers), and a largest number, at which larger ones saturate. A **fixed-point
format** of k bits has one spacing per tensor: the smallest power of two with which its largest weight is at most
:math:`2^{k-1} - 1` spacings. Both round to the nearest number, ties to the even one, and keep zeros.

All results are float64 that hold the rounded number exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pathgraph.errors import ParameterError
from pathgraph.scalars import Array

__all__ = ["FLOAT_FORMATS", "FixedPoint", "FloatFormat", "Format"]


@dataclass(frozen=True)
class FloatFormat:
    """A binary floating-point format.

    Attributes
    ----------
    name : str
    bits : int
        Of storage.
    precision : int
        Significant bits, the implicit one counted.
    least_exponent : int
        Of the smallest normal number.
    largest : float

    Examples
    --------
    >>> import numpy as np
    >>> from pathgraph.analysis.formats import FLOAT_FORMATS
    >>> e4m3 = FLOAT_FORMATS["float8 e4m3"]
    >>> e4m3.rounded(np.array([1.0, 1.1, -17.0, 1e-4, 1000.0])).tolist()
    [1.0, 1.125, -16.0, 0.0, 448.0]
    """

    name: str
    bits: int
    precision: int
    least_exponent: int
    largest: float

    def rounded(self, weights: Array, tensors: Sequence[Array] = ()) -> Array:
        """The nearest numbers of the format; `tensors` is not used."""
        _, exponent = np.frexp(weights)
        step = np.ldexp(1.0, np.maximum(exponent - 1, self.least_exponent) - (self.precision - 1))
        return np.asarray(np.clip(np.rint(weights / step) * step, -self.largest, self.largest))

    def saturated(self, weights: Array) -> int:
        """How many numbers lie beyond the largest one of the format."""
        return int((np.abs(weights) > self.largest).sum())


@dataclass(frozen=True)
class FixedPoint:
    """A fixed-point format of some bits, the sign counted, with one power of two as spacing per tensor.

    Attributes
    ----------
    bits : int
        From 2 to 32.

    Examples
    --------
    >>> import numpy as np
    >>> from pathgraph.analysis.formats import FixedPoint
    >>> FixedPoint(3).rounded(np.array([3.0, 1.4, -0.6]), [np.array([0, 1]), np.array([2])]).tolist()
    [3.0, 1.0, -0.5]
    """

    bits: int

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 32:
            raise ParameterError(f"bits: needed an integer from 2 to 32, got {self.bits}")

    @property
    def name(self) -> str:
        """The bits and the kind."""
        return f"{self.bits}-bit fixed point"

    def rounded(self, weights: Array, tensors: Sequence[Array] = ()) -> Array:
        """The nearest multiples of the spacing of each tensor.

        Parameters
        ----------
        weights : ndarray, shape (n,)
        tensors : sequence of index arrays
            Which weights make a tensor; all of them one by default.
        """
        out = weights.copy()
        for places in tensors or [np.arange(len(weights))]:
            part = weights[places]
            out[places] = np.rint(part / (step := self._step(part))) * step
        return out

    def _step(self, weights: Array) -> float:
        largest = float(np.abs(weights).max(initial=0.0))
        levels = 2 ** (self.bits - 1) - 1
        if largest == 0:
            return 1.0
        exponent = int(np.frexp(largest / levels)[1])
        while largest > levels * float(np.ldexp(1.0, exponent - 1)):  # at most once: the quotient is rounded
            exponent += 1
        return float(np.ldexp(1.0, exponent - 1))

    def saturated(self, weights: Array) -> int:
        """None saturates: the spacing is made for the largest weight."""
        return 0


Format = FloatFormat | FixedPoint

FLOAT_FORMATS = {
    one.name: one
    for one in (
        FloatFormat("float16", 16, 11, -14, 65504.0),
        FloatFormat("bfloat16", 16, 8, -126, float.fromhex("0x1.fep127")),
        FloatFormat("float8 e4m3", 8, 4, -6, 448.0),
        FloatFormat("float8 e5m2", 8, 3, -14, 57344.0),
    )
}
"""By name. The two of 8 bits are those of the OCP 8-bit floating point specification, without scaling factors."""
