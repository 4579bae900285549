r"""Products of complex Kronecker-sparse matrices, by the kernels for real ones.

A complex array whose last axis is n long is a real one whose last axis is 2 n long: real and imaginary parts side by
side. So the real part of the values multiplies both parts of a batch in one launch, and the imaginary part in another:

.. math:: \mathrm{Re}(K x) = K_r x_r - K_i x_i, \qquad \mathrm{Im}(K x) = K_r x_i + K_i x_r.

These are the four real products that one complex product is, each a sum in the order of `pathgraph_gpu.products`; a
pass over the result adds them in pairs. There are no other products, such as with the imaginary unit, so that NaN comes
only from those of the formula.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pathgraph_gpu import products

if TYPE_CHECKING:
    from pathgraph.kronecker.patterns import KSPattern
    from pathgraph_gpu.device import Device

__all__ = ["multiply", "values_gradient"]


def multiply(
    device: Device, pattern: KSPattern, values: Any, x: Any, *, transposed: bool = False, out: Any = None
) -> Any:
    """The products of a complex matrix, or of its transpose, with a batch; see `products.multiply`."""
    outer, _, inner = x.shape
    result = device.xp.empty((outer, pattern.shape[transposed], inner), dtype=x.dtype) if out is None else out
    if not outer * inner:
        return result
    batch, sums = _parts(x), _parts(result)
    products.multiply(device, pattern, _copy(device, values.real), batch, transposed=transposed, out=sums)
    crossed = products.multiply(device, pattern, _copy(device, values.imag), batch, transposed=transposed)
    real, imaginary = sums[..., 0::2], sums[..., 1::2]  # views
    real -= crossed[..., 1::2]
    imaginary += crossed[..., 0::2]
    return result


def values_gradient(device: Device, pattern: KSPattern, x: Any, gradient: Any) -> Any:
    r"""The gradient of the values, :math:`\sum_n G_{ijln} \overline{x_{ikln}}`; see `products.values_gradient`.

    Its real part is the sum of the products of all parts of G and x; its imaginary part that of G and i x.
    """
    xp = device.xp
    batch, given = _parts(x), _parts(gradient)
    turned = xp.empty(batch.shape, dtype=batch.dtype)
    turned[..., 0::2] = -batch[..., 1::2]
    turned[..., 1::2] = batch[..., 0::2]
    out = xp.empty(pattern.values_shape, dtype=x.dtype)
    parts = _parts(out)
    parts[..., 0::2] = products.values_gradient(device, pattern, batch, given)
    parts[..., 1::2] = products.values_gradient(device, pattern, turned, given)
    return out


def _parts(array: Any) -> Any:
    """A contiguous complex array as its real and imaginary parts, side by side along the last axis: a view."""
    return array.view(np.dtype(f"f{array.dtype.itemsize // 2}"))


def _copy(device: Device, part: Any) -> Any:
    return device.xp.ascontiguousarray(part)
