"""Layers without parameters that act axis by axis: pools, averages, resizing, padding.

Each is a fixed matrix along every axis (`pathgraph.layers.windows`), with exact coefficients. A pool selects one of the
entries of a window; the others add them up.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from pathgraph.arguments import natural
from pathgraph.errors import ParameterError
from pathgraph.layers import windows
from pathgraph.layers.axes import WeightedAxis, weighted
from pathgraph.layers.axis_arguments import as_axis, axis_of, paddings, per_axis
from pathgraph.layers.drafting import Drafts, Signal, Sizes
from pathgraph.layers.operations import Shape
from pathgraph.layers.structure import View

__all__ = ["FixedLayers"]


class FixedLayers(Drafts):
    """The part of a layer graph builder that makes layers without parameters."""

    # -- pools and averages -----------------------------------------------------------------------------------------

    def max_pool(
        self,
        x: Signal,
        kernel: Sizes,
        *,
        stride: Sizes | None = None,
        padding: int | Sequence[int | tuple[int, int]] = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        rank: int = 1,
        name: str | None = None,
    ) -> Signal:
        """The rank-th largest entry of each window of x ``(C, *space)``; the padding is not read."""
        n = len(x.shape) - 1
        sizes = per_axis(kernel, n, "kernel")
        strides = sizes if stride is None else per_axis(stride, n, "stride")
        pads, dilations = paddings(padding, n), per_axis(dilation, n, "dilation")
        maps = tuple(
            windows.pool_axis(size, k, s, *p, d, ceil_mode=ceil_mode)
            for size, k, s, p, d in zip(x.shape[1:], sizes, strides, pads, dilations, strict=True)
        )
        options = {
            "kernel": sizes,
            "stride": strides,
            "padding": pads,
            "dilation": dilations,
            "ceil_mode": ceil_mode and _hangs_over(x, sizes, strides, pads, dilations),
        }
        return self._pool("max_pool", x, maps, rank, options, name)

    def average_pool(
        self,
        x: Signal,
        kernel: Sizes,
        *,
        stride: Sizes | None = None,
        padding: int | Sequence[int | tuple[int, int]] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor: int | None = None,
        name: str | None = None,
    ) -> Signal:
        """The average of each window of x ``(C, *space)``, or its sum over `divisor`."""
        n = len(x.shape) - 1
        sizes = per_axis(kernel, n, "kernel")
        strides = sizes if stride is None else per_axis(stride, n, "stride")
        pads = paddings(padding, n)
        maps = [
            windows.pool_axis(
                size, k, s, *p, ceil_mode=ceil_mode, average=divisor is None, count_include_pad=count_include_pad
            )
            for size, k, s, p in zip(x.shape[1:], sizes, strides, pads, strict=True)
        ]
        if divisor is not None:
            share = Fraction(1, natural(divisor, "divisor", least=1))
            maps[0] = WeightedAxis(maps[0].taps, tuple(c * share for c in maps[0].coefficients))
        options = {
            "kernel": sizes,
            "stride": strides,
            "padding": pads,
            "ceil_mode": ceil_mode and _hangs_over(x, sizes, strides, pads, (1,) * n),
            "count_include_pad": count_include_pad,
            "divisor": divisor,
        }
        return self._separable("average_pool", x, tuple(maps), options, name)

    def adaptive_average_pool(self, x: Signal, size: Sizes, *, name: str | None = None) -> Signal:
        """Averages over PyTorch's partition of each spatial axis into `size` windows; size 1 is global pooling."""
        sizes = per_axis(size, len(x.shape) - 1, "size")
        maps = tuple(windows.adaptive_axis(n, m, average=True) for n, m in zip(x.shape[1:], sizes, strict=True))
        return self._separable("adaptive_average_pool", x, maps, {"size": sizes}, name)

    def adaptive_max_pool(self, x: Signal, size: Sizes, *, rank: int = 1, name: str | None = None) -> Signal:
        """The rank-th largest entries over PyTorch's partition of each spatial axis into `size` windows."""
        sizes = per_axis(size, len(x.shape) - 1, "size")
        maps = tuple(windows.adaptive_axis(n, m, average=False) for n, m in zip(x.shape[1:], sizes, strict=True))
        return self._pool("adaptive_max_pool", x, maps, rank, {"size": sizes}, name)

    def mean(self, x: Signal, axes: Sizes, *, keep: bool = True, name: str | None = None) -> Signal:
        """The average over some axes, which stay with size 1 or (not `keep`) are dropped."""
        chosen = sorted(axis_of(axis, x) for axis in ([axes] if isinstance(axes, int) else axes))
        if not chosen or len(set(chosen)) < len(chosen):
            raise ParameterError(f"axes: needed different axes of {x.shape}, got {axes}")
        maps = tuple(
            windows.mean_axis(n) if axis in chosen else windows.identity_axis(n)
            for axis, n in enumerate(x.shape)
            if axis >= chosen[0]
        )
        y = self._separable("mean", x, maps, {"axes": tuple(chosen)}, name)
        if keep:
            return y
        left = tuple(n for axis, n in enumerate(x.shape) if axis not in chosen)
        return self._view(View("reshape", left), (y,), None)

    # -- fixed matrices along axes ----------------------------------------------------------------------------------

    def resize(self, x: Signal, maps: Sequence[Any], *, name: str | None = None) -> Signal:
        """A fixed matrix along each of the trailing axes: sparse matrices of shape (n_out, n_in), or `WeightedAxis`."""
        axes = tuple(m if isinstance(m, WeightedAxis) else as_axis(m) for m in maps)
        return self._separable("resize", x, axes, {}, name)

    def nearest(self, x: Signal, size: Sizes, *, name: str | None = None) -> Signal:
        """Nearest-neighbour resizing of the spatial axes of x ``(C, *space)``: output o reads floor(o n / size)."""
        sizes = per_axis(size, len(x.shape) - 1, "size")
        maps = tuple(windows.nearest_axis(n, m) for n, m in zip(x.shape[1:], sizes, strict=True))
        return self._separable("nearest", x, maps, {"size": sizes}, name)

    def bilinear(self, x: Signal, size: Sizes, *, align_corners: bool = False, name: str | None = None) -> Signal:
        """Linear interpolation along the spatial axes of x ``(C, *space)``."""
        sizes = per_axis(size, len(x.shape) - 1, "size")
        maps = tuple(
            windows.bilinear_axis(n, m, align_corners=align_corners) for n, m in zip(x.shape[1:], sizes, strict=True)
        )
        return self._separable("bilinear", x, maps, {"size": sizes, "align_corners": align_corners}, name)

    def pad(self, x: Signal, widths: Sequence[tuple[int, int]], *, name: str | None = None) -> Signal:
        """Zeros around a signal, (before, after) for each axis: neurons without antecedents."""
        pairs = [(natural(a, "widths"), natural(b, "widths")) for a, b in widths]
        if len(pairs) != len(x.shape):
            raise ParameterError(f"widths: needed a pair for each axis of {x.shape}, got {pairs}")
        maps = tuple(
            weighted(n, [[]] * a + [[(i, Fraction(1))] for i in range(n)] + [[]] * b)
            for n, (a, b) in zip(x.shape, pairs, strict=True)
        )
        return self._separable("pad", x, maps, {"widths": tuple(pairs)}, name)


def _hangs_over(x: Signal, sizes: Shape, strides: Shape, pads: Any, dilations: Shape) -> bool:
    """Whether some window hangs over the end: whether rounding sizes up gives more windows than rounding down."""
    numbers = zip(x.shape[1:], sizes, strides, pads, dilations, strict=True)
    return any(
        len({windows.pool_size(n, k, s, low, high, d, ceil_mode=up) for up in (False, True)}) > 1
        for n, k, s, (low, high), d in numbers
    )
