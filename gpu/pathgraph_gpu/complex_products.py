r"""Products of complex Kronecker-sparse matrices, by the kernels for real ones.

Real and imaginary parts lie side by side. So a batch that is last is a real one of twice as many vectors; and one that
is first has real vectors of twice the length, which the pattern (a, b, c, 2 d) multiplies, whose values repeat in
pairs. Either way the real part of the values multiplies both parts of a batch in one launch, and the imaginary part in
another:

.. math:: \mathrm{Re}(K x) = K_r x_r - K_i x_i, \qquad \mathrm{Im}(K x) = K_r x_i + K_i x_r.

These are the four real products that one complex product is, each a sum in the order of `pathgraph_gpu.products`; a
pass over the result adds them in pairs. There are no other products, such as with the imaginary unit, so that NaN comes
only from those of the formula.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph.kronecker.patterns import KSPattern
from pathgraph_gpu import products

if TYPE_CHECKING:
    from pathgraph_gpu.device import Device

__all__ = ["multiply", "real_form", "real_parts", "values_gradient"]


def real_form(pattern: KSPattern, outer: int, inner: int) -> tuple[KSPattern, int, int]:
    """The pattern and the two sides of the batch by which real kernels multiply the parts of a complex batch.

    One vector is taken as a batch of two, so that values are read once.

    Examples
    --------
    >>> pattern = KSPattern(1, 4, 4, 3)
    >>> real_form(pattern, 1, 100)
    (KSPattern(1, 4, 4, 3), 1, 200)
    >>> real_form(pattern, 100, 1)
    (KSPattern(1, 4, 4, 6), 100, 1)
    """
    if inner == 1 < outer:
        return KSPattern(pattern.a, pattern.b, pattern.c, 2 * pattern.d), outer, 1
    return pattern, outer, 2 * inner


def multiply(
    device: Device, pattern: KSPattern, values: Any, x: Any, *, transposed: bool = False, out: Any = None
) -> Any:
    """The products of a complex matrix, or of its transpose, with a batch; see `products.multiply`."""
    outer, _, inner = x.shape
    result = device.xp.empty((outer, pattern.shape[transposed], inner), dtype=x.dtype) if out is None else out
    if not outer * inner:
        return result
    wide, *sides = real_form(pattern, outer, inner)
    batch, sums = (real_parts(array).reshape(sides[0], -1, sides[1]) for array in (x, result))
    products.multiply(device, wide, _entries(device, values.real, wide), batch, transposed=transposed, out=sums)
    crossed = products.multiply(device, wide, _entries(device, values.imag, wide), batch, transposed=transposed)
    sums, crossed = (array.reshape(outer, -1, 2 * inner) for array in (sums, crossed))
    real, imaginary = sums[..., 0::2], sums[..., 1::2]  # views
    real -= crossed[..., 1::2]
    imaginary += crossed[..., 0::2]
    return result


def values_gradient(device: Device, pattern: KSPattern, x: Any, gradient: Any) -> Any:
    r"""The gradient of the values, :math:`\sum_n G_{ijln} \overline{x_{ikln}}`; see `products.values_gradient`.

    Its real part is the sum of the products of all parts of G and x; its imaginary part that of G and i x.
    """
    xp, (outer, _, inner) = device.xp, x.shape
    batch, given = real_parts(x), real_parts(gradient)
    turned = xp.empty(batch.shape, dtype=batch.dtype)
    turned[..., 0::2] = -batch[..., 1::2]
    turned[..., 1::2] = batch[..., 0::2]
    wide, *sides = real_form(pattern, outer, inner)
    batch, given, turned = (array.reshape(sides[0], -1, sides[1]) for array in (batch, given, turned))
    out = xp.empty(pattern.values_shape, dtype=x.dtype)
    parts = real_parts(out)
    for at, vectors in ((0, batch), (1, turned)):
        sums = products.values_gradient(device, wide, vectors, given)
        parts[..., at::2] = sums if wide.d == pattern.d else sums[..., 0::2] + sums[..., 1::2]
    return out


def real_parts(array: Any) -> Any:
    """A contiguous complex array as its real and imaginary parts, side by side along the last axis: a view."""
    return array.view(np.dtype(f"f{array.dtype.itemsize // 2}"))


def _entries(device: Device, part: Any, wide: KSPattern) -> Any:
    """The real or imaginary parts of values of shape (a, b, c, d): a copy, in pairs where the pattern is twice as wide.

    Values of a transpose have its shape too: b and c are those of the array.
    """
    if part.shape[3] == wide.d:
        return device.xp.ascontiguousarray(part)
    paired = device.xp.empty((*part.shape[:3], wide.d), dtype=part.dtype)
    paired[..., 0::2] = part
    paired[..., 1::2] = part
    return paired
