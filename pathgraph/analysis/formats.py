"""Number formats of weights: what is left of a float after it was stored in fewer bits.

Two kinds. A **float format** is one of `pathgraph.quantization.quantizers.FORMATS`; numbers beyond its largest one
saturate. A **fixed-point format** of k bits has one spacing per tensor: the smallest power of two with which its
largest weight is at most :math:`2^{k-1} - 1` spacings. Both round to the nearest number by a `Quantizer`, and keep
zeros.

All results are float64 that hold the rounded number exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pathgraph.errors import ParameterError
from pathgraph.quantization.quantizers import FORMATS, Quantizer
from pathgraph.scalars import Array

__all__ = ["FLOAT_NAMES", "FixedPoint", "Float", "Format"]

FLOAT_NAMES = {
    "fp32": "float32",
    "tf32": "tf32",
    "fp16": "float16",
    "bf16": "bfloat16",
    "e4m3": "float8 e4m3",
    "e5m2": "float8 e5m2",
}
"""The float formats, and how they are called in tables."""


@dataclass(frozen=True)
class Float:
    """A floating-point format, by its name in `FLOAT_NAMES`.

    Examples
    --------
    >>> import numpy as np
    >>> from pathgraph.analysis.formats import Float
    >>> Float("e4m3").rounded(np.array([1.0, 1.1, -17.0, 1e-4, 1000.0])).tolist()
    [1.0, 1.125, -16.0, 0.0, 448.0]
    """

    format: str

    @property
    def name(self) -> str:
        """What it is called."""
        return FLOAT_NAMES[self.format]

    @property
    def bits(self) -> int:
        """Of storage."""
        return FORMATS[self.format].bits

    def rounded(self, weights: Array, tensors: Sequence[Any] = ()) -> Array:
        """The nearest numbers of the format; `tensors` is not used."""
        return Quantizer(format=self.format, saturate=True)(weights)

    def saturated(self, weights: Array) -> int:
        """How many numbers lie beyond the largest one of the format."""
        return int((np.abs(weights) > FORMATS[self.format].largest).sum())


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

    def rounded(self, weights: Array, tensors: Sequence[Any] = ()) -> Array:
        """The nearest multiples of the spacing of each tensor.

        Parameters
        ----------
        weights : ndarray, shape (n,)
        tensors : sequence of slices or index arrays
            Which weights make a tensor; all of them one by default.
        """
        out = weights.copy()
        for places in tensors or [slice(None)]:
            out[places] = Quantizer(step=self._step(weights[places]))(weights[places])
        return out

    def _step(self, weights: Array) -> float:
        largest = float(np.abs(weights).max(initial=0.0))
        levels = 2 ** (self.bits - 1) - 1
        if largest == 0:
            return 1.0
        exponent = int(np.frexp(largest / levels)[1]) - 1
        while largest > levels * float(np.ldexp(1.0, exponent)):  # once, but for quotients that were rounded
            exponent += 1
        return float(np.ldexp(1.0, exponent))

    def saturated(self, weights: Array) -> int:
        """None saturates: the spacing is made for the largest weight."""
        return 0


Format = Float | FixedPoint
