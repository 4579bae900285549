r"""Minimisation of sums of exponentials along one direction: what the normal forms and the closest law have in common.

Along a direction the derivative of such a sum is :math:`a X - m - c / X` with :math:`X = e^t`, if all its exponents are
1 or -1, and an increasing function of t in any case. The numbers come as logarithms: any range of values will do.

Derived here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pathgraph.scalars import Array

__all__ = ["increasing_root", "log_root", "log_total"]

LARGEST_STEP = 1024.0
"""Beyond it the exponentials leave the range of floats: then no step is made."""
PRECISION = 1e-15
"""Of a step; how many of them are needed depends on it, and not what they lead to."""


def log_total(logs: Array) -> float:
    """The logarithm of the sum of the exponentials."""
    top = logs.max(initial=-np.inf)
    return float(top + np.log(np.exp(logs - top).sum())) if top > -np.inf else -np.inf


def log_root(log_a: float, sign: float, log_m: float, log_c: float) -> float:
    r"""The logarithm of the positive root of :math:`a X^2 - m X - c = 0`, for :math:`a, c > 0`.

    It is :math:`\operatorname{arsinh}(h) + \frac12 \log\frac ca` with :math:`h = m / (2 \sqrt{ac})`; m has the sign of
    `sign`, and its absolute value comes as a logarithm, minus infinity if it is zero.
    """
    log_h = log_m - math.log(2) - (log_a + log_c) / 2
    # arsinh(h) = log(2h) up to h^-2 / 4, which vanishes beside it long before h overflows
    bend = math.asinh(math.exp(log_h)) if log_h < 300 else log_h + math.log(2)
    return math.copysign(bend, sign) + (log_c - log_a) / 2


def increasing_root(slope: Callable[[float], float]) -> float:
    """Where an increasing function is zero; 0 if it has no two signs within reach."""
    from scipy.optimize import brentq  # slow to import

    low, high = -1.0, 1.0
    while slope(high) < 0 and high < LARGEST_STEP:
        high *= 2
    while slope(low) > 0 and low > -LARGEST_STEP:
        low *= 2
    return float(brentq(slope, low, high, xtol=PRECISION)) if slope(low) < 0 < slope(high) else 0.0
