"""What the resizing operators of PyTorch are as fixed maps along the axes of space.

Rules are as in `torch_operators`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pathgraph.io.torch_arguments import require_signal
from pathgraph.io.torch_constants import key_of
from pathgraph.io.torch_import import Importer
from pathgraph.layers.builder import Signal

__all__ = ["RULES"]


def resize(at: Importer, x: Any, **arguments: Any) -> Signal:
    """Linear interpolation and doubling by their definition; others, and odd factors, as PyTorch computes them."""
    signal = require_signal(x)
    kind, n = key_of(at.node), len(signal.shape) - 1
    size = at.shape[1:]
    factors = arguments.get("scale_factors") or _given_scales(arguments, n)
    is_plain = all(
        factor is None or m == n * factor for n, m, factor in zip(signal.shape[1:], size, factors, strict=True)
    )
    is_doubled = all(m in (n, 2 * n) for n, m in zip(signal.shape[1:], size, strict=True))
    if is_doubled and kind.startswith("upsample_nearest"):
        return at.build.nearest(signal, size, name=at.name)
    if is_plain and kind in ("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"):
        corners = bool(arguments["align_corners"])
        return at.build.bilinear(signal, size, align_corners=corners, name=at.name)
    maps = [_observed(at, n, axis, factors) for axis in range(n)]
    return at.build.resize(signal, maps, name=at.name)


def _given_scales(arguments: dict[str, Any], n: int) -> list[Any]:
    names = ["scales"] if n == 1 else ["scales_d", "scales_h", "scales_w"][-n:]
    return [arguments.get(name) for name in names]


def _observed(at: Importer, n: int, axis: int, factors: list[Any]) -> np.ndarray[Any, Any]:
    """The matrix of a resizing along one axis: what PyTorch makes of the unit vectors, the other axes having size 1."""
    node: Any = at.node
    before, after = node.args[0].meta["val"].shape[2 + axis], node.meta["val"].shape[2 + axis]
    shape, size = [1, before] + [1] * n, [1] * n
    shape[2 + axis], size[axis] = before, after
    # which entry is nearest is decided in the precision of the tensor; coefficients are wanted in double precision
    dtype = node.meta["val"].dtype if "nearest" in key_of(node) else torch.float64
    images = torch.eye(before, dtype=dtype).reshape(shape)
    arguments = {}
    for argument, value in zip(node.target._schema.arguments, node.args, strict=False):
        arguments[argument.name] = value
    arguments |= node.kwargs
    name = next(name for name in ("self", "input") if name in arguments)
    del arguments[name]
    if arguments.get("scale_factors") is not None:
        arguments["scale_factors"] = [factors[axis] if i == axis else 1.0 for i in range(n)]
    else:
        arguments["output_size"] = size
        for i, key in enumerate(["scales"] if n == 1 else ["scales_d", "scales_h", "scales_w"][-n:]):
            if arguments.get(key) is not None and i != axis:
                arguments[key] = 1.0
    made = node.target(images, **arguments)
    return np.array(made.double().reshape(before, after).T.numpy())


RULES: dict[str, Any] = {
    **{
        f"{mark}upsample_{kind}": resize
        for mark in ("", "_")
        for kind in [
            "nearest1d",
            "nearest2d",
            "nearest3d",
            "nearest_exact1d",
            "nearest_exact2d",
            "nearest_exact3d",
            "linear1d",
            "bilinear2d",
            "trilinear3d",
            "bicubic2d",
        ]
    },
}
"""A rule by operator."""
