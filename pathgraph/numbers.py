"""Arithmetic on arrays that are rational or scaled: exact where it can be, and without a range of floats elsewhere."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pathgraph.pathsum.scaled import (
    scaled,
    scaled_argmax,
    scaled_product,
    scaled_quotient,
    scaled_total,
)
from pathgraph.scalars import Array, object_array

__all__ = ["joined", "norm", "product", "quotient"]


def norm(numbers: Array, q: Any) -> Array:
    """The q-norm of some numbers, shape (1,): rational for rationals and q in {1, inf}, scaled else."""
    if numbers.dtype == object and q in (1, math.inf):
        absolute = [abs(number) for number in numbers]
        return object_array([sum(absolute) if q == 1 else max(absolute)])
    if q == math.inf:
        sizes = scaled(numbers, 1)
        sizes["mantissa"] = np.abs(sizes["mantissa"])
        largest = scaled_argmax(sizes)
        return sizes[largest : largest + 1]
    powers = scaled(numbers, q)
    powers["mantissa"] = np.abs(powers["mantissa"])
    return scaled(scaled_total(powers), 1 / q)


def joined(parts: list[Array]) -> Array:
    """Some numbers as one array: of rationals if all are, of scaled numbers else."""
    return np.concatenate(parts if all(part.dtype == object for part in parts) else [scaled(part) for part in parts])


def product(a: Array, b: Array) -> Array:
    """The products of two arrays: rational if both are, scaled else."""
    return np.asarray(a * b) if a.dtype == b.dtype == object else scaled_product(scaled(a), scaled(b))


def quotient(a: Array, b: Array) -> Array:
    """The quotients of two arrays: rational if both are, scaled else."""
    return np.asarray(a / b) if a.dtype == b.dtype == object else scaled_quotient(scaled(a), scaled(b))
