"""The operations between layers in PyTorch: from flat values and a tensor of entries to values, differentiably."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch

from pathgraph.layers.operations import (
    Convolution,
    Diagonal,
    Linear,
    Operation,
    Separable,
    TransposedConvolution,
    TransposedLinear,
)

__all__ = ["Runner", "runner"]

Tensor: TypeAlias = Any
DENSE = 1 << 22
"""Fixed matrices along an axis with more entries than this are applied edge by edge."""

Runner: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"


def runner(operation: Operation) -> Runner:
    """The operation in torch: from flat values read and the tensor of entries, to values."""
    if isinstance(operation, Linear):
        return lambda x, w: x.reshape(operation.source_shape) @ w.reshape(operation.tensor_shape).T
    if isinstance(operation, TransposedLinear):
        return lambda x, w: x.reshape(operation.source_shape) @ w.reshape(operation.tensor_shape)
    if isinstance(operation, Diagonal):
        return _diagonal(operation)
    n = len(operation.source_shape) - 1
    if isinstance(operation, Convolution) and n <= 3:
        return _convolution(operation, n)
    is_even = isinstance(operation, TransposedConvolution) and all(a == b >= 0 for a, b in operation.padding)
    if isinstance(operation, TransposedConvolution) and is_even and n <= 3:
        return _transposed_convolution(operation, n)
    if isinstance(operation, Separable) and all(
        any(m.coefficients) and m.taps.n_in * m.taps.n_out <= DENSE for m in operation.maps
    ):
        return _separable(operation)
    return _edges(operation)


def _diagonal(operation: Diagonal) -> Runner:
    def run(x: Tensor, w: Tensor) -> Tensor:
        factor = w.reshape(operation.factor_shape)
        if x is not None:
            factor = factor * x.reshape(operation.source_shape)
        return factor.expand(operation.target_shape)

    return run


def _convolution(operation: Convolution, n: int) -> Runner:
    convolve = getattr(torch.nn.functional, f"conv{n}d")
    pads = [width for pair in reversed(operation.padding) for width in pair]
    is_even = all(a == b >= 0 for a, b in operation.padding)

    def run(x: Tensor, w: Tensor) -> Tensor:
        x = x.reshape(1, *operation.source_shape)
        x = x if is_even else torch.nn.functional.pad(x, pads)
        return convolve(
            x,
            w.reshape(operation.tensor_shape),
            stride=operation.stride,
            padding=[a for a, _ in operation.padding] if is_even else 0,
            dilation=operation.dilation,
            groups=operation.groups,
        )

    return run


def _transposed_convolution(operation: TransposedConvolution, n: int) -> Runner:
    convolve = getattr(torch.nn.functional, f"conv_transpose{n}d")

    def run(x: Tensor, w: Tensor) -> Tensor:
        return convolve(
            x.reshape(1, *operation.source_shape),
            w.reshape(operation.tensor_shape),
            stride=operation.stride,
            padding=[a for a, _ in operation.padding],
            output_padding=operation.output_padding,
            groups=operation.groups,
            dilation=operation.dilation,
        )

    return run


def _separable(operation: Separable) -> Runner:
    """A matrix along each trailing axis. The entries are products of one number per axis, found along a largest one."""
    sizes, n = operation.tensor_shape, len(operation.lead)
    reads = [m.taps for m in operation.maps]
    rows = [torch.from_numpy(np.repeat(np.arange(taps.n_out), taps.degree)) for taps in reads]
    columns = [torch.from_numpy(np.array(taps.index)) for taps in reads]
    read_taps = [torch.from_numpy(np.array(taps.tap)) for taps in reads]
    largest = tuple(int(np.argmax([abs(float(c)) for c in m.coefficients])) for m in operation.maps)

    def run(x: Tensor, w: Tensor) -> Tensor:
        x, w = x.reshape(operation.source_shape), w.reshape(sizes)
        for axis, taps in enumerate(reads):
            line = w[(*largest[:axis], slice(None), *largest[axis + 1 :])]
            if axis:
                line = line / w[largest]
            matrix = torch.zeros(taps.n_out, taps.n_in, dtype=w.dtype, device=w.device)
            place = (rows[axis].to(w.device), columns[axis].to(w.device))
            matrix[place] = line[read_taps[axis].to(w.device)]
            x = torch.tensordot(x, matrix, dims=([n + axis], [1])).movedim(-1, n + axis)
        return x

    return run


def _edges(operation: Operation) -> Runner:
    """Edge by edge: right for every operation."""
    target, source, entry = (torch.from_numpy(np.array(part)) for part in operation.pattern())

    def run(x: Tensor, w: Tensor) -> Tensor:
        products = w.reshape(-1)[entry.to(w.device)] * x[source.to(w.device)]
        out = torch.zeros(operation.target_size, dtype=w.dtype, device=w.device)
        return out.index_add(0, target.to(w.device), products)

    return run
