"""Arguments of operators, checked: what a rule may assume of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from pathgraph.io.refusals import Refused
from pathgraph.io.torch_constants import Constant
from pathgraph.layers.builder import LayerGraphBuilder, Signal

__all__ = ["MIXES", "axes_of", "per_axis", "repeated", "require_constant", "require_signal"]

MIXES = "it mixes axis 0, the batch, with others; needed operations on each sample by itself"


def require_signal(value: Any) -> Signal:
    """A value that depends on the inputs."""
    if not isinstance(value, Signal):
        raise Refused("needed a tensor that depends on the inputs here")
    return value


def require_constant(value: Any, what: str) -> Constant:
    """A value that does not depend on the inputs."""
    if not isinstance(value, Constant):
        raise Refused(f"the {what} depends on the inputs, so that activations are multiplied with each other")
    return value


def per_axis(value: Any, n: int) -> list[int]:
    """One number per spatial axis."""
    listed = [value] if isinstance(value, int) else list(value)
    return listed * n if len(listed) == 1 else listed


def axes_of(dim: Any, x: Signal) -> list[int]:
    """Axes of a batch as axes of a sample."""
    listed = [dim] if isinstance(dim, int) else list(dim or [])
    axes = sorted({axis % (len(x.shape) + 1) - 1 for axis in listed})
    if not axes or axes[0] < 0:
        raise Refused("it goes over axis 0, the batch; needed operations on each sample by itself")
    return axes


def repeated(build: LayerGraphBuilder, x: Signal, shape: tuple[int, ...], *, name: str | None = None) -> Signal:
    """Axes of size 1 repeated, and others put before them: identity neurons that read the same entry."""
    if x.shape == shape:
        return x
    plain = build.reshape(x, (1,) * (len(shape) - len(x.shape)) + x.shape)
    maps = [
        np.eye(n, dtype=int) if n == m else np.ones((m, 1), dtype=int) for n, m in zip(plain.shape, shape, strict=True)
    ]
    return build.resize(plain, maps, name=name)
